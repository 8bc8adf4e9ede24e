package kernel

import (
	"encoding/binary"
	"sync"
)

// Quantized formats, all reduced to one: a block is unpacked to small integers
// with integer scales and minima for each 16 of them, so that
//
//	weight[i] = d*scale[i/16]*q[i] - dmin*minimum[i/16]
//
// Products of these with quantized activations are exact; only the last steps
// are float32. This is the definition; the assembly works on the packed bits,
// and so do the dot functions of the commonest types in portable.go.

// unpacked is a block of up to 256 weights.
type unpacked struct {
	d, dmin        float32
	q              [256]int32
	scale, minimum [16]int32

	packed [256]byte // room for a repacked block as it was in the file
	wide   wide      // room for a block that is rewritten: see lowbit.go
	eight  [4 * 34]byte
}

// blocks keeps memory for unpacked blocks, which cannot be on the stack because
// whatever is passed to a function value escapes.
var blocks = sync.Pool{New: func() any { return new(unpacked) }}

// expand writes the weights of block b.
func (u *unpacked) expand(f *format, x []float32, b []byte) {
	f.unpack(u, b)
	for j := range len(x) / 16 {
		d, low := u.d*float32(u.scale[j]), u.dmin*float32(u.minimum[j])
		group := x[16*j:][:16]
		for i, v := range u.q[16*j:][:16] {
			group[i] = d*float32(v) - low
		}
	}
}

// dot is the dot of formats that have none.
func (u *unpacked) dot(f *format, w []byte, a *Activations, t, col int) float32 {
	at := t*a.cols + col
	q := a.q[at : (t+1)*a.cols]
	var sum float32
	n, size := f.t.BlockSize(), f.t.BlockBytes()
	for b := range len(q) / n {
		f.unpack(u, w[b*size:(b+1)*size])
		for from, span := 0, min(n, f.form.block()); from < n; from += span { // which have one scale of activations
			var product, low int64
			for j := from / 16; j < (from+span)/16; j++ {
				var p, s int32
				group, x := (*[16]int32)(u.q[16*j:]), (*[16]int8)(q[b*n+16*j:])
				for i := range x {
					p += group[i] * int32(x[i])
					s += int32(x[i])
				}
				product += int64(u.scale[j]) * int64(p)
				low += int64(u.minimum[j] * s)
			}
			var d float32
			if f.form == Q8 {
				d = a.s8[(at+b*n+from)/32].d
			} else {
				d = a.s8k[at/256+b].d
			}
			sum += u.d*d*float32(product) - u.dmin*d*float32(low)
		}
	}
	return sum
}

// begin32 begins a block of 32 weights with the scale d.
func (u *unpacked) begin32(b []byte) {
	u.d, u.dmin = f16At(b, 0), 0
	u.scale[0], u.scale[1] = 1, 1
	u.minimum[0], u.minimum[1] = 0, 0
}

// bits4 and bits5 take a block of 32 whose first head bytes are d and, if there are
// four, a minimum, which is added to each weight; fifth bits come before the
// nibbles, of which the low ones come first. less is what stands for 0.
func (u *unpacked) bits4(b []byte, head int, less int32) {
	u.begin32(b)
	if head == 4 {
		u.dmin = f16At(b, 1)
		u.minimum[0], u.minimum[1] = -1, -1
	}
	low, high := u.q[:16], u.q[16:32]
	for i, v := range b[len(b)-16:] {
		low[i], high[i] = int32(v&15)-less, int32(v>>4)-less
	}
}

func (u *unpacked) bits5(b []byte, head int, less int32) {
	u.bits4(b, head, less)
	fifth := binary.LittleEndian.Uint32(b[head:])
	q := u.q[:32]
	for i := range q {
		q[i] += int32(fifth >> i & 1 << 4)
	}
}

func unpackQ4_0(u *unpacked, b []byte) { u.bits4(b, 2, 8) }
func unpackQ4_1(u *unpacked, b []byte) { u.bits4(b, 4, 0) }
func unpackQ5_0(u *unpacked, b []byte) { u.bits5(b, 2, 16) }
func unpackQ5_1(u *unpacked, b []byte) { u.bits5(b, 4, 0) }

func unpackQ8_0(u *unpacked, b []byte) {
	u.begin32(b)
	for i, v := range b[2:34] {
		u.q[i] = int32(int8(v))
	}
}

// fourBits are the numbers that the nibbles of IQ4_NL and IQ4_XS stand for.
var fourBits = [16]int32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func unpackIQ4_NL(u *unpacked, b []byte) {
	u.begin32(b)
	for i, v := range b[2:18] {
		u.q[i], u.q[16+i] = fourBits[v&15], fourBits[v>>4]
	}
}

// twoBits is weight i of 256 in 64 bytes, without offset.
func twoBits(b []byte, i int) int32 { return int32(b[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3) }

func unpackQ2_K(u *unpacked, b []byte) {
	u.d, u.dmin = f16At(b[80:], 0), f16At(b[80:], 1)
	for j, v := range b[:16] {
		u.scale[j], u.minimum[j] = int32(v&15), int32(v>>4)
	}
	for i := range u.q {
		u.q[i] = twoBits(b[16:], i)
	}
}

func unpackQ3_K(u *unpacked, b []byte) {
	u.d, u.dmin, u.minimum = f16At(b[108:], 0), 0, [16]int32{}
	for j := range u.scale {
		u.scale[j] = int32(b[96+j%8]>>(j/8*4)&15|b[104+j%4]>>(j/4*2)&3<<4) - 32
	}
	for i := range u.q {
		u.q[i] = twoBits(b[32:], i) + int32(b[i%32]>>(i/32)&1)<<2 - 4
	}
}

// head4_K takes d, dmin, scales and minima of Q4_K and Q5_K.
func (u *unpacked) head4_K(b []byte) {
	u.d, u.dmin = f16At(b, 0), f16At(b, 1)
	for j := range u.scale {
		u.scale[j], u.minimum[j] = scaleQ4_K(b[4:16], j/2)
	}
}

func unpackQ4_K(u *unpacked, b []byte) {
	u.head4_K(b)
	for i := range u.q {
		u.q[i] = int32(b[16+i/64*32+i%32] >> (i / 32 % 2 * 4) & 15)
	}
}

func unpackQ5_K(u *unpacked, b []byte) {
	u.head4_K(b)
	for i := range u.q {
		u.q[i] = int32(b[48+i/64*32+i%32]>>(i/32%2*4)&15 | b[16+i%32]>>(i/32)&1<<4)
	}
}

func unpackQ6_K(u *unpacked, b []byte) {
	u.d, u.dmin, u.minimum = f16At(b[208:], 0), 0, [16]int32{}
	for j, v := range b[192:208] {
		u.scale[j] = int32(int8(v))
	}
	for i := range u.q {
		u.q[i] = q6At(b, i) - 32
	}
}

func unpackIQ4_XS(u *unpacked, b []byte) {
	u.d, u.dmin, u.minimum = f16At(b, 0), 0, [16]int32{}
	high := int32(binary.LittleEndian.Uint16(b[2:]))
	for j := range u.scale {
		run := j / 2
		u.scale[j] = int32(b[4+run/2]>>(run%2*4)&15) + (high>>(2*run)&3)<<4 - 32
	}
	for i := range u.q {
		u.q[i] = fourBits[b[8+i/32*16+i%16]>>(i/16%2*4)&15]
	}
}

// scaleQ4_K unpacks scale and minimum number j of the eight in p.
func scaleQ4_K(p []byte, j int) (scale, minimum int32) {
	if j < 4 {
		return int32(p[j] & 63), int32(p[j+4] & 63)
	}
	return int32(p[j+4]&15 | p[j-4]>>6<<4), int32(p[j+4]>>4 | p[j]>>6<<4)
}

// q6At is weight i of 256 in a block of Q6_K, 0 to 63, where 32 stands for 0.
func q6At(block []byte, i int) int32 {
	half, quarter, l := i/128, i/32%4, i%32
	low := block[64*half+quarter%2*32+l] >> (quarter / 2 * 4) & 15
	high := block[128+32*half+l] >> (2 * quarter) & 3
	return int32(low | high<<4)
}
