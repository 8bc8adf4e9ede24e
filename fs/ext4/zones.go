package ext4

// The file system's own blocks: superblocks and group descriptors with their copies, bitmaps, inodes, and the journal. An image
// may say that a file has them too, or that they are free: what a person saves must not go there (Linux, fs/ext4/block_validity.c).

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// maxZones is how many pieces they may lie in; mke2fs and Linux have them in at most four for each group. Tests change it.
var maxZones = 1 << 20

var errZones = errors.New("the file system's own blocks lie in too many pieces")

// zones returns where they are, in order. The error says why the volume can't be changed: some are meant for two things.
func (v *FS) zones() (list []run, err error) {
	v.mu.Lock()
	known := v.system
	v.mu.Unlock()
	if known == nil {
		list, err = v.findZones()
		known = &system{list, err}
		v.mu.Lock()
		v.system = known
		v.mu.Unlock()
	}
	return known.list, known.err
}

// system is what zones returns.
type system struct {
	list []run
	err  error
}

func (v *FS) findZones() (list []run, err error) {
	if v.blocks > uint64(v.vol.Size()/v.block) { // it may claim any number of groups
		return nil, errTooLong
	}
	tables := (uint64(v.inodesPerGroup)*uint64(v.inodeSize) + uint64(v.block) - 1) / uint64(v.block)
	for g := range v.groups {
		if n := v.copies(g); n > 0 {
			list = append(list, run{v.groupStart(g), n})
		}
		d := v.anyDescriptor(g)
		if d == nil {
			continue // no change gets there, since all are read when the first is made
		}
		for at, n := range map[int]uint64{blockBitmapAt: 1, inodeBitmapAt: 1, tableAt: tables} {
			if first, err := v.place(d, at); err == nil {
				list = append(list, run{first, n})
			}
		}
		if len(list) >= maxZones {
			if list, err = inOrder(list); err != nil {
				return nil, err
			}
		}
		if len(list) >= maxZones {
			return nil, errZones
		}
	}
	if v.first > 0 {
		list = append(list, run{0, v.first}) // the boot sector
	}
	if v.compat&compatJournal != 0 && v.journal != 0 {
		n, jerr := v.journalInode()
		pieces := 0
		for block := uint64(0); jerr == nil && block < min(uint64(n.size/v.block), maxJournal); {
			var r run
			if r, jerr = v.locate(n, block); jerr == nil {
				if block += r.count; r.first != 0 {
					list = append(list, r)
				}
				if pieces++; pieces > maxZones {
					return nil, errZones
				}
			}
		}
	}
	return inOrder(list)
}

// inOrder sorts pieces and joins neighbours. The error says which block is in two.
func inOrder(list []run) (out []run, err error) {
	slices.SortFunc(list, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	out = list[:0]
	for _, r := range list {
		k := len(out) - 1
		switch {
		case k < 0 || r.first > out[k].first+out[k].count:
			out = append(out, r)
			continue
		case r.first < out[k].first+out[k].count && err == nil:
			err = fmt.Errorf("block %d is said to be two things of the file system's own: %s", r.first, remedy)
		}
		out[k].count = max(out[k].count, r.first+r.count-out[k].first)
	}
	return out, err
}

// copies is how many blocks a group begins with that are copies of the superblock and of descriptors, or room for more of these.
func (v *FS) copies(g uint64) (n uint64) {
	per := uint64(v.block / v.descSize)
	if v.hasSuper(g) {
		n++
		if g == 0 && v.block == 1024 && v.first == 0 {
			n++
		}
	}
	if v.incompat&incompatMetaBG == 0 || g/per < v.firstMetaBG {
		if v.hasSuper(g) {
			if v.incompat&incompatMetaBG != 0 {
				return n + v.firstMetaBG + v.reserved
			}
			return n + (v.groups+per-1)/per + v.reserved
		}
	} else if i := g % per; i == 0 || i == 1 || i == per-1 {
		n++
	}
	return n
}

// anyDescriptor returns a group's descriptor or one of its copies, nil if none matches its checksum.
func (v *FS) anyDescriptor(g uint64) []byte {
	per := uint64(v.block / v.descSize)
	for _, at := range v.descriptorsAt(g / per) {
		if b, err := v.metadata(at, int64(g%per)*v.descSize, v.descSize); err == nil && v.descriptorAgrees(g, b) && binary.LittleEndian.Uint32(b[tableAt:]) != 0 {
			return b
		}
	}
	return nil
}

// mayHave returns an error if blocks that a file or directory is said to have are the file system's own.
func (v *FS) mayHave(r run) error {
	zones, _ := v.zones() // some may overlap: these are left alone all the same
	i := sort.Search(len(zones), func(i int) bool { return zones[i].first+zones[i].count > r.first })
	if i < len(zones) && zones[i].first < r.first+r.count {
		return fmt.Errorf("it is said to have block %d, which is the file system's own: %s", max(r.first, zones[i].first), remedy)
	}
	return nil
}
