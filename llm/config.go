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
	feedForward int
	layers      int
	heads       int
	kvHeads     int
	head        int // length of a head
	rotated     int // of which rope turns the first so many
	vocabulary  int

	epsilon        float64
	ropeBase       float64
	ropeScale      float64 // 1/factor of linear scaling
	attentionScale float32
}

func readConfig(f *gguf.File) (config, error) {
	var c config
	var err error
	if c.arch, err = findArchitecture(f); err != nil {
		return c, err
	}
	prefix := c.arch.name + "."
	if n, ok := f.Uint("split.count"); ok && n > 1 {
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
			err = fmt.Errorf("the model's %s is %T, not a single count, which is not supported", key, f.Value(key))
		}
		if n == 0 {
			n = uint64(fallback)
		}
		if (n == 0 || n > uint64(limit)) && err == nil {
			err = fmt.Errorf("the model's %s is %d, not between 1 and %d: the file is damaged or was converted wrongly", key, n, limit)
		}
		return int(min(n, uint64(limit)))
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
	c.feedForward = size("feed_forward_length", 0, 1<<18)
	c.layers = size("block_count", 0, 1<<10)
	c.heads = size("attention.head_count", 0, 1<<10)
	c.kvHeads = size("attention.head_count_kv", c.heads, 1<<10)
	if c.arch.encoder {
		c.epsilon = number("attention.layer_norm_epsilon", math.NaN(), 0, 1)
	} else {
		c.epsilon = number("attention.layer_norm_rms_epsilon", math.NaN(), 0, 1)
	}
	if err != nil {
		return c, err
	}
	c.head = size("attention.key_length", c.embedding/c.heads, 1<<12)
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
	case c.heads%c.kvHeads != 0:
		return c, fmt.Errorf("the model's %d heads cannot share %d key/value heads: the file is damaged or was converted wrongly", c.heads, c.kvHeads)
	case valueLength != c.head:
		return c, fmt.Errorf("keys of %d and values of %d numbers in one head are not supported; they must be equal", c.head, valueLength)
	case c.rotated > c.head || c.rotated%2 != 0:
		return c, fmt.Errorf("the model turns %d of the %d numbers in a head, which is impossible: the file is damaged or was converted wrongly", c.rotated, c.head)
	}
	c.ropeScale = 1 / factor
	c.attentionScale = float32(1 / math.Sqrt(float64(c.head)))
	if c.arch.encoder {
		return c, c.readEncoder(f)
	}
	return c, nil
}
