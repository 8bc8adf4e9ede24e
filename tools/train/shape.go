package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Shape is the dimensions of a model of the llama architecture with tied
// embeddings.
type Shape struct {
	Vocabulary  int     // tokens
	Context     int     // tokens
	Embedding   int     // numbers of a token between the layers
	FeedForward int     // numbers in the middle of a feed-forward layer
	Layers      int     //
	Heads       int     // of queries
	KVHeads     int     // of keys and values, each shared by Heads/KVHeads query heads
	Head        int     // numbers of a head
	RopeBase    float32 //
	Epsilon     float32 // of the norms
}

// Default is the shape of the guide model.
func Default() Shape {
	return Shape{Vocabulary: 4096, Context: 1024, Embedding: 256, FeedForward: 640, Layers: 5, Heads: 8, KVHeads: 2, Head: 32, RopeBase: 10000, Epsilon: 1e-5}
}

func (s Shape) check() error {
	switch {
	case min(s.Vocabulary, s.Context, s.Embedding, s.FeedForward, s.Layers, s.Heads, s.KVHeads, s.Head) < 1:
		return errors.New("every dimension of a model must be at least 1")
	case max(s.Vocabulary, s.Context, s.Embedding, s.FeedForward, s.Heads, s.KVHeads, s.Head) > 1<<17 || s.Layers > 256:
		return errors.New("every dimension of a model must be at most 131072, and its layers at most 256")
	case s.Parameters() > 1<<30:
		return fmt.Errorf("%d parameters are too many to train here; 1073741824 is the limit", s.Parameters())
	case s.Heads%s.KVHeads != 0:
		return fmt.Errorf("%d heads cannot share %d key/value heads; choose a number that divides", s.Heads, s.KVHeads)
	case s.Head%2 != 0:
		return fmt.Errorf("a head of %d numbers cannot be turned by its position; choose an even number", s.Head)
	case s.RopeBase <= 0 || s.Epsilon <= 0:
		return errors.New("the base of RoPE and the epsilon of norms must be positive")
	}
	return nil
}

// tensor is a part of the parameters.
type tensor struct {
	name       string // in the GGUF file, where it is one tensor there
	rows, cols int    // rows is 0 for a vector
	at         int    // of its first number among the parameters
	out        bool   // adds to the stream between the layers: begins smaller
}

func (t tensor) size() int { return max(t.rows, 1) * t.cols }

// tensors lists all parameters in their order in memory. Matrices that multiply
// the same vectors follow each other, so that they can be used as one.
func (s Shape) tensors() (list []tensor, total int) {
	add := func(name string, rows, cols int, out bool) {
		t := tensor{name, rows, cols, total, out}
		list = append(list, t)
		total += t.size()
	}
	add("token_embd.weight", s.Vocabulary, s.Embedding, false)
	for i := range s.Layers {
		p := fmt.Sprintf("blk.%d.", i)
		add(p+"attn_norm.weight", 0, s.Embedding, false)
		add(p+"attn_q.weight", s.Heads*s.Head, s.Embedding, false)
		add(p+"attn_k.weight", s.KVHeads*s.Head, s.Embedding, false)
		add(p+"attn_v.weight", s.KVHeads*s.Head, s.Embedding, false)
		add(p+"attn_output.weight", s.Embedding, s.Heads*s.Head, true)
		add(p+"ffn_norm.weight", 0, s.Embedding, false)
		add(p+"ffn_gate.weight", s.FeedForward, s.Embedding, false)
		add(p+"ffn_up.weight", s.FeedForward, s.Embedding, false)
		add(p+"ffn_down.weight", s.Embedding, s.FeedForward, true)
	}
	add("output_norm.weight", 0, s.Embedding, false)
	return list, total
}

// Parameters is how many numbers a model of this shape has.
func (s Shape) Parameters() int {
	_, n := s.tensors()
	return n
}

// layer is a block's parameters, or their gradients.
type layer struct {
	norm1  []float32 // d
	qkv    []float32 // (h+2g)e x d
	wo     []float32 // d x he
	norm2  []float32 // d
	gateUp []float32 // 2f x d
	down   []float32 // d x f
}

// weights is a model's parameters, or their gradients, in one piece and by name.
type weights struct {
	all       []float32
	embedding []float32 // v x d
	layers    []layer
	norm      []float32 // d
}

func newWeights(s Shape) *weights {
	_, n := s.tensors()
	w := &weights{all: make([]float32, n)}
	rest := w.all
	take := func(n int) []float32 {
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	d := s.Embedding
	w.embedding = take(s.Vocabulary * d)
	for range s.Layers {
		w.layers = append(w.layers, layer{
			take(d), take((s.Heads + 2*s.KVHeads) * s.Head * d), take(d * s.Heads * s.Head),
			take(d), take(2 * s.FeedForward * d), take(d * s.FeedForward),
		})
	}
	w.norm = take(d)
	return w
}

// initialise sets the weights to what training begins with: norms are 1,
// matrices random with a deviation that keeps the size of what they multiply.
func (w *weights) initialise(s Shape, seed uint64) {
	list, _ := s.tensors()
	r := rand.New(rand.NewPCG(seed, 0x696e6974))
	for _, t := range list {
		part := w.all[t.at : t.at+t.size()]
		deviation := math.Sqrt(0.4 / float64(s.Embedding))
		switch {
		case t.rows == 0:
			for i := range part {
				part[i] = 1
			}
			continue
		case t.rows == s.Vocabulary && t.at == 0:
			deviation = 0.02
		case t.out:
			deviation = math.Sqrt(0.4/float64(t.cols)) / math.Sqrt(float64(2*s.Layers))
		}
		for i := range part {
			part[i] = float32(r.NormFloat64() * deviation)
		}
	}
}
