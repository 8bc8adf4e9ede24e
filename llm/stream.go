package llm

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"alphaos/llm/gguf"
	"alphaos/llm/kernel"
)

// Models larger than their memory.
//
// A matrix is cut by rows into pieces of at most 8 MiB. As many pieces as the
// budget allows stay in memory, spread evenly over the graph; the others are
// streamed: read from the drive each time they are used, into a small ring of
// buffers. The graph uses pieces always in the same order, so a goroutine reads
// ahead in that order as long as a buffer is free, and beyond the end of one
// pass begins with the next. So the drive never rests, and a pass takes as long
// as the drive needs for the streamed bytes, or the processor for all of them,
// whichever is longer.
//
// Everything read stays right when the guess was wrong (a pass that needs no
// logits, one that was cancelled, one that failed): take asks for a piece by
// its number, and what lies in the ring before it is dropped.
//
// The embeddings of a model that does not use them for its output too are not
// worth memory: a pass reads only the rows of its tokens.
//
// A block for guesses (guess.go) stays in memory, where that is little beside what a pass streams, and of the rest the output
// first: it is used for each guess as well as for each pass.

const (
	ringSlots = 4

	leastPiece    = 256 << 10
	rowCache      = 1024     // embedding rows kept
	rowCacheBytes = 8 << 20  // that they take at most, or 16 of them
	measured      = 32 << 20 // bytes read to measure the drive

	activationBytes = 32 << 20
)

var (
	pieceBytes = 8 << 20 // of a piece at most; less if the budget is small

	// blockShare limits what a block for guesses adds to what is streamed, which is lost where its guesses are wrong: to one part
	// in so many of what is streamed without it.
	blockShare = int64(8)
)

// span is the rows [from, to) of a matrix, its bytes at offset in the file.
type span struct {
	name          string
	from, to      int
	offset, bytes int64
	resident      bool
	index         int            // in the order of streaming, if not resident
	matrix        *kernel.Matrix // if resident
}

// layout says what of a model is kept in memory.
type layout struct {
	spans    map[string][]*span // of the matrices that are cut
	order    []*span            // the streamed spans as a pass uses them
	outputs  int                // index in order of the first that only logits need
	singles  map[string]bool    // matrices of which only single rows are read
	apart    map[string]bool    // tensors that are kept otherwise, experts, or not at all
	store    *expertStore       // of these, or nil
	runs     []run              // what of the file is in memory
	memory   int64              // bytes of memory altogether
	ring     int64              // where in it the ring is
	piece    int64              // bytes of the largest streamed span
	streamed int64              // bytes read in each pass
	block    bool               // the one for guesses is in memory
}

// run is the bytes of the file [offset, offset+n), at memory[at:]. Offset and
// at are multiples of a page.
type run struct {
	offset, n, at int64
}

// plan lays the model out in a budget of bytes.
func (m *Model) plan(budget int64) (*layout, error) {
	least := int64(0)
	for size := int64(pieceBytes); size >= leastPiece || size == int64(pieceBytes); size /= 2 {
		l, need := m.planPieces(budget, size, false)
		if l == nil {
			least = need
			continue
		}
		if m.config.experts.count == 0 && m.config.guessTensors(m.file) != nil {
			if with, _ := m.planPieces(budget, size, true); with != nil && (with.streamed-l.streamed)*blockShare <= l.streamed {
				return with, nil
			}
		}
		return l, nil
	}
	return nil, fmt.Errorf("the model's %d MiB can be streamed from the drive, but that takes at least %d MiB of memory and there are only %d", (m.size+1<<20-1)>>20, (least+1<<20-1)>>20, budget>>20)
}

// planPieces tries with pieces of at most size bytes, and with the block for guesses or without, or else tells how much
// memory is missing.
func (m *Model) planPieces(budget, size int64, guesses bool) (l *layout, need int64) {
	if m.config.experts.count > 0 {
		return m.planExperts(budget)
	}
	l = &layout{spans: map[string][]*span{}, apart: m.ignored(guesses), block: guesses}
	var order []*span
	cut := func(name string, borders ...int) {
		t, ok := m.file.Tensor(name)
		if !ok || len(t.Dims) != 2 || l.spans[name] != nil {
			return
		}
		begin, row := 0, t.Bytes/int64(t.Dims[1])
		for _, end := range append(borders, int(t.Dims[1])) {
			rows, bytes := end-begin, int64(end-begin)*row
			// Whole groups of rows suit every kernel.
			n := int((bytes + size - 1) / size)
			step := max(64, ((rows+n-1)/n+63)&^63)
			if int64(step)*row > size {
				step = max(64, step-64)
			}
			for from := begin; from < end; from += step {
				to := min(from+step, end)
				s := &span{name: name, from: from, to: to, offset: t.Offset + int64(from)*row, bytes: int64(to-from) * row}
				l.spans[name] = append(l.spans[name], s)
				order = append(order, s)
			}
			begin = end
		}
	}
	for i := range m.config.layers {
		for _, part := range cutMatrices {
			cut(fmt.Sprintf("blk.%d.%s.weight", i, part), m.config.borders(i, part)...)
		}
	}
	inLayers := len(order)
	if m.leaveRows(l) {
		cut("output.weight")
	} else {
		cut("token_embd.weight")
	}

	const slack = 2 * page
	var fixed, largest, whole int64
	for i := range m.file.Tensors {
		t := &m.file.Tensors[i]
		switch {
		case l.singles[t.Name] || l.apart[t.Name]:
		case l.spans[t.Name] == nil:
			fixed += t.Bytes + slack
		}
	}
	for _, s := range order {
		largest = max(largest, s.bytes)
		whole += s.bytes + slack
	}
	ring := ringSlots * (largest + slack)
	if fixed+whole+ringSlots*slack <= budget { // nothing is streamed
		ring = ringSlots * slack
	}
	free := budget - fixed - ring
	if free < 0 {
		return nil, budget - free
	}
	keep := func(s *span) {
		s.resident = true
		free -= s.bytes + slack
	}
	// Small pieces first: reading them would be slow.
	var large int64
	for _, s := range order {
		if s.bytes < size/8 && s.bytes+slack <= free {
			keep(s)
		} else {
			large += s.bytes + slack
		}
	}
	for _, s := range order[inLayers:] {
		if n := s.bytes + slack; guesses && !s.resident && n <= free {
			keep(s)
			large -= n
		}
	}
	// Of the others an even share, and then what still fits.
	share, credit := float64(free)/float64(max(large, 1)), 0.0
	for _, s := range order {
		if s.resident {
			continue
		}
		n := float64(s.bytes + slack)
		if credit += n * share; credit >= n && s.bytes+slack <= free {
			credit -= n
			keep(s)
		}
	}
	for _, s := range order {
		if !s.resident && s.bytes+slack <= free {
			keep(s)
		}
	}
	for i, s := range order {
		if i == inLayers {
			l.outputs = len(l.order)
		}
		if !s.resident {
			s.index = len(l.order)
			l.order = append(l.order, s)
			l.streamed += s.bytes
			l.piece = max(l.piece, s.bytes)
		}
	}
	l.place(m.file)
	return l, 0
}

// ignored are the tensors that nobody reads, with the block for guesses or without.
func (m *Model) ignored(guesses bool) map[string]bool {
	all := map[string]bool{}
	for i := range m.file.Tensors {
		if name := m.file.Tensors[i].Name; m.config.ignores(name) && !(guesses && m.config.guessesBy(name)) {
			all[name] = true
		}
	}
	return all
}

// leaveRows leaves on the drive what a pass reads only some rows of. It reports whether that is so of
// the embeddings, because they are not the output as well.
func (m *Model) leaveRows(l *layout) bool {
	l.singles = map[string]bool{"per_layer_token_embd.weight": true, partOf(m.config.layers)("nextn.embed_tokens.weight"): true}
	_, untied := m.file.Tensor("output.weight")
	if untied {
		l.singles["token_embd.weight"] = true
	}
	return untied
}

// place finds memory for what stays there.
func (l *layout) place(f *gguf.File) {
	var parts [][2]int64
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if l.spans[t.Name] == nil && !l.singles[t.Name] && !l.apart[t.Name] {
			parts = append(parts, [2]int64{t.Offset, t.Offset + t.Bytes})
		}
	}
	for _, spans := range l.spans {
		for _, s := range spans {
			if s.resident {
				parts = append(parts, [2]int64{s.offset, s.offset + s.bytes})
			}
		}
	}
	slices.SortFunc(parts, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	at := int64(0)
	for _, p := range parts {
		if n := len(l.runs); n > 0 {
			if r := &l.runs[n-1]; p[0] <= r.offset+r.n+2*page {
				r.n = max(r.n, p[1]-r.offset)
				at = r.at + pages(r.n)
				continue
			}
		}
		begin := p[0] &^ (page - 1)
		l.runs = append(l.runs, run{begin, p[1] - begin, at})
		at += pages(p[1] - begin)
	}
	l.ring = at
	l.memory = at + ringSlots*pages(l.piece+2*page)
}

// pages rounds up to whole pages.
func pages(n int64) int64 { return (n + page - 1) &^ (page - 1) }

// Expectation tells, before the weights are loaded, what a model that does not
// fit its memory will be like.
type Expectation struct {
	Bytes    int64   // of the weights
	Memory   int64   // bytes there are for them
	Streamed int64   // bytes read from the drive for each token
	Rate     float64 // the drive's bytes a second, measured
}

// TokensPerSecond is how many tokens the drive can feed; the processor may be
// slower.
func (e Expectation) TokensPerSecond() float64 { return e.Rate / float64(max(e.Streamed, 1)) }

// stream reads what is not in memory.
type stream struct {
	*layout
	r      io.ReaderAt
	size   int64 // of the file
	set    *kernel.Set
	memory []byte
	rate   float64 // bytes a second, measured before loading

	drive sync.Mutex // held while reading

	mu      sync.Mutex
	changed sync.Cond
	slots   [ringSlots]slot
	head    int   // slot of the oldest piece
	count   int   // pieces in the ring, from head on
	ahead   int   // the piece to read next
	turn    int   // counts changes of ahead that were no step
	failed  error // of reading ahead, which then rests
	closed  bool
	started bool // there is a goroutine that reads ahead
	done    chan struct{}
	ctx     context.Context // of the pass
	logits  bool            // the pass needs the outputs
	misses  int             // pieces that were not where they were expected

	cut     map[*kernel.Matrix]cutMatrix // matrices that are in pieces
	rest    []product
	read    map[*gguf.Tensor]*rowsRead // of matrices that are not in memory
	experts *expertStore               // nil: there are none on the drive
	inPlace bool
}

// rowsRead are rows of a matrix that were read lately.
type rowsRead struct {
	cache map[int32]int // which are in rows
	owner []int32       // of those
	rows  []float32
	next  int    // row to be replaced
	row   []byte // memory to read a row into
}

// cutMatrix is the rows of a tensor that a matrix has, from one on.
type cutMatrix struct {
	*gguf.Tensor
	from int
}

// slot is a buffer of the ring with a piece.
type slot struct {
	buffer []byte
	data   []byte // the piece, in buffer
	index  int
}

// newStream begins to stream a model from r. memory has layout.memory bytes.
func (m *Model) newStream(r io.ReaderAt, l *layout, memory []byte) *stream {
	t := &stream{layout: l, r: r, size: m.size, set: m.set, memory: memory, cut: map[*kernel.Matrix]cutMatrix{}, read: map[*gguf.Tensor]*rowsRead{}, inPlace: m.options.inPlace, done: make(chan struct{}), ctx: context.Background()}
	t.changed.L = &t.mu
	n := pages(l.piece + 2*page)
	if t.experts = l.store; t.experts != nil {
		t.experts.start(t, m.options.Requests)
	}
	for i := range t.slots {
		t.slots[i].buffer = memory[l.ring+int64(i)*n:][:n]
	}
	return t
}

// readFull reads file bytes from offset, a multiple of a page, into p by
// requests of at most 8 MiB that begin and end on pages of the file; the last
// may reach beyond its end. The first need bytes must come.
func readFull(r io.ReaderAt, p []byte, offset, need int64, progress func(int64)) error {
	for at := int64(0); at < need; {
		b := p[at:min(at+int64(readSize), pages(need), int64(len(p)))]
		got, err := r.ReadAt(b, offset+at)
		if at += int64(got); got < len(b) && at < need {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("at byte %d of the model: %w", offset+at, err)
		}
		if progress != nil {
			progress(int64(got))
		}
	}
	return nil
}

// load measures the drive, tells what to expect and reads what stays in memory.
func (t *stream) load(o *Options, total int64) error {
	if t.experts != nil {
		if err := t.experts.measure(); err != nil {
			return err
		}
		if t.rate = t.experts.stats.Rate; o.Expect != nil && t.streamed() > 0 {
			o.Expect(Expectation{Bytes: total, Memory: int64(len(t.memory)), Streamed: t.streamed(), Rate: t.rate})
		}
	}
	if len(t.order) > 0 {
		begin, n := time.Now(), int64(0)
		for i := 0; i < len(t.order) && n < measured; i++ {
			s := t.order[i]
			if _, err := t.fetch(&t.slots[i%ringSlots], s); err != nil {
				return fmt.Errorf("reading the model %w", err)
			}
			n += s.bytes
		}
		t.rate = float64(n) / max(time.Since(begin).Seconds(), 1e-9)
		if o.Expect != nil {
			o.Expect(Expectation{Bytes: total, Memory: int64(len(t.memory)), Streamed: t.streamed(), Rate: t.rate})
		}
	}
	progress := o.Progress
	if progress == nil {
		progress = func(int64, int64) {}
	}
	var all, done int64
	for _, r := range t.runs {
		all += r.n
	}
	progress(0, all)
	for _, r := range t.runs {
		err := readFull(t.r, t.memory[r.at:r.at+pages(r.n)], r.offset, r.n, func(n int64) {
			done = min(done+n, all)
			progress(done, all)
		})
		if err != nil {
			return fmt.Errorf("reading the model %w", err)
		}
	}
	progress(all, all)
	if len(t.order) > 0 {
		t.started = true
		go t.readAhead()
	}
	if t.experts != nil {
		t.experts.begin()
	}
	return nil
}

// kept is n bytes of the file that are in memory, or nil.
func (t *stream) kept(offset, n int64) []byte {
	i, found := slices.BinarySearchFunc(t.runs, offset, func(r run, offset int64) int { return cmp.Compare(r.offset, offset) })
	if !found {
		i--
	}
	if i < 0 || offset+n > t.runs[i].offset+t.runs[i].n {
		return nil
	}
	return t.memory[t.runs[i].at+offset-t.runs[i].offset:][:n:n]
}

func (t *stream) bytes(x *gguf.Tensor) []byte { return t.kept(x.Offset, x.Bytes) }

func (t *stream) inMemory(x *gguf.Tensor) (list [][]byte) {
	if data := t.bytes(x); data != nil {
		return [][]byte{data}
	}
	for _, s := range t.spans[x.Name] {
		if s.resident {
			list = append(list, t.kept(s.offset, s.bytes))
		}
	}
	return list
}

// wait returns at once: load has read what stays in memory.
func (t *stream) wait(int64) error { return nil }

// repack does nothing where matrices are read in pieces: these come and go as they are in the file, and
// those that stay must give the same bits.
func (t *stream) repack(each func(n, size int, f func(i int)), list ...*kernel.Matrix) {
	for _, m := range list {
		if _, cut := t.cut[m]; m != nil && !cut && !t.inPlace && len(t.order) == 0 {
			m.Repack(each)
		}
	}
}

// sample hashes all of the sample: what stays in memory was not read in the file's order.
func (t *stream) sample(id *identity) error {
	row := make([]byte, 2*page)
	for _, x := range id.sample {
		if data := t.kept(x.Offset, sampled(x)); data != nil {
			id.hash.Write(data)
			continue
		}
		begin := x.Offset &^ (page - 1)
		if err := readFull(t.r, row, begin, x.Offset-begin+sampled(x), nil); err != nil {
			return fmt.Errorf("reading the model %w", err)
		}
		id.hash.Write(row[x.Offset-begin:][:sampled(x)])
	}
	return nil
}

func (t *stream) streamed() int64 { return t.layout.streamed }

func (t *stream) matrix(x *gguf.Tensor, from, to int) (*kernel.Matrix, error) {
	cols := int(x.Dims[0])
	if data := t.bytes(x); data != nil {
		return t.set.NewMatrix(x.Type, to-from, cols, rowsOf(x, data, from, to))
	}
	m := &kernel.Matrix{Type: x.Type, Rows: to - from, Cols: cols}
	t.cut[m] = cutMatrix{x, from}
	for _, s := range t.spans[x.Name] {
		if s.resident && s.from >= from && s.to <= to {
			var err error
			if s.matrix, err = t.set.NewMatrix(x.Type, s.to-s.from, cols, t.kept(s.offset, s.bytes)); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// fetch reads a piece into a slot. A failure is tried once more: sticks drop a
// request now and then.
func (t *stream) fetch(to *slot, s *span) ([]byte, error) {
	t.drive.Lock()
	defer t.drive.Unlock()
	begin := s.offset &^ (page - 1)
	skip := s.offset - begin
	var err error
	for range 2 {
		if err = readFull(t.r, to.buffer, begin, skip+s.bytes, nil); err == nil {
			return to.buffer[skip:][:s.bytes:s.bytes], nil
		}
	}
	return nil, err
}

// after is the piece that a pass uses after piece i.
func (t *stream) after(i int) int {
	if i++; i >= len(t.order) || i == t.outputs && !t.logits {
		return 0
	}
	return i
}

// readAhead fills the ring.
func (t *stream) readAhead() {
	defer close(t.done)
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for !t.closed && (t.count == ringSlots || t.failed != nil || len(t.order) == 0) {
			t.changed.Wait()
		}
		if t.closed {
			return
		}
		// Whatever is taken or dropped meanwhile, this slot stays the next one.
		s, index, turn := &t.slots[(t.head+t.count)%ringSlots], t.ahead, t.turn
		t.mu.Unlock()
		data, err := t.fetch(s, t.order[index])
		t.mu.Lock()
		if t.turn != turn {
			continue // it was read for nothing
		}
		if t.failed = err; err == nil {
			s.data, s.index = data, index
			t.count++
			t.ahead = t.after(index)
		}
		t.changed.Broadcast()
	}
}

// begin prepares for a pass.
func (t *stream) begin(ctx context.Context, logits bool) {
	t.mu.Lock()
	t.ctx, t.logits = ctx, logits
	t.mu.Unlock()
}

// take waits for piece i, which stays valid until drop.
func (t *stream) take(i int) ([]byte, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.count > 0 && t.slots[t.head].index != i {
		t.step()
	}
	if t.count == 0 && (t.ahead != i || t.failed != nil) {
		t.ahead, t.failed = i, nil
		t.turn++
		t.misses++
		t.changed.Broadcast()
	}
	for t.count == 0 {
		if t.failed != nil {
			return nil, fmt.Errorf("the model's weights could not be read from the drive, so the answer stops here (plug the drive in again and repeat the message): %w", t.failed)
		}
		t.changed.Wait()
	}
	return t.slots[t.head].data, nil
}

// drop gives the piece that was taken back.
func (t *stream) drop() {
	t.mu.Lock()
	t.step()
	t.mu.Unlock()
}

func (t *stream) step() {
	t.head, t.count = (t.head+1)%ringSlots, t.count-1
	t.changed.Broadcast()
}

func (t *stream) close() {
	t.mu.Lock()
	t.closed = true
	t.changed.Broadcast()
	t.mu.Unlock()
	if t.started {
		<-t.done
	}
	if t.experts != nil {
		t.experts.close()
	}
}

// mul multiplies with the matrices among products that are cut, and returns the others.
func (t *stream) mul(s *Session, x []float32, n int, products []product) []product {
	t.rest = t.rest[:0]
	var ready [3]*kernel.Activations
	for _, p := range products {
		f, cut := t.cut[p.m]
		if !cut {
			t.rest = append(t.rest, p)
			continue
		}
		form := kernel.FormOf(p.m.Type)
		if ready[form] == nil {
			ready[form] = s.prepare(x, n, form, p.m.Cols)
		}
		for _, part := range t.spans[f.Name] {
			if part.from < f.from || part.to > f.from+p.m.Rows {
				continue
			}
			if s.failure != nil {
				return nil
			}
			if part.resident {
				s.mulRows(ready[form], n, part.matrix, p.y[part.from-f.from:], p.m.Rows)
				continue
			}
			data, err := t.take(part.index)
			if err != nil {
				s.failure = err
				return nil
			}
			w, err := t.set.NewMatrix(p.m.Type, part.to-part.from, p.m.Cols, data)
			if err == nil {
				s.mulRows(ready[form], n, w, p.y[part.from-f.from:], p.m.Rows)
			}
			t.drop()
			s.failure = err
		}
		if p.m.Scale != 0 {
			t.set.Scale(p.y[:n*p.m.Rows], p.m.Scale)
		}
	}
	return t.rest
}

// mulRows multiplies n vectors with a piece of a matrix; results of two vectors
// are step apart in y.
func (s *Session) mulRows(a *kernel.Activations, n int, w *kernel.Matrix, y []float32, step int) {
	threads := s.model.pool.threads
	piece := max(16, (w.Rows/(threads*4)+15)&^15)
	s.model.pool.run((w.Rows+piece-1)/piece, w.Bytes()*n, func(_, part int) {
		w.Mul(y, step, a, part*piece, min((part+1)*piece, w.Rows))
	})
}

// rows reads those rows of the embeddings w that are not in memory, and keeps some.
func (t *stream) rows(w *kernel.Matrix, x []float32, ids []int32) error {
	d := w.Cols
	f, cut := t.cut[w]
	if !cut {
		for i, id := range ids {
			w.Row(x[i*d:(i+1)*d], int(id))
		}
		return nil
	}
	rowBytes := rowBytes(f.Tensor)
	k := t.read[f.Tensor]
	if k == nil {
		n := min(rowCache, w.Rows, max(16, rowCacheBytes/(4*d)))
		k = &rowsRead{cache: map[int32]int{}, owner: make([]int32, n), rows: make([]float32, n*d), row: make([]byte, pages(rowBytes)+2*page)}
		for i := range k.owner {
			k.owner[i] = -1
		}
		t.read[f.Tensor] = k
	}
	t.drive.Lock() // once for all: reading ahead would come between
	defer t.drive.Unlock()
	for i, id := range ids {
		to := x[i*d : (i+1)*d]
		if at, ok := k.cache[id]; ok {
			copy(to, k.rows[at*d:])
			continue
		}
		if err := t.ctx.Err(); err != nil {
			return err
		}
		at := f.Offset + int64(id)*rowBytes
		data := t.kept(at, rowBytes)
		if data == nil {
			begin := at &^ (page - 1)
			err := readFull(t.r, k.row, begin, at-begin+rowBytes, nil)
			if err != nil {
				err = readFull(t.r, k.row, begin, at-begin+rowBytes, nil)
			}
			if err != nil {
				return fmt.Errorf("the model's weights could not be read from the drive, so the answer stops here (plug the drive in again and repeat the message): %w", err)
			}
			data = k.row[at-begin:][:rowBytes]
		}
		kernel.Dequantize(f.Type, to, data)
		slot := k.next
		k.next = (k.next + 1) % len(k.owner)
		if old := k.owner[slot]; old >= 0 {
			delete(k.cache, old)
		}
		k.owner[slot], k.cache[id] = id, slot
		copy(k.rows[slot*d:(slot+1)*d], to)
	}
	return nil
}

// within finds memory for a model of whole bytes: for all of it, in which case
// the layout is nil, or else within o.Budget or what Alloc can give.
func (m *Model) within(whole int64) (*layout, error) {
	budget, refused := m.options.Budget, error(nil)
	if own, ok := m.file.Tensor("per_layer_token_embd.weight"); ok && m.config.perLayer > 0 { // its rows are not worth memory
		whole -= own.Bytes
		if l, err := m.plan(2*whole + 1<<20); err == nil && (budget <= 0 || l.memory <= budget) {
			if m.memory, refused = m.take(l.memory); refused == nil {
				return l, nil
			}
		}
		if budget <= 0 || refused != nil {
			budget = whole - whole/8
		}
	} else if budget <= 0 || whole <= budget {
		if m.memory, refused = m.take(whole); refused == nil {
			return nil, nil
		}
		budget = whole - whole/8
	}
	for {
		if !m.config.arch.fits && refused == nil {
			refused = fmt.Errorf("there are only %d MiB for it, and models of this architecture cannot be streamed from the drive", budget>>20)
		}
		l, err := m.plan(budget)
		if err != nil || !m.config.arch.fits {
			if refused != nil {
				err = fmt.Errorf("no memory for the model's %d MiB: %w", (whole+1<<20-1)>>20, refused)
			}
			return nil, err
		}
		if m.memory, err = m.take(l.memory); err == nil {
			return l, nil
		}
		refused = err
		budget = min(budget, l.memory) - budget/8 - 1
	}
}

// take allocates n bytes.
func (m *Model) take(n int64) ([]byte, error) {
	b, err := m.alloc(int(n))
	if err == nil && int64(len(b)) < n {
		err = fmt.Errorf("only %d MiB were given", len(b)>>20)
		if m.options.Alloc != nil && m.options.Free != nil {
			m.options.Free(b)
		}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// batch is as many tokens as memory for their activations allows, up to 512: each piece that
// is read serves them all.
func (t *stream) batch(c *config) int {
	each := 4 * 2 * (c.embedding + c.heads*c.head + c.kvHeads*c.head + c.feedForward)
	return max(defaultBatch, min(512, activationBytes/each&^31))
}
