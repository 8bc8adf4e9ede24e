package db

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
)

var cuts = flag.Int("cuts", 60, "how many cuts of power TestCuts simulates")

// volume is a Folder on FAT32.
type volume struct{ *fat.FS }

func (v volume) Exists(name string) (bool, error) {
	_, err := v.Stat(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (v volume) Open(name string, create bool) (File, error) {
	if ok, err := v.Exists(name); err != nil {
		return nil, err
	} else if create && !ok {
		return v.Create(name)
	}
	return v.OpenWriter(name)
}

// image is an empty FAT32 volume.
func image(t *testing.T) []byte {
	const size = 34 << 20
	var tree fat.Tree
	plan, err := fat.Plan(&tree, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	d := fstest.New(size, 512, 0, rand.New(rand.NewPCG(1, 1)))
	if err := plan.Write(target{d}, 0); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(d.Bytes())
}

// target is a disk that is written from the beginning.
type target struct{ *fstest.Disk }

func (t target) Write(p []byte) (int, error) { return 0, errors.ErrUnsupported }

func (t target) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }

// happens is what happens on a drive between two looks at it.
func happens(step int, d *drive) {
	switch step {
	case 0:
		for i := range 4 {
			d.say(i+1, fmt.Sprintf("question %d", i), strings.Repeat(fmt.Sprintf("answer %d ", i), 200))
		}
	case 1:
		for i := range 6 {
			d.write(fmt.Sprintf("%d.txt", i), strings.Repeat("some words ", 3000), strings.Repeat(fmt.Sprintf("words%d ", i), 4000), "end")
		}
	case 2:
		d.say(2, "more", strings.Repeat("much more ", 900))
		d.write("3.txt", "changed")
	case 3:
		d.forget(1)
		d.remove("2.txt")
		d.remove("4.txt")
	case 4:
		d.say(9, "the last")
		d.set = map[string]string{"theme": "day"}
		d.facts = []Fact{{1, "a fact", start}}
	}
}

const happenings = 5

// TestCuts cuts the power at any write and flush, on media that write in order, or in any order what was not flushed, and tear
// sectors. At the next start the database is sound and right; it is taken back to the last change and not made anew, but for
// sectors that were torn so that they can't be read.
func TestCuts(t *testing.T) {
	base := image(t)
	run := func(cut int, seed uint64) (steps int, anew bool) {
		r := rand.New(rand.NewPCG(seed, uint64(cut)))
		disk := fstest.New(int64(len(base)), []int{512, 4096}[seed%2], 0, r)
		copy(disk.Bytes(), base)
		disk.InOrder = seed%3 == 0
		if seed%2 == 1 { // of a large sector that can't be read a part can't be written either
			disk.Tear = fstest.Tears[r.IntN(len(fstest.Tears)-1)]
		}
		dev, err := fs.NewFileDevice(disk, disk.Size(), 512)
		if err != nil {
			t.Fatal(err)
		}
		mount := func() volume {
			v, err := fat.Mount(dev)
			if err != nil {
				t.Fatalf("cut %d, seed %d: %v", cut, seed, err)
			}
			return volume{v}
		}
		d, v := newDrive(), mount()
		// The volume is marked as in use first: on 4096-byte sectors that could tear the boot sector and its backup, which is
		// no matter of the database.
		if err := v.WriteFile("used.txt", nil); err != nil {
			t.Fatal(err)
		}
		if cut > 0 {
			disk.CutAfter(cut)
		}
		k := keeper(v, d)
		for step := range happenings {
			happens(step, d)
			note, err := k.Keep(t.Context())
			if errors.Is(err, fstest.ErrPowerCut) {
				for rest := step + 1; rest < happenings; rest++ { // the journal and the documents have it all
					happens(rest, d)
				}
				break
			}
			if note != "" || err != nil {
				t.Fatalf("cut %d, seed %d, step %d: %q %v", cut, seed, step, note, err)
			}
		}
		steps = disk.Steps()
		disk.PowerOn()
		report, err := fat.Check(dev, fat.CheckOptions{Repair: true}) // as a start does
		if err != nil {
			t.Fatalf("cut %d, seed %d: %v", cut, seed, err)
		}
		for _, p := range report.Problems {
			// A torn sector of the FAT may take the rollback journal's clusters: then the database is made anew.
			if p.Kind > fat.Lost && strings.HasSuffix(p.Path, Name) && !strings.Contains(p.What, "more clusters than it needs") {
				t.Errorf("cut %d, seed %d: %s", cut, seed, p)
			}
		}
		v = mount()
		k = keeper(v, d)
		k.Unclean = true
		note := keep(t, k)
		same(t, v, d)
		if ok, err := v.Exists(journalName); ok || err != nil {
			t.Errorf("cut %d, seed %d: the journal stays, %v", cut, seed, err)
		}
		for _, gone := range []string{"answer 0 answer 0", "words2 words2", "words4 words4"} {
			if f, err := v.ReadFile(Name); err != nil || bytes.Contains(f, []byte(gone)) {
				t.Errorf("cut %d, seed %d: %q is in the file, %v", cut, seed, gone, err)
			}
		}
		return steps, note != ""
	}
	total, _ := run(0, 3)
	all := 0
	for n := range *cuts {
		cut := 1 + n*total / *cuts
		if n%2 == 1 {
			cut = 1 + rand.IntN(total)
		}
		if _, anew := run(cut, uint64(n)); anew {
			all++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d steps, %d cuts, made anew after %d", total, *cuts, all)
	if all > *cuts/10 {
		t.Errorf("made anew after %d of %d cuts", all, *cuts)
	}
}
