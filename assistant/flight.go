package assistant

// What to expect of a model, before it is loaded: whether it fits, how long loading takes, how fast answers come, and
// which smaller one on the drive would do better. The drive's speed is measured by what is read anyway.

import (
	"cmp"
	"slices"
	"time"

	"alphaos/engine"
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
}

const (
	computes = 0.8 // of what the processors can read of memory a model reaches at least: docs/performance.md
	slow     = 2   // tokens a second, below which answers are tiresome
	settles  = 300 * time.Millisecond
)

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

// tokens is how many tokens a second a model of so many bytes gives, all in memory.
func (l *library) tokens(bytes int64) float64 {
	return computes * l.memoryRate / float64(max(bytes, 1))
}

// expect says what is known of a model before it is loaded.
func (l *library) expect(c *candidate) Flight {
	f := Flight{Model: gguf.PlainName(c.Name), Bytes: c.r.Size(), Guide: c.BuiltIn}
	budget := l.options.LLM.Budget
	if f.Fits = budget <= 0 || f.Bytes <= budget; f.Fits {
		f.Tokens = l.tokens(f.Bytes)
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
