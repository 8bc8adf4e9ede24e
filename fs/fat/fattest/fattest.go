// Package fattest damages FAT32 volumes for tests, by their bytes alone.
package fattest

import (
	"encoding/binary"
	"testing"

	"alphaos/fs"
)

// EndOfChain is the entry of a last cluster.
const EndOfChain = 0x0FFFFFFF

// Volume is a volume that is to be damaged.
type Volume struct {
	t                       testing.TB
	dev                     fs.BlockDevice
	sector, table, tableLen int64 // bytes
	data, cluster           int64 // bytes
	Root, Last              uint32
}

// Open looks at the boot sector of a volume.
func Open(t testing.TB, dev fs.BlockDevice) *Volume {
	t.Helper()
	v := &Volume{t: t, dev: dev}
	le := binary.LittleEndian
	v.Change(0, 512, func(b []byte) {
		v.sector = int64(le.Uint16(b[11:]))
		v.table = v.sector * int64(le.Uint16(b[14:]))
		v.tableLen = v.sector * int64(le.Uint32(b[36:]))
		v.data = v.table + int64(b[16])*v.tableLen
		v.cluster = v.sector * int64(b[13])
		v.Root = le.Uint32(b[44:])
		v.Last = uint32((int64(le.Uint32(b[32:]))*v.sector-v.data)/v.cluster) + 1
	})
	return v
}

// Change has f change the n bytes from off on.
func (v *Volume) Change(off, n int64, f func(b []byte)) {
	v.t.Helper()
	size := int64(v.dev.BlockSize())
	first := off / size
	b := make([]byte, (off+n+size-1)/size*size-first*size)
	if err := v.dev.ReadBlocks(uint64(first), b); err != nil {
		v.t.Fatal(err)
	}
	f(b[off-first*size:][:n])
	if err := v.dev.WriteBlocks(uint64(first), b); err != nil {
		v.t.Fatal(err)
	}
}

// Next returns the entry of a cluster.
func (v *Volume) Next(cluster uint32) (next uint32) {
	v.t.Helper()
	v.Change(v.table+4*int64(cluster), 4, func(b []byte) { next = binary.LittleEndian.Uint32(b) })
	return next
}

// Set sets the entry of a cluster in one FAT, 0 or 1, or for -1 in both.
func (v *Volume) Set(table int, cluster, next uint32) {
	v.t.Helper()
	for i := range 2 {
		if table < 0 || table == i {
			v.Change(v.table+int64(i)*v.tableLen+4*int64(cluster), 4, func(b []byte) { binary.LittleEndian.PutUint32(b, next) })
		}
	}
}

// Mark marks the volume as in use, as it is while a system has it mounted.
func (v *Volume) Mark() {
	v.t.Helper()
	v.Change(65, 1, func(b []byte) { b[0] |= 1 })
	v.Set(-1, 1, v.Next(1)&^(1<<27))
}

// Lose takes a chain of n free clusters for no file, and returns the first.
func (v *Volume) Lose(n int) uint32 {
	v.t.Helper()
	next := uint32(EndOfChain)
	for c := v.Last; n > 0 && c > 2; c-- {
		if v.Next(c) == 0 {
			v.Set(-1, c, next)
			next, n = c, n-1
		}
	}
	return next
}

// Entry has f change the directory entry of a file or directory that is in the root or below dirs; all
// by their short names, such as "CONFIG~1JSO".
func (v *Volume) Entry(dirs []string, short string, f func(raw []byte)) {
	v.t.Helper()
	at := v.Root
	for i := 0; ; i++ {
		want := short
		if i < len(dirs) {
			want = dirs[i]
		}
		found := false
		for c := at; c >= 2 && c <= v.Last && !found; c = v.Next(c) & 0x0FFFFFFF {
			v.Change(v.data+int64(c-2)*v.cluster, v.cluster, func(b []byte) {
				for ; len(b) >= 32 && !found; b = b[32:] {
					if string(b[:11]) != want || b[11] == 0x0F {
						continue
					}
					found = true
					if i == len(dirs) {
						f(b[:32])
					}
					at = First(b)
				}
			})
		}
		if !found {
			v.t.Fatalf("there is no entry %q", want)
		}
		if i == len(dirs) {
			return
		}
	}
}

// First returns the first cluster of a directory entry.
func First(raw []byte) uint32 {
	le := binary.LittleEndian
	return uint32(le.Uint16(raw[20:]))<<16 | uint32(le.Uint16(raw[26:]))
}

// SetFirst sets it.
func SetFirst(raw []byte, c uint32) {
	binary.LittleEndian.PutUint16(raw[20:], uint16(c>>16))
	binary.LittleEndian.PutUint16(raw[26:], uint16(c))
}

// SetSize sets a file's size in its directory entry.
func SetSize(raw []byte, n uint32) { binary.LittleEndian.PutUint32(raw[28:], n) }
