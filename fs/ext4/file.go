package ext4

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"sync"
)

const aheadSize = 128 << 10 // what Read keeps for small sequential reads

// content is what a file holds.
type content struct {
	v    *FS
	n    *inode
	size int64
}

// content returns what a regular file holds.
func (v *FS) content(n *inode) (content, error) {
	switch {
	case n.mode&modeType != modeFile:
		return content{}, errors.New("neither a file nor a directory, but something that only Linux can use")
	case n.flags&flagEncrypt != 0:
		return content{}, errEncrypted
	case n.flags&flagInline != 0:
		return content{}, fmt.Errorf("its content is said to be in its inode (inline_data), which the volume has not: %s", remedy)
	}
	return content{v, n, n.size}, nil
}

// piece returns where on the volume the byte off of the content is, or a negative number for
// zeros, and how many bytes from there on, of most, are neighbours.
func (c content) piece(off, most int64) (at, n int64, err error) {
	block, in := uint64(off/c.v.block), off%c.v.block
	r, err := c.v.locate(c.n, block)
	if err != nil {
		return 0, 0, err
	}
	for int64(r.count)*c.v.block-in < most {
		next, err := c.v.locate(c.n, block+r.count)
		if err != nil || (next.first == 0) != (r.first == 0) || next.first != 0 && next.first != r.first+r.count {
			break // of an error whoever reads there will hear
		}
		r.count += next.count
	}
	if at = -1; r.first != 0 {
		at = int64(r.first)*c.v.block + in
	}
	return at, min(int64(r.count)*c.v.block-in, most), nil
}

// readAt is ReadAt without checks: all of p must lie within the content.
func (c content) readAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at, n, err := c.piece(off+int64(done), min(int64(len(p)-done), maxRequest))
		if err != nil {
			return done, err
		}
		if at < 0 {
			clear(p[done:][:n])
		} else if err := c.v.readAt(at, p[done:][:n]); err != nil {
			return done, err
		}
		done += int(n)
	}
	return done, nil
}

// ReadAt reads len(p) bytes at off as io.ReaderAt asks for.
func (c content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= c.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > c.size-off
	if short {
		p = p[:c.size-off]
	}
	n, err := c.readAt(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// file is an open file.
type file struct {
	path string
	info
	content

	mu      sync.Mutex
	off     int64
	ahead   []byte // content from aheadAt on, for small sequential reads
	aheadAt int64
	closed  bool
}

func (f *file) Stat() (iofs.FileInfo, error) { return f.info, nil }

// Size returns the bytes in the file.
func (f *file) Size() int64 { return f.content.size }

func (f *file) fail(op string, err error) error {
	return &iofs.PathError{Op: op, Path: f.path, Err: err}
}

func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.fail("close", iofs.ErrClosed)
	}
	f.closed, f.ahead = true, nil
	return nil
}

// ReadAt reads as io.ReaderAt asks for; several may run at once.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return 0, f.fail("read", iofs.ErrClosed)
	}
	n, err := f.content.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = f.fail("read", err)
	}
	return n, err
}

func (f *file) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, f.fail("read", iofs.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	rest := f.Size() - f.off
	if rest <= 0 {
		return 0, io.EOF
	}
	var n int
	var err error
	if int64(len(p)) >= min(aheadSize, rest) {
		n, err = f.readAt(p[:min(int64(len(p)), rest)], f.off)
	} else {
		if f.off < f.aheadAt || f.off >= f.aheadAt+int64(len(f.ahead)) {
			err = f.fill()
		}
		if f.off < f.aheadAt+int64(len(f.ahead)) {
			n, err = copy(p, f.ahead[f.off-f.aheadAt:]), nil
		}
	}
	f.off += int64(n)
	if err != nil {
		err = f.fail("read", err)
	}
	return n, err
}

// fill reads what surrounds f.off into f.ahead, beginning at a block of the device so that the
// request is aligned. After an error f.ahead holds what came before it.
func (f *file) fill() error {
	f.aheadAt = f.off &^ (f.v.sector - 1)
	f.ahead = slices.Grow(f.ahead[:0], aheadSize)[:min(aheadSize, f.Size()-f.aheadAt)]
	n, err := f.readAt(f.ahead, f.aheadAt)
	f.ahead = f.ahead[:n]
	return err
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, f.fail("seek", iofs.ErrClosed)
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		offset += f.Size()
	default:
		return 0, f.fail("seek", fmt.Errorf("whence %d: %w", whence, iofs.ErrInvalid))
	}
	if offset < 0 {
		return 0, f.fail("seek", fmt.Errorf("before the beginning: %w", iofs.ErrInvalid))
	}
	f.off = offset
	return offset, nil
}

// dirFile is an open directory.
type dirFile struct {
	path string
	info
	mu     sync.Mutex
	list   []iofs.DirEntry // still to be returned
	closed bool
}

func (d *dirFile) Stat() (iofs.FileInfo, error) { return d.info, nil }

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &iofs.PathError{Op: "read", Path: d.path, Err: errIsDir}
}

func (d *dirFile) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return &iofs.PathError{Op: "close", Path: d.path, Err: iofs.ErrClosed}
	}
	d.closed = true
	return nil
}

func (d *dirFile) ReadDir(n int) ([]iofs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, &iofs.PathError{Op: "readdir", Path: d.path, Err: iofs.ErrClosed}
	}
	if n <= 0 || n > len(d.list) {
		if n > 0 && len(d.list) == 0 {
			return nil, io.EOF
		}
		n = len(d.list)
	}
	list := d.list[:n:n]
	d.list = d.list[n:]
	return list, nil
}
