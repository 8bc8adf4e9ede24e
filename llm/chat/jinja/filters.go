package jinja

import (
	"fmt"
	"html"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Filters, as Jinja2 defines them, with tojson as transformers has it. Whatever
// makes text keeps its origins; whatever makes or goes through much takes fuel
// for it.

var filters map[string]*function

func makeFilters() {
	filters = table(map[string]impl{
		// Of text.
		"capitalize": func(m *machine, a args) value { return m.made(capitalize(m.str(a.pos[0]))) },
		"center width?": func(m *machine, a args) value {
			return m.justify(m.str(a.pos[0]), m.intOr(a, 1, 80), Own(" "), '^')
		},
		"escape":      func(m *machine, a args) value { return m.made(escape(m.str(a.pos[0]))) },
		"forceescape": func(m *machine, a args) value { return m.made(forceEscape(m.str(a.pos[0]))) },
		"format * **": func(m *machine, a args) value {
			if a.named == nil {
				return m.percent(m.str(a.pos[0]), tuple(a.more...))
			}
			if len(a.more) > 0 {
				m.fail("format takes values with names or without, not both")
			}
			return m.percent(m.str(a.pos[0]), a.named)
		},
		"indent width? first? blank?": (*machine).indent,
		"lower":                       func(m *machine, a args) value { return m.made(lower(m.str(a.pos[0]))) },
		"replace old new count?": func(m *machine, a args) value {
			limit := -1
			if a.given(3) {
				limit = m.integer(a.pos[3])
			}
			t, old, with := m.str(a.pos[0]), m.str(a.pos[1]), m.str(a.pos[2])
			t.html, with.html = false, false
			return m.replace(t, old, with, limit)
		},
		"safe": func(m *machine, a args) value {
			t := m.str(a.pos[0])
			t.html = true
			return t
		},
		"string":    func(m *machine, a args) value { return m.str(a.pos[0]) },
		"striptags": func(m *machine, a args) value { return m.stripTags(m.str(a.pos[0])) },
		"title":     func(m *machine, a args) value { return m.made(jinjaTitle(m.str(a.pos[0]))) },
		"trim chars?": func(m *machine, a args) value {
			return m.trim(m.str(a.pos[0]), a, true, true)
		},
		"truncate length? killwords? end? leeway?": (*machine).truncate,
		"upper":              func(m *machine, a args) value { return m.made(upper(m.str(a.pos[0]))) },
		"urlencode":          (*machine).urlEncode,
		"wordcount":          func(m *machine, a args) value { return wordCount(m.str(a.pos[0]).s) },
		"xmlattr autospace?": (*machine).xmlAttr,

		// Of numbers.
		"abs": func(m *machine, a args) value {
			switch n := number(a.pos[0]).(type) {
			case int64:
				if n < 0 {
					return m.integers("-", 0, n)
				}
				return n
			case float64:
				return math.Abs(n)
			}
			m.fail("abs of %s", typeName(a.pos[0]))
			return nil
		},
		"filesizeformat binary?": (*machine).fileSize,
		"float default?": func(m *machine, a args) value {
			if f, ok := m.toFloat(a.pos[0]); ok {
				return f
			}
			return a.or(1, 0.0)
		},
		"int default? base?":       (*machine).toInt,
		"round precision? method?": (*machine).roundTo,

		// Of sequences.
		"batch linecount fill_with?": (*machine).batch,
		"first": func(m *machine, a args) value {
			if it, ok := a.pos[0].(*iterator); ok && len(it.items) > 0 {
				v := it.items[0]
				it.items = it.items[1:]
				return v
			}
			if items := m.iterate(a.pos[0]); len(items) > 0 {
				return items[0]
			}
			return undefined{"there is no first item"}
		},
		"groupby attribute default? case_sensitive?": (*machine).groupBy,
		"items": func(m *machine, a args) value {
			if _, none := a.pos[0].(undefined); none {
				return &iterator{}
			}
			return &iterator{m.dict(a.pos[0]).pairs()}
		},
		"join d? attribute?": func(m *machine, a args) value {
			items := m.iterate(a.pos[0])
			if a.given(2) {
				items = m.pick(items, m.getter(a.pos[2], nil, false))
			}
			sep := m.str(a.or(1, Text{}))
			sep.html = false
			return m.join(sep, items)
		},
		"last": func(m *machine, a args) value {
			if _, once := a.pos[0].(*iterator); once {
				m.fail("%s has no last item before it is made a list", typeName(a.pos[0]))
			}
			if items := m.iterate(a.pos[0]); len(items) > 0 {
				return items[len(items)-1]
			}
			return undefined{"there is no last item"}
		},
		"length":                         (*machine).lengthOf,
		"list":                           func(m *machine, a args) value { return &list{items: slices.Clone(m.iterate(a.pos[0]))} },
		"map * **":                       (*machine).mapFilter,
		"max case_sensitive? attribute?": func(m *machine, a args) value { return m.extreme(a, 1) },
		"min case_sensitive? attribute?": func(m *machine, a args) value { return m.extreme(a, -1) },
		"random": func(m *machine, a args) value {
			n := length(a.pos[0])
			if n == 0 {
				return undefined{"there is no item to choose from"}
			}
			if l, ok := a.pos[0].(*list); n < 0 || ok && !l.indexed() {
				m.fail("random of %s", typeName(a.pos[0]))
			}
			v, ok := m.item(a.pos[0], int64(rand.IntN(n)))
			if !ok {
				m.fail("random of %s", typeName(a.pos[0]))
			}
			return v
		},
		"reject * **":     func(m *machine, a args) value { return m.choose(a, false, false) },
		"rejectattr * **": func(m *machine, a args) value { return m.choose(a, true, false) },
		"reverse": func(m *machine, a args) value {
			items := slices.Clone(m.iterate(a.pos[0]))
			slices.Reverse(items)
			switch v := a.pos[0].(type) {
			case Text:
				t := m.join(Text{}, items)
				t.html = v.html
				return t
			case *iterator:
				return &list{items: items}
			}
			return &iterator{items}
		},
		"select * **":             func(m *machine, a args) value { return m.choose(a, false, true) },
		"selectattr * **":         func(m *machine, a args) value { return m.choose(a, true, true) },
		"slice slices fill_with?": (*machine).slices,
		"sort reverse? case_sensitive? attribute?": func(m *machine, a args) value {
			items := m.iterate(a.pos[0])
			return &list{items: m.sorted(items, m.getters(a.or(3, nil), !a.truth(2)), a.truth(1))}
		},
		"sum attribute? start?": func(m *machine, a args) value {
			items := m.iterate(a.pos[0])
			if a.given(1) {
				items = m.pick(items, m.getter(a.pos[1], nil, false))
			}
			sum := a.or(2, int64(0))
			if _, ok := sum.(Text); ok {
				m.fail("strings are joined, not summed up")
			}
			for _, item := range items {
				sum = m.operate("+", sum, item)
			}
			return sum
		},
		"unique case_sensitive? attribute?": func(m *machine, a args) value {
			get, seen, out := m.getter(a.or(2, nil), nil, !a.truth(1)), map[any]bool{}, &iterator{}
			for _, item := range m.iterate(a.pos[0]) {
				if h := m.hash(get(item)); !seen[h] {
					seen[h] = true
					out.items = append(out.items, item)
				}
			}
			return out
		},

		// Of anything.
		"attr name": func(m *machine, a args) value {
			if v, ok := m.attr(a.pos[0], m.text(a, 1).s); ok {
				return v
			}
			return notDefined(m.text(a, 1).s)
		},
		"default default_value? boolean?": func(m *machine, a args) value {
			if _, none := a.pos[0].(undefined); none || a.truth(2) && !truth(a.pos[0]) {
				return a.or(1, Text{})
			}
			return a.pos[0]
		},
		"dictsort case_sensitive? by? reverse?": func(m *machine, a args) value {
			i := slices.Index([]string{"key", "value"}, m.textOr(a, 2, "key").s)
			if i < 0 {
				m.fail("dictsort sorts by key or by value")
			}
			get := func(pair value) value { return pair.(*list).items[i] }
			if !a.truth(1) {
				get = func(pair value) value { return folded(pair.(*list).items[i]) }
			}
			return &list{items: m.sorted(m.dict(a.pos[0]).pairs(), get, a.truth(3))}
		},
		"pprint": func(m *machine, a args) value {
			b := builder{m: m}
			m.pprint(&b, a.pos[0], 0, 0)
			return b.text()
		},
		"tojson ensure_ascii? indent? separators? sort_keys?": (*machine).toJSON,
	})
	for name, of := range map[string]string{"e": "escape", "d": "default", "count": "length"} {
		filters[name] = filters[of]
	}
}

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// escape makes t safe if it is not.
func escape(t Text) Text {
	if t.html {
		return t
	}
	return forceEscape(t)
}

func forceEscape(t Text) Text {
	var b builder
	for _, r := range t.Runs() {
		b.write(htmlEscapes.Replace(r.Text), r.Origin)
	}
	out := b.text()
	out.html = true
	return out
}

func (m *machine) indent(a args) value {
	t := m.str(a.pos[0])
	if _, ok := a.pos[0].(Text); !ok {
		m.fail("indent of %s", typeName(a.pos[0]))
	}
	pad, ok := a.or(1, int64(4)).(Text)
	if !ok {
		n := max(m.intOr(a, 1, 4), 0)
		m.burn(n)
		pad = Own(strings.Repeat(" ", n))
	}
	lines := m.lines(concat(t, Own("\n")), false)
	var b builder
	for i, line := range lines {
		line := line.(Text)
		if i > 0 {
			b.write("\n", t.origin())
		}
		if i == 0 && a.truth(2) || i > 0 && (line.s != "" || a.truth(3)) {
			m.made(pad)
			b.add(pad)
		}
		b.add(line)
	}
	return m.made(b.textLike(t))
}

func (m *machine) lines(t Text, keep bool) []value {
	m.burn(len(t.s))
	lines := t.splitLines(keep)
	m.burn(anElement * len(lines))
	return lines
}

func (m *machine) replace(t, old, with Text, limit int) Text {
	n := strings.Count(t.s, old.s)
	if limit >= 0 {
		n = min(n, limit)
	}
	m.burn(min(n, 1<<20) * (anElement + len(with.s) + anElement*len(with.runs)))
	return m.made(t.replace(old.s, with, limit))
}

func (m *machine) stripTags(t Text) Text {
	m.burn(16 * len(t.s))
	s := without(without(t.s, "<!--", "-->"), "<", ">")
	return t.like(html.UnescapeString(strings.Join(strings.FieldsFunc(s, isSpace), " ")))
}

// without is s without what stands between open and end, and without these.
func without(s, open, end string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, open)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return b.String() + s
		}
		b.WriteString(before)
		s = after
	}
}

func (m *machine) truncate(a args) value {
	t, ok := a.pos[0].(Text)
	if !ok {
		m.fail("truncate of %s", typeName(a.pos[0]))
	}
	n, end, leeway := m.intOr(a, 1, 255), m.textOr(a, 3, "..."), 5
	if a.given(4) {
		leeway = m.integer(a.pos[4])
	}
	tail := utf8.RuneCountInString(end.s)
	if n < tail || leeway < 0 {
		m.fail("truncate to less than its end has, or with a leeway below zero")
	}
	if utf8.RuneCountInString(t.s) <= n+leeway {
		return t
	}
	cut := m.cut(t, n-tail)
	if !a.truth(2) {
		if i := strings.LastIndexByte(cut.s, ' '); i >= 0 {
			cut = cut.slice(0, i)
		}
	}
	return m.made(concat(cut, end))
}

// quoteURL is Python's quote, which knows four signs besides letters and
// digits, and a slash if it stands in a path.
func (m *machine) quoteURL(v value, query bool) Text {
	t := m.str(v)
	m.burn(3 * len(t.s))
	var b builder
	for _, r := range t.Runs() {
		var s []byte
		for _, c := range []byte(r.Text) {
			switch {
			case 'a' <= c|0x20 && c|0x20 <= 'z', isDigit(c), strings.IndexByte("_.-~", c) >= 0, c == '/' && !query:
				s = append(s, c)
			case c == ' ' && query:
				s = append(s, '+')
			default:
				s = fmt.Appendf(s, "%%%02X", c)
			}
		}
		b.write(string(s), r.Origin)
	}
	return b.text()
}

func (m *machine) urlEncode(a args) value {
	if _, ok := a.pos[0].(Text); ok || !iterable(a.pos[0]) {
		return m.made(m.quoteURL(a.pos[0], false))
	}
	pairs := []value(nil)
	if d, ok := a.pos[0].(*dict); ok {
		pairs = d.pairs()
	} else {
		pairs = m.iterate(a.pos[0])
	}
	parts := make([]value, len(pairs))
	for i, pair := range pairs {
		kv := m.iterate(pair)
		if len(kv) != 2 {
			m.fail("urlencode takes pairs")
		}
		parts[i] = Join(m.quoteURL(kv[0], true), Own("="), m.quoteURL(kv[1], true))
	}
	return m.join(Own("&"), parts)
}

func (m *machine) xmlAttr(a args) value {
	var parts []value
	for _, e := range m.dict(a.pos[0]).entries {
		if _, none := e.val.(undefined); none || e.val == nil {
			continue
		}
		k, ok := e.key.(Text)
		if !ok || strings.ContainsAny(k.s, " \t\n\r\f\v/>=") {
			m.fail("there is a character in an attribute's name that cannot be there")
		}
		parts = append(parts, Join(escape(k), Own(`="`), escape(m.str(e.val)), Own(`"`)))
	}
	t := m.join(Own(" "), parts)
	if len(parts) > 0 && truth(a.or(1, true)) {
		t = Join(Own(" "), t)
	}
	return t
}

func wordCount(s string) int64 {
	n, within := int64(0), false
	for _, r := range s {
		w := isAlnum(r) || r == '_'
		if w && !within {
			n++
		}
		within = w
	}
	return n
}

func (m *machine) fileSize(a args) value {
	size, ok := m.toFloat(a.pos[0])
	if !ok {
		m.fail("filesizeformat of %s", typeName(a.pos[0]))
	}
	base, units := 1000.0, []string{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}
	if a.truth(1) {
		base, units = 1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}
	}
	if size == 1 {
		return Own("1 Byte")
	}
	if size < base {
		return Own(strconv.Itoa(int(size)) + " Bytes")
	}
	unit := base
	for i, name := range units {
		if unit *= base; size < unit || i == len(units)-1 {
			return Own(strconv.FormatFloat(base*size/unit, 'f', 1, 64) + " " + name)
		}
	}
	return nil
}

// toFloat is Python's float(v); false if it can't be one.
func (m *machine) toFloat(v value) (float64, bool) {
	switch v := v.(type) {
	case Text:
		return parseFloat(v.s)
	case undefined:
		m.fail("%s", v.why)
	}
	return float(v)
}

func (m *machine) toInt(a args) value {
	base := m.intOr(a, 2, 10)
	if t, ok := a.pos[0].(Text); ok {
		if n, ok := parseInt(t.s, base); ok {
			return n
		}
	}
	f, ok := m.toFloat(a.pos[0])
	if n, whole := number(a.pos[0]).(int64); whole {
		return n
	}
	if n, fits := truncated(f); ok && fits && f == f {
		return n
	}
	if ok && f == f {
		m.fail("a number is too large")
	}
	return a.or(1, int64(0))
}

func (m *machine) roundTo(a args) value {
	places, v := m.intOr(a, 1, 0), a.pos[0]
	method := m.textOr(a, 2, "common").s
	var whole func(float64) float64
	switch method {
	case "common":
		return m.round(v, places)
	case "ceil":
		whole = math.Ceil
	case "floor":
		whole = math.Floor
	default:
		m.fail("round knows common, ceil and floor, not %q", method)
	}
	f, ok := float(v)
	if !ok || f != f || math.IsInf(f, 0) {
		m.fail("%s cannot be rounded", typeName(v))
	}
	scale := math.Pow(10, float64(places))
	return whole(f*scale) / scale
}

func (m *machine) lengthOf(a args) value {
	n := length(a.pos[0])
	if n < 0 {
		m.fail("%s has no length", typeName(a.pos[0]))
	}
	return int64(n)
}

func (m *machine) dict(v value) *dict {
	d, ok := v.(*dict)
	if !ok {
		m.fail("%s is not a dictionary", typeName(v))
	}
	m.burn(2 * size(d))
	return d
}

func (m *machine) batch(a args) value {
	n, items, out := m.integer(a.pos[1]), m.iterate(a.pos[0]), &iterator{}
	if n == 0 && len(items) > 0 {
		out.items = append(out.items, &list{})
	}
	if n < 1 { // never full
		n = len(items)
	}
	for part := range slices.Chunk(items, max(n, 1)) {
		part = slices.Clone(part)
		if a.given(2) && len(part) < n {
			m.burn(anElement * (n - len(part)))
			part = append(part, slices.Repeat([]value{a.pos[2]}, n-len(part))...)
		}
		out.items = append(out.items, &list{items: part})
	}
	return out
}

func (m *machine) slices(a args) value {
	n, items, out := m.integer(a.pos[1]), m.iterate(a.pos[0]), &iterator{}
	total := len(items)
	if n == 0 {
		m.fail("slice into no parts")
	}
	for i := range n {
		m.burn(anElement)
		size := len(items) / (n - i) // larger parts come first
		if len(items)%(n-i) != 0 {
			size++
		}
		part := slices.Clone(items[:size])
		items = items[size:]
		out.items = append(out.items, &list{items: part})
	}
	if parts := out.items; a.given(2) && len(parts) > 0 {
		for _, part := range parts[total%n:] {
			part := part.(*list)
			part.items = append(part.items, a.pos[2])
		}
	}
	return out
}

// A getter takes of an item what it is sorted or grouped by.
type getter func(item value) value

func (m *machine) pick(items []value, get getter) []value {
	out := make([]value, len(items))
	for i, item := range items {
		out[i] = get(item)
	}
	return out
}

// getter follows a path such as "function.name" or 0; nil is the item itself.
// def stands for what is undefined unless it is nil.
func (m *machine) getter(path, def value, fold bool) getter {
	var parts []value
	switch path := path.(type) {
	case nil:
	case Text:
		for part := range strings.SplitSeq(path.s, ".") {
			if n, err := strconv.ParseUint(part, 10, 31); err == nil {
				parts = append(parts, int64(n))
			} else {
				parts = append(parts, Own(part))
			}
		}
	default:
		parts = []value{path}
	}
	return func(v value) value {
		for _, part := range parts {
			m.burn(anElement)
			v = m.subscript(v, part)
		}
		if _, none := v.(undefined); none && def != nil {
			v = def
		}
		if fold {
			m.read(v)
			return folded(v)
		}
		return v
	}
}

// getters takes a list of what several paths with commas between lead to.
func (m *machine) getters(path value, fold bool) getter {
	all := []getter{}
	if t, ok := path.(Text); ok {
		for part := range strings.SplitSeq(t.s, ",") {
			all = append(all, m.getter(Own(part), nil, fold))
		}
	} else {
		all = append(all, m.getter(path, nil, fold))
	}
	return func(v value) value {
		keys := &list{items: make([]value, len(all))}
		for i, get := range all {
			keys.items[i] = get(v)
		}
		return keys
	}
}

// sorted is items in order of what get takes of them.
func (m *machine) sorted(items []value, get getter, reverse bool) []value {
	type keyed struct{ item, key value }
	all := make([]keyed, len(items))
	for i, item := range items {
		all[i] = keyed{item, get(item)}
	}
	slices.SortStableFunc(all, func(x, y keyed) int {
		if reverse {
			x, y = y, x
		}
		return m.order(x.key, y.key)
	})
	out := make([]value, len(all))
	for i := range all {
		out[i] = all[i].item
	}
	return out
}

func (m *machine) groupBy(a args) value {
	fold, def := !a.truth(3), a.or(2, nil)
	get, plain := m.getter(a.pos[1], def, fold), m.getter(a.pos[1], def, false)
	out := &list{}
	var last value
	for i, item := range m.sorted(m.iterate(a.pos[0]), get, false) {
		key := get(item)
		if i == 0 || !m.equal(key, last) {
			m.burn(anElement)
			out.items = append(out.items, &list{items: []value{plain(item), &list{}}, kind: listGroup})
		}
		last = key
		group := out.items[len(out.items)-1].(*list).items[1].(*list)
		group.items = append(group.items, item)
	}
	return out
}

// extreme is the greatest item if sign is 1, the least if it is -1.
func (m *machine) extreme(a args, sign int) value {
	get := m.getter(a.or(2, nil), nil, !a.truth(1))
	var best, bestKey value = undefined{"there is no item"}, nil
	for i, item := range m.iterate(a.pos[0]) {
		key := get(item)
		if i == 0 || sign*m.order(key, bestKey) > 0 {
			best, bestKey = item, key
		}
	}
	return best
}

// mapFilter applies a filter to each item, or takes an attribute of each.
func (m *machine) mapFilter(a args) value {
	if !truth(a.pos[0]) {
		return &iterator{}
	}
	named := a.named
	if named == nil {
		named = &dict{}
	}
	if path, ok := named.get("attribute"); ok && len(a.more) == 0 {
		def, _ := named.get("default")
		for _, e := range named.entries {
			if e.hash != any("attribute") && e.hash != any("default") {
				m.fail("map takes no argument %q", e.key.(Text).s)
			}
		}
		return &iterator{m.pick(m.iterate(a.pos[0]), m.getter(path, def, false))}
	}
	if len(a.more) == 0 {
		m.fail("map needs the name of a filter")
	}
	name, ok := a.more[0].(Text)
	if !ok {
		m.fail("map needs the name of a filter, not %s", typeName(a.more[0]))
	}
	return &iterator{m.pick(m.iterate(a.pos[0]), func(item value) value {
		return m.filter(name.s, args{pos: append([]value{item}, a.more[1:]...), named: a.named})
	})}
}

// choose is select and its kin: the items that pass a test, or do not.
func (m *machine) choose(a args, attr, want bool) value {
	out := &iterator{}
	if !truth(a.pos[0]) {
		return out
	}
	get, rest := m.getter(nil, nil, false), a.more
	if attr {
		if len(rest) == 0 {
			m.fail("the name of an attribute is missing")
		}
		get, rest = m.getter(rest[0], nil, false), rest[1:]
	}
	for _, item := range m.iterate(a.pos[0]) {
		of, ok := get(item), false
		if len(rest) == 0 {
			ok = truth(of)
		} else {
			name, text := rest[0].(Text)
			if !text {
				m.fail("the name of a test expected, not %s", typeName(rest[0]))
			}
			ok = m.test(name.s, args{pos: append([]value{of}, rest[1:]...), named: a.named})
		}
		if ok == want {
			out.items = append(out.items, item)
		}
	}
	return out
}

func (m *machine) join(sep Text, items []value) Text {
	var b builder
	for i, item := range items {
		t := m.made(m.str(item))
		if i > 0 {
			m.made(sep)
			b.add(sep)
		}
		b.add(t)
	}
	return b.text()
}

func (m *machine) toJSON(a args) value {
	f := &jsonForm{ascii: a.truth(1), sortsKeys: a.truth(4), keySep: ": ", itemSep: ", "}
	if a.given(2) {
		f.pretty, f.itemSep = true, ","
		if t, ok := a.pos[2].(Text); ok {
			f.indent, f.origin = t.s, t.origin()
		} else {
			n := max(m.integer(a.pos[2]), 0)
			m.burn(n)
			f.indent = strings.Repeat(" ", n)
		}
	}
	if a.given(3) {
		l := m.iterate(a.pos[3])
		if len(l) != 2 {
			m.fail("separators must be two strings")
		}
		item, ok1 := l[0].(Text)
		key, ok2 := l[1].(Text)
		if !ok1 || !ok2 {
			m.fail("separators must be two strings")
		}
		f.itemSep, f.keySep = item.s, key.s
		f.origin = max(f.origin, item.origin(), key.origin())
	}
	b := builder{m: m}
	m.json(&b, a.pos[0], f, 0)
	return b.text()
}
