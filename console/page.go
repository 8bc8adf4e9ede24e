package console

// The page is the document behind the screen: rows of cells, the newest last, the oldest forgotten
// when there are too many. Text is appended; only an answer's last line, or table, is taken back to be laid out anew. Invariant: no row is wider than cols, a wide
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
	markTrail     = 1 << iota // right half of a wide character
	markCursor                // the text cursor stands here
	markLeft                  // a letter that is written to the left of the one before it
	markParagraph             // it is in a paragraph of such letters

	marksShown = markTrail | markCursor
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
	measure   int // columns of prose, from its left edge; 0: any
	clusters  *clusters
	lines     [][]cell
	dropped   int    // rows forgotten: lines[i] is row dropped+i since the beginning
	hang      []cell // what new and continued rows begin with
	left      int    // the edge from which prose is measured
	style     Style
	mark      uint8     // given to the next cell
	dir       direction // of the paragraph
	fresh     bool      // nothing was written in the last row yet
	full      bool      // the last row is full and a space fell off its end: what follows goes to a new row
	lead      int       // cells of the last row that its beginning took
	over      int       // cells that the rows begin with that go on with this line; -1: it is still in its first row
	columns   bool      // this line, which is not in its first row any more, stands in columns
	caret     int       // where in the last row the next character would stand; 0: at its end

	last      string // the cluster at the end of the last row, which the next write may extend
	lastCells int

	log   *script // what was written; nil: nobody wants to know
	muted bool    // what is written now stands in the log already
}

const (
	tabStop = 4
	measure = 80 // columns of prose, unless another width is chosen: nobody likes to read much longer lines
)

func newPage(cols, max int, t *clusters) *page {
	return &page{cols: cols, max: max, clusters: t, lines: make([][]cell, 1, 64), fresh: true, over: -1}
}

func (p *page) row() *[]cell { return &p.lines[len(p.lines)-1] }

// end is the number of the row after the last one, counted since the beginning.
func (p *page) end() int { return p.dropped + len(p.lines) }

// newRow begins a row with cells.
func (p *page) newRow(lead []cell) {
	if len(p.lines) >= p.max {
		cut := max(p.max/8, 1)
		n := copy(p.lines, p.lines[cut:])
		clear(p.lines[n:])
		p.lines = p.lines[:n]
		p.dropped += cut
		if p.log != nil {
			p.log.forget(p.dropped)
		}
	}
	row := make([]cell, len(lead), min(p.cols, len(lead)+32))
	copy(row, lead)
	p.lines = append(p.lines, row)
	p.full, p.last, p.lead, p.caret = false, "", len(lead), 0
}

var blanks = func() (b [1 << 10]cell) {
	for i := range b {
		b[i].id = ' '
	}
	return b
}()

func blankCells(n int) []cell { return blanks[:min(n, len(blanks))] }

// indent is how many cells new rows begin with.
func (p *page) indent() int { return len(p.hang) }

// setIndent changes the left edge, also of the last row if it is still untouched.
func (p *page) setIndent(n int) {
	p.left = min(n, p.cols/2)
	p.setHang(blankCells(p.left))
}

// setHang is setIndent with cells that are not blank.
func (p *page) setHang(lead []cell) {
	p.hang = lead
	if p.fresh {
		row := p.row()
		*row = append((*row)[:0], lead...)
		p.lead = len(lead)
	}
}

func (p *page) newline() {
	p.record(textPiece, "\n")
	p.endRow()
}

func (p *page) endRow() {
	p.newRow(p.hang)
	p.fresh, p.over, p.dir = true, -1, undecided
}

// rewind takes back all rows from row on, of which it leaves an untouched one.
func (p *page) rewind(row int) {
	if row = max(row-p.dropped, 0); row < len(p.lines) {
		clear(p.lines[row:])
		p.lines = p.lines[:row]
	}
	p.endRow()
}

// limit is where the last row ends. Prose has its measure, from where it is indented to; what stands in columns, as lists do,
// may use all.
func (p *page) limit() int {
	if p.measure == 0 || p.left+p.measure >= p.cols {
		return p.cols
	}
	from := p.left
	if p.program() {
		at, columns := p.over, p.columns
		if p.over < 0 {
			at, columns = p.column()
		}
		if columns {
			return p.cols
		}
		from = max(from, at)
	}
	return min(from+p.measure, p.cols)
}

// prose is how many columns prose has at the most.
func (p *page) prose() int {
	if p.measure == 0 {
		return measure
	}
	return p.measure
}

// record notes in the log what is about to be written.
func (p *page) record(k kind, s string) {
	if p.log != nil && !p.muted {
		p.log.add(p, k, s)
	}
}

// program tells whether the program itself is writing.
func (p *page) program() bool {
	return p.style == Plain || p.style == Dim || p.style == Notice || p.style == Failure || p.style == Found
}

// column is where the last column of the last row begins, behind a gap of two blanks or more, and whether there is another before it.
func (p *page) column() (at int, columns bool) {
	row := *p.row()
	at = p.lead
	text := false
	for x := p.lead; x < min(len(row), p.cols/2); x++ {
		if row[x].id == ' ' {
			continue
		}
		if x >= p.lead+2 && row[x-1].id == ' ' && row[x-2].id == ' ' {
			at, columns = x, text
		}
		text = true
	}
	return at, columns
}

// write appends clean text.
func (p *page) write(s string) {
	if s == "" {
		return
	}
	p.record(textPiece, s)
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
			p.endRow()
			s = s[1:]
		case '\t':
			s = s[1:]
			p.put(" ", 1)
			for (len(*p.row())-p.indent())%tabStop != 0 && !p.full && len(*p.row()) < p.limit() {
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
	if p.full || len(*row)+w > p.cols || p.measure > 0 && len(*row)+w > p.limit() {
		if c == " " {
			p.full, p.fresh, p.last = true, false, ""
			return // its mark stays for the next cell
		}
		at := len(*row)
		if !p.full && !(w == 2) {
			at = p.wordStart(*row)
		}
		lead := p.hang
		if p.measure > 0 && p.program() {
			if p.over < 0 {
				p.over, p.columns = p.column()
			}
			lead = blankCells(p.over)
		}
		if len(lead)+len(*row)-at+w > p.cols { // the word would not fit there either
			at = len(*row)
		}
		tail := (*row)[at:]
		*row = (*row)[:at]
		p.newRow(lead)
		row = p.row()
		*row = append(*row, tail...)
	}
	p.fresh = false
	id := p.clusters.id(c)
	if p.dir == undecided && p.style != Name && p.style != Prompt {
		p.dir = directionOf(c)
	}
	if leftward(c) {
		p.mark |= markLeft
	}
	if p.dir == toTheLeft {
		p.mark |= markParagraph
	}
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
	text := p.lead // the first cell that is not blank: a row is never left with its indentation only
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
