// Package golden compares screens with pictures that were looked at.
package golden

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
	"testing"
)

var update = flag.Bool("update", false, "draw testdata/*.png anew, to be looked at")

// Compare compares a screen with a picture. Edges of letters may be drawn a little otherwise by another version of
// the font's rasteriser, so what counts are the means of squares of four by four pixels.
func Compare(t testing.TB, w, h int, pix []uint32, file string) {
	t.Helper()
	if *update {
		save(t, w, h, pix, file)
		return
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err, "; draw it with -update and look at it")
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, w, h) {
		t.Fatalf("the picture has %v", img.Bounds())
	}
	const side, tolerance = 4, 24
	bad := image.Rectangle{}
	for y := 0; y+side <= h; y += side {
		for x := 0; x+side <= w; x += side {
			var got, want [3]int
			for j := range side {
				for i := range side {
					p := pix[(y+j)*w+x+i]
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
	if !bad.Empty() {
		t.Errorf("differs from %s in %v", file, bad)
		if dir := os.Getenv("CONSOLE_PNG"); dir != "" {
			save(t, w, h, pix, filepath.Join(dir, filepath.Base(file)))
		}
	}
}

// save writes a screen with the 256 colours that it has most of, so that the picture is small.
func save(t testing.TB, w, h int, pix []uint32, file string) {
	count := map[uint32]int{}
	for _, p := range pix {
		count[p]++
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b uint32) int { return cmp.Or(count[b]-count[a], int(a)-int(b)) })
	img := image.NewPaletted(image.Rect(0, 0, w, h), nil)
	for _, p := range colours[:min(len(colours), 256)] {
		img.Palette = append(img.Palette, rgb(p))
	}
	index := map[uint32]uint8{}
	for _, p := range colours {
		index[p] = uint8(img.Palette.Index(rgb(p)))
	}
	for i, p := range pix {
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
