package jinja

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A value is nil, bool, int64, float64, Text, *list, *dict, *namespace, *loop,
// callable or undefined. Only a namespace can change, so that everything else
// may be shared and cannot contain itself.
type value any

// undefined is what a name without a value stands for.
type undefined struct{ name string }

type list struct {
	items []value
	tuple bool
}

// dict keeps the order in which its keys were set.
type dict struct {
	keys []string
	m    map[string]value
}

func newDict() *dict { return &dict{m: map[string]value{}} }

func (d *dict) set(k string, v value) {
	if _, ok := d.m[k]; !ok {
		d.keys = append(d.keys, k)
	}
	d.m[k] = v
}

func (d *dict) get(k string) (value, bool) {
	v, ok := d.m[k]
	return v, ok
}

func (d *dict) pairs() []value {
	out := make([]value, len(d.keys))
	for i, k := range d.keys {
		out[i] = &list{[]value{Own(k), d.m[k]}, true}
	}
	return out
}

// namespace is a dict whose attributes can be set.
type namespace struct{ dict }

// loop is the variable of that name: round i of a loop over items.
type loop struct {
	items []value
	i     int
}

func (l *loop) attr(name string) (value, bool) {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.i + 1), true
	case "index0":
		return int64(l.i), true
	case "revindex":
		return int64(n - l.i), true
	case "revindex0":
		return int64(n - l.i - 1), true
	case "first":
		return l.i == 0, true
	case "last":
		return l.i == n-1, true
	case "length":
		return int64(n), true
	case "previtem":
		if l.i > 0 {
			return l.items[l.i-1], true
		}
	case "nextitem":
		if l.i < n-1 {
			return l.items[l.i+1], true
		}
	case "cycle":
		return callable(func(m *machine, a args) value {
			if len(a.pos) == 0 {
				fail(a.line, "cycle has nothing to choose from")
			}
			return a.pos[l.i%len(a.pos)]
		}), true
	}
	return nil, false
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		return "a truth value"
	case int64, float64:
		return "a number"
	case Text:
		return "a string"
	case *list:
		return "a list"
	case *dict:
		return "a dictionary"
	case undefined:
		return v.name + ", which is undefined,"
	}
	return "an object"
}

func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case Text:
		return v.s != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

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

// size is about what v takes in bytes.
func size(v value) int {
	switch v := v.(type) {
	case Text:
		return len(v.s)
	case *list:
		return anElement * len(v.items)
	case *dict:
		return anElement * len(v.keys)
	}
	return 0
}

// iterate is what a loop over v goes through.
func (m *machine) iterate(line int, v value) []value {
	if t, ok := v.(Text); ok {
		m.burn(anElement * len(t.s))
	}
	m.burn(size(v))
	switch v := v.(type) {
	case undefined:
		return nil
	case *list:
		return v.items
	case *dict:
		out := make([]value, len(v.keys))
		for i, k := range v.keys {
			out[i] = Own(k)
		}
		return out
	case Text:
		out := make([]value, 0, len(v.s))
		o := offsets(v.s)
		for i := range o[1:] {
			out = append(out, v.slice(o[i], o[i+1]))
		}
		return out
	}
	fail(line, "%s cannot be gone through", typeName(v))
	return nil
}

func (m *machine) equal(a, b value) bool {
	m.enter()
	defer func() { m.depth-- }()
	if x := number(a); x != nil {
		y := number(b)
		i, ok1 := x.(int64)
		j, ok2 := y.(int64)
		if ok1 && ok2 {
			return i == j
		}
		f, _ := float(x)
		g, ok := float(y)
		return ok && f == g
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case Text:
		t, ok := b.(Text)
		m.burn(len(a.s))
		return ok && a.s == t.s
	case *list:
		l, ok := b.(*list)
		if !ok || len(a.items) != len(l.items) || a.tuple != l.tuple {
			return false
		}
		for i := range a.items {
			if !m.equal(a.items[i], l.items[i]) {
				return false
			}
		}
		return true
	case *dict:
		d, ok := b.(*dict)
		if !ok || len(a.keys) != len(d.keys) {
			return false
		}
		for k, v := range a.m {
			w, ok := d.m[k]
			if !ok || !m.equal(v, w) {
				return false
			}
		}
		return true
	case *namespace:
		return b == value(a)
	case *loop:
		return b == value(a)
	}
	return false
}

// order compares two numbers, strings or lists; nothing else has an order.
func (m *machine) order(line int, a, b value) int {
	m.enter()
	defer func() { m.depth-- }()
	if x, ok := number(a).(int64); ok {
		if y, ok := number(b).(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	if x, ok := float(a); ok {
		if y, ok := float(b); ok {
			return cmp.Compare(x, y)
		}
	}
	switch a := a.(type) {
	case Text:
		if t, ok := b.(Text); ok {
			m.burn(len(a.s))
			return strings.Compare(a.s, t.s)
		}
	case *list:
		if l, ok := b.(*list); ok {
			for i := range min(len(a.items), len(l.items)) {
				if c := m.order(line, a.items[i], l.items[i]); c != 0 {
					return c
				}
			}
			return len(a.items) - len(l.items)
		}
	}
	fail(line, "%s and %s have no order", typeName(a), typeName(b))
	return 0
}

func (m *machine) contains(line int, in, v value) bool {
	m.burn(size(in))
	switch in := in.(type) {
	case undefined:
		return false
	case Text:
		t, ok := v.(Text)
		if !ok {
			fail(line, "%s cannot be in a string", typeName(v))
		}
		return strings.Contains(in.s, t.s)
	case *list:
		return slices.ContainsFunc(in.items, func(w value) bool { return m.equal(v, w) })
	case *dict:
		t, ok := v.(Text)
		if !ok {
			return false
		}
		_, ok = in.get(t.s)
		return ok
	}
	fail(line, "nothing can be in %s", typeName(in))
	return false
}

// str is v as {{ v }} writes it.
func (m *machine) str(v value) Text {
	switch v := v.(type) {
	case Text:
		return v
	case undefined:
		return Text{}
	}
	var b builder
	m.repr(&b, v)
	return m.made(b.text())
}

// repr writes v as Python does.
func (m *machine) repr(b *builder, v value) {
	m.enter()
	defer func() { m.depth-- }()
	switch v := v.(type) {
	case nil:
		b.write("None", 0)
	case bool:
		if v {
			b.write("True", 0)
		} else {
			b.write("False", 0)
		}
	case int64:
		b.write(strconv.FormatInt(v, 10), 0)
	case float64:
		b.write(pythonFloat(v), 0)
	case Text:
		quote := "'"
		if strings.Contains(v.s, "'") && !strings.Contains(v.s, `"`) {
			quote = `"`
		}
		m.burn(len(v.s))
		b.write(quote, v.origin())
		for _, r := range v.Runs() {
			b.write(pythonEscape(r.Text, quote[0]), r.Origin)
		}
		b.write(quote, v.origin())
	case *list:
		open, close := "[", "]"
		if v.tuple {
			open, close = "(", ")"
			if len(v.items) == 1 {
				close = ",)"
			}
		}
		b.write(open, 0)
		for i, item := range v.items {
			if i > 0 {
				b.write(", ", 0)
			}
			m.repr(b, item)
		}
		b.write(close, 0)
	case *dict:
		b.write("{", 0)
		for i, k := range v.keys {
			if i > 0 {
				b.write(", ", 0)
			}
			m.repr(b, Own(k))
			b.write(": ", 0)
			m.repr(b, v.m[k])
		}
		b.write("}", 0)
	case undefined:
		b.write("Undefined", 0)
	default:
		b.write("<object>", 0)
	}
}

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

func pythonEscape(s string, quote byte) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\\', r == rune(quote):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// json writes v as Python's json.dumps(ensure_ascii=False) does.
func (m *machine) json(b *builder, v value, indent, depth int, keySep, itemSep string, sorted bool) {
	m.enter()
	defer func() { m.depth-- }()
	pad := func(depth int) {
		if indent >= 0 {
			m.burn(indent * depth)
			b.write("\n"+strings.Repeat(" ", indent*depth), 0)
		}
	}
	switch v := v.(type) {
	case nil:
		b.write("null", 0)
	case bool:
		b.write(strconv.FormatBool(v), 0)
	case int64:
		b.write(strconv.FormatInt(v, 10), 0)
	case float64:
		switch {
		case math.IsInf(v, 1):
			b.write("Infinity", 0)
		case math.IsInf(v, -1):
			b.write("-Infinity", 0)
		case v != v:
			b.write("NaN", 0)
		default:
			b.write(pythonFloat(v), 0)
		}
	case Text:
		m.burn(len(v.s))
		b.write(`"`, v.origin())
		for _, r := range v.Runs() {
			b.write(jsonEscape(r.Text), r.Origin)
		}
		b.write(`"`, v.origin())
	case *list:
		b.write("[", 0)
		for i, item := range v.items {
			if i > 0 {
				m.burn(len(itemSep))
				b.write(itemSep, 0)
			}
			pad(depth + 1)
			m.json(b, item, indent, depth+1, keySep, itemSep, sorted)
		}
		if len(v.items) > 0 {
			pad(depth)
		}
		b.write("]", 0)
	case *dict:
		keys := v.keys
		if sorted {
			keys = slices.Clone(keys)
			slices.Sort(keys)
		}
		b.write("{", 0)
		for i, k := range keys {
			if i > 0 {
				m.burn(len(itemSep))
				b.write(itemSep, 0)
			}
			pad(depth + 1)
			m.burn(len(k) + len(keySep))
			b.write(`"`+jsonEscape(k)+`"`+keySep, 0)
			m.json(b, v.m[k], indent, depth+1, keySep, itemSep, sorted)
		}
		if len(keys) > 0 {
			pad(depth)
		}
		b.write("}", 0)
	default:
		fail(0, "%s has no form in JSON", typeName(v))
	}
}

func jsonEscape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}
