package machine

import (
	"alphaos/tools/drive"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
)

// TestMatrix boots a tiny program on machines of all sizes: each must find all
// processors, take nearly all the memory, and go back to the firmware.
func TestMatrix(t *testing.T) {
	needQEMU(t)
	efi := program(t, "hello")
	disk := newDrive(t, efi)
	line := regexp.MustCompile(`hello: (\d+) processors, (\d+) of (\d+) MiB, ([0-9.]+) %`)
	for _, cpus := range []int{1, 2, 3, 4, 8} {
		for _, mib := range []int{768, 1024, 4096, 12288} {
			if brief := cpus == 3 && mib == 768; !*soak && !brief {
				continue
			}
			t.Run(fmt.Sprintf("%dcpu-%dM", cpus, mib), func(t *testing.T) {
				m := boot(t, ovmf.Config{Disk: disk, CPUs: cpus, MemoryMiB: mib})
				m.must(time.Minute, "hello: ")
				got := "hello: " + m.must(time.Minute, "\n")
				f := line.FindStringSubmatch(got)
				if f == nil {
					t.Fatal(got)
				}
				t.Log(f[0])
				if f[1] != strconv.Itoa(cpus) {
					t.Errorf("%s processors run, want %d", f[1], cpus)
				}
				if share, err := strconv.ParseFloat(f[4], 64); err != nil || share < 92 {
					t.Errorf("%s %% of what the firmware has free is taken, want 92 or more", f[4])
				}
				m.must(time.Minute, "Boot Manager") // the firmware lives
			})
		}
	}
}

// TestComeAndGo starts the tiny program again and again in one boot, from the
// UEFI shell: each time it must find all processors where the last one left
// them.
func TestComeAndGo(t *testing.T) {
	needQEMU(t)
	cpus, times := []int{2}, 5
	if *soak {
		cpus, times = []int{2, 4, 8}, 50
	}
	efi := program(t, "hello", "status", "failure")
	image, err := os.ReadFile(efi)
	if err != nil {
		t.Fatal(err)
	}
	disk := newDrive(t, efi,
		drive.Extra{Path: "hello.efi", Content: image},
		drive.Extra{Path: "startup.nsh", Content: []byte("fs0:\r\n" + strings.Repeat("hello.efi\r\n", times))})
	for _, n := range cpus {
		t.Run(fmt.Sprintf("%dcpu", n), func(t *testing.T) {
			m := boot(t, ovmf.Config{Disk: disk, CPUs: n, MemoryMiB: 1024})
			m.must(time.Minute, "hello: ")
			m.must(time.Minute, "startup.nsh")
			if err := m.vm.Type("\n"); err != nil { // any key but Esc ends the countdown
				t.Fatal(err)
			}
			for i := range times {
				m.must(30*time.Second, "hello: ")
				got := m.must(30*time.Second, "\n")
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
