// Package amd64 lets a program built with an unmodified Go toolchain run as a
// UEFI application on x86-64, without an operating system beneath it.
//
// # The model
//
// The program is an ordinary position-independent Linux executable
// (GOOS=linux -buildmode=pie, no cgo). The packer of this project turns it into a
// PE32+ image whose entry point is efiEntry. That entry sets the processor up
// and then starts the Go runtime at its usual Linux entry; from there on this
// package plays the part of Linux. A Go runtime asks its kernel for very
// little, some thirty system calls: memory, threads, futexes, signals and a clock.
// They are served here, in ring 0, in the same address space.
//
// Four ideas carry the design:
//
//   - Everything enters through one door. A SYSCALL, a fault and an interrupt
//     all build the same trap frame and call trap, which saves the interrupted
//     registers in the thread they belong to, acts, picks a thread and resumes
//     it. The kernel is not preemptible and keeps no state on its stack.
//   - The firmware stays alive. It keeps its page tables, descriptor tables and
//     stack; a call into it, an interrupt meant for it and an idle wait all pass
//     through the gate, which puts its page tables, descriptor tables, segments and stack
//     back for that time. The bases of FS and GS, CR0, CR4, XCR0 and EFER, which no firmware
//     is known to need, stay ours until the program leaves.
//   - Memory is demand-zero. The firmware's identity map stays where it is, less
//     page 0, so physical memory handed to firmware has pointer == address; the Go
//     heap lives in regions the firmware does not map.
//   - A fault in Go code is a signal to the Go runtime, so that a nil dereference
//     is an ordinary panic. A fault in kernel code stops the machine with a report.
//
// A program built by TamaGo runs on the same machine. What only one of the two runtimes
// needs is in linux.go and tamago.go.
//
// # Rules for kernel code
//
// The files named in kernel.go run without a goroutine: on a per-processor stack,
// with a g that only says that the stack is large. Such code must not allocate, must
// not store pointers in memory (a write barrier would run; addresses are kept as
// uintptr), and must not use maps, interfaces, closures, defer or string building.
// A test disassembles the kernel and checks what it calls.
package amd64

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// maxCallArgs is the most arguments a firmware function is given.
const maxCallArgs = 16

// gateCall is one function call under the firmware's context. Its layout is known
// to the assembly.
type gateCall struct {
	fn   uintptr
	n    uintptr // arguments used
	sti  uintptr // non-zero: interrupts are enabled before the call
	ret  uintptr
	args [maxCallArgs]uintptr
}

// Booted reports whether the program was started by UEFI firmware. It is false in
// a Linux process, where the other functions of this package fail or do nothing.
func Booted() bool { return entryPoint != 0 && booted != 0 }

// ImageHandle is the EFI_HANDLE that firmware gave to the image.
func ImageHandle() uintptr { return imageHandle }

// SystemTable is the address of the EFI_SYSTEM_TABLE.
func SystemTable() uintptr { return systemTable }

// Call calls the firmware function at fn with the MS x64 calling convention (UEFI
// 2.10 section 2.3.4) and returns what it leaves in RAX. Calls are serialised and
// run on the boot processor with interrupts on; no goroutine runs on that processor
// meanwhile. Pointers among args must point to memory that firmware can see:
// AllocPhysical's or package-level variables, never the Go heap or a stack.
func Call(fn uintptr, args ...uintptr) uintptr {
	if !Booted() {
		panic("amd64.Call: not started by UEFI firmware")
	}
	if len(args) > maxCallArgs {
		panic("amd64.Call: too many arguments")
	}
	c := gateCall{fn: fn, n: uintptr(len(args)), sti: 1}
	copy(c.args[:], args)
	kernelCall(sysFirmwareCall, unsafe.Pointer(&c), 0)
	return c.ret
}

// HandBack returns all processors but the boot processor to the firmware, which may
// want to find them where it left them when it resets the machine or starts another
// image. The program continues on the boot processor alone; faults inside the firmware are
// still reported.
func HandBack() {
	if Booted() {
		c := gateCall{fn: handBackCall}
		kernelCall(sysFirmwareCall, unsafe.Pointer(&c), 0)
		useProcessors(1)
	}
}

// ExitTo ends the program, gives everything back to the firmware, and then starts an image that the firmware has
// loaded (StartImage, UEFI 2.10, 7.4.2). When that returns, or if image is 0, the firmware goes on behind this
// program, which says that it was aborted: its boot manager then takes the next boot option (3.1.1).
func ExitTo(image uintptr) {
	next = image
	os.Exit(1)
}

// next is the image that giveBack starts, or 0.
var next uintptr

// ErrNoMemory says that no run of free physical memory is long enough.
var ErrNoMemory = errors.New("not enough free memory")

// AllocPhysical returns size bytes of page-aligned, physically contiguous memory
// outside the Go heap whose addresses are physical addresses, so that firmware and
// devices can use it. Its contents are undefined, since large buffers are overwritten at
// once anyway. It is not garbage collected: see FreePhysical.
func AllocPhysical(size int) ([]byte, error) { return alloc(sysAllocPhysical, size) }

// AllocLow is AllocPhysical for memory below 4 GiB, where a controller with addresses of 32 bits
// reaches it, if there is any.
func AllocLow(size int) ([]byte, error) {
	if b, err := alloc(sysAllocLow, size); err == nil {
		return b, nil
	}
	return AllocPhysical(size)
}

func alloc(number uintptr, size int) ([]byte, error) {
	if size <= 0 {
		return nil, fmt.Errorf("amd64: allocation of %d bytes", size)
	}
	if !Booted() {
		return nil, errors.New("amd64: physical memory can only be had under UEFI firmware")
	}
	addr, ok := kernelCall(number, nil, uintptr(size))
	if !ok {
		return nil, fmt.Errorf("amd64: %d MiB in one piece: %w", (size+1<<20-1)>>20, ErrNoMemory)
	}
	return unsafe.Slice(at[byte](addr), size), nil
}

// FreePhysical gives back what AllocPhysical returned.
func FreePhysical(p []byte) {
	if len(p) == 0 {
		return
	}
	kernelCall(sysFreePhysical, unsafe.Pointer(unsafe.SliceData(p)), uintptr(len(p)))
}

// Physical reports whether all of p is memory that firmware may be given: the
// identity-mapped kind that AllocPhysical returns, or the program image's own data.
func Physical(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	addr := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return paging.IdentityMapped(addr, uintptr(len(p)))
}

// MemoryStats counts physical memory, in bytes.
type MemoryStats struct {
	Total uint64 // taken over from firmware at start
	Free  uint64 // not in use
	Heap  uint64 // what the Go heap can have of Total
}

// Memory returns the present use of physical memory.
func Memory() MemoryStats {
	var s MemoryStats
	if Booted() {
		kernelCall(sysMemoryStats, unsafe.Pointer(&s), 0)
		s.Free += heapUnused(s.Heap)
	}
	return s
}

// StartProcessors brings the other processors up, so that the program runs on most at most,
// and returns how many those are. It starts them once: what was handed back stays there. There
// is firmware that stops in here for ever, so do it when a person can be told before.
func StartProcessors(most int) int {
	if Booted() && cpuCount == 1 && most > 1 {
		c := gateCall{fn: startCall}
		c.args[0] = uintptr(most)
		kernelCall(sysFirmwareCall, unsafe.Pointer(&c), 0)
		useProcessors(cpuCount)
	}
	return Processors()
}

// Processors is how many processors the program runs on at present.
func Processors() int {
	if !Booted() {
		return runtime.NumCPU()
	}
	return cpuCount
}

// Present is how many processors the machine has that the program could run on.
func Present() int {
	if !Booted() {
		return runtime.NumCPU()
	}
	return cpusPresent
}

// Starting tells how the other processors come up: which protocol the firmware has for it, and
// what it said to that.
func Starting() string {
	text := "the firmware has no protocol for other processors"
	switch {
	case mpServices == 0:
		return text
	case mpFramework:
		text = "Framework MP services"
	default:
		text = "PI MP services"
	}
	if mpStatus != 0 {
		text += fmt.Sprintf(", which refuse them in the background (%v)", uefi.Status(mpStatus))
	}
	return text
}

// Mode describes how the firmware has set the processors up: "xAPIC, 4-level page tables".
func Mode() string {
	if !Booted() {
		return "not started by UEFI firmware"
	}
	apic, levels := "xAPIC", 4
	if apicRegs == 0 {
		apic = "x2APIC"
	}
	if readCR4()&cr4LA57 != 0 {
		levels = 5
	}
	return fmt.Sprintf("%s, %d-level page tables", apic, levels)
}

// ClockStats describes the time-stamp counters, from which all time is derived.
type ClockStats struct {
	Rate      uint64        // ticks per second
	Invariant bool          // the rate never changes: CPUID leaf 0x80000007
	Apart     time.Duration // the largest distance from the boot processor's counter, before correction
	Within    time.Duration // the error bound of the correction: large on an emulator with fewer real processors
}

// Clock returns the state of the time-stamp counters.
func Clock() ClockStats {
	if !Booted() {
		return ClockStats{}
	}
	s := ClockStats{Rate: 1e9 << 32 / tscMult}
	if max, _, _, _ := cpuid(0x80000000, 0); max >= 0x80000007 {
		_, _, _, d := cpuid(0x80000007, 0)
		s.Invariant = d>>8&1 != 0
	}
	for i := range cpuCount {
		c := processor(i)
		off := int64(c.tscApart)
		s.Apart = max(s.Apart, time.Duration(nanoseconds(uint64(max(off, -off)))))
		s.Within = max(s.Within, time.Duration(nanoseconds(c.tscWithin)))
	}
	return s
}

// SinceStart is how long ago firmware handed over to the image.
func SinceStart() time.Duration {
	if !Booted() {
		return 0
	}
	// A system call, so that the goroutine cannot move to another processor meanwhile.
	ns, _ := kernelCall(sysSinceStart, nil, 0)
	return time.Duration(ns)
}

// In8 reads a byte from an I/O port.
func In8(port uint16) uint8

// Out8 writes a byte to an I/O port.
func Out8(port uint16, v uint8)
