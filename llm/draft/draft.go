// Package draft is speculation: several tokens from one reading of the weights.
//
// Decoding is bound by reading the weights, and reading them for some tokens
// together costs hardly more than for one. So a draft guesses the next tokens,
// they are evaluated together, and the sampler then chooses token by token as
// ever: as long as it chooses what the draft has, the logits of the next
// position are already there; at the first difference the rest is forgotten.
//
// Who drafts, looks up what followed the same words before (Lookup), asks what the model's file
// holds for that (NewGuesses), or asks a smaller model (NewModel).
//
// This changes no answer. The logits of a token are the same to the last bit
// whether it is computed alone or in a draft (llm.Session.EvalRows), and
// the sampler is asked once for each token, in order, with the same logits and
// the same random numbers: so for one seed the tokens are exactly those that
// there would be without drafts, at any temperature. Seen as rejection
// sampling: a draft that proposes one token with certainty is accepted with
// the probability that the model gives it, and what replaces it comes from the
// model's distribution without it. A smaller model draws its tokens with the
// very random numbers that the sampler is about to use: where the two models
// agree about the probabilities they then draw the same token, which is what
// rejection sampling achieves with random numbers of its own.
//
// Drafts cost time when they are wrong. The Generator measures what a pass of
// each length takes and how many drafted tokens were accepted lately, drafts
// only as many as pay, and none for a while when none do.
package draft

import (
	"context"
	"errors"
	"slices"
	"time"

	"alphaos/llm"
	"alphaos/llm/gguf"
)

// Chooser chooses a token by the logits and the tokens so far, or returns -1
// if the logits are not numbers; sample.Sampler is one. It is asked exactly once
// for each token.
type Chooser interface {
	Sample(logits []float32, recent []int32) int32
}

// Drafter guesses tokens.
type Drafter interface {
	// Draft appends to dst at most n tokens that may follow tokens.
	Draft(dst, tokens []int32, n int) []int32
}

// ErrNaN is returned when a model's logits are not numbers.
var ErrNaN = errors.New("the model's output is not a number: its file is probably damaged")

// Generator chooses the tokens that follow those of a session. While it is in
// use the session must not be used otherwise, and may hold some more tokens
// than were chosen; Settle puts an end to that.
type Generator struct {
	s       *llm.Session
	v       int // logits of a token
	chooser Chooser
	drafts  []drafting // none: no speculation
	pace    *pace      // of the draft that is evaluated

	tokens []int32   // all tokens so far
	logits []float32 // rows of logits: of the last token of tokens, and of the draft
	draft  []int32   // evaluated, not chosen yet
	batch  [llm.MaxDraft + 1]int32
}

// drafting is a drafter and how well it does.
type drafting struct {
	Drafter
	pace pace
}

// NewGenerator makes a Generator. The first drafter that knows something and
// pays is used, for each draft anew; without one there is one token at a time.
func NewGenerator(s *llm.Session, c Chooser, drafters ...Drafter) *Generator {
	g := &Generator{s: s, chooser: c}
	for _, d := range drafters {
		g.drafts = append(g.drafts, drafting{d, newPace()})
	}
	return g
}

// Use replaces the chooser, until Begin for nothing yet. What was learnt about
// the drafters stays.
func (g *Generator) Use(c Chooser) {
	g.chooser = c
	g.tokens, g.logits, g.draft = g.tokens[:0], nil, nil
}

// Begin goes on from the session's tokens and the logits that Eval returned
// for the last of them.
func (g *Generator) Begin(logits []float32) {
	g.tokens = append(g.tokens[:0], g.s.View()...)
	g.logits, g.draft, g.v = logits, nil, len(logits)
}

// Next chooses the next token. It is not evaluated before the following call
// of Next, which returns an error that wraps ErrContextFull if there is no room
// for it then. After an error the last token chosen is not part of the session.
func (g *Generator) Next(ctx context.Context) (int32, error) {
	if len(g.logits) == 0 {
		if err := g.read(ctx); err != nil {
			return -1, err
		}
	}
	id := g.chooser.Sample(g.logits[:g.v], g.tokens)
	if id < 0 {
		return -1, ErrNaN
	}
	if len(g.draft) > 0 && g.draft[0] == id {
		g.draft, g.logits = g.draft[1:], g.logits[g.v:]
		g.pace.accept()
	} else {
		g.s.Truncate(len(g.tokens))
		g.draft, g.logits = nil, nil
	}
	g.tokens = append(g.tokens, id)
	return id, nil
}

// read evaluates the last token, and a draft behind it if that pays.
func (g *Generator) read(ctx context.Context) error {
	begin := time.Now()
	g.batch[0] = g.tokens[len(g.tokens)-1]
	ids := g.batch[:1]
	g.pace = nil
	room := g.s.Cap() - g.s.Len() - 1
	for i := 0; i < len(g.drafts) && g.pace == nil; i++ {
		d := &g.drafts[i]
		n := min(d.pace.length(), room)
		if n <= 0 {
			continue
		}
		ids = g.known(d.Draft(ids, g.tokens, n), n+1)
		if len(ids) > 1 {
			g.pace = &d.pace
		} else {
			begin = time.Now() // a pass without a draft
		}
	}
	logits, err := g.s.EvalRows(ctx, ids, len(ids))
	if err != nil {
		return err
	}
	t := time.Since(begin)
	if g.pace != nil {
		g.pace.measured(len(ids)-1, t)
	} else {
		for i := range g.drafts {
			g.drafts[i].pace.measured(0, t)
		}
	}
	g.logits, g.draft = logits, ids[1:]
	return nil
}

// known is what of ids, at most n, is in the vocabulary: that of a drafter may
// be larger.
func (g *Generator) known(ids []int32, n int) []int32 {
	ids = ids[:min(len(ids), n)]
	for i, id := range ids {
		if id < 0 || int(id) >= g.v {
			return ids[:i]
		}
	}
	return ids
}

// Settle forgets what was drafted and not chosen.
func (g *Generator) Settle() {
	if len(g.tokens) == 0 {
		return // it has not begun
	}
	g.s.Truncate(len(g.tokens))
	g.draft = nil
	if len(g.logits) > g.v {
		g.logits = g.logits[:g.v]
	}
}

// Tokens are all tokens so far, the session's and those chosen. The slice must
// not be changed and is valid until the next call of Next or Begin.
func (g *Generator) Tokens() []int32 { return g.tokens }

// Drafted tells how many tokens were drafted and how many of them accepted.
func (g *Generator) Drafted() (drafted, accepted int) {
	for i := range g.drafts {
		d, a := g.DraftedBy(i)
		drafted, accepted = drafted+d, accepted+a
	}
	return drafted, accepted
}

// DraftedBy is Drafted of one drafter, counted from 0 as NewGenerator got them.
func (g *Generator) DraftedBy(i int) (drafted, accepted int) {
	return g.drafts[i].pace.drafted, g.drafts[i].pace.accepted
}

// pace decides how long a draft is to be. Time is measured, so what it decides
// differs from run to run; what is answered does not.
type pace struct {
	single float64 // seconds of a pass of one token
	more   float64 // seconds that each further token adds
	limit  int     // longest draft at the moment
	rest   int     // passes still to go without drafting
	pause  int     // how long the next rest will be

	length0  int     // of the draft in flight
	hits     int     // accepted of it
	gain     float64 // passes that drafts saved lately, less what they cost
	drafted  int
	accepted int
}

// A rest begins when drafts have lost half a pass, and grows as long as they
// go on losing: so what they cost goes towards nothing.
const (
	firstPause = 32
	lastPause  = 1024
	lossLimit  = -0.5
	gainLimit  = 2.0
)

func newPace() pace { return pace{limit: 3, pause: firstPause} }

// length is the longest draft for the next pass.
func (p *pace) length() int {
	p.settle()
	if p.single == 0 { // not measured yet
		return 0
	}
	if p.rest > 0 {
		p.rest--
		return 0
	}
	return p.limit
}

func (p *pace) accept() { p.hits++; p.accepted++ }

// measured takes the time of a pass with a draft of n tokens.
func (p *pace) measured(n int, d time.Duration) {
	t := d.Seconds()
	p.length0 = n
	p.drafted += n
	if n == 0 {
		switch {
		case p.single == 0:
			p.single = t
		default: // a pass that was disturbed counts little
			p.single += (min(t, 2*p.single) - p.single) / 8
		}
		return
	}
	each := max(0, t-p.single) / float64(n)
	if p.more == 0 {
		p.more = min(each, p.single)
	} else {
		p.more += (min(each, p.single) - p.more) / 4
	}
}

// settle weighs the last draft.
func (p *pace) settle() {
	n, hits := p.length0, p.hits
	p.length0, p.hits = 0, 0
	if n == 0 {
		return
	}
	cost := 0.0
	if p.single > 0 {
		cost = p.more * float64(n) / p.single
	}
	p.gain = min(p.gain+float64(hits)-cost, gainLimit)
	switch {
	case hits == n:
		p.limit = min(p.limit*2, llm.MaxDraft)
	case hits < n/2:
		p.limit = max(hits+1, p.limit/2)
	}
	if float64(hits) > cost {
		p.pause = firstPause
	}
	if p.gain < lossLimit {
		p.gain, p.rest, p.limit = 0, p.pause, 2
		p.pause = min(2*p.pause, lastPause)
	}
}

// Lookup drafts what followed the last tokens when they occurred before: for
// answers that quote, summarise, correct or continue what is in the context.
type Lookup struct {
	tokens int     // of them are in the table
	table  []int32 // position after the latest occurrence of a key, 0 if none
	last   int32   // tokens[tokens-1]
	before int32   // tokens[tokens-2]
}

const (
	gram       = 3 // tokens that must be the same
	tableBits  = 14
	multiplier = 0x9e3779b97f4a7c15
)

// NewLookup returns an empty Lookup.
func NewLookup() *Lookup { return &Lookup{table: make([]int32, 1<<tableBits)} }

func key(t []int32) uint64 {
	h := uint64(0)
	for _, id := range t {
		h = (h ^ uint64(uint32(id))) * multiplier
	}
	return h >> (64 - tableBits)
}

// Draft implements Drafter.
func (l *Lookup) Draft(dst, tokens []int32, n int) []int32 {
	if len(tokens) < l.tokens || l.tokens >= 2 && (tokens[l.tokens-1] != l.last || tokens[l.tokens-2] != l.before) {
		clear(l.table) // another text
		l.tokens = 0
	}
	// What the last tokens are followed by is not known: they stay out.
	for i := max(l.tokens, gram); i < len(tokens); i++ {
		l.table[key(tokens[i-gram:i])] = int32(i)
	}
	l.tokens = len(tokens)
	if l.tokens < gram {
		return dst
	}
	l.last, l.before = tokens[l.tokens-1], tokens[l.tokens-2]
	suffix := tokens[len(tokens)-gram:]
	at := int(l.table[key(suffix)])
	if at < gram || at >= len(tokens) {
		return dst
	}
	for i, id := range suffix { // keys may collide
		if tokens[at-gram+i] != id {
			return dst
		}
	}
	// What is drafted may itself be repeated: "ababab".
	for i := range n {
		if at+i < len(tokens) {
			dst = append(dst, tokens[at+i])
		} else {
			dst = append(dst, dst[len(dst)-(len(tokens)-at)])
		}
	}
	return dst
}

// modelDrafter is a smaller model that reads what the larger one has read. Its
// session keeps what both have in common.
type modelDrafter struct {
	s     *llm.Session
	ahead func() Chooser
	text  []int32 // the tokens so far, and those drafted
}

// NewModel drafts with a session of a smaller model of the same
// vocabulary. A draft costs as many passes of that model as it has tokens. It
// guesses what a chooser that ahead returns would choose; if that draws the
// random numbers that the Generator's own chooser is about to draw
// (sample.Sampler.Ahead), guesses are right more often than the likeliest token
// would be. A nil ahead means the likeliest token.
func NewModel(s *llm.Session, ahead func() Chooser) Drafter {
	return &modelDrafter{s: s, ahead: orLikeliest(ahead)}
}

func orLikeliest(ahead func() Chooser) func() Chooser {
	if ahead == nil {
		return func() Chooser { return likeliest{} }
	}
	return ahead
}

type likeliest struct{}

func (likeliest) Sample(logits []float32, _ []int32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

func (d *modelDrafter) Draft(dst, tokens []int32, n int) []int32 {
	have, same := d.s.View(), 0
	for same < len(have) && same < len(tokens)-1 && have[same] == tokens[same] {
		same++
	}
	d.s.Truncate(same)
	// What was said since the last draft is read a piece at a time, without drafting: it
	// is not what a draft costs, and whoever wants the answer to stop does not wait long.
	if behind := len(tokens) - same; behind > llm.MaxDraft+1 {
		const piece = 64
		if next := tokens[same:][:min(behind-1, piece)]; len(next) <= d.s.Cap()-d.s.Len() {
			d.s.Eval(context.Background(), next) // an error only costs the draft
		}
		return dst
	}
	d.text = append(d.text[:0], tokens...)
	chooser := d.ahead()
	for range n {
		next := d.text[d.s.Len():]
		if len(next) > d.s.Cap()-d.s.Len() {
			break
		}
		logits, err := d.s.Eval(context.Background(), next)
		if err != nil {
			break // a draft is never needed
		}
		id := chooser.Sample(logits, d.text)
		if id < 0 {
			break
		}
		d.text = append(d.text, id)
	}
	return append(dst, d.text[len(tokens):]...)
}

// guesses drafts what a session's Guesser guesses.
type guesses struct {
	*llm.Guesser
	ahead func() Chooser
	text  []int32
}

// mostGuessed is how many tokens such a draft has at most: blocks are trained for the first, and from the
// second on they see their own state in place of the model's.
const mostGuessed = 2

// NewGuesses drafts one or two tokens with the block that a model's file holds for that. g is the Guesser of the
// session that the Generator has; ahead is as in NewModel.
func NewGuesses(g *llm.Guesser, ahead func() Chooser) Drafter {
	return &guesses{Guesser: g, ahead: orLikeliest(ahead)}
}

func (d *guesses) Draft(dst, tokens []int32, n int) []int32 {
	d.text = append(d.text[:0], tokens...)
	chooser := d.ahead()
	dst, _ = d.Guess(dst, tokens[len(tokens)-1], min(n, mostGuessed), func(logits []float32) int32 { // an error only costs the draft
		id := chooser.Sample(logits, d.text)
		d.text = append(d.text, id)
		return id
	})
	return dst
}

// SameVocabulary reports whether two models have the same tokens, so that one
// can draft for the other. Models of one family may have different numbers of
// tokens that are never used behind them.
func SameVocabulary(a, b *gguf.File) bool {
	const unused = 1024
	for _, key := range []string{"tokenizer.ggml.model", "tokenizer.ggml.pre"} {
		x, _ := a.String(key)
		if y, _ := b.String(key); x != y {
			return false
		}
	}
	x, y := a.Strings("tokenizer.ggml.tokens"), b.Strings("tokenizer.ggml.tokens")
	if len(x) > len(y) {
		x, y = y, x
	}
	return len(x) > 0 && len(y)-len(x) <= unused && slices.Equal(x, y[:len(x)])
}
