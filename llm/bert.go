package llm

import (
	"context"
	"errors"
	"fmt"
	"math"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
	"alphaos/llm/tokenizer"
)

// The bert graph: a text as a whole becomes one vector, its embedding. Every
// token looks at every other, so there is nothing to remember from call to
// call, and norms stand behind the steps instead of before them. Notation as
// in llama.go; norms here are layer norms, with a bias.

var bert = &architecture{name: "bert", encoder: true}

// encoderLayer is the weights of one block.
type encoderLayer struct {
	wq, wk, wv, wo      *kernel.Matrix // d x d
	bq, bk, bv, bo      []float32      // d
	attnNorm, attnNormB []float32      // d
	up, down            *kernel.Matrix // f x d, d x f
	upB, downB          []float32      // f, d
	outNorm, outNormB   []float32      // d
}

// encoder is the weights of a bert model and the memory to compute with.
type encoder struct {
	tokens, positions *kernel.Matrix // vocabulary x d, context x d
	kind              []float32      // d: of the first kind of text, the only one here
	norm, normB       []float32      // d
	layers            []encoderLayer
	first             bool // the embedding is the first token's, not the mean

	// Memory to compute with, for room tokens; it grows with the texts.
	room        int
	x, h        []float32      // room x d
	q, k, v     []float32      // room x d
	up          []float32      // room x f
	keys, vals  []*kernel.Rows // of each head, room x e
	queries     []*kernel.Activations
	gathered    [][]float32 // for each thread, room x e
	scores      [][]float32 // for each thread, room x room
	activations map[formKey]*kernel.Activations
}

// Embedder reports whether the model computes embeddings of texts (Embed) and
// not their continuation (NewSession).
func (m *Model) Embedder() bool { return m.config.arch.encoder }

// EmbedText is the embedding of a text: Embed of its tokens, as many as the
// model can take.
func (m *Model) EmbedText(ctx context.Context, text string) ([]float32, error) {
	ids := m.tokenizer.Encode(text, tokenizer.EncodeOptions{AddBOS: true, AddEOS: true})
	if most := m.config.context; len(ids) > most {
		ids[most-1] = ids[len(ids)-1] // the token that ends a text
		ids = ids[:most]
	}
	return m.Embed(ctx, ids)
}

// Embed is the embedding of a text of 1 to Info().Context tokens, with those
// that begin and end it: the model's last state of each token, pooled as the
// model was trained for and scaled to length 1. There are Info().Embedding
// numbers.
func (m *Model) Embed(ctx context.Context, ids []int32) ([]float32, error) {
	c := &m.config
	switch {
	case !c.arch.encoder:
		return nil, fmt.Errorf("a model of architecture %s continues texts; for embeddings use one of architecture %s, such as all-MiniLM-L6-v2", c.arch.name, bert.name)
	case len(ids) == 0:
		return nil, errors.New("no tokens to embed")
	case len(ids) > c.context:
		return nil, fmt.Errorf("a text of %d tokens is longer than the %d this model can take", len(ids), c.context)
	}
	for _, id := range ids {
		if id < 0 || int(id) >= c.vocabulary {
			return nil, fmt.Errorf("token %d is not in the model's vocabulary of %d", id, c.vocabulary)
		}
	}
	m.busy.Lock()
	defer m.busy.Unlock()
	if m.closed {
		return nil, errors.New("the model has been closed")
	}
	e := m.encoder
	if len(ids) > e.room {
		m.prepareEncoder(min(c.context, max(128, 2*len(ids))))
	}
	if err := m.encode(ctx, ids); err != nil {
		return nil, err
	}
	d := c.embedding
	y := make([]float32, d)
	if e.first {
		copy(y, e.x[:d])
	} else {
		for t := range ids {
			add(y, e.x[t*d:(t+1)*d])
		}
	}
	var sum float64
	for _, v := range y {
		sum += float64(v) * float64(v)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil, errNotNumbers
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range y {
		y[i] *= scale
	}
	return y, nil
}

// encode leaves the last states of ids in the first rows of x.
func (m *Model) encode(ctx context.Context, ids []int32) error {
	c, e := &m.config, m.encoder
	n, d, f := len(ids), c.embedding, c.feedForward
	x, h := e.x[:n*d], e.h[:n*d]
	m.pool.each(n, 4*d, func(t int) {
		row, position := x[t*d:(t+1)*d], h[t*d:(t+1)*d]
		e.tokens.Row(row, int(ids[t]))
		e.positions.Row(position, t)
		add(row, position)
		add(row, e.kind)
		layerNorm(row, e.norm, e.normB, c.epsilon)
	})
	for i := range e.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		l := &e.layers[i]

		// Attention, added to the input; then the norm.
		m.encoderMul(x, n, product{l.wq, e.q}, product{l.wk, e.k}, product{l.wv, e.v})
		m.lookAround(l, n)
		m.encoderMul(e.q[:n*d], n, product{l.wo, h})
		m.join(x, h, l.bo, l.attnNorm, l.attnNormB, n)

		// Feed forward: down(gelu(up(x))), added; then the norm.
		m.encoderMul(x, n, product{l.up, e.up})
		m.pool.each(n, 4*f, func(t int) {
			row := e.up[t*f : (t+1)*f]
			add(row, l.upB)
			m.set.Gelu(row)
		})
		m.encoderMul(e.up[:n*f], n, product{l.down, h})
		m.join(x, h, l.downB, l.outNorm, l.outNormB, n)
	}
	return nil
}

// join makes x = norm(x + h + bias) for n tokens.
func (m *Model) join(x, h, bias, w, b []float32, n int) {
	d := m.config.embedding
	m.pool.each(n, 4*d, func(t int) {
		row := x[t*d : (t+1)*d]
		add(row, h[t*d:(t+1)*d])
		add(row, bias)
		layerNorm(row, w, b, m.config.epsilon)
	})
}

// lookAround replaces the queries by the attention's results: for each token
// and head the sum of all values, weighted by softmax(query*key/sqrt(e)).
func (m *Model) lookAround(l *encoderLayer, n int) {
	c, e := &m.config, m.encoder
	d := c.embedding
	m.pool.run(c.heads, n*n*d*8, func(worker, head int) {
		at, keys, vals, queries := head*c.head, e.keys[head], e.vals[head], e.gathered[worker][:n*c.head]
		for t := range n {
			q, k, v := e.q[t*d+at:][:c.head], e.k[t*d+at:][:c.head], e.v[t*d+at:][:c.head]
			add(q, l.bq[at:at+c.head])
			add(k, l.bk[at:at+c.head])
			add(v, l.bv[at:at+c.head])
			copy(queries[t*c.head:], q)
			keys.Put(t, k)
			vals.Put(t, v)
		}
		scores := e.scores[worker][:n*n]
		e.queries[worker].Set(queries, n)
		keys.Mul(scores, n, e.queries[worker], n)
		for t := range n {
			weights, out := scores[t*n:(t+1)*n], e.q[t*d+at:][:c.head]
			m.set.Softmax(weights, c.attentionScale)
			clear(out)
			vals.Sum(out, weights)
		}
	})
}

// encoderMul multiplies the n vectors in x with several matrices.
func (m *Model) encoderMul(x []float32, n int, products ...product) {
	e, cols := m.encoder, products[0].m.Cols
	for _, p := range products {
		key := formKey{kernel.FormOf(p.m.Type), cols}
		a := e.activations[key]
		if a == nil {
			a = m.set.NewActivations(key.form, cols, e.room)
			e.activations[key] = a
		}
		if p.m == products[0].m || key.form != kernel.FormOf(products[0].m.Type) {
			a.Hold(x, n)
			m.pool.each(n, cols, func(t int) { a.Prepare(t, t+1) })
		}
		piece := max(16, (p.m.Rows/(m.pool.threads*4)+15)&^15)
		m.pool.run((p.m.Rows+piece-1)/piece, p.m.Bytes()*n, func(_, part int) {
			p.m.Mul(p.y, p.m.Rows, a, part*piece, min((part+1)*piece, p.m.Rows))
		})
	}
}

// layerNorm makes x = (x - mean(x)) / sqrt(variance(x) + epsilon) * w + b.
func layerNorm(x, w, b []float32, epsilon float64) {
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
	}
	mean := float32(sum / float64(len(x)))
	for i, v := range x {
		v -= mean
		x[i] = v
		squares += float64(v) * float64(v)
	}
	scale := float32(1 / math.Sqrt(squares/float64(len(x))+epsilon))
	w, b = w[:len(x)], b[:len(x)]
	for i, v := range x {
		x[i] = v*scale*w[i] + b[i]
	}
}

// encoderShapes lists every tensor of a bert model.
func (c *config) encoderShapes(f *gguf.File) map[string][2]int {
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

// readEncoder checks what only bert has in its metadata.
func (c *config) readEncoder(f *gguf.File) error {
	if causal, ok := f.Bool("bert.attention.causal"); ok && causal {
		return errors.New("bert models whose tokens look only back are not supported")
	}
	if c.kvHeads != c.heads || c.head*c.heads != c.embedding {
		return fmt.Errorf("the model's %d heads of %d do not make up its embedding of %d: the file is damaged or was converted wrongly", c.heads, c.head, c.embedding)
	}
	if n, ok := f.Uint("bert.pooling_type"); ok && n > 2 {
		return fmt.Errorf("the model's embeddings are pooled in a way (%d) that is not supported; supported are the mean (1) and the first token (2)", n)
	}
	return nil
}

// bindEncoder gives the graph its weights.
func (m *Model) bindEncoder(matrix func(string) *kernel.Matrix, vector func(string) []float32) {
	e := &encoder{
		tokens: matrix("token_embd.weight"), positions: matrix("position_embd.weight"),
		norm: vector("token_embd_norm.weight"), normB: vector("token_embd_norm.bias"),
	}
	if kinds := matrix("token_types.weight"); kinds != nil {
		e.kind = make([]float32, m.config.embedding)
		kinds.Row(e.kind, 0)
	}
	pooling, _ := m.file.Uint("bert.pooling_type")
	e.first = pooling == 2
	for i := range m.config.layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s", i, part) }
		e.layers = append(e.layers, encoderLayer{
			wq: matrix(name("attn_q.weight")), wk: matrix(name("attn_k.weight")), wv: matrix(name("attn_v.weight")), wo: matrix(name("attn_output.weight")),
			bq: vector(name("attn_q.bias")), bk: vector(name("attn_k.bias")), bv: vector(name("attn_v.bias")), bo: vector(name("attn_output.bias")),
			attnNorm: vector(name("attn_output_norm.weight")), attnNormB: vector(name("attn_output_norm.bias")),
			up: matrix(name("ffn_up.weight")), down: matrix(name("ffn_down.weight")),
			upB: vector(name("ffn_up.bias")), downB: vector(name("ffn_down.bias")),
			outNorm: vector(name("layer_output_norm.weight")), outNormB: vector(name("layer_output_norm.bias")),
		})
	}
	m.encoder = e
}

// prepareEncoder takes memory for texts of n tokens.
func (m *Model) prepareEncoder(n int) {
	c, e := &m.config, m.encoder
	e.room = n
	for _, p := range []*[]float32{&e.x, &e.h, &e.q, &e.k, &e.v} {
		*p = make([]float32, n*c.embedding)
	}
	e.up = make([]float32, n*c.feedForward)
	e.keys, e.vals, e.queries, e.gathered, e.scores = nil, nil, nil, nil, nil
	for range c.heads {
		e.keys = append(e.keys, m.set.NewRows(n, c.head, false))
		e.vals = append(e.vals, m.set.NewRows(n, c.head, false))
	}
	for range m.pool.threads {
		e.queries = append(e.queries, m.set.NewActivations(kernel.PlainF32, c.head, n))
		e.gathered = append(e.gathered, make([]float32, n*c.head))
		e.scores = append(e.scores, make([]float32, n*n))
	}
	e.activations = map[formKey]*kernel.Activations{}
}
