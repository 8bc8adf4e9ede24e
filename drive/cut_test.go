package drive_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/gpt"
	"alphaos/fs/luks"
	"alphaos/internal/fsck"
	"alphaos/store"
)

var cutsFlag = flag.Int("cuts", 200, "how many cuts of power TestEncryptedCuts simulates")

const mib = 1 << 20

// sealed is an encrypted knowledge partition on a disk that fails.
type sealed struct {
	disk fstest.Device
	esp  device
	key  []byte
}

// newSealed makes one: blocks and sectors are those of the disk and of LUKS.
func newSealed(t testing.TB, block, sector int, r *rand.Rand) *sealed {
	t.Helper()
	size := int64(40 * mib)
	if sector == 4096 {
		size = 262 * mib // where FAT32 begins in such sectors
	}
	s := &sealed{disk: fstest.Device{Disk: fstest.New(size+2*mib, block, 0, r)}, key: []byte("five words")}
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
	put := func(dev interface {
		WriteBlocks(uint64, []byte) error
	}, size, sector int64, label string, names ...string) {
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
	put(inside, size, int64(sector), "ALPHAOSDATA", "journal/journal.log", "cache/session.kv")
	esp := fstest.NewDevice(make([]byte, 40*mib), 512)
	put(esp, 40*mib, 512, "ALPHAOS_ESP", "logs/crash.txt")
	s.esp = device{BlockDevice: esp}
	s.disk.PowerOn()
	return s
}

// target is a device as a file, of which only the beginning is written.
type target struct {
	dev interface {
		WriteBlocks(uint64, []byte) error
	}
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

// TestEncryptedCuts keeps talking on an encrypted partition whose power goes again and again, with sectors that reach the
// medium in any order and are torn. What was acknowledged is there behind the passphrase, and nothing else.
func TestEncryptedCuts(t *testing.T) {
	for _, c := range []struct{ block, sector, share int }{{512, 512, 50}, {512, 4096, 25}, {4096, 4096, 25}} {
		t.Run(fmt.Sprintf("%d-%d", c.block, c.sector), func(t *testing.T) {
			seed := uint64(c.block + c.sector)
			if *cutsFlag > 1000 {
				seed = rand.Uint64()
			}
			t.Logf("seed %d", seed)
			talkUntilCut(t, newSealed(t, c.block, c.sector, rand.New(rand.NewPCG(seed, 1))), rand.New(rand.NewPCG(seed, 2)), *cutsFlag*c.share/100)
		})
	}
}

func talkUntilCut(t *testing.T, s *sealed, r *rand.Rand, cuts int) {
	now := eager()
	var said []string // and acknowledged
	perhaps := ""     // said, and then the power went
	number, grown, mended := 0, 0, 0
	for range cuts {
		s.disk.Tear = []fstest.Tear{fstest.TearOld, fstest.TearNew, fstest.TearPart}[r.IntN(3)]
		s.disk.InOrder = r.IntN(4) == 0
		d, err := drive.Mount(s.esp, drive.Partition{Device: device{BlockDevice: s.disk}, TypeGUID: gpt.LinuxLUKS, Name: "ALPHAOS_DATA"})
		if err != nil {
			t.Fatal(err)
		}
		if d.Locked() == nil {
			t.Fatalf("it is not locked: %q", d.Notes())
		}
		if err := d.Unlock(s.key); err != nil {
			t.Fatal(err)
		}
		mended += len(d.Mend(t.Context(), true, now(), func(int64, int64) {}, func(string, ...any) {}))
		j, rec, err := d.OpenJournal(now)
		if err != nil {
			t.Fatalf("after %q: %v", said, err)
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
			t.Fatalf("there is\n%q\nand there was said\n%q\nand perhaps %q", got, said, perhaps)
		}
		if perhaps == "-" { // a new conversation was begun or not
			if len(got) > 0 && !slices.Equal(got, said) {
				t.Fatalf("there is\n%q\nand there was said\n%q", got, said)
			}
			said = got
		}
		perhaps = ""
		used, total := j.Usage()
		grown = max(grown, int(total>>10))
		steps := 200
		if r.IntN(6) == 0 { // enough to write a file of the journal anew, or a further one
			steps = 15 * mib / s.disk.BlockSize()
		}
		s.disk.CutAfter(1 + r.IntN(steps))
		for !s.disk.Off() {
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
	v, err := luks.Open(s.disk, s.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fat.Check(v, fat.CheckOptions{Repair: true, Protect: drive.InPlace()}); err != nil {
		t.Fatal(err)
	}
	if said := fsck.Says(t, fsck.Copy(t, v)); len(said) > 0 {
		t.Errorf("fsck.fat says %q", said)
	}
	t.Logf("%d cuts, %d messages, a journal of up to %d KiB, %d sentences about what was mended", cuts, number, grown, mended)
}

// eager advances by three seconds each time it is read.
func eager() func() time.Time {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(3 * time.Second); return now }
}
