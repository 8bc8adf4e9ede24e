package store

import (
	"context"
	"fmt"
)

// Health is what Check found.
type Health struct {
	Records int    // that can be read
	Hurt    [2]int // records, and the header, that are damaged in the first and second copy and whole in the other
	Lost    uint64 // records that could be read when the journal was opened, or were saved since, and can't be any more
	Unread  int    // blocks that the drive fails to read
}

// Sound tells that both copies can be read and say the same.
func (h Health) Sound() bool { return h.Hurt == [2]int{} && h.Lost == 0 && h.Unread == 0 }

// Check reads both copies again, all that is used of them, and tells what is not as it should be. It writes nothing: what is
// damaged in one copy only is mended when the journal is opened again. progress is told how many of Checkable bytes
// are read.
func (s *Store) Check(ctx context.Context, progress func(done int64)) (Health, error) {
	total := s.Checkable()
	s.mu.Lock()
	defer s.mu.Unlock()
	var h Health
	read := int64(0)
	for _, j := range s.segments {
		if j == nil {
			continue
		}
		w := &watched{Medium: j.m, ctx: ctx, progress: func(more int64) { progress(min(read+more, total)) }}
		found, ok := j.check(w)
		switch {
		case ctx.Err() != nil:
			return Health{}, ctx.Err()
		case !ok:
			return Health{}, fmt.Errorf("the journal cannot be read: %w", w.err)
		}
		h.Records += found.Records
		h.Hurt[0] += found.Hurt[0]
		h.Hurt[1] += found.Hurt[1]
		h.Lost += found.Lost
		h.Unread += found.Unread
		read += w.read
	}
	h.Lost -= min(h.Lost, s.lost)
	progress(total)
	return h, nil
}

// Checkable is about how many bytes Check reads.
func (s *Store) Checkable() int64 {
	used, _ := s.Usage()
	return 2 * used
}

// check reads the journal again from w. It returns false if neither header can be read.
func (j *journal) check(w *watched) (Health, bool) {
	var found Health
	if j.blank {
		return found, true
	}
	size := w.Size()
	a := &half{m: w, size: min(j.half, size)}
	b := &half{m: w, twin: a, base: j.half, size: max(0, min(j.half, size-j.half))}
	for i, h := range [2]*half{a, b} {
		h.load(blockSize)
		if head, ok := parseHeader(h.buf); !ok || head.gen != j.gen || head.half != j.half || head.next != 0 {
			found.Hurt[i]++
		}
	}
	if a.unread[0] && b.unread[0] {
		return found, false
	}
	all, _ := j.gather(a, b)
	sc := &scan{first: j.first}
	sc.sift(all)
	found.Unread = len(a.unread) + len(b.unread)
	found.Records = len(sc.records)
	for _, h := range sc.holes {
		found.Lost += h.Records
	}
	// Numbers behind the last one that was acknowledged are of appends that failed. Before the
	// first append of this session it is not known which those are.
	last, saved := uint64(0), j.seq-uint64(j.skip)
	for i := range all {
		f := &all[i]
		if f.any == 0 || f.seq > saved {
			continue
		}
		if last = max(last, f.seq); i > 0 && f.seq == all[i-1].seq {
			continue
		}
		for copy, in := range [2]uint8{inA, inB} {
			if f.any&in == 0 {
				found.Hurt[copy]++
			}
		}
	}
	if j.leap == 0 && last < saved {
		found.Lost += saved - last
	}
	return found, true
}

// watched is a medium that is read until ctx ends.
type watched struct {
	Medium
	ctx      context.Context
	progress func(read int64)
	read     int64
	err      error // the last one
}

func (w *watched) ReadAt(p []byte, at int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.Medium.ReadAt(p, at)
	if n == len(p) {
		err = nil // ReadAt may return io.EOF with the last byte
	}
	if err != nil {
		w.err = err
	}
	w.read += int64(n)
	w.progress(w.read)
	return n, err
}
