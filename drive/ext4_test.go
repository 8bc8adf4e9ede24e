package drive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/gpt"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/vmtest"
)

// filesystems are what a knowledge partition can have.
var filesystems = []struct {
	name          string
	ext4, encrypt bool
}{{"FAT32", false, false}, {"ext4", true, false}, {"FAT32 in LUKS2", false, true}, {"ext4 in LUKS2", true, true}}

const passphrase = "five words on a train"

// onDisk makes a drive of the full layout.
func onDisk(t *testing.T, ext4, encrypt bool) fstest.Device {
	t.Helper()
	o := create.Options{Ext4: ext4}
	if encrypt {
		o.Encrypt = &create.Encryption{Passphrase: []byte(passphrase), Cost: luks.Cost{Memory: 32 << 10, Passes: 1}}
	}
	return fstest.NewDevice(vmtest.Image(t, "full", o), 512)
}

func opened(t *testing.T, dev fs.BlockDevice, readOnly bool) *drive.Drive {
	t.Helper()
	d, err := drive.Open(dev, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	if d.Locked() != nil {
		if err := d.Unlock([]byte(passphrase)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// knowledge returns the volume with what is known, to be looked at.
func knowledge(t *testing.T, d *drive.Drive) *drive.Volume {
	t.Helper()
	v, _, err := d.On(drive.JournalPath)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// All that a session does with a drive it does on each kind, and others find it in order. Of what was removed nothing is left on the medium:
// no 16 bytes of its content or of its name, in whatever journal.
func TestKinds(t *testing.T) {
	for _, c := range filesystems {
		t.Run(c.name, func(t *testing.T) {
			disk := onDisk(t, c.ext4, c.encrypt)
			d := opened(t, disk, false)
			v := knowledge(t, d)
			if kind := v.Kind(); (kind == volume.Ext4) != c.ext4 || v.Dirty() {
				t.Fatalf("it %s; dirty %t", kind.Clause(), v.Dirty())
			}
			s, _, err := d.OpenJournal(time.Now)
			if err != nil {
				t.Fatal(err)
			}
			// A word in a language that does not put spaces between words, so that all of it is in the name of its file.
			const said, name = "紫色のアルマジロはベッドの下で眠る", "2026-03-01-紫色のアルマジロはベッドの下で眠る.md"
			if err := errors.Join(s.Begin(), s.AddUser(said), d.Conversations().Write(name, noon, []byte("# "+said)), d.Conversations().Write(name, noon, []byte("# again "+said))); err != nil {
				t.Fatal(err)
			}
			if _, err := d.SaveDocument(noon, "note.md", []byte("a treasure"), false); err != nil {
				t.Fatal(err)
			}
			if where, err := d.SaveExport(noon, "copy.md", []byte("exported")); err != nil || !strings.Contains(where, "/backup/copy.md on ALPHAOSDATA") {
				t.Error(where, err)
			}
			if state := d.OpenState(); state == nil {
				t.Error("no place for state")
			} else if _, err := state.WriteAt([]byte("state"), 5000); err != nil {
				t.Error(err)
			}
			inside := whole(t, v.Device)
			if !bytes.Contains(inside, []byte(said)) {
				t.Error("this test would find nothing")
			}
			if err := errors.Join(s.NewConversation(), s.Delete(1), d.Conversations().Remove(name), d.Conversations().Scrub(t.Context()), s.Compact(t.Context())); err != nil {
				t.Fatal(err)
			}
			inside = whole(t, v.Device)
			for i := 0; i+16 <= len(said); i++ {
				if at := bytes.Index(inside, []byte(said[i:i+16])); at >= 0 {
					t.Fatalf("%q, which was removed, is at %d", said[i:i+16], at)
				}
			}
			// A session that ends between removing a name and wiping it: the next one does it.
			if err := errors.Join(v.WriteFile("conversations/"+name, nil), v.Sync(), v.Remove("conversations/"+name)); err != nil {
				t.Fatal(err)
			}
			d = opened(t, disk, false)
			if said := d.Mend(t.Context(), true, noon, func(int64, int64) {}, t.Logf); said != nil {
				t.Error(said)
			}
			s, _, err = d.OpenJournal(time.Now)
			if err := errors.Join(err, s.Begin(), s.AddUser("another"), d.Conversations().Write("another.md", noon, []byte("another")), d.Conversations().Scrub(t.Context()), s.End(), d.Close()); err != nil {
				t.Fatal(err)
			}
			v = knowledge(t, d)
			if bytes.Contains(whole(t, v.Device), []byte(name[11:])) {
				t.Error("the name of a removed file is there after the session behind an unclean end")
			}
			fsck.Sound(t, v.Device)

			d = opened(t, disk, false)
			s, r, err := d.OpenJournal(time.Now)
			if err != nil || r.Unclean || len(s.Conversation()) != 1 || s.Conversation()[0].Text != "another" {
				t.Errorf("%v, %+v, %v", s.Conversation(), r, err)
			}
			if b, err := iofs.ReadFile(d.Documents(), "note.md"); err != nil || string(b) != "a treasure" {
				t.Errorf("%q, %v", b, err)
			}
			if said := d.Mend(t.Context(), true, noon, func(int64, int64) {}, t.Logf); said != nil {
				t.Error(said)
			}
			if said, err := d.TakeOver(noon, func() {}); said != "" || err != nil {
				t.Error(said, err)
			}
			if _, err := d.Measure(); err != nil {
				t.Error(err)
			}
			d = opened(t, fs.ReadOnly(disk), true)
			if _, _, err := d.OpenJournal(time.Now); err != nil || d.Conversations() != nil || d.OpenState() != nil {
				t.Errorf("read only: %v", err)
			}
		})
	}
}

// Appending to the journal costs the same requests on each kind.
func TestSameWrites(t *testing.T) {
	var want [2]int
	for _, c := range filesystems[:2] {
		disk := onDisk(t, c.ext4, false)
		count := counted{device{BlockDevice: disk}, new(int), new(int), new(error)}
		flushes := 0
		d := opened(t, flushed{count, &flushes}, false)
		s, _, err := d.OpenJournal(eager())
		if err == nil {
			err = s.Begin()
		}
		if err != nil {
			t.Fatal(err)
		}
		*count.writes, flushes = 0, 0
		for i := range 100 {
			if err := s.AddUser(fmt.Sprintf("message %d %s", i, strings.Repeat("x", i*37%3000))); err != nil {
				t.Fatal(err)
			}
		}
		got := [2]int{*count.writes, flushes}
		t.Logf("%s: %d writes and %d flushes for 100 messages", c.name, got[0], got[1])
		if want == [2]int{} {
			want = got
		}
		if got != want || got[0] == 0 {
			t.Errorf("%s: %d writes and flushes, want %d", c.name, got, want)
		}
	}
}

// flushed counts flushes.
type flushed struct {
	counted
	n *int
}

func (f flushed) Flush() error { *f.n++; return f.counted.Flush() }

// stock makes a volume with mkfs.ext4 that has a document.
func stock(t *testing.T, mib int64, options ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("mke2fs"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "in/documents"), 0o755), os.WriteFile(filepath.Join(dir, "in/documents/note.md"), []byte("the treasure"), 0o644)); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(dir, "img")
	args := append([]string{"-q", "-F", "-t", "ext4", "-d", filepath.Join(dir, "in")}, append(options, img, fmt.Sprint(mib, "M"))...)
	if out, err := exec.Command("mke2fs", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A partition that others have made, with documents on it, gets what is missing for saving; but one that has lost its journal does not.
func TestTakeOver(t *testing.T) {
	esp := func() device { return labelled(t, "ALPHAOS_ESP", espTree(t)) }
	for _, c := range []struct {
		name, label, partition string
		kind                   gpt.GUID
		data                   func() []byte
	}{
		{"ext4 by its partition's name", "", "ALPHAOS_DATA", gpt.LinuxData, func() []byte { return stock(t, 64) }},
		{"ext4 by its label", "", "Linux filesystem", gpt.LinuxData, func() []byte { return stock(t, 64, "-L", "ALPHAOS_DATA") }},
		{"ext4 as basic data", "", "ALPHAOS_DATA", gpt.BasicData, func() []byte { return stock(t, 64, "-b", "1024") }},
		{"FAT32", "", "ALPHAOS_DATA", gpt.BasicData, func() []byte { return whole(t, labelled(t, "ALPHAOSDATA", documentTree(t))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := device{BlockDevice: fstest.NewDevice(c.data(), 512)}
			first := esp()
			mount := func() *drive.Drive {
				t.Helper()
				d, err := drive.Mount(first, drive.Partition{Device: data, TypeGUID: c.kind, Name: c.partition})
				if err != nil || d.Layout != drive.Full {
					t.Fatal(err, d.Notes())
				}
				return d
			}
			d := mount()
			if d.Ours() {
				t.Error("it is ours before")
			}
			said, err := d.TakeOver(noon, func() {})
			if err != nil || said != "The drive's knowledge partition had no journal: /journal/journal.log on ALPHAOSDATA was made, and conversations are kept there from now on." {
				t.Fatal(said, err)
			}
			s, _, err := d.OpenJournal(time.Now)
			if err := errors.Join(err, s.Begin(), s.AddUser("hello"), s.End(), d.Close()); err != nil {
				t.Fatal(err)
			}
			fsck.Sound(t, data)
			d = mount()
			if said, err := d.TakeOver(noon, func() {}); said != "" || err != nil || !d.Ours() || d.OpenState() == nil {
				t.Error("again:", said, err)
			}
			if b, err := iofs.ReadFile(d.Documents(), "note.md"); err != nil || string(b) != "the treasure" {
				t.Errorf("%q, %v", b, err)
			}
			s, _, err = d.OpenJournal(time.Now)
			if err != nil || len(s.Conversation()) != 1 {
				t.Error(err)
			}
			// Without its journal, but with what was made of it.
			if err := d.Conversations().Write("x.md", noon, nil); err != nil {
				t.Fatal(err)
			}
			d = mount()
			if err := knowledge(t, d).Rename("journal", "elsewhere"); err != nil {
				t.Fatal(err)
			}
			if said, err := mount().TakeOver(noon, func() {}); said != "" || err != nil || mount().Ours() {
				t.Error("without its journal:", said, err)
			}
		})
	}
}

// TakeOver is cut after each write: the next one makes what is missing.
func TestTakeOverCuts(t *testing.T) {
	made, first := stock(t, 32, "-b", "1024"), labelled(t, "ALPHAOS_ESP", espTree(t))
	for n := 1; ; n += n/2 + 1 {
		disk := fstest.NewDevice(bytes.Clone(made), 512)
		part := drive.Partition{Device: device{BlockDevice: disk}, TypeGUID: gpt.LinuxData, Name: "ALPHAOS_DATA"}
		d, err := drive.Mount(first, part)
		if err != nil {
			t.Fatal(err)
		}
		disk.CutAfter(n)
		_, cut := d.TakeOver(noon, func() {})
		disk.PowerOn()
		if d, err = drive.Mount(first, part); err != nil {
			t.Fatal(n, err)
		}
		d.Mend(t.Context(), false, noon, func(int64, int64) {}, t.Logf)
		if _, err := d.TakeOver(noon, func() {}); err != nil {
			t.Fatal(n, err)
		}
		if _, _, err := d.OpenJournal(time.Now); err != nil {
			t.Fatal(n, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(n, err)
		}
		fsck.Sound(t, disk)
		if cut == nil {
			break
		}
	}
}

// A volume with features that are only read is mounted so, says why, and changes nothing.
func TestOnlyRead(t *testing.T) {
	data := stock(t, 64, "-O", "quota")
	before := bytes.Clone(data)
	d, err := drive.Mount(labelled(t, "ALPHAOS_ESP", espTree(t)), drive.Partition{Device: device{BlockDevice: fstest.NewDevice(data, 512)}, TypeGUID: gpt.LinuxData, Name: "ALPHAOS_DATA"})
	if err != nil {
		t.Fatal(err)
	}
	const why = "the volume is only read: it has features of ext4 with which AlphaOS only reads ([quota]); use one made with mkfs.ext4"
	if notes := strings.Join(d.Notes(), " "); !strings.Contains(notes, "Nothing can be saved on the drive's knowledge partition: "+why+".") {
		t.Error(notes)
	}
	if said, err := d.TakeOver(noon, func() {}); said != "" || err != nil {
		t.Error(said, err)
	}
	if _, _, err := d.OpenJournal(time.Now); err == nil || fs.Reason(err) != why {
		t.Error(err)
	}
	if _, err := d.SaveDocument(noon, "x", nil, false); !errors.Is(err, fs.ErrUnwritable) {
		t.Error(err)
	}
	if d.Conversations() != nil || d.Backups() != nil || d.OpenState() != nil || d.Writable(drive.IndexPath) {
		t.Error("there is a place to write")
	}
	if b, err := iofs.ReadFile(d.Documents(), "note.md"); err != nil || string(b) != "the treasure" {
		t.Errorf("%q, %v", b, err)
	}
	if said := d.Mend(t.Context(), true, noon, func(int64, int64) {}, t.Logf); said != nil {
		t.Error(said)
	}
	if err := d.Close(); err != nil || !bytes.Equal(before, data) {
		t.Error("something was written:", err)
	}
}

// What Linux calls damaged is told at each start, with what to do.
func TestMendExt4(t *testing.T) {
	disk := onDisk(t, true, false)
	v := knowledge(t, opened(t, disk, false))
	if err := v.WriteFile("documents/x", []byte("x")); err != nil { // and not put in order
		t.Fatal(err)
	}
	d := opened(t, disk, false)
	if !d.Dirty() {
		t.Error("it is in order")
	}
	if said := d.Mend(t.Context(), false, noon, func(int64, int64) {}, t.Logf); said != nil || d.Dirty() {
		t.Error(said, d.Dirty())
	}
	fsck.Sound(t, v.Device)
	f, err := ext4.Mount(v.Device)
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Extents("documents/x")
	if err != nil {
		t.Fatal(err)
	}
	img := fsck.Copy(t, v.Device)
	if out, err := exec.Command("debugfs", "-w", "-R", fmt.Sprint("freeb ", e[0].First/8), img).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out) // it is of the same package as mke2fs, which was there
	}
	b, err := os.ReadFile(img)
	if err == nil {
		err = v.Device.WriteBlocks(0, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(opened(t, disk, false).Mend(t.Context(), true, noon, func(int64, int64) {}, t.Logf), " ")
	if !strings.Contains(said, "On ALPHAOSDATA could not be mended: block") || !strings.Contains(said, "Copy what you need from it") {
		t.Error(said)
	}
}

// espTree is what an EFI system partition has at least.
func espTree(t *testing.T) *fat.Tree {
	t.Helper()
	tree := &fat.Tree{}
	if err := tree.Add("logs/crash.txt", fat.Bytes([]byte("\n"))); err != nil {
		t.Fatal(err)
	}
	return tree
}

func documentTree(t *testing.T) *fat.Tree {
	t.Helper()
	tree := &fat.Tree{}
	if err := tree.Add("documents/note.md", fat.Bytes([]byte("the treasure"))); err != nil {
		t.Fatal(err)
	}
	return tree
}

// While a drive is looked for, another system's partition is known by its superblock not to be one of it: neither its journal
// is read nor a directory, as the first partition or beside it, whatever state it is in.
func TestReadsLittleOfOthers(t *testing.T) {
	b := stock(t, 64, "-b", "1024", "-L", "root")
	disk := fstest.NewDevice(b, 512)
	v, err := ext4.Mount(disk)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // and what was changed waits in the journal
		if err := v.WriteFile(fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []string{"in use", "with a damaged superblock"} {
		if state != "in use" {
			clear(b[1024:2048])
		}
		dev := counted{device{BlockDevice: disk}, new(int), new(int), new(error)}
		bytes := 0
		other := drive.Partition{Device: asked{dev, &bytes}, TypeGUID: gpt.LinuxData, Name: "root"}
		d, err := drive.Mount(labelled(t, "ALPHAOS_ESP", espTree(t)), other)
		if err != nil || len(d.Volumes()) != 1 {
			t.Fatalf("%s: %v, %d volumes", state, err, len(d.Volumes()))
		}
		if _, err := drive.Mount(other.Device); err == nil {
			t.Errorf("%s: it is a drive", state)
		}
		t.Logf("%s: %d reads of %d KiB", state, *dev.reads, bytes>>10)
		if *dev.reads > 50 || bytes > 700<<10 || *dev.writes > 0 {
			t.Errorf("%s: %d reads of %d KiB, and %d writes", state, *dev.reads, bytes>>10, *dev.writes)
		}
	}
}

// asked counts bytes that are read.
type asked struct {
	counted
	n *int
}

func (a asked) ReadBlocks(lba uint64, p []byte) error {
	*a.n += len(p)
	return a.counted.ReadBlocks(lba, p)
}

// Names of removed files that could not be taken off the medium, since a person sent a line or the drive failed, are taken off by the next call; and
// if the session ends before that, however properly, by the next session.
func TestScrubLater(t *testing.T) {
	disk := onDisk(t, true, false)
	d := opened(t, disk, false)
	const name = "2026-03-01-a-secret-that-is-in-a-name.md"
	left := func() bool { return bytes.Contains(whole(t, knowledge(t, d).Device), []byte(name[11:])) }
	remove := func() {
		t.Helper()
		c := d.Conversations()
		if err := errors.Join(c.Write(name, noon, []byte("text")), c.Remove(name)); err != nil || !left() {
			t.Fatalf("left %t, %v", left(), err)
		}
	}
	typed, type1 := context.WithCancel(t.Context())
	type1()
	remove()
	if err := d.Conversations().Scrub(typed); !errors.Is(err, context.Canceled) || !left() {
		t.Errorf("left %t, %v", left(), err)
	}
	disk.Fail = func(op fstest.Op, _ int64, _ int) error {
		if op == fstest.Write {
			return fstest.ErrPassing
		}
		return nil
	}
	if err := d.Conversations().Scrub(t.Context()); !errors.Is(err, fstest.ErrPassing) {
		t.Error(err)
	}
	disk.Fail = nil
	if err := d.Conversations().Scrub(t.Context()); err != nil || left() {
		t.Errorf("left %t, %v", left(), err)
	}
	remove()
	for range 2 { // and the next one has no time for it either
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if d = opened(t, disk, false); d.Dirty() {
			t.Error("it is not in order")
		}
	}
	if err := d.Conversations().Scrub(t.Context()); err != nil || left() {
		t.Errorf("left %t in the next session, %v", left(), err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = opened(t, disk, false)
	dev := knowledge(t, d).Device
	reads := disk.Reads()
	if err := d.Conversations().Scrub(t.Context()); err != nil || disk.Reads() != reads {
		t.Errorf("%d reads when there is nothing to do, %v", disk.Reads()-reads, err)
	}
	fsck.Sound(t, dev)
}
