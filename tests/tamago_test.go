package tests

// The same program built by TamaGo: it must say the same, and fail as clearly.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

// tamagoVariable names the go command of TamaGo's toolchain; see docs/tamago.md.
const tamagoVariable = "ALPHAOS_TAMAGO"

// buildTamaGo builds AlphaOS with TamaGo, and skips the test where there is none.
func buildTamaGo(t testing.TB, name string, flags ...string) string {
	t.Helper()
	vmtest.NeedQEMU(t)
	compiler := os.Getenv(tamagoVariable)
	if compiler == "" {
		t.Skip("no toolchain of TamaGo: make test TAMAGO=/path/to/tamago-go/bin/go")
	}
	efi := vmtest.Scratch(name + ".EFI")
	if _, err := os.Stat(efi); err == nil {
		return efi // of an earlier test
	}
	cmd := exec.Command(filepath.Join(vmtest.Root(), "tools", "tamago.sh"), append([]string{compiler, efi}, flags...)...)
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
				disk := vmtest.NewDrive(t, create.Options{EFI: efi, Models: []string{model}})
				p := vmtest.Boot(t, ovmf.Config{Disk: disk, MemoryMiB: memory, CPUs: cpus})
				p.Prompt()
				p.Greedy(100)
				if got := p.Ask(story); got != want {
					t.Errorf("in the machine\n%q\nwant\n%q", got, want)
				}
				vmtest.Contains(t, p.Say("/show info"), fmt.Sprintf("%d of %[1]d in use\n", cpus), "avx2")
				p.Leave("/bye")
				vmtest.CheckDrive(t, disk)
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
	disk := vmtest.NewDrive(t, create.Options{EFI: efi, Models: []string{model}})
	p := vmtest.Boot(t, ovmf.Config{Disk: disk, MemoryMiB: 256})
	p.Expect("The program cannot start: there is too little free memory")
	p.Expect("UEFI Interactive Shell") // the next thing to boot: the firmware has everything back
}

// BenchmarkTamaGo compares the two builds, one boot after the other: from the firmware's
// hand-over to the prompt, what a machine at the prompt costs the host, and how fast
// models answer. It prints medians.
func BenchmarkTamaGo(b *testing.B) {
	builds := []struct{ name, efi string }{{"stock", vmtest.AlphaOS(b)}, {"tamago", buildTamaGo(b, "tamago")}}
	speed := regexp.MustCompile(`([0-9.]+) tokens/s`)
	session := func(b *testing.B, model string, tokens int, c ovmf.Config, rounds int) {
		values := map[string][]float64{}
		note := func(name string, v float64) { values[name] = append(values[name], v) }
		for range rounds {
			for _, build := range builds {
				c.Disk = vmtest.NewDrive(b, create.Options{EFI: build.efi, Models: []string{model}})
				p := vmtest.Boot(b, c)
				p.Prompt()
				note(build.name+"-start-ms", float64(p.StartTime().Milliseconds()))
				note(build.name+"-idle-%", p.HostCPU(2*time.Second))
				p.Greedy(tokens)
				p.Say("/set parameter seed 1")
				m := speed.FindStringSubmatch(p.Say(story))
				if m == nil {
					b.Fatal("the machine does not say how fast it was")
				}
				v, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					b.Fatal(err)
				}
				note(build.name+"-tokens/s", v)
				b.Log(build.name, p.Say("/show info"), p.Say("/show memory"))
				p.Leave("/bye")
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
				session(b, model, 100, ovmf.Config{CPUs: cpus}, 3)
			}
		})
	}
	b.Run("1B", func(b *testing.B) {
		model := vmtest.Scratch("1b.gguf")
		vmtest.Command(b, "model", "synth", "--shape", "llama-3.2-1b", "--type", "Q4_K_M", model)
		for b.Loop() {
			session(b, model, 8, ovmf.Config{CPUs: 2, MemoryMiB: 2048}, 3)
		}
	})
}
