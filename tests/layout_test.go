package tests

// Drives of the full layout, and more than one drive.

import (
	"fmt"
	iofs "io/fs"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// fullDrive makes a drive of the full layout that is no larger than it must be.
func fullDrive(t *testing.T, o create.Options) string {
	t.Helper()
	o.Layout, o.Size, o.ESP, o.System, o.Journal = "full", 200<<20, 64<<20, 64<<20, 1<<20
	return vmtest.NewDrive(t, o)
}

// beside is a further disk in a machine. The firmware starts those only that have a place in its order.
func beside(disk, device string) []string {
	return []string{"-drive", "id=beside,if=none,format=raw,file=" + disk, "-device", device + ",drive=beside"}
}

// TestFullLayout talks on a drive of the full layout beside another AlphaOS drive. The stick is pulled
// out and plugged into another port meanwhile, and started from again.
func TestFullLayout(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	disk := fullDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}, Config: []byte(`{"verbose": true, "wait": 0, "setup": true, "mine": [1]}`)})
	other := fullDrive(t, create.Options{EFI: vmtest.AlphaOS(t)}) // as it has no model, the guide would talk
	sum := vmtest.Sum(t, other)
	config := ovmf.Config{Disk: disk, Bus: "usb", Extra: beside(other, "virtio-blk-pci,bootindex=2")}
	p := vmtest.Boot(t, config)
	said := ""
	for i := range 3 { // Enter is a way through the first start
		said += p.Expect(fmt.Sprintf("First start: %d of 3", i+1))
		p.Expect("Type a number")
		if i == 0 {
			p.Screenshot("first-start.png")
		}
		p.Type("\r")
	}
	said += p.Prompt()
	vmtest.Contains(t, said, `drive: "ALPHAOS_ESP" on `, `drive: "ALPHAOS_SYS" on `, `drive: "ALPHAOSDATA" on `, "journal: open")
	if strings.Contains(said, "AlphaOS drives") {
		t.Errorf("the firmware says where AlphaOS came from, and yet: %q", said)
	}
	p.Greedy(100)
	if got := p.Ask(story); got != want {
		t.Errorf("in the machine\n%q\nwant\n%q", got, want)
	}
	if err := p.VM.Unplug(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.TypeLine("What is a drive?")
	if said := p.Prompt(); !strings.Contains(said, "Nothing can be saved at the moment: the drive was pulled out.") || vmtest.Answer(t, said) == "" {
		t.Errorf("while it is out: %q", said)
	}
	if err := p.VM.Plug(t.Context(), disk, 3); err != nil {
		t.Fatal(err)
	}
	p.TypeLine("Who has it?")
	if said := p.Prompt(); !strings.Contains(said, "All that was said is saved.") || vmtest.Answer(t, said) == "" {
		t.Errorf("after it was plugged in again: %q", said)
	}
	vmtest.Contains(t, p.Say("/models"), "in use") // which is read again, on the system partition
	vmtest.Contains(t, vmtest.Squeeze(p.Say("/export")), "6 messages written to /backup/", "-once-upon-a-time.md on ALPHAOSDATA (")
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
	vmtest.Contains(t, string(vmtest.ReadFile(t, disk, drive.BootLogPath)), "journal: open")
	if config := string(vmtest.ReadFile(t, disk, drive.ConfigPath)); config != "{\n  \"verbose\": true,\n  \"wait\": 0,\n  \"mine\": [1]\n}\n" {
		t.Errorf("the file of options is %q", config)
	}

	p = vmtest.Boot(t, config)
	if said := p.Prompt(); strings.Contains(said, note) || !strings.Contains(said, "you: Who has it?") {
		t.Errorf("after a restart: %q", said)
	}
	p.Leave("/bye")
	vmtest.CheckDrive(t, disk)
	if vmtest.Sum(t, other) != sum {
		t.Error("the other drive was written")
	}
}

// TestLargeSectors talks on drives with sectors of 4096 bytes, and pulls the plug in mid-answer.
func TestLargeSectors(t *testing.T) {
	vmtest.NeedQEMU(t)
	t.Parallel()
	model, want := chatModel(t, story)
	o := create.Options{EFI: vmtest.AlphaOS(t), Sector: 4096, Models: []string{model}}
	for _, c := range []struct {
		layout string
		size   int64 // MiB
		buses  [2]string
	}{{"full", 1200, [2]string{"nvme", "usb"}}, {"minimal", 300, [2]string{"virtio", "nvme"}}} {
		o.Layout, o.Size = c.layout, c.size<<20
		disk := vmtest.NewDrive(t, o)
		p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: c.buses[0], BlockSize: 4096})
		p.Prompt()
		p.Greedy(100)
		p.TypeLine(story)
		p.Expect(want[:20])
		p.VM.Kill()
		vmtest.CheckDrive(t, disk)

		p = vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: c.buses[1], BlockSize: 4096})
		if said := p.Prompt(); !strings.Contains(said, note) || !strings.Contains(said, "you: "+story) {
			t.Errorf("%s: after the power cut: %q", c.layout, said)
		}
		p.Say("/clear")
		p.Greedy(100)
		if got := p.Ask(story); got != want {
			t.Errorf("%s: in the machine\n%q\nwant\n%q", c.layout, got, want)
		}
		vmtest.Contains(t, p.Say("/report"), "The report is saved on the drive")
		p.Leave("/bye")
		vmtest.CheckDrive(t, disk)
		if text := vmtest.ReadFile(t, disk, drive.JournalPath); !strings.Contains(string(text), story) {
			t.Errorf("%s: the question is not in the journal", c.layout)
		}
	}
}

// TestTwoDrives starts AlphaOS from memory, by a boot manager that does not say from where, with two
// drives that have a journal: it says which one it uses, and uses that one alone.
func TestTwoDrives(t *testing.T) {
	vmtest.NeedQEMU(t)
	loader := chain(t, "-ldflags=-X main.missing=device,bytes")
	one := fullDrive(t, create.Options{EFI: loader, Extra: []create.Extra{image(t), {Path: "limine.conf", Content: []byte(limineConf(t))}}})
	two := fullDrive(t, create.Options{}) // which the firmware passes over
	sums := map[string]string{one: vmtest.Sum(t, one), two: vmtest.Sum(t, two)}
	p := vmtest.Boot(t, ovmf.Config{Disk: one, Extra: beside(two, "nvme,serial=two,bootindex=2")})
	p.Expect("chain: starting")
	said := p.Prompt()
	vmtest.Contains(t, said, "There are 2 AlphaOS drives, and the firmware does not say which one AlphaOS was started from. In use is the one of ")
	p.Say("Hello")
	p.Leave("/bye")
	used, unused := one, two
	_, rest, _ := strings.Cut(said, "In use is the one of ")
	if which, _, _ := strings.Cut(rest, "not used is"); strings.Contains(which, "NVMe") {
		used, unused = two, one
	}
	if vmtest.Sum(t, unused) != sums[unused] {
		t.Error("the drive that is not in use was written")
	}
	d, _ := vmtest.Drive(t, used)
	s, _, err := d.OpenJournal(time.Now)
	if err != nil || len(s.Conversation()) < 2 || s.Conversation()[0].Text != "Hello" {
		t.Errorf("the journal of the drive in use holds %v, error %v", s.Conversation(), err)
	}
	if _, err := iofs.Stat(d, drive.EFIPath); err != nil {
		t.Error(err)
	}
	vmtest.CheckDrive(t, one)
	vmtest.CheckDrive(t, two)
}
