package ext4

// Blocks and inodes that are free, as the bitmaps of the groups have it, and group descriptors.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sort"

	"alphaos/fs"
)

const (
	blockBitmapAt = 0x0 // in a group descriptor
	inodeBitmapAt = 0x4
	tableAt       = 0x8
	freeBlocksAt  = 0xC
	freeInodesAt  = 0xE
	usedDirsAt    = 0x10
	groupFlagsAt  = 0x12
	unusedAt      = 0x1C

	groupInodesUninit = 1
	groupBlocksUninit = 2
)

// descriptor returns a group's descriptor, to be read.
func (v *FS) descriptor(g uint64) ([]byte, error) {
	per := uint64(v.block / v.descSize)
	b, err := v.metadata(v.descriptorsAt(g / per)[0], int64(g%per)*v.descSize, v.descSize)
	if err == nil && !v.descriptorAgrees(g, b) {
		err = fmt.Errorf("the descriptor of block group %d does not match its checksum: %s", g, remedy)
	}
	return b, err
}

// changeGroup changes a group's descriptor.
func (v *FS) changeGroup(g uint64, f func(d []byte)) error {
	if _, err := v.descriptor(g); err != nil {
		return err
	}
	per := uint64(v.block / v.descSize)
	b, err := v.edit(v.descriptorsAt(g / per)[0])
	if err != nil {
		return err
	}
	d := b[int64(g%per)*v.descSize:][:v.descSize]
	f(d)
	le := binary.LittleEndian
	number := le.AppendUint32(nil, uint32(g))
	switch {
	case v.is(roMetadataSum):
		le.PutUint16(d[0x1E:], uint16(crc32cHole(crc32c(v.seed, number), d, 0x1E, 2)))
	case v.is(roGroupSum):
		le.PutUint16(d[0x1E:], crc16(crc16(crc16(crc16(^uint16(0), v.uuid), number), d[:0x1E]), d[0x20:]))
	}
	return nil
}

// wide returns a number of a descriptor whose upper 16 bits are in its second half.
func (v *FS) wide(d []byte, low, high int) uint64 {
	n := uint64(binary.LittleEndian.Uint16(d[low:]))
	if v.descSize >= 64 {
		n |= uint64(binary.LittleEndian.Uint16(d[high:])) << 16
	}
	return n
}

func (v *FS) setWide(d []byte, low, high int, n uint64) {
	binary.LittleEndian.PutUint16(d[low:], uint16(n))
	if v.descSize >= 64 {
		binary.LittleEndian.PutUint16(d[high:], uint16(n>>16))
	}
}

// place returns the block that a descriptor names.
func (v *FS) place(d []byte, low int) (uint64, error) {
	n := uint64(binary.LittleEndian.Uint32(d[low:]))
	if v.descSize >= 64 {
		n |= uint64(binary.LittleEndian.Uint32(d[low+0x20:])) << 32
	}
	if n <= v.first || n >= v.blocks {
		return 0, fmt.Errorf("a block group's bitmaps are said to be in block %d of %d: %s", n, v.blocks, remedy)
	}
	return n, nil
}

func (s *super) groupStart(g uint64) uint64 { return s.first + g*s.perGroup }

// groupBlocks returns how many blocks a group has.
func (s *super) groupBlocks(g uint64) uint64 { return min(s.perGroup, s.blocks-s.groupStart(g)) }

// lazy tells whether a group's bitmap may be unwritten; the flags count only where descriptors have checksums.
func (v *FS) lazy(d []byte, flag uint16) bool {
	return v.is(roMetadataSum|roGroupSum) && binary.LittleEndian.Uint16(d[groupFlagsAt:])&flag != 0
}

// blockBitmap returns a group's bitmap of blocks, to be read.
func (v *FS) blockBitmap(g uint64) ([]byte, error) {
	d, err := v.descriptor(g)
	if err != nil {
		return nil, err
	}
	at, err := v.place(d, blockBitmapAt)
	if err != nil {
		return nil, err
	}
	if v.lazy(d, groupBlocksUninit) {
		return v.firstBitmap(g, d)
	}
	b, err := v.metadata(at, 0, v.block)
	if err == nil && !v.bitmapAgrees(d, 0x18, 0x38, b[:v.perGroup/8]) {
		err = fmt.Errorf("the bitmap of block group %d does not match its checksum: %s", g, remedy)
	}
	return b, err
}

func (v *FS) bitmapAgrees(d []byte, low, high int, b []byte) bool {
	if !v.is(roMetadataSum) {
		return true
	}
	crc := crc32c(v.seed, b)
	return uint16(crc) == binary.LittleEndian.Uint16(d[low:]) && (v.descSize < 64 || uint16(crc>>16) == binary.LittleEndian.Uint16(d[high:]))
}

func (v *FS) sealBitmap(d []byte, low, high int, b []byte) {
	if v.is(roMetadataSum) {
		v.setWide(d, low, high, uint64(crc32c(v.seed, b)))
	}
}

// firstBitmap is what the bitmap of a group is in which nothing was ever set: its copies of superblock and
// descriptors, and what of its own bitmaps and inodes lies in it.
func (v *FS) firstBitmap(g uint64, d []byte) ([]byte, error) {
	b := make([]byte, v.block)
	start, count := v.groupStart(g), v.groupBlocks(g)
	set := func(at, n uint64) {
		for ; n > 0; at, n = at+1, n-1 {
			if at >= start && at < start+count {
				b[(at-start)/8] |= 1 << ((at - start) % 8)
			}
		}
	}
	set(start, v.copies(g))
	for _, p := range []int{blockBitmapAt, inodeBitmapAt, tableAt} {
		at, err := v.place(d, p)
		if err != nil {
			return nil, err
		}
		n := uint64(1)
		if p == tableAt {
			n = (uint64(v.inodesPerGroup)*uint64(v.inodeSize) + uint64(v.block) - 1) / uint64(v.block)
		}
		set(at, n)
	}
	pad(b, count)
	return b, nil
}

// pad sets the bits of a bitmap behind the first n.
func pad(b []byte, n uint64) {
	for ; n%8 != 0; n++ {
		b[n/8] |= 1 << (n % 8)
	}
	for i := n / 8; i < uint64(len(b)); i++ {
		b[i] = 0xFF
	}
}

func bit(b []byte, i uint64) bool { return b[i/8]&(1<<(i%8)) != 0 }

// taken returns which blocks of a group can't be had: those in the bitmap, those that are meant for a file,
// those that the change under way frees, and whatever the bitmap says those of the file system's own.
func (v *FS) taken(g uint64) ([]byte, error) {
	if b := v.bitmaps[g]; b != nil {
		return b, nil
	}
	b, err := v.blockBitmap(g)
	if err != nil {
		return nil, err
	}
	b = bytes.Clone(b)
	zones, _ := v.zones()
	start, end := v.groupStart(g), v.groupStart(g)+v.groupBlocks(g)
	for i := sort.Search(len(zones), func(i int) bool { return zones[i].first+zones[i].count > start }); i < len(zones) && zones[i].first < end; i++ {
		for k := max(start, zones[i].first); k < min(end, zones[i].first+zones[i].count); k++ {
			b[(k-start)/8] |= 1 << ((k - start) % 8)
		}
	}
	v.bitmaps[g] = b
	return b, nil
}

// reserve finds up to want free neighbours, near the block goal if there are any, which nobody else gets then.
func (v *FS) reserve(goal, want uint64) (run, error) {
	if goal < v.first || goal >= v.blocks {
		goal = v.first
	}
	near := (goal - v.first) / v.perGroup
	for _, least := range []uint64{min(want, 2048), min(want, 64), 1} {
		for i := range v.groups {
			g := (near + i) % v.groups
			d, err := v.descriptor(g)
			if err != nil {
				return run{}, err
			}
			if v.wide(d, freeBlocksAt, 0x2C) < least {
				continue
			}
			b, err := v.taken(g)
			if err != nil {
				return run{}, err
			}
			from := uint64(0)
			if i == 0 {
				from = goal - v.groupStart(g)
			}
			at, n := findFree(b, v.groupBlocks(g), from, least, want)
			if n == 0 && from > 0 {
				at, n = findFree(b, v.groupBlocks(g), 0, least, want)
			}
			if n > 0 {
				for k := at; k < at+n; k++ {
					b[k/8] |= 1 << (k % 8)
				}
				return run{v.groupStart(g) + at, n}, nil
			}
		}
		if least == 1 {
			break
		}
	}
	return run{}, fs.ErrNoRoom
}

// findFree finds from to most bits that are not set, of the first n of b, from bit at on.
func findFree(b []byte, n, at, least, most uint64) (first, count uint64) {
	for at < n {
		if at%8 == 0 && b[at/8] == 0xFF {
			at += 8
			continue
		}
		if bit(b, at) {
			at++
			continue
		}
		first = at
		for at < n && at-first < most && !bit(b, at) {
			at++
		}
		if at-first >= least {
			return first, at - first
		}
	}
	return 0, 0
}

// release lets others have blocks.
func (v *FS) release(r run) {
	for ; r.count > 0; r.first, r.count = r.first+1, r.count-1 {
		g := (r.first - v.first) / v.perGroup
		if b := v.bitmaps[g]; b != nil {
			i := r.first - v.groupStart(g)
			b[i/8] &^= 1 << (i % 8)
		}
	}
}

// mark sets or clears blocks in the bitmaps.
func (v *FS) mark(r run, used bool) error {
	for r.count > 0 {
		if r.first < v.first || r.first >= v.blocks {
			return fmt.Errorf("block %d of %d does not exist: %s", r.first, v.blocks, remedy)
		}
		g := (r.first - v.first) / v.perGroup
		if _, err := v.taken(g); err != nil { // as it is before the change
			return err
		}
		was, err := v.blockBitmap(g)
		if err != nil {
			return err
		}
		d, err := v.descriptor(g)
		if err != nil {
			return err
		}
		at, err := v.place(d, blockBitmapAt)
		if err != nil {
			return err
		}
		b := v.tx.blocks[at]
		if b == nil {
			b = bytes.Clone(was)
			v.tx.blocks[at] = b
		}
		from := r.first - v.groupStart(g)
		n := min(r.count, v.groupBlocks(g)-from)
		for i := from; i < from+n; i++ {
			if bit(b, i) == used {
				return fmt.Errorf("block %d is used and free at once: %s", v.groupStart(g)+i, remedy)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		err = v.changeGroup(g, func(d []byte) {
			free := v.wide(d, freeBlocksAt, 0x2C)
			if used {
				free -= n
				v.tx.free -= int64(n)
			} else {
				free += n
				v.tx.free += int64(n)
			}
			v.setWide(d, freeBlocksAt, 0x2C, free)
			binary.LittleEndian.PutUint16(d[groupFlagsAt:], binary.LittleEndian.Uint16(d[groupFlagsAt:])&^groupBlocksUninit)
			v.sealBitmap(d, 0x18, 0x38, b[:v.perGroup/8])
		})
		if err != nil {
			return err
		}
		r.first, r.count = r.first+n, r.count-n
	}
	return nil
}

// free gives blocks back; meta tells that they held metadata.
func (v *FS) free(r run, meta bool) error {
	if err := v.mark(r, false); err != nil {
		return err
	}
	v.tx.gave = append(v.tx.gave, r)
	if meta {
		for b := r.first; b < r.first+r.count; b++ {
			delete(v.tx.blocks, b)
			v.tx.revoked[b] = true
		}
	}
	return nil
}

// newBlock takes a block for metadata, near another one.
func (v *FS) newBlock(goal uint64) (uint64, []byte, error) {
	r, err := v.reserve(goal, 1)
	if err != nil {
		return 0, nil, err
	}
	v.tx.took = append(v.tx.took, r)
	if err := v.mark(r, true); err != nil {
		return 0, nil, err
	}
	return r.first, v.blank(r.first), nil
}

// inodeBitmap returns a group's bitmap of inodes to be changed.
func (v *FS) inodeBitmap(g uint64) (b []byte, err error) {
	d, err := v.descriptor(g)
	if err != nil {
		return nil, err
	}
	at, err := v.place(d, inodeBitmapAt)
	if err != nil {
		return nil, err
	}
	if v.lazy(d, groupInodesUninit) {
		b = v.blank(at)
		pad(b, uint64(v.inodesPerGroup))
		return b, nil
	}
	if b, err = v.edit(at); err == nil && !v.bitmapAgrees(d, 0x1A, 0x3A, b[:v.inodesPerGroup/8]) {
		err = fmt.Errorf("the inodes' bitmap of block group %d does not match its checksum: %s", g, remedy)
	}
	return b, err
}

// newInode takes an inode, in the group of another one if there is any, and returns where its bytes are, all zeros.
func (v *FS) newInode(near uint32, dir bool) (number uint32, raw []byte, err error) {
	for i := range v.groups {
		g := (uint64(near-1)/uint64(v.inodesPerGroup) + i) % v.groups
		d, err := v.descriptor(g)
		if err != nil {
			return 0, nil, err
		}
		if v.wide(d, freeInodesAt, 0x2E) == 0 {
			continue
		}
		b, err := v.inodeBitmap(g)
		if err != nil {
			return 0, nil, err
		}
		from := uint64(0)
		if g == 0 {
			from = uint64(v.firstInode) - 1
		}
		at, n := findFree(b, uint64(v.inodesPerGroup), from, 1, 1)
		if n == 0 {
			continue
		}
		b[at/8] |= 1 << (at % 8)
		v.tx.inodes--
		err = v.changeGroup(g, func(d []byte) {
			v.setWide(d, freeInodesAt, 0x2E, v.wide(d, freeInodesAt, 0x2E)-1)
			if dir {
				v.setWide(d, usedDirsAt, 0x30, v.wide(d, usedDirsAt, 0x30)+1)
			}
			if v.is(roMetadataSum | roGroupSum) {
				v.setWide(d, unusedAt, 0x32, min(v.wide(d, unusedAt, 0x32), uint64(v.inodesPerGroup)-at-1))
				if v.lazy(d, groupInodesUninit) {
					v.setWide(d, unusedAt, 0x32, uint64(v.inodesPerGroup)-at-1)
				}
			}
			binary.LittleEndian.PutUint16(d[groupFlagsAt:], binary.LittleEndian.Uint16(d[groupFlagsAt:])&^groupInodesUninit)
			v.sealBitmap(d, 0x1A, 0x3A, b[:v.inodesPerGroup/8])
		})
		if err != nil {
			return 0, nil, err
		}
		number = uint32(g*uint64(v.inodesPerGroup) + at + 1)
		raw, err = v.rawInode(number)
		if err != nil {
			return 0, nil, err
		}
		clear(raw)
		binary.LittleEndian.PutUint32(raw[0x64:], rand.Uint32())
		return number, raw, nil
	}
	return 0, nil, fmt.Errorf("the volume has no inode left for another file: %w", fs.ErrNoRoom)
}

// freeInode gives an inode back.
func (v *FS) freeInode(number uint32, dir bool) error {
	g, at := uint64(number-1)/uint64(v.inodesPerGroup), uint64(number-1)%uint64(v.inodesPerGroup)
	b, err := v.inodeBitmap(g)
	if err != nil {
		return err
	}
	if !bit(b, at) {
		return fmt.Errorf("inode %d is used and free at once: %s", number, remedy)
	}
	b[at/8] &^= 1 << (at % 8)
	v.tx.inodes++
	return v.changeGroup(g, func(d []byte) {
		v.setWide(d, freeInodesAt, 0x2E, v.wide(d, freeInodesAt, 0x2E)+1)
		if dir {
			v.setWide(d, usedDirsAt, 0x30, v.wide(d, usedDirsAt, 0x30)-1)
		}
		v.sealBitmap(d, 0x1A, 0x3A, b[:v.inodesPerGroup/8])
	})
}

// rawInode returns the bytes of an inode to be changed; sealInode must follow.
func (v *FS) rawInode(number uint32) ([]byte, error) {
	group, index := uint64(number-1)/uint64(v.inodesPerGroup), int64((number-1)%v.inodesPerGroup)
	d, err := v.descriptor(group)
	if err != nil {
		return nil, err
	}
	table, err := v.place(d, tableAt)
	if err != nil {
		return nil, err
	}
	b, err := v.edit(table + uint64(index*v.inodeSize/v.block))
	if err != nil {
		return nil, err
	}
	return b[index*v.inodeSize%v.block:][:v.inodeSize], nil
}

// sealInode gives an inode its checksum.
func (v *FS) sealInode(number uint32, raw []byte) {
	if !v.is(roMetadataSum) {
		return
	}
	le := binary.LittleEndian
	crc := crc32cHole(crc32cNumber(crc32cNumber(v.seed, number), le.Uint32(raw[0x64:])), raw[:128], 0x7C, 2)
	if len(raw) > 128 && le.Uint16(raw[0x80:]) >= 4 {
		crc = crc32cHole(crc, raw[128:], 2, 2)
		le.PutUint16(raw[0x82:], uint16(crc>>16))
	} else {
		crc = crc32c(crc, raw[128:])
	}
	le.PutUint16(raw[0x7C:], uint16(crc))
}

// Free returns the bytes that files can have; a part of what is said to be free the volume keeps for the administrator.
func (v *FS) Free() (int64, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.freeBlocks()
	return int64(n) * v.block, err
}

// freeBlocks counts the blocks that no file has.
func (v *FS) freeBlocks() (n uint64, err error) {
	for g := range v.groups {
		d, err := v.descriptor(g)
		if err != nil {
			return 0, err
		}
		n += v.wide(d, freeBlocksAt, 0x2C)
	}
	return n, nil
}
