package llm

// llama is Llama 1 to 3, TinyLlama, SmolLM, Mistral and whoever else builds the same graph:
// the decoder as it is.
var llama = newDecoder(architecture{name: "llama"})
