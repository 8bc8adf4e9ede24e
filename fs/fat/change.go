package fat

// How files and directories change, and why the plug may be pulled at any moment.
//
// The invariant: on the medium, at any time, each chain of clusters that an entry leads to is
// whole in every FAT and as long as the entry says, and no two entries lead to one cluster.
// All else may be wrong for a while: clusters that nobody has may be marked as taken (lost
// clusters, which any check frees), the FATs may differ on these, the volume is marked as in
// use and its count of free clusters as unknown.
//
// It holds because each change turns on one write, of the 512 bytes that a medium writes as a
// whole, if anything, and because of the flushes around it. First, what nobody has yet: content
// goes into free clusters, then they become a chain in the FATs; flush. Then the one write:
// the sector of a directory with all entries of a name, old and new; flush. Then, what nobody
// has any more: clusters become free in the FATs. Before the one write all is old, after it all
// is new. Of the writes between two flushes any may reach the medium, in any order: they only
// touch clusters that no entry leads to. A cluster is used again only after the flush behind
// the write that took it from its file.
//
// Where there is no such sector, another write is the one. A directory that grows, or names
// that do not fit in a sector, go into fresh clusters, whole: one entry of the FAT hangs
// them in. It is written to each FAT, and each of these is right before and after. In the same
// way a cluster of a directory, but not its first, is replaced by a changed copy.
//
// A file's size and its chain stand in two sectors. So a file that grows into new clusters or
// gets shorter gets a new chain, with a copy of what stays, up to copyMost bytes; likewise
// one that is renamed and whose old and new entries are not in one sector. For larger files
// a copy takes too long. Then, between two writes,
//   - a file that grows or gets shorter has clusters beyond its size. A check cuts them off.
//   - a file, or a directory, that gets another name has both. Check knows that, and takes one
//     away; checks of others leave the content to only one of the two.
//     Of a file that replaces another the name that is left may be its old one. A file that is
//     to replace another is therefore better written by Create, which needs no second name.
//
// And a name that others have written across two sectors of a directory's first cluster leaves
// part of it behind when it is removed; no system shows that.
//
// A medium that ignores flushes but writes in order keeps all this, too.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"time"
	"unicode/utf16"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

const atomicSize = 512 // what a medium writes as a whole, if anything

// copyMost is how many bytes of a file are copied to keep a change in one write. Tests change it.
var copyMost int64 = 1 << 20

var errDirFull = errors.New("the directory is full")

// change runs a change of the volume: f, under v.mu, after the mark that it is in use. When it
// fails, what is known may be wrong, and is read again.
func (v *FS) change(op, name string, f func() error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changeLocked(op, name, f)
}

func (v *FS) changeLocked(op, name string, f func() error) error {
	err := v.touch()
	v.dev.begin()
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	if v.dev.failed.Load() {
		v.wasDirty, v.free = true, unknownCount
		clear(v.full)
	}
	clear(v.tables)
	clear(v.dirs)
	v.entries = 0
	var perr *iofs.PathError
	if errors.As(err, &perr) {
		return err
	}
	return &iofs.PathError{Op: op, Path: name, Err: err}
}

// parentOf returns the directory that a name is in, and checks the name's last part.
func (v *FS) parentOf(op, name string) (d *dir, label string, err error) {
	if !iofs.ValidPath(name) || name == "." {
		return nil, "", iofs.ErrInvalid
	}
	e, err := v.lookup(op, path.Dir(name))
	if err != nil {
		return nil, "", err
	}
	if !e.isDir() {
		return nil, "", readfs.ErrNotDir
	}
	label = path.Base(name)
	if err := checkName(label); err != nil {
		return nil, "", err
	}
	d, err = v.ownDir(e.first, e.origin)
	return d, label, err
}

// dirOf returns the directory in which e is, to be changed.
func (v *FS) dirOf(e entry) (*dir, error) { return v.ownDir(e.parent, v.origin[e.parent]) }

// mayChange returns nil if nobody minds that e is changed.
func (v *FS) mayChange(e entry) error {
	if _, ok := v.pins[e.first]; ok {
		return fs.ErrPinned
	}
	if v.writers[keyOf(e)] != nil {
		return fs.ErrBusy
	}
	if e.attr&attrReadOnly != 0 && !e.isDir() {
		return fmt.Errorf("the file is marked read-only: %w", iofs.ErrPermission)
	}
	return nil
}

// Mkdir makes an empty directory in one that there is. The error wraps io/fs.ErrExist when
// there is something of that name.
func (v *FS) Mkdir(name string) error {
	return v.change("mkdir", name, func() error {
		if _, err := v.lookup("mkdir", name); err == nil {
			return iofs.ErrExist
		} else if !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		d, label, err := v.parentOf("mkdir", name)
		if err != nil {
			return err
		}
		if w := v.writers[writerKey{d.first, fold(label)}]; w != nil {
			return fs.ErrBusy
		}
		if depth := v.depth(d.first); depth >= maxDepth-1 {
			return fmt.Errorf("directories more than %d levels deep are not supported", maxDepth)
		}
		now := v.Clock()
		runs, err := v.alloc(1, 0)
		if err != nil {
			return err
		}
		first := runs[0].first
		b := appendEntry(nil, pack(".", ""), attrDir, first, 0, now)
		b = appendEntry(b, pack("..", ""), attrDir, v.asParent(d.first), 0, now)
		b = append(b, make([]byte, v.cluster-int64(len(b)))...)
		if err := v.fill(runs, b); err != nil {
			return err
		}
		return v.putNew(d, label, appendEntry(nil, [11]byte{}, attrDir, first, 0, now), runs)
	})
}

// asParent is how ".." entries name a directory.
func (v *FS) asParent(first uint32) uint32 {
	if first == v.root {
		return 0
	}
	return first
}

// depth returns how many directories a directory is below the root.
func (v *FS) depth(first uint32) (n int) {
	for ; first != v.root && n <= maxDepth; n++ {
		first = v.origin[first].parent
	}
	return n
}

// tooDeep tells whether a directory, or one below it, has no path when it is so many directories
// below the root.
func (v *FS) tooDeep(e entry, depth int) bool {
	if depth >= maxDepth {
		return true
	}
	d, err := v.openDir(e)
	return err == nil && slices.ContainsFunc(d.entries, func(e entry) bool { return e.isDir() && v.tooDeep(e, depth+1) })
}

// isBelow tells whether the directory first is below, or is, the directory top.
func (v *FS) isBelow(first, top uint32) bool {
	for n := 0; n <= maxDepth; n++ {
		if first == top {
			return true
		}
		if first == v.root {
			return false
		}
		first = v.origin[first].parent
	}
	return true // a knot
}

// fill writes b into clusters that were taken, and makes them a chain; all is on the medium
// when it returns.
func (v *FS) fill(runs []run, b []byte) error {
	for _, r := range runs {
		n := min(int64(r.count)*v.cluster, int64(len(b)))
		if err := v.writeAt(v.dataAt+int64(r.first-2)*v.cluster, b[:n]); err != nil {
			v.unreserve(runs)
			return err
		}
		b = b[n:]
	}
	if err := v.claim(runs, endOfChain); err != nil {
		return err
	}
	return v.dev.Flush()
}

// Remove removes a file, or a directory that is empty.
func (v *FS) Remove(name string) error {
	return v.change("remove", name, func() error {
		e, err := v.lookup("remove", name)
		if err != nil {
			return err
		}
		if e.first == v.root && e.isDir() {
			return iofs.ErrInvalid
		}
		if err := v.mayChange(e); err != nil {
			return err
		}
		runs, err := v.chainOf(e)
		if err != nil {
			return err
		}
		if e.isDir() {
			if err := v.mayEmpty(e); err != nil {
				return err
			}
		}
		d, err := v.dirOf(e)
		if err != nil {
			return err
		}
		if err := v.store(d, without(d.content, e), e.begin, e.end()); err != nil {
			return err
		}
		if e.isDir() {
			v.drop(e.first)
			delete(v.origin, e.first)
			for _, r := range runs {
				for c := r.first; c < r.first+r.count; c++ {
					delete(v.owner, c)
				}
			}
		}
		return v.release(e.first, runs)
	})
}

// mayEmpty returns nil if the directory e has nothing in it and gets nothing.
func (v *FS) mayEmpty(e entry) error {
	d, err := v.openDir(e)
	if err != nil {
		return err
	}
	if len(d.entries) > 0 {
		return errors.New("the directory is not empty")
	}
	for k := range v.writers {
		if k.parent == e.first {
			return errors.New("a file in it is open for writing; close that first")
		}
	}
	return nil
}

// chainOf returns the clusters of a file or directory that is to be changed.
func (v *FS) chainOf(e entry) ([]run, error) {
	if !e.isDir() {
		return v.ownRuns(e)
	}
	d, err := v.ownDir(e.first, e.origin)
	if err != nil {
		return nil, err
	}
	return d.runs, nil
}

// Rename gives a file or directory another name, which may be in another directory. A file
// takes the place of one that has that name already.
func (v *FS) Rename(from, to string) error {
	return v.change("rename", from, func() error {
		e, err := v.lookup("rename", from)
		if err != nil {
			return err
		}
		if e.isDir() && e.first == v.root {
			return iofs.ErrInvalid
		}
		err = v.rename(e, to)
		if err != nil && v.dev.failed.Load() && (e.isDir() || int64(e.size) > copyMost) {
			v.twoNames = true
		}
		return err
	})
}

func (v *FS) rename(e entry, to string) error {
	if err := v.mayChange(e); err != nil {
		return err
	}
	d, label, err := v.parentOf("rename", to)
	if err != nil {
		return err
	}
	if v.writers[writerKey{d.first, fold(label)}] != nil {
		return fs.ErrBusy
	}
	if e.isDir() {
		if v.isBelow(d.first, e.first) {
			return errors.New("a directory cannot be moved into itself")
		}
		for _, p := range v.pins {
			if v.isBelow(p.at.parent, e.first) {
				return fmt.Errorf("%s: %w", p.path, fs.ErrPinned)
			}
		}
		if depth := v.depth(d.first); depth > v.depth(e.parent) && v.tooDeep(e, depth+1) {
			return fmt.Errorf("directories more than %d levels deep are not supported", maxDepth)
		}
	}
	target, err := v.lookup("rename", to)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return v.renameTo(e, d, label)
	case err != nil:
		return err
	case target.origin == e.origin:
		if target.name == label {
			return nil
		}
		return v.renameTo(e, d, label) // in other letters
	case e.isDir() || target.isDir():
		return iofs.ErrExist
	}
	if err := v.mayChange(target); err != nil {
		return err
	}
	return v.renameOver(e, target)
}

// renameTo gives e a name that nothing else has in the directory d.
func (v *FS) renameTo(e entry, d *dir, label string) error {
	from, err := v.dirOf(e)
	if err != nil {
		return err
	}
	raw := bytes.Clone(from.content[e.offset:e.end()])
	raw[12] = 0 // the case of a short name
	if from == d {
		// Without the old one there may be room for the new in the same sector or cluster.
		for _, unit := range []int{atomicSize, int(v.cluster)} {
			content := without(d.content, e)
			b := named(content, label, raw)
			lo := e.begin / unit * unit
			hi := lo + unit
			if e.end() > hi || unit > atomicSize && lo == 0 {
				continue
			}
			at, end := slots(content, len(b)/entrySize, lo, hi, unit)
			if at < 0 {
				continue
			}
			if next, ok := insert(content, at, end, b); next <= hi && (ok || unit > atomicSize) {
				if err := v.store(d, content, min(e.begin, at, end), max(e.end(), next)); err != nil {
					return err
				}
				return v.reachDir(e, d.first, label)
			}
		}
	}
	runs, err := v.chainOf(e)
	if err != nil {
		return err
	}
	copied := !e.isDir() && e.size > 0 && int64(e.size) <= copyMost
	var fresh []run
	if copied {
		if fresh, err = v.copyChain(runs, int64(e.size)); err != nil {
			return err
		}
		setFirst(raw, fresh[0].first)
	}
	moved := e.isDir() && e.parent != d.first
	if moved {
		if err := v.setParent(e, runs, d.first); err != nil {
			return err
		}
	}
	if err := v.putNew(d, label, raw, fresh); err != nil {
		if moved { // there was no room for it
			err = errors.Join(err, v.setParent(e, runs, e.parent))
		}
		return err
	}
	if from, err = v.dirOf(e); err != nil { // put has changed it, if it is the same
		return err
	}
	if err := v.store(from, without(from.content, e), e.begin, e.end()); err != nil {
		return err
	}
	if copied {
		return v.release(e.first, runs)
	}
	return v.reachDir(e, d.first, label)
}

// reachDir notes that a directory is reached in another way now.
func (v *FS) reachDir(e entry, parent uint32, label string) error {
	if !e.isDir() {
		return nil
	}
	d, err := v.loadDir(parent, v.origin[parent])
	if err != nil {
		return err
	}
	delete(v.origin, e.first)
	if i, ok := d.byName[fold(label)]; ok {
		v.origin[e.first] = d.entries[i].origin
	}
	return nil
}

// setParent writes the ".." entry of a directory.
func (v *FS) setParent(e entry, runs []run, parent uint32) error {
	at := v.dataAt + int64(runs[0].first-2)*v.cluster
	b := make([]byte, atomicSize)
	if err := v.readAt(at, b); err != nil {
		return err
	}
	if string(b[entrySize:entrySize+11]) != "..         " {
		return errors.New("directory has no entry for its parent: the volume is damaged; check it with fsck.fat or the like")
	}
	setFirst(b[entrySize:], v.asParent(parent))
	v.drop(e.first)
	if err := v.writeAt(at, b); err != nil {
		return err
	}
	return v.dev.Flush()
}

// renameOver puts e in the place of another file.
func (v *FS) renameOver(e, target entry) error {
	from, err := v.dirOf(e)
	if err != nil {
		return err
	}
	d, err := v.dirOf(target)
	if err != nil {
		return err
	}
	old, err := v.ownRuns(target)
	if err != nil {
		return err
	}
	take := func(content []byte, first uint32) { // the place, with the name it has
		raw, was := content[target.offset:target.end()], from.content[e.offset:e.end()]
		raw[11] = was[11]
		copy(raw[13:], was[13:])
		setFirst(raw, first)
	}
	if from == d && e.begin/atomicSize == target.offset/atomicSize && (e.end()-1)/atomicSize == target.offset/atomicSize {
		content := without(d.content, e)
		take(content, e.first)
		if err := v.store(d, content, min(e.begin, target.offset), max(e.end(), target.end())); err != nil {
			return err
		}
		return v.release(target.first, old)
	}
	runs, err := v.ownRuns(e)
	if err != nil {
		return err
	}
	first, copied := e.first, int64(e.size) <= copyMost
	if copied && e.size > 0 {
		fresh, err := v.copyChain(runs, int64(e.size))
		if err != nil {
			return err
		}
		first = fresh[0].first
	}
	content := bytes.Clone(d.content)
	take(content, first)
	if err := v.store(d, content, target.offset, target.end()); err != nil {
		return err
	}
	if from, err = v.dirOf(e); err != nil { // store has changed it, if it is the same
		return err
	}
	if err := v.store(from, without(from.content, e), e.begin, e.end()); err != nil {
		return err
	}
	if copied {
		if err := v.release(e.first, runs); err != nil {
			return err
		}
	}
	return v.release(target.first, old)
}

// copyChain returns a new chain with the first size bytes of another; it is on the medium.
func (v *FS) copyChain(runs []run, size int64) ([]run, error) {
	fresh, err := v.copyOut(runs, size)
	if err != nil {
		return nil, err
	}
	if err := v.claim(fresh, endOfChain); err != nil {
		return nil, err
	}
	return fresh, v.dev.Flush()
}

// copyOut takes clusters and copies size bytes, or copyMost, into them.
func (v *FS) copyOut(runs []run, size int64) ([]run, error) {
	fresh, err := v.alloc(uint32((size+v.cluster-1)/v.cluster), 0)
	if err != nil {
		return nil, err
	}
	b := make([]byte, (size+v.block-1)/v.block*v.block)
	_, err = extent{v, runs, size}.readAt(b[:size], 0)
	for i, rest := 0, b; err == nil && i < len(fresh); i++ {
		n := min(int64(fresh[i].count)*v.cluster, int64(len(rest)))
		err = v.writeAt(v.dataAt+int64(fresh[i].first-2)*v.cluster, rest[:n])
		rest = rest[n:]
	}
	if err != nil {
		v.unreserve(fresh)
		return nil, err
	}
	return fresh, nil
}

// Chtimes sets when a file or directory was last changed.
func (v *FS) Chtimes(name string, modified time.Time) error {
	return v.change("chtimes", name, func() error {
		e, err := v.lookup("chtimes", name)
		if err != nil {
			return err
		}
		if e.isDir() && e.first == v.root {
			return iofs.ErrInvalid
		}
		return v.update(e, func(raw []byte) { setModified(raw, modified) })
	})
}

// update changes the short entry of e.
func (v *FS) update(e entry, f func(raw []byte)) error {
	d, err := v.dirOf(e)
	if err != nil {
		return err
	}
	content := bytes.Clone(d.content)
	f(content[e.offset:e.end()])
	return v.store(d, content, e.offset, e.end())
}

// SetLabel gives the volume a label of up to 11 characters, or with "" none: in the root
// directory, and in the boot sector and its backup.
func (v *FS) SetLabel(label string) error {
	return v.change("label", label, func() error {
		raw, err := packLabel(label)
		if err != nil {
			return err
		}
		root, err := v.ownDir(v.root, origin{})
		if err != nil {
			return err
		}
		at := -1
		for off := 0; off < len(root.content) && root.content[off] != 0; off += entrySize {
			r := root.content[off:]
			if r[0] != deleted && r[11]&attrMask != attrLong && r[11]&attrVolume != 0 && r[11]&attrDir == 0 {
				at = off
				break
			}
		}
		switch {
		case at >= 0 && label == "":
			content := bytes.Clone(root.content)
			content[at] = deleted
			err = v.store(root, content, at, at+entrySize)
		case at >= 0:
			content := bytes.Clone(root.content)
			copy(content[at:], raw[:])
			setModified(content[at:], v.Clock())
			err = v.store(root, content, at, at+entrySize)
		case label != "":
			err = v.putRaw(root, appendEntry(nil, raw, attrVolume, 0, 0, v.Clock()))
		}
		if err != nil {
			return err
		}
		if label == "" {
			copy(raw[:], "NO NAME    ")
		}
		for _, at := range []int64{0, v.backup} {
			b := make([]byte, 512)
			if err := v.readAt(at, b); err != nil {
				return err
			}
			if b[66] != 0x29 || at > 0 && (b[510] != 0x55 || b[511] != 0xAA) {
				continue
			}
			copy(b[71:], raw[:])
			if err := v.writeAt(at, b); err != nil {
				return err
			}
			if err := v.dev.Flush(); err != nil { // never both at once
				return err
			}
		}
		v.label = label
		return nil
	})
}

// packLabel returns a label as it is written.
func packLabel(label string) (raw [11]byte, err error) {
	copy(raw[:], "           ")
	i := 0
	for _, r := range label {
		if i == len(raw) {
			return raw, fmt.Errorf("the label %q is longer than the 11 characters that FAT32 allows", label)
		}
		c, ok := fromCodePage(r)
		if !ok || badLabelChar(c) || i == 0 && c == ' ' || c >= 'a' && c <= 'z' {
			return raw, fmt.Errorf("the label %q has a character that FAT32 does not allow there; use capitals, digits and spaces", label)
		}
		raw[i] = c
		i++
	}
	if raw[0] == deleted {
		raw[0] = 0x05
	}
	return raw, nil
}

func badLabelChar(c byte) bool {
	return c < ' ' || c == 0x7F || bytes.IndexByte([]byte("\"*+,./:;<=>?[\\]|"), c) >= 0
}

// named returns the entries for a name in a directory that has content: those of its long name
// and raw with its short one.
func named(content []byte, label string, raw []byte) []byte {
	n := &node{label: label}
	n.nameIn(content)
	b := append(n.appendLong(nil), raw...)
	copy(b[len(b)-entrySize:], n.short[:])
	return b
}

// put gives a name in d to the short entry raw, whose own name does not count.
func (v *FS) put(d *dir, label string, raw []byte) error {
	return v.putRaw(d, named(d.content, label, raw))
}

// putNew is put for a file or directory that has new clusters, which are free again if there is
// no room for its name.
func (v *FS) putNew(d *dir, label string, raw []byte, runs []run) error {
	err := v.put(d, label, raw)
	if errors.Is(err, fs.ErrNoRoom) || errors.Is(err, errDirFull) {
		err = errors.Join(err, v.release(0, runs))
	}
	return err
}

// putRaw adds entries to a directory, all in one write.
func (v *FS) putRaw(d *dir, b []byte) error {
	k := len(b) / entrySize
	content := bytes.Clone(d.content)
	if at, end := slots(content, k, 0, len(content), atomicSize); at >= 0 {
		if lo := at &^ (atomicSize - 1); end < lo {
			if err := v.moveEnd(d, content, end, lo); err != nil {
				return err
			}
			end = lo
		}
		if next, _ := insert(content, at, end, b); next > at+len(b) { // an end behind the entries
			if err := v.writeUnit(d, content, next-1); err != nil {
				return err
			}
		}
		if err := v.writeUnit(d, content, at); err != nil {
			return err
		}
		v.learn(d, content)
		return nil
	}
	// A cluster that is not the first may have room and be replaced.
	if int(v.cluster) > atomicSize && len(content) > int(v.cluster) {
		if at, end := slots(content, k, int(v.cluster), len(content), int(v.cluster)); at >= 0 && at <= end {
			if next, ok := insert(content, at, end, b); ok && (next-1)/int(v.cluster) == at/int(v.cluster) {
				return v.store(d, content, min(at, end), next)
			}
			content = bytes.Clone(d.content)
		}
	}
	// A cluster more. In front of it there must be no end.
	need := (int64(len(b)) + v.cluster - 1) / v.cluster * v.cluster
	if int64(len(content))+need > maxDirBytes {
		return errDirFull
	}
	if _, end := slots(content, k, 0, 0, atomicSize); end < len(content) {
		if err := v.moveEnd(d, content, end, len(content)); err != nil {
			return err
		}
		v.learn(d, content)
		d = v.dirs[d.first]
	}
	fresh := make([]byte, need)
	copy(fresh, b)
	return v.recast(d, clustersIn(d.runs), clustersIn(d.runs), append(bytes.Clone(content), fresh...))
}

// moveEnd moves the end of a directory to where a sector begins. What was behind it means
// nothing, and goes first.
func (v *FS) moveEnd(d *dir, content []byte, end, to int) error {
	clear(content[end:])
	next := end&^(atomicSize-1) + atomicSize
	for off := len(content) - atomicSize; off >= next; off -= atomicSize {
		if bytes.Equal(content[off:off+atomicSize], d.content[off:off+atomicSize]) {
			continue
		}
		if err := v.writeUnit(d, content, off); err != nil {
			return err
		}
	}
	for off := end; off < to; off += entrySize {
		content[off] = deleted
	}
	for off := end &^ (atomicSize - 1); off < to; off += atomicSize {
		if err := v.writeUnit(d, content, off); err != nil {
			return err
		}
	}
	return nil
}

// slots returns where between lo and hi in a directory k entries in a row are free, all in one
// unit of so many bytes, or -1; and where the directory ends.
func slots(content []byte, k, lo, hi, unit int) (at, end int) {
	end = len(content)
	for off := 0; off < len(content); off += entrySize {
		if content[off] == 0 {
			end = off
			break
		}
	}
	free := 0
	for off := lo; off < hi; off += entrySize {
		if off%unit == 0 {
			free = 0
		}
		if free++; off < end && content[off] != deleted {
			free = 0
		}
		if free == k {
			return off - (k-1)*entrySize, end
		}
	}
	return -1, end
}

// insert puts entries into the content of a directory that ends at end. What follows a
// directory's end means nothing, so beyond it there has to be an end again, and no end before
// the entries. It returns how far it has changed the content, and whether that is in the
// sector of the entries.
func insert(content []byte, at, end int, b []byte) (next int, ok bool) {
	for off := end; off < at; off += entrySize {
		content[off] = deleted
	}
	copy(content[at:], b)
	next = at + len(b)
	if next > end && next < len(content) && content[next] != 0 {
		content[next] = 0
		return next + 1, next%atomicSize != 0
	}
	return next, true
}

// without returns the content of a directory without the entry e.
func without(content []byte, e entry) []byte {
	content = bytes.Clone(content)
	for off := e.begin; off < e.end(); off += entrySize {
		content[off] = deleted
	}
	return content
}

// store gives a directory other content, which differs from the old from byte from on to byte
// to. That is one write if it can be.
func (v *FS) store(d *dir, content []byte, from, to int) error {
	first, last := from&^(atomicSize-1), (to-1)&^(atomicSize-1)
	if first != last && int64(from) >= v.cluster {
		return v.recast(d, uint32(int64(from)/v.cluster), uint32(int64(to-1)/v.cluster)+1, content)
	}
	for off := last; off >= first; off -= atomicSize { // the last has the short name
		if err := v.writeUnit(d, content, off); err != nil {
			return err
		}
	}
	v.learn(d, content)
	return nil
}

// writeUnit writes the 512 bytes around a byte of a directory.
func (v *FS) writeUnit(d *dir, content []byte, off int) error {
	off &^= atomicSize - 1
	x := extent{v, d.runs, int64(len(content))}
	at, _ := x.piece(int64(off))
	if err := v.writeAt(at, content[off:off+atomicSize]); err != nil {
		return err
	}
	return v.dev.Flush()
}

// learn keeps what a directory holds now.
func (v *FS) learn(d *dir, content []byte) {
	n := parseDir(content, d.first)
	n.runs = d.runs
	if d.first == v.root && n.label != "" {
		v.label = n.label
	}
	v.keep(n)
}

// recast replaces the clusters [from,to) of a directory, none of which is its first, by fresh
// ones with what content has there and, if it is longer than the directory, at the end.
func (v *FS) recast(d *dir, from, to uint32, content []byte) error {
	more := uint32(int64(len(content))/v.cluster) - clustersIn(d.runs)
	head, rest := cutRuns(d.runs, from)
	old, tail := cutRuns(rest, to-from)
	fresh, err := v.alloc(to-from+more, lastOf(head))
	if err != nil {
		return err
	}
	b := content[int64(from)*v.cluster:][:int64(to-from+more)*v.cluster]
	for i, rest := 0, b; i < len(fresh); i++ {
		n := int64(fresh[i].count) * v.cluster
		if err := v.writeAt(v.dataAt+int64(fresh[i].first-2)*v.cluster, rest[:n]); err != nil {
			v.unreserve(fresh)
			return err
		}
		rest = rest[n:]
	}
	next := uint32(endOfChain)
	if len(tail) > 0 {
		next = tail[0].first
	}
	if err := v.claim(fresh, next); err != nil {
		return err
	}
	if err := v.dev.Flush(); err != nil {
		return err
	}
	if err := v.setEntry(lastOf(head), fresh[0].first); err != nil {
		return err
	}
	if err := v.dev.Flush(); err != nil {
		return err
	}
	runs := head
	for _, part := range [][]run{fresh, tail} {
		for _, r := range part {
			runs = appendRun(runs, r)
		}
	}
	for _, r := range old {
		for c := r.first; c < r.first+r.count; c++ {
			delete(v.owner, c)
		}
	}
	for _, r := range fresh {
		for c := r.first; c < r.first+r.count; c++ {
			v.owner[c] = d.first
		}
	}
	n := *d
	n.runs = runs
	v.learn(&n, content)
	return v.release(0, old)
}

// nameIn gives n its names in a directory.
func (n *node) nameIn(content []byte) {
	taken := map[[11]byte]bool{}
	for off := 0; off < len(content) && content[off] != 0; off += entrySize {
		if content[off] != deleted && content[off+11]&attrMask != attrLong {
			taken[[11]byte(content[off:])] = true
		}
	}
	short, fits, whole := plainShort(n.label)
	if !fits || taken[short] {
		short, whole = makeShort(n.label, taken), false
	}
	n.short = short
	if !whole {
		n.long = utf16.Encode([]rune(n.label))
	}
}

func setFirst(raw []byte, first uint32) {
	binary.LittleEndian.PutUint16(raw[20:], uint16(first>>16))
	binary.LittleEndian.PutUint16(raw[26:], uint16(first))
}

func setSize(raw []byte, size int64) { binary.LittleEndian.PutUint32(raw[28:], uint32(size)) }

func setModified(raw []byte, t time.Time) {
	date, clock := encodeTime(t)
	binary.LittleEndian.PutUint16(raw[18:], date) // read
	binary.LittleEndian.PutUint16(raw[22:], clock)
	binary.LittleEndian.PutUint16(raw[24:], date)
}
