package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/sample"
)

// White space at the beginning of an answer is left out, but not before stop strings were looked for.
func TestWriter(t *testing.T) {
	for _, tt := range []struct {
		pieces []string
		want   string
		cut    bool
	}{
		{[]string{" \t", "\r\n", "\tHello ", "\tyou \n"}, "Hello \tyou \n", false},
		{[]string{"\n", "\nUser: hi"}, "", true},
		{[]string{" \n", "Hi\n\nUs", "ed"}, "Hi\n\nUsed", false},
		{[]string{"\n\n"}, "", false},
		{[]string{"one<e", "nd>two\n\nUser:"}, "one", true},
	} {
		var out strings.Builder
		w := &writer{sink: func(s string) error { out.WriteString(s); return nil }, stops: []string{"\n\nUser:", "<end>"}, trim: true}
		for _, s := range tt.pieces {
			w.write(s)
		}
		w.end()
		if out.String() != tt.want || w.text.String() != tt.want || w.cut != tt.cut {
			t.Errorf("%q becomes %q, %v", tt.pieces, out.String(), w.cut)
		}
	}
}

// echo is a model of bytes without weights: its answer is what was said last, then 0.
type echo struct {
	size  int
	ids   []int32
	evals []int // tokens of each Eval
	last  int32
}

func (e *echo) Prompt(turns []chat.Turn) (ids []int32) {
	for _, t := range turns {
		ids = append(ids, map[string]int32{"system": 1, "assistant": 2, "user": 3}[t.Role])
		for _, b := range []byte(t.Text) {
			ids = append(ids, int32(b))
		}
		ids = append(ids, 0)
	}
	return append(ids, 2)
}

func (e *echo) Answer() Reader { return &echoed{} }

type echoed struct{ ids []int32 }

func (e *echoed) Write(id int32) (string, bool) {
	if id == 0 {
		return "", false
	}
	e.ids = append(e.ids, id)
	return string(rune(id)), true
}
func (e *echoed) End() string  { return "" }
func (e *echoed) IDs() []int32 { return e.ids }

func (e *echo) Cap() int       { return e.size }
func (e *echo) View() []int32  { return e.ids }
func (e *echo) Truncate(n int) { e.ids = e.ids[:min(n, len(e.ids))] }
func (e *echo) Memory() int64  { return 0 }

func (e *echo) Eval(ctx context.Context, ids []int32) ([]float32, error) {
	if len(e.ids)+len(ids) > e.size {
		return nil, llm.ErrContextFull
	}
	e.ids = append(e.ids, ids...)
	e.evals = append(e.evals, len(ids))
	at := len(e.ids) - 1
	for e.ids[at] != 2 {
		at--
	}
	said := e.ids[:at-1]
	for i := len(said) - 1; i >= 0; i-- {
		if said[i] == 3 { // a user's turn
			said = said[i+1:]
			break
		}
	}
	logits := make([]float32, 128)
	if n := len(e.ids) - at - 1; n < len(said) {
		logits[said[n]] = 1
	} else {
		logits[0] = 1
	}
	return logits, nil
}

type chooser struct {
	e      *echo
	c      *sample.Sampler
	logits []float32
}

func (e *echo) Generate(c *sample.Sampler) Generator { return &chooser{e: e, c: c} }

func (g *chooser) Begin(logits []float32) { g.logits = logits }
func (g *chooser) Settle()                {}
func (g *chooser) Drafted() (int, int)    { return 0, 0 }
func (g *chooser) Next(ctx context.Context) (id int32, err error) {
	if g.logits == nil {
		if g.logits, err = g.e.Eval(ctx, []int32{g.e.last}); err != nil {
			return -1, err
		}
	}
	g.e.last, g.logits = g.c.Sample(g.logits, nil), nil
	return g.e.last, nil
}

func newEcho(t *testing.T, size int) (*Model, *echo) {
	e := &echo{size: size}
	m := New(Parts{Text: e, Stops: []string{"###"}, NewSession: func(int) (Session, error) {
		return struct {
			*echo
			Saver
		}{e, nil}, nil
	}})
	if err := m.Begin(0); err != nil {
		t.Fatal(err)
	}
	return m, e
}

func said(text string) Conversation {
	return Conversation{Turns: []chat.Turn{{Role: "user", Text: text}}}
}

// An answer tells how it ended, and what of it was passed on.
func TestAnswer(t *testing.T) {
	greedy := Params{Params: sample.Params{}, Predict: -1}
	few := Params{Predict: 3}
	broken := errors.New("the pipe is closed")
	stopped, stop := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		ctx  context.Context
		p    Params
		says string
		sink func(string) error
		end  End
		want string
	}{
		"all":          {t.Context(), greedy, "  hello", nil, ByItself, "hello"},
		"stop string":  {t.Context(), greedy, "one ## two ### three", nil, ByItself, "one ## two "},
		"limit":        {t.Context(), few, "hello", nil, Limited, "hel"},
		"stopped":      {stopped, greedy, "hello", func(string) error { stop(); return nil }, Stopped, "h"},
		"no more room": {t.Context(), greedy, strings.Repeat("x", 60), nil, Full, strings.Repeat("x", 100-60-3+1)},
		"broken sink":  {t.Context(), greedy, "hello", func(string) error { return broken }, Unwritten, "h"},
		"too long":     {t.Context(), greedy, strings.Repeat("x", 200), nil, Failed, ""},
	} {
		m, _ := newEcho(t, 100)
		talk, got := said(c.says), ""
		r := m.Answer(c.ctx, &talk, c.p, func(s string) error {
			got += s
			if c.sink != nil {
				return c.sink(s)
			}
			return nil
		})
		if r.End != c.end || got != c.want || r.Turn.Text != got || (r.Err != nil) != (c.end == Unwritten || c.end == Failed) {
			t.Errorf("%s: %q, %+v", name, got, r)
		}
		if n := len(talk.Turns); n != 2 || talk.Turns[1].Role != "assistant" || talk.Turns[1].Text != got {
			t.Errorf("%s: the conversation is %+v", name, talk)
		}
	}
}

// A conversation that goes on is not read again, and what no longer fits leaves it, the oldest first.
func TestContext(t *testing.T) {
	m, e := newEcho(t, 100)
	talk := Conversation{System: "be"}
	for i := range 12 {
		talk.Turns = append(talk.Turns, chat.Turn{Role: "user", Text: "hello"})
		e.evals = nil
		r := m.Answer(t.Context(), &talk, Params{Predict: -1}, func(string) error { return nil })
		if r.Turn.Text != "hello" || r.End != ByItself {
			t.Fatalf("%d: %+v", i, r)
		}
		if read := 1 + 5 + 1 + 1 + 1; i > 0 && r.Dropped == 0 && e.evals[0] != read {
			t.Errorf("%d: %d tokens were read, not %d", i, e.evals[0], read)
		}
		if r.Dropped > 0 && talk.Turns[talk.First].Role != "user" {
			t.Errorf("%d: what is left begins with an answer", i)
		}
		if n := len(m.Text.Prompt(talk.turns(talk.First)[:1])); n != 1+2+1+1 {
			t.Errorf("%d: the system's text has %d tokens", i, n)
		}
	}
	if talk.First == 0 {
		t.Error("nothing left the context")
	}
	// Reading ahead in a new context leaves nothing to read.
	m.Forget()
	talk.Turns, talk.First = append(talk.Turns[:10:10], chat.Turn{Role: "user", Text: "hello"}), 0
	m.Read(t.Context(), &talk, Params{Predict: -1})
	e.evals = nil
	if talk.First != 0 {
		t.Error("reading ahead moved the conversation")
	}
	m.Answer(t.Context(), &talk, Params{Predict: -1}, func(string) error { return nil })
	if e.evals[0] != 1 || talk.First == 0 {
		t.Errorf("%d tokens were read after reading ahead, from turn %d on", e.evals[0], talk.First)
	}
}

// As few turns as possible are left out, and a user's comes first then.
func TestShorten(t *testing.T) {
	m, _ := newEcho(t, 1000)
	talk := Conversation{System: "Be brief."}
	for range 10 {
		talk.Turns = append(talk.Turns, chat.Turn{Role: "user", Text: "hi"}, chat.Turn{Role: "assistant", Text: "hello"})
	}
	talk.Turns = append(talk.Turns, chat.Turn{Role: "user", Text: "last"})
	all := m.Text.Prompt(talk.turns(0))
	for _, limit := range []int{len(all) - 1, 100, 60} {
		ids, first := m.shorten(&talk, 0, all, limit)
		if len(ids) > limit || first == 0 || first%2 != 0 || !slices.Equal(ids, m.Text.Prompt(talk.turns(first))) {
			t.Errorf("limit %d: %d tokens from turn %d on", limit, len(ids), first)
		}
		if len(m.Text.Prompt(talk.turns(first-2))) <= limit { // one exchange more
			t.Errorf("limit %d: from turn %d on, two more would fit", limit, first)
		}
	}
	if ids, first := m.shorten(&talk, 0, all, 3); first != 20 || len(ids) <= 3 {
		t.Errorf("limit 3: %d tokens from turn %d on", len(ids), first)
	}
	one := said("hi")
	if _, first := m.shorten(&one, 0, m.Text.Prompt(one.turns(0)), 3); first != 0 {
		t.Errorf("one turn: from turn %d on", first)
	}
	if n := talk.Drop(3); n != 4 || len(talk.Turns) != 17 || talk.Turns[0].Role != "user" {
		t.Errorf("dropped %d, %d are left", n, len(talk.Turns))
	}
}

// thinkers think what stands before the first full stop, and are told to stop by a '!'.
type thinkers struct{ echo }

func (t *thinkers) Answer() Reader { return &thinking{in: true} }

type thinking struct {
	echoed
	in      bool
	thought string
}

func (t *thinking) Write(id int32) (string, bool) {
	switch {
	case id == 0:
		return "", false
	case t.in && (id == '.' || id == '!'):
		t.in = false
		return "", true
	case t.in:
		t.thought += string(rune(id))
		return "", true
	}
	return t.echoed.Write(id)
}

func (t *thinking) Thought() (s string) { s, t.thought = t.thought, ""; return s }
func (t *thinking) Thinking() bool      { return t.in }
func (t *thinking) Conclude() []int32   { return []int32{'!'} }

func TestThoughts(t *testing.T) {
	for _, c := range []struct {
		said             string
		budget           int
		thoughts, answer string
		concluded        bool
	}{
		{"hmm.yes", 0, "hmm", "yes", false},
		{"hmm.yes", 50, "hmm", "yes", false},
		{"hm hm hm.yes", 5, "hm hm", "hm.yes", true}, // an echo goes on where it is, behind its own '!'
		{"hm", 0, "hm", "", false},
	} {
		e := &thinkers{echo{size: 100}}
		m := New(Parts{Text: e, NewSession: func(int) (Session, error) {
			return struct {
				*echo
				Saver
			}{&e.echo, nil}, nil
		}})
		if err := m.Begin(0); err != nil {
			t.Fatal(err)
		}
		var told string
		m.Thought = func(s string) { told += s }
		conversation := Conversation{Turns: []chat.Turn{{Role: "user", Text: c.said}}}
		r := m.Answer(context.Background(), &conversation, Params{Params: sample.Params{Temperature: 0}, Predict: -1, ThinkBudget: c.budget}, func(string) error { return nil })
		if r.Thoughts != c.thoughts || told != c.thoughts || r.Turn.Text != c.answer || r.Concluded != c.concluded || r.Err != nil {
			t.Errorf("%q with a budget of %d: thought %q (told %q), answered %q, %+v", c.said, c.budget, r.Thoughts, told, r.Turn.Text, r)
		}
		if c.budget == 5 && (r.ThoughtTokens != 5 || r.Turn.IDs == nil) {
			t.Errorf("%+v", r)
		}
	}
}
