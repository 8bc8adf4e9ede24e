package kernel

import (
	"embed"
	"encoding/binary"
	"math"
)

// Formats of one to four bits that have few kernels of their own. Those without a scale for
// less than 32 weights are the same as some blocks of Q8_0, whatever number of weights shares
// a scale (eight); the others, and those of 256, are a wide block. Each is defined by the
// function that rewrites it so, and is read, and where it has no kernel multiplied, by way
// of that. A rewritten weight has the same value to the last bit.

// wide is a block of 256 weights: number i is d*scale[i/16%2][i/32]*int8(q[i]).
type wide struct {
	q     [256]byte
	scale [2][8]int16
	d     float32
	_     [7]float32 // so that blocks lie at multiples of 32
}

// setScale gives weights 16*j to 16*j+15 a scale.
func (w *wide) setScale(j, scale int) { w.scale[j%2][j/2] = int16(scale) }

// unpackWide and unpackEight make the unpack of a format out of its rewriting.
func unpackWide(rewrite func(w *wide, b []byte)) func(u *unpacked, b []byte) {
	return func(u *unpacked, b []byte) {
		rewrite(&u.wide, b)
		u.d, u.dmin, u.minimum = u.wide.d, 0, [16]int32{}
		for j := range u.scale {
			u.scale[j] = int32(u.wide.scale[j%2][j/2])
		}
		for i, v := range u.wide.q {
			u.q[i] = int32(int8(v))
		}
	}
}

func unpackEight(rewrite func(dst, b []byte), weights int) func(u *unpacked, b []byte) {
	return func(u *unpacked, b []byte) {
		to := u.eight[:weights/32*34]
		rewrite(to, b)
		u.d, u.dmin, u.minimum = f16At(to, 0), 0, [16]int32{}
		for j := range weights / 16 {
			u.scale[j] = 1
		}
		for i := range weights {
			u.q[i] = int32(int8(to[i/32*34+2+i%32]))
		}
	}
}

// Eight bytes at a time.
const (
	each01 = 0x0101010101010101
	each03 = 0x0303030303030303
	each80 = 0x8080808080808080
	even   = 0x00ff00ff00ff00ff
)

// lessOne subtracts 1 from eight bytes of at most 127.
func lessOne(v uint64) uint64 { return ((v | each80) - each01) ^ each80 }

// negate changes the signs of those of eight bytes, which are above 0, whose bytes of mask are 255.
func negate(v, mask uint64) uint64 { return (v ^ mask) + mask&each01 }

// trits takes the first digits in base 3 of eight bytes, and what is left of these: a byte is,
// rounded up, 256/243 of the number of five digits.
func trits(v uint64) (digits, rest uint64) {
	low, high := v&even*3, v>>8&even*3
	return low>>8&even | high&^even, low&even | high&even<<8
}

var (
	// masks are 255 in byte i where bit i of the index is set; plusMinus 1 there and -1 elsewhere.
	masks, plusMinus [256]uint64
	quarters         [256]uint32 // the four weights in a byte of Q2_0
)

func init() {
	for i := range 256 {
		for bit := range 8 {
			set := uint64(i >> bit & 1)
			masks[i] |= set * 255 << (8 * bit)
			plusMinus[i] |= uint64(byte(2*set-1)) << (8 * bit)
		}
		for k := range 4 {
			quarters[i] |= uint32(byte(i>>(2*k)&3-1)) << (8 * k)
		}
	}
}

// copyScale gives n blocks of Q8_0 the scale d.
func copyScale(dst, d []byte, n int) {
	for i := range n {
		copy(dst[34*i:34*i+2], d[:2])
	}
}

// Q1_0: float16 d, 128 bits: d or -d.
func eightQ1_0(dst, b []byte) {
	copyScale(dst, b, 4)
	for i, v := range b[2:18] {
		binary.LittleEndian.PutUint64(dst[34*(i/4)+2+i%4*8:], plusMinus[v])
	}
}

// Q2_0 and PQ2_0: float16 d, weights of 2 bits, of which 1 means 0.
func eightQ2_0(dst, b []byte) {
	copyScale(dst, b, len(b[2:])/8)
	for i, v := range b[2:] {
		binary.LittleEndian.PutUint32(dst[34*(i/8)+2+i%8*4:], quarters[v])
	}
}

// PTQ1_0: 16 bytes and 8 bytes of five digits, 2 bytes of four, the first digits of all before
// the second; float16 d.
func eightPTQ1_0(dst, b []byte) {
	copyScale(dst, b[26:], 4)
	put := func(at int, digits uint64) { binary.LittleEndian.PutUint64(dst[34*(at/32)+2+at%32:], lessOne(digits)) }
	first, second, third := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	var d uint64
	for n := range 5 {
		d, first = trits(first)
		put(16*n, d)
		d, second = trits(second)
		put(16*n+8, d)
		d, third = trits(third)
		put(80+8*n, d)
	}
	last, all := uint64(binary.LittleEndian.Uint16(b[24:])), uint64(0)
	for n := range 4 {
		d, last = trits(last)
		all |= d & 0xffff << (16 * n)
	}
	put(120, all)
}

// TQ1_0: 32 bytes and 16 bytes of five digits, 4 bytes of four; float16 d.
func wideTQ1_0(w *wide, b []byte) {
	w.plain(f16At(b[52:], 0))
	var d uint64
	for at := 0; at < 48; at += 8 {
		v, first, step := binary.LittleEndian.Uint64(b[at:]), at, 32
		if at >= 32 {
			first, step = 160+at-32, 16
		}
		for n := range 5 {
			d, v = trits(v)
			binary.LittleEndian.PutUint64(w.q[first+step*n:], lessOne(d))
		}
	}
	v := uint64(binary.LittleEndian.Uint32(b[48:]))
	for n := range 4 {
		d, v = trits(v)
		binary.LittleEndian.PutUint32(w.q[240+4*n:], uint32(lessOne(d)))
	}
}

// TQ2_0: 64 bytes of four weights of 2 bits, of which 1 means 0; float16 d.
func wideTQ2_0(w *wide, b []byte) {
	w.plain(f16At(b[64:], 0))
	for at := 0; at < 64; at += 8 {
		v := binary.LittleEndian.Uint64(b[at:])
		for l := range 4 {
			binary.LittleEndian.PutUint64(w.q[at/32*128+32*l+at%32:], lessOne(v>>(2*l)&each03))
		}
	}
}

// plain makes d the scale of all weights.
func (w *wide) plain(d float32) {
	w.d = d
	for i := range w.scale[0] {
		w.scale[0][i], w.scale[1][i] = 1, 1
	}
}

// The code books of the IQ types, from ggml: each number in a block stands for four or eight
// weights.

//go:embed books
var books embed.FS

var (
	bookIQ2_XXS, bookIQ2_XS, bookIQ2_S = book("iq2xxs_256x8"), book("iq2xs_512x8"), book("iq2s_1024x8")
	bookIQ3_XXS, bookIQ3_S             = halves(book("iq3xxs_256x4")), halves(book("iq3s_512x4"))
	bookIQ1                            = eighths(book("iq1_2048x8")) // in eighths, plus one eighth and less one
)

func book(name string) []uint64 {
	b, err := books.ReadFile("books/" + name + ".i8")
	if err != nil {
		panic(err) // it is part of the program
	}
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}

func halves(words []uint64) (h []uint32) {
	for _, v := range words {
		h = append(h, uint32(v), uint32(v>>32))
	}
	return h
}

func eighths(words []uint64) (e [2][]uint64) {
	for k, delta := range []int{1, -1} {
		for _, v := range words {
			var sum uint64
			for i := range 8 {
				sum |= uint64(byte(8*int(int8(v>>(8*i)))+delta)) << (8 * i)
			}
			e[k] = append(e[k], sum)
		}
	}
	return e
}

// evenSigns is the mask for a sign index of seven bits: the eighth makes their number even.
func evenSigns(index uint32) uint64 {
	index &= 127
	parity := index ^ index>>4
	parity ^= parity >> 2
	return masks[index|(parity^parity>>1)&1<<7]
}

// IQ2_XXS: float16 d; for 32 weights four indices, four sign indices and a scale.
func wideIQ2_XXS(w *wide, b []byte) {
	w.d = f16At(b, 0) / 8
	for g := range 8 {
		p := b[2+8*g:][:8]
		signs := binary.LittleEndian.Uint32(p[4:])
		scale := int(signs>>28)*2 + 1
		w.setScale(2*g, scale)
		w.setScale(2*g+1, scale)
		for l, index := range p[:4] {
			binary.LittleEndian.PutUint64(w.q[32*g+8*l:], negate(bookIQ2_XXS[index], evenSigns(signs>>(7*l))))
		}
	}
}

// IQ2_XS: float16 d; for eight weights an index of 9 bits and a sign index; for 16 a scale of 4 bits.
func wideIQ2_XS(w *wide, b []byte) {
	w.d = f16At(b, 0) / 8
	w.scales4(b[66:74])
	for i := range 32 {
		v := uint32(binary.LittleEndian.Uint16(b[2+2*i:]))
		binary.LittleEndian.PutUint64(w.q[8*i:], negate(bookIQ2_XS[v&511], evenSigns(v>>9)))
	}
}

// scales4 sets the scales of IQ2_XS and IQ2_S.
func (w *wide) scales4(b []byte) {
	for g, v := range b[:8] {
		w.setScale(2*g, int(v&15)*2+1)
		w.setScale(2*g+1, int(v>>4)*2+1)
	}
}

// IQ2_S: float16 d; for eight weights an index of 8 bits, and 2 more further on, and eight signs; scales as
// in IQ2_XS.
func wideIQ2_S(w *wide, b []byte) {
	w.d = f16At(b, 0) / 8
	w.scales4(b[74:82])
	for i := range 32 {
		index := int(b[2+i]) | int(b[66+i/4]>>(i%4*2)&3)<<8
		binary.LittleEndian.PutUint64(w.q[8*i:], negate(bookIQ2_S[index], masks[b[34+i]]))
	}
}

// IQ3_XXS: float16 d; for four weights an index; then for 32 four sign indices and a scale.
func wideIQ3_XXS(w *wide, b []byte) {
	w.d = f16At(b, 0) / 4
	for g := range 8 {
		signs := binary.LittleEndian.Uint32(b[66+4*g:])
		scale := int(signs>>28)*2 + 1
		w.setScale(2*g, scale)
		w.setScale(2*g+1, scale)
		for l := range 4 {
			index := b[2+8*g+2*l:][:2]
			v := uint64(bookIQ3_XXS[index[0]]) | uint64(bookIQ3_XXS[index[1]])<<32
			binary.LittleEndian.PutUint64(w.q[32*g+8*l:], negate(v, evenSigns(signs>>(7*l))))
		}
	}
}

// IQ3_S: float16 d; for four weights an index of 8 bits, then the ninth bits; eight signs; for 32 a scale of 4 bits.
func wideIQ3_S(w *wide, b []byte) {
	w.d = f16At(b, 0)
	for g := range 8 {
		scale := int(b[106+g/2]>>(g%2*4)&15)*2 + 1
		w.setScale(2*g, scale)
		w.setScale(2*g+1, scale)
		ninth := int(b[66+g])
		for l := range 4 {
			index := b[2+8*g+2*l:][:2]
			low, high := int(index[0])|ninth>>(2*l)&1<<8, int(index[1])|ninth>>(2*l+1)&1<<8
			v := uint64(bookIQ3_S[low]) | uint64(bookIQ3_S[high])<<32
			binary.LittleEndian.PutUint64(w.q[32*g+8*l:], negate(v, masks[b[74+4*g+l]]))
		}
	}
}

// IQ1_S: float16 d; for eight weights an index of 8 bits; for 32 the upper bits of four indices, a scale of 3
// bits, and whether an eighth is added or subtracted.
func wideIQ1_S(w *wide, b []byte) {
	w.d = f16At(b, 0) / 8
	for g := range 8 {
		h := int(binary.LittleEndian.Uint16(b[34+2*g:]))
		scale := h>>12&7*2 + 1
		w.setScale(2*g, scale)
		w.setScale(2*g+1, scale)
		for l := range 4 {
			binary.LittleEndian.PutUint64(w.q[32*g+8*l:], bookIQ1[h>>15][int(b[2+4*g+l])|h>>(3*l)&7<<8])
		}
	}
}

// IQ1_M: for eight weights an index of 8 bits, and 3 more and the eighth's sign further on; for 16 a scale of 3
// bits, in four numbers of 16 bits whose upper 4 are the float16 d.
func wideIQ1_M(w *wide, b []byte) {
	var d uint16
	for i := range 4 {
		d |= binary.LittleEndian.Uint16(b[48+2*i:]) >> 12 << (4 * i)
	}
	w.d = fromHalf(d) / 8
	for j := range 16 {
		w.setScale(j, int(binary.LittleEndian.Uint16(b[48+j/4*2:])>>(j%4*3)&7)*2+1)
	}
	for i := range 32 {
		q := int(b[32+i/2] >> (i % 2 * 4) & 15)
		binary.LittleEndian.PutUint64(w.q[8*i:], bookIQ1[q>>3][int(b[i])|q&7<<8])
	}
}

// fourFloats are the numbers of 4 bits (E2M1) of MXFP4 and NVFP4, doubled.
var fourFloats = [16]int32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// halfE8M0 are the scales of MXFP4, powers of two, for doubled weights.
var halfE8M0 = func() (scales [256]float32) {
	for e := range scales {
		scales[e] = float32(math.Ldexp(1, e-128))
	}
	return scales
}()

// MXFP4: a scale of 8 bits, 32 nibbles.
func unpackMXFP4(u *unpacked, b []byte) {
	u.d, u.dmin = halfE8M0[b[0]], 0
	u.scale[0], u.scale[1], u.minimum[0], u.minimum[1] = 1, 1, 0, 0
	for i, v := range b[1:17] {
		u.q[i], u.q[16+i] = fourFloats[v&15], fourFloats[v>>4]
	}
}

// unitUE4M3 is what the numbers of 8 bits (UE4M3) that scale 16 weights of NVFP4 are counted in,
// halved because the weights are doubled.
const unitUE4M3 = 1.0 / (1 << 10)

func scaleUE4M3(b byte) int32 {
	exponent, mantissa := int32(b>>3&15), int32(b&7)
	switch {
	case b&0x7f == 0x7f: // not a number
		return 0
	case exponent == 0:
		return mantissa
	}
	return (8 + mantissa) << (exponent - 1)
}

// halfUE4M3 are the scales of NVFP4, for doubled weights.
var halfUE4M3 = func() (scales [256]float32) {
	for b := range scales {
		scales[b] = float32(scaleUE4M3(byte(b))) * unitUE4M3
	}
	return scales
}()

// NVFP4: four scales of 8 bits, 64 nibbles: of 16 weights first the low, then the high ones of eight bytes.
func unpackNVFP4(u *unpacked, b []byte) {
	u.d, u.dmin = unitUE4M3, 0
	for j := range 4 {
		u.scale[j], u.minimum[j] = scaleUE4M3(b[j]), 0
		for i, v := range b[4+8*j:][:8] {
			u.q[16*j+i], u.q[16*j+8+i] = fourFloats[v&15], fourFloats[v>>4]
		}
	}
}
