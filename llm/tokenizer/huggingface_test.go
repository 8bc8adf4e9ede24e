package tokenizer

import (
	"encoding/json"
	"os"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// readHuggingFace makes a GGUF file of the tokenizer.json that an environment
// variable names, or skips.
func readHuggingFace(tb testing.TB, env, pre string) *gguf.File {
	tb.Helper()
	name := os.Getenv(env)
	if name == "" {
		tb.Skipf("%s does not name a tokenizer.json", env)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	var hf struct {
		Model struct {
			Vocab  map[string]int32
			Merges []json.RawMessage
		}
		AddedTokens []struct {
			ID      int32
			Content string
			Special bool
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(data, &hf); err != nil {
		tb.Fatal(err)
	}
	tokens := make([]string, len(hf.Model.Vocab)+len(hf.AddedTokens))
	types := make([]int32, len(tokens))
	for text, id := range hf.Model.Vocab {
		tokens[id], types[id] = text, 1
	}
	for _, a := range hf.AddedTokens {
		tokens[a.ID], types[a.ID] = a.Content, 4
		if a.Special {
			types[a.ID] = 3
		}
	}
	var merges []string
	for _, m := range hf.Model.Merges {
		var s string
		var two []string
		if json.Unmarshal(m, &s) != nil {
			if err := json.Unmarshal(m, &two); err != nil || len(two) != 2 {
				tb.Fatalf("merge %s", m)
			}
			s = two[0] + " " + two[1]
		}
		merges = append(merges, s)
	}
	for i := range tokens {
		if tokens[i] == "" {
			tokens[i], types[i] = "[unused]", 5
		}
	}
	return llmtest.New(
		gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "gpt2"},
		gguf.KeyValue{Key: "tokenizer.ggml.pre", Value: pre},
		gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: tokens},
		gguf.KeyValue{Key: "tokenizer.ggml.token_type", Value: types},
		gguf.KeyValue{Key: "tokenizer.ggml.merges", Value: merges},
	).Tables()
}
