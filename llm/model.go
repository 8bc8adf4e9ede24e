// Package llm runs large language models of the llama architecture from GGUF
// files: Load, NewSession, and Eval for the logits that follow some tokens.
//
// The weights are read into one block of memory and used there, as they lie in
// the file. The graph is in llama.go; the fast arithmetic is behind
// llm/kernel; text, conversations and the choice of the next token are in
// llm/tokenizer, llm/chat and llm/sample.
package llm

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	Cache        string                      // keys and values as "f32" or "f16"; "": f32, unless they would take over 512 MiB
	SessionLimit int64                       // bytes of memory a session may take; 0: 8 GiB
	Budget       int64                       // bytes of memory for the weights, beyond which they are streamed from the file; 0: what Alloc can give
	Alloc        func(n int) ([]byte, error) // memory for the weights, best page-aligned; nil: the Go heap
	Free         func([]byte)                // takes Alloc's memory back
	Progress     func(done, total int64)     // bytes of the file read so far, and how many are to be read
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
	Vocabulary   int
	Bytes        int64 // size of the file
	Streamed     int64 // bytes read from the drive for each token, when the model is larger than its memory
	Kernel       string
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

	memory  []byte   // as Alloc gave it
	stream  *stream  // of a model larger than its memory, or nil
	reading *reading // of data, while the model is loaded; nil if it is streamed
	data    []byte   // the part of the file that begins at start
	start   int64

	identity identity // see Identity

	encoder        *encoder       // of a model that embeds texts, which has none of the following
	tokenEmbedding *kernel.Matrix // vocabulary x d
	layers         []layer
	outputNorm     []float32
	output         *kernel.Matrix // vocabulary x d; the embedding again if tied
	ropeFactors    []float32      // of each pair of a head, or nil

	busy   sync.Mutex // held while a session computes
	closed bool
}

const page = 4096

// readSize in bytes keeps any medium busy. It is whole pages, and each read begins
// on a page of the file and of memory, so that a disk can write straight to its
// place.
var readSize = 8 << 20

// Load reads the model in the GGUF file of size bytes in r. What its tables say
// against the file is said before its weights are read, or, of the vocabulary,
// while they are; an error is one sentence. A model larger than its memory is streamed (see stream.go):
// then r is read until Close.
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
	if o.Cache != "" && o.Cache != "f32" && o.Cache != "f16" {
		return nil, fmt.Errorf("there is no cache type %q; there are f32 and f16", o.Cache)
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
	return m, nil
}

// prepare makes of the file what the graph needs, the while its weights come.
func (m *Model) prepare(r io.ReaderAt) (err error) {
	if m.stream == nil {
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
	if err := m.bind(); err != nil {
		return err
	}
	if err := m.reading.wait(m.start + int64(len(m.data))); err != nil {
		return err
	}
	m.reading = nil
	if m.stream != nil {
		if err := m.identity.seeStreamed(m.stream); err != nil {
			return err
		}
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

// repack rearranges weights, which nothing else uses, for speed. Streamed weights
// come and go as they are.
func (m *Model) repack(weights ...*kernel.Matrix) {
	if m.stream != nil || m.options.inPlace {
		return
	}
	for _, w := range weights {
		w.Repack(m.pool.each)
	}
}

// read takes memory for the tensors' data, from the page of the file where it
// begins to the end of the last tensor, and begins to read; a streamed model's
// data is there when it returns.
func (m *Model) read(r io.ReaderAt) error {
	end := m.file.DataOffset
	for i := range m.file.Tensors {
		end = max(end, m.file.Tensors[i].Offset+m.file.Tensors[i].Bytes)
	}
	m.start = m.file.DataOffset &^ (page - 1)
	n := end - m.start
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
		m.stream = m.newStream(r, l, m.memory)
		return m.stream.load(&m.options, n)
	}
	m.data = m.memory[:n]
	progress := m.options.Progress
	if progress == nil {
		progress = func(int64, int64) {}
	}
	m.reading = startReading(r, m.data, m.start, func(at int64) {
		m.identity.see(m.data, m.start, at)
		if at == end {
			at = m.size
		}
		progress(at, m.size)
	})
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
	m.reading.stop()
	if m.pool != nil {
		m.pool.close()
	}
	if m.stream != nil {
		m.stream.close()
	}
	if m.options.Free != nil && m.options.Alloc != nil && m.memory != nil {
		m.options.Free(m.memory)
	}
	m.memory, m.data = nil, nil
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
	m.tokenEmbedding, m.output, m.layers, m.encoder = nil, nil, nil, nil
	m.free()
}

// embed writes the embeddings of ids to x.
func (m *Model) embed(x []float32, ids []int32) error {
	if m.stream != nil {
		return m.stream.embed(m, x, ids)
	}
	d := m.config.embedding
	for i, id := range ids {
		m.tokenEmbedding.Row(x[i*d:(i+1)*d], int(id))
	}
	return nil
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
		Vocabulary: c.vocabulary, Bytes: m.size, Kernel: m.set.Name(), Threads: m.pool.threads,
	}
	i.Name, _ = m.file.String("general.name")
	if m.stream != nil {
		i.Streamed = m.stream.streamed
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

// shapes lists every tensor of a model of this shape: a matrix has rows and
// columns, a vector only columns.
func (c *config) shapes(f *gguf.File) map[string][2]int {
	if c.arch.encoder {
		return c.encoderShapes(f)
	}
	d := c.embedding
	s := map[string][2]int{
		"token_embd.weight":  {c.vocabulary, d},
		"output_norm.weight": {0, d},
	}
	if _, ok := f.Tensor("output.weight"); ok {
		s["output.weight"] = [2]int{c.vocabulary, d}
	}
	if _, ok := f.Tensor("rope_freqs.weight"); ok {
		s["rope_freqs.weight"] = [2]int{0, c.rotated / 2}
	}
	for i, l := range c.layer {
		q, kv, ff := l.heads*c.head, l.kvHeads*c.head, l.feedForward
		for name, shape := range map[string][2]int{
			"attn_norm": {0, d}, "attn_q": {q, d}, "attn_k": {kv, d}, "attn_v": {kv, d}, "attn_output": {d, q},
			"ffn_norm": {0, d}, "ffn_gate": {ff, d}, "ffn_up": {ff, d}, "ffn_down": {d, ff},
		} {
			s[fmt.Sprintf("blk.%d.%s.weight", i, name)] = shape
		}
		c.arch.parts(s, c, f, i)
	}
	return s
}

// checkTensors makes sure that the file has exactly the tensors of the
// architecture, in shapes that fit each other and types that can be computed.
func (m *Model) checkTensors() error {
	t, ok := m.file.Tensor("token_embd.weight")
	if !ok {
		return errors.New(`the model has no tensor "token_embd.weight": the file is damaged or holds only a vocabulary`)
	}
	if len(t.Dims) != 2 || t.Dims[1] > 1<<24 {
		return fmt.Errorf("tensor %q has the shape %v, which is no list of embeddings", t.Name, t.Dims)
	}
	m.config.vocabulary = int(t.Dims[1])
	// A model's layers must be in the file before names are made for them.
	if m.config.layers > len(m.file.Tensors) {
		return fmt.Errorf("the model has %d layers but the file only %d tensors: it is damaged or was converted wrongly", m.config.layers, len(m.file.Tensors))
	}
	shapes := m.config.shapes(m.file)
	for i := range m.file.Tensors {
		t := &m.file.Tensors[i]
		shape, known := shapes[t.Name]
		if !known {
			if strings.HasSuffix(t.Name, ".attn_rot_embd") || strings.HasSuffix(t.Name, ".rope_freqs.weight") {
				continue // tables that old converters wrote and nobody reads
			}
			return fmt.Errorf("the model has a tensor %q, which is not part of the architecture %s as supported here", t.Name, m.config.arch.name)
		}
		delete(shapes, t.Name)
		want := []uint64{uint64(shape[1]), uint64(shape[0])}
		if shape[0] == 0 {
			want = want[:1]
			if t.Type != gguf.F32 && t.Type != gguf.F16 {
				return fmt.Errorf("tensor %q has type %v; supported for it are F32 and F16", t.Name, t.Type)
			}
		} else if !kernel.Supported(t.Type) {
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

// bind gives the graph its weights, which checkTensors has seen to, each layer
// as soon as it is in memory.
func (m *Model) bind() error {
	var err error
	bytes := func(t *gguf.Tensor) []byte {
		if m.stream != nil {
			return m.stream.resident(t.Offset, t.Bytes)
		}
		return m.data[t.Offset-m.start:][:t.Bytes]
	}
	there := int64(0) // of the file, before which all is in memory
	wait := func(end int64) {
		if end > there && err == nil {
			there, err = end, m.reading.wait(end)
		}
	}
	last := int64(0) // end of the last tensor bound
	matrix := func(name string) *kernel.Matrix {
		t, ok := m.file.Tensor(name)
		if !ok {
			return nil
		}
		var w *kernel.Matrix
		var e error
		if m.stream != nil {
			w, e = m.stream.matrix(t)
		} else {
			w, e = m.set.NewMatrix(t.Type, int(t.Dims[1]), int(t.Dims[0]), bytes(t))
		}
		if e != nil && err == nil {
			err = fmt.Errorf("tensor %q: %w", name, e)
		}
		last = max(last, t.Offset+t.Bytes)
		return w
	}
	vector := func(name string) []float32 {
		t, ok := m.file.Tensor(name)
		if !ok {
			return nil
		}
		v := make([]float32, t.Dims[0])
		wait(t.Offset + t.Bytes)
		kernel.Dequantize(t.Type, v, bytes(t))
		return v
	}
	if m.config.arch.encoder {
		wait(m.start + int64(len(m.data)))
		m.bindEncoder(matrix, vector)
		return err
	}
	m.tokenEmbedding = matrix("token_embd.weight")
	if m.output = matrix("output.weight"); m.output == nil {
		m.output = m.tokenEmbedding
	}
	outputEnd, repacked := last, false
	last = 0
	m.layers = make([]layer, m.config.layers)
	for i := range m.layers {
		if !repacked && outputEnd <= there {
			m.repack(m.output)
			repacked = true
		}
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
		bias := func(part string) []float32 { return vector(fmt.Sprintf("blk.%d.%s.bias", i, part)) }
		m.layers[i] = layer{
			adjustment: newAdjustment(i, vector),
			attnNorm:   vector(name("attn_norm")),
			wq:         matrix(name("attn_q")), wk: matrix(name("attn_k")), wv: matrix(name("attn_v")), wo: matrix(name("attn_output")),
			ffnNorm: vector(name("ffn_norm")),
			gate:    matrix(name("ffn_gate")), up: matrix(name("ffn_up")), down: matrix(name("ffn_down")),
			bo:       bias("attn_output"),
			gateBias: bias("ffn_gate"), upBias: bias("ffn_up"), downBias: bias("ffn_down"),
		}
		if wait(last); err != nil {
			return err
		}
		l := &m.layers[i]
		m.repack(l.wq, l.wk, l.wv, l.wo, l.gate, l.up, l.down)
	}
	if wait(outputEnd); err != nil {
		return err
	}
	if !repacked {
		m.repack(m.output)
	}
	m.outputNorm = vector("output_norm.weight")
	m.ropeFactors = vector("rope_freqs.weight")
	if err != nil {
		return err
	}
	for _, f := range m.ropeFactors {
		if !(f > 0) || math.IsInf(float64(f), 0) {
			return fmt.Errorf("tensor \"rope_freqs.weight\" holds the impossible factor %v: the file is damaged", f)
		}
	}
	return err
}
