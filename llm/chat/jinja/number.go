package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// Numbers are int64 and float64. Where Python goes on with larger integers, the
// template fails.

// number is v as a number, true and false being 1 and 0; nil if it is none.
func number(v value) value {
	switch v := v.(type) {
	case int64, float64:
		return v
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	}
	return nil
}

func float(v value) (float64, bool) {
	switch n := number(v).(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// arithmetic returns nil for operands that are not numbers.
func (m *machine) arithmetic(op string, l, r value) value {
	l, r = number(l), number(r)
	if a, ok := l.(int64); ok {
		if b, ok := r.(int64); ok && op != "/" && (op != "**" || b >= 0) {
			return m.integers(op, a, b)
		}
	}
	a, ok1 := float(l)
	b, ok2 := float(r)
	if !ok1 || !ok2 {
		return nil
	}
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		if a == 0 && b < 0 {
			m.fail("zero has no negative power")
		}
		p := math.Pow(a, b)
		if math.IsInf(p, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) || p != p && a == a && b == b {
			m.fail("a number is too large")
		}
		return p
	}
	if b == 0 {
		m.fail("division by zero")
	}
	switch op {
	case "/":
		return a / b
	case "//":
		return math.Floor((a - floorMod(a, b)) / b)
	case "%":
		return floorMod(a, b)
	}
	return nil
}

// floorMod has the sign of b, as Python's % does.
func floorMod(a, b float64) float64 {
	rem := math.Mod(a, b)
	if rem != 0 && (rem < 0) != (b < 0) {
		rem += b
	} else if rem == 0 {
		rem = math.Copysign(0, b)
	}
	return rem
}

func (m *machine) integers(op string, a, b int64) value {
	const overflow = "a number is too large"
	switch op {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c
		}
		m.fail(overflow)
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c
		}
		m.fail(overflow)
	case "*":
		if a == 0 || b == 0 {
			return int64(0)
		}
		c := a * b
		if c/b != a || a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 {
			m.fail(overflow)
		}
		return c
	case "//", "%":
		if b == 0 {
			m.fail("division by zero")
		}
		if b == -1 && a == math.MinInt64 {
			m.fail(overflow)
		}
		q, rem := a/b, a%b
		if rem != 0 && (rem < 0) != (b < 0) { // Python rounds down
			q, rem = q-1, rem+b
		}
		if op == "%" {
			return rem
		}
		return q
	case "**":
		c := int64(1)
		if a == 0 && b > 0 || a == 1 {
			return a
		}
		if a == -1 {
			return 1 - 2*(b%2)
		}
		for ; b > 0; b-- {
			c = m.integers("*", c, a).(int64)
		}
		return c
	}
	return nil
}

// plainDigits makes digits of any script ASCII's and drops single underscores
// between digits, as Python does before it reads a number.
func plainDigits(s string) (string, bool) {
	var b strings.Builder
	last := rune(0)
	for _, r := range s {
		if r == '_' {
			if !isWordRune(last) {
				return "", false
			}
			last = r
			continue
		}
		if last == '_' && !isWordRune(r) {
			return "", false
		}
		last = r
		if d, ok := digitValue(r); ok {
			r = '0' + rune(d)
		}
		b.WriteRune(r)
	}
	return b.String(), last != '_'
}

func isWordRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || unicode.Is(unicode.Nd, r)
}

// digitValue is the value of a decimal digit of any script.
func digitValue(r rune) (int, bool) {
	if '0' <= r && r <= '9' {
		return int(r - '0'), true
	}
	if r < 0x80 || !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	n := 0 // digits stand in rows of ten, zero first
	for unicode.Is(unicode.Nd, r-1) {
		r--
		n++
	}
	return n % 10, true
}

// parseInt reads an integer as Python's int does: in a base from 2 to 36, or in
// the one that a prefix names if base is 0.
func parseInt(s string, base int) (n int64, ok bool) {
	s = strings.TrimFunc(s, isSpace)
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	if len(s) > 1 && s[0] == '0' {
		prefixed := map[byte]int{'x': 16, 'o': 8, 'b': 2}[s[1]|0x20]
		switch {
		case prefixed != 0 && (base == 0 || base == prefixed):
			base, s = prefixed, strings.TrimPrefix(s[2:], "_")
		case base == 0 && strings.Trim(s, "0_") != "":
			return 0, false
		}
	}
	if base == 0 {
		base = 10
	}
	if base < 2 || base > 36 {
		return 0, false
	}
	s, ok = plainDigits(s)
	if !ok || s == "" || s[0] == '-' || s[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseInt(sign+s, base, 64)
	return n, err == nil
}

// parseFloat reads a number as Python's float does.
func parseFloat(s string) (float64, bool) {
	s, ok := plainDigits(strings.TrimFunc(s, isSpace))
	if !ok || strings.ContainsAny(s, "xXpP_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
		err = nil // infinite, or zero
	}
	return f, err == nil
}

// truncated is f without its fraction; false if it is no int64.
func truncated(f float64) (int64, bool) {
	if math.Abs(f) < 1<<63 {
		return int64(f), true
	}
	return 0, false
}

// round is Python's round(v, places): halves go to the even neighbour, and
// integers stay what they are.
func (m *machine) round(v value, places int) value {
	switch n := number(v).(type) {
	case int64:
		if places >= 0 {
			return n
		}
		if places < -18 {
			return int64(0)
		}
		unit := int64(math.Pow10(-places))
		down := m.integers("//", n, unit).(int64)
		if rest := n - down*unit; rest > unit-rest || rest == unit-rest && down%2 != 0 {
			down++
		}
		return m.integers("*", down, unit)
	case float64:
		if math.IsNaN(n) || math.IsInf(n, 0) || places > 330 {
			return n
		}
		if places < 0 {
			if places < -308 {
				return math.Copysign(0, n)
			}
			unit := math.Pow10(-places)
			return math.RoundToEven(n/unit) * unit
		}
		f, _ := strconv.ParseFloat(strconv.FormatFloat(n, 'f', places, 64), 64)
		return f
	}
	m.fail("%s cannot be rounded", typeName(v))
	return nil
}

// pythonFloat is f as Python shows it.
func pythonFloat(f float64) string {
	switch a := math.Abs(f); {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f != f:
		return "nan"
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
