package llm

import (
	"fmt"
	"maps"
	"math"
	"slices"
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
// good guess, because layers change their input little. How good is counted for each place in the
// router's order, and what comes true less than every other time is not read. What is read is read by
// matrices, so that a guess is in nobody's way for long, and left where it was when it proves wrong.
//
// The slot to be given up is that of the expert used least, where a use counts half after so many tokens
// (halfLife). A prompt's tokens go through a layer together, so that it is read at most once for all of a
// batch.
//
// An expert is rearranged for speed when it is first used, a few rows at a time just before they are multiplied, so that results
// are the same to the bit as those of a model in memory, token by token and for prompts that are computed in the same batches.

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
	changed sync.Cond // an expert is ready, or reading failed
	work    sync.Cond // there may be something to read
	slots   []expertSlot
	reading []int32 // slots being read
	demand  []expertID
	guess   []expertID
	ahead   int                              // the layer that guesses are of, or -1
	worth   [64]struct{ made, came float64 } // guesses of missing experts by their place in the router's order
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
	guess  []int32           // of each: 1 + its place in the router's order, if it was foreseen and missing
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
	begun  int  // matrices that were read or are
	reads  int  // of these, that are being read
	wrong  bool // not to be kept
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
	e := &expertStore{ahead: -1}
	e.changed.L, e.work.L = &e.mu, &e.mu
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
			l.slot, l.wanted, l.use, l.guess = append(l.slot, -1), append(l.wanted, false), append(l.use, math.Inf(-1)), append(l.guess, 0)
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
	l = &layout{spans: map[string][]*span{}, apart: m.ignored(false), store: e}
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

// measure chooses how many requests to make at a time: as many as do not make reading clearly slower.
func (e *expertStore) measure() error {
	most, next, best := e.count, 0, 0.0
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
				for j := range 3 * each {
					if err := e.read(&e.slots[r%len(e.slots)], e.sample(first+j/3), j%3); err != nil {
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
		rate := float64(read) / max(1e-9, time.Since(begin).Seconds())
		if rate > 0.75*best { // so that the drive need not rest while what was read is seen to
			e.count, e.stats.Rate = n, rate
		}
		best = max(best, rate)
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

// read reads matrix k of an expert into a slot, tried once more where it fails.
func (e *expertStore) read(s *expertSlot, id expertID, k int) error {
	at := int64(0)
	for i := range k {
		at += pages(e.largest[i] + 2*page)
	}
	x := e.layers[id.layer].spans[id.expert][k]
	begin := x.offset() &^ (page - 1)
	skip := x.offset() - begin
	buffer := s.buffer[at:][:pages(e.largest[k]+2*page)]
	err := readFull(e.t.r, buffer, begin, skip+x.bytes(), nil)
	if err != nil {
		err = readFull(e.t.r, buffer, begin, skip+x.bytes(), nil)
	}
	if like := e.layers[id.layer].like[k]; err == nil && like != nil {
		s.m[k] = *like
		s.m[k].Reuse(buffer[skip:])
	}
	return err
}

// fetch says what products fetch ahead, as was measured for the types of the weights in memory, of which there are so
// many bytes. Other types have what most of these have.
func (e *expertStore) fetch(measured map[gguf.Type]kernel.Fetch, bytes map[gguf.Type]int) {
	most := -1
	var usual kernel.Fetch
	for t, f := range measured {
		if bytes[t] > most {
			most, usual = bytes[t], f
		}
	}
	for i := range e.layers {
		for _, m := range e.layers[i].like {
			f, ok := measured[m.Type]
			if !ok {
				f = usual
			}
			m.Fetch(f)
		}
	}
}

// begin begins to read what is asked for.
func (e *expertStore) begin() {
	for range e.count {
		e.readers.Add(1)
		go e.serve()
	}
}

// serve reads what is asked for, a matrix at a time.
func (e *expertStore) serve() {
	defer e.readers.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		slot := e.next()
		if slot < 0 {
			e.work.Wait()
			continue
		}
		s := &e.slots[slot]
		k := s.begun
		s.begun++
		s.reads++
		e.mu.Unlock()
		err := e.read(s, s.id, k)
		e.mu.Lock()
		s.reads--
		if err == nil {
			e.stats.Read += e.layers[s.id.layer].spans[s.id.expert][k].bytes()
		} else {
			s.wrong = true
			if e.layers[s.id.layer].wanted[s.id.expert] {
				e.failed = err
				e.changed.Broadcast()
			}
		}
		e.settle(slot)
	}
}

// next is the slot that an expert's next matrix is to be read to; -1: there is nothing to read, or no slot.
func (e *expertStore) next() int32 {
	if e.failed != nil {
		return -1
	}
	for _, queue := range []*[]expertID{&e.demand, &e.guess} {
		for i := 0; i < len(*queue); {
			id := (*queue)[i]
			slot := e.layers[id.layer].slot[id.expert]
			if slot < 0 {
				slot = e.allot(id)
			}
			switch {
			case slot < 0 || e.slots[slot].wrong: // later
				i++
			case e.slots[slot].begun == len(e.slots[slot].m):
				*queue = slices.Delete(*queue, i, i+1)
			default:
				return slot
			}
		}
	}
	return -1
}

// allot gives an expert a slot, or -1 if there is none to be had.
func (e *expertStore) allot(id expertID) int32 {
	slot := e.victim()
	if slot < 0 {
		return -1
	}
	s := &e.slots[slot]
	if s.state == slotReady {
		old := &e.layers[s.id.layer]
		old.slot[s.id.expert] = -1
		old.owner.each[s.id.expert] = expert{}
	}
	s.id, s.state, s.begun, s.wrong = id, slotReading, 0, false
	e.layers[id.layer].slot[id.expert] = int32(slot)
	e.reading = append(e.reading, int32(slot))
	return int32(slot)
}

// settle ends the reading of a slot if all of it was read, or if it is not to be kept.
func (e *expertStore) settle(slot int32) {
	s := &e.slots[slot]
	if s.reads > 0 || s.begun < len(s.m) && !s.wrong {
		return
	}
	e.reading = slices.DeleteFunc(e.reading, func(i int32) bool { return i == slot })
	l := &e.layers[s.id.layer]
	if s.wrong {
		s.state, s.wrong, l.slot[s.id.expert] = slotEmpty, false, -1
		e.work.Broadcast() // it may be wanted again by now
		return
	}
	s.state, s.pinned = slotReady, l.wanted[s.id.expert]
	l.use[s.id.expert] = max(l.use[s.id.expert], float64(e.now)/halfLife)
	x := &l.owner.each[s.id.expert]
	x.gate, x.up, x.down, x.raw = &s.m[0], &s.m[1], &s.m[2], false
	for k := range s.m {
		x.raw = !e.t.inPlace && s.m[k].RepackLater() || x.raw
	}
	l.owner.scaleExpert(int(s.id.expert), x.gate, x.up, x.down)
	e.changed.Broadcast()
	if !s.pinned {
		e.work.Broadcast() // which may have waited for a slot
	}
}

// cancel leaves what is being read and does not satisfy keep.
func (e *expertStore) cancel(keep func(id expertID) bool) {
	for i := len(e.reading) - 1; i >= 0; i-- { // settle takes it out
		slot := e.reading[i]
		if s := &e.slots[slot]; !keep(s.id) {
			s.wrong = true
			e.settle(slot)
		}
	}
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
			if slot := l.slot[x]; slot >= 0 && e.slots[slot].state == slotReady {
				e.slots[slot].pinned = true
				e.stats.Hits++
			} else {
				e.demand = append(e.demand, expertID{int32(layer), x})
			}
		}
		e.learn(l)
		if e.ahead == layer {
			e.guess, e.ahead = e.guess[:0], -1
		}
		e.cancel(func(id expertID) bool {
			return int(id.layer) == layer && l.wanted[id.expert] || int(id.layer) == e.ahead
		})
		e.work.Broadcast()
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
	e.failed, e.demand, e.guess, e.ahead = nil, e.demand[:0], e.guess[:0], -1
	for i := range e.layers {
		clear(e.layers[i].wanted)
	}
	for i := range e.slots {
		e.slots[i].pinned = false
	}
	e.cancel(func(expertID) bool { return false })
	e.work.Broadcast()
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
	e.work.Broadcast()
}

// foresee has experts of a layer read that may soon be needed, and keeps those that are there: see guessExperts.
func (e *expertStore) foresee(layer int, list []int32, ranked int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.layers[layer]
	e.guess, e.ahead = e.guess[:0], layer
	for i, x := range list {
		if l.slot[x] >= 0 {
			l.use[x] = max(l.use[x], float64(e.now)/halfLife)
			continue
		}
		if ranked > 0 {
			place := min(i%ranked, len(e.worth)-1)
			if l.guess[x] == 0 {
				l.guess[x] = int32(1 + place)
			}
			if w := &e.worth[place]; 2*w.came < w.made {
				continue
			}
		}
		e.guess = append(e.guess, expertID{int32(layer), x})
	}
	if len(e.guess) > 0 {
		e.work.Broadcast()
	}
}

// learn counts which guesses of a layer came true. Old ones count less and less.
func (e *expertStore) learn(l *expertLayer) {
	const memory = 256 // guesses
	for x, g := range l.guess {
		if g == 0 {
			continue
		}
		l.guess[x] = 0
		w := &e.worth[g-1]
		if w.made++; l.wanted[x] {
			w.came++
		}
		if w.made > memory {
			w.made, w.came = w.made/2, w.came/2
		}
	}
}

func (e *expertStore) close() {
	e.mu.Lock()
	e.closed = true
	e.work.Broadcast()
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

func (t *stream) guessExperts(m *experts, list []int32, ranked int) {
	t.experts.foresee(m.layer, list, ranked)
}
