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

// UI is the terminal that the assistant talks through. [Terminal] makes one of
// a console.
type UI interface {
	Screen
	Keyboard
}

// Screen shows what there is to see.
type Screen interface {
	io.Writer
	// BeginAnswer begins an answer: what is written next stands beside Speaker.
	BeginAnswer()
	// Quiet shows a dim line of its own.
	Quiet(text string)
	// Notice and Error show a line of its own that asks for attention, or
	// tells of a failure.
	Notice(text string)
	Error(text string)
	Progress(title string, total int64) engine.Progress
	Clear()
	// Replay shows what was said earlier as it looked then; who is Prompt or
	// Speaker. note, unless it is empty, tells what became of it.
	Replay(who, text, note string)
}

// Keyboard is what a person types.
type Keyboard interface {
	// ReadLine returns a line without its end. io.EOF ends the session;
	// console.ErrInterrupted (Ctrl-C) does not.
	ReadLine(prompt string) (string, error)
	// Ask is ReadLine for the answer to a question, for which nothing is taken
	// that was typed before it was asked: that waits for the next ReadLine.
	Ask(question string) (string, error)
	// Waiting is how many lines were typed that ReadLine has not returned yet.
	Waiting() int
	// Drop gives these up, and tells the person.
	Drop()
	// StopContext returns a context that ends when the person wants the
	// answer to stop. The function ends the watch and must be called.
	StopContext(ctx context.Context) (context.Context, func())
	// AddHistory makes earlier messages available to whoever types.
	AddHistory(lines ...string)
}

// Terminal makes a UI of a console.
func Terminal(c *console.Console) UI { return terminal{c} }

type terminal struct{ *console.Console }

func (t terminal) Progress(title string, total int64) engine.Progress {
	return t.Console.Progress(title, total)
}

// say shows a line of plain text.
func say(s Screen, text string) { fmt.Fprintln(s, text) }

// show shows a list of facts.
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
