package volume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"alphaos/fs"
	"alphaos/fs/exfat"
)

// Kind is what a volume holds.
type Kind int

// What a volume can hold, as far as AlphaOS can tell.
const (
	Unknown Kind = iota
	FAT12
	FAT16
	FAT32
	ExFAT
	Ext2
	Ext3
	Ext4
	NTFS
	BitLocker
	APFS
	HFSPlus
	LUKS
	Btrfs
	XFS
	F2FS
	ISO9660
	Swap
	LVM
)

// kinds say what a volume is, after its name in a sentence, and what can be done about one
// that is not read.
var kinds = [...]struct{ what, remedy string }{
	Unknown:   {"holds no file system that AlphaOS knows", "it may be empty, encrypted or damaged"},
	FAT12:     {"is FAT12, as floppy disks are", asFAT32},
	FAT16:     {"is FAT16, as old small sticks are", asFAT32},
	FAT32:     {"is FAT32", ""},
	ExFAT:     {"is exFAT", ""},
	Ext2:      {"is ext2, a file system of Linux", copyFiles},
	Ext3:      {"is ext3, a file system of Linux", copyFiles},
	Ext4:      {"is ext4, a file system of Linux", copyFiles},
	NTFS:      {"is NTFS, the file system of Windows", copyFiles},
	BitLocker: {"is encrypted with BitLocker of Windows", "decrypt it there, or " + copyFiles},
	APFS:      {"is APFS, the file system of macOS", copyFiles},
	HFSPlus:   {"is HFS+, an older file system of macOS", copyFiles},
	LUKS:      {"is encrypted with LUKS of Linux", copyFiles},
	Btrfs:     {"is Btrfs, a file system of Linux", copyFiles},
	XFS:       {"is XFS, a file system of Linux", copyFiles},
	F2FS:      {"is F2FS, a file system of Linux and Android", copyFiles},
	ISO9660:   {"is ISO 9660, as CDs and installation sticks are", copyFiles},
	Swap:      {"is swap space of Linux", "it has no files"},
	LVM:       {"belongs to LVM of Linux", copyFiles},
}

const (
	copyFiles = "copy what you need of it to a drive that is FAT32 or exFAT"
	asFAT32   = "copy what is on it elsewhere and format it as FAT32 or exFAT"
)

// String is the name of what it holds.
func (k Kind) String() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(k.Clause(), "is "), ",")
	return name
}

// Clause says what the volume is, to follow its name in a sentence: "is NTFS, the file
// system of Windows".
func (k Kind) Clause() string { return kinds[k].what }

// ErrNotReadable is returned, wrapped, by Mount for a volume of a Kind that AlphaOS does not
// read.
var ErrNotReadable = errors.New("AlphaOS cannot read that")

func (k Kind) refusal() error {
	return fmt.Errorf("the volume %s; %w: %s", k.Clause(), ErrNotReadable, kinds[k].remedy)
}

// signatures are what volumes are known by, in the order in which they are looked for.
var signatures = []struct {
	off   int
	magic string
	kind  Kind
}{
	{0, "LUKS\xBA\xBE", LUKS},
	{32, "NXSB", APFS},
	{0, "XFSB", XFS},
	{1024, "H+\x00\x04", HFSPlus},
	{1024, "HX\x00\x05", HFSPlus},
	{1024, "\x10\x20\xF5\xF2", F2FS},
	{1024 + 56, "\x53\xEF", Ext2},
	{64<<10 + 64, "_BHRfS_M", Btrfs},
	{32<<10 + 1, "CD001", ISO9660},
	{4096 - 10, "SWAPSPACE2", Swap},
	{512, "LABELONE", LVM},
}

const (
	probeSize = 68 << 10 // what signatures need
	leastSize = 4 << 10  // what most of them do
)

// Identify says what the volume dev holds by what its first blocks look like. An error is
// of the medium.
func Identify(dev fs.BlockDevice) (Kind, error) {
	b, err := head(dev)
	if err != nil {
		return Unknown, err
	}
	return identify(b), nil
}

// head reads the first blocks of dev.
func head(dev fs.BlockDevice) (b []byte, err error) {
	for _, n := range []int{probeSize, leastSize} {
		size := dev.BlockSize()
		blocks := min(uint64((n+size-1)/size), dev.Blocks())
		if b = make([]byte, blocks*uint64(size)); blocks == 0 {
			return nil, nil
		}
		// A bad block beyond the first ones hides little.
		if err = dev.ReadBlocks(0, b); err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("read the beginning of the volume: %w", err)
}

func identify(b []byte) Kind {
	if k := bootSector(b); k != Unknown {
		return k
	}
	for _, s := range signatures {
		if len(b) >= s.off+len(s.magic) && string(b[s.off:][:len(s.magic)]) == s.magic {
			if s.kind == Ext2 {
				return extKind(b[1024:])
			}
			return s.kind
		}
	}
	return Unknown
}

// bootSector says what a volume is that begins with a boot sector as Windows has it, which
// looks like an MBR at its end.
func bootSector(b []byte) Kind {
	switch {
	case len(b) < 512:
		return Unknown
	case exfat.Is(b):
		return ExFAT
	case string(b[3:11]) == "NTFS    ":
		return NTFS
	case string(b[3:11]) == "-FVE-FS-":
		return BitLocker
	}
	return fatKind(b)
}

// fatKind tells FAT file systems by the fields that every formatter sets, and apart by what
// the specification does: the size of the FAT and the number of clusters.
func fatKind(b []byte) Kind {
	le := binary.LittleEndian
	sector, cluster, reserved, fats := uint32(le.Uint16(b[11:])), uint32(b[13]), uint32(le.Uint16(b[14:])), uint32(b[16])
	entries, table16, table32 := uint32(le.Uint16(b[17:])), uint32(le.Uint16(b[22:])), le.Uint32(b[36:])
	if b[0] != 0xEB && b[0] != 0xE9 || sector < 512 || sector > 4096 || sector&(sector-1) != 0 ||
		cluster == 0 || cluster&(cluster-1) != 0 || reserved == 0 || fats != 1 && fats != 2 || table16 == 0 && table32 == 0 {
		return Unknown
	}
	if table16 == 0 {
		return FAT32
	}
	total := uint32(le.Uint16(b[19:]))
	if total == 0 {
		total = le.Uint32(b[32:])
	}
	system := reserved + fats*table16 + (entries*32+sector-1)/sector
	if total > system && (total-system)/cluster >= 4085 {
		return FAT16
	}
	return FAT12
}

// extKind tells the file systems of Linux that share a superblock by their features: what ext2
// and ext3 do not know makes it ext4.
func extKind(super []byte) Kind {
	const (
		hasJournal   = 0x4                    // compatible
		ext3Incompat = 0x2 | 0x4 | 0x8 | 0x10 // filetype, recover, journal_dev, meta_bg
		ext3ROCompat = 0x1 | 0x2 | 0x4        // sparse_super, large_file, btree_dir
	)
	le := binary.LittleEndian
	compat, incompat, roCompat := le.Uint32(super[0x5C:]), le.Uint32(super[0x60:]), le.Uint32(super[0x64:])
	switch {
	case incompat&^ext3Incompat != 0 || roCompat&^ext3ROCompat != 0:
		return Ext4
	case compat&hasJournal != 0:
		return Ext3
	}
	return Ext2
}
