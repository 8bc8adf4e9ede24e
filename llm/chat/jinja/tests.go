package jinja

// Tests, as Jinja2 defines them: what may follow "is".

var tests map[string]*function

func makeTests() {
	compare := func(op string) impl {
		return func(m *machine, a args) value { return m.compare(op, a.pos[0], a.pos[1]) }
	}
	kind := func(is func(v value) bool) impl {
		return func(m *machine, a args) value { return is(a.pos[0]) }
	}
	remainder := func(m *machine, v, by value) value { return m.operate("%", v, by) }
	tests = table(map[string]impl{
		"boolean": kind(func(v value) bool { _, ok := v.(bool); return ok }),
		"callable": kind(func(v value) bool {
			switch v.(type) {
			case *function, *loop, undefined:
				return true
			}
			return false
		}),
		"defined":         kind(func(v value) bool { _, none := v.(undefined); return !none }),
		"divisibleby num": func(m *machine, a args) value { return m.equal(remainder(m, a.pos[0], a.pos[1]), int64(0)) },
		"escaped":         kind(func(v value) bool { t, ok := v.(Text); return ok && t.html }),
		"even":            func(m *machine, a args) value { return m.equal(remainder(m, a.pos[0], int64(2)), int64(0)) },
		"odd":             func(m *machine, a args) value { return m.equal(remainder(m, a.pos[0], int64(2)), int64(1)) },
		"false":           kind(func(v value) bool { return v == value(false) }),
		"filter":          func(m *machine, a args) value { return known(m, filters, a.pos[0]) },
		"float":           kind(func(v value) bool { _, ok := v.(float64); return ok }),
		"in seq":          func(m *machine, a args) value { return m.contains(a.pos[1], a.pos[0]) },
		"integer":         kind(func(v value) bool { _, ok := v.(int64); return ok }),
		"iterable":        kind(iterable),
		"lower":           func(m *machine, a args) value { return inCase(m.str(a.pos[0]).s, isLower) },
		"mapping":         kind(func(v value) bool { _, ok := v.(*dict); return ok }),
		"none":            kind(func(v value) bool { return v == nil }),
		"number":          kind(func(v value) bool { return number(v) != nil }),
		"sameas other":    func(m *machine, a args) value { return same(a.pos[0], a.pos[1]) },
		"sequence": kind(func(v value) bool {
			switch v := v.(type) {
			case Text, *dict, undefined:
				return true
			case *list:
				return v.indexed()
			}
			return false
		}),
		"string":    kind(func(v value) bool { _, ok := v.(Text); return ok }),
		"test":      func(m *machine, a args) value { return known(m, tests, a.pos[0]) },
		"true":      kind(func(v value) bool { return v == value(true) }),
		"undefined": kind(func(v value) bool { _, none := v.(undefined); return none }),
		"upper":     func(m *machine, a args) value { return inCase(m.str(a.pos[0]).s, isUpper) },
	})
	for op, names := range map[string][]string{"==": {"eq", "equalto"}, "!=": {"ne"},
		"<": {"lt", "lessthan"}, "<=": {"le"}, ">": {"gt", "greaterthan"}, ">=": {"ge"}} {
		for _, name := range append(names, op) {
			tests[name] = of(name, "other /", compare(op))
		}
	}
}

func known(m *machine, table map[string]*function, name value) bool {
	t, ok := m.hash(name).(string)
	return ok && table[t] != nil
}

// inCase tells whether s has letters with case and all of them are of that one.
func inCase(s string, is func(rune) bool) bool {
	some := false
	for _, r := range s {
		if cased(r) {
			if !is(r) {
				return false
			}
			some = true
		}
	}
	return some
}
