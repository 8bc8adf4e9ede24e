package tests

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// TestOwnSystem leaves the start-up manager for the system of another disk, as on a Mac: its loader has the whole
// machine, and nothing was written there.
func TestOwnSystem(t *testing.T) {
	vmtest.NeedQEMU(t)
	content, err := os.ReadFile(vmtest.EFI(t, "./tests/ownsystem"))
	if err != nil {
		t.Fatal(err)
	}
	inside := vmtest.SmallDrive(t, "", create.Extra{Path: "System/Library/CoreServices/boot.efi", Content: content})
	before, err := os.ReadFile(inside)
	if err != nil {
		t.Fatal(err)
	}
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Config: []byte(`{"wait": 60}`)})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb", CPUs: 2, MemoryMiB: 768,
		Extra: []string{"-drive", "if=none,id=inside,format=raw,file=" + inside, "-device", "ide-hd,drive=inside"}})
	p.Expect(vmtest.Manager)
	p.Type("4\n")
	vmtest.Contains(t, p.Expect("All data saved. Goodbye."), "Own system", "Session metadata: saved")
	said := p.Expect("own system: ")
	vmtest.Contains(t, said, `Starting `, `boot.efi`)
	said = p.Expect("\n")
	var cpus, mib int
	if _, err := fmt.Sscanf(said, `\System\Library\CoreServices\boot.efi with %d processors and %d MiB`, &cpus, &mib); err != nil || cpus != 2 || mib < 600 {
		t.Errorf("the own system says %q, %v", said, err)
	}
	p.Off()
	vmtest.CheckDrive(t, disk)
	after, err := os.ReadFile(inside)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the disk inside has changed, or cannot be read: %v", err)
	}
}
