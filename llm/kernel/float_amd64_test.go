package kernel

import (
	"math"
	"testing"
	"unsafe"
)

// The exponentials that take several registers at a time are Exp to the bit, also of numbers for which no power of two serves.
func TestWideExp(t *testing.T) {
	special := []float32{float32(math.NaN()), float32(math.Inf(-1)), -3e38, -87, math.Nextafter32(-87, -88), -88, -1e-30, 0, 88.3, 88.4, 89, 1e10, float32(math.Inf(1))}
	for _, s := range usableSets(t) {
		if s == portable {
			continue
		}
		exp := wideExp
		if s.has512() {
			exp = wideExp512
		}
		for _, n := range []int{8, 40, 136, 264} {
			for shift := range n {
				x := make([]float32, n)
				for i := range x {
					x[i] = special[(i+shift)%len(special)]
				}
				exp(&x[0], n, 0, 1, unsafe.Pointer(&x[0]), 0)
				for i, got := range x {
					v := special[(i+shift)%len(special)]
					if want := Exp(v); math.Float32bits(got) != math.Float32bits(want) && !(v != v && got != got) {
						t.Fatalf("%s: number %d of %d, exp(%g), is %g, not %g", s.Name(), i, n, v, got, want)
					}
				}
			}
		}
	}
}
