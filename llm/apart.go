package llm

// One token's attention where a layer has fewer key/value heads than there are threads, as the single one of some Gemmas.
// Threads share the keys of a head by rows and its values by columns, so that each number is still added up by one thread and
// in the usual order: the bits are those of a head that is computed alone.

// apartPays is how many bytes of keys and values a layer must look at for this to pay: there are three steps more to wait for.
const apartPays = 256 << 10

// apart is what threads make together of a key/value head.
type apart struct {
	scores  []float32 // of each head of the group for each position, then weights
	factors []float32 // that are due before each attendRows positions, for each head of the group
	inverse []float32 // of each head's sum of weights
}

// apartHeads is how many key/value heads the layers have at most whose heads threads may share.
func (m *Model) apartHeads() (heads int) {
	for _, l := range m.config.layer[:m.config.layers] {
		if l.mixer.attends() && l.kvHeads < m.pool.threads {
			heads = max(heads, l.kvHeads)
		}
	}
	return heads
}

// apart reports whether a token that sees so many positions is computed so.
func (s *Session) apart(l *layer, kv *cache, seen int) bool {
	return len(kv.keys) < s.model.pool.threads && len(kv.keys) <= len(s.buffers.apart) && l.value <= l.head && seen*(kv.keys[0].RowBytes()+kv.values[0].RowBytes())*len(kv.keys) >= s.apartFrom
}

// attendApart is attend for one token; the task is set.
func (s *Session) attendApart(rotating, work int) {
	kvHeads, threads := len(s.task.kv.keys), s.model.pool.threads
	s.task.pieces = (threads + kvHeads - 1) / kvHeads
	s.model.pool.run(kvHeads, rotating, s.jobs.remember)
	s.model.pool.run(kvHeads*s.task.pieces, work/2, s.jobs.score)
	s.model.pool.run(kvHeads*s.task.kv.group, work/s.task.layer.head, s.jobs.weigh)
	s.model.pool.run(kvHeads*s.task.pieces, work/2, s.jobs.sum)
}

// apartScores is where a head's scores of each position, then weights, lie, how far apart those of the heads that share it are,
// and the first and one past the last position that the token sees.
func (s *Session) apartScores(g int) (scores []float32, step, first, seen int) {
	first, seen = s.task.kv.first, s.task.position+1
	if w := s.task.layer.window; w > 0 {
		first = max(first, seen-w)
	}
	return s.buffers.apart[g].scores, seen, first, seen
}

// scorePart does some rows of a head's keys.
func (s *Session) scorePart(worker, part int) {
	k, g := &s.task, part/s.task.pieces
	scores, step, first, seen := s.apartScores(g)
	group, head, keys, q := k.kv.group, k.layer.head, k.kv.keys[g], &k.kv.queries[worker]
	near := keys.Near()
	first = first / near * near
	blocks, piece := (seen-first+near-1)/near, part%k.pieces
	row, to := first+blocks*piece/k.pieces*near, min(seen, first+blocks*(piece+1)/k.pieces*near)
	if row >= to {
		return
	}
	q.Set(s.buffers.q[g*group*head:][:group*head], group)
	if group <= 4 { // they are passed over once
		near *= 16
	}
	for ; row < to; row += near {
		keys.Mul(scores, step, q, row, min(row+near, to))
	}
}

// weighPart makes the weights of a head's scores, in the steps of attendPart.
func (s *Session) weighPart(_, part int) {
	g, i := part/s.task.kv.group, part%s.task.kv.group
	scores, step, first, seen := s.apartScores(g)
	a := &s.buffers.apart[g]
	f := s.beginSoftmax(part)
	for row := first / attendRows * attendRows; row < seen; row += attendRows {
		a.factors[row/attendRows*s.task.kv.group+i] = s.weigh(&f, scores[i*step:][max(row, first):min(row+attendRows, seen)], nil)
	}
	a.inverse[i] = f.Inverse()
}

// sumPart does some columns of a head's values. The queries are no longer needed: the sums of the heads that share
// the values lie there until they are together.
func (s *Session) sumPart(_, part int) {
	b, k, g := &s.buffers, &s.task, part/s.task.pieces
	scores, step, first, seen := s.apartScores(g)
	group, width, values := k.kv.group, k.layer.value, k.kv.values[g]
	columns := (width/k.pieces + 31) &^ 31 // a block of Q8_0 is not divided
	from := part % k.pieces * columns
	to := min(from+columns, width)
	if part%k.pieces == k.pieces-1 {
		to = width
	}
	if from >= to {
		return
	}
	n, some, a := to-from, values.Columns(from, to), &b.apart[g]
	sums := b.q[g*group*k.layer.head+group*from:][:group*n]
	clear(sums)
	near := values.Near()
	for row := first / attendRows * attendRows; row < seen; row += attendRows {
		for i, f := range a.factors[row/attendRows*group:][:group] {
			s.model.set.Scale(sums[i*n:][:n], f)
		}
		for at := max(row, first); at < min(row+attendRows, seen); at += near {
			some.Sum(sums, group, scores[at:], step, at, min(at+near, row+attendRows, seen)-at)
		}
	}
	for i := range group {
		s.model.set.Scale(sums[i*n:][:n], a.inverse[i])
		copy(b.att[(g*group+i)*width+from:][:n], sums[i*n:])
	}
}
