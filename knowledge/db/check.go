package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
)

// Health is what Check found.
type Health struct {
	Missing   bool   // there is no database
	Cut       bool   // the last change was cut off; it is taken back by whoever opens the database to write
	Wrong     string // a clause; "": nothing
	Documents int
	Chunks    int
	Said      int // conversations
	Messages  int
}

// Check reads all of the database called name in files, and writes nothing. The error is one of ctx.
func Check(ctx context.Context, files fs.FS, name string) (h Health, err error) {
	over := &overlay{files: files, dir: path.Dir(name), changed: map[string]*layer{}}
	if ok, err := over.Exists(Name); err != nil || !ok {
		h.Missing = err == nil
		if err != nil {
			h.Wrong = err.Error()
		}
		return h, nil
	}
	h.Cut, _ = over.Exists(journalName) // when that fails opening does, too
	other, err := foreign(over)
	if err == nil && other {
		h.Wrong = "it is not AlphaOS's own"
		return h, nil
	}
	var s *session
	if err == nil {
		s, err = openSession(ctx, over)
	}
	if err == nil {
		defer s.close() // of a layer that is thrown away
		err = s.guard(func() error {
			if err := s.check(ctx); err != nil {
				return err
			}
			for _, count := range []struct {
				table string
				n     *int
			}{{"documents", &h.Documents}, {"chunks", &h.Chunks}, {"conversations", &h.Said}, {"messages", &h.Messages}} {
				n, err := s.number("SELECT count(*) FROM " + count.table)
				if err != nil {
					return err
				}
				*count.n = int(n)
			}
			return nil
		})
	}
	if errors.Is(err, errStop) {
		return h, ctx.Err()
	}
	if err != nil {
		h.Wrong = err.Error()
	}
	return h, nil
}

// overlay is a Folder over files that stay as they are: changes are kept in memory.
type overlay struct {
	files   fs.FS
	dir     string
	changed map[string]*layer // nil: removed
}

func (o *overlay) Exists(name string) (bool, error) {
	if x, ok := o.changed[name]; ok {
		return x != nil, nil
	}
	_, err := fs.Stat(o.files, path.Join(o.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (o *overlay) Open(name string, create bool) (File, error) {
	if x := o.changed[name]; x != nil {
		return x, nil
	}
	ok, err := o.Exists(name)
	if err != nil {
		return nil, err
	}
	x := &layer{blocks: map[int64][]byte{}}
	switch {
	case ok:
		f, err := o.files.Open(path.Join(o.dir, name))
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil {
			x.below, ok = f.(io.ReaderAt)
			if x.size = info.Size(); !ok {
				err = fmt.Errorf("%s can't be read at any place", name)
			}
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		x.bottom, x.close = x.size, f.Close
	case !create:
		return nil, fs.ErrNotExist
	}
	o.changed[name] = x
	return x, nil
}

func (o *overlay) Remove(name string) error {
	o.changed[name] = nil
	return nil
}

func (o *overlay) Rename(string, string) error { return errors.ErrUnsupported }

// layer is a file with changes over it.
type layer struct {
	below  io.ReaderAt
	bottom int64 // as far as below shows
	close  func() error
	blocks map[int64][]byte // of pageSize bytes
	size   int64
}

func (x *layer) block(at int64) ([]byte, error) {
	if b := x.blocks[at]; b != nil {
		return b, nil
	}
	b := make([]byte, pageSize)
	if n := min(pageSize, x.bottom-at); n > 0 {
		if _, err := x.below.ReadAt(b[:n], at); err != nil && err != io.EOF {
			return nil, err
		}
	}
	return b, nil
}

func (x *layer) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < x.size {
		at := off / pageSize * pageSize
		b, err := x.block(at)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], b[off-at:min(pageSize, x.size-at)])
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (x *layer) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off / pageSize * pageSize
		b, err := x.block(at)
		if err != nil {
			return n, err
		}
		m := copy(b[off-at:], p[n:])
		x.blocks[at] = b
		n, off = n+m, off+int64(m)
	}
	x.size = max(x.size, off)
	return n, nil
}

func (x *layer) Truncate(size int64) error {
	if size < x.size {
		x.bottom = min(x.bottom, size)
		for at, b := range x.blocks {
			if at >= size {
				delete(x.blocks, at)
			} else if at+pageSize > size {
				clear(b[size-at:])
			}
		}
	}
	x.size = size
	return nil
}

func (x *layer) Size() int64  { return x.size }
func (x *layer) Sync() error  { return nil }
func (x *layer) Close() error { return nil }
