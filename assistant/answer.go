package assistant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/sample"
	"alphaos/store"
)

// leastRoom is how many tokens an answer must at least have room for.
const leastRoom = 16

// answer journals a message, answers it and journals the answer. What Config.Before
// answers, the model is not asked.
func (a *assistant) answer(ctx context.Context, text string) {
	if a.model == nil {
		a.UI.Error("There is no model loaded, so nobody can answer: /models lists them, /load NAME loads one.")
		return
	}
	fixed, byRule := "", false
	if a.Before != nil {
		fixed, byRule = a.Before(a.model.Info(), text)
	}
	turn := chat.Turn{Role: store.User, Text: text}
	// A message that can't be answered at all is not taken.
	if byRule {
		// The model need not read it.
	} else if n := len(a.model.Prompt(a.context([]chat.Turn{turn}))); n > a.session.Cap()-leastRoom {
		a.UI.Error(fmt.Sprintf("Your message is too long for this model: %d tokens with all that belongs to it, at most %d fit. It was not saved; shorten it, or set a larger num_ctx if the model allows it.",
			n, a.session.Cap()-leastRoom))
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
				a.say(Speaker + fixed)
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
	a.turns = append(a.turns, turn)
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
	a.UI.Write([]byte(Speaker))
	w := &answerWriter{a: a, whole: true}
	if a.saving {
		w.journal = a.Store.BeginAnswer()
	}
	w.put(text)
	a.endAnswer(w, store.Stats{Context: a.session.Len()}, w.full)
	a.turns = append(a.turns, chat.Turn{Role: store.Assistant, Text: w.text.String()})
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

// context is what the model is to see: the system prompt and turns.
func (a *assistant) context(turns []chat.Turn) []chat.Turn {
	if a.system == "" {
		return turns
	}
	return append([]chat.Turn{{Role: store.System, Text: a.system}}, turns...)
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
	if n := len(a.turns) - maxTurns; n > maxTurns/4 {
		n = a.since(n)
		a.turns = append([]chat.Turn(nil), a.turns[n:]...)
		a.before, a.first = a.before+n, max(0, a.first-n)
	}
}

// since is the first turn from turn n on with which a conversation may begin:
// a user's, or the last one.
func (a *assistant) since(n int) int {
	for n < len(a.turns)-1 && a.turns[n].Role != store.User {
		n++
	}
	return n
}

// tail is the first of the last turns whose texts have so many bytes together.
func (a *assistant) tail(bytes int) int {
	const around = 16 // bytes of what a template writes around a text, at least
	n := len(a.turns)
	for n > 0 && bytes > 0 {
		n--
		bytes -= len(a.turns[n].Text) + around
	}
	return a.since(n)
}

// ids returns the tokens of the conversation from a.first on, followed by
// those of the answer so far. When fewer than room tokens would stay free in
// the context, the oldest turns leave it: as many that half of it is free
// afterwards, so that this is not needed again at once.
func (a *assistant) ids(answer []int32, room int) (ids []int32, dropped int) {
	limit := a.session.Cap() - len(answer)
	// What is far behind does not become tokens only to be dropped.
	first := a.first
	for bytes := 4 * limit; ; bytes *= 2 {
		first = max(a.first, a.tail(bytes))
		ids = a.model.Prompt(a.context(a.turns[first:]))
		if first == a.first || len(ids) > limit-room {
			break
		}
	}
	dropped = first - a.first
	if len(ids) > limit-room {
		seen, n := a.context(a.turns[first:]), 0
		if ids, n = a.model.Fit(seen, limit/2); len(ids) > limit-room {
			ids, n = a.model.Fit(seen, limit-room)
		}
		dropped += n
	}
	a.first += dropped
	return append(ids, answer...), dropped
}

// eval brings the session's context to ids, keeping what it has of them, and
// returns the logits behind them.
func (a *assistant) eval(ctx context.Context, ids []int32) ([]float32, error) {
	have := a.session.View()
	n := 0
	for n < len(have) && n < len(ids)-1 && have[n] == ids[n] {
		n++
	}
	a.session.Truncate(n)
	return a.session.Eval(ctx, ids[n:])
}

// begin brings the session's context to ids, for gen to go on from.
func (a *assistant) begin(ctx context.Context, gen generator, ids []int32) error {
	logits, err := a.eval(ctx, ids)
	if err == nil {
		gen.Begin(logits)
	}
	return err
}

// Before a person has typed a message, a model may read what was said before:
// after a restart, or when another model was loaded.
const (
	warmAfter = 300 * time.Millisecond // the prompt is shown first
	warmLeast = 32                     // tokens for which it is worth while
)

// warm begins to evaluate the conversation so far in the background. The
// function that it returns ends that, and must be called before anything else
// of the assistant is used.
func (a *assistant) warm(ctx context.Context) (cool func()) {
	if a.model == nil || len(a.turns) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-time.After(warmAfter):
			first := a.first
			ids, _ := a.ids(nil, a.room())
			a.first = first // what leaves the context is told with the next answer
			if len(ids) <= a.session.Cap() && len(ids)-a.session.Len() >= warmLeast {
				// An error comes again, and is told, with the next answer.
				a.eval(ctx, ids)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// An ending says why an answer ended.
type ending int

const (
	byItself ending = iota
	stopped         // by the person
	limited         // by num_predict
	full            // by the context
	failed          // by the model or the journal
)

// reply generates the answer to the last turn.
func (a *assistant) reply(ctx context.Context) {
	stopCtx, done := a.UI.StopContext(ctx)
	defer done()
	a.UI.Write([]byte(Speaker))

	w := &answerWriter{a: a, stops: a.model.Stops(), trim: !a.model.Plain()}
	if a.saving {
		w.journal = a.Store.BeginAnswer()
	}
	var (
		said    = a.model.Answer()
		sampler = sample.New(a.params.Params)
		out     []int32
		end     ending
		failure error
		elapsed time.Duration
	)
	ids, dropped := a.ids(nil, a.room())
	gen := a.session.Generate(sampler)
	err := a.begin(stopCtx, gen, ids)
	start := a.Now()
	for {
		var id int32
		if err == nil {
			id, err = gen.Next(stopCtx)
		}
		if errors.Is(err, llm.ErrContextFull) && len(out) > 0 {
			// Older turns may make room; this one can't.
			var n int
			ids, n = a.ids(out, 1)
			if dropped += n; len(ids) > a.session.Cap() {
				end = full
				break
			}
			err = a.begin(stopCtx, gen, ids)
			continue
		}
		if err != nil {
			if end, failure = failed, err; stopCtx.Err() != nil {
				end, failure = stopped, nil
			}
			break
		}
		text, more := said.Write(id)
		if more {
			out = append(out, id)
		}
		if !w.write(text) || !more {
			if end = byItself; w.full {
				end = failed
			}
			break
		}
		if a.params.numPredict >= 0 && len(out) >= a.params.numPredict {
			end = limited
			break
		}
		if stopCtx.Err() != nil {
			end = stopped
			break
		}
	}
	gen.Settle()
	elapsed = a.Now().Sub(start)
	w.write(said.End())
	w.end()
	partial := end == stopped || end == full || end == failed
	a.endAnswer(w, store.Stats{Model: a.name, Tokens: len(out), Elapsed: elapsed, Context: a.session.Len()}, partial)
	turn := chat.Turn{Role: store.Assistant, Text: w.text.String(), IDs: said.IDs()}
	if w.cut { // a stop string is among the tokens
		turn.IDs = nil
	}
	a.turns = append(a.turns, turn)

	if failure != nil {
		a.UI.Error("The model could not go on: " + fs.Explain(failure))
	}
	if turn.Text == "" && len(out) > len(said.IDs()) {
		a.UI.Quiet("The model only thought and came to no answer.")
	}
	if dropped > 0 {
		a.UI.Quiet(fmt.Sprintf("The context is full: the model no longer sees the first %s of this conversation.", count(a.before+a.first, "message", "messages")))
	}
	line := count(len(out), "token", "tokens")
	if s := elapsed.Seconds(); s > 0 && len(out) > 0 {
		line += fmt.Sprintf(", %.1f tokens/s", float64(len(out))/s)
	}
	line += fmt.Sprintf(", context %d of %d", a.session.Len(), a.session.Cap())
	switch end {
	case stopped:
		line = "Stopped. " + line
	case limited:
		line += ", num_predict reached"
	case full:
		line += ", ended because the context is full"
	}
	a.UI.Quiet(line)
}

// room is how many tokens must be free in the context for an answer to begin.
func (a *assistant) room() int { return min(a.session.Cap()/4, max(leastRoom, a.wanted())) }

// wanted is how many tokens an answer may have.
func (a *assistant) wanted() int {
	if a.params.numPredict >= 0 {
		return a.params.numPredict
	}
	return a.session.Cap()
}

// answerWriter shows an answer's text and journals it, up to a stop string.
type answerWriter struct {
	a       *assistant
	journal *store.Answer // nil: not saved
	stops   []string
	trim    bool // white space at the beginning is left out
	held    string
	text    strings.Builder
	shown   string // the last piece
	whole   bool   // all of it is shown, saved or not
	failed  bool   // a piece was not saved, which was told
	full    bool   // because the journal is full
	cut     bool   // a stop string was found
}

// write takes the next text and tells whether the answer may go on. What could
// be the beginning of a stop string is held back.
func (w *answerWriter) write(s string) bool {
	if w.cut {
		return false
	}
	s = w.held + s
	w.held = ""
	for _, stop := range w.stops {
		if i := strings.Index(s, stop); i >= 0 {
			w.cut = true
			s = s[:i]
		}
	}
	if !w.cut {
		keep := 0
		for _, stop := range w.stops {
			for n := min(len(stop)-1, len(s)); n > keep; n-- {
				if strings.HasSuffix(s, stop[:n]) {
					keep = n
				}
			}
		}
		s, w.held = s[:len(s)-keep], s[len(s)-keep:]
	}
	return w.put(s) && !w.cut
}

// end puts out what was held back.
func (w *answerWriter) end() {
	if !w.cut {
		w.put(w.held)
	}
	w.held = ""
}

func (w *answerWriter) put(s string) bool {
	if w.trim {
		s = strings.TrimLeft(s, " \t\r\n")
		w.trim = s == ""
	}
	if s == "" {
		return true
	}
	w.text.WriteString(s)
	w.shown = s
	w.a.UI.Write([]byte(s))
	if w.journal == nil {
		return true
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
	return !w.full
}
