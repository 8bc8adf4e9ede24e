package machine

// Measurements. Each runs once (-benchtime 1x): what varies is the host, and
// the program takes medians itself.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// BenchmarkMachine boots measure/ on two processors, and at its end measures
// what the idle machine costs the host.
func BenchmarkMachine(b *testing.B) {
	needQEMU(b)
	disk := newDrive(b, program(b, "measure"))
	line := regexp.MustCompile(`measure: (\S+) ([0-9.]+)`)
	for b.Loop() {
		m := boot(b, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: 3072})
		m.must(3*time.Minute, "measure: begin")
		got := m.must(3*time.Minute, "measure: done")
		for _, f := range line.FindAllStringSubmatch(got, -1) {
			if value, err := strconv.ParseFloat(f[2], 64); err == nil {
				b.ReportMetric(value, f[1])
			}
		}
		b.Log(got)
		time.Sleep(2 * time.Second)
		before, began := qemuCPU(b), time.Now()
		time.Sleep(5 * time.Second)
		share := 100 * (qemuCPU(b) - before).Seconds() / time.Since(began).Seconds()
		b.ReportMetric(share, "idle-%-of-a-host-processor")
		m.vm.Kill()
	}
}

// BenchmarkEngine boots engine/ on two processors, with a model of the matrices that a
// layer of Llama 3.2 1B has.
func BenchmarkEngine(b *testing.B) {
	needQEMU(b)
	model := filepath.Join(b.TempDir(), "model.gguf")
	tool := exec.Command("go", "run", "alphaos/tools/alphaos", "model", "synth", "--shape", "llama-3.2-1b-layer", "--type", "Q4_K_M", model)
	if out, err := tool.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(model)
	if err != nil {
		b.Fatal(err)
	}
	disk := newDrive(b, program(b, "engine"), drive.Extra{Path: "models/engine.gguf", Content: content})
	line := regexp.MustCompile(`engine: ([a-z]\S+) ([0-9.]+)`)
	for b.Loop() {
		m := boot(b, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: 2048})
		m.must(3*time.Minute, "engine: begin")
		which, got, err := m.expect(5*time.Minute, "engine: done", "engine: FAILED")
		if err != nil || which != 0 {
			b.Fatal(err, got, m.vm.Output())
		}
		for _, f := range line.FindAllStringSubmatch(got, -1) {
			if value, err := strconv.ParseFloat(f[2], 64); err == nil {
				b.ReportMetric(value, f[1])
			}
		}
		b.Log(got)
		m.vm.Kill()
	}
}

// BenchmarkUsableMemory tells which share of the firmware's free memory a
// program gets.
func BenchmarkUsableMemory(b *testing.B) {
	needQEMU(b)
	disk := newDrive(b, program(b, "hello"))
	line := regexp.MustCompile(`MiB, ([0-9.]+) %`)
	for _, mib := range []int{768, 1024, 2048, 8192, 12288} {
		b.Run(fmt.Sprintf("%dM", mib), func(b *testing.B) {
			for b.Loop() {
				m := boot(b, ovmf.Config{Disk: disk, CPUs: 2, MemoryMiB: mib})
				m.must(3*time.Minute, "hello: ")
				got := m.must(3*time.Minute, "\n")
				f := line.FindStringSubmatch(got)
				if f == nil {
					b.Fatal(got)
				}
				value, err := strconv.ParseFloat(f[1], 64)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(value, "%-usable")
				m.vm.Kill()
			}
		})
	}
}

// qemuCPU is the processor time that QEMU, this process's only child, has used.
func qemuCPU(b *testing.B) time.Duration {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc(5): the name in parentheses, then state, ppid, ... utime and stime are 14 and 15.
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(f) < 13 || string(f[1]) != strconv.Itoa(os.Getpid()) || !bytes.Contains(stat, []byte("(qemu")) {
			continue
		}
		user, err1 := strconv.Atoi(string(f[11]))
		system, err2 := strconv.Atoi(string(f[12]))
		if err1 != nil || err2 != nil {
			b.Fatalf("%s: %s", path, stat)
		}
		return time.Duration(user+system) * time.Second / 100
	}
	b.Skip("QEMU's processor time is not to be had here")
	return 0
}
