package encrypt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/luks"
	"alphaos/internal/fsck"
)

var cuts = flag.Int("cuts", 15, "how many cuts of power TestCuts simulates")

// options are those that tests can pay.
func options() Options {
	return Options{Passphrase: []byte("five words"), Header: 2 * mib, Cost: luks.Cost{Memory: 32 << 10, Passes: 1}}
}

// volume is a FAT32 volume with some files, and what they hold.
func volume(t testing.TB, size int64, r *rand.Rand) (image []byte, files map[string][]byte) {
	t.Helper()
	image, files = make([]byte, size), map[string][]byte{}
	tree := &fat.Tree{}
	for i := range 20 {
		name, b := fmt.Sprintf("documents/a file of some length %d.txt", i), make([]byte, r.IntN(600<<10))
		for at := 0; at < len(b); at++ {
			b[at] = "what was said in confidence. "[at%29]
		}
		files[name] = b
		if err := tree.Add(name, fat.Bytes(b)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := fat.Plan(tree, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	v.Label = "ALPHAOSDATA"
	if err := v.Write(&memory{b: image}, 0); err != nil {
		t.Fatal(err)
	}
	return image, files
}

type memory struct {
	b  []byte
	at int64
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.b[off:], p), nil }
func (m *memory) Seek(off int64, _ int) (int64, error)     { m.at = off; return off, nil }
func (m *memory) Write(p []byte) (int, error) {
	m.at += int64(copy(m.b[m.at:], p))
	return len(p), nil
}

// check looks whether all files are behind the passphrase, and nothing of them before it.
func check(t *testing.T, dev fstest.Device, files map[string][]byte, key string, others bool) {
	t.Helper()
	d, err := luks.Open(dev, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v, err := fat.Mount(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: %d bytes in place of %d, error %v", name, len(got), len(want), err)
		}
	}
	if r, err := fat.Check(d, fat.CheckOptions{}); err != nil || len(r.Problems) > 0 {
		t.Fatalf("the volume: %v, error %v", r, err)
	}
	if others {
		fsck.Sound(t, d)
	}
	if bytes.Contains(dev.Bytes(), []byte("in confidence")) || bytes.Contains(dev.Bytes(), []byte("ALPHAOSDATA")) {
		t.Fatal("something is there as it was")
	}
}

const size = 48*mib + 77<<10

func TestPartition(t *testing.T) {
	image, files := volume(t, size, rand.New(rand.NewPCG(1, 1)))
	dev := fstest.NewDevice(image, 512)
	o := options()
	o.Recovery = []byte("on paper")
	told := int64(-1)
	o.Progress = func(done, total int64) {
		if done <= told || done > total {
			t.Errorf("%d of %d bytes after %d", done, total, told)
		}
		told = done
	}
	if err := Partition(dev, o); err != nil {
		t.Fatal(err)
	}
	check(t, dev, files, "five words", true)
	check(t, dev, files, "on paper", false)
	if err := Partition(dev, o); !errors.Is(err, ErrDone) {
		t.Errorf("once more: %v", err)
	}
	// No header is left at the end.
	for at := int64(1); at < size/512; at++ {
		if b := dev.Bytes()[at*512:]; luks.Is(b) {
			t.Errorf("a header is at %d", at*512)
		}
	}
}

func TestRefuses(t *testing.T) {
	image, files := volume(t, size, rand.New(rand.NewPCG(1, 1)))
	sound := bytes.Clone(image)
	v, err := fat.Mount(fstest.NewDevice(image, 512))
	if err != nil {
		t.Fatal(err)
	}
	free, err := v.Free()
	if err != nil {
		t.Fatal(err)
	}
	w, err := v.Create("all there is.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, free-mib)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), v.Sync()); err != nil {
		t.Fatal(err)
	}
	full := bytes.Clone(image)
	if err := Partition(fstest.NewDevice(image, 512), options()); !errors.Is(err, fat.ErrTail) || !bytes.Equal(image, full) {
		t.Errorf("a full volume: %v, changed %v", err, !bytes.Equal(image, full))
	}
	if err := Partition(fstest.NewDevice(make([]byte, size), 512), options()); err == nil {
		t.Error("nothing at all was encrypted")
	}
	if err := Partition(fstest.NewDevice(make([]byte, 30*mib), 512), options()); err == nil {
		t.Error("a small partition was encrypted")
	}
	// Another passphrase does not go on with what was begun.
	dev := fstest.NewDevice(sound, 512)
	dev.CutAfter(30000)
	if err := Partition(dev, options()); err == nil {
		t.Fatal("power was not cut")
	}
	dev.PowerOn()
	other := options()
	other.Passphrase = []byte("other words")
	if err := Partition(dev, other); !errors.Is(err, luks.ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := fat.Mount(dev); err == nil {
		t.Error("what is half encrypted can be mounted")
	}
	b := make([]byte, 512)
	if err := dev.ReadBlocks(0, b); err != nil || !bytes.HasPrefix(b, []byte(drive.Encrypting)) {
		t.Errorf("there is no mark, error %v", err)
	}
	if err := Partition(dev, options()); err != nil {
		t.Fatal(err)
	}
	check(t, dev, files, "five words", false)
}

// TestCuts cuts the power at random moments, also of going on, on disks that write in any order and tear sectors: in the end
// all is there, behind the passphrase.
func TestCuts(t *testing.T) {
	seed := uint64(7)
	if *cuts > 100 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	image, files := volume(t, size, r)
	copy(image[len(image)-1000:], "what was said in confidence. ") // by somebody who has deleted it
	count := fstest.NewDevice(bytes.Clone(image), 512)
	if err := Partition(count, options()); err != nil {
		t.Fatal(err)
	}
	steps, volumes, early := count.Steps(), 0, 0
	for n := 0; n < *cuts; volumes++ {
		dev := fstest.Device{Disk: fstest.New(size, 512, 0, r)}
		copy(dev.Bytes(), image)
		dev.Tear = fstest.Tears[r.IntN(len(fstest.Tears)-1)] // one that can't be read is told, and nothing is done
		for {
			dev.InOrder = r.IntN(3) == 0
			after := 1 + r.IntN(steps)
			if r.IntN(4) == 0 { // the first moments and the last are few
				after = 1 + r.IntN(200)
			}
			dev.CutAfter(after)
			err := Partition(dev, options())
			if cut := dev.Off(); !cut {
				if err != nil && strings.Contains(err.Error(), "--repair") { // the boot sector is damaged, its backup is not
					dev.PowerOn()
					if _, err := fat.Check(dev, fat.CheckOptions{Repair: true}); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if err != nil && !errors.Is(err, ErrDone) {
					t.Fatalf("after %d cuts: %v", n, err)
				}
				break
			}
			n++
			dev.PowerOn()
			// Either it is still the old volume, or nobody takes it for one.
			if v, err := fat.Mount(dev); err == nil {
				early++
				for name, want := range files {
					if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("after %d cuts: a volume with wrong content can be mounted: %s, error %v", n, name, err)
					}
				}
			}
		}
		dev.PowerOn()
		check(t, dev, files, "five words", volumes == 0)
	}
	if early == 0 || early == *cuts {
		t.Errorf("%d cuts before the first move", early)
	}
	t.Logf("%d cuts of %d volumes, %d of them before the first move", *cuts, volumes, early)
}

var _ fs.BlockDevice = aside{}
