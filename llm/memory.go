package llm

// Memory is how many bytes the model's weights take.
func (m *Model) Memory() int64 { return int64(len(m.memory)) }

// Memory is how many bytes the session's keys and values take, whether
// positions are in use or not.
func (s *Session) Memory() int64 {
	n := 0
	for _, layer := range s.caches {
		for i := range layer.keys {
			n += layer.keys[i].Memory() + layer.values[i].Memory()
		}
	}
	return int64(n)
}
