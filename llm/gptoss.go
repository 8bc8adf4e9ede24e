package llm

// gptOSS is gpt-oss: mixtures of experts with biases, a window in every other layer, and heads that may
// look at nothing (sinks).
var gptOSS = newDecoder(architecture{
	name: "gpt-oss", halves: true, mixes: true, sinks: true, norms: norms{mixer: "attn_norm", feedForward: "post_attention_norm"},
	read: func(c *config, m *metadata) {
		c.activation, c.experts.gating = clamped, gateChosen
		c.windows(m.size("attention.sliding_window", 0, 1<<24), 2, false, 0)
	},
})
