package fat

// Overwriting a file inside its size changes nothing but the bytes written:
// no table, no directory entry, no time. That makes a preallocated file a
// safe home for a journal: whatever moment the power goes, the file system
// around it is as sound as it was.

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync"

	"alphaos/fs/readfs"
)

// ErrFull is returned, wrapped, for a write that reaches beyond the end of a
// preallocated file; nothing of it is written.
var ErrFull = errors.New("beyond the end of the preallocated file")

// InPlace is a preallocated file that is read and overwritten inside its
// size. Its methods may be called concurrently; they go to the medium each
// time, so that what ReadAt returns after WriteAt is what the medium holds.
type InPlace struct {
	path  string
	mu    sync.RWMutex
	x     extent
	close func() // under FS.mu
}

// OpenInPlace opens the existing file name to be overwritten inside its
// size. The caller must not at the same time read it through Open. The file is
// pinned: see Pin.
func (v *FS) OpenInPlace(name string) (*InPlace, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup("open", name)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*InPlace, error) {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: err}
	}
	switch {
	case e.isDir():
		return fail(readfs.ErrIsDir)
	case e.attr&attrReadOnly != 0:
		return fail(fmt.Errorf("the file is marked read-only: %w", iofs.ErrPermission))
	}
	runs, err := v.pinnedRuns(e)
	if err != nil {
		return fail(err)
	}
	if err := v.pin("open", name, e); err != nil {
		return nil, err
	}
	return &InPlace{path: name, x: extent{v, runs, int64(e.size)}, close: func() { v.unpin(e) }}, nil
}

// Scratch returns a piece of the volume that no file has, of size bytes, for measuring how
// fast the medium is. No file gets it until it is closed.
func (v *FS) Scratch(size int64) (*InPlace, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.changeable(); err != nil {
		return nil, err
	}
	r, err := v.findPiece((size + v.cluster - 1) / v.cluster)
	if err != nil {
		return nil, err
	}
	v.reserve(r)
	return &InPlace{path: "free room", x: extent{v, []run{r}, size}, close: func() { v.unreserve([]run{r}) }}, nil
}

// Close gives up the file's place; nothing may be written there through f any more.
func (f *InPlace) Close() error {
	f.x.v.mu.Lock()
	defer f.x.v.mu.Unlock()
	if f.close != nil {
		f.close()
		f.close = nil
	}
	return nil
}

// Size returns the bytes in the file, which never change in number.
func (f *InPlace) Size() int64 { return f.x.size }

// ReadAt reads as io.ReaderAt asks for.
func (f *InPlace) ReadAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.x.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = &iofs.PathError{Op: "read", Path: f.path, Err: err}
	}
	return n, err
}

// WriteAt writes p at off. Blocks that p covers in part are read first. The
// blocks reach the medium in ascending order. It returns once the medium has
// taken the request; Sync then asks it to make the bytes durable.
func (f *InPlace) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail := func(n int, err error) (int, error) {
		return n, &iofs.PathError{Op: "write", Path: f.path, Err: err}
	}
	if off < 0 || off > f.x.size || int64(len(p)) > f.x.size-off {
		return fail(0, fmt.Errorf("%d bytes at offset %d of %d: %w", len(p), off, f.x.size, ErrFull))
	}
	done := 0
	for done < len(p) {
		at, n := f.x.piece(off + int64(done))
		n = min(n, int64(len(p)-done))
		if err := f.x.v.writeAt(at, p[done:][:n]); err != nil {
			return fail(done, err)
		}
		done += int(n)
	}
	return done, nil
}

// Sync asks the medium to make what was written durable.
func (f *InPlace) Sync() error {
	if err := f.x.v.dev.Flush(); err != nil {
		return &iofs.PathError{Op: "sync", Path: f.path, Err: err}
	}
	return nil
}
