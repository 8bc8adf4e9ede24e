package amd64

import (
	"sync/atomic"
	"unsafe"

	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// What happens when the program cannot go on. A person sees one screen that says what
// happened, what is safe and what to do; below it stands the report, which is also sent
// to the serial port and written to the drive, into blocks set aside for it.
//
// Nothing here needs the Go heap, a lock or a goroutine. After a fault in the kernel the Go
// runtime is first asked for the traces of all goroutines, with a SIGQUIT; if that faults
// too, the report goes without them. After a fault in the firmware, only a reset is still
// asked of it.

// CrashCause is why the program cannot go on.
type CrashCause uint32

const (
	ErrorInProgram  CrashCause = 1 + iota // a panic, or a fatal error of the Go runtime
	FaultInKernel                         // of this package
	OutOfMemory                           // no page frame is left for the program
	FaultInFirmware                       // while a call was in it
	HardwareError                         // a machine check or a non-maskable interrupt

	crashCauses = iota + 1
)

// CrashReport is how the program prepares for a crash; see SetCrashReport.
type CrashReport struct {
	// The frame buffer: its address, 0 for none, and its size in pixels of 4 bytes.
	Frame                 uintptr
	Width, Height, Stride int
	// The pixel of a 0xRRGGBB colour has red and blue swapped.
	SwapRedBlue bool
	// Font is 13 rows for each character from space to tilde, bit 6 the leftmost of 7.
	Font [95][13]uint8
	// Colours as 0xRRGGBB: behind everything, of title and keys, of the words, of the report.
	Background, Highlight, Foreground, Dim uint32

	Words CrashWords

	// The blocks for the report: one call of WriteBlocks(This, MediaID, Block, Bytes,
	// buffer) (UEFI 2.10 section 13.9.4). 0 for none.
	WriteBlocks, This uintptr
	MediaID           uint32
	Block             uint64
	Bytes             int
}

// CrashWords is what a person is told about a crash, in ASCII. It has no fields but strings.
type CrashWords struct {
	Title  string // also the beginning of the saved report
	Causes [crashCauses]struct{ What, Advice string }
	// Memory follows on the screen when there is none left. %T stands for what the program
	// had of it, %P for what AllocPhysical gave out, %R for what else was in use.
	Memory                string
	Safe                  string // which part of the person's work is safe
	Keys                  string // that R restarts and S shuts down
	NoKeys                string // instead, when the keyboard is dead
	ReportSaved, NotSaved string // above the report
}

var (
	// The only pointers in it are those of constant strings, which kernel code reads and never
	// stores. These words are used until SetCrashReport is called.
	report = CrashReport{Words: CrashWords{
		Title: "The program had to stop.",
		Causes: [crashCauses]struct{ What, Advice string }{
			ErrorInProgram:  {"It ran into an error.", ""},
			FaultInKernel:   {"There was a fault in its kernel.", ""},
			OutOfMemory:     {"The machine has no memory left.", ""},
			FaultInFirmware: {"There was a fault in the firmware.", ""},
			HardwareError:   {"The hardware reported an error.", ""},
		},
		Keys:   "Press R to restart, S to shut down. If no key works, hold the power button.",
		NoKeys: "Hold the power button until it goes off.",
	}}

	crashing   uint32  // a report is under way
	crashCPU   uintptr // *cpu that began it
	crashCause uint32  // CrashCause; 0: not known yet
	crashAsked uint32  // another processor has crashed: the boot processor shows it
	reportBuf  uintptr // reportMax bytes that any disk's driver takes; 0: none
	keyStroke  uefi.InputKey
)

const reportMax = 64 << 10

// reportWords holds the words of a report that are no constants.
var reportWords [4 << 10]byte

// SetCrashReport says where a crash can be shown and saved, and in which words. They are kept
// outside the Go heap, which may be damaged when they are needed.
func SetCrashReport(r CrashReport) {
	words := unsafe.Slice((*string)(unsafe.Pointer(&r.Words)), unsafe.Sizeof(r.Words)/unsafe.Sizeof(""))
	room := reportWords[:]
	for i, w := range words {
		if addr := uintptr(unsafe.Pointer(unsafe.StringData(w))); w == "" || Booted() && addr-imageBase < imageSize {
			continue
		}
		n := copy(room, w)
		words[i] = unsafe.String(unsafe.SliceData(room), n)
		room = room[n:]
	}
	r.Bytes = min(r.Bytes, reportMax)
	if r.Bytes > 0 && reportBuf == 0 && Booted() {
		if b, err := AllocLow(reportMax); err == nil {
			reportBuf = addrOf(&b[0])
		}
	}
	report = r
}

// crash reports a fault that becomes no signal. It does not return.
func crash(f *trapFrame, what string) {
	cause := FaultInKernel
	if f.vec == vecNMI || f.vec == vecMC {
		cause = HardwareError
	}
	crashFor(cause, f, what)
}

// faultInside is where a fault of the boot processor inside the firmware arrives; see
// firmwareFault.
func faultInside(vec, context uintptr) {
	f, s := &firmwareFrame, at[uefi.SystemContext](context)
	f.vec, f.err = vec, s.ExceptionData
	f.ip, f.cs, f.flags, f.sp, f.ss = s.RIP, s.CS, s.RFlags, s.RSP, s.SS
	f.ax, f.bx, f.cx, f.dx, f.si, f.di, f.bp = s.RAX, s.RBX, s.RCX, s.RDX, s.RSI, s.RDI, s.RBP
	f.r8, f.r9, f.r10, f.r11, f.r12, f.r13, f.r14, f.r15 = s.R8, s.R9, s.R10, s.R11, s.R12, s.R13, s.R14, s.R15
	if vec == vecNMI || vec == vecMC {
		crash(f, "a hardware error while the firmware ran")
	}
	firmwareBroken = 1
	crashFor(FaultInFirmware, f, "a fault in the firmware")
}

var (
	firmwareFrame  trapFrame
	firmwareBroken uintptr // it must not be called any more
)

func crashFor(cause CrashCause, f *trapFrame, what string) {
	c := thisCPU()
	first := atomic.CompareAndSwapUint32(&crashing, 0, 1)
	if first {
		crashCPU = addrOf(c)
		reportAt = tailLen
		atomic.CompareAndSwapUint32(&crashCause, 0, uint32(cause))
	} else if crashCPU != addrOf(c) {
		awaitReport(c)
	}
	logString("\n")
	logString(what)
	logHex(": vector ", f.vec)
	logHex(", error ", f.err)
	logHex(", address ", readCR2())
	logHex("\nip ", f.ip)
	logHex(" sp ", f.sp)
	logHex(" flags ", f.flags)
	logHex("\nax ", f.ax)
	logHex(" bx ", f.bx)
	logHex(" cx ", f.cx)
	logHex("\ndx ", f.dx)
	logHex(" si ", f.si)
	logHex(" di ", f.di)
	logHex("\nbp ", f.bp)
	logHex(" r8 ", f.r8)
	logHex(" r9 ", f.r9)
	logHex("\nr10 ", f.r10)
	logHex(" r11 ", f.r11)
	logHex(" r12 ", f.r12)
	logHex("\nr13 ", f.r13)
	logHex(" r14 ", f.r14)
	logHex(" r15 ", f.r15)
	logHex("\nimage ", imageBase)
	logHex(" build ", uintptr(buildID()))
	logString("\n")
	traceback(f.ip, f.bp, f.sp)
	t := c.thread()
	if t == nil { // the processor was idle: any waiting thread can print the traces
		for i := 0; i < threadsTop && t == nil; i++ {
			if s := threads[i].state; s >= waitFutex && s != waitFirmware { // a firmware call wakes its thread when it ends
				t = &threads[i]
				t.deadline = 0
			}
		}
		c.halted = 0
	} else if !onKernelStack(c, f.sp) && f != &firmwareFrame {
		t.regs = *f // it was Go code that was interrupted
		t.vector = vectorSaved
	}
	if !first || t == nil {
		stop(cause)
	}
	// The runtime knows the goroutines, and ends with exit(2), which comes to stop.
	const sigQUIT = 3
	if actions[sigQUIT].handler <= sigIgnore || !pushSignal(t, sigQUIT, siTKill, 1) {
		stop(cause)
	}
	c.slice = now()
	atomic.StoreUint32(&kernelLock, 1)
	dispatch(c, t)
}

// awaitReport lets the processor that crashed first write its report: a hardware error may
// reach all of them at once. It does not return.
func awaitReport(c *cpu) {
	if c != &bootCPU {
		park(c)
	}
	const most = 5e9 // ns
	for end := now() + most; atomic.LoadUint32(&crashAsked) == 0 && atomic.LoadUint32(&exitAsked) == 0 && now() < end; {
		answerFlush(c) // the processor that prints the traces may be waiting for it
		pause()
	}
	stop(FaultInKernel)
}

// park keeps a processor other than the boot processor out of the way until the firmware
// wants it back. It does not return.
func park(c *cpu) {
	atomic.StoreUint32(&kernelLock, 0) // in case this processor has it
	for atomic.LoadUint32(&leaving) == 0 {
		answerFlush(c)
		pause()
	}
	goBack(c)
}

// traceback prints the chain of return addresses, by frame pointers, as offsets in the
// image that a disassembler can look up.
func traceback(ip, bp, sp uintptr) {
	if ip-imageBase < imageSize {
		logHex("at image+", ip-imageBase)
	}
	for i := 0; i < 24 && bp > sp && bp&7 == 0 && touch(bp, 16, false); i++ {
		ip, sp, bp = *at[uintptr](bp + 8), bp, *at[uintptr](bp)
		if ip-imageBase >= imageSize {
			break
		}
		logHex("\n   image+", ip-imageBase)
	}
	logString("\n")
}

// buildID is a checksum of the program's code: the CRC-32 that gzip uses.
func buildID() uint32 {
	if imageBase == 0 {
		return 0
	}
	crc := ^uint32(0)
	start, end, _ := imageSection(0)
	for p := start; p < end; p++ {
		crc ^= uint32(*at[byte](p))
		for i := 0; i < 8; i++ {
			crc = crc>>1 ^ -(crc&1)&0xedb88320
		}
	}
	return ^crc
}

func outOfMemory() {
	atomic.StoreUint32(&crashing, 1)
	crashCPU = addrOf(thisCPU())
	reportAt = tailLen
	tellMemory()
	stop(OutOfMemory)
}

// tellMemory logs what the memory is used for.
func tellMemory() {
	total, _ := paging.Frames()
	logMB("\nmemory in use: ", usedFrames())
	logMB(" of ", total)
	logMB(", of which physically contiguous ", physicalFrames)
	logMB(", the program's own data ", usedFrames()-physicalFrames)
	logString("\n")
}

func logMB(what string, frames uintptr) {
	logString(what)
	n := frames >> (20 - paging.FrameShift)
	for div := decimals(n); div > 0; div /= 10 {
		logByte(byte('0' + n/div%10))
	}
	logString(" MiB")
}

// decimals returns the power of ten of n's first digit.
func decimals(n uintptr) uintptr {
	div := uintptr(1)
	for n/div >= 10 {
		div *= 10
	}
	return div
}

// stop shows the report, saves it and does what the person then chooses. It does not
// return.
func stop(cause CrashCause) {
	atomic.CompareAndSwapUint32(&crashCause, 0, uint32(cause)) // the first is what happened
	c := thisCPU()
	if c != &bootCPU {
		atomic.StoreUint32(&crashAsked, 1)
		signalBoot()
		park(c)
	}
	atomic.StoreUint32(&crashing, 2)
	showReport(saveReport())
	if CrashCause(crashCause) == HardwareError && firmwareBroken == 0 {
		settleFirmware()
	}
	for {
		switch awaitKey() {
		case 'r', 'R':
			reset(uefi.ResetCold)
		case 's', 'S':
			reset(uefi.ResetShutdown)
		}
	}
}

// settleFirmware ends what a hardware error may have cut short in the firmware: an interrupt
// handler, without whose end no more timer interrupts come, and a section in which no event
// is notified. The keyboard's driver needs both.
func settleFirmware() {
	const (
		pic1, pic2 = 0x20, 0xa0 // the 8259s' command ports
		picEOI     = 0x20       // non-specific end of interrupt
	)
	apicWrite(apicEOI, 0)
	Out8(pic2, picEOI)
	Out8(pic1, picEOI)
	fwCall(bootServices().RestoreTPL, uefi.TPLApplication, 0, 0, 0, 0)
}

func reset(kind uefi.ResetType) {
	if firmwareBroken == 0 {
		atomic.StoreUint32(&crashAsked, 0) // the person has answered: it is safe to wait for the lock
		handBack()
	}
	fwCall(runtimeServices().ResetSystem, uintptr(kind), 0, 0, 0, 0)
}

// awaitKey returns a key from the firmware's console or the serial port.
func awaitKey() byte {
	for {
		if k := pollKey(); k != 0 {
			return k
		}
		if firmwareBroken != 0 {
			pause()
		} else {
			haltInFirmware(&bootCPU)
		}
	}
}

// pollKey returns the character of a key that was pressed, on the serial line if the firmware
// is not to be asked; 0 if there is none.
func pollKey() byte {
	in := firmwareTable().ConIn
	// Some firmware's ReadKeyStroke does not return while there is no key.
	if firmwareBroken == 0 && in != 0 &&
		fwCall(bootServices().CheckEvent, at[uefi.SimpleTextInput](in).WaitForKey, 0, 0, 0, 0) != uintptr(uefi.NotReady) &&
		fwCall(at[uefi.SimpleTextInput](in).ReadKeyStroke, in, addrOf(&keyStroke), 0, 0, 0) == 0 {
		return byte(keyStroke.UnicodeChar)
	}
	if hasCOM1 != 0 && In8(com1+uartLSR)&1 != 0 {
		return In8(com1)
	}
	return 0
}

func reportByte(i uintptr) byte { return tail[i%tailSize] }

func reportStart() uintptr {
	if tailLen-reportAt > tailSize {
		return tailLen - tailSize
	}
	return reportAt
}

// saveReport writes the report to its blocks on the drive.
func saveReport() bool {
	if report.WriteBlocks == 0 || report.Bytes == 0 || reportBuf == 0 || firmwareBroken != 0 {
		return false
	}
	n := appendReport(0, report.Words.Title)
	n = appendReport(n, " ")
	n = appendReport(n, report.Words.Causes[crashCause].What)
	n = appendReport(n, "\n")
	for i := reportStart(); i < tailLen && n < report.Bytes; i++ {
		n = putReport(n, reportByte(i))
	}
	for n < report.Bytes {
		n = putReport(n, '\n')
	}
	return fwCall(report.WriteBlocks, report.This, uintptr(report.MediaID), uintptr(report.Block), uintptr(report.Bytes), reportBuf) == 0
}

func appendReport(n int, s string) int {
	for i := 0; i < len(s) && n < report.Bytes; i++ {
		n = putReport(n, s[i])
	}
	return n
}

func putReport(n int, b byte) int {
	*at[byte](reportBuf + uintptr(n)) = b
	return n + 1
}

// showReport writes the screen to the frame buffer, or to the firmware's console when
// there is none, and says the same on the serial port.
func showReport(saved bool) {
	if report.Frame != 0 {
		drawReport(saved)
	}
	w := &report.Words
	logString("\n")
	logString(w.Title)
	logString(" ")
	logString(w.Causes[crashCause].What)
	logString(" ")
	logString(w.Causes[crashCause].Advice)
	logString("\n")
	logString(w.Safe)
	logString("\n")
	logString(keysText())
	logString("\n")
	if report.Frame == 0 && firmwareBroken == 0 {
		showOnConsole()
	}
}

func keysText() string {
	if firmwareBroken != 0 {
		return report.Words.NoKeys
	}
	return report.Words.Keys
}

func drawReport(saved bool) {
	fill(report.Background)
	var p pen
	p.scale = max(1, report.Width/640)
	p.left = 4 * 7 * p.scale
	p.right = report.Width - p.left
	p.x, p.y = p.left, 2*13*p.scale
	w := &report.Words
	p.print(w.Title, report.Highlight)
	p.print("\n\n", report.Foreground)
	p.print(w.Causes[crashCause].What, report.Foreground)
	if CrashCause(crashCause) == OutOfMemory {
		p.print(w.Memory, report.Foreground)
	}
	p.print("\n\n", report.Foreground)
	p.print(w.Causes[crashCause].Advice, report.Foreground)
	p.print("\n\n", report.Foreground)
	p.print(w.Safe, report.Foreground)
	p.print("\n\n", report.Foreground)
	p.print(keysText(), report.Highlight)
	p.print("\n\n", report.Foreground)
	if p.scale > 1 {
		p.scale--
	}
	if saved {
		p.print(w.ReportSaved, report.Dim)
	} else {
		p.print(w.NotSaved, report.Dim)
	}
	p.print("\n\n", report.Dim)
	for i := reportStart(); i < tailLen; i++ {
		p.put(reportByte(i), report.Dim)
	}
}

// pen writes text on the frame buffer.
type pen struct{ x, y, left, right, scale int }

// print writes s, with figures in the places of %T, %P and %R; see CrashWords.
func (p *pen) print(s string, colour uint32) {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+1 < len(s) {
			i++
			switch s[i] {
			case 'T':
				total, _ := paging.Frames()
				p.megabytes(total, colour)
			case 'P':
				p.megabytes(physicalFrames, colour)
			case 'R':
				p.megabytes(usedFrames()-physicalFrames, colour)
			}
			continue
		}
		// Break at a space when the word after it does not fit.
		if s[i] == ' ' {
			n := i + 1
			for n < len(s) && s[n] != ' ' && s[n] != '\n' && s[n] != '%' {
				n++
			}
			if p.x+(n-i)*7*p.scale > p.right {
				p.put('\n', colour)
				continue
			}
		}
		p.put(s[i], colour)
	}
}

// megabytes prints the size of that many frames.
func (p *pen) megabytes(frames uintptr, colour uint32) {
	n := frames << paging.FrameShift / 1e6
	for div := decimals(n); div > 0; div /= 10 {
		p.put(byte('0'+n/div%10), colour)
	}
	p.print(" MB", colour)
}

func (p *pen) put(b byte, colour uint32) {
	w, h := 7*p.scale, 13*p.scale
	switch {
	case b == '\t':
		p.put(' ', colour)
		p.put(' ', colour)
		return
	case b == '\n' || p.x+w > p.right:
		p.x = p.left
		p.y += h + h/5
		if b == '\n' {
			return
		}
	}
	if b < ' ' || b > '~' || p.y+h > report.Height {
		return
	}
	if report.SwapRedBlue {
		colour = colour>>16 | colour&0xff00 | colour<<16&0xff0000
	}
	for row := 0; row < h; row++ {
		line := report.Frame + uintptr((p.y+row)*report.Stride+p.x)*4
		dots := report.Font[b-' '][row/p.scale]
		for col := 0; col < w; col++ {
			if dots>>(6-col/p.scale)&1 != 0 {
				*at[uint32](line + uintptr(col)*4) = colour
			}
		}
	}
	p.x += w
}

func fill(colour uint32) {
	if report.SwapRedBlue {
		colour = colour>>16 | colour&0xff00 | colour<<16&0xff0000
	}
	for y := 0; y < report.Height; y++ {
		for x := 0; x < report.Width; x++ {
			*at[uint32](report.Frame + uintptr(y*report.Stride+x)*4) = colour
		}
	}
}

var textLine [128]uint16

// showOnConsole writes the end of the log to the firmware's text console, which is mute in
// graphics mode on firmware with Console Control.
func showOnConsole() {
	if fwCall(bootServices().LocateProtocol, addrOf(&uefi.ConsoleControlGUID), 0, addrOf(&outAddr), 0, 0) == 0 {
		fwCall(at[uefi.ConsoleControl](outAddr).SetMode, outAddr, uefi.ConsoleText, 0, 0, 0)
	}
	const most = 2 << 10
	from := reportStart()
	if tailLen-from > most {
		from = tailLen - most
	}
	n := 0
	for i := from; i < tailLen; i++ {
		b := reportByte(i)
		if b == '\n' {
			textLine[n] = '\r'
			n++
		}
		if b >= 0x80 {
			b = '?' // the report is ASCII
		}
		textLine[n] = uint16(b)
		n++
		if n >= len(textLine)-3 || i == tailLen-1 {
			textLine[n] = 0
			outputString(addrOf(&textLine))
			n = 0
		}
	}
}
