package machine

// What every test here needs: programs built for the machine, drives, and
// machines whose silence is noticed.

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/ovmf"
	"alphaos/tools/drive"
	"alphaos/tools/pe"
)

var soak = flag.Bool("soak", false, "run everything at full length")

// scratch holds what is built once for all tests.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "alphaos-machine-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// needQEMU skips the test where it cannot boot a machine.
func needQEMU(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots QEMU: skipped by -short")
	}
	if _, err := ovmf.Program(); err != nil {
		t.Skip(err)
	}
	if _, err := ovmf.Find(); err != nil {
		t.Skip(err)
	}
}

// goTool runs the go command for the machine's programs.
func goTool(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return nil
}

// pack turns the executable elf into an EFI application's bytes.
func pack(elf string) ([]byte, error) {
	f, err := os.Open(elf)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return pe.Pack(f)
}

// program builds the command in the folder name into an EFI application and
// returns its path. Each variable is a name and a value, for the linker; the one
// called tags holds build tags.
func program(t testing.TB, name string, variables ...string) string {
	t.Helper()
	elf := filepath.Join(scratch, name+".elf")
	flags, tags, asm := "", "", ""
	for i := 0; i < len(variables); i += 2 {
		switch variables[i] {
		case "tags":
			tags = variables[i+1]
		case "asm":
			asm = "alphaos/amd64=-D=" + variables[i+1]
		default:
			flags += " -X=main." + variables[i] + "=" + variables[i+1]
		}
	}
	if err := goTool("build", "-buildvcs=false", "-trimpath", "-buildmode=pie", "-tags="+tags, "-asmflags="+asm, "-ldflags="+flags, "-o", elf, "./"+name); err != nil {
		t.Fatal(err)
	}
	image, err := pack(elf)
	if err != nil {
		t.Fatal(err)
	}
	efi := filepath.Join(t.TempDir(), name+".EFI")
	if err := os.WriteFile(efi, image, 0o666); err != nil {
		t.Fatal(err)
	}
	return efi
}

// newDrive makes a drive that boots efi.
func newDrive(t testing.TB, efi string, extra ...drive.Extra) string {
	t.Helper()
	size := int64(64 << 20)
	for _, e := range extra {
		size += int64(len(e.Content))
	}
	out := filepath.Join(t.TempDir(), "drive.img")
	if _, err := drive.Create(drive.Options{Out: out, EFI: efi, Size: size &^ (1<<20 - 1), Journal: 1 << 20, Extra: extra}); err != nil {
		t.Fatal(err)
	}
	return out
}

// machine is a VM and what it has said last.
type machine struct {
	t    testing.TB
	vm   *ovmf.VM
	said *heartbeat
}

// heartbeat counts the bytes that the machine has said.
type heartbeat struct{ n atomic.Int64 }

func (h *heartbeat) Write(p []byte) (int, error) {
	h.n.Add(int64(len(p)))
	return len(p), nil
}

// boot starts a machine that ends with the test.
func boot(t testing.TB, c ovmf.Config) *machine {
	t.Helper()
	m := &machine{t, nil, &heartbeat{}}
	c.Serial = m.said
	c.Snapshot = true
	vm, err := ovmf.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	m.vm = vm
	return m
}

// bad is what a machine says when something went wrong below the program, or
// the program died of a panic.
var bad = []string{"The program had to stop", "The program cannot start", "X64 Exception Type"}

// expect waits for whichever of texts comes first and returns its index and
// all that was said before. It fails when the machine has been silent for as
// long as quiet, or breaks down.
func (m *machine) expect(quiet time.Duration, texts ...string) (int, string, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		// Counted in steps, so that a host that was suspended is no silence.
		const steps = 20
		for silent, words := 0, int64(-1); silent < steps && ctx.Err() == nil; silent++ {
			if n := m.said.n.Load(); n != words {
				silent, words = 0, n
			}
			select {
			case <-time.After(quiet / steps):
			case <-ctx.Done():
			}
		}
		cancel(nil)
	}()
	which, got, err := m.vm.ExpectAny(ctx, append(texts, bad...)...)
	if err != nil {
		return -1, got, fmt.Errorf("silent for %v or ended: %w", quiet, err)
	}
	if which >= len(texts) {
		// What follows says more.
		rest, stop := context.WithTimeout(context.Background(), 3*time.Second)
		defer stop()
		more, _ := m.vm.Expect(rest, "\x00")
		return -1, got, fmt.Errorf("the machine broke down: %s%s", tail(got, 3000), more)
	}
	return which, got, nil
}

// must is expect for a text without which the test cannot go on.
func (m *machine) must(quiet time.Duration, text string) string {
	m.t.Helper()
	_, got, err := m.expect(quiet, text)
	if err != nil {
		m.t.Fatal(err)
	}
	return got
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
