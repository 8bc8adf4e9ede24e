package amd64

import "sync/atomic"

// What the program writes to its standard output and error goes to COM1, where
// there is one; the end of it is kept, and shown through the firmware's text console
// when the program ends badly, since that may be the only screen.

const (
	com1       = 0x3f8
	uartLSR    = 5 // line status
	uartSCR    = 7 // scratch
	uartTHRE   = 1 << 5
	uartPatern = 0x5a

	tailSize = 4096
)

var (
	hasCOM1  uintptr
	tail     [tailSize]byte
	tailLen  uintptr // bytes ever written
	textLine [128]uint16
)

func probeCOM1() {
	Out8(com1+uartSCR, uartPatern)
	if In8(com1+uartSCR) == uartPatern && In8(com1+uartLSR) != 0xff {
		hasCOM1 = 1
	}
}

func putSerial(b byte) {
	if hasCOM1 == 0 {
		return
	}
	for i := 0; In8(com1+uartLSR)&uartTHRE == 0; i++ {
		if i == 1<<20 { // the other end is gone
			hasCOM1 = 0
			return
		}
	}
	Out8(com1, b)
}

func logByte(b byte) {
	if b == '\n' {
		putSerial('\r')
	}
	putSerial(b)
	tail[tailLen%tailSize] = b
	tailLen++
}

func logBytes(p, n uintptr) {
	for i := uintptr(0); i < n; i++ {
		logByte(*at[byte](p + i))
	}
}

func logString(s string) {
	for i := 0; i < len(s); i++ {
		logByte(s[i])
	}
}

func logHex(name string, v uintptr) {
	logString(name)
	for shift := 60; shift >= 0; shift -= 4 {
		logByte("0123456789abcdef"[v>>shift&15])
	}
}

// showTail writes the end of the log to the firmware's console.
func showTail() {
	from := uintptr(0)
	if tailLen > tailSize {
		from = tailLen - tailSize
	}
	n := 0
	for i := from; i < tailLen; i++ {
		b := tail[i%tailSize]
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

// crash reports what happened and stops the program.
func crash(f *frame, what string) {
	logString("\n\nAlphaOS had to stop: ")
	logString(what)
	logHex(".\nvector ", f.vec)
	logHex(" error ", f.err)
	logHex(" cr2 ", readCR2())
	logHex("\nip ", f.ip)
	logHex(" image ", imageBase)
	logHex(" sp ", f.sp)
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
	logString("\nYour saved conversations are safe on the drive. Hold the power button to switch off, then start again.\n")
	stop()
}

func outOfMemory() {
	logString("\n\nAlphaOS had to stop: the machine has no memory left.\n" +
		"Your saved conversations are safe on the drive. Hold the power button to switch off, then start again with a smaller model.\n")
	stop()
}

// stop shows the report and waits, with the firmware's interrupts on, for the
// person to switch off.
func stop() {
	if c := thisCPU(); c != &cpus[0] {
		atomic.StoreUint32(&crashAsked, 1)
		kickBoot()
		for {
			pause()
		}
	}
	showTail()
	for {
		haltInFirmware(&cpus[0])
	}
}
