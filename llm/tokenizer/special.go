package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"alphaos/llm/gguf"
)

// Special tokens are found by their text before anything else, the longest
// token first, over the whole text. User-defined ones (runs of white space,
// <think>, ...) are found in any text; control and unknown ones only where the
// caller trusts the text, and so are markers, which are tokens of any type that
// the model's chat template writes.

// Texts of tokens that end an answer, in any vocabulary. A file may fail to
// mark them as control tokens, so they are known by their text, as in
// llama.cpp.
var endTexts = []string{
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
	"<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
	"<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
	"<｜end▁of▁sentence｜>", "[e~[",
	// Fill-in-the-middle padding and file separators end an answer too.
	"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]",
	"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
}

// classify completes the kinds of tokens that the file gives.
func (t *Tokenizer) classify(f *gguf.File) {
	find := map[string]int32{}
	for _, text := range endTexts {
		find[text] = -1
	}
	untyped := f.Ints("tokenizer.ggml.token_type") == nil
	for i, text := range t.text {
		a := &t.attr[i]
		if len(text) >= 4 && len(text) <= 24 && !ordinary(text[0]) {
			if _, ok := find[text]; ok {
				find[text] = int32(i)
			}
		}
		// Markers that a converter called user-defined must not come out of
		// what a person types even where no template tells that they are ones.
		if *a&attrUserDefined != 0 && isMarker(text) {
			*a = *a&^attrUserDefined | attrControl
		}
		if untyped && !t.bytelevel {
			if _, ok := byteToken(text); ok {
				*a |= attrByte
			}
		}
	}
	if untyped {
		for _, id := range []int32{t.bos, t.eos} {
			if id >= 0 {
				t.attr[id] |= attrControl
			}
		}
		if t.unk >= 0 && t.attr[t.unk] == 0 {
			t.attr[t.unk] |= attrUnknown
		}
	}
	end := func(id int32) {
		if id >= 0 {
			t.attr[id] |= attrEnd
		}
	}
	for text, id := range find {
		if id < 0 {
			continue
		}
		// OpenAI's harmony format ends parts of an answer with <|end|>.
		if text == "<|end|>" && (find["<|call|>"] >= 0 && find["<|return|>"] >= 0 || find["<|calls|>"] >= 0 && find["<|flush|>"] >= 0) {
			continue
		}
		if text == "</s>" && find["<|tool_response>"] >= 0 {
			continue // Gemma 4 means the HTML tag
		}
		t.attr[id] |= attrControl
		end(id)
	}
	end(t.eos)
	for _, key := range []string{"eot", "eom", "fim_pad", "fim_rep", "fim_sep"} {
		if v, ok := f.Uint("tokenizer.ggml." + key + "_token_id"); ok && v < uint64(len(t.text)) {
			end(int32(v))
		}
	}

	// Phi 3's markers swallow the line break after them; its file does not say so.
	if name, _ := f.String("general.name"); strings.Contains(strings.ToLower(name), "phi-3") || strings.Contains(strings.ToLower(name), "phi3") {
		for i, text := range t.text {
			if t.attr[i]&(attrControl|attrUserDefined|attrUnknown) != 0 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>" {
				t.attr[i] |= attrRstrip
			}
		}
	}
}

// isMarker reports whether a token looks like a marker of turns or roles.
func isMarker(text string) bool {
	return len(text) > 4 && text[:2] == "<|" && text[len(text)-2:] == "|>" ||
		text == "<start_of_turn>" || text == "<end_of_turn>" || text == "[INST]" || text == "[/INST]"
}

func ordinary(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c >= 0x80
}

// collectSpecial lists the special tokens and those that may be markers,
// longest first.
func (t *Tokenizer) collectSpecial() {
	t.special, t.userDefined, t.candidates = nil, nil, nil
	for i, a := range t.attr {
		id := int32(i)
		if t.text[i] == "" {
			continue
		}
		if a&(attrControl|attrUserDefined|attrUnknown|attrMarker) != 0 {
			t.special = append(t.special, id)
		}
		if a&(attrControl|attrUnknown|attrMarker) != 0 || t.mayBeMarker(id) {
			t.candidates = append(t.candidates, id)
		}
	}
	longestFirst := func(a, b int32) int { return len(t.spelling(b)) - len(t.spelling(a)) }
	slices.SortStableFunc(t.special, longestFirst)
	slices.SortStableFunc(t.candidates, longestFirst)
	for _, id := range t.special {
		if t.attr[id]&(attrControl|attrUnknown|attrMarker) == 0 {
			t.userDefined = append(t.userDefined, id)
		}
	}
}

// mayBeMarker reports whether a token that is neither control nor unknown is a
// marker when a template writes it. A template also writes words, white space
// and punctuation, and these are none: a marker has a letter or digit and stands
// between signs, as in <|user|>, [INST] or <｜User｜>. A user-defined token was
// put into the vocabulary by hand, so one sign is enough, as in USER:, and so are
// brackets around signs alone, as in <|"|>. BOS and EOS are markers anyhow. Some
// ordinary tokens look so too, such as "id" with its quotes or (s): if a template
// writes one, it is not made of what people say, which then has other ids and
// reads the same.
func (t *Tokenizer) mayBeMarker(id int32) bool {
	text, a := t.spelling(id), t.attr[id]
	if len(text) < 3 || a&(attrControl|attrUnknown|attrByte) != 0 {
		return false
	}
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	between := isSign(first) && isSign(last)
	if !between && a&attrUserDefined == 0 {
		return (id == t.bos || id == t.eos) && strings.TrimSpace(text) != ""
	}
	word := strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	return word && (between || strings.ContainsFunc(text, isSign)) ||
		a&attrUserDefined != 0 && (first == '<' && last == '>' || first == '[' && last == ']')
}

// isSign reports whether r is no letter, digit or space.
func isSign(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !unicode.IsSpace(r) && r != '\u2581'
}

// spelling is how a special token, or one that may be a marker, is written in a
// text. Byte-level BPE spells ordinary tokens in characters that stand for bytes.
func (t *Tokenizer) spelling(id int32) string {
	if t.bytelevel && t.attr[id]&(attrControl|attrUserDefined|attrUnknown) == 0 {
		return t.piece[id]
	}
	return t.text[id]
}

// MarkersIn returns the tokens that stand as markers in text, which a chat
// template wrote: each control token, and tokens of other types that are no
// words, white space or punctuation. No id occurs twice.
func (t *Tokenizer) MarkersIn(text string) (ids []int32) {
	t.partition(text, t.candidates, func(id int32) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}, func(string) {})
	return ids
}

// WithMarkers returns t as a conversation must have it in which the tokens ids
// are markers: like control tokens they are found, whatever their type, where
// the text is trusted, and never come out of ordinary text. Unlike control
// tokens they are not silent when decoded, unless they were before.
func (t *Tokenizer) WithMarkers(ids []int32) *Tokenizer {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int32) bool {
		return uint64(id) >= uint64(len(t.attr)) || t.attr[id]&(attrControl|attrUnknown|attrMarker) != 0
	})
	if len(ids) == 0 {
		return t
	}
	c := *t
	c.attr = slices.Clone(t.attr)
	indexed := false // ordinary text may be merged into one of ids
	for _, id := range ids {
		c.attr[id] |= attrMarker
		indexed = indexed || !t.bytelevel || t.attr[id]&attrUserDefined == 0
	}
	c.collectSpecial()
	if !indexed {
		return &c
	}
	c.longest, c.spacesInside = 0, false
	c.makeIndex()
	if c.bytelevel {
		c.byteID = t.byteID // no marker is a single byte
		c.merges, c.symbols = t.merges.without(ids, t.symbols)
	}
	return &c
}

// IsMarker reports whether token id is a control token or one of those that
// WithMarkers was given.
func (t *Tokenizer) IsMarker(id int32) bool {
	return uint64(id) < uint64(len(t.attr)) && t.attr[id]&(attrControl|attrMarker) != 0
}

// fragment is ordinary text, or a special token where id is not negative.
type fragment struct {
	text string
	id   int32
}

// partition cuts text at the given tokens, longest first, and hands out what it
// finds, in order.
func (t *Tokenizer) partition(text string, tokens []int32, special func(int32), raw func(string)) {
	if len(tokens) == 0 || text == "" {
		if text != "" {
			raw(text)
		}
		return
	}
	// Most special tokens are not in the text. Their first two bytes tell so
	// without a search, which keeps a thousand of them as cheap as one.
	var starts [1 << 16 / 64]uint64
	for i := 0; i+1 < len(text); i++ {
		v := uint16(text[i])<<8 | uint16(text[i+1])
		starts[v>>6] |= 1 << (v & 63)
	}
	fragments := []fragment{{text, -1}}
	var next []fragment
	for _, id := range tokens {
		s := t.spelling(id)
		if len(s) > len(text) {
			continue
		}
		if len(s) > 1 {
			if v := uint16(s[0])<<8 | uint16(s[1]); starts[v>>6]&(1<<(v&63)) == 0 {
				continue
			}
		}
		if !strings.Contains(text, s) {
			continue
		}
		next = next[:0]
		for _, f := range fragments {
			for f.id < 0 {
				i := strings.Index(f.text, s)
				if i < 0 {
					break
				}
				if i > 0 {
					next = append(next, fragment{f.text[:i], -1})
				}
				next = append(next, fragment{"", id})
				f.text = f.text[i+len(s):]
				if t.attr[id]&attrRstrip != 0 {
					f.text = strings.TrimLeft(f.text, " \t\n\v\f\r")
				}
			}
			if f.id >= 0 || f.text != "" {
				next = append(next, f)
			}
		}
		fragments, next = next, fragments
	}
	for _, f := range fragments {
		if f.id >= 0 {
			special(f.id)
		} else {
			raw(f.text)
		}
	}
}

// Spell returns ids that decode to text and are others than those that Encode
// makes of it in the middle of a text: character by character, or byte by byte.
// It returns nil if there are none.
func (t *Tokenizer) Spell(text string) []int32 {
	usual := t.EncodeParts(EncodeOptions{}, Part{IDs: []int32{}}, Part{Text: text})
	var parts []Part
	for _, r := range text {
		parts = append(parts, Part{IDs: []int32{}}, Part{Text: string(r)})
	}
	if ids := t.EncodeParts(EncodeOptions{}, parts...); !slices.Equal(ids, usual) {
		return ids
	}
	var ids []int32
	for _, b := range []byte(text) {
		if t.byteID[b] < 0 || int(t.byteID[b]) >= len(t.text) {
			return nil
		}
		ids = append(ids, t.byteID[b])
	}
	if slices.Equal(ids, usual) {
		return nil
	}
	return ids
}
