package llm

import "testing"

// TestMemory checks the figures of /show memory against what was asked for.
func TestMemory(t *testing.T) {
	for _, cache := range []string{"f32", "f16"} {
		var asked int64
		m := load(t, synthetic(smallShape), Options{Cache: cache, Alloc: func(n int) ([]byte, error) {
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
		c := m.config
		want := int64(2 * context * c.layers * c.kvHeads * c.head * 4)
		if cache == "f16" {
			want /= 2
		}
		if s.Memory() != want {
			t.Errorf("a session in %s takes %d bytes, want %d", cache, s.Memory(), want)
		}
	}
}
