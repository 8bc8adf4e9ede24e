// Package kernel multiplies quantized matrices with vectors.
//
// A Matrix refers to the rows of a tensor as they lie in a GGUF file; nothing
// is copied or expanded. Activations hold the vectors to multiply with, in the
// form that suits the matrix's type: plain float32 for F32 and F16, and int8
// with a scale for every 32 or 256 numbers for the quantized types, so that a
// product of two blocks is integer arithmetic.
//
// A Set is one complete way to compute: "avx512+vnni", "avx2+fma", "avx2" or
// "portable". Choose picks one by what the processor can do and by a short
// measurement, because an emulated processor may offer fused multiplication and
// yet be several times slower at it. All sets compute from the same quantized
// activations and differ only in the order of float32 additions.
package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"

	"alphaos/llm/gguf"
)

// Set is a way to compute. It is immutable and safe for concurrent use.
type Set struct {
	name   string
	usable func() bool

	// mul computes rows [from, to) of m times all vectors of a.
	mul func(m *Matrix, y []float32, step int, a *Activations, from, to int)
	// sum adds x[r] times row first+r of m to y.
	sum      func(m *Matrix, first int, y, x []float32)
	quantize func(a *Activations, from, to int)
	// repack rearranges m; nil: the set wants weights as they are in a file.
	repack func(m *Matrix, each func(n, size int, f func(i int)))
	row    func(m *Matrix, dst []float32, r int) // expands a row that repack has moved
	vnni   bool                                  // multiplies many vectors with AVX-512 and VNNI
	// dense computes the columns [col, col+denseColumns) of a Product of at least
	// denseRows rows; nil: the set has nothing better than Go.
	dense func(y, a, b Dense, rows, inner, col int)
}

// Name is the name ByName knows the set by.
func (s *Set) Name() string { return s.name }

// Names lists the sets this processor can run, the best guess first.
func Names() []string {
	var names []string
	for _, s := range sets {
		if s.usable() {
			names = append(names, s.name)
		}
	}
	return names
}

// ByName finds a set that this processor can run.
func ByName(name string) (*Set, error) {
	for _, s := range sets {
		if s.name == name {
			if !s.usable() {
				return nil, fmt.Errorf("this processor cannot run the kernel %q; it can run %s", name, strings.Join(Names(), ", "))
			}
			return s, nil
		}
	}
	return nil, fmt.Errorf("there is no kernel %q; this processor can run %s", name, strings.Join(Names(), ", "))
}

// Choose returns the set to use on this processor. It measures for a tenth
// of a millisecond on a real processor, a few milliseconds on an emulated one.
// A set further down the list must be clearly faster to be chosen, so that
// noise does not change results from run to run.
func Choose() *Set {
	const advantage, rounds = 1.4, 3
	times := make([]time.Duration, len(sets))
	for range rounds { // in turns, so that a processor just waking up is not held against one set
		for i, s := range sets {
			if !s.usable() {
				continue
			}
			if t := s.measure(); times[i] == 0 || t < times[i] {
				times[i] = t
			}
		}
	}
	best := -1
	for i, t := range times {
		if t > 0 && (best < 0 || float64(t)*advantage < float64(times[best])) {
			best = i
		}
	}
	return sets[best]
}

// measure times one small product in F32 and one in Q8_0, the better of two
// after a first run that an emulator needs to translate the code. The numbers
// are ordinary ones: emulators treat zeros specially.
func (s *Set) measure() time.Duration {
	const n = 512
	x, weights, blocks := make([]float32, n), make([]byte, 0, 4*n), make([]byte, n/32*34)
	for i := range x {
		x[i] = float32(i*i%97)*0.0317 - 1.5
		weights = binary.LittleEndian.AppendUint32(weights, math.Float32bits(x[i]*0.7))
	}
	for i := range blocks {
		blocks[i] = byte(i % 41) // also the scales, which become small numbers
	}
	f := Matrix{Type: gguf.F32, Rows: 1, Cols: n, data: weights, rowBytes: len(weights), set: s}
	q := Matrix{Type: gguf.Q8_0, Rows: 1, Cols: n, data: blocks, rowBytes: len(blocks), set: s}
	plain, quantized := s.NewActivations(PlainF32, n, 1), s.NewActivations(Q8, n, 1)
	plain.Set(x, 1)
	quantized.Set(x, 1)
	var y [1]float32
	best := time.Hour
	for range 3 {
		start := time.Now()
		f.Mul(y[:], 1, plain, 0, 1)
		q.Mul(y[:], 1, quantized, 0, 1)
		best = min(best, max(time.Since(start), 1))
	}
	return best
}

// Types lists the tensor types that matrices may have.
func Types() []gguf.Type {
	return []gguf.Type{
		gguf.F32, gguf.F16, gguf.BF16,
		gguf.Q8_0, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.IQ4_NL,
		gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.IQ4_XS,
	}
}

// Supported reports whether matrices may have the type.
func Supported(t gguf.Type) bool {
	for _, s := range Types() {
		if s == t {
			return true
		}
	}
	return false
}

// Matrix is Rows rows of Cols weights each in the layout of Type.
type Matrix struct {
	Type       gguf.Type
	Rows, Cols int
	data       []byte
	rowBytes   int
	set        *Set
	eights     int // the first rows, so many, are rearranged by Repack
}

// NewMatrix makes a matrix of the weights in data, which is kept, not copied.
// This is the place where a set may prefer to keep a rearranged copy instead.
func (s *Set) NewMatrix(t gguf.Type, rows, cols int, data []byte) (*Matrix, error) {
	if !Supported(t) {
		return nil, fmt.Errorf("weights of type %v are not supported; supported are %s", t, typeNames())
	}
	if rows < 1 || cols < 1 || cols%t.BlockSize() != 0 {
		return nil, fmt.Errorf("a %v matrix cannot have %d rows of %d weights", t, rows, cols)
	}
	rowBytes := cols / t.BlockSize() * t.BlockBytes()
	if len(data)/rowBytes < rows {
		return nil, fmt.Errorf("a %v matrix of %d rows of %d weights needs %d bytes, not %d", t, rows, cols, rows*rowBytes, len(data))
	}
	return &Matrix{Type: t, Rows: rows, Cols: cols, data: data[: rows*rowBytes : rows*rowBytes], rowBytes: rowBytes, set: s}, nil
}

func typeNames() string {
	var names []string
	for _, t := range Types() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// Repack rearranges the weights where they lie, for faster products, if the set
// knows a better order for the type; it takes little memory, and none for longer
// than the call. The data given to NewMatrix then must not be used for anything
// else. The work is done by each, which calls f, with some size numbers to be
// moved, for every i < n, perhaps concurrently.
func (m *Matrix) Repack(each func(n, size int, f func(i int))) {
	if m.set.repack != nil && m.eights == 0 {
		m.set.repack(m, each)
	}
}

// Bytes is the size of the weights.
func (m *Matrix) Bytes() int { return len(m.data) }

// chunk is how many bytes of weights an assembly kernel is given at a time:
// they stay in the first-level cache while all vectors pass over them, and a
// call takes microseconds, so that the garbage collector never waits for one.
const chunk = 24 << 10

// near is how many bytes of a table stay in the first-level cache beside queries,
// scores and sums.
const near = 16 << 10

// Mul computes rows [from, to) of m times each vector t of a into
// y[t*step+row]. Disjoint ranges of rows may be computed concurrently.
func (m *Matrix) Mul(y []float32, step int, a *Activations, from, to int) {
	if from >= to || a.n == 0 {
		return
	}
	if a.form != FormOf(m.Type) || a.cols != m.Cols {
		panic(fmt.Sprintf("kernel: activations of form %d with %d columns for a %v matrix with %d", a.form, a.cols, m.Type, m.Cols))
	}
	if from < 0 || to > m.Rows || to > step || (a.n-1)*step+to > len(y) {
		panic("kernel: rows or results out of range")
	}
	m.set.mul(m, y, step, a, from, to)
}

// Row writes row r of m to dst as float32. len(dst) must be m.Cols.
func (m *Matrix) Row(dst []float32, r int) {
	if r < m.eights {
		m.set.row(m, dst[:m.Cols], r)
		return
	}
	Dequantize(m.Type, dst[:m.Cols], m.data[r*m.rowBytes:(r+1)*m.rowBytes])
}

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
		r.m = Matrix{Type: gguf.F16, Rows: rows, Cols: cols, data: bytesOf(r.f16), rowBytes: 2 * cols, set: s}
	} else {
		r.f32 = make([]float32, rows*cols)
		r.m = Matrix{Type: gguf.F32, Rows: rows, Cols: cols, data: bytesOf(r.f32), rowBytes: 4 * cols, set: s}
	}
	return r
}

func bytesOf[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(*new(T))))
}

// Data is the first n rows as they lie in memory, to be saved or restored.
func (r *Rows) Data(n int) []byte { return r.m.data[:n*r.m.rowBytes] }

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

// Sum adds x[i] times row first+i, for every i < len(x), to y, one after another:
// however rows are divided, the bits are the same. More than Near at a time would
// keep the garbage collector waiting.
func (r *Rows) Sum(y, x []float32, first int) {
	if len(y) != r.cols || first < 0 || len(x) > r.m.Rows-first {
		panic("kernel: sum of rows out of range")
	}
	r.m.set.sum(&r.m, first, y, x)
}
