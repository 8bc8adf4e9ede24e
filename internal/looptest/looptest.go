// Package looptest makes block devices of image files, for tests that write to a drive of the
// host or let programs look at one whose sectors have another size.
package looptest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"alphaos/drive/media"
)

// Possible tells whether this host lets us make loop devices.
func Possible() bool { return runtime.GOOS == "linux" && os.Geteuid() == 0 }

// Disk makes a loop device of the image file img, with sectors of that many bytes. It lasts
// until detach is called or the test ends. Where there are no loop devices the test is skipped.
func Disk(t testing.TB, img string, sector int) (disk media.Disk, detach func()) {
	t.Helper()
	if !Possible() {
		t.Skip("loop devices need Linux and root")
	}
	out, err := exec.Command("losetup", "-f", "--show", "--sector-size", fmt.Sprint(sector), img).Output()
	if err != nil {
		t.Skip("losetup makes no loop device here")
	}
	path := strings.TrimSpace(string(out))
	attached := true
	detach = func() {
		if attached {
			attached = false
			exec.Command("losetup", "-d", path).Run()
		}
	}
	t.Cleanup(detach)
	disks, err := media.List()
	if err != nil {
		t.Fatal(err)
	}
	if disk, err = media.Find(disks, path); err != nil {
		t.Fatal(err)
	}
	return disk, detach
}
