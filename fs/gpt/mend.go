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
// of the medium can be used, and gives a protective MBR the size of the medium, or a medium
// that has lost it a new one. It tells, in sentences, what it has changed: nothing if all was
// right. Partitions stay as they are.
func Mend(dev fs.BlockDevice) (did []string, err error) {
	p, err := examine(dev)
	if err != nil {
		return nil, err
	}
	for _, c := range p.copies {
		if err := c.write(dev); err != nil {
			return did, fmt.Errorf("the partition table could not be mended: %w", err)
		}
		did = append(did, c.what)
	}
	if p.protective == nil {
		return did, nil
	}
	if err = dev.WriteBlocks(0, p.protective); err == nil {
		err = dev.Flush()
	}
	if err != nil {
		return did, fmt.Errorf("the protective MBR could not be mended: %w", err)
	}
	if p.lost {
		return append(did, "The protective MBR was written anew."), nil
	}
	return append(did, "The protective MBR was given the size of the drive."), nil
}

// Check tells, in sentences, what Mend would put right: nothing if all is right. When there is
// something that Mend cannot, the error says what.
func Check(dev fs.BlockDevice) (found []string, err error) {
	p, err := examine(dev)
	if p == nil {
		return nil, err
	}
	found = p.t.Notes()
	if len(found) == 0 {
		for _, c := range p.copies {
			if c.lba == 1 {
				found = append(found, "The partition table at the beginning of the drive leaves no room for its backup.")
			} else {
				found = append(found, "The backup of the partition table at the end of the drive is damaged or missing, or says something else.")
			}
		}
	}
	switch {
	case p.lost:
		found = append(found, "The drive has no protective MBR, which keeps other systems from taking it for an empty one.")
	case p.protective != nil && !p.t.Moved:
		found = append(found, "The protective MBR does not have the size of the drive.")
	}
	return found, err
}

// A plan is what has to be written to put a table right.
type plan struct {
	t          *Table
	copies     []tableCopy // in this order
	protective []byte      // block 0; nil: it is right
	lost       bool        // there is no protective MBR
}

// examine finds out what is wrong. With an error there may be a plan nevertheless, which has
// the table that was read and nothing to be done.
func examine(dev fs.BlockDevice) (*plan, error) {
	t, err := Read(dev)
	lost := errors.Is(err, ErrNotGPT)
	if lost {
		t, err = readUnprotected(dev, err)
	}
	if err != nil {
		return nil, err
	}
	p := &plan{t: t, lost: lost}
	copies, err := t.copies(dev)
	if err != nil {
		return p, err
	}
	for _, c := range copies {
		if !c.there(dev) {
			p.copies = append(p.copies, c)
		}
	}
	block := make([]byte, dev.BlockSize())
	if err := dev.ReadBlocks(0, block); err != nil {
		return nil, fmt.Errorf("read the first block of the medium: %w", err)
	}
	if protect(block, dev.Blocks(), lost) {
		p.protective = block
	}
	return p, nil
}

// readUnprotected reads the table of a medium that has none for Read, since only its protective
// MBR was lost. A medium with other partitions is somebody's who has made it anew, and so is one
// with a file system from block 0 on, which would have overwritten the primary copy; the backup
// alone counts only when all before is zeros. In other cases the error is why.
func readUnprotected(dev fs.BlockDevice, why error) (*Table, error) {
	size := dev.BlockSize()
	head := make([]byte, 2*size)
	if dev.Blocks() < 2 || dev.ReadBlocks(0, head) != nil {
		return nil, why
	}
	if slices.ContainsFunc(mbr.Entries(head[:size]), func(p mbr.Partition) bool { return p.Type != mbr.Protective }) {
		return nil, why
	}
	last := dev.Blocks() - 1
	if t, err := readTable(dev, 1, nil); err == nil {
		t.Moved = t.alternate != last
		return t, nil
	}
	if !bytes.Equal(head, make([]byte, len(head))) {
		return nil, why
	}
	t, err := readTable(dev, last, nil)
	if err != nil {
		return nil, why
	}
	t.Damage = errors.New("block 1 has no header")
	return t, nil
}

// copies returns both copies as they should be on dev, that first which has to be written first.
func (t *Table) copies(dev fs.BlockDevice) ([]tableCopy, error) {
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
	list := []tableCopy{
		m.copy("The partition table at the beginning of the drive was written anew.", 1, last, primaryAt),
		m.copy("The backup of the partition table at the end of the drive was written anew.", last, 1, last-n),
	}
	if t.Damage == nil { // the first of them is the good one
		slices.Reverse(list)
	}
	return list, nil
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

// protect puts the partition of a protective MBR right in block 0 of a medium of so many blocks
// (UEFI 2.10, table 5.4): its size, or all of it if it was lost. A hybrid MBR is somebody's own
// and stays.
func protect(block []byte, blocks uint64, lost bool) (changed bool) {
	want := uint32(min(blocks-1, math.MaxUint32))
	if lost {
		clear(block[446:510])
		copy(block[446:], []byte{0, 0x00, 0x02, 0x00, mbr.Protective, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 1})
		block[510], block[511] = 0x55, 0xAA
	}
	list := mbr.Entries(block)
	if len(list) != 1 || list[0].Blocks == uint64(want) {
		return false
	}
	binary.LittleEndian.PutUint32(block[446+16*(list[0].Index-1)+12:], want)
	return true
}
