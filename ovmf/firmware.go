// Package ovmf runs a drive image in QEMU under OVMF, the UEFI firmware for
// virtual machines, and acts as the person in front of it: it reads and types
// on the serial port, presses keys, takes screenshots, and pulls the plug.
//
// The model. A [VM] is one QEMU process with its own temporary directory: its
// own copy of the firmware's variable store, a Unix socket for the serial port
// and one for QMP, QEMU's control protocol. Everything that waits takes a
// context and ends early when the machine does; nothing sleeps for a fixed
// time. When a wait fails, the error carries the last serial output and the
// path of a screenshot, so that a failure on another machine can be read.
//
// The environment can override what is found:
//
//	ALPHAOS_OVMF_CODE, ALPHAOS_OVMF_VARS   the two firmware files
//	ALPHAOS_QEMU                           the qemu-system-x86_64 program
//	ALPHAOS_ACCEL                          "kvm" or "tcg", instead of a probe
//	ALPHAOS_SCREENS                        folder for screenshots of failures
package ovmf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Firmware names the two halves of OVMF: Code is read-only flash, Vars the
// initial variable store, which every machine gets a copy of. An empty Vars
// means that Code holds both. Secure is a build with Secure Boot, which keeps its variables
// where only system management mode can write.
type Firmware struct {
	Code, Vars string
	Secure     bool
}

// places lists where distributions install OVMF without Secure Boot, the
// larger 4 MiB build first: newer distributions ship nothing else.
var places = []Firmware{
	// Debian, Ubuntu
	{Code: "/usr/share/OVMF/OVMF_CODE_4M.fd", Vars: "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{Code: "/usr/share/OVMF/OVMF_CODE.fd", Vars: "/usr/share/OVMF/OVMF_VARS.fd"},
	// Fedora, CentOS
	{Code: "/usr/share/edk2/ovmf/OVMF_CODE.fd", Vars: "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	// Arch
	{Code: "/usr/share/edk2/x64/OVMF_CODE.4m.fd", Vars: "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
	{Code: "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", Vars: "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"},
	{Code: "/usr/share/ovmf/x64/OVMF_CODE.fd", Vars: "/usr/share/ovmf/x64/OVMF_VARS.fd"},
	// openSUSE
	{Code: "/usr/share/qemu/ovmf-x86_64-4m-code.bin", Vars: "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"},
	{Code: "/usr/share/qemu/ovmf-x86_64-code.bin", Vars: "/usr/share/qemu/ovmf-x86_64-vars.bin"},
	// QEMU's own build (Homebrew, Nix); its variable store is shared with i386
	{Code: "/opt/homebrew/share/qemu/edk2-x86_64-code.fd", Vars: "/opt/homebrew/share/qemu/edk2-i386-vars.fd"},
	{Code: "/usr/local/share/qemu/edk2-x86_64-code.fd", Vars: "/usr/local/share/qemu/edk2-i386-vars.fd"},
	{Code: "/usr/share/qemu/edk2-x86_64-code.fd", Vars: "/usr/share/qemu/edk2-i386-vars.fd"},
}

// securePlaces lists builds with Secure Boot, whose variable stores have no keys.
var securePlaces = []Firmware{
	{Code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", Vars: "/usr/share/OVMF/OVMF_VARS_4M.fd", Secure: true},
	{Code: "/usr/share/OVMF/OVMF_CODE.secboot.fd", Vars: "/usr/share/OVMF/OVMF_VARS.fd", Secure: true},
	{Code: "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", Vars: "/usr/share/edk2/ovmf/OVMF_VARS.fd", Secure: true},
	{Code: "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", Vars: "/usr/share/edk2/x64/OVMF_VARS.4m.fd", Secure: true},
	{Code: "/usr/share/qemu/ovmf-x86_64-smm-4m-code.bin", Vars: "/usr/share/qemu/ovmf-x86_64-smm-4m-vars.bin", Secure: true},
}

// FindSecure returns the installed OVMF with Secure Boot.
func FindSecure() (Firmware, error) {
	for _, fw := range securePlaces {
		if isFile(fw.Code) && isFile(fw.Vars) {
			return fw, nil
		}
	}
	return Firmware{}, fmt.Errorf("OVMF with Secure Boot is %w: run \"apt-get install ovmf\" (Fedora, Arch: edk2-ovmf)", ErrNotInstalled)
}

// ErrNotInstalled is wrapped by the errors of [Find] and [Program].
var ErrNotInstalled = errors.New("not installed")

// Find returns the installed OVMF, or what the environment names.
func Find() (Firmware, error) {
	if code := os.Getenv("ALPHAOS_OVMF_CODE"); code != "" {
		fw := Firmware{Code: code, Vars: os.Getenv("ALPHAOS_OVMF_VARS")}
		for _, name := range []string{fw.Code, fw.Vars} {
			if name == "" {
				continue
			}
			if _, err := os.Stat(name); err != nil {
				return Firmware{}, fmt.Errorf("the firmware named by ALPHAOS_OVMF_CODE and ALPHAOS_OVMF_VARS cannot be used: %w", err)
			}
		}
		return fw, nil
	}
	for _, fw := range places {
		if isFile(fw.Code) && isFile(fw.Vars) {
			return fw, nil
		}
	}
	return Firmware{}, fmt.Errorf("OVMF, the UEFI firmware for QEMU, is %w: run \"apt-get install ovmf\" (Fedora, Arch: edk2-ovmf), or name its files in ALPHAOS_OVMF_CODE and ALPHAOS_OVMF_VARS", ErrNotInstalled)
}

// Program returns the path of qemu-system-x86_64.
func Program() (string, error) {
	name := "qemu-system-x86_64"
	if env := os.Getenv("ALPHAOS_QEMU"); env != "" {
		name = env
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is %w: run \"apt-get install qemu-system-x86\" (Fedora: qemu-system-x86, Arch: qemu-base), or name the program in ALPHAOS_QEMU", filepath.Base(name), ErrNotInstalled)
	}
	return path, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
