package llm

// olmo2 is OLMo 2 and 3: norms behind each part of a layer only, and of all queries and all keys of a
// token together. OLMo 3 has windows, within which the context is not stretched.
var olmo2 = newDecoder(architecture{
	name: "olmo2", halves: true, wholeNorms: true, norms: norms{afterMixer: "post_attention_norm", afterFeedForward: "post_ffw_norm"},
	read: func(c *config, m *metadata) {
		plain := c.ropes[0]
		plain.scale, plain.yarn, plain.magnitude = 1, false, 1
		c.ropes = append(c.ropes, plain)
		c.windows(m.optional("attention.sliding_window", 0, 1<<24), 4, false, 1)
	},
})
