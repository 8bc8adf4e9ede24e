package kernel

import "math"

// Products and sums of float32 matrices, as encoders compute them for all
// tokens of a text at once: attention, norms and biases.

// Dense is a matrix of float32 whose rows are Step numbers apart.
type Dense struct {
	X    []float32
	Step int
}

// Product makes y = a*b, where a has rows rows of inner numbers and b inner
// rows of cols numbers. y must not overlap a or b.
func (s *Set) Product(y, a, b Dense, rows, inner, cols int) {
	if rows < 1 || cols < 1 {
		return
	}
	if inner < 1 || (rows-1)*y.Step+cols > len(y.X) || (rows-1)*a.Step+inner > len(a.X) || (inner-1)*b.Step+cols > len(b.X) || rows > 1 && y.Step < cols {
		panic("kernel: a product of matrices that do not fit")
	}
	col := s.product(y, a, b, rows, inner, cols)
	if col == cols {
		return
	}
	for r := range rows {
		out := y.X[r*y.Step+col : r*y.Step+cols]
		clear(out)
		for k, v := range a.X[r*a.Step:][:inner] {
			for j, w := range b.X[k*b.Step+col:][:len(out)] {
				out[j] += v * w
			}
		}
	}
}

// Add makes y = y + x.
func (s *Set) Add(y, x []float32) {
	x = x[:len(y)]
	done := s.wide(len(y))
	if done > 0 {
		wideAdd(&y[0], &x[0], done)
	}
	for i, v := range x[done:] {
		y[done+i] += v
	}
}

// AddNorm makes x = x + h + bias, and of that the layer norm
// (x - mean(x)) / sqrt(variance(x) + epsilon) * w + b.
func (s *Set) AddNorm(x, h, bias, w, b []float32, epsilon float64) {
	n := len(x)
	h, bias, w, b = h[:n], bias[:n], w[:n], b[:n]
	if n > 0 && s.wide(n) == n {
		wideAddNorm(&x[0], &h[0], &bias[0], &w[0], &b[0], n, float32(epsilon))
		return
	}
	addNormPortable(x, h, bias, w, b, epsilon)
}

func addNormPortable(x, h, bias, w, b []float32, epsilon float64) {
	var sum, squares float64
	for i, v := range x {
		x[i] = v + h[i] + bias[i]
		sum += float64(x[i])
	}
	mean := float32(sum / float64(len(x)))
	for _, v := range x {
		squares += float64(v-mean) * float64(v-mean)
	}
	scale := float32(1 / math.Sqrt(squares/float64(len(x))+epsilon))
	for i, v := range x {
		x[i] = (v-mean)*scale*w[i] + b[i]
	}
}
