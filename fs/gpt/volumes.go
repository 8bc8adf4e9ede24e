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
	Index          int    // partition number from 1; 0 is the whole medium
	First          uint64 // its first block on the medium
	TypeGUID       GUID   // zero unless the medium has a GUID partition table
	GUID           GUID   // likewise
	Name           string // likewise
}

// Volumes lists the volumes of dev: the partitions of its GUID partition
// table; else the whole medium when it begins with a FAT boot sector; else
// the FAT32 and EFI partitions (types 0x0B, 0x0C, 0xEF) of its MBR. A medium
// with none of these gives an error that wraps ErrNotGPT. What the volumes
// hold is for a file system's Mount to say.
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
	for _, p := range mbrEntries(head) {
		switch p.kind {
		case 0x0B, 0x0C, 0xEF:
			if p.first > 0 && p.first < dev.Blocks() {
				list = append(list, Volume{BlockDevice: fs.Section(dev, p.first, p.count), Index: p.index, First: p.first})
			}
		}
	}
	if list == nil {
		return nil, fmt.Errorf("the medium holds neither partitions nor a FAT file system that can be read: %w", ErrNotGPT)
	}
	return list, nil
}

// fatBootSector reports whether a block looks like the first of a FAT file
// system, by the fields that every formatter sets.
func fatBootSector(b []byte) bool {
	le := binary.LittleEndian
	if len(b) < 512 || b[510] != 0x55 || b[511] != 0xAA || b[0] != 0xEB && b[0] != 0xE9 {
		return false
	}
	sector, cluster, reserved, fats, media := le.Uint16(b[11:]), b[13], le.Uint16(b[14:]), b[16], b[21]
	return sector >= 512 && sector <= 4096 && sector&(sector-1) == 0 &&
		cluster != 0 && cluster&(cluster-1) == 0 &&
		reserved != 0 && (fats == 1 || fats == 2) && media >= 0xF0
}
