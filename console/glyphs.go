package console

// Glyphs: what a cell looks like, as 8-bit coverage. A glyph is rasterised from Go Mono when it is first
// shown and kept; the font is scaled so that its advance is exactly one cell. Go Mono has no
// box-drawing characters of our line height, so those and the block elements are drawn here and
// meet at the cell edges, and so are some signs (signs.go). Other characters that it lacks borrow a near
// relative if that says the same, combining accents borrow their spacing forms, and everything else is a
// visible empty box, one cell or two: a box says that something is missing, a wrong neighbour lies.

import (
	"fmt"
	"image"
	"image/draw"
	"math"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

const (
	advance    = 1229.0 / 2048 // of Go Mono, in em
	lineSpread = 1.36          // line height in em
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
	cache    map[glyphKey][2][]byte
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
	text := []rune(g.table.string(id))
	cells := 1
	if trail || textWidth(string(text)) == 2 {
		cells = 2
	}
	if cells == 1 {
		if p := g.drawn(text[0], in == bold); p != nil && len(text) == 1 {
			return [2][]byte{p}
		}
	}
	img := image.NewAlpha(image.Rect(0, 0, cells*g.w, g.h))
	if !g.compose(img, text, in) {
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

// compose draws the characters of a cluster over each other; false if one of them can't be shown.
func (g *glyphs) compose(img *image.Alpha, text []rune, in face) bool {
	f, err := g.face(in)
	if err != nil {
		return false
	}
	base := text[0]
	for i, r := range text {
		if r == keyCap && i > 0 {
			g.frame(img)
			continue
		}
		if i > 0 && (r == 0x200C || r == 0x200D || r >= 0xFE00 && r <= 0xFE0F) {
			continue // joiners and variation selectors
		}
		if blankRune(r) {
			continue
		}
		if digit, ok := framed(r); ok {
			g.frame(img)
			r = digit
		}
		dy := 0
		if i > 0 {
			spacing, ok := accents[r]
			if !ok {
				return false
			}
			r = spacing
			if unicode.IsUpper(base) || base == 'l' || base == 'b' || base == 'd' || base == 'h' || base == 'k' || base == 't' {
				if r != '¸' && r != '˛' {
					dy = -int(emSize(g.w) * 0.19)
				}
			}
		}
		idx, err := f.font.GlyphIndex(&g.buf, r)
		if err != nil || idx == 0 {
			alt, ok := substitute(r)
			if !ok {
				return false
			}
			if p := g.drawn(alt, in == bold); p != nil {
				x0 := (img.Rect.Dx() - g.w) / 2
				for y := range g.h {
					copy(img.Pix[y*img.Stride+x0:], p[y*g.w:(y+1)*g.w])
				}
				continue
			}
			r = alt
		}
		dot := fixed.Point26_6{X: fixed.I(img.Rect.Dx()-g.w) / 2, Y: fixed.I(g.baseline + dy)}
		dr, mask, mp, _, ok := f.face.Glyph(dot, r)
		if !ok {
			return false
		}
		draw.DrawMask(img, dr, image.Opaque, image.Point{}, mask, mp, draw.Over)
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

// substitute gives a character in the font (or drawn here) that can stand for r: one that looks much the
// same and says the same. A character that is drawn here stands for itself.
func substitute(r rune) (rune, bool) {
	switch {
	case r >= 0xFF01 && r <= 0xFF5E: // full-width forms
		return r - 0xFF01 + '!', true
	case signs[r].strokes != nil:
		return r, true
	}
	s, ok := substitutes[r]
	return s, ok
}

// Not here, since nothing in the font says the same: ♩ beside ♪, faces with other feelings than ☺ and ☹,
// broken hearts.
var substitutes = map[rune]rune{
	'\u2010': '-', '\u2011': '-', '\u2012': '–', '\u2016': '║', '\u201F': '“', '\u2023': '►', '\u2024': '.',
	'\u2035': '`', '\u2043': '-', '\u2053': '~', '\u02BC': '’', '\u02B9': '′', '\uFE0E': ' ',
	'⟵': '←', '⟶': '→', '⟷': '↔', '⟹': '⇒', '⟸': '⇐', '⟺': '⇔',
	'➜': '→', '➔': '→', '➞': '→', '➡': '→', '⬅': '←', '⬆': '↑', '⬇': '↓', '↩': '↵', '⏎': '↵',
	'▶': '►', '▸': '►', '▹': '▷', '➤': '►', '◀': '◄', '◂': '◄', '◃': '◁', '▾': '▼', '▿': '∇', '▽': '∇', '▴': '▲', '▵': '△',
	'✔': '✓', '✅': '✓', '☑': '✓', '✘': '✗', '❌': '✗', '✕': '×', '✖': '×', '❎': '☒', '☐': '□',
	'⭐': '★', '✱': '*', '✦': '*', '✨': '*', '∗': '*', '⋆': '*',
	'⋅': '·', '∘': '◦', '⚫': '●', '⚪': '○', '◯': '○', '◼': '■', '◾': '■', '◻': '□', '◽': '□', '◆': '♦', '◇': '◊',
	'∼': '~', '∣': '|', '∥': '║', '∖': '\\', '−': '-', '∶': ':', '∅': 'Ø', '∆': 'Δ', '⟨': '‹', '⟩': '›', '〈': '‹', '〉': '›',
	'ℓ': 'l', '⁄': '/', '，': ',', '。': '.', '、': ',', '「': '‘', '」': '’',
	'❤': '♥', '♡': '♥', '💙': '♥', '💚': '♥', '💛': '♥', '💜': '♥', '☀': '☼', '🎵': '♪', '🎶': '♫',
	'🙂': '☺', '😀': '☺', '😃': '☺', '😄': '☺', '😊': '☺', '🙁': '☹',
	'◉': '●', '╱': '/', '╲': '\\', '╳': 'X', '⎯': '─', '❝': '“', '❞': '”', '❛': '‘', '❜': '’',
}
