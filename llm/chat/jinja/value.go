package jinja

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// A value is nil, bool, int64, float64, Text, *list, *dict, *iterator,
// *namespace, *cycler, *loop, *blocks, *function or undefined. Lists and
// dictionaries never change, so that they may be shared and cannot contain
// themselves.
type value any

// undefined is what a name without a value stands for.
type undefined struct{ why string } // a sentence, for whoever needs the value

func notDefined(name string) undefined { return undefined{name + " is undefined"} }

// list is one of Python's sequences beside strings.
type list struct {
	items []value
	kind  listKind
	span  [3]int64 // of a range: start, stop, step
}

type listKind uint8

const (
	listList listKind = iota
	listTuple
	listGroup // a tuple of groupby, whose elements have names
	listRange
	listKeys // what a dictionary's methods return
	listValues
	listItems
)

func (l *list) isTuple() bool { return l.kind == listTuple || l.kind == listGroup }

// indexed tells whether l[0] has a meaning.
func (l *list) indexed() bool { return l.kind <= listRange }

func tuple(items ...value) *list { return &list{items: items, kind: listTuple} }

// dict keeps the order in which its keys were set. It changes only while it is
// being made.
type dict struct {
	entries []entry
	index   map[any]int // by hash; made when there are many entries
}

type entry struct {
	hash     any
	key, val value
}

const fewEntries = 8

func (d *dict) find(hash any) int {
	if d.index != nil {
		if i, ok := d.index[hash]; ok {
			return i
		}
		return -1
	}
	for i := range d.entries {
		if d.entries[i].hash == hash {
			return i
		}
	}
	return -1
}

func (d *dict) put(hash any, key, val value) {
	if i := d.find(hash); i >= 0 {
		d.entries[i].val = val
		return
	}
	d.entries = append(d.entries, entry{hash, key, val})
	if d.index != nil {
		d.index[hash] = len(d.entries) - 1
	} else if len(d.entries) > fewEntries {
		d.index = map[any]int{}
		for i, e := range d.entries {
			d.index[e.hash] = i
		}
	}
}

// set sets a key that the template or this package wrote.
func (d *dict) set(key string, val value) { d.put(key, Own(key), val) }

func (d *dict) get(key string) (value, bool) {
	if i := d.find(key); i >= 0 {
		return d.entries[i].val, true
	}
	return nil, false
}

func (d *dict) keys() []value {
	out := make([]value, len(d.entries))
	for i, e := range d.entries {
		out[i] = e.key
	}
	return out
}

func (d *dict) values() []value {
	out := make([]value, len(d.entries))
	for i, e := range d.entries {
		out[i] = e.val
	}
	return out
}

func (d *dict) pairs() []value {
	out := make([]value, len(d.entries))
	for i, e := range d.entries {
		out[i] = tuple(e.key, e.val)
	}
	return out
}

type (
	hashOfNone      struct{}
	hashOfUndefined struct{}
	hashOfTuple     string
)

// hash is equal for values that are equal; it fails for those that cannot be
// keys.
func (m *machine) hash(v value) any {
	switch v := v.(type) {
	case nil:
		return hashOfNone{}
	case undefined:
		return hashOfUndefined{}
	case bool, int64:
		return number(v)
	case float64:
		if n := int64(v); float64(n) == v && math.Abs(v) < 1<<62 {
			return n
		}
		return v
	case Text:
		m.burn(len(v.s))
		return v.s
	case *list:
		if v.kind == listRange || v.isTuple() {
			m.enter()
			defer m.leave()
			m.burn(size(v))
			var b []byte
			for _, item := range v.items {
				b = appendHash(b, m.hash(item))
			}
			m.burn(len(b))
			return hashOfTuple(b)
		}
	case *dict:
	default:
		return v // a pointer
	}
	m.fail("%s cannot be a key or an element of a set", typeName(v))
	return nil
}

func appendHash(b []byte, hash any) []byte {
	part := func(kind byte, s string) {
		b = append(b, kind)
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	switch h := hash.(type) {
	case string:
		part('s', h)
	case hashOfTuple:
		part('t', string(h))
	case int64:
		b = binary.AppendVarint(append(b, 'i'), h)
	case float64:
		b = binary.AppendUvarint(append(b, 'f'), math.Float64bits(h))
	case hashOfNone:
		b = append(b, 'n')
	default:
		b = append(b, 'o') // objects within tuples are all the same; nothing real has any
	}
	return b
}

// namespace is a dict whose attributes can be set.
type namespace struct{ dict }

// iterator is what map, select and their kin return: it is gone through once,
// has no length and counts as true.
type iterator struct{ items []value }

func (it *iterator) rest() []value {
	items := it.items
	it.items = nil
	return items
}

// cycler is a row of values gone through again and again.
type cycler struct {
	items []value
	i     int
}

// loop is the variable of that name.
type loop struct {
	items   []value
	i       int // the round
	depth   int // in a recursive loop
	changed value
	again   func(m *machine, items value) value // of a recursive loop
}

// blocks is the variable self.
type blocks struct{ scope *scope }

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
		switch v.kind {
		case listList:
			return "a list"
		case listRange:
			return "a range"
		case listTuple, listGroup:
			return "a tuple"
		}
		return "a view of a dictionary"
	case *dict:
		return "a dictionary"
	case *iterator:
		return "an iterator"
	case *function:
		return "a function"
	case undefined:
		return "a value that is missing (" + v.why + ")"
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
		return len(v.entries) > 0
	}
	return true
}

// size is about what v takes in bytes.
func size(v value) int {
	switch v := v.(type) {
	case Text:
		return len(v.s)
	case *list:
		return anElement * len(v.items)
	case *iterator:
		return anElement * len(v.items)
	case *dict:
		return anElement * len(v.entries)
	}
	return 0
}

// iterate is what a loop over v goes through.
func (m *machine) iterate(v value) []value {
	if t, ok := v.(Text); ok {
		m.burn(anElement * len(t.s))
	}
	m.burn(size(v))
	switch v := v.(type) {
	case undefined:
		return nil
	case *list:
		return v.items
	case *iterator:
		return v.rest()
	case *dict:
		return v.keys()
	case Text:
		v.html = false
		out := make([]value, 0, len(v.s))
		o := offsets(v.s)
		for i := range o[1:] {
			out = append(out, v.slice(o[i], o[i+1]))
		}
		return out
	}
	m.fail("%s cannot be gone through", typeName(v))
	return nil
}

func iterable(v value) bool {
	switch v.(type) {
	case undefined, *list, *iterator, *dict, Text, *loop:
		return true
	}
	return false
}

// length is -1 if v has none.
func length(v value) int {
	switch v := v.(type) {
	case undefined:
		return 0
	case Text:
		return utf8.RuneCountInString(v.s)
	case *list:
		return len(v.items)
	case *dict:
		return len(v.entries)
	case *loop:
		return len(v.items)
	}
	return -1
}

func (m *machine) equal(a, b value) bool {
	m.enter()
	defer m.leave()
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
		if !ok || len(a.items) != len(l.items) || a.kind != l.kind && !(a.isTuple() && l.isTuple()) || a.kind == listValues {
			return ok && a == l
		}
		for i := range a.items {
			if !m.equal(a.items[i], l.items[i]) {
				return false
			}
		}
		return true
	case *dict:
		d, ok := b.(*dict)
		if !ok || len(a.entries) != len(d.entries) {
			return false
		}
		for _, e := range a.entries {
			m.burn(0)
			i := d.find(e.hash)
			if i < 0 || !m.equal(e.val, d.entries[i].val) {
				return false
			}
		}
		return true
	}
	return same(a, b)
}

// same is Python's "is".
func same(a, b value) bool {
	switch a := a.(type) {
	case Text:
		t, ok := b.(Text)
		return ok && a.s == t.s
	case undefined:
		return false
	}
	switch b.(type) {
	case Text, undefined:
		return false
	}
	return a == b
}

// order compares two numbers, strings, lists or tuples; nothing else has an
// order.
func (m *machine) order(a, b value) int {
	m.enter()
	defer m.leave()
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
		if l, ok := b.(*list); ok && (a.isTuple() && l.isTuple() || a.kind == listList && l.kind == listList) {
			for i := range min(len(a.items), len(l.items)) {
				if !m.equal(a.items[i], l.items[i]) {
					return m.order(a.items[i], l.items[i])
				}
			}
			return len(a.items) - len(l.items)
		}
	}
	m.fail("%s and %s have no order", typeName(a), typeName(b))
	return 0
}

func (m *machine) contains(in, v value) bool {
	m.burn(size(in))
	switch in := in.(type) {
	case undefined:
		return false
	case Text:
		t, ok := v.(Text)
		if !ok {
			m.fail("%s cannot be in a string", typeName(v))
		}
		return strings.Contains(in.s, t.s)
	case *list:
		for _, w := range in.items {
			if m.equal(v, w) {
				return true
			}
		}
		return false
	case *iterator:
		for i, w := range in.items {
			if m.equal(v, w) {
				in.items = in.items[i+1:]
				return true
			}
		}
		in.items = nil
		return false
	case *dict:
		return in.find(m.hash(v)) >= 0
	}
	m.fail("nothing can be in %s", typeName(in))
	return false
}

// What would change a list or a dictionary, which the sandbox refuses.
var (
	listMutators = []string{"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"}
	dictMutators = []string{"clear", "pop", "popitem", "setdefault", "update"}
)

// attr is the attribute name that the object v has in Python, beside its items:
// mostly a method.
func (m *machine) attr(v value, name string) (value, bool) {
	if strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") {
		return undefined{name + " is out of bounds"}, true
	}
	var methods map[string]*function
	switch v := v.(type) {
	case Text:
		methods = textMethods
	case *dict:
		if methods = dictMethods; slices.Contains(dictMutators, name) {
			return undefined{name + " would change a dictionary, which templates can't"}, true
		}
	case *list:
		switch {
		case v.kind == listList:
			if methods = listMethods; slices.Contains(listMutators, name) {
				return undefined{name + " would change a list, which templates can't"}, true
			}
		case v.kind == listGroup && name == "grouper":
			return v.items[0], true
		case v.kind == listGroup && name == "list":
			return v.items[1], true
		case v.isTuple() || v.kind == listRange:
			methods = tupleMethods
			if i := slices.Index([]string{"start", "stop", "step"}, name); v.kind == listRange && i >= 0 {
				return v.span[i], true
			}
		}
	case bool, int64:
		n := number(v)
		switch name {
		case "real", "numerator":
			return n, true
		case "imag":
			return int64(0), true
		case "denominator":
			return int64(1), true
		}
		methods = intMethods
	case float64:
		switch name {
		case "real":
			return v, true
		case "imag":
			return 0.0, true
		}
		methods = floatMethods
	case *namespace:
		if w, ok := v.get(name); ok && !strings.HasPrefix(name, "_") {
			return w, true
		}
	case *cycler:
		switch name {
		case "current":
			return v.items[v.i], true
		case "items":
			return tuple(v.items...), true
		case "pos":
			return int64(v.i), true
		}
		methods = cyclerMethods
	case *function:
		if name == "name" {
			return Own(v.name), true
		}
	case *blocks:
		if st, ok := m.blocks[name]; ok {
			return &function{name: name, call: func(m *machine, a args) value { return st.text(m, newScope(v.scope)) }}, true
		}
	case *loop:
		if w, ok := v.attr(name); ok {
			return w, true
		}
		methods = loopMethods
	}
	if f, ok := methods[name]; ok {
		return f.bind(v), true
	}
	return nil, false
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
	case "depth":
		return int64(l.depth + 1), true
	case "depth0":
		return int64(l.depth), true
	case "previtem":
		if l.i > 0 {
			return l.items[l.i-1], true
		}
		return undefined{"there is no item before the first"}, true
	case "nextitem":
		if l.i < n-1 {
			return l.items[l.i+1], true
		}
		return undefined{"there is no item after the last"}, true
	}
	return nil, false
}

// item is of[key]; false if there is none.
func (m *machine) item(of, key value) (value, bool) {
	switch of := of.(type) {
	case *dict:
		if l, ok := key.(*list); ok && !l.isTuple() {
			return nil, false
		}
		if _, ok := key.(*dict); ok {
			return nil, false
		}
		if i := of.find(m.hash(key)); i >= 0 {
			return of.entries[i].val, true
		}
	case *list:
		if i, ok := number(key).(int64); ok && of.indexed() {
			if i < 0 {
				i += int64(len(of.items))
			}
			if 0 <= i && i < int64(len(of.items)) {
				return of.items[i], true
			}
		}
	case Text:
		if i, ok := number(key).(int64); ok {
			m.burn(len(of.s))
			n := int64(utf8.RuneCountInString(of.s))
			if i < 0 {
				i += n
			}
			if 0 <= i && i < n {
				o := runeOffset(of.s, int(i))
				_, size := utf8.DecodeRuneInString(of.s[o:])
				return of.slice(o, o+size), true
			}
		}
	}
	return nil, false
}

// dotted is of.name: an attribute, or else an item.
func (m *machine) dotted(of value, name string) value {
	if u, ok := of.(undefined); ok {
		m.fail("%s", u.why)
	}
	if v, ok := m.attr(of, name); ok {
		return v
	}
	if v, ok := m.item(of, Own(name)); ok {
		return v
	}
	return notDefined(name)
}

// subscript is of[key]: an item, or else an attribute.
func (m *machine) subscript(of, key value) value {
	if u, ok := of.(undefined); ok {
		m.fail("%s", u.why)
	}
	if v, ok := m.item(of, key); ok {
		return v
	}
	if name, ok := key.(Text); ok {
		if v, ok := m.attr(of, name.s); ok {
			return v
		}
		return notDefined(name.s)
	}
	return notDefined("an element")
}

// offsets are where the characters of s begin, and its end.
func offsets(s string) []int {
	o := make([]int, 0, len(s)+1)
	for i := range s {
		o = append(o, i)
	}
	return append(o, len(s))
}

// runeOffset is where character n of s begins; its end if there are not as many.
func runeOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
