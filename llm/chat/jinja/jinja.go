// Package jinja renders the chat templates that model files carry. They are
// programs in the language Jinja2, as the Python library transformers runs it:
// with trim_blocks, lstrip_blocks, break and continue, raise_exception,
// strftime_now, and values that cannot be changed.
//
// The language is the part of Jinja2 that such templates use.
//
//   - Statements: for (with else, if, recursive, break, continue), if, set (also
//     of a namespace's attribute, of several names, and as a block), macro, call,
//     filter, with, block, generation, print, raw.
//   - Expressions: all operators, comparisons in chains, slices, "a if b else
//     c", literals, calls, filters, tests, and the attributes and methods of
//     Python's strings, lists, dictionaries and numbers that change nothing.
//   - Not there: include, import, extends and autoescape; the filters urlize and
//     wordwrap; lipsum, which is defined but fails; bytes (str.encode); integers
//     beyond 64 bits; characters by name (\N{...}) and halves of surrogate pairs.
//   - pprint cuts no string that is longer than a line, and "is sameas" takes
//     equal strings and numbers for the same. Letters are those of this Go's
//     Unicode, which may be newer than Python's.
//   - What Python shows with an address in memory (functions, generators) has
//     none here. A filter or test that is not known fails when it is run, and
//     generators are run at once, though they can be gone through only once.
//
// Templates come from strangers. A template can read only what Render is
// given, and it ends: each step and each byte it makes costs fuel, of which
// there is as much as the data warrants. No template makes Parse or Render
// panic, hang, or take more memory than a small multiple of the data and a few
// megabytes.
//
// What is rendered knows where it comes from, byte by byte: see Text.
package jinja

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Limits that no real template comes near.
const (
	maxSource  = 1 << 20 // bytes of a template; the longest known has 20 thousand
	maxDepth   = 100     // of nested statements, brackets and values
	maxNesting = 2000    // of steps within steps when it runs
	maxNodes   = 100_000
	baseFuel   = 1 << 20 // for a template without data
	dataFuel   = 32      // more for each byte of data
	bytesAFuel = 16      // bytes that one unit of fuel makes
	anElement  = 64      // bytes that an element of a list counts for
)

// Template is a parsed template. It does not change, so that any number of
// goroutines may render it.
type Template struct {
	body     []node
	blocks   map[string]*blockStmt
	literals []string
}

// Options are what a template may ask for beside its variables.
type Options struct {
	Now func() time.Time // for strftime_now; nil: strftime_now is not defined
}

// Raised is the error of a template that refuses its variables, by calling
// raise_exception.
type Raised struct{ Message string }

func (r *Raised) Error() string { return r.Message }

// failure carries an error out of the depths.
type failure struct{ error }

func fail(line int, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if line > 0 {
		err = fmt.Errorf("line %d: %w", line, err)
	}
	panic(failure{err})
}

func rescue(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}

// Parse reads a template. An error names the line and what is wrong or not
// supported.
func Parse(source string) (t *Template, err error) {
	defer rescue(&err)
	once.Do(makeTables)
	if len(source) > maxSource {
		return nil, fmt.Errorf("it has %d bytes, at most %d are supported", len(source), maxSource)
	}
	p := &parser{tokens: lex(source), blocks: map[string]*blockStmt{}}
	body := p.body()
	if tok := p.peek(); tok.kind != tokEOF {
		return nil, fmt.Errorf("line %d: %q without a beginning", tok.line, p.peekAt(1).text)
	}
	return &Template{body, p.blocks, p.literals}, nil
}

// Literals are the texts and the strings in the template, which is all that
// its own output can be made of.
func (t *Template) Literals() []string { return t.literals }

// Dict is a dictionary whose keys have an order, as they have in Python.
type Dict []Item

// Item is a key of a Dict and its value.
type Item struct {
	Key   string
	Value any
}

// Render runs the template with variables, whose values are nil, bool, int,
// float64, string (the template's own), Text, []any, Dict, and map[string]any:
// a dictionary whose keys are taken in the order of a message (role, content,
// type) and then of the alphabet. An error is a *Raised, or says in which line
// the template went wrong.
func (t *Template) Render(vars map[string]any, o Options) (out Text, err error) {
	defer rescue(&err)
	m := &machine{fuel: baseFuel, blocks: t.blocks}
	root := newScope(nil)
	for name, f := range globals {
		root.set(name, f)
	}
	if o.Now != nil {
		root.set("strftime_now", strftimeNow(o.Now))
	}
	root.set("self", &blocks{root})
	for name, v := range vars {
		root.set(name, m.take(v, 0))
	}
	m.root = root
	return m.render(t.body, root), nil
}

// take turns what the caller gives into values, and grants fuel for it.
func (m *machine) take(v any, depth int) value {
	if depth > maxDepth {
		m.fail("the variables are nested too deeply")
	}
	m.fuel += dataFuel
	switch v := v.(type) {
	case nil, bool, float64:
		return v
	case int:
		return int64(v)
	case string:
		m.fuel += dataFuel * len(v)
		return Own(v)
	case Text:
		m.fuel += dataFuel * len(v.s)
		return v
	case []any:
		l := make([]value, len(v))
		for i := range v {
			l[i] = m.take(v[i], depth+1)
		}
		return &list{items: l}
	case Dict:
		d := &dict{}
		for _, item := range v {
			d.set(item.Key, m.take(item.Value, depth+1))
		}
		return d
	case map[string]any:
		d := &dict{}
		first := []string{"role", "content", "type"}
		for _, k := range append(first, slices.Sorted(maps.Keys(v))...) {
			if _, done := d.get(k); done {
				continue
			}
			if w, ok := v[k]; ok {
				d.set(k, m.take(w, depth+1))
			}
		}
		return d
	}
	m.fail("a variable of type %T", v)
	return nil
}

// The tables are made when the first template is parsed, for a program's start
// should not wait for them.
var once sync.Once

func makeTables() {
	makeGlobals()
	makeFilters()
	makeTests()
	makeMethods()
}
