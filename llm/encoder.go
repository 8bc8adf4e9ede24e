package llm

import (
	"context"
	"errors"
	"fmt"
	"math"

	"alphaos/llm/kernel"
	"alphaos/llm/tokenizer"
)

// The graph of models that embed texts: a text as a whole becomes one vector, its embedding, or its
// scores. There is nothing to remember from call to call. Notation as in decoder.go. Norms stand before
// the parts of a layer, behind what they make, or behind the sum of both (post), and are layer norms or
// RMS norms.

// encoderLayer is the weights of one block. What a family does not have is nil.
type encoderLayer struct {
	*layerShape
	wq, wk, wv, wo         *kernel.Matrix // h*e x d, g*e x d, g*e x d, d x h*e
	adjustment                            // of queries, keys and values
	bo                     []float32      // d
	before, after          []float32      // d: norms of attention
	attnNorm, attnNormB    []float32      // d: of it and its input
	gate, up, down         *kernel.Matrix // f x d, f x d, d x f
	gateB, upB, downB      []float32      // f, f, d
	beforeFFN, afterFFN    []float32      // d
	outNorm, outNormB      []float32      // d
	router                 *kernel.Matrix // E x d
	expertsUp, expertsDown []*kernel.Matrix
}

// encoder is the weights of a model that embeds texts and the memory to compute with.
type encoder struct {
	tokens, positions *kernel.Matrix // vocabulary x d, context x d
	kind              []float32      // d: of the first kind of text, the only one here
	norm, normB       []float32      // d
	layers            []encoderLayer
	finalNorm         []float32
	rms               bool             // norms are RMS norms
	causal            bool             // tokens see only those before them
	dense             []*kernel.Matrix // of the pooled vector
	rank              *rankHead
	factors           []float32 // of RoPE
	zero              []float32 // biases that there are not

	// Memory to compute with: for room tokens, in texts of at most longest. It
	// grows with the texts.
	room, longest int
	texts         []textSpan
	x, h          []float32 // room x d
	q, k, v       []float32 // room x h*e, room x g*e
	gate, up      []float32 // room x f
	route, part   []float32 // room x E, room x d
	ropes         []rope
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

	encoderLimit = 512 << 20 // bytes to compute with, unless there are fewer
)

// textSpan is where a text lies among the tokens computed together.
type textSpan struct{ from, n int }

// Embedder reports whether the model computes embeddings of texts (Embed) and
// not their continuation (NewSession).
func (m *Model) Embedder() bool { return m.config.embeds && !m.Reranker() }

// EmbedText is the embedding of a text: Embed of its tokens, as many as LongestText says.
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
	return m.embedAll(ctx, ids, true)
}

func (m *Model) embeddingTokens(text string) []int32 {
	ids := m.tokenizer.Encode(text, tokenizer.EncodeOptions{AddBOS: true, AddEOS: true})
	return m.cutShort(ids)
}

// LongestText is how many tokens of a text the model takes: as many as it was trained for, or fewer where memory to
// compute with them, of which Options.SessionLimit is the bound, does not allow that.
func (m *Model) LongestText() int {
	limit := min(m.sessionLimit(), encoderLimit)
	return int(min(int64(m.config.context), max(encoderBatch, limit/m.encoderNeeds()&^15)))
}

// encoderNeeds is how many bytes it takes to compute with a token at most: see prepareEncoder.
func (m *Model) encoderNeeds() int64 {
	c := &m.config
	numbers := 2*c.embedding + c.queries + 2*c.keys + 2*c.gated()
	activations := c.embedding + c.queries + c.gated() // each in at most two forms of little more than a byte
	if c.experts.count > 0 {
		numbers += c.experts.count + c.embedding + 2*c.experts.used
	}
	for _, r := range c.ropes {
		numbers += r.rotated
	}
	numbers += m.pool.threads * (2*c.head + encoderRows)
	return int64(4*numbers + 3*activations)
}

// cutShort leaves as many of a text's tokens as the model takes.
func (m *Model) cutShort(ids []int32) []int32 {
	if most := m.LongestText(); len(ids) > most {
		ids[most-1] = ids[len(ids)-1] // the token that ends a text
		ids = ids[:most]
	}
	return ids
}

// Embed is the embedding of a text of 1 to LongestText tokens, with those
// that begin and end it: the model's last state of each token, pooled as the
// model was trained for and scaled to length 1. There are Info().Embedding
// numbers.
func (m *Model) Embed(ctx context.Context, ids []int32) ([]float32, error) {
	y, err := m.embedAll(ctx, [][]int32{ids}, true)
	if err != nil {
		return nil, err
	}
	return y[0], nil
}

// embedAll makes a vector, scaled to length 1, of each text, or what a model makes of it as it is.
func (m *Model) embedAll(ctx context.Context, texts [][]int32, embedding bool) ([][]float32, error) {
	c := &m.config
	switch {
	case !c.embeds:
		return nil, fmt.Errorf("a model of architecture %s continues texts; for embeddings use one of architecture bert, such as all-MiniLM-L6-v2", c.arch.name)
	case embedding && m.Reranker():
		return nil, errors.New("this model ranks texts; for embeddings use an embedding model")
	}
	for _, ids := range texts {
		switch {
		case len(ids) == 0:
			return nil, errors.New("no tokens to embed")
		case len(ids) > c.context:
			return nil, fmt.Errorf("a text of %d tokens is longer than the %d this model can take", len(ids), c.context)
		case len(ids) > m.LongestText():
			return nil, fmt.Errorf("a text of %d tokens takes more memory than there is to compute with it, which is enough for %d", len(ids), m.LongestText())
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
			y, err := m.pooled(text, embedding)
			if err != nil {
				return nil, err
			}
			all = append(all, y)
		}
		texts = texts[together:]
	}
	return all, nil
}

// pooled is what is made of a text that was encoded.
func (m *Model) pooled(text textSpan, embedding bool) ([]float32, error) {
	e, c := m.encoder, &m.config
	d, how := c.embedding, c.pooling
	if how == poolRank {
		how = e.rank.state
	}
	y := make([]float32, d)
	switch how {
	case poolFirst:
		copy(y, e.x[text.from*d:])
	case poolLast:
		copy(y, e.x[(text.from+text.n-1)*d:])
	default:
		for t := range text.n {
			m.set.Add(y, e.x[(text.from+t)*d:])
		}
		if !embedding { // whose length does not matter
			m.set.Scale(y, 1/float32(text.n))
		}
	}
	for _, w := range e.dense {
		next := make([]float32, w.Rows)
		m.encoderMul(y, 1, nil, product{w, next})
		y = next
	}
	if e.rank != nil {
		return e.rank.scores(m.set, y, c.epsilon), nil
	}
	if !embedding {
		return y, nil
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
	n, d := m.place(texts), c.embedding
	x, h := e.x[:n*d], e.h[:n*d]
	m.pool.run(len(texts), n*d*32, func(_, i int) {
		from := e.texts[i].from
		for t, id := range texts[i] {
			row, position := x[(from+t)*d:][:d], h[(from+t)*d:][:d]
			e.tokens.Row(row, int(id))
			switch {
			case e.norm == nil:
				if c.embeddingScale != 0 {
					m.set.Scale(row, c.embeddingScale)
				}
				continue
			case e.positions != nil:
				e.positions.Row(position, t)
			default:
				clear(position)
			}
			m.set.AddNorm(row, position, e.kind, e.norm, e.normB, c.epsilon)
		}
	})
	for i := range e.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		l := &e.layers[i]
		width := l.heads * l.head

		// Attention, added to the input; then the norm, if it stands there.
		in, before := m.normed(x, h, l.before)
		m.encoderMul(in, n, before, product{l.wq, e.q}, product{l.wk, e.k}, product{l.wv, e.v})
		m.adjustAll(l, n)
		m.lookAround(l)
		m.encoderMul(e.q[:n*width], n, nil, product{l.wo, h})
		settle := func(t int) { m.settle(x[t*d:(t+1)*d], h[t*d:(t+1)*d], l.bo, l.after, l.attnNorm, l.attnNormB) }

		// Feed forward: down(gelu(up(x))), or with gates, added; then the norm.
		if l.router != nil {
			m.pool.each(n, 4*d, settle)
			m.mixAll(l, n)
		} else {
			in, next := m.normed(x, h, l.beforeFFN)
			products := []product{{l.up, e.up}}
			if l.gate != nil {
				products = []product{{l.gate, e.gate}, {l.up, e.up}}
			}
			m.encoderMul(in, n, func(row []float32, t int) {
				if settle(t); next != nil {
					next(row, t)
				}
			}, products...)
			f := l.up.Rows
			if l.gate == nil {
				m.encoderMul(e.up[:n*f], n, func(row []float32, _ int) {
					m.set.Add(row, l.upB)
					m.set.Gelu(row)
				}, product{l.down, h})
			} else {
				m.encoderMul(e.gate[:n*f], n, func(row []float32, t int) {
					up := e.up[t*f : (t+1)*f]
					if l.gateB != nil {
						m.set.Add(row, l.gateB)
					}
					m.set.Add(up, l.upB)
					if c.activation == gelu {
						m.set.Gelu(row)
						m.set.Multiply(row, up)
					} else {
						m.set.SwiGLU(row, up)
					}
				}, product{l.down, h})
			}
		}
		m.pool.each(n, 4*d, func(t int) {
			m.settle(x[t*d:(t+1)*d], h[t*d:(t+1)*d], l.downB, l.afterFFN, l.outNorm, l.outNormB)
		})
	}
	if e.finalNorm != nil {
		m.pool.each(n, 4*d, func(t int) { m.normRow(x[t*d:(t+1)*d], x[t*d:(t+1)*d], e.finalNorm) })
	}
	return nil
}

// normed is where the normed rows of x are to be found, and what makes them; x itself if there is no norm.
func (m *Model) normed(x, h, w []float32) (in []float32, before func(row []float32, t int)) {
	if w == nil {
		return x, nil
	}
	return h, func(row []float32, t int) { m.normRow(row, x[t*len(row):(t+1)*len(row)], w) }
}

// normRow makes y the norm of x.
func (m *Model) normRow(y, x, w []float32) {
	e := m.encoder
	if e.rms {
		m.set.RMSNorm(y, x, w, m.config.epsilon)
		return
	}
	copy(y, x)
	m.set.AddNorm(y, e.zero, e.zero, w, e.zero, m.config.epsilon)
}

// settle adds what a part of a layer made, h, to x.
func (m *Model) settle(x, h, bias, after, norm, normB []float32) {
	if norm != nil {
		m.set.AddNorm(x, h, bias, norm, normB, m.config.epsilon)
		return
	}
	m.set.Add(h, bias)
	if after != nil {
		m.normRow(h, h, after)
	}
	m.set.Add(x, h)
}

// adjustAll does to queries, keys and values what comes before attention.
func (m *Model) adjustAll(l *encoderLayer, n int) {
	e := m.encoder
	q, kv := l.heads*l.head, l.kvHeads*l.head
	for _, text := range e.texts {
		m.pool.each(text.n, q*4, func(t int) {
			at := text.from + t
			queries, keys, values := e.q[at*q:(at+1)*q], e.k[at*kv:(at+1)*kv], e.v[at*kv:(at+1)*kv]
			for _, x := range []struct{ row, bias, norm []float32 }{{queries, l.bq, l.qNorm}, {keys, l.bk, l.kNorm}, {values, l.bv, nil}} {
				if x.bias != nil {
					m.set.Add(x.row, x.bias)
				}
				for row := x.row; x.norm != nil && len(row) > 0; row = row[len(x.norm):] {
					m.normRow(row[:len(x.norm)], row[:len(x.norm)], x.norm)
				}
			}
			if l.rope >= 0 && e.positions == nil {
				for _, x := range [][]float32{queries, keys} {
					for ; len(x) > 0; x = x[l.head:] {
						e.ropes[l.rope].apply(x[:l.head], t)
					}
				}
			}
		})
	}
}

// mixAll makes h what a mixture of experts makes of x.
func (m *Model) mixAll(l *encoderLayer, n int) {
	c, e := &m.config, m.encoder
	d, count, used := c.embedding, c.experts.count, c.experts.used
	m.encoderMul(e.x[:n*d], n, nil, product{l.router, e.route})
	chosen, weights, excluded := make([]int32, n*used), make([]float32, n*used), make([]bool, count)
	for t := range n {
		c.experts.choose(e.route[t*count:(t+1)*count], nil, excluded, chosen[t*used:(t+1)*used], weights[t*used:(t+1)*used])
	}
	clear(e.h[:n*d])
	f := c.experts.feedForward
	for x := range count {
		var which []int
		for j, id := range chosen {
			if int(id) == x {
				copy(e.part[len(which)*d:][:d], e.x[j/used*d:])
				which = append(which, j)
			}
		}
		if len(which) == 0 {
			continue
		}
		m.encoderMul(e.part[:len(which)*d], len(which), nil, product{l.expertsUp[x], e.up})
		m.encoderMul(e.up[:len(which)*f], len(which), func(row []float32, _ int) { m.set.Gelu(row) }, product{l.expertsDown[x], e.part})
		for i, j := range which {
			row := e.part[i*d : (i+1)*d]
			m.set.Scale(row, weights[j])
			m.set.Add(e.h[j/used*d:][:d], row)
		}
	}
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
// and head the sum of all values of its text that it sees, weighted by
// softmax(query*key*scale).
func (m *Model) lookAround(l *encoderLayer) {
	e := m.encoder
	width, work, stride, kvStride := l.head, 0, l.heads*l.head, l.kvHeads*l.head
	for _, text := range e.texts {
		work += text.n * text.n * stride * 8
	}
	m.pool.run(len(e.texts)*l.heads, work, func(worker, part int) {
		text, head, w := e.texts[part/l.heads], part%l.heads, &e.workers[worker]
		n, first := text.n, text.from*stride+head*width
		firstKV := text.from*kvStride + head/(l.heads/l.kvHeads)*width
		step := wide(n)
		for t := range n {
			k, v := e.k[firstKV+t*kvStride:][:width], e.v[firstKV+t*kvStride:][:width]
			for i, number := range k {
				w.keys[i*step+t] = number
			}
			copy(w.vals[t*width:][:width], v)
		}
		scores := kernel.Dense{X: w.scores, Step: step}
		for t := 0; t < n; t += encoderRows {
			rows := min(encoderRows, n-t)
			queries := kernel.Dense{X: e.q[first+t*stride:], Step: stride}
			m.set.Product(scores, queries, kernel.Dense{X: w.keys, Step: step}, rows, width, step)
			for i := range rows {
				from, to := 0, n
				if l.window > 0 { // on both sides, half of it
					from, to = max(0, t+i-l.window/2), min(n, t+i+l.window/2+1)
				}
				if e.causal {
					to = t + i + 1
				}
				row := w.scores[i*step:][:n]
				m.set.Softmax(row[from:to], l.scale)
				clear(row[:from])
				clear(row[to:])
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
	e.workers, e.activations, e.ropes = nil, nil, nil
	e.x, e.h, e.q, e.k, e.v, e.up, e.gate, e.route, e.part = nil, nil, nil, nil, nil, nil, nil, nil, nil // not both at a time
	for p, size := range map[*[]float32]int{
		&e.x: c.embedding, &e.h: c.embedding, &e.q: c.queries, &e.k: c.keys, &e.v: c.keys, &e.up: c.gated(), &e.gate: c.gated(),
	} {
		*p = make([]float32, n*size)
	}
	if c.experts.count > 0 {
		e.route, e.part = make([]float32, n*c.experts.count), make([]float32, n*c.embedding)
	}
	if e.positions == nil {
		for _, shape := range c.ropes {
			r := newRope(shape, c.arch.halves, longest, e.factors)
			r.prepare(0, longest)
			e.ropes = append(e.ropes, r)
		}
	}
	e.workers = make([]encoderWorker, m.pool.threads)
	for i := range e.workers {
		e.workers[i] = encoderWorker{make([]float32, c.head*longest), make([]float32, longest*c.head), make([]float32, encoderRows*longest)}
	}
	e.activations = map[formKey]*kernel.Activations{}
}
