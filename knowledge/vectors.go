package knowledge

import (
	"math"
	"runtime"
	"slices"
	"sync"
)

// The vectors of chunks, each number rounded to one of 255 steps. A search looks at all of them: 250,000 of 384
// numbers are 96 MB, which two threads read in some 10 ms.

// vectors has a row for each chunk that has a vector.
type vectors struct {
	dim    int
	count  int
	rows   []int8    // count · dim
	scales []float32 // by which a row is multiplied
	chunks []uint32
	there  []bool // by chunk: it has a row, and was not removed
	held   int    // how many of these
}

func (v *vectors) has(chunk uint32) bool { return int(chunk) < len(v.there) && v.there[chunk] }

// hold notes that a chunk has a row; drop that it is removed.
func (v *vectors) hold(chunk uint32) {
	for int(chunk) >= len(v.there) {
		v.there = append(v.there, false)
	}
	if !v.there[chunk] {
		v.there[chunk] = true
		v.held++
	}
}

func (v *vectors) drop(chunk uint32) {
	if v.has(chunk) {
		v.there[chunk] = false
		v.held--
	}
}

// set adds the vector of a chunk that has none. One of another length than the first's is taken for zero: it is another model's.
func (v *vectors) set(chunk uint32, x []float32) {
	if v.dim == 0 {
		v.dim = len(x)
	}
	if v.dim == 0 {
		return
	}
	if len(x) != v.dim {
		x = make([]float32, v.dim)
	}
	v.hold(chunk)
	q, scale := round(x)
	v.rows = append(v.rows, q...)
	v.scales = append(v.scales, scale)
	v.chunks = append(v.chunks, chunk)
	v.count++
}

// round returns x as whole numbers up to 127, and what they are to be multiplied by.
func round(x []float32) ([]int8, float32) {
	largest := float32(0)
	for _, f := range x {
		largest = max(largest, float32(math.Abs(float64(f))))
	}
	q := make([]int8, len(x))
	if largest == 0 || math.IsInf(float64(largest), 0) || math.IsNaN(float64(largest)) {
		return q, 0
	}
	for i, f := range x {
		q[i] = int8(math.Round(float64(f / largest * 127)))
	}
	return q, largest / 127
}

// nearest returns the n chunks whose vectors are most like x, of those that ok takes.
func (v *vectors) nearest(x []float32, n int, ok func(chunk uint32) bool) []hit {
	if len(x) != v.dim || v.count == 0 {
		return nil
	}
	q, scale := round(x)
	workers := 1
	if v.count > 4096 {
		workers = min(runtime.GOMAXPROCS(0), 8)
	}
	found := make([][]hit, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			from, to := v.count*w/workers, v.count*(w+1)/workers
			scores := make([]float32, to-from)
			dots(scores, q, v.rows[from*v.dim:to*v.dim])
			for i := range scores {
				scores[i] *= scale * v.scales[from+i]
			}
			found[w] = top(scores, n, func(i uint32) bool { return ok(v.chunks[from+int(i)]) })
			for i := range found[w] {
				found[w][i].chunk = v.chunks[from+int(found[w][i].chunk)]
			}
		})
	}
	wait.Wait()
	all := slices.Concat(found...)
	slices.SortFunc(all, better)
	return all[:min(n, len(all))]
}

// pack gives the chunks the numbers that they have one more of in number, and forgets those that have 0.
func (v *vectors) pack(number []uint32) {
	kept := vectors{dim: v.dim}
	for i, c := range v.chunks {
		if number[c] == 0 {
			continue
		}
		kept.rows = append(kept.rows, v.rows[i*v.dim:(i+1)*v.dim]...)
		kept.scales = append(kept.scales, v.scales[i])
		kept.chunks = append(kept.chunks, number[c]-1)
		kept.hold(number[c] - 1)
		kept.count++
	}
	*v = kept
}

// dotsPlain sets scores to the products of q with each row.
func dotsPlain(scores []float32, q, rows []int8) {
	for i := range scores {
		row := rows[i*len(q):][:len(q)]
		sum := int32(0)
		for k, x := range q {
			sum += int32(x) * int32(row[k])
		}
		scores[i] = float32(sum)
	}
}
