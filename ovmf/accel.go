package ovmf

// Choosing between KVM and TCG. A /dev/kvm that opens proves little: inside
// containers and nested machines QEMU may abort while it sets up the
// processor, or the firmware may never get going. So the question is put to
// the firmware itself: KVM is used only if OVMF, started with it, says its
// first byte on the serial port within a short time.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// probeBound is how long the firmware may take to its first byte under KVM.
// It needs about a second where KVM works, and about three under TCG.
const probeBound = 6 * time.Second

var probe struct {
	sync.Mutex
	done bool
	kvm  bool
	why  string
}

// KVM reports whether QEMU with KVM really boots the firmware on this host,
// and if not, why, in a few words. The answer is found once per process.
func KVM(ctx context.Context) (ok bool, why string) {
	probe.Lock()
	defer probe.Unlock()
	if probe.done {
		return probe.kvm, probe.why
	}
	ok, why = probeKVM(ctx)
	if ctx.Err() == nil { // an interrupted probe proves nothing
		probe.done, probe.kvm, probe.why = true, ok, why
	}
	return ok, why
}

func probeKVM(ctx context.Context) (bool, string) {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Sprintf("no access to it: %v", err)
	}
	f.Close()
	ctx, cancel := context.WithTimeout(ctx, probeBound)
	defer cancel()
	vm, err := Start(ctx, Config{Accel: "kvm", MemoryMiB: 256})
	if err != nil {
		return false, "it does not start here"
	}
	defer vm.Close()
	if _, err := vm.serial.wait(ctx, vm.exited, func(clean []byte, total int) int { return min(total, 1) - 1 }); err != nil {
		select {
		case <-vm.exited:
			return false, "it fails here"
		default:
			return false, fmt.Sprintf("the firmware does not get going with it within %v", probeBound)
		}
	}
	return true, ""
}

// accelerator turns Config.Accel into QEMU's arguments.
func accelerator(ctx context.Context, accel string) ([]string, error) {
	if accel == "" {
		accel = os.Getenv("ALPHAOS_ACCEL")
	}
	if accel == "" {
		accel = "tcg"
		if ok, _ := KVM(ctx); ok {
			accel = "kvm"
		}
	}
	switch accel {
	case "kvm":
		return []string{"-accel", "kvm", "-cpu", "host"}, nil
	case "tcg":
		return []string{"-accel", "tcg,thread=multi", "-cpu", "max"}, nil
	}
	return nil, fmt.Errorf("no accelerator is called %q: use kvm or tcg, or leave it out to have the better one that works chosen", accel)
}

// Displays lists the kinds of window this QEMU can open, as -display names
// them: "gtk", "sdl", "cocoa"...
func Displays(ctx context.Context) ([]string, error) {
	qemu, err := Program()
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, qemu, "-display", "help").Output()
	if err != nil {
		return nil, fmt.Errorf("asking QEMU for its displays: %w", err)
	}
	return parseDisplays(string(out)), nil
}

// parseDisplays keeps the names of real windows from "-display help".
func parseDisplays(help string) []string {
	var names []string
	for _, line := range strings.Split(help, "\n") {
		switch name := strings.TrimSpace(line); name {
		case "gtk", "sdl", "cocoa":
			names = append(names, name)
		}
	}
	return names
}
