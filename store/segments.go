package store

// Segments: how the journal grows.
//
// A segment is a file with the layout that journal.go tells, two copies and all. The first one is
// the journal of a drive as it is made, or as an older version has left it, as it is: nothing
// has to be converted, so nothing can be lost by that. Numbers of records go on from one segment
// to the next, and all segments together say what one large file would.
//
// Invariant: a segment has no record before the one in front of it has its seal, its last record, in
// both copies or in one that was read back; but for one that was full to the last byte.
//
// A new segment is a file of zeros that the folder makes whole or not at all, before it is needed: one
// without records is in nobody's way. When there is no room for what is to be written, behind
// which reserves for the end of the answer and of the session stay free, first the seal is appended, with the
// next number. It voids what appends that failed may have left there. Then the new segment
// gets its headers, and the record that was to be written. A cut between any of these leaves a segment
// that is sealed or not, and one without records behind it.
//
// What is written is always the last segment with records or, if that is sealed, the one behind it. One that can't be read in
// part may have records, if the one in front of it is sealed or may have been full. A record
// that is missed before the first one of a segment is lost, and told so. A segment without a header and a record that
// could be read is left alone, and never used.

import (
	"errors"
	"slices"
)

// Folder is where the segments of a journal lie.
type Folder interface {
	// Segments returns them in the order in which they were added, at least one.
	Segments() ([]Medium, error)
	// Add adds one of that many bytes, all zeros, behind the others. It is there as a whole or not at all.
	Add(size int64) (Medium, error)
}

// fixed is a journal that does not grow.
type fixed struct{ Medium }

func (f fixed) Segments() ([]Medium, error) { return []Medium{f.Medium}, nil }
func (f fixed) Add(int64) (Medium, error)   { return nil, errFixed }

// Fixed is a folder for a journal of one segment, which does not grow.
func Fixed(m Medium) Folder { return fixed{m} }

var errFixed = errors.New("it has a fixed size")

const (
	sealRoom   = 1 << 10 // kept free for the seal, of which up to three may be tried
	minSegment = 4 << 20
	maxSegment = 16 << 20 // a start has one segment in memory at a time
	endSegment = 1 << 20  // where there is no room for more
)

// ErrNoRoom is what Folder.Add returns, wrapped, when there is no room for a segment of that size and it has made nothing. After another error
// one may be there that is not known, and no other is added in the session.
var ErrNoRoom = errors.New("no room for another file of the journal")

func (s *Store) grows() bool {
	_, never := s.folder.(fixed)
	return !never
}

// foreign tells whether a generation is that of another segment than this one, whose records a drive has written here as well.
func foreign(media []Medium, this int, gen uint64) bool {
	b := make([]byte, blockSize)
	for i, m := range media {
		for _, at := range [2]int64{0, m.Size() / 2 &^ (blockSize - 1)} {
			if i == this || readFull(m, b, at) != nil {
				continue
			}
			if h, ok := parseHeader(b); ok && (h.gen == gen || h.next == gen) {
				return true
			}
		}
	}
	return false
}

// active is where in segments the one is that is written.
func (s *Store) active() int { return slices.Index(s.segments, s.j) }

// choose chooses the segment that is written.
func (s *Store) choose() {
	for _, j := range s.segments {
		switch {
		case j == nil:
		case s.j == nil || j.hi != 0:
			s.j = j
		case j.leap > 0 && (s.j.sealed || s.j.free() < s.j.capacity/2):
			j.follow(s.j)
			s.j = j
		}
	}
	if next := s.behind(); s.j.sealed && next != nil {
		next.follow(s.j)
		s.j = next
	}
}

// behind is the segment without records behind the one that is written, nil if there is none.
func (s *Store) behind() *journal {
	for _, j := range s.segments[s.active()+1:] {
		if j != nil {
			return j
		}
	}
	return nil
}

// follow gives the journal, in which no record was found, the numbers behind those of before. It has numbers to pass over
// itself if a part of it can't be read or is torn.
func (j *journal) follow(before *journal) {
	last := before.seq
	if before.sealed {
		last = before.hi // no other was given there
	} else {
		j.skip += before.skip
		j.leap = uint32(min(uint64(j.leap)+uint64(before.leap), farLeap))
	}
	j.first = last + 1
	j.seq += last
}

// room goes on in the next segment if this one has no room for size bytes more with reserve bytes behind them.
func (s *Store) room(reserve, size int64) error {
	n := reserve + size
	if s.grows() {
		n += sealRoom
	}
	if n <= s.j.free() && !s.j.sealed && !(s.j.cramped && reserve > 0) {
		return nil
	}
	if !s.grows() || s.j.unread {
		return s.full()
	}
	if err := s.makeRoom(n); err != nil {
		return s.full()
	}
	next := s.behind()
	if !s.j.sealed && s.j.hi != 0 {
		err := s.j.append(record{kind: kindSeal, ms: s.now().UnixMilli()})
		if errors.Is(err, ErrFull) && s.j.skip == 0 && s.j.leap == 0 {
			err = nil
		}
		if err != nil {
			return err
		}
		s.j.sealed = true
	}
	next.follow(s.j)
	s.j = next
	if err := s.j.prepare(s.now()); err != nil {
		return err
	}
	if n > s.j.free() {
		return s.full()
	}
	return nil
}

// makeRoom adds a segment, with room for n bytes, if there is none behind the one that is written.
func (s *Store) makeRoom(n int64) error {
	if s.behind() != nil {
		return nil
	}
	_, total := s.usage()
	m, err := s.folder.Add(min(max(2*total/8, minSegment), maxSegment) &^ (1<<20 - 1))
	if errors.Is(err, ErrNoRoom) && firstByte+n <= endSegment/2 {
		m, err = s.folder.Add(endSegment)
	}
	if err == nil {
		var j *journal
		if j, err = openSegment(m, s.now(), &scan{first: 1}); err == nil && !j.blank {
			err = errors.New("a new file for the journal is not empty")
		}
		s.segments = append(s.segments, j)
	}
	s.broken = err
	return err
}

// MakeRoom adds a segment if the journal grows and will soon need one, so that nobody has to wait for that while something
// is saved.
func (s *Store) MakeRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.grows() || s.j.free() > s.j.capacity/4 {
		return nil
	}
	return s.makeRoom(0)
}

// Grows tells whether the journal grows when it is full, as far as is known.
func (s *Store) Grows() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grows() && s.broken == nil
}
