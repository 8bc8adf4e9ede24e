package vmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/petest"
)

// NewDrive makes a drive image that lasts as long as the test. Unless o names an application it
// has one with nothing to start behind its headers: the firmware passes it over and goes on
// to its shell. Unless o has options, the start-up manager is hidden.
func NewDrive(t testing.TB, o create.Options) string {
	t.Helper()
	if o.Config == nil {
		o.Config = []byte(`{"version": 1, "wait": 0}`)
	}
	if o.EFI == "" {
		o.EFI = filepath.Join(t.TempDir(), "BOOTX64.EFI")
		if err := os.WriteFile(o.EFI, petest.Application(nil), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	o.Out = filepath.Join(t.TempDir(), "drive.img")
	if _, err := create.Drive(o); err != nil {
		t.Fatal(err)
	}
	return o.Out
}

// Image returns a drive of a layout, no larger than it must be, for tests that have it in memory.
func Image(t testing.TB, layout string, o create.Options) []byte {
	t.Helper()
	o.Layout, o.Size, o.Journal, o.State = layout, 48<<20, 1<<20, 1<<20
	if layout == drive.Layouts[drive.Full] {
		o.Size, o.ESP, o.System = 150<<20, 40<<20, 64<<20
	}
	if o.Encrypt != nil {
		o.Size += 20 << 20
	}
	b, err := os.ReadFile(NewDrive(t, o))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// SmallDrive makes a drive image, no larger than it must be, that boots efi and
// holds further files.
func SmallDrive(t testing.TB, efi string, extra ...create.Extra) string {
	t.Helper()
	size := int64(64 << 20)
	for _, e := range extra {
		size += int64(len(e.Content))
	}
	return NewDrive(t, create.Options{EFI: efi, Size: size &^ (1<<20 - 1), Journal: 1 << 20, Extra: extra})
}

// Medium opens a drive image until the test ends.
func Medium(t testing.TB, disk string) fs.BlockDevice {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := fs.NewFileDevice(f, fi.Size(), gpt.BlockSize(f, fi.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// Volume opens the volume of a drive image, to read it and to write files in
// place, until the test ends.
func Volume(t testing.TB, disk string) (*fat.FS, volume.Volume) {
	t.Helper()
	medium, err := volume.List(Medium(t, disk))
	if err != nil || len(medium.Volumes) != 1 {
		t.Fatalf("%+v: %v", medium, err)
	}
	vol, err := fat.Mount(medium.Volumes[0])
	if err != nil {
		t.Fatal(err)
	}
	return vol, medium.Volumes[0]
}

// Drive mounts a drive image of any layout, until the test ends.
func Drive(t testing.TB, disk string) (*drive.Drive, []volume.Volume) {
	t.Helper()
	medium, err := volume.List(Medium(t, disk))
	if err != nil {
		t.Fatal(err)
	}
	d, err := drive.Open(Medium(t, disk), false)
	if err != nil {
		t.Fatal(err)
	}
	return d, medium.Volumes
}

// ReadFile returns a file of a drive image, by its logical path.
func ReadFile(t testing.TB, disk, name string) []byte {
	t.Helper()
	d, _ := Drive(t, disk)
	f, err := d.OpenInPlace(name)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, f.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	return text
}

// Sum is the SHA-256 of a file, to tell whether it was changed.
func Sum(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Besides returns all of a drive image, with zeros for a file's blocks.
func Besides(t testing.TB, disk, name string) []byte {
	t.Helper()
	all, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	vol, part := Volume(t, disk)
	extents, err := vol.Extents(name)
	if err != nil || len(extents) == 0 {
		t.Fatalf("%s: %v %v", name, extents, err)
	}
	for _, e := range extents {
		block := uint64(part.BlockSize())
		clear(all[(part.First+e.First)*block:][:e.Count*block])
	}
	return all
}

// CheckDrive has other programs check a drive image: sgdisk its partition
// table if that is in sectors of 512 bytes, the only ones that it reads of a file,
// and fsck.fat its volumes. Whatever happened to a machine, they must
// find its drive in order.
func CheckDrive(t testing.TB, disk string) {
	t.Helper()
	for _, tool := range []string{"sgdisk", "fsck.fat"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not installed: the drive is not checked", tool)
			return
		}
	}
	_, volumes := Drive(t, disk)
	if volumes[0].BlockSize() == 512 {
		if out, err := exec.Command("sgdisk", "-v", disk).CombinedOutput(); err != nil {
			t.Errorf("sgdisk -v: %v\n%s", err, out)
		}
	}
	for _, part := range volumes {
		if part.Kind != volume.LUKS {
			fsck.Sound(t, part)
		}
	}
}
