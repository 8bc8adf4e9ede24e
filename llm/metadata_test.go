package llm

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/synth"
)

// FuzzMetadata: whatever a number in a model's metadata is replaced by, Load and a first Eval end with logits or
// an error of one sentence.
func FuzzMetadata(f *testing.F) {
	var models [][]byte
	for _, s := range synth.Shapes {
		if strings.HasPrefix(s.Name, "tiny-") {
			var b bytes.Buffer
			if err := synth.Write(&b, s, synth.Mixtures[3], 1); err != nil {
				f.Fatal(err)
			}
			models = append(models, b.Bytes())
		}
	}
	for model := range models {
		for key := range 40 {
			f.Add(uint8(model), uint8(key), int64(key%3), false)
			f.Add(uint8(model), uint8(key), int64(1)<<31-int64(key), key%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, model, key uint8, value int64, float bool) {
		b := models[int(model)%len(models)]
		tables, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		arch, _ := tables.String("general.architecture")
		own := slices.DeleteFunc(tables.Keys(), func(k string) bool { return !strings.HasPrefix(k, arch+".") })
		chosen := own[int(key)%len(own)]
		var meta []gguf.KeyValue
		for _, k := range tables.Keys() {
			v := tables.Value(k)
			if k == chosen {
				switch old := v.(type) {
				case []int32:
					v = append(slices.Clone(old[1:]), int32(value))
				case []bool:
					v = slices.Repeat([]bool{value&1 != 0, value&2 != 0, value&4 != 0}, int(value&3))
				case string:
					v = "linear"
				default:
					if v = uint32(value); float {
						v = float32(value)
					}
				}
			}
			meta = append(meta, gguf.KeyValue{Key: k, Value: v})
		}
		out, err := gguf.Head(meta, slices.Clone(tables.Tensors))
		if err != nil {
			return
		}
		out = append(out, b[tables.DataOffset:]...)
		m, err := Load(bytes.NewReader(out), int64(len(out)), Options{Threads: 1, Kernel: Kernels()[0], SessionLimit: 64 << 20})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("%s: the error is not one sentence: %v", chosen, err)
			}
			return
		}
		defer m.Close()
		s, err := m.NewSession(min(m.config.context, 16))
		if err != nil {
			return
		}
		g := s.Guesser()
		for _, ids := range [][]int32{{1, 2, 3}, {4}} {
			if s.Len()+len(ids) > s.Cap() {
				return
			}
			if g != nil {
				if _, err := g.Guess(nil, ids[0], 2, argmax); err != nil {
					t.Fatalf("%s: %v", chosen, err)
				}
			}
			if _, err := s.Eval(context.Background(), ids); err != nil && !errors.Is(err, errNotNumbers) {
				t.Fatalf("%s: %v", chosen, err)
			}
		}
	})
}
