package jinja

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A machine runs one template once. Every step takes fuel, as does every byte
// that is made; when there is none left, or steps are nested too deeply, the
// template fails.
type machine struct {
	fuel  int
	depth int
	root  *scope
	now   func() time.Time
}

// burn takes fuel for n bytes or elements.
func (m *machine) burn(n int) {
	if m.fuel -= 1 + n/bytesAFuel; m.fuel < 0 {
		fail(0, "it takes too many steps or makes too much text")
	}
}

func (m *machine) enter() {
	m.burn(0)
	if m.depth++; m.depth > maxNesting {
		fail(0, "it is nested too deeply")
	}
}

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
	return undefined{name}
}

// ctl is how a statement ends; as a statement, it ends so.
type ctl int

const (
	ctlNone ctl = iota
	ctlBreak
	ctlContinue
)

type stmt interface {
	run(m *machine, s *scope, out *builder) ctl
}

type expr interface {
	eval(m *machine, s *scope) value
}

// run runs statements. An if has no scope of its own, in Jinja.
func (m *machine) run(body []stmt, s *scope, out *builder) ctl {
	m.enter()
	defer func() { m.depth-- }()
	for _, st := range body {
		m.burn(0)
		if c := st.run(m, s, out); c != ctlNone {
			return c
		}
	}
	return ctlNone
}

func (m *machine) eval(e expr, s *scope) value {
	m.enter()
	v := e.eval(m, s)
	m.depth--
	return v
}

func (m *machine) write(out *builder, t Text) {
	m.made(t)
	out.add(t)
}

type textStmt struct{ text Text }

func (st *textStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, st.text)
	return ctlNone
}

type printStmt struct {
	line int
	e    expr
}

func (st *printStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, m.str(m.eval(st.e, s)))
	return ctlNone
}

func (c ctl) run(m *machine, s *scope, out *builder) ctl { return c }

type ifStmt struct {
	conds     []expr
	bodies    [][]stmt
	otherwise []stmt
}

func (st *ifStmt) run(m *machine, s *scope, out *builder) ctl {
	for i, c := range st.conds {
		if truth(m.eval(c, s)) {
			return m.run(st.bodies[i], s, out)
		}
	}
	return m.run(st.otherwise, s, out)
}

type forStmt struct {
	line      int
	targets   []string
	over      expr
	only      expr
	body      []stmt
	otherwise []stmt
}

func (st *forStmt) run(m *machine, s *scope, out *builder) ctl {
	items := m.iterate(st.line, m.eval(st.over, s))
	if st.only != nil {
		var kept []value
		for _, v := range items {
			inner := newScope(s)
			m.assign(st.line, inner, st.targets, v)
			if truth(m.eval(st.only, inner)) {
				kept = append(kept, v)
			}
		}
		items = kept
	}
	for i, v := range items {
		inner := newScope(s)
		inner.set("loop", &loop{items, i})
		m.assign(st.line, inner, st.targets, v)
		if m.run(st.body, inner, out) == ctlBreak {
			break
		}
	}
	if len(items) == 0 {
		return m.run(st.otherwise, s, out)
	}
	return ctlNone
}

// assign gives a value to one name, or a value's elements to several.
func (m *machine) assign(line int, s *scope, names []string, v value) {
	if len(names) == 1 {
		s.set(names[0], v)
		return
	}
	items := m.iterate(line, v)
	if len(items) != len(names) {
		fail(line, "%d values for %d names", len(items), len(names))
	}
	for i, name := range names {
		s.set(name, items[i])
	}
}

type setStmt struct {
	line    int
	space   string // the namespace in {% set space.name = ... %}
	targets []string
	to      expr
	block   []stmt // {% set x %}...{% endset %}
}

func (st *setStmt) run(m *machine, s *scope, out *builder) ctl {
	if st.block != nil {
		s = m.bodyScope(s, st.block)
	}
	v := m.eval(st.to, s)
	if st.block != nil {
		s = s.outer
	}
	if st.space == "" {
		m.assign(st.line, s, st.targets, v)
		return ctlNone
	}
	ns, ok := s.get(st.space).(*namespace)
	if !ok {
		fail(st.line, "%s is not a namespace and cannot be changed", st.space)
	}
	ns.set(st.targets[0], v)
	return ctlNone
}

// bodyName is the variable in which a block's text waits for its filters. It
// is no name that a template could write.
const bodyName = "{%"

func (m *machine) bodyScope(s *scope, body []stmt) *scope {
	var b builder
	inner := newScope(s)
	if m.run(body, inner, &b) != ctlNone {
		fail(0, "break or continue in a block of text is not supported")
	}
	named := newScope(s)
	named.set(bodyName, m.made(b.text()))
	return named
}

type bodyExpr struct{}

func (bodyExpr) eval(m *machine, s *scope) value { return s.get(bodyName) }

type filterStmt struct {
	line int
	to   expr
	body []stmt
}

func (st *filterStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, m.str(m.eval(st.to, m.bodyScope(s, st.body))))
	return ctlNone
}

type macroStmt struct {
	line     int
	name     string
	params   []string
	defaults []expr // nil: none
	body     []stmt
}

func (st *macroStmt) run(m *machine, s *scope, out *builder) ctl {
	s.set(st.name, callable(func(m *machine, a args) value {
		inner := newScope(s)
		for i, name := range st.params {
			v, ok := a.get(i, name)
			if !ok && st.defaults[i] != nil {
				v = m.eval(st.defaults[i], inner)
			}
			inner.set(name, v)
		}
		a.done(len(st.params), st.params...)
		var b builder
		m.run(st.body, inner, &b)
		return m.made(b.text())
	}))
	return ctlNone
}

type constExpr struct{ v value }

func (e *constExpr) eval(*machine, *scope) value { return e.v }

type nameExpr struct {
	line int
	name string
}

func (e *nameExpr) eval(m *machine, s *scope) value { return s.get(e.name) }

type listExpr struct {
	items []expr
	tuple bool
}

func (e *listExpr) eval(m *machine, s *scope) value {
	l := &list{items: make([]value, len(e.items)), tuple: e.tuple}
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
	d := newDict()
	for i, k := range e.keys {
		key, ok := m.eval(k, s).(Text)
		if !ok {
			fail(e.line, "keys of dictionaries that are not strings are not supported")
		}
		if key.origin() != 0 {
			fail(e.line, "keys of dictionaries that come from data are not supported") // a key does not know its origin
		}
		d.set(key.s, m.eval(e.values[i], s))
	}
	return d
}

type condExpr struct{ cond, yes, no expr }

func (e *condExpr) eval(m *machine, s *scope) value {
	if truth(m.eval(e.cond, s)) {
		return m.eval(e.yes, s)
	}
	if e.no == nil {
		return undefined{"the value of an if without an else"}
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
	switch n := number(v).(type) {
	case int64:
		if e.op == "+" || n == math.MinInt64 {
			return n
		}
		return -n
	case float64:
		if e.op == "-" {
			return -n
		}
		return n
	}
	fail(e.line, "%s before %s", e.op, typeName(v))
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
	if e.op == "~" {
		return m.made(Join(m.str(l), m.str(r)))
	}
	switch a := l.(type) {
	case Text:
		switch b := r.(type) {
		case Text:
			if e.op == "+" {
				return m.made(Join(a, b))
			}
		case int64:
			if e.op == "*" {
				return m.repeat(a, b)
			}
		}
	case *list:
		if b, ok := r.(*list); ok && e.op == "+" {
			m.burn(anElement * (len(a.items) + len(b.items)))
			return &list{slices.Concat(a.items, b.items), a.tuple}
		}
	default:
		if b, ok := r.(Text); ok && e.op == "*" {
			if n, ok := l.(int64); ok {
				return m.repeat(b, n)
			}
		}
	}
	if v := m.arithmetic(e.line, e.op, number(l), number(r)); v != nil {
		return v
	}
	fail(e.line, "%s between %s and %s", e.op, typeName(l), typeName(r))
	return nil
}

func (m *machine) repeat(t Text, n int64) value {
	if n <= 0 || t.s == "" {
		return Text{}
	}
	hi, size := bits.Mul64(uint64(n), uint64(len(t.s)))
	if hi != 0 || size > math.MaxInt32 {
		size = math.MaxInt32
	}
	m.burn(int(size))
	var b builder
	for range n {
		m.burn(anElement * len(t.runs))
		b.add(t)
	}
	return b.text()
}

// arithmetic returns nil for operands that are not numbers.
func (m *machine) arithmetic(line int, op string, l, r value) value {
	if a, ok := l.(int64); ok {
		if b, ok := r.(int64); ok && op != "/" && (op != "**" || b >= 0) {
			return m.integers(line, op, a, b)
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
		return math.Pow(a, b)
	}
	if b == 0 {
		fail(line, "division by zero")
	}
	switch op {
	case "/":
		return a / b
	case "//":
		return math.Floor(a / b)
	case "%":
		return a - b*math.Floor(a/b)
	}
	return nil
}

func (m *machine) integers(line int, op string, a, b int64) value {
	overflow := func() { fail(line, "a number is too large") }
	switch op {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c
		}
		overflow()
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c
		}
		overflow()
	case "*":
		if a == 0 || b == 0 {
			return int64(0)
		}
		c := a * b
		if c/b != a || a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 {
			overflow()
		}
		return c
	case "//", "%":
		if b == 0 {
			fail(line, "division by zero")
		}
		if b == -1 && a == math.MinInt64 {
			overflow()
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
			c = m.integers(line, "*", c, a).(int64)
		}
		return c
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
		var ok bool
		switch op {
		case "==":
			ok = m.equal(l, r)
		case "!=":
			ok = !m.equal(l, r)
		case "in":
			ok = m.contains(e.line, r, l)
		case "not in":
			ok = !m.contains(e.line, r, l)
		default:
			c := m.order(e.line, l, r)
			ok = op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
		}
		if !ok {
			return false
		}
		l = r
	}
	return true
}

type attrExpr struct {
	line int
	of   expr
	name string
}

func (e *attrExpr) eval(m *machine, s *scope) value {
	of := m.eval(e.of, s)
	if f := method(e.line, of, e.name); f != nil {
		return f
	}
	return item(e.line, of, Own(e.name))
}

type itemExpr struct {
	line    int
	of, key expr
}

func (e *itemExpr) eval(m *machine, s *scope) value {
	of, key := m.eval(e.of, s), m.eval(e.key, s)
	m.read(of)
	v := item(e.line, of, key)
	if _, none := v.(undefined); none {
		if name, ok := key.(Text); ok {
			if f := method(e.line, of, name.s); f != nil {
				return f
			}
		}
	}
	return v
}

// item is of[key], undefined if there is none.
func item(line int, of, key value) value {
	switch of := of.(type) {
	case undefined:
		fail(line, "%s is undefined", of.name)
	case *dict:
		if k, ok := key.(Text); ok {
			if v, ok := of.get(k.s); ok {
				return v
			}
		}
	case *namespace:
		if k, ok := key.(Text); ok {
			if v, ok := of.get(k.s); ok {
				return v
			}
		}
	case *loop:
		if k, ok := key.(Text); ok {
			if v, ok := of.attr(k.s); ok {
				return v
			}
		}
	case *list:
		if i, ok := number(key).(int64); ok {
			if i < 0 {
				i += int64(len(of.items))
			}
			if 0 <= i && i < int64(len(of.items)) {
				return of.items[i]
			}
		}
	case Text:
		if i, ok := number(key).(int64); ok {
			n := int64(utf8.RuneCountInString(of.s))
			if i < 0 {
				i += n
			}
			if 0 <= i && i < n {
				o := offsets(of.s)
				return of.slice(o[i], o[i+1])
			}
		}
	}
	if k, ok := key.(Text); ok {
		return undefined{k.s}
	}
	return undefined{"an element"}
}

// offsets are where the characters of s begin, and its end.
func offsets(s string) []int {
	o := make([]int, 0, len(s)+1)
	for i := range s {
		o = append(o, i)
	}
	return append(o, len(s))
}

type sliceExpr struct {
	line  int
	of    expr
	parts [3]expr
}

func (e *sliceExpr) eval(m *machine, s *scope) value {
	of := m.eval(e.of, s)
	var part [3]*int64
	for i, p := range e.parts {
		if p == nil {
			continue
		}
		switch n := m.eval(p, s).(type) {
		case nil:
		case int64:
			part[i] = &n
		default:
			fail(e.line, "a slice's bounds must be numbers, not %s", typeName(n))
		}
	}
	switch of := of.(type) {
	case *list:
		m.burn(anElement * len(of.items))
		out := &list{tuple: of.tuple}
		for _, i := range indices(e.line, len(of.items), part) {
			out.items = append(out.items, of.items[i])
		}
		return out
	case Text:
		m.burn(anElement * len(of.s))
		o := offsets(of.s)
		ix := indices(e.line, len(o)-1, part)
		if len(ix) == 0 {
			return Text{}
		}
		if part[2] == nil || *part[2] == 1 {
			return of.slice(o[ix[0]], o[ix[len(ix)-1]+1])
		}
		var b builder
		for _, i := range ix {
			b.add(of.slice(o[i], o[i+1]))
		}
		return b.text()
	case undefined:
		fail(e.line, "%s is undefined", of.name)
	}
	fail(e.line, "a slice of %s", typeName(of))
	return nil
}

// indices are those that Python's slice takes of n elements.
func indices(line, n int, part [3]*int64) []int {
	step := 1
	if part[2] != nil {
		if *part[2] == 0 {
			fail(line, "a slice's step is zero")
		}
		step = int(min(max(*part[2], int64(-n-1)), int64(n+1)))
	}
	bound := func(p *int64, def, low, high int) int {
		if p == nil {
			return def
		}
		i := *p
		if i < 0 {
			i = max(i, math.MinInt64/2) + int64(n)
		}
		return int(min(max(i, int64(low)), int64(high)))
	}
	var out []int
	if step > 0 {
		for i, end := bound(part[0], 0, 0, n), bound(part[1], n, 0, n); i < end; i += step {
			out = append(out, i)
		}
	} else {
		for i, end := bound(part[0], n-1, -1, n-1), bound(part[1], -1, -1, n-1); i > end; i += step {
			out = append(out, i)
		}
	}
	return out
}

type argExprs struct {
	pos   []expr
	names []string
	named []expr
}

func (a argExprs) eval(m *machine, s *scope, line int) args {
	out := args{line: line, pos: make([]value, len(a.pos))}
	for i, e := range a.pos {
		out.pos[i] = m.eval(e, s)
	}
	for i, e := range a.named {
		if out.named == nil {
			out.named = newDict()
		}
		out.named.set(a.names[i], m.eval(e, s))
	}
	return out
}

// args are the arguments of a call, filter or test.
type args struct {
	line  int
	pos   []value
	named *dict
}

// get is the argument at place i or of that name; place -1 is none.
func (a args) get(i int, name string) (value, bool) {
	if 0 <= i && i < len(a.pos) {
		return a.pos[i], true
	}
	if a.named != nil {
		if v, ok := a.named.get(name); ok {
			return v, true
		}
	}
	return undefined{name}, false
}

// done fails if there are more arguments than those.
func (a args) done(most int, names ...string) {
	if len(a.pos) > most {
		fail(a.line, "%d arguments, at most %d expected", len(a.pos), most)
	}
	if a.named == nil {
		return
	}
	for _, k := range a.named.keys {
		if !slices.Contains(names, k) {
			fail(a.line, "the argument %q is not supported", k)
		}
	}
}

func (a args) text(i int, name string, def string) Text {
	v, ok := a.get(i, name)
	if !ok || v == nil {
		return Own(def)
	}
	t, ok := v.(Text)
	if !ok {
		fail(a.line, "%s must be a string, not %s", name, typeName(v))
	}
	return t
}

func (a args) int(i int, name string, def int) int {
	v, ok := a.get(i, name)
	if !ok || v == nil {
		return def
	}
	n, ok := number(v).(int64)
	if !ok {
		fail(a.line, "%s must be a number, not %s", name, typeName(v))
	}
	return int(min(max(n, math.MinInt32), math.MaxInt32))
}

func (a args) truth(i int, name string, def bool) bool {
	if v, ok := a.get(i, name); ok {
		return truth(v)
	}
	return def
}

type callable func(m *machine, a args) value

type callExpr struct {
	line int
	of   expr
	args argExprs
}

func (e *callExpr) eval(m *machine, s *scope) value {
	f, ok := m.eval(e.of, s).(callable)
	if !ok {
		name := "a value"
		switch of := e.of.(type) {
		case *nameExpr:
			name = of.name
		case *attrExpr:
			name = of.name
		}
		fail(e.line, "%s is not a function that is supported", strings.ToValidUTF8(name, "?"))
	}
	return f(m, e.args.eval(m, s, e.line))
}

// function is a filter or a test: of v, with arguments.
type function func(m *machine, v value, a args) value

type filterExpr struct {
	line int
	of   expr
	f    function
	args argExprs
}

func (e *filterExpr) eval(m *machine, s *scope) value {
	of := m.eval(e.of, s)
	m.read(of)
	return e.f(m, of, e.args.eval(m, s, e.line))
}

type testExpr struct {
	line   int
	of     expr
	f      function
	args   argExprs
	negate bool
}

func (e *testExpr) eval(m *machine, s *scope) value {
	of := m.eval(e.of, s)
	m.read(of)
	return truth(e.f(m, of, e.args.eval(m, s, e.line))) != e.negate
}
