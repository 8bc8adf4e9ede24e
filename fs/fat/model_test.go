package fat

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

var steps = flag.Int("steps", 800, "how many operations TestModel does on each volume")

// mkfs returns a volume that mkfs.fat made; args are its own.
func mkfs(t testing.TB, size int, args ...string) []byte {
	t.Helper()
	img := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(img, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	run1(t, "mkfs.fat", append(append([]string{"-F", "32", "-n", "TESTLABEL", "-i", "12345678"}, args...), img)...)
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// soundImage is sound for a volume in memory.
func soundImage(t testing.TB, b []byte) {
	t.Helper()
	img := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(img, b, 0o600); err != nil {
		t.Fatal(err)
	}
	sound(t, img)
}

// model is what a volume should hold: files by path, directories as "directory".
type model struct {
	*rand.Rand
	all    map[string]string
	keys   map[string]string // folded path: path
	opened []reader
	most   int // bytes
}

// reader is a file that stays open while the volume changes.
type reader struct {
	f    iofs.File
	want string
}

// pick returns one of the paths that are directories, or those that are not.
func (m *model) pick(dir bool) string {
	var list []string
	for p, c := range m.all {
		if (c == "directory") == dir && (p != "." || dir) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	if len(list) == 0 {
		return ""
	}
	return list[m.IntN(len(list))]
}

// name makes up a path: of any kind of name, some with only a few, so that they meet.
func (m *model) name() string {
	var n string
	switch m.IntN(7) {
	case 0:
		n = fmt.Sprintf("FILE%d.TXT", m.IntN(20))
	case 1:
		n = fmt.Sprintf("a longer name, number %d.document", m.IntN(20))
	case 2:
		n = strings.Repeat("é", 1+m.IntN(50)) + fmt.Sprint(m.IntN(5))
	case 3:
		n = fmt.Sprintf("日本語 😀 %d.md", m.IntN(20))
	case 4:
		n = strings.Repeat("long", 40+m.IntN(22)) + fmt.Sprint(m.IntN(9))
	case 5:
		n = fmt.Sprintf(".hidden%d", m.IntN(9))
	default:
		n = fmt.Sprintf("lower%d.txt", m.IntN(30))
	}
	return path.Join(m.pick(true), n)
}

func (m *model) content() string {
	n := m.IntN(1 << m.IntN(17))
	if m.IntN(12) == 0 {
		n = int(copyMost) + m.IntN(300<<10) // which is not copied
	}
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		x := m.Uint64()
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	return string(b)
}

func (m *model) set(p, c string) {
	m.all[p], m.keys[fold(p)] = c, p
}

func (m *model) remove(p string) {
	delete(m.all, p)
	delete(m.keys, fold(p))
}

// at returns the path by which a name is known, in its letters.
func (m *model) at(p string) (string, bool) {
	q, ok := m.keys[fold(p)]
	return q, ok
}

func (m *model) empty(dir string) bool {
	for p := range m.all {
		if strings.HasPrefix(p, dir+"/") {
			return false
		}
	}
	return true
}

// step changes volume and model alike.
func (m *model) step(t *testing.T, v *FS) {
	t.Helper()
	check := func(op string, err error, wantErr bool, args ...any) {
		t.Helper()
		if (err != nil) != wantErr {
			t.Fatalf("%s %.60q: %v, want an error: %v", op, args, err, wantErr)
		}
	}
	op := m.IntN(20)
	for total := 0; ; total = 0 {
		for _, c := range m.all {
			total += len(c) + 16<<10
		}
		if total < m.most {
			break
		}
		if p := m.pick(false); p != "" && v.Remove(p) == nil {
			m.remove(p)
		} else if p := m.pick(true); p != "." && m.empty(p) && v.Remove(p) == nil {
			m.remove(p)
		}
	}
	switch {
	case op < 5: // a file, new or again
		p := m.name()
		old, there := m.at(p)
		if there && m.all[old] == "directory" {
			check("write over directory", v.WriteFile(p, nil), true, p)
			return
		}
		c := m.content()
		check("write", v.WriteFile(p, []byte(c)), false, p, len(c))
		if there {
			p = old
		}
		m.set(p, c)
	case op < 9: // changes in a file
		p := m.pick(false)
		if p == "" {
			return
		}
		w, err := v.OpenWriter(p)
		check("open", err, false, p)
		c := []byte(m.all[p])
		for range 1 + m.IntN(4) {
			switch m.IntN(5) {
			case 0, 1: // append, in pieces
				for range 1 + m.IntN(5) {
					x := m.content()
					if w.off != w.end() {
						break
					}
					_, err = w.Write([]byte(x))
					check("append", err, false, p)
					c = append(c, x...)
				}
			case 2:
				n := m.IntN(len(c) + 1)
				if m.IntN(4) == 0 {
					n = len(c) + m.IntN(20000)
				}
				check("truncate", w.Truncate(int64(n)), false, p)
				if n <= len(c) {
					c = c[:n]
				} else {
					c = append(c, make([]byte, n-len(c))...)
				}
			case 3:
				x := m.content()
				off := m.IntN(len(c) + 1)
				if m.IntN(4) == 0 {
					off = len(c) + m.IntN(9000)
				}
				_, err = w.WriteAt([]byte(x), int64(off))
				check("write at", err, false, p)
				if x != "" {
					if n := off + len(x); n > len(c) {
						c = append(c, make([]byte, n-len(c))...)
					}
					copy(c[off:], x)
				}
			case 4:
				check("sync", w.Sync(), false, p)
			}
			if w.Size() != int64(len(c)) {
				t.Fatalf("%s has %d bytes, want %d", p, w.Size(), len(c))
			}
		}
		got := make([]byte, len(c))
		if n, err := w.ReadAt(got, 0); n != len(c) || err != nil && err != io.EOF || !bytes.Equal(got, c) {
			t.Fatalf("%s: %d bytes read of %d, %v", p, n, len(c), err)
		}
		check("close", w.Close(), false, p)
		m.set(p, string(c))
	case op < 10: // begun and given up
		p := m.name()
		w, err := v.Create(p)
		if err != nil {
			return
		}
		_, err = w.Write([]byte(m.content()))
		check("write", err, false, p)
		w.Discard()
	case op < 12:
		p := m.name()
		_, there := m.at(p)
		check("mkdir", v.Mkdir(p), there, p)
		if !there {
			m.set(p, "directory")
		}
	case op < 14:
		p := m.pick(m.IntN(4) == 0)
		if p == "" || p == "." {
			return
		}
		bad := m.all[p] == "directory" && !m.empty(p)
		check("remove", v.Remove(p), bad, p)
		if !bad {
			m.remove(p)
		}
	case op < 18: // another name
		p, q := m.pick(m.IntN(4) == 0), m.name()
		if m.IntN(4) == 0 && p != "" {
			q = path.Join(path.Dir(p), path.Base(q))
		}
		if p == "" || p == "." {
			return
		}
		if m.IntN(8) == 0 {
			q = path.Join(path.Dir(p), strings.ToUpper(path.Base(p)))
		}
		isDir := m.all[p] == "directory"
		old, there := m.at(q)
		bad := there && old != p && (isDir || m.all[old] == "directory") || isDir && strings.HasPrefix(q, p+"/")
		check("rename", v.Rename(p, q), bad, p, q)
		if bad {
			return
		}
		c := m.all[p]
		if there && old != p {
			q = old
		}
		for _, x := range m.below(p) {
			c := m.all[x]
			m.remove(x)
			m.set(q+strings.TrimPrefix(x, p), c)
		}
		m.remove(p)
		m.set(q, c)
	case op < 19:
		check("sync", v.Sync(), false)
	default: // a reader keeps what it opened
		if p := m.pick(false); p != "" && len(m.opened) < 5 {
			f, err := v.Open(p)
			check("open", err, false, p)
			m.opened = append(m.opened, reader{f, m.all[p]})
		} else if len(m.opened) > 0 {
			m.close(t)
		}
	}
}

func (m *model) below(dir string) (list []string) {
	for p := range m.all {
		if strings.HasPrefix(p, dir+"/") {
			list = append(list, p)
		}
	}
	return list
}

// close reads what is still open, unless it was changed in place, and closes it.
func (m *model) close(t *testing.T) {
	t.Helper()
	for _, r := range m.opened {
		b, err := io.ReadAll(r.f)
		if err != nil || len(b) != len(r.want) {
			t.Errorf("an open file has %d bytes, want %d: %v", len(b), len(r.want), err)
		}
		if err := r.f.Close(); err != nil {
			t.Error(err)
		}
	}
	m.opened = nil
}

// TestModel does the same to a volume and to a map, thousands of times, with the volume
// mounted anew now and then, and compares. fsck.fat and mtools are asked as well.
func TestModel(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat", "mcopy")
	for i, c := range []struct {
		name  string
		size  int
		block int
		args  []string
	}{
		{"512", 40 << 20, 512, []string{"-s", "1"}},
		{"4096", 20 << 20, 512, []string{"-s", "8"}},
		{"32768", 40 << 20, 512, []string{"-s", "64"}},
		{"one FAT", 20 << 20, 512, []string{"-s", "2", "-f", "1"}},
		{"4096 sectors", 40 << 20, 4096, []string{"-S", "4096", "-s", "1"}},
		{"512 sectors on 4096 blocks", 40 << 20, 4096, []string{"-S", "512", "-s", "8", "-a", "-R", "32"}},
		{"formatted here", 40 << 20, 512, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var data []byte
			if c.args != nil {
				data = mkfs(t, c.size, c.args...)
			} else {
				data = formatted(t, &Tree{}, int64(c.size))
			}
			m := &model{Rand: rand.New(rand.NewPCG(uint64(i), 1)), most: c.size / 3, all: map[string]string{}, keys: map[string]string{}}
			m.set(".", "directory")
			v, err := Mount(fstest.NewDevice(data, c.block))
			if err != nil {
				t.Fatal(err)
			}
			if err := v.changeable(); err != nil {
				t.Fatal(err)
			}
			free, err := v.Free()
			if err != nil {
				t.Fatal(err)
			}
			for n := range *steps {
				m.step(t, v)
				if n%97 == 0 {
					same(t, fmt.Sprintf("after %d steps", n), everything(t, v), m.all)
				}
				if n%250 == 249 {
					m.close(t)
					if err := v.Sync(); err != nil {
						t.Fatal(err)
					}
					if n%500 == 499 {
						soundImage(t, data)
					}
					if v, err = Mount(fstest.NewDevice(data, c.block)); err != nil {
						t.Fatal(err)
					}
					if v.Dirty() {
						t.Error("the volume is marked as in use")
					}
					same(t, fmt.Sprintf("mounted after %d steps", n), everything(t, v), m.all)
				}
				if t.Failed() {
					return
				}
			}
			// In one go, and then nothing is left.
			for len(m.all) > 1 {
				for p, c := range m.all {
					if p != "." && (c != "directory" || m.empty(p)) {
						if err := v.Remove(p); err != nil {
							t.Fatal(err)
						}
						m.remove(p)
					}
				}
			}
			m.close(t)
			if err := v.Sync(); err != nil {
				t.Fatal(err)
			}
			if len(v.reserved) != 0 || len(v.held) != 0 || len(v.writers) != 0 {
				t.Errorf("something is left: %v %v %v", v.reserved, v.held, v.writers)
			}
			root := int64(clustersIn(v.dirs[v.root].runs) - 1)
			if got, err := v.Free(); err != nil || got != free-root*v.cluster {
				t.Errorf("%d bytes are free, of %d at first: %v", got, free, err)
			}
			soundImage(t, data)
		})
	}
}

// formatted returns a volume that Plan and Write made.
func formatted(t testing.TB, tree *Tree, size int64) []byte {
	t.Helper()
	plan, err := Plan(tree, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	plan.Label, plan.Serial, plan.Time = "TESTLABEL", 0x12345678, someDay
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := plan.Write(f, 0); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLargestVolume uses a volume of 2 TiB, of which a host keeps only what was written. No
// more of its FAT is in memory than of a small one's.
func TestLargestVolume(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a FAT of 256 MiB several times")
	}
	const size = 2<<40 - 1<<20
	plan, err := Plan(&Tree{}, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	plan.Label, plan.Time = "LARGE", someDay
	img, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if err := img.Truncate(size); err != nil {
		t.Skipf("no file of 2 TiB: %v", err)
	}
	if err := plan.Write(img, 0); err != nil {
		t.Fatal(err)
	}
	dev, err := fs.NewFileDevice(img, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{".": "directory", "dir": "directory"}
	if err := v.Mkdir("dir"); err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		t.Helper()
		want[name] = strings.Repeat(name, 20000)
		if err := v.WriteFile(name, []byte(want[name])); err != nil {
			t.Fatal(err)
		}
	}
	put("dir/first")
	v.next = v.last - 3 // from the end it goes on at the beginning
	put("dir/last")
	put("dir/round")
	if e, err := v.lookup("", "dir/last"); err != nil || e.first < v.last-10 {
		t.Errorf("%v, %v", e, err)
	}
	before, err := v.Free()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := len(v.tables); n > keepChunks {
		t.Errorf("%d chunks of the FAT are in memory", n)
	}
	if v, err = Mount(dev); err != nil {
		t.Fatal(err)
	}
	same(t, "mounted again", everything(t, v), want)
	v.free = unknownCount // count them
	v.readState()
	v.free = unknownCount
	if free, err := v.Free(); err != nil || free != before {
		t.Errorf("%d bytes are free, or %d: %v", free, before, err)
	}
	if n := len(v.tables); n > keepChunks {
		t.Errorf("%d chunks of the FAT are in memory", n)
	}
	if r, err := Check(dev, CheckOptions{}); err != nil || len(r.Problems) > 0 || r.Free*v.cluster != before {
		t.Errorf("%v\n%s", err, r)
	}
}
