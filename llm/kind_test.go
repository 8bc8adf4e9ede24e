package llm

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// What a file is for is told by its metadata.
func TestKindOf(t *testing.T) {
	const architecture = "general.architecture"
	for _, c := range []struct {
		name string
		meta []gguf.KeyValue
		want Kind
		says string // why nobody can talk with it
	}{
		{"llama", []gguf.KeyValue{{Key: architecture, Value: "llama"}, {Key: "general.type", Value: "model"}, {Key: "general.name", Value: "bert mmproj lora embed"}}, Language, ""},
		{"not pooled", []gguf.KeyValue{{Key: architecture, Value: "qwen3"}, {Key: "qwen3.pooling_type", Value: uint32(0)}}, Language, ""},
		{"unknown", []gguf.KeyValue{{Key: architecture, Value: "newest"}}, Language, ""},
		{"albert is no bert", []gguf.KeyValue{{Key: architecture, Value: "albert-talks"}}, Language, ""},
		{"nothing said", nil, Language, ""},
		{"projector", []gguf.KeyValue{{Key: architecture, Value: "clip"}}, Projector, "vision projector"},
		{"projector by type", []gguf.KeyValue{{Key: architecture, Value: "newest"}, {Key: "general.type", Value: "mmproj"}}, Projector, "vision projector"},
		{"adapter", []gguf.KeyValue{{Key: architecture, Value: "llama"}, {Key: "general.type", Value: "adapter"}, {Key: "adapter.type", Value: "lora"}}, Adapter, "merge it into that model first"},
		{"importance matrix", []gguf.KeyValue{{Key: "general.type", Value: "imatrix"}}, Importance, "no model"},
		{"control vector", []gguf.KeyValue{{Key: architecture, Value: "controlvector"}}, Control, "no model"},
		{"bert", []gguf.KeyValue{{Key: architecture, Value: "bert"}}, Embedding, "compares texts"},
		{"nomic", []gguf.KeyValue{{Key: architecture, Value: "nomic-bert-moe"}}, Embedding, "compares texts"},
		{"pooled", []gguf.KeyValue{{Key: architecture, Value: "qwen3"}, {Key: "qwen3.pooling_type", Value: uint32(3)}}, Embedding, "compares texts"},
		{"ranks", []gguf.KeyValue{{Key: architecture, Value: "bert"}, {Key: "bert.pooling_type", Value: uint32(4)}}, Reranker, "sorts texts"},
	} {
		b, err := gguf.Head(c.meta, []gguf.Tensor{{Name: "token_embd.weight", Type: gguf.F32, Dims: []uint64{8, 8}}})
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, make([]byte, 256)...)
		f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got := KindOf(f); got != c.want {
			t.Errorf("%s is called %q, want %q", c.name, got, c.want)
		}
		if err := KindOf(f).Talks(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
		// Load says the same as Check, and before anything is read.
		check := Check(f)
		_, err = Load(bytes.NewReader(b), int64(len(b)), Options{Tables: f})
		if check == nil || err == nil || check.Error() != err.Error() {
			t.Errorf("%s: Check says %v, Load %v", c.name, check, err)
		}
	}
}

// A vocabulary without weights, as converters leave it for tests, is no model.
func TestOnlyVocabulary(t *testing.T) {
	b, err := gguf.Head([]gguf.KeyValue{{Key: "general.architecture", Value: "llama"}, {Key: "tokenizer.ggml.tokens", Value: []string{"a", "b"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if got := KindOf(f); got != Vocabulary {
		t.Errorf("it is called %q", got)
	}
	if err := Check(f); err == nil || !strings.Contains(err.Error(), "only a vocabulary and no weights") {
		t.Errorf("Check says %v", err)
	}
}

// The reference models are what their names say.
func TestKindsOfReferenceModels(t *testing.T) {
	var files []string
	for _, dir := range []string{"data", "data2"} {
		found, _ := filepath.Glob(filepath.Join("../../shared", dir, "models", "*.gguf"))
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("there are no reference models in ../shared")
	}
	for _, name := range files {
		f, err := llmtest.OpenTables(t, name)
		if err != nil {
			t.Logf("%s: %v", name, err) // of a type that can't be read yet
			continue
		}
		want := Language
		switch base := filepath.Base(name); {
		case strings.Contains(base, "-rank"):
			want = Reranker
		case strings.Contains(base, "bert"), strings.Contains(base, "minilm"), strings.Contains(base, "embed"):
			want = Embedding
		}
		if got := KindOf(f); got != want {
			t.Errorf("%s is called %q, want %q", filepath.Base(name), got, want)
		}
	}
}
