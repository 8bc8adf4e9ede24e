package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/internal/fsck"
)

var someDay = time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC)

// everything returns all files of a volume by path, and its directories.
func everything(t testing.TB, v *FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := iofs.WalkDir(v, ".", func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			all[path] = "directory"
			return err
		}
		b, err := v.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, b := range want {
		if g, ok := got[name]; !ok || g != b {
			t.Errorf("%s: %s is missing or different", what, name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d files, want %d", what, len(got), len(want))
	}
}

// sound has fsck.fat look at a volume, and fails if that says anything but how full it is.
func sound(t testing.TB, img string) {
	t.Helper()
	if said := fsck.Says(t, img); len(said) > 0 {
		t.Errorf("fsck.fat: %s", strings.Join(said, "\n"))
	}
}

// TestCreate adds files until a directory needs more clusters, on volumes that mkfs.fat
// made; fsck.fat finds them sound, and mtools the same files.
func TestCreate(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat", "mcopy", "mmd")
	for _, c := range []struct {
		name string
		args []string
		bs   int
		mib  int64
	}{
		{"512 byte clusters", []string{"-S", "512", "-s", "1"}, 512, 40},
		{"4096 clusters", []string{"-S", "512", "-s", "8"}, 512, 300},
		{"one FAT", []string{"-f", "1", "-s", "4"}, 512, 150},
		{"4096 sectors", []string{"-S", "4096", "-s", "1"}, 4096, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(img, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, c.mib<<20); err != nil {
				t.Fatal(err)
			}
			run1(t, "mkfs.fat", append(append([]string{"-F", "32", "-n", "TESTLABEL"}, c.args...), img)...)
			run1(t, "mmd", "-i", img, "::old")
			src := filepath.Join(t.TempDir(), "a file of others.txt")
			if err := os.WriteFile(src, []byte("other people's\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run1(t, "mcopy", "-i", img, src, "::old")
			dev, err := fs.OpenFileDevice(img, c.bs, true)
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			v, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			v.Clock = func() time.Time { return someDay }
			want := everything(t, v)
			for _, name := range []string{"old/new", "backup"} {
				if err := v.Mkdir(name); err != nil {
					t.Fatal(err)
				}
				want[name] = "directory"
			}
			for i := range 60 {
				name := fmt.Sprintf("backup/machine-2026-03-01-%d.txt", i)
				if i%7 == 0 {
					name = fmt.Sprintf("backup/PLAIN%d.TXT", i)
				}
				content := bytes.Repeat([]byte{byte(i)}, i*i*11)
				if err := v.WriteFile(name, content); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				want[name] = string(content)
			}
			same(t, "at once", everything(t, v), want)
			again, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "mounted again", everything(t, again), want)
			if err := v.Sync(); err != nil {
				t.Error(err)
			}
			if fi, err := again.Stat("backup/machine-2026-03-01-8.txt"); err != nil || !fi.ModTime().Equal(someDay) {
				t.Errorf("the time is %v, %v", fi, err)
			}
			sound(t, img)
			if c.bs == 512 && c.mib > 32 {
				if got := run1(t, "mtype", "-i", img, "::backup/machine-2026-03-01-9.txt"); got != want["backup/machine-2026-03-01-9.txt"] {
					t.Errorf("mtools reads something else: %d bytes", len(got))
				}
			}
			s, err := v.Scratch(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.WriteAt(bytes.Repeat([]byte("scratch "), 1<<17), 0); err != nil {
				t.Error(err)
			}
			same(t, "after writing on free room", everything(t, again), want)
			sound(t, img)
			if _, err := v.Scratch(c.mib << 20); !errors.Is(err, fs.ErrNoRoom) {
				t.Errorf("more room than there is: %v", err)
			}
		})
	}
}

// TestRefuses has what cannot be done, and what is said of it.
func TestRefuses(t *testing.T) {
	m := sample(512, 1, 2)
	m.add(2, "READONLY   ", "", 0x21, 0, 0)
	v := m.mount(t)
	v.Clock = func() time.Time { return someDay }
	if _, err := v.OpenInPlace("MODELS/JOURNAL.LOG"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Pin("MODELS/STORIE~1.GGU"); err != nil {
		t.Fatal(err)
	}
	busy, err := v.Create("busy")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Mkdir("dir"); err != nil {
		t.Fatal(err)
	}
	inside, err := v.Create("dir/inside")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string) error { return v.WriteFile(name, []byte("x")) }
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"outside", write("../x"), "invalid"},
		{"no directory", write("none/x"), "not exist"},
		{"a directory", write("MODELS"), "is a directory"},
		{"below a file", write("models/EMPTY/x"), "not a directory"},
		{"characters", write("models/a?b"), "does not allow"},
		{"full stop", write("models/x."), "space or full stop"},
		{"a stand-in", write("models/a\uf021b"), "in place of one"},
		{"a stand-in for a space", write("models/a\uf028"), "in place of one"},
		{"not UTF-8", write("models/x\xff"), "invalid"},
		{"long", write("models/" + strings.Repeat("x", 256)), "longer than the 255"},
		{"read-only", write("READONLY"), "read-only"},
		{"remove read-only", v.Remove("READONLY"), "read-only"},
		{"full", v.WriteFile("big", make([]byte, 40*512)), "not enough free room"},
		{"busy", write("BUSY"), "open for writing"},
		{"mkdir over busy", v.Mkdir("busy"), "open for writing"},
		{"rename to busy", v.Rename("FRAGMENT.BIN", "busy"), "open for writing"},
		{"mkdir exists", v.Mkdir("models"), "exists"},
		{"journal written", write("MODELS/JOURNAL.LOG"), "in use where it lies"},
		{"journal opened", func() error { _, err := v.OpenWriter("models/journal.log"); return err }(), "in use where it lies"},
		{"journal removed", v.Remove("MODELS/JOURNAL.LOG"), "in use where it lies"},
		{"journal moved", v.Rename("MODELS/JOURNAL.LOG", "x"), "in use where it lies"},
		{"journal replaced", v.Rename("FRAGMENT.BIN", "MODELS/JOURNAL.LOG"), "in use where it lies"},
		{"its directory", v.Rename("MODELS", "x"), "in use where it lies"},
		{"pinned", v.Remove("models/stories 😀 260k.gguf"), "in use where it lies"},
		{"not empty", v.Remove("models"), "not empty"},
		{"busy inside", v.Remove("dir"), "a file in it is open"},
		{"root", v.Remove("."), "invalid"},
		{"root moved", v.Rename(".", "x"), "invalid"},
		{"into itself", v.Rename("dir", "dir/sub"), "into itself"},
		{"missing", v.Rename("none", "x"), "not exist"},
		{"over a directory", v.Rename("FRAGMENT.BIN", "dir"), "exists"},
		{"label", v.SetLabel("TWELVE CHARS"), "longer than the 11"},
		{"label letters", v.SetLabel("a*b"), "does not allow"},
		{"negative size", busy.Truncate(-1), "invalid"},
		{"too large", busy.Truncate(1 << 32), "4 GiB"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "\n") {
			t.Errorf("%s: %v, want ... %s ...", c.what, c.err, c.want)
		}
	}
	if err := busy.Close(); err != nil {
		t.Error(err)
	}
	inside.Discard()
	if err := v.Remove("dir"); err != nil {
		t.Error(err)
	}
	if _, err := busy.Write([]byte("x")); !errors.Is(err, iofs.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}

	// Clusters that only one FAT calls free are not.
	odd := sample(512, 1, 2)
	odd.set(1, 23, 5)
	odd.set(1, 13, 5)
	for c := uint32(2); c < 42; c++ {
		if c != 13 && c != 23 && odd.b[odd.tableAt(0)+4*int(c)] == 0 {
			odd.set(-1, c, 0x0FFFFFFF)
		}
	}
	if err := odd.mount(t).WriteFile("x", []byte("x")); !errors.Is(err, fs.ErrNoRoom) {
		t.Errorf("FATs that differ: %v", err)
	}
	short := sample(512, 1, 2)
	short.b[33]++
	if err := short.mount(t).WriteFile("x", []byte("x")); err == nil || !strings.Contains(err.Error(), "longer than it is") {
		t.Errorf("a volume that is cut off: %v", err)
	}
	backup := sample(512, 1, 2)
	clear(backup.b[:512])
	if err := backup.mount(t).WriteFile("x", []byte("x")); err == nil || !strings.Contains(err.Error(), "boot sector is damaged") {
		t.Errorf("a volume without its boot sector: %v", err)
	}
	small := sample(512, 2, 2)
	w, err := Mount(fstest.NewDevice(small.b, 4096))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFile("x", []byte("x")); err == nil || !strings.Contains(err.Error(), "not whole blocks") {
		t.Errorf("clusters smaller than a block: %v", err)
	}
}

// What only the second FAT has a chain for is read, and not changed: the first may have given its
// clusters to others. When the first cannot be read there is nothing against the second.
func TestStrayChain(t *testing.T) {
	for _, c := range []struct {
		what, want string
		do         func(v *FS) error
	}{
		{"write", "do not agree", func(v *FS) error { return v.WriteFile("FRAGMENT.BIN", nil) }},
		{"append", "do not agree", func(v *FS) error { _, err := v.OpenWriter("FRAGMENT.BIN"); return err }},
		{"remove", "do not agree", func(v *FS) error { return v.Remove("FRAGMENT.BIN") }},
		{"rename", "do not agree", func(v *FS) error { return v.Rename("FRAGMENT.BIN", "other/x") }},
		{"rename over", "do not agree", func(v *FS) error { return v.Rename("ONE", "FRAGMENT.BIN") }},
		{"pin", "do not agree", func(v *FS) error { _, err := v.Pin("FRAGMENT.BIN"); return err }},
		{"in place", "do not agree", func(v *FS) error { _, err := v.OpenInPlace("FRAGMENT.BIN"); return err }},
		{"write in a directory", "do not agree", func(v *FS) error { return v.WriteFile("MODELS/x", nil) }},
		{"mkdir in a directory", "do not agree", func(v *FS) error { return v.Mkdir("MODELS/x") }},
		{"remove in a directory", "do not agree", func(v *FS) error { return v.Remove("MODELS/EMPTY") }},
		{"rename a directory", "do not agree", func(v *FS) error { return v.Rename("MODELS", "other/x") }},
		{"read", "", func(v *FS) error { _, err := v.ReadFile("FRAGMENT.BIN"); return err }},
		{"list", "", func(v *FS) error { _, err := v.ReadDir("MODELS"); return err }},
		{"read by extents", "", func(v *FS) error { _, err := v.Extents("FRAGMENT.BIN"); return err }},
	} {
		m := sample(512, 1, 2)
		if err := m.mount(t).Mkdir("other"); err != nil {
			t.Fatal(err)
		}
		m.file(2, "ONE        ", 3, 38)
		m.set(0, 5, endOfChain) // of FRAGMENT.BIN, which the first FAT has given to another
		m.set(0, 3, 0)          // MODELS
		before := slices.Clone(m.b[m.tableAt(0):])
		err := c.do(m.mount(t))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want ... %s ...", c.what, err, c.want)
		}
		before[7], m.b[m.tableAt(0)+7] = 0, 0 // the mark
		before[m.table*512+7], m.b[m.tableAt(1)+7] = 0, 0
		if !bytes.Equal(before, m.b[m.tableAt(0):]) {
			t.Errorf("%s: something was changed", c.what)
		}
	}
	m := sample(512, 1, 2)
	d := m.device()
	d.MakeUnreadable(int64(m.tableAt(0)), int64(m.tableAt(0)+512))
	v, err := Mount(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.OpenInPlace("MODELS/JOURNAL.LOG"); err != nil {
		t.Errorf("a journal of which the first FAT cannot be read: %v", err)
	}
}

// A volume whose count of free clusters is too low takes what there is room for.
func TestWrongFreeCount(t *testing.T) {
	m := damaged(t)
	binary.LittleEndian.PutUint32(m.b[512+infoFree:], 0)
	v := m.mount(t)
	if err := v.WriteFile("x", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := v.WriteFile("large", make([]byte, 512*40)); !errors.Is(err, fs.ErrNoRoom) {
		t.Error(err)
	}
	if err := v.Sync(); err != nil {
		t.Error(err)
	}
	if r, err := Check(m.device(), CheckOptions{}); err != nil || len(r.Problems) > 0 {
		t.Errorf("%s, %v", r, err)
	}
}

// A directory that cannot be moved since there is no room for its name is as it was.
func TestMoveWithoutRoom(t *testing.T) {
	m := damaged(t)
	v := m.mount(t)
	for _, dir := range []string{"a", "a/sub", "b"} {
		if err := v.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	free, err := v.Free()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.WriteFile("large", make([]byte, free)); err != nil {
		t.Fatal(err)
	}
	if err := v.Rename("a/sub", "b/"+strings.Repeat("x", 200)); !errors.Is(err, fs.ErrNoRoom) {
		t.Error(err)
	}
	if err := v.Sync(); err != nil {
		t.Error(err)
	}
	if r, err := Check(m.device(), CheckOptions{}); err != nil || len(r.Problems) > 0 {
		t.Errorf("%s, %v", r, err)
	}
}

// A directory is not moved to where what is below it has no path any more.
func TestMoveDeep(t *testing.T) {
	m := newImage(512, 1, 200, 2)
	v := m.mount(t)
	deep := func(name string, n int) string { return name + strings.Repeat("/"+name, n-1) }
	for _, name := range []string{"a", "b"} {
		for n := 1; n <= 40; n++ {
			if err := v.Mkdir(deep(name, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := v.Rename("a", deep("b", maxDepth-1-40+1)+"/a"); err == nil || !strings.Contains(err.Error(), "levels deep") {
		t.Error(err)
	}
	to := deep("b", maxDepth-1-40) + "/a"
	if err := v.Rename("a", to); err != nil {
		t.Error(err)
	}
	if err := v.WriteFile(to+strings.Repeat("/a", 39)+"/file", []byte("x")); err != nil {
		t.Error(err)
	}
}

// What lies behind a directory's end means nothing, and must not come to light.
func TestCreateBehindTheEnd(t *testing.T) {
	for used := range 16 {
		m := newImage(512, 2, 40, 2)
		d := m.data(2)
		for i := range len(d) {
			d[i] = 'X' // left from another file
		}
		for i := range used {
			copy(d[32*i:], fmt.Sprintf("FILE%-7d", i))
			clear(d[32*i+11:][:21])
		}
		d[32*used] = 0
		v := m.mount(t)
		want := everything(t, v)
		if len(want) != used+1 {
			t.Fatalf("%d entries", len(want))
		}
		const name = "a name of two parts.txt"
		if err := v.WriteFile(name, []byte("x")); err != nil {
			t.Fatal(err)
		}
		want[name] = "x"
		same(t, fmt.Sprintf("with %d entries", used), everything(t, m.mount(t)), want)
	}
}

// FuzzCreate adds files to whatever volume there is: those that it said it made are there.
func FuzzCreate(f *testing.F) {
	for _, perCluster := range []int{1, 2} {
		f.Add(sample(512, perCluster, 2).b, false)
	}
	f.Add(sample(4096, 1, 1).b, true)
	info := sample(512, 1, 2)
	copy(info.b[512:], "RRaA")
	copy(info.b[512+484:], "rrAa\x10\x00\x00\x00\xff\xff\xff\x7f")
	info.b[512+510], info.b[512+511] = 0x55, 0xAA
	f.Add(info.b, false)
	f.Fuzz(func(t *testing.T, data []byte, large bool) {
		block := 512
		if large {
			block = 4096
		}
		v, err := Mount(fstest.NewDevice(slices.Clone(data), block))
		if err != nil {
			return
		}
		for _, dir := range []string{".", "MODELS"} {
			for i := range 3 {
				name := path.Join(dir, fmt.Sprintf("machine-2026-03-01-%d.txt", i))
				content := bytes.Repeat([]byte{byte(i)}, 700*i)
				if v.WriteFile(name, content) != nil {
					continue
				}
				if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s was made and is not there: %v", name, err)
				}
			}
		}
	})
}

// A volume is used on another computer while it is away: what is read again is as it was left there, and what is changed then spoils nothing.
func TestReread(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat", "mcopy", "mdel", "mmd")
	img := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(img, nil, 0o600), os.Truncate(img, 40<<20)); err != nil {
		t.Fatal(err)
	}
	run1(t, "mkfs.fat", "-F", "32", "-s", "1", img)
	dev, err := fs.OpenFileDevice(img, 512, true)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	text := func(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "file %d ", n), 3000) }
	for n := range 8 {
		if err := v.WriteFile(fmt.Sprint(n, ".txt"), text(n)); err != nil {
			t.Fatal(err)
		}
	}
	inPlace, err := v.OpenInPlace("7.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer inPlace.Close()
	want := everything(t, v)

	src := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(src, text(99), 0o600); err != nil {
		t.Fatal(err)
	}
	run1(t, "mdel", "-i", img, "::1.txt", "::2.txt", "::3.txt")
	run1(t, "mmd", "-i", img, "::theirs")
	for n := range 3 {
		run1(t, "mcopy", "-i", img, src, fmt.Sprintf("::theirs/their %d.txt", n))
	}
	for _, n := range []string{"1.txt", "2.txt", "3.txt"} {
		delete(want, n)
	}
	want["theirs"] = "directory"
	for n := range 3 {
		want[fmt.Sprintf("theirs/their %d.txt", n)] = string(text(99))
	}
	if err := v.Reread(); err != nil {
		t.Fatal(err)
	}
	same(t, "read again", everything(t, v), want)
	for n := 10; n < 20; n++ {
		name := fmt.Sprint(n, ".txt")
		if n%2 == 0 {
			name = "theirs/" + name
		}
		if err := v.WriteFile(name, text(n)); err != nil {
			t.Fatal(err)
		}
		want[name] = string(text(n))
	}
	if _, err := inPlace.WriteAt([]byte("FILE"), 0); err != nil {
		t.Fatal(err)
	}
	want["7.txt"] = "FILE" + string(text(7)[4:])
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	same(t, "changed", everything(t, v), want)
	sound(t, img)
}
