package main

import (
	"fmt"
	"reflect"
	"strings"

	"alphaos/amd64"
	"alphaos/uefi"
)

// habits is set by the linker: habits of other firmware that OVMF takes on before the image
// starts. When the machine is reset or switched off, the serial line tells which of them were
// met: a habit that nothing came upon proves nothing. They are any of
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
func lastWord() uintptr                          // ResetSystem that tells what was met before
func writeProtect(on bool)                       // CR0.WP: whether read-only pages are that for ring 0 too

func table(addr uintptr) []uint64 { return at[[512]uint64](addr & pageMask)[:] }

// met is what is said at the end: a letter, or a hyphen, for each habit.
var met = [...]byte{'c', 'h', 'a', 'i', 'n', ':', ' ', 'm', 'e', 't', ' ', '-', '-', '-', '-', '\n'}

const metNoNX, metFullMap, metFreeze, metApple = 11, 12, 13, 14 // in met

// takeOn gives the firmware the habits and returns the function that starts an image by its
// handle. The other processors were handed back.
func takeOn(startImage uintptr) (start func(handle uintptr) uintptr, err error) {
	start = func(handle uintptr) uintptr { return amd64.Call(startImage, handle, 0, 0) }
	if habits == "" {
		return start, nil
	}
	if strings.Contains(habits, "apple") {
		if err := apple(); err != nil {
			return nil, fmt.Errorf("the habit apple: %w", err)
		}
	}
	if strings.Contains(habits, "freeze") {
		if err := freeze(); err != nil {
			return nil, fmt.Errorf("the habit freeze: %w", err)
		}
	}
	top := table(amd64.Call(topTable()))
	writeProtect(false)
	defer writeProtect(true)
	rs := at[uefi.RuntimeServices](at[uefi.SystemTable](amd64.SystemTable()).RuntimeServices)
	resetSystem, rs.ResetSystem = rs.ResetSystem, lastWord()
	if strings.Contains(habits, "fullmap") {
		for i := range top {
			if top[i]&present == 0 {
				top[i], met[metFullMap] = top[0], 'm'
			}
		}
	}
	if strings.Contains(habits, "nonx") {
		allowExec(top, 4, map[uint64]bool{})
		start = func(handle uintptr) uintptr { return amd64.Call(withoutNX(), startImage, handle) }
	}
	return start, nil
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
	resetSystem                    uintptr // what lastWord replaces
)

func freeze() error {
	st := at[uefi.SystemTable](amd64.SystemTable())
	bs := at[uefi.BootServices](st.BootServices)
	plain := at[uefi.SimpleTextInput](st.ConIn)
	status := uefi.Status(amd64.Call(bs.HandleProtocol, st.ConsoleInHandle, reflect.ValueOf(&uefi.TextInputExGUID).Pointer(), reflect.ValueOf(&out).Pointer()))
	if err := status.Err(); err != nil {
		return err
	}
	ex := at[uefi.SimpleTextInputEx](out)
	plainEvent, exEvent = plain.WaitForKey, ex.WaitForKeyEx
	checkEvent, readKey, readKeyEx = bs.CheckEvent, plain.ReadKeyStroke, ex.ReadKeyStrokeEx
	bs.CheckEvent, plain.ReadKeyStroke, ex.ReadKeyStrokeEx = keys()
	return nil
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
	return service(bs.SetTimer, event, periodic, every)
}

// allowExec clears the execute-disable bit in a table of a level and below.
func allowExec(t []uint64, level int, seen map[uint64]bool) {
	for i, e := range t {
		if e&present == 0 {
			continue
		}
		t[i] = e &^ noExec
		if level > 1 && (level == 4 || e&large == 0) && !seen[e&pageMask] {
			seen[e&pageMask] = true
			allowExec(table(uintptr(e)), level-1, seen)
		}
	}
}
