package llm

import (
	"fmt"
	"math"

	"alphaos/llm/gguf"
)

// config is the shape of a model, from the metadata of its file. Once
// read without an error every number is within sane bounds; the tensors are
// checked against it when they are bound.
type config struct {
	arch *architecture

	context     int
	embedding   int
	layers      int
	layer       []layerShape
	heads       int // of the layer that has most of them, and so
	kvHeads     int
	feedForward int
	group       int // heads that share keys and values
	cached      int // key/value heads of all layers together
	head        int // length of a head
	rotated     int // how many of these RoPE rotates, from the first on
	vocabulary  int

	epsilon        float64
	ropeBase       float64
	ropeScale      float64 // 1/factor of linear scaling
	attentionScale float32
}

// layerShape is what may differ from layer to layer.
type layerShape struct{ heads, kvHeads, feedForward int }

func readConfig(f *gguf.File) (config, error) {
	var c config
	var err error
	if c.arch, err = findArchitecture(f); err != nil {
		return c, err
	}
	prefix := c.arch.name + "."
	if n := f.Split(); n > 1 {
		return c, fmt.Errorf("this file is one of %d parts of a split model, but is not named like one: name the parts NAME-00001-of-%05d.gguf and so on", n, n)
	}
	if n, _ := f.Uint(prefix + "expert_count"); n > 0 {
		return c, fmt.Errorf("this model is a mixture of %d experts, which is not supported; dense models are", n)
	}

	// size reads a count; one that is absent or 0 takes the value fallback,
	// which is 0 if the model must have it.
	size := func(key string, fallback, limit int) int {
		key = prefix + key
		n, ok := f.Uint(key)
		if !ok && f.Value(key) != nil && err == nil {
			err = fmt.Errorf("the model's %s is not a single count, which is not supported", key)
		}
		if n == 0 {
			n = uint64(fallback)
		}
		switch {
		case err != nil:
		case n == 0:
			err = fmt.Errorf("the model does not tell its %s: the file is damaged or was converted wrongly", key)
		case n > uint64(limit):
			err = fmt.Errorf("the model's %s is %d; more than %d are not supported", key, n, limit)
		}
		return int(min(n, uint64(limit)))
	}
	// sizes sets a count of each layer, for all of which there may be one. One
	// that is absent is left as it is.
	sizes := func(key string, limit int, of func(*layerShape) *int) {
		counts := f.Ints(prefix + key)
		switch {
		case err != nil:
			return
		case counts == nil:
			n := size(key, *of(&c.layer[0]), limit)
			if told, _ := f.Uint(prefix + key); told > 0 {
				for i := range c.layer {
					*of(&c.layer[i]) = n
				}
			}
			return
		case len(counts) != c.layers:
			err = fmt.Errorf("the model's %s has %d values for %d layers: the file is damaged or was converted wrongly", prefix+key, len(counts), c.layers)
			return
		}
		for i, n := range counts {
			if n < 1 || int(n) > limit {
				err = fmt.Errorf("the model's %s is %d in layer %d; supported are 1 to %d", prefix+key, n, i, limit)
				return
			}
			*of(&c.layer[i]) = int(n)
		}
	}
	number := func(key string, fallback, low, high float64) float64 {
		key = prefix + key
		v, ok := f.Float(key)
		if !ok {
			if n, isInt := f.Uint(key); isInt {
				v, ok = float64(n), true
			}
		}
		if !ok && f.Value(key) == nil && !math.IsNaN(fallback) {
			return fallback
		}
		if (!ok || !(v >= low && v <= high)) && err == nil {
			err = fmt.Errorf("the model's %s is %v, not a number from %g to %g: the file is damaged or was converted wrongly", key, f.Value(key), low, high)
		}
		return v
	}

	c.context = size("context_length", 0, 1<<24)
	c.embedding = size("embedding_length", 0, 1<<16)
	c.layers = size("block_count", 0, 1<<10)
	c.layer = make([]layerShape, max(c.layers, 1))
	sizes("feed_forward_length", 1<<18, func(l *layerShape) *int { return &l.feedForward })
	sizes("attention.head_count", 1<<10, func(l *layerShape) *int { return &l.heads })
	for i := range c.layer { // unless it is told
		c.layer[i].kvHeads = c.layer[i].heads
	}
	sizes("attention.head_count_kv", 1<<10, func(l *layerShape) *int { return &l.kvHeads })
	c.epsilon = number(c.arch.epsilon, math.NaN(), 0, 1)
	if err != nil {
		return c, err
	}
	for _, l := range c.layer {
		if l.heads%l.kvHeads != 0 {
			return c, fmt.Errorf("the model's %d heads cannot share %d key/value heads: the file is damaged or was converted wrongly", l.heads, l.kvHeads)
		}
		c.heads, c.kvHeads, c.feedForward = max(c.heads, l.heads), max(c.kvHeads, l.kvHeads), max(c.feedForward, l.feedForward)
		c.group = max(c.group, l.heads/l.kvHeads)
		c.cached += l.kvHeads
	}
	c.head = size("attention.key_length", c.embedding/c.layer[0].heads, 1<<12)
	valueLength := size("attention.value_length", c.head, 1<<12)
	c.rotated = size("rope.dimension_count", c.head, 1<<12)
	c.ropeBase = number("rope.freq_base", 10000, 1e-3, 1e12)
	factor := number("rope.scale_linear", 1, 1e-3, 1e6)
	if scaling, ok := f.String(prefix + "rope.scaling.type"); ok {
		switch scaling {
		case "none":
			factor = 1
		case "linear":
			factor = number("rope.scaling.factor", 1, 1e-3, 1e6)
		default:
			return c, fmt.Errorf("rope scaling of type %q is not supported; supported are none and linear, and rope_freqs", scaling)
		}
	}
	switch {
	case err != nil:
		return c, err
	case valueLength != c.head:
		return c, fmt.Errorf("keys of %d and values of %d numbers in one head are not supported; they must be equal", c.head, valueLength)
	case c.rotated > c.head || c.rotated%2 != 0:
		return c, fmt.Errorf("the model rotates %d of the %d numbers in a head, which is impossible: the file is damaged or was converted wrongly", c.rotated, c.head)
	}
	c.ropeScale = 1 / factor
	c.attentionScale = float32(1 / math.Sqrt(float64(c.head)))
	if c.arch.read != nil {
		err = c.arch.read(&c, f)
	}
	return c, err
}
