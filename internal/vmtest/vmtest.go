// Package vmtest is what tests need that boot the machine: programs built for
// it, drives to boot from, and a person who sits in front of it.
//
// A test package calls Main from its TestMain; its tests call NeedQEMU, make a
// drive with NewDrive, start it with Boot and then act: Expect what the machine
// says, Say something, take a Screenshot, switch it Off or Kill it, and check
// what is left on the drive with CheckDrive and ReadFile. Package ovmf runs
// QEMU below this; vmtest only adds what a test wants of it: whatever goes
// wrong fails the test, with the machine's last words and its screen, and
// nothing outlives the test.
package vmtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"alphaos/ovmf"
	"alphaos/tools/pe"
)

// scratch holds what is built once for all tests of a package.
var scratch string

// Main runs a package's tests and returns the exit code for os.Exit.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "alphaos-tests-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	scratch = dir
	if os.Getenv("ALPHAOS_SCREENS") == "" {
		os.Setenv("ALPHAOS_SCREENS", filepath.Join(Root(), "build", "screens"))
	}
	return m.Run()
}

// Scratch returns a path for a file that lasts as long as the package's tests.
func Scratch(name string) string { return filepath.Join(scratch, name) }

// Root returns the repository's folder.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd() // a test begins in its package's folder
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			err = os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
	panic(fmt.Sprintf("looking for go.mod: %v", err))
})

// NeedQEMU skips the test where it cannot boot a machine.
func NeedQEMU(t testing.TB) {
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

// Go runs the go command in the repository's folder, with env added to the
// environment.
func Go(t testing.TB, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Pack turns the executable elf into an EFI application's bytes.
func Pack(t testing.TB, elf string) []byte {
	t.Helper()
	program, err := os.ReadFile(elf)
	if err != nil {
		t.Fatal(err)
	}
	image, err := pe.Pack(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// built names what was built, by the arguments it was built with; building guards it.
var (
	built    = map[string]string{}
	building sync.Mutex
)

// once calls build to make the file that it is given, unless one was made with
// the same arguments before, and returns its path.
func once(build func(file string), args ...string) string {
	building.Lock()
	defer building.Unlock()
	key := fmt.Sprintf("%q", args)
	file, ok := built[key]
	if !ok {
		file = Scratch(fmt.Sprintf("built-%d", len(built)))
		build(file)
		built[key] = file
	}
	return file
}

// EFI builds a command into an EFI application, once for all tests, and returns its path. The package is named from the repository's
// folder on; flags are go build's.
func EFI(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	args := append(flags, pkg)
	return once(func(file string) {
		t.Helper()
		image, err := pe.Build(Root(), pkg, flags...)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, image, 0o666); err != nil {
			t.Fatal(err)
		}
	}, args...)
}

// AlphaOS returns BOOTX64.EFI.
func AlphaOS(t testing.TB) string {
	t.Helper()
	return EFI(t, ".")
}

// Host builds a command for this host, once for all tests, and returns its path.
func Host(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	args := append(flags, pkg)
	return once(func(file string) {
		t.Helper()
		Go(t, []string{"CGO_ENABLED=0"}, append([]string{"build", "-buildvcs=false", "-trimpath", "-o", file}, args...)...)
	}, append(args, "for the host")...)
}

// Command runs the host command alphaos and returns its standard output.
func Command(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(Host(t, "./tools/alphaos"), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("alphaos %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}
