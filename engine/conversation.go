package engine

import (
	"context"
	"sort"

	"alphaos/llm/chat"
)

// Conversation is what a model sees.
type Conversation struct {
	System string      // the system prompt, or ""
	Turns  []chat.Turn // of the user and the assistant
	First  int         // the first of Turns that the model still sees: those before it no longer fit the context
}

// Reset prepares the conversation for another model, to which the tokens of the last one mean nothing.
func (c *Conversation) Reset() {
	c.First = 0
	for i := range c.Turns {
		c.Turns[i].IDs = nil
	}
}

// turns are the system prompt and the turns from first on, as they are written for the model.
func (c *Conversation) turns(first int) []chat.Turn {
	if c.System == "" {
		return c.Turns[first:]
	}
	return append([]chat.Turn{{Role: "system", Text: c.System}}, c.Turns[first:]...)
}

// tail is the first of the last turns whose texts have so many bytes together, but not before First.
func (c *Conversation) tail(bytes int) int {
	const around = 16 // bytes of what a template writes around a text, at least
	n := len(c.Turns)
	for n > c.First && bytes > 0 {
		n--
		bytes -= len(c.Turns[n].Text) + around
	}
	if n == c.First {
		return n
	}
	return c.since(n)
}

// since is the first turn from n on with which a conversation may begin: a user's, or the last one.
func (c *Conversation) since(n int) int {
	for n < len(c.Turns)-1 && c.Turns[n].Role != "user" {
		n++
	}
	return n
}

// Drop drops the first n turns, and more until a user's comes first. It returns how many.
func (c *Conversation) Drop(n int) int {
	n = c.since(n)
	c.Turns = append([]chat.Turn(nil), c.Turns[n:]...)
	c.First = max(0, c.First-n)
	return n
}

// leastRoom is for how many tokens of an answer there must be room at least.
const leastRoom = 16

// Most is how many tokens a prompt may have.
func (m *Model) Most() int { return m.session.Cap() - leastRoom }

// room is how many tokens of the context must be free when an answer begins.
func (m *Model) room(p Params) int {
	size := m.session.Cap()
	wanted := p.Predict
	if wanted < 0 {
		wanted = size
	}
	return min(size/4, max(leastRoom, wanted))
}

// Tokens is how many tokens the prompt of the whole conversation has.
func (m *Model) Tokens(c *Conversation) int { return len(m.Text.Prompt(c.turns(0))) }

// fit returns the tokens of the conversation from c.First on, followed by those of the answer so far, and the first
// turn that is among them. When fewer than room tokens would stay free in the context, the oldest turns are left
// out, so many that half of the context is free: it should not be full again at once.
func (m *Model) fit(c *Conversation, answer []int32, room int) (ids []int32, first int) {
	limit := m.session.Cap() - len(answer)
	// No tokens are made of turns that are far too old.
	for bytes := 4 * limit; ; bytes *= 2 {
		first = c.tail(bytes)
		ids = m.Text.Prompt(c.turns(first))
		if first == c.First || len(ids) > limit-room {
			break
		}
	}
	if len(ids) > limit-room {
		from := first
		if ids, first = m.shorten(c, from, ids, limit/2); len(ids) > limit-room {
			ids, first = m.shorten(c, from, ids, limit-room)
		}
	}
	return append(ids, answer...), first
}

// shorten leaves out more turns, the oldest first, until the prompt has at most limit tokens; as yet it is ids, and
// its first turn is first. The last turn always stays, even if it alone is too long.
func (m *Model) shorten(c *Conversation, first int, ids []int32, limit int) ([]int32, int) {
	var cuts []int // the turns that may come first
	for i := first + 1; i < len(c.Turns); i++ {
		if c.Turns[i].Role == "user" {
			cuts = append(cuts, i)
		}
	}
	if len(cuts) == 0 {
		return ids, first
	}
	n := sort.Search(len(cuts)-1, func(i int) bool { return len(m.Text.Prompt(c.turns(cuts[i]))) <= limit })
	return m.Text.Prompt(c.turns(cuts[n])), cuts[n]
}

// eval makes the context hold ids, of which it keeps what it has, and returns the logits after the last one.
func (m *Model) eval(ctx context.Context, ids []int32) ([]float32, error) {
	n := max(0, min(same(m.session.View(), ids), len(ids)-1))
	m.session.Truncate(n)
	return m.session.Eval(ctx, ids[n:])
}

// same is how many tokens a and b have in common at the beginning.
func same(a, b []int32) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// worthWhile is how many tokens are worth reading ahead or saving.
const worthWhile = 32

// Read reads the conversation ahead, so that the next answer begins sooner, until ctx is done. An error does not
// matter: it will come again with the answer.
func (m *Model) Read(ctx context.Context, c *Conversation, p Params) {
	ids, _ := m.fit(c, nil, m.room(p)) // c.First changes with the answer, for the person is told then
	if len(ids) <= m.session.Cap() && len(ids)-len(m.session.View()) >= worthWhile {
		m.eval(ctx, ids)
	}
}

// Forget empties the context.
func (m *Model) Forget() {
	if m.session != nil {
		m.session.Truncate(0)
	}
}
