package ext4

// Extent trees as they are written. The extents of a file are read all at once, changed as a
// list, and put as a tree again: in the nodes that there are as far as they go, and those whose content stays are not
// written. So an extent that splits and a tree that gets another level are nothing special.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// extent is count blocks of a file from block at on, which lie at first on the volume.
type extent struct {
	at, count uint64
	first     uint64
	unwritten bool // set aside, and read as zeros
}

const maxExtents = 1 << 20

var errPieces = errors.New("it lies in too many pieces")

// extentsOf returns the extents of a file, and the blocks of the nodes of their tree.
func (v *FS) extentsOf(n *inode) (list []extent, nodes []uint64, err error) {
	if n.flags&flagExtents == 0 {
		return nil, nil, errors.New("it is kept as ext2 does, without extents, which AlphaOS only reads; copy it, and remove this one")
	}
	x, err := parseExtentNode(n.map_[:])
	if err != nil {
		return nil, nil, err
	}
	if x.depth > maxExtentDepth {
		return nil, nil, fmt.Errorf("its extent tree is said to have %d levels: %s", x.depth, remedy)
	}
	end := uint64(0)
	var walk func(x extentNode) error
	walk = func(x extentNode) error {
		for i := range x.entries {
			if x.depth == 0 {
				r := x.extent(i)
				le := binary.LittleEndian
				e := extent{x.block(i), r.count, r.first, r.first == 0}
				b := x.b[i*extentSize:]
				e.first = uint64(le.Uint32(b[8:])) | uint64(le.Uint16(b[6:]))<<32
				if e.at < end || e.count == 0 || e.first <= v.first || e.first >= v.blocks || e.count > v.blocks-e.first {
					return fmt.Errorf("extents are out of order, or lead nowhere: %s", remedy)
				}
				if err := v.mayHave(run{e.first, e.count}); err != nil {
					return err
				}
				end = e.at + e.count
				if list = append(list, e); len(list) > maxExtents {
					return errPieces
				}
				continue
			}
			at := x.child(i)
			if err := v.mayHave(run{at, 1}); err != nil {
				return err
			}
			b, err := v.metadata(at, 0, v.block)
			if err != nil {
				return err
			}
			y, err := parseExtentNode(b)
			if err == nil && (y.depth != x.depth-1 || len(nodes) > maxExtents) {
				err = fmt.Errorf("a node of its extent tree is on the wrong level: %s", remedy)
			}
			if tail := extentSize * (1 + y.most); err == nil && v.is(roMetadataSum) && (tail+4 > len(b) || crc32c(n.seed, b[:tail]) != binary.LittleEndian.Uint32(b[tail:])) {
				err = fmt.Errorf("a node of its extent tree does not match its checksum: %s", remedy)
			}
			if err != nil {
				return err
			}
			nodes = append(nodes, at)
			if err := walk(y); err != nil {
				return err
			}
		}
		return nil
	}
	return list, nodes, walk(x)
}

func encodeExtent(e extent) (b [extentSize]byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(e.at))
	n := e.count
	if e.unwritten {
		n += maxExtent
	}
	le.PutUint16(b[4:], uint16(n))
	le.PutUint16(b[6:], uint16(e.first>>32))
	le.PutUint32(b[8:], uint32(e.first))
	return b
}

// joined returns the list with neighbours as one extent where that is allowed.
func joined(list []extent) (out []extent) {
	for _, e := range list {
		for e.count > 0 {
			most := uint64(maxExtent)
			if e.unwritten {
				most--
			}
			if k := len(out) - 1; k >= 0 {
				if l := &out[k]; l.unwritten == e.unwritten && l.at+l.count == e.at && l.first+l.count == e.first && l.count < most {
					n := min(most-l.count, e.count)
					l.count += n
					e.at, e.first, e.count = e.at+n, e.first+n, e.count-n
					continue
				}
			}
			n := min(most, e.count)
			out = append(out, extent{e.at, n, e.first, e.unwritten})
			e.at, e.first, e.count = e.at+n, e.first+n, e.count-n
		}
	}
	return out
}

// setExtents gives an inode these extents in place of those that it had, whose tree has nodes. The inode's count of blocks follows; the blocks of
// the content are not taken or freed here.
func (v *FS) setExtents(number uint32, raw []byte, old, list []extent, nodes []uint64) error {
	le := binary.LittleEndian
	list = joined(list)
	seed := crc32cNumber(crc32cNumber(v.seed, number), le.Uint32(raw[0x64:]))
	entries := make([][extentSize]byte, len(list))
	for i, e := range list {
		entries[i] = encodeExtent(e)
	}
	header := func(b []byte, entries, most, depth int) {
		le.PutUint16(b[0:], extentMagic)
		le.PutUint16(b[2:], uint16(entries))
		le.PutUint16(b[4:], uint16(most))
		le.PutUint16(b[6:], uint16(depth))
		le.PutUint32(b[8:], 0)
	}
	const inRoot = 4
	per := int(v.block-extentSize) / extentSize
	depth, kept := 0, 0
	for ; len(entries) > inRoot; depth++ {
		var above [][extentSize]byte
		for part := range slices.Chunk(entries, per) {
			var at uint64
			b := make([]byte, v.block)
			header(b, len(part), per, depth)
			for i, e := range part {
				copy(b[extentSize*(1+i):], e[:])
			}
			if v.is(roMetadataSum) {
				tail := extentSize * (1 + per)
				le.PutUint32(b[tail:], crc32c(seed, b[:tail]))
			}
			if kept < len(nodes) {
				at = nodes[kept]
				kept++
				was, err := v.metadata(at, 0, v.block)
				if err != nil {
					return err
				}
				if !bytes.Equal(was, b) {
					v.tx.blocks[at] = b
				}
			} else {
				var err error
				var to []byte
				if at, to, err = v.newBlock(list[0].first); err != nil {
					return err
				}
				copy(to, b)
			}
			var e [extentSize]byte
			copy(e[:4], part[0][:4])
			le.PutUint32(e[4:], uint32(at))
			le.PutUint16(e[8:], uint16(at>>32))
			above = append(above, e)
		}
		entries = above
	}
	for _, at := range nodes[kept:] {
		if err := v.free(run{at, 1}, true); err != nil {
			return err
		}
	}
	if depth > maxExtentDepth {
		return errPieces
	}
	m := raw[0x28:][:60]
	clear(m)
	header(m, len(entries), inRoot, depth)
	for i, e := range entries {
		copy(m[extentSize*(1+i):], e[:])
	}
	le.PutUint32(raw[0x20:], le.Uint32(raw[0x20:])|flagExtents)

	// Counted in 512 bytes.
	const hugeFile = 0x40000
	if le.Uint32(raw[0x20:])&hugeFile != 0 {
		return errors.New("it is a file of more than 2 TiB, which AlphaOS only reads")
	}
	blocks := func(list []extent) (n int64) {
		for _, e := range list {
			n += int64(e.count)
		}
		return n
	}
	made := 0
	for n := len(list); n > inRoot; {
		n = (n + per - 1) / per
		made += n
	}
	count := int64(le.Uint32(raw[0x1C:])) | int64(le.Uint16(raw[0x74:]))<<32
	count += (blocks(list) - blocks(old) + int64(made-len(nodes))) * (v.block / 512)
	if count < 0 || count >= 1<<48 {
		return fmt.Errorf("its count of blocks makes no sense: %s", remedy)
	}
	le.PutUint32(raw[0x1C:], uint32(count))
	le.PutUint16(raw[0x74:], uint16(count>>32))
	return nil
}
