package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"alphaos/llm/gguf"
)

// BenchmarkVectors is one matrix of 2048 x 2048 times n vectors: with one vector the
// weights come from the third-level cache, with many it is arithmetic.
func BenchmarkVectors(b *testing.B) {
	for _, s := range usableSets(b) {
		if s == portable {
			continue
		}
		for _, t := range []gguf.Type{gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0, gguf.TQ2_0, gguf.MXFP4} {
			for _, n := range []int{1, 4, 8, 16, 32, 128, 512} {
				b.Run(fmt.Sprintf("%s/%v/%d", s.Name(), t, n), func(b *testing.B) {
					const size = 2048
					r := rand.New(rand.NewPCG(1, 2))
					m, err := s.NewMatrix(t, size, size, randomWeights(r, t, size*size))
					if err != nil {
						b.Fatal(err)
					}
					a := s.NewActivations(FormOf(t), size, n)
					a.Set(randomVector(r, n*size), n)
					y := make([]float32, n*size)
					best := time.Hour // what others do on the machine matters least to the best
					for b.Loop() {
						start := time.Now()
						m.Mul(y, size, a, 0, size)
						best = min(best, time.Since(start))
					}
					b.ReportMetric(size*size*float64(n)/best.Seconds()/1e9, "GMAC/s")
				})
			}
		}
	}
}

// BenchmarkRepacked is a repacked matrix times one vector, or times some, each as if it
// were alone, and the repacking.
func BenchmarkRepacked(b *testing.B) {
	for _, s := range usableSets(b) {
		if s == portable {
			continue
		}
		for _, t := range []gguf.Type{gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0, gguf.TQ2_0, gguf.MXFP4} {
			const size = 2048
			w := randomWeights(rand.New(rand.NewPCG(1, 2)), t, size*size)
			m, err := s.NewMatrix(t, size, size, w)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%v/repack", s.Name(), t), func(b *testing.B) {
				best := time.Hour
				for b.Loop() {
					m.repacked = 0
					start := time.Now()
					m.Repack(inTurn)
					best = min(best, time.Since(start))
				}
				b.ReportMetric(float64(m.Bytes())/best.Seconds()/1e9, "GB/s")
			})
			for _, n := range []int{1, 4, 9} {
				b.Run(fmt.Sprintf("%s/%v/mul%d", s.Name(), t, n), func(b *testing.B) {
					m.Repack(inTurn)
					a := s.NewActivations(FormOf(t), size, n)
					a.Alone = true
					a.Set(randomVector(rand.New(rand.NewPCG(1, 2)), n*size), n)
					y := make([]float32, n*size)
					best := time.Hour
					for b.Loop() {
						start := time.Now()
						m.Mul(y, size, a, 0, size)
						best = min(best, time.Since(start))
					}
					b.ReportMetric(size*size*float64(n)/best.Seconds()/1e9, "GMAC/s")
				})
			}
		}
	}
}
