package llm

// Memory is how many bytes the model's weights take.
func (m *Model) Memory() int64 { return int64(len(m.memory)) }

// Memory is how many bytes the session's keys and values take, whether
// positions are in use or not, and what recurrent layers remember.
func (s *Session) Memory() int64 {
	c, n := &s.model.config, 0
	for i, kv := range s.caches {
		if c.layer[i].source != i { // they are another's
			continue
		}
		for i := range kv.keys {
			n += kv.keys[i].Memory() + kv.values[i].Memory()
		}
		n += 4 * c.keptSize(c.layer[i].mixer)
	}
	if s.guesser != nil {
		for i, k := range s.guesser.cache.keys {
			n += k.Memory() + s.guesser.cache.values[i].Memory()
		}
	}
	return int64(n)
}
