package llm

// One token's attention where a layer has fewer key/value heads than there are threads, as the single one of some Gemmas.
// Threads share the keys of a head by rows and its values by columns, so that each number is still added up by one thread and
// in the usual order: the bits are those of a head that is computed alone.

// apartPays is how many bytes of keys and values a layer must look at for this to pay: there are three steps more to wait for.
const apartPays = 256 << 10

// apart reports whether a token that sees so many positions is computed so.
func (s *Session) apart(l *layer, kv *cache, seen int) bool {
	return len(kv.keys) < s.model.pool.threads && l.value <= l.head && seen*(kv.keys[0].RowBytes()+kv.values[0].RowBytes())*len(kv.keys) >= s.apartFrom
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
	if step = seen; s.task.layer.sinks != nil {
		step++
	}
	return s.buffers.scores[g], step, first, seen
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

// weighPart makes the weights of a head's scores.
func (s *Session) weighPart(_, part int) {
	g, i := part/s.task.kv.group, part%s.task.kv.group
	scores, step, first, seen := s.apartScores(g)
	s.weigh(scores[i*step:][first:seen], part)
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
	n, some := to-from, values.Columns(from, to)
	sums := b.q[g*group*k.layer.head+group*from:][:group*n]
	clear(sums)
	near := values.Near()
	for row := first / near * near; row < seen; row += near {
		begin := max(row, first)
		some.Sum(sums, group, scores[begin:], step, begin, min(row+near, seen)-begin)
	}
	for i := range group {
		copy(b.att[(g*group+i)*width+from:][:n], sums[i*n:])
	}
}
