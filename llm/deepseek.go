package llm

import (
	"math"

	"alphaos/llm/kernel"
)

// deepseek2 is DeepSeek V2 Lite and its relatives: multi-head latent attention (arXiv 2405.04434)
// and, behind the first layers, mixtures of experts with one for every token.
var deepseek2 = newDecoder(architecture{name: "deepseek2", mixes: true, read: readDeepseek2})

func readDeepseek2(c *config, m *metadata) {
	length := m.size("attention.kv_lora_rank", 0, 1<<12)
	rope := &c.ropes[0]
	whole := m.size("attention.key_length_mla", 0, 1<<12)
	value := m.size("attention.value_length_mla", 0, 1<<12)
	c.latent = latentShape{query: m.optional("attention.q_lora_rank", 0, 1<<14), length: length, plain: whole - rope.rotated, value: value}
	if m.err == nil && c.latent.plain < 1 {
		m.fail("the model rotates %d of the %d numbers in a head, which is impossible: the file is damaged or was converted wrongly", rope.rotated, whole)
		return
	}
	scale := 1 / math.Sqrt(float64(whole))
	if rope.yarn {
		// Converters store a tenth of the multiplier.
		if multiplier := m.number("rope.scaling.yarn_log_multiplier", 0, -1e3, 1e3) / 0.1; multiplier != 0 {
			if rope.magnitude = 1; multiplier == 1 {
				rope.magnitude = grown(rope.factor, 1)
			}
			mu := grown(rope.factor, multiplier)
			scale *= mu * mu
			if multiplier == 1 {
				scale *= rope.magnitude * rope.magnitude
			}
		}
	}
	for i := range c.layer {
		l := &c.layer[i]
		l.mixer, l.kvHeads, l.head, l.value, l.scale = latentAttention, 1, length+rope.rotated, length, float32(scale)
		c.wide = max(c.wide, l.heads*whole, c.latent.query)
	}
	c.keys = max(value, length)
	// What a query is made of, and what a head makes of the vector, pass through the same memory.
	c.queries = max(c.queries, c.latent.query, c.latent.plain+length)
	for _, l := range c.layer {
		c.wide = max(c.wide, l.heads*value)
	}
	c.experts.shared = c.experts.feedForward * m.optional("expert_shared_count", 0, 64)
	c.experts.normalized = m.flag("expert_weights_norm", false)
}

// latentShape is the shape of latent attention: what is remembered of a token is one vector for all
// heads, and a key for RoPE.
type latentShape struct {
	query  int // length of what queries are made of; 0: of the input itself
	length int // of the vector
	plain  int // numbers of a query that are not rotated
	value  int // length of what a head makes of it
}

func (c *config) latentTensors(list map[string]shape, l *layerShape, has func(string) bool) {
	k, d := &c.latent, c.embedding
	rotated := l.head - k.length
	q := l.heads * (k.plain + rotated)
	if k.query > 0 {
		list["attn_q_a.weight"], list["attn_q_a_norm.weight"], list["attn_q_b.weight"] = shape{k.query, d}, shape{0, k.query}, shape{q, k.query}
	} else {
		list["attn_q.weight"] = shape{q, d}
	}
	list["attn_kv_a_mqa.weight"], list["attn_kv_a_norm.weight"] = shape{l.head, d}, shape{0, k.length}
	list["attn_k_b.weight"], list["attn_v_b.weight"] = shape{k.length, k.plain, l.heads}, shape{k.value, k.length, l.heads}
	list["attn_output.weight"] = shape{d, l.heads * k.value}
}

// latent is the weights of latent attention.
type latent struct {
	qa, qb       *kernel.Matrix // of queries in two steps, or
	q            *kernel.Matrix // in one
	kv           *kernel.Matrix // (length + rotated) x d
	qNorm, norm  []float32
	keys, values []*kernel.Matrix // of each head: length x plain, value x length
}

func (b *binder) latent(i int, l *layer) *latent {
	part, k := partOf(i), &b.model.config.latent
	w := &latent{
		qa: b.matrix(part("attn_q_a.weight")), qb: b.matrix(part("attn_q_b.weight")), q: b.matrix(part("attn_q.weight")), qNorm: b.vector(part("attn_q_a_norm.weight")),
		kv: b.matrix(part("attn_kv_a_mqa.weight")), norm: b.vector(part("attn_kv_a_norm.weight")),
	}
	for h := range l.heads {
		w.keys = append(w.keys, b.rows(part("attn_k_b.weight"), h*k.length, (h+1)*k.length))
		w.values = append(w.values, b.rows(part("attn_v_b.weight"), h*k.value, (h+1)*k.value))
	}
	return w
}

func (w *latent) products() []*kernel.Matrix {
	all := []*kernel.Matrix{w.qa, w.qb, w.q, w.kv}
	return append(append(all, w.keys...), w.values...)
}

// attendLatent replaces h by what latent attention makes of it. Queries are brought to the
// remembered vectors, instead of keys out of them. In a query and a key what is rotated comes first.
func (s *Session) attendLatent(l *layer, i, position, n int) {
	c, b, w := &s.model.config, &s.buffers, l.latent
	k, d := &c.latent, c.embedding
	h, rotated := b.h[:n*d], l.head-c.latent.length
	whole := k.plain + rotated
	if w.q != nil {
		s.mul(h, n, product{w.q, b.wide}, product{w.kv, b.k})
	} else {
		s.mul(h, n, product{w.qa, b.q}, product{w.kv, b.k})
		s.norm(b.q, b.q[:n*k.query], w.qNorm, n)
		s.mul(b.q, n, product{w.qb, b.wide})
	}
	for t := range n {
		key, value := b.k[t*l.head:(t+1)*l.head], b.v[t*k.length:(t+1)*k.length]
		s.model.set.RMSNorm(value, key[:k.length], w.norm, c.epsilon)
		copy(key, key[k.length:])
		copy(key[rotated:], value)
	}
	some, made := b.att[:n*k.plain], b.att[n*k.plain:]
	for j := range l.heads {
		for t := range n {
			copy(some[t*k.plain:(t+1)*k.plain], b.wide[(t*l.heads+j)*whole:])
			copy(b.q[(t*l.heads+j)*l.head:][:rotated], b.wide[(t*l.heads+j)*whole+k.plain:])
		}
		s.mul(some, n, product{w.keys[j], made})
		for t := range n {
			copy(b.q[(t*l.heads+j)*l.head+rotated:][:k.length], made[t*k.length:])
		}
	}
	s.attend(l, i, position, n)
	for j := range l.heads {
		for t := range n {
			copy(b.k[t*k.length:(t+1)*k.length], b.att[(t*l.heads+j)*k.length:])
		}
		s.mul(b.k, n, product{w.values[j], b.v})
		for t := range n {
			copy(b.wide[(t*l.heads+j)*k.value:][:k.value], b.v[t*k.value:])
		}
	}
	s.mul(b.wide, n, product{l.wo, h})
}
