package llm

import (
	"context"
	"errors"
	"fmt"
	"math"

	"alphaos/llm/kernel"
	"alphaos/llm/tokenizer"
)

// The graph of models that embed texts: a text as a whole becomes one vector, its embedding. Every
// token looks at every other, so there is nothing to remember from call to
// call, and norms stand behind the steps instead of before them. Notation as
// in decoder.go; norms here are layer norms, with a bias.

// encoderLayer is the weights of one block.
type encoderLayer struct {
	wq, wk, wv, wo      *kernel.Matrix // d x d
	bq, bk, bv, bo      []float32      // d
	attnNorm, attnNormB []float32      // d
	up, down            *kernel.Matrix // f x d, d x f
	upB, downB          []float32      // f, d
	outNorm, outNormB   []float32      // d
}

// encoder is the weights of a model that embeds texts and the memory to compute with.
type encoder struct {
	tokens, positions *kernel.Matrix // vocabulary x d, context x d
	kind              []float32      // d: of the first kind of text, the only one here
	norm, normB       []float32      // d
	layers            []encoderLayer
	first             bool // the embedding is the first token's, not the mean

	// Memory to compute with: for room tokens, in texts of at most longest. It
	// grows with the texts.
	room, longest int
	texts         []textSpan
	x, h          []float32 // room x d
	q, k, v       []float32 // room x d
	up            []float32 // room x f
	workers       []encoderWorker
	activations   map[formKey]*kernel.Activations
}

// encoderWorker is memory of one thread.
type encoderWorker struct {
	keys, vals []float32 // e x wide(longest), longest x e: of one head
	scores     []float32 // encoderRows x wide(longest)
}

const (
	encoderBatch = 256 // tokens of several texts computed together at most
	encoderRows  = 32  // queries of a head that attend together
)

// textSpan is where a text lies among the tokens computed together.
type textSpan struct{ from, n int }

// Embedder reports whether the model computes embeddings of texts (Embed) and
// not their continuation (NewSession).
func (m *Model) Embedder() bool { return m.config.arch.embeds }

// EmbedText is the embedding of a text: Embed of its tokens, as many as the
// model can take.
func (m *Model) EmbedText(ctx context.Context, text string) ([]float32, error) {
	return m.Embed(ctx, m.embeddingTokens(text))
}

// EmbedTexts is EmbedText of each text. Short texts are computed together,
// which is faster than one by one.
func (m *Model) EmbedTexts(ctx context.Context, texts []string) ([][]float32, error) {
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		ids[i] = m.embeddingTokens(text)
	}
	return m.embedAll(ctx, ids)
}

func (m *Model) embeddingTokens(text string) []int32 {
	ids := m.tokenizer.Encode(text, tokenizer.EncodeOptions{AddBOS: true, AddEOS: true})
	if most := m.config.context; len(ids) > most {
		ids[most-1] = ids[len(ids)-1] // the token that ends a text
		ids = ids[:most]
	}
	return ids
}

// Embed is the embedding of a text of 1 to Info().Context tokens, with those
// that begin and end it: the model's last state of each token, pooled as the
// model was trained for and scaled to length 1. There are Info().Embedding
// numbers.
func (m *Model) Embed(ctx context.Context, ids []int32) ([]float32, error) {
	y, err := m.embedAll(ctx, [][]int32{ids})
	if err != nil {
		return nil, err
	}
	return y[0], nil
}

func (m *Model) embedAll(ctx context.Context, texts [][]int32) ([][]float32, error) {
	c := &m.config
	if !c.arch.embeds {
		return nil, fmt.Errorf("a model of architecture %s continues texts; for embeddings use one of architecture bert, such as all-MiniLM-L6-v2", c.arch.name)
	}
	for _, ids := range texts {
		switch {
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
	}
	m.busy.Lock()
	defer m.busy.Unlock()
	if m.closed {
		return nil, errors.New("the model has been closed")
	}
	var all [][]float32
	for len(texts) > 0 {
		n, together := 0, 0
		for together < len(texts) && (together == 0 || n+len(texts[together]) <= encoderBatch) {
			n += len(texts[together])
			together++
		}
		if err := m.encode(ctx, texts[:together]); err != nil {
			return nil, err
		}
		for _, text := range m.encoder.texts {
			y, err := m.pooled(text)
			if err != nil {
				return nil, err
			}
			all = append(all, y)
		}
		texts = texts[together:]
	}
	return all, nil
}

// pooled is the embedding of a text that was encoded.
func (m *Model) pooled(text textSpan) ([]float32, error) {
	e, d := m.encoder, m.config.embedding
	y := make([]float32, d)
	if e.first {
		copy(y, e.x[text.from*d:])
	} else {
		for t := range text.n {
			m.set.Add(y, e.x[(text.from+t)*d:])
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

// encode leaves the last states of texts, one after another, in the first rows
// of x, and where each lies in e.texts.
func (m *Model) encode(ctx context.Context, texts [][]int32) error {
	c, e := &m.config, m.encoder
	n, d, f := m.place(texts), c.embedding, c.feedForward
	x, h := e.x[:n*d], e.h[:n*d]
	m.pool.run(len(texts), n*d*32, func(_, i int) {
		from := e.texts[i].from
		for t, id := range texts[i] {
			row, position := x[(from+t)*d:][:d], h[(from+t)*d:][:d]
			e.tokens.Row(row, int(id))
			e.positions.Row(position, t)
			m.set.AddNorm(row, position, e.kind, e.norm, e.normB, c.epsilon)
		}
	})
	for i := range e.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		l := &e.layers[i]

		// Attention, added to the input; then the norm.
		m.encoderMul(x, n, nil, product{l.wq, e.q}, product{l.wk, e.k}, product{l.wv, e.v})
		m.lookAround(l)
		m.encoderMul(e.q[:n*d], n, nil, product{l.wo, h})
		m.encoderMul(x, n, func(row []float32, t int) {
			m.set.AddNorm(row, h[t*d:], l.bo, l.attnNorm, l.attnNormB, c.epsilon)
		}, product{l.up, e.up})

		// Feed forward: down(gelu(up(x))), added; then the norm.
		m.encoderMul(e.up[:n*f], n, func(row []float32, _ int) {
			m.set.Add(row, l.upB)
			m.set.Gelu(row)
		}, product{l.down, h})
		m.pool.each(n, 4*d, func(t int) {
			m.set.AddNorm(x[t*d:(t+1)*d], h[t*d:], l.downB, l.outNorm, l.outNormB, c.epsilon)
		})
	}
	return nil
}

// place finds a place for the tokens of texts and returns how many there are.
func (m *Model) place(texts [][]int32) (n int) {
	e, longest := m.encoder, 0
	e.texts = e.texts[:0]
	for _, ids := range texts {
		e.texts = append(e.texts, textSpan{n, len(ids)})
		n += len(ids)
		longest = max(longest, len(ids))
	}
	if n > e.room || longest > e.longest {
		m.prepareEncoder(max(n, e.room), max(longest, e.longest))
	}
	return n
}

// lookAround replaces the queries by the attention's results: for each token
// and head the sum of all values of its text, weighted by
// softmax(query*key/sqrt(e)).
func (m *Model) lookAround(l *encoderLayer) {
	c, e := &m.config, m.encoder
	d, width, work := c.embedding, c.head, 0
	for _, text := range e.texts {
		work += text.n * text.n * d * 8
	}
	m.pool.run(len(e.texts)*c.heads, work, func(worker, part int) {
		text, at, w := e.texts[part/c.heads], part%c.heads*width, &e.workers[worker]
		n, first := text.n, text.from*d+at
		step := wide(n)
		for t := range n {
			q, k, v := e.q[first+t*d:][:width], e.k[first+t*d:][:width], e.v[first+t*d:][:width]
			m.set.Add(q, l.bq[at:])
			m.set.Add(k, l.bk[at:])
			for i, number := range k {
				w.keys[i*step+t] = number
			}
			value := w.vals[t*width:][:width]
			copy(value, v)
			m.set.Add(value, l.bv[at:])
		}
		scores := kernel.Dense{X: w.scores, Step: step}
		for t := 0; t < n; t += encoderRows {
			rows := min(encoderRows, n-t)
			queries := kernel.Dense{X: e.q[first+t*d:], Step: d}
			m.set.Product(scores, queries, kernel.Dense{X: w.keys, Step: step}, rows, width, step)
			for i := range rows {
				m.set.Softmax(w.scores[i*step:][:n], c.attentionScale)
			}
			m.set.Product(queries, scores, kernel.Dense{X: w.vals, Step: width}, rows, n, width)
		}
	})
}

// wide is n, rounded up to a number of columns that suits products.
func wide(n int) int { return (n + 15) &^ 15 }

// encoderMul does something to each of the n vectors in x, if before is not
// nil, and multiplies them with several matrices.
func (m *Model) encoderMul(x []float32, n int, before func(row []float32, t int), products ...product) {
	e, cols := m.encoder, products[0].m.Cols
	var forms [3]*kernel.Activations
	parts, work := 0, 0
	for _, p := range products {
		key := formKey{kernel.FormOf(p.m.Type), cols}
		if forms[key.form] == nil {
			a := e.activations[key]
			if a == nil {
				a = m.set.NewActivations(key.form, cols, e.room)
				e.activations[key] = a
			}
			a.Hold(x, n)
			forms[key.form] = a
		}
		work += p.m.Bytes() * n
	}
	m.pool.each(n, cols, func(t int) {
		if before != nil {
			before(x[t*cols:(t+1)*cols], t)
		}
		for _, a := range forms {
			if a != nil {
				a.Prepare(t, t+1)
			}
		}
	})
	piece := max(16, (products[0].m.Rows/(m.pool.threads*4)+15)&^15)
	for _, p := range products {
		parts += (p.m.Rows + piece - 1) / piece
	}
	m.pool.run(parts, work, func(_, part int) {
		for _, p := range products {
			pieces := (p.m.Rows + piece - 1) / piece
			if part < pieces {
				p.m.Mul(p.y, p.m.Rows, forms[kernel.FormOf(p.m.Type)], part*piece, min((part+1)*piece, p.m.Rows))
				return
			}
			part -= pieces
		}
	})
}

// prepareEncoder takes memory for n tokens, in texts of at most longest.
func (m *Model) prepareEncoder(n, longest int) {
	c, e := &m.config, m.encoder
	n, longest = max(n, min(encoderBatch, c.context)), wide(longest)
	e.room, e.longest = n, longest
	for _, p := range []*[]float32{&e.x, &e.h, &e.q, &e.k, &e.v} {
		*p = make([]float32, n*c.embedding)
	}
	e.up = make([]float32, n*c.feedForward)
	e.workers = make([]encoderWorker, m.pool.threads)
	for i := range e.workers {
		e.workers[i] = encoderWorker{make([]float32, c.head*longest), make([]float32, longest*c.head), make([]float32, encoderRows*longest)}
	}
	e.activations = map[formKey]*kernel.Activations{}
}
