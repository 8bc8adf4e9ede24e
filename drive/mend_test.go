package drive_test

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/fat/fattest"
	"alphaos/fs/fstest"
	"alphaos/internal/fsck"
)

// counted counts what is asked of a device, and fails when it is to.
type counted struct {
	device
	reads, writes *int
	fail          *error
}

func (c counted) ReadBlocks(lba uint64, p []byte) error {
	*c.reads++
	if *c.fail != nil {
		return *c.fail
	}
	return c.device.ReadBlocks(lba, p)
}

func (c counted) WriteBlocks(lba uint64, p []byte) error {
	*c.writes++
	return c.device.WriteBlocks(lba, p)
}

func TestMend(t *testing.T) {
	const lost, ended, cut = "2 clusters belong to no file (they are free again)", "could not be ended, and it is used as it is: the drive reported an error.", "/data/config.json: its chain of clusters leads to a free cluster (it is cut to 0 of "
	inConfig := func(v *fattest.Volume, f func(raw []byte)) {
		v.Entry([]string{"DATA       "}, "CONFIG~1JSO", f)
	}
	made := newVolume(t, create.Options{State: 1 << 20})
	sound := whole(t, made)
	for _, c := range []struct {
		name      string
		spoil     func(v *fattest.Volume)
		unclean   bool
		protected bool
		fail      error
		journal   bool // has lost its name
		said      string
		asks      bool // something of the drive
		dirty     bool // afterwards
	}{
		{name: "in order", spoil: func(*fattest.Volume) {}},
		{name: "in order after an unclean end", spoil: func(*fattest.Volume) {}, unclean: true, asks: true},
		{name: "marked", spoil: func(v *fattest.Volume) { v.Mark() }, asks: true},
		{name: "lost clusters", spoil: func(v *fattest.Volume) { v.Mark(); v.Lose(2) }, said: lost, asks: true},
		{name: "lost clusters without a mark", spoil: func(v *fattest.Volume) { v.Lose(2) }},
		{name: "lost clusters after an unclean end", spoil: func(v *fattest.Volume) { v.Lose(2) }, unclean: true, said: lost, asks: true},
		{name: "a file without its clusters", spoil: func(v *fattest.Volume) {
			v.Mark()
			inConfig(v, func(raw []byte) { fattest.SetFirst(raw, v.Last) })
		}, said: cut, asks: true},
		{name: "a write protected drive", spoil: func(v *fattest.Volume) { v.Mark(); v.Lose(2) }, protected: true, dirty: true},
		{name: "a drive that fails", spoil: func(v *fattest.Volume) { v.Mark() }, fail: fmt.Errorf("reading: %w", fs.ErrIO), said: ended, asks: true, dirty: true},
		{name: "no journal", spoil: func(v *fattest.Volume) {
			v.Mark()
			v.Entry([]string{"DATA       ", "JOURNAL    "}, "JOURNAL LOG", func(raw []byte) { raw[0] = 0xE5 })
		}, dirty: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := device{BlockDevice: fstest.NewDevice(slices.Clone(sound), 512)}
			v := fattest.Open(t, dev)
			c.spoil(v)
			dev.protected = c.protected
			count := counted{dev, new(int), new(int), new(error)}
			d, err := drive.Mount(count)
			if err != nil {
				t.Fatal(err)
			}
			journal, err := d.OpenInPlace(drive.JournalPath)
			if err != nil && c.name != "no journal" {
				t.Fatal(err)
			}
			d.Dirty() // reads the directories of what is overwritten in place, as a start does anyway
			*count.fail, *count.reads, *count.writes = c.fail, 0, 0
			logged := ""
			var looked, most int64
			said := d.Mend(t.Context(), c.unclean, time.Time{}, func(done, total int64) { looked, most = done, total }, func(format string, args ...any) { logged += fmt.Sprintf(format, args...) + "\n" })
			if text := strings.Join(said, " "); !strings.Contains(text, c.said) || (text == "") != (c.said == "") {
				t.Errorf("said %q, want %q", said, c.said)
			}
			for _, s := range said {
				if !strings.HasSuffix(s, ".") || strings.Contains(s, "\n") {
					t.Errorf("%q is no sentence", s)
				}
			}
			if asked := *count.reads+*count.writes > 0; asked != c.asks {
				t.Errorf("%d reads and %d writes", *count.reads, *count.writes)
			}
			if checked := strings.Contains(logged, "was checked"); checked != (most > 0 && looked > 0) && c.fail == nil {
				t.Errorf("looked at %d of %d bytes: %q", looked, most, logged)
			}
			if strings.Contains(logged, "config") {
				t.Errorf("names of files are in the log: %q", logged)
			}
			*count.fail = nil
			if journal != nil {
				if _, err := journal.WriteAt([]byte("word"), 4096); err != nil {
					t.Error(err)
				}
			}
			if d.Dirty() != c.dirty {
				t.Errorf("dirty is %v", d.Dirty())
			}
			if again, err := drive.Mount(dev); err != nil || again.Dirty() != c.dirty {
				t.Errorf("mounted again: %v", err)
			}
			if !c.dirty && (c.asks || c.said != "") {
				fsck.Sound(t, dev)
			}
		})
	}
}

// A volume that cannot be changed has its say.
func TestMendTells(t *testing.T) {
	dev := newVolume(t, create.Options{})
	v := fattest.Open(t, dev)
	v.Mark()
	for _, boot := range []int64{0, 6 * 512} {
		v.Change(boot+32, 4, func(b []byte) { b[2]++ }) // longer than its partition
	}
	d := mount(t, dev)
	said := d.Mend(t.Context(), false, time.Now(), func(int64, int64) {}, t.Logf)
	if len(said) != 1 || !strings.Contains(said[0], "could not be mended: it is said to be longer than its partition") {
		t.Errorf("said %q", said)
	}
	if v, err := fat.Mount(dev); err != nil || !v.Dirty() {
		t.Error(errors.Join(err, errors.New("it is in order")))
	}
}

// A check that is stopped is told, and changes nothing that is not mended by the next one.
func TestMendStopped(t *testing.T) {
	dev := newVolume(t, create.Options{})
	d := mount(t, dev)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	said := d.Mend(ctx, true, time.Now(), func(int64, int64) {}, t.Logf)
	if len(said) != 1 || !strings.HasSuffix(said[0], "could not be ended, and it is used as it is: you stopped it.") {
		t.Errorf("%q", said)
	}
	if said := d.Mend(t.Context(), true, time.Now(), func(int64, int64) {}, t.Logf); said != nil {
		t.Errorf("the next one: %q", said)
	}
}

// The FATs of a drive that nobody has marked disagree about where the journal is, or another file that is
// overwritten in place: a start mends that before it opens them, and saves. Where neither FAT has all of them,
// nothing is mended and no FAT loses what it has.
func TestMendWhereFATsDisagree(t *testing.T) {
	const free = 0
	made := newVolume(t, create.Options{State: 1 << 20})
	s, _, err := mount(t, made).OpenJournal(time.Now)
	if err := errors.Join(err, s.Begin(), s.AddUser("hello"), s.End()); err != nil {
		t.Fatal(err)
	}
	sound := whole(t, made)
	for _, c := range []struct {
		name                       string
		spoil                      func(v *fattest.Volume, journal, state, crash, other uint32) // by first clusters
		dirty, closed, kept, after bool                                                         // closed: the journal cannot be opened before; after: afterwards
		said                       string
	}{
		{name: "the first has lost the journal", dirty: true, closed: true, kept: true,
			spoil: func(v *fattest.Volume, journal, _, _, _ uint32) { v.Set(0, journal+1, free) },
			said:  "ALPHAOS was not in order, and was mended: its FATs differ in one entry (all are made as FAT 2 is)."},
		{name: "in the first it leads to another file", dirty: true, closed: true, kept: true,
			spoil: func(v *fattest.Volume, journal, _, _, other uint32) { v.Set(0, journal+1, other) },
			said:  "was mended: its FATs differ in one entry (all are made as FAT 2 is)"},
		{name: "in the second", dirty: true, closed: true, kept: true,
			spoil: func(v *fattest.Volume, journal, _, _, other uint32) { v.Set(1, journal+1, other) },
			said:  "was mended: its FATs differ in one entry (all are made as FAT 1 is)"},
		{name: "the second has lost it", kept: true, spoil: func(v *fattest.Volume, journal, _, _, _ uint32) { v.Set(1, journal+1, free) }},
		{name: "the first has lost the place for crashes", dirty: true, kept: true,
			spoil: func(v *fattest.Volume, _, _, crash, _ uint32) { v.Set(0, crash, free) }, said: "all are made as FAT 2 is"},
		{name: "both have lost the journal", closed: true, after: true,
			spoil: func(v *fattest.Volume, journal, _, _, _ uint32) { v.Set(0, journal+1, free); v.Set(1, journal+2, free) }},
		{name: "each has lost another", dirty: true, kept: true,
			spoil: func(v *fattest.Volume, journal, state, _, _ uint32) { v.Set(0, state, free); v.Set(1, journal+1, free) },
			said:  "On ALPHAOS could not be mended: its FATs differ in 2 entries, and each has the place of a protected file that the other has not, so nothing is mended."},
		{name: "each has lost another, and the journal is the second's", dirty: true, closed: true, kept: true, after: true,
			spoil: func(v *fattest.Volume, journal, state, _, _ uint32) { v.Set(1, state, free); v.Set(0, journal+1, free) },
			said:  "could not be mended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := device{BlockDevice: fstest.NewDevice(slices.Clone(sound), 512)}
			v := fattest.Open(t, dev)
			first := func(dirs []string, short string) (n uint32) {
				v.Entry(dirs, short, func(raw []byte) { n = fattest.First(raw) })
				return n
			}
			journal, state, crash := first([]string{"DATA       ", "JOURNAL    "}, "JOURNAL LOG"), first([]string{"DATA       ", "CACHE      "}, "SESSION KV "), first([]string{"BACKUP     "}, "CRASH   TXT")
			c.spoil(v, journal, state, crash, state)
			before := whole(t, dev)
			d := mount(t, dev)
			if _, err := d.OpenInPlace(drive.JournalPath); (err != nil) != c.closed {
				t.Errorf("opening the journal before: %v", err)
			}
			if d.Dirty() != c.dirty {
				t.Errorf("dirty is %v", !c.dirty)
			}
			said := strings.Join(d.Mend(t.Context(), false, noon, func(int64, int64) {}, t.Logf), " ")
			if !strings.Contains(said, c.said) || (said == "") != (c.said == "") {
				t.Errorf("said %q, want %q", said, c.said)
			}
			mended := strings.Contains(said, "was mended")
			if dirty := d.Dirty(); dirty != (c.dirty && !mended) {
				t.Errorf("afterwards dirty is %v", dirty)
			}
			if !mended { // but for the mark
				v.Change(65, 1, func(b []byte) { b[0] &^= 1 })
				v.Set(-1, 1, v.Next(1)|1<<27)
				if !slices.Equal(before, whole(t, dev)) {
					t.Error("something was changed")
				}
			} else {
				fsck.Sound(t, dev)
			}
			s, _, err := d.OpenJournal(time.Now)
			if (err != nil) != c.after {
				t.Fatalf("opening the journal afterwards: %v", err)
			}
			if err == nil {
				if err := errors.Join(s.Begin(), s.AddUser("again"), s.End()); err != nil || len(s.Conversation()) != 2 {
					t.Errorf("saving: %v, %v", err, s.Conversation())
				}
			}
			if got, err := iofs.ReadFile(d, drive.JournalPath); (err == nil) != c.kept || c.kept && len(got) != 1<<20 {
				t.Errorf("the journal has %d bytes: %v", len(got), err)
			}
		})
	}
}

// whole returns all that is on a device.
func whole(t *testing.T, dev fs.BlockDevice) []byte {
	t.Helper()
	b := make([]byte, int(dev.Blocks())*dev.BlockSize())
	if err := dev.ReadBlocks(0, b); err != nil {
		t.Fatal(err)
	}
	return b
}
