package assistant

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// What is told of a model before it is loaded, and of a smaller one that would do better.
func TestFlight(t *testing.T) {
	huge, tiny := modelFile("huge.gguf"), modelFile("tiny.gguf")
	large := modelFile("large.gguf")
	tiny.Data = tiny.Data[:len(large.Data)*3/5]
	all := fstest.MapFS{"models/huge.gguf": huge, "models/large.gguf": large, "models/tiny.gguf": tiny, "models/bad.gguf": &fstest.MapFile{Data: []byte("GGUF")}}
	for _, tt := range []struct {
		name    string
		models  fstest.MapFS
		budget  int64
		pace    float64
		fits    bool
		tokens  float64
		smaller string
	}{
		{name: "all fits", models: all, budget: 1 << 30, pace: 11.3, fits: true, tokens: 11.3},
		{name: "nothing is known", models: all, fits: true},
		{name: "too large", models: all, budget: int64(len(tiny.Data)), tokens: 480e6 / 700e6, smaller: "tiny"},
		{name: "too large, and computed slowly", models: all, budget: int64(len(tiny.Data)), pace: 0.5, tokens: 0.5, smaller: "tiny"},
		{name: "too large, like the others", models: all, budget: 10, tokens: 480e6 / 700e6},
		{name: "slow", models: all, budget: 1 << 30, pace: 0.8, fits: true, tokens: 0.8, smaller: "tiny"},
		{name: "slow, and the only one", models: fstest.MapFS{"models/large.gguf": large}, pace: 0.8, fits: true, tokens: 0.8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			model := "large"
			if !tt.fits {
				model = "huge" // of which tests pretend that it is streamed
			}
			var last Flight
			loads := 0
			w := &world{t: t, context: 400, models: tt.models, now: time.Unix(1e9, 0), lines: []string{"you> /bye"}}
			w.config = func(c *Config) context.Context {
				c.Start.Model, c.Engine.LLM.Budget, c.Forecaster = model, tt.budget, paces{model + ".gguf": tt.pace}
				c.Flight = func(f Flight) {
					if last = f; f.Loaded {
						loads++
					}
				}
				return t.Context()
			}
			w.boot()
			if told := strings.Contains(w.out.String(), "tiny fits: /load tiny takes it."); told != (!tt.fits && tt.smaller != "") {
				t.Error(w.out.String())
			}
			if last.Model != model || last.Fits != tt.fits || last.Smaller != tt.smaller || loads != 1 || last.Done != last.Total || last.Total == 0 || last.Guide {
				t.Errorf("%+v, loaded %d times", last, loads)
			}
			if !tt.fits { // what the drive was measured to give
				if last.Tokens != tt.tokens || last.Rate != 480e6 {
					t.Errorf("%v tokens/s at %v", last.Tokens, last.Rate)
				}
			} else if last.Tokens != tt.tokens {
				t.Errorf("%v tokens/s, want %v", last.Tokens, tt.tokens)
			}
		})
	}
	f := Flight{}
	if f.read(1, 100, 0); f.Left() != 0 {
		t.Error("time left is known at once")
	}
	if f.read(25, 100, time.Second); f.Left() != 3*time.Second {
		t.Errorf("%v left", f.Left())
	}
}

// A model is loaded while something else has the keys, and the session then goes on, or is broken off without being
// ended, and begins anew.
func TestBegin(t *testing.T) {
	w := &world{t: t, context: 400, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 256<<10)}, now: time.Unix(1e9, 0)}
	w.config = func(c *Config) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		c.Begin = make(chan struct{})
		c.Flight = func(f Flight) {
			if f.Loaded {
				cancel(ErrAnew)
			}
		}
		return ctx
	}
	w.boot()
	if s := w.out.String(); !strings.Contains(s, "[Loading tiny") || !strings.HasSuffix(s, "# ends: anew\n") || strings.Contains(s, "saved") {
		t.Errorf("%q", s)
	}
	w.out.Reset()
	w.lines = []string{"you> hello"}
	w.config = func(c *Config) context.Context {
		begin := make(chan struct{})
		c.Begin = begin
		c.Flight = func(f Flight) {
			if f.Loaded {
				close(begin)
			}
		}
		return t.Context()
	}
	w.boot()
	if s := w.out.String(); !strings.Contains(s, `alpha> You said "hello". I see 1.`) || !strings.HasSuffix(s, "# ends: end of input\n") {
		t.Errorf("%q", s)
	}
	// The keys are never had: the session is ended as usual.
	w.out.Reset()
	w.config = func(c *Config) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		c.Begin = make(chan struct{})
		c.Flight = func(f Flight) {
			if f.Loaded {
				cancel()
			}
		}
		return ctx
	}
	w.boot()
	if s := w.out.String(); !strings.HasSuffix(s, "All data saved. Goodbye.\n# ends: end of input\n") || strings.Contains(s, "unexpectedly") {
		t.Errorf("%q", s)
	}
}
