package check

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat/fattest"
	"alphaos/fs/fstest"
	"alphaos/fs/luks"
	volumes "alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/vmtest"
)

// image is a drive of either layout in memory, with a journal in which something was said.
func image(t testing.TB, layout string) []byte {
	t.Helper()
	b := vmtest.Image(t, layout, create.Options{Extra: []create.Extra{
		{Path: "documents/a document.txt", Content: bytes.Repeat([]byte("paper "), 5000)}, {Path: "documents/another.txt", Content: bytes.Repeat([]byte("more "), 5000)},
	}})
	d, err := drive.Open(fstest.NewDevice(b, 512), false)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := d.OpenJournal(func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddUser("remember the milk"); err != nil {
		t.Fatal(err)
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	return b
}

// journal returns the journal on the drive dev, and where it lies.
func journal(t testing.TB, dev fs.BlockDevice) ([]byte, []fs.Extent) {
	t.Helper()
	d, err := drive.Open(dev, true)
	if err != nil {
		t.Fatal(err)
	}
	v, at, err := d.On(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	where, err := v.Extents(at)
	if err != nil {
		t.Fatal(err)
	}
	content, err := v.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	return content, where
}

// others tells whether sgdisk and fsck.fat find a drive in order, and what they say.
func others(t testing.TB, dev fstest.Device) (sound bool, said string) {
	t.Helper()
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("sgdisk is not installed (package gdisk)")
	}
	name := filepath.Join(t.TempDir(), "drive")
	if err := os.WriteFile(name, dev.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	out, err := exec.Command("sgdisk", "-v", name).CombinedOutput()
	said = string(out)
	sound = err == nil && strings.Contains(said, "No problems found") && !strings.Contains(said, "Caution") && !strings.Contains(said, "Warning")
	medium, err := volumes.List(dev)
	if err != nil {
		return false, said
	}
	for _, v := range medium.Volumes {
		part := fsck.Copy(t, v)
		lines := fsck.Says(t, part)
		os.Remove(part)
		sound, said = sound && len(lines) == 0, said+strings.Join(lines, "\n")
	}
	return sound, said
}

// volumeOf opens the volume with a partition's name to damage it.
func volumeOf(t testing.TB, dev fs.BlockDevice, name string) *fattest.Volume {
	t.Helper()
	medium, err := volumes.List(dev)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range medium.Volumes {
		if v.Name == name {
			return fattest.Open(t, v)
		}
	}
	t.Fatalf("there is no partition %s", name)
	return nil
}

var documents = []string{"DOCUME~1   "}

// TestRepair damages drives in many ways. What is wrong is told, without a byte being written; then it is
// mended, and neither we nor sgdisk and fsck.fat find anything any more, and the journal is as it was.
func TestRepair(t *testing.T) {
	const mib = 1 << 20
	minimal, full := image(t, "minimal"), image(t, "full")
	main := func(t testing.TB, dev fs.BlockDevice) *fattest.Volume { return volumeOf(t, dev, drive.Label) }
	know := func(t testing.TB, dev fs.BlockDevice) *fattest.Volume { return volumeOf(t, dev, "ALPHAOS_DATA") }
	for _, c := range []struct {
		name   string
		image  []byte
		larger int // bytes behind it
		spoil  func(t testing.TB, dev fstest.Device)
		want   []string
		silent bool // others find nothing
	}{
		{"nothing", minimal, 0, func(testing.TB, fstest.Device) {}, nil, true},
		{"nothing, full", full, 0, func(testing.TB, fstest.Device) {}, nil, true},
		{"copied to a larger drive", full, 9 * mib, func(testing.TB, fstest.Device) {}, []string{"The drive is larger than its partition table says", "Mended: The backup of the partition table"}, false},
		{"no primary table", minimal, 0, func(_ testing.TB, dev fstest.Device) { clear(dev.Bytes()[512:1024]) }, []string{"at the beginning of the drive is damaged"}, false},
		{"no backup table", full, 0, func(_ testing.TB, dev fstest.Device) { clear(dev.Bytes()[len(dev.Bytes())-512:]) }, []string{"The backup of the partition table at the end"}, false},
		{"no protective MBR", full, 0, func(_ testing.TB, dev fstest.Device) { clear(dev.Bytes()[:512]) }, []string{"no protective MBR"}, false},
		{"nothing at the beginning", minimal, 0, func(_ testing.TB, dev fstest.Device) { clear(dev.Bytes()[:40*512]) }, []string{"no protective MBR", "damaged (block 1 has no header)"}, false},
		{"in use", minimal, 0, func(t testing.TB, dev fstest.Device) { main(t, dev).Mark() }, []string{"it was not put in order when it was last used"}, false},
		{"orphans", full, 0, func(t testing.TB, dev fstest.Device) { know(t, dev).Lose(5); know(t, dev).Lose(2) }, []string{"7 clusters belong to no file", "Mended: they are free again"}, false},
		{"cross-linked", minimal, 0, func(t testing.TB, dev fstest.Device) {
			v, first := main(t, dev), uint32(0)
			v.Entry(documents, "ADOCUM~1TXT", func(raw []byte) { first = fattest.First(raw) })
			v.Entry(documents, "ANOTHER TXT", func(raw []byte) { v.Set(-1, fattest.First(raw), first+1) })
		}, []string{"leads to clusters of another"}, false},
		{"into the journal", minimal, 0, func(t testing.TB, dev fstest.Device) {
			v, first := main(t, dev), uint32(0)
			v.Entry([]string{"DATA       ", "JOURNAL    "}, "JOURNAL LOG", func(raw []byte) { first = fattest.First(raw) })
			v.Entry(documents, "ADOCUM~1TXT", func(raw []byte) { v.Set(-1, fattest.First(raw), first) })
		}, []string{"leads to clusters of a protected file"}, false},
		{"FATs that differ", full, 0, func(t testing.TB, dev fstest.Device) {
			v := know(t, dev)
			for c := range uint32(20) {
				v.Set(1, 20+c, 0)
			}
		}, []string{"its FATs differ in 20 entries", "all are made as FAT 1 is"}, false},
		{"a first FAT that was wiped", minimal, 0, func(t testing.TB, dev fstest.Device) {
			v := main(t, dev)
			for c := range uint32(2000) {
				v.Set(0, 2+c, 0)
			}
		}, []string{"all are made as FAT 2 is"}, false},
		{"a size too large", minimal, 0, func(t testing.TB, dev fstest.Device) {
			main(t, dev).Entry(documents, "ADOCUM~1TXT", func(raw []byte) { fattest.SetSize(raw, 1<<20) })
		}, []string{"its chain of clusters ends too early"}, false},
		{"a size too small", full, 0, func(t testing.TB, dev fstest.Device) {
			know(t, dev).Entry(documents, "ADOCUM~1TXT", func(raw []byte) { fattest.SetSize(raw, 10) })
		}, []string{"it has more clusters than it needs"}, false},
		{"a wrong count", minimal, 0, func(t testing.TB, dev fstest.Device) {
			main(t, dev).Change(512+488, 4, func(b []byte) { copy(b, "\x07\x00\x00\x00") })
		}, []string{"it is said to have 7 free clusters"}, false},
		{"no boot sector", full, 0, func(t testing.TB, dev fstest.Device) {
			know(t, dev).Change(0, 512, func(b []byte) { clear(b) })
		}, []string{"it is restored from its backup"}, false},
		{"all at once", full, 3 * mib, func(t testing.TB, dev fstest.Device) {
			know(t, dev).Lose(3)
			volumeOf(t, dev, "ALPHAOS_SYS").Mark()
			volumeOf(t, dev, "ALPHAOS_ESP").Change(512, 512, func(b []byte) { clear(b) })
			clear(dev.Bytes()[:512])
		}, []string{"larger than", "no protective MBR", "3 clusters", "not put in order", "counts free clusters"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fstest.NewDevice(append(slices.Clone(c.image), make([]byte, c.larger)...), 512)
			was, place := journal(t, dev)
			c.spoil(t, dev)
			if sound, said := others(t, dev); sound != c.silent {
				t.Errorf("others find it sound: %v\n%s", sound, said)
			}
			spoiled := slices.Clone(dev.Bytes())
			r, err := Drive(dev, Options{})
			if err != nil || (r.Found == 0) != (c.want == nil) || r.Mended > 0 {
				t.Errorf("%d found, %d mended, error %v\n%s", r.Found, r.Mended, err, r)
			}
			if !bytes.Equal(spoiled, dev.Bytes()) {
				t.Error("it has written")
			}
			found := r.Found
			first := r
			r, err = Drive(dev, Options{Repair: true, Time: time.Now()})
			if err != nil || r.Found < found && !strings.Contains(first.String(), "the FATs do not agree") || r.Mended != r.Found { // by which the journal may have been out of reach
				t.Errorf("of %d found again %d, %d mended, error %v\n%s\nbefore:\n%s", found, r.Found, r.Mended, err, r, first)
			}
			for _, want := range append(c.want, "All that was saved can be read", "1 conversation\n") {
				if !strings.Contains(r.String(), want) {
					t.Errorf("%q is missing in\n%s", want, r)
				}
			}
			if c.want == nil && !bytes.Equal(spoiled, dev.Bytes()) {
				t.Error("a sound drive was changed")
			}
			if again, err := Drive(dev, Options{}); err != nil || again.Found > 0 {
				t.Errorf("found again, error %v\n%s", err, again)
			}
			if sound, said := others(t, dev); !sound {
				t.Errorf("after the repair they say\n%s", said)
			}
			if now, at := journal(t, dev); !bytes.Equal(was, now) || !slices.Equal(place, at) {
				t.Error("the journal was changed or moved")
			}
		})
	}
}

// TestTells has what is no drive of ours, or cannot be mended.
func TestTells(t *testing.T) {
	const mib = 1 << 20
	minimal, full := image(t, "minimal"), image(t, "full")
	bare := make([]byte, 64*mib)
	for i, e := range []struct{ kind, first, blocks int }{{7, 2048, 20480}, {0x83, 30000, 20480}, {0x0C, 60000, 1 << 20}} {
		b := bare[446+16*i:]
		b[4] = byte(e.kind)
		binary.LittleEndian.PutUint32(b[8:], uint32(e.first))
		binary.LittleEndian.PutUint32(b[12:], uint32(e.blocks))
	}
	bare[510], bare[511] = 0x55, 0xAA
	copy(bare[2048*512:], "\xEB\x76\x90EXFAT   ")
	bare[2048*512+510], bare[2048*512+511] = 0x55, 0xAA
	ext := bare[30000*512+1024:]
	ext[0x38], ext[0x39], ext[0x60] = 0x53, 0xEF, 0x40
	volume := slices.Clone(minimal[mib : len(minimal)-mib])
	for _, c := range []struct {
		name  string
		b     []byte
		spoil func(b []byte, dev fstest.Device)
		found int // and not mended
		want  []string
	}{
		{"others' partitions", bare, nil, 2, []string{"with an MBR partition table", "Partition 3 is said to reach beyond the end",
			"Partition 1: 10 MiB, is exFAT. It is not checked here.", "Partition 2: 10 MiB, ext4\n  It could not be checked: ", "The journal: none was found, since this is no AlphaOS drive"}},
		{"one volume", volume, nil, 0, []string{"one volume without a partition table", "The volume: 46 MiB, FAT32", "The journal: /data/journal/journal.log"}},
		{"a hybrid MBR", minimal, func(b []byte, _ fstest.Device) {
			copy(b[446+16:], []byte{0, 0, 0, 0, 0x0C, 0, 0, 0, 0, 8, 0, 0, 0, 64, 1, 0})
		}, 0, []string{"with a GUID partition table\n  Its MBR has partitions, too (a hybrid MBR).", "All that was saved can be read"}},
		{"copied to a smaller drive", full[:149*mib], nil, 1, []string{"it is for a larger medium"}},
		{"no system partition's beginning", full, func(b []byte, _ fstest.Device) { clear(b[41*mib : 42*mib]) }, 1, []string{"Partition 2, ALPHAOS_SYS: 64 MiB, holds no file system", "its beginning is damaged"}},
		{"a medium that fails", full, func(b []byte, dev fstest.Device) {
			at := mib + 512*int64(binary.LittleEndian.Uint16(b[mib+14:])) // the first FAT
			dev.MakeUnreadable(at, at+512)
		}, 0, []string{"FAT 1 cannot be read as a whole. Mended: all are made as FAT 2 is."}},
		{"a medium that fails twice", full, func(b []byte, dev fstest.Device) {
			at, size := mib+512*int64(binary.LittleEndian.Uint16(b[mib+14:])), 512*int64(binary.LittleEndian.Uint32(b[mib+36:]))
			dev.MakeUnreadable(at, at+512)
			dev.MakeUnreadable(at+size, at+size+512)
		}, 1, []string{"Partition 1, ALPHAOS_ESP: 40 MiB, FAT32\n  It could not be checked: "}},
		{"no journal", minimal, func(b []byte, dev fstest.Device) {
			main := volumeOf(t, dev, drive.Label)
			main.Entry([]string{"DATA       ", "JOURNAL    "}, "JOURNAL LOG", func(raw []byte) { raw[0] = 0xE5 })
		}, 0, []string{"The journal: there is none on this drive", "Mended: they are files FSCKnnnn.REC."}},
		{"something else for a journal", minimal, func(b []byte, dev fstest.Device) {
			d, err := drive.Open(dev, false)
			if err != nil {
				t.Fatal(err)
			}
			f, err := d.OpenInPlace(drive.JournalPath)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(bytes.Repeat([]byte("no journal. "), int(f.Size())/12), 0); err != nil {
				t.Fatal(err)
			}
		}, 1, []string{"It cannot be read: "}},
		{"a session that did not end", minimal, func(b []byte, dev fstest.Device) {
			d, err := drive.Open(dev, false)
			if err != nil {
				t.Fatal(err)
			}
			s, _, err := d.OpenJournal(func() time.Time { return time.Date(2026, 3, 2, 1, 2, 3, 0, time.UTC) })
			if err == nil {
				err = s.AddUser("and then")
			}
			if err != nil {
				t.Fatal(err)
			}
		}, 0, []string{"The last session did not end properly; all that was said is there up to 2026-03-02 01:02 UTC."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fstest.NewDevice(slices.Clone(c.b), 512)
			if c.spoil != nil {
				c.spoil(dev.Bytes(), dev)
			}
			r, err := Drive(dev, Options{Repair: true, Time: time.Now()})
			if err != nil || r.Found-r.Mended != c.found {
				t.Errorf("%d found, %d mended, error %v\n%s", r.Found, r.Mended, err, r)
			}
			for _, want := range c.want {
				if !strings.Contains(r.String(), want) {
					t.Errorf("%q is missing in\n%s", want, r)
				}
			}
		})
	}
	if _, err := Drive(fstest.NewDevice(make([]byte, mib), 512), Options{Repair: true}); !errors.Is(err, volumes.ErrNothing) {
		t.Errorf("zeros: %v", err)
	}
}

// FuzzDrive has a drive of any content, of which nothing is written unless it is to be mended.
func FuzzDrive(f *testing.F) {
	b := make([]byte, 1<<20)
	copy(b[510:], "\x55\xAA")
	f.Add(b[:64<<10], uint16(0), uint16(0))
	f.Add(b[:64<<10], uint16(446), uint16(0x0C00))
	base := image(f, "minimal")
	f.Add([]byte{}, uint16(510), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, at, what uint16) {
		b := append(slices.Clone(data), 0)
		if len(data) == 0 { // a drive of ours, with a change in what is not content
			b = slices.Clone(base)
			off := int(at) * 7
			if at&1 != 0 {
				off += 1 << 20
			}
			binary.LittleEndian.PutUint16(b[off:], what)
		}
		dev := fstest.NewDevice(b, 512)
		before := slices.Clone(dev.Bytes())
		r, err := Drive(dev, Options{})
		if !bytes.Equal(before, dev.Bytes()) {
			t.Fatal("it has written")
		}
		if err != nil {
			return
		}
		if _, err := Drive(dev, Options{Repair: true}); err != nil {
			t.Fatalf("found %s, but with repair %v", r, err)
		}
	})
}

// The first header of an encrypted partition that an MBR knows is mended from its second, found by that alone, unless something else
// has begun in its place.
func TestLUKSBehindMBR(t *testing.T) {
	const first, blocks = 64, 12 << 11 // 512 bytes each
	base := make([]byte, (first+blocks)*512)
	e := base[446:]
	e[4] = 0x83
	binary.LittleEndian.PutUint32(e[8:], first)
	binary.LittleEndian.PutUint32(e[12:], blocks)
	base[510], base[511] = 0x55, 0xAA
	part := func(b []byte) []byte { return b[first*512:] }
	if _, open, err := luks.Format(fstest.NewDevice(part(base), 512), []byte("a passphrase"), luks.Options{Cost: luks.Cost{Memory: 64 << 10, Passes: 4}, Offset: 2 << 20}); err != nil {
		t.Fatal(err)
	} else {
		open.Close()
	}
	const header = 16 << 10
	garbage := func(b []byte) {
		for i := range b {
			b[i] = byte(i*i>>3 + 7)
		}
	}
	for _, c := range []struct {
		what   string
		damage func(p []byte)
		mended bool
	}{
		{"its magic", func(p []byte) { copy(p, "SKUL") }, true},
		{"its first sector", func(p []byte) { garbage(p[:512]) }, true},
		{"its binary part", func(p []byte) { garbage(p[:4096]) }, false}, // as of a file system that nobody here knows
		{"its first sector is empty", func(p []byte) { clear(p[:512]) }, true},
		{"all of it is empty", func(p []byte) { clear(p[:header]) }, true},
		{"all of it is erased flash", func(p []byte) { copy(p[:header], bytes.Repeat([]byte{0xFF}, header)) }, true},
		{"one bit of its JSON", func(p []byte) { p[4096+20] ^= 1 }, true}, // its magic is there still
		{"something else lies there", func(p []byte) { garbage(p[:header]) }, false},
		{"a file system has begun", func(p []byte) { clear(p[:4096]); copy(p[1024+56:], "\x53\xEF") }, false},
		{"swap space has begun", func(p []byte) { clear(p[:4096]); copy(p[4096-10:], "SWAPSPACE2") }, false},
		{"the copy is damaged, too", func(p []byte) { clear(p[:512]); clear(p[header:][:512]) }, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := slices.Clone(base)
			c.damage(part(b))
			damaged := slices.Clone(b)
			dev := fstest.NewDevice(b, 512)
			if r, err := Drive(dev, Options{}); err != nil || !bytes.Equal(dev.Bytes(), damaged) || c.mended && r.Found != 1 {
				t.Errorf("it was changed, or not seen: %v\n%s", err, r)
			}
			r, err := Drive(dev, Options{Repair: true})
			if err != nil || !c.mended && !bytes.Equal(dev.Bytes(), damaged) || (r.Mended == 1) != c.mended {
				t.Errorf("%v\n%s", err, r)
			}
			if !c.mended {
				return
			}
			if r, err := Drive(dev, Options{}); err != nil || r.Found > 0 {
				t.Errorf("after that: %v\n%s", err, r)
			}
			open, err := luks.Open(fs.ReadOnly(fstest.NewDevice(part(dev.Bytes()), 512)), []byte("a passphrase"))
			if err != nil {
				t.Fatal(err)
			}
			open.Close()
		})
	}
}
