package kernel

import (
	"slices"
	"sync"
	"unsafe"
)

// Repacking: the blocks of eight rows, which lie rows apart in a file, are brought
// together and interleaved in units of four bytes, so that a kernel takes eight rows
// at once and loads eight scales with one instruction. This happens in place, and no
// byte is added or lost. A block of eight rows is a head, of scales, and a body, of
// weights; layouts_amd64.go describes both for every type.
//
// The heads of a few blocks lie together before their bodies, so that weights begin
// at multiples of 32 bytes if the matrix does.
//
// Invariant: the first m.repacked rows are in this order, after RepackLater as soon as RepackRows had them; the others, at
// most seven, are as in the file.

const eight = 8

// runs is how many bytes of weights a kernel is given that reads four runs of them: where each begins nothing has been
// fetched ahead, so they are longer than one alone needs to be.
const runs = 256 << 10

// block returns head and body of block i of the eight rows in b.
func (l *layout) block(b []byte, i int) (head, body []byte) {
	size := l.head + l.body
	first := i - i%l.together
	together := min(l.together, len(b)/size-first)
	b = b[first*size:][:together*size]
	return b[i%l.together*l.head:][:l.head], b[together*l.head+i%l.together*l.body:][:l.body]
}

// scratches are eight rows each.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

func (assembly) repackable(m *Matrix) int {
	if layouts[m.Type].pack == nil {
		return 0
	}
	return m.Rows &^ 7
}

func (assembly) repack(m *Matrix, from, to int) {
	l := &layouts[m.Type]
	size := m.Type.BlockBytes()
	p := panels.Get().(*panel)
	defer panels.Put(p)
	room := scratches.Get().(*[]byte)
	defer scratches.Put(room)
	*room = slices.Grow((*room)[:0], eight*m.rowBytes)
	scratch := (*room)[:eight*m.rowBytes]
	for ; from < to; from += eight {
		rows := m.data[from*m.rowBytes:][:len(scratch)]
		src, dst := rows, scratch
		for left := m.rowBytes / size; left > 0; { // as block does, without its divisions
			n := min(l.together, left)
			// As much of the next eight rows: these are read in eight places, too many for a processor to foresee.
			done := len(scratch) - len(dst)
			fetchLines(uintptr(unsafe.Pointer(&rows[0]))+uintptr(eight*m.rowBytes+done), (eight*n*size+63)/64)
			heads, bodies := dst[:n*l.head], dst[n*l.head:][:n*l.body]
			l.pack(p, heads, bodies, src, m.rowBytes, n)
			src, dst, left = src[n*size:], dst[n*(l.head+l.body):], left-n
		}
		copy(rows, scratch)
	}
}

// row expands row r, which is repacked.
func (assembly) row(m *Matrix, dst []float32, r int) {
	l, f := &layouts[m.Type], formatOf(m.Type)
	rows := m.data[r/eight*eight*m.rowBytes:][:eight*m.rowBytes]
	u := blocks.Get().(*unpacked)
	defer blocks.Put(u)
	b, n := u.packed[:m.Type.BlockBytes()], m.Type.BlockSize()
	for i := range m.Cols / n {
		head, body := l.block(rows, i)
		l.restore(b, head, body, r%eight)
		u.expand(f, dst[i*n:(i+1)*n], b)
	}
}

// mulGroups multiplies rows [from, to), which are repacked, with each vector; from and
// to are multiples of eight.
func (s assembly) mulGroups(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	k := &s.types[m.Type]
	if m.fetch.Runs && a.n == 1 && k.runs != 0 {
		from = s.mulRuns(m, y, a, from, to)
	}
	c := call{ystep: uintptr(4 * step)}
	c.begin(a)
	size := chunk
	if a.n == 1 || a.n == 2 && k.repacked2 != 0 || a.n == 4 {
		size *= 4 // one pass, and nothing has to stay in a cache for the next
	}
	for from < to {
		rows := min(to-from, max(eight, size/m.rowBytes&^7))
		c.rows, c.w = uintptr(rows/eight), unsafe.Pointer(&m.data[from*m.rowBytes])
		for t := 0; t < a.n; {
			entry, n := k.repacked1, 1
			switch left := a.n - t; { // the same bits, faster
			case a.n >= 4 && left >= 3:
				entry, n = k.repacked4, 4
				t = min(t, a.n-4) // the first of these may be done already
			case left >= 2 && k.repacked2 != 0:
				entry, n = k.repacked2, 2
			}
			c.fetch(m.fetch, n < 4)
			c.x, c.d = a.at(t, 0)
			c.y = unsafe.Pointer(&y[t*step+from])
			run(&c, entry)
			t += n
		}
		from += rows
	}
}

// mulRuns multiplies as many of rows [from, to) as make four runs of eights with one vector, and returns where the
// rest begins: at most three eights.
func (s assembly) mulRuns(m *Matrix, y []float32, a *Activations, from, to int) int {
	const four = 4 * eight
	groups := (to - from) / four // in each run
	calls := (groups*four*m.rowBytes + runs - 1) / runs
	var c call
	c.begin(a)
	c.fetch(m.fetch, true)
	c.x, c.d = a.at(0, 0)
	for ; groups > 0; calls-- {
		n := (groups + calls - 1) / calls
		c.rows, c.w, c.step = uintptr(n), unsafe.Pointer(&m.data[from*m.rowBytes]), uintptr(n*eight*m.rowBytes)
		c.y, c.ystep = unsafe.Pointer(&y[from]), uintptr(4*n*eight)
		from, groups = from+n*four, groups-n
		next := from // where the same thread most likely goes on
		if groups == 0 {
			next = to
		}
		if next+n*four <= m.repacked {
			c.next = uintptr(unsafe.Pointer(&m.data[next*m.rowBytes]))
		} else {
			c.next = uintptr(c.w)
		}
		run(&c, s.types[m.Type].runs)
	}
	return from
}

// mulRepacked multiplies those of the rows [from, to) that are repacked. Where the
// range does not begin or end at a multiple of eight, all eight rows are computed and
// only those within the range kept.
func (s assembly) mulRepacked(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	to = min(to, m.repacked)
	if first := from &^ 7; first < from && from < to {
		end := min(first+eight, to)
		s.mulEdge(m, y, step, a, first, from, end)
		from = end
	}
	if last := to &^ 7; from < last {
		l := &layouts[m.Type]
		pay := l.panelsNarrow
		if s.wide {
			pay = l.panelsWide
		}
		if !a.Alone && pays(a.n, pay) {
			from = s.mulPanels(m, y, step, a, from, last)
		}
		s.mulGroups(m, y, step, a, from, last)
		from = last
	}
	if from < to {
		s.mulEdge(m, y, step, a, to&^7, from, to)
	}
}

// mulEdge multiplies rows [from, to) of the eight that begin with first.
func (s assembly) mulEdge(m *Matrix, y []float32, step int, a *Activations, first, from, to int) {
	var out [eight]float32
	c := call{rows: 1, w: unsafe.Pointer(&m.data[first*m.rowBytes]), y: unsafe.Pointer(&out)}
	c.begin(a)
	for t := range a.n {
		c.x, c.d = a.at(t, 0)
		run(&c, s.types[m.Type].repacked1)
		copy(y[t*step+from:t*step+to], out[from-first:])
	}
}
