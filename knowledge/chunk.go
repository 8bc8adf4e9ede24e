package knowledge

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"alphaos/knowledge/docs"
)

// How a document becomes chunks, the pieces that are found. A chunk is a section or, of a longer one, as much
// as fits: paragraphs, whole lists, whole tables. What does not fit is cut between items, rows, lines or
// sentences. Where a section is cut, the next chunk begins with the last sentence of the one before.
const (
	chunkFull = 1000 // bytes: no more is added to a chunk that has as many
	chunkMost = 1600 // bytes: nothing that is longer stays whole
	overlap   = 200  // bytes at most that two chunks of a section share
)

// A chunk is a piece of a document's text. (Text lies in memory once, whatever the chunks share.)
type chunk struct {
	doc        *document
	start, end uint32 // in doc.text
	section    uint32 // which of the document's sections it is of
	place      docs.Place
}

// A span is part of a text that is better not cut.
type span struct {
	start, end int
	kind       docs.Kind
	place      docs.Place
	section    int
}

// flatten writes the blocks of a document as one text, and says where they are.
func flatten(d *docs.Document) (string, []span) {
	var text strings.Builder
	var spans []span
	section := 0
	for i, b := range d.Blocks {
		if i > 0 {
			last := d.Blocks[i-1].Kind
			text.WriteByte('\n')
			if b.Kind != last || b.Kind != docs.Item && b.Kind != docs.Row {
				text.WriteByte('\n')
			}
		}
		if b.Kind == docs.Heading && (len(spans) == 0 || spans[len(spans)-1].kind != docs.Heading) {
			section++
		}
		start := text.Len()
		text.WriteString(b.Text)
		spans = append(spans, span{start, text.Len(), b.Kind, b.Place, section})
	}
	return text.String(), spans
}

// cut makes chunks of a text and its spans.
func cut(doc *document, text string, spans []span) (chunks []chunk) {
	var open []span // of the chunk that grows
	size := 0
	end := func() {
		if len(open) == 0 {
			return
		}
		first, last := open[0], open[len(open)-1]
		c := chunk{doc: doc, start: uint32(first.start), end: uint32(last.end), section: uint32(first.section), place: first.place}
		if first.kind == docs.Heading { // the headings themselves are the best name of the place
			for _, s := range open {
				if s.kind != docs.Heading {
					c.place.Path = s.place.Path
					break
				}
			}
		}
		if n := len(chunks); n > 0 && chunks[n-1].section == c.section && first.kind == docs.Text {
			if at := lastSentence(text[chunks[n-1].start:chunks[n-1].end]); at > 0 {
				if from := int(chunks[n-1].start) + at; int(c.start)-from <= overlap {
					c.start = uint32(from)
				}
			}
		}
		chunks = append(chunks, c)
		open, size = open[:0], 0
	}
	for i := 0; i < len(spans); {
		// What belongs together: a list or a table, with the line that introduces it.
		n := 1
		if spans[i].kind == docs.Text && strings.HasSuffix(text[spans[i].start:spans[i].end], ":") && i+1 < len(spans) && (spans[i+1].kind == docs.Item || spans[i+1].kind == docs.Row) {
			n = 2
		}
		for kind := spans[i+n-1].kind; (kind == docs.Item || kind == docs.Row) && i+n < len(spans) && spans[i+n].kind == kind && spans[i+n].place.Sheet == spans[i].place.Sheet; n++ {
		}
		group := spans[i : i+n]
		i += n
		if len(open) > 0 && (group[0].section != open[0].section || group[0].place.Sheet != open[0].place.Sheet) {
			end()
		}
		length := group[n-1].end - group[0].start
		if length <= chunkMost {
			if size > 0 && (size >= chunkFull || size+length > chunkMost) {
				end()
			}
			open = append(open, group...)
			size = open[len(open)-1].end - open[0].start
			continue
		}
		for _, s := range group {
			for _, s := range divide(text, s) {
				if size > 0 && size+s.end-s.start > chunkFull {
					end()
				}
				open = append(open, s)
				size = s.end - open[0].start
			}
		}
	}
	end()
	return chunks
}

// divide cuts a span that is too long, between sentences or lines, or in need between words.
func divide(text string, s span) []span {
	if s.end-s.start <= chunkMost {
		return []span{s}
	}
	var parts []span
	for s.end-s.start > chunkMost {
		t := text[s.start : s.start+chunkMost]
		at := 0
		if s.kind == docs.Code {
			at = strings.LastIndexByte(t[:chunkFull], '\n') + 1
		} else {
			for _, e := range sentences(t) {
				if e > chunkFull {
					break
				}
				at = e
			}
		}
		if at == 0 {
			at = strings.LastIndexAny(t[:chunkFull], " \n\t") + 1
		}
		if at == 0 {
			for at = chunkFull; !utf8.RuneStart(t[at]); at-- {
			}
		}
		head := s
		head.end = s.start + at
		if s.kind == docs.Code && s.place.Line > 0 {
			s.place.Line += strings.Count(text[s.start:head.end], "\n")
		}
		s.start = head.end
		parts = append(parts, head)
	}
	return append(parts, s)
}

// sentences returns where the sentences of a text end, that is, where the next ones begin; the last at its end.
func sentences(t string) (ends []int) {
	for i := 0; i < len(t); {
		r, n := utf8.DecodeRuneInString(t[i:])
		at := i
		i += n
		switch r {
		case '\n':
		case '。', '！', '？', '…':
			for i < len(t) {
				r, n := utf8.DecodeRuneInString(t[i:])
				if !strings.ContainsRune("”’」』)）", r) {
					break
				}
				i += n
			}
		case '.', '!', '?':
			for i < len(t) && strings.ContainsRune(".!?\"')]", rune(t[i])) {
				i++
			}
			if rest := strings.TrimPrefix(t[i:], "”"); len(rest) < len(t)-i {
				i = len(t) - len(rest)
			}
			if i < len(t) && t[i] != ' ' && t[i] != '\n' || r == '.' && abbreviation(t[:at], t[i:]) {
				continue
			}
		default:
			continue
		}
		for i < len(t) && (t[i] == ' ' || t[i] == '\n') {
			i++
		}
		ends = append(ends, i)
	}
	if n := len(ends); len(t) > 0 && (n == 0 || ends[n-1] < len(t)) {
		ends = append(ends, len(t))
	}
	return ends
}

const abbreviations = " mr mrs ms dr prof st no nr vs fig eq al etc approx dept est inc ltd jr sr vol pp ca bzw usw evtl ggf inkl abs art str tel z d u m cf ex env "

// abbreviation tells whether a full stop between two texts ends a word and no sentence.
func abbreviation(before, after string) bool {
	at := strings.LastIndexFunc(before, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) + 1
	word := before[at:]
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, " "))
	switch {
	case word == "" || next == utf8.RuneError:
		return false
	case unicode.IsLower(next):
		return true
	case len(word) == 1 && word[0] >= 'A' && word[0] <= 'Z': // J. Smith
		return true
	case strings.Trim(word, "0123456789") == "" && len(word) <= 2: // 3. Mai, but not 2024-11-08. Then
		return at == 0 || !strings.ContainsRune("-/:.,", rune(before[at-1]))
	}
	return strings.Contains(abbreviations, " "+strings.ToLower(word)+" ")
}

// lastSentence returns where the last sentence of a text begins.
func lastSentence(t string) int {
	ends := sentences(t)
	if len(ends) < 2 {
		return 0
	}
	return ends[len(ends)-2]
}
