package llm

import (
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Mixtures of experts larger than memory.
//
// Of such a model what every token is multiplied with stays in memory. The experts do not: what
// memory is left is cut into slots of one expert each. When the router asks for an expert that is in
// no slot, it is read, and meanwhile those are computed that are there. While a layer is computed,
// the experts are read that the next layer's router would choose for the same input, which is a
// good guess, because layers change their input little.
//
// The slot to be given up is that of the expert used least, where a use counts half after so many tokens
// (halfLife). A prompt's tokens go through a layer together, so that it is read at most once for all of a
// batch.
//
// An expert is rearranged for speed as soon as it was read, so that results are the same to the bit as
// those of a model in memory.

const (
	halfLife      = 48 // tokens
	mostRequests  = 4  // to the drive at a time
	expertSamples = 4  // experts read to measure the drive, for each number of requests
)

// expertStore is the experts in memory. Its layers are those that are mixtures.
type expertStore struct {
	t       *stream
	layers  []expertLayer
	largest [3]int64 // bytes of a gate, up and down matrix, of all layers
	total   int      // experts of all layers
	used    int      // experts a token uses, of all layers
	bytes   int64    // of all experts

	mu      sync.Mutex
	changed sync.Cond
	slots   []expertSlot
	demand  []expertID
	guess   []expertID
	failed  error
	closed  bool
	readers sync.WaitGroup
	count   int // readers

	now   int64 // tokens
	stats ExpertStats
}

type expertID struct{ layer, expert int32 }

// expertLayer is the experts of a layer.
type expertLayer struct {
	index  int // of the layer in the model
	spans  [][3]expertSpan
	owner  *experts
	like   [3]*kernel.Matrix // what the matrices are like
	slot   []int32           // of each expert; -1: it is in none
	wanted []bool            // somebody waits for it
	// When an expert was used, as a logarithm: use is the sum of 2^(token/halfLife) over the tokens
	// that used it.
	use []float64
}

// expertSlot is memory of an expert.
type expertSlot struct {
	buffer []byte
	id     expertID
	state  slotState
	pinned bool
	m      [3]kernel.Matrix
}

type slotState uint8

const (
	slotEmpty slotState = iota
	slotReading
	slotReady
)

// ExpertStats tells how a model's experts were found so far.
type ExpertStats struct {
	Slots  int     // experts that memory has room for
	Total  int     // experts there are
	Tokens int64   // computed
	Asked  int64   // experts a layer needed
	Hits   int64   // of these, experts that were in memory
	Read   int64   // bytes
	Rate   float64 // the drive's bytes a second, measured
	At     int     // requests at a time
}

// BytesPerToken is how many bytes were read for each token.
func (s ExpertStats) BytesPerToken() float64 { return float64(s.Read) / float64(max(1, s.Tokens)) }

// HitRate is the share of experts that were in memory when they were needed.
func (s ExpertStats) HitRate() float64 { return float64(s.Hits) / float64(max(1, s.Asked)) }

// Allows is how many tokens a second the drive would feed, were it the only limit.
func (s ExpertStats) Allows() float64 { return s.Rate / max(1, s.BytesPerToken()) }

// Experts tells how the experts of a model that are on the drive were found, or ok is false if there are none.
func (m *Model) Experts() (stats ExpertStats, ok bool) {
	t, _ := m.weights.(*stream)
	if t == nil || t.experts == nil {
		return stats, false
	}
	t.experts.mu.Lock()
	defer t.experts.mu.Unlock()
	return t.experts.stats, true
}

// expertTensors are those that hold the experts of all layers.
func (c *config) expertTensors(f *gguf.File) map[string]bool {
	all := map[string]bool{}
	for i := range c.layers {
		if c.layer[i].mixed {
			for _, s := range c.expertSpans(f, i, 0) {
				all[s.tensor.Name] = true
			}
		}
	}
	return all
}

// newExpertStore makes what is known before anything is read.
func newExpertStore(c *config, f *gguf.File) *expertStore {
	e := &expertStore{}
	e.changed.L = &e.mu
	for i := range c.layers {
		if !c.layer[i].mixed {
			continue
		}
		l := expertLayer{index: i}
		for x := range c.experts.count {
			spans := c.expertSpans(f, i, x)
			for k, s := range spans {
				e.largest[k] = max(e.largest[k], s.bytes())
				e.bytes += s.bytes()
			}
			l.spans = append(l.spans, spans)
			l.slot, l.wanted, l.use = append(l.slot, -1), append(l.wanted, false), append(l.use, math.Inf(-1))
		}
		e.layers = append(e.layers, l)
		e.total += c.experts.count
		e.used += c.experts.used
	}
	return e
}

// slotBytes is how much memory a slot takes: each matrix is read by whole pages.
func (e *expertStore) slotBytes() (n int64) {
	for _, b := range e.largest {
		n += pages(b + 2*page)
	}
	return n
}

// planExperts lays a mixture out in a budget of bytes, or tells how many it takes.
func (m *Model) planExperts(budget int64) (l *layout, need int64) {
	c := &m.config
	e := newExpertStore(c, m.file)
	l = &layout{spans: map[string][]*span{}, apart: m.ignored(), store: e}
	maps.Copy(l.apart, c.expertTensors(m.file))
	m.leaveRows(l)
	l.place(m.file)
	slots := int((budget - l.memory) / e.slotBytes())
	if least := 2 * c.experts.used; slots < least {
		return nil, l.memory + int64(least)*e.slotBytes()
	}
	slots = min(slots, e.total)
	e.stats.Slots, e.stats.Total = slots, e.total
	e.slots = make([]expertSlot, slots)
	l.memory += int64(slots) * e.slotBytes()
	// What a token reads if any expert is as likely as the other.
	l.streamed = int64(float64(e.bytes) / float64(e.total) * float64(e.used) * (1 - float64(slots)/float64(e.total)))
	return l, 0
}

// start gives the store its memory, of which it takes the end.
func (e *expertStore) start(t *stream, requests int) {
	e.t = t
	size := e.slotBytes()
	for i := range e.slots {
		e.slots[i].buffer = t.memory[int64(len(t.memory))-int64(i+1)*size:][:size]
	}
	e.count = min(max(1, requests), mostRequests)
}

// measure chooses how many requests to make at a time.
func (e *expertStore) measure() error {
	most := e.count
	e.count = 1
	next := 0
	for n := 1; n <= most; n *= 2 {
		begin, read := time.Now(), int64(0)
		var wait sync.WaitGroup
		errs := make([]error, n)
		each := max(1, expertSamples/n)
		for r := range n {
			wait.Add(1)
			first := next
			next += each
			for j := range each {
				read += e.size(e.sample(first + j))
			}
			go func() {
				defer wait.Done()
				for j := range each {
					if err := e.read(&e.slots[r%len(e.slots)], e.sample(first+j)); err != nil {
						errs[r] = err
						return
					}
				}
			}()
		}
		wait.Wait()
		for _, err := range errs {
			if err != nil {
				return fmt.Errorf("reading the model %w", err)
			}
		}
		if rate := float64(read) / max(1e-9, time.Since(begin).Seconds()); rate > 1.1*e.stats.Rate {
			e.stats.Rate, e.count = rate, n
		}
	}
	e.stats.At = e.count
	return nil
}

// sample is an expert of those spread over the model.
func (e *expertStore) sample(i int) expertID {
	l := i * 7 % len(e.layers)
	return expertID{int32(l), int32(i % len(e.layers[l].spans))}
}

func (e *expertStore) size(id expertID) (n int64) {
	for _, s := range e.layers[id.layer].spans[id.expert] {
		n += s.bytes()
	}
	return n
}

// read reads an expert into a slot, tried once more where it fails.
func (e *expertStore) read(s *expertSlot, id expertID) error {
	at := int64(0)
	for k, x := range e.layers[id.layer].spans[id.expert] {
		begin := x.offset() &^ (page - 1)
		skip := x.offset() - begin
		buffer := s.buffer[at:][:pages(e.largest[k]+2*page)]
		err := readFull(e.t.r, buffer, begin, skip+x.bytes(), nil)
		if err != nil {
			err = readFull(e.t.r, buffer, begin, skip+x.bytes(), nil)
		}
		if err != nil {
			return err
		}
		if like := e.layers[id.layer].like[k]; like != nil {
			s.m[k] = *like
			s.m[k].Reuse(buffer[skip:])
			if !e.t.inPlace {
				s.m[k].Repack(alone)
			}
		}
		at += int64(len(buffer))
	}
	return nil
}

// alone does all of a job.
func alone(n, _ int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

// begin begins to read what is asked for.
func (e *expertStore) begin() {
	for range e.count {
		e.readers.Add(1)
		go e.serve()
	}
}

// serve reads what is asked for.
func (e *expertStore) serve() {
	defer e.readers.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		id, slot := e.next()
		if slot < 0 {
			e.changed.Wait()
			continue
		}
		s, l := &e.slots[slot], &e.layers[id.layer]
		if s.state == slotReady {
			old := &e.layers[s.id.layer]
			old.slot[s.id.expert] = -1
			old.owner.each[s.id.expert] = expert{}
		}
		s.id, s.state, l.slot[id.expert] = id, slotReading, int32(slot)
		e.mu.Unlock()
		err := e.read(s, id)
		e.mu.Lock()
		if err != nil {
			s.state, l.slot[id.expert] = slotEmpty, -1
			if l.wanted[id.expert] {
				e.failed = err
			}
		} else {
			s.state, s.pinned = slotReady, l.wanted[id.expert]
			l.use[id.expert] = max(l.use[id.expert], float64(e.now)/halfLife)
			x := &l.owner.each[id.expert]
			x.gate, x.up, x.down = &s.m[0], &s.m[1], &s.m[2]
			l.owner.scaleExpert(int(id.expert), x.gate, x.up, x.down)
			e.stats.Read += e.size(id)
		}
		e.changed.Broadcast()
	}
}

// next is the expert to read next, and the slot for it; -1: there is none to read, or no slot.
func (e *expertStore) next() (expertID, int) {
	for _, queue := range []*[]expertID{&e.demand, &e.guess} {
		for len(*queue) > 0 {
			id := (*queue)[0]
			if e.layers[id.layer].slot[id.expert] >= 0 {
				*queue = (*queue)[1:]
				continue
			}
			slot := e.victim()
			if slot >= 0 {
				*queue = (*queue)[1:]
				return id, slot
			}
			if queue == &e.guess {
				*queue = (*queue)[:0]
			}
			return id, -1
		}
	}
	return expertID{}, -1
}

// victim is the slot that may best be overwritten, or -1.
func (e *expertStore) victim() int {
	best, least := -1, math.Inf(1)
	for i := range e.slots {
		switch s := &e.slots[i]; {
		case s.state == slotEmpty:
			return i
		case s.state == slotReady && !s.pinned:
			if use := e.layers[s.id.layer].use[s.id.expert]; use < least || best < 0 {
				best, least = i, use
			}
		}
	}
	return best
}

// take sorts the experts needed in a layer, so that the first of them are in memory until they are dropped, and
// returns how many those are. first: it is the first call for all of them, of n tokens.
func (e *expertStore) take(layer int, needed []int32, n int, first bool) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.layers[layer]
	if err := e.t.ctx.Err(); err != nil {
		e.giveUp()
		return 0, err
	}
	if first {
		if layer == 0 {
			e.now += int64(n)
			e.stats.Tokens += int64(n)
		}
		e.stats.Asked += int64(len(needed))
		e.demand = e.demand[:0]
		for _, x := range needed {
			l.wanted[x] = true
			switch slot := l.slot[x]; {
			case slot < 0:
				e.demand = append(e.demand, expertID{int32(layer), x})
			case e.slots[slot].state == slotReady:
				e.slots[slot].pinned = true
				e.stats.Hits++
			}
		}
		e.changed.Broadcast()
	}
	for {
		ready := 0
		for i, x := range needed {
			if slot := l.slot[x]; slot >= 0 && e.slots[slot].state == slotReady {
				needed[i], needed[ready] = needed[ready], x
				ready++
			}
		}
		if ready > 0 {
			for _, x := range needed[:ready] {
				l.use[x] = float64(e.now)/halfLife + math.Log2(1+math.Exp2(l.use[x]-float64(e.now)/halfLife))
			}
			return ready, nil
		}
		if err := e.failed; err != nil {
			e.giveUp()
			return 0, fmt.Errorf("the model's weights could not be read from the drive, so the answer stops here (plug the drive in again and repeat the message): %w", err)
		}
		e.changed.Wait()
	}
}

// giveUp forgets what was wanted.
func (e *expertStore) giveUp() {
	e.failed, e.demand, e.guess = nil, e.demand[:0], e.guess[:0]
	for i := range e.layers {
		clear(e.layers[i].wanted)
	}
	for i := range e.slots {
		e.slots[i].pinned = false
	}
}

// drop lets experts that were taken be overwritten.
func (e *expertStore) drop(layer int, taken []int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.layers[layer]
	for _, x := range taken {
		l.wanted[x] = false
		e.slots[l.slot[x]].pinned = false
	}
	e.changed.Broadcast()
}

// foresee has experts of a layer read that may soon be needed, and keeps those that are there.
func (e *expertStore) foresee(layer int, list []int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.layers[layer]
	e.guess = e.guess[:0]
	for _, x := range list {
		if l.slot[x] < 0 {
			e.guess = append(e.guess, expertID{int32(layer), x})
		} else {
			l.use[x] = max(l.use[x], float64(e.now)/halfLife)
		}
	}
	if len(e.guess) > 0 {
		e.changed.Broadcast()
	}
}

func (e *expertStore) close() {
	e.mu.Lock()
	e.closed = true
	e.changed.Broadcast()
	e.mu.Unlock()
	e.readers.Wait()
}

func (t *stream) bindExperts(m *experts, i int, c *config) bool {
	e := t.experts
	if e == nil {
		return false
	}
	for at := range e.layers {
		l := &e.layers[at]
		if l.index != i {
			continue
		}
		m.layer, l.owner = at, m
		for k, s := range l.spans[0] {
			// Any bytes serve to make a matrix: they are replaced.
			like, err := t.set.NewMatrix(s.tensor.Type, s.to-s.from, int(s.tensor.Dims[0]), e.slots[0].buffer)
			if err != nil {
				return false // whoever binds them one by one finds out
			}
			l.like[k] = like
		}
	}
	return true
}

func (t *stream) takeExperts(m *experts, needed []int32, n int, first bool) (int, error) {
	if t.experts == nil {
		return len(needed), nil
	}
	return t.experts.take(m.layer, needed, n, first)
}

func (t *stream) dropExperts(m *experts, taken []int32) {
	if t.experts != nil {
		t.experts.drop(m.layer, taken)
	}
}

func (t *stream) guesses() bool { return t.experts != nil && t.experts.stats.Slots < t.experts.total }

func (t *stream) guessExperts(m *experts, list []int32) { t.experts.foresee(m.layer, list) }
