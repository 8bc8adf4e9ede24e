package console

// Reading back: what was said is scrolled through with the Tab key on an empty line, the arrows and the space bar,
// since a keyboard may have no PageUp. Any other key comes back to the line, and is then what it always is; Enter
// only comes back.

// readBack takes a key that moves the view, and tells whether it was one.
func (c *Console) readBack(k Key) bool {
	if c.surface == nil || k.Quick && !c.paging {
		return false
	}
	page := max(c.surface.rows-1, 1)
	live := c.liveTop()
	if !c.paging {
		idle := len(c.queue) == 0 && (c.edit != nil && c.editor.text == "" || c.edit == nil && !c.ahead.open())
		if k.Code != PageUp && k.Code != PageDown && !(k.Code == Tab && idle && live > c.page.dropped) {
			return false
		}
		if k.Code == PageDown {
			return true
		}
		c.scrollTo(live - page)
		return true
	}
	switch {
	case k.Code == Up:
		c.scrollTo(c.viewTop - 1)
	case k.Code == Down:
		c.scrollTo(c.viewTop + 1)
	case k.Code == PageUp || k.Rune == ' ' && k.Code == None:
		c.scrollTo(c.viewTop - page)
	case k.Code == PageDown || k.Code == Tab:
		c.scrollTo(c.viewTop + page)
	case k.Code == Left:
		to := c.page.dropped
		for _, row := range c.turns {
			if row < c.viewTop {
				to = max(to, row)
			}
		}
		c.scrollTo(to)
	case k.Code == Right:
		to := live
		for _, row := range c.turns {
			if row > c.viewTop {
				to = min(to, row)
			}
		}
		c.scrollTo(to)
	case k.Code == Enter:
		c.scrollTo(live)
	default:
		c.scrollTo(live)
		return false
	}
	return true
}

// scrollTo has the view begin with a row, or follow the conversation again if that would be all of it.
func (c *Console) scrollTo(row int) {
	live := c.liveTop()
	c.viewTop = max(row, c.page.dropped)
	c.paging = c.viewTop < live
	c.show()
}
