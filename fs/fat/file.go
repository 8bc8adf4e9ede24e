package fat

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"sort"
	"sync"
)

const (
	maxRequest = 8 << 20   // bytes in one request to the medium
	bounceSize = 64 << 10  // an unaligned request up to this is bounced whole
	aheadSize  = 128 << 10 // what Read keeps for small sequential reads
)

// extent is the content of a file: size bytes in runs of clusters.
type extent struct {
	v    *FS
	runs []run
	size int64
}

// piece returns where on the volume the byte off of the content is and how
// many bytes from there on are neighbours.
func (x extent) piece(off int64) (at, n int64) {
	c := uint32(off / x.v.cluster)
	i := sort.Search(len(x.runs), func(i int) bool { return x.runs[i].at > c }) - 1
	r := x.runs[i]
	at = x.v.dataAt + int64(r.first-2)*x.v.cluster + off - int64(r.at)*x.v.cluster
	end := min((int64(r.at)+int64(r.count))*x.v.cluster, x.size)
	return at, end - off
}

// readAt is ReadAt without checks: all of p must lie within the content.
func (x extent) readAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at, n := x.piece(off + int64(done))
		n = min(n, int64(len(p)-done))
		if err := x.v.readAt(at, p[done:][:n]); err != nil {
			return done, err
		}
		done += int(n)
	}
	return done, nil
}

// ReadAt reads len(p) bytes at off as io.ReaderAt asks for.
func (x extent) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= x.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > x.size-off
	if short {
		p = p[:x.size-off]
	}
	n, err := x.readAt(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// readAt reads bytes of the volume.
func (v *FS) readAt(off int64, p []byte) error {
	return v.divide(off, p, v.dev.ReadBlocks, v.readUnaligned)
}

// divide has p, which lies on the volume from byte off on, served in requests: whole blocks
// straight, in the largest ones; the rest of a block at either end, or a small unaligned
// request as one, through a bounce buffer.
func (v *FS) divide(off int64, p []byte, direct func(lba uint64, p []byte) error, bounce func(lba uint64, head int64, p []byte) error) error {
	for len(p) > 0 {
		lba, head := uint64(off/v.block), off&(v.block-1)
		whole := int64(len(p)) &^ (v.block - 1)
		n := int64(len(p))
		var err error
		if head == 0 && whole > 0 && (whole == n || n > bounceSize) {
			n = min(whole, maxRequest)
			err = direct(lba, p[:n])
		} else {
			if head+n > bounceSize {
				n = v.block - head
			}
			err = bounce(lba, head, p[:n])
		}
		if err != nil {
			return err
		}
		off, p = off+n, p[n:]
	}
	return nil
}

// readUnaligned reads at most bounceSize bytes in one request.
func (v *FS) readUnaligned(lba uint64, head int64, p []byte) error {
	buf := v.scratch.Get().(*[]byte)
	defer v.scratch.Put(buf)
	b := (*buf)[:(head+int64(len(p))+v.block-1)&^(v.block-1)]
	err := v.dev.ReadBlocks(lba, b)
	copy(p, b[head:])
	return err
}

// file is an open file.
type file struct {
	v    *FS
	path string
	info
	extent

	mu      sync.Mutex
	off     int64
	ahead   []byte // content from aheadAt on, for small sequential reads
	aheadAt int64
	closed  bool
}

func (f *file) Stat() (iofs.FileInfo, error) { return f.info, nil }

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
	if err := f.v.letGo(f.e.first); err != nil {
		return f.fail("close", err)
	}
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
	n, err := f.extent.ReadAt(p, off)
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
	if f.off >= f.extent.size {
		return 0, io.EOF
	}
	var n int
	var err error
	rest := f.extent.size - f.off
	if int64(len(p)) >= min(aheadSize, rest) {
		n, err = f.extent.readAt(p[:min(int64(len(p)), rest)], f.off)
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

// fill reads what surrounds f.off into f.ahead, beginning at a block so that
// the request is aligned. After an error f.ahead holds what came before it.
func (f *file) fill() error {
	f.aheadAt = f.off &^ (f.v.block - 1)
	f.ahead = slices.Grow(f.ahead[:0], aheadSize)[:min(aheadSize, f.extent.size-f.aheadAt)]
	n, err := f.extent.readAt(f.ahead, f.aheadAt)
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
		offset += f.extent.size
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
