package console

// Menus. A menu has the screen between the bars to itself, and what was said stands there again when it is closed.
// On the serial line it is plain lines: its rows with their numbers, and then whatever changes.
//
// Letters, digits, Enter, Backspace and the arrows are enough. What is chosen has a mark and is bold, so that it is
// seen without colours too.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Menu is a list of things to choose from. Rows and Notes are asked again several times a second, so that they can
// tell how something goes on, and return new slices; they, Turn and Chosen are called by the goroutine that called Choose
// and may use the console.
type Menu struct {
	Title  string        // of the screen
	Logo   []string      // stands above the rows, in the middle; its last line is dim
	Intro  string        // prose above the rows, its first line bold
	Rows   func() []Row  // may change, but those that were there keep their places
	Notes  func() []Note // stand below; nil: none
	Choice int           // the row that is chosen at first
	Wait   time.Duration // then that row is taken by itself, unless a key was pressed; 0: never
	Filter bool          // typing shows only the rows that have what was typed
	Try    string        // typing shows what the keys type, behind this; "": it does not
	Root   bool          // there is nothing to go back to
	Shown  func()        // is called when the menu is on the screen; nil: nobody waits for that

	// Turn changes the value of a row that Turns, to the next one or the one before (by is 1 or -1).
	Turn func(row, by int)
	// Chosen is called when another row is chosen, without being taken; nil: nothing is to be done then.
	Chosen func(row int)
}

// Row is a line of a Menu.
type Row struct {
	Name  string
	Value string // in a column of its own
	Help  string // behind it, dim
	Turns bool   // left and right change the value; its number does, too
	Head  bool   // it stands above others and can't be chosen; without a name it is blank
}

// Note is a fact below the rows. A Notice or a Failure that is new is told on the serial line, too.
type Note struct {
	Name, Text string
	Style      Style
}

// ErrBack is returned by Choose when the person went back.
var ErrBack = errors.New("the person went back")

const (
	menuEvery  = 200 * time.Millisecond // how often rows and notes are asked
	digitEnter = 2 * time.Second        // Enter that comes so soon behind a number that was taken belongs to it
)

// menu is a Menu that is open.
type menu struct {
	Menu
	rows   []Row
	notes  []Note
	choice int
	filter string
	typed  string    // to try the keys
	number string    // digits so far: of a row beyond the ninth, or without a screen
	until  time.Time // zero: the clock does not run
	keys   []Key
	told   map[Note]bool // on the serial line
	echoed bool          // digits stand in the last line there
	held   []byte        // what others have said for it meanwhile
}

// Choose shows a menu and returns the row that the person takes, counted from 0. Up and down move, Enter or right
// takes the chosen row, a number takes that one at once where there are at most nine and a screen, and changes the
// value of one that Turns; left, Backspace, Esc and 0 go back: ErrBack. The error is io.EOF when there are no more
// keys, and ctx's when that is done. What was typed before is no choice: it waits for the next ReadLine.
func (c *Console) Choose(ctx context.Context, m Menu) (row int, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	o := &menu{Menu: m, choice: m.Choice, told: map[Note]bool{}}
	rows, notes := m.ask()
	timer := time.NewTimer(menuEvery)
	defer timer.Stop()

	c.mu.Lock()
	defer c.mu.Unlock()
	o.have(rows, notes)
	c.settle()
	o.echoed, c.serialFresh = !c.serialFresh, true
	c.menu = o
	if m.Wait > 0 {
		o.until = c.o.Now().Add(m.Wait)
	}
	c.tellMenu()
	defer func() {
		c.release()
		c.menu, c.serialFresh = nil, c.serialFresh && !o.echoed
		for _, k := range o.keys { // what was typed behind the choice
			c.wait(k)
		}
		c.show()
	}()
	c.show()
	if m.Shown != nil {
		c.mu.Unlock()
		m.Shown()
		c.mu.Lock()
	}
	for {
		c.show()
		for len(o.keys) > 0 {
			k := o.keys[0]
			o.keys = o.keys[1:]
			o.until = time.Time{}
			before := o.choice
			switch act := o.key(c, k); act {
			case nothing:
				if m.Chosen != nil && o.choice != before {
					c.mu.Unlock()
					m.Chosen(o.choice)
					rows, notes = m.ask()
					c.mu.Lock()
					o.have(rows, notes)
				}
			case take:
				c.tell(spaced(o.rows[o.choice].Name) + "\n")
				return o.choice, nil
			case back:
				return 0, ErrBack
			default: // a turn, which may use the console
				c.mu.Unlock()
				m.Turn(o.choice, act)
				rows, notes = m.ask()
				c.mu.Lock()
				o.have(rows, notes)
				r := o.rows[o.choice]
				c.release()
				c.tell(strings.TrimRight(spaced(r.Name)+": "+cleanString(r.Value), ": ") + "\n")
			}
			c.show()
		}
		left := menuEvery
		switch {
		case !o.until.IsZero():
			if left = o.until.Sub(c.o.Now()); left <= 0 {
				c.tell(spaced(o.rows[o.choice].Name) + "\n")
				return o.choice, nil
			}
			left = min(left, menuEvery)
		case c.closed:
			return 0, io.EOF
		}
		timer.Reset(left)
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		rows, notes = m.ask()
		c.mu.Lock()
		if err != nil {
			return 0, err
		}
		o.have(rows, notes)
		c.tellNotes()
	}
}

// Touched tells whether a key was pressed that nothing has read yet.
func (c *Console) Touched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// Forget forgets what was typed and not read yet, and what was given up of it: a passphrase may be in it.
func (c *Console) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue, c.ahead.text, c.typed = nil, nil, nil
	c.history, c.ahead.dropped = nil, 0
}

// ask asks for rows and notes, while the console is not locked.
func (m *Menu) ask() (rows []Row, notes []Note) {
	if m.Notes != nil {
		notes = m.Notes()
	}
	return m.Rows(), notes
}

// have takes rows and notes, and has a row chosen that can be.
func (m *menu) have(rows []Row, notes []Note) {
	m.rows, m.notes = rows, notes
	list := m.open()
	if len(list) > 0 && !slices.Contains(list, m.choice) {
		i := slices.IndexFunc(list, func(row int) bool { return row > m.choice })
		if i < 0 {
			i = len(list) - 1
		}
		m.choice = list[i]
	}
}

// open lists the rows that can be chosen.
func (m *menu) open() (list []int) {
	for i, r := range m.rows {
		if !r.Head && m.has(r) {
			list = append(list, i)
		}
	}
	return list
}

// has tells whether the filter lets a row through.
func (m *menu) has(r Row) bool {
	text := strings.ToLower(r.Name + " " + r.Value + " " + r.Help)
	for _, word := range strings.Fields(strings.ToLower(m.filter)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// What a key does to a menu; left and right, as -1 and 1, turn a value.
const (
	nothing = 0
	take    = 2
	back    = 3
)

// key applies a key.
func (m *menu) key(c *Console, k Key) int {
	list := m.open()
	at := slices.Index(list, m.choice)
	if at < 0 && k.Code != Backspace && k.Code != Esc && k.Code != None { // nothing is left to choose from
		return nothing
	}
	leave := func() int {
		if m.Root {
			return nothing
		}
		return back
	}
	number := m.number
	if k.Code != None && k.Code != Enter {
		m.number = ""
	}
	switch k.Code {
	case Up, Down:
		by := 1
		if k.Code == Up {
			by = len(list) - 1
		}
		m.choice = list[(at+by)%len(list)]
	case Home, PageUp:
		m.choice = list[0]
	case End, PageDown:
		m.choice = list[len(list)-1]
	case Left, Right:
		by := 1
		if k.Code == Left {
			by = -1
		}
		switch {
		case m.rows[m.choice].Turns:
			return by
		case by > 0:
			return take
		case m.filter == "":
			return leave()
		}
	case Esc, CtrlC:
		if m.filter == "" {
			return leave()
		}
		m.filter = ""
	case Backspace:
		switch {
		case number != "":
		case m.typed != "":
			e := editor{text: m.typed, pos: len(m.typed)}
			m.typed = m.typed[:e.prev()]
		case m.filter == "":
			return leave()
		default:
			e := editor{text: m.filter, pos: len(m.filter)}
			m.filter = m.filter[:e.prev()]
			m.first()
		}
	case Enter:
		switch {
		case number != "":
			return m.digits(c, list, leave)
		case m.filter != "" && c.surface == nil && len(list) > 1:
			c.tellMenu() // now the person knows the numbers
			m.filter = ""
			return nothing
		}
		return take
	case None:
		digit := k.Rune >= '0' && k.Rune <= '9' && m.filter == ""
		switch {
		case digit && (c.surface == nil || len(list) > 9):
			if m.number += string(k.Rune); len(m.number) > 4 {
				m.number = ""
			}
			c.echo(k.Rune)
			if n, _ := strconv.Atoi(m.number); n >= 1 && n <= len(list) {
				m.choice = list[n-1]
			}
		case digit:
			m.number = string(k.Rune)
			if len(m.keys) > 0 && m.keys[0].Code == Enter {
				m.keys = m.keys[1:]
			} else {
				c.ahead.took = c.o.Now()
			}
			return m.digits(c, list, leave)
		case m.Try != "" && printable(k.Rune) && len(m.typed) < 100:
			m.typed += string(k.Rune)
		case m.Filter && printable(k.Rune) && (k.Rune != ' ' || m.filter != "") && len(m.filter) < 100:
			m.filter += string(k.Rune)
			m.first()
		}
	}
	return nothing
}

// first has the first of the rows that are left chosen.
func (m *menu) first() {
	if list := m.open(); len(list) > 0 {
		m.choice = list[0]
	}
}

// digits does what the number says that was typed.
func (m *menu) digits(c *Console, list []int, leave func() int) int {
	n, _ := strconv.Atoi(m.number)
	m.number = ""
	switch {
	case n == 0:
		return leave()
	case n > len(list):
		c.tell(fmt.Sprintf("There is no %d: type a number from 1 to %d.\n", n, len(list)))
		return nothing
	}
	if m.choice = list[n-1]; m.rows[m.choice].Turns {
		return 1
	}
	return take
}

// spaced is a name as one clean line.
func spaced(name string) string { return strings.ReplaceAll(cleanString(name), "\n", " ") }

// tell writes clean text of the menu on the serial line, from the beginning of a line on. What others say for that
// waits until the menu is closed, as on the screen: it would stand between the rows and the number that is typed.
func (c *Console) tell(text string) {
	if c.serial == nil {
		return
	}
	if c.menu.echoed {
		text = "\n" + text
	}
	c.menu.echoed = false
	c.out = append(c.out, strings.ReplaceAll(text, "\n", "\r\n")...)
}

// echo shows a digit on the serial line.
func (c *Console) echo(digit rune) {
	if c.serial != nil {
		c.out = append(c.out, string(digit)...)
		c.menu.echoed = true
	}
}

// release says on the serial line what others have said for it meanwhile.
func (c *Console) release() {
	if c.menu.echoed && len(c.menu.held) > 0 {
		c.tell("")
	}
	c.out = append(c.out, c.menu.held...)
	c.menu.held = nil
}

// tellMenu writes the menu on the serial line.
func (c *Console) tellMenu() {
	m := c.menu
	if c.serial == nil {
		return
	}
	names, values := m.columns(func(r Row) string { return spaced(r.Value) })
	line := func(s string) { c.tell(strings.TrimRight(s, " ") + "\n") }
	line("\n" + spaced(m.Title))
	if m.Intro != "" {
		line(cleanString(m.Intro) + "\n")
	}
	n := 0
	for i, r := range m.rows {
		switch name := spaced(r.Name); {
		case r.Head && m.filter == "":
			line(name)
		case r.Head:
		default:
			n++
			if !m.has(r) {
				break
			}
			mark := ' '
			if i == m.choice {
				mark = '>'
			}
			s := fmt.Sprintf("%c%3d  %s  %s", mark, n, padded(name, names), padded(spaced(r.Value), values))
			if values > 0 {
				s += "  "
			}
			line(s + spaced(r.Help))
		}
	}
	c.tellNotes()
	say := fmt.Sprintf("Type a number from 1 to %d and Enter; Enter alone takes %s.", n, spaced(m.rows[m.choice].Name))
	if !m.Root {
		say += " 0 goes back."
	}
	if m.Filter {
		say += " A word finds rows."
	}
	if !m.until.IsZero() {
		say += fmt.Sprintf(" That comes by itself in %.0f s; any key stops the clock.", m.Wait.Seconds())
	}
	line(say)
}

// tellNotes writes notes on the serial line: all when the menu is shown, and later those that ask for attention.
func (c *Console) tellNotes() {
	m := c.menu
	opening := len(m.told) == 0
	for _, n := range m.notes {
		if m.told[n] || !opening && n.Style != Notice && n.Style != Failure {
			continue
		}
		m.told[n] = true
		c.tell(fmt.Sprintf("%s: %s\n", spaced(n.Name), spaced(n.Text)))
	}
}

// columns is how wide the names are, and the values of rows with a help.
func (m *menu) columns(value func(Row) string) (names, values int) {
	for _, r := range m.rows {
		if r.Head {
			continue
		}
		names = max(names, textWidth(spaced(r.Name)))
		if r.Help != "" {
			values = max(values, textWidth(value(r)))
		}
	}
	return names, values
}

// padded is text with blanks behind it, up to so many cells.
func padded(text string, cells int) string {
	return text + strings.Repeat(" ", max(cells-textWidth(text), 0))
}

const (
	listWidth = 100 // cells; text in columns needs more than prose
	logoWidth = 72
)

// layMenu lays the menu into the rows of the screen.
func (c *Console) layMenu(want []cell) {
	s, m := c.surface, c.menu
	for i := range want[:s.cols*s.rows] {
		want[i] = cell{id: ' '}
	}
	wide := min(s.cols-2, listWidth)
	switch {
	case len(m.Logo) > 0:
		wide = min(wide, logoWidth)
	case m.Intro != "":
		wide = min(wide, c.measure)
	}
	list, at := m.layRows(c, wide)
	notes := m.layNotes(c, wide)
	gap := func(rows [][]cell) [][]cell { return append(rows, nil) }
	line := layLine(&c.table, wide, rule, strings.Repeat("─", wide))

	// The logo goes first where there is little room, then the lines; then the list is cut.
	var head, foot [][]cell
	if len(m.Logo) > 0 {
		for i, text := range m.Logo {
			style := heading
			if i == len(m.Logo)-1 {
				style = Dim
			}
			head = append(head, centred(layLine(&c.table, wide, style, cleanString(text)), wide))
		}
		head = append(gap(head), line, nil)
		foot = append([][]cell{nil, line}, foot...)
	}
	if m.Intro != "" {
		p := newPage(wide, 1<<10, &c.table)
		p.style = strong
		first, rest, _ := strings.Cut(cleanString(m.Intro), "\n")
		p.write(first + "\n\n")
		p.style = Plain
		p.write(rest)
		head = append(gap(p.lines), nil)
	}
	if len(notes) > 0 {
		foot = append(gap(foot), notes...)
	}
	if len(head)+len(list)+len(foot) > s.rows {
		head, foot = nil, append([][]cell{nil}, notes...)
	}
	room := max(s.rows-len(foot)-len(head), 3)
	if len(list) > room {
		from := min(max(at-room/2, 0), len(list)-room)
		list = list[from : from+room]
	}
	all := slices.Concat(head, list, foot)
	y := min(1, max(s.rows-len(all), 0))
	if len(m.Logo) > 0 || m.Intro != "" {
		y = max((s.rows-len(all))/2, 0)
	}
	left := (s.cols - wide) / 2
	for i, row := range all {
		if y+i < s.rows {
			to := want[(y+i)*s.cols+left:][:wide]
			for x := range to[:copy(to, row)] {
				to[x].mark &= marksShown
			}
		}
	}
}

// layLine is a row with one text.
func layLine(t *clusters, wide int, style Style, text string) []cell {
	row := slices.Clone(blankCells(wide))
	return row[:layRow(row, t, 0, wide, style, text)]
}

// centred moves a row to the middle.
func centred(row []cell, wide int) []cell {
	return append(slices.Clone(blankCells((wide-len(row))/2)), row...)
}

// layRows lays the rows out, and tells in which line the chosen one stands.
func (m *menu) layRows(c *Console, wide int) (list [][]cell, at int) {
	t := &c.table
	if m.filter != "" {
		row := layLine(t, wide-1, Prompt, "find  ")
		row = append(row, layLine(t, wide-1-len(row), Input, cleanString(m.filter))...)
		list = append(list, append(row, cell{' ', Input, markCursor}), nil)
		if len(m.open()) == 0 {
			list = append(list, layLine(t, wide, Dim, "Nothing has these letters. Backspace takes them away."))
		}
	}
	if m.Try != "" {
		row := layLine(t, wide-1, Dim, cleanString(m.Try)+"  ")
		row = append(row, layLine(t, wide-1-len(row), Input, m.typed)...)
		list = append(list, append(row, cell{' ', Input, markCursor}), nil)
	}
	names, values := m.columns(valueText)
	n := 0
	digits := len(strconv.Itoa(len(m.rows)))
	for i, r := range m.rows {
		if r.Head {
			if m.filter == "" {
				list = append(list, layLine(t, wide, heading, spaced(r.Name)))
			}
			continue
		}
		n++
		if !m.has(r) {
			continue
		}
		mark, number, name, value, help := "  ", Prompt, strong, Plain, Dim
		if i == m.choice {
			at = len(list)
			mark, number, name, value, help = "› ", selected, selected, selected, selected
		}
		row := slices.Clone(blankCells(wide))
		for x := range row {
			row[x].style = help
		}
		end := wide - 1
		right := ""
		if i == m.choice && !m.until.IsZero() {
			left := m.until.Sub(c.o.Now())
			right = fmt.Sprintf("%d s", (left+time.Second-1)/time.Second)
			layRow(row, t, end-textWidth(right), end, selected, right)
			end -= textWidth(right) + 1
		}
		x := layRow(row, t, 0, end, number, mark)
		if m.filter == "" {
			x = layRow(row, t, x, end, number, fmt.Sprintf("%*d", digits, n))
		}
		x += 2
		layRow(row, t, x, end, name, shorten(spaced(r.Name), max(end-x, 1)))
		if x += names + 3; x < end && valueText(r) != "" {
			layRow(row, t, x, end, value, shorten(valueText(r), end-x))
		}
		if values > 0 {
			x += values + 2
		}
		if x < end && right == "" {
			layRow(row, t, x, end, help, shorten(spaced(r.Help), end-x))
		}
		list = append(list, row)
	}
	return list, at
}

// valueText is the value of a row, with what shows that it can be changed.
func valueText(r Row) string {
	if v := spaced(r.Value); !r.Turns {
		return v
	} else {
		return "‹ " + v + " ›"
	}
}

// layNotes lays the notes out.
func (m *menu) layNotes(c *Console, wide int) [][]cell {
	names := 0
	for _, n := range m.notes {
		names = max(names, textWidth(spaced(n.Name)))
	}
	if len(m.notes) == 0 {
		return nil
	}
	var list [][]cell
	for _, n := range m.notes {
		name := layLine(&c.table, wide, Dim, padded(spaced(n.Name), names+3))
		p := newPage(max(wide-len(name), 1), 1<<10, &c.table)
		p.style = n.Style
		p.write(spaced(n.Text))
		for i, text := range p.lines {
			c.table.visual(text, len(text))
			if i > 0 {
				name = blankCells(len(name))
			}
			list = append(list, slices.Concat(name, text))
		}
	}
	return list
}

// menuHints tells which keys do something in the menu.
func (c *Console) menuHints(hint func(key, does string)) {
	m := c.menu
	n := len(m.open())
	keys := "↑ ↓"
	if m.filter == "" && n > 1 && n <= 9 {
		keys = fmt.Sprintf("1-%d %s", n, keys)
	}
	hint(keys, "choose")
	turns := n > 0 && m.rows[m.choice].Turns
	if turns {
		hint("← →", "change")
		hint("Enter", "done")
	} else {
		hint("Enter", "takes it")
	}
	switch {
	case !m.until.IsZero():
		hint("any key", "stops the clock")
	case m.filter != "":
		hint("Backspace", "finds more")
	case m.Root:
	case turns:
		hint("Backspace", "back")
	default:
		hint("←", "back")
	}
	switch {
	case m.Filter && m.filter == "":
		hint("a word", "finds")
	case m.Try != "":
		hint("a letter", "tries the keys")
	}
}
