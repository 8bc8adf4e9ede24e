package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"alphaos/llm/gguf"
)

// A type is a row of formats: each has all that Go needs to read, write and
// multiply it, and a dot of its own computes what unpack defines.
func TestFormatsAreComplete(t *testing.T) {
	const cols = 1024
	for i := range formats {
		f := &formats[i]
		switch {
		case formatOf(f.t) != f:
			t.Errorf("%v has two rows", f.t)
		case !f.t.Known():
			t.Errorf("type %v is unknown to gguf", f.t)
		case (f.form == PlainF32) != (f.t.BlockSize() == 1):
			t.Errorf("%v has blocks of %d weights and activations of form %d", f.t, f.t.BlockSize(), f.form)
		case f.form == PlainF32 && (f.decode == nil || f.dot == nil || f.unpack != nil):
			t.Errorf("%v is not quantized and needs decode and dot, no unpack", f.t)
		case f.form != PlainF32 && (f.unpack == nil || f.decode != nil):
			t.Errorf("%v is quantized and needs unpack, no decode", f.t)
		case f.eight != nil && f.form != Q8, f.wide != nil && f.form != Q8K:
			t.Errorf("%v is rewritten for another form of activations", f.t)
		case f.form == Q8 && f.t.BlockSize()%32 != 0, f.form == Q8K && f.t.BlockSize() != 256:
			t.Errorf("%v has blocks of %d weights and activations of form %d", f.t, f.t.BlockSize(), f.form)
		}
		if f.dot == nil || f.unpack == nil {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(f.t), 11))
		w := randomWeights(r, f.t, cols)
		a := portable.NewActivations(f.form, cols, 1)
		a.Set(randomVector(r, cols), 1)
		var u unpacked
		x := make([]float32, cols)
		Dequantize(f.t, x, w)
		var size float64
		for i, v := range x {
			size += math.Abs(float64(v * a.f[i]))
		}
		if got, want := f.dot(w, a, 0, 0), u.dot(f, w, a, 0, 0); !(math.Abs(float64(got-want)) <= 2e-5*size) {
			t.Errorf("%v: dot is %g, by way of unpack %g", f.t, got, want)
		}
	}
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0} {
		if formatOf(typ).sum == nil {
			t.Errorf("%v, a type of Rows, has no sum", typ)
		}
	}
	for _, typ := range []gguf.Type{gguf.Q8_1, typeCount, 1 << 31} {
		if Supported(typ) {
			t.Errorf("type %d has no row and is supported", typ)
		}
	}
}

// Every set computes the same as the portable one, but for the order of
// additions, with whatever kernels it has for a type.
func TestSetsAgree(t *testing.T) {
	const rows, cols = 40, 768
	for _, typ := range Types() {
		r := rand.New(rand.NewPCG(uint64(typ), 12))
		for _, n := range []int{1, 3, 4, 20, 300} {
			w, x := randomWeights(r, typ, rows*cols), randomVector(r, n*cols)
			product := func(s *Set, repack bool) []float32 {
				m, err := s.NewMatrix(typ, rows, cols, append([]byte(nil), w...))
				if err != nil {
					t.Fatal(err)
				}
				if repack {
					m.Repack(inTurn)
				}
				a := s.NewActivations(FormOf(typ), cols, n)
				a.Set(x, n)
				y := make([]float32, n*rows)
				m.Mul(y, rows, a, 0, rows)
				return y
			}
			want := product(portable, false)
			var size float64
			for _, v := range want {
				size = max(size, math.Abs(float64(v)))
			}
			for _, s := range usableSets(t) {
				for _, repack := range []bool{false, true} {
					for i, v := range product(s, repack) {
						if !(math.Abs(float64(v-want[i])) <= 1e-4*size) {
							t.Fatalf("%s %v, %d vectors, repacked %v: product %d is %g, portable %g", s.Name(), typ, n, repack, i, v, want[i])
						}
					}
				}
			}
		}
	}
}

// No product allocates, however few or many vectors and wherever rows begin and
// end, so that the garbage collector has nothing to do in long answers.
func TestNoAllocations(t *testing.T) {
	const rows = 43
	for _, s := range usableSets(t) {
		most := 300 // enough for panels
		if s == portable {
			most = 21
		}
		check := func(what string, typ gguf.Type, f func()) {
			t.Helper()
			if n := testing.AllocsPerRun(4, f); n != 0 {
				t.Errorf("%s %v: %s allocates %v times", s.Name(), typ, what, n)
			}
		}
		for _, typ := range Types() {
			cols := 512
			if typ.BlockSize() == 1 {
				cols = 500 // a few more than a multiple of 8
			}
			r := rand.New(rand.NewPCG(uint64(typ), 13))
			m, err := s.NewMatrix(typ, rows, cols, randomWeights(r, typ, rows*cols))
			if err != nil {
				t.Fatal(err)
			}
			x, y, row := randomVector(r, most*cols), make([]float32, most*rows), make([]float32, cols)
			encoded := make([]byte, cols/typ.BlockSize()*typ.BlockBytes())
			a := s.NewActivations(FormOf(typ), cols, most)
			for _, how := range []string{"as in a file", "repacked"} {
				if how == "repacked" {
					m.Repack(inTurn)
				}
				for _, n := range []int{1, 3, 20, most} {
					a.Hold(x, n)
					check("preparing", typ, func() { a.Prepare(0, n) })
					check("a product "+how, typ, func() { m.Mul(y, rows, a, 3, rows) })
				}
				check("a row "+how, typ, func() { m.Row(row, 5) })
			}
			check("reading", typ, func() { Dequantize(typ, row, encoded) })
			if Writable(typ) {
				check("writing", typ, func() { Quantize(typ, encoded, row) })
			}
		}
		for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0} {
			cols := 44
			if typ == gguf.Q8_0 {
				cols = 96
			}
			table := s.NewRows(rows, cols, typ)
			a := s.NewActivations(FormOf(typ), cols, 2)
			x, y, sum := randomVector(rand.New(rand.NewPCG(1, 14)), 2*cols), make([]float32, 2*rows), make([]float32, cols)
			check("a table of rows", table.m.Type, func() {
				table.Put(1, x[:cols])
				a.Set(x, 2)
				table.Mul(y, rows, a, 0, rows)
				table.Sum(sum, 1, y, 0, 0, rows)
			})
		}
		d := Dense{make([]float32, 33*33), 33}
		check("a product of float32 matrices", gguf.F32, func() { s.Product(d, Dense{d.X, 0}, Dense{d.X, 0}, 1, 1, 33) })
		a, b := Dense{make([]float32, 7*7), 7}, Dense{make([]float32, 7*33), 33}
		check("a product of float32 matrices", gguf.F32, func() { s.Product(d, a, b, 7, 7, 33) })
	}
}
