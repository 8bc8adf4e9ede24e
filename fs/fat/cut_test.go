package fat

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/internal/fsck"
)

var (
	cuts   = flag.Int("cuts", 2500, "how many cuts of power TestCuts simulates")
	asked  = flag.Int("fsck", 50, "of how many of these fsck.fat judges one")
	spoils = flag.Int("spoils", 60, "how many volumes TestCheckRandom spoils")
)

// A job is one change of a volume: a person's, or a program's. do does it; after is what the
// volume holds then, given what it held. In between, the names in may may be as before or as
// after, each on its own, and so may, of a file that is changed in steps, those it had then.
type job struct {
	name  string
	do    func(v *FS) error
	after func(all map[string]string)
}

func text(seed, n int) string {
	r := rand.New(rand.NewPCG(uint64(seed), uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func writeJob(name, content string) job {
	return job{"write " + name,
		func(v *FS) error { return v.WriteFile(name, []byte(content)) },
		func(all map[string]string) { all[name] = content }}
}

func appendJob(name, more string) job {
	return job{"append to " + name,
		func(v *FS) error {
			w, err := v.OpenWriter(name)
			if err != nil {
				return err
			}
			if _, err := w.Write([]byte(more)); err != nil {
				w.Discard()
				return err
			}
			return w.Close()
		},
		func(all map[string]string) { all[name] += more }}
}

func truncateJob(name string, size int) job {
	return job{"truncate " + name,
		func(v *FS) error {
			w, err := v.OpenWriter(name)
			if err != nil {
				return err
			}
			if err := w.Truncate(int64(size)); err != nil {
				w.Discard()
				return err
			}
			return w.Close()
		},
		func(all map[string]string) {
			all[name] = (all[name] + strings.Repeat("\x00", size))[:size]
		}}
}

func renameJob(from, to string) job {
	return job{"rename " + from + " to " + to,
		func(v *FS) error { return v.Rename(from, to) },
		func(all map[string]string) {
			all[to] = all[from]
			delete(all, from)
		}}
}

func removeJob(name string) job {
	return job{"remove " + name, func(v *FS) error { return v.Remove(name) }, func(all map[string]string) { delete(all, name) }}
}

func mkdirJob(name string) job {
	return job{"mkdir " + name, func(v *FS) error { return v.Mkdir(name) }, func(all map[string]string) { all[name] = "directory" }}
}

// workload is what TestCuts does: enough names that directories grow, clusters are used again,
// and names long enough that they fit in no sector.
func workload() (list []job) {
	add := func(j ...job) { list = append(list, j...) }
	long := strings.Repeat("a very long name ", 14)
	add(mkdirJob("notes"), mkdirJob("notes/of a day in spring"))
	for i := range 9 {
		add(writeJob(fmt.Sprintf("notes/note number %d.md", i), text(i, i*i*90)))
	}
	for i := range 7 {
		add(appendJob(fmt.Sprintf("notes/note number %d.md", i), text(100+i, 200+i*170)))
	}
	add(writeJob("notes/"+long+"1", "long 1"), writeJob("notes/"+long+"2", text(7, 3000)), writeJob(long+"3", "long 3"))
	for i := range 5 { // the old way to replace a file
		name := fmt.Sprintf("notes/note number %d.md", i)
		add(writeJob("notes/note.tmp", text(200+i, 900*i)), renameJob("notes/note.tmp", name))
	}
	add(writeJob("tmp", text(300, 2000)), renameJob("tmp", "notes/of a day in spring/moved"))
	add(writeJob("notes/note number 8.md", text(301, 4000))) // and the better
	add(renameJob("notes/note number 7.md", "notes/7.md"), renameJob("notes/7.md", "notes/a name that is longer than it was.md"))
	add(removeJob("notes/"+long+"1"), renameJob("notes/"+long+"2", "notes/"+long+"4"))
	add(truncateJob("notes/note number 8.md", 1500), truncateJob("notes/note number 8.md", 2500), truncateJob("notes/note number 6.md", 0))
	add(appendJob("notes/note number 6.md", text(302, 700)))
	for i := range 6 {
		add(removeJob(fmt.Sprintf("notes/note number %d.md", i)))
	}
	for i := range 6 {
		add(writeJob(fmt.Sprintf("notes/another note, the number of which is %d.md", i), text(400+i, 300+i*200)))
	}
	add(removeJob("notes/of a day in spring/moved"), removeJob("notes/of a day in spring"), mkdirJob("notes/OF A DAY"))
	add(writeJob("notes/OF A DAY/x", "x"), removeJob("notes/OF A DAY/x"), removeJob(long+"3"))
	return list
}

// TestCuts cuts the power while files are created, appended to, cut short, replaced, renamed
// and removed: at each write and flush, in order, and then on media that write in any order
// what was not flushed. Whatever is left, fsck.fat finds at most clusters that nobody has, FATs
// that differ on these, and the mark that the volume is in use; every file is entirely as it was
// before the change under way or entirely as after it, and what was done before is there. Our own
// repair leaves a volume on which neither it nor fsck.fat finds anything, with the same files.
func TestCuts(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat")
	for _, c := range []struct {
		name  string
		share int // per cent of the cuts
		size  int
		block int
		args  []string
	}{
		{"512-byte clusters", 40, 192 << 10, 512, []string{"-s", "1", "-R", "8"}},
		{"1 KiB clusters", 30, 256 << 10, 512, []string{"-s", "2", "-R", "8"}},
		{"one FAT", 10, 256 << 10, 512, []string{"-s", "4", "-f", "1", "-R", "8"}},
		{"4096-byte sectors", 20, 1 << 20, 4096, []string{"-S", "4096", "-s", "1", "-R", "8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := mkfs(t, c.size, c.args...)
			jobs := workload()
			// In order: the cut after step n of the whole workload.
			total := runCut(t, base, c.block, jobs, 0, 0, false)
			want := *cuts * c.share / 100
			n := 0
			for cut := 1; cut <= total && !t.Failed(); cut += max(1, total*2/want) {
				runCut(t, base, c.block, jobs, cut, 1, n%*asked == 0)
				n++
			}
			for seed := uint64(2); n < want && !t.Failed(); seed++ {
				runCut(t, base, c.block, jobs, 1+int(seed*2654435761%uint64(total)), seed, n%*asked == 0)
				n++
			}
			t.Logf("%d steps, %d cuts", total, n)
		})
	}
}

// TestCutsLarge is TestCuts for files that are too large to be copied. As change.go says, more
// may be wrong in between, and repair mends it; a file that replaces another by Rename may have
// its old name only.
func TestCutsLarge(t *testing.T) {
	needs(t, "mkfs.fat", "fsck.fat")
	defer func(n int64) { copyMost = n }(copyMost)
	copyMost = 0
	base := mkfs(t, 256<<10, "-s", "2", "-R", "8")
	jobs := workload()
	jobs = append(jobs, mkdirJob("a"), mkdirJob("b"), writeJob("a/file", text(1, 9000)), renameJob("a/file", "b/file"),
		job{"rename b to a/c", func(v *FS) error { return v.Rename("b", "a/c") }, func(all map[string]string) {
			all["a/c"], all["a/c/file"] = all["b"], all["b/file"]
			delete(all, "b")
			delete(all, "b/file")
		}})
	total := runCut(t, base, 512, jobs, 0, 0, false)
	for n := range *cuts / 4 {
		seed, cut := uint64(1), 1+n
		if n >= total {
			seed, cut = uint64(n), 1+int(uint64(n)*2654435761%uint64(total))
		}
		runCut(t, base, 512, jobs, cut, seed, n%*asked == 0)
		if t.Failed() {
			return
		}
	}
}

// runCut does the jobs on a fresh volume and cuts the power after so many steps; in order, with
// a seed of 1, or not. Without a cut it returns how many steps there are.
func runCut(t *testing.T, base []byte, block int, jobs []job, cut int, seed uint64, outside bool) int {
	t.Helper()
	d := fstest.New(int64(len(base)), 512, 0, rand.New(rand.NewPCG(seed, uint64(cut))))
	copy(d.Bytes(), base)
	d.InOrder, d.Tear = seed < 2, fstest.TearOld
	dev, err := fs.NewFileDevice(d, d.Size(), block)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	v.Clock = func() time.Time { return someDay }
	if cut > 0 {
		d.CutAfter(cut)
	}
	all := map[string]string{".": "directory"}
	var under *job
	for i, j := range jobs {
		if err := j.do(v); err != nil {
			if !errors.Is(err, fstest.ErrPowerCut) {
				t.Fatalf("%s: %v", j.name, err)
			}
			under = &jobs[i]
			break
		}
		j.after(all)
		if i%10 == 9 {
			if err := v.Sync(); err != nil {
				if !errors.Is(err, fstest.ErrPowerCut) {
					t.Fatal(err)
				}
				under = &job{name: "sync", after: func(map[string]string) {}}
				break
			}
		}
	}
	if cut == 0 {
		if under != nil {
			t.Fatal("the workload did not end")
		}
		if err := v.Sync(); err != nil {
			t.Fatal(err)
		}
		soundImage(t, d.Bytes())
		same(t, "without a cut", everything(t, v), all)
		return d.Steps()
	}
	d.PowerOn()
	left := d.Bytes()
	what := fmt.Sprintf("cut %d, seed %d", cut, seed)
	after := map[string]string{}
	for p, c := range all {
		after[p] = c
	}
	if under != nil {
		what += ", in " + under.name
		under.after(after)
	}
	if under == nil || under.name != "rename b to a/c" { // a directory with two names has neither, until that is mended
		judge(t, what, left, block, all, after)
	}
	ask := func(what string, b []byte, allowed *regexp.Regexp) {
		t.Helper()
		if !outside {
			return
		}
		img := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(img, b, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(img)
		for _, line := range fsck.Says(t, img) {
			if allowed == nil || !allowed.MatchString(line) {
				t.Errorf("%s: fsck.fat says: %s", what, line)
			}
		}
	}
	if copyMost > 0 {
		ask(what, left, fsck.Harmless)
	}
	mended := slices.Clone(left)
	r, err := Check(fstest.NewDevice(mended, block), CheckOptions{Repair: true})
	if err != nil {
		t.Fatalf("%s: repair: %v", what, err)
	}
	for _, p := range r.Problems {
		if p.Kind > Lost && copyMost > 0 {
			t.Errorf("%s: Check finds: %s", what, p)
		}
	}
	judge(t, what+", repaired", mended, block, all, after)
	ask(what+", repaired", mended, nil)
	if again, err := Check(fstest.NewDevice(bytes.Clone(mended), block), CheckOptions{}); err != nil || len(again.Problems) > 0 {
		t.Errorf("%s: after repair Check finds: %v, %v", what, again, err)
	}
	return 0
}

// judge compares a volume with what it held before and after the change under way.
func judge(t *testing.T, what string, b []byte, block int, before, after map[string]string) {
	t.Helper()
	v, err := Mount(fstest.NewDevice(slices.Clone(b), block))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	got := everything(t, v)
	names := map[string]bool{}
	for _, m := range []map[string]string{got, before, after} {
		for p := range m {
			names[p] = true
		}
	}
	for p := range names {
		g, there := got[p]
		b, was := before[p]
		a, is := after[p]
		if there == was && g == b || there == is && g == a {
			continue
		}
		if copyMost == 0 && !there && is && oldName(got, before, after, a) {
			continue
		}
		t.Errorf("%s: %.60q is neither as before (%v, %d bytes) nor as after (%v, %d bytes): %v, %d bytes", what, p, was, len(b), is, len(a), there, len(g))
	}
	// What is renamed has one of its names at least.
	for p, c := range before {
		if _, kept := after[p]; kept || c == "directory" {
			continue
		}
		if _, there := got[p]; there {
			continue
		}
		for q, c := range after {
			if g, ok := got[q]; before[q] != c && (!ok || g != c) {
				t.Errorf("%s: %.60q is gone, and %.60q is not there", what, p, q)
			}
		}
	}
}

// oldName tells whether what is renamed is there under its old name.
func oldName(got, before, after map[string]string, content string) bool {
	for p, c := range before {
		if _, kept := after[p]; !kept && c == content && got[p] == content {
			return true
		}
	}
	return false
}
