// Package tokentest makes small GGUF files in memory, for tests that need a
// vocabulary or a whole model and must not depend on files from elsewhere.
package tokentest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// KV is one metadata entry. V is a string, bool, int32, uint32, float32, or a
// slice of string, int32 or float32.
type KV struct {
	K string
	V any
}

// Tensor is a tensor of float32 values; Dims as in gguf.Tensor.
type Tensor struct {
	Name string
	Dims []uint64
	Data []float32
}

// GGUF returns the bytes of a GGUF version 3 file.
func GGUF(kvs []KV, tensors ...Tensor) []byte {
	var b bytes.Buffer
	u32 := func(v uint32) { b.Write(binary.LittleEndian.AppendUint32(nil, v)) }
	u64 := func(v uint64) { b.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	str := func(s string) { u64(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	u32(3)
	u64(uint64(len(tensors)))
	u64(uint64(len(kvs)))
	for _, kv := range kvs {
		str(kv.K)
		switch v := kv.V.(type) {
		case string:
			u32(8)
			str(v)
		case bool:
			u32(7)
			if v {
				b.WriteByte(1)
			} else {
				b.WriteByte(0)
			}
		case uint32:
			u32(4)
			u32(v)
		case int32:
			u32(5)
			u32(uint32(v))
		case float32:
			u32(6)
			u32(math.Float32bits(v))
		case []string:
			u32(9)
			u32(8)
			u64(uint64(len(v)))
			for _, s := range v {
				str(s)
			}
		case []int32:
			u32(9)
			u32(5)
			u64(uint64(len(v)))
			for _, i := range v {
				u32(uint32(i))
			}
		case []float32:
			u32(9)
			u32(6)
			u64(uint64(len(v)))
			for _, f := range v {
				u32(math.Float32bits(f))
			}
		default:
			panic(fmt.Sprintf("tokentest: %s has a value of type %T", kv.K, kv.V))
		}
	}
	pad := func(n int) int { return (n + 31) &^ 31 }
	offset := 0
	for _, t := range tensors {
		str(t.Name)
		u32(uint32(len(t.Dims)))
		for _, d := range t.Dims {
			u64(d)
		}
		u32(0)
		u64(uint64(offset))
		offset = pad(offset + 4*len(t.Data))
	}
	for _, t := range tensors {
		b.Write(make([]byte, pad(b.Len())-b.Len()))
		binary.Write(&b, binary.LittleEndian, t.Data)
	}
	b.Write(make([]byte, pad(b.Len())-b.Len()))
	return b.Bytes()
}

// SPM is the metadata of a small SentencePiece vocabulary: <unk>, <s>, </s>,
// the 256 byte tokens, extra control tokens, printable ASCII characters, and
// words. Words are given as people write them, a space before a word included,
// and get scores that merge them from their beginnings; every prefix of a word
// becomes a token too.
func SPM(control []string, words ...string) []KV {
	tokens := []string{"<unk>", "<s>", "</s>"}
	types := []int32{2, 3, 3}
	scores := []float32{0, 0, 0}
	have := map[string]bool{}
	add := func(text string, kind int32, score float32) {
		if !have[text] {
			have[text] = true
			tokens, types, scores = append(tokens, text), append(types, kind), append(scores, score)
		}
	}
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), 6, 0)
	}
	for _, c := range control {
		add(c, 3, 0)
	}
	add("▁", 1, -1000)
	for c := '!'; c <= '~'; c++ {
		add(string(c), 1, -1001-float32(c))
	}
	score := float32(-1)
	for _, w := range words {
		text := ""
		for i, r := range w {
			if r == ' ' {
				r = '▁'
			}
			text += string(r)
			if i > 0 {
				add(text, 1, score)
				score--
			} else {
				add(text, 1, -2000)
			}
		}
	}
	return []KV{
		{"tokenizer.ggml.model", "llama"},
		{"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.scores", scores},
		{"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.bos_token_id", uint32(1)},
		{"tokenizer.ggml.eos_token_id", uint32(2)},
		{"tokenizer.ggml.unknown_token_id", uint32(0)},
	}
}

// BPE is the metadata of a small byte-level BPE vocabulary: the 256 bytes,
// the results of merges ("Ġ t" makes "Ġt"), then control tokens, of which the
// first two are BOS and EOS.
func BPE(pre string, control []string, merges ...string) []KV {
	var tokens []string
	for r, n := rune(0), 0; n < 256; r++ {
		if '!' <= r && r <= '~' || 0xa1 <= r && r <= 0xac || 0xae <= r && r <= 0xff || 0x100 <= r && r < 0x100+68 {
			tokens = append(tokens, string(r))
			n++
		}
	}
	for _, m := range merges {
		var l, r string
		fmt.Sscan(m, &l, &r)
		tokens = append(tokens, l+r)
	}
	types := make([]int32, len(tokens))
	for i := range types {
		types[i] = 1
	}
	first := uint32(len(tokens))
	for _, c := range control {
		tokens, types = append(tokens, c), append(types, 3)
	}
	kvs := []KV{
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", pre},
		{"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.merges", merges},
	}
	if len(control) > 1 {
		kvs = append(kvs, KV{"tokenizer.ggml.bos_token_id", first}, KV{"tokenizer.ggml.eos_token_id", first + 1})
	}
	return kvs
}

// WordPiece is the metadata of a small vocabulary of BERT's kind. Tokens that
// go on with a word begin with ##.
func WordPiece(words ...string) []KV {
	tokens := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
	types := []int32{3, 3, 3, 3}
	for _, w := range words {
		if inner, ok := strings.CutPrefix(w, "##"); ok {
			w = inner
		} else {
			w = "▁" + w
		}
		tokens, types = append(tokens, w), append(types, 1)
	}
	return []KV{
		{"tokenizer.ggml.model", "bert"},
		{"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.unknown_token_id", uint32(1)},
		{"tokenizer.ggml.cls_token_id", uint32(2)},
		{"tokenizer.ggml.seperator_token_id", uint32(3)},
	}
}

// Token types, as in tokenizer.ggml.token_type.
const (
	Normal      = 1
	Control     = 3
	UserDefined = 4
)

// Retype gives tokens another type and adds those that kvs, a vocabulary, lacks.
func Retype(kvs []KV, kind int32, tokens ...string) []KV {
	value := func(key string) *any {
		for i := range kvs {
			if kvs[i].K == "tokenizer.ggml."+key {
				return &kvs[i].V
			}
		}
		return new(any)
	}
	have, kinds := value("tokens"), value("token_type")
	texts, types := slices.Clone((*have).([]string)), slices.Clone((*kinds).([]int32))
	for _, t := range tokens {
		i := slices.Index(texts, t)
		if i < 0 {
			i = len(texts)
			texts, types = append(texts, t), append(types, kind)
			if scores := value("scores"); *scores != nil {
				*scores = append(slices.Clone((*scores).([]float32)), 0)
			}
		}
		types[i] = kind
	}
	*have, *kinds = texts, types
	return kvs
}
