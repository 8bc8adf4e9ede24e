package assistant

import (
	"context"
	"fmt"
	"time"

	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/store"
)

// conversation is what was said, as far as a model can look back on it, and the
// model it is said to.
type conversation struct {
	ui       UI
	journal  *journal
	settings *settings
	before   func(m llm.Info, message string) (answer string, ok bool) // Config.Before
	state    engine.Medium                                             // where the model's memory of it is kept; nil: nowhere

	model *engine.Model // nil: there is none
	name  string        // of its file

	talk    engine.Conversation // the end of this conversation
	earlier int                 // messages that were said before that
}

// A conversation may be years long. What is done at the start and for each
// message does not depend on that: of what was said before, only the end is
// shown, looked at and kept at hand here.
const (
	maxHistory = 200  // messages and answers, of which the Up key brings back the messages
	maxTurns   = 4096 // that may come into the context, if that is so large
)

// recall goes on with the last conversation in the store.
func (c *conversation) recall(s *store.Store) {
	last, total := s.Tail(maxTurns)
	for i, m := range last {
		c.talk.Turns = append(c.talk.Turns, chat.Turn{Role: m.Role, Text: m.Text})
		if m.Role == store.User && i >= len(last)-maxHistory {
			c.ui.AddHistory(m.Text)
		}
	}
	c.earlier = total - len(last)
}

// forget gives up turns at the beginning that no context has room for.
func (c *conversation) forget() {
	if n := len(c.talk.Turns) - maxTurns; n > maxTurns/4 {
		c.earlier += c.talk.Drop(n)
	}
}

// clear begins a new conversation.
func (c *conversation) clear() {
	c.talk.Turns, c.earlier, c.talk.First = nil, 0, 0
	if c.model != nil {
		c.model.Forget()
	}
}

// instruct sets the system's text.
func (c *conversation) instruct(text string) { c.talk.System, c.talk.First = text, 0 }

// take takes a loaded model, which gets a context.
func (c *conversation) take(m *engine.Model, name string) error {
	c.model, c.name = m, name
	c.settings.recommend(m.Sampling)
	err := c.begin()
	if old := c.settings.numCtx; err != nil && old > 0 {
		// It was set for another model.
		c.settings.numCtx = 0
		if err = c.begin(); err == nil {
			_, size := m.Context()
			c.ui.Quiet(fmt.Sprintf("num_ctx %d does not suit this model: its context is %d tokens.", old, size))
		}
	}
	return err
}

// begin gives the model an empty context of the size that is set.
func (c *conversation) begin() error {
	c.talk.First = 0
	return c.model.Begin(c.settings.numCtx)
}

// resume has a model that was taken go on from what was remembered of the
// conversation, as far as that is its own.
func (c *conversation) resume() {
	c.talk.Reset()
	if c.state != nil && len(c.talk.Turns) > 0 {
		c.model.RestoreState(c.state, &c.talk, c.settings.Params, c.progress("Recalling the conversation"))
	}
}

// remember saves what the model remembers. Nothing of what was said after /set
// nohistory comes into it.
func (c *conversation) remember() {
	if c.state == nil || c.journal.store == nil || c.model == nil || c.journal.secret || len(c.talk.Turns) == 0 {
		return
	}
	if err := c.model.SaveState(c.state, c.progress("Saving what the model remembers")); err != nil {
		c.ui.Quiet("What the model remembers could not be saved, so it will read the conversation again: " + fs.Explain(err))
	}
}

func (c *conversation) progress(title string) func(total int64) engine.Progress {
	return func(total int64) engine.Progress { return c.ui.Progress(title, total) }
}

// Before a person has typed a message, a model may read what was said before:
// after a restart, or when another model was loaded.
const warmAfter = 300 * time.Millisecond // the prompt is shown first

// warm begins to read the conversation so far in the background. The function
// that it returns ends that, and must be called before anything else of the
// conversation is used.
func (c *conversation) warm(ctx context.Context) (cool func()) {
	if c.model == nil || len(c.talk.Turns) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-time.After(warmAfter):
			c.model.Read(ctx, &c.talk, c.settings.Params)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
