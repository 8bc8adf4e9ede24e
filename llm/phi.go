package llm

// phi3 is Phi 3, 3.5 and 4: matrices that stand for several, and factors of RoPE for long contexts
// (longrope).
var phi3 = newDecoder(architecture{name: "phi3", halves: true, fused: true})
