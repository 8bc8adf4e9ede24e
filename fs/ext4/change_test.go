package ext4

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

var (
	cutsFlag = flag.Int("cuts", 40, "cuts of power in TestCuts")
	seedFlag = flag.Uint64("seed", 0, "of TestCuts and TestModel; 0: the time")
)

// kindsOfVolume are options for mke2fs, and sizes in MiB that give the superblock a backup: it is written in place, and may be torn.
var kindsOfVolume = []struct {
	mib     int
	options string
}{
	{24, "-b 1024 -O metadata_csum,64bit"},
	{24, "-b 1024 -O ^metadata_csum,^64bit,^dir_index"},
	{40, "-b 2048 -O metadata_csum_seed,metadata_csum,^flex_bg -I 128"},
	{24, "-b 1024 -O ^metadata_csum,uninit_bg,^resize_inode"},
	{24, "-b 1024 -O meta_bg,^resize_inode"},
	{136, "-b 4096"},
}

func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return s
}

// made returns a volume of mke2fs's on a disk.
func made(t testing.TB, mib int, r *rand.Rand, options ...string) *fstest.Disk {
	t.Helper()
	needs(t, "mke2fs", "e2fsck")
	img := filepath.Join(t.TempDir(), "made.img")
	if err := os.WriteFile(img, make([]byte, mib<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	program(t, "", nil, "mke2fs", append(append([]string{"-q", "-F", "-t", "ext4"}, options...), img)...)
	data, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	d := fstest.New(int64(len(data)), 512, 0, r)
	copy(d.Bytes(), data)
	return d
}

func mounted(t testing.TB, d *fstest.Disk) *FS {
	t.Helper()
	dev, err := fs.NewFileDevice(d, d.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// judged has e2fsck look at a disk, after it has replayed its journal, if it is to.
func judged(t testing.TB, d *fstest.Disk, replay bool) {
	t.Helper()
	img := filepath.Join(t.TempDir(), "judged.img")
	if err := os.WriteFile(img, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(img)
	if replay {
		// Of a superblock that is torn, its own or the journal's, e2fsck must be told to go on.
		if said := program(t, "", []int{1, 4, 8, 9, 12}, "e2fsck", "-E", "journal_only", "-p", img); !strings.Contains(said, "recovering journal") && !strings.Contains(said, "clean") && said != "" {
			t.Logf("mended by e2fsck: %.200s", said)
			program(t, "", []int{1}, "e2fsck", "-fy", img)
		}
	}
	if said := program(t, "", []int{4}, "e2fsck", "-fn", img); !strings.Contains(said, "(") || strings.Contains(said, "WARNING") || strings.Contains(said, "? no") {
		t.Fatalf("e2fsck: %s", said)
	}
}

// person makes random changes to a volume, and knows what must be there.
type person struct {
	r     *rand.Rand
	files map[string][]byte
	dirs  []string
	n     int
}

func newPerson(r *rand.Rand) *person {
	return &person{r: r, files: map[string][]byte{}, dirs: []string{"."}}
}

func (p *person) clone() *person {
	return &person{p.r, maps.Clone(p.files), slices.Clone(p.dirs), p.n}
}

func (p *person) text() []byte {
	b := make([]byte, p.r.IntN([]int{10, 3000, 20000, 300000}[p.r.IntN(4)]))
	for i := range b {
		b[i] = byte(p.r.Uint32())
	}
	return b
}

func (p *person) any() string {
	names := slices.Sorted(maps.Keys(p.files))
	if len(names) == 0 {
		return ""
	}
	return names[p.r.IntN(len(names))]
}

func (p *person) fresh() string {
	p.n++
	return path.Join(p.dirs[p.r.IntN(len(p.dirs))], fmt.Sprintf("name %d%s", p.n, strings.Repeat("x", p.r.IntN(40))))
}

// plan chooses a change: what makes it, what there is after it, and the file, if any, that it changes in place, so that after a
// cut this may have blocks from before and after.
func (p *person) plan() (do func(v *FS) error, q *person, inPlace string) {
	name := p.any()
	q = p.clone()
	write := func(f func(w *Writer) error) func(v *FS) error {
		return func(v *FS) error {
			w, err := v.OpenWriter(name)
			if err != nil {
				return err
			}
			if err := f(w); err != nil {
				w.Discard()
				return err
			}
			return w.Close()
		}
	}
	switch k := p.r.IntN(12); {
	case k < 4 || name == "":
		at, text := q.fresh(), p.text()
		q.files[at] = text
		return func(v *FS) error { return v.WriteFile(at, text) }, q, ""
	case k == 4:
		text := p.text()
		q.files[name] = text
		return func(v *FS) error { return v.WriteFile(name, text) }, q, ""
	case k == 5: // append, and zeros between
		text, gap := append(p.text(), '!'), p.r.IntN(3)*p.r.IntN(50000)
		q.files[name] = append(append(bytes.Clone(p.files[name]), make([]byte, gap)...), text...)
		return write(func(w *Writer) error {
			_, err := w.WriteAt(text, w.Size()+int64(gap))
			return err
		}), q, ""
	case k == 6:
		b := make([]byte, p.r.IntN(len(p.files[name])*5/4+2))
		copy(b, p.files[name])
		q.files[name] = b
		return write(func(w *Writer) error { return w.Truncate(int64(len(b))) }), q, ""
	case k == 7 && len(p.files[name]) > 10:
		at := p.r.IntN(len(p.files[name]) - 5)
		b := bytes.Clone(p.files[name])
		copy(b[at:], "HELLO")
		q.files[name] = b
		return write(func(w *Writer) error {
			_, err := w.WriteAt([]byte("HELLO"), int64(at))
			return err
		}), q, name
	case k == 8:
		to := q.fresh()
		if p.r.IntN(3) == 0 {
			to = p.any()
		}
		delete(q.files, name)
		q.files[to] = p.files[name]
		return func(v *FS) error { return v.Rename(name, to) }, q, ""
	case k == 9 && len(p.dirs) < 12:
		at := q.fresh()
		q.dirs = append(q.dirs, at)
		return func(v *FS) error { return v.Mkdir(at) }, q, ""
	case k == 10 && len(p.dirs) > 1 && p.r.IntN(3) == 0: // a directory elsewhere
		from, to := p.dirs[1+p.r.IntN(len(p.dirs)-1)], q.fresh()
		if strings.HasPrefix(to, from+"/") {
			return func(*FS) error { return nil }, q, ""
		}
		under := func(s string) string {
			if s == from || strings.HasPrefix(s, from+"/") {
				return to + s[len(from):]
			}
			return s
		}
		for i := range q.dirs {
			q.dirs[i] = under(q.dirs[i])
		}
		q.files = map[string][]byte{}
		for n, b := range p.files {
			q.files[under(n)] = b
		}
		return func(v *FS) error { return v.Rename(from, to) }, q, ""
	}
	delete(q.files, name)
	return func(v *FS) error { return v.Remove(name) }, q, ""
}

// empty removes all files.
func (p *person) empty() (do func(v *FS) error, q *person) {
	q = p.clone()
	clear(q.files)
	return func(v *FS) error {
		for name := range p.files {
			if err := v.Remove(name); err != nil {
				return err
			}
			delete(p.files, name)
		}
		return nil
	}, q
}

// differs compares a volume with what must be there, but for the content of one file.
func (p *person) differs(v *FS, but string) string {
	seen, dirs := 0, 0
	err := iofs.WalkDir(v, ".", func(name string, e iofs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			if dirs++; name != "lost+found" && !slices.Contains(p.dirs, name) {
				return fmt.Errorf("directory %s should not be there", name)
			}
			return nil
		}
		seen++
		want, ok := p.files[name]
		if !ok {
			return fmt.Errorf("%s should not be there", name)
		}
		got, err := v.ReadFile(name)
		if err != nil && name != but { // which may have a sector that was torn
			return err
		}
		if name != but && !bytes.Equal(got, want) {
			return fmt.Errorf("%s has other content: %d bytes, want %d", name, len(got), len(want))
		}
		return nil
	})
	switch {
	case err != nil:
		return err.Error()
	case seen != len(p.files) || dirs != len(p.dirs)+1:
		return fmt.Sprintf("%d files and %d directories, want %d and %d", seen, dirs, len(p.files), len(p.dirs)+1)
	}
	return ""
}

// TestChanges makes changes at random on each kind of volume. e2fsck finds nothing wrong, and all is as it must be.
func TestChanges(t *testing.T) {
	s := seed(t)
	for i, kind := range kindsOfVolume {
		t.Run(kind.options, func(t *testing.T) {
			r := rand.New(rand.NewPCG(s, uint64(i)))
			d := made(t, kind.mib, r, strings.Fields(kind.options)...)
			p := newPerson(r)
			for range 2 {
				v := mounted(t, d)
				for range 60 {
					do, q, _ := p.plan()
					err := do(v)
					if errors.Is(err, fs.ErrNoRoom) {
						do, q = p.empty()
						err = do(v)
					}
					if err != nil {
						t.Fatal(err)
					}
					p = q
				}
				if diff := p.differs(v, ""); diff != "" {
					t.Fatal(diff)
				}
				if err := v.Sync(); err != nil {
					t.Fatal(err)
				}
				judged(t, d, false)
				if diff := p.differs(mounted(t, d), ""); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

// TestCuts pulls the plug at random while changes are made, on a medium that keeps the order of flushes only and tears sectors.
// Each change is there or not, and e2fsck finds nothing wrong when the journal was replayed, by it or by us.
func TestCuts(t *testing.T) {
	s := seed(t)
	for i, kind := range kindsOfVolume {
		t.Run(kind.options, func(t *testing.T) {
			r := rand.New(rand.NewPCG(s, uint64(i)))
			d := made(t, kind.mib, r, strings.Fields(kind.options)...)
			p := newPerson(r)
			for cut := range (*cutsFlag + len(kindsOfVolume) - 1) / len(kindsOfVolume) {
				v := mounted(t, d)
				d.CutAfter(1 + r.IntN([]int{30, 300, 3000}[r.IntN(3)]))
				var next *person
				var inPlace string
				var err error
				for err == nil {
					var do func(v *FS) error
					if r.IntN(10) == 0 {
						do, next, inPlace = (*FS).Sync, p, ""
					} else {
						do, next, inPlace = p.plan()
					}
					if err = do(v); errors.Is(err, fs.ErrNoRoom) {
						do, next = p.empty()
						inPlace = ""
						if err = do(v); err != nil { // some are gone, and perhaps the one that was being removed
							next = p
							inPlace = "any"
						}
					}
					if err == nil {
						p = next
					}
				}
				if !errors.Is(err, fstest.ErrPowerCut) {
					t.Fatalf("cut %d: %v", cut, err)
				}
				d.PowerOn()
				if cut%8 == 0 {
					judged(t, d, true)
				}
				v = mounted(t, d)
				if inPlace == "any" {
					for name := range p.files {
						if _, err := v.Stat(name); err != nil {
							delete(p.files, name)
							break
						}
					}
					inPlace = ""
				}
				// The change that was cut was made, or it was not.
				if diff := p.differs(v, inPlace); diff != "" {
					if diff2 := next.differs(v, inPlace); diff2 != "" {
						t.Fatalf("cut %d: %s; %s", cut, diff, diff2)
					}
					p = next
				}
				if inPlace != "" {
					p = p.clone()
					if p.files[inPlace], err = v.ReadFile(inPlace); err != nil {
						p.files[inPlace] = []byte("new")
						if err := v.WriteFile(inPlace, p.files[inPlace]); err != nil {
							t.Fatal(err)
						}
					}
				}
				if cut%16 == 5 {
					if err := v.Mkdir("again"); err != nil {
						t.Fatal(err)
					}
					if err := v.Remove("again"); err != nil {
						t.Fatal(err)
					}
					if err := v.Sync(); err != nil {
						t.Fatal(err)
					}
					judged(t, d, false)
				}
			}
		})
	}
}

// TestLargeDirectory has a directory grow from a list to hash trees of one and two levels, and become empty again.
func TestLargeDirectory(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, options := range []string{"-b 1024 -O metadata_csum -N 8000", "-b 1024 -O ^metadata_csum,^dir_index -N 8000"} {
		t.Run(options, func(t *testing.T) {
			d := made(t, 24, r, strings.Fields(options)...)
			v := mounted(t, d)
			if err := v.Mkdir("many"); err != nil {
				t.Fatal(err)
			}
			count := 3000
			if strings.Contains(options, "^dir_index") {
				count = 1000
			}
			name := func(i int) string { return fmt.Sprintf("many/%d %s", i, strings.Repeat("n", 150+i%50)) }
			for i := range count {
				var err error
				if i%9 == 0 {
					err = v.Mkdir(name(i))
				} else {
					err = v.WriteFile(name(i), nil)
				}
				if err != nil {
					t.Fatal(i, err)
				}
			}
			if err := v.Sync(); err != nil {
				t.Fatal(err)
			}
			judged(t, d, false)
			v = mounted(t, d)
			n, err := v.resolve("test", "many", true)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := v.dirBlock(n, 0); err != nil || v.indexed(n) && b[0x1E] != 1 || v.indexed(n) == strings.Contains(options, "^dir_index") {
				t.Errorf("indexed %t, levels %d, %v", v.indexed(n), b[0x1E], err)
			}
			list, err := v.ReadDir("many")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				if _, err := v.Stat("many/" + e.Name()); err != nil {
					t.Fatal(err)
				}
				if err := v.Remove("many/" + e.Name()); err != nil {
					t.Fatal(err)
				}
			}
			if len(list) != count {
				t.Errorf("%d names, want %d", len(list), count)
			}
			if err := v.Remove("many"); err != nil {
				t.Fatal(err)
			}
			if err := v.Sync(); err != nil {
				t.Fatal(err)
			}
			judged(t, d, false)
		})
	}
}

// TestPieces has a file in so many pieces that its extent tree gets levels, which go again; and debugfs sees the same content.
func TestPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	d := made(t, 24, r, "-b", "1024")
	v := mounted(t, d)
	w, err := v.Create("pieces")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 2000*2048)
	for i := range 2000 { // every other block
		at := (i * 7919 % 2000) * 2048
		for k := range 1024 {
			want[at+k] = byte(r.Uint32())
		}
		if _, err := w.WriteAt(want[at:at+1024], int64(at)); err != nil {
			t.Fatal(err)
		}
		if i%500 == 7 {
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want = want[:1999*2048+1024]
	n, err := v.resolve("test", "pieces", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, nodes, err := v.extentsOf(n); err != nil || len(nodes) < 2000/84 {
		t.Errorf("%d nodes, %v", len(nodes), err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
	img := filepath.Join(t.TempDir(), "pieces.img")
	if err := os.WriteFile(img, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	program(t, "", nil, "debugfs", "-R", "dump pieces "+img+".out", img)
	if got, err := os.ReadFile(img + ".out"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("debugfs reads %d bytes, want %d, or others: %v", len(got), len(want), err)
	}
	if w, err = v.OpenWriter("pieces"); err != nil {
		t.Fatal(err)
	}
	if err := w.Truncate(3000); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := v.ReadFile("pieces"); err != nil || !bytes.Equal(got, want[:3000]) {
		t.Error(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// TestOnlyRead has volumes that are read, and say why they are not written.
func TestOnlyRead(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for options, want := range map[string]string{
		"-O ^has_journal":               "it has no journal",
		"-O quota":                      "quota",
		"-O bigalloc":                   "bigalloc",
		"-O ^extent,^64bit,^flex_bg":    "it is ext2 or ext3",
		"-O large_dir":                  "incompat 0x4",
		"-O mmp":                        "with which AlphaOS only reads",
		"-O project,extra_isize -I 256": "project",
	} {
		d := made(t, 24, r, strings.Fields(options)...)
		before := bytes.Clone(d.Bytes())
		v := mounted(t, d)
		if err := v.WriteFile("a", []byte("b")); err == nil || !strings.Contains(err.Error(), "the volume is only read: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
		if _, err := v.ReadDir("."); err != nil {
			t.Error(err)
		}
		if err := v.Sync(); err != nil || !bytes.Equal(before, d.Bytes()) {
			t.Errorf("%s: it was written, error %v", options, err)
		}
	}
}

// TestOrphans has a file that was deleted while it was open when the power went: it goes with the first change.
func TestOrphans(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	d := made(t, 24, r, "-b", "1024")
	v := mounted(t, d)
	if err := v.WriteFile("orphan", make([]byte, 50000)); err != nil {
		t.Fatal(err)
	}
	n, err := v.resolve("test", "orphan", true)
	if err != nil {
		t.Fatal(err)
	}
	free, _ := v.Free()
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "orphan.img")
	if err := os.WriteFile(img, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	debugfs(t, img, "unlink orphan", fmt.Sprintf("set_inode_field <%d> links_count 0", n.number), fmt.Sprintf("set_inode_field <%d> dtime 0", n.number), fmt.Sprintf("set_super_value last_orphan %d", n.number))
	data, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	copy(d.Bytes(), data)
	v = mounted(t, d)
	if err := v.WriteFile("other", []byte("text")); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if now, _ := v.Free(); now < free+49*1024-1024 {
		t.Errorf("%d bytes are free, and %d were before", now, free)
	}
	judged(t, d, false)
}

// An orphan that can't be removed stays, which is said, and all else can be changed from the first change on.
func TestOrphanThatStays(t *testing.T) {
	needs(t, "debugfs")
	d := made(t, 8, rand.New(rand.NewPCG(7, 8)), "-b", "1024")
	byDebugfs(t, d, "set_super_value last_orphan 4000000000")
	for range 2 { // at each start
		v := mounted(t, d)
		if err := errors.Join(v.WriteFile("first", []byte("text")), v.WriteFile("second", []byte("text")), v.Sync(), v.WriteFile("third", nil), v.Sync()); err != nil {
			t.Fatal(err)
		}
		if notes := v.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "can't be removed") || v.Dirty() {
			t.Errorf("%q", notes)
		}
	}
	byDebugfs(t, d, "set_super_value last_orphan 0")
	judged(t, d, false)
}

// TestInPlace overwrites a file where it lies, and it stays there.
func TestInPlace(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(9, 10)), "-b", "1024")
	v := mounted(t, d)
	if err := v.WriteFile("journal", make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
	f, err := v.OpenInPlace("journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{v.Remove("journal"), v.WriteFile("journal", nil)} {
		if !errors.Is(err, fs.ErrPinned) {
			t.Error(err)
		}
	}
	if _, err := f.WriteAt([]byte("words"), 77777); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("words"), 99998); !errors.Is(err, fs.ErrFull) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if got, err := mounted(t, d).ReadFile("journal"); err != nil || string(got[77777:77782]) != "words" || len(got) != 100000 {
		t.Error(err)
	}
	judged(t, d, false)
}

// FuzzChange changes volumes that are damaged at random: it must neither panic nor hang.
func FuzzChange(f *testing.F) {
	images := map[bool][]byte{}
	for _, sums := range []bool{false, true} {
		options := []string{"-b", "1024", "-N", "64", "-J", "size=1", "-O", "^resize_inode,^metadata_csum"}
		if sums {
			options[7] = "^resize_inode,metadata_csum"
		}
		d := made(f, 3, rand.New(rand.NewPCG(1, 1)), options...)
		v := mounted(f, d)
		for i := range 30 {
			if err := v.WriteFile(fmt.Sprintf("a file with quite a long name, so that there are more blocks %d", i), make([]byte, 3000*(i%3))); err != nil {
				f.Fatal(err)
			}
		}
		if err := v.Mkdir("dir"); err != nil {
			f.Fatal(err)
		}
		if !sums {
			if err := v.Sync(); err != nil {
				f.Fatal(err)
			}
		}
		images[sums] = d.Bytes()
	}
	f.Add(true, []byte{0, 4, 60, 1}, uint64(1))
	f.Add(false, []byte{0, 4, 60, 1, 1, 9, 3, 255}, uint64(2))
	f.Fuzz(func(t *testing.T, sums bool, damage []byte, seed uint64) {
		data := bytes.Clone(images[sums])
		for ; len(damage) >= 4; damage = damage[4:] {
			// Metadata lies in the first 256 KiB.
			at := (int(damage[0])<<16 | int(damage[1])<<8 | int(damage[2])) % min(len(data), 256<<10)
			data[at] = damage[3]
		}
		dev := fstest.NewDevice(data, 512)
		v, err := Mount(dev)
		if err != nil {
			return
		}
		p := newPerson(rand.New(rand.NewPCG(seed, 5)))
		list, _ := v.ReadDir(".")
		for _, e := range list {
			if !e.IsDir() && len(p.files) < 5 {
				p.files[e.Name()] = make([]byte, 100)
			}
		}
		for range 12 {
			do, q, _ := p.plan()
			if do(v) == nil {
				p = q
			}
		}
		if v.Sync() == nil {
			_, _ = v.Free()
		}
	})
}
