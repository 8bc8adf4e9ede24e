package kernel

import (
	"encoding/binary"
	"math"

	"alphaos/llm/gguf"
)

// The portable set: the definition of what the assembly kernels compute, and
// what processors without AVX2 run. The block layouts are ggml's.

var portable = &Set{
	name:     "portable",
	usable:   func() bool { return true },
	mul:      mulPortable,
	sum:      sumPortable,
	quantize: quantizePortable,
}

func mulPortable(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	for r := from; r < to; r++ {
		w := m.data[r*m.rowBytes : (r+1)*m.rowBytes]
		for t := range a.n {
			y[t*step+r] = dot(m.Type, w, a, t)
		}
	}
}

// dot multiplies the row w with vector t of a.
func dot(typ gguf.Type, w []byte, a *Activations, t int) float32 {
	switch typ {
	case gguf.F32:
		return dotF32(w, a.f[t*a.cols:(t+1)*a.cols])
	case gguf.F16:
		return dotF16(w, a.f[t*a.cols:(t+1)*a.cols])
	case gguf.BF16:
		return dotBF16(w, a.f[t*a.cols:(t+1)*a.cols])
	}
	q := a.q[t*a.cols : (t+1)*a.cols]
	switch typ {
	case gguf.Q8_0:
		return dotQ8_0(w, q, a.s8[t*a.cols/32:])
	case gguf.Q4_0:
		return dotQ4_0(w, q, a.s8[t*a.cols/32:])
	case gguf.Q4_K:
		return dotQ4_K(w, q, a.s8k[t*a.cols/256:])
	case gguf.Q6_K:
		return dotQ6_K(w, q, a.s8k[t*a.cols/256:])
	}
	return dotUnpacked(typ, w, a, t)
}

func f32At(w []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(w[4*i:]))
}

func f16At(w []byte, i int) float32 { return fromHalf(binary.LittleEndian.Uint16(w[2*i:])) }

func dotF32(w []byte, x []float32) float32 {
	var s [4]float32
	for i, v := range x {
		s[i&3] += f32At(w, i) * v
	}
	return s[0] + s[1] + s[2] + s[3]
}

func dotF16(w []byte, x []float32) float32 {
	var s [4]float32
	for i, v := range x {
		s[i&3] += f16At(w, i) * v
	}
	return s[0] + s[1] + s[2] + s[3]
}

func dotQ8_0(w []byte, q []int8, s []scaleQ8) float32 {
	var sum float32
	for b := 0; b < len(q)/32; b++ {
		block, x := w[34*b:34*b+34], q[32*b:32*b+32]
		var n int32
		for i, v := range x {
			n += int32(int8(block[2+i])) * int32(v)
		}
		sum += f16At(block, 0) * s[b].d * float32(n)
	}
	return sum
}

func dotQ4_0(w []byte, q []int8, s []scaleQ8) float32 {
	var sum float32
	for b := 0; b < len(q)/32; b++ {
		block, x := w[18*b:18*b+18], q[32*b:32*b+32]
		var n int32
		for i, v := range block[2:18] {
			n += int32(v&15)*int32(x[i]) + int32(v>>4)*int32(x[16+i])
		}
		d := f16At(block, 0)
		sum += d*s[b].d*float32(n) + d*s[b].sum8
	}
	return sum
}

// scaleQ4_K unpacks scale and minimum number j of the eight in p.
func scaleQ4_K(p []byte, j int) (scale, minimum int32) {
	if j < 4 {
		return int32(p[j] & 63), int32(p[j+4] & 63)
	}
	return int32(p[j+4]&15 | p[j-4]>>6<<4), int32(p[j+4]>>4 | p[j]>>6<<4)
}

func dotQ4_K(w []byte, q []int8, s []scaleQ8K) float32 {
	var sum float32
	for b := 0; b < len(q)/256; b++ {
		block, x := w[144*b:144*b+144], q[256*b:256*b+256]
		var n, m int32
		for j := range 8 {
			scale, minimum := scaleQ4_K(block[4:16], j)
			group, shift := block[16+j/2*32:][:32], j%2*4
			var p int32
			for i, v := range x[32*j : 32*j+32] {
				p += int32(group[i]>>shift&15) * int32(v)
			}
			n += scale * p
			m += minimum * int32(s[b].sum32[j])
		}
		sum += f16At(block, 0)*s[b].d*float32(n) - f16At(block, 1)*s[b].d*float32(m)
	}
	return sum
}

// q6At is weight i of 256, 0 to 63, where 32 stands for 0.
func q6At(block []byte, i int) int32 {
	half, quarter, l := i/128, i/32%4, i%32
	low := block[64*half+quarter%2*32+l] >> (quarter / 2 * 4) & 15
	high := block[128+32*half+l] >> (2 * quarter) & 3
	return int32(low | high<<4)
}

func dotQ6_K(w []byte, q []int8, s []scaleQ8K) float32 {
	var sum float32
	for b := 0; b < len(q)/256; b++ {
		block, x := w[210*b:210*b+210], q[256*b:256*b+256]
		var n int32
		for j := range 16 {
			var p int32
			for i, v := range x[16*j : 16*j+16] {
				p += q6At(block, 16*j+i) * int32(v)
			}
			n += int32(int8(block[192+j])) * (p - 32*int32(s[b].sum16[j]))
		}
		sum += f16At(block[208:], 0) * s[b].d * float32(n)
	}
	return sum
}

func sumPortable(m *Matrix, first int, y, x []float32) { sumColumns(m, first, 0, y, x) }

// sumColumns sums the columns from left on.
func sumColumns(m *Matrix, first, left int, y, x []float32) {
	for r, f := range x {
		w := m.data[(first+r)*m.rowBytes : (first+r+1)*m.rowBytes]
		if m.Type == gguf.F16 {
			for i := left; i < len(y); i++ {
				y[i] += f * f16At(w, i)
			}
		} else {
			for i := left; i < len(y); i++ {
				y[i] += f * f32At(w, i)
			}
		}
	}
}

// Dequantize writes the len(dst) weights in src, a whole number of blocks of
// type t, as float32.
func Dequantize(t gguf.Type, dst []float32, src []byte) {
	n := t.BlockSize()
	var u unpacked
	for b := 0; b < len(dst)/n; b++ {
		x, block := dst[n*b:n*b+n], src[t.BlockBytes()*b:][:t.BlockBytes()]
		switch t {
		case gguf.F32:
			x[0] = f32At(block, 0)
		case gguf.F16:
			x[0] = f16At(block, 0)
		case gguf.BF16:
			x[0] = bf16At(block, 0)
		case gguf.Q8_0:
			d := f16At(block, 0)
			for i := range x {
				x[i] = d * float32(int8(block[2+i]))
			}
		case gguf.Q4_0:
			d := f16At(block, 0)
			for i, v := range block[2:] {
				x[i], x[16+i] = d*float32(int(v&15)-8), d*float32(int(v>>4)-8)
			}
		case gguf.Q4_K:
			d, dmin := f16At(block, 0), f16At(block, 1)
			for i := range x {
				scale, minimum := scaleQ4_K(block[4:16], i/32)
				x[i] = d*float32(scale)*float32(block[16+i/64*32+i%32]>>(i/32%2*4)&15) - dmin*float32(minimum)
			}
		case gguf.Q6_K:
			d := f16At(block[208:], 0)
			for i := range x {
				x[i] = d * float32(int8(block[192+i/16])) * float32(q6At(block, i)-32)
			}
		default:
			if !u.unpack(t, block) {
				panic("kernel: cannot expand " + t.String())
			}
			for i := range x {
				x[i] = u.d*float32(u.scale[i/16])*float32(u.q[i]) - u.dmin*float32(u.minimum[i/16])
			}
		}
	}
}

func addNormPortable(x, h, bias, w, b []float32, epsilon float64) {
	var sum, squares float64
	for i, v := range x {
		x[i] = v + h[i] + bias[i]
		sum += float64(x[i])
	}
	mean := float32(sum / float64(len(x)))
	for _, v := range x {
		squares += float64(v-mean) * float64(v-mean)
	}
	scale := float32(1 / math.Sqrt(squares/float64(len(x))+epsilon))
	for i, v := range x {
		x[i] = (v-mean)*scale*w[i] + b[i]
	}
}
