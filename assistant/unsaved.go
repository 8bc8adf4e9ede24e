package assistant

// What is said while the drive is full, fails or is out. The conversation goes on: what the store does not take waits in
// memory, and is saved in the order in which it was said, before anything else is: before the next message, while an answer
// goes on, and every now and then while the person is asked for a line. The person is told at once, in the conversation and in
// the bars, and nothing is called saved before the store has said so. How much may wait is bounded; beyond that messages are
// refused.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"alphaos/console"
	"alphaos/fs"
	"alphaos/store"
)

// unsaved is something that waits to be saved.
type unsaved struct {
	role string // of a message; "": a new conversation begins
	text string
	at   time.Time // when it was said
	save func() error
}

const (
	mostHeld   = 8 << 20 // bytes of messages that may wait
	retryEvery = 3 * time.Second
	watchEvery = time.Second // how often it is looked whether the drive is there
)

// pending tells whether something could not be written yet.
func (j *journal) pending() bool { return len(j.waiting) > 0 || len(j.unkept) > 0 }

// hold has something wait that could not be saved for the reason why. The error, which wraps that, says that it can't wait.
func (j *journal) hold(u unsaved, why error) error {
	if j.held+len(u.text) > mostHeld {
		return fmt.Errorf("there is no room in memory to keep more of what is not saved: %w", why)
	}
	j.held += len(u.text)
	j.waiting = append(j.waiting, u)
	j.noted(why)
	return nil
}

// arrange changes the store once all that waits is saved: it would become part of another conversation.
func (j *journal) arrange(change func() error) error {
	if err := j.finish(); err != nil {
		j.tell()
		return err
	}
	return change()
}

// save is arrange for what is said.
func (j *journal) save(what func() error) error {
	err := j.arrange(what)
	j.noted(err)
	j.tell()
	return err
}

// delete deletes a conversation, and what waits of it. It doesn't wait for the rest: on a full drive that has room only then.
func (j *journal) delete(id int) error {
	n := 0
	for id == j.store.Current().ID && n < len(j.waiting) && j.waiting[n].role != "" {
		n++
	}
	err := j.same()
	if err == nil {
		err = j.store.Delete(id)
	}
	if err != nil {
		return err
	}
	for _, u := range j.waiting[:n] {
		j.held -= len(u.text)
	}
	j.waiting = j.waiting[n:]
	return nil
}

// finish saves the messages that wait.
func (j *journal) finish() error {
	if err := j.same(); err != nil {
		j.noted(err)
		return err
	}
	for len(j.waiting) > 0 {
		u := j.waiting[0]
		if err := u.save(); err != nil {
			j.noted(err)
			return err
		}
		j.held -= len(u.text)
		j.waiting = j.waiting[1:]
	}
	j.waiting = nil
	return nil
}

// same looks whether a drive that was away is the same as it was; nothing is written to another.
func (j *journal) same() error {
	if !errors.Is(j.trouble, fs.ErrRemoved) && !errors.Is(j.trouble, store.ErrElsewhere) {
		return nil
	}
	if j.reread != nil { // before anything is written
		if err := j.reread(); err != nil {
			return err
		}
	}
	return j.store.Same()
}

// catchUp saves all that waits.
func (j *journal) catchUp() error {
	err := j.finish()
	for name, value := range j.unkept {
		if err != nil {
			break
		}
		if err = j.store.Set(name, value); err == nil {
			delete(j.unkept, name)
		}
	}
	j.noted(err)
	return err
}

// noted notes what came of the last try to save something.
func (j *journal) noted(err error) {
	if j.trouble = err; err != nil {
		j.tried = j.now()
	}
	if saved, alert := j.state(), j.alert(); saved != j.saved || alert != j.alerted {
		j.saved, j.alerted = saved, alert
		j.show()
	}
}

// tell tells the person what was noted, and whether that was new to them.
func (j *journal) tell() bool {
	was := j.told
	switch {
	case j.trouble != nil && !j.saving && !j.pending():
		return false
	case j.trouble != nil:
		if j.told = fs.Explain(j.trouble); j.told == was {
			return false
		}
		j.ui.Error("Nothing can be saved at the moment: " + j.told + " What is said is kept in memory until it can.")
	case was != "":
		j.told = ""
		j.ui.Quiet("It can be saved again. All that was said is saved.")
	default:
		return false
	}
	return true
}

// watch looks every now and then, in the background, whether the drive is there, and saves what waits. The function it returns
// ends that.
func (j *journal) watch(ctx context.Context) (stop func()) {
	if j.store == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(j.every):
			}
			j.look()
		}
	}()
	return func() {
		cancel()
		<-ended
		j.tell()
	}
}

// look looks once.
func (j *journal) look() {
	var gone error
	if j.present != nil {
		gone = j.present()
	}
	switch {
	case gone != nil:
		if !errors.Is(j.trouble, fs.ErrRemoved) {
			j.noted(gone)
		}
	case j.pending() && (errors.Is(j.trouble, fs.ErrRemoved) || j.now().Sub(j.tried) >= retryEvery):
		_ = j.catchUp() // noted
	case errors.Is(j.trouble, fs.ErrRemoved):
		err := j.same()
		if err == nil {
			err = j.store.Begin()
		}
		j.noted(err)
	}
}

// state is what the bars say of it.
func (j *journal) state() console.Saved {
	if j.saving && j.trouble == nil && !j.pending() {
		return console.AllSaved
	}
	return console.NotSaved
}

// begun tells whether a conversation was begun that is not in the store yet.
func (j *journal) begun() bool {
	for _, u := range j.waiting {
		if u.role == "" {
			return true
		}
	}
	return j.apart
}

// alert says for the bars, in a few words, why nothing is saved and what to do, "" when that is as it should be.
func (j *journal) alert() string {
	switch err := j.trouble; {
	case err == nil || !j.saving && !j.pending():
		return ""
	case errors.Is(err, fs.ErrRemoved):
		return "the drive is out: plug it in again"
	case errors.Is(err, store.ErrElsewhere):
		return "another drive: plug in the right one"
	case errors.Is(err, store.ErrFull):
		return "the drive is full: make room"
	case errors.Is(err, fs.ErrReadOnly):
		return "the drive is write-protected"
	case errors.Is(err, fs.ErrUnwritable):
		return "the drive is only read"
	}
	return "the drive fails: try another port"
}

// unsavedCount says in words how many messages wait, nothing if none does.
func (j *journal) unsavedCount() string {
	n := 0
	for _, u := range j.waiting {
		if u.role != "" {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return count(n, "message", "messages")
}

// answer saves an answer while it grows.
type answer struct {
	journal *journal
	saved   *store.Answer
	text    string // all of it
	held    string // what saved was not given yet, because something before it waits
}

// beginAnswer begins to save an answer. Nil means that it is not saved.
func (j *journal) beginAnswer() *answer {
	if !j.saving {
		return nil
	}
	return &answer{journal: j, saved: j.store.BeginAnswer()}
}

// replaceAnswer is beginAnswer for an answer in the place of the messages from the one with index keep on.
func (j *journal) replaceAnswer(keep int) *answer {
	return &answer{journal: j, saved: j.store.ReplaceAnswer(keep)}
}

// write adds text. What can't be saved now waits.
func (a *answer) write(text string) {
	j := a.journal
	a.text, a.held = a.text+text, a.held+text
	if (len(j.waiting) > 0 || j.trouble != nil) && (j.now().Sub(j.tried) < retryEvery || j.finish() != nil) {
		return
	}
	err := a.saved.Write(a.held)
	a.held = ""
	if err == nil && j.trouble != nil { // whether it can be saved is not known before it is
		err = a.saved.Flush()
	}
	if err != nil || j.trouble != nil {
		j.noted(err)
		j.tell()
	}
}

// end ends it. What can't be saved now waits.
func (a *answer) end(stats store.Stats, partial bool) {
	j := a.journal
	end := func() error {
		if a.held != "" {
			text := a.held
			a.held = ""
			_ = a.saved.Write(text) // what it does not save yet is saved by End
		}
		return a.saved.End(stats, partial)
	}
	if err := j.save(end); err != nil {
		j.waiting = append(j.waiting, unsaved{role: store.Assistant, text: a.text, at: j.now(), save: end})
		j.held += len(a.text) // it was said, so it is kept
	}
}
