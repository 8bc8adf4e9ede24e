package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// The parser follows Jinja2's grammar, one method for each level of binding,
// from the loosest to the tightest. Its own depth is bounded here, that of what
// it makes (1+1+1+... is deep too) when it runs.

type parser struct {
	tokens   []token
	pos      int
	depth    int
	nodes    int
	loops    int  // open loops of the macro or template being read
	uses     uses // of the macro being read
	blocks   map[string]*blockStmt
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
func (p *parser) body() []node {
	p.enter()
	defer p.leave()
	var out []node
	for {
		line := p.at()
		var st stmt
		switch t := p.peek(); t.kind {
		case tokText:
			if p.next(); t.text == "" {
				continue
			}
			p.literals = append(p.literals, t.text)
			st = &textStmt{Own(t.text)}
		case tokPrint:
			p.next()
			st = &printStmt{p.tuple(true)}
			p.expect(tokEnd, "}}")
		case tokBlock:
			name := p.peekAt(1)
			if name.kind == tokName && slices.Contains(dividers, name.text) {
				return out
			}
			p.next()
			st = p.statement(line)
		default:
			return out
		}
		out = append(out, node{line, st})
	}
}

var dividers = []string{"elif", "else", "endif", "endfor", "endset", "endmacro", "endcall", "endfilter", "endwith", "endblock", "endgeneration"}

// open reads the end of a tag that begins a body; a colon may stand before it.
func (p *parser) open() {
	p.op(":")
	p.expect(tokEnd, "%}")
}

// block reads the body of a statement and the tag that ends it.
func (p *parser) block(end string) []node {
	p.open()
	body := p.body()
	p.end(end)
	return body
}

// end reads the tag that ends a statement, and a name that may stand in it.
func (p *parser) end(end string, name ...string) {
	if t := p.peek(); t.kind != tokBlock || !(p.peekAt(1).kind == tokName && p.peekAt(1).text == end) {
		fail(t.line, "%s expected, not %s", end, describe(p.peekAt(1)))
	}
	p.next()
	p.next()
	for _, n := range name {
		p.word(n)
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
			p.open()
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
		s := &forStmt{target: p.targets(false)}
		if s.target.has("loop") {
			fail(line, "loop is a variable that for sets itself")
		}
		p.expect(tokName, "in")
		s.over = p.tuple(false)
		if p.word("if") {
			s.only = p.expr()
		}
		s.recursive = p.word("recursive")
		p.open()
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
		s := &setStmt{target: p.targets(true)}
		if p.op("=") {
			s.to = p.tuple(true)
			p.expect(tokEnd, "%}")
			return s
		}
		if s.target.parts != nil {
			fail(line, "= expected")
		}
		to := p.filters(bodyExpr{}, true)
		s.block = &block{to, p.block("endset")}
		return s
	case "print":
		s := &printStmt{&constExpr{Text{}}}
		for i := 0; !p.is(tokEnd, "%}"); i++ {
			if i > 0 {
				p.expect(tokOp, ",")
			}
			s.e = &binaryExpr{p.at(), "~", s.e, p.expr()}
		}
		p.next()
		return s
	case "filter":
		to := p.filters(p.namedFilter(bodyExpr{}), true)
		return &filterStmt{block{to, p.block("endfilter")}}
	case "with":
		s := &withStmt{}
		for !p.is(tokEnd, "%}") && !p.is(tokOp, ":") {
			if s.targets != nil {
				p.expect(tokOp, ",")
			}
			s.targets = append(s.targets, p.targets(false))
			p.expect(tokOp, "=")
			s.values = append(s.values, p.expr())
		}
		s.body = p.block("endwith")
		return s
	case "generation":
		return &generationStmt{p.apart(func() []node { return p.block("endgeneration") })}
	case "block":
		s := &blockStmt{name: p.expect(tokName, "").text}
		if p.blocks[s.name] != nil {
			fail(line, "there are two blocks named %s", s.name)
		}
		p.blocks[s.name] = s
		s.scoped = p.word("scoped")
		p.word("required")
		s.body = p.apart(func() []node {
			p.open()
			body := p.body()
			p.end("endblock", s.name)
			return body
		})
		return s
	case "macro":
		m := &macro{name: p.expect(tokName, "").text}
		p.expect(tokOp, "(")
		p.signature(m)
		p.macroBody(m, "endmacro")
		return &macroStmt{m}
	case "call":
		m := &macro{name: "caller"}
		if p.op("(") {
			p.signature(m)
		}
		call, ok := p.expr().(*callExpr)
		if !ok {
			fail(line, "a call of a macro expected")
		}
		p.macroBody(m, "endcall")
		return &callStmt{m, call}
	}
	fail(line, "the statement %q is not supported", name)
	return nil
}

// apart reads what stands in no loop, even if it is written in one.
func (p *parser) apart(read func() []node) []node {
	loops := p.loops
	p.loops = 0
	body := read()
	p.loops = loops
	return body
}

// signature reads a macro's parameters, behind their parenthesis.
func (p *parser) signature(m *macro) {
	for !p.op(")") {
		if len(m.params) > 0 {
			p.expect(tokOp, ",")
		}
		m.params = append(m.params, p.expect(tokName, "").text)
		var def expr
		if p.op("=") {
			def = p.expr()
		} else if n := len(m.defaults); n > 0 && m.defaults[n-1] != nil {
			fail(p.peek().line, "a parameter without a default after one that has it")
		}
		m.defaults = append(m.defaults, def)
	}
}

func (p *parser) macroBody(m *macro, end string) {
	outer := p.uses
	p.uses = uses{}
	m.body = p.apart(func() []node { return p.block(end) })
	m.uses = p.uses
	p.uses.add(outer)
}

// otherwise reads an else and what belongs to it.
func (p *parser) otherwise() []node {
	if !(p.peek().kind == tokBlock && p.peekAt(1).text == "else") {
		return nil
	}
	p.next()
	p.next()
	p.open()
	return p.body()
}

// targets reads what for and set give values to: one target, or several with
// commas between.
func (p *parser) targets(spaces bool) target {
	first := p.target(spaces)
	if !p.is(tokOp, ",") {
		return first
	}
	several := target{parts: []target{first}}
	for p.op(",") && !p.is(tokOp, ")") {
		several.parts = append(several.parts, p.target(spaces))
	}
	return several
}

// target reads a name, an attribute of a namespace if there can be one, or
// targets in parentheses.
func (p *parser) target(spaces bool) target {
	p.enter()
	defer p.leave()
	p.at()
	if p.op("(") {
		t := p.targets(spaces)
		p.expect(tokOp, ")")
		return t
	}
	name := p.expect(tokName, "")
	if slices.Contains([]string{"true", "True", "false", "False", "none", "None"}, name.text) {
		fail(name.line, "%s cannot be given a value", name.text)
	}
	if spaces && p.op(".") {
		return target{space: name.text, name: p.expect(tokName, "").text}
	}
	return target{name: name.text}
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
	return &listExpr{items, listTuple}
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

func (p *parser) or() expr { return p.chain("or", p.and) }

func (p *parser) and() expr { return p.chain("and", p.not) }

// chain parses operands that the word op joins, from left to right.
func (p *parser) chain(op string, operand func() expr) expr {
	e := operand()
	for p.is(tokName, op) {
		line := p.at()
		p.next()
		p.binary(&e, line, op, operand())
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
		e = p.filters(e, false)
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
		}
		p.uses.note(t.text)
		return &nameExpr{t.text}
	case tokString:
		s := t.text
		if p.peek().kind == tokString {
			var b strings.Builder
			for b.WriteString(s); p.peek().kind == tokString; b.WriteString(p.next().text) {
				p.at()
			}
			s = b.String()
		}
		p.literals = append(p.literals, s)
		return &constExpr{Own(s)}
	case tokInt:
		n, err := strconv.ParseInt(t.text, 0, 64)
		if err != nil {
			fail(line, "the number %s is too large", t.text)
		}
		return &constExpr{n}
	case tokFloat:
		f, _ := strconv.ParseFloat(t.text, 64) // too large: infinite
		return &constExpr{f}
	case tokOp:
		switch t.text {
		case "(":
			if p.op(")") {
				return &listExpr{nil, listTuple}
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
				n, err := strconv.ParseInt(t.text, 0, 64)
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

// subscript reads what stands in brackets: a key, several keys, which make a
// tuple, or a slice.
func (p *parser) subscript(line int, e expr) expr {
	var parts [3]expr
	colons := 0
	for {
		if t := p.peek(); !(t.kind == tokOp && (t.text == ":" || t.text == "]" || t.text == ",")) {
			parts[colons] = p.expr()
		}
		if !p.op(":") {
			break
		}
		if colons++; colons > 2 {
			fail(line, "a slice has at most three parts")
		}
	}
	if colons > 0 {
		p.expect(tokOp, "]")
		return &sliceExpr{line, e, parts}
	}
	keys := &listExpr{kind: listTuple}
	if parts[0] != nil {
		if p.op("]") {
			return &itemExpr{line, e, parts[0]}
		}
		keys.items = []expr{parts[0]}
	}
	for !p.op("]") {
		p.expect(tokOp, ",")
		keys.items = append(keys.items, p.expr())
	}
	return &itemExpr{line, e, keys}
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
		if p.peek().kind == tokName && p.peekAt(1).kind == tokOp && p.peekAt(1).text == "=" && a.pairs == nil {
			a.names = append(a.names, p.next().text)
			p.next()
			a.named = append(a.named, p.expr())
			continue
		}
		switch {
		case a.list == nil && a.pairs == nil && p.op("*"):
			a.list = p.expr()
			continue
		case a.pairs == nil && p.op("**"):
			a.pairs = p.expr()
			continue
		case a.named != nil || a.list != nil || a.pairs != nil:
			fail(p.peek().line, "an argument without a name after others")
		}
		a.pos = append(a.pos, p.expr())
	}
	return a
}

// filters reads |filter and "is test", or filters only.
func (p *parser) filters(e expr, only bool) expr {
	for {
		line := p.at()
		switch {
		case p.op("|"):
			e = p.namedFilter(e)
		case only:
			return e
		case p.is(tokName, "is"):
			p.next()
			negate := p.word("not")
			name := p.expect(tokName, "").text
			var a argExprs
			switch t := p.peek(); {
			case t.kind == tokOp && t.text == "(":
				a = p.args()
			case t.kind == tokName && t.text == "is":
				fail(line, "tests cannot follow each other")
			case t.kind == tokName && !slices.Contains([]string{"else", "or", "and"}, t.text),
				t.kind == tokString, t.kind == tokInt, t.kind == tokFloat, t.kind == tokOp && (t.text == "[" || t.text == "{"):
				a.pos = []expr{p.postfix(p.primary())}
			}
			e = &testExpr{applied{line, e, name, a}, negate}
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
	var a argExprs
	if p.is(tokOp, "(") {
		a = p.args()
	}
	return &filterExpr{applied{line, e, name, a}}
}
