package llm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// benchmarkModel measures decoding and prompts. GB/s counts every weight once
// for a token.
func benchmarkModel(b *testing.B, m *Model) {
	weights := float64(len(m.memory))
	b.Run("decode", func(b *testing.B) {
		s := newSession(b, m)
		eval(b, s, 1, 2, 3)
		b.ReportAllocs()
		for b.Loop() {
			if s.Len() == s.Cap() {
				s.Truncate(3)
			}
			eval(b, s, 7)
		}
		t := b.Elapsed().Seconds() / float64(b.N)
		b.ReportMetric(1/t, "tokens/s")
		b.ReportMetric(weights/t/1e9, "GB/s")
	})
	b.Run("prompt", func(b *testing.B) {
		s := newSession(b, m)
		ids := make([]int32, min(128, s.Cap()))
		for i := range ids {
			ids[i] = int32(i)
		}
		for b.Loop() {
			s.Truncate(0)
			eval(b, s, ids...)
		}
		t := b.Elapsed().Seconds() / float64(b.N) / float64(len(ids))
		b.ReportMetric(1/t, "tokens/s")
	})
}

// BenchmarkLayer is two layers in the shape of Llama 3.2 1B, 2*61 million
// weights, and hardly any vocabulary.
func BenchmarkLayer(b *testing.B) {
	for _, c := range []struct {
		name  string
		types []gguf.Type
	}{{"F16", []gguf.Type{gguf.F16}}, {"Q8_0", []gguf.Type{gguf.Q8_0}}, {"Q4_0", []gguf.Type{gguf.Q4_0}}, {"Q4_K", []gguf.Type{gguf.Q4_K}}, {"Q6_K", []gguf.Type{gguf.Q6_K}}} {
		f := llmtest.Llama(llmtest.Shape{Embedding: 2048, FeedForward: 8192, Layers: 2, Heads: 32, KVHeads: 8, Head: 64, Vocabulary: 270, Context: 512, Types: c.types, Tied: true})
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", c.name, threads), func(b *testing.B) {
				benchmarkModel(b, load(b, f, Options{Threads: threads}))
			})
		}
	}
}

func BenchmarkReference(b *testing.B) {
	for _, name := range []string{"stories260K-F32", "stories260K-Q8_0", "llama256-Q4_K", "llama256-Q8_0", "llama3-256-Q4_K_M"} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", name, threads), func(b *testing.B) {
				benchmarkModel(b, loadReference(b, name, Options{Threads: threads}))
			})
		}
	}
}

// BenchmarkStart is from Load to the first token's logits.
func BenchmarkStart(b *testing.B) {
	for _, name := range []string{"stories260K-Q8_0", "stories260K-F32"} {
		b.Run(name, func(b *testing.B) {
			d, err := os.ReadFile(filepath.Join(reference, "models", name+".gguf"))
			if err != nil {
				b.Skipf("no reference model beside the repository: %v", err)
			}
			for b.Loop() {
				m, err := Load(bytes.NewReader(d), int64(len(d)), Options{})
				if err != nil {
					b.Fatal(err)
				}
				eval(b, newSession(b, m), 1, 403, 407, 261, 378)
				m.Close()
			}
		})
	}
}
