package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Products of all shapes against the same in float64; what lies between the
// rows of the result stays as it was.
func TestProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for _, rows := range []int{1, 3, 4, 5, 7, 8, 33} {
		for _, cols := range []int{1, 8, 15, 16, 17, 48, 50} {
			for _, inner := range []int{1, 2, 31, 64} {
				a := Dense{randomVector(r, rows*(inner+3)), inner + 3}
				b := Dense{randomVector(r, inner*(cols+1)), cols + 1}
				for _, s := range usableSets(t) {
					y := Dense{randomVector(r, rows*(cols+2)), cols + 2}
					before := append([]float32(nil), y.X...)
					s.Product(y, a, b, rows, inner, cols)
					for i, got := range y.X {
						row, col := i/y.Step, i%y.Step
						if col >= cols {
							if got != before[i] {
								t.Fatalf("%s, %d x %d x %d: number %d of row %d is beyond the result and was changed", s.Name(), rows, inner, cols, col, row)
							}
							continue
						}
						var want, size float64
						for k := range inner {
							p := float64(a.X[row*a.Step+k]) * float64(b.X[k*b.Step+col])
							want += p
							size += math.Abs(p)
						}
						if math.Abs(float64(got)-want) > 1e-5*size {
							t.Fatalf("%s, %d x %d x %d: row %d, column %d is %g, not %g", s.Name(), rows, inner, cols, row, col, got, want)
						}
					}
				}
			}
		}
	}
	for i, f := range []func(s *Set, x Dense){
		func(s *Set, x Dense) { s.Product(x, x, x, 5, 4, 4) },
		func(s *Set, x Dense) { s.Product(x, Dense{x.X, 5}, x, 4, 4, 4) },
		func(s *Set, x Dense) { s.Product(x, x, Dense{x.X, 5}, 4, 4, 4) },
		func(s *Set, x Dense) { s.Product(Dense{x.X, 3}, x, x, 4, 4, 4) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("product %d of matrices that do not fit was computed", i)
				}
			}()
			f(portable, Dense{make([]float32, 16), 4})
		}()
	}
}

func TestAddNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	for _, n := range []int{1, 4, 8, 12, 16, 384, 1000} {
		x, h, bias, w, b := randomVector(r, n), randomVector(r, n), randomVector(r, n), randomVector(r, n), randomVector(r, n)
		var sum, squares float64
		for i := range x {
			sum += float64(x[i] + h[i] + bias[i])
		}
		mean := sum / float64(n)
		for i := range x {
			squares += math.Pow(float64(x[i]+h[i]+bias[i])-mean, 2)
		}
		scale := 1 / math.Sqrt(squares/float64(n)+1e-5)
		for _, s := range usableSets(t) {
			got := append([]float32(nil), x...)
			s.AddNorm(got, h, bias, w, b, 1e-5)
			sums := append([]float32(nil), x...)
			s.Add(sums, h)
			for i := range got {
				want := (float64(x[i]+h[i]+bias[i])-mean)*scale*float64(w[i]) + float64(b[i])
				if !(math.Abs(float64(got[i])-want) <= 1e-5*(1+math.Abs(want))) {
					t.Fatalf("%s: the norm of %d numbers has %g at %d, not %g", s.Name(), n, got[i], i, want)
				}
				if sums[i] != x[i]+h[i] {
					t.Fatalf("%s: the sum %g + %g is %g", s.Name(), x[i], h[i], sums[i])
				}
			}
		}
	}
}

// BenchmarkProduct is the attention of one head of 32 over 128 tokens.
func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 7))
	for _, c := range []struct{ rows, inner, cols int }{{128, 32, 128}, {128, 128, 32}} {
		x, w, y := Dense{randomVector(r, c.rows*c.inner), c.inner}, Dense{randomVector(r, c.inner*c.cols), c.cols}, Dense{make([]float32, c.rows*c.cols), c.cols}
		for _, s := range usableSets(b) {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", c.rows, c.inner, c.cols, s.Name()), func(b *testing.B) {
				for b.Loop() {
					s.Product(y, x, w, c.rows, c.inner, c.cols)
				}
				b.ReportMetric(float64(c.rows*c.inner*c.cols)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}
