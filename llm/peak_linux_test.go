package llm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// A model of 198 MiB is loaded and used in a process of its own, which may take
// the file's size, the keys and values, and 150 MiB beside them: no second copy
// of the weights, at no moment.
func TestPeakMemory(t *testing.T) {
	const name = "ALPHAOS_TEST_PEAK_MODEL"
	if file := os.Getenv(name); file != "" {
		f, size := llmtest.Open(t, file)
		m, err := Load(f, size, Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		s := newSession(t, m)
		eval(t, s, make([]int32, 300)...)
		for range 3 {
			if _, err := s.Eval(context.Background(), []int32{1}); err != nil {
				t.Fatal(err)
			}
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(status), "VmHWM:")
		var peak int64
		if _, err := fmt.Sscan(line, &peak); err != nil {
			t.Fatal(err)
		}
		beside := peak<<10 - size - s.Memory()
		t.Logf("at most %d MiB: %d of the file, %d of keys and values, %d beside them", peak>>10, size>>20, s.Memory()>>20, beside>>20)
		if beside > 150<<20 {
			t.Errorf("%d MiB beside the file, keys and values", beside>>20)
		}
		return
	}

	// Zeros, of which the file system keeps none, are weights as good as others.
	s := llmtest.Shape{Embedding: 2048, FeedForward: 8192, Layers: 3, Heads: 32, KVHeads: 8, Head: 64, Vocabulary: 4000, Context: 2048}
	empty := s
	empty.Embedding, empty.Layers, empty.Types = 64, 0, []gguf.Type{gguf.F32}
	f := llmtest.Llama(empty)
	f.Set("llama.embedding_length", uint32(s.Embedding))
	f.Set("llama.block_count", uint32(s.Layers))
	d, q, kv := uint64(s.Embedding), uint64(s.Heads*s.Head), uint64(s.KVHeads*s.Head)
	tensors := []gguf.Tensor{{Name: "token_embd.weight", Type: gguf.Q8_0, Dims: []uint64{d, uint64(s.Vocabulary)}}, {Name: "output_norm.weight", Type: gguf.F32, Dims: []uint64{d}}}
	for i := range s.Layers {
		for part, dims := range map[string][]uint64{
			"attn_norm": {d}, "attn_q": {d, q}, "attn_k": {d, kv}, "attn_v": {d, kv}, "attn_output": {q, d},
			"ffn_norm": {d}, "ffn_gate": {d, uint64(s.FeedForward)}, "ffn_up": {d, uint64(s.FeedForward)}, "ffn_down": {uint64(s.FeedForward), d},
		} {
			x := gguf.Tensor{Name: fmt.Sprintf("blk.%d.%s.weight", i, part), Type: gguf.Q8_0, Dims: dims}
			if len(dims) == 1 {
				x.Type = gguf.F32
			}
			tensors = append(tensors, x)
		}
	}
	head, err := gguf.Head(f.Keys, tensors)
	if err != nil {
		t.Fatal(err)
	}
	last := tensors[len(tensors)-1]
	file := filepath.Join(t.TempDir(), "zeros.gguf")
	if err := os.WriteFile(file, head, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, last.Offset+last.Bytes); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestPeakMemory$", "-test.v")
	child.Env = append(os.Environ(), name+"="+file)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "MiB") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
