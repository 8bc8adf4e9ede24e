package assistant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"alphaos/console"
	"alphaos/fs"
	"alphaos/store"
)

// journal keeps what is said and set in the store, if there is one. What the store does not take waits in memory and is saved
// in the order in which it was said (see unsaved.go).
type journal struct {
	ui      UI
	store   *store.Store
	present func() error                   // Drive.Present
	reread  func() error                   // Drive.Reread
	option  func(name, value string) error // Drive.Option
	now     func() time.Time
	saving  bool // messages go to the store

	waiting []unsaved         // what could not be saved yet, in order
	held    int               // bytes of it
	unkept  map[string]string // settings that could not be saved
	trouble error             // why nothing can be saved; nil: as far as is known it can
	told    string            // what the person was told of that; "": nothing
	tried   time.Time         // when saving failed last
	show    func()            // brings the bars up to date
	saved   console.Saved     // what they say
	alerted string            // likewise
	every   time.Duration     // watch looks

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
	j.saving, j.saved = true, console.AllSaved // to begin with
	err := j.store.Same()                      // it may have been used elsewhere since it was read
	if !errors.Is(err, store.ErrElsewhere) {
		err = j.store.Begin()
	}
	j.noted(err)
	j.tell()
}

// record has save save a message, and before it what waits. When that fails the message waits as well; the error says that it
// can't. With wait a drive that was pulled out is waited for first.
func (j *journal) record(ctx context.Context, text string, save func(at time.Time) error, wait bool) error {
	if !j.saving {
		j.secret = true
		return nil
	}
	if len(text) > store.MaxMessage { // it would wait for ever
		return store.ErrTooLong
	}
	at := j.now()
	if wait && j.present != nil && errors.Is(j.present(), fs.ErrRemoved) {
		j.ui.Error("The drive was pulled out. Plug it in again: your message is kept here, and is saved and answered then.")
		if err := j.await(ctx, func() error { return nil }); err != nil {
			return err
		}
		j.ui.Quiet("The drive is there again.")
	}
	add := func() error { return save(at) }
	err := j.save(add)
	if err == nil {
		return nil
	}
	return j.hold(unsaved{role: store.User, text: text, at: at, save: add}, err)
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

// resume saves messages again.
func (j *journal) resume() error {
	if j.apart {
		if err := j.save(j.store.NewConversation); err != nil {
			if err = j.hold(unsaved{save: j.store.NewConversation}, err); err != nil {
				return err
			}
		}
	}
	j.saving, j.apart = true, false
	return nil
}

// newConversation begins a new conversation.
func (j *journal) newConversation() error {
	if j.saving {
		if err := j.save(j.store.NewConversation); err != nil {
			return j.hold(unsaved{save: j.store.NewConversation}, err)
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
		err := j.same()
		if err == nil {
			err = j.option(name, value)
		}
		if err != nil {
			j.ui.Error("The file of options can't be changed, which has a say in this at the next start: " + fs.Explain(err))
		}
	}
	if j.store == nil {
		return
	}
	err := j.same()
	if err == nil {
		err = j.store.Set(name, value)
	}
	if err == nil {
		delete(j.unkept, name)
		return
	}
	if j.unkept == nil {
		j.unkept = map[string]string{}
	}
	j.unkept[name] = value
	j.noted(err)
	if !j.tell() {
		j.ui.Quiet("It is not saved yet.")
	}
}

// nearlyFull makes room for what will be said, and warns once when nine tenths of a journal are used that can't grow.
func (j *journal) nearlyFull() {
	if j.store == nil || j.warned || j.trouble != nil || j.store.MakeRoom() == nil && j.store.Grows() {
		return
	}
	if used, total := j.store.Usage(); used > total/10*9 {
		j.warned = true
		j.ui.Notice(fmt.Sprintf("Note: the journal is nearly full (%d%%), and there is no room for more of it. Take away files that you don't need, or make a drive with a larger one; when it is full, what you say is kept in memory only.", used*100/total))
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
