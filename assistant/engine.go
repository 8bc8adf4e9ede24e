package assistant

import (
	"context"
	"fmt"
	"time"

	"alphaos/console"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/llm/sample"
	"alphaos/llm/tokenizer"
)

// engine is a loaded model as the assistant needs it; tests have one without
// weights.
type engine interface {
	// Prompt and Fit are those of chat.Template.
	Prompt(turns []chat.Turn) []int32
	Fit(turns []chat.Turn, limit int) (ids []int32, dropped int)
	Plain() bool // text is continued, there are no turns
	Stops() []string
	IsEnd(id int32) bool
	Decoder() decoder
	NewSession(contextLength int) (session, error)
	Describe() []string // lines for /show info
	Info() llm.Info
	Sampling() sample.Params // that the model recommends
	Memory() int64           // bytes of weights
	Warnings() []string
	Close()
}

// session is llm.Session.
type session interface {
	Eval(ctx context.Context, ids []int32) ([]float32, error)
	Len() int
	Cap() int
	Memory() int64 // bytes of keys and values
	Truncate(n int)
	View() []int32 // the tokens; not to be changed
	Generate(c llm.Chooser) generator
}

// generator is llm.Generator.
type generator interface {
	Begin(logits []float32)
	Next(ctx context.Context) (int32, error)
	Settle()
}

// decoder is tokenizer.Decoder.
type decoder interface {
	Write(id int32) string
	Flush() string
}

// model is the real engine.
type model struct {
	*llm.Model
	chat.Template
	tok *tokenizer.Tokenizer
}

// openModel loads a model. raw ignores its chat template, which may ask for the
// date otherwise.
func openModel(r ModelReader, o llm.Options, raw bool, now func() time.Time) (engine, error) {
	m, err := llm.Load(r, r.Size(), o)
	if err != nil {
		return nil, err
	}
	if v, ok := r.(interface{ Verify() error }); ok {
		if err := v.Verify(); err != nil {
			m.Close()
			return nil, err
		}
	}
	e := &model{Model: m, tok: m.Tokenizer()}
	if !raw {
		e.Template = chat.Detect(m.File()).WithClock(now)
	}
	return e, nil
}

// inspect reads a model's header, so that a file that can't be loaded is
// refused before the model in use is given up.
func inspect(r ModelReader) (*gguf.File, error) { return gguf.Read(r, r.Size()) }

func (m *model) Prompt(turns []chat.Turn) []int32 { return m.Template.Prompt(m.tok, turns) }

func (m *model) Fit(turns []chat.Turn, limit int) ([]int32, int) {
	return m.Template.Fit(m.tok, turns, limit)
}

func (m *model) Sampling() sample.Params { return sample.Recommended(m.File()) }

func (m *model) IsEnd(id int32) bool { return m.Template.IsEnd(m.tok, id) }
func (m *model) Decoder() decoder    { return m.tok.NewDecoder() }

func (m *model) NewSession(n int) (session, error) {
	s, err := m.Model.NewSession(n)
	if err != nil {
		return nil, err
	}
	return &realSession{s, llm.NewLookup()}, nil
}

// realSession drafts what the conversation has said before.
type realSession struct {
	*llm.Session
	lookup *llm.Lookup
}

func (s *realSession) Generate(c llm.Chooser) generator { return s.NewGenerator(c, s.lookup) }

func (m *model) Warnings() []string {
	w := m.tok.Warnings()
	if t := m.Template.Warning(); t != "" {
		w = append(w[:len(w):len(w)], t)
	}
	return w
}

func (m *model) Describe() []string {
	template := m.Template.Name()
	if m.Plain() {
		template = "none (text is continued)"
	}
	i := m.Info()
	lines := []string{
		"architecture    " + i.Architecture,
		fmt.Sprintf("parameters      %s, %s", thousands(i.Parameters), i.Quantisation),
		fmt.Sprintf("size            %s", console.Bytes(i.Bytes)),
		fmt.Sprintf("trained for     %d tokens of context", i.Context),
		fmt.Sprintf("shape           %d layers, embedding %d, %d heads (%d for keys), feed forward %d, vocabulary %d",
			i.Layers, i.Embedding, i.Heads, i.KVHeads, i.FeedForward, i.Vocabulary),
		"chat template   " + template,
		fmt.Sprintf("computes with   %s, %s", i.Kernel, count(i.Threads, "thread", "threads")),
	}
	if i.Streamed > 0 {
		lines = append(lines, fmt.Sprintf("streams         %s from the drive for each token", console.Bytes(i.Streamed)))
	}
	if i.Name != "" {
		lines = append([]string{"name            " + i.Name}, lines...)
	}
	return lines
}

// thousands is a number of parameters as people say it: 260 K, 1.2 B.
func thousands(n int64) string {
	switch f := float64(n); {
	case f >= 1e9:
		return fmt.Sprintf("%.1f B", f/1e9)
	case f >= 1e6:
		return fmt.Sprintf("%.1f M", f/1e6)
	case f >= 1e3:
		return fmt.Sprintf("%.0f K", f/1e3)
	}
	return fmt.Sprint(n)
}
