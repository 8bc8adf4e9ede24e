package console

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/font/gofont/goregular"
)

// A font of the drive draws within its cells what Go Mono lacks, and stays when the text changes its size.
func TestFontsOfTheDrive(t *testing.T) {
	r := newRig(t, 1280, 800)
	f, err := ParseFont(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(g *glyphs, text string, cells int) *image.Alpha {
		img := image.NewAlpha(image.Rect(0, 0, cells*g.w, g.h))
		if !g.outlined(img, []rune(text)) {
			t.Fatalf("%s is not drawn", text)
		}
		return img
	}
	if g := r.surface.painter.(*pixels).font; g.outlined(image.NewAlpha(image.Rect(0, 0, g.w, g.h)), []rune("Ж")) {
		t.Error("drawn without a font")
	}
	r.AddFonts(f)
	if err := r.SetTextSize("large"); err != nil {
		t.Fatal(err)
	}
	g := r.surface.painter.(*pixels).font
	width := func(img *image.Alpha) (n int) {
		for x := range img.Rect.Dx() {
			for y := range img.Rect.Dy() {
				if img.AlphaAt(x, y).A > 100 {
					n++
					break
				}
			}
		}
		return n
	}
	one, two := width(draw(g, "W", 1)), width(draw(g, "W", 2))
	if one < g.w/2 || two <= g.w {
		t.Errorf("W is %d pixels wide in a cell of %d, %d in two", one, g.w, two)
	}
	if g.outlined(image.NewAlpha(image.Rect(0, 0, g.w, g.h)), []rune("中")) {
		t.Error("a character that the font lacks is drawn from it")
	}
}

// drawFont reads a font as a stranger's, and draws with it.
func drawFont(data []byte) bool {
	f, err := ParseFont(data)
	if err != nil {
		return false
	}
	g := &glyphs{w: 11, h: 25, baseline: 19, more: []*Font{f}}
	for _, s := range []string{"a", "Ж", "漢", "e\u0323", "שּ"} {
		img := image.NewAlpha(image.Rect(0, 0, g.w*textWidth(s), g.h))
		g.outlined(img, []rune(s))
	}
	return true
}

// Damage anywhere in a font does no harm.
func TestDamagedFonts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	used := 0
	for range 300 {
		data := bytes.Clone(goregular.TTF)
		for range 1 + rng.IntN(40) {
			at := rng.IntN(len(data))
			if rng.IntN(2) == 0 {
				at = rng.IntN(1024) // the directory of tables
			}
			data[at] = byte(rng.UintN(256))
		}
		if rng.IntN(8) == 0 {
			data = data[:rng.IntN(len(data))]
		}
		if drawFont(data) {
			used++
		}
	}
	if used == 0 || used == 300 {
		t.Errorf("%d of 300 damaged fonts were used", used)
	}
}

func FuzzFont(f *testing.F) {
	f.Add(goregular.TTF)
	f.Add([]byte("ttcf\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x10OTTO"))
	f.Fuzz(func(t *testing.T, data []byte) { drawFont(data) })
}
