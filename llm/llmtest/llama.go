package llmtest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/synth"
)

// Shape describes a model to make up.
type Shape struct {
	Embedding, FeedForward, Layers, Heads, KVHeads, Head, Vocabulary, Context int

	Types  []gguf.Type // of matrices, used in turn
	Tied   bool        // the embedding is the output matrix too
	Ropes  bool        // with rope_freqs
	Factor float32     // of linear RoPE scaling, if not 0

	Arch          string          // "": llama
	Name          string          // "": synthetic
	Halves        bool            // RoPE rotates number i with i+head/2, not with its neighbour
	Biases, Norms bool            // of queries, keys and values; of each head's queries and keys
	AllBiases     bool            // of every matrix of a layer
	PerLayer      []Layer         // instead of Heads, KVHeads and FeedForward, if not nil
	Words         []gguf.KeyValue // the vocabulary's metadata, as of SPM; nil: bytes and some characters
}

// Layer is the heads, KV heads and feed-forward length of one layer.
type Layer [3]int

func (s *Shape) at(layer int) (heads, kvHeads, feedForward int) {
	if s.PerLayer != nil {
		l := s.PerLayer[layer]
		return l[0], l[1], l[2]
	}
	return s.Heads, s.KVHeads, s.FeedForward
}

// Small is a shape of odd sizes, all in F32.
var Small = Shape{Embedding: 40, FeedForward: 52, Layers: 2, Heads: 4, KVHeads: 2, Head: 10, Vocabulary: 270, Context: 64, Types: []gguf.Type{gguf.F32}}

// Quantized is a small shape with matrices of types that hold 256 weights a block.
func Quantized(types ...gguf.Type) Shape {
	return Shape{Embedding: 256, FeedForward: 512, Layers: 2, Heads: 4, KVHeads: 2, Head: 64, Vocabulary: 270, Context: 64, Types: types, Tied: true, Ropes: true}
}

// Uneven is of layers that differ, with all biases.
func Uneven() Shape {
	s := Quantized(gguf.Q8_0)
	s.Layers, s.PerLayer, s.AllBiases = 3, []Layer{{4, 2, 512}, {6, 1, 256}, {2, 2, 768}}, true
	return s
}

// Llama makes a llama model, or one of its kin, of random weights. The same shape
// gives the same file.
func Llama(s Shape) *File {
	f := &File{}
	arch := cmp.Or(s.Arch, "llama")
	f.Set("general.architecture", arch)
	f.Set("general.name", cmp.Or(s.Name, "synthetic"))
	for _, count := range []struct {
		key   string
		value int
	}{
		{"context_length", s.Context}, {"embedding_length", s.Embedding}, {"feed_forward_length", s.FeedForward}, {"block_count", s.Layers},
		{"attention.head_count", s.Heads}, {"attention.head_count_kv", s.KVHeads}, {"attention.key_length", s.Head}, {"attention.value_length", s.Head},
		{"rope.dimension_count", s.Head},
	} {
		f.Set(arch+"."+count.key, uint32(count.value))
	}
	if s.PerLayer != nil {
		for i, key := range []string{"attention.head_count", "attention.head_count_kv", "feed_forward_length"} {
			var counts []int32
			for _, l := range s.PerLayer {
				counts = append(counts, int32(l[i]))
			}
			f.Set(arch+"."+key, counts)
		}
	}
	f.Set(arch+".attention.layer_norm_rms_epsilon", float32(1e-5))
	if s.Factor != 0 {
		f.Set(arch+".rope.scaling.type", "linear")
		f.Set(arch+".rope.scaling.factor", s.Factor)
	}
	if s.Words == nil {
		s.Words = characters(s.Vocabulary)
	}
	f.Keys = append(f.Keys, s.Words...)

	source := rand.NewPCG(6, uint64(s.Embedding))
	r := rand.New(source)
	next := 0
	matrix := func(name string, rows, cols int) {
		t := s.Types[next%len(s.Types)]
		next++
		data := make([]byte, rows*cols/t.BlockSize()*t.BlockBytes())
		synth.Fill(data, t, 1/math.Sqrt(float64(cols)), source)
		f.Add(name, t, data, uint64(cols), uint64(rows))
	}
	vector := func(name string, n int, at func(i int) float64) {
		var b []byte
		for i := range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(at(i))))
		}
		f.Add(name, gguf.F32, b, uint64(n))
	}
	norm := func(int) float64 { return 1 + r.NormFloat64()/10 }
	matrix("token_embd.weight", s.Vocabulary, s.Embedding)
	vector("output_norm.weight", s.Embedding, norm)
	if !s.Tied {
		matrix("output.weight", s.Vocabulary, s.Embedding)
	}
	if s.Ropes {
		vector("rope_freqs.weight", s.Head/2, func(i int) float64 { return 1 + float64(i%4) })
	}
	for i := range s.Layers {
		p := fmt.Sprintf("blk.%d.", i)
		heads, kvHeads, feedForward := s.at(i)
		vector(p+"attn_norm.weight", s.Embedding, norm)
		matrix(p+"attn_q.weight", heads*s.Head, s.Embedding)
		matrix(p+"attn_k.weight", kvHeads*s.Head, s.Embedding)
		matrix(p+"attn_v.weight", kvHeads*s.Head, s.Embedding)
		matrix(p+"attn_output.weight", s.Embedding, heads*s.Head)
		bias := func(int) float64 { return r.NormFloat64() / 5 }
		if s.Biases || s.AllBiases {
			vector(p+"attn_q.bias", heads*s.Head, bias)
			vector(p+"attn_k.bias", kvHeads*s.Head, bias)
			vector(p+"attn_v.bias", kvHeads*s.Head, bias)
		}
		if s.AllBiases {
			vector(p+"attn_output.bias", s.Embedding, bias)
			vector(p+"ffn_gate.bias", feedForward, bias)
			vector(p+"ffn_up.bias", feedForward, bias)
			vector(p+"ffn_down.bias", s.Embedding, bias)
		}
		if s.Norms {
			vector(p+"attn_q_norm.weight", s.Head, norm)
			vector(p+"attn_k_norm.weight", s.Head, norm)
		}
		vector(p+"ffn_norm.weight", s.Embedding, norm)
		matrix(p+"ffn_gate.weight", feedForward, s.Embedding)
		matrix(p+"ffn_up.weight", feedForward, s.Embedding)
		matrix(p+"ffn_down.weight", s.Embedding, feedForward)
	}
	return f
}

// Naive computes the logits after ids in float64, one token and one number at
// a time, with no cache of positions and no quantized activations.
func (f *File) Naive(s Shape, ids []int32) []float64 {
	get := func(name string) []float64 {
		t := f.Tensor(name)
		if t == nil {
			return nil
		}
		n := 1
		for _, d := range t.Dims {
			n *= int(d)
		}
		x := make([]float32, n)
		kernel.Dequantize(t.Type, x, t.Data)
		y := make([]float64, n)
		for i, v := range x {
			y[i] = float64(v)
		}
		return y
	}
	times := func(w, x []float64) []float64 {
		y := make([]float64, len(w)/len(x))
		for i := range y {
			for j, v := range x {
				y[i] += w[i*len(x)+j] * v
			}
		}
		return y
	}
	norm := func(x, w []float64) []float64 {
		var sum float64
		for _, v := range x {
			sum += v * v
		}
		y := make([]float64, len(x))
		for i, v := range x {
			y[i] = v / math.Sqrt(sum/float64(len(x))+1e-5) * w[i]
		}
		return y
	}
	freqs := get("rope_freqs.weight")
	rotate := func(x []float64, position int) {
		for h := 0; h < len(x); h += s.Head {
			for i := 0; i < s.Head; i += 2 {
				a := float64(position) * math.Pow(10000, -float64(i)/float64(s.Head))
				if freqs != nil {
					a /= freqs[i/2]
				}
				if s.Factor != 0 {
					a /= float64(s.Factor)
				}
				first, second := h+i, h+i+1
				if s.Halves {
					first, second = h+i/2, h+i/2+s.Head/2
				}
				p, q := x[first], x[second]
				x[first], x[second] = p*math.Cos(a)-q*math.Sin(a), p*math.Sin(a)+q*math.Cos(a)
			}
		}
	}
	embedding := get("token_embd.weight")
	xs := make([][]float64, len(ids))
	for t, id := range ids {
		xs[t] = append([]float64(nil), embedding[int(id)*s.Embedding:(int(id)+1)*s.Embedding]...)
	}
	for l := range s.Layers {
		w := func(part string) []float64 { return get(fmt.Sprintf("blk.%d.%s.weight", l, part)) }
		product := func(part string, x []float64) []float64 {
			y := times(w(part), x)
			for i, b := range get(fmt.Sprintf("blk.%d.%s.bias", l, part)) {
				y[i] += b
			}
			return y
		}
		heads, kvHeads, _ := s.at(l)
		var ks, vs [][]float64
		for t := range xs {
			h := norm(xs[t], w("attn_norm"))
			q, k, v := product("attn_q", h), product("attn_k", h), product("attn_v", h)
			for name, x := range map[string][]float64{"attn_q": q, "attn_k": k} {
				if g := w(name + "_norm"); g != nil {
					for at := 0; at < len(x); at += s.Head {
						copy(x[at:], norm(x[at:at+s.Head], g))
					}
				}
			}
			rotate(q, t)
			rotate(k, t)
			ks, vs = append(ks, k), append(vs, v)
			out := make([]float64, len(q))
			for head := range heads {
				at, kvAt := head*s.Head, head*kvHeads/heads*s.Head
				weights, sum := make([]float64, t+1), 0.0
				for p := range weights {
					for i := range s.Head {
						weights[p] += q[at+i] * ks[p][kvAt+i] / math.Sqrt(float64(s.Head))
					}
					weights[p] = math.Exp(weights[p])
					sum += weights[p]
				}
				for p := range weights {
					for i := range s.Head {
						out[at+i] += weights[p] / sum * vs[p][kvAt+i]
					}
				}
			}
			for i, v := range product("attn_output", out) {
				xs[t][i] += v
			}
			h = norm(xs[t], w("ffn_norm"))
			gate, up := product("ffn_gate", h), product("ffn_up", h)
			for i, v := range gate {
				gate[i] = v / (1 + math.Exp(-v)) * up[i]
			}
			for i, v := range product("ffn_down", gate) {
				xs[t][i] += v
			}
		}
	}
	output := get("output.weight")
	if output == nil {
		output = embedding
	}
	return times(output, norm(xs[len(xs)-1], get("output_norm.weight")))
}
