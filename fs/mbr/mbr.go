// Package mbr finds the partitions of a medium that has the partition table of a master
// boot record: four entries in block 0, of which an extended one holds a chain of logical
// partitions. Blocks are those of the medium. (UEFI specification 2.10, section 5.2.)
//
// Types are told but not interpreted: many a stick was formatted anew and kept the type it
// had, and a hidden one is there all the same. What a partition holds is for package volume
// to say.
package mbr

import (
	"encoding/binary"

	"alphaos/fs"
)

// Protective is the type of the partition that keeps others off a GUID partition table.
const Protective = 0xEE

const (
	firstLogical = 5
	mostLogical  = 128
)

// Partition is a used entry of a table.
type Partition struct {
	Index         int // 1 to 4; logical ones from 5 on
	Type          byte
	First, Blocks uint64
}

// Extended reports whether the partition holds logical ones.
func (p Partition) Extended() bool { return p.Type == 0x05 || p.Type == 0x0F || p.Type == 0x85 }

// Entries returns the used entries of the table in a block, which is nil if it is none.
func Entries(block []byte) (list []Partition) {
	if len(block) < 512 || block[510] != 0x55 || block[511] != 0xAA {
		return nil
	}
	le := binary.LittleEndian
	for i := range 4 {
		e := block[446+16*i:][:16]
		p := Partition{i + 1, e[4], uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))}
		if p.Type != 0 && p.Blocks != 0 && e[0]&0x7F == 0 { // else it is code
			list = append(list, p)
		}
	}
	return list
}

// Partitions returns the partitions of dev, primary and logical, that begin on it, by the
// table in its block 0. One may reach beyond the end.
func Partitions(dev fs.BlockDevice, block []byte) (list []Partition) {
	logical := firstLogical
	for _, p := range Entries(block) {
		switch {
		case p.First == 0 || p.First >= dev.Blocks():
		case p.Extended():
			for _, l := range chain(dev, p) {
				if l.First < dev.Blocks() {
					l.Index = logical
					list = append(list, l)
				}
				logical++
			}
		default:
			list = append(list, p)
		}
	}
	return list
}

// chain follows the chain of an extended partition: each of its blocks looks like an MBR,
// with a partition relative to that block and a link to the next block relative to the
// extended partition. The chain ends where it leaves the partition, returns or is broken.
func chain(dev fs.BlockDevice, ext Partition) (list []Partition) {
	block := make([]byte, dev.BlockSize())
	seen := map[uint64]bool{}
	for at := ext.First; len(seen) < mostLogical && !seen[at]; {
		seen[at] = true
		if at >= dev.Blocks() || dev.ReadBlocks(at, block) != nil {
			break
		}
		next := at // which ends the chain
		for _, p := range Entries(block) {
			switch {
			case p.First >= ext.Blocks:
			case p.Extended():
				next = ext.First + p.First
			case p.First != 0:
				p.First += at
				list = append(list, p)
			}
		}
		at = next
	}
	return list
}
