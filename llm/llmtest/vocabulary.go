package llmtest

import (
	"fmt"
	"slices"
	"strings"

	"alphaos/llm/gguf"
)

// characters is a vocabulary of n tokens without merges: <unk>, <s>, </s>, the 256
// byte tokens, and characters from "a" on.
func characters(n int) []gguf.KeyValue {
	tokens, kinds := []string{"<unk>", "<s>", "</s>"}, []int32{2, 3, 3}
	for i := range 256 {
		tokens, kinds = append(tokens, fmt.Sprintf("<0x%02X>", i)), append(kinds, 6)
	}
	for len(tokens) < n {
		tokens, kinds = append(tokens, string(rune('a'+len(tokens)-259))), append(kinds, 1)
	}
	return sentencePiece(tokens, make([]float32, len(tokens)), kinds)
}

// sentencePiece is the metadata of a vocabulary that begins with <unk>, <s>, </s>.
func sentencePiece(tokens []string, scores []float32, kinds []int32) []gguf.KeyValue {
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: scores},
		{Key: "tokenizer.ggml.token_type", Value: kinds},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(0)},
	}
}

// SPM is the metadata of a small SentencePiece vocabulary: <unk>, <s>, </s>,
// the 256 byte tokens, extra control tokens, printable ASCII characters, and
// words. Words are given as people write them, a space before a word included,
// and get scores that merge them from their beginnings; every prefix of a word
// becomes a token too.
func SPM(control []string, words ...string) []gguf.KeyValue {
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
	return sentencePiece(tokens, scores, types)
}

// BPE is the metadata of a small byte-level BPE vocabulary: the 256 bytes,
// the results of merges ("Ġ t" makes "Ġt"), then control tokens, of which the
// first two are BOS and EOS.
func BPE(pre string, control []string, merges ...string) []gguf.KeyValue {
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
	kvs := []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: pre},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: merges},
	}
	if len(control) > 1 {
		kvs = append(kvs, gguf.KeyValue{Key: "tokenizer.ggml.bos_token_id", Value: first}, gguf.KeyValue{Key: "tokenizer.ggml.eos_token_id", Value: first + 1})
	}
	return kvs
}

// WordPiece is the metadata of a small vocabulary of BERT's kind. Tokens that
// go on with a word begin with ##.
func WordPiece(words ...string) []gguf.KeyValue {
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
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "bert"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(1)},
		{Key: "tokenizer.ggml.cls_token_id", Value: uint32(2)},
		{Key: "tokenizer.ggml.seperator_token_id", Value: uint32(3)},
	}
}

// Token types, as in tokenizer.ggml.token_type.
const (
	Normal      = 1
	Control     = 3
	UserDefined = 4
)

// Retype gives tokens another type and adds those that kvs, a vocabulary, lacks.
func Retype(kvs []gguf.KeyValue, kind int32, tokens ...string) []gguf.KeyValue {
	value := func(key string) *any {
		for i := range kvs {
			if kvs[i].Key == "tokenizer.ggml."+key {
				return &kvs[i].Value
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
