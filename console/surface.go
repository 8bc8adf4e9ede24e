package console

// The surface knows what the screen shows: the rows of the conversation, and above and below them the two bars, which
// are as wide as the screen. Invariant between calls: the screen holds the cells in shown, drawn at their places, and
// around them the theme's ground. To show other cells it has those of a row drawn from the first that differs to the
// last. Who draws them is a painter: pixels, below, for a frame buffer, or ansi (ansi.go) for a terminal.
//
// The painter of pixels draws in a band of memory that stays in the processor's cache, and hands the screen that band.
// There is no copy of the whole screen: to copy what scrolled in there would cost more than to draw it again from
// tiles, which are cells with their colours. The screen is written, never read: frame buffers are slow to read.

import (
	"fmt"
	"image"
	"math"
)

type surface struct {
	grid
	theme *theme
	shown []cell
	painter
}

// painter draws cells.
type painter interface {
	// clear leaves nothing on the screen but the theme's ground and that of the bars.
	clear(th *theme) error
	// draw draws the cells of a row from lo up to hi.
	draw(y int, row []cell, lo, hi int) error
	// flush shows what was drawn; cells is all of the surface.
	flush(cells []cell) error
}

// grid is how many cells there are for the conversation.
type grid struct{ cols, rows int }

// The bars are kept behind the conversation's rows.
func (g grid) titleRow() int  { return g.rows }
func (g grid) statusRow() int { return g.rows + 1 }

type pixels struct {
	screen Screen
	geometry
	font    *glyphs
	theme   *theme
	band    []uint32
	tiles   map[cell][]uint32
	used    int // pixels in tiles
	looks   [2 * numStyles]*[256]uint32
	partial [][]uint32 // the tiles of the row that is being drawn
}

// geometry is where things are on a screen, in pixels.
type geometry struct {
	width, height int
	grid
	cellW, cellH int
	left, upper  int // of its first cell
	barH         int
}

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
	p := &pixels{screen: screen, geometry: layout(w, h, size)}
	if p.cols < 20 || p.rows < minRows {
		return nil, fmt.Errorf("console: a screen of %d by %d pixels is too small for text; choose a larger video mode", w, h)
	}
	var err error
	if p.font, err = newGlyphs(p.cellW, p.cellH, t); err != nil {
		return nil, err
	}
	p.band = make([]uint32, w*p.barH)
	return newSurfaceOf(p, p.grid, th)
}

// newSurfaceOf makes a surface that a painter draws.
func newSurfaceOf(p painter, g grid, th *theme) (*surface, error) {
	s := &surface{grid: g, painter: p, shown: make([]cell, g.cols*(g.rows+2))}
	if err := s.dress(th); err != nil {
		return nil, fmt.Errorf("console: drawing on the screen: %w", err)
	}
	return s, nil
}

// dress gives the screen a theme, and nothing on it.
func (s *surface) dress(th *theme) error {
	s.theme = th
	for i := range s.shown {
		s.shown[i] = cell{id: ' '}
		if i/s.cols >= s.rows {
			s.shown[i].style = barText
		}
	}
	return s.clear(th)
}

func (p *pixels) clear(th *theme) error {
	p.theme, p.looks = th, [2 * numStyles]*[256]uint32{}
	p.tiles, p.used = map[cell][]uint32{}, 0
	fill(p.band, th.looks[barText].bg)
	for _, y := range [2]int{0, p.height - p.barH} {
		if err := p.screen.Flush(p.band, p.width, image.Rect(0, y, p.width, y+p.barH)); err != nil {
			return err
		}
	}
	fill(p.band, th.ground)
	for y := p.barH; y < p.height-p.barH; y += p.barH {
		if err := p.screen.Flush(p.band, p.width, image.Rect(0, y, p.width, min(y+p.barH, p.height-p.barH))); err != nil {
			return err
		}
	}
	return nil
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
		if err := s.draw(y, shown, lo, hi); err != nil {
			return err
		}
	}
	return s.flush(s.shown)
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

func (p *pixels) draw(y int, row []cell, lo, hi int) error {
	p.partial = p.partial[:0]
	for _, c := range row[lo:hi] {
		p.partial = append(p.partial, p.tile(c))
	}
	w, n := p.cellW, 0
	for from := 0; from < w*p.cellH; from += w {
		for _, t := range p.partial {
			copy(p.band[n:n+w], t[from:from+w])
			n += w
		}
	}
	width, left, top := (hi-lo)*w, p.left+lo*w, p.rowTop(y)
	return p.screen.Flush(p.band, width, image.Rect(left, top, left+width, top+p.cellH))
}

// flush has nothing to do: each piece was handed to the screen.
func (p *pixels) flush([]cell) error { return nil }

// tile returns the pixels of a cell.
func (p *pixels) tile(c cell) []uint32 {
	if t, ok := p.tiles[c]; ok {
		return t
	}
	t := make([]uint32, p.cellW*p.cellH)
	if p.used += len(t); p.used > maxTiles {
		p.tiles, p.used = map[cell][]uint32{}, len(t)
	}
	p.tiles[c] = t
	colours := p.colours(c)
	if c.id == ' ' {
		fill(t, colours[0])
		return t
	}
	for i, coverage := range p.font.glyph(c.id, p.theme.looks[c.style].face, c.mark&markTrail != 0) {
		t[i] = colours[coverage]
	}
	return t
}

// colours gives the colour of each coverage from 0 (the ground) to 255 in a cell.
func (p *pixels) colours(c cell) *[256]uint32 {
	i, l := int(c.style), p.theme.looks[c.style]
	if c.mark&markCursor != 0 {
		i, l = i+int(numStyles), p.theme.cursor()
	}
	if p.looks[i] == nil {
		p.looks[i] = l.ramp()
	}
	return p.looks[i]
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
