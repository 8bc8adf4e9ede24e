package llm

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"alphaos/llm/llmtest"
)

// uncached reads a file past the page cache where requests are whole pages.
type uncached struct{ plain, direct *os.File }

func (u uncached) ReadAt(p []byte, off int64) (int, error) {
	if off%page == 0 && len(p)%page == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%page == 0 {
		return u.direct.ReadAt(p, off)
	}
	return u.plain.ReadAt(p, off)
}

// limited is a drive of some bytes a second.
type limited struct {
	uncached
	rate float64
}

func (l limited) ReadAt(p []byte, off int64) (int, error) {
	begin := time.Now()
	n, err := l.uncached.ReadAt(p, off)
	time.Sleep(time.Duration(float64(n)/l.rate*1e9) - time.Since(begin))
	return n, err
}

// BenchmarkStream decodes with the model in the file ALPHAOS_STREAM_MODEL
// within ALPHAOS_STREAM_BUDGET MiB (600), from the drive as it is and from
// slower ones. "part" is the speed as a part of what the drive could do if it
// read all bytes beyond the budget, and did nothing else.
func BenchmarkStream(b *testing.B) {
	name := os.Getenv("ALPHAOS_STREAM_MODEL")
	if name == "" {
		b.Skip("ALPHAOS_STREAM_MODEL names no model file")
	}
	budget := int64(600)
	if v, err := strconv.Atoi(os.Getenv("ALPHAOS_STREAM_BUDGET")); err == nil {
		budget = int64(v)
	}
	plain, size := llmtest.Open(b, name)
	direct, err := os.OpenFile(name, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		b.Skipf("no reading past the page cache: %v", err)
	}
	defer direct.Close()
	for _, rate := range []float64{0, 500e6, 100e6} {
		b.Run(fmt.Sprintf("%.0fMB", rate/1e6), func(b *testing.B) {
			r := limited{uncached{plain, direct}, rate}
			if rate == 0 {
				r.rate = 1e15
			}
			m, err := Load(r, size, Options{Budget: budget << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			s := newSession(b, m)
			eval(b, s, 1, 2, 3)
			// The drive alone, right before: from end to end of the file, in
			// requests of 8 MiB.
			buffer, _ := m.alloc(8 << 20)
			begin, n := time.Now(), int64(0)
			for off := int64(0); off+8<<20 <= size && time.Since(begin) < 4*time.Second; off += 8 << 20 {
				if _, err := r.ReadAt(buffer, off); err != nil {
					b.Fatal(err)
				}
				n += 8 << 20
			}
			drive := float64(n) / time.Since(begin).Seconds()
			for b.Loop() {
				if _, err := s.Eval(context.Background(), []int32{7}); err != nil {
					b.Fatal(err)
				}
			}
			t := b.Elapsed().Seconds() / float64(b.N)
			best := float64(size-budget<<20) / drive
			b.ReportMetric(1/t, "tokens/s")
			b.ReportMetric(drive/1e6, "drive-MB/s")
			b.ReportMetric(float64(m.weights.streamed())/t/1e6, "streamed-MB/s")
			b.ReportMetric(float64(m.weights.streamed())/1e6, "MB/token")
			b.ReportMetric(best/t, "part")
		})
	}
}
