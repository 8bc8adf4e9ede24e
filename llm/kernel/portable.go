package kernel

import "alphaos/llm/gguf"

// The portable set: the definition of what the assembly computes, and what
// processors without AVX2 run. The block layouts are ggml's.

var portable = &Set{"portable", func() bool { return true }, inGo{}}

type inGo struct{}

func (inGo) mul(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	f := formatOf(m.Type)
	dot := f.dot
	if dot == nil {
		u := blocks.Get().(*unpacked)
		defer blocks.Put(u)
		dot = func(w []byte, a *Activations, t, col int) float32 { return u.dot(f, w, a, t, col) }
	}
	for r := from; r < to; r++ {
		w := m.data[r*m.rowBytes : (r+1)*m.rowBytes]
		for t := range a.n {
			y[t*step+r] = dot(w, a, t, 0)
		}
	}
}

func (inGo) sum(m *Matrix, y []float32, n int, x []float32, step, first, rows int) {
	sumColumns(m, 0, y, n, x, step, first, rows)
}

func (inGo) repackable(*Matrix) int   { return 0 }
func (inGo) repack(*Matrix, int, int) {}

func (inGo) row(*Matrix, []float32, int) { panic("kernel: no row was moved") }

func (inGo) product(y, a, b Dense, rows, inner, cols int) int { return 0 }

func (inGo) has512() bool { return false }

func (inGo) runs(gguf.Type) bool { return false }

// sumColumns sums the columns from left on.
func sumColumns(m *Matrix, left int, y []float32, n int, x []float32, step, first, rows int) {
	sum, at := formatOf(m.Type).sum, left*m.Type.BlockBytes()
	for t := range n {
		for r, f := range x[t*step:][:rows] {
			sum(y[t*m.Cols+left:(t+1)*m.Cols], m.data[(first+r)*m.rowBytes+at:], f)
		}
	}
}

func sumQ8_0(y []float32, w []byte, f float32) {
	for ; len(y) > 0; y, w = y[32:], w[34:] {
		factor := f * f16At(w, 0)
		for i, q := range w[2:34] {
			y[i] += factor * float32(int8(q))
		}
	}
}

func dotQ8_0(w []byte, a *Activations, t, col int) float32 {
	q, s := a.q[t*a.cols+col:(t+1)*a.cols], a.s8[(t*a.cols+col)/32:]
	var sum float32
	for b := range len(q) / 32 {
		block, x := w[34*b:34*b+34], q[32*b:32*b+32]
		var n int32
		for i, v := range x {
			n += int32(int8(block[2+i])) * int32(v)
		}
		sum += f16At(block, 0) * s[b].d * float32(n)
	}
	return sum
}

func dotQ4_0(w []byte, a *Activations, t, col int) float32 {
	q, s := a.q[t*a.cols+col:(t+1)*a.cols], a.s8[(t*a.cols+col)/32:]
	var sum float32
	for b := range len(q) / 32 {
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

func dotQ4_K(w []byte, a *Activations, t, col int) float32 {
	q, s := a.q[t*a.cols+col:(t+1)*a.cols], a.s8k[(t*a.cols+col)/256:]
	var sum float32
	for b := range len(q) / 256 {
		block, x, s := w[144*b:144*b+144], q[256*b:256*b+256], &s[b]
		var n, m int32
		for j := range 8 {
			scale, minimum := scaleQ4_K(block[4:16], j)
			group, shift := block[16+j/2*32:][:32], j%2*4
			var p int32
			for i, v := range x[32*j : 32*j+32] {
				p += int32(group[i]>>shift&15) * int32(v)
			}
			n += scale * p
			m += minimum * int32(s.sum32[j])
		}
		sum += f16At(block, 0)*s.d*float32(n) - f16At(block, 1)*s.d*float32(m)
	}
	return sum
}

func dotQ6_K(w []byte, a *Activations, t, col int) float32 {
	q, s := a.q[t*a.cols+col:(t+1)*a.cols], a.s8k[(t*a.cols+col)/256:]
	var sum float32
	for b := range len(q) / 256 {
		block, x, s := w[210*b:210*b+210], q[256*b:256*b+256], &s[b]
		var n int32
		for j := range 16 {
			var p int32
			for i, v := range x[16*j : 16*j+16] {
				p += q6At(block, 16*j+i) * int32(v)
			}
			n += int32(int8(block[192+j])) * (p - 32*int32(s.sum16[j]))
		}
		sum += f16At(block[208:], 0) * s.d * float32(n)
	}
	return sum
}
