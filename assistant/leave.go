package assistant

import (
	"errors"
	"strings"

	"alphaos/console"
	"alphaos/fs"
)

// Outcome says how a conversation ended. In each case everything is saved, or
// the person was told what is not.
type Outcome int

const (
	Shutdown Outcome = iota // the machine is to be switched off
	Restart                 // the machine is to be restarted
	EOF                     // the input ended, or the context was cancelled
)

// Leaves reports whether a line asks to switch off or to restart.
func Leaves(line string) (out Outcome, ok bool) {
	word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch strings.ToLower(word) {
	case "/bye", "/exit", "/quit":
		return Shutdown, true
	case "/restart":
		return Restart, true
	}
	return Shutdown, isShutdown(line)
}

// isShutdown reports whether a message asks to shut down and nothing else.
func isShutdown(text string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return strings.ContainsRune(" \t.,!?;:…'’\"", r)
	})
	for len(words) > 0 && (words[0] == "please" || words[0] == "ok" || words[0] == "okay" || words[0] == "alpha") {
		words = words[1:]
	}
	for n := len(words); n > 1 && (words[n-1] == "please" || words[n-1] == "now" || words[n-1] == "alpha"); n-- {
		words = words[:n-1]
	}
	switch strings.Join(words, " ") {
	case "shut down", "shutdown", "goodbye", "good bye", "good-bye":
		return !strings.HasPrefix(text, "/")
	}
	return false
}

// save saves everything.
func (c *conversation) save() error {
	err := c.journal.save()
	if err == nil {
		c.remember()
	}
	return err
}

func (c *conversation) farewell() {
	switch {
	case c.journal.store == nil:
		say(c.ui, "Nothing was saved in this session. Goodbye.")
	case c.journal.secret:
		say(c.ui, "All data saved, except what was said after /set nohistory. Goodbye.")
	default:
		say(c.ui, "All data saved. Goodbye.")
	}
}

// shutDown saves everything and says goodbye. The person decides when saving
// fails, or when more was typed that nobody has read yet: a pasted letter may have
// a line "Goodbye".
func (c *conversation) shutDown() (bool, error) {
	if n := c.ui.Waiting(); n > 0 {
		c.ui.Notice("You typed or pasted more behind this: " + count(n, "line is", "lines are") + " not sent yet.")
		if !c.leaveAnyway() {
			return false, nil
		}
	}
	err := c.save()
	if err == nil {
		c.farewell()
		return true, nil
	}
	c.ui.Error("Not everything could be saved: " + fs.Explain(err))
	if c.leaveAnyway() {
		return true, err
	}
	return false, nil
}

// end saves everything at the end of the input.
func (c *conversation) end() error {
	err := c.save()
	if err != nil {
		c.ui.Error("Not everything could be saved: " + fs.Explain(err))
	} else {
		c.farewell()
	}
	return err
}

// leaveAnyway asks the person. Where nobody can answer any more, that is a yes.
func (c *conversation) leaveAnyway() bool {
	line, err := c.ui.Ask("Shut down anyway? (yes or no) ")
	if errors.Is(err, console.ErrInterrupted) {
		return false
	}
	return err != nil || strings.EqualFold(strings.TrimSpace(line), "yes")
}
