package tests

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

var soak = flag.Int("soak", 0, "how many boots TestSoak does")

// TestSoak boots one drive again and again, rotating through the kinds of disk
// with 1 and 8 GiB of memory, asks a short question each time and shuts down.
// Not one boot may fail.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("boots many times: run with -soak 100")
	}
	vmtest.NeedQEMU(t)
	model, _ := chatModel(t, story)
	disk := vmtest.NewDrive(t, create.Options{EFI: vmtest.AlphaOS(t), Models: []string{model}})
	buses := []string{"virtio", "ahci", "nvme", "usb"}
	memory := []int{1024, 8192}
	var times []time.Duration
	for i := range *soak {
		bus, mib := buses[i%len(buses)], memory[i/len(buses)%len(memory)]
		t.Run(fmt.Sprintf("%d-%s-%dG", i+1, bus, mib/1024), func(t *testing.T) {
			p := vmtest.Boot(t, ovmf.Config{Disk: disk, Bus: bus, MemoryMiB: mib})
			p.Prompt()
			times = append(times, p.StartTime())
			p.Say("/clear")
			p.Say("/set parameter num_predict 8")
			if p.Ask(story) == "" {
				t.Error("an empty answer")
			}
			p.Leave("Please shut down")
		})
		if t.Failed() {
			t.Fatalf("boot %d of %d failed", i+1, *soak)
		}
	}
	vmtest.CheckDrive(t, disk)
	slices.Sort(times)
	t.Logf("%d boots; hand-over to prompt: least %v, median %v, most %v", len(times),
		times[0].Round(time.Millisecond), times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
}
