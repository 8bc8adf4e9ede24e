package console

// Keys arrive as a byte stream (a serial line, a host terminal) or as Key values (firmware). This file
// holds the common vocabulary and the decoder from bytes. The decoder is a small state machine fed one
// byte at a time, so a sequence may be split over reads at any place. Invariant: every byte is either
// part of exactly one key, part of a sequence that is recognised as a whole and dropped, or answered
// with U+FFFD; no input makes it hold more than maxSequence bytes, panic or wait for ever.

import (
	"context"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Code names a key that is not a character.
type Code uint8

// Codes of the keys the console understands. Alt-b, Alt-f, Ctrl-Left and Ctrl-Right are WordLeft and
// WordRight; Ctrl-B, F, P, N are Left, Right, Up, Down; Ctrl-H is Backspace.
const (
	None Code = iota // a character: Key.Rune holds it
	Enter
	Backspace
	Delete
	Left
	Right
	Up
	Down
	Home
	End
	PageUp
	PageDown
	WordLeft
	WordRight
	Esc
	Tab
	CtrlA
	CtrlC
	CtrlD
	CtrlE
	CtrlK
	CtrlL
	CtrlU
	CtrlW
)

var codeNames = [...]string{"None", "Enter", "Backspace", "Delete", "Left", "Right", "Up", "Down", "Home", "End",
	"PageUp", "PageDown", "WordLeft", "WordRight", "Esc", "Tab",
	"CtrlA", "CtrlC", "CtrlD", "CtrlE", "CtrlK", "CtrlL", "CtrlU", "CtrlW"}

// String returns the name of the code, as in the source.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "Code(?)"
}

// Key is one key press: a character in Rune with Code None, or a Code with Rune 0.
type Key struct {
	Rune  rune
	Code  Code
	Line  bool // it came from a serial line, or another terminal
	Quick bool // it came behind the last one faster than keys are pressed: out of a stream of bytes, as text that is pasted does
}

// ControlKey translates a control character (U+0000 to U+001F, U+007F), as serial lines and firmware
// report Ctrl-letter combinations, Enter, Tab and Backspace. ok is false for one that means nothing here.
func ControlKey(r rune) (k Key, ok bool) {
	var c Code
	switch r {
	case 0x01:
		c = CtrlA
	case 0x02:
		c = Left
	case 0x03:
		c = CtrlC
	case 0x04:
		c = CtrlD
	case 0x05:
		c = CtrlE
	case 0x06:
		c = Right
	case 0x08, 0x7f:
		c = Backspace
	case 0x09:
		c = Tab
	case 0x0a, 0x0d:
		c = Enter
	case 0x0b:
		c = CtrlK
	case 0x0c:
		c = CtrlL
	case 0x0e:
		c = Down
	case 0x10:
		c = Up
	case 0x15:
		c = CtrlU
	case 0x17:
		c = CtrlW
	case 0x1b:
		c = Esc
	default:
		return Key{}, false
	}
	return Key{Code: c}, true
}

// escTimeout tells a press of Esc from the start of a sequence: the bytes of a sequence follow each
// other closely, even through a polled UART in an emulated machine.
const escTimeout = 100 * time.Millisecond

// Text is pasted, rather than typed, when its characters follow each other faster than pasteGap, or, on a machine
// too busy to read them in time, when pasteChunk bytes or more wait together.
const (
	pasteGap   = 50 * time.Millisecond
	pasteChunk = 8
)

// maxSequence bounds what an unfinished sequence may hold.
const maxSequence = 64

// DecodeKeys reads a VT100/xterm byte stream (UTF-8 text, CSI and SS3 sequences) from r and sends keys
// until r returns an error or ctx is done; then the channel is closed. An Esc that nothing follows for
// a tenth of a second is the Esc key. A Read of r that is blocked when ctx ends is left to return in
// its own time; its bytes are lost.
func DecodeKeys(ctx context.Context, r io.Reader) <-chan Key {
	keys := make(chan Key, 64)
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 256)
			n, err := r.Read(buf)
			if n > 0 {
				select {
				case chunks <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil || ctx.Err() != nil {
				return // the closed channel is the report: ReadLine turns it into io.EOF
			}
		}
	}()
	go func() {
		defer close(keys)
		var d decoder
		var last time.Time
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		for {
			timer.Stop()
			var wait <-chan time.Time
			if d.waiting() {
				timer.Reset(escTimeout)
				wait = timer.C
			}
			open, many := true, false
			select {
			case <-ctx.Done():
				return
			case p, ok := <-chunks:
				many = len(p) >= pasteChunk
				if open = ok; ok {
					for _, b := range p {
						d.feed(b)
					}
				} else {
					d.timeout()
				}
			case <-wait:
				d.timeout()
			}
			for _, k := range d.out {
				now := time.Now()
				k.Line = true
				k.Quick = many || now.Sub(last) < pasteGap
				last = now
				select {
				case keys <- k:
				case <-ctx.Done():
					return
				}
			}
			d.out = d.out[:0]
			if !open {
				return
			}
		}
	}()
	return keys
}

// MergeKeys sends the keys of several sources on one channel, which is closed when all of them are.
func MergeKeys(sources ...<-chan Key) <-chan Key {
	out := make(chan Key, 64)
	done := make(chan struct{})
	for _, src := range sources {
		go func() {
			for k := range src {
				out <- k
			}
			done <- struct{}{}
		}()
	}
	go func() {
		for range sources {
			<-done
		}
		close(out)
	}()
	return out
}

type decoderState uint8

const (
	stGround    decoderState = iota
	stUTF8                   // seq holds the first bytes of a character
	stEsc                    // after ESC
	stCSI                    // after ESC [
	stSS3                    // after ESC O
	stLinux                  // after ESC [ [, the Linux console's function keys: one more byte
	stString                 // an answer string (OSC, DCS, ...), up to BEL or ESC \
	stStringEsc              // ESC inside such a string
)

type decoder struct {
	state decoderState
	seq   []byte
	cr    bool // the last byte was CR: an LF right behind it belongs to it
	out   []Key
}

func (d *decoder) emit(c Code)     { d.out = append(d.out, Key{Code: c}) }
func (d *decoder) emitRune(r rune) { d.out = append(d.out, Key{Rune: r}) }

// waiting reports whether silence would mean something.
func (d *decoder) waiting() bool { return d.state != stGround || d.cr }

// timeout ends whatever is unfinished: nothing more came.
func (d *decoder) timeout() {
	switch d.state {
	case stEsc:
		d.emit(Esc)
	case stUTF8:
		d.emitRune(utf8.RuneError)
	}
	d.state, d.seq, d.cr = stGround, d.seq[:0], false
}

func (d *decoder) feed(b byte) {
	switch d.state {
	case stGround:
		d.ground(b)
	case stUTF8:
		if b&0xC0 != 0x80 {
			d.timeout()
			d.ground(b)
			return
		}
		d.seq = append(d.seq, b)
		if utf8.FullRune(d.seq) {
			d.character()
		}
	case stEsc:
		d.escape(b)
	case stCSI:
		switch {
		case b == '[' && len(d.seq) == 0:
			d.state = stLinux
		case b >= 0x40 && b <= 0x7e:
			d.control(b)
			d.state, d.seq = stGround, d.seq[:0]
		case b >= 0x20 && b < 0x40 && len(d.seq) < maxSequence:
			d.seq = append(d.seq, b)
		default: // not a sequence after all: forget it, but not this byte
			d.state, d.seq = stGround, d.seq[:0]
			d.ground(b)
		}
	case stSS3:
		d.state = stGround
		switch b {
		case 'A':
			d.emit(Up)
		case 'B':
			d.emit(Down)
		case 'C':
			d.emit(Right)
		case 'D':
			d.emit(Left)
		case 'F':
			d.emit(End)
		case 'H':
			d.emit(Home)
		case 'M':
			d.emit(Enter)
		default:
			if b < 0x20 || b >= 0x7f {
				d.ground(b)
			}
		}
	case stLinux:
		d.state = stGround
		if b < 0x20 || b >= 0x7f {
			d.ground(b)
		}
	case stString:
		switch {
		case b == 0x07:
			d.state = stGround
		case b == 0x1b:
			d.state = stStringEsc
		case b == '\r' || b == 0x03 || len(d.seq) >= maxSequence:
			// Nobody ends such a string with Enter or Ctrl-C: a person is typing.
			d.state, d.seq = stGround, d.seq[:0]
			d.ground(b)
			return
		default:
			d.seq = append(d.seq, b)
			return
		}
		d.seq = d.seq[:0]
	case stStringEsc:
		d.state = stGround
		if b != '\\' {
			d.escape(b)
		}
	}
}

func (d *decoder) ground(b byte) {
	cr := d.cr
	d.cr = false
	switch {
	case b == 0x1b:
		d.state, d.seq = stEsc, d.seq[:0]
	case b == '\n' && cr: // CR LF is one Enter
	case b < 0x20 || b == 0x7f:
		d.cr = b == '\r'
		if k, ok := ControlKey(rune(b)); ok {
			d.out = append(d.out, k)
		}
	case b < utf8.RuneSelf:
		d.emitRune(rune(b))
	default:
		d.seq = append(d.seq[:0], b)
		if utf8.FullRune(d.seq) {
			d.character() // a byte that can't begin a character
		} else {
			d.state = stUTF8
		}
	}
}

// character emits what seq holds. An invalid prefix costs one U+FFFD a byte, and a byte in it that
// could begin something is looked at again.
func (d *decoder) character() {
	seq := d.seq
	d.state = stGround
	for len(seq) > 0 {
		r, n := utf8.DecodeRune(seq)
		if r >= 0x80 && r < 0xA0 {
			r = utf8.RuneError // C1 controls are not keys
		}
		d.emitRune(r)
		seq = seq[n:]
	}
	d.seq = d.seq[:0]
}

func (d *decoder) escape(b byte) {
	d.state, d.seq = stGround, d.seq[:0]
	switch b {
	case '[':
		d.state = stCSI
	case 'O':
		d.state = stSS3
	case ']', 'P', 'X', '^', '_':
		d.state = stString
	case 0x1b:
		d.emit(Esc)
		d.state = stEsc
	case 'b':
		d.emit(WordLeft)
	case 'f':
		d.emit(WordRight)
	case 0x08, 0x7f:
		d.emit(CtrlW)
	default:
		d.emit(Esc)
		d.ground(b)
	}
}

// control interprets a CSI sequence (ECMA-48 5.4; xterm's "CSI number ~" and "CSI 1 ; modifier letter").
func (d *decoder) control(final byte) {
	first, rest, _ := strings.Cut(string(d.seq), ";")
	ctrl := rest == "5" || rest == "3" // Ctrl or Alt held
	switch final {
	case 'A':
		d.emit(Up)
	case 'B':
		d.emit(Down)
	case 'C':
		if ctrl {
			d.emit(WordRight)
		} else {
			d.emit(Right)
		}
	case 'D':
		if ctrl {
			d.emit(WordLeft)
		} else {
			d.emit(Left)
		}
	case 'F':
		d.emit(End)
	case 'H':
		d.emit(Home)
	case '~':
		switch first {
		case "1", "7":
			d.emit(Home)
		case "3":
			d.emit(Delete)
		case "4", "8":
			d.emit(End)
		case "5":
			d.emit(PageUp)
		case "6":
			d.emit(PageDown)
		}
	}
}
