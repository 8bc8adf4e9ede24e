package ext4

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
)

// byDebugfs has debugfs change a disk.
func byDebugfs(t testing.TB, d *fstest.Disk, commands ...string) {
	t.Helper()
	dir := t.TempDir()
	img, script := filepath.Join(dir, "disk.img"), filepath.Join(dir, "script")
	if err := errors.Join(os.WriteFile(img, d.Bytes(), 0o600), os.WriteFile(script, []byte(strings.Join(commands, "\n")+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if said := program(t, "", nil, "debugfs", "-w", "-f", script, img); strings.Contains(said, "rror") {
		t.Fatal(said)
	}
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	copy(d.Bytes(), b)
}

// Another system has left the old content of a file's block in the journal (data=journal): it is read from there, and once the file was
// overwritten in place it never comes back, whoever replays the journal and however the first change of the volume is cut.
func TestInPlaceOverJournal(t *testing.T) {
	needs(t, "debugfs")
	for _, clean := range []bool{false, true} {
		t.Run(fmt.Sprintf("clean %t", clean), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			d := made(t, 24, r, "-b", "1024")
			v := mounted(t, d)
			if err := errors.Join(v.WriteFile("journal.log", bytes.Repeat([]byte("0"), 10<<10)), v.Sync()); err != nil {
				t.Fatal(err)
			}
			e, err := v.Extents("journal.log")
			if err != nil || len(e) != 1 || e[0].Count != 20 {
				t.Fatal(e, err)
			}
			logged := filepath.Join(t.TempDir(), "logged")
			if err := os.WriteFile(logged, bytes.Repeat([]byte("L"), 1024), 0o600); err != nil {
				t.Fatal(err)
			}
			byDebugfs(t, d, "jo -c", fmt.Sprintf("jw -b %d %s", e[0].First/2+3, logged), "jc")
			if clean { // the journal was replayed, and its ring still has that
				img := filepath.Join(t.TempDir(), "d.img")
				if err := os.WriteFile(img, d.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				program(t, "", []int{1}, "e2fsck", "-fy", img)
				b, err := os.ReadFile(img)
				if err != nil {
					t.Fatal(err)
				}
				copy(d.Bytes(), b)
			}
			v = mounted(t, d)
			if v.Dirty() == clean {
				t.Error("dirty is", !clean)
			}
			f, err := v.OpenInPlace("journal.log")
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 1024)
			if _, err := f.ReadAt(got, 3<<10); err != nil || got[0] != 'L' || got[1023] != 'L' {
				t.Fatalf("%.10q, %v", got, err)
			}
			if _, err := f.WriteAt([]byte("new"), 3<<10+100); err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("L"), 1024)
			copy(want[100:], "new")
			there := func(d *fstest.Disk, how string) {
				t.Helper()
				v := mounted(t, d)
				b, err := v.ReadFile("journal.log")
				if err != nil || !bytes.Equal(b[3<<10:4<<10], want) {
					t.Fatalf("%s: it has %.110q, %v", how, b[3<<10:], err)
				}
			}
			there(d, "written")
			// Cuts in the first change, of which each write may be torn.
			before := slices.Clone(d.Bytes())
			for n := 1; ; n++ {
				d := fstest.New(int64(len(before)), 512, 0, r)
				copy(d.Bytes(), before)
				d.InOrder, d.Tear = true, fstest.TearPart
				v := mounted(t, d)
				if !clean {
					if _, err := v.OpenInPlace("journal.log"); err != nil {
						t.Fatal(err)
					}
				}
				d.CutAfter(n)
				err := v.WriteFile("x", []byte("y"))
				if err == nil {
					err = v.Sync()
				}
				d.PowerOn()
				there(d, fmt.Sprintf("cut %d", n))
				if err == nil {
					break
				}
			}
			if err := errors.Join(v.WriteFile("x", nil), v.Sync()); err != nil {
				t.Fatal(err)
			}
			there(d, "synced")
			judged(t, d, false)
			// The journal's superblock is torn at the end, which leads to what is in the ring.
			j, err := mounted(t, d).openJournal()
			if err != nil {
				t.Fatal(err)
			}
			at, err := j.at(0)
			if err != nil {
				t.Fatal(err)
			}
			binary.BigEndian.PutUint32(d.Bytes()[at*1024+0x1C:], 77) // where it begins; the checksum is another then
			binary.LittleEndian.PutUint32(d.Bytes()[1024+0x60:], v.incompat|incompatReplay)
			v.sealSuper(d.Bytes()[1024:2048])
			if v := mounted(t, d); !v.Dirty() {
				t.Error("a volume whose journal is torn is not dirty")
			}
			there(d, "with a torn superblock")
		})
	}
}

// A file with holes, and one that was set aside and never written, get zeros before they are overwritten in place; then they are as others see them.
func TestInPlaceHoles(t *testing.T) {
	needs(t, "debugfs")
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	w, err := v.Create("holes")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{5000, 90000} {
		if _, err := w.WriteAt([]byte("island"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Truncate(200000), w.Close(), v.WriteFile("aside", nil), v.Sync()); err != nil {
		t.Fatal(err)
	}
	byDebugfs(t, d, "fallocate aside 0 99", "sif aside size 100000")
	v = mounted(t, d)
	for name, size := range map[string]int64{"holes": 200000, "aside": 100000} {
		f, err := v.OpenInPlace(name)
		if err != nil {
			t.Fatal(name, err)
		}
		if f.Size() != size {
			t.Errorf("%s has %d bytes", name, f.Size())
		}
		if _, err := f.WriteAt([]byte("words"), 77777); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, size)
		copy(want[77777:], "words")
		if name == "holes" {
			copy(want[5000:], "island")
			copy(want[90000:], "island")
		}
		got := make([]byte, size)
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Error(name, err)
		}
		if got, err := mounted(t, d).ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Error(name, "mounted again:", err)
		}
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// A file whose holes are being filled can't be removed meanwhile: once it is open in place it stays.
func TestInPlaceHolesAlone(t *testing.T) {
	d := made(t, 8, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	opened := 0
	for i := range 20 {
		w, err := v.Create("holes")
		if err == nil {
			err = errors.Join(w.Truncate(3000), w.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Fail = func(op fstest.Op, _ int64, _ int) error {
			if op == fstest.Flush { // who waits for longer than 1 ms gets a mutex before who takes it up again at once
				time.Sleep(2 * time.Millisecond)
			}
			return nil
		}
		removed := make(chan error, 3)
		for range cap(removed) {
			go func() {
				err := v.Remove("holes")
				for errors.Is(err, fs.ErrBusy) {
					err = v.Remove("holes")
				}
				removed <- err
			}()
		}
		f, err := v.OpenInPlace("holes")
		var gone error // what all say, if it stays
		for range cap(removed) {
			if err := <-removed; !errors.Is(err, fs.ErrPinned) {
				gone = errors.Join(gone, err, errors.New("it was removed"))
			}
		}
		d.Fail = nil
		switch {
		case err == nil:
			if opened++; gone != nil {
				t.Fatalf("round %d: it is open in place: %v", i, gone)
			}
			if err := errors.Join(f.Close(), v.Remove("holes")); err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, iofs.ErrNotExist) || gone == nil:
			t.Fatal(i, err, gone)
		}
	}
	t.Logf("%d were opened", opened)
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// Holes that would fill the volume, or take long, are refused before anything is written.
func TestInPlaceLargeHoles(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	sizes := map[string]int64{"medium": 100 << 20, "large": 1 << 40}
	for name, size := range sizes {
		w, err := v.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Truncate(size), w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(d.Bytes())
	v = mounted(t, d)
	for name, want := range map[string]string{"medium": "the holes of the file take 102400 KiB", "large": "1048576 MiB of the file are holes or were never written, and at most 1024 are filled"} {
		if _, err := v.OpenInPlace(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(before, d.Bytes()) {
		t.Error("something was written")
	}
}

// On a volume that is only read a file in place is only read, and the reason is said.
func TestInPlaceOnlyRead(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	if err := errors.Join(v.WriteFile("journal.log", make([]byte, 5000)), v.Sync()); err != nil {
		t.Fatal(err)
	}
	byDebugfs(t, d, "feature quota")
	before := slices.Clone(d.Bytes())
	v = mounted(t, d)
	f, err := v.OpenInPlace("journal.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 5000), 0); err != nil {
		t.Error(err)
	}
	_, err = f.WriteAt([]byte("x"), 0)
	if !errors.Is(err, fs.ErrUnwritable) || !strings.Contains(fs.Explain(err), "the volume is only read: it has features of ext4 with which AlphaOS only reads ([quota])") {
		t.Error(err)
	}
	if err := v.Sync(); err != nil || !bytes.Equal(before, d.Bytes()) {
		t.Error("something was written:", err)
	}
}

// Names of files that were removed or renamed are nowhere on the medium after Scrub, also those that others have left in the journal.
func TestScrub(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := made(t, 24, r, "-b", "1024")
	const secret = "a-secret-that-was-in-a-name"
	v := mounted(t, d)
	for round := range 3 {
		if err := v.WriteFile(secret+"-1", []byte("x")); err != nil {
			t.Fatal(err)
		}
		for i := range 40 { // so that the directory gets an index, and the leaf with the name is divided
			if err := v.WriteFile(fmt.Sprintf("%d-%d-%040d", round, i, i), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Rename(secret+"-1", secret+"-2"); err != nil {
			t.Fatal(err)
		}
		if err := v.Remove(secret + "-2"); err != nil {
			t.Fatal(err)
		}
		if round == 0 { // others' leavings, at the end of the ring
			j := v.log.journal
			at, err := j.at(j.end - 5)
			if err != nil {
				t.Fatal(err)
			}
			copy(d.Bytes()[at*1024:], secret)
		}
		if !bytes.Contains(d.Bytes(), []byte(secret)) {
			t.Error("this test would find nothing")
		}
		if err := v.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range len(secret) - 16 {
			if at := bytes.Index(d.Bytes(), []byte(secret[i:i+16])); at >= 0 {
				t.Fatalf("round %d: %q is in block %d", round, secret[i:i+16], at/1024)
			}
		}
		if round == 1 {
			if err := v.Sync(); err != nil {
				t.Fatal(err)
			}
			judged(t, d, false)
		}
	}
	if err := v.WriteFile("after", []byte("all")); err != nil {
		t.Fatal(err)
	}
	judged(t, d, true)
	if b, err := mounted(t, d).ReadFile("after"); err != nil || string(b) != "all" {
		t.Error(err)
	}
}

// Scrub ends between two pieces of the ring when it is to, and the next call goes on there: nothing is read twice.
func TestScrubInPieces(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024", "-J", "size=8")
	v := mounted(t, d)
	if err := errors.Join(v.WriteFile("a", nil), v.Remove("a")); err != nil {
		t.Fatal(err)
	}
	read, calls := 0, 0
	for ; ; calls++ {
		ctx, stop := context.WithCancel(t.Context())
		before := read
		d.Fail = func(op fstest.Op, _ int64, n int) error {
			if op == fstest.Read && n > 64<<10 {
				read += n
				stop()
			}
			return nil
		}
		err := v.Scrub(ctx)
		stop()
		if read > before+1<<20 {
			t.Errorf("call %d reads %d KiB", calls, (read-before)>>10)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || calls > 20 {
			t.Fatal(calls, err)
		}
		d.Fail = nil
		if err := v.WriteFile("said meanwhile", nil); err != nil {
			t.Fatal(err)
		}
	}
	if calls < 6 || read > 9<<20 {
		t.Errorf("%d calls read %d KiB", calls, read>>10)
	}
	d.Fail = nil
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// Groups smaller than any that mke2fs makes are refused, and a check can be stopped in each extent.
func TestSmallGroups(t *testing.T) {
	d := made(t, 8, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	for perGroup, fine := range map[uint32]bool{0: false, 1: false, 8: false, 248: false, 260: false, 256: true, 8192: true} {
		b := slices.Clone(d.Bytes()[superAt:][:superSize])
		binary.LittleEndian.PutUint32(b[0x20:], perGroup)
		binary.LittleEndian.PutUint32(b[0x3FC:], crc32c(^uint32(0), b[:0x3FC]))
		if _, err := parseSuper(b); (err == nil) != fine || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("claims %d blocks in a group", perGroup)) {
			t.Errorf("%d: %v", perGroup, err)
		}
	}
	v := mounted(t, d)
	w, err := v.Create("pieces")
	for at := int64(0); err == nil && at < 5; at++ {
		_, err = w.WriteAt([]byte("x"), at*2048)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	asked, stop := 0, errors.New("stop")
	c := &checker{v: v, owned: map[uint64][]byte{}, o: fs.CheckOptions{Watch: func(int) error {
		if asked++; asked == 3 {
			return stop
		}
		return nil
	}}}
	n, err := v.resolve("test", "pieces", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.own("pieces", n); !errors.Is(err, stop) {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// TestCheck looks at volumes that are in order and at damaged ones.
func TestCheck(t *testing.T) {
	needs(t, "debugfs")
	r := rand.New(rand.NewPCG(1, 2))
	d := made(t, 24, r, "-b", "1024")
	v := mounted(t, d)
	p := newPerson(r)
	for range 60 {
		do, q, _ := p.plan()
		if err := do(v); err != nil {
			t.Fatal(err)
		}
		p = q
	}
	if err := v.WriteFile("some", make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	check := func(o fs.CheckOptions, want string) {
		t.Helper()
		v := mounted(t, d)
		got, err := v.Check(o)
		if err != nil || !strings.Contains(got.String(), want) || (want == "") != (len(got.Problems) == 0) {
			t.Errorf("%v, %q", err, got)
		}
		if got.Files != len(p.files)+1 || got.Dirs != len(p.dirs)+1 {
			t.Errorf("%d files and %d directories", got.Files, got.Dirs)
		}
	}
	check(fs.CheckOptions{}, "was not put in order when it was last used. To be done: ")
	check(fs.CheckOptions{Repair: true}, "Mended: what waits in its journal is copied to its place.")
	check(fs.CheckOptions{}, "")
	judged(t, d, false)
	stop := errors.New("stop")
	if _, err := mounted(t, d).Check(fs.CheckOptions{Watch: func(int) error { return stop }}); !errors.Is(err, stop) {
		t.Error(err)
	}
	e, err := mounted(t, d).Extents("some")
	if err != nil {
		t.Fatal(err)
	}
	byDebugfs(t, d, fmt.Sprintf("freeb %d", e[0].First/2))
	check(fs.CheckOptions{Repair: true}, fmt.Sprintf("block %d belongs to a file and is marked as free. To be done: e2fsck -f on a computer with Linux.", e[0].First/2))
	byDebugfs(t, d, fmt.Sprintf("setb %d", e[0].First/2), "set_super_value state 3")
	check(fs.CheckOptions{Repair: true}, "errors were found on it when it was last used")
}

// The label is changed for others to see; and a volume that was away is read anew, while a file that was being written is not.
func TestLabelAndReread(t *testing.T) {
	d := made(t, 24, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	if err := v.SetLabel("a label that is too long"); err == nil {
		t.Error("too long")
	}
	if err := errors.Join(v.SetLabel("ALPHAOS_DATA"), v.WriteFile("before", []byte("1"))); err != nil {
		t.Fatal(err)
	}
	w, err := v.Create("open")
	if err == nil {
		_, err = w.Write(make([]byte, 1<<20))
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.OpenInPlace("before")
	if err != nil {
		t.Fatal(err)
	}
	other := mounted(t, d) // another computer
	if err := errors.Join(other.WriteFile("other", make([]byte, 1<<20)), other.Remove("lost+found"), other.Sync()); err != nil {
		t.Fatal(err)
	}
	if err := v.Reread(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("more")); err == nil && w.Close() == nil {
		t.Error("a file was written whose blocks may be another's")
	}
	w.Discard()
	if _, err := f.WriteAt([]byte("2"), 0); err != nil {
		t.Error(err)
	}
	if err := errors.Join(v.Remove("other"), v.WriteFile("after", []byte("3")), v.Sync()); err != nil {
		t.Error(err)
	}
	v = mounted(t, d)
	b, err := v.ReadFile("before")
	if v.Label() != "ALPHAOS_DATA" || err != nil || string(b) != "2" {
		t.Errorf("%q, %q, %v", v.Label(), b, err)
	}
	judged(t, d, false)
}

// What was begun before the volume was read anew writes nothing into blocks that are another file's since.
func TestStale(t *testing.T) {
	d := made(t, 8, rand.New(rand.NewPCG(1, 2)), "-b", "1024")
	v := mounted(t, d)
	w, err := v.Create("stale")
	if err == nil {
		_, err = w.Write(make([]byte, 1<<20))
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Scratch(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Reread(); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("b"), 4<<20)
	if err := v.WriteFile("another", want); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteAt(make([]byte, 1<<20), 0); err == nil || !strings.Contains(err.Error(), "write it anew") {
		t.Error(err)
	}
	if _, err := w.ReadAt(make([]byte, 10), 0); err == nil {
		t.Error("another file was read")
	}
	if err := w.Close(); err == nil {
		t.Error("it was committed")
	}
	if _, err := s.WriteAt(make([]byte, 1<<20), 0); err == nil {
		t.Error("the scratch was written")
	}
	if err := errors.Join(s.Close(), v.Sync()); err != nil {
		t.Error(err)
	}
	if got, err := mounted(t, d).ReadFile("another"); err != nil || !bytes.Equal(got, want) {
		t.Error("another file's content is gone:", err)
	}
	judged(t, d, false)
}

// A medium that fails for a moment leaves a volume that is used again at once.
func TestGoesOn(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	d := made(t, 24, r, "-b", "1024")
	v := mounted(t, d)
	p := newPerson(r)
	failed := 0
	for range 150 {
		do, q, _ := p.plan()
		d.Fail = fstest.Flaky(r, 0, 0.01, 0.01, 2)
		err := do(v)
		d.Fail = nil
		if errors.Is(err, fs.ErrNoRoom) {
			t.Fatal(err)
		}
		if err == nil {
			p = q
			continue
		}
		failed++
		probe := fmt.Sprintf("probe %d", failed)
		if err := v.WriteFile(probe, nil); err != nil { // reads it anew: what failed may be there all the same
			t.Fatal(err)
		}
		p.files[probe], q.files[probe] = nil, nil
		if p.differs(v, "") != "" { // it was made all the same
			if diff := q.differs(v, ""); diff != "" {
				t.Fatal(err, diff)
			}
			p = q
		}
	}
	if failed < 5 {
		t.Errorf("%d failed", failed)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
}

// A sector of a superblock that was torn inside LUKS has junk in sixteen bytes: those which say that there are checksums, too.
func TestTornFeatures(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 2))
	d := made(t, 24, r, "-b", "1024")
	v := mounted(t, d)
	if err := v.WriteFile("before", []byte("1")); err != nil { // and waits in the journal
		t.Fatal(err)
	}
	j, err := v.openJournal()
	if err != nil {
		t.Fatal(err)
	}
	journal, err := j.at(0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		for i := range 16 {
			d.Bytes()[1024+0x60+i] = byte(r.Uint32())
			if n%2 == 1 { // and in that of the journal
				d.Bytes()[journal*1024+0x20+uint64(i)] = byte(r.Uint32())
			}
		}
		v = mounted(t, d)
		if b, err := v.ReadFile("before"); err != nil || string(b) != "1" {
			t.Fatal(err)
		}
	}
	if err := errors.Join(v.WriteFile("after", []byte("2")), v.Sync()); err != nil {
		t.Fatal(err)
	}
	judged(t, d, false)
	// One that has lost the feature stays as it is.
	img := filepath.Join(t.TempDir(), "d.img")
	if err := os.WriteFile(img, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	program(t, "", nil, "tune2fs", "-O", "^metadata_csum", img)
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	copy(d.Bytes(), b)
	if v := mounted(t, d); v.is(roMetadataSum) {
		t.Error("the backup was used")
	}
}
