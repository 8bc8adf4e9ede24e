package assistant

import (
	"context"
	"fmt"
	"time"

	"alphaos/archive"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/store"
)

// conversation is what was said, as far back as a model can look, and the model
// that is talked to.
type conversation struct {
	ui      UI
	display Display
	now     func() time.Time
	journal *journal
	filing  *filing
	shelf   *shelf
	spare   *spare

	remembered *notebook
	settings   *settings
	before     func(m llm.Info, message string) (answer string, ok bool) // Config.Before
	state      engine.Medium                                             // Drive.State
	close      func() error                                              // Drive.Close
	when       func(time.Time) string                                    // a time in words

	restarting string // Config.Restarting

	model *engine.Model // nil: there is none
	name  string        // the name of its file

	said     engine.Conversation // the most recent turns
	earlier  int                 // how many messages came before those
	kept     []bool              // for the person's last messages: whether they are in the store; those before are
	thoughts string              // of the last answer
	code     int                 // how many blocks of code there are in those
}

// A conversation may be years long. What is done at the start and for each
// message does not depend on its length: only the end of it is kept here.
const (
	maxHistory = 200  // turns whose messages the Up key brings back
	maxTurns   = 4096 // turns that a large context may hold
)

// recall continues the last conversation in the store.
func (c *conversation) recall(s *store.Store) {
	last, total := s.Tail(maxTurns)
	for i, m := range last {
		c.said.Turns = append(c.said.Turns, chat.Turn{Role: m.Role, Text: m.Text})
		if m.Role == store.User && i >= len(last)-maxHistory {
			c.ui.AddHistory(m.Text)
		}
	}
	if c.earlier = total - len(last); c.earlier > 0 {
		for _, m := range s.Conversation()[:c.earlier] {
			c.code += blocks(m.Role, m.Text)
		}
	}
}

// blocks is how many blocks of code a message has: only answers count.
func blocks(role, text string) int {
	if role != store.Assistant {
		return 0
	}
	return len(archive.Blocks(text))
}

// codeBefore is how many blocks of code there are in the conversation before the nth turn.
func (c *conversation) codeBefore(n int) int {
	count := c.code
	for _, t := range c.said.Turns[:n] {
		count += blocks(t.Role, t.Text)
	}
	return count
}

// forget drops the oldest turns when there are more than any context holds.
func (c *conversation) forget() {
	if n := len(c.said.Turns) - maxTurns; n > maxTurns/4 {
		old := c.said.Turns
		n = c.said.Drop(n)
		c.earlier += n
		for _, t := range old[:n] {
			c.code += blocks(t.Role, t.Text)
		}
	}
}

// clear begins a new conversation.
func (c *conversation) clear() {
	c.said.Turns, c.earlier, c.said.First, c.kept, c.code = nil, 0, 0, nil, 0
	c.shelf.clear()
	c.thoughts = ""
	if c.model != nil {
		c.model.Forget()
	}
}

// lastMessage returns which of the turns is the person's last message, -1 if there is none, and
// whether it is in the store.
func (c *conversation) lastMessage() (turn int, kept bool) {
	turn = len(c.said.Turns) - 1
	for turn >= 0 && c.said.Turns[turn].Role != store.User {
		turn--
	}
	if n := len(c.kept); n > 0 {
		return turn, c.kept[n-1]
	}
	return turn, c.journal.store != nil
}

// instruct sets the system prompt.
func (c *conversation) instruct(text string) { c.said.System, c.said.First = text, 0 }

// take makes m the model that is talked to and gives it a context.
func (c *conversation) take(m *engine.Model, name string) error {
	c.model, c.name = m, name
	c.settings.recommend(m.Sampling)
	m.SetThinking(c.settings.think)
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

// release gives up the model, if there is one, and returns it.
func (c *conversation) release() (m *engine.Model) {
	m, c.model, c.name = c.model, nil, ""
	return m
}

// begin gives the model an empty context of the size in the settings.
func (c *conversation) begin() error {
	c.said.First = 0
	return c.model.Begin(c.settings.numCtx)
}

// resume restores what the model remembered of the conversation when the last
// session ended, if that was this model.
func (c *conversation) resume() {
	c.said.Reset()
	if c.state != nil && len(c.said.Turns) > 0 {
		c.model.RestoreState(c.state, &c.said, c.settings.Params, c.progress("Recalling the conversation"))
	}
}

// remember saves what the model remembers, but nothing if something was said
// after /set nohistory.
func (c *conversation) remember() {
	if c.state == nil || c.journal.store == nil || c.model == nil || c.journal.secret || len(c.said.Turns) == 0 {
		return
	}
	if err := c.model.SaveState(c.state, c.progress("Saving what the model remembers")); err != nil {
		c.ui.Quiet("What the model remembers could not be saved, so it will read the conversation again: " + fs.Explain(err))
	}
}

// forgotten takes out of what the model remembers on the drive what was deleted.
func (c *conversation) forgotten() {
	if c.state == nil {
		return
	}
	if err := c.model.EraseState(c.state); err != nil {
		c.ui.Quiet("What the model remembers of it could not be taken off the drive: " + fs.Explain(err))
	}
}

func (c *conversation) progress(title string) func(total int64) engine.Progress {
	return func(total int64) engine.Progress { return c.ui.Progress(title, total) }
}

// warmAfter is how long the model waits for a message before it uses the time to
// read what was said so far: after a restart, or when another model was loaded.
const warmAfter = 300 * time.Millisecond

// warm reads the conversation so far in the background. The function it returns
// ends that, and must be called before the conversation is used otherwise.
func (c *conversation) warm(ctx context.Context) (cool func()) {
	if c.model == nil || len(c.said.Turns) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-time.After(warmAfter):
			c.model.Read(ctx, &c.said, c.settings.Params)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
