// Package llm runs language models from GGUF files: Load, NewSession, and Eval for the
// logits that follow some tokens, or Embed for the embedding of a text.
//
// The weights are read into one block of memory and repacked there for speed, or streamed
// from the drive when they are larger than it (weights.go, stream.go). Each family of models
// is an architecture (architecture.go): what its file holds, and a graph made of shared
// parts, decoder.go or encoder.go. The fast arithmetic is behind llm/kernel; text,
// conversations and the choice of the next token are in llm/tokenizer, llm/chat and
// llm/sample.
package llm

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/tokenizer"
)

// Options say how to load a model. The zero value is good.
type Options struct {
	Threads      int                         // goroutines that compute; 0: as many as processors, at most 16, or half of them if that measures faster
	Processors   int                         // processors there are to compute on; 0: as many as the Go runtime uses
	Kernel       string                      // one of Kernels(); "": the fastest, by measurement
	Fetch        string                      // one of kernel.Fetches, in words; "": by measurement, for each type
	Cache        string                      // keys and values as "f32", "f16" or "q8_0" (f16 if heads are no multiple of 32 long); "": f32, unless they would take over 512 MiB
	SessionLimit int64                       // bytes of memory a session may take, or what computes embeddings; 0: 8 GiB, or 512 MiB
	Budget       int64                       // bytes of memory for the weights, beyond which they are streamed from the file; 0: what Alloc can give
	Alloc        func(n int) ([]byte, error) // memory for the weights, best page-aligned; nil: the Go heap
	Free         func([]byte)                // takes Alloc's memory back
	Progress     func(done, total int64)     // bytes of the file read so far, and how many are to be read
	Requests     int                         // reads of the file at a time that its reader can take, unless that is slower; 0: 1
	Tables       *gguf.File                  // the file's, if they were read already
	Expect       func(Expectation)           // called before the weights are read if they will be streamed

	inPlace bool // leave weights as they are in the file, so that streamed ones give the same bits
}

// Kernels lists the kernels this processor can run.
func Kernels() []string { return kernel.Names() }

// Info describes a loaded model.
type Info struct {
	Architecture string // "llama", "qwen2"
	Name         string // general.name, or ""
	Parameters   int64
	Quantization string // as in file names: "Q4_K_M"
	Context      int    // tokens the model was trained for
	Layers       int
	Embedding    int
	Heads        int // of the layer that has most of them; so the next two
	KVHeads      int
	FeedForward  int
	Experts      int // of a layer that is a mixture of them; 0: none is
	ExpertsUsed  int // of these, for each token
	Vocabulary   int
	Bytes        int64 // size of the file
	Streamed     int64 // bytes read from the drive for each token, when the model is larger than its memory
	PerToken     int64 // bytes of weights in memory that a token of an answer is multiplied with
	Kernel       string
	Fetch        string // what kernels fetch ahead, for each type of weights: "Q4_K 4x512, Q6_K none"; "" where it is measured after the first tokens
	Threads      int
}

// Model is a loaded model. It may be used concurrently.
type Model struct {
	file      *gguf.File
	size      int64
	options   Options
	config    config
	tokenizer *tokenizer.Tokenizer
	set       *kernel.Set
	pool      *pool
	rotations *rotations                                 // of weights that are rotated; nil: none are
	fetches   atomic.Pointer[map[gguf.Type]kernel.Fetch] // chosen by measurement, or because the options say so; nil: not yet

	memory   []byte // as Alloc gave it
	weights  weights
	parts    []part          // of what stays in memory: see Recheck
	summed   <-chan struct{} // closed when they have checksums
	identity identity        // see Identity

	// One of the two graphs; the other is nil.
	decoder *decoder // of a model that continues texts
	encoder *encoder // of a model that embeds them

	busy   sync.Mutex // held while a session computes
	trial  *trial     // of ways to fetch ahead; nil: none is going on
	closed bool
}

const page = 4096

// readSize in bytes keeps any medium busy. It is whole pages, and each read begins
// on a page of the file and of memory, so that a disk can write straight to its
// place.
var readSize = 8 << 20

// Load reads the model in the GGUF file of size bytes in r. What its tables say
// against the file is said before its weights are read, or, of the vocabulary,
// while they are; an error is one sentence. Of a model larger than its memory, or with
// embeddings for each layer, r is read until Close.
func Load(r io.ReaderAt, size int64, o Options) (*Model, error) {
	if o.Threads < 0 || o.Threads > 1024 {
		return nil, fmt.Errorf("%d threads are impossible", o.Threads)
	}
	if o.Processors < 0 {
		return nil, fmt.Errorf("%d processors are impossible", o.Processors)
	}
	if o.Processors == 0 {
		o.Processors = min(runtime.GOMAXPROCS(0), runtime.NumCPU())
	}
	if !slices.Contains([]string{"", "f32", "f16", "q8_0"}, o.Cache) {
		return nil, fmt.Errorf("there is no cache type %q; there are f32, f16 and q8_0", o.Cache)
	}
	if o.Fetch != "" {
		if _, err := kernel.ParseFetch(o.Fetch); err != nil {
			return nil, err
		}
	}
	f, err := o.Tables, error(nil)
	if f == nil {
		if f, err = gguf.Read(r, size); err != nil {
			return nil, err
		}
	}
	m := &Model{file: f, size: size, options: o, identity: newIdentity(f)}
	if err := m.configure(); err != nil {
		return nil, err
	}
	if o.Kernel == "" {
		m.set = kernel.Choose()
	} else if m.set, err = kernel.ByName(o.Kernel); err != nil {
		return nil, err
	}
	if err := m.read(r); err != nil {
		m.free()
		return nil, err
	}
	if err := m.prepare(r); err != nil {
		m.free()
		return nil, err
	}
	if o.Threads == 0 {
		m.chooseThreads()
	}
	if m.streams() || o.Fetch != "" { // no expert is on its way yet
		m.chooseFetches()
	}
	m.startSums()
	return m, nil
}

// prepare makes of the file what the graph needs, while the weights are still coming.
func (m *Model) prepare(r io.ReaderAt) (err error) {
	if m.tokenizer == nil {
		if err := m.readVocabulary(); err != nil {
			return err
		}
	}
	head, err := m.hashHead(r)
	if err != nil {
		return err
	}
	threads := m.options.Threads
	if threads == 0 {
		threads = min(m.options.Processors, maxThreads)
	}
	m.pool = newPool(threads, m.options.Processors)
	b := &binder{model: m}
	m.config.arch.bind(b)
	if b.wait(m.end()); b.err != nil {
		return b.err
	}
	if err := m.weights.sample(&m.identity); err != nil {
		return err
	}
	m.identity.hash.Sum(m.identity.sum[:0])
	head.Write(m.identity.sum[:])
	head.Sum(m.identity.sum[:0])
	return nil
}

// readVocabulary makes the tokenizer.
func (m *Model) readVocabulary() (err error) {
	if m.tokenizer, err = tokenizer.New(m.file); err != nil {
		return fmt.Errorf("the model's vocabulary cannot be used: %w", err)
	}
	if n := m.tokenizer.Size(); n > m.config.vocabulary {
		return fmt.Errorf("the model's vocabulary has %d tokens but weights for only %d: the file is damaged or was converted wrongly", n, m.config.vocabulary)
	}
	return nil
}

// end is where the last tensor ends in the file.
func (m *Model) end() int64 {
	end := m.file.DataOffset
	for i := range m.file.Tensors {
		end = max(end, m.file.Tensors[i].Offset+m.file.Tensors[i].Bytes)
	}
	return end
}

// read takes memory for the tensors' data, from the page of the file where it
// begins to the end of the last tensor, and begins to read; a streamed model's
// data is there when it returns.
func (m *Model) read(r io.ReaderAt) error {
	start, end := m.file.DataOffset&^(page-1), m.end()
	n := end - start
	if int64(int(n)) != n {
		return fmt.Errorf("the model's %d bytes do not fit this machine's address space", n)
	}
	l, err := m.within(n)
	if err != nil {
		return err
	}
	if l != nil {
		if err := m.readVocabulary(); err != nil {
			return err
		}
		s := m.newStream(r, l, m.memory)
		m.weights = s
		return s.load(&m.options, n)
	}
	data := m.memory[:n]
	progress := m.options.Progress
	if progress == nil {
		progress = func(int64, int64) {}
	}
	reading := startReading(r, data, start, func(at int64) {
		m.identity.see(data, start, at)
		if at == end {
			at = m.size
		}
		progress(at, m.size)
	})
	m.weights = &resident{reading, m.set, data, start, m.options.inPlace}
	return nil
}

func (m *Model) alloc(n int) ([]byte, error) {
	if m.options.Alloc != nil {
		return m.options.Alloc(n)
	}
	b := make([]byte, n+page)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (page - 1)
	return b[skip : skip+n], nil
}

func (m *Model) free() {
	if m.weights != nil {
		m.weights.close()
	}
	if m.pool != nil {
		m.pool.close()
	}
	if m.options.Free != nil && m.options.Alloc != nil && m.memory != nil {
		m.options.Free(m.memory)
	}
	m.memory, m.weights, m.parts = nil, nil, nil
}

// Close ends the model's goroutines and gives its memory back, after a running
// Eval has finished. Sessions of the model then only return errors.
func (m *Model) Close() {
	m.busy.Lock()
	defer m.busy.Unlock()
	if m.closed {
		return
	}
	m.closed = true
	m.decoder, m.encoder = nil, nil
	m.free()
}

// File is the model's metadata and tensor table.
func (m *Model) File() *gguf.File { return m.file }

// Tokenizer is the model's vocabulary.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// Info describes the model.
func (m *Model) Info() Info {
	c := &m.config
	i := Info{
		Architecture: c.arch.name, Quantization: quantization(m.file), Context: c.context, Layers: c.layers,
		Embedding: c.embedding, Heads: c.heads, KVHeads: c.kvHeads, FeedForward: c.feedForward,
		Vocabulary: c.vocabulary, Bytes: m.size, Kernel: m.set.Name(), Fetch: m.fetched(), Threads: m.pool.threads,
	}
	for _, w := range m.products() {
		i.PerToken += int64(w.Bytes())
	}
	if m.weights != nil && m.weights.streamed() > 0 {
		i.PerToken = 0
	}
	if e := &c.experts; e.count > 0 { // of the experts only some are used
		for l := 0; m.decoder != nil && i.PerToken > 0 && l < len(m.decoder.layers); l++ {
			if x := m.decoder.layers[l].experts; x != nil {
				i.PerToken -= int64(x.bytes()) * int64(e.count-e.used) / int64(e.count)
			}
		}
		i.Experts, i.ExpertsUsed = e.count, e.used
	}
	i.Name, _ = m.file.String("general.name")
	if m.weights != nil {
		i.Streamed = m.weights.streamed()
	}
	for j := range m.file.Tensors {
		i.Parameters += m.file.Tensors[j].Elements()
	}
	return i
}

// fileTypes are llama.cpp's names of general.file_type, for the mixtures that
// can be computed.
var fileTypes = map[uint64]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
	14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S", 25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16",
	19: "IQ2_XXS", 20: "IQ2_XS", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 31: "IQ1_M",
	36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0", 141: "PQ2_0", 143: "PTQ1_0",
}

// quantization names the mixture of types as llama-quantize does, or else the
// type that most bytes have.
func quantization(f *gguf.File) string {
	if n, ok := f.Uint("general.file_type"); ok {
		if name, ok := fileTypes[n]; ok {
			return name
		}
	}
	name, _, _ := strings.Cut(f.Summary(), " ")
	return name
}

// checkTensors makes sure that the file has exactly the tensors of the
// architecture, in shapes that fit each other and types that can be computed.
func (m *Model) checkTensors() error {
	t, ok := m.file.Tensor("token_embd.weight")
	if !ok {
		return errors.New(`the model has no tensor "token_embd.weight": the file is damaged or holds only a vocabulary`)
	}
	if len(t.Dims) != 2 || t.Dims[1] > 1<<24 {
		return fmt.Errorf("tensor %q has the shape %v, which is not a list of embeddings", t.Name, t.Dims)
	}
	m.config.vocabulary = int(t.Dims[1])
	// A model's layers must be in the file before names are made for them.
	if m.config.layers > len(m.file.Tensors) {
		return fmt.Errorf("the model has %d layers but the file only %d tensors: it is damaged or was converted wrongly", m.config.layers, len(m.file.Tensors))
	}
	shapes := m.config.arch.tensors(&m.config, m.file)
	for i := range m.file.Tensors {
		t := &m.file.Tensors[i]
		shape, known := shapes[t.Name]
		if !known {
			if m.config.ignores(t.Name) {
				continue
			}
			return fmt.Errorf("the model has a tensor %q, which is not part of the architecture %s as supported here", t.Name, m.config.arch.name)
		}
		delete(shapes, t.Name)
		want := []uint64{uint64(shape[1]), uint64(shape[0]), uint64(shape[2])}
		switch {
		case shape[0] == 0:
			want = want[:1]
		case shape[2] == 0:
			want = want[:2]
		}
		if vector := shape[0] == 0 || strings.HasSuffix(t.Name, ".bias"); vector && t.Type != gguf.F32 && t.Type != gguf.F16 {
			return fmt.Errorf("tensor %q has type %v; supported for it are F32 and F16", t.Name, t.Type)
		} else if !vector && !kernel.Supported(t.Type) {
			return fmt.Errorf("tensor %q has type %v, which is not supported; supported are %s", t.Name, t.Type, typeNames())
		}
		if !slices.Equal(t.Dims, want) {
			return fmt.Errorf("tensor %q has the shape %v instead of %v: the file is damaged or was converted wrongly", t.Name, t.Dims, want)
		}
	}
	missing := ""
	for name := range shapes {
		if missing == "" || name < missing {
			missing = name
		}
	}
	if missing != "" {
		return fmt.Errorf("the model has no tensor %q: the file is damaged or was converted wrongly", missing)
	}
	return nil
}

func typeNames() string {
	var names []string
	for _, t := range kernel.Types() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// ignores reports whether a tensor is of a part of the file that is not computed: what sees
// pictures or hears, and layers that only guess, unless they are bound apart (guess.go).
func (c *config) ignores(name string) bool {
	if strings.HasSuffix(name, ".attn_rot_embd") || strings.HasSuffix(name, ".rope_freqs.weight") {
		return true // tables that old converters wrote and nobody reads
	}
	for _, prefix := range []string{"v.", "mm.", "a."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return c.guessesBy(name)
}

// guessesBy reports whether a tensor is of a layer that only guesses.
func (c *config) guessesBy(name string) bool {
	for i := range c.nextn {
		if strings.HasPrefix(name, fmt.Sprintf("blk.%d.", c.layers+i)) {
			return true
		}
	}
	return false
}
