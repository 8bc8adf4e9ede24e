package console

import (
	"strings"
	"testing"
)

// Thoughts stand dimly below the answer that is to come, at most a few rows of them, and leave one line.
func TestThoughts(t *testing.T) {
	r := newRig(t, 80*8, 25*16)
	r.BeginAnswer()
	ctx, done := r.StopContext(t.Context())
	defer done()
	_ = ctx
	for range 40 {
		r.Think("I wonder how many of these rows there will be. ")
	}
	if text := r.text(); strings.Count(text, "\n") > 25 || !strings.Contains(text, "I wonder") {
		t.Errorf("while it thinks, the screen shows\n%s", text)
	}
	r.Thought("Thought for 3 s: /thoughts shows it.")
	r.Write([]byte("Hello **you**.\n"))
	text := r.text()
	if strings.Contains(text, "I wonder") || !strings.Contains(text, "alpha  Thought for 3 s: /thoughts shows it.\n       Hello you.") {
		t.Errorf("afterwards the screen shows\n%s", text)
	}
	r.Think("More.")
	r.Thought("Thought again.")
	if text := r.text(); strings.Contains(text, "More.") || !strings.Contains(text, "Thought again.") {
		t.Errorf("thoughts in an answer leave\n%s", text)
	}
}
