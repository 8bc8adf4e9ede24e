package kernel

import (
	"unsafe"

	"alphaos/llm/gguf"

	"golang.org/x/sys/cpu"
)

var sets = []*Set{
	withVNNI(assembly("avx512+vnni", hasVNNI, true)),
	assembly("avx2+fma", hasFMA, true),
	assembly("avx2", hasAVX2, false),
	portable,
}

// hasAVX2 is true when the processor has AVX2 and F16C and the system keeps
// the wide registers. x/sys/cpu looks at OSXSAVE and XCR0 for both AVX2 and FMA.
func hasAVX2() bool { return cpu.X86.HasAVX2 && hasF16C() }

func hasFMA() bool { return hasAVX2() && cpu.X86.HasFMA }

// hasVNNI is true when there are 512-bit registers, with VNNI, and the system
// keeps them, which x/sys/cpu looks at in XCR0, too.
func hasVNNI() bool { return hasFMA() && cpu.X86.HasAVX512F && cpu.X86.HasAVX512VNNI }

// hasF16C reports CPUID.01H:ECX.F16C[bit 29], which x/sys/cpu does not.
func hasF16C() bool { return cpuid1()&(1<<29) != 0 }

// cpuid1 returns ECX of CPUID leaf 1.
func cpuid1() uint32

// The kernels are called by name, not through variables, so that the compiler
// sees that a call does not outlive them and leaves it on the stack.

// rows1 multiplies with one vector.
func rows1(t gguf.Type, fma bool, c *call) {
	if fma {
		switch t {
		case gguf.F32:
			fmaRows1F32(c)
		case gguf.F16:
			fmaRows1F16(c)
		case gguf.Q8_0:
			fmaRows1Q80(c)
		case gguf.Q4_0:
			fmaRows1Q40(c)
		case gguf.Q4_K:
			fmaRows1Q4K(c)
		case gguf.Q6_K:
			fmaRows1Q6K(c)
		default:
			formatRows1(t, fma, c)
		}
		return
	}
	switch t {
	case gguf.F32:
		avx2Rows1F32(c)
	case gguf.F16:
		avx2Rows1F16(c)
	case gguf.Q8_0:
		avx2Rows1Q80(c)
	case gguf.Q4_0:
		avx2Rows1Q40(c)
	case gguf.Q4_K:
		avx2Rows1Q4K(c)
	case gguf.Q6_K:
		avx2Rows1Q6K(c)
	default:
		formatRows1(t, fma, c)
	}
}

// rows4 multiplies with four vectors.
func rows4(t gguf.Type, fma bool, c *call) {
	if fma {
		switch t {
		case gguf.F32:
			fmaRows4F32(c)
		case gguf.F16:
			fmaRows4F16(c)
		case gguf.Q8_0:
			fmaRows4Q80(c)
		case gguf.Q4_0:
			fmaRows4Q40(c)
		case gguf.Q4_K:
			fmaRows4Q4K(c)
		case gguf.Q6_K:
			fmaRows4Q6K(c)
		default:
			formatRows4(t, fma, c)
		}
		return
	}
	switch t {
	case gguf.F32:
		avx2Rows4F32(c)
	case gguf.F16:
		avx2Rows4F16(c)
	case gguf.Q8_0:
		avx2Rows4Q80(c)
	case gguf.Q4_0:
		avx2Rows4Q40(c)
	case gguf.Q4_K:
		avx2Rows4Q4K(c)
	case gguf.Q6_K:
		avx2Rows4Q6K(c)
	default:
		formatRows4(t, fma, c)
	}
}

func sumRows(t gguf.Type, fma bool, c *call) {
	switch {
	case t == gguf.F16 && fma:
		fmaSumF16(c)
	case t == gguf.F16:
		avx2SumF16(c)
	case fma:
		fmaSumF32(c)
	default:
		avx2SumF32(c)
	}
}

func assembly(name string, usable func() bool, fma bool) *Set {
	return &Set{
		name:   name,
		usable: usable,
		mul: func(m *Matrix, y []float32, step int, a *Activations, from, to int) {
			mulAssembly(m, y, step, a, from, to, fma)
		},
		sum:      func(m *Matrix, first int, y, x []float32) { sumAssembly(m, first, y, x, fma) },
		quantize: quantizeAssembly,
		repack:   repackEights,
		row:      (*Matrix).rowEights,
		dense: func(y, a, b Dense, rows, inner, col int) {
			denseAssembly(y, a, b, rows, inner, col, fma)
		},
	}
}

// withVNNI makes s, which is a set of its own, multiply panels with AVX-512. Single
// vectors wait for memory, and need no more than AVX2.
func withVNNI(s *Set) *Set {
	s.vnni = true
	return s
}

func mulAssembly(m *Matrix, y []float32, step int, a *Activations, from, to int, fma bool) {
	if from < m.eights {
		mulRepacked(m, y, step, a, from, to, fma)
		from = m.eights
	}
	if !a.Alone && panelsPay(m.Type, a.n) {
		from = mulPanels(m, y, step, a, from, to, fma)
	}
	c := call{step: uintptr(m.rowBytes), ystep: uintptr(4 * step)}
	plain := a.form == PlainF32
	switch a.form {
	case PlainF32:
		c.n, c.xstep = uintptr(a.cols/8), uintptr(4*a.cols)
	case Q8:
		c.n, c.xstep, c.dstep = uintptr(a.cols/32), uintptr(a.cols), a.scaleStep()
	case Q8K:
		c.n, c.xstep, c.dstep = uintptr(a.cols/256), uintptr(a.cols), a.scaleStep()
	}
	for from < to {
		rows := min(to-from, max(1, chunk/m.rowBytes))
		c.rows = uintptr(rows)
		c.w = unsafe.Pointer(&m.data[from*m.rowBytes])
		for t := 0; t < a.n; {
			switch a.form {
			case PlainF32:
				c.x = unsafe.Pointer(&a.f[t*a.cols])
			case Q8:
				c.x, c.d = unsafe.Pointer(&a.q[t*a.cols]), unsafe.Pointer(&a.s8[t*a.cols/32])
			case Q8K:
				c.x, c.d = unsafe.Pointer(&a.q[t*a.cols]), unsafe.Pointer(&a.s8k[t*a.cols/256])
			}
			c.y = unsafe.Pointer(&y[t*step+from])
			switch {
			case a.n-t >= 4 && !a.Alone:
				rows4(m.Type, fma, &c)
				t += 4
			case a.n-t >= 3 && m.Type == gguf.Q8_0: // the same bits as one by one
				if fma {
					fmaRows3Q80(&c)
				} else {
					avx2Rows3Q80(&c)
				}
				t += 3
			default:
				rows1(m.Type, fma, &c)
				t++
			}
		}
		if done := a.cols &^ 7; plain && done < a.cols { // what is left of rows that are no multiple of 8
			tail := Activations{n: 1}
			tail.cols = a.cols - done
			for r := from; r < from+rows; r++ {
				w := m.data[r*m.rowBytes : (r+1)*m.rowBytes]
				for t := range a.n {
					tail.f = a.f[t*a.cols+done : (t+1)*a.cols]
					y[t*step+r] += dot(m.Type, w[done*m.rowBytes/a.cols:], &tail, 0)
				}
			}
		}
		from += rows
	}
}

func sumAssembly(m *Matrix, first int, y, x []float32, fma bool) {
	done := len(y) &^ 7
	if done > 0 && len(x) > 0 {
		sumRows(m.Type, fma, &call{w: unsafe.Pointer(&m.data[first*m.rowBytes]), step: uintptr(m.rowBytes), rows: uintptr(len(x)), n: uintptr(done / 8),
			x: unsafe.Pointer(&x[0]), y: unsafe.Pointer(&y[0])})
	}
	if done < len(y) { // what is left of rows that are no multiple of 8
		sumColumns(m, first, done, y, x)
	}
}

func quantizeAssembly(a *Activations, from, to int) {
	for t := from; t < to; t++ {
		c := call{w: unsafe.Pointer(&a.f[t*a.cols]), x: unsafe.Pointer(&a.q[t*a.cols])}
		if a.form == Q8 {
			c.n, c.d = uintptr(a.cols/32), unsafe.Pointer(&a.s8[t*a.cols/32])
			quantizeQ8(&c)
		} else {
			c.n, c.d = uintptr(a.cols/256), unsafe.Pointer(&a.s8k[t*a.cols/256])
			quantizeQ8K(&c)
		}
	}
}
