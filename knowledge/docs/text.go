package docs

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// decode makes UTF-8 of a text: of UTF-16 with a mark at the beginning, and of Windows-1252, which
// contains Latin-1, when it is not UTF-8.
func decode(b []byte) (string, error) {
	switch {
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		b = b[3:]
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return decode16(b[2:], binary.LittleEndian), nil
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		return decode16(b[2:], binary.BigEndian), nil
	}
	if n := bytes.Count(b, []byte{0}); n > 0 && n > len(b)/1000 {
		return "", ErrBinary
	}
	if utf8.Valid(b) {
		return string(b), nil
	}
	// A long UTF-8 text with a few broken places is still one.
	broken, high := 0, 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			broken++
		} else if n > 1 {
			high++
		}
		i += n
	}
	if broken*10 < high {
		return string(bytes.ToValidUTF8(b, nil)), nil
	}
	control := 0
	var s strings.Builder
	s.Grow(len(b) + len(b)/8)
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' {
			control++
		}
		if c >= 0x80 && c < 0xA0 {
			s.WriteRune(windows1252[c-0x80])
		} else {
			s.WriteRune(rune(c))
		}
	}
	if control > len(b)/50 {
		return "", ErrBinary
	}
	return s.String(), nil
}

var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

func decode16(b []byte, order binary.ByteOrder) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

// lines calls f with the lines of a text, counted from 1.
func lines(s string, f func(n int, line string) error) error {
	for n := 1; s != ""; n++ {
		line := s
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			line, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		if err := f(n, strings.TrimRight(line, "\r")); err != nil {
			return err
		}
	}
	return nil
}

var (
	item     = regexp.MustCompile(`^\s*(?:[-*+•‣◦–▪]|\(?[0-9]{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S`)
	number   = regexp.MustCompile(`^(?:[0-9]{1,2}\.){1,4}[0-9]{0,2}\s+\p{Lu}`)
	fence    = regexp.MustCompile("^ {0,3}(`{3,}|~{3,})")
	atx      = regexp.MustCompile(`^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$`)
	setext   = regexp.MustCompile(`^ {0,3}(=+|-+|~+|\^+)\s*$`)
	tableGap = regexp.MustCompile(`^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$`)
)

// readText reads plain text. Paragraphs end at an empty line; a line that is underlined is a heading, as is
// one that begins with the number of a section and stands alone.
func readText(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	return readLines(w, r, size, false)
}

// readMarkdown reads Markdown, as far as its lines say what they are (CommonMark and GitHub's tables).
// What is inside a line stays as it was written.
func readMarkdown(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	return readLines(w, r, size, true)
}

func readLines(w *writer, r io.ReaderAt, size int64, markdown bool) error {
	b, err := readAll(r, size)
	if err != nil {
		return err
	}
	s, err := decode(b)
	if err != nil {
		return err
	}
	t := textReader{w: w, markdown: markdown}
	if err := lines(s, t.line); err != nil {
		return err
	}
	return t.end()
}

type textReader struct {
	w        *writer
	markdown bool
	kind     Kind
	text     []byte
	from     int
	count    int // lines of text
	fence    string
	header   []string // of the table
	table    bool
}

func (t *textReader) end() error {
	text, kind, n := string(t.text), t.kind, t.count
	t.text, t.kind, t.count, t.table, t.header = t.text[:0], Text, 0, false, nil
	at := Place{Line: t.from}
	if kind == Text && n == 1 && !t.markdown && number.MatchString(text) && len(text) < 80 && !strings.HasSuffix(text, ".") {
		return t.w.add(Heading, strings.Count(strings.Fields(text)[0], ".")+1, text, at)
	}
	return t.w.add(kind, 0, text, at)
}

func (t *textReader) line(n int, line string) error {
	if t.fence != "" {
		if s := strings.TrimSpace(line); strings.HasPrefix(s, t.fence) && strings.Trim(s, t.fence[:1]) == "" {
			t.fence = ""
			return t.end()
		}
		return t.more(n, line, Code)
	}
	blank := strings.TrimSpace(line) == ""
	if t.markdown {
		if m := fence.FindStringSubmatch(line); m != nil {
			if err := t.end(); err != nil {
				return err
			}
			t.fence, t.from, t.kind = m[1], n, Code
			return nil
		}
		if m := atx.FindStringSubmatch(line); m != nil {
			if err := t.end(); err != nil {
				return err
			}
			return t.w.add(Heading, len(m[1]), m[2], Place{Line: n})
		}
		if t.table || t.count == 1 && t.kind == Text && strings.Contains(string(t.text), "|") && strings.Contains(line, "-") && tableGap.MatchString(line) {
			if !t.table {
				t.header = cells(string(t.text))
				t.text, t.count, t.table = t.text[:0], 0, true
				return nil
			}
			if strings.Contains(line, "|") {
				return t.w.add(Row, 0, row(t.header, cells(line)), Place{Line: n})
			}
			t.table, t.header = false, nil
		}
	}
	if t.count == 1 && t.kind == Text && len(line) >= 3 {
		if m := setext.FindStringSubmatch(line); m != nil && len(t.text) < 200 {
			level := 2
			if m[1][0] == '=' {
				level = 1
			}
			text := string(t.text)
			t.text, t.count = t.text[:0], 0
			return t.w.add(Heading, level, text, Place{Line: t.from})
		}
	}
	switch {
	case blank:
		return t.end()
	case item.MatchString(line):
		if err := t.end(); err != nil {
			return err
		}
		return t.more(n, line, Item)
	case t.kind == Item || t.kind == Text && t.count > 0 && !indented(line):
		return t.more(n, line, t.kind)
	case indented(line) && (t.kind == Code || t.count == 0) && !t.prose(line):
		return t.more(n, line, Code)
	case t.kind == Code:
		if err := t.end(); err != nil {
			return err
		}
	}
	return t.more(n, line, Text)
}

// indented tells whether lines like it stay as they are.
func indented(line string) bool {
	return strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
}

// prose tells an indented paragraph of plain text from lines of code or a figure.
func (t *textReader) prose(line string) bool {
	s := strings.TrimSpace(line)
	return !t.markdown && !strings.Contains(s, "  ") && len(s) > 40
}

func (t *textReader) more(n int, line string, kind Kind) error {
	if t.count == 0 {
		t.from, t.kind = n, kind
		if t.fence != "" && n > 1 {
			t.from = n
		}
	} else if kind == Code {
		t.text = append(t.text, '\n')
	} else {
		t.text = append(t.text, ' ')
	}
	t.text = append(t.text, line...)
	t.count++
	if len(t.text) > 64<<10 { // lines without end are cut where they are
		return t.end()
	}
	return nil
}

// cells returns what stands between the bars of a line of a table.
func cells(line string) []string {
	line = strings.TrimSpace(line)
	line = strings.TrimPrefix(line, "|")
	line = strings.TrimSuffix(line, "|")
	list := strings.Split(line, "|")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}
