package llm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/synth"
)

// drive is a medium that counts what is read and may fail.
type drive struct {
	r     *bytes.Reader
	bytes atomic.Int64
	fail  atomic.Int64 // reads that fail before others succeed; -1: all
	most  atomic.Int64 // largest request
}

func (d *drive) ReadAt(p []byte, off int64) (int, error) {
	if off%page != 0 {
		return 0, errors.New("unaligned")
	}
	d.bytes.Add(int64(len(p)))
	d.most.Store(max(d.most.Load(), int64(len(p))))
	for n := d.fail.Load(); n != 0; n = d.fail.Load() {
		if n < 0 || d.fail.CompareAndSwap(n, n-1) {
			return 0, errors.New("the drive was removed")
		}
	}
	return d.r.ReadAt(p, off)
}

// headerFirst lets the header be read from anywhere.
type headerFirst struct {
	*drive
	header int64
}

func (h headerFirst) ReadAt(p []byte, off int64) (int, error) {
	if off < h.header {
		return h.r.ReadAt(p, off)
	}
	return h.drive.ReadAt(p, off)
}

func smallPieces(t *testing.T, n int) {
	old := pieceBytes
	pieceBytes = n
	t.Cleanup(func() { pieceBytes = old })
}

// loadWithin streams a model with a budget; the weights may lie where they
// like in memory, but no more of it than that is used.
func loadWithin(t testing.TB, f *llmtest.File, o Options) (*Model, *drive) {
	t.Helper()
	o.Kernel = cmp.Or(o.Kernel, Kernels()[0])
	b := f.Bytes()
	d := &drive{r: bytes.NewReader(b)}
	whole, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if o.Alloc == nil {
		o.Alloc = func(n int) ([]byte, error) {
			if int64(n) > o.Budget {
				t.Errorf("%d bytes of memory with a budget of %d", n, o.Budget)
			}
			p := make([]byte, n)
			for i := range p {
				p[i] = 0xff // NaN, if it were used
			}
			return p, nil
		}
	}
	m, err := Load(headerFirst{d, (whole.DataOffset + page) &^ (page - 1)}, int64(len(b)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, d
}

// A streamed model gives the same logits as one in memory, to the last bit,
// reads each streamed byte once in a pass, and always in the order expected.
func TestStream(t *testing.T) {
	smallPieces(t, 64<<10)
	untied := llmtest.Quantized(gguf.Q8_0, gguf.Q4_K)
	untied.Tied, untied.Layers = false, 4
	tied := llmtest.Quantized(gguf.Q8_0)
	tied.Layers = 3
	for _, shape := range []llmtest.Shape{tied, untied, llmtest.Uneven()} {
		f := llmtest.Llama(shape)
		size := int64(len(f.Bytes()))
		whole := load(t, f, Options{Threads: 2, inPlace: true})
		want := newSession(t, whole)
		for _, part := range []float64{0.35, 0.5, 0.75, 0.97} {
			var told Expectation
			m, d := loadWithin(t, f, Options{Threads: 2, Budget: int64(float64(size) * part), Expect: func(e Expectation) { told = e }})
			if !streams(m) {
				t.Fatalf("a model of %d bytes is not streamed within %d", size, m.options.Budget)
			}
			if s := m.Info().Streamed; told.Streamed != s || told.Bytes > size || s > 0 && !(told.Rate > 0 && told.TokensPerSecond() > 0) {
				t.Errorf("told %+v, streamed are %d", told, s)
			}
			s := newSession(t, m)
			want.Truncate(0)
			for i, ids := range [][]int32{testIDs[:30], {7}, {8}, testIDs[:2], {9}, {10}, {3}} {
				var misses int
				before := d.bytes.Load()
				if i > 0 {
					m.weights.(*stream).mu.Lock()
					misses = m.weights.(*stream).misses
					m.weights.(*stream).mu.Unlock()
				}
				same(t, eval(t, s, ids...), eval(t, want, ids...))
				m.weights.(*stream).mu.Lock()
				if i > 0 && m.weights.(*stream).misses != misses {
					t.Errorf("%.2f: reading ahead guessed wrong %d times", part, m.weights.(*stream).misses-misses)
				}
				m.weights.(*stream).mu.Unlock()
				extra := int64((ringSlots+1)*(64<<10)+len(ids)*3*page) + int64(len(m.weights.(*stream).order)*2*page)
				if got := d.bytes.Load() - before; got > m.weights.streamed()+extra {
					t.Errorf("%.2f: %d bytes were read in a pass, %d are streamed", part, got, m.weights.streamed())
				}
			}
			t.Logf("budget %.2f of %d: %d bytes of memory, %d streamed in %d pieces, largest request %d", part, size, len(m.memory), m.weights.streamed(), len(m.weights.(*stream).order), d.most.Load())
		}
	}
}

func same(t testing.TB, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("logit %d is %g, not %g", i, got[i], want[i])
		}
	}
}

// A long prompt in several batches, of which only the last needs logits.
func TestStreamPrompt(t *testing.T) {
	smallPieces(t, 64<<10)
	shape := llmtest.Quantized(gguf.Q8_0)
	shape.Layers, shape.Context = 3, 2048
	f := llmtest.Llama(shape)
	ids := make([]int32, 1200)
	for i := range ids {
		ids[i] = int32(3 + i*i%256)
	}
	want := eval(t, newSession(t, load(t, f, Options{Threads: 2})), ids...)
	m, d := loadWithin(t, f, Options{Threads: 2, Budget: int64(len(f.Bytes()) / 2)})
	s := newSession(t, m)
	eval(t, s, 1)
	s.Truncate(0)
	before := d.bytes.Load()
	// Weights in memory are multiplied by eights of rows, which not every set of kernels does with those from the drive:
	// sums come in another order, and so other numbers are rounded up on the way.
	rms, _ := distance(t, eval(t, s, ids...), want)
	if rms > 0.02 { // of logits of about 1
		t.Errorf("logits differ by %g", rms)
	}
	batches := int64((len(ids) + s.batch - 1) / s.batch)
	if got, most := d.bytes.Load()-before, (batches+1)*m.weights.streamed(); got > most || batches < 2 {
		t.Errorf("%d bytes were read for %d batches, %d are streamed", got, batches, m.weights.streamed())
	}
}

// Whatever happens to the drive, an error is one sentence, the session is as
// it was, and can go on when the drive is back.
func TestStreamFailure(t *testing.T) {
	smallPieces(t, 64<<10)
	shape := llmtest.Quantized(gguf.Q8_0)
	shape.Tied, shape.Layers = false, 3
	f := llmtest.Llama(shape)
	m, d := loadWithin(t, f, Options{Threads: 2, Budget: int64(len(f.Bytes()) / 2)})
	s, want := newSession(t, m), newSession(t, load(t, f, Options{Threads: 2, inPlace: true}))
	same(t, eval(t, s, testIDs...), eval(t, want, testIDs...))
	for i := range 40 {
		d.fail.Store(-1)
		var err error
		for range 3 { // what had been read ahead still serves
			if _, err = s.Eval(context.Background(), []int32{int32(3 + i)}); err != nil {
				break
			}
			s.Truncate(len(testIDs))
		}
		if err == nil || !strings.Contains(err.Error(), "the drive was removed") || strings.Contains(err.Error(), "\n") {
			t.Fatalf("a removed drive: %v", err)
		}
		if s.Len() != len(testIDs) {
			t.Fatalf("%d tokens after a failure, not %d", s.Len(), len(testIDs))
		}
		d.fail.Store(0)
		want.Truncate(len(testIDs))
		same(t, eval(t, s, int32(5+i)), eval(t, want, int32(5+i)))
		s.Truncate(len(testIDs))
	}
	d.fail.Store(1) // one bad request is tried again
	want.Truncate(len(testIDs))
	same(t, eval(t, s, 9, 10), eval(t, want, 9, 10))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Eval(ctx, []int32{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	same(t, eval(t, s, 11), eval(t, want, 11))
	m.Close()
	if _, err := s.Eval(context.Background(), []int32{1}); err == nil {
		t.Error("a closed model answered")
	}
}

func TestStreamMemory(t *testing.T) {
	smallPieces(t, 64<<10)
	f := llmtest.Llama(llmtest.Quantized(gguf.Q8_0))
	b := f.Bytes()
	// Alloc gives less than the budget.
	most := len(b) / 2
	m, _ := loadWithin(t, f, Options{Alloc: func(n int) ([]byte, error) {
		if n > most {
			return nil, errors.New("too much")
		}
		return make([]byte, n), nil
	}})
	if !streams(m) || len(m.memory) > most || len(m.memory) < most/2 {
		t.Errorf("%d bytes of memory, of %d", len(m.memory), most)
	}
	same(t, eval(t, newSession(t, m), 1, 2, 3), eval(t, newSession(t, load(t, f, Options{inPlace: true})), 1, 2, 3))

	_, err := Load(bytes.NewReader(b), int64(len(b)), Options{Budget: 100 << 10})
	if err == nil || !strings.Contains(err.Error(), "takes at least") {
		t.Errorf("a tiny budget: %v", err)
	}
	freed := 0
	r := &reads{Reader: bytes.NewReader(b), failAt: int64(len(b)) / 2}
	_, err = Load(r, int64(len(b)), Options{Budget: int64(len(b) / 2), Free: func([]byte) { freed++ },
		Alloc: func(n int) ([]byte, error) { return make([]byte, n), nil }})
	if err == nil || !strings.Contains(err.Error(), "the drive was removed") || freed != 1 {
		t.Errorf("a broken medium: %v, freed %d times", err, freed)
	}
	var _ io.ReaderAt = r
}

// Without a wish the context is as long as memory allows.
func TestFittingContext(t *testing.T) {
	s := llmtest.Quantized(gguf.Q8_0)
	s.Context = 4000
	f := llmtest.Llama(s)
	for _, c := range []struct {
		limit int64
		want  int
	}{{0, 4000}, {64 << 20, 4000}, {9 << 20, 4000}, {4 << 20, 2000}, {1 << 20, 250}} {
		m := load(t, f, Options{Threads: 1, SessionLimit: c.limit})
		n := m.fittingContext()
		need, _ := m.sessionNeeds(n)
		if c.limit == 1<<20 {
			if _, err := m.NewSession(0); err == nil || n != leastContext {
				t.Errorf("a limit of %d: %d tokens, %v", c.limit, n, err)
			}
			continue
		}
		if n != c.want || need > m.sessionLimit() {
			t.Errorf("a limit of %d: %d tokens in %d bytes, not %d", c.limit, n, need, c.want)
		}
		if s := newSession(t, m); s.Cap() != n {
			t.Errorf("a session of %d tokens, not %d", s.Cap(), n)
		}
	}
}

// streams tells whether a model's weights are streamed.
func streams(m *Model) bool {
	_, ok := m.weights.(*stream)
	return ok
}

// synthetic is the file of a model of random weights.
func synthetic(t testing.TB, shape, mixture string) []byte {
	t.Helper()
	var b bytes.Buffer
	s := slices.IndexFunc(synth.Shapes, func(s synth.Shape) bool { return s.Name == shape })
	m := slices.IndexFunc(synth.Mixtures, func(m synth.Mixture) bool { return m.Name == mixture })
	if err := synth.Write(&b, synth.Shapes[s], synth.Mixtures[m], 1); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A prompt whose experts come from the drive, and are rearranged while they are multiplied with many vectors, has the bits of the
// model in memory with every set.
func TestPromptBits(t *testing.T) {
	prompt := make([]int32, defaultBatch)
	for i := range prompt {
		prompt[i] = int32(i * 7 % 500)
	}
	for _, shape := range []string{"tiny-qwen3moe", "tiny-gpt-oss"} {
		b := synthetic(t, shape, "Q8_0")
		for _, set := range Kernels() {
			logits := func(budget int64) []float32 {
				m, err := Load(bytes.NewReader(b), int64(len(b)), Options{Threads: 2, Kernel: set, Budget: budget, Requests: 2})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if s, ok := m.Experts(); ok != (budget > 0) || s.Slots < s.Total != ok {
					t.Fatalf("%s: %+v", shape, s)
				}
				return slices.Clone(eval(t, newSession(t, m), prompt...))
			}
			f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			tables := &Model{file: f}
			if err := tables.configure(); err != nil {
				t.Fatal(err)
			}
			_, least := tables.planExperts(0)
			if !slices.Equal(logits(least), logits(0)) {
				t.Errorf("%s, %s: a prompt has other logits", shape, set)
			}
		}
	}
}

// watched notes what of a file is read.
type watched struct {
	*bytes.Reader
	mu   sync.Mutex
	read []bool // each page
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := off / page; at*page < off+int64(len(p)) && at < int64(len(w.read)); at++ {
		w.read[at] = true
	}
	return w.Reader.ReadAt(p, off)
}

// Of a streamed model the parts that nobody computes are neither read nor in memory: what sees pictures, and the block
// for guesses if there is little room. So a model may fit that is larger than its memory.
func TestStreamIgnores(t *testing.T) {
	smallPieces(t, 16<<10)
	for _, shape := range []string{"tiny-qwen35", "tiny-qwen3moe"} {
		f := llmtest.Parse(synthetic(t, shape, "F16"))
		f.Add("v.blk.0.ffn_up.weight", gguf.F32, nil, 1024, 1024)
		last := len(f.Tensors) - 1
		f.Tensors[last], f.Tensors[last/2] = f.Tensors[last/2], f.Tensors[last] // in the midst
		b := f.Bytes()
		whole := load(t, f, Options{Threads: 1, inPlace: true})
		want := slices.Clone(eval(t, newSession(t, whole), testIDs...))
		ignored := 0
		for i, budget := range []int64{(int64(len(b)) - 4<<20) * 3 / 4, int64(len(b)) - 2<<20} {
			pieceBytes = []int{16 << 10, 256 << 10}[i]
			w := &watched{Reader: bytes.NewReader(b), read: make([]bool, len(b)/page+1)}
			m, err := Load(w, int64(len(b)), Options{Threads: 1, Kernel: Kernels()[0], Budget: budget, inPlace: true})
			if err != nil {
				t.Fatal(err)
			}
			same(t, eval(t, newSession(t, m), testIDs...), want)
			guesses := newSession(t, m).Guesser() != nil
			if n := int64(len(m.memory)); n > budget || m.Info().Streamed > 0 != (i == 0) || guesses != (i == 1 && shape == "tiny-qwen35") {
				t.Errorf("%s: %d bytes of memory within %d, %d streamed, guesses %v", shape, n, budget, m.Info().Streamed, guesses)
			}
			m.Close()
			for _, x := range whole.file.Tensors {
				if !whole.config.ignores(x.Name) || x.Bytes < 8*page || guesses && whole.config.guessesBy(x.Name) {
					continue
				}
				ignored++
				for at := x.Offset/page + 3; at < (x.Offset+x.Bytes)/page-3; at++ { // the first bytes are part of the model's identity
					if w.read[at] {
						t.Fatalf("%s: %s was read", shape, x.Name)
					}
				}
			}
		}
		if ignored == 0 {
			t.Error("nothing is ignored")
		}
	}
}
