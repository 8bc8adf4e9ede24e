package llm

// llama is Llama 1 to 3, TinyLlama, SmolLM, Mistral and whoever else builds the same graph:
// the decoder as it is.
var llama = newDecoder(architecture{name: "llama"})

// smollm3 does not rotate queries and keys in every fourth layer.
var smollm3 = newDecoder(architecture{name: "smollm3", read: func(c *config, _ *metadata) {
	for i := 3; i < len(c.layer); i += 4 {
		c.layer[i].rope = -1
	}
}})

// mistral3 is Ministral 3 and Mistral Small 3: queries grow beyond the original context.
var mistral3 = newDecoder(architecture{name: "mistral3", read: func(c *config, m *metadata) {
	c.temperature = m.number("attention.temperature_scale", 0, 0, 1e3)
	c.temperatureFrom = float64(c.ropes[0].original)
}})
