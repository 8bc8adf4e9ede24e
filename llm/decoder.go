package llm

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// The graph of models that continue texts, front to back. Notation for the shapes in the comments:
//
//	n  tokens computed together        d  embedding length
//	h  query heads                     g  key/value heads, each shared by h/g query heads
//	e  length of a head                f  feed-forward length
//
// h, g, e and f may differ from layer to layer; the buffers have room for the
// largest.
//
// The invariant between calls: rows [0, len(tokens)) of every keys and values
// table belong to tokens, computed at their positions; rows beyond are
// rubbish. So a session is shortened by shortening tokens, and a computation
// that is broken off leaves nothing behind. Recurrent layers are otherwise:
// see recurrent.go.

// layer is the weights of one transformer block. What a family does not have is nil.
type layer struct {
	*layerShape

	attnNorm       []float32      // d
	wq, wk, wv, wo *kernel.Matrix // h*e x d (twice as many with gates), g*e x d, g*e x d, d x h*e
	adjustment                    // of queries, keys and values
	bo             []float32      // d, added to what wo gives
	sinks          []float32      // h: scores of looking at nothing
	afterNorm      []float32      // d
	latent         *latent        // of latent attention
	recurrent      *recurrent     // of the other mixers

	ffnNorm      []float32 // d
	dense                  // without gate if all are experts
	experts      *experts
	afterFFNNorm []float32 // d

	own         *ownInput // of the layer
	outputScale []float32 // 1: times all, at last
}

// dense is a gated feed-forward network: down(silu(gate(x)) * up(x)).
type dense struct {
	gate, up, down             *kernel.Matrix // f x d, f x d, d x f
	gateBias, upBias, downBias []float32      // f, f, d
}

// ownInput is what a layer gets of each token by itself, beside what the layers before made of
// it: proj(gelu(gate(x)) * input), normed.
type ownInput struct {
	gate, proj *kernel.Matrix // p x d, d x p
	norm       []float32      // d
}

// decoder is the weights of a model that continues texts.
type decoder struct {
	tokenEmbedding *kernel.Matrix // vocabulary x d
	layers         []layer
	outputNorm     []float32      // d
	output         *kernel.Matrix // vocabulary x d; the embedding again if tied
	ropeFactors    []float32      // of each pair of a head, or nil
	longFactors    []float32      // the same for contexts longer than the original one, or nil
	guesses        *guessBlock    // or nil

	ownTokens *kernel.Matrix // vocabulary x layers*p, or nil
	ownModel  *kernel.Matrix // layers*p x d
	ownNorm   []float32      // p
}

// newDecoder completes an architecture whose graph is the decoder: RMS norm, attention with
// RoPE or another mixer, and a gated feed-forward network, each added to its input. A family may
// have more tensors in a layer.
func newDecoder(a architecture) *architecture {
	a.epsilon = "attention.layer_norm_rms_epsilon"
	a.outputNorm = cmp.Or(a.outputNorm, "output_norm")
	a.norms = cmp.Or(a.norms, norms{mixer: "attn_norm", feedForward: "ffn_norm"})
	a.fits = !a.embeds
	a.tensors, a.bind = decoderTensors, func(b *binder) {
		if b.model.config.embeds {
			bindPooled(b)
		} else {
			bindDecoder(b)
		}
	}
	return &a
}

// cutMatrices are the matrices of a layer in the order in which a pass uses them. They may be
// streamed from the drive.
var cutMatrices = []string{
	"attn_qkv", "attn_q", "attn_k", "attn_v", "attn_gate", "attn_output", "shortconv.in_proj", "shortconv.out_proj", "ssm_in", "ssm_out",
	"ffn_gate", "ffn_up", "ffn_down", "inp_gate", "proj",
}

// borders are the rows where a matrix of a layer, which stands for several, is divided.
func (c *config) borders(i int, name string) []int {
	l := &c.layer[i]
	switch {
	case name == "attn_qkv" && l.mixer == attention:
		return []int{l.heads * l.head, (l.heads + l.kvHeads) * l.head}
	case name == "ffn_up" && c.arch.fused:
		return []int{l.feedForward}
	}
	return nil
}

// decoderTensors lists the tensors of a decoder.
func decoderTensors(c *config, f *gguf.File) map[string]shape {
	a, d := c.arch, c.embedding
	s := map[string]shape{"token_embd.weight": {c.vocabulary, d}, a.outputNorm + ".weight": {0, d}}
	optional := func(name string, shape shape) {
		if _, ok := f.Tensor(name); ok {
			s[name] = shape
		}
	}
	optional("output.weight", shape{c.vocabulary, d})
	for _, name := range []string{"rope_freqs", "rope_factors_long", "rope_factors_short"} {
		optional(name+".weight", shape{0, c.ropes[0].rotated / 2})
	}
	if c.pooling == poolRank {
		for name, shape := range rankTensors(c, f) {
			s[name] = shape
		}
	}
	width := d
	for _, name := range a.dense {
		featuresOut, _ := f.Uint(a.name + "." + name + "_feat_out")
		out := int(min(featuresOut, 1<<20))
		if out > 0 {
			optional(name+".weight", shape{out, width})
			width = out
		}
	}
	if p := c.perLayer * (c.layers); p > 0 {
		s["per_layer_token_embd.weight"], s["per_layer_model_proj.weight"] = shape{c.vocabulary, p}, shape{p, d}
		s["per_layer_proj_norm.weight"] = shape{0, c.perLayer}
	}
	blocks := c.layers
	if guesses := c.guessTensors(f); guesses != nil {
		blocks++
		for name, shape := range guesses {
			s[name] = shape
		}
	}
	for i := range blocks {
		l := &c.layer[i]
		part := partOf(i)
		has := func(name string) bool { _, ok := f.Tensor(part(name)); return ok }
		list := map[string]shape{}
		for _, name := range []string{a.norms.mixer, a.norms.afterMixer, a.norms.feedForward, a.norms.afterFeedForward} {
			if name != "" {
				list[name+".weight"] = shape{0, d}
			}
		}
		q, kv, ff := l.heads*l.head, l.kvHeads*l.head, l.feedForward
		switch {
		case l.mixer == attention || l.mixer == gatedAttention:
			list["attn_output.weight"] = shape{d, q}
			wide := q
			if l.mixer == gatedAttention {
				wide = 2 * q
			}
			if l.source != i {
				list["attn_q.weight"] = shape{wide, d}
			} else if l.mixer == attention && has("attn_qkv.weight") {
				list["attn_qkv.weight"] = shape{wide + 2*kv, d}
				if has("attn_qkv.bias") {
					list["attn_qkv.bias"] = shape{0, wide + 2*kv}
				}
			} else {
				list["attn_q.weight"], list["attn_k.weight"], list["attn_v.weight"] = shape{wide, d}, shape{kv, d}, shape{kv, d}
			}
			if a.headNorms || a.wholeNorms {
				qn, kn := l.head, l.head
				if a.wholeNorms {
					qn, kn = q, kv
				}
				list["attn_q_norm.weight"] = shape{0, qn}
				if l.source == i {
					list["attn_k_norm.weight"] = shape{0, kn}
				}
			}
			if a.sinks {
				list["attn_sinks.weight"] = shape{0, l.heads}
			}
			for name, n := range map[string]int{"attn_q.bias": wide, "attn_k.bias": kv, "attn_v.bias": kv, "attn_output.bias": d} {
				if has(name) {
					list[name] = shape{0, n}
				}
			}
		case l.mixer == latentAttention:
			c.latentTensors(list, l, has)
		default:
			c.recurrent.tensors(list, l, c)
		}
		switch {
		case l.mixed:
			c.experts.tensors(list, c, has)
		case a.fused:
			list["ffn_up.weight"], list["ffn_down.weight"] = shape{2 * ff, d}, shape{d, ff}
		default:
			list["ffn_gate.weight"], list["ffn_up.weight"], list["ffn_down.weight"] = shape{ff, d}, shape{ff, d}, shape{d, ff}
			for name, n := range map[string]int{"ffn_gate.bias": ff, "ffn_up.bias": ff, "ffn_down.bias": d} {
				if has(name) {
					list[name] = shape{0, n}
				}
			}
		}
		if a.layer != nil {
			for name, shape := range a.layer(c, i, has) {
				list[name] = shape
			}
		}
		for name, size := range list {
			if size == (shape{}) {
				continue // a family does without it
			}
			s[part(name)] = size
			for _, more := range []string{".scale", ".input_scale"} {
				more = strings.TrimSuffix(name, ".weight") + more
				// Of stacks only those of experts have scales that are known here.
				applied := size[0] > 0 && !strings.Contains(name, "conv") && (size[2] == 0 || strings.HasSuffix(name, "_exps.weight"))
				if _, known := list[more]; !known && applied && has(more) {
					s[part(more)] = shape{0, max(1, size[2])}
				}
			}
		}
	}
	return s
}

// bindDecoder gives the model a decoder, each layer as soon as it is in memory.
func bindDecoder(b *binder) {
	m, c := b.model, &b.model.config
	g := &decoder{layers: make([]layer, c.layers)}
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
		b.layer(i, &g.layers[i])
		b.wait(b.last)
		b.repack(g.layers[i].products()...)
	}
	b.wait(outputEnd)
	if !repacked {
		b.repack(g.output)
	}
	var last *experts
	for i := range g.layers {
		if l := &g.layers[i]; l.experts != nil {
			if last != nil {
				last.next, last.nextNorm = l.experts, l.ffnNorm
				if l.experts.routerNorm != nil {
					last.nextNorm = l.experts.routerNorm
				}
			}
			last = l.experts
		}
	}
	g.outputNorm = b.vector(c.arch.outputNorm + ".weight")
	g.ropeFactors, g.longFactors = b.factors("rope_freqs.weight"), b.factors("rope_factors_long.weight")
	if g.ropeFactors == nil {
		g.ropeFactors = b.factors("rope_factors_short.weight")
	}
	g.guesses = b.guessBlock()
	if c.perLayer > 0 {
		g.ownTokens, g.ownModel, g.ownNorm = b.matrix("per_layer_token_embd.weight"), b.matrix("per_layer_model_proj.weight"), b.vector("per_layer_proj_norm.weight")
		b.wait(b.last)
		b.repack(g.ownModel)
	}
}

// bindPooled gives the model an encoder made of a decoder's layers.
func bindPooled(b *binder) {
	m := b.model
	c := &m.config
	b.wait(m.end())
	e := b.newEncoder()
	e.rms, e.causal = true, !c.arch.embeds
	e.finalNorm, e.factors = b.vector(c.arch.outputNorm+".weight"), b.factors("rope_freqs.weight")
	zero := func(v []float32, n int) []float32 {
		if v == nil {
			return make([]float32, n)
		}
		return v
	}
	for i := range c.layers {
		var l layer
		b.layer(i, &l)
		e.layers = append(e.layers, encoderLayer{
			layerShape: l.layerShape,
			wq:         l.wq, wk: l.wk, wv: l.wv, wo: l.wo, adjustment: l.adjustment, bo: zero(l.bo, c.embedding),
			before: l.attnNorm, after: l.afterNorm, beforeFFN: l.ffnNorm, afterFFN: l.afterFFNNorm,
			gate: l.gate, up: l.up, down: l.down, gateB: l.gateBias, upB: zero(l.upBias, l.feedForward), downB: zero(l.downBias, c.embedding),
		})
	}
	for _, name := range c.arch.dense {
		if w := b.matrix(name + ".weight"); w != nil {
			e.dense = append(e.dense, w)
		}
	}
	m.encoder = e
}

// factors is a vector of factors of RoPE.
func (b *binder) factors(name string) []float32 {
	v := b.vector(name)
	for _, f := range v {
		if b.err == nil && (!(f > 0) || math.IsInf(float64(f), 0)) {
			b.err = fmt.Errorf("tensor %q holds the impossible factor %v: the file is damaged", name, f)
		}
	}
	return v
}

// layer binds layer i.
func (b *binder) layer(i int, l *layer) {
	c := &b.model.config
	part := partOf(i)
	vector := func(name string) []float32 { return b.vector(part(name)) }
	matrix := func(name string) *kernel.Matrix { return b.matrix(part(name + ".weight")) }
	norm := func(name string) []float32 {
		if name == "" {
			return nil
		}
		return vector(name + ".weight")
	}
	n := &c.arch.norms
	*l = layer{
		layerShape: &c.layer[i],
		attnNorm:   norm(n.mixer), afterNorm: norm(n.afterMixer), ffnNorm: norm(n.feedForward), afterFFNNorm: norm(n.afterFeedForward),
		adjustment: adjustment{
			bq: vector("attn_q.bias"), bk: vector("attn_k.bias"), bv: vector("attn_v.bias"),
			qNorm: vector("attn_q_norm.weight"), kNorm: vector("attn_k_norm.weight"),
		},
		bo: vector("attn_output.bias"), sinks: vector("attn_sinks.weight"),
		outputScale: vector("layer_output_scale.weight"),
	}
	switch l.mixer {
	case attention, gatedAttention:
		l.wo = matrix("attn_output")
		if borders := c.borders(i, "attn_qkv"); borders != nil && b.has(part("attn_qkv.weight")) {
			q, k := borders[0], borders[1]
			name, end := part("attn_qkv.weight"), k+l.kvHeads*l.head
			l.wq, l.wk, l.wv = b.rows(name, 0, q), b.rows(name, q, k), b.rows(name, k, end)
			if bias := vector("attn_qkv.bias"); bias != nil {
				l.bq, l.bk, l.bv = bias[:q], bias[q:k], bias[k:end]
			}
		} else {
			l.wq, l.wk, l.wv = matrix("attn_q"), matrix("attn_k"), matrix("attn_v")
		}
	case latentAttention:
		l.wo = matrix("attn_output")
		l.latent = b.latent(i, l)
	default:
		l.recurrent = b.recurrent(i, l)
	}
	switch f := l.feedForward; {
	case c.arch.fused:
		l.gate, l.up, l.down = b.rows(part("ffn_up.weight"), 0, f), b.rows(part("ffn_up.weight"), f, 2*f), matrix("ffn_down")
	default:
		l.dense = dense{
			gate: matrix("ffn_gate"), up: matrix("ffn_up"), down: matrix("ffn_down"),
			gateBias: vector("ffn_gate.bias"), upBias: vector("ffn_up.bias"), downBias: vector("ffn_down.bias"),
		}
	}
	if l.mixed {
		l.experts = b.experts(i)
	}
	if c.perLayer > 0 {
		l.own = &ownInput{matrix("inp_gate"), matrix("proj"), vector("post_norm.weight")}
	}
	if c.arch.bindLayer != nil {
		c.arch.bindLayer(b, i, l)
	}
}

// partOf names the tensors of layer i.
func partOf(i int) func(name string) string {
	return func(name string) string { return fmt.Sprintf("blk.%d.%s", i, name) }
}

func (b *binder) has(name string) bool {
	_, ok := b.model.file.Tensor(name)
	return ok
}

// products are the matrices that each token is multiplied with, but those of experts that are not
// in memory, in the order of the file's use.
func (l *layer) products() (all []*kernel.Matrix) {
	list := []*kernel.Matrix{l.wq, l.wk, l.wv, l.wo, l.gate, l.up, l.down}
	if l.latent != nil {
		list = append(list, l.latent.products()...)
	}
	if l.recurrent != nil {
		list = append(list, l.recurrent.in, l.recurrent.gate, l.recurrent.beta, l.recurrent.alpha, l.recurrent.out)
	}
	if l.own != nil {
		list = append(list, l.own.gate, l.own.proj)
	}
	if e := l.experts; e != nil {
		list = append(list, e.router, e.shared.gate, e.shared.up, e.shared.down)
		for _, x := range e.each {
			list = append(list, x.gate, x.up, x.down)
		}
	}
	for _, w := range list {
		if w != nil {
			all = append(all, w)
		}
	}
	return all
}

// cache is what one layer remembers: for each key/value head a table of one
// row for each position.
type cache struct {
	keys, values []*kernel.Rows       // g tables of e columns
	group        int                  // h/g
	queries      []kernel.Activations // of each thread: those of a group
	memory       *memory              // of a recurrent layer
	first        int                  // the first row of use
}

// cacheOf is what layer i remembers, or the block that only guesses.
func (s *Session) cacheOf(i int) *cache {
	if i == len(s.caches) {
		return &s.guesser.cache
	}
	return &s.caches[i]
}

// forward computes ids at the positions after s.tokens and appends them. The
// logits of the last rows of them, one after another, are left in s.logits.
func (s *Session) forward(ctx context.Context, ids []int32, rows int) error {
	m, c, b := s.model, &s.model.config, &s.buffers
	g, n, position := m.decoder, len(ids), len(s.tokens)
	x, h := b.x[:n*c.embedding], b.h[:n*c.embedding] // n x d

	m.weights.begin(ctx, rows > 0)
	if s.guesser != nil {
		if err := s.guesser.follow(ids[0], n); err != nil {
			return err
		}
	}
	s.failure, s.together = nil, n
	if err := m.embed(g.tokenEmbedding, x, ids); err != nil {
		return err
	}
	s.scaleBy(x, c.embeddingScale)
	for i := range s.ropes {
		s.ropes[i].prepare(position, n)
	}
	if g.ownTokens != nil {
		if err := s.prepareOwn(x, ids, n); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.beginPass(n)

	for i := range g.layers {
		if s.failure != nil {
			return s.failure
		}
		// What recurrent layers remember is lost in a pass that is broken off: a short one goes
		// on to its end.
		if err := ctx.Err(); err != nil && (c.recurrent.taps == 0 || n > MaxDraft+1) {
			return err
		}
		s.computeBlock(&g.layers[i], i, position, n)
	}

	if rows > 0 {
		last := x[(n-rows)*c.embedding:]
		s.norm(h, last, g.outputNorm, rows)
		s.mul(h, rows, product{g.output, s.logits})
		s.finishLogits(s.logits[:rows*c.vocabulary])
	}
	if s.failure != nil {
		return s.failure
	}
	if s.guesser != nil {
		s.guesser.keep(x, n)
	}
	s.tokens = append(s.tokens, ids...)
	s.endPass(n)
	return nil
}

// finishLogits scales and bounds logits, where a family does.
func (s *Session) finishLogits(y []float32) {
	c := &s.model.config
	s.scaleBy(y, c.logitScale)
	if c.logitCap != 0 {
		s.task.y = y
		s.model.pool.run((len(y)+capPiece-1)/capPiece, len(y)*64, s.jobs.cap)
	}
}

// capPiece is how many logits are bounded at a time.
const capPiece = 4096

func (s *Session) capPart(_, part int) {
	y := s.task.y[part*capPiece:]
	kernel.Cap(y[:min(capPiece, len(y))], 1, s.model.config.logitCap)
}

// scaleBy makes x = x*f, if f is not 0.
func (s *Session) scaleBy(x []float32, f float32) {
	if f != 0 && f != 1 {
		s.model.set.Scale(x, f)
	}
}

// computeBlock computes layer i of n tokens at position in the buffer x.
func (s *Session) computeBlock(l *layer, i, position, n int) {
	c, b := &s.model.config, &s.buffers
	d := c.embedding
	x, h := b.x[:n*d], b.h[:n*d]

	// The mixer: every token looks at itself and at those before it.
	s.normOrCopy(h, x, l.attnNorm, n)
	switch l.mixer {
	case attention:
		s.project(l, h, b.q, n)
		s.attend(l, i, position, n)
		s.mul(b.att, n, product{l.wo, h})
		s.addBias(h, l.bo, n)
	case gatedAttention:
		s.project(l, h, b.wide, n)
		s.attend(l, i, position, n)
		s.gateHeads(l, n)
		s.mul(b.att, n, product{l.wo, h})
		s.addBias(h, l.bo, n)
	case latentAttention:
		s.attendLatent(l, i, position, n)
	default:
		s.recur(l, s.caches[i].memory, n)
	}
	s.add(x, h, l.afterNorm, n)

	// Feed forward.
	s.normOrCopy(h, x, l.ffnNorm, n)
	if l.experts != nil {
		s.mix(l, i, n)
	} else {
		s.feedForward(&l.dense, h, h, n)
	}
	s.add(x, h, l.afterFFNNorm, n)

	if l.own != nil {
		s.addOwn(l, i, n)
	}
	if l.outputScale != nil {
		s.scaleBy(x, l.outputScale[0])
	}
}

// project makes the queries, which go to q first, the keys and the values of n tokens.
func (s *Session) project(l *layer, h, q []float32, n int) {
	b := &s.buffers
	switch {
	case l.wk == nil: // another layer's serve
		s.mul(h, n, product{l.wq, q})
	case l.wv == nil: // keys are values as well
		s.mul(h, n, product{l.wq, q}, product{l.wk, b.k})
		copy(b.v[:n*l.wk.Rows], b.k)
	default:
		s.mul(h, n, product{l.wq, q}, product{l.wk, b.k}, product{l.wv, b.v})
	}
	if l.mixer == gatedAttention { // a head's gate follows its query
		if l.bq != nil {
			s.addBias(q, l.bq, n)
		}
		for i := range n * l.heads {
			copy(b.q[i*l.head:][:l.head], q[2*i*l.head:])
		}
	}
	s.adjust(l, n)
}

// gateHeads multiplies what attention gave with sigmoid of the gates.
func (s *Session) gateHeads(l *layer, n int) {
	b := &s.buffers
	for i := range n * l.heads {
		gate := b.wide[(2*i+1)*l.head:][:l.head]
		for j, v := range b.att[i*l.head:][:l.head] {
			b.att[i*l.head+j] = v / (1 + kernel.Exp(-gate[j]))
		}
	}
}

// normOrCopy is norm, or nothing but a copy where a family has none there.
func (s *Session) normOrCopy(y, x, w []float32, n int) {
	if w == nil {
		copy(y, x)
		return
	}
	s.norm(y, x, w, n)
}

// add adds to x what a sub-layer made, normed and scaled where a family does.
func (s *Session) add(x, h, norm []float32, n int) {
	if norm != nil {
		s.norm(h, h, norm, n)
	}
	s.scaleBy(h, s.model.config.residualScale)
	s.model.set.Add(x, h)
}

// feedForward makes y = down(activation(gate(x)) * up(x)) of n tokens. x and y may be the same.
func (s *Session) feedForward(w *dense, x, y []float32, n int) {
	b := &s.buffers
	s.mul(x, n, product{w.gate, b.gate}, product{w.up, b.up})
	s.addBias(b.gate, w.gateBias, n)
	s.addBias(b.up, w.upBias, n)
	s.activate(n * w.gate.Rows)
	s.mul(b.gate, n, product{w.down, y})
	s.addBias(y, w.downBias, n)
}

// prepareOwn makes what each layer gets of each token by itself, from its row in a table of its
// own and from its embedding x.
func (s *Session) prepareOwn(x []float32, ids []int32, n int) error {
	c, b, g := &s.model.config, &s.buffers, s.model.decoder
	p := g.ownModel.Rows
	rows, own := b.ownRows[:n*p], b.own[:n*p]
	if err := s.model.weights.rows(g.ownTokens, rows, ids); err != nil {
		return err
	}
	s.mul(x, n, product{g.ownModel, own})
	// norm(own/sqrt(d)), plus rows*sqrt(p), both divided by sqrt(2)
	s.scaleBy(own, float32(1/math.Sqrt(float64(c.embedding))))
	s.norm(own, own, g.ownNorm, len(own)/c.perLayer)
	s.scaleBy(rows, float32(math.Sqrt(float64(c.perLayer))))
	s.model.set.Add(own, rows)
	s.scaleBy(own, float32(1/math.Sqrt2))
	return nil
}

// addOwn adds what layer i makes of a token's own input.
func (s *Session) addOwn(l *layer, i, n int) {
	c, b := &s.model.config, &s.buffers
	p, d := c.perLayer, c.embedding
	x, h := b.x[:n*d], b.h[:n*d]
	s.mul(x, n, product{l.own.gate, b.gate})
	s.model.set.Gelu(b.gate[:n*p])
	for t := range n {
		s.model.set.Multiply(b.gate[t*p:(t+1)*p], b.own[(t*c.layers+i)*p:])
	}
	s.mul(b.gate[:n*p], n, product{l.own.proj, h})
	s.norm(h, h, l.own.norm, n)
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
	own         bool // the layer has keys and values of its own
	position, n int  // n: tokens, or numbers to activate
	blocks      int  // of tokens that attend together, which differ in size by one at most
	pieces      int  // of a head that threads share
	prepared    *kernel.Activations
	products    []product
	activations [3]*kernel.Activations // of x, in each form that is needed
	piece       int                    // rows of a part

	rotated, straight []product // of matrices that are rotated, and of others
	turn              *rotation // that vectors of cols numbers go through, from from to turned
	from, turned      []float32
	cols              int

	memory *memory
	few    bool // the pass is of a few tokens, and can be rewound
}

// jobs are the session's methods that do a part of a step.
type jobs struct {
	norm, adjust, remember, attend, score, weigh, sum, activate, prepare, mul, turn, experts, prepareExperts, convolve, recur, finish, cap func(worker, part int)
}

func (s *Session) bindJobs() {
	s.jobs = jobs{
		s.normPart, s.adjustPart, s.rememberPart, s.attendPart, s.scorePart, s.weighPart, s.sumPart,
		s.activatePart, s.preparePart, s.mulPart, s.turnPart,
		s.expertsPart, s.prepareExpertsPart, s.convolvePart, s.recurPart, s.finishPart, s.capPart,
	}
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
// computes, for each token and head, the sum of all values it sees, weighted by
// softmax(query*key*scale). The query heads that share keys and values go
// together, and so does a block of tokens, so that keys and values are read once.
func (s *Session) attend(l *layer, i, position, n int) {
	kv := s.cacheOf(i)
	threads, kvHeads := s.model.pool.threads, len(kv.keys)
	s.task.layer, s.task.kv, s.task.own, s.task.position, s.task.n = l, kv, l.source == i, position, n
	seen := position + n
	if l.window > 0 {
		seen = min(seen, l.window+n)
	}
	work, rotating := n*seen*kvHeads*l.head*4, n*kvHeads*kv.group*l.head*16
	if n == 1 && s.apart(l, kv, seen) {
		s.attendApart(rotating, work)
		return
	}
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
	b, k := &s.buffers, &s.task
	l := k.layer
	t, g, group := part/len(k.kv.keys), part%len(k.kv.keys), k.kv.group
	queries := b.q[part*group*l.head : (part+1)*group*l.head] // heads of a group follow each other
	key, value := b.k[part*l.head:(part+1)*l.head], b.v[part*l.value:(part+1)*l.value]
	if l.rope >= 0 {
		for q := queries; len(q) > 0; q = q[l.head:] {
			s.ropes[l.rope].apply(q[:l.head], t)
		}
		if k.own {
			s.ropes[l.rope].apply(key, t)
		}
	}
	if c := &s.model.config; c.temperature != 0 {
		f := 1 + c.temperature*math.Log(math.Floor(float64(k.position+t)/c.temperatureFrom)+1)
		s.scaleBy(queries, float32(f))
	}
	if k.own {
		k.kv.keys[g].Put(k.position+t, key)
		k.kv.values[g].Put(k.position+t, value)
	}
}

// attendRows is how many positions are attended to at once: their scores stay in the first-level cache, or in the second one if
// many tokens look together.
var attendRows = 512

// together is how many tokens look at a head's keys and values together at most.
const together = 8

// attending is what a thread attends with: for each token and head of a group.
type attending struct {
	scores  []float32 // attendRows of each
	softmax []kernel.Softmax
	keys    kernel.Rows // from the first of these positions on
}

// attendPart does what concerns one key/value head and block of tokens: for some positions at a time scores, weights by
// what the largest score has been so far, and the values' sum. So scores needn't go to memory and back, which has enough to do.
func (s *Session) attendPart(worker, part int) {
	b, k := &s.buffers, &s.task
	if k.n == 1 {
		s.rememberPart(worker, part)
	}
	l, set := k.layer, s.model.set
	group, kvHeads, head := k.kv.group, len(k.kv.keys), l.head
	g, block := part/k.blocks, part%k.blocks
	from, to := block*k.n/k.blocks, (block+1)*k.n/k.blocks
	keys, values, q := k.kv.keys[g], k.kv.values[g], &k.kv.queries[worker]
	w := &b.attending[worker]
	// Where a token's heads of this group begin, and the first position that it sees.
	first := func(t int) int { return (t*kvHeads + g) * group }
	begin := func(t int) int {
		if l.window == 0 {
			return k.kv.first
		}
		return max(k.kv.first, k.position+t+1-l.window)
	}
	for t := from; t < to; t++ {
		clear(b.att[first(t)*l.value:][:group*l.value])
		for i := range group {
			w.softmax[(t-from)*group+i] = s.beginSoftmax(g*group + i)
		}
	}
	// Rows are divided always at the same places, so that a token's bits do not depend on
	// what else is computed.
	nearKeys, nearValues := keys.Near(), values.Near()
	if to-from == 1 {
		q.Set(b.q[first(from)*head:][:group*head], group)
		if group <= 4 { // they are passed over once
			nearKeys = attendRows
		}
	}
	for row := begin(from) / attendRows * attendRows; row < k.position+to; row += attendRows {
		keys.From(&w.keys, row)
		sees := func(t, from, to int) (int, int) { return max(from, begin(t)), min(to, row+attendRows, k.position+t+1) }
		for at := row; at < row+attendRows; at += nearKeys {
			for t := from; t < to; t++ {
				if at, end := sees(t, at, at+nearKeys); at < end {
					if to-from > 1 {
						q.Set(b.q[first(t)*head:][:group*head], group)
					}
					w.keys.Mul(w.scores[(t-from)*group*attendRows:][:group*attendRows], attendRows, q, at-row, end-row)
				}
			}
		}
		for t := from; t < to; t++ {
			at, end := sees(t, row, row+attendRows)
			for i := range group {
				if at < end {
					j := (t-from)*group + i
					var next []byte
					if to-from == 1 {
						next = values.Next(at)
						next = next[min(i*8*(end-at), len(next)):]
					}
					factor := s.weigh(&w.softmax[j], w.scores[j*attendRows:][at-row:end-row], next)
					set.Scale(b.att[(first(t)+i)*l.value:][:l.value], factor)
				}
			}
		}
		for at := row; at < row+attendRows; at += nearValues {
			for t := from; t < to; t++ {
				if at, end := sees(t, at, at+nearValues); at < end {
					values.Sum(b.att[first(t)*l.value:][:group*l.value], group, w.scores[(t-from)*group*attendRows+at-row:], attendRows, at, end-at)
				}
			}
		}
	}
	for t := from; t < to; t++ {
		for i := range group {
			set.Scale(b.att[(first(t)+i)*l.value:][:l.value], w.softmax[(t-from)*group+i].Inverse())
		}
	}
}

// beginSoftmax is the softmax of one of the layer's heads before any score.
func (s *Session) beginSoftmax(head int) kernel.Softmax {
	l := s.task.layer
	if l.sinks == nil {
		return kernel.Softmax{}
	}
	scale := l.scale
	if s.model.config.scoreCap != 0 {
		scale = 1
	}
	return kernel.Softmax{Largest: l.sinks[head] / scale, Sum: 1} // a score for which there is no value
}

// weigh makes weights of some scores that a token has with one of the layer's heads, and returns the factor that is
// due to what has been made of others. next is what is read afterwards.
func (s *Session) weigh(f *kernel.Softmax, w []float32, next []byte) float32 {
	scale := s.task.layer.scale
	if limit := s.model.config.scoreCap; limit != 0 {
		kernel.Cap(w, scale, limit)
		scale = 1
	}
	return s.model.set.SoftmaxPart(f, w, scale, next)
}

// activate makes gate = activation(gate) * up.
func (s *Session) activate(n int) {
	s.task.n = n
	s.model.pool.run((n+activatePiece-1)/activatePiece, n*64, s.jobs.activate)
}

const activatePiece = 1024

func (s *Session) activatePart(_, i int) {
	from, to := i*activatePiece, min((i+1)*activatePiece, s.task.n)
	s.activateRow(s.buffers.gate[from:to], s.buffers.up[from:to])
}

func (s *Session) activateRow(gate, up []float32) {
	switch s.model.config.activation {
	case silu:
		s.model.set.SwiGLU(gate, up)
	case gelu:
		s.model.set.Gelu(gate)
		s.model.set.Multiply(gate, up)
	case clamped:
		for i, g := range gate {
			g = min(g, 7)
			gate[i] = g / (1 + kernel.Exp(-1.702*g)) * (max(-7, min(7, up[i])) + 1)
		}
	}
}

// prepare brings the n vectors in x into a form.
func (s *Session) prepare(x []float32, n int, form kernel.Form, cols int) *kernel.Activations {
	a := s.activations(form, cols)
	a.Alone = n <= MaxDraft+1 || s.together <= MaxDraft+1 // drafting must not change an answer
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

// mostPiece is about how many bytes of weights threads take at a time at most for one vector: who is done first waits for as long as
// a piece takes. Less would not pay, because where a piece begins nothing has been fetched ahead.
var mostPiece = 512 << 10

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
	k.piece = max(32, (rows/(s.model.pool.threads*8)+31)&^31)
	if n == 1 && s.model.pool.threads > 1 {
		k.piece = max(32, min(k.piece, rows*mostPiece/work&^31))
	}
	parts := 0
	for _, p := range k.products {
		parts += (p.m.Rows + k.piece - 1) / k.piece
	}
	s.model.pool.run(parts, work, s.jobs.mul)
}

// mulFine is mul with one matrix, whose vectors are rounded to 16 bits where its type has them rounded to
// 8: what rounding left of each is rounded and multiplied as well. That is for vectors of which a few
// numbers are so much larger than the others that these would be lost. The weights are read but once.
func (s *Session) mulFine(x []float32, n int, p product) {
	form, cols, rows := kernel.FormOf(p.m.Type), p.m.Cols, p.m.Rows
	if form == kernel.PlainF32 {
		s.mul(x, n, p)
		return
	}
	if f := &s.fine; len(f.x) == 0 {
		f.x, f.y = make([]float32, 2*s.batch*cols), make([]float32, 2*s.batch*rows)
	}
	turned := false
	if r := s.model.rotations; r != nil && r.ofMatrix[p.m] != nil { // what is rounded is what was rotated
		if len(s.fine.turned) == 0 {
			s.fine.turned = make([]float32, s.batch*cols)
		}
		for t := range n {
			r.ofMatrix[p.m].apply(s.fine.turned[t*cols:(t+1)*cols], x[t*cols:(t+1)*cols])
		}
		x, turned = s.fine.turned, true
	}
	a := s.activations(form, cols)
	a.Hold(x, n)
	for t := range n {
		copy(s.fine.x[2*t*cols:(2*t+1)*cols], x[t*cols:])
		a.Prepare(t, t+1)
		a.Rest(s.fine.x[(2*t+1)*cols:(2*t+2)*cols], t)
	}
	if turned {
		s.multiply(s.fine.x, 2*n, product{p.m, s.fine.y})
	} else {
		s.mul(s.fine.x, 2*n, product{p.m, s.fine.y})
	}
	for t := range n {
		y := p.y[t*rows : (t+1)*rows]
		copy(y, s.fine.y[2*t*rows:])
		s.model.set.Add(y, s.fine.y[(2*t+1)*rows:])
	}
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
	bq, bk, bv          []float32 // h*e, g*e, g*e: added
	qNorm, kNorm, vNorm []float32 // e: norms of each head, or of all heads together
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
	q := l.bq
	if l.mixer == gatedAttention { // it was added before
		q = nil
	}
	s.adjustRow(b.q, t, l.heads*l.head, q, l.qNorm)
	if l.wk != nil {
		s.adjustRow(b.k, t, l.kvHeads*l.head, l.bk, l.kNorm)
		s.adjustRow(b.v, t, l.kvHeads*l.head, l.bv, l.vNorm)
	}
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
