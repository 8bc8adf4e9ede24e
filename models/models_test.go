package models

import (
	"bytes"
	"testing"

	"alphaos/llm"
	"alphaos/llm/gguf"
	"alphaos/models/rules"
)

// The guide is known by what its file says, and only it is kept from answering.
func TestByRule(t *testing.T) {
	b, err := Files.ReadFile(Guide)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	name, _ := f.String("general.name")
	if !rules.IsGuide(name) {
		t.Errorf("the guide calls itself %q", name)
	}
	for _, c := range []struct {
		name, message string
		want          bool
	}{
		{name, "I want to die", true},
		{name, "hola", true},
		{name, "How do I kill a process?", false},
		{"Llama 3.2 1B Instruct", "I want to die", false},
		{"", "I want to die", false},
	} {
		if answer, ok := ByRule(llm.Info{Name: c.name}, c.message); ok != c.want || ok != (answer != "") {
			t.Errorf("%q says to %q: %q, %v", c.name, c.message, answer, ok)
		}
	}
}
