package llm

import "math"

// ropeShape says how RoPE rotates queries and keys.
type ropeShape struct {
	rotated int     // how many numbers of a head, from the first on
	base    float64 // the frequencies are base^(-2i/rotated)
	scale   float64 // and times this: 1/factor of linear scaling
	factors bool    // and divided by the model's factors

	// YaRN: high frequencies are not scaled.
	yarn      bool
	low, high float64 // between these pairs the one goes over to the other
	factor    float64

	turns     func(pair int) bool // whether a pair is rotated; nil: all are
	magnitude float64             // of what was rotated; 1 but for stretched contexts
	original  int                 // tokens the model was trained for before its context was stretched
}

// readRope reads the model's own rope for heads of some length.
func (c *config) readRope(m *metadata, head int) ropeShape {
	r := ropeShape{factors: true, scale: 1}
	r.rotated = m.size("rope.dimension_count", head, 1<<12)
	r.base = m.number("rope.freq_base", 10000, 1e-3, 1e12)
	r.magnitude = m.number("rope.scaling.attn_factor", 1, 1e-3, 1e3)
	r.original = m.size("rope.scaling.original_context_length", c.context, 1<<24)
	factor := m.number("rope.scale_linear", 1, 1e-3, 1e6)
	scaling, told := m.file.String(m.prefix + "rope.scaling.type")
	if told || m.file.Value(m.prefix+"rope.scaling.factor") != nil {
		factor = m.number("rope.scaling.factor", factor, 1e-3, 1e6)
	}
	switch scaling {
	case "", "linear":
		r.scale = 1 / factor
	case "none", "longrope": // whose factors are tensors
	case "yarn":
		r.scale = 1 / factor
		r.stretch(m, factor)
	default:
		m.fail("rope scaling of type %q is not supported; supported are none, linear, yarn and longrope, and rope_freqs", scaling)
	}
	return r
}

// stretch makes it YaRN's, as arXiv 2309.00071 has it.
func (r *ropeShape) stretch(m *metadata, factor float64) {
	fast := m.number("rope.scaling.yarn_beta_fast", 32, 1e-3, 1e6)
	slow := m.number("rope.scaling.yarn_beta_slow", 1, 1e-3, 1e6)
	// The pair that turns so many times within the original context.
	turns := func(n float64) float64 {
		return float64(r.rotated) * math.Log(float64(r.original)/(2*math.Pi*n)) / (2 * math.Log(r.base))
	}
	r.yarn, r.factor = true, factor
	r.low, r.high = max(0, math.Floor(turns(fast))), min(float64(r.rotated-1), math.Ceil(turns(slow)))
	if multiplier := m.number("rope.scaling.yarn_log_multiplier", 0, -1e3, 1e3); multiplier != 0 {
		r.magnitude /= grown(factor, multiplier)
	}
	r.magnitude *= grown(factor, 1)
}

// grown is by how much scores grow with the factor that stretches a context.
func grown(factor, multiplier float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*multiplier*math.Log(factor) + 1
}

// rope is the rotary position embedding (RoPE): it rotates pairs of numbers, neighbours or those of two halves, among the
// first rotated numbers of a head by angles that grow with the position.
type rope struct {
	halves    bool
	frequency []float64 // radians a position, for each pair
	magnitude float64
	cos, sin  []float32 // for each of the tokens being computed, each pair
}

// newRope makes the frequencies; factors may be nil. capacity is the number of tokens computed
// together.
func newRope(shape ropeShape, halves bool, capacity int, factors []float32) rope {
	n := shape.rotated / 2
	r := rope{halves: halves, magnitude: shape.magnitude, frequency: make([]float64, n), cos: make([]float32, n*capacity), sin: make([]float32, n*capacity)}
	for i := range r.frequency {
		f, scale := math.Pow(shape.base, -2*float64(i)/float64(shape.rotated)), shape.scale
		if shape.yarn {
			ramp := 1 - max(0, min(1, (float64(i)-shape.low)/max(0.001, shape.high-shape.low)))
			scale = scale*(1-ramp) + ramp
		}
		if shape.turns != nil && !shape.turns(i) {
			continue
		}
		r.frequency[i] = f * scale
		if factors != nil && shape.factors {
			r.frequency[i] /= float64(factors[i])
		}
	}
	return r
}

// prepare computes the angles of n tokens from position on.
func (r *rope) prepare(position, n int) {
	for t := range n {
		for i, f := range r.frequency {
			sin, cos := math.Sincos(float64(position+t) * f)
			r.cos[t*len(r.frequency)+i], r.sin[t*len(r.frequency)+i] = float32(cos*r.magnitude), float32(sin*r.magnitude)
		}
	}
}

// apply rotates the head x of token t.
func (r *rope) apply(x []float32, t int) {
	n := len(r.frequency)
	cos, sin := r.cos[t*n:(t+1)*n], r.sin[t*n:(t+1)*n]
	x = x[:2*n]
	if r.halves {
		y := x[n:]
		for i, c := range cos {
			a, b := x[i], y[i]
			x[i], y[i] = a*c-b*sin[i], a*sin[i]+b*c
		}
		return
	}
	for i, c := range cos {
		a, b := x[2*i], x[2*i+1]
		x[2*i], x[2*i+1] = a*c-b*sin[i], a*sin[i]+b*c
	}
}
