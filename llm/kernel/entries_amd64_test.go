package kernel

import "testing"

// Every set has a row of kernels for every row of formats: those for rows as in a
// file always, those for rearranged ones if orders has a row for the type, and the
// other way round.
func TestEntriesAreComplete(t *testing.T) {
	for _, s := range sets {
		way, ok := s.way.(assembly)
		if !ok {
			continue
		}
		if way.dense == 0 {
			t.Errorf("%s has no product of float32 matrices", s.Name())
		}
		for typ := range typeCount {
			f, o, k := formatOf(typ), orders[typ], way.types[typ]
			if f == nil {
				if k != (kernels{}) || o.pack != nil {
					t.Errorf("%s has kernels or an order for type %v, which has no format", s.Name(), typ)
				}
				continue
			}
			if k.rows1 == 0 || k.rows4 == 0 {
				t.Errorf("%s cannot multiply rows of %v", s.Name(), typ)
			}
			if (k.sum != 0) != (f.sum != nil) {
				t.Errorf("%s %v: sums in Go and in assembly do not go together", s.Name(), typ)
			}
			if arranged := o.pack != nil; arranged != (k.eights1 != 0) || arranged != (k.eights4 != 0) || arranged != (k.panel != 0) {
				t.Errorf("%s %v: kernels %+v and the order do not go together", s.Name(), typ, k)
			}
			if o.pack == nil {
				continue
			}
			if o.restore == nil || o.spread == nil || o.unpack == nil || o.together < 1 || o.panels < 1 || o.panelsWide < 1 {
				t.Errorf("the order of %v is not complete", typ)
			}
			if o.head+o.body != eight*typ.BlockBytes() {
				t.Errorf("%v: a block of eight rows has %d bytes, not %d", typ, o.head+o.body, eight*typ.BlockBytes())
			}
		}
	}
	if a, b := avx2Entries(), fmaEntries(); a.dense == b.dense || a.types[typeF32].rows1 == b.types[typeF32].rows1 {
		t.Error("two sets have the same functions")
	}
}
