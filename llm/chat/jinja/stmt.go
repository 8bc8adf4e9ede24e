package jinja

import "slices"

// A node is a statement and the line where it stands.
type node struct {
	line int
	stmt stmt
}

type stmt interface {
	run(m *machine, s *scope, out *builder) ctl
}

// ctl is how a statement ends; as a statement, it ends so.
type ctl int

const (
	ctlNone ctl = iota
	ctlBreak
	ctlContinue
)

func (c ctl) run(*machine, *scope, *builder) ctl { return c }

// run runs statements. An if has no scope of its own, in Jinja.
func (m *machine) run(body []node, s *scope, out *builder) ctl {
	m.enter()
	defer m.leave()
	for _, n := range body {
		m.burn(0)
		m.line = n.line
		if c := n.stmt.run(m, s, out); c != ctlNone {
			return c
		}
	}
	return ctlNone
}

func (m *machine) write(out *builder, t Text) {
	m.made(t)
	out.add(t)
}

// render is what statements make that stand in no loop.
func (m *machine) render(body []node, s *scope) Text {
	var b builder
	m.run(body, s, &b)
	return m.made(b.text())
}

type textStmt struct{ text Text }

func (st *textStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, st.text)
	return ctlNone
}

type printStmt struct{ e expr }

func (st *printStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, m.str(m.eval(st.e, s)))
	return ctlNone
}

type ifStmt struct {
	conds     []expr
	bodies    [][]node
	otherwise []node
}

func (st *ifStmt) run(m *machine, s *scope, out *builder) ctl {
	for i, c := range st.conds {
		if truth(m.eval(c, s)) {
			return m.run(st.bodies[i], s, out)
		}
	}
	return m.run(st.otherwise, s, out)
}

// target is what for and set give values to: a name, an attribute of a
// namespace, or several targets.
type target struct {
	name  string
	space string // the namespace in {% set space.name = ... %}
	parts []target
}

func (t *target) has(name string) bool {
	return t.name == name || slices.ContainsFunc(t.parts, func(t target) bool { return t.has(name) })
}

func (m *machine) assign(s *scope, t *target, v value) {
	switch {
	case t.parts != nil:
		items := m.iterate(v)
		if len(items) != len(t.parts) {
			m.fail("%d values for %d names", len(items), len(t.parts))
		}
		for i := range t.parts {
			m.assign(s, &t.parts[i], items[i])
		}
	case t.space != "":
		ns, ok := s.get(t.space).(*namespace)
		if !ok {
			m.fail("%s is not a namespace and cannot be changed", t.space)
		}
		ns.set(t.name, v)
	default:
		s.set(t.name, v)
	}
}

type forStmt struct {
	target    target
	over      expr
	only      expr
	body      []node
	otherwise []node
	recursive bool
}

func (st *forStmt) run(m *machine, s *scope, out *builder) ctl {
	return st.loop(m, s, out, m.eval(st.over, s), 0)
}

func (st *forStmt) loop(m *machine, s *scope, out *builder, over value, depth int) ctl {
	items := m.iterate(over)
	if st.only != nil {
		var kept []value
		for _, v := range items {
			inner := newScope(s)
			inner.set("loop", notDefined("loop"))
			m.assign(inner, &st.target, v)
			if truth(m.eval(st.only, inner)) {
				kept = append(kept, v)
			}
		}
		items = kept
	}
	l := &loop{items: items, depth: depth, changed: missing{}}
	if st.recursive {
		l.again = func(m *machine, items value) value {
			var b builder
			st.loop(m, s, &b, items, depth+1)
			return m.made(b.text())
		}
	}
	for i, v := range items {
		l.i = i
		inner := newScope(s)
		inner.set("loop", l)
		m.assign(inner, &st.target, v)
		if m.run(st.body, inner, out) == ctlBreak {
			break
		}
	}
	if len(items) == 0 {
		return m.run(st.otherwise, s, out)
	}
	return ctlNone
}

type setStmt struct {
	target target
	to     expr
	block  *block // {% set x %}...{% endset %}
}

func (st *setStmt) run(m *machine, s *scope, out *builder) ctl {
	var v value
	if st.block != nil {
		t, c := st.block.eval(m, s)
		if c != ctlNone {
			return c
		}
		v = t
	} else {
		v = m.eval(st.to, s)
	}
	m.assign(s, &st.target, v)
	return ctlNone
}

// block is a text made by statements and what filters make of it.
type block struct {
	to   expr // filters of bodyExpr
	body []node
}

// bodyName is the variable in which a block's text waits for its filters. It
// is a name that no template could write.
const bodyName = "{%"

type bodyExpr struct{}

func (bodyExpr) eval(m *machine, s *scope) value { return s.get(bodyName) }

// eval drops the text if a break or continue ends it.
func (b *block) eval(m *machine, s *scope) (value, ctl) {
	var out builder
	if c := m.run(b.body, newScope(s), &out); c != ctlNone {
		return nil, c
	}
	inner := newScope(s)
	inner.set(bodyName, m.made(out.text()))
	return m.eval(b.to, inner), ctlNone
}

type filterStmt struct{ block }

func (st *filterStmt) run(m *machine, s *scope, out *builder) ctl {
	v, c := st.eval(m, s)
	if c == ctlNone {
		m.write(out, m.str(v))
	}
	return c
}

type withStmt struct {
	targets []target
	values  []expr
	body    []node
}

func (st *withStmt) run(m *machine, s *scope, out *builder) ctl {
	inner := newScope(s)
	for i, e := range st.values {
		m.assign(inner, &st.targets[i], m.eval(e, s))
	}
	return m.run(st.body, inner, out)
}

// macro is a piece of template with parameters.
type macro struct {
	name     string
	params   []string
	defaults []expr // nil: none
	body     []node
	uses     uses
}

// uses are the variables that a macro has only if it names them.
type uses struct{ caller, varargs, kwargs bool }

func (u *uses) note(name string) {
	switch name {
	case "caller":
		u.caller = true
	case "varargs":
		u.varargs = true
	case "kwargs":
		u.kwargs = true
	}
}

func (u *uses) add(v uses) {
	*u = uses{u.caller || v.caller, u.varargs || v.varargs, u.kwargs || v.kwargs}
}

// in is the macro as a function that sees the variables of s.
func (mac *macro) in(s *scope) *function {
	return &function{name: mac.name, free: true, call: func(m *machine, a args) value {
		inner := newScope(s)
		named := &dict{}
		if a.named != nil {
			named.entries = append(named.entries, a.named.entries...)
		}
		take := func(name string) (value, bool) { // an argument of that name
			for i, e := range named.entries {
				if e.hash == any(name) {
					named.entries = append(named.entries[:i], named.entries[i+1:]...)
					return e.val, true
				}
			}
			return nil, false
		}
		hasCaller := false
		for i, name := range mac.params {
			hasCaller = hasCaller || name == "caller"
			var v value
			ok := i < len(a.pos)
			if ok {
				v = a.pos[i]
			} else if v, ok = take(name); !ok && mac.defaults[i] != nil {
				v, ok = m.eval(mac.defaults[i], inner), true
			}
			if !ok {
				v = undefined{"the argument " + name + " was not given"}
			}
			inner.set(name, v)
		}
		if mac.uses.caller && !hasCaller {
			v, ok := take("caller")
			if !ok {
				v = undefined{"there is no caller"}
			}
			inner.set("caller", v)
		}
		if mac.uses.kwargs {
			d := &dict{}
			for _, e := range named.entries {
				d.put(e.hash, e.key, e.val)
			}
			inner.set("kwargs", d)
		} else if len(named.entries) > 0 {
			m.fail("%s takes no argument %q", mac.name, named.entries[0].key.(Text).s)
		}
		rest := a.pos[min(len(mac.params), len(a.pos)):]
		if mac.uses.varargs {
			inner.set("varargs", tuple(rest...))
		} else if len(rest) > 0 {
			m.fail("%s takes at most %d arguments, not %d", mac.name, len(mac.params), len(a.pos))
		}
		return m.render(mac.body, inner)
	}}
}

type macroStmt struct{ macro *macro }

func (st *macroStmt) run(m *machine, s *scope, out *builder) ctl {
	s.set(st.macro.name, st.macro.in(s))
	return ctlNone
}

// callStmt calls a macro with statements for its caller.
type callStmt struct {
	caller *macro
	call   *callExpr
}

func (st *callStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, m.str(st.call.with(m, s, st.caller.in(s))))
	return ctlNone
}

// generationStmt marks what a model has said, for training; it is rendered like
// the rest, in a scope of its own.
type generationStmt struct{ body []node }

func (st *generationStmt) run(m *machine, s *scope, out *builder) ctl {
	m.write(out, m.render(st.body, newScope(s)))
	return ctlNone
}

// blockStmt is a piece with a name, which sees the template's own variables only
// unless it is scoped.
type blockStmt struct {
	name   string
	scoped bool
	body   []node
}

func (st *blockStmt) text(m *machine, s *scope) value { return m.render(st.body, s) }

func (st *blockStmt) run(m *machine, s *scope, out *builder) ctl {
	if !st.scoped {
		s = m.root
	}
	m.write(out, m.render(st.body, newScope(s)))
	return ctlNone
}
