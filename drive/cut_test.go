package drive_test

import (
	"errors"
	"flag"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/gpt"
	"alphaos/fs/luks"
	"alphaos/internal/fsck"
	"alphaos/store"
)

var (
	cutsFlag = flag.Int("cuts", 300, "how many cuts of power TestCuts simulates")
	seedFlag = flag.Uint64("seed", 0, "repeats what TestCuts did with that seed")
)

const mib = 1 << 20

// failing is a knowledge partition on a disk that fails.
type failing struct {
	disk fstest.Device
	esp  device
	key  []byte // nil: not encrypted
	ext4 bool
}

// open returns the device of the volume.
func (s *failing) open(t testing.TB) (dev fs.BlockDevice, closed func()) {
	t.Helper()
	if s.key == nil {
		return s.disk, func() {}
	}
	v, err := luks.Open(s.disk, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return v, v.Close
}

// newFailing makes one: blocks and sectors are those of the disk and of LUKS, if that is not 0.
func newFailing(t testing.TB, onExt4 bool, block, sector int, r *rand.Rand) *failing {
	t.Helper()
	esp := fstest.NewDevice(make([]byte, 40*mib), 512)
	put(t, esp, 40*mib, 512, "ALPHAOS_ESP", "logs/crash.txt")
	s := &failing{esp: device{BlockDevice: esp}, ext4: onExt4}
	size := int64(40 * mib)
	switch {
	case onExt4 && block == 512 && sector != 4096:
		size = 24 * mib
	case onExt4:
		size = ext4.LeastSize(4096)
	case sector == 4096:
		size = 262 * mib // where FAT32 begins in such sectors
	}
	s.disk = fstest.Device{Disk: fstest.New(size+2*mib, block, 0, r)}
	defer s.disk.PowerOn()
	if onExt4 {
		if sector > 0 {
			s.key = []byte("five words")
			_, inside, err := luks.Format(s.disk, s.key, luks.Options{Label: "ALPHAOS_DATA", Sector: sector, Offset: 2 * mib, Cost: luks.Cost{Memory: 32 << 10, Passes: 1}})
			if err != nil {
				t.Fatal(err)
			}
			inside.Close()
		}
		dev, closed := s.open(t)
		defer closed()
		err := ext4.Format{Label: "ALPHAOS_DATA", Time: noon}.Write(dev)
		var v *ext4.FS
		if err == nil {
			v, err = ext4.Mount(dev)
		}
		if err == nil {
			err = errors.Join(v.Mkdir("journal"), v.Mkdir("cache"), v.WriteFile("journal/journal.log", make([]byte, 256<<10)), v.WriteFile("cache/session.kv", make([]byte, 256<<10)), v.Sync())
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s.key = []byte("five words")
	_, inside, err := luks.Format(s.disk, s.key, luks.Options{Label: "ALPHAOS_DATA", Sector: sector, Offset: 2 * mib, Cost: luks.Cost{Memory: 32 << 10, Passes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	zeros := make([]byte, mib)
	for at := int64(0); at < 6*mib; at += mib {
		if err := inside.WriteBlocks(uint64(at/int64(sector)), zeros); err != nil {
			t.Fatal(err)
		}
	}
	put(t, inside, size, int64(sector), "ALPHAOSDATA", "journal/journal.log", "cache/session.kv")
	return s
}

// put makes a FAT32 volume with preallocated files.
func put(t testing.TB, dev fs.BlockDevice, size, sector int64, label string, names ...string) {
	t.Helper()
	tree := &fat.Tree{}
	for _, name := range names {
		if err := tree.Add(name, fat.Content{Size: 256 << 10}); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := fat.Plan(tree, size, sector)
	if err != nil {
		t.Fatal(err)
	}
	plan.Label = label
	if err := plan.Write(&target{dev: dev, sector: sector, b: make([]byte, 6*mib)}, 0); err != nil {
		t.Fatal(err)
	}
}

// target is a device as a file, of which only the beginning is written.
type target struct {
	dev    fs.BlockDevice
	sector int64
	b      []byte
	at     int64
}

func (f *target) WriteAt(p []byte, off int64) (int, error) {
	copy(f.b[off:], p)
	first := off / f.sector * f.sector
	end := (off + int64(len(p)) + f.sector - 1) / f.sector * f.sector
	return len(p), f.dev.WriteBlocks(uint64(first/f.sector), f.b[first:end])
}

func (f *target) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *target) Seek(off int64, _ int) (int64, error) { f.at = off; return off, nil }

// TestCuts keeps talking on an encrypted FAT32 volume, and on ext4, plain and encrypted, while the power goes again and again, with sectors that reach the
// medium in any order and are torn. On ext4 files are written meanwhile. What was acknowledged is there, and nothing else; and of ext4 e2fsck
// judges the volume after each tenth cut.
func TestCuts(t *testing.T) {
	for _, c := range []struct {
		ext4                 bool
		block, sector, share int
	}{
		{false, 512, 512, 15}, {false, 512, 4096, 10}, {false, 4096, 4096, 10},
		{true, 512, 0, 20}, {true, 4096, 0, 15}, {true, 512, 512, 10}, {true, 512, 4096, 10}, {true, 4096, 4096, 10},
	} {
		name := "FAT32"
		if c.ext4 {
			name = "ext4"
		}
		t.Run(fmt.Sprintf("%s-%d-%d", name, c.block, c.sector), func(t *testing.T) {
			seed := uint64(c.block + c.sector)
			if *seedFlag != 0 {
				seed = *seedFlag
			} else if *cutsFlag > 1000 {
				seed = rand.Uint64()
			}
			t.Logf("seed %d", seed)
			talkUntilCut(t, newFailing(t, c.ext4, c.block, c.sector, rand.New(rand.NewPCG(seed, 1))), rand.New(rand.NewPCG(seed, 2)), *cutsFlag*c.share/100)
		})
	}
}

func talkUntilCut(t *testing.T, s *failing, r *rand.Rand, cuts int) {
	now := eager()
	var said []string                                // and acknowledged
	perhaps := ""                                    // said, and then the power went
	files, asked := map[string]string{}, [2]string{} // documents; the one that was being saved
	number, grown, mended, saved := 0, 0, 0, 0
	for cut := range cuts {
		s.disk.Tear = []fstest.Tear{fstest.TearOld, fstest.TearNew, fstest.TearPart}[r.IntN(3)]
		s.disk.InOrder = r.IntN(4) == 0
		kind := gpt.LinuxLUKS
		if s.key == nil {
			kind = gpt.LinuxData
		}
		d, err := drive.Mount(s.esp, drive.Partition{Device: device{BlockDevice: s.disk}, TypeGUID: kind, Name: "ALPHAOS_DATA"})
		if err != nil {
			t.Fatal(err)
		}
		if (d.Locked() == nil) != (s.key == nil) {
			t.Fatalf("locked: %v; %q", d.Locked(), d.Notes())
		}
		if err := d.Unlock(s.key); err != nil {
			t.Fatal(err)
		}
		early := r.IntN(3) == 0 // as in a safe start, in which nothing is mended
		if !early {
			for _, sentence := range d.Mend(t.Context(), true, now(), func(int64, int64) {}, func(string, ...any) {}) {
				if mended++; s.ext4 {
					t.Fatalf("cut %d: %s", cut, sentence)
				}
			}
		}
		j, rec, err := d.OpenJournal(now)
		if err != nil {
			t.Fatalf("cut %d: %v, %q", cut, err, d.Notes())
		}
		if rec.Lost() > 0 || len(rec.Holes) > 0 {
			t.Fatalf("something was lost: %+v", rec)
		}
		var got []string
		for _, m := range j.Conversation() {
			got = append(got, m.Text)
		}
		if perhaps != "" && len(got) > 0 && got[len(got)-1] == perhaps {
			said = append(said, perhaps)
		}
		if perhaps != "-" && !slices.Equal(got, said) {
			t.Fatalf("there is\n%.20q\nand there was said\n%.20q\nand perhaps %.20q", got, said, perhaps)
		}
		if perhaps == "-" { // a new conversation was begun or not
			if len(got) > 0 && !slices.Equal(got, said) {
				t.Fatalf("there is\n%.20q\nand there was said\n%.20q", got, said)
			}
			said = got
		}
		perhaps = ""
		for name, want := range files {
			b, err := iofs.ReadFile(d.Documents(), name)
			if name == asked[0] && err == nil && string(b) == asked[1] {
				files[name] = asked[1]
				continue
			}
			if want == "" && errors.Is(err, iofs.ErrNotExist) {
				continue
			}
			if err != nil || string(b) != want {
				t.Fatalf("cut %d: document %s has %d bytes, want %d or %d: %v", cut, name, len(b), len(want), len(asked[1]), err)
			}
		}
		asked = [2]string{}
		if s.ext4 && cut%10 == 9 { // as others see it
			d.Mend(t.Context(), true, now(), func(int64, int64) {}, func(string, ...any) {})
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			dev, closed := s.open(t)
			fsck.Sound(t, dev)
			closed()
		}
		used, total := j.Usage()
		grown = max(grown, int(total>>10))
		steps := 200
		if r.IntN(6) == 0 { // enough to write a file of the journal anew, or a further one
			steps = 15 * mib / s.disk.BlockSize()
		}
		s.disk.CutAfter(1 + r.IntN(steps))
		for !s.disk.Off() {
			if s.ext4 && r.IntN(3) == 0 {
				name := fmt.Sprintf("%d.md", r.IntN(9))
				if _, ok := files[name]; !ok {
					files[name] = ""
				}
				saved++
				asked = [2]string{name, fmt.Sprintf("document %d %0*d", saved, r.IntN(30000), 7)}
				if _, err = d.SaveDocument(now(), name, []byte(asked[1]), true); err == nil {
					files[name] = asked[1]
				}
				if err == nil && r.IntN(4) == 0 {
					err = d.Conversations().Write("talk.md", now(), []byte(asked[1]))
				} else if err == nil && r.IntN(8) == 0 {
					if err = d.Conversations().Remove("talk.md"); errors.Is(err, iofs.ErrNotExist) {
						err = nil
					}
					if err == nil {
						err = d.Conversations().Scrub(t.Context())
					}
				}
				if err != nil && !s.disk.Off() && !(errors.Is(err, fs.ErrNoRoom) && total > 8*mib) { // a journal that is emptied and filled for so long takes a small volume
					t.Fatal(err)
				}
				continue
			}
			if len(said) > 150 || total-used < 8<<10 && len(said) > 0 {
				perhaps = "-"
				id := j.Current().ID
				err = j.NewConversation()
				if err == nil {
					said, perhaps = nil, ""
					err = errors.Join(j.Delete(id), j.Compact(t.Context()))
				}
			} else {
				number++
				perhaps = fmt.Sprintf("message %d %0*d", number, r.IntN(3000), 7)
				if err = j.AddUser(perhaps); err == nil {
					said, perhaps = append(said, perhaps), ""
				}
			}
			used, total = j.Usage()
			if total-used < 48<<10 && total < 512<<10 && err == nil {
				err = j.MakeRoom()
			}
			if err != nil && !s.disk.Off() && !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
		}
		d.Lock()
		s.disk.PowerOn()
	}
	v, closed := s.open(t)
	defer closed()
	if !s.ext4 {
		if _, err := fat.Check(v, fat.CheckOptions{Repair: true, Protect: drive.InPlace()}); err != nil {
			t.Fatal(err)
		}
	} else {
		e, err := ext4.Mount(v)
		if err == nil {
			err = e.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fsck.Sound(t, v)
	t.Logf("%d cuts, %d messages, %d documents, a journal of up to %d KiB, %d sentences about what was mended", cuts, number, saved, grown, mended)
}

// eager advances by three seconds each time it is read.
func eager() func() time.Time {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(3 * time.Second); return now }
}
