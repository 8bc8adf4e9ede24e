package llm

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"alphaos/llm/kernel"
	"alphaos/llm/llmtest"
)

// A llama whose matrices are all of one type, for each of the types of few bits: the logits lie
// near to those of the same weights in F32, as near as llama.cpp's do, which rounds activations, too.
func TestLogitsOfTypes(t *testing.T) {
	tried := 0
	for _, typ := range kernel.Types() {
		name := "types256-" + typ.String()
		golden2 := filepath.Join(data2, "golden", name)
		if _, err := os.Stat(golden2 + ".json"); os.IsNotExist(err) {
			continue
		}
		tried++
		t.Run(typ.String(), func(t *testing.T) {
			var g, exact golden
			if !readJSON(t, golden2+".json", &g) || !readJSON(t, golden2+".exact.json", &exact) {
				t.Fatal("the reference is not complete")
			}
			f, size := llmtest.Open(t, filepath.Join(data2, "models", name+".gguf"))
			for _, k := range []string{Kernels()[0], "portable"} {
				m, err := Load(f, size, Options{Kernel: k, Threads: 2, Cache: "f32"})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				for p, c := range g.Cases {
					if k == "portable" && len(c.Prompt) > 100 {
						continue // slow, for nothing new
					}
					truth := readLogits(t, fmt.Sprintf("%s.exact.p%d.logits.f32", golden2, p))
					ours, oursMost := distance(t, eval(t, newSession(t, m), c.Prompt...), truth)
					theirs, theirsMost := distance(t, readLogits(t, fmt.Sprintf("%s.p%d.logits.f32", golden2, p)), truth)
					t.Logf("%s, prompt %d: from exact rms %.4f, max %.4f; llama.cpp rms %.4f, max %.4f", k, p, ours, oursMost, theirs, theirsMost)
					if ours > 1.5*theirs || oursMost > 1.5*theirsMost {
						t.Errorf("%s, prompt %d: rms %.4f and max %.4f from exact, llama.cpp %.4f and %.4f", k, p, ours, oursMost, theirs, theirsMost)
					}
				}
				if k == Kernels()[0] {
					checkGreedy(t, m, exact.Cases[0].Prompt, exact.Cases[0].Greedy, exact.Cases[0].Gap, 0.5)
				}
			}
		})
	}
	if tried == 0 {
		t.Skip("no reference models of these types beside the repository")
	}
}
