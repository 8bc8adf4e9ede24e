package llm

// qwen2 has biases of queries, keys and values.
var qwen2 = newDecoder(architecture{name: "qwen2", halves: true, layer: headBiases})

// qwen3 has norms of each head's queries and keys.
var qwen3 = newDecoder(architecture{name: "qwen3", halves: true, layer: func(c *config, _ layerShape) map[string][2]int {
	return map[string][2]int{"attn_q_norm.weight": {0, c.head}, "attn_k_norm.weight": {0, c.head}}
}})
