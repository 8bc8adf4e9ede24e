package media

// A drive is written in chunks, each as a whole: raw devices take only whole blocks, and large
// requests are what flash is fast at. A chunk that is touched for the first time begins as
// zeros, whatever is on the medium, so that nothing of an old content shows through; one that
// is touched again is read back. Of each chunk that was written a checksum is kept, with which
// Verify compares what the medium has.
//
// Reading for the caller goes on while the last chunk is on its way to the medium.

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"unsafe"
)

// Medium is what a drive is written on: an *os.File, say.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

const (
	chunkSize = 4 << 20
	cached    = 4 // chunks: a volume's two FATs, its directory and its data are written in turn
	alignment = 4096
)

// Writer writes a drive of a fixed size. It is for one goroutine.
type Writer struct {
	m     Medium
	size  int64
	fresh bool // the medium reads as zeros where nothing was written
	state []byte
	sums  []uint64
	seed  maphash.Seed

	chunks []*chunk // the last used first
	spare  []byte
	at     int64 // of Write

	flying int64 // the chunk that is being written, or -1
	landed chan error
	failed error

	// Progress is told, now and then, how many bytes of the drive are dealt with.
	Progress func(done int64)
	done     int64
}

// What is known of a chunk.
const (
	untouched = iota
	written
	hole // zeros that a fresh medium has already
)

type chunk struct {
	index int64
	data  []byte
	dirty bool
}

// NewWriter returns a writer for the first size bytes of m; fresh tells that m reads as zeros.
func NewWriter(m Medium, size int64, fresh bool) *Writer {
	n := (size + chunkSize - 1) / chunkSize
	return &Writer{m: m, size: size, fresh: fresh, state: make([]byte, n), sums: make([]uint64, n), seed: maphash.MakeSeed(), flying: -1, landed: make(chan error, 1)}
}

// aligned returns a buffer as direct access wants it.
func aligned() []byte {
	b := make([]byte, chunkSize+alignment)
	skip := -uintptr(unsafe.Pointer(&b[0])) & (alignment - 1)
	return b[skip : skip+chunkSize : skip+chunkSize]
}

var zeros = make([]byte, chunkSize)

// Size returns the bytes in the drive.
func (w *Writer) Size() int64 { return w.size }

// length returns the bytes in a chunk, of which the last may be shorter.
func (w *Writer) length(index int64) int64 { return min(chunkSize, w.size-index*chunkSize) }

// get returns a chunk to be read or changed.
func (w *Writer) get(index int64) (*chunk, error) {
	if w.failed != nil {
		return nil, w.failed
	}
	for i, c := range w.chunks {
		if c.index == index {
			copy(w.chunks[1:i+1], w.chunks[:i])
			w.chunks[0] = c
			return c, nil
		}
	}
	var c *chunk
	if len(w.chunks) == cached {
		c = w.chunks[cached-1]
		w.chunks = w.chunks[:cached-1]
		if err := w.send(c); err != nil {
			return nil, err
		}
	}
	if c == nil {
		c = &chunk{data: aligned()}
	}
	c.index, c.dirty = index, false
	c.data = c.data[:w.length(index)]
	if w.state[index] == written {
		if w.flying == index {
			if err := w.land(); err != nil {
				return nil, err
			}
		}
		if err := readFull(w.m, c.data, index*chunkSize); err != nil {
			return nil, w.fail(err)
		}
	} else {
		clear(c.data)
	}
	w.chunks = append([]*chunk{c}, w.chunks...)
	return c, nil
}

// send starts to write a chunk, which gets another buffer for that.
func (w *Writer) send(c *chunk) error {
	if !c.dirty {
		return nil
	}
	c.dirty = false
	if w.state[c.index] == untouched {
		w.done += int64(len(c.data))
	}
	if w.fresh && w.state[c.index] != written && bytes.Equal(c.data, zeros[:len(c.data)]) {
		w.state[c.index] = hole
		w.tell()
		return nil
	}
	if err := w.land(); err != nil {
		return err
	}
	w.state[c.index], w.sums[c.index] = written, maphash.Bytes(w.seed, c.data)
	w.flying = c.index
	data, at := c.data, c.index*chunkSize
	if w.spare == nil {
		w.spare = aligned()
	}
	c.data, w.spare = w.spare[:len(data)], data[:chunkSize:chunkSize]
	go func() {
		_, err := w.m.WriteAt(data, at)
		w.landed <- err
	}()
	w.tell()
	return nil
}

// land waits for the chunk that is on its way.
func (w *Writer) land() error {
	if w.flying < 0 {
		return w.failed
	}
	index := w.flying
	w.flying = -1
	if err := <-w.landed; err != nil {
		return w.fail(fmt.Errorf("writing at %s: %w", FormatSize(index*chunkSize), err))
	}
	return w.failed
}

func (w *Writer) fail(err error) error {
	if w.failed == nil {
		w.failed = err
	}
	return w.failed
}

func (w *Writer) tell() {
	if w.Progress != nil {
		w.Progress(w.done)
	}
}

var errBeyond = errors.New("beyond the end of the drive")

// each calls f for the pieces of n bytes from off on, chunk by chunk.
func (w *Writer) each(off, n int64, f func(c *chunk, at, from, to int64) error) error {
	if off < 0 || n < 0 || off > w.size-n {
		return errBeyond
	}
	for at := int64(0); at < n; {
		c, err := w.get((off + at) / chunkSize)
		if err != nil {
			return err
		}
		from := (off + at) % chunkSize
		to := min(from+n-at, int64(len(c.data)))
		if err := f(c, at, from, to); err != nil {
			return err
		}
		at += to - from
	}
	return nil
}

// WriteAt writes p from byte off on.
func (w *Writer) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := w.each(off, int64(len(p)), func(c *chunk, at, from, to int64) error {
		c.dirty = true
		done += copy(c.data[from:to], p[at:])
		return nil
	})
	return done, err
}

// ReadAt reads what was written, and zeros elsewhere.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) {
	short := off >= 0 && off < w.size && off > w.size-int64(len(p))
	if short {
		p = p[:w.size-off]
	}
	done := 0
	err := w.each(off, int64(len(p)), func(c *chunk, at, from, to int64) error {
		done += copy(p[at:], c.data[from:to])
		return nil
	})
	if err == nil && short {
		err = io.EOF
	}
	return done, err
}

// Seek says where Write goes on.
func (w *Writer) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += w.at
	case io.SeekEnd:
		off += w.size
	}
	if off < 0 {
		return w.at, errBeyond
	}
	w.at = off
	return off, nil
}

// Write writes p where the last Write or Seek ended.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}

// ReadFrom writes what r has, read straight into the chunks.
func (w *Writer) ReadFrom(r io.Reader) (total int64, err error) {
	for w.at < w.size {
		c, err := w.get(w.at / chunkSize)
		if err != nil {
			return total, err
		}
		n, err := io.ReadFull(r, c.data[w.at%chunkSize:])
		if n > 0 {
			c.dirty = true
		}
		w.at, total = w.at+int64(n), total+int64(n)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return total, errBeyond
	} else if err != io.EOF {
		return total, err
	}
	return total, nil
}

// Zero makes n bytes from off on read as zeros, unless something was written in their chunk:
// then they are zeros already where that was not.
func (w *Writer) Zero(off, n int64) error {
	if off < 0 || n < 0 || off > w.size-n {
		return errBeyond
	}
	for i := off / chunkSize; i*chunkSize < off+n; i++ {
		if w.state[i] != untouched {
			continue
		}
		if w.fresh {
			w.state[i] = hole
			w.done += w.length(i)
			continue
		}
		c, err := w.get(i)
		if err != nil {
			return err
		}
		c.dirty = true
	}
	w.tell()
	return nil
}

// Flush hands the medium what is still in memory.
func (w *Writer) Flush() error {
	slices.SortFunc(w.chunks, func(a, b *chunk) int { return cmp.Compare(a.index, b.index) })
	for _, c := range w.chunks {
		if err := w.send(c); err != nil {
			return err
		}
	}
	w.chunks = nil
	return w.land()
}

// Sync makes durable what was written.
func (w *Writer) Sync() error {
	if err := w.Flush(); err != nil {
		return err
	}
	if err := w.m.Sync(); err != nil {
		return w.fail(err)
	}
	return nil
}

// Written returns how many bytes Verify reads.
func (w *Writer) Written() (n int64) {
	for i, s := range w.state {
		if s == written {
			n += w.length(int64(i))
		}
	}
	return n
}

// ErrDiffers is returned, wrapped, by Verify.
var ErrDiffers = errors.New("what was read back is not what was written")

// Verify reads from m, which may be another way to the same medium, all that was written, and
// compares it. Sync comes before it.
func (w *Writer) Verify(m io.ReaderAt, progress func(done int64)) error {
	type read struct {
		index int64
		data  []byte
		err   error
	}
	// One chunk is read while another is compared.
	free, reads := make(chan []byte, 2), make(chan read)
	free <- aligned()
	free <- aligned()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(reads)
		for i, s := range w.state {
			if s != written {
				continue
			}
			var b []byte
			select {
			case b = <-free:
			case <-stop:
				return
			}
			b = b[:w.length(int64(i))]
			err := readFull(m, b, int64(i)*chunkSize)
			select {
			case reads <- read{int64(i), b, err}:
			case <-stop:
				return
			}
		}
	}()
	done := int64(0)
	for r := range reads {
		if r.err != nil {
			return fmt.Errorf("reading back at %s: %w", FormatSize(r.index*chunkSize), r.err)
		}
		if maphash.Bytes(w.seed, r.data) != w.sums[r.index] {
			return fmt.Errorf("%w, within %s from %s on; the drive may be worn out or smaller than it says: try again, then use another one", ErrDiffers, FormatSize(int64(len(r.data))), FormatSize(r.index*chunkSize))
		}
		done += int64(len(r.data))
		if progress != nil {
			progress(done)
		}
		free <- r.data[:chunkSize]
	}
	return nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
