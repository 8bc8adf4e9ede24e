package ext4

// The superblock, which says what the volume is like, and the group descriptors, which say
// where inodes are. Both have backups in some of the block groups.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

const (
	superAt   = 1024 // bytes from the volume's beginning
	superSize = 1024
	maxBlock  = 64 << 10

	rootInode = 2

	compatJournal = 0x4
	compatIndex   = 0x20
	compatSparse2 = 0x200
	compatFast    = 0x400

	roSparseSuper  = 0x1
	roGroupSum     = 0x10
	roMetadataSum  = 0x400
	incompatType   = 0x2
	incompatReplay = 0x4
	incompatDevice = 0x8
	incompatMetaBG = 0x10
	incompat64     = 0x80
	incompatSeed   = 0x2000
	incompatLarge  = 0x4000

	// What is known of the incompatible features and needs nothing, or what is done here:
	// filetype, recover, meta_bg, extent, 64bit, mmp, flex_bg, ea_inode, csum_seed,
	// large_dir, encrypt (whose files are refused one by one).
	incompatKnown = incompatType | incompatReplay | incompatMetaBG | 0x40 | incompat64 | 0x100 | 0x200 | 0x400 | incompatSeed | incompatLarge | 0x10000
)

// refused are the incompatible features that are known but not read, as mkfs.ext4 calls them.
var refused = map[uint32]string{0x1: "compression", 0x1000: "dirdata", 0x8000: "inline_data", 0x20000: "casefold"}

// super is what the superblock says. Lengths are bytes.
type super struct {
	block    int64  // 1 KiB to 64 KiB
	blocks   uint64 // on the volume
	first    uint64 // block of group 0
	perGroup uint64 // blocks in a group
	groups   uint64

	inodes         uint32 // the last one
	inodesPerGroup uint32
	inodeSize      int64
	firstInode     uint32 // that is no file of the file system's own

	descSize    int64 // of a group descriptor
	firstMetaBG uint64
	reserved    uint64    // blocks behind the group descriptors for more of them
	backups     [2]uint64 // the groups that have them, with sparse_super2

	compat, incompat, roCompat uint32
	seed                       uint32 // of metadata checksums
	uuid                       []byte
	label                      string

	hashSeed     [4]uint32
	hashUnsigned bool
	hashVersion  byte // of new directories

	orphan        uint32 // inode of the first file that was deleted while open, or is to be cut
	orphanFile    uint32 // inode of the file with more of them, with orphan_file
	journal       uint32 // inode
	journalBackup []byte // what the journal's inode says of where it is, and its size; nil if not there
	group         uint64 // which the superblock was read from
	state         uint16
}

func (s *super) is(roFeature uint32) bool { return s.roCompat&roFeature != 0 }

// readSuper fills in v.super.
func (v *FS) readSuper() error {
	b := make([]byte, superSize)
	err := v.vol.Read(b, superAt)
	if err == nil {
		v.super, err = parseSuper(b)
	}
	if err != nil {
		var damaged damagedSuper
		if errors.As(err, &damaged); !v.readBackup(damaged.magic) {
			return err
		}
		v.note(superDamaged)
	} else if s := v.super; !s.is(roMetadataSum) && binary.LittleEndian.Uint32(b[0x3FC:]) != 0 {
		// It has a checksum and says that it has none: a sector that was torn, in a volume that is encrypted, has junk where the tear was.
		if v.readBackup(true) && v.is(roMetadataSum) {
			v.note(superDamaged)
		} else {
			v.super = s
		}
	}
	if have := uint64(v.vol.Size() / v.block); v.incompat&incompatDevice == 0 && v.blocks > have {
		v.note("The file system is said to have %d blocks, but its partition or medium ends after %d: what lies beyond cannot be read. If the drive was copied, the copy may be incomplete.", v.blocks, have)
	}
	return v.judge()
}

const superDamaged = "The volume's superblock is damaged, and a backup of it is used: check the volume with e2fsck."

// judge refuses what is not read and notes what is odd.
func (v *FS) judge() error {
	if v.incompat&incompatDevice != 0 {
		return errors.New("the volume is the external journal of another one (ext4's journal_dev) and has no files")
	}
	var names, without []string
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if v.incompat&bit&^incompatKnown == 0 {
			continue
		}
		name := refused[bit]
		if name == "" {
			name = fmt.Sprintf("an unknown one, incompat %#x", bit)
		} else {
			without = append(without, "^"+name)
		}
		names = append(names, name)
	}
	if names != nil {
		with := ""
		if without != nil {
			with = " -O " + strings.Join(without, ",")
		}
		return fmt.Errorf("the volume has features of ext4 that AlphaOS does not read (%s); copy its files to one made with mkfs.ext4%s", strings.Join(names, ", "), with)
	}
	if v.state&2 != 0 {
		v.note("Errors were found on the volume when it was last used: check it with e2fsck.")
	}
	if v.state&1 == 0 && v.compat&compatJournal == 0 && v.group == 0 { // backups are not kept up
		v.note("The volume was not unmounted cleanly and has no journal: check it with e2fsck.")
	}
	return nil
}

// damagedSuper says what is wrong with a superblock.
type damagedSuper struct {
	what  string
	magic bool // it is surely one
}

func (d damagedSuper) Error() string {
	if !d.magic {
		return d.what + ": " + ErrNotExt4.Error()
	}
	return "the superblock " + d.what + ": " + remedy
}

func (d damagedSuper) Is(err error) bool { return !d.magic && err == ErrNotExt4 }

// parseSuper checks a superblock.
func parseSuper(b []byte) (s super, err error) {
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != 0xEF53 {
		return s, damagedSuper{"the volume has no superblock", false}
	}
	bad := func(format string, args ...any) (super, error) {
		return super{}, damagedSuper{fmt.Sprintf(format, args...), true}
	}
	s.compat, s.incompat, s.roCompat = le.Uint32(b[0x5C:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	if s.is(roMetadataSum) {
		if kind := b[0x175]; kind != 1 {
			return bad("names an unknown kind of checksum, %d", kind)
		}
		if crc32c(^uint32(0), b[:0x3FC]) != le.Uint32(b[0x3FC:]) {
			return bad("does not match its checksum")
		}
	}
	log := le.Uint32(b[0x18:])
	if log > 6 {
		return bad("claims blocks of 2^%d KiB", log)
	}
	s.block = 1024 << log
	s.blocks, s.first = uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[0x14:]))
	s.inodes, s.inodesPerGroup = le.Uint32(b[0:]), le.Uint32(b[0x28:])
	s.perGroup = uint64(le.Uint32(b[0x20:]))
	s.inodeSize, s.firstInode = 128, 11
	if le.Uint32(b[0x4C:]) > 0 { // the dynamic revision
		s.inodeSize, s.firstInode = int64(le.Uint16(b[0x58:])), le.Uint32(b[0x54:])
	} else {
		s.compat, s.incompat, s.roCompat = 0, 0, 0
	}
	s.descSize = 32
	if s.incompat&incompat64 != 0 {
		s.blocks |= uint64(le.Uint32(b[0x150:])) << 32
		s.descSize = int64(le.Uint16(b[0xFE:]))
		if s.descSize < 64 || s.descSize > min(1024, s.block) || bits.OnesCount64(uint64(s.descSize)) != 1 {
			return bad("claims group descriptors of %d bytes", s.descSize)
		}
	}
	switch {
	case s.incompat&incompatDevice != 0:
		return s, nil
	case s.blocks > 1<<62/uint64(s.block) || s.first > 1 || s.blocks <= s.first:
		return bad("claims %d blocks from %d on", s.blocks, s.first)
	case s.perGroup < 256 || s.perGroup%8 != 0: // which mke2fs has as the least, and Linux refuses
		return bad("claims %d blocks in a group", s.perGroup)
	case s.inodeSize < 128 || s.inodeSize > s.block || bits.OnesCount64(uint64(s.inodeSize)) != 1:
		return bad("claims inodes of %d bytes", s.inodeSize)
	case s.inodesPerGroup == 0 || int64(s.inodesPerGroup) > 8*s.block:
		return bad("claims %d inodes in a group", s.inodesPerGroup)
	}
	s.groups = (s.blocks - s.first + s.perGroup - 1) / s.perGroup
	if uint64(s.inodes) > s.groups*uint64(s.inodesPerGroup) || s.inodes < rootInode {
		return bad("claims %d inodes in %d groups of %d", s.inodes, s.groups, s.inodesPerGroup)
	}
	s.reserved = uint64(le.Uint16(b[0xCE:]))
	s.orphan, s.orphanFile = le.Uint32(b[0xE8:]), le.Uint32(b[0x280:])
	s.firstMetaBG = uint64(le.Uint32(b[0x104:]))
	s.backups = [2]uint64{uint64(le.Uint32(b[0x24C:])), uint64(le.Uint32(b[0x250:]))}
	s.uuid = bytes.Clone(b[0x68:0x78])
	s.seed = crc32c(^uint32(0), s.uuid)
	if s.incompat&incompatSeed != 0 {
		s.seed = le.Uint32(b[0x270:])
	}
	s.label, _, _ = strings.Cut(string(b[0x78:0x88]), "\x00")
	s.label = strings.ToValidUTF8(s.label, "\uFFFD")
	for i := range s.hashSeed {
		s.hashSeed[i] = le.Uint32(b[0xEC+4*i:])
	}
	s.hashUnsigned = le.Uint32(b[0x160:])&2 != 0
	if s.hashVersion = b[0xFC]; s.hashVersion > hashTEA {
		s.hashVersion = hashHalfMD4
	}
	s.journal = le.Uint32(b[0xE0:])
	if b[0xFD] == 1 {
		s.journalBackup = bytes.Clone(b[0x10C:][:17*4])
	}
	s.group, s.state = uint64(le.Uint16(b[0x5A:])), le.Uint16(b[0x3A:])
	return s, nil
}

// readBackup fills in v.super from a backup and tells whether there is one. Unless it is
// certain that the volume is of this kind, a backup may be left from before it was formatted
// as something else: then nothing may say so, and the root directory must be there.
func (v *FS) readBackup(certain bool) bool {
	b := make([]byte, superSize)
	if !certain && v.vol.Read(b, 0) == nil && b[510] == 0x55 && b[511] == 0xAA {
		return false
	}
	for log := range 7 {
		block := int64(1024) << log
		first := int64(0)
		if log == 0 {
			first = 1
		}
		for _, group := range []int64{1, 3, 5, 7} { // whose superblocks sparse_super leaves
			at := (first + group*8*block) * block // mkfs makes groups as large as they can be
			if at+superSize > v.vol.Size() || v.vol.Read(b, at) != nil {
				continue
			}
			s, err := parseSuper(b)
			if err != nil || s.group != uint64(group) || s.block != block || int64(s.perGroup) != 8*block {
				continue
			}
			v.super = s
			clear(v.owner) // which another superblock may have led to
			if certain || v.rootAgrees() {
				return true
			}
		}
	}
	v.super = super{}
	return false
}

// rootAgrees tells whether the root directory is where the superblock leads.
func (v *FS) rootAgrees() bool {
	root, err := v.root()
	if err != nil {
		return false
	}
	b, err := v.dirBlock(root, 0)
	return err == nil && binary.LittleEndian.Uint32(b) == rootInode && b[6] == 1 && b[8] == '.'
}

// hasSuper tells whether a group begins with a copy of the superblock and descriptors.
func (s *super) hasSuper(group uint64) bool {
	power := func(of uint64) bool {
		n := of
		for n < group {
			n *= of
		}
		return n == group
	}
	switch {
	case group == 0:
		return true
	case s.compat&compatSparse2 != 0:
		return group == s.backups[0] || group == s.backups[1]
	case group == 1 || !s.is(roSparseSuper):
		return true
	}
	return power(3) || power(5) || power(7)
}

// descriptorsAt returns the blocks that hold the nth block of group descriptors or a copy of
// it, the one to use first.
func (s *super) descriptorsAt(n uint64) (blocks []uint64) {
	start := func(group uint64) uint64 { return s.first + group*s.perGroup }
	if s.incompat&incompatMetaBG == 0 || n < s.firstMetaBG {
		groups := []uint64{0, 1, 3, 5, 7, 9}
		if s.compat&compatSparse2 != 0 {
			groups = append([]uint64{0}, s.backups[:]...)
		}
		for i, g := range groups {
			if g < s.groups && (i == 0 || g > 0) && s.hasSuper(g) {
				at := start(g) + 1 + n
				if g == 0 && s.block == 1024 && s.first == 0 {
					at++ // the superblock is in block 1, as bigalloc has it
				}
				blocks = append(blocks, at)
			}
		}
		return blocks
	}
	per := uint64(s.block / s.descSize)
	for _, i := range []uint64{0, 1, per - 1} {
		g := n*per + i
		if g >= s.groups {
			continue
		}
		at := start(g)
		if s.hasSuper(g) {
			at++
			if s.block == 1024 && s.first == 0 && g == 0 {
				at++
			}
		}
		blocks = append(blocks, at)
	}
	return blocks
}

// inodeTable returns the first block of a group's inodes.
func (v *FS) inodeTable(group uint64) (uint64, error) {
	le := binary.LittleEndian
	per := uint64(v.block / v.descSize)
	var first error
	for i, block := range v.descriptorsAt(group / per) {
		var table uint64
		b, err := v.metadata(block, int64(group%per)*v.descSize, v.descSize)
		if err == nil && !v.descriptorAgrees(group, b) {
			err = fmt.Errorf("the descriptor of block group %d does not match its checksum: %s", group, remedy)
		}
		if err == nil {
			table = uint64(le.Uint32(b[8:]))
			if v.descSize >= 64 {
				table |= uint64(le.Uint32(b[0x28:])) << 32
			}
			if table <= v.first || table >= v.blocks {
				err = fmt.Errorf("the inodes of block group %d are said to be in block %d of %d: %s", group, table, v.blocks, remedy)
			}
		}
		if err == nil {
			if i > 0 {
				v.note("Group descriptors of the volume are damaged, and backups of them are used: check the volume with e2fsck.")
			}
			return table, nil
		}
		if first == nil {
			first = err
		}
	}
	return 0, first
}

// descriptorAgrees tells whether a group descriptor matches its checksum.
func (v *FS) descriptorAgrees(group uint64, b []byte) bool {
	const at, size = 0x1E, 2
	sum := binary.LittleEndian.Uint16(b[at:])
	number := binary.LittleEndian.AppendUint32(nil, uint32(group))
	switch {
	case v.is(roMetadataSum):
		return uint16(crc32cHole(crc32c(v.seed, number), b, at, size)) == sum
	case v.is(roGroupSum):
		crc := crc16(crc16(crc16(^uint16(0), v.uuid), number), b[:at])
		return crc16(crc, b[at+size:]) == sum
	}
	return true
}
