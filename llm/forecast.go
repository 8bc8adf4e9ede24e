package llm

import (
	"cmp"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// What to expect of a model that was not loaded: of how many bytes a token of an answer needs, and how fast this
// machine multiplies each type of weights, which is measured.

// Speeds are how fast weights of each type are multiplied with one vector, measured when they are first asked
// for. It is not for use by several goroutines at once.
type Speeds struct {
	o     SpeedOptions
	set   *kernel.Set
	rates map[gguf.Type]float64
}

// SpeedOptions say how to measure. The zero value is good where nobody waits.
type SpeedOptions struct {
	Threads    int                         // that compute; 0: as many as there are processors, at most 16
	Processors int                         // processors there are to compute on; 0: as many as the Go runtime uses
	Kernel     string                      // as in Options
	Quick      bool                        // in some hundredths of a second for each type
	Alloc      func(n int) ([]byte, error) // memory for some MiB of weights; nil: the Go heap
	Free       func([]byte)                // takes Alloc's memory back
}

// NewSpeeds measures nothing yet.
func NewSpeeds(o SpeedOptions) *Speeds {
	if o.Threads <= 0 {
		o.Threads = min(cmp.Or(o.Processors, min(runtime.GOMAXPROCS(0), runtime.NumCPU())), maxThreads)
	}
	if o.Alloc == nil {
		o.Alloc = func(n int) ([]byte, error) { return make([]byte, n), nil }
		o.Free = nil
	}
	return &Speeds{o: o, rates: map[gguf.Type]float64{}}
}

// Rate is how many bytes of weights of type t are multiplied a second, 0 if they can't be or there is no memory to measure it.
func (s *Speeds) Rate(t gguf.Type) float64 {
	rate, known := s.rates[t]
	if !known && kernel.Supported(t) {
		if rate = s.measure(t); rate > 0 { // else there may be memory another time
			s.rates[t] = rate
		}
	}
	return rate
}

// measure takes the lower quartile of some products of weights, each of others that no cache holds, or of fewer where these would take long.
func (s *Speeds) measure(t gguf.Type) float64 {
	const cols, least = 2048, 1 << 20 // least bytes
	size, rounds, limit := 128<<20, 9, 400*time.Millisecond
	if s.o.Quick {
		size, rounds, limit = 64<<20, 5, 40*time.Millisecond
	}
	if s.set == nil {
		set, err := kernel.ByName(s.o.Kernel)
		if err != nil { // none is named, or none of this processor's
			set = kernel.Choose()
		}
		s.set = set
	}
	rowBytes := cols / t.BlockSize() * t.BlockBytes()
	for tried := false; size >= least; {
		n := size
		if !tried {
			n = least
		}
		parts := max(1, min(rounds, n/rowBytes/s.o.Threads/16)) // where there is little memory
		rows := max(1, n/rowBytes/s.o.Threads/parts/16) * parts * 16
		memory, err := s.o.Alloc(rows * rowBytes * s.o.Threads)
		if err != nil { // less will do
			size /= 2
			continue
		}
		took := s.multiply(t, memory, rows, cols, parts, limit)
		if s.o.Free != nil {
			s.o.Free(memory)
		}
		rate := float64(len(memory)) / float64(parts) / took.Seconds()
		if fits := int(rate * limit.Seconds()); !tried && fits > n {
			size, tried = min(size, fits), true
			continue
		}
		return rate
	}
	return 0
}

// multiply tells how long all threads take to multiply a part of the weights in memory, so many rows each in all rounds, with a vector. It
// ends before all rounds when these take longer than the limit.
func (s *Speeds) multiply(t gguf.Type, memory []byte, rows, cols, rounds int, limit time.Duration) time.Duration {
	a := s.set.NewActivations(kernel.FormOf(t), cols, 1)
	x := make([]float32, cols)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	a.Set(x, 1)
	inTurn := func(n, _ int, f func(i int)) {
		for i := range n {
			f(i)
		}
	}
	matrices := make([]*kernel.Matrix, s.o.Threads)
	share := len(memory) / s.o.Threads
	together := func(f func(i int)) {
		var group sync.WaitGroup
		for i := range matrices {
			group.Go(func() { f(i) })
		}
		group.Wait()
	}
	together(func(i int) {
		data := memory[i*share:][:share]
		for n := range min(len(data), 1<<12) {
			data[n] = byte(n * 7 & 0x3f) // no number among them is special, and no scale large
		}
		for n := 1 << 12; n < len(data); n *= 2 {
			copy(data[n:], data[:n])
		}
		m, err := s.set.NewMatrix(t, rows, cols, data)
		if err == nil { // the size is right, so that it is
			m.Repack(inTurn)
			matrices[i] = m
		}
		kernel.Forget(data) // a cache may hold all that was just written; of a model in use it holds little
	})
	y := make([]float32, rows*s.o.Threads)
	var took []time.Duration
	for began := time.Now(); len(took) < rounds && (len(took) == 0 || time.Since(began) < limit); {
		round, part := time.Now(), rows/rounds
		first := len(took) * part
		together(func(i int) {
			for from := first; from < first+part; from += 512 {
				matrices[i].Mul(y[i*rows:(i+1)*rows], rows, a, from, min(from+512, first+part))
			}
		})
		took = append(took, max(time.Since(round), 1))
	}
	slices.Sort(took)
	return took[len(took)/4] // what else the machine does can only make it longer
}

// Forecast is what to expect of a model.
type Forecast struct {
	Bytes    int64   // of its tensors, but those that answers do not need
	Loaded   int64   // how many are read before it can answer: all of the file's, if nothing is streamed
	PerToken int64   // bytes of weights that a token of an answer is multiplied with
	Streamed int64   // of these, how many are read from the drive for each token
	Tokens   float64 // a second, after a short conversation
}

// Loading is how long loading takes from a drive of which so many bytes a second can be read; 0: nobody knows.
func (f Forecast) Loading(drive float64) time.Duration {
	if drive <= 0 {
		return 0
	}
	return time.Duration(float64(f.Loaded) / drive * float64(time.Second))
}

// Expect tells what to expect of the model in f, with budget bytes of memory for weights (0: enough), on a drive of
// which drive bytes a second can be read (0: enough). An error tells why the model cannot be used here.
func (s *Speeds) Expect(f *gguf.File, budget int64, drive float64) (Forecast, error) {
	var e Forecast
	m := &Model{file: f}
	if err := m.configure(); err != nil {
		return e, err
	}
	var alone layout // tensors of which a token takes one row
	m.leaveRows(&alone)
	experts := m.config.expertTensors(f)
	types := map[gguf.Type]int64{}
	var rows int64 // bytes of embeddings
	for i := range f.Tensors {
		t := &f.Tensors[i]
		e.Loaded += t.Bytes
		if m.config.ignores(t.Name) {
			continue
		}
		e.Bytes += t.Bytes
		switch {
		case len(t.Dims) < 2:
		case alone.singles[t.Name]:
			rows += t.Bytes
		case experts[t.Name]:
			types[t.Type] += t.Bytes / int64(m.config.experts.count) * int64(m.config.experts.used)
		default:
			types[t.Type] += t.Bytes
		}
	}
	for _, n := range types {
		e.PerToken += n
	}
	// A type of which there is little is not worth measuring: it is taken to be like the others.
	var seconds float64
	var known int64
	for t, n := range types {
		if n < e.PerToken/50 {
			continue
		}
		if rate := s.Rate(t); rate > 0 {
			seconds += float64(n) / rate
			known += n
		}
	}
	if known == 0 {
		return e, errors.New("how fast this machine computes it could not be measured")
	}
	seconds *= float64(e.PerToken) / float64(known)
	if need := e.Bytes - rows; budget > 0 && need > budget {
		// The same share of everything stays in memory, and the drive reads while the processor computes.
		e.Streamed, e.Loaded = int64(float64(e.PerToken)*float64(need-budget)/float64(need)), budget
		if drive > 0 {
			seconds = max(seconds, float64(e.Streamed)/drive)
		}
	}
	e.Tokens = 1 / seconds
	return e, nil
}
