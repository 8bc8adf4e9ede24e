package machine

import (
	"golang.org/x/image/font/basicfont"

	"alphaos/amd64"
	"alphaos/boot"
	"alphaos/drive"
	"alphaos/efi"
	"alphaos/fs"
)

const restartFirst = "Switch the computer off and on again. If it happens again, "

// crashWords is what a person is told of a crash: what happened, what to do, what is safe.
var crashWords = amd64.CrashWords{
	Title: boot.CrashNew,
	Causes: [...]struct{ What, Advice string }{
		amd64.ErrorInProgram: {"Its program ran into an error.",
			"Restart and go on. If it stops at the same place again, try another model."},
		amd64.FaultInKernel: {"There was a fault in its kernel.",
			safely + "/" + drive.ConfigPath + relying},
		amd64.OutOfMemory: {"The machine has no memory left.",
			"Restart, then take a smaller model (type /models to see them, /load NAME to take one) or let it remember less of a conversation (/set parameter num_ctx 2048)."},
		amd64.FaultInFirmware: {"There was a fault in this computer's firmware.", restartFirst + "unplug what you do not need."},
		amd64.HardwareError:   {"This computer's hardware reported an error.", restartFirst + "its memory or another part may be failing."},
	},
	Memory:      " Of its %T, the model's weights took %P, the program and the conversation %R.",
	Safe:        "What you were told is saved is safe on the drive; an answer that was being written is kept up to its last saved piece.",
	Keys:        "Press R to restart, S to shut down. If no key works, hold the power button.",
	NoKeys:      "Hold the power button until it goes off.",
	ReportSaved: saved + "/" + drive.CrashPath + ".",
	NotSaved:    "What follows is for whoever looks into it. It could not be saved: take a photo.",
}

// Parts of sentences with the place of a file, each of which must be a constant.
const (
	safely  = "Restart and go on. If it happens again, put {\"safe\": true} into the file "
	relying = " of the drive: AlphaOS is slower then, but relies on less."
	saved   = "What follows is for whoever looks into it. It is saved on the drive as "
)

// wordsOn returns crashWords for a drive of that layout.
func wordsOn(layout drive.Layout) amd64.CrashWords {
	words := crashWords
	if layout == drive.Full {
		words.Causes[amd64.FaultInKernel].Advice = safely + drive.FullConfig + relying
		words.ReportSaved = saved + drive.FullCrash + "."
	}
	return words
}

// where returns the blocks of the file of that logical path, which is on a partition that is not encrypted.
func where(d *drive.Drive, name string) (*efi.BlockDevice, []fs.Extent, error) {
	v, at, err := d.On(name)
	if err != nil {
		return nil, nil, err
	}
	e, err := v.Pin(at) // a crash writes there whatever the file system does
	return drive.Medium(v.Device).(*efi.BlockDevice), e, err
}

// PrepareCrash says where a crash can be shown and saved: on the screen, if there is one,
// and on the drive d, if that is not nil. The file there is preallocated, so that the report
// can be written to its blocks when there is no file system any more.
func (m *Machine) PrepareCrash(d *drive.Drive) {
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
	if m.screen != nil {
		if addr, stride, swapped, ok := m.screen.FrameBuffer(); ok {
			r.Frame, r.Stride, r.SwapRedBlue = addr, stride, swapped
			r.Width, r.Height = m.screen.Size()
		}
	}
	if d != nil {
		r.Words = wordsOn(d.Layout)
		// Without the file, or with one in pieces, the report is only shown.
		if dev, e, err := where(d, drive.CrashPath); err == nil && len(e) == 1 && !d.ReadOnly() {
			r.Block = e[0].First
			r.Bytes = int(e[0].Count) * dev.BlockSize()
			set := func() { // again when the drive was pulled out, or is back
				r.WriteBlocks, r.This, r.MediaID = dev.RawWriter()
				amd64.SetCrashReport(r)
			}
			dev.OnChange(set)
			set()
			return
		}
	}
	amd64.SetCrashReport(r)
}
