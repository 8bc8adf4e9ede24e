package main

import (
	"bytes"
	"io"

	"golang.org/x/image/font/basicfont"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/fs"
)

// crashFile is preallocated, so that a report can be written to its blocks when there is
// no file system any more.
const crashFile = "backup/crash.txt"

// A report begins with the first line; once the person was told, with the second.
const (
	crashNew  = "AlphaOS had to stop."
	crashSeen = "AlphaOS had stopped."
)

const restartFirst = "Switch the computer off and on again. If it happens again, "

// crashWords is what a person is told of a crash: what happened, what to do, what is safe.
var crashWords = amd64.CrashWords{
	Title: crashNew,
	Causes: [...]struct{ What, Advice string }{
		amd64.ErrorInProgram: {"Its program ran into an error.",
			"Restart and go on. If it stops at the same place again, try another model."},
		amd64.FaultInKernel: {"There was a fault in its kernel.",
			"Restart and go on. If it happens again, put {\"safe\": true} into the file /data/config.json on the drive: AlphaOS is slower then, but relies on less."},
		amd64.OutOfMemory: {"The machine has no memory left.",
			"Restart, then take a smaller model (type /models to see them, /load NAME to take one) or let it remember less of a conversation (/set parameter num_ctx 2048)."},
		amd64.FaultInFirmware: {"There was a fault in this computer's firmware.", restartFirst + "unplug what you do not need."},
		amd64.HardwareError:   {"This computer's hardware reported an error.", restartFirst + "its memory or another part may be failing."},
	},
	Memory:      " Of its %T, the model's weights took %P, the program and the conversation %R.",
	Safe:        "What you were told is saved is safe on the drive; an answer that was being written is kept up to its last saved piece.",
	Keys:        "Press R to restart, S to shut down. If no key works, hold the power button.",
	NoKeys:      "Hold the power button until it goes off.",
	ReportSaved: "What follows is for whoever looks into it. It is saved on the drive as /" + crashFile + ".",
	NotSaved:    "What follows is for whoever looks into it. It could not be saved: take a photo.",
}

// prepareCrash tells the machine where a crash can be shown and saved. Either argument may
// be nil.
func prepareCrash(screen *efi.Screen, d *drive) {
	r := amd64.CrashReport{Words: crashWords, Background: 0x16191f, Highlight: 0xe5b567, Foreground: 0xe6e6e6, Dim: 0x8a919c}
	font := basicfont.Face7x13
	for c := range r.Font {
		for row := range r.Font[c] {
			for col := 0; col < font.Width; col++ {
				if _, _, _, a := font.Mask.At(col, c*font.Height+row).RGBA(); a != 0 {
					r.Font[c][row] |= 1 << (6 - col)
				}
			}
		}
	}
	if screen != nil {
		if addr, stride, swapped, ok := screen.FrameBuffer(); ok {
			r.Frame, r.Stride, r.SwapRedBlue = addr, stride, swapped
			r.Width, r.Height = screen.Size()
		}
	}
	if d != nil {
		// Without the file, or with one in pieces, the report is only shown.
		if e, err := d.fs.Extents(crashFile); err == nil && len(e) == 1 && !d.dev.ReadOnly() {
			r.Block = e[0].First
			r.Bytes = int(e[0].Count) * d.dev.BlockSize()
			set := func() { // again when the drive was pulled out, or is back
				r.WriteBlocks, r.This, r.MediaID = d.dev.RawWriter()
				amd64.SetCrashReport(r)
			}
			d.dev.OnChange(set)
			set()
			return
		}
	}
	amd64.SetCrashReport(r)
}

// tellCrash mentions a report that the last session left, once if it can be marked.
func tellCrash(con *console.Console, d *drive, mark bool) {
	f, err := d.fs.OpenInPlace(crashFile)
	if err != nil {
		return // an older drive
	}
	head := make([]byte, len(crashNew))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF || !bytes.Equal(head, []byte(crashNew)) {
		return
	}
	con.Notice("AlphaOS stopped with an error last time. Its report is on the drive: /" + crashFile)
	if !mark {
		return
	}
	if _, err := f.WriteAt([]byte(crashSeen), 0); err != nil {
		con.Quiet("The report could not be marked as read: " + fs.Explain(err))
	}
}
