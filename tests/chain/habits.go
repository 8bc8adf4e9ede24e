package main

import (
	"fmt"
	"reflect"
	"strings"

	"alphaos/amd64"
	"alphaos/uefi"
)

// habits is set by the linker: habits of other firmware that OVMF takes on before the image
// starts, any of
//
//	nonx     the execute-disable bit of page tables is off (EFER.NXE clear), as EDK2 leaves
//	         it for some settings; with it clear, bit 63 of an entry is reserved
//	apple    the Console Control protocol, in graphics mode at first, as after the Mac's
//	         picker; in that mode a timer takes all keys from ConIn, as AppleEvent does; no
//	         Simple Text Input Ex
//	freeze   ReadKeyStroke and ReadKeyStrokeEx of the console do not return unless
//	         CheckEvent has said just before that a key waits
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

// In habits_amd64.s.
func topTable() uintptr                          // the address of a function that returns CR3
func withoutNX() uintptr                         // that of startWithoutNX
func console() (getMode, setMode, drain uintptr) // those of the Console Control protocol and of the timer's function
func keys() (check, read, readEx uintptr)        // CheckEvent and ReadKeyStroke with the habit freeze
func writeProtect(on bool)                       // CR0.WP: whether read-only pages are that for ring 0 too

func table(addr uintptr) []uint64 { return at[[512]uint64](addr & pageMask)[:] }

// takeOn gives the firmware the habits and returns the function that starts an image, to be
// called with StartImage's address and the handle. The other processors were handed back.
func takeOn(startImage uintptr) (start func(handle uintptr) uintptr) {
	start = func(handle uintptr) uintptr { return amd64.Call(startImage, handle, 0, 0) }
	if strings.Contains(habits, "apple") {
		if err := apple(); err != nil {
			fmt.Println("chain: FAILED: apple:", err)
		}
	}
	if strings.Contains(habits, "freeze") {
		freeze()
	}
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

// What the functions of habits_amd64.s work with.
var (
	consoleMode uint32 = uefi.ConsoleGraphics
	conIn       uintptr
	keyStroke   [2]uint16
	control     uefi.ConsoleControl
	event       uintptr
)

// What freeze replaces, and the events that say that a key waits.
var (
	checkEvent, readKey, readKeyEx uintptr
	plainEvent, exEvent            uintptr
	keyWaits                       uint32
)

func freeze() {
	st := at[uefi.SystemTable](amd64.SystemTable())
	bs := at[uefi.BootServices](st.BootServices)
	plain := at[uefi.SimpleTextInput](st.ConIn)
	amd64.Call(bs.HandleProtocol, st.ConsoleInHandle, reflect.ValueOf(&uefi.TextInputExGUID).Pointer(), reflect.ValueOf(&out).Pointer())
	ex := at[uefi.SimpleTextInputEx](out)
	plainEvent, exEvent = plain.WaitForKey, ex.WaitForKeyEx
	checkEvent, readKey, readKeyEx = bs.CheckEvent, plain.ReadKeyStroke, ex.ReadKeyStrokeEx
	bs.CheckEvent, plain.ReadKeyStroke, ex.ReadKeyStrokeEx = keys()
	fmt.Println("chain: reading keys that are not there freezes")
}

func apple() error {
	st := at[uefi.SystemTable](amd64.SystemTable())
	bs := at[uefi.BootServices](st.BootServices)
	service := func(fn uintptr, args ...uintptr) error { return uefi.Status(amd64.Call(fn, args...)).Err() }
	address := func(p any) uintptr { return reflect.ValueOf(p).Pointer() }
	conIn = st.ConIn
	var drain uintptr
	control.GetMode, control.SetMode, drain = console()
	out = 0 // a new handle
	if err := service(bs.InstallProtocolInterface, address(&out), address(&uefi.ConsoleControlGUID), 0, address(&control)); err != nil {
		return err
	}
	if err := service(bs.HandleProtocol, st.ConsoleInHandle, address(&uefi.TextInputExGUID), address(&out)); err != nil {
		return err
	}
	if err := service(bs.UninstallProtocolInterface, st.ConsoleInHandle, address(&uefi.TextInputExGUID), out); err != nil {
		return err
	}
	const timerAndSignal, callback, periodic, every = 0x80000200, 8, 1, 10000 // every 1 ms
	if err := service(bs.CreateEvent, timerAndSignal, callback, drain, 0, address(&event)); err != nil {
		return err
	}
	fmt.Println("chain: keys are taken away in graphics mode")
	return service(bs.SetTimer, event, periodic, every)
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
