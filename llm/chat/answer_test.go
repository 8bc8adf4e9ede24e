package chat

import (
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/tokenizer"
)

// A template of the harmony format, with what matters of it: a system's text is
// the developer's, old answers have their final message alone.
const jinjaHarmony = `{{- "<|start|>system<|message|>You are a model.\n\n# Valid channels: analysis, commentary, final.<|end|>" -}}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{- "<|start|>developer<|message|># Instructions\n\n" + message.content + "<|end|>" -}}
{%- elif message.role == 'assistant' -%}
{%- if "<|channel|>analysis<|message|>" in message.content -%}{{- raise_exception("thoughts in the content") -}}{%- endif -%}
{{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" -}}
{%- else -%}{{- "<|start|>user<|message|>" + message.content + "<|end|>" -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|start|>assistant" -}}{%- endif -%}`

// harmonyVocabularies have the markers as tokens of each type, only some of
// them, and none.
func harmonyVocabularies() map[string][]gguf.KeyValue {
	all := append([]string{"<|startoftext|>", "<|return|>"}, "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>")
	of := func(kind int32, markers ...string) []gguf.KeyValue {
		kvs := llmtest.BPE("gpt-4o", markers, "h i", "n a", "< |", "| >", "e n", "en d")
		for i, kv := range kvs {
			if v, ok := kv.Value.([]int32); ok {
				for j := len(v) - len(markers); j < len(v); j++ {
					v[j] = kind
				}
				kvs[i].Value = v
			}
		}
		return kvs
	}
	return map[string][]gguf.KeyValue{
		"control":      of(3, all...),
		"user-defined": of(4, all...),
		"normal":       of(1, all...),
		"some":         of(3, all[:5]...), // neither <|end|> nor <|call|>
		"no call":      of(3, all[:7]...),
		"none":         of(3, "<|startoftext|>", "<|endoftext|>"),
	}
}

// spelt makes the ids of what a model says: markers are tokens where the
// vocabulary has them.
func spelt(tok *tokenizer.Tokenizer, text string) []int32 {
	return tok.Encode(text, tokenizer.EncodeOptions{ParseSpecial: true})
}

func TestHarmony(t *testing.T) {
	for name, kvs := range harmonyVocabularies() {
		raw, tmpl := model(t, kvs, jinjaHarmony)
		tok := tmpl.Vocabulary(raw)
		if !tmpl.harmony() || name != "none" && name != "some" && tmpl.Warning() != "" {
			t.Errorf("%s: %s, %+v", name, tmpl.Warning(), tmpl.own)
			continue
		}
		for _, c := range []struct{ made, want string }{
			{"<|channel|>analysis<|message|>Hm, hi.<|end|><|start|>assistant<|channel|>final<|message|>Hi!<|return|>", "Hi!"},
			{"<|channel|>final<|message|>Hi!<|return|>", "Hi!"},
			{"<|channel|>final<|message|>Hi! 漢<|end|>and more", "Hi! 漢"},
			{"<|channel|>final<|message|>Hi!<|start|>user<|message|>What?", "Hi!"},
			{"<|channel|>final<|message|>a < b <| c |> d <", "a < b <| c |> d <"},
			{"<|message|>Hi!<|return|>", "Hi!"},
			{"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>" +
				"<|start|>assistant<|channel|>analysis<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>", "Hi"},
			{"<|channel|>commentary to=functions.look <|constrain|>json<|message|>{}<|call|>", ""},
			{"<|channel|>analysis<|message|>only thoughts", ""},
			{"<|channel|>analysis<|message|>thoughts<|channel|>final<|message|>na<|return|>", "na"},
			{" to=functions.look<|channel|>commentary<|message|>{}<|call|>", ""},
			{"Hi!<|return|>", "Hi!"}, // a model that does not keep to it
			{strings.Repeat("hi na ", 40) + "<|return|>", strings.Repeat("hi na ", 40)},
			{"", ""},
		} {
			a := tmpl.Answer(raw)
			var got string
			more := true
			ids := spelt(tok, c.made)
			for i, id := range ids {
				var s string
				s, more = a.Write(id)
				got += s
				if !more {
					if i < len(ids)-1 && !strings.Contains(c.made, "more") && !strings.Contains(c.made, "What?") {
						t.Errorf("%s: %s ended after %s", name, c.made, spell(tok, ids[:i+1]))
					}
					break
				}
			}
			got += a.End()
			if got != c.want {
				t.Errorf("%s: %s is %q, want %q", name, c.made, got, c.want)
			}
			if ends := strings.HasSuffix(c.made, "<|return|>") || strings.HasSuffix(c.made, "<|call|>"); ends && more {
				t.Errorf("%s: %s goes on", name, c.made)
			}
			if !more {
				if s, _ := a.Write(tok.Encode("h", tokenizer.EncodeOptions{})[0]); s+a.End() != "" {
					t.Errorf("%s: %q after the end", name, s)
				}
			}
			if made := a.IDs(); made != nil && tok.Decode(made...) != c.want {
				t.Errorf("%s: %s has the tokens of %q", name, c.made, tok.Decode(made...))
			} else if made == nil && c.want != "" && name != "none" && name != "some" && name != "no call" {
				t.Errorf("%s: the tokens of %s are not known", name, c.made)
			}
		}
		// What was thought is not in the next prompt, and what was answered is
		// there as the tokens it was made of.
		turns := []Turn{{Role: "system", Text: "Be brief."}, {Role: "user", Text: "hi"}}
		first := tmpl.Prompt(raw, turns)
		a := tmpl.Answer(raw)
		for _, id := range spelt(tok, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>") {
			a.Write(id)
		}
		for _, letter := range []string{"h", "i"} { // not as an encoder would
			a.Write(tok.Encode(letter, tokenizer.EncodeOptions{})[0])
		}
		answer := Turn{Role: "assistant", Text: "hi", IDs: a.IDs()}
		next := tmpl.Prompt(raw, append(turns, answer, Turn{Role: "user", Text: "na"}))
		if !slices.Equal(next[:len(first)], first) {
			t.Errorf("%s: %q does not begin with %q", name, spell(tok, next), spell(tok, first))
		}
		if answer.IDs != nil && !slices.Equal(answer.IDs, tok.EncodeParts(tokenizer.EncodeOptions{}, tokenizer.Part{Text: "h"}, tokenizer.Part{IDs: []int32{}}, tokenizer.Part{Text: "i"})) {
			t.Errorf("%s: the answer's tokens are %v", name, answer.IDs)
		}
		want := "<|start|>system<|message|>You are a model.\n\n# Valid channels: analysis, commentary, final.<|end|><|start|>developer<|message|># Instructions\n\nBe brief.<|end|>" +
			"<|start|>user<|message|>hi<|end|><|start|>assistant<|channel|>final<|message|>hi<|end|><|start|>user<|message|>na<|end|><|start|>assistant"
		if got := strings.TrimPrefix(spell(tok, next), "<|startoftext|>"); got != want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// Answers of other formats are all text, to the first token that ends them.
func TestAnswer(t *testing.T) {
	tok, tmpl := model(t, bpe(), jinjaChatML)
	a := tmpl.Answer(tok)
	var got string
	for _, id := range spelt(tok, "hi <|channel|>é<|im_end|>x") {
		s, more := a.Write(id)
		if got += s; !more {
			break
		}
	}
	if got += a.End(); got != "hi <|channel|>é" || tok.Decode(a.IDs()...) != got {
		t.Errorf("%q, %v", got, a.IDs())
	}
}

// However a model's tokens cut its text, the same of it is shown, and nothing
// panics.
func FuzzAnswer(f *testing.F) {
	type pair struct {
		tok  *tokenizer.Tokenizer
		tmpl Template
	}
	var all []pair
	for _, kvs := range harmonyVocabularies() {
		tok, tmpl := model(f, kvs, jinjaHarmony)
		all = append(all, pair{tmpl.Vocabulary(tok), tmpl})
	}
	f.Add("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>")
	f.Add("<|channel|><|end|>a<|message|><|<|message|>\xff")
	f.Fuzz(func(t *testing.T, made string) {
		for _, p := range all {
			show := func(ids []int32) (text string) {
				a := p.tmpl.Answer(p.tok)
				for _, id := range ids {
					s, more := a.Write(id)
					if text += s; !more {
						break
					}
				}
				return text + a.End()
			}
			whole := spelt(p.tok, made)
			var cut []int32 // the same, byte by byte
			for _, id := range whole {
				if p.tok.IsMarker(id) {
					cut = append(cut, id)
					continue
				}
				for _, b := range []byte(p.tok.Decode(id)) {
					cut = append(cut, p.tok.Encode(string([]byte{b}), tokenizer.EncodeOptions{})...)
				}
			}
			if len(made) > longHeader {
				continue // where a header is too long depends on the tokens
			}
			if a, b := show(whole), show(cut); a != b {
				t.Fatalf("%q is %q, byte by byte %q", made, a, b)
			}
		}
	})
}
