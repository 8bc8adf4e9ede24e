package llm

import (
	"math"
	"slices"
)

// The Gemma family: norms before and behind each part of a layer, gelu instead of silu, windows in
// most layers, and embeddings that are scaled.

var gemmaNorms = norms{"attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"}

func newGemma(a architecture) *architecture {
	a.halves, a.norms = true, gemmaNorms
	return newDecoder(a)
}

var (
	gemma2 = newGemma(architecture{name: "gemma2", read: readGemma2})
	gemma3 = newGemma(architecture{name: "gemma3", headNorms: true, read: readGemma3})
	gemma4 = newGemma(architecture{name: "gemma4", headNorms: true, mixes: true, read: readGemma4, layer: gemma4Layer, bindLayer: bindGemma4})
)

// gemmaEmbedding is EmbeddingGemma: gemma3 whose tokens see those behind them, too.
var gemmaEmbedding = newGemma(architecture{name: "gemma-embedding", embeds: true, headNorms: true, ranks: poolMean, read: readGemma3, dense: []string{"dense_2", "dense_3"}})

// readGemma reads what all have in common.
func readGemma(c *config, m *metadata, window, period int) {
	c.activation = gelu
	c.embeddingScale = float32(math.Sqrt(float64(c.embedding)))
	c.ropes = append(c.ropes, c.ropes[0])
	sliding := &c.ropes[1]
	sliding.factors, sliding.scale = false, 1
	sliding.rotated = m.size("rope.dimension_count_swa", sliding.rotated, 1<<12)
	sliding.base = m.number("rope.freq_base_swa", 10000, 1e-3, 1e12)
	window = m.size("attention.sliding_window", window, 1<<24)
	if n, ok := m.file.Uint(m.prefix + "attention.sliding_window_pattern"); ok {
		period = int(min(n, 1<<10))
	}
	c.windows(window, period, false, 1)
}

func readGemma2(c *config, m *metadata) {
	readGemma(c, m, 4096, 2)
	c.ropes[1] = c.ropes[0]
	c.scoreCap = float32(m.number("attn_logit_softcapping", 50, 0, 1e6))
	c.logitCap = float32(m.number("final_logit_softcapping", 30, 0, 1e6))
	c.scaleByEmbedding(46)
}

func readGemma3(c *config, m *metadata) {
	readGemma(c, m, 0, 6)
	c.logitCap = float32(m.number("final_logit_softcapping", 0, 0, 1e6))
	c.scaleByEmbedding(62)
}

// scaleByEmbedding scales the scores of the largest model of a family, which is known by its layers,
// by its embedding's length and not by that of a head.
func (c *config) scaleByEmbedding(layers int) {
	for i := range c.layer {
		if c.layers == layers {
			c.layer[i].scale = float32(1 / math.Sqrt(float64(c.embedding)/float64(c.layer[i].heads)))
		}
	}
}

func readGemma4(c *config, m *metadata) {
	readGemma(c, m, 0, 1)
	c.logitCap = float32(m.number("final_logit_softcapping", 30, 0, 1e6))
	c.perLayer = m.optional("embedding_length_per_layer_input", 0, 1<<12)
	sliding := m.flags("attention.sliding_window_pattern", c.layers)
	if sliding == nil {
		m.fail("the model does not tell its %sattention.sliding_window_pattern: the file is damaged or was converted wrongly", m.prefix)
		return
	}
	window, head := m.size("attention.sliding_window", 0, 1<<24), m.size("attention.key_length_swa", c.head, 1<<12)
	own := c.layers - m.optional("attention.shared_kv_layers", 0, c.layers-1)
	for i := range c.layer {
		l := &c.layer[i]
		l.scale, l.source = 1, i
		if sliding[i] {
			l.window, l.rope, l.head, l.value = window, 1, head, head
		}
		if i >= own { // it uses what the last layer of its kind stored
			l.source = own - 1
			if sliding[i] {
				l.source = own - 2
			}
		}
	}
}

// gemma4Layer lists what only gemma4 has. An empty shape takes a tensor away.
func gemma4Layer(c *config, i int, has func(string) bool) map[string]shape {
	l, d := &c.layer[i], c.embedding
	list := map[string]shape{}
	if has("layer_output_scale.weight") {
		list["layer_output_scale.weight"] = shape{0, 1}
	}
	if l.source == i && !has("attn_v.weight") { // keys are values as well
		list["attn_v.weight"] = shape{}
	}
	if c.perLayer > 0 {
		list["inp_gate.weight"], list["proj.weight"], list["post_norm.weight"] = shape{c.perLayer, d}, shape{d, c.perLayer}, shape{0, d}
	}
	if l.mixed { // beside a network for every token
		f := l.feedForward
		list["ffn_gate.weight"], list["ffn_up.weight"], list["ffn_down.weight"] = shape{f, d}, shape{f, d}, shape{d, f}
		for _, name := range []string{"ffn_gate_inp.scale", "pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight"} {
			list[name] = shape{0, d}
		}
	}
	return list
}

func bindGemma4(b *binder, i int, l *layer) {
	if l.wk != nil { // values are normed, too, without weights
		l.vNorm = slices.Repeat([]float32{1}, l.head)
	}
	if e := l.experts; e != nil {
		part := partOf(i)
		e.norm, e.afterShared, e.afterExperts = b.vector(part("pre_ffw_norm_2.weight")), b.vector(part("post_ffw_norm_1.weight")), b.vector(part("post_ffw_norm_2.weight"))
		e.routerNorm = b.vector(part("ffn_gate_inp.scale"))
		for j := range e.routerNorm {
			e.routerNorm[j] /= float32(math.Sqrt(float64(len(e.routerNorm))))
		}
	}
}
