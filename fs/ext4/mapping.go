package ext4

// Where the blocks of a file are. Ext4 keeps extents, runs of neighbouring blocks, in a tree
// whose root is in the inode (ext4_extents.h); ext2 and ext3 keep the number of each block: of
// the first twelve in the inode, of the others in blocks of numbers, in up to three levels.
// A block that neither names is a hole, and reads as zeros.

import (
	"encoding/binary"
	"fmt"
	"sort"
)

const (
	extentMagic    = 0xF30A
	extentSize     = 12 // of an entry in the tree, and of a node's header
	maxExtentDepth = 5
	maxExtent      = 1 << 15 // blocks; what claims more has one less than its excess, not written yet

	directBlocks = 12
)

// run is count neighbouring blocks of the volume from block first on, or as many zeros if that
// is 0.
type run struct{ first, count uint64 }

// locate returns where a file's block is, and how many from it on are neighbours as far as one
// look says.
func (v *FS) locate(n *inode, block uint64) (r run, err error) {
	if n.flags&flagExtents != 0 {
		r, err = v.locateExtent(n, block)
	} else {
		r, err = v.locateMapped(n, block)
	}
	if err == nil && r.first != 0 && (r.first <= v.first || r.first >= v.blocks || r.count > v.blocks-r.first) {
		err = fmt.Errorf("it is said to have %d blocks from block %d of %d on: %s", r.count, r.first, v.blocks, remedy)
	}
	return r, err
}

// extentNode is a node of an extent tree.
type extentNode struct {
	b       []byte // its entries
	entries int
	depth   int // levels below it
	most    int // entries that it has room for
}

func parseExtentNode(b []byte) (x extentNode, err error) {
	le := binary.LittleEndian
	x = extentNode{b[extentSize:], int(le.Uint16(b[2:])), int(le.Uint16(b[6:])), int(le.Uint16(b[4:]))}
	if le.Uint16(b) != extentMagic || x.entries > x.most || x.most > len(x.b)/extentSize {
		return x, fmt.Errorf("a node of its extent tree is not one: %s", remedy)
	}
	return x, nil
}

// block returns the file's block from which an entry is on.
func (x extentNode) block(i int) uint64 {
	return uint64(binary.LittleEndian.Uint32(x.b[i*extentSize:]))
}

// child returns the block that an entry of a node leads to.
func (x extentNode) child(i int) uint64 {
	e := x.b[i*extentSize:]
	return uint64(binary.LittleEndian.Uint32(e[4:])) | uint64(binary.LittleEndian.Uint16(e[8:]))<<32
}

// extent returns what an entry of a leaf holds.
func (x extentNode) extent(i int) run {
	le := binary.LittleEndian
	e := x.b[i*extentSize:]
	r := run{uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32, uint64(le.Uint16(e[4:]))}
	if r.count > maxExtent { // set aside, and never written
		r = run{0, r.count - maxExtent}
	}
	return r
}

func (v *FS) locateExtent(n *inode, block uint64) (run, error) {
	x, err := parseExtentNode(n.map_[:])
	if err != nil {
		return run{}, err
	}
	if x.depth > maxExtentDepth {
		return run{}, fmt.Errorf("its extent tree is said to have %d levels: %s", x.depth, remedy)
	}
	end := uint64(1) << 32 // where what is looked for ends at the latest
	if block >= end {
		return run{0, 1}, nil
	}
	for {
		// The last entry that begins no later.
		i := sort.Search(x.entries, func(i int) bool { return x.block(i) > block }) - 1
		if i+1 < x.entries {
			end = min(end, x.block(i+1))
		}
		switch {
		case end <= block || i > 0 && x.block(i-1) >= x.block(i):
			return run{}, fmt.Errorf("extents are out of order: %s", remedy)
		case i < 0:
			return run{0, end - block}, nil
		}
		if x.depth == 0 {
			r := x.extent(i)
			in := block - x.block(i)
			switch {
			case x.block(i)+r.count > end:
				return run{}, fmt.Errorf("extents overlap: %s", remedy)
			case in >= r.count:
				return run{0, end - block}, nil
			case r.first != 0:
				r.first += in
			}
			return run{r.first, r.count - in}, nil
		}
		depth := x.depth - 1
		b, err := v.metadata(x.child(i), 0, v.block)
		if err != nil {
			return run{}, err
		}
		if x, err = parseExtentNode(b); err != nil {
			return run{}, err
		}
		if x.depth != depth {
			return run{}, fmt.Errorf("a node of its extent tree is on the wrong level: %s", remedy)
		}
		if tail := extentSize * (1 + x.most); v.is(roMetadataSum) {
			if tail+4 > len(b) || crc32c(n.seed, b[:tail]) != binary.LittleEndian.Uint32(b[tail:]) {
				return run{}, fmt.Errorf("a node of its extent tree does not match its checksum: %s", remedy)
			}
		}
	}
}

func (v *FS) locateMapped(n *inode, block uint64) (run, error) {
	numbers := n.map_[:4*directBlocks]
	at := block // in numbers
	if block >= directBlocks {
		at -= directBlocks
		per := uint64(v.block / 4)
		span := uint64(1) // blocks below each of numbers
		numbers = nil
		for level := range 3 {
			if at < span*per {
				numbers = n.map_[4*(directBlocks+level):][:4]
				span *= per
				break
			}
			at -= span * per
			span *= per
		}
		if numbers == nil {
			return run{}, fmt.Errorf("its block %d is beyond what can be numbered: %s", block, remedy)
		}
		for ; span > 1; span /= per {
			next := binary.LittleEndian.Uint32(numbers[4*(at/span):])
			if at %= span; next == 0 {
				return run{0, span - at}, nil
			}
			var err error
			if numbers, err = v.metadata(uint64(next), 0, v.block); err != nil {
				return run{}, err
			}
		}
	}
	get := func(i uint64) uint64 { return uint64(binary.LittleEndian.Uint32(numbers[4*i:])) }
	r := run{get(at), 1}
	for at+r.count < uint64(len(numbers)/4) {
		next := get(at + r.count)
		if r.first == 0 && next != 0 || r.first != 0 && next != r.first+r.count {
			break
		}
		r.count++
	}
	return r, nil
}
