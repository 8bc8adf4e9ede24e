package llm

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// The graph of models that continue texts, front to back. Notation for the shapes in the comments:
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
	adjustment                    // of queries, keys and values
	bo             []float32      // d, added to what wo gives; biases may be nil
	ffnNorm        []float32      // d
	gate, up, down *kernel.Matrix // f x d, f x d, d x f

	gateBias, upBias, downBias []float32 // f, f, d
}

// decoder is the weights of a model that continues texts.
type decoder struct {
	tokenEmbedding *kernel.Matrix // vocabulary x d
	layers         []layer
	outputNorm     []float32      // d
	output         *kernel.Matrix // vocabulary x d; the embedding again if tied
	ropeFactors    []float32      // of each pair of a head, or nil
}

// newDecoder completes an architecture whose graph is the decoder: RMS norm, attention with
// RoPE, and a gated feed-forward network, each added to its input. A family may have more
// tensors in a block (layer), or a block of its own made of the steps below.
func newDecoder(a architecture) *architecture {
	a.epsilon = "attention.layer_norm_rms_epsilon"
	a.streamed = []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}
	a.tensors = func(c *config, f *gguf.File) map[string][2]int { return decoderTensors(c, f, a.layer) }
	a.bind = bindDecoder
	if a.block == nil {
		a.block = (*Session).computeBlock
	}
	return &a
}

// decoderTensors lists the tensors of a decoder whose blocks have those of more as well.
func decoderTensors(c *config, f *gguf.File, more func(c *config, l layerShape) map[string][2]int) map[string][2]int {
	d := c.embedding
	s := map[string][2]int{
		"token_embd.weight":  {c.vocabulary, d},
		"output_norm.weight": {0, d},
	}
	if _, ok := f.Tensor("output.weight"); ok {
		s["output.weight"] = [2]int{c.vocabulary, d}
	}
	if _, ok := f.Tensor("rope_freqs.weight"); ok {
		s["rope_freqs.weight"] = [2]int{0, c.rotated / 2}
	}
	for i, l := range c.layer {
		q, kv, ff := l.heads*c.head, l.kvHeads*c.head, l.feedForward
		add := func(name string, shape [2]int) { s[fmt.Sprintf("blk.%d.%s", i, name)] = shape }
		for name, shape := range map[string][2]int{
			"attn_norm": {0, d}, "attn_q": {q, d}, "attn_k": {kv, d}, "attn_v": {kv, d}, "attn_output": {d, q},
			"ffn_norm": {0, d}, "ffn_gate": {ff, d}, "ffn_up": {ff, d}, "ffn_down": {d, ff},
		} {
			add(name+".weight", shape)
		}
		if more != nil {
			for name, shape := range more(c, l) {
				add(name, shape)
			}
		}
		for name, shape := range biases(c, l) {
			if _, ok := f.Tensor(fmt.Sprintf("blk.%d.%s", i, name)); ok {
				add(name, shape)
			}
		}
	}
	return s
}

func headBiases(c *config, l layerShape) map[string][2]int {
	return map[string][2]int{"attn_q.bias": {0, l.heads * c.head}, "attn_k.bias": {0, l.kvHeads * c.head}, "attn_v.bias": {0, l.kvHeads * c.head}}
}

// biases lists those that any file may have: some that call themselves llama
// do, Granite Code and Bielik among them.
func biases(c *config, l layerShape) map[string][2]int {
	s := headBiases(c, l)
	s["attn_output.bias"], s["ffn_down.bias"] = [2]int{0, c.embedding}, [2]int{0, c.embedding}
	s["ffn_gate.bias"], s["ffn_up.bias"] = [2]int{0, l.feedForward}, [2]int{0, l.feedForward}
	return s
}

// bindDecoder gives the model a decoder, each layer as soon as it is in memory.
func bindDecoder(b *binder) {
	m := b.model
	g := &decoder{layers: make([]layer, m.config.layers)}
	m.decoder = g
	g.tokenEmbedding = b.matrix("token_embd.weight")
	if g.output = b.matrix("output.weight"); g.output == nil {
		g.output = g.tokenEmbedding
	}
	outputEnd, repacked := b.last, false
	b.last = 0
	for i := range g.layers {
		if !repacked && outputEnd <= b.there {
			b.repack(g.output)
			repacked = true
		}
		part := func(name string) string { return fmt.Sprintf("blk.%d.%s", i, name) }
		l := &g.layers[i]
		*l = layer{
			adjustment: adjustment{
				bq: b.vector(part("attn_q.bias")), bk: b.vector(part("attn_k.bias")), bv: b.vector(part("attn_v.bias")),
				qNorm: b.vector(part("attn_q_norm.weight")), kNorm: b.vector(part("attn_k_norm.weight")),
			},
			attnNorm: b.vector(part("attn_norm.weight")),
			wq:       b.matrix(part("attn_q.weight")), wk: b.matrix(part("attn_k.weight")), wv: b.matrix(part("attn_v.weight")), wo: b.matrix(part("attn_output.weight")),
			ffnNorm: b.vector(part("ffn_norm.weight")),
			gate:    b.matrix(part("ffn_gate.weight")), up: b.matrix(part("ffn_up.weight")), down: b.matrix(part("ffn_down.weight")),
			bo:       b.vector(part("attn_output.bias")),
			gateBias: b.vector(part("ffn_gate.bias")), upBias: b.vector(part("ffn_up.bias")), downBias: b.vector(part("ffn_down.bias")),
		}
		b.wait(b.last)
		b.repack(l.wq, l.wk, l.wv, l.wo, l.gate, l.up, l.down)
	}
	b.wait(outputEnd)
	if !repacked {
		b.repack(g.output)
	}
	g.outputNorm = b.vector("output_norm.weight")
	g.ropeFactors = b.vector("rope_freqs.weight")
	for _, f := range g.ropeFactors {
		if b.err == nil && (!(f > 0) || math.IsInf(float64(f), 0)) {
			b.err = fmt.Errorf("tensor \"rope_freqs.weight\" holds the impossible factor %v: the file is damaged", f)
		}
	}
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
	g, n, position := m.decoder, len(ids), len(s.tokens)
	x, h := b.x[:n*c.embedding], b.h[:n*c.embedding] // n x d

	s.failure = nil
	m.weights.begin(ctx, rows > 0)
	if err := m.embed(x, ids); err != nil {
		return err
	}
	s.rope.prepare(position, n)

	for i := range g.layers {
		if err := cmp.Or(ctx.Err(), s.failure); err != nil {
			return err
		}
		c.arch.block(s, &g.layers[i], &s.caches[i], position, n)
	}

	if rows > 0 {
		last := x[(n-rows)*c.embedding:]
		s.norm(h, last, g.outputNorm, rows)
		s.mul(h, rows, product{g.output, s.logits})
	}
	if s.failure != nil {
		return s.failure
	}
	s.tokens = append(s.tokens, ids...)
	return nil
}

// computeBlock computes one layer of n tokens at position in the buffer x.
func (s *Session) computeBlock(l *layer, kv *cache, position, n int) {
	b, d := &s.buffers, len(l.attnNorm)
	x, h := b.x[:n*d], b.h[:n*d]

	// Attention: every token looks at itself and at all before it.
	s.norm(h, x, l.attnNorm, n)
	s.mul(h, n, product{l.wq, b.q}, product{l.wk, b.k}, product{l.wv, b.v})
	s.adjust(l, n)
	s.attend(kv, position, n)
	s.mul(b.att, n, product{l.wo, h})
	s.addBias(h, l.bo, n)
	s.model.set.Add(x, h)

	// Feed forward: down(silu(gate(x)) * up(x)).
	s.norm(h, x, l.ffnNorm, n)
	s.mul(h, n, product{l.gate, b.gate}, product{l.up, b.up})
	s.addBias(b.gate, l.gateBias, n)
	s.addBias(b.up, l.upBias, n)
	s.swiglu(n * l.gate.Rows)
	s.mul(b.gate, n, product{l.down, h})
	s.addBias(h, l.downBias, n)
	s.model.set.Add(x, h)
}

// The steps below are divided into parts, which the pool's threads take. What
// the parts of a step need to know is in s.task, and the functions are bound
// once a session, so that a token is computed without allocating memory.

// task is the step at work.
type task struct {
	x, y, w     []float32
	layer       *layer
	kv          *cache
	position, n int // n: tokens, or numbers to swiglu
	blocks      int // of tokens that attend together, which differ in size by one at most
	prepared    *kernel.Activations
	products    []product
	activations [3]*kernel.Activations // of x, in each form that is needed
	piece       int                    // rows of a part

	rotated, straight []product // of matrices that are rotated, and of others
	turn              *rotation // that vectors of cols numbers go through, from from to turned
	from, turned      []float32
	cols              int
}

// jobs are the session's methods that do a part of a step.
type jobs struct {
	norm, adjust, remember, attend, swiglu, prepare, mul, turn func(worker, part int)
}

func (s *Session) bindJobs() {
	s.jobs = jobs{s.normPart, s.adjustPart, s.rememberPart, s.attendPart, s.swigluPart, s.preparePart, s.mulPart, s.turnPart}
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

// attend rotates queries and keys by their positions, stores keys and values, and
// computes, for each token and head, the sum of all values so far, weighted by
// softmax(query*key/sqrt(e)). The query heads that share keys and values go
// together, and so does a block of tokens, so that keys and values are read once.
func (s *Session) attend(kv *cache, position, n int) {
	c, threads, kvHeads := &s.model.config, s.model.pool.threads, len(kv.keys)
	s.task.kv, s.task.position, s.task.n = kv, position, n
	work, rotating := n*(position+n)*kvHeads*c.head*4, n*kvHeads*kv.group*c.head*16
	if n > 1 { // every key must be there before any token looks
		s.model.pool.run(n*kvHeads, rotating, s.jobs.remember)
	} else { // a token alone needs only those of its head: attendPart sees to them
		work += rotating
	}
	s.task.blocks = (n + s.block - 1) / s.block
	if threads > 1 { // two parts for each, if there are so many
		s.task.blocks = max(s.task.blocks, min(n, 2*threads/kvHeads))
	}
	s.model.pool.run(s.task.blocks*kvHeads, work, s.jobs.attend)
}

// rememberPart does what concerns one token and key/value head: it rotates the
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

	near := keys.Near()
	if k.n == 1 && group <= 4 { // they are passed over once
		near *= 16
	}
	for row := 0; row < seen; row += near {
		for t := from; t < to; t++ {
			if end := min(row+near, k.position+t+1); row < end {
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
				values.Sum(b.att[first(t):][:group*c.head], group, scores[(t-from)*group*seen+row:], seen, row, end-row)
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
	a.Alone = n <= MaxDraft+1 // drafting must not change an answer
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

// multiply multiplies the n vectors in x with several matrices at once.
func (s *Session) multiply(x []float32, n int, products ...product) {
	k := &s.task
	k.products = append(k.products[:0], products...)
	rest := s.model.weights.mul(s, x, n, k.products)
	if k.products = append(k.products[:0], rest...); len(rest) == 0 {
		return
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

// adjustment is what a layer does to queries, keys and values before they are
// rotated; each part may be nil.
type adjustment struct {
	bq, bk, bv   []float32 // h*e, g*e, g*e: added
	qNorm, kNorm []float32 // e: norms of each head
}

// adjust applies a layer's adjustment to the queries, keys and values of n
// tokens.
func (s *Session) adjust(l *layer, n int) {
	a := &l.adjustment
	if a.bq == nil && a.bk == nil && a.bv == nil && a.qNorm == nil && a.kNorm == nil {
		return
	}
	s.task.layer = l
	s.model.pool.run(n, n*l.wq.Rows*16, s.jobs.adjust)
}

func (s *Session) adjustPart(_, t int) {
	l, b := s.task.layer, &s.buffers
	s.adjustRow(b.q, t, l.wq.Rows, l.bq, l.qNorm)
	s.adjustRow(b.k, t, l.wk.Rows, l.bk, l.kNorm)
	s.adjustRow(b.v, t, l.wv.Rows, l.bv, nil)
}

func (s *Session) adjustRow(x []float32, t, width int, bias, norm []float32) {
	x = x[t*width : (t+1)*width]
	if bias != nil {
		s.model.set.Add(x, bias)
	}
	for ; norm != nil && len(x) > 0; x = x[len(norm):] {
		s.model.set.RMSNorm(x[:len(norm)], x[:len(norm)], norm, s.model.config.epsilon)
	}
}

// addBias adds a bias, which may be nil, to the results of n tokens in x.
func (s *Session) addBias(x, bias []float32, n int) {
	for t := 0; t < n && bias != nil; t++ {
		s.model.set.Add(x[t*len(bias):(t+1)*len(bias)], bias)
	}
}
