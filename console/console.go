// Package console is the machine's text terminal: a conversation on a frame buffer, mirrored on a
// serial line, with a line editor that listens to both.
//
// A Console holds a page (rows of cells, the truth about what was said), a surface (what the screen
// shows) and a serial writer. Every operation changes the page under one
// lock, then shows the difference: the surface draws the cells that changed. The screen is never read. Text is cleaned before it reaches either side, so bytes
// in a model's answer can't control a terminal; styles are chosen by method, never by escape bytes.
//
// The conversation has a gutter on the screen: the prompt ("you> ") and the speaker's name
// ("alpha> ") stand in it, and what both say begins in the same column. On the serial line
// everything is plain text with \r\n.
package console

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"
	"sync"
	"time"
)

// Screen is a frame buffer.
type Screen interface {
	Size() (width, height int)
	// Flush shows pixels in rectangle r of the screen: 0x00RRGGBB, rows stride pixels apart, the first one
	// being the top left corner of r.
	Flush(pixels []uint32, stride int, r image.Rectangle) error
}

// ErrInterrupted is returned by ReadLine when the person pressed Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Options says what a Console is made of. At least one of Screen, Terminal and Serial is needed.
type Options struct {
	Screen   Screen     // nil: no frame buffer
	Terminal *Terminal  // in place of a frame buffer; nil: none
	Serial   io.Writer  // nil: none; gets UTF-8 with \r\n
	Cols     int        // of the terminal at the end of the serial line, so that a line being edited stays in one row; 0: not known
	Keys     <-chan Key // nil: nobody types, ReadLine returns io.EOF

	Speaker    string                   // the name that begins an answer; default "alpha> "
	Scrollback int                      // rows kept; default 5000
	Complete   func(line string) string // Tab: the completed form of the text before the cursor; nil: Tab does nothing
	Now        func() time.Time         // default time.Now
	Clock      func() time.Time         // the time that the title bar shows, in the person's zone; nil: none
}

// Console is a terminal. Its methods may be called from any goroutine.
type Console struct {
	reading sync.Mutex // one ReadLine, Ask or Replay at a time

	mu       sync.Mutex
	o        Options
	page     *page
	list     []Suggestion // above the line; empty: none
	choice   int          // which of them; -1: none yet
	suggests func(line string) []Suggestion
	table    clusters
	surface  *surface // nil: no screen (any more)
	fonts    []*Font  // of the drive
	serial   io.Writer
	err      error // why a side was switched off
	clean    cleaner
	md       markdown // the answer
	raw      bool     // answers are shown as they came
	gutter   int
	spoke    bool // something was written since the last prompt

	serialFresh bool   // the serial cursor is at the beginning of a line
	out         []byte // for the serial line, sent by show after the screen is up to date

	edit    *page // the rows being edited, shown after the page; nil: not reading
	editor  *editor
	top     int   // first row that may be shown: what is above was cleared away
	turns   []int // rows where messages begin
	paging  bool
	viewTop int
	want    []cell // as surface.shown
	bars    Bars
	step    *Progress // that goes on; nil: none
	theme   *theme
	size    int   // of the text: an index of textSizes
	measure int   // the width of prose, in cells
	menu    *menu // that is open; nil: none

	queue    []Key
	aside    []Key  // what waits behind a question, for the next ReadLine
	pasting  bool   // and what follows it without a pause
	byLine   bool   // the last one came from a serial line
	ahead    ahead  // what they say, while nothing reads them
	typed    *page  // and its rows, those of thoughts included; nil: none
	thoughts string // that are shown: see Think
	closed   bool
	began    time.Time // the answer, or sending what is to be answered
	wake     chan struct{}
	stops    []*stop
	history  []string
	quit     chan struct{}
	once     sync.Once
}

// New makes a console and shows an empty screen. It fails when there is neither screen nor serial line,
// or when the screen is too small for text.
func New(o Options) (*Console, error) {
	if o.Speaker == "" {
		o.Speaker = "alpha> "
	}
	if o.Scrollback <= 0 {
		o.Scrollback = 5000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Console{o: o, serial: o.Serial, serialFresh: true, wake: make(chan struct{}, 1), quit: make(chan struct{}),
		theme: themes[0], size: normalSize, measure: measure}
	if o.Screen == nil && o.Terminal == nil && o.Serial == nil {
		return nil, errors.New("console: neither a screen nor a serial line was given; give at least one")
	}
	cols, rows := 80, 25
	if o.Screen != nil || o.Terminal != nil {
		s, err := c.newSurface(c.size)
		if err != nil {
			return nil, err
		}
		c.surface, cols, rows = s, s.cols, s.rows
	}
	c.gutter = min(textWidth(o.Speaker), cols/4)
	c.o.Scrollback = max(o.Scrollback, 4*rows)
	c.newDocument(cols)
	if o.Keys != nil {
		go c.pump(o.Keys)
	} else {
		c.closed = true
	}
	if o.Clock != nil && c.surface != nil {
		go c.tick()
	}
	c.show()
	return c, c.err
}

// Close stops listening to keys; a ReadLine that waits returns io.EOF.
func (c *Console) Close() error {
	c.once.Do(func() { close(c.quit) })
	return nil
}

// Err tells why the screen or the serial line was switched off, nil while all is well.
func (c *Console) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Cells gives the size of the screen in characters; 80 by 25 without one.
func (c *Console) Cells() (cols, rows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.surface == nil {
		return c.page.cols, 25
	}
	return c.surface.cols, c.surface.rows
}

// AtScreen tells whether there is a screen, and whoever typed last sits in front of it and not at a serial line.
func (c *Console) AtScreen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.surface != nil && !c.byLine
}

// Style sets the style of what Write shows from now on, until ReadLine returns to Plain.
func (c *Console) Style(s Style) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s < numStyles {
		c.page.style = s
	}
}

// Write shows UTF-8 text; \n ends a line, other control characters are shown in a visible form. It fails
// only when no side is left.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.print(c.clean.clean(p))
	if err := c.show(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// BeginAnswer begins an answer on a line of its own: Options.Speaker stands in the gutter, and what Write
// shows, to the next ReadLine, beside it.
func (c *Console) BeginAnswer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	c.md.open = false
	if !c.page.fresh {
		c.print("\n")
	}
	c.clearance()
	c.spoke = true
	c.sendText(c.o.Speaker)
	c.speak()
	c.show()
}

// CodeFrom says how many blocks of code there were before the next answer, which numbers its own from there on.
func (c *Console) CodeFrom(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.md.from = n
}

// Quiet shows text as dim lines of their own.
func (c *Console) Quiet(text string) { c.line(Dim, text) }

// Marked is Quiet for a line that is made of pieces, of which every second one is Found.
func (c *Console) Marked(pieces ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range pieces {
		pieces[i] = cleanString(pieces[i])
	}
	c.printPieces(Dim, Found, pieces)
	c.show()
}

// Place shows a line of its own that tells where something stands: its mark, such as [1], and the place.
func (c *Console) Place(mark, place string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printPieces(Plain, source, []string{"", cleanString(mark), " " + cleanString(place)})
	c.show()
}

// Notice shows text as lines of their own that ask for attention.
func (c *Console) Notice(text string) { c.line(Notice, text) }

// Error shows text as lines of their own that tell of a failure.
func (c *Console) Error(text string) { c.line(Failure, text) }

func (c *Console) line(s Style, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printLine(s, cleanString(text))
	c.show()
}

// printLine prints clean text on lines of its own.
func (c *Console) printLine(s Style, text string) { c.printPieces(s, s, []string{text}) }

// printPieces is printLine for pieces of a text, of which every second one has another style.
func (c *Console) printPieces(s, other Style, pieces []string) {
	c.settle()
	if !c.page.fresh {
		c.print("\n")
	}
	old := c.page.style
	text := strings.Join(pieces, "")
	c.sendText(strings.TrimSuffix(text, "\n") + "\n")
	for i, piece := range pieces {
		if c.page.style = s; i%2 != 0 {
			c.page.style = other
		}
		c.page.write(piece)
	}
	if !strings.HasSuffix(text, "\n") {
		c.page.write("\n")
	}
	c.spoke = true
	c.page.style = old
}

// settle ends what is unfinished, since something else is to be shown: a character, a line of the answer.
func (c *Console) settle() {
	c.print(c.clean.end())
	if c.md.open && !c.serialFresh {
		c.sendText("\n")
	}
	c.md.pause()
}

// print appends clean text to both sides; the caller shows it.
func (c *Console) print(s string) {
	if s == "" {
		return
	}
	c.spoke = true
	c.sendText(s)
	if c.md.open {
		c.md.write(s)
	} else {
		c.page.write(s)
	}
}

// speak begins an answer on a fresh row of the page.
func (c *Console) speak() {
	c.beginMessage()
	c.page.setIndent(max(c.gutter-textWidth(c.o.Speaker), 0))
	c.page.style = Name
	c.page.write(spoken(c.o.Speaker))
	c.page.setIndent(c.gutter)
	c.page.style = Answer
	c.md.begin()
}

// spoken is the name of whoever has spoken, as it stands in the gutter of the screen: without the mark that asks
// for more.
func spoken(prompt string) string {
	if name, ok := strings.CutSuffix(prompt, "> "); ok {
		return name + "  "
	}
	return prompt
}

// clearance leaves a row blank: each message stands clear of what is above.
func (c *Console) clearance() {
	if n := len(c.page.lines); n > 1 && c.page.end()-1 > c.top && !blank(c.page.lines[n-2]) {
		c.page.newline()
	}
}

// beginMessage notes where a message begins.
func (c *Console) beginMessage() {
	c.page.record(turnPiece, "")
	c.turns = append(c.turns, c.page.end()-1)
}

// Clear begins an empty screen. What was shown stays in the scrollback; the serial line gets a line end
// if it needs one.
func (c *Console) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	c.md.open = false
	c.clear()
	if !c.serialFresh && c.edit == nil {
		c.send("\r\n")
		c.serialFresh = true
	}
	c.show()
}

func (c *Console) clear() {
	if !c.page.fresh {
		c.page.newline()
	}
	c.wipe()
	c.paging = false
	c.spoke = false
}

// wipe has the screen begin with the last row.
func (c *Console) wipe() {
	c.page.record(wipePiece, "")
	c.top = c.page.end() - 1
}

// StopContext returns a context that is cancelled when the person presses Ctrl-C or Esc, or Enter on an
// empty line; a second Enter close behind the one that sent a message is none. Everything else typed
// meanwhile, lines with their ends, waits for ReadLine and is shown dimly below the answer; Ctrl-C and Esc
// drop the lines that wait, as Drop does; PageUp and PageDown scroll. The function ends the watch and must be called.
func (c *Console) StopContext(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	s := &stop{cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stops) == 0 {
		c.began = c.o.Now()
	}
	c.stops = append(c.stops, s)
	c.show()
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := range c.stops {
			if c.stops[i] == s {
				c.stops = append(c.stops[:i], c.stops[i+1:]...)
				c.show()
				break
			}
		}
	}
}

type stop struct{ cancel func() }

// batch is about how many keys of a paste are shown at once.
const batch = 256

// pump is the only reader of the keys: it gives each to the scrollback, the running answer or the queue.
func (c *Console) pump(keys <-chan Key) {
	for {
		select {
		case <-c.quit:
			c.mu.Lock()
			c.closed = true
			c.mu.Unlock()
			c.ring()
			return
		case k, ok := <-keys:
			c.mu.Lock()
			more := func() bool {
				select {
				case k, ok = <-keys:
					return ok
				default:
					return false
				}
			}
			for n := 0; ok; n++ { // a paste is shown in pieces, not key by key
				if c.key(k); n >= batch || !more() {
					break
				}
			}
			if !ok {
				c.closed = true
			}
			c.showAhead()
			c.mu.Unlock()
			c.ring()
			if !ok {
				return
			}
		}
	}
}

func (c *Console) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Console) key(k Key) {
	if k.Code == None && (k.Rune < ' ' || k.Rune == 0x7f) {
		// Some keyboards report Enter or Ctrl-C as characters.
		var ok bool
		if k, ok = ControlKey(k.Rune); !ok {
			return
		}
	}
	c.byLine = k.Line
	now, last, took := c.o.Now(), c.ahead.last, c.ahead.took
	c.ahead.last, c.ahead.took = now, time.Time{}
	if k.Code == Enter && now.Sub(took) < digitEnter {
		return
	}
	if c.menu != nil {
		c.menu.keys = append(c.menu.keys, k)
		return
	}
	c.pasting = c.pasting && k.Code != CtrlC && now.Sub(last) < burst
	if c.readBack(k) {
		return
	}
	switch k.Code {
	case Enter, Esc, CtrlC:
		if k.Code == Enter && k.Quick && c.edit == nil && len(c.queue) > 0 { // an empty line of a paste
			break
		}
		if k.Code == Enter && c.twice(now, last) {
			return
		}
		// Between two answers, too: the person means what is still to come.
		dropped := k.Code != Enter && c.edit == nil && c.drop()
		if len(c.stops) > 0 && !(k.Code == Enter && c.ahead.open()) {
			for _, s := range c.stops {
				s.cancel()
			}
			c.paging = false
			c.show()
			return
		}
		if dropped {
			return
		}
	}
	c.wait(k)
}

// below returns the rows shown below the page: the line being edited, or what was typed ahead.
func (c *Console) below() *page {
	if c.edit == nil && len(c.stops) > 0 {
		return c.typed
	}
	return c.edit
}

// allRows is the number of the row after the last one to show, the edited rows included.
func (c *Console) allRows() int {
	n := c.page.end()
	if below := c.below(); below != nil {
		n += len(below.lines)
		if c.page.fresh {
			n--
		}
	}
	return n
}

// rowAt returns row i, counted since the beginning.
func (c *Console) rowAt(i int) []cell {
	n := c.page.end()
	if below := c.below(); below != nil {
		if c.page.fresh {
			n--
		}
		if i >= n && i-n < len(below.lines) {
			return below.lines[i-n]
		}
	}
	if i < c.page.dropped || i >= n {
		return nil
	}
	return c.page.lines[i-c.page.dropped]
}

// liveTop is the first row shown when the view follows the conversation.
func (c *Console) liveTop() int {
	n := c.allRows()
	top := max(c.top, n-c.surface.rows)
	if c.edit != nil { // a line longer than the screen: stay with the cursor
		for i, row := range c.edit.lines {
			for _, x := range row {
				if at := n - len(c.edit.lines) + i; x.mark&markCursor != 0 && at < top {
					return at
				}
			}
		}
	}
	return top
}

// show brings the screen up to date, then the serial line: who reads "you> " there may trust that it is
// on the screen. A side that fails is switched off and the other one told; the error is returned only
// when no side is left.
func (c *Console) show() error {
	if c.surface != nil {
		c.compose()
		if err := c.surface.show(c.want); err != nil {
			c.surface = nil
			c.err = fmt.Errorf("console: the screen failed and is no longer used: %w", err)
			c.send("\r\nNote: the screen failed and is no longer used.\r\n")
		}
	}
	if c.serial != nil && len(c.out) > 0 {
		out := c.out
		c.out = c.out[:0]
		if _, err := c.serial.Write(out); err != nil {
			c.serial = nil
			c.err = fmt.Errorf("console: the serial line failed and is no longer used: %w", err)
			if c.surface != nil {
				c.printLine(Dim, "Note: the serial line failed and is no longer used.")
				return c.show()
			}
		}
	}
	if c.surface == nil && c.serial == nil {
		return c.err
	}
	return nil
}

// compose lays out the cells to show.
func (c *Console) compose() {
	s := c.surface
	cols := s.cols
	if len(c.want) != len(s.shown) {
		c.want = make([]cell, len(s.shown))
	}
	if c.menu != nil {
		c.layMenu(c.want)
	} else {
		c.layPage(c.want)
	}
	left, right := c.titleBar()
	c.layBar(c.want[s.titleRow()*cols:][:cols], left, right)
	left, right = c.statusBar()
	c.layBar(c.want[s.statusRow()*cols:][:cols], left, right)
}

// layPage lays out what was said, and the line that is being edited.
func (c *Console) layPage(want []cell) {
	s := c.surface
	cols, rows := s.cols, s.rows
	live := c.liveTop()
	if c.paging && c.viewTop >= live {
		c.paging = false
	}
	top := live
	if c.paging {
		c.viewTop = max(c.viewTop, c.page.dropped)
		top = c.viewTop
	}
	caret := -1 // the row of the mark behind an answer that goes on
	if !c.paging && len(c.stops) > 0 && c.edit == nil {
		caret = c.page.end() - 1 - top
	}
	for y := range rows {
		out := want[y*cols : (y+1)*cols]
		n := copy(out, c.rowAt(top+y))
		if y == caret {
			at := n
			if c.page.caret > 0 {
				at = c.page.caret
			}
			if at < cols {
				out[at], n = cell{id: glyphCaret, style: Name}, max(n, at+1)
			}
		}
		marks := uint8(0)
		for x := range out[:n] {
			marks |= out[x].mark
		}
		for x := n; x < cols; x++ {
			out[x] = cell{id: ' '}
		}
		if marks&(markLeft|markParagraph) != 0 {
			n = max(n, min(c.gutter+c.measure, cols))
			c.table.visual(out[:n], n)
		}
		for x := range out[:n] {
			out[x].mark &= marksShown
			if out[x].id == ' ' && out[x].mark&markCursor == 0 && s.theme.looks[out[x].style].bg == s.theme.ground {
				out[x] = cell{id: ' '} // all blanks look alike
			}
		}
	}
	if len(c.list) > 0 && c.edit != nil && !c.paging {
		c.layList(c.allRows() - len(c.edit.lines) - top)
	}
}

// sendText sends clean text to the serial line, around the line being edited if there is one.
func (c *Console) sendText(s string) {
	if c.serial == nil {
		return
	}
	out := strings.ReplaceAll(s, "\n", "\r\n")
	fresh := strings.HasSuffix(s, "\n")
	if c.editor != nil {
		wide := textWidth(c.editor.lead()) + textWidth(c.editor.shown)
		out = "\r" + strings.Repeat(" ", wide) + "\r" + out
		if !fresh {
			out += "\r\n"
		}
		c.send(out)
		c.editor.shown, c.editor.at = "", 0
		c.send(c.editor.lead())
		c.editor.redrawSerial(c)
		c.serialFresh = false
		return
	}
	c.send(out)
	c.serialFresh = fresh
}

// send sends text to the serial line as it is, behind a menu that is open.
func (c *Console) send(s string) {
	switch {
	case c.serial == nil:
	case c.menu != nil:
		c.menu.held = append(c.menu.held, s...)
	default:
		c.out = append(c.out, s...)
	}
}
