package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Functions, filters, tests and methods, as Jinja2 and Python define them.
// Whatever makes text keeps its origins; whatever makes or goes through much
// takes fuel for it.

// The tables are made when the first template is parsed, for a program's start
// should not wait for them.
var (
	once           sync.Once
	globals        map[string]callable
	filters, tests map[string]function
	stringMethods  map[string]func(m *machine, t Text, a args) value
)

func makeTables() {
	globals = makeGlobals()
	stringMethods = makeStringMethods()
	filters = makeFilters()
	tests = makeTests()
}

func makeGlobals() map[string]callable {
	return map[string]callable{
		"range": func(m *machine, a args) value {
			a.done(3)
			start, stop, step := 0, a.int(0, "stop", 0), a.int(2, "step", 1)
			if len(a.pos) > 1 {
				start, stop = stop, a.int(1, "stop", 0)
			}
			if step == 0 {
				fail(a.line, "range with a step of zero")
			}
			l := &list{}
			for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
				m.burn(anElement)
				l.items = append(l.items, int64(i))
			}
			return l
		},
		"namespace": func(m *machine, a args) value {
			ns := &namespace{*newDict()}
			for _, v := range a.pos {
				d, ok := v.(*dict)
				if !ok {
					fail(a.line, "a namespace of %s", typeName(v))
				}
				for _, k := range d.keys {
					ns.set(k, d.m[k])
				}
			}
			if a.named != nil {
				for _, k := range a.named.keys {
					ns.set(k, a.named.m[k])
				}
			}
			return ns
		},
		"dict": func(m *machine, a args) value {
			a.done(0, keysOf(a.named)...)
			if a.named == nil {
				return newDict()
			}
			return a.named
		},
		"raise_exception": func(m *machine, a args) value {
			panic(failure{&Raised{m.str(first(a.get(0, "message"))).s}})
		},
	}
}

func first(v value, _ bool) value { return v }

func keysOf(d *dict) []string {
	if d == nil {
		return nil
	}
	return d.keys
}

// strftimeNow is the time of day in C's notation.
func strftimeNow(m *machine, a args) value {
	a.done(1, "format")
	format, t := a.text(0, "format", "").s, m.now()
	m.burn(8 * len(format))
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		bare := format[i] == '-' && i+1 < len(format) // without a leading zero
		if bare {
			i++
		}
		layout, ok := strftime[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == 'j':
			b.WriteString(strconv.Itoa(1000 + t.YearDay())[1:])
		case !ok:
			fail(a.line, "strftime_now does not know %%%c", format[i])
		case bare:
			s := strings.TrimLeft(t.Format(layout), "0 ")
			if s == "" {
				s = "0"
			}
			b.WriteString(s)
		default:
			b.WriteString(t.Format(layout))
		}
	}
	return Own(b.String())
}

var strftime = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'B': "January", 'b': "Jan", 'h': "Jan",
	'A': "Monday", 'a': "Mon", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'Z': "MST", 'z': "-0700",
	'F': time.DateOnly, 'T': time.TimeOnly, 'D': "01/02/06", 'R': "15:04",
}

func makeFilters() map[string]function {
	return map[string]function{
		"abs": func(m *machine, v value, a args) value {
			switch n := number(v).(type) {
			case int64:
				return max(n, -n)
			case float64:
				return math.Abs(n)
			}
			fail(a.line, "abs of %s", typeName(v))
			return nil
		},
		"capitalize": func(m *machine, v value, a args) value { return capitalize(m.str(v)) },
		"count":      length,
		"d":          defaultTo,
		"default":    defaultTo,
		"dictsort": func(m *machine, v value, a args) value {
			a.done(0)
			d := m.dict(a, v)
			out := d.pairs()
			m.burn(20 * size(d))
			slices.SortStableFunc(out, func(x, y value) int {
				return strings.Compare(strings.ToLower(key(x)), strings.ToLower(key(y)))
			})
			return &list{items: out}
		},
		"e":      escape,
		"escape": escape,
		"first": func(m *machine, v value, a args) value {
			if items := m.iterate(a.line, v); len(items) > 0 {
				return items[0]
			}
			return undefined{"the first of nothing"}
		},
		"float": func(m *machine, v value, a args) value {
			if f, ok := float(v); ok {
				return f
			}
			if t, ok := v.(Text); ok {
				if f, err := strconv.ParseFloat(strings.TrimSpace(t.s), 64); err == nil {
					return f
				}
			}
			if def, ok := a.get(0, "default"); ok {
				return def
			}
			return 0.0
		},
		"indent": func(m *machine, v value, a args) value {
			a.done(3, "width", "first", "blank")
			t := m.str(v)
			pad := Own(strings.Repeat(" ", max(0, min(a.int(0, "width", 4), 1000))))
			if w, ok := a.get(0, "width"); ok {
				if s, ok := w.(Text); ok {
					pad = s
				}
			}
			blank := a.truth(2, "blank", false)
			var b builder
			if a.truth(1, "first", false) {
				b.add(pad)
			}
			for i, line := range m.split(t, "\n", -1, false) {
				line := line.(Text)
				if i > 0 {
					m.burn(anElement + len(pad.s))
					b.write("\n", t.origin())
					if blank || line.s != "" {
						b.add(pad)
					}
				}
				b.add(line)
			}
			return m.made(b.text())
		},
		"int": func(m *machine, v value, a args) value {
			switch n := number(v).(type) {
			case int64:
				return n
			case float64:
				if math.Abs(n) < 1<<62 {
					return int64(n)
				}
			}
			if t, ok := v.(Text); ok {
				s := strings.TrimSpace(t.s)
				if n, err := strconv.ParseInt(s, 10, 64); err == nil {
					return n
				}
				if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1<<62 {
					return int64(f)
				}
			}
			if def, ok := a.get(0, "default"); ok {
				return def
			}
			return int64(0)
		},
		"items": func(m *machine, v value, a args) value {
			if _, none := v.(undefined); none {
				return &list{}
			}
			return &list{items: m.dict(a, v).pairs()}
		},
		"join": func(m *machine, v value, a args) value {
			a.done(2, "d", "attribute")
			return m.join(m.str(first(a.get(0, "d"))), m.attributes(a, m.iterate(a.line, v), 1))
		},
		"last": func(m *machine, v value, a args) value {
			if items := m.iterate(a.line, v); len(items) > 0 {
				return items[len(items)-1]
			}
			return undefined{"the last of nothing"}
		},
		"length": length,
		"list":   func(m *machine, v value, a args) value { return &list{items: m.iterate(a.line, v)} },
		"lower":  func(m *machine, v value, a args) value { return m.made(m.str(v).mapRuns(strings.ToLower)) },
		"map": func(m *machine, v value, a args) value {
			items := m.iterate(a.line, v)
			if len(a.pos) == 0 {
				return &list{items: m.attributes(a, items, 0)}
			}
			f, ok := filters[a.text(0, "filter", "").s]
			if !ok {
				fail(a.line, "the filter %q is not supported", a.text(0, "filter", "").s)
			}
			out := make([]value, len(items))
			for i, item := range items {
				m.read(item)
				out[i] = m.apply(f, item, args{a.line, a.pos[1:], a.named})
			}
			return &list{items: out}
		},
		"max":        func(m *machine, v value, a args) value { return m.extreme(a, v, 1) },
		"min":        func(m *machine, v value, a args) value { return m.extreme(a, v, -1) },
		"reject":     func(m *machine, v value, a args) value { return m.choose(v, a, false, false) },
		"rejectattr": func(m *machine, v value, a args) value { return m.choose(v, a, true, false) },
		"replace": func(m *machine, v value, a args) value {
			a.done(3, "old", "new", "count")
			return m.replace(m.str(v), a)
		},
		"reverse": func(m *machine, v value, a args) value {
			items := slices.Clone(m.iterate(a.line, v))
			slices.Reverse(items)
			if _, ok := v.(Text); ok {
				return m.join(Text{}, items)
			}
			return &list{items: items}
		},
		"round": func(m *machine, v value, a args) value {
			f, ok := float(v)
			if !ok {
				fail(a.line, "round of %s", typeName(v))
			}
			scale := math.Pow(10, float64(a.int(0, "precision", 0)))
			return math.RoundToEven(f*scale) / scale
		},
		"safe":       func(m *machine, v value, a args) value { return m.str(v) },
		"select":     func(m *machine, v value, a args) value { return m.choose(v, a, false, true) },
		"selectattr": func(m *machine, v value, a args) value { return m.choose(v, a, true, true) },
		"sort": func(m *machine, v value, a args) value {
			a.done(1, "reverse", "attribute")
			items := slices.Clone(m.iterate(a.line, v))
			keys := m.attributes(a, items, 2)
			order := make([]int, len(items))
			for i := range order {
				order[i] = i
			}
			sign := 1
			if a.truth(0, "reverse", false) {
				sign = -1
			}
			slices.SortStableFunc(order, func(x, y int) int {
				return sign * m.order(a.line, folded(keys[x]), folded(keys[y]))
			})
			out := make([]value, len(items))
			for i, o := range order {
				out[i] = items[o]
			}
			return &list{items: out}
		},
		"string": func(m *machine, v value, a args) value { return m.str(v) },
		"sum": func(m *machine, v value, a args) value {
			a.done(0, "attribute", "start")
			sum, ok := a.get(1, "start")
			if !ok {
				sum = int64(0)
			}
			for _, item := range m.attributes(a, m.iterate(a.line, v), 0) {
				if sum = m.arithmetic(a.line, "+", number(sum), number(item)); sum == nil {
					fail(a.line, "sum of what are not numbers")
				}
			}
			return sum
		},
		"title": func(m *machine, v value, a args) value { return title(m.str(v)) },
		"tojson": func(m *machine, v value, a args) value {
			a.done(1, "indent", "ensure_ascii", "separators", "sort_keys")
			indent := min(a.int(0, "indent", -1), 40)
			keySep, itemSep := ": ", ", "
			if indent >= 0 {
				itemSep = ","
			}
			if s, ok := a.get(-1, "separators"); ok && s != nil {
				l, ok := s.(*list)
				if !ok || len(l.items) != 2 {
					fail(a.line, "separators must be two strings")
				}
				itemSep, keySep = m.str(l.items[0]).s, m.str(l.items[1]).s
			}
			var b builder
			m.json(&b, v, indent, 0, keySep, itemSep, a.truth(-1, "sort_keys", false))
			return m.made(b.text())
		},
		"trim": func(m *machine, v value, a args) value {
			return m.trim(m.str(v), a, true, true)
		},
		"unique": func(m *machine, v value, a args) value {
			out := &list{}
			for _, item := range m.iterate(a.line, v) {
				if !slices.ContainsFunc(out.items, func(w value) bool { return m.equal(folded(item), folded(w)) }) {
					out.items = append(out.items, item)
				}
			}
			return out
		},
		"upper":     func(m *machine, v value, a args) value { return m.made(m.str(v).mapRuns(strings.ToUpper)) },
		"wordcount": func(m *machine, v value, a args) value { return int64(len(strings.Fields(m.str(v).s))) },
	}

}

func makeTests() map[string]function {
	compare := func(is func(int) bool) function {
		return func(m *machine, v value, a args) value {
			w, _ := a.get(0, "other")
			return is(m.order(a.line, v, w))
		}
	}
	equal := func(m *machine, v value, a args) value { w, _ := a.get(0, "other"); return m.equal(v, w) }
	unequal := func(m *machine, v value, a args) value { w, _ := a.get(0, "other"); return !m.equal(v, w) }
	less := compare(func(c int) bool { return c < 0 })
	lessEqual := compare(func(c int) bool { return c <= 0 })
	greater := compare(func(c int) bool { return c > 0 })
	greaterEqual := compare(func(c int) bool { return c >= 0 })
	sequence := func(m *machine, v value, a args) value {
		switch v.(type) {
		case Text, *list, *dict, undefined:
			return true
		}
		return false
	}
	remainder := func(m *machine, v value, a args, by int64) int64 {
		r, ok := m.arithmetic(a.line, "%", number(v), by).(int64)
		if !ok {
			fail(a.line, "%s is not a whole number", typeName(v))
		}
		return r
	}
	return map[string]function{
		"boolean":     func(m *machine, v value, a args) value { _, ok := v.(bool); return ok },
		"callable":    func(m *machine, v value, a args) value { _, ok := v.(callable); return ok },
		"defined":     func(m *machine, v value, a args) value { _, none := v.(undefined); return !none },
		"divisibleby": func(m *machine, v value, a args) value { return remainder(m, v, a, int64(a.int(0, "num", 0))) == 0 },
		"even":        func(m *machine, v value, a args) value { return remainder(m, v, a, 2) == 0 },
		"odd":         func(m *machine, v value, a args) value { return remainder(m, v, a, 2) == 1 },
		"false":       func(m *machine, v value, a args) value { return v == value(false) },
		"true":        func(m *machine, v value, a args) value { return v == value(true) },
		"float":       func(m *machine, v value, a args) value { _, ok := v.(float64); return ok },
		"in":          func(m *machine, v value, a args) value { return m.contains(a.line, first(a.get(0, "seq")), v) },
		"integer":     func(m *machine, v value, a args) value { _, ok := v.(int64); return ok },
		"iterable":    sequence,
		"lower": func(m *machine, v value, a args) value {
			t := m.str(v)
			return t.s == strings.ToLower(t.s) && t.s != strings.ToUpper(t.s)
		},
		"mapping":   func(m *machine, v value, a args) value { _, ok := v.(*dict); return ok },
		"none":      func(m *machine, v value, a args) value { return v == nil },
		"number":    func(m *machine, v value, a args) value { return number(v) != nil },
		"sequence":  sequence,
		"string":    func(m *machine, v value, a args) value { _, ok := v.(Text); return ok },
		"undefined": func(m *machine, v value, a args) value { _, none := v.(undefined); return none },
		"upper": func(m *machine, v value, a args) value {
			t := m.str(v)
			return t.s == strings.ToUpper(t.s) && t.s != strings.ToLower(t.s)
		},
		"eq": equal, "equalto": equal, "==": equal, "ne": unequal, "!=": unequal,
		"lt": less, "lessthan": less, "<": less, "le": lessEqual, "<=": lessEqual,
		"gt": greater, "greaterthan": greater, ">": greater, "ge": greaterEqual, ">=": greaterEqual,
	}
}

// apply calls a filter or test from within another, which may be itself.
func (m *machine) apply(f function, v value, a args) value {
	m.enter()
	defer func() { m.depth-- }()
	return f(m, v, a)
}

// key is the key in a pair of dict.pairs.
func key(pair value) string { return pair.(*list).items[0].(Text).s }

// folded is v as sort and unique see it, without capitals.
func folded(v value) value {
	if t, ok := v.(Text); ok {
		return Own(strings.ToLower(t.s))
	}
	return v
}

func (m *machine) dict(a args, v value) *dict {
	d, ok := v.(*dict)
	if !ok {
		fail(a.line, "%s is not a dictionary", typeName(v))
	}
	m.burn(2 * size(d))
	return d
}

func length(m *machine, v value, a args) value {
	switch v := v.(type) {
	case undefined:
		return int64(0)
	case Text:
		return int64(utf8.RuneCountInString(v.s))
	case *list:
		return int64(len(v.items))
	case *dict:
		return int64(len(v.keys))
	}
	fail(a.line, "%s has no length", typeName(v))
	return nil
}

func defaultTo(m *machine, v value, a args) value {
	a.done(2, "default_value", "boolean")
	_, none := v.(undefined)
	if !none && !(a.truth(1, "boolean", false) && !truth(v)) {
		return v
	}
	if def, ok := a.get(0, "default_value"); ok {
		return def
	}
	return Text{}
}

func escape(m *machine, v value, a args) value {
	return m.made(m.str(v).mapRuns(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace))
}

// attributes are those that a's argument "attribute" names, of each item; the
// items themselves if it names none.
func (m *machine) attributes(a args, items []value, place int) []value {
	v, ok := a.get(place, "attribute")
	if !ok || v == nil {
		return items
	}
	out := make([]value, len(items))
	for i, it := range items {
		out[i] = m.attribute(a.line, it, v)
		if _, none := out[i].(undefined); none {
			if def, ok := a.get(-1, "default"); ok {
				out[i] = def
			}
		}
	}
	return out
}

// attribute follows a path such as "function.name" or 0.
func (m *machine) attribute(line int, v, path value) value {
	m.burn(anElement)
	t, ok := path.(Text)
	if !ok {
		return item(line, v, path)
	}
	for part := range strings.SplitSeq(t.s, ".") {
		m.burn(0)
		if n, err := strconv.Atoi(part); err == nil {
			v = item(line, v, int64(n))
		} else {
			v = item(line, v, Own(part))
		}
	}
	return v
}

// choose is select and its kin: the items that pass a test, or do not.
func (m *machine) choose(v value, a args, attr, want bool) value {
	out := &list{}
	rest := a.pos
	var path value
	if attr {
		if len(rest) == 0 {
			fail(a.line, "the name of an attribute is missing")
		}
		path, rest = rest[0], rest[1:]
	}
	var test function
	if len(rest) > 0 {
		name, _ := rest[0].(Text)
		if test = tests[name.s]; test == nil {
			fail(a.line, "the test %q is not supported", name.s)
		}
		rest = rest[1:]
	}
	for _, it := range m.iterate(a.line, v) {
		of := it
		if attr {
			of = m.attribute(a.line, it, path)
		}
		ok := truth(of)
		if test != nil {
			ok = truth(m.apply(test, of, args{a.line, rest, a.named}))
		}
		if ok == want {
			out.items = append(out.items, it)
		}
	}
	return out
}

// extreme is the greatest item if sign is 1, the least if it is -1.
func (m *machine) extreme(a args, v value, sign int) value {
	var best value = undefined{"an extreme of nothing"}
	for i, it := range m.iterate(a.line, v) {
		if i == 0 || sign*m.order(a.line, folded(it), folded(best)) > 0 {
			best = it
		}
	}
	return best
}

func (m *machine) join(sep Text, items []value) value {
	var b builder
	for i, it := range items {
		t := m.str(it)
		m.made(t)
		if i > 0 {
			m.made(sep)
			b.add(sep)
		}
		b.add(t)
	}
	return b.text()
}

func (m *machine) replace(t Text, a args) value {
	old, with, limit := a.text(0, "old", ""), a.text(1, "new", ""), a.int(2, "count", -1)
	if old.s == "" {
		fail(a.line, "replacing nothing is not supported")
	}
	m.burn((anElement + len(with.s)) * strings.Count(t.s, old.s))
	return m.made(t.replace(old.s, with, limit))
}

func capitalize(t Text) Text {
	up := true
	return t.mapRuns(func(s string) string {
		if up {
			_, n := utf8.DecodeRuneInString(s)
			up = false
			return strings.ToUpper(s[:n]) + strings.ToLower(s[n:])
		}
		return strings.ToLower(s)
	})
}

func title(t Text) Text {
	begin := true
	return t.mapRuns(func(s string) string {
		return strings.Map(func(r rune) rune {
			was := begin
			begin = isSpace(r) || strings.ContainsRune("-({[<", r)
			if was {
				return unicode.ToUpper(r)
			}
			return unicode.ToLower(r)
		}, s)
	})
}

// method is a method of v, nil if v has none of that name.
func method(line int, v value, name string) value {
	switch v := v.(type) {
	case Text:
		if f, ok := stringMethods[name]; ok {
			return callable(func(m *machine, a args) value {
				m.burn(len(v.s))
				return f(m, v, a)
			})
		}
	case *dict:
		switch name {
		case "items":
			return callable(func(m *machine, a args) value { return &list{items: m.dict(a, v).pairs()} })
		case "keys":
			return callable(func(m *machine, a args) value { return &list{items: m.iterate(line, v)} })
		case "values":
			return callable(func(m *machine, a args) value {
				l := &list{}
				for _, k := range m.dict(a, v).keys {
					l.items = append(l.items, v.m[k])
				}
				return l
			})
		case "get":
			return callable(func(m *machine, a args) value {
				a.done(2, "default")
				if k, ok := first(a.get(0, "key")).(Text); ok {
					if w, ok := v.get(k.s); ok {
						return w
					}
				}
				if def, ok := a.get(1, "default"); ok {
					return def
				}
				return nil
			})
		}
	}
	return nil
}

func makeStringMethods() map[string]func(m *machine, t Text, a args) value {
	return map[string]func(m *machine, t Text, a args) value{
		"strip":      func(m *machine, t Text, a args) value { return m.trim(t, a, true, true) },
		"lstrip":     func(m *machine, t Text, a args) value { return m.trim(t, a, true, false) },
		"rstrip":     func(m *machine, t Text, a args) value { return m.trim(t, a, false, true) },
		"upper":      func(m *machine, t Text, a args) value { return m.made(t.mapRuns(strings.ToUpper)) },
		"lower":      func(m *machine, t Text, a args) value { return m.made(t.mapRuns(strings.ToLower)) },
		"capitalize": func(m *machine, t Text, a args) value { return m.made(capitalize(t)) },
		"title":      func(m *machine, t Text, a args) value { return m.made(title(t)) },
		"replace":    func(m *machine, t Text, a args) value { return m.replace(t, a) },
		"startswith": func(m *machine, t Text, a args) value { return affix(a, t, strings.HasPrefix) },
		"endswith":   func(m *machine, t Text, a args) value { return affix(a, t, strings.HasSuffix) },
		"find": func(m *machine, t Text, a args) value {
			return runeIndex(t.s, strings.Index(t.s, a.text(0, "sub", "").s))
		},
		"rfind": func(m *machine, t Text, a args) value {
			return runeIndex(t.s, strings.LastIndex(t.s, a.text(0, "sub", "").s))
		},
		"count": func(m *machine, t Text, a args) value { return int64(strings.Count(t.s, a.text(0, "sub", "").s)) },
		"split": func(m *machine, t Text, a args) value {
			return &list{items: m.split(t, a.text(0, "sep", "").s, a.int(1, "maxsplit", -1), false)}
		},
		"rsplit": func(m *machine, t Text, a args) value {
			return &list{items: m.split(t, a.text(0, "sep", "").s, a.int(1, "maxsplit", -1), true)}
		},
		"splitlines": func(m *machine, t Text, a args) value {
			if t.s == "" {
				return &list{}
			}
			return &list{items: m.split(t.replace("\r\n", Own("\n"), -1).trimSuffix("\n"), "\n", -1, false)}
		},
		"join": func(m *machine, t Text, a args) value {
			return m.join(t, m.iterate(a.line, first(a.get(0, "iterable"))))
		},
		"isdigit": func(m *machine, t Text, a args) value { return all(t.s, unicode.IsDigit) },
		"isalpha": func(m *machine, t Text, a args) value { return all(t.s, unicode.IsLetter) },
		"isspace": func(m *machine, t Text, a args) value { return all(t.s, isSpace) },
	}
}

func all(s string, is func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
}

func (m *machine) split(t Text, sep string, limit int, last bool) []value {
	n := len(t.s)/2 + 1
	if sep != "" {
		n = strings.Count(t.s, sep) + 1
	}
	m.burn(anElement * n)
	return t.split(sep, limit, last)
}

// trim takes fuel for looking each character up in a set.
func (m *machine) trim(t Text, a args, left, right bool) Text {
	a.done(1, "chars")
	set := a.text(0, "chars", "").s
	m.burn(len(t.s) * (1 + len(set)))
	return m.made(t.trim(set, left, right))
}

func (t Text) trimSuffix(s string) Text {
	if strings.HasSuffix(t.s, s) {
		return t.slice(0, len(t.s)-len(s))
	}
	return t
}

// affix tests for one beginning or end, or for any of several.
func affix(a args, t Text, has func(s, affix string) bool) value {
	v, _ := a.get(0, "prefix")
	if l, ok := v.(*list); ok {
		return slices.ContainsFunc(l.items, func(v value) bool {
			s, ok := v.(Text)
			return ok && has(t.s, s.s)
		})
	}
	return has(t.s, a.text(0, "prefix", "").s)
}

// runeIndex is a byte's place in s as a character's.
func runeIndex(s string, i int) value {
	if i < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:i]))
}
