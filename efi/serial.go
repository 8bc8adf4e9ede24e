package efi

// The first serial port, a 16550 UART at the PC's usual address, driven
// directly. Invariant: no loop waits for the hardware without a bound, so a
// UART that is dead, or whose line does not drain, costs output but never
// stops the program.

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"alphaos/uefi"
)

const com1 = 0x3f8

// Registers of the 16550 and the bits used (National Semiconductor PC16550D).
const (
	regData    = 0 // receive and transmit; divisor low with DLAB
	regIER     = 1 // interrupt enable; divisor high with DLAB
	regFCR     = 2 // FIFO control when written
	regIIR     = 2 // interrupt identification when read
	regLCR     = 3 // line control
	regMCR     = 4 // modem control
	regLSR     = 5 // line status
	regMSR     = 6 // modem status
	regScratch = 7

	lcrDLAB = 0x80
	lcr8N1  = 0x03

	mcrDTR  = 0x01
	mcrRTS  = 0x02
	mcrLoop = 0x10

	lsrData    = 0x01 // a byte was received
	lsrOverrun = 0x02 // bytes were received faster than they were read; reading the register clears it
	lsrEmpty   = 0x20 // the transmitter takes bytes
	lsrIdle    = 0x40 // all bytes are out

	iirFIFO = 0xc0 // both bits: the FIFOs are on
	fcrFIFO = 0x01

	absent = 0xff // what a port nobody answers reads as
)

// ErrNoSerial is returned by OpenSerial when there is no UART at COM1, as on
// every Mac.
var ErrNoSerial = errors.New("there is no serial port COM1")

// Serial is COM1 at 115200 baud, 8N1, without flow control. One goroutine may
// read and any number may write. As on any such line, what the other side
// does not take is lost: when the UART sends nothing for two seconds, output
// is dropped, without further waiting, until it sends again. So a terminal that
// was stopped for a while does not lose its console for good.
type Serial struct {
	closed  atomic.Bool
	dropped atomic.Int64
	overrun atomic.Bool // received bytes were lost, which Read has not reported yet
	burst   int         // bytes the transmitter takes at once
	heard   time.Time   // when something was last received
	rest    string      // to be read before anything else
	taken   []Handle    // from the firmware's drivers

	mu    sync.Mutex // held while writing
	stuck bool       // the last wait was in vain
	look  sync.Mutex // held while looking for what was received
}

var _ io.ReadWriteCloser = (*Serial)(nil)

// OpenSerial takes over COM1: it stops the firmware's terminal driver on it,
// which would otherwise eat what is typed, and sets the line up. The error is
// ErrNoSerial when there is no UART.
func OpenSerial() (*Serial, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	if !probeUART() {
		return nil, ErrNoSerial
	}
	taken, err := takeCOM1()
	if err != nil {
		return nil, err
	}
	s := &Serial{burst: 1, taken: taken}
	s.idle()
	setRegister(regIER, 0) // it is polled
	setRegister(regLCR, lcrDLAB|lcr8N1)
	setRegister(regData, 1) // 115200 / 1
	setRegister(regIER, 0)
	setRegister(regLCR, lcr8N1)
	setRegister(regFCR, fcrFIFO) // not clearing them: something may have been typed already
	setRegister(regMCR, mcrDTR|mcrRTS)
	if register(regIIR)&iirFIFO == iirFIFO {
		s.burst = 16
	}
	return s, nil
}

func register(r uint16) uint8       { return in8(com1 + r) }
func setRegister(r uint16, v uint8) { out8(com1+r, v) }

// probeUART looks for a UART without sending anything: the scratch register
// must hold what is written or, on an 8250, which has none, the modem lines
// must follow in loop-back mode.
func probeUART() bool {
	if register(regLSR) == absent && register(regIIR) == absent {
		return false
	}
	was := register(regScratch)
	holds := true
	for _, v := range []uint8{0x5a, 0xa5} {
		setRegister(regScratch, v)
		holds = holds && register(regScratch) == v
	}
	setRegister(regScratch, was)
	if holds {
		return true
	}
	mcr := register(regMCR)
	setRegister(regMCR, mcrLoop|0x0a) // RTS and OUT2 come back as CTS and DCD
	lines := register(regMSR) & 0xf0
	setRegister(regMCR, mcr)
	return lines == 0x90
}

// takeCOM1 disconnects the firmware's drivers from COM1 and returns what they were disconnected from.
func takeCOM1() (taken []Handle, err error) {
	hs, err := handles(&uefi.SerialIOGUID)
	if err != nil {
		return nil, fmt.Errorf("looking for the firmware's serial ports: %w", err)
	}
	for _, h := range hs {
		path := handlePath(h)
		// COM1 is PNP0501 number 0, or the only port, if the firmware does not say what it is.
		if uid, ok := path.acpi(0x0501); uid != 0 || !ok && len(hs) > 1 {
			continue
		}
		switch err := disconnect(h); {
		case err == nil:
			taken = append(taken, h)
		case errors.Is(err, uefi.NotFound): // no driver had it
		default:
			return nil, fmt.Errorf("taking the serial port %s from the firmware: %w", path, err)
		}
	}
	return taken, nil
}

const (
	writeTimeout = 2 * time.Second
	idleTimeout  = 20 * time.Millisecond // 16 bytes take 1.4 ms at 115200 baud, 17 ms at 9600
	readPoll     = 5 * time.Millisecond
	pastePoll    = 500 * time.Microsecond // while bytes follow each other: 6 at 115200 baud, and a FIFO holds 16
	pasteTime    = 20 * time.Millisecond
)

// status reads the line status, 0 when nobody answers.
func (s *Serial) status() uint8 {
	l := register(regLSR)
	if l == absent {
		return 0
	}
	if l&lsrOverrun != 0 {
		s.overrun.Store(true)
	}
	return l
}

// waitEmpty waits until the transmitter takes bytes. After a time-out it does
// not wait again until the UART has recovered.
func (s *Serial) waitEmpty() bool {
	for range 100 {
		if l := s.status(); l&lsrEmpty != 0 {
			s.stuck = false
			return true
		}
	}
	if s.stuck {
		return false
	}
	for start := time.Now(); time.Since(start) < writeTimeout; {
		sleep(200 * time.Microsecond)
		if l := s.status(); l&lsrEmpty != 0 {
			return true
		}
	}
	s.stuck = true
	return false
}

// idle waits, within bounds, until the last byte has left.
func (s *Serial) idle() {
	for start := time.Now(); s.status()&lsrIdle == 0 && time.Since(start) < idleTimeout; {
		sleep(200 * time.Microsecond)
	}
}

// Write sends p. The only error is that the port was closed; bytes that the
// UART does not take are dropped and counted.
func (s *Serial) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sent := 0; sent < len(p); {
		if s.closed.Load() {
			return sent, io.ErrClosedPipe
		}
		if !s.waitEmpty() {
			s.dropped.Add(int64(len(p) - sent))
			return len(p), nil
		}
		for range min(s.burst, len(p)-sent) {
			setRegister(regData, p[sent])
			sent++
		}
	}
	return len(p), nil
}

// lost, U+FFFD, takes the place of received bytes that came faster than they were read.
const lost = "\uFFFD"

// Read waits until something is received and returns it, with U+FFFD where bytes
// were lost because they came faster than they were read. After Close it returns
// io.EOF.
func (s *Serial) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		s.look.Lock()
		for n < len(p) && !s.closed.Load() && s.status()&lsrData != 0 {
			p[n] = register(regData)
			n++
		}
		s.look.Unlock()
		if s.overrun.Swap(false) {
			told := copy(p[n:], lost)
			n, s.rest = n+told, lost[told:]
		}
		if n > 0 {
			s.heard = time.Now()
			return n, nil
		}
		if s.closed.Load() {
			return 0, io.EOF
		}
		if time.Since(s.heard) < pasteTime {
			sleep(pastePoll)
		} else {
			sleep(readPoll)
		}
	}
}

// Close makes Read and Write return, and gives the port back to the firmware's drivers, for what runs after this
// program. The error is what they say to that.
func (s *Serial) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look.Lock()
	defer s.look.Unlock()
	s.idle() // what was written last is out
	var failed []error
	for _, h := range s.taken {
		if err := connect(h); err != nil {
			failed = append(failed, fmt.Errorf("giving the serial port %s back to the firmware: %w", handlePath(h), err))
		}
	}
	return errors.Join(failed...)
}
