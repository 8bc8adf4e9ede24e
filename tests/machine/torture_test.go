package machine

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// tenSeconds is how long the torture takes in a short run.
const tenSeconds = "-ldflags=-X=main.length=10s"

// TestTorture boots the torture, for ten seconds on two processors, or for ten
// minutes each on one, two and four.
func TestTorture(t *testing.T) {
	vmtest.NeedQEMU(t)
	length, processors := "10s", []int{2}
	if *soak {
		length, processors = "10m", []int{1, 2, 4}
	}
	efi := program(t, "torture", "-ldflags=-X=main.length="+length)
	for _, cpus := range processors {
		t.Run(fmt.Sprintf("%dcpu", cpus), func(t *testing.T) {
			m := boot(t, ovmf.Config{Disk: vmtest.SmallDrive(t, efi), CPUs: cpus, MemoryMiB: 2048})
			m.Expect("torture: begin")
			// It says something each second.
			got := m.Passes("torture: passed, ", "torture: FAILED")
			m.Expect("\n")
			t.Log(vmtest.Tail(got, 4000))
			t.Log(m.VM.Output()[strings.Index(m.VM.Output(), "torture: passed"):])
		})
	}
}

// TestX2APIC boots the torture where the second processor's APIC has a number above 255,
// so that the firmware puts all of them into x2APIC mode.
func TestX2APIC(t *testing.T) {
	vmtest.NeedQEMU(t)
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
	disk := vmtest.SmallDrive(t, program(t, "torture", tenSeconds))
	m := boot(t, ovmf.Config{Disk: disk, MemoryMiB: 2048, Accel: "tcg", Extra: []string{
		"-machine", "kernel-irqchip=split", "-smp", "1,sockets=288,cores=1,threads=1,maxcpus=288",
		"-device", "intel-iommu,intremap=on,eim=on", "-device", "max-x86_64-cpu,socket-id=280,core-id=0,thread-id=0",
	}})
	m.Expect("torture: begin")
	got := m.Expect("\n")
	if !strings.Contains(got, "on 2 processors, x2APIC") {
		t.Fatal(got)
	}
	m.Passes("torture: passed, ", "torture: FAILED")
}

// TestTortureOnHost runs it as a Linux process, so that a check that is itself
// wrong does not pass for a fault of the machine.
func TestTortureOnHost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: skipped by -short")
	}
	bin := vmtest.Host(t, "./tests/machine/torture", "-ldflags=-X=main.length=3s")
	out, err := exec.Command(bin).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "torture: passed") {
		t.Errorf("%v\n%s", err, vmtest.Tail(string(out), 4000))
	}
}
