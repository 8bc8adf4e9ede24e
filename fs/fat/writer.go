package fat

// A file that is being written.
//
// Content goes straight to the medium: over what the file has, or into clusters that were
// taken for it. What a reader of the volume, or the next session, sees of the file changes only
// when Sync or Close commits: then the new clusters become a chain, and the one write of the
// directory's sector gives the file its size, its time and, if it is another, its chain. So a
// file that Create began is there whole, or as it was. What is overwritten inside the size
// that was committed is the exception: that changes in place, block by block.
//
// change.go tells which clusters are copied to keep it so, and when they are not.

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math"
	"slices"
	"sync"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// ErrTooLarge is returned, wrapped, for a file of 4 GiB or more.
var ErrTooLarge = errors.New("FAT32 keeps no file of 4 GiB or more")

// gather is how many bytes of small writes are put together.
const gather = 256 << 10

// Writer is a file open for writing. Its methods may be called concurrently.
type Writer struct {
	v    *FS
	path string
	key  writerKey
	name string // the last part of path

	mu     sync.Mutex
	closed bool
	failed error     // of a write: what there is must not be committed
	off    int64     // for Write
	buf    []byte    // written at bufAt, and not yet on the medium
	bufAt  int64     // never before size
	size   int64     // without buf
	runs   []run     // the content
	fresh  []run     // the end of runs, which is not in the FAT yet
	set    time.Time // the time it gets; zero: now

	// As committed.
	exists  bool
	at      entry // its entry, if it exists
	old     []run
	oldSize int64
	kept    bool // runs begins with old, which has something
	changed bool // since
}

// writerKey tells files apart that may not have an entry yet.
type writerKey struct {
	parent uint32
	name   string // folded
}

func keyOf(e entry) writerKey { return writerKey{e.parent, fold(e.name)} }

// Create begins a file, or new content for one that there is. It is there from the first Sync
// or Close on, and until then all is as it was.
func (v *FS) Create(name string) (*Writer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.openWriter(name, true)
}

// OpenWriter opens a file that there is, for Write to append to it and WriteAt to change it.
func (v *FS) OpenWriter(name string) (*Writer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.openWriter(name, false)
}

// WriteFile makes a file with this content, or gives it to one that there is: all at once.
func (v *FS) WriteFile(name string, content []byte) error {
	w, err := v.Create(name)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		w.Discard()
		return err
	}
	return w.Close()
}

func (v *FS) openWriter(name string, create bool) (*Writer, error) {
	const op = "write"
	fail := func(err error) (*Writer, error) { return nil, pathError(op, name, err) }
	if err := v.changeable(); err != nil {
		return fail(err)
	}
	w := &Writer{v: v, path: name, changed: create}
	e, err := v.lookup(op, name)
	switch {
	case err == nil && e.isDir():
		return fail(readfs.ErrIsDir)
	case err == nil:
		if err := v.mayChange(e); err != nil {
			return fail(err)
		}
		if w.old, err = v.ownRuns(e); err != nil {
			return fail(err)
		}
		w.exists, w.at, w.oldSize, w.key = true, e, int64(e.size), keyOf(e)
		if !create {
			w.kept, w.runs, w.size, w.off = len(w.old) > 0, w.old, w.oldSize, w.oldSize
		}
	case create && errors.Is(err, iofs.ErrNotExist):
		d, label, err := v.parentOf(op, name)
		if err != nil {
			return fail(err)
		}
		w.name, w.key = label, writerKey{d.first, fold(label)}
		if v.writers[w.key] != nil {
			return fail(fs.ErrBusy)
		}
	default:
		return fail(err)
	}
	v.writers[w.key] = w
	return w, nil
}

// pathError gives err the path, if it has none.
func pathError(op, name string, err error) error {
	var perr *iofs.PathError
	if err == nil || errors.As(err, &perr) {
		return err
	}
	return &iofs.PathError{Op: op, Path: name, Err: err}
}

// do runs f on an open file; an error of it makes the file one that is not committed.
func (w *Writer) do(op string, f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return pathError(op, w.path, iofs.ErrClosed)
	}
	if w.failed != nil {
		return pathError(op, w.path, fmt.Errorf("an earlier write has failed: %w", w.failed))
	}
	err := f()
	if err != nil && !errors.Is(err, ErrTooLarge) { // of that nothing was written
		w.failed = err
	}
	return pathError(op, w.path, err)
}

// Write adds p behind what was written before.
func (w *Writer) Write(p []byte) (n int, err error) {
	err = w.do("write", func() error {
		n, err = w.write(p, w.off)
		w.off += int64(n)
		return err
	})
	return n, err
}

// WriteAt writes p at off, which may be beyond the end: what is between is zero.
func (w *Writer) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, pathError("write", w.path, errors.New("negative offset"))
	}
	err = w.do("write", func() error {
		n, err = w.write(p, off)
		return err
	})
	return n, err
}

func (w *Writer) write(p []byte, off int64) (int, error) {
	if off > math.MaxUint32 || int64(len(p)) > math.MaxUint32-off {
		return 0, ErrTooLarge
	}
	if len(p) == 0 {
		return 0, nil
	}
	// What is appended goes to the medium in pieces that end where blocks do.
	done := 0
	for len(p) > 0 && off == w.end() {
		if len(w.buf) == 0 {
			w.bufAt = off
		}
		n := min(len(p), gather-int(off%gather))
		if whole := len(p) / gather * gather; len(w.buf) == 0 && off%gather == 0 && whole > 0 {
			n = whole
			if err := w.put(p[:n], off); err != nil {
				return done, err
			}
		} else if w.buf = append(w.buf, p[:n]...); (off+int64(n))%gather == 0 {
			if err := w.flush(); err != nil {
				return done, err
			}
		}
		p, off, done = p[n:], off+int64(n), done+n
	}
	if len(p) == 0 {
		return done, nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return len(p), w.put(p, off)
}

// end is how long the file is.
func (w *Writer) end() int64 {
	if len(w.buf) > 0 {
		return w.bufAt + int64(len(w.buf))
	}
	return w.size
}

// flush writes what was put together.
func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	b := w.buf
	w.buf = w.buf[:0]
	return w.put(b, w.bufAt)
}

// put writes p at off on the medium.
func (w *Writer) put(p []byte, off int64) error {
	end := off + int64(len(p))
	if err := w.grow(end); err != nil {
		return err
	}
	for w.size < off { // a gap
		zeros := make([]byte, min(off-w.size, 1<<20))
		if err := w.overwrite(zeros, w.size); err != nil {
			return err
		}
		w.size += int64(len(zeros))
	}
	if err := w.overwrite(p, off); err != nil {
		return err
	}
	w.size, w.changed = max(w.size, end), true
	return nil
}

// overwrite writes into the clusters that there are.
func (w *Writer) overwrite(p []byte, off int64) error {
	x := extent{w.v, w.runs, int64(clustersIn(w.runs)) * w.v.cluster}
	for len(p) > 0 {
		at, n := x.piece(off)
		n = min(n, int64(len(p)))
		if err := w.v.writeAt(at, p[:n]); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// grow takes the clusters for size bytes.
func (w *Writer) grow(size int64) error {
	v := w.v
	need := uint32((size + v.cluster - 1) / v.cluster)
	have := clustersIn(w.runs)
	if need <= have {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if have > 0 && w.kept && w.oldSize <= copyMost {
		fresh, err := v.copyOut(w.runs, w.size)
		if err != nil {
			return err
		}
		w.runs, w.fresh, w.kept = fresh, slices.Clone(fresh), false
		have = clustersIn(fresh)
	}
	more, err := v.alloc(need-have, lastOf(w.runs))
	if err != nil {
		return err
	}
	if w.kept && len(w.fresh) == 0 { // runs is old, which stays
		w.runs = slices.Clone(w.runs)
	}
	for _, r := range more {
		w.runs, w.fresh = appendRun(w.runs, r), appendRun(w.fresh, r)
	}
	return nil
}

// Truncate gives the file another size. What is added is zero.
func (w *Writer) Truncate(size int64) error {
	if size < 0 {
		return pathError("truncate", w.path, iofs.ErrInvalid)
	}
	return w.do("truncate", func() error {
		if size > math.MaxUint32 {
			return ErrTooLarge
		}
		if err := w.flush(); err != nil {
			return err
		}
		if size >= w.size {
			return w.put(nil, size)
		}
		w.changed = true
		w.v.mu.Lock()
		defer w.v.mu.Unlock()
		keep := uint32((size + w.v.cluster - 1) / w.v.cluster)
		if n := clustersIn(w.old); w.kept && size < w.oldSize {
			switch {
			case size > copyMost:
				return w.shorten(size)
			case size == 0:
				w.v.unreserve(w.fresh)
				w.runs, w.fresh = nil, nil
			default:
				fresh, err := w.v.copyOut(w.runs, size)
				if err != nil {
					return err
				}
				w.v.unreserve(w.fresh)
				w.runs, w.fresh = fresh, slices.Clone(fresh)
			}
			w.kept, w.size = false, size
			return nil
		} else if w.kept {
			keep = max(keep, n)
		}
		head, tail := cutRuns(w.runs, keep)
		w.v.unreserve(tail)
		w.runs, w.size = head, size
		w.fresh, _ = cutRuns(w.fresh, clustersIn(w.fresh)-clustersIn(tail))
		return nil
	})
}

// shorten cuts a large file in place, and commits that.
func (w *Writer) shorten(size int64) error {
	v := w.v
	v.unreserve(w.fresh)
	w.runs, w.fresh = w.old, nil
	return v.changeLocked("truncate", w.path, func() error {
		w.size = size
		if err := w.enter(nil); err != nil {
			return err
		}
		head, tail := cutRuns(w.old, uint32((size+v.cluster-1)/v.cluster))
		w.runs, w.old = head, head
		if len(tail) == 0 {
			return nil
		}
		if err := v.setEntry(lastOf(head), endOfChain); err != nil {
			return err
		}
		if err := v.dev.Flush(); err != nil {
			return err
		}
		return v.release(firstOf(head), tail)
	})
}

// Size returns the bytes in the file as written, committed or not.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end()
}

// ReadAt reads what was written, committed or not, as io.ReaderAt asks for.
func (w *Writer) ReadAt(p []byte, off int64) (n int, err error) {
	eof := false
	err = w.do("read", func() error {
		if err := w.flush(); err != nil {
			return err
		}
		n, err = extent{w.v, w.runs, w.size}.ReadAt(p, off)
		if eof = err == io.EOF; eof {
			err = nil
		}
		return err
	})
	if err == nil && eof {
		err = io.EOF
	}
	return n, err
}

// SetModified sets the time that the file gets instead of that of the next commit.
func (w *Writer) SetModified(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set, w.changed = t, true
}

// Sync commits: when it returns nil, what was written is safe.
func (w *Writer) Sync() error { return w.do("sync", w.commit) }

// Close commits and ends the Writer. After an error of an earlier write it does not commit.
func (w *Writer) Close() error {
	err := w.do("close", w.commit)
	if errors.Is(err, iofs.ErrClosed) {
		return err
	}
	w.Discard()
	return err
}

// Discard ends the Writer without a commit.
func (w *Writer) Discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed, w.buf = true, nil
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	delete(w.v.writers, w.key)
	w.v.unreserve(w.fresh)
}

func (w *Writer) commit() error {
	if err := w.flush(); err != nil {
		return err
	}
	v := w.v
	if !w.changed {
		return v.dev.Flush()
	}
	return v.change("sync", w.path, func() error {
		if w.kept && len(w.fresh) == 0 {
			if err := v.dev.Flush(); err != nil {
				return err
			}
			return w.enter(nil)
		}
		if err := v.claim(w.fresh, endOfChain); err != nil {
			return err
		}
		claimed := w.fresh
		w.fresh = nil
		if err := v.dev.Flush(); err != nil {
			return err
		}
		if w.kept { // and is large
			if err := v.setEntry(lastOf(w.old), firstOf(claimed)); err != nil {
				return err
			}
			if err := v.dev.Flush(); err != nil {
				return err
			}
		}
		if err := w.enter(claimed); err != nil {
			return err
		}
		if !w.kept {
			if err := v.release(firstOf(w.old), w.old); err != nil {
				return err
			}
		}
		w.old, w.kept = w.runs, len(w.runs) > 0
		return nil
	})
}

// enter writes the file's entry, or makes one; runs are its clusters if it is new.
func (w *Writer) enter(runs []run) error {
	v := w.v
	first, now := firstOf(w.runs), w.set
	if now.IsZero() {
		now = v.Clock()
	}
	if w.exists {
		err := v.update(w.at, func(raw []byte) {
			setFirst(raw, first)
			setSize(raw, w.size)
			setModified(raw, now)
			raw[11] |= attrFile
		})
		if err != nil {
			return err
		}
	} else {
		d, err := v.loadDir(w.key.parent, v.origin[w.key.parent])
		if err != nil {
			return err
		}
		raw := appendEntry(nil, [11]byte{}, attrFile, first, uint32(w.size), now)
		if w.name[0] == '.' {
			raw[11] |= attrHidden // as on systems where the dot means that
		}
		if err := v.putNew(d, w.name, raw, runs); err != nil {
			return err
		}
	}
	d, err := v.loadDir(w.key.parent, v.origin[w.key.parent])
	if err != nil {
		return err
	}
	i, ok := d.byName[w.key.name]
	if !ok {
		return errors.New("the entry that was written is not there")
	}
	w.exists, w.at = true, d.entries[i]
	w.oldSize, w.changed, w.set = w.size, false, time.Time{}
	return nil
}

var (
	_ io.WriteCloser = (*Writer)(nil)
	_ io.WriterAt    = (*Writer)(nil)
	_ io.ReaderAt    = (*Writer)(nil)
)
