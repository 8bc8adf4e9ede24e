package llm

import "math"

// rope is the rotary position embedding (RoPE): it rotates pairs of numbers, neighbours or those of two halves, among the
// first rotated numbers of a head by angles that grow with the position.
type rope struct {
	halves    bool
	frequency []float64 // radians a position, for each pair
	cos, sin  []float32 // for each of the tokens being computed, each pair
}

// newRope makes the frequencies base^(-2i/rotated) * scale / factors[i];
// factors may be nil. capacity is the number of tokens computed together.
func newRope(rotated, capacity int, base, scale float64, factors []float32) rope {
	r := rope{frequency: make([]float64, rotated/2), cos: make([]float32, rotated/2*capacity), sin: make([]float32, rotated/2*capacity)}
	for i := range r.frequency {
		r.frequency[i] = math.Pow(base, -2*float64(i)/float64(rotated)) * scale
		if factors != nil {
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
			r.cos[t*len(r.frequency)+i], r.sin[t*len(r.frequency)+i] = float32(cos), float32(sin)
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
