package kernel

import (
	"encoding/binary"
	"math"

	"alphaos/llm/gguf"
)

// The less usual formats, all reduced to one: a block is unpacked to small
// integers with integer scales and minima for each 16 of them, so that
//
//	weight[i] = d*scale[i/16]*q[i] - dmin*minimum[i/16]
//
// The products of integers are exact; only the last steps are float32. This is
// the definition; the assembly kernels work on the packed bits.

// unpacked is a block of up to 256 weights.
type unpacked struct {
	d, dmin        float32
	q              [256]int32
	scale, minimum [16]int32
}

// fourBits are the numbers that the nibbles of IQ4_NL and IQ4_XS stand for.
var fourBits = [16]int32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// unpack reads one block of type t; it reports whether it knows the type.
func (u *unpacked) unpack(t gguf.Type, b []byte) bool {
	nibbles := func(low []byte, table func(v byte) int32) {
		for i, v := range low[:16] {
			u.q[i], u.q[16+i] = table(v&15), table(v>>4)
		}
	}
	plain := func(v byte) int32 { return int32(v) }
	fifth := func(high uint32, less int32) {
		for i := range 32 {
			u.q[i] += int32(high>>i&1)<<4 - less
		}
	}
	u.d, u.dmin = 0, 0
	switch t {
	case gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.IQ4_NL:
		u.d = f16At(b, 0)
		u.scale, u.minimum = [16]int32{1, 1}, [16]int32{}
		switch t {
		case gguf.Q4_1:
			nibbles(b[4:], plain)
			u.dmin, u.minimum = f16At(b, 1), [16]int32{-1, -1}
		case gguf.Q5_0:
			nibbles(b[6:], plain)
			fifth(binary.LittleEndian.Uint32(b[2:]), 16)
		case gguf.Q5_1:
			nibbles(b[8:], plain)
			fifth(binary.LittleEndian.Uint32(b[4:]), 0)
			u.dmin, u.minimum = f16At(b, 1), [16]int32{-1, -1}
		case gguf.IQ4_NL:
			nibbles(b[2:], func(v byte) int32 { return fourBits[v] })
		}
	case gguf.Q2_K:
		u.d, u.dmin = f16At(b[80:], 0), f16At(b[80:], 1)
		for j, v := range b[:16] {
			u.scale[j], u.minimum[j] = int32(v&15), int32(v>>4)
		}
		for i := range u.q {
			u.q[i] = twoBits(b[16:], i)
		}
	case gguf.Q3_K:
		u.d, u.minimum = f16At(b[108:], 0), [16]int32{}
		for j := range u.scale {
			u.scale[j] = int32(b[96+j%8]>>(j/8*4)&15|b[104+j%4]>>(j/4*2)&3<<4) - 32
		}
		for i := range u.q {
			u.q[i] = twoBits(b[32:], i) + int32(b[i%32]>>(i/32)&1)<<2 - 4
		}
	case gguf.Q5_K:
		u.d, u.dmin = f16At(b, 0), f16At(b, 1)
		for j := range u.scale {
			u.scale[j], u.minimum[j] = scaleQ4_K(b[4:16], j/2)
		}
		for i := range u.q {
			u.q[i] = int32(b[48+i/64*32+i%32]>>(i/32%2*4)&15 | b[16+i%32]>>(i/32)&1<<4)
		}
	case gguf.IQ4_XS:
		u.d, u.minimum = f16At(b, 0), [16]int32{}
		high := int32(binary.LittleEndian.Uint16(b[2:]))
		for j := range u.scale {
			run := j / 2
			u.scale[j] = int32(b[4+run/2]>>(run%2*4)&15) + (high>>(2*run)&3)<<4 - 32
		}
		for i := range u.q {
			u.q[i] = fourBits[b[8+i/32*16+i%16]>>(i/16%2*4)&15]
		}
	default:
		return false
	}
	return true
}

// twoBits is weight i of 256 in 64 bytes, without offset.
func twoBits(b []byte, i int) int32 { return int32(b[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3) }

// dotUnpacked multiplies the row w of a type that unpack knows with vector t.
func dotUnpacked(typ gguf.Type, w []byte, a *Activations, t int) float32 {
	var u unpacked
	var sum float32
	n, size := typ.BlockSize(), typ.BlockBytes()
	for b := range a.cols / n {
		u.unpack(typ, w[b*size:(b+1)*size])
		var product, low int32
		at := t*a.cols + b*n
		for j := range n / 16 {
			var p, s int32
			for i, v := range a.q[at+16*j : at+16*j+16] {
				p += u.q[16*j+i] * int32(v)
				s += int32(v)
			}
			product += u.scale[j] * p
			low += u.minimum[j] * s
		}
		var d float32
		if a.form == Q8 {
			d = a.s8[at/32].d
		} else {
			d = a.s8k[at/256].d
		}
		sum += u.d*d*float32(product) - u.dmin*d*float32(low)
	}
	return sum
}

func bf16At(w []byte, i int) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(w[2*i:])) << 16)
}

func dotBF16(w []byte, x []float32) float32 {
	var s [4]float32
	for i, v := range x {
		s[i&3] += bf16At(w, i) * v
	}
	return s[0] + s[1] + s[2] + s[3]
}
