package kernel

import (
	"math"
	"unsafe"
)

// Functions between the matrices, on float32. The assembly multiplies, then
// adds, in the order written here, so that all sets give the same bits, but
// for the order in which Softmax and RMSNorm add up.

// Exp is e to the power of x within two units in the last place: x is reduced
// to r = x - k*ln 2, |r| <= ln 2 / 2, for which a polynomial (Cephes, expf)
// serves. Below -87 the result is 0, from 88.4 on it is infinite.
func Exp(x float32) float32 {
	switch {
	case x < -87:
		return 0
	case x > 89:
		x = 89
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

// Softmax replaces x by exp(scale*x), divided by the sum of all. scale must be
// positive.
func (s *Set) Softmax(x []float32, scale float32) {
	var f Softmax
	s.SoftmaxPart(&f, x, scale, nil)
	s.Scale(x, f.Inverse())
}

// Softmax is the state of a softmax whose numbers come in parts. The zero value is that of none.
type Softmax struct {
	Largest float32 // of the numbers so far
	Sum     float64 // of exp(scale*(x-Largest)) for each of them; 0 only if there is none
}

// Inverse is what the weights of all parts are to be multiplied with in the end.
func (f *Softmax) Inverse() float32 { return float32(1 / f.Sum) }

// SoftmaxPart adds x to f and replaces it by exp(scale*(x-f.Largest)). Weights that it made before, or their sums, are to
// be multiplied with what it returns, since a larger number may have come. Meanwhile it brings the first 8*len(x) bytes of next,
// if it has so many, into the second-level cache: memory would have nothing to do.
func (s *Set) SoftmaxPart(f *Softmax, x []float32, scale float32, next []byte) (factor float32) {
	if len(x) == 0 {
		return 1
	}
	largest, done := x[0], s.wide(len(x))
	if done > 0 {
		largest = wideMax(&x[0], done)
	}
	for _, v := range x[done:] {
		if v > largest {
			largest = v
		}
	}
	factor = 1
	switch {
	case f.Sum == 0:
		f.Largest = largest
	case largest > f.Largest:
		factor = Exp((f.Largest - largest) * scale)
		f.Largest, f.Sum = largest, f.Sum*float64(factor)
	default:
		largest = f.Largest
	}
	var sum float64
	if done > 0 {
		ahead, step := unsafe.Pointer(&x[0]), 0
		if len(next) >= 8*len(x) {
			ahead, step = unsafe.Pointer(&next[0]), 64
		}
		if s.has512() {
			sum = wideExp512(&x[0], done, largest, scale, ahead, step)
		} else {
			sum = wideExp(&x[0], done, largest, scale, ahead, step)
		}
	}
	for i, v := range x[done:] {
		e := Exp((v - largest) * scale)
		x[done+i] = e
		sum += float64(e)
	}
	f.Sum += sum
	return factor
}

// RMSNorm makes y = x / sqrt(mean(x²) + epsilon) * w.
func (s *Set) RMSNorm(y, x, w []float32, epsilon float64) {
	y, w = y[:len(x)], w[:len(x)]
	var sum float64
	done := s.wide(len(x))
	if done > 0 {
		sum = wideSquares(&x[0], done)
	}
	for _, v := range x[done:] {
		sum += float64(v) * float64(v)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+epsilon))
	if done > 0 {
		wideScaleBy(&y[0], &x[0], &w[0], done, scale)
	}
	for i, v := range x[done:] {
		y[done+i] = v * scale * w[done+i]
	}
}

// SwiGLU makes gate = gate / (1 + exp(-gate)) * up.
func (s *Set) SwiGLU(gate, up []float32) {
	up = up[:len(gate)]
	done := s.wide(len(gate))
	if done > 0 {
		wideSwiGLU(&gate[0], &up[0], done)
	}
	for i, v := range gate[done:] {
		gate[done+i] = v / (1 + Exp(-v)) * up[done+i]
	}
}

// Gelu makes x = x * normal(x), the normal distribution's function by the
// usual approximation with a hyperbolic tangent.
func (s *Set) Gelu(x []float32) {
	done := s.wide(len(x))
	if done > 0 {
		wideGelu(&x[0], done)
	}
	for i, v := range x[done:] {
		x[done+i] = v / (1 + Exp(-1.5957691216*(v+0.044715*v*v*v)))
	}
}

// Scale makes x = x*f.
func (s *Set) Scale(x []float32, f float32) {
	if f == 1 {
		return
	}
	done := s.wide(len(x))
	if done > 0 {
		wideScale(&x[0], done, f)
	}
	for i := range x[done:] {
		x[done+i] *= f
	}
}

// Multiply makes y = y*x, number by number.
func (s *Set) Multiply(y, x []float32) {
	x = x[:len(y)]
	done := s.wide(len(y))
	if done > 0 {
		wideScaleBy(&y[0], &y[0], &x[0], done, 1)
	}
	for i, v := range x[done:] {
		y[done+i] *= v
	}
}

// MultiplyAdd makes y = y + a*b, number by number.
func (s *Set) MultiplyAdd(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	done := s.wide(len(y))
	if done > 0 {
		wideMultiplyAdd(&y[0], &a[0], &b[0], done)
	}
	for i := done; i < len(y); i++ {
		y[i] += a[i] * b[i]
	}
}

// Cap makes x = limit*tanh(scale*x/limit).
func Cap(x []float32, scale, limit float32) {
	for i, v := range x {
		x[i] = limit * (1 - 2/(Exp(2*v*scale/limit)+1))
	}
}

// Recall makes y the sum of all rows of m, each times its number in x.
func (s *Set) Recall(y, m, x []float32) {
	cols := len(y)
	m = m[:len(x)*cols]
	done := s.wide(cols)
	if len(x) == 0 {
		done = 0
	}
	if done > 0 {
		wideRecall(&y[0], &m[0], &x[0], len(x), cols, done)
	}
	for j := done; j < cols; j++ {
		var sum float32
		for i, v := range x {
			sum += v * m[i*cols+j]
		}
		y[j] = sum
	}
}

// Recur is the step of a linear recurrence whose state is a matrix: row i of next becomes decay times row
// i of state plus k[i] times value; then y becomes the sum of all rows of next, each times its
// number in q. next and state may be the same.
func (s *Set) Recur(y, next, state []float32, decay float32, k, value, q []float32) {
	rows, cols := len(k), len(value)
	y, q, next, state = y[:cols], q[:rows], next[:rows*cols], state[:rows*cols]
	done := s.wide(cols)
	if rows == 0 {
		done = 0
	}
	if done > 0 {
		wideRecur(&y[0], &next[0], &state[0], &k[0], &value[0], &q[0], rows, cols, done, decay)
	}
	for j := done; j < cols; j++ {
		var sum float32
		for i, f := range k {
			v := state[i*cols+j]*decay + f*value[j]
			next[i*cols+j] = v
			sum += v * q[i]
		}
		y[j] = sum
	}
}

// wide is how many of n numbers the assembly can do.
func (s *Set) wide(n int) int {
	if s == portable {
		return 0
	}
	return n &^ 7
}
