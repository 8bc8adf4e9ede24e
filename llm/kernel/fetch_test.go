package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"alphaos/llm/gguf"
)

// inRuns are the types that can be read in four runs.
var inRuns = []gguf.Type{gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}

// Rows read in four runs, some of them left over, give the bits that they give one after the other, and so do all other ways to fetch.
func TestFetches(t *testing.T) {
	for _, name := range Names() {
		s, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range append(inRuns, gguf.TQ2_0, gguf.F16) {
			for _, cols := range []int{96, 288, 256, 768, 2560} { // fewer blocks than lie together, not a multiple of those, one, an odd number, many
				if cols%typ.BlockSize() != 0 {
					continue
				}
				const rows = 300
				r := rand.New(rand.NewPCG(uint64(typ), uint64(cols)))
				var w []byte
				for range rows {
					w = append(w, randomWeights(r, typ, cols)...)
				}
				m, err := s.NewMatrix(typ, rows, cols, w)
				if err != nil {
					t.Fatal(err)
				}
				m.Repack(inTurn)
				a := s.NewActivations(FormOf(typ), cols, 1)
				a.Set(randomVector(r, cols), 1)
				want := make([]float32, rows)
				m.Mul(want, rows, a, 0, rows)
				ways := m.Fetches()
				if four := name != "portable" && slices.Contains(inRuns, typ); four != slices.ContainsFunc(ways, func(f Fetch) bool { return f.Runs }) {
					t.Errorf("%s %v: the ways are %v", name, typ, ways)
				}
				for _, f := range append(ways, Fetch{Runs: true}) {
					for _, span := range [][2]int{{0, rows}, {0, 31}, {5, 297}, {64, 192}, {rows - 3, rows}} {
						got := make([]float32, rows)
						m.Fetch(f)
						m.Mul(got, rows, a, span[0], span[1])
						for i, v := range got {
							if inside := i >= span[0] && i < span[1]; inside && v != want[i] || !inside && v != 0 {
								t.Fatalf("%s %v of %d columns, %v, rows %v: number %d is %g, not %g", name, typ, cols, f, span, i, v, want[i])
							}
						}
					}
				}
			}
		}
	}
}

// What String writes ParseFetch reads.
func TestFetchNames(t *testing.T) {
	for _, f := range Fetches() {
		if got, err := ParseFetch(f.String()); err != nil || got != f {
			t.Errorf("%v is read as %v, %v", f, got, err)
		}
	}
	for f, want := range map[Fetch]string{{}: "none", {Ahead: 512}: "512", {Ahead: 2048, Page: 10240}: "2048+10240", {Ahead: 2048, Far: 8192}: "2048,8192", {Ahead: 512, Runs: true}: "4x512"} {
		if fmt.Sprint(f) != want {
			t.Errorf("%+v is called %v, not %s", f, f, want)
		}
	}
	if _, err := ParseFetch("4x17"); err == nil {
		t.Error("17 bytes ahead are accepted")
	}
}
