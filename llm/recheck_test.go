package llm

import (
	"context"
	"errors"
	"slices"
	"testing"
	"unsafe"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// A bit that flips anywhere in a matrix in memory is found where it is; nothing else is, nor
// does computing change a weight.
func TestRecheck(t *testing.T) {
	large := llmtest.Quantized(gguf.Q8_0, gguf.F16)
	large.Embedding, large.FeedForward, large.Heads, large.Tied, large.Vocabulary = 512, 8192, 8, false, 600
	for name, c := range map[string]struct {
		file *llmtest.File
		o    Options
	}{
		"small":    {llmtest.Llama(llmtest.Small), Options{}},
		"repacked": {llmtest.Llama(large), Options{Threads: 2}},
		"portable": {llmtest.Llama(large), Options{Kernel: "portable"}},
		"streamed": {llmtest.Llama(large), Options{Budget: 30 << 20}},
		"encoder":  {syntheticBert(1), Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, c.file, c.o)
			if m.decoder != nil {
				eval(t, newSession(t, m), 1, 2, 3)
			}
			check := func() (bad []Damage) {
				t.Helper()
				last := int64(0)
				bad, err := m.Recheck(t.Context(), func(done int64) { last = done })
				if err != nil || last != m.Checkable() {
					t.Errorf("%v; %d of %d bytes were checked", err, last, m.Checkable())
				}
				return bad
			}
			if bad := check(); bad != nil {
				t.Fatalf("without damage: %+v", bad)
			}
			if streamed := m.Info().Streamed; (streamed > 0) != (name == "streamed") || m.Checkable() > m.Memory() || m.Checkable() < m.Memory()/2 && streamed == 0 || m.Checkable() == 0 {
				t.Errorf("%d bytes of %d can be checked; %d are streamed", m.Checkable(), m.Memory(), streamed)
			}
			for _, i := range []int{0, len(m.parts) / 2, len(m.parts) - 1} {
				p := m.parts[i]
				at := &p.data[len(p.data)-1]
				*at ^= 0x10
				want := []Damage{{p.tensor, uintptr(unsafe.Pointer(&p.data[0])), int64(len(p.data))}}
				if bad := check(); !slices.Equal(bad, want) {
					t.Errorf("damage %+v, want %+v", bad, want)
				}
				*at ^= 0x10
			}
		})
	}
}

func TestRecheckEnds(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), Options{})
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := m.Recheck(ctx, func(int64) { t.Error("progress") }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	m.Close()
	if _, err := m.Recheck(context.Background(), func(int64) { t.Error("progress") }); err == nil {
		t.Error("a closed model was checked")
	}
}
