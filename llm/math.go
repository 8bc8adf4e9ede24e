package llm

import "math"

// The small arithmetic between the matrices.

func add(y, x []float32) {
	for i, v := range x[:len(y)] {
		y[i] += v
	}
}

// rmsNorm makes y = x / sqrt(mean(x²) + epsilon) * w.
func rmsNorm(y, x, w []float32, epsilon float64) {
	var a, b float64
	i := 0
	for ; i+1 < len(x); i += 2 {
		a += float64(x[i]) * float64(x[i])
		b += float64(x[i+1]) * float64(x[i+1])
	}
	if i < len(x) {
		a += float64(x[i]) * float64(x[i])
	}
	scale := float32(1 / math.Sqrt((a+b)/float64(len(x))+epsilon))
	y, w = y[:len(x)], w[:len(x)]
	for i, v := range x {
		y[i] = v * scale * w[i]
	}
}

// softmax replaces x by exp(scale*x), divided by the sum of all.
func softmax(x []float32, scale float32) {
	largest := float32(math.Inf(-1))
	for _, v := range x {
		largest = max(largest, v)
	}
	var sum float64
	for i, v := range x {
		e := exp((v - largest) * scale)
		x[i] = e
		sum += float64(e)
	}
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
}

// silu makes gate = gate / (1 + exp(-gate)) * up.
func silu(gate, up []float32) {
	up = up[:len(gate)]
	for i, v := range gate {
		gate[i] = v / (1 + exp(-v)) * up[i]
	}
}

// exp is e to the power of x within two units in the last place: x is reduced
// to r = x - k*ln 2, |r| <= ln 2 / 2, for which a polynomial (Cephes, expf)
// serves. Below -87 the result is 0.
func exp(x float32) float32 {
	switch {
	case x < -87:
		return 0
	case x > 88:
		return float32(math.Exp(float64(x)))
	case x != x:
		return x
	}
	const magic = 3 << 22 // adding it leaves no room for a fraction
	k := (x*math.Log2E + magic) - magic
	r := x - k*0.693359375 + k*2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	return (p*r*r + r + 1) * math.Float32frombits(uint32(int32(k)+127)<<23)
}

// rope turns pairs of numbers, neighbours or those of two halves, among the
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

// turn prepares for n tokens from position on.
func (r *rope) turn(position, n int) {
	for t := range n {
		for i, f := range r.frequency {
			sin, cos := math.Sincos(float64(position+t) * f)
			r.cos[t*len(r.frequency)+i], r.sin[t*len(r.frequency)+i] = float32(cos), float32(sin)
		}
	}
}

// apply turns the head x of token t.
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
