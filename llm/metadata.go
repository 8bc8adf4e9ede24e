package llm

import (
	"fmt"
	"math"

	"alphaos/llm/gguf"
)

// metadata reads a model's numbers, whose keys begin with its architecture's name. The first
// error stays, and what is read after it is of no use.
type metadata struct {
	file   *gguf.File
	prefix string
	err    error
}

func (m *metadata) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

// size reads a count; one that is absent or 0 takes the value fallback,
// which is 0 if the model must have it.
func (m *metadata) size(key string, fallback, limit int) int {
	if n := m.optional(key, fallback, limit); n > 0 || m.err != nil {
		return n
	}
	m.fail("the model does not tell its %s: the file is damaged or was converted wrongly", m.prefix+key)
	return 0
}

// optional is size of a count that may be 0.
func (m *metadata) optional(key string, fallback, limit int) int {
	key = m.prefix + key
	n, ok := m.file.Uint(key)
	if !ok && m.file.Value(key) != nil {
		m.fail("the model's %s is not a single count, which is not supported", key)
	}
	if n == 0 {
		n = uint64(fallback)
	}
	if n > uint64(limit) {
		m.fail("the model's %s is %d; more than %d are not supported", key, n, limit)
	}
	return int(min(n, uint64(limit)))
}

// sizes sets a count of each layer, for all of which there may be one. One
// that is absent is left as it is.
func (m *metadata) sizes(layers []layerShape, key string, least, limit int, of func(*layerShape) *int) {
	counts := m.file.Ints(m.prefix + key)
	switch {
	case m.err != nil:
		return
	case counts == nil:
		n := m.size(key, *of(&layers[0]), limit)
		if told, _ := m.file.Uint(m.prefix + key); told > 0 {
			for i := range layers {
				*of(&layers[i]) = n
			}
		}
		return
	case len(counts) != len(layers):
		m.fail("the model's %s has %d values for %d layers: the file is damaged or was converted wrongly", m.prefix+key, len(counts), len(layers))
		return
	}
	for i, n := range counts {
		if int(n) < least || int(n) > limit {
			m.fail("the model's %s is %d in layer %d; supported are %d to %d", m.prefix+key, n, i, least, limit)
			return
		}
		*of(&layers[i]) = int(n)
	}
}

// number reads a number; the model must have one whose fallback is NaN.
func (m *metadata) number(key string, fallback, low, high float64) float64 {
	key = m.prefix + key
	v, ok := m.file.Float(key)
	if !ok {
		if n, isInt := m.file.Uint(key); isInt {
			v, ok = float64(n), true
		}
	}
	if !ok && m.file.Value(key) == nil && !math.IsNaN(fallback) {
		return fallback
	}
	if !ok || !(v >= low && v <= high) {
		m.fail("the model's %s is %v, not a number from %g to %g: the file is damaged or was converted wrongly", key, m.file.Value(key), low, high)
	}
	return v
}

func (m *metadata) flag(key string, fallback bool) bool {
	if v, ok := m.file.Bool(m.prefix + key); ok {
		return v
	}
	return fallback
}

// flags is one flag for each of n layers, or nil.
func (m *metadata) flags(key string, n int) []bool {
	list, ok := m.file.Value(m.prefix + key).([]bool)
	if ok && len(list) < n {
		m.fail("the model's %s has %d values for %d layers: the file is damaged or was converted wrongly", m.prefix+key, len(list), n)
		return nil
	}
	return list
}
