// Package kernel multiplies quantized matrices with vectors.
//
// A Matrix refers to the rows of a tensor as they lie in a GGUF file; nothing is
// copied or expanded, but Repack may rearrange them in place for faster products.
// Activations hold the vectors to multiply with, in the form that suits the
// matrix's type: plain float32 for F32, F16 and BF16, and int8 with a scale for
// every 32 or 256 numbers for the quantized types, so that a product of two blocks
// is integer arithmetic.
//
// A Set is one complete way to compute: "avx512+vnni", "avx2+vnni", "avx2+fma", "avx2" or
// "portable". Choose picks one by what the processor can do and by a short
// measurement, because an emulated processor may offer fused multiplication and
// yet be several times slower at it. All sets compute from the same quantized
// activations and differ only in the order of float32 additions.
//
// formats.go has a row for every tensor type, kernels_amd64.h one for its functions
// in assembly, and layouts_amd64.go one if it is repacked.
package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"alphaos/llm/gguf"
)

// Set is a way to compute. It is immutable and safe for concurrent use.
type Set struct {
	name   string
	usable func() bool
	way
}

// way is what differs from set to set.
type way interface {
	// mul computes rows [from, to) of m times all vectors of a.
	mul(m *Matrix, y []float32, step int, a *Activations, from, to int)
	// sum is Rows.Sum.
	sum(m *Matrix, y []float32, n int, x []float32, step, first, rows int)
	// quantize prepares vectors [from, to).
	quantize(a *Activations, from, to int)
	// repackable is how many rows of m, from the first on, repack can rearrange; row expands one of those.
	repackable(m *Matrix) int
	repack(m *Matrix, from, to int)
	row(m *Matrix, dst []float32, r int)
	// product computes columns of y = a*b and returns how many, from the first on.
	product(y, a, b Dense, rows, inner, cols int) int
	// runs reports whether there is a kernel for Fetch.Runs.
	runs(t gguf.Type) bool
	// has512 reports whether registers have 512 bits.
	has512() bool
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
// of a millisecond on a real processor, some milliseconds on an emulated one.
// A set further down the list must be clearly faster to be chosen, and so again and again, so that
// noise does not change results from run to run.
func Choose() *Set {
	best := len(sets)
	for range 3 {
		if best = min(best, fastest()); sets[best].name == Names()[0] {
			break
		}
	}
	return sets[best]
}

// fastest is the number of the set that is fastest now.
func fastest() int {
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
	return best
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

// Matrix is Rows rows of Cols weights each in the layout of Type.
type Matrix struct {
	Type       gguf.Type
	Rows, Cols int
	data       []byte
	rowBytes   int
	set        *Set
	repacked   int // how many rows, from the first on, are rearranged, or will be before they are used
	fetch      Fetch

	// Scale is what every product is multiplied with; 0: nothing. Row does without it.
	Scale float32
}

// NewMatrix makes a matrix of the weights in data, which is kept, not copied.
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
	return &Matrix{Type: t, Rows: rows, Cols: cols, data: data[: rows*rowBytes : rows*rowBytes], rowBytes: rowBytes, set: s, fetch: fetches[0]}, nil
}

// Repack rearranges the weights in place, for faster products, if the set knows a
// better order for the type. The data given to NewMatrix must not be used for
// anything else afterwards. each must call f for every i < n, perhaps concurrently;
// a call moves about size numbers. Repack needs little memory.
func (m *Matrix) Repack(each func(n, size int, f func(i int))) {
	if !m.RepackLater() {
		return
	}
	piece := max(8, 256<<10/m.rowBytes&^7)
	each((m.repacked+piece-1)/piece, piece*m.rowBytes/4, func(i int) { m.RepackRows(i*piece, (i+1)*piece) })
}

// RepackLater says that RepackRows will rearrange each row before it is used, and reports whether there is need for that. Until
// then neither Row nor Mul may have it.
func (m *Matrix) RepackLater() bool {
	if m.repacked > 0 {
		return false
	}
	m.repacked = m.set.repackable(m)
	return m.repacked > 0
}

// RepackRows rearranges rows [from, to), of which both are multiples of eight unless to is m.Rows. Disjoint ranges may be
// rearranged concurrently, each once.
func (m *Matrix) RepackRows(from, to int) {
	if to = min(to, m.repacked); from < to {
		m.set.repack(m, from, to)
	}
}

// together is how many rows RepackAndMul deals with at a time: as many as a panel has, for panels that began elsewhere
// would give other bits.
const together = 16

// RepackAndMul is RepackRows and Mul, a few rows at a time, which are in the first-level cache when they are multiplied. from
// is a multiple of 16, and so is to unless it is m.Rows.
func (m *Matrix) RepackAndMul(y []float32, step int, a *Activations, from, to int) {
	for ; from < to; from += together {
		end := min(from+together, to)
		m.RepackRows(from, end)
		m.Mul(y, step, a, from, end)
	}
}

// Bytes is the size of the weights.
func (m *Matrix) Bytes() int { return len(m.data) }

// chunk is how many bytes of weights an assembly kernel is given at a time, or four times as many where one pass is enough:
// they stay in the first-level cache while all vectors pass over them, and a
// call takes microseconds, so that the garbage collector never waits for one.
const chunk = 24 << 10

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
	if m.Scale != 0 && m.Scale != 1 {
		for t := range a.n {
			m.set.Scale(y[t*step+from:t*step+to], m.Scale)
		}
	}
}

// Reuse makes it a matrix of the same shape of other weights, not repacked.
func (m *Matrix) Reuse(data []byte) {
	m.data, m.repacked = data[:m.Rows*m.rowBytes:m.Rows*m.rowBytes], 0
}

// Row writes row r of m to dst as float32. len(dst) must be m.Cols.
func (m *Matrix) Row(dst []float32, r int) {
	if r < m.repacked {
		m.set.row(m, dst[:m.Cols], r)
		return
	}
	Dequantize(m.Type, dst[:m.Cols], m.data[r*m.rowBytes:(r+1)*m.rowBytes])
}
