package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Python's two ways to format: "%s" % x, and "{}".format(x). What the format
// says keeps its origin, what is put in keeps its own; numbers and padding count
// as the format's.

// spec is how a value is to be written.
type spec struct {
	fill      string
	align     byte // < > ^ or = (padding behind the sign); 0: as is usual for the type
	sign      byte // + or space
	alternate bool
	group     byte // , or _ between thousands
	width     int
	precision int // -1: none
	kind      byte
}

// percent is format % v.
func (m *machine) percent(format Text, v value) value {
	m.burn(len(format.s))
	b := builder{m: m}
	arguments, used := []value{v}, 0
	l, isList := v.(*list)
	d, isDict := v.(*dict)
	if isList && l.isTuple() {
		arguments = l.items
	}
	next := func() value {
		if used >= len(arguments) {
			m.fail("there are not enough values for the format")
		}
		used++
		return arguments[used-1]
	}
	s := format.s
	for i := 0; i < len(s); {
		end := strings.IndexByte(s[i:], '%')
		if end < 0 {
			end = len(s) - i
		}
		b.add(format.slice(i, i+end))
		if i += end; i == len(s) {
			break
		}
		start := i
		i++
		f := spec{fill: " ", align: '>', precision: -1}
		var arg value
		keyed := false
		if i < len(s) && s[i] == '(' {
			depth, from := 1, i+1
			for i++; i < len(s) && depth > 0; i++ {
				switch s[i] {
				case '(':
					depth++
				case ')':
					depth--
				}
			}
			if depth > 0 {
				m.fail("a key in a format is not closed")
			}
			if !isDict {
				m.fail("a format with keys needs a dictionary")
			}
			val, ok := m.item(d, format.slice(from, i-1))
			if !ok {
				m.fail("the format's key %q is missing", s[from:i-1])
			}
			arg, keyed = val, true
		}
		zero := false
		for ; i < len(s); i++ {
			if c := s[i]; c == '-' {
				f.align = '<'
			} else if c == '0' {
				zero = true
			} else if c == '#' {
				f.alternate = true
			} else if c == '+' || c == ' ' && f.sign == 0 {
				f.sign = c
			} else if c != ' ' {
				break
			}
		}
		count := func() int {
			if i < len(s) && s[i] == '*' {
				i++
				return m.integer(next())
			}
			n, digits := m.count(s[i:])
			i += digits
			return n
		}
		if f.width = count(); f.width < 0 {
			f.width, f.align = -f.width, '<'
		}
		if i < len(s) && s[i] == '.' {
			i++
			f.precision = max(count(), 0)
		}
		for i < len(s) && strings.IndexByte("hlL", s[i]) >= 0 {
			i++
		}
		if i == len(s) {
			m.fail("a format ends within %q", s[start:])
		}
		f.kind = s[i]
		i++
		if f.kind == '%' && i == start+2 {
			b.add(format.slice(i-1, i))
			continue
		}
		if zero && f.align != '<' && strings.IndexByte("sra", f.kind) < 0 {
			f.fill, f.align = "0", '='
		}
		if !keyed {
			arg = next()
		}
		m.percentValue(&b, format, f, arg)
	}
	if used < len(arguments) && !isDict && !(isList && !l.isTuple()) {
		m.fail("there are more values than the format takes")
	}
	out := b.text()
	out.html = format.html
	return out
}

// percentValue writes one value as %f.kind.
func (m *machine) percentValue(b *builder, format Text, f spec, v value) {
	precision := f.precision
	switch f.kind {
	case 's', 'r', 'a':
		t := m.str(v)
		if f.kind != 's' {
			t = m.reprText(v)
		}
		if f.kind == 'a' {
			t = m.ascii(t)
		}
		if format.html {
			t = escape(t)
		}
		m.pad(b, format, f, m.cut(t, precision))
		return
	case 'c':
		t, ok := v.(Text)
		if !ok {
			t = format.like(m.character(v))
		}
		if utf8.RuneCountInString(t.s) != 1 {
			m.fail("%%c takes one character")
		}
		f.fill = " "
		m.pad(b, format, f, t)
		return
	case 'd', 'i', 'u', 'x', 'X', 'o':
		n := number(v)
		if x, ok := n.(float64); ok && strings.IndexByte("diu", f.kind) >= 0 {
			i, fits := truncated(x)
			if !fits {
				m.fail("a number is too large")
			}
			n = i
		}
		i, ok := n.(int64)
		if !ok {
			m.fail("%%%c takes a whole number, not %s", f.kind, typeName(v))
		}
		if strings.IndexByte("iu", f.kind) >= 0 {
			f.kind = 'd'
		}
		sign, digits := integerDigits(i, f)
		if precision > len(digits) {
			m.burn(precision)
			digits = strings.Repeat("0", precision-len(digits)) + digits
		}
		m.padNumber(b, format, f, sign, digits)
		return
	case 'e', 'E', 'f', 'F', 'g', 'G':
		x, ok := float(v)
		if !ok {
			m.fail("%%%c takes a number, not %s", f.kind, typeName(v))
		}
		if precision < 0 {
			f.precision = 6
		}
		sign, digits := m.floatDigits(x, f)
		m.padNumber(b, format, f, sign, digits)
		return
	}
	m.fail("the format %%%c is not known", f.kind)
}

// character is the character of number v.
func (m *machine) character(v value) string {
	n, ok := number(v).(int64)
	if !ok || n < 0 || n > utf8.MaxRune {
		m.fail("there is no such character")
	}
	return string(rune(n))
}

// count reads a number at the beginning of s and says how long it is.
func (m *machine) count(s string) (n, digits int) {
	for digits < len(s) && isDigit(s[digits]) {
		if n = n*10 + int(s[digits]-'0'); n > math.MaxInt32 {
			m.fail("a width or precision is too large")
		}
		digits++
	}
	return n, digits
}

// cut is t's first n characters; all if n is negative.
func (m *machine) cut(t Text, n int) Text {
	if n < 0 {
		return t
	}
	return t.slice(0, runeOffset(t.s, n))
}

// pad writes t in f's width.
func (m *machine) pad(b *builder, format Text, f spec, t Text) {
	missing := f.width - utf8.RuneCountInString(t.s)
	left := 0
	switch f.align {
	case '>', '=':
		left = missing
	case '^':
		left = missing / 2
	}
	m.fill(b, format, f.fill, left)
	b.add(t)
	m.fill(b, format, f.fill, missing-left)
}

func (m *machine) fill(b *builder, format Text, fill string, n int) {
	if n > 0 {
		m.burn(n * len(fill))
		b.write(strings.Repeat(fill, n), format.origin())
	}
}

// padNumber writes a number in f's width and with its separators.
func (m *machine) padNumber(b *builder, format Text, f spec, sign, digits string) {
	width := 0
	if f.align == '=' && f.fill == "0" {
		width = f.width - len(sign)
	}
	digits = m.grouped(digits, f, width)
	if f.align == '=' {
		b.write(sign, format.origin())
		f.width -= len(sign)
		sign = ""
	}
	m.pad(b, format, f, format.like(sign+digits))
}

// grouped puts separators between the digits before the point, with zeros
// before them up to width.
func (m *machine) grouped(digits string, f spec, width int) string {
	if f.group == 0 {
		return digits
	}
	size := 3
	if strings.IndexByte("xXob", f.kind) >= 0 && f.kind != 0 {
		size = 4
	}
	end := 0
	for end < len(digits) && (isDigit(digits[end]) || size == 4 && digits[end] != '.') {
		end++
	}
	if end == 0 { // inf, nan
		return digits
	}
	whole, rest := digits[:end], digits[end:]
	var out []byte // from the right
	for i := 0; i < len(whole) || len(out)+len(rest) < width; i++ {
		m.burn(1)
		if i > 0 && i%size == 0 {
			out = append(out, f.group)
		}
		if i < len(whole) {
			out = append(out, whole[len(whole)-1-i])
		} else {
			out = append(out, '0')
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out) + rest
}

func signOf(negative bool, f spec) string {
	switch {
	case negative:
		return "-"
	case f.sign != 0 && f.sign != '-':
		return string(f.sign)
	}
	return ""
}

// integerDigits is n in the base of f.kind. A prefix belongs to the sign.
func integerDigits(n int64, f spec) (sign, digits string) {
	base := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'b': 2}[f.kind]
	if base == 0 {
		base = 10
	}
	sign = signOf(n < 0, f)
	digits = strings.TrimPrefix(strconv.FormatInt(n, base), "-")
	if f.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if f.alternate && base != 10 {
		sign += "0" + string(f.kind)
	}
	return sign, digits
}

// floatDigits is x as f.kind says: e, f, g, n, % or 0, each with f.precision.
func (m *machine) floatDigits(x float64, f spec) (sign, digits string) {
	m.burn(f.precision)
	sign = signOf(math.Signbit(x) && x == x, f)
	x = math.Abs(x)
	kind, percent := f.kind|0x20, ""
	if f.kind == 0 {
		kind = 0
	}
	if f.kind == '%' {
		kind, x, percent = 'f', x*100, "%"
	}
	switch {
	case math.IsInf(x, 0):
		digits = "inf"
	case x != x:
		digits = "nan"
	case kind == 0 && f.precision < 0:
		digits = pythonFloat(x)
	case kind == 'e' || kind == 'f':
		digits = strconv.FormatFloat(x, kind, f.precision, 64)
		if f.alternate && f.precision == 0 {
			mantissa, exp, found := strings.Cut(digits, "e")
			digits = mantissa + "."
			if found {
				digits += "e" + exp
			}
		}
	default:
		digits = generalDigits(x, max(f.precision, 1), f.alternate, kind == 0)
	}
	digits += percent
	if f.kind == 'E' || f.kind == 'F' || f.kind == 'G' {
		digits = strings.ToUpper(digits)
	}
	return sign, digits
}

// generalDigits is C's %g, with precision significant digits. One with a point
// has at least one digit behind it.
func generalDigits(x float64, precision int, zeros, point bool) string {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', precision-1, 64), "e")
	exp, _ := strconv.Atoi(exponent)
	limit := precision
	if point {
		limit--
	}
	if exp < -4 || exp >= limit {
		if !zeros && strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		} else if zeros && !strings.Contains(mantissa, ".") {
			mantissa += "."
		}
		return mantissa + "e" + exponent
	}
	s := strconv.FormatFloat(x, 'f', max(precision-1-exp, 0), 64)
	if !zeros && strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if !strings.Contains(s, ".") {
		if point {
			s += ".0"
		} else if zeros {
			s += "."
		}
	}
	return s
}

// formatter is one call of str.format.
type formatter struct {
	m      *machine
	format Text
	pos    []value
	named  *dict
	auto   int // the next field without a number; -1 after one with a number
}

// format is t.format(...).
func (m *machine) format(t Text, pos []value, named *dict) Text {
	f := &formatter{m, t, pos, named, 0}
	b := builder{m: m}
	f.text(&b, t, 2)
	return b.textLike(t)
}

// text writes a format, whose fields may have formats in them.
func (f *formatter) text(b *builder, t Text, depth int) {
	m := f.m
	if depth == 0 {
		m.fail("a format is nested too deeply")
	}
	m.burn(len(t.s))
	s := t.s
	for i := 0; i < len(s); {
		brace := strings.IndexAny(s[i:], "{}")
		if brace < 0 {
			b.add(t.slice(i, len(s)))
			return
		}
		b.add(t.slice(i, i+brace))
		i += brace
		if i+1 < len(s) && s[i+1] == s[i] {
			b.add(t.slice(i, i+1))
			i += 2
			continue
		}
		if s[i] == '}' {
			m.fail("a single } in a format")
		}
		start, open, brackets := i+1, 1, false
		for i++; i < len(s) && open > 0; i++ {
			switch c := s[i]; {
			case brackets && c != ']':
			case c == '[' && open == 1:
				brackets = true
			case c == ']':
				brackets = false
			case c == '{':
				open++
			case c == '}':
				open--
			}
		}
		if open > 0 {
			m.fail("a { in a format is not closed")
		}
		f.field(b, t.slice(start, i-1), depth)
	}
}

// field writes what stands between braces: name!conversion:spec.
func (f *formatter) field(b *builder, t Text, depth int) {
	m := f.m
	end, brackets := len(t.s), false
	for i := 0; i < len(t.s) && end == len(t.s); i++ {
		switch c := t.s[i]; {
		case c == '[':
			brackets = true
		case c == ']':
			brackets = false
		case c == '{' && !brackets:
			m.fail("a { within the name of a format's field")
		case (c == '!' || c == ':') && !brackets:
			end = i
		}
	}
	v := f.value(t.slice(0, end).String())
	rest := t.slice(end, len(t.s))
	if strings.HasPrefix(rest.s, "!") {
		if len(rest.s) < 2 || len(rest.s) > 2 && rest.s[2] != ':' {
			m.fail("a conversion in a format is one of !s, !r and !a")
		}
		switch rest.s[1] {
		case 's':
			v = m.str(v)
		case 'r':
			v = m.reprText(v)
		case 'a':
			v = m.ascii(m.reprText(v))
		default:
			m.fail("a conversion in a format is one of !s, !r and !a")
		}
		rest = rest.slice(2, len(rest.s))
	}
	how := builder{m: m}
	if rest.s != "" {
		f.text(&how, rest.slice(1, len(rest.s)), depth-1)
	}
	out := builder{m: m}
	m.formatValue(&out, how.text(), v)
	if t := out.text(); f.format.html {
		b.add(escape(t))
	} else {
		b.add(t)
	}
}

// value is what a field's name stands for: an argument, and what is in it.
func (f *formatter) value(name string) value {
	m := f.m
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	first, rest := name[:end], name[end:]
	var v value
	n, err := strconv.Atoi(first)
	switch {
	case first == "":
		if f.auto < 0 {
			m.fail("a format mixes fields with and without numbers")
		}
		n = f.auto
		f.auto++
		fallthrough
	case err == nil:
		if first != "" {
			if f.auto > 0 {
				m.fail("a format mixes fields with and without numbers")
			}
			f.auto = -1
		}
		if n < 0 || n >= len(f.pos) {
			m.fail("there are not enough values for the format")
		}
		v = f.pos[n]
	default:
		ok := false
		if f.named != nil {
			v, ok = f.named.get(first)
		}
		if !ok {
			m.fail("the format's value %q is missing", first)
		}
	}
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			v, rest = m.dotted(v, rest[1:1+end]), rest[1+end:]
			continue
		}
		key, after, ok := strings.Cut(rest[1:], "]")
		if !ok || after != "" && after[0] != '.' && after[0] != '[' {
			m.fail("a [ in a format is not closed")
		}
		if n, err := strconv.ParseInt(key, 10, 64); err == nil && n >= 0 && isDigit(key[0]) {
			v = m.subscript(v, n)
		} else {
			v = m.subscript(v, Own(key))
		}
		rest = after
	}
	return v
}

// formatValue is format(v, how).
func (m *machine) formatValue(b *builder, how Text, v value) {
	if how.s == "" {
		b.add(m.str(v))
		return
	}
	f := m.parseSpec(how.s)
	zeros := f.align == '=' && f.fill == "0"
	switch v := v.(type) {
	case Text:
		if f.kind != 0 && f.kind != 's' || f.sign != 0 || f.alternate || f.group != 0 || f.align == '=' && !f.zero() {
			m.fail("a string cannot be formatted as %q", how.s)
		}
		if f.align == '=' || f.align == 0 {
			f.align = '<'
		}
		m.pad(b, how, f, m.cut(v, f.precision))
		return
	case bool, int64, float64:
		if f.align == 0 {
			f.align = '>'
		}
		if _, ok := v.(bool); ok && f.kind == 's' || f.kind == 's' {
			m.fail("a number cannot be formatted as %q", how.s)
		}
		n := number(v)
		i, whole := n.(int64)
		if whole && strings.IndexByte("\x00bcdoxXn", f.kind) >= 0 {
			if f.precision >= 0 {
				m.fail("a whole number has no precision")
			}
			if f.kind == 'c' {
				if zeros {
					f.align = '>'
				}
				if f.align == '>' && !zeros && !strings.ContainsAny(how.s, "<>=^") {
					f.align = '>'
				}
				m.pad(b, how, f, how.like(m.character(i)))
				return
			}
			if f.kind == 'n' {
				f.kind = 'd'
			}
			sign, digits := integerDigits(i, f)
			m.padNumber(b, how, f, sign, digits)
			return
		}
		if strings.IndexByte("\x00eEfFgGn%", f.kind) < 0 {
			m.fail("%s cannot be formatted as %q", typeName(v), how.s)
		}
		x, _ := float(n)
		if f.precision < 0 && f.kind != 0 {
			f.precision = 6
		}
		if f.kind == 'n' {
			f.kind = 'g'
		}
		sign, digits := m.floatDigits(x, f)
		m.padNumber(b, how, f, sign, digits)
		return
	}
	m.fail("%s cannot be formatted as %q", typeName(v), how.s)
}

func (f spec) zero() bool { return f.fill == "0" }

// parseSpec reads [[fill]align][sign][#][0][width][,][.precision][kind].
func (m *machine) parseSpec(s string) spec {
	whole := s
	f := spec{fill: " ", precision: -1}
	isAlign := func(i int) bool { return i < len(s) && strings.IndexByte("<>=^", s[i]) >= 0 }
	_, n := utf8.DecodeRuneInString(s)
	filled := isAlign(n)
	if filled {
		f.fill, f.align, s = s[:n], s[n], s[n+1:]
	} else if isAlign(0) {
		f.align, s = s[0], s[1:]
	}
	take := func(set string) byte {
		if s == "" || strings.IndexByte(set, s[0]) < 0 {
			return 0
		}
		c := s[0]
		s = s[1:]
		return c
	}
	f.sign = take("+- ")
	take("z")
	f.alternate = take("#") != 0
	if take("0") != 0 && !filled {
		if f.fill = "0"; f.align == 0 {
			f.align = '='
		}
	}
	f.width, n = m.count(s)
	s = s[n:]
	f.group = take(",_")
	if take(".") != 0 {
		if f.precision, n = m.count(s); n == 0 {
			m.fail("a precision is missing in %q", whole)
		}
		s = s[n:]
	}
	if len(s) == 1 {
		f.kind, s = s[0], ""
	}
	if s != "" {
		m.fail("the format %q is not known", whole)
	}
	return f
}
