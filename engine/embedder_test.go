package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"alphaos/llm"
)

// Of some models the one for embeddings is loaded, if it fits; of others none.
func TestLoadEmbedder(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "data", "models")
	model, err := os.ReadFile(filepath.Join(dir, "minilm-synthetic-Q8_0.gguf"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no model for embeddings beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	talker, err := os.ReadFile(filepath.Join(dir, "stories260K-Q8_0.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"models/talk.gguf": {Data: talker}, "models/minilm.gguf": {Data: model}, "models/bad.gguf": {Data: make([]byte, len(model)+1)}}
	models := DirModels(files, "models")
	e, err := LoadEmbedder(t.Context(), models, llm.Options{Threads: 1}, 1<<30)
	if err != nil || e == nil || e.Name != "minilm.gguf" {
		t.Fatal(e, err)
	}
	v, err := e.EmbedTexts(t.Context(), []string{"a pump", "a boiler"})
	if err != nil || len(v) != 2 || len(v[0]) != 384 {
		t.Error(len(v), err)
	}
	e.Close()
	if e, err := LoadEmbedder(t.Context(), models, llm.Options{Threads: 1}, 20<<20); e != nil || err != nil {
		t.Errorf("in too little memory: %v, %v", e, err)
	}
	delete(files, "models/minilm.gguf")
	if e, err := LoadEmbedder(t.Context(), models, llm.Options{Threads: 1}, 1<<30); e != nil || err != nil {
		t.Errorf("where there is none: %v, %v", e, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := LoadEmbedder(ctx, models, llm.Options{Threads: 1}, 1<<30); e != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("when it is to stop: %v, %v", e, err)
	}
}
