package kernel

import (
	"unsafe"

	"alphaos/llm/gguf"
)

// near is how many bytes of a table stay in the first-level cache beside queries,
// scores and sums.
const near = 16 << 10

// ofRows is what keys and values have fetched. Into the second-level cache it goes further ahead than weights do: with 8192
// bytes the processor waits for a quarter of the keys, from 16384 on it doesn't.
var ofRows = Fetch{Ahead: 2048, Far: 24576}

// Rows is a growing table, such as the keys or the values of an attention head, in float32,
// float16 or Q8_0: its first rows as a matrix.
type Rows struct{ m Matrix }

// NewRows makes a table for up to rows rows of cols numbers. t is F32, F16, or, if cols is a
// multiple of 32, Q8_0.
func (s *Set) NewRows(rows, cols int, t gguf.Type) *Rows {
	rowBytes := cols / t.BlockSize() * t.BlockBytes()
	data := bytesOf(make([]float32, (rows*rowBytes+3)/4))[:rows*rowBytes] // aligned for whatever is in it
	return &Rows{Matrix{Type: t, Rows: rows, Cols: cols, data: data, rowBytes: rowBytes, set: s, fetch: ofRows}}
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
	b := r.m.data[i*r.m.rowBytes:][:r.m.rowBytes]
	encode, n, size := formatOf(r.m.Type).encode, r.m.Type.BlockSize(), r.m.Type.BlockBytes()
	if r.m.Type != gguf.Q8_0 {
		n, size = r.m.Cols, len(b)
	}
	for x = x[:r.m.Cols]; len(x) > 0; x, b = x[n:], b[size:] {
		encode(b[:size], x[:n])
	}
}

// RowBytes is how many bytes a row takes.
func (r *Rows) RowBytes() int { return r.m.rowBytes }

// Columns is the table's columns [from, to), for sums of its rows; from is a multiple of 32.
func (r *Rows) Columns(from, to int) Rows {
	m := r.m
	m.Cols, m.data = to-from, m.data[from/m.Type.BlockSize()*m.Type.BlockBytes():]
	return Rows{m}
}

// From makes view the table's rows from the given one on.
func (r *Rows) From(view *Rows, row int) {
	*view = *r
	view.m.data, view.m.Rows = r.m.data[row*r.m.rowBytes:], r.m.Rows-row
}

// Next is what of the table comes after that which sums of rows before the given one have fetched.
func (r *Rows) Next(row int) []byte {
	return r.m.data[min(row*r.m.rowBytes+r.m.fetch.Far, len(r.m.data)):]
}

// Near is how many rows, at least 8, stay in the first-level cache while several
// vectors pass over them.
func (r *Rows) Near() int { return max(8, near/r.m.rowBytes) }

// Mul computes rows [from, to) times each vector t of a into y[t*step+row].
// The activations' form is that of the table's type.
func (r *Rows) Mul(y []float32, step int, a *Activations, from, to int) {
	r.m.Mul(y, step, a, from, to)
}

// Sum adds, for each of n vectors t, x[t*step+i] times row first+i, for every i < rows, to the
// t-th cols numbers of y, one after another: however rows and vectors are divided, the bits
// are the same. More rows than Near at a time would keep the garbage collector waiting.
func (r *Rows) Sum(y []float32, n int, x []float32, step, first, rows int) {
	if n < 1 || len(y) != n*r.m.Cols || first < 0 || rows < 0 || rows > r.m.Rows-first || len(x) < (n-1)*step+rows {
		panic("kernel: sum of rows out of range")
	}
	r.m.set.sum(&r.m, y, n, x, step, first, rows)
}
