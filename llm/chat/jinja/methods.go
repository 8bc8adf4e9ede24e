package jinja

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Methods of Python's strings, lists, tuples, dictionaries and numbers, as far
// as they change nothing.

var textMethods, listMethods, tupleMethods, dictMethods, intMethods, floatMethods, cyclerMethods, loopMethods map[string]*function

func makeMethods() {
	textMethods = table(map[string]impl{
		"capitalize": onText(func(m *machine, t Text, a args) value { return capitalize(t) }),
		"casefold":   onText(func(m *machine, t Text, a args) value { return foldCase(t) }),
		"center width fill? /": onText(func(m *machine, t Text, a args) value {
			return m.justify(t, m.integer(a.pos[1]), m.textOr(a, 2, " "), '^')
		}),
		"count sub start? end? /": onText(func(m *machine, t Text, a args) value {
			s, _, ok := m.span(t.s, a, 2)
			sub := m.text(a, 1).s
			if !ok {
				return int64(0)
			}
			return int64(strings.Count(s, sub))
		}),
		"endswith suffix start? end? /": onText(func(m *machine, t Text, a args) value { return m.affix(t, a, strings.HasSuffix) }),
		"expandtabs tabsize?":           onText(func(m *machine, t Text, a args) value { return m.expandTabs(t, m.intOr(a, 1, 8)) }),
		"find sub start? end? /":        onText(func(m *machine, t Text, a args) value { return m.find(t, a, strings.Index) }),
		"format * **":                   onText(func(m *machine, t Text, a args) value { return m.format(t, a.more, a.named) }),
		"format_map mapping /":          onText(func(m *machine, t Text, a args) value { return m.format(t, nil, m.dict(a.pos[1])) }),
		"index sub start? end? /":       onText(func(m *machine, t Text, a args) value { return m.found(m.find(t, a, strings.Index)) }),
		"join iterable /": onText(func(m *machine, t Text, a args) value {
			items := m.iterate(a.pos[1])
			if t.html {
				items = slices.Clone(items)
			}
			for i, item := range items {
				text, ok := item.(Text)
				if !ok {
					m.fail("join takes strings, not %s", typeName(item))
				}
				if t.html {
					items[i] = m.made(escape(text))
				}
			}
			return m.join(t, items)
		}),
		"ljust width fill? /": onText(func(m *machine, t Text, a args) value {
			return m.justify(t, m.integer(a.pos[1]), m.textOr(a, 2, " "), '<')
		}),
		"lower":               onText(func(m *machine, t Text, a args) value { return lower(t) }),
		"lstrip chars? /":     onText(func(m *machine, t Text, a args) value { return m.trim(t, a, true, false) }),
		"maketrans x y? z? /": onText(func(m *machine, t Text, a args) value { return m.makeTrans(a) }),
		"partition sep /": onText(func(m *machine, t Text, a args) value {
			i, sep := strings.Index(t.s, m.separator(a).s), m.text(a, 1)
			if i < 0 {
				return tuple(t, Text{}, Text{})
			}
			return tuple(t.slice(0, i), t.slice(i, i+len(sep.s)), t.slice(i+len(sep.s), len(t.s)))
		}),
		"removeprefix prefix /": onText(func(m *machine, t Text, a args) value {
			if p := m.text(a, 1).s; strings.HasPrefix(t.s, p) {
				return t.slice(len(p), len(t.s))
			}
			return t
		}),
		"removesuffix suffix /": onText(func(m *machine, t Text, a args) value {
			if p := m.text(a, 1).s; strings.HasSuffix(t.s, p) {
				return t.slice(0, len(t.s)-len(p))
			}
			return t
		}),
		"replace old new count? /": onText(func(m *machine, t Text, a args) value {
			return m.replace(t, m.text(a, 1), m.text(a, 2), m.intOr(a, 3, -1))
		}),
		"rfind sub start? end? /":  onText(func(m *machine, t Text, a args) value { return m.find(t, a, strings.LastIndex) }),
		"rindex sub start? end? /": onText(func(m *machine, t Text, a args) value { return m.found(m.find(t, a, strings.LastIndex)) }),
		"rjust width fill? /": onText(func(m *machine, t Text, a args) value {
			return m.justify(t, m.integer(a.pos[1]), m.textOr(a, 2, " "), '>')
		}),
		"rpartition sep /": onText(func(m *machine, t Text, a args) value {
			i, sep := strings.LastIndex(t.s, m.separator(a).s), m.text(a, 1)
			if i < 0 {
				return tuple(Text{}, Text{}, t)
			}
			return tuple(t.slice(0, i), t.slice(i, i+len(sep.s)), t.slice(i+len(sep.s), len(t.s)))
		}),
		"rsplit sep? maxsplit?":           onText(func(m *machine, t Text, a args) value { return m.split(t, a, true) }),
		"rstrip chars? /":                 onText(func(m *machine, t Text, a args) value { return m.trim(t, a, false, true) }),
		"split sep? maxsplit?":            onText(func(m *machine, t Text, a args) value { return m.split(t, a, false) }),
		"splitlines keepends?":            onText(func(m *machine, t Text, a args) value { return &list{items: m.lines(t, a.truth(1))} }),
		"startswith prefix start? end? /": onText(func(m *machine, t Text, a args) value { return m.affix(t, a, strings.HasPrefix) }),
		"strip chars? /":                  onText(func(m *machine, t Text, a args) value { return m.trim(t, a, true, true) }),
		"swapcase":                        onText(func(m *machine, t Text, a args) value { return swapCase(t) }),
		"title":                           onText(func(m *machine, t Text, a args) value { return pythonTitle(t) }),
		"translate table /":               onText(func(m *machine, t Text, a args) value { return m.translate(t, a.pos[1]) }),
		"upper":                           onText(func(m *machine, t Text, a args) value { return upper(t) }),
		"zfill width /":                   onText(func(m *machine, t Text, a args) value { return m.zeroFill(t, m.integer(a.pos[1])) }),

		"isalnum":   all(isAlnum),
		"isalpha":   all(unicode.IsLetter),
		"isdecimal": all(func(r rune) bool { return unicode.Is(unicode.Nd, r) }),
		"isdigit":   all(isDigitRune),
		"isnumeric": all(isNumeric),
		"isspace":   all(isSpace),
		"isascii": func(m *machine, a args) value {
			return strings.IndexFunc(a.pos[0].(Text).s, func(r rune) bool { return r >= 0x80 }) < 0
		},
		"isprintable": func(m *machine, a args) value {
			return strings.IndexFunc(a.pos[0].(Text).s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
		},
		"isidentifier": func(m *machine, a args) value {
			s := a.pos[0].(Text).s
			r, _ := utf8.DecodeRuneInString(s)
			return nameStart(r) && nameEnd(s) == len(s)
		},
		"islower": func(m *machine, a args) value { return inCase(a.pos[0].(Text).s, isLower) },
		"isupper": func(m *machine, a args) value { return inCase(a.pos[0].(Text).s, isUpper) },
		"istitle": func(m *machine, a args) value { return isTitle(a.pos[0].(Text).s) },
	})

	index := func(m *machine, a args) value {
		l := a.pos[0].(*list)
		start, stop, _, _ := m.bounds(len(l.items), [3]value{a.or(2, nil), a.or(3, nil), nil})
		for i := start; i < stop; i++ {
			if m.equal(l.items[i], a.pos[1]) {
				return int64(i)
			}
		}
		m.fail("it is not in %s", typeName(l))
		return nil
	}
	count := func(m *machine, a args) value {
		n := int64(0)
		for _, item := range a.pos[0].(*list).items {
			if m.equal(item, a.pos[1]) {
				n++
			}
		}
		return n
	}
	tupleMethods = table(map[string]impl{"index value start? stop? /": index, "count value /": count})
	listMethods = table(map[string]impl{
		"index value start? stop? /": index, "count value /": count,
		"copy": func(m *machine, a args) value { return &list{items: m.iterate(a.pos[0])} },
	})

	view := func(kind listKind, of func(d *dict) []value) impl {
		return func(m *machine, a args) value { return &list{items: of(m.dict(a.pos[0])), kind: kind} }
	}
	dictMethods = table(map[string]impl{
		"items":  view(listItems, (*dict).pairs),
		"keys":   view(listKeys, (*dict).keys),
		"values": view(listValues, (*dict).values),
		"copy":   func(m *machine, a args) value { return &dict{m.dict(a.pos[0]).entries, a.pos[0].(*dict).index} },
		"fromkeys keys value? /": func(m *machine, a args) value {
			d := &dict{}
			for _, k := range m.iterate(a.pos[1]) {
				d.put(m.hash(k), k, a.or(2, nil))
			}
			return d
		},
		"get key default? /": func(m *machine, a args) value {
			d := a.pos[0].(*dict)
			if i := d.find(m.hash(a.pos[1])); i >= 0 {
				return d.entries[i].val
			}
			return a.or(2, nil)
		},
	})

	intMethods = table(map[string]impl{
		"bit_length": func(m *machine, a args) value {
			n := number(a.pos[0]).(int64)
			return int64(bits.Len64(uint64(max(n, -n))))
		},
		"conjugate": func(m *machine, a args) value { return number(a.pos[0]) },
	})
	floatMethods = table(map[string]impl{
		"is_integer": func(m *machine, a args) value { f := a.pos[0].(float64); return f == math.Trunc(f) },
		"conjugate":  func(m *machine, a args) value { return a.pos[0] },
	})
	cyclerMethods = table(map[string]impl{
		"next": func(m *machine, a args) value {
			c := a.pos[0].(*cycler)
			v := c.items[c.i]
			c.i = (c.i + 1) % len(c.items)
			return v
		},
		"reset": func(m *machine, a args) value {
			a.pos[0].(*cycler).i = 0
			return nil
		},
	})
	loopMethods = table(map[string]impl{
		"cycle *": func(m *machine, a args) value {
			if len(a.more) == 0 {
				m.fail("cycle has nothing to choose from")
			}
			return a.more[a.pos[0].(*loop).i%len(a.more)]
		},
		"changed *": func(m *machine, a args) value {
			l, now := a.pos[0].(*loop), value(tuple(a.more...))
			if _, first := l.changed.(missing); !first && m.equal(l.changed, now) {
				return false
			}
			l.changed = now
			return true
		},
	})
}

// onText is a method of strings. For a safe one, texts among its arguments are
// escaped before and texts that it makes are safe.
func onText(f func(m *machine, t Text, a args) value) impl {
	return func(m *machine, a args) value {
		t := a.pos[0].(Text)
		if t.html {
			a.pos = slices.Clone(a.pos)
			for i, v := range a.pos {
				if s, ok := v.(Text); ok {
					a.pos[i] = escape(s)
				}
			}
		}
		v := f(m, t, a)
		mark := func(v value) value {
			if s, ok := v.(Text); ok && s.html != t.html {
				s.html = t.html
				return s
			}
			return v
		}
		switch v := v.(type) {
		case Text:
			m.made(v)
		case *list:
			for i, item := range v.items {
				v.items[i] = mark(item)
			}
		}
		return mark(v)
	}
}

func all(is func(rune) bool) impl {
	return func(m *machine, a args) value {
		s := a.pos[0].(Text).s
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
	}
}

func isAlnum(r rune) bool { return unicode.IsLetter(r) || isNumeric(r) }

// isDigitRune is what Unicode calls a digit: decimals and those in circles and
// exponents.
func isDigitRune(r rune) bool {
	if r < 0x80 || unicode.Is(unicode.Nd, r) {
		return '0' <= r && r <= '9' || r >= 0x80
	}
	for _, d := range digitRanges {
		if d[0] <= r && r <= d[1] {
			return true
		}
	}
	return false
}

var digitRanges = [][2]rune{{0xb2, 0xb3}, {0xb9, 0xb9}, {0x1369, 0x1371}, {0x19da, 0x19da}, {0x2070, 0x2070}, {0x2074, 0x2079}, {0x2080, 0x2089}, {0x2460, 0x2468}, {0x2474, 0x247c}, {0x2488, 0x2490}, {0x24ea, 0x24ea}, {0x24f5, 0x24fd}, {0x24ff, 0x24ff}, {0x2776, 0x277e}, {0x2780, 0x2788}, {0x278a, 0x2792}, {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a}}

// isNumeric is any character with a value, Chinese numerals among them.
func isNumeric(r rune) bool {
	return unicode.IsNumber(r) || r > 0x3400 && strings.ContainsRune(hanNumerals, r)
}

const hanNumerals = "\u3405\u3483\u382a\u3b4d\u4e00\u4e03\u4e07\u4e09\u4e5d\u4e8c\u4e94\u4e96\u4ebf\u4ec0\u4edf\u4ee8\u4f0d\u4f70\u5104\u5146\u5169\u516b\u516d\u5341\u5343\u5344\u5345\u534c\u53c1\u53c2\u53c3\u53c4\u56db\u58f1\u58f9\u5e7a\u5efe\u5eff\u5f0c\u5f0d\u5f0e\u5f10\u62fe\u634c\u67d2\u6f06\u7396\u767e\u8086\u842c\u8cae\u8cb3\u8d30\u9621\u9646\u964c\u9678\u96f6\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd\U00020001\U00020064\U000200e2\U00020121\U0002092a\U00020983\U0002098c\U0002099c\U00020aea\U00020afd\U00020b19\U00022390\U00022998\U00023b1b\U0002626d\U0002f890"

func isTitle(s string) bool {
	within, some := false, false
	for _, r := range s {
		switch {
		case isUpper(r) || unicode.Is(unicode.Lt, r):
			if within {
				return false
			}
			within, some = true, true
		case isLower(r):
			if !within {
				return false
			}
			some = true
		default:
			within = false
		}
	}
	return some
}

// span is the part of s that arguments from place i on give, and where it
// begins; false if that is behind the end.
func (m *machine) span(s string, a args, i int) (part string, at int, ok bool) {
	start, end := a.or(i, nil), a.or(i+1, nil)
	if start == nil && end == nil {
		return s, 0, true
	}
	m.burn(len(s))
	n := utf8.RuneCountInString(s)
	if start != nil && m.integer(start) > n {
		return "", 0, false
	}
	from, to, _, _ := m.bounds(n, [3]value{start, end, nil})
	if from > to {
		return "", 0, false
	}
	at = runeOffset(s, from)
	return s[at : at+runeOffset(s[at:], to-from)], at, true
}

// find is where sub is, in characters, or -1.
func (m *machine) find(t Text, a args, index func(s, sub string) int) value {
	s, at, ok := m.span(t.s, a, 2)
	i := index(s, m.text(a, 1).s)
	if i < 0 || !ok {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(t.s[:at+i]))
}

// found is v unless it is -1.
func (m *machine) found(v value) value {
	if v == value(int64(-1)) {
		m.fail("it is not in the string")
	}
	return v
}

// affix tests for one beginning or end, or for any of several.
func (m *machine) affix(t Text, a args, has func(s, affix string) bool) value {
	s, _, ok := m.span(t.s, a, 2)
	if l, several := a.pos[1].(*list); several && l.isTuple() {
		return slices.ContainsFunc(l.items, func(v value) bool {
			affix, text := v.(Text)
			if !text {
				m.fail("a string expected, not %s", typeName(v))
			}
			m.burn(len(affix.s))
			return ok && has(s, affix.s)
		})
	}
	affix := m.text(a, 1).s
	return ok && has(s, affix)
}

func (m *machine) separator(a args) Text {
	sep := m.text(a, 1)
	if sep.s == "" {
		m.fail("the separator is empty")
	}
	return sep
}

func (m *machine) split(t Text, a args, last bool) value {
	sep, n := "", len(t.s)/2+1
	if a.given(1) {
		sep = m.separator(a).s
		n = strings.Count(t.s, sep) + 1
	}
	limit := m.intOr(a, 2, -1)
	if limit >= 0 {
		n = min(n, limit+1)
	}
	m.burn(anElement * n)
	return &list{items: t.split(sep, limit, last)}
}

// trim takes fuel for looking each character up in a set.
func (m *machine) trim(t Text, a args, left, right bool) Text {
	set := ""
	if a.given(1) {
		if set = m.text(a, 1).s; set == "" {
			return t
		}
	}
	m.burn(len(t.s) * (1 + len(set)))
	return m.made(t.trim(set, left, right))
}

// justify is t in the middle or at an end of a field of that width.
func (m *machine) justify(t Text, width int, fill Text, align byte) Text {
	if utf8.RuneCountInString(fill.s) != 1 {
		m.fail("one character expected to fill with, not %d", utf8.RuneCountInString(fill.s))
	}
	missing := width - utf8.RuneCountInString(t.s)
	if missing <= 0 {
		return t
	}
	left := 0
	switch align {
	case '>':
		left = missing
	case '^':
		left = missing/2 + missing&width&1 // as Python does it
	}
	fill.html = false
	m.burn(missing)
	out := Join(m.repeat(fill, int64(left)).(Text), t, m.repeat(fill, int64(missing-left)).(Text))
	out.html = t.html
	return out
}

func (m *machine) zeroFill(t Text, width int) Text {
	missing := width - utf8.RuneCountInString(t.s)
	if missing <= 0 {
		return t
	}
	sign := 0
	if t.s != "" && (t.s[0] == '-' || t.s[0] == '+') {
		sign = 1
	}
	return Join(t.slice(0, sign), m.repeat(Own("0"), int64(missing)).(Text), t.slice(sign, len(t.s)))
}

func (m *machine) expandTabs(t Text, size int) Text {
	column := 0
	return t.mapRunes(func(to []byte, _ int, r rune) []byte {
		switch r {
		case '\t':
			if size <= 0 {
				return to
			}
			n := size - column%size
			m.burn(n)
			column += n
			return append(to, strings.Repeat(" ", n)...)
		case '\n', '\r':
			column = 0
		default:
			column++
		}
		return utf8.AppendRune(to, r)
	})
}

// makeTrans is the table for translate: of a dictionary, or of characters and
// what they become.
func (m *machine) makeTrans(a args) value {
	d := &dict{}
	code := func(v value) value {
		if t, ok := v.(Text); ok {
			if utf8.RuneCountInString(t.s) != 1 {
				m.fail("keys for translate are single characters")
			}
			r, _ := utf8.DecodeRuneInString(t.s)
			return int64(r)
		}
		return v
	}
	if _, ok := a.get(2); !ok {
		for _, e := range m.dict(a.pos[1]).entries {
			k := code(e.key)
			d.put(m.hash(k), k, e.val)
		}
		return d
	}
	from, to := m.iterate(m.text(a, 1)), m.iterate(m.text(a, 2))
	if len(from) != len(to) {
		m.fail("translate needs as many characters as they become")
	}
	for i := range from {
		k := code(from[i])
		d.put(m.hash(k), k, code(to[i]))
	}
	if _, ok := a.get(3); ok {
		for _, c := range m.iterate(m.text(a, 3)) {
			k := code(c)
			d.put(m.hash(k), k, nil)
		}
	}
	return d
}

func (m *machine) translate(t Text, table value) Text {
	var b builder
	for _, c := range m.iterate(t) {
		r, _ := utf8.DecodeRuneInString(c.(Text).s)
		v, ok := m.item(table, int64(r))
		switch to := v.(type) {
		case Text:
			b.add(m.made(to))
		case nil:
			if !ok {
				b.add(c.(Text))
			}
		default:
			b.add(t.like(m.character(v)))
		}
	}
	return b.text()
}
