package ext4

// Orphans: files that were deleted while they were open when the power went, or that were being cut. Linux keeps them in a list that
// begins in the superblock and goes through the times of deletion; with orphan_file also in a file of its own, in blocks of inode numbers
// (fs/ext4/orphan.c), and says in the superblock (orphan_present) that there may be some. They go with the first change.

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	compatOrphanFile = 0x1000
	roOrphans        = 0x10000 // orphan_present

	orphanMagic   = 0x0B10CA04
	orphanTail    = 8        // bytes at the end of a block: magic and checksum
	maxOrphanFile = 32 << 20 // bytes; mke2fs makes up to 512 blocks
	orphansAtOnce = 64       // that one transaction ends
)

// maxOrphans is how many the orphan file may name. Tests change it.
var maxOrphans = 64 << 10

// orphanSlot is a place in the orphan file that names an inode.
type orphanSlot struct {
	inode uint32
	block uint64 // of the volume
	at    int    // byte in it
}

// readOrphans fills in v.slots, and v.disorder if the orphan file can't be told. A backup of the superblock does not know whether there are any.
func (v *FS) readOrphans() {
	v.slots, v.disorder, v.tried = nil, nil, false
	switch {
	case v.compat&compatOrphanFile == 0 && v.is(roOrphans):
		v.disorder = errors.New("it has no orphan file")
	case v.compat&compatOrphanFile != 0 && (v.is(roOrphans) || v.group != 0):
		if v.slots, v.disorder = v.orphanSlots(); len(v.slots) > 0 {
			v.roCompat |= roOrphans
		}
	}
}

// orphanSlots reads the orphan file.
func (v *FS) orphanSlots() (list []orphanSlot, err error) {
	n, err := v.readInode(v.orphanFile)
	if err != nil {
		return nil, err
	}
	if n.mode&modeType != modeFile || n.size == 0 || n.size > maxOrphanFile || n.size%v.block != 0 {
		return nil, fmt.Errorf("inode %d, of %d bytes, is none", n.number, n.size)
	}
	le := binary.LittleEndian
	for block := range uint64(n.size / v.block) {
		r, err := v.locate(n, block)
		if err == nil && r.first == 0 {
			err = fmt.Errorf("block %d of it is missing", block)
		}
		if err != nil {
			return nil, err
		}
		b, err := v.metadata(r.first, 0, v.block)
		if err != nil {
			return nil, err
		}
		end := len(b) - orphanTail
		if le.Uint32(b[end:]) != orphanMagic || v.is(roMetadataSum) && orphanSum(n, r.first, b) != le.Uint32(b[end+4:]) {
			return nil, fmt.Errorf("block %d of it does not match its checksum", block)
		}
		for at := 0; at < end; at += 4 {
			if number := le.Uint32(b[at:]); number != 0 {
				if list = append(list, orphanSlot{number, r.first, at}); len(list) > maxOrphans {
					return nil, fmt.Errorf("it names more than %d files", maxOrphans)
				}
			}
		}
	}
	return list, nil
}

// orphanSum is the checksum of a block of the orphan file n.
func orphanSum(n *inode, block uint64, b []byte) uint32 {
	return crc32c(crc32c(n.seed, binary.LittleEndian.AppendUint64(nil, block)), b[:len(b)-orphanTail])
}

// removeOrphans removes files that were deleted, and cuts those that were being cut. Those that it can't are as before, and the error is of the first
// of them, or of the medium: then broken is set.
func (v *FS) removeOrphans() error {
	err := v.removeListed()
	if v.broken == nil {
		if ferr := v.removeFiled(); err == nil || v.broken != nil {
			err = ferr
		}
	}
	if v.broken == nil && len(v.logged) > 0 { // the superblock is written straight to its place later on
		if cerr := v.checkpoint(); cerr != nil {
			v.broken = cerr
			return cerr
		}
	}
	return err
}

// removeListed does so with those in the list.
func (v *FS) removeListed() error {
	for seen := 0; v.orphan != 0; seen++ {
		if uint64(seen) > uint64(v.inodes) {
			return fmt.Errorf("their list has no end: %s", remedy)
		}
		var next uint32
		err := v.transact(func() error {
			n, err := v.orphaned(v.orphan)
			if err != nil {
				return err
			}
			err = v.editInode(n.number, func(raw []byte) error {
				next = binary.LittleEndian.Uint32(raw[0x14:])
				binary.LittleEndian.PutUint32(raw[0x14:], 0)
				return nil
			})
			if err == nil {
				err = v.endOrphan(n)
			}
			if err != nil {
				return err
			}
			return v.editSuper(func(s []byte) { binary.LittleEndian.PutUint32(s[0xE8:], next) })
		})
		if err != nil {
			return err
		}
		v.orphan = next
	}
	return nil
}

// removeFiled does so with those in the orphan file, many in a transaction, and says in the superblock that there are none if none is left. Those that it
// can't are tried once until the volume is read anew.
func (v *FS) removeFiled() (first error) {
	if !v.is(roOrphans) || v.tried {
		return nil
	}
	file, err := v.readInode(v.orphanFile)
	if err != nil {
		return err
	}
	var left []orphanSlot
	for slots, n := v.slots, orphansAtOnce; len(slots) > 0; {
		n = min(n, len(slots))
		ended, err := v.endSlots(file, slots[:n])
		switch {
		case v.broken != nil:
			return err
		case err == nil:
			slots, n = slots[n:], orphansAtOnce
		case ended == n && n > 1: // together they are too much
			n /= 2
		case ended > 0 && ended < n: // those before the one that can't be
			n = ended
		default:
			left, slots, n = append(left, slots[0]), slots[1:], orphansAtOnce
			first = cmp.Or(first, err)
		}
	}
	if v.slots = left; left != nil {
		v.tried = true
		return first
	}
	err = v.transact(func() error {
		return v.editSuper(func(s []byte) { binary.LittleEndian.PutUint32(s[0x64:], v.roCompat&^roOrphans) })
	})
	if err == nil {
		v.roCompat &^= roOrphans
	}
	return err
}

// endSlots removes or cuts what these slots name, in one transaction, and clears them. If there is an error none is, and ended is how many could have been.
func (v *FS) endSlots(file *inode, slots []orphanSlot) (ended int, err error) {
	err = v.transact(func() error {
		for _, s := range slots {
			n, err := v.orphaned(s.inode)
			if err == nil {
				err = v.endOrphan(n)
			}
			if err != nil {
				return err
			}
			b, err := v.edit(s.block)
			if err != nil {
				return err
			}
			clear(b[s.at:][:4])
			if v.is(roMetadataSum) {
				binary.LittleEndian.PutUint32(b[len(b)-4:], orphanSum(file, s.block, b))
			}
			ended++
		}
		return nil
	})
	return ended, err
}

// orphaned reads an inode that is said to be an orphan.
func (v *FS) orphaned(number uint32) (*inode, error) {
	if number < v.firstInode || number == v.journal || number == v.orphanFile && v.compat&compatOrphanFile != 0 {
		return nil, fmt.Errorf("one is said to be the file system's own inode %d: %s", number, remedy)
	}
	return v.readInode(number)
}

// endOrphan does, as part of the change under way, what was to be done with an orphan.
func (v *FS) endOrphan(n *inode) error {
	if n.links == 0 {
		return v.erase(n)
	}
	return v.editInode(n.number, func(raw []byte) error {
		return v.cut(n, raw, uint64((n.size+v.block-1)/v.block))
	})
}
