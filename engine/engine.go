// Package engine is a model that answers: weights, with their tokenizer and chat template, a context, and
// perhaps a smaller model that drafts.
//
// A [Conversation] goes in and an answer comes out, piece by piece ([Model.Answer]). Whoever wants answers (the
// assistant, a single question on a host, an examination) uses this one loop, so stop strings are cut, white space
// is left out and room is made in a full context in one way. Tokens do not leave this package: it compares the
// tokens of a conversation with those in the context, so nothing is computed twice, and callers need not say what
// changed.
//
//	files.go         finding and opening models
//	places.go        and those on other drives
//	engine.go        a loaded model and its context
//	conversation.go  what the model sees of a conversation, and how that fits the context
//	writer.go        the text of an answer, without what a person should not see
//	answer.go        the loop, and how an answer ended
//	state.go         what the model remembers, kept between sessions
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"alphaos/console"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/draft"
	"alphaos/llm/sample"
	"alphaos/llm/tokenizer"
)

// Options say how to load a model. The zero value is good.
type Options struct {
	LLM     llm.Options
	Raw     bool             // ignore the chat template: the model continues text
	NoDraft bool             // never look up in the context what may come next
	Now     func() time.Time // nil: time.Now
}

// Params say how to answer.
type Params struct {
	sample.Params
	Predict     int // tokens of an answer at most; below 0: as many as the context holds
	ThinkBudget int // tokens of thoughts at most, which are then concluded; 0: no limit
}

// Parts are what a Model is made of. Load takes them from a file; tests make some without weights.
type Parts struct {
	Info     llm.Info
	About    []console.Field // facts about the model
	Weights  int64           // bytes of memory that they take
	Warnings []string        // sentences that a person should read
	Sampling sample.Params   // what the model recommends

	Text  Text
	Plain bool     // there are no turns: text is continued
	Stops []string // strings that end an answer when they turn up in its text

	InMemory   Rechecker                                // nil: there are no weights
	NewSession func(contextLength int) (Session, error) // 0 tokens: the model's own length
	Now        func() time.Time                         // nil: time.Now
	Close      func()                                   // nil: there is nothing to close
}

// Rechecker tells whether weights in memory are still what was loaded: see llm.Model.
type Rechecker interface {
	Checkable() int64
	Recheck(ctx context.Context, progress func(done int64)) ([]llm.Damage, error)
}

// Text writes a conversation as tokens, up to where the model is to speak, and reads the tokens of its answer: a
// chat template with its tokenizer.
type Text interface {
	Prompt(turns []chat.Turn) []int32
	Answer() Reader
}

// Reader turns the tokens of one answer into text: see chat.Answer.
type Reader interface {
	Write(id int32) (text string, more bool)
	End() string
	IDs() []int32
}

// A Thinker is a Reader that knows thoughts: see chat.Answer.
type Thinker interface {
	Thought() string   // that have come since the last call
	Thinking() bool    // there are more to come
	Conclude() []int32 // tokens that end them
}

// Session is the model's memory of the tokens it has read: see llm.Session.
type Session interface {
	Cap() int
	View() []int32
	Truncate(n int)
	Eval(ctx context.Context, ids []int32) (logits []float32, err error)
	Generate(c *sample.Sampler) Generator
	Memory() int64 // bytes of keys and values

	Saver
}

// Saver writes and reads what a session remembers: see llm.Session.
type Saver interface {
	StateSize(tokens int) int64
	StateTokens(r io.Reader) ([]int32, error)
	ReadFrom(r io.Reader) (int64, error)
	Save(w io.Writer, limit int64) (tokens int, err error)
}

// Generator chooses the tokens that follow those of its session: see draft.Generator.
type Generator interface {
	Begin(logits []float32)
	Next(ctx context.Context) (int32, error)
	Settle()
	Drafted() (drafted, accepted int)
}

// Model is a loaded model with at most one context at a time. It is not for use by several goroutines at once.
type Model struct {
	Parts
	Reading func(done, total int) // called by Answer: so many tokens of the prompt are read; nil: nobody wants to know
	Thought func(text string)     // called by Answer: the model thinks so, before it answers; nil: nobody wants to know

	session  Session
	restored []int32 // the tokens of the state that the session began with

	weights *llm.Model
	draft   *llm.Model // a smaller one that guesses what comes next, or nil
	options Options
}

// New makes a Model of its parts. It has no context yet: see Begin.
func New(p Parts) *Model {
	if p.Now == nil {
		p.Now = time.Now
	}
	return &Model{Parts: p}
}

// Load loads the model in r, which must stay open until Close. Its checksum is verified unless the model is
// streamed, for which all of it would have to be read at every start. An error is one sentence.
func Load(r ModelReader, o Options) (*Model, error) {
	w, err := load(r, o.LLM)
	if err != nil {
		return nil, err
	}
	t := text{tok: w.Tokenizer()}
	if !o.Raw {
		t.Template = chat.Detect(w.File()).WithClock(o.Now)
	}
	m := New(Parts{Info: w.Info(), About: about(w.Info(), t.Template), Weights: w.Memory(), Sampling: sample.Recommended(w.File()),
		Text: t, Plain: t.Plain(), Stops: t.Stops(), InMemory: w, Now: o.Now, Close: w.Close})
	for _, s := range append(t.tok.Warnings(), t.Warning(), r.Note()) {
		if s != "" {
			m.Warnings = append(m.Warnings, s)
		}
	}
	m.weights, m.options, m.NewSession = w, o, m.newSession
	return m, nil
}

func load(r ModelReader, o llm.Options) (*llm.Model, error) {
	w, err := llm.Load(r, r.Size(), o)
	if err != nil || w.Info().Streamed > 0 {
		return w, err
	}
	if err := r.Verify(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// text is a chat template with a tokenizer.
type text struct {
	chat.Template
	tok *tokenizer.Tokenizer
}

func (t text) Prompt(turns []chat.Turn) []int32 { return t.Template.Prompt(t.tok, turns) }
func (t text) Answer() Reader                   { return t.Template.Answer(t.tok) }

// SetThinking says whether the model is to think before it answers; nil: as its template has it. It
// returns false if the template knows no switch, so that it does as it does.
func (m *Model) SetThinking(think *chat.Thinking) bool {
	t, ok := m.Text.(text)
	if !ok || !t.Switches() {
		return false
	}
	t.Template = t.WithThinking(think)
	m.Text = t
	return true
}

// LLM is the model itself, for measurements; nil if there are no weights.
func (m *Model) LLM() *llm.Model { return m.weights }

// DraftWith loads a smaller model with the same vocabulary from r, to guess what comes next in contexts that are
// begun from now on. No answer changes, but it may come sooner.
func (m *Model) DraftWith(r ModelReader, o llm.Options) error {
	d, err := load(r, o)
	if err != nil {
		return err
	}
	if m.weights == nil || d.Embedder() || d.Info().Streamed > 0 || !draft.SameVocabulary(m.weights.File(), d.File()) {
		d.Close()
		return errors.New("this model cannot draft for the other")
	}
	m.draft = d
	return nil
}

// Close gives the memory back.
func (m *Model) Close() {
	m.session = nil
	if m.Parts.Close != nil {
		m.Parts.Close()
	}
	if m.draft != nil {
		m.draft.Close()
	}
}

// Begin begins an empty context of contextLength tokens (0: the model's own length). After an error there is none.
func (m *Model) Begin(contextLength int) (err error) {
	m.session, m.restored = nil, nil // their memory may be needed
	s, err := m.NewSession(contextLength)
	if err == nil {
		m.session = s
	}
	return err
}

// Context tells how many tokens the context holds, and how many it has room for.
func (m *Model) Context() (used, size int) {
	if m.session == nil {
		return 0, 0
	}
	return len(m.session.View()), m.session.Cap()
}

// Memory tells how many bytes of memory weights take, and keys and values, those of a drafting model included.
func (m *Model) Memory() (weights, cache int64) {
	weights = m.Weights
	if m.draft != nil {
		weights += m.draft.Memory()
	}
	if m.session != nil {
		cache = m.session.Memory()
	}
	return weights, cache
}

// Checkable is how many bytes of weights Recheck looks at: all but those that are read from the drive for each token.
func (m *Model) Checkable() (n int64) {
	for _, w := range m.inMemory() {
		n += w.Checkable()
	}
	return n
}

// Recheck tells where weights in memory, those of a drafting model included, are not what was loaded. Nothing may
// be computed meanwhile.
func (m *Model) Recheck(ctx context.Context, progress func(done int64)) (bad []llm.Damage, err error) {
	before := int64(0)
	for _, w := range m.inMemory() {
		found, err := w.Recheck(ctx, func(done int64) { progress(before + done) })
		if bad = append(bad, found...); err != nil {
			return bad, err
		}
		before += w.Checkable()
	}
	return bad, nil
}

func (m *Model) inMemory() (list []Rechecker) {
	if m.InMemory != nil {
		list = append(list, m.InMemory)
	}
	if m.draft != nil {
		list = append(list, m.draft)
	}
	return list
}

// newSession begins a session that drafts what the conversation has said before, or what a smaller model says.
func (m *Model) newSession(contextLength int) (Session, error) {
	s, err := m.weights.NewSession(contextLength)
	if err != nil {
		return nil, err
	}
	r := &session{Session: s}
	var drafters []draft.Drafter
	add := func(name string, d draft.Drafter) {
		drafters, r.drafters = append(drafters, d), append(r.drafters, name)
	}
	ahead := func() draft.Chooser { return r.chooser.Ahead() }
	if !m.options.NoDraft {
		add("looked up", draft.NewLookup())
		if g := s.Guesser(); g != nil {
			add("guessed by the model itself", draft.NewGuesses(g, ahead))
		}
	}
	if m.draft != nil {
		if d, err := m.draft.NewSession(min(s.Cap(), m.draft.Info().Context)); err == nil {
			r.draft = d
			add("guessed by the smaller model", draft.NewModel(d, ahead))
		} else { // no memory for its session: then its weights are of no use either
			m.draft.Close()
			m.draft = nil
		}
	}
	r.generator = draft.NewGenerator(s, nil, drafters...)
	return r, nil
}

// session uses one generator for all answers, which learns over all of them which drafts pay.
type session struct {
	*llm.Session
	draft     *llm.Session // of the smaller model, or nil
	generator *draft.Generator
	drafters  []string // what those of the generator did, in words
	chooser   *sample.Sampler
}

func (s *session) Generate(c *sample.Sampler) Generator {
	s.chooser = c
	s.generator.Use(c)
	return s.generator
}

// drafted tells how many tokens were drafted so far and how many of them right.
func (s *session) drafted() string {
	var all []string
	for i, name := range s.drafters {
		if n, right := s.generator.DraftedBy(i); n > 0 {
			all = append(all, fmt.Sprintf("%d tokens %s, %d of them right", n, name, right))
		}
	}
	return strings.Join(all, "; ")
}

func (s *session) Memory() int64 {
	n := s.Session.Memory()
	if s.draft != nil {
		n += s.draft.Memory()
	}
	return n
}

// Describe returns facts about the model for a person.
func (m *Model) Describe() []console.Field {
	fields := m.About[:len(m.About):len(m.About)]
	if m.weights != nil {
		if fetch := m.weights.Info().Fetch; fetch != "" {
			fields = append(fields, console.Field{Name: "fetches ahead", Value: fetch + " (bytes, by type of weights)"})
		}
	}
	if m.draft != nil {
		d := m.draft.Info()
		fields = append(fields, console.Field{Name: "drafts with", Value: fmt.Sprintf("%s parameters, %s, when that is faster", thousands(d.Parameters), d.Quantization)})
	}
	if s, ok := m.session.(*session); ok {
		if drafts := s.drafted(); drafts != "" {
			fields = append(fields, console.Field{Name: "drafts", Value: drafts})
		}
	}
	var experts llm.ExpertStats
	ok := false
	if m.weights != nil {
		experts, ok = m.weights.Experts()
	}
	if ok {
		fields = append(fields, describeExperts(experts)...)
	} else if n := m.Info.Streamed; n > 0 {
		fields = append(fields, console.Field{Name: "streams", Value: console.Bytes(n) + " from the drive for each token"})
	}
	return fields
}

// describeExperts tells of experts that are read from the drive.
func describeExperts(s llm.ExpertStats) []console.Field {
	where := fmt.Sprintf("%d of %d in memory", s.Slots, s.Total)
	if s.Slots < s.Total {
		where += ", the others are read when they are needed"
	}
	fields := []console.Field{{Name: "experts kept", Value: where}}
	if s.Tokens > 0 {
		fields = append(fields,
			console.Field{Name: "experts found", Value: fmt.Sprintf("%.1f %% in memory, %s read for each of %d tokens", 100*s.HitRate(), console.Bytes(int64(s.BytesPerToken())), s.Tokens)},
			console.Field{Name: "drive allows", Value: fmt.Sprintf("%.1f tokens/s at %s/s", s.Allows(), console.Bytes(int64(s.Rate)))})
	}
	return fields
}

func about(i llm.Info, t chat.Template) (fields []console.Field) {
	add := func(name, format string, args ...any) {
		fields = append(fields, console.Field{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	if i.Name != "" {
		add("name", "%s", i.Name)
	}
	add("architecture", "%s", i.Architecture)
	add("parameters", "%s, %s", thousands(i.Parameters), i.Quantization)
	add("size", "%s", console.Bytes(i.Bytes))
	add("trained for", "%d tokens of context", i.Context)
	if i.Experts > 0 {
		add("experts", "%d in a layer, %d used for a token", i.Experts, i.ExpertsUsed)
	}
	add("shape", "%d layers, embedding %d, %d heads (%d for keys), feed forward %d, vocabulary %d",
		i.Layers, i.Embedding, i.Heads, i.KVHeads, i.FeedForward, i.Vocabulary)
	if t.Plain() {
		add("chat template", "none (text is continued)")
	} else {
		add("chat template", "%s", t.Name())
	}
	threads := "threads"
	if i.Threads == 1 {
		threads = "thread"
	}
	add("computes with", "%s, %d %s", i.Kernel, i.Threads, threads)
	return fields
}

// thousands writes a number of parameters as people do: 260 K, 1.2 B.
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
