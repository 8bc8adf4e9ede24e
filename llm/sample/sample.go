// Package sample chooses the next token from a model's logits.
//
// The steps and their order are llama.cpp's: the repeat penalty lowers the
// logits of tokens that occurred lately; top-k keeps the k likeliest tokens,
// top-p the likeliest that together reach probability p, min-p those with at
// least p times the likeliest's probability; what is left is sharpened or
// flattened by the temperature, and one is drawn. Temperature 0 is greedy: the
// likeliest token, of equals the one with the lowest id.
//
// Logits may hold anything, NaN and infinities too: NaN is never chosen. The
// same seed, parameters and logits give the same tokens.
package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// Params are the parameters of sampling, with the names and meanings they have
// in ollama.
type Params struct {
	Temperature float32 // 0: greedy
	TopK        int     // 0: no limit
	TopP        float32 // 1: no limit
	MinP        float32 // 0: no limit

	// RepeatPenalty divides positive and multiplies negative logits of recent
	// tokens. 1: none. 0: not set, which means 1.1 when sampling and 1 at
	// temperature 0, where people expect to see what the model itself says.
	RepeatPenalty float32
	RepeatLastN   int // tokens that count as recent; 0: none, -1: all

	Seed int64 // 0: a new one each time
}

// Default returns the parameters that hold when nobody set any.
func Default() Params {
	return Params{Temperature: 0.8, TopK: 40, TopP: 0.9, RepeatLastN: 64}
}

// Penalty is the repeat penalty in force: RepeatPenalty, or what holds when
// that is not set.
func (p Params) Penalty() float32 {
	switch {
	case p.RepeatPenalty > 0:
		return p.RepeatPenalty
	case p.Temperature > 0:
		return 1.1
	}
	return 1
}

// Names lists the parameters that Set knows.
func Names() []string {
	return []string{"temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n", "seed"}
}

// Set sets the parameter of that name, as in "top_k" and "40". An error is one
// sentence about what is allowed, and leaves p as it was.
func (p *Params) Set(name, value string) error {
	float := func(to *float32, low, high float64) error {
		v, err := strconv.ParseFloat(value, 32)
		if err != nil || !(v >= low && v <= high) {
			return fmt.Errorf("%s must be a number from %g to %g, not %q", name, low, high, value)
		}
		*to = float32(v)
		return nil
	}
	integer := func(to *int, low int) error {
		v, err := strconv.ParseInt(value, 10, 32)
		if err != nil || v < int64(low) {
			return fmt.Errorf("%s must be a whole number from %d, not %q", name, low, value)
		}
		*to = int(v)
		return nil
	}
	switch name {
	case "temperature":
		return float(&p.Temperature, 0, 100)
	case "top_k":
		return integer(&p.TopK, 0)
	case "top_p":
		return float(&p.TopP, 0, 1)
	case "min_p":
		return float(&p.MinP, 0, 1)
	case "repeat_penalty":
		return float(&p.RepeatPenalty, 0, 100)
	case "repeat_last_n":
		return integer(&p.RepeatLastN, -1)
	case "seed":
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("seed must be a whole number, not %q", value)
		}
		p.Seed = v
		return nil
	}
	return fmt.Errorf("there is no parameter %q", name)
}

// Sampler draws tokens. It is not for use by several goroutines at once.
type Sampler struct {
	p       Params
	penalty float32
	seed    int64
	source  *rand.PCG
	rng     *rand.Rand  // of source
	recent  []uint64    // a bit for each token that is penalised; all 0 between calls
	heap    []candidate // memory for candidates
	ahead   *Sampler    // see Ahead
}

type candidate struct {
	logit float32
	id    int32
}

// before orders candidates: likeliest first, of equals the lowest id.
func (a candidate) before(b candidate) bool {
	return a.logit > b.logit || a.logit == b.logit && a.id < b.id
}

// New returns a Sampler. Parameters that are not numbers or out of range count
// as not limiting anything.
func New(p Params) *Sampler {
	s := &Sampler{p: p, seed: p.Seed, penalty: p.Penalty()}
	for s.seed == 0 {
		s.seed = int64(rand.Uint64() >> 1)
	}
	s.source = rand.NewPCG(uint64(s.seed), 0x416c706861) // "Alpha"
	s.rng = rand.New(s.source)
	if !(p.TopP > 0 && p.TopP < 1) {
		s.p.TopP = 1
		if p.TopP <= 0 { // the likeliest alone
			s.p.TopK = 1
		}
	}
	if !(p.MinP > 0) {
		s.p.MinP = 0
	}
	s.p.MinP = min(s.p.MinP, 1)
	if math.IsInf(float64(s.penalty), 0) {
		s.penalty = 1
	}
	return s
}

// Seed is the seed in use, to get the same tokens again.
func (s *Sampler) Seed() int64 { return s.seed }

// Ahead returns a sampler that will draw the same random numbers as s, which
// stays as it is: for one that guesses what s will choose. It is valid until the
// next call of Ahead.
func (s *Sampler) Ahead() *Sampler {
	if s.ahead == nil {
		s.ahead = New(s.p)
	}
	*s.ahead.source = *s.source
	s.ahead.penalty = s.penalty
	return s.ahead
}

// Sample chooses a token. logits has one value for each token of the
// vocabulary and is not changed; recent are the tokens so far, the latest last.
// It returns -1 if no logit is a number above -Inf: the model is broken.
func (s *Sampler) Sample(logits []float32, recent []int32) int32 {
	penalised := s.mark(len(logits), recent)
	id := s.choose(logits, penalised)
	for _, t := range penalised {
		if uint64(t) < uint64(len(logits)) {
			s.recent[t>>6] = 0
		}
	}
	return id
}

// mark sets the bits of the tokens to penalise and returns these.
func (s *Sampler) mark(n int, recent []int32) []int32 {
	if s.penalty == 1 || s.p.RepeatLastN == 0 {
		return nil
	}
	if last := s.p.RepeatLastN; last > 0 && len(recent) > last {
		recent = recent[len(recent)-last:]
	}
	if words := (n + 63) / 64; len(s.recent) < words {
		s.recent = make([]uint64, words)
	}
	for _, t := range recent {
		if uint64(t) < uint64(n) {
			s.recent[t>>6] |= 1 << (t & 63)
		}
	}
	return recent
}

// logit is logits[i] with the repeat penalty, if that applies.
func (s *Sampler) logit(logits []float32, i int) float32 {
	l := logits[i]
	if s.recent[i>>6]&(1<<(i&63)) == 0 {
		return l
	}
	if l > 0 {
		return l / s.penalty
	}
	return l * s.penalty
}

func (s *Sampler) choose(logits []float32, penalised []int32) int32 {
	best := s.best(logits, penalised)
	if best.id < 0 || !(s.p.Temperature > 0) || s.p.TopK == 1 || math.IsInf(float64(best.logit), 1) {
		return best.id
	}
	kept := s.topK(logits, penalised, best.logit)
	kept = topP(kept, s.p.TopP)
	return s.draw(kept)
}

// best returns the likeliest token, or id -1.
func (s *Sampler) best(logits []float32, penalised []int32) candidate {
	best := candidate{float32(math.Inf(-1)), -1}
	if len(penalised) == 0 {
		for i, l := range logits {
			if l > best.logit {
				best = candidate{l, int32(i)}
			}
		}
		return best
	}
	for i := range logits {
		if l := s.logit(logits, i); l > best.logit {
			best = candidate{l, int32(i)}
		}
	}
	return best
}

// topK gathers the k likeliest tokens, in no order. What min-p will drop, or
// has no probability at all, is left out at once.
func (s *Sampler) topK(logits []float32, penalised []int32, best float32) []candidate {
	k := s.p.TopK
	if k <= 0 || k > len(logits) {
		k = len(logits)
	}
	floor := float32(math.Inf(-1))
	if s.p.MinP > 0 && s.p.TopP == 1 { // else top-p comes first
		floor = best + float32(math.Log(float64(s.p.MinP)))
	}
	if cap(s.heap) < k {
		s.heap = make([]candidate, 0, k)
	}
	h := s.heap[:0]
	for i, l := range logits {
		if len(penalised) > 0 {
			l = s.logit(logits, i)
		}
		// NaN fails the comparisons; -Inf has no probability.
		if !(l >= floor) || math.IsInf(float64(l), -1) {
			continue
		}
		c := candidate{l, int32(i)}
		switch {
		case len(h) < k:
			if h = append(h, c); len(h) == k && k < len(logits) {
				for j := k/2 - 1; j >= 0; j-- {
					sink(h, j, candidate.after)
				}
			}
		case c.before(h[0]): // h[0] is the unlikeliest
			h[0] = c
			sink(h, 0, candidate.after)
		}
	}
	return h
}

func (a candidate) after(b candidate) bool { return b.before(a) }

// topP keeps the likeliest candidates until they have probability p together.
// They end up at the end of h, the likeliest last, and are returned.
func topP(h []candidate, p float32) []candidate {
	if p >= 1 || len(h) < 2 {
		return h
	}
	for j := len(h)/2 - 1; j >= 0; j-- {
		sink(h, j, candidate.before)
	}
	max := float64(h[0].logit)
	var total float64
	for _, c := range h {
		total += math.Exp(float64(c.logit) - max)
	}
	want, sum, n := float64(p)*total, 0.0, len(h)
	for n > 0 {
		n--
		h[0], h[n] = h[n], h[0] // the likeliest to the end
		if sum += math.Exp(float64(h[n].logit) - max); sum >= want {
			break
		}
		sink(h[:n], 0, candidate.before)
	}
	return h[n:]
}

// sink restores the heap below h[i], where up says which of two goes up.
func sink(h []candidate, i int, up func(a, b candidate) bool) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && up(h[c+1], h[c]) {
			c++
		}
		if !up(h[c], h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

// draw applies min-p and the temperature and chooses by chance.
func (s *Sampler) draw(h []candidate) int32 {
	best := h[0]
	for _, c := range h {
		if c.before(best) {
			best = c
		}
	}
	floor := math.Inf(-1)
	if s.p.MinP > 0 {
		floor = float64(best.logit) + math.Log(float64(s.p.MinP))
	}
	weight := func(c candidate) float64 {
		if float64(c.logit) < floor {
			return 0
		}
		return math.Exp((float64(c.logit) - float64(best.logit)) / float64(s.p.Temperature))
	}
	var total float64
	for _, c := range h {
		total += weight(c)
	}
	r := s.rng.Float64() * total
	for _, c := range h {
		if r -= weight(c); r < 0 {
			return c.id
		}
	}
	return best.id // rounding, or a temperature that is not a number
}
