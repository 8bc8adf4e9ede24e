package llm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"weak"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// tuning is how long measurements of one model may take. They are repeated within it, so that
// chance does not decide on a busy machine. With what is around them, choosing takes some 20 ms where nothing holds it up.
const tuning = 12 * time.Millisecond

// chooseFetches chooses, for each type of weights, what products with one vector fetch ahead: by
// measuring them on the weights themselves, in turns and each time on others, so that they
// come from memory as they do for a token. What cannot be measured well stays as it is. It is done when the weights
// have been read for a first prompt: for a while after they were written, caches may still be writing them back.
func (m *Model) chooseFetches() {
	matrices, bytes := map[gguf.Type][]*kernel.Matrix{}, map[gguf.Type]int{}
	all := 0
	for _, w := range m.products() {
		matrices[w.Type] = append(matrices[w.Type], w)
		bytes[w.Type] += w.Bytes()
		all += w.Bytes()
	}
	fetches := map[gguf.Type]kernel.Fetch{}
	types := slices.SortedFunc(maps.Keys(matrices), func(a, b gguf.Type) int {
		return cmp.Or(cmp.Compare(bytes[b], bytes[a]), cmp.Compare(a, b))
	})
	m.trial = nil
	var others []kernel.Fetch // than the best for most of the weights
	for _, t := range types {
		f, err := kernel.ParseFetch(m.options.Fetch)
		if err != nil { // there is no such wish
			ways := matrices[t][0].Fetches()
			// What is best for most of the weights is so for the others, unless they clearly differ: there is
			// less time to measure them.
			if i := slices.Index(ways, fetches[types[0]]); i > 0 && t != types[0] {
				ways = slices.Insert(slices.Delete(ways, i, i+1), 0, fetches[types[0]])
			}
			best := m.bestFetches(matrices[t], ways, tuning*time.Duration(bytes[t]>>10)/time.Duration(all>>10+1))
			if f = best[0]; t == types[0] {
				others = best[1:]
			}
		}
		fetches[t] = f
	}
	m.fetch(fetches)
	if t, _ := m.weights.(*stream); t != nil && t.experts != nil {
		t.experts.fetch(fetches, bytes)
	}
	if len(others) == 0 || m.streams() { // how long a token takes then depends on more than this
		return
	}
	m.trial = &trial{ways: []map[gguf.Type]kernel.Fetch{fetches}}
	for _, f := range others {
		way := maps.Clone(fetches)
		for _, t := range types {
			if slices.Contains(matrices[t][0].Fetches(), f) {
				way[t] = f
			}
		}
		m.trial.ways = append(m.trial.ways, way)
	}
}

// fetch has all products fetch ahead so.
func (m *Model) fetch(fetches map[gguf.Type]kernel.Fetch) {
	for _, w := range m.products() {
		w.Fetch(fetches[w.Type])
	}
	m.fetches.Store(&fetches)
}

// A trial decides between ways to fetch ahead that measurements of milliseconds can't tell apart: in turns, a token of the answer is
// computed with each. So much is read for a token that little is left to chance, and it has to be computed anyway.
type trial struct {
	ways    []map[gguf.Type]kernel.Fetch // the first is what measurements chose
	session weak.Pointer[Session]        // which may be given up, with all that it remembers
	times   []time.Duration              // of its tokens; token i was computed in way i%len(ways)
}

// tokensATry is for how many tokens each way is tried.
const tokensATry = 13

// next is the way for the next token.
func (t *trial) next() map[gguf.Type]kernel.Fetch { return t.ways[len(t.times)%len(t.ways)] }

// best is the way that takes the least of its turns' time in the median, once all tokens are measured: memory may be
// slow for a while, but then it is for the whole turn.
func (t *trial) best() (way map[gguf.Type]kernel.Fetch, done bool) {
	n := len(t.ways)
	if len(t.times) < tokensATry*n {
		return nil, false
	}
	least := math.Inf(1)
	for i, w := range t.ways {
		var shares []float64
		for turn := range slices.Chunk(t.times, n) {
			shares = append(shares, float64(turn[i])/mean(turn))
		}
		slices.Sort(shares)
		if share := shares[len(shares)/2]; share < least {
			way, least = w, share
		}
	}
	return way, true
}

// tryForward is forward for a token of the session that the trial is about, in the way that is next. Afterwards, and for whatever else
// is computed meanwhile, the first way holds, and at last the best.
func (s *Session) tryForward(ctx context.Context, ids []int32, rows int) error {
	m, t := s.model, s.model.trial
	if of := weak.Make(s); t.session != of { // tokens of one session only are alike
		t.session, t.times = of, t.times[:0]
	}
	m.fetch(t.next())
	began := time.Now()
	err := s.forward(ctx, ids, rows)
	if err == nil {
		t.times = append(t.times, time.Since(began))
	}
	way, done := t.best()
	if done {
		m.trial = nil
	} else {
		way = t.ways[0]
	}
	m.fetch(way)
	return err
}

// streams reports whether weights are read for each token.
func (m *Model) streams() bool {
	t, _ := m.weights.(*stream)
	return t != nil && (t.experts != nil || len(t.order) > 0)
}

// products are the matrices in memory that each token of an answer is multiplied with: none, if others are
// streamed for each of them. Experts are among them only if they are all in memory.
func (m *Model) products() (all []*kernel.Matrix) {
	if t, _ := m.weights.(*stream); m.decoder == nil || t != nil && len(t.order) > 0 {
		return nil
	}
	for i := range m.decoder.layers {
		all = append(all, m.decoder.layers[i].products()...)
	}
	return append(all, m.decoder.output)
}

// A sample is some rows of a matrix.
type sample struct {
	w        *kernel.Matrix
	from, to int
}

// samples divides those of the matrices that have as many columns as most of the weights
// into parts of about size bytes.
func samples(matrices []*kernel.Matrix, size int) (all []sample, cols int) {
	bytes, most := map[int]int{}, 0
	for _, w := range matrices {
		if bytes[w.Cols] += w.Bytes(); bytes[w.Cols] > most {
			cols, most = w.Cols, bytes[w.Cols]
		}
	}
	for _, w := range matrices {
		rows := max(32, size/(w.Bytes()/w.Rows)&^31) // four runs of eights
		for from := 0; w.Cols == cols && from+rows <= w.Rows; from += rows {
			all = append(all, sample{w, from, from + rows})
		}
	}
	return all, cols
}

// bestFetches measures for about the given time, and returns the best way and up to three that may be as good. The first
// way is best unless another is clearly better.
func (m *Model) bestFetches(matrices []*kernel.Matrix, ways []kernel.Fetch, during time.Duration) (best []kernel.Fetch) {
	const (
		size  = 128 << 10 // bytes of a sample
		each  = 8         // samples for a thread at a time: with fewer, waking threads would hide differences
		least = 64 << 20  // bytes that no cache holds
	)
	all, cols := samples(matrices, size)
	if len(all)*size < least {
		return ways[:1]
	}
	a := m.set.NewActivations(kernel.FormOf(all[0].w.Type), cols, 1)
	x := make([]float32, cols)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	a.Set(x, 1)
	rows := 0
	for _, p := range all {
		rows = max(rows, p.w.Rows)
	}
	y, rest := make([]float32, rows), all
	measure := func(way int) time.Duration {
		n := min(each*m.pool.threads, len(all))
		if len(rest) < n {
			rest = all
		}
		now := rest[:n]
		rest = rest[n:]
		for _, p := range now {
			p.w.Fetch(ways[way])
		}
		began := time.Now()
		m.pool.run(n, n*size, func(_, i int) { now[i].w.Mul(y, now[i].w.Rows, a, now[i].from, now[i].to) })
		return time.Since(began)
	}
	measure(0) // wakes threads
	l := limit{during: during}
	for _, way := range quickest(len(ways), func(way int) time.Duration { return l.count(measure(way)) }, l.more) {
		best = append(best, ways[way])
	}
	return best
}

// limit allows as many measurements as fit into a time when nothing holds them up: what is held up, for milliseconds while a
// collection that loading began goes on, or by another system, does not cost the others their turn. But all end in three times that time.
type limit struct {
	during, least, all time.Duration
	n                  time.Duration // measurements
}

func (l *limit) count(took time.Duration) time.Duration {
	if l.n++; l.n == 1 || took < l.least {
		l.least = took
	}
	l.all += took
	return took
}

func (l *limit) more() bool { return l.n*l.least < l.during && l.all < 3*l.during }

// quickest measures n ways in rounds, while there is time, and returns the best by the mean of the fastest third of its
// times: what else a machine does can only make a measurement longer. Way 0 must be beaten clearly. Up to three that are nearly as
// good follow the best; where there was no time to judge any, it is the first four.
func quickest(n int, measure func(way int) time.Duration, more func() bool) []int {
	const (
		few    = 3 // rounds before anything is judged
		clear  = 0.98
		nearly = 1.25
	)
	times, typical, left := make([][]time.Duration, n), make([]float64, n), make([]int, n)
	for i := range left {
		left[i] = i
	}
	best, judged := 0, false
	for round := 1; len(left) > 1 && more(); round++ {
		for _, i := range left {
			times[i] = append(times[i], measure(i))
		}
		if round < few {
			continue
		}
		best, judged = 0, true
		for _, i := range left {
			slices.Sort(times[i])
			typical[i] = mean(times[i][:(round+2)/3])
			if typical[i] < typical[best] {
				best = i
			}
		}
		// What is slower is not measured again, but the fewer measurements there are, the more so it must be.
		hopeful := typical[best] * (1.05 + 1.5/float64(round))
		left = slices.DeleteFunc(left, func(i int) bool { return i > 0 && typical[i] > hopeful })
	}
	if !judged {
		return left[:min(n, 4)]
	}
	left = slices.DeleteFunc(left, func(i int) bool { return typical[i] > typical[best]*nearly })
	slices.SortFunc(left, func(a, b int) int { return cmp.Compare(typical[a], typical[b]) })
	if first := slices.Index(left, 0); first > 0 && typical[best] > typical[0]*clear {
		left = slices.Insert(slices.Delete(left, first, first+1), 0, 0)
	}
	return left[:min(len(left), 4)]
}

func mean(times []time.Duration) float64 {
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return float64(sum) / float64(len(times))
}

// fetched says what was chosen, if anything was.
func (m *Model) fetched() string {
	fetches := m.fetches.Load()
	if fetches == nil {
		return ""
	}
	var all []string
	for t, f := range *fetches {
		all = append(all, fmt.Sprintf("%v %v", t, f))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
