package console

// The line editor. Its truth is a string and a byte position that always lies between grapheme
// clusters; after each batch of keys the screen's rows are laid out anew by a page of their own (so a
// line wraps exactly as text does) and the serial line gets the shortest change: the common beginning
// is kept, the rest rewritten. Only \b, \r and spaces are used, so any terminal will do.
//
// A message may have several lines: Enter goes on in the next one behind a backslash, or from """ to """, and in
// the midst of what is pasted. A serial line shows them one below the other, and the one with the cursor last.

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// maxInput bounds a line, in bytes.
const maxInput = 32 << 10

type editor struct {
	prompt string
	gutter int
	text   string
	pos    int
	over   bool    // more was typed than fits, which was told
	asked  bool    // this is the answer to a question
	secret *[]byte // what is typed, where the text has a star for each character of it; nil for what may be seen

	leaving bool // Ctrl-D was pressed

	hist  int    // index into the history; len(history) is the line being written
	draft string // that line, while an older one is shown

	head  string // the lines that the serial line shows above the last one
	shown string // what it shows there after the prompt
	at    int    // the column of its cursor after the prompt
}

const (
	quotes = `"""`
	goesOn = "... " // the prompt of a further line
)

// ReadLine shows prompt and returns the message the person types, without its end, as valid UTF-8: usually a line. It
// returns ErrInterrupted on Ctrl-C and io.EOF on Ctrl-D in an empty line or when there are no more keys.
func (c *Console) ReadLine(prompt string) (string, error) { return c.read(prompt, false) }

// Ask is ReadLine for the answer to a question. What was typed or pasted before it was asked is not taken
// for the answer, nor is the rest of a paste that still comes in: it waits for the next ReadLine.
func (c *Console) Ask(question string) (string, error) { return c.read(question, true) }

// AskSecret is Ask for what nobody is to see: a star is shown for each character, and nothing of it is kept. The caller
// clears what it returns.
func (c *Console) AskSecret(question string) ([]byte, error) {
	secret := make([]byte, 0, maxInput) // never moved, so that no copy is left behind
	_, err := c.readInto(question, true, &secret)
	if err != nil {
		clear(secret)
		return nil, err
	}
	return secret, nil
}

func (c *Console) read(prompt string, aside bool) (string, error) {
	return c.readInto(prompt, aside, nil)
}

func (c *Console) readInto(prompt string, aside bool, secret *[]byte) (string, error) {
	c.reading.Lock()
	defer c.reading.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	c.next(aside)
	c.settle()
	c.md.open = false
	e := c.beginTurn(prompt)
	if !c.serialFresh {
		c.send("\r\n")
	}
	c.send(e.prompt)
	c.serialFresh = e.prompt == ""
	e.asked, e.secret = aside, secret
	c.editor = e
	for {
		done, err := false, error(nil)
		for len(c.queue) > 0 && !done {
			if c.mayGoOn(e) {
				break
			}
			k := c.queue[0]
			c.queue[0] = Key{}
			c.queue = c.queue[1:]
			c.paging = false
			if k.Code == Enter && k.Quick && len(c.queue) > 0 && c.queue[0].Quick && !e.asked && !strings.HasPrefix(e.text, "/") {
				k = Key{Rune: '\n'} // a line of a paste
			}
			done, err = e.key(c, k)
			c.suggest(e)
		}
		if !done && c.closed {
			done, err = true, io.EOF
		}
		if done {
			e.pos = len(e.text)
		}
		c.layEdit(e, !done)
		e.redrawSerial(c)
		if done {
			if last := e.text[strings.LastIndexByte(e.text, '\n')+1:]; c.o.Cols > 0 && last != e.shown {
				c.send("\r" + e.lead() + last) // all of it, since nobody edits it any more
			}
			return c.finish(e, err)
		}
		c.show()

		var gap <-chan time.Time
		if c.mayGoOn(e) {
			gap = time.After(3 * pasteGap) // a busy machine hands keys over late
		}
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-gap:
		}
		c.mu.Lock()
		if gap != nil && len(c.queue) == 1 {
			c.queue[0].Quick = false
		}
	}
}

// mayGoOn tells whether an Enter came so close behind another key that more of a paste may follow.
func (c *Console) mayGoOn(e *editor) bool {
	return len(c.queue) == 1 && c.queue[0].Code == Enter && c.queue[0].Quick && !c.closed && !e.asked
}

// layEdit lays out the line that is being edited.
func (c *Console) layEdit(e *editor, cursor bool) {
	c.edit = newPage(c.page.cols, 1<<30, &c.table)
	c.edit.measure = c.measure
	e.layout(c.edit, e.prompt, cursor)
}

// Replay shows a line that was typed earlier behind prompt, as it looked then. note, unless it is empty, tells
// what became of it.
func (c *Console) Replay(prompt, text, note string) {
	c.replay(prompt, text, note, func(text string) {
		e := c.beginTurn(prompt)
		e.text, e.pos = text, len(text)
		c.layLine(e)
	})
}

// ReplayAnswer is Replay for an answer.
func (c *Console) ReplayAnswer(text, note string) {
	c.replay(c.o.Speaker, text, note, func(text string) {
		if !c.page.fresh {
			c.page.newline()
		}
		c.clearance()
		c.speak()
		c.md.write(text)
		c.md.pause()
		c.md.open = false
	})
}

// replay lays text into the page. On the serial line a name with a colon takes the place of a prompt: whoever
// reads a prompt there may type.
func (c *Console) replay(who, text, note string, lay func(text string)) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	text = cleanString(text)
	c.settle()
	c.md.open = false
	lay(text)
	if !c.page.fresh {
		c.page.newline()
	}
	if !c.serialFresh {
		c.send("\r\n")
	}
	name := strings.TrimRight(cleanString(who), "> ")
	c.send(strings.ReplaceAll("  "+name+": "+text+"\n", "\n", "\r\n"))
	if note != "" {
		c.page.style = Dim
		c.page.write(cleanString(note))
		c.page.newline()
		c.send("  " + cleanString(note) + "\r\n")
	}
	c.page.style = Plain
	c.page.setIndent(0)
	c.serialFresh, c.spoke = true, true
	c.show()
}

// beginTurn puts the prompt on a line of its own.
func (c *Console) beginTurn(prompt string) *editor {
	e := &editor{prompt: cleanString(prompt), gutter: c.gutter, hist: len(c.history)}
	if !c.page.fresh {
		c.page.newline()
	}
	c.page.style = Plain
	c.page.setIndent(0)
	if c.spoke {
		c.clearance()
	}
	c.spoke = false
	return e
}

// layLine moves the line into the page.
func (c *Console) layLine(e *editor) {
	if !c.page.fresh {
		c.page.newline()
	}
	c.beginMessage()
	e.layout(c.page, spoken(e.prompt), false)
}

// endTurn moves the line into the page and ends it on both sides.
func (c *Console) endTurn(e *editor, mark string) {
	c.layLine(e)
	c.page.style = Dim
	c.page.write(mark)
	c.send(mark + "\r\n")
	c.serialFresh = true
	c.page.style = Plain
	c.page.setIndent(0)
	c.page.newline()
	c.show()
}

// finish ends ReadLine.
func (c *Console) finish(e *editor, err error) (string, error) {
	c.edit, c.editor, c.list = nil, nil, nil
	if len(c.aside) > 0 {
		c.queue = append(c.aside, c.queue...)
	}
	c.aside, c.pasting = nil, false
	c.later()
	if err == nil && e.text != "" {
		c.began = c.o.Now()
	}
	mark := ""
	if err == ErrInterrupted {
		mark = "^C"
	}
	if err == nil && e.text != "" && e.secret == nil && (len(c.history) == 0 || c.history[len(c.history)-1] != e.text) {
		c.addHistory(e.text)
	}
	c.endTurn(e, mark)
	if err != nil {
		return "", err
	}
	return unquote(e.text), nil
}

// quoted tells whether the message began with three quotes, and did not end with them yet.
func (e *editor) quoted() bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(e.text, " "), quotes)
	return ok && !strings.Contains(rest, quotes)
}

// unquote takes the quotes away from a message that stood in them.
func unquote(s string) string {
	rest, ok := strings.CutPrefix(strings.TrimLeft(s, " "), quotes)
	if !ok {
		return s
	}
	text, more, ok := strings.Cut(rest, quotes)
	if !ok {
		return s
	}
	return strings.Trim(text, "\n") + more
}

const maxHistory = 500

func (c *Console) addHistory(line string) {
	if len(c.history) >= maxHistory {
		c.history = append(c.history[:0], c.history[1:]...)
	}
	c.history = append(c.history, line)
}

// AddHistory makes lines available to the Up key, the last one nearest.
func (c *Console) AddHistory(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range lines {
		if l = cleanString(l); l != "" {
			c.addHistory(l)
		}
	}
}

func blank(row []cell) bool {
	for _, x := range row {
		if x.id != ' ' {
			return false
		}
	}
	return true
}

// layout writes prompt and text to p, marking the cursor's cell if asked.
func (e *editor) layout(p *page, prompt string, cursor bool) {
	w := textWidth(prompt)
	edge := max(e.gutter, w)
	if edge > p.cols/3 {
		edge = w
	}
	p.setIndent(edge - w)
	p.style = Prompt
	p.write(prompt)
	p.setIndent(edge)
	p.last = "" // the prompt and the text don't combine
	p.style = Input
	p.write(e.text[:e.pos])
	if !cursor {
		p.write(e.text[e.pos:])
		return
	}
	p.last = ""
	p.mark = markCursor
	if rest := e.text[e.pos:]; !strings.HasPrefix(rest, "\n") {
		p.write(rest)
	}
	if p.mark != 0 { // at the end of a line: a blank cell to stand on
		if p.full || len(*p.row()) >= p.limit() {
			p.newRow(p.hang)
		}
		*p.row() = append(*p.row(), cell{' ', Input, markCursor})
		p.mark, p.fresh = 0, false
		if rest := e.text[e.pos:]; strings.HasPrefix(rest, "\n") {
			p.write(rest)
		}
	}
}

// spots lists where in p, as layout laid it out without a cursor, each byte position of the text stands at which
// a cluster begins, and its end.
func (e *editor) spots(p *page) (list []spot) {
	y, x := 0, textWidth(e.prompt)
	if edge := max(e.gutter, x); edge <= p.cols/3 {
		x = edge
	}
	n := 0
	for rest := e.text; ; {
		list = append(list, spot{n, y, x})
		if rest == "" {
			return list
		}
		cl, r, w := nextCluster(rest)
		switch {
		case cl == "\n":
			y, x = y+1, p.indent()
		case y < len(p.lines) && x+w > len(p.lines[y]):
			if cl == " " { // it fell off the end of the row
				break
			}
			y, x = y+1, p.indent()
			list[len(list)-1] = spot{n, y, x}
			fallthrough
		default:
			x += w
		}
		n, rest = n+len(cl), r
	}
}

type spot struct{ pos, y, x int }

// row moves the cursor a row up or down, if there is one.
func (e *editor) row(c *Console, by int) bool {
	p := newPage(c.page.cols, 1<<30, &c.table)
	p.measure = c.measure
	e.layout(p, e.prompt, false)
	if len(p.lines) == 1 {
		return false
	}
	list := e.spots(p)
	var at spot
	for _, s := range list {
		if s.pos == e.pos {
			at = s
		}
	}
	best := -1
	for _, s := range list {
		if s.y == at.y+by && (best < 0 || s.x <= at.x) {
			best = s.pos
		}
	}
	if best < 0 {
		return false
	}
	e.pos = best
	return true
}

// redrawSerial makes the serial line show the text and the cursor.
func (e *editor) redrawSerial(c *Console) {
	from := strings.LastIndexByte(e.text[:e.pos], '\n') + 1 // of the line with the cursor
	line, pos := e.text[from:], e.pos-from
	if n := strings.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	}
	if head := e.text[:from]; head != e.head {
		below := func(s string) { c.send(strings.ReplaceAll(s, "\n", "\r\n"+goesOn)) }
		if there := e.head + e.shown; strings.HasPrefix(head, there) && e.at == textWidth(e.shown) {
			below(head[len(there):]) // the text goes on at its end
		} else {
			c.send("\r\n" + e.prompt)
			below(head)
		}
		e.head, e.shown, e.at = head, "", 0
	}
	if room := c.o.Cols - textWidth(e.lead()) - 1; c.o.Cols > 0 && room > 0 {
		line, pos = window(line, pos, room)
	}
	e.redrawLine(c, line, pos)
}

// window cuts so many cells out of a line, with the byte position pos in them: as whoever edits a line at its end sees
// its end.
func window(line string, pos, cells int) (cut string, at int) {
	for before := textWidth(line[:pos]); before > cells; {
		cl, rest, w := nextCluster(line)
		line, pos, before = rest, pos-len(cl), before-w
	}
	return line[:byteWithin(line, cells)], pos
}

// byteWithin is how many bytes of s fit into so many cells.
func byteWithin(s string, cells int) int {
	n := 0
	for rest := s; rest != ""; {
		cl, r, w := nextCluster(rest)
		if cells -= w; cells < 0 {
			break
		}
		n, rest = n+len(cl), r
	}
	return n
}

// redrawLine is redrawSerial for the last line.
func (e *editor) redrawLine(c *Console, text string, pos int) {
	same := 0 // bytes of whole clusters that shown and text begin with
	for a, b := e.shown, text; a != "" && b != ""; {
		ca, ra, _ := nextCluster(a)
		cb, rb, _ := nextCluster(b)
		if ca != cb {
			break
		}
		same, a, b = same+len(ca), ra, rb
	}
	var out strings.Builder
	if e.shown != text {
		rest := text[same:]
		col := textWidth(text[:same])
		if col > e.at { // move right by rewriting
			from := byteAt(text, e.at)
			rest, col = text[from:], e.at
		}
		out.WriteString(strings.Repeat("\b", e.at-col))
		out.WriteString(rest)
		e.at = col + textWidth(rest)
		if left := textWidth(e.shown) - e.at; left > 0 { // wipe out what is left over
			out.WriteString(strings.Repeat(" ", left) + strings.Repeat("\b", left))
		}
		e.shown = text
	}
	want := textWidth(text[:pos])
	if want < e.at {
		out.WriteString(strings.Repeat("\b", e.at-want))
	} else if want > e.at {
		out.WriteString(text[byteAt(text, e.at):pos])
	}
	e.at = want
	c.send(out.String())
}

// lead is the prompt that stands before the last line of a serial line.
func (e *editor) lead() string {
	if e.head != "" {
		return goesOn
	}
	return e.prompt
}

// byteAt gives the byte position of column col in s.
func byteAt(s string, col int) int {
	n := 0
	for rest := s; rest != "" && col > 0; {
		cl, r, w := nextCluster(rest)
		n, col, rest = n+len(cl), col-w, r
	}
	return n
}

// key applies one key; done ends the line.
func (e *editor) key(c *Console, k Key) (done bool, err error) {
	if k.Code != CtrlD {
		e.leaving = false
	}
	if e.secret != nil && e.hide(&k) {
		return false, nil
	}
	switch k.Code {
	case None:
		switch r := k.Rune; {
		case r != '\n' && (r < ' ' || !printable(r)):
		case len(e.text)+utf8.UTFMax > maxInput:
			if !e.over {
				e.over = true
				c.printLine(Notice, fmt.Sprintf("A message has %d KiB at most: what goes beyond is left out. Send the rest as another one.", maxInput>>10))
			}
		default:
			e.insert(string(r))
		}
	case Enter:
		return e.enter(c), nil
	case CtrlC:
		return true, ErrInterrupted
	case CtrlD:
		if e.text == "" && (e.leaving || e.asked || c.surface == nil) {
			return true, io.EOF
		}
		if e.text == "" { // a machine is not switched off by a slip
			e.leaving = true
			c.printLine(Notice, "Ctrl-D once more ends the conversation; any other key goes on with it.")
			break
		}
		e.text = e.text[:e.pos] + e.text[e.next():]
	case Delete:
		e.text = e.text[:e.pos] + e.text[e.next():]
	case Backspace:
		e.cut(e.prev())
	case Left:
		e.pos = e.prev()
	case Right:
		e.pos = e.next()
	case Home, CtrlA:
		e.pos = 0
	case End, CtrlE:
		e.pos = len(e.text)
	case WordLeft:
		e.pos = e.wordLeft()
	case WordRight:
		rest := e.text[e.pos:]
		word := strings.TrimLeft(rest, " ")
		if i := strings.IndexByte(word, ' '); i >= 0 {
			e.pos += len(rest) - len(word) + i
		} else {
			e.pos = len(e.text)
		}
	case CtrlU:
		e.cut(0)
	case CtrlK:
		e.text = e.text[:e.pos]
	case CtrlW:
		e.cut(e.wordLeft())
	case CtrlL:
		c.clear()
	case Up, Down:
		by := 1
		if k.Code == Up {
			by = -1
		}
		if !c.choose(by) && !e.row(c, by) {
			e.recall(c, e.hist+by)
		}
	case Tab:
		if k.Quick && len(c.queue) > 0 && c.queue[0].Quick { // of a paste
			e.insert("    ")
			break
		}
		e.complete(c)
	}
	return false, nil
}

// hide keeps what a key types of a secret, and makes a star of it. It tells whether the key means nothing there: the cursor
// stays at the end.
func (e *editor) hide(k *Key) (nothing bool) {
	b := *e.secret
	cut := len(b)
	switch k.Code {
	case None:
		if k.Rune < ' ' || !utf8.ValidRune(k.Rune) || len(b)+utf8.UTFMax > cap(b) {
			return true
		}
		*e.secret = utf8.AppendRune(b, k.Rune)
		k.Rune = '*'
		return false
	case Backspace:
		_, n := utf8.DecodeLastRune(b)
		cut -= n
	case CtrlU:
		cut = 0
	case Enter, CtrlC:
		return false
	case CtrlD:
		return len(b) > 0
	default:
		return true
	}
	clear(b[cut:])
	*e.secret = b[:cut]
	return false
}

// enter tells whether the Enter key ends the message.
func (e *editor) enter(c *Console) bool {
	switch {
	case e.asked:
	case c.choice >= 0 && c.choice < len(c.list):
		e.text = c.list[c.choice].Text
		e.pos = len(e.text)
		return !strings.HasSuffix(e.text, " ") // more is to be said
	case e.quoted():
		e.insert("\n")
		return false
	case e.pos == len(e.text) && strings.HasSuffix(e.text, "\\"):
		e.cut(len(e.text) - 1)
		e.insert("\n")
		return false
	}
	return true
}

// complete completes what stands before the cursor: as far as there is no choice, or with what is chosen from the
// list, or else with its first entry.
func (e *editor) complete(c *Console) {
	before := e.text[:e.pos]
	if c.o.Complete != nil && c.choice < 0 {
		before = cleanString(c.o.Complete(before))
	}
	if len(c.list) > 0 && before == e.text {
		before = cleanString(c.list[max(c.choice, 0)].Text)
		e.pos = len(e.text)
	}
	if !strings.ContainsAny(before, "\n\t") && len(before)+len(e.text)-e.pos <= maxInput {
		e.text = before + e.text[e.pos:]
		e.pos = len(before)
		e.settle()
	}
}

func (e *editor) insert(s string) {
	e.text = e.text[:e.pos] + s + e.text[e.pos:]
	e.pos += len(s)
	e.settle()
}

// cut removes what is between from and the cursor.
func (e *editor) cut(from int) {
	e.text = e.text[:from] + e.text[e.pos:]
	e.pos = from
	e.settle()
}

// settle moves the cursor to the end of the cluster it may have been caught in: text that met may have
// joined.
func (e *editor) settle() {
	if e.pos == len(e.text) || e.text[e.pos] < utf8.RuneSelf && (e.pos == 0 || e.text[e.pos-1] < utf8.RuneSelf) {
		return
	}
	n := 0
	for rest := e.text; n < e.pos; {
		var cl string
		cl, rest, _ = nextCluster(rest)
		n += len(cl)
	}
	e.pos = n
}

func (e *editor) prev() int {
	if e.pos > 0 && e.text[e.pos-1] < utf8.RuneSelf {
		return e.pos - 1
	}
	n, last := 0, 0
	for rest := e.text[:e.pos]; rest != ""; {
		var cl string
		cl, rest, _ = nextCluster(rest)
		last, n = n, n+len(cl)
	}
	return last
}

func (e *editor) next() int {
	if e.pos == len(e.text) {
		return e.pos
	}
	cl, _, _ := nextCluster(e.text[e.pos:])
	return e.pos + len(cl)
}

func (e *editor) wordLeft() int {
	s := strings.TrimRight(e.text[:e.pos], " ")
	return strings.LastIndexByte(s, ' ') + 1
}

func (e *editor) recall(c *Console, i int) {
	if i < 0 || i > len(c.history) || i == e.hist {
		return
	}
	if e.hist >= len(c.history) {
		e.draft = e.text
	}
	if e.hist = i; i == len(c.history) {
		e.text = e.draft
	} else {
		e.text = c.history[i]
	}
	e.pos = len(e.text)
}
