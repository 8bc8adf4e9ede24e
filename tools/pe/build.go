package pe

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ForMachine is the environment in which go builds what is to run in the machine.
var ForMachine = []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"}

// Build has go build a command into an EFI application, as the Makefile does. dir is the module's folder, from which pkg
// is named; flags are go build's.
func Build(dir, pkg string, flags ...string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "alphaos-efi-")
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", pkg, err)
	}
	defer os.RemoveAll(tmp)
	elf := filepath.Join(tmp, "program.elf")
	args := append([]string{"build", "-buildvcs=false", "-trimpath", "-buildmode=pie", "-o", elf}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), ForMachine...)
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("building %s takes Go, which is not installed here, or not in the PATH: https://go.dev/dl has it", pkg)
	} else if err != nil {
		return nil, fmt.Errorf("go build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	f, err := os.Open(elf)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Pack(f)
}
