// Command selftest is a small UEFI application that exercises the machine below
// the Go runtime: faults, preemption, memory, timers, threads, registers. It
// prints one line per check on standard output, which is the serial port under
// firmware, then "selftest: all N checks passed" or "selftest: FAILED", and
// ends as the variable finish says. On a Linux host it runs all checks
// but those of amd64, so that a check that is itself wrong shows there.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"alphaos/amd64"
	"alphaos/uefi"
)

// finish is set at link time: "shutdown" resets the machine to off, "exit"
// returns to the firmware, "crash" dies of a panic that is not recovered.
var finish = "shutdown"

type check struct {
	name string
	run  func() error
}

func main() {
	fmt.Printf("selftest: begin, %d processors, %s\n", amd64.StartProcessors(amd64.Present()), amd64.Mode())
	debug.SetMemoryLimit(600 << 20) // a machine of 1 GiB must do
	var all []check
	all = append(all, faultChecks...)
	all = append(all, runtimeChecks...)
	all = append(all, memoryChecks...)
	all = append(all, libraryChecks...)
	if amd64.Booted() {
		all = append(all, machineChecks...)
	}
	failed := 0
	for _, c := range all {
		began := time.Now()
		err := protect(c.run)
		took := time.Since(began).Round(time.Millisecond)
		if err != nil {
			failed++
			fmt.Printf("selftest: FAIL %s: %v (%v)\n", c.name, err, took)
		} else {
			fmt.Printf("selftest: PASS %s (%v)\n", c.name, took)
		}
	}
	if failed > 0 {
		fmt.Printf("selftest: FAILED: %d of %d checks\n", failed, len(all))
	} else {
		fmt.Printf("selftest: all %d checks passed\n", len(all))
	}
	switch {
	case finish == "crash":
		crash(nil)
	case finish == "shutdown" && amd64.Booted():
		shutdown()
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// protect turns a panic of a check into its failure.
func protect(run func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return run()
}

//go:noinline
func crash(p *int) { *p = 1 }

// shutdown powers the machine off, UEFI 2.10 section 8.5.1.
func shutdown() {
	st := (*uefi.SystemTable)(unsafe.Add(unsafe.Pointer(nil), amd64.SystemTable()))
	rt := (*uefi.RuntimeServices)(unsafe.Add(unsafe.Pointer(nil), st.RuntimeServices))
	status := amd64.Call(rt.ResetSystem, uintptr(uefi.ResetShutdown), 0, 0, 0)
	fmt.Printf("selftest: FAILED: ResetSystem returned %#x\n", status)
}

// want returns an error unless got contains text.
func want(got, text string) error {
	if !strings.Contains(got, text) {
		return fmt.Errorf("got %q, want %q in it", got, text)
	}
	return nil
}
