package console

// The script is what the page was made of, as it was given: from it, the page is laid out anew when the text
// changes its size, or an answer is to be seen as it came. It reaches back as far as the page does.

import (
	"slices"
	"strconv"
)

type kind uint8

const (
	textPiece   kind = iota
	codePiece        // how many blocks of code come before the next answer
	answerPiece      // an answer begins: Markdown
	morePiece        // more of it, behind something else
	pausePiece       // something else interrupts it
	turnPiece        // a message begins
	wipePiece        // the screen was cleared
	stepPiece        // a bar of progress
)

type piece struct {
	kind   kind
	style  Style
	indent int
	row    int // where it begins
	text   []byte
	step   *Progress
}

type script struct {
	pieces []piece
	gone   int // pieces at the beginning that are forgotten
}

const maxPiece = 4 << 10 // bytes of text

// add adds what is about to be written to p.
func (s *script) add(p *page, k kind, t string) {
	if n := len(s.pieces); n > s.gone {
		last := &s.pieces[n-1]
		if (k == textPiece && last.kind == textPiece && last.style == p.style && last.indent == p.indent() ||
			k == morePiece && (last.kind == answerPiece || last.kind == morePiece)) && len(last.text) < maxPiece {
			last.text = append(last.text, t...)
			return
		}
	}
	s.pieces = append(s.pieces, piece{kind: k, style: p.style, indent: p.indent(), row: p.end() - 1, text: []byte(t)})
}

// forget forgets the pieces of which no row is kept.
func (s *script) forget(row int) {
	for s.gone+1 < len(s.pieces) && s.pieces[s.gone+1].row < row {
		s.pieces[s.gone] = piece{}
		s.gone++
	}
	if s.gone > len(s.pieces)/2 {
		s.pieces = slices.Delete(s.pieces, 0, s.gone)
		s.gone = 0
	}
}

// newDocument begins an empty page for as many columns as the screen has.
func (c *Console) newDocument(cols int) {
	c.page = newPage(cols, c.o.Scrollback, &c.table)
	c.page.measure = c.measure
	c.page.log = &script{}
	c.md = markdown{p: c.page, raw: c.raw}
	c.turns, c.top = nil, 0
}

// relay lays everything out anew.
func (c *Console) relay(cols int) {
	old, open := c.page, c.md.open
	c.newDocument(cols)
	for _, x := range old.log.pieces[old.log.gone:] {
		c.page.setIndent(x.indent)
		c.page.style = x.style
		switch x.kind {
		case textPiece:
			c.page.write(string(x.text))
		case codePiece:
			c.md.from, _ = strconv.Atoi(string(x.text))
		case answerPiece:
			c.md.begin()
			c.md.write(string(x.text))
		case morePiece:
			c.md.write(string(x.text))
		case pausePiece:
			c.md.pause()
		case turnPiece:
			c.beginMessage()
		case wipePiece:
			c.wipe()
		case stepPiece:
			x.step.begin()
		}
	}
	c.md.open = open
	c.page.setIndent(old.indent())
	c.page.style = old.style
	c.paging = false
}
