package llm

import "alphaos/llm/gguf"

// Nomic's encoders: BERT with RoPE instead of embeddings of positions, and gates, or mixtures of
// experts without gates in every second layer.
var (
	nomicBERT    = &architecture{name: "nomic-bert", embeds: true, halves: true, epsilon: "attention.layer_norm_epsilon", ranks: poolFirst, read: alikeLayers, tensors: nomicTensors, bind: bindNomic}
	nomicBERTMoE = &architecture{
		name: "nomic-bert-moe", embeds: true, mixes: true, halves: true, epsilon: "attention.layer_norm_epsilon", ranks: poolFirst, tensors: nomicTensors, bind: bindNomic,
		read: func(c *config, m *metadata) {
			alikeLayers(c, m)
			every := m.size("moe_every_n_layers", 1, 1<<10)
			for i := range c.layer {
				c.layer[i].mixed = c.experts.count > 0 && i%every == every-1
			}
			c.experts.feedForward, c.experts.normalized = c.layer[0].feedForward, false
		},
	}
)

func nomicTensors(c *config, f *gguf.File) map[string]shape {
	d, q := c.embedding, c.layer[0].heads*c.layer[0].head
	s := map[string]shape{}
	if c.pooling == poolRank {
		s = rankTensors(c, f)
	}
	optional := func(name string, size shape) {
		if _, ok := f.Tensor(name); ok {
			s[name] = size
		}
	}
	s["token_embd.weight"], s["token_embd_norm.weight"], s["token_embd_norm.bias"] = shape{c.vocabulary, d}, shape{0, d}, shape{0, d}
	if t, ok := f.Tensor("token_types.weight"); ok && len(t.Dims) == 2 && t.Dims[1] <= 16 {
		s["token_types.weight"] = shape{int(t.Dims[1]), d}
	}
	for i := range c.layers {
		part, ff := partOf(i), c.layer[i].feedForward
		if _, fused := f.Tensor(part("attn_qkv.weight")); fused {
			s[part("attn_qkv.weight")] = shape{3 * q, d}
		} else {
			for _, name := range []string{"attn_q", "attn_k", "attn_v"} {
				s[part(name+".weight")] = shape{q, d}
			}
		}
		s[part("attn_output.weight")] = shape{d, q}
		for _, name := range []string{"attn_output_norm.weight", "attn_output_norm.bias", "layer_output_norm.weight", "layer_output_norm.bias"} {
			s[part(name)] = shape{0, d}
		}
		for name, n := range map[string]int{"attn_qkv.bias": 3 * q, "attn_q.bias": q, "attn_k.bias": q, "attn_v.bias": q, "attn_output.bias": d, "ffn_up.bias": ff, "ffn_down.bias": d} {
			optional(part(name), shape{0, n})
		}
		if c.layer[i].mixed {
			s[part("ffn_gate_inp.weight")] = shape{c.experts.count, d}
			s[part("ffn_up_exps.weight")], s[part("ffn_down_exps.weight")] = shape{ff, d, c.experts.count}, shape{d, ff, c.experts.count}
			continue
		}
		s[part("ffn_up.weight")], s[part("ffn_down.weight")] = shape{ff, d}, shape{d, ff}
		if !c.arch.mixes {
			s[part("ffn_gate.weight")] = shape{ff, d}
		}
	}
	return s
}

func bindNomic(b *binder) {
	m := b.model
	c := &m.config
	b.wait(m.end())
	e := b.newEncoder()
	for i := range c.layers {
		l, part := b.encoderLayer(i), partOf(i)
		if c.layer[i].mixed {
			l.router = b.matrix(part("ffn_gate_inp.weight"))
			d, f := c.embedding, c.experts.feedForward
			for x := range c.experts.count {
				l.expertsUp = append(l.expertsUp, b.rows(part("ffn_up_exps.weight"), x*f, (x+1)*f))
				l.expertsDown = append(l.expertsDown, b.rows(part("ffn_down_exps.weight"), x*d, (x+1)*d))
			}
		}
		e.layers = append(e.layers, l)
	}
	m.encoder = e
}
