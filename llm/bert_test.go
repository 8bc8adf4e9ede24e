package llm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
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

// Texts that are embedded together have the embeddings they have alone, but for
// the order of additions, which now and then rounds a quantized number otherwise.
func TestEmbedTogether(t *testing.T) {
	m := loadReference(t, "minilm-synthetic-Q8_0", Options{Threads: 2})
	r := rand.New(rand.NewPCG(1, 8))
	var texts [][]int32
	for _, n := range []int{3, 1, 40, 2, 300, 128, 17, 100, 11, 10} {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = int32(r.IntN(m.config.vocabulary))
		}
		texts = append(texts, ids)
	}
	together, err := m.embedAll(context.Background(), texts, true)
	if err != nil || len(together) != len(texts) {
		t.Fatalf("%d embeddings of %d texts: %v", len(together), len(texts), err)
	}
	for i, ids := range texts {
		alone, err := m.Embed(context.Background(), ids)
		if err != nil {
			t.Fatal(err)
		}
		var cosine float64
		for j := range alone {
			cosine += float64(alone[j]) * float64(together[i][j])
		}
		if !(cosine > 0.9995) {
			t.Errorf("text %d of %d tokens: cosine %.7f with itself", i, len(ids), cosine)
		}
	}
	if _, err := m.embedAll(context.Background(), [][]int32{{1}, {}, {2}}, true); err == nil {
		t.Error("no tokens were embedded")
	}
	byText, err := m.EmbedTexts(context.Background(), []string{"hello", "the weather of tomorrow"})
	if err != nil {
		t.Fatal(err)
	}
	if alone, _ := m.EmbedText(context.Background(), "hello"); math.Abs(float64(alone[0]-byText[0][0])) > 0.01 {
		t.Errorf("\"hello\" has another embedding in company: %g, not %g", byText[0][0], alone[0])
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

// A made-up bert model against the same computed naively in float64, with both
// ways of pooling; this needs no reference data.
func TestEmbedNaive(t *testing.T) {
	for _, pooling := range []uint32{1, 2} {
		f := syntheticBert(pooling)
		b := f.Bytes()
		for _, k := range Kernels() {
			m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Kernel: k, Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			for _, ids := range [][]int32{{5}, {1, 7, 9, 2}, {1, 3, 3, 3, 8, 11, 2}} {
				got, err := m.Embed(context.Background(), ids)
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range naiveBert(f, ids, pooling == 2) {
					if math.Abs(want-float64(got[i])) > 1e-5 {
						t.Fatalf("%s, pooling %d, %v: number %d is %g, not %g", k, pooling, ids, i, got[i], want)
					}
				}
			}
			if _, err := m.Embed(context.Background(), []int32{12}); err == nil || !strings.Contains(err.Error(), "not in the model's vocabulary") {
				t.Errorf("a token beyond the vocabulary: %v", err)
			}
			if _, err := m.Embed(context.Background(), nil); err == nil {
				t.Error("no tokens were embedded")
			}
			if v, err := m.EmbedText(context.Background(), strings.Repeat("a ", 1000)); err != nil || len(v) != 12 {
				t.Errorf("a long text: %d numbers, %v", len(v), err)
			}
			cancelled, cancel := context.WithCancel(context.Background())
			cancel()
			if _, err := m.Embed(cancelled, []int32{1, 2}); err == nil {
				t.Error("a cancelled embedding was computed")
			}
			m.Close()
			if _, err := m.Embed(context.Background(), []int32{1, 2}); err == nil {
				t.Error("a closed model embedded")
			}
		}
	}
	f := syntheticBert(1)
	f.Set("bert.pooling_type", uint32(3))
	b := f.Bytes()
	if _, err := Load(bytes.NewReader(b), int64(len(b)), Options{}); err == nil || !strings.Contains(err.Error(), "pooled in a way") {
		t.Errorf("another pooling: %v", err)
	}
}

// syntheticBert has 2 layers, 3 heads of 4, 20 in the feed forward, 12 tokens.
// A text that is longer than memory to compute with allows is cut there, and what is taken is no more than that.
func TestEmbedLong(t *testing.T) {
	f := syntheticBert(1)
	const context, limit = 16384, 1 << 20
	f.Set("bert.context_length", uint32(context))
	f.Remove("position_embd.weight")
	f.Add("position_embd.weight", gguf.F32, nil, 12, context)
	b := f.Bytes()
	m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Threads: 2, SessionLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	most := m.LongestText()
	if most <= encoderBatch || most >= context/2 {
		t.Fatalf("%d tokens fit in %d bytes", most, limit)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	long, err := m.EmbedText(t.Context(), strings.Repeat("a b c ", context))
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > limit || took < limit/4 {
		t.Errorf("%d bytes were taken within %d", took, limit)
	}
	ids := m.embeddingTokens(strings.Repeat("a b c ", context))
	if len(ids) != most || ids[0] != 1 || ids[most-1] != 2 {
		t.Errorf("%d tokens, %d ... %d", len(ids), ids[0], ids[most-1])
	}
	if same, err := m.Embed(t.Context(), ids); err != nil || !slices.Equal(same, long) {
		t.Errorf("not the embedding of the first %d tokens: %v", most, err)
	}
	if _, err := m.Embed(t.Context(), make([]int32, most+1)); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("more than fit: %v", err)
	}
	runtime.KeepAlive(long)
	m.options.SessionLimit = 0
	if n := m.LongestText(); n != context {
		t.Errorf("with enough memory there are %d of %d tokens", n, context)
	}
}

func syntheticBert(pooling uint32) *llmtest.File {
	f := llmtest.New()
	f.Set("general.architecture", "bert")
	for k, v := range map[string]uint32{"context_length": 16, "embedding_length": 12, "feed_forward_length": 20, "block_count": 2, "attention.head_count": 3, "pooling_type": pooling} {
		f.Set("bert."+k, v)
	}
	f.Set("bert.attention.layer_norm_epsilon", float32(1e-12))
	f.Set("tokenizer.ggml.model", "bert")
	f.Set("tokenizer.ggml.tokens", []string{"[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "▁a", "▁b", "▁c", "d", "e", "f", "g"})
	f.Set("tokenizer.ggml.token_type", []int32{3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1})
	f.Set("tokenizer.ggml.unknown_token_id", uint32(3))
	f.Set("tokenizer.ggml.cls_token_id", uint32(1))
	f.Set("tokenizer.ggml.bos_token_id", uint32(1))
	f.Set("tokenizer.ggml.seperator_token_id", uint32(2))
	f.Set("tokenizer.ggml.eos_token_id", uint32(2))
	r := rand.New(rand.NewPCG(3, uint64(pooling)))
	add := func(name string, middle, spread float64, dims ...uint64) {
		n := uint64(1)
		for _, d := range dims {
			n *= d
		}
		var b []byte
		for range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(middle+spread*r.NormFloat64())))
		}
		f.Add(name, gguf.F32, b, dims...)
	}
	add("token_embd.weight", 0, 1, 12, 12)
	add("position_embd.weight", 0, 0.3, 12, 16)
	add("token_types.weight", 0, 0.3, 12, 2)
	add("token_embd_norm.weight", 1, 0.1, 12)
	add("token_embd_norm.bias", 0, 0.1, 12)
	for i := range 2 {
		p := fmt.Sprintf("blk.%d.", i)
		for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
			add(p+name+".weight", 0, 0.4, 12, 12)
			add(p+name+".bias", 0, 0.1, 12)
		}
		add(p+"ffn_up.weight", 0, 0.4, 12, 20)
		add(p+"ffn_up.bias", 0, 0.1, 20)
		add(p+"ffn_down.weight", 0, 0.4, 20, 12)
		add(p+"ffn_down.bias", 0, 0.1, 12)
		for _, name := range []string{"attn_output_norm", "layer_output_norm"} {
			add(p+name+".weight", 1, 0.1, 12)
			add(p+name+".bias", 0, 0.1, 12)
		}
	}
	return f
}

func naiveBert(f *llmtest.File, ids []int32, first bool) []float64 {
	get := func(name string) []float64 {
		t := f.Tensor(name)
		y := make([]float64, len(t.Data)/4)
		for i := range y {
			y[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
		return y
	}
	linear := func(name string, x []float64) []float64 {
		w, y := get(name+".weight"), get(name+".bias")
		for i := range y {
			for j, v := range x {
				y[i] += w[i*len(x)+j] * v
			}
		}
		return y
	}
	norm := func(name string, x []float64) []float64 {
		var mean, variance float64
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x))
		}
		y, w, b := make([]float64, len(x)), get(name+".weight"), get(name+".bias")
		for i, v := range x {
			y[i] = (v-mean)/math.Sqrt(variance+1e-12)*w[i] + b[i]
		}
		return y
	}
	plus := func(x ...[]float64) []float64 {
		y := make([]float64, 12)
		for _, v := range x {
			for i := range y {
				y[i] += v[i]
			}
		}
		return y
	}
	var xs [][]float64
	for t, id := range ids {
		xs = append(xs, norm("token_embd_norm", plus(get("token_embd.weight")[12*id:], get("position_embd.weight")[12*t:], get("token_types.weight"))))
	}
	for l := range 2 {
		p := fmt.Sprintf("blk.%d.", l)
		var next [][]float64
		for _, x := range xs {
			q, out := linear(p+"attn_q", x), make([]float64, 12)
			for h := range 3 {
				var sum float64
				at := make([]float64, 4)
				for _, other := range xs {
					k, v := linear(p+"attn_k", other), linear(p+"attn_v", other)
					var score float64
					for i := range 4 {
						score += q[4*h+i] * k[4*h+i]
					}
					weight := math.Exp(score / 2)
					sum += weight
					for i := range at {
						at[i] += weight * v[4*h+i]
					}
				}
				for i := range at {
					out[4*h+i] = at[i] / sum
				}
			}
			y := norm(p+"attn_output_norm", plus(x, linear(p+"attn_output", out)))
			up := linear(p+"ffn_up", y)
			for i, v := range up {
				up[i] = v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
			}
			next = append(next, norm(p+"layer_output_norm", plus(y, linear(p+"ffn_down", up))))
		}
		xs = next
	}
	y := make([]float64, 12)
	if first {
		y = xs[0]
	} else {
		for _, x := range xs {
			y = plus(y, x)
		}
	}
	var length float64
	for _, v := range y {
		length += v * v
	}
	for i := range y {
		y[i] /= math.Sqrt(length)
	}
	return y
}
