package assistant

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/engine"
	"alphaos/models"
	"alphaos/store"
)

// longTalk is a journal with one conversation of so many messages.
func longTalk(t testing.TB, messages int) *memory {
	t.Helper()
	m := &memory{data: make([]byte, 16<<20)}
	s, _, err := store.Open(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages / 2 {
		if err := s.AddUser(fmt.Sprintf("Question %d: what is a drive, and how do I make a larger one?", i)); err != nil {
			t.Fatal(err)
		}
		a := s.BeginAnswer()
		if err := a.Write(fmt.Sprintf("Answer %d: ", i) + strings.Repeat("a drive holds your models and what was said. ", 8)); err != nil {
			t.Fatal(err)
		}
		if err := a.End(store.Stats{Model: "guide", Tokens: 90}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	return m
}

// idle is a person who only looks: asked is called at each prompt, and says what they type, if ok.
type idle struct {
	ui
	asked func() (line string, ok bool)
}

func (u idle) ReadLine(prompt string) (string, error) {
	if line, ok := u.asked(); ok {
		return line, nil
	}
	return "", io.EOF
}

// What is done at the start and for each message depends on what the context holds, not on what was ever
// said; what is shown is the end, with the true number of messages.
func TestLongLife(t *testing.T) {
	const messages = 10_000
	begin := func(n int) *world {
		w := &world{t: t, context: 1000, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
			medium: longTalk(t, n), state: &memory{data: make([]byte, 64<<10)}, now: time.Unix(1e9, 0)}
		w.lines = []string{"you> What now?", "you> /bye"}
		w.boot()
		if out := w.out.String(); n == messages && !strings.Contains(out, "the model no longer sees the first 9998 messages") {
			t.Errorf("what left the context is not told:\n%s", out)
		}
		w.prompted.Store(0)
		w.lines = []string{"you> What now, again?", "you> /bye"}
		w.out.Reset()
		w.boot()
		return w
	}
	few, many := begin(40), begin(messages)
	if few, many := few.prompted.Load(), many.prompted.Load(); many > 2*few {
		t.Errorf("after %d messages %d turns were made into tokens, after 40 it were %d", messages, many, few)
	}
	out := many.out.String()
	for _, want := range []string{
		"The end of your last conversation (10002 messages, /history shows all)",
		"| you> Question 4999: what is a drive, and how do I make a larger one?\n| alpha> Answer 4999: a drive holds",
		"| you> What now?\n| alpha> You said \"What now?\". I see 2.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "Question 4998") {
		t.Errorf("more than the end is shown:\n%s", out)
	}

	// The same goes for a session that lasts.
	w := &world{t: t, context: 1000, models: many.models, medium: &memory{data: make([]byte, 4<<20)}, now: time.Unix(1e9, 0)}
	var at []int64 // turns made into tokens before each message
	c := Config{UI: idle{ui{w}, func() (string, bool) {
		at = append(at, w.prompted.Load())
		return fmt.Sprintf("message %d", len(at)), len(at) <= 600
	}}, Models: engine.DirModels(w.models, "models"), Now: func() time.Time { return w.tick(0) }, loader: w,
		Start: Start{Params: map[string]string{"temperature": "0", "repeat_penalty": "1"}}}
	s, _, err := store.Open(w.medium, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	c.Drive.Store = s
	if _, err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if early, late := at[200]-at[100], at[600]-at[500]; late > 2*early {
		t.Errorf("messages 500 to 600 took %d turns to be made into tokens, messages 100 to 200 %d", late, early)
	}
	if msgs, n := s.Tail(1); n != 1200 || !strings.Contains(msgs[0].Text, `You said "message 600"`) {
		t.Errorf("%d messages, the last one %v", n, msgs)
	}
}

// BenchmarkStart measures the time from an open store to the prompt, with the guide model, when nothing
// or much was said before, and also when what the model remembers was saved.
func BenchmarkStart(b *testing.B) {
	for _, messages := range []int{0, 10_000} {
		medium := longTalk(b, messages)
		for _, state := range []int{0, 64 << 20} {
			b.Run(fmt.Sprintf("%d messages, %d MiB of state", messages, state>>20), func(b *testing.B) {
				w := &world{t: b, models: fstest.MapFS{}, state: &memory{data: make([]byte, state)}}
				start := func(lines ...string) time.Duration {
					data := append([]byte(nil), medium.data...)
					s, r, err := store.Open(&memory{data: data}, nil)
					if err != nil {
						b.Fatal(err)
					}
					var took time.Duration
					begin := time.Now()
					asked := func() (string, bool) {
						if took == 0 {
							took = time.Since(begin)
						}
						if len(lines) == 0 {
							return "", false
						}
						line := lines[0]
						lines = lines[1:]
						return line, true
					}
					c := Config{UI: idle{ui{w}, asked}, Models: engine.DirModels(models.Files, "."), Drive: Drive{Store: s, Recovery: r}, Start: Start{Params: map[string]string{"num_predict": "8", "temperature": "0"}}}
					if state > 0 {
						c.Drive.State = w.state
					}
					if _, err := Run(context.Background(), c); err != nil {
						b.Fatal(err)
					}
					if len(lines) == 0 && state > 0 {
						medium.data = data // goes on from there
					}
					return took
				}
				start("And what is this?", "/bye")
				var sum time.Duration
				for b.Loop() {
					sum += start()
				}
				b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "ms/start")
			})
		}
	}
}

// BenchmarkFind measures a search through 20,000 messages.
func BenchmarkFind(b *testing.B) {
	w := &world{t: b, now: time.Unix(1e9, 0)}
	s, _, err := store.Open(longTalk(b, 20_000), nil)
	if err != nil {
		b.Fatal(err)
	}
	j := &journal{ui: ui{w}, store: s}
	c := &commands{ui: ui{w}, journal: j, past: &past{ui: ui{w}, store: s, journal: j, now: func() time.Time { return w.tick(0) }}}
	for b.Loop() {
		w.out.Reset()
		c.find(context.Background(), "question 9999")
	}
	if !strings.Contains(w.out.String(), "1 message in 1 conversation") {
		b.Error(w.out.String())
	}
}
