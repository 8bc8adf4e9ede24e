package fat

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"alphaos/fs/fstest"
)

// image is a FAT32 volume put together by hand, sound or not. It is small:
// the reader, like Linux, takes FAT32 for what the boot sector says and not
// for the number of clusters.
type image struct {
	b                       []byte
	sector, perCluster      int
	reserved, table, copies int // sectors; sectors each; number of FATs
	clusters                int
}

// newImage returns an empty volume whose root directory is cluster 2.
func newImage(sector, perCluster, clusters, copies int) *image {
	m := &image{sector: sector, perCluster: perCluster, reserved: 8, copies: copies, clusters: clusters}
	m.table = (4*(clusters+2) + sector - 1) / sector
	total := m.reserved + copies*m.table + clusters*perCluster
	m.b = make([]byte, (total*sector+4095)/4096*4096) // also for devices of 4096-byte blocks
	le := binary.LittleEndian
	b := m.b
	copy(b, "\xEB\x58\x90ALPHATST")
	le.PutUint16(b[11:], uint16(sector))
	b[13] = byte(perCluster)
	le.PutUint16(b[14:], uint16(m.reserved))
	b[16] = byte(copies)
	b[21] = 0xF8
	le.PutUint32(b[32:], uint32(total))
	le.PutUint32(b[36:], uint32(m.table))
	le.PutUint32(b[44:], 2)
	le.PutUint16(b[48:], 1)
	le.PutUint16(b[50:], 6)
	b[66] = 0x29
	copy(b[71:], "BOOT LABEL FAT32   ")
	b[510], b[511] = 0x55, 0xAA
	copy(b[6*sector:], b[:512])
	m.set(-1, 0, 0x0FFFFFF8)
	m.set(-1, 1, 0x0FFFFFFF)
	m.chain(2)
	return m
}

func (m *image) tableAt(n int) int { return (m.reserved + n*m.table) * m.sector }

// set sets an entry of FAT n, of all for -1.
func (m *image) set(n int, cluster, value uint32) {
	for i := range m.copies {
		if n < 0 || n == i {
			binary.LittleEndian.PutUint32(m.b[m.tableAt(i)+4*int(cluster):], value)
		}
	}
}

// chain links clusters in all FATs and ends the chain.
func (m *image) chain(cs ...uint32) {
	for i, c := range cs {
		next := uint32(0x0FFFFFFF)
		if i+1 < len(cs) {
			next = cs[i+1]
		}
		m.set(-1, c, next)
	}
}

func (m *image) data(cluster uint32) []byte {
	size := m.sector * m.perCluster
	return m.b[m.tableAt(m.copies)+int(cluster-2)*size:][:size]
}

// add puts an entry into the first free slots of a directory's cluster. long
// may be "".
func (m *image) add(dir uint32, short, long string, attr byte, first uint32, size int) []byte {
	le := binary.LittleEndian
	d := m.data(dir)
	for d[0] != 0 {
		d = d[32:]
	}
	name := [11]byte([]byte(short))
	if long != "" {
		u := utf16.Encode([]rune(long))
		n := (len(u) + 12) / 13
		if len(u) < 13*n {
			u = append(u, 0)
		}
		for len(u) < 13*n {
			u = append(u, 0xFFFF)
		}
		for part := n; part > 0; part-- {
			d[0], d[11], d[13] = byte(part), 0x0F, Checksum(name)
			if part == n {
				d[0] |= 0x40
			}
			p := u[13*(part-1):]
			for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
				le.PutUint16(d[at:], p[i])
			}
			d = d[32:]
		}
	}
	copy(d, short)
	d[11] = attr
	le.PutUint16(d[22:], 12<<11|34<<5|28)
	le.PutUint16(d[24:], (2026-1980)<<9|3<<5|1)
	le.PutUint16(d[20:], uint16(first>>16))
	le.PutUint16(d[26:], uint16(first))
	le.PutUint32(d[28:], uint32(size))
	return d[:32]
}

// file adds a file with the given clusters and returns its content, a
// pattern.
func (m *image) file(dir uint32, short string, size int, cs ...uint32) []byte {
	m.add(dir, short, "", 0x20, cs[0], size)
	m.chain(cs...)
	var all []byte
	for i, c := range cs {
		d := m.data(c)
		for j := range d {
			d[j] = byte(i*7 + j + j>>8)
		}
		all = append(all, d...)
	}
	return all[:size:size]
}

func (m *image) dir(parent uint32, short string, c uint32) {
	m.add(parent, short, "", 0x10, c, 0)
	m.chain(c)
	m.add(c, ".          ", "", 0x10, c, 0)
	up := parent
	if parent == 2 {
		up = 0
	}
	m.add(c, "..         ", "", 0x10, up, 0)
}

func (m *image) device() fstest.Device { return fstest.NewDevice(m.b, max(m.sector, 512)) }

func (m *image) mount(t testing.TB) *FS {
	t.Helper()
	v, err := Mount(m.device())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sample is a small sound volume with files, a directory and long names.
func sample(sector, perCluster, copies int) *image {
	m := newImage(sector, perCluster, 40, copies)
	m.add(2, "ALPHAOS    ", "", 0x08, 0, 0)
	m.file(2, "FRAGMENTBIN", 3*sector*perCluster-100, 9, 5, 12)
	m.dir(2, "MODELS     ", 3)
	m.add(3, "STORIE~1GGU", "stories 😀 260K.gguf", 0x20, 20, sector+1)
	m.chain(20, 21, 22)
	m.add(3, "EMPTY      ", "", 0x20, 0, 0)
	m.file(3, "JOURNAL LOG", 4*sector*perCluster, 25, 26, 30, 31)
	return m
}
