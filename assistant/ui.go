package assistant

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
)

// Prompt and Speaker begin a person's line and an answer.
const (
	Prompt  = "you> "
	Speaker = "alpha> "
)

// UI is the terminal through which the assistant talks. [Terminal] makes one of
// a console.
type UI interface {
	Screen
	Keyboard
}

// Screen shows things to the person.
type Screen interface {
	io.Writer
	// BeginAnswer shows Speaker; what is written next stands beside it.
	BeginAnswer()
	// Quiet shows a dim line of its own.
	Quiet(text string)
	// Marked is Quiet for a text that is made of pieces, of which every second one is what the person looked for.
	Marked(pieces ...string)
	// Place shows a line of its own that tells where something stands: its mark, such as [1], and the place.
	Place(mark, place string)
	// Notice and Error show a line of its own that asks for attention or
	// reports a failure.
	Notice(text string)
	Error(text string)
	Progress(title string, total int64) engine.Progress
	Clear()
	// Replay shows a message that was typed earlier behind prompt, ReplayAnswer an
	// answer, as they looked then. note, unless it is empty, tells what became of it.
	Replay(prompt, text, note string)
	ReplayAnswer(text, note string)
}

// Keyboard is what the person types.
type Keyboard interface {
	// ReadLine returns a line without its end. io.EOF ends the session;
	// console.ErrInterrupted (Ctrl-C) does not.
	ReadLine(prompt string) (string, error)
	// Ask is ReadLine for the answer to a question. What was typed before the
	// question was asked is no answer: it waits for the next ReadLine.
	Ask(question string) (string, error)
	// Waiting is how many typed lines ReadLine has not returned yet.
	Waiting() int
	// Drop discards them, and tells the person.
	Drop()
	// StopContext returns a context that ends when the person wants the
	// answer to stop. The function ends the watch; it must be called.
	StopContext(ctx context.Context) (context.Context, func())
	// Prefill has the next ReadLine begin with text, which the person may change; false: it can't.
	Prefill(text string) bool
	// AddHistory lets the person bring back earlier messages; DropHistory forgets some.
	AddHistory(lines ...string)
	DropHistory(lines ...string)
}

// Terminal makes a UI of a console.
func Terminal(c *console.Console) UI { return terminal{c} }

type terminal struct{ *console.Console }

func (t terminal) Progress(title string, total int64) engine.Progress {
	return t.Console.Progress(title, total)
}

// say shows a line of plain text.
func say(s Screen, text string) { fmt.Fprintln(s, text) }

// show shows facts, one a line.
func show(s Screen, fields ...console.Field) {
	for _, f := range fields {
		say(s, "  "+f.String())
	}
}

// sentence makes an error a sentence: a capital letter first, a full stop last.
func sentence(err error) string {
	s := fs.Explain(err)
	if word, _, _ := strings.Cut(s, " "); strings.ContainsAny(word, "_./") {
		return s // a name, not a word
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
