package llm

import (
	"context"
	"fmt"
	"math"
	"strings"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/tokenizer"
)

// pooling is how the states of a text's tokens become one vector, numbered as in files.
type pooling uint8

const (
	poolNone pooling = iota
	poolMean
	poolFirst
	poolLast
	poolRank // a ranking head makes scores of one of the others
)

func readPooling(m *metadata) pooling {
	n, ok := m.file.Uint(m.prefix + "pooling_type")
	if ok && n > uint64(poolRank) {
		m.fail("the model's embeddings are pooled in a way (%d) that is not supported; supported are the mean (1), the first (2) and the last token (3), and ranks (4)", n)
		return poolNone
	}
	return pooling(n)
}

// rankHead is what reranking models make scores with. What a model does not have is nil.
type rankHead struct {
	state           pooling // of which vector
	dense, bias     []float32
	norm            []float32
	output, outBias []float32 // labels x d, labels
	gelu            bool      // instead of tanh
	probabilities   bool      // softmax of the scores
}

// rankTensors lists those of a ranking head.
func rankTensors(c *config, f *gguf.File) map[string]shape {
	d, s := c.embedding, map[string]shape{"cls.output.weight": {c.labels, c.embedding}}
	if t, ok := f.Tensor("cls.output.weight"); ok && len(t.Dims) == 1 && c.labels == 1 {
		s["cls.output.weight"] = shape{0, d}
	}
	for name, size := range map[string]shape{"cls.weight": {d, d}, "cls.bias": {0, d}, "cls.norm.weight": {0, d}, "cls.output.bias": {0, c.labels}} {
		if _, ok := f.Tensor(name); ok {
			s[name] = size
		}
	}
	return s
}

func (b *binder) rankHead() *rankHead {
	c := &b.model.config
	if c.pooling != poolRank {
		return nil
	}
	r := &rankHead{
		state: c.arch.ranks, gelu: c.activation == gelu, probabilities: !c.arch.embeds,
		dense: b.vector("cls.weight"), bias: b.vector("cls.bias"), norm: b.vector("cls.norm.weight"), output: b.vector("cls.output.weight"), outBias: b.vector("cls.output.bias"),
	}
	return r
}

// scores makes the scores of a pooled vector.
func (r *rankHead) scores(set *kernel.Set, x []float32, epsilon float64) []float32 {
	times := func(w, bias, x []float32) []float32 {
		y := make([]float32, len(w)/len(x))
		for i := range y {
			sum := float64(at(bias, i))
			for j, v := range x {
				sum += float64(w[i*len(x)+j]) * float64(v)
			}
			y[i] = float32(sum)
		}
		return y
	}
	if r.dense != nil {
		x = times(r.dense, r.bias, x)
		if r.gelu {
			set.Gelu(x)
		} else {
			for i, v := range x {
				x[i] = float32(math.Tanh(float64(v)))
			}
		}
		if r.norm != nil {
			zero := make([]float32, len(x))
			set.AddNorm(x, zero, zero, r.norm, zero, epsilon)
		}
	}
	y := times(r.output, r.outBias, x)
	if r.probabilities {
		set.Softmax(y, 1)
	}
	return y
}

// Reranker reports whether the model tells how well a text answers a query (Rank).
func (m *Model) Reranker() bool { return m.config.pooling == poolRank }

// Rank is how well a text answers a query: the model's first score, the higher the better. What a
// text has beyond LongestText is left out.
func (m *Model) Rank(ctx context.Context, query, text string) (float32, error) {
	if !m.Reranker() {
		return 0, fmt.Errorf("a model of architecture %s does not rank texts; for that use a reranking model", m.config.arch.name)
	}
	var ids []int32
	all := tokenizer.EncodeOptions{AddBOS: true, AddEOS: true}
	if template, ok := m.file.String("tokenizer.chat_template.rerank"); ok {
		all.ParseSpecial = true
		ids = m.tokenizer.Encode(strings.NewReplacer("{query}", query, "{document}", text).Replace(template), all)
	} else {
		ids = append(m.tokenizer.Encode(query, all), m.tokenizer.Encode(text, tokenizer.EncodeOptions{AddEOS: true})...)
	}
	scores, err := m.scores(ctx, m.cutShort(ids))
	if err != nil {
		return 0, err
	}
	return scores[0], nil
}

// scores are those of tokens.
func (m *Model) scores(ctx context.Context, ids []int32) ([]float32, error) {
	y, err := m.pool1(ctx, ids)
	if err == nil && !finite(y) {
		err = errNotNumbers
	}
	return y, err
}

// pool1 is what a model makes of one text, as it is.
func (m *Model) pool1(ctx context.Context, ids []int32) ([]float32, error) {
	y, err := m.embedAll(ctx, [][]int32{ids}, false)
	if err != nil {
		return nil, err
	}
	return y[0], nil
}
