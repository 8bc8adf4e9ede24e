package llm

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
)

// Embeddings of the reference model against llama.cpp's, by token ids and by
// text.
func TestEmbed(t *testing.T) {
	for _, k := range Kernels() {
		t.Run(k, func(t *testing.T) {
			m := loadReference(t, "minilm-synthetic-Q8_0", Options{Kernel: k, Threads: 2})
			if !m.Embedder() {
				t.Error("the model is no embedder")
			}
			var g struct {
				Cases []struct {
					Text   string
					Tokens []int32
				}
			}
			path := filepath.Join(reference, "golden", "minilm-Q8_0")
			if !readJSON(t, path+".json", &g) {
				t.Skip("no reference embeddings beside the repository")
			}
			for i, c := range g.Cases {
				if k == "portable" && i != 3 {
					continue // slow, and nothing new
				}
				want := readLogits(t, fmt.Sprintf("%s.s%d.norm.f32", path, i))
				got, err := m.Embed(context.Background(), c.Tokens)
				if err != nil {
					t.Fatal(err)
				}
				var cosine, length float64
				for j := range want {
					cosine += float64(want[j]) * float64(got[j])
					length += float64(got[j]) * float64(got[j])
				}
				t.Logf("sentence %d: cosine %.6f, length %.7f", i, cosine, math.Sqrt(length))
				if !(cosine >= 0.9995) || math.Abs(length-1) > 1e-5 {
					t.Errorf("sentence %d: cosine %.6f, length %.7f", i, cosine, math.Sqrt(length))
				}
				byText, err := m.EmbedText(context.Background(), c.Text)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(byText, got) {
					t.Errorf("%q has another embedding than its tokens", c.Text)
				}
			}
			if _, err := m.NewSession(0); err == nil {
				t.Error("a session of an embedder was begun")
			}
			if _, err := m.Embed(context.Background(), make([]int32, 513)); err == nil {
				t.Error("a text longer than the context was embedded")
			}
		})
	}
}

func BenchmarkEmbed(b *testing.B) {
	m := loadReference(b, "minilm-synthetic-Q8_0", Options{})
	ids := make([]int32, 128)
	for i := range ids {
		ids[i] = int32(1000 + i*7)
	}
	n := 0
	for b.Loop() {
		if _, err := m.Embed(context.Background(), ids); err != nil {
			b.Fatal(err)
		}
		n += len(ids)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tokens/s")
}
