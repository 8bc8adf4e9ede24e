package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"alphaos/llm/gguf"
)

// exact expands one block to float64, written from the format's description
// and not from the code under test.
func exact(t gguf.Type, b []byte) []float64 {
	half := func(i int) float64 {
		h := binary.LittleEndian.Uint16(b[i:])
		sign, exp, man := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
		if exp == 0 {
			return sign * math.Ldexp(man, -24)
		}
		return sign * math.Ldexp(1024+man, exp-25)
	}
	w := make([]float64, t.BlockSize())
	switch t {
	case gguf.F32:
		w[0] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case gguf.F16:
		w[0] = half(0)
	case gguf.Q8_0:
		for i := range w {
			w[i] = half(0) * float64(int8(b[2+i]))
		}
	case gguf.Q4_0:
		for i := range 16 {
			w[i] = half(0) * (float64(b[2+i]%16) - 8)
			w[16+i] = half(0) * (float64(b[2+i]/16) - 8)
		}
	case gguf.Q4_K:
		s := b[4:16]
		var scale, low [8]float64
		for j := range 4 {
			scale[j], low[j] = float64(s[j]%64), float64(s[4+j]%64)
			scale[4+j] = float64(s[8+j]%16) + 16*float64(s[j]/64)
			low[4+j] = float64(s[8+j]/16) + 16*float64(s[4+j]/64)
		}
		for g := range 4 {
			for i := range 32 {
				v := b[16+32*g+i]
				w[64*g+i] = half(0)*scale[2*g]*float64(v%16) - half(2)*low[2*g]
				w[64*g+32+i] = half(0)*scale[2*g+1]*float64(v/16) - half(2)*low[2*g+1]
			}
		}
	case gguf.BF16:
		w[0] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	case gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.IQ4_NL:
		at := map[gguf.Type]int{gguf.Q4_1: 4, gguf.Q5_0: 6, gguf.Q5_1: 8, gguf.IQ4_NL: 2}[t]
		for i := range 32 {
			v := int(b[at+i%16])
			if i < 16 {
				v %= 16
			} else {
				v /= 16
			}
			if t == gguf.Q5_0 || t == gguf.Q5_1 {
				v += int(b[at-4+i/8]) >> (i % 8) % 2 * 16
			}
			switch t {
			case gguf.Q4_1, gguf.Q5_1:
				w[i] = half(0)*float64(v) + half(2)
			case gguf.Q5_0:
				w[i] = half(0) * float64(v-16)
			default:
				w[i] = half(0) * []float64{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}[v]
			}
		}
	case gguf.Q2_K:
		for i := range w {
			v := int(b[16+i/128*32+i%32]) >> (i % 128 / 32 * 2) % 4
			w[i] = half(80)*float64(b[i/16]%16)*float64(v) - half(82)*float64(b[i/16]/16)
		}
	case gguf.Q3_K:
		for i := range w {
			v := int(b[32+i/128*32+i%32]) >> (i % 128 / 32 * 2) % 4
			if int(b[i%32])>>(i/32)%2 == 0 {
				v -= 4
			}
			j := i / 16
			scale := int(b[96+j%8]) % 16
			if j >= 8 {
				scale = int(b[96+j%8]) / 16
			}
			scale += int(b[104+j%4]) >> (j / 4 * 2) % 4 * 16
			w[i] = half(108) * float64(scale-32) * float64(v)
		}
	case gguf.Q5_K:
		q4 := append(append([]byte(nil), b[:16]...), b[48:]...)
		low := exact(gguf.Q4_K, q4)
		one := exact(gguf.Q4_K, append(append([]byte{b[0], b[1], 0, 0}, b[4:16]...), bytes.Repeat([]byte{0x11}, 128)...)) // d*scale
		for i := range w {
			w[i] = low[i] + one[i]*float64(int(b[16+i%32])>>(i/32)%2*16)
		}
	case gguf.IQ4_XS:
		for i := range w {
			run := i / 32
			scale := int(b[4+run/2])
			if run%2 == 1 {
				scale /= 16
			}
			scale = scale%16 + (int(b[2])+256*int(b[3]))>>(2*run)%4*16 - 32
			v := int(b[8+run*16+i%16])
			if i%32 >= 16 {
				v /= 16
			}
			w[i] = half(0) * float64(scale) * []float64{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}[v%16]
		}
	case gguf.Q1_0:
		for i := range w {
			w[i] = half(0) * float64(2*(int(b[2+i/8])>>(i%8)%2)-1)
		}
	case gguf.Q2_0, gguf.PQ2_0:
		for i := range w {
			w[i] = half(0) * float64(int(b[2+i/4])>>(2*(i%4))%4-1)
		}
	case gguf.TQ2_0:
		for i := range w {
			w[i] = half(64) * float64(int(b[i/128*32+i%32])>>(i%128/32*2)%4-1)
		}
	case gguf.TQ1_0, gguf.PTQ1_0:
		// Bytes from..to have digits of weights from first on.
		for _, p := range map[gguf.Type][][3]int{gguf.TQ1_0: {{0, 32, 0}, {32, 48, 160}, {48, 52, 240}}, gguf.PTQ1_0: {{0, 16, 0}, {16, 24, 80}, {24, 26, 120}}}[t] {
			for at := p[0]; at < p[1]; at++ {
				v := int(b[at])
				for i := p[2] + at - p[0]; i < len(w) && i < p[2]+5*(p[1]-p[0]); i += p[1] - p[0] {
					w[i] = half(t.BlockBytes()-2) * float64(v*3/256-1)
					v = v * 3 % 256
				}
			}
		}
	case gguf.MXFP4:
		for i := range w {
			w[i] = math.Ldexp(e2m1[int(b[1+i%16])>>(i/16*4)%16], int(b[0])-127)
		}
	case gguf.NVFP4:
		for i := range w {
			s := b[i/16]
			scale := math.Ldexp(1+float64(s%8)/8, int(s/8%16)-7)
			if s/8%16 == 0 {
				scale = math.Ldexp(float64(s%8), -9)
			}
			if s&0x7f == 0x7f {
				scale = 0
			}
			w[i] = scale * e2m1[int(b[4+i/16*8+i%8])>>(i%16/8*4)%16]
		}
	case gguf.IQ2_XXS, gguf.IQ2_XS, gguf.IQ2_S, gguf.IQ3_XXS, gguf.IQ3_S, gguf.IQ1_S, gguf.IQ1_M:
		exactIQ(t, b, w, half)
	case gguf.Q6_K:
		for h := range 2 {
			ql, qh, sc := b[64*h:], b[128+32*h:], b[192+8*h:]
			for l := range 32 {
				q := [4]int{
					int(ql[l]%16) + 16*int(qh[l]%4), int(ql[l+32]%16) + 16*int(qh[l]/4%4),
					int(ql[l]/16) + 16*int(qh[l]/16%4), int(ql[l+32]/16) + 16*int(qh[l]/64),
				}
				for k := range q {
					w[128*h+32*k+l] = half(208) * float64(int8(sc[l/16+2*k])) * float64(q[k]-32)
				}
			}
		}
	}
	return w
}

// e2m1 are the floating-point numbers of 4 bits: sign, two bits of exponent, one of mantissa.
var e2m1 = []float64{0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6}

var bookBytes = func() map[string][]byte {
	all := map[string][]byte{}
	for _, name := range []string{"iq2xxs_256x8", "iq2xs_512x8", "iq2s_1024x8", "iq3xxs_256x4", "iq3s_512x4", "iq1_2048x8"} {
		b, err := books.ReadFile("books/" + name + ".i8")
		if err != nil {
			panic(err)
		}
		all[name] = b
	}
	return all
}()

// exactIQ is exact for the types with code books, which are tested with what others made of them.
func exactIQ(t gguf.Type, b []byte, w []float64, half func(int) float64) {
	for i := range w {
		g, l, j := i/32, i/8%4, i%8
		u16 := func(at int) int { return int(b[at]) + 256*int(b[at+1]) }
		u32 := func(at int) int { return u16(at) + 65536*u16(at+2) }
		grid := func(book []byte, index int) float64 { return float64(int8(book[8*index+j])) }
		grid4 := func(book []byte, first, second int) float64 {
			return float64(int8(book[4*[]int{first, second}[j/4]+j%4]))
		}
		sign := func(index int) float64 { // of seven bits
			if j == 7 && bits.OnesCount(uint(index))%2 == 1 || j < 7 && index>>j%2 == 1 {
				return -1
			}
			return 1
		}
		explicit := func(mask byte) float64 { return float64(1 - 2*(int(mask)>>j%2)) }
		nibble := func(b byte, high int) float64 { return float64(int(b) >> (4 * high) % 16) }
		switch t {
		case gguf.IQ2_XXS:
			s := u32(6 + 8*g)
			w[i] = half(0) * (0.5 + float64(s>>28)) * 0.25 * grid(bookBytes["iq2xxs_256x8"], int(b[2+8*g+l])) * sign(s>>(7*l)%128)
		case gguf.IQ2_XS:
			v := u16(2 + 2*(4*g+l))
			w[i] = half(0) * (0.5 + nibble(b[66+g], l/2)) * 0.25 * grid(bookBytes["iq2xs_512x8"], v%512) * sign(v/512)
		case gguf.IQ2_S:
			v := int(b[2+4*g+l]) + int(b[66+g])>>(2*l)%4*256
			w[i] = half(0) * (0.5 + nibble(b[74+g], l/2)) * 0.25 * grid(bookBytes["iq2s_1024x8"], v) * explicit(b[34+4*g+l])
		case gguf.IQ3_XXS:
			s := u32(66 + 4*g)
			w[i] = half(0) * (0.5 + float64(s>>28)) * 0.5 * grid4(bookBytes["iq3xxs_256x4"], int(b[2+8*g+2*l]), int(b[2+8*g+2*l+1])) * sign(s>>(7*l)%128)
		case gguf.IQ3_S:
			v := func(k int) int { return int(b[2+8*g+k]) + int(b[66+g])>>k%2*256 }
			w[i] = half(0) * (1 + 2*nibble(b[106+g/2], g%2)) * grid4(bookBytes["iq3s_512x4"], v(2*l), v(2*l+1)) * explicit(b[74+4*g+l])
		case gguf.IQ1_S:
			h := u16(34 + 2*g)
			delta := 0.125 - 0.25*float64(h>>15)
			w[i] = half(0) * float64(2*(h>>12%8)+1) * (grid(bookBytes["iq1_2048x8"], int(b[2+4*g+l])+h>>(3*l)%8*256) + delta)
		case gguf.IQ1_M:
			d := make([]byte, 2)
			binary.LittleEndian.PutUint16(d, uint16(u16(48)>>12|u16(50)>>8&0xf0|u16(52)>>4&0xf00|u16(54)&0xf000))
			scale := float64(2*(u16(48+g/2*2)>>(6*(g%2)+l/2*3)%8) + 1)
			q := int(b[32+2*g+l/2]) >> (l % 2 * 4) % 16
			w[i] = exact(gguf.F16, d)[0] * scale * (grid(bookBytes["iq1_2048x8"], int(b[4*g+l])+q%8*256) + 0.125 - 0.25*float64(q/8))
		}
	}
}

// randomWeights fills rows with random bits, whose scales are made harmless.
func randomWeights(r *rand.Rand, t gguf.Type, n int) []byte {
	b := make([]byte, n/t.BlockSize()*t.BlockBytes())
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	half := func(at int, f float64) { binary.LittleEndian.PutUint16(b[at:], toHalf(float32(f))) }
	for at := 0; at < len(b); at += t.BlockBytes() {
		f := r.NormFloat64()
		switch t {
		case gguf.F32:
			binary.LittleEndian.PutUint32(b[at:], math.Float32bits(float32(f)))
		case gguf.F16:
			half(at, f)
		case gguf.BF16:
			binary.LittleEndian.PutUint16(b[at:], uint16(math.Float32bits(float32(f))>>16))
		case gguf.Q8_0, gguf.Q4_0, gguf.Q5_0, gguf.IQ4_NL:
			half(at, f/64)
		case gguf.Q4_1, gguf.Q5_1:
			half(at, f/64)
			half(at+2, r.NormFloat64())
		case gguf.Q2_K:
			half(at+80, f/20)
			half(at+82, r.NormFloat64()/20)
		case gguf.Q3_K:
			half(at+108, f/200)
		case gguf.Q5_K:
			half(at, f/1000)
			half(at+2, r.NormFloat64()/500)
		case gguf.IQ4_XS:
			half(at, f/4000)
		case gguf.Q4_K:
			half(at, f/500)
			half(at+2, r.NormFloat64()/500)
		case gguf.Q6_K:
			half(at+208, f/2000)
		case gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0:
			half(at, f)
		case gguf.TQ1_0, gguf.TQ2_0, gguf.PTQ1_0:
			half(at+t.BlockBytes()-2, f)
		case gguf.MXFP4:
			b[at] = byte(120 + r.IntN(8))
		case gguf.NVFP4:
			for i := range 4 {
				b[at+i] = byte(r.IntN(0x48))
			}
		case gguf.IQ1_S:
			half(at, f/8)
		case gguf.IQ2_XXS, gguf.IQ2_XS, gguf.IQ2_S, gguf.IQ3_XXS, gguf.IQ3_S:
			half(at, f/100)
		case gguf.IQ1_M:
			for i, v := 0, toHalf(float32(f/8)); i < 4; i, v = i+1, v>>4 {
				b[at+49+2*i] = b[at+49+2*i]&15 | byte(v)<<4
			}
		}
	}
	return b
}

func randomVector(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func inTurn(n, _ int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

func usableSets(t testing.TB) []*Set {
	var all []*Set
	for _, n := range Names() {
		s, err := ByName(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// The product with the quantized activations must be exact up to float32
// rounding; and quantizing the activations must cost no more than half a step.
func TestMul(t *testing.T) {
	for _, s := range usableSets(t) {
		for _, typ := range Types() {
			for _, size := range [][2]int{{1, 256}, {3, 512}, {70, 768}, {5, 2048}, {9, 32}, {4, 96}, {2, 200}, {3, 7}, {2, 1}, {300, 256}, {40, 352}, {40, 384}} {
				rows, cols := size[0], size[1]
				if cols%typ.BlockSize() != 0 {
					continue
				}
				rewritten := formatOf(typ).wide != nil && typ != gguf.TQ2_0
				if rewritten && rows != 70 && rows != 3 {
					continue // one way through for all of these
				}
				for _, n := range []int{1, 2, 4, 7, 9, 18} {
					if rewritten && n != 1 && n != 9 {
						continue
					}
					r := rand.New(rand.NewPCG(uint64(cols), uint64(n)))
					w := randomWeights(r, typ, rows*cols)
					m, err := s.NewMatrix(typ, rows, cols, w)
					if err != nil {
						t.Fatal(err)
					}
					x := randomVector(r, n*cols)
					a := s.NewActivations(FormOf(typ), cols, n)
					a.Set(x, n)
					step := rows + 3
					y := make([]float32, n*step)
					for i := range y {
						y[i] = 12345
					}
					m.Mul(y, step, a, 0, rows/2)
					m.Mul(y, step, a, rows/2, rows)
					checkProduct(t, fmt.Sprintf("%s %v %dx%d, %d vectors", s.Name(), typ, rows, cols, n), m, w, x, y, step, a)

					// A repacked copy must give the same, up to the order of
					// additions, for any range of rows.
					c, err := s.NewMatrix(typ, rows, cols, slices.Clone(w))
					if err != nil {
						t.Fatal(err)
					}
					c.Repack(inTurn)
					later, err := s.NewMatrix(typ, rows, cols, slices.Clone(w))
					if err != nil {
						t.Fatal(err)
					}
					if later.RepackLater() != (c.repacked > 0) || later.RepackLater() && c.repacked > 0 {
						t.Errorf("%s %v: there is need to repack, or none", s.Name(), typ)
					}
					for from := (rows - 1) / 16 * 16; from >= 0; from -= 16 {
						later.RepackRows(from, min(from+16, rows))
					}
					if !bytes.Equal(later.data, c.data) || later.repacked != c.repacked {
						t.Errorf("%s %v %dx%d: repacked by parts it is another matrix", s.Name(), typ, rows, cols)
					}
					z := slices.Repeat([]float32{12345}, len(y))
					c.Mul(z, step, a, 0, rows/2)
					c.Mul(z, step, a, rows/2, rows)
					checkProduct(t, fmt.Sprintf("%s %v %dx%d, repacked, %d vectors", s.Name(), typ, rows, cols, n), c, w, x, z, step, a)
				}
			}
		}
	}
}

// Alone, a vector's products are the same to the bit in whatever company.
func TestAlone(t *testing.T) {
	const rows, cols, most = 43, 768, 10
	for _, s := range usableSets(t) {
		for _, typ := range Types() {
			r := rand.New(rand.NewPCG(uint64(typ), 7))
			m, err := s.NewMatrix(typ, rows, cols, randomWeights(r, typ, rows*cols))
			if err != nil {
				t.Fatal(err)
			}
			x := randomVector(r, most*cols)
			for _, how := range []string{"as it comes", "repacked"} {
				if how == "repacked" {
					m.Repack(inTurn)
				}
				mul := func(x []float32, n int) []float32 {
					a := s.NewActivations(FormOf(typ), cols, n)
					a.Alone = true
					a.Set(x, n)
					y := make([]float32, n*rows)
					m.Mul(y, rows, a, 0, 21)
					m.Mul(y, rows, a, 21, rows)
					return y
				}
				var want []float32
				for v := range most {
					want = append(want, mul(x[v*cols:], 1)...)
				}
				for n := 2; n <= most; n++ {
					if got := mul(x, n); !slices.Equal(got, want[:n*rows]) {
						t.Fatalf("%s %v, %s: %d vectors together have other products", s.Name(), typ, how, n)
					}
				}
			}
		}
	}
}

func checkProduct(t *testing.T, what string, m *Matrix, w []byte, x, y []float32, step int, a *Activations) {
	t.Helper()
	bb, bs := m.Type.BlockBytes(), m.Type.BlockSize()
	row := make([]float32, m.Cols)
	for r := range m.Rows {
		var weights []float64
		for b := 0; b < m.Cols/bs; b++ {
			weights = append(weights, exact(m.Type, w[r*m.rowBytes+b*bb:][:bb])...)
		}
		m.Row(row, r)
		for i, v := range row {
			if math.Abs(float64(v)-weights[i]) > 1e-6*(math.Abs(weights[i])+1) {
				t.Fatalf("%s: weight %d of row %d expands to %g, not %g", what, i, r, v, weights[i])
			}
		}
		for v := range a.n {
			var want, size, drift float64
			for i, wt := range weights {
				at := v*m.Cols + i
				f := float64(x[at])
				switch a.form {
				case Q8:
					f = float64(a.q[at]) * float64(a.s8[at/32].d)
					drift += math.Abs(wt) * float64(a.s8[at/32].d) * 0.501
				case Q8K:
					f = float64(a.q[at]) * float64(a.s8k[at/256].d)
					drift += math.Abs(wt) * float64(a.s8k[at/256].d) * 0.501
				}
				want += wt * f
				size += math.Abs(wt * f)
			}
			var direct float64
			for i, wt := range weights {
				direct += wt * float64(x[v*m.Cols+i])
			}
			got := float64(y[v*step+r])
			// Weights counted from zero, as kernels do, make larger numbers in
			// between: hence a bound on absolute sizes, with room for those.
			if !(math.Abs(got-want) <= 2e-5*size+1e-5) {
				t.Fatalf("%s: row %d, vector %d is %g, not %g", what, r, v, got, want)
			}
			if !(math.Abs(got-direct) <= drift+2e-5*size+1e-5) {
				t.Fatalf("%s: row %d, vector %d is %g, %g without quantizing the activations", what, r, v, got, direct)
			}
		}
	}
	for v := range a.n {
		for i := m.Rows; i < step; i++ {
			if y[v*step+i] != 12345 {
				t.Fatalf("%s: a result was written beyond the rows", what)
			}
		}
	}
}

// Extreme weights and activations must not overflow the 16-bit steps.
func TestExtremes(t *testing.T) {
	for _, s := range usableSets(t) {
		for _, typ := range Types()[3:] {
			for _, fill := range []byte{0x00, 0x7f, 0x80, 0xff} {
				for _, sign := range []float32{1, -1} {
					const cols = 512
					w := make([]byte, cols/typ.BlockSize()*typ.BlockBytes())
					for i := range w {
						w[i] = fill
					}
					for at := 0; at < len(w); at += typ.BlockBytes() {
						switch typ {
						case gguf.Q6_K:
							binary.LittleEndian.PutUint16(w[at+208:], toHalf(1))
						case gguf.TQ1_0, gguf.TQ2_0, gguf.PTQ1_0:
							binary.LittleEndian.PutUint16(w[at+typ.BlockBytes()-2:], toHalf(1))
						case gguf.MXFP4:
							w[at] = 127
						case gguf.NVFP4:
							copy(w[at:], []byte{0x7e, 0x7e, 0x7e, 0x7e}) // the largest scale
						case gguf.IQ1_M:
							for i, v := range []byte{0, 0, 0xc0, 0x30} {
								w[at+49+2*i] = w[at+49+2*i]&15 | v
							}
						case gguf.Q3_K:
							binary.LittleEndian.PutUint16(w[at+108:], toHalf(1))
						case gguf.Q2_K:
							binary.LittleEndian.PutUint16(w[at+80:], toHalf(1))
							binary.LittleEndian.PutUint16(w[at+82:], toHalf(-1))
						case gguf.Q4_K, gguf.Q5_K, gguf.Q4_1, gguf.Q5_1:
							binary.LittleEndian.PutUint16(w[at+2:], toHalf(-1))
							fallthrough
						default:
							binary.LittleEndian.PutUint16(w[at:], toHalf(1))
						}
					}
					m, err := s.NewMatrix(typ, 1, cols, w)
					if err != nil {
						t.Fatal(err)
					}
					x := make([]float32, 4*cols)
					for i := range x {
						x[i] = sign
					}
					for _, n := range []int{1, 4} {
						a := s.NewActivations(FormOf(typ), cols, n)
						a.Set(x, n)
						y := make([]float32, n*2)
						for i := range y {
							y[i] = 12345
						}
						m.Mul(y, 2, a, 0, 1)
						checkProduct(t, fmt.Sprintf("%s %v of 0x%02x times %g", s.Name(), typ, fill, sign), m, w, x, y, 2, a)
					}
				}
			}
		}
	}
}

// All sets quantize alike, and zeros stay zeros.
func TestQuantize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x := randomVector(r, 3*1024)
	clear(x[256:512])
	x[600] = 1e30
	x[900] = -1e-30
	for _, form := range []Form{Q8, Q8K} {
		want := portable.NewActivations(form, 1024, 3)
		want.Set(x, 3)
		for _, s := range usableSets(t) {
			got := s.NewActivations(form, 1024, 3)
			got.Set(x, 3)
			for i := range want.q {
				if got.q[i] != want.q[i] {
					t.Fatalf("%s, form %d: number %d (%g) became %d, not %d", s.Name(), form, i, x[i], got.q[i], want.q[i])
				}
			}
			for i := range want.s8 {
				g, w := got.s8[i], want.s8[i]
				if g.d != w.d || math.Abs(float64(g.sum8-w.sum8)) > 1e-5*math.Abs(float64(w.sum8)) {
					t.Fatalf("%s: block %d has scales %v, not %v", s.Name(), i, g, w)
				}
			}
			for i := range want.s8k {
				if got.s8k[i] != want.s8k[i] {
					t.Fatalf("%s: block %d has scales %v, not %v", s.Name(), i, got.s8k[i], want.s8k[i])
				}
			}
		}
	}
}

func TestRows(t *testing.T) {
	wide := map[string][]float32{} // products with AVX-512
	for _, s := range usableSets(t) {
		for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0} {
			for _, cols := range []int{6, 8, 32, 44, 64, 96, 128} {
				if typ == gguf.Q8_0 && cols%32 != 0 {
					continue
				}
				r := rand.New(rand.NewPCG(uint64(cols), 9))
				const n = 500
				rows := s.NewRows(n, cols, typ)
				table := make([][]float32, n)
				for i := range n {
					table[i] = randomVector(r, cols)
					rows.Put(i, table[i])
					Dequantize(typ, table[i], rows.m.data[i*rows.m.rowBytes:][:rows.m.rowBytes])
				}
				q, tolerance := randomVector(r, 5*cols), 1e-4
				if typ == gguf.Q8_0 {
					tolerance = 0.02 * float64(cols) // q is rounded as well
				}
				a := s.NewActivations(FormOf(typ), cols, 5)
				a.Set(q, 5)
				y := make([]float32, 5*n)
				rows.Mul(y, n, a, 0, n-1)
				pieces := make([]float32, 5*n)
				rows.Mul(pieces, n, a, 99, n-1)
				rows.Mul(pieces, n, a, 0, 99)
				if !slices.Equal(y, pieces) { // nothing is written beyond a last row without another
					t.Fatalf("%s, %d columns, %v: products in pieces have other bits", s.Name(), cols, typ)
				}
				key := fmt.Sprint(typ, cols)
				if s.Name() == "avx512+vnni" {
					wide[key] = y
				} else if s.Name() == "avx2+fma" && wide[key] != nil && !slices.Equal(y, wide[key]) {
					t.Fatalf("%d columns, %v: with AVX-512 products have other bits", cols, typ)
				}
				for v := range 5 {
					for i := range n - 1 {
						var want float64
						for j, f := range table[i] {
							want += float64(f) * float64(q[v*cols+j])
						}
						if math.Abs(want-float64(y[v*n+i])) > tolerance {
							t.Fatalf("%s: product of row %d is %g, not %g", s.Name(), i, y[v*n+i], want)
						}
					}
				}
				many, weights := randomVector(r, 7*cols), randomVector(r, 7*n)
				alone := slices.Clone(many)
				rows.Sum(many, 7, weights, n, 3, n-3)
				for v := range 7 {
					rows.Sum(alone[v*cols:][:cols], 1, weights[v*n:], n, 3, n-3)
				}
				if !slices.Equal(many, alone) {
					t.Fatalf("%s, %d columns, %v: sums together have other bits", s.Name(), cols, typ)
				}
				sum, x := randomVector(r, cols), randomVector(r, n-1)
				want := make([]float64, cols)
				for j := range want {
					want[j] = float64(sum[j])
					for i, f := range x {
						want[j] += float64(f) * float64(table[i][j])
					}
				}
				whole := slices.Clone(sum)
				rows.Sum(whole, 1, x, 0, 0, n-1)
				rows.Sum(sum, 1, x, 0, 0, 99)
				rows.Sum(sum, 1, x[99:], 0, 99, n-1-99)
				if !slices.Equal(sum, whole) {
					t.Fatalf("%s, %d columns, %v: a sum in pieces has other bits", s.Name(), cols, typ)
				}
				for j := range want {
					if math.Abs(want[j]-float64(sum[j])) > 1e-3 {
						t.Fatalf("%s, %d columns, %v: column %d sums to %g, not %g", s.Name(), cols, typ, j, sum[j], want[j])
					}
				}
			}
		}
	}
}

func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		f := fromHalf(uint16(h))
		if f != f {
			if b := toHalf(f); b&0x7c00 != 0x7c00 || b&0x3ff == 0 {
				t.Fatalf("NaN became %04x", b)
			}
		} else if b := toHalf(f); b != uint16(h) {
			t.Fatalf("%04x became %g and then %04x", h, f, b)
		}
	}
	for f, want := range map[float32]uint16{1: 0x3c00, 65519: 0x7bff, 65520: 0x7c00, 1 + 0x1p-11: 0x3c00, 1 + 3*0x1p-11: 0x3c02, 0x1p-25: 0, 0x1.8p-25: 1, -2: 0xc000} {
		if got := toHalf(f); got != want {
			t.Errorf("%g became %04x, not %04x", f, got, want)
		}
	}
}

func TestNewMatrixRefuses(t *testing.T) {
	for _, c := range []struct {
		t                gguf.Type
		rows, cols, data int
	}{{gguf.Q8_1, 1, 256, 1000}, {gguf.Q4_K, 1, 32, 1000}, {gguf.F32, 0, 1, 4}, {gguf.F32, 2, 2, 15}, {gguf.F32, 1 << 60, 8, 64}} {
		if _, err := portable.NewMatrix(c.t, c.rows, c.cols, make([]byte, c.data)); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	if _, err := ByName("nonsense"); err == nil {
		t.Error("a kernel of no known name was found")
	}
}

func TestChoose(t *testing.T) {
	s := Choose()
	if !s.usable() {
		t.Errorf("chose %s, which is not usable", s.Name())
	}
	t.Logf("chose %s", s.Name())
	for _, s := range usableSets(t) {
		t.Logf("%s: %v", s.Name(), s.measure())
	}
}

func BenchmarkChoose(b *testing.B) {
	for b.Loop() {
		Choose()
	}
}

// BenchmarkMul shows GB/s of weights read for a 2048-column matrix larger than
// the caches, for one vector and, in weights times vectors, for 32.
func BenchmarkMul(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, typ := range Types() {
		const cols, size = 2048, 64 << 20
		rowBytes := cols / typ.BlockSize() * typ.BlockBytes()
		rows := size / rowBytes
		one := randomWeights(r, typ, cols)
		w := make([]byte, 0, rows*rowBytes)
		for range rows {
			w = append(w, one...)
		}
		for _, s := range usableSets(b) {
			for _, n := range []int{1, 32} {
				rows := rows
				if n > 1 || s == portable {
					rows /= 16
				}
				m, err := s.NewMatrix(typ, rows, cols, w)
				if err != nil {
					b.Fatal(err)
				}
				a := s.NewActivations(FormOf(typ), cols, n)
				a.Set(randomVector(r, n*cols), n)
				y := make([]float32, n*rows)
				b.Run(fmt.Sprintf("%v/%s/%d", typ, s.Name(), n), func(b *testing.B) {
					start := time.Now()
					for b.Loop() {
						m.Mul(y, rows, a, 0, rows)
					}
					t := time.Since(start).Seconds() / float64(b.N)
					b.ReportMetric(float64(rows*rowBytes)/t/1e9, "GB/s")
					b.ReportMetric(float64(rows*cols*n)/t/1e9, "GMAC/s")
				})
			}
		}
	}
}

func BenchmarkQuantize(b *testing.B) {
	x := randomVector(rand.New(rand.NewPCG(1, 1)), 2048)
	for _, s := range usableSets(b) {
		for _, form := range []Form{Q8, Q8K} {
			a := s.NewActivations(form, 2048, 1)
			b.Run(fmt.Sprintf("%s/%d", s.Name(), form), func(b *testing.B) {
				for b.Loop() {
					a.Set(x, 1)
				}
			})
		}
	}
}
