package train

import "math"

// The forward and the backward pass. Notation for the shapes in the comments:
//
//	n  tokens of a batch               d  embedding length
//	h  query heads                     g  key/value heads, each shared by h/g query heads
//	e  length of a head                f  feed-forward length
//
// A batch is a list of segments, each a text of its own: tokens see those
// before them in their segment and nothing else. Every sum over tokens is taken
// in an order that does not depend on the number of threads.

// A batch is the tokens of one step.
type batch struct {
	ids      []int32
	targets  []int32   // the token that follows each, to be predicted
	weights  []float32 // how much its prediction counts; 0: not at all
	segments []segment
}

// segment is a text: n tokens from start on.
type segment struct{ start, n int }

func (b *batch) reset() {
	b.ids, b.targets, b.weights, b.segments = b.ids[:0], b.targets[:0], b.weights[:0], b.segments[:0]
}

// saved is what the forward pass of a block leaves for the backward pass.
type saved struct {
	x, h1  []float32 // n x d: the block's input; normed
	r1, r2 []float32 // n: of the norms
	qkv    []float32 // n x (h+2g)e, turned
	p      []float32 // for each segment, head: n x n attention
	att    []float32 // n x he
	x2, h2 []float32 // n x d: after attention; normed
	gateUp []float32 // n x 2f
	act    []float32 // n x f
}

// net is a model in training.
type net struct {
	shape Shape
	pool  *pool
	w, g  *weights // parameters and gradients

	cos, sin []float32 // context x e/2

	blocks []saved
	x      []float32 // n x d, after the last block
	mem    packing
	smalls []small     // of each worker
	scores [][]float32 // of each worker

	// The head computes some selected tokens at a time.
	selected   []int32
	hs, xs     []float32 // m x d
	rs         []float32 // m
	logits     []float32 // headRows x v
	losses     []float64 // m, not yet weighted
	dhs        []float32 // headRows x d
	dx, dh     []float32 // n x d
	dqkv, datt []float32
	dact       []float32 // n x f
	partial    []float32 // of norms' gradients
}

const (
	headRows   = 512 // tokens whose logits are in memory at a time
	normTokens = 64  // tokens whose gradients of a norm are summed first
	rowTokens  = 16  // tokens of a part where tokens are independent
)

func newNet(s Shape, threads int) *net {
	n := &net{shape: s, pool: newPool(threads), w: newWeights(s), g: newWeights(s), blocks: make([]saved, s.Layers)}
	half := s.Head / 2
	n.cos, n.sin = make([]float32, s.Context*half), make([]float32, s.Context*half)
	for t := range s.Context {
		for i := range half {
			sin, cos := math.Sincos(float64(t) * math.Pow(float64(s.RopeBase), -2*float64(i)/float64(s.Head)))
			n.cos[t*half+i], n.sin[t*half+i] = float32(cos), float32(sin)
		}
	}
	n.smalls, n.scores = make([]small, n.pool.threads), make([][]float32, n.pool.threads)
	return n
}

// tokens calls do for pieces [from, to) of n tokens.
func (m *net) tokens(n, piece int, do func(worker, part, from, to int)) {
	m.pool.run((n+piece-1)/piece, func(worker, part int) {
		do(worker, part, part*piece, min(n, (part+1)*piece))
	})
}

// linear computes y = x * w', where w has out rows of in numbers.
func (m *net) linear(y, x, w []float32, n, in, out int) {
	m.pool.mul(n, out, in, rows(x, in), rows(w, in).transposed(), y, out, false, &m.mem)
}

// linearBack computes dx = dy * w and dw = dy' * x.
func (m *net) linearBack(dx, dw, dy, x, w []float32, n, in, out int) {
	m.pool.mul(out, in, n, rows(dy, out).transposed(), rows(x, in), dw, in, false, &m.mem)
	m.pool.mul(n, in, out, rows(dy, out), rows(w, in), dx, in, false, &m.mem)
}

// forward computes the blocks.
func (m *net) forward(b *batch) {
	s := &m.shape
	n, d, f, he := len(b.ids), s.Embedding, s.FeedForward, s.Heads*s.Head
	width := he + 2*s.KVHeads*s.Head
	attention := 0 // weights of all heads
	for _, g := range b.segments {
		attention += g.n * g.n * s.Heads
	}
	m.x = grown(m.x, n*d)
	m.dh = grown(m.dh, n*d)
	for i := range m.blocks {
		k, l := &m.blocks[i], &m.w.layers[i]
		k.x, k.h1, k.x2, k.h2 = grown(k.x, n*d), grown(k.h1, n*d), grown(k.x2, n*d), grown(k.h2, n*d)
		k.r1, k.r2 = grown(k.r1, n), grown(k.r2, n)
		k.qkv, k.att = grown(k.qkv, n*width), grown(k.att, n*he)
		k.p = grown(k.p, attention)
		k.gateUp, k.act = grown(k.gateUp, n*2*f), grown(k.act, n*f)

		m.tokens(n, rowTokens, func(_, _, from, to int) {
			for t := from; t < to; t++ {
				x := k.x[t*d : (t+1)*d]
				if i == 0 {
					copy(x, m.w.embedding[int(b.ids[t])*d:])
				} else { // what the block before adds
					copy(x, m.blocks[i-1].x2[t*d:])
					addTo(x, m.dh[t*d:(t+1)*d], 1)
				}
				k.r1[t] = norm(k.h1[t*d:(t+1)*d], x, l.norm1, s.Epsilon)
			}
		})
		m.linear(k.qkv, k.h1, l.qkv, n, d, width)
		m.turn(k.qkv, b, 1)
		m.attend(k, b)
		m.linear(m.dh, k.att, l.wo, n, he, d)
		m.tokens(n, rowTokens, func(_, _, from, to int) {
			for t := from; t < to; t++ {
				x := k.x2[t*d : (t+1)*d]
				copy(x, k.x[t*d:])
				addTo(x, m.dh[t*d:(t+1)*d], 1)
				k.r2[t] = norm(k.h2[t*d:(t+1)*d], x, l.norm2, s.Epsilon)
			}
		})
		m.linear(k.gateUp, k.h2, l.gateUp, n, d, 2*f)
		m.tokens(n, rowTokens, func(_, _, from, to int) {
			for t := from; t < to; t++ {
				g := k.gateUp[t*2*f : (t+1)*2*f]
				swiGLU(k.act[t*f:(t+1)*f], g[:f], g[f:])
			}
		})
		m.linear(m.dh, k.act, l.down, n, f, d)
	}
	last := &m.blocks[s.Layers-1]
	copy(m.x, last.x2[:n*d])
	addTo(m.x, m.dh[:n*d], 1)
}

// turn rotates queries and keys by their positions, or with sign -1 back.
func (m *net) turn(qkv []float32, b *batch, sign float32) {
	s := &m.shape
	half, width := s.Head/2, (s.Heads+2*s.KVHeads)*s.Head
	m.pool.run(len(b.segments), func(_, part int) {
		g := b.segments[part]
		for t := range g.n {
			cos, sin := m.cos[t*half:(t+1)*half], m.sin[t*half:(t+1)*half]
			x := qkv[(g.start+t)*width:][:(s.Heads+s.KVHeads)*s.Head]
			for ; len(x) > 0; x = x[s.Head:] {
				for i, c := range cos {
					a, b, q := x[2*i], x[2*i+1], sign*sin[i]
					x[2*i], x[2*i+1] = a*c-b*q, a*q+b*c
				}
			}
		}
	})
}

// attention calls do for every segment and key/value head; at is where the
// attention of the group's first query head begins in p.
func (m *net) attention(b *batch, do func(worker int, g segment, group, at int)) {
	s := &m.shape
	per := s.Heads / s.KVHeads
	m.pool.run(len(b.segments)*s.KVHeads, func(worker, part int) {
		i, group := part/s.KVHeads, part%s.KVHeads
		at := 0
		for _, g := range b.segments[:i] {
			at += g.n * g.n * s.Heads
		}
		g := b.segments[i]
		do(worker, g, group, at+group*per*g.n*g.n)
	})
}

func (m *net) attentionScale() float32 { return float32(1 / math.Sqrt(float64(m.shape.Head))) }

// causal is how many rows of attention are computed together: the triangle
// that a segment's tokens may not see is left out in blocks of this size.
const causal = 96

func (m *net) attend(k *saved, b *batch) {
	s := &m.shape
	e, he, per := s.Head, s.Heads*s.Head, s.Heads/s.KVHeads
	width := he + 2*s.KVHeads*e
	m.attention(b, func(worker int, g segment, group, at int) {
		mul := &m.smalls[worker]
		keys := rows(k.qkv[g.start*width+he+group*e:], width).transposed()
		values := rows(k.qkv[g.start*width+he+(s.KVHeads+group)*e:], width)
		for h := group * per; h < (group+1)*per; h++ {
			p := k.p[at:][:g.n*g.n]
			at += g.n * g.n
			for i := 0; i < g.n; i += causal {
				to := min(g.n, i+causal)
				mul.mul(to-i, to, e, rows(k.qkv[(g.start+i)*width+h*e:], width), keys, p[i*g.n:], g.n, false)
				for t := i; t < to; t++ {
					row := p[t*g.n : (t+1)*g.n]
					softmax(row[:t+1], m.attentionScale())
					clear(row[t+1:])
				}
				mul.mul(to-i, e, to, rows(p[i*g.n:], g.n), values, k.att[(g.start+i)*he+h*e:], he, false)
			}
		}
	})
}

// attendBack computes dqkv, of turned queries and keys, from datt.
func (m *net) attendBack(k *saved, b *batch) {
	s := &m.shape
	e, he, per := s.Head, s.Heads*s.Head, s.Heads/s.KVHeads
	width := he + 2*s.KVHeads*e
	m.attention(b, func(worker int, g segment, group, at int) {
		mul := &m.smalls[worker]
		m.scores[worker] = grown(m.scores[worker], g.n*g.n)
		ds := m.scores[worker]
		keyAt, valueAt := g.start*width+he+group*e, g.start*width+he+(s.KVHeads+group)*e
		for h := group * per; h < (group+1)*per; h++ {
			p := k.p[at:][:g.n*g.n]
			at += g.n * g.n
			again := h > group*per
			dout := rows(m.datt[g.start*he+h*e:], he)
			for i := 0; i < g.n; i += causal {
				to := min(g.n, i+causal)
				mul.mul(to-i, to, e, rows(dout.data[i*he:], he), rows(k.qkv[valueAt:], width).transposed(), ds[i*g.n:], g.n, false)
				for t := i; t < to; t++ {
					row := ds[t*g.n : (t+1)*g.n]
					softmaxBack(row[:t+1], p[t*g.n:t*g.n+t+1], m.attentionScale())
					clear(row[t+1:])
				}
				mul.mul(to-i, e, to, rows(ds[i*g.n:], g.n), rows(k.qkv[keyAt:], width), m.dqkv[(g.start+i)*width+h*e:], width, false)
			}
			for j := 0; j < g.n; j += causal { // keys and values are seen by tokens from j on
				to := min(g.n, j+causal)
				mul.mul(to-j, e, g.n-j, rows(p[j*g.n+j:], g.n).transposed(), rows(dout.data[j*he:], he), m.dqkv[valueAt+j*width:], width, again)
				mul.mul(to-j, e, g.n-j, rows(ds[j*g.n+j:], g.n).transposed(), rows(k.qkv[(g.start+j)*width+h*e:], width), m.dqkv[keyAt+j*width:], width, again)
			}
		}
	})
}

// head computes the mean loss of the batch's targets, weighted; with gradients
// also those of the embedding, of the last norm, and dx.
func (m *net) head(b *batch, gradients bool) float64 {
	s := &m.shape
	n, d, v := len(b.ids), s.Embedding, s.Vocabulary
	m.selected = m.selected[:0]
	total := 0.0
	for t, w := range b.weights {
		if w > 0 {
			m.selected = append(m.selected, int32(t))
			total += float64(w)
		}
	}
	if gradients {
		m.dx = grown(m.dx, n*d)
		clear(m.dx)
		clear(m.g.embedding)
		clear(m.g.norm)
	}
	if total == 0 {
		return 0
	}
	count := len(m.selected)
	m.losses = m.losses[:0]
	for range count {
		m.losses = append(m.losses, 0)
	}
	m.hs, m.rs = grown(m.hs, headRows*d), grown(m.rs, headRows)
	m.dhs, m.logits = grown(m.dhs, headRows*d), grown(m.logits, headRows*v)
	for from := 0; from < count; from += headRows {
		part := m.selected[from:min(count, from+headRows)]
		c := len(part)
		m.tokens(c, rowTokens, func(_, _, i, to int) {
			for ; i < to; i++ {
				m.rs[i] = norm(m.hs[i*d:(i+1)*d], m.x[int(part[i])*d:][:d], m.w.norm, s.Epsilon)
			}
		})
		m.linear(m.logits, m.hs, m.w.embedding, c, d, v)
		m.tokens(c, rowTokens, func(_, _, i, to int) {
			for ; i < to; i++ {
				row, t := m.logits[i*v:(i+1)*v], part[i]
				target := b.targets[t]
				score := float64(row[target])
				m.losses[from+i] = softmax(row, 1) - score
				if gradients {
					f := float32(float64(b.weights[t]) / total)
					row[target]--
					multiply(row, f)
				}
			}
		})
		if !gradients {
			continue
		}
		m.pool.mul(v, d, c, rows(m.logits, v).transposed(), rows(m.hs, d), m.g.embedding, d, true, &m.mem)
		m.pool.mul(c, d, v, rows(m.logits, v), rows(m.w.embedding, d), m.dhs, d, false, &m.mem)
		m.normsBack(c, func(i int, dw []float32) {
			t := int(part[i])
			normBack(m.dx[t*d:(t+1)*d], dw, m.dhs[i*d:(i+1)*d], m.x[t*d:(t+1)*d], m.w.norm, m.rs[i])
		}, m.g.norm)
	}
	sum := 0.0
	for i, t := range m.selected {
		sum += m.losses[i] * float64(b.weights[t])
	}
	return sum / total
}

// normsBack calls do for every token with a place for the gradient of the
// norm's weights, and adds those up into dw.
func (m *net) normsBack(n int, do func(t int, dw []float32), dw []float32) {
	d, pieces := m.shape.Embedding, (n+normTokens-1)/normTokens
	m.partial = grown(m.partial, pieces*d)
	clear(m.partial)
	m.tokens(n, normTokens, func(_, part, from, to int) {
		for t := from; t < to; t++ {
			do(t, m.partial[part*d:(part+1)*d])
		}
	})
	for i := range pieces {
		addTo(dw, m.partial[i*d:(i+1)*d], 1)
	}
}

// backward computes all gradients, after forward and head.
func (m *net) backward(b *batch) {
	s := &m.shape
	n, d, f, he := len(b.ids), s.Embedding, s.FeedForward, s.Heads*s.Head
	width := he + 2*s.KVHeads*s.Head
	m.dqkv, m.datt, m.dact = grown(m.dqkv, n*width), grown(m.datt, n*he), grown(m.dact, n*f)
	for i := s.Layers - 1; i >= 0; i-- {
		k, l, g := &m.blocks[i], &m.w.layers[i], &m.g.layers[i]
		m.linearBack(m.dact, g.down, m.dx, k.act, l.down, n, f, d)
		m.tokens(n, rowTokens, func(_, _, from, to int) {
			for t := from; t < to; t++ {
				x := k.gateUp[t*2*f : (t+1)*2*f]
				swiGLUBack(x[:f], x[f:], m.dact[t*f:(t+1)*f])
			}
		})
		m.linearBack(m.dh, g.gateUp, k.gateUp, k.h2, l.gateUp, n, d, 2*f)
		clear(g.norm2)
		m.normsBack(n, func(t int, dw []float32) {
			normBack(m.dx[t*d:(t+1)*d], dw, m.dh[t*d:(t+1)*d], k.x2[t*d:(t+1)*d], l.norm2, k.r2[t])
		}, g.norm2)

		m.linearBack(m.datt, g.wo, m.dx, k.att, l.wo, n, he, d)
		m.attendBack(k, b)
		m.turn(m.dqkv, b, -1)
		m.linearBack(m.dh, g.qkv, m.dqkv, k.h1, l.qkv, n, d, width)
		clear(g.norm1)
		m.normsBack(n, func(t int, dw []float32) {
			normBack(m.dx[t*d:(t+1)*d], dw, m.dh[t*d:(t+1)*d], k.x[t*d:(t+1)*d], l.norm1, k.r1[t])
		}, g.norm1)
	}
	// Tokens add to rows of the embedding: every part takes some columns of all.
	const columns = 16
	m.pool.run((d+columns-1)/columns, func(_, part int) {
		from, to := part*columns, min(d, (part+1)*columns)
		for t, id := range b.ids {
			row := m.g.embedding[int(id)*d:][from:to]
			for i, v := range m.dx[t*d:][from:to] {
				row[i] += v
			}
		}
	})
}

// step computes the loss and all gradients.
func (m *net) step(b *batch) float64 {
	m.forward(b)
	loss := m.head(b, true)
	m.backward(b)
	return loss
}

// loss computes the loss alone.
func (m *net) loss(b *batch) float64 {
	m.forward(b)
	return m.head(b, false)
}
