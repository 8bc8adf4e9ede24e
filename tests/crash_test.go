package tests

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// TestCrashScreen provokes faults and does what a person can do then: read the screen,
// press a key, find the report on the drive, and be told of it at the next start.
func TestCrashScreen(t *testing.T) {
	needQEMU(t, time.Minute)
	efi, err := buildEFI("provoke", ".", "-tags", "provoke")
	if err != nil {
		t.Fatal(err)
	}
	crashes(t, efi, "", "panic", "nil", "kernel", "overflow", "memory", "firmware", "nmi", "mce")
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
			ctx := needQEMU(t, 8*time.Minute)
			disk := newDrive(t, drive.Options{EFI: efi, Models: []string{model},
				Extra: []drive.Extra{{Path: "provoke", Content: []byte(c.fault)}}})
			p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, CPUs: c.cpus})}
			p.prompt()
			if c.fault == "memory" {
				p.greedy()
				p.ask(story)
			}
			if c.monitor == "" {
				p.typeLine("/show info")
			} else if out, err := p.vm.Monitor(ctx, c.monitor); err != nil || out != "" {
				t.Fatal(out, err)
			}
			p.expect("AlphaOS had to stop. " + c.says)
			if c.fault == "firmware" { // which reads no keys any more, and saves nothing
				p.expect("Hold the power button until it goes off.")
			} else {
				p.expect("Press R to restart, S to shut down.")
			}
			p.screenshot(build + "crash-" + c.fault + ".png")
			if err := p.vm.Type("s"); err != nil {
				t.Fatal(err)
			}
			p.off()
			if c.fault == "firmware" {
				contains(t, p.vm.Output(), c.report, "ax dead000000000000", "goroutine ")
				checkDrive(t, disk)
				return
			}
			text := readDrive(t, disk, drive.CrashPath)
			if !bytes.HasPrefix(text, []byte("AlphaOS had to stop. "+c.says)) || !bytes.Contains(text, []byte(c.report)) {
				t.Errorf("the report on the drive does not tell of %q:\n%.2000s", c.report, text)
			}
			// A runtime that takes no signals cannot be asked for them when the kernel faults.
			traces := c.fault != "memory" && (c.fault != "kernel" || build == "")
			if traces && !bytes.Contains(text, []byte("goroutine ")) {
				t.Error("the report has no goroutine traces")
			}
			if c.fault == "memory" { // what was said before is safe
				p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
				p.expect("AlphaOS stopped with an error last time.")
				said := p.prompt()
				contains(t, said+p.say("/history"), story)
				bye(t, p, disk)
			}
			checkDrive(t, disk)
		})
	}
}

// readDrive returns a file of a drive image.
func readDrive(t *testing.T, disk, name string) []byte {
	t.Helper()
	dev, err := fs.OpenFileDevice(disk, 512, false)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	volumes, err := gpt.Volumes(dev)
	if err != nil || len(volumes) == 0 {
		t.Fatalf("%d volumes: %v", len(volumes), err)
	}
	vol, err := fat.Mount(volumes[0])
	if err != nil {
		t.Fatal(err)
	}
	f, err := vol.OpenInPlace(name)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, f.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	return text
}
