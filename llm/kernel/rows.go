package kernel

import (
	"unsafe"

	"alphaos/llm/gguf"
)

// near is how many bytes of a table stay in the first-level cache beside queries,
// scores and sums.
const near = 16 << 10

// Rows is a growing table of float32 or float16 rows, such as the keys or the
// values of an attention head: its first rows as a matrix.
type Rows struct {
	m    Matrix
	f32  []float32
	f16  []uint16
	cols int
}

// NewRows makes a table for up to rows rows of cols numbers.
func (s *Set) NewRows(rows, cols int, half bool) *Rows {
	r := &Rows{cols: cols}
	if half {
		r.f16 = make([]uint16, rows*cols)
		r.m = Matrix{Type: gguf.F16, Rows: rows, Cols: cols, data: bytesOf(r.f16), rowBytes: 2 * cols, set: s, fetch: fetches[0]}
	} else {
		r.f32 = make([]float32, rows*cols)
		r.m = Matrix{Type: gguf.F32, Rows: rows, Cols: cols, data: bytesOf(r.f32), rowBytes: 4 * cols, set: s, fetch: fetches[0]}
	}
	return r
}

func bytesOf[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(*new(T))))
}

// Data is the first n rows as they lie in memory, to be saved or restored.
func (r *Rows) Data(n int) []byte { return r.m.data[:n*r.m.rowBytes] }

// Memory is how many bytes the table takes, full or not.
func (r *Rows) Memory() int { return len(r.m.data) }

// Put stores row i.
func (r *Rows) Put(i int, x []float32) {
	if r.f32 != nil {
		copy(r.f32[i*r.cols:(i+1)*r.cols], x)
		return
	}
	for j, v := range x[:r.cols] {
		r.f16[i*r.cols+j] = toHalf(v)
	}
}

// Near is how many rows, at least 8, stay in the first-level cache while several
// vectors pass over them.
func (r *Rows) Near() int { return max(8, near/r.m.rowBytes) }

// Mul computes rows [from, to) times each vector t of a into y[t*step+row].
// The activations must be PlainF32.
func (r *Rows) Mul(y []float32, step int, a *Activations, from, to int) {
	r.m.Mul(y, step, a, from, to)
}

// Sum adds, for each of n vectors t, x[t*step+i] times row first+i, for every i < rows, to the
// t-th cols numbers of y, one after another: however rows and vectors are divided, the bits
// are the same. More rows than Near at a time would keep the garbage collector waiting.
func (r *Rows) Sum(y []float32, n int, x []float32, step, first, rows int) {
	if n < 1 || len(y) != n*r.cols || first < 0 || rows < 0 || rows > r.m.Rows-first || len(x) < (n-1)*step+rows {
		panic("kernel: sum of rows out of range")
	}
	r.m.set.sum(&r.m, y, n, x, step, first, rows)
}
