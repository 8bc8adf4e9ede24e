package jinja

import (
	"slices"
	"strconv"
)

// The parser follows Jinja2's grammar, one method for each level of binding,
// from the loosest to the tightest. Its own depth is bounded here, that of what
// it makes (1+1+1+... is deep too) when it runs.

type parser struct {
	tokens   []token
	pos      int
	depth    int
	nodes    int
	loops    int // open loops of the macro or template being read
	literals []string
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) peekAt(n int) token { return p.tokens[min(p.pos+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if p.pos < len(p.tokens)-1 {
		p.pos++
	}
	return t
}

func (p *parser) is(k kind, text string) bool {
	t := p.peek()
	return t.kind == k && t.text == text
}

func (p *parser) op(text string) bool { return p.accept(tokOp, text) }

func (p *parser) word(text string) bool { return p.accept(tokName, text) }

func (p *parser) accept(k kind, text string) bool {
	if p.is(k, text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(k kind, text string) token {
	if t := p.peek(); t.kind != k || text != "" && t.text != text {
		if text == "" {
			text = "a name"
		}
		fail(t.line, "%s expected, not %s", text, describe(t))
	}
	return p.next()
}

func describe(t token) string {
	switch t.kind {
	case tokEOF:
		return "the end of the template"
	case tokText:
		return "text"
	case tokString:
		return "a string"
	}
	return strconv.Quote(t.text)
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		fail(p.peek().line, "it is nested more than %d deep", maxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// at notes a node and returns its line.
func (p *parser) at() int {
	if p.nodes++; p.nodes > maxNodes {
		fail(p.peek().line, "the template is too long")
	}
	return p.peek().line
}

// body reads statements until one that only ends or divides others.
func (p *parser) body() []stmt {
	p.enter()
	defer p.leave()
	var out []stmt
	for {
		line := p.at()
		switch t := p.peek(); t.kind {
		case tokText:
			if p.next(); t.text != "" {
				p.literals = append(p.literals, t.text)
				out = append(out, &textStmt{Own(t.text)})
			}
		case tokPrint:
			p.next()
			out = append(out, &printStmt{line, p.tuple(true)})
			p.expect(tokEnd, "}}")
		case tokBlock:
			name := p.peekAt(1)
			if name.kind == tokName && slices.Contains(dividers, name.text) {
				return out
			}
			p.next()
			out = append(out, p.statement(line))
		default:
			return out
		}
	}
}

var dividers = []string{"elif", "else", "endif", "endfor", "endset", "endmacro", "endfilter", "endgeneration"}

// end reads the tag that ends a statement.
func (p *parser) end(name string) {
	if t := p.peek(); t.kind != tokBlock || !(p.peekAt(1).kind == tokName && p.peekAt(1).text == name) {
		fail(t.line, "%s expected, not %s", name, describe(p.peekAt(1)))
	}
	p.next()
	p.next()
	if name == "endmacro" && p.peek().kind == tokName {
		p.next()
	}
	p.expect(tokEnd, "%}")
}

func (p *parser) statement(line int) stmt {
	name := p.expect(tokName, "").text
	switch name {
	case "if":
		s := &ifStmt{}
		for {
			cond := p.tuple(false)
			p.expect(tokEnd, "%}")
			s.conds, s.bodies = append(s.conds, cond), append(s.bodies, p.body())
			if !(p.peek().kind == tokBlock && p.peekAt(1).text == "elif") {
				break
			}
			p.at()
			p.next()
			p.next()
		}
		s.otherwise = p.otherwise()
		p.end("endif")
		return s
	case "for":
		s := &forStmt{line: line}
		s.targets = p.targets()
		p.expect(tokName, "in")
		s.over = p.tuple(false)
		if p.word("if") {
			s.only = p.expr()
		}
		if p.is(tokName, "recursive") {
			fail(line, "recursive loops are not supported")
		}
		p.expect(tokEnd, "%}")
		p.loops++
		s.body = p.body()
		p.loops--
		s.otherwise = p.otherwise()
		p.end("endfor")
		return s
	case "break", "continue":
		if p.loops == 0 {
			fail(line, "%s outside of a loop", name)
		}
		p.expect(tokEnd, "%}")
		if name == "break" {
			return ctlBreak
		}
		return ctlContinue
	case "set":
		s := &setStmt{line: line}
		if p.peekAt(1).kind == tokOp && p.peekAt(1).text == "." {
			s.space = p.expect(tokName, "").text
			p.next()
			s.targets = []string{p.expect(tokName, "").text}
		} else {
			s.targets = p.targets()
		}
		if p.op("=") {
			s.to = p.tuple(true)
			p.expect(tokEnd, "%}")
			return s
		}
		if len(s.targets) > 1 {
			fail(line, "= expected")
		}
		var content expr = &bodyExpr{}
		content = p.filters(content)
		p.expect(tokEnd, "%}")
		s.to, s.block = content, p.body()
		p.end("endset")
		return s
	case "filter":
		content := p.namedFilter(&bodyExpr{})
		content = p.filters(content)
		p.expect(tokEnd, "%}")
		s := &filterStmt{line, content, p.body()}
		p.end("endfilter")
		return s
	case "generation":
		p.expect(tokEnd, "%}")
		s := &ifStmt{otherwise: p.body()}
		p.end("endgeneration")
		return s
	case "macro":
		s := &macroStmt{line: line, name: p.expect(tokName, "").text}
		p.expect(tokOp, "(")
		for !p.op(")") {
			if len(s.params) > 0 {
				p.expect(tokOp, ",")
			}
			s.params = append(s.params, p.expect(tokName, "").text)
			var def expr
			if p.op("=") {
				def = p.expr()
			} else if n := len(s.defaults); n > 0 && s.defaults[n-1] != nil {
				fail(line, "a parameter without a default after one that has it")
			}
			s.defaults = append(s.defaults, def)
		}
		p.expect(tokEnd, "%}")
		loops := p.loops
		p.loops = 0
		s.body = p.body()
		p.loops = loops
		p.end("endmacro")
		return s
	}
	fail(line, "the statement %q is not supported", name)
	return nil
}

// otherwise reads an else and what belongs to it.
func (p *parser) otherwise() []stmt {
	if !(p.peek().kind == tokBlock && p.peekAt(1).text == "else") {
		return nil
	}
	p.next()
	p.next()
	p.expect(tokEnd, "%}")
	return p.body()
}

// targets reads the names that for and set give values to.
func (p *parser) targets() []string {
	paren := p.op("(")
	names := []string{p.expect(tokName, "").text}
	for p.op(",") {
		names = append(names, p.expect(tokName, "").text)
	}
	if paren {
		p.expect(tokOp, ")")
	}
	return names
}

// tuple reads one expression, or several with commas between, which make a
// list. conds says whether "a if b else c" is one.
func (p *parser) tuple(conds bool) expr {
	one := p.or
	if conds {
		one = p.expr
	}
	first := one()
	if !p.is(tokOp, ",") {
		return first
	}
	items := []expr{first}
	for p.op(",") {
		if t := p.peek(); t.kind == tokEnd || t.kind == tokOp && (t.text == ")" || t.text == "=") {
			break
		}
		items = append(items, one())
	}
	return &listExpr{items, true}
}

func (p *parser) expr() expr {
	p.enter()
	defer p.leave()
	e := p.or()
	for p.is(tokName, "if") {
		p.at()
		p.next()
		c := &condExpr{yes: e, cond: p.or()}
		if p.word("else") {
			c.no = p.expr()
		}
		e = c
	}
	return e
}

func (p *parser) binary(e *expr, line int, op string, right expr) {
	*e = &binaryExpr{line, op, *e, right}
}

func (p *parser) or() expr {
	e := p.and()
	for p.is(tokName, "or") {
		line := p.at()
		p.next()
		p.binary(&e, line, "or", p.and())
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.is(tokName, "and") {
		line := p.at()
		p.next()
		p.binary(&e, line, "and", p.not())
	}
	return e
}

func (p *parser) not() expr {
	if p.is(tokName, "not") {
		line := p.at()
		p.next()
		p.enter()
		defer p.leave()
		return &unaryExpr{line, "not", p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	e := p.sum()
	c := &compareExpr{line: p.at(), first: e}
	for {
		t := p.peek()
		op := t.text
		switch {
		case t.kind == tokOp && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, op):
			p.next()
		case t.kind == tokName && op == "in":
			p.next()
		case t.kind == tokName && op == "not" && p.peekAt(1).kind == tokName && p.peekAt(1).text == "in":
			op = "not in"
			p.next()
			p.next()
		default:
			if c.ops == nil {
				return e
			}
			return c
		}
		p.at()
		c.ops, c.rest = append(c.ops, op), append(c.rest, p.sum())
	}
}

func (p *parser) sum() expr     { return p.left(p.concat, "+", "-") }
func (p *parser) concat() expr  { return p.left(p.product, "~") }
func (p *parser) product() expr { return p.left(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.left(func() expr { return p.unary(true) }, "**") }

// left reads operators that bind to the left.
func (p *parser) left(operand func() expr, ops ...string) expr {
	e := operand()
	for {
		t := p.peek()
		if t.kind != tokOp || !slices.Contains(ops, t.text) {
			return e
		}
		line := p.at()
		p.next()
		p.binary(&e, line, t.text, operand())
	}
}

func (p *parser) unary(filters bool) expr {
	var e expr
	if t := p.peek(); t.kind == tokOp && (t.text == "-" || t.text == "+") {
		line := p.at()
		p.next()
		p.enter()
		e = &unaryExpr{line, t.text, p.unary(false)}
		p.leave()
	} else {
		e = p.postfix(p.primary())
	}
	if filters {
		e = p.filters(e)
	}
	return e
}

func (p *parser) primary() expr {
	p.enter()
	defer p.leave()
	line := p.at()
	t := p.next()
	switch t.kind {
	case tokName:
		switch t.text {
		case "true", "True":
			return &constExpr{true}
		case "false", "False":
			return &constExpr{false}
		case "none", "None":
			return &constExpr{nil}
		case "if", "else", "elif", "in", "is", "and", "or", "not":
			fail(line, "a value expected, not %q", t.text)
		}
		return &nameExpr{line, t.text}
	case tokString:
		s := t.text
		for p.peek().kind == tokString {
			s += p.next().text
		}
		p.literals = append(p.literals, s)
		return &constExpr{Own(s)}
	case tokInt:
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			fail(line, "the number %s is too large", t.text)
		}
		return &constExpr{n}
	case tokFloat:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			fail(line, "the number %s is too large", t.text)
		}
		return &constExpr{f}
	case tokOp:
		switch t.text {
		case "(":
			if p.op(")") {
				return &listExpr{nil, true}
			}
			e := p.tuple(true)
			p.expect(tokOp, ")")
			return e
		case "[":
			l := &listExpr{}
			for !p.op("]") {
				if len(l.items) > 0 {
					p.expect(tokOp, ",")
					if p.op("]") {
						break
					}
				}
				l.items = append(l.items, p.expr())
			}
			return l
		case "{":
			d := &dictExpr{line: line}
			for !p.op("}") {
				if len(d.keys) > 0 {
					p.expect(tokOp, ",")
					if p.op("}") {
						break
					}
				}
				d.keys = append(d.keys, p.expr())
				p.expect(tokOp, ":")
				d.values = append(d.values, p.expr())
			}
			return d
		}
	}
	fail(t.line, "a value expected, not %s", describe(t))
	return nil
}

// postfix reads attributes, subscripts and calls.
func (p *parser) postfix(e expr) expr {
	for {
		line := p.at()
		switch {
		case p.op("."):
			t := p.next()
			switch t.kind {
			case tokName:
				e = &attrExpr{line, e, t.text}
			case tokInt:
				n, err := strconv.ParseInt(t.text, 10, 64)
				if err != nil {
					fail(line, "the number %s is too large", t.text)
				}
				e = &itemExpr{line, e, &constExpr{n}}
			default:
				fail(line, "a name expected behind the dot, not %s", describe(t))
			}
		case p.op("["):
			e = p.subscript(line, e)
		case p.is(tokOp, "("):
			e = &callExpr{line, e, p.args()}
		default:
			return e
		}
	}
}

func (p *parser) subscript(line int, e expr) expr {
	var parts [3]expr
	n := 0
	for {
		if t := p.peek(); !(t.kind == tokOp && (t.text == ":" || t.text == "]")) {
			parts[n] = p.expr()
		}
		if p.op("]") {
			break
		}
		p.expect(tokOp, ":")
		if n++; n > 2 {
			fail(line, "a slice has at most three parts")
		}
	}
	if n == 0 {
		if parts[0] == nil {
			fail(line, "a subscript is empty")
		}
		return &itemExpr{line, e, parts[0]}
	}
	return &sliceExpr{line, e, parts}
}

// args reads the arguments of a call, with their parentheses.
func (p *parser) args() argExprs {
	p.enter()
	defer p.leave()
	var a argExprs
	p.expect(tokOp, "(")
	for first := true; !p.op(")"); first = false {
		if !first {
			p.expect(tokOp, ",")
			if p.op(")") {
				break
			}
		}
		if p.peek().kind == tokName && p.peekAt(1).kind == tokOp && p.peekAt(1).text == "=" {
			a.names = append(a.names, p.next().text)
			p.next()
			a.named = append(a.named, p.expr())
			continue
		}
		if t := p.peek(); t.kind == tokOp && (t.text == "*" || t.text == "**") {
			fail(t.line, "arguments with %s are not supported", t.text)
		}
		if a.named != nil {
			fail(p.peek().line, "an argument without a name after one with a name")
		}
		a.pos = append(a.pos, p.expr())
	}
	return a
}

// filters reads |filter and "is test".
func (p *parser) filters(e expr) expr {
	for {
		line := p.at()
		switch {
		case p.op("|"):
			e = p.namedFilter(e)
		case p.is(tokName, "is"):
			p.next()
			negate := p.word("not")
			name := p.next()
			test, ok := tests[name.text]
			if name.kind != tokName || !ok {
				fail(line, "the test %s is not supported", describe(name))
			}
			var a argExprs
			switch t := p.peek(); {
			case t.kind == tokOp && t.text == "(":
				a = p.args()
			case t.kind == tokName && !slices.Contains([]string{"else", "or", "and", "is", "if", "in", "not"}, t.text),
				t.kind == tokString, t.kind == tokInt, t.kind == tokFloat, t.kind == tokOp && (t.text == "[" || t.text == "{"):
				a.pos = []expr{p.postfix(p.primary())}
			}
			e = &testExpr{line, e, test, a, negate}
		case p.is(tokOp, "("):
			e = &callExpr{line, e, p.args()}
		default:
			return e
		}
	}
}

func (p *parser) namedFilter(e expr) expr {
	line := p.at()
	name := p.expect(tokName, "").text
	f, ok := filters[name]
	if !ok {
		fail(line, "the filter %q is not supported", name)
	}
	var a argExprs
	if p.is(tokOp, "(") {
		a = p.args()
	}
	return &filterExpr{line, e, f, a}
}
