package llm

import (
	"math"
	"slices"

	"alphaos/llm/kernel"
)

// Layers that remember a state of fixed size instead of keys and values: short convolutions
// (LFM2), the gated delta net (Qwen 3.5, arXiv 2412.06464) and Mamba-2 (Granite 4, arXiv
// 2405.21060). All begin with a causal convolution over each channel's last few inputs; the
// latter two go on with a matrix for each head, which decays and to which each token adds the
// product of two vectors.
//
// A state cannot be cut back as keys and values can. So
//   - what the last pass of a few tokens did is kept, and a draft that is refused is
//     rewound by doing the accepted part of it again, which needs no weights;
//   - the state at the ends of the last prompts is kept (checkpoint). A session that is shortened
//     to anywhere else goes on from the last of those before, or from the beginning, and
//     computes again what lies between when it is next evaluated.

// recurrentShape is the shape of such layers.
type recurrentShape struct {
	taps     int // inputs of the convolution
	channels int // of it
	heads    int
	groups   int // heads that share vectors: keys and queries
	rows     int // of a head's state: length of a key
	cols     int // length of a value
	inner    int // numbers in the values of all heads
}

// readRecurrent reads the shape as delta nets and Mamba-2 have it.
func (r *recurrentShape) read(m *metadata) {
	r.taps, r.inner = m.size("ssm.conv_kernel", 0, 16), m.size("ssm.inner_size", 0, 1<<17)
	r.rows, r.heads, r.groups = m.size("ssm.state_size", 0, 1<<10), m.size("ssm.time_step_rank", 0, 1<<10), m.size("ssm.group_count", 0, 1<<10)
	if m.err == nil && (r.inner%r.heads != 0 || r.heads%r.groups != 0 || r.inner%r.groups != 0) {
		m.fail("the model's recurrent layers of %d numbers cannot have %d heads in %d groups: the file is damaged or was converted wrongly", r.inner, r.heads, r.groups)
		return
	}
	r.cols = r.inner / max(1, r.heads)
	r.channels = r.inner + 2*r.groups*r.rows
}

// check sees to the buffers for such layers.
func (r *recurrentShape) check(c *config, m *metadata) {
	for i := range c.layer {
		switch l := &c.layer[i]; l.mixer {
		case shortConvolution:
			c.wide = max(c.wide, 3*r.channels)
		case deltaNet:
			c.wide = max(c.wide, r.inner)
			if r.cols != r.rows {
				m.fail("a gated delta net whose keys have %d and whose values have %d numbers is not supported; they must be equal", r.rows, r.cols)
			}
		case mamba:
			c.wide = max(c.wide, 2*r.inner+2*r.groups*r.rows+r.heads)
		default:
			continue
		}
		c.queries = max(c.queries, r.channels, r.inner)
		if r.taps < 2 {
			m.fail("the model's convolutions see %d tokens; supported are 2 to 16", r.taps)
		}
	}
}

// tensors lists those of a layer.
func (r *recurrentShape) tensors(list map[string]shape, l *layerShape, c *config) {
	d := c.embedding
	switch l.mixer {
	case shortConvolution:
		list["shortconv.in_proj.weight"], list["shortconv.conv.weight"], list["shortconv.out_proj.weight"] = shape{3 * d, d}, shape{d, r.taps}, shape{d, d}
	case deltaNet:
		list["attn_qkv.weight"], list["attn_gate.weight"], list["ssm_out.weight"] = shape{r.channels, d}, shape{r.inner, d}, shape{d, r.inner}
		list["ssm_beta.weight"], list["ssm_alpha.weight"] = shape{r.heads, d}, shape{r.heads, d}
		list["ssm_a"], list["ssm_norm.weight"] = shape{0, r.heads}, shape{0, r.cols}
	case mamba:
		list["ssm_in.weight"], list["ssm_out.weight"] = shape{2*r.inner + 2*r.groups*r.rows + r.heads, d}, shape{d, r.inner}
		list["ssm_conv1d.bias"] = shape{0, r.channels}
		list["ssm_a"], list["ssm_d"], list["ssm_norm.weight"] = shape{r.heads, 1}, shape{r.heads, 1}, shape{r.groups, r.inner / r.groups}
		if r.groups == 1 { // a dimension of 1 at the end is none
			list["ssm_norm.weight"] = shape{0, r.inner}
		}
	}
	if l.mixer != shortConvolution {
		list["ssm_conv1d.weight"], list["ssm_dt.bias"] = shape{r.channels, r.taps}, shape{0, r.heads}
	}
}

// recurrent is the weights of such a layer. What a kind does not have is nil.
type recurrent struct {
	in, out         *kernel.Matrix
	gate            *kernel.Matrix // inner x d
	beta, alpha     *kernel.Matrix // heads x d
	taps            []float32      // taps x channels
	tapsBias        []float32      // channels
	stepBias, decay []float32      // heads
	skip            []float32      // heads
	norm            []float32
}

func (b *binder) recurrent(i int, l *layer) *recurrent {
	part := partOf(i)
	if l.mixer == shortConvolution {
		return &recurrent{in: b.matrix(part("shortconv.in_proj.weight")), taps: b.columns(part("shortconv.conv.weight")), out: b.matrix(part("shortconv.out_proj.weight"))}
	}
	r := &recurrent{
		taps: b.columns(part("ssm_conv1d.weight")), tapsBias: b.vector(part("ssm_conv1d.bias")),
		stepBias: b.vector(part("ssm_dt.bias")), decay: b.vector(part("ssm_a")), skip: b.vector(part("ssm_d")), norm: b.vector(part("ssm_norm.weight")),
		in: b.matrix(part("ssm_in.weight")), gate: b.matrix(part("attn_gate.weight")),
		beta: b.matrix(part("ssm_beta.weight")), alpha: b.matrix(part("ssm_alpha.weight")), out: b.matrix(part("ssm_out.weight")),
	}
	if l.mixer == deltaNet {
		r.in = b.matrix(part("attn_qkv.weight"))
	}
	return r
}

// memory is what a recurrent layer remembers.
type memory struct {
	shape  *recurrentShape
	mixer  mixer
	kept             // of all tokens so far
	before []float32 // the state before the last pass, if that was of a few tokens
	// What that pass was made of:
	inputs []float32 // (taps-1 + tokens) x channels: of the convolution
	mixed  []float32 // tokens x channels: its results
	rates  []float32 // tokens x 2*heads: decay, and how much of a value is new
}

// kept is the part of a memory that has to be kept to go on.
type kept struct {
	inputs []float32 // (taps-1) x channels: the last of the convolution
	state  []float32 // heads x rows x cols
}

func (c *config) newKept(m mixer) kept {
	r := &c.recurrent
	k := kept{inputs: make([]float32, (r.taps-1)*r.channels)}
	if m != shortConvolution {
		k.state = make([]float32, r.heads*r.rows*r.cols)
	}
	return k
}

func (k kept) copy(from kept) {
	copy(k.inputs, from.inputs)
	copy(k.state, from.state)
}

func (k kept) clear() {
	clear(k.inputs)
	clear(k.state)
}

// size is the numbers in it.
func (c *config) keptSize(m mixer) int {
	if m.attends() {
		return 0
	}
	r := &c.recurrent
	n := (r.taps - 1) * r.channels
	if m != shortConvolution {
		n += r.heads * r.rows * r.cols
	}
	return n
}

// recurrentBuffers hold what such a layer computes of n tokens.
type recurrentBuffers struct {
	inputs []float32 // (taps-1 + n) x channels
	mixed  []float32 // n x channels
	beta   []float32 // n x heads
	alpha  []float32 // n x heads
	rates  []float32 // n x 2*heads
	delta  [][]float32
}

func (c *config) newRecurrentBuffers(n, threads int) recurrentBuffers {
	r := &c.recurrent
	if r.taps == 0 {
		return recurrentBuffers{}
	}
	b := recurrentBuffers{
		inputs: make([]float32, (r.taps-1+n)*r.channels), mixed: make([]float32, n*r.channels),
		beta: make([]float32, n*r.heads), alpha: make([]float32, n*r.heads), rates: make([]float32, 2*n*r.heads),
	}
	for range threads {
		b.delta = append(b.delta, make([]float32, 2*r.cols))
	}
	return b
}

// recur replaces h, the normed input of n tokens, by what a recurrent layer makes of it.
func (s *Session) recur(l *layer, k *memory, n int) {
	c, b, w := &s.model.config, &s.buffers, l.recurrent
	r, rb, d := &c.recurrent, &s.recurrent, c.embedding
	h := b.h[:n*d]
	s.task.layer, s.task.memory = l, k
	late := rb.inputs[(r.taps-1)*r.channels:][:n*r.channels] // the tokens'
	switch l.mixer {
	case shortConvolution:
		s.mul(h, n, product{w.in, b.wide})
		for t := range n {
			in, wide := late[t*d:(t+1)*d], b.wide[t*3*d:]
			copy(in, wide)
			s.model.set.Multiply(in, wide[2*d:])
		}
	case deltaNet:
		s.mul(h, n, product{w.in, late}, product{w.gate, b.wide}, product{w.beta, rb.beta}, product{w.alpha, rb.alpha})
	case mamba:
		s.mul(h, n, product{w.in, b.wide})
		for t := range n {
			wide := b.wide[t*w.in.Rows:][:w.in.Rows]
			copy(late[t*r.channels:][:r.channels], wide[r.inner:])
			copy(rb.alpha[t*r.heads:][:r.heads], wide[r.inner+r.channels:])
		}
	}
	copy(rb.inputs, k.kept.inputs)
	s.model.pool.run(n, n*r.channels*64, s.jobs.convolve)
	copy(k.kept.inputs, rb.inputs[n*r.channels:])

	few := n > 1 && n <= MaxDraft+1
	if few {
		k.hold(rb, n)
	}
	if l.mixer != shortConvolution {
		s.task.n, s.task.few = n, few
		s.model.pool.run(r.heads, n*r.heads*r.rows*r.cols*16, s.jobs.recur)
		if few {
			k.kept.state, k.before = k.before, k.kept.state
		}
	}
	s.model.pool.run(n, n*r.inner*64, s.jobs.finish)
	if l.mixer == deltaNet {
		s.mulFine(b.att, n, product{w.out, h})
		return
	}
	s.mul(b.att, n, product{w.out, h})
}

// hold keeps what a pass of a few tokens was made of.
func (k *memory) hold(rb *recurrentBuffers, n int) {
	r := k.shape
	if k.inputs == nil {
		const most = MaxDraft + 1
		k.inputs, k.mixed, k.rates = make([]float32, (r.taps-1+most)*r.channels), make([]float32, most*r.channels), make([]float32, most*2*r.heads)
		k.before = make([]float32, len(k.kept.state))
	}
	copy(k.inputs, rb.inputs[:(r.taps-1+n)*r.channels])
	copy(k.mixed, rb.mixed[:n*r.channels])
	copy(k.rates, rb.rates[:n*2*r.heads])
}

// convolvePart makes what the convolution makes of one token, and what the recurrence needs.
func (s *Session) convolvePart(_, t int) {
	r, rb, w, set := &s.model.config.recurrent, &s.recurrent, s.task.layer.recurrent, s.model.set
	y := rb.mixed[t*r.channels : (t+1)*r.channels]
	if w.tapsBias != nil {
		copy(y, w.tapsBias)
	} else {
		clear(y)
	}
	for i := range r.taps {
		set.MultiplyAdd(y, rb.inputs[(t+i)*r.channels:], w.taps[i*r.channels:])
	}
	if s.task.layer.mixer == shortConvolution {
		return
	}
	for i, v := range y {
		y[i] = v / (1 + kernel.Exp(-v))
	}
	rates := rb.rates[t*2*r.heads:][:2*r.heads]
	for j := range r.heads {
		step := float64(rb.alpha[t*r.heads+j] + w.stepBias[j])
		if step <= 20 {
			step = math.Log1p(math.Exp(step))
		}
		rates[j], rates[r.heads+j] = float32(math.Exp(step*float64(w.decay[j]))), float32(step)
		if s.task.layer.mixer == deltaNet {
			rates[r.heads+j] = float32(1 / (1 + math.Exp(-float64(rb.beta[t*r.heads+j]))))
		}
	}
	if s.task.layer.mixer == mamba {
		return
	}
	scale := 1 / math.Sqrt(float64(r.rows))
	for g := range 2 * r.groups { // queries, then keys
		if g == r.groups {
			scale = 1
		}
		x, sum := y[g*r.rows:(g+1)*r.rows], 0.0
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		set.Scale(x, float32(scale/max(math.Sqrt(sum), s.model.config.epsilon)))
	}
}

// recurPart takes one head through all tokens.
func (s *Session) recurPart(worker, head int) {
	r, rb, k := &s.model.config.recurrent, &s.recurrent, s.task.memory
	size := r.rows * r.cols
	state := k.kept.state[head*size : (head+1)*size]
	next := state
	if s.task.few {
		next = k.before[head*size : (head+1)*size]
	}
	for t := range s.task.n {
		k.step(s.model.set, s.buffers.att[t*r.inner+head*r.cols:][:r.cols], next, state, rb.mixed[t*r.channels:], rb.rates[t*2*r.heads:], head, rb.delta[worker])
		state = next
	}
}

// step takes one head's state through one token and makes y of it.
func (k *memory) step(set *kernel.Set, y, next, state, mixed, rates []float32, head int, delta []float32) {
	r := k.shape
	decay, rate, keys := rates[head], rates[r.heads+head], r.groups*r.rows
	value, recalled := delta[:r.cols], delta[r.cols:2*r.cols]
	if k.mixer == deltaNet {
		g := head % r.groups * r.rows
		query, key := mixed[g:][:r.rows], mixed[keys+g:][:r.rows]
		copy(value, mixed[2*keys+head*r.cols:])
		set.Recall(recalled, state, key)
		for i, v := range value {
			value[i] = rate * (v - decay*recalled[i])
		}
		set.Recur(y, next, state, decay, key, value, query)
		return
	}
	g := head / (r.heads / r.groups) * r.rows
	key, query := mixed[r.inner+g:][:r.rows], mixed[r.inner+keys+g:][:r.rows]
	copy(value, mixed[head*r.cols:])
	set.Scale(value, rate)
	set.Recur(y, next, state, decay, key, value, query)
}

// finishPart gates and norms what one token got, in the buffer att.
func (s *Session) finishPart(_, t int) {
	c, b, set, l := &s.model.config, &s.buffers, s.model.set, s.task.layer
	r, w := &c.recurrent, l.recurrent
	switch l.mixer {
	case shortConvolution:
		d := c.embedding
		y := b.att[t*d : (t+1)*d]
		copy(y, s.recurrent.mixed[t*d:])
		set.Multiply(y, b.wide[t*3*d+d:])
	case deltaNet:
		y, z := b.att[t*r.inner:(t+1)*r.inner], b.wide[t*r.inner:(t+1)*r.inner]
		for at := 0; at < r.inner; at += r.cols {
			set.RMSNorm(y[at:at+r.cols], y[at:at+r.cols], w.norm, c.epsilon)
		}
		set.SwiGLU(z, y)
		copy(y, z)
	case mamba:
		y, z := b.att[t*r.inner:(t+1)*r.inner], b.wide[t*w.in.Rows:][:r.inner]
		for i, v := range s.recurrent.mixed[t*r.channels:][:r.inner] {
			y[i] += w.skip[i/r.cols] * v
		}
		set.SwiGLU(z, y)
		for g, size := 0, r.inner/r.groups; g < r.groups; g++ {
			set.RMSNorm(y[g*size:(g+1)*size], z[g*size:(g+1)*size], w.norm[g*size:(g+1)*size], c.epsilon)
		}
	}
}

// rewind makes the memory that of the first n tokens of the last pass, which was of a few.
func (k *memory) rewind(s *Session, n int) {
	r := k.shape
	copy(k.kept.inputs, k.inputs[n*r.channels:])
	if k.mixer == shortConvolution {
		return
	}
	k.kept.state, k.before = k.before, k.kept.state
	size, delta := r.rows*r.cols, s.recurrent.delta
	s.model.pool.run(r.heads, n*r.heads*size*16, func(worker, head int) {
		state := k.kept.state[head*size : (head+1)*size]
		for t := range n {
			k.step(s.model.set, s.buffers.att[head*r.cols:][:r.cols], state, state, k.mixed[t*r.channels:], k.rates[t*2*r.heads:], head, delta[worker])
		}
	})
}

// progress is how far the recurrent layers of a session are, and where they can go back to.
type progress struct {
	at          int // tokens in the memories; -1: they are of no use
	from        int // tokens before the last pass, if that can be rewound; else -1
	checkpoints []checkpoint
	rolling     bool // the last checkpoint lies within the prompt that is being read
}

// checkpoint is what recurrent layers remembered of the first tokens.
type checkpoint struct {
	tokens int
	kept   []kept
}

// checkpoints are as many as are kept.
const checkpoints = 3

// beginPass is called before any layer of a pass.
func (s *Session) beginPass(n int) {
	if s.model.config.recurrent.taps > 0 {
		s.progress.at, s.progress.from = -1, -1 // unless it comes to its end
	}
}

// endPass is called when n tokens were appended.
func (s *Session) endPass(n int) {
	if s.model.config.recurrent.taps == 0 {
		return
	}
	p := &s.progress
	p.at = len(s.tokens)
	switch {
	case n > MaxDraft+1:
		s.checkpoint()
	case n > 1:
		p.from = p.at - n
	}
}

// checkpoint keeps the memories as they are.
func (s *Session) checkpoint() {
	p := &s.progress
	var c checkpoint
	switch n := len(p.checkpoints); {
	case n > 0 && p.rolling:
		c, p.checkpoints = p.checkpoints[n-1], p.checkpoints[:n-1]
	case n == checkpoints:
		c, p.checkpoints = p.checkpoints[0], slices.Delete(p.checkpoints, 0, 1)
	}
	c.tokens = p.at
	if c.kept == nil {
		for _, kv := range s.caches {
			if kv.memory != nil {
				c.kept = append(c.kept, s.model.config.newKept(kv.memory.mixer))
			}
		}
	}
	i := 0
	for _, kv := range s.caches {
		if kv.memory != nil {
			c.kept[i].copy(kv.memory.kept)
			i++
		}
	}
	p.checkpoints = append(p.checkpoints, c)
	p.rolling = true
}

// resume brings the memories to the session's tokens, or to as many of the first of them as can be
// had without computing them again, and returns how many that are.
func (s *Session) resume() int {
	p, n := &s.progress, len(s.tokens)
	if s.model.config.recurrent.taps == 0 {
		return n
	}
	p.rolling = false
	p.checkpoints = slices.DeleteFunc(p.checkpoints, func(c checkpoint) bool { return c.tokens > n })
	switch {
	case p.at == n:
	case p.at > n && p.from >= 0 && p.from <= n:
		for _, kv := range s.caches {
			if kv.memory != nil {
				kv.memory.rewind(s, n-p.from)
			}
		}
		p.at, p.from = n, -1
	default:
		p.at, p.from = 0, -1
		last := len(p.checkpoints) - 1
		if last >= 0 {
			p.at = p.checkpoints[last].tokens
		}
		i := 0
		for _, kv := range s.caches {
			if kv.memory == nil {
				continue
			}
			if last >= 0 {
				kv.memory.copy(p.checkpoints[last].kept[i])
			} else {
				kv.memory.kept.clear()
			}
			i++
		}
	}
	return p.at
}
