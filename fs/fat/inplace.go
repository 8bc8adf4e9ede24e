package fat

import (
	"fmt"
	iofs "io/fs"

	"alphaos/fs/readfs"
)

// OpenInPlace opens the existing file name to be overwritten inside its
// size. The caller must not at the same time read it through Open. The file is
// pinned: see Pin.
func (v *FS) OpenInPlace(name string) (*readfs.InPlace, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup("open", name)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*readfs.InPlace, error) {
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
	return v.inPlace(name, runs, int64(e.size), func() { v.unpin(e) }), nil
}

// Scratch returns a piece of the volume that no file has, of size bytes, for measuring how
// fast the medium is. No file gets it until it is closed.
func (v *FS) Scratch(size int64) (*readfs.InPlace, error) {
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
	return v.inPlace("free room", []run{r}, size, func() { v.unreserve([]run{r}) }), nil
}

// inPlace is a file of size bytes in these runs, which letGo, under FS.mu, gives up.
func (v *FS) inPlace(name string, runs []run, size int64, letGo func()) *readfs.InPlace {
	p := readfs.Place{Path: name, Read: v.vol.Read, Write: v.vol.Write, Flush: v.dev.Flush, Close: func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		letGo()
	}}
	for _, r := range runs {
		at := int64(r.at) * v.cluster
		p.Runs = append(p.Runs, readfs.Run{Off: at, At: v.dataAt + int64(r.first-2)*v.cluster, Len: min(int64(r.count)*v.cluster, size-at)})
	}
	return readfs.NewInPlace(p)
}
