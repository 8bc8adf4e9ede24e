package store

// Compacting: what was deleted is taken out of the journal.
//
// A segment is written anew where it lies, one copy after the other, with a new generation and all its
// records but those that are deleted. Numbers stay: a row of messages that are gone is one record of kindGone that
// makes the numbers of the others void, so nothing is missed, other records find what they name, and
// conversations keep their IDs.
//
// Invariant: at any moment the copy that is not being written holds, verified by reading it back, every
// record that was ever acknowledged and not deleted; and the headers tell which copy that is:
//
//	copy A               copy B                     what holds
//	old                  old                        both
//	old, or anything     old, next is the new one   B; nothing else is looked at
//	new                  old, next is the new one   A; nothing else is looked at
//	new                  new                        both
//
// Each step from one line to the next is the write of one header, after all of that copy was written, flushed, read
// back and compared. A start that finds the second line or the third makes the other copy the same as the
// one that holds, and the next compacting begins anew. When a write fails, the copy that was being written is not
// used any more until a start has made it anew; then nothing that is saved is in that copy alone.
//
// It is done only while both copies of a segment say the same and can be read: else the only whole place of
// some record might be the one that is written over. What was deleted is overwritten with what comes behind it, or with
// zeros. (Flash memory keeps old content for a while where no computer can ask for it.)

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// compactChunk is how much is written at once: keys are read in between.
const compactChunk = 256 << 10

// deletion is what a record deletes.
type deletion struct {
	by     uint64    // its number
	gone   []numbers // of records; only those that are parts of messages are meant
	titles []numbers // of records that gave the conversation a title, or were to be remembered
}

// due tells whether something in the segment is deleted and still there, at least in a copy that is not written.
func (s *Store) due(j *journal) bool {
	return j != nil && j.hi != 0 && slices.ContainsFunc(s.deletions, func(d deletion) bool {
		in := func(n numbers) bool { return n.first <= j.hi && j.lo <= n.last }
		return (d.by > j.upto || j.frozen|j.ignored != 0) && (slices.ContainsFunc(d.gone, in) || slices.ContainsFunc(d.titles, in))
	})
}

// Deleted tells whether something that is deleted is still on the drive, until Compact.
func (s *Store) Deleted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.segments, s.due)
}

// ErrNotCompacted says that something that is deleted stays on the drive for now.
var ErrNotCompacted = errors.New("what you deleted is still on the drive")

// Compact takes what is deleted out of the journal, one segment after the other, until ctx is done. An error wraps ErrNotCompacted; nothing
// else is lost then. Nothing can be saved while it deals with a segment, which may take a second or two.
func (s *Store) Compact(ctx context.Context) (failed error) {
	for i := 0; ; i++ {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrNotCompacted, ctx.Err())
		}
		more, err := s.compactOne(i)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%w: %w", ErrNotCompacted, err)
		}
		if !more {
			return failed
		}
	}
}

// compactOne compacts a segment if something in it is due. more tells that there are others behind it.
func (s *Store) compactOne(segment int) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if segment >= len(s.segments) {
		return false, nil
	}
	if !s.due(s.segments[segment]) {
		return true, nil
	}
	if !s.begun {
		if err := s.begin(); err != nil {
			return false, err
		}
	}
	return true, s.compact(segment)
}

var errUnsound = errors.New("it is taken out only while both copies of the journal are whole and can be read; the next start mends what it can")

// compact compacts a segment.
func (s *Store) compact(segment int) error {
	j := s.segments[segment]
	sc, sound, err := j.sound()
	if err == nil && !sound && j != s.j {
		if err = j.level(sc); err == nil {
			sc, sound, err = j.sound()
		}
	}
	if err == nil && !sound {
		err = errUnsound
	}
	if err != nil {
		return err
	}
	gen := generation()
	content, moved, numbered := s.without(sc.raw, gen)
	if int64(len(content)) > j.capacity-blockSize {
		return errors.New("the journal is too full for it to be taken out")
	}
	err = j.replace(gen, s.j.seq, content)
	if j.gen != gen {
		return err
	}
	for i := range s.pieces {
		p := &s.pieces[i]
		if int(p.segment) != segment {
			continue
		}
		to, ok := moved[int64(p.block)*recordPad]
		if !ok { // it was put there, and then again elsewhere
			to, ok = numbered[p.seq]
		}
		if ok {
			p.block, p.in = uint32(to/recordPad), inBoth&^j.frozen
		}
	}
	s.window = window{}
	return err // of the second copy: the first one counts
}

// sound reads the segment again and tells whether both copies say the same, and all of it could be read.
func (j *journal) sound() (*scan, bool, error) {
	sc := &scan{first: j.first, keep: true}
	again, err := openSegment(j.m, j.made, sc)
	if err != nil {
		return nil, false, err
	}
	sc.sealed = sc.sealed && again.gen == j.gen && again.tail == j.tail && again.leap == 0 && again.frozen|j.frozen|again.ignored == 0
	return sc, again.gen == j.gen && again.tail == j.tail && len(again.repairs)+len(again.rescues)+len(again.heals) == 0 &&
		again.leap == 0 && again.frozen|j.frozen|again.ignored == 0 && !again.degraded && j.skip == 0 && j.leap == 0 && sc.torn == 0, nil
}

// level makes both copies of a sealed segment the same, if one of them has all records. Nothing is written there any more, so what a cut has torn
// at its end, and has no room to be written again behind that, would stay so.
func (j *journal) level(sc *scan) error {
	whole, end := uint8(inBoth), int64(firstByte)
	for i := range sc.raw {
		whole &= sc.raw[i].any
		end = max(end, sc.raw[i].pos+sc.raw[i].size)
	}
	if !sc.sealed || whole == 0 || len(sc.holes) > 0 {
		return errUnsound
	}
	from, to := int64(0), j.half
	if whole&inA == 0 {
		from, to = to, from
	}
	err := j.copy(from, to, end)
	if err == nil {
		err = j.copy(to, from, end) // what lies behind its last record
	}
	if err == nil {
		j.degraded, j.rescues, j.heals, j.repairs = false, nil, nil, nil
		j.tail, j.tailData, j.skip = end, nil, 0
	}
	return err
}

// without encodes records without those that are deleted, and tells where they are then, by where they were and by their numbers.
func (s *Store) without(raw []found, gen uint64) (content []byte, moved map[int64]int64, numbered map[uint64]int64) {
	d := s.dead()
	content = make([]byte, firstByte+blockSize)
	moved, numbered = map[int64]int64{}, map[uint64]int64{}
	var row record // of messages that are gone; seq 0: there is none
	end := func() {
		if row.seq != 0 {
			content = appendRecord(content, gen, row)
		}
		row = record{}
	}
	for _, f := range raw {
		r := f.record
		if r.kind == kindCommit {
			r = d.commit(r)
		}
		if !d.has(r.seq, r.kind) {
			end()
			moved[f.pos], numbered[f.seq] = int64(len(content)), int64(len(content))
			content = appendRecord(content, gen, r)
			continue
		}
		skipped := uint64(row.skip) + 1 + uint64(r.skip)
		if row.seq != 0 && r.kind != kindTitle && r.kind != kindFact && row.seq+1+uint64(r.skip) == r.seq && r.leap == 0 && skipped <= math.MaxUint16 {
			row.seq, row.ms, row.skip = r.seq, r.ms, uint16(skipped)
			continue
		}
		end()
		row = hollow(r.seq, r.kind)
		row.seq, row.ms, row.skip, row.leap = r.seq, r.ms, r.skip, r.leap
		if r.kind == kindTitle || r.kind == kindFact {
			end()
		}
	}
	end()
	return content, moved, numbered
}

// dead tells which records are deleted.
type dead struct{ gone, titles []numbers }

func (s *Store) dead() (d dead) {
	for _, del := range s.deletions {
		d.gone, d.titles = append(d.gone, del.gone...), append(d.titles, del.titles...)
	}
	return dead{merged(d.gone), merged(d.titles)}
}

func (d dead) has(seq uint64, k kind) bool {
	switch k {
	case kindUser, kindChunk, kindAnswerEnd:
		return has(d.gone, seq)
	case kindTitle, kindFact:
		return has(d.titles, seq)
	}
	return false
}

// hollow is what stays of a record that is deleted.
func hollow(seq uint64, k kind) record {
	if k == kindTitle || k == kindFact { // nothing was said
		return record{kind: kindGone}
	}
	return record{kind: kindGone, payload: encodePairs("first", strconv.FormatUint(seq, 10))}
}

// hollowed is a record, or what stays of it.
func (d dead) hollowed(r record) record {
	if r.kind == kindCommit {
		r = d.commit(r)
	}
	if !d.has(r.seq, r.kind) {
		return r
	}
	h := hollow(r.seq, r.kind)
	h.seq, h.ms, h.skip, h.leap = r.seq, r.ms, r.skip, r.leap
	return h
}

// commit is a kindCommit without what is deleted in it; one of which all is deleted is a record of that kind.
func (d dead) commit(c record) record {
	var payload []byte
	n, parts, last := 0, 0, kind(0)
	for p := c.payload; ; parts++ {
		part, rest, ok := nextPart(p)
		if !ok {
			break
		}
		if p = rest; d.has(c.seq, part.kind) {
			n, last = n+1, part.kind
			part = hollow(c.seq, part.kind)
		}
		payload = appendPart(payload, part)
	}
	switch n {
	case 0:
	case parts:
		c.kind, c.payload = last, nil
	default:
		c.payload = payload
	}
	return c
}

// merged sorts rows of numbers and puts those together that meet.
func merged(list []numbers) []numbers {
	slices.SortFunc(list, func(a, b numbers) int {
		if a.first != b.first {
			if a.first < b.first {
				return -1
			}
			return 1
		}
		return 0
	})
	out := list[:0]
	for _, n := range list {
		if k := len(out); k > 0 && n.first <= out[k-1].last {
			out[k-1].last = max(out[k-1].last, n.last)
		} else {
			out = append(out, n)
		}
	}
	return out
}

// has tells whether a number is in one of the rows, which merged has put in order.
func has(list []numbers, n uint64) bool {
	i, _ := slices.BinarySearchFunc(list, n, func(r numbers, n uint64) int {
		if r.last < n {
			return -1
		}
		return 1
	})
	return i < len(list) && list[i].first <= n
}

// replace writes content, which has room for a header at its beginning, in the place of all records of both copies.
func (j *journal) replace(gen, upto uint64, content []byte) error {
	old := j.header()
	intent := old
	intent.next = gen
	end := max(j.tail, int64(len(content)))
	if err := j.put(j.half, intent.encode()); err != nil {
		if j.put(j.half, old.encode()) != nil {
			j.abandon(inA) // perhaps the header tells that B counts
		}
		return err
	}
	if err := j.overwrite(0, content, end); err != nil {
		j.abandon(inA)
		return err
	}
	h := header{gen: gen, half: j.half, made: j.made, upto: upto}
	if err := j.put(0, h.encode()); err != nil {
		j.put(0, old.encode())
		j.abandon(inA)
		back := make([]byte, blockSize)
		if failed := readFull(j.m, back, 0); failed != nil {
			j.abandon(inB) // nobody knows which copy the next start takes
		} else if h, ok := parseHeader(back); ok && h.gen == gen {
			j.abandon(inB)
		}
		return err
	}
	j.gen, j.upto, j.tail = gen, upto, int64(len(content))
	j.tailData = bytes.Clone(content[j.tail&^(blockSize-1):])
	err := j.overwrite(j.half, content, end)
	if err == nil {
		err = j.put(j.half, h.encode())
	}
	if err != nil {
		j.abandon(inB)
	}
	return err
}

// abandon lets a copy be until the next start makes it anew. What is saved is in the other one alone from here on, so no
// block of that with a record in it is written again.
func (j *journal) abandon(copy uint8) {
	j.frozen |= copy
	j.single, j.degraded = true, true
	if len(j.tailData) > 0 {
		j.moveOn(j.tail)
	}
}

// overwrite writes content, and zeros up to end, into the copy at base, but for its header.
func (j *journal) overwrite(base int64, content []byte, end int64) error {
	end = min((end+blockSize-1)&^(blockSize-1), j.capacity)
	buf := make([]byte, min(compactChunk, end-firstByte))
	for at := int64(firstByte); at < end; {
		p := buf[:min(int64(len(buf)), end-at)]
		n := copy(p, tailOf(content, int(at)))
		clear(p[n:])
		if err := j.put(base+at, p); err != nil {
			return err
		}
		at += int64(len(p))
	}
	return nil
}

// ignore has the copy be made anew from the other one, which alone was read.
func (j *journal) ignore(copy uint8, unread bool) {
	j.repairs = slices.DeleteFunc(j.repairs, func(r repair) bool { return inA<<(r.at/j.half) == copy })
	j.rescues, j.heals = nil, nil
	if unread { // a start must come that can read all of it
		j.abandon(copy)
		j.repairs = nil
		return
	}
	j.ignored = copy
}

// renew does that, before anything else is written.
func (j *journal) renew() {
	if j.ignored == 0 {
		return
	}
	from, to := int64(0), j.half
	if j.ignored == inA {
		from, to = to, from
	}
	if j.copy(from, to, j.tail) != nil {
		j.abandon(j.ignored)
		j.repairs = nil // they are of the only copy that counts
	}
	j.ignored = 0
}

// copy makes the copy at base to the same as the one at base from, up to an end behind which are zeros, and then both headers.
func (j *journal) copy(from, to, last int64) error {
	if to == 0 { // whose header may say that it counts
		if err := j.put(to, j.header().encode()); err != nil {
			return err
		}
	}
	src, dst := make([]byte, maxChunk), make([]byte, maxChunk)
	for at := int64(firstByte); at < j.capacity; {
		n := min(maxChunk, j.capacity-at)
		clear(src[:n])
		if n := min(n, last-at); n > 0 {
			if err := readFull(j.m, src[:n], from+at); err != nil {
				return err
			}
		}
		if readFull(j.m, dst[:n], to+at) != nil || !bytes.Equal(src[:n], dst[:n]) {
			if err := j.put(to+at, src[:n]); err != nil {
				return err
			}
		}
		at += n
	}
	if err := j.put(to, j.header().encode()); err != nil {
		return err
	}
	return j.put(from, j.header().encode())
}
