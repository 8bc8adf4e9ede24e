// Package synth makes llama models of random weights: in the shapes of
// well-known ones, with the mixtures of types that llama-quantize makes of them,
// so that speed can be measured without a download. Such a file is a complete
// model (it loads, tokenizes and computes; what it says is noise), and the same
// arguments give the same bytes.
package synth

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

var le = binary.LittleEndian

// Shape is what decides a llama model's speed.
type Shape struct {
	Name                                      string
	embedding, feedForward, layers            int
	heads, kvHeads, head, vocabulary, context int
	tied                                      bool // the embedding is the output matrix too
	base                                      float32
	ropes                                     bool // with rope_freqs.weight, as Llama 3 has
}

// Shapes are those of well-known models, and smaller ones.
var Shapes = []Shape{
	{"llama-3.2-1b", 2048, 8192, 16, 32, 8, 64, 128256, 131072, true, 500000, true},
	{"llama-3.2-1b-layer", 2048, 8192, 1, 32, 8, 64, 512, 512, true, 500000, true}, // one of its layers
	{"llama-3.2-3b", 3072, 8192, 28, 24, 8, 128, 128256, 131072, true, 500000, true},
	{"llama-3.1-8b", 4096, 14336, 32, 32, 8, 128, 128256, 131072, false, 500000, true},
	{"llama-2-7b", 4096, 11008, 32, 32, 32, 128, 32000, 4096, false, 10000, false},
	{"tinyllama-1.1b", 2048, 5632, 22, 32, 4, 64, 32000, 2048, false, 10000, false},
	{"smollm2-135m", 576, 1536, 30, 9, 3, 64, 49152, 8192, true, 100000, false},
	{"smollm2-360m", 960, 2560, 32, 15, 5, 64, 49152, 8192, true, 100000, false},
	{"tiny", 256, 512, 2, 4, 2, 64, 512, 512, true, 10000, false},
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
		if err := writeTensor(w, t, source); err != nil {
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
	for i := range s.layers {
		// llama-quantize gives more bits to the first and last eighth of the
		// layers and to every third between.
		more, eighth := m.base, s.layers/8
		if i < eighth || i >= 7*s.layers/8 || (i-eighth)%3 == 2 {
			more = m.more
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
	set("general.architecture", "llama")
	set("general.name", "synthetic "+s.Name)
	set("general.file_type", m.fileType)
	set("general.quantization_version", 2)
	set("llama.context_length", s.context)
	set("llama.embedding_length", s.embedding)
	set("llama.feed_forward_length", s.feedForward)
	set("llama.block_count", s.layers)
	set("llama.attention.head_count", s.heads)
	set("llama.attention.head_count_kv", s.kvHeads)
	set("llama.attention.key_length", s.head)
	set("llama.attention.value_length", s.head)
	set("llama.attention.layer_norm_rms_epsilon", float32(1e-5))
	set("llama.rope.dimension_count", s.head)
	set("llama.rope.freq_base", s.base)
	set("llama.vocab_size", s.vocabulary)
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
func writeTensor(w io.Writer, t gguf.Tensor, source *rand.PCG) error {
	block := t.Type.BlockBytes()
	piece := make([]byte, (1<<20)/block*block)
	for left := t.Bytes; left > 0; {
		n := int(min(left, int64(len(piece))))
		if len(t.Dims) == 1 {
			fillVector(piece[:n], source)
		} else {
			Fill(piece[:n], t.Type, int(t.Dims[0]), source)
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

// Fill makes up blocks of a matrix with rows of cols weights. They are about
// 1/sqrt(cols), so that what is computed neither grows nor vanishes from layer to
// layer.
func Fill(b []byte, t gguf.Type, cols int, source *rand.PCG) {
	unit := 1 / math.Sqrt(float64(cols))
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
