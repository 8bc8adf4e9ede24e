package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
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
	running := runningLines(pages)
	j := joiner{w: w, body: body}
	for i, p := range pages {
		j.page = i + 1
		for k, l := range p.Lines {
			if (k < 2 || k >= len(p.Lines)-2) && running[runningKey(l)] {
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

var digits = regexp.MustCompile(`[0-9]+|\b[ivxlc]+\b`)

func runningKey(l pdf.Line) string {
	return fmt.Sprint(int(l.Y/4), digits.ReplaceAllString(l.Text, "0"))
}

// runningLines are the first and last lines of pages that at least a fifth of them, and five, have at the same
// height, whatever numbers are in them.
func runningLines(pages []pdf.Page) map[string]bool {
	count := map[string]int{}
	for _, p := range pages {
		n := len(p.Lines)
		for k, l := range p.Lines {
			if k < 2 || k >= n-2 {
				count[runningKey(l)]++
			}
		}
	}
	out := map[string]bool{}
	for key, n := range count {
		if n >= 5 && 5*n >= len(pages) {
			out[key] = true
		}
	}
	return out
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

func (j *joiner) line(l pdf.Line) error {
	kind, level := Text, 0
	head, _, dotted := strings.Cut(l.Text, " . . ")
	switch {
	case dotted && len(head) < 120: // of a table of contents
		kind = Row
		l.Text = strings.ReplaceAll(l.Text, " .", "")
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
	return j.w.add(j.kind, j.level, text, Place{Page: j.from})
}
