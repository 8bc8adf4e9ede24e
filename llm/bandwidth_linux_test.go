package llm

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/llmtest"

	"golang.org/x/sys/unix"
)

// BenchmarkBandwidth decodes and, in turn with the tokens, only reads the weights, by
// the kernel for F32, which does nearly nothing with them, and with as many threads.
// "share" is the median of the one speed by the other: both change from minute to minute.
// The model is that in the file ALPHAOS_MODEL, whose output matrix must be its embedding,
// or else two layers in the shape of Llama 3.2 1B.
func BenchmarkBandwidth(b *testing.B) {
	shape := llmtest.Shape{Embedding: 2048, FeedForward: 8192, Layers: 2, Heads: 32, KVHeads: 8, Head: 64, Vocabulary: 270, Context: 512, Tied: true}
	if name := os.Getenv("ALPHAOS_MODEL"); name != "" {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkBandwidth(b, "", data)
		return
	}
	for _, t := range []gguf.Type{gguf.Q8_0, gguf.Q4_K, gguf.Q6_K} {
		shape.Types = []gguf.Type{t}
		benchmarkBandwidth(b, t.String()+"/", llmtest.Llama(shape).Bytes())
	}
}

func benchmarkBandwidth(b *testing.B, name string, data []byte) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint(name, threads), func(b *testing.B) {
			m, err := Load(bytes.NewReader(data), int64(len(data)), Options{Threads: threads, Kernel: Kernels()[0], Alloc: func(n int) ([]byte, error) { return largePages(b, n) }})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(m.Close)
			const cols, piece = 2048, 128
			rows := len(m.memory) / (4 * cols)
			all, err := m.set.NewMatrix(gguf.F32, rows, cols, m.memory)
			if err != nil {
				b.Fatal(err)
			}
			a := m.set.NewActivations(kernel.PlainF32, cols, 1)
			a.Set(slices.Repeat([]float32{1, -2, 0.5, 3}, cols/4), 1)
			y := make([]float32, rows)
			read := func(_, i int) { all.Mul(y, rows, a, i*piece, min((i+1)*piece, rows)) }

			s := newSession(b, m)
			var decoding, share []float64
			for b.Loop() {
				begin := time.Now()
				m.pool.run((rows+piece-1)/piece, len(m.memory), read)
				reading := time.Since(begin).Seconds()
				if s.Len() == 64 {
					s.Truncate(0)
				}
				begin = time.Now()
				eval(b, s, 7)
				decoding = append(decoding, time.Since(begin).Seconds())
				share = append(share, reading/decoding[len(decoding)-1])
			}
			slices.Sort(decoding)
			slices.Sort(share)
			b.ReportMetric(float64(len(m.memory))/decoding[len(decoding)/2]/1e9, "GB/s")
			b.ReportMetric(100*share[len(share)/2], "%share")
		})
	}
}

// largePages gives memory in pages of 2 MiB if the system does.
func largePages(t testing.TB, n int) ([]byte, error) {
	const size = 2 << 20
	whole, err := unix.Mmap(-1, 0, n+size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := unix.Munmap(whole); err != nil {
			t.Error(err)
		}
	})
	w := whole[-uintptr(unsafe.Pointer(&whole[0]))&(size-1):][:n]
	_ = unix.Madvise(w, unix.MADV_HUGEPAGE) // a system without them serves as well
	return w, nil
}
