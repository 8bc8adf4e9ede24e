package console

// Fonts of the drive: TrueType and OpenType files, or the first font of a collection, which a person brought along for
// scripts that Go Mono lacks. They are written by strangers. Invariant: whatever they hold, a character is drawn within
// its cells, or by another font.

import (
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// Font is a font of the drive.
type Font struct {
	font *sfnt.Font
	buf  sfnt.Buffer
}

// ParseFont reads a font file, of which it keeps data. An error is a clause about the file.
func ParseFont(data []byte) (f *Font, err error) {
	defer func() {
		if broken := recover(); broken != nil { // a fault of the library is no reason not to start
			f, err = nil, fmt.Errorf("it is damaged (%v)", broken)
		}
	}()
	list, err := opentype.ParseCollection(data)
	if err != nil || list.NumFonts() == 0 {
		return nil, errors.New("it is no TrueType or OpenType font, or it is damaged")
	}
	one, err := list.Font(0)
	if err != nil {
		return nil, fmt.Errorf("it is damaged (%w)", err)
	}
	return &Font{font: one}, nil
}

// AddFonts has characters that the built-in font lacks drawn from others, of which the first one that has a character
// is taken.
func (c *Console) AddFonts(fonts ...*Font) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fonts = append(c.fonts, fonts...)
	if c.surface != nil {
		_ = c.redress(c.size) // show, which comes with the next change, tells of a screen that fails
	}
}

// outlined draws the characters of a cluster over each other from the first font of the drive that has all of them.
func (g *glyphs) outlined(img *image.Alpha, text []rune) bool {
	for _, f := range g.more {
		z := vector.NewRasterizer(img.Rect.Dx(), img.Rect.Dy())
		if f.outline(z, text, emSize(g.w), float32(img.Rect.Dx()), float32(g.baseline)) {
			z.Draw(img, img.Rect, image.Opaque, image.Point{})
			return true
		}
	}
	return false
}

// outline adds the outlines of a cluster's characters to z. The first one is put in the middle of the room there is, and made
// narrower if it is too wide; those that have no width of their own are marks on it.
func (f *Font) outline(z *vector.Rasterizer, text []rune, em float64, room, baseline float32) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	const far = 1 << 12 // pixels; nothing that is seen is further away
	ppem := fixed.Int26_6(em * 64)
	pixels := func(v fixed.Int26_6) float32 { return min(max(float32(v)/64, -far), far) }
	var list [][]sfnt.Segment
	var advances []float32
	for _, r := range text {
		i, err := f.font.GlyphIndex(&f.buf, r)
		if err != nil || i == 0 {
			return false
		}
		advance, err := f.font.GlyphAdvance(&f.buf, i, ppem, font.HintingNone)
		if err != nil {
			return false
		}
		segments, err := f.font.LoadGlyph(&f.buf, i, ppem, nil)
		if err != nil {
			return false
		}
		list = append(list, append([]sfnt.Segment(nil), segments...)) // the buffer is used again
		advances = append(advances, pixels(advance))
	}
	width := advances[0]
	scale := float32(1)
	if width > room {
		scale = room / width
	}
	left := (room - width*scale) / 2
	for i, segments := range list {
		x := left
		if i > 0 {
			if x += width * scale; advances[i] > 0 {
				x = (room - advances[i]*scale) / 2
			}
		}
		at := func(p fixed.Point26_6) (float32, float32) { return x + pixels(p.X)*scale, baseline + pixels(p.Y) }
		for _, s := range segments {
			ax, ay := at(s.Args[0])
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				z.ClosePath()
				z.MoveTo(ax, ay)
			case sfnt.SegmentOpLineTo:
				z.LineTo(ax, ay)
			case sfnt.SegmentOpQuadTo:
				bx, by := at(s.Args[1])
				z.QuadTo(ax, ay, bx, by)
			case sfnt.SegmentOpCubeTo:
				bx, by := at(s.Args[1])
				cx, cy := at(s.Args[2])
				z.CubeTo(ax, ay, bx, by, cx, cy)
			}
		}
		z.ClosePath()
	}
	return true
}
