package amd64

import (
	"alphaos/amd64/paging"
	"alphaos/uefi"
)

// A row of coloured blocks in the top left corner of the screen, one for each step before there
// can be text: whoever sees a start stop there can tell how far it came, on a screen that shows
// nothing else. docs/troubleshooting.md says what each means.

type startStep int

const (
	stepEntered   startStep = iota // the firmware handed over
	stepClock                      // the clock's rate is known
	stepMemory                     // memory was taken over
	stepTables                     // page tables are made
	stepOwnTables                  // and in use
	stepRuntime                    // the Go runtime is about to start
)

// blockColors are white, yellow, cyan, green, magenta and blue, as 0xRRGGBB.
var blockColors = [...]uint32{0xffffff, 0xffff00, 0x00ffff, 0x00ff00, 0xff00ff, 0x0060ff}

const (
	blockSide = 16 // pixels; twice that on a screen of more than 2000
	blockGap  = 8
)

// frame is the frame buffer that blocks are drawn in; base is 0 where there is none.
var frame struct {
	base                  uintptr
	width, height, stride int
	swapped               bool // red comes first
}

// keepFrames has the frame buffers of all screens stay within reach: the program may draw on another
// one than the first.
func keepFrames() {
	if fwCall(bootServices().LocateHandleBuffer, uefi.ByProtocol, addrOf(&uefi.GraphicsOutputGUID), 0, addrOf(&outAddr), addrOf(&outAddr2)) != 0 {
		return
	}
	count, list := outAddr, outAddr2
	for i := uintptr(0); i < count; i++ {
		if fwCall(bootServices().HandleProtocol, *at[uintptr](list + 8*i), addrOf(&uefi.GraphicsOutputGUID), addrOf(&outAddr), 0, 0) != 0 {
			continue
		}
		if mode := at[uefi.GraphicsOutput](outAddr).Mode; mode != 0 {
			m := at[uefi.GraphicsMode](mode)
			paging.Keep(uintptr(m.FrameBufferBase), m.FrameBufferSize)
		}
	}
	fwCall(bootServices().FreePool, list, 0, 0, 0, 0)
}

// findFrame finds the frame buffer of the first screen that has one.
func findFrame() {
	if fwCall(bootServices().LocateProtocol, addrOf(&uefi.GraphicsOutputGUID), 0, addrOf(&outAddr), 0, 0) != 0 {
		return
	}
	mode := at[uefi.GraphicsOutput](outAddr).Mode
	if mode == 0 {
		return
	}
	m := at[uefi.GraphicsMode](mode)
	if m.Info == 0 {
		return
	}
	info := at[uefi.GraphicsModeInfo](m.Info)
	w, h, stride := int(info.HorizontalResolution), int(info.VerticalResolution), int(info.PixelsPerScanLine)
	if info.PixelFormat > uefi.PixelBGRX || stride < w || w > 1<<14 || h > 1<<14 || uintptr(stride)*uintptr(h)*4 > m.FrameBufferSize {
		return
	}
	frame.base, frame.width, frame.height, frame.stride = uintptr(m.FrameBufferBase), w, h, stride
	frame.swapped = info.PixelFormat == uefi.PixelRGBX
}

// reached draws the block of a step.
func reached(s startStep) {
	side, gap := blockSide, blockGap
	if frame.width > 2000 {
		side, gap = 2*side, 2*gap
	}
	left := gap + int(s)*(side+gap)
	if frame.base == 0 || left+side > frame.width || gap+side > frame.height {
		return
	}
	color := blockColors[s]
	if frame.swapped {
		color = color&0xff<<16 | color&0xff00 | color>>16
	}
	for y := gap; y < gap+side; y++ {
		for x := left; x < left+side; x++ {
			*at[uint32](frame.base + uintptr(y*frame.stride+x)*4) = color
		}
	}
}
