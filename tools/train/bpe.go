package train

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"alphaos/llm/gguf"
	"alphaos/llm/tokenizer"
)

// The vocabulary is byte-pair encoding in SentencePiece's manner, as the llama
// architecture knows it: a space is written U+2581 and belongs to the word after
// it, tokens are merged in the order of their scores, and a byte that no token
// stands for becomes one of 256 byte tokens. No space is put before a text, so
// that a text has the same tokens wherever it stands.

// Vocabulary is what a tokenizer consists of.
type Vocabulary struct {
	Tokens []string
	Scores []float32
	Types  []int32 // as GGUF numbers them
}

// Control tokens: they begin a text, begin each role's turn, and end a turn.
const (
	unknownToken   = "<unk>"
	beginToken     = "<s>"
	endToken       = "<|end|>"
	systemToken    = "<|system|>"
	userToken      = "<|user|>"
	assistantToken = "<|assistant|>"
)

// controls are the first tokens of every vocabulary.
var controls = []string{unknownToken, beginToken, endToken, systemToken, userToken, assistantToken}

// chatTemplate writes a conversation in the control tokens, in Jinja. What people
// say is in small letters and begins with a space, so that a word is the same
// tokens wherever and however it is written: a small model has more to learn from.
const chatTemplate = "{% for message in messages %}" +
	"{% if message['role'] == 'user' %}{{ '<|user|> ' }}{{ message['content'] | lower }}" +
	"{% else %}{{ '<|' + message['role'] + '|>' }}{{ message['content'] }}{% endif %}{{ '<|end|>' }}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"

// heard is what the template makes of what a person says.
func heard(text string) string { return " " + strings.ToLower(text) }

const (
	kindNormal  = 1
	kindUnknown = 2
	kindControl = 3
	kindByte    = 6
)

const space = "\u2581" // LOWER ONE EIGHTH BLOCK, SentencePiece's space

// LeastVocabulary is the fewest tokens a vocabulary can have: control tokens,
// bytes, and the printable characters of ASCII.
const LeastVocabulary = 6 + 256 + 95

// TrainVocabulary makes a vocabulary of size tokens, or of fewer if the texts
// have nothing more to merge. The same texts give the same vocabulary.
func TrainVocabulary(docs []Document, size int) (*Vocabulary, error) {
	if size < LeastVocabulary || size > 1<<16 {
		return nil, fmt.Errorf("a vocabulary of %d tokens cannot be made; %d to %d can", size, LeastVocabulary, 1<<16)
	}
	v := &Vocabulary{}
	add := func(token string, kind int32, score float32) {
		v.Tokens, v.Types, v.Scores = append(v.Tokens, token), append(v.Types, kind), append(v.Scores, score)
	}
	for i, s := range controls {
		add(s, []int32{kindUnknown, kindControl}[min(i, 1)], 0)
	}
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), kindByte, 0)
	}

	counts := map[string]int{}
	for _, d := range docs {
		words(d.Text, counts)
		for _, m := range d.Messages {
			words(m.Content, counts)
		}
	}
	// The characters: those of ASCII, and others that are not rare.
	characters := map[rune]int{}
	for word, n := range counts {
		for _, r := range word {
			characters[r] += n
		}
	}
	symbols := map[string]int32{}
	character := func(s string) {
		symbols[s] = int32(len(v.Tokens))
		add(s, kindNormal, float32(-size))
	}
	character(space)
	for r := rune(33); r < 127; r++ {
		character(string(r))
	}
	const rare = 20
	var more []rune
	for r, n := range characters {
		if r > 127 && r != ' ' && string(r) != space && n >= rare && unicode.IsPrint(r) {
			more = append(more, r)
		}
	}
	slices.Sort(more)
	for _, r := range more[:min(len(more), size-len(v.Tokens))] {
		character(string(r))
	}

	m := newMerging(counts, symbols)
	for rank := 0; len(v.Tokens) < size; rank++ {
		a, b, ok := m.best(v.Tokens)
		if !ok {
			break
		}
		id := int32(len(v.Tokens))
		if known := slices.Index(v.Tokens, v.Tokens[a]+v.Tokens[b]); known >= 0 {
			id = int32(known) // made of two other tokens before
		} else {
			add(v.Tokens[a]+v.Tokens[b], kindNormal, float32(-1-rank))
		}
		m.merge(a, b, id)
	}
	return v, nil
}

// words counts the pieces of a text that tokens must not reach across: letters,
// single digits, and runs of other characters, each with one space before.
func words(text string, counts map[string]int) {
	class := func(r rune) int {
		switch {
		case r == ' ':
			return 0
		case unicode.IsLetter(r):
			return 1
		case unicode.IsDigit(r):
			return 2
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return 3
		}
		return 4
	}
	runes := []rune(text)
	for i := 0; i < len(runes); {
		from := i
		if runes[i] == ' ' && i+1 < len(runes) {
			i++
		}
		c := class(runes[i])
		i++
		for i < len(runes) && (c == 1 || c == 4) {
			next := class(runes[i])
			if c == 1 && runes[i] == '\'' && i+1 < len(runes) && unicode.IsLetter(runes[i+1]) {
				next = 1 // don't
			}
			if next != c {
				break
			}
			i++
		}
		counts[strings.ReplaceAll(string(runes[from:i]), " ", space)]++
	}
}

// merging is the words as sequences of symbols, and how often pairs of those
// occur.
type merging struct {
	words []word
	pairs map[[2]int32]int
}

type word struct {
	symbols []int32
	count   int
}

func newMerging(counts map[string]int, symbols map[string]int32) *merging {
	m := &merging{pairs: map[[2]int32]int{}}
	var texts []string
	for w := range counts {
		texts = append(texts, w)
	}
	slices.Sort(texts)
	for _, text := range texts {
		w := word{count: counts[text]}
		for _, r := range text {
			id, ok := symbols[string(r)]
			if !ok {
				id = -1 // becomes bytes, which nothing merges with
			}
			w.symbols = append(w.symbols, id)
		}
		m.words = append(m.words, w)
		m.count(w, 1)
	}
	return m
}

func (m *merging) count(w word, sign int) {
	for i := 1; i < len(w.symbols); i++ {
		if w.symbols[i-1] >= 0 && w.symbols[i] >= 0 {
			m.pairs[[2]int32{w.symbols[i-1], w.symbols[i]}] += sign * w.count
		}
	}
}

// best is the most frequent pair; of equals, the first in the order of their
// text.
func (m *merging) best(tokens []string) (a, b int32, ok bool) {
	most := 1
	for p, n := range m.pairs {
		if n < most || n == 1 {
			continue
		}
		if n == most && ok {
			if c := strings.Compare(tokens[p[0]]+tokens[p[1]], tokens[a]+tokens[b]); c > 0 || c == 0 && p[0] > a {
				continue
			}
		}
		a, b, most, ok = p[0], p[1], n, true
	}
	return
}

// merge makes the pair a, b one symbol wherever it stands.
func (m *merging) merge(a, b, id int32) {
	for i := range m.words {
		w := &m.words[i]
		found := false
		for j := 1; j < len(w.symbols) && !found; j++ {
			found = w.symbols[j-1] == a && w.symbols[j] == b
		}
		if !found {
			continue
		}
		m.count(*w, -1)
		kept := w.symbols[:0]
		for j := 0; j < len(w.symbols); j++ {
			if j+1 < len(w.symbols) && w.symbols[j] == a && w.symbols[j+1] == b {
				kept = append(kept, id)
				j++
			} else {
				kept = append(kept, w.symbols[j])
			}
		}
		w.symbols = kept
		m.count(*w, 1)
	}
	delete(m.pairs, [2]int32{a, b})
}

// Metadata is the vocabulary as a GGUF file has it.
func (v *Vocabulary) Metadata() []gguf.KeyValue {
	id := func(s string) uint32 { return uint32(slices.Index(v.Tokens, s)) }
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.pre", Value: "default"},
		{Key: "tokenizer.ggml.tokens", Value: v.Tokens},
		{Key: "tokenizer.ggml.scores", Value: v.Scores},
		{Key: "tokenizer.ggml.token_type", Value: v.Types},
		{Key: "tokenizer.ggml.unknown_token_id", Value: id(unknownToken)},
		{Key: "tokenizer.ggml.bos_token_id", Value: id(beginToken)},
		{Key: "tokenizer.ggml.eos_token_id", Value: id(endToken)},
		{Key: "tokenizer.ggml.eot_token_id", Value: id(endToken)},
		{Key: "tokenizer.ggml.add_bos_token", Value: true},
		{Key: "tokenizer.ggml.add_eos_token", Value: false},
		{Key: "tokenizer.ggml.add_space_prefix", Value: false},
		{Key: "tokenizer.chat_template", Value: chatTemplate},
	}
}

// Tokenizer is the engine's tokenizer with this vocabulary.
func (v *Vocabulary) Tokenizer() (*tokenizer.Tokenizer, error) {
	head, err := gguf.Head(append([]gguf.KeyValue{{Key: "general.architecture", Value: "llama"}}, v.Metadata()...), nil)
	if err != nil {
		return nil, err
	}
	f, err := gguf.Read(bytes.NewReader(head), int64(len(head)))
	if err != nil {
		return nil, err
	}
	return tokenizer.New(f)
}

// ReadVocabulary takes the vocabulary out of a GGUF file that has one of ours.
func ReadVocabulary(f *gguf.File) (*Vocabulary, error) {
	v := &Vocabulary{
		Tokens: f.Strings("tokenizer.ggml.tokens"),
		Scores: f.Floats("tokenizer.ggml.scores"),
		Types:  f.Ints("tokenizer.ggml.token_type"),
	}
	if len(v.Tokens) < 6 || len(v.Scores) != len(v.Tokens) || len(v.Types) != len(v.Tokens) || !slices.Equal(v.Tokens[:6], controls) {
		return nil, errors.New("the file has no vocabulary made by alphaos model tokenizer")
	}
	return v, nil
}
