package kernel

import (
	"sync"
	"unsafe"
)

// Many vectors at once: 16 rows of up to 256 weights are unpacked into a panel,
// which stays in the first-level cache while all vectors pass over it. Unpacking
// costs a few percent of the time that 64 vectors take, and the memory of one panel
// per thread.
//
// Invariant: a panel belongs to one call of mulPanels; panels are kept for
// later calls.

const (
	panelRows    = 16
	panelColumns = 256
	panelTile    = 4 // vectors a kernel takes together
)

var _ = [1]int{}[together%panelRows] // see together

// panel lies at a multiple of 64; the assembly takes its offsets from go_asm.h.
type panel struct {
	weights [panelColumns / 4][panelRows][4]uint8
	// Q4_K: the scale of each 32 weights, twice; Q5_K and Q6_K: of each 16; minima are
	// in pairs. Q4_0 and Q8_0: the scale of each 32 weights, as float32.
	scales [panelRows * panelRows][2]int16
	minima [8][panelRows][2]int16
	// Q4_K, Q5_K and Q6_K: what scales and minima are multiplied with.
	d, dmin [panelRows]float32
	sums    [panelTile][panelRows]int32 // of the tile at work
	// tile takes the results when fewer than four vectors are left.
	tile [panelTile][panelRows]float32
	// packed is room for a block of eight rows on its way to the panel.
	packed [eight * 66]byte
}

var panels = sync.Pool{New: func() any {
	const size = unsafe.Sizeof(panel{})
	b := make([]byte, size+64)
	return (*panel)(unsafe.Pointer(&b[-uintptr(unsafe.Pointer(&b[0]))&63]))
}}

// setScales gives eight rows the float16 scales in head, for the columns 32*i to
// 32*i+31.
func (p *panel) setScales(row, i int, head []byte) {
	scales := (*[panelColumns / 32][panelRows]float32)(unsafe.Pointer(&p.scales))
	for r := range eight {
		scales[i][row+r] = f16At(head, r)
	}
}

// setPair gives row r pair i of its scales and minima, a and b.
func (p *panel) setPair(r, i int, a, b, minimumA, minimumB int16) {
	p.scales[2*i*panelRows+r] = [2]int16{a, a}
	p.scales[(2*i+1)*panelRows+r] = [2]int16{b, b}
	p.minima[i][r] = [2]int16{minimumA, minimumB}
}

// mulPanels does as many of the rows [from, to) as make whole panels and returns
// the first row that is left.
func (s assembly) mulPanels(m *Matrix, y []float32, step int, a *Activations, from, to int) int {
	p := panels.Get().(*panel)
	defer panels.Put(p)
	l := &layouts[m.Type]
	tiles, rest := a.n/panelTile, a.n%panelTile
	block, bytes := m.Type.BlockSize(), m.Type.BlockBytes()
	c := call{w: unsafe.Pointer(p)}
	c.begin(a)
	for ; to-from >= panelRows; from += panelRows {
		for t := range a.n {
			clear(y[t*step+from:][:panelRows])
		}
		p.tile = [panelTile][panelRows]float32{}
		for col := 0; col < m.Cols; col += panelColumns {
			n := min(panelColumns, m.Cols-col) / 32
			c.n = uintptr(n)
			if from < m.repacked {
				for row := 0; row < panelRows; row += eight {
					rows := m.data[(from+row)*m.rowBytes:][:eight*m.rowBytes]
					for i := range n * 32 / block {
						head, body := l.block(rows, col/block+i)
						l.spread(p, row, i, head, body)
					}
				}
			} else {
				l.unpack(p, m.data[from*m.rowBytes+col/block*bytes:], m.rowBytes, n)
			}
			for t := 0; t < a.n; {
				c.x, c.d = a.at(t, col)
				if t < tiles*panelTile {
					c.rows, c.y, c.ystep = uintptr(tiles), unsafe.Pointer(&y[t*step+from]), uintptr(4*step)
					t = tiles * panelTile
				} else { // the tile that is not full: what it has for missing vectors means nothing
					c.rows, c.y, c.ystep = 1, unsafe.Pointer(&p.tile), 4*panelRows
					t = a.n
				}
				run(&c, s.types[m.Type].panel)
			}
		}
		for t := range rest {
			copy(y[(tiles*panelTile+t)*step+from:], p.tile[t][:])
		}
	}
	return from
}
