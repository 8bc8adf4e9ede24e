package assistant

// What to expect of a model, before it is loaded: whether it fits, how long loading takes, how fast answers come, and
// which smaller one on the drive would do better. The drive's speed is measured by what is read anyway.

import (
	"cmp"
	"slices"
	"time"

	"alphaos/engine"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/models/rules"
)

// Flight is what is to be expected of a model.
type Flight struct {
	Model   string  // its name
	Bytes   int64   // of its file
	Fits    bool    // all of it in memory
	Tokens  float64 // a second at best; 0: not known
	Smaller string  // a model that would be faster; "": there is none, or no need
	Guide   bool    // it is the guide that is part of the program, since there is no other
	Loaded  bool

	Done, Total int64   // bytes that are read, and are to be read
	Rate        float64 // bytes a second of the drive; 0: not known yet

	computed float64 // tokens a second that the processors give; 0: not known
}

const (
	slow    = 2 // tokens a second, below which answers are tiresome
	settles = 300 * time.Millisecond
)

// A Forecaster tells what to expect of a model by its tables: *llm.Speeds.
type Forecaster interface {
	Expect(f *gguf.File, budget int64, drive float64) (llm.Forecast, error)
}

// read takes how much was read in a time.
func (f *Flight) read(done, total int64, took time.Duration) {
	f.Done, f.Total = done, total
	if took > settles {
		f.Rate = float64(done) / took.Seconds()
	}
}

// Left is how long loading will still take; 0: not known.
func (f *Flight) Left() time.Duration {
	if f.Rate == 0 {
		return 0
	}
	return time.Duration(float64(f.Total-f.Done) / f.Rate * float64(time.Second))
}

// tokens is how many tokens a second the processors give with a model; 0: not known.
func (l *library) tokens(f *gguf.File) float64 {
	if l.forecaster == nil {
		return 0
	}
	e, err := l.forecaster.Expect(f, 0, 0)
	if err != nil {
		return 0 // why it can't be used, loading tells
	}
	return e.Tokens
}

// expect says what is known of a model before it is loaded.
func (l *library) expect(c *candidate) Flight {
	f := Flight{Model: gguf.PlainName(c.Name), Bytes: c.r.Size(), Guide: c.BuiltIn}
	budget := l.options.LLM.Budget
	if !c.BuiltIn { // a guide is fast anywhere
		f.computed = l.tokens(c.tables)
	}
	if f.Fits = budget <= 0 || f.Bytes <= budget; f.Fits {
		f.Tokens = f.computed
	}
	if !f.Fits || f.Tokens > 0 && f.Tokens < slow {
		f.Smaller = gguf.PlainName(l.smaller(f.Bytes, budget).Name)
	}
	return f
}

// smaller finds the largest model to talk with that has room in budget bytes (0: any) and is clearly smaller than
// size; its Name is "" if there is none.
func (l *library) smaller(size, budget int64) engine.ModelFile {
	list, err := l.files.List()
	if err != nil {
		return engine.ModelFile{} // which is told where models are listed
	}
	slices.SortFunc(list, func(a, b engine.ModelFile) int { return cmp.Compare(b.Size, a.Size) })
	for _, m := range list {
		if m.BuiltIn || m.Size > size/3*2 || budget > 0 && m.Size > budget {
			continue
		}
		c, err := l.candidate(m)
		if err != nil {
			continue
		}
		name, _ := c.tables.String("general.name")
		c.r.Close()
		if !rules.IsGuide(name) && !chat.Detect(c.tables).Plain() {
			return m
		}
	}
	return engine.ModelFile{}
}
