package llm

import "alphaos/llm/gguf"

// modernBERT is ModernBERT: norms before the parts of a layer, gates, and windows in all but every third
// layer.
var modernBERT = &architecture{
	name: "modern-bert", embeds: true, halves: true, fused: true, epsilon: "attention.layer_norm_epsilon", ranks: poolMean,
	read: readModernBERT, tensors: modernTensors, bind: bindModern,
}

func readModernBERT(c *config, m *metadata) {
	alikeLayers(c, m)
	if name, _ := m.file.String(m.prefix + "hidden_activation"); name != "silu" {
		c.activation = gelu
	}
	sliding := c.ropes[0]
	sliding.base = m.number("rope.freq_base_swa", 10000, 1e-3, 1e12)
	c.ropes = append(c.ropes, sliding)
	period := 3
	if n, ok := m.file.Uint(m.prefix + "attention.sliding_window_pattern"); ok {
		period = int(min(n, 1<<10))
	}
	c.windows(m.optional("attention.sliding_window", 0, 1<<24), period, true, 1)
}

func modernTensors(c *config, f *gguf.File) map[string]shape {
	d, q := c.embedding, c.layer[0].heads*c.layer[0].head
	s := map[string]shape{}
	if c.pooling == poolRank {
		s = rankTensors(c, f)
	}
	s["token_embd.weight"], s["token_embd_norm.weight"], s["output_norm.weight"] = shape{c.vocabulary, d}, shape{0, d}, shape{0, d}
	for i := range c.layers {
		part, ff := partOf(i), c.layer[i].feedForward
		s[part("attn_qkv.weight")], s[part("attn_output.weight")], s[part("ffn_norm.weight")] = shape{3 * q, d}, shape{d, q}, shape{0, d}
		s[part("ffn_up.weight")], s[part("ffn_down.weight")] = shape{2 * ff, d}, shape{d, ff}
		if i > 0 {
			s[part("attn_norm.weight")] = shape{0, d}
		}
	}
	return s
}

func bindModern(b *binder) {
	m := b.model
	b.wait(m.end())
	e := b.newEncoder()
	e.finalNorm = b.vector("output_norm.weight")
	for i := range m.config.layers {
		l, part, f := b.encoderLayer(i), partOf(i), m.config.layer[i].feedForward
		l.before, l.beforeFFN = b.vector(part("attn_norm.weight")), b.vector(part("ffn_norm.weight"))
		l.gate, l.up = b.rows(part("ffn_up.weight"), 0, f), b.rows(part("ffn_up.weight"), f, 2*f)
		e.layers = append(e.layers, l)
	}
	m.encoder = e
}
