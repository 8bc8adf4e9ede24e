package llm

import (
	"fmt"
	"strings"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// An architecture is a family of models: what its file holds, which graph computes it, and
// what it can do. It is the only place that knows; families are in files of their own
// (llama.go, qwen.go, bert.go), and share the parts of the graphs, decoder.go and encoder.go.
type architecture struct {
	name    string // general.architecture
	epsilon string // key of what norms add to a variance
	embeds  bool   // it makes embeddings of texts, and does not continue them
	// The matrices of a block in the order in which a pass uses them, if its weights can be
	// streamed from the drive.
	streamed []string

	read    func(c *config, f *gguf.File) error             // metadata that only it has; nil: none
	tensors func(c *config, f *gguf.File) map[string][2]int // all its tensors: rows and columns; a vector has 0 rows
	bind    func(b *binder)                                 // gives the model its graph

	// Of decoders: see newDecoder.
	halves bool                                            // RoPE rotates number i with number i+rotated/2 ("NEOX"), not neighbours
	layer  func(c *config, l layerShape) map[string][2]int // tensors of a block beside llama's; nil: none
	block  func(s *Session, l *layer, kv *cache, position, n int)
}

var architectures = []*architecture{llama, qwen2, qwen3, bert}

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
	w, err := b.model.weights.matrix(t)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("tensor %q: %w", name, err)
	}
	b.last = max(b.last, t.Offset+t.Bytes)
	b.model.rotate(name, w)
	return w
}

// vector is the vector of that name, or nil.
func (b *binder) vector(name string) []float32 {
	t, ok := b.model.file.Tensor(name)
	if !ok {
		return nil
	}
	v := make([]float32, t.Dims[0])
	if b.wait(t.Offset + t.Bytes); b.err == nil {
		kernel.Dequantize(t.Type, v, b.model.weights.bytes(t))
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
