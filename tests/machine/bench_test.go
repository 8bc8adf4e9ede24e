package machine

// Measurements. Each runs once (-benchtime 1x): what varies is the host, and
// the program takes medians itself.

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// BenchmarkMachine boots measure/ on two processors, and at its end measures
// what the idle machine costs the host.
func BenchmarkMachine(b *testing.B) {
	vmtest.NeedQEMU(b)
	disk := vmtest.SmallDrive(b, program(b, "measure"))
	line := regexp.MustCompile(`measure: (\S+) ([0-9.]+)`)
	for b.Loop() {
		m := boot(b, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: 3072})
		m.Expect("measure: begin")
		got := m.Expect("measure: done")
		vmtest.Numbers(b, line, got, nil)
		b.Log(got)
		b.ReportMetric(m.HostCPU(5*time.Second), "idle-%-of-a-host-processor")
		m.VM.Kill()
	}
}

// BenchmarkEngine boots engine/ on two processors, with a model of the matrices that a
// layer of Llama 3.2 1B has.
func BenchmarkEngine(b *testing.B) {
	vmtest.NeedQEMU(b)
	model := filepath.Join(b.TempDir(), "model.gguf")
	vmtest.Command(b, "model", "synth", "--shape", "llama-3.2-1b-layer", "--type", "Q4_K_M", model)
	content, err := os.ReadFile(model)
	if err != nil {
		b.Fatal(err)
	}
	disk := vmtest.SmallDrive(b, program(b, "engine"), create.Extra{Path: "models/engine.gguf", Content: content})
	line := regexp.MustCompile(`engine: ([a-z]\S+) ([0-9.]+)`)
	for b.Loop() {
		m := boot(b, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: 2048})
		m.Expect("engine: begin")
		got := m.Passes("engine: done", "engine: FAILED")
		vmtest.Numbers(b, line, got, nil)
		b.Log(got)
		m.VM.Kill()
	}
}

// BenchmarkUsableMemory tells which share of the firmware's free memory a
// program gets.
func BenchmarkUsableMemory(b *testing.B) {
	vmtest.NeedQEMU(b)
	disk := vmtest.SmallDrive(b, program(b, "hello"))
	line := regexp.MustCompile(`(MiB), ([0-9.]+) %`)
	for _, mib := range []int{768, 1024, 2048, 8192, 12288} {
		b.Run(fmt.Sprintf("%dM", mib), func(b *testing.B) {
			for b.Loop() {
				m := boot(b, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: mib})
				m.Expect("hello: ")
				got := m.Expect("\n")
				vmtest.Numbers(b, line, got, map[string]string{"MiB": "%-usable"})
				m.VM.Kill()
			}
		})
	}
}
