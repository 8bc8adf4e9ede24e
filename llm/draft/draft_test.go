package draft

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/llm"
	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/sample"
	"alphaos/llm/synth"
)

func load(t testing.TB, f *llmtest.File, o llm.Options) *llm.Model {
	t.Helper()
	o.Kernel = llm.Kernels()[0]
	b := f.Bytes()
	m, err := llm.Load(bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func newSession(t testing.TB, m *llm.Model) *llm.Session {
	t.Helper()
	s, err := m.NewSession(0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func eval(t testing.TB, s *llm.Session, ids ...int32) []float32 {
	t.Helper()
	logits, err := s.Eval(context.Background(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

var testIDs = []int32{1, 100, 200, 42, 42, 7, 269, 5, 260, 33, 1, 2}

// oracle drafts what it was told, or, every few tokens, something else.
type oracle struct {
	text  []int32
	wrong int // one of so many tokens is wrong; 0: none
	calls int
}

func (o *oracle) Draft(dst, tokens []int32, n int) []int32 {
	for i := range n {
		o.calls++
		at := len(tokens) + i
		switch {
		case at >= len(o.text):
			return dst
		case o.wrong > 0 && o.calls%o.wrong == 0:
			dst = append(dst, (o.text[at]+1)%200)
		default:
			dst = append(dst, o.text[at])
		}
	}
	return dst
}

// stranger drafts what no model of this vocabulary knows.
type stranger struct{}

func (stranger) Draft(dst, tokens []int32, n int) []int32 { return append(dst, 1<<30, -1) }

// newGenerator makes a Generator that drafts as if it had measured: these tests
// are about what is chosen.
func newGenerator(s *llm.Session, c Chooser, drafters ...Drafter) *Generator {
	g := NewGenerator(s, c, drafters...)
	for i := range g.drafts {
		g.drafts[i].pace.single = 1
	}
	return g
}

// generate chooses n tokens.
func generate(t testing.TB, m *llm.Model, p sample.Params, n int, d ...Drafter) ([]int32, *Generator) {
	t.Helper()
	s := newSession(t, m)
	logits := eval(t, s, testIDs[:12]...)
	g := newGenerator(s, sample.New(p), d...)
	g.Begin(logits)
	for range n {
		if _, err := g.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return append([]int32(nil), g.Tokens()...), g
}

// Whatever is drafted, the tokens of a seed are the same, at any temperature.
func TestGenerator(t *testing.T) {
	for name, shape := range map[string]llmtest.Shape{"F32": llmtest.Small, "Q4_K": llmtest.Quantized(gguf.Q4_K, gguf.Q6_K), "Q8_0": llmtest.Quantized(gguf.Q8_0)} {
		shape.Context = 256
		f := llmtest.Llama(shape)
		m := load(t, f, llm.Options{Threads: 2})
		for i, p := range []sample.Params{{}, {RepeatPenalty: 1.1, RepeatLastN: 64}, sample.Default(), {Temperature: 0.3, TopK: 3, TopP: 1}, {Temperature: 2, TopP: 1}} {
			p.Seed = int64(1 + i)
			want, _ := generate(t, m, p, 120)
			draft := newSession(t, m)
			for i, d := range [][]Drafter{{NewLookup()}, {&oracle{text: want}}, {&oracle{text: want, wrong: 3}}, {&oracle{text: want, wrong: 1}}, {stranger{}},
				{NewModel(draft, nil)}, {stranger{}, NewLookup(), NewModel(draft, nil)}} {
				got, g := generate(t, m, p, 120, d...)
				if !slices.Equal(got, want) {
					t.Fatalf("%s, %+v, drafter %d: other tokens\n%v\n%v", name, p, i, got, want)
				}
				drafted, accepted := g.Drafted()
				if i == 1 && (drafted < 60 || accepted < drafted*9/10) {
					t.Errorf("%s: of %d tokens that were right %d were accepted", name, drafted, accepted)
				}
				g.Settle()
				if n := g.s.Len(); n != len(got) && n != len(got)-1 || !slices.Equal(g.s.View(), got[:n]) {
					t.Errorf("%s: the session holds %d tokens of %d", name, n, len(got))
				}
			}
		}
	}
}

// The end of the context, a cancelled answer, and going on after both.
func TestGeneratorEnds(t *testing.T) {
	m := load(t, llmtest.Llama(llmtest.Small), llm.Options{Threads: 1})
	want, _ := generate(t, m, sample.Params{}, 52)
	s := newSession(t, m)
	g := newGenerator(s, sample.New(sample.Params{}), &oracle{text: append(slices.Clone(want), want...)})
	g.Begin(eval(t, s, testIDs[:12]...))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var err error
	for i := 0; err == nil; i++ {
		_, err = g.Next(ctx)
		if i == 20 {
			cancel()
			for err == nil {
				_, err = g.Next(ctx)
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled: %v", err)
			}
			ctx, err = context.Background(), nil
		}
	}
	if !errors.Is(err, llm.ErrContextFull) || s.Len() != s.Cap() || !slices.Equal(g.Tokens()[:64], want) || len(g.Tokens()) != 65 {
		t.Errorf("at the end: %v, %d tokens", err, len(g.Tokens()))
	}
	nan := NewGenerator(s, sample.New(sample.Params{}))
	nan.Begin([]float32{float32(math.NaN()), float32(math.NaN())})
	if _, err := nan.Next(context.Background()); !errors.Is(err, ErrNaN) {
		t.Errorf("logits that are no numbers: %v", err)
	}
}

// A smaller model that drafts changes no token of a seed, and one that draws the
// sampler's own random numbers is right where it agrees with the larger one:
// always, if it is the same model.
func TestModelDrafter(t *testing.T) {
	shape := llmtest.Small
	shape.Context = 256
	large := load(t, llmtest.Llama(shape), llm.Options{Threads: 1})
	shape.Layers = 1
	small := load(t, llmtest.Llama(shape), llm.Options{Threads: 1})
	if !SameVocabulary(large.File(), small.File()) {
		t.Error("the vocabularies are said to differ")
	}
	for _, p := range []sample.Params{{}, sample.Default(), {Temperature: 1.5, TopP: 0.95}} {
		for _, m := range []*llm.Model{large, small} {
			for seed := range int64(3) {
				p.Seed = seed + 1
				want, _ := generate(t, large, p, 120)
				s := newSession(t, large)
				c := sample.New(p)
				g := newGenerator(s, c, NewModel(newSession(t, m), func() Chooser { return c.Ahead() }))
				g.Begin(eval(t, s, testIDs[:12]...))
				for range 120 {
					if _, err := g.Next(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				if !slices.Equal(g.Tokens(), want) {
					t.Fatalf("%+v: other tokens\n%v\n%v", p, g.Tokens(), want)
				}
				if drafted, accepted := g.Drafted(); m == large && (drafted < 60 || accepted < drafted*95/100) {
					t.Errorf("%+v: of %d tokens that the model itself drafted %d were accepted", p, drafted, accepted)
				}
			}
		}
	}
}

// guessing is the file of a model with a block for guesses.
func guessing(t testing.TB) *llmtest.File {
	t.Helper()
	var b bytes.Buffer
	at := slices.IndexFunc(synth.Shapes, func(s synth.Shape) bool { return s.Name == "tiny-qwen35" })
	if err := synth.Write(&b, synth.Shapes[at], synth.Mixtures[0], 1); err != nil {
		t.Fatal(err)
	}
	return llmtest.Parse(b.Bytes())
}

// generateGuessing is generate with the model's own guesses.
func generateGuessing(t testing.TB, m *llm.Model, p sample.Params, n int, more ...Drafter) ([]int32, *Generator) {
	t.Helper()
	s := newSession(t, m)
	c := sample.New(p)
	g := newGenerator(s, c, append(more, NewGuesses(s.Guesser(), func() Chooser { return c.Ahead() }))...)
	g.Begin(eval(t, s, testIDs...))
	for range n {
		if _, err := g.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return append([]int32(nil), g.Tokens()...), g
}

// What a model guesses itself changes no token of a seed.
func TestGuesses(t *testing.T) {
	m := load(t, guessing(t), llm.Options{Threads: 1})
	tried := 0
	for _, p := range []sample.Params{{}, {RepeatPenalty: 1.1, RepeatLastN: 64}, sample.Default(), {Temperature: 2, TopP: 1}} {
		for seed := range int64(1) {
			p.Seed = seed + 1
			want, _ := generate(t, m, p, 60)
			for _, more := range [][]Drafter{nil, {NewLookup()}, {&oracle{text: want, wrong: 5}}} {
				got, g := generateGuessing(t, m, p, 60, more...)
				if !slices.Equal(got, want) {
					t.Fatalf("%+v: other tokens\n%v\n%v", p, got, want)
				}
				n, _ := g.DraftedBy(len(more))
				tried += n
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d tokens were guessed", tried)
	}
}

// one drafts one token at a time.
type one struct{ Drafter }

func (o one) Draft(dst, tokens []int32, n int) []int32 {
	return o.Drafter.Draft(dst, tokens, min(n, 1))
}

// A block that is made to know what comes next is always right, whether it is made to tell it by the token before, or by
// the model's state before that one.
func TestGuessesRight(t *testing.T) {
	const d, vocabulary = 128, 512
	next := func(i int) int { return (i*5 + 3) % vocabulary }
	signs := make([]float32, vocabulary*d) // that stand for a token: all are of one length
	r := rand.New(rand.NewPCG(1, 1))
	for i := range signs {
		signs[i] = float32(r.IntN(2)*2 - 1)
	}
	after := func(steps int) []float32 { // an output by which a token is followed by the one so many steps further
		x := make([]float32, len(signs))
		for i := range vocabulary {
			to := i
			for range steps {
				to = next(to)
			}
			copy(x[to*d:(to+1)*d], signs[i*d:])
		}
		return x
	}
	for _, byState := range []bool{false, true} {
		f := guessing(t)
		for i := range f.Tensors {
			switch x := &f.Tensors[i]; {
			case strings.HasSuffix(x.Name, "norm.weight"):
				x.Put(slices.Repeat([]float32{1}, int(x.Dims[0])))
			case strings.HasSuffix(x.Name, "attn_output.weight"), strings.HasSuffix(x.Name, "ssm_out.weight"), strings.HasSuffix(x.Name, "ffn_down.weight"):
				clear(x.Data) // layers add nothing
			}
		}
		f.Tensor("token_embd.weight").Put(signs)
		f.Add("output.weight", gguf.F32, nil, d, vocabulary).Tensor("output.weight").Put(after(1))
		join, at := make([]float32, d*2*d), 0
		if byState {
			at = d
			f.Add("blk.5.nextn.shared_head_head.weight", gguf.F32, nil, d, vocabulary).Tensor("blk.5.nextn.shared_head_head.weight").Put(after(2))
		}
		for i := range d {
			join[i*2*d+at+i] = 1
		}
		f.Tensor("blk.5.nextn.eh_proj.weight").Put(join)
		m := load(t, f, llm.Options{Threads: 1})
		s := newSession(t, m)
		drafter := NewGuesses(s.Guesser(), nil)
		if byState { // of the second token it has not the model's state
			drafter = one{drafter}
		}
		g := newGenerator(s, sample.New(sample.Params{}), drafter)
		g.Begin(eval(t, s, testIDs...))
		for range 100 {
			if _, err := g.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for i, id := range g.Tokens()[len(testIDs):] {
			if before := int(g.Tokens()[len(testIDs)+i-1]); int(id) != next(before) {
				t.Fatalf("token %d follows %d", id, before)
			}
		}
		if drafted, accepted := g.Drafted(); drafted < 40 || accepted < drafted-2 { // those of the last pass were not asked for
			t.Errorf("by state %v: of %d tokens that are right %d were accepted", byState, drafted, accepted)
		}
	}
}

// Over many seeds the second of two tokens, which is drafted, is as frequent as
// its probability says: the distribution is unchanged.
func TestDraftDistribution(t *testing.T) {
	shape := llmtest.Small
	m := load(t, llmtest.Llama(shape), llm.Options{Threads: 1})
	shape.Layers = 1
	d := load(t, llmtest.Llama(shape), llm.Options{Threads: 1})
	p := sample.Params{Temperature: 1, TopK: 8, TopP: 1, RepeatPenalty: 1}
	s, draft := newSession(t, m), newSession(t, d)
	prompt := slices.Clone(eval(t, s, testIDs[:12]...))
	const first = 5
	logits := eval(t, s, first)
	// The probabilities of the token after the first one.
	type candidate struct {
		id int32
		p  float64
	}
	var top []candidate
	for i, v := range logits {
		top = append(top, candidate{int32(i), math.Exp(float64(v))})
	}
	slices.SortFunc(top, func(a, b candidate) int { return cmp.Compare(b.p, a.p) })
	top = top[:p.TopK]
	var sum float64
	for _, c := range top {
		sum += c.p
	}
	const seeds = 3000
	counts, accepted := map[int32]int{}, 0
	for seed := range int64(seeds) {
		p.Seed = seed + 1
		sampler := sample.New(p)
		c := &firstFixed{Sampler: sampler, first: first}
		s.Truncate(12)
		g := newGenerator(s, c, NewModel(draft, func() Chooser { return sampler.Ahead() }))
		g.Begin(prompt)
		for range 2 {
			if _, err := g.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		counts[g.Tokens()[13]]++
		_, n := g.Drafted()
		accepted += min(n, 1)
	}
	if accepted == 0 || accepted == seeds {
		t.Errorf("%d of %d drafts were accepted: nothing was tried", accepted, seeds)
	}
	var chi float64
	n := 0
	for _, c := range top {
		want := c.p / sum * seeds
		chi += (float64(counts[c.id]) - want) * (float64(counts[c.id]) - want) / want
		n += counts[c.id]
	}
	// 7 degrees of freedom: beyond 24.3 once in a thousand. The seeds are fixed.
	if n != seeds || chi > 24.3 {
		t.Errorf("%d of %d tokens are among the likeliest; chi-squared %.1f of %v", n, seeds, chi, counts)
	}
}

// firstFixed chooses a certain first token, then what the sampler does.
type firstFixed struct {
	*sample.Sampler
	first int32
	begun bool
}

func (f *firstFixed) Sample(logits []float32, recent []int32) int32 {
	if !f.begun {
		f.begun = true
		return f.first
	}
	return f.Sampler.Sample(logits, recent)
}

func TestSameVocabulary(t *testing.T) {
	file := func(model, pre string, tokens ...string) *gguf.File {
		f := llmtest.New()
		f.Set("tokenizer.ggml.model", model)
		f.Set("tokenizer.ggml.pre", pre)
		f.Set("tokenizer.ggml.tokens", tokens)
		b := f.Bytes()
		g, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a := file("gpt2", "qwen2", "a", "b", "c")
	for i, c := range []struct {
		other *gguf.File
		want  bool
	}{
		{file("gpt2", "qwen2", "a", "b", "c"), true},
		{file("gpt2", "qwen2", "a", "b", "c", "<unused>"), true},
		{file("gpt2", "qwen2", "a", "b"), true},
		{file("gpt2", "qwen2", "a", "c", "b"), false},
		{file("gpt2", "qwen2"), false},
		{file("gpt2", "llama-bpe", "a", "b", "c"), false},
		{file("llama", "qwen2", "a", "b", "c"), false},
		{file("gpt2", "qwen2", append([]string{"a", "b", "c"}, make([]string, 1025)...)...), false},
	} {
		if SameVocabulary(a, c.other) != c.want || SameVocabulary(c.other, a) != c.want {
			t.Errorf("vocabulary %d: not %v", i, c.want)
		}
	}
}

func TestLookup(t *testing.T) {
	l := NewLookup()
	draft := func(n int, tokens ...int32) []int32 { return l.Draft(nil, tokens, n) }
	text := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	if d := draft(4, text...); len(d) != 0 {
		t.Errorf("a text without repetition: %v", d)
	}
	text = append(text, 2, 3, 4)
	if d := draft(4, text...); !slices.Equal(d, []int32{5, 6, 7, 8}) {
		t.Errorf("a repetition: %v", d)
	}
	if d := draft(6, 7, 8, 7, 8, 7, 8); !slices.Equal(d, []int32{7, 8, 7, 8, 7, 8}) {
		t.Errorf("a cycle: %v", d)
	}
	for _, tokens := range [][]int32{nil, {1}, {1, 2}, {1, 2, 3}} {
		if d := draft(4, tokens...); len(d) != 0 {
			t.Errorf("%v: %v", tokens, d)
		}
	}
	// Whatever text comes next, no draft but of what it holds.
	r := rand.New(rand.NewPCG(1, 2))
	tokens := []int32{}
	for range 20000 {
		switch r.IntN(50) {
		case 0:
			tokens = tokens[:r.IntN(len(tokens)+1)]
		default:
			tokens = append(tokens, int32(r.IntN(4)))
		}
		if n := r.IntN(8); len(l.Draft(nil, tokens, n)) > n {
			t.Fatal("a draft is too long")
		}
	}
	if n := testing.AllocsPerRun(100, func() { l.Draft(tokens[:0:0], tokens, 0) }); n > 0 {
		t.Errorf("%v allocations for a draft", n)
	}
}

// The pace comes to rest when drafts do not pay, and comes back when they do.
func TestPace(t *testing.T) {
	run := func(p *pace, passes int, right func() bool, each time.Duration) (tokens int, spent time.Duration) {
		for range passes {
			n := p.length()
			d := time.Millisecond + time.Duration(n)*each
			spent += d
			p.measured(n, d)
			tokens++
			for range n {
				if !right() {
					break
				}
				p.accept()
				tokens++
			}
		}
		return tokens, spent
	}
	yes, no := func() bool { return true }, func() bool { return false }
	for _, each := range []time.Duration{0, 100 * time.Microsecond, 300 * time.Microsecond, 900 * time.Microsecond} {
		p := newPace()
		tokens, spent := run(&p, 500, no, each)
		if rate := float64(tokens) / spent.Seconds() / 1000; rate < 0.97 {
			t.Errorf("drafts that are never right, at %v a token: %.3f of the speed", each, rate)
		}
		if run(&p, 1100, no, each); each <= 300*time.Microsecond {
			if run(&p, 1100, yes, each); p.rest > 0 {
				t.Errorf("at %v a token there are no drafts although they are right", each)
			}
			tokens, spent = run(&p, 500, yes, each)
			if rate := float64(tokens) / spent.Seconds() / 1000; rate < 2 {
				t.Errorf("drafts that are always right, at %v a token: %.3f of the speed", each, rate)
			}
		}
	}
}

// copying makes a model of which every token is followed by one certain other:
// it goes through a cycle of the vocabulary, or parts of it. All its matrices
// are read and used, but what the layers add is 0.
func copying(f *llmtest.File, next func(id int) int) *llmtest.File {
	embedding, output := f.Tensor("token_embd.weight"), f.Tensor("output.weight")
	row := len(embedding.Data) / int(embedding.Dims[1])
	for i := range int(embedding.Dims[1]) {
		copy(output.Data[next(i)*row:(next(i)+1)*row], embedding.Data[i*row:(i+1)*row])
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if strings.HasSuffix(t.Name, "attn_output.weight") || strings.HasSuffix(t.Name, "ffn_down.weight") {
			for at := 0; at < len(t.Data); at += t.Type.BlockBytes() {
				t.Data[at], t.Data[at+1] = 0, 0 // the scale
			}
		}
	}
	return f
}

// BenchmarkSpeculate compares decoding with drafts to decoding without, in
// turns, on a text that repeats itself every 200 tokens, on one that never
// does, and on one of which all drafts are wrong.
func BenchmarkSpeculate(b *testing.B) {
	const cycle, piece = 200, 64
	for _, quant := range []gguf.Type{gguf.Q8_0, gguf.Q4_0} {
		shape := llmtest.Shape{Embedding: 2048, FeedForward: 8192, Layers: 3, Heads: 32, KVHeads: 8, Head: 64, Vocabulary: 16384, Context: 2048, Types: []gguf.Type{quant}}
		for _, threads := range []int{1, 2} {
			m := load(b, copying(llmtest.Llama(shape), func(i int) int {
				switch i + 1 {
				case cycle:
					return 0
				case shape.Vocabulary:
					return cycle
				}
				return i + 1
			}), llm.Options{Threads: threads})
			for _, c := range []struct {
				name  string
				first int32
				draft Drafter
			}{{"copies", 0, NewLookup()}, {"new", cycle, NewLookup()}, {"deceived", cycle, deceiver{}}} {
				b.Run(fmt.Sprintf("%v/%d/%s", quant, threads, c.name), func(b *testing.B) {
					ids := make([]int32, 240)
					for i := range ids {
						if ids[i] = c.first + int32(i); c.first == 0 {
							ids[i] = int32(i % cycle)
						}
					}
					var g [2]*Generator
					var logits [2][]float32
					for i := range g {
						s := newSession(b, m)
						logits[i] = slices.Clone(eval(b, s, ids...))
						g[i] = NewGenerator(s, sample.New(sample.Params{}), [][]Drafter{nil, {c.draft}}[i]...)
						g[i].Begin(logits[i])
					}
					var times [2][]float64
					for b.Loop() {
						for i := range g {
							begin := time.Now()
							for range piece {
								if _, err := g[i].Next(context.Background()); err != nil {
									b.Fatal(err)
								}
							}
							times[i] = append(times[i], time.Since(begin).Seconds()/piece)
							if len(g[i].tokens) > 1800 {
								g[i].s.Truncate(len(ids))
								g[i].Begin(logits[i])
							}
						}
					}
					if !slices.Equal(g[0].tokens, g[1].tokens) {
						b.Error("drafts changed the text")
					}
					for _, t := range times {
						slices.Sort(t)
					}
					median := func(t []float64) float64 { return t[len(t)/2] }
					drafted, accepted := g[1].Drafted()
					n := float64(b.N * piece)
					b.ReportMetric(1/median(times[0]), "plain-tokens/s")
					b.ReportMetric(1/median(times[1]), "tokens/s")
					b.ReportMetric(median(times[0])/median(times[1]), "x")
					b.ReportMetric(float64(drafted)/n, "drafted/token")
					b.ReportMetric(float64(accepted)/n, "accepted/token")
				})
			}
			m.Close()
		}
	}
}

// deceiver always has a draft, and is never right.
type deceiver struct{}

func (deceiver) Draft(dst, tokens []int32, n int) []int32 {
	for range n {
		dst = append(dst, 3)
	}
	return dst
}
