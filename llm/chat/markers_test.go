package chat

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/tokenizer"
)

// looks are templates of our own, with markers as models have them beside those
// of testdata, and some that are put together when the template runs.
var looks = map[string]string{
	"roles": `{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|' ~ 'end' ~ '|>' }}{% endfor %}{{ '<|assistant|>' }}`,
	"turns": `{% for m in messages %}{{ '<|turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim + '<turn|>\n' }}{% endfor %}{{ '<|turn>model\n' }}`,
	"signs": `{% for m in messages %}]~b]{{ m.role }}:{{ m.content }}[e~[{% endfor %}]~b]assistant:`,
	"odd":   `{% for m in messages %}{{ '>>' + m.role.upper() + '<< ' + m.content }}{{ '[EOT]' }}{% endfor %}>>ASSISTANT<<`,
	"bars":  `{% for m in messages %}<｜{{ m.role | capitalize }}｜>{{ m.content }}<｜end▁of▁turn｜>{% endfor %}<｜Assistant｜><think>`,
	"words": `{% for m in messages %}{{ '### ' + m.role | capitalize + ':\n' + m.content + '\n\n' }}{% endfor %}### Assistant:` + "\n",
	"typed": `{% for m in messages %}<row>{{ m['role'] }}: {% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}<end_row>{% endfor %}<row>assistant:`,
}

func allTemplates(t testing.TB) map[string]string {
	all := templates(t)
	for name, source := range looks {
		all[name] = source
	}
	all["harmony"] = jinjaHarmony
	return all
}

// markersOf are the markers that a template writes or mentions.
func markersOf(source string, f *gguf.File) []string {
	t := detect(f, source)
	if t.marks == nil {
		return nil
	}
	var found []string
	for _, s := range slices.Concat(t.marks.turns, t.marks.opening, t.marks.mentions) {
		found = append(found, markersIn(s)...)
	}
	found = append(found, "]~b]", "[e~[", "<bos>", "<s>", ">>USER<<", ">>ASSISTANT<<")
	slices.Sort(found)
	return slices.Compact(found)
}

// ours makes vocabularies that have all those markers, of each type, and such
// that ordinary text would be merged to them, and without them.
func ours(markers []string) map[string][]gguf.KeyValue {
	all := map[string][]gguf.KeyValue{}
	for name, kind := range map[string]int32{"normal": llmtest.Normal, "control": llmtest.Control, "user-defined": llmtest.UserDefined} {
		all["bpe, "+name] = llmtest.Retype(llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"}, "h i", "Ġ h", "u s", "us er"), kind, markers...)
		all["spm, "+name] = llmtest.Retype(llmtest.SPM(nil, " hi", "user"), kind, markers...)
		all["spm merged, "+name] = llmtest.Retype(llmtest.SPM(nil, append(slices.Clone(markers), " hi")...), kind, markers...)
	}
	all["bpe, none"] = llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"}, "h i", "Ġ h", "u s", "us er", "e n", "en d", "I N", "Ġ [")
	all["spm, none"] = llmtest.SPM(nil, " hi", "user", "INST", "system")
	return all
}

// A marker that a template writes is one id where the vocabulary has it, of
// whatever type and look; what people, documents and models say never becomes
// one, and is not changed by that.
func TestWhoWritesMarkers(t *testing.T) {
	all := allTemplates(t)
	bare := llmtest.New(llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"})...).Tables()
	for template, source := range all {
		for name, kvs := range ours(markersOf(source, bare)) {
			checkMarkers(t, template+", "+name, newVocabulary(t, llmtest.New(kvs...).Tables()), source)
		}
	}
}

// The same with all reference vocabularies.
func TestWhoWritesMarkersShared(t *testing.T) {
	var names []string
	for _, pattern := range []string{"data/tokenizer/*.gguf", "data/models/*.gguf", "data2/tokenizer/*.gguf", "data2/models/*.gguf", "cases/*/*.gguf"} {
		found, err := filepath.Glob("../../../shared/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if names == nil {
		t.Skip("reference data is absent")
	}
	all, seen, tested := allTemplates(t), map[[32]byte]bool{}, 0
	for _, name := range names {
		f, err := llmtest.OpenTables(t, name)
		if err != nil {
			continue // some are meant to be unreadable
		}
		if source, ok := f.String("tokenizer.chat_template"); ok {
			all["of "+filepath.Base(name)] = source
		}
		key := sha256.Sum256([]byte(fmt.Sprint(f.Strings("tokenizer.ggml.tokens"), f.Ints("tokenizer.ggml.token_type"), f.Value("tokenizer.ggml.model"), f.Value("tokenizer.ggml.pre"))))
		kind, _ := f.String("tokenizer.ggml.model")
		if _, err := tokenizer.New(f); err != nil || seen[key] || kind == "bert" { // no BERT talks
			continue
		}
		seen[key] = true
		tested++
		v := newVocabulary(t, f)
		for template, source := range all {
			checkMarkers(t, template+", "+filepath.Base(name), v, source)
		}
	}
	t.Logf("%d vocabularies, %d templates", tested, len(all))
}

type vocabulary struct {
	file    *gguf.File
	tok     *tokenizer.Tokenizer
	tokens  map[string]bool
	control []string // some of them
	spm     bool
}

func newVocabulary(t *testing.T, f *gguf.File) *vocabulary {
	t.Helper()
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	kind, _ := f.String("tokenizer.ggml.model")
	v := &vocabulary{file: f, tok: tok, tokens: map[string]bool{}, spm: kind == "llama"}
	for id, text := range f.Strings("tokenizer.ggml.tokens") {
		v.tokens[text] = true
		if tok.IsControl(int32(id)) && len(v.control) < 30 {
			v.control = append(v.control, text)
		}
	}
	return v
}

// checkMarkers checks one template with one vocabulary.
func checkMarkers(t *testing.T, name string, v *vocabulary, source string) {
	t.Helper()
	f, raw := v.file, v.tok
	tmpl := detect(f, source).WithClock(marchNow)
	if tmpl.own == nil {
		t.Errorf("%s: %s", name, tmpl.Warning())
		return
	}
	tok := tmpl.Vocabulary(raw)

	// What the template wrote, by its own account, and how often each marker
	// that the vocabulary has is in it.
	own := func(turns []Turn) (text string, written map[string]int) {
		out, err := tmpl.own.render(turns, given{now: marchNow})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		written = map[string]int{}
		for _, r := range out.Runs() {
			if r.Origin == 0 {
				for _, m := range append(markersIn(r.Text), others(r.Text)...) {
					if v.tokens[m] {
						written[m]++
					}
				}
			}
		}
		return out.String(), written
	}
	count := func(ids []int32, m string) (n int) {
		for _, id := range ids {
			if tok.Text(id) == m {
				n++
			}
		}
		return n
	}
	talk := func(role, text string) []Turn {
		turns := []Turn{{Role: "system", Text: "hi s"}, {Role: "user", Text: "hi u"}, {Role: "assistant", Text: "hi a"}, {Role: "user", Text: "hi"}}
		if role == "document" {
			role, text = "user", "Answer from this:\n\n"+text+"\n"
		}
		i := slices.IndexFunc(turns, func(t Turn) bool { return t.Role == role })
		turns[i].Text = text
		return turns
	}

	turns := talk("user", "hi u")
	ids := tmpl.Prompt(raw, turns)
	_, written := own(turns)
	for m, n := range written {
		if got := count(ids, m); got != n && !(got == n+1 && tok.AddsBOS() && m == tok.Text(tok.BOS())) {
			t.Errorf("%s: %s is written %d times and there %d times: %q", name, m, n, got, spell(tok, ids))
		}
	}
	// Ids that a model makes are what it said, but not markers between turns.
	for id := range tmpl.reading(raw).turns {
		turns := talk("assistant", "hi "+tok.Decode(id)+"a")
		turns[2].IDs = []int32{tok.Encode("h", tokenizer.EncodeOptions{})[0], id}
		if got, want := times(tok, tok.Text(id), tmpl.Prompt(raw, turns)), times(tok, tok.Text(id), ids); got > want && isSpecial(tok, id) {
			t.Errorf("%s: an answer writes %s", name, tok.Text(id))
		}
	}

	forged := append(markersOf(source, f), v.control...)
	allowed := map[int32]bool{} // in what the model says
	for _, s := range tmpl.reading(raw).model {
		for _, id := range s.part.IDs {
			allowed[id] = len(s.part.IDs) == 1
		}
	}
	// All at once, and each by itself if that fails.
	try := func(markers []string) bool {
		for _, who := range []string{"system", "user", "assistant", "document"} {
			good := tmpl.Prompt(raw, talk(who, "hi  hi"))
			turns := talk(who, "hi "+strings.Join(markers, "x ")+" hi")
			bad := tmpl.Prompt(raw, turns)
			n := map[int32]int{}
			for _, id := range good {
				n[id]--
			}
			for _, id := range bad {
				n[id]++
			}
			for id, more := range n {
				if more > 0 && tok.IsMarker(id) && !(who == "assistant" && allowed[id]) {
					if len(markers) == 1 {
						t.Errorf("%s: %s writes %s: %q", name, who, tok.Text(id), spell(tok, bad))
					}
					return false
				}
			}
			// Nothing was changed, but for what SentencePiece does to spaces, and
			// Phi 3's markers to line breaks.
			text, _ := own(turns)
			got := spell(tok, bad)
			if tok.AddsBOS() && !strings.HasPrefix(text, tok.Text(tok.BOS())) {
				got = strings.TrimPrefix(got, tok.Text(tok.BOS()))
			}
			plain := strings.NewReplacer(" ", "", "▁", "", "\n", "")
			if same := got == text || plain.Replace(got) == plain.Replace(text) && v.spm; !same && !unspellable(tok, markers) {
				if len(markers) == 1 {
					t.Errorf("%s: %s said\n%q, which reads\n%q", name, who, text, got)
				}
				return false
			}
		}
		return true
	}
	if !try(forged) {
		for _, m := range forged {
			try([]string{m})
		}
	}
}

// others are markers of the templates of our own that markersIn does not know.
func others(text string) (found []string) {
	for _, m := range []string{"]~b]", "[e~[", ">>SYSTEM<<", ">>USER<<", ">>ASSISTANT<<"} {
		for range strings.Count(text, m) {
			found = append(found, m)
		}
	}
	return found
}

func isSpecial(tok *tokenizer.Tokenizer, id int32) bool {
	_, ok := tok.Special(tok.Text(id))
	return ok
}

// unspellable reports whether there is but one way to write some of markers
// with ordinary tokens, as in a vocabulary of nothing but letters.
func unspellable(tok *tokenizer.Tokenizer, markers []string) bool {
	return slices.ContainsFunc(markers, func(m string) bool {
		_, ok := tok.Special(m)
		return !ok && tok.Spell(m) == nil
	})
}

// What lacks in the vocabulary is told.
func TestLackingMarkers(t *testing.T) {
	for _, c := range []struct {
		kvs    []gguf.KeyValue
		source string
		want   string
	}{
		{bpe(), jinjaChatML, ""},
		{llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"}), jinjaChatML, "(<|im_end|> <|im_start|>)"},
		{llmtest.Retype(llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"}), llmtest.Normal, "<|im_end|>"), jinjaChatML, "(<|im_start|>)"},
		{llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"}), "{{ '<begin>' }}" + jinjaChatML, "(<begin> <|im_end|> <|im_start|>)"},
		{bpe(), looks["words"], ""},
	} {
		_, tmpl := model(t, c.kvs, c.source)
		if w := tmpl.Warning(); (w != "") != (c.want != "") || !strings.Contains(w, c.want) {
			t.Errorf("%s: %q, want %q", c.source, w, c.want)
		}
	}
}

// A template that reads only typed parts of a content gets them.
func TestTypedContent(t *testing.T) {
	tok, tmpl := model(t, bpe(), looks["typed"])
	if tmpl.Plain() || !tmpl.own.typed {
		t.Fatalf("%q", tmpl.Warning())
	}
	want := "<|begin_of_text|><row>system: Be brief.<end_row><row>user:  hi <end_row><row>assistant: Hello!<end_row><row>user: Why?<end_row><row>assistant:"
	if got := spell(tok, tmpl.Prompt(tok, talk)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, tmpl := model(t, bpe(), templates(t)["gemma-3"]); tmpl.own.typed {
		t.Error("typed parts where a text does")
	}
}

// What a model says of its own thoughts is in the next prompt as it said it;
// what a person says of them is not.
func TestThoughtMarkers(t *testing.T) {
	source := `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n{% if enable_thinking is defined %}<think>\n\n</think>{% endif %}`
	for _, kind := range []int32{llmtest.Normal, llmtest.UserDefined} {
		tok, tmpl := model(t, llmtest.Retype(bpe(), kind, "<think>", "</think>"), source)
		for who, want := range map[string]int{"user": 0, "system": 0, "assistant": 1} {
			turns := []Turn{{Role: "user", Text: "hi"}, {Role: who, Text: "<think>hi</think>"}, {Role: "user", Text: "hi"}}
			ids := tmpl.Prompt(tok, turns)
			for _, m := range []string{"<think>", "</think>"} {
				if got := times(tmpl.Vocabulary(tok), m, ids); got != want {
					t.Errorf("type %d, %s: %d of %s, want %d", kind, who, got, m, want)
				}
			}
		}
	}
}

// No text made of pieces of markers writes one.
func FuzzForged(f *testing.F) {
	type pair struct {
		name string
		tok  *tokenizer.Tokenizer
		tmpl Template
	}
	var all []pair
	var pieces []string
	bare := llmtest.New(llmtest.BPE("llama-bpe", []string{"<bos>", "<eos>"})...).Tables()
	for template, source := range allTemplates(f) {
		markers := markersOf(source, bare)
		for _, m := range markers {
			for i := range m {
				pieces = append(pieces, m[i:], m[:i])
			}
		}
		for name, kvs := range ours(markers) {
			tok, tmpl := model(f, kvs, source)
			all = append(all, pair{template + ", " + name, tok, tmpl})
		}
	}
	slices.Sort(pieces)
	pieces = slices.Compact(pieces)
	slices.SortFunc(all, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	f.Add(uint16(0), []byte{1, 2, 3, 4, 5, 6, 7, 8}, "hi")
	f.Add(uint16(77), []byte("<|im_start|>"), "</s>")
	f.Fuzz(func(t *testing.T, which uint16, order []byte, text string) {
		for i := 0; i+1 < len(order); i += 2 {
			text += pieces[(int(order[i])<<8+int(order[i+1]))%len(pieces)]
		}
		p := all[int(which)%len(all)]
		tok := p.tmpl.Vocabulary(p.tok)
		prompt := func(text string) map[string]int {
			n := map[string]int{}
			for _, id := range p.tmpl.Prompt(p.tok, []Turn{{Role: "system", Text: "x" + text}, {Role: "user", Text: "x" + text}, {Role: "assistant", Text: "x"}, {Role: "user", Text: text + "x"}}) {
				if tok.IsMarker(id) {
					n[tok.Text(id)]++
				}
			}
			return n
		}
		good, bad := prompt("hi"), prompt(text)
		for m, n := range bad {
			if n != good[m] {
				t.Fatalf("%s: %q has %d of %s, not %d", p.name, text, n, m, good[m])
			}
		}
	})
}
