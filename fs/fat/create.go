package fat

// A new file, whole or not at all. This is the only place that changes tables and
// directories of a mounted volume.
//
// Its order keeps the volume sound whenever the power goes. The content goes first, into
// clusters that no file has; then the FATs say that they are taken, the one that counts last;
// then the directory gets the entry, all of it in one sector. Up to that last write the
// file is not there, and all that is left of it are clusters that nobody has, which any
// check of the volume frees; from then on it is whole. No cluster of another file is
// written, nor any other entry changed.

import (
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"time"
	"unicode/utf16"
)

const (
	atomicSize = 512 // what a medium writes as a whole, if anything
	deleted    = 0xE5
	attrFile   = 0x20 // to be archived, as new files are
)

var errNoRoom = errors.New("the volume has not enough free room in one piece")

// Create makes a file that holds content, in a directory that there is. The error wraps
// io/fs.ErrExist when there is something of that name.
func (v *FS) Create(name string, content []byte, now time.Time) error {
	return v.add(name, now, attrFile, len(content), func(uint32, uint32) []byte { return content })
}

// Mkdir makes an empty directory in one that there is, as Create makes a file.
func (v *FS) Mkdir(name string, now time.Time) error {
	return v.add(name, now, attrDir, 0, func(first, parent uint32) []byte {
		if parent == v.root {
			parent = 0 // as it is written in ".." entries
		}
		b := make([]byte, 0, v.cluster)
		b = appendEntry(b, pack(".", ""), attrDir, first, 0, now)
		b = appendEntry(b, pack("..", ""), attrDir, parent, 0, now)
		return b[:v.cluster]
	})
}

// Scratch returns a piece of the volume that no file has, of size bytes, for measuring how
// fast the medium is. What is written there is lost with the next Create.
func (v *FS) Scratch(size int64) (*InPlace, error) {
	if err := v.changeable(); err != nil {
		return nil, err
	}
	n := (size + v.cluster - 1) / v.cluster
	first, err := v.findFree(n)
	if err != nil {
		return nil, err
	}
	return &InPlace{path: "free room", x: extent{v, []run{{first, uint32(n), 0}}, size}}, nil
}

// changeable returns nil if the layout of the volume is known well enough.
func (v *FS) changeable() error {
	switch {
	case v.claimed > v.last:
		return errors.New("the volume is said to be longer than it is: nothing new is written on it")
	case v.cluster%v.block != 0 || v.dataAt%v.block != 0:
		return errors.New("the clusters of the volume are not whole blocks of the device: nothing new is written on it")
	}
	return nil
}

// add makes the file or directory name, whose content is told the first cluster of it and
// of its parent.
func (v *FS) add(name string, now time.Time, attr byte, size int, content func(first, parent uint32) []byte) error {
	v.changes.Lock()
	defer v.changes.Unlock()
	fail := func(err error) error { return &iofs.PathError{Op: "create", Path: name, Err: err} }
	if _, err := v.lookup("create", name); err == nil {
		return fail(iofs.ErrExist)
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	parent, err := v.lookup("create", path.Dir(name))
	if err != nil {
		return err
	}
	label := path.Base(name)
	if err := checkName(label); err != nil {
		return fail(err)
	}
	if !parent.isDir() {
		return fail(errNotDir)
	}
	if err := v.changeable(); err != nil {
		return fail(err)
	}
	d, err := v.openRaw(parent)
	if err != nil {
		return fail(err)
	}
	n := &node{label: label}
	n.nameIn(d.content)
	if d, err = v.roomFor(d, parent, n); err != nil {
		return fail(err)
	}
	first := uint32(0)
	if size > 0 || attr == attrDir {
		if first, err = v.fill(func(first uint32) []byte { return content(first, parent.first) }, int64(size)); err != nil {
			return fail(err)
		}
	}
	entries := appendEntry(n.appendLong(nil), n.short, attr, first, uint32(size), now)
	err = d.put(entries)
	v.mu.Lock()
	if old := v.dirs[parent.first]; old != nil {
		v.entries -= 1 + len(old.entries)
		delete(v.dirs, parent.first)
	}
	v.mu.Unlock()
	if err != nil {
		return fail(err)
	}
	return nil
}

// fill writes content, of size bytes (0: a cluster), into free clusters, and takes them.
func (v *FS) fill(content func(first uint32) []byte, size int64) (first uint32, err error) {
	n := max((size+v.cluster-1)/v.cluster, 1)
	if first, err = v.findFree(n); err != nil {
		return 0, err
	}
	b := content(first)
	whole := make([]byte, (int64(len(b))+v.block-1)/v.block*v.block)
	copy(whole, b)
	if err = v.writeAt(v.dataAt+int64(first-2)*v.cluster, whole); err != nil {
		return 0, err
	}
	if err = v.dev.Flush(); err != nil {
		return 0, err
	}
	return first, v.take(first, uint32(n))
}

// findFree returns the first of n neighbouring clusters that are free. It looks from where
// the volume says that it was last written on, since all before may be full.
func (v *FS) findFree(n int64) (uint32, error) {
	if n > int64(v.last)-1 {
		return 0, errNoRoom
	}
	hint := uint32(2)
	if _, info, ok := v.info(); ok {
		if h := binary.LittleEndian.Uint32(info[492:]); h >= 2 && h <= v.last {
			hint = h
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, part := range [][2]uint32{{hint, v.last}, {2, v.last}} {
		run := uint32(0)
		for c := part[0]; c <= part[1]; c++ {
			next, err := v.tableEntry(v.active, c)
			if err != nil {
				return 0, err
			}
			if run++; next != 0 {
				run = 0
			}
			if int64(run) < n {
				continue
			}
			first := c - run + 1
			if !v.freeInAll(first, c) {
				return 0, errors.New("the volume's FATs differ: check it with fsck.fat or the like")
			}
			return first, nil
		}
	}
	return 0, errNoRoom
}

func (v *FS) freeInAll(first, last uint32) bool {
	for copy := range v.copies {
		for c := first; v.mirrored && c <= last; c++ {
			if next, err := v.tableEntry(copy, c); err != nil || next != 0 {
				return false
			}
		}
	}
	return true
}

// tableEntry returns what a FAT says of a cluster.
func (v *FS) tableEntry(copy int, c uint32) (uint32, error) {
	index := int64(c) * 4 / chunkSize
	chunk, err := v.table(tableChunk{copy, index}, readChunks)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(chunk[int64(c)*4-index*chunkSize:]) & entryMask, nil
}

// take makes n free clusters one chain, and counts them.
func (v *FS) take(first, n uint32) error {
	next := make([]uint32, n)
	for i := range next {
		next[i] = first + uint32(i) + 1
	}
	next[n-1] = endOfChain
	if err := v.link(first, next); err != nil {
		return err
	}
	at, info, ok := v.info()
	if !ok {
		return nil
	}
	le := binary.LittleEndian
	if free := le.Uint32(info[488:]); free != 0xFFFFFFFF && free >= n {
		le.PutUint32(info[488:], free-n)
	}
	le.PutUint32(info[492:], first+n-1)
	return v.writeAt(at, info)
}

// link writes the entries of a FAT from that of the cluster first on, in all FATs, and
// returns when they are on the medium. Four bits of an entry are not ours.
func (v *FS) link(first uint32, next []uint32) error {
	le := binary.LittleEndian
	for copy := v.copies - 1; copy >= 0; copy-- { // if they mirror each other, the first counts
		if !v.mirrored && copy != v.active {
			continue
		}
		at := v.tableAt + int64(copy)*v.tableLen + 4*int64(first)
		b := make([]byte, 4*len(next))
		if err := v.readAt(at, b); err != nil {
			return err
		}
		for i, n := range next {
			le.PutUint32(b[4*i:], le.Uint32(b[4*i:])&^entryMask|n)
		}
		if err := v.writeAt(at, b); err != nil {
			return err
		}
	}
	v.mu.Lock()
	clear(v.tables)
	v.mu.Unlock()
	return v.dev.Flush()
}

// info returns the sector FSInfo, if there is one: how much is free, and where to look.
func (v *FS) info() (at int64, b []byte, ok bool) {
	le := binary.LittleEndian
	b = make([]byte, 512)
	if v.readAt(0, b) != nil {
		return 0, nil, false
	}
	n := int64(le.Uint16(b[48:]))
	at = n * v.sector
	if n == 0 || at+v.sector > v.tableAt || v.readAt(at, b) != nil {
		return 0, nil, false
	}
	return at, b, string(b[:4]) == "RRaA" && string(b[484:488]) == "rrAa" && b[510] == 0x55 && b[511] == 0xAA
}

// rawDir is a directory as it is on the medium.
type rawDir struct {
	extent
	content []byte
}

func (v *FS) openRaw(e entry) (*rawDir, error) {
	v.mu.Lock()
	runs, err := v.chain(e.first, uint32(min(max(maxDirBytes/v.cluster, 1), int64(v.last)-1)), false)
	v.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	clusters := int64(0)
	for _, r := range runs {
		clusters += int64(r.count)
	}
	d := &rawDir{extent: extent{v, runs, clusters * v.cluster}, content: make([]byte, clusters*v.cluster)}
	if _, err := d.readAt(d.content, 0); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	return d, nil
}

// roomFor makes sure that the directory d of the entry e has room for n in one sector: if it
// has none, it gets a cluster more.
func (v *FS) roomFor(d *rawDir, e entry, n *node) (*rawDir, error) {
	k := 1 + (len(n.long)+longUnits-1)/longUnits
	if k > atomicSize/entrySize {
		return nil, errors.New("the name is too long to be written at once")
	}
	if at, _ := slots(d.content, k); at >= 0 {
		return d, nil
	}
	if len(d.content)+int(v.cluster) > maxDirBytes {
		return nil, errors.New("the directory is full")
	}
	c, err := v.fill(func(uint32) []byte { return make([]byte, v.cluster) }, 0)
	if err != nil {
		return nil, err
	}
	r := d.runs[len(d.runs)-1]
	if err := v.link(r.first+r.count-1, []uint32{c}); err != nil {
		return nil, err
	}
	return v.openRaw(e)
}

// slots returns where in a directory k entries in a row are free, all in one sector, or -1;
// and where the directory ends.
func slots(content []byte, k int) (at, end int) {
	end = len(content)
	for off := 0; off < len(content); off += entrySize {
		if content[off] == 0 {
			end = off
			break
		}
	}
	free := 0
	for off := 0; off < len(content); off += entrySize {
		if off%atomicSize == 0 {
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

// put writes entries where slots finds room for them. What follows the directory's end
// means nothing, so beyond it there has to be an end again, and no end before the entries.
func (d *rawDir) put(entries []byte) error {
	at, end := slots(d.content, len(entries)/entrySize)
	next := at + len(entries)
	if next > end && next < len(d.content) && d.content[next] != 0 {
		if next%atomicSize == 0 {
			d.content[next] = 0
			if err := d.write(next); err != nil {
				return err
			}
		}
		d.content[next] = 0
	}
	copy(d.content[at:], entries)
	if err := d.write(at); err != nil {
		return err
	}
	if at <= end {
		return nil
	}
	for off := end; off < at; off += entrySize { // all in the sector before
		d.content[off] = deleted
	}
	return d.write(end)
}

// write writes the sector of the directory that holds the byte off.
func (d *rawDir) write(off int) error {
	off &^= atomicSize - 1
	at, _ := d.piece(int64(off))
	if err := d.v.writeAt(at, d.content[off:off+atomicSize]); err != nil {
		return err
	}
	return d.v.dev.Flush()
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
