package jinja

import (
	"os"
	"regexp"
	"testing"
)

// Differences from Jinja2 that were found once, with what it gave, in the data
// beside the repository.
const cases = "../../../../shared/cases/jinja/"

func readCases(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(cases + name)
	if err != nil {
		t.Skip("there are no cases of differences beside the repository")
	}
	return string(b)
}

// expected is a string as Python shows it, with quotes.
func expected(t *testing.T, repr string) string {
	t.Helper()
	out, err := render("{{ "+repr+" }}", nil)
	if err != nil {
		t.Fatalf("%s: %v", repr, err)
	}
	return out.String()
}

func TestCasesOfSnippets(t *testing.T) {
	turn := func(role, content string) Dict { return Dict{{"role", role}, {"content", content}} }
	vars := map[string]any{
		"d": Dict{{"b", 1}, {"a", []any{1, 2, Dict{{"x", "y"}}}}, {"c", nil}}, "l": []any{1, 3, 2}, "nums": []any{1, 2, 3, 4, 5, 6, 7},
		"messages": []any{turn("system", "S"), turn("user", " Hi there \n"), turn("assistant", "A"), turn("user", "Grüße 👩\u200d👧 “q” 's")},
		"f":        2.5, "u": "naïve İstanbul ǆ ß", "nl": "a\nb\n\nc\r\nd",
	}
	n := 0
	for _, c := range regexp.MustCompile(`(?m)^--- \d+ (.*)\n  py: (.*)$`).FindAllStringSubmatch(readCases(t, "micro-differences.txt"), -1) {
		tmpl, err := Parse(c[1])
		var out Text
		if err == nil {
			out, err = tmpl.Render(vars, Options{Now: clock})
		}
		if want := expected(t, c[2]); err != nil || out.String() != want {
			t.Errorf("%s\n got %q, %v\nwant %q", c[1], out.String(), err, want)
		}
		n++
	}
	if n < 50 {
		t.Errorf("%d cases were understood", n)
	}
}

// The conversations are read back from the shape that shows them as JSON.
func TestCasesOfShapes(t *testing.T) {
	text := readCases(t, "shape-differences.txt")
	shape := regexp.MustCompile(`(?m)^--- (msgjson|nemotron_slices)/(\w+)\n  py: (.*)$`)
	turns := regexp.MustCompile(`<\|turn\|>(.*)<\|end\|>\n`)
	talks, n := map[string][]any{}, 0
	for _, c := range shape.FindAllStringSubmatch(text, -1) {
		source, talk, want := readCases(t, c[1]+".jinja"), c[2], expected(t, c[3])
		if c[1] == "msgjson" {
			for _, turn := range turns.FindAllStringSubmatch(want, -1) {
				talks[talk] = append(talks[talk], decode(t, []byte(turn[1])))
			}
		}
		tmpl, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		out, err := tmpl.Render(map[string]any{"messages": talks[talk], "bos_token": "<s>", "add_generation_prompt": talk != "nogen"}, Options{})
		if err != nil || out.String() != want {
			t.Errorf("%s/%s\n got %q, %v\nwant %q", c[1], talk, out.String(), err, want)
		}
		n++
	}
	if n < 28 {
		t.Errorf("%d cases were understood", n)
	}
}
