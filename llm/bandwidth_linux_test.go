package llm

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"

	"golang.org/x/sys/unix"
)

// BenchmarkBandwidth decodes with the model in the file ALPHAOS_MODEL, whose output
// matrix must be its embedding, and, in turn with the tokens, only reads its weights,
// by the kernel for F32, which does nearly nothing with them, and with as many threads.
// "share" is the median of the one speed by the other: both change from minute to minute.
func BenchmarkBandwidth(b *testing.B) {
	name := os.Getenv("ALPHAOS_MODEL")
	if name == "" {
		b.Skip("ALPHAOS_MODEL names no model file")
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				b.Fatal(err)
			}
			m, err := Load(f, info.Size(), Options{Threads: threads, Kernel: Kernels()[0], Alloc: func(n int) ([]byte, error) { return largePages(b, n) }})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(m.Close)
			const cols = 2048
			rows := len(m.data) / (4 * cols)
			all, err := m.set.NewMatrix(gguf.F32, rows, cols, m.data)
			if err != nil {
				b.Fatal(err)
			}
			a := m.set.NewActivations(kernel.PlainF32, cols, 1)
			a.Set(slices.Repeat([]float32{1, -2, 0.5, 3}, cols/4), 1)
			y := make([]float32, rows)
			const piece = 128
			read := func(_, i int) { all.Mul(y, rows, a, i*piece, min((i+1)*piece, rows)) }

			s := newSession(b, m)
			var decoding, share []float64
			for b.Loop() {
				begin := time.Now()
				m.pool.run((rows+piece-1)/piece, len(m.data), read)
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
			b.ReportMetric(float64(len(m.data))/decoding[len(decoding)/2]/1e9, "GB/s")
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
	t.Cleanup(func() { _ = unix.Munmap(whole) })
	w := whole[-uintptr(unsafe.Pointer(&whole[0]))&(size-1):][:n]
	_ = unix.Madvise(w, unix.MADV_HUGEPAGE)
	return w, nil
}
