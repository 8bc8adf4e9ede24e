package ext4

// Entries of directories put in and taken out. A directory of one block is a list; when that is full it gets a hash tree,
// whose leaves are such lists, of names between two hashes (fs/ext4/namei.c). A leaf that is full is divided at the
// middle of its hashes. On volumes without dir_index directories stay lists of as many blocks as they need.

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	kindFile = 1
	kindDir  = 2

	indexRootAt = 0x20 // where the entries of a hash tree's root are, and of a node
	indexNodeAt = 8
)

func kindOf(mode uint16) byte {
	return map[uint16]byte{modeFile: 1, modeDir: 2, modeChar: 3, modeBlock: 4, modeFIFO: 5, modeSocket: 6, modeLink: 7}[mode&modeType]
}

// putEntry writes an entry of a directory.
func putEntry(b []byte, at, length int, number uint32, kind byte, name string) {
	le := binary.LittleEndian
	e := b[at:]
	le.PutUint32(e, number)
	putLength(e, length)
	e[6], e[7] = byte(len(name)), kind
	copy(e[8:], name)
}

func putLength(e []byte, n int) {
	if n == maxBlock {
		n = 65535 // as its reader has it
	}
	binary.LittleEndian.PutUint16(e[4:], uint16(n))
}

// entrySize is how long an entry with a name of n bytes must be.
func entrySize(n int) int { return (8 + n + 3) &^ 3 }

// dirEnd is where in a block of a list the entries end.
func (v *FS) dirEnd() int {
	if v.is(roMetadataSum) {
		return int(v.block) - tailSize
	}
	return int(v.block)
}

// sealDir gives a block of a list its checksum.
func (v *FS) sealDir(d *inode, _ uint32, b []byte) {
	if !v.is(roMetadataSum) {
		return
	}
	le := binary.LittleEndian
	tail := b[len(b)-tailSize:]
	clear(tail)
	le.PutUint16(tail[4:], tailSize)
	le.PutUint16(tail[6:], 0xDE00)
	le.PutUint32(tail[8:], crc32c(d.seed, b[:len(b)-tailSize]))
}

// sealIndex gives a block of a hash tree, whose entries begin at byte at, its checksum.
func (v *FS) sealIndex(d *inode, at int, b []byte) {
	if !v.is(roMetadataSum) {
		return
	}
	le := binary.LittleEndian
	end := at + 8*int(le.Uint16(b[at+2:]))
	tail := at + 8*int(le.Uint16(b[at:]))
	clear(b[tail : tail+8])
	le.PutUint32(b[tail+4:], crc32cNumber(crc32c(crc32c(d.seed, b[:end]), b[tail:][:4]), 0))
}

// indexRoom is how many entries a block of a hash tree has room for behind byte at.
func (v *FS) indexRoom(at int) int {
	n := int(v.block) - at
	if v.is(roMetadataSum) {
		n -= 8
	}
	return n / 8
}

// editDir returns a block of a directory to be changed, after it was checked.
func (v *FS) editDir(d *inode, block uint32) ([]byte, error) {
	if _, err := v.dirBlock(d, block); err != nil {
		return nil, err
	}
	r, err := v.locate(d, uint64(block))
	if err == nil {
		err = v.mayHave(run{r.first, 1})
	}
	if err != nil {
		return nil, err
	}
	return v.edit(r.first)
}

// grow gives a directory another block, all zeros, and returns it with its number. d is as it is then.
func (v *FS) grow(d *inode) ([]byte, uint32, error) {
	list, nodes, err := v.extentsOf(d)
	if err != nil {
		return nil, 0, err
	}
	block := uint64(d.size / v.block)
	if block >= 1<<28 {
		return nil, 0, errors.New("the directory is full")
	}
	goal := v.groupStart(uint64(d.number-1) / uint64(v.inodesPerGroup))
	if len(list) > 0 {
		goal = list[len(list)-1].first + list[len(list)-1].count
	}
	at, b, err := v.newBlock(goal)
	if err != nil {
		return nil, 0, err
	}
	err = v.editInode(d.number, func(raw []byte) error {
		setSize(raw, d.size+v.block)
		if d.size == 0 || v.incompat&incompatLarge == 0 {
			binary.LittleEndian.PutUint32(raw[0x6C:], 0)
		}
		return v.setExtents(d.number, raw, list, append(slices.Clone(list), extent{block, 1, at, false}), nodes)
	})
	if err != nil {
		return nil, 0, err
	}
	n, err := v.readInode(d.number)
	if err != nil {
		return nil, 0, err
	}
	*d = *n
	return b, uint32(block), nil
}

// room puts an entry into a block of a list, and tells whether there was room.
func (v *FS) room(b []byte, number uint32, kind byte, name string) (bool, error) {
	need, end := entrySize(len(name)), v.dirEnd()
	for at := 0; at < end; {
		if end-at < 8 {
			return false, fmt.Errorf("an entry of the directory reaches beyond its block: %s", remedy)
		}
		e := b[at:]
		n := recordLength(e)
		used := entrySize(int(e[6]))
		if binary.LittleEndian.Uint32(e) == 0 {
			used = 0
		}
		if n < 8 || n%4 != 0 || at+n > end || used > n {
			return false, fmt.Errorf("an entry of the directory has no sensible length: %s", remedy)
		}
		if n-used >= need {
			if used > 0 {
				putLength(e, used)
			}
			clear(b[at+used : at+used+need])
			putEntry(b, at+used, n-used, number, kind, name)
			return true, nil
		}
		at += n
	}
	return false, nil
}

// insert puts a name into a directory, which has none like it.
func (v *FS) insert(dir uint32, name string, number uint32, kind byte) error {
	d, err := v.readInode(dir)
	if err != nil {
		return err
	}
	v.newWays()
	now := v.Clock()
	if v.indexed(d) {
		err = v.insertIndexed(d, name, number, kind)
	} else {
		err = v.insertLinear(d, name, number, kind)
	}
	if err != nil {
		return err
	}
	return v.editInode(dir, func(raw []byte) error {
		setTime(raw, "modified", now)
		setTime(raw, "changed", now)
		return nil
	})
}

func (v *FS) insertLinear(d *inode, name string, number uint32, kind byte) error {
	blocks, err := v.dirBlocks(d)
	if err != nil {
		return err
	}
	for block := range blocks {
		b, err := v.dirBlock(d, block)
		if err != nil {
			return err
		}
		// Most blocks are full: look before a copy is made.
		if !v.fits(b, len(name)) {
			continue
		}
		if b, err = v.editDir(d, block); err != nil {
			return err
		}
		if done, err := v.room(b, number, kind, name); err != nil || done {
			v.sealDir(d, block, b)
			return err
		}
	}
	if blocks == 1 && v.compat&compatIndex != 0 {
		if err := v.makeIndex(d); err != nil {
			return err
		}
		return v.insertIndexed(d, name, number, kind)
	}
	b, block, err := v.grow(d)
	if err != nil {
		return err
	}
	putEntry(b, 0, v.dirEnd(), number, kind, name)
	v.sealDir(d, block, b)
	return nil
}

// fits tells whether a block of a list has room for a name of n bytes.
func (v *FS) fits(b []byte, n int) bool {
	need, end := entrySize(n), v.dirEnd()
	for at := 0; at+8 <= end; {
		length, used := recordLength(b[at:]), entrySize(int(b[at+6]))
		if binary.LittleEndian.Uint32(b[at:]) == 0 {
			used = 0
		}
		if length < 8 || length-used >= need {
			return true
		}
		at += length
	}
	return false
}

// named is an entry with its hash.
type named struct {
	hash   uint32
	number uint32
	kind   byte
	name   string
}

// namesIn returns what a block of a list has, but for . and .., by hash.
func (v *FS) namesIn(b []byte, version byte) (list []named, err error) {
	if version <= hashTEA && v.hashUnsigned {
		version += unsigned
	}
	err = v.entries(b, func(number uint32, kind byte, name []byte, _ int) bool {
		if s := string(name); s != "." && s != ".." {
			h, _ := hashName(version, v.hashSeed, name)
			list = append(list, named{h, number, kind, s})
		}
		return true
	})
	slices.SortStableFunc(list, func(a, b named) int { return cmp.Compare(a.hash, b.hash) })
	return list, err
}

// putNames makes a block a list of these.
func (v *FS) putNames(d *inode, b []byte, block uint32, list []named) {
	clear(b)
	at, end := 0, v.dirEnd()
	for i, n := range list {
		length := entrySize(len(n.name))
		if i == len(list)-1 {
			length = end - at
		}
		putEntry(b, at, length, n.number, n.kind, n.name)
		at += length
	}
	if len(list) == 0 {
		putLength(b, end)
	}
	v.sealDir(d, block, b)
}

// makeIndex gives a directory of one block a hash tree: that block becomes its root, and what it has
// goes into another one.
func (v *FS) makeIndex(d *inode) error {
	le := binary.LittleEndian
	version := byte(v.hashVersion)
	b, err := v.editDir(d, 0)
	if err != nil {
		return err
	}
	list, err := v.namesIn(b, version)
	if err != nil {
		return err
	}
	above := le.Uint32(b[12:])
	err = v.editInode(d.number, func(raw []byte) error {
		le.PutUint32(raw[0x20:], le.Uint32(raw[0x20:])|flagIndex)
		return nil
	})
	if err != nil {
		return err
	}
	leaf, block, err := v.grow(d)
	if err != nil {
		return err
	}
	v.putNames(d, leaf, block, list)
	clear(b)
	putEntry(b, 0, 12, d.number, kindDir, ".")
	putEntry(b, 12, int(v.block)-12, above, kindDir, "..")
	b[0x1C], b[0x1D] = version, 8
	le.PutUint16(b[indexRootAt:], uint16(v.indexRoom(indexRootAt)))
	le.PutUint16(b[indexRootAt+2:], 1)
	le.PutUint32(b[indexRootAt+4:], block)
	v.sealIndex(d, indexRootAt, b)
	return nil
}

// indexStep is a block of a hash tree on the way to a leaf.
type indexStep struct {
	block uint32
	at    int // where its entries begin
	i     int // the one that leads on
}

// indexEntries returns the hashes and blocks of a block of a hash tree; the first hash is 0.
func (v *FS) indexEntries(b []byte, at int) (list [][2]uint32, err error) {
	le := binary.LittleEndian
	most, count := int(le.Uint16(b[at:])), int(le.Uint16(b[at+2:]))
	if count == 0 || count > most || most != v.indexRoom(at) {
		return nil, errIndex
	}
	for i := range count {
		e := [2]uint32{le.Uint32(b[at+8*i:]), le.Uint32(b[at+8*i+4:])}
		if i == 0 {
			e[0] = 0
		} else if e[0] < list[i-1][0] {
			return nil, errIndex
		}
		list = append(list, e)
	}
	return list, nil
}

func (v *FS) putIndex(d *inode, b []byte, at int, list [][2]uint32) {
	le := binary.LittleEndian
	for i, e := range list {
		if i > 0 {
			le.PutUint32(b[at+8*i:], e[0])
		}
		le.PutUint32(b[at+8*i+4:], e[1])
	}
	le.PutUint16(b[at:], uint16(v.indexRoom(at)))
	le.PutUint16(b[at+2:], uint16(len(list)))
	v.sealIndex(d, at, b)
}

func (v *FS) insertIndexed(d *inode, name string, number uint32, kind byte) error {
	for range 4 { // each time round a leaf, a node or the root was divided
		b, err := v.dirBlock(d, 0)
		if err != nil {
			return err
		}
		version, levels := b[0x1C], int(b[0x1E])
		hashVersion := version
		if hashVersion <= hashTEA && v.hashUnsigned {
			hashVersion += unsigned
		}
		hash, ok := hashName(hashVersion, v.hashSeed, []byte(name))
		if !ok || b[0x1D] != 8 || levels > 1 {
			return fmt.Errorf("%w: %s", errIndex, remedy)
		}
		way := []indexStep{{0, indexRootAt, 0}}
		var leaf uint32
		for level := 0; ; level++ {
			s := &way[level]
			list, err := v.indexEntries(b, s.at)
			if err != nil {
				return fmt.Errorf("%w: %s", err, remedy)
			}
			i, _ := slices.BinarySearchFunc(list, hash, func(e [2]uint32, h uint32) int {
				if e[0] <= h {
					return -1
				}
				return 1
			})
			s.i = i - 1
			leaf = list[s.i][1] & 0x0FFFFFFF
			if b, err = v.dirBlock(d, leaf); err != nil {
				return err
			}
			if level == levels {
				break
			}
			way = append(way, indexStep{leaf, indexNodeAt, 0})
		}
		if v.fits(b, len(name)) {
			if b, err = v.editDir(d, leaf); err != nil {
				return err
			}
			done, err := v.room(b, number, kind, name)
			v.sealDir(d, leaf, b)
			if err != nil || done {
				return err
			}
			return fmt.Errorf("%w: %s", errIndex, remedy)
		}
		if err := v.divide(d, way, leaf, version); err != nil {
			return err
		}
	}
	return errors.New("the directory is full: its names have too many hashes in common; move some of its files to another one")
}

// divide makes room below the way: of its lowest block that is full two are made, or of the leaf.
func (v *FS) divide(d *inode, way []indexStep, leaf uint32, version byte) error {
	last := way[len(way)-1]
	b, err := v.editDir(d, last.block)
	if err != nil {
		return err
	}
	list, err := v.indexEntries(b, last.at)
	if err != nil {
		return err
	}
	if len(list) < v.indexRoom(last.at) {
		// The leaf is divided, and the block above has room for another.
		old, err := v.editDir(d, leaf)
		if err != nil {
			return err
		}
		names, err := v.namesIn(old, version)
		if err != nil {
			return err
		}
		size, half := 0, 0
		for _, n := range names {
			size += entrySize(len(n.name))
		}
		for sum := 0; half < len(names)-1; half++ {
			if sum += entrySize(len(names[half].name)); sum > size/2 {
				break
			}
		}
		if half = max(half, 1); len(names) < 2 {
			return errors.New("the directory has a name that fills a block: no other fits")
		}
		from := names[half].hash
		if names[half-1].hash == from {
			from |= 1 // names of this hash are in both
		}
		fresh, block, err := v.grow(d)
		if err != nil {
			return err
		}
		v.putNames(d, fresh, block, names[half:])
		v.putNames(d, old, leaf, names[:half])
		v.putIndex(d, b, last.at, slices.Insert(list, last.i+1, [2]uint32{from, block}))
		return nil
	}
	if len(way) == 1 {
		// The root's entries go into a node below it.
		node, block, err := v.grow(d)
		if err != nil {
			return err
		}
		putLength(node, int(v.block))
		v.putIndex(d, node, indexNodeAt, list)
		b[0x1E] = 1
		v.putIndex(d, b, indexRootAt, [][2]uint32{{0, block}})
		return nil
	}
	root, err := v.editDir(d, 0)
	if err != nil {
		return err
	}
	above, err := v.indexEntries(root, indexRootAt)
	if err != nil {
		return err
	}
	if len(above) >= v.indexRoom(indexRootAt) {
		return errors.New("the directory is full; move some of its files to another one")
	}
	node, block, err := v.grow(d)
	if err != nil {
		return err
	}
	half := len(list) / 2
	putLength(node, int(v.block))
	v.putIndex(d, node, indexNodeAt, list[half:])
	v.putIndex(d, b, indexNodeAt, list[:half])
	v.putIndex(d, root, indexRootAt, slices.Insert(above, way[0].i+1, [2]uint32{list[half][0], block}))
	return nil
}

// take takes an entry out of a directory.
func (v *FS) take(d *inode, e entry) error {
	block := uint32(e.at / v.block)
	b, err := v.editDir(d, block)
	if err != nil {
		return err
	}
	in, before := int(e.at%v.block), -1
	for at := 0; at < in; at += recordLength(b[at:]) {
		before = at
	}
	clear(b[in+8 : in+8+int(b[in+6])]) // the name may be a secret
	if before < 0 {
		binary.LittleEndian.PutUint32(b[in:], 0)
	} else {
		putLength(b[before:], recordLength(b[before:])+recordLength(b[in:]))
	}
	v.sealDir(d, block, b)
	now := v.Clock()
	return v.editInode(d.number, func(raw []byte) error {
		setTime(raw, "modified", now)
		setTime(raw, "changed", now)
		return nil
	})
}

// point makes an entry of a directory lead to another inode.
func (v *FS) point(d *inode, e entry, to *inode) error {
	block := uint32(e.at / v.block)
	b, err := v.editDir(d, block)
	if err != nil {
		return err
	}
	x := b[e.at%v.block:]
	binary.LittleEndian.PutUint32(x, to.number)
	x[7] = kindOf(to.mode)
	if block == 0 && v.indexed(d) {
		v.sealIndex(d, indexRootAt, b)
	} else {
		v.sealDir(d, block, b)
	}
	return nil
}
