package store

// How a journal is read: what is on the medium, which of it counts, and what
// may be rewritten. Nothing is written here.
//
// All valid records are gathered from both copies, wherever they lie. What
// counts is told by their numbers alone, not by their place: a record that an
// append wrote twice, or that the drive wrote in the wrong place, is one
// record, and the copy it fell upon is no loss while the other one is whole.
//
// The walk through a copy goes from record to record. Where there is none it
// searches for the next one, until both copies hold nothing but zeros for
// probeSize bytes.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

const (
	minLeap   = 1 << 17        // more numbers than a record can make void
	leapShift = 12             // and so many more (log 2) for each byte that is passed over
	farLeap   = math.MaxUint32 // that many or more
	readTries = 3              // of a block that the drive fails to read
	unreadRow = 16             // after so many unreadable blocks in a row each is tried once
	giveUpRow = 64             // after so many nothing more of the copy is tried: a drive that is gone must not hold up the start
)

// half is one copy as read so far.
type half struct {
	m       Medium
	base    int64  // offset in the medium
	size    int64  // bytes that exist on the medium
	buf     []byte // the first len(buf) bytes, zeros where they can't be read
	memory  *memory
	twin    *half          // while all that was read is the same there, buf is the twin's
	scratch []byte         // for reading what is compared with the twin
	unread  map[int64]bool // numbers of the blocks that can't be read
	row     int            // how many of them lie at the end of buf
	probe   int            // the row at which one is tried again
}

// memory is what segments are read into, one after the other.
type memory struct {
	copies  [2][]byte
	all     []found
	records []record
}

// take returns room for size bytes of the first or second copy.
func (m *memory) take(second bool, size int64) []byte {
	if m == nil || size <= 4*probeSize { // grown again, it would be copied onto itself
		return make([]byte, 0, size)
	}
	b := &m.copies[0]
	if second {
		b = &m.copies[1]
	}
	if int64(cap(*b)) < size {
		*b = make([]byte, 0, size)
	}
	return (*b)[:0]
}

// load reads on until at least n bytes (or all there are) are in buf. Requests
// grow from 64 KiB to 1 MiB: a young journal is read in one small request, an
// old one in few large ones. A request that fails is repeated block by block.
func (h *half) load(n int64) {
	n = min(n, h.size)
	// The end of a long row is looked for at once: what lies just before it may
	// have been skipped.
	for int64(len(h.buf)) < n || h.row >= giveUpRow && int64(len(h.buf)) < h.size {
		at := int64(len(h.buf))
		chunk := min(max(probeSize, at), maxChunk, h.size-at)
		if h.twin != nil {
			if h.mirror(at, chunk) {
				continue
			}
			// From here on this copy needs memory of its own.
			h.twin, h.buf = nil, append(h.memory.take(h.base > 0, h.size), h.buf...)
		}
		if need := at + chunk; need > int64(cap(h.buf)) {
			// A young journal takes little memory; any other all it may need, at
			// once, of which untouched pages cost nothing.
			size := h.size
			if need <= 4*probeSize {
				size = min(size, 4*probeSize)
			}
			h.buf = append(h.memory.take(h.base > 0, size), h.buf...)
		}
		h.buf = h.buf[:at+chunk]
		p := h.buf[at:]
		if h.row < giveUpRow && readFull(h.m, p, h.base+at) == nil {
			h.row = 0
			continue
		}
		for len(p) > 0 {
			b := p[:min(blockSize, len(p))]
			if h.readBlock(b, at) {
				if h.row >= giveUpRow {
					h.readSkipped(at)
				}
				h.row, h.probe = 0, 0
			} else {
				clear(b)
				h.row++
				if h.unread == nil {
					h.unread = map[int64]bool{}
				}
				h.unread[at/blockSize] = true
			}
			p, at = p[len(b):], at+int64(len(b))
		}
	}
}

// mirror reads the next chunk and tells whether it is the same as the twin's.
func (h *half) mirror(at, chunk int64) bool {
	h.twin.load(at + chunk)
	end := at + chunk
	if int64(len(h.twin.buf)) < end || len(h.twin.unread) > 0 {
		return false
	}
	if int64(len(h.scratch)) < chunk {
		h.scratch = make([]byte, chunk)
	}
	p := h.scratch[:chunk]
	if readFull(h.m, p, h.base+at) != nil || !bytes.Equal(p, h.twin.buf[at:end]) {
		return false
	}
	h.buf = h.twin.buf[:end:end]
	return true
}

func (h *half) readBlock(b []byte, at int64) bool {
	tries := readTries
	switch {
	case h.row >= giveUpRow && h.row < h.probe && at+blockSize < h.size:
		return false
	case h.row >= giveUpRow:
		tries, h.probe = 1, h.row+h.row/4
	case h.row >= unreadRow:
		tries = 1
	}
	for range tries {
		if readFull(h.m, b, h.base+at) == nil {
			return true
		}
	}
	return false
}

// readSkipped reads the blocks that were skipped just before end.
func (h *half) readSkipped(end int64) {
	for at := end - blockSize; at >= 0 && h.unread[at/blockSize]; at -= blockSize {
		b := h.buf[at : at+blockSize]
		if readFull(h.m, b, h.base+at) != nil {
			clear(b)
			return
		}
		delete(h.unread, at/blockSize)
	}
}

// at returns what is known from offset pos on, reading for n more bytes.
func (h *half) at(pos, n int64) []byte {
	h.load(pos + n)
	if pos >= int64(len(h.buf)) {
		return nil
	}
	return h.buf[pos:]
}

// zero tells whether everything from pos on, below end, was read and is zero.
func (h *half) zero(pos, end int64) bool {
	end = min(end, h.size)
	for blk := pos / blockSize; len(h.unread) > 0 && blk*blockSize < end; blk++ {
		if h.unread[blk] {
			return false
		}
	}
	return zero(clip(h.at(pos, end-pos), end-pos))
}

// record parses the record at pos, reading as much as it claims to need.
func (h *half) record(pos int64, gen uint64) (record, int64, bool) {
	b := h.at(pos, headerLen)
	if len(b) < headerLen {
		return record{}, 0, false
	}
	if g := binary.LittleEndian.Uint64(b[8:]); g != gen {
		return record{}, 0, false
	}
	if n := binary.LittleEndian.Uint32(b[4:]); n <= maxPayload+maxExtra {
		b = h.at(pos, recordSize(int(n)))
	}
	r, size, _, ok := parseRecord(b, gen)
	return r, size, ok
}

// has tells whether the copy has a record of that generation.
func (h *half) has(gen uint64) bool { return h.find(firstByte, h.size, gen) < h.size }

// nothing reads as zeros.
type nothing struct{ Medium }

func (nothing) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// find returns the lowest offset from pos on, below limit, at which the copy
// has a valid record; limit if there is none. It looks for the generation,
// which lies at byte 8 of each record.
func (h *half) find(pos, limit int64, gen uint64) int64 {
	key := binary.LittleEndian.AppendUint64(nil, gen)
	for pos < limit {
		n := min(maxChunk, limit-pos)
		size := n + int64(len(key)) - 1
		b := clip(h.at(pos+8, size), size)
		if len(b) < len(key) {
			break
		}
		i := bytes.Index(b, key)
		if i < 0 {
			pos += n
			continue
		}
		pos += int64(i)
		if pos%recordPad == 0 && pos < limit {
			if _, _, ok := h.record(pos, gen); ok {
				return pos
			}
		}
		pos++
	}
	return limit
}

// next returns the offset of the next record from pos on, or of the reach,
// below which there is none; it first moves the reach on behind what is not
// zero or can't be read.
func (h *half) next(pos int64, reach *int64, gen uint64) int64 {
	for pos < *reach {
		limit := *reach
		b := clip(h.at(pos, limit-pos), limit-pos)
		end := pos + int64(lastNonZero(b))
		for blk := range h.unread {
			if from := blk * blockSize; from+blockSize > pos && from < limit {
				end = max(end, min(from+blockSize, limit))
			}
		}
		if end == pos {
			return limit
		}
		*reach = max(limit, end+probeSize)
		if p := h.find(pos, limit, gen); p < limit {
			return p
		}
		pos = limit
	}
	return pos
}

func tailOf(b []byte, from int) []byte { return b[min(from, len(b)):] }
func clip(b []byte, n int64) []byte    { return b[:max(0, min(n, int64(len(b))))] }

// lastNonZero returns the length of b without the zeros at its end.
func lastNonZero(b []byte) int {
	for len(b) > 0 {
		k := max(0, len(b)-blockSize)
		if zero(b[k:]) {
			b = b[:k]
			continue
		}
		for b[len(b)-1] == 0 {
			b = b[:len(b)-1]
		}
		return len(b)
	}
	return 0
}

// Hole is a stretch of the journal that can't be read in either copy, with
// valid records behind it.
type Hole struct {
	Records       uint64    // how many are lost
	Offset, Bytes int64     // where, from the start of a copy
	After, Before time.Time // times of the neighbouring records; zero if there is none before
	before        uint64    // number of the record behind it
}

// scan is what opening a journal found.
type scan struct {
	memory   *memory   // to be used; nil: that of the next one is new
	first    uint64    // the number that the first record has if nothing is lost
	next     uint64    // the number that the next record has if nothing was given up
	after    time.Time // of the last record before these
	keep     bool      // raw is wanted
	raw      []found   // the records as they lie on the medium
	records  []record  // without those that were given up; each knows whether a hole lies before it
	holes    []Hole
	torn     int64  // bytes of an append that was cut and never acknowledged
	unread   int64  // bytes at the end that can't be read, and may hold records
	settled  int64  // number of the block before which no cut of the last append could do harm
	repaired int    // blocks before that which are good in one copy only
	mixed    int    // blocks before that of which neither copy is whole
	lo, hi   uint64 // the lowest and highest number of a record
	sealed   bool   // the one with the highest says that the log goes on elsewhere
	top      int64  // end of the record with the highest number
	hidden   []span
	apart    uint64 // the number of the record since which a copy was not written, and records may lie anywhere in it; 0: both were
}

// span is a stretch of both copies in which records may lie that were not found.
type span struct{ from, to int64 }

// openJournal reads the journal in m. It writes nothing: j.repairs and j.blank
// are put right by j.prepare.
func openJournal(m Medium, now time.Time) (*journal, *scan, error) {
	sc := &scan{first: 1}
	j, err := openSegment(m, now, sc)
	if err != nil {
		return nil, nil, err
	}
	return j, sc, nil
}

// openSegment is openJournal for a segment of which sc tells what comes before.
func openSegment(m Medium, now time.Time, sc *scan) (*journal, error) {
	size := m.Size()
	defHalf := size / 2 &^ (blockSize - 1)
	if defHalf < minHalf {
		return nil, fmt.Errorf("the journal file has %d bytes, at least %d are needed: make the drive again with a larger journal", size, 2*minHalf)
	}
	a := &half{m: m, memory: sc.memory, size: min(defHalf, size)}
	a.load(probeSize)
	h, okA := parseHeader(a.buf)
	b := &half{m: m, memory: sc.memory, twin: a, base: defHalf, size: min(defHalf, size-defHalf)}
	if okA && h.half != defHalf {
		a = &half{m: m, size: min(h.half, size)}
		b = &half{m: m, twin: a, base: h.half, size: max(0, min(h.half, size-h.half))}
		a.load(probeSize)
	}
	b.load(probeSize)
	hb, okB := parseHeader(b.buf)
	okB = okB && hb.half == b.base // else bytes that happen to look like a header
	ignored := uint8(0)
	switch {
	case okB && hb.next != 0 && okA && h.gen == hb.next:
		ignored = inB
	case okB && hb.next != 0 && (!okA || h.gen == hb.gen):
		// What has the old generation counts in either copy. One that has all of it is enough.
		h = hb
		j := &journal{m: m, gen: h.gen, half: b.base, capacity: max(a.size, b.size)}
		all := &scan{first: sc.first, keep: true}
		j.scan(a, b, all)
		whole := uint8(inBoth)
		for i := range all.raw {
			whole &= all.raw[i].any
		}
		made := &scan{first: sc.first}
		if !okA { // it may have been made to count, and now its header can't be read
			n := &journal{m: m, gen: hb.next, half: b.base, capacity: a.size}
			n.scan(&half{m: m, size: a.size}, &half{m: nothing{m}, base: b.base, size: b.size}, made)
		}
		if made.hi > all.hi || made.hi > 0 && made.hi == all.hi && len(all.holes) > len(made.holes) {
			ignored, h.gen = inB, hb.next
		} else if whole&inB != 0 {
			ignored = inA
		} else if whole&inA != 0 {
			ignored = inB
		}
		a, b = &half{m: m, size: a.size}, &half{m: m, base: b.base, size: b.size}
	case okA && okB && !hb.same(h) && !a.has(h.gen) && (a.has(hb.gen) || b.has(hb.gen)):
		// Another journal's header was written here by a drive that took the place for another.
		okA, h = false, hb
	case okA:
		okB = okB && hb.same(h)
	case okB:
		h = hb
	}
	if ignored == inA {
		a.m = nothing{m}
	} else if ignored == inB {
		b = &half{m: nothing{m}, base: b.base, size: b.size}
	}
	j := &journal{m: m, gen: h.gen, made: h.made, upto: h.upto, first: sc.first, half: b.base, capacity: max(a.size, b.size), tail: firstByte}
	sc.next = sc.first
	if !okA && !okB {
		if blank(a, b) {
			j.blank, j.gen = true, generation()
			return j, nil
		}
		if a.unread[0] && b.unread[0] {
			return nil, errUnread
		}
		// Both headers are gone. Any valid record tells the generation.
		j.gen = findGeneration(a, b)
		switch {
		case j.gen != 0:
			j.headless = true
			j.made = time.UnixMilli(now.UnixMilli())
		case len(a.unread)+len(b.unread) > 0:
			return nil, errUnread
		default:
			return nil, errNoJournal
		}
	}
	j.scan(a, b, sc)
	if j.headless && len(sc.records) > 0 { // as the first session of a journal has it: see Store.begin
		j.made = sc.records[0].time()
	}
	if ignored != 0 {
		j.ignore(ignored, len(a.unread)+len(b.unread) > 0)
		sc.repaired, sc.mixed = 0, 0
		return j, nil
	}
	okB = okB && hb.next == 0
	want := j.header()
	for _, c := range []struct {
		h  *half
		ok bool
	}{{a, okA}, {b, okB}} {
		if !c.ok && c.h.size >= blockSize {
			// It is not told as damaged: compacting writes it as well, and may have been cut.
			j.repairs = append(j.repairs, repair{c.h.base, want.encode()})
		}
	}
	return j, nil
}

var errNoJournal = errors.New("the journal file holds something that is no journal: nothing was changed. To start a new journal, make the drive again or fill journal.log with zeros")

var errUnread = errors.New("the drive fails to read a part of the journal, and what can't be read is not written over: switch off, plug the drive in again or into another socket, and start again. If that doesn't help, copy the drive while it still works and make a new one")

// blank tells whether a file without a header is a new journal: it has nothing
// else than perhaps the torn write of a header. Such a write leaves the other
// copy untouched, and may reach into the second block where a physical sector
// does.
func blank(a, b *half) bool {
	rest := func(h *half, blocks int64) bool { return h.zero(blocks*blockSize, probeSize) }
	return rest(a, 1) && rest(b, 1) || rest(a, 2) && rest(b, 0) || rest(a, 0) && rest(b, 2)
}

// findGeneration returns the generation of most valid records of both copies, 0 if there are
// none: a drive may have written some of another journal there.
func findGeneration(a, b *half) (gen uint64) {
	count := map[uint64]int{}
	for _, h := range [2]*half{a, b} {
		h.load(h.size)
		for pos := int64(firstByte); pos+headerLen <= int64(len(h.buf)); pos += recordPad {
			if binary.LittleEndian.Uint64(h.buf[pos+8:]) == 0 {
				continue
			}
			if _, size, g, ok := parseRecord(h.buf[pos:], 0); ok {
				if count[g]++; count[g] > count[gen] {
					gen = g
				}
				pos += size - recordPad
			}
		}
	}
	return gen
}

// found is a valid record as it lies on the medium.
type found struct {
	record
	size  int64
	any   uint8 // the copies that have it anywhere; 0: it is void
	spare bool  // this instance is not needed: the record is void, or elsewhere in both copies
}

const (
	inA    = 1 << iota
	inB    = 1 << iota
	inBoth = inA | inB
)

// gather returns all valid records of both copies, about in the order in which
// they lie, and the offset at which the search ended.
func (j *journal) gather(a, b *half) (all []found, reach int64) {
	reach = firstByte + probeSize
	pos := [2]int64{firstByte, firstByte}
	lastA := -1
	if a.memory != nil {
		all = a.memory.all[:0]
		defer func() { a.memory.all = all }()
	}
	for {
		// The copy that is behind is walked on, A first.
		i, h := 0, a
		if pos[1] < pos[0] {
			i, h = 1, b
		}
		if pos[i] >= min(reach, j.capacity) {
			return all, reach
		}
		if i == 1 && lastA >= 0 && all[lastA].pos == pos[1] {
			f := &all[lastA]
			if bytes.Equal(clip(b.at(f.pos, f.size), f.size), a.buf[f.pos:f.pos+f.size]) {
				f.in = inBoth
				pos[1] += f.size
				continue
			}
		}
		r, size, ok := h.record(pos[i], j.gen)
		if !ok {
			pos[i] = h.next(pos[i], &reach, j.gen)
			continue
		}
		if i == 0 {
			lastA = len(all)
		}
		if len(all) == cap(all) {
			all = slices.Grow(all, max(256, len(all)))
		}
		r.pos, r.in = pos[i], inA<<i
		all = append(all, found{record: r, size: size})
		pos[i] += size
		reach = max(reach, pos[i]+probeSize)
	}
}

// sift puts into sc the records that count, by number, the holes between them,
// and where records may lie that were not found.
func (sc *scan) sift(all []found) {
	byNumber := func(x, y found) int { return cmp.Compare(x.seq, y.seq) }
	if !slices.IsSortedFunc(all, byNumber) {
		slices.SortStableFunc(all, byNumber)
	}
	// A record voids the numbers that were given up just before it.
	from, to := uint64(math.MaxUint64), uint64(math.MaxUint64)
	for i := len(all) - 1; i >= 0; i-- {
		f := &all[i]
		low := f.seq - min(uint64(f.skip), f.seq)
		if f.seq >= from && f.seq < to {
			f.spare, from = true, min(from, low)
		} else if f.seq == to {
			from = min(from, low)
		} else {
			from, to = low, f.seq
		}
	}
	expected, end, last := max(1, sc.first), int64(firstByte), sc.after
	if sc.memory != nil {
		sc.records = sc.memory.records[:0]
		defer func() { sc.memory.records = sc.records }()
	}
	sc.records = slices.Grow(sc.records, len(all)+len(all)/2)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].seq == all[0].seq {
			n++
		}
		same := all[:n]
		all = all[n:]
		if same[0].spare { // void
			continue
		}
		r, gap := same[0], false
		missing, known := max(r.seq, expected)-expected, uint64(r.skip)+uint64(r.leap)
		if r.leap == farLeap {
			known = missing
		}
		switch {
		case missing > known:
			gap = true
			sc.holes = append(sc.holes, Hole{
				Records: missing - known,
				Offset:  end, Bytes: max(0, r.pos-end),
				After: last, Before: r.time(), before: r.seq,
			})
		case r.begins() && r.leap == 0:
			sc.hidden, sc.apart = nil, 0 // all could be read at this start
		case missing > uint64(r.skip) && r.leap == farLeap:
			if sc.apart == 0 {
				sc.apart = r.seq
			}
		case missing > uint64(r.skip):
			sc.hidden = append(sc.hidden, span{end, r.pos})
		}
		expected, end, last = r.seq+1, r.pos+r.size, r.time()
		for i := range same {
			// More than one record may have a number only in a journal that an
			// older version went on with after it could not read it all: all
			// of them were acknowledged.
			known := false
			same[i].any = same[i].in
			for k := range same {
				if k == i || !same[k].equal(same[i].record) {
					continue
				}
				known = known || k < i
				same[i].any |= same[k].in
				if same[k].in == inBoth {
					same[i].spare = same[i].in != inBoth
				}
			}
			if !known {
				f := same[i] // or where both copies have it
				for k := range same {
					if f.in != inBoth && same[k].in == inBoth && same[k].equal(f.record) {
						f.place = same[k].place
					}
				}
				if sc.keep {
					sc.raw = append(sc.raw, f)
				}
				if sc.lo == 0 {
					sc.lo = r.seq
				}
				sc.hi, sc.sealed = r.seq, f.kind == kindSeal
				sc.add(f.record, gap)
				gap = false
			}
		}
	}
	sc.top, sc.next, sc.after = end, expected, last
	sc.hidden = append(sc.hidden, span{end, math.MaxInt64})
}

// near tells whether records that were not found may lie in a block because of
// its place: behind all others, or where a start found what it could not read.
func (sc *scan) near(blk int64) bool {
	return slices.ContainsFunc(sc.hidden, func(s span) bool {
		return s.from < (blk+1)*blockSize && blk*blockSize < s.to
	})
}

// mayHide tells whether a block, if it can't be read, may hold a record that
// was not found.
func (sc *scan) mayHide(blk int64) bool {
	return len(sc.holes) > 0 || sc.apart != 0 || sc.near(blk)
}

// endsIn tells whether a record that was not found, since its beginning can't be
// read in copy h, may end in a block, and would be destroyed if that became as
// it is in the twin. Appends use no place twice, so it lies over no record that
// is known in either copy; starts tells where the first one in a block begins.
func (sc *scan) endsIn(h, twin *half, starts map[int64]int64, blk int64) bool {
	if len(h.unread) == 0 {
		return false
	}
	from, to := blk*blockSize, (blk+1)*blockSize
	if at, ok := starts[blk]; ok {
		to = at
	}
	bytesOf := func(h *half) []byte { return clip(h.at(from, to-from), to-from) }
	// No record has so many zeros at its end.
	if to <= from || bytes.Equal(bytesOf(h), bytesOf(twin)) || to-from >= 512 && zero(bytesOf(h)) {
		return false
	}
	for k := blk - 1; k > 0 && (blk-k)*blockSize <= maxPayload+maxExtra+blockSize; k-- {
		if h.unread[k] {
			return sc.mayHide(k)
		}
		if _, ok := starts[k]; ok {
			return false
		}
	}
	return false
}

// add adds a record, or those that it holds.
func (sc *scan) add(r record, gap bool) {
	if r.kind != kindCommit {
		r.gap = gap
		sc.records = append(sc.records, r)
		return
	}
	for p, i := r.payload, uint8(0); ; i, gap = i+1, false {
		part, rest, ok := nextPart(p)
		if !ok {
			return
		}
		part.seq, part.ms, part.gap, part.place = r.seq, r.ms, gap, r.place
		part.part = i
		sc.records = append(sc.records, part)
		p = rest
	}
}

// block is what is known of a block in which the copies differ.
type block struct {
	lacks uint8 // the copies that lack a needed record that the other one has here
	hurt  bool  // one of its records is in one copy only
	lost  bool  // one of those was in both
	alone uint8 // the copies of which the bytes here are all that there is of a record
}

// scan reads the records of both copies, and plans the repairs.
func (j *journal) scan(a, b *half, sc *scan) {
	all, reach := j.gather(a, b)
	sc.sift(all)

	alike := func(blk int64) bool {
		bytesOf := func(h *half) []byte { return clip(h.at(blk*blockSize, blockSize), blockSize) }
		return !a.unread[blk] && !b.unread[blk] && bytes.Equal(bytesOf(a), bytesOf(b))
	}
	last := int64(firstByte) // the end of what is needed
	blocks, starts := map[int64]block{}, map[int64]int64{}
	for i := range all {
		f := &all[i]
		if len(a.unread)+len(b.unread) > 0 && f.any != 0 {
			if at, ok := starts[f.pos/blockSize]; !ok || f.pos < at {
				starts[f.pos/blockSize] = f.pos
			}
		}
		if end := f.pos + f.size; end > last && !f.spare {
			last = end
		}
		if f.in == inBoth || f.any == 0 {
			continue
		}
		for blk := f.pos / blockSize; blk <= (f.pos+f.size-1)/blockSize; blk++ {
			s := blocks[blk]
			if !f.spare {
				s.lacks |= inBoth &^ f.in
			}
			if !f.spare && f.any != inBoth && !alike(blk) {
				s.alone |= f.any
			}
			s.hurt = s.hurt || f.any != inBoth
			s.lost = s.lost || f.any != inBoth && (sc.apart == 0 || f.seq < sc.apart)
			blocks[blk] = s
		}
	}
	j.tail = last
	j.lo, j.hi, j.sealed = sc.lo, sc.hi, sc.sealed
	// A write that was cut may have torn the blocks of the last append, and the
	// one before where a physical sector reaches into it. So may one before that
	// was cut, if nothing was said in the sessions since: they were cut while they brought
	// things together, or had no room for that (see rescue).
	sc.settled = math.MaxInt64
	for i := len(all) - 1; i >= 0; i-- {
		f := &all[i]
		j.seq = max(j.seq, f.seq)
		sc.settled = min(sc.settled, f.pos/blockSize-1)
		again := i > 0 && all[i-1].seq == f.seq
		unsaid := f.begins() || f.kind == kindSeal || f.kind == kindSessionEnd && i > 0 && all[i-1].begins()
		if !again && !unsaid {
			break
		}
	}

	// Nor can damage be told from a cut in a block of which records were written
	// again behind the tail: that is done before it is made the same.
	moved := map[int64]bool{}
	for i := 1; i < len(all); i++ {
		if f := &all[i-1]; f.seq == all[i].seq {
			if all[i].pos < f.pos {
				f = &all[i]
			}
			for blk := f.pos / blockSize; blk <= (f.pos+f.size-1)/blockSize; blk++ {
				moved[blk] = true
			}
		}
	}

	// Repair each copy from the other where that is whole. Blocks of which
	// neither copy is whole stay as they are: together they still give every
	// record, and rewriting either would endanger the only good bytes of some.
	// What is in one copy of them only is written again behind the tail first.
	tailBlock := (last - 1) / blockSize
	j.shared = last
	for i := range all {
		if f := &all[i]; !f.spare && f.pos+f.size > tailBlock*blockSize {
			j.shared = min(j.shared, f.pos)
		}
	}
	whole := true             // the tail block is the same in both copies, or will be
	again := map[int64]bool{} // what is in one copy only of these is written again
	// A physical sector may lie across two blocks: a cut while one is written may hit what this copy alone has in the next.
	endangers := func(copy uint8, blk int64) bool {
		danger := false
		for _, n := range []int64{blk - 1, blk + 1} {
			if blocks[n].alone&copy != 0 {
				again[n], danger = true, true
			}
		}
		return danger
	}
	for _, blk := range slices.Sorted(maps.Keys(blocks)) {
		if blk > tailBlock {
			break
		}
		s := blocks[blk]
		from, to := blk*blockSize, (blk+1)*blockSize
		if alike(blk) {
			continue // it is another block of the record that differs
		}
		src, dst, into := a, b, uint8(inB)
		if s.lacks&inA != 0 {
			src, dst, into = b, a, inA
		}
		mixed := s.lacks == inBoth
		if blk < sc.settled && s.lost && !moved[blk] && !(dst.unread[blk] && sc.near(blk)) { // there a cut may have torn it
			if mixed {
				sc.mixed++
			} else {
				sc.repaired++
			}
		}
		data := bytes.Clone(src.at(from, blockSize)[:min(blockSize, max(0, src.size-from))])
		if blk == tailBlock && len(data) == blockSize {
			clear(data[last-from:])
		}
		fix := repair{dst.base + from, data}
		switch {
		case to > dst.size || to > src.size: // cut short
			j.degraded = true
		case src.unread[blk]: // nothing is needed here
		case dst.unread[blk] && sc.mayHide(blk), sc.endsIn(dst, src, starts, blk):
			// A drive that fails to read much must not fill the journal: only
			// what lies near is written again.
			again[blk] = again[blk] || sc.near(blk)
			j.degraded = j.degraded || s.hurt
			whole = whole && to <= j.shared
		case mixed,
			// While junk is behind the last record in one copy, the other must
			// tell that nothing is lost there.
			blk == tailBlock && !src.zero(last, to):
			again[blk] = true
			j.heals = append(j.heals, fix)
			endangers(into, blk)
		case endangers(into, blk):
			again[blk] = true
			j.heals = append(j.heals, fix)
		default:
			j.repairs = append(j.repairs, fix)
			continue
		}
		whole = whole && blk != tailBlock
	}
	for i := range all {
		f := &all[i]
		if f.in == inBoth || f.spare || i > 0 && f.seq == all[i-1].seq {
			continue
		}
		h := a
		if f.in == inB {
			h = b
		}
		for blk := f.pos / blockSize; blk <= (f.pos+f.size-1)/blockSize; blk++ {
			if again[blk] {
				j.rescues = append(j.rescues, bytes.Clone(h.buf[f.pos:f.pos+f.size]))
				whole = whole && (f.pos+f.size-1)/blockSize != tailBlock // the end of it may be there
				break
			}
		}
	}

	var behind [2]int64 // what begins in unreadable blocks from the top on ends before these
	for i, h := range [2]*half{a, b} {
		twin := [2]*half{b, a}[i]
		sc.torn = max(sc.torn, int64(lastNonZero(tailOf(h.buf, int(last)))))
		for blk := range h.unread {
			from, to := blk*blockSize, (blk+1)*blockSize
			if blk == 0 || from >= reach {
				continue
			}
			j.leap, j.blind = minLeap, true
			if to <= sc.top {
				continue
			}
			end := to // what follows may belong to a record that begins in it, of which no block is all zeros
			for end < min(reach, int64(len(h.buf))) && !zero(clip(h.buf[end:], blockSize)) {
				end += blockSize
			}
			behind[i] = max(behind[i], end)
			if known := twin.size >= to && twin.zero(max(from, last), to); !known && (i == 0 || !twin.unread[blk]) {
				sc.unread += blockSize
			}
		}
	}
	if behind[0]+behind[1] > 0 {
		j.goBehind(a, b, last, behind)
	}
	switch {
	case j.leap > 0:
		// No number is used that a record there may have, which may have leapt as
		// well. Each leap is followed by a record of more than 32 bytes, so a
		// number rises by less than 1<<leapShift for each byte.
		n := minLeap + uint64(max(0, j.tail-sc.top))<<leapShift
		if j.leap = uint32(min(n, farLeap)); j.frozen != 0 {
			n += uint64(max(behind[0], behind[1])-sc.top) << leapShift
			j.leap = farLeap
		}
		j.seq += n
	case sc.torn > 0: // nor one that a torn record may have
		j.seq, j.skip = j.seq+1, 1
	}
	if behind[0]+behind[1] > 0 {
		return
	}
	// Junk behind the tail is wiped, so that the next scan ends at zeros. In the
	// tail block that is done by the next append. If that block is left alone, so is the
	// one behind it, which may share a physical sector with it; the tail is behind both.
	wipe := (tailBlock + 1) * blockSize
	if !whole {
		wipe += blockSize
	}
	for _, h := range [2]*half{a, b} {
		for from := wipe; sc.torn > 0 && from < int64(len(h.buf)); from += blockSize {
			to := min(from+blockSize, int64(len(h.buf)))
			if !zero(h.buf[from:to]) {
				j.repairs = append(j.repairs, repair{h.base + from, make([]byte, to-from)})
			}
		}
	}
	if !whole || sc.endsIn(a, b, starts, tailBlock) || sc.endsIn(b, a, starts, tailBlock) {
		j.moveOn(last)
		return
	}
	src := a
	if blocks[tailBlock].lacks&inA != 0 || int64(len(a.buf)) < last {
		src = b
	}
	j.tailData = bytes.Clone(src.buf[last/blockSize*blockSize : last])
}

// goBehind moves the tail behind what may begin in unreadable blocks of both copies, of which the ends are given. Should
// the blocks be zeros, the next scan must not end there: if they are too many in a row, the copy that has them is not
// written at all.
func (j *journal) goBehind(a, b *half, last int64, ends [2]int64) {
	seen := func(blk int64) bool { // the next scan does not take it for zeros
		for _, h := range [2]*half{a, b} {
			from := max(blk*blockSize, last)
			if to := (blk + 1) * blockSize; !h.unread[blk] && !zero(clip(h.at(from, to-from), to-from)) {
				return true
			}
		}
		return false
	}
	for frozen := range uint8(inBoth) {
		end := last
		for i := range ends {
			if frozen&(inA<<i) == 0 {
				end = max(end, ends[i])
			}
		}
		j.moveOn(end)
		row, most := int64(0), int64(0)
		for blk := last / blockSize; blk < j.tail/blockSize; blk++ {
			if row++; seen(blk) {
				row = 0
			}
			most = max(most, row)
		}
		if most*blockSize > probeSize/2 || j.free() == 0 {
			continue
		}
		if j.frozen = frozen; frozen != 0 {
			j.single, j.degraded = true, true
		}
		return
	}
	j.tail, j.unread = j.capacity, last < j.capacity-probeSize/2 // else it is full
}
