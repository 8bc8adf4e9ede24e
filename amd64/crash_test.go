package amd64

import (
	"slices"
	"testing"

	"alphaos/amd64/paging"
)

// TestFigures checks that the places for figures in a crash's words get them.
func TestFigures(t *testing.T) {
	const width, height = 400, 40
	before := report
	defer func() { report, physicalFrames = before, 0 }()
	report.Width, report.Height, report.Stride = width, height, width
	for c := range report.Font {
		for row := range report.Font[c] {
			report.Font[c][row] = uint8(c*7+row*3) & 0x7f
		}
	}
	drawn := func(s string) []uint32 {
		pixels := make([]uint32, width*height)
		report.Frame = addrOf(&pixels[0])
		p := pen{right: width, scale: 1}
		p.print(s, 0xffffff)
		return pixels
	}
	physicalFrames = 123e6 >> paging.FrameShift
	want := drawn("weights took 122 MB, so")
	if !slices.Contains(want, 0xffffff) {
		t.Fatal("nothing was drawn")
	}
	if !slices.Equal(drawn("weights took %P, so"), want) {
		t.Error("the figure is not in its place")
	}
	if slices.Equal(drawn("weights took %R, so"), want) {
		t.Error("each figure is the same")
	}
}
