package amd64

// What the program writes to its standard output and error goes to COM1, if there is one.
// The last part is kept for the crash report.

const (
	com1        = 0x3f8
	uartLSR     = 5 // line status
	uartSCR     = 7 // scratch
	uartTHRE    = 1 << 5
	uartPattern = 0x5a

	tailSize = 64 << 10
)

var (
	hasCOM1  uintptr
	tail     [tailSize]byte
	tailLen  uintptr // bytes ever written
	lineAt   uintptr // where in them the last line begins
	reportAt uintptr // and the report of a crash
)

func probeCOM1() {
	Out8(com1+uartSCR, uartPattern)
	if In8(com1+uartSCR) == uartPattern && In8(com1+uartLSR) != 0xff {
		hasCOM1 = 1
	}
}

func putSerial(b byte) {
	if hasCOM1 == 0 {
		return
	}
	const most = 5e9 // ns; an emulator's line waits for a terminal on a busy host
	for end := int64(0); In8(com1+uartLSR)&uartTHRE == 0; pause() {
		if end == 0 {
			end = now() + most
		} else if now() > end { // the other end is gone
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
	if b == '\n' {
		lineAt = tailLen
	}
}

func logBytes(p, n uintptr) {
	for i := uintptr(0); i < n; i++ {
		b := *at[byte](p + i)
		logByte(b)
		if b == ' ' && crashing == 0 && (lineIs("panic: ") || lineIs("fatal error: ")) {
			reportAt = lineAt // the Go runtime begins its own report
		}
	}
}

// lineIs reports whether the last line, so far, is s.
func lineIs(s string) bool {
	return tailLen-lineAt == uintptr(len(s)) && logged(lineAt, s)
}

// logged reports whether s stands at a place in the log.
func logged(at uintptr, s string) bool {
	for i := 0; i < len(s); i++ {
		if reportByte(at+uintptr(i)) != s[i] {
			return false
		}
	}
	return true
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
