// Package fatsize copies FAT32 volumes to places of another size, and only what is used of
// them.
//
// No cluster gets another number, so directories and chains are copied as they are. A volume
// becomes smaller by losing free clusters at its end. It becomes larger by a longer FAT, behind
// which the clusters move as a whole. (Microsoft, FAT: General Overview of On-Disk Format,
// version 1.03.)
package fatsize

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"math/bits"

	"alphaos/fs"
)

const (
	minClusters = 65541 // 65525, the format's limit, and a margin for readers that miscount
	maxClusters = 0x0FFFFFF4
	bad         = 0x0FFFFFF7
	entryMask   = 0x0FFFFFFF
	scanSize    = 4 << 20
	mib         = 1 << 20
)

// ErrOdd is returned by Read for a volume of which it is not clear what is used.
var ErrOdd = errors.New("the FAT32 volume is not laid out as usual")

// Volume is what is known of a FAT32 volume. Lengths and offsets are bytes.
type Volume struct {
	boot     []byte // the boot sector
	sector   int64
	cluster  int64
	reserved int64 // before the first FAT
	fats     int64
	table    int64 // each FAT
	bytes    int64 // the file system
	clusters int64

	used    []uint64 // a bit for each cluster by its number, for what is copied
	taken   []uint64 // likewise, for what is not free
	highest int64    // the highest cluster used
}

// Read reads the boot sector and the FATs of the volume dev.
func Read(dev fs.BlockDevice) (*Volume, error) {
	block := int64(dev.BlockSize())
	size := int64(min(dev.Blocks(), math.MaxInt64/uint64(block))) * block
	b := make([]byte, max(block, 512))
	if size < int64(len(b)) {
		return nil, ErrOdd
	}
	if err := dev.ReadBlocks(0, b); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	v := &Volume{sector: int64(le.Uint16(b[11:])), fats: int64(b[16])}
	v.cluster = v.sector * int64(b[13])
	v.reserved = v.sector * int64(le.Uint16(b[14:]))
	v.table = v.sector * int64(le.Uint32(b[36:]))
	v.bytes = v.sector * int64(le.Uint32(b[32:]))
	switch {
	case b[510] != 0x55 || b[511] != 0xAA,
		v.sector < block || v.sector > 4096 || bits.OnesCount64(uint64(v.sector)) != 1,
		v.cluster == 0 || bits.OnesCount64(uint64(v.cluster)) != 1,
		v.reserved < 2*v.sector, v.fats < 1 || v.fats > 2,
		// A root directory of a fixed size, or the FAT of FAT12 and FAT16.
		le.Uint16(b[17:]) != 0 || le.Uint16(b[22:]) != 0 || le.Uint16(b[19:]) != 0 || le.Uint16(b[42:]) != 0,
		v.table == 0 || v.bytes > size || v.dataAt() >= v.bytes,
		int64(le.Uint16(b[48:]))*v.sector >= v.reserved && le.Uint16(b[48:]) != 0xFFFF,
		int64(le.Uint16(b[50:]))*v.sector >= v.reserved && le.Uint16(b[50:]) != 0xFFFF:
		return nil, ErrOdd
	}
	v.clusters = (v.bytes - v.dataAt()) / v.cluster
	if v.clusters < minClusters-16 || v.clusters > maxClusters || (v.clusters+2)*4 > v.table {
		return nil, ErrOdd
	}
	v.boot = b[:min(int64(len(b)), v.sector)]
	return v, v.scan(dev)
}

func (v *Volume) dataAt() int64 { return v.reserved + v.fats*v.table }

// scan finds what is used: what any of the FATs says is. What is marked as bad is not.
func (v *Volume) scan(dev fs.BlockDevice) error {
	v.used = make([]uint64, (v.clusters+2+63)/64)
	v.taken = make([]uint64, len(v.used))
	buf := make([]byte, scanSize)
	block := int64(dev.BlockSize())
	for i := range v.fats {
		end := (v.clusters + 2) * 4
		for off := int64(0); off < end; off += scanSize {
			n := min(scanSize, end-off)
			p := buf[:(n+block-1)/block*block]
			if err := dev.ReadBlocks(uint64((v.reserved+i*v.table+off)/block), p); err != nil {
				return err
			}
			clear(p[n:])
			for at := 0; at < len(p); at += 8 {
				if binary.LittleEndian.Uint64(p[at:]) == 0 {
					continue
				}
				for _, at := range [2]int{at, at + 4} {
					c := (off + int64(at)) / 4
					if e := binary.LittleEndian.Uint32(p[at:]) & entryMask; e != 0 && c >= 2 {
						v.taken[c/64] |= 1 << (c % 64)
						if e != bad {
							v.used[c/64] |= 1 << (c % 64)
							v.highest = max(v.highest, c)
						}
					}
				}
			}
		}
	}
	if root := int64(binary.LittleEndian.Uint32(v.boot[44:]) & entryMask); root < 2 || root > v.clusters+1 || v.used[root/64]&(1<<(root%64)) == 0 {
		return ErrOdd
	}
	return nil
}

// Bytes returns how many bytes the volume has, which may be fewer than its place has.
func (v *Volume) Bytes() int64 { return v.bytes }

// Least returns how many bytes a place for the volume must have.
func (v *Volume) Least() int64 {
	return v.dataAt() + max(v.highest-1, min(v.clusters, minClusters))*v.cluster
}

// Piece is what is to be copied: N bytes from Src on in the old place to Dst on in the new
// one. A negative Src stands for zeros; others begin with a sector.
type Piece struct{ Src, Dst, N int64 }

// Patch is what is to be written afterwards.
type Patch struct {
	Dst  int64
	Data []byte
}

// Copy returns what has to be done to have the volume in a place of size bytes, at least
// Least: pieces in ascending order of both Src and Dst, and patches. For its own size there
// are no patches.
func (v *Volume) Copy(dev fs.BlockDevice, size int64) (iter.Seq[Piece], []Patch, error) {
	n := *v // as it will be
	if n.bytes = min(size/v.sector, math.MaxUint32) * v.sector; n.bytes < v.Least() {
		return nil, nil, errors.New("the place is too small for the volume")
	}
	n.fit()
	var patches []Patch
	if n.bytes != v.bytes {
		var err error
		if patches, err = v.patches(dev, &n); err != nil {
			return nil, nil, err
		}
	}
	return func(yield func(Piece) bool) {
		if !yield(Piece{0, 0, v.reserved}) {
			return
		}
		if n.reserved > v.reserved && !yield(Piece{-1, v.reserved, n.reserved - v.reserved}) {
			return
		}
		keep := (min(v.clusters, n.clusters) + 2) * 4
		for i := range v.fats {
			dst := n.reserved + i*n.table
			if !yield(Piece{v.reserved + i*v.table, dst, keep}) || !yield(Piece{-1, dst + keep, n.table - keep}) {
				return
			}
		}
		for first := v.next(2, true); first <= v.clusters+1; {
			end := v.next(first, false)
			if !yield(Piece{v.dataAt() + (first-2)*v.cluster, n.dataAt() + (first-2)*v.cluster, (end - first) * v.cluster}) {
				return
			}
			first = v.next(end, true)
		}
	}, patches, nil
}

// next returns the first cluster from c on that is used, or not; one beyond the last, if
// there is none.
func (v *Volume) next(c int64, used bool) int64 {
	for c <= v.clusters+1 {
		w := v.used[c/64]
		if !used {
			w = ^w
		}
		if w >>= c % 64; w != 0 {
			return min(c+int64(bits.TrailingZeros64(w)), v.clusters+2)
		}
		c = (c/64 + 1) * 64
	}
	return v.clusters + 2
}

// fit gives the volume a FAT for all clusters of its new size.
func (n *Volume) fit() {
	n.clusters = (n.bytes - n.dataAt()) / n.cluster
	if n.clusters > maxClusters {
		n.clusters = maxClusters
	}
	if (n.clusters+2)*4 > n.table {
		was, old := *n, n.dataAt()
		n.table = ((n.clusters+2)*4 + n.sector - 1) / n.sector * n.sector
		// Data stay as they were on the larger blocks of flash.
		if over := (n.dataAt() - old) % mib; over != 0 && n.reserved+mib-over <= math.MaxUint16*n.sector {
			n.reserved += mib - over
		}
		n.clusters = min((n.bytes-n.dataAt())/n.cluster, maxClusters)
		// For a little more room a longer FAT would take more clusters than it gives, and files with them.
		if most := was.table/4 - 2; n.clusters < most {
			n.table, n.reserved, n.clusters = was.table, was.reserved, most
			n.bytes = n.dataAt() + most*n.cluster
		}
	}
	if n.clusters == maxClusters {
		n.bytes = n.dataAt() + n.clusters*n.cluster
	}
}

// patches returns the boot sector and FSInfo, and their backups, for n.
func (v *Volume) patches(dev fs.BlockDevice, n *Volume) (list []Patch, err error) {
	le := binary.LittleEndian
	block := int64(dev.BlockSize())
	sectorAt := func(number int64) ([]byte, error) {
		b := make([]byte, v.sector)
		return b, dev.ReadBlocks(uint64(number*v.sector/block), b)
	}
	backup, info := int64(le.Uint16(v.boot[50:])), int64(le.Uint16(v.boot[48:]))
	starts := []int64{0}
	if backup != 0 && backup != 0xFFFF {
		starts = append(starts, backup)
	}
	for _, start := range starts {
		b, err := sectorAt(start)
		if err != nil {
			return nil, err
		}
		if b[510] != 0x55 || b[511] != 0xAA {
			continue // no backup is there
		}
		le.PutUint16(b[14:], uint16(n.reserved/n.sector))
		le.PutUint32(b[32:], uint32(n.bytes/n.sector))
		le.PutUint32(b[36:], uint32(n.table/n.sector))
		list = append(list, Patch{start * v.sector, b})
		if info == 0 || info == 0xFFFF || (start+info)*v.sector >= v.reserved {
			continue
		}
		if b, err = sectorAt(start + info); err != nil {
			return nil, err
		}
		if string(b[:4]) != "RRaA" || string(b[484:488]) != "rrAa" {
			continue
		}
		le.PutUint32(b[488:], uint32(n.clusters-v.takenBelow(n.clusters+2)))
		if hint := int64(le.Uint32(b[492:])); hint > n.clusters+1 {
			le.PutUint32(b[492:], math.MaxUint32)
		}
		list = append(list, Patch{(start + info) * v.sector, b})
	}
	return list, nil
}

// takenBelow returns how many of the clusters below limit are not free.
func (v *Volume) takenBelow(limit int64) (n int64) {
	for i, w := range v.taken {
		if rest := limit - int64(i)*64; rest < 64 {
			w &= 1<<max(rest, 0) - 1
		}
		n += int64(bits.OnesCount64(w))
	}
	return n
}
