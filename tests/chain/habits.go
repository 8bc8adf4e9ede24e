package main

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"unsafe"

	"alphaos/amd64"
	"alphaos/uefi"
)

// Habits of other firmware that OVMF takes on before the image starts. When the machine is reset
// or switched off, the serial line tells how often each was met: a habit that nothing came upon
// proves nothing.
const (
	noNX         = iota // EFER.NXE is clear, as EDK2 leaves it for some settings: bit 63 of a page table's entry is reserved
	fullMap             // every entry of the top-level page table is taken, as where firmware maps all 48 bits of addresses
	strict              // page 0 is unmapped, data must not be executed, page tables must not be written
	keysFreeze          // ReadKeyStroke does not return unless CheckEvent has just said that a key waits
	keysOther           // the console's own handle never has a key, another one does
	appleConsole        // the Console Control protocol, in graphics mode, where a timer takes all keys away; no Simple Text Input Ex: a Mac's AppleEvent; its key map tells which keys are down, its name, and its variable of a German keyboard
	appleSilent         // the same, where text mode does not help: the console's input never has a key
	mpNone              // no MP services
	mpRefuse            // StartupAllAPs refuses to work in the background, and in the foreground an event's function takes long
	mpHang              // and this one never comes back
	mpFramework         // the Framework's MP services instead of PI's
	mpDeaf              // this one only waits, with interrupts off, and ends what it started when its time is over
	apRaw               // processors come with CR4.OSFXSR clear and CR0.TS set, and must be given back so
	vectors             // devices interrupt the boot processor with the vectors 0xf0 and 0xf1
	disk640             // requests above 640 KiB fail
	disk64              // above 64 KiB
	diskHigh            // data never arrives above 4 GiB, and no error says so
	diskAligned         // buffers must be aligned to 4 KiB, though IoAlign does not say so
	diskSlow            // 20 MB/s, and 50 ms for FlushBlocks
	gopBlt              // no frame buffer
	gopRGBX             // red comes first
	gopMask             // the pixel format is a set of masks, red first
	gopPitch            // rows are longer than what is seen of them
	gopNone             // no graphics at all
	resetReturns        // ResetSystem comes back without a reset
	timeZone            // the clock's time zone is garbage
	timeYear            // the year is 0
	timeError           // the clock fails
	mapError            // the memory map cannot be had
	mapMoves            // a page of the first range that is asked for was taken after the memory map was read
	memoryMap           // 300 fragments before the largest range, unsorted, descriptors of 64 bytes, a type of the vendor's
	scribble            // something writes into low memory
	habitCount
)

var names = [habitCount]string{
	"nonx", "fullmap", "strict", "keys-freeze", "keys-other", "apple-console", "apple-silent", "mp-none", "mp-refuse", "mp-hang", "mp-framework", "mp-deaf", "ap-raw", "vectors",
	"disk-640k", "disk-64k", "disk-high", "disk-aligned", "disk-slow", "gop-blt", "gop-rgbx", "gop-mask", "gop-pitch", "gop-none",
	"reset-returns", "time-zone", "time-year", "time-error", "map-error", "map-moves", "map", "scribble",
}

var (
	taken [habitCount]bool
	met   [habitCount]uint32
)

// parseHabits reads a list of habits with commas between. Disk-strict is several at once.
func parseHabits(text string) error {
	text = strings.ReplaceAll(text, "disk-strict", "disk-64k,disk-high,disk-aligned,disk-slow")
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return r <= ' ' || r == ',' }) {
		i := slices.Index(names[:], name)
		if i < 0 {
			return fmt.Errorf("there is no habit %q; there are %s", name, strings.Join(names[:], ", "))
		}
		taken[i] = true
	}
	return nil
}

// The firmware's tables, and other things that hooks know.
var (
	st *uefi.SystemTable
	bs *uefi.BootServices
	rs *uefi.RuntimeServices
)

// status calls a function of the firmware's.
func status(fn uintptr, args ...uintptr) error { return uefi.Status(amd64.Call(fn, args...)).Err() }

// addr is the address of a static variable.
func addr(p any) uintptr { return reflect.ValueOf(p).Pointer() }

// interfaceOn returns a protocol's interface on a handle.
func interfaceOn(handle uintptr, guid *uefi.GUID) (uintptr, error) {
	err := status(bs.HandleProtocol, handle, addr(guid), addr(&out))
	return out, err
}

// handlesOf lists the handles with a protocol.
func handlesOf(guid *uefi.GUID) ([]uintptr, error) {
	const byProtocol = 2
	outCount = 0
	if err := status(bs.LocateHandleBuffer, byProtocol, addr(guid), 0, addr(&outCount), addr(&out)); err != nil {
		return nil, err
	}
	list := make([]uintptr, outCount)
	for i := range list {
		list[i] = *at[uintptr](out + 8*uintptr(i))
	}
	return list, nil
}

var outCount uintptr

// hide has the firmware know nothing of a protocol any more.
func hide(guid *uefi.GUID, habit int) {
	hidden[hiddenCount], hiddenBy[hiddenCount] = *guid, habit
	if hiddenCount++; hiddenCount > 1 {
		return
	}
	byFirst := func(c *hookCall) { hideCall(c, c.args[0], uefi.NotFound) }
	bySecond := func(c *hookCall) { hideCall(c, c.args[1], uefi.Unsupported) }
	replace(&bs.LocateProtocol, byFirst)
	replace(&bs.LocateHandleBuffer, func(c *hookCall) { hideCall(c, c.args[1], uefi.NotFound) })
	replace(&bs.HandleProtocol, bySecond)
	replace(&bs.OpenProtocol, bySecond)
}

var (
	hidden      [4]uefi.GUID
	hiddenBy    [4]int
	hiddenCount int
)

func hideCall(c *hookCall, guid uintptr, status uefi.Status) {
	for i := range hiddenCount {
		if guid != 0 && *at[[2]uint64](guid) == *at[[2]uint64](uintptr(unsafe.Pointer(&hidden[i]))) {
			met[hiddenBy[i]]++
			c.answer(status)
		}
	}
}

// install gives a new handle a protocol.
func install(guid *uefi.GUID, iface uintptr) error {
	out = 0
	return status(bs.InstallProtocolInterface, addr(&out), addr(guid), 0, iface)
}

// takeOn gives the firmware the habits and returns the function that starts an image by its
// handle. The other processors were handed back.
func takeOn(startImage uintptr) (start func(handle uintptr) uintptr, err error) {
	start = func(handle uintptr) uintptr { return amd64.Call(startImage, handle, 0, 0) }
	if !slices.Contains(taken[:], true) {
		return start, nil
	}
	// A collection under way would make hooks tell the runtime of their stores.
	debug.SetGCPercent(-1)
	runtime.GC()
	hookTLS[0] = addr(&hookG)
	writeProtect(false)
	defer writeProtect(true)
	for i, take := range [habitCount]func() error{
		fullMap: fillMap, strict: beStrict, keysFreeze: freezeKeys, keysOther: otherKeys, appleConsole: takeConsole, appleSilent: takeConsole,
		mpNone: hideMP, mpRefuse: refuseMP, mpHang: refuseMP, mpFramework: frameworkMP, mpDeaf: refuseMP,
		apRaw: rawMP, vectors: interrupt, mapError: loseMap, mapMoves: moveMap, memoryMap: fragment, scribble: startScribble,
	} {
		if !taken[i] || take == nil {
			continue
		}
		if err := take(); err != nil {
			return nil, fmt.Errorf("the habit %s: %w", names[i], err)
		}
	}
	for _, group := range []struct {
		first, last int
		take        func() error
	}{{disk640, diskSlow, hookDisks}, {gopBlt, gopNone, changeScreens}, {timeZone, timeError, hookTime}} {
		if !slices.Contains(taken[group.first:group.last+1], true) {
			continue
		}
		if err := group.take(); err != nil {
			return nil, fmt.Errorf("the habits from %s to %s: %w", names[group.first], names[group.last], err)
		}
	}
	replace(&rs.ResetSystem, func(c *hookCall) {
		if taken[resetReturns] {
			met[resetReturns]++
			c.answer(uefi.Success)
		}
		tell()
	})
	if taken[noNX] {
		allowExec(tableAt(amd64.Call(topTable())), 4, map[uint64]bool{})
		// The bit goes last: amd64 would miss it.
		start = func(handle uintptr) uintptr { return amd64.Call(withoutNX(), startImage, handle) }
	}
	return start, nil
}

// Bits of an entry of a page table (Intel SDM volume 3, 4.5).
const (
	present  = 1 << 0
	writable = 1 << 1
	large    = 1 << 7
	noExec   = 1 << 63

	pageMask = 0x000ffffffffff000
)

func tableAt(addr uintptr) []uint64 { return at[[512]uint64](addr & pageMask)[:] }

func fillMap() error {
	top := tableAt(amd64.Call(topTable()))
	for i := range top {
		if top[i]&present == 0 {
			top[i] = top[0]
			met[fullMap]++
		}
	}
	return nil
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
			allowExec(tableAt(uintptr(e)), level-1, seen)
		}
	}
}

// beStrict is what newer firmware for PCs does: of what the memory map calls data or free, nothing
// may be executed, and the tables that say so are read-only.
func beStrict() error {
	mapSize = unsafe.Sizeof(mapBuffer)
	if err := status(bs.GetMemoryMap, addr(&mapSize), addr(&mapBuffer), addr(&out), addr(&mapDescriptor), addr(&outCount)); err != nil {
		return err
	}
	root := uintptr(amd64.Call(topTable())) & pageMask
	*entryOf(root, 0) = 0
	for p := uintptr(0); p < mapSize; p += mapDescriptor {
		d := at[uefi.MemoryDescriptor](addr(&mapBuffer) + p)
		switch d.Type {
		case uefi.LoaderData, uefi.BootServicesData, uefi.RuntimeServicesData, uefi.ConventionalMemory, uefi.ACPIReclaimMemory, uefi.ACPIMemoryNVS:
		default:
			continue
		}
		for page := uint64(0); page < d.NumberOfPages; page++ {
			*entryOf(root, uintptr(d.PhysicalStart+page<<12)) |= noExec
			met[strict]++
		}
	}
	for _, table := range tablesBelow(root, 4, nil) {
		*entryOf(root, table) &^= writable
	}
	return nil
}

// entryOf returns the last-level entry for an address, splitting large pages on the way.
func entryOf(table, address uintptr) *uint64 {
	for shift := uint(39); shift > 12; shift -= 9 {
		e := at[uint64](table + address>>shift&511*8)
		if *e&large != 0 {
			pages, err := amd64.AllocLow(4096)
			if err != nil {
				panic(err)
			}
			attributes := *e &^ pageMask &^ (1 << 12)
			if shift == 21 {
				attributes &^= large
			}
			for i := range uint64(512) {
				*at[uint64](uintptr(unsafe.Pointer(&pages[0])) + uintptr(i)*8) = *e&pageMask&^(1<<shift-1) + i<<(shift-9) | attributes
			}
			*e = uint64(uintptr(unsafe.Pointer(&pages[0]))) | present | writable
		}
		table = uintptr(*e) & pageMask
	}
	return at[uint64](table + address>>12&511*8)
}

// tablesBelow lists a table and those below it.
func tablesBelow(table uintptr, level int, list []uintptr) []uintptr {
	if slices.Contains(list, table) {
		return list
	}
	list = append(list, table)
	for _, e := range tableAt(table) {
		if level > 1 && e&present != 0 && (level == 4 || e&large == 0) {
			list = tablesBelow(uintptr(e)&pageMask, level-1, list)
		}
	}
	return list
}

// What freezeKeys and otherKeys know of the console's input.
var (
	plainEvent, exEvent uintptr
	keyWaits            bool
	consoleMode         uint32 = uefi.ConsoleGraphics
	control             uefi.ConsoleControl
	event               uintptr
)

// consoleInput finds the console's input.
func consoleInput() (plain *uefi.SimpleTextInput, ex *uefi.SimpleTextInputEx, err error) {
	x, err := interfaceOn(st.ConsoleInHandle, &uefi.TextInputExGUID)
	if err != nil {
		return nil, nil, err
	}
	plain, ex = at[uefi.SimpleTextInput](st.ConIn), at[uefi.SimpleTextInputEx](x)
	plainEvent, exEvent = plain.WaitForKey, ex.WaitForKeyEx
	return plain, ex, nil
}

func freezeKeys() error {
	plain, ex, err := consoleInput()
	if err != nil {
		return err
	}
	replace(&bs.CheckEvent, func(c *hookCall) {
		if e := c.args[0]; e == plainEvent || e == exEvent {
			keyWaits = c.forward() == uefi.Success
		}
	})
	read := func(c *hookCall) {
		for !keyWaits {
		}
		keyWaits = false
		met[keysFreeze]++
	}
	replace(&plain.ReadKeyStroke, read)
	replace(&ex.ReadKeyStrokeEx, read)
	return nil
}

func otherKeys() error {
	plain, ex, err := consoleInput()
	if err != nil {
		return err
	}
	never := func(c *hookCall) { c.answer(uefi.NotReady) }
	replace(&plain.ReadKeyStroke, never)
	replace(&ex.ReadKeyStrokeEx, never)
	replace(&bs.CheckEvent, func(c *hookCall) {
		if e := c.args[0]; e == plainEvent || e == exEvent {
			met[keysOther]++
			c.answer(uefi.NotReady)
		}
	})
	return nil
}

// The variable of macOS, as the firmware is handed it.
var (
	vendorName    [8]uint16
	variableName  [32]uint16
	variableValue = [4]byte{'d', 'e', ':', '3'}
)

// What a Mac's console knows of its keys. The timer alone takes them from the firmware.
var (
	strokes       [64]uefi.InputKey // a ring
	stroke        uefi.InputKey
	readStroke    uintptr // the firmware's ReadKeyStroke
	struck        uint32  // strokes so far
	consoleStruck uint32  // of these, those that the console's input has no more
	mapStruck     uint32  // those that the key map has told of
	shown         int     // in how many looks at the key map the last of those was down
	keyMap        uefi.AppleKeyMap
)

// usChars are what keys type on a US keyboard, by HID usage from 4 on, alone and with Shift.
var usChars = [2]string{
	"abcdefghijklmnopqrstuvwxyz1234567890\r\x1b\b\t -=[]\\\x00;'`,./",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\x00\x00\x00\x00\x00_+{}|\x00:\"~<>?",
}

// tellHeld is GetKeyStrokes(this, modifiers, count, keys). It lets each key be down for two looks and up
// for one, however long these take.
func tellHeld(c *hookCall) {
	const page, first, leftShift, looks = 0x7000, 4, 2, 2
	room := at[uint64](c.args[2])
	had := *room
	*room, *at[uint16](c.args[1]) = 0, 0
	c.answer(uefi.Success)
	if shown == looks {
		shown = 0
		return
	}
	if shown == 0 {
		if mapStruck == struck {
			return
		}
		mapStruck++
	}
	shown++
	char := strokes[(mapStruck-1)%uint32(len(strokes))].UnicodeChar
	for shift := range usChars {
		for i := range len(usChars[shift]) {
			if char == 0 || uint16(usChars[shift][i]) != char {
				continue
			}
			if *room = 1; had < 1 {
				c.answer(uefi.BufferTooSmall)
				return
			}
			*at[uint16](c.args[1]), *at[uint16](c.args[3]) = uint16(shift)*leftShift, page|uint16(first+i)
			met[appleSilent]++
			return
		}
	}
}

func takeConsole() error {
	control.GetMode = stub(0, func(c *hookCall) {
		met[appleConsole]++
		*at[uint32](c.args[1]) = consoleMode
		for _, flag := range c.args[2:4] {
			if flag != 0 {
				*at[uint8](flag) = 0
			}
		}
		c.answer(uefi.Success)
	})
	control.SetMode = stub(0, func(c *hookCall) {
		consoleMode = uint32(c.args[1])
		c.answer(uefi.Success)
	})
	if err := install(&uefi.ConsoleControlGUID, addr(&control)); err != nil {
		return err
	}
	keyMap.GetKeyStrokes = stub(0, tellHeld)
	if err := install(&uefi.AppleKeyMapGUID, addr(&keyMap)); err != nil {
		return err
	}
	plain, _, err := consoleInput()
	if err != nil {
		return err
	}
	readStroke = plain.ReadKeyStroke
	replace(&plain.ReadKeyStroke, func(c *hookCall) {
		if consoleStruck == struck {
			c.answer(uefi.NotReady)
			return
		}
		// What was read is not down any more when the next key is.
		if mapStruck < consoleStruck {
			mapStruck, shown = consoleStruck, 0
		}
		*at[uefi.InputKey](c.args[1]) = strokes[consoleStruck%uint32(len(strokes))]
		consoleStruck++
		c.answer(uefi.Success)
	})
	replace(&bs.CheckEvent, func(c *hookCall) {
		if c.args[0] != plainEvent {
			return
		}
		if c.answer(uefi.Success); consoleStruck == struck {
			c.answer(uefi.NotReady)
		}
	})
	hide(&uefi.TextInputExGUID, appleConsole)
	for i, r := range "Apple" {
		vendorName[i] = uint16(r)
	}
	st.FirmwareVendor = addr(&vendorName)
	for i, r := range "prev-lang:kbd" {
		variableName[i] = uint16(r)
	}
	const ofBootAndRuntime = 0x6
	if err := status(rs.SetVariable, addr(&variableName), addr(&uefi.AppleBootVariableGUID), ofBootAndRuntime, uintptr(len(variableValue)), addr(&variableValue)); err != nil {
		return err
	}
	replace(&at[uefi.SimpleTextOutput](st.ConOut).OutputString, func(c *hookCall) {
		if consoleMode == uefi.ConsoleGraphics {
			c.answer(uefi.Success)
		}
	})
	return everyMillisecond(func(c *hookCall) {
		args := [8]uintptr{st.ConIn, uintptr(unsafe.Pointer(&stroke))}
		for firmware(readStroke, &args) == 0 {
			strokes[struck%uint32(len(strokes))] = stroke
			struck++
		}
		if consoleMode == uefi.ConsoleGraphics || taken[appleSilent] {
			consoleStruck = struck
		}
		c.answer(uefi.Success)
	})
}

// everyMillisecond has notify called by a timer.
func everyMillisecond(notify func(c *hookCall)) error {
	const timerAndSignal, callback, periodic, every = 0x80000200, 8, 1, 10000 // 100 ns
	if err := status(bs.CreateEvent, timerAndSignal, callback, stub(0, notify), 0, addr(&event)); err != nil {
		return err
	}
	return status(bs.SetTimer, event, periodic, every)
}

func hideMP() error {
	hide(&uefi.MPServicesGUID, mpNone)
	return nil
}

// mpServices returns the firmware's MP services.
func mpServices() (*uefi.MPServices, error) {
	err := status(bs.LocateProtocol, addr(&uefi.MPServicesGUID), 0, addr(&out))
	return at[uefi.MPServices](out), err
}

func refuseMP() error {
	mp, err := mpServices()
	if err != nil {
		return err
	}
	replace(&mp.StartupAllAPs, func(c *hookCall) {
		if taken[mpHang] {
			met[mpHang]++
			tell()
			for {
			}
		}
		switch {
		case c.args[3] != 0: // an event: not in the background
			c.answer(uefi.Unsupported)
		case taken[mpDeaf]:
			const high = 31
			old := raiseTPL(high)
			if c.forward() == uefi.Timeout {
				met[mpDeaf]++
			}
			restoreTPL(old)
		default:
			waiting = true
			lateProcedure, c.args[1] = c.args[1], lateAP()
		}
	})
	if taken[mpDeaf] || taken[mpHang] {
		return nil
	}
	if err := status(bs.LocateProtocol, addr(&uefi.CPUArchGUID), 0, addr(&out)); err != nil {
		return err
	}
	between = stub(0, func(c *hookCall) {
		betweenCame = true
		c.next = betweenHandler
	})
	replace(&at[uefi.CPUArch](out).RegisterInterruptHandler, func(c *hookCall) {
		const first = 0xd0 // of the vectors that the program may take
		if c.args[1] >= first && c.args[2] != 0 {
			betweenHandler, c.args[2] = c.args[2], between
		}
	})
	// While the call waits an event's function takes so long that the processors, which wait for it to
	// begin, come meanwhile and interrupt it.
	return everyMillisecond(func(c *hookCall) {
		if waiting {
			waiting, busy = false, 1
			const step, most = 1e3, 5e3 // us, steps
			for i := 0; i < most && !betweenCame; i++ {
				stall(step)
			}
			met[mpRefuse]++
		}
		c.answer(uefi.Success)
	})
}

// What refuseMP knows.
var (
	waiting       bool    // the boot processor is in StartupAllAPs
	busy          uint32  // and in the event's function, or was
	lateProcedure uintptr // what processors are to run then

	between        uintptr // instead of the program's handler of interrupts between processors
	betweenHandler uintptr
	betweenCame    bool // there was one
)

func raiseTPL(level uintptr) uintptr {
	args := [8]uintptr{level}
	return firmware(bs.RaiseTPL, &args)
}

func restoreTPL(level uintptr) {
	args := [8]uintptr{level}
	firmware(bs.RestoreTPL, &args)
}

var (
	framework uefi.FrameworkMPServices
	piMP      uintptr
)

func frameworkMP() error {
	if err := status(bs.LocateProtocol, addr(&uefi.MPServicesGUID), 0, addr(&piMP)); err != nil {
		return err
	}
	hide(&uefi.MPServicesGUID, mpFramework)
	framework.GetGeneralMPInfo = stub(0, func(c *hookCall) {
		args := [8]uintptr{piMP, c.args[1], c.args[3]}
		c.answer(uefi.Status(firmware(at[uefi.MPServices](piMP).GetNumberOfProcessors, &args)))
		*at[uintptr](c.args[2]) = 64
		*at[uintptr](*at[uintptr](c.more)), *at[uintptr](*at[uintptr](c.more + 8)) = 0, 0
	})
	framework.StartupAllAPs = stub(at[uefi.MPServices](piMP).StartupAllAPs, func(c *hookCall) {
		met[mpFramework]++
		c.args[0] = piMP
	})
	return install(&uefi.FrameworkMPServicesGUID, addr(&framework))
}

var rawProcedure uintptr // what rawMP's processors are to run

func rawMP() error {
	mp, err := mpServices()
	if err != nil {
		return err
	}
	replace(&mp.StartupAllAPs, func(c *hookCall) { rawProcedure, c.args[1] = c.args[1], rawAP() })
	return nil
}

// Interrupts of interrupt: those that came to the firmware's handlers, and whether one did not.
var interrupts, interruptsServed uint32

// interrupt has one come whenever the program has looked whether a key waits. It is pending until
// interrupts are on again, which is in the program.
func interrupt() error {
	const (
		first          = 0xf0
		commandLow     = 0xfee00300 // the local APIC's interrupt command register (Intel SDM volume 3, 11.6.1)
		endOfInterrupt = 0xfee000b0
		toItself       = 1<<18 | 1<<14
	)
	if plainEvent == 0 {
		if _, _, err := consoleInput(); err != nil {
			return err
		}
	}
	if err := status(bs.LocateProtocol, addr(&uefi.CPUArchGUID), 0, addr(&out)); err != nil {
		return err
	}
	arch := out
	serve := stub(0, func(c *hookCall) {
		interruptsServed++
		*at[uint32](endOfInterrupt) = 0
		c.answer(uefi.Success)
	})
	for vector := range uintptr(2) {
		if err := status(at[uefi.CPUArch](arch).RegisterInterruptHandler, arch, first+vector, serve); err != nil {
			return err
		}
	}
	replace(&bs.CheckEvent, func(c *hookCall) {
		if e := c.args[0]; e != plainEvent && e != exEvent {
			return
		}
		c.forward()
		if interruptsServed != interrupts {
			met[vectors] = 0 // the last one was lost
			return
		}
		met[vectors] = interrupts
		interruptsOff()
		*at[uint32](commandLow) = toItself | (first + interrupts%2)
		interrupts++
	})
	return nil
}

// disks has the Block I/O interfaces and their own functions.
var (
	disks     [32]struct{ io, read, write, flush uintptr }
	diskCount int
)

func hookDisks() error {
	list, err := handlesOf(&uefi.BlockIOGUID)
	if err != nil {
		return err
	}
	read := stub(0, func(c *hookCall) { transfer(c, false) })
	write := stub(0, func(c *hookCall) { transfer(c, true) })
	flush := stub(0, func(c *hookCall) {
		for i := range diskCount {
			if d := &disks[i]; d.io == c.args[0] {
				c.next = d.flush
			}
		}
		if taken[diskSlow] {
			stall(50e3)
		}
	})
	for _, h := range list {
		iface, err := interfaceOn(h, &uefi.BlockIOGUID)
		if err != nil || diskCount == len(disks) {
			return fmt.Errorf("block device %d: %w", diskCount, err)
		}
		io, d := at[uefi.BlockIO](iface), &disks[diskCount]
		d.io, d.read, d.write, d.flush = iface, io.ReadBlocks, io.WriteBlocks, io.FlushBlocks
		io.ReadBlocks, io.WriteBlocks, io.FlushBlocks = read, write, flush
		diskCount++
	}
	return nil
}

// transfer is ReadBlocks or WriteBlocks(this, medium, block, size, buffer).
func transfer(c *hookCall, write bool) {
	for i := range diskCount {
		if d := &disks[i]; d.io == c.args[0] {
			if c.next = d.read; write {
				c.next = d.write
			}
		}
	}
	const kib, fourGiB = 1 << 10, 4 << 30
	size, buffer := c.args[3], *at[uintptr](c.more)
	switch {
	case taken[disk640] && size > 640*kib:
		met[disk640]++
		c.answer(uefi.DeviceError)
	case taken[disk64] && size > 64*kib:
		met[disk64]++
		c.answer(uefi.DeviceError)
	case taken[diskAligned] && buffer%(4*kib) != 0:
		c.answer(uefi.InvalidParameter)
	case taken[diskHigh] && buffer+size > fourGiB:
		met[diskHigh]++
		c.answer(uefi.Success)
	default:
		if taken[diskAligned] {
			met[diskAligned]++
		}
		if taken[diskSlow] {
			met[diskSlow]++
			c.forward()
			stall(size / 20)
		}
	}
}

// stall waits for a number of microseconds.
func stall(us uintptr) {
	args := [8]uintptr{us}
	firmware(bs.Stall, &args)
}

func changeScreens() error {
	if taken[gopNone] {
		hide(&uefi.GraphicsOutputGUID, gopNone)
		return nil
	}
	list, err := handlesOf(&uefi.GraphicsOutputGUID)
	if err != nil {
		return err
	}
	var blt uintptr
	for _, h := range list {
		iface, err := interfaceOn(h, &uefi.GraphicsOutputGUID)
		if err != nil {
			return err
		}
		gop := at[uefi.GraphicsOutput](iface)
		mode := at[uefi.GraphicsMode](gop.Mode)
		info := at[uefi.GraphicsModeInfo](mode.Info)
		switch {
		case taken[gopBlt]:
			info.PixelFormat, mode.FrameBufferBase, mode.FrameBufferSize = uefi.PixelBltOnly, 0, 0
			if blt == 0 {
				blt = stub(gop.Blt, func(c *hookCall) { met[gopBlt]++ })
				gop.Blt = blt
			}
		case taken[gopRGBX]:
			info.PixelFormat = uefi.PixelRGBX
			met[gopRGBX]++
		case taken[gopMask]:
			info.PixelFormat, info.RedMask, info.GreenMask, info.BlueMask, info.ReservedMask = uefi.PixelBitMask, 0xff, 0xff00, 0xff0000, 0xff000000
			met[gopMask]++
		case taken[gopPitch]:
			// The Bochs display's registers: index 6 is the virtual width.
			const index, data, virtualWidth, more = 0x1ce, 0x1cf, 6, 64
			width := uint16(info.HorizontalResolution + more)
			out16(index, virtualWidth)
			out16(data, width)
			if out16(index, virtualWidth); in16(data) != width {
				return fmt.Errorf("the display has rows of %d pixels, not %d", in16(data), width)
			}
			info.PixelsPerScanLine = uint32(width)
			mode.FrameBufferSize = uintptr(width) * uintptr(info.VerticalResolution) * 4
			met[gopPitch]++
		}
	}
	return nil
}

func hookTime() error {
	replace(&rs.GetTime, func(c *hookCall) {
		now := at[uefi.Time](c.args[0])
		if c.forward() != uefi.Success {
			return
		}
		switch {
		case taken[timeError]:
			met[timeError]++
			c.answer(uefi.DeviceError)
		case taken[timeYear]:
			met[timeYear]++
			now.Year = 0
		default:
			met[timeZone]++
			now.TimeZone = 5000
		}
	})
	return nil
}

// What fragment's hook works with.
var (
	mapBuffer              [96 << 10]byte
	mapSize, mapDescriptor uintptr
	page                   uintptr
)

// conventional returns the memory map's free ranges.
func conventional() (list []uefi.MemoryDescriptor, err error) {
	mapSize = unsafe.Sizeof(mapBuffer)
	if err := status(bs.GetMemoryMap, addr(&mapSize), addr(&mapBuffer), addr(&out), addr(&mapDescriptor), addr(&outCount)); err != nil {
		return nil, err
	}
	for p := uintptr(0); p < mapSize; p += mapDescriptor {
		if d := at[uefi.MemoryDescriptor](addr(&mapBuffer) + p); d.Type == uefi.ConventionalMemory {
			list = append(list, *d)
		}
	}
	return list, nil
}

func loseMap() error {
	replace(&bs.GetMemoryMap, func(c *hookCall) {
		met[mapError]++
		c.answer(uefi.DeviceError)
	})
	return nil
}

// moveMap takes a page of the first range that a program asks for by its address: what it read in the map is
// not so any more. The habit is met when the program asks for the rest.
func moveMap() error {
	replace(&bs.AllocatePages, func(c *hookCall) {
		if c.args[0] != uefi.AllocateAddress || met[mapMoves] > 0 {
			return
		}
		asked := *at[uintptr](c.args[3])
		switch {
		case movedFrom == 0:
			movedFrom = asked
			page = asked + c.args[2]/2<<12
			args := [8]uintptr{uefi.AllocateAddress, uefi.BootServicesData, 1, uintptr(unsafe.Pointer(&page))}
			firmware(c.next, &args)
		case asked == movedFrom:
			met[mapMoves]++
		}
	})
	return nil
}

var movedFrom uintptr // where the range begins

func fragment() error {
	free, err := conventional()
	if err != nil || len(free) == 0 {
		return fmt.Errorf("the memory map: %w", err)
	}
	largest := slices.MaxFunc(free, func(a, b uefi.MemoryDescriptor) int { return int(a.NumberOfPages) - int(b.NumberOfPages) })
	const fragments, pages = 300, 65
	for i := range uint64(fragments) {
		page = uintptr(largest.PhysicalStart + (i*pages+pages-1)<<12)
		if err := status(bs.AllocatePages, uefi.AllocateAddress, uefi.BootServicesData, 1, addr(&page)); err != nil {
			return fmt.Errorf("fragment %d: %w", i, err)
		}
	}
	replace(&bs.GetMemoryMap, func(c *hookCall) {
		const size, vendorType, vendorPage = 64, 0x80000001, 0xfed00000
		given := at[uintptr](c.args[0])
		mapSize = unsafe.Sizeof(mapBuffer)
		buffer := uintptr(unsafe.Pointer(&mapBuffer))
		args := [8]uintptr{uintptr(unsafe.Pointer(&mapSize)), buffer, c.args[2], uintptr(unsafe.Pointer(&mapDescriptor)), *at[uintptr](c.more)}
		if c.answer(uefi.Status(firmware(c.next, &args))); c.ret != 0 {
			return
		}
		n := mapSize / mapDescriptor
		room := *given
		*given, *at[uintptr](c.args[3]) = (n+1)*size, size
		if room < *given {
			c.answer(uefi.BufferTooSmall)
			return
		}
		met[memoryMap]++
		for i := range n {
			*at[uefi.MemoryDescriptor](c.args[1] + (n-1-i)*size) = *at[uefi.MemoryDescriptor](buffer + i*mapDescriptor)
		}
		*at[uefi.MemoryDescriptor](c.args[1] + n*size) = uefi.MemoryDescriptor{Type: vendorType, PhysicalStart: vendorPage, NumberOfPages: 1}
	})
	return nil
}

// startScribble has something written, again and again, where a program that takes the lowest
// memory first keeps what it needs most.
func startScribble() error {
	free, err := conventional()
	if err != nil {
		return fmt.Errorf("the memory map: %w", err)
	}
	const mib, enough, inside = 1 << 20, 256 << 10, 64 << 10
	free = slices.DeleteFunc(free, func(d uefi.MemoryDescriptor) bool {
		return d.PhysicalStart < mib || d.NumberOfPages<<12 < enough
	})
	if len(free) == 0 {
		return fmt.Errorf("there is no low memory")
	}
	lowest := slices.MinFunc(free, func(a, b uefi.MemoryDescriptor) int { return int(a.PhysicalStart) - int(b.PhysicalStart) })
	// A page that is taken divides it from the rest: it may be part of the largest range.
	page = uintptr(lowest.PhysicalStart + enough - 4<<10)
	if err := status(bs.AllocatePages, uefi.AllocateAddress, uefi.BootServicesData, 1, addr(&page)); err != nil {
		return fmt.Errorf("dividing low memory: %w", err)
	}
	page = uintptr(lowest.PhysicalStart + inside)
	return everyMillisecond(func(c *hookCall) {
		met[scribble]++
		for i := range uintptr(512) {
			*at[uint64](page + 8*i) = 0xa5a5a5a5a5a5a5a5
		}
		c.answer(uefi.Success)
	})
}
