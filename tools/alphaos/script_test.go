package main

// The scripts in testdata read like a person's session with the command. They
// find small models of their own in the working directory, and where there is
// reference data, real ones.

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"alphaos/llm/tokenizer/tokentest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"alphaos": main})
}

func TestScripts(t *testing.T) {
	data, err := filepath.Abs("../../../shared/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, "golden")); err != nil {
		t.Log("reference data is absent; real models are not tested")
		data = ""
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			if err := writeModels(e.WorkDir); err != nil {
				return err
			}
			if data == "" {
				return nil
			}
			return writeGolden(e, data)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "data" {
				return data != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"near": near},
	})
}

// near GOT.f32 WANT.f32 DISTANCE compares two files of float32 values.
func near(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: near GOT.f32 WANT.f32 DISTANCE")
	}
	got, want := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	limit, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	if len(got) != len(want) || len(got) == 0 {
		ts.Fatalf("%d and %d bytes", len(got), len(want))
	}
	worst := 0.0
	for i := 0; i < len(got); i += 4 {
		g := math.Float32frombits(binary.LittleEndian.Uint32([]byte(got[i:])))
		w := math.Float32frombits(binary.LittleEndian.Uint32([]byte(want[i:])))
		if d := math.Abs(float64(g) - float64(w)); !(d <= worst) {
			worst = d
		}
	}
	if ok := worst <= limit; ok == neg {
		ts.Fatalf("the largest difference is %g, the limit %g", worst, limit)
	}
}

// A chain model knows one thing: which token follows which. Its layers add
// nothing, each embedding is an axis of its own, and the output matrix turns
// the axis of a token into that of the next. What it computes can therefore be
// written down.
func chainModel(kvs []tokentest.KV, chain ...string) (file []byte, after func(token string) []float32) {
	var tokens []string
	for _, kv := range kvs {
		if kv.K == "tokenizer.ggml.tokens" {
			tokens = kv.V.([]string)
		}
	}
	id := map[string]int{}
	for i, t := range tokens {
		id[t] = i
	}
	const head = 64
	n := len(tokens)
	dim := (n + head - 1) / head * head
	const ffn = 64
	ones := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = 1
		}
		return v
	}
	noise := func(n int) []float32 { // what reaches no output must not matter
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i%7-3) / 8
		}
		return v
	}
	embd, out := make([]float32, dim*n), make([]float32, dim*n)
	for i := range n {
		embd[i*dim+i] = 1
		out[i*dim+i] = -0.5 // never the same token again
	}
	for i := 1; i < len(chain); i++ {
		out[id[chain[i]]*dim+id[chain[i-1]]] = 1
	}
	d, v, f := uint64(dim), uint64(n), uint64(ffn)
	file = tokentest.GGUF(append([]tokentest.KV{
		{K: "general.architecture", V: "llama"},
		{K: "general.name", V: "chain"},
		{K: "llama.context_length", V: uint32(64)},
		{K: "llama.embedding_length", V: uint32(dim)},
		{K: "llama.block_count", V: uint32(1)},
		{K: "llama.feed_forward_length", V: uint32(ffn)},
		{K: "llama.attention.head_count", V: uint32(dim / head)},
		{K: "llama.attention.head_count_kv", V: uint32(1)},
		{K: "llama.attention.layer_norm_rms_epsilon", V: float32(1e-5)},
		{K: "llama.rope.dimension_count", V: uint32(head)},
		{K: "llama.rope.freq_base", V: float32(10000)},
		{K: "llama.vocab_size", V: uint32(n)},
	}, kvs...),
		tokentest.Tensor{Name: "token_embd.weight", Dims: []uint64{d, v}, Data: embd},
		tokentest.Tensor{Name: "blk.0.attn_norm.weight", Dims: []uint64{d}, Data: ones(dim)},
		tokentest.Tensor{Name: "blk.0.attn_q.weight", Dims: []uint64{d, d}, Data: noise(dim * dim)},
		tokentest.Tensor{Name: "blk.0.attn_k.weight", Dims: []uint64{d, head}, Data: noise(dim * head)},
		tokentest.Tensor{Name: "blk.0.attn_v.weight", Dims: []uint64{d, head}, Data: noise(dim * head)},
		tokentest.Tensor{Name: "blk.0.attn_output.weight", Dims: []uint64{d, d}, Data: make([]float32, dim*dim)},
		tokentest.Tensor{Name: "blk.0.ffn_norm.weight", Dims: []uint64{d}, Data: ones(dim)},
		tokentest.Tensor{Name: "blk.0.ffn_gate.weight", Dims: []uint64{d, f}, Data: noise(dim * ffn)},
		tokentest.Tensor{Name: "blk.0.ffn_up.weight", Dims: []uint64{d, f}, Data: noise(dim * ffn)},
		tokentest.Tensor{Name: "blk.0.ffn_down.weight", Dims: []uint64{f, d}, Data: make([]float32, dim*ffn)},
		tokentest.Tensor{Name: "output_norm.weight", Dims: []uint64{d}, Data: ones(dim)},
		tokentest.Tensor{Name: "output.weight", Dims: []uint64{d, v}, Data: out},
	)
	return file, func(token string) []float32 {
		scale := float32(1 / math.Sqrt(1/float64(dim)+1e-5))
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = scale * out[i*dim+id[token]]
		}
		return logits
	}
}

func writeModels(dir string) error {
	base := tokentest.SPM(nil, " hello", " world", " again")
	plain, after := chainModel(base, "▁hello", "▁world", "▁again", "!", "</s>")
	talk, _ := chainModel(append(tokentest.SPM([]string{"<|im_start|>", "<|im_end|>"}, " hello", " world", " again"),
		tokentest.KV{K: "tokenizer.chat_template", V: "<|im_start|>{{ role }}"}),
		"<0x0A>", "▁hello", "▁world", "<|im_end|>")
	// A vocabulary that has the markers as tokens of other types than control.
	typed := tokentest.Retype(tokentest.Retype(tokentest.SPM(nil, " hello"), tokentest.UserDefined, "<|turn>"), tokentest.Normal, "<turn|>")
	typed = append(typed, tokentest.KV{K: "tokenizer.chat_template",
		V: "{% for m in messages %}<|turn>{{ m.role }}{{ m.content }}<turn|>{% endfor %}<|turn><missing>"})
	for name, data := range map[string][]byte{
		"chain.gguf":      plain,
		"chat.gguf":       talk,
		"typed.gguf":      tokentest.GGUF(typed),
		"embeds.gguf":     tokentest.GGUF([]tokentest.KV{{K: "general.architecture", V: "bert"}}),
		"cut.gguf":        plain[:len(plain)/2],
		"nonsense.gguf":   []byte("This is not a model, whatever its name says."),
		"three.txt":       []byte(" world again!"),
		"chat.txt":        []byte("hello world"),
		"raw.txt":         []byte(" world"),
		"after-world.f32": floats(after("▁world")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

func floats(v []float32) []byte {
	var b []byte
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// writeGolden takes what the scripts compare with out of the reference data.
func writeGolden(e *testscript.Env, data string) error {
	var texts map[string]map[string]string
	if err := readJSON(filepath.Join(data, "golden", "greedy-llama.cpp.json"), &texts); err != nil {
		return err
	}
	const prompt = "Once upon a time"
	for model, t := range texts {
		answer, ok := strings.CutPrefix(t[prompt], " "+prompt)
		if !ok {
			return fmt.Errorf("%s: unexpected golden text %q", model, t[prompt])
		}
		if err := os.WriteFile(filepath.Join(e.WorkDir, model+".txt"), []byte(answer), 0o666); err != nil {
			return err
		}
	}
	var golden struct {
		Cases []struct{ Prompt []int32 }
	}
	if err := readJSON(filepath.Join(data, "golden", "llama256-F32.json"), &golden); err != nil {
		return err
	}
	for i, c := range golden.Cases {
		ids, err := json.Marshal(c.Prompt)
		if err != nil {
			return err
		}
		e.Setenv(fmt.Sprintf("P%d", i), string(ids))
	}
	return nil
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
