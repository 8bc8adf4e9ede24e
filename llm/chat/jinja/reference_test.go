package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is rendered here is compared with what Jinja2 renders, in transformers'
// settings: testdata/probes.txt (small templates, one a line) and whole chat
// templates with conversations. What Jinja2 made of them is stored in
// testdata/*.json; TestReference asks Jinja2 itself, where it is installed.

var update = flag.Bool("update", false, "store what Jinja2 makes of the templates")

// trial is a template, its variables and what Jinja2 makes of them.
type trial struct {
	Name     string          `json:"name,omitempty"`
	Template string          `json:"template"`
	Vars     json.RawMessage `json:"vars,omitempty"`
	result
}

type result struct {
	Output *string `json:"output,omitempty"`
	Raised *string `json:"raised,omitempty"`
	Error  string  `json:"error,omitempty"`
}

func (r result) String() string {
	switch {
	case r.Output != nil:
		return fmt.Sprintf("%q", *r.Output)
	case r.Raised != nil:
		return fmt.Sprintf("raised %q", *r.Raised)
	}
	return "error: " + r.Error
}

// agrees tells whether two results are the same. Errors are, whatever they say.
func (r result) agrees(s result) bool {
	same := func(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
	return same(r.Output, s.Output) && same(r.Raised, s.Raised)
}

// decode reads JSON with the order that it has.
func decode(t testing.TB, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var read func() any
	read = func() any {
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case json.Delim:
			if tok == '[' {
				list := []any{}
				for d.More() {
					list = append(list, read())
				}
				d.Token()
				return list
			}
			dict := Dict{}
			for d.More() {
				key := read().(string)
				dict = append(dict, Item{key, read()})
			}
			d.Token()
			return dict
		case json.Number:
			if n, err := tok.Int64(); err == nil {
				return int(n)
			}
			f, _ := tok.Float64()
			return f
		}
		return tok
	}
	return read()
}

func variables(t testing.TB, data []byte) map[string]any {
	vars := map[string]any{}
	for _, item := range decode(t, data).(Dict) {
		vars[item.Key] = item.Value
	}
	return vars
}

// The clock of testdata/reference.py.
func clock() time.Time { return time.Date(2026, 3, 7, 9, 5, 0, 0, time.UTC) }

// ours is what this package makes of a trial.
func ours(t testing.TB, c trial) result {
	tmpl, err := Parse(c.Template)
	if err != nil {
		return result{Error: err.Error()}
	}
	out, err := tmpl.Render(variables(t, c.Vars), Options{Now: clock})
	var raised *Raised
	switch {
	case errors.As(err, &raised):
		return result{Raised: &raised.Message}
	case err != nil:
		return result{Error: err.Error()}
	}
	s := out.String()
	return result{Output: &s}
}

// probes are the lines of testdata/probes.txt, with the variables of vars.json.
func probes(t testing.TB) (all []trial) {
	text, err := os.ReadFile("testdata/probes.txt")
	if err != nil {
		t.Fatal(err)
	}
	vars, err := os.ReadFile("testdata/vars.json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && !strings.HasPrefix(line, "##") {
			all = append(all, trial{Template: strings.NewReplacer("⏎", "\n", "␍", "\r").Replace(line), Vars: vars})
		}
	}
	if len(all) < 400 {
		t.Fatalf("%d probes", len(all))
	}
	return all
}

// conversations are all chat templates with all conversations.
func conversations(t testing.TB) (all []trial) {
	data, err := os.ReadFile("testdata/conversations.json")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, pattern := range []string{"../testdata/templates/*.jinja", "testdata/shapes/*.jinja"} {
		found, _ := filepath.Glob(pattern)
		paths = append(paths, found...)
	}
	talks := decode(t, data).(Dict)
	if len(paths) < 23 || len(talks) < 14 {
		t.Fatalf("%d templates, %d conversations", len(paths), len(talks))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, talk := range talks {
			name := strings.TrimSuffix(filepath.Base(path), ".jinja") + "/" + talk.Key
			all = append(all, trial{Name: name, Template: string(source), Vars: raw[talk.Key]})
		}
	}
	return all
}

// What was said keeps its origin in the templates of well-known models.
func TestTemplateOrigins(t *testing.T) {
	for _, c := range conversations(t) {
		vars := variables(t, c.Vars)
		messages := vars["messages"].([]any)
		said := make([]string, len(messages))
		for i, m := range messages {
			m := m.(Dict)
			said[i], _ = m[1].Value.(string)
			if m[1].Key == "content" && said[i] != "" {
				m[1].Value = Data(said[i], i+1)
			}
		}
		tmpl, err := Parse(c.Template)
		if err != nil {
			t.Fatal(err)
		}
		out, err := tmpl.Render(vars, Options{Now: clock})
		if err != nil {
			continue
		}
		plain := strings.Contains(c.Template, "tojson") || strings.Contains(c.Template, "format") || strings.Contains(c.Template, "truncate")
		for _, r := range out.Runs() {
			if r.Origin > 0 && !strings.Contains(said[r.Origin-1], r.Text) && !plain {
				t.Errorf("%s: %q came from turn %d", c.Name, r.Text, r.Origin-1)
			}
			if r.Origin == 0 && strings.Contains(c.Name, "/forged") && strings.Contains(r.Text, "evil") {
				t.Errorf("%s: %q became the template's own", c.Name, r.Text)
			}
		}
	}
}

// python is a Python that has Jinja2; the test is skipped where there is none.
func python(t testing.TB) string {
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(path, "-c", "import jinja2.sandbox").Run() == nil {
			return path
		}
	}
	t.Skip("skipped: no Python with Jinja2 is installed to compare with (Debian's package python3-jinja2)")
	return ""
}

// theirs are the results of Jinja2.
func theirs(t testing.TB, trials []trial) []result {
	input, err := json.Marshal(trials)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t), "testdata/reference.py")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	if err := json.Unmarshal(output, &results); err != nil || len(results) != len(trials) {
		t.Fatal(len(results), err)
	}
	return results
}

var sets = map[string]func(testing.TB) []trial{"probes": probes, "conversations": conversations}

func compare(t *testing.T, trials []trial, want []result) {
	t.Helper()
	for i, c := range trials {
		if got := ours(t, c); !got.agrees(want[i]) {
			name := c.Name
			if name == "" {
				name = c.Template
			}
			t.Errorf("%s\n got %v\nwant %v", name, got, want[i])
		}
	}
}

// Every template gives what Jinja2 gives, and fails where it does.
func TestReference(t *testing.T) {
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			trials := set(t)
			results := theirs(t, trials)
			if *update {
				stored := make([]trial, len(trials))
				for i, c := range trials {
					stored[i] = trial{Name: c.Name, Template: c.Template, result: results[i]}
					if c.Name != "" {
						stored[i].Template = ""
					}
				}
				store(t, "testdata/"+name+".golden.json", stored)
			}
			compare(t, trials, results)
		})
	}
}

func store(t *testing.T, path string, trials []trial) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, c := range trials {
		if i > 0 {
			b.WriteByte(',')
		} else {
			b.WriteByte('[')
		}
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString("]\n")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The same without Jinja2, by what it gave when the results were stored.
func TestStored(t *testing.T) {
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			trials := set(t)
			data, err := os.ReadFile("testdata/" + name + ".golden.json")
			if err != nil {
				t.Fatal(err)
			}
			var stored []trial
			if err := json.Unmarshal(data, &stored); err != nil || len(stored) != len(trials) {
				t.Fatalf("%d results for %d templates, %v: store them anew with -run TestReference -update", len(stored), len(trials), err)
			}
			want := make([]result, len(stored))
			for i, c := range stored {
				if c.Name != trials[i].Name || c.Name == "" && c.Template != trials[i].Template {
					t.Fatalf("result %d is of %s%s, not of %s%s: store them anew with -run TestReference -update", i, c.Name, c.Template, trials[i].Name, trials[i].Template)
				}
				want[i] = c.result
			}
			compare(t, trials, want)
		})
	}
}
