package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// withOrphans makes what a kernel with orphan_file leaves that is switched off: files that were deleted while they were open, and
// one of 300,000 bytes that was being cut to 1,000; in the first slot of the file, in the last of its first block and in its last block.
func withOrphans(t *testing.T, options string) (d *fstest.Disk, free int64) {
	t.Helper()
	d = made(t, 24, rand.New(rand.NewPCG(7, 8)), strings.Fields("-b 1024 -O orphan_file"+options)...)
	v := mounted(t, d)
	free, _ = v.Free()
	names := []string{"deleted", "cut", "deleted too"}
	for _, name := range names {
		if err := v.WriteFile(name, fill(1, 300000)); err != nil {
			t.Fatal(err)
		}
	}
	numbers := make([]uint32, len(names))
	for i, name := range names {
		numbers[i] = must(v.resolve("test", name, true)).number
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, i := range []int{0, 2} {
		commands = append(commands, fmt.Sprintf("unlink \"/%s\"", names[i]), fmt.Sprintf("set_inode_field <%d> links_count 0", numbers[i]))
	}
	byDebugfs(t, d, append(commands, "set_inode_field cut size 1000")...)
	v = mounted(t, d)
	n := must(v.readInode(v.orphanFile))
	last := uint64(n.size/v.block) - 1
	slots := []struct {
		block uint64
		at    int
	}{{0, 0}, {0, 1024 - orphanTail - 4}, {last, 40}}
	for i, s := range slots {
		at := must(v.locate(n, s.block)).first
		b := d.Bytes()[at*1024:][:1024]
		binary.LittleEndian.PutUint32(b[s.at:], numbers[i])
		if v.is(roMetadataSum) {
			binary.LittleEndian.PutUint32(b[1020:], orphanSum(n, at, b))
		}
	}
	s := d.Bytes()[superAt:][:superSize]
	binary.LittleEndian.PutUint32(s[0x64:], v.roCompat|roOrphans)
	v.sealSuper(s)
	return d, free
}

// What a kernel with orphan_file left goes with the first change, however that is cut, and the mark of it as well.
func TestOrphanFile(t *testing.T) {
	for _, options := range []string{"", ",^metadata_csum,^64bit"} {
		t.Run(options, func(t *testing.T) {
			made, free := withOrphans(t, options)
			img := filepath.Join(t.TempDir(), "img")
			write(t, img, made.Bytes())
			if said := program(t, "", []int{1}, "e2fsck", "-p", img); strings.Count(said, "Clearing orphaned inode") != 2 || !strings.Contains(said, "Truncating orphaned inode") {
				t.Fatalf("e2fsck takes it for something else: %s", said)
			}
			for cut := 1; ; cut++ {
				d := fstest.New(made.Size(), 512, 0, rand.New(rand.NewPCG(1, 2)))
				copy(d.Bytes(), made.Bytes())
				v := mounted(t, d)
				if err := v.Writable(); err != nil || len(v.Notes()) > 0 {
					t.Fatal(err, v.Notes())
				}
				d.Tear, d.InOrder = fstest.TearPart, cut%2 == 0
				d.CutAfter(cut)
				failed := errors.Join(v.WriteFile("other", nil), v.Sync())
				d.PowerOn()
				v = mounted(t, d)
				if err := errors.Join(v.WriteFile("other", nil), v.Sync()); err != nil {
					t.Fatal(cut, err)
				}
				v = mounted(t, d)
				if now, _ := v.Free(); now != free-1024 || v.is(roOrphans) || len(v.slots) > 0 || len(v.Notes()) > 0 {
					t.Fatalf("cut %d: %d bytes are free, and were before: %d; %d orphans, notes %q", cut, now, free, len(v.slots), v.Notes())
				}
				if b, err := v.ReadFile("cut"); err != nil || !slices.Equal(b, fill(1, 300000)[:1000]) {
					t.Fatal(cut, err)
				}
				if cut%8 == 1 || failed == nil {
					judged(t, d, false)
				}
				if failed == nil {
					break
				}
			}
		})
	}
}

// A backup of the superblock does not say that there are orphans: the file itself does.
func TestOrphanFileByBackup(t *testing.T) {
	d, free := withOrphans(t, "")
	clear(d.Bytes()[superAt:][:512])
	v := mounted(t, d)
	if err := errors.Join(v.WriteFile("other", nil), v.Sync()); err != nil {
		t.Fatal(err)
	}
	if now, _ := v.Free(); now != free-1024 {
		t.Errorf("%d bytes are free, and were before: %d", now, free)
	}
	judged(t, d, false)
}

// With an orphan file that is damaged a volume is only read, and nothing is written.
func TestOrphanFileDamaged(t *testing.T) {
	for name, damage := range map[string]func(v *FS, n *inode, b []byte){
		"magic":    func(_ *FS, _ *inode, b []byte) { b[1016] ^= 1 },
		"checksum": func(_ *FS, _ *inode, b []byte) { b[1020] ^= 1 },
		"entry":    func(_ *FS, _ *inode, b []byte) { b[100] ^= 1 },
	} {
		d, _ := withOrphans(t, "")
		v := mounted(t, d)
		n := must(v.readInode(v.orphanFile))
		damage(v, n, d.Bytes()[must(v.locate(n, 0)).first*1024:][:1024])
		before := slices.Clone(d.Bytes())
		v = mounted(t, d)
		err := v.WriteFile("x", nil)
		if err == nil || !strings.Contains(err.Error(), "the volume is only read: it has orphans that wait to be removed") || !strings.Contains(err.Error(), "block 0 of it does not match its checksum); check it with e2fsck") {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := v.ReadFile("cut"); err != nil || len(b) != 1000 {
			t.Error(name, err)
		}
		if err := v.Sync(); err != nil || !slices.Equal(before, d.Bytes()) {
			t.Error(name, "something was written:", err)
		}
	}
}

// An orphan that can't be removed stays in its slot, which is said; the others go.
func TestOrphanFileThatStays(t *testing.T) {
	d, free := withOrphans(t, ",^metadata_csum")
	v := mounted(t, d)
	binary.LittleEndian.PutUint32(d.Bytes()[v.slots[0].block*1024+4:], 8) // the volume's journal
	v = mounted(t, d)
	if err := errors.Join(v.WriteFile("other", nil), v.Sync()); err != nil {
		t.Fatal(err)
	}
	v = mounted(t, d)
	if now, _ := v.Free(); now != free-1024 || len(v.slots) != 1 || v.slots[0].inode != 8 || !v.is(roOrphans) {
		t.Errorf("%d bytes are free, and were before: %d; %d orphans", now, free, len(v.slots))
	}
	if err := v.WriteFile("again", nil); err != nil {
		t.Fatal(err)
	}
	if notes := v.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "can't be removed, and take room: one is said to be the file system's own inode 8") {
		t.Errorf("%q", notes)
	}
	v.notes = nil
	if err := errors.Join(v.Sync(), v.WriteFile("once more", nil)); err != nil || len(v.Notes()) > 0 {
		t.Errorf("it is tried again: %q, %v", v.Notes(), err)
	}
}

// flushes counts what a device is asked to flush.
type flushes struct {
	fs.BlockDevice
	n int
}

func (f *flushes) Flush() error { f.n++; return f.BlockDevice.Flush() }

// Many orphans go in a few transactions, also around one that stays; an orphan file that names too many is not followed.
func TestOrphanFileOfMany(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(7, 8)), strings.Fields("-b 1024 -O orphan_file,^metadata_csum")...)
	v := mounted(t, d)
	const many = 150
	var commands []string
	var slots []byte
	for i := range many {
		name := fmt.Sprint("f", i)
		if err := v.WriteFile(name, fill(1, 3000)); err != nil {
			t.Fatal(err)
		}
		number := must(v.resolve("test", name, true)).number
		if i == 100 {
			number = 8
		} else {
			commands = append(commands, "unlink /"+name, fmt.Sprintf("set_inode_field <%d> links_count 0", number))
		}
		slots = binary.LittleEndian.AppendUint32(slots, number)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	byDebugfs(t, d, commands...)
	copy(d.Bytes()[must(v.locate(must(v.readInode(v.orphanFile)), 0)).first*1024:], slots)
	binary.LittleEndian.PutUint32(d.Bytes()[superAt+0x64:], v.roCompat|roOrphans)
	dev := &flushes{BlockDevice: must(fs.NewFileDevice(d, d.Size(), 512))}
	v = must(Mount(dev))
	free := must(v.Free())
	if err := v.WriteFile("other", nil); err != nil || dev.n > 30 {
		t.Errorf("%d flushes, %v", dev.n, err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if v = mounted(t, d); must(v.Free()) != free+(many-1)*3<<10 || len(v.slots) != 1 {
		t.Errorf("%d bytes are free, and were before: %d; %d orphans", must(v.Free()), free, len(v.slots))
	}
	copy(d.Bytes()[v.slots[0].block*1024:][v.slots[0].at:], make([]byte, 4))
	if v = mounted(t, d); v.WriteFile("other", nil) != nil || v.Sync() != nil {
		t.Error("it is not written")
	}
	judged(t, d, false)

	defer func(n int) { maxOrphans = n }(maxOrphans)
	maxOrphans = 2
	d, _ = withOrphans(t, "")
	if err := mounted(t, d).Writable(); err == nil || !strings.Contains(err.Error(), "names more than 2 files") {
		t.Error(err)
	}
}

// FuzzOrphanFile takes any bytes as a block of the orphan file.
func FuzzOrphanFile(f *testing.F) {
	d := made(f, 3, rand.New(rand.NewPCG(1, 1)), strings.Fields("-b 1024 -N 64 -J size=1 -O orphan_file,^resize_inode,^metadata_csum")...)
	v := mounted(f, d)
	for i := range 5 {
		if err := v.WriteFile(fmt.Sprint(i), make([]byte, 3000)); err != nil {
			f.Fatal(err)
		}
	}
	if err := v.Sync(); err != nil {
		f.Fatal(err)
	}
	at := must(v.locate(must(v.readInode(v.orphanFile)), 0)).first * 1024
	binary.LittleEndian.PutUint32(d.Bytes()[superAt+0x64:], v.roCompat|roOrphans)
	images := d.Bytes()
	f.Add(images[at:][:1024])
	le := binary.LittleEndian
	f.Add(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 12), 13), 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		data := slices.Clone(images)
		copy(data[at:][:1024], b)
		v, err := Mount(fstest.NewDevice(data, 512))
		if err != nil {
			t.Fatal(err) // the rest of it is in order
		}
		if err := v.Writable(); err != nil {
			return
		}
		if err := errors.Join(v.WriteFile("x", []byte("text")), v.Sync()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Check(fs.CheckOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}
