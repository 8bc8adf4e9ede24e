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

// prepareCrash tells the machine where a crash can be shown and saved. Either argument may
// be nil.
func prepareCrash(screen *efi.Screen, d *drive) {
	r := amd64.CrashReport{}
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
