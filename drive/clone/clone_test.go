package clone

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/exfat/exfattest"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/gpt"
	"alphaos/fs/volume"
	"alphaos/internal/fsck"
	"alphaos/internal/looptest"
	"alphaos/internal/petest"
)

// newDrive makes an image of 72 MiB, whose free clusters hold something that nobody needs.
func newDrive(t testing.TB) string { return driveOf(t, 512, 72*mib) }

func driveOf(t testing.TB, sector, size int64) string {
	t.Helper()
	dir := t.TempDir()
	efi, img := filepath.Join(dir, "efi"), filepath.Join(dir, "drive.img")
	if err := os.WriteFile(efi, petest.Application(random(300<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := create.Options{Out: img, EFI: efi, Size: size, Sector: sector, Journal: 1 << 20, State: 1 << 20, Time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	for i := range 20 {
		o.Extra = append(o.Extra, create.Extra{Path: fmt.Sprintf("documents/some document %d.txt", i), Content: random(i * 37777)})
	}
	r, err := create.Drive(o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("junk"), 4096), size-r.Free()); err != nil {
		t.Fatal(err)
	}
	return img
}

func random(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// source opens an image as the commands do.
func source(t testing.TB, img string) Source {
	t.Helper()
	f, err := media.OpenSource(img, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	dev, err := fs.NewFileDevice(f, f.Size, gpt.BlockSize(f, f.Size))
	if err != nil {
		t.Fatal(err)
	}
	return holey{fs.ReadOnly(dev), f}
}

type holey struct {
	fs.BlockDevice
	file *media.Source
}

func (h holey) Data(off int64) (start, end int64) { return h.file.Data(off) }

func (d *Drive) mustTo(t *testing.T, size int64) (string, *Result) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "copy.img")
	r, err := d.To(media.Out{Image: out, Verify: true}, size)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(out); err != nil || fi.Size() != size || r.Size != size || r.Verified == "" {
		t.Fatalf("%v, %v, %+v", fi, err, r)
	}
	return out, r
}

func examine(t testing.TB, src Source) *Drive {
	t.Helper()
	d, err := Examine(src)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// files returns all files of the only volume of an image.
func files(t testing.TB, img string) map[string]string {
	t.Helper()
	medium, err := volume.List(source(t, img))
	if err != nil || len(medium.Volumes) != 1 || len(medium.Notes) > 0 {
		t.Fatalf("%+v, %v", medium, err)
	}
	v, err := volume.Mount(medium.Volumes[0])
	if err != nil || len(v.Notes()) > 0 {
		t.Fatal(v, err)
	}
	all := map[string]string{}
	if err := iofs.WalkDir(v, ".", func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := v.ReadFile(path)
		all[path] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func sameFiles(t *testing.T, img, as string) {
	t.Helper()
	got, want := files(t, img), files(t, as)
	if len(got) != len(want) || len(want) < 2 {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name, b := range want {
		if got[name] != b {
			t.Errorf("%s differs", name)
		}
	}
}

// sound has sgdisk look at an image, and fsck.fat at its first partition.
func sound(t *testing.T, img string) {
	t.Helper()
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("sgdisk is not installed (package gdisk)")
	}
	src := source(t, img)
	block := uint64(src.BlockSize())
	table, detach := img, func() {}
	if block != 512 { // sgdisk knows these only on a device
		if table = ""; looptest.Possible() {
			var disk media.Disk
			disk, detach = looptest.Disk(t, img, int(block))
			table = disk.Path
		}
	}
	if table == "" {
		t.Log("sgdisk does not look at the table: that needs root")
	} else if out, err := exec.Command("sgdisk", "-v", table).CombinedOutput(); err != nil || !strings.Contains(string(out), "No problems found") || strings.Contains(string(out), "Warning") || strings.Contains(string(out), "Caution") {
		t.Errorf("sgdisk -v: %v\n%s", err, out)
	}
	detach()
	medium, err := volume.List(src)
	if err != nil {
		t.Fatal(err)
	}
	fsck.Sound(t, medium.Volumes[0])
}

func TestSameSize(t *testing.T) {
	img := newDrive(t)
	copied, r := examine(t, source(t, img)).mustTo(t, 72*mib)
	want, _ := os.ReadFile(img)
	i := bytes.Index(want, []byte("junkjunk"))
	if i < 0 {
		t.Fatal("there is no junk")
	}
	clear(want[i:][:16<<10])
	if got, err := os.ReadFile(copied); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy differs where something is, %v", err)
	}
	if r.Grown != 0 || r.Copied > 40*mib {
		t.Errorf("%+v", r)
	}
}

func TestOtherSizes(t *testing.T) {
	img := newDrive(t)
	d := examine(t, source(t, img))
	if d.Least() > 69*mib {
		t.Fatalf("the drive needs %d bytes", d.Least())
	}
	for _, size := range []int64{72*mib + 512, 73 * mib, 100*mib + 4096, 1000 * mib, 70 * mib, d.Least()} {
		t.Run(media.FormatSize(size), func(t *testing.T) {
			out, r := d.mustTo(t, size)
			sameFiles(t, out, img)
			sound(t, out)
			if size >= 73*mib && r.Grown < size-74*mib || size <= 70*mib && r.Grown >= 0 {
				t.Errorf("%+v", r)
			}
			// And back.
			if size == 1000*mib {
				again, _ := examine(t, source(t, out)).mustTo(t, 80*mib)
				sameFiles(t, again, img)
				sound(t, again)
			}
		})
	}
	err := d.Fits(d.Least()-512, nil)
	if err == nil || !strings.Contains(err.Error(), "and what is on this drive needs") || !strings.Contains(err.Error(), fmt.Sprint(d.Least())) {
		t.Error(err)
	}
	if _, err := d.To(media.Out{Image: filepath.Join(t.TempDir(), "x")}, d.Least()-512); err == nil {
		t.Error("a copy was made that cannot be whole")
	}
}

// What has sectors of 4096 bytes is copied to the same, and kept in backups that know it.
func TestLargeSectors(t *testing.T) {
	img := driveOf(t, 4096, 280*mib)
	d := examine(t, source(t, img))
	if d.BlockSize() != 4096 {
		t.Fatalf("sectors of %d bytes", d.BlockSize())
	}
	larger, _ := d.mustTo(t, 400*mib)
	b := open(t, backup(t, d))
	if b.BlockSize() != 4096 {
		t.Errorf("the backup is of a drive with sectors of %d bytes", b.BlockSize())
	}
	restored, _ := examine(t, b).mustTo(t, 300*mib)
	for _, out := range []string{larger, restored} {
		sameFiles(t, out, img)
		sound(t, out)
	}
	for _, src := range []Source{source(t, img), b} {
		err := examine(t, src).Fits(1<<30, &media.Disk{Path: "/dev/sdx", BlockSize: 512})
		if err == nil || !strings.Contains(err.Error(), "/dev/sdx has sectors of 512 bytes and what is to be copied has sectors of 4096") {
			t.Error(err)
		}
	}
}

// A drive that was copied with dd to a larger one gets its table's backup in its place.
func TestMendsMovedBackup(t *testing.T) {
	img := newDrive(t)
	if err := os.Truncate(img, 90*mib); err != nil {
		t.Fatal(err)
	}
	out, _ := examine(t, source(t, img)).mustTo(t, 90*mib)
	sameFiles(t, out, newDrive(t))
	sound(t, out)
}

// Media without a partition table, with volumes of other kinds, or with nothing.
func TestOtherMedia(t *testing.T) {
	exfat := make(exfattest.Memory, 3*mib)
	exfattest.Format(exfat, int64(len(exfat)), 9, 1, 1, "STICK")
	mbr := make([]byte, 8*mib)
	mbr[510], mbr[511] = 0x55, 0xAA
	copy(mbr[446:], []byte{0, 0, 0, 0, 7, 0, 0, 0, 0, 8, 0, 0, 0, 24, 0, 0}) // 3 MiB at 1 MiB
	copy(mbr[mib:], exfat)
	copy(mbr[6*mib:], "whatever")
	noise := append(make([]byte, 5*mib), "the end of an unknown thing"...)
	noise = append(noise, make([]byte, 512-len(noise)%512)...)
	for name, b := range map[string][]byte{"exfat": exfat, "mbr": mbr, "noise": noise} {
		d := examine(t, fstest.NewDevice(b, 512))
		for _, more := range []int64{0, 10 * mib} {
			out, _ := d.mustTo(t, int64(len(b))+more)
			got, err := os.ReadFile(out)
			if err != nil || !bytes.Equal(got, append(bytes.Clone(b), make([]byte, more)...)) {
				t.Errorf("%s differs, %v", name, err)
			}
		}
		if err := d.Fits(int64(len(b))-512, nil); err == nil {
			t.Errorf("%s is cut", name)
		}
	}
	// One volume from block 0 on, which others have written.
	if _, err := exec.LookPath("mkfs.fat"); err != nil {
		t.Skip("mkfs.fat is not installed (package dosfstools)")
	}
	img := filepath.Join(t.TempDir(), "superfloppy")
	if err := errors.Join(os.WriteFile(img, nil, 0o600), os.Truncate(img, 80*mib)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.fat", "-F", "32", "-s", "1", img).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dev, err := fs.OpenFileDevice(img, 512, true)
	if err != nil {
		t.Fatal(err)
	}
	v, err := fat.Mount(dev)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := v.WriteFile(fmt.Sprintf("file%d.txt", i), random(i*1234)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	dev.Close()
	for _, size := range []int64{40 * mib, 80 * mib, 500 * mib} {
		out, _ := examine(t, source(t, img)).mustTo(t, size)
		sameFiles(t, out, img)
		if msg, err := exec.Command("fsck.fat", "-n", out).CombinedOutput(); err != nil {
			t.Errorf("fsck.fat -n: %v\n%s", err, msg)
		}
	}
}

// TestToDevice copies to a loop device that is full of something else, as a stick is.
func TestToDevice(t *testing.T) {
	img := newDrive(t)
	medium := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(medium, bytes.Repeat([]byte{0xA5}, 96*mib+1024), 0o600); err != nil {
		t.Fatal(err)
	}
	disk, detach := looptest.Disk(t, medium, 512)
	d := examine(t, source(t, img))
	if _, err := d.To(media.Out{Disk: &disk, Verify: true}, disk.Size); err != nil {
		t.Fatal(err)
	}
	detach()
	sameFiles(t, medium, img)
	sound(t, medium)
	disk.BlockSize = 4096
	if _, err := d.To(media.Out{Disk: &disk}, disk.Size); err == nil || !strings.Contains(err.Error(), "has sectors of 4096 bytes and what is to be copied has sectors of 512") {
		t.Error(err)
	}
}
