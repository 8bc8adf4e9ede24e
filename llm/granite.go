package llm

// Granite scales embeddings, scores, what each part of a layer adds, and logits. Its hybrids have
// Mamba-2 in most layers.
var (
	granite       = newDecoder(architecture{name: "granite", read: readGranite})
	graniteMoE    = newDecoder(architecture{name: "granitemoe", read: readGranite, mixes: true})
	graniteHybrid = newDecoder(architecture{name: "granitehybrid", mixes: true, recurs: true, recurrence: mamba, read: func(c *config, m *metadata) {
		readGranite(c, m)
		c.recurrent.read(m)
	}})
)

func readGranite(c *config, m *metadata) {
	c.embeddingScale = float32(m.number("embedding_scale", 0, 0, 1e6))
	c.residualScale = float32(m.number("residual_scale", 0, 0, 1e6))
	if scale := m.number("logit_scale", 0, 0, 1e6); scale != 0 {
		c.logitScale = float32(1 / scale)
	}
	scale := float32(m.number("attention.scale", 0, 0, 1e6))
	for i := range c.layer {
		if scale != 0 {
			c.layer[i].scale = scale
		}
		if !m.flag("rope.scaling.finetuned", true) {
			c.layer[i].rope = -1
		}
	}
	if c.experts.feedForward == 0 {
		c.experts.feedForward = c.layer[0].feedForward
	}
}
