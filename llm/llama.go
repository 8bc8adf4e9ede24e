package llm

import (
	"cmp"
	"context"

	"alphaos/llm/kernel"
)

// The llama graph, front to back. Notation for the shapes in the comments:
//
//	n  tokens computed together        d  embedding length
//	h  query heads                     g  key/value heads, each shared by h/g query heads
//	e  length of a head                f  feed-forward length
//
// h, g and f may differ from layer to layer; the buffers have room for the
// largest.
//
// The invariant between calls: rows [0, len(tokens)) of every keys and values
// table belong to tokens, computed at their positions; rows beyond are
// rubbish. So a session is shortened by shortening tokens, and a computation
// that is broken off leaves nothing behind.

// layer is the weights of one transformer block.
type layer struct {
	attnNorm       []float32      // d
	wq, wk, wv, wo *kernel.Matrix // h*e x d, g*e x d, g*e x d, d x h*e
	adjustment                    // of queries, keys and values: see architecture.go
	bo             []float32      // d, added to what wo gives; biases may be nil
	ffnNorm        []float32      // d
	gate, up, down *kernel.Matrix // f x d, f x d, d x f

	gateBias, upBias, downBias []float32 // f, f, d
}

// cache is what one layer remembers: for each key/value head a table of one
// row for each position.
type cache struct {
	keys, values []*kernel.Rows // g tables of e columns
	group        int            // h/g
}

// forward computes ids at the positions after s.tokens and appends them. The
// logits of the last rows of them, one after another, are left in s.logits.
func (s *Session) forward(ctx context.Context, ids []int32, rows int) error {
	m, c, b := s.model, &s.model.config, &s.buffers
	n, position := len(ids), len(s.tokens)
	x, h := b.x[:n*c.embedding], b.h[:n*c.embedding] // n x d

	if m.stream != nil {
		m.stream.begin(ctx, rows > 0)
		s.failure = nil
	}
	if err := m.embed(x, ids); err != nil {
		return err
	}
	s.rope.turn(position, n)

	for i := range m.layers {
		if err := cmp.Or(ctx.Err(), s.failure); err != nil {
			return err
		}
		l := &m.layers[i]

		// Attention: every token looks at itself and at all before it.
		s.norm(h, x, l.attnNorm, n)
		s.mul(h, n, product{l.wq, b.q}, product{l.wk, b.k}, product{l.wv, b.v})
		s.adjust(l, n)
		s.attend(&s.caches[i], position, n)
		s.mul(b.att, n, product{l.wo, h})
		s.addBias(h, l.bo, n)
		m.set.Add(x, h)

		// Feed forward: down(silu(gate(x)) * up(x)).
		s.norm(h, x, l.ffnNorm, n)
		s.mul(h, n, product{l.gate, b.gate}, product{l.up, b.up})
		s.addBias(b.gate, l.gateBias, n)
		s.addBias(b.up, l.upBias, n)
		s.swiglu(n * l.gate.Rows)
		s.mul(b.gate, n, product{l.down, h})
		s.addBias(h, l.downBias, n)
		m.set.Add(x, h)
	}

	if rows > 0 {
		last := x[(n-rows)*c.embedding:]
		s.norm(h, last, m.outputNorm, rows)
		s.mul(h, rows, product{m.output, s.logits})
	}
	if s.failure != nil {
		return s.failure
	}
	s.tokens = append(s.tokens, ids...)
	return nil
}

// The steps below are divided into parts, which the pool's threads take. What
// the parts of a step need to know is in s.task, and the functions are bound
// once a session, so that a token is computed without allocating memory.

// task is the step at work.
type task struct {
	x, y, w     []float32
	kv          *cache
	position, n int // n: tokens, or numbers to swiglu
	blocks      int // of tokens that attend together, which differ in size by one at most
	prepared    *kernel.Activations
	products    []product
	activations [3]*kernel.Activations // of x, in each form that is needed
	piece       int                    // rows of a part
}

// jobs are the session's methods that do a part of a step.
type jobs struct {
	norm, remember, attend, swiglu, prepare, mul func(worker, part int)
}

func (s *Session) bindJobs() {
	s.jobs = jobs{s.normPart, s.rememberPart, s.attendPart, s.swigluPart, s.preparePart, s.mulPart}
}

// norm is the root-mean-square norm of n vectors, times w.
func (s *Session) norm(y, x, w []float32, n int) {
	s.task.x, s.task.y, s.task.w = x, y, w
	s.model.pool.run(n, n*len(w)*16, s.jobs.norm)
}

func (s *Session) normPart(_, t int) {
	w := s.task.w
	s.model.set.RMSNorm(s.task.y[t*len(w):(t+1)*len(w)], s.task.x[t*len(w):(t+1)*len(w)], w, s.model.config.epsilon)
}

// attend turns queries and keys by their positions, stores keys and values, and
// computes, for each token and head, the sum of all values so far, weighted by
// softmax(query*key/sqrt(e)). The query heads that share keys and values go
// together, and so does a block of tokens, so that keys and values are read once.
func (s *Session) attend(kv *cache, position, n int) {
	c, threads, kvHeads := &s.model.config, s.model.pool.threads, len(kv.keys)
	s.task.kv, s.task.position, s.task.n = kv, position, n
	work, turning := n*(position+n)*kvHeads*c.head*4, n*kvHeads*kv.group*c.head*16
	if n > 1 { // every key must be there before any token looks
		s.model.pool.run(n*kvHeads, turning, s.jobs.remember)
	} else { // a token alone needs only those of its head: attendPart sees to them
		work += turning
	}
	s.task.blocks = (n + s.block - 1) / s.block
	if threads > 1 { // two parts for each, if there are so many
		s.task.blocks = max(s.task.blocks, min(n, 2*threads/kvHeads))
	}
	s.model.pool.run(s.task.blocks*kvHeads, work, s.jobs.attend)
}

// rememberPart does what concerns one token and key/value head: it turns the
// queries and the key and stores key and value.
func (s *Session) rememberPart(_, part int) {
	c, b, k := &s.model.config, &s.buffers, &s.task
	t, g, group := part/len(k.kv.keys), part%len(k.kv.keys), k.kv.group
	for q := b.q[part*group*c.head : (part+1)*group*c.head]; len(q) > 0; q = q[c.head:] { // heads of a group follow each other
		s.rope.apply(q[:c.head], t)
	}
	key, value := b.k[part*c.head:(part+1)*c.head], b.v[part*c.head:(part+1)*c.head]
	s.rope.apply(key, t)
	k.kv.keys[g].Put(k.position+t, key)
	k.kv.values[g].Put(k.position+t, value)
}

// attendPart does what concerns one key/value head and block of tokens.
func (s *Session) attendPart(worker, part int) {
	c, b, k := &s.model.config, &s.buffers, &s.task
	if k.n == 1 {
		s.rememberPart(worker, part)
	}
	group, kvHeads := k.kv.group, len(k.kv.keys)
	g, block := part/k.blocks, part%k.blocks
	from, to := block*k.n/k.blocks, (block+1)*k.n/k.blocks
	keys, values, q := k.kv.keys[g], k.kv.values[g], &b.queries[worker]
	seen, scores := k.position+to, b.scores[worker] // seen by the last of the tokens
	// Where a token's heads of this group begin, and its scores, then weights, for head i of them.
	first := func(t int) int { return (t*kvHeads + g) * group * c.head }
	weights := func(t, i int) []float32 { return scores[((t-from)*group+i)*seen:][:k.position+t+1] }

	for row := 0; row < seen; row += keys.Near() {
		for t := from; t < to; t++ {
			if end := min(row+keys.Near(), k.position+t+1); row < end {
				q.Set(b.q[first(t):][:group*c.head], group)
				keys.Mul(scores[(t-from)*group*seen:][:group*seen], seen, q, row, end)
			}
		}
	}
	for t := from; t < to; t++ {
		for i := range group {
			s.model.set.Softmax(weights(t, i), c.attentionScale)
		}
		clear(b.att[first(t):][:group*c.head])
	}
	for row := 0; row < seen; row += values.Near() {
		for t := from; t < to; t++ {
			if end := min(row+values.Near(), k.position+t+1); row < end {
				for i := range group {
					values.Sum(b.att[first(t)+i*c.head:][:c.head], weights(t, i)[row:end], row)
				}
			}
		}
	}
}

// swiglu makes gate = silu(gate) * up.
func (s *Session) swiglu(n int) {
	s.task.n = n
	s.model.pool.run((n+swigluPiece-1)/swigluPiece, n*64, s.jobs.swiglu)
}

const swigluPiece = 1024

func (s *Session) swigluPart(_, i int) {
	from, to := i*swigluPiece, min((i+1)*swigluPiece, s.task.n)
	s.model.set.SwiGLU(s.buffers.gate[from:to], s.buffers.up[from:to])
}

// prepare brings the n vectors in x into a form.
func (s *Session) prepare(x []float32, n int, form kernel.Form, cols int) *kernel.Activations {
	a := s.activations(form, cols)
	a.Alone = n <= maxDraft+1 // drafting must not change an answer
	a.Hold(x, n)
	s.task.prepared = a
	s.model.pool.run(n, n*cols*16, s.jobs.prepare)
	return a
}

func (s *Session) preparePart(_, t int) { s.task.prepared.Prepare(t, t+1) }

// product is a matrix and where its results go: y[t*Rows+row] for vector t.
type product struct {
	m *kernel.Matrix
	y []float32
}

// mul multiplies the n vectors in x with several matrices at once.
func (s *Session) mul(x []float32, n int, products ...product) {
	k := &s.task
	k.products = append(k.products[:0], products...)
	if s.model.stream != nil {
		rest := s.mulStreamed(x, n, k.products)
		if k.products = append(k.products[:0], rest...); len(rest) == 0 {
			return
		}
	}
	cols := k.products[0].m.Cols
	k.activations = [3]*kernel.Activations{}
	work, rows := 0, 0
	for _, p := range k.products {
		form := kernel.FormOf(p.m.Type)
		if k.activations[form] == nil {
			k.activations[form] = s.prepare(x, n, form, cols)
		}
		work += p.m.Bytes() * n
		rows += p.m.Rows
	}
	// Rows are handed out in pieces, small enough to even out threads that
	// are held up and large enough that handing out costs nothing.
	k.piece = max(16, (rows/(s.model.pool.threads*8)+15)&^15)
	parts := 0
	for _, p := range k.products {
		parts += (p.m.Rows + k.piece - 1) / k.piece
	}
	s.model.pool.run(parts, work, s.jobs.mul)
}

func (s *Session) mulPart(_, part int) {
	k := &s.task
	for _, p := range k.products {
		pieces := (p.m.Rows + k.piece - 1) / k.piece
		if part < pieces {
			p.m.Mul(p.y, p.m.Rows, k.activations[kernel.FormOf(p.m.Type)], part*k.piece, min((part+1)*k.piece, p.m.Rows))
			return
		}
		part -= pieces
	}
}
