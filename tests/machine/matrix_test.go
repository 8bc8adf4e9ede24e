package machine

import (
	"fmt"
	"regexp"
	"strconv"
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
