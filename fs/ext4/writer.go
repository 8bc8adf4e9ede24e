package ext4

// A file that is being written.
//
// Content goes straight to the medium: over what the file has, or into blocks that were taken for it and
// that no bitmap knows of yet. What a reader of the volume, or the next session, sees of the file changes only when Sync or Close
// commits: one transaction gives it its blocks, its size and its time, and a name if it is new. So a file that Create began is
// there whole, or as it was. What is overwritten inside the size that was committed is the exception: that changes in place.

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"sync"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

const (
	gather = 256 << 10 // bytes of small writes that are put together
)

// MaxFile is how many bytes a file can have, at most.
const MaxFile = 1 << 44

// Writer is a file open for writing. Its methods may be called concurrently.
type Writer struct {
	v      *FS
	path   string
	parent uint32
	name   string
	number uint32 // 0: there is no such file yet
	key    uint32 // in FS.writers: the inode or, until there is one, a number that no inode has

	loaded int   // FS.loaded
	block  int64 // FS.block, which nobody may look at while the volume is read anew

	mu      sync.Mutex
	closed  bool
	failed  error // of a write: what there is must not be committed
	off     int64 // for Write
	buf     []byte
	size    int64    // on the medium; buf is written there
	list    []extent // the content, in order
	took    []run    // of its blocks, those that are in no bitmap
	set     time.Time
	changed bool

	// As committed.
	old     []extent
	nodes   []uint64
	oldSize int64
}

// Create begins a file, or new content for one that there is. It is there from the first Sync
// or Close on, and until then all is as it was.
func (v *FS) Create(name string) (*Writer, error) { return v.openWriter(name, true) }

// OpenWriter opens a file that there is, for Write to append to it and WriteAt to change it.
func (v *FS) OpenWriter(name string) (*Writer, error) { return v.openWriter(name, false) }

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
	v.big.Lock()
	defer v.big.Unlock()
	w, err := v.newWriter(name, create)
	return w, pathError("write", name, err)
}

func (v *FS) newWriter(name string, create bool) (*Writer, error) {
	if err := v.touch(); err != nil {
		return nil, err
	}
	if !iofs.ValidPath(name) {
		return nil, iofs.ErrInvalid
	}
	if name == "." {
		return nil, readfs.ErrIsDir
	}
	d, base, err := v.parent("write", name)
	if err != nil {
		return nil, err
	}
	n, _, err := v.child(d, base)
	if err == nil && n != nil && n.mode&modeType == modeLink {
		n, err = v.resolve("write", name, true)
	}
	switch {
	case err != nil:
		return nil, err
	case n == nil && !create:
		return nil, iofs.ErrNotExist
	}
	for _, o := range v.writers {
		if o.parent == d.number && o.name == base {
			return nil, fs.ErrBusy
		}
	}
	w := &Writer{v: v, loaded: v.loaded, block: v.block, path: name}
	if n != nil {
		if w, err = v.writerOf(n, name); err != nil {
			return nil, err
		}
	} else {
		for w.key = ^uint32(0); v.writers[w.key] != nil; w.key-- {
		}
		v.writers[w.key] = w
	}
	w.parent, w.name, w.changed = d.number, base, create
	if create {
		w.list, w.size, w.off = nil, 0, 0
	}
	return w, nil
}

// writerOf opens a file that there is for writing.
func (v *FS) writerOf(n *inode, name string) (*Writer, error) {
	if n.isDir() {
		return nil, readfs.ErrIsDir
	}
	if _, err := v.content(n); err != nil {
		return nil, err
	}
	if err := v.mayLose(n); err != nil {
		return nil, err
	}
	list, nodes, err := v.extentsOf(n)
	if err != nil {
		return nil, err
	}
	w := &Writer{v: v, loaded: v.loaded, block: v.block, path: name, number: n.number, key: n.number,
		list: slices.Clone(list), size: n.size, off: n.size, old: list, nodes: nodes, oldSize: n.size}
	v.writers[w.key] = w
	return w, nil
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
	if err != nil {
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
	if off > MaxFile || int64(len(p)) > MaxFile-off {
		return 0, fmt.Errorf("the file would be larger than %d bytes", int64(MaxFile))
	}
	if len(p) == 0 {
		return 0, nil
	}
	w.changed = true
	if off == w.size+int64(len(w.buf)) && len(w.buf)+len(p) < gather {
		w.buf = append(w.buf, p...)
		return len(p), nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	if err := w.put(p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush puts what was gathered on the medium.
func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	p := w.buf
	w.buf = w.buf[:0]
	return w.put(p, w.size)
}

// find returns the extent that has a block of the file, or, if there is none, the first behind it.
func (w *Writer) find(block uint64) (i int, has bool) {
	i, _ = slices.BinarySearchFunc(w.list, block, func(e extent, b uint64) int { return cmp.Compare(e.at+e.count, b+1) })
	return i, i < len(w.list) && w.list[i].at <= block
}

// put writes p at off to the medium.
func (w *Writer) put(p []byte, off int64) error {
	bs := w.block
	if off > w.size {
		if err := w.tail(); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		block, in := uint64(off/bs), off%bs
		i, has := w.find(block)
		var n int64
		if has && !w.list[i].unwritten {
			e := w.list[i]
			n = min(int64(len(p)), int64(e.at+e.count-block)*bs-in)
			switch {
			case off < w.oldSize:
				n = min(n, w.oldSize-off) // that changes in place
			case in > 0 && int64(block)*bs < w.oldSize && !w.fresh(block):
				// What is committed may share a sector with what comes.
				if err := w.move(block, in); err != nil {
					return err
				}
				i, _ = w.find(block)
				e = w.list[i]
				n = min(n, bs-in)
			}
			if err := w.medium(p[:n], int64(e.first+block-e.at)*bs+in); err != nil {
				return err
			}
		} else {
			want := uint64((in + int64(len(p)) + bs - 1) / bs)
			var r run
			var err error
			if has {
				e := w.list[i]
				r = run{e.first + block - e.at, min(want, e.at+e.count-block)}
			} else {
				if i < len(w.list) {
					want = min(want, w.list[i].at-block)
				}
				if r, err = w.reserve(i, want); err != nil {
					return err
				}
			}
			n = min(int64(len(p)), int64(r.count)*bs-in)
			whole := p[:n]
			if in != 0 || n%bs != 0 {
				whole = make([]byte, int64(r.count)*bs)
				copy(whole[in:], p[:n])
			}
			if err := w.medium(whole, int64(r.first)*bs); err != nil {
				return err
			}
			w.replace(extent{block, r.count, r.first, false})
		}
		p, off = p[n:], off+n
		w.size = max(w.size, off)
	}
	return nil
}

// reserve takes blocks for what comes before extent i of the list.
func (w *Writer) reserve(i int, want uint64) (run, error) {
	w.v.big.Lock()
	defer w.v.big.Unlock()
	if err := w.same(); err != nil {
		return run{}, err
	}
	near := w.number
	if near == 0 {
		near = w.parent
	}
	goal := w.v.groupStart(uint64(near-1) / uint64(w.v.inodesPerGroup))
	if i > 0 {
		goal = w.list[i-1].first + w.list[i-1].count
	}
	r, err := w.v.reserve(goal, want)
	if err == nil {
		w.took = append(w.took, r)
	}
	return r, err
}

// same makes the volume ready for a change of the file, with FS.big held, unless it was read anew.
func (w *Writer) same() error {
	if err := w.v.touch(); err != nil {
		return err
	}
	return w.v.since(w.loaded)
}

// since returns an error if the volume was read anew since it was loaded for that time: nobody knows then whose blocks that no bitmap had are.
func (v *FS) since(loaded int) error {
	if loaded != v.loaded {
		return errors.New("the drive was away, or has failed, while the file was written; write it anew")
	}
	return nil
}

// ours reads or writes blocks that were had when the volume was loaded for that time. FS.big is held until it is done, so that nobody else gets them meanwhile.
func (v *FS) ours(loaded int, do func(p []byte, at int64) error, p []byte, at int64) error {
	v.big.RLock()
	defer v.big.RUnlock()
	if err := v.since(loaded); err != nil {
		return err
	}
	return do(p, at)
}

// medium writes to blocks of the file.
func (w *Writer) medium(p []byte, at int64) error { return w.v.ours(w.loaded, w.v.vol.Write, p, at) }

// read reads from them.
func (w *Writer) read(p []byte, at int64) error { return w.v.ours(w.loaded, w.v.vol.Read, p, at) }

// replace has blocks of the file lie elsewhere, or nowhere if e.first is 0.
func (w *Writer) replace(e extent) {
	var out []extent
	placed := false
	for _, o := range w.list {
		if !placed && o.at >= e.at {
			out, placed = append(out, e), true
		}
		if o.at+o.count <= e.at || o.at >= e.at+e.count {
			out = append(out, o)
			continue
		}
		if o.at < e.at {
			out = append(out, extent{o.at, e.at - o.at, o.first, o.unwritten}, e)
			placed = true
		}
		if end := e.at + e.count; o.at+o.count > end {
			out = append(out, extent{end, o.at + o.count - end, o.first + end - o.at, o.unwritten})
		}
	}
	if !placed {
		out = append(out, e)
	}
	if e.first == 0 {
		out = slices.DeleteFunc(out, func(x extent) bool { return x.first == 0 })
	}
	if len(out) > 1 && len(out) > len(w.list) {
		out = joined(out)
	}
	w.list = out
}

// tail makes what lies behind the end in its block zeros, for the file to become longer. What is committed stays.
func (w *Writer) tail() error {
	bs := w.block
	block, in := uint64(w.size/bs), w.size%bs
	i, has := w.find(block)
	if in == 0 || !has || w.list[i].unwritten {
		return nil
	}
	if int64(block)*bs < w.oldSize && !w.fresh(block) {
		return w.move(block, in)
	}
	e := w.list[i]
	return w.medium(make([]byte, bs-in), int64(e.first+block-e.at)*bs+in)
}

// fresh tells whether a block of the file, which it has, lies where nothing is committed.
func (w *Writer) fresh(block uint64) bool {
	i, _ := w.find(block)
	at := w.list[i].first + block - w.list[i].at
	return slices.ContainsFunc(w.took, func(r run) bool { return at >= r.first && at < r.first+r.count })
}

// move has a block of the file, of which n bytes count, lie in one that is not committed, with zeros behind these bytes.
func (w *Writer) move(block uint64, n int64) error {
	i, _ := w.find(block)
	e := w.list[i]
	at := e.first + block - e.at
	b := make([]byte, w.block)
	if err := w.read(b[:n], int64(at)*w.block); err != nil {
		return err
	}
	r, err := w.reserve(i, 1)
	if err != nil {
		return err
	}
	if err := w.medium(b, int64(r.first)*w.block); err != nil {
		return err
	}
	w.replace(extent{block, 1, r.first, false})
	return nil
}

// Truncate gives the file another size. What is added is zero.
func (w *Writer) Truncate(size int64) error {
	if size < 0 || size > MaxFile {
		return pathError("truncate", w.path, fmt.Errorf("a file cannot have %d bytes", size))
	}
	return w.do("truncate", func() error {
		if err := w.flush(); err != nil {
			return err
		}
		w.changed = true
		if size > w.size {
			if err := w.tail(); err != nil {
				return err
			}
		} else if first := uint64((size + w.block - 1) / w.block); true {
			w.replace(extent{first, 1 << 32, 0, false})
		}
		w.size = size
		w.off = min(w.off, size)
		return nil
	})
}

// Size returns the bytes in the file as written, committed or not.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size + int64(len(w.buf))
}

// ReadAt reads what was written, committed or not, as io.ReaderAt asks for.
func (w *Writer) ReadAt(p []byte, off int64) (n int, err error) {
	err = w.do("read", func() error {
		if off < 0 {
			return errors.New("negative offset")
		}
		return w.flush()
	})
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if off >= w.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > w.size-off
	if short {
		p = p[:w.size-off]
	}
	bs := w.block
	for n < len(p) {
		block, in := uint64((off+int64(n))/bs), (off+int64(n))%bs
		i, has := w.find(block)
		k := int64(len(p) - n)
		switch {
		case has:
			k = min(k, int64(w.list[i].at+w.list[i].count-block)*bs-in)
		case i < len(w.list):
			k = min(k, int64(w.list[i].at-block)*bs-in)
		}
		if !has || w.list[i].unwritten {
			clear(p[n:][:k])
		} else if err := w.read(p[n:][:k], int64(w.list[i].first+block-w.list[i].at)*bs+in); err != nil {
			return n, pathError("read", w.path, err)
		}
		n += int(k)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// SetModified sets the time that the file gets instead of that of the next commit.
func (w *Writer) SetModified(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set, w.changed = t, true
}

// Sync commits: when it returns nil, what was written is safe.
func (w *Writer) Sync() error { return w.do("sync", w.commit) }

func (w *Writer) commit() error {
	if err := w.flush(); err != nil {
		return err
	}
	if !w.changed {
		return nil
	}
	v := w.v
	v.big.Lock()
	defer v.big.Unlock()
	if err := w.same(); err != nil {
		return err
	}
	has, had := runsOf(w.list), runsOf(w.old)
	fresh := minus(w.took, minus(w.took, has))
	number := w.number
	err := v.changeLocked(func() error {
		now := v.Clock()
		if number == 0 {
			d, err := v.readInode(w.parent)
			if err != nil {
				return err
			}
			if number, err = v.create(d, modeFile|0o644, now); err != nil {
				return err
			}
			if err := v.insert(d.number, w.name, number, kindFile); err != nil {
				return err
			}
		}
		for _, r := range fresh {
			if err := v.mark(r, true); err != nil {
				return err
			}
		}
		for _, r := range minus(had, has) {
			if err := v.free(r, false); err != nil {
				return err
			}
		}
		if err := v.largeFile(w.size); err != nil {
			return err
		}
		return v.editInode(number, func(raw []byte) error {
			setSize(raw, w.size)
			setTime(raw, "changed", now)
			if !w.set.IsZero() {
				now = w.set
			}
			setTime(raw, "modified", now)
			return v.setExtents(number, raw, w.old, w.list, w.nodes)
		})
	})
	if err != nil {
		return err
	}
	for _, r := range minus(w.took, has) {
		v.release(r)
	}
	if w.number == 0 {
		delete(v.writers, w.key)
		w.number, w.key = number, number
		v.writers[number] = w
	}
	w.old, w.oldSize, w.took, w.changed, w.set = slices.Clone(w.list), w.size, nil, false, time.Time{}
	n, err := v.readInode(number)
	if err == nil {
		_, w.nodes, err = v.extentsOf(n)
	}
	return err
}

// largeFile has the superblock say that there are files of 2 GiB and more.
func (v *FS) largeFile(size int64) error {
	const feature = 0x2
	if size < 1<<31 || v.is(feature) {
		return nil
	}
	return errors.New("the volume was made for files of less than 2 GiB; e2fsck and tune2fs -O large_file change that")
}

// runsOf returns where extents lie, in the order of the volume.
func runsOf(list []extent) (out []run) {
	for _, e := range list {
		out = append(out, run{e.first, e.count})
	}
	slices.SortFunc(out, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	return out
}

// minus returns what of a is not in b, which is in order.
func minus(a, b []run) (out []run) {
	a = slices.Clone(a)
	slices.SortFunc(a, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	i := 0
	for _, r := range a {
		for i > 0 && b[i-1].first+b[i-1].count > r.first {
			i--
		}
		for ; r.count > 0; i++ {
			if i == len(b) || b[i].first >= r.first+r.count {
				out = append(out, r)
				break
			}
			end := b[i].first + b[i].count
			if end <= r.first {
				continue
			}
			if b[i].first > r.first {
				out = append(out, run{r.first, b[i].first - r.first})
			}
			if end >= r.first+r.count {
				break
			}
			r = run{end, r.first + r.count - end}
		}
	}
	return out
}

// Close commits and ends the Writer. After an error of an earlier write it does not commit.
func (w *Writer) Close() error {
	err := w.do("close", w.commit)
	if !errors.Is(err, iofs.ErrClosed) {
		w.Discard()
	}
	return err
}

// Discard ends the Writer without a commit.
func (w *Writer) Discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	w.v.big.Lock()
	defer w.v.big.Unlock()
	w.end()
}

// end is the end of a file that was being written, with FS.big held: blocks that are not committed are free again.
func (w *Writer) end() {
	if w.loaded == w.v.loaded {
		for _, r := range w.took {
			w.v.release(r)
		}
	}
	delete(w.v.writers, w.key)
}
