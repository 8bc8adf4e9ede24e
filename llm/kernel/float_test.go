package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestExp(t *testing.T) {
	for x := float32(-90); x < 88.3; x += 0.0137 {
		got, want := float64(Exp(x)), math.Exp(float64(x))
		if math.Abs(got-want) > 3e-7*want && want > 1e-37 {
			t.Fatalf("Exp(%g) = %g, not %g", x, got, want)
		}
	}
	for x, want := range map[float32]float64{-1000: 0, 0: 1, 1000: math.Inf(1)} {
		if got := float64(Exp(x)); got != want {
			t.Errorf("Exp(%g) = %g, not %g", x, got, want)
		}
	}
	if nan := Exp(float32(math.NaN())); nan == nan {
		t.Errorf("Exp(NaN) = %g", nan)
	}
}

// All sets compute the functions between the matrices to the same bits (but
// for the sums of softmax and RMSNorm), near to what float64 gives.
func TestFloat(t *testing.T) {
	inf := float32(math.Inf(1))
	r := rand.New(rand.NewPCG(1, 4))
	for _, n := range []int{1, 2, 7, 8, 9, 16, 31, 1000} {
		x, up := randomVector(r, n), randomVector(r, n)
		for i, v := range []float32{0, float32(math.Copysign(0, -1)), 100, -100, 88.5, -87.5, 1e-30, 20, -20, 3e38, -3e38} {
			if at := i * 3; at < n {
				x[at] = v
			}
		}
		for _, s := range usableSets(t) {
			gate, gelu, soft := append([]float32(nil), x...), append([]float32(nil), x...), append([]float32(nil), up...)
			s.SwiGLU(gate, up)
			s.Gelu(gelu)
			s.Softmax(soft, 0.7)
			norm, squares := make([]float32, n), 0.0
			s.RMSNorm(norm, up, x, 1e-5)
			place := slices.Clone(up)
			if s.RMSNorm(place, place, x, 1e-5); !slices.Equal(place, norm) {
				t.Errorf("%s: a norm of %d numbers in place is another", s.Name(), n)
			}
			for _, v := range up {
				squares += float64(v) * float64(v)
			}
			for i, v := range up {
				if want := float64(v) / math.Sqrt(squares/float64(n)+1e-5) * float64(x[i]); !(math.Abs(float64(norm[i])-want) <= 1e-6*math.Abs(want)) && math.Abs(want) < 3e38 {
					t.Errorf("%s: norm of %g is %g, not %g", s.Name(), v, norm[i], want)
				}
			}
			var sum, total float64
			for i, v := range up {
				sum += math.Exp(float64(v) * 0.7)
				f := float64(x[i])
				if want := f / (1 + math.Exp(-f)) * float64(v); !(math.Abs(float64(gate[i])-want) <= 1e-6*math.Abs(want)+1e-30) && want < 1e38 {
					t.Errorf("%s: swiglu of %g and %g is %g, not %g", s.Name(), f, v, gate[i], want)
				}
				if want := f / (1 + math.Exp(-1.5957691216*(f+0.044715*f*f*f))); !(math.Abs(float64(gelu[i])-want) <= 3e-6*math.Abs(want)+1e-30) {
					t.Errorf("%s: gelu of %g is %g, not %g", s.Name(), f, gelu[i], want)
				}
			}
			for i, v := range up {
				total += float64(soft[i])
				if want := math.Exp(float64(v)*0.7) / sum; math.Abs(float64(soft[i])-want) > 1e-6*want {
					t.Errorf("%s: softmax of %g is %g, not %g", s.Name(), v, soft[i], want)
				}
			}
			if math.Abs(total-1) > 1e-5 {
				t.Errorf("%s: softmax of %d numbers sums to %g", s.Name(), n, total)
			}
			ours, theirs := append([]float32(nil), x...), append([]float32(nil), x...)
			s.Gelu(ours)
			portable.Gelu(theirs)
			for i := range ours {
				if ours[i] != theirs[i] {
					t.Errorf("%s: gelu of %g is %g, portable %g", s.Name(), x[i], ours[i], theirs[i])
				}
			}
		}
	}
	for _, s := range usableSets(t) {
		nan := []float32{1, 2, 3, 4, 5, 6, 7, float32(math.NaN()), 9}
		s.Gelu(nan)
		if nan[7] == nan[7] || nan[8] != nan[8] {
			t.Errorf("%s: a NaN became %g, or spread", s.Name(), nan[7])
		}
		nan[7] = float32(math.NaN())
		s.Softmax(nan, 1)
		if nan[0] == nan[0] {
			t.Errorf("%s: softmax hides a NaN", s.Name())
		}
		far := make([]float32, 17)
		far[3], far[16] = -inf, 200
		s.Softmax(far, 1)
		if far[3] != 0 || far[0] != 0 || far[16] != 1 {
			t.Errorf("%s: softmax with far numbers gives %v", s.Name(), far)
		}
		s.Softmax(nil, 1)
	}
}

// Weights are the same bits with all sets, whatever is fetched, and with all of assembly so are their sums.
func TestSoftmaxBits(t *testing.T) {
	sets := slices.DeleteFunc(usableSets(t), func(s *Set) bool { return s == portable })
	if len(sets) == 0 {
		t.Skip("there is no assembly for this processor")
	}
	r := rand.New(rand.NewPCG(1, 5))
	for n := range 300 {
		x := randomVector(r, n+8) // what follows stays
		for i := range x[:n] {
			x[i] *= float32(r.IntN(40))
		}
		for i, v := range []float32{-3e38, 0, 100, -88, -96.5} {
			if at := i*31 + n%7; at < n {
				x[at] = v
			}
		}
		var first []Softmax // what the first set of assembly has after each part
		for i, s := range sets {
			want, got := slices.Clone(x), slices.Clone(x)
			var f, g Softmax
			var sums []Softmax
			for at := 0; at < n; at += 130 { // in parts
				end := min(at+130, n)
				k, l := portable.SoftmaxPart(&f, want[at:end], 0.9, nil), s.SoftmaxPart(&g, got[at:end], 0.9, make([]byte, 8*(end-at)-n%3))
				if f.Largest != g.Largest || k != l || math.Abs(f.Sum-g.Sum) > 1e-6*f.Sum {
					t.Fatalf("%s: %d of %d numbers make %v times %g, not %v times %g", s.Name(), end, n, g, l, f, k)
				}
				sums = append(sums, g)
			}
			if i == 0 {
				first = sums
			}
			if !slices.Equal(sums, first) {
				t.Fatalf("%s: %d numbers make %v, not %v", s.Name(), n, sums, first)
			}
			for j := range x {
				if math.Float32bits(got[j]) != math.Float32bits(want[j]) {
					t.Fatalf("%s: number %d of %d is %g, not %g", s.Name(), j, n, got[j], want[j])
				}
			}
		}
	}
}

// A softmax in parts is that of all of them.
func TestSoftmaxPart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	for _, s := range usableSets(t) {
		whole := randomVector(r, 100)
		for i := range whole {
			whole[i] *= 30
		}
		parts := slices.Clone(whole)
		s.Softmax(whole, 0.7)
		var f Softmax
		at := 0
		for _, end := range []int{0, 1, 41, 41, 100} {
			s.Scale(parts[:at], s.SoftmaxPart(&f, parts[at:end], 0.7, nil))
			at = end
		}
		s.Scale(parts, f.Inverse())
		for i, want := range whole {
			if math.Abs(float64(parts[i]-want)) > 1e-5*float64(want)+1e-30 { // numbers of up to 60 are rounded
				t.Errorf("%s: weight %d is %g, not %g", s.Name(), i, parts[i], want)
			}
		}
	}
}

func BenchmarkFloat(b *testing.B) {
	x := randomVector(rand.New(rand.NewPCG(1, 1)), 4096)
	for _, s := range usableSets(b) {
		b.Run("gelu/"+s.Name(), func(b *testing.B) {
			b.SetBytes(4 * 4096)
			for b.Loop() {
				s.Gelu(x)
			}
		})
		b.Run("softmax/"+s.Name(), func(b *testing.B) {
			b.SetBytes(4 * 4096)
			for b.Loop() {
				s.Softmax(x, 0.1)
			}
		})
	}
}
