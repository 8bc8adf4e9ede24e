package tests

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// TestCrashScreen provokes faults and does what a person can do then: read the screen,
// press a key, find the report on the drive, and be told of it at the next start.
func TestCrashScreen(t *testing.T) {
	vmtest.NeedQEMU(t)
	efi := vmtest.EFI(t, ".", "-tags", "provoke")
	crashes(t, efi, "", "panic", "nil", "kernel", "overflow", "memory", "firmware", "nmi", "mce")
}

// TestCrashStrictDisk stops where a disk's driver takes only aligned buffers, and only low ones arrive.
func TestCrashStrictDisk(t *testing.T) {
	vmtest.NeedQEMU(t)
	program, err := os.ReadFile(vmtest.EFI(t, ".", "-tags", "provoke"))
	if err != nil {
		t.Fatal(err)
	}
	o := withHabits(t, "disk-strict")
	o.Extra[0].Content = program
	o.Extra = append(o.Extra, create.Extra{Path: "provoke", Content: []byte("panic")})
	disk := vmtest.NewDrive(t, o)
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, MemoryMiB: 3072})
	p.Expect("chain: starting")
	p.Prompt()
	p.TypeLine("/show info")
	p.Expect("AlphaOS had to stop. ")
	p.Expect("Press R to restart, S to shut down.")
	p.Type("s")
	p.Off()
	if text := vmtest.ReadFile(t, disk, drive.CrashPath); !bytes.HasPrefix(text, []byte("AlphaOS had to stop. ")) || !bytes.Contains(text, []byte("panic: provoked")) {
		t.Errorf("the report on the drive: %.2000s", text)
	}
	vmtest.CheckDrive(t, disk)
}

// crashes provokes faults in a build of AlphaOS. Its screenshots' names begin with build.
func crashes(t *testing.T, efi, build string, faults ...string) {
	model, _ := chatModel(t, story)
	const (
		program  = "Its program ran into an error."
		kernel   = "There was a fault in its kernel."
		hardware = "This computer's hardware reported an error."
	)
	for _, c := range []struct {
		fault, says, report string
		cpus                int
		monitor             string // what QEMU's monitor is told to cause the fault
	}{
		{"panic", program, "panic: provoked", 1, ""},
		{"nil", program, "nil pointer dereference", 2, ""},
		{"kernel", kernel, "a fault in the kernel: vector 000000000000000e", 2, ""},
		{"overflow", kernel, "a fault in the kernel", 1, ""},
		{"memory", "The machine has no memory left.", "memory in use", 2, ""},
		{"firmware", "There was a fault in this computer's firmware.", "a fault in the firmware: vector 000000000000000d", 2, ""},
		{"nmi", hardware, "vector 0000000000000002", 2, "nmi"},
		// Bank 0 of processor 0: valid, uncorrected, enabled, context corrupt.
		{"mce", hardware, "vector 0000000000000012", 1, "mce 0 0 0xb200000000000000 0x5 0x0 0x0"},
	} {
		if !slices.Contains(faults, c.fault) {
			continue
		}
		t.Run(c.fault, func(t *testing.T) {
			disk := vmtest.NewDrive(t, create.Options{EFI: efi, Models: []string{model},
				Extra: []create.Extra{{Path: "provoke", Content: []byte(c.fault)}}})
			p := vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: c.cpus})
			p.Prompt()
			if c.fault == "memory" {
				p.Greedy(100)
				p.Ask(story)
			}
			if c.monitor == "" {
				p.TypeLine("/show info")
			} else if out, err := p.VM.Monitor(t.Context(), c.monitor); err != nil || out != "" {
				t.Fatal(out, err)
			}
			p.Expect("AlphaOS had to stop. " + c.says)
			if c.fault == "firmware" { // which reads no keys any more, and saves nothing
				p.Expect("Hold the power button until it goes off.")
			} else {
				p.Expect("Press R to restart, S to shut down.")
			}
			p.Screenshot(build + "crash-" + c.fault + ".png")
			p.Type("s")
			p.Off()
			if c.fault == "firmware" {
				vmtest.Contains(t, p.VM.Output(), c.report, "ax dead000000000000", "goroutine ")
				vmtest.CheckDrive(t, disk)
				return
			}
			text := vmtest.ReadFile(t, disk, drive.CrashPath)
			if !bytes.HasPrefix(text, []byte("AlphaOS had to stop. "+c.says)) || !bytes.Contains(text, []byte(c.report)) {
				t.Errorf("the report on the drive does not tell of %q:\n%.2000s", c.report, text)
			}
			// A runtime that takes no signals cannot be asked for them when the kernel faults.
			traces := c.fault != "memory" && (c.fault != "kernel" || build == "")
			if traces && !bytes.Contains(text, []byte("goroutine ")) {
				t.Error("the report has no goroutine traces")
			}
			if c.fault == "memory" { // what was said before is safe
				p = vmtest.Boot(t, ovmf.Config{Disk: disk})
				said := p.Prompt() // the start-up manager waits for it
				vmtest.Contains(t, said, "AlphaOS stopped with an error; its report is on the drive", "AlphaOS stopped with an error last time.")
				vmtest.Contains(t, said+p.Say("/history"), story)
				p.Leave("/bye")
				vmtest.CheckDrive(t, disk)
			}
			vmtest.CheckDrive(t, disk)
		})
	}
}
