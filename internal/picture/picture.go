// Package picture is a screen in memory, for tests, and compares what it shows with pictures that were looked at.
package picture

import (
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

var draw = flag.Bool("draw", false, "draw testdata/*.png anew, to be looked at")

// Screen is a frame buffer in memory, of pixels 0x00RRGGBB row by row.
type Screen struct {
	Width, Height int

	mu     sync.Mutex
	pixels []uint32
}

// New makes a screen.
func New(width, height int) *Screen {
	return &Screen{Width: width, Height: height, pixels: make([]uint32, width*height)}
}

// Size is the screen's, in pixels.
func (s *Screen) Size() (width, height int) { return s.Width, s.Height }

// Flush takes pixels, which are stride apart from row to row, into a rectangle.
func (s *Screen) Flush(pixels []uint32, stride int, r image.Rectangle) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for y := range r.Dy() {
		copy(s.pixels[(r.Min.Y+y)*s.Width+r.Min.X:][:r.Dx()], pixels[y*stride:])
	}
	return nil
}

// Shows compares the screen with a picture, or draws that anew with -draw.
func (s *Screen) Shows(t testing.TB, file string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	Compare(t, s.pixels, s.Width, file)
}

// Compare compares pixels 0x00RRGGBB with those in a PNG file, or writes that with -draw. Edges of letters may be drawn a little
// otherwise by another version of the font's rasteriser, so what counts are the means of squares of four by four
// pixels. A screen that differs is saved in the folder ALPHAOS_SCREENS, if that is set.
func Compare(t testing.TB, pixels []uint32, width int, file string) {
	t.Helper()
	height := len(pixels) / width
	if *draw {
		save(t, pixels, width, file)
		return
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err, "; draw it with -draw and look at it")
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, width, height) {
		t.Fatalf("the picture has %v", img.Bounds())
	}
	const side, tolerance = 4, 24
	bad := image.Rectangle{}
	for y := 0; y+side <= height; y += side {
		for x := 0; x+side <= width; x += side {
			var got, want [3]int
			for j := range side {
				for i := range side {
					p := pixels[(y+j)*width+x+i]
					c := color.RGBAModel.Convert(img.At(x+i, y+j)).(color.RGBA)
					for k, v := range [3]uint8{c.R, c.G, c.B} {
						got[k] += int(p >> (16 - 8*k) & 255)
						want[k] += int(v)
					}
				}
			}
			for k := range got {
				if d := (got[k] - want[k]) / (side * side); d > tolerance || d < -tolerance {
					bad = bad.Union(image.Rect(x, y, x+side, y+side))
				}
			}
		}
	}
	if bad.Empty() {
		return
	}
	t.Errorf("differs from %s in %v", file, bad)
	if dir := os.Getenv("ALPHAOS_SCREENS"); dir != "" && os.MkdirAll(dir, 0o777) == nil {
		save(t, pixels, width, filepath.Join(dir, filepath.Base(file)))
	}
}

// save writes a screen with the 256 colours that it has most of, so that the picture is small.
func save(t testing.TB, pixels []uint32, width int, file string) {
	count := map[uint32]int{}
	for _, p := range pixels {
		count[p]++
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b uint32) int { return cmp.Or(count[b]-count[a], int(a)-int(b)) })
	img := image.NewPaletted(image.Rect(0, 0, width, len(pixels)/width), nil)
	for _, p := range colours[:min(len(colours), 256)] {
		img.Palette = append(img.Palette, rgb(p))
	}
	index := map[uint32]uint8{}
	for _, p := range colours {
		index[p] = uint8(img.Palette.Index(rgb(p)))
	}
	for i, p := range pixels {
		img.Pix[i] = index[p]
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(f, img); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func rgb(p uint32) color.RGBA { return color.RGBA{uint8(p >> 16), uint8(p >> 8), uint8(p), 255} }
