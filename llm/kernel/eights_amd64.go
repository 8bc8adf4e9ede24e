package kernel

import "unsafe"

// Rows by eights: the blocks of eight rows, which lie rows apart in a file, are
// brought together and transposed in units of four bytes, so that kernels take
// eight rows at once and need no scale by itself. This happens where the
// weights lie, and no byte is added or lost. A block of eight rows is a head, of
// scales, and a body, of weights: orders_amd64.go describes them.
//
// The heads of a few blocks lie together before their bodies, so that weights
// begin at multiples of 32 bytes if the matrix does.
//
// Invariant: the first m.eights rows are in this order; the others, at most
// seven, are as in the file.

const eight = 8

// block is head and body of block i of the eight rows in b.
func (o *order) block(b []byte, i int) (head, body []byte) {
	size := o.head + o.body
	first := i - i%o.together
	together := min(o.together, len(b)/size-first)
	b = b[first*size:][:together*size]
	return b[i%o.together*o.head:][:o.head], b[together*o.head+i%o.together*o.body:][:o.body]
}

func (assembly) repack(m *Matrix, each func(n, size int, f func(i int))) int {
	if orders[m.Type].pack == nil {
		return 0
	}
	rows, piece := m.Rows&^7, max(eight, 256<<10/m.rowBytes&^7)
	each((rows+piece-1)/piece, piece*m.rowBytes/4, func(i int) {
		repackRows(m, i*piece, min((i+1)*piece, rows))
	})
	return rows
}

func repackRows(m *Matrix, from, to int) {
	o := &orders[m.Type]
	size := m.Type.BlockBytes()
	scratch := make([]byte, eight*m.rowBytes)
	p := panels.Get().(*panel)
	defer panels.Put(p)
	for r := from; r < to; r += eight {
		rows := m.data[r*m.rowBytes:][:len(scratch)]
		copy(scratch, rows)
		for i := range m.rowBytes / size {
			head, body := o.block(rows, i)
			o.pack(p, head, body, scratch[i*size:], m.rowBytes)
		}
	}
}

// row expands row r, which is in the order of eights.
func (assembly) row(m *Matrix, dst []float32, r int) {
	o, f := &orders[m.Type], formatOf(m.Type)
	rows := m.data[r/eight*eight*m.rowBytes:][:eight*m.rowBytes]
	u := blocks.Get().(*unpacked)
	defer blocks.Put(u)
	b, n := u.packed[:m.Type.BlockBytes()], m.Type.BlockSize()
	for i := range m.Cols / n {
		head, body := o.block(rows, i)
		o.restore(b, head, body, r%eight)
		u.expand(f, dst[i*n:(i+1)*n], b)
	}
}

// mulEights computes rows [from, to), which are in the order of eights, times
// each vector; from and to are multiples of eight.
func (s assembly) mulEights(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	k := &s.types[m.Type]
	c := call{ystep: uintptr(4 * step)}
	c.begin(a)
	for from < to {
		rows := min(to-from, max(eight, chunk/m.rowBytes&^7))
		c.rows, c.w = uintptr(rows/eight), unsafe.Pointer(&m.data[from*m.rowBytes])
		for t := 0; t < a.n; {
			entry, n := k.eights1, 1
			if a.n >= 4 && a.n-t >= 3 { // to the same bits
				entry, n = k.eights4, 4
				t = min(t, a.n-4) // one that is done already may be done once more
			}
			c.x, c.d = a.at(t, 0)
			c.y = unsafe.Pointer(&y[t*step+from])
			run(&c, entry)
			t += n
		}
		from += rows
	}
}

// mulRepacked computes those of the rows [from, to) that are in the order of
// eights. Where the range does not begin or end at a multiple of eight, more
// rows are computed and only those within are kept.
func (s assembly) mulRepacked(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	to = min(to, m.eights)
	if first := from &^ 7; first < from && from < to {
		end := min(first+eight, to)
		s.mulEdge(m, y, step, a, first, from, end)
		from = end
	}
	if last := to &^ 7; from < last {
		o := &orders[m.Type]
		pay := o.panelsEights
		if s.wide {
			pay = o.panelsWide
		}
		if !a.Alone && pays(a.n, pay) {
			from = s.mulPanels(m, y, step, a, from, last)
		}
		s.mulEights(m, y, step, a, from, last)
		from = last
	}
	if from < to {
		s.mulEdge(m, y, step, a, to&^7, from, to)
	}
}

// mulEdge computes rows [from, to) of the eight that begin with first.
func (s assembly) mulEdge(m *Matrix, y []float32, step int, a *Activations, first, from, to int) {
	var out [eight]float32
	c := call{rows: 1, w: unsafe.Pointer(&m.data[first*m.rowBytes]), y: unsafe.Pointer(&out)}
	c.begin(a)
	for t := range a.n {
		c.x, c.d = a.at(t, 0)
		run(&c, s.types[m.Type].eights1)
		copy(y[t*step+from:t*step+to], out[from-first:])
	}
}
