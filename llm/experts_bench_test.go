package llm

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"alphaos/llm/synth"
)

// nap is time.Sleep, or what the system has that is more exact.
var nap = time.Sleep

// slow is a medium of so many bytes a second, however many read it at a time.
type slow struct {
	io.ReaderAt
	rate float64
	mu   sync.Mutex
	free time.Time // when it has done what was asked so far
}

func (s *slow) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	if now := time.Now(); s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Duration(float64(len(p)) / s.rate * 1e9))
	done := s.free
	s.mu.Unlock()
	n, err := s.ReaderAt.ReadAt(p, off)
	nap(time.Until(done))
	return n, err
}

// BenchmarkExperts decodes with three layers of the shape of Qwen 3 30B-A3B of which a third of the experts fits
// memory, from a medium of 2 GB/s. "hits" is the share of experts that were in memory, "share" the
// speed as a part of what the bytes that were read allow, which is 1 at most.
func BenchmarkExperts(b *testing.B) {
	var file bytes.Buffer
	for _, s := range synth.Shapes {
		if s.Name == "qwen3-30b-a3b-layers" {
			if err := synth.Write(&file, s, synth.Mixtures[3], 1); err != nil {
				b.Fatal(err)
			}
		}
	}
	size := int64(file.Len())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 4))
	m, err := Load(&slow{ReaderAt: bytes.NewReader(file.Bytes()), rate: 2e9}, size, Options{Budget: size * 37 / 100, Requests: 4, Threads: 2})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.Close)
	s := newSession(b, m)
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([]int32, 256)
	for i := range ids {
		ids[i] = int32(r.IntN(500))
	}
	eval(b, s, ids...)
	for _, id := range ids[:64] { // so that the experts that are used most are there
		eval(b, s, id)
	}
	before, _ := m.Experts()
	b.Logf("%+v", before)
	begin, tokens := time.Now(), 0
	for b.Loop() {
		if s.Len() == s.Cap() {
			s.Truncate(64)
		}
		if _, err := s.Eval(context.Background(), ids[tokens%len(ids):][:1]); err != nil {
			b.Fatal(err)
		}
		tokens++
	}
	took := time.Since(begin).Seconds()
	after, _ := m.Experts()
	read := float64(after.Read - before.Read)
	b.ReportMetric(float64(after.Hits-before.Hits)/float64(after.Asked-before.Asked), "hits")
	b.ReportMetric(read/float64(tokens)/1e6, "MB/token")
	b.ReportMetric(read/2e9/took, "share")
	b.ReportMetric(float64(tokens)/took, "tokens/s")
	b.ReportMetric(float64(after.At), "requests")
}
