#!/usr/bin/env python3
"""Writes snippets.json: small templates and what Jinja2 makes of them, set up
as in transformers. Run it after adding a snippet; it needs python3-jinja2."""
import json, os, jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.ext import loopcontrols, Extension

class Generation(Extension):
    tags = {"generation"}
    def parse(self, parser):
        next(parser.stream)
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return body

class Raised(Exception): pass
def raise_exception(m): raise Raised(m)
def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception

# The variables are those of vars() in jinja_test.go.
VARS = {
    "a": "hello", "b": "  Grüße \n", "n": 7, "f": False, "none_": None, "e": "",
    "l": ["x", "y", "z"], "nums": [3, 1, 2], "d": {"k": "v", "items_": [1, 2]},
    "ms": [{"role": "system", "content": "S"}, {"role": "user", "content": " U "}, {"role": "assistant", "content": "<think>\nt\n</think>\n\nA"}],
}
EXPRESSIONS = r"""
1 + 2 * 3 - 4
7 // 2 ~ ' ' ~ -7 // 2 ~ ' ' ~ 7 % 3 ~ ' ' ~ -7 % 3 ~ ' ' ~ 7 / 2
2 ** 3 ** 2
-2 ** 2
1e3 ~ ' ' ~ 1.5 ~ ' ' ~ 1e20 ~ ' ' ~ 0.00001
'a' 'b' "c"
'it\'s \n \t \\ \x41 \u00e9 \q'
a == 'hello' and n > 3 or f
f or e or 'last'
a and n
not a in l
'x' in l, 'q' not in l, 'ell' in a, 'k' in d
1 < 2 < 3, 1 < 3 < 2
a if f else b
a if f
'yes' if n == 7 else 'no' if n == 8 else 'other'
a ~ 1 ~ true ~ none
[1, 'two', 3.0, none, true, [a], {'k': 1}]
(1, 2), (1,), ()
{'a': 1, "b": {'c': [1]}}
l[0] ~ l[-1] ~ l[1:]|join ~ l[::-1]|join(',') ~ l[:1]
l[5] is undefined, l[-4] is defined, l[1:9]
a[0] ~ a[-1] ~ a[1:3] ~ a[::-1] ~ b[2:7]|trim
d.k ~ d['k'] ~ d.missing ~ d.get('k') ~ d.get('q') ~ d.get('q', 'def')
d.items()|list
d|items|list
d|dictsort
d.keys()|list, d.values()|list
d|length ~ l|length ~ a|length ~ b|length
b|trim ~ '|' ~ b.strip() ~ '|' ~ b.lstrip() ~ '|' ~ b.rstrip() ~ '|'
'xxhixx'.strip('x') ~ 'xyhi'.lstrip('yx') ~ 'a\n\n'.rstrip('\n') ~ 'abc'|trim('a')
a.upper() ~ a|upper ~ 'ABC'|lower ~ 'hello wORLD-foo'|title ~ 'hELLO'|capitalize ~ 'hELLO'.capitalize()
'a,b,,c'.split(','), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1), ' a  b c '.split(), ' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1), ''.split(','), ''.split(), 'a\nb\n'.splitlines()
ms[2].content.split('</think>')[-1].lstrip('\n')
ms[2]['content'].split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')
'</think>' in ms[2].content
a.startswith('he') ~ a.endswith('lo') ~ a.startswith(('x', 'h')) ~ a.startswith('x')
a.replace('l', 'L') ~ a.replace('l', 'L', 1) ~ a|replace('hello', 'bye')
a.find('l') ~ a.find('z') ~ a.rfind('l') ~ a.count('l') ~ b.find('e')
','.join(l) ~ l|join('-') ~ ms|map(attribute='role')|join(' ')
nums|sort ~ nums|sort(reverse=true) ~ nums|max ~ nums|min ~ nums|sum
nums|first ~ nums|last ~ nums|reverse|list ~ a|reverse
['b', 'A', 'a', 'B']|sort, ['b', 'A', 'a', 'B']|unique|list
ms|selectattr('role', 'equalto', 'user')|list|length
ms|selectattr('role', '==', 'user')|map(attribute='content')|first
ms|rejectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list
ms|sort(attribute='role')|map(attribute='role')|list
[0, 1, '', 'x', none]|select|list, [1, 2, 3]|reject('odd')|list, [1, 2, 3]|select('gt', 1)|list
l|map('upper')|list, [[1, 2], [3]]|map('length')|list
missing is defined, missing is undefined, missing is none, none_ is none, a is string, n is number, n is integer, 1.0 is float, true is boolean, d is mapping, l is iterable, l is sequence, a is iterable, none is not none
n is odd, n is even, n is divisibleby 7, n is divisibleby(2), n is eq 7, a is in(['hello']), true is true, f is false, 1 is true
missing|default('x') ~ e|default('x') ~ e|default('x', true) ~ none_|d('y', true) ~ d.q|default(none)
missing|length, missing|list, missing ~ '', missing|trim
d|tojson ~ ms|tojson(indent=2)
{'a': [], 'b': {}, 'c': "q\"\n\\é\x01", 'd': [true, none, 1.5]}|tojson(indent=4)
{'a': []}|tojson, [1,2]|tojson(separators=(',', ':')), {'b': 1, 'a': 2}|tojson(sort_keys=true)
'3'|int + 1, 'x'|int, 'x'|int(5), 3.9|int, '2.5'|float, n|string ~ 'x', n|float, -3|abs
range(3)|list, range(1, 3)|list, range(5, 0, -2)|list
'a\nb\n\nc'|indent(2), 'a\nb'|indent(2, true), 'a\n\nb'|indent(2, false, true)
'<a & "b">'|escape
'%s' is string
"it's" ~ ["it's", 'q"', 'both\'"', 'nl\n', 'é']
true == 1, 1 == 1.0, [1] == [1], (1,) == [1], {'a': 1} == {'a': 1}, none == false, '' == none
loop is defined
'ab' * 3 ~ 2 * 'x', [1] + [2]
3.0 * 2 ~ ' ' ~ 1 + 0.5 ~ ' ' ~ 10 / 5
(ms | length) - 1
ms[0].role == 'system' and ms[0].content is string
namespace(x=1).x, dict(a=1, b='c')
'a' < 'b', [1, 2] < [1, 3], 2 >= 2.0
((1)), (1 if true else 2)
d["items_"][1], d.items_[0], d.items_.0
""".strip("\n").split("\n")
TEMPLATES = [
    "plain\n", "plain\n\n", "a{# comment #}b", "a\n  {# comment #}\nb", "a\r\nb",
    "{% if f %}no{% elif n %}yes{% else %}never{% endif %}!",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ x }};{% endfor %}",
    "{% for x in [] %}x{% else %}empty{% endfor %}",
    "{% for x in nums if x > 1 %}{{ loop.index }}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'abc' %}{{ c }}.{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.cycle('o', 'e') }}{% endfor %}",
    "{% for x in nums %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index == 3 %}{% break %}{% endif %},{% endfor %}",
    "{% set x = 1 %}{% for y in l %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=1, y='q') %}{% for y in l %}{% set ns.x = ns.x + 1 %}{% endfor %}{{ ns.x }}{{ ns.y }}",
    "{% set x, y = 1, 2 %}{{ x }}{{ y }}{% set z %}block {{ x }}{% endset %}{{ z }}{% set w | upper | trim %} up {% endset %}{{ w }}",
    "{% macro m(x, y=2) %}[{{ x }}{{ y }}{{ n }}]{% endmacro %}{{ m(1) }}{{ m(1, y=3) }}{{ m('q', 'r')|upper }}{{ m() }}",
    "{% filter upper %}abc {{ a }}{% endfilter %}",
    "{% raw %}{{ a }} {% if %}{% endraw %}!", "  {%- raw -%}  {{ x }}  {%- endraw -%}  !",
    "{% generation %}gen {{ a }}{% endgeneration %}",
    "  {% if n %}\n  x\n  {% endif %}\n  y\n", "a  {% if n %}  \n  x{% endif %}  \n\n  y",
    "a  {%- if n -%}  \n  x  {%- endif -%}  \n\n  y", "a\n  {%+ if n +%}\n  x\n{% endif %}\n",
    "a \n {{- n -}} \n b {{ n }} \n {{ n }}\n", "a\n{%- if n %}\n\n  b\n{%- endif %}\n\nc",
    "{%- for m in ms %}\n    {{- '<' + m.role + '>' }}\n    {%- if m.content %}\n        {{- m.content | trim }}\n    {%- endif %}\n{%- endfor %}\n",
    "{% for x in l %}\n{{ x }}\n{% endfor %}\nend", "\t{% set q = 1 %}\n\t{% set r = 2 %}{{ q }}{{ r }}",
    "{{ {'a': {'b': 1}}}}", "{{ '}}' }}{{ '%}' }}", "{{ a }}\n{% if f %}\n{% endif %}", "x {# a #} {# b -#}  y  {#- c #}",
    "{% if ms[0]['role'] == 'system' %}{% set loop_messages = ms[1:] %}{% endif %}{% for m in loop_messages %}{{ m['role'] }} {% endfor %}",
    "{% for m in ms[::-1] %}{% set index = (ms|length - 1) - loop.index0 %}{{ index }}{{ m.role }}{% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }}{% endfor %}{{ a }}",
    "{% macro outer(x) %}{% for i in range(x) %}{{ inner(i) }}{% endfor %}{% endmacro %}{% macro inner(i) %}({{ i }}){% endmacro %}{{ outer(3) }}",
    "{% if not (a is defined and n == 7) %}x{% else %}y{% endif %}", "{{ a if a is defined else 'no' }}",
    "{{ raise_exception('Bad ' ~ n) }}", "{{ missing.attr }}", "{{ missing[0] }}", "{{ 1 + 'a' }}", "{{ a.nope() }}", "{{ 1 // 0 }}",
    "{% set d.k = 1 %}", "{{ l.append(1) }}", "{{ 1 < 'a' }}", "{% for x in 5 %}{% endfor %}", "{{ nope(1) }}", "{% if %}{% endif %}", "{% for x in l %}", "{{ a", "{% endif %}", "{{ a | nope }}", "{{ a is nope }}",
]
out = []
for t in ["{{ " + e + " }}" for e in EXPRESSIONS] + TEMPLATES:
    try:
        out.append({"template": t, "output": env.from_string(t).render(**VARS)})
    except Raised as e:
        out.append({"template": t, "raised": str(e)})
    except Exception as e:
        out.append({"template": t, "error": type(e).__name__ + ": " + str(e)})
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "snippets.json")
with open(path, "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(o, ensure_ascii=False) for o in out) + "\n]\n")
print(len(out), [o for o in out if "error" in o])
