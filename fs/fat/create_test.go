package fat

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
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
			want := everything(t, v)
			for _, name := range []string{"old/new", "backup"} {
				if err := v.Mkdir(name, someDay); err != nil {
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
				if err := v.Create(name, content, someDay); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				want[name] = string(content)
				if err := v.Create(strings.ToUpper(name), nil, someDay); !errors.Is(err, iofs.ErrExist) {
					t.Errorf("%s a second time: %v", name, err)
				}
			}
			same(t, "at once", everything(t, v), want)
			again, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "mounted again", everything(t, again), want)
			if fi, err := again.Stat("backup/machine-2026-03-01-8.txt"); err != nil || !fi.ModTime().Equal(someDay) {
				t.Errorf("the time is %v, %v", fi, err)
			}
			run1(t, "fsck.fat", "-n", img)
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
			run1(t, "fsck.fat", "-n", img)
			if _, err := v.Scratch(c.mib << 20); !errors.Is(err, errNoRoom) {
				t.Errorf("more room than there is: %v", err)
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	v := sample(512, 1, 2).mount(t)
	for name, want := range map[string]string{
		"../x":                               "invalid",
		"none/x":                             "not exist",
		"MODELS":                             "exists",
		"models/EMPTY":                       "exists",
		"models/EMPTY/x":                     "not a directory",
		"models/a?b":                         "does not allow",
		"models/x.":                          "space or full stop",
		"models/" + strings.Repeat("x", 250): "too long",
	} {
		if err := v.Create(name, []byte("x"), someDay); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ... %s ...", name, err, want)
		}
	}
	if err := v.Create("big", make([]byte, 40*512), someDay); !errors.Is(err, errNoRoom) {
		t.Errorf("a file larger than the volume: %v", err)
	}
	odd := sample(512, 1, 2)
	odd.set(1, 23, 5)
	odd.set(1, 13, 5)
	for c := uint32(2); c < 42; c++ {
		if c != 13 && c != 23 && odd.b[odd.tableAt(0)+4*int(c)] == 0 {
			odd.set(-1, c, 0x0FFFFFFF)
		}
	}
	if err := odd.mount(t).Create("x", []byte("x"), someDay); err == nil || !strings.Contains(err.Error(), "FATs differ") {
		t.Errorf("FATs that differ: %v", err)
	}
	short := sample(512, 1, 2)
	short.b[33]++
	if w, err := Mount(short.device()); err != nil {
		t.Error(err)
	} else if err := w.Create("x", []byte("x"), someDay); err == nil {
		t.Error("a file was made on a volume that is cut off")
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
		if err := v.Create(name, []byte("x"), someDay); err != nil {
			t.Fatal(err)
		}
		want[name] = "x"
		same(t, fmt.Sprintf("with %d entries", used), everything(t, m.mount(t)), want)
	}
}

// TestCreateCut cuts the power at each step of adding a file to a directory that is full, on
// drives that keep the order of writes and on drives that do not. Whatever is left, all
// other files are as they were, the new one is whole or not there, and a check of the volume
// mends it without losing anything.
func TestCreateCut(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat")
	img := filepath.Join(t.TempDir(), "image")
	fresh := func() []byte {
		t.Helper()
		os.Remove(img)
		if err := os.WriteFile(img, make([]byte, 512<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		run1(t, "mkfs.fat", "-F", "32", "-s", "1", "-n", "TESTLABEL", img)
		b, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		v, err := Mount(fstest.NewDevice(b, 512))
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Mkdir("backup", someDay); err != nil {
			t.Fatal(err)
		}
		for i := range 4 { // with "." and "..", 14 of the 16 entries of a cluster
			if err := v.Create(fmt.Sprintf("backup/machine-%d of the day.txt", i), bytes.Repeat([]byte{'a' + byte(i)}, 700), someDay); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	before := fresh()
	v, err := Mount(fstest.NewDevice(slices.Clone(before), 512))
	if err != nil {
		t.Fatal(err)
	}
	old := everything(t, v)
	const name = "backup/machine-4 of the day.txt"
	content := strings.Repeat("new ", 500)
	made, lost := 0, 0
	for seed := range uint64(4) {
		for cut := 1; ; cut++ {
			d := fstest.New(int64(len(before)), 512, 0, rand.New(rand.NewPCG(seed, uint64(cut))))
			copy(d.Bytes(), before)
			d.InOrder, d.Tear = seed == 0, fstest.TearOld
			dev, err := fs.NewFileDevice(d, int64(len(before)), 512)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Mount(dev)
			if err != nil {
				t.Fatal(err)
			}
			d.CutAfter(cut)
			err = v.Create(name, []byte(content), someDay)
			done := err == nil
			if err != nil && !errors.Is(err, fstest.ErrPowerCut) {
				t.Fatal(err)
			}
			d.PowerOn()
			check := func(what string, b []byte) {
				t.Helper()
				v, err := Mount(fstest.NewDevice(b, 512))
				if err != nil {
					t.Fatal(err)
				}
				got := everything(t, v)
				want := old
				if _, there := got[name]; there || done {
					want = map[string]string{name: content}
					for n, b := range old {
						want[n] = b
					}
					made++
				} else {
					lost++
				}
				same(t, fmt.Sprintf("%s, cut after %d, seed %d", what, cut, seed), got, want)
			}
			check("as it is", slices.Clone(d.Bytes()))
			if err := os.WriteFile(img, d.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("fsck.fat", "-a", img).CombinedOutput()
			if e := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &e) || e.ExitCode() != 1) {
				t.Errorf("fsck.fat -a: %v\n%s", err, out)
			}
			run1(t, "fsck.fat", "-n", img)
			mended, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			// What fsck.fat saves of lost clusters are files of its own in the root.
			v, err = Mount(fstest.NewDevice(mended, 512))
			if err != nil {
				t.Fatal(err)
			}
			for n, b := range old {
				if got, err := v.ReadFile(n); b != "directory" && (err != nil || string(got) != b) {
					t.Errorf("%s is not as it was after fsck.fat, cut after %d: %v", n, cut, err)
				}
			}
			if done {
				break
			}
			if cut > 200 {
				t.Fatal("there is no end")
			}
		}
	}
	if made < 4 || lost < 20 {
		t.Errorf("the file was there %d times and not there %d times", made, lost)
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
				if v.Create(name, content, someDay) != nil {
					continue
				}
				if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s was made and is not there: %v", name, err)
				}
			}
		}
	})
}
