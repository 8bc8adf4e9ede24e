package kernel

import (
	"cmp"
	"slices"
	"sync"
	"unsafe"

	"alphaos/llm/gguf"
)

// assembly computes with the functions of one instruction set.
type assembly struct {
	*entries
	wide bool // panels are multiplied with AVX-512 and VNNI, and attention takes its registers
}

// entries are the addresses of a set's functions, filled in by the assembly
// itself (entries_amd64.h).
type entries struct {
	types [typeCount]kernels
	dense uintptr // a product of float32 matrices

	wide1, wide4 uintptr // rows of wide blocks times 1 or 4 vectors
}

// kernels are the addresses of the functions for one type, 0 where there is none.
// They are called by address, through run, because whatever is passed to a function
// value escapes, and then every product would allocate its call.
type kernels struct {
	rows1, rows3, rows4  uintptr // rows times 1, 3 or 4 vectors
	repacked1, repacked4 uintptr // repacked rows times 1 or 4 vectors
	panel                uintptr // a panel times tiles of 4 vectors
	sum1, sum4           uintptr // 1 or 4 weighted sums of rows
	repacked2            uintptr // repacked rows times 2 vectors; few types have it
	runs                 uintptr // four runs of repacked rows times 1 vector
}

// call tells a function in assembly what to do. The headers take the offsets of
// its fields from go_asm.h.
type call struct {
	w     unsafe.Pointer // first row of weights
	step  uintptr        // bytes from row to row, or from run to run
	rows  uintptr        // at least 1
	n     uintptr        // blocks in a row; F32, F16 and BF16 count 8 elements as a block
	x     unsafe.Pointer // activations of the first vector
	xstep uintptr        // bytes from vector to vector
	d     unsafe.Pointer // scales of the first vector's blocks
	dstep uintptr        // bytes from vector to vector
	y     unsafe.Pointer // first result of the first vector, float32; rows follow each other
	ystep uintptr        // bytes from vector to vector, or from run to run
	ahead uintptr        // Fetch.Ahead
	page  uintptr        // Fetch.Page, or Ahead again: the page's first line is in the cache then
	far   uintptr        // Fetch.Far, or Ahead again
	next  uintptr        // first of the runs that come next, which are as far apart
}

// run calls the function at entry, which does not keep c or what it points to.
//
//go:noescape
func run(c *call, entry uintptr)

func avx2Entries() *entries
func fmaEntries() *entries
func avxVNNIEntries() *entries
func avx512VNNIEntries() *entries
func avx512Entries() *entries

// with returns e with the functions of p where p has any.
func (e *entries) with(p *entries) *entries {
	merged := *e
	for t := range p.types {
		to, from := &merged.types[t], &p.types[t]
		to.rows4 = cmp.Or(from.rows4, to.rows4)
		to.repacked1, to.repacked2, to.repacked4 = cmp.Or(from.repacked1, to.repacked1), cmp.Or(from.repacked2, to.repacked2), cmp.Or(from.repacked4, to.repacked4)
		to.runs = cmp.Or(from.runs, to.runs)
		to.panel, to.sum4 = cmp.Or(from.panel, to.panel), cmp.Or(from.sum4, to.sum4)
	}
	return &merged
}

func (s assembly) has512() bool { return s.wide }

func (s assembly) runs(t gguf.Type) bool { return s.types[t].runs != 0 }

// begin prepares c for whole vectors of a.
func (c *call) begin(a *Activations) {
	switch a.form {
	case PlainF32:
		c.n, c.xstep = uintptr(a.cols/8), uintptr(4*a.cols)
	case Q8:
		c.n, c.xstep = uintptr(a.cols/32), uintptr(a.cols)
		c.dstep = c.n * unsafe.Sizeof(scaleQ8{})
	case Q8K:
		c.n, c.xstep = uintptr(a.cols/256), uintptr(a.cols)
		c.dstep = c.n * unsafe.Sizeof(scaleQ8K{})
	}
}

// fetch prepares c for a kernel that fetches each line once or twice. Of those that fetch once,
// f was not measured if it is to fetch twice: they take the first way.
func (c *call) fetch(f Fetch, twice bool) {
	if f.Far != 0 && !twice {
		f = fetches[0]
	}
	c.ahead, c.page, c.far = uintptr(f.Ahead), uintptr(max(f.Ahead, f.Page)), uintptr(max(f.Ahead, f.Far))
}

// at returns where vector t and its scales lie, from column col on.
func (a *Activations) at(t, col int) (x, d unsafe.Pointer) {
	i := t*a.cols + col
	switch a.form {
	case Q8:
		return unsafe.Pointer(&a.q[i]), unsafe.Pointer(&a.s8[i/32])
	case Q8K:
		return unsafe.Pointer(&a.q[i]), unsafe.Pointer(&a.s8k[i/256])
	}
	return unsafe.Pointer(&a.f[i]), nil
}

func (s assembly) mul(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	if from < m.repacked {
		s.mulRepacked(m, y, step, a, from, to)
		from = m.repacked
	}
	if !a.Alone && pays(a.n, layouts[m.Type].panels) {
		from = s.mulPanels(m, y, step, a, from, to)
	}
	k := &s.types[m.Type]
	if k.rows1 == 0 {
		s.mulRewritten(m, y, step, a, from, to)
		return
	}
	c := call{step: uintptr(m.rowBytes), ystep: uintptr(4 * step)}
	c.begin(a)
	c.fetch(m.fetch, a.form == PlainF32)
	for from < to {
		rows := min(to-from, max(1, chunk/m.rowBytes))
		c.rows, c.w = uintptr(rows), unsafe.Pointer(&m.data[from*m.rowBytes])
		for t := 0; t < a.n; {
			c.x, c.d = a.at(t, 0)
			c.y = unsafe.Pointer(&y[t*step+from])
			switch {
			case a.n-t >= 4 && !a.Alone:
				run(&c, k.rows4)
				t += 4
			case a.n-t >= 3 && k.rows3 != 0: // the same bits as one by one
				run(&c, k.rows3)
				t += 3
			default:
				run(&c, k.rows1)
				t++
			}
		}
		if done := a.cols &^ 7; a.form == PlainF32 && done < a.cols { // the last columns, fewer than 8
			dot := formatOf(m.Type).dot
			for r := from; r < from+rows; r++ {
				w := m.data[r*m.rowBytes : (r+1)*m.rowBytes][done*m.rowBytes/a.cols:]
				for t := range a.n {
					y[t*step+r] += dot(w, a, t, done)
				}
			}
		}
		from += rows
	}
}

// rewritten is some rows of a matrix of a type that has no kernels for rows as in a file, as blocks of
// Q8_0 or wide ones: see lowbit.go.
type rewritten struct {
	m    Matrix
	wide []wide
}

var rewrites = sync.Pool{New: func() any { return new(rewritten) }}

// mulRewritten multiplies rows [from, to), a few at a time, with each vector.
func (s assembly) mulRewritten(m *Matrix, y []float32, step int, a *Activations, from, to int) {
	f, n, size := formatOf(m.Type), m.Type.BlockSize(), m.Type.BlockBytes()
	t := rewrites.Get().(*rewritten)
	defer rewrites.Put(t)
	rewriteRows := max(1, chunk/m.Cols&^7) // they stay in the first-level cache
	blocks := m.Cols / n
	for ; from < to; from += rewriteRows {
		rows := min(to-from, rewriteRows)
		w := m.data[from*m.rowBytes:][:rows*m.rowBytes]
		if f.eight != nil {
			each := n / 32 * 34
			data := slices.Grow(t.m.data[:0], rewriteRows*blocks*each)[:rows*blocks*each]
			for i := range rows * blocks {
				f.eight(data[i*each:(i+1)*each], w[i*size:(i+1)*size])
			}
			t.m = Matrix{Type: typeQ8_0, Rows: rows, Cols: m.Cols, data: data, rowBytes: blocks * each, set: m.set, fetch: fetches[0]}
			s.mul(&t.m, y[from:], step, a, 0, rows)
			continue
		}
		t.wide = slices.Grow(t.wide[:0], rewriteRows*blocks)[:rows*blocks]
		for i := range t.wide {
			f.wide(&t.wide[i], w[i*size:(i+1)*size])
		}
		c := call{w: unsafe.Pointer(&t.wide[0]), rows: uintptr(rows), step: uintptr(blocks) * unsafe.Sizeof(wide{}), ystep: uintptr(4 * step)}
		c.begin(a)
		for v := 0; v < a.n; {
			entry, n := s.wide1, 1
			if a.n-v >= 4 && !a.Alone {
				entry, n = s.wide4, 4
			}
			c.x, c.d = a.at(v, 0)
			c.y = unsafe.Pointer(&y[v*step+from])
			run(&c, entry)
			v += n
		}
	}
}

func (s assembly) sum(m *Matrix, y []float32, n int, x []float32, step, first, rows int) {
	done := m.Cols &^ 7
	c := call{w: unsafe.Pointer(&m.data[first*m.rowBytes]), step: uintptr(m.rowBytes), rows: uintptr(rows), n: uintptr(done / 8),
		xstep: uintptr(4 * step), ystep: uintptr(4 * m.Cols), ahead: uintptr(rows * m.rowBytes), far: uintptr(rows * m.rowBytes)}
	if s.wide && done <= 64 { // the rows are passed over once: they are fetched as keys are
		c.ahead, c.far = uintptr(m.fetch.Ahead), uintptr(m.fetch.Far-m.fetch.Ahead)
	}
	k := &s.types[m.Type]
	for t := 0; t < n && done > 0 && rows > 0; {
		c.x, c.y = unsafe.Pointer(&x[t*step]), unsafe.Pointer(&y[t*m.Cols])
		if n-t >= 4 {
			run(&c, k.sum4)
			t += 4
		} else {
			run(&c, k.sum1)
			t++
		}
	}
	if done < m.Cols {
		sumColumns(m, done, y, n, x, step, first, rows)
	}
}

func (assembly) quantize(a *Activations, from, to int) {
	var c call
	c.begin(a)
	for t := from; t < to; t++ {
		c.w = unsafe.Pointer(&a.f[t*a.cols])
		c.x, c.d = a.at(t, 0)
		if a.form == Q8 {
			quantizeQ8(&c)
		} else {
			quantizeQ8K(&c)
		}
	}
}

//go:noescape
func quantizeQ8(c *call)

//go:noescape
func quantizeQ8K(c *call)

const (
	denseRows    = 4  // of a tile that dense computes in registers
	denseColumns = 16 // of a tile
)

// product computes the columns that fill whole tiles and returns how many they are.
// The last tile of rows may compute some of them again.
func (s assembly) product(y, a, b Dense, rows, inner, cols int) int {
	if rows < denseRows {
		return 0
	}
	cols &^= denseColumns - 1
	c := call{step: uintptr(4 * b.Step), n: uintptr(inner), xstep: uintptr(4 * a.Step), ystep: uintptr(4 * y.Step)}
	for col := 0; col < cols; col += denseColumns {
		c.w, c.rows = unsafe.Pointer(&b.X[col]), uintptr(rows/denseRows)
		c.x, c.y = unsafe.Pointer(&a.X[0]), unsafe.Pointer(&y.X[col])
		run(&c, s.dense)
		if last := rows - denseRows; rows%denseRows != 0 {
			c.rows, c.x, c.y = 1, unsafe.Pointer(&a.X[last*a.Step]), unsafe.Pointer(&y.X[last*y.Step+col])
			run(&c, s.dense)
		}
	}
	return cols
}
