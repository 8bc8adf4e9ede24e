package console

// The surface turns cells into pixels: the rows of the conversation, and above and below them the two bars, which
// are as wide as the screen. For every cell it knows what the screen shows. Invariant between calls: the screen
// holds the cells in shown, drawn at their places, and around them the theme's ground. To show other cells it
// draws those of a row from the first that differs to the last, in a band of memory that stays in the processor's
// cache, and hands the screen that band. There is no copy of the whole screen: to copy what scrolled in there
// would cost more than to draw it again from tiles, which are cells with their colours. The screen is written,
// never read: frame buffers are slow to read.

import (
	"fmt"
	"image"
	"math"
)

type surface struct {
	screen Screen
	geometry
	font    *glyphs
	theme   *theme
	band    []uint32
	tiles   map[cell][]uint32
	used    int // pixels in tiles
	shown   []cell
	looks   [2 * numStyles]*[256]uint32
	partial [][]uint32 // the tiles of the row that is being drawn
}

// geometry is where things are on a screen, in pixels.
type geometry struct {
	width, height int
	cols, rows    int // of the conversation
	cellW, cellH  int
	left, upper   int // of its first cell
	barH          int
}

// The bars are kept behind the conversation's rows.
func (g *geometry) titleRow() int  { return g.rows }
func (g *geometry) statusRow() int { return g.rows + 1 }

// rowTop is where the cells of a row begin.
func (g *geometry) rowTop(y int) int {
	pad := (g.barH - g.cellH) / 2
	switch y {
	case g.titleRow():
		return pad
	case g.statusRow():
		return g.height - g.barH + pad
	}
	return g.upper + y*g.cellH
}

const (
	minCols    = 80
	minCellW   = 5 // below that nobody can read
	comfortW   = 9 // small screens get cells of this width as long as minCols fit
	minRows    = 8
	maxScreenW = 1 << 14

	maxTiles = 4 << 20 // pixels
)

// layout chooses the cell size for a screen: about as many columns as the text size asks for, but on a small
// screen at normal size fewer, down to minCols, and margins.
func layout(width, height, size int) geometry {
	g := geometry{width: width, height: height}
	inner := width - 2*max(width/48, 4)
	g.cellW = inner / textSizes[size].cols
	if g.cellW < comfortW && size == normalSize {
		g.cellW = max(g.cellW, min(comfortW, inner/minCols))
	}
	g.cellW = max(g.cellW, minCellW)
	g.cellH = lineHeight(g.cellW)
	g.cols = inner / g.cellW
	g.barH = g.cellH + 2*max(g.cellH/8, 1)
	between := height - 2*g.barH
	g.rows = (between - g.cellH/2) / g.cellH
	g.left = (width - g.cols*g.cellW) / 2
	g.upper = g.barH + (between-g.rows*g.cellH)/2
	return g
}

func newSurface(screen Screen, t *clusters, th *theme, size int) (*surface, error) {
	w, h := screen.Size()
	if w <= 0 || h <= 0 || w > maxScreenW || h > maxScreenW {
		return nil, fmt.Errorf("console: the screen reports an impossible size of %d by %d pixels; choose another video mode", w, h)
	}
	s := &surface{screen: screen, geometry: layout(w, h, size)}
	if s.cols < 20 || s.rows < minRows {
		return nil, fmt.Errorf("console: a screen of %d by %d pixels is too small for text; choose a larger video mode", w, h)
	}
	var err error
	if s.font, err = newGlyphs(s.cellW, s.cellH, t); err != nil {
		return nil, err
	}
	s.band = make([]uint32, w*s.barH)
	s.shown = make([]cell, s.cols*(s.rows+2))
	if err := s.dress(th); err != nil {
		return nil, fmt.Errorf("console: drawing on the screen: %w", err)
	}
	return s, nil
}

// dress gives the screen a theme, and nothing on it.
func (s *surface) dress(th *theme) error {
	s.theme, s.looks = th, [2 * numStyles]*[256]uint32{}
	s.tiles, s.used = map[cell][]uint32{}, 0
	for i := range s.shown {
		s.shown[i] = s.blank(i / s.cols)
	}
	fill(s.band, th.looks[barText].bg)
	for _, y := range [2]int{0, s.height - s.barH} {
		if err := s.screen.Flush(s.band, s.width, image.Rect(0, y, s.width, y+s.barH)); err != nil {
			return err
		}
	}
	fill(s.band, th.ground)
	for y := s.barH; y < s.height-s.barH; y += s.barH {
		if err := s.screen.Flush(s.band, s.width, image.Rect(0, y, s.width, min(y+s.barH, s.height-s.barH))); err != nil {
			return err
		}
	}
	return nil
}

// blank is an empty cell of a row.
func (s *surface) blank(y int) cell {
	if y >= s.rows {
		return cell{id: ' ', style: barText}
	}
	return cell{id: ' '}
}

// fill sets every pixel by doubling copies, which is as fast as the memory.
func fill(p []uint32, colour uint32) {
	if len(p) == 0 {
		return
	}
	p[0] = colour
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// show makes the screen show cells, the bars' last.
func (s *surface) show(cells []cell) error {
	for y := range s.rows + 2 {
		want, shown := cells[y*s.cols:(y+1)*s.cols], s.shown[y*s.cols:(y+1)*s.cols]
		lo, hi := diff(want, shown)
		if lo == hi {
			continue
		}
		copy(shown[lo:hi], want[lo:hi])
		if err := s.draw(shown[lo:hi], s.left+lo*s.cellW, s.rowTop(y)); err != nil {
			return err
		}
	}
	return nil
}

// diff finds the cells, from lo up to hi, in which two rows differ.
func diff(a, b []cell) (lo, hi int) {
	b = b[:len(a)]
	hi = len(a)
	for lo < hi && a[lo] == b[lo] {
		lo++
	}
	for hi > lo && a[hi-1] == b[hi-1] {
		hi--
	}
	return lo, hi
}

// draw draws cells beside each other on the screen, from the pixel x, y.
func (s *surface) draw(cells []cell, x, y int) error {
	s.partial = s.partial[:0]
	for _, c := range cells {
		s.partial = append(s.partial, s.tile(c))
	}
	w, p := s.cellW, 0
	for from := 0; from < w*s.cellH; from += w {
		for _, t := range s.partial {
			copy(s.band[p:p+w], t[from:from+w])
			p += w
		}
	}
	width := len(cells) * w
	return s.screen.Flush(s.band, width, image.Rect(x, y, x+width, y+s.cellH))
}

// tile returns the pixels of a cell.
func (s *surface) tile(c cell) []uint32 {
	if t, ok := s.tiles[c]; ok {
		return t
	}
	t := make([]uint32, s.cellW*s.cellH)
	if s.used += len(t); s.used > maxTiles {
		s.tiles, s.used = map[cell][]uint32{}, len(t)
	}
	s.tiles[c] = t
	colours := s.colours(c)
	if c.id == ' ' {
		fill(t, colours[0])
		return t
	}
	for i, coverage := range s.font.glyph(c.id, s.theme.looks[c.style].face, c.mark&markTrail != 0) {
		t[i] = colours[coverage]
	}
	return t
}

// colours gives the colour of each coverage from 0 (the ground) to 255 in a cell.
func (s *surface) colours(c cell) *[256]uint32 {
	i, l := int(c.style), s.theme.looks[c.style]
	if c.mark&markCursor != 0 {
		i, l = i+int(numStyles), s.theme.cursor()
	}
	if s.looks[i] == nil {
		s.looks[i] = l.ramp()
	}
	return s.looks[i]
}

// ramp blends a look's two colours.
func (l look) ramp() *[256]uint32 {
	r := new([256]uint32)
	gamma := 1.0
	if luminance(l.fg) > luminance(l.bg) { // light text on a dark ground looks thin when blended in sRGB
		gamma = 1 / 1.25
	}
	for i := range r {
		cov := uint32(math.Round(255 * math.Pow(float64(i)/255, gamma)))
		for shift := 0; shift < 24; shift += 8 {
			b, f := l.bg>>shift&255, l.fg>>shift&255
			r[i] |= ((b*(255-cov) + f*cov + 127) / 255) << shift
		}
	}
	return r
}

// luminance is the relative luminance of a colour, from 0 to 1 (WCAG 2.2).
func luminance(colour uint32) float64 {
	channel := func(shift int) float64 {
		v := float64(colour>>shift&255) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
