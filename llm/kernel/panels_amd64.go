package kernel

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"alphaos/llm/gguf"
)

// Many vectors at once: 16 rows of up to 256 weights are unpacked into a panel,
// which stays in the first-level cache while all vectors pass over it. The
// weights themselves are neither moved nor copied: unpacking costs a few percent
// of what 64 vectors take, and memory for one panel a thread.
//
// Invariant: a panel belongs to one call of mulPanels; panels are kept for
// later calls.

const (
	panelRows    = 16
	panelColumns = 256
	panelTile    = 4 // vectors a kernel takes together
)

// panel is laid out as panels_amd64.h expects; it lies at a multiple of 64.
type panel struct {
	weights [panelColumns / 4][panelRows][4]uint8
	// Q4_K, and Q5_K and Q6_K: scales of each 32 or 16 weights, twice; minima of pairs of
	// those. Q4_0 and Q8_0: scales of each 32 weights as float32.
	scales [panelRows * panelRows][2]int16
	minima [8][panelRows][2]int16
	// Q4_K, Q5_K and Q6_K: what scales and minima are multiplied with.
	d, dmin [panelRows]float32
	sums    [panelTile][panelRows]int32 // of the tile at work
	// tile takes the results when fewer than four vectors are left.
	tile [panelTile][panelRows]float32
}

var panels = sync.Pool{New: func() any {
	const size = unsafe.Sizeof(panel{})
	b := make([]byte, size+64)
	return (*panel)(unsafe.Pointer(&b[-uintptr(unsafe.Pointer(&b[0]))&63]))
}}

// panelsPay tells whether n vectors are better multiplied with panels than row
// by row; never if mulPanels does not know the type.
func panelsPay(t gguf.Type, n int) bool {
	switch t {
	case gguf.Q4_0, gguf.Q8_0:
		return n >= 8
	case gguf.Q4_K, gguf.Q5_K, gguf.Q6_K:
		return n >= 16
	}
	return false
}

// mulPanels does as many of the rows [from, to) as make whole panels and returns
// the first row that is left.
func mulPanels(m *Matrix, y []float32, step int, a *Activations, from, to int, fma bool) int {
	p := panels.Get().(*panel)
	defer panels.Put(p)
	tiles, rest := a.n/panelTile, a.n%panelTile
	block, bytes := m.Type.BlockSize(), m.Type.BlockBytes()
	c := call{w: unsafe.Pointer(p), xstep: uintptr(a.cols), dstep: a.scaleStep(), ystep: uintptr(4 * step)}
	for ; to-from >= panelRows; from += panelRows {
		for t := range a.n {
			clear(y[t*step+from:][:panelRows])
		}
		p.tile = [panelTile][panelRows]float32{}
		for col := 0; col < m.Cols; col += panelColumns {
			c.n = uintptr(min(panelColumns, m.Cols-col) / 32)
			if from < m.eights {
				p.unpackRepacked(m, from, col, int(c.n))
			} else {
				p.unpack(m, m.data[from*m.rowBytes+col/block*bytes:], int(c.n))
			}
			for t := 0; t < a.n; {
				c.x, c.d = unsafe.Pointer(&a.q[t*a.cols+col]), a.scale(t, col)
				if t < tiles*panelTile {
					c.rows, c.y, c.ystep = uintptr(tiles), unsafe.Pointer(&y[t*step+from]), uintptr(4*step)
					t = tiles * panelTile
				} else { // a tile that is not full has rubbish for the vectors that are missing
					c.rows, c.y, c.ystep = 1, unsafe.Pointer(&p.tile), 4*panelRows
					t = a.n
				}
				mulPanel(m, fma, &c)
			}
		}
		for t := range rest {
			copy(y[(tiles*panelTile+t)*step+from:], p.tile[t][:])
		}
	}
	return from
}

// scale is where the scales of vector t begin at a column.
func (a *Activations) scale(t, col int) unsafe.Pointer {
	if a.form == Q8 {
		return unsafe.Pointer(&a.s8[(t*a.cols+col)/32])
	}
	return unsafe.Pointer(&a.s8k[(t*a.cols+col)/256])
}

// scaleStep is how many bytes lie between the scales of two vectors.
func (a *Activations) scaleStep() uintptr {
	if a.form == Q8 {
		return uintptr(a.cols/32) * unsafe.Sizeof(scaleQ8{})
	}
	return uintptr(a.cols/256) * unsafe.Sizeof(scaleQ8K{})
}

// unpack fills the panel from n blocks of 32 weights of 16 rows, the first of
// which begins with w.
func (p *panel) unpack(m *Matrix, w []byte, n int) {
	for half := range 2 {
		rows := w[half*8*m.rowBytes:]
		c := call{w: unsafe.Pointer(&rows[0]), step: uintptr(m.rowBytes), x: unsafe.Pointer(&p.weights[0][half*8]), n: uintptr(n)}
		switch m.Type {
		case gguf.Q4_0:
			unpackQ40(&c)
		case gguf.Q8_0:
			unpackQ80(&c)
		case gguf.Q4_K:
			unpackQ4K(&c)
		case gguf.Q6_K:
			unpackQ6K(&c)
		}
	}
	le := binary.LittleEndian
	switch m.Type {
	case gguf.Q5_K: // by way of the order of eights
		var head [128]byte
		var body [1280]byte
		for row := 0; row < panelRows; row += eight {
			src := w[row*m.rowBytes:]
			for r := range eight {
				copy(head[2*r:2*r+2], src[r*m.rowBytes:])
				copy(head[16+2*r:18+2*r], src[r*m.rowBytes+2:])
			}
			headQ4K(head[:], src, m.rowBytes)
			bodyQ5K(body[:], src, m.rowBytes)
			spreadQ5K(p, row, body[:])
			p.headQ5K(row, head[:])
		}
	case gguf.Q4_K:
		for r := range panelRows {
			b := w[r*m.rowBytes:][:16]
			p.d[r], p.dmin[r] = fromHalf(le.Uint16(b)), fromHalf(le.Uint16(b[2:]))
			s, o := sixBits(b[4:])
			for i := range 4 {
				a, b := int16(s&0xff), int16(s>>8&0xff)
				p.scales[2*i*panelRows+r] = [2]int16{a, a}
				p.scales[(2*i+1)*panelRows+r] = [2]int16{b, b}
				p.minima[i][r] = [2]int16{int16(o & 0xff), int16(o >> 8 & 0xff)}
				s, o = s>>16, o>>16
			}
		}
	case gguf.Q6_K:
		for r := range panelRows {
			b := w[r*m.rowBytes+192:][:18]
			p.d[r] = fromHalf(le.Uint16(b[16:]))
			p.dmin[r] = p.d[r]
			for i := range 8 {
				a, b := int16(int8(b[2*i])), int16(int8(b[2*i+1]))
				p.scales[2*i*panelRows+r] = [2]int16{a, a}
				p.scales[(2*i+1)*panelRows+r] = [2]int16{b, b}
				p.minima[i][r] = [2]int16{32 * a, 32 * b}
			}
		}
	}
}

// mulPanel adds the products of the panel with c.rows tiles of vectors to y.
func mulPanel(m *Matrix, fma bool, c *call) {
	switch t := m.Type; {
	case t == gguf.Q4_0 && m.set.vnni:
		vnniPanelQ40(c)
	case t == gguf.Q8_0 && m.set.vnni:
		vnniPanelQ80(c)
	case t == gguf.Q4_K && m.set.vnni:
		vnniPanelU4(c)
	case (t == gguf.Q5_K || t == gguf.Q6_K) && m.set.vnni:
		vnniPanelU6(c)
	case t == gguf.Q4_0 && fma:
		fmaPanelQ40(c)
	case t == gguf.Q4_0:
		avx2PanelQ40(c)
	case t == gguf.Q8_0 && fma:
		fmaPanelQ80(c)
	case t == gguf.Q8_0:
		avx2PanelQ80(c)
	case t == gguf.Q4_K && fma:
		fmaPanelU4(c)
	case t == gguf.Q4_K:
		avx2PanelU4(c)
	case (t == gguf.Q5_K || t == gguf.Q6_K) && fma:
		fmaPanelU6(c)
	case t == gguf.Q5_K || t == gguf.Q6_K:
		avx2PanelU6(c)
	}
}

//go:noescape
func unpackQ40(a *call)

//go:noescape
func unpackQ80(a *call)

//go:noescape
func unpackQ4K(a *call)

//go:noescape
func unpackQ6K(a *call)

//go:noescape
func avx2PanelU4(a *call)

//go:noescape
func avx2PanelU6(a *call)

//go:noescape
func avx2PanelQ40(a *call)

//go:noescape
func avx2PanelQ80(a *call)

//go:noescape
func fmaPanelU4(a *call)

//go:noescape
func fmaPanelU6(a *call)

//go:noescape
func fmaPanelQ40(a *call)

//go:noescape
func fmaPanelQ80(a *call)

//go:noescape
func vnniPanelU4(a *call)

//go:noescape
func vnniPanelU6(a *call)

//go:noescape
func vnniPanelQ40(a *call)

//go:noescape
func vnniPanelQ80(a *call)
