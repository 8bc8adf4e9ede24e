package engine

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/synth"
)

// memoryFile is a model in memory.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Verify() error { return nil }
func (memoryFile) Note() string  { return "" }
func (memoryFile) Close() error  { return nil }

func (memoryFile) Reread(context.Context, func(int64)) (bool, error) { return false, nil }

// A person is told how the experts of a model that does not fit memory were found.
func TestDescribeExperts(t *testing.T) {
	var b bytes.Buffer
	for _, s := range synth.Shapes {
		if s.Name == "tiny-qwen3moe" {
			if err := synth.Write(&b, s, synth.Mixtures[3], 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := Load(memoryFile{bytes.NewReader(b.Bytes())}, Options{LLM: llm.Options{Budget: 1100 << 10, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := m.LLM().NewSession(0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Eval(context.Background(), []int32{1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprint(m.Describe())
	for _, want := range []string{"16 in a layer, 4 used for a token", "of 48 in memory, the others are read", "% in memory, ", "read for each of 6 tokens", "tokens/s at "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told: %s", want, text)
		}
	}
}

// A person is told how many tokens were drafted in which way, and how weights are fetched.
func TestDescribeDrafts(t *testing.T) {
	var b bytes.Buffer
	for _, s := range synth.Shapes {
		if s.Name == "tiny-qwen35" {
			if err := synth.Write(&b, s, synth.Mixtures[1], 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, none := range []bool{false, true} {
		m, err := Load(memoryFile{bytes.NewReader(b.Bytes())}, Options{LLM: llm.Options{Threads: 1}, NoDraft: none})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Begin(0); err != nil {
			t.Fatal(err)
		}
		for _, early := range []string{"drafts", "fetches ahead"} {
			if strings.Contains(fmt.Sprint(m.Describe()), early) {
				t.Errorf("%q is told before an answer", early)
			}
		}
		talk := Conversation{Turns: []chat.Turn{{Role: "user", Text: "hello"}}}
		r := m.Answer(t.Context(), &talk, Params{Predict: 12}, func(string) error { return nil })
		if text := fmt.Sprint(m.Describe()); strings.Contains(text, "guessed by the model itself") == none || r.Drafted > 0 == none {
			t.Errorf("without drafts %v: %d were drafted, %s", none, r.Drafted, text)
		} else if !strings.Contains(text, "fetches ahead") {
			t.Errorf("how weights are fetched is not told after an answer: %s", text)
		}
	}
}
