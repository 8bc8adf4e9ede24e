// Package readfs is what all file systems have in common when they are read: the bytes of a
// volume, open files, and directories that are listed; and for those whose files are Runs that
// are known beforehand, files that lie in pieces on it, also to be overwritten where they lie.
//
// A file system gives the Contents of a file and gets an open file that is an io.ReaderAt and
// io.Seeker. It is made for reading models: whole runs move straight into
// the caller's buffer in requests of up to 8 MiB, and only an unaligned first and last
// block go through a buffer of its own.
package readfs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/bits"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"alphaos/fs"
)

const (
	maxRequest = 8 << 20   // bytes in one request to the medium
	bounceSize = 64 << 10  // an unaligned request up to this is bounced whole
	aheadSize  = 128 << 10 // what Read keeps for small sequential reads
	maxWhole   = 256 << 20 // bytes of a file that is read as a whole
)

// What a request for the wrong kind of file gets.
var (
	ErrNotDir = errors.New("not a directory")
	ErrIsDir  = errors.New("is a directory")
)

// CheckWhole returns an error for a file that is too large for ReadFile: it may say that it is
// larger than any memory.
func CheckWhole(size int64) error {
	if size > maxWhole {
		return fmt.Errorf("the file has %d bytes and can only be read in parts", size)
	}
	return nil
}

// Bytes is a volume that is read, and written, at any byte. It may be used concurrently, but
// not to write different bytes of a block.
type Bytes struct {
	dev     fs.BlockDevice
	block   int64
	scratch sync.Pool // *[]byte of bounceSize
}

// New returns the bytes of dev.
func New(dev fs.BlockDevice) (*Bytes, error) {
	size := dev.BlockSize()
	if size < 512 || size > bounceSize || bits.OnesCount(uint(size)) != 1 {
		return nil, fmt.Errorf("a block size of %d bytes is not supported; 512 and 4096 are", size)
	}
	b := &Bytes{dev: dev, block: int64(size)}
	b.scratch.New = func() any { p := make([]byte, bounceSize); return &p }
	return b, nil
}

// Size returns the bytes in the volume.
func (b *Bytes) Size() int64 {
	const most = 1 << 62
	return int64(min(b.dev.Blocks(), most/uint64(b.block))) * b.block
}

// Read fills p from byte off of the volume on.
func (b *Bytes) Read(p []byte, off int64) error {
	return b.divide(p, off, b.dev.ReadBlocks, b.readBounced)
}

// Write writes p from byte off of the volume on.
func (b *Bytes) Write(p []byte, off int64) error {
	return b.divide(p, off, b.dev.WriteBlocks, b.writeBounced)
}

// divide has p, which lies on the volume from byte off on, served in requests: whole blocks
// straight, in the largest ones; the rest of a block at either end, or a small unaligned
// request as one, through a bounce buffer.
func (b *Bytes) divide(p []byte, off int64, direct func(lba uint64, p []byte) error, bounce func(lba uint64, head int64, p []byte) error) error {
	if off < 0 || off > b.Size() || int64(len(p)) > b.Size()-off {
		return fmt.Errorf("%d bytes at byte %d of %d: %w", len(p), off, b.Size(), fs.ErrOutOfRange)
	}
	for len(p) > 0 {
		lba, head := uint64(off/b.block), off&(b.block-1)
		whole := int64(len(p)) &^ (b.block - 1)
		n := int64(len(p))
		var err error
		if head == 0 && whole > 0 && (whole == n || n > bounceSize) {
			n = min(whole, maxRequest)
			err = direct(lba, p[:n])
		} else {
			if head+n > bounceSize {
				n = b.block - head
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

// readBounced reads at most bounceSize bytes in one request.
func (b *Bytes) readBounced(lba uint64, head int64, p []byte) error {
	buf := b.scratch.Get().(*[]byte)
	defer b.scratch.Put(buf)
	all := (*buf)[:(head+int64(len(p))+b.block-1)&^(b.block-1)]
	err := b.dev.ReadBlocks(lba, all)
	copy(p, all[head:])
	return err
}

// writeBounced writes at most bounceSize bytes in one request, after reading the first and
// last block if p covers them only in part.
func (b *Bytes) writeBounced(lba uint64, head int64, p []byte) error {
	buf := b.scratch.Get().(*[]byte)
	defer b.scratch.Put(buf)
	end := head + int64(len(p))
	all := (*buf)[:(end+b.block-1)&^(b.block-1)]
	last := int64(len(all)) - b.block
	if head != 0 || last == 0 && end != b.block {
		if err := b.dev.ReadBlocks(lba, all[:b.block]); err != nil {
			return err
		}
	}
	if last != 0 && end != int64(len(all)) {
		if err := b.dev.ReadBlocks(lba+uint64(last/b.block), all[last:]); err != nil {
			return err
		}
	}
	copy(all[head:], p)
	return b.dev.WriteBlocks(lba, all)
}

// Run is a piece of a file: Len bytes of its content from byte Off on, which are on the
// volume from byte At on, or are zeros that it does not keep if At is Zeros.
type Run struct{ Off, At, Len int64 }

// Zeros is where a Run is that the volume does not keep.
const Zeros = -1

// Content is what a file holds: Runs that follow each other without a gap.
type Content struct {
	vol  *Bytes
	runs []Run
}

// Content returns the content that runs describe.
func (b *Bytes) Content(runs []Run) Content { return Content{b, runs} }

// Size returns the bytes in the content.
func (c Content) Size() int64 {
	if len(c.runs) == 0 {
		return 0
	}
	last := c.runs[len(c.runs)-1]
	return last.Off + last.Len
}

// Align returns the bytes in a block of the device.
func (c Content) Align() int64 { return c.vol.block }

// ReadAt reads len(p) bytes at off as io.ReaderAt asks for.
func (c Content) ReadAt(p []byte, off int64) (int, error) {
	size := c.Size()
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= size {
		return 0, io.EOF
	}
	short := int64(len(p)) > size-off
	if short {
		p = p[:size-off]
	}
	done := 0
	for i := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].Off > off }) - 1; done < len(p); i++ {
		r := c.runs[i]
		in := off + int64(done) - r.Off
		n := min(r.Len-in, int64(len(p)-done))
		if r.At == Zeros {
			clear(p[done:][:n])
		} else if err := c.vol.Read(p[done:][:n], r.At+in); err != nil {
			return done, err
		}
		done += int(n)
	}
	if short {
		return done, io.EOF
	}
	return done, nil
}

// Info describes a file or directory, as io/fs wants it described.
type Info struct {
	FileName string
	Bytes    int64 // 0 for a directory
	Modified time.Time
	Dir      bool
}

func (i Info) Name() string                 { return i.FileName }
func (i Info) IsDir() bool                  { return i.Dir }
func (i Info) Type() iofs.FileMode          { return i.Mode().Type() }
func (i Info) Info() (iofs.FileInfo, error) { return i, nil }
func (i Info) Size() int64                  { return i.Bytes }
func (i Info) ModTime() time.Time           { return i.Modified }
func (i Info) Sys() any                     { return nil }
func (i Info) String() string               { return iofs.FormatFileInfo(i) }
func (i Info) Mode() iofs.FileMode {
	if i.Dir {
		return iofs.ModeDir | 0o555
	}
	return 0o444
}

// Contents is what an open file holds.
type Contents interface {
	io.ReaderAt
	Size() int64  // bytes
	Align() int64 // bytes of the blocks at which requests had better begin
}

// file is an open file.
type file struct {
	path    string
	info    iofs.FileInfo
	content Contents
	letGo   func() error // when it is closed; or nil

	mu      sync.Mutex
	off     int64
	ahead   []byte // content from aheadAt on, for small sequential reads
	aheadAt int64
	closed  bool
}

// File opens a file, which is an io.ReaderAt and io.Seeker, too. letGo is called when it is
// closed, if it is not nil.
func File(path string, info iofs.FileInfo, c Contents, letGo func() error) iofs.File {
	return &file{path: path, info: info, content: c, letGo: letGo}
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
	if f.letGo != nil {
		if err := f.letGo(); err != nil {
			return f.fail("close", err)
		}
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
	rest := f.content.Size() - f.off
	if rest <= 0 {
		return 0, io.EOF
	}
	var n int
	var err error
	if int64(len(p)) >= min(aheadSize, rest) {
		n, err = f.content.ReadAt(p[:min(int64(len(p)), rest)], f.off)
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

// fill reads what surrounds f.off into f.ahead, beginning at a block so that the request
// is aligned. After an error f.ahead holds what came before it.
func (f *file) fill() error {
	f.aheadAt = f.off &^ (f.content.Align() - 1)
	f.ahead = slices.Grow(f.ahead[:0], aheadSize)[:min(aheadSize, f.content.Size()-f.aheadAt)]
	n, err := f.content.ReadAt(f.ahead, f.aheadAt)
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
		offset += f.content.Size()
	default:
		return 0, f.fail("seek", fmt.Errorf("whence %d: %w", whence, iofs.ErrInvalid))
	}
	if offset < 0 {
		return 0, f.fail("seek", fmt.Errorf("before the beginning: %w", iofs.ErrInvalid))
	}
	f.off = offset
	return offset, nil
}

// dir is an open directory.
type dir struct {
	path   string
	info   iofs.FileInfo
	mu     sync.Mutex
	list   []iofs.DirEntry // still to be returned
	closed bool
}

// Dir opens a directory that holds list.
func Dir(path string, info iofs.FileInfo, list []iofs.DirEntry) iofs.ReadDirFile {
	return &dir{path: path, info: info, list: list}
}

func (d *dir) Stat() (iofs.FileInfo, error) { return d.info, nil }

func (d *dir) Read([]byte) (int, error) {
	return 0, &iofs.PathError{Op: "read", Path: d.path, Err: ErrIsDir}
}

func (d *dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return &iofs.PathError{Op: "close", Path: d.path, Err: iofs.ErrClosed}
	}
	d.closed = true
	return nil
}

func (d *dir) ReadDir(n int) ([]iofs.DirEntry, error) {
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

// PlainName is a name without what Windows does not allow, and some systems write all the
// same: spaces and full stops at the end, and the characters from the private use area that
// macOS writes for those that are forbidden.
func PlainName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if i := r - 0xF020; i >= 0 && i < 10 && i != 6 { // no backslash: a path cannot have it
			return rune("\"*:<>?\\| ."[i])
		}
		return r
	}, name)
	if plain = strings.TrimRight(plain, " ."); plain == "" {
		return name
	}
	return plain
}
