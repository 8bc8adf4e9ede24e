package console

// The line editor. Its truth is a string and a byte position that always lies between grapheme
// clusters; after each batch of keys the screen's rows are laid out anew by a page of their own (so a
// line wraps exactly as text does) and the serial line gets the shortest change: the common beginning
// is kept, the rest rewritten. Only \b, \r and spaces are used, so any terminal will do.

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxInput bounds a line, in bytes.
const maxInput = 32 << 10

type editor struct {
	prompt string
	gutter int
	text   string
	pos    int
	over   bool // more was typed than fits, which was told

	hist  int    // index into the history; len(history) is the line being written
	draft string // that line, while an older one is shown

	shown string // what the serial line shows after the prompt
	at    int    // the column of its cursor after the prompt
}

// ReadLine shows prompt and returns the line the person types, without its end, as valid UTF-8. It
// returns ErrInterrupted on Ctrl-C and io.EOF on Ctrl-D in an empty line or when there are no more keys.
func (c *Console) ReadLine(prompt string) (string, error) { return c.read(prompt, false) }

// Ask is ReadLine for the answer to a question. What was typed or pasted before it was asked is not taken
// for the answer, nor is the rest of a paste that still comes in: it waits for the next ReadLine.
func (c *Console) Ask(question string) (string, error) { return c.read(question, true) }

func (c *Console) read(prompt string, aside bool) (string, error) {
	c.reading.Lock()
	defer c.reading.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	c.next(aside)
	c.print(c.clean.end())
	e := c.beginTurn(prompt)
	if !c.serialFresh {
		c.send("\r\n")
	}
	c.send(e.prompt)
	c.serialFresh = e.prompt == ""
	c.editor = e
	for {
		done, err := false, error(nil)
		for len(c.queue) > 0 && !done {
			k := c.queue[0]
			c.queue = c.queue[1:]
			c.paging = false
			done, err = e.key(c, k)
		}
		if !done && c.closed {
			done, err = true, io.EOF
		}
		if done {
			e.pos = len(e.text)
		}
		c.edit = newPage(c.page.cols, 1<<30, &c.table)
		e.layout(c.edit, !done)
		e.redrawSerial(c)
		if done {
			return c.finish(e, err)
		}
		c.show()

		c.mu.Unlock()
		<-c.wake
		c.mu.Lock()
	}
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
		c.speak()
		c.page.write(text)
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
	c.print(c.clean.end())
	lay(text)
	c.page.newline()
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
	if c.spoke && len(c.page.lines) > 1 && c.page.end()-1 > c.top {
		// Each turn of a conversation stands clear of the one before.
		if above := c.page.lines[len(c.page.lines)-2]; !blank(above) {
			c.page.newline()
		}
	}
	c.spoke = false
	return e
}

// layLine moves the line into the page.
func (c *Console) layLine(e *editor) {
	if !c.page.fresh {
		c.page.newline()
	}
	e.layout(c.page, false)
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
	c.edit, c.editor = nil, nil
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
	if err == nil && e.text != "" && (len(c.history) == 0 || c.history[len(c.history)-1] != e.text) {
		c.addHistory(e.text)
	}
	c.endTurn(e, mark)
	if err != nil {
		return "", err
	}
	return e.text, nil
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
		if l = cleanString(l); l != "" && !strings.Contains(l, "\n") {
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
func (e *editor) layout(p *page, cursor bool) {
	w := textWidth(e.prompt)
	edge := max(e.gutter, w)
	if edge > p.cols/3 {
		edge = w
	}
	p.setIndent(edge - w)
	p.style = Prompt
	p.write(e.prompt)
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
	p.write(e.text[e.pos:])
	if p.mark != 0 { // at the end: a blank cell to stand on
		if p.full || len(*p.row()) >= p.cols {
			p.newRow(p.indent)
		}
		*p.row() = append(*p.row(), cell{' ', Input, markCursor})
		p.mark = 0
	}
}

// redrawSerial makes the serial line show the text and the cursor.
func (e *editor) redrawSerial(c *Console) {
	same := 0 // bytes of whole clusters that shown and text begin with
	for a, b := e.shown, e.text; a != "" && b != ""; {
		ca, ra, _ := nextCluster(a)
		cb, rb, _ := nextCluster(b)
		if ca != cb {
			break
		}
		same, a, b = same+len(ca), ra, rb
	}
	var out strings.Builder
	if e.shown != e.text {
		rest := e.text[same:]
		col := textWidth(e.text[:same])
		if col > e.at { // move right by rewriting
			from := byteAt(e.text, e.at)
			rest, col = e.text[from:], e.at
		}
		out.WriteString(strings.Repeat("\b", e.at-col))
		out.WriteString(rest)
		e.at = col + textWidth(rest)
		if left := textWidth(e.shown) - e.at; left > 0 { // wipe out what is left over
			out.WriteString(strings.Repeat(" ", left) + strings.Repeat("\b", left))
		}
		e.shown = e.text
	}
	want := textWidth(e.text[:e.pos])
	if want < e.at {
		out.WriteString(strings.Repeat("\b", e.at-want))
	} else if want > e.at {
		out.WriteString(e.text[byteAt(e.text, e.at):e.pos])
	}
	e.at = want
	c.send(out.String())
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
	switch k.Code {
	case None:
		switch r := k.Rune; {
		case r < ' ' || !printable(r):
		case len(e.text)+utf8.UTFMax > maxInput:
			if !e.over {
				e.over = true
				c.printLine(Notice, fmt.Sprintf("A message has %d KiB at most: what goes beyond is left out. Send the rest as another one.", maxInput>>10))
			}
		default:
			e.insert(string(r))
		}
	case Enter:
		return true, nil
	case CtrlC:
		return true, ErrInterrupted
	case CtrlD:
		if e.text == "" {
			return true, io.EOF
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
	case Up:
		e.recall(c, e.hist-1)
	case Down:
		e.recall(c, e.hist+1)
	case Tab:
		if c.o.Complete != nil {
			before := cleanString(c.o.Complete(e.text[:e.pos]))
			if !strings.ContainsAny(before, "\n\t") && len(before)+len(e.text)-e.pos <= maxInput {
				e.text = before + e.text[e.pos:]
				e.pos = len(before)
				e.settle()
			}
		}
	}
	return false, nil
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
