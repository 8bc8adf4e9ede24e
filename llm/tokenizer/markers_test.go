package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// looks are markers as models have them.
var looks = []string{"<|turn|>", "<|turn>", "<turn|>", "<s2>", "[TURN]", "<<SYS>>", "<｜User｜>", "<｜end▁of▁turn｜>", "]~b]", ">>QUESTION<<"}

// typed returns a vocabulary that has looks as tokens of a type. reachable ones
// come out of merging ordinary text, too.
func typed(family string, kind int32, reachable bool) []gguf.KeyValue {
	var kvs []gguf.KeyValue
	if family == "spm" {
		var words []string
		if reachable {
			for _, m := range looks {
				words = append(words, strings.ReplaceAll(m, "▁", " "))
			}
		}
		kvs = llmtest.SPM(nil, append(words, " hello")...)
	} else {
		var merges []string
		seen := map[string]bool{}
		for _, m := range looks {
			if !reachable {
				break
			}
			spelled := []rune(bytesSpelled(m))
			for i := 1; i < len(spelled); i++ {
				if line := string(spelled[:i]) + " " + string(spelled[i:i+1]); !seen[line] {
					seen[line] = true
					merges = append(merges, line)
				}
			}
		}
		kvs = llmtest.BPE("default", []string{"<bos>", "<eos>"}, append(merges, "h e")...)
	}
	var tokens []string
	for _, kv := range kvs {
		if kv.Key == "tokenizer.ggml.tokens" {
			tokens = slices.Clone(kv.Value.([]string))
		}
	}
	at := map[string]int{}
	for _, m := range looks {
		i := -1
		for _, s := range []string{m, bytesSpelled(m)} {
			if j := slices.Index(tokens, s); j >= 0 {
				i = j
			}
		}
		if i < 0 {
			i = len(tokens)
			tokens = append(tokens, m)
		} else if kind != typeNormal {
			tokens[i] = m
		}
		at[m] = i
	}
	for i, kv := range kvs {
		switch kv.Key {
		case "tokenizer.ggml.tokens":
			kvs[i].Value = tokens
		case "tokenizer.ggml.scores":
			v := slices.Clone(kv.Value.([]float32))
			for len(v) < len(tokens) {
				v = append(v, 0)
			}
			kvs[i].Value = v
		case "tokenizer.ggml.token_type":
			v := slices.Clone(kv.Value.([]int32))
			for len(v) < len(tokens) {
				v = append(v, typeNormal)
			}
			for _, j := range at {
				v[j] = kind
			}
			kvs[i].Value = v
		}
	}
	return kvs
}

// bytesSpelled is text as byte-level BPE spells it.
func bytesSpelled(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		for r, v := range runeByte {
			if v == uint16(c)+1 {
				b.WriteRune(rune(r))
			}
		}
	}
	return b.String()
}

func eachVocabulary(f func(name string, kvs []gguf.KeyValue)) {
	for _, family := range []string{"spm", "bpe"} {
		for name, kind := range map[string]int32{"normal": typeNormal, "control": typeControl, "user-defined": typeUserDefined, "unused": typeUnused} {
			for _, reachable := range []bool{false, true} {
				f(fmt.Sprintf("%s, %s, reachable %v", family, name, reachable), typed(family, kind, reachable))
			}
		}
	}
}

// A token that a template writes as a marker is one id where the text is
// trusted and never comes out of other text, which is not changed by that;
// whatever type the file gives it and whatever it looks like.
func TestMarkers(t *testing.T) {
	eachVocabulary(func(name string, kvs []gguf.KeyValue) {
		plain := build(t, kvs)
		template := "hello user\n" + strings.Join(looks, " assistant\n") + "{}"
		ids := plain.MarkersIn(template)
		if len(ids) != len(looks) {
			t.Errorf("%s: the template's markers are %s", name, show(plain, ids))
			return
		}
		tok := plain.WithMarkers(ids)
		for i, m := range looks {
			got := tok.Encode(m, EncodeOptions{ParseSpecial: true})
			if len(got) != 1 || !slices.Contains(ids, got[0]) || !tok.IsMarker(got[0]) {
				t.Errorf("%s: trusted %s is %s", name, m, show(tok, got))
			}
			if id, ok := tok.Special(m); !ok || id != got[0] {
				t.Errorf("%s: %s is not found", name, m)
			}
			for _, text := range []string{m, "x" + m, " " + m + "y", m + m, looks[(i+1)%len(looks)] + m, "hello " + strings.ReplaceAll(m, "▁", " ")} {
				got := tok.Encode(text, EncodeOptions{})
				for _, id := range got {
					if tok.IsMarker(id) {
						t.Errorf("%s: %q became %s", name, text, show(tok, got))
					}
				}
				want := text
				if strings.HasPrefix(name, "spm") {
					want = " " + strings.ReplaceAll(text, "▁", " ")
				}
				if got := tok.Decode(got...); got != want {
					t.Errorf("%s: %q came back as %q", name, text, got)
				}
			}
			// Nor out of a trusted and an untrusted half.
			half := len(m) / 2
			for _, first := range []bool{true, false} {
				got := tok.EncodeParts(EncodeOptions{}, Part{Text: m[:half], Special: first}, Part{Text: m[half:], Special: !first})
				for _, id := range got {
					if tok.IsMarker(id) {
						t.Errorf("%s: halves of %q became %s", name, m, show(tok, got))
					}
				}
			}
		}
		if got := tok.WithMarkers(ids); got != tok {
			t.Errorf("%s: marked twice", name)
		}
		// The vocabulary is otherwise what it was, and so is the tokenizer that
		// was asked.
		for _, text := range []string{"hello he [ < hello", "\n\n  x"} {
			if a, b := plain.Encode(text, EncodeOptions{}), tok.Encode(text, EncodeOptions{}); !slices.Equal(a, b) {
				t.Errorf("%s: %q is %v, with markers %v", name, text, a, b)
			}
		}
		if plain.WithMarkers(nil) != plain || plain.WithMarkers([]int32{-1, 1 << 30}) != plain {
			t.Errorf("%s: no markers make another tokenizer", name)
		}
	})
}

// What a template writes beside markers is no marker: words, spaces,
// punctuation, and what is user-defined for other reasons.
func TestMarkersIn(t *testing.T) {
	kvs := llmtest.SPM([]string{"  ", "ö", "word", "```", "<|\"|>", "USER:", "<think>", "[INST]", "<control>"}, " user", "user", ": ", "end.", "(s)", "<b>")
	for i, kv := range kvs {
		if v, ok := kv.Value.([]int32); ok {
			for j := 259; j < 267; j++ {
				v[j] = 4
			}
			kvs[i].Value = v
		}
	}
	tok := build(t, kvs)
	got := show(tok, tok.MarkersIn("<s><control>  user: end. ö word ```<think>\nUSER: [INST]<|\"|> (s) <b> <think></s>"))
	if want := "<s>|<control>|<think>|USER:|[INST]|<|\"|>|(s)|<b>|</s>"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := tok.MarkersIn(""); got != nil {
		t.Errorf("nothing has markers %v", got)
	}
}

// No text made of pieces of markers becomes a marker.
func FuzzMarkers(f *testing.F) {
	var toks []*Tokenizer
	eachVocabulary(func(name string, kvs []gguf.KeyValue) {
		tok := build(f, kvs)
		toks = append(toks, tok.WithMarkers(tok.MarkersIn(strings.Join(looks, " "))))
	})
	var pieces []string
	for _, m := range looks {
		for i := range m {
			pieces = append(pieces, m[:i], m[i:])
		}
	}
	f.Add([]byte{0, 1, 2, 3}, "x")
	f.Add([]byte{1, 1, 0, 9, 20, 33}, "<s2>")
	f.Fuzz(func(t *testing.T, order []byte, text string) {
		s, parts := "", []Part{{Text: text}}
		for i, n := range order {
			p := pieces[int(n)%len(pieces)]
			s += p
			parts = append(parts, Part{Text: p, Special: i%2 == 0 && !slices.Contains(looks, p)})
		}
		for _, tok := range toks {
			for _, ids := range [][]int32{tok.Encode(s+text, EncodeOptions{}), tok.Encode(text+s, EncodeOptions{}), tok.EncodeParts(EncodeOptions{}, parts...)} {
				for _, id := range ids {
					if tok.IsMarker(id) {
						t.Fatalf("%q, %q: %s", s, text, show(tok, ids))
					}
				}
			}
			if got := strings.TrimPrefix(tok.Decode(tok.Encode(s, EncodeOptions{})...), " "); !tok.spacePrefix && got != strings.TrimPrefix(s, " ") {
				t.Fatalf("%q came back as %q", s, got)
			}
		}
	})
}
