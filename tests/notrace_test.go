package tests

// What AlphaOS leaves behind on a computer: nothing.

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs/fat"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// internalDisk makes a disk as a computer has one inside: an EFI system partition with another system's
// boot manager, and one for data, with a model among them.
func internalDisk(t *testing.T, model string) string {
	t.Helper()
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("sgdisk is not installed (package gdisk)")
	}
	disk := filepath.Join(t.TempDir(), "internal.img")
	f, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const mib = 1 << 20
	if err := f.Truncate(100 * mib); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sgdisk", "-n", "1:2048:+40M", "-t", "1:ef00", "-c", "1:EFI System Partition", "-n", "2:0:+50M", "-t", "2:0700", "-c", "2:Data", disk).CombinedOutput(); err != nil {
		t.Fatalf("sgdisk: %v\n%s", err, out)
	}
	content, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		at, size    int64
		label, name string
		content     []byte
	}{
		{mib, 40 * mib, "EFI", "EFI/Other/bootmgr.efi", []byte("another system's")},
		{41 * mib, 50 * mib, "DATA", "models/" + filepath.Base(model), content},
	} {
		var tree fat.Tree
		if err := tree.Add(part.name, fat.Bytes(part.content)); err != nil {
			t.Fatal(err)
		}
		v, err := fat.Plan(&tree, part.size, 512)
		if err != nil {
			t.Fatal(err)
		}
		v.Label, v.Hidden = part.label, part.at/512
		if err := v.Write(f, part.at); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// TestLeavesNoTrace holds a session on a computer with a disk of its own, looks for models there and takes
// one, and crashes: neither the disk nor any of the firmware's variables is another then. The firmware
// itself writes variables when it starts, so these are compared with what they are when it has, in its shell.
func TestLeavesNoTrace(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	internal := internalDisk(t, model)
	before := vmtest.Sum(t, internal)
	program, err := os.ReadFile(vmtest.EFI(t, ".", "-tags", "provoke"))
	if err != nil {
		t.Fatal(err)
	}
	script := "for %i in 0 1 2 3 4 5 6 7\r\n if exist fs%i:\\EFI\\alphaos\\alphaos.efi then\r\n  fs%i:\r\n endif\r\nendfor\r\npause\r\n\\EFI\\alphaos\\alphaos.efi\r\n"
	disk := fullDrive(t, create.Options{Extra: []create.Extra{
		{Path: chained, Content: program}, {Path: "provoke", Content: []byte("panic")}, {Path: "startup.nsh", Content: []byte(script)}}})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: "usb", Extra: beside(internal, "nvme,serial=internal,bootindex=2")})
	p.Expect("Enter 'q' to quit")
	variables, err := p.VM.Variables()
	if err != nil {
		t.Fatal(err)
	}
	if variables == nil {
		t.Log("this firmware keeps no variables of its own")
	}
	p.Type(" ")
	p.Prompt()
	name := strings.TrimSuffix(filepath.Base(model), ".gguf")
	if said := p.Say("/models"); strings.Contains(said, "DATA") {
		t.Errorf("models of another drive are listed without being asked for: %q", said)
	}
	vmtest.Contains(t, p.Say("/models all"), "DATA/models/"+name)
	vmtest.Contains(t, p.Say("/load DATA/models/"+name), "Going on with DATA/models/"+name)
	p.Greedy(100)
	if got := p.Ask(story); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	p.TypeLine("/show info")
	p.Expect("AlphaOS had to stop. Its program ran into an error.")
	p.Expect("Press R to restart, S to shut down.")
	p.Type("s")
	p.Off()
	after, err := p.VM.Variables()
	if err != nil || !bytes.Equal(after, variables) {
		t.Errorf("the firmware's variables were changed, error %v", err)
	}
	if vmtest.Sum(t, internal) != before {
		t.Error("the computer's own disk was changed")
	}
	if text := vmtest.ReadFile(t, disk, drive.CrashPath); !bytes.HasPrefix(text, []byte("AlphaOS had to stop. ")) {
		t.Errorf("the report on the drive begins with %.100q", text)
	}
	d, _ := vmtest.Drive(t, disk)
	s, recovery, err := d.OpenJournal(nil)
	if err != nil || !recovery.Unclean || len(s.Conversation()) != 2 {
		t.Errorf("the journal holds %v, %+v, %v", s.Conversation(), recovery, err)
	}
	vmtest.CheckDrive(t, disk)
}
