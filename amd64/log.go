package amd64

// What the program writes to its standard output and error goes to COM1, where
// there is one; the end of it is kept for the crash report.

const (
	com1       = 0x3f8
	uartLSR    = 5 // line status
	uartSCR    = 7 // scratch
	uartTHRE   = 1 << 5
	uartPatern = 0x5a

	tailSize = 64 << 10
)

var (
	hasCOM1  uintptr
	tail     [tailSize]byte
	tailLen  uintptr // bytes ever written
	reportAt uintptr // where in them the report of a crash begins
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
	if crashing == 0 && (hasPrefix(p, n, "panic: ") || hasPrefix(p, n, "fatal error: ")) {
		reportAt = tailLen // the Go runtime begins its own report
	}
	for i := uintptr(0); i < n; i++ {
		logByte(*at[byte](p + i))
	}
}

func hasPrefix(p, n uintptr, prefix string) bool {
	if n < uintptr(len(prefix)) {
		return false
	}
	for i := 0; i < len(prefix); i++ {
		if *at[byte](p + uintptr(i)) != prefix[i] {
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
