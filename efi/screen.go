package efi

// The screen: the Graphics Output Protocol (UEFI 2.10, 12.9) as a
// console.Screen. Invariant: the frame buffer is only ever written, row by row
// of the rectangles that changed, since reading it may be uncached and slow
// beyond use; the console draws anew what it shows again. Where the firmware has left
// it uncachable, amd64 has the processors write in whole cache lines.

import (
	"errors"
	"fmt"
	"image"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/uefi"
)

// A display smaller than this cannot hold a conversation; it is given a
// larger mode if there is one.
const (
	minWidth  = 800
	minHeight = 600
	// preferred bounds the choice then: a display whose size is unknown may not be
	// able to show its largest mode.
	preferredWidth  = 1920
	preferredHeight = 1200
)

// maxSide bounds the resolution that is believed.
const maxSide = 16384

// ErrNoScreen is returned when the firmware has no graphics output.
var ErrNoScreen = errors.New("the firmware offers no graphics screen")

// Mode is one of a screen's resolutions in pixels.
type Mode struct {
	Number        int
	Width, Height int
	linear        bool
}

// Screen is a display. Its methods are for one goroutine at a time.
type Screen struct {
	gop           uintptr
	width, height int

	// The frame buffer, when the format is one that is stored directly.
	frame  []uint32 // nil: draw through Blt
	pitch  int      // pixels from one row to the next
	encode encoder  // nil: pixels are as the console's
	memory amd64.FrameMapping

	band []byte // physical memory for Blt; nil until it is needed
}

var _ console.Screen = (*Screen)(nil)

// OpenScreen takes over the display: the one the firmware's console is on,
// in the mode it is in. The error is ErrNoScreen when there is none; the firmware's
// text console is ready for use then, until Close, which may be called on nil.
func OpenScreen() (*Screen, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	textConsole() // without a graphics screen, too: there it would show no text
	gop, err := findGOP()
	if err != nil {
		return nil, err
	}
	s := &Screen{gop: gop}
	if w, h, err := s.currentSize(); err != nil || w < minWidth || h < minHeight {
		if err := s.enlarge(); err != nil {
			return nil, err
		}
	}
	if err := s.adopt(); err != nil {
		return nil, err
	}
	return s, nil
}

// findGOP returns the graphics output of the console's handle. When that one
// is only a splitter that copies to one real display, the display itself is
// taken, because its frame buffer can be written directly.
func findGOP() (uintptr, error) {
	first, err := protocol(Handle(fw.st.ConsoleOutHandle), &uefi.GraphicsOutputGUID)
	if err == nil && linear(first) {
		return first, nil
	}
	hs, err := handles(&uefi.GraphicsOutputGUID)
	if err != nil {
		return 0, fmt.Errorf("looking for a screen: %w", err)
	}
	var direct, other []uintptr
	for _, h := range hs {
		gop, err := protocol(h, &uefi.GraphicsOutputGUID)
		if err != nil || gop == first || at[uefi.GraphicsOutput](gop).Mode == 0 {
			continue
		}
		if linear(gop) {
			direct = append(direct, gop)
		} else {
			other = append(other, gop)
		}
	}
	switch {
	case len(direct) == 1, len(direct) > 1 && first == 0:
		return direct[0], nil
	case first != 0 && at[uefi.GraphicsOutput](first).Mode != 0:
		return first, nil
	case len(other) > 0:
		return other[0], nil
	}
	return 0, ErrNoScreen
}

// modeInfo returns the current mode, or nil when none has been set.
func modeInfo(gop uintptr) (*uefi.GraphicsMode, *uefi.GraphicsModeInfo) {
	if at[uefi.GraphicsOutput](gop).Mode == 0 {
		return nil, nil
	}
	m := at[uefi.GraphicsMode](at[uefi.GraphicsOutput](gop).Mode)
	if m.Info == 0 {
		return m, nil
	}
	return m, at[uefi.GraphicsModeInfo](m.Info)
}

// linear reports whether the current mode has a frame buffer in memory.
func linear(gop uintptr) bool {
	m, info := modeInfo(gop)
	return info != nil && info.PixelFormat < uefi.PixelBltOnly && m.FrameBufferBase != 0
}

// currentSize returns the resolution that is set.
func (s *Screen) currentSize() (w, h int, err error) {
	_, info := modeInfo(s.gop)
	if info == nil {
		return 0, 0, uefi.NotStarted
	}
	w, h = int(info.HorizontalResolution), int(info.VerticalResolution)
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return 0, 0, fmt.Errorf("the firmware reports a screen of %d by %d pixels", w, h)
	}
	return w, h, nil
}

// Modes asks the firmware for the resolutions it offers (12.9.2.1).
func (s *Screen) Modes() ([]Mode, error) {
	m, _ := modeInfo(s.gop)
	if m == nil {
		return nil, ErrNoScreen
	}
	var list []Mode
	var errs []error
	for i := range min(m.MaxMode, 1024) {
		mode, err := s.queryMode(i)
		if err != nil {
			errs = append(errs, fmt.Errorf("screen mode %d: %w", i, err))
			continue
		}
		list = append(list, mode)
	}
	if len(list) == 0 {
		return nil, errors.Join(append(errs, ErrNoScreen)...)
	}
	return list, nil
}

func (s *Screen) queryMode(i uint32) (Mode, error) {
	params.Lock()
	defer params.Unlock()
	size, info := cell(0, 0), cell(1, 0)
	st := uefi.Status(call(at[uefi.GraphicsOutput](s.gop).QueryMode, s.gop, uintptr(i), size, info))
	if err := st.Err(); err != nil {
		return Mode{}, err
	}
	addr := uintptr(params.cell[1])
	if addr == 0 || params.cell[0] < uint64(unsafe.Sizeof(uefi.GraphicsModeInfo{})) {
		return Mode{}, fmt.Errorf("the firmware returned %d bytes of mode information", params.cell[0])
	}
	g := *at[uefi.GraphicsModeInfo](addr)
	call(fw.bs.FreePool, addr) // a leak of some bytes at worst
	if g.HorizontalResolution-1 >= maxSide || g.VerticalResolution-1 >= maxSide {
		return Mode{}, fmt.Errorf("%d by %d pixels are not possible", g.HorizontalResolution, g.VerticalResolution)
	}
	return Mode{int(i), int(g.HorizontalResolution), int(g.VerticalResolution), g.PixelFormat < uefi.PixelBltOnly}, nil
}

// enlarge sets the largest mode within the preferred size, or else the
// largest; a screen that has only smaller ones stays as it is.
func (s *Screen) enlarge() error {
	modes, err := s.Modes()
	if err != nil {
		return err
	}
	w, h, current := s.currentSize()
	fits := func(m Mode) bool { return m.Width <= preferredWidth && m.Height <= preferredHeight }
	best := slices.MaxFunc(modes, func(a, b Mode) int {
		if fits(a) != fits(b) {
			if fits(a) {
				return 1
			}
			return -1
		}
		return a.Width*a.Height - b.Width*b.Height
	})
	if current == nil && best.Width*best.Height <= w*h {
		return nil
	}
	return s.setMode(best.Number)
}

func (s *Screen) setMode(number int) error {
	if err := uefi.Status(call(at[uefi.GraphicsOutput](s.gop).SetMode, s.gop, uintptr(number))).Err(); err != nil {
		return fmt.Errorf("setting screen mode %d: %w", number, err)
	}
	return nil
}

// adopt learns size, frame buffer and pixel format of the current mode.
func (s *Screen) adopt() error {
	w, h, err := s.currentSize()
	if err != nil {
		return fmt.Errorf("opening the screen: %w", err)
	}
	m, info := modeInfo(s.gop)
	s.width, s.height = w, h
	s.frame, s.encode = nil, nil
	encode, ok := pixelEncoder(info)
	pitch := int(info.PixelsPerScanLine)
	if !ok || m.FrameBufferBase == 0 || pitch < w || pitch > 4*maxSide {
		return nil // Blt works in every mode
	}
	size := pitch*(h-1) + w
	if m.FrameBufferSize != 0 && uintptr(size)*4 > m.FrameBufferSize {
		return nil
	}
	s.frame = unsafe.Slice(at[uint32](uintptr(m.FrameBufferBase)), size)
	s.pitch, s.encode = pitch, encode
	s.memory = amd64.CombineWrites(uintptr(m.FrameBufferBase), 4*size)
	return nil
}

// FrameBuffer returns the address of the display's memory and its pixels from one row
// to the next, when pixels are stored there as 0xRRGGBB or, swapped, as 0xBBGGRR. ok is
// false when the display can only be drawn on through the firmware.
func (s *Screen) FrameBuffer() (addr uintptr, stride int, swapped, ok bool) {
	if s.frame == nil {
		return 0, 0, false, false
	}
	pixel := []uint32{0x112233}
	if s.encode != nil {
		s.encode(pixel, []uint32{0x112233})
	}
	swapped = pixel[0] == 0x332211
	return uintptr(unsafe.Pointer(unsafe.SliceData(s.frame))), s.pitch, swapped, swapped || pixel[0] == 0x112233
}

// Size returns the resolution in pixels.
func (s *Screen) Size() (width, height int) { return s.width, s.height }

// String describes the screen, for messages.
func (s *Screen) String() string {
	if s.frame == nil {
		return fmt.Sprintf("%dx%d, Blt", s.width, s.height)
	}
	text := fmt.Sprintf("%dx%d, frame buffer", s.width, s.height)
	if s.memory.MTRR != amd64.UnknownType {
		text += fmt.Sprintf(" at %#x, %v by MTRR", uintptr(unsafe.Pointer(unsafe.SliceData(s.frame))), s.memory.MTRR)
	}
	if m := s.memory; m.Combined > 0 {
		text += fmt.Sprintf(", write-combining by PAT: %d of %d pages, the first one's entry %#x, PAT %#016x", m.Combined, m.Pages, m.Entry, m.PAT)
	}
	return text
}

// Flush shows pixels in the rectangle r: 0x00RRGGBB, stride of them from one row to the
// next, the first one being the top left corner of r.
func (s *Screen) Flush(pixels []uint32, stride int, r image.Rectangle) error {
	if r.Empty() {
		return nil
	}
	if !r.In(image.Rect(0, 0, s.width, s.height)) || stride < r.Dx() || len(pixels) < (r.Dy()-1)*stride+r.Dx() {
		return fmt.Errorf("%d pixels in rows of %d are not %v of a screen of %d by %d", len(pixels), stride, r, s.width, s.height)
	}
	if s.frame == nil {
		return s.blt(pixels, stride, r)
	}
	for y := range r.Dy() {
		src := pixels[y*stride : y*stride+r.Dx()]
		dst := s.frame[(r.Min.Y+y)*s.pitch+r.Min.X:][:r.Dx()]
		if s.encode == nil {
			copy(dst, src)
			continue
		}
		s.encode(dst, src)
	}
	return nil
}

const bandSize = 1 << 20

// blt draws through the firmware (12.9.2.3), in bands of rows that fit the
// buffer. A Blt pixel is blue, green, red, reserved: the console's own format.
func (s *Screen) blt(pixels []uint32, stride int, r image.Rectangle) error {
	const bufferToVideo = 2
	if s.band == nil {
		b, err := alloc(bandSize)
		if err != nil {
			return fmt.Errorf("memory for drawing: %w", err)
		}
		s.band = b
	}
	w := r.Dx()
	band := unsafe.Slice(at[uint32](addressOf(s.band)), bandSize/4)
	for y := r.Min.Y; y < r.Max.Y; {
		rows := min(r.Max.Y-y, len(band)/w)
		for i := range rows {
			copy(band[i*w:(i+1)*w], pixels[(y-r.Min.Y+i)*stride:])
		}
		st := uefi.Status(call(at[uefi.GraphicsOutput](s.gop).Blt, s.gop, addressOf(s.band), bufferToVideo,
			0, 0, uintptr(r.Min.X), uintptr(y), uintptr(w), uintptr(rows), uintptr(w)*4))
		if err := st.Err(); err != nil {
			return fmt.Errorf("drawing on the screen: %w", err)
		}
		y += rows
	}
	return nil
}

// encoder turns a row of the console's pixels into the frame buffer's.
type encoder func(dst, src []uint32)

// pixelEncoder returns the encoder for a mode, nil when pixels are stored as
// they are. ok is false for formats that are not 32 bits wide; those are
// drawn through Blt.
func pixelEncoder(info *uefi.GraphicsModeInfo) (e encoder, ok bool) {
	switch info.PixelFormat {
	case uefi.PixelBGRX:
		return nil, true
	case uefi.PixelRGBX:
		return encodeRGBX, true
	case uefi.PixelBitMask:
		r, g, b := info.RedMask, info.GreenMask, info.BlueMask
		all := r | g | b | info.ReservedMask
		if bits.Len32(all) <= 24 || !solid(r) || !solid(g) || !solid(b) {
			return nil, false // the highest bit of all masks tells the width of a pixel
		}
		switch {
		case r == 0xff0000 && g == 0xff00 && b == 0xff:
			return nil, true
		case r == 0xff && g == 0xff00 && b == 0xff0000:
			return encodeRGBX, true
		}
		return maskEncoder(r, g, b), true
	}
	return nil, false
}

// solid reports whether a mask is one run of ones, 16 bits at most.
func solid(m uint32) bool {
	m >>= bits.TrailingZeros32(m)
	return m != 0 && m&(m+1) == 0 && m <= 0xffff
}

func encodeRGBX(dst, src []uint32) {
	for i, p := range src[:len(dst)] {
		dst[i] = p&0xff<<16 | p&0xff00 | p>>16&0xff
	}
}

func maskEncoder(r, g, b uint32) encoder {
	var red, green, blue [256]uint32
	for v := range uint32(256) {
		red[v], green[v], blue[v] = place(v, r), place(v, g), place(v, b)
	}
	return func(dst, src []uint32) {
		for i, p := range src[:len(dst)] {
			dst[i] = red[p>>16&0xff] | green[p>>8&0xff] | blue[p&0xff]
		}
	}
}

// place scales an 8-bit channel value to the width of a mask and moves it
// there; all ones stay all ones.
func place(v, mask uint32) uint32 {
	top := mask >> bits.TrailingZeros32(mask)
	return (v*top + 127) / 255 << bits.TrailingZeros32(mask)
}

// consoleState remembers what textConsole changed.
var consoleState struct {
	sync.Mutex
	control uintptr // uefi.ConsoleControl whose mode is to be restored; 0: none
	mode    uint64  // the mode it had
}

// textConsole brings firmware with the Console Control protocol into text mode, without a
// cursor. It draws nothing there by itself, whereas in graphics mode a Mac's AppleEvent
// takes the keys away from Simple Text Input before they can be read.
func textConsole() {
	control, err := locateProtocol(&uefi.ConsoleControlGUID)
	if err != nil {
		return // most firmware has none
	}
	params.Lock()
	mode := cell(0, uefi.ConsoleText)
	st := uefi.Status(call(at[uefi.ConsoleControl](control).GetMode, control, mode, 0, 0))
	was := params.cell[0] & 0xffffffff
	params.Unlock()
	// A refusal leaves what works on most machines: not worth stopping for.
	if st.Err() != nil || was != uefi.ConsoleText {
		st = uefi.Status(call(at[uefi.ConsoleControl](control).SetMode, control, uefi.ConsoleText))
		consoleState.Lock()
		if st.Err() == nil && consoleState.control == 0 {
			consoleState.control, consoleState.mode = control, was
		}
		consoleState.Unlock()
	}
	if out := fw.st.ConOut; out != 0 {
		call(at[uefi.SimpleTextOutput](out).EnableCursor, out, 0)
	}
}

// restoreConsole undoes textConsole; the cursor is for whoever writes text next to show.
func restoreConsole() {
	consoleState.Lock()
	defer consoleState.Unlock()
	if consoleState.control == 0 {
		return
	}
	call(at[uefi.ConsoleControl](consoleState.control).SetMode, consoleState.control, uintptr(consoleState.mode))
	consoleState.control = 0
}

// Close gives the display back to the firmware's text console, for returning
// to the boot manager or starting another program.
func (s *Screen) Close() error {
	restoreConsole()
	if s != nil && s.band != nil {
		free(s.band)
		s.band = nil
	}
	return nil
}
