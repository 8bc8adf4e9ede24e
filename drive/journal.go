package drive

// The journal on a drive: its first segment, which is made with the drive, and those by which it has grown.

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
	"alphaos/store"
)

// mostSegments is how many files the journal may have.
const mostSegments = 99

// segmentPath is the path of the n-th segment, from 1.
func segmentPath(n int) string {
	if n == 1 {
		return JournalPath
	}
	return fmt.Sprintf("%s-%02d.log", strings.TrimSuffix(JournalPath, ".log"), n)
}

// OpenJournal opens what is saved on the drive. What is saved from here on gets its time
// from now.
func (d *Drive) OpenJournal(now func() time.Time) (s *store.Store, r store.Recovery, err error) {
	return store.OpenFolder(&segments{d: d, now: now}, now)
}

// RestoreJournal fills a new journal with what a backup says.
func (d *Drive) RestoreJournal(backup io.Reader, now func() time.Time) error {
	return store.Restore(&segments{d: d, now: now}, backup, now)
}

// segments are the files of the journal.
type segments struct {
	d    *Drive
	now  func() time.Time
	last int // the number of the last one
}

// Segments opens them.
func (s *segments) Segments() (list []store.Medium, err error) {
	first, err := s.d.OpenInPlace(JournalPath)
	if errors.Is(err, iofs.ErrNotExist) {
		if v, _, verr := s.d.On(JournalPath); verr == nil && v.Writable() != nil {
			err = fmt.Errorf("there is none, and none can be made: %w", v.Writable())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the journal on the drive cannot be used: %w", err)
	}
	list, s.last = append(list, first), 1
	for n := 2; n <= mostSegments; n++ {
		f, err := s.d.OpenInPlace(segmentPath(n))
		if errors.Is(err, iofs.ErrNotExist) {
			continue // one that somebody took away does not hide those behind it
		}
		if err != nil {
			return nil, fmt.Errorf("a part of the journal on the drive cannot be used: %w", err)
		}
		list, s.last = append(list, f), n
	}
	return list, nil
}

// Add makes another one. It is read back: what it is must be zeros on the medium.
func (s *segments) Add(size int64) (store.Medium, error) {
	if s.last >= mostSegments {
		return nil, fmt.Errorf("the journal has %d files, and can have no more", s.last)
	}
	f, made, err := s.d.preallocate(segmentPath(s.last+1), size, s.now())
	if made {
		s.last++ // it is there, whatever comes now
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// preallocate makes a file of zeros that is to be overwritten where it lies, and tells whether it is there. It is read back.
func (d *Drive) preallocate(name string, size int64, now time.Time) (f *readfs.InPlace, made bool, err error) {
	v, at, err := d.place(name, now)
	if err != nil {
		return nil, false, err
	}
	if free, err := v.Free(); err == nil && free < size { // before all that is free is written, again and again
		return nil, false, fmt.Errorf("%w: %w", store.ErrNoRoom, fs.ErrNoRoom)
	}
	w, err := v.Create(at)
	if err != nil {
		return nil, false, err
	}
	chunk := make([]byte, 1<<20)
	for left := size; left > 0 && err == nil; left -= int64(len(chunk)) {
		_, err = w.Write(chunk[:min(left, int64(len(chunk)))])
	}
	if err != nil {
		w.Discard()
		return nil, false, err
	}
	if err := w.Close(); err != nil {
		return nil, false, err
	}
	if err := v.Sync(); err != nil {
		return nil, true, err
	}
	if f, err = v.OpenInPlace(at); err != nil {
		return nil, true, err
	}
	if err := zeros(f, chunk); err != nil {
		return nil, true, errors.Join(err, f.Close(), v.Remove(at))
	}
	return f, true, nil
}

// zeros reads a file into buf, piece by piece, and returns nil if there is nothing else in it.
func zeros(f *readfs.InPlace, buf []byte) error {
	for at := int64(0); at < f.Size(); at += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), f.Size()-at)]
		if _, err := f.ReadAt(p, at); err != nil && at+int64(len(p)) < f.Size() {
			return err
		}
		for _, b := range p {
			if b != 0 {
				return errors.New("the drive gave back other bytes than were written")
			}
		}
	}
	return nil
}
