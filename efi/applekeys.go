package efi

// The keys that are down, as Apple's firmware tells them (APPLE_KEY_MAP_AGGREGATOR_PROTOCOL):
// on a Mac AppleEvent may read the console's input before anybody else can, but it cannot take
// keys away from here. Invariants: a press that another source delivers is not taken from here
// as well; a look allocates nothing.

import (
	"slices"
	"time"
	"unsafe"

	"alphaos/uefi"
)

const (
	mostHeld   = 32 // keys that are down at once
	mostMissed = 3  // presses in a row that a source which has delivered keys may fail to deliver

	grace       = 100 * time.Millisecond // for another source to deliver a press
	repeatAfter = 400 * time.Millisecond
	repeatEvery = 33 * time.Millisecond

	// longestLook bounds what the time between two looks counts for. The firmware notices that a
	// key was released only while it is called: after a pause it may still show one as down.
	longestLook = 50 * time.Millisecond
)

var heldKeysName = "Apple's key map"

// heldKeys turns keys that are down into key presses.
type heldKeys struct {
	io   uintptr // uefi.AppleKeyMap
	args [4]uintptr

	now    func() time.Time
	looked time.Time
	clock  time.Duration // that presses and repetitions go by

	started   bool // down is known
	down      [mostHeld]uint16
	count     int // of down
	modifiers uint16
	capsLock  bool

	waiting []press // oldest first; its array never grows

	repeats uint16 // the key that was pressed last and is still down, or 0
	again   time.Duration
}

type press struct {
	data uefi.KeyData
	at   time.Duration // by the clock
}

// openHeldKeys returns nil if the firmware does not tell which keys are down.
func openHeldKeys() *heldKeys {
	io, err := locateProtocol(&uefi.AppleKeyMapGUID)
	if err != nil || io == 0 {
		return nil
	}
	return &heldKeys{
		io: io, now: time.Now, looked: time.Now(), waiting: make([]press, 0, mostHeld),
		args: [4]uintptr{io, uintptr(unsafe.Pointer(&key.modifiers)), uintptr(unsafe.Pointer(&key.count)), uintptr(unsafe.Pointer(&key.held))},
	}
}

// look notices which keys were pressed and released. What is down at the first look was pressed for
// somebody else, such as the firmware's menu.
func (h *heldKeys) look() {
	now := h.now()
	h.clock += min(max(now.Sub(h.looked), 0), longestLook)
	h.looked = now
	key.Lock()
	defer key.Unlock()
	key.count, key.modifiers = mostHeld, 0
	st := uefi.Status(call(at[uefi.AppleKeyMap](h.io).GetKeyStrokes, h.args[:]...))
	if st != uefi.Success || key.count > mostHeld { // BufferTooSmall: more than anybody can press
		h.modifiers, h.repeats = 0, 0
		return
	}
	h.modifiers = key.modifiers
	held := key.held[:key.count]
	if !slices.Contains(held, h.repeats) {
		h.repeats = 0
	}
	for i, code := range held {
		if h.started && !slices.Contains(h.down[:h.count], code) && !slices.Contains(held[:i], code) {
			h.press(code)
		}
	}
	h.started, h.count = true, copy(h.down[:], held)
}

// press takes a key that has gone down.
func (h *heldKeys) press(code uint16) {
	if code == capsLockKey {
		h.capsLock = !h.capsLock
		return
	}
	d, ok := h.data(code)
	if !ok || len(h.waiting) == cap(h.waiting) {
		return
	}
	h.waiting = append(h.waiting, press{d, h.clock})
	h.repeats, h.again = code, h.clock+repeatAfter
}

// overdue counts the presses that another source should have delivered by now.
func (h *heldKeys) overdue() (n int) {
	for n < len(h.waiting) && h.clock-h.waiting[n].at >= grace {
		n++
	}
	return n
}

// forget drops the presses so far: another source delivers them.
func (h *heldKeys) forget() { h.waiting, h.repeats = h.waiting[:0], 0 }

// next returns a press that waits, or the key that was pressed last once more if it has been down
// long enough.
func (h *heldKeys) next() (uefi.KeyData, bool) {
	if len(h.waiting) > 0 {
		d := h.waiting[0].data
		h.waiting = slices.Delete(h.waiting, 0, 1)
		return d, true
	}
	if h.repeats == 0 || h.clock < h.again {
		return uefi.KeyData{}, false
	}
	h.again += repeatEvery
	return h.data(h.repeats)
}

// Codes of keys are usages of the HID Usage Tables 1.12, 10, with their page above.
const (
	keyboardPage = 0x7000
	usages       = 0x0fff
	capsLockKey  = keyboardPage | 0x39
	extraKey     = 0x64 // "Keyboard Non-US \ and |"

	// Bits of the modifiers, of the left key and the right one.
	controlHeld = 0x11
	shiftHeld   = 0x22
	optionHeld  = 0x44

	// padKey marks characters of the number pad, for translate: the area for private use again.
	padKey = 0xe100
)

// What keys type on a US keyboard, alone and with Shift: a to 0, Enter, Esc, Backspace, Tab and the
// space bar, - to /. ISO keyboards have 0x32 in place of 0x31.
const firstChar = 0x04

var usageChars = [2]string{
	"abcdefghijklmnopqrstuvwxyz1234567890\r\x1b\b\t -=[]\\\\;'`,./",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\r\x1b\b\t _+{}||:\"~<>?",
}

// EFI scan codes of the keys from Home to the arrow up, and the characters of the number pad.
const (
	firstScanCode, usageScanCodes = 0x4a, "\x05\x09\x08\x06\x0a\x03\x04\x02\x01"
	firstPadChar, usagePadChars   = 0x54, "/*-+\r1234567890."
	padEquals                     = 0x67
)

// data returns what Simple Text Input Ex would say of a key; ok is false for one that types nothing.
func (h *heldKeys) data(code uint16) (d uefi.KeyData, ok bool) {
	d.KeyShiftState, d.KeyToggleState = h.shiftState(), toggleStateValid
	if h.capsLock {
		d.KeyToggleState |= capsLockActive
	}
	shifted := h.modifiers&shiftHeld != 0
	switch usage := int(code & usages); {
	case code&^usages != keyboardPage:
		return d, false
	case usage >= firstChar && usage < firstChar+len(usageChars[0]):
		c := usageChars[0][usage-firstChar]
		if shifted != (h.capsLock && isLetter(rune(c))) {
			c = usageChars[1][usage-firstChar]
		}
		d.Key.UnicodeChar = uint16(c)
	case usage >= firstScanCode && usage < firstScanCode+len(usageScanCodes):
		d.Key.ScanCode = uint16(usageScanCodes[usage-firstScanCode])
	case usage >= firstPadChar && usage < firstPadChar+len(usagePadChars):
		if d.Key.UnicodeChar = uint16(usagePadChars[usage-firstPadChar]); d.Key.UnicodeChar != '\r' {
			d.Key.UnicodeChar |= padKey
		}
	case usage == padEquals:
		d.Key.UnicodeChar = padKey | '='
	case usage == extraKey && shifted:
		d.Key.UnicodeChar = ExtraKeyShifted
	case usage == extraKey:
		d.Key.UnicodeChar = ExtraKey
	default:
		return d, false
	}
	return d, true
}

// shiftState returns the modifiers as a KeyShiftState (12.2.3).
func (h *heldKeys) shiftState() uint32 {
	s := uint32(shiftStateValid)
	if h.modifiers&shiftHeld != 0 {
		s |= leftShift
	}
	if h.modifiers&controlHeld != 0 {
		s |= leftControl
	}
	if h.modifiers&optionHeld != 0 {
		s |= leftAlt
	}
	return s
}
