package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/tokenizer"
	"alphaos/ovmf"
)

// Models are made up where there are no reference models, so that the tests mean
// something without them, and where one of a certain size is wanted.
var (
	tinyShape = llmtest.Shape{Name: "tiny", Embedding: 64, Layers: 2, Heads: 4, KVHeads: 2, Head: 16, FeedForward: 160, Context: 1024, Types: []gguf.Type{gguf.F32}}
	// bigShape is a file of 256 MiB.
	bigShape = llmtest.Shape{Name: "big", Embedding: 1024, Layers: 11, Heads: 16, KVHeads: 8, Head: 64, FeedForward: 3072, Context: 256, Types: []gguf.Type{gguf.F16}}
	// streamShape is a file of 137 MiB.
	streamShape = llmtest.Shape{Name: "large", Embedding: 1024, Layers: 6, Heads: 16, KVHeads: 8, Head: 64, FeedForward: 3072, Context: 256, Types: []gguf.Type{gguf.F16}}
)

// writeModel writes a model of the given shape to a new file and returns its
// path. What it says is readable: letters and words, never a control character
// and never an end of text, because the output matrix is zero for all others.
func writeModel(t testing.TB, s llmtest.Shape) string {
	t.Helper()
	s.Words = llmtest.SPM(nil, " the", " and", " in", " he", " an", " on")
	vocabulary := llmtest.New(s.Words...).Tables()
	kinds := vocabulary.Ints("tokenizer.ggml.token_type")
	s.Vocabulary = len(kinds)
	f := llmtest.Llama(s)
	output := f.Tensor("output.weight")
	row := len(output.Data) / len(kinds)
	for i, kind := range kinds {
		if kind != llmtest.Normal {
			clear(output.Data[i*row:][:row])
		}
	}
	name := filepath.Join(t.TempDir(), s.Name+".gguf")
	if err := os.WriteFile(name, f.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// reference returns a model of the reference data, or "" where that is absent.
func reference(name string) string {
	path := filepath.Join(vmtest.Root(), "..", "shared", "data", "models", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// TestGeneratedModel checks that what the generator writes is a model.
func TestGeneratedModel(t *testing.T) {
	file, err := llmtest.OpenTables(t, writeModel(t, tinyShape))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(file.Tensors); n != 3+9*tinyShape.Layers {
		t.Errorf("%d tensors", n)
	}
	tok, err := tokenizer.New(file)
	if err != nil {
		t.Fatal(err)
	}
	const text = "The hen and the Ant, ä"
	ids := tok.Encode(text, tokenizer.EncodeOptions{AddBOS: true})
	if got := tok.Decode(ids...); strings.TrimSpace(got) != text {
		t.Errorf("%q became %v and then %q", text, ids, got)
	}
	if ids[0] != 1 || len(ids) >= len(text) {
		t.Errorf("%q became %v: no start, or nothing merged", text, ids)
	}
}

// TestStreaming talks to a model that is larger than the machine's memory for
// it: the person is told what to expect, and the answer is the one that the
// whole model gives on this host.
func TestStreaming(t *testing.T) {
	vmtest.NeedQEMU(t)
	model := writeModel(t, streamShape)
	const prompt, tokens = "The hen", 6
	want := hostText(t, model, prompt, tokens)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}})

	p := vmtest.Boot(t, ovmf.Config{Disk: disk, MemoryMiB: 440})
	said := vmtest.Squeeze(p.Prompt())
	if !strings.Contains(said, "are read from the drive for each token") {
		t.Errorf("nobody is told that the model is streamed: %q", said)
	}
	p.Greedy(tokens)
	begin := time.Now()
	if got := p.Ask(prompt); got != want {
		t.Errorf("streamed\n%q\nwhole\n%q", got, want)
	}
	t.Logf("%d tokens and the prompt in %v", tokens, time.Since(begin).Round(10*time.Millisecond))
	if info := p.Say("/show info"); !strings.Contains(info, "streams ") {
		t.Errorf("/show info does not tell what is streamed: %q", info)
	}
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
}
