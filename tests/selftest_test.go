package tests

// The machine below the Go runtime, on a program of its own: see selftest/.

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// TestMachine boots the self test with one processor and little memory, and
// with two and a heap above 4 GiB.
func TestMachine(t *testing.T) {
	ctx := needQEMU(t, 12*time.Minute)
	efi, err := buildEFI("selftest", "./tests/selftest")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config ovmf.Config
	}{
		{"1 GiB", ovmf.Config{MemoryMiB: 1024}},
		{"6 GiB, 2 processors", ovmf.Config{MemoryMiB: 6144, CPUs: 2, Bus: "nvme"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Disk = newDrive(t, drive.Options{EFI: efi, Size: 64 << 20, Journal: 1 << 20})
			p := &person{t, ctx, boot(t, ctx, c.config)}
			p.expect("selftest: begin")
			which, got, err := p.vm.ExpectAny(ctx, "checks passed", "selftest: FAILED", "fatal error", "BdsDxe")
			if err != nil {
				t.Fatal(err)
			}
			if which != 0 {
				t.Fatalf("the self test failed:\n%s", got)
			}
			if n := strings.Count(got, "selftest: PASS "); n < 30 || strings.Contains(got, "selftest: FAIL") {
				t.Errorf("%d checks passed, want 30 or more and none to fail:\n%s", n, got)
			}
			t.Log(got)
			p.off()
		})
	}
}

// TestReturnsToFirmware checks that os.Exit gives the machine back: the
// firmware shows its menu, whose keys work.
func TestReturnsToFirmware(t *testing.T) {
	ctx := needQEMU(t, 8*time.Minute)
	efi, err := buildEFI("selftest-exit", "./tests/selftest", "-ldflags=-X main.finish=exit")
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: newDrive(t, drive.Options{EFI: efi, Size: 64 << 20, Journal: 1 << 20})})}
	p.expect("checks passed")
	p.expect("Select Language")
	p.expect("Boot Manager")
	if err := p.vm.SendKeys(ctx, "down"); err != nil { // to the first entry, which explains itself
		t.Fatal(err)
	}
	p.expect("This selection")
}

// TestUnrecoveredPanic checks that a panic that nobody recovers is told with a
// traceback on the serial port.
func TestUnrecoveredPanic(t *testing.T) {
	ctx := needQEMU(t, 8*time.Minute)
	efi, err := buildEFI("selftest-crash", "./tests/selftest", "-ldflags=-X main.finish=crash")
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: newDrive(t, drive.Options{EFI: efi, Size: 64 << 20, Journal: 1 << 20})})}
	p.expect("checks passed")
	p.expect("panic: runtime error: invalid memory address or nil pointer dereference")
	p.expect("main.crash")
	p.expect("main.main")
}

// TestSelftestOnHost runs the same checks as a Linux process, so that a check
// that is itself wrong does not pass for a fault of the machine.
func TestSelftestOnHost(t *testing.T) {
	bin := filepath.Join(scratch, "selftest-host")
	if err := goBuild([]string{"CGO_ENABLED=0"}, "-o", bin, "./tests/selftest"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin).CombinedOutput()
	if err != nil || !regexp.MustCompile(`selftest: all \d+ checks passed`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
