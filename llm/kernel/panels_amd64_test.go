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

// VNNI adds in one instruction what AVX2 adds in several, so that the results are the same bits, whether rows are repacked or
// as in a file, for a few vectors and for as many as make panels; with AVX-512 for a few vectors and repacked rows.
func TestVNNIGivesTheBitsOfAVX2(t *testing.T) {
	const rows, cols = 40, 768
	of := map[string]*Set{}
	for _, s := range usableSets(t) {
		of[s.Name()] = s
	}
	if of["avx2+vnni"] == nil && of["avx512+vnni"] == nil {
		t.Skip("the processor has no VNNI")
	}
	for typ := range typeCount {
		if layouts[typ].pack == nil {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(typ), 9))
		w := randomWeights(r, typ, rows*cols)
		for _, n := range []int{1, 2, 4, 6, 7, 9, 17, 261} {
			x := randomVector(r, n*cols)
			product := func(s *Set, repacked bool) []float32 {
				m, err := s.NewMatrix(typ, rows, cols, slices.Clone(w))
				if err != nil {
					t.Fatal(err)
				}
				if repacked {
					m.Repack(inTurn)
				}
				a := s.NewActivations(FormOf(typ), cols, n)
				a.Set(x, n)
				y := make([]float32, n*rows)
				m.Mul(y, rows, a, 0, rows)
				return y
			}
			for _, repacked := range []bool{false, true} {
				want := product(of["avx2+fma"], repacked)
				for _, name := range []string{"avx2+vnni", "avx512+vnni"} {
					wide := name == "avx512+vnni" && (!repacked || n >= layouts[typ].panelsWide)
					if s := of[name]; s != nil && !wide && !slices.Equal(product(s, repacked), want) {
						t.Errorf("%s, %v, %d vectors, repacked: %v: other bits", name, typ, n, repacked)
					}
				}
			}
		}
	}
}
