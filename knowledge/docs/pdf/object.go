package pdf

import (
	"bytes"
	"strconv"
)

// The objects of a PDF file (ISO 32000-1, section 7.3). A number is a float64 whether it has a
// fraction or not, a string is a string, null is nil.
type (
	name  string
	dict  map[name]any
	ref   struct{ num, gen int }
	op    string // a word that is no object: an operator, obj, endobj, R
	eof   struct{}
	stray byte // a delimiter that closes what was not open
)

// A stream is a dictionary and bytes, which are read when they are wanted.
type stream struct {
	dict dict
	at   int64 // where the bytes begin in the file
	id   ref   // of the object, which the key of encrypted ones depends on
}

const maxDepth = 64 // arrays and dictionaries in each other

// A lexer takes objects from bytes. Whatever the bytes are, it comes to their end.
type lexer struct {
	b     []byte
	i     int
	short bool // the bytes ended inside an object
}

const (
	white = "\x00\t\n\f\r "
	delim = "()<>[]{}/%"
)

var class [256]byte // 1: white space, 2: delimiter

func init() {
	for _, c := range []byte(white) {
		class[c] = 1
	}
	for _, c := range []byte(delim) {
		class[c] = 2
	}
}

func (l *lexer) skip() {
	for l.i < len(l.b) {
		switch c := l.b[l.i]; {
		case class[c] == 1:
			l.i++
		case c == '%':
			if n := bytes.IndexAny(l.b[l.i:], "\r\n"); n >= 0 {
				l.i += n
			} else {
				l.i = len(l.b)
			}
		default:
			return
		}
	}
}

// next returns an object, an operator, a stray delimiter or eof.
func (l *lexer) next() any { return l.object(0) }

func (l *lexer) object(depth int) any {
	l.skip()
	if l.i >= len(l.b) {
		return eof{}
	}
	c := l.b[l.i]
	switch c {
	case '/':
		l.i++
		return l.name()
	case '(':
		l.i++
		return l.literal()
	case '[':
		l.i++
		return l.array(depth)
	case '<':
		l.i++
		if l.i < len(l.b) && l.b[l.i] == '<' {
			l.i++
			return l.dict(depth)
		}
		return l.hex()
	case '>':
		l.i++
		if l.i < len(l.b) && l.b[l.i] == '>' {
			l.i++
		}
		return stray('>')
	case ']', ')', '{', '}':
		l.i++
		return stray(c)
	}
	from := l.i
	for l.i < len(l.b) && class[l.b[l.i]] == 0 {
		l.i++
	}
	if l.i == len(l.b) {
		l.short = true
	}
	word := l.b[from:l.i]
	if c <= '9' {
		if n, ok := number(word); ok {
			return n
		}
	}
	switch string(word) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	return op(word)
}

// number reads what is written as PDF allows: no exponents. Most are short integers.
func number(b []byte) (float64, bool) {
	i, sign := 0, 1.0
	for i < len(b) && (b[i] == '-' || b[i] == '+') {
		if b[i] == '-' {
			sign = -1
		}
		i++
	}
	v, scale, digits, dot := 0.0, 1.0, 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9':
			if v = v*10 + float64(c-'0'); dot {
				scale *= 10
			}
			digits++
		case c == '.' && !dot:
			dot = true
		case c == '-' && digits > 0: // some writers put one inside; what follows is ignored
			return sign * v / scale, true
		default:
			return 0, false
		}
	}
	return sign * v / scale, digits > 0 && digits < 300 || dot && digits == 0
}

func (l *lexer) name() name {
	from, escaped := l.i, false
	for l.i < len(l.b) && class[l.b[l.i]] == 0 {
		escaped = escaped || l.b[l.i] == '#'
		l.i++
	}
	if l.i == len(l.b) {
		l.short = true
	}
	if !escaped {
		return name(l.b[from:l.i])
	}
	var out []byte
	for s := l.b[from:l.i]; len(s) > 0; s = s[1:] {
		if s[0] == '#' && len(s) >= 3 {
			if v, err := strconv.ParseUint(string(s[1:3]), 16, 8); err == nil {
				out, s = append(out, byte(v)), s[2:]
				continue
			}
		}
		out = append(out, s[0])
	}
	return name(out)
}

func (l *lexer) literal() string {
	var out []byte
	for depth := 1; l.i < len(l.b); {
		c := l.b[l.i]
		l.i++
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return string(out)
			}
		case '\\':
			if l.i >= len(l.b) {
				continue
			}
			c = l.b[l.i]
			l.i++
			switch c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case '\r':
				if l.i < len(l.b) && l.b[l.i] == '\n' {
					l.i++
				}
				continue
			case '\n':
				continue
			case '0', '1', '2', '3', '4', '5', '6', '7':
				v := int(c - '0')
				for n := 0; n < 2 && l.i < len(l.b) && l.b[l.i] >= '0' && l.b[l.i] <= '7'; n++ {
					v = v*8 + int(l.b[l.i]-'0')
					l.i++
				}
				c = byte(v)
			}
		}
		out = append(out, c)
	}
	l.short = true
	return string(out)
}

func (l *lexer) hex() string {
	var out []byte
	high, half := byte(0), false
	for l.i < len(l.b) {
		c := l.b[l.i]
		l.i++
		v, ok := unhex(c)
		switch {
		case c == '>':
			if half {
				out = append(out, high<<4)
			}
			return string(out)
		case !ok:
		case half:
			out, half = append(out, high<<4|v), false
		default:
			high, half = v, true
		}
	}
	l.short = true
	return string(out)
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// array returns what stands up to the closing bracket. A reference is three words in it.
func (l *lexer) array(depth int) any {
	out := []any{}
	if depth >= maxDepth {
		return out
	}
	for {
		o := l.object(depth + 1)
		switch o := o.(type) {
		case eof:
			l.short = true
			return out
		case stray:
			if o == ']' {
				return out
			}
			continue
		case op:
			out = referred(out, o)
			continue
		}
		out = append(out, o)
	}
}

// referred replaces two numbers at the end of list by the reference that R makes of them.
func referred(list []any, o op) []any {
	if n := len(list); o == "R" && n >= 2 {
		num, ok := list[n-2].(float64)
		gen, ok2 := list[n-1].(float64)
		if ok && ok2 && num >= 0 && num < 1<<31 && gen >= 0 && gen < 1<<17 {
			return append(list[:n-2], ref{int(num), int(gen)})
		}
	}
	return list
}

func (l *lexer) dict(depth int) any {
	out := dict{}
	if depth >= maxDepth {
		return out
	}
	var list []any
	for done := false; !done; {
		o := l.object(depth + 1)
		switch o := o.(type) {
		case eof:
			l.short, done = true, true
		case stray:
			done = o == '>'
		case op:
			if o == "endobj" || o == "stream" { // not closed
				l.i -= len(o)
				done = true
			}
			list = referred(list, o)
		default:
			list = append(list, o)
		}
	}
	for i := 0; i+1 < len(list); {
		if key, ok := list[i].(name); ok {
			out[key] = list[i+1]
			i += 2
		} else {
			i++
		}
	}
	return out
}
