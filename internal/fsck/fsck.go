// Package fsck asks fsck.fat and e2fsck what they think of volumes, for tests.
package fsck

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alphaos/fs"
)

// Sound fails the test if fsck.fat, or of ext4 e2fsck, has anything to say of a volume.
func Sound(t testing.TB, dev fs.BlockDevice) {
	t.Helper()
	img := Copy(t, dev)
	defer os.Remove(img)
	if b, err := os.ReadFile(img); err == nil && len(b) > 2048 && b[1024+56] == 0x53 && b[1024+57] == 0xEF {
		if _, err := exec.LookPath("e2fsck"); err != nil {
			if os.Getenv("CI") != "" { // where all that make test installs is there
				t.Fatal(err)
			}
			t.Skip("e2fsck is not installed (package e2fsprogs)")
		}
		out, err := exec.Command("e2fsck", "-fn", img).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("WARNING")) || bytes.Contains(out, []byte("? no")) {
			t.Errorf("e2fsck says:\n%s%v", out, err)
		}
		return
	}
	if said := Says(t, img); len(said) > 0 {
		t.Errorf("fsck.fat says:\n%s", strings.Join(said, "\n"))
	}
}

// Copy copies a volume to a file, which lasts as long as the test, with holes for zeros.
func Copy(t testing.TB, dev fs.BlockDevice) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "volume")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const chunk = 1 << 20
	zeros := make([]byte, chunk)
	for lba, size := uint64(0), uint64(dev.BlockSize()); lba < dev.Blocks(); {
		b := make([]byte, min(chunk/size, dev.Blocks()-lba)*size)
		if err := dev.ReadBlocks(lba, b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, zeros[:len(b)]) {
			if _, err := f.WriteAt(b, int64(lba*size)); err != nil {
				t.Fatal(err)
			}
		}
		lba += uint64(len(b)) / size
	}
	if err := f.Truncate(int64(dev.Blocks()) * int64(dev.BlockSize())); err != nil {
		t.Fatal(err)
	}
	return name
}

// Says returns what fsck.fat has to say of a volume in a file, in lines, but for its own name,
// how full the volume is, and that it is small. Without fsck.fat the test is skipped.
func Says(t testing.TB, img string) (said []string) {
	t.Helper()
	if _, err := exec.LookPath("fsck.fat"); err != nil {
		t.Skip("fsck.fat is not installed (package dosfstools)")
	}
	out, err := exec.Command("fsck.fat", "-n", img).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if line != "" && !idle.MatchString(line) {
			said = append(said, line)
		}
	}
	if e := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &e) || e.ExitCode() != 1 || len(said) == 0 && !bytes.Contains(out, []byte("Auto-removing label"))) {
		t.Fatalf("fsck.fat: %v\n%s", err, out)
	}
	return said
}

// Labels that are not ASCII are none for fsck.fat 4.2.
var idle = regexp.MustCompile(`^fsck\.fat [0-9.]+ \(|^/.*: \d+ files, \d+/\d+ clusters$|^Warning: Filesystem is FAT32 according|^but has only \d+ clusters|^This may lead to problems|^Leaving filesystem unchanged|` +
	`^Volume label '.*[^ -~].*' stored in root directory is not valid|^Auto-removing label`)

// Harmless is what a line of it may say after a cut of power: of clusters that nobody has, of
// FATs that differ on these, and of the mark that the volume is in use.
var Harmless = regexp.MustCompile(`^Reclaimed \d+ unused clusters? \(\d+ bytes\)|^Dirty bit is set|^Automatically removing dirty bit|` +
	`^There are differences between boot sector and its backup|^This is mostly harmless|^65:01/00|^Not automatically fixing this|` +
	`^Free cluster summary uninitialized|^FATs differ but appear to be intact|^Using first FAT`)
