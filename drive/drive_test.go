package drive_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/internal/vmtest"
)

// device is an image's volume.
type device struct {
	fs.BlockDevice
	protected bool
}

func (d device) ReadOnly() bool { return d.protected }
func (d device) String() string { return "an image" }

// newVolume returns the volume of a drive that was made with o.
func newVolume(t *testing.T, o create.Options) device {
	t.Helper()
	o.Size, o.Journal = 64<<20, 1<<20
	_, v := vmtest.Volume(t, vmtest.NewDrive(t, o))
	return device{BlockDevice: v}
}

func mount(t *testing.T, dev device) *drive.Drive {
	t.Helper()
	d, err := drive.Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDrive(t *testing.T) {
	dev := newVolume(t, create.Options{State: 1 << 20})
	d := mount(t, dev)
	if !d.Ours() || d.Volumes()[0].Label() != drive.Label {
		t.Errorf("a drive just made is not ours; its label is %q", d.Volumes()[0].Label())
	}
	s, _, err := d.OpenJournal(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Begin(), s.AddUser("hello"), s.End()); err != nil {
		t.Fatal(err)
	}
	s, recovery, err := mount(t, dev).OpenJournal(time.Now)
	if err != nil || recovery.Unclean || len(s.Conversation()) != 1 {
		t.Errorf("the journal holds %v, %+v, %v", s.Conversation(), recovery, err)
	}
	state := d.OpenState()
	if state == nil || state.Size() != 1<<20 {
		t.Errorf("the saved state is %v", state)
	}
	dev.protected = true
	if mount(t, dev).OpenState() != nil {
		t.Error("a protected drive has a place for state")
	}
}

// A drive without a place for state is an older one; a volume without a journal is not ours.
func TestNotOurs(t *testing.T) {
	if mount(t, newVolume(t, create.Options{State: -1})).OpenState() != nil {
		t.Error("there is a place for state")
	}
	d := mount(t, byHand(t, &fat.Tree{}))
	if d.Ours() {
		t.Error("a volume without a journal is ours")
	}
	if _, _, err := d.OpenJournal(time.Now); err == nil || !strings.HasPrefix(err.Error(), "the journal on the drive cannot be used: ") {
		t.Error(err)
	}
}

// byHand returns a volume that holds only what is in tree.
func byHand(t *testing.T, tree *fat.Tree) device {
	t.Helper()
	return labelled(t, "", tree)
}

// labelled is byHand for a volume with a label.
func labelled(t *testing.T, label string, tree *fat.Tree) device {
	t.Helper()
	plan, err := fat.Plan(tree, 64<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	plan.Label = label
	f, err := os.Create(filepath.Join(t.TempDir(), "volume"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := errors.Join(f.Truncate(64<<20), plan.Write(f, 0)); err != nil {
		t.Fatal(err)
	}
	volume, err := fs.NewFileDevice(f, 64<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	return device{BlockDevice: volume}
}
