package llm

import (
	"fmt"
	"strings"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// An architecture is a family of models: what its file holds, which graph computes it, and
// what it can do. It is the only place that knows; families are in files of their own
// (llama.go, qwen.go, bert.go ...), and share the parts of the graphs, decoder.go and encoder.go.
type architecture struct {
	name    string // general.architecture
	epsilon string // key of what norms add to a variance
	embeds  bool   // it makes embeddings of texts, and does not continue them
	mixes   bool   // its feed-forward networks may be mixtures of experts
	fits    bool   // it can be streamed from the drive when it is larger than memory

	read    func(c *config, m *metadata)                   // metadata that only it has; nil: none
	tensors func(c *config, f *gguf.File) map[string]shape // all its tensors
	bind    func(b *binder)                                // gives the model its graph

	// Of decoders: see newDecoder.
	halves     bool  // RoPE rotates number i with number i+rotated/2 ("NEOX"), not neighbours
	recurs     bool  // layers without key/value heads have another mixer:
	recurrence mixer // this one
	norms      norms // of a layer
	headNorms  bool  // each head's queries and keys are normed
	wholeNorms bool  // all queries of a token are normed together, and all keys
	fused      bool  // ffn_up holds the gate's rows, too, before its own
	sinks      bool  // heads may look at nothing
	guesses    bool  // its files may hold a block for guesses: see guess.go
	outputNorm string
	ranks      pooling                                                        // what ranking heads look at
	pools      bool                                                           // there are models of it that embed or rank texts, though it continues them as a rule
	dense      []string                                                       // what an embedding is multiplied with
	layer      func(c *config, i int, has func(string) bool) map[string]shape // tensors of a layer beside those; nil: none
	bindLayer  func(b *binder, i int, l *layer)                               // what is special in binding a layer; nil: nothing
}

// shape is a tensor's rows and columns, and how many such matrices it holds one after another,
// if it is a stack; a vector has 0 rows.
type shape [3]int

// norms are the names of a layer's norms; "": there is none.
type norms struct{ mixer, afterMixer, feedForward, afterFeedForward string }

var architectures = []*architecture{
	llama, mistral3, smollm3, qwen2, qwen3, qwen3moe, qwen35, qwen35moe, gemma2, gemma3, gemma4, phi3, olmo2,
	granite, graniteMoE, graniteHybrid, gptOSS, lfm2, lfm2moe, deepseek2,
	bert, nomicBERT, nomicBERTMoE, modernBERT, gemmaEmbedding,
}

// findArchitecture is the architecture that a file names.
func findArchitecture(f *gguf.File) (*architecture, error) {
	name, ok := f.String("general.architecture")
	if !ok {
		return nil, fmt.Errorf("the file does not name the model's architecture (general.architecture); supported are %s", supported())
	}
	for _, a := range architectures {
		if a.name == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("models of architecture %q are not supported; supported are %s", name, supported())
}

// supported lists the architectures for error messages.
func supported() string {
	var names []string
	for _, a := range architectures {
		names = append(names, a.name)
	}
	return strings.Join(names, ", ")
}

// binder gives a graph its weights, which checkTensors has seen to.
type binder struct {
	model *Model
	err   error // the first
	there int64 // of the file, before which all is in memory
	last  int64 // end of the last matrix
}

// matrix is the matrix of that name, or nil. It may be used once wait(b.last) returned.
func (b *binder) matrix(name string) *kernel.Matrix {
	t, ok := b.model.file.Tensor(name)
	if !ok {
		return nil
	}
	return b.rows(name, 0, int(t.Dims[1]))
}

// rows is the matrix of rows [from, to) of the one of that name.
func (b *binder) rows(name string, from, to int) *kernel.Matrix {
	t, _ := b.model.file.Tensor(name)
	w, err := b.model.weights.matrix(t, from, to)
	if err != nil {
		if b.err == nil {
			b.err = fmt.Errorf("tensor %q: %w", name, err)
		}
		return nil
	}
	b.last = max(b.last, t.Offset+t.Bytes)
	b.model.rotate(name, w)
	if scale := b.vector(strings.TrimSuffix(name, ".weight") + ".scale"); len(scale) == 1 {
		w.Scale = scale[0]
	}
	return w
}

// vector is all numbers of the tensor of that name, or nil.
func (b *binder) vector(name string) []float32 {
	t, ok := b.model.file.Tensor(name)
	if !ok {
		return nil
	}
	v := make([]float32, t.Elements())
	if b.wait(t.Offset + t.Bytes); b.err == nil {
		kernel.Dequantize(t.Type, v, b.model.weights.bytes(t))
	}
	return v
}

// columns is vector of a matrix whose columns come one after another.
func (b *binder) columns(name string) []float32 {
	rows := b.vector(name)
	if rows == nil {
		return nil
	}
	t, _ := b.model.file.Tensor(name)
	cols, n := int(t.Dims[0]), len(rows)/int(t.Dims[0])
	v := make([]float32, len(rows))
	for i := range rows {
		v[i%cols*n+i/cols] = rows[i]
	}
	return v
}

// wait returns when all of the file before end is in memory, or b.err says why not.
func (b *binder) wait(end int64) {
	if end > b.there && b.err == nil {
		b.there, b.err = end, b.model.weights.wait(end)
	}
}

// repack rearranges matrices, which were waited for, for speed.
func (b *binder) repack(list ...*kernel.Matrix) {
	if b.err == nil {
		b.model.weights.repack(b.model.pool.each, list...)
	}
}

// exactly is the matrix of that name as float32, so that the vectors it is multiplied with are not rounded.
func (b *binder) exactly(name string) *kernel.Matrix {
	t, ok := b.model.file.Tensor(name)
	if !ok {
		return nil
	}
	x := b.vector(name)
	w, err := b.model.set.NewMatrix(gguf.F32, int(t.Dims[1]), int(t.Dims[0]), bytesOf(x))
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("tensor %q: %w", name, err)
	}
	return w
}
