package console

// The bars. The one at the top tells what this conversation is: its title, the model, whether it is saved, the
// time. The one at the bottom tells what goes on and which keys do something now; the console knows the keys
// itself, since it is what takes them. The serial line has no bars.

import (
	"fmt"
	"strings"
	"time"
)

// Bars is what the bars say. A state is always a word and never a colour alone.
type Bars struct {
	Title   string // of the conversation
	Model   string
	Saved   Saved
	Alert   string // why nothing is saved and what to do; "": it is
	Context int    // percent of the model's context in use; 0: not shown

	Doing string // what goes on, in a word or two: "answering"; "": nothing
	Pace  string // how it goes: "4.2 tokens/s"
	Enter string // what Enter on an empty line does to it; "": it stops it
}

// Saved is whether what is said is saved.
type Saved uint8

const (
	Unsaid   Saved = iota // nothing is said about it
	AllSaved              // "saved"
	NotSaved              // "NOT SAVED"
)

// SetBars changes what the bars say.
func (c *Console) SetBars(change func(*Bars)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.bars)
	c.show()
}

// tick keeps the clock going.
func (c *Console) tick() {
	for {
		now := c.o.Clock()
		timer := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
		select {
		case <-timer.C:
			c.SetBars(func(*Bars) {})
		case <-c.quit:
			timer.Stop()
			return
		}
	}
}

// clockText is a time with its zone: "14:32 UTC+2".
func clockText(t time.Time) string {
	_, east := t.Zone()
	zone := "UTC"
	if east != 0 {
		sign := '+'
		if east < 0 {
			sign, east = '-', -east
		}
		zone += fmt.Sprintf("%c%d", sign, east/3600)
		if m := east / 60 % 60; m != 0 {
			zone += fmt.Sprintf(":%02d", m)
		}
	}
	return t.Format("15:04 ") + zone
}

// span is a piece of a row.
type span struct {
	text  string
	style Style
}

var divider = span{"  |  ", barText}

// shorten cuts text to so many cells.
func shorten(text string, cells int) string {
	if textWidth(text) <= cells {
		return text
	}
	n := 0
	for rest := text; ; {
		cl, r, w := nextCluster(rest)
		if cells -= w; cells < 1 { // for the dots
			return strings.TrimRight(text[:n], " ") + "…"
		}
		n, rest = n+len(cl), r
	}
}

func (c *Console) titleBar() (left [][]span, right []span) {
	title := cleanString(c.bars.Title)
	if title == "" {
		title = "AlphaOS"
	}
	if c.menu != nil {
		title = spaced(c.menu.Title)
	}
	left = [][]span{{{shorten(title, c.surface.cols/2), barTitle}}}
	if c.bars.Model != "" && c.menu == nil {
		left = append(left, []span{divider, {cleanString(c.bars.Model), barText}})
	}
	switch {
	case c.menu != nil:
	case c.bars.Saved == AllSaved:
		right = append(right, span{"saved", barGood})
	case c.bars.Saved == NotSaved:
		right = append(right, span{"NOT SAVED", barAlert})
	}
	if c.o.Clock != nil {
		if right != nil {
			right = append(right, divider)
		}
		right = append(right, span{clockText(c.o.Clock()), barText})
	}
	return left, right
}

// keyHint tells what a key does.
func keyHint(key, does string) []span {
	return []span{divider, {" " + key + " ", button}, {" " + does, barText}}
}

func (c *Console) statusBar() (left [][]span, right []span) {
	b := &c.bars
	if b.Context > 0 && c.menu == nil {
		right = []span{{fmt.Sprintf("context %d %%", b.Context), barText}}
	}
	hint := func(key, does string) { left = append(left, keyHint(key, does)) }
	doing, pace, enter := b.Doing, b.Pace, b.Enter
	if p := c.step; p != nil {
		doing, pace = strings.ToLower(p.title[:min(1, len(p.title))])+p.title[min(1, len(p.title)):], p.short(c.o.Now())
	}
	if enter == "" {
		enter = "stops"
	}
	if c.menu != nil {
		c.menuHints(hint)
		left[0] = left[0][1:]
		if doing != "" {
			right = []span{{"● ", barAlert}, {strings.TrimRight(cleanString(doing)+" "+cleanString(pace), " "), barText}}
		}
		return left, right
	}
	if doing != "" {
		left = append(left, []span{{"● ", barAlert}, {cleanString(doing), barAlert}})
		if pace != "" {
			left[0] = append(left[0], span{" " + cleanString(pace), barText})
		}
	}
	if b.Alert != "" && !c.paging {
		left = append(left, []span{divider, {"! " + cleanString(b.Alert), barAlert}})
	}
	running := len(c.stops) > 0 && c.edit == nil
	switch e := c.editor; {
	case c.paging:
		left = [][]span{{{"reading back", barTitle}, {fmt.Sprintf("  row %d of %d", c.viewTop-c.page.dropped+1, c.allRows()-c.page.dropped), barText}}}
		hint("↑ ↓", "a row")
		hint("Enter", "returns")
		hint("Space", "a page back")
		hint("← →", "a message")
		hint("Tab", "a page on")
	case running && c.ahead.open():
		hint("Enter", "sends this next")
		hint("Enter", "with nothing typed "+enter)
	case running:
		hint("Enter", enter)
	case e == nil || e.asked:
	case e.quoted():
		left = append(left, []span{divider, {"a message of several lines", barTitle}})
		hint("Enter", "next line")
		hint(quotes, "ends the message")
	case len(c.list) > 0:
		hint("Tab", "completes")
		hint("↑ ↓", "choose")
		hint("Enter", "runs it")
	case e.text == "":
		left = append(left, []span{divider, {" / ", button}, {" commands", barText}})
		if c.surface != nil && c.allRows() > c.surface.rows {
			hint("Tab", "reads back")
		}
	default:
		hint("Enter", "sends")
		hint("\\ Enter", "next line")
	}
	if len(left) > 0 && left[0][0] == divider {
		left[0] = left[0][1:]
	}
	return left, right
}

// layBar lays a bar into a row. Of what does not fit, the pieces at the end are left out, and the first is cut.
func (c *Console) layBar(row []cell, left [][]span, right []span) {
	for i := range row {
		row[i] = cell{id: ' ', style: barText}
	}
	width := func(spans []span) (n int) {
		for _, s := range spans {
			n += textWidth(s.text)
		}
		return n
	}
	put := func(x, end int, spans []span) int {
		for _, s := range spans {
			x = layRow(row, &c.table, x, end, s.style, s.text)
		}
		return x
	}
	end := len(row) - 1
	if w := width(right); w < len(row)-2 {
		put(end-w, end, right)
		end -= w + 2
	}
	x := 1
	for i, part := range left {
		if i > 0 && x+width(part) > end {
			break
		}
		x = put(x, end, part)
	}
}
