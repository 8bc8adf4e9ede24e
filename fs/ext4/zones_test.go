package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"alphaos/fs"
)

// The file system's own blocks are those of no two things, and all are marked as used.
func ownZones(t *testing.T, v *FS) {
	t.Helper()
	zones, err := v.zones()
	if err != nil || len(zones) == 0 {
		t.Fatalf("%v, %v", zones, err)
	}
	if v.roCompat&roBigalloc != 0 {
		return
	}
	for _, r := range zones {
		for at := max(r.first, v.first); at < r.first+r.count; at++ {
			g := (at - v.first) / v.perGroup
			if b, err := v.blockBitmap(g); err != nil || !bit(b, at-v.groupStart(g)) {
				t.Fatalf("block %d is free: %v", at, err)
			}
		}
	}
}

// Whatever an image says, files do not get to lie over the file system's own blocks: what is said to is not changed.
func TestZones(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	if err := errors.Join(v.WriteFile("f", make([]byte, 10<<10)), v.Mkdir("d"), v.Sync()); err != nil {
		t.Fatal(err)
	}
	sound := slices.Clone(d.Bytes())
	// raw changes an inode on the medium.
	raw := func(number uint32, f func(raw []byte)) {
		at := int64(must(v.inodeTable(0)))*1024 + int64(number-1)*v.inodeSize
		b := d.Bytes()[at:][:v.inodeSize]
		f(b)
		v.sealInode(number, b)
	}
	f, dir := must(v.resolve("test", "f", true)), must(v.resolve("test", "d", true))
	desc := must(v.descriptor(0))
	bitmap, inodes := must(v.place(desc, blockBitmapAt)), must(v.place(desc, inodeBitmapAt))
	j := must(v.openJournal())
	for name, block := range map[string]uint64{
		"the superblock": 1, "descriptors": 2, "the blocks' bitmap": bitmap, "the inodes' bitmap": inodes, "inodes": must(v.inodeTable(0)) + 3,
		"into the inodes": must(v.inodeTable(0)) - 5, "a copy of the superblock": v.groupStart(1), "the journal": must(j.at(77)), "the boot sector": 0,
	} {
		copy(d.Bytes(), sound)
		raw(f.number, func(b []byte) {
			e := encodeExtent(extent{0, 10, block, false})
			copy(b[0x28+extentSize:], e[:])
		})
		raw(dir.number, func(b []byte) {
			e := encodeExtent(extent{0, 1, block, false})
			copy(b[0x28+extentSize:], e[:])
		})
		for what, do := range map[string]func(v *FS) error{
			"overwrite": func(v *FS) error {
				w, err := v.OpenWriter("f")
				if err == nil {
					_, err = w.WriteAt([]byte("x"), 2000)
					err = errors.Join(err, w.Close())
				}
				return err
			},
			"in place": func(v *FS) error {
				f, err := v.OpenInPlace("f")
				if err == nil {
					_, err = f.WriteAt([]byte("x"), 2000)
				}
				return err
			},
			"pin":     func(v *FS) error { _, err := v.Pin("f"); return err },
			"replace": func(v *FS) error { return v.WriteFile("f", nil) },
			"remove":  func(v *FS) error { return v.Remove("f") },
			"make":    func(v *FS) error { return v.Mkdir("d/x") },
		} {
			before := slices.Clone(d.Bytes())
			v := mounted(t, d)
			err := do(v)
			if err == nil || what != "make" && !strings.Contains(err.Error(), "which is the file system's own") && block > 1 {
				t.Errorf("%s: %s: %v", name, what, err)
			}
			if err := v.Sync(); err != nil {
				t.Errorf("%s: %s: %v", name, what, err)
			}
			span := d.Bytes()[block*1024:][:10<<10]
			if was := before[block*1024:][:10<<10]; block != 1 && block != 0 && name != "the journal" && !bytes.Equal(span, was) { // which follow the volume's use
				t.Errorf("%s: %s: it was overwritten", name, what)
			}
		}
		if r, err := mounted(t, d).Check(fs.CheckOptions{}); err != nil || !strings.Contains(r.String(), "/f") {
			t.Errorf("%s: a check says %q, %v", name, r, err)
		}
	}
	// A bitmap that says they are free gives them to nobody.
	copy(d.Bytes(), sound)
	last := must(v.inodeTable(0)) + uint64(v.inodesPerGroup)*uint64(v.inodeSize)/1024 - 1
	byDebugfs(t, d, "freeb "+fmt.Sprint(last)+" 1", "freeb "+fmt.Sprint(must(j.at(100)))+" 5")
	w := mounted(t, d)
	name := "all"
	o, err := w.Create(name)
	for err == nil {
		_, err = o.Write(bytes.Repeat([]byte{0xFF}, 100<<10))
	}
	if o.Discard(); !errors.Is(err, fs.ErrNoRoom) {
		t.Error(err)
	}
	if b := d.Bytes()[last*1024:][:1024]; !bytes.Equal(b, make([]byte, 1024)) {
		t.Error("content lies among the inodes")
	}
	if err := w.Sync(); err != nil {
		t.Error(err)
	}
	// A journal that lies among the inodes is not written.
	copy(d.Bytes(), sound)
	raw(v.journal, func(b []byte) {
		x := must(parseExtentNode(b[0x28:][:60]))
		first := x.extent(0)
		binary.LittleEndian.PutUint16(b[0x28+2:], 2)
		for i, e := range []extent{{0, 1, first.first, false}, {1, 500, must(v.inodeTable(0)) + 8, false}} {
			e := encodeExtent(e)
			copy(b[0x28+extentSize*(1+i):], e[:])
		}
	})
	before := slices.Clone(d.Bytes())
	w = mounted(t, d)
	if err := w.WriteFile("x", nil); !errors.Is(err, fs.ErrUnwritable) || !strings.Contains(err.Error(), "is said to be two things of the file system's own") {
		t.Error(err)
	}
	if err := w.Sync(); err != nil || !bytes.Equal(before, d.Bytes()) {
		t.Error("something was written:", err)
	}
}

// However many groups a volume claims, and in however many pieces its own blocks are said to lie, it does not take long to say no; and one that claims to be
// longer than its medium is read.
func TestZonesAreBounded(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), strings.Fields("-b 1024 -O 64bit,^metadata_csum,^resize_inode")...)
	v := mounted(t, d)
	if err := errors.Join(v.WriteFile("f", []byte("text")), v.WriteFile("map", make([]byte, 3<<10)), v.Sync()); err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	sound := slices.Clone(d.Bytes())
	le.PutUint32(d.Bytes()[superAt+0x150:], 1) // 2^32 blocks
	v = mounted(t, d)
	if _, err := v.zones(); !errors.Is(err, errTooLong) || !errors.Is(v.Writable(), fs.ErrUnwritable) {
		t.Errorf("%v, %v", err, v.Writable())
	}
	f, err := v.OpenInPlace("f")
	b := make([]byte, 4)
	if err == nil {
		_, err = f.ReadAt(b, 0)
	}
	if err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}

	defer func(n int) { maxZones = n }(maxZones)
	maxZones = 100
	copy(d.Bytes(), sound)
	v = mounted(t, d)
	list, _, err := v.extentsOf(must(v.resolve("t", "map", true)))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	// A block map that leads to the same blocks again and again.
	block := func(i uint64) []byte { return d.Bytes()[(list[0].first+i)*1024:][:1024] }
	for i := range 256 {
		le.PutUint32(block(0)[4*i:], uint32(list[0].first+1))
		le.PutUint32(block(1)[4*i:], uint32(15000+2*(i%2)))
	}
	raw := d.Bytes()[int64(must(v.inodeTable(0)))*1024+int64(v.journal-1)*v.inodeSize:][:v.inodeSize]
	le.PutUint32(raw[0x20:], le.Uint32(raw[0x20:])&^flagExtents)
	clear(raw[0x28:][:60])
	le.PutUint32(raw[0x28+13*4:], uint32(list[0].first))
	if _, err := mounted(t, d).zones(); !errors.Is(err, errZones) {
		t.Error(err)
	}

	maxZones = 2
	copy(d.Bytes(), sound)
	desc := d.Bytes()[v.descriptorsAt(0)[0]*1024:]
	copy(desc[inodeBitmapAt:][:4], desc[blockBitmapAt:][:4])
	v = mounted(t, d)
	if _, err := v.zones(); err == nil || !strings.Contains(err.Error(), "is said to be two things") {
		t.Error(err)
	}
	if f, err = v.OpenInPlace("f"); err == nil {
		_, err = f.WriteAt([]byte("x"), 0)
	}
	if !errors.Is(err, fs.ErrUnwritable) {
		t.Error("it is overwritten in place:", err)
	}
}
