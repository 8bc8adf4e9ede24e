package main

// Firmware functions with habits. A hook takes the place of a function pointer in one of the
// firmware's tables. It runs when the other image calls the firmware: on the firmware's stack and
// page tables, with a g of its own that only says that the stack is large. So it keeps to the
// rules of amd64's kernel: it allocates nothing, stores no pointers, is no closure, and touches
// no memory but the image's own and the firmware's.

import (
	"alphaos/amd64"
	"alphaos/uefi"
)

// hookCall is a call that came to a hook, in the MS x64 convention. The assembly knows its layout.
type hookCall struct {
	hook uintptr
	args [4]uintptr
	more uintptr // address of the fifth argument, which the others follow
	ret  uintptr
	next uintptr // the function to go on with, with the same arguments; 0: ret is the answer
	fs   uintptr
}

const mostHooks = 32 // stubs in the assembly

var (
	hooks [mostHooks]struct {
		instead uintptr              // the function that it replaces; 0: none
		serve   func(call *hookCall) // may answer
	}
	hookCount int

	// The g, and below FS the pointer to it, that hooks run with.
	hookG   [64]uintptr
	hookTLS [2]uintptr
)

// stub returns the address of a function that serve answers, or else instead.
func stub(instead uintptr, serve func(call *hookCall)) uintptr {
	hooks[hookCount].instead, hooks[hookCount].serve = instead, serve
	hookCount++
	return stubAt(hookCount - 1)
}

// replace puts a hook into a table of the firmware's.
func replace(slot *uintptr, serve func(call *hookCall)) { *slot = stub(*slot, serve) }

// answer has the call return a status.
func (c *hookCall) answer(s uefi.Status) { c.ret, c.next = uintptr(s), 0 }

// forward makes the call and keeps its result.
func (c *hookCall) forward() uefi.Status {
	args := [8]uintptr{c.args[0], c.args[1], c.args[2], c.args[3]}
	for i := range 4 {
		args[4+i] = *at[uintptr](c.more + 8*uintptr(i))
	}
	c.answer(uefi.Status(firmware(c.next, &args)))
	return uefi.Status(c.ret)
}

// serveHook is called by the stubs.
func serveHook(c *hookCall) {
	h := &hooks[c.hook]
	c.next = h.instead
	h.serve(c)
}

// firmware calls a function of the firmware's from a hook.
//
//go:noescape
func firmware(fn uintptr, args *[8]uintptr) uintptr

func stubAt(n int) uintptr // the address of a stub
func topTable() uintptr    // that of a function that returns CR3
func withoutNX() uintptr   // that of startWithoutNX
func rawAP() uintptr       // that of an EFI_AP_PROCEDURE: see startRaw
func lateAP() uintptr      // that of one that waits before it runs: see startLate
func interruptsOff()       // till the caller turns them on
func writeProtect(on bool) // CR0.WP: whether read-only pages are that for ring 0 too
func out16(port, v uint16) // to an I/O port
func in16(port uint16) uint16

// say writes text to the first serial port.
func say(text string) {
	for i := 0; i < len(text); i++ {
		sayByte(text[i])
	}
}

func sayByte(b byte) {
	const com1, lineStatus, empty = 0x3f8, 5, 1 << 5
	for amd64.In8(com1+lineStatus)&empty == 0 {
	}
	amd64.Out8(com1, b)
}

func sayNumber(n uint32) {
	if n >= 10 {
		sayNumber(n / 10)
	}
	sayByte(byte('0' + n%10))
}

// tell says which habits there are and how often each was met.
func tell() {
	say("\r\nchain: met")
	for i := range met {
		if taken[i] {
			say(" ")
			say(names[i])
			say("=")
			sayNumber(met[i])
		}
	}
	say(".\r\n")
}
