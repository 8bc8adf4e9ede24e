package efi

// The keyboard: Simple Text Input Ex (UEFI 2.10, 12.2) where there is one,
// else Simple Text Input (12.3), as console.Key values. Invariants: polling
// allocates nothing, but for twice a second while a keyboard that was pulled out
// has no successor; it runs a hundred times a second for as long as the
// machine is on. A keyboard that is not the console's is asked only after a look whether it
// is still there: firmware frees what it had of one that was pulled out. Nothing is required of the keyboard but letters and Enter:
// there are Macs without Esc and function keys, whose firmware may report
// Ctrl-x as plain x. Whatever is printed on the keys, most firmware reports them
// as those of a US keyboard; a Layout knows better. A Mac's has another way to tell the keys
// (applekeys.go).

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"alphaos/console"
	"alphaos/uefi"
)

const pollInterval = 10 * time.Millisecond

// maxBurst bounds the keys taken in one poll, should firmware never say that
// there are no more.
const maxBurst = 64

// probeEvery is how many polls pass between looks at the other sources while no key was
// delivered.
const probeEvery = 50

// keySource is a protocol that gives keys. Its arguments are kept so that a poll allocates
// nothing.
type keySource struct {
	name  string
	io    uintptr // uefi.SimpleTextInputEx or uefi.SimpleTextInput
	ex    bool
	look  [3]uintptr // of HandleProtocol, whether the keyboard is there; the handle is 0 for the console's
	args  [2]uintptr // of ReadKeyStroke
	event [1]uintptr // WaitForKey
}

// keyboard reads keys from the source that has proven to deliver them.
type keyboard struct {
	sources []*keySource // ConIn's first
	proven  *keySource   // gave the first key
	polls   int
	lost    bool // one was pulled out, and none has given a key since

	held     *heldKeys // nil: the firmware does not tell which keys are down
	heldGive bool      // the sources do not deliver, so keys come from there
}

// key receives keys from the firmware.
var key struct {
	sync.Mutex
	data uefi.KeyData
	io   uintptr // the protocol that a handle has

	// Keys that are down.
	held      [mostHeld]uint16
	count     uint64
	modifiers uint16
}

var deliveredBy atomic.Pointer[string]

// KeySource names what the keys come from.
func KeySource() string {
	if name := deliveredBy.Load(); name != nil {
		return *name
	}
	return "no key was pressed yet"
}

// openKeyboard finds the console's input protocols, and those of other keyboards: there is
// firmware on which only one of them works. It returns nil when there is none.
func openKeyboard() *keyboard {
	k := &keyboard{}
	own, _ := protocol(Handle(fw.st.ConsoleInHandle), &uefi.TextInputExGUID)
	k.add("Simple Text Input Ex of the console", 0, own, true)
	k.add("Simple Text Input", 0, fw.st.ConIn, false)
	k.addOthers()
	k.held = openHeldKeys()
	if len(k.sources) == 0 && k.held == nil {
		return nil
	}
	return k
}

// addOthers adds the keyboards that are not known yet.
func (k *keyboard) addOthers() {
	list, _ := handles(&uefi.TextInputExGUID)
	for _, h := range list {
		ex, err := protocol(h, &uefi.TextInputExGUID)
		known := slices.ContainsFunc(k.sources, func(s *keySource) bool { return s.io == ex })
		if err == nil && !known && h != Handle(fw.st.ConsoleInHandle) && !handlePath(h).serial() {
			k.add("Simple Text Input Ex of another keyboard", h, ex, true)
		}
	}
}

func (k *keyboard) add(name string, h Handle, io uintptr, ex bool) {
	if io == 0 {
		return
	}
	k.sources = append(k.sources, &keySource{
		name: name, io: io, ex: ex, args: [2]uintptr{io, uintptr(unsafe.Pointer(&key.data))},
		look: [3]uintptr{uintptr(h), guidAt(&uefi.TextInputExGUID), uintptr(unsafe.Pointer(&key.io))},
	})
}

// drop forgets a keyboard that was pulled out: keys come from any of the others, or from itself
// when it is back.
func (k *keyboard) drop(s *keySource) {
	k.sources = slices.DeleteFunc(k.sources, func(o *keySource) bool { return o == s })
	k.proven, k.lost = nil, true
}

// poll returns the next key press, if there is one. The keys that are down count only where the
// sources do not deliver what they show: the first key, or later several without one between.
func (k *keyboard) poll() (uefi.KeyData, bool) {
	if k.held == nil {
		return k.ask()
	}
	k.held.look()
	if !k.heldGive {
		if d, ok := k.ask(); ok {
			if k.held.forget(); !k.proven.ex { // it tells no modifiers
				d.KeyShiftState = k.held.shiftState()
			}
			return d, true
		}
		missed := k.held.overdue()
		if missed == 0 || missed < mostMissed && k.proven != nil {
			return uefi.KeyData{}, false
		}
		k.heldGive = true
		deliveredBy.Store(&heldKeysName)
	}
	return k.held.next()
}

// ask returns the next key of the sources.
func (k *keyboard) ask() (uefi.KeyData, bool) {
	if s := k.proven; s != nil && s.there() {
		d, st := s.read()
		return d, st == uefi.Success
	} else if s != nil {
		k.drop(s)
	}
	// Until the first key all are looked at, the later ones now and then: drivers may queue
	// each key for several.
	k.polls++
	look := k.polls%probeEvery == 0
	if look && k.lost {
		connectUSB()
		k.addOthers()
	}
	for i, s := range k.sources {
		if i > 0 && !look {
			break
		}
		if !s.there() {
			k.drop(s)
			break
		}
		d, st := s.read()
		if st == uefi.Success {
			k.proven, k.lost = s, false
			deliveredBy.Store(&s.name)
			return d, true
		}
		look = look || st != uefi.NotReady
	}
	return uefi.KeyData{}, false
}

// there reports whether the keyboard still has the protocol. The console's always has.
func (s *keySource) there() bool {
	if s.look[0] == 0 {
		return true
	}
	key.Lock()
	defer key.Unlock()
	return uefi.Status(call(fw.bs.HandleProtocol, s.look[:]...)) == uefi.Success && key.io == s.io
}

// read calls ReadKeyStroke, if the event says that a key waits or is none that the firmware
// knows: there is firmware whose ReadKeyStroke does not return without a key. The plain one fills
// in only the key. The event is asked for each time: a keyboard that is back may be where it was,
// with another one.
func (s *keySource) read() (uefi.KeyData, uefi.Status) {
	key.Lock()
	defer key.Unlock()
	fn := at[uefi.SimpleTextInput](s.io).ReadKeyStroke
	s.event[0] = at[uefi.SimpleTextInput](s.io).WaitForKey
	if s.ex {
		fn = at[uefi.SimpleTextInputEx](s.io).ReadKeyStrokeEx
		s.event[0] = at[uefi.SimpleTextInputEx](s.io).WaitForKeyEx
	}
	if s.event[0] != 0 && uefi.Status(call(fw.bs.CheckEvent, s.event[:]...)) == uefi.NotReady {
		return uefi.KeyData{}, uefi.NotReady
	}
	key.data = uefi.KeyData{}
	st := uefi.Status(call(fn, s.args[:]...))
	return key.data, st
}

// Layout is what is printed on the keys of the person's keyboard. Its methods
// are called from one goroutine.
type Layout interface {
	// Press returns the characters that a key types, perhaps none yet. us is
	// what it types on a US keyboard, with Shift and CapsLock as they are, or
	// ExtraKey or ExtraKeyShifted.
	Press(us rune, altGr, capsLock bool) []rune
	// Letter returns what the key types without modifiers and accents.
	Letter(us rune) rune
	// Flush returns characters that wait for another, when a key comes that
	// types none.
	Flush() []rune
}

// What stands for the key between the left Shift and z, which a US keyboard lacks, and for
// that key with Shift: characters of Unicode's area for private use.
const (
	ExtraKey        = '\ue064'
	ExtraKeyShifted = '\ue065'
)

// us is the layout of a US keyboard.
type us struct{}

func (us) Press(r rune, _, _ bool) []rune {
	if r == ExtraKey || r == ExtraKeyShifted {
		return nil
	}
	return []rune{r}
}
func (us) Letter(r rune) rune { return r }
func (us) Flush() []rune      { return nil }

// Keys polls the firmware's keyboard until ctx is done and then closes the
// channel. Call it once. Without a keyboard the channel delivers nothing. A nil
// layout is that of a US keyboard.
func Keys(ctx context.Context, layout Layout) <-chan console.Key {
	if layout == nil {
		layout = us{}
	}
	ch := make(chan console.Key, maxBurst)
	var k *keyboard
	if ready() == nil {
		k = openKeyboard()
	}
	go func() {
		defer close(ch)
		done := ctx.Done()
		if k == nil {
			<-done
			return
		}
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		for {
			for range maxBurst {
				d, ok := k.poll()
				if !ok {
					break
				}
				for _, pressed := range translate(d, layout) {
					select {
					case ch <- pressed:
					case <-done:
						return
					}
				}
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return ch
}

// Bits of KeyShiftState and KeyToggleState (12.2.3).
const (
	shiftStateValid  = 0x80000000
	leftShift        = 0x02
	leftControl      = 0x08
	controlPressed   = 0x0c // right, left
	leftAlt          = 0x20
	altPressed       = 0x30
	toggleStateValid = 0x80
	capsLockActive   = 0x04
)

// scanCodes maps EFI scan codes (12.1.2, table 12.1) to keys.
var scanCodes = [...]console.Code{
	0x01: console.Up,
	0x02: console.Down,
	0x03: console.Right,
	0x04: console.Left,
	0x05: console.Home,
	0x06: console.End,
	0x08: console.Delete,
	0x09: console.PageUp,
	0x0a: console.PageDown,
	0x17: console.Esc,
}

// translate turns what the firmware reports into keys: none for one that has no
// use here, or that waits for another. A Ctrl combination arrives either as a
// control character or as the letter with the shift state. Alt makes the characters
// that AltGr or Option make, as does Ctrl with Alt.
func translate(d uefi.KeyData, l Layout) []console.Key {
	var state uint32
	if d.KeyShiftState&shiftStateValid != 0 {
		state = d.KeyShiftState
	}
	ctrl, alt := state&controlPressed != 0, state&altPressed != 0
	r := rune(d.Key.UnicodeChar)
	if r == 0 {
		s := int(d.Key.ScanCode)
		if s >= len(scanCodes) || scanCodes[s] == console.None {
			return nil
		}
		c := scanCodes[s]
		if ctrl && c == console.Left || alt && c == console.Left {
			c = console.WordLeft
		} else if ctrl && c == console.Right || alt && c == console.Right {
			c = console.WordRight
		}
		return append(characters(l.Flush()), console.Key{Code: c})
	}
	switch {
	case r == '\b', r == '\t', r == '\n', r == '\r', r == 0x1b, r == 0x7f: // keys of their own
		return control(r, l)
	case r < ' ':
		r, ctrl, alt = r|0x60, true, false
	}
	if ctrl && !alt {
		switch c := l.Letter(r); {
		case isLetter(c), c == '[':
			return control(c&0x1f, l)
		case r == '[': // Ctrl-[ is Esc on a US keyboard, and a Mac may have no other
			return control(0x1b, l)
		case isLetter(r) || d.Key.UnicodeChar < ' ':
			return nil
		}
	}
	switch {
	case r >= 0xd800 && r < 0xe000, r >= 0xfffe: // no character of its own
		return nil
	case r&^0xff == padKey: // the same with every layout
		return characters(append(l.Flush(), r&0xff))
	}
	caps := d.KeyToggleState&toggleStateValid != 0 && d.KeyToggleState&capsLockActive != 0
	return characters(l.Press(r, alt, caps))
}

// control returns the key that a control character stands for, behind what waits.
func control(r rune, l Layout) []console.Key {
	k, ok := console.ControlKey(r)
	if !ok {
		return nil
	}
	return append(characters(l.Flush()), k)
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func characters(text []rune) (keys []console.Key) {
	for _, r := range text {
		keys = append(keys, console.Key{Rune: r})
	}
	return keys
}
