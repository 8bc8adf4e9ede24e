package console

// The painter of a terminal emulator, where characters are what is drawn: the same rows and bars as on a frame
// buffer, by the sequences of ECMA-48 that every emulator knows. A terminal and we may disagree about how wide a
// character is, so behind whatever is not plain ASCII the column is named again, and a row is never out of step
// for longer than one character. What a message holds was cleaned long before: no byte of it is a control.

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Terminal is a terminal emulator that a Console may have for its screen.
type Terminal struct {
	W      io.Writer
	Size   func() (cols, rows int) // of all of it, now
	Colour Colour
}

// Colour is what colours a terminal shows.
type Colour uint8

const (
	NoColour  Colour = iota // none: bold, dim, italic and reversed text tell things apart
	Colour256               // xterm's palette
	TrueColour
)

// EnterTerminal is what a terminal is sent before a Console draws on it: another screen than the one with the
// person's shell, and no line that goes on in the next row by itself. LeaveTerminal takes that back.
const (
	EnterTerminal = "\x1b[?1049h\x1b[?7l\x1b[2J"
	LeaveTerminal = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// A terminal smaller than this shows a piece of a screen of this size.
const minTermCols, minTermRows = 20, 5

type ansi struct {
	w             io.Writer
	table         *clusters
	colour        Colour
	width, height int // that there is
	rows          int // of the conversation
	theme         *theme
	sgr           [numStyles]string
	out           strings.Builder
	style         int               // that the terminal writes in; -1: not known
	grounds       [numStyles]string // what a blank looks like
	at            int               // the row of the cursor, times width, and its column; -1: hidden
}

func newTerminalSurface(t *Terminal, table *clusters, th *theme) (*surface, error) {
	a := &ansi{w: t.W, table: table, colour: t.Colour}
	a.width, a.height = t.Size()
	g := grid{max(a.width, minTermCols), max(a.height, minTermRows) - 2}
	a.rows = g.rows
	return newSurfaceOf(a, g, th)
}

func (a *ansi) clear(th *theme) error {
	a.theme, a.style, a.at = th, -1, -2
	for i := range a.sgr {
		a.sgr[i] = a.colour.sgr(Style(i), th)
		a.grounds[i] = a.colour.ground(Style(i), th)
	}
	blank := strings.Repeat(" ", a.width)
	for y := range a.height {
		fmt.Fprintf(&a.out, "\x1b[%dH", y+1)
		if y == 0 || y == a.height-1 {
			a.use(barText)
		} else {
			a.use(Plain)
		}
		a.out.WriteString(blank)
	}
	return a.flush(nil)
}

// line is the row of the terminal that shows a row; -1: none.
func (a *ansi) line(y int) int {
	switch y {
	case a.rows:
		return 0
	case a.rows + 1:
		return a.height - 1
	}
	if y+1 >= a.height-1 {
		return -1
	}
	return y + 1
}

func (a *ansi) use(s Style) {
	if a.style != int(s) {
		a.style = int(s)
		a.out.WriteString(a.sgr[s])
	}
}

func (a *ansi) draw(y int, row []cell, lo, hi int) error {
	line := a.line(y)
	if line < 0 {
		return nil
	}
	for lo > 0 && row[lo].mark&markTrail != 0 {
		lo--
	}
	for hi < len(row) && row[hi].mark&markTrail != 0 {
		hi++
	}
	sure := false
	for x := lo; x < min(hi, a.width); x++ {
		if !sure {
			fmt.Fprintf(&a.out, "\x1b[%d;%dH", line+1, x+1)
		}
		text := a.cell(row, &x)
		sure = len(text) == 1
	}
	return nil
}

// cell writes the cell *x of a row.
func (a *ansi) cell(row []cell, x *int) (text string) {
	if c := row[*x]; c.id != ' ' || a.style < 0 || a.grounds[a.style] != a.grounds[c.style] {
		a.use(c.style)
	}
	text = a.text(row, x)
	a.out.WriteString(text)
	return text
}

// text is what a terminal is sent for the cell *x of a row, and moves *x to the last of its cells.
func (a *ansi) text(row []cell, x *int) string {
	c := row[*x]
	wide := *x+1 < len(row) && row[*x+1].mark&markTrail != 0 && row[*x+1].id == c.id
	switch {
	case c.mark&markTrail != 0: // the other half lies under something else
		return " "
	case c.id >= glyphBar+barSteps/2 && c.id <= glyphBar+barSteps:
		return "━"
	case c.id >= glyphBar && c.id <= glyphBar+barSteps:
		return "─"
	case c.id == glyphCaret:
		return "▏"
	}
	text := a.table.string(c.id)
	if wide {
		*x++
	} else if textWidth(text) == 2 {
		return " "
	}
	return text
}

// flush sends what was drawn as one piece, and puts the cursor where the text is edited.
func (a *ansi) flush(cells []cell) error {
	at := -1
	if a.width > 0 {
		cols := len(cells) / (a.rows + 2)
		for i, c := range cells {
			if line := a.line(i / cols); c.mark&markCursor != 0 && line >= 0 {
				at = line*a.width + min(i%cols, a.width-1)
			}
		}
	}
	if a.out.Len() == 0 && at == a.at {
		return nil
	}
	text := "\x1b[?2026h\x1b[?25l" + a.out.String() // synchronised, where the terminal knows that: nothing flickers
	a.out.Reset()
	if at >= 0 {
		text += fmt.Sprintf("\x1b[%d;%dH\x1b[?25h", at/a.width+1, at%a.width+1)
	}
	a.at = at
	_, err := io.WriteString(a.w, text+"\x1b[?2026l")
	return err
}

// sgr is the sequence that has a terminal write in a style (ECMA-48 8.3.117; xterm's 38 and 48).
func (c Colour) sgr(s Style, th *theme) string {
	l := th.looks[s]
	text := "\x1b[0"
	if c == NoColour {
		return text + attributes[s] + "m"
	}
	switch l.face {
	case bold:
		text += ";1"
	case italic:
		text += ";3"
	}
	for _, x := range []struct {
		what   int
		colour uint32
	}{{38, l.fg}, {48, l.bg}} {
		r, g, b := x.colour>>16, x.colour>>8&255, x.colour&255
		if c == TrueColour {
			text += fmt.Sprintf(";%d;2;%d;%d;%d", x.what, r, g, b)
		} else {
			text += fmt.Sprintf(";%d;5;%d", x.what, nearest256(r, g, b))
		}
	}
	return text + "m"
}

// attributes are what tells styles apart without colours.
var attributes = [numStyles]string{Prompt: ";1", Name: ";1", Dim: ";2", Failure: ";1", Found: ";7", strong: ";1", emphasis: ";3", heading: ";1;4",
	barTitle: ";1;7", barText: ";7", barGood: ";7", barAlert: ";1;7", button: ";1", selected: ";1;7"}

// ground names what a blank of a style looks like.
func (c Colour) ground(s Style, th *theme) string {
	if c == NoColour {
		return strings.NewReplacer(";1", "", ";2", "", ";3", "").Replace(attributes[s])
	}
	return fmt.Sprint(th.looks[s].bg)
}

// nearest256 is the number of the colour in xterm's palette that is nearest, of those that no terminal lets a person
// change: a cube of six steps a side from 16 on, and from 232 on 24 greys.
func nearest256(r, g, b uint32) int {
	steps := [6]uint32{0, 95, 135, 175, 215, 255}
	best, least := 0, uint32(1<<31)
	try := func(n int, x, y, z uint32) {
		square := func(a, b uint32) uint32 { return (a - b) * (a - b) } // unsigned, which comes to the same
		if d := square(r, x) + square(g, y) + square(b, z); d < least {
			best, least = n, d
		}
	}
	for i := range 216 {
		try(16+i, steps[i/36], steps[i/6%6], steps[i%6])
	}
	for i := range 24 {
		grey := uint32(8 + 10*i)
		try(232+i, grey, grey, grey)
	}
	return best
}

// Transcript writes what was said since the beginning, as far as it is kept, as it stood on the screen: for a
// terminal that goes back to what it showed before. It has no colours, since that has a ground of its own.
func (c *Console) Transcript(w io.Writer, styled bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &ansi{table: &c.table, style: int(Plain)}
	for i := range a.sgr {
		if styled {
			a.sgr[i], a.grounds[i] = NoColour.sgr(Style(i), c.theme), NoColour.ground(Style(i), c.theme)
		}
	}
	for _, row := range c.page.lines {
		for len(row) > 0 && row[len(row)-1].id == ' ' {
			row = row[:len(row)-1]
		}
		for x := 0; x < len(row); x++ {
			a.cell(row, &x)
		}
		a.use(Plain)
		a.out.WriteString("\n")
	}
	_, err := io.WriteString(w, strings.TrimRight(a.out.String(), "\n")+"\n")
	return err
}

// Resize lays everything out for the size that the terminal has now.
func (c *Console) Resize() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.surface != nil && c.o.Terminal != nil {
		next, err := c.newSurface(c.size)
		if err == nil {
			err = c.replace(next)
		}
		c.err = errors.Join(c.err, err)
	}
}
