package volume_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	stdfstest "testing/fstest"

	"github.com/diskfs/go-diskfs/backend/file"
	diskgpt "github.com/diskfs/go-diskfs/partition/gpt"

	"alphaos/engine"
	"alphaos/fs"
	"alphaos/fs/exfat/exfattest"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/gpt"
	"alphaos/fs/readfs"
	"alphaos/fs/volume"
)

const mib = 1 << 20

var le = binary.LittleEndian

// What the volumes hold.
var files = func() map[string][]byte {
	model := bytes.Repeat([]byte("GGUF, or so"), 9000)
	sum := sha256.Sum256(model)
	return map[string][]byte{
		"models/Model.gguf":        model,
		"models/Model.gguf.sha256": fmt.Appendf(nil, "%x  Model.gguf\n", sum),
		"Grüße.txt":                []byte("hello"),
	}
}()

// exFAT returns a volume of 384 KiB.
var exFAT = sync.OnceValue(func() []byte {
	m := make(exfattest.Memory, 384<<10)
	exfattest.Format(m, int64(len(m)), 9, 1, 1, "STICK")
	var items []exfattest.Item
	for name, data := range files {
		items = append(items, exfattest.Item{Path: name, Data: data, Scattered: true})
	}
	exfattest.Write(m, items)
	return m
})

// fat32 returns a volume of 36 MiB.
var fat32 = sync.OnceValue(func() []byte {
	tree := &fat.Tree{}
	for name, data := range files {
		if err := tree.Add(name, fat.Bytes(data)); err != nil {
			panic(err)
		}
	}
	f, err := fat.Plan(tree, 36*mib, 512)
	if err != nil {
		panic(err)
	}
	f.Label = "STICK"
	m := make(exfattest.Memory, 36*mib)
	if err := f.Write(io.NewOffsetWriter(m, 0), 0); err != nil {
		panic(err)
	}
	return m
})

// put puts a partition into entry i of the table in block lba.
func put(b []byte, lba, i int, kind byte, first, count int) {
	e := b[lba*512+446+16*i:]
	e[4] = kind
	le.PutUint32(e[8:], uint32(first))
	le.PutUint32(e[12:], uint32(count))
	b[lba*512+510], b[lba*512+511] = 0x55, 0xAA
}

// withMBR returns a medium with a volume as the only partition.
func withMBR(kind byte, vol []byte) []byte {
	b := append(make([]byte, 64*512), vol...)
	put(b, 0, 0, kind, 64, len(vol)/512)
	return b
}

// logical returns a medium with a volume in an extended partition.
func logical(kind byte, vol []byte) []byte {
	b := append(make([]byte, 64*512), vol...)
	put(b, 0, 1, 0x0F, 32, 32+len(vol)/512)
	put(b, 32, 0, kind, 32, len(vol)/512)
	return b
}

// withGPT returns a medium of size bytes with volumes in partitions.
func withGPT(t *testing.T, size int, volumes ...[]byte) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	table := diskgpt.Table{LogicalSectorSize: 512, PhysicalSectorSize: 512, ProtectiveMBR: true}
	at := 2048
	for i, vol := range volumes {
		n := len(vol) / 512
		table.Partitions = append(table.Partitions, &diskgpt.Partition{Index: i + 1, Start: uint64(at), End: uint64(at + n - 1), Type: diskgpt.MicrosoftBasicData, Name: "part"})
		if _, err := f.WriteAt(vol, int64(at)*512); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	w, err := file.New(f, false).Writable()
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Write(w, int64(size)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkFiles mounts a volume, compares what is on it, and sees that it stays as it is.
func checkFiles(t *testing.T, dev fs.BlockDevice) volume.FS {
	t.Helper()
	v, err := volume.Mount(dev)
	if err != nil {
		t.Error(err)
		return nil
	}
	if v.Label() != "STICK" {
		t.Errorf("label %q", v.Label())
	}
	for name, want := range files {
		if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, error %v", name, len(got), err)
		}
	}
	return v
}

func list(t *testing.T, b []byte) *volume.Medium {
	t.Helper()
	m, err := volume.List(fstest.NewDevice(b, 512))
	if err != nil {
		t.Error(err)
		return &volume.Medium{}
	}
	return m
}

// What lies in a partition counts, not the type that it is said to be of.
func TestMBR(t *testing.T) {
	for _, kind := range []byte{0x01, 0x06, 0x07, 0x0B, 0x0C, 0x0E, 0x17, 0x1B, 0x1C, 0x83, 0xAF, 0xEF} {
		for _, c := range []struct {
			vol  []byte
			want volume.Kind
		}{{exFAT(), volume.ExFAT}, {fat32()[:mib], volume.FAT32}} {
			for index, b := range map[int][]byte{1: withMBR(kind, c.vol), 5: logical(kind, c.vol)} {
				m := list(t, b)
				if m.Scheme != volume.MBR || len(m.Volumes) != 1 || len(m.Notes) != 0 {
					t.Errorf("type %02X: %+v", kind, m)
					continue
				}
				v := m.Volumes[0]
				if v.Index != index || v.First != 64 || v.Kind != c.want || v.MBRType != kind || v.Blocks() != uint64(len(c.vol)/512) {
					t.Errorf("type %02X: %+v", kind, v)
				}
				if c.want == volume.ExFAT {
					checkFiles(t, v)
				}
			}
		}
	}
	m := list(t, withMBR(0x83, fat32()))
	checkFiles(t, m.Volumes[0])

	// One that holds nothing is listed, too, and the other is found behind it.
	b := withMBR(0x07, exFAT())
	put(b, 0, 1, 0x83, 4, 8)
	put(b, 0, 2, 0xEE, 1, 8)
	m = list(t, b)
	if len(m.Volumes) != 2 || m.Volumes[1].Kind != volume.Unknown || m.Volumes[0].Kind != volume.ExFAT {
		t.Errorf("%+v", m)
	}
}

// A stick may be one volume from its first block on.
func TestWhole(t *testing.T) {
	for _, b := range [][]byte{exFAT(), fat32()} {
		m := list(t, b)
		if m.Scheme != volume.Whole || len(m.Volumes) != 1 || m.Volumes[0].Index != 0 {
			t.Fatalf("%+v", m)
		}
		checkFiles(t, m.Volumes[0])
	}
	b := bytes.Clone(exFAT())
	put(b, 0, 0, 0x0C, 3, 3) // code that looks like a partition
	if m := list(t, b); m.Scheme != volume.Whole || m.Volumes[0].Kind != volume.ExFAT {
		t.Errorf("%+v", m)
	}
	b = make([]byte, 1<<20)
	copy(b[1024+56:], "\x53\xEF")
	if m := list(t, b); m.Scheme != volume.Whole || m.Volumes[0].Kind != volume.Ext2 {
		t.Errorf("%+v", m)
	}
	put(b, 0, 0, 0x83, 64, 100) // of what was before the partition table
	if m := list(t, b); m.Scheme != volume.MBR || len(m.Volumes) != 1 {
		t.Errorf("%+v", m)
	}
	for _, b := range [][]byte{nil, make([]byte, 512), make([]byte, mib)} {
		if _, err := volume.List(fstest.NewDevice(b, 512)); !errors.Is(err, volume.ErrNothing) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func TestGPT(t *testing.T) {
	sound := withGPT(t, 3*mib, exFAT(), fat32()[:mib])
	m := list(t, sound)
	if m.Scheme != volume.GPT || len(m.Volumes) != 2 || len(m.Notes) != 0 {
		t.Fatalf("%+v", m)
	}
	if v := m.Volumes[0]; v.Kind != volume.ExFAT || v.Index != 1 || v.First != 2048 || v.Name != "part" || v.TypeGUID != gpt.BasicData || v.Blocks() != 768 {
		t.Errorf("%+v", v)
	}
	if m.Volumes[1].Kind != volume.FAT32 {
		t.Errorf("%+v", m.Volumes[1])
	}
	checkFiles(t, m.Volumes[0])

	// Copied to a larger drive: told, and mended.
	b := append(bytes.Clone(sound), make([]byte, mib)...)
	if m := list(t, b); len(m.Volumes) != 2 || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "larger than its partition table says") {
		t.Errorf("%+v", m)
	}
	if _, err := gpt.Mend(fstest.NewDevice(b, 512)); err != nil {
		t.Error(err)
	}
	if m := list(t, b); len(m.Volumes) != 2 || len(m.Notes) != 0 {
		t.Errorf("%+v", m)
	}
	checkFiles(t, list(t, b).Volumes[0])

	// A hybrid MBR: the GUID partition table counts, until there is none.
	b = bytes.Clone(sound)
	put(b, 0, 1, 0x0C, 2048, 768)
	if m := list(t, b); m.Scheme != volume.GPT || len(m.Volumes) != 2 || len(m.Notes) != 0 {
		t.Errorf("%+v", m)
	}
	clear(b[512 : 34*512])
	clear(b[len(b)-512:])
	m = list(t, b)
	if m.Scheme != volume.MBR || len(m.Volumes) != 1 || m.Volumes[0].Index != 2 || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "damaged") {
		t.Fatalf("%+v", m)
	}
	checkFiles(t, m.Volumes[0])

	// Without one, what is wrong is told.
	put(b, 0, 1, 0, 0, 0)
	if _, err := volume.List(fstest.NewDevice(b, 512)); err == nil || !strings.Contains(err.Error(), "both copies of the partition table are damaged") {
		t.Errorf("error %v", err)
	}

	// A table of which the MBR knows nothing was deleted.
	b = bytes.Clone(sound)
	put(b, 0, 0, 0x07, 2048, 768)
	if m := list(t, b); m.Scheme != volume.MBR || len(m.Volumes) != 1 || m.Volumes[0].Kind != volume.ExFAT {
		t.Errorf("%+v", m)
	}
}

// A file system may be said to be longer than its partition or medium.
func TestLongerThanMedium(t *testing.T) {
	for name, vol := range map[string][]byte{"exFAT": exFAT(), "FAT": fat32()} {
		cut := vol[:len(vol)-64<<10]
		for where, b := range map[string][]byte{"medium": cut, "partition": append(withMBR(0x07, cut), make([]byte, mib)...)} {
			m := list(t, b)
			v := checkFiles(t, m.Volumes[0])
			if n := v.Notes(); len(n) != 1 || !strings.Contains(n[0], "copy may be incomplete") {
				t.Errorf("%s, %s: notes %q", name, where, n)
			}
		}
		// And a partition than its medium.
		m := list(t, withMBR(0x0C, vol)[:64*512+len(cut)])
		if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "Partition 1 is said to reach beyond the end") || m.Volumes[0].Blocks() != uint64(len(cut)/512) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestCases finds and reads volumes of which some were once not found, if they lie beside
// the repository.
func TestCases(t *testing.T) {
	images, _ := filepath.Glob("../../../shared/cases/mbr-types/*.img")
	more, _ := filepath.Glob("../../../shared/cases/fs-longer-than-medium/*.img")
	if len(images) == 0 {
		t.Skip("no images in ../shared/cases beside the repository")
	}
	for _, name := range append(images, more...) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := list(t, b)
		if len(m.Volumes) != 1 || m.Volumes[0].Kind != volume.FAT32 {
			t.Errorf("%s: %+v", name, m)
			continue
		}
		v, err := volume.Mount(m.Volumes[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := 0
		err = iofs.WalkDir(v, ".", func(path string, d iofs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				found++
				_, err = v.ReadFile(path)
			}
			return err
		})
		if err != nil || found == 0 || (len(v.Notes()) == 0) == slices.Contains(more, name) {
			t.Errorf("%s: %d files, notes %q, error %v", name, found, v.Notes(), err)
		}
	}
}

// superblock returns a volume with an ext superblock of these features.
func superblock(compat, incompat, roCompat uint32) []byte {
	b := make([]byte, 4096)
	copy(b[1024+56:], "\x53\xEF")
	le.PutUint32(b[1024+0x5C:], compat)
	le.PutUint32(b[1024+0x60:], incompat)
	le.PutUint32(b[1024+0x64:], roCompat)
	return b
}

func at(off int, magic string) []byte {
	b := make([]byte, 68<<10)
	copy(b[off:], magic)
	return b
}

func fat16(sectors int) []byte {
	b := make([]byte, 4096)
	copy(b, []byte{0xEB, 0x3C, 0x90, 'm', 'k', 'f', 's', 0, 0, 0, 0, 0x00, 0x02, 1, 1, 0, 2, 0, 2, byte(sectors), byte(sectors >> 8), 0xF8, 20})
	return b
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want volume.Kind
		says string
	}{
		{nil, volume.Unknown, "holds no file system that AlphaOS knows"},
		{make([]byte, 512), volume.Unknown, "holds no file system"},
		{bytes.Repeat([]byte{0xFF}, 68<<10), volume.Unknown, "holds no file system"},
		{fat16(4000), volume.FAT12, "is FAT12"},
		{fat16(40000), volume.FAT16, "is FAT16"},
		{superblock(0, 2, 3), volume.Ext2, "is ext2"},
		{superblock(4, 2|4, 3), volume.Ext3, "is ext3"},
		{superblock(4, 0x2C2, 0x46B), volume.Ext4, "is ext4"},
		{superblock(0, 0x40, 0), volume.Ext4, "is ext4"},
		{at(3, "NTFS    "), volume.NTFS, "is NTFS, the file system of Windows"},
		{at(3, "-FVE-FS-"), volume.BitLocker, "is encrypted with BitLocker"},
		{at(32, "NXSB"), volume.APFS, "is APFS, the file system of macOS"},
		{at(1024, "H+\x00\x04"), volume.HFSPlus, "is HFS+"},
		{at(1024, "HX\x00\x05"), volume.HFSPlus, "is HFS+"},
		{at(0, "LUKS\xBA\xBE\x00\x02"), volume.LUKS, "is encrypted with LUKS"},
		{at(64<<10+64, "_BHRfS_M"), volume.Btrfs, "is Btrfs"},
		{at(0, "XFSB"), volume.XFS, "is XFS"},
		{at(1024, "\x10\x20\xF5\xF2"), volume.F2FS, "is F2FS"},
		{at(32769, "CD001"), volume.ISO9660, "is ISO 9660"},
		{at(4086, "SWAPSPACE2"), volume.Swap, "is swap space"},
		{at(512, "LABELONE"), volume.LVM, "belongs to LVM"},
	} {
		checkKind(t, fstest.NewDevice(c.b, 512), c.want, c.says)
	}
}

func checkKind(t *testing.T, dev fs.BlockDevice, want volume.Kind, says string) {
	t.Helper()
	k, err := volume.Identify(dev)
	if err != nil || k != want || !strings.Contains(k.Clause(), says) {
		t.Errorf("it %s; want that it %s; error %v", k.Clause(), says, err)
	}
	_, err = volume.Mount(dev)
	if says == "" {
		if err != nil {
			t.Errorf("mounting: %v", err)
		}
		return
	}
	if k == volume.Ext2 || k == volume.Ext3 || k == volume.Ext4 { // there is no more of it than its first block
		if err == nil {
			t.Error("what is not there was mounted")
		}
		return
	}
	if !errors.Is(err, volume.ErrNotReadable) || !strings.Contains(err.Error(), says) {
		t.Errorf("mounting: %v, want that it %s", err, says)
	}
}

// TestMakers names the volumes that other people's programs make.
func TestMakers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	tried := 0
	for _, c := range []struct {
		command string
		mib     int64
		want    volume.Kind
		says    string // "" if it can be mounted
	}{
		{"mkfs.fat -F 12", 4, volume.FAT12, "is FAT12"},
		{"mkfs.fat -F 16", 32, volume.FAT16, "is FAT16"},
		{"mkfs.fat -F 32", 64, volume.FAT32, ""},
		{"mkfs.fat -F 32 -S 4096 -s 1", 300, volume.FAT32, ""},
		{"mkfs.exfat", 16, volume.ExFAT, ""},
		{"mke2fs -q -t ext2", 4, volume.Ext2, ""},
		{"mke2fs -q -t ext3", 16, volume.Ext3, ""},
		{"mke2fs -q -t ext4", 16, volume.Ext4, ""},
		{"mkfs.ntfs -F -Q -q -s 512 -p 0 -H 0 -S 0", 16, volume.NTFS, "is NTFS"},
		{"mkfs.btrfs -q", 128, volume.Btrfs, "is Btrfs"},
		{"mkfs.xfs -q", 300, volume.XFS, "is XFS"},
		{"mkfs.hfsplus", 16, volume.HFSPlus, "is HFS+"},
	} {
		args := strings.Fields(c.command)
		if _, err := exec.LookPath(args[0]); err != nil {
			continue
		}
		tried++
		os.Remove(name)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, c.mib*mib); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(args[0], append(args[1:], name)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.command, err, out)
			continue
		}
		dev, err := fs.OpenFileDevice(name, 512, false)
		if err != nil {
			t.Fatal(err)
		}
		if c.says != "" {
			checkKind(t, dev, c.want, c.says)
		} else if k, err := volume.Identify(dev); err != nil || k != c.want {
			t.Errorf("%s: it %s, error %v", c.command, k.Clause(), err)
		} else if _, err := volume.Mount(dev); err != nil {
			t.Errorf("%s: %v", c.command, err)
		}
		dev.Close()
	}
	if tried == 0 {
		t.Skip("no program is installed that makes a file system (packages dosfstools, exfatprogs, e2fsprogs)")
	}
}

// Any volume that is mounted is an io/fs.FS from which models can be read, and stays as it is.
func TestMount(t *testing.T) {
	for name, b := range map[string][]byte{"exFAT": bytes.Clone(exFAT()), "FAT": bytes.Clone(fat32())} {
		for _, damage := range []int{0, 512} { // what its first sector is a copy of
			clear(b[:damage])
			before := sha256.Sum256(b)
			dev := fstest.NewDevice(b, 512)
			v := checkFiles(t, dev)
			if v == nil {
				continue
			}
			if err := stdfstest.TestFS(v, "models/Model.gguf", "Grüße.txt"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			models := engine.DirModels(v, "models")
			found, err := models.List()
			if err != nil || len(found) != 1 || found[0].Name != "Model.gguf" {
				t.Fatalf("%s: models %v, error %v", name, found, err)
			}
			r, err := models.Open("Model.gguf")
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, r.Size())
			if _, err := r.ReadAt(p, 0); err != nil || !bytes.Equal(p, files["models/Model.gguf"]) {
				t.Errorf("%s: error %v", name, err)
			}
			if err := r.Verify(); err != nil || r.Note() != "" {
				t.Errorf("%s: %v, %q", name, err, r.Note())
			}
			r.Close()

			if _, ok := v.(interface {
				OpenInPlace(string) (*readfs.InPlace, error)
			}); ok {
				t.Errorf("%s can be written", name)
			}
			if sha256.Sum256(b) != before || dev.Steps() != 0 {
				t.Errorf("%s was written on", name)
			}
		}
	}
}

func TestUnreadable(t *testing.T) {
	dev := fstest.NewDevice(bytes.Clone(exFAT()), 512)
	dev.MakeUnreadable(0, 512)
	if _, err := volume.List(dev); !errors.Is(err, fstest.ErrUnreadable) {
		t.Errorf("error %v", err)
	}
	// A bad block among those that few need hides nothing.
	dev = fstest.NewDevice(bytes.Clone(exFAT()), 512)
	dev.MakeUnreadable(60<<10, 61<<10)
	if k, err := volume.Identify(dev); err != nil || k != volume.ExFAT {
		t.Errorf("it %s, error %v", k.Clause(), err)
	}
}

// Whatever a medium holds, its volumes lie on it and looking for them ends.
func FuzzList(f *testing.F) {
	f.Add(withMBR(0x07, exFAT()[:16<<10]), false)
	f.Add(logical(0x0C, fat32()[:4<<10]), true)
	f.Add(exFAT()[:16<<10], false)
	f.Add(fat16(4000), false)
	f.Add(superblock(4, 2, 3), false)
	b := withMBR(0xEE, exFAT()[:1024])
	put(b, 0, 0, 0xEE, 1, 100)
	copy(b[512:], "EFI PART")
	f.Add(b, false)
	f.Fuzz(func(t *testing.T, data []byte, large bool) {
		bs := 512
		if large {
			bs = 4096
		}
		d := fstest.NewDevice(data, bs)
		m, err := volume.List(d)
		if err != nil {
			if m != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%+v, error %q", m, err)
			}
			return
		}
		for _, v := range m.Volumes {
			if v.First+v.Blocks() > d.Blocks() || v.Blocks() == 0 {
				t.Errorf("volume %+v on a medium of %d blocks", v, d.Blocks())
			}
			if _, err := volume.Mount(v); err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q", err)
			}
		}
		if n := d.Reads(); n > 5000 {
			t.Errorf("%d requests", n)
		}
		if d.Steps() != 0 {
			t.Error("something was written")
		}
	})
}
