package main

// model synth: writes models of random weights in the shapes of well-known
// ones, with the mixtures of types that llama-quantize makes of them, so that
// speed can be measured without a download. Invariant: such a file is a
// complete model (it loads, tokenizes and computes; what it says is noise), and
// the same arguments give the same bytes.

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"alphaos/llm/gguf"
)

// modelShape is what decides a llama model's speed.
type modelShape struct {
	name                                      string
	embedding, feedForward, layers            int
	heads, kvHeads, head, vocabulary, context int
	tied                                      bool // the embedding is the output matrix too
	base                                      float32
	ropes                                     bool // with rope_freqs.weight, as Llama 3 has
}

var modelShapes = []modelShape{
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

// A mixture is what llama-quantize makes of a model: a type for most matrices,
// one for those where more bits help most, and one for the output.
type mixture struct {
	name               string
	fileType           uint32
	base, more, output gguf.Type
}

var mixtures = []mixture{
	{"F32", 0, gguf.F32, gguf.F32, gguf.F32},
	{"F16", 1, gguf.F16, gguf.F16, gguf.F16},
	{"Q8_0", 7, gguf.Q8_0, gguf.Q8_0, gguf.Q8_0},
	{"Q4_0", 2, gguf.Q4_0, gguf.Q4_0, gguf.Q6_K},
	{"Q4_K_S", 14, gguf.Q4_K, gguf.Q4_K, gguf.Q6_K},
	{"Q4_K_M", 15, gguf.Q4_K, gguf.Q6_K, gguf.Q6_K},
	{"Q6_K", 18, gguf.Q6_K, gguf.Q6_K, gguf.Q6_K},
}

func modelSynthCommand() *cobra.Command {
	var shape, mix string
	var seed uint64
	var shapes, mixes []string
	for _, s := range modelShapes {
		shapes = append(shapes, s.name)
	}
	for _, m := range mixtures {
		mixes = append(mixes, m.name)
	}
	cmd := &cobra.Command{
		Use:   "synth --shape SHAPE --type TYPE OUT.gguf",
		Short: "Write a model of random weights, to measure speed with",
		Long: fmt.Sprintf(`Write a model of random weights in the shape of a well-known model, with the
types that llama-quantize would give its tensors. Speed does not depend on what
weights say, so such a file serves to measure it.

Shapes: %s.
Types: %s.`, strings.Join(shapes, ", "), strings.Join(mixes, ", ")),
		Example: `  alphaos model synth --shape llama-3.2-1b --type Q4_K_M 1b.gguf`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the file to write, for example: alphaos model synth --shape llama-3.2-1b --type Q4_K_M 1b.gguf")
			}
			s := slices.IndexFunc(modelShapes, func(s modelShape) bool { return s.name == shape })
			if s < 0 {
				return fmt.Errorf("there is no shape %q; there are %s", shape, strings.Join(shapes, ", "))
			}
			m := slices.IndexFunc(mixtures, func(m mixture) bool { return strings.EqualFold(m.name, mix) })
			if m < 0 {
				return fmt.Errorf("there is no type %q; there are %s", mix, strings.Join(mixes, ", "))
			}
			return synthesise(args[0], modelShapes[s], mixtures[m], seed)
		},
	}
	cmd.Flags().StringVar(&shape, "shape", "llama-3.2-1b", "shape of the model")
	cmd.Flags().StringVar(&mix, "type", "Q4_K_M", "types of the weights")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the random numbers")
	return cmd
}

// synthTensor is a tensor to be written; a vector has no rows.
type synthTensor struct {
	name       string
	kind       gguf.Type
	rows, cols int
}

func (t synthTensor) bytes() int64 {
	return int64(t.cols/t.kind.BlockSize()*t.kind.BlockBytes()) * int64(max(t.rows, 1))
}

// tensors lists what the model consists of.
func (s modelShape) tensors(m mixture) []synthTensor {
	var list []synthTensor
	vector := func(name string, n int) { list = append(list, synthTensor{name, gguf.F32, 0, n}) }
	matrix := func(name string, t gguf.Type, rows, cols int) {
		if cols%t.BlockSize() != 0 {
			t = gguf.Q8_0 // blocks of 256 do not fit the rows
		}
		if cols%t.BlockSize() != 0 {
			t = gguf.F16
		}
		list = append(list, synthTensor{name, t, rows, cols})
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

func synthesise(name string, s modelShape, m mixture, seed uint64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			os.Remove(name)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	tensors := s.tensors(m)
	header := s.header(m, tensors)
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	r := rand.NewPCG(seed, uint64(s.embedding))
	for _, t := range tensors {
		if err := t.write(w, r); err != nil {
			return fmt.Errorf("cannot write the model: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	return nil
}

const synthAlignment = 32

// header is the metadata and the table of tensors, up to the first data.
func (s modelShape) header(m mixture, tensors []synthTensor) []byte {
	le := binary.LittleEndian
	str := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	var keys []byte
	count := 0
	set := func(key string, value any) {
		count++
		keys = str(keys, key)
		switch v := value.(type) {
		case int:
			keys = le.AppendUint32(le.AppendUint32(keys, 4), uint32(v))
		case float32:
			keys = le.AppendUint32(le.AppendUint32(keys, 6), math.Float32bits(v))
		case string:
			keys = str(le.AppendUint32(keys, 8), v)
		case []string:
			keys = le.AppendUint64(le.AppendUint32(le.AppendUint32(keys, 9), 8), uint64(len(v)))
			for _, s := range v {
				keys = str(keys, s)
			}
		case []int32:
			keys = le.AppendUint64(le.AppendUint32(le.AppendUint32(keys, 9), 5), uint64(len(v)))
			for _, x := range v {
				keys = le.AppendUint32(keys, uint32(x))
			}
		}
	}
	set("general.architecture", "llama")
	set("general.name", "synthetic "+s.name)
	set("general.file_type", int(m.fileType))
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
	tokens, kinds, merges := synthVocabulary(s.vocabulary)
	set("tokenizer.ggml.model", "gpt2")
	set("tokenizer.ggml.pre", "llama-bpe")
	set("tokenizer.ggml.tokens", tokens)
	set("tokenizer.ggml.token_type", kinds)
	set("tokenizer.ggml.merges", merges)
	set("tokenizer.ggml.bos_token_id", s.vocabulary-2)
	set("tokenizer.ggml.eos_token_id", s.vocabulary-1)

	b := le.AppendUint32([]byte("GGUF"), 3)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(tensors))), uint64(count))
	b = append(b, keys...)
	offset := int64(0)
	for _, t := range tensors {
		b = str(b, t.name)
		if t.rows == 0 {
			b = le.AppendUint64(le.AppendUint32(b, 1), uint64(t.cols))
		} else {
			b = le.AppendUint64(le.AppendUint64(le.AppendUint32(b, 2), uint64(t.cols)), uint64(t.rows))
		}
		b = le.AppendUint64(le.AppendUint32(b, uint32(t.kind)), uint64(offset))
		offset += (t.bytes() + synthAlignment - 1) &^ (synthAlignment - 1)
	}
	for len(b)%synthAlignment != 0 {
		b = append(b, 0)
	}
	return b
}

// synthVocabulary is the 256 bytes as byte-level BPE writes them, tokens merged
// from two others until there are n-2, and a token each to begin and end a text.
func synthVocabulary(n int) (tokens []string, kinds []int32, merges []string) {
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

// write makes up the tensor's data: weights of about 1/sqrt(cols), so that what
// is computed neither grows nor vanishes from layer to layer.
func (t synthTensor) write(w io.Writer, r *rand.PCG) error {
	unit := 1 / math.Sqrt(float64(t.cols))
	le := binary.LittleEndian
	size, block := t.bytes(), t.kind.BlockBytes()
	piece := make([]byte, (1<<20)/block*block+8)
	for left := size; left > 0; {
		n := int(min(left, int64(len(piece)-8)))
		for i := 0; i < n; i += 8 {
			le.PutUint64(piece[i:], r.Uint64())
		}
		for b := piece[:n]; len(b) > 0; b = b[block:] {
			switch t.kind {
			case gguf.F32:
				v := float32(le.Uint32(b)) / (1 << 31) // in [0, 2)
				if t.rows > 0 {
					v = (v - 1) * float32(1.7*unit)
				} else {
					v = 0.9 + v/10 // norms and factors are about 1
				}
				le.PutUint32(b, math.Float32bits(v))
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
			}
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	_, err := w.Write(make([]byte, -size&(synthAlignment-1)))
	return err
}

// halfOf is a positive x as a float16, rounded down.
func halfOf(x float64) uint16 {
	f, e := math.Frexp(x)
	if e < -13 { // subnormal
		return uint16(x * (1 << 24))
	}
	return uint16(e-1+15)<<10 | uint16((2*f-1)*1024)
}
