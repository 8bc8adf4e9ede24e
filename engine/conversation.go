package engine

import (
	"context"
	"sort"

	"alphaos/llm/chat"
)

// Conversation is what a model is to see.
type Conversation struct {
	System string      // what the model is told before all turns; "": nothing
	Turns  []chat.Turn // without the system's
	First  int         // turns before this one no longer fit the context, and are not shown to the model any more
}

// Reset is for a conversation that another model is to read, or the same one in another context: tokens of one
// model mean nothing to another.
func (c *Conversation) Reset() {
	c.First = 0
	for i := range c.Turns {
		c.Turns[i].IDs = nil
	}
}

// turns are those from turn number first on, as they are written for the model.
func (c *Conversation) turns(first int) []chat.Turn {
	if c.System == "" {
		return c.Turns[first:]
	}
	return append([]chat.Turn{{Role: "system", Text: c.System}}, c.Turns[first:]...)
}

// tail is the first of the last turns whose texts have so many bytes together; it looks no further back than First.
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

// since is the first turn from turn n on with which a conversation may begin: a user's, or the last one.
func (c *Conversation) since(n int) int {
	for n < len(c.Turns)-1 && c.Turns[n].Role != "user" {
		n++
	}
	return n
}

// Drop gives up the first n turns, and more until a user's comes first. It returns how many.
func (c *Conversation) Drop(n int) int {
	n = c.since(n)
	c.Turns = append([]chat.Turn(nil), c.Turns[n:]...)
	c.First = max(0, c.First-n)
	return n
}

// leastRoom is how many tokens an answer must at least have room for.
const leastRoom = 16

// Most is how many tokens a message may have with all that belongs to it.
func (m *Model) Most() int { return m.session.Cap() - leastRoom }

// room is how many tokens must be free in the context for an answer to begin.
func (m *Model) room(p Params) int {
	size := m.session.Cap()
	wanted := p.Predict
	if wanted < 0 {
		wanted = size
	}
	return min(size/4, max(leastRoom, wanted))
}

// Tokens is how many tokens the model has to read before it can answer the last of all turns.
func (m *Model) Tokens(c *Conversation) int { return len(m.Text.Prompt(c.turns(0))) }

// fit returns the tokens of the conversation from c.First on, followed by those of the answer so far, and the first
// turn that is among them. When fewer than room tokens would stay free in the context, the oldest turns leave it:
// as many that half of it is free afterwards, so that this is not needed again at once.
func (m *Model) fit(c *Conversation, answer []int32, room int) (ids []int32, first int) {
	limit := m.session.Cap() - len(answer)
	// What is far behind does not become tokens only to be dropped.
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

// shorten leaves out turns from turn number first on, of which the prompt is ids, until the prompt has no more than
// limit tokens. The last turn always stays; alone it may still be too long.
func (m *Model) shorten(c *Conversation, first int, ids []int32, limit int) ([]int32, int) {
	var cuts []int // what comes first may be a user's turn
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

// eval brings the context to ids, keeping what it has of them, and returns the logits behind them.
func (m *Model) eval(ctx context.Context, ids []int32) ([]float32, error) {
	n := max(0, min(same(m.session.View(), ids), len(ids)-1))
	m.session.Truncate(n)
	return m.session.Eval(ctx, ids[n:])
}

// same is how many tokens two texts have in common at their beginning.
func same(a, b []int32) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// worthWhile is how many tokens are worth the trouble of reading or keeping them ahead of time.
const worthWhile = 32

// Read has the model read what it would read to answer the conversation, so that the answer comes sooner. It ends
// early when ctx is done. An error comes again, and is told, with the answer.
func (m *Model) Read(ctx context.Context, c *Conversation, p Params) {
	ids, _ := m.fit(c, nil, m.room(p)) // what leaves the context is told with the answer, too
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
