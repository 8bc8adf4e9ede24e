package kernel

import (
	"encoding/binary"
	"math"
	"unsafe"

	"alphaos/llm/gguf"
)

// Rows by eights: the blocks of eight rows, which lie rows apart in a file, are
// brought together and transposed in units of four bytes, so that kernels take
// eight rows at once and need no scale by itself. This happens where the
// weights lie, and no byte is added or lost. A block of eight rows is a head, of
// scales, and a body, of weights:
//
//	Q4_0: 8 d | for i = 0..3 bytes 4i to 4i+3 of the nibbles of each row
//	Q8_0: 8 d | for i = 0..7 weights 4i to 4i+3 of each row
//	Q4_K: 8 d, 8 dmin, scales, minima (in the order low nibbles of both, upper
//	bits of both) | for i = 0..31 bytes 4i to 4i+3 of the nibbles of each row
//	Q5_K: as Q4_K | four times 64 bytes of fifth bits, then bytes as in Q4_K for 8 i;
//	bits 2i and 2i+1 of byte 4r+k of the 64 belong to the low and the high nibble
//	of byte 4i+k of row r, i = 0..3, and 32 bytes on to those of i = 4..7
//	Q6_K: 8 d, pairs of scales (2p, 2p+1) of each row for p = 0..7 | for each 16
//	columns three times 32 bytes: the low six bits of byte 4r+k of number i are
//	weight 4i+k of row r; their upper bits, from number 0 to 2, are weight 12+k
//
// The scales of a Q4_K row belong in pairs, too; byte 16*(p%2)+2*row of the low
// nibbles holds pair p%2 in its low and pair p%2+2 in its high half, and byte
// 2*row of the upper bits holds pair p's in bits 2p and 2p+1; the pair's second
// number follows one byte later. The minima likewise.
//
// The heads of a few blocks lie together before their bodies, so that weights
// begin at multiples of 32 bytes if the matrix does.
//
// Invariant: m.eights rows from the first on are in this order, the others, at
// most seven, as in the file.

const eight = 8

// eights describes the order for a type.
type eights struct {
	together   int // blocks whose heads lie together
	head, body int // bytes of a block of eight rows
}

// eightsOf reports false for types that are not rearranged.
func eightsOf(t gguf.Type) (eights, bool) {
	switch t {
	case gguf.Q4_0:
		return eights{4, 16, 128}, true
	case gguf.Q8_0:
		return eights{4, 16, 256}, true
	case gguf.Q4_K:
		return eights{1, 128, 1024}, true
	case gguf.Q5_K:
		return eights{1, 128, 1280}, true
	case gguf.Q6_K:
		return eights{2, 144, 1536}, true
	}
	return eights{}, false
}

// block is head and body of block i of the eight rows in b.
func (e eights) block(b []byte, i int) (head, body []byte) {
	size := e.head + e.body
	first := i - i%e.together
	together := min(e.together, len(b)/size-first)
	b = b[first*size:][:together*size]
	return b[i%e.together*e.head:][:e.head], b[together*e.head+i%e.together*e.body:][:e.body]
}

func repackEights(m *Matrix, each func(n, size int, f func(i int))) {
	e, ok := eightsOf(m.Type)
	if !ok {
		return
	}
	rows, piece := m.Rows&^7, max(eight, 256<<10/m.rowBytes&^7)
	each((rows+piece-1)/piece, piece*m.rowBytes/4, func(i int) {
		repackRows(m, e, i*piece, min((i+1)*piece, rows))
	})
	m.eights = rows
}

func repackRows(m *Matrix, e eights, from, to int) {
	size := m.Type.BlockBytes()
	scratch := make([]byte, eight*m.rowBytes)
	p := panels.Get().(*panel)
	defer panels.Put(p)
	c := call{step: uintptr(m.rowBytes)}
	for r := from; r < to; r += eight {
		rows := m.data[r*m.rowBytes:][:len(scratch)]
		copy(scratch, rows)
		for i := range m.rowBytes / size {
			head, body := e.block(rows, i)
			src := scratch[i*size:]
			put := func(at, from int) { // numbers of two bytes
				for r := range eight {
					copy(head[at+2*r:at+2*r+2], src[r*m.rowBytes+from:])
				}
			}
			c.x = unsafe.Pointer(&body[0])
			switch m.Type {
			case gguf.Q4_0, gguf.Q8_0:
				put(0, 0)
				c.w, c.n = unsafe.Pointer(&src[2]), uintptr(size/16)
				transposeEights(&c)
			case gguf.Q4_K:
				put(0, 0)
				put(16, 2)
				headQ4K(head, src, m.rowBytes)
				c.w, c.n = unsafe.Pointer(&src[16]), 8
				transposeEights(&c)
			case gguf.Q5_K:
				put(0, 0)
				put(16, 2)
				headQ4K(head, src, m.rowBytes)
				bodyQ5K(body, src, m.rowBytes)
			case gguf.Q6_K:
				put(0, 208)
				for pair := range 8 {
					put(16+16*pair, 192+2*pair)
				}
				c.w, c.x = unsafe.Pointer(&src[0]), unsafe.Pointer(&p.weights)
				unpackQ6K(&c)
				c.w, c.x = c.x, unsafe.Pointer(&body[0])
				packEightsQ6K(&c)
			}
		}
	}
}

// headQ4K brings the scales and minima of eight rows' blocks, which begin with
// src, to their places in head.
func headQ4K(head, src []byte, rowBytes int) {
	clear(head[32:128])
	for r := range eight {
		scales, minima := sixBits(src[r*rowBytes+4:])
		for i := range 8 {
			pair, at := i/2, i/2%2*16+2*r+i%2
			head[32+at] |= byte(scales) & 15 << (pair / 2 * 4)
			head[64+at] |= byte(minima) & 15 << (pair / 2 * 4)
			head[96+2*r+i%2] |= byte(scales) >> 4 << (2 * pair)
			head[112+2*r+i%2] |= byte(minima) >> 4 << (2 * pair)
			scales, minima = scales>>8, minima>>8
		}
	}
}

// bodyQ5K arranges the weights of eight rows' blocks, which begin with src.
func bodyQ5K(body, src []byte, rowBytes int) {
	var fifth [256]byte // bits of sub-blocks 0 to 7, transposed
	c := call{w: unsafe.Pointer(&src[16]), step: uintptr(rowBytes), n: 2, x: unsafe.Pointer(&fifth)}
	transposeEights(&c)
	for g := range 4 {
		part := body[320*g:][:320]
		c.w, c.x = unsafe.Pointer(&src[48+32*g]), unsafe.Pointer(&part[64])
		transposeEights(&c)
		for at := 0; at < 64; at += 8 { // eight bytes at a time
			var bits uint64
			for i := range 4 {
				bits |= binary.LittleEndian.Uint64(fifth[at/32*128+32*i+at%32:]) >> (2 * g) & 0x0303030303030303 << (2 * i)
			}
			binary.LittleEndian.PutUint64(part[at:], bits)
		}
	}
}

// spreadQ5K is the way back, to eight rows of a panel.
func spreadQ5K(p *panel, row int, body []byte) {
	const nibbles, bit = 0x0f0f0f0f0f0f0f0f, 0x0101010101010101
	le := binary.LittleEndian
	for i := range 32 {
		g, i := i/8, i%8
		part := body[320*g:][:320]
		low, high := bytesOf(p.weights[16*g+i][row:row+eight]), bytesOf(p.weights[16*g+8+i][row:row+eight])
		for at := 0; at < 32; at += 8 {
			w, bits := le.Uint64(part[64+32*i+at:]), le.Uint64(part[i/4*32+at:])>>(i%4*2)
			le.PutUint64(low[at:], w&nibbles|bits&bit<<4)
			le.PutUint64(high[at:], w>>4&nibbles|bits>>1&bit<<4)
		}
	}
}

// scaleQ4K and minimumQ4K are number i of the scales and of the minima of row r
// in a head that headQ4K made.
func scaleQ4K(head []byte, r, i int) byte   { return sixBitsAt(head, 32, 96, r, i) }
func minimumQ4K(head []byte, r, i int) byte { return sixBitsAt(head, 64, 112, r, i) }

func sixBitsAt(head []byte, low, high, r, i int) byte {
	pair := i / 2
	return head[low+pair%2*16+2*r+i%2]>>(pair/2*4)&15 | head[high+2*r+i%2]>>(2*pair)&3<<4
}

// rowEights expands row r of a matrix in the order of eights.
func (m *Matrix) rowEights(dst []float32, r int) {
	e, _ := eightsOf(m.Type)
	rows := m.data[r/eight*eight*m.rowBytes:][:eight*m.rowBytes]
	r %= eight
	var buffer [210]byte // the block as it was in the file
	b := buffer[:m.Type.BlockBytes()]
	n := m.Type.BlockSize()
	for i := range m.Cols / n {
		head, body := e.block(rows, i)
		at := 2
		copy(b[:2], head[2*r:])
		switch m.Type {
		case gguf.Q4_K, gguf.Q5_K:
			at = 16
			copy(b[2:4], head[16+2*r:])
			for j := range 4 {
				s, o := scaleQ4K(head, r, 4+j), minimumQ4K(head, r, 4+j)
				b[4+j] = scaleQ4K(head, r, j) | s>>4<<6
				b[8+j] = minimumQ4K(head, r, j) | o>>4<<6
				b[12+j] = s&15 | o<<4
			}
		case gguf.Q6_K:
			at = len(b)
			blockQ6K(b, head, body, r)
		}
		if m.Type == gguf.Q5_K {
			at = len(b)
			blockQ5K(b, body, r)
		}
		for j := 0; at < len(b); j, at = j+1, at+4 {
			copy(b[at:at+4], body[32*j+4*r:])
		}
		Dequantize(m.Type, dst[i*n:(i+1)*n], b)
	}
}

// blockQ5K writes row r's weights to b.
func blockQ5K(b, body []byte, r int) {
	clear(b[16:48])
	for i := range 128 {
		g, l := i/32, i%32
		part := body[320*g:][:320]
		b[48+i] = part[64+l/4*32+4*r+l%4]
		b[16+l] |= part[l/16*32+4*r+l%4] >> (l / 4 % 4 * 2) & 3 << (2 * g)
	}
}

// blockQ6K writes row r's block to b.
func blockQ6K(b, head, body []byte, r int) {
	copy(b[208:], head[2*r:2*r+2])
	for pair := range 8 {
		copy(b[192+2*pair:], head[16+16*pair+2*r:][:2])
	}
	clear(b[:192])
	for i := range 256 {
		quad := body[i/16*96:][:96]
		var w byte
		if number := i % 16 / 4; number < 3 {
			w = quad[32*number+4*r+i%4] & 63
		} else {
			w = quad[4*r+i%4]>>6 | quad[32+4*r+i%4]>>6<<2 | quad[64+4*r+i%4]>>6<<4
		}
		half, run, l := i/128, i%128/32, i%32 // the first two runs have low nibbles, the others high ones
		b[64*half+run%2*32+l] |= w & 15 << (run / 2 * 4)
		b[128+32*half+l] |= w >> 4 << (2 * run)
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
	c := call{n: uintptr(m.Cols / m.Type.BlockSize()), xstep: uintptr(a.cols), dstep: a.scaleStep(), ystep: uintptr(4 * step)}
	for from < to {
		rows := min(to-from, max(eight, chunk/m.rowBytes&^7))
		c.rows, c.w = uintptr(rows/eight), unsafe.Pointer(&m.data[from*m.rowBytes])
		for t := 0; t < a.n; {
			four := a.n >= 4 && a.n-t >= 3
			if four {
				t = min(t, a.n-4) // one that is done already may be done once more
			}
			c.x, c.d, c.y = unsafe.Pointer(&a.q[t*a.cols]), a.scale(t, 0), unsafe.Pointer(&y[t*step+from])
			if four {
				mulFour(m.Type, fma, &c)
				t += 4
			} else {
				mulEight(m.Type, fma, &c)
				t++
			}
		}
		from += rows
	}
}

func mulEight(t gguf.Type, fma bool, c *call) {
	switch {
	case t == gguf.Q4_0 && fma:
		fmaEightsQ40(c)
	case t == gguf.Q4_0:
		avx2EightsQ40(c)
	case t == gguf.Q8_0 && fma:
		fmaEightsQ80(c)
	case t == gguf.Q8_0:
		avx2EightsQ80(c)
	case t == gguf.Q4_K && fma:
		fmaEightsQ4K(c)
	case t == gguf.Q4_K:
		avx2EightsQ4K(c)
	case t == gguf.Q5_K && fma:
		fmaEightsQ5K(c)
	case t == gguf.Q5_K:
		avx2EightsQ5K(c)
	case t == gguf.Q6_K && fma:
		fmaEightsQ6K(c)
	case t == gguf.Q6_K:
		avx2EightsQ6K(c)
	}
}

// mulFour does the same for four vectors, to the same bits.
func mulFour(t gguf.Type, fma bool, c *call) {
	switch {
	case t == gguf.Q4_0 && fma:
		fmaFoursQ40(c)
	case t == gguf.Q4_0:
		avx2FoursQ40(c)
	case t == gguf.Q8_0 && fma:
		fmaFoursQ80(c)
	case t == gguf.Q8_0:
		avx2FoursQ80(c)
	case t == gguf.Q4_K && fma:
		fmaFoursQ4K(c)
	case t == gguf.Q4_K:
		avx2FoursQ4K(c)
	case t == gguf.Q5_K && fma:
		fmaFoursQ5K(c)
	case t == gguf.Q5_K:
		avx2FoursQ5K(c)
	case t == gguf.Q6_K && fma:
		fmaFoursQ6K(c)
	case t == gguf.Q6_K:
		avx2FoursQ6K(c)
	}
}

// panelsPayFrom is how many vectors are better multiplied with panels than by fours,
// which need no panel to be put together. Without VNNI panels are hardly faster.
func panelsPayFrom(t gguf.Type, vnni bool) int {
	switch {
	case t == gguf.Q4_0 && vnni:
		return 32
	case t == gguf.Q8_0 && vnni:
		return 24
	case t == gguf.Q6_K && vnni:
		return 48
	case vnni:
		return 64
	case t == gguf.Q4_0:
		return 128
	case t == gguf.Q4_K:
		return 256
	}
	return math.MaxInt
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
		if !a.Alone && a.n >= panelsPayFrom(m.Type, m.set.vnni) {
			from = mulPanels(m, y, step, a, from, last, fma)
		}
		mulEights(m, y, step, a, from, last, fma)
		from = last
	}
	if from < to {
		edge(to&^7, from, to)
	}
}

// unpackRepacked is unpack for rows in the order of eights: n times 32 columns
// from col on.
func (p *panel) unpackRepacked(m *Matrix, first, col, n int) {
	e, _ := eightsOf(m.Type)
	factors := (*[panelColumns / 32][panelRows]float32)(unsafe.Pointer(&p.scales))
	half := func(head []byte, at int) float32 { return fromHalf(binary.LittleEndian.Uint16(head[at:])) }
	for upper := range 2 {
		row := upper * eight
		rows := m.data[(first+row)*m.rowBytes:][:eight*m.rowBytes]
		for i := range n * 32 / m.Type.BlockSize() {
			head, body := e.block(rows, col/m.Type.BlockSize()+i)
			c := call{w: unsafe.Pointer(&body[0]), x: unsafe.Pointer(&p.weights[8*i][row]), step: 256, rows: 1, n: 1}
			switch m.Type {
			case gguf.Q4_0:
				unpackEights(&c)
			case gguf.Q8_0:
				c.n = 8
				spreadEights(&c)
			case gguf.Q4_K:
				c.rows, c.n = 2, 4
				unpackEights(&c)
				for r := range eight {
					p.d[row+r], p.dmin[row+r] = half(head, 2*r), half(head, 16+2*r)
					for j := range 8 {
						s := int16(scaleQ4K(head, r, j))
						p.scales[j*panelRows+row+r] = [2]int16{s, s}
						p.minima[j/2][row+r][j%2] = int16(minimumQ4K(head, r, j))
					}
				}
				continue
			case gguf.Q5_K:
				spreadQ5K(p, row, body)
				p.headQ5K(row, head)
				continue
			case gguf.Q6_K:
				unpackEightsQ6K(&c)
				for r := range eight {
					p.d[row+r], p.dmin[row+r] = half(head, 2*r), half(head, 2*r)
					for j := range 16 {
						s := int16(int8(head[16+j/2*16+2*r+j%2]))
						p.scales[j*panelRows+row+r] = [2]int16{s, s}
						p.minima[j/2][row+r][j%2] = 32 * s
					}
				}
				continue
			}
			for r := range eight {
				factors[i][row+r] = half(head, 2*r)
			}
		}
	}
}

// headQ5K brings the scales of eight rows to the panel, those of 32 columns twice,
// since sums of 32 products would not fit 16 bits.
func (p *panel) headQ5K(row int, head []byte) {
	for r := range eight {
		p.d[row+r] = fromHalf(binary.LittleEndian.Uint16(head[2*r:]))
		p.dmin[row+r] = fromHalf(binary.LittleEndian.Uint16(head[16+2*r:]))
		for j := range 8 {
			s, o := int16(scaleQ4K(head, r, j)), int16(minimumQ4K(head, r, j))
			p.scales[2*j*panelRows+row+r] = [2]int16{s, s}
			p.scales[(2*j+1)*panelRows+row+r] = [2]int16{s, s}
			p.minima[j][row+r] = [2]int16{o, o}
		}
	}
}

//go:noescape
func transposeEights(a *call)

//go:noescape
func unpackEights(a *call)

//go:noescape
func packEightsQ6K(a *call)

//go:noescape
func unpackEightsQ6K(a *call)

//go:noescape
func spreadEights(a *call)

//go:noescape
func avx2EightsQ40(a *call)

//go:noescape
func avx2EightsQ80(a *call)

//go:noescape
func avx2EightsQ4K(a *call)

//go:noescape
func avx2EightsQ5K(a *call)

//go:noescape
func avx2EightsQ6K(a *call)

//go:noescape
func fmaEightsQ40(a *call)

//go:noescape
func fmaEightsQ80(a *call)

//go:noescape
func fmaEightsQ4K(a *call)

//go:noescape
func fmaEightsQ5K(a *call)

//go:noescape
func fmaEightsQ6K(a *call)

//go:noescape
func avx2FoursQ40(a *call)

//go:noescape
func avx2FoursQ80(a *call)

//go:noescape
func avx2FoursQ4K(a *call)

//go:noescape
func avx2FoursQ5K(a *call)

//go:noescape
func avx2FoursQ6K(a *call)

//go:noescape
func fmaFoursQ40(a *call)

//go:noescape
func fmaFoursQ80(a *call)

//go:noescape
func fmaFoursQ4K(a *call)

//go:noescape
func fmaFoursQ5K(a *call)

//go:noescape
func fmaFoursQ6K(a *call)
