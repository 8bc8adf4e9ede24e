package tokenizer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

func build(tb testing.TB, kvs []gguf.KeyValue) *Tokenizer {
	tb.Helper()
	t, err := New(llmtest.New(kvs...).Tables())
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func smallSPM(tb testing.TB, more ...gguf.KeyValue) *Tokenizer {
	return build(tb, append(llmtest.SPM([]string{"<|im_start|>", "<|im_end|>"}, " hello", " help", " world", "low"), more...))
}

func smallBPE(tb testing.TB, pre string, more ...gguf.KeyValue) *Tokenizer {
	return build(tb, append(llmtest.BPE(pre, []string{"<|begin|>", "<|end_of_text|>", "<|eot_id|>", "<|user|>"},
		"h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld", "Ġ Ġ", "Ċ Ċ"), more...))
}

// texts of tokens, joined by bars, show what was merged.
func show(t *Tokenizer, ids []int32) string {
	var s []string
	for _, id := range ids {
		s = append(s, t.Text(id))
	}
	return strings.Join(s, "|")
}

func TestEncodeSPM(t *testing.T) {
	tok := smallSPM(t)
	for _, c := range []struct{ text, want string }{
		{"hello world", "▁hello|▁world"},
		{"hello  world", "▁hello|▁|▁world"},
		{" hello", "▁|▁hello"},
		{"hell", "▁hell"},
		{"yellow", "▁|y|e|l|low"},
		{"é\n", "▁|<0xC3>|<0xA9>|<0x0A>"},
		{"\xff", "▁|<0xFF>"},
		{"a▁b", "▁|a|▁|b"}, // U+2581 is a space
		{"<0x41>", "▁|<|0|x|4|1|>"},
		{"", ""},
	} {
		if got := show(tok, tok.Encode(c.text, EncodeOptions{})); got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
	if got := show(tok, tok.Encode("low", EncodeOptions{AddBOS: true, AddEOS: true})); got != "<s>|▁|low" {
		t.Errorf("with BOS: %s", got)
	}
	tok = smallSPM(t, gguf.KeyValue{Key: "tokenizer.ggml.add_space_prefix", Value: false},
		gguf.KeyValue{Key: "tokenizer.ggml.add_bos_token", Value: false}, gguf.KeyValue{Key: "tokenizer.ggml.add_eos_token", Value: true})
	if got := show(tok, tok.Encode("low", EncodeOptions{AddBOS: true, AddEOS: true})); got != "low|</s>" {
		t.Errorf("without space prefix and BOS, with EOS: %s", got)
	}
}

// A vocabulary with a token that runs over a space.
func TestSpacesInside(t *testing.T) {
	tok := build(t, llmtest.SPM(nil, " hello", " o k a y", " o k"))
	for _, c := range []struct{ text, want string }{
		{"hello o k a y", "▁hello|▁o▁k▁a▁y"},
		{"o k o k", "▁o▁k|▁o▁k"},
	} {
		if got := encoded(tok, c.text); got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
	if !tok.spacesInside || smallSPM(t).spacesInside {
		t.Error("spacesInside is wrong")
	}
	// Encoding words one by one gives what encoding the whole text does.
	whole := smallSPM(t)
	whole.spacesInside = true
	for _, text := range []string{"hello  world hello", "   ", " hello ", "low low  low\n hello"} {
		if got, want := encoded(smallSPM(t), text), encoded(whole, text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestEncodeBPE(t *testing.T) {
	tok := smallBPE(t, "llama-bpe")
	for _, c := range []struct{ text, want string }{
		{"hello world", "hello|Ġworld"},
		{"hell world", "hell|Ġworld"},
		{"hello  world", "hello|Ġ|Ġworld"},
		{"a\n\n\n", "a|ĊĊ|Ċ"},
		{"é", "Ã|©"},
		{"\xff\x00", "ÿ|Ā"},
		{"", ""},
	} {
		if got := show(tok, tok.Encode(c.text, EncodeOptions{})); got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
	if got := show(tok, tok.Encode("hello", EncodeOptions{AddBOS: true, AddEOS: true})); got != "<|begin|>|hello" {
		t.Errorf("llama-bpe adds BOS unless told otherwise: %s", got)
	}
	tok = smallBPE(t, "gpt-2")
	if got := show(tok, tok.Encode("hello", EncodeOptions{AddBOS: true, AddEOS: true})); got != "hello" {
		t.Errorf("gpt-2 adds no BOS unless told: %s", got)
	}
}

// ignore_merges: a word that is a token is taken whole even if merges do not
// lead to it; without ignore_merges they decide.
func TestIgnoreMerges(t *testing.T) {
	kvs := llmtest.BPE("llama-bpe", nil, "a b", "b c")
	for i := range kvs {
		switch v := kvs[i].Value.(type) {
		case []string:
			if kvs[i].Key == "tokenizer.ggml.tokens" {
				kvs[i].Value = append(v, "abc")
			}
		case []int32:
			kvs[i].Value = append(v, 1)
		}
	}
	if got := encoded(build(t, kvs), "abc"); got != "abc" {
		t.Errorf("llama-bpe: %s", got)
	}
	kvs[1].Value = "gpt-2"
	if got := encoded(build(t, kvs), "abc"); got != "ab|c" {
		t.Errorf("gpt-2: %s", got)
	}
}

func encoded(t *Tokenizer, s string) string { return show(t, t.Encode(s, EncodeOptions{})) }

// What people type cannot become a control token; trusted text can.
func TestForgery(t *testing.T) {
	spm, bpe := smallSPM(t), smallBPE(t, "llama-bpe")
	for _, c := range []struct {
		tok  *Tokenizer
		text string
		want string
	}{
		{spm, "hello<|im_end|>\nlow</s>", "▁hello|<|im_end|>|▁|<0x0A>|low|</s>"},
		{bpe, "hello<|eot_id|>hello", "hello|<|eot_id|>|hello"},
		{bpe, "<|user|><|user|>", "<|user|>|<|user|>"},
	} {
		if got := show(c.tok, c.tok.Encode(c.text, EncodeOptions{ParseSpecial: true})); got != c.want {
			t.Errorf("parsed: got %s, want %s", got, c.want)
		}
		ids := c.tok.Encode(c.text, EncodeOptions{})
		for _, id := range ids {
			if c.tok.IsControl(id) {
				t.Errorf("%q: forged %s", c.text, c.tok.Text(id))
			}
		}
		if got := strings.TrimPrefix(c.tok.Decode(ids...), " "); got != c.text {
			t.Errorf("unparsed %q decodes to %q", c.text, got)
		}
		// A marker put together from a trusted and an untrusted part is none.
		half := len(c.text) - 2
		ids = c.tok.EncodeParts(EncodeOptions{}, Part{Text: c.text[:half]}, Part{Text: c.text[half:], Special: true})
		for _, id := range ids {
			if c.tok.IsControl(id) {
				t.Errorf("%q: forged %s over two parts", c.text, c.tok.Text(id))
			}
		}
	}
	// Nor through merges that lead to one, nor as a user-defined token.
	kvs := llmtest.BPE("gpt-2", nil, "< s", "<s >")
	for i, kv := range kvs {
		if v, ok := kv.Value.([]int32); ok {
			v[len(v)-1] = 3 // "<s>"
			kvs[i].Value = v
		}
	}
	tok := build(t, kvs)
	if got := encoded(tok, "<s>"); strings.Contains(got, "<s>") {
		t.Errorf("merges led to a control token: %s", got)
	}
}

func TestUserDefined(t *testing.T) {
	kvs := llmtest.SPM([]string{"<think>", "<|x|>"}, " hello")
	for i, kv := range kvs {
		if v, ok := kv.Value.([]int32); ok {
			v[259], v[260] = 4, 4
			kvs[i].Value = v
		}
	}
	tok := build(t, kvs)
	if got := encoded(tok, "hello<think>hello<|x|>"); !strings.HasPrefix(got, "▁hello|<think>|▁hello|<|") || strings.Contains(got, "<|x|>") {
		t.Errorf("got %s", got)
	}
	if got := tok.Decode(259); got != "<think>" {
		t.Errorf("a user-defined token decodes to %q", got)
	}
}

func TestParts(t *testing.T) {
	tok := smallSPM(t)
	ids := tok.EncodeParts(EncodeOptions{AddBOS: true},
		Part{Text: "<|im_start|>", Special: true}, Part{Text: "hel"}, Part{Text: "lo<|im_end|>"}, Part{Text: "<|im_end|>", Special: true},
		Part{IDs: []int32{5, 6}}, Part{Text: "low"})
	want := "<s>|<|im_start|>|▁hello|<|||i|m|_|e|n|d|||>|<|im_end|>|<0x02>|<0x03>|low"
	if got := show(tok, ids); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEnds(t *testing.T) {
	tok := smallSPM(t)
	for text, want := range map[string]bool{"</s>": true, "<|im_end|>": true, "<|im_start|>": false, "<s>": false} {
		id, ok := tok.Special(text)
		if !ok || tok.IsEnd(id) != want {
			t.Errorf("%s: found %v, IsEnd %v", text, ok, tok.IsEnd(id))
		}
	}
	if tok.IsEnd(-1) || tok.IsEnd(1<<30) || tok.Text(-1) != "" || tok.Decode(-5, 1<<30) != "" {
		t.Error("ids outside the vocabulary")
	}
	if tok.BOS() != 1 || tok.EOS() != 2 {
		t.Error("BOS, EOS", tok.BOS(), tok.EOS())
	}
	tok = smallSPM(t, gguf.KeyValue{Key: "tokenizer.ggml.eot_token_id", Value: uint32(300)})
	if !tok.IsEnd(300) {
		t.Error("eot_token_id is not an end")
	}
}

func TestDecoder(t *testing.T) {
	tok := smallSPM(t)
	text := "hello é 漢 🙂!"
	d := tok.NewDecoder()
	var got string
	for _, id := range tok.Encode(text, EncodeOptions{AddBOS: true}) {
		s := d.Write(id)
		if !utf8.ValidString(s) {
			t.Errorf("invalid UTF-8 %q", s)
		}
		got += s
	}
	got += d.Flush()
	if got != " "+text {
		t.Errorf("got %q", got)
	}
	// Broken bytes: a lone continuation, a character cut by another, and one
	// cut by the end.
	d = tok.NewDecoder()
	got = ""
	for _, b := range []byte{0x80, 'a', 0xe6, 0xbc, 'b', 0xf0, 0x9f} {
		got += d.Write(int32(b) + 3)
	}
	if got += d.Flush(); got != "\uFFFDa\uFFFDb\uFFFD" {
		t.Errorf("broken bytes: %q", got)
	}
	if d.Flush() != "" {
		t.Error("flushed twice")
	}
}

func TestNewRefuses(t *testing.T) {
	bpe := llmtest.BPE("gpt-2", nil, "a b")
	spm := llmtest.SPM(nil, " a")
	without := func(kvs []gguf.KeyValue, key string, more ...gguf.KeyValue) []gguf.KeyValue {
		kvs = slices.DeleteFunc(slices.Clone(kvs), func(kv gguf.KeyValue) bool { return kv.Key == key })
		return append(kvs, more...)
	}
	for _, c := range []struct {
		kvs  []gguf.KeyValue
		want string
	}{
		{nil, "no tokenizer"},
		{[]gguf.KeyValue{{Key: "tokenizer.ggml.model", Value: "t5"}}, `kind "t5"`},
		{without(spm, "tokenizer.ggml.tokens"), "empty vocabulary"},
		{without(spm, "tokenizer.ggml.tokens", gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: []string{}}), "empty vocabulary"},
		{without(spm, "tokenizer.ggml.scores", gguf.KeyValue{Key: "tokenizer.ggml.scores", Value: []float32{1}}), "1 token scores"},
		{without(spm, "tokenizer.ggml.scores", gguf.KeyValue{Key: "tokenizer.ggml.scores", Value: "x"}), "type string"},
		{without(spm, "tokenizer.ggml.token_type", gguf.KeyValue{Key: "tokenizer.ggml.token_type", Value: []int32{1}}), "1 token types"},
		{without(bpe, "tokenizer.ggml.merges"), "no merges"},
	} {
		_, err := New(llmtest.New(c.kvs...).Tables())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	badBOS := llmtest.SPM(nil, " a")
	badBOS[slices.IndexFunc(badBOS, func(kv gguf.KeyValue) bool { return kv.Key == "tokenizer.ggml.bos_token_id" })].Value = uint32(99999)
	for want, tok := range map[string]*Tokenizer{
		`"nonsense" is not known`: smallBPE(t, "nonsense"),
		"does not name":           build(t, llmtest.BPE("", nil, "a b")),
		"outside the vocabulary":  build(t, badBOS),
		"2 of the tokenizer's 3":  build(t, llmtest.BPE("gpt-2", nil, "a b", "ab", "x ")),
	} {
		if w := tok.Warnings(); len(w) != 1 || !strings.Contains(w[0], want) {
			t.Errorf("warnings %q, want one with %q", w, want)
		}
		if encoded(tok, "a b c") == "" {
			t.Error("nothing encoded")
		}
	}
}

// A vocabulary without types still has its bytes and markers.
func TestUntyped(t *testing.T) {
	kvs := slices.DeleteFunc(llmtest.SPM(nil, " hello"), func(kv gguf.KeyValue) bool { return kv.Key == "tokenizer.ggml.token_type" })
	tok := build(t, kvs)
	ids := tok.Encode("hello\n", EncodeOptions{AddBOS: true})
	if got := tok.Decode(ids...); got != " hello\n" {
		t.Errorf("decoded %q from %s", got, show(tok, ids))
	}
}

// Any text comes back from its tokens.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"hello world", " \n\n hello<|eot_id|>", "\xff\xc3", "y'all 漢字 🙂", "▁</s><s>"} {
		f.Add(s)
	}
	spm, bpe, gpt2 := smallSPM(f), smallBPE(f, "llama-bpe"), smallBPE(f, "gpt-2")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range []*Tokenizer{bpe, gpt2} {
			if got := tok.Decode(tok.Encode(text, EncodeOptions{AddBOS: true, AddEOS: true})...); got != text {
				t.Fatalf("%q became %q", text, got)
			}
			tok.Encode(text, EncodeOptions{ParseSpecial: true})
		}
		want := strings.ReplaceAll(text, underline, " ")
		if want != "" {
			want = " " + want
		}
		if got := spm.Decode(spm.Encode(text, EncodeOptions{AddBOS: true})...); got != want {
			t.Fatalf("%q became %q", want, got)
		}
		var streamed string
		d := spm.NewDecoder()
		for _, id := range spm.Encode(text, EncodeOptions{}) {
			streamed += d.Write(id)
		}
		streamed += d.Flush()
		if !utf8.ValidString(streamed) || utf8.ValidString(text) && streamed != want {
			t.Fatalf("%q was streamed as %q", want, streamed)
		}
	})
}

// No vocabulary makes New or Encode fail other than by an error.
func FuzzVocabulary(f *testing.F) {
	f.Add("gpt2", "gpt-2", "a\x00b\x00ab\x00Ġ\x00<|x|>", "a b\x00Ġ a", []byte{1, 1, 1, 1, 3}, uint32(4), "ab a")
	f.Add("llama", "", "<unk>\x00<s>\x00</s>\x00<0x41>\x00▁a\x00aa", "", []byte{2, 3, 3, 6, 1, 1}, uint32(1), "aaaa")
	f.Add("gpt2", "deepseek-llm", "\x00\x00", " \x00  \x00a  b", []byte{5, 9}, uint32(1<<31), "x")
	f.Add("llama", "", "<0x>\x00<0xZZ>\x00\xff\x00▁", "", []byte{6, 6, 6, 4}, uint32(0), "▁ \xff")
	f.Fuzz(func(t *testing.T, model, pre, tokens, merges string, types []byte, id uint32, text string) {
		kvs := []gguf.KeyValue{
			{Key: "tokenizer.ggml.model", Value: model},
			{Key: "tokenizer.ggml.pre", Value: pre},
			{Key: "tokenizer.ggml.tokens", Value: strings.Split(tokens, "\x00")},
			{Key: "tokenizer.ggml.merges", Value: strings.Split(merges, "\x00")},
			{Key: "tokenizer.ggml.bos_token_id", Value: id},
			{Key: "tokenizer.ggml.eos_token_id", Value: id / 2},
			{Key: "tokenizer.ggml.eot_token_id", Value: id / 3},
		}
		if len(types) > 0 {
			ts := make([]int32, len(types))
			scores := make([]float32, len(types))
			for i, b := range types {
				ts[i], scores[i] = int32(b&15), float32(int8(b))
			}
			kvs = append(kvs, gguf.KeyValue{Key: "tokenizer.ggml.token_type", Value: ts}, gguf.KeyValue{Key: "tokenizer.ggml.scores", Value: scores})
		}
		tok, err := New(llmtest.New(kvs...).Tables())
		if err != nil {
			return
		}
		for _, special := range []bool{false, true} {
			for _, id := range tok.Encode(text, EncodeOptions{AddBOS: true, AddEOS: true, ParseSpecial: special}) {
				if id < 0 || int(id) >= tok.Size() {
					t.Fatalf("id %d of %d", id, tok.Size())
				}
			}
		}
		d := tok.NewDecoder()
		for id := range tok.Size() {
			if !utf8.ValidString(d.Write(int32(id))) {
				t.Fatal("invalid UTF-8")
			}
		}
	})
}

// Merging costs little more than linear time: a quadratic one would take hours.
func TestEncodeLong(t *testing.T) {
	for name, tok := range map[string]*Tokenizer{"spm": smallSPM(t), "bpe": smallBPE(t, "llama-bpe")} {
		for _, unit := range []string{"hello", "l", "hello world ", "\n", "é"} {
			text := strings.Repeat(unit, 1<<18/len(unit))
			ids := tok.Encode(text, EncodeOptions{})
			if got := strings.TrimPrefix(tok.Decode(ids...), " "); got != strings.TrimPrefix(text, " ") {
				t.Errorf("%s: a long %q does not come back", name, unit)
			}
		}
	}
}

// A thousand user-defined tokens must not make text slow.
func TestManySpecial(t *testing.T) {
	var control []string
	for i := range 5000 {
		control = append(control, fmt.Sprintf("<x%04d>", i))
	}
	kvs := llmtest.SPM(control, " hello")
	for i, kv := range kvs {
		if v, ok := kv.Value.([]int32); ok {
			for j := 259; j < 259+len(control); j++ {
				v[j] = 4
			}
			kvs[i].Value = v
		}
	}
	tok := build(t, kvs)
	ids := tok.Encode(strings.Repeat("hello ", 1000)+"<x4321>", EncodeOptions{})
	if got := tok.Text(ids[len(ids)-1]); got != "<x4321>" {
		t.Errorf("last token is %s", got)
	}
}

func benchmarkNew(b *testing.B, f *gguf.File) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.Run("llama-spm-32k", func(b *testing.B) { benchmarkNew(b, open(b, "tokenizer/ggml-vocab-llama-spm.gguf")) })
	b.Run("deepseek-llm-102k", func(b *testing.B) { benchmarkNew(b, open(b, "tokenizer/ggml-vocab-deepseek-llm.gguf")) })
	b.Run("llama3-128k", func(b *testing.B) { benchmarkNew(b, readHuggingFace(b, "ALPHAOS_LLAMA3_TOKENIZER", "llama-bpe")) })
}

// A document of about a megabyte, in every vocabulary at hand.
func BenchmarkEncode(b *testing.B) {
	data, err := os.ReadFile(filepath.Join(shared, "corpora", "tinyshakespeare.txt"))
	if err != nil {
		b.Skipf("reference data is absent: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(shared, "tokenizer", "ggml-vocab-*.gguf"))
	if err != nil {
		b.Fatal(err)
	}
	documents := []struct{ name, text string }{
		{"prose", string(data)},
		{"letters", strings.Repeat("a", 1<<20)},        // one word
		{"spaces", strings.Repeat(" ", 1<<20)},         // one stretch of white space
		{"mixed", strings.Repeat("aB1 é中!\n😀", 1<<16)}, // nothing that is in a vocabulary as a whole
		{"nonsense", nonsense(1 << 20)},                // all bytes, in no order
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "ggml-vocab-"), ".gguf")
		tok, err := New(open(b, filepath.Join("tokenizer", filepath.Base(file))))
		if err != nil {
			b.Logf("%s: %v", name, err)
			continue
		}
		for _, d := range documents {
			b.Run(name+"/"+d.name, func(b *testing.B) {
				b.SetBytes(int64(len(d.text)))
				n := 0
				for b.Loop() {
					n = len(tok.Encode(d.text, EncodeOptions{}))
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

func nonsense(n int) string {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}
