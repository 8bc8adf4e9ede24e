package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"alphaos/console"
	"alphaos/llm"
	"alphaos/llm/chat"
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
	Answer() answer // what is said with the tokens that follow a prompt
	NewSession(contextLength int) (session, error)
	// DraftWith has a smaller model of the same vocabulary guess what comes
	// next: no answer changes, but it may come sooner. Sessions that were begun
	// before do without.
	DraftWith(r ModelReader, o llm.Options) error
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
	Memory() int64         // bytes of keys and values
	StateSize(n int) int64 // bytes of a saved state of n tokens
	Truncate(n int)
	View() []int32 // the tokens; not to be changed
	Generate(c *sample.Sampler) generator

	StateTokens(r io.Reader) ([]int32, error)
	ReadFrom(r io.Reader) (int64, error)
	Save(w io.Writer, limit int64) (tokens int, err error)
}

// generator is llm.Generator.
type generator interface {
	Begin(logits []float32)
	Next(ctx context.Context) (int32, error)
	Settle()
}

// answer is chat.Answer.
type answer interface {
	Write(id int32) (text string, more bool)
	End() string
	IDs() []int32
}

// model is the real engine.
type model struct {
	*llm.Model
	chat.Template
	tok   *tokenizer.Tokenizer
	draft *llm.Model // a smaller one, or nil
}

// openModel loads a model. raw ignores its chat template, which may ask for the
// date otherwise.
func openModel(r ModelReader, o llm.Options, raw bool, now func() time.Time) (engine, error) {
	m, err := llm.Load(r, r.Size(), o)
	if err != nil {
		return nil, err
	}
	// All of a streamed model would have to be read for it, at every start.
	if m.Info().Streamed == 0 {
		if err := verify(r); err != nil {
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

// verify checks what was read against the model's checksum, if it has one.
func verify(r ModelReader) error {
	if v, ok := r.(interface{ Verify() error }); ok {
		return v.Verify()
	}
	return nil
}

func (m *model) Prompt(turns []chat.Turn) []int32 { return m.Template.Prompt(m.tok, turns) }

func (m *model) Fit(turns []chat.Turn, limit int) ([]int32, int) {
	return m.Template.Fit(m.tok, turns, limit)
}

func (m *model) Sampling() sample.Params { return sample.Recommended(m.File()) }

func (m *model) Answer() answer { return m.Template.Answer(m.tok) }

func (m *model) DraftWith(r ModelReader, o llm.Options) error {
	d, err := llm.Load(r, r.Size(), o)
	if err != nil {
		return err
	}
	if err = verify(r); err == nil && (d.Embedder() || d.Info().Streamed > 0 || !llm.SameVocabulary(m.File(), d.File())) {
		err = errors.New("this model cannot draft for the other")
	}
	if err != nil {
		d.Close()
		return err
	}
	m.draft = d
	return nil
}

func (m *model) Close() {
	m.Model.Close()
	if m.draft != nil {
		m.draft.Close()
	}
}

// Memory is that of both models.
func (m *model) Memory() int64 {
	n := m.Model.Memory()
	if m.draft != nil {
		n += m.draft.Memory()
	}
	return n
}

func (m *model) NewSession(n int) (session, error) {
	s, err := m.Model.NewSession(n)
	if err != nil {
		return nil, err
	}
	r := &realSession{Session: s}
	drafters := []llm.Drafter{llm.NewLookup()}
	if m.draft != nil {
		if d, err := m.draft.NewSession(min(s.Cap(), m.draft.Info().Context)); err == nil {
			r.draft = d
			drafters = append(drafters, llm.NewModelDrafter(d, func() llm.Chooser { return r.chooser.Ahead() }))
		} else { // there is no memory for its session: it only takes more
			m.draft.Close()
			m.draft = nil
		}
	}
	r.gen = s.NewGenerator(nil, drafters...)
	return r, nil
}

// realSession drafts what the conversation has said before, or what a smaller
// model says. What pays is learnt over all answers.
type realSession struct {
	*llm.Session
	draft   *llm.Session // of the smaller model, or nil
	gen     *llm.Generator
	chooser *sample.Sampler
}

func (s *realSession) Generate(c *sample.Sampler) generator {
	s.chooser = c
	s.gen.Use(c)
	return s.gen
}

func (s *realSession) Memory() int64 {
	n := s.Session.Memory()
	if s.draft != nil {
		n += s.draft.Memory()
	}
	return n
}

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
		fmt.Sprintf("parameters      %s, %s", thousands(i.Parameters), i.Quantization),
		fmt.Sprintf("size            %s", console.Bytes(i.Bytes)),
		fmt.Sprintf("trained for     %d tokens of context", i.Context),
		fmt.Sprintf("shape           %d layers, embedding %d, %d heads (%d for keys), feed forward %d, vocabulary %d",
			i.Layers, i.Embedding, i.Heads, i.KVHeads, i.FeedForward, i.Vocabulary),
		"chat template   " + template,
		fmt.Sprintf("computes with   %s, %s", i.Kernel, count(i.Threads, "thread", "threads")),
	}
	if m.draft != nil {
		d := m.draft.Info()
		lines = append(lines, fmt.Sprintf("drafts with     %s parameters, %s, when that is faster", thousands(d.Parameters), d.Quantization))
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
