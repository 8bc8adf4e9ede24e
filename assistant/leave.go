package assistant

import (
	"errors"
	"strings"

	"alphaos/console"
	"alphaos/fs"
	"alphaos/store"
)

// Outcome says how a conversation ended. In each case but Anew everything is saved, or
// the person was told what is not.
type Outcome int

const (
	Shutdown Outcome = iota // the machine is to be switched off
	Restart                 // the machine is to be restarted
	EOF                     // the input ended, or the context was cancelled
	Anew                    // the context was cancelled with ErrAnew, and nothing was ended
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
	switch command, _ := asCommand(line); command {
	case "/bye":
		return Shutdown, true
	case "/restart":
		return Restart, true
	}
	return Shutdown, false
}

// save saves everything, and shows each step when it is done.
func (c *conversation) save() error {
	j := c.journal
	if j.store != nil {
		pending := "none"
		if j.pending() {
			pending = "saved"
		}
		err := j.catchUp()
		if errors.Is(err, store.ErrFull) && c.spare.makeRoom() {
			err = j.catchUp()
		}
		if err != nil {
			return err
		}
		c.ui.Quiet("Pending writes: " + pending)
		c.filing.database.finish(c.ui) // before what was deleted is taken off: it may still have it
		c.ui.Quiet("Conversation: " + c.savedUpTo())
		c.filing.files.finish(c.ui) // before that is said of what was deleted: the files of it, and their names, must be gone
		c.spare.finish()
		c.shelf.finish()
		if err := j.store.End(); err != nil {
			return err
		}
		c.remember()
		c.ui.Quiet("Session metadata: saved")
	}
	if c.close != nil {
		if err := c.close(); err != nil {
			return err
		}
		c.ui.Quiet("Partitions: closed")
	}
	return nil
}

// savedUpTo says what is saved of the conversation.
func (c *conversation) savedUpTo() string {
	last, n := c.journal.store.Tail(1)
	switch {
	case c.journal.apart && len(c.said.Turns) > 0:
		return "not saved, as you wished"
	case n == 0 || c.journal.apart:
		return "nothing was said in it"
	}
	text := count(n, "message", "messages") + " saved, the last of " + c.when(last[0].Time)
	if !c.journal.saving {
		text += "; what was said after /set nohistory is not"
	}
	return text
}

// unsaved says what is not saved, and why.
func (c *conversation) unsaved(err error) string {
	text := "Not everything could be saved: " + fs.Explain(err)
	if n := c.journal.unsavedCount(); n != "" {
		text += " " + n + " would be lost."
	}
	return text
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
func (c *conversation) shutDown(out Outcome) (bool, error) {
	if n := c.ui.Waiting(); n > 0 {
		c.ui.Notice("You typed or pasted more behind this: " + count(n, "line is", "lines are") + " not sent yet.")
		if !c.leaveAnyway() {
			return false, nil
		}
	}
	err := c.save()
	if out == Restart && c.restarting != "" {
		c.ui.Notice(c.restarting)
	}
	if err == nil {
		c.farewell()
		return true, nil
	}
	c.ui.Error(c.unsaved(err))
	if c.leaveAnyway() {
		return true, err
	}
	return false, nil
}

// end saves everything at the end of the input.
func (c *conversation) end() error {
	err := c.save()
	if err != nil {
		c.ui.Error(c.unsaved(err))
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
