package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// both runs a test with the assembly and without.
func both(t *testing.T, f func(t *testing.T)) {
	was := assembly
	defer func() { assembly = was }()
	for _, on := range []bool{true, false} {
		if on && !was {
			continue
		}
		assembly = on
		t.Run(map[bool]string{true: "assembly", false: "portable"}[on], f)
	}
}

// AVX-512 gives the bits of AVX2.
func TestDouble(t *testing.T) {
	if !double {
		t.Skip("this processor has no AVX-512")
	}
	defer func() { double = true }()
	r := rand.New(rand.NewPCG(1, 3))
	for _, size := range [][3]int{{12, 16, 1}, {24, 32, 7}, {100, 50, 400}, {192, 1152, 801}} {
		m, n, k := size[0], size[1], size[2]
		x, y := random(r, m*k), random(r, k*n)
		for _, a := range []view{rows(x, k), rows(x, m).transposed()} {
			p := newPool(1)
			var mem packing
			var c [2][]float32
			for i := range c {
				double = i == 1
				c[i] = slices.Repeat([]float32{7}, m*n)
				p.mul(m, n, k, a, rows(y, n), c[i], n, true, &mem)
			}
			if !slices.Equal(c[0], c[1]) {
				t.Errorf("%v: other bits", size)
			}
		}
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func TestProducts(t *testing.T) {
	both(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, size := range [][3]int{{1, 1, 1}, {6, 16, 4}, {7, 17, 5}, {96, 48, 384}, {100, 33, 400}, {13, 70, 801}, {200, 16, 3}} {
			m, n, k := size[0], size[1], size[2]
			for kind := range 4 {
				at, bt := kind&1 != 0, kind&2 != 0
				x, y := random(r, m*k), random(r, k*n)
				a, b := rows(x, k), rows(y, n)
				if at {
					a = rows(x, m).transposed()
				}
				if bt {
					b = rows(y, k).transposed()
				}
				want := make([]float64, m*n)
				for i := range m {
					for j := range n {
						for l := range k {
							want[i*n+j] += float64(a.data[i*a.row+l*a.col]) * float64(b.data[l*b.row+j*b.col])
						}
					}
				}
				var first []float32
				for threads := 1; threads <= 3; threads++ {
					p := newPool(threads)
					var mem packing
					c := slices.Repeat([]float32{7}, m*n)
					p.mul(m, n, k, a, b, c, n, false, &mem)
					for i, v := range c {
						if math.Abs(float64(v)-want[i]) > 1e-5*math.Sqrt(float64(k))*8 {
							t.Fatalf("%v, transposed %v %v, element %d: %g, not %g", size, at, bt, i, v, want[i])
						}
					}
					if first == nil {
						first = slices.Clone(c)
					} else if !slices.Equal(first, c) {
						t.Fatalf("%v: other bits with %d threads", size, threads)
					}
					p.mul(m, n, k, a, b, c, n, true, &mem)
					for i, v := range c {
						if math.Abs(float64(v)-2*want[i]) > 2e-5*math.Sqrt(float64(k))*8 {
							t.Fatalf("%v, adding, element %d: %g, not %g", size, i, v, 2*want[i])
						}
					}
					p.close()
				}
			}
		}
	})
}

// slope checks a gradient against the difference quotient of f along a
// random direction.
func slope(t *testing.T, name string, r *rand.Rand, f func() float64, x, gradient []float32, step, tolerance float64) {
	t.Helper()
	direction := random(r, len(x))
	old := slices.Clone(x)
	move := func(by float64) float64 {
		for i, d := range direction {
			x[i] = old[i] + float32(by)*d
		}
		return f()
	}
	want := (8*(move(step)-move(-step)) - (move(2*step) - move(-2*step))) / (12 * step)
	copy(x, old)
	got, size := 0.0, 0.0
	for i, g := range gradient {
		got += float64(g) * float64(direction[i])
		size += float64(g) * float64(g)
	}
	if size = math.Sqrt(size); math.Abs(got-want) > tolerance*(size+1e-3) {
		t.Errorf("%s: the slope is %g by the gradient and %g by difference (gradient's length %g)", name, got, want, size)
	}
}

// sum is the product of y with fixed numbers, so that those are its gradient.
func sum(y, by []float32) (s float64) {
	for i, v := range y {
		s += float64(v) * float64(by[i])
	}
	return s
}

func TestGradientsOfSteps(t *testing.T) {
	both(t, func(t *testing.T) {
		for _, n := range []int{5, 8, 32, 43} {
			r := rand.New(rand.NewPCG(3, uint64(n)))
			dy := random(r, n)

			gate, up, y := random(r, n), random(r, n), make([]float32, n)
			f := func() float64 { swiGLU(y, gate, up); return sum(y, dy) }
			dgate, dup := slices.Clone(gate), slices.Clone(up)
			swiGLUBack(dgate, dup, dy)
			slope(t, "SwiGLU's gate", r, f, gate, dgate, 1e-2, 1e-3)
			slope(t, "SwiGLU's other factor", r, f, up, dup, 1e-2, 1e-3)

			x := random(r, n)
			p := make([]float32, n)
			f = func() float64 { copy(p, x); softmax(p, 0.7); return sum(p, dy) }
			f()
			d := slices.Clone(dy)
			softmaxBack(d, p, 0.7)
			slope(t, "softmax", r, f, x, d, 1e-2, 1e-3)
			copy(p, x)
			if got, want := softmax(p, 0.7), logSumExp(x, 0.7); math.Abs(got-want) > 1e-5 {
				t.Errorf("the logarithm of softmax's sum is %g, not %g", got, want)
			}

			w := random(r, n)
			f = func() float64 { norm(y, x, w, 1e-5); return sum(y, dy) }
			scale := norm(y, x, w, 1e-5)
			dx, dw := make([]float32, n), make([]float32, n)
			normBack(dx, dw, slices.Clone(dy), x, w, scale)
			slope(t, "the norm's argument", r, f, x, dx, 1e-2, 1e-3)
			slope(t, "the norm's weights", r, f, w, dw, 1e-2, 1e-3)
		}
	})
}

func logSumExp(x []float32, scale float64) float64 {
	s := 0.0
	for _, v := range x {
		s += math.Exp(float64(v) * scale)
	}
	return math.Log(s)
}

var smallShape = Shape{Vocabulary: 50, Context: 128, Embedding: 24, FeedForward: 40, Layers: 2, Heads: 4, KVHeads: 2, Head: 6, RopeBase: 10000, Epsilon: 1e-5}

// randomBatch is segments of these lengths.
func randomBatch(r *rand.Rand, s Shape, lengths ...int) *batch {
	b := &batch{}
	for _, n := range lengths {
		b.segments = append(b.segments, segment{len(b.ids), n})
		for range n {
			b.ids = append(b.ids, int32(r.IntN(s.Vocabulary)))
			b.targets = append(b.targets, int32(r.IntN(s.Vocabulary)))
			b.weights = append(b.weights, []float32{0, 0.25, 1}[r.IntN(3)])
		}
	}
	return b
}

// The gradient of every tensor of a whole model.
func TestGradients(t *testing.T) {
	both(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		m := newNet(smallShape, 2)
		defer m.pool.close()
		m.w.initialise(smallShape, 1)
		for i := range m.w.embedding { // small ones are too curved for differences
			m.w.embedding[i] *= 30
		}
		b := randomBatch(r, smallShape, 3, 1, 110, 17)
		m.step(b)
		gradient := slices.Clone(m.g.all)
		list, _ := smallShape.tensors()
		for _, x := range list {
			slope(t, x.name, r, func() float64 { return m.loss(b) }, m.w.all[x.at:x.at+x.size()], gradient[x.at:x.at+x.size()], 4e-3, 2e-2)
		}
	})
}

// A token sees nothing of other segments and nothing of what follows it.
func TestSegments(t *testing.T) {
	m := newNet(smallShape, 1)
	m.w.initialise(smallShape, 1)
	r := rand.New(rand.NewPCG(7, 8))
	b := randomBatch(r, smallShape, 20, 30, 9)
	m.forward(b)
	d := smallShape.Embedding
	before := slices.Clone(m.x)
	b.ids[25] = (b.ids[25] + 1) % 50 // the sixth token of the second segment
	m.forward(b)
	for at := range b.ids {
		same := slices.Equal(before[at*d:(at+1)*d], m.x[at*d:(at+1)*d])
		if changed := at >= 25 && at < 50; changed == same {
			t.Errorf("token %d changed: %v, after token 25 did", at, !same)
		}
	}
}

// The number of threads changes no bit.
func TestThreads(t *testing.T) {
	var want []float32
	for threads := 1; threads <= 4; threads++ {
		m := newNet(smallShape, threads)
		m.w.initialise(smallShape, 1)
		a, spans := newAdam(smallShape), smallShape.spans()
		for i := range 3 {
			m.step(randomBatch(rand.New(rand.NewPCG(9, uint64(i))), smallShape, 50, 100, 7, 128))
			a.update(m.pool, spans, m.w.all, m.g.all, i+1, 1e-3)
		}
		m.pool.close()
		if want == nil {
			want = m.w.all
		} else if !slices.Equal(want, m.w.all) {
			t.Errorf("other weights with %d threads", threads)
		}
	}
}

// AdamW as its authors write it, in float64.
func TestAdam(t *testing.T) {
	s := Shape{Vocabulary: 3, Context: 4, Embedding: 2, FeedForward: 2, Layers: 1, Heads: 1, KVHeads: 1, Head: 2, RopeBase: 10000, Epsilon: 1e-5}
	r := rand.New(rand.NewPCG(1, 1))
	p := newPool(1)
	a := newAdam(s)
	n := s.Parameters()
	w := random(r, n)
	want, m, v := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range w {
		want[i] = float64(w[i])
	}
	decay := make([]bool, n)
	for _, x := range s.spans() {
		for i := x.from; i < x.to; i++ {
			decay[i] = x.decay
		}
	}
	for step := 1; step <= 5; step++ {
		g := random(r, n)
		length := 0.0
		for _, x := range g {
			length += float64(x) * float64(x)
		}
		length = math.Sqrt(length)
		if got := a.update(p, s.spans(), w, g, step, 0.01); math.Abs(got-length) > 1e-4 {
			t.Errorf("the gradients' length is %g, not %g", got, length)
		}
		for i, x := range g {
			x := float64(x) / max(1, length)
			m[i] = 0.9*m[i] + 0.1*x
			v[i] = 0.98*v[i] + 0.02*x*x
			if decay[i] {
				want[i] -= 0.01 * 0.1 * want[i]
			}
			want[i] -= 0.01 * (m[i] / (1 - math.Pow(0.9, float64(step)))) / (math.Sqrt(v[i]/(1-math.Pow(0.98, float64(step)))) + 1e-8)
		}
	}
	for i := range w {
		if math.Abs(float64(w[i])-want[i]) > 1e-5 {
			t.Errorf("parameter %d is %g, not %g", i, w[i], want[i])
		}
	}
}

func TestRate(t *testing.T) {
	o := Options{Steps: 100, Rate: 1, Warmup: 10, Fall: 40}
	for step, want := range map[int]float64{0: 0.1, 9: 1, 10: 1, 60: 1, 80: 0.505, 100: 0.01} {
		if got := o.rate(step); math.Abs(got-want) > 1e-9 {
			t.Errorf("the rate of step %d is %g, not %g", step, got, want)
		}
	}
}

// BenchmarkProducts is the products of a step: forward, and backward by the
// vectors and by the weights.
func BenchmarkProducts(b *testing.B) {
	const n = 2048
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{192, 320}, {192, 1152}, {576, 192}} {
		in, out := size[0], size[1]
		x, w, y := random(r, n*in), random(r, in*out), random(r, n*out)
		p := newPool(1)
		var mem packing
		for name, do := range map[string]func(){
			"forward": func() { p.mul(n, out, in, rows(x, in), rows(w, in).transposed(), y, out, false, &mem) },
			"vectors": func() { p.mul(n, in, out, rows(y, out), rows(w, in), x, in, false, &mem) },
			"weights": func() { p.mul(out, in, n, rows(y, out).transposed(), rows(x, in), w, in, false, &mem) },
		} {
			b.Run(fmt.Sprintf("%dx%d/%s", in, out, name), func(b *testing.B) {
				for b.Loop() {
					do()
				}
				b.ReportMetric(2*float64(n*in*out)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// BenchmarkStep is a step of the guide model's training.
func BenchmarkStep(b *testing.B) {
	s := Default()
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("%dthreads", threads), func(b *testing.B) {
			m := newNet(s, threads)
			defer m.pool.close()
			m.w.initialise(s, 1)
			x := randomBatch(rand.New(rand.NewPCG(1, 2)), s, slices.Repeat([]int{64, 64, 128, 256}, 4)...)
			a, spans, n := newAdam(s), s.spans(), 0
			m.step(x)
			b.ReportAllocs()
			for b.Loop() {
				n++
				m.step(x)
				a.update(m.pool, spans, m.w.all, m.g.all, n, 1e-3)
			}
			b.ReportMetric(float64(len(x.ids))*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
