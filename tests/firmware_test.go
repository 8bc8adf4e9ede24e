package tests

import (
	"os"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/internal/vmtest"
)

// TestQEMUFirmware has the host command run a drive under a firmware with habits, which another drive
// gives it: AlphaOS uses the one that it is on. Nothing is left behind.
func TestQEMUFirmware(t *testing.T) {
	vmtest.NeedQEMU(t)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t)})
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	said := vmtest.Command(t, "qemu", "run", disk, "--cpus", "2", "--display", "none", "--firmware", "nonx,fullmap")
	vmtest.Contains(t, said, "chain: starting", "you> ", "All data saved. Goodbye.", "chain: met nonx=1 fullmap=")
	if journal := vmtest.ReadFile(t, disk, drive.JournalPath); journal[0] == 0 {
		t.Error("nothing was saved on the drive")
	}
	vmtest.CheckDrive(t, disk)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
