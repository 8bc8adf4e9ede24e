package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"alphaos/knowledge/docs/pdf"
)

// readPDF makes paragraphs of the lines of a PDF file, which does not say which belong together: by their
// distance, the size of their letters, and what they begin with. What stands at the top or the foot of many
// pages is left out.
func readPDF(ctx context.Context, w *writer, r io.ReaderAt, size int64) error {
	var pages []pdf.Page
	letters, unknown, pictures, bytes := 0, 0, 0, 0
	err := pdf.Read(ctx, r, size, func(p pdf.Page) error {
		pages = append(pages, p)
		for _, l := range p.Lines {
			letters += utf8.RuneCountInString(l.Text)
			bytes += len(l.Text)
		}
		unknown += p.Unknown
		if p.Picture {
			pictures++
		}
		if bytes > MaxText {
			return errFull
		}
		return nil
	})
	switch {
	case errors.Is(err, pdf.ErrPassword):
		return ErrPassword
	case errors.Is(err, pdf.ErrTooLarge):
		return fmt.Errorf("%w: it unpacks to too much", ErrTooLarge)
	case errors.Is(err, errFull):
	case err != nil:
		return err
	}
	switch {
	case unknown > 4*letters && unknown > 100:
		return errors.New("its fonts don't say which characters they show, so that no program can take text from it")
	case pictures > 0 && letters < 20*len(pages) && 2*pictures >= len(pages):
		return ErrScan
	}
	body := bodySize(pages)
	running := findRunning(pages)
	j := joiner{w: w, body: body}
	for i, p := range pages {
		j.page = i + 1
		for k, l := range p.Lines {
			if atEdge(p, k) && running.has(l, j.page) {
				continue
			}
			if err := j.line(l); err != nil {
				return err
			}
		}
		j.turned = true
		pages[i].Lines = nil // what was read is not needed twice
	}
	return j.end()
}

// bodySize is the size of most letters.
func bodySize(pages []pdf.Page) float64 {
	count := map[float64]int{}
	best := 0.0
	for _, p := range pages {
		for _, l := range p.Lines {
			size := math.Round(l.Size*2) / 2
			count[size] += len(l.Text)
			if count[size] > count[best] {
				best = size
			}
		}
	}
	return best
}

// A running line stands at the top or the foot of pages and is not of their text.
type running struct {
	same   map[string]bool // at the same height on four pages at least
	offset int             // of the numbers of pages to those that are printed
	paged  bool            // numbers are printed
}

func runningKey(l pdf.Line) string { return fmt.Sprint(int(l.Y/4), l.Text) }

// numbersOf returns the numbers that a line begins and ends with.
func numbersOf(text string) (list []int) {
	words := strings.Fields(text)
	for i, w := range words {
		if i > 0 && i < len(words)-1 {
			continue
		}
		if n, err := strconv.Atoi(w); err == nil && n > 0 && len(w) <= 4 {
			list = append(list, n)
		}
	}
	return list
}

func atEdge(p pdf.Page, k int) bool { return k < 2 || k >= len(p.Lines)-2 }

func findRunning(pages []pdf.Page) running {
	r := running{same: map[string]bool{}}
	count, offsets := map[string]int{}, map[int]int{}
	for i, p := range pages {
		for k, l := range p.Lines {
			if !atEdge(p, k) {
				continue
			}
			key := runningKey(l)
			if count[key]++; count[key] == 4 {
				r.same[key] = true
			}
			for _, n := range numbersOf(l.Text) {
				if offsets[i+1-n]++; offsets[i+1-n] > offsets[r.offset] {
					r.offset = i + 1 - n
				}
			}
		}
	}
	r.paged = offsets[r.offset] >= 4 && 3*offsets[r.offset] >= len(pages)
	return r
}

func (r running) has(l pdf.Line, page int) bool {
	return r.same[runningKey(l)] || r.paged && slices.Contains(numbersOf(l.Text), page-r.offset)
}

// A joiner makes blocks of lines.
type joiner struct {
	w      *writer
	body   float64
	page   int
	turned bool // a page ended since the last line
	kind   Kind
	level  int
	text   []byte
	from   int // the page that the block began on
	last   pdf.Line
	left   float64 // where its lines begin
}

var sectionNumber = regexp.MustCompile(`^(?:(?:Chapter|Appendix|Kapitel|Chapitre) )?(?:[0-9]{1,2}|[A-Z])(?:\.[0-9]{1,2}){0,4}\.?\s+\p{Lu}`)

var contents = regexp.MustCompile(`^[0-9]{1,2} \p{Lu}.*\D\s[0-9]{1,4}$`)

func (j *joiner) line(l pdf.Line) error {
	kind, level := Text, 0
	head, _, dotted := strings.Cut(l.Text, " . . ")
	switch {
	case dotted && len(head) < 120: // of a table of contents
		kind = Row
		l.Text = strings.ReplaceAll(l.Text, " .", "")
	case l.Bold && contents.MatchString(l.Text): // of a table of contents, too: a chapter and its page
		kind = Row
	case l.Size > 1.12*j.body && utf8.RuneCountInString(l.Text) < 120 && strings.IndexFunc(l.Text, unicode.IsLetter) >= 0:
		kind, level = Heading, headingLevel(l, j.body)
	case l.Bold && !l.Mono && sectionNumber.MatchString(l.Text) && len(l.Text) < 120:
		kind, level = Heading, headingLevel(l, j.body)
	case item.MatchString(l.Text):
		kind = Item
	case strings.Contains(l.Text, "\t"):
		kind = Row
		l.Text = strings.ReplaceAll(l.Text, "\t", " | ")
	case l.Mono:
		kind = Code
	}
	if j.continues(l, kind, level) {
		j.join(l)
	} else {
		if err := j.end(); err != nil {
			return err
		}
		j.kind, j.level, j.from, j.left = kind, level, j.page, l.X
		j.text = append(j.text, l.Text...)
	}
	j.last, j.turned = l, false
	return nil
}

// headingLevel is what the number of a section tells or, without one, the size.
func headingLevel(l pdf.Line, body float64) int {
	if sectionNumber.MatchString(l.Text) && !strings.HasPrefix(l.Text, "Chapter") && !strings.HasPrefix(l.Text, "Appendix") {
		return min(strings.Count(strings.TrimSuffix(strings.Fields(l.Text)[0], "."), ".")+2, 6)
	}
	switch {
	case l.Size > 1.7*body:
		return 2
	case l.Size > 1.3*body:
		return 3
	}
	return 4
}

// continues tells whether a line goes on with the block.
func (j *joiner) continues(l pdf.Line, kind Kind, level int) bool {
	if len(j.text) == 0 || len(j.text) > 16<<10 {
		return false
	}
	gap := j.last.Y - l.Y
	near := gap > -.5*l.Size && gap < 1.75*max(l.Size, j.last.Size)
	alike := math.Abs(l.Size-j.last.Size) < .12*l.Size
	switch {
	case j.kind == Heading || kind == Heading:
		return kind == j.kind && level == j.level && near && alike && !j.turned && !sectionNumber.MatchString(l.Text)
	case kind == Item || kind == Row:
		return false
	case j.kind == Row:
		return false
	case kind == Code || j.kind == Code:
		return kind == j.kind && near && !j.turned
	case j.turned: // a sentence goes on over the page
		end, _ := utf8.DecodeLastRune(j.text)
		first, _ := utf8.DecodeRuneInString(l.Text)
		return alike && (unicode.IsLower(first) && !strings.ContainsRune(".!?:", end) || end == '-')
	}
	return near && alike && (l.X < j.left+1.2*l.Size || j.kind == Item && l.X < j.left+4*l.Size)
}

// join appends a line. A hyphen at the end of a line between letters parts a word.
func (j *joiner) join(l pdf.Line) {
	if j.kind == Code {
		j.text = append(append(j.text, '\n'), l.Text...)
		return
	}
	first, _ := utf8.DecodeRuneInString(l.Text)
	if n := len(j.text); n > 1 && j.text[n-1] == '-' && unicode.IsLower(first) {
		if r, _ := utf8.DecodeLastRune(j.text[:n-1]); unicode.IsLetter(r) {
			j.text = append(j.text[:n-1], l.Text...)
			return
		}
	}
	if last, _ := utf8.DecodeLastRune(j.text); !ideographic(last) || !ideographic(first) {
		j.text = append(j.text, ' ')
	}
	j.text = append(j.text, l.Text...)
}

// ideographic tells whether a character is of a script without spaces between words.
func ideographic(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0x3000 && r < 0x3100 || r >= 0xFF00 && r < 0xFFF0
}

func (j *joiner) end() error {
	text := string(j.text)
	j.text = j.text[:0]
	if j.kind == Heading && sectionNumber.MatchString(text) { // 10.7 is not below 9, whatever was seen last
		section := strings.Fields(text)[0]
		for level, above := range j.w.levels[:min(j.level, len(j.w.levels))] {
			if sectionNumber.MatchString(above) && !strings.HasPrefix(section, strings.TrimSuffix(strings.Fields(above)[0], ".")+".") {
				j.w.levels[level] = ""
			}
		}
	}
	return j.w.add(j.kind, j.level, text, Place{Page: j.from})
}
