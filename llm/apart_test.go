package llm

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/synth"
)

// More threads than key/value heads divide these between them, with windows, sinks and shared keys, to the bits of one thread.
func TestApart(t *testing.T) {
	one := llmtest.Quantized(gguf.Q8_0)
	one.Heads, one.KVHeads, one.Layers, one.Context = 6, 1, 2, 700
	files := map[string][]byte{"one head": llmtest.Llama(one).Bytes()}
	for _, shape := range synth.Shapes {
		if !strings.HasPrefix(shape.Name, "tiny-") {
			continue
		}
		var b bytes.Buffer
		if err := synth.Write(&b, shape, synth.Mixtures[0], 1); err != nil {
			t.Fatal(err)
		}
		files[shape.Name] = b.Bytes()
	}
	for name, file := range files {
		for i, cache := range []string{"f32", "f16", "q8_0", "f16"} {
			k := Kernels()[0]
			if i == 3 {
				k = "portable"
			}
			t.Run(name+"/"+cache+"/"+k, func(t *testing.T) {
				var want []float32
				for _, threads := range []int{1, 2, 5} {
					m, err := Load(bytes.NewReader(file), int64(len(file)), Options{Threads: threads, Kernel: k, Cache: cache})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(m.Close)
					const n = 433 // all there is room for
					s, err := m.NewSession(n)
					if err != nil {
						t.Fatal(err)
					}
					s.apartFrom = 0
					got := slices.Clone(eval(t, s, slices.Repeat(testIDs, 20)[:n-3]...))
					for id := range int32(3) {
						got = append(got, eval(t, s, 3+id)...)
					}
					if want == nil {
						want = got
					} else if !slices.Equal(got, want) {
						t.Errorf("%d threads: other logits than one", threads)
					}
				}
			})
		}
	}
}

// TestAttendRows attends to a long conversation in some steps and in one, which is a plain softmax, with as many threads as heads of
// keys and with more.
func TestAttendRows(t *testing.T) {
	one := llmtest.Quantized(gguf.F32)
	one.Heads, one.KVHeads, one.Layers, one.Context = 6, 1, 1, 700
	f := llmtest.Llama(one)
	defer func(n int) { attendRows = n }(attendRows)
	for _, kernel := range []string{Kernels()[0], "portable"} {
		for _, threads := range []int{1, 3} {
			var want []float32
			for _, rows := range []int{1024, 512, 64} {
				attendRows = rows
				m := load(t, f, Options{Threads: threads, Kernel: kernel, Cache: "f32"})
				s := newSession(t, m)
				s.apartFrom = 0
				got := slices.Clone(eval(t, s, slices.Repeat(testIDs, 40)[:600]...))
				got = append(got, eval(t, s, 5)...)
				if want == nil {
					want = got
					continue
				}
				for i := range got {
					if math.Abs(float64(got[i]-want[i])) > 1e-4 {
						t.Fatalf("%s, %d threads, %d positions at a time: logit %d is %g, not %g", kernel, threads, rows, i, got[i], want[i])
					}
				}
			}
		}
	}
}

// BenchmarkApart decodes with one layer of one key/value head, as some Gemmas have it, on two threads: "ratio" is the time it takes
// undivided by that divided between the threads, in turn.
func BenchmarkApart(b *testing.B) {
	for _, position := range []int{128, 512, 2048, 30000} {
		b.Run(fmt.Sprint(position), func(b *testing.B) {
			shape := llmtest.Shape{Embedding: 640, FeedForward: 64, Layers: 8, Heads: 4, KVHeads: 1, Head: 256, Vocabulary: 270, Context: position + 8, Types: []gguf.Type{gguf.Q8_0}, Tied: true}
			s, err := load(b, llmtest.Llama(shape), Options{Threads: 2, Cache: "f16"}).NewSession(shape.Context)
			if err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			row := make([]float32, shape.Head)
			for _, c := range s.caches {
				for _, table := range slices.Concat(c.keys, c.values) {
					for i := range position {
						row[i%len(row)] = r.Float32() - 0.5
						table.Put(i, row)
					}
				}
			}
			var ratios []float64
			for b.Loop() {
				var took [2]time.Duration
				for i, from := range []int{1 << 40, 0} {
					s.apartFrom = from
					s.tokens = slices.Grow(s.tokens[:0], position)[:position]
					begin := time.Now()
					if _, err := s.Eval(context.Background(), []int32{7}); err != nil {
						b.Fatal(err)
					}
					took[i] = time.Since(begin)
				}
				ratios = append(ratios, float64(took[0])/float64(took[1]))
			}
			b.ReportMetric(median(ratios), "ratio")
		})
	}
}
