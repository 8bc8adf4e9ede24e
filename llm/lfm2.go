package llm

// LFM2 has short convolutions instead of attention in most layers.
var (
	lfm2    = newLFM2(architecture{name: "lfm2"})
	lfm2moe = newLFM2(architecture{name: "lfm2moe", mixes: true})
)

func newLFM2(a architecture) *architecture {
	a.halves, a.headNorms, a.recurs, a.recurrence, a.outputNorm = true, true, true, shortConvolution, "token_embd_norm"
	a.read = func(c *config, m *metadata) {
		c.recurrent = recurrentShape{taps: m.size("shortconv.l_cache", 0, 16), channels: c.embedding, inner: c.embedding}
		c.windows(m.optional("attention.sliding_window", 0, 1<<24), 0, false, 0)
	}
	return newDecoder(a)
}
