package console

// The list of what a line that begins with a slash may become. It stands in the empty rows below the line or, where
// there are too few, over the rows above it, so that nothing moves while one types. The serial line does without it,
// and completes with the Tab key alone.

// Suggestion is a line that a person may mean.
type Suggestion struct {
	Text string // the line; it ends with a blank if more is to be said
	Help string // in a few words
}

const maxList = 9 // entries that are shown at once

// Suggest has lists shown of what f says that a line, which begins with a slash, may become. f is called while the
// person types, by the goroutine that reads the line, and must not call the console.
func (c *Console) Suggest(f func(line string) []Suggestion) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suggests = f
}

// suggest brings the list up to date behind a key.
func (c *Console) suggest(e *editor) {
	old := c.list
	c.list = nil
	if c.surface == nil || c.suggests == nil || e.asked || len(e.text) == 0 || e.text[0] != '/' || e.pos < len(e.text) || e.hist < len(c.history) {
		c.choice = -1
		return
	}
	for _, s := range c.suggests(e.text) {
		if s.Text != e.text {
			c.list = append(c.list, Suggestion{cleanString(s.Text), cleanString(s.Help)})
		}
	}
	if len(c.list) != len(old) {
		c.choice = -1
	}
}

// choose moves the choice within the list, if there is one.
func (c *Console) choose(by int) bool {
	n := len(c.list)
	if n == 0 {
		return false
	}
	switch {
	case c.choice < 0 && by < 0:
		c.choice = n - 1
	case c.choice < 0:
		c.choice = 0
	default:
		c.choice = (c.choice + by + n) % n
	}
	return true
}

// layList lays the list over the rows below the line, whose first row is y, or above if there is no room.
func (c *Console) layList(y int) {
	s := c.surface
	n := min(len(c.list), maxList)
	from := min(max(c.choice-maxList+1, 0), len(c.list)-n)
	at := y + len(c.edit.lines)
	if at+n > s.rows {
		at = max(y-n, 0)
	}
	left := max(c.gutter-2, 0)
	names := 0
	for _, x := range c.list[from : from+n] {
		names = max(names, textWidth(x.Text))
	}
	for i, x := range c.list[from : from+n] {
		if at+i < 0 || at+i >= s.rows {
			continue
		}
		row := c.want[(at+i)*s.cols:][left:min(c.gutter+c.measure, s.cols)]
		name, help, mark := barTitle, barText, "  "
		if from+i == c.choice {
			name, help, mark = selected, selected, "› "
		}
		put := func(at, end int, style Style, text string) int { return layRow(row, &c.table, at, end, style, text) }
		end := len(row)
		for p := range row {
			row[p] = cell{id: ' ', style: help}
		}
		p := put(put(0, end, help, mark), end, name, x.Text)
		p += names - textWidth(x.Text) + 2
		put(p, end-1, help, shorten(x.Help, end-1-p))
	}
}

// layRow writes text into a row from x on, as far as it fits before end, and returns where it ends.
func layRow(row []cell, t *clusters, x, end int, style Style, text string) int {
	from, dir, turned := x, undecided, false
	for text != "" {
		cl, rest, w := nextCluster(text)
		if x+w > end {
			break
		}
		if dir == undecided {
			dir = directionOf(cl)
		}
		mark := uint8(0)
		if leftward(cl) {
			mark, turned = markLeft, true
		}
		for i := range w {
			m := mark
			if i > 0 {
				m |= markTrail
			}
			row[x+i] = cell{t.id(cl), style, m}
		}
		x, text = x+w, rest
	}
	if turned {
		base := uint8(0)
		if dir == toTheLeft {
			base = 1
		}
		t.reorder(row[from:x], base)
		for i := range row[from:x] {
			row[from+i].mark &= marksShown
		}
	}
	return x
}
