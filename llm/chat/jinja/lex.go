package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The lexer cuts a template into text and the tokens inside of {{ }} and {% %}.
// White space around tags goes as transformers has it: trim_blocks (the line
// break after a block's tag is dropped) and lstrip_blocks (so is the white space
// before it, if it begins the line), besides the marks - and + in the tags.

type kind uint8

const (
	tokText  kind = iota // outside of tags
	tokPrint             // {{
	tokBlock             // {%
	tokEnd               // }} or %}
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
	tokEOF
)

type token struct {
	kind kind
	text string
	line int
}

type lexer struct {
	src    string
	pos    int
	line   int
	tokens []token
}

func (l *lexer) add(k kind, text string) { l.tokens = append(l.tokens, token{k, text, l.line}) }

// advance moves to pos, counting lines.
func (l *lexer) advance(pos int) {
	l.line += strings.Count(l.src[l.pos:pos], "\n")
	l.pos = pos
}

// lex returns the tokens of a template, the last of which is tokEOF.
func lex(src string) []token {
	src = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(src)
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: 1}
	lineStart := true // the text begins a line
	for {
		open := l.nextTag()
		text := l.src[l.pos:open]
		if open == len(l.src) {
			l.add(tokText, text)
			l.advance(open)
			l.add(tokEOF, "")
			return l.tokens
		}
		mark := byte(0)
		if open+2 < len(l.src) {
			mark = l.src[open+2]
		}
		tag := l.src[open+1]
		switch {
		case mark == '-':
			text = strings.TrimRightFunc(text, isSpace)
		case mark == '+', tag == '{':
		default:
			cut := strings.LastIndexByte(text, '\n') + 1
			if (cut > 0 || lineStart) && strings.TrimFunc(text[cut:], isSpace) == "" {
				text = text[:cut]
			}
		}
		l.add(tokText, text)
		l.advance(open + 2)
		if mark == '-' || mark == '+' {
			l.advance(l.pos + 1)
		}
		var close string
		switch tag {
		case '#':
			end := strings.Index(l.src[l.pos:], "#}")
			if end < 0 && l.pos < len(l.src) {
				fail(l.line, "a comment is not closed")
			}
			if end < 0 { // nothing follows, which Jinja2 lets pass
				l.add(tokEOF, "")
				return l.tokens
			}
			mark = 0
			if end > 0 {
				mark = l.src[l.pos+end-1]
			}
			l.advance(l.pos + end + 2)
		case '{':
			l.add(tokPrint, "{{")
			close = "}}"
		case '%':
			if body, after, ok := l.raw(); ok {
				l.add(tokText, body)
				mark = l.src[after-3]
				l.advance(after)
				break
			}
			l.add(tokBlock, "{%")
			close = "%}"
		}
		if close != "" {
			mark = l.inside(close)
		}
		before := l.pos
		switch {
		case mark == '-':
			l.advance(len(l.src) - len(strings.TrimLeftFunc(l.src[l.pos:], isSpace)))
		case mark != '+' && tag != '{' && strings.HasPrefix(l.src[l.pos:], "\n"):
			l.advance(l.pos + 1)
		}
		lineStart = l.pos > before && l.src[l.pos-1] == '\n'
	}
}

// nextTag is where the next tag opens.
func (l *lexer) nextTag() int {
	for i := l.pos; i+1 < len(l.src); i++ {
		if l.src[i] == '{' && (l.src[i+1] == '{' || l.src[i+1] == '%' || l.src[i+1] == '#') {
			return i
		}
	}
	return len(l.src)
}

// raw reads {% raw %}...{% endraw %} behind its {%.
func (l *lexer) raw() (body string, after int, ok bool) {
	rest := strings.TrimLeftFunc(l.src[l.pos:], isSpace)
	rest, ok = strings.CutPrefix(rest, "raw")
	if !ok {
		return "", 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	rest, left := strings.CutPrefix(rest, "-")
	if rest, ok = strings.CutPrefix(rest, "%}"); !ok {
		return "", 0, false
	}
	if left {
		rest = strings.TrimLeftFunc(rest, isSpace)
	}
	if rest == "" { // nothing follows, which Jinja2 lets pass
		return "", len(l.src), true
	}
	start := len(l.src) - len(rest)
	for i := start; i < len(l.src); i++ {
		inner, tag := strings.CutPrefix(l.src[i:], "{%")
		if !tag {
			continue
		}
		inner, right := strings.CutPrefix(inner, "-")
		inner, end := strings.CutPrefix(strings.TrimLeftFunc(inner, isSpace), "endraw")
		if !end {
			continue
		}
		inner = strings.TrimLeftFunc(inner, isSpace)
		if inner != "" && (inner[0] == '-' || inner[0] == '+') {
			inner = inner[1:]
		}
		if inner, end = strings.CutPrefix(inner, "%}"); !end {
			continue
		}
		body = l.src[start:i]
		if right {
			body = strings.TrimRightFunc(body, isSpace)
		} else if cut := strings.LastIndexByte(body, '\n') + 1; cut > 0 && strings.TrimFunc(body[cut:], isSpace) == "" {
			body = body[:cut]
		}
		return body, len(l.src) - len(inner), true
	}
	fail(l.line, "a raw block is not closed")
	return
}

var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// inside reads tokens up to close and returns the mark - or + before it, or 0.
func (l *lexer) inside(close string) byte {
	depth := 0 // open brackets: {{ {'a': {}} }}
	for {
		rest := strings.TrimLeftFunc(l.src[l.pos:], isSpace)
		l.advance(len(l.src) - len(rest))
		if rest == "" {
			fail(l.line, "a tag is not closed with %s", close)
		}
		if depth == 0 {
			mark := rest[0]
			if mark != '-' && mark != '+' {
				mark = 0
			}
			if inner := rest[min(1, int(mark)):]; strings.HasPrefix(inner, close) && (mark != '+' || close == "%}") {
				l.advance(len(l.src) - len(inner) + 2)
				l.add(tokEnd, close)
				return mark
			}
		}
		c, size := utf8.DecodeRuneInString(rest)
		switch {
		case c == '\'' || c == '"':
			end := 1
			for end < len(rest) && rest[end] != byte(c) {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				fail(l.line, "a string is not closed")
			}
			l.add(tokString, l.unescape(rest[1:end]))
			l.advance(l.pos + end + 1)
		case '0' <= c && c <= '9':
			k, end := l.number(rest)
			l.add(k, strings.ReplaceAll(rest[:end], "_", ""))
			l.advance(l.pos + end)
		case nameStart(c):
			end := nameEnd(rest)
			l.add(tokName, rest[:end])
			l.advance(l.pos + end)
		default:
			op := ""
			for _, o := range operators {
				if strings.HasPrefix(rest, o) {
					op = o
					break
				}
			}
			switch op {
			case "":
				fail(l.line, "%q has no meaning here", rest[:size])
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
			l.add(tokOp, op)
			l.advance(l.pos + len(op))
		}
	}
}

// number says whether s begins with an integer or a float, and where it ends.
func (l *lexer) number(s string) (kind, int) {
	if len(s) > 1 && s[0] == '0' {
		if set, ok := map[byte]string{'x': "0123456789abcdefABCDEF", 'o': "01234567", 'b': "01"}[s[1]|0x20]; ok {
			end := 2
			for end < len(s) && (strings.IndexByte(set, s[end]) >= 0 || s[end] == '_') {
				end++
			}
			if end > 2 {
				return tokInt, end
			}
		}
	}
	k, end := tokInt, digits(s, 0)
	if end+1 < len(s) && s[end] == '.' && isDigit(s[end+1]) {
		k, end = tokFloat, digits(s, end+1)
	}
	if end < len(s) && s[end]|0x20 == 'e' {
		exp := end + 1
		if exp < len(s) && (s[exp] == '+' || s[exp] == '-') {
			exp++
		}
		if exp < len(s) && isDigit(s[exp]) {
			k, end = tokFloat, digits(s, exp)
		}
	}
	if k == tokInt && s[0] == '0' && strings.Trim(s[:end], "0_") != "" {
		fail(l.line, "the number %q begins with a zero", s[:end])
	}
	return k, end
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string, i int) int {
	for i < len(s) && (isDigit(s[i]) || s[i] == '_' && i+1 < len(s) && isDigit(s[i+1])) {
		i++
	}
	return i
}

func nameStart(r rune) bool {
	return r == '_' || unicode.In(r, unicode.L, unicode.Nl, unicode.Other_ID_Start) && !unicode.Is(unicode.Pattern_Syntax, r)
}

// nameEnd is where the name that s begins with ends.
func nameEnd(s string) int {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !nameStart(r) && !unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc, unicode.Other_ID_Continue)
	})
	if end < 0 {
		return len(s)
	}
	return end
}

// unescape reads the escapes of a string as Python does. Those it does not know
// stay as they are.
func (l *lexer) unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c == '\n':
		case c == '\\', c == '\'', c == '"':
			b.WriteByte(c)
		case strings.IndexByte("abfnrtv", c) >= 0:
			b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
		case '0' <= c && c <= '7':
			end := i + 1
			for end < len(s) && end < i+3 && '0' <= s[end] && s[end] <= '7' {
				end++
			}
			v, _ := strconv.ParseUint(s[i:end], 8, 32)
			b.WriteRune(rune(v))
			i = end - 1
		case c == 'x', c == 'u', c == 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			v, err := strconv.ParseUint(s[i+1:min(i+1+n, len(s))], 16, 32)
			if err != nil || i+n >= len(s) || v > unicode.MaxRune {
				fail(l.line, "\\%c in a string is not followed by a character's number", c)
			}
			b.WriteRune(rune(v))
			i += n
		case c == 'N':
			fail(l.line, "characters by name (\\N) are not supported")
		case c >= utf8.RuneSelf: // as Jinja2 does it
			r, size := utf8.DecodeRuneInString(s[i:])
			b.WriteString(escapeRune(r))
			i += size - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}
