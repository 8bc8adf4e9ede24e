package llm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

func state(t testing.TB, s *Session) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes of %d, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// A restored session goes on to the last bit as the one that was saved, also
// in a model that was loaded in another way.
func TestState(t *testing.T) {
	smallPieces(t, 16<<10)
	for _, shape := range []llmtest.Shape{llmtest.Quantized(gguf.Q8_0), llmtest.Uneven()} {
		testState(t, shape)
	}
}

func testState(t *testing.T, shape llmtest.Shape) {
	f := llmtest.Llama(shape)
	for _, cache := range []string{"f32", "f16", "q8_0"} {
		m := load(t, f, Options{Threads: 2, Cache: cache, inPlace: true})
		streamed, _ := loadWithin(t, f, Options{Threads: 2, Cache: cache, Budget: int64(len(f.Bytes()) * 3 / 4)})
		s := newSession(t, m)
		eval(t, s, testIDs...)
		s.Truncate(30)
		saved := state(t, s)
		if n := s.StateSize(30); n != int64(len(saved)) {
			t.Errorf("the state has %d bytes, not %d", len(saved), n)
		}
		want := slices.Clone(eval(t, s, 7, 8))
		for _, m := range []*Model{m, streamed} {
			got := newSession(t, m)
			eval(t, got, 5, 5, 5)
			r := bytes.NewReader(append(slices.Clone(saved), "more"...))
			if n, err := got.ReadFrom(r); err != nil || n != int64(len(saved)) || r.Len() != 4 {
				t.Fatalf("%d of %d bytes, %d left, %v", n, len(saved), r.Len(), err)
			}
			if !slices.Equal(got.Tokens(), testIDs[:30]) {
				t.Errorf("tokens %v", got.Tokens())
			}
			same(t, eval(t, got, 7, 8), want)
		}
	}
	empty := newSession(t, load(t, f, Options{}))
	if _, err := empty.ReadFrom(bytes.NewReader(state(t, empty))); err != nil || empty.Len() != 0 {
		t.Errorf("an empty session: %v", err)
	}
}

// Saved within a limit a state is that of the first tokens, and still what a
// session goes on from.
func TestStateWithin(t *testing.T) {
	f := llmtest.Llama(llmtest.Small)
	for _, cache := range []string{"f32", "f16", "q8_0"} {
		m := load(t, f, Options{Threads: 1, Cache: cache})
		s := newSession(t, m)
		eval(t, s, testIDs[:20]...)
		whole := state(t, s)
		for _, limit := range []int{0, stateHeader, len(whole) - 1, len(whole) / 2, len(whole), 2 * len(whole)} {
			var b bytes.Buffer
			n, err := s.Save(&b, int64(limit))
			if err != nil || b.Len() > limit || n > 20 || (n == 20) != (limit >= len(whole)) || (n == 0) != (b.Len() == 0) {
				t.Fatalf("within %d of %d bytes: %d bytes for %d tokens, %v", limit, len(whole), b.Len(), n, err)
			}
			if n == 0 {
				continue
			}
			got := newSession(t, m)
			tokens, err := got.StateTokens(bytes.NewReader(b.Bytes()))
			if err != nil || !slices.Equal(tokens, testIDs[:n]) || got.Len() != 0 {
				t.Fatalf("tokens %v, %v", tokens, err)
			}
			if _, err := got.ReadFrom(&b); err != nil || got.Len() != n {
				t.Fatalf("%d tokens instead of %d, %v", got.Len(), n, err)
			}
			want := newSession(t, m)
			eval(t, want, testIDs[:20]...)
			want.Truncate(n)
			same(t, slices.Clone(eval(t, got, 7)), eval(t, want, 7))
		}
	}
}

// What is not a state of this model is refused, and leaves an empty session.
func TestStateRefuses(t *testing.T) {
	f := llmtest.Llama(llmtest.Small)
	m := load(t, f, Options{Threads: 1, Cache: "f32"})
	s := newSession(t, m)
	eval(t, s, testIDs[:20]...)
	saved := state(t, s)
	// The power went away while another conversation's state was written over it.
	newer := newSession(t, m)
	eval(t, newer, testIDs[5:25]...)
	torn := slices.Clone(saved)
	copy(torn, state(t, newer)[:len(saved)-(len(saved)-stateHeader)/len(m.decoder.layers)])
	other := llmtest.Llama(llmtest.Small)
	w := other.Tensor("blk.1.ffn_norm.weight")
	w.Data[0] ^= 1 // another fine-tuning
	half := newSession(t, load(t, f, Options{Threads: 1, Cache: "f16"}))
	short, err := m.NewSession(16)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, v byte) []byte {
		b := slices.Clone(saved)
		b[at] ^= v
		return b
	}
	for _, c := range []struct {
		name  string
		s     *Session
		state []byte
		want  string
	}{
		{"nothing", s, nil, "cut short"},
		{"cut", s, saved[:len(saved)-1], "cut short"},
		{"cut head", s, saved[:20], "cut short"},
		{"magic", s, edit(0, 1), "no saved state"},
		{"version", s, edit(8, 3), "version 1"},
		{"more tokens", s, edit(31, 0x7f), "at most 64"},
		{"fewer tokens", s, edit(28, 1), "checksum"},
		{"token", s, edit(stateHeader, 1), "checksum"},
		{"key", s, edit(len(saved)/2, 1), "checksum"},
		{"last checksum", s, edit(len(saved)-1, 1), "checksum"},
		{"torn", s, torn, "checksum"},
		{"model", newSession(t, load(t, other, Options{Cache: "f32"})), saved, "another model"},
		{"form", half, saved, "another form"},
		{"length", short, saved, "at most 16"},
	} {
		_, err := c.s.ReadFrom(bytes.NewReader(c.state))
		if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.s.Len() != 0 {
			t.Errorf("%s: %d tokens are left", c.name, c.s.Len())
		}
		if _, err := c.s.Eval(context.Background(), []int32{1, 2}); err != nil {
			t.Errorf("%s: the session cannot go on: %v", c.name, err)
		}
	}
	if _, err := s.WriteTo(failing{}); err == nil {
		t.Error("a full drive was not noticed")
	}
}

type failing struct{}

func (failing) Write(p []byte) (int, error) { return 0, io.ErrShortWrite }

// FuzzState: whatever the bytes, there is a session of sane tokens or an
// error.
func FuzzState(f *testing.F) {
	tiny := llmtest.Shape{Embedding: 4, FeedForward: 4, Layers: 1, Heads: 2, KVHeads: 1, Head: 2, Vocabulary: 260, Context: 4, Types: []gguf.Type{gguf.F32}}
	b := llmtest.Llama(tiny).Bytes()
	m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Threads: 1, Kernel: Kernels()[0]})
	if err != nil {
		f.Fatal(err)
	}
	s, err := m.NewSession(4)
	if err != nil {
		f.Fatal(err)
	}
	for _, ids := range [][]int32{{1}, {1, 2, 3}} {
		s.Truncate(0)
		eval(f, s, ids...)
		f.Add(state(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tokens, headErr := s.StateTokens(bytes.NewReader(b))
		n, err := s.ReadFrom(bytes.NewReader(b))
		if err == nil && (headErr != nil || !slices.Equal(tokens, s.View())) {
			t.Fatalf("tokens %v, then %v: %v", tokens, s.View(), headErr)
		}
		if n > int64(len(b)) || err != nil && s.Len() != 0 || s.Len() > s.Cap() {
			t.Fatalf("%d of %d bytes, %d tokens, %v", n, len(b), s.Len(), err)
		}
		if s.Len() < s.Cap() {
			eval(t, s, 1)
		}
	})
}

// An emptied session with recurrent layers is saved as an empty one; and when such layers have to read tokens once more,
// there are the logits of all rows, wherever batches end.
func TestRecurrentCorners(t *testing.T) {
	b := synthetic(t, "tiny-qwen35", "F16")
	m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, fresh := newSession(t, m), newSession(t, m)
	eval(t, s, testIDs...)
	s.Truncate(0)
	saved := state(t, s)
	eval(t, s, testIDs[5:]...)
	if _, err := s.ReadFrom(bytes.NewReader(saved)); err != nil || s.Len() != 0 {
		t.Fatal(s.Len(), err)
	}
	same(t, slices.Clone(eval(t, s, 7, 8)), eval(t, fresh, 7, 8))

	prompt := slices.Repeat(testIDs, 6)
	one := func(s *Session, n int) {
		for range n {
			eval(t, s, 5)
		}
	}
	draft := []int32{9, 8, 7, 6, 5, 4, 3, 2, 1}
	for _, again := range []int{119, 120, 122, 127, 128} { // tokens behind the end of the prompt, which are read again
		for i, s := range []*Session{fresh, s} {
			s.Truncate(0)
			eval(t, s, prompt...)
			if one(s, again); i == 1 {
				one(s, 3)
				s.Truncate(len(prompt) + again)
			}
		}
		want, err := fresh.EvalRows(context.Background(), draft, len(draft))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.EvalRows(context.Background(), draft, len(draft))
		if err != nil {
			t.Fatal(err)
		}
		if _, largest := distance(t, got, want); largest > 1e-3 {
			t.Errorf("%d tokens that are read again: a logit differs by %g", again, largest)
		}
	}
	for _, rows := range []int{0, 3, MaxDraft + 2} {
		if _, err := s.EvalRows(context.Background(), []int32{1, 2}, rows); err == nil {
			t.Errorf("%d rows of two tokens", rows)
		}
	}
}
