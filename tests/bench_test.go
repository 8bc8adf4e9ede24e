package tests

// Measurements in the machine. Each runs once (-benchtime 1x): what varies is
// the host, and the programs take medians themselves.

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// BenchmarkModelLoad compares loading a model of 256 MiB with raw Block I/O
// reads of the same blocks in the same boot: see diskbench/.
func BenchmarkModelLoad(b *testing.B) {
	efi, err := buildEFI("diskbench", "./tests/diskbench")
	if err != nil {
		b.Fatal(err)
	}
	disk := newDrive(b, drive.Options{EFI: efi, Models: []string{writeModel(b, bigShape)}})
	line := regexp.MustCompile(`bench: (raw ReadBlocks|model load|ratio) ([0-9.]+) `)
	for _, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		b.Run(bus, func(b *testing.B) {
			ctx := needQEMU(b, 5*time.Minute)
			for b.Loop() {
				p := &person{b, ctx, boot(b, ctx, ovmf.Config{Disk: disk, Bus: bus, Snapshot: true, CPUs: 2})}
				which, got, err := p.vm.ExpectAny(ctx, "bench: done", "bench: FAILED", "fatal error", "panic:")
				if err != nil {
					b.Fatal(err)
				}
				if which != 0 {
					b.Fatal(got)
				}
				p.off()
				units := map[string]string{"raw ReadBlocks": "raw-MB/s", "model load": "load-MB/s", "ratio": "%-of-raw"}
				for _, m := range line.FindAllStringSubmatch(got, -1) {
					value, err := strconv.ParseFloat(m[2], 64)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(value, units[m[1]])
				}
				b.Log(strings.TrimSuffix(got[strings.Index(got, "bench: "):], "bench: done"))
			}
		})
	}
}

// BenchmarkBoot measures from the firmware's hand-over to the prompt.
func BenchmarkBoot(b *testing.B) {
	model := reference("stories260K-F32.gguf")
	if model == "" {
		model = writeModel(b, tinyShape)
	}
	disk := newDrive(b, drive.Options{EFI: program(b), Models: []string{model}})
	for _, bus := range []string{"virtio", "ahci", "nvme", "usb"} {
		b.Run(bus, func(b *testing.B) {
			ctx := needQEMU(b, 3*time.Minute)
			var sum time.Duration
			for b.Loop() {
				p := &person{b, ctx, boot(b, ctx, ovmf.Config{Disk: disk, Bus: bus})}
				p.prompt()
				sum += logTimes(b, p.vm)
				b.Log(p.say("/show info"))
				p.typeLine("/bye")
				p.off()
			}
			b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "handover-to-prompt-ms")
		})
	}
}
