package jinja

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Values as text: as {{ }} writes them, as Python's repr and pprint do, and as
// JSON.

// str is v as {{ v }} writes it.
func (m *machine) str(v value) Text {
	switch v := v.(type) {
	case Text:
		return v
	case undefined:
		return Text{}
	}
	return m.reprText(v)
}

func (m *machine) reprText(v value) Text {
	b := builder{m: m}
	m.repr(&b, v)
	return b.text()
}

// repr writes v as Python does.
func (m *machine) repr(b *builder, v value) {
	m.enter()
	defer m.leave()
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
		m.reprString(b, v)
	case *list:
		if v.kind == listRange {
			b.write(fmt.Sprintf("range(%d, %d", v.span[0], v.span[1]), 0)
			if v.span[2] != 1 {
				b.write(fmt.Sprintf(", %d", v.span[2]), 0)
			}
			b.write(")", 0)
			return
		}
		open, end := v.brackets()
		b.write(open, 0)
		for i, item := range v.items {
			if i > 0 {
				b.write(", ", 0)
			}
			m.repr(b, item)
		}
		b.write(end, 0)
	case *dict:
		m.reprDict(b, v)
	case *namespace:
		b.write("<Namespace ", 0)
		m.reprDict(b, &v.dict)
		b.write(">", 0)
	case *loop:
		b.write(fmt.Sprintf("<LoopContext %d/%d>", v.i+1, len(v.items)), 0)
	case *blocks:
		b.write("<TemplateReference None>", 0)
	case *iterator:
		b.write("<generator object>", 0)
	case *function:
		b.write("<function "+v.name+">", 0)
	case undefined:
		b.write("Undefined", 0)
	default:
		b.write("<object>", 0)
	}
}

func (l *list) brackets() (open, end string) {
	switch l.kind {
	case listTuple, listGroup:
		if len(l.items) == 1 {
			return "(", ",)"
		}
		return "(", ")"
	case listKeys:
		return "dict_keys([", "])"
	case listValues:
		return "dict_values([", "])"
	case listItems:
		return "dict_items([", "])"
	}
	return "[", "]"
}

func (m *machine) reprDict(b *builder, d *dict) {
	b.write("{", 0)
	for i, e := range d.entries {
		if i > 0 {
			b.write(", ", 0)
		}
		m.repr(b, e.key)
		b.write(": ", 0)
		m.repr(b, e.val)
	}
	b.write("}", 0)
}

func (m *machine) reprString(b *builder, t Text) {
	quote := "'"
	if strings.Contains(t.s, "'") && !strings.Contains(t.s, `"`) {
		quote = `"`
	}
	m.burn(len(t.s))
	open, end := quote, quote
	if t.html {
		open, end = "Markup("+quote, quote+")"
	}
	b.write(open, t.origin())
	for _, r := range t.Runs() {
		b.write(pythonEscape(r.Text, quote[0]), r.Origin)
	}
	b.write(end, t.origin())
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
		case unicode.IsPrint(r):
			b.WriteString(s[i : i+size])
		default:
			b.WriteString(escapeRune(r))
		}
		i += size
	}
	return b.String()
}

// escapeRune is r in hexadecimal, as Python's strings have it.
func escapeRune(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// ascii is t with all but ASCII escaped.
func (m *machine) ascii(t Text) Text {
	return m.made(t.mapRunes(func(to []byte, _ int, r rune) []byte {
		if r < 0x80 {
			return append(to, byte(r))
		}
		return append(to, escapeRune(r)...)
	}))
}

// pprint writes v as Python's pprint does: keys sorted, and what is longer than
// a line of 80 characters one element a line. The first line begins at column
// indent, and extra characters follow the last.
func (m *machine) pprint(b *builder, v value, indent, extra int) {
	m.enter()
	defer m.leave()
	const width = 80
	sorted := m.sortKeys(v)
	whole := m.reprText(sorted)
	if utf8.RuneCountInString(whole.s) <= width-indent-extra {
		b.add(whole)
		return
	}
	line := func() {
		m.burn(indent)
		b.write(",\n"+strings.Repeat(" ", indent+1), 0)
	}
	switch v := sorted.(type) {
	case *list:
		if v.kind != listList && !v.isTuple() || len(v.items) == 0 {
			break
		}
		open, end := v.brackets()
		b.write(open, 0)
		for i, item := range v.items {
			rest := 1
			if i == len(v.items)-1 {
				rest = extra + len(end)
			}
			if i > 0 {
				line()
			}
			m.pprint(b, item, indent+1, rest)
		}
		b.write(end, 0)
		return
	case *dict:
		b.write("{", 0)
		for i, e := range v.entries {
			rest := 1
			if i == len(v.entries)-1 {
				rest = extra + 1
			}
			if i > 0 {
				line()
			}
			key := m.reprText(e.key)
			b.add(key)
			b.write(": ", 0)
			m.pprint(b, e.val, indent+utf8.RuneCountInString(key.s)+3, rest)
		}
		b.write("}", 0)
		return
	}
	b.add(whole)
}

// sortKeys is v with the keys of all dictionaries in order.
func (m *machine) sortKeys(v value) value {
	m.enter()
	defer m.leave()
	m.burn(size(v))
	switch v := v.(type) {
	case *list:
		out := &list{kind: v.kind, span: v.span, items: make([]value, len(v.items))}
		for i, item := range v.items {
			out.items[i] = m.sortKeys(item)
		}
		return out
	case *dict:
		out := &dict{}
		for _, e := range m.sortedEntries(v, true) {
			out.put(e.hash, e.key, m.sortKeys(e.val))
		}
		return out
	}
	return v
}

// sortedEntries are d's entries by key. Keys of different kinds fail, or are
// sorted by kind.
func (m *machine) sortedEntries(d *dict, mixed bool) []entry {
	entries := slices.Clone(d.entries)
	slices.SortStableFunc(entries, func(x, y entry) int {
		if mixed && typeName(x.key) != typeName(y.key) {
			return cmp.Compare(pythonType(x.key), pythonType(y.key))
		}
		return m.order(x.key, y.key)
	})
	return entries
}

func pythonType(v value) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case Text:
		return "str"
	}
	return "tuple"
}

// jsonForm is how JSON is written.
type jsonForm struct {
	indent           string
	pretty           bool // one element a line
	keySep, itemSep  string
	origin           int // of separators and indent
	ascii, sortsKeys bool
}

// json writes v as Python's json.dumps does.
func (m *machine) json(b *builder, v value, f *jsonForm, depth int) {
	m.enter()
	defer m.leave()
	line := func(depth int) {
		if f.pretty {
			m.burn(1 + len(f.indent)*depth)
			b.write("\n", 0)
			b.write(strings.Repeat(f.indent, depth), f.origin)
		}
	}
	item := func(i int) {
		if i > 0 {
			b.write(f.itemSep, f.origin)
		}
		line(depth + 1)
	}
	switch v := v.(type) {
	case nil, bool, int64, float64:
		b.write(jsonNumber(v), 0)
	case Text:
		m.jsonString(b, v, f.ascii)
	case *list:
		if v.kind != listList && !v.isTuple() {
			m.fail("%s has no form in JSON", typeName(v))
		}
		b.write("[", 0)
		for i, it := range v.items {
			item(i)
			m.json(b, it, f, depth+1)
		}
		if len(v.items) > 0 {
			line(depth)
		}
		b.write("]", 0)
	case *dict:
		entries := v.entries
		if f.sortsKeys {
			entries = m.sortedEntries(v, false)
		}
		b.write("{", 0)
		for i, e := range entries {
			item(i)
			switch k := e.key.(type) {
			case Text:
				m.jsonString(b, k, f.ascii)
			case nil, bool, int64, float64:
				b.write(`"`+jsonNumber(k)+`"`, 0)
			default:
				m.fail("%s cannot be a key in JSON", typeName(k))
			}
			b.write(f.keySep, f.origin)
			m.json(b, e.val, f, depth+1)
		}
		if len(entries) > 0 {
			line(depth)
		}
		b.write("}", 0)
	default:
		m.fail("%s has no form in JSON", typeName(v))
	}
}

// jsonNumber is a number, a truth value or none.
func jsonNumber(v value) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		switch {
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		case v != v:
			return "NaN"
		}
		return pythonFloat(v)
	}
	return "null"
}

func (m *machine) jsonString(b *builder, t Text, ascii bool) {
	m.burn(len(t.s))
	b.write(`"`, t.origin())
	for _, r := range t.Runs() {
		b.write(jsonEscape(r.Text, ascii), r.Origin)
	}
	b.write(`"`, t.origin())
}

func jsonEscape(s string, ascii bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case ascii && r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r < ' ', ascii && r > '~':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}
