package llm

import (
	"fmt"
	"strings"

	"alphaos/llm/gguf"
)

// An architecture is the tensors and the graph of a family of models. Most
// families are llama with a few differences, and the graph in llama.go takes
// them from the weights of a layer (biases, norms of heads: nil when absent)
// and from the fields here: so one more such family is one more short value
// like qwen2, and an entry in architectures.
type architecture struct {
	name   string
	halves bool // rope turns number i with number i+rotated/2 ("NEOX"), not neighbours

	// layer lists the tensors of a block beside those of llama; a vector has 0
	// rows.
	layer func(c *config, l layerShape) map[string][2]int

	encoder bool // computes embeddings of whole texts: see bert.go
}

var architectures = []*architecture{llama, qwen2, qwen3, bert}

// llama is Llama 1 to 3, TinyLlama, SmolLM, Mistral and whoever else builds
// the same graph.
var llama = &architecture{name: "llama"}

// qwen2 has biases of queries, keys and values.
var qwen2 = &architecture{name: "qwen2", halves: true, layer: headBiases}

// qwen3 has norms of each head's queries and keys.
var qwen3 = &architecture{name: "qwen3", halves: true, layer: func(c *config, _ layerShape) map[string][2]int {
	return map[string][2]int{"attn_q_norm.weight": {0, c.head}, "attn_k_norm.weight": {0, c.head}}
}}

func headBiases(c *config, l layerShape) map[string][2]int {
	return map[string][2]int{"attn_q.bias": {0, l.heads * c.head}, "attn_k.bias": {0, l.kvHeads * c.head}, "attn_v.bias": {0, l.kvHeads * c.head}}
}

// biases lists those that any file may have: some that call themselves llama
// do, Granite Code and Bielik among them.
func biases(c *config, l layerShape) map[string][2]int {
	s := headBiases(c, l)
	s["attn_output.bias"], s["ffn_down.bias"] = [2]int{0, c.embedding}, [2]int{0, c.embedding}
	s["ffn_gate.bias"], s["ffn_up.bias"] = [2]int{0, l.feedForward}, [2]int{0, l.feedForward}
	return s
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

// parts adds the tensors of block i that the architecture has beside llama's
// matrices and norms.
func (a *architecture) parts(s map[string][2]int, c *config, f *gguf.File, i int) {
	if a.layer != nil {
		for name, shape := range a.layer(c, c.layer[i]) {
			s[fmt.Sprintf("blk.%d.%s", i, name)] = shape
		}
	}
	for name, shape := range biases(c, c.layer[i]) {
		name = fmt.Sprintf("blk.%d.%s", i, name)
		if _, ok := f.Tensor(name); ok {
			s[name] = shape
		}
	}
}

// adjustment is what a layer does to queries, keys and values before they are
// turned; each part may be nil.
type adjustment struct {
	bq, bk, bv   []float32 // h*e, g*e, g*e: added
	qNorm, kNorm []float32 // e: norms of each head
}

func newAdjustment(i int, vector func(name string) []float32) adjustment {
	part := func(name string) []float32 { return vector(fmt.Sprintf("blk.%d.%s", i, name)) }
	return adjustment{
		bq: part("attn_q.bias"), bk: part("attn_k.bias"), bv: part("attn_v.bias"),
		qNorm: part("attn_q_norm.weight"), kNorm: part("attn_k_norm.weight"),
	}
}

// adjust applies a layer's adjustment to the queries, keys and values of n
// tokens.
func (s *Session) adjust(l *layer, n int) {
	a := &l.adjustment
	if a.bq == nil && a.bk == nil && a.bv == nil && a.qNorm == nil && a.kNorm == nil {
		return
	}
	c, b := &s.model.config, &s.buffers
	s.model.pool.each(n, l.wq.Rows, func(t int) {
		one := func(x []float32, width int, bias, norm []float32) {
			x = x[t*width : (t+1)*width]
			if bias != nil {
				s.model.set.Add(x, bias)
			}
			if norm != nil {
				for ; len(x) > 0; x = x[len(norm):] {
					s.model.set.RMSNorm(x[:len(norm)], x[:len(norm)], norm, c.epsilon)
				}
			}
		}
		one(b.q, l.wq.Rows, a.bq, a.qNorm)
		one(b.k, l.wk.Rows, a.bk, a.kNorm)
		one(b.v, l.wv.Rows, a.bv, nil)
	})
}

// addBias adds a bias, which may be nil, to the results of n tokens in x.
func (s *Session) addBias(x, bias []float32, n int) {
	for t := 0; t < n && bias != nil; t++ {
		s.model.set.Add(x[t*len(bias):(t+1)*len(bias)], bias)
	}
}
