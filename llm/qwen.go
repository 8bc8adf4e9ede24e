package llm

// qwen2 has biases of queries, keys and values.
var qwen2 = newDecoder(architecture{name: "qwen2", halves: true, layer: func(c *config, i int, _ func(string) bool) map[string]shape {
	q, kv := c.layer[i].heads*c.head, c.layer[i].kvHeads*c.head
	return map[string]shape{"attn_q.bias": {0, q}, "attn_k.bias": {0, kv}, "attn_v.bias": {0, kv}}
}})

// qwen3 has norms of each head's queries and keys. Its embedding and reranking models are made of it.
var (
	qwen3    = newDecoder(architecture{name: "qwen3", halves: true, headNorms: true, pools: true, ranks: poolLast})
	qwen3moe = newDecoder(architecture{name: "qwen3moe", halves: true, headNorms: true, mixes: true})
)

// qwen35 has three layers with a gated delta net for each with gated attention, and the norm
// behind the mixer is that before the feed-forward network.
var (
	qwen35    = newQwen35(architecture{name: "qwen35"})
	qwen35moe = newQwen35(architecture{name: "qwen35moe", mixes: true, layer: func(c *config, _ int, _ func(string) bool) map[string]shape {
		if c.experts.shared == 0 {
			return nil
		}
		return map[string]shape{"ffn_gate_inp_shexp.weight": {0, c.embedding}}
	}})
)

func newQwen35(a architecture) *architecture {
	a.halves, a.headNorms, a.guesses, a.read = true, true, true, readQwen35
	a.norms = norms{mixer: "attn_norm", feedForward: "post_attention_norm"}
	return newDecoder(a)
}

func readQwen35(c *config, m *metadata) {
	c.recurrent.read(m)
	sections := m.file.Ints(m.prefix + "rope.dimension_sections")
	if len(sections) < 3 {
		m.fail("the model does not tell its %srope.dimension_sections: the file is damaged or was converted wrongly", m.prefix)
		return
	}
	// The positions of a text are those of the first three axes; that of the fourth stays 0.
	total := 0
	for _, n := range sections {
		total += int(max(0, n))
	}
	c.ropes[0].turns = func(i int) bool {
		t := i % max(1, total)
		return t < 3*int(sections[t%3])
	}
	interval := m.size("full_attention_interval", 4, 1<<10)
	recurs := m.flags("attention.recurrent_layers", c.layers-c.nextn)
	for i := range c.layer {
		l := &c.layer[i]
		l.mixer = gatedAttention
		if i < c.layers-c.nextn && (recurs == nil && (i+1)%interval != 0 || recurs != nil && recurs[i]) {
			l.mixer = deltaNet
		}
	}
}
