package amd64

import "sync/atomic"

// What happens when the program cannot go on. A person sees one screen that says what
// happened, what is safe and what to do; below it stands the report, which is also sent
// to the serial port and written to the drive, into blocks set aside for it.
//
// Nothing here needs the Go heap, a lock or a goroutine. A fault in the kernel first asks
// the Go runtime for the traces of all goroutines, by giving it a SIGQUIT; when that
// faults too, the report goes without them.

// CrashReport is how the program prepares for a crash; see SetCrashReport.
type CrashReport struct {
	// The frame buffer: its address, 0 for none, and its size in pixels of 4 bytes.
	Frame                 uintptr
	Width, Height, Stride int
	// Colour gives the pixel of a 0xRRGGBB colour is by swapping red and blue.
	SwapRedBlue bool
	// Font is 13 rows for each character from space to tilde, bit 6 the leftmost of 7.
	Font [95][13]uint8

	// The blocks for the report: one call of WriteBlocks(This, MediaID, Block, Bytes,
	// buffer) (UEFI 2.10 section 13.9.4). 0 for none.
	WriteBlocks, This uintptr
	MediaID           uint32
	Block             uint64
	Bytes             int
}

var (
	report CrashReport // holds no pointers

	crashing   uint32 // a report is under way
	crashCause uint32
	crashAsked uint32 // another processor has crashed: the boot processor shows it
	reportBuf  [reportMax]byte
	keyStroke  [2]uint16 // EFI_INPUT_KEY: scan code, character
)

const reportMax = 64 << 10

// Why the program cannot go on.
const (
	errorInProgram = 1 + iota
	faultInKernel
	memoryGone
)

func sentence(cause uint32) string {
	switch cause {
	case errorInProgram:
		return "Its program ran into an error."
	case memoryGone:
		return "The machine has no memory left. Start again with a smaller model, or a smaller num_ctx."
	}
	return "There was a fault in its innermost part."
}

// SetCrashReport says where a crash can be shown and saved.
func SetCrashReport(r CrashReport) {
	r.Bytes = min(r.Bytes, reportMax)
	report = r
}

// crash reports a fault that is nobody's signal and does not return.
func crash(f *frame, what string) {
	c := thisCPU()
	first := atomic.CompareAndSwapUint32(&crashing, 0, 1)
	if first {
		reportAt = tailLen
		atomic.CompareAndSwapUint32(&crashCause, 0, faultInKernel)
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
	if !first || t == nil {
		stop(faultInKernel)
	}
	if !onKernelStack(c, f.sp) {
		t.regs = *f // it was Go code that was interrupted
		t.vector = vectorSaved
	}
	// The runtime knows the goroutines, and ends with exit(2), which comes to stop.
	const sigQUIT = 3
	if actions[sigQUIT].handler <= sigIgnore || !pushSignal(t, sigQUIT, siTKill, 1) {
		stop(faultInKernel)
	}
	atomic.StoreUint32(&kernelLock, 1)
	dispatch(c, t)
}

// traceback prints the chain of return addresses, by frame pointers, as offsets in the
// image that a disassembler can look up.
func traceback(ip, bp, sp uintptr) {
	logHex("at image+", ip-imageBase)
	for i := 0; i < 24 && bp > sp && bp&7 == 0 && touch(bp, 16, false); i++ {
		ip, sp, bp = *at[uintptr](bp + 8), bp, *at[uintptr](bp)
		if ip-imageBase >= imageSize {
			break
		}
		logHex("\n   image+", ip-imageBase)
	}
	logString("\n")
}

// buildID is a checksum of the program's code, the CRC-32 that cksum and gzip know.
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
	reportAt = tailLen
	tellMemory()
	stop(memoryGone)
}

// tellMemory logs who has the memory.
func tellMemory() {
	logMB("\nmemory in use: ", totalFrames-freeFrames)
	logMB(" of ", totalFrames)
	logMB(", of which model weights and buffers ", physicalFrames)
	logMB(", the program's own data ", totalFrames-freeFrames-physicalFrames)
	logString("\n")
}

func logMB(what string, frames uintptr) {
	logString(what)
	n := frames >> (20 - frameShift)
	div := uintptr(1)
	for n/div >= 10 {
		div *= 10
	}
	for ; div > 0; div /= 10 {
		logByte(byte('0' + n/div%10))
	}
	logString(" MiB")
}

// stop shows the report, saves it and does what the person then chooses. It does not
// return.
func stop(cause uint32) {
	atomic.CompareAndSwapUint32(&crashCause, 0, cause) // the first is what happened
	c := thisCPU()
	if c != &cpus[0] {
		atomic.StoreUint32(&crashAsked, 1)
		atomic.StoreUint32(&kernelLock, 0)
		kickBoot()
		for {
			pause()
		}
	}
	atomic.StoreUint32(&crashing, 2)
	what := sentence(crashCause)
	showReport(what, saveReport(what))
	for {
		switch awaitKey() {
		case 'r', 'R':
			reset(0) // EfiResetCold
		case 's', 'S':
			reset(2) // EfiResetShutdown
		}
	}
}

func reset(kind uintptr) {
	rs := *at[uintptr](systemTable + stRuntimeServices)
	fwCall(*at[uintptr](rs + rsResetSystem), kind, 0, 0, 0, 0)
}

// awaitKey returns a key from the firmware's console or the serial port.
func awaitKey() byte {
	in := *at[uintptr](systemTable + stConIn)
	for {
		if in != 0 && fwCall(*at[uintptr](in + conInReadKeyStroke), in, addrOf(&keyStroke), 0, 0, 0) == 0 {
			return byte(keyStroke[1])
		}
		if hasCOM1 != 0 && In8(com1+uartLSR)&1 != 0 {
			return In8(com1)
		}
		haltInFirmware(&cpus[0])
	}
}

const (
	crashTitle = "AlphaOS had to stop."
	crashSafe  = "What you were told is saved is safe on the drive; an answer that was being written is kept up to its last saved piece."
	crashKeys  = "Press R to restart, S to shut down. If no key works, hold the power button."
	crashSaved = "The report below is saved on the drive as /backup/crash.txt."
)

func reportByte(i uintptr) byte { return tail[i%tailSize] }

func reportStart() uintptr {
	if tailLen-reportAt > tailSize {
		return tailLen - tailSize
	}
	return reportAt
}

// saveReport writes the report to its blocks on the drive.
func saveReport(what string) bool {
	if report.WriteBlocks == 0 || report.Bytes == 0 {
		return false
	}
	n := appendReport(0, crashTitle)
	n = appendReport(n, " ")
	n = appendReport(n, what)
	n = appendReport(n, "\n")
	for i := reportStart(); i < tailLen && n < report.Bytes; i++ {
		reportBuf[n] = reportByte(i)
		n++
	}
	for ; n < report.Bytes; n++ {
		reportBuf[n] = '\n'
	}
	return fwCall(report.WriteBlocks, report.This, uintptr(report.MediaID), uintptr(report.Block), uintptr(report.Bytes), addrOf(&reportBuf)) == 0
}

func appendReport(n int, s string) int {
	for i := 0; i < len(s) && n < report.Bytes; i++ {
		reportBuf[n] = s[i]
		n++
	}
	return n
}

// showReport writes the screen to the frame buffer, or to the firmware's console when
// there is none, and says the same on the serial port.
func showReport(what string, saved bool) {
	if report.Frame != 0 {
		drawReport(what, saved)
	}
	logString("\n" + crashTitle + " ")
	logString(what)
	logString("\n" + crashSafe + "\n" + crashKeys + "\n")
	if report.Frame == 0 {
		showOnConsole()
	}
}

func drawReport(what string, saved bool) {
	const ground, title, body, dim = 0x16191f, 0xe5b567, 0xe6e6e6, 0x8a919c
	fill(ground)
	var p pen
	p.scale = max(1, report.Width/640)
	p.left = 4 * 7 * p.scale
	p.right = report.Width - p.left
	p.x, p.y = p.left, 2*13*p.scale
	p.print(crashTitle+"\n\n", title)
	p.print(what, body)
	p.print("\n\n"+crashSafe+"\n\n"+crashKeys+"\n\n", body)
	if saved {
		p.print(crashSaved+"\n", dim)
	}
	p.print("\n", dim)
	if p.scale > 1 {
		p.scale--
	}
	for i := reportStart(); i < tailLen; i++ {
		p.put(reportByte(i), dim)
	}
}

// pen writes text on the frame buffer.
type pen struct{ x, y, left, right, scale int }

func (p *pen) print(s string, colour uint32) {
	for i := 0; i < len(s); i++ {
		// Break at a space when the word after it does not fit.
		if s[i] == ' ' {
			n := i + 1
			for n < len(s) && s[n] != ' ' && s[n] != '\n' {
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

// showOnConsole writes the end of the log to the firmware's text console.
func showOnConsole() {
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
