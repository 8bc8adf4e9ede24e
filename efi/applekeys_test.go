package efi

import (
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/console"
	"alphaos/uefi"
)

// fakeHeld is Apple's key map: the keys that are down.
type fakeHeld struct {
	keys      []uint16
	modifiers uint16
	status    uefi.Status // answer, if not Success
	lies      bool        // the answer is of more keys than there is room for
	clock     time.Time
}

// HID usages with their page.
const (
	usageA, usageB, usageC, usageD = 0x7004, 0x7005, 0x7006, 0x7007
	usageReturn                    = 0x7028
	usageUp                        = 0x7052
)

// openHeld adds Apple's key map to a firmware and opens its keyboard.
func (f *fake) openHeld() (*keyboard, *fakeHeld) {
	m := &fakeHeld{clock: time.Unix(0, 0)}
	f.install(0x90, uefi.AppleKeyMapGUID, addr(f, &uefi.AppleKeyMap{GetKeyStrokes: f.fn(func(a []uintptr) uefi.Status {
		room := out[uint64](f, a[2])
		had := *room
		*room = uint64(len(m.keys))
		switch {
		case m.status != uefi.Success:
			return m.status
		case m.lies:
			*room = 1 << 40
			return uefi.Success
		case len(m.keys) > int(had):
			return uefi.BufferTooSmall
		}
		*out[uint16](f, a[1]) = m.modifiers
		for i, k := range m.keys {
			*out[uint16](f, a[3]+2*uintptr(i)) = k
		}
		return uefi.Success
	})}))
	k := openKeyboard()
	k.held.now, k.held.looked = func() time.Time { return m.clock }, m.clock
	return k, m
}

// after polls every 10 ms for a time, with keys held, and returns what is typed.
func (m *fakeHeld) after(k *keyboard, d time.Duration, l Layout, keys ...uint16) (text string) {
	m.keys = keys
	for end := m.clock.Add(d); m.clock.Before(end); {
		m.clock = m.clock.Add(pollInterval)
		for range maxBurst {
			d, ok := k.poll()
			if !ok {
				break
			}
			for _, p := range translate(d, l) {
				if p.Code == console.None {
					text += string(p.Rune)
				} else {
					text += "<" + p.Code.String() + ">"
				}
			}
		}
	}
	return text
}

const tap = 30 * time.Millisecond

// stroke presses and releases a key.
func (m *fakeHeld) stroke(k *keyboard, l Layout, key uint16) string {
	return m.after(k, tap, l, key) + m.after(k, tap, l)
}

func TestHeldKeys(t *testing.T) {
	const (
		leftControl, leftShift, leftOption, leftCommand, rightControl, rightShift, rightOption = 1, 2, 4, 8, 0x10, 0x20, 0x40
		capsLock                                                                               = 0x7039
	)
	for _, c := range []struct {
		modifiers uint16
		usages    []uint16
		want      string
	}{
		{0, []uint16{0x7004, 0x701d, 0x701e, 0x7026, 0x7027}, "az190"},
		{leftShift, []uint16{0x7004, 0x701d, 0x701e, 0x7026, 0x7027}, "AZ!()"},
		{0, []uint16{0x7028, 0x7029, 0x702a, 0x702b, 0x702c}, "<Enter><Esc><Backspace><Tab> "},
		{rightShift, []uint16{0x7028, 0x7029, 0x702a, 0x702b, 0x702c}, "<Enter><Esc><Backspace><Tab> "},
		{0, []uint16{0x702d, 0x702e, 0x702f, 0x7030, 0x7031, 0x7032, 0x7033, 0x7034, 0x7035, 0x7036, 0x7037, 0x7038}, `-=[]\\;'` + "`,./"},
		{rightShift, []uint16{0x702d, 0x702e, 0x702f, 0x7030, 0x7031, 0x7032, 0x7033, 0x7034, 0x7035, 0x7036, 0x7037, 0x7038}, `_+{}||:"~<>?`},
		{0, []uint16{0x7049, 0x704a, 0x704b, 0x704c, 0x704d, 0x704e, 0x704f, 0x7050, 0x7051, 0x7052, 0x7053},
			"<Home><PageUp><Delete><End><PageDown><Right><Left><Down><Up>"},
		{leftOption, []uint16{0x704f, 0x7050}, "<WordRight><WordLeft>"},
		{0, []uint16{0x7054, 0x7055, 0x7056, 0x7057, 0x7058, 0x7059, 0x7061, 0x7062, 0x7063, 0x7067}, "/*-+<Enter>190.="},
		{leftControl, []uint16{usageA, usageC, usageD, 0x702f}, "<CtrlA><CtrlC><CtrlD><Esc>"},
		{rightControl | leftShift, []uint16{usageC}, "<CtrlC>"},
		{leftCommand, []uint16{usageC}, "c"},
		{0, []uint16{0x703a, 0x7065, 0x70e1, 0x7000, 0x7003, 0x7fff, 0x0004, 0x8004, 0xffff, 0}, ""}, // F1 and others that type nothing
		{0, []uint16{0x7064}, "\ue064"},
		{leftShift, []uint16{0x7064}, "\ue065"},
		{0, []uint16{capsLock, usageA, 0x701e}, "A1"},
		{leftShift, []uint16{capsLock, usageA, 0x701e}, "a!"},
		{0, []uint16{capsLock, capsLock, usageA}, "a"},
	} {
		k, m := newFake(t).openHeld()
		m.modifiers = c.modifiers
		l := &recorder{}
		got := m.after(k, tap, l)
		for _, u := range c.usages {
			got += m.stroke(k, l, u)
		}
		got += m.after(k, 2*grace, l) // for the first
		if got != c.want {
			t.Errorf("modifiers %#x, usages %#x: %q, want %q", c.modifiers, c.usages, got, c.want)
		}
		if alt := c.modifiers&(leftOption|rightOption) != 0; slices.Contains(c.usages, 0x7064) && l.alt != alt {
			t.Errorf("modifiers %#x: AltGr is %v", c.modifiers, l.alt)
		}
	}
	l := &recorder{}
	k, m := newFake(t).openHeld()
	m.after(k, tap, l)
	m.modifiers = rightOption
	m.stroke(k, l, capsLock)
	m.stroke(k, l, usageA)
	m.after(k, 2*grace, l)
	if !l.alt || !l.caps {
		t.Errorf("with Option and CapsLock the layout is told %+v", l)
	}
	// The number pad does not go by the layout, but what a dead key waits for comes first.
	k, m = newFake(t).openHeld()
	f := &french{}
	m.after(k, tap, f)
	got := m.stroke(k, f, 0x7014) + m.stroke(k, f, 0x702f) + m.stroke(k, f, 0x7054)
	if got += m.after(k, 2*grace, f); got != "a^/" {
		t.Errorf("French: %q", got)
	}
}

// recorder is a US layout that keeps what it was told.
type recorder struct{ alt, caps bool }

func (r *recorder) Press(us rune, altGr, capsLock bool) []rune {
	r.alt, r.caps = altGr, capsLock
	return []rune{us}
}
func (r *recorder) Letter(us rune) rune { return us }
func (r *recorder) Flush() []rune       { return nil }

func TestHeldKeysRepeat(t *testing.T) {
	k, m := newFake(t).openHeld()
	// A key that is down from the beginning, for the menu of the firmware, is none of ours.
	if got := m.after(k, 2*time.Second, us{}, usageReturn); got != "" {
		t.Errorf("a key from before: %q", got)
	}
	if got := m.after(k, grace, us{}, usageReturn, usageA) + m.after(k, 2*grace, us{}, usageA); got != "a" {
		t.Errorf("the first key: %q", got)
	}
	m.after(k, tap, us{})
	for _, c := range []struct {
		held time.Duration
		want int
	}{{repeatAfter - 2*pollInterval, 1}, {repeatAfter + 2*pollInterval, 2}, {repeatAfter + time.Second, 1 + 31}} {
		if got := m.after(k, c.held, us{}, usageUp); got != strings.Repeat("<Up>", c.want) {
			t.Errorf("held for %v: %q, want %d", c.held, got, c.want)
		}
		if got := m.after(k, time.Second, us{}); got != "" {
			t.Errorf("after it was released: %q", got)
		}
	}
	// Several at once: each is typed, the last one repeats, and no other does when that is released.
	got := m.after(k, tap, us{}, usageB, usageA) + m.after(k, repeatAfter, us{}, usageB, usageA, usageC)
	got += m.after(k, time.Second, us{}, usageA, usageB) + m.after(k, tap, us{})
	if got != "bac" {
		t.Errorf("several keys: %q", got)
	}
	if got := m.after(k, tap, us{}, usageA, usageA); got != "a" {
		t.Errorf("one key on two keyboards: %q", got)
	}
	m.after(k, tap, us{})
	// A program that was away for long does not know that a key was released meanwhile.
	m.after(k, tap, us{}, usageA)
	m.clock = m.clock.Add(time.Minute)
	if got := m.after(k, tap, us{}, usageA); got != "" {
		t.Errorf("after a pause: %q", got)
	}
	// Neither does one whom the firmware does not tell; it gets what was pressed in the end.
	for _, bad := range []func(){
		func() { m.status = uefi.DeviceError },
		func() { m.lies = true },
		func() { m.keys = make([]uint16, mostHeld+1) },
	} {
		m.after(k, tap, us{})
		got := m.after(k, tap, us{}, usageA)
		bad()
		got += m.after(k, time.Second, us{}, m.keys...)
		m.status, m.lies = uefi.Success, false
		if got += m.after(k, time.Second, us{}, usageA, usageB); !strings.HasPrefix(got, "abb") || strings.Count(got, "a") != 1 {
			t.Errorf("an error: %q", got)
		}
	}
	// More presses than there is room for, while nobody takes them.
	h := k.held
	m.after(k, tap, us{})
	for i := range uint16(3 * mostHeld) {
		m.keys = []uint16{usageA + i%26}
		h.look()
	}
	if len(h.waiting) != mostHeld || cap(h.waiting) != mostHeld {
		t.Errorf("%d of %d presses wait", len(h.waiting), cap(h.waiting))
	}
}

// TestHeldKeysNotDoubled has firmware give keys in both ways.
func TestHeldKeysNotDoubled(t *testing.T) {
	for _, late := range []time.Duration{0, pollInterval, grace - 2*pollInterval} { // that the console's input has a key
		for _, early := range []bool{false, true} { // it has it before the map
			f := newFake(t)
			q := f.newKeyboard()
			k, m := f.openHeld()
			got := m.after(k, tap, us{})
			for i, r := range "abcabcabc" {
				usage := uint16(usageA + i%3)
				if early {
					q.ex = typed(string(r))
					got += m.after(k, late+pollInterval, us{})
					got += m.stroke(k, us{}, usage)
					continue
				}
				if late > 0 {
					got += m.after(k, late, us{}, usage)
				}
				q.ex = typed(string(r))
				got += m.after(k, tap, us{}, usage) + m.after(k, tap, us{})
			}
			if got += m.after(k, time.Second, us{}); got != "abcabcabc" || k.heldGive || KeySource() != "Simple Text Input Ex of the console" {
				t.Errorf("late %v, early %v: %q from %s", late, early, got, KeySource())
			}
		}
	}
	// A key that both have, but the console's input so late that it was taken from the map.
	f := newFake(t)
	q := f.newKeyboard()
	k, m := f.openHeld()
	got := m.after(k, tap, us{}) + m.after(k, 2*grace, us{}, usageA)
	q.ex = typed("a")
	if got += m.after(k, time.Second, us{}); got != "a" || KeySource() != heldKeysName {
		t.Errorf("very late: %q from %s", got, KeySource())
	}
	// The program was away when the keys were pressed: it is not the console's input that was late.
	f = newFake(t)
	q = f.newKeyboard()
	k, m = f.openHeld()
	m.after(k, tap, us{})
	m.clock = m.clock.Add(time.Minute)
	got = m.after(k, pollInterval, us{}, usageA)
	q.ex = typed("a")
	if got += m.after(k, time.Second, us{}); got != "a" || k.heldGive {
		t.Errorf("after a pause: %q", got)
	}
}

// TestHeldKeysInstead has the console's input fail after it has delivered keys.
func TestHeldKeysInstead(t *testing.T) {
	f := newFake(t)
	q := f.newKeyboard()
	k, m := f.openHeld()
	m.after(k, tap, us{})
	q.ex = typed("d")
	got := m.stroke(k, us{}, usageD)
	for range 5 { // one that it never has, and one that it has
		got += m.stroke(k, us{}, usageB) + m.after(k, grace, us{})
		q.ex = typed("c")
		got += m.stroke(k, us{}, usageC) + m.after(k, grace, us{})
	}
	if got != "dccccc" {
		t.Errorf("keys that are missed now and then: %q", got)
	}
	got = ""
	for range 3 {
		got += m.stroke(k, us{}, usageA) + m.stroke(k, us{}, usageB)
	}
	if got += m.after(k, 2*grace, us{}); got != "ababab" || !k.heldGive {
		t.Errorf("keys that are always missed: %q", got)
	}
}

// Simple Text Input tells no modifiers.
func TestHeldModifiers(t *testing.T) {
	f := newFake(t)
	q := f.newKeyboard()
	f.uninstall(0x40)
	k, m := f.openHeld()
	l := &recorder{}
	for _, c := range []struct {
		modifiers uint16
		want      string
		alt       bool
	}{{0, "c", false}, {4, "c", true}, {0x40, "c", true}, {0x10, "<CtrlC>", true}, {2, "c", false}} {
		m.modifiers = c.modifiers
		q.plain = typed("c")
		if got := m.stroke(k, l, usageC); got != c.want || l.alt != c.alt {
			t.Errorf("modifiers %#x: %q, AltGr %v", c.modifiers, got, l.alt)
		}
	}
}

func TestHeldKeysAllocateNothing(t *testing.T) {
	f := newFake(t)
	f.newKeyboard()
	k, m := f.openHeld()
	down := [][]uint16{{usageA}, {usageA, usageB}, {}, {usageB}}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		m.keys = down[i%len(down)]
		m.clock = m.clock.Add(pollInterval)
		k.poll()
		i++
	}); n != 0 {
		t.Errorf("%v allocations a poll", n)
	}
	if !k.heldGive {
		t.Error("no key came")
	}
}

// FuzzHeldKeys has the firmware tell anything.
func FuzzHeldKeys(f *testing.F) {
	f.Add([]byte{1, 4, 0x70, 0, 2, 4, 0x70, 5, 0x70})
	f.Fuzz(func(t *testing.T, script []byte) {
		k, m := newFake(t).openHeld()
		for len(script) > 2 {
			n := min(int(script[0]), (len(script)-2)/2)
			m.modifiers, m.status = uint16(script[1])<<8|uint16(script[1]), uefi.Success
			if script[1] == 0xff {
				m.status = uefi.DeviceError
			}
			keys := make([]uint16, n)
			for i := range keys {
				keys[i] = uint16(script[2+2*i]) | uint16(script[3+2*i])<<8
			}
			script = script[2+2*n:]
			m.after(k, time.Duration(len(script)%64)*time.Millisecond, us{}, keys...)
			if h := k.held; cap(h.waiting) != mostHeld || h.count > mostHeld {
				t.Fatalf("%d waiting of %d, %d down", len(h.waiting), cap(h.waiting), h.count)
			}
		}
	})
}
