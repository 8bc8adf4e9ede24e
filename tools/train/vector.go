package train

import (
	"math"
	"unsafe"
)

// Functions on vectors. The first multiple of 8 numbers is computed by assembly
// where there is any.

func wide(n int) int {
	if !assembly {
		return 0
	}
	return n &^ 7
}

func numbers(p *float32, n int) []float32 { return unsafe.Slice(p, n) }

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

func sigmoid(x float32) float32 { return 1 / (1 + exp(-x)) }

// swiGLU makes out = gate*sigmoid(gate)*up.
func swiGLU(out, gate, up []float32) {
	n := wide(len(out))
	if n > 0 {
		wideSwiGLU(&out[0], &gate[0], &up[0], n)
	}
	for i := n; i < len(out); i++ {
		out[i] = gate[i] * sigmoid(gate[i]) * up[i]
	}
}

// swiGLUBack turns gate and up into their gradients, given that of the output.
func swiGLUBack(gate, up, dout []float32) {
	n := wide(len(gate))
	if n > 0 {
		wideSwiGLUBack(&gate[0], &up[0], &dout[0], n)
	}
	for i := n; i < len(gate); i++ {
		s := sigmoid(gate[i])
		silu := gate[i] * s
		d := dout[i] * up[i]
		up[i] = dout[i] * silu
		gate[i] = d * (s + silu*(1-s))
	}
}

// softmax makes x = exp(scale*x)/sum and returns the logarithm of the sum of
// exp(scale*x).
func softmax(x []float32, scale float32) (logSum float64) {
	n := wide(len(x))
	largest, sum := x[0], float32(0)
	if n > 0 {
		largest = wideMax(&x[0], n)
	}
	for _, v := range x[n:] {
		largest = max(largest, v)
	}
	if n > 0 {
		sum = wideExp(&x[0], n, largest, scale)
	}
	for i := n; i < len(x); i++ {
		x[i] = exp((x[i] - largest) * scale)
		sum += x[i]
	}
	multiply(x, 1/sum)
	return float64(largest*scale) + math.Log(float64(sum))
}

// softmaxBack turns the gradient d of a softmax's result p into that of its
// argument.
func softmaxBack(d, p []float32, scale float32) {
	mean := dot(d, p)
	n := wide(len(d))
	if n > 0 {
		wideSoftmaxBack(&d[0], &p[0], n, mean, scale)
	}
	for i := n; i < len(d); i++ {
		d[i] = (d[i] - mean) * p[i] * scale
	}
}

func dot(x, y []float32) (sum float32) {
	n := wide(len(x))
	if n > 0 {
		sum = wideDot(&x[0], &y[0], n)
	}
	for i := n; i < len(x); i++ {
		sum += x[i] * y[i]
	}
	return sum
}

// multiply makes x = f*x.
func multiply(x []float32, f float32) {
	n := wide(len(x))
	if n > 0 {
		wideScale(&x[0], n, f)
	}
	for i := n; i < len(x); i++ {
		x[i] *= f
	}
}

// addTo makes y += f*x.
func addTo(y, x []float32, f float32) {
	n := wide(len(y))
	if n > 0 {
		wideAdd(&y[0], &x[0], n, f)
	}
	for i := n; i < len(y); i++ {
		y[i] += f * x[i]
	}
}

// norm is the root-mean-square norm, y = x*w/rms(x). It returns 1/rms(x).
func norm(y, x, w []float32, epsilon float32) float32 {
	f := float32(1 / math.Sqrt(float64(dot(x, x)/float32(len(x))+epsilon)))
	n := wide(len(x))
	if n > 0 {
		wideNorm(&y[0], &x[0], &w[0], n, f)
	}
	for i := n; i < len(x); i++ {
		y[i] = f * x[i] * w[i]
	}
	return f
}

// normBack adds to dx and dw, given the norm's 1/rms f and the gradient dy of
// its result, which is spoilt.
func normBack(dx, dw, dy, x, w []float32, f float32) {
	mulAdd(dw, dy, x, f)
	n := wide(len(x))
	if n > 0 {
		wideNorm(&dy[0], &dy[0], &w[0], n, f)
	}
	for i := n; i < len(x); i++ {
		dy[i] *= f * w[i]
	}
	slope := -f * f / float32(len(x)) * dot(dy, x)
	addTo(dx, dy, 1)
	addTo(dx, x, slope)
}

// mulAdd makes y += f*a*b.
func mulAdd(y, a, b []float32, f float32) {
	n := wide(len(y))
	if n > 0 {
		wideMulAdd(&y[0], &a[0], &b[0], n, f)
	}
	for i := n; i < len(y); i++ {
		y[i] += f * a[i] * b[i]
	}
}
