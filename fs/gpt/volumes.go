package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"alphaos/fs"
)

// Volume is a part of a medium that may hold a file system.
type Volume struct {
	fs.BlockDevice        // the volume's blocks
	Index          int    // partition number from 1, logical ones from 5; 0 is the whole medium
	First          uint64 // its first block on the medium
	TypeGUID       GUID   // zero unless the medium has a GUID partition table
	GUID           GUID   // likewise
	Name           string // likewise
}

// Volumes lists the volumes of dev: the partitions of its GUID partition
// table; else the whole medium when it begins with a FAT boot sector; else
// those partitions of its MBR, primary and logical, that are of a FAT32 or EFI
// type (0x0B, 0x0C, 0xEF), or begin with a FAT boot sector whatever their type:
// many a stick was formatted anew and kept the type it had. A medium with none
// of these gives an error that wraps ErrNotGPT. What the volumes hold is for a
// file system's Mount to say.
func Volumes(dev fs.BlockDevice) ([]Volume, error) {
	head, err := readHead(dev)
	if err != nil {
		return nil, err
	}
	t, err := read(dev, head)
	switch {
	case err == nil:
		var list []Volume
		for _, p := range t.Partitions {
			list = append(list, Volume{fs.Section(dev, p.First, p.Blocks()), p.Index, p.First, p.TypeGUID, p.GUID, p.Name})
		}
		return list, nil
	case !errors.Is(err, ErrNotGPT):
		return nil, err
	}
	// A FAT boot sector has code where an MBR has partitions, so it must be
	// recognised first.
	if fatBootSector(head) {
		return []Volume{{BlockDevice: dev}}, nil
	}
	var list []Volume
	add := func(p mbrEntry) {
		if p.first == 0 || p.first >= dev.Blocks() {
			return
		}
		v := Volume{BlockDevice: fs.Section(dev, p.first, p.count), Index: p.index, First: p.first}
		b := make([]byte, dev.BlockSize())
		if p.kind == 0x0B || p.kind == 0x0C || p.kind == 0xEF || v.ReadBlocks(0, b) == nil && fatBootSector(b) {
			list = append(list, v)
		}
	}
	logical := 5
	for _, p := range mbrEntries(head) {
		if !p.extended() {
			add(p)
			continue
		}
		for _, l := range logicalPartitions(dev, p) {
			l.index = logical
			logical++
			add(l)
		}
	}
	if list == nil {
		return nil, fmt.Errorf("the medium holds neither partitions nor a FAT file system that can be read: %w", ErrNotGPT)
	}
	return list, nil
}

// extended reports whether the partition holds logical ones.
func (p mbrEntry) extended() bool { return p.kind == 0x05 || p.kind == 0x0F || p.kind == 0x85 }

// logicalPartitions follows the chain of an extended partition: each of its
// blocks looks like an MBR, with a partition relative to that block and a link
// to the next block relative to the extended partition. The chain ends where it
// leaves the partition, returns or is broken.
func logicalPartitions(dev fs.BlockDevice, ext mbrEntry) (list []mbrEntry) {
	const most = 128
	block := make([]byte, dev.BlockSize())
	seen := map[uint64]bool{}
	for at := ext.first; len(seen) < most && !seen[at]; {
		seen[at] = true
		if at >= dev.Blocks() || dev.ReadBlocks(at, block) != nil {
			break
		}
		next := at // which ends the chain
		for _, p := range mbrEntries(block) {
			switch {
			case p.extended():
				if p.first < ext.count {
					next = ext.first + p.first
				}
			case p.first < ext.count:
				p.first += at
				list = append(list, p)
			}
		}
		at = next
	}
	return list
}

// fatBootSector reports whether a block looks like the first of a FAT file
// system, by the fields that every formatter sets.
func fatBootSector(b []byte) bool {
	le := binary.LittleEndian
	if len(b) < 512 || b[0] != 0xEB && b[0] != 0xE9 {
		return false
	}
	sector, cluster, reserved, fats := le.Uint16(b[11:]), b[13], le.Uint16(b[14:]), b[16]
	return sector >= 512 && sector <= 4096 && sector&(sector-1) == 0 &&
		cluster != 0 && cluster&(cluster-1) == 0 &&
		reserved != 0 && (fats == 1 || fats == 2) && (le.Uint16(b[22:]) != 0 || le.Uint32(b[36:]) != 0)
}
