package main

// The scripts in testdata read like a person's session with the command. They
// find small models of their own in the working directory, and where there is
// reference data, real ones.

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"alphaos/archive"
	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/drive/database"
	"alphaos/drive/media"
	"alphaos/internal/petest"
	"alphaos/knowledge"
	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/store"
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
	source, err := sourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			e.Setenv("SOURCE", source)
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"near": near, "grow": grow, "talk": talk},
	})
}

// grow FILE SIZE makes a file larger, with zeros.
func grow(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: grow FILE SIZE")
	}
	size, err := create.ParseSize(args[1])
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// talk IMAGE WORDS... begins a conversation on a drive, in which these words are said and answered; delete N deletes one; database
// brings the database up to date; backup FILE makes a backup, and copies it to FILE. $BACKUP is its name on the drive then.
func talk(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: talk IMAGE WORDS... or talk IMAGE delete N")
	}
	dev, err := media.OpenInPlace(ts.MkAbs(args[0]), nil, true)
	ts.Check(err)
	defer dev.Close()
	d, err := drive.Open(dev, false)
	ts.Check(err)
	s, _, err := d.OpenJournal(time.Now)
	ts.Check(err)
	if args[1] == "database" {
		note, err := database.On(d, s, &knowledge.Keeper{}, false, time.Now).Keep(context.Background())
		ts.Check(errors.Join(err, d.Close(), dev.Flush()))
		if note != "" {
			ts.Fatalf("%s", note)
		}
		return
	}
	if args[1] == "backup" {
		folder := d.Backups()
		made, err := (&archive.Backups{Store: s, Folder: folder, Now: time.Now}).Make(func() error { return nil }, func(int64) {})
		ts.Check(err)
		in, err := folder.Open(made.Name)
		ts.Check(err)
		b, err := io.ReadAll(in)
		ts.Check(errors.Join(err, in.Close(), os.WriteFile(ts.MkAbs(args[2]), b, 0o666), d.Close(), dev.Flush()))
		ts.Setenv("BACKUP", made.Name)
		return
	}
	if args[1] == "delete" {
		n, err := strconv.Atoi(args[2])
		ts.Check(errors.Join(err, s.Delete(n)))
	} else {
		ts.Check(errors.Join(s.NewConversation(), s.AddUser(strings.Join(args[1:], " "))))
		a := s.BeginAnswer()
		ts.Check(errors.Join(a.Write("Yes."), a.End(store.Stats{Model: "small"}, false)))
	}
	ts.Check(errors.Join(s.End(), d.Close(), dev.Flush()))
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
func chainModel(kvs []gguf.KeyValue, chain ...string) (file []byte, after func(token string) []float32) {
	var tokens []string
	for _, kv := range kvs {
		if kv.Key == "tokenizer.ggml.tokens" {
			tokens = kv.Value.([]string)
		}
	}
	id := map[string]int{}
	for i, t := range tokens {
		id[t] = i
	}
	const head = 64
	n := len(tokens)
	dim := (n + head - 1) / head * head
	embd, out := make([]float32, dim*n), make([]float32, dim*n)
	for i := range n {
		embd[i*dim+i] = 1
		out[i*dim+i] = -0.5 // never the same token again
	}
	for i := 1; i < len(chain); i++ {
		out[id[chain[i]]*dim+id[chain[i-1]]] = 1
	}
	f := llmtest.Llama(llmtest.Shape{Name: "chain", Embedding: dim, FeedForward: head, Layers: 1, Heads: dim / head, KVHeads: 1, Head: head,
		Vocabulary: n, Context: 64, Types: []gguf.Type{gguf.F32}, Words: kvs})
	f.Tensor("token_embd.weight").Put(embd)
	f.Tensor("output.weight").Put(out)
	ones := make([]float32, dim)
	for i := range ones {
		ones[i] = 1
	}
	f.Tensor("output_norm.weight").Put(ones)
	// What reaches no output must not matter.
	clear(f.Tensor("blk.0.attn_output.weight").Data)
	clear(f.Tensor("blk.0.ffn_down.weight").Data)
	return f.Bytes(), func(token string) []float32 {
		scale := float32(1 / math.Sqrt(1/float64(dim)+1e-5))
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = scale * out[i*dim+id[token]]
		}
		return logits
	}
}

func writeModels(dir string) error {
	base := llmtest.SPM(nil, " hello", " world", " again")
	plain, after := chainModel(base, "▁hello", "▁world", "▁again", "!", "</s>")
	talk, _ := chainModel(append(llmtest.SPM([]string{"<|im_start|>", "<|im_end|>"}, " hello", " world", " again"),
		gguf.KeyValue{Key: "tokenizer.chat_template", Value: "<|im_start|>{{ role }}"}),
		"<0x0A>", "▁hello", "▁world", "<|im_end|>")
	// A vocabulary that has the markers as tokens of other types than control.
	typed := llmtest.Retype(llmtest.Retype(llmtest.SPM(nil, " hello"), llmtest.UserDefined, "<|turn>"), llmtest.Normal, "<turn|>")
	typed = append(typed, gguf.KeyValue{Key: "tokenizer.chat_template",
		Value: "{% for m in messages %}<|turn>{{ m.role }}{{ m.content }}<turn|>{% endfor %}<|turn><missing>"})
	for name, data := range map[string][]byte{
		"app.efi":         petest.Application(nil),
		"alphaos.efi":     petest.Application([]byte("alphaos/machine.(*Machine)")), // as far as anybody can tell
		"alphaos2.efi":    petest.Application([]byte("alphaos/machine.(*Machine) again")),
		"chain.gguf":      plain,
		"chat.gguf":       talk,
		"typed.gguf":      llmtest.New(typed...).Bytes(),
		"embeds.gguf":     llmtest.New(gguf.KeyValue{Key: "general.architecture", Value: "bert"}).Bytes(),
		"cut.gguf":        plain[:len(plain)/2],
		"nonsense.gguf":   []byte("This is not a model, whatever its name says."),
		"three.txt":       []byte(" world again!\n"),
		"chat.txt":        []byte("hello world\n"),
		"raw.txt":         []byte(" world\n"),
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
		if err := os.WriteFile(filepath.Join(e.WorkDir, model+".txt"), []byte(answer+"\n"), 0o666); err != nil {
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
