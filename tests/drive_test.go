package tests

// Whatever happened to a machine, other programs must find its drive in order.

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"alphaos/fs"
	"alphaos/fs/gpt"
)

// checkDrive runs sgdisk -v on the image and fsck.fat -n on its partition.
func checkDrive(t *testing.T, disk string) {
	t.Helper()
	for _, tool := range []string{"sgdisk", "fsck.fat"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not installed: the drive is not checked", tool)
			return
		}
	}
	if out, err := exec.Command("sgdisk", "-v", disk).CombinedOutput(); err != nil {
		t.Errorf("sgdisk -v: %v\n%s", err, out)
	}
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := fs.NewFileDevice(f, info.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	table, err := gpt.Read(dev)
	if err != nil {
		t.Fatal(err)
	}
	part := table.Partitions[0]
	volume := filepath.Join(t.TempDir(), "volume.fat")
	out, err := os.Create(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(volume)
	err = copySparse(out, io.NewSectionReader(f, int64(part.First)*512, int64(part.Last-part.First+1)*512))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("fsck.fat", "-n", volume).CombinedOutput(); err != nil {
		t.Errorf("fsck.fat -n: %v\n%s", err, out)
	}
}

// copySparse copies all of from, leaving holes for what is zero.
func copySparse(to *os.File, from *io.SectionReader) error {
	buf, zero := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < from.Size(); {
		n, err := from.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := to.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return to.Truncate(from.Size())
}
