package llm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Small llama models made up for tests: a GGUF file in memory, and the same
// model computed naively in float64.

type shape struct {
	embedding, feedForward, layers, heads, kvHeads, head, vocabulary, context int

	types  []gguf.Type // of matrices, used in turn
	tied   bool
	ropes  bool    // with rope_freqs
	factor float32 // of linear rope scaling, if not 0

	arch          string       // "": llama
	halves        bool         // rope turns number i with i+head/2
	biases, norms bool         // of queries, keys and values; of each head's queries and keys
	allBiases     bool         // of every matrix of a layer
	perLayer      []layerShape // instead of heads, kvHeads and feedForward, if not nil
}

// at is the shape of layer i.
func (s *shape) at(i int) layerShape {
	if s.perLayer != nil {
		return s.perLayer[i]
	}
	return layerShape{s.heads, s.kvHeads, s.feedForward}
}

var smallShape = shape{embedding: 40, feedForward: 52, layers: 2, heads: 4, kvHeads: 2, head: 10, vocabulary: 270, context: 64, types: []gguf.Type{gguf.F32}}

func quantizedShape(types ...gguf.Type) shape {
	return shape{embedding: 256, feedForward: 512, layers: 2, heads: 4, kvHeads: 2, head: 64, vocabulary: 270, context: 64, types: types, tied: true, ropes: true}
}

// unevenShape is of layers that differ, with all biases.
func unevenShape() shape {
	s := quantizedShape(gguf.Q8_0)
	s.layers, s.perLayer, s.allBiases = 3, []layerShape{{4, 2, 512}, {6, 1, 256}, {2, 2, 768}}, true
	return s
}

// A fileBuilder collects metadata and tensors; edits by tests may spoil them.
type fileBuilder struct {
	keys    []keyValue
	tensors []tensorData
}

type keyValue struct {
	key   string
	value any
}

type tensorData struct {
	name string
	t    gguf.Type
	dims []uint64
	data []byte
}

func (f *fileBuilder) set(key string, value any) {
	for i := range f.keys {
		if f.keys[i].key == key {
			f.keys[i].value = value
			return
		}
	}
	f.keys = append(f.keys, keyValue{key, value})
}

func (f *fileBuilder) tensor(name string) *tensorData {
	for i := range f.tensors {
		if f.tensors[i].name == name {
			return &f.tensors[i]
		}
	}
	return nil
}

func (f *fileBuilder) remove(name string) {
	for i := range f.tensors {
		if f.tensors[i].name == name {
			f.tensors = append(f.tensors[:i:i], f.tensors[i+1:]...)
			return
		}
	}
}

func (f *fileBuilder) bytes() []byte {
	le := binary.LittleEndian
	str := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := le.AppendUint32([]byte("GGUF"), 3)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(f.tensors))), uint64(len(f.keys)))
	for _, kv := range f.keys {
		b = str(b, kv.key)
		switch v := kv.value.(type) {
		case uint32:
			b = le.AppendUint32(le.AppendUint32(b, 4), v)
		case float32:
			b = le.AppendUint32(le.AppendUint32(b, 6), math.Float32bits(v))
		case string:
			b = str(le.AppendUint32(b, 8), v)
		case []string:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 8), uint64(len(v)))
			for _, s := range v {
				b = str(b, s)
			}
		case []float32:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 6), uint64(len(v)))
			for _, x := range v {
				b = le.AppendUint32(b, math.Float32bits(x))
			}
		case []int32:
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, 9), 5), uint64(len(v)))
			for _, x := range v {
				b = le.AppendUint32(b, uint32(x))
			}
		default:
			panic(fmt.Sprintf("cannot write a %T", v))
		}
	}
	offset := 0
	for _, t := range f.tensors {
		b = le.AppendUint32(str(b, t.name), uint32(len(t.dims)))
		for _, d := range t.dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint64(le.AppendUint32(b, uint32(t.t)), uint64(offset))
		offset = (offset + len(t.data) + 31) &^ 31
	}
	for _, t := range f.tensors {
		for len(b)%32 != 0 {
			b = append(b, 0)
		}
		b = append(b, t.data...)
	}
	return b
}

// synthetic makes a model of random weights.
func synthetic(s shape) *fileBuilder {
	f := &fileBuilder{}
	arch := s.arch
	if arch == "" {
		arch = "llama"
	}
	f.set("general.architecture", arch)
	f.set("general.name", "synthetic")
	for k, v := range map[string]int{
		"context_length": s.context, "embedding_length": s.embedding, "feed_forward_length": s.feedForward, "block_count": s.layers,
		"attention.head_count": s.heads, "attention.head_count_kv": s.kvHeads, "attention.key_length": s.head, "attention.value_length": s.head,
		"rope.dimension_count": s.head,
	} {
		f.set(arch+"."+k, uint32(v))
	}
	if s.perLayer != nil {
		var heads, kvHeads, feedForward []int32
		for _, l := range s.perLayer {
			heads, kvHeads, feedForward = append(heads, int32(l.heads)), append(kvHeads, int32(l.kvHeads)), append(feedForward, int32(l.feedForward))
		}
		f.set(arch+".attention.head_count", heads)
		f.set(arch+".attention.head_count_kv", kvHeads)
		f.set(arch+".feed_forward_length", feedForward)
	}
	f.set(arch+".attention.layer_norm_rms_epsilon", float32(1e-5))
	if s.factor != 0 {
		f.set(arch+".rope.scaling.type", "linear")
		f.set(arch+".rope.scaling.factor", s.factor)
	}
	tokens, kinds := []string{"<unk>", "<s>", "</s>"}, []int32{2, 3, 3}
	for i := range 256 {
		tokens, kinds = append(tokens, fmt.Sprintf("<0x%02X>", i)), append(kinds, 6)
	}
	for len(tokens) < s.vocabulary {
		tokens, kinds = append(tokens, string(rune('a'+len(tokens)-259))), append(kinds, 1)
	}
	f.set("tokenizer.ggml.model", "llama")
	f.set("tokenizer.ggml.tokens", tokens)
	f.set("tokenizer.ggml.scores", make([]float32, len(tokens)))
	f.set("tokenizer.ggml.token_type", kinds)
	f.set("tokenizer.ggml.bos_token_id", uint32(1))
	f.set("tokenizer.ggml.eos_token_id", uint32(2))

	r := rand.New(rand.NewPCG(7, uint64(s.embedding)))
	next := 0
	matrix := func(name string, rows, cols int) {
		t := s.types[next%len(s.types)]
		next++
		f.tensors = append(f.tensors, tensorData{name, t, []uint64{uint64(cols), uint64(rows)}, randomMatrix(r, t, rows, cols)})
	}
	vector := func(name string, n int, at func(i int) float64) {
		var b []byte
		for i := range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(at(i))))
		}
		f.tensors = append(f.tensors, tensorData{name, gguf.F32, []uint64{uint64(n)}, b})
	}
	norm := func(int) float64 { return 1 + r.NormFloat64()/10 }
	matrix("token_embd.weight", s.vocabulary, s.embedding)
	vector("output_norm.weight", s.embedding, norm)
	if !s.tied {
		matrix("output.weight", s.vocabulary, s.embedding)
	}
	if s.ropes {
		vector("rope_freqs.weight", s.head/2, func(i int) float64 { return 1 + float64(i%4) })
	}
	for i := range s.layers {
		p, l := fmt.Sprintf("blk.%d.", i), s.at(i)
		vector(p+"attn_norm.weight", s.embedding, norm)
		matrix(p+"attn_q.weight", l.heads*s.head, s.embedding)
		matrix(p+"attn_k.weight", l.kvHeads*s.head, s.embedding)
		matrix(p+"attn_v.weight", l.kvHeads*s.head, s.embedding)
		matrix(p+"attn_output.weight", s.embedding, l.heads*s.head)
		bias := func(int) float64 { return r.NormFloat64() / 5 }
		if s.biases || s.allBiases {
			vector(p+"attn_q.bias", l.heads*s.head, bias)
			vector(p+"attn_k.bias", l.kvHeads*s.head, bias)
			vector(p+"attn_v.bias", l.kvHeads*s.head, bias)
		}
		if s.allBiases {
			vector(p+"attn_output.bias", s.embedding, bias)
			vector(p+"ffn_gate.bias", l.feedForward, bias)
			vector(p+"ffn_up.bias", l.feedForward, bias)
			vector(p+"ffn_down.bias", s.embedding, bias)
		}
		if s.norms {
			vector(p+"attn_q_norm.weight", s.head, norm)
			vector(p+"attn_k_norm.weight", s.head, norm)
		}
		vector(p+"ffn_norm.weight", s.embedding, norm)
		matrix(p+"ffn_gate.weight", l.feedForward, s.embedding)
		matrix(p+"ffn_up.weight", l.feedForward, s.embedding)
		matrix(p+"ffn_down.weight", s.embedding, l.feedForward)
	}
	return f
}

// randomMatrix has elements of about 1/sqrt(cols), in whatever bits the type
// needs.
func randomMatrix(r *rand.Rand, t gguf.Type, rows, cols int) []byte {
	b := make([]byte, rows*cols/t.BlockSize()*t.BlockBytes())
	unit := 1 / math.Sqrt(float64(cols))
	half := func(at int, f float64) { // positive
		bits := uint16(f * (1 << 24)) // subnormal
		if f >= 1.0/(1<<14) {
			_, e := math.Frexp(f)
			bits = uint16(e-1+15)<<10 | uint16((math.Ldexp(f, 1-e)-1)*1024)
		}
		binary.LittleEndian.PutUint16(b[at:], bits)
	}
	switch t {
	case gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q6_K:
	default:
		x := make([]float32, rows*cols)
		for i := range x {
			x[i] = float32(r.NormFloat64() * unit)
		}
		kernel.Quantize(t, b, x)
		return b
	}
	for at := 0; at < len(b); at += t.BlockBytes() {
		block := b[at : at+t.BlockBytes()]
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		switch t {
		case gguf.F32:
			binary.LittleEndian.PutUint32(block, math.Float32bits(float32(r.NormFloat64()*unit)))
		case gguf.F16:
			half(at, (math.Abs(r.NormFloat64())+0.01)*unit)
			block[1] |= byte(r.Uint32()) & 0x80
		case gguf.Q8_0:
			half(at, unit/70)
		case gguf.Q4_0:
			half(at, unit/4.5)
		case gguf.Q4_K:
			half(at, unit/150)
			half(at+2, unit/20)
		case gguf.Q6_K:
			half(at+208, unit/1300)
		}
	}
	return b
}

// naive computes the logits after ids in float64, one token and one number at
// a time, with no cache of positions and no quantized activations.
func (f *fileBuilder) naive(s shape, ids []int32) []float64 {
	get := func(name string) []float64 {
		t := f.tensor(name)
		if t == nil {
			return nil
		}
		n := 1
		for _, d := range t.dims {
			n *= int(d)
		}
		x := make([]float32, n)
		kernel.Dequantize(t.t, x, t.data)
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
	turn := func(x []float64, position int) {
		for h := 0; h < len(x); h += s.head {
			for i := 0; i < s.head; i += 2 {
				a := float64(position) * math.Pow(10000, -float64(i)/float64(s.head))
				if freqs != nil {
					a /= freqs[i/2]
				}
				if s.factor != 0 {
					a /= float64(s.factor)
				}
				first, second := h+i, h+i+1
				if s.halves {
					first, second = h+i/2, h+i/2+s.head/2
				}
				p, q := x[first], x[second]
				x[first], x[second] = p*math.Cos(a)-q*math.Sin(a), p*math.Sin(a)+q*math.Cos(a)
			}
		}
	}
	embedding := get("token_embd.weight")
	xs := make([][]float64, len(ids))
	for t, id := range ids {
		xs[t] = append([]float64(nil), embedding[int(id)*s.embedding:(int(id)+1)*s.embedding]...)
	}
	for l := range s.layers {
		w := func(part string) []float64 { return get(fmt.Sprintf("blk.%d.%s.weight", l, part)) }
		product := func(part string, x []float64) []float64 {
			y := times(w(part), x)
			for i, b := range get(fmt.Sprintf("blk.%d.%s.bias", l, part)) {
				y[i] += b
			}
			return y
		}
		heads, kvHeads := s.at(l).heads, s.at(l).kvHeads
		var ks, vs [][]float64
		for t := range xs {
			h := norm(xs[t], w("attn_norm"))
			q, k, v := product("attn_q", h), product("attn_k", h), product("attn_v", h)
			for name, x := range map[string][]float64{"attn_q": q, "attn_k": k} {
				if g := w(name + "_norm"); g != nil {
					for at := 0; at < len(x); at += s.head {
						copy(x[at:], norm(x[at:at+s.head], g))
					}
				}
			}
			turn(q, t)
			turn(k, t)
			ks, vs = append(ks, k), append(vs, v)
			out := make([]float64, len(q))
			for head := range heads {
				at, kvAt := head*s.head, head*kvHeads/heads*s.head
				weights, sum := make([]float64, t+1), 0.0
				for p := range weights {
					for i := range s.head {
						weights[p] += q[at+i] * ks[p][kvAt+i] / math.Sqrt(float64(s.head))
					}
					weights[p] = math.Exp(weights[p])
					sum += weights[p]
				}
				for p := range weights {
					for i := range s.head {
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

// reads counts and checks what Load asks of a medium.
type reads struct {
	*bytes.Reader
	mu     sync.Mutex
	sizes  []int
	failAt int64 // reads that reach this far fail, if not 0
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	r.sizes = append(r.sizes, len(p))
	r.mu.Unlock()
	if r.failAt != 0 && off+int64(len(p)) > r.failAt {
		return 0, errors.New("the drive was removed")
	}
	return r.Reader.ReadAt(p, off)
}
