package llm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// fixed are speeds that need no measuring.
func fixed(rates map[gguf.Type]float64) *Speeds {
	return &Speeds{rates: rates}
}

func TestForecast(t *testing.T) {
	speeds := fixed(map[gguf.Type]float64{gguf.Q4_K: 1e6, gguf.Q8_0: 2e6})
	for _, tied := range []bool{true, false} {
		shape := llmtest.Quantized(gguf.Q4_K, gguf.Q8_0)
		shape.Tied = tied
		f := llmtest.Llama(shape)
		e, err := speeds.Expect(f.Tables(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		m := load(t, f, Options{Threads: 1})
		if want := m.Info().PerToken; e.PerToken != want || e.Streamed != 0 {
			t.Errorf("tied %v: %d bytes a token, not %d", tied, e.PerToken, want)
		}
		var seconds float64
		for _, w := range m.products() {
			seconds += float64(w.Bytes()) / speeds.rates[w.Type]
		}
		if math.Abs(1/e.Tokens-seconds) > seconds*1e-9 {
			t.Errorf("tied %v: a token takes %g s, not %g", tied, 1/e.Tokens, seconds)
		}
		// With half of the memory, about half is read from a drive, and a slow one decides.
		half, err := speeds.Expect(f.Tables(), e.PerToken/2, 1e3)
		if err != nil || half.Streamed < e.PerToken*4/10 || half.Streamed > e.PerToken*6/10 || math.Abs(half.Tokens-1e3/float64(half.Streamed)) > 1e-6 {
			t.Errorf("half of the memory: %+v, %v", half, err)
		}
	}
	f := llmtest.Llama(llmtest.Small)
	f.Set("general.architecture", "unheard-of")
	if _, err := speeds.Expect(f.Tables(), 0, 0); err == nil {
		t.Error("a model that can't be used is expected to run")
	}
}

// Speeds take the memory that they get, give it back, and do without what they don't get.
func TestSpeeds(t *testing.T) {
	for _, most := range []int{1 << 30, 3 << 20, 1 << 10} {
		taken := 0
		s := NewSpeeds(SpeedOptions{Threads: 2, Quick: true,
			Alloc: func(n int) ([]byte, error) {
				if n > most {
					return nil, errors.New("no memory")
				}
				taken += n
				return make([]byte, n), nil
			},
			Free: func(b []byte) { taken -= len(b) },
		})
		rate := s.Rate(gguf.Q8_0)
		if taken != 0 || rate > 0 != (most >= 1<<20) || s.Rate(gguf.Q8_0) != rate || s.Rate(gguf.Type(999)) != 0 {
			t.Errorf("with at most %d bytes: %g bytes/s, %d bytes not given back", most, rate, taken)
		}
		if _, err := s.Expect(llmtest.Llama(llmtest.Quantized(gguf.Q8_0)).Tables(), 0, 0); err != nil != (rate == 0) {
			t.Errorf("with at most %d bytes: %v", most, err)
		}
	}
}

// BenchmarkForecast tells how much of the measured rate of decoding is expected, in percent, after long and after quick
// measuring, for the model that ALPHAOS_BENCH_MODEL names or a synthetic one. All are measured in turns; medians.
func BenchmarkForecast(b *testing.B) {
	var data []byte
	if name := os.Getenv("ALPHAOS_BENCH_MODEL"); name != "" {
		var err error
		if data, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	} else {
		data = llmtest.Llama(llmtest.Shape{Embedding: 2048, FeedForward: 8192, Layers: 6, Heads: 32, KVHeads: 8, Head: 64, Vocabulary: 16384, Context: 256,
			Types: []gguf.Type{gguf.Q4_K, gguf.Q6_K, gguf.Q4_K, gguf.Q8_0}}).Bytes()
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			m, err := Load(bytes.NewReader(data), int64(len(data)), Options{Threads: threads})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			s, err := m.NewSession(256)
			if err != nil {
				b.Fatal(err)
			}
			var long, quick, rates []float64
			for b.Loop() {
				for i, to := range []*[]float64{&long, &quick} {
					e, err := NewSpeeds(SpeedOptions{Threads: threads, Quick: i == 1}).Expect(m.File(), 0, 0)
					if err != nil {
						b.Fatal(err)
					}
					*to = append(*to, e.Tokens)
				}
				s.Truncate(0)
				eval(b, s, 1)
				const n = 48
				began := time.Now()
				for range n {
					eval(b, s, 2)
				}
				rates = append(rates, n/time.Since(began).Seconds())
			}
			median := func(x []float64) float64 { slices.Sort(x); return x[len(x)/2] }
			b.ReportMetric(median(rates), "measured-tok/s")
			b.ReportMetric(100*median(long)/median(rates), "%expected")
			b.ReportMetric(100*median(quick)/median(rates), "%quickly-expected")
		})
	}
}
