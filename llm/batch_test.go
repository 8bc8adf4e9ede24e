package llm

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/synth"
)

// Drafting must not change an answer. So the logits of a token must be the
// same to the last bit whether it is computed alone or together with others,
// up to the number that a draft may have.
func TestBatchInvariance(t *testing.T) {
	smallPieces(t, 16<<10)
	shapes := map[string]llmtest.Shape{"F32": llmtest.Small}
	for _, q := range []gguf.Type{gguf.F16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q6_K} {
		shapes[q.String()] = llmtest.Quantized(q)
	}
	for name, shape := range shapes {
		for _, k := range Kernels() {
			for _, cache := range []string{"f32", "f16", "q8_0"} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, k, cache), func(t *testing.T) {
					f := llmtest.Llama(shape)
					models := []*Model{load(t, f, Options{Kernel: k, Threads: 2, Cache: cache})}
					if name != "F32" && name != "F16" {
						streamed, _ := loadWithin(t, f, Options{Kernel: k, Threads: 2, Cache: cache, Budget: int64(len(f.Bytes())) * 3 / 4})
						models = append(models, streamed)
					}
					for _, m := range models {
						prompt := testIDs[:9]
						single := newSession(t, m)
						eval(t, single, prompt...)
						var want [][]float32
						for _, id := range testIDs[9 : 9+MaxDraft+1] {
							want = append(want, append([]float32(nil), eval(t, single, id)...))
						}
						s := newSession(t, m)
						eval(t, s, prompt...)
						for n := 2; n <= MaxDraft+1; n++ {
							if k == "portable" && n%4 != 1 { // slow, and it has no kernels for so many
								continue
							}
							s.Truncate(len(prompt))
							rows, err := s.EvalRows(context.Background(), testIDs[9:9+n], n)
							if err != nil {
								t.Fatal(err)
							}
							v := m.config.vocabulary
							for i := range n {
								for j, x := range rows[i*v : (i+1)*v] {
									if math.Float32bits(x) != math.Float32bits(want[i][j]) {
										t.Fatalf("token %d of %d together: logit %d is %g, alone %g", i, n, j, x, want[i][j])
									}
								}
							}
						}
					}
				})
			}
		}
	}
}

// A token's logits are the same to the bit alone and together with as many as a draft
// has, however many of them attend together, on both sides of a border of what is near
// in keys and values, and of what is attended to at once.
func TestTogether(t *testing.T) {
	for _, heads := range []int{6, 8, 14} { // groups of 3, 4 and 7
		shape := llmtest.Quantized(gguf.Q8_0)
		shape.Heads, shape.KVHeads, shape.Layers, shape.Context = heads, 2, 1, attendRows+20
		f := llmtest.Llama(shape)
		for _, cache := range []string{"f32", "f16", "q8_0"} {
			for _, kernel := range Kernels() {
				m := load(t, f, Options{Threads: 1 + heads%4, Cache: cache, Kernel: kernel})
				alone, together := newSession(t, m), newSession(t, m)
				near := alone.caches[0].keys[0].Near()
				prefix := slices.Repeat(testIDs, 40)[:attendRows/near*near-4]
				eval(t, alone, prefix...)
				eval(t, together, prefix...)
				ids := testIDs[:MaxDraft+1]
				var want []float32
				for _, id := range ids {
					want = append(want, eval(t, alone, id)...)
				}
				for _, block := range []int{1, 3, 8} {
					together.Truncate(len(prefix))
					together.block = block
					got, err := together.EvalRows(context.Background(), ids, len(ids))
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(want, got) {
						t.Errorf("%d heads, cache %s, %s: tokens together, %d at a time, have other logits than alone", heads, cache, kernel, block)
					}
				}
			}
		}
	}
}

// BenchmarkDraft is what a pass of n tokens takes, as many times a pass of one:
// what drafts cost. The shortest of many passes counts.
func BenchmarkDraft(b *testing.B) {
	for _, quant := range []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q4_K} {
		f := llmtest.Llama(llmtest.Shape{Embedding: 2048, FeedForward: 8192, Layers: 2, Heads: 32, KVHeads: 8, Head: 64, Vocabulary: 270, Context: 512, Types: []gguf.Type{quant}, Tied: true})
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%v/%d", quant, threads), func(b *testing.B) {
				s := newSession(b, load(b, f, Options{Threads: threads}))
				best := [MaxDraft + 1]float64{}
				eval(b, s, testIDs...)
				for b.Loop() {
					for n := range best {
						begin := time.Now()
						if _, err := s.EvalRows(context.Background(), testIDs[:n+1], n+1); err != nil {
							b.Fatal(err)
						}
						if t := time.Since(begin).Seconds(); best[n] == 0 || t < best[n] {
							best[n] = t
						}
						s.Truncate(len(testIDs))
					}
				}
				for _, n := range []int{2, 3, 6, 9} {
					b.ReportMetric(best[n-1]/best[0], fmt.Sprintf("x%d", n))
				}
				b.ReportMetric(best[0]*1e3, "ms")
			})
		}
	}
}

// Logits are the same to the bit however many rows a thread takes at a time.
func TestPieces(t *testing.T) {
	defer func(n int) { mostPiece = n }(mostPiece)
	var mixed bytes.Buffer
	for _, s := range synth.Shapes {
		if s.Name == "tiny-qwen3moe" {
			if err := synth.Write(&mixed, s, synth.Mixtures[3], 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	shape := llmtest.Quantized(gguf.Q4_0)
	shape.FeedForward *= 8 // several pieces for each thread
	for _, file := range [][]byte{llmtest.Llama(shape).Bytes(), mixed.Bytes()} {
		var want []float32
		for _, mostPiece = range []int{512 << 10, 1} {
			for _, fetch := range []string{"", "4x512"} {
				m, err := Load(bytes.NewReader(file), int64(len(file)), Options{Threads: 2, Fetch: fetch})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				s := newSession(t, m)
				eval(t, s, testIDs...)
				got := slices.Clone(eval(t, s, 3))
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) {
					t.Errorf("pieces of at most %d bytes, fetching %q, give other logits", mostPiece, fetch)
				}
			}
		}
	}
}
