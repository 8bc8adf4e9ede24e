package ext4

// A fresh volume. It is as mkfs.ext4 makes one, but for what only spreads and resizes it: each group has its own bitmaps and inodes (no flex_bg),
// and no room is kept for more groups (no resize_inode). Groups in which nothing is yet are marked so, and nothing is written there.

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// Format says what a fresh volume is like.
type Format struct {
	Label string // up to 16 bytes
	UUID  [16]byte
	Time  time.Time
}

const (
	formatInode   = 256
	formatDesc    = 64
	smallVolume   = 512 << 20 // bytes; below, blocks have 1 KiB, so that there are several groups, and backups of the superblock
	bytesPerInode = 16384
	journalInode  = 8
	lostFound     = 11
)

// LeastSize returns the bytes of the smallest volume that is made on a medium with such sectors: one that has a backup of its superblock.
func LeastSize(sector int64) int64 {
	if sector > 1024 {
		return 136 << 20
	}
	return 16 << 20
}

// formatting is a volume that is being made.
type formatting struct {
	super
	vol                *readfs.Bytes
	table, descriptors uint64 // blocks, of a group's inodes and of all descriptors
	journalBlocks      uint64
}

// begin plans a volume of size bytes.
func (f *formatting) begin(size, sector int64) error {
	if least := LeastSize(sector); size < least {
		return fmt.Errorf("a volume of %d bytes is too small for ext4, which needs %d", size, least)
	}
	f.block = 4096
	if size < smallVolume && sector <= 1024 {
		f.block, f.first = 1024, 1
	}
	f.blocks, f.perGroup, f.inodeSize, f.descSize = uint64(size/f.block), uint64(8*f.block), formatInode, formatDesc
	f.compat, f.incompat, f.roCompat = compatJournal|0x8|compatIndex, incompatType|0x40|incompat64, roSparseSuper|0x2|0x8|0x20|0x40|roMetadataSum
	block := uint64(f.block)
	perBlock := max(8, block/formatInode) // or two blocks, since bitmaps count in bytes
	for {
		f.groups = (f.blocks - f.first + f.perGroup - 1) / f.perGroup
		f.inodesPerGroup = uint32((f.blocks*block/bytesPerInode/f.groups + perBlock - 1) / perBlock * perBlock)
		f.table = uint64(f.inodesPerGroup) * formatInode / block
		f.descriptors = (f.groups*formatDesc + block - 1) / block
		last := f.groupBlocks(f.groups - 1)
		if f.groups == 1 || last >= f.meta(f.groups-1)+64 { // else the last group is left out
			break
		}
		f.blocks -= last
	}
	if f.inodes = uint32(f.groups * uint64(f.inodesPerGroup)); uint64(f.inodes) != f.groups*uint64(f.inodesPerGroup) || f.blocks >= 1<<40 {
		return fmt.Errorf("a volume of %d bytes is too large", size)
	}
	switch {
	case f.block == 1024:
		f.journalBlocks = 4 << 10 // half of the first group
	case f.blocks < 256<<10:
		f.journalBlocks = 4 << 10
	case f.blocks < 512<<10:
		f.journalBlocks = 8 << 10
	default:
		f.journalBlocks = 16 << 10
	}
	return nil
}

// meta is how many blocks of a group are taken from the beginning.
func (f *formatting) meta(g uint64) uint64 {
	n := 2 + f.table
	if f.hasSuper(g) {
		n += 1 + f.descriptors
	}
	return n
}

// used is how many blocks of a group are, with root, lost+found and the journal in the first.
func (f *formatting) used(g uint64) uint64 {
	n := f.meta(g)
	if g == 0 {
		n += 2 + f.journalBlocks
	}
	return n
}

// Overhead is how many of a fresh volume's size bytes no file can have.
func Overhead(size, sector int64) int64 {
	var f formatting
	if f.begin(size, sector) != nil {
		return size
	}
	n := uint64(0)
	for g := range f.groups {
		n += f.used(g)
	}
	return size - int64(f.blocks-f.first-n)*f.block
}

// Write makes the volume, empty, on all of dev.
func (o Format) Write(dev fs.BlockDevice) error {
	if len(o.Label) > 16 {
		return fmt.Errorf("the label %q is too long: ext4 has 16 bytes for it", o.Label)
	}
	vol, err := readfs.New(dev)
	if err != nil {
		return err
	}
	f := &formatting{vol: vol}
	if err := f.begin(vol.Size(), int64(dev.BlockSize())); err != nil {
		return err
	}
	if o.Time.Year() < 1970 || o.Time.Year() > 2105 { // e2fsck minds times to come
		o.Time = time.Unix(0, 0)
	}
	f.uuid, f.label = o.UUID[:], o.Label
	f.seed = crc32c(^uint32(0), f.uuid)
	v := &FS{super: f.super} // for the checksums
	le := binary.LittleEndian
	block := func(n uint64) []byte { return make([]byte, n*uint64(f.block)) }
	put := func(at uint64, b []byte) error { return vol.Write(b, int64(at)*f.block) }
	stamp := uint32(o.Time.Unix())

	// Descriptors, and the bitmaps of the groups of which not all is said by their flags.
	descriptors := block(f.descriptors)
	free := uint64(0)
	for g := range f.groups {
		d := descriptors[g*formatDesc:][:formatDesc]
		start, count := f.groupStart(g), f.groupBlocks(g)
		at := start + f.meta(g) - 2 - f.table
		for i, low := range []int{blockBitmapAt, inodeBitmapAt, tableAt} {
			le.PutUint32(d[low:], uint32(at+uint64(i)))
			le.PutUint32(d[low+0x20:], uint32((at+uint64(i))>>32))
		}
		free += count - f.used(g)
		v.setWide(d, freeBlocksAt, 0x2C, count-f.used(g))
		v.setWide(d, freeInodesAt, 0x2E, uint64(f.inodesPerGroup))
		v.setWide(d, unusedAt, 0x32, uint64(f.inodesPerGroup))
		flags := uint16(groupInodesUninit)
		if g == 0 {
			flags = 0x4 // its inodes are zeros
			v.setWide(d, freeInodesAt, 0x2E, uint64(f.inodesPerGroup)-lostFound)
			v.setWide(d, unusedAt, 0x32, uint64(f.inodesPerGroup)-lostFound)
			v.setWide(d, usedDirsAt, 0x30, 2)
			b := block(1)
			for i := range uint64(lostFound) {
				b[i/8] |= 1 << (i % 8)
			}
			pad(b, uint64(f.inodesPerGroup))
			v.sealBitmap(d, 0x1A, 0x3A, b[:f.inodesPerGroup/8])
			if err := put(at+1, b); err != nil {
				return err
			}
		}
		if g > 0 && g < f.groups-1 {
			flags |= groupBlocksUninit
		} else {
			b := block(1)
			for i := range f.used(g) {
				b[i/8] |= 1 << (i % 8)
			}
			pad(b, count)
			v.sealBitmap(d, 0x18, 0x38, b[:f.perGroup/8])
			if err := put(at, b); err != nil {
				return err
			}
		}
		le.PutUint16(d[groupFlagsAt:], flags)
		le.PutUint16(d[0x1E:], uint16(crc32cHole(crc32c(v.seed, le.AppendUint32(nil, uint32(g))), d, 0x1E, 2)))
	}

	// Inodes of the root, of lost+found and of the journal.
	root := f.first + f.meta(0)
	inodes := block(f.table)
	node := func(number uint32, mode, links uint16, at, n uint64) []byte {
		raw := inodes[uint64(number-1)*formatInode:][:formatInode]
		le.PutUint16(raw[0:], mode)
		le.PutUint16(raw[0x1A:], links)
		le.PutUint16(raw[0x80:], 32)
		for which := range inodeTimes {
			setTime(raw, which, o.Time)
		}
		setSize(raw, int64(n)*f.block)
		le.PutUint32(raw[0x1C:], uint32(int64(n)*f.block/512))
		le.PutUint32(raw[0x20:], flagExtents)
		m := raw[0x28:]
		le.PutUint16(m[0:], extentMagic)
		le.PutUint16(m[2:], 1)
		le.PutUint16(m[4:], 4)
		e := encodeExtent(extent{0, n, at, false})
		copy(m[extentSize:], e[:])
		v.sealInode(number, raw)
		return raw
	}
	node(rootInode, modeDir|0o755, 3, root, 1)
	node(lostFound, modeDir|0o700, 2, root+1, 1)
	journal := node(journalInode, modeFile|0o600, 1, root+2, f.journalBlocks)
	if err := put(root-f.table, inodes); err != nil {
		return err
	}
	dirs := block(2)
	for i, names := range [][]named{{{number: rootInode, name: "."}, {number: rootInode, name: ".."}, {number: lostFound, name: "lost+found"}}, {{number: lostFound, name: "."}, {number: rootInode, name: ".."}}} {
		b := dirs[int64(i)*f.block:][:f.block]
		for k := range names {
			names[k].kind = kindDir
		}
		v.putNames(&inode{seed: crc32cNumber(crc32cNumber(v.seed, names[0].number), 0)}, b, 0, names)
	}
	if err := put(root, dirs); err != nil {
		return err
	}

	// The journal: zeros, and a superblock that says so.
	const piece = 256
	for at := uint64(0); at < f.journalBlocks; at += piece {
		b := block(piece)
		if at == 0 {
			be := binary.BigEndian
			copy(b, journalMagic)
			be.PutUint32(b[4:], journalSuper2)
			be.PutUint32(b[0xC:], uint32(f.block))
			be.PutUint32(b[0x10:], uint32(f.journalBlocks))
			be.PutUint32(b[0x14:], 1)
			be.PutUint32(b[0x18:], 1)
			copy(b[0x30:], f.uuid)
			be.PutUint32(b[0x40:], 1)
		}
		if err := put(root+2+at, b); err != nil {
			return err
		}
	}

	s := make([]byte, superSize)
	le.PutUint32(s[0:], f.inodes)
	le.PutUint32(s[4:], uint32(f.blocks))
	le.PutUint32(s[0x150:], uint32(f.blocks>>32))
	v.putCounts(s, int64(free), int64(f.inodes)-lostFound)
	le.PutUint32(s[0x14:], uint32(f.first))
	log := uint32(bits.TrailingZeros64(uint64(f.block) >> 10))
	le.PutUint32(s[0x18:], log) // blocks of 1 KiB << log
	le.PutUint32(s[0x1C:], log)
	le.PutUint32(s[0x20:], uint32(f.perGroup))
	le.PutUint32(s[0x24:], uint32(f.perGroup))
	le.PutUint32(s[0x28:], f.inodesPerGroup)
	le.PutUint32(s[0x30:], stamp)
	le.PutUint16(s[0x36:], 0xFFFF) // no check after so many mounts
	le.PutUint16(s[0x38:], 0xEF53)
	le.PutUint16(s[0x3A:], 1) // clean
	le.PutUint16(s[0x3C:], 1) // go on after errors
	le.PutUint32(s[0x40:], stamp)
	le.PutUint32(s[0x4C:], 1) // the revision with features
	le.PutUint32(s[0x54:], lostFound)
	le.PutUint16(s[0x58:], formatInode)
	le.PutUint32(s[0x5C:], f.compat)
	le.PutUint32(s[0x60:], f.incompat)
	le.PutUint32(s[0x64:], f.roCompat)
	copy(s[0x68:], f.uuid)
	copy(s[0x78:], f.label)
	le.PutUint32(s[0xE0:], journalInode)
	for i := range 4 {
		le.PutUint32(s[0xEC+4*i:], crc32cNumber(f.seed, uint32(i)))
	}
	s[0xFC] = hashHalfMD4
	s[0xFD] = 1 // what the journal's inode says follows
	copy(s[0x10C:], journal[0x28:0x28+60])
	le.PutUint32(s[0x10C+64:], uint32(int64(f.journalBlocks)*f.block))
	le.PutUint16(s[0xFE:], formatDesc)
	le.PutUint32(s[0x100:], 0xC) // user_xattr, acl
	le.PutUint32(s[0x108:], stamp)
	le.PutUint16(s[0x15C:], 32)
	le.PutUint16(s[0x15E:], 32)
	le.PutUint32(s[0x160:], 1) // names are hashed as signed characters
	s[0x175] = 1               // CRC-32C
	for g := f.groups; g > 0; {
		g--
		if !f.hasSuper(g) {
			continue
		}
		le.PutUint16(s[0x5A:], uint16(g))
		v.sealSuper(s)
		b := block(1 + f.descriptors)
		if g == 0 {
			copy(b[superAt%f.block:], s)
		} else {
			copy(b, s)
		}
		copy(b[f.block:], descriptors)
		if g == 0 && f.first == 1 { // a boot sector of before would tell of something else
			if err := put(0, block(1)); err != nil {
				return err
			}
		}
		if err := put(f.groupStart(g), b); err != nil {
			return err
		}
	}
	if err := dev.Flush(); err != nil {
		return err
	}
	fresh, err := Mount(dev)
	if err == nil {
		err = fresh.Writable()
	}
	if err != nil {
		return fmt.Errorf("the volume that was made can't be used: %w", err)
	}
	return nil
}
