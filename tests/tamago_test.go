package tests

// The same program built by TamaGo: it must say the same, and fail as clearly.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
)

// tamagoVariable names the go command of TamaGo's toolchain; see docs/tamago.md.
const tamagoVariable = "ALPHAOS_TAMAGO"

// buildTamaGo builds AlphaOS with TamaGo, and skips the test where there is none.
func buildTamaGo(t testing.TB, name string, flags ...string) string {
	t.Helper()
	needQEMU(t, time.Minute)
	compiler := os.Getenv(tamagoVariable)
	if compiler == "" {
		t.Skip("no toolchain of TamaGo: make test TAMAGO=/path/to/tamago-go/bin/go")
	}
	efi := filepath.Join(scratch, name+".EFI")
	if _, err := os.Stat(efi); err == nil {
		return efi // of an earlier test
	}
	cmd := exec.Command(filepath.Join(root(), "tools", "tamago.sh"), append([]string{compiler, efi}, flags...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return efi
}

func TestTamaGoConversation(t *testing.T) {
	conversation(t, buildTamaGo(t, "tamago"), "tamago-")
}

// TestTamaGoMachines starts it on small and large machines, with one processor and two.
func TestTamaGoMachines(t *testing.T) {
	efi := buildTamaGo(t, "tamago")
	model, want := chatModel(t, story)
	for _, memory := range []int{512, 1024, 4096} {
		for _, cpus := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d MiB, %d processors", memory, cpus), func(t *testing.T) {
				ctx := needQEMU(t, 3*time.Minute)
				disk := newDrive(t, drive.Options{EFI: efi, Models: []string{model}})
				p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, MemoryMiB: memory, CPUs: cpus})}
				p.prompt()
				p.greedy()
				if got := p.ask(story); got != want {
					t.Errorf("in the machine\n%q\nwant\n%q", got, want)
				}
				contains(t, p.say("/show info"), fmt.Sprintf("%d in use\n", cpus), "avx2")
				bye(t, p, disk)
			})
		}
	}
}

func TestTamaGoCrashes(t *testing.T) {
	crashes(t, buildTamaGo(t, "tamago-provoke", "-tags", "provoke"), "tamago-", "panic", "nil", "kernel", "memory")
}

// TestTamaGoTooLittleMemory starts it on a machine that is too small: the firmware's
// console says so.
func TestTamaGoTooLittleMemory(t *testing.T) {
	efi := buildTamaGo(t, "tamago")
	model, _ := chatModel(t, story)
	ctx := needQEMU(t, 3*time.Minute)
	disk := newDrive(t, drive.Options{EFI: efi, Models: []string{model}})
	p := &person{t, ctx, boot(t, ctx, ovmf.Config{Disk: disk, MemoryMiB: 256})}
	p.expect("The program cannot start: there is too little free memory")
	p.expect("UEFI Interactive Shell") // the next thing to boot: the firmware has everything back
}

// BenchmarkTamaGo compares the two builds, one boot after the other: from the firmware's
// hand-over to the prompt, what a machine at the prompt costs the host, and how fast
// models answer. It prints medians.
func BenchmarkTamaGo(b *testing.B) {
	builds := []struct{ name, efi string }{{"stock", program(b)}, {"tamago", buildTamaGo(b, "tamago")}}
	speed := regexp.MustCompile(`([0-9.]+) tokens/s`)
	session := func(b *testing.B, model, tokens string, c ovmf.Config, rounds int) {
		values := map[string][]float64{}
		note := func(name string, v float64) { values[name] = append(values[name], v) }
		for range rounds {
			for _, build := range builds {
				ctx := needQEMU(b, 5*time.Minute)
				c.Disk = newDrive(b, drive.Options{EFI: build.efi, Models: []string{model}, Out: filepath.Join(b.TempDir(), "drive.img")})
				p := &person{b, ctx, boot(b, ctx, c)}
				p.prompt()
				note(build.name+"-start-ms", float64(logTimes(b, p.vm).Milliseconds()))
				time.Sleep(time.Second)
				before, began := qemuCPU(b), time.Now()
				time.Sleep(2 * time.Second)
				note(build.name+"-idle-%", 100*(qemuCPU(b)-before).Seconds()/time.Since(began).Seconds())
				p.say("/set parameter temperature 0")
				p.say("/set parameter num_predict " + tokens)
				p.say("/set parameter seed 1")
				m := speed.FindStringSubmatch(p.say(story))
				if m == nil {
					b.Fatal("the machine does not say how fast it was")
				}
				v, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					b.Fatal(err)
				}
				note(build.name+"-tokens/s", v)
				b.Log(build.name, p.say("/show info"), p.say("/show memory"))
				p.typeLine("/bye")
				p.off()
			}
		}
		for name, v := range values {
			slices.Sort(v)
			b.ReportMetric(v[len(v)/2], name)
		}
	}
	for _, cpus := range []int{1, 2} {
		b.Run(fmt.Sprintf("small model, %d processors", cpus), func(b *testing.B) {
			model, _ := chatModel(b, story)
			for b.Loop() {
				session(b, model, "100", ovmf.Config{CPUs: cpus}, 3)
			}
		})
	}
	b.Run("1B", func(b *testing.B) {
		tool, err := hostTool()
		if err != nil {
			b.Fatal(err)
		}
		model := filepath.Join(scratch, "1b.gguf")
		run(b, "", tool, "model", "synth", "--shape", "llama-3.2-1b", "--type", "Q4_K_M", model)
		for b.Loop() {
			session(b, model, "8", ovmf.Config{CPUs: 2, MemoryMiB: 2048}, 3)
		}
	})
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
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 13 || f[1] != strconv.Itoa(os.Getpid()) || !bytes.Contains(stat, []byte("(qemu")) {
			continue
		}
		user, err1 := strconv.Atoi(f[11])
		system, err2 := strconv.Atoi(f[12])
		if err1 != nil || err2 != nil {
			b.Fatalf("%s: %s", path, stat)
		}
		return time.Duration(user+system) * time.Second / 100
	}
	b.Skip("QEMU's processor time is not to be had here")
	return 0
}
