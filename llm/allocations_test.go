package llm

import (
	"context"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// A token is decoded without allocating memory, so that the garbage collector
// has nothing to do in long answers.
func TestNoAllocations(t *testing.T) {
	for _, threads := range []int{1, 2} {
		m := load(t, llmtest.Llama(llmtest.Quantized(gguf.Q4_K, gguf.Q8_0, gguf.Q4_0, gguf.Q6_K)), Options{Threads: threads})
		s := newSession(t, m)
		eval(t, s, 1, 2, 3)
		ctx, ids := context.Background(), []int32{7}
		n := testing.AllocsPerRun(20, func() {
			s.Truncate(3)
			if _, err := s.Eval(ctx, ids); err != nil {
				t.Error(err)
			}
		})
		if n != 0 {
			t.Errorf("%d threads: %v allocations a token", threads, n)
		}
	}
}
