package kernel

import (
	"encoding/binary"
	"unsafe"
)

var le = binary.LittleEndian

// layout says how Repack arranges a type, and how its rows become panels, whether
// repacked or as in a file.
type layout struct {
	together   int // blocks whose heads lie together
	head, body int // bytes of a block of eight rows

	// pack makes heads and bodies from n blocks of each of eight rows, which begin with src and
	// lie rowBytes apart. p is scratch memory.
	pack func(p *panel, heads, bodies, src []byte, rowBytes, n int)
	// restore makes the block of row r as it was in the file.
	restore func(b, head, body []byte, r int)
	// spread brings a repacked block to eight rows of the panel, from row and column
	// 32*i on.
	spread func(p *panel, row, i int, head, body []byte)
	// unpack fills the panel with n times 32 columns of 16 rows that are as in a file;
	// w is where the first begins.
	unpack func(p *panel, w []byte, rowBytes, n int)

	// How many vectors it takes for panels to pay, 0 if they never do: for rows as in a
	// file; for repacked rows with AVX-512; and with AVX2, where panels are hardly faster
	// than repacked rows, which need no unpacking.
	panels, panelsWide, panelsNarrow int
}

// layouts has a row for every type that is repacked. In heads and bodies lie
//
//	Q4_0: 8 d | for i = 0..3 bytes 4i to 4i+3 of the nibbles of each row
//	Q8_0: 8 d | for i = 0..7 weights 4i to 4i+3 of each row
//	Q4_K: 8 d, 8 dmin, scales, minima (first the low nibbles of both, then the upper
//	bits of both) | for i = 0..31 bytes 4i to 4i+3 of the nibbles of each row
//	Q5_K: as Q4_K | four times 64 bytes of fifth bits, then bytes as in Q4_K for 8 i;
//	bits 2i and 2i+1 of byte 4r+k of the 64 belong to the low and the high nibble
//	of byte 4i+k of row r, i = 0..3, and 32 bytes on to those of i = 4..7
//	Q6_K: 8 d, pairs of scales (2p, 2p+1) of each row for p = 0..7 | for each 16
//	columns three times 32 bytes: the low six bits of byte 4r+k of number i are
//	weight 4i+k of row r; their upper bits, from number 0 to 2, are weight 12+k
//
// The scales of a Q4_K row come in pairs, too: byte 16*(p%2)+2*row of the low
// nibbles holds pair p%2 in its low and pair p%2+2 in its high half, and byte
// 2*row of the upper bits holds those of pair p in bits 2p and 2p+1; the pair's
// second number follows one byte later. The minima likewise.
var layouts = [typeCount]layout{
	// together, head, body, pack, restore, spread, unpack, panels, panelsWide, panelsNarrow
	typeQ4_0: {4, 16, 128, packSimple, restoreSimple, spreadQ4_0, panelQ4_0, 8, 32, 128},
	typeQ8_0: {4, 16, 256, packSimple, restoreSimple, spreadQ8_0, panelQ8_0, 8, 24, 0},
	typeQ4_K: {1, 128, 1024, packQ4_K, restoreQ4_K, spreadQ4_K, panelQ4_K, 16, 64, 256},
	typeQ5_K: {1, 128, 1280, packQ5_K, restoreQ5_K, spreadQ5_K, panelQ5_K, 16, 64, 0},
	typeQ6_K: {2, 144, 1536, packQ6_K, restoreQ6_K, spreadQ6_K, panelQ6_K, 16, 48, 0},
}

// pays reports whether n vectors are enough for a way that takes so many to pay.
func pays(n, from int) bool { return from > 0 && n >= from }

// gather collects the two bytes at src of eight rows.
func gather(head, src []byte, rowBytes int) {
	_, first := src[7*rowBytes+1], unsafe.Pointer(&src[0])
	for r := range eight {
		le.PutUint16(head[2*r:], *(*uint16)(unsafe.Add(first, r*rowBytes)))
	}
}

// transpose interleaves n times 16 bytes of eight rows, which begin with src, in body.
func transpose(body, src []byte, rowBytes, n int) {
	_ = body[128*n-1]
	transposeRows(&call{w: unsafe.Pointer(&src[0]), step: uintptr(rowBytes), x: unsafe.Pointer(&body[0]), n: uintptr(n)})
}

// restoreBytes undoes transpose for row r.
func restoreBytes(b, body []byte, r int) {
	for j := range len(b) / 4 {
		copy(b[4*j:4*j+4], body[32*j+4*r:])
	}
}

// call prepares a call that unpacks n times 32 columns of eight rows, which begin with
// w, to the panel from row on.
func (p *panel) call(row int, w []byte, rowBytes, n int) call {
	return call{w: unsafe.Pointer(&w[0]), step: uintptr(rowBytes), x: unsafe.Pointer(&p.weights[0][row]), n: uintptr(n)}
}

// Q4_0 and Q8_0: a scale, and nibbles or bytes.

// packSimple packs blocks that are a scale of two bytes and the rest.
func packSimple(_ *panel, heads, bodies, src []byte, rowBytes, n int) {
	units := len(bodies) / n / 128
	_, _ = heads[16*n-1], src[7*rowBytes+n*(2+16*units)-1]
	packSimpleRows(&call{w: unsafe.Pointer(&src[0]), step: uintptr(rowBytes), rows: uintptr(units), n: uintptr(n), d: unsafe.Pointer(&heads[0]), x: unsafe.Pointer(&bodies[0])})
}

func restoreSimple(b, head, body []byte, r int) {
	copy(b[:2], head[2*r:])
	restoreBytes(b[2:], body, r)
}

func spreadQ4_0(p *panel, row, i int, head, body []byte) {
	unpackRepacked(&call{w: unsafe.Pointer(&body[0]), x: unsafe.Pointer(&p.weights[8*i][row]), rows: 1, n: 1})
	p.setScales(row, i, head)
}

func spreadQ8_0(p *panel, row, i int, head, body []byte) {
	spreadRepacked(&call{w: unsafe.Pointer(&body[0]), x: unsafe.Pointer(&p.weights[8*i][row]), n: 8})
	p.setScales(row, i, head)
}

func panelQ4_0(p *panel, w []byte, rowBytes, n int) {
	for row := 0; row < panelRows; row += eight {
		c := p.call(row, w[row*rowBytes:], rowBytes, n)
		unpackQ40(&c)
	}
}

func panelQ8_0(p *panel, w []byte, rowBytes, n int) {
	for row := 0; row < panelRows; row += eight {
		c := p.call(row, w[row*rowBytes:], rowBytes, n)
		unpackQ80(&c)
	}
}

// Q4_K and Q5_K share their heads, which do not lie together: they are packed block by block.

func packQ4_K(_ *panel, head, body, src []byte, rowBytes, _ int) {
	_ = src[7*rowBytes+143]
	packHead4_K(head, src, rowBytes)
	transpose(body, src[16:], rowBytes, 8)
}

func packHead4_K(head, src []byte, rowBytes int) {
	_, _ = head[127], src[7*rowBytes+15]
	packHeadK(&call{w: unsafe.Pointer(&src[0]), step: uintptr(rowBytes), x: unsafe.Pointer(&head[0])})
}

// sixBitsOfRow is sixBits for row r of a head that packHead4_K made.
func sixBitsOfRow(head []byte, r int) (scales, minima uint64) {
	return joinSixBits(head[32+2*r:], head[96+2*r:]), joinSixBits(head[64+2*r:], head[112+2*r:])
}

func joinSixBits(nibbles, upper []byte) uint64 {
	const nibble, two = 0x0f0f, 0x0303
	a, b, u := uint64(le.Uint16(nibbles)), uint64(le.Uint16(nibbles[16:])), uint64(le.Uint16(upper))
	return a&nibble | u&two<<4 | (b&nibble|u>>2&two<<4)<<16 | (a>>4&nibble|u>>4&two<<4)<<32 | (b>>4&nibble|u>>6&two<<4)<<48
}

// sixBits unpacks the eight scales and eight minima of a Q4_K block to a byte
// each. The first four of both are the low 6 bits of 8 bytes; the others have 4
// bits in 4 more bytes and 2 on top of those.
func sixBits(b []byte) (scales, minima uint64) {
	u, v := le.Uint64(b), le.Uint32(b[8:])
	top := u >> 2 & 0x3030303030303030
	scales = u&0x3f3f3f3f | (uint64(v&0x0f0f0f0f)|top&0xffffffff)<<32
	minima = u>>32&0x3f3f3f3f | (uint64(v>>4&0x0f0f0f0f)|top>>32)<<32
	return scales, minima
}

func restoreHead4_K(b, head []byte, r int) {
	copy(b[:2], head[2*r:])
	copy(b[2:4], head[16+2*r:])
	scales, minima := sixBitsOfRow(head, r)
	for j := range 4 {
		s, o := byte(scales>>(32+8*j)), byte(minima>>(32+8*j))
		b[4+j] = byte(scales>>(8*j)) | s>>4<<6
		b[8+j] = byte(minima>>(8*j)) | o>>4<<6
		b[12+j] = s&15 | o<<4
	}
}

func restoreQ4_K(b, head, body []byte, r int) {
	restoreHead4_K(b, head, r)
	restoreBytes(b[16:], body, r)
}

// setRowQ4_K and setRowQ5_K give row r of the panel its factors, from float16, and its
// scales and minima; those of 32 columns twice in Q5_K, since sums of 32 products
// would not fit 16 bits.
func (p *panel) setRowQ4_K(r int, d, dmin uint16, scales, minima uint64) {
	p.d[r], p.dmin[r] = fromHalf(d), fromHalf(dmin)
	for i := range 4 {
		a, b := int16(uint8(scales)), int16(uint8(scales>>8))
		p.setPair(r, i, a, b, int16(uint8(minima)), int16(uint8(minima>>8)))
		scales, minima = scales>>16, minima>>16
	}
}

func (p *panel) setRowQ5_K(r int, d, dmin uint16, scales, minima uint64) {
	p.d[r], p.dmin[r] = fromHalf(d), fromHalf(dmin)
	for i := range 8 {
		a, minimum := int16(uint8(scales)), int16(uint8(minima))
		p.setPair(r, i, a, a, minimum, minimum)
		scales, minima = scales>>8, minima>>8
	}
}

func spreadQ4_K(p *panel, row, _ int, head, body []byte) {
	unpackRepacked(&call{w: unsafe.Pointer(&body[0]), x: unsafe.Pointer(&p.weights[0][row]), step: 256, rows: 2, n: 4})
	for r := range eight {
		scales, minima := sixBitsOfRow(head, r)
		p.setRowQ4_K(row+r, le.Uint16(head[2*r:]), le.Uint16(head[16+2*r:]), scales, minima)
	}
}

func panelQ4_K(p *panel, w []byte, rowBytes, n int) {
	for row := 0; row < panelRows; row += eight {
		c := p.call(row, w[row*rowBytes:], rowBytes, n)
		unpackQ4K(&c)
	}
	for r := range panelRows {
		b := w[r*rowBytes:][:16]
		scales, minima := sixBits(b[4:])
		p.setRowQ4_K(r, le.Uint16(b), le.Uint16(b[2:]), scales, minima)
	}
}

func packQ5_K(_ *panel, head, body, src []byte, rowBytes, _ int) {
	packHead4_K(head, src, rowBytes)
	packBodyQ5_K(body, src, rowBytes)
}

func packBodyQ5_K(body, src []byte, rowBytes int) {
	_, _ = body[1279], src[7*rowBytes+175]
	packBodyQ5K(&call{w: unsafe.Pointer(&src[0]), step: uintptr(rowBytes), x: unsafe.Pointer(&body[0])})
}

func restoreQ5_K(b, head, body []byte, r int) {
	restoreHead4_K(b, head, r)
	clear(b[16:48])
	for g := range 4 {
		part := body[320*g:][:320]
		restoreBytes(b[48+32*g:][:32], part[64:], r)
		for l := range 32 {
			b[16+l] |= part[l/16*32+4*r+l%4] >> (l / 4 % 4 * 2) & 3 << (2 * g)
		}
	}
}

func spreadQ5_K(p *panel, row, _ int, head, body []byte) {
	spreadBodyQ5_K(p, row, body)
	for r := range eight {
		scales, minima := sixBitsOfRow(head, r)
		p.setRowQ5_K(row+r, le.Uint16(head[2*r:]), le.Uint16(head[16+2*r:]), scales, minima)
	}
}

func spreadBodyQ5_K(p *panel, row int, body []byte) {
	const nibbles, bit = 0x0f0f0f0f0f0f0f0f, 0x0101010101010101
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

func panelQ5_K(p *panel, w []byte, rowBytes, _ int) {
	var body [1280]byte
	for row := 0; row < panelRows; row += eight {
		packBodyQ5_K(body[:], w[row*rowBytes:], rowBytes)
		spreadBodyQ5_K(p, row, body[:])
	}
	for r := range panelRows {
		b := w[r*rowBytes:][:16]
		scales, minima := sixBits(b[4:])
		p.setRowQ5_K(r, le.Uint16(b), le.Uint16(b[2:]), scales, minima)
	}
}

// Q6_K: the scales are minima, too, since 32 stands for 0.

func packQ6_K(p *panel, heads, bodies, src []byte, rowBytes, n int) {
	for i := range n {
		head, body, src := heads[144*i:], bodies[1536*i:], src[210*i:]
		_, _ = head[143], body[1535]
		gather(head, src[208:], rowBytes)
		transposeWords(&call{w: unsafe.Pointer(&src[192]), step: uintptr(rowBytes), x: unsafe.Pointer(&head[16])})
		c := p.call(0, src, rowBytes, 0)
		unpackQ6K(&c)
		packRepackedQ6K(&call{w: unsafe.Pointer(&p.weights), x: unsafe.Pointer(&body[0])})
	}
}

func restoreQ6_K(b, head, body []byte, r int) {
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

func (p *panel) setRowQ6_K(r int, d uint16, scales *[16]byte) {
	p.d[r] = fromHalf(d)
	p.dmin[r] = p.d[r]
	for i := range 8 {
		a, b := int16(int8(scales[2*i])), int16(int8(scales[2*i+1]))
		p.setPair(r, i, a, b, 32*a, 32*b)
	}
}

func spreadQ6_K(p *panel, row, _ int, head, body []byte) {
	unpackRepackedQ6K(&call{w: unsafe.Pointer(&body[0]), x: unsafe.Pointer(&p.weights[0][row])})
	for r := range eight {
		var scales [16]byte
		pairs := head[16+2*r:][:114]
		for i := 0; i < 16; i += 2 {
			scales[i], scales[i+1] = pairs[8*i], pairs[8*i+1]
		}
		p.setRowQ6_K(row+r, le.Uint16(head[2*r:]), &scales)
	}
}

func panelQ6_K(p *panel, w []byte, rowBytes, n int) {
	for row := 0; row < panelRows; row += eight {
		c := p.call(row, w[row*rowBytes:], rowBytes, n)
		unpackQ6K(&c)
	}
	for r := range panelRows {
		b := w[r*rowBytes+192:][:18]
		p.setRowQ6_K(r, le.Uint16(b[16:]), (*[16]byte)(b))
	}
}

// Functions of unpack_amd64.s.

//go:noescape
func unpackQ40(c *call)

//go:noescape
func unpackQ80(c *call)

//go:noescape
func unpackQ4K(c *call)

//go:noescape
func unpackQ6K(c *call)

//go:noescape
func transposeRows(c *call)

//go:noescape
func transposeWords(c *call)

//go:noescape
func packHeadK(c *call)

//go:noescape
func packBodyQ5K(c *call)

func fetchLines(at uintptr, n int)

//go:noescape
func unpackRepacked(c *call)

//go:noescape
func packSimpleRows(c *call)

//go:noescape
func packMXFP4Rows(c *call)

//go:noescape
func turnRows1(c *call)

//go:noescape
func turnRows2(c *call)

//go:noescape
func spreadRepacked(c *call)

//go:noescape
func packRepackedQ6K(c *call)

//go:noescape
func unpackRepackedQ6K(c *call)
