package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/internal/fsck"
)

// checked repairs a volume in place; a second check, and fsck.fat where there is one, must then
// find nothing.
func checked(t testing.TB, what string, b []byte, block int, o CheckOptions) Report {
	t.Helper()
	before := slices.Clone(b)
	dry, err := Check(fstest.NewDevice(b, block), o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !bytes.Equal(b, before) {
		t.Errorf("%s: a check without repair has written", what)
	}
	o.Repair = true
	r, err := Check(fstest.NewDevice(b, block), o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(dry.Problems) != len(r.Problems) || dry.More != r.More {
		t.Errorf("%s: without repair it finds\n%s\nand with\n%s", what, dry, r)
	}
	if len(r.Problems) == 0 && !bytes.Equal(b, before) {
		t.Errorf("%s: nothing was found and something written", what)
	}
	for _, p := range r.Problems {
		if s := p.String(); !strings.HasSuffix(s, ".") || strings.Contains(s, "\n") {
			t.Errorf("%q is no sentence", s)
		}
	}
	if strings.Contains(r.String(), "check again to have them freed") {
		o.SaveLost = false
		if _, err := Check(fstest.NewDevice(b, block), o); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	o.Repair = false
	again, err := Check(fstest.NewDevice(b, block), o)
	if err != nil || len(again.Problems) > 0 {
		t.Errorf("%s: after repair of\n%s\nCheck finds %v\n%s", what, r, err, again)
	}
	if _, err := exec.LookPath("fsck.fat"); err == nil && !t.Failed() {
		img := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(img, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if said := fsck.Says(t, img); len(said) > 0 {
			t.Errorf("%s: after repair of\n%s\nfsck.fat says: %s", what, r, strings.Join(said, "\n"))
		}
	}
	return r
}

func TestCheckSound(t *testing.T) {
	needs(t, "mkfs.fat", "mcopy", "mmd")
	b := mkfs(t, 40<<20, "-s", "1")
	img := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(img, b, 0o600); err != nil {
		t.Fatal(err)
	}
	src := t.TempDir()
	for name, content := range tree() {
		p := filepath.Join(src, "all", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run1(t, "mcopy", "-s", "-i", img, filepath.Join(src, "all"), "::")
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	var files Tree
	for i := range 70 {
		if err := files.Add(fmt.Sprintf("some directory/and a file in it %d", i), Bytes(bytes.Repeat([]byte("x"), 300*i))); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string][]byte{"mtools": b, "formatted": formatted(t, &files, 40<<20)} {
		if r := checked(t, name, b, 512, CheckOptions{}); len(r.Problems) > 0 || r.Files < 70 || r.Clusters < 60000 || r.Free == 0 || r.Free >= r.Clusters {
			t.Errorf("%s: %s", name, r)
		}
	}
}

// damaged is a volume to spoil: that of sample, in order for fsck.fat.
func damaged(t testing.TB) *image {
	t.Helper()
	m := sample(512, 1, 2)
	m.chain(20, 21)
	copy(m.data(2)[:32], "ALPHAOS    \x08")
	if r, err := Check(m.device(), CheckOptions{Repair: true}); err != nil {
		t.Fatalf("%s, %v", r, err)
	}
	return m
}

// TestCheckMends spoils a volume in each way that there is a word for.
func TestCheckMends(t *testing.T) {
	le := binary.LittleEndian
	// Slots of 32 bytes in the root: label, FRAGMENT.BIN, MODELS; in MODELS: the dots, two parts
	// of a long name and its file, EMPTY, JOURNAL.LOG.
	root := func(m *image, slot int) []byte { return m.data(2)[32*slot:][:32] }
	models := func(m *image, slot int) []byte { return m.data(3)[32*slot:][:32] }
	for _, c := range []struct {
		name, want string
		spoil      func(m *image)
	}{
		{"nothing", "", func(*image) {}},
		{"dirty", "not put in order", func(m *image) { m.b[65] |= 1 }},
		{"dirty FAT", "not put in order", func(m *image) { m.set(-1, 1, 0x07FFFFFF) }},
		{"boot sector", "restored from its backup", func(m *image) { clear(m.b[:512]) }},
		{"boot sector overwritten", "restored from its backup", func(m *image) { copy(m.b[32:64], "MODELS     \x10") }},
		{"boot sector without places", "restored from its backup", func(m *image) { clear(m.b[48:52]) }},
		{"backup", "backup of the boot sector", func(m *image) { m.b[6*512+100] ^= 1 }},
		{"signature", "55 AA", func(m *image) { m.b[510] = 0 }},
		{"boot label", "label in the boot sector", func(m *image) { m.b[71] = 'X' }},
		{"no root label", "not in the root directory", func(m *image) { root(m, 0)[0] = deleted }},
		{"second label", "volume label", func(m *image) { m.add(2, "OTHER      ", "", 0x08, 0, 0) }},
		{"label with clusters", "label has clusters", func(m *image) { root(m, 0)[26] = 9 }},
		{"FAT 0", "begin with the medium's kind", func(m *image) { m.set(-1, 0, 0x0FFFFF00) }},
		{"one FAT dirty", "one FAT says", func(m *image) { m.set(1, 1, 0x07FFFFFF) }},
		{"unused bits of the mark", "one FAT says", func(m *image) { m.set(1, 1, 0xFFFFFFFF) }},
		{"FATs differ", "FATs differ in one entry", func(m *image) { m.set(1, 5, 0) }},
		{"first FAT worse", "made as FAT 2", func(m *image) { m.set(0, 9, 0); m.set(0, 25, 0) }},
		{"free count", "said to have 3 free", func(m *image) { le.PutUint32(m.b[512+488:], 3) }},
		{"free count unknown", "does not know", func(m *image) { le.PutUint32(m.b[512+488:], 1<<32-1) }},
		{"no FSInfo", "counts free clusters", func(m *image) { clear(m.b[512:1024]) }},
		{"lost", "2 clusters belong to no file", func(m *image) { m.chain(35, 36) }},
		{"lost ring", "3 clusters belong to no file", func(m *image) { m.set(-1, 35, 36); m.set(-1, 36, 37); m.set(-1, 37, 35) }},
		{"lost into a file", "1 clusters belong", func(m *image) { m.set(-1, 35, 5) }},
		{"lost beyond", "1 clusters belong", func(m *image) { m.set(-1, 35, 99999) }},
		{"free in chain", "leads to a free cluster. Mended: it is cut to 512 of 1436 bytes", func(m *image) { m.set(-1, 5, 0) }},
		{"bad in chain", "leads to a bad cluster", func(m *image) { m.set(-1, 5, entryBad) }},
		{"beyond", "cluster 77, which does not exist", func(m *image) { m.set(-1, 9, 77) }},
		{"one", "cluster 1, which does not exist", func(m *image) { m.set(-1, 9, 1) }},
		{"short", "ends too early. Mended: it is cut to 1024", func(m *image) { m.set(-1, 5, endOfChain) }},
		{"long", "more clusters than it needs", func(m *image) { m.chain(9, 5, 12, 35) }},
		{"no cluster", "it is cut to 0", func(m *image) { setFirst(root(m, 1), 0) }},
		{"first beyond", "cluster 1000, which does not exist. Mended: it is cut to 0", func(m *image) { setFirst(root(m, 1), 1000) }},
		{"empty with clusters", "is empty and has", func(m *image) { setSize(root(m, 1), 0) }},
		{"ring", "clusters of another", func(m *image) { m.set(-1, 5, 9) }},
		{"crossed", "clusters of another. Mended: it is cut to 512", func(m *image) { m.set(-1, 20, 5) }},
		{"two names", "has another name, too. Mended: this name is removed", func(m *image) { m.add(2, "SECOND     ", "", 0x20, 9, 1436) }},
		{"two names for a directory", "directory has another name", func(m *image) { m.add(2, "SECOND     ", "", 0x10, 3, 0) }},
		{"knot", "another name", func(m *image) { m.add(3, "KNOT       ", "", 0x10, 3, 0) }},
		{"root in itself", "another name", func(m *image) { m.add(3, "KNOT       ", "", 0x10, 2, 0) }},
		{"directory without clusters", "directory's chain of clusters leads to cluster 0", func(m *image) { m.add(2, "NONE       ", "", 0x10, 0, 0) }},
		{"directory that goes on", "leads to a free cluster", func(m *image) { m.set(-1, 3, 38) }},
		{"directory with a size", "has no size", func(m *image) { setSize(root(m, 2), 7) }},
		{"root lost", "root directory is in a cluster", func(m *image) { m.set(-1, 2, 0) }},
		{"root goes on", "root directory leads to", func(m *image) { m.set(-1, 2, 38) }},
		{"dot", `entry "." is wrong`, func(m *image) { setFirst(models(m, 0), 9) }},
		{"dot-dot", `entry ".." is wrong`, func(m *image) { setFirst(models(m, 1), 9) }},
		{"no dot", `entry "." is wrong`, func(m *image) { models(m, 0)[0] = deleted }},
		{"no dots", `entry ".." is wrong`, func(m *image) { models(m, 0)[0], models(m, 1)[0] = 'A', 'B' }},
		{"dot elsewhere", `an entry "." where`, func(m *image) { m.add(3, ".          ", "", 0x10, 3, 0) }},
		{"behind the end", "behind the end", func(m *image) { copy(root(m, 10), "BEHIND     ") }},
		{"long name alone", "long name belongs to no file", func(m *image) { models(m, 4)[0] = deleted }},
		{"long name broken", "long name belongs to no file", func(m *image) { models(m, 2)[0] = deleted }},
		{"long name of another", "long name belongs to no file", func(m *image) { models(m, 4)[0] = 'X' }},
		{"long name within", "long name belongs to no file", func(m *image) { models(m, 3)[0] |= 0x40 }},
		{"unused bytes", "unused bytes of a long name", func(m *image) { models(m, 3)[26] = 1 }},
		{"short name", "one that cannot be", func(m *image) { models(m, 5)[1] = '?' }},
		{"short name of a long", "one that cannot be", func(m *image) {
			models(m, 4)[1] = '?'
			for i := 2; i < 4; i++ {
				models(m, i)[13] = Checksum([11]byte(models(m, 4)))
			}
		}},
		{"same short name", "same short name", func(m *image) { m.add(3, "EMPTY      ", "", 0x20, 0, 0) }},
		{"same long name", "another has the same name", func(m *image) {
			m.add(2, "ONE        ", "a long name", 0x20, 0, 0)
			m.add(2, "TWO        ", "A Long Name", 0x20, 0, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := damaged(t)
			c.spoil(m)
			o := CheckOptions{Protect: []string{"MODELS/JOURNAL.LOG", "not/there"}}
			r := checked(t, c.name, m.b, 512, o)
			if s := r.String(); c.want == "" && len(r.Problems) > 0 || !strings.Contains(s, c.want) {
				t.Errorf("found\n%s\nwant ... %s ...", s, c.want)
			}
			v := m.mount(t)
			all := everything(t, v)
			if j, ok := all["MODELS/JOURNAL.LOG"]; !ok || len(j) != 2048 {
				t.Errorf("the journal has %d bytes", len(j))
			}
		})
	}
}

// What is protected is as it was, whoever claims its clusters, and when it is broken itself.
func TestCheckProtects(t *testing.T) {
	o := CheckOptions{Repair: true, Protect: []string{"models/journal.log"}, SaveLost: true}
	m := damaged(t)
	journal := m.mount(t)
	want, err := journal.ReadFile("MODELS/JOURNAL.LOG")
	if err != nil {
		t.Fatal(err)
	}
	m.set(-1, 5, 26)                                       // another file runs into it
	m.add(2, "SECOND     ", "", 0x20, 25, 2048)            // and has it as its own,
	m.add(2, "THIRD      ", "", 0x10, 30, 0)               // or as a directory
	m.set(-1, 40, 31)                                      // what is lost leads to it
	slots := slices.Clone(m.data(3)[32*6 : 32*7])          // its entry
	entries := slices.Clone(m.b[m.tableAt(0)+4*25:][:4*7]) // and chain
	r, err := Check(m.device(), o)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(r.String(), "protected file"); n != 3 {
		t.Errorf("%d claims were found:\n%s", n, r)
	}
	if got, err := m.mount(t).ReadFile("MODELS/JOURNAL.LOG"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the journal was changed: %v", err)
	}
	if !bytes.Equal(slots, m.data(3)[32*6:32*7]) || !bytes.Equal(entries, m.b[m.tableAt(0)+4*25:][:4*7]) {
		t.Error("its entry or chain was changed")
	}
	m = damaged(t)
	m.set(-1, 26, 0)
	m.chain(35)
	before := slices.Clone(m.data(30))
	r, err = Check(m.device(), o)
	if err != nil || !strings.Contains(r.String(), "it is to be protected") || r.Saved > 0 {
		t.Errorf("%v\n%s", err, r)
	}
	if binary.LittleEndian.Uint32(m.b[m.tableAt(0)+4*30:])&entryMask != 31 || !bytes.Equal(before, m.data(30)) {
		t.Error("the rest of a broken journal was freed")
	}
}

func TestCheckSaves(t *testing.T) {
	m := damaged(t)
	copy(m.data(35), "the first of two")
	copy(m.data(38), "the second")
	m.chain(35, 38)
	m.set(-1, 39, 41)
	m.set(-1, 41, 39)
	copy(m.data(39), "a ring")
	r := checked(t, "saved", m.b, 512, CheckOptions{SaveLost: true, Time: someDay})
	if r.Saved != 2 || r.Freed != 4 {
		t.Errorf("%d files of %d clusters", r.Saved, r.Freed)
	}
	all := everything(t, m.mount(t))
	a, b := all["FSCK0000.REC"], all["FSCK0001.REC"]
	if len(a) != 1024 || !strings.HasPrefix(a, "the first of two") || !strings.HasPrefix(a[512:], "the second") || !strings.HasPrefix(b, "a ring") {
		t.Errorf("saved %.20q and %.20q", a, b)
	}
	if fi, err := m.mount(t).Stat("FSCK0000.REC"); err != nil || !fi.ModTime().Equal(someDay) {
		t.Errorf("%v, %v", fi, err)
	}
}

func TestCheckRefuses(t *testing.T) {
	m := damaged(t)
	m.b[33]++
	m.b[6*512+33]++
	before := slices.Clone(m.b)
	r, err := Check(m.device(), CheckOptions{Repair: true})
	if err != nil || len(r.Problems) != 1 || !strings.Contains(r.String(), "longer than its partition") || !bytes.Equal(before, m.b) {
		t.Errorf("a volume that is cut off: %v\n%s", err, r)
	}
	if _, err := Check(fstest.NewDevice(make([]byte, 1<<20), 512), CheckOptions{}); !errors.Is(err, ErrNotFAT32) {
		t.Errorf("zeros: %v", err)
	}
	d := damaged(t).device()
	d.MakeUnreadable(int64(damaged(t).tableAt(2)), int64(damaged(t).tableAt(2)+512))
	if _, err := Check(d, CheckOptions{}); !errors.Is(err, fstest.ErrUnreadable) {
		t.Errorf("an unreadable root: %v", err)
	}
}

// A sector that cannot be read can be written again, if what it has to say is known.
func TestCheckUnreadable(t *testing.T) {
	m := damaged(t)
	d := m.device()
	d.MakeUnreadable(512, 1024)
	r, err := Check(d, CheckOptions{Repair: true})
	if err != nil || !strings.Contains(r.String(), "counts free clusters is damaged") {
		t.Errorf("FSInfo: %v\n%s", err, r)
	}
	if r, err := Check(d, CheckOptions{}); err != nil || len(r.Problems) > 0 {
		t.Errorf("after repair: %v\n%s", err, r)
	}
	// Any sector of either FAT.
	for sector := range 2 {
		for table := range 2 {
			large := newImage(512, 1, 150, 2)
			for _, c := range []uint32{3, 4, 140} {
				large.file(2, fmt.Sprintf("FILE%-7d", c), 500, c)
			}
			if _, err := Check(large.device(), CheckOptions{Repair: true}); err != nil {
				t.Fatal(err)
			}
			want := everything(t, large.mount(t))
			d := large.device()
			at := int64(large.tableAt(table) + 512*sector)
			d.MakeUnreadable(at, at+512)
			dry, err := Check(d, CheckOptions{})
			if err != nil {
				t.Errorf("sector %d of FAT %d: %v", sector, table+1, err)
				continue
			}
			r, err := Check(d, CheckOptions{Repair: true})
			if err != nil || len(r.Problems) != 1 || len(dry.Problems) != 1 || !strings.Contains(r.String(), fmt.Sprintf("FAT %d cannot be read as a whole. Mended: all are made as FAT %d is", table+1, 2-table)) {
				t.Errorf("sector %d of FAT %d: %v\n%s%s", sector, table+1, err, dry, r)
			}
			if r, err := Check(d, CheckOptions{}); err != nil || len(r.Problems) > 0 {
				t.Errorf("after repair: %v\n%s", err, r)
			}
			same(t, "after repair", everything(t, large.mount(t)), want)
		}
	}
	m = damaged(t)
	d = m.device()
	d.MakeUnreadable(int64(m.tableAt(0)), int64(m.tableAt(2)))
	if _, err := Check(d, CheckOptions{Repair: true}); !errors.Is(err, fstest.ErrUnreadable) {
		t.Errorf("no FAT can be read: %v", err)
	}
}

// The memory for a volume with directories one below the other grows with their number only.
func TestCheckDeep(t *testing.T) {
	const depth = 3000
	m := newImage(512, 1, depth+10, 2)
	name, parent := strings.Repeat("n", 100), uint32(2)
	for c := uint32(3); c < depth+3; c++ {
		m.add(parent, "D          ", name, attrDir, c, 0)
		m.chain(c)
		up := parent
		if up == 2 {
			up = 0
		}
		m.add(c, ".          ", "", attrDir, c, 0)
		m.add(c, "..         ", "", attrDir, up, 0)
		parent = c
	}
	m.add(parent, "TWICE      ", "", 0x20, 0, 0)
	m.add(parent, "TWICE      ", "", 0x20, 0, 0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := Check(m.device(), CheckOptions{Repair: true})
	runtime.ReadMemStats(&after)
	if err != nil || r.Dirs != depth+1 {
		t.Errorf("%v, %d directories", err, r.Dirs)
	}
	if n := (after.TotalAlloc - before.TotalAlloc) / depth; n > 40<<10 {
		t.Errorf("%d bytes for each directory", n)
	}
	if s := r.String(); !strings.Contains(s, ".../n") || !strings.Contains(s, "n/TWICE: another") || len(s) > 10000 {
		t.Errorf("%.3000s", s)
	}
}

// TestCheckMounted mends a volume that is in use, of which a file is open in place.
func TestCheckMounted(t *testing.T) {
	m := damaged(t)
	d := m.device()
	m.b[65] |= 1
	m.chain(35, 36)
	m.set(-1, 5, 26) // which runs into the journal
	v := m.mount(t)
	if !v.Dirty() {
		t.Error("a volume that is marked is in order")
	}
	v, err := Mount(d)
	if err != nil {
		t.Fatal(err)
	}
	j, err := v.OpenInPlace("MODELS/JOURNAL.LOG")
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Open("MODELS/EMPTY")
	if err == nil {
		f.Close()
	}
	f, err = v.Open("FRAGMENT.BIN")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Check(CheckOptions{}); err == nil {
		t.Error("it is checked while a file is open")
	}
	f.Close()
	before := slices.Clone(m.b)
	steps := d.Steps()
	if _, err := v.Check(CheckOptions{Repair: true, Watch: func(int) error { return errors.New("it takes too long") }}); err == nil || !strings.Contains(err.Error(), "too long") || d.Steps() != steps || !bytes.Equal(before, m.b) {
		t.Errorf("when there is no time: error %v, %d writes", err, d.Steps()-steps)
	}
	if r, err := v.Check(CheckOptions{}); err != nil || len(r.Problems) < 3 || !v.Dirty() || !bytes.Equal(before, m.b) {
		t.Errorf("without repair: %v\n%s", err, r)
	}
	seen := 0
	r, err := v.Check(CheckOptions{Repair: true, Watch: func(n int) error { seen += n; return nil }})
	if seen == 0 {
		t.Error("nothing was seen of the check")
	}
	if err != nil || v.Dirty() || !strings.Contains(r.String(), "leads to clusters of a protected file. Mended: it is cut to 1024") || !strings.Contains(r.String(), "belong to no file") {
		t.Errorf("dirty %v, error %v\n%s", v.Dirty(), err, r)
	}
	if _, err := j.WriteAt([]byte("said after it"), 700); err != nil {
		t.Fatal(err)
	}
	if err := v.WriteFile("NEW", []byte(text(1, 3000))); err != nil {
		t.Fatal(err)
	}
	if b, err := v.ReadFile("FRAGMENT.BIN"); err != nil || len(b) != 1024 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if r := checked(t, "mended and used", m.b, 512, CheckOptions{}); len(r.Problems) > 0 {
		t.Errorf("%s", r)
	}
	all := everything(t, m.mount(t))
	if all["NEW"] != text(1, 3000) || !strings.HasPrefix(all["MODELS/JOURNAL.LOG"][700:], "said after it") {
		t.Error("what was written since is not there")
	}

	// A boot sector that is gone is one more reason, and is restored.
	clear(m.b[:512])
	if v = m.mount(t); !v.Dirty() {
		t.Error("a volume without its boot sector is in order")
	}
	if r, err = v.Check(CheckOptions{Repair: true}); err != nil || v.Dirty() || len(r.Problems) != 1 {
		t.Errorf("%v\n%s", err, r)
	}
	if err := v.WriteFile("NEWER", nil); err != nil {
		t.Error(err)
	}
}

// filled is a volume with much in it, to be spoiled.
func filled(t testing.TB) []byte {
	t.Helper()
	b := mkfs(t, 256<<10, "-s", "1", "-R", "8")
	v, err := Mount(fstest.NewDevice(b, 512))
	if err != nil {
		t.Fatal(err)
	}
	v.Clock = func() time.Time { return someDay }
	for _, j := range workload()[:40] {
		if err := j.do(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.WriteFile("notes/journal.log", []byte(text(9, 9000))); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	return b
}

// spoil changes what is not content at random.
func spoil(r *rand.Rand, b []byte, v *FS) {
	at := func() int {
		switch r.IntN(6) {
		case 0:
			return r.IntN(8 * 512)
		case 1, 2, 3:
			return int(v.tableAt) + r.IntN(int(v.dataAt-v.tableAt))
		default:
			return int(v.dataAt) + r.IntN(40*512) // where directories are, for the most part
		}
	}
	for range 1 + r.IntN(8) {
		i := at()
		switch r.IntN(5) {
		case 0:
			b[i] ^= 1 << r.IntN(8)
		case 1:
			b[i] = byte(r.Uint32())
		case 2:
			copy(b[i&^31:], b[at()&^31:][:32])
		case 3: // an entry of the FAT that leads somewhere
			c := int(v.tableAt) + 4*r.IntN(int(v.last))
			binary.LittleEndian.PutUint32(b[c:], uint32(r.IntN(int(v.last)+5)))
		case 4:
			i &^= 511
			copy(b[i:], make([]byte, 512))
		}
	}
}

// TestCheckRandom spoils a volume at random. What Check leaves is in order for it and for
// fsck.fat, all of it can be read, and a protected file that could be read is as it was.
func TestCheckRandom(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat")
	base := filled(t)
	mended := 0
	for seed := range uint64(*spoils) {
		r := rand.New(rand.NewPCG(seed, 5))
		b := slices.Clone(base)
		v, err := Mount(fstest.NewDevice(base, 512))
		if err != nil {
			t.Fatal(err)
		}
		spoil(r, b, v)
		v, err = Mount(fstest.NewDevice(b, 512))
		if err != nil {
			continue // the boot sector, or the root
		}
		const name = "notes/journal.log"
		o := CheckOptions{SaveLost: seed%2 == 1}
		var journals [][]byte
		for n := range 2 { // by one FAT alone, since one will be left
			if v, err := open(fstest.NewDevice(b, 512)); err == nil {
				v.active, v.mirrored = n, false
				if j, err := v.ReadFile(name); err == nil {
					o.Protect, journals = []string{name}, append(journals, j)
				}
			}
		}
		what := fmt.Sprintf("seed %d", seed)
		rep := checked(t, what, b, 512, o)
		if len(rep.Problems) > 0 {
			mended++
		}
		if t.Failed() {
			return
		}
		if v, err = Mount(fstest.NewDevice(b, 512)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		everything(t, v)
		if got, err := v.ReadFile(name); o.Protect != nil && (err != nil || !slices.ContainsFunc(journals, func(j []byte) bool { return bytes.Equal(got, j) })) {
			t.Errorf("%s: the journal was changed: %v, %d bytes, by\n%s", what, err, len(got), rep)
		}
	}
	if mended < *spoils/2 {
		t.Errorf("only %d of %d were mended", mended, *spoils)
	}
}

// readable returns the files of a damaged volume that can be read.
func readable(v *FS) map[string]string {
	all := map[string]string{}
	iofs.WalkDir(v, ".", func(name string, e iofs.DirEntry, err error) error {
		switch {
		case err != nil && e != nil && e.IsDir():
			return iofs.SkipDir
		case err == nil && !e.IsDir():
			if b, err := v.ReadFile(name); err == nil {
				all[name] = string(b)
			}
		}
		return nil
	})
	return all
}

// TestCheckCuts cuts the power while a spoiled volume is repaired, and repairs it again: files
// that a repair keeps are kept, and a volume that was repaired in part is marked.
func TestCheckCuts(t *testing.T) {
	needs(t, "mkfs.fat")
	base := filled(t)
	cuts := 0
	for seed := range uint64(*spoils) {
		r := rand.New(rand.NewPCG(seed, 77))
		sound, err := Mount(fstest.NewDevice(base, 512))
		if err != nil {
			t.Fatal(err)
		}
		spoiled := slices.Clone(base)
		spoil(r, spoiled, sound)
		v, err := Mount(fstest.NewDevice(spoiled, 512))
		if err != nil {
			continue // the boot sector, or the root
		}
		o := CheckOptions{Repair: true, SaveLost: seed%2 == 1, Time: someDay}
		repaired := func(b []byte) map[string]string {
			t.Helper()
			b = slices.Clone(b)
			if _, err := Check(fstest.NewDevice(b, 512), o); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			v, err := Mount(fstest.NewDevice(b, 512))
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return readable(v)
		}
		before, kept := readable(v), repaired(spoiled)
		for trial := range uint64(20) {
			d := fstest.New(int64(len(spoiled)), 512, 0, rand.New(rand.NewPCG(seed, trial)))
			copy(d.Bytes(), spoiled)
			d.InOrder, d.Tear = trial%2 == 0, fstest.TearOld
			dev, err := fs.NewFileDevice(d, d.Size(), 512)
			if err != nil {
				t.Fatal(err)
			}
			d.CutAfter(1 + r.IntN(60))
			if _, err = Check(dev, o); err == nil {
				continue
			}
			cuts++
			d.PowerOn()
			cut, err := Mount(fstest.NewDevice(d.Bytes(), 512))
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !cut.Dirty() {
				// It is in order but for the mark, or as it was but for that.
				r, err := Check(fstest.NewDevice(d.Bytes(), 512), CheckOptions{})
				b := slices.Clone(d.Bytes())
				for _, at := range []int64{bootDirty &^ 3, v.tableAt + 4, v.tableAt + v.tableLen + 4} {
					copy(b[at:at+4], spoiled[at:])
				}
				if wrong := slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind > Mark }); err != nil || wrong && !bytes.Equal(b, spoiled) {
					t.Errorf("seed %d: cut short, and not marked: %v\n%s", seed, err, r)
				}
			}
			again := repaired(d.Bytes())
			for name, content := range before {
				if kept[name] == content && again[name] != content {
					t.Errorf("seed %d: %.60q has %d bytes after a repair, and %d after one that was cut short and done again", seed, name, len(content), len(again[name]))
				}
			}
		}
	}
	if cuts < 2**spoils {
		t.Errorf("only %d cuts", cuts)
	}
}

// FuzzCheck repairs whatever volume there is; then it is in order, and all of it can be read.
func FuzzCheck(f *testing.F) {
	m := sample(512, 1, 2)
	f.Add(m.b, false, false)
	d := damaged(f)
	d.set(-1, 30, 5)
	d.set(1, 9, 7)
	d.chain(35, 36)
	f.Add(d.b, true, false)
	f.Add(sample(4096, 1, 1).b, true, true)
	f.Fuzz(func(t *testing.T, data []byte, save, large bool) {
		block := 512
		if large {
			block = 4096
		}
		b := slices.Clone(data)
		r, err := Check(fstest.NewDevice(b, block), CheckOptions{Repair: true, SaveLost: save, Protect: []string{"MODELS/JOURNAL.LOG"}})
		if err != nil {
			return
		}
		for _, p := range r.Problems {
			if !p.Mended {
				return // it could not be, and that is said
			}
		}
		again, err := Check(fstest.NewDevice(b, block), CheckOptions{Protect: []string{"MODELS/JOURNAL.LOG"}})
		if err != nil || len(again.Problems) > 0 && r.More == 0 {
			t.Fatalf("after\n%s\nCheck finds %v\n%s", r, err, again)
		}
		v, err := Mount(fstest.NewDevice(b, block))
		if err != nil {
			t.Fatalf("after\n%s\n%v", r, err)
		}
		err = iofs.WalkDir(v, ".", func(path string, e iofs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				_, err = v.ReadFile(path)
			}
			if err != nil && strings.Contains(err.Error(), "levels deep") {
				return iofs.SkipDir
			}
			return err
		})
		if err != nil {
			t.Errorf("after\n%s\n%v", r, err)
		}
	})
}

var _ fs.BlockDevice = (*overlay)(nil)
