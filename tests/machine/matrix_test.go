package machine

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// TestMatrix boots a tiny program on machines of all sizes: each must find all
// processors, correct their time-stamp counters, which this build makes wrong, survive a
// register's refusal of a value, take nearly all the memory, and go back to the firmware.
func TestMatrix(t *testing.T) {
	vmtest.NeedQEMU(t)
	efi := program(t, "hello", "-tags=provoke")
	disk := vmtest.SmallDrive(t, efi)
	line := regexp.MustCompile(`hello: (\d+) processors, (\d+) of (\d+) MiB, ([0-9.]+) %`)
	for _, cpus := range []int{1, 2, 3, 4, 8} {
		for _, mib := range []int{768, 1024, 4096, 12288} {
			if brief := cpus == 3 && mib == 768; !*soak && !brief {
				continue
			}
			t.Run(fmt.Sprintf("%dcpu-%dM", cpus, mib), func(t *testing.T) {
				m := boot(t, ovmf.Config{Disk: disk, CPUs: cpus, MemoryMiB: mib})
				m.Expect("refusal was survived: true")
				m.Expect("hello: ")
				got := "hello: " + m.Expect("\n")
				f := line.FindStringSubmatch(got)
				if f == nil {
					t.Fatal(got)
				}
				t.Log(strings.TrimSpace(got))
				if f[1] != strconv.Itoa(cpus) {
					t.Errorf("%s processors run, want %d", f[1], cpus)
				}
				if cpus > 1 == strings.Contains(got, "counters were 0s apart") {
					t.Error("the counters of other processors are not wrong: nothing is tested")
				}
				if share, err := strconv.ParseFloat(f[4], 64); err != nil || share < 92 {
					t.Errorf("%s %% of what the firmware has free is taken, want 92 or more", f[4])
				}
				m.Expect("Boot Manager") // the firmware lives
			})
		}
	}
}

// TestComeAndGo starts the tiny program again and again in one boot, from the
// UEFI shell: each time it must find all processors where the last one left
// them, and as they were before that.
func TestComeAndGo(t *testing.T) {
	vmtest.NeedQEMU(t)
	cpus, times := []int{2}, 5
	if *soak {
		cpus, times = []int{2, 4, 8}, 50
	}
	efi := program(t, "hello", "-tags=provoke", "-ldflags=-X=main.status=failure")
	image, err := os.ReadFile(efi)
	if err != nil {
		t.Fatal(err)
	}
	disk := vmtest.SmallDrive(t, efi,
		create.Extra{Path: "hello.efi", Content: image},
		create.Extra{Path: "startup.nsh", Content: []byte("fs0:\r\n" + strings.Repeat("hello.efi\r\n", times))})
	for _, n := range cpus {
		t.Run(fmt.Sprintf("%dcpu", n), func(t *testing.T) {
			m := boot(t, ovmf.Config{Disk: disk, CPUs: n, MemoryMiB: 1024})
			m.Expect("hello: ")
			m.Expect("startup.nsh")
			m.Type("\n") // any key but Esc ends the countdown
			for i := range times {
				m.Expect(fmt.Sprintf("the PAT is new on %d processors", n))
				m.Expect("hello: ")
				got := m.Expect("\n")
				if *soak {
					t.Logf("start %d: %s", i+1, got)
				}
				if !strings.HasPrefix(got, fmt.Sprintf("%d processors", n)) {
					t.Errorf("start %d: %s", i+1, got)
				}
			}
		})
	}
}

// TestFiveLevels boots the tiny program and then the torture on firmware that uses five
// levels of page tables, or as good as: OVMF does not, so the build switches to them before
// anything else happens (amd64/five_amd64.h). OVMF cannot start more processors then: it gives
// each what the boot processor's CR4 once was.
func TestFiveLevels(t *testing.T) {
	vmtest.NeedQEMU(t)
	m := boot(t, ovmf.Config{Disk: vmtest.SmallDrive(t, program(t, "hello", fiveLevels)), CPUs: 1, MemoryMiB: 1024})
	m.Expect("hello: ")
	if got := m.Expect("\n"); !strings.Contains(got, "5-level page tables") {
		t.Fatal(got)
	}
	m.Expect("Boot Manager") // the firmware lives
	m = boot(t, ovmf.Config{Disk: vmtest.SmallDrive(t, program(t, "torture", tenSeconds, fiveLevels)), CPUs: 1, MemoryMiB: 1024})
	m.Expect("5-level page tables")
	m.Passes("torture: passed, ", "torture: FAILED")
}
