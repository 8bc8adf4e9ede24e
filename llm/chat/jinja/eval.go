package jinja

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// A machine runs one template once. Every step takes fuel, as does every byte
// that is made; when there is none left, or steps are nested too deeply, the
// template fails.
type machine struct {
	fuel   int
	depth  int
	line   int // of the template, for errors
	root   *scope
	blocks map[string]*blockStmt
	now    func() time.Time
}

func (m *machine) fail(format string, args ...any) { fail(m.line, format, args...) }

// burn takes fuel for n bytes or elements.
func (m *machine) burn(n int) {
	if m.fuel -= 1 + max(n, 0)/bytesAFuel; m.fuel < 0 {
		m.fail("it takes too many steps or makes too much text")
	}
}

func (m *machine) enter() {
	m.burn(0)
	if m.depth++; m.depth > maxNesting {
		m.fail("it is nested too deeply")
	}
}

func (m *machine) leave() { m.depth-- }

// read takes fuel for looking through v if it is text; what goes through a list
// takes its own.
func (m *machine) read(v value) {
	if t, ok := v.(Text); ok {
		m.burn(len(t.s))
	}
}

func (m *machine) made(t Text) Text {
	m.burn(len(t.s) + anElement*len(t.runs))
	return t
}

// scope holds the variables of a template, a round of a loop or a macro's call.
type scope struct {
	vars  map[string]value
	outer *scope
}

func newScope(outer *scope) *scope { return &scope{outer: outer} }

func (s *scope) set(name string, v value) {
	if s.vars == nil {
		s.vars = map[string]value{}
	}
	s.vars[name] = v
}

func (s *scope) get(name string) value {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return notDefined(name)
}

type expr interface {
	eval(m *machine, s *scope) value
}

func (m *machine) eval(e expr, s *scope) value {
	m.enter()
	v := e.eval(m, s)
	m.leave()
	return v
}

type constExpr struct{ v value }

func (e *constExpr) eval(*machine, *scope) value { return e.v }

type nameExpr struct{ name string }

func (e *nameExpr) eval(m *machine, s *scope) value { return s.get(e.name) }

type listExpr struct {
	items []expr
	kind  listKind
}

func (e *listExpr) eval(m *machine, s *scope) value {
	l := &list{items: make([]value, len(e.items)), kind: e.kind}
	for i, item := range e.items {
		l.items[i] = m.eval(item, s)
	}
	return l
}

type dictExpr struct {
	line         int
	keys, values []expr
}

func (e *dictExpr) eval(m *machine, s *scope) value {
	d := &dict{}
	for i, k := range e.keys {
		key, val := m.eval(k, s), m.eval(e.values[i], s)
		m.line = e.line
		d.put(m.hash(key), key, val)
	}
	return d
}

type condExpr struct{ cond, yes, no expr }

func (e *condExpr) eval(m *machine, s *scope) value {
	if truth(m.eval(e.cond, s)) {
		return m.eval(e.yes, s)
	}
	if e.no == nil {
		return undefined{"an if was false and has no else"}
	}
	return m.eval(e.no, s)
}

type unaryExpr struct {
	line int
	op   string
	e    expr
}

func (e *unaryExpr) eval(m *machine, s *scope) value {
	v := m.eval(e.e, s)
	if e.op == "not" {
		return !truth(v)
	}
	m.line = e.line
	switch n := number(v).(type) {
	case int64:
		if e.op == "+" {
			return n
		}
		return m.integers("-", 0, n)
	case float64:
		if e.op == "-" {
			return -n
		}
		return n
	}
	m.fail("%s before %s", e.op, typeName(v))
	return nil
}

type binaryExpr struct {
	line        int
	op          string
	left, right expr
}

func (e *binaryExpr) eval(m *machine, s *scope) value {
	l := m.eval(e.left, s)
	switch e.op {
	case "or":
		if truth(l) {
			return l
		}
		return m.eval(e.right, s)
	case "and":
		if !truth(l) {
			return l
		}
		return m.eval(e.right, s)
	}
	r := m.eval(e.right, s)
	m.line = e.line
	if e.op == "~" {
		return m.made(Join(m.str(l), m.str(r)))
	}
	return m.operate(e.op, l, r)
}

// operate is l op r for one of Python's operators.
func (m *machine) operate(op string, l, r value) value {
	switch op {
	case "+":
		switch a := l.(type) {
		case Text:
			if b, ok := r.(Text); ok {
				return m.made(concat(a, b))
			}
		case *list:
			if b, ok := r.(*list); ok && (a.isTuple() && b.isTuple() || a.kind == listList && b.kind == listList) {
				m.burn(anElement * (len(a.items) + len(b.items)))
				out := &list{items: slices.Concat(a.items, b.items), kind: a.kind}
				if a.isTuple() {
					out.kind = listTuple
				}
				return out
			}
		}
	case "*":
		if n, ok := number(l).(int64); ok {
			if v := m.repeat(r, n); v != nil {
				return v
			}
		}
		if n, ok := number(r).(int64); ok {
			if v := m.repeat(l, n); v != nil {
				return v
			}
		}
	case "%":
		if t, ok := l.(Text); ok {
			return m.percent(t, r)
		}
	}
	if v := m.arithmetic(op, l, r); v != nil {
		return v
	}
	m.fail("%s between %s and %s", op, typeName(l), typeName(r))
	return nil
}

// concat is a + b, of which one may be safe.
func concat(a, b Text) Text {
	html := a.html || b.html
	if html {
		a, b = escape(a), escape(b)
	}
	out := Join(a, b)
	out.html = html
	return out
}

// repeat is n times v, nil if v is no sequence.
func (m *machine) repeat(v value, n int64) value {
	n = max(n, 0)
	hi, total := bits.Mul64(uint64(n), uint64(size(v)))
	if hi != 0 || total > math.MaxInt32 {
		total = math.MaxInt32
	}
	switch v := v.(type) {
	case Text:
		m.burn(int(total))
		var b builder
		if v.s == "" {
			return v
		}
		for range n {
			m.burn(anElement * len(v.runs))
			b.add(v)
		}
		return b.textLike(v)
	case *list:
		if v.kind != listList && !v.isTuple() {
			return nil
		}
		m.burn(int(total))
		if len(v.items) == 0 {
			return v
		}
		out := &list{items: slices.Repeat(v.items, int(n))}
		if v.isTuple() {
			out.kind = listTuple
		}
		return out
	}
	return nil
}

type compareExpr struct {
	line  int
	first expr
	ops   []string
	rest  []expr
}

func (e *compareExpr) eval(m *machine, s *scope) value {
	l := m.eval(e.first, s)
	for i, op := range e.ops {
		r := m.eval(e.rest[i], s)
		m.line = e.line
		if !m.compare(op, l, r) {
			return false
		}
		l = r
	}
	return true
}

func (m *machine) compare(op string, l, r value) bool {
	switch op {
	case "==":
		return m.equal(l, r)
	case "!=":
		return !m.equal(l, r)
	case "in":
		return m.contains(r, l)
	case "not in":
		return !m.contains(r, l)
	}
	if f, ok := float(l); ok && f != f {
		return false // nothing is less or more than what is not a number
	}
	if f, ok := float(r); ok && f != f {
		return false
	}
	c := m.order(l, r)
	return op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
}

type attrExpr struct {
	line int
	of   expr
	name string
}

func (e *attrExpr) eval(m *machine, s *scope) value {
	of := m.eval(e.of, s)
	m.line = e.line
	return m.dotted(of, e.name)
}

type itemExpr struct {
	line    int
	of, key expr
}

func (e *itemExpr) eval(m *machine, s *scope) value {
	of, key := m.eval(e.of, s), m.eval(e.key, s)
	m.line = e.line
	return m.subscript(of, key)
}

type sliceExpr struct {
	line  int
	of    expr
	parts [3]expr
}

func (e *sliceExpr) eval(m *machine, s *scope) value {
	of := m.eval(e.of, s)
	var part [3]value
	for i, p := range e.parts {
		if p != nil {
			part[i] = m.eval(p, s)
		}
	}
	m.line = e.line
	switch of := of.(type) {
	case *list:
		if !of.indexed() {
			break
		}
		start, stop, step, n := m.bounds(len(of.items), part)
		if of.kind == listRange {
			at := func(i int) int64 { return of.span[0] + int64(i)*of.span[2] }
			return m.makeRange(at(start), at(stop), of.span[2]*int64(step))
		}
		out := &list{items: make([]value, 0, n)}
		if of.isTuple() {
			out.kind = listTuple
		}
		m.burn(anElement * n)
		for i := start; n > 0; n-- {
			out.items = append(out.items, of.items[i])
			i += step
		}
		return out
	case Text:
		m.burn(anElement * len(of.s))
		o := offsets(of.s)
		start, _, step, n := m.bounds(len(o)-1, part)
		if n == 0 {
			return of.slice(0, 0)
		}
		if step == 1 {
			return of.slice(o[start], o[start+n])
		}
		var b builder
		for i := start; n > 0; n-- {
			b.add(of.slice(o[i], o[i+1]))
			i += step
		}
		return b.textLike(of)
	case undefined:
		m.fail("%s", of.why)
	}
	m.fail("a slice of %s", typeName(of))
	return nil
}

// bounds are where Python's slice of length elements starts and stops, its
// step, and how many elements it has.
func (m *machine) bounds(length int, part [3]value) (start, stop, step, n int) {
	get := func(i, def int) int {
		if part[i] == nil {
			return def
		}
		return m.integer(part[i])
	}
	if step = get(2, 1); step == 0 {
		m.fail("a slice's step is zero")
	}
	step = min(max(step, -length-1), length+1)
	low, high := 0, length
	start, stop = 0, length
	if step < 0 {
		low, high = -1, length-1
		start, stop = length-1, -1
	}
	clamp := func(i, def int) int {
		at := get(i, def)
		if part[i] != nil && at < 0 {
			at += length
		}
		return min(max(at, low), high)
	}
	start, stop = clamp(0, start), clamp(1, stop)
	if step > 0 && start < stop {
		n = (stop - start + step - 1) / step
	} else if step < 0 && start > stop {
		n = (start - stop - step - 1) / -step
	}
	return start, stop, step, n
}

const maxRange = 100_000 // jinja2's, too

func (m *machine) makeRange(start, stop, step int64) value {
	if step == 0 {
		m.fail("range with a step of zero")
	}
	l := &list{kind: listRange, span: [3]int64{start, stop, step}, items: []value{}}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(l.items) == maxRange {
			m.fail("a range of more than %d numbers", maxRange)
		}
		m.burn(anElement)
		l.items = append(l.items, i)
	}
	return l
}

type callExpr struct {
	line int
	of   expr
	args argExprs
}

func (e *callExpr) eval(m *machine, s *scope) value { return e.with(m, s, nil) }

// with calls with a macro's caller, which may be nil.
func (e *callExpr) with(m *machine, s *scope, caller value) value {
	of := m.eval(e.of, s)
	a := e.args.eval(m, s)
	m.line = e.line
	if caller != nil {
		m.name(&a, Own("caller"), caller)
	}
	switch of := of.(type) {
	case *function:
		return m.call(of, a)
	case *loop:
		if of.again == nil {
			m.fail("loop can be called in a recursive loop only")
		}
		return m.call(define("loop", "iterable /", func(m *machine, a args) value { return of.again(m, a.pos[0]) }), a)
	case undefined:
		m.fail("%s", of.why)
	}
	m.fail("%s is not a function", typeName(of))
	return nil
}

// applied is a filter or test and what it is applied to, its first argument.
type applied struct {
	line int
	of   expr
	name string
	args argExprs
}

func (e *applied) eval(m *machine, s *scope) args {
	of := m.eval(e.of, s)
	a := e.args.eval(m, s, of)
	m.line = e.line
	return a
}

type filterExpr struct{ applied }

func (e *filterExpr) eval(m *machine, s *scope) value { return m.filter(e.name, e.applied.eval(m, s)) }

// filter applies the filter of that name to a's first argument.
func (m *machine) filter(name string, a args) value {
	f, ok := filters[name]
	if !ok {
		m.fail("the filter %q is not supported", name)
	}
	m.read(a.pos[0])
	return m.call(f, a)
}

type testExpr struct {
	applied
	negate bool
}

func (e *testExpr) eval(m *machine, s *scope) value {
	return m.test(e.name, e.applied.eval(m, s)) != e.negate
}

// test applies the test of that name to a's first argument.
func (m *machine) test(name string, a args) bool {
	f, ok := tests[name]
	if !ok {
		m.fail("the test %q is not supported", name)
	}
	m.read(a.pos[0])
	return truth(m.call(f, a))
}
