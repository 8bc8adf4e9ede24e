package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"alphaos/llm/gguf"
)

// Repacked rows become panels where there are enough vectors.
func TestRepackedPanels(t *testing.T) {
	const rows, cols = 40, 768
	for _, s := range usableSets(t) {
		for _, typ := range []gguf.Type{gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0, gguf.TQ2_0, gguf.MXFP4} {
			way, ok := s.way.(assembly)
			if !ok {
				continue
			}
			n := layouts[typ].panelsNarrow
			if way.wide {
				n = layouts[typ].panelsWide
			}
			if n == 0 {
				continue
			}
			n++ // a tile that is not full
			r := rand.New(rand.NewPCG(uint64(typ), 8))
			w := randomWeights(r, typ, rows*cols)
			m, err := s.NewMatrix(typ, rows, cols, slices.Clone(w))
			if err != nil {
				t.Fatal(err)
			}
			m.Repack(inTurn)
			x := randomVector(r, n*cols)
			a := s.NewActivations(FormOf(typ), cols, n)
			a.Set(x, n)
			y := slices.Repeat([]float32{12345}, n*(rows+3))
			m.Mul(y, rows+3, a, 0, rows)
			checkProduct(t, fmt.Sprintf("%s %v, %d vectors in panels", s.Name(), typ, n), m, w, x, y, rows+3, a)
		}
	}
}
