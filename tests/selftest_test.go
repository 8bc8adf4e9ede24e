package tests

// The machine below the Go runtime, on a program of its own: see selftest/.

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// Processors without what newer ones have: Atoms, Celerons and Pentiums have XSAVE without AVX, and
// what was made before 2008 has neither.
var (
	noAVX   = []string{"-cpu", "max,avx=off"}
	noXSAVE = []string{"-cpu", "Nehalem"}
)

// TestMachine boots the self test with one processor and little memory, with two and a heap
// above 4 GiB, and on processors with less than AVX.
func TestMachine(t *testing.T) {
	vmtest.NeedQEMU(t)
	efi := vmtest.EFI(t, "./tests/selftest")
	for _, c := range []struct {
		name   string
		config ovmf.Config
	}{
		{"1 GiB", ovmf.Config{MemoryMiB: 1024}},
		{"6 GiB, 2 processors", ovmf.Config{MemoryMiB: 6144, CPUs: 2, Bus: "nvme"}},
		{"no AVX", ovmf.Config{MemoryMiB: 1024, CPUs: 2, Extra: noAVX}},
		{"no XSAVE", ovmf.Config{MemoryMiB: 1024, CPUs: 2, Extra: noXSAVE}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Disk = vmtest.SmallDrive(t, efi)
			p := vmtest.Boot(t, c.config)
			p.Expect("selftest: begin")
			which, got := p.ExpectAny("checks passed", "selftest: FAILED", "fatal error", "BdsDxe")
			if which != 0 {
				t.Fatalf("the self test failed:\n%s", got)
			}
			if n := strings.Count(got, "selftest: PASS "); n < 30 || strings.Contains(got, "selftest: FAIL") {
				t.Errorf("%d checks passed, want 30 or more and none to fail:\n%s", n, got)
			}
			t.Log(got)
			p.Off()
		})
	}
}

// TestOldProcessors talks to AlphaOS on such processors: the portable kernel answers as the others
// do, if more slowly.
func TestOldProcessors(t *testing.T) {
	vmtest.NeedQEMU(t)
	model, want := chatModel(t, story)
	for name, processor := range map[string][]string{"no AVX": noAVX, "no XSAVE": noXSAVE} {
		t.Run(name, func(t *testing.T) {
			disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}})
			p := vmtest.Boot(t, ovmf.Config{Disk: disk, CPUs: 2, Extra: processor})
			p.Prompt()
			vmtest.Contains(t, p.Say("/show info"), "2 of 2 in use", "portable, ")
			p.Greedy(100)
			if got := p.Ask(story); got != want {
				t.Errorf("in the machine\n%q\nwant\n%q", got, want)
			}
			p.Leave("/bye")
			vmtest.CheckDrive(t, disk)
		})
	}
}

// bootSelftest boots a self test that ends in a certain way, and lets it pass its
// checks.
func bootSelftest(t *testing.T, finish string) *vmtest.Person {
	t.Helper()
	vmtest.NeedQEMU(t)
	efi := vmtest.EFI(t, "./tests/selftest", "-ldflags=-X main.finish="+finish)
	p := vmtest.Boot(t, ovmf.Config{Disk: vmtest.SmallDrive(t, efi)})
	p.Expect("checks passed")
	return p
}

// TestReturnsToFirmware checks that os.Exit gives the machine back: the
// firmware shows its menu, whose keys work.
func TestReturnsToFirmware(t *testing.T) {
	p := bootSelftest(t, "exit")
	p.Expect("Select Language")
	p.Expect("Boot Manager")
	if err := p.VM.SendKeys(t.Context(), "down"); err != nil { // to the first entry, which explains itself
		t.Fatal(err)
	}
	p.Expect("This selection")
}

// TestUnrecoveredPanic checks that a panic that nobody recovers is told with a
// traceback on the serial port.
func TestUnrecoveredPanic(t *testing.T) {
	p := bootSelftest(t, "crash")
	p.Expect("panic: runtime error: invalid memory address or nil pointer dereference")
	p.Expect("main.crash")
	p.Expect("main.main")
}

// TestSelftestOnHost runs the same checks as a Linux process, so that a check
// that is itself wrong does not pass for a fault of the machine.
func TestSelftestOnHost(t *testing.T) {
	bin := vmtest.Host(t, "./tests/selftest")
	out, err := exec.Command(bin).CombinedOutput()
	if err != nil || !regexp.MustCompile(`selftest: all \d+ checks passed`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
