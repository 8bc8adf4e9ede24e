package jinja

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// vars are those of the probes.
func vars(t testing.TB) map[string]any {
	data, err := os.ReadFile("testdata/vars.json")
	if err != nil {
		t.Fatal(err)
	}
	return variables(t, data)
}

func render(source string, vars map[string]any) (Text, error) {
	t, err := Parse(source)
	if err != nil {
		return Text{}, err
	}
	return t.Render(vars, Options{})
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
		"{% macro m(x) %}({{ x }}){% endmacro %}{{ m(d) | replace('(', '<') }}":               "<<ab  c>)",
		"{% for c in d %}{{ c }}.{% endfor %}":                                                "<a>.<b>.< >.< >.<c>.",
		"{% filter upper %}o{{ d }}{% endfilter %}":                                           "O<AB  C>",
		"{{ d | indent(1) }}{{ d | reverse }}{{ d | first }}{{ d | last }}":                   "<ab  cc  baac>",
		"{{ d | escape }}{{ d | string }}{{ d | safe }}{{ [d, d] | join }}":                   "<ab  cab  cab  cab  cab  c>",
		"{{ d | capitalize }}{{ d | list }}":                                                  "<Ab  c>[<'a'>, <'b'>, <' '>, <' '>, <'c'>]",
		"{{ d | default('x') }}{{ q | default(d) }}{{ d if d else 'x' }}":                     "<ab  cab  cab  c>",
		"{{ {d: 1} }}{{ dict([(d, d)])|tojson }}":                                             `{<'ab  c'>: 1}{<"ab  c">: <"ab  c">}`,
		"{{ '<%s|%5.1s>' % (d, d) }}":                                                         "<<ab  c>|    <a>>",
		"{{ '[{0}|{x:>7}|{0!r}]'.format(d, x=d) }}":                                           "[<ab  c>|  <ab  c>|<'ab  c'>]",
		"{{ d % 1 if false else d.format(1) }}{{ d.zfill(7) }}{{ d.center(8) }}":              "<ab  c>00<ab  c> <ab  c>  ",
		"{{ d.replace('', '-') }}{{ d.swapcase() }}{{ d.casefold() }}":                        "-<a>-<b>-< >-< >-<c>-<AB  Cab  c>",
		"{{ d.partition('b') }}{{ d.removeprefix('a') }}{{ d.expandtabs() }}":                 "(<'a'>, <'b'>, <'  c'>)<b  cab  c>",
		"{{ ('<' | safe) + d }}{{ d | truncate(3, true, '.', 0) }}":                           "<<ab  cab>.",
		"{{ d | pprint }}{{ d | urlencode }}{{ d | striptags }}":                              "<'ab  c'ab%20%20cab c>",
		"{{ [{'r': d}] | groupby('r') }}{{ d.translate({97: 'x', 98: 99}) }}":                 "[(<'ab  c'>, [{'r': <'ab  c'>}])]x<c  c>",
		"{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ d }}{% endcall %}":     "(<ab  c>)",
		"{% for x in [d] recursive %}{{ x }}{% endfor %}{% with e = d %}{{ e }}{% endwith %}": "<ab  cab  c>",
		"{{ strftime_now(d) if strftime_now is defined else d | tojson(true) }}":              `<"ab  c">`,
		"{{ dict(k=d)['k'] }}{{ namespace(k=d).k }}{{ [d] | map('trim') | join }}":            "<ab  cab  cab  c>",
		"{{ [d, 'zz'] | max }}{{ [d] | sort | first }}{{ [d] | unique | first }}":             "zz<ab  cab  c>",
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
}

// maxAllocated is what a template without data may allocate, garbage included.
const maxAllocated = 128 << 20

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
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
		"zfill":      "{{ 'x'.zfill(1000000000) }}",
		"ljust":      "{{ 'x'.ljust(99999999999999) }}",
		"percent":    "{{ '%1000000000d' % 1 }}",
		"percent 2":  "{{ '%.1000000000f' % 1 }}",
		"percent 3":  "{{ '%99999999999999999999s' % 1 }}",
		"percent 4":  "{{ '%*d' % (2000000000, 1) }}",
		"format":     "{{ '{:1000000000}'.format(1) }}",
		"format 2":   "{{ '{:.1000000000f}'.format(1.5) }}",
		"format 3":   "{{ '{:01000000000,}'.format(1) }}",
		"format 4":   "{{ '{:{}}'.format('x', 1000000000) }}",
		"format 5":   "{{ '" + strings.Repeat("{:", 1000) + "'.format(1) }}",
		"indent":     "{{ 'x'|indent(1000000000, true) }}",
		"center":     "{{ 'x'|center(1000000000) }}",
		"json":       "{{ [[1]]|tojson(indent=1000000000) }}",
		"lists":      "{{ [1] * 1000000000000 }}",
		"lists 2":    "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l * 9 %}{% endfor %}",
		"batch":      "{{ [1]|batch(1000000000, 1)|list }}",
		"slice":      "{{ [1]|slice(1000000000)|list }}",
		"tabs":       "{{ '\\t'.expandtabs(1000000000) }}",
		"strftime":   "{{ strftime_now('%1000000000Y') }}",
		"keys":       "{% set ns = namespace(t=(1,)) %}{% for i in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {ns.t: 1} }}",
		"shared":     "{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t == ns.t|list }}{{ ns.t }}",
		"pprint":     "{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t|pprint }}",
		"recursive":  "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
		"caller":     "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
		"block":      "{% block a %}{{ self.a() }}{% endblock %}",
		"targets":    "{% for " + strings.Repeat("(", 100000) + "x" + strings.Repeat(")", 100000) + " in y %}{% endfor %}",
		"append":     "{{ [1].append(2) }}",
		"pop":        "{{ [1].pop() }}",
		"clear":      "{{ [1].clear() }}",
		"dict pop":   "{{ {'a': 1}.pop('a') }}",
		"include":    "{% include '/etc/passwd' %}",
		"import":     "{% import 'x' as y %}",
		"class":      "{{ ''.__class__.__mro__ }}",
		"format 6":   "{{ ('{0}' * 400).format(('x' * 1000) * 1000) }}",
		"percent 5":  "{{ ('%(a)s' * 400) % {'a': ('x' * 1000) * 1000} }}",
		"percent 6":  "{{ (('%(a)s' * 400)|safe) % {'a': ('<' * 1000) * 1000} }}",
		"names":      "{% macro " + strings.Repeat("m", 100_000) + "() %}{% endmacro %}{{ [" + strings.Repeat("m", 100_000) + "] * 2000 }}",
		"join 2":     "{{ ('a'|safe).join([('<' * 1000) * 1000] * 1000) }}",
		"strings":    "{{ " + strings.Repeat("'x' ", 200_000) + "}}",
		"attributes": "{{ {'a': [('<' * 1000) * 1000] * 1000} | xmlattr }}",
	} {
		t.Run(name, func(t *testing.T) {
			var out Text
			var err error
			n := allocated(func() {
				var tmpl *Template
				if tmpl, err = Parse(source); err == nil {
					out, err = tmpl.Render(nil, Options{Now: clock})
				}
			})
			if n > maxAllocated {
				t.Errorf("%d MiB were allocated", n>>20)
			}
			if err == nil {
				t.Errorf("%d bytes, want an error", len(out.String()))
			} else if len(err.Error()) > 200 || !strings.HasPrefix(err.Error(), "line ") && len(source) <= maxSource {
				t.Errorf("%.300v, want a short error with a line", err)
			}
		})
	}
}

// The time that a template takes grows with its text and no faster.
func TestLongWord(t *testing.T) {
	out, err := render("{{ ('Σ' * 100000) | title }}", nil)
	if want := "Σ" + strings.Repeat("σ", 99_998) + "ς"; err != nil || out.String() != want {
		t.Errorf("%.40q, %v; want %.40q", out.String(), err, want)
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
	for _, c := range append(probes(f), conversations(f)...) {
		f.Add(c.Template, "some data")
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
		v := vars(t)
		v["a"], v["b"] = mark, Join(mark, Own("x"), Data(data, 2))
		v["l"] = []any{mark, mark}
		v["ms"] = []any{Dict{{"role", "user"}, {"content", mark}, {"more", mark}}}
		v["messages"] = v["ms"]
		var out Text
		if n := allocated(func() { out, err = tmpl.Render(v, Options{Now: time.Now}) }); n > 2*maxAllocated {
			t.Fatalf("%d MiB were allocated", n>>20)
		}
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
