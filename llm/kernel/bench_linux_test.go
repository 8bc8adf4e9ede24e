package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"alphaos/llm/gguf"

	"golang.org/x/sys/unix"
)

// BenchmarkMemory is a matrix far larger than the caches times one vector, by
// one thread and by two, in memory pages of 4 KiB and 2 MiB: the speed of
// decoding. F32 does nearly nothing with the weights, so that its figure is the
// memory's own. GB/s counts the bytes of weights; it is the median of slices
// of 8 MiB, and best the tenth part that is the least disturbed by what else the
// machine does.
func BenchmarkMemory(b *testing.B) {
	const size, slice, cols = 256 << 20, 8 << 20, 2048
	s, err := ByName(Names()[0])
	if err != nil {
		b.Fatal(err)
	}
	for _, pages := range []string{"4k", "2m"} {
		whole, err := unix.Mmap(-1, 0, size+2<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			b.Fatal(err)
		}
		w := whole[-uintptr(unsafe.Pointer(&whole[0]))&(2<<20-1):][:size]
		_ = unix.Madvise(w, map[string]int{"4k": unix.MADV_NOHUGEPAGE, "2m": unix.MADV_HUGEPAGE}[pages])
		for _, t := range []gguf.Type{gguf.F32, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0, gguf.TQ2_0, gguf.MXFP4} {
			row := randomWeights(rand.New(rand.NewPCG(1, 1)), t, cols)
			rows := size / len(row) &^ 31
			for r := range rows {
				copy(w[r*len(row):], row)
			}
			m, err := s.NewMatrix(t, rows, cols, w)
			if err != nil {
				b.Fatal(err)
			}
			m.Repack(inTurn)
			a := s.NewActivations(FormOf(t), cols, 1)
			a.Set(randomVector(rand.New(rand.NewPCG(1, 2)), cols), 1)
			y := make([]float32, rows)
			for threads := 1; threads <= 2; threads++ {
				b.Run(fmt.Sprintf("%s/%s/%v/%d", s.Name(), pages, t, threads), func(b *testing.B) {
					var all []float64
					for b.Loop() {
						rates := make([][]float64, threads)
						var group sync.WaitGroup
						for i := range threads {
							group.Go(func() {
								piece := slice / len(row) &^ 15
								for at := rows / threads * i &^ 15; at+piece <= rows/threads*(i+1); at += piece {
									start := time.Now()
									m.Mul(y, rows, a, at, at+piece)
									rates[i] = append(rates[i], float64(threads*piece*len(row))/time.Since(start).Seconds()/1e9)
								}
							})
						}
						group.Wait()
						all = append(all, slices.Concat(rates...)...)
					}
					slices.Sort(all)
					b.ReportMetric(all[len(all)/2], "GB/s")
					b.ReportMetric(all[len(all)*9/10], "best-GB/s")
				})
			}
		}
		if err := unix.Munmap(whole); err != nil {
			b.Fatal(err)
		}
	}
}
