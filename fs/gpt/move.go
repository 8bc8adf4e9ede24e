package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"alphaos/fs"
)

// LastUsable returns the last block that a partition can have on a medium of blocks blocks
// that gets this table.
func (t *Table) LastUsable(blocks uint64) uint64 {
	n := uint64(len(t.entries) / len(t.header))
	return max(blocks, n+2) - n - 2
}

// Move writes a table that was read from one medium on another, dev, of whatever size: both
// copies where they belong there, with the partitions where t.Partitions says. A protective
// MBR, which has to be there already, gets the size of dev.
func (t *Table) Move(dev fs.BlockDevice) error {
	size, last := uint64(dev.BlockSize()), dev.Blocks()-1
	if uint64(len(t.header)) != size {
		return fmt.Errorf("the partition table is for blocks of %d bytes, and the target has blocks of %d", len(t.header), size)
	}
	le := binary.LittleEndian
	header, entries := bytes.Clone(t.header), bytes.Clone(t.entries)
	n, esize, count := uint64(len(entries))/size, uint64(le.Uint32(header[84:])), uint64(le.Uint32(header[80:]))
	primaryAt, usable := uint64(2), le.Uint64(header[40:])
	if t.Damage == nil {
		primaryAt = t.at
	}
	m := mender{&Table{source: source{header: header, entries: entries}}, t.LastUsable(dev.Blocks())}
	if last < n+3 || primaryAt+n > usable || usable > m.last {
		return errors.New("the target is too small for a partition table with a backup")
	}
	for _, p := range t.Partitions {
		e := entries[uint64(p.Index-1)*esize:]
		le.PutUint64(e[32:], p.First)
		le.PutUint64(e[40:], p.Last)
	}
	if err := checkPartitions(t.Partitions, usable, m.last); err != nil {
		return err
	}
	le.PutUint32(header[88:], crc32.ChecksumIEEE(entries[:count*esize]))
	for _, c := range []tableCopy{m.copy("", 1, last, primaryAt), m.copy("", last, 1, last-n)} {
		if err := c.write(dev); err != nil {
			return fmt.Errorf("the partition table could not be written: %w", err)
		}
	}
	block := make([]byte, size)
	if err := dev.ReadBlocks(0, block); err != nil {
		return err
	}
	if !protect(block, dev.Blocks(), false) {
		return nil
	}
	if err := dev.WriteBlocks(0, block); err != nil {
		return fmt.Errorf("the protective MBR could not be written: %w", err)
	}
	return dev.Flush()
}

// SetType gives the partition with that index another type, in both copies of the table on dev.
func (t *Table) SetType(dev fs.BlockDevice, index int, kind GUID) error {
	if t.Damage != nil {
		return fmt.Errorf("the partition table has to be mended first: %w", t.Damage)
	}
	le := binary.LittleEndian
	esize, count := uint64(le.Uint32(t.header[84:])), uint64(le.Uint32(t.header[80:]))
	if index < 1 || uint64(index) > count {
		return fmt.Errorf("there is no partition %d", index)
	}
	copy(t.entries[uint64(index-1)*esize:], kind[:])
	le.PutUint32(t.header[88:], crc32.ChecksumIEEE(t.entries[:count*esize]))
	list, err := t.copies(dev)
	if err != nil {
		return err
	}
	for _, c := range list {
		if err := c.write(dev); err != nil {
			return fmt.Errorf("the partition table could not be written: %w", err)
		}
	}
	return nil
}
