package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"alphaos/llm/gguf"
)

// BenchmarkRows is what one token's attention does with the keys and values of a long conversation: four
// vectors pass over each of many tables of 30,000 rows of 64 numbers, far more than caches hold. "share" is
// that of the best plain read of the same tables, in turn.
func BenchmarkRows(b *testing.B) {
	const rows, cols = 30000, 64
	for _, t := range []gguf.Type{gguf.F16, gguf.F32, gguf.Q8_0} {
		for _, name := range Names() {
			if name == portable.Name() {
				continue
			}
			s, err := ByName(name)
			if err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 1))
			tables := []*Rows{s.NewRows(rows, cols, t)}
			size := tables[0].Memory()
			for len(tables)*size < 256<<20 {
				tables = append(tables, s.NewRows(rows, cols, t))
			}
			for _, table := range tables {
				x := randomVector(r, cols)
				for row := range rows {
					table.Put(row, x)
				}
			}
			queries := s.NewActivations(FormOf(t), cols, 4)
			queries.Set(randomVector(r, 4*cols), 4)
			scores, sums := make([]float32, 4*rows), make([]float32, 4*cols)
			rate := func(pass func(table *Rows)) float64 {
				var all []float64
				for _, table := range tables {
					began := time.Now()
					pass(table)
					all = append(all, float64(size)/time.Since(began).Seconds()/1e9)
				}
				return middle(all)
			}
			measure := func(what string, step func(table *Rows, row, n int)) {
				b.Run(fmt.Sprintf("%s/%v/%s", what, t, name), func(b *testing.B) {
					var ours, limit []float64
					for b.Loop() {
						ours = append(ours, rate(func(table *Rows) {
							for row := 0; row < rows; row += table.Near() {
								step(table, row, min(table.Near(), rows-row))
							}
						}))
						most := 0.0
						for _, way := range Readings() {
							most = max(most, rate(func(table *Rows) { way.Read(table.Data(rows)) }))
						}
						limit = append(limit, most)
					}
					b.ReportMetric(middle(ours), "GB/s")
					b.ReportMetric(100*middle(ours)/middle(limit), "%share")
				})
			}
			measure("keys", func(keys *Rows, row, n int) { keys.Mul(scores, rows, queries, row, row+n) })
			measure("values", func(values *Rows, row, n int) { values.Sum(sums, 4, scores[row:], rows, row, n) })
		}
	}
}

// middle is the median.
func middle(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
