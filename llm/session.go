package llm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// ErrContextFull is what Eval's error wraps when the tokens do not fit.
var ErrContextFull = errors.New("the context is full")

// defaultBatch is how many tokens of a prompt are computed together: enough to make
// use of each weight that was read, few enough that a cancelled context is
// noticed soon.
const defaultBatch = 128

// Bounds on what a session takes by itself: positions when the model's own
// context is longer; bytes of keys and values in float32, above which float16
// is used; and bytes of memory altogether.
const (
	defaultContext = 4096
	largeCache     = 512 << 20
	defaultLimit   = 8 << 30
	leastContext   = 256 // shorter ones are not chosen for want of memory
)

// Session is a sequence of tokens that a model has read, with what it
// remembers of them. A Session must not be used concurrently; sessions of one
// Model may be, and take turns.
type Session struct {
	model     *Model
	tokens    []int32
	size      int
	caches    []cache
	logits    []float32
	ropes     []rope
	buffers   buffers
	recurrent recurrentBuffers
	mixture   *mixture
	progress  progress // of recurrent layers
	guesser   *Guesser // or nil
	forms     map[formKey]*kernel.Activations
	batch     int   // tokens computed together at most
	block     int   // tokens of which one head is computed together at most
	apartFrom int   // bytes of a layer's keys and values from which heads are divided between threads
	together  int   // tokens of this pass
	fine      fine  // of mulFine
	failure   error // of reading streamed weights in this pass
	task      task
	jobs      jobs
}

// fine is twice as many vectors as there are tokens, their results, and the vectors rotated.
type fine struct{ x, y, turned []float32 }

type formKey struct {
	form kernel.Form
	cols int
}

// buffers hold what is computed for a batch of n tokens: see decoder.go.
type buffers struct {
	x, h         []float32   // n x d
	q, att       []float32   // n x h*e
	k, v         []float32   // n x g*e
	wide         []float32   // n x what else a layer makes of a token
	gate, up     []float32   // n x f
	ownRows, own []float32   // n x what layers get of each token by itself
	attending    []attending // of each thread
	apart        []apart     // of each key/value head that threads share
}

// NewSession begins an empty session of at most contextLength tokens; 0 means
// the model's own context length, but at most 4096 and what Options.SessionLimit
// allows.
func (m *Model) NewSession(contextLength int) (*Session, error) {
	c := &m.config
	switch {
	case c.embeds:
		return nil, fmt.Errorf("a model of architecture %s makes embeddings of texts and cannot continue them; choose another model to talk with", c.arch.name)
	case contextLength < 0:
		return nil, fmt.Errorf("a context of %d tokens is impossible", contextLength)
	case contextLength == 0:
		contextLength = m.fittingContext()
	case contextLength > c.context:
		return nil, fmt.Errorf("a context of %d tokens is longer than the %d this model was trained for", contextLength, c.context)
	}
	batch := m.weights.batch(c)
	need, form := m.sessionNeeds(contextLength)
	limit := m.sessionLimit()
	if need > limit {
		return nil, fmt.Errorf("a context of %d tokens takes %d MiB of memory, more than the limit of %d MiB: choose a shorter one", contextLength, need>>20, limit>>20)
	}
	s := &Session{model: m, size: contextLength, logits: make([]float32, c.vocabulary), forms: map[formKey]*kernel.Activations{}}
	s.batch, s.block, s.apartFrom = min(batch, contextLength), together, apartPays
	s.bindJobs()
	n, threads := s.batch, m.pool.threads
	for _, shape := range c.ropes {
		factors := m.decoder.ropeFactors
		if m.decoder.longFactors != nil && contextLength > shape.original {
			factors = m.decoder.longFactors
		}
		s.ropes = append(s.ropes, newRope(shape, c.arch.halves, n, factors))
	}
	f := c.gated()
	s.buffers = buffers{
		x: make([]float32, n*c.embedding), h: make([]float32, n*c.embedding),
		q: make([]float32, n*c.queries), att: make([]float32, n*c.queries),
		k: make([]float32, n*c.keys), v: make([]float32, n*c.keys), wide: make([]float32, n*c.wide),
		gate: make([]float32, n*f), up: make([]float32, n*f),
		own: make([]float32, n*c.perLayer*c.layers), ownRows: make([]float32, n*c.perLayer*c.layers),
	}
	s.recurrent, s.mixture = c.newRecurrentBuffers(n, threads), c.newMixture(n)
	queries := map[int][]kernel.Activations{} // for heads of each length
	for _, l := range c.layer[:c.layers] {
		for len(queries[l.head]) < threads && l.mixer.attends() {
			queries[l.head] = append(queries[l.head], *m.set.NewActivations(kernel.FormOf(form), l.head, c.group))
		}
	}
	for range threads {
		s.buffers.attending = append(s.buffers.attending, attending{scores: make([]float32, together*c.group*attendRows), softmax: make([]kernel.Softmax, together*c.group)})
	}
	for range m.apartHeads() {
		s.buffers.apart = append(s.buffers.apart, apart{
			scores: make([]float32, c.group*contextLength), factors: make([]float32, c.group*(contextLength/attendRows+1)), inverse: make([]float32, c.group)})
	}
	for i, l := range c.layer[:c.layers] {
		switch {
		case !l.mixer.attends():
			s.caches = append(s.caches, cache{memory: &memory{shape: &c.recurrent, mixer: l.mixer, kept: c.newKept(l.mixer)}})
		case l.source != i:
			shared := s.caches[l.source]
			shared.group = l.heads / l.kvHeads
			s.caches = append(s.caches, shared)
		default:
			s.caches = append(s.caches, m.newCache(&l, contextLength, form, queries[l.head]))
		}
	}
	return s, nil
}

// newCache takes memory for what an attending layer remembers of n tokens.
func (m *Model) newCache(l *layerShape, n int, form gguf.Type, queries []kernel.Activations) cache {
	kv := cache{group: l.heads / l.kvHeads, queries: queries}
	for range l.kvHeads {
		kv.keys = append(kv.keys, m.set.NewRows(n, l.head, form))
		kv.values = append(kv.values, m.set.NewRows(n, l.value, form))
	}
	return kv
}

// gated is how many numbers gates have at most.
func (c *config) gated() int { return max(c.feedForward, c.experts.shared, c.perLayer) }

// sessionNeeds is how many bytes a session takes, and in which form it keeps keys and values.
func (m *Model) sessionNeeds(contextLength int) (need int64, form gguf.Type) {
	c := &m.config
	numbers := int64(contextLength) * int64(c.remembered)
	each, whole := 2*c.embedding+2*c.queries+2*c.keys+c.wide+2*c.gated()+2*c.perLayer*c.layers, true
	if c.experts.count > 0 {
		each += c.experts.numbers(c)
	}
	if c.recurrent.taps > 0 {
		each += 2*c.recurrent.channels + 4*c.recurrent.heads + 2*c.recurrent.inner + 2*c.embedding
	}
	need = 4*int64(m.weights.batch(c))*int64(each) +
		int64(m.pool.threads)*together*int64(c.group)*int64(4*attendRows+16) + 4*int64(m.apartHeads())*int64(c.group)*int64(contextLength+contextLength/attendRows+2)
	for _, l := range c.layer[:c.layers] {
		need += 4 * int64(c.keptSize(l.mixer)) * (2 + checkpoints)
		whole = whole && (!l.mixer.attends() || l.head%32 == 0 && l.value%32 == 0)
	}
	switch {
	case m.options.Cache == "q8_0" && whole:
		form = gguf.Q8_0
	case m.options.Cache == "f32" || m.options.Cache == "" && 4*numbers <= largeCache && need+4*numbers <= m.sessionLimit():
		form = gguf.F32
	default:
		form = gguf.F16
	}
	return need + numbers/int64(form.BlockSize())*int64(form.BlockBytes()), form
}

func (m *Model) sessionLimit() int64 {
	if m.options.SessionLimit > 0 {
		return m.options.SessionLimit
	}
	return defaultLimit
}

// fittingContext is the context length when none was chosen: the model's own,
// but at most 4096 and what the memory for a session allows.
func (m *Model) fittingContext() int {
	n := min(m.config.context, defaultContext)
	for n > leastContext {
		if need, _ := m.sessionNeeds(n); need <= m.sessionLimit() {
			break
		}
		n = max(n/2, leastContext)
	}
	return n
}

// Eval appends ids and returns the logits that follow the last one, one for
// each token of the vocabulary, valid until the next Eval. Long prompts are
// computed in batches; when ctx is done Eval stops between two layers and
// returns ctx's error, and Len tells how many whole batches were appended.
func (s *Session) Eval(ctx context.Context, ids []int32) ([]float32, error) {
	return s.EvalRows(ctx, ids, 1)
}

// MaxDraft is how many tokens of a draft may follow the last token: the logits of up to so
// many are the same to the bit together and one by one.
const MaxDraft = 8

// EvalRows is Eval with the logits of the last rows of ids, one after another; rows is at
// most MaxDraft+1.
func (s *Session) EvalRows(ctx context.Context, ids []int32, rows int) ([]float32, error) {
	if len(ids) == 0 {
		return nil, errors.New("no tokens to evaluate")
	}
	if rows < 1 || rows > min(len(ids), MaxDraft+1) {
		return nil, fmt.Errorf("logits of %d of %d tokens are impossible", rows, len(ids))
	}
	if len(ids) > s.size-len(s.tokens) {
		return nil, fmt.Errorf("%w: it holds %d of %d tokens and %d more do not fit", ErrContextFull, len(s.tokens), s.size, len(ids))
	}
	for _, id := range ids {
		if id < 0 || int(id) >= s.model.config.vocabulary {
			return nil, fmt.Errorf("token %d is not in the model's vocabulary of %d", id, s.model.config.vocabulary)
		}
	}
	s.model.busy.Lock()
	defer s.model.busy.Unlock()
	if s.model.closed {
		return nil, errors.New("the model has been closed")
	}
	if need := rows * s.model.config.vocabulary; len(s.logits) < need {
		s.logits = make([]float32, need)
	}
	if n := s.resume(); n < len(s.tokens) { // recurrent layers have to see these again
		ids = slices.Concat(s.tokens[n:], ids)
		s.tokens = s.tokens[:n]
	}
	before, all := len(s.tokens), len(ids)
	report, _ := ctx.Value(progressKey{}).(func(done, total int))
	if report == nil {
		report = func(int, int) {}
	}
	for report(0, all); len(ids) > 0; report(all-len(ids), all) {
		n, want := min(s.batch, len(ids)), 0
		if rest := len(ids) - n; rest == 0 {
			want = rows
		} else if rest < rows { // these come together
			n -= rows - rest
		}
		pass := s.forward
		if all == 1 && s.model.trial != nil {
			pass = s.tryForward
		}
		if err := pass(ctx, ids[:n], want); err != nil {
			return nil, err
		}
		if !finite(s.logits[:want*s.model.config.vocabulary]) {
			s.tokens = s.tokens[:before]
			return nil, errNotNumbers
		}
		ids = ids[n:]
	}
	if s.model.fetches.Load() == nil { // all weights have been read
		s.model.chooseFetches()
	}
	return s.logits[:rows*s.model.config.vocabulary], nil
}

type progressKey struct{}

// WithProgress returns a context with which Eval calls report first and after each batch of tokens: how
// many of those that it was given are evaluated.
func WithProgress(ctx context.Context, report func(done, total int)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// Len is the number of tokens evaluated so far.
func (s *Session) Len() int { return len(s.tokens) }

// Cap is the number of tokens the session can hold.
func (s *Session) Cap() int { return s.size }

// Tokens returns a copy of the tokens evaluated so far.
func (s *Session) Tokens() []int32 { return slices.Clone(s.tokens) }

// View is Tokens without copying: it must not be changed, and is valid until
// the next call of Eval or Truncate.
func (s *Session) View() []int32 { return s.tokens }

// Truncate forgets all but the first n tokens; n beyond Len changes nothing.
func (s *Session) Truncate(n int) { s.tokens = s.tokens[:max(0, min(n, len(s.tokens)))] }

func (s *Session) activations(form kernel.Form, cols int) *kernel.Activations {
	key := formKey{form, cols}
	a := s.forms[key]
	if a == nil {
		n := s.batch
		if cols == s.model.config.recurrent.inner { // see mulFine
			n *= 2
		}
		a = s.model.set.NewActivations(form, cols, n)
		s.forms[key] = a
	}
	return a
}
