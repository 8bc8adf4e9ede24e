package jinja

import "time"

// Functions that any template can call.

var globals map[string]*function

func makeGlobals() {
	globals = map[string]*function{}
	for _, f := range []*function{
		define("range", "start stop? step? /", func(m *machine, a args) value {
			start, stop := 0, m.integer(a.pos[0])
			if _, ok := a.get(1); ok {
				start, stop = stop, m.integer(a.pos[1])
			}
			return m.makeRange(int64(start), int64(stop), int64(m.intOr(a, 2, 1)))
		}),
		define("dict", "from? / **", func(m *machine, a args) value { return m.makeDict(a) }),
		define("namespace", "from? / **", func(m *machine, a args) value { return &namespace{*m.makeDict(a)} }),
		define("cycler", "*", func(m *machine, a args) value {
			if len(a.more) == 0 {
				m.fail("cycler has nothing to choose from")
			}
			return &cycler{items: a.more}
		}),
		define("joiner", "sep?", func(m *machine, a args) value {
			sep, used := a.or(0, Own(", ")), false
			return define("joiner", "", func(m *machine, a args) value {
				if !used {
					used = true
					return Text{}
				}
				return sep
			})
		}),
		define("lipsum", "* **", func(m *machine, a args) value {
			m.fail("lipsum, which makes up text at random, is not supported")
			return nil
		}),
		define("raise_exception", "message", func(m *machine, a args) value {
			panic(failure{&Raised{m.str(a.pos[0]).s}})
		}),
	} {
		globals[f.name] = f
	}
}

// makeDict is Python's dict: of a dictionary or of pairs, and of arguments with
// names.
func (m *machine) makeDict(a args) *dict {
	d := &dict{}
	switch from := a.or(0, d).(type) {
	case *dict:
		m.burn(size(from))
		for _, e := range from.entries {
			d.put(e.hash, e.key, e.val)
		}
	case *namespace:
		m.fail("a dictionary of %s", typeName(from))
	default:
		for _, pair := range m.iterate(from) {
			kv := m.iterate(pair)
			if len(kv) != 2 {
				m.fail("a dictionary is made of pairs, not of %d elements", len(kv))
			}
			d.put(m.hash(kv[0]), kv[0], kv[1])
		}
	}
	if a.named != nil {
		for _, e := range a.named.entries {
			d.put(e.hash, e.key, e.val)
		}
	}
	return d
}

// strftimeNow tells the time that now does.
func strftimeNow(now func() time.Time) *function {
	return define("strftime_now", "format", func(m *machine, a args) value {
		t := m.text(a, 0)
		m.burn(16 * len(t.s))
		return t.like(m.strftime(t.s, now()))
	})
}
