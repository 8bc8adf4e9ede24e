package ext4

// Inodes: what a file is, how long, and where its blocks are.

import (
	"encoding/binary"
	"fmt"
	iofs "io/fs"
	"time"
)

const (
	modeType   = 0xF000
	modeFIFO   = 0x1000
	modeChar   = 0x2000
	modeDir    = 0x4000
	modeBlock  = 0x6000
	modeFile   = 0x8000
	modeLink   = 0xA000
	modeSocket = 0xC000

	flagEncrypt = 0x800
	flagIndex   = 0x1000 // of a directory: it has a hash tree
	flagExtents = 0x80000
	flagInline  = 0x10000000
)

// inode is one that was read and checked.
type inode struct {
	number   uint32
	mode     uint16
	links    uint16 // names it has
	flags    uint32
	size     int64 // bytes
	modified time.Time
	map_     [60]byte // i_block: the root of the extent tree, the block map, or a link's target
	seed     uint32   // of the checksums of what belongs to it
}

func (n *inode) isDir() bool { return n.mode&modeType == modeDir }

func (v *FS) root() (*inode, error) {
	n, err := v.readInode(rootInode)
	if err == nil && !n.isDir() {
		err = fmt.Errorf("it is said to be no directory: %s", remedy)
	}
	return n, err
}

// readInode reads the inode of this number.
func (v *FS) readInode(number uint32) (*inode, error) {
	if number == 0 || number > v.inodes {
		return nil, fmt.Errorf("inode %d does not exist: %s", number, remedy)
	}
	group, index := uint64(number-1)/uint64(v.inodesPerGroup), int64((number-1)%v.inodesPerGroup)
	table, err := v.inodeTable(group)
	if err != nil {
		return nil, err
	}
	block, in := table+uint64(index*v.inodeSize/v.block), index*v.inodeSize%v.block
	b, err := v.metadata(block, in, v.inodeSize)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", number, err)
	}
	n, err := v.parseInode(number, b)
	if err != nil {
		return nil, fmt.Errorf("inode %d %w: %s", number, err, remedy)
	}
	return n, nil
}

// parseInode checks an inode.
func (v *FS) parseInode(number uint32, b []byte) (*inode, error) {
	le := binary.LittleEndian
	const lowAt, highAt = 0x7C, 0x82 // of its checksum
	extra := 0                       // bytes used behind the first 128
	if len(b) > 128 {
		extra = int(le.Uint16(b[0x80:]))
		if extra > len(b)-128 || extra%4 != 0 {
			return nil, fmt.Errorf("claims %d bytes of extra fields", extra)
		}
	}
	has := func(at int) bool { return 128+extra >= at+4 } // the field of four bytes there
	n := &inode{number: number, mode: le.Uint16(b), links: le.Uint16(b[0x1A:]), flags: le.Uint32(b[0x20:])}
	if v.is(roMetadataSum) {
		n.seed = crc32cNumber(crc32cNumber(v.seed, number), le.Uint32(b[0x64:]))
		sum, mask := uint32(le.Uint16(b[lowAt:])), uint32(0xFFFF)
		crc := crc32cHole(n.seed, b[:128], lowAt, 2)
		if extra >= highAt+2-128 {
			sum, mask = sum|uint32(le.Uint16(b[highAt:]))<<16, ^uint32(0)
			crc = crc32cHole(crc, b[128:], highAt-128, 2)
		} else {
			crc = crc32c(crc, b[128:])
		}
		if crc&mask != sum {
			return nil, fmt.Errorf("does not match its checksum")
		}
	}
	size := uint64(le.Uint32(b[4:]))
	if n.mode&modeType == modeFile || n.isDir() && v.incompat&incompatLarge != 0 {
		size |= uint64(le.Uint32(b[0x6C:])) << 32
	}
	if size > 1<<32*uint64(v.block) { // blocks have numbers of 32 bits
		return nil, fmt.Errorf("claims %d bytes", size)
	}
	n.size = int64(size)
	copy(n.map_[:], b[0x28:])
	n.modified = decodeTime(le.Uint32(b[0x10:]), 0)
	if has(0x88) {
		n.modified = decodeTime(le.Uint32(b[0x10:]), le.Uint32(b[0x88:]))
	}
	return n, nil
}

// decodeTime decodes signed seconds since 1970, of which extra has two more bits below the
// nanoseconds.
func decodeTime(seconds, extra uint32) time.Time {
	nano := int64(extra >> 2)
	if nano >= 1e9 {
		nano = 0
	}
	return time.Unix(int64(int32(seconds))+int64(extra&3)<<32, nano).UTC()
}

// fileMode returns an inode's mode as io/fs has it.
func (n *inode) fileMode() iofs.FileMode {
	m := iofs.FileMode(n.mode & 0o777)
	for bit, flag := range map[uint16]iofs.FileMode{0o4000: iofs.ModeSetuid, 0o2000: iofs.ModeSetgid, 0o1000: iofs.ModeSticky} {
		if n.mode&bit != 0 {
			m |= flag
		}
	}
	switch n.mode & modeType {
	case modeFile:
	case modeDir:
		m |= iofs.ModeDir
	case modeLink:
		m |= iofs.ModeSymlink
	case modeFIFO:
		m |= iofs.ModeNamedPipe
	case modeSocket:
		m |= iofs.ModeSocket
	case modeBlock:
		m |= iofs.ModeDevice
	case modeChar:
		m |= iofs.ModeDevice | iofs.ModeCharDevice
	default:
		m |= iofs.ModeIrregular
	}
	return m
}

// info describes a file, as io/fs wants it.
type info struct {
	name string
	n    *inode
}

func (i info) Name() string        { return i.name }
func (i info) IsDir() bool         { return i.n.isDir() }
func (i info) Size() int64         { return i.n.size }
func (i info) Mode() iofs.FileMode { return i.n.fileMode() }
func (i info) ModTime() time.Time  { return i.n.modified }
func (i info) Sys() any            { return nil }
func (i info) String() string      { return iofs.FormatFileInfo(i) }
