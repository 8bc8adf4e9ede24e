package tests

// Measurements in the machine. Each runs once (-benchtime 1x): what varies is
// the host, and the programs take medians themselves.

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// BenchmarkModelLoad compares loading a model of 256 MiB with raw Block I/O
// reads of the same blocks in the same boot, and requests to a file of 1 GiB with raw ones: see diskbench/.
// The drive's journal has 4 GB, to be opened.
func BenchmarkModelLoad(b *testing.B) {
	vmtest.NeedQEMU(b)
	efi := vmtest.EFI(b, "./tests/diskbench")
	disk := vmtest.NewDrive(b, create.Options{EFI: efi, Size: 7 << 30, Journal: 4095 << 20, Models: []string{writeModel(b, bigShape)}})
	line := regexp.MustCompile(`bench: (raw ReadBlocks|model load|opened in|(?:write |random read |read )?ratio) ([0-9.]+) `)
	for _, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		b.Run(bus, func(b *testing.B) {
			for b.Loop() {
				p := vmtest.Boot(b, ovmf.Config{Disk: disk, Bus: bus, Snapshot: true, CPUs: 2})
				got := p.Passes("bench: done", "bench: FAILED")
				p.Off()
				vmtest.Numbers(b, line, got, map[string]string{"raw ReadBlocks": "raw-MB/s", "model load": "load-MB/s", "opened in": "open-4GB-ms", "ratio": "%-of-raw",
					"write ratio": "%-of-raw-write", "read ratio": "%-of-raw-read", "random read ratio": "%-of-raw-random-read"})
				b.Log(strings.TrimSuffix(got[strings.Index(got, "bench: "):], "bench: done"))
			}
		})
	}
}

// BenchmarkBoot measures from the firmware's hand-over to the prompt.
func BenchmarkBoot(b *testing.B) {
	vmtest.NeedQEMU(b)
	model := reference("stories260K-F32.gguf")
	if model == "" {
		model = writeModel(b, tinyShape)
	}
	disk := vmtest.NewDrive(b, create.Options{EFI: vmtest.AlphaOS(b), Models: []string{model}})
	for _, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		b.Run(bus, func(b *testing.B) {
			var sum time.Duration
			for b.Loop() {
				p := vmtest.Boot(b, ovmf.Config{Disk: disk, Bus: bus})
				p.Prompt()
				sum += p.StartTime()
				b.Log(p.Say("/show info"))
				p.Leave("/bye")
			}
			b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "handover-to-prompt-ms")
		})
	}
}

// BenchmarkMenu waits for the start-up manager to count down while a model of 256 MiB loads: "countdown-to-prompt-ms" is what is
// left to wait for then, and "hidden-ms" what the start takes from hand-over to prompt without the manager.
func BenchmarkMenu(b *testing.B) {
	vmtest.NeedQEMU(b)
	const wait = 60 // seconds, longer than an emulator needs to load
	model := writeModel(b, bigShape)
	start := func(wait int) *vmtest.Person {
		p := vmtest.Boot(b, ovmf.Config{Disk: vmtest.NewDrive(b, create.Options{
			EFI: vmtest.AlphaOS(b), Models: []string{model}, Config: fmt.Appendf(nil, `{"wait": %d}`, wait)})})
		p.Expect("you> ") // Prompt would not let the clock run down
		return p
	}
	var left, hidden time.Duration
	for b.Loop() {
		p := start(0)
		hidden += p.StartTime()
		p.Leave("/bye")
		p = start(wait)
		menu, _ := p.VM.SeenAt("AlphaOS Startup")
		prompt, _ := p.VM.SeenAt("you> ")
		left += prompt.Sub(menu) - wait*time.Second
		p.Leave("/bye")
	}
	b.ReportMetric(float64(left.Milliseconds())/float64(b.N), "countdown-to-prompt-ms")
	b.ReportMetric(float64(hidden.Milliseconds())/float64(b.N), "hidden-ms")
}
