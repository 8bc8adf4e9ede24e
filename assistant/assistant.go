// Package assistant is the conversation between a person and a model: turns,
// slash commands, settings, the choice of a model, recovery and safe shutdown.
//
// Data travels one way: a line from the [UI] is journalled in the store, only
// then is it given to the model, and the answer goes token by token to the UI
// and piece by piece to the journal. The assistant never says that something
// is saved when the store did not confirm it, and never has a model answer a message
// that should be saved and could not be.
//
// The conversation of the last session is always gone on with, whether that
// session ended cleanly or not; /clear begins a new one.
package assistant

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/llm"
	"alphaos/store"
)

// Config says what an assistant works with. UI and Models are needed.
type Config struct {
	UI      UI
	Models  engine.Models
	Engine  engine.Options // how models are loaded; LLM.Progress, LLM.Expect and Now are overwritten
	Drive   Drive
	Start   Start
	Machine Machine          // nil: there is nothing to tell
	Now     func() time.Time // nil: time.Now

	// Before may answer a message by rule, so that the model in use is not asked;
	// nil: the model answers all.
	Before func(m llm.Info, message string) (answer string, ok bool)

	loader loader // for tests
}

// Drive is where the conversation is kept.
type Drive struct {
	Store    *store.Store   // nil: nothing is saved, which is said
	Recovery store.Recovery // what store.Open found
	NoStore  error          // why Store is nil; nil when that is intended
	State    engine.Medium  // where the model's memory of the conversation is kept between sessions; nil: nowhere
	Present  func() error   // tells whether the drive is there; nil: it always is
}

// Start is what a session begins with.
type Start struct {
	Model  string            // its name; "": the one used last, else the first that answers
	Params map[string]string // parameters as /set parameter knows them; they go before saved ones
	System string            // system prompt when none was set
}

// Run talks until the person shuts down, the input ends or ctx is done. The
// error is not nil when something could not be saved at the end.
func Run(ctx context.Context, o Config) (Outcome, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.loader == nil {
		o.loader = weights{}
	}
	o.Engine.Now = o.Now
	j := &journal{ui: o.UI, store: o.Drive.Store, present: o.Drive.Present}
	t := &conversation{ui: o.UI, journal: j, settings: defaultSettings(), before: o.Before, state: o.Drive.State,
		talk: engine.Conversation{System: o.Start.System}}
	c := &commands{ui: o.UI, machine: o.Machine, journal: j, talk: t,
		history: &history{ui: o.UI, store: o.Drive.Store, now: o.Now},
		library: &library{ui: o.UI, files: o.Models, loader: o.loader, options: o.Engine, wanted: o.Start.Model, journal: j, talk: t,
			loaded: func(l Load) {
				if o.Machine != nil {
					o.Machine.Loaded(l)
				}
			}}}
	defer c.library.unload()
	j.begin(o.Drive.NoStore)
	if j.store != nil {
		c.history.recovered(o.Drive.Recovery)
		restore(t, j)
	}
	for name, v := range o.Start.Params {
		if err := t.settings.set(name, v); err != nil {
			o.UI.Error(sentence(err))
		}
	}
	out, err := talk(ctx, c)
	if out == EOF {
		err = errors.Join(err, t.end())
	}
	return out, err
}

// restore goes on with the last session.
func restore(t *conversation, j *journal) {
	for _, p := range paramHelp {
		if v := j.setting("parameter." + p.name); v != "" {
			if err := t.settings.set(p.name, v); err != nil { // an older version may have allowed it
				t.ui.Quiet(sentence(err))
			}
		}
	}
	if s := j.setting("system"); s != "" {
		t.instruct(s)
	}
	t.recall(j.store)
	j.nearlyFull()
}

// talk chooses a model and answers messages.
func talk(ctx context.Context, c *commands) (Outcome, error) {
	if out, err, ended := c.chooseFirst(ctx); ended {
		return out, err
	}
	if len(c.talk.talk.Turns) == 0 {
		c.ui.Quiet("Type a message, or /? for help.")
	}
	for ctx.Err() == nil {
		line, err := readLine(ctx, c)
		if errors.Is(err, console.ErrInterrupted) {
			c.ui.Quiet("To shut down, type /bye.")
			continue
		}
		if err == io.EOF {
			return EOF, nil
		}
		if err != nil {
			return EOF, err
		}
		text := strings.TrimSpace(line)
		if _, leaves := Leaves(text); leaves || strings.HasPrefix(text, "/") {
			if out, err, ended := c.run(ctx, text); ended {
				return out, err
			}
		} else if text != "" {
			c.talk.answer(ctx, text)
		}
	}
	return EOF, nil
}

// readLine waits for a line; meanwhile the model reads what it has not yet.
func readLine(ctx context.Context, c *commands) (string, error) {
	defer c.talk.warm(ctx)()
	return c.ui.ReadLine(Prompt)
}
