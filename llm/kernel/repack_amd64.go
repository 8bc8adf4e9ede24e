package kernel

import (
	"encoding/binary"
	"unsafe"

	"alphaos/llm/gguf"
)

// Rows by eights: the blocks of eight rows, which lie rows apart in a file, are
// brought together and transposed in units of four bytes, so that kernels take
// eight rows at once and need no scale by itself. This happens where the
// weights lie, and no byte is added or lost:
//
//	Q4_0: 8 d, then for i = 0..3 bytes 4i to 4i+3 of the nibbles of each row
//	Q4_K: 8 d, 8 dmin, scales, minima (in the order low nibbles of both, upper
//	bits of both), then for i = 0..31 bytes 4i to 4i+3 of the nibbles of each row
//
// The scales of a row belong in pairs (2p, 2p+1); byte 16*(p%2)+2*row of the low
// nibbles holds pair p%2 in its low and pair p%2+2 in its high half, and byte
// 2*row of the upper bits holds pair p's in bits 2p and 2p+1; the pair's second
// number follows one byte later. The minima likewise.
//
// Invariant: m.eights rows from the first on are in this order, the others, at
// most seven, as in the file.

const eight = 8

func repackEights(m *Matrix) {
	if m.Type != gguf.Q4_0 && m.Type != gguf.Q4_K {
		return
	}
	group := eight * m.rowBytes
	scratch := make([]byte, group)
	for r := 0; r+eight <= m.Rows; r += eight {
		rows := m.data[r*m.rowBytes:][:group]
		copy(scratch, rows)
		if m.Type == gguf.Q4_0 {
			eightsQ40(rows, scratch, m.rowBytes)
		} else {
			eightsQ4K(rows, scratch, m.rowBytes)
		}
		m.eights = r + eight
	}
}

func eightsQ40(dst, src []byte, rowBytes int) {
	c := call{step: uintptr(rowBytes), n: 1}
	for at := 0; at < rowBytes; at += 18 {
		d := dst[8*at:][:144]
		for r := range eight {
			copy(d[2*r:2*r+2], src[r*rowBytes+at:])
		}
		c.w, c.x = unsafe.Pointer(&src[at+2]), unsafe.Pointer(&d[16])
		transposeEights(&c)
	}
}

func eightsQ4K(dst, src []byte, rowBytes int) {
	c := call{step: uintptr(rowBytes), n: 8}
	for at := 0; at < rowBytes; at += 144 {
		d := dst[8*at:][:1152]
		clear(d[32:128])
		for r := range eight {
			b := src[r*rowBytes+at:][:16]
			copy(d[2*r:2*r+2], b)
			copy(d[16+2*r:18+2*r], b[2:])
			scales, minima := sixBits(b[4:])
			for i := range 8 {
				pair, at := i/2, i/2%2*16+2*r+i%2
				d[32+at] |= byte(scales) & 15 << (pair / 2 * 4)
				d[64+at] |= byte(minima) & 15 << (pair / 2 * 4)
				d[96+2*r+i%2] |= byte(scales) >> 4 << (2 * pair)
				d[112+2*r+i%2] |= byte(minima) >> 4 << (2 * pair)
				scales, minima = scales>>8, minima>>8
			}
		}
		c.w, c.x = unsafe.Pointer(&src[at+16]), unsafe.Pointer(&d[128])
		transposeEights(&c)
	}
}

// sixBits unpacks the eight scales and eight minima of a Q4_K block to a byte
// each. The first four of both are the low 6 bits of 8 bytes; the others have 4
// bits in 4 more bytes and 2 on top of those.
func sixBits(b []byte) (scales, minima uint64) {
	u, v := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
	top := u >> 2 & 0x3030303030303030
	scales = u&0x3f3f3f3f | (uint64(v&0x0f0f0f0f)|top&0xffffffff)<<32
	minima = u>>32&0x3f3f3f3f | (uint64(v>>4&0x0f0f0f0f)|top>>32)<<32
	return scales, minima
}

// mulEights computes rows [from, to), which are in the order of eights, times
// each vector; from and to are multiples of eight.
func mulEights(m *Matrix, y []float32, step int, a *Activations, from, to int, fma bool) {
	block := 32
	if m.Type == gguf.Q4_K {
		block = 256
	}
	c := call{n: uintptr(m.Cols / block)}
	for from < to {
		rows := min(to-from, max(eight, chunk/m.rowBytes&^7))
		c.rows, c.w = uintptr(rows/eight), unsafe.Pointer(&m.data[from*m.rowBytes])
		for t := range a.n {
			c.x, c.d, c.y = unsafe.Pointer(&a.q[t*a.cols]), a.scale(t, 0), unsafe.Pointer(&y[t*step+from])
			switch {
			case m.Type == gguf.Q4_0 && fma:
				fmaEightsQ40(&c)
			case m.Type == gguf.Q4_0:
				avx2EightsQ40(&c)
			case fma:
				fmaEightsQ4K(&c)
			default:
				avx2EightsQ4K(&c)
			}
		}
		from += rows
	}
}

// mulRepacked computes those of the rows [from, to) that are in the order of
// eights. Where the range does not begin or end at a multiple of eight, more
// rows are computed and only those within are kept.
func mulRepacked(m *Matrix, y []float32, step int, a *Activations, from, to int, fma bool) {
	to = min(to, m.eights)
	edge := func(first, from, to int) {
		p := panels.Get().(*panel)
		defer panels.Put(p)
		one := *a
		one.n = 1
		out := p.tile[0][:eight]
		for t := range a.n {
			one.q = a.q[t*a.cols:]
			if a.form == Q8 {
				one.s8 = a.s8[t*a.cols/32:]
			} else {
				one.s8k = a.s8k[t*a.cols/256:]
			}
			group := Matrix{Type: m.Type, Rows: eight, Cols: m.Cols, data: m.data[first*m.rowBytes:], rowBytes: m.rowBytes, set: m.set}
			mulEights(&group, out, eight, &one, 0, eight, fma)
			copy(y[t*step+from:t*step+to], out[from-first:])
		}
	}
	if first := from &^ 7; first < from && from < to {
		end := min(first+eight, to)
		edge(first, from, end)
		from = end
	}
	if last := to &^ 7; from < last {
		if !a.Alone && panelsPay(m.Type, a.n) {
			from = mulPanels(m, y, step, a, from, last, fma)
		}
		mulEights(m, y, step, a, from, last, fma)
		from = last
	}
	if from < to {
		edge(to&^7, from, to)
	}
}

// unpackRepacked is unpack for rows in the order of eights.
func (p *panel) unpackRepacked(m *Matrix, first, col, n int) {
	for half := range 2 {
		group := m.data[(first+half*eight)*m.rowBytes:]
		c := call{x: unsafe.Pointer(&p.weights[0][half*eight])}
		if m.Type == gguf.Q4_0 {
			b := group[col/32*144:]
			c.w, c.step, c.rows, c.n = unsafe.Pointer(&b[16]), 144, 1, uintptr(n)
			unpackEights(&c)
			d := (*[panelColumns / 32][panelRows]float32)(unsafe.Pointer(&p.scales))
			for i := range n {
				for r := range eight {
					d[i][half*eight+r] = fromHalf(binary.LittleEndian.Uint16(b[i*144+2*r:]))
				}
			}
			continue
		}
		b := group[col/256*1152:][:1152]
		c.w, c.step, c.rows, c.n = unsafe.Pointer(&b[128]), 256, 2, 4
		unpackEights(&c)
		for r := range eight {
			row := half*eight + r
			p.d[row], p.dmin[row] = fromHalf(binary.LittleEndian.Uint16(b[2*r:])), fromHalf(binary.LittleEndian.Uint16(b[16+2*r:]))
			for pair := range 4 {
				at, shift := pair%2*16+2*r, pair/2*4
				number := func(low, high int) int16 {
					return int16(b[low]>>shift&15 | b[high]>>(2*pair)&3<<4)
				}
				s0, s1 := number(32+at, 96+2*r), number(33+at, 97+2*r)
				p.scales[2*pair*panelRows+row] = [2]int16{s0, s0}
				p.scales[(2*pair+1)*panelRows+row] = [2]int16{s1, s1}
				p.minima[pair][row] = [2]int16{number(64+at, 112+2*r), number(65+at, 113+2*r)}
			}
		}
	}
}

//go:noescape
func transposeEights(a *call)

//go:noescape
func unpackEights(a *call)

//go:noescape
func avx2EightsQ40(a *call)

//go:noescape
func avx2EightsQ4K(a *call)

//go:noescape
func fmaEightsQ40(a *call)

//go:noescape
func fmaEightsQ4K(a *call)
