package console

// What is typed or pasted while nothing reads it: while an answer runs, or a model is loaded. It waits in
// the queue for the next ReadLine, lines and all, so that a text of twenty lines that is pasted into an
// answer becomes twenty messages, one after the other. Invariant: no character of it is lost without a
// word.
//
// Enter has two meanings then. Behind something typed it ends a line, which is sent when the answer has
// ended. On an empty line it stops the answer, if a person can have meant that: not when it comes so soon
// after a message was sent that it belongs to a double press, or to a key that is held down, and not close
// behind another key, where it is an empty line of a paste, or a repetition.

import (
	"bytes"
	"fmt"
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
	text []byte    // with \n for Enter
	lost int       // characters for which there was no room
	last time.Time // when the last key came

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

// wait puts a key into the queue.
func (c *Console) wait(k Key) {
	// What comes behind something that was lost would be read as if it belonged to what came before.
	if len(c.queue) >= maxQueue || c.ahead.lost > 0 {
		c.ahead.lost++
		return
	}
	c.queue = append(c.queue, k)
	if c.edit != nil {
		return // it is read at once
	}
	c.ahead.add(k)
	c.ahead.stale = true
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
	if len(text) == 0 {
		c.typed = nil
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
	c.typed = newPage(c.page.cols, 1<<30, &c.table)
	c.typed.setIndent(c.gutter)
	c.typed.style = Dim
	if n := bytes.Count(text[:from], []byte("\n")); n > 0 {
		c.typed.write(fmt.Sprintf("(%d lines more)\n", n))
	}
	c.typed.write(cleanString(string(text[from:])))
}

// next begins to read what waits.
func (c *Console) next() {
	c.ahead.text, c.typed = nil, nil
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
