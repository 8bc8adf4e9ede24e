// Package gpt reads GUID partition tables and mends them.
//
// A GUID partition table (UEFI specification 2.10, section 5.3) is kept
// twice: a header in block 1 with its entries behind it, and a backup header
// in the last block with its entries before it. Each header carries a CRC-32
// of itself and one of the entries. Read believes a table only when both
// match and every number in it fits the medium, and takes the backup when
// the primary does not qualify. A drive copied to a larger one has its backup
// where the smaller one ended: Read accepts that, Table.Notes tells, and Mend
// puts it right.
package gpt

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf16"

	"alphaos/fs"
	"alphaos/fs/mbr"
)

// ErrNotGPT is returned, wrapped, for a medium that has no GUID partition
// table at all, as opposed to a damaged one.
var ErrNotGPT = errors.New("no GUID partition table")

// GUID is a globally unique identifier in the byte order of the medium:
// the first three fields little-endian.
type GUID [16]byte

// The partition types that AlphaOS knows.
var (
	EFISystem = mustGUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	BasicData = mustGUID("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7")
	LinuxData = mustGUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
	LinuxLUKS = mustGUID("CA7D7CCB-63ED-4C53-861C-1742536059CC")
)

// ParseGUID reads the usual text form, C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("%q is not a GUID", s)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return g, fmt.Errorf("%q is not a GUID", s)
	}
	copy(g[:], b)
	g.swap()
	return g, nil
}

// String returns the usual text form, in capitals.
func (g GUID) String() string {
	g.swap()
	return fmt.Sprintf("%X-%X-%X-%X-%X", g[0:4], g[4:6], g[6:8], g[8:10], g[10:16])
}

func (g *GUID) swap() {
	slices.Reverse(g[0:4])
	slices.Reverse(g[4:6])
	slices.Reverse(g[6:8])
}

func mustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// Partition is one entry of a table.
type Partition struct {
	Index       int // from 1, the entry's place in the table
	TypeGUID    GUID
	GUID        GUID
	Name        string
	First, Last uint64 // blocks, both inclusive
	Attributes  uint64
}

// Blocks returns the number of blocks in the partition.
func (p Partition) Blocks() uint64 { return p.Last - p.First + 1 }

// Table is a GUID partition table.
type Table struct {
	DiskGUID   GUID
	Partitions []Partition // those in use, by Index

	// Damage tells why the primary table was not used; nil when it was.
	Damage error
	// Moved says that the backup is not at the end of the medium, where it belongs.
	// It is before that or, on a medium that is too small, nowhere.
	Moved bool
	// Hybrid says that the MBR has partitions of its own beside the protective one, for systems that
	// do not know this table. It is left as it is, whatever becomes of the table.
	Hybrid bool

	source
}

// source is what a table was read from.
type source struct {
	header    []byte // whole, as it is on the medium
	entries   []byte // whole blocks
	alternate uint64 // the block of the other header
	at        uint64 // the block of the entries
	last      uint64 // the last usable block
	blocks    uint64 // of the medium
}

// Notes tells, in sentences, what is wrong with the table and yet no reason not
// to use it. Mend mends it.
func (t *Table) Notes() (notes []string) {
	if t.Damage != nil {
		notes = append(notes, fmt.Sprintf("The partition table at the beginning of the drive is damaged (%v), so its backup is used.", t.Damage))
	}
	switch {
	case t.Moved && t.alternate >= t.blocks:
		notes = append(notes, "The drive is smaller than its partition table says, as after copying a larger drive onto it: the table's backup is missing.")
	case t.Moved:
		notes = append(notes, "The drive is larger than its partition table says, as after copying a smaller drive onto it: the table's backup is not at the drive's end, where it belongs.")
	}
	return notes
}

const (
	signature    = "EFI PART"
	revision     = 0x00010000
	minHeader    = 92
	minEntry     = 128
	maxEntry     = 4096
	maxEntries   = 1024             // the specification reserves room for 128
	usualEntries = 16 << 10         // bytes: 128 entries of 128
	entriesLimit = maxEntries * 256 // bytes
)

// Read reads the GUID partition table of dev. A medium without one gives
// ErrNotGPT. When the primary table is damaged the backup is used and
// Table.Damage says why; when both are, the error tells what is wrong with
// each.
func Read(dev fs.BlockDevice) (*Table, error) {
	head, err := readHead(dev)
	if err != nil {
		return nil, err
	}
	if !protective(head) {
		return nil, fmt.Errorf("block 0 has no protective MBR: %w", ErrNotGPT)
	}
	hybrid := len(mbr.Entries(head)) > 1
	size, last := uint64(dev.BlockSize()), dev.Blocks()-1
	var ahead []byte // the primary header and what was read behind it
	if uint64(len(head)) > size {
		ahead = head[size:]
	}
	t, primary := readTable(dev, 1, ahead)
	if primary == nil {
		t.Moved, t.Hybrid = t.alternate != last, hybrid
		return t, nil
	}
	// The backup belongs in the last block. An image copied to a larger
	// medium still has it where the primary header says.
	alternate := t.alternate
	t, backup := readTable(dev, last, nil)
	if backup != nil && alternate != 0 && alternate != last {
		t, backup = readTable(dev, alternate, nil)
		t.Moved = true
	}
	if backup != nil {
		return nil, fmt.Errorf("both copies of the partition table are damaged: the primary: %w; the backup: %w", primary, backup)
	}
	t.Damage, t.Hybrid = primary, hybrid
	return t, nil
}

// BlockSize returns the bytes in a block of the medium of which f, size bytes long, is an image:
// 4096 if that is where the image has a table, else 512.
func BlockSize(f fs.File, size int64) int {
	for _, block := range []int{512, 4096} {
		if dev, err := fs.NewFileDevice(f, size, block); err == nil {
			if found, err := Check(dev); err == nil || found != nil {
				return block
			}
		}
	}
	return 512
}

// readHead reads the MBR, the primary header and entries of the usual size
// in one request.
func readHead(dev fs.BlockDevice) ([]byte, error) {
	size := dev.BlockSize()
	if size < 512 || size > 1<<16 || size&(size-1) != 0 {
		return nil, fmt.Errorf("a block size of %d bytes is not supported; 512 and 4096 are", size)
	}
	if dev.Blocks() == 0 {
		return nil, fmt.Errorf("the medium is empty: %w", ErrNotGPT)
	}
	n := min(uint64(2+usualEntries/size), dev.Blocks())
	head := make([]byte, n*uint64(size))
	if err := dev.ReadBlocks(0, head); err != nil {
		// One bad block among the entries must not hide the backup.
		head = head[:size]
		if err := dev.ReadBlocks(0, head); err != nil {
			return nil, fmt.Errorf("read the first block of the medium: %w", err)
		}
	}
	return head, nil
}

// protective reports whether block 0 is a protective MBR: a partition of
// type 0xEE that begins at block 1. Hybrid MBRs with further entries count.
func protective(block []byte) bool {
	return slices.ContainsFunc(mbr.Entries(block), func(p mbr.Partition) bool {
		return p.Type == mbr.Protective && p.First == 1
	})
}

// readTable reads the header in block lba and its entries. ahead is what is
// already known from block lba on, or nil. With an error the table has nothing
// but what a valid header says of where the other one is.
func readTable(dev fs.BlockDevice, lba uint64, ahead []byte) (t *Table, err error) {
	t = &Table{}
	size, blocks := uint64(dev.BlockSize()), dev.Blocks()
	h := ahead
	if uint64(len(h)) < size {
		if lba == 0 || lba >= blocks {
			return t, fmt.Errorf("there is no block %d for its header", lba)
		}
		h = make([]byte, size)
		if err := dev.ReadBlocks(lba, h); err != nil {
			return t, fmt.Errorf("read its header: %w", err)
		}
	}
	h = h[:size]
	le := binary.LittleEndian
	if string(h[:8]) != signature {
		return t, fmt.Errorf("block %d has no header", lba)
	}
	hsize := uint64(le.Uint32(h[12:]))
	if hsize < minHeader || hsize > size {
		return t, fmt.Errorf("its header claims to be %d bytes long", hsize)
	}
	sum := crc32.NewIEEE()
	sum.Write(h[:16])
	sum.Write(make([]byte, 4))
	sum.Write(h[20:hsize])
	if sum.Sum32() != le.Uint32(h[16:]) {
		return t, errors.New("the checksum of its header is wrong")
	}
	if rev := le.Uint32(h[8:]); rev>>16 != revision>>16 {
		return t, fmt.Errorf("its header has the unknown revision %#x", rev)
	}
	if my := le.Uint64(h[24:]); my != lba {
		return t, fmt.Errorf("its header in block %d says that it belongs in block %d", lba, my)
	}
	t.alternate = le.Uint64(h[32:])
	usable, lastUsable := le.Uint64(h[40:]), le.Uint64(h[48:])
	if usable < 2 || usable > lastUsable {
		return t, fmt.Errorf("it claims that blocks %d to %d are usable", usable, lastUsable)
	}
	if lastUsable >= blocks {
		return t, fmt.Errorf("it is for a larger medium: blocks %d to %d are said to be usable but there are only %d; the copy of this drive may be incomplete", usable, lastUsable, blocks)
	}
	at, count, esize := le.Uint64(h[72:]), uint64(le.Uint32(h[80:])), uint64(le.Uint32(h[84:]))
	if esize < minEntry || esize > maxEntry || esize&(esize-1) != 0 {
		return t, fmt.Errorf("its entries claim to be %d bytes long", esize)
	}
	if count == 0 || count*esize > entriesLimit {
		return t, fmt.Errorf("it claims to have %d entries of %d bytes", count, esize)
	}
	n := (count*esize + size - 1) / size
	if at < 2 || at > blocks || n > blocks-at {
		return t, fmt.Errorf("its entries are said to be at block %d of %d", at, blocks)
	}
	var entries []byte
	if off := (at - lba) * size; at > lba && at-lba <= uint64(len(ahead))/size && uint64(len(ahead))-off >= n*size {
		entries = ahead[off : off+n*size]
	} else {
		entries = make([]byte, n*size)
		if err := dev.ReadBlocks(at, entries); err != nil {
			return t, fmt.Errorf("read its entries: %w", err)
		}
	}
	t.source = source{h, entries, t.alternate, at, lastUsable, blocks}
	entries = entries[:count*esize]
	if crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return t, errors.New("the checksum of its entries is wrong")
	}
	t.DiskGUID = GUID(h[56:72])
	for i := range count {
		e := entries[i*esize:][:esize]
		if GUID(e[:16]) == (GUID{}) {
			continue
		}
		t.Partitions = append(t.Partitions, Partition{
			Index:      int(i + 1),
			TypeGUID:   GUID(e[:16]),
			GUID:       GUID(e[16:32]),
			First:      le.Uint64(e[32:]),
			Last:       le.Uint64(e[40:]),
			Attributes: le.Uint64(e[48:]),
			Name:       name(e[56:128]),
		})
	}
	return t, checkPartitions(t.Partitions, usable, lastUsable)
}

// checkPartitions refuses partitions outside the usable blocks and partitions
// that share blocks.
func checkPartitions(parts []Partition, usable, lastUsable uint64) error {
	for _, p := range parts {
		if p.First > p.Last || p.First < usable || p.Last > lastUsable {
			return fmt.Errorf("partition %d is said to be blocks %d to %d, but only %d to %d are usable", p.Index, p.First, p.Last, usable, lastUsable)
		}
	}
	order := slices.Clone(parts)
	slices.SortFunc(order, func(a, b Partition) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; b.First <= a.Last {
			return fmt.Errorf("partitions %d and %d overlap", a.Index, b.Index)
		}
	}
	return nil
}

// name decodes a partition's name, UTF-16 ended by a zero.
func name(b []byte) string {
	var u []uint16
	for ; len(b) >= 2; b = b[2:] {
		c := binary.LittleEndian.Uint16(b)
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}
