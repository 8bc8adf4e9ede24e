package synth

import (
	"fmt"
	"math"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// family is what a shape has that llama's have not.
type family struct {
	arch       string // "": llama
	headNorms  bool
	experts    int // of a layer; expertsUsed of them serve a token
	used       int
	expertWide int // feed-forward length of an expert
	window     int // in layers that have one
	small      int // length of a head in these; 0: as in the others
	shared     int // layers, the last ones, that use other layers' keys and values
	own        int // length of what each layer gets of each token by itself
	keys       int // of a delta net: heads of keys, heads of values, and their length
	values     int
	state      int
	guesses    bool // a block behind the layers guesses
}

// families are shapes of other architectures, with small ones for tests.
var families = []Shape{
	{Name: "qwen3.5-4b", embedding: 2560, feedForward: 9216, layers: 32, heads: 16, kvHeads: 4, head: 256, vocabulary: 248320, context: 262144, tied: true, base: 1e7,
		family: family{arch: "qwen35", headNorms: true, keys: 16, values: 32, state: 128}},
	{Name: "gemma-4-e4b", embedding: 2560, feedForward: 10240, layers: 42, heads: 8, kvHeads: 2, head: 512, vocabulary: 262144, context: 131072, tied: true, base: 1e6,
		family: family{arch: "gemma4", headNorms: true, window: 512, small: 256, shared: 18, own: 256}},
	{Name: "qwen3-30b-a3b", embedding: 2048, feedForward: 6144, layers: 48, heads: 32, kvHeads: 4, head: 128, vocabulary: 151936, context: 40960, base: 1e6,
		family: family{arch: "qwen3moe", headNorms: true, experts: 128, used: 8, expertWide: 768}},
	{Name: "gpt-oss-20b", embedding: 2880, feedForward: 2880, layers: 24, heads: 64, kvHeads: 8, head: 64, vocabulary: 201088, context: 131072, base: 150000,
		family: family{arch: "gpt-oss", experts: 32, used: 4, expertWide: 2880, window: 128}},
	{Name: "ternary-bonsai-2-4b", embedding: 2560, feedForward: 9728, layers: 36, heads: 32, kvHeads: 8, head: 128, vocabulary: 151936, context: 40960, tied: true, base: 1e6,
		family: family{arch: "qwen3", headNorms: true}},
	{Name: "qwen3-30b-a3b-layers", embedding: 2048, feedForward: 6144, layers: 3, heads: 32, kvHeads: 4, head: 128, vocabulary: 512, context: 4096, base: 1e6, // three of its layers
		family: family{arch: "qwen3moe", headNorms: true, experts: 128, used: 8, expertWide: 768}},
	{Name: "qwen3.5-4b-layers", embedding: 2560, feedForward: 9216, layers: 8, heads: 16, kvHeads: 4, head: 256, vocabulary: 62080, context: 4096, tied: true, base: 1e7, // a quarter of it
		family: family{arch: "qwen35", headNorms: true, keys: 16, values: 32, state: 128, guesses: true}},
	{Name: "tiny-qwen35", embedding: 128, feedForward: 256, layers: 5, heads: 4, kvHeads: 2, head: 64, vocabulary: 512, context: 512, tied: true, base: 1e4,
		family: family{arch: "qwen35", headNorms: true, keys: 2, values: 4, state: 32, guesses: true}},
	{Name: "tiny-gemma4", embedding: 128, feedForward: 256, layers: 8, heads: 4, kvHeads: 1, head: 64, vocabulary: 512, context: 512, tied: true, base: 1e4,
		family: family{arch: "gemma4", headNorms: true, window: 16, small: 32, shared: 2, own: 32}},
	{Name: "tiny-qwen3moe", embedding: 128, feedForward: 128, layers: 3, heads: 4, kvHeads: 2, head: 32, vocabulary: 512, context: 512, base: 1e4,
		family: family{arch: "qwen3moe", headNorms: true, experts: 16, used: 4, expertWide: 128}},
	{Name: "tiny-gpt-oss", embedding: 128, feedForward: 128, layers: 4, heads: 4, kvHeads: 2, head: 32, vocabulary: 512, context: 512, base: 1e4,
		family: family{arch: "gpt-oss", experts: 8, used: 2, expertWide: 128, window: 16}},
}

// sliding reports whether a layer has a window.
func (s *Shape) sliding(i int) bool {
	switch s.arch {
	case "gemma4":
		return i%6 != 5 && (s.layers > 8 || i%3 != 2) && i != s.layers-1
	case "gpt-oss":
		return i%2 == 0
	}
	return false
}

// ownTensors lists those outside the layers of a family that llama has not.
func (s *Shape) ownTensors(vector func(string, int), matrix func(string, gguf.Type, int, int), m Mixture) {
	if s.own > 0 {
		matrix("per_layer_token_embd.weight", m.base, s.vocabulary, s.own*s.layers)
		matrix("per_layer_model_proj.weight", gguf.F16, s.own*s.layers, s.embedding)
		vector("per_layer_proj_norm.weight", s.own)
	}
	if s.arch == "gemma4" {
		vector("rope_freqs.weight", s.head/2)
	}
}

// layer lists the tensors of layer i of a family but llama. stack lists one of three dimensions.
func (s *Shape) layer(i int, vector func(string, int), matrix func(string, gguf.Type, int, int), stack func(string, gguf.Type, int, int, int), base, more gguf.Type) {
	p, d, head := fmt.Sprintf("blk.%d.", i), s.embedding, s.head
	if s.sliding(i) && s.small > 0 {
		head = s.small
	}
	vector(p+"attn_norm.weight", d)
	if s.keys > 0 && (i+1)%4 != 0 && i < s.layers {
		channels, inner := 2*s.keys*s.state+s.values*s.state, s.values*s.state
		matrix(p+"attn_qkv.weight", base, channels, d)
		matrix(p+"attn_gate.weight", base, inner, d)
		matrix(p+"ssm_conv1d.weight", gguf.F32, channels, 4)
		vector(p+"ssm_dt.bias", s.values)
		vector(p+"ssm_a", s.values)
		matrix(p+"ssm_beta.weight", base, s.values, d)
		matrix(p+"ssm_alpha.weight", base, s.values, d)
		vector(p+"ssm_norm.weight", s.state)
		matrix(p+"ssm_out.weight", more, d, inner)
	} else {
		q, kv := s.heads*head, s.kvHeads*head
		wide := q
		if s.arch == "qwen35" {
			wide *= 2
		}
		matrix(p+"attn_q.weight", base, wide, d)
		matrix(p+"attn_output.weight", base, d, q)
		if i < s.blocks()-s.shared {
			matrix(p+"attn_k.weight", base, kv, d)
			matrix(p+"attn_v.weight", more, kv, d)
			if s.headNorms {
				vector(p+"attn_k_norm.weight", head)
			}
		}
		if s.headNorms {
			vector(p+"attn_q_norm.weight", head)
		}
		if s.arch == "gpt-oss" {
			vector(p+"attn_sinks.weight", s.heads)
			vector(p+"attn_q.bias", q)
			vector(p+"attn_k.bias", kv)
			vector(p+"attn_v.bias", kv)
			vector(p+"attn_output.bias", d)
		}
	}
	switch s.arch {
	case "qwen35", "gpt-oss":
		vector(p+"post_attention_norm.weight", d)
	case "gemma4":
		for _, name := range []string{"post_attention_norm", "ffn_norm", "post_ffw_norm", "post_norm"} {
			vector(p+name+".weight", d)
		}
		vector(p+"layer_output_scale.weight", 1)
		matrix(p+"inp_gate.weight", base, s.own, d)
		matrix(p+"proj.weight", base, d, s.own)
	default:
		vector(p+"ffn_norm.weight", d)
	}
	if s.experts == 0 {
		matrix(p+"ffn_gate.weight", base, s.feedForward, d)
		matrix(p+"ffn_up.weight", base, s.feedForward, d)
		matrix(p+"ffn_down.weight", more, d, s.feedForward)
		return
	}
	matrix(p+"ffn_gate_inp.weight", gguf.F32, s.experts, d)
	if s.arch == "gpt-oss" {
		vector(p+"ffn_gate_inp.bias", s.experts)
	}
	stack(p+"ffn_gate_exps.weight", base, s.expertWide, d, s.experts)
	stack(p+"ffn_up_exps.weight", base, s.expertWide, d, s.experts)
	stack(p+"ffn_down_exps.weight", more, d, s.expertWide, s.experts)
	if s.arch == "gpt-oss" {
		stack(p+"ffn_gate_exps.bias", gguf.F32, s.experts, s.expertWide, 0)
		stack(p+"ffn_up_exps.bias", gguf.F32, s.experts, s.expertWide, 0)
		stack(p+"ffn_down_exps.bias", gguf.F32, s.experts, d, 0)
	}
}

// blocks is how many there are, layers and others.
func (s *Shape) blocks() int {
	if s.guesses {
		return s.layers + 1
	}
	return s.layers
}

// guessing lists what a block for guesses has beside a layer.
func (s *Shape) guessing(vector func(string, int), matrix func(string, gguf.Type, int, int), base gguf.Type) {
	p, d := fmt.Sprintf("blk.%d.nextn.", s.layers), s.embedding
	matrix(p+"eh_proj.weight", base, d, 2*d)
	for _, name := range []string{"enorm", "hnorm", "shared_head_norm"} {
		vector(p+name+".weight", d)
	}
}

// familyMetadata is what a family has beside llama's.
func (s *Shape) familyMetadata(set func(key string, value any)) {
	a := s.arch + "."
	switch s.arch {
	case "qwen35":
		rotated := s.head / 4
		set(a+"rope.dimension_count", rotated)
		set(a+"rope.dimension_sections", []int32{int32(rotated / 2), int32(rotated / 2), int32(rotated / 2), 0})
		set(a+"full_attention_interval", 4)
		if s.guesses {
			set(a+"nextn_predict_layers", 1)
		}
		set(a+"ssm.conv_kernel", 4)
		set(a+"ssm.inner_size", s.values*s.state)
		set(a+"ssm.state_size", s.state)
		set(a+"ssm.time_step_rank", s.values)
		set(a+"ssm.group_count", s.keys)
	case "gemma4":
		var pattern []bool
		for i := range s.layers {
			pattern = append(pattern, s.sliding(i))
		}
		set(a+"attention.sliding_window_pattern", pattern)
		set(a+"attention.key_length_swa", s.small)
		set(a+"attention.value_length_swa", s.small)
		set(a+"rope.dimension_count_swa", s.small)
		set(a+"attention.shared_kv_layers", s.shared)
		set(a+"embedding_length_per_layer_input", s.own)
	case "gpt-oss":
		set(a+"rope.scaling.type", "yarn")
		set(a+"rope.scaling.factor", float32(32))
		set(a+"rope.scaling.original_context_length", 4096)
	}
	if s.window > 0 {
		set(a+"attention.sliding_window", s.window)
	}
	if s.experts > 0 {
		set(a+"expert_count", s.experts)
		set(a+"expert_used_count", s.used)
		set(a+"expert_feed_forward_length", s.expertWide)
	}
}

// Routers of random weights choose all experts alike, and see little of the token after a few layers of them. Trained ones
// have favourites, other ones in each layer, and a layer changes what it adds to by little, so that the next router
// can be foreseen. So tokens are entered with numbers larger than what layers add, and the first of these is the same for all
// tokens: what a router multiplies it with is what it adds to the numbers of its experts, whether the architecture has a bias or not.
// With a third of the experts in memory 84 to 88 % of the choices are met, and the next router's are foreseen to four fifths.
const (
	tokenSize    = 2    // the root mean square of what a token is entered as
	commonNumber = 3.4  // its first number
	rankSlope    = -0.5 // by which the numbers of experts fall with the logarithm of their rank
)

// skew is what a router adds to the number of an expert.
func skew(layer, expert, experts int) float64 {
	rank := (expert*37 + layer*11) % experts
	return rankSlope * math.Log(float64(1+rank))
}

// favour makes a router of random weights one with favourites.
func (s *Shape) favour(name string, b []byte) {
	layer := 0
	fmt.Sscanf(name, "blk.%d.", &layer)
	for i := range s.experts {
		le.PutUint32(b[4*i*s.embedding:], math.Float32bits(float32(skew(layer, i, s.experts)*tokenSize/commonNumber)))
	}
}

// enter gives the tokens in rows of an embedding their common number.
func (s *Shape) enter(t gguf.Type, b []byte) {
	x := make([]float32, t.BlockSize())
	for row := s.embedding / t.BlockSize() * t.BlockBytes(); len(b) > 0; b = b[row:] {
		kernel.Dequantize(t, x, b[:t.BlockBytes()])
		x[0] = commonNumber
		kernel.Quantize(t, b[:t.BlockBytes()], x)
	}
}
