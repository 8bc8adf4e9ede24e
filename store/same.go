package store

import (
	"encoding/binary"
	"errors"
)

// ErrElsewhere says that what lies where the journal was is not what was left there.
var ErrElsewhere = errors.New("this is another drive, or it was used on another computer meanwhile, so nothing is written to it: plug in the right one, or restart, which loses what is not saved")

// Same looks whether a drive that was away and is back has this journal, as it was left. The error wraps ErrElsewhere if it has not; others are
// the medium's.
func (s *Store) Same() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.j
	head := make([]byte, blockSize)
	if j.blank {
		for _, base := range [2]int64{0, j.half} {
			if readFull(j.m, head, base) == nil {
				if _, ok := parseHeader(head); ok {
					return ErrElsewhere
				}
			}
		}
		return nil
	}
	// Behind the tail are zeros, or what appends that failed have left there. Whoever used the drive meanwhile began a session, behind
	// these. Before the first append it lies near, and no number there was given by what was read.
	look := int64(4 * maxPayload)
	if !s.begun {
		look = probeSize
	}
	next := make([]byte, min(look, j.capacity-j.tail))
	known := false
	var failed error
	for _, base := range [2]int64{0, j.half} {
		if err := readFull(j.m, head, base); err != nil {
			failed = err
			continue
		}
		h, ok := parseHeader(head)
		switch {
		case ok && h.gen == j.gen:
			known = true
		case ok && h.gen != j.gen:
			return ErrElsewhere
		}
		if err := readFull(j.m, next, base+j.tail); err != nil {
			failed = err
			continue
		}
		for at := 0; at+headerLen <= len(next); at += recordPad {
			if binary.LittleEndian.Uint64(next[at+8:]) != j.gen {
				continue
			}
			if r, _, _, ok := parseRecord(next[at:], j.gen); ok && (r.seq > j.seq || s.begun && r.begins()) {
				return ErrElsewhere
			}
		}
	}
	if !known && failed == nil {
		return ErrElsewhere
	}
	if known {
		return nil
	}
	return failed
}
