package assistant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm/chat"
	"alphaos/store"
)

// answer journals a message, answers it and journals the answer. What Config.Before
// answers, the model is not asked.
func (a *assistant) answer(ctx context.Context, text string) {
	if a.model == nil {
		a.UI.Error("There is no model loaded, so nobody can answer: /models lists them, /load NAME loads one.")
		return
	}
	fixed, byRule := "", false
	if a.Before != nil {
		fixed, byRule = a.Before(a.model.Info, text)
	}
	turn := chat.Turn{Role: store.User, Text: text}
	// A message that can't be answered at all is not taken.
	if byRule {
		// The model need not read it.
	} else if n, most := a.model.Tokens(&engine.Conversation{System: a.talk.System, Turns: []chat.Turn{turn}}), a.model.Most(); n > most {
		a.UI.Error(fmt.Sprintf("Your message is too long for this model: %d tokens with all that belongs to it, at most %d fit. It was not saved; shorten it, or set a larger num_ctx if the model allows it.",
			n, most))
		return
	}
	if a.saving {
		err := a.record(text)
		if errors.Is(err, fs.ErrRemoved) && a.Drive != nil && !byRule {
			a.UI.Error("The drive was pulled out. Plug it in again: your message is kept here, and is saved and answered then.")
			if err = a.await(ctx, func() error { return a.record(text) }); err == nil {
				a.UI.Quiet("The drive is there again. All that was said is saved.")
			}
		}
		if err != nil {
			if byRule { // the person may need it now
				a.UI.Error("Your message was not saved and is not kept: " + fs.Explain(err))
				a.UI.BeginAnswer()
				a.say(fixed)
				return
			}
			a.UI.Error("Your message was not saved and so not answered: " + fs.Explain(err))
			if !errors.Is(err, store.ErrFull) {
				a.UI.Quiet("Try again (the Up key brings it back), or type /set nohistory to go on without saving.")
			} else {
				a.UI.Quiet("/set nohistory goes on without saving, /history shows what is saved.")
			}
			return
		}
	}
	a.secret = a.secret || !a.saving
	a.talk.Turns = append(a.talk.Turns, turn)
	if byRule {
		a.tell(fixed)
	} else {
		a.reply(ctx)
	}
	a.forget()
	if a.saving {
		a.nearlyFull()
	}
}

// tell answers the last turn with a text that no model made.
func (a *assistant) tell(text string) {
	a.UI.BeginAnswer()
	w := &answerWriter{a: a, whole: true}
	if a.saving {
		w.journal = a.Store.BeginAnswer()
	}
	w.put(text)
	used, _ := a.model.Context()
	a.endAnswer(w, store.Stats{Context: used}, w.full)
	a.talk.Turns = append(a.talk.Turns, chat.Turn{Role: store.Assistant, Text: text})
}

// endAnswer ends an answer on the screen and in the journal.
func (a *assistant) endAnswer(w *answerWriter, stats store.Stats, partial bool) {
	if !strings.HasSuffix(w.shown, "\n") {
		a.UI.Write([]byte("\n"))
	}
	if w.journal == nil {
		return
	}
	err := w.journal.End(stats, partial)
	switch {
	case err != nil:
		a.unfinished = func() error { return w.journal.End(stats, partial) }
		a.UI.Error("The end of this answer is not saved yet: " + fs.Explain(err) + " It is kept here, and saved before your next message.")
	case w.failed && !w.full:
		a.UI.Quiet("Now all of this answer is saved.")
	}
}

// record saves a message, and the end of the answer before if that is still to
// be done.
func (a *assistant) record(text string) error {
	err := a.finish()
	if err == nil {
		err = a.Store.AddUser(text)
	}
	return err
}

// awaitEvery is how often it is looked whether the drive is back.
const awaitEvery = 500 * time.Millisecond

// await waits until the drive is plugged in again, for do. The person can give up;
// the error says that it is still not there.
func (a *assistant) await(ctx context.Context, do func() error) error {
	a.UI.Quiet("Enter gives up waiting.")
	ctx, done := a.UI.StopContext(ctx)
	defer done()
	for {
		err := a.Drive()
		if err == nil {
			err = do()
		}
		if !errors.Is(err, fs.ErrRemoved) {
			return err
		}
		select {
		case <-ctx.Done():
			a.UI.Drop() // or each of them would wait in its turn
			return err
		case <-time.After(awaitEvery):
		}
	}
}

// forget gives up turns at the beginning that no context has room for.
func (a *assistant) forget() {
	if n := len(a.talk.Turns) - maxTurns; n > maxTurns/4 {
		a.before += a.talk.Drop(n)
	}
}

// Before a person has typed a message, a model may read what was said before:
// after a restart, or when another model was loaded.
const warmAfter = 300 * time.Millisecond // the prompt is shown first

// warm begins to evaluate the conversation so far in the background. The
// function that it returns ends that, and must be called before anything else
// of the assistant is used.
func (a *assistant) warm(ctx context.Context) (cool func()) {
	if a.model == nil || len(a.talk.Turns) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-time.After(warmAfter):
			a.model.Read(ctx, &a.talk, a.params.Params)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// reply generates the answer to the last turn.
func (a *assistant) reply(ctx context.Context) {
	stopCtx, done := a.UI.StopContext(ctx)
	defer done()
	a.UI.BeginAnswer()
	w := &answerWriter{a: a}
	if a.saving {
		w.journal = a.Store.BeginAnswer()
	}
	r := a.model.Answer(stopCtx, &a.talk, a.params.Params, w.put)
	used, size := a.model.Context()
	a.endAnswer(w, store.Stats{Model: a.name, Tokens: r.Tokens, Elapsed: r.Writing, Context: used}, r.Partial())

	if r.End == engine.Failed {
		a.UI.Error("The model could not go on: " + fs.Explain(r.Err))
	}
	if r.OnlyThought {
		a.UI.Quiet("The model only thought and came to no answer.")
	}
	if r.Dropped > 0 {
		a.UI.Quiet(fmt.Sprintf("The context is full: the model no longer sees the first %s of this conversation.", count(a.before+a.talk.First, "message", "messages")))
	}
	line := count(r.Tokens, "token", "tokens")
	if s := r.Writing.Seconds(); s > 0 && r.Tokens > 0 {
		line += fmt.Sprintf(", %.1f tokens/s", float64(r.Tokens)/s)
	}
	line += fmt.Sprintf(", context %d of %d", used, size)
	switch r.End {
	case engine.Stopped:
		line = "Stopped. " + line
	case engine.Limited:
		line += ", num_predict reached"
	case engine.Full:
		line += ", ended because the context is full"
	}
	a.UI.Quiet(line)
}

// answerWriter shows an answer's text and journals it.
type answerWriter struct {
	a       *assistant
	journal *store.Answer // nil: not saved
	shown   string        // the last piece
	whole   bool          // all of it is shown, saved or not
	failed  bool          // a piece was not saved, which was told
	full    bool          // because the journal is full
}

// put takes the next text. An error says that no more can be saved.
func (w *answerWriter) put(s string) error {
	w.shown = s
	w.a.UI.Write([]byte(s))
	if w.journal == nil {
		return nil
	}
	err := w.journal.Write(s)
	if err != nil && !w.failed {
		w.failed = true
		w.full = errors.Is(err, store.ErrFull)
		switch {
		case w.full && w.whole:
			w.a.UI.Error("This answer can't be saved: " + fs.Explain(err))
		case w.full:
			w.a.UI.Error("The answer ends here because it can't be saved: " + fs.Explain(err))
		default:
			w.a.UI.Error("This answer is not saved at the moment: " + fs.Explain(err) + " It is kept here, and saved as soon as that is possible.")
		}
	}
	if w.full {
		return store.ErrFull
	}
	return nil
}
