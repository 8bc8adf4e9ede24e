package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"alphaos/llm/gguf"
)

// What recurrent layers are made of, in every set to the same bits, and near to float64.
func TestRecur(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	for _, size := range [][2]int{{1, 1}, {3, 8}, {32, 32}, {5, 43}, {128, 128}, {7, 24}} {
		rows, cols := size[0], size[1]
		state, k, value, q := numbers(rows*cols), numbers(rows), numbers(cols), numbers(rows)
		wantY, wantNext, wantSum := make([]float64, cols), make([]float64, rows*cols), make([]float64, cols)
		for i := range rows {
			for j := range cols {
				v := 0.75*float64(state[i*cols+j]) + float64(k[i])*float64(value[j])
				wantNext[i*cols+j] = v
				wantY[j] += float64(q[i]) * v
				wantSum[j] += float64(q[i]) * float64(state[i*cols+j])
			}
		}
		near := func(what string, got []float32, want []float64) {
			t.Helper()
			for i, v := range want {
				if math.Abs(float64(got[i])-v) > 1e-4 {
					t.Fatalf("%d x %d: %s: number %d is %g, not %g", rows, cols, what, i, got[i], v)
				}
			}
		}
		var first []float32
		for _, name := range Names() {
			s, err := ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			next, y, sum := make([]float32, rows*cols), make([]float32, cols), make([]float32, cols)
			s.Recur(y, next, state, 0.75, k, value, q)
			s.Recall(sum, state, q)
			near("result", y, wantY)
			near("state", next, wantNext)
			near("sum", sum, wantSum)
			same := slices.Clone(state)
			s.Recur(y, same, same, 0.75, k, value, q)
			all := slices.Concat(next, y, sum)
			if !slices.Equal(same, next) {
				t.Errorf("%s: a state in place is another", name)
			}
			if first == nil {
				first = all
			}
			for i, v := range all {
				if math.Float32bits(v) != math.Float32bits(first[i]) {
					t.Fatalf("%s: number %d is %g, not %g", name, i, v, first[i])
				}
			}
		}
	}
}

// The rest of rounding, rounded, brings a product nearer to the exact one; and a view's products are
// those of the whole.
func TestRestAndView(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const rows, cols, n = 16, 512, 6
	for _, name := range Names() {
		s, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q4_K, gguf.F32} {
			w := make([]float32, rows*cols)
			for i := range w {
				w[i] = float32(r.NormFloat64())
			}
			data := make([]byte, rows*cols/typ.BlockSize()*typ.BlockBytes())
			Quantize(typ, data, w)
			Dequantize(typ, w, data)
			m, err := s.NewMatrix(typ, rows, cols, data)
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, n*cols)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			a := s.NewActivations(FormOf(typ), cols, n+4)
			a.Alone = true
			a.Set(x, n)
			y, part, rest := make([]float32, n*rows), make([]float32, n*rows), make([]float32, n*cols)
			m.Mul(y, rows, a, 0, rows)
			var v Activations
			a.View(&v, 2, 5)
			m.Mul(part, rows, &v, 0, rows)
			if !slices.Equal(part[:3*rows], y[2*rows:5*rows]) {
				t.Errorf("%s, %v: a view has other products", name, typ)
			}
			for i := range n {
				a.Rest(rest[i*cols:(i+1)*cols], i)
			}
			more := s.NewActivations(FormOf(typ), cols, n)
			more.Set(rest, n)
			m.Mul(part, rows, more, 0, rows)
			var before, after float64
			for i := range n {
				for row := range rows {
					exact := 0.0
					for j := range cols {
						exact += float64(w[row*cols+j]) * float64(x[i*cols+j])
					}
					before += math.Abs(float64(y[i*rows+row]) - exact)
					after += math.Abs(float64(y[i*rows+row]) + float64(part[i*rows+row]) - exact)
				}
			}
			if typ != gguf.F32 && after > before/20 {
				t.Errorf("%s, %v: %g from exact, with the rest %g", name, typ, before, after)
			}
			m.Scale = 2
			m.Mul(part, rows, a, 0, rows)
			for i, v := range y {
				if part[i] != 2*v {
					t.Fatalf("%s, %v: scaled by 2 %g is %g", name, typ, v, part[i])
				}
			}
		}
	}
}
