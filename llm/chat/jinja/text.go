package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is a string that knows where each of its bytes comes from: origin 0 is
// the template itself, any other number is what Data was told. Every operation
// of the language keeps that knowledge, which is what makes it safe to find
// control tokens in the template's own text: whatever is cut, trimmed, joined
// or replaced, data stays data.
//
// Invariant: runs ends are ascending, no two neighbours have one origin, the
// last ends at len(s); no runs stand for a text of the template's own.
type Text struct {
	s    string
	runs []run
	html bool // "safe": what is added to it is escaped
}

type run struct{ end, origin int }

// Run is a stretch of a Text of one origin.
type Run struct {
	Text   string
	Origin int
}

// Own is text as if the template had written it.
func Own(s string) Text { return Text{s: s} }

// Data is text of the given origin, which is not 0.
func Data(s string, origin int) Text {
	if s == "" || origin == 0 {
		return Text{s: s}
	}
	return Text{s: s, runs: []run{{len(s), origin}}}
}

// Join is the texts one after the other.
func Join(texts ...Text) Text {
	var b builder
	for _, t := range texts {
		b.add(t)
	}
	return b.text()
}

// String is the text without its origins.
func (t Text) String() string { return t.s }

// Runs are the stretches of the text, none of them empty.
func (t Text) Runs() []Run {
	if t.s == "" {
		return nil
	}
	if t.runs == nil {
		return []Run{{t.s, 0}}
	}
	runs, start := make([]Run, len(t.runs)), 0
	for i, r := range t.runs {
		runs[i] = Run{t.s[start:r.end], r.origin}
		start = r.end
	}
	return runs
}

// slice is t's bytes from i to j.
func (t Text) slice(i, j int) Text {
	out := Text{s: t.s[i:j], html: t.html}
	if t.runs == nil || i == j {
		return out
	}
	first, _ := slices.BinarySearchFunc(t.runs, i+1, func(r run, at int) int { return r.end - at })
	last, _ := slices.BinarySearchFunc(t.runs, j, func(r run, at int) int { return r.end - at })
	if first == last && t.runs[first].origin == 0 {
		return out
	}
	out.runs = make([]run, 0, last-first+1)
	for _, r := range t.runs[first : last+1] {
		out.runs = append(out.runs, run{min(r.end, j) - i, r.origin})
	}
	return out
}

// origin is that of t's first data, 0 if all is the template's own.
func (t Text) origin() int {
	for _, r := range t.runs {
		if r.origin != 0 {
			return r.origin
		}
	}
	return 0
}

// like is s as text that comes from where t does: what was made of t as a whole,
// so that nobody knows any more which byte comes from where.
func (t Text) like(s string) Text { return Data(s, t.origin()) }

// mapRunes puts what f appends for each character, which begins at byte i of t,
// in its place. Bytes that are no characters stay as they are.
func (t Text) mapRunes(f func(to []byte, i int, r rune) []byte) Text {
	var b builder
	var buf []byte
	start := 0
	for _, run := range t.Runs() {
		buf = buf[:0]
		for i := 0; i < len(run.Text); {
			r, size := utf8.DecodeRuneInString(run.Text[i:])
			if r == utf8.RuneError && size == 1 {
				buf = append(buf, run.Text[i])
			} else {
				buf = f(buf, start+i, r)
			}
			i += size
		}
		b.write(string(buf), run.Origin)
		start += len(run.Text)
	}
	return b.textLike(t)
}

// isSpace is what Python's str.strip takes away.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// trim takes the characters in set, white space if it is empty, off the ends.
func (t Text) trim(set string, left, right bool) Text {
	in := isSpace
	if set != "" {
		in = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	i, j := 0, len(t.s)
	if left {
		i = j - len(strings.TrimLeftFunc(t.s, in))
	}
	if right {
		j = i + len(strings.TrimRightFunc(t.s[i:], in))
	}
	return t.slice(i, j)
}

// split cuts t at most limit times at sep, at white space if sep is empty;
// limit -1: everywhere. From the right if last.
func (t Text) split(sep string, limit int, last bool) []value {
	out := []value{}
	i, j := 0, len(t.s) // what is left to cut
	blank := sep == ""
	if blank {
		if last {
			j = len(strings.TrimRightFunc(t.s, isSpace))
		} else {
			i = j - len(strings.TrimLeftFunc(t.s, isSpace))
		}
	}
	for ; limit != 0 && !(blank && i >= j); limit-- {
		rest := t.s[i:j]
		var cut, size int
		switch {
		case blank && last:
			cut = strings.LastIndexFunc(rest, isSpace)
			_, size = utf8.DecodeRuneInString(rest[max(cut, 0):])
		case blank:
			cut = strings.IndexFunc(rest, isSpace)
		case last:
			cut, size = strings.LastIndex(rest, sep), len(sep)
		default:
			cut, size = strings.Index(rest, sep), len(sep)
		}
		if cut < 0 {
			break
		}
		switch {
		case last:
			out = append(out, t.slice(i+cut+size, j))
			j = i + cut
			if blank {
				j = i + len(strings.TrimRightFunc(t.s[i:j], isSpace))
			}
		default:
			out = append(out, t.slice(i, i+cut))
			i += cut + size
			if blank {
				i = j - len(strings.TrimLeftFunc(t.s[i:j], isSpace))
			}
		}
	}
	if !blank || i < j {
		out = append(out, t.slice(i, j))
	}
	if last {
		slices.Reverse(out)
	}
	return out
}

// splitLines cuts t at line breaks, which are as many as Python knows, and keeps
// them if asked to.
func (t Text) splitLines(keep bool) []value {
	out := []value{}
	for start := 0; start < len(t.s); {
		i := strings.IndexFunc(t.s[start:], func(r rune) bool {
			return '\n' <= r && r <= '\r' || 0x1c <= r && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
		})
		if i < 0 {
			return append(out, t.slice(start, len(t.s)))
		}
		end := start + i
		_, size := utf8.DecodeRuneInString(t.s[end:])
		if strings.HasPrefix(t.s[end:], "\r\n") {
			size = 2
		}
		if keep {
			out = append(out, t.slice(start, end+size))
		} else {
			out = append(out, t.slice(start, end))
		}
		start = end + size
	}
	return out
}

// replace puts new in the place of old, at most limit times; -1: everywhere. An
// empty old is found before each character and at the end.
func (t Text) replace(old string, new Text, limit int) Text {
	var b builder
	at := 0 // up to where t is done
	for from := 0; limit != 0; limit-- {
		i := strings.Index(t.s[from:], old)
		if i < 0 {
			break
		}
		b.add(t.slice(at, from+i))
		b.add(new)
		at = from + i + len(old)
		from = at
		if old == "" {
			if at == len(t.s) {
				break
			}
			_, size := utf8.DecodeRuneInString(t.s[at:])
			from += size
		}
	}
	b.add(t.slice(at, len(t.s)))
	return b.textLike(t)
}

// A builder makes a Text of pieces.
type builder struct {
	m    *machine // what is written takes its fuel; nil: whoever writes sees to it
	b    strings.Builder
	runs []run
	data bool // some run is not the template's own
}

func (b *builder) write(s string, origin int) {
	if s == "" {
		return
	}
	if b.m != nil {
		b.m.burn(len(s))
	}
	b.b.WriteString(s)
	end := b.b.Len()
	if n := len(b.runs); n > 0 && b.runs[n-1].origin == origin {
		b.runs[n-1].end = end
		return
	}
	if b.m != nil {
		b.m.burn(anElement)
	}
	b.runs = append(b.runs, run{end, origin})
	b.data = b.data || origin != 0
}

func (b *builder) add(t Text) {
	if t.runs == nil {
		b.write(t.s, 0)
		return
	}
	start := 0
	for _, r := range t.runs {
		b.write(t.s[start:r.end], r.origin)
		start = r.end
	}
}

func (b *builder) text() Text {
	if !b.data {
		return Text{s: b.b.String()}
	}
	return Text{s: b.b.String(), runs: b.runs}
}

// textLike is the text, safe if t is.
func (b *builder) textLike(t Text) Text {
	out := b.text()
	out.html = t.html
	return out
}
