package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/llmtest"
)

// Ids are those of llama.cpp for its own vectors.
func TestWordPieceConformance(t *testing.T) {
	tok, err := New(open(t, "tokenizer/ggml-vocab-bert-bge.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if w := tok.Warnings(); w != nil {
		t.Errorf("warnings: %q", w)
	}
	vs := vectors(t, "bert-bge")
	if len(vs) < 40 {
		t.Fatalf("only %d vectors", len(vs))
	}
	for _, v := range vs {
		if ids := tok.Encode(v.text, EncodeOptions{}); !slices.Equal(ids, v.ids) {
			t.Errorf("%q:\n got %v\nwant %v", v.text, ids, v.ids)
		}
	}
}

// So they are for a sentence model, between [CLS] and [SEP].
func TestWordPieceGolden(t *testing.T) {
	tok, err := New(open(t, "models/minilm-synthetic-Q8_0.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(shared, "golden", "minilm-Q8_0.json"))
	if err != nil {
		t.Skipf("reference data is absent: %v", err)
	}
	var golden struct {
		Cases []struct {
			Text   string
			Tokens []int32
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil || len(golden.Cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, c := range golden.Cases {
		if ids := tok.Encode(c.Text, EncodeOptions{AddBOS: true, AddEOS: true}); !slices.Equal(ids, c.Tokens) {
			t.Errorf("%q:\n got %v\nwant %v", c.Text, ids, c.Tokens)
		}
	}
}

func smallWordPiece(tb testing.TB) *Tokenizer {
	tb.Helper()
	f := llmtest.New(llmtest.WordPiece("hello", "hell", "world", "##s", "##ly", "##l", "cafe", "##o", "o", "!", "中", "文", "a", "##b", "straße", "ᄒ")...).Tables()
	tok, err := New(f)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

func TestWordPiece(t *testing.T) {
	tok := smallWordPiece(t)
	for text, want := range map[string]string{
		"":                        "",
		"Hello WORLDS":            "▁hello ▁world s",
		" \t\nhello\u00a0hellly ": "▁hello ▁hell ly",
		"hell hello helloo hellx": "▁hell ▁hello ▁hello o [UNK]", // what fails late fails as a whole
		"Café, café!o":            "▁cafe [UNK] ▁cafe ▁! ▁o",
		"a中文b":                    "▁a ▁中 ▁文 [UNK]",
		"h\x00ello\u200d \ufffd":  "▁hello",
		"he\xffllo":               "▁hello",
		"[CLS] hello":             "[UNK] [UNK] [UNK] ▁hello", // no marker
		"STRAßE한":                 "[UNK]",
		"straße 한":                "▁straße ▁ᄒ",
		"ab a▁":                   "▁a b [UNK]",
	} {
		var got []string
		for _, id := range tok.Encode(text, EncodeOptions{}) {
			got = append(got, tok.Text(id))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %s, want %s", text, s, want)
		}
	}
	ids := tok.Encode("Hellos!", EncodeOptions{AddBOS: true, AddEOS: true})
	if tok.Text(ids[0]) != "[CLS]" || tok.Text(ids[len(ids)-1]) != "[SEP]" {
		t.Errorf("ids %v", ids)
	}
	if got := tok.Decode(ids...); got != " hellos !" {
		t.Errorf("decoded %q", got)
	}
	ids = tok.Encode("hello[SEP]hello", EncodeOptions{ParseSpecial: true})
	if len(ids) != 3 || tok.Text(ids[1]) != "[SEP]" {
		t.Errorf("ids %v", ids)
	}
}

// What the longest match comes to, the slow way; nothing panics.
func FuzzWordPiece(f *testing.F) {
	f.Add("Hello WORLDS café!")
	f.Add("a中文b ab▁ \xff\x00")
	tok := smallWordPiece(f)
	find := map[string]int32{}
	for id := range tok.Size() {
		if !tok.IsControl(int32(id)) {
			find[tok.Text(int32(id))] = int32(id)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.Encode(text, EncodeOptions{})
		if len(ids) > len(text) {
			t.Fatalf("%d ids for %d bytes", len(ids), len(text))
		}
		// A text of words that are tokens gives these tokens.
		var want []int32
		for _, w := range strings.Fields(text) {
			id, ok := find["▁"+w]
			if !ok || w != strings.ToLower(w) || strings.ContainsAny(w, "!中文▁") || w == "ᄒ" {
				return
			}
			want = append(want, id)
		}
		if !slices.Equal(ids, want) {
			t.Fatalf("%q: %v, want %v", text, ids, want)
		}
	})
}
