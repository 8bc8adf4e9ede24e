// Package synth makes models of random weights: in the shapes of
// well-known ones, with the mixtures of types that llama-quantize makes of them,
// so that speed can be measured without a download. Such a file is a complete
// model (it loads, tokenizes and computes; what it says is noise), and the same
// arguments give the same bytes.
package synth

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

var le = binary.LittleEndian

// Shape is what decides a model's speed.
type Shape struct {
	Name                                      string
	embedding, feedForward, layers            int
	heads, kvHeads, head, vocabulary, context int
	tied                                      bool // the embedding is the output matrix too
	base                                      float32
	ropes                                     bool // with rope_freqs.weight, as Llama 3 has
	family                                         // of other architectures
}

// Shapes are those of well-known models, and smaller ones.
var Shapes = slices.Concat(llamas, families)

var llamas = []Shape{
	{Name: "llama-3.2-1b", embedding: 2048, feedForward: 8192, layers: 16, heads: 32, kvHeads: 8, head: 64, vocabulary: 128256, context: 131072, tied: true, base: 500000, ropes: true},
	{Name: "llama-3.2-1b-layer", embedding: 2048, feedForward: 8192, layers: 1, heads: 32, kvHeads: 8, head: 64, vocabulary: 512, context: 512, tied: true, base: 500000, ropes: true}, // one of its layers
	{Name: "llama-3.2-3b", embedding: 3072, feedForward: 8192, layers: 28, heads: 24, kvHeads: 8, head: 128, vocabulary: 128256, context: 131072, tied: true, base: 500000, ropes: true},
	{Name: "llama-3.1-8b", embedding: 4096, feedForward: 14336, layers: 32, heads: 32, kvHeads: 8, head: 128, vocabulary: 128256, context: 131072, tied: false, base: 500000, ropes: true},
	{Name: "llama-2-7b", embedding: 4096, feedForward: 11008, layers: 32, heads: 32, kvHeads: 32, head: 128, vocabulary: 32000, context: 4096, tied: false, base: 10000, ropes: false},
	{Name: "tinyllama-1.1b", embedding: 2048, feedForward: 5632, layers: 22, heads: 32, kvHeads: 4, head: 64, vocabulary: 32000, context: 2048, tied: false, base: 10000, ropes: false},
	{Name: "smollm2-135m", embedding: 576, feedForward: 1536, layers: 30, heads: 9, kvHeads: 3, head: 64, vocabulary: 49152, context: 8192, tied: true, base: 100000, ropes: false},
	{Name: "smollm2-360m", embedding: 960, feedForward: 2560, layers: 32, heads: 15, kvHeads: 5, head: 64, vocabulary: 49152, context: 8192, tied: true, base: 100000, ropes: false},
	{Name: "tiny", embedding: 256, feedForward: 512, layers: 2, heads: 4, kvHeads: 2, head: 64, vocabulary: 512, context: 512, tied: true, base: 10000, ropes: false},
}

// A Mixture is what llama-quantize makes of a model: a type for most matrices,
// one for those where more bits help most, and one for the output.
type Mixture struct {
	Name               string
	fileType           uint32
	base, more, output gguf.Type
}

// Mixtures are those that can be made.
var Mixtures = []Mixture{
	{"F32", 0, gguf.F32, gguf.F32, gguf.F32},
	{"F16", 1, gguf.F16, gguf.F16, gguf.F16},
	{"Q8_0", 7, gguf.Q8_0, gguf.Q8_0, gguf.Q8_0},
	{"Q4_0", 2, gguf.Q4_0, gguf.Q4_0, gguf.Q6_K},
	{"Q4_K_S", 14, gguf.Q4_K, gguf.Q4_K, gguf.Q6_K},
	{"Q4_K_M", 15, gguf.Q4_K, gguf.Q6_K, gguf.Q6_K},
	{"Q6_K", 18, gguf.Q6_K, gguf.Q6_K, gguf.Q6_K},
}

// Write writes the model to w.
func Write(w io.Writer, s Shape, m Mixture, seed uint64) error {
	tensors := s.tensors(m)
	head, err := gguf.Head(s.metadata(m), tensors)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	source := rand.NewPCG(seed, uint64(s.embedding))
	for _, t := range tensors {
		if err := s.writeTensor(w, t, source); err != nil {
			return err
		}
	}
	return nil
}

// tensors lists what the model consists of.
func (s Shape) tensors(m Mixture) []gguf.Tensor {
	var list []gguf.Tensor
	vector := func(name string, n int) {
		list = append(list, gguf.Tensor{Name: name, Type: gguf.F32, Dims: []uint64{uint64(n)}})
	}
	matrix := func(name string, t gguf.Type, rows, cols int) {
		if cols%t.BlockSize() != 0 {
			t = gguf.Q8_0 // blocks of 256 do not fit the rows
		}
		if cols%t.BlockSize() != 0 {
			t = gguf.F16
		}
		list = append(list, gguf.Tensor{Name: name, Type: t, Dims: []uint64{uint64(cols), uint64(rows)}})
	}
	if s.tied {
		matrix("token_embd.weight", m.output, s.vocabulary, s.embedding)
	} else {
		matrix("token_embd.weight", m.base, s.vocabulary, s.embedding)
		matrix("output.weight", m.output, s.vocabulary, s.embedding)
	}
	vector("output_norm.weight", s.embedding)
	if s.ropes {
		vector("rope_freqs.weight", s.head/2)
	}
	stack := func(name string, t gguf.Type, rows, cols, n int) {
		matrix(name, t, rows, cols)
		if last := &list[len(list)-1]; n > 0 {
			last.Dims = append(last.Dims, uint64(n))
		}
	}
	s.ownTensors(vector, matrix, m)
	for i := range s.layers {
		// llama-quantize gives more bits to the first and last eighth of the
		// layers and to every third between.
		more, eighth := m.base, s.layers/8
		if i < eighth || i >= 7*s.layers/8 || (i-eighth)%3 == 2 {
			more = m.more
		}
		if s.arch != "" {
			s.layer(i, vector, matrix, stack, m.base, more)
			continue
		}
		p := fmt.Sprintf("blk.%d.", i)
		vector(p+"attn_norm.weight", s.embedding)
		matrix(p+"attn_q.weight", m.base, s.heads*s.head, s.embedding)
		matrix(p+"attn_k.weight", m.base, s.kvHeads*s.head, s.embedding)
		matrix(p+"attn_v.weight", more, s.kvHeads*s.head, s.embedding)
		matrix(p+"attn_output.weight", m.base, s.embedding, s.heads*s.head)
		vector(p+"ffn_norm.weight", s.embedding)
		matrix(p+"ffn_gate.weight", m.base, s.feedForward, s.embedding)
		matrix(p+"ffn_up.weight", m.base, s.feedForward, s.embedding)
		matrix(p+"ffn_down.weight", more, s.embedding, s.feedForward)
	}
	if s.guesses {
		s.layer(s.layers, vector, matrix, stack, m.base, m.base)
		s.guessing(vector, matrix, m.base)
	}
	return list
}

// metadata is that of the whole model.
func (s Shape) metadata(m Mixture) []gguf.KeyValue {
	tokens, kinds, merges := vocabulary(s.vocabulary)
	var meta []gguf.KeyValue
	set := func(key string, value any) {
		if n, ok := value.(int); ok {
			value = uint32(n)
		}
		meta = append(meta, gguf.KeyValue{Key: key, Value: value})
	}
	arch := cmp.Or(s.arch, "llama")
	set("general.architecture", arch)
	set("general.name", "synthetic "+s.Name)
	set("general.file_type", m.fileType)
	set("general.quantization_version", 2)
	set(arch+".context_length", s.context)
	set(arch+".embedding_length", s.embedding)
	set(arch+".feed_forward_length", s.feedForward)
	set(arch+".block_count", s.blocks())
	set(arch+".attention.head_count", s.heads)
	set(arch+".attention.head_count_kv", s.kvHeads)
	set(arch+".attention.key_length", s.head)
	set(arch+".attention.value_length", s.head)
	set(arch+".attention.layer_norm_rms_epsilon", float32(1e-5))
	if s.arch != "qwen35" {
		set(arch+".rope.dimension_count", s.head)
	}
	set(arch+".rope.freq_base", s.base)
	set(arch+".vocab_size", s.vocabulary)
	s.familyMetadata(set)
	set("tokenizer.ggml.model", "gpt2")
	set("tokenizer.ggml.pre", "llama-bpe")
	set("tokenizer.ggml.tokens", tokens)
	set("tokenizer.ggml.token_type", kinds)
	set("tokenizer.ggml.merges", merges)
	set("tokenizer.ggml.bos_token_id", s.vocabulary-2)
	set("tokenizer.ggml.eos_token_id", s.vocabulary-1)
	return meta
}

// vocabulary is the 256 bytes as byte-level BPE writes them, tokens merged
// from two others until there are n-2, and a token each to begin and end a text.
func vocabulary(n int) (tokens []string, kinds []int32, merges []string) {
	next := rune(256)
	for b := rune(0); b < 256; b++ {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			tokens = append(tokens, string(b))
		} else {
			tokens = append(tokens, string(next))
			next++
		}
	}
	for i := 0; len(tokens) < n-2; i++ {
		a, b := tokens[i/256], tokens[i%256]
		if i >= 256*256 { // three bytes
			a = tokens[256+i/256-256]
		}
		tokens, merges = append(tokens, a+b), append(merges, a+" "+b)
	}
	tokens = append(tokens, "<|begin_of_text|>", "<|end_of_text|>")
	for range n - 2 {
		kinds = append(kinds, 1)
	}
	return tokens, append(kinds, 3, 3), merges
}

// writeTensor writes the tensor's data, padded as package gguf wants it.
func (s *Shape) writeTensor(w io.Writer, t gguf.Tensor, source *rand.PCG) error {
	block, unit := t.Type.BlockBytes(), 1/math.Sqrt(float64(t.Dims[0]))
	entry, router := s.experts > 0 && t.Name == "token_embd.weight", strings.HasSuffix(t.Name, "ffn_gate_inp.weight")
	if entry { // by whole rows
		block, unit = block*(s.embedding/t.Type.BlockSize()), tokenSize
	}
	if router {
		block = int(t.Bytes)
	}
	piece := make([]byte, max(1, (1<<20)/block)*block)
	for left := t.Bytes; left > 0; {
		n := int(min(left, int64(len(piece))))
		switch {
		case len(t.Dims) == 1 || strings.HasSuffix(t.Name, ".bias"):
			fillVector(piece[:n], source)
			fillSpecial(t, piece[:n])
		default:
			if Fill(piece[:n], t.Type, unit, source); s.experts > 0 && t.Type == gguf.Q4_0 {
				center(piece[:n])
			}
		}
		if entry {
			s.enter(t.Type, piece[:n])
		}
		if router {
			s.favour(t.Name, piece[:n])
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	_, err := w.Write(make([]byte, -t.Bytes&31))
	return err
}

// fillVector makes up norms and factors, which are about 1.
func fillVector(b []byte, source *rand.PCG) {
	random(b, source)
	for ; len(b) > 0; b = b[4:] {
		le.PutUint32(b, math.Float32bits(0.9+float32(le.Uint32(b))/(1<<31)/10))
	}
}

// center makes the mean of weights in Q4_0 0 instead of half a step: a mean adds up from layer to layer
// until all tokens look alike to a router.
func center(b []byte) {
	for ; len(b) > 0; b = b[18:] {
		for i, v := range b[2:18] {
			if v&0x0f == 0 {
				v |= 0x08
			}
			if v&0xf0 == 0 {
				v |= 0x80
			}
			b[2+i] = v
		}
	}
}

// fillSpecial makes a vector that is not about 1 of what fillVector made.
func fillSpecial(t gguf.Tensor, b []byte) {
	change := func(f func(i int, v float64) float64) {
		for i := range len(b) / 4 {
			v := float64(math.Float32frombits(le.Uint32(b[4*i:])))
			le.PutUint32(b[4*i:], math.Float32bits(float32(f(i, v))))
		}
	}
	switch {
	case strings.HasSuffix(t.Name, ".ssm_a"): // states fade
		change(func(_ int, v float64) float64 { return -v / 10 })
	case strings.HasSuffix(t.Name, ".bias"):
		change(func(_ int, v float64) float64 { return v - 1 })
	}
}

// Fill makes up blocks of a matrix of weights of about unit. With 1/sqrt(columns), what is computed
// neither grows nor vanishes from layer to layer.
func Fill(b []byte, t gguf.Type, unit float64, source *rand.PCG) {
	switch t {
	case gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q6_K, gguf.Q1_0, gguf.Q2_0, gguf.PQ2_0, gguf.PTQ1_0, gguf.TQ2_0, gguf.MXFP4:
		random(b, source)
	default: // no need for speed
		r := rand.New(source)
		x := make([]float32, len(b)/t.BlockBytes()*t.BlockSize())
		for i := range x {
			x[i] = float32(r.NormFloat64() * unit)
		}
		kernel.Quantize(t, b, x)
		return
	}
	for ; len(b) > 0; b = b[t.BlockBytes():] {
		switch t {
		case gguf.F32:
			v := float32(le.Uint32(b)) / (1 << 31) // in [0, 2)
			le.PutUint32(b, math.Float32bits((v-1)*float32(1.7*unit)))
		case gguf.F16:
			u := le.Uint16(b) // a sign, ten bits, and one of four powers of 2
			le.PutUint16(b, u&0x8000|(halfOf(unit)&0x7c00-u>>10&3<<10)|u&0x3ff)
		case gguf.Q8_0:
			le.PutUint16(b, halfOf(unit/74))
		case gguf.Q4_0:
			le.PutUint16(b, halfOf(unit/4.6))
		case gguf.Q4_K: // d*scale*nibble - dmin*minimum
			le.PutUint16(b, halfOf(unit/150))
			le.PutUint16(b[2:], halfOf(unit/20))
		case gguf.Q6_K:
			le.PutUint16(b[208:], halfOf(unit/1300))
		case gguf.Q1_0:
			le.PutUint16(b, halfOf(unit))
		case gguf.Q2_0, gguf.PQ2_0:
			ternary(b[2:t.BlockBytes()])
			le.PutUint16(b, halfOf(unit*math.Sqrt2))
		case gguf.TQ2_0:
			ternary(b[:64])
			le.PutUint16(b[64:], halfOf(unit*math.Sqrt2))
		case gguf.PTQ1_0:
			le.PutUint16(b[26:], halfOf(unit/0.816))
		case gguf.MXFP4:
			_, e := math.Frexp(unit / 2.93)
			b[0] = byte(126 + e)
		}
	}
}

// ternary makes 0 of those weights of 2 bits that are neither -1, 0 nor 1.
func ternary(b []byte) {
	for i, v := range b {
		b[i] = v ^ v&(v>>1)&0x55<<1
	}
}

// random fills b with random bytes, eight at a time.
func random(b []byte, source *rand.PCG) {
	for ; len(b) >= 8; b = b[8:] {
		le.PutUint64(b, source.Uint64())
	}
	if len(b) > 0 {
		var last [8]byte
		le.PutUint64(last[:], source.Uint64())
		copy(b, last[:])
	}
}

// halfOf is a positive x as a float16, rounded down.
func halfOf(x float64) uint16 {
	f, e := math.Frexp(x)
	if e < -13 { // subnormal
		return uint16(x * (1 << 24))
	}
	return uint16(e-1+15)<<10 | uint16((2*f-1)*1024)
}
