package readfs

// Overwriting a file inside its size changes nothing but the bytes written: no table, no directory entry, no
// inode, no time. That makes a preallocated file a safe home for a journal: whatever moment the power goes, the
// file system around it is as sound as it was.

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sort"
	"sync"

	"alphaos/fs"
)

// Place is where a preallocated file lies, and how its volume is read and written there.
type Place struct {
	Path  string
	Runs  []Run                          // that follow each other without a gap, to the end of the file
	Read  func(p []byte, at int64) error // bytes of the volume
	Write func(p []byte, at int64) error // likewise
	Flush func() error                   // of the medium
	Close func()                         // lets the file go; called once
}

// InPlace is a preallocated file that is read and overwritten inside its
// size. Its methods may be called concurrently; they go to the medium each
// time, so that what ReadAt returns after WriteAt is what the medium holds.
type InPlace struct {
	mu    sync.RWMutex
	place Place
	size  int64
}

// NewInPlace returns the file at that place.
func NewInPlace(p Place) *InPlace { return &InPlace{place: p, size: Content{runs: p.Runs}.Size()} }

// Close gives up the file's place; nothing may be written there through f any more.
func (f *InPlace) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.place.Close != nil {
		f.place.Close()
		f.place.Close = nil
	}
	return nil
}

// Size returns the bytes in the file, which never change in number.
func (f *InPlace) Size() int64 { return f.size }

// fail gives err the file's path, unless it is nil or io.EOF.
func (f *InPlace) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &iofs.PathError{Op: op, Path: f.place.Path, Err: err}
}

// each calls do for the pieces of p, all of which lie inside the file from off on.
func (f *InPlace) each(p []byte, off int64, do func(p []byte, at int64) error) (done int, err error) {
	runs := f.place.Runs
	for i := sort.Search(len(runs), func(i int) bool { return runs[i].Off > off }) - 1; done < len(p); i++ {
		r := runs[i]
		in := off + int64(done) - r.Off
		piece := p[done:][:min(r.Len-in, int64(len(p)-done))]
		if err := do(piece, r.At+in); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return done, nil
}

// ReadAt reads as io.ReaderAt asks for.
func (f *InPlace) ReadAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if off < 0 {
		return 0, f.fail("read", errors.New("negative offset"))
	}
	if off >= f.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > f.size-off
	if short {
		p = p[:f.size-off]
	}
	n, err := f.each(p, off, f.place.Read)
	if err == nil && short {
		err = io.EOF
	}
	return n, f.fail("read", err)
}

// WriteAt writes p at off. Blocks that p covers in part are read first. The
// blocks reach the medium in ascending order. It returns once the medium has
// taken the request; Sync then asks it to make the bytes durable.
func (f *InPlace) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 || off > f.size || int64(len(p)) > f.size-off {
		return 0, f.fail("write", fmt.Errorf("%d bytes at offset %d of %d: %w", len(p), off, f.size, fs.ErrFull))
	}
	n, err := f.each(p, off, f.place.Write)
	return n, f.fail("write", err)
}

// Sync asks the medium to make what was written durable.
func (f *InPlace) Sync() error { return f.fail("sync", f.place.Flush()) }
