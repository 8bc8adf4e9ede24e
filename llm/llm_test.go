package llm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/llmtest"
)

// load loads a model with the first kernel unless o says otherwise: which one a
// busy host finds fastest differs from time to time, and so do the last bits.
func load(t testing.TB, f *llmtest.File, o Options) *Model {
	t.Helper()
	o.Kernel = cmp.Or(o.Kernel, Kernels()[0])
	b := f.Bytes()
	m, err := Load(bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

var testIDs = []int32{1, 100, 200, 42, 42, 7, 269, 5, 260, 33, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27}

// The graph against the naive float64 one, in every type and kernel.
func TestGraph(t *testing.T) {
	scaled, ropes, tied := llmtest.Small, llmtest.Small, llmtest.Small
	scaled.Factor = 4
	ropes.Ropes = true
	tied.Tied, tied.KVHeads = true, 4
	biased, qwen2, qwen3, wide, granite, layers, grouped := llmtest.Small, llmtest.Small, llmtest.Small, llmtest.Small, llmtest.Small, llmtest.Small, llmtest.Small
	granite.AllBiases = true
	layers.PerLayer, layers.Layers, layers.AllBiases = []llmtest.Layer{{4, 2, 52}, {6, 1, 33}, {2, 2, 90}, {4, 4, 52}}, 4, true
	grouped.PerLayer, grouped.Types = []llmtest.Layer{{4, 2, 64}, {2, 1, 128}}, []gguf.Type{gguf.Q8_0}
	grouped.Embedding, grouped.Head = 64, 32
	wide.Head = 512 // so that several times what is near in keys and values is needed
	biased.Biases = true
	qwen2.Arch, qwen2.Halves, qwen2.Biases = "qwen2", true, true
	qwen3.Arch, qwen3.Halves, qwen3.Norms = "qwen3", true, true
	for _, c := range []struct {
		name  string
		shape llmtest.Shape
		bound float64 // on the relative distance
	}{
		// What rounding vectors to 8 bits costs depends on the weights: over nine seeds up
		// to 0.053. An error of the graph costs far more.
		{"F32", llmtest.Small, 2e-6}, {"F32 scaled", scaled, 2e-6}, {"F32 rope_freqs", ropes, 2e-6}, {"F32 tied", tied, 2e-6}, {"F32 wide heads", wide, 2e-6},
		{"F16", llmtest.Quantized(gguf.F16), 2e-6}, {"Q8_0", llmtest.Quantized(gguf.Q8_0), 0.06}, {"Q4_0", llmtest.Quantized(gguf.Q4_0), 0.01},
		{"Q4_K", llmtest.Quantized(gguf.Q4_K), 0.06}, {"Q6_K", llmtest.Quantized(gguf.Q6_K), 0.06},
		{"llama with biases", biased, 2e-6}, {"llama with all biases", granite, 2e-6},
		{"layers that differ", layers, 2e-6}, {"layers that differ, Q8_0", grouped, 0.06},
		{"qwen2", qwen2, 2e-6}, {"qwen3", qwen3, 2e-6}, {"BF16", llmtest.Quantized(gguf.BF16), 2e-6},
		{"every type", llmtest.Quantized(slices.DeleteFunc(kernel.Types(), func(t gguf.Type) bool { return !kernel.Writable(t) })...), 0.06},
		{"mixed", llmtest.Quantized(gguf.Q6_K, gguf.Q4_K, gguf.F16, gguf.Q8_0, gguf.F32), 0.06},
	} {
		f := llmtest.Llama(c.shape)
		want := f.Naive(c.shape, testIDs)
		for _, k := range Kernels() {
			for _, cache := range []string{"f32", "f16", "q8_0"} {
				m := load(t, f, Options{Kernel: k, Threads: 3, Cache: cache})
				got := eval(t, newSession(t, m), testIDs...)
				var d, size float64
				for i, v := range want {
					d += (v - float64(got[i])) * (v - float64(got[i]))
					size += v * v
				}
				bound := c.bound
				switch {
				case cache == "f16", cache == "q8_0" && c.shape.Head%32 != 0: // which is the same
					bound += 1e-3
				case cache == "q8_0":
					bound += 0.02
				}
				d = math.Sqrt(d / size)
				t.Logf("%s, %s, cache %s: relative distance %.3g", c.name, k, cache, d)
				if !(d <= bound) {
					t.Errorf("%s, %s, cache %s: relative distance %g, more than %g", c.name, k, cache, d, bound)
				}
			}
		}
	}
}

// A prompt in one piece, in pieces, and after a detour and Truncate gives the
// same logits.
func TestSession(t *testing.T) {
	for _, shape := range []llmtest.Shape{llmtest.Small, llmtest.Quantized(gguf.Q4_K, gguf.Q6_K)} {
		m := load(t, llmtest.Llama(shape), Options{Threads: 2})
		whole := newSession(t, m)
		want := append([]float32(nil), eval(t, whole, testIDs...)...)
		if whole.Len() != len(testIDs) || whole.Cap() != 64 {
			t.Errorf("Len %d, Cap %d", whole.Len(), whole.Cap())
		}
		close := func(what string, got []float32) {
			t.Helper()
			if rms, _ := distance(t, got, want); rms > 1e-4 {
				t.Errorf("%s: logits differ by %g", what, rms)
			}
		}
		s := newSession(t, m)
		for i, id := range testIDs {
			logits := eval(t, s, id)
			if i == len(testIDs)-1 {
				close("token by token", logits)
			}
		}
		s.Truncate(11)
		eval(t, s, 9, 9, 9, 9, 9)
		s.Truncate(11)
		s.Truncate(50)
		close("after Truncate", eval(t, s, testIDs[11:]...))
		if got := fmt.Sprint(s.Tokens()); got != fmt.Sprint(testIDs) {
			t.Errorf("Tokens = %s", got)
		}
	}
}

// A long prompt tells how its reading comes along, batch by batch.
func TestEvalProgress(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), Options{})
	s, err := m.NewSession(0)
	if err != nil {
		t.Fatal(err)
	}
	s.batch = 4
	var got []string
	ctx := WithProgress(context.Background(), func(done, total int) { got = append(got, fmt.Sprintf("%d/%d", done, total)) })
	if _, err := s.Eval(ctx, testIDs[:10]); err != nil {
		t.Fatal(err)
	}
	if want := "[0/10 4/10 8/10 10/10]"; fmt.Sprint(got) != want {
		t.Errorf("told %v, want %s", got, want)
	}
}

func TestEvalRefuses(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), Options{})
	s, err := m.NewSession(8)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := s.Eval(ctx, make([]int32, 9)); !errors.Is(err, ErrContextFull) {
		t.Errorf("too many tokens: %v", err)
	}
	for _, ids := range [][]int32{nil, {270}, {-1}, {0, 1 << 30}} {
		if _, err := s.Eval(ctx, ids); err == nil {
			t.Errorf("tokens %v were accepted", ids)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Eval(cancelled, []int32{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s.Len() != 0 {
		t.Errorf("%d tokens after nothing but errors", s.Len())
	}
	eval(t, s, 1, 2, 3, 4, 5, 6, 7, 8)
	if _, err := s.Eval(ctx, []int32{1}); !errors.Is(err, ErrContextFull) {
		t.Errorf("full: %v", err)
	}
	for _, n := range []int{-1, 65} {
		if _, err := m.NewSession(n); err == nil {
			t.Errorf("a context of %d was accepted", n)
		}
	}
	little := load(t, llmtest.Llama(llmtest.Small), Options{SessionLimit: 32 << 10})
	if _, err := little.NewSession(64); err == nil || !strings.Contains(err.Error(), "choose a shorter one") {
		t.Errorf("a session larger than its limit: %v", err)
	}
	m.Close()
	m.Close()
	s.Truncate(0)
	if _, err := s.Eval(ctx, []int32{1}); err == nil {
		t.Error("a closed model answered")
	}
}

// Sessions of one model may compute at the same time.
func TestConcurrentSessions(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Quantized(gguf.Q8_0)), Options{Threads: 2})
	want := append([]float32(nil), eval(t, newSession(t, m), testIDs...)...)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := m.NewSession(0)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := s.Eval(context.Background(), testIDs)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("logit %d is %g, not %g", i, got[i], want[i])
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLoadReads(t *testing.T) {
	s := llmtest.Quantized(gguf.F32)
	s.Vocabulary, s.FeedForward = 270, 8192 // about 50 MB
	b := llmtest.Llama(s).Bytes()
	r := &reads{Reader: bytes.NewReader(b)}
	freed, last := false, int64(-1)
	m, err := Load(r, int64(len(b)), Options{
		Alloc: func(n int) ([]byte, error) { return make([]byte, n), nil },
		Free:  func([]byte) { freed = true },
		Progress: func(done, total int64) {
			if done < last || done > total || total != int64(len(b)) {
				t.Errorf("progress went from %d to %d of %d", last, done, total)
			}
			last = done
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != int64(len(b)) {
		t.Errorf("progress ended at %d of %d", last, len(b))
	}
	if most := len(b)/(8<<20) + 3; len(r.sizes) > most {
		t.Errorf("%d reads for %d bytes: %v", len(r.sizes), len(b), r.sizes)
	}
	m.Close()
	if !freed {
		t.Error("Close did not free the memory")
	}

	freed = false
	bad := &reads{Reader: bytes.NewReader(b), failAt: int64(len(b)) / 2}
	_, err = Load(bad, int64(len(b)), Options{Alloc: func(n int) ([]byte, error) { return make([]byte, n), nil }, Free: func([]byte) { freed = true }})
	if err == nil || !strings.Contains(err.Error(), "the drive was removed") || !freed {
		t.Errorf("a broken medium: %v, freed %v", err, freed)
	}
	_, err = Load(bytes.NewReader(b), int64(len(b)), Options{Alloc: func(n int) ([]byte, error) { return nil, errors.New("only 12 MiB are free") }})
	if err == nil || !strings.Contains(err.Error(), "only 12 MiB are free") {
		t.Errorf("no memory: %v", err)
	}
}

func TestInfo(t *testing.T) {
	i := load(t, llmtest.Llama(llmtest.Quantized(gguf.Q4_K)), Options{Threads: 1}).Info()
	if i.Architecture != "llama" || i.Name != "synthetic" || i.Quantization != "Q4_K" || i.Layers != 2 || i.Context != 64 ||
		i.Vocabulary != 270 || i.Threads != 1 || i.Kernel == "" || i.Parameters < 270*256+2*3*256*512 {
		t.Errorf("Info = %+v", i)
	}
}

// What is wrong with a file is said in one sentence, which names it.
func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(f *llmtest.File)
		want  string
	}{
		{"architecture", func(f *llmtest.File) { f.Set("general.architecture", "rwkv7") }, `architecture "rwkv7" are not supported; supported are llama, mistral3, smollm3, qwen2, qwen3`},
		{"no architecture", func(f *llmtest.File) { f.Set("general.architecture", uint32(1)) }, "does not name"},
		{"type", func(f *llmtest.File) {
			x := f.Tensor("blk.1.ffn_up.weight")
			x.Type, x.Data = gguf.I8, x.Data[:len(x.Data)/4]
		}, `"blk.1.ffn_up.weight" has type I8, which is not supported; supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS, Q1_0, Q2_0, PQ2_0, PTQ1_0, TQ1_0, TQ2_0, MXFP4, NVFP4, IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S`},
		{"norm type", func(f *llmtest.File) {
			x := f.Tensor("output_norm.weight")
			x.Type, x.Data = gguf.BF16, x.Data[:len(x.Data)/2]
		}, "has type BF16"},
		{"missing", func(f *llmtest.File) { f.Remove("blk.1.attn_v.weight") }, `no tensor "blk.1.attn_v.weight"`},
		{"no embedding", func(f *llmtest.File) { f.Remove("token_embd.weight") }, `no tensor "token_embd.weight"`},
		{"extra", func(f *llmtest.File) {
			f.Add("blk.0.attn_q.extra", gguf.F32, make([]byte, 4), 1)
		}, `"blk.0.attn_q.extra", which is not part`},
		{"shape", func(f *llmtest.File) { f.Tensor("blk.0.attn_k.weight").Dims = []uint64{20, 40} }, "shape [20 40] instead of [40 20]"},
		{"no matrix", func(f *llmtest.File) { f.Tensor("blk.0.attn_k.weight").Dims = []uint64{800} }, "shape [800]"},
		{"embedding shape", func(f *llmtest.File) { f.Tensor("token_embd.weight").Dims = []uint64{10800} }, "shape [10800]"},
		{"no layers", func(f *llmtest.File) { f.Set("llama.block_count", uint32(0)) }, "does not tell its llama.block_count"},
		{"many layers", func(f *llmtest.File) { f.Set("llama.block_count", uint32(1000)) }, "1000 layers"},
		{"fewer layers", func(f *llmtest.File) { f.Set("llama.block_count", uint32(1)) }, "not part of the architecture"},
		{"huge embedding", func(f *llmtest.File) { f.Set("llama.embedding_length", uint32(1<<31)) }, "embedding_length is 2147483648"},
		{"count as text", func(f *llmtest.File) { f.Set("llama.context_length", "many") }, "context_length is not a single count"},
		{"heads of three layers", func(f *llmtest.File) { f.Set("llama.attention.head_count_kv", []int32{2, 2, 2}) }, "has 3 values for 2 layers"},
		{"layer without heads", func(f *llmtest.File) { f.Set("llama.attention.head_count", []int32{4, 0}) }, "attention.head_count is 0 in layer 1; supported are 1 to 1024"},
		{"layer of other heads", func(f *llmtest.File) { f.Set("llama.attention.head_count_kv", []int32{2, 1}) }, "\"blk.1.attn_k.weight\" has the shape"},
		{"heads that cannot share", func(f *llmtest.File) { f.Set("llama.attention.head_count_kv", []int32{2, 3}) }, "4 heads cannot share 3"},
		{"bias of other length", func(f *llmtest.File) {
			f.Add("blk.1.ffn_up.bias", gguf.F32, make([]byte, 160), 40)
		}, "\"blk.1.ffn_up.bias\" has the shape [40] instead of [52]"},
		{"context as list", func(f *llmtest.File) { f.Set("llama.context_length", []int32{64}) }, "not a single count"},
		{"heads do not divide", func(f *llmtest.File) { f.Set("llama.attention.head_count_kv", uint32(3)) }, "cannot share"},
		{"odd rope", func(f *llmtest.File) { f.Set("llama.rope.dimension_count", uint32(7)) }, "rotates 7 of the 10"},
		{"long rope", func(f *llmtest.File) { f.Set("llama.rope.dimension_count", uint32(12)) }, "rotates 12 of the 10"},
		{"unequal heads", func(f *llmtest.File) { f.Set("llama.attention.value_length", uint32(12)) }, "must be equal"},
		{"no epsilon", func(f *llmtest.File) { f.Set("llama.attention.layer_norm_rms_epsilon", "x") }, "layer_norm_rms_epsilon"},
		{"NaN", func(f *llmtest.File) { f.Set("llama.rope.freq_base", float32(math.NaN())) }, "freq_base is NaN"},
		{"rope", func(f *llmtest.File) { f.Set("llama.rope.scaling.type", "spiral") }, `rope scaling of type "spiral"`},
		{"experts", func(f *llmtest.File) { f.Set("llama.expert_count", uint32(8)) }, "mixture of 8 experts"},
		{"split", func(f *llmtest.File) { f.Set("split.count", uint32(3)) }, "one of 3 parts"},
		{"vocabulary", func(f *llmtest.File) { f.Set("tokenizer.ggml.model", "morse") }, "vocabulary"},
		{"more words than rows", func(f *llmtest.File) {
			x := f.Tensor("token_embd.weight")
			x.Dims, x.Data = []uint64{40, 100}, x.Data[:40*100*4]
			y := f.Tensor("output.weight")
			y.Dims, y.Data = []uint64{40, 100}, y.Data[:40*100*4]
		}, "270 tokens but weights for only 100"},
		{"zero factor", func(f *llmtest.File) {
			f.Add("rope_freqs.weight", gguf.F32, make([]byte, 20), 5)
		}, "impossible factor 0"},
	} {
		f := llmtest.Llama(llmtest.Small)
		c.spoil(f)
		b := f.Bytes()
		_, err := Load(bytes.NewReader(b), int64(len(b)), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is not one sentence: %v", c.name, err)
		}
	}
	b := llmtest.Llama(llmtest.Small).Bytes()
	for _, o := range []Options{{Kernel: "magic"}, {Threads: -1}, {Processors: -1}, {Cache: "f64"}} {
		if _, err := Load(bytes.NewReader(b), int64(len(b)), o); err == nil {
			t.Errorf("options %+v were accepted", o)
		}
	}
	if _, err := Load(bytes.NewReader(b[:len(b)-1]), int64(len(b)-1), Options{}); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a cut file: %v", err)
	}
}

// FuzzLoad: whatever the file, Load and a first Eval end with logits or an
// error.
func FuzzLoad(f *testing.F) {
	tiny := llmtest.Shape{Embedding: 4, FeedForward: 4, Layers: 1, Heads: 2, KVHeads: 1, Head: 2, Vocabulary: 260, Context: 4, Types: []gguf.Type{gguf.F32}}
	f.Add(llmtest.Llama(tiny).Bytes())
	tiny.Ropes, tiny.Tied, tiny.Factor = true, true, 2
	f.Add(llmtest.Llama(tiny).Bytes())
	tiny.Layers, tiny.AllBiases, tiny.PerLayer = 2, true, []llmtest.Layer{{2, 1, 4}, {1, 1, 3}}
	f.Add(llmtest.Llama(tiny).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		// A fixed kernel: measuring would make coverage differ from run to run.
		m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Threads: 1, Kernel: Kernels()[0]})
		if err != nil {
			return
		}
		defer m.Close()
		m.Info()
		s, err := m.NewSession(min(m.config.context, 4))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Eval(context.Background(), []int32{0}); err != nil && !errors.Is(err, errNotNumbers) {
			t.Fatal(err)
		}
	})
}

// The pool does every part once, with any number of threads and processors,
// also when workers have gone to sleep in between.
func TestPool(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, processors := range []int{1, 2, 4} {
		runtime.GOMAXPROCS(processors)
		for _, threads := range []int{1, 2, 5} {
			p := newPool(threads, processors)
			for job := range 300 {
				parts := job % 17
				done := make([]atomic.Int32, parts)
				p.run(parts, least, func(worker, part int) {
					if worker < 0 || worker >= threads {
						t.Errorf("worker %d of %d", worker, threads)
					}
					done[part].Add(1)
				})
				for i := range done {
					if n := done[i].Load(); n != 1 {
						t.Fatalf("part %d was done %d times", i, n)
					}
				}
				if job%100 == 50 {
					time.Sleep(5 * time.Millisecond)
				}
			}
			p.close()
		}
	}
}

func TestFastestThreads(t *testing.T) {
	for _, c := range []struct {
		name  string
		times map[int][]time.Duration // what each measurement of a candidate takes
		want  int
	}{
		{"half is faster", map[int][]time.Duration{4: {20, 21, 20}, 2: {15, 15, 16}}, 2},
		{"all is faster", map[int][]time.Duration{4: {10, 10, 10}, 2: {19, 18, 18}}, 4},
		{"no difference", map[int][]time.Duration{4: {1000, 1000, 1000}, 2: {990, 995, 990}}, 4},
		{"a disturbed measurement", map[int][]time.Duration{4: {90, 10, 95}, 2: {18, 18, 18}}, 4},
	} {
		calls := map[int]int{}
		got := fastest([]int{4, 2}, func(n int) time.Duration {
			calls[n]++
			return c.times[n][calls[n]-1]
		})
		if got != c.want {
			t.Errorf("%s: chose %d threads, want %d", c.name, got, c.want)
		}
	}
}

func TestChosenThreadsCompute(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), Options{Threads: 4})
	s, err := m.NewSession(8)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.timeDecoding(); d <= 0 {
		t.Errorf("decoding takes %v", d)
	}
}

// A token is decoded without allocating memory, so that the garbage collector
// has nothing to do in long answers.
func TestNoAllocations(t *testing.T) {
	llama := llmtest.Quantized(gguf.Q4_K, gguf.Q8_0, gguf.Q4_0, gguf.Q6_K)
	biased, qwen2, qwen3 := llama, llama, llama
	biased.AllBiases = true
	qwen2.Arch, qwen2.Halves, qwen2.Biases = "qwen2", true, true
	qwen3.Arch, qwen3.Halves, qwen3.Norms = "qwen3", true, true
	for name, shape := range map[string]llmtest.Shape{"llama": llama, "biases": biased, "qwen2": qwen2, "qwen3": qwen3} {
		for _, threads := range []int{1, 2} {
			s := newSession(t, load(t, llmtest.Llama(shape), Options{Threads: threads}))
			eval(t, s, 1, 2, 3)
			ctx, ids := context.Background(), []int32{7}
			n := testing.AllocsPerRun(20, func() {
				s.Truncate(3)
				if _, err := s.Eval(ctx, ids); err != nil {
					t.Error(err)
				}
			})
			if n != 0 {
				t.Errorf("%s, %d threads: %v allocations a token", name, threads, n)
			}
		}
	}
}
