package machine

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
)

// TestTorture boots the torture, for ten seconds on two processors, or for ten
// minutes each on one, two and four.
func TestTorture(t *testing.T) {
	needQEMU(t)
	length, processors := "10s", []int{2}
	if *soak {
		length, processors = "10m", []int{1, 2, 4}
	}
	efi := program(t, "torture", "length", length)
	for _, cpus := range processors {
		t.Run(fmt.Sprintf("%dcpu", cpus), func(t *testing.T) {
			m := boot(t, ovmf.Config{Disk: newDrive(t, efi), CPUs: cpus, MemoryMiB: 2048})
			m.must(3*time.Minute, "torture: begin")
			// It says something each second; a stand-still on a loaded host takes longer.
			which, got, err := m.expect(90*time.Second, "torture: passed, ", "torture: FAILED")
			if err != nil {
				t.Fatal(err)
			}
			if which != 0 {
				m.vm.Expect(t.Context(), "\n")
				t.Fatal(tail(m.vm.Output(), 3000))
			}
			last, _, err := m.vm.ExpectAny(t.Context(), "\n")
			if err != nil || last != 0 {
				t.Fatal(err)
			}
			t.Log(tail(got, 4000))
			t.Log(m.vm.Output()[strings.Index(m.vm.Output(), "torture: passed"):])
		})
	}
}

// TestX2APIC boots the torture where the second processor's APIC has a number above 255,
// so that the firmware puts all of them into x2APIC mode.
func TestX2APIC(t *testing.T) {
	needQEMU(t)
	qemu, err := ovmf.Program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(qemu, "--version").Output()
	version := 0
	if _, serr := fmt.Sscanf(string(out), "QEMU emulator version %d.", &version); err != nil || serr != nil {
		t.Fatalf("no version of QEMU: %q, %v, %v", out, err, serr)
	}
	if version < 9 {
		t.Skipf("QEMU %d has no x2APIC without KVM: version 9 has", version)
	}
	disk := newDrive(t, program(t, "torture", "length", "10s"))
	m := boot(t, ovmf.Config{Disk: disk, MemoryMiB: 2048, Accel: "tcg", Extra: []string{
		"-machine", "kernel-irqchip=split", "-smp", "1,sockets=288,cores=1,threads=1,maxcpus=288",
		"-device", "intel-iommu,intremap=on,eim=on", "-device", "max-x86_64-cpu,socket-id=280,core-id=0,thread-id=0",
	}})
	m.must(3*time.Minute, "torture: begin")
	got := m.must(3*time.Minute, "\n")
	if !strings.Contains(got, "on 2 processors, x2APIC") {
		t.Fatal(got)
	}
	if which, _, err := m.expect(90*time.Second, "torture: passed, ", "torture: FAILED"); err != nil || which != 0 {
		t.Fatal(err, tail(m.vm.Output(), 3000))
	}
}

// TestTortureOnHost runs it as a Linux process, so that a check that is itself
// wrong does not pass for a fault of the machine.
func TestTortureOnHost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: skipped by -short")
	}
	bin := filepath.Join(scratch, "torture")
	if err := goTool("build", "-buildvcs=false", "-ldflags=-X=main.length=3s", "-o", bin, "./torture"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "torture: passed") {
		t.Errorf("%v\n%s", err, tail(string(out), 4000))
	}
}
