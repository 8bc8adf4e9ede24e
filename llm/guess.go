package llm

import (
	"context"
	"errors"
	"fmt"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Multi-token prediction: some files hold, behind the layers, a block that was trained to guess one token
// further (DeepSeek-V3, arXiv 2412.19437, section 2.2; "nextn" in GGUF), here of Qwen 3.5. Of the token t[p] at
// position p it computes
//
//	x = eh_proj [enorm(embedding(t[p])), hnorm(h[p-1])]
//	x = a layer with gated attention, like the model's own, of x; its keys and values are of this x
//	h = shared_head_norm(x)
//	logits of t[p+1] = output(h)
//
// where h[p-1] is what the model's layers made of t[p-1], behind output_norm. For the token after that,
// whose h[p] nobody knows yet, the block's own h stands in. Embedding and output are the model's if the
// block has none of its own, as is its last norm.
//
// A Guesser follows its session: it keeps what the layers made of each token, and the block sees
// these when a guess is asked for, or when there are as many as are computed together. When nobody has
// asked for so long, since guesses do not pay, they are forgotten instead: then the block sees only what comes
// after, and costs nothing until it is asked again.

// guessBlock is the weights of the block.
type guessBlock struct {
	layer
	tokenNorm, stateNorm []float32      // d
	join                 *kernel.Matrix // d x 2d
	outputNorm           []float32      // d
	embedding, output    *kernel.Matrix // vocabulary x d
}

// guessTensors lists what the block has beside a layer; nil: the file has no block that can be computed.
func (c *config) guessTensors(f *gguf.File) map[string]shape {
	part, d := partOf(c.layers), c.embedding
	if _, ok := f.Tensor(part("nextn.eh_proj.weight")); !ok || !c.arch.guesses || c.nextn != 1 {
		return nil
	}
	s := map[string]shape{
		part("nextn.eh_proj.weight"): {d, 2 * d}, part("nextn.enorm.weight"): {0, d}, part("nextn.hnorm.weight"): {0, d},
	}
	for name, size := range map[string]shape{"shared_head_norm": {0, d}, "embed_tokens": {c.vocabulary, d}, "shared_head_head": {c.vocabulary, d}} {
		name = part("nextn." + name + ".weight")
		if _, ok := f.Tensor(name); ok {
			s[name] = size
		}
	}
	return s
}

// guessBlock is the block for guesses, or nil: the file has none, or memory has no room for it.
func (b *binder) guessBlock() *guessBlock {
	m, c := b.model, &b.model.config
	if t, part := m.weights.(*stream); part && !t.block || c.guessTensors(m.file) == nil {
		return nil
	}
	part := partOf(c.layers)
	name := func(s string) string { return part("nextn." + s + ".weight") }
	g := &guessBlock{
		tokenNorm: b.vector(name("enorm")), stateNorm: b.vector(name("hnorm")), join: b.matrix(name("eh_proj")),
		outputNorm: b.vector(name("shared_head_norm")), embedding: b.matrix(name("embed_tokens")), output: b.matrix(name("shared_head_head")),
	}
	b.layer(c.layers, &g.layer)
	own := append(g.products(), g.join)
	if g.output != nil {
		own = append(own, g.output)
	}
	b.wait(b.last)
	b.repack(own...)
	if g.outputNorm == nil {
		g.outputNorm = m.decoder.outputNorm
	}
	if g.embedding == nil {
		g.embedding = m.decoder.tokenEmbedding
	}
	if g.output == nil {
		g.output = m.decoder.output
	}
	return g
}

// Guesser guesses what comes next in a session, by what the model's file holds for that.
type Guesser struct {
	s     *Session
	cache cache

	states      []float32 // (batch+1) x d: what the layers made of the tokens
	from, count int       // at positions from, from+1, ...
	done        int       // rows [cache.first, done) of the cache are right, as long as
	next        int32     // this is the token of the last one
	idle        int       // tokens of short passes since it was asked

	ids    []int32   // batch
	pairs  []float32 // batch x 2d
	state  []float32 // d: of the last token
	logits []float32
}

// Guesser returns what guesses in this session, always the same, or nil if the model has nothing for that, or the session
// no memory.
func (s *Session) Guesser() *Guesser {
	m, c := s.model, &s.model.config
	m.busy.Lock()
	defer m.busy.Unlock()
	if s.guesser != nil || m.decoder == nil || m.decoder.guesses == nil {
		return s.guesser
	}
	l := m.decoder.guesses.layerShape
	need, form := m.sessionNeeds(s.size)
	d, n := c.embedding, s.batch
	numbers := int64(s.size) * int64(l.kvHeads) * int64(l.head+l.value)
	need += 4*int64(n*4*d+2*d+c.vocabulary) + numbers/int64(form.BlockSize())*int64(form.BlockBytes())
	if need > m.sessionLimit() {
		return nil
	}
	g := &Guesser{
		s: s, states: make([]float32, (n+1)*d), ids: make([]int32, n), pairs: make([]float32, n*2*d),
		state: make([]float32, d), logits: make([]float32, c.vocabulary),
	}
	var queries []kernel.Activations
	for range m.pool.threads {
		queries = append(queries, *m.set.NewActivations(kernel.FormOf(form), l.head, c.group))
	}
	g.cache = m.newCache(l, s.size, form, queries)
	s.guesser = g
	return g
}

// reset forgets all.
func (g *Guesser) reset() { g.from, g.count, g.done, g.cache.first = 0, 0, 0, 0 }

// settle leaves what holds of the session's tokens, which next is to follow.
func (g *Guesser) settle(next int32) {
	n := len(g.s.tokens)
	if g.from < n && g.from+g.count > n {
		g.count = n - g.from
	} else if g.from+g.count != n {
		g.from, g.count = n, 0
	}
	if g.done > n && (g.done > n+1 || g.next != next) {
		if g.done = n; n > 0 {
			g.next = g.s.tokens[n-1]
		}
	}
	g.cache.first = min(g.cache.first, g.done)
}

// follow makes room for n tokens, the first of which is next.
func (g *Guesser) follow(next int32, n int) error {
	g.settle(next)
	if n <= MaxDraft+1 {
		g.idle += n
	}
	switch {
	case g.count+n <= len(g.states)/g.s.model.config.embedding:
		return nil
	case g.idle >= g.s.batch/2:
		g.from, g.count = len(g.s.tokens), 0
		return nil
	}
	return g.see(len(g.s.tokens), next)
}

// keep takes what the layers made of n tokens.
func (g *Guesser) keep(x []float32, n int) {
	d := g.s.model.config.embedding
	g.s.norm(g.states[g.count*d:][:n*d], x, g.s.model.decoder.outputNorm, n)
	g.count += n
}

// see shows the block the first end tokens of the session and next, as far as it has not seen them, and leaves in
// g.state what it makes of the last.
func (g *Guesser) see(end int, next int32) error {
	n, d := len(g.s.tokens), g.s.model.config.embedding
	if g.done < g.from { // what lies between is not known any more
		g.cache.first, g.done = g.from, g.from
	}
	for g.done < end {
		ids := g.ids[:min(len(g.ids), end-g.done)]
		copy(ids, g.s.tokens[g.done:])
		if g.done+len(ids) > n {
			ids[len(ids)-1] = next
		}
		states, unknown := g.states[max(0, g.done-1-g.from)*d:], g.done == g.from
		if err := g.compute(ids, g.done, states, unknown); err != nil {
			return err
		}
		g.done += len(ids)
	}
	if g.done > n {
		g.next = next
	} else if g.done > 0 {
		g.next = g.s.tokens[g.done-1]
	}
	if g.count > 1 {
		copy(g.states[:d], g.states[(g.count-1)*d:])
		g.from, g.count = n-1, 1
	}
	return nil
}

// compute makes what the block makes of ids from position on. states are of the tokens before each;
// unknown: that of the first is not, and they begin with that of the second.
func (g *Guesser) compute(ids []int32, position int, states []float32, unknown bool) error {
	s := g.s
	m, w, n, d := s.model, s.model.decoder.guesses, len(ids), s.model.config.embedding
	x := s.buffers.x[:n*d]
	s.failure, s.together = nil, n
	if err := m.embed(w.embedding, x, ids); err != nil {
		return err
	}
	s.scaleBy(x, m.config.embeddingScale)
	for i := range n {
		pair := g.pairs[2*i*d:][:2*d]
		m.set.RMSNorm(pair[:d], x[i*d:(i+1)*d], w.tokenNorm, m.config.epsilon)
		if unknown && i == 0 {
			clear(pair[d:])
			continue
		}
		m.set.RMSNorm(pair[d:], states[:d], w.stateNorm, m.config.epsilon)
		states = states[d:]
	}
	for i := range s.ropes {
		s.ropes[i].prepare(position, n)
	}
	s.mul(g.pairs[:2*n*d], n, product{w.join, x})
	s.computeBlock(&w.layer, m.config.layers, position, n)
	if s.failure == nil {
		s.norm(g.state, x[(n-1)*d:], w.outputNorm, 1)
	}
	return s.failure
}

// Guess appends to dst at most n tokens that may follow those of the session and next, which is not evaluated yet. choose
// chooses one by its logits, which are valid only meanwhile, or returns -1 to have no more.
func (g *Guesser) Guess(dst []int32, next int32, n int, choose func(logits []float32) int32) ([]int32, error) {
	s := g.s
	s.model.busy.Lock()
	defer s.model.busy.Unlock()
	if s.model.closed {
		return dst, errors.New("the model has been closed")
	}
	if next < 0 || int(next) >= s.model.config.vocabulary {
		return dst, fmt.Errorf("token %d is not in the model's vocabulary of %d", next, s.model.config.vocabulary)
	}
	s.model.weights.begin(context.Background(), true)
	position := len(s.tokens)
	g.idle = 0
	for i := range min(n, s.size-position) {
		var err error
		if i == 0 {
			g.settle(next)
			g.done = min(g.done, position) // the last one is seen again if it was seen already
			err = g.see(position+1, next)
		} else { // these rows are overwritten by right ones
			g.ids[0] = next
			err = g.compute(g.ids[:1], position+i, g.state, false)
		}
		if err != nil {
			return dst, err
		}
		w := s.model.decoder.guesses
		s.mul(g.state, 1, product{w.output, g.logits})
		s.finishLogits(g.logits)
		if next = choose(g.logits); next < 0 || int(next) >= s.model.config.vocabulary {
			break
		}
		dst = append(dst, next)
	}
	return dst, nil
}
