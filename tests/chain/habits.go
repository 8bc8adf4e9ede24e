package main

import (
	"fmt"
	"strings"

	"alphaos/amd64"
)

// habits is set by the linker: habits of other firmware that OVMF takes on before the image
// starts, any of
//
//	nonx     the execute-disable bit of page tables is off (EFER.NXE clear), as EDK2 leaves
//	         it for some settings; with it clear, bit 63 of an entry is reserved
//	fullmap  the page tables map all that they can: all of the top-level table is taken, as
//	         on a machine with 48 bits of physical address
var habits string

// Of a page table's entry.
const (
	present  = 1 << 0
	large    = 1 << 7
	noExec   = 1 << 63
	pageMask = 0x000ffffffffff000
)

// In habits_amd64.s. The first two are called by the firmware's convention.
func topTable() uintptr           // the address of a function that returns CR3
func withoutNX() uintptr          // the address of startWithoutNX
func writeProtect(on bool)        // CR0.WP: whether read-only pages are that for ring 0 too
func table(addr uintptr) []uint64 { return at[[512]uint64](addr & pageMask)[:] }

// takeOn gives the firmware the habits and returns the function that starts an image, to be
// called with StartImage's address and the handle. The other processors were handed back.
func takeOn(startImage uintptr) (start func(handle uintptr) uintptr) {
	start = func(handle uintptr) uintptr { return amd64.Call(startImage, handle, 0, 0) }
	top := table(amd64.Call(topTable()))
	writeProtect(false)
	defer writeProtect(true)
	if strings.Contains(habits, "fullmap") {
		n := 0
		for i := range top {
			if top[i]&present == 0 {
				top[i] = top[0]
				n++
			}
		}
		fmt.Printf("chain: %d more of the 512 top-level entries are taken\n", n)
	}
	if strings.Contains(habits, "nonx") {
		fmt.Printf("chain: execution allowed by %d entries of page tables\n", allowExec(top, 4, map[uint64]bool{}))
		start = func(handle uintptr) uintptr { return amd64.Call(withoutNX(), startImage, handle) }
	}
	return start
}

// allowExec clears the execute-disable bit in a table of a level and below, and returns how
// often.
func allowExec(t []uint64, level int, seen map[uint64]bool) (n int) {
	for i, e := range t {
		if e&present == 0 {
			continue
		}
		if e&noExec != 0 {
			t[i] = e &^ noExec
			n++
		}
		if level > 1 && (level == 4 || e&large == 0) && !seen[e&pageMask] {
			seen[e&pageMask] = true
			n += allowExec(table(uintptr(e)), level-1, seen)
		}
	}
	return n
}
