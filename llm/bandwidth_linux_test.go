package llm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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

// BenchmarkBandwidth decodes and, in turn with the tokens, reads the weights in every way
// there is, with as many threads. "share" is the median speed of decoding by that of the way
// that is best in the median: both change from minute to minute.
// The model is that in the file ALPHAOS_MODEL, or else two layers in the shape of Llama 3.2 1B.
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
			s := newSession(b, m)
			var decoding []float64
			var limit limits
			for b.Loop() {
				if s.Len() == 64 {
					s.Truncate(0)
				}
				begin := time.Now()
				eval(b, s, 7)
				decoding = append(decoding, float64(m.Info().PerToken)/time.Since(begin).Seconds())
				limit.add(b, m)
			}
			b.ReportMetric(median(decoding)/1e9, "GB/s")
			b.ReportMetric(100*median(decoding)/limit.best(), "%share")
		})
	}
}

// limits are the rates of each way to read memory, one for each token that was decoded in turn.
type limits map[string][]float64

func (l *limits) add(b *testing.B, m *Model) {
	rates, err := m.Bandwidth(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	if *l == nil {
		*l = limits{}
	}
	for _, r := range rates {
		(*l)[r.Way.String()] = append((*l)[r.Way.String()], r.Median)
	}
}

// best is the rate of the way that is best in the median. The best of each turn would be
// that to which chance was kindest.
func (l limits) best() (best float64) {
	for _, rates := range l {
		best = max(best, median(rates))
	}
	return best
}

// BenchmarkLong decodes at position 30,000: weights, and keys and values of all tokens before.
// "share" is as in BenchmarkBandwidth. What the tokens were does not matter for speed.
func BenchmarkLong(b *testing.B) {
	const position = 30000
	name := os.Getenv("ALPHAOS_MODEL")
	if name == "" {
		b.Skip("ALPHAOS_MODEL names a model larger than the caches")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 4 {
		cache, threads := []string{"f16", "q8_0"}[i/2], 1+i%2
		b.Run(fmt.Sprint(cache, "/", threads), func(b *testing.B) {
			m, err := Load(bytes.NewReader(data), int64(len(data)), Options{Threads: threads, Cache: cache, Alloc: func(n int) ([]byte, error) { return largePages(b, n) }})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(m.Close)
			s, err := m.NewSession(position + 64)
			if err != nil {
				b.Fatal(err)
			}
			s.inLargePages()
			remembered := 0.0
			var some []byte
			for _, c := range s.caches {
				for _, table := range slices.Concat(c.keys, c.values) {
					data := table.Data(position)
					if some == nil {
						some = halves(len(data))
					}
					copy(data, some)
					remembered += float64(len(data))
				}
			}
			var decoding []float64
			var limit limits
			for b.Loop() {
				s.tokens = slices.Grow(s.tokens[:0], position)[:position]
				begin := time.Now()
				eval(b, s, 7)
				decoding = append(decoding, (float64(m.Info().PerToken)+remembered)/time.Since(begin).Seconds())
				limit.add(b, m)
			}
			b.ReportMetric(median(decoding)/1e9, "GB/s")
			b.ReportMetric(100*median(decoding)/limit.best(), "%share")
			b.ReportMetric(100*remembered/(float64(m.Info().PerToken)+remembered), "%remembered")
		})
	}
}

// BenchmarkFetches decodes with each way to fetch ahead in turn, and beside it chooses as an answer begins,
// anew each time. "regret" is by how much the way chosen for most of the weights is slower, by the medians of all turns, than the best, in the worst
// but one of twenty choices; "good" are the choices with less than 3 % of it, "gain" is by how much they are faster than the first way in the median.
func BenchmarkFetches(b *testing.B) {
	name := os.Getenv("ALPHAOS_MODEL")
	if name == "" {
		b.Skip("ALPHAOS_MODEL names a model larger than the caches")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			m, err := Load(bytes.NewReader(data), int64(len(data)), Options{Threads: threads, Alloc: func(n int) ([]byte, error) { return largePages(b, n) }})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(m.Close)
			s := newSession(b, m)
			ways := kernel.Fetches()
			ratios, chosen := make([][]float64, len(ways)), make([]int, len(ways))
			var most gguf.Type // of the weights
			size := map[gguf.Type]int{}
			for _, w := range m.products() {
				if size[w.Type] += w.Bytes(); size[w.Type] > size[most] {
					most = w.Type
				}
			}
			var took []float64
			decode := func() float64 {
				s.Truncate(0)
				begin := time.Now()
				for range 4 {
					eval(b, s, 7)
				}
				return time.Since(begin).Seconds()
			}
			for b.Loop() {
				var first float64
				for i, way := range ways {
					m.options.Fetch = way.String()
					m.chooseFetches()
					t := decode()
					if i == 0 {
						first = t
					}
					ratios[i] = append(ratios[i], t/first)
				}
				m.options.Fetch = ""
				begin := time.Now()
				m.chooseFetches()
				took = append(took, time.Since(begin).Seconds())
				for m.trial != nil {
					decode()
				}
				chosen[slices.Index(ways, (*m.fetches.Load())[most])]++
			}
			best, told := 1.0, fmt.Sprint("of the first way's time, and how often chosen for ", most, ":")
			for i, way := range ways {
				ratios[i] = []float64{median(ratios[i])}
				best = min(best, ratios[i][0])
				told += fmt.Sprintf(" %v %.3f %d,", way, ratios[i][0], chosen[i])
			}
			b.Log(told)
			var regret, gain []float64
			good := 0
			for i, n := range chosen {
				for range n {
					regret, gain = append(regret, ratios[i][0]/best-1), append(gain, 1/ratios[i][0]-1)
				}
				if ratios[i][0] < 1.03*best {
					good += n
				}
			}
			slices.Sort(regret)
			b.ReportMetric(100*regret[(len(regret)-1)*19/20], "%regret")
			b.ReportMetric(100*float64(good)/float64(len(regret)), "%good")
			b.ReportMetric(100*median(gain), "%gain")
			b.ReportMetric(1000*median(took), "ms-choosing")
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

// inLargePages asks for pages of 2 MiB for what the session will remember, as there are on the metal. Nothing has been written
// there.
func (s *Session) inLargePages() {
	const size = 2 << 20
	var tables []uintptr
	for _, c := range s.caches {
		for _, table := range slices.Concat(c.keys, c.values) {
			b := table.Data(s.Cap())
			tables = append(tables, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&b[0]))+uintptr(len(b)))
		}
	}
	from, to := slices.Min(tables)&^(size-1), (slices.Max(tables)+size-1)&^(size-1)
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_HUGEPAGE) // what lies between is none the worse for it
}

// halves is n bytes of float16 numbers of either sign, from 1/8 to 2: no processor takes longer for any of them.
func halves(n int) []byte {
	r := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte(r.Uint64()); i%2 == 1 {
			b[i] = b[i]&0x83 | 0x30 | b[i]>>1&0x0c
		}
	}
	return b
}
