package llm

import "time"

// maxThreads bounds what is chosen: beyond it memory is the limit everywhere.
const maxThreads = 16

// chooseThreads leaves the pool with as many goroutines as compute fastest. Two threads of
// one core share its units and its way to memory, so half the processors may do as well
// as all, or better; firmware does not tell which processors share a core, a measurement does.
func (m *Model) chooseThreads() {
	all := m.pool.threads
	// Below four processors there is nothing to choose: two are two cores on any
	// machine of interest. A model in the caches says nothing about memory.
	const least = 64 << 20
	if all < 4 || m.weights.streamed() > 0 || m.Memory() < least || m.config.layers == 0 || m.config.embeds {
		return
	}
	s, err := m.NewSession(8)
	if err != nil {
		return // whoever wants a session will be told
	}
	best := fastest([]int{all, all / 2}, func(n int) time.Duration {
		if m.pool.threads != n {
			m.pool.close()
			m.pool = newPool(n, m.options.Processors)
		}
		return s.timeDecoding()
	})
	if m.pool.threads != best {
		m.pool.close()
		m.pool = newPool(best, m.options.Processors)
	}
}

// fastest returns the candidate with the least of three measurements, taken in turn; the
// later one must be clearly faster, so that chance does not decide.
func fastest(candidates []int, measure func(int) time.Duration) int {
	least := make([]time.Duration, len(candidates))
	for round := range 3 {
		for i, n := range candidates {
			if d := measure(n); round == 0 || d < least[i] {
				least[i] = d
			}
		}
	}
	best := 0
	for i := range candidates {
		if least[i] < least[best]*31/32 {
			best = i
		}
	}
	return candidates[best]
}

// timeDecoding multiplies the feed-forward weights of a few layers, more than caches hold,
// with one vector, as each token does.
func (s *Session) timeDecoding() time.Duration {
	m, b := s.model, &s.buffers
	began := time.Now()
	for i := range min(len(m.decoder.layers), 6) {
		if l := &m.decoder.layers[i]; l.gate != nil {
			s.mul(b.h, 1, product{l.gate, b.gate}, product{l.up, b.up})
		}
	}
	return time.Since(began)
}
