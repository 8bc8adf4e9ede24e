package gpt

// Mending: the copy that is good is written where the other one belongs, then, if it says
// what is no longer so, itself. The first is read back before the second is touched, so
// that there is a good table whenever the power goes, and a header follows its entries.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"alphaos/fs"
	"alphaos/fs/mbr"
)

// Mend makes both copies of the table of dev say the same, each in its place, and that all
// of the medium can be used, and gives a protective MBR the size of the medium. It tells, in
// sentences, what it has changed: nothing if all was right. Partitions stay as they are.
func Mend(dev fs.BlockDevice) (did []string, err error) {
	t, err := Read(dev)
	if err != nil {
		return nil, err
	}
	head, err := readHead(dev)
	if err != nil {
		return nil, err
	}
	last, size := dev.Blocks()-1, uint64(dev.BlockSize())
	n := uint64(len(t.entries)) / size
	if last < n+3 {
		return nil, errors.New("the drive is too small for a partition table with a backup")
	}
	m := mender{t, t.source.last}
	if t.Moved || m.last > last-n-1 {
		m.last = last - n - 1
	}
	for _, p := range t.Partitions {
		if p.Last > m.last {
			return nil, fmt.Errorf("partition %d reaches to block %d, where the backup of the partition table belongs; make it smaller", p.Index, p.Last)
		}
	}
	primaryAt := uint64(2)
	if t.Damage == nil {
		primaryAt = t.at
	}
	// What is between the copies stays theirs who use it.
	if firstUsable := binary.LittleEndian.Uint64(t.header[40:]); primaryAt+n > firstUsable || firstUsable > m.last {
		return nil, fmt.Errorf("there is no room for both copies of the partition table around blocks %d to %d, which are said to be usable", firstUsable, t.source.last)
	}
	copies := []tableCopy{
		m.copy("The partition table at the beginning of the drive was written anew.", 1, last, primaryAt),
		m.copy("The backup of the partition table at the end of the drive was written anew.", last, 1, last-n),
	}
	if t.Damage == nil { // the first of them is the good one
		slices.Reverse(copies)
	}
	for _, c := range copies {
		if c.there(dev) {
			continue
		}
		if err := c.write(dev); err != nil {
			return did, fmt.Errorf("the partition table could not be mended: %w", err)
		}
		did = append(did, c.what)
	}
	resized, err := mendProtective(dev, head[:size])
	if resized {
		did = append(did, "The protective MBR was given the size of the drive.")
	}
	return did, err
}

type mender struct {
	t    *Table
	last uint64 // the last usable block
}

// tableCopy is one of the two copies, as it should be on the medium.
type tableCopy struct {
	what            string // is to be told when it was written
	lba, at         uint64 // of header and entries
	header, entries []byte // whole blocks
}

// copy returns the copy whose header is in block lba and whose entries are from block at on.
func (m mender) copy(what string, lba, alternate, at uint64) tableCopy {
	le := binary.LittleEndian
	h := bytes.Clone(m.t.header)
	le.PutUint64(h[24:], lba)
	le.PutUint64(h[32:], alternate)
	le.PutUint64(h[48:], m.last)
	le.PutUint64(h[72:], at)
	hsize := le.Uint32(h[12:])
	clear(h[16:20])
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:hsize]))
	return tableCopy{what, lba, at, h, m.t.entries}
}

// there reports whether the copy is on the medium.
func (c tableCopy) there(dev fs.BlockDevice) bool {
	h, e := make([]byte, len(c.header)), make([]byte, len(c.entries))
	return dev.ReadBlocks(c.lba, h) == nil && dev.ReadBlocks(c.at, e) == nil && bytes.Equal(h, c.header) && bytes.Equal(e, c.entries)
}

func (c tableCopy) write(dev fs.BlockDevice) error {
	if err := dev.WriteBlocks(c.at, c.entries); err != nil {
		return err
	}
	if err := dev.Flush(); err != nil {
		return err
	}
	if err := dev.WriteBlocks(c.lba, c.header); err != nil {
		return err
	}
	if err := dev.Flush(); err != nil {
		return err
	}
	if !c.there(dev) {
		return errors.New("what was read back is not what was written")
	}
	return nil
}

// mendProtective gives the only partition of a protective MBR the size of the medium
// (UEFI 2.10, table 5.4). A hybrid MBR is somebody's own and stays.
func mendProtective(dev fs.BlockDevice, block []byte) (changed bool, err error) {
	want := uint32(min(dev.Blocks()-1, math.MaxUint32))
	list := mbr.Entries(block)
	if len(list) != 1 || list[0].Blocks == uint64(want) {
		return false, nil
	}
	binary.LittleEndian.PutUint32(block[446+16*(list[0].Index-1)+12:], want)
	if err := dev.WriteBlocks(0, block); err != nil {
		return false, fmt.Errorf("the protective MBR could not be mended: %w", err)
	}
	return true, dev.Flush()
}
