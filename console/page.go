package console

// The page is the document behind the screen: rows of cells, the newest last, the oldest forgotten
// when there are too many. Text is only ever appended. Invariant: no row is wider than cols, a wide
// character is never split between rows, and the last row is where the next character goes. Since
// every row of the past stays as it is, streaming an answer costs the same however long it gets.

import "unicode/utf8"

// cell is one character position. Wide characters take two cells with the same id, the second marked.
type cell struct {
	id    glyphID
	style Style
	mark  uint8
}

const (
	markTrail  = 1 << iota // right half of a wide character
	markCursor             // the text cursor stands here
)

// glyphID names what a cell shows: a Unicode code point, or a number from firstCluster up for a
// cluster of several code points, or one of the console's own drawings.
type glyphID uint32

const (
	firstCluster glyphID = 0x200000
	glyphBar     glyphID = 0x400000 // +0..barSteps: a piece of a progress bar, filled from the left
	glyphCaret   glyphID = 0x400100 // the mark at the end of a running answer
	barSteps             = 16
)

// clusters numbers grapheme clusters of more than one code point.
type clusters struct {
	ids  map[string]glyphID
	text []string
}

const maxClusters = 4096

func (t *clusters) id(s string) glyphID {
	r, n := utf8.DecodeRuneInString(s)
	if n == len(s) {
		return glyphID(r)
	}
	if id, ok := t.ids[s]; ok {
		return id
	}
	if len(s) > maxCluster || len(t.text) >= maxClusters {
		return utf8.RuneError
	}
	if t.ids == nil {
		t.ids = map[string]glyphID{}
	}
	id := firstCluster + glyphID(len(t.text))
	t.ids[s] = id
	t.text = append(t.text, s)
	return id
}

// string gives back the text of id.
func (t *clusters) string(id glyphID) string {
	if id >= firstCluster && int(id-firstCluster) < len(t.text) {
		return t.text[id-firstCluster]
	}
	return string(rune(id))
}

type page struct {
	cols, max int
	clusters  *clusters
	lines     [][]cell
	dropped   int // rows forgotten: lines[i] is row dropped+i since the beginning
	indent    int // where new and continued rows begin
	style     Style
	mark      uint8 // given to the next cell
	fresh     bool  // nothing was written in the last row yet
	full      bool  // the last row is full and a space fell off its end: what follows goes to a new row

	last      string // the cluster at the end of the last row, which the next write may extend
	lastCells int
}

const tabStop = 4

func newPage(cols, max int, t *clusters) *page {
	return &page{cols: cols, max: max, clusters: t, lines: make([][]cell, 1, 64), fresh: true}
}

func (p *page) row() *[]cell { return &p.lines[len(p.lines)-1] }

// end is the number of the row after the last one, counted since the beginning.
func (p *page) end() int { return p.dropped + len(p.lines) }

// newRow begins a row with n blank cells.
func (p *page) newRow(n int) {
	if len(p.lines) >= p.max {
		cut := max(p.max/8, 1)
		n := copy(p.lines, p.lines[cut:])
		clear(p.lines[n:])
		p.lines = p.lines[:n]
		p.dropped += cut
	}
	row := make([]cell, 0, min(p.cols, n+32))
	for range n {
		row = append(row, cell{id: ' '})
	}
	p.lines = append(p.lines, row)
	p.full, p.last = false, ""
}

// setIndent changes the left edge, also of the last row if it is still untouched.
func (p *page) setIndent(n int) {
	p.indent = min(n, p.cols/2)
	if p.fresh {
		row := p.row()
		*row = (*row)[:0]
		for range p.indent {
			*row = append(*row, cell{id: ' '})
		}
	}
}

func (p *page) newline() {
	p.newRow(p.indent)
	p.fresh = true
}

// write appends clean text.
func (p *page) write(s string) {
	if s == "" {
		return
	}
	// A combining character at the start belongs to the cluster before it.
	if p.last != "" && len(p.last) <= maxCluster && (s[0] >= utf8.RuneSelf || p.last[0] >= utf8.RuneSelf) {
		joined := p.last + s
		if c, rest, w := nextCluster(joined); len(c) > len(p.last) {
			row := p.row()
			*row = (*row)[:len(*row)-p.lastCells]
			p.put(c, w)
			s = rest
		}
	}
	for s != "" {
		switch s[0] {
		case '\n':
			p.newline()
			s = s[1:]
		case '\t':
			s = s[1:]
			p.put(" ", 1)
			for (len(*p.row())-p.indent)%tabStop != 0 && !p.full && len(*p.row()) < p.cols {
				p.put(" ", 1)
			}
		default:
			var c string
			var w int
			c, s, w = nextCluster(s)
			p.put(c, w)
		}
	}
}

// put appends one cluster of w cells, moving the word it belongs to down when that grows too long.
func (p *page) put(c string, w int) {
	if w == 0 {
		return // a lone joiner or variation selector shows nothing
	}
	row := p.row()
	if p.full || len(*row)+w > p.cols {
		if c == " " {
			p.full, p.fresh, p.last = true, false, ""
			return // its mark stays for the next cell
		}
		at := len(*row)
		if !p.full && !(w == 2) {
			at = p.wordStart(*row)
		}
		tail := (*row)[at:]
		*row = (*row)[:at]
		p.newRow(p.indent)
		row = p.row()
		*row = append(*row, tail...)
	}
	p.fresh = false
	id := p.clusters.id(c)
	for i := range w {
		m := p.mark
		if i > 0 {
			m |= markTrail
		}
		*row = append(*row, cell{id, p.style, m})
	}
	p.mark = 0
	p.last, p.lastCells = c, w
}

// wordStart finds where the last word of a row begins; the row's end when it has no earlier break.
func (p *page) wordStart(row []cell) int {
	text := p.indent // the first cell that is not blank: a row is never left with its indentation only
	for text < len(row) && row[text].id == ' ' {
		text++
	}
	for i := len(row); i > text; i-- {
		if before := row[i-1]; before.id == ' ' || before.mark&markTrail != 0 {
			return i
		}
	}
	return len(row)
}
