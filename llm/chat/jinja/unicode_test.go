package jinja

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Letters change their case, and characters are told apart and shown, as in
// Python, for all of Unicode that both know (scripts without case in parts).
func TestUnicode(t *testing.T) {
	var all []string
	for r := rune(3); r <= unicode.MaxRune; r++ {
		alike := r >= 0x2e80 && unicode.SimpleFold(r) == r && !(0xfb00 <= r && r < 0xfb20)
		newer := strings.ContainsRune("\u10fc\ua7f2\ua7f3\ua7f4\uab69", r) || 0x13430 <= r && r < 0x13460 // changed in Unicode 15
		known := unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf)
		if known && !newer && (!alike || r%61 == 0 || strings.ContainsRune(hanNumerals, r)) {
			all = append(all, string(r))
		}
	}
	exprs := []string{
		"c.isprintable()", "c.upper()", "c.lower()", "c.title()", "c.capitalize()", "c.swapcase()", "c.casefold()", "('x' ~ c).title()", "(c ~ 'X')|title",
		"('AΣ' ~ c ~ 'A').lower()", "('A' ~ c ~ 'Σ').lower()", "[c]", "c.isalnum()", "c.isalpha()", "c.isdecimal()", "c.isdigit()", "c.isnumeric()",
		"c.isspace()", "c.islower()", "c.isupper()", "c.istitle()", "c|tojson(true)", "c|int(-1)",
		"('x' ~ c ~ 'y').split()", "('x' ~ c ~ 'y').splitlines()", "('x' ~ c)|trim", "('x' ~ c ~ 'y')|wordcount",
	}
	var trials []trial
	template := "{% for c in some %}{{ " + strings.Join(exprs, " ~ '\x01' ~ ") + " }}\x02{% endfor %}"
	for some := range slices.Chunk(all, 1000) {
		vars, err := json.Marshal(map[string]any{"some": strings.Join(some, "")})
		if err != nil {
			t.Fatal(err)
		}
		trials = append(trials, trial{Template: template, Vars: vars})
	}
	var here, there []string
	for i, want := range theirs(t, trials) {
		got := ours(t, trials[i])
		if got.Output == nil || want.Output == nil {
			t.Fatalf("%.200v, %.200v", got, want)
		}
		here = append(here, strings.SplitAfter(*got.Output, "\x02")...)
		there = append(there, strings.SplitAfter(*want.Output, "\x02")...)
	}
	if len(here) != len(all)+len(trials) || len(there) != len(here) {
		t.Fatalf("%d and %d results for %d characters", len(here), len(there), len(all))
	}
	unknown, wrong := 0, map[string]int{}
	for i, c := range all {
		i += i / 1000 // each trial ends with an empty result
		a, b := strings.Split(here[i], "\x01"), strings.Split(there[i], "\x01")
		if a[0] != b[0] {
			unknown++ // in the Unicode of one of the two
			continue
		}
		for j, e := range exprs {
			if a[j] != b[j] {
				if wrong[e]++; wrong[e] <= 5 {
					t.Errorf("%s of %+q: %+q, want %+q", e, c, a[j], b[j])
				}
			}
		}
	}
	if unknown > len(all)/20 || len(all) < 8_000 {
		t.Errorf("%d of %d characters are unknown to Python", unknown, len(all))
	}
	if len(wrong) > 0 {
		t.Errorf("wrong: %v", wrong)
	}
}
