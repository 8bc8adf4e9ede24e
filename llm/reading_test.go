package llm

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// gate is a medium that gives the weights only when it is told to.
type gate struct {
	*bytes.Reader
	from    int64 // offset from which on it waits
	open    chan struct{}
	reading atomic.Int32

	begun, overlapped atomic.Bool // memory was taken; then something before from was read
}

func (g *gate) ReadAt(p []byte, off int64) (int, error) {
	if off < g.from && g.begun.Load() {
		g.overlapped.Store(true)
	}
	if off >= g.from {
		g.reading.Add(1)
		defer g.reading.Add(-1)
		<-g.open
	}
	return g.Reader.ReadAt(p, off)
}

// The vocabulary is looked at while weights come; when it is of no use their
// memory is given back, but not before the medium has let go of it.
func TestLoadStopsReading(t *testing.T) {
	f := llmtest.Llama(llmtest.Quantized(gguf.Q8_0))
	f.Set("tokenizer.ggml.model", "unheard-of")
	b := f.Bytes()
	whole, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Reader: bytes.NewReader(b), from: whole.DataOffset &^ (page - 1), open: make(chan struct{})}
	freed := make(chan int32, 1)
	failed := make(chan error)
	go func() {
		_, err := Load(g, int64(len(b)), Options{
			Alloc: func(n int) ([]byte, error) { return make([]byte, n), nil },
			Free:  func([]byte) { freed <- g.reading.Load() },
		})
		failed <- err
	}()
	select {
	case <-freed:
		t.Fatal("memory was freed while the medium wrote to it")
	case err := <-failed:
		t.Fatalf("loading ended, with %v, before the medium did", err)
	case <-time.After(100 * time.Millisecond):
		close(g.open)
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "unheard-of") {
		t.Errorf("loading ended with %v", err)
	}
	if n := <-freed; n != 0 {
		t.Errorf("memory was freed during %d reads", n)
	}
}

// What else loading takes is done while the weights come.
func TestLoadOverlaps(t *testing.T) {
	b := llmtest.Llama(llmtest.Quantized(gguf.Q8_0)).Bytes()
	whole, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Reader: bytes.NewReader(b), from: whole.DataOffset &^ (page - 1), open: make(chan struct{})}
	overlapped := make(chan bool, 1)
	go func() {
		for end := time.Now().Add(10 * time.Second); !g.overlapped.Load() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		overlapped <- g.overlapped.Load()
		close(g.open)
	}()
	m, err := Load(g, int64(len(b)), Options{Threads: 1, Alloc: func(n int) ([]byte, error) {
		g.begun.Store(true)
		return make([]byte, n), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if !<-overlapped {
		t.Error("nothing else was done while the weights were waited for")
	}
}

// Weights are rearranged as they come, page by page: the results must be those
// of weights that came all at once.
func TestLoadSlowly(t *testing.T) {
	for _, kind := range []gguf.Type{gguf.Q4_0, gguf.Q4_K, gguf.Q8_0} {
		f := llmtest.Llama(llmtest.Quantized(kind))
		want := load(t, f, Options{Threads: 2})
		smallReads(t, page)
		m := load(t, f, Options{Threads: 2})
		same(t, eval(t, newSession(t, m), testIDs...), eval(t, newSession(t, want), testIDs...))
		if m.Identity() != want.Identity() {
			t.Error("the identity depends on how the model was read")
		}
	}
}

func smallReads(t *testing.T, n int) {
	old := readSize
	readSize = n
	t.Cleanup(func() { readSize = old })
}

// reads counts and checks what Load asks of a medium.
type reads struct {
	*bytes.Reader
	mu     sync.Mutex
	sizes  []int
	failAt int64 // reads that reach this far fail, if not 0
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	r.sizes = append(r.sizes, len(p))
	r.mu.Unlock()
	if r.failAt != 0 && off+int64(len(p)) > r.failAt {
		return 0, errors.New("the drive was removed")
	}
	return r.Reader.ReadAt(p, off)
}
