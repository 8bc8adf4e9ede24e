package exfat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/fs"
	"alphaos/fs/exfat/exfattest"
	disk "alphaos/fs/fstest"
)

func mount(t testing.TB, m []byte, block int) *FS {
	t.Helper()
	v, err := Mount(disk.NewDevice(m, block))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fsck asks exfatprogs if a volume is right.
func fsck(t *testing.T, name string) {
	t.Helper()
	program, err := exec.LookPath("fsck.exfat")
	if err != nil {
		t.Log("fsck.exfat is not installed (package exfatprogs): it was not asked about the volume")
		return
	}
	if out, err := exec.Command(program, "-n", name).CombinedOutput(); err != nil || !strings.Contains(string(out), "clean") {
		t.Errorf("fsck.exfat: %v\n%s", err, out)
	}
}

var layouts = []struct {
	sectorShift, clusterShift, tables, block int
	size                                     int64
}{
	{9, 0, 1, 512, 1 << 20},
	{9, 3, 1, 512, 8 << 20},
	{9, 3, 1, 4096, 8 << 20},
	{9, 6, 1, 512, 24 << 20},
	{12, 0, 1, 4096, 4 << 20},
	{12, 1, 1, 4096, 8 << 20},
	{12, 1, 1, 512, 8 << 20},
	{9, 2, 2, 512, 4 << 20}, // TexFAT, which fsck.exfat does not take
}

func TestVolumes(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("%d-%d-%d-%d", 1<<l.sectorShift, 1<<l.clusterShift, l.tables, l.block), func(t *testing.T) {
			items := sample(1 << (l.sectorShift + min(l.clusterShift, 3)))
			m, _ := newImage(l.size, l.sectorShift, l.clusterShift, l.tables, items)
			if l.tables == 1 {
				name := filepath.Join(t.TempDir(), "image")
				if err := os.WriteFile(name, m, 0o600); err != nil {
					t.Fatal(err)
				}
				fsck(t, name)
			}
			v := mount(t, m, l.block)
			if v.Label() != "STICK ä" || len(v.Notes()) != 0 {
				t.Errorf("label %q, notes %q", v.Label(), v.Notes())
			}
			check(t, v, items)
			if err := fstest.TestFS(v, slices.Collect(maps.Keys(want(items)))...); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMkfs reads volumes that mkfs.exfat has formatted.
func TestMkfs(t *testing.T) {
	mkfs, err := exec.LookPath("mkfs.exfat")
	if err != nil {
		t.Skip("mkfs.exfat is not installed (package exfatprogs)")
	}
	for _, c := range []struct {
		args  string
		block int
		size  int64 // sparse
	}{
		{"", 512, 64 << 20},
		{"-c 512", 512, 16 << 20},
		{"-c 4096", 4096, 16 << 20},
		{"-c 32K", 512, 256 << 20},
		{"-c 128K", 4096, 1 << 30},
		{"-c 1M --pack-bitmap", 512, 4 << 30},
		{"-c 32M", 512, 64 << 30},
		{"-s 4096", 4096, 256 << 20},
		{"-s 4096 -c 4096", 4096, 64 << 20},
	} {
		t.Run(c.args, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "image")
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(c.size); err != nil {
				t.Fatal(err)
			}
			if help, _ := exec.Command(mkfs, "-h").CombinedOutput(); strings.Contains(c.args, "-s ") && !strings.Contains(string(help), "sector-size") {
				t.Skip("this mkfs.exfat does not choose the sector size")
			}
			args := append(strings.Fields(c.args), "-L", "Stöck 12", name)
			cmd := exec.Command(mkfs, args...)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("mkfs.exfat: %v\n%s", err, out)
			}
			items := sample(4096)
			exfattest.Write(f, items)
			fsck(t, name)
			dev, err := fs.NewFileDevice(f, c.size, c.block)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			if v.Label() != "Stöck 12" || len(v.Notes()) != 0 {
				t.Errorf("label %q, notes %q", v.Label(), v.Notes())
			}
			check(t, v, items)
		})
	}
}

// A model may be larger than what FAT32 can hold, in one piece or many, and what was not
// written of it is zeros.
func TestLargeFiles(t *testing.T) {
	const size = 20 << 30
	name := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Skip("no sparse files here:", err)
	}
	exfattest.Format(f, size, 9, 8, 1, "LARGE")
	items := []item{
		{Path: "contiguous.gguf", Data: content(1, 1000), Size: 5<<30 + 5},
		{Path: "scattered.gguf", Data: content(2, 300<<10), Size: 4<<30 + 7, Scattered: true},
		{Path: "begun.gguf", Data: content(3, 1000), Size: 4<<30 + 9, Valid: 600},
	}
	exfattest.Write(f, items)
	fsck(t, name)
	dev, err := fs.NewFileDevice(f, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		info, err := v.Stat(it.Path)
		if err != nil || info.Size() != it.Size {
			t.Fatalf("%v, error %v", info, err)
		}
		e, err := v.lookup("open", it.Path)
		if err != nil {
			t.Fatal(err)
		}
		runs, err := v.runs(e.first, e.size, e.contiguous)
		if err != nil || it.Scattered && len(runs) < 30000 || !it.Scattered && len(runs) != 1 {
			t.Fatalf("%s: %d pieces, error %v", it.Path, len(runs), err)
		}
		// What is at the file's end is known by its place on the medium.
		end := []byte("the end")
		if it.Valid == 0 {
			last := runs[len(runs)-1]
			at := last.At + it.Size - last.Off - int64(len(end))
			if _, err := f.WriteAt(end, at); err != nil {
				t.Fatal(err)
			}
		}
		file, err := v.Open(it.Path)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(it.Data))
		want := slices.Clone(it.Data)
		if it.Valid != 0 {
			clear(want[it.Valid:])
		}
		r := file.(io.ReaderAt)
		if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: wrong begin, error %v", it.Path, err)
		}
		got = make([]byte, 20)
		n, err := r.ReadAt(got, it.Size-int64(len(end)))
		if it.Valid != 0 {
			clear(end)
		}
		if n != len(end) || err != io.EOF || !bytes.Equal(got[:n], end) {
			t.Errorf("%s: the end is %q, error %v", it.Path, got[:n], err)
		}
		file.Close()
		if _, err := v.ReadFile(it.Path); err == nil {
			t.Errorf("%s was read as a whole", it.Path)
		}
	}
}

func TestTimes(t *testing.T) {
	items := sample(512)
	m, _ := newImage(1<<20, 9, 0, 1, items)
	v := mount(t, m, 512)
	for _, it := range items {
		if it.Modified.IsZero() {
			continue
		}
		info, err := v.Stat(it.Path)
		if err != nil || !info.ModTime().Equal(it.Modified) {
			t.Errorf("%s: %v, want %v; error %v", it.Path, info.ModTime(), it.Modified, err)
		}
	}
	for _, c := range []struct {
		stamp      uint32
		hundredths byte
		offset     byte
		want       string
	}{
		// From the specification: 10ms units up to 199, offsets as signed quarters.
		{44<<25 | 3<<21 | 9<<16 | 12<<11 | 30<<5 | 7, 199, 0x80, "2024-03-09T12:30:15.99Z"},
		{44<<25 | 3<<21 | 9<<16 | 12<<11 | 30<<5 | 7, 0, 0x80 | 52, "2024-03-08T23:30:14Z"},
		{44<<25 | 3<<21 | 9<<16 | 12<<11 | 30<<5 | 7, 0, 0xD0, "2024-03-10T00:30:14Z"},
		{44<<25 | 3<<21 | 9<<16 | 12<<11 | 30<<5 | 7, 0, 0x50, "2024-03-09T12:30:14Z"},
		{0, 0, 0x80, "0001-01-01T00:00:00Z"},
	} {
		if got := decodeTime(c.stamp, c.hundredths, c.offset).Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%#x, %d, %#x is %s, want %s", c.stamp, c.hundredths, c.offset, got, c.want)
		}
	}
}

// A file is read in large requests and its clusters are not looked for again.
func TestRequests(t *testing.T) {
	m, _ := newImage(64<<20, 9, 6, 1, []item{
		{Path: "large", Data: content(1, 24<<20)},
		{Path: "pieces", Data: content(2, 8<<20), Scattered: true},
	})
	dev := disk.NewDevice(m, 512)
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Open("large")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := dev.Reads()
	if _, err := f.(io.ReaderAt).ReadAt(make([]byte, 24<<20), 0); err != nil {
		t.Fatal(err)
	}
	if n := dev.Reads() - before; n != 3 {
		t.Errorf("%d requests for 24 MiB, want 3", n)
	}
	before = dev.Reads()
	g, err := v.Open("pieces")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if n := dev.Reads() - before; n > 2 {
		t.Errorf("%d requests to open a file of 256 pieces", n)
	}
	before = dev.Reads()
	for i := range int64(100) {
		if _, err := g.(io.ReaderAt).ReadAt(make([]byte, 4096), (i*7919%2000)*4096); err != nil {
			t.Fatal(err)
		}
	}
	if n := dev.Reads() - before; n != 100 {
		t.Errorf("%d requests for 100 random reads", n)
	}
}

func TestNames(t *testing.T) {
	m, _ := newImage(1<<20, 9, 0, 1, []item{
		{Path: "space.gguf ", Data: []byte("1")},
		{Path: "dot.gguf.", Data: []byte("2")},
		{Path: "end\uF028", Data: []byte("3")},
		{Path: "both", Data: []byte("4")},
		{Path: "both.", Data: []byte("5")},
		{Path: "what\uF025", Data: []byte("6")},
		{Path: "back\\slash", Data: []byte("7")},
		{Path: "..", Data: []byte("8")},
		{Path: "Straße", Data: []byte("9")},
		{Path: "with entries of somebody's own", Data: []byte("A"), Extra: 2},
		{Path: "and after it", Data: []byte("B")},
	})
	v := mount(t, m, 512)
	for name, want := range map[string]string{
		"space.gguf": "1", "dot.gguf": "2", "end": "3", "both": "4", "both.": "5", "what?": "6", "back_slash": "7", "__": "8", "STRAßE": "9",
		"with entries of somebody's own": "A", "and after it": "B",
	} {
		if got, err := v.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%q holds %q, want %q; error %v", name, got, want, err)
		}
	}
	for _, bad := range []string{"missing", "space.gguf/x", "/both", "a/../both", strings.Repeat("d/", maxDepth) + "f"} {
		if _, err := v.Open(bad); err == nil {
			t.Errorf("%q was opened", bad)
		}
	}
}

func TestOtherVolumes(t *testing.T) {
	for name, b := range map[string][]byte{"nothing": nil, "zeros": make([]byte, 1<<20), "tiny": make([]byte, 512)} {
		if _, err := Mount(disk.NewDevice(b, 512)); !errors.Is(err, ErrNotExFAT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// damaged tells what is said of a volume that something has happened to.
func TestDamage(t *testing.T) {
	const sector = 512
	items := []item{
		{Path: "dir/inner", Data: content(1, 100)},
		{Path: "dir/sub/leaf", Data: content(1, 100)},
		{Path: "file", Data: content(2, 3000), Scattered: true},
		{Path: "flat", Data: content(3, 3000)},
		{Path: "last", Data: content(4, 3000)},
	}
	sound, at := newImage(256<<10, 9, 0, 1, items)
	w := exfattest.Open(sound)
	root := w.Root
	first := func(m memory, name string) uint32 { return le.Uint32(m[at[name]+32+20:]) }
	boot := func(f func(b memory)) func(m memory) {
		return func(m memory) {
			f(m)
			exfattest.SealBoot(m[:12*sector])
			copy(m[12*sector:], m[:12*sector])
		}
	}
	set := func(name string, f func(set []byte)) func(m memory) {
		return func(m memory) {
			f(m[at[name]:])
			exfattest.SealSet(m[at[name]:])
		}
	}
	table := func(c, to uint32) func(m memory) {
		return func(m memory) { exfattest.Open(m).Link(c, to) }
	}
	fileFirst := first(sound, "file")
	second := le.Uint32(sound[w.Table+4*int64(fileFirst):])
	for _, c := range []struct {
		name  string
		spoil func(m memory)
		open  string // "" for Mount
		want  string // part of the error
	}{
		{"boot checksum", func(m memory) { m[sector+5]++; m[13*sector+5]++ }, "", "checksum of its boot sectors"},
		{"sector size", boot(func(b memory) { b[108] = 13 }), "", "bytes in a sector"},
		{"cluster size", boot(func(b memory) { b[109] = 17 }), "", "sectors in a cluster"},
		{"revision", boot(func(b memory) { b[105] = 2 }), "", "revision 2.00"},
		{"length", boot(func(b memory) { b[79] = 0xFF }), "", "sectors"},
		{"no FAT", boot(func(b memory) { b[110] = 0 }), "", "0 FATs"},
		{"FAT in the boot region", boot(func(b memory) { b[80] = 3 }), "", "where they cannot be"},
		{"FAT in the heap", boot(func(b memory) { b[85] = 0xFF }), "", "where they cannot be"},
		{"small FAT", boot(func(b memory) { b[84] = 1 }), "", "where they cannot be"},
		{"no clusters", boot(func(b memory) { clear(b[92:96]) }), "", "where they cannot be"},
		{"too many clusters", boot(func(b memory) { b[95] = 0xFF }), "", "where they cannot be"},
		{"root 1", boot(func(b memory) { le.PutUint32(b[96:], 1) }), "", "root directory is in cluster 1"},
		{"root far", boot(func(b memory) { le.PutUint32(b[96:], 1<<30) }), "", "root directory is in cluster"},
		{"heap beyond the medium", boot(func(b memory) { le.PutUint64(b[72:], 1<<40); le.PutUint32(b[88:], 1<<30) }), "", "copy of this drive may be incomplete"},
		{"root loop", table(root, root), "", "returns to itself"},
		{"root chain to nowhere", table(root, 1), "", "cluster 1"},
		{"root chain to a bad cluster", table(root, 0xFFFFFFF7), "", "bad cluster"},
		{"loop", table(second, fileFirst), "file", "returns to itself"},
		{"loop of one", table(fileFirst, fileFirst), "file", "returns to itself"},
		{"early end", table(second, 0xFFFFFFFF), "file", "ends after 2 of 6"},
		{"chain out of the volume", table(second, 0x0FFFFFFF), "file", "does not exist"},
		{"bad cluster", table(second, 0xFFFFFFF7), "file", "bad cluster"},
		{"free cluster", table(second, 0), "file", "cluster 0"},
		{"size", set("file", func(s []byte) { s[32+28] = 1 }), "file", "more than the volume holds"},
		{"absurd size", set("file", func(s []byte) { s[32+31] = 0xFF }), "file", "claims"},
		{"valid beyond size", set("flat", func(s []byte) { s[32+9] = 0xFF }), "flat", "of which"},
		{"no clusters for a size", set("flat", func(s []byte) { s[33] = 0 }), "flat", "no clusters"},
		{"contiguous beyond the end", set("flat", func(s []byte) { le.PutUint32(s[32+20:], w.Clusters) }), "flat", "does not exist"},
		{"contiguous from cluster 0", set("flat", func(s []byte) { le.PutUint32(s[32+20:], 0) }), "flat", "cluster 0"},
		{"contiguous from the largest", set("flat", func(s []byte) { le.PutUint32(s[32+20:], 0xFFFFFFFF) }), "flat", "does not exist"},
		{"checksum", func(m memory) { m[at["flat"]+2]++ }, "flat", "checksum of its directory entry"},
		{"checksum of a directory", func(m memory) { m[at["dir"]+2]++ }, "dir/inner", "checksum of its directory entry"},
		{"directory is the root", set("dir", func(s []byte) { le.PutUint32(s[32+20:], root); le.PutUint64(s[32+24:], 512); s[33] = 3 }), "dir/inner", "shares clusters"},
		{"directory is its parent", set("dir/sub", func(s []byte) { copy(s[32+20:][:4], sound[at["dir"]+32+20:][:4]); s[33] = 3 }), "dir/sub/leaf", "shares clusters"},
		{"directory out of the volume", set("dir", func(s []byte) { le.PutUint32(s[32+20:], 1<<20) }), "dir/inner", "does not exist"},
		{"directory of absurd size", set("dir", func(s []byte) { s[32+30] = 1; s[33] = 3 }), "dir/inner", "does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := slices.Clone(sound)
			c.spoil(m)
			v, err := Mount(disk.NewDevice(m, 512))
			if c.open != "" && err == nil {
				_, err = v.Open(c.open)
				if _, err := v.ReadFile("last"); err != nil {
					t.Errorf("another file suffers: %v", err)
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
			// A walk ends, whatever it finds.
			if v != nil {
				iofs.WalkDir(v, ".", func(string, iofs.DirEntry, error) error { return nil })
			}
		})
	}
}

func TestNotes(t *testing.T) {
	items := []item{{Path: "dir/inner", Data: content(1, 700)}, {Path: "flat", Data: content(3, 3000)}}
	sound, at := newImage(256<<10, 9, 0, 1, items)
	w := exfattest.Open(sound)
	root := w.Root
	up := w.At(root) + 64
	for _, c := range []struct {
		name, want string
		spoil      func(m memory) memory
	}{
		{"boot sector", "its copy is used", func(m memory) memory { m[100]++; return m }},
		{"no boot sector", "its copy is used", func(m memory) memory { clear(m[:512]); return m }},
		{"dirty", "not unmounted properly", func(m memory) memory { m[106] |= 2; return m }},
		{"failing", "failing", func(m memory) memory { m[106] |= 4; return m }},
		{"second FAT", "only one", func(m memory) memory { m[106] |= 1; return m }},
		{"up-case checksum", "its checksum is wrong", func(m memory) memory { m[up+4]++; return m }},
		{"up-case size", "9223372036854775808 bytes", func(m memory) memory { clear(m[up+24:][:8]); m[up+31] = 0x80; return m }},
		{"up-case place", "does not exist", func(m memory) memory { le.PutUint32(m[up+20:], 0); return m }},
		{"no up-case", "there is none", func(m memory) memory { m[up] = 0x02; return m }},
		{"no bitmap", "allocation bitmap", func(m memory) memory { m[up-32] = 0x01; return m }},
		{"hash", "hash of the name", func(m memory) memory { m[at["flat"]+36]++; exfattest.SealSet(m[at["flat"]:]); return m }},
		{"cut", "copy may be incomplete", func(m memory) memory { return m[:200<<10] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := mount(t, c.spoil(slices.Clone(sound)), 512)
			check(t, v, items)
			if n := v.Notes(); len(n) != 1 || !strings.Contains(n[0], c.want) {
				t.Errorf("notes %q, want one about %q", n, c.want)
			}
		})
	}
	// Entries that do not belong together are passed over, and all others found.
	for _, c := range []struct {
		name  string
		spoil func(set []byte)
	}{
		{"no secondary entries", func(s []byte) { s[1] = 0 }},
		{"more than there are", func(s []byte) { s[1] = 250 }},
		{"stream missing", func(s []byte) { s[32] = 0xC1 }},
		{"name missing", func(s []byte) { s[64] = 0x41 }},
		{"no name", func(s []byte) { s[32+3] = 0 }},
		{"longer name", func(s []byte) { s[32+3] = 40 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := slices.Clone(sound)
			c.spoil(m[at["dir"]:])
			v := mount(t, m, 512)
			check(t, v, items[1:])
			if _, err := v.Stat("dir"); !errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("error %v", err)
			}
			if n := v.Notes(); len(n) != 1 || !strings.Contains(n[0], "not complete") {
				t.Errorf("notes %q", n)
			}
		})
	}
	// What lies beyond a medium that is too small is said to.
	m := slices.Clone(sound)[:endOf(sound, w, at["flat"])-1024]
	v := mount(t, m, 512)
	if _, err := v.ReadFile("flat"); err == nil || !strings.Contains(err.Error(), "the copy is incomplete") {
		t.Errorf("error %v", err)
	}
}

// end returns where the file whose entries are at set ends.
func endOf(m memory, w *exfattest.Volume, set int64) int64 {
	return w.At(le.Uint32(m[set+32+20:])) + int64(le.Uint64(m[set+32+24:]))
}

// A directory may have more room than any has entries, and a chain that never ends.
func TestLargeDirectories(t *testing.T) {
	var items []item
	for i := range 3000 {
		items = append(items, item{Path: fmt.Sprintf("many/file %04d", i)})
	}
	m, _ := newImage(4<<20, 9, 0, 1, items)
	v := mount(t, m, 512)
	if list, err := v.ReadDir("many"); err != nil || len(list) != 3000 {
		t.Errorf("%d files, error %v", len(list), err)
	}

	// All clusters of a volume of 40 MiB are the root directory, and all its entries in use.
	m = make(memory, 40<<20)
	exfattest.Format(m, 40<<20, 9, 3, 1, "")
	w := exfattest.Open(m)
	root := w.Root
	for c := root; c < w.Clusters+1; c++ {
		w.Link(c, c+1)
	}
	for i := w.At(root) + 64; i < int64(len(m)); i += 32 {
		m[i] = 0x05
	}
	if _, err := Mount(disk.NewDevice(m, 512)); err == nil || !strings.Contains(err.Error(), "524288 entries") {
		t.Errorf("error %v", err)
	}
}

func TestClosed(t *testing.T) {
	m, _ := newImage(1<<20, 9, 0, 1, sample(512))
	v := mount(t, m, 512)
	f, err := v.Open("models/contiguous.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.(io.ReaderAt).ReadAt(make([]byte, 1), 0); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("ReadAt: %v", err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if err := f.Close(); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	m, at := newImage(1<<20, 9, 0, 1, sample(512))
	dev := disk.NewDevice(m, 512)
	w := exfattest.Open(m)
	end := endOf(m, w, at["models/contiguous.gguf"])
	dev.MakeUnreadable(end-1024, end)
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReadFile("models/contiguous.gguf"); !errors.Is(err, disk.ErrUnreadable) {
		t.Errorf("error %v", err)
	}
}

// Whatever a volume says, reading it ends, in bounded memory and without a panic, and what
// is read twice is the same.
func FuzzMount(f *testing.F) {
	// The boot region is made here, with right checksums: without these nothing behind it
	// is ever reached.
	const bootSize = 113
	seed := func(m memory) {
		f.Add([]byte(m[:bootSize]), []byte(m[24<<m[108]:]), false)
		f.Add([]byte(m[:bootSize]), []byte(m[24<<m[108]:]), true)
	}
	m, _ := newImage(24<<10, 9, 0, 1, []item{
		{Path: "dir/sub/scattered", Data: content(1, 2000), Scattered: true},
		{Path: "begun", Data: content(2, 1000), Valid: 700},
		{Path: "empty"},
	})
	seed(m)
	m, _ = newImage(26<<10, 9, 1, 2, []item{{Path: "dir/chained", Data: content(1, 3000), Chained: true, Extra: 1}})
	seed(m)
	m, _ = newImage(140<<10, 12, 0, 1, []item{{Path: "dir/file", Data: content(1, 5000)}})
	seed(m)
	f.Fuzz(func(t *testing.T, boot, rest []byte, big bool) {
		if len(boot) < bootSize || len(rest) > 1<<20 {
			return
		}
		sector := 512 << (boot[108] & 3)
		data := append(make([]byte, 24*sector), rest...)
		copy(data, boot[:bootSize])
		data[510], data[511] = 0x55, 0xAA
		exfattest.SealBoot(data[:12*sector])
		copy(data[12*sector:], data[:12*sector])
		for off := 24 * sector; off+32 <= len(data); off += 32 {
			if data[off] == 0x85 && off+32*(1+int(data[off+1])) <= len(data) {
				exfattest.SealSet(data[off:])
			}
		}
		block := 512
		if big {
			block = 4096
		}
		v, err := Mount(disk.NewDevice(data, block))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
			return
		}
		files := 0
		iofs.WalkDir(v, ".", func(name string, e iofs.DirEntry, err error) error {
			if files++; err != nil || e.IsDir() || files > 2000 {
				return nil
			}
			if !iofs.ValidPath(name) {
				t.Errorf("the name %q cannot be a path", name)
			}
			a, err := v.ReadFile(name)
			if err != nil {
				return nil
			}
			file, err := v.Open(name)
			if err != nil {
				t.Errorf("%s: ReadFile succeeds, Open: %v", name, err)
				return nil
			}
			defer file.Close()
			if b, err := io.ReadAll(file); err != nil || !bytes.Equal(a, b) {
				t.Errorf("%s: ReadFile and Read differ, error %v", name, err)
			}
			return nil
		})
		if len(v.Notes()) > maxNotes {
			t.Errorf("%d notes", len(v.Notes()))
		}
	})
}
