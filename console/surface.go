package console

// The surface turns cells into pixels. It keeps a shadow of the screen in memory and, for every cell,
// what the shadow shows. Invariant between calls: the screen holds the shadow, and the shadow holds the
// cells in shown, drawn at their places on the background. To show other cells it moves what only
// scrolled, paints what differs, and flushes rectangles around the cells whose picture changed, a few
// large ones rather than many small ones. The screen is written, never read: frame buffers are slow to read.

import (
	"fmt"
	"image"
)

type surface struct {
	screen        Screen
	width, height int
	cols, rows    int
	cellW, cellH  int
	left, upper   int // of the first cell, in pixels
	font          *glyphs
	shadow        []uint32
	shown         []cell
	top           int // document row shown first
	spans         []span
	rects         []image.Rectangle
	ramps         [2 * numStyles]*[256]uint32
}

// span is the columns lo up to hi of a row.
type span struct{ lo, hi int }

const (
	minCols    = 80
	wantCols   = 104
	minCellW   = 5 // below that nobody can read
	comfortW   = 9 // small screens get cells of this width as long as minCols fit
	minRows    = 8
	maxScreenW = 1 << 14
)

// layout chooses the cell size for a screen: about wantCols columns on a large one, fewer but
// still minCols on a small one, and margins.
func layout(width, height int) (cellW, cellH, cols, rows int) {
	margin := max(width/48, 4)
	inner := width - 2*margin
	cellW = inner / wantCols
	if cellW < comfortW {
		cellW = max(cellW, min(comfortW, inner/minCols))
	}
	cellW = max(cellW, minCellW)
	cellH = lineHeight(cellW)
	cols = inner / cellW
	rows = (height - 2*max(height/64, 4)) / cellH
	return
}

func newSurface(screen Screen, t *clusters) (*surface, error) {
	w, h := screen.Size()
	if w <= 0 || h <= 0 || w > maxScreenW || h > maxScreenW {
		return nil, fmt.Errorf("console: the screen reports an impossible size of %d by %d pixels; choose another video mode", w, h)
	}
	s := &surface{screen: screen, width: w, height: h}
	s.cellW, s.cellH, s.cols, s.rows = layout(w, h)
	if s.cols < 20 || s.rows < minRows {
		return nil, fmt.Errorf("console: a screen of %d by %d pixels is too small for text; choose a larger video mode", w, h)
	}
	s.left = (w - s.cols*s.cellW) / 2
	s.upper = (h - s.rows*s.cellH) / 2
	var err error
	if s.font, err = newGlyphs(s.cellW, s.cellH, t); err != nil {
		return nil, err
	}
	s.shadow = make([]uint32, w*h)
	fill(s.shadow, background)
	s.shown = make([]cell, s.cols*s.rows)
	for i := range s.shown {
		s.shown[i].id = ' '
	}
	s.spans = make([]span, s.rows)
	if err := screen.Flush(s.shadow, w, image.Rect(0, 0, w, h)); err != nil {
		return nil, fmt.Errorf("console: drawing on the screen: %w", err)
	}
	return s, nil
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

// show makes the screen show cells, whose first row is document row top.
func (s *surface) show(cells []cell, top int) error {
	changed := false
	for y := range s.rows {
		s.spans[y] = diff(cells[y*s.cols:(y+1)*s.cols], s.shown[y*s.cols:(y+1)*s.cols])
		changed = changed || s.spans[y].hi > 0
	}
	shift := top - s.top
	s.top = top
	if !changed {
		return nil
	}
	s.scroll(shift)
	for y := range s.rows {
		sp := s.spans[y]
		for x := sp.lo; x < sp.hi; x++ {
			if i := y*s.cols + x; cells[i] != s.shown[i] {
				s.shown[i] = cells[i]
				s.paint(x, y, cells[i])
			}
		}
	}
	return s.flush()
}

func diff(a, b []cell) span {
	b = b[:len(a)]
	lo, hi := 0, len(a)
	for lo < hi && a[lo] == b[lo] {
		lo++
	}
	for hi > lo && a[hi-1] == b[hi-1] {
		hi--
	}
	if lo == hi {
		return span{}
	}
	return span{lo, hi}
}

// scroll moves the picture up by n rows (down if negative), in the shadow only: every row takes
// over the columns in which the row n further down differs from it.
func (s *surface) scroll(n int) {
	if n == 0 || n >= s.rows || -n >= s.rows {
		return
	}
	move := func(y int) {
		to, from := s.shown[y*s.cols:(y+1)*s.cols], s.shown[(y+n)*s.cols:(y+n+1)*s.cols]
		sp := diff(to, from)
		if sp.hi == 0 {
			return
		}
		copy(to[sp.lo:sp.hi], from[sp.lo:sp.hi])
		x, w := s.left+sp.lo*s.cellW, (sp.hi-sp.lo)*s.cellW
		p := (s.upper+y*s.cellH)*s.width + x
		q := p + n*s.cellH*s.width
		for range s.cellH {
			copy(s.shadow[p:p+w], s.shadow[q:q+w])
			p += s.width
			q += s.width
		}
		// What moved here may have to be repainted where the final picture does not differ from the
		// old one: widen the span that show looks at.
		if c := &s.spans[y]; c.hi == 0 {
			*c = sp
		} else {
			c.lo, c.hi = min(c.lo, sp.lo), max(c.hi, sp.hi)
		}
	}
	if n > 0 {
		for y := 0; y < s.rows-n; y++ {
			move(y)
		}
	} else {
		for y := s.rows - 1; y >= -n; y-- {
			move(y)
		}
	}
}

// flush hands the changed spans to the screen, joining neighbours when that adds little.
func (s *surface) flush() error {
	rects := s.rects[:0]
	for y, sp := range s.spans {
		if sp.hi == 0 {
			continue
		}
		r := image.Rect(s.left+sp.lo*s.cellW, s.upper+y*s.cellH, s.left+sp.hi*s.cellW, s.upper+(y+1)*s.cellH)
		if n := len(rects); n > 0 {
			u := rects[n-1].Union(r)
			if area(u) <= (area(rects[n-1])+area(r))*5/4+64*s.cellW*s.cellH/8 {
				rects[n-1] = u
				continue
			}
		}
		rects = append(rects, r)
	}
	s.rects = rects
	for _, r := range rects {
		if err := s.screen.Flush(s.shadow, s.width, r); err != nil {
			return err
		}
	}
	return nil
}

func area(r image.Rectangle) int { return r.Dx() * r.Dy() }

// paint draws one cell into the shadow.
func (s *surface) paint(x, y int, c cell) {
	ramp := s.ramp(c)
	p := (s.upper+y*s.cellH)*s.width + s.left + x*s.cellW
	if c.id == ' ' {
		for range s.cellH {
			row := s.shadow[p : p+s.cellW]
			for i := range row {
				row[i] = ramp[0]
			}
			p += s.width
		}
		return
	}
	g := s.font.glyph(c.id, theme[c.style].bold, c.mark&markTrail != 0)
	for range s.cellH {
		row := s.shadow[p : p+s.cellW]
		src := g[:len(row)]
		g = g[s.cellW:]
		for i, cov := range src {
			row[i] = ramp[cov]
		}
		p += s.width
	}
}

// ramp gives the colour of each coverage from 0 (background) to 255.
func (s *surface) ramp(c cell) *[256]uint32 {
	i := int(c.style)
	bg, fg := uint32(background), theme[c.style].colour
	if c.mark&markCursor != 0 {
		i += int(numStyles)
		bg, fg = cursorColour, background
	}
	if s.ramps[i] == nil {
		s.ramps[i] = newRamp(bg, fg)
	}
	return s.ramps[i]
}

func newRamp(bg, fg uint32) *[256]uint32 {
	r := new([256]uint32)
	for cov := range uint32(256) {
		var out uint32
		for shift := 0; shift < 24; shift += 8 {
			b, f := bg>>shift&255, fg>>shift&255
			out |= ((b*(255-cov) + f*cov + 127) / 255) << shift
		}
		r[cov] = out
	}
	return r
}
