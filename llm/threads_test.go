package llm

import (
	"alphaos/llm/llmtest"
	"testing"
	"time"
)

func TestFastestThreads(t *testing.T) {
	for _, c := range []struct {
		name  string
		times map[int][]time.Duration // what each measurement of a candidate takes
		want  int
	}{
		{"half is faster", map[int][]time.Duration{4: {20, 21, 20}, 2: {15, 15, 16}}, 2},
		{"all is faster", map[int][]time.Duration{4: {10, 10, 10}, 2: {19, 18, 18}}, 4},
		{"no difference", map[int][]time.Duration{4: {1000, 1000, 1000}, 2: {990, 995, 990}}, 4},
		{"a disturbed measurement", map[int][]time.Duration{4: {90, 10, 95}, 2: {18, 18, 18}}, 4},
	} {
		calls := map[int]int{}
		got := fastest([]int{4, 2}, func(n int) time.Duration {
			calls[n]++
			return c.times[n][calls[n]-1]
		})
		if got != c.want {
			t.Errorf("%s: chose %d threads, want %d", c.name, got, c.want)
		}
	}
}

func TestChosenThreadsCompute(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), Options{Threads: 4})
	s, err := m.NewSession(8)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.timeDecoding(); d <= 0 {
		t.Errorf("decoding takes %v", d)
	}
}
