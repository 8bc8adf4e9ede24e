package train

// Products of matrices, C = A*B or C += A*B, in the way of Goto and van de Geijn:
// B is copied into panels of 16 columns and A into panels of 6 rows, so that the
// innermost loop reads both in order and keeps a 6 x 16 tile of C in registers.
// Every element of C is summed over k in the same order, whatever the tile it
// falls in and whoever computes it.

const (
	tileRows = 6
	tileCols = 16
	depth    = 384 // of a block of k: a panel of B (24 KiB) stays in the first-level cache
)

// view is a matrix in memory: element (i, j) is at data[i*row+j*col].
type view struct {
	data     []float32
	row, col int
}

// rows is a matrix stored row by row.
func rows(data []float32, stride int) view { return view{data, stride, 1} }

// transposed swaps rows and columns.
func (v view) transposed() view { return view{v.data, v.col, v.row} }

// packing is memory for the panels of one product at a time.
type packing struct {
	b []float32   // shared
	a [][]float32 // of each worker
}

func grown(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// blocks divides k into equal blocks of at most depth.
func blocks(k int) (count, size int) {
	count = (k + depth - 1) / depth
	return count, (k + count - 1) / count
}

// packB copies columns [16*panel, 16*panel+16) of rows [k0, k0+kc) of b.
func packB(dst []float32, b view, k0, kc, panel, n int) {
	j0 := panel * tileCols
	cols := min(tileCols, n-j0)
	if b.col == 1 {
		for k := range kc {
			d, from := (*[tileCols]float32)(dst[k*tileCols:]), b.data[(k0+k)*b.row+j0:]
			if cols == tileCols {
				*d = [tileCols]float32(from)
				continue
			}
			clear(d[copy(d[:], from[:cols]):])
		}
		return
	}
	if cols < tileCols {
		clear(dst[:kc*tileCols])
	}
	for j := range cols { // b is a transpose: its columns are rows in memory
		for k, v := range b.data[(j0+j)*b.col+k0:][:kc] {
			dst[k*tileCols+j] = v
		}
	}
}

// packA copies rows [i0, i0+6) of columns [k0, k0+kc) of a, of which m rows exist.
func packA(dst []float32, a view, k0, kc, i0, m int) {
	count := min(tileRows, m-i0)
	if count < tileRows {
		clear(dst[:kc*tileRows])
	}
	at := i0*a.row + k0*a.col
	if count == tileRows && a.row == 1 {
		for k := range kc {
			*(*[tileRows]float32)(dst[k*tileRows:]) = [tileRows]float32(a.data[at+k*a.col:])
		}
		return
	}
	for i := range count {
		for k := range kc {
			dst[k*tileRows+i] = a.data[at+i*a.row+k*a.col]
		}
	}
}

// stripe computes rows [i0, i1) of c with the panels of B in b, from the block
// of k that begins at k0. Row and column limits m and n are c's. Rows of A that
// lie in order are read where they are.
func stripe(a view, b []float32, c []float32, stride, k0, kc, i0, i1, m, n int, add bool, memory []float32) {
	i1 = min(i1, m)
	direct := func(i int) bool { return a.col == 1 && i+tileRows <= m }
	for i := i0; i < i1; i += tileRows {
		if !direct(i) {
			packA(memory[(i-i0)*kc:], a, k0, kc, i, m)
		}
	}
	var edge [tileRows * tileCols]float32
	for j := 0; j < n; j += tileCols {
		panel := &b[j*kc]
		rows6 := func(i int) (from *float32, row, col int) {
			if direct(i) {
				return &a.data[i*a.row+k0], a.row, 1
			}
			return &memory[(i-i0)*kc], 1, tileRows
		}
		for i := i0; i < i1; i += tileRows {
			from, row, col := rows6(i)
			if next := i + tileRows; assembly && double && next+tileRows <= i1 && j+tileCols <= n {
				below, _, _ := rows6(next) // whole tiles of a matrix lie alike
				fmaTile512(kc, from, below, row, col, panel, &c[i*stride+j], stride, add)
				i = next
				continue
			}
			if i+tileRows <= m && j+tileCols <= n {
				tile(kc, from, row, col, panel, &c[i*stride+j], stride, add)
				continue
			}
			h, w := min(tileRows, m-i), min(tileCols, n-j)
			tile(kc, from, row, col, panel, &edge[0], tileCols, false)
			for r := range h {
				row := c[(i+r)*stride+j:][:w]
				for x, v := range edge[r*tileCols:][:w] {
					if add {
						v += row[x]
					}
					row[x] = v
				}
			}
		}
	}
}

// mul computes c = a*b, or adds to c, for an m x k matrix a and a k x n matrix b,
// with all workers.
func (p *pool) mul(m, n, k int, a, b view, c []float32, stride int, add bool, mem *packing) {
	count, size := blocks(k)
	panels := (n + tileCols - 1) / tileCols
	mem.b = grown(mem.b, panels*tileCols*size)
	height := 96
	for height > 24 && (m+height-1)/height < 4*p.threads {
		height /= 2
	}
	for len(mem.a) < p.threads {
		mem.a = append(mem.a, nil)
	}
	for w := range mem.a {
		mem.a[w] = grown(mem.a[w], height*size)
	}
	for block := range count {
		k0 := block * size
		kc := min(size, k-k0)
		group := max(1, panels/(4*p.threads))
		p.run((panels+group-1)/group, func(_, part int) {
			for i := part * group; i < min(panels, (part+1)*group); i++ {
				packB(mem.b[i*tileCols*kc:], b, k0, kc, i, n)
			}
		})
		p.run((m+height-1)/height, func(worker, part int) {
			stripe(a, mem.b, c, stride, k0, kc, part*height, (part+1)*height, m, n, add || block > 0, mem.a[worker])
		})
	}
}

// small is memory for a worker's own products.
type small struct{ a, b []float32 }

// mul is pool.mul by the calling goroutine alone.
func (s *small) mul(m, n, k int, a, b view, c []float32, stride int, add bool) {
	const height = 96
	count, size := blocks(k)
	panels := (n + tileCols - 1) / tileCols
	s.b = grown(s.b, panels*tileCols*size)
	s.a = grown(s.a, height*size)
	for block := range count {
		k0 := block * size
		kc := min(size, k-k0)
		for i := range panels {
			packB(s.b[i*tileCols*kc:], b, k0, kc, i, n)
		}
		for i := 0; i < m; i += height {
			stripe(a, s.b, c, stride, k0, kc, i, i+height, m, n, add || block > 0, s.a)
		}
	}
}

// portableTile is tile without assembly.
func portableTile(k int, a *float32, row, col int, b, c *float32, stride int, add bool) {
	x, y := numbers(a, 5*row+(k-1)*col+1), numbers(b, k*tileCols)
	var sum [tileRows * tileCols]float32
	for i := range k {
		panel := y[i*tileCols : i*tileCols+tileCols]
		for r := range tileRows {
			v, s := x[r*row+i*col], sum[r*tileCols:r*tileCols+tileCols]
			for j, w := range panel {
				s[j] += v * w
			}
		}
	}
	z := numbers(c, 5*stride+tileCols)
	for r := range tileRows {
		to := z[r*stride : r*stride+tileCols]
		for j, v := range sum[r*tileCols : r*tileCols+tileCols] {
			if add {
				v += to[j]
			}
			to[j] = v
		}
	}
}
