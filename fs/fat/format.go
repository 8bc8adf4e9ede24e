package fat

// A fresh FAT32 volume, written in one pass.
//
// Everything is allocated before anything is written: first the directories,
// then the files, each in neighbouring clusters, with nothing free between
// them. The FAT is therefore a plain count with an end mark per file, and
// clusters from vol.used on are free. Data begin on a MiB of the medium, so
// that clusters never straddle the larger blocks of flash.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	minReserved = 32    // sectors
	minClusters = 65541 // 65525, the format's limit, and a margin for readers that miscount
	endOfChain  = 0x0FFFFFFF
	typeName    = "FAT32   " // in the boot sector
)

// Format is a planned FAT32 volume.
type Format struct {
	root     *node
	sector   int64 // bytes
	sectors  int64
	cluster  int64 // bytes
	reserved int64 // sectors before the first FAT
	table    int64 // sectors in each of the two FATs
	clusters uint32
	used     uint32
	nodes    []*node // in the order of their clusters

	Label  string // up to 11 capitals, digits and spaces
	Serial uint32
	Time   time.Time // of all files
	Hidden int64     // sectors on the medium before the volume
}

// Target is where a volume is written: an *os.File, say.
type Target interface {
	io.WriterAt
	io.WriteSeeker
}

// ErrTooSmall is returned by Plan for a size that the files do not fit.
var ErrTooSmall = errors.New("the volume is too small")

// Plan lays out a volume of size bytes with the files of t and gives each its clusters. sector
// is the bytes in a block of the medium, 512 to 4096: other systems mount no volume whose sectors are others.
func Plan(t *Tree, size, sector int64) (*Format, error) {
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("FAT32 has no sectors of %d bytes; use 512 or 4096", sector)
	}
	t.root.isDir = true
	t.root.name()
	v := &Format{root: &t.root, sector: sector, sectors: size / sector}
	if size <= 0 {
		return nil, ErrTooSmall
	}
	// Microsoft's cluster sizes; below them the largest that gives FAT32
	// enough clusters.
	switch {
	case size <= 8<<30:
		v.cluster = 4 << 10
	case size <= 16<<30:
		v.cluster = 8 << 10
	case size <= 32<<30:
		v.cluster = 16 << 10
	default:
		v.cluster = 32 << 10
	}
	for v.layOut(); v.clusters < minClusters; v.layOut() {
		if v.cluster == sector {
			return nil, ErrTooSmall
		}
		v.cluster /= 2
	}
	next := int64(2)
	take := func(n *node) {
		v.nodes = append(v.nodes, n)
		n.clusters = (n.bytes() + v.cluster - 1) / v.cluster
		if n.first = uint32(next); n.clusters == 0 {
			n.first = 0
		}
		next += n.clusters
	}
	t.root.walk(func(n *node) {
		if n.isDir {
			take(n)
		}
	})
	t.root.walk(func(n *node) {
		if !n.isDir {
			take(n)
		}
	})
	if next-2 > int64(v.clusters) {
		return nil, ErrTooSmall
	}
	v.used = uint32(next - 2)
	return v, nil
}

// layOut computes where things are from the sizes of volume and cluster.
func (v *Format) layOut() {
	perCluster, perMiB := v.cluster/v.sector, 1<<20/v.sector
	most := (v.sectors-minReserved)/perCluster + 2
	v.table = (most*4 + v.sector - 1) / v.sector
	v.reserved = minReserved
	if over := (v.reserved + 2*v.table) % perMiB; over != 0 {
		v.reserved += perMiB - over
	}
	v.clusters = uint32(max(v.sectors-v.reserved-2*v.table, 0) / perCluster)
}

func (v *Format) dataAt() int64 { return (v.reserved + 2*v.table) * v.sector }

// Free returns how many bytes of the volume are free.
func (v *Format) Free() int64 { return int64(v.clusters-v.used) * v.cluster }

// Write writes the volume to f from byte at on, where f must read as zeros.
func (v *Format) Write(f Target, at int64) error {
	put := func(b []byte, off int64) error {
		_, err := f.WriteAt(b, at+off)
		return err
	}
	label, err := packLabel(v.Label)
	if err != nil {
		return err
	}
	boot, info := v.bootSector(label), v.infoSector()
	for _, sector := range []int64{0, 6} { // the second is the backup
		if err := put(boot, sector*v.sector); err != nil {
			return err
		}
		if err := put(info, (sector+1)*v.sector); err != nil {
			return err
		}
	}
	fat := v.fat()
	for i := range int64(2) {
		if err := put(fat, (v.reserved+i*v.table)*v.sector); err != nil {
			return err
		}
	}
	for _, n := range v.nodes {
		off := v.dataAt() + int64(n.first-2)*v.cluster
		switch {
		case n.clusters == 0:
		case n.isDir:
			err = put(v.directory(n, label), off)
		case n.Open != nil:
			err = copyFile(f, at+off, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file from elsewhere to f. Between two files the host kernel does the
// copying.
func copyFile(f Target, at int64, n *node) (err error) {
	src, err := n.Open()
	if err != nil {
		return err
	}
	if _, err = f.Seek(at, io.SeekStart); err == nil {
		if _, err = io.CopyN(f, src, n.Size); err == io.EOF {
			err = errors.New("the file became shorter while it was copied; try again")
		}
	}
	if cerr := src.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", n.label, err)
	}
	return nil
}

func (v *Format) bootSector(label [11]byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, v.sector)
	copy(b, "\xEB\x58\x90MSWIN4.1") // the name that readers trust most
	le.PutUint16(b[11:], uint16(v.sector))
	b[13] = byte(v.cluster / v.sector)
	le.PutUint16(b[14:], uint16(v.reserved))
	b[16] = 2    // FATs
	b[21] = 0xF8 // media: fixed disk
	le.PutUint16(b[24:], 63)
	le.PutUint16(b[26:], 255)
	le.PutUint32(b[28:], uint32(v.Hidden))
	le.PutUint32(b[32:], uint32(v.sectors))
	le.PutUint32(b[36:], uint32(v.table))
	le.PutUint32(b[44:], v.root.first)
	le.PutUint16(b[48:], 1) // FSInfo
	le.PutUint16(b[50:], 6) // backup
	b[64] = 0x80            // BIOS drive
	b[66] = 0x29            // serial, label and type follow
	le.PutUint32(b[67:], v.Serial)
	copy(b[71:], label[:])
	copy(b[82:], typeName)
	b[510], b[511] = 0x55, 0xAA
	return b
}

func (v *Format) infoSector() []byte {
	le := binary.LittleEndian
	b := make([]byte, v.sector)
	copy(b, infoLead)
	copy(b[484:], infoMid)
	le.PutUint32(b[infoFree:], v.clusters-v.used)
	le.PutUint32(b[infoNext:], v.used+1) // the last cluster taken
	b[510], b[511] = 0x55, 0xAA
	return b
}

// fat returns the FAT as far as it is not zero.
func (v *Format) fat() []byte {
	le := binary.LittleEndian
	b := make([]byte, (int64(v.used)*4+8+v.sector-1)/v.sector*v.sector)
	le.PutUint32(b, 0x0FFFFFF8) // the media byte
	le.PutUint32(b[4:], endOfChain)
	for _, n := range v.nodes {
		for i := range n.clusters {
			c := int64(n.first) + i
			next := uint32(c + 1)
			if i == n.clusters-1 {
				next = endOfChain
			}
			le.PutUint32(b[4*c:], next)
		}
	}
	return b
}

// directory returns the content of a directory.
func (v *Format) directory(d *node, label [11]byte) []byte {
	b := make([]byte, 0, d.bytes())
	if d.parent == nil {
		b = appendEntry(b, label, 0x08, 0, 0, v.Time)
	} else {
		up := d.parent.first
		if d.parent.parent == nil {
			up = 0 // the root is written as zero in ".." entries
		}
		b = appendEntry(b, pack(".", ""), 0x10, d.first, 0, v.Time)
		b = appendEntry(b, pack("..", ""), 0x10, up, 0, v.Time)
	}
	for _, n := range d.children {
		for range gap(int64(len(b)/entrySize), n.entries()) {
			b = append(b, make([]byte, entrySize)...)
			b[len(b)-entrySize] = deleted
		}
		b = n.appendLong(b)
		attr, size := byte(0x20), uint32(n.bytes())
		if n.isDir {
			attr, size = 0x10, 0
		}
		if n.label[0] == '.' {
			attr |= 0x02 // hidden, as on systems where the dot means that
		}
		b = appendEntry(b, n.short, attr, n.first, size, v.Time)
	}
	return b
}

// encodeTime returns a time as a directory entry has it, or the nearest that it can have.
func encodeTime(t time.Time) (date, clock uint16) {
	t = t.UTC()
	switch {
	case t.Year() < 1980:
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 2107:
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	date = uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day())
	return date, uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
}

func appendEntry(b []byte, short [11]byte, attr byte, first, size uint32, t time.Time) []byte {
	le := binary.LittleEndian
	date, clock := encodeTime(t)
	var e [entrySize]byte
	copy(e[:], short[:])
	e[11] = attr
	le.PutUint16(e[14:], clock) // created
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date) // read
	le.PutUint16(e[20:], uint16(first>>16))
	le.PutUint16(e[22:], clock) // written
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(first))
	le.PutUint32(e[28:], size)
	return append(b, e[:]...)
}
