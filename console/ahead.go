package console

// What is typed or pasted while nothing reads it: while an answer runs, or a model is loaded. It waits in
// the queue for the next ReadLine, lines and all, so that a text of twenty lines that is pasted into an
// answer becomes twenty messages, one after the other. Invariant: no character of it is lost without a
// word. Ctrl-C and Esc give up the lines that wait; the Up key brings them back. The answer to a question
// (Ask) is never taken from what was typed before it was asked.
//
// Enter has two meanings then. Behind something typed it ends a line, which is sent when the answer has
// ended. On an empty line it stops the answer, if a person can have meant that: not when it comes so soon
// after a message was sent that it belongs to a double press, or to a key that is held down, and not close
// behind another key, where it is an empty line of a paste, or a repetition.

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxQueue = 1 << 16 // keys that may wait

	stopAfter = 600 * time.Millisecond // of an answer, before Enter stops it: longer than a keyboard takes to begin repeating a key
	burst     = 150 * time.Millisecond // keys that follow each other faster were not pressed one by one
)

// ahead is what waits in the queue, as text.
type ahead struct {
	text    []byte    // with \n for Enter
	lost    int       // characters for which there was no room
	dropped int       // lines that were given up
	last    time.Time // when the last key came
	took    time.Time // when a number took a row of a menu, if no key came since

	stale bool // not all of text is laid out
}

// add adds a key.
func (a *ahead) add(k Key) {
	line := func() int { return bytes.LastIndexByte(a.text, '\n') + 1 } // where the last line begins
	switch k.Code {
	case None:
		a.text = utf8.AppendRune(a.text, k.Rune)
	case Enter:
		a.text = append(a.text, '\n')
	case Backspace:
		_, n := utf8.DecodeLastRune(a.text[line():])
		a.text = a.text[:len(a.text)-n]
	case CtrlU:
		a.text = a.text[:line()]
	}
}

// open tells whether an unfinished line waits.
func (a *ahead) open() bool { return len(a.text) > 0 && a.text[len(a.text)-1] != '\n' }

// lines returns what waits, without blank lines.
func (a *ahead) lines() (lines []string) {
	for line := range strings.SplitSeq(string(a.text), "\n") {
		if line = cleanString(line); strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// wait puts a key into the queue.
func (c *Console) wait(k Key) {
	if c.edit != nil && !c.pasting {
		c.queue = append(c.queue, k) // it is read at once
		return
	}
	queue := &c.queue
	if c.pasting {
		queue = &c.aside
	}
	// What comes behind something that was lost would be read as if it belonged to what came before.
	if len(*queue) >= maxQueue || c.ahead.lost > 0 {
		c.ahead.lost++
		return
	}
	*queue = append(*queue, k)
	if c.edit == nil {
		c.ahead.add(k)
		c.ahead.stale = true
	}
}

// Waiting returns how many lines were typed or pasted that ReadLine has not returned yet, an unfinished
// one included and blank ones not.
func (c *Console) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.ahead.lines())
	if c.edit != nil && strings.TrimSpace(c.editor.text) != "" {
		n++
	}
	return n
}

// Drop gives up the lines that wait, but not an unfinished one: the Up key brings them back, and the next
// ReadLine says so.
func (c *Console) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	c.show()
}

// drop tells whether there was something to give up.
func (c *Console) drop() bool {
	n := len(c.queue)
	for n > 0 && c.queue[n-1].Code != Enter {
		n--
	}
	gone := ahead{}
	for _, k := range c.queue[:n] {
		gone.add(k)
	}
	lines := gone.lines()
	for _, line := range lines {
		c.addHistory(line)
	}
	c.ahead.dropped += len(lines)
	c.queue, c.ahead.text = c.queue[n:], nil
	c.later()
	return len(lines) > 0
}

// showAhead shows what was typed into an answer.
func (c *Console) showAhead() {
	if c.ahead.stale && len(c.stops) > 0 && c.surface != nil {
		c.layAhead()
		c.show()
	}
}

// twice tells whether Enter on an empty line, pressed now, can't have been meant; last is when the key
// before came.
func (c *Console) twice(now, last time.Time) bool {
	if c.edit != nil || c.ahead.open() {
		return false
	}
	return now.Sub(c.began) < stopAfter || len(c.stops) > 0 && now.Sub(last) < burst
}

// layAhead lays out what waits, dimly and at most the end of it.
func (c *Console) layAhead() {
	const most, lines = 1000, 4 // bytes, lines
	c.ahead.stale = false
	text := c.ahead.text
	if len(text) == 0 && c.thoughts == "" {
		c.typed = nil
		return
	}
	c.typed = newPage(c.page.cols, 1<<30, &c.table)
	if c.thoughts != "" {
		c.typed.measure = c.measure
		c.layThoughts(c.typed)
	}
	if len(text) == 0 {
		return
	}
	at := max(0, len(text)-most)
	for at < len(text) && !utf8.RuneStart(text[at]) {
		at++
	}
	from := len(bytes.TrimSuffix(text, []byte("\n")))
	for range lines {
		if from = bytes.LastIndexByte(text[:from], '\n'); from < 0 {
			break
		}
	}
	from = max(at, from+1)
	p := c.typed
	p.measure = c.measure
	p.setIndent(c.gutter)
	p.style = rule
	p.endRow()
	p.write(strings.Repeat("─", min(c.measure, p.cols-c.gutter)))
	p.endRow()
	const name = "next> "
	p.setIndent(max(c.gutter-len(name), 0))
	p.style = Dim
	p.write(name)
	p.setIndent(c.gutter)
	if n := bytes.Count(text[:from], []byte("\n")); n > 0 {
		p.write(fmt.Sprintf("(%d lines more)\n", n))
	}
	p.last, p.style = "", Input
	p.write(cleanString(string(text[from:])))
	if p.full || len(*p.row()) >= p.limit() {
		p.newRow(p.hang)
	}
	*p.row() = append(*p.row(), cell{' ', Input, markCursor})
}

// next begins to read what waits, or sets it aside.
func (c *Console) next(aside bool) {
	c.ahead.text, c.typed = nil, nil
	if aside {
		c.aside, c.queue = c.queue, nil
		c.pasting = len(c.aside) > 0
		return // what was lost or given up is told when the rest is read
	}
	switch n := c.ahead.dropped; {
	case n > maxHistory:
		c.printLine(Notice, fmt.Sprintf("%d lines that you typed or pasted were not sent: the Up key brings back the last %d of them.", n, maxHistory))
	case n > 1:
		c.printLine(Notice, fmt.Sprintf("%d lines that you typed or pasted were not sent: the Up key brings them back.", n))
	case n == 1:
		c.printLine(Notice, "A line that you typed or pasted was not sent: the Up key brings it back.")
	}
	c.ahead.dropped = 0
	if n := c.ahead.lost; n > 0 {
		c.ahead.lost = 0
		c.printLine(Notice, fmt.Sprintf("There was no room for the last %d characters that you typed or pasted: type them again, in smaller parts.", n))
	}
}

// later takes stock of what is still to be read.
func (c *Console) later() {
	for _, k := range c.queue {
		c.ahead.add(k)
	}
	c.layAhead()
}
