package kernel

import (
	"slices"
	"testing"

	"alphaos/llm/gguf"
)

// Every set has kernels for every type with a format: those for rows as in a file
// always, those for repacked rows if, and only if, layouts has a row for the type.
func TestEntriesAreComplete(t *testing.T) {
	for _, s := range sets {
		way, ok := s.way.(assembly)
		if !ok {
			continue
		}
		if way.dense == 0 || way.wide1 == 0 || way.wide4 == 0 {
			t.Errorf("%s has no product of float32 matrices or of wide blocks", s.Name())
		}
		for typ := range typeCount {
			f, l, k := formatOf(typ), layouts[typ], way.types[typ]
			if f == nil {
				if k != (kernels{}) || l.pack != nil {
					t.Errorf("%s has kernels or an order for type %v, which has no format", s.Name(), typ)
				}
				continue
			}
			if rewritten := f.eight != nil || f.wide != nil; (k.rows1 == 0 || k.rows4 == 0) && !rewritten {
				t.Errorf("%s cannot multiply rows of %v", s.Name(), typ)
			}
			if (k.sum1 != 0) != (f.sum != nil) || (k.sum4 != 0) != (f.sum != nil) {
				t.Errorf("%s %v: sums in Go and in assembly do not go together", s.Name(), typ)
			}
			if arranged := l.pack != nil; arranged != (k.repacked1 != 0) || arranged != (k.repacked4 != 0) || arranged != (k.panel != 0) {
				t.Errorf("%s %v: kernels %+v and the order do not go together", s.Name(), typ, k)
			}
			if two := typ == gguf.Q4_0 || typ == gguf.Q8_0; two != (k.repacked2 != 0) {
				t.Errorf("%s %v has a kernel for two vectors, or none", s.Name(), typ)
			}
			if quantized := slices.Contains(inRuns, typ); quantized != (k.runs != 0) {
				t.Errorf("%s %v has a kernel for four runs, or none", s.Name(), typ)
			}
			if l.pack == nil {
				continue
			}
			if l.restore == nil || l.spread == nil || l.unpack == nil || l.together < 1 || l.panels < 1 || l.panelsWide < 1 {
				t.Errorf("the order of %v is not complete", typ)
			}
			if l.head+l.body != eight*typ.BlockBytes() {
				t.Errorf("%v: a block of eight rows has %d bytes, not %d", typ, l.head+l.body, eight*typ.BlockBytes())
			}
		}
	}
	if a, b := avx2Entries(), fmaEntries(); a.dense == b.dense || a.types[typeF32].rows1 == b.types[typeF32].rows1 {
		t.Error("two sets have the same functions")
	}
	merged := fmaEntries().with(avx512VNNIEntries())
	if two := merged.types[typeQ4_0].repacked2; two == fmaEntries().types[typeQ4_0].repacked2 || two != avx512VNNIEntries().types[typeQ4_0].repacked2 {
		t.Error("VNNI is not used for two vectors")
	}
}
