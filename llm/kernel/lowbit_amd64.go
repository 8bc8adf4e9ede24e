package kernel

import (
	"encoding/binary"
	"unsafe"

	"alphaos/llm/gguf"
)

// How the types of one to four bits are repacked and become panels. Weights of one and two bits change places
// within four bytes, so that the same bits of these belong to four neighbouring columns: a kernel shifts
// and masks a register and has four columns of eight rows.
//
// In a panel for Q8 activations a weight of at most two bits is 8 more than it counts, as Q4_0's are, and
// Q4_0's kernels multiply it.

// turn2 has field p of byte k and field k of byte p change places, in each half. It undoes itself.
func turn2(w uint64) uint64 {
	t := (w>>6 ^ w) & 0x00cc00cc00cc00cc
	w ^= t ^ t<<6
	t = (w>>12 ^ w) & 0x0000f0f00000f0f0
	return w ^ t ^ t<<12
}

// back1 undoes what turnRows1 does: it brings bit p of byte k to bit 4*p+k.
func back1(w uint32) (turned uint32) {
	for p := range 8 {
		turned |= w >> p & 0x01010101 * 0x01020408 >> 24 & 15 << (4 * p)
	}
	return turned
}

func turnAll2(b []byte) {
	for at := 0; at < len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], turn2(binary.LittleEndian.Uint64(b[at:])))
	}
}

func packQ2_0(p *panel, heads, bodies, src []byte, rowBytes, n int) {
	packSimple(p, heads, bodies, src, rowBytes, n)
	turnRows2(&call{w: unsafe.Pointer(&bodies[0]), n: uintptr(len(bodies) / 32)})
}

func restoreQ2_0(b, head, body []byte, r int) {
	restoreSimple(b, head, body, r)
	turnAll2(b[2:])
}

func packQ1_0(p *panel, heads, bodies, src []byte, rowBytes, n int) {
	packSimple(p, heads, bodies, src, rowBytes, n)
	turnRows1(&call{w: unsafe.Pointer(&bodies[0]), n: uintptr(len(bodies) / 32)})
}

func restoreQ1_0(b, head, body []byte, r int) {
	restoreSimple(b, head, body, r)
	for at := 2; at < len(b); at += 4 {
		binary.LittleEndian.PutUint32(b[at:], back1(binary.LittleEndian.Uint32(b[at:])))
	}
}

func packPTQ1_0(_ *panel, heads, bodies, src []byte, rowBytes, n int) {
	for i := range n {
		head, body, src := heads[16*i:], bodies[208*i:], src[28*i:]
		gather(head, src[26:], rowBytes)
		transpose(body, src, rowBytes, 1) // of 24 bytes the first 16, then the last 16, of which half are there already
		transpose(body[64:], src[8:], rowBytes, 1)
		gather(body[192:], src[24:], rowBytes)
	}
}

func restorePTQ1_0(b, head, body []byte, r int) {
	restoreBytes(b[:24], body, r)
	copy(b[24:26], body[192+2*r:])
	copy(b[26:], head[2*r:2*r+2])
}

func packTQ2_0(_ *panel, heads, bodies, src []byte, rowBytes, n int) {
	for i := range n {
		src := src[66*i:]
		gather(heads[16*i:], src[64:], rowBytes)
		transpose(bodies[512*i:], src, rowBytes, 4)
	}
}

func restoreTQ2_0(b, head, body []byte, r int) {
	restoreBytes(b[:64], body, r)
	copy(b[64:], head[2*r:2*r+2])
}

func packMXFP4(_ *panel, heads, bodies, src []byte, rowBytes, n int) {
	_, _, _ = heads[8*n-1], bodies[128*n-1], src[7*rowBytes+17*n-1]
	packMXFP4Rows(&call{w: unsafe.Pointer(&src[0]), step: uintptr(rowBytes), n: uintptr(n), d: unsafe.Pointer(&heads[0]), x: unsafe.Pointer(&bodies[0])})
}

func restoreMXFP4(b, head, body []byte, r int) {
	b[0] = head[r]
	restoreBytes(b[1:], body, r)
}

// spreadTo prepares a call that unpacks a body to the panel from row and column col on.
func (p *panel) spreadTo(row, col int, body []byte) call {
	return call{w: unsafe.Pointer(&body[0]), x: unsafe.Pointer(&p.weights[col/4][row])}
}

const columnStep = unsafe.Sizeof(panel{}.weights[0])

func spreadQ2_0(p *panel, row, i int, head, body []byte) {
	parts := len(body) / 64 // of 32 columns
	c := p.spreadTo(row, 32*parts*i, body)
	c.n, c.ystep, c.step, c.rows = uintptr(len(body)/32), columnStep, 4*columnStep, 7
	spreadBits2(&c)
	p.setAllScales(row, i, parts, head)
}

func spreadQ1_0(p *panel, row, i int, head, body []byte) {
	c := p.spreadTo(row, 128*i, body)
	c.n, c.rows = 4, 7
	spreadBits1(&c)
	p.setAllScales(row, i, 4, head)
}

func spreadPTQ1_0(p *panel, row, i int, head, body []byte) {
	c := p.spreadTo(row, 128*i, body)
	c.rows = 7
	spreadTrits(&c)
	p.setAllScales(row, i, 4, head)
}

// setAllScales gives block i, of n times 32 columns, its scales.
func (p *panel) setAllScales(row, i, n int, head []byte) {
	for k := range n {
		p.setScales(row, i*n+k, head)
	}
}

func spreadTQ2_0(p *panel, row, _ int, head, body []byte) {
	for half := range 2 {
		c := p.spreadTo(row, 128*half, body[256*half:])
		c.n, c.ystep, c.step = 8, 8*columnStep, columnStep
		spreadBits2(&c)
	}
	for r := range eight {
		d := binary.LittleEndian.Uint16(head[2*r:])
		p.setRowQ4_K(row+r, d, d, each01, each01)
	}
}

func spreadMXFP4Panel(p *panel, row, i int, head, body []byte) {
	c := p.spreadTo(row, 32*i, body)
	spreadMXFP4(&c)
	scales := (*[panelColumns / 32][panelRows]float32)(unsafe.Pointer(&p.scales))
	for r := range eight {
		scales[i][row+r] = halfE8M0[head[r]]
	}
}

// unpackByPacking is the unpack of a layout by way of its pack and spread.
func unpackByPacking(t gguf.Type) func(p *panel, w []byte, rowBytes, n int) {
	size, weights := t.BlockBytes(), t.BlockSize()
	return func(p *panel, w []byte, rowBytes, n int) {
		l := &layouts[t]
		head, body := p.packed[:l.head], p.packed[l.head:][:l.body]
		for row := 0; row < panelRows; row += eight {
			for i := range n * 32 / weights {
				l.pack(p, head, body, w[row*rowBytes+i*size:], rowBytes, 1)
				l.spread(p, row, i, head, body)
			}
		}
	}
}

func init() {
	// together, head, body, pack, restore, spread, unpack, panels, panelsWide, panelsNarrow
	layouts[typeQ1_0] = layout{4, 16, 128, packQ1_0, restoreQ1_0, spreadQ1_0, unpackByPacking(typeQ1_0), 8, 32, 128}
	layouts[typeQ2_0] = layout{4, 16, 128, packQ2_0, restoreQ2_0, spreadQ2_0, unpackByPacking(typeQ2_0), 8, 32, 128}
	layouts[typePQ2_0] = layout{2, 16, 256, packQ2_0, restoreQ2_0, spreadQ2_0, unpackByPacking(typePQ2_0), 8, 32, 128}
	layouts[typePTQ1_0] = layout{2, 16, 208, packPTQ1_0, restorePTQ1_0, spreadPTQ1_0, unpackByPacking(typePTQ1_0), 8, 32, 128}
	layouts[typeTQ2_0] = layout{2, 16, 512, packTQ2_0, restoreTQ2_0, spreadTQ2_0, unpackByPacking(typeTQ2_0), 8, 64, 256}
	layouts[typeMXFP4] = layout{4, 8, 128, packMXFP4, restoreMXFP4, spreadMXFP4Panel, unpackByPacking(typeMXFP4), 8, 24, 0}
}

// Functions of lowbit_amd64.s.

//go:noescape
func spreadBits2(c *call)

//go:noescape
func spreadBits1(c *call)

//go:noescape
func spreadTrits(c *call)

//go:noescape
func spreadMXFP4(c *call)
