package efi

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
	"unsafe"

	"alphaos/console"
	"alphaos/uefi"
)

// fakeGOP is a display with a frame buffer in memory.
type fakeGOP struct {
	gop    *uefi.GraphicsOutput
	mode   *uefi.GraphicsMode
	modes  []uefi.GraphicsModeInfo
	frame  []uint32
	set    []uintptr // modes set
	blts   int
	screen []uint32 // what Blt drew
}

const untouched = 0xdeadbeef

// newGOP installs a display whose modes are given and the first one set.
func (f *fake) newGOP(h Handle, modes ...uefi.GraphicsModeInfo) *fakeGOP {
	g := &fakeGOP{modes: modes, mode: &uefi.GraphicsMode{MaxMode: uint32(len(modes))}}
	set := func(n int) {
		info := g.modes[n]
		g.mode.Mode = uint32(n)
		g.mode.Info = addr(f, &info)
		g.mode.SizeOfInfo = unsafe.Sizeof(info)
		g.frame = slices.Repeat([]uint32{untouched}, int(max(1, info.PixelsPerScanLine*info.VerticalResolution)))
		g.screen = slices.Repeat([]uint32{untouched}, int(g.width()*info.VerticalResolution))
		g.mode.FrameBufferBase, g.mode.FrameBufferSize = 0, 0
		if info.PixelFormat != uefi.PixelBltOnly {
			g.mode.FrameBufferBase = uint64(addr(f, &g.frame[0]))
			g.mode.FrameBufferSize = uintptr(len(g.frame)) * 4
		}
	}
	set(0)
	g.gop = &uefi.GraphicsOutput{
		Mode: addr(f, g.mode),
		QueryMode: f.fn(func(a []uintptr) uefi.Status {
			if int(a[1]) >= len(g.modes) {
				return uefi.InvalidParameter
			}
			info := g.modes[a[1]]
			*out[uint64](f, a[2]) = uint64(unsafe.Sizeof(info))
			*out[uint64](f, a[3]) = uint64(f.poolBuffer(unsafe.Pointer(&info), &info))
			return uefi.Success
		}),
		SetMode: f.fn(func(a []uintptr) uefi.Status {
			g.set = append(g.set, a[1])
			if int(a[1]) >= len(g.modes) {
				return uefi.Unsupported
			}
			set(int(a[1]))
			return uefi.Success
		}),
		Blt: f.fn(func(a []uintptr) uefi.Status {
			g.blts++
			op, sx, sy, dx, dy, w, h, delta := a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]
			if op != 2 || sx != 0 || sy != 0 || delta != w*4 {
				f.t.Errorf("Blt %d", a[2:])
			}
			f.visible(a[1], w*h*4)
			pitch := uintptr(g.width())
			for y := range h {
				for x := range w {
					g.screen[(dy+y)*pitch+dx+x] = *at[uint32](a[1] + y*delta + x*4)
				}
			}
			return uefi.Success
		}),
	}
	f.install(h, uefi.GraphicsOutputGUID, addr(f, g.gop))
	return g
}

// width is that of a row Blt draws to.
func (g *fakeGOP) width() uint32 {
	m := g.modes[g.mode.Mode]
	return max(m.HorizontalResolution, m.PixelsPerScanLine)
}

func mode(w, h, pitch, format uint32) uefi.GraphicsModeInfo {
	return uefi.GraphicsModeInfo{HorizontalResolution: w, VerticalResolution: h, PixelFormat: format, PixelsPerScanLine: pitch}
}

func masked(r, g, b, x uint32) uefi.GraphicsModeInfo {
	m := mode(800, 600, 832, uefi.PixelBitMask)
	m.RedMask, m.GreenMask, m.BlueMask, m.ReservedMask = r, g, b, x
	return m
}

func TestScreenFormats(t *testing.T) {
	const pixel = 0x00ff8001 // red 255, green 128, blue 1
	for _, c := range []struct {
		name string
		mode uefi.GraphicsModeInfo
		want uint32
		blt  bool
	}{
		{"BGRX", mode(800, 600, 832, uefi.PixelBGRX), 0x00ff8001, false},
		{"RGBX", mode(800, 600, 832, uefi.PixelRGBX), 0x000180ff, false},
		{"Blt only", mode(800, 600, 800, uefi.PixelBltOnly), 0x00ff8001, true},
		{"mask as BGRX", masked(0xff0000, 0xff00, 0xff, 0xff000000), 0x00ff8001, false},
		{"mask as RGBX", masked(0xff, 0xff00, 0xff0000, 0xff000000), 0x000180ff, false},
		{"mask XRGB", masked(0xff00, 0xff0000, 0xff000000, 0xff), 0x0180ff00, false},
		{"30 bits", masked(0x3ff00000, 0xffc00, 0x3ff, 0xc0000000), 1023<<20 | 514<<10 | 4, false},
		{"565 in 32 bits", masked(0xf800, 0x07e0, 0x1f, 0xffff0000), 31<<11 | 32<<5 | 0, false},
		{"16 bits", masked(0xf800, 0x07e0, 0x1f, 0), 0x00ff8001, true},
		{"24 bits", masked(0xff0000, 0xff00, 0xff, 0), 0x00ff8001, true},
		{"holes in a mask", masked(0xf0f00000, 0xff00, 0xff, 0x0f000000), 0x00ff8001, true},
		{"pitch less than width", mode(800, 600, 640, uefi.PixelBGRX), 0x00ff8001, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			g := f.newGOP(0x20, c.mode)
			f.st.ConsoleOutHandle = 0x20
			s, err := OpenScreen()
			if err != nil {
				t.Fatal(err)
			}
			if w, h := s.Size(); w != 800 || h != 600 {
				t.Errorf("size %dx%d", w, h)
			}
			pixels := slices.Repeat([]uint32{pixel}, 800*600)
			pixels[2*800+1] = 0
			r := image.Rect(10, 5, 100, 17)
			if err := s.Flush(pixels, 800, r); err != nil {
				t.Fatal(err)
			}
			got := g.frame
			if c.blt {
				got = g.screen
				if g.blts != 1 || slices.ContainsFunc(g.frame, func(p uint32) bool { return p != untouched }) {
					t.Error("not drawn through Blt")
				}
			} else if g.blts != 0 {
				t.Error("drawn through Blt")
			}
			pitch := len(got) / 600
			for i, p := range got {
				at := image.Pt(i%pitch, i/pitch)
				want := uint32(untouched)
				if at.In(r) {
					want = c.want
					if at == image.Pt(11, 7) {
						want = 0
					}
				}
				if p != want {
					t.Fatalf("pixel at %v is %#08x, want %#08x", at, p, want)
				}
			}
			if s.Flush(pixels, 800, image.Rect(-50, 590, 5000, 5000)) == nil || s.Flush(pixels, 800, image.Rect(900, 0, 910, 10)) == nil {
				t.Error("a rectangle beyond the screen was accepted")
			}
			if s.Flush(pixels[:100], 800, r) == nil || s.Flush(pixels, 50, r) == nil {
				t.Error("too few pixels were accepted")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestScreenModes(t *testing.T) {
	open := func(modes ...uefi.GraphicsModeInfo) (*fakeGOP, *Screen) {
		t.Helper()
		f := newFake(t)
		g := f.newGOP(0x20, modes...)
		f.st.ConsoleOutHandle = 0x20
		s, err := OpenScreen()
		if err != nil {
			t.Fatal(err)
		}
		return g, s
	}
	bgrx := func(w, h uint32) uefi.GraphicsModeInfo { return mode(w, h, w, uefi.PixelBGRX) }

	g, s := open(bgrx(2880, 1800), bgrx(1024, 768), bgrx(3840, 2160))
	if w, h := s.Size(); w != 2880 || h != 1800 || g.set != nil {
		t.Errorf("the mode that was set was not kept: %dx%d, set %v", w, h, g.set)
	}
	if list, err := s.Modes(); err != nil || len(list) != 3 || list[2] != (Mode{2, 3840, 2160, true}) {
		t.Errorf("modes %v, %v", list, err)
	}

	g, s = open(bgrx(640, 480), bgrx(1280, 800), bgrx(1920, 1080), bgrx(3840, 2160))
	if w, h := s.Size(); w != 1920 || h != 1080 || len(g.set) != 1 {
		t.Errorf("tiny: %dx%d, set %v", w, h, g.set)
	}
	g, s = open(bgrx(640, 480), bgrx(320, 200))
	if w, h := s.Size(); w != 640 || h != 480 || g.set != nil {
		t.Errorf("only tiny modes: %dx%d, set %v", w, h, g.set)
	}
	g, s = open(bgrx(0, 0), bgrx(3840, 2160), bgrx(1<<20, 10))
	if w, h := s.Size(); w != 3840 || h != 2160 {
		t.Errorf("nonsense set: %dx%d, set %v", w, h, g.set)
	}

	f := newFake(t)
	if _, err := OpenScreen(); !errors.Is(err, ErrNoScreen) {
		t.Errorf("no display: %v", err)
	}
	g = f.newGOP(0x30, bgrx(1024, 768))
	g.mode.Info = 0 // no mode has been set yet
	s, err := OpenScreen()
	if err != nil || len(g.set) != 1 {
		t.Fatalf("no mode set: %v, %v", err, g.set)
	}
	if got := s.String(); got != "1024x768, frame buffer" {
		t.Error(got)
	}
}

func TestScreenChoice(t *testing.T) {
	linearMode, bltMode := mode(1024, 768, 1024, uefi.PixelBGRX), mode(800, 600, 800, uefi.PixelBltOnly)
	for _, c := range []struct {
		name    string
		console uefi.GraphicsModeInfo
		others  []uefi.GraphicsModeInfo
		want    string
	}{
		{"the console's", linearMode, []uefi.GraphicsModeInfo{mode(1920, 1080, 1920, uefi.PixelBGRX)}, "1024x768, frame buffer"},
		{"the display behind a splitter", bltMode, []uefi.GraphicsModeInfo{linearMode}, "1024x768, frame buffer"},
		{"a splitter to two displays", bltMode, []uefi.GraphicsModeInfo{linearMode, linearMode}, "800x600, Blt"},
		{"a splitter alone", bltMode, nil, "800x600, Blt"},
	} {
		f := newFake(t)
		f.newGOP(1, c.console)
		f.st.ConsoleOutHandle = 1
		for i, m := range c.others {
			f.newGOP(Handle(2+i), m)
		}
		s, err := OpenScreen()
		if err != nil || s.String() != c.want {
			t.Errorf("%s: %v, %v", c.name, s, err)
		}
	}
	f := newFake(t)
	f.newGOP(5, bltMode)
	f.newGOP(6, linearMode)
	if s, err := OpenScreen(); err != nil || s.String() != "1024x768, frame buffer" {
		t.Errorf("no display on the console: %v, %v", s, err)
	}
}

func TestBltBands(t *testing.T) {
	f := newFake(t)
	g := f.newGOP(1, mode(2560, 1600, 2560, uefi.PixelBltOnly))
	s, err := OpenScreen()
	if err != nil {
		t.Fatal(err)
	}
	shadow := make([]uint32, 2560*1600)
	for i := range shadow {
		shadow[i] = uint32(i)
	}
	if err := s.Flush(shadow, 2560, image.Rect(0, 0, 2560, 1600)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.screen, shadow) {
		t.Error("the screen differs from the shadow")
	}
	if want := (1600 + 101) / 102; g.blts != want {
		t.Errorf("%d calls, want %d", g.blts, want)
	}
	s.Close()
	for _, m := range f.blocks {
		if !m.free {
			t.Error("the band was not freed")
		}
	}
}

func TestConsoleControl(t *testing.T) {
	f := newFake(t)
	f.newGOP(1, mode(1024, 768, 1024, uefi.PixelBGRX))
	current := uint32(uefi.ConsoleText)
	var set []uintptr
	cc := &uefi.ConsoleControl{
		GetMode: f.fn(func(a []uintptr) uefi.Status {
			*out[uint32](f, a[1]) = current
			if a[2] != 0 || a[3] != 0 {
				t.Error("optional results asked for")
			}
			return uefi.Success
		}),
		SetMode: f.fn(func(a []uintptr) uefi.Status { set = append(set, a[1]); current = uint32(a[1]); return uefi.Success }),
	}
	f.install(2, uefi.ConsoleControlGUID, addr(f, cc))
	// In text mode keys come from ConIn: firmware that is in it is left so.
	s, err := OpenScreen()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if set != nil {
		t.Errorf("modes set %v", set)
	}
	current = uefi.ConsoleGraphics
	if s, err = OpenScreen(); err != nil || !slices.Equal(set, []uintptr{uefi.ConsoleText}) {
		t.Fatalf("%v, modes set %v", err, set)
	}
	s.Close()
	s.Close()
	if !slices.Equal(set, []uintptr{uefi.ConsoleText, uefi.ConsoleGraphics}) {
		t.Errorf("modes set %v", set)
	}
}

func BenchmarkFlush(b *testing.B) {
	for _, m := range []uefi.GraphicsModeInfo{mode(2880, 1800, 2880, uefi.PixelBGRX), mode(2880, 1800, 2880, uefi.PixelRGBX), {
		HorizontalResolution: 2880, VerticalResolution: 1800, PixelsPerScanLine: 2880,
		PixelFormat: uefi.PixelBitMask, RedMask: 0x3ff00000, GreenMask: 0xffc00, BlueMask: 0x3ff, ReservedMask: 0xc0000000}} {
		b.Run(fmt.Sprint("format", m.PixelFormat), func(b *testing.B) {
			encode, _ := pixelEncoder(&m)
			s := &Screen{width: 2880, height: 1800, frame: make([]uint32, 2880*1800), pitch: 2880, encode: encode}
			shadow := make([]uint32, 2880*1800)
			b.SetBytes(2880 * 1800 * 4)
			for b.Loop() {
				if err := s.Flush(shadow, 2880, image.Rect(0, 0, 2880, 1800)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestTranslate(t *testing.T) {
	const leftCtrl, rightCtrl, rightAlt, shift = 0x80000008, 0x80000004, 0x80000010, 0x80000002
	for _, c := range []struct {
		scan, char uint16
		state      uint32
		want       console.Key
		ok         bool
	}{
		{0, 'a', 0, console.Key{Rune: 'a'}, true},
		{0, 'A', shift, console.Key{Rune: 'A'}, true},
		{0, 'ß', 0, console.Key{Rune: 'ß'}, true},
		{0, 'c', leftCtrl, console.Key{Code: console.CtrlC}, true},
		{0, 'C', rightCtrl, console.Key{Code: console.CtrlC}, true},
		{0, 3, 0, console.Key{Code: console.CtrlC}, true},
		{0, 3, leftCtrl, console.Key{Code: console.CtrlC}, true},
		{0, 'd', leftCtrl, console.Key{Code: console.CtrlD}, true},
		{0, 'u', leftCtrl, console.Key{Code: console.CtrlU}, true},
		{0, 'l', leftCtrl, console.Key{Code: console.CtrlL}, true},
		{0, 'c', 8, console.Key{Rune: 'c'}, true}, // a state that is not valid
		{0, 'q', leftCtrl | 0x10, console.Key{Rune: 'q'}, true},
		{0, '@', rightAlt | 4, console.Key{Rune: '@'}, true}, // AltGr
		{0, '/', leftCtrl, console.Key{Rune: '/'}, true},
		{0, 'y', leftCtrl, console.Key{}, false}, // Ctrl-Y means nothing
		{0, '\r', 0, console.Key{Code: console.Enter}, true},
		{0, '\n', 0, console.Key{Code: console.Enter}, true},
		{0, '\b', 0, console.Key{Code: console.Backspace}, true},
		{0, 0x7f, 0, console.Key{Code: console.Backspace}, true},
		{0, '\t', 0, console.Key{Code: console.Tab}, true},
		{1, 0, 0, console.Key{Code: console.Up}, true},
		{2, 0, 0, console.Key{Code: console.Down}, true},
		{3, 0, 0, console.Key{Code: console.Right}, true},
		{4, 0, 0, console.Key{Code: console.Left}, true},
		{3, 0, leftCtrl, console.Key{Code: console.WordRight}, true},
		{4, 0, 0x80000020, console.Key{Code: console.WordLeft}, true},
		{5, 0, 0, console.Key{Code: console.Home}, true},
		{6, 0, 0, console.Key{Code: console.End}, true},
		{7, 0, 0, console.Key{}, false}, // Insert
		{8, 0, 0, console.Key{Code: console.Delete}, true},
		{9, 0, 0, console.Key{Code: console.PageUp}, true},
		{10, 0, 0, console.Key{Code: console.PageDown}, true},
		{0x17, 0, 0, console.Key{Code: console.Esc}, true},
		{0x0b, 0, 0, console.Key{}, false},     // F1
		{0x105, 0, 0, console.Key{}, false},    // beyond the table
		{0, 0, leftCtrl, console.Key{}, false}, // Ctrl alone
		{0, 0xd800, 0, console.Key{}, false},
		{0, 0xffff, 0, console.Key{}, false},
	} {
		got := translate(uefi.KeyData{Key: uefi.InputKey{ScanCode: c.scan, UnicodeChar: c.char}, KeyShiftState: c.state}, us{})
		var want []console.Key
		if c.ok {
			want = []console.Key{c.want}
		}
		if !slices.Equal(got, want) {
			t.Errorf("scan %#x, char %#x, state %#x: %+v, want %+v", c.scan, c.char, c.state, got, want)
		}
	}
}

// french is a layout with a on the key q, m on ; and a comma on m. Its [ is dead.
type french struct {
	waits        bool
	altGr, cpsLk string // pressed so
}

func (f *french) Press(us rune, altGr, capsLock bool) (text []rune) {
	if altGr {
		f.altGr += string(us)
	}
	if capsLock {
		f.cpsLk += string(us)
	}
	if us == '[' {
		f.waits = true
		return nil
	}
	return append(f.Flush(), f.Letter(us))
}

func (f *french) Letter(us rune) rune {
	switch us {
	case 'q':
		return 'a'
	case ';':
		return 'm'
	case 'm':
		return ','
	}
	return us
}

func (f *french) Flush() []rune {
	if f.waits {
		f.waits = false
		return []rune{'^'}
	}
	return nil
}

func TestLayout(t *testing.T) {
	const ctrl, alt, caps = 0x80000008, 0x80000010, 0x84
	press := func(l Layout, char uint16, state uint32, toggle uint8) (text string) {
		for _, k := range translate(uefi.KeyData{Key: uefi.InputKey{UnicodeChar: char}, KeyShiftState: state, KeyToggleState: toggle}, l) {
			if k.Code == console.None {
				text += string(k.Rune)
			} else {
				text += "<" + k.Code.String() + ">"
			}
		}
		return text
	}
	l := &french{}
	for _, c := range []struct {
		char  uint16
		state uint32
		want  string
	}{
		{'q', 0, "a"},
		{'q', ctrl, "<CtrlA>"},
		{'q' & 0x1f, 0, "<CtrlA>"}, // firmware that makes the control character
		{'q' & 0x1f, ctrl, "<CtrlA>"},
		{';', ctrl, "<Enter>"}, // Ctrl-M
		{'m', ctrl, ""},
		{'c', ctrl, "<CtrlC>"},
		{0x1c, 0, ""}, // Ctrl-backslash
		{0x1b, 0, "<Esc>"},
		{'\r', 0, "<Enter>"}, {'\t', 0, "<Tab>"}, {'\b', 0, "<Backspace>"},
		{'[', 0, ""}, {'e', 0, "^e"},
		{'[', 0, ""}, {'\r', 0, "^<Enter>"},
		{'[', 0, ""}, {'c', ctrl, "^<CtrlC>"},
	} {
		if got := press(l, c.char, c.state, 0); got != c.want {
			t.Errorf("char %#x, state %#x: %q, want %q", c.char, c.state, got, c.want)
		}
	}
	press(l, 'e', alt, 0)
	press(l, 'f', alt|ctrl, 0)
	press(l, 'g', 0x10, 0) // a state that is not valid
	press(l, 'H', 0, caps)
	press(l, 'i', 0, 4) // and another
	if l.altGr != "ef" || l.cpsLk != "H" {
		t.Errorf("with AltGr %q, with CapsLock %q", l.altGr, l.cpsLk)
	}
	press(l, '[', 0, 0)
	if got := translate(uefi.KeyData{Key: uefi.InputKey{ScanCode: 1}}, l); len(got) != 2 || got[1].Code != console.Up {
		t.Errorf("an arrow behind an accent: %v", got)
	}
}

// fakeKeys is a keyboard with two protocols and a queue for each.
type fakeKeys struct {
	sync.Mutex
	ex, plain []uefi.KeyData
	exDead    uefi.Status // answer of the Ex protocol, if not Success
	polls     int         // of both
	freezes   bool        // ReadKeyStroke does not return without a key
}

// Events of the two protocols.
const exWaits, plainWaits = 0x71, 0x72

func (f *fake) newKeyboard() *fakeKeys {
	k := &fakeKeys{}
	f.bs.CheckEvent = f.fn(func(a []uintptr) uefi.Status {
		k.Lock()
		defer k.Unlock()
		switch {
		case a[0] == exWaits && k.exDead != uefi.Success:
			return uefi.InvalidParameter
		case a[0] == exWaits && len(k.ex) > 0, a[0] == plainWaits && len(k.plain) > 0:
			return uefi.Success
		}
		return uefi.NotReady
	})
	ex := &uefi.SimpleTextInputEx{WaitForKeyEx: exWaits, ReadKeyStrokeEx: f.fn(func(a []uintptr) uefi.Status {
		k.Lock()
		defer k.Unlock()
		k.polls++
		if k.exDead != uefi.Success {
			return k.exDead
		}
		if len(k.ex) == 0 {
			if k.freezes {
				f.t.Error("ReadKeyStrokeEx without a key does not return")
			}
			return uefi.NotReady
		}
		*out[uefi.KeyData](f, a[1]) = k.ex[0]
		k.ex = k.ex[1:]
		return uefi.Success
	})}
	plain := &uefi.SimpleTextInput{WaitForKey: plainWaits, ReadKeyStroke: f.fn(func(a []uintptr) uefi.Status {
		k.Lock()
		defer k.Unlock()
		k.polls++
		if len(k.plain) == 0 {
			if k.freezes {
				f.t.Error("ReadKeyStroke without a key does not return")
			}
			return uefi.NotReady
		}
		*out[uefi.InputKey](f, a[1]) = k.plain[0].Key
		k.plain = k.plain[1:]
		return uefi.Success
	})}
	f.st.ConsoleInHandle = 0x40
	f.st.ConIn = addr(f, plain)
	f.install(0x40, uefi.TextInputExGUID, addr(f, ex))
	return k
}

func typed(s string) (keys []uefi.KeyData) {
	for _, u := range utf16.Encode([]rune(s)) {
		keys = append(keys, uefi.KeyData{Key: uefi.InputKey{UnicodeChar: u}})
	}
	return keys
}

func collect(ch <-chan console.Key, n int) (s string) {
	for range n {
		select {
		case k := <-ch:
			s += string(k.Rune)
		case <-time.After(10 * time.Second):
			return s + " (nothing more)"
		}
	}
	return s
}

func TestKeys(t *testing.T) {
	f := newFake(t)
	k := f.newKeyboard()
	k.ex = typed("Grüße")
	ctx, cancel := context.WithCancel(context.Background())
	ch := Keys(ctx, nil)
	if got := collect(ch, 5); got != "Grüße" {
		t.Errorf("got %q", got)
	}
	k.Lock()
	k.ex = typed(strings.Repeat("x", 500)) // more than a burst
	k.Unlock()
	if got := collect(ch, 500); got != strings.Repeat("x", 500) {
		t.Errorf("got %q", got)
	}
	cancel()
	for range ch {
	}
	k.Lock()
	k.ex = typed("q[q")
	k.Unlock()
	if got := collect(Keys(t.Context(), &french{}), 3); got != "a^a" {
		t.Errorf("got %q", got)
	}
}

func TestKeysWithoutKeyboard(t *testing.T) {
	newFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	ch := Keys(ctx, nil)
	cancel()
	if _, ok := <-ch; ok {
		t.Error("a key without a keyboard")
	}
}

func TestKeyboardFallback(t *testing.T) {
	poll := func(k *keyboard, n int) (s string) {
		for range n {
			if d, ok := k.poll(); ok {
				s += string(rune(d.Key.UnicodeChar))
			}
		}
		return s
	}
	// An Ex protocol that never delivers.
	f := newFake(t)
	q := f.newKeyboard()
	k := openKeyboard()
	q.plain = typed("hello")
	if got := poll(k, probeEvery+5); got != "hello" {
		t.Errorf("silent Ex: %q", got)
	}
	// One that fails at once.
	f = newFake(t)
	q = f.newKeyboard()
	q.exDead = uefi.Unsupported
	k = openKeyboard()
	q.plain = typed("hi")
	if got := poll(k, 2); got != "hi" {
		t.Errorf("broken Ex: %q", got)
	}
	// A driver that queues keys for both must not deliver them twice.
	f = newFake(t)
	q = f.newKeyboard()
	k = openKeyboard()
	q.ex, q.plain = typed("ab"), typed("ab")
	if got := poll(k, 5*probeEvery); got != "ab" {
		t.Errorf("two queues: %q", got)
	}
	// Firmware that is asked only for keys that are there.
	f = newFake(t)
	q = f.newKeyboard()
	q.freezes = true
	k = openKeyboard()
	q.plain = typed("hm")
	if got := poll(k, probeEvery+5); got != "hm" {
		t.Errorf("freezing: %q", got)
	}
	// Another keyboard's protocol is the one that works; a terminal's is left alone.
	f = newFake(t)
	f.newKeyboard()
	asked := 0
	other := func(h Handle, path []byte, r rune) *uefi.SimpleTextInputEx {
		ex := &uefi.SimpleTextInputEx{ReadKeyStrokeEx: f.fn(func(a []uintptr) uefi.Status {
			asked++
			*out[uefi.KeyData](f, a[1]) = uefi.KeyData{Key: uefi.InputKey{UnicodeChar: uint16(r)}}
			return uefi.Success
		})}
		f.install(h, uefi.DevicePathGUID, f.path(pciRoot(), path))
		f.install(h, uefi.TextInputExGUID, addr(f, ex))
		return ex
	}
	other(0x50, node(pathMessaging, 14, make([]byte, 15)...), 't')
	pulled := other(0x51, usbPort(1), 'u')
	k = openKeyboard()
	if got := poll(k, probeEvery+1); got != "uu" || asked != 2 {
		t.Errorf("another keyboard: %q, asked %d times", got, asked)
	}
	// It is pulled out, and its memory is somebody else's: it is not asked any more, and another
	// one is found.
	f.uninstall(0x51)
	*pulled = uefi.SimpleTextInputEx{WaitForKeyEx: 0xdead, ReadKeyStrokeEx: 0xdead}
	if got := poll(k, 2*probeEvery); got != "" || len(k.sources) != 2 {
		t.Errorf("pulled out: %q, %d sources", got, len(k.sources))
	}
	next := other(0x52, usbPort(1), 'v')
	if got := poll(k, probeEvery+1); !strings.HasPrefix(got, "vv") {
		t.Errorf("another one plugged in: %q", got)
	}
	if n := testing.AllocsPerRun(100, func() { k.poll() }); n != 0 {
		t.Errorf("%v allocations a poll", n)
	}
	// One that is back where it was has another event.
	next.WaitForKeyEx = exWaits
	if got := poll(k, 1); got != "" {
		t.Errorf("nothing pressed: %q", got)
	}
	// No Ex protocol at all.
	f = newFake(t)
	q = f.newKeyboard()
	f.uninstall(0x40)
	k = openKeyboard()
	q.plain = typed("ok")
	if got := poll(k, 3); got != "ok" {
		t.Errorf("plain only: %q", got)
	}
}

func TestPollAllocatesNothing(t *testing.T) {
	f := newFake(t)
	f.newKeyboard()
	k := openKeyboard()
	if n := testing.AllocsPerRun(1000, func() { k.poll() }); n != 0 {
		t.Errorf("%v allocations a poll", n)
	}
}

func TestTextOutput(t *testing.T) {
	f := newFake(t)
	var log []string
	m := &uefi.SimpleTextOutputMode{CursorColumn: 10, CursorRow: 3}
	o := &uefi.SimpleTextOutput{
		Mode: addr(f, m),
		OutputString: f.fn(func(a []uintptr) uefi.Status {
			out[uint16](f, a[1])
			s := textAt(a[1], 1<<20)
			log = append(log, s)
			m.CursorColumn += int32(len(s))
			return uefi.WarnUnknownGlyph
		}),
		QueryMode: f.fn(func(a []uintptr) uefi.Status {
			*out[uint64](f, a[2]), *out[uint64](f, a[3]) = 80, 25
			return uefi.Success
		}),
		SetCursorPosition: f.fn(func(a []uintptr) uefi.Status {
			m.CursorColumn, m.CursorRow = int32(a[1]), int32(a[2])
			log = append(log, fmt.Sprintf("@%d,%d", a[1], a[2]))
			return uefi.Success
		}),
		ClearScreen: f.fn(func([]uintptr) uefi.Status { log = append(log, "clear"); return uefi.Success }),
	}
	f.st.ConOut = addr(f, o)
	w := TextOutput()
	for _, c := range []struct{ in, want string }{
		{"Grüße\n", "Grüße\r\n"},
		{"a\tb\x07c\x7f😀", "a bc?"},
		{"\xc3", ""}, // half a character
		{"\xa4", "ä"},
		{"\xff", "\uFFFD"},
		{"\x1b[2", ""}, // half a sequence
		{"J", "clear"},
		{"x\x1b[2;5Hy", "x|@4,1|y"},
		{"\x1b[3D", "@2,1"},
		{"\x1b[99D\x1b[99C\x1b[99A\x1b[99B", "@0,1|@79,1|@79,0|@79,24"},
		{"\x1b[1;78H\x1b[K", "@77,0|  |@77,0"},
		{"\x1b[31mred\x1b[0m", "red"},
		{"\x1b7", ""},
		{"\x1b[" + strings.Repeat("9", 100), "[" + strings.Repeat("9", 100)}, // never ends
		{strings.Repeat("z", 2500), strings.Repeat("z", 1023) + "|" + strings.Repeat("z", 1023) + "|" + strings.Repeat("z", 454)},
	} {
		log = nil
		n, err := w.Write([]byte(c.in))
		if got := strings.Join(log, "|"); n != len(c.in) || err != nil || got != c.want {
			t.Errorf("%q gave %q, want %q (%d, %v)", c.in, got, c.want, n, err)
		}
	}
	o.OutputString = f.fn(func([]uintptr) uefi.Status { return uefi.DeviceError })
	if _, err := w.Write([]byte("x")); !errors.Is(err, uefi.DeviceError) {
		t.Errorf("broken console: %v", err)
	}
}

func FuzzTextOutput(f *testing.F) {
	f.Add("a\x1b[2;5Hb", 3)
	f.Add("\x1b[9999999999999999999K", 1)
	f.Add("\xc3\xa4\x1b", 2)
	f.Fuzz(func(t *testing.T, s string, split int) {
		fk := newFake(t)
		ok := fk.fn(func(a []uintptr) uefi.Status { return uefi.Success })
		o := &uefi.SimpleTextOutput{Mode: addr(fk, &uefi.SimpleTextOutputMode{}), OutputString: ok, QueryMode: ok, SetCursorPosition: ok, ClearScreen: ok}
		fk.st.ConOut = addr(fk, o)
		w := TextOutput().(*textOutput)
		for len(s) > 0 {
			n := min(max(split, 1), len(s))
			if got, err := w.Write([]byte(s[:n])); got != n || err != nil {
				t.Fatal(got, err)
			}
			if len(w.pending) > 32 {
				t.Fatalf("%d bytes kept", len(w.pending))
			}
			s = s[n:]
		}
	})
}

// fakeUART is a 16550.
type fakeUART struct {
	sync.Mutex
	reg       [8]uint8
	dll, dlm  uint8
	in, out   []byte
	fifo      int  // bytes waiting to be sent
	dead      bool // never sends
	noScratch bool
	overrun   bool
	burst     int // most bytes between looks at the line status
}

func (u *fakeUART) In8(port uint16) uint8 {
	u.Lock()
	defer u.Unlock()
	switch r := port - com1; r {
	case regData:
		if len(u.in) == 0 {
			return 0
		}
		b := u.in[0]
		u.in = u.in[1:]
		return b
	case regIIR:
		if u.reg[regFCR]&fcrFIFO != 0 {
			return iirFIFO | 1
		}
		return 1
	case regLSR:
		l := uint8(0)
		if len(u.in) > 0 {
			l |= lsrData
		}
		if u.overrun {
			l |= lsrOverrun
			u.overrun = false
		}
		if !u.dead {
			u.fifo = 0
		}
		if u.fifo == 0 {
			l |= lsrEmpty | lsrIdle
		}
		return l
	case regMSR:
		if m := u.reg[regMCR]; m&mcrLoop != 0 {
			return m&2<<3 | m&1<<5 | m&4<<4 | m&8<<4
		}
		return 0xb0
	case regScratch:
		if u.noScratch {
			return 0xff
		}
		return u.reg[r]
	default:
		return u.reg[r]
	}
}

func (u *fakeUART) Out8(port uint16, v uint8) {
	u.Lock()
	defer u.Unlock()
	r := port - com1
	switch {
	case r == regData && u.reg[regLCR]&lcrDLAB != 0:
		u.dll = v
	case r == regIER && u.reg[regLCR]&lcrDLAB != 0:
		u.dlm = v
	case r == regData:
		u.out = append(u.out, v)
		u.fifo++
		u.burst = max(u.burst, u.fifo)
	default:
		u.reg[r] = v
	}
}

func newUART() *fakeUART {
	u := &fakeUART{dll: 12, dlm: 3}
	in8, out8 = u.In8, u.Out8
	return u
}

func TestSerial(t *testing.T) {
	f := newFake(t)
	if _, err := OpenSerial(); !errors.Is(err, ErrNoSerial) {
		t.Errorf("no UART: %v", err)
	}
	var disconnected, connected []uintptr
	managed := uefi.Status(uefi.NotFound)
	f.bs.DisconnectController = f.fn(func(a []uintptr) uefi.Status {
		disconnected = append(disconnected, a[0])
		return managed
	})
	f.bs.ConnectController = f.fn(func(a []uintptr) uefi.Status {
		connected = append(connected, a[0])
		return uefi.Success
	})
	serial := func(uid byte) []byte { return node(pathACPI, 1, 0xd0, 0x41, 0x01, 0x05, uid, 0, 0, 0) }
	f.install(1, uefi.SerialIOGUID, 0x999)
	f.install(1, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x1f, 0), serial(1)))
	u := newUART()
	if _, err := OpenSerial(); err != nil || disconnected != nil {
		t.Errorf("only COM2 is the firmware's: %v, disconnected %v", err, disconnected)
	}
	f.install(2, uefi.SerialIOGUID, 0x999)
	f.install(2, uefi.DevicePathGUID, f.path(pciRoot(), pci(0x1f, 0), serial(0), node(pathMessaging, 14, make([]byte, 15)...)))
	u.in = []byte("early")
	none, err := OpenSerial()
	if err != nil {
		t.Fatal(err)
	}
	if none.Close(); connected != nil {
		t.Errorf("%v was given to drivers that had not had it", connected)
	}
	managed = uefi.Success
	s, err := OpenSerial()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(disconnected, []uintptr{2, 2}) || connected != nil {
		t.Errorf("disconnected %v, connected %v", disconnected, connected)
	}
	if u.dll != 1 || u.dlm != 0 || u.reg[regLCR] != lcr8N1 || u.reg[regIER] != 0 || u.reg[regMCR] != 3 {
		t.Errorf("set up as %+v", u.reg)
	}
	p := make([]byte, 3)
	if n, err := s.Read(p); n != 3 || err != nil || string(p) != "ear" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	u.overrun, u.in = true, append(u.in, "?"...)
	var marked string
	for len(marked) < len("ly?\uFFFD") {
		n, err := s.Read(p)
		if marked += string(p[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if marked != "ly?\uFFFD" {
		t.Errorf("read %q where bytes were lost", marked)
	}
	u.in = []byte("ly")
	text := strings.Repeat("The quick brown fox.\r\n", 10)
	if n, err := io.WriteString(s, text); n != len(text) || err != nil || string(u.out) != text || u.burst != 16 {
		t.Errorf("wrote %d, %v; sent %q in bursts of %d", n, err, u.out, u.burst)
	}
	// A line that does not drain costs its output, and time only once.
	u.Lock()
	u.dead, u.fifo = true, 1
	u.Unlock()
	sleep = time.Sleep
	start := time.Now()
	for range 50 {
		if n, err := io.WriteString(s, "lost"); n != 4 || err != nil {
			t.Fatal(n, err)
		}
	}
	if d := time.Since(start); d < writeTimeout || d > 10*writeTimeout || s.dropped.Load() != 200 {
		t.Errorf("took %v, dropped %d", d, s.dropped.Load())
	}
	u.Lock()
	u.dead, u.out = false, nil
	u.Unlock()
	if io.WriteString(s, "back"); string(u.out) != "back" {
		t.Errorf("sent %q after it recovered", u.out)
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		s.Close()
	}()
	rest, err := io.ReadAll(s)
	if string(rest) != "ly" || err != nil {
		t.Errorf("read %q, %v", rest, err)
	}
	if _, err := io.WriteString(s, "x"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write after close: %v", err)
	}
	if s.Close(); !slices.Equal(connected, []uintptr{2}) {
		t.Errorf("%v was given back", connected)
	}
	u.in = []byte("theirs")
	if n, err := s.Read(p); n != 0 || err != io.EOF {
		t.Errorf("read %q, %v, which is the firmware's", p[:n], err)
	}
}

func TestSerialProbe(t *testing.T) {
	newFake(t)
	u := newUART()
	u.reg[regScratch] = 0x77
	u.reg[regMCR] = 3
	if !probeUART() || u.reg[regScratch] != 0x77 || len(u.out) != 0 {
		t.Errorf("16550: %+v", u.reg)
	}
	u.noScratch = true
	if !probeUART() || u.reg[regMCR] != 3 {
		t.Errorf("8250: %+v", u.reg)
	}
	in8 = func(port uint16) uint8 { return 0 } // a bus that reads zero
	if probeUART() {
		t.Error("zeros taken for a UART")
	}
}
