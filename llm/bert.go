package llm

import (
	"errors"
	"fmt"

	"alphaos/llm/gguf"
)

// bert is BERT and whoever else builds the same graph, all-MiniLM among them.
var bert = &architecture{
	name: "bert", embeds: true, epsilon: "attention.layer_norm_epsilon",
	read: readBert, tensors: bertTensors, bind: bindBert,
}

// bertTensors lists all tensors.
func bertTensors(c *config, f *gguf.File) map[string][2]int {
	d := c.embedding
	s := map[string][2]int{
		"token_embd.weight": {c.vocabulary, d}, "position_embd.weight": {c.context, d},
		"token_embd_norm.weight": {0, d}, "token_embd_norm.bias": {0, d},
	}
	if t, ok := f.Tensor("token_types.weight"); ok && len(t.Dims) == 2 && t.Dims[1] <= 16 {
		s["token_types.weight"] = [2]int{int(t.Dims[1]), d}
	} else {
		s["token_types.weight"] = [2]int{2, d}
	}
	for i := range c.layers {
		for name, shape := range map[string][2]int{
			"attn_q.weight": {d, d}, "attn_k.weight": {d, d}, "attn_v.weight": {d, d}, "attn_output.weight": {d, d},
			"attn_q.bias": {0, d}, "attn_k.bias": {0, d}, "attn_v.bias": {0, d}, "attn_output.bias": {0, d},
			"attn_output_norm.weight": {0, d}, "attn_output_norm.bias": {0, d},
			"ffn_up.weight": {c.feedForward, d}, "ffn_down.weight": {d, c.feedForward},
			"ffn_up.bias": {0, c.feedForward}, "ffn_down.bias": {0, d},
			"layer_output_norm.weight": {0, d}, "layer_output_norm.bias": {0, d},
		} {
			s[fmt.Sprintf("blk.%d.%s", i, name)] = shape
		}
	}
	return s
}

// readBert checks what only bert has in its metadata.
func readBert(c *config, f *gguf.File) error {
	if causal, ok := f.Bool("bert.attention.causal"); ok && causal {
		return errors.New("bert models whose tokens look only back are not supported")
	}
	for _, l := range c.layer {
		if l != c.layer[0] {
			return errors.New("bert models whose layers differ in heads or feed-forward length are not supported")
		}
	}
	if c.kvHeads != c.heads || c.head*c.heads != c.embedding {
		return fmt.Errorf("the model's %d heads of %d do not make up its embedding of %d: the file is damaged or was converted wrongly", c.heads, c.head, c.embedding)
	}
	if n, ok := f.Uint("bert.pooling_type"); ok && n > 2 {
		return fmt.Errorf("the model's embeddings are pooled in a way (%d) that is not supported; supported are the mean (1) and the first token (2)", n)
	}
	return nil
}

// bindBert gives the model its encoder.
func bindBert(b *binder) {
	m := b.model
	b.wait(m.end())
	e := &encoder{
		tokens: b.matrix("token_embd.weight"), positions: b.matrix("position_embd.weight"),
		norm: b.vector("token_embd_norm.weight"), normB: b.vector("token_embd_norm.bias"),
	}
	if kinds := b.matrix("token_types.weight"); kinds != nil && b.err == nil {
		e.kind = make([]float32, m.config.embedding)
		kinds.Row(e.kind, 0)
	}
	pooling, _ := m.file.Uint("bert.pooling_type")
	e.first = pooling == 2
	for i := range m.config.layers {
		part := func(name string) string { return fmt.Sprintf("blk.%d.%s", i, name) }
		e.layers = append(e.layers, encoderLayer{
			wq: b.matrix(part("attn_q.weight")), wk: b.matrix(part("attn_k.weight")), wv: b.matrix(part("attn_v.weight")), wo: b.matrix(part("attn_output.weight")),
			bq: b.vector(part("attn_q.bias")), bk: b.vector(part("attn_k.bias")), bv: b.vector(part("attn_v.bias")), bo: b.vector(part("attn_output.bias")),
			attnNorm: b.vector(part("attn_output_norm.weight")), attnNormB: b.vector(part("attn_output_norm.bias")),
			up: b.matrix(part("ffn_up.weight")), down: b.matrix(part("ffn_down.weight")),
			upB: b.vector(part("ffn_up.bias")), downB: b.vector(part("ffn_down.bias")),
			outNorm: b.vector(part("layer_output_norm.weight")), outNormB: b.vector(part("layer_output_norm.bias")),
		})
	}
	m.encoder = e
}
