package llm

import (
	"math"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Mixtures of experts: a layer has many feed-forward networks, and a router chooses a few of
// them for each token.
//
//	E  experts        u  of them used for a token        f  their feed-forward length
//
// What one token gets does not depend on the others computed with it: its experts' results are
// added in the order of the router's choice.

// expertsShape is what all mixtures of a model have in common.
type expertsShape struct {
	count, used        int
	feedForward        int // length
	shared             int // feed-forward length of the one that serves all tokens; 0: none
	dense              int // layers, from the first on, that are no mixtures
	groups, usedGroups int // experts of the best groups only are chosen
	gating             gating
	normalized         bool // weights of a token add up to 1
	scale              float32
}

// gating is what makes weights of the router's numbers.
type gating uint8

const (
	gateSoftmax gating = 1 + iota
	gateSigmoid
	gateChosen // softmax of those that were chosen
)

func readExperts(m *metadata) expertsShape {
	e := expertsShape{count: m.optional("expert_count", 0, 1<<10)}
	if e.count == 0 {
		return e
	}
	e.used = m.size("expert_used_count", 0, min(e.count, 64))
	e.feedForward = m.optional("expert_feed_forward_length", 0, 1<<18)
	e.shared = m.optional("expert_shared_feed_forward_length", 0, 1<<18)
	e.dense = m.optional("leading_dense_block_count", 0, 1<<10)
	e.gating = gating(m.optional("expert_gating_func", 1, 2))
	e.groups, e.usedGroups = m.optional("expert_group_count", 1, e.count), m.optional("expert_group_used_count", 1, e.count)
	if e.groups > 1 && (e.count%e.groups != 0 || e.count/e.groups < 2 || e.usedGroups > e.groups || e.usedGroups*(e.count/e.groups) < e.used) {
		m.fail("the model's %d experts in %d groups, of which %d are used, do not fit: the file is damaged or was converted wrongly", e.count, e.groups, e.usedGroups)
	}
	e.scale = float32(m.number("expert_weights_scale", 0, 0, 1e3))
	e.normalized = true
	return e
}

// tensors lists those of a mixture.
func (e *expertsShape) tensors(list map[string]shape, c *config, has func(string) bool) {
	d, f := c.embedding, e.feedForward
	list["ffn_gate_inp.weight"] = shape{e.count, d}
	list["ffn_down_exps.weight"] = shape{d, f, e.count}
	if has("ffn_gate_up_exps.weight") {
		list["ffn_gate_up_exps.weight"] = shape{2 * f, d, e.count}
	} else {
		list["ffn_gate_exps.weight"], list["ffn_up_exps.weight"] = shape{f, d, e.count}, shape{f, d, e.count}
	}
	for name, size := range map[string]shape{
		"ffn_gate_inp.bias": {0, e.count}, "exp_probs_b.bias": {0, e.count},
		"ffn_gate_exps.bias": {e.count, f}, "ffn_up_exps.bias": {e.count, f}, "ffn_down_exps.bias": {e.count, d},
	} {
		if has(name) {
			list[name] = size
		}
	}
	if e.shared > 0 {
		list["ffn_gate_shexp.weight"], list["ffn_up_shexp.weight"], list["ffn_down_shexp.weight"] = shape{e.shared, d}, shape{e.shared, d}, shape{d, e.shared}
	}
}

// experts is the weights of a mixture. What a family does not have is nil.
type experts struct {
	router                       *kernel.Matrix // E x d
	routerBias                   []float32      // E
	choiceBias                   []float32      // E: added for the choice only
	each                         []expert       // E; those that are on the drive have no matrices
	gateBias, upBias, downBias   []float32      // E x f, E x f, E x d
	shared                       dense          // for every token
	sharedGate                   []float32      // d: its weight is sigmoid of the product
	routerNorm, norm             []float32      // d: of the router's and the experts' own input
	afterShared, afterExperts    []float32      // d
	layer                        int            // among those of the model that are mixtures
	next                         *experts       // of the next such layer
	nextNorm                     []float32      // what comes before its router
	gateScale, upScale, outScale []float32      // E
}

// expert is one network of a mixture.
type expert struct {
	gate, up, down *kernel.Matrix
	raw            bool // to be rearranged by who multiplies with them next
}

// experts binds the mixture of layer i.
func (b *binder) experts(i int) *experts {
	c, part := &b.model.config, partOf(i)
	m := &experts{
		router: b.matrix(part("ffn_gate_inp.weight")), routerBias: b.vector(part("ffn_gate_inp.bias")), choiceBias: b.vector(part("exp_probs_b.bias")),
		gateBias: b.vector(part("ffn_gate_exps.bias")), upBias: b.vector(part("ffn_up_exps.bias")), downBias: b.vector(part("ffn_down_exps.bias")),
		gateScale: b.vector(part("ffn_gate_exps.scale")), upScale: b.vector(part("ffn_up_exps.scale")), outScale: b.vector(part("ffn_down_exps.scale")),
		each: make([]expert, c.experts.count),
	}
	if fused := b.vector(part("ffn_gate_up_exps.scale")); fused != nil {
		m.gateScale, m.upScale = fused, fused
	}
	if c.experts.shared > 0 {
		m.shared = dense{gate: b.matrix(part("ffn_gate_shexp.weight")), up: b.matrix(part("ffn_up_shexp.weight")), down: b.matrix(part("ffn_down_shexp.weight"))}
		m.sharedGate = b.vector(part("ffn_gate_inp_shexp.weight"))
	}
	if b.model.weights.bindExperts(m, i, c) {
		return m // on the drive
	}
	for x := range m.each {
		for k, s := range c.expertSpans(b.model.file, i, x) {
			w := b.rows(s.tensor.Name, s.from, s.to)
			if w == nil {
				return m
			}
			*m.each[x].matrices()[k] = w
		}
		m.scaleExpert(x, m.each[x].gate, m.each[x].up, m.each[x].down)
	}
	return m
}

func (e *expert) matrices() [3]**kernel.Matrix { return [3]**kernel.Matrix{&e.gate, &e.up, &e.down} }

// scaleExpert gives the matrices of an expert its scales.
func (m *experts) scaleExpert(x int, gate, up, down *kernel.Matrix) {
	gate.Scale, up.Scale, down.Scale = at(m.gateScale, x), at(m.upScale, x), at(m.outScale, x)
}

func at(list []float32, i int) float32 {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// mixture is memory to compute mixtures with: see Session.mix. n is the tokens computed together.
type mixture struct {
	route            []float32 // n x E
	chosen           []int32   // n x u
	weights          []float32 // n x u
	row              []int32   // n x u: where, among the rows below, each has its results
	needed           []int32   // experts
	first            []int32   // E+1: the first row of each expert
	in               []float32 // n*u x d
	gate, up         []float32 // n*u x f
	out              []float32 // n*u x d
	shared, input    []float32 // n x d
	excluded         []bool    // E
	forms            map[formKey]*kernel.Activations
	tasks            []expertTask
	views            []kernel.Activations
	viewed           int
	wave             []int32 // rows that are computed now
	waveForms        [2]*kernel.Activations
	gateBias, upBias []float32
	tokens           int
	down             bool
	guess            []int32
	guessed          []float32 // n x E, of guesses
}

// expertTask is a matrix to be multiplied with the rows that chose it.
type expertTask struct {
	m   *kernel.Matrix
	a   *kernel.Activations
	y   []float32
	end int  // parts of it and of those before it
	raw bool // see expert
}

// newMixture takes memory for n tokens.
func (c *config) newMixture(n int) *mixture {
	e := &c.experts
	if e.count == 0 {
		return nil
	}
	rows := n * e.used
	return &mixture{
		route: make([]float32, n*e.count), chosen: make([]int32, rows), weights: make([]float32, rows), row: make([]int32, rows),
		needed: make([]int32, 0, e.count), first: make([]int32, e.count+1), excluded: make([]bool, e.count),
		in: make([]float32, rows*c.embedding), gate: make([]float32, rows*e.feedForward), up: make([]float32, rows*e.feedForward), out: make([]float32, rows*c.embedding),
		shared: make([]float32, n*c.embedding), input: make([]float32, n*c.embedding),
		forms: map[formKey]*kernel.Activations{}, tasks: make([]expertTask, 0, 2*e.count), views: make([]kernel.Activations, 3*e.count), wave: make([]int32, 0, rows),
		guess: make([]int32, 0, e.count),
	}
}

// numbers is how many float32 a mixture's memory takes for a token.
func (e *expertsShape) numbers(c *config) int {
	return e.count + 3*e.used + e.used*(2*c.embedding+2*e.feedForward) + 2*c.embedding
}

// mix makes h, the normed input of n tokens, what a layer's experts make of it.
func (s *Session) mix(l *layer, i, n int) {
	c, b, e, m := &s.model.config, &s.buffers, l.experts, s.mixture
	d := c.embedding
	x, h := b.x[:n*d], b.h[:n*d]
	shared, input := m.shared[:n*d], m.input[:n*d]

	// What serves every token, and what the router and the experts see.
	routed, seen := h, h
	switch {
	case e.routerNorm != nil: // the layer's own network beside them, each normed for itself
		s.feedForward(&l.dense, h, shared, n)
		s.norm(shared, shared, e.afterShared, n)
		s.norm(input, x, e.routerNorm, n)
		routed = input
		s.norm(h, x, e.norm, n)
	case e.shared.gate != nil:
		s.feedForward(&e.shared, h, shared, n)
		for t := 0; t < n && e.sharedGate != nil; t++ {
			var sum float64
			for j, w := range e.sharedGate {
				sum += float64(w) * float64(h[t*d+j])
			}
			s.model.set.Scale(shared[t*d:(t+1)*d], float32(1/(1+math.Exp(-sum))))
		}
	default:
		shared = nil
	}
	s.route(e, routed, n)
	s.guessNext(l, n)
	s.runExperts(e, seen, n)
	if s.failure != nil {
		return
	}
	for t := range n {
		y := h[t*d : (t+1)*d]
		clear(y)
		for j := t * c.experts.used; j < (t+1)*c.experts.used; j++ {
			r := int(m.row[j]) * d
			s.model.set.Scale(m.out[r:r+d], m.weights[j])
			s.model.set.Add(y, m.out[r:r+d])
		}
	}
	if e.afterExperts != nil {
		s.norm(h, h, e.afterExperts, n)
	}
	if shared != nil {
		s.model.set.Add(h, shared)
	}
}

// route chooses the experts of n tokens with inputs x and sorts the choices by experts.
func (s *Session) route(e *experts, x []float32, n int) {
	c, m := &s.model.config, s.mixture
	count, used := c.experts.count, c.experts.used
	s.mul(x, n, product{e.router, m.route})
	s.addBias(m.route, e.routerBias, n)
	clear(m.first)
	for t := range n {
		chosen, weights := m.chosen[t*used:(t+1)*used], m.weights[t*used:(t+1)*used]
		c.experts.choose(m.route[t*count:(t+1)*count], e.choiceBias, m.excluded, chosen, weights)
		for _, x := range chosen {
			m.first[x+1]++
		}
	}
	m.needed = m.needed[:0]
	for x := range count {
		if m.first[x+1] > 0 {
			m.needed = append(m.needed, int32(x))
		}
		m.first[x+1] += m.first[x]
	}
	for j, x := range m.chosen[:n*used] { // first moves on and comes back
		m.row[j] = m.first[x]
		m.first[x]++
	}
	for x := count; x > 0; x-- {
		m.first[x] = m.first[x-1]
	}
	m.first[0] = 0
}

// choose chooses experts by the router's numbers r and gives them weights. r is changed.
func (e *expertsShape) choose(r, bias []float32, excluded []bool, chosen []int32, weights []float32) {
	switch e.gating {
	case gateSoftmax:
		largest, sum := float32(math.Inf(-1)), 0.0
		for _, v := range r {
			largest = max(largest, v)
		}
		for i, v := range r {
			r[i] = float32(math.Exp(float64(v - largest)))
			sum += float64(r[i])
		}
		for i, v := range r {
			r[i] = float32(float64(v) / sum)
		}
	case gateSigmoid:
		for i, v := range r {
			r[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	}
	value := func(i int) float32 { return r[i] + at(bias, i) }
	clear(excluded)
	if e.groups > 1 {
		e.excludeGroups(value, excluded)
	}
	for j := range chosen {
		best := -1
		for i := range r {
			if !excluded[i] && (best < 0 || value(i) > value(best)) {
				best = i
			}
		}
		chosen[j], weights[j], excluded[best] = int32(best), r[best], true
	}
	sum := 0.0
	if e.gating == gateChosen {
		largest := weights[0]
		for j, v := range weights {
			weights[j] = float32(math.Exp(float64(v - largest)))
			sum += float64(weights[j])
		}
		for j, v := range weights {
			weights[j] = float32(float64(v) / sum)
		}
	} else if e.normalized {
		for _, v := range weights {
			sum += float64(v)
		}
		sum = max(sum, 6.103515625e-5)
		for j, v := range weights {
			weights[j] = float32(float64(v) / sum)
		}
	}
	if e.scale != 0 {
		for j := range weights {
			weights[j] *= e.scale
		}
	}
}

// excludeGroups excludes experts but those of the best groups, by the sum of each group's two best.
func (e *expertsShape) excludeGroups(value func(int) float32, excluded []bool) {
	size := e.count / e.groups
	score := func(g int) float32 {
		a, b := float32(math.Inf(-1)), float32(math.Inf(-1))
		for i := g * size; i < (g+1)*size; i++ {
			if v := value(i); v > a {
				a, b = v, a
			} else {
				b = max(b, v)
			}
		}
		return a + b
	}
	for i := range excluded {
		excluded[i] = true
	}
	for range e.usedGroups {
		best := -1
		for g := range e.groups {
			if excluded[g*size] && (best < 0 || score(g) > score(best)) {
				best = g
			}
		}
		clear(excluded[best*size : (best+1)*size])
	}
}

// runExperts computes what the chosen experts make of the inputs x of n tokens, in waves: of those that
// are in memory first.
func (s *Session) runExperts(e *experts, x []float32, n int) {
	c, m := &s.model.config, s.mixture
	d, used := c.embedding, c.experts.used
	if m.tokens = n; n > 1 {
		for j, row := range m.row[:n*used] {
			copy(m.in[int(row)*d:][:d], x[j/used*d:][:d])
		}
	}
	for needed, first := m.needed, true; len(needed) > 0; first = false {
		ready, err := s.model.weights.takeExperts(e, needed, n, first)
		if err != nil {
			s.failure = err
			return
		}
		s.runWave(e, x, needed[:ready])
		s.model.weights.dropExperts(e, needed[:ready])
		needed = needed[ready:]
	}
}

// runWave computes experts that are in memory.
func (s *Session) runWave(e *experts, x []float32, wave []int32) {
	c, m := &s.model.config, s.mixture
	d, f := c.embedding, c.experts.feedForward
	m.wave = m.wave[:0]
	for _, x := range wave {
		for r := m.first[x]; r < m.first[x+1]; r++ {
			m.wave = append(m.wave, r)
		}
	}
	some := e.each[wave[0]]
	gateForm, upForm, downForm := kernel.FormOf(some.gate.Type), kernel.FormOf(some.up.Type), kernel.FormOf(some.down.Type)
	rows := m.tokens * c.experts.used
	m.viewed = 0
	m.tasks = m.tasks[:0]
	if m.tokens == 1 {
		gate := s.prepare(x, 1, gateForm, d)
		up := gate
		if upForm != gateForm {
			up = s.prepare(x, 1, upForm, d)
		}
		for _, x := range wave {
			r, w := int(m.first[x]), &e.each[x]
			m.tasks = append(m.tasks, expertTask{m: w.gate, a: gate, y: m.gate[r*f:][:f], raw: w.raw}, expertTask{m: w.up, a: up, y: m.up[r*f:][:f], raw: w.raw})
		}
	} else {
		gate := m.activations(s, gateForm, d, m.in, rows)
		up := gate
		m.waveForms = [2]*kernel.Activations{gate}
		if upForm != gateForm {
			up = m.activations(s, upForm, d, m.in, rows)
			m.waveForms[1] = up
		}
		m.down = false
		s.model.pool.run(len(m.wave), len(m.wave)*d*16, s.jobs.prepareExperts)
		for _, x := range wave {
			from, to, w := int(m.first[x]), int(m.first[x+1]), &e.each[x]
			m.tasks = append(m.tasks,
				expertTask{m: w.gate, a: m.view(gate, from, to), y: m.gate[from*f : to*f], raw: w.raw}, expertTask{m: w.up, a: m.view(up, from, to), y: m.up[from*f : to*f], raw: w.raw})
		}
	}
	s.runTasks()
	for _, x := range wave {
		for r := m.first[x]; r < m.first[x+1]; r++ {
			gate, up := m.gate[int(r)*f:][:f], m.up[int(r)*f:][:f]
			if e.gateBias != nil {
				s.model.set.Add(gate, e.gateBias[int(x)*f:])
			}
			if e.upBias != nil {
				s.model.set.Add(up, e.upBias[int(x)*f:])
			}
		}
	}
	down := m.activations(s, downForm, f, m.gate, rows)
	m.waveForms = [2]*kernel.Activations{down}
	m.down = true
	s.model.pool.run(len(m.wave), len(m.wave)*f*64, s.jobs.prepareExperts)
	m.tasks, m.viewed = m.tasks[:0], 0
	for _, x := range wave {
		from, to, w := int(m.first[x]), int(m.first[x+1]), &e.each[x]
		m.tasks = append(m.tasks, expertTask{m: w.down, a: m.view(down, from, to), y: m.out[from*d : to*d], raw: w.raw})
		w.raw = false
	}
	s.runTasks()
	for _, x := range wave {
		for r := m.first[x]; r < m.first[x+1] && e.downBias != nil; r++ {
			s.model.set.Add(m.out[int(r)*d:][:d], e.downBias[int(x)*d:])
		}
	}
}

// activations holds rows vectors of x, of which none is ready.
func (m *mixture) activations(s *Session, form kernel.Form, cols int, x []float32, rows int) *kernel.Activations {
	key := formKey{form, cols}
	a := m.forms[key]
	if a == nil {
		a = s.model.set.NewActivations(form, cols, len(m.row)+4)
		m.forms[key] = a
	}
	a.Alone = m.tokens <= MaxDraft+1
	a.Hold(x, rows)
	return a
}

func (m *mixture) view(a *kernel.Activations, from, to int) *kernel.Activations {
	v := &m.views[m.viewed]
	m.viewed++
	a.View(v, from, to)
	return v
}

// prepareExpertsPart prepares one row of a wave.
func (s *Session) prepareExpertsPart(_, part int) {
	m, r := s.mixture, int(s.mixture.wave[part])
	if m.down {
		f := s.model.config.experts.feedForward
		s.activateRow(m.gate[r*f:][:f], m.up[r*f:][:f])
	}
	for _, a := range m.waveForms {
		if a != nil {
			a.Prepare(r, r+1)
		}
	}
}

// runTasks multiplies.
func (s *Session) runTasks() {
	m, work, rows, parts := s.mixture, 0, 0, 0
	for i := range m.tasks {
		w := m.tasks[i].m
		rows += w.Rows
		work += w.Bytes() * max(1, len(m.tasks[i].y)/w.Rows)
	}
	// With few experts a thread that loses its processor to one that reads others would keep a large share of them waiting.
	s.task.piece = max(32, min(rows/(s.model.pool.threads*8)+31, rows*mostPiece/work)&^31)
	for i := range m.tasks {
		parts += (m.tasks[i].m.Rows + s.task.piece - 1) / s.task.piece
		m.tasks[i].end = parts
	}
	s.model.pool.run(parts, work, s.jobs.experts)
}

func (s *Session) expertsPart(_, part int) {
	tasks, piece := s.mixture.tasks, s.task.piece
	low, high := 0, len(tasks)-1
	for low < high { // the first that ends behind part
		if middle := (low + high) / 2; tasks[middle].end > part {
			high = middle
		} else {
			low = middle + 1
		}
	}
	k := &tasks[low]
	part -= k.end - (k.m.Rows+piece-1)/piece
	from, to := part*piece, min((part+1)*piece, k.m.Rows)
	if k.raw {
		k.m.RepackAndMul(k.y, k.m.Rows, k.a, from, to)
	} else {
		k.m.Mul(k.y, k.m.Rows, k.a, from, to)
	}
}

// guessNext has the experts read that the next mixture will probably need, if they are not in memory:
// those that its router would choose for what this layer sees.
func (s *Session) guessNext(l *layer, n int) {
	c, e, m := &s.model.config, l.experts, s.mixture
	if e.next == nil || !s.model.weights.guesses() {
		return
	}
	if n > MaxDraft+1 { // most of them will be
		m.guess = m.guess[:0]
		for x := range c.experts.count {
			m.guess = append(m.guess, int32(x))
		}
		s.model.weights.guessExperts(e.next, m.guess, 0)
		return
	}
	d, used := c.embedding, c.experts.used
	x, input := s.buffers.x[:n*d], m.in[:n*d] // which runExperts overwrites later
	s.norm(input, x, e.nextNorm, n)
	if len(m.guessed) == 0 {
		m.guessed = make([]float32, (MaxDraft+1)*c.experts.count)
	}
	route := m.guessed[:n*c.experts.count]
	s.mul(input, n, product{e.next.router, route})
	s.addBias(route, e.next.routerBias, n)
	m.guess = m.guess[:0]
	var chosen [64]int32
	var weights [64]float32
	for t := range n {
		c.experts.choose(route[t*c.experts.count:(t+1)*c.experts.count], e.next.choiceBias, m.excluded, chosen[:used], weights[:used])
		m.guess = append(m.guess, chosen[:used]...)
	}
	s.model.weights.guessExperts(e.next, m.guess, used)
}

// bytes is the size of all that are in memory.
func (m *experts) bytes() (n int) {
	for _, x := range m.each {
		for _, w := range x.matrices() {
			if *w != nil {
				n += (*w).Bytes()
			}
		}
	}
	return n
}

// expertSpan is where a matrix of an expert lies: rows of a stack.
type expertSpan struct {
	tensor   *gguf.Tensor
	from, to int
}

func (s expertSpan) offset() int64 { return s.tensor.Offset + int64(s.from)*rowBytes(s.tensor) }
func (s expertSpan) bytes() int64  { return int64(s.to-s.from) * rowBytes(s.tensor) }

// expertSpans are those of the gate, up and down matrices of expert x in layer i.
func (c *config) expertSpans(file *gguf.File, i, x int) [3]expertSpan {
	part, f, d := partOf(i), c.experts.feedForward, c.embedding
	tensor := func(name string) *gguf.Tensor {
		t, _ := file.Tensor(part(name + ".weight"))
		return t
	}
	down := expertSpan{tensor("ffn_down_exps"), x * d, (x + 1) * d}
	if t := tensor("ffn_gate_up_exps"); t != nil {
		return [3]expertSpan{{t, 2 * x * f, (2*x + 1) * f}, {t, (2*x + 1) * f, (2*x + 2) * f}, down}
	}
	return [3]expertSpan{{tensor("ffn_gate_exps"), x * f, (x + 1) * f}, {tensor("ffn_up_exps"), x * f, (x + 1) * f}, down}
}
