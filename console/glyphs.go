package console

// Glyphs: what a cell looks like, as 8-bit coverage. A glyph is rasterised from Go Mono when it is first
// shown and kept; the font is scaled so that its advance is exactly one cell. Go Mono has no
// box-drawing characters of our line height, so those and the block elements are drawn here and
// meet at the cell edges, and so are some signs (signs.go). What it lacks is taken from the fonts on the
// drive (font.go), and what these lack from a bitmap font, GNU Unifont. What is in none of them is a
// visible empty box, one cell or two: a box says that something is missing, a wrong neighbour lies.
// A character and the marks on it come from one font.

import (
	"fmt"
	"image"
	"image/draw"
	"math"
	"slices"
	"unicode"

	"alphaos/console/unifont"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

const (
	advance    = 1229.0 / 2048 // of Go Mono, in em
	lineSpread = 1.36          // line height in em

	maxGlyphs = 8 << 20 // bytes that are kept
)

func emSize(cellW int) float64 { return float64(cellW) / advance }

func lineHeight(cellW int) int { return int(math.Round(emSize(cellW) * lineSpread)) }

type glyphKey struct {
	id   glyphID
	face face
}

type glyphs struct {
	w, h     int
	baseline int
	table    *clusters
	faces    [numFaces]*openFace // parsed when needed
	more     []*Font             // of the drive
	cache    map[glyphKey][2][]byte
	cached   int          // bytes
	missing  [2][2][]byte // the box that stands for what the font lacks, narrow and wide, shared by all of it
	buf      sfnt.Buffer
}

type openFace struct {
	font *sfnt.Font
	face font.Face
}

func newGlyphs(w, h int, t *clusters) (*glyphs, error) {
	g := &glyphs{w: w, h: h, table: t, cache: map[glyphKey][2][]byte{}}
	em := emSize(w)
	// Go Mono rises 0.944 em and falls 0.211 em; the rest of the line is shared between above and below.
	g.baseline = int(math.Round((float64(h)-em*(0.944+0.211))/2 + em*0.944))
	if _, err := g.face(regular); err != nil {
		return nil, err
	}
	return g, nil
}

// use takes the fonts of the drive.
func (g *glyphs) use(more []*Font) {
	if len(more) != len(g.more) {
		g.more, g.cache, g.cached = more, map[glyphKey][2][]byte{}, 0
	}
}

func (g *glyphs) face(i face) (*openFace, error) {
	if g.faces[i] == nil {
		f, err := opentype.Parse([numFaces][]byte{gomono.TTF, gomonobold.TTF, gomonoitalic.TTF}[i])
		if err != nil {
			return nil, fmt.Errorf("console: the built-in font: %w", err)
		}
		of, err := opentype.NewFace(f, &opentype.FaceOptions{Size: emSize(g.w), DPI: 72, Hinting: font.HintingNone})
		if err != nil {
			return nil, fmt.Errorf("console: the built-in font: %w", err)
		}
		g.faces[i] = &openFace{f, of}
	}
	return g.faces[i], nil
}

// glyph returns the coverage of one cell, w by h bytes; trail asks for the right half of a wide character.
func (g *glyphs) glyph(id glyphID, in face, trail bool) []byte {
	key := glyphKey{id, in}
	pair, ok := g.cache[key]
	half := 0
	if trail {
		half = 1
	}
	if !ok || pair[half] == nil {
		pair = g.draw(id, in, trail)
		if g.cached += 2 * g.w * g.h; g.cached > maxGlyphs {
			g.cache, g.cached = map[glyphKey][2][]byte{}, 0
		}
		g.cache[key] = pair
	}
	return pair[half]
}

// draw makes the glyph; a wide one is known by its trail being asked for, which then replaces a
// narrow form that was drawn for the lead, so a lead is drawn wide when the cluster is.
func (g *glyphs) draw(id glyphID, in face, trail bool) [2][]byte {
	switch {
	case id >= glyphBar && id <= glyphBar+barSteps:
		return [2][]byte{g.bar(int(id - glyphBar))}
	case id == glyphCaret:
		return [2][]byte{g.caret()}
	}
	text := g.table.string(id)
	cells := 1
	if trail || textWidth(text) == 2 {
		cells = 2
	}
	return g.drawText([]rune(norm.NFC.String(text)), in, cells)
}

func (g *glyphs) drawText(text []rune, in face, cells int) [2][]byte {
	if cells == 1 {
		if p := g.drawn(text[0], in == bold); p != nil && len(text) == 1 {
			return [2][]byte{p}
		}
	}
	img := image.NewAlpha(image.Rect(0, 0, cells*g.w, g.h))
	text = visible(text)
	if len(text) == 0 || !g.compose(img, text, in) && !g.flag(img, text) && !g.outlined(img, text) && !g.bitmap(img, text, in == bold) {
		if g.missing[cells-1][0] == nil {
			img = image.NewAlpha(img.Rect)
			g.tofu(img)
			g.missing[cells-1] = g.split(img)
		}
		return g.missing[cells-1]
	}
	return g.split(img)
}

// split cuts a picture of one or two cells into cells.
func (g *glyphs) split(img *image.Alpha) (out [2][]byte) {
	cells := img.Rect.Dx() / g.w
	for half := range cells {
		p := make([]byte, 0, g.w*g.h)
		for y := range g.h {
			p = append(p, img.Pix[y*img.Stride+half*g.w:][:g.w]...)
		}
		out[half] = p
	}
	return out
}

// visible leaves out what only says how its neighbours are to look: colours of emoji, colours of skin, variants.
// What joins two of them makes another one, so it stays.
func visible(text []rune) []rune {
	return slices.DeleteFunc(slices.Clone(text), func(r rune) bool {
		return r == 0x200C || r >= 0xFE00 && r <= 0xFE0F || r >= 0x1F3FB && r <= 0x1F3FF && text[0] != r
	})
}

// compose draws the characters of a cluster over each other; false if Go Mono lacks one of them.
func (g *glyphs) compose(img *image.Alpha, text []rune, in face) bool {
	f, err := g.face(in)
	if err != nil {
		return false
	}
	type part struct {
		r      rune
		dy     int
		framed bool
	}
	var parts []part
	for i, r := range text {
		p := part{r: r}
		switch {
		case r == keyCap && i > 0:
			parts[i-1].framed = true
			p.r = ' '
		case i > 0:
			spacing, ok := accents[r]
			if !ok {
				return false
			}
			p.r = spacing
			if unicode.IsUpper(text[0]) || text[0] == 'l' || text[0] == 'b' || text[0] == 'd' || text[0] == 'h' || text[0] == 'k' || text[0] == 't' {
				if p.r != '¸' && p.r != '˛' {
					p.dy = -int(emSize(g.w) * 0.19)
				}
			}
		default:
			p.r, p.framed = framed(r)
		}
		if idx, err := f.font.GlyphIndex(&g.buf, p.r); !blankRune(p.r) && (err != nil || idx == 0) {
			return false
		}
		parts = append(parts, p)
	}
	for _, p := range parts {
		if p.framed {
			g.frame(img)
		}
		if blankRune(p.r) {
			continue
		}
		dot := fixed.Point26_6{X: fixed.I(img.Rect.Dx()-g.w) / 2, Y: fixed.I(g.baseline + p.dy)}
		dr, mask, mp, _, ok := f.face.Glyph(dot, p.r)
		if !ok {
			return false
		}
		draw.DrawMask(img, dr, image.Opaque, image.Point{}, mask, mp, draw.Over)
	}
	return true
}

// flag draws a country's flag, which is two letters in Unicode, as these letters in a frame.
func (g *glyphs) flag(img *image.Alpha, text []rune) bool {
	const a, z = 0x1F1E6, 0x1F1FF
	if len(text) != 2 || img.Rect.Dx() != 2*g.w || text[0] < a || text[0] > z || text[1] < a || text[1] > z {
		return false
	}
	for i, r := range text {
		one := img.SubImage(image.Rect(i*g.w, 0, (i+1)*g.w, g.h)).(*image.Alpha)
		letter := g.drawText([]rune{r - a + 'A'}, bold, 1)[0]
		for y := range g.h {
			copy(one.Pix[y*one.Stride:], letter[y*g.w:(y+1)*g.w])
		}
	}
	g.frame(img)
	return true
}

// bitmap draws the characters of a cluster over each other from the bitmap font, if that has all of them. Its letters
// are as wide as those of Go Mono; what is wider than its cell is made narrower, and lower with it.
func (g *glyphs) bitmap(img *image.Alpha, text []rune, bold bool) bool {
	var sum unifont.Bitmap
	for i, r := range text {
		b, ok := unifont.Find(r)
		switch {
		case !ok, r == 0x200D:
			return false
		case i == 0:
			sum = b
		case b.Wide == sum.Wide:
			sum = sum.Over(b, 0)
		case b.Wide: // the narrow one above the middle of the other
			sum = b.Over(sum, 4)
		default:
			sum = sum.Over(b, 4)
		}
	}
	const tallest = 1.6 // times as high as wide, in pixels
	room, x, y := float64(img.Rect.Dx()), float64(g.w)/8, float64(g.w)/8
	from, to := 0, sum.Width()
	if float64(to)*x > room {
		if from, to = sum.Columns(); from == to {
			return true
		}
		x = min(x, room/float64(to-from))
		y = min(y, tallest*x)
	}
	left := (room - float64(to-from)*x) / 2
	top := float64(g.baseline) - unifont.Baseline*y
	if !unicode.IsLetter(text[0]) { // a sign stays in the middle of the line
		top = float64(g.baseline) - (unifont.Baseline-8)*float64(g.w)/8 - 8*y
	}
	px := func(v float64) int { return int(math.Round(v)) }
	r := image.Rect(px(left), px(top), px(left+float64(to-from)*x), px(top+16*y))
	sum.Draw(img, r, from, to)
	if bold {
		sum.Draw(img, r.Add(image.Pt(max(g.w/14, 1), 0)), from, to)
	}
	return true
}

// tofu draws the box that stands for a character the font does not have.
func (g *glyphs) tofu(img *image.Alpha) {
	t := max(g.w/12, 1)
	em := emSize(g.w)
	x0, x1 := max(g.w/8, 1), img.Rect.Dx()-max(g.w/8, 1)
	y0, y1 := g.baseline-int(em*0.72), g.baseline+t
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			if y < y0+t || y >= y1-t || x < x0+t || x >= x1-t {
				img.Pix[y*img.Stride+x] = 170
			}
		}
	}
}

// bar draws a piece of a progress bar: a slim band, n sixteenths of it full.
func (g *glyphs) bar(n int) []byte {
	p := make([]byte, g.w*g.h)
	th := max(g.h/4, 3)
	y0 := (g.h - th) / 2
	edge := (g.w*n + barSteps/2) / barSteps
	for y := y0; y < y0+th; y++ {
		for x := range g.w {
			if p[y*g.w+x] = 40; x < edge {
				p[y*g.w+x] = 230
			}
		}
	}
	return p
}

// caret draws the mark that follows a running answer.
func (g *glyphs) caret() []byte {
	p := make([]byte, g.w*g.h)
	em := emSize(g.w)
	for y := max(g.baseline-int(em*0.74), 0); y < min(g.baseline+int(em*0.12), g.h); y++ {
		for x := range max(g.w/5, 2) {
			p[y*g.w+x+1] = 170
		}
	}
	return p
}

func blankRune(r rune) bool {
	return r == ' ' || r == 0xA0 || r >= 0x2000 && r <= 0x200B || r == 0x202F || r == 0x205F || r == 0x2060 || r == 0x3000 || r == 0xFEFF
}

// accents gives the spacing form of combining characters.
var accents = map[rune]rune{
	0x0300: '`', 0x0301: '´', 0x0302: 'ˆ', 0x0303: '˜', 0x0304: 'ˉ', 0x0306: '˘', 0x0307: '˙',
	0x0308: '¨', 0x030A: '˚', 0x030B: '˝', 0x030C: 'ˇ', 0x0327: '¸', 0x0328: '˛',
}
