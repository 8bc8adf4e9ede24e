package console

// Progress of a long step. On the screen a bar that moves; on the serial line whole lines, few of them.

import (
	"fmt"
	"strings"
	"time"
)

// Progress is a step that is under way. Its methods may be called from any goroutine.
type Progress struct {
	c           *Console
	title       string
	total, done int64
	ended       bool
	result      string // when it has ended

	row            int // of the bar, counted since the beginning
	start, painted time.Time
	marks          [2]mark // the speed is measured since the older one
	told           mark    // the last serial line
}

type mark struct {
	at   time.Time
	done int64
}

const (
	statusCols  = 56 // the longest status
	barEvery    = 50 * time.Millisecond
	serialEvery = time.Second
)

// Progress begins a step of total bytes (0: unknown) under a title.
func (c *Console) Progress(title string, total int64) *Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &Progress{c: c, title: cleanString(title), total: max(total, 0), start: c.o.Now()}
	p.marks = [2]mark{{p.start, 0}, {p.start, 0}}
	p.told = mark{p.start, 0}
	c.step = p
	c.settle()
	if c.surface != nil {
		if !c.page.fresh {
			c.page.newline()
		}
		if !c.serialFresh && c.editor == nil {
			c.send("\r\n")
			c.serialFresh = true
		}
		p.begin()
		c.spoke = true
	} else if !c.serialFresh && c.editor == nil {
		c.print("\n")
	}
	c.show()
	return p
}

// begin puts the title and the bar on rows of their own.
func (p *Progress) begin() {
	pg := p.c.page
	pg.record(stepPiece, "")
	pg.log.pieces[len(pg.log.pieces)-1].step = p
	old := pg.style
	pg.muted, pg.style = true, Plain
	pg.write(p.title)
	pg.endRow()
	p.row = pg.end() - 1
	pg.endRow()
	pg.muted, pg.style = false, old
	p.paint(p.c.o.Now())
}

// Passing shows text on the screen until the function that it returns is called: for what is
// over in a moment, or never. Without a screen it is a quiet line that stays.
func (c *Console) Passing(text string) (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text = cleanString(text)
	if c.surface == nil {
		c.printLine(Dim, text)
		c.show()
		return func() {}
	}
	pg := c.page
	if !pg.fresh {
		pg.newline()
	}
	first := pg.end() - 1
	old := pg.style
	pg.muted, pg.style = true, Dim // it is not to be laid out anew
	pg.write(text)
	pg.muted, pg.style = false, old
	last := pg.end() - 1
	c.show()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if pg != c.page || pg.end()-1 != last || first < pg.dropped { // something else was shown
			return
		}
		pg.rewind(first)
		c.show()
	}
}

// Set tells how many bytes are done.
func (p *Progress) Set(done int64) {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.ended {
		return
	}
	p.done = max(done, 0)
	if p.total > 0 {
		p.done = min(p.done, p.total)
	}
	now := c.o.Now()
	if now.Sub(p.marks[1].at) >= time.Second {
		p.marks[0], p.marks[1] = p.marks[1], mark{now, p.done}
	}
	if now.Sub(p.told.at) >= serialEvery && (p.done-p.told.done)*10 >= p.total {
		p.told = mark{now, p.done}
		p.tell(p.status(now))
		c.show()
	}
	if c.surface != nil && (now.Sub(p.painted) >= barEvery || p.done == p.total && p.painted != now) {
		p.paint(now)
		c.show()
	}
}

// Done ends the step, leaving one line that says how much and how fast.
func (p *Progress) Done() {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	if c.step == p {
		c.step = nil
	}
	took := c.o.Now().Sub(p.start)
	s := Bytes(p.done) + " in " + duration(took)
	if p.done < p.total {
		s = "stopped after " + Bytes(p.done) + " of " + Bytes(p.total) + ", " + duration(took)
	} else if took > 0 {
		s += ", " + Bytes(int64(float64(p.done)/took.Seconds())) + "/s"
	}
	p.tell(s)
	p.result = s
	p.replace(s, nil)
	c.show()
}

// tell sends one line to the serial side only.
func (p *Progress) tell(s string) {
	s = p.title + ": " + s + "\n"
	if !p.c.serialFresh && p.c.editor == nil {
		s = "\n" + s
	}
	p.c.sendText(s)
}

// speed is in bytes a second; 0: not known yet.
func (p *Progress) speed(now time.Time) float64 {
	since := p.marks[0]
	if dt := now.Sub(since.at).Seconds(); dt > 0.05 && p.done > since.done {
		return float64(p.done-since.done) / dt
	}
	return 0
}

func (p *Progress) left(speed float64) string {
	return duration(time.Duration(float64(p.total-p.done) / speed * float64(time.Second)))
}

// short is the status for the bar: "42 %, 9.1 s left".
func (p *Progress) short(now time.Time) string {
	if p.total == 0 {
		return Bytes(p.done)
	}
	s := fmt.Sprintf("%d %%", p.done*100/p.total)
	if v := p.speed(now); v > 0 && p.done < p.total {
		s += ", " + p.left(v) + " left"
	}
	return s
}

func (p *Progress) status(now time.Time) string {
	s := Bytes(p.done)
	if p.total > 0 {
		s = fmt.Sprintf("%3d %%  %s of %s", p.done*100/p.total, Bytes(p.done), Bytes(p.total))
	}
	if v := p.speed(now); v > 0 {
		s += "  " + Bytes(int64(v)) + "/s"
		if p.total > 0 && p.done < p.total {
			s += "  " + p.left(v) + " left"
		}
	}
	return s
}

func (p *Progress) paint(now time.Time) {
	p.painted = now
	switch {
	case p.ended:
		p.replace(p.result, nil)
		return
	case p.total <= 0:
		p.replace(p.status(now), nil)
		return
	}
	width := min(max(p.c.page.cols-2-statusCols, 8), 48)
	filled := int(float64(p.done) / float64(p.total) * float64(width*barSteps))
	cells := make([]cell, 0, width+2)
	for i := range width {
		cells = append(cells, cell{glyphBar + glyphID(min(max(filled-i*barSteps, 0), barSteps)), bar, 0})
	}
	p.replace("  "+strings.TrimLeft(p.status(now), " "), cells)
}

// replace rewrites the bar's row, if it was not forgotten.
func (p *Progress) replace(s string, cells []cell) {
	pg := p.c.page
	if p.c.surface == nil || p.row < pg.dropped || p.row >= pg.end() {
		return
	}
	for _, r := range s {
		if len(cells) < pg.cols {
			cells = append(cells, cell{glyphID(r), Dim, 0})
		}
	}
	pg.lines[p.row-pg.dropped] = cells
}

// Bytes says n bytes the way people read them: "27.1 MB" (powers of ten, three digits).
func Bytes(n int64) string {
	const units = "kMGTPE"
	f, u := float64(n), -1
	for f >= 999.5 && u < len(units)-1 {
		f /= 1000
		u++
	}
	switch {
	case u < 0:
		return fmt.Sprintf("%d bytes", n)
	case f < 9.995:
		return fmt.Sprintf("%.2f %cB", f, units[u])
	case f < 99.95:
		return fmt.Sprintf("%.1f %cB", f, units[u])
	}
	return fmt.Sprintf("%.0f %cB", f, units[u])
}

func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 1000*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return "long"
}
