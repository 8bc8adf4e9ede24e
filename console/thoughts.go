package console

// A model's thoughts stand dimly below the conversation while they come, only the end of them if they are
// long, and are no part of it: when the model has come to an end of them, one line takes their place.

const thoughtRows = 6 // of thoughts that are shown

// Think shows more of what a model thinks. Without a screen nothing is shown.
func (c *Console) Think(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const most = 4 << 10 // bytes that are kept
	c.thoughts += cleanString(text)
	if n := len(c.thoughts); n > 2*most {
		c.thoughts = c.thoughts[n-most:]
	}
	if c.surface != nil {
		c.layAhead()
		c.show()
	}
}

// Thought ends what Think has shown. A line about it takes its place, at the beginning of the answer if
// there is no word of this yet.
func (c *Console) Thought(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thoughts = ""
	c.layAhead()
	if line = cleanString(line); line != "" && c.md.open && c.page.end()-1 == c.md.begun && len(c.md.line) == 0 {
		c.spoke = true
		c.sendText(line + "\n")
		old := c.page.style
		c.page.style = Dim
		c.page.write(line + "\n")
		c.page.style = old
	} else if line != "" {
		c.printLine(Dim, line)
	}
	c.show()
}

// layThoughts lays out the end of what is thought.
func (c *Console) layThoughts(p *page) {
	p.setIndent(c.gutter)
	p.style = Dim
	p.write(c.thoughts)
	if n := len(p.lines); n > thoughtRows {
		p.lines = append(p.lines[:0], p.lines[n-thoughtRows:]...)
	}
}
