package llm

import (
	"fmt"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// bert is BERT and whoever else builds the same graph, all-MiniLM among them.
var bert = &architecture{
	name: "bert", embeds: true, epsilon: "attention.layer_norm_epsilon", ranks: poolFirst,
	read: readBert, tensors: bertTensors, bind: bindBert,
}

// bertTensors lists all tensors.
func bertTensors(c *config, f *gguf.File) map[string]shape {
	d := c.embedding
	s := map[string]shape{}
	if c.pooling == poolRank {
		s = rankTensors(c, f)
	}
	for name, size := range map[string]shape{
		"token_embd.weight": {c.vocabulary, d}, "position_embd.weight": {c.context, d},
		"token_embd_norm.weight": {0, d}, "token_embd_norm.bias": {0, d},
	} {
		s[name] = size
	}
	if t, ok := f.Tensor("token_types.weight"); ok && len(t.Dims) == 2 && t.Dims[1] <= 16 {
		s["token_types.weight"] = shape{int(t.Dims[1]), d}
	} else {
		s["token_types.weight"] = shape{2, d}
	}
	for i := range c.layers {
		for name, shape := range map[string]shape{
			"attn_q.weight": {d, d}, "attn_k.weight": {d, d}, "attn_v.weight": {d, d}, "attn_output.weight": {d, d},
			"attn_q.bias": {0, d}, "attn_k.bias": {0, d}, "attn_v.bias": {0, d}, "attn_output.bias": {0, d},
			"attn_output_norm.weight": {0, d}, "attn_output_norm.bias": {0, d},
			"ffn_up.weight": {c.feedForward, d}, "ffn_down.weight": {d, c.feedForward},
			"ffn_up.bias": {0, c.feedForward}, "ffn_down.bias": {0, d},
			"layer_output_norm.weight": {0, d}, "layer_output_norm.bias": {0, d},
		} {
			s[fmt.Sprintf("blk.%d.%s", i, name)] = shape
		}
	}
	return s
}

// readBert checks what only bert has in its metadata.
func readBert(c *config, m *metadata) {
	if m.flag("attention.causal", false) {
		m.fail("bert models whose tokens look only back are not supported")
	}
	alikeLayers(c, m)
	if c.pooling == poolLast {
		m.fail("the model's embeddings are pooled in a way (%d) that is not supported for bert; supported are the mean (1), the first token (2) and ranks (4)", c.pooling)
	}
}

// alikeLayers checks that all layers of an encoder have one shape, whose heads make up the embedding.
func alikeLayers(c *config, m *metadata) {
	for _, l := range c.layer {
		if l.heads != c.layer[0].heads || l.feedForward != c.layer[0].feedForward || l.kvHeads != l.heads || l.head*l.heads != c.embedding {
			m.fail("the model's %d heads of %d do not make up its embedding of %d, or its layers differ, which is not supported", l.heads, l.head, c.embedding)
		}
	}
}

// bindBert gives the model its encoder.
func bindBert(b *binder) {
	m := b.model
	b.wait(m.end())
	e := b.newEncoder()
	e.positions = b.matrix("position_embd.weight")
	for i := range m.config.layers {
		e.layers = append(e.layers, b.encoderLayer(i))
	}
	m.encoder = e
}

// newEncoder binds what is outside the layers.
func (b *binder) newEncoder() *encoder {
	m := b.model
	e := &encoder{
		tokens: b.matrix("token_embd.weight"), norm: b.vector("token_embd_norm.weight"), normB: b.vector("token_embd_norm.bias"),
		kind: make([]float32, m.config.embedding), zero: make([]float32, max(m.config.embedding, m.config.head, m.config.gated())), rank: b.rankHead(),
	}
	if kinds := b.matrix("token_types.weight"); kinds != nil && b.err == nil {
		kinds.Row(e.kind, 0)
	}
	if e.norm != nil && e.normB == nil {
		e.normB = e.zero
	}
	return e
}

// encoderLayer binds what any of the encoders has in layer i. Biases that are added anyway are 0.
func (b *binder) encoderLayer(i int) encoderLayer {
	c, part := &b.model.config, partOf(i)
	shape := &c.layer[i]
	matrix, vector := func(name string) *kernel.Matrix { return b.matrix(part(name + ".weight")) }, func(name string) []float32 { return b.vector(part(name)) }
	or0 := func(v []float32, n int) []float32 {
		if v == nil {
			v = make([]float32, n)
		}
		return v
	}
	l := encoderLayer{
		layerShape: shape,
		wq:         matrix("attn_q"), wk: matrix("attn_k"), wv: matrix("attn_v"), wo: matrix("attn_output"),
		adjustment: adjustment{bq: vector("attn_q.bias"), bk: vector("attn_k.bias"), bv: vector("attn_v.bias")},
		bo:         or0(vector("attn_output.bias"), c.embedding),
		attnNorm:   vector("attn_output_norm.weight"), attnNormB: or0(vector("attn_output_norm.bias"), c.embedding),
		gate: matrix("ffn_gate"), up: matrix("ffn_up"), down: matrix("ffn_down"),
		upB: or0(vector("ffn_up.bias"), shape.feedForward), downB: or0(vector("ffn_down.bias"), c.embedding),
		outNorm: vector("layer_output_norm.weight"), outNormB: or0(vector("layer_output_norm.bias"), c.embedding),
	}
	if name := part("attn_qkv.weight"); b.has(name) {
		q, kv := shape.heads*shape.head, shape.kvHeads*shape.head
		l.wq, l.wk, l.wv = b.rows(name, 0, q), b.rows(name, q, q+kv), b.rows(name, q+kv, q+2*kv)
		if bias := vector("attn_qkv.bias"); bias != nil {
			l.bq, l.bk, l.bv = bias[:q], bias[q:q+kv], bias[q+kv:]
		}
	}
	return l
}
