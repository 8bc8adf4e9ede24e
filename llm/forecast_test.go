package llm

import (
	"bytes"
	"context"
	"math"
	"os"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// fixed are speeds that need no measuring.
func fixed(rates map[gguf.Type]float64) *Speeds {
	return &Speeds{threads: 1, rates: rates}
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

// BenchmarkForecast tells how much of the measured rate of decoding is expected, in percent, for the model that
// ALPHAOS_BENCH_MODEL names or a synthetic one.
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
	m, err := Load(bytes.NewReader(data), int64(len(data)), Options{Threads: 2})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession(256)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		expected, err := NewSpeeds(2).Expect(m.File(), 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		s.Truncate(0)
		if _, err := s.Eval(context.Background(), []int32{1}); err != nil {
			b.Fatal(err)
		}
		const n = 48
		began := time.Now()
		for range n {
			if _, err := s.Eval(context.Background(), []int32{2}); err != nil {
				b.Fatal(err)
			}
		}
		measured := n / time.Since(began).Seconds()
		b.ReportMetric(expected.Tokens, "expected-tok/s")
		b.ReportMetric(measured, "measured-tok/s")
		b.ReportMetric(100*expected.Tokens/measured, "%expected")
	}
}
