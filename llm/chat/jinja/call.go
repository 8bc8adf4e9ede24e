package jinja

import (
	"math"
	"slices"
	"strings"
)

// A function is whatever can be called: filters and tests (of the value before
// them), methods (of their object), macros and the functions of the language.
type function struct {
	name   string
	params []param
	more   bool // takes any number of arguments beyond its parameters
	named  bool // takes arguments of any name
	free   bool // sees its arguments as they are: a macro
	call   func(m *machine, a args) value
}

// param is a parameter of a function. One without a name takes no argument
// that is given by name.
type param struct {
	name     string
	optional bool
}

type impl = func(m *machine, a args) value

// define makes a function of its parameters, written as "old new count?". A
// question mark says that one can be left out, "/" that those before it are
// not given by name, "*" and "**" that there may be more, without or with names.
func define(name, params string, call impl) *function {
	f := &function{name: name, call: call}
	for word := range strings.FieldsSeq(params) {
		switch word {
		case "/":
			for i := range f.params {
				f.params[i].name = ""
			}
		case "*":
			f.more = true
		case "**":
			f.named = true
		default:
			p, optional := strings.CutSuffix(word, "?")
			f.params = append(f.params, param{p, optional})
		}
	}
	return f
}

// of is define for what has a value or an object as its first argument.
func of(name, params string, call impl) *function {
	return define(name, "value / "+params, call)
}

// table makes functions of definitions, each name and parameters in one string.
func table(definitions map[string]impl) map[string]*function {
	out := make(map[string]*function, len(definitions))
	for d, call := range definitions {
		name, params, _ := strings.Cut(d, " ")
		out[name] = of(name, params, call)
	}
	return out
}

// bind is f as the method of an object.
func (f *function) bind(object value) *function {
	return &function{name: f.name, free: true, call: func(m *machine, a args) value {
		m.read(object)
		a.pos = append([]value{object}, a.pos...)
		return m.call(f, a)
	}}
}

// args are the arguments of a call. For a function that is not free there is
// one in pos for each parameter, missing{} where none was given.
type args struct {
	pos   []value
	more  []value // beyond the parameters
	named *dict   // by name; may be nil
}

type missing struct{}

// call calls f with arguments as they were written.
func (m *machine) call(f *function, a args) value {
	m.enter()
	defer m.leave()
	if !f.free {
		a = m.bind(f, a)
	}
	return f.call(m, a)
}

// bind brings arguments into the order of f's parameters.
func (m *machine) bind(f *function, a args) args {
	n := len(f.params)
	out := args{pos: a.pos, named: a.named}
	if len(a.pos) > n {
		if !f.more {
			m.fail("%s takes at most %d arguments, not %d", f.name, n-f.subjects(), len(a.pos)-f.subjects())
		}
		out.pos, out.more = a.pos[:n:n], a.pos[n:]
	}
	if len(out.pos) < n {
		out.pos = slices.Grow(slices.Clone(out.pos), n-len(out.pos))
		for len(out.pos) < n {
			out.pos = append(out.pos, missing{})
		}
	}
	if a.named != nil && !f.named {
		for _, e := range a.named.entries {
			name := e.key.(Text).s
			i := slices.IndexFunc(f.params, func(p param) bool { return p.name == name && name != "" })
			if i < 0 {
				m.fail("%s takes no argument %q", f.name, name)
			}
			if out.pos[i] != value(missing{}) {
				m.fail("%s is given its argument %q twice", f.name, name)
			}
			out.pos[i] = e.val
		}
	}
	for i, p := range f.params {
		if _, none := out.pos[i].(missing); none && !p.optional {
			name := p.name
			if name == "" {
				name = "a value"
			}
			m.fail("%s needs an argument: %s", f.name, name)
		}
	}
	return out
}

// subjects is 1 for what has a value or an object before its arguments.
func (f *function) subjects() int {
	if len(f.params) > 0 && f.params[0] == (param{}) {
		return 1
	}
	return 0
}

// get is argument i; false if it is not there.
func (a args) get(i int) (value, bool) {
	_, none := a.pos[i].(missing)
	return a.pos[i], !none
}

// or is argument i, or def.
func (a args) or(i int, def value) value {
	if v, ok := a.get(i); ok {
		return v
	}
	return def
}

// given tells whether argument i is there and is not none.
func (a args) given(i int) bool {
	v, ok := a.get(i)
	return ok && v != nil
}

// truth is whether argument i is there and true.
func (a args) truth(i int) bool { return truth(a.or(i, false)) }

// text is argument i, which must be a string.
func (m *machine) text(a args, i int) Text {
	t, ok := a.pos[i].(Text)
	if !ok {
		m.fail("a string expected, not %s", typeName(a.or(i, undefined{"it is not given"})))
	}
	return t
}

// textOr is argument i, which must be a string, or def if it is not given.
func (m *machine) textOr(a args, i int, def string) Text {
	if _, ok := a.get(i); !ok {
		return Own(def)
	}
	return m.text(a, i)
}

// integer is v, which must be a whole number, as far as a count can be.
func (m *machine) integer(v value) int {
	n, ok := number(v).(int64)
	if !ok {
		m.fail("a whole number expected, not %s", typeName(v))
	}
	return int(min(max(n, math.MinInt32), math.MaxInt32))
}

// intOr is argument i, which must be a whole number, or def.
func (m *machine) intOr(a args, i, def int) int {
	if v, ok := a.get(i); ok {
		return m.integer(v)
	}
	return def
}

// argExprs are the arguments of a call as they are written.
type argExprs struct {
	pos         []expr
	names       []string
	named       []expr
	list, pairs expr // *list, **pairs
}

// eval evaluates the arguments behind those that come first.
func (a argExprs) eval(m *machine, s *scope, first ...value) args {
	out := args{pos: make([]value, len(first)+len(a.pos))}
	copy(out.pos, first)
	for i, e := range a.pos {
		out.pos[len(first)+i] = m.eval(e, s)
	}
	if a.list != nil {
		out.pos = append(out.pos, m.iterate(m.eval(a.list, s))...)
	}
	for i, e := range a.named {
		m.name(&out, Own(a.names[i]), m.eval(e, s))
	}
	if a.pairs != nil {
		d, ok := m.eval(a.pairs, s).(*dict)
		if !ok {
			m.fail("what follows ** must be a dictionary")
		}
		m.burn(size(d))
		for _, e := range d.entries {
			name, ok := e.key.(Text)
			if !ok {
				m.fail("names of arguments must be strings, not %s", typeName(e.key))
			}
			m.name(&out, name, e.val)
		}
	}
	return out
}

// name adds an argument that has a name.
func (m *machine) name(a *args, name Text, v value) {
	if a.named == nil {
		a.named = &dict{}
	}
	if a.named.find(name.s) >= 0 {
		m.fail("the argument %q is given twice", name.s)
	}
	a.named.put(name.s, name, v)
}
