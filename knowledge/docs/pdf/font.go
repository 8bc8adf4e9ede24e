package pdf

import (
	"bytes"
	"strings"
	"unicode/utf16"
)

// A font says which characters the codes of a string are, and how wide.
type font struct {
	wide    bool            // codes have more than one byte: a composite font
	unicode *cmap           // what the file itself says of the codes
	table   *[256]string    // of a simple font
	utf16   bool            // the codes are UTF-16
	widths  map[int]float64 // in thousandths of the size
	missing float64         // the width of others
	matrix  float64         // of a Type 3 font: what a unit of widths is
}

// A cmap takes codes to characters (ISO 32000-1, section 9.10.3, and Adobe's Technical Note 5014).
type cmap struct {
	lengths [5]bool // of codes, in bytes
	chars   map[uint32]string
	ranges  []cmapRange
}

type cmapRange struct {
	from, to uint32
	text     string // of the first; the last character grows with the code
}

const maxChars = 1 << 18

func (f *file) font(o any) *font {
	d := f.dict(o)
	t := &font{widths: map[int]float64{}, matrix: .001, missing: 500}
	if s, ok := f.get(d["ToUnicode"]).(*stream); ok {
		if b, err := f.decode(s); err == nil {
			t.unicode = readCMap(b)
		}
	}
	kind, _ := f.get(d["Subtype"]).(name)
	if kind == "Type0" {
		f.composite(t, d)
		return t
	}
	desc := f.dict(d["FontDescriptor"])
	base, _ := f.get(d["BaseFont"]).(name)
	t.missing = f.num(desc["MissingWidth"], 0)
	first := int(f.num(d["FirstChar"], 0))
	widths := f.array(d["Widths"])
	for i, w := range widths {
		if i < 256 {
			t.widths[first+i] = f.num(w, 0)
		}
	}
	if kind == "Type3" {
		if m := f.array(d["FontMatrix"]); len(m) == 6 {
			t.matrix = f.num(m[0], .001)
		}
	}
	t.table = f.encoding(d, desc, base)
	if len(widths) == 0 {
		t.missing = 550
		for code, text := range t.table {
			if text != "" {
				t.widths[code] = standardWidth(string(base), rune(text[0]))
			}
		}
	}
	return t
}

// standardWidth is roughly how wide characters are in the fonts that every reader has.
func standardWidth(base string, r rune) float64 {
	switch {
	case strings.Contains(base, "Courier") || strings.Contains(base, "Mono"):
		return 600
	case strings.ContainsRune("ijl.,:;'|!", r):
		return 250
	case strings.ContainsRune(" ftrI()[]/-", r):
		return 300
	case strings.ContainsRune("mwMW%@", r):
		return 830
	case r >= 'A' && r <= 'Z':
		return 680
	}
	return 520
}

func (f *file) composite(t *font, d dict) {
	t.wide, t.missing = true, 1000
	if enc, ok := f.get(d["Encoding"]).(name); ok && strings.HasPrefix(string(enc), "Uni") {
		t.utf16 = strings.Contains(string(enc), "UCS2") || strings.Contains(string(enc), "UTF16")
	}
	list := f.array(d["DescendantFonts"])
	if len(list) == 0 {
		return
	}
	below := f.dict(list[0])
	t.missing = f.num(below["DW"], 1000)
	w := f.array(below["W"])
	for i := 0; i+1 < len(w) && len(t.widths) < maxChars; {
		from := int(f.num(w[i], 0))
		if list, ok := f.get(w[i+1]).([]any); ok {
			for k, v := range list {
				t.widths[from+k] = f.num(v, t.missing)
			}
			i += 2
			continue
		}
		if i+2 >= len(w) {
			break
		}
		to := int(f.num(w[i+1], 0))
		v := f.num(w[i+2], t.missing)
		for c := from; c <= to && len(t.widths) < maxChars; c++ {
			t.widths[c] = v
		}
		i += 3
	}
}

// encoding is what the codes of a simple font mean: a base, that the font or the file names, and the differences from it.
func (f *file) encoding(d, desc dict, base name) *[256]string {
	var enc dict
	kind := name("")
	switch e := f.get(d["Encoding"]).(type) {
	case name:
		kind = e
	case dict:
		enc = e
		kind, _ = f.get(e["BaseEncoding"]).(name)
	}
	table := new([256]string)
	switch kind {
	case "WinAnsiEncoding":
		*table = winAnsi
	case "MacRomanEncoding":
		*table = macRoman
	case "MacExpertEncoding":
	default:
		*table = standard
		f.builtIn(table, desc)
		switch {
		case strings.Contains(string(base), "Symbol"):
			symbols(table)
		case strings.Contains(string(base), "Dingbats"):
			*table = [256]string{}
		}
	}
	code := 0
	for _, o := range f.array(enc["Differences"]) {
		switch o := f.get(o).(type) {
		case float64:
			code = int(o)
		case name:
			if code >= 0 && code < 256 {
				table[code] = glyph(string(o))
			}
			code++
		}
	}
	return table
}

// builtIn reads the encoding in an embedded Type 1 font: lines such as "dup 65 /A put".
func (f *file) builtIn(table *[256]string, desc dict) {
	s, ok := f.get(desc["FontFile"]).(*stream)
	if !ok {
		if s, ok := f.get(desc["FontFile3"]).(*stream); ok && f.dict(s)["Subtype"] == name("Type1C") {
			if b, err := f.decode(s); err == nil {
				readCFF(b, table)
			}
		}
		return
	}
	b, err := f.decode(s)
	if err != nil {
		return
	}
	i := bytes.Index(b, []byte("/Encoding"))
	if i < 0 {
		return
	}
	l := &lexer{b: b[:min(len(b), i+16<<10)], i: i + len("/Encoding")}
	if l.next() == op("StandardEncoding") {
		return
	}
	*table = [256]string{}
	for {
		switch o := l.next(); o {
		case op("dup"):
			code, ok := l.next().(float64)
			glyphName, ok2 := l.next().(name)
			if ok && ok2 && code >= 0 && code < 256 {
				table[int(code)] = glyph(string(glyphName))
			}
		case op("def"), op("readonly"), eof{}:
			return
		}
	}
}

func readCMap(b []byte) *cmap {
	m := &cmap{chars: map[uint32]string{}}
	l := &lexer{b: b}
	var stack []any
	code := func(o any) (uint32, int) {
		s, ok := o.(string)
		if !ok || len(s) == 0 || len(s) > 4 {
			return 0, 0
		}
		v := uint32(0)
		for i := range len(s) {
			v = v<<8 | uint32(s[i])
		}
		return v, len(s)
	}
	for {
		o := l.next()
		switch o {
		case eof{}:
			return m
		case op("begincodespacerange"), op("beginbfchar"), op("beginbfrange"):
			stack = stack[:0]
		case op("endcodespacerange"):
			for i := 0; i+1 < len(stack); i += 2 {
				if _, n := code(stack[i]); n > 0 {
					m.lengths[n] = true
				}
			}
		case op("endbfchar"):
			for i := 0; i+1 < len(stack) && len(m.chars) < maxChars; i += 2 {
				c, n := code(stack[i])
				switch to := stack[i+1].(type) {
				case string:
					if n > 0 {
						m.chars[c] = decode16(to)
					}
				case name:
					m.chars[c] = glyph(string(to))
				}
			}
		case op("endbfrange"):
			for i := 0; i+2 < len(stack) && len(m.ranges) < maxChars; i += 3 {
				from, n := code(stack[i])
				to, n2 := code(stack[i+1])
				if n == 0 || n2 == 0 || to < from {
					continue
				}
				switch text := stack[i+2].(type) {
				case string:
					m.ranges = append(m.ranges, cmapRange{from, to, decode16(text)})
				case []any:
					for k, o := range text {
						if s, ok := o.(string); ok && len(m.chars) < maxChars {
							m.chars[from+uint32(k)] = decode16(s)
						}
					}
				}
			}
		default:
			if len(stack) < 1<<16 {
				stack = append(stack, o)
			}
		}
	}
}

func decode16(s string) string {
	if len(s) == 1 { // against the rules, and seen
		return string(rune(s[0]))
	}
	var u []uint16
	for i := 0; i+1 < len(s); i += 2 {
		u = append(u, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return string(utf16.Decode(u))
}

func (m *cmap) text(code uint32) (string, bool) {
	if s, ok := m.chars[code]; ok {
		return s, true
	}
	for i := range m.ranges {
		r := &m.ranges[i]
		if code >= r.from && code <= r.to {
			s := []rune(r.text)
			if len(s) == 0 {
				return "", true
			}
			s[len(s)-1] += rune(code - r.from)
			text := string(s)
			if len(m.chars) < maxChars {
				m.chars[code] = text
			}
			return text, true
		}
	}
	return "", false
}

// A shown is a code of a string.
type shown struct {
	text  string
	width float64 // for size 1
	space bool    // the code that word spacing widens
}

// decode takes the first code off s.
func (t *font) decode(s string) (shown, string) {
	n := 1
	if t.wide {
		n = 2
		if t.unicode != nil && t.unicode.lengths[1] && !t.unicode.lengths[2] {
			n = 1
		}
	}
	n = min(n, len(s))
	code := uint32(0)
	for i := range n {
		code = code<<8 | uint32(s[i])
	}
	c := shown{space: n == 1 && code == ' '}
	w, ok := t.widths[int(code)]
	if !ok {
		w = t.missing
	}
	c.width = w * t.matrix
	if t.unicode != nil {
		c.text, ok = t.unicode.text(code)
	} else {
		ok = false
	}
	if !ok || c.text == "\x00" {
		switch {
		case t.utf16:
			c.text = string(rune(code))
		case t.table != nil && code < 256:
			c.text = t.table[code]
		}
	}
	return c, s[n:]
}
