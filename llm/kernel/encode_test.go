package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"alphaos/llm/gguf"
)

// Weights that were quantized and expanded again lie near the originals: the
// bound is the root mean square of the differences, relative to that of the
// weights, which for normally distributed ones follows from the format's bits.
func TestRoundTrip(t *testing.T) {
	bounds := map[gguf.Type]float64{
		gguf.F32: 0, gguf.F16: 3e-4, gguf.BF16: 2.2e-3, gguf.Q8_0: 0.0065,
		gguf.Q4_0: 0.098, gguf.Q4_1: 0.088, gguf.Q5_0: 0.049, gguf.Q5_1: 0.043, gguf.IQ4_NL: 0.083,
		gguf.Q2_K: 0.34, gguf.Q3_K: 0.17, gguf.Q4_K: 0.077, gguf.Q5_K: 0.041, gguf.Q6_K: 0.021, gguf.IQ4_XS: 0.083,
		gguf.Q1_0: 0.64, gguf.Q2_0: 0.41, gguf.PQ2_0: 0.42, gguf.PTQ1_0: 0.45, gguf.TQ1_0: 0.45, gguf.TQ2_0: 0.45, gguf.MXFP4: 0.13,
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, typ := range Types() {
		if !Writable(typ) {
			continue
		}
		x := randomVector(r, 256*100)
		for i := range x {
			x[i] *= 0.02 * (1 + float32(i/256%7)) // not all blocks alike
		}
		clear(x[256:512])              // a block of zeros
		x[600] = 0.5                   // an outlier
		for i := 1024; i < 1280; i++ { // one sign only
			x[i] = magnitude(x[i])
		}
		for i := 1280; i < 1536; i++ {
			x[i] = -0.25
		}
		b := make([]byte, len(x)/typ.BlockSize()*typ.BlockBytes())
		for i := range b {
			b[i] = 0xee // every byte must be written
		}
		Quantize(typ, b, x)
		y := make([]float32, len(x))
		Dequantize(typ, y, b)
		var difference, size float64
		for i, v := range x {
			difference += float64(y[i]-v) * float64(y[i]-v)
			size += float64(v) * float64(v)
		}
		rms := math.Sqrt(difference / size)
		t.Logf("%v: %.5f", typ, rms)
		if bound, ok := bounds[typ]; !ok || !(rms <= bound) {
			t.Errorf("%v: relative error %.5f, more than %.5f", typ, rms, bound)
		}
		for i, v := range y[256:512] {
			if v != 0 {
				t.Errorf("%v: zero %d became %g", typ, i, v)
				break
			}
		}
		for i, v := range y[1280:1536] {
			if math.Abs(float64(v)+0.25) > 0.25*0.1 {
				t.Errorf("%v: of equal weights number %d became %g instead of -0.25", typ, i, v)
				break
			}
		}
		// What a format can hold exactly stays: quantizing again changes
		// little of an expanded block.
		again := make([]byte, len(b))
		z := make([]float32, len(y))
		Quantize(typ, again, y)
		Dequantize(typ, z, again)
		difference = 0
		for i, v := range y {
			difference += float64(z[i]-v) * float64(z[i]-v)
		}
		if again := math.Sqrt(difference / size); again > rms*0.75+1e-9 {
			t.Errorf("%v: relative error %.5f the second time, %.5f the first", typ, again, rms)
		}
	}
}
