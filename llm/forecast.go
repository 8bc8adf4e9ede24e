package llm

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
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
	threads int
	set     *kernel.Set
	rates   map[gguf.Type]float64
}

// NewSpeeds measures with so many threads; 0: as many as there are processors, at most 16.
func NewSpeeds(threads int) *Speeds {
	if threads <= 0 {
		threads = min(runtime.GOMAXPROCS(0), runtime.NumCPU(), maxThreads)
	}
	return &Speeds{threads: threads, set: kernel.Choose(), rates: map[gguf.Type]float64{}}
}

// Rate is how many bytes of weights of type t are multiplied a second, 0 if they can't be.
func (s *Speeds) Rate(t gguf.Type) float64 {
	rate, known := s.rates[t]
	if !known && kernel.Supported(t) {
		rate = s.measure(t)
		s.rates[t] = rate
	}
	return rate
}

// measure takes the median of some products of weights that no cache holds.
func (s *Speeds) measure(t gguf.Type) float64 {
	const size, cols, rounds = 96 << 20, 2048, 7
	rowBytes := cols / t.BlockSize() * t.BlockBytes()
	rows := size / rowBytes / s.threads &^ 15
	var matrices []*kernel.Matrix
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
	for range s.threads {
		data := make([]byte, rows*rowBytes)
		for i := range data {
			data[i] = byte(i * 7 & 0x3f) // no number among them is special, and no scale large
		}
		m, err := s.set.NewMatrix(t, rows, cols, data)
		if err != nil {
			return 0 // the size is right, so that this can't be
		}
		m.Repack(inTurn)
		matrices = append(matrices, m)
	}
	var took []time.Duration
	for range rounds {
		var group sync.WaitGroup
		began := time.Now()
		for _, m := range matrices {
			group.Go(func() {
				y := make([]float32, rows)
				for from := 0; from < rows; from += 512 {
					m.Mul(y, rows, a, from, min(from+512, rows))
				}
			})
		}
		group.Wait()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return float64(s.threads*rows*rowBytes) / took[rounds/2].Seconds()
}

// Forecast is what to expect of a model.
type Forecast struct {
	Bytes    int64   // of its tensors
	PerToken int64   // bytes of weights that a token of an answer is multiplied with
	Streamed int64   // of these, how many are read from the drive for each token
	Tokens   float64 // a second, after a short conversation
}

// Expect tells what to expect of the model in f, with budget bytes of memory for weights (0: enough), on a drive of
// which drive bytes a second can be read. An error tells why the model cannot be used here.
func (s *Speeds) Expect(f *gguf.File, budget int64, drive float64) (Forecast, error) {
	var e Forecast
	if err := Check(f); err != nil {
		return e, err
	}
	arch, _ := f.String("general.architecture")
	count, _ := f.Uint(arch + ".expert_count")
	used, _ := f.Uint(arch + ".expert_used_count")
	_, untied := f.Tensor("output.weight")
	var seconds float64
	var rows int64 // of embeddings, of which a token takes one
	for i := range f.Tensors {
		t := &f.Tensors[i]
		e.Bytes += t.Bytes
		if len(t.Dims) < 2 {
			continue
		}
		if untied && t.Name == "token_embd.weight" || t.Name == "per_layer_token_embd.weight" {
			rows += t.Bytes
			continue
		}
		n := t.Bytes
		if strings.Contains(t.Name, "_exps.") && count > 0 && used <= count {
			n = n / int64(count) * int64(used)
		}
		e.PerToken += n
		if rate := s.Rate(t.Type); rate > 0 {
			seconds += float64(n) / rate
		}
	}
	if seconds == 0 {
		return e, fmt.Errorf("the model has no weights that are multiplied")
	}
	if need := e.Bytes - rows; budget > 0 && need > budget {
		// The same share of everything stays in memory, and the drive reads while the processor computes.
		e.Streamed = int64(float64(e.PerToken) * float64(need-budget) / float64(need))
		if drive > 0 {
			seconds = max(seconds, float64(e.Streamed)/drive)
		}
	}
	e.Tokens = 1 / seconds
	return e, nil
}
