package assistant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"alphaos/fs"
	"alphaos/store"
)

// journal keeps what is said and set in the store, if there is one, and tells
// the person what cannot be kept. What could not be written is written later: the
// end of an answer before the next message, settings at the end of the session.
type journal struct {
	ui      UI
	store   *store.Store
	present func() error                   // Drive.Present
	option  func(name, value string) error // Drive.Option
	saving  bool                           // messages go to the store

	unfinished func() error      // saves the end of an answer that could not be saved
	unkept     map[string]string // settings that could not be saved

	apart  bool // a conversation was begun while nothing was saved
	secret bool // something was said while nothing was saved
	warned bool // the person knows that the journal is nearly full
}

// begin begins the session. why tells why there is no store, unless that is intended.
func (j *journal) begin(why error) {
	if j.store == nil {
		if why != nil {
			j.ui.Error("Nothing will be saved in this session: " + fs.Explain(why))
		}
		return
	}
	j.saving = true
	if err := j.store.Begin(); err != nil {
		j.ui.Error("Nothing can be saved at the moment: " + fs.Explain(err))
		j.ui.Quiet("Messages are answered only once they are saved. /set nohistory goes on without saving.")
	}
}

// pending tells whether something could not be written before.
func (j *journal) pending() bool { return j.unfinished != nil || len(j.unkept) > 0 }

// catchUp writes that.
func (j *journal) catchUp() error {
	if err := j.finish(); err != nil {
		return err
	}
	for name, value := range j.unkept {
		if err := j.store.Set(name, value); err != nil {
			return err
		}
	}
	j.unkept = nil
	return nil
}

// finish saves the end of the last answer if it is not saved yet.
func (j *journal) finish() error {
	if j.unfinished == nil {
		return nil
	}
	if err := j.unfinished(); err != nil {
		return err
	}
	j.unfinished = nil
	return nil
}

// record has save save a message, and before it the end of the last answer if that is
// not saved yet. With wait it waits for a drive that was pulled out.
func (j *journal) record(ctx context.Context, save func() error, wait bool) error {
	if !j.saving {
		j.secret = true
		return nil
	}
	add := func() error { return j.arrange(save) }
	err := add()
	if errors.Is(err, fs.ErrRemoved) && j.present != nil && wait {
		j.ui.Error("The drive was pulled out. Plug it in again: your message is kept here, and is saved and answered then.")
		if err = j.await(ctx, add); err == nil {
			j.ui.Quiet("The drive is there again. All that was said is saved.")
		}
	}
	return err
}

// arrange changes the store once the end of the last answer is saved: it would become part of
// another conversation.
func (j *journal) arrange(change func() error) error {
	if err := j.finish(); err != nil {
		return err
	}
	return change()
}

// beginAnswer begins to save an answer. Nil means that it is not saved.
func (j *journal) beginAnswer() *store.Answer {
	if !j.saving {
		return nil
	}
	return j.store.BeginAnswer()
}

// lastMessage returns where in the current conversation of the store the person's last message is.
func (j *journal) lastMessage() (index int, ok bool) {
	const near = 8 // nearly always it is the last but one
	last, total := j.store.Tail(near)
	for {
		for i := len(last) - 1; i >= 0; i-- {
			if last[i].Role == store.User {
				return total - len(last) + i, true
			}
		}
		if len(last) == total {
			return 0, false
		}
		last, total = j.store.Tail(total)
	}
}

// endAnswer ends an answer, now or, if that fails, before the next message.
func (j *journal) endAnswer(a *store.Answer, stats store.Stats, partial bool) error {
	end := func() error { return a.End(stats, partial) }
	err := end()
	if err != nil {
		j.unfinished = end
		j.ui.Error("The end of this answer is not saved yet: " + fs.Explain(err) + " It is kept here, and saved before your next message.")
	}
	return err
}

// resume saves messages again.
func (j *journal) resume() error {
	if j.apart {
		if err := j.arrange(j.store.NewConversation); err != nil {
			return err
		}
	}
	j.saving, j.apart = true, false
	return nil
}

// newConversation begins a new conversation.
func (j *journal) newConversation() error {
	if j.saving {
		if err := j.arrange(j.store.NewConversation); err != nil {
			return err
		}
	}
	j.apart = !j.saving
	return nil
}

// setting returns what keep saved in an earlier session, or "".
func (j *journal) setting(name string) string {
	if j.store == nil {
		return ""
	}
	return j.store.Setting(name)
}

// keep saves a setting and tells the person when that fails.
func (j *journal) keep(name, value string) {
	if j.option != nil && slices.Contains([]string{"theme", "text", "keyboard", timezoneSetting}, name) {
		if err := j.option(name, value); err != nil {
			j.ui.Error("The file of options can't be changed, which has a say in this at the next start: " + fs.Explain(err))
		}
	}
	if j.store == nil {
		return
	}
	if err := j.store.Set(name, value); err != nil {
		if j.unkept == nil {
			j.unkept = map[string]string{}
		}
		j.unkept[name] = value
		j.ui.Error("This was not saved (it is tried again when you shut down): " + fs.Explain(err))
		return
	}
	delete(j.unkept, name)
}

// nearlyFull warns once when nine tenths of the journal are used.
func (j *journal) nearlyFull() {
	if j.store == nil || j.warned {
		return
	}
	if used, total := j.store.Usage(); used > total/10*9 {
		j.warned = true
		j.ui.Notice(fmt.Sprintf("Note: the journal is nearly full (%d%%). Make a drive with a larger one soon; when it is full, new messages are refused.", used*100/total))
	}
}

// awaitEvery is how often await looks whether the drive is back.
const awaitEvery = 500 * time.Millisecond

// await waits until the drive is plugged in again, then calls do. The person can
// give up waiting: then the error says that the drive is still out.
func (j *journal) await(ctx context.Context, do func() error) error {
	j.ui.Quiet("Enter gives up waiting.")
	ctx, done := j.ui.StopContext(ctx)
	defer done()
	for {
		err := j.present()
		if err == nil {
			err = do()
		}
		if !errors.Is(err, fs.ErrRemoved) {
			return err
		}
		select {
		case <-ctx.Done():
			j.ui.Drop() // lines typed meanwhile would each wait in turn
			return err
		case <-time.After(awaitEvery):
		}
	}
}
