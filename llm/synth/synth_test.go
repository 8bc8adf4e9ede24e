package synth

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// TestFavourites has all tokens enter a mixture with the same first number, whatever the type, by which each router of
// Qwen's kind has its favourites without a bias.
func TestFavourites(t *testing.T) {
	s := Shapes[slices.IndexFunc(Shapes, func(s Shape) bool { return s.Name == "tiny-qwen3moe" })]
	for _, m := range Mixtures {
		var b bytes.Buffer
		if err := Write(&b, s, m, 1); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		numbers := func(name string) []float32 {
			x, ok := f.Tensor(name)
			if !ok {
				t.Fatalf("%s: there is no %s", m.Name, name)
			}
			n := make([]float32, x.Elements())
			kernel.Dequantize(x.Type, n, b.Bytes()[x.Offset:])
			return n
		}
		tokens := numbers("token_embd.weight")
		squares := 0.0
		for i, v := range tokens {
			squares += float64(v) * float64(v)
			if i%s.embedding == 0 && math.Abs(float64(v)-commonNumber) > commonNumber/8 {
				t.Fatalf("%s: token %d enters with %v", m.Name, i/s.embedding, v)
			}
		}
		if rms := math.Sqrt(squares / float64(len(tokens))); rms < tokenSize*0.7 || rms > tokenSize*1.5 {
			t.Errorf("%s: tokens enter with %v", m.Name, rms)
		}
		if _, biased := f.Tensor("blk.0.ffn_gate_inp.bias"); biased {
			t.Errorf("%s: Qwen's routers have no bias", m.Name)
		}
		first := numbers("blk.0.ffn_gate_inp.weight")[0] // rank 0 in layer 0
		for x := 1; x < s.experts; x++ {
			if v := numbers("blk.0.ffn_gate_inp.weight")[x*s.embedding]; v >= first {
				t.Errorf("%s: expert %d is preferred to the favourite: %v, %v", m.Name, x, v, first)
			}
		}
	}
}
