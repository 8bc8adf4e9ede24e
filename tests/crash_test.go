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
	crashes(t, efi, "", "panic", "nil", "kernel", "overflow", "memory")
}

// crashes provokes faults in a build of AlphaOS. Its screenshots' names begin with build.
func crashes(t *testing.T, efi, build string, faults ...string) {
	model, _ := chatModel(t, story)
	const program, kernel = "Its program ran into an error.", "There was a fault in its innermost part."
	for _, c := range []struct {
		fault, says, report string
		cpus                int
	}{
		{"panic", program, "panic: provoked", 1},
		{"nil", program, "nil pointer dereference", 2},
		{"kernel", kernel, "a fault in the kernel: vector 000000000000000e", 2},
		{"overflow", kernel, "a fault in the kernel", 1},
		{"memory", "The machine has no memory left.", "memory in use", 2},
	} {
		if !slices.Contains(faults, c.fault) {
			continue
		}
		t.Run(c.fault, func(t *testing.T) {
			ctx := needQEMU(t, 3*time.Minute)
			disk := newDrive(t, drive.Options{EFI: efi, Models: []string{model},
				Extra: []drive.Extra{{Path: "provoke", Content: []byte(c.fault)}}})
			p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, CPUs: c.cpus})}
			p.expect("AlphaOS had to stop. " + c.says)
			p.expect("Press R to restart, S to shut down.")
			p.screenshot(build + "crash-" + c.fault + ".png")
			if err := p.vm.Type("s"); err != nil {
				t.Fatal(err)
			}
			p.off()
			text := readDrive(t, disk, drive.CrashPath)
			if !bytes.HasPrefix(text, []byte("AlphaOS had to stop. "+c.says)) || !bytes.Contains(text, []byte(c.report)) {
				t.Errorf("the report on the drive does not tell of %q:\n%.2000s", c.report, text)
			}
			// A runtime that takes no signals cannot be asked for them when the kernel faults.
			traces := c.fault != "memory" && (c.fault != "kernel" || build == "")
			if traces && !bytes.Contains(text, []byte("goroutine ")) {
				t.Error("the report has no goroutine traces")
			}
			if c.fault == "kernel" {
				p = &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk})}
				p.expect("AlphaOS stopped with an error last time.")
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
