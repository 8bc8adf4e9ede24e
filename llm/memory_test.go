package llm

import (
	"testing"

	"alphaos/llm/llmtest"
)

// TestMemory checks the figures of /show memory against what was asked for.
func TestMemory(t *testing.T) {
	for _, cache := range []string{"f32", "f16", "q8_0"} {
		testMemory(t, llmtest.Small, 2*2*10, cache)
		testMemory(t, llmtest.Uneven(), (2+1+2)*64, cache)
	}
}

// testMemory checks a model whose layers keep, all together, so many keys for each
// position, and as many values.
func testMemory(t *testing.T, shape llmtest.Shape, keys int, cache string) {
	var asked int64
	m := load(t, llmtest.Llama(shape), Options{Cache: cache, Alloc: func(n int) ([]byte, error) {
		asked = int64(n)
		return make([]byte, n), nil
	}})
	if m.Memory() != asked || asked == 0 {
		t.Errorf("the weights take %d bytes, want %d", m.Memory(), asked)
	}
	const context = 16
	s, err := m.NewSession(context)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(2 * context * keys * 4)
	switch {
	case cache == "q8_0" && shape.Head%32 == 0:
		want = want / 4 / 32 * 34
	case cache != "f32":
		want /= 2
	}
	if s.Memory() != want {
		t.Errorf("a session in %s takes %d bytes, want %d", cache, s.Memory(), want)
	}
}
