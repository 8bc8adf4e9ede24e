package console

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Style says what a piece of text is; the theme says how that looks.
type Style uint8

// The styles. ReadLine and BeginAnswer set Prompt, Input, Name and Answer themselves.
const (
	Plain   Style = iota // the program's own words
	Prompt               // "you> "
	Input                // what the person types
	Name                 // "alpha> "
	Answer               // what the model says
	Dim                  // notes and statistics
	Notice               // something to know
	Failure              // something went wrong
	Found                // words that were looked for

	bar      // a progress bar
	strong   // bold in an answer
	emphasis // italics
	heading
	code
	source // [1], where an answer comes from
	rule   // lines of tables and of what divides
	barTitle
	barText // of the bars at the top and the bottom
	barGood
	barAlert
	button
	selected
	numStyles
)

// face is one of the faces of the built-in font.
type face uint8

const (
	regular face = iota
	bold
	italic
	numFaces
)

// look is how a style looks. Colours are 0x00RRGGBB.
type look struct {
	fg, bg uint32
	face   face
}

// theme is how everything looks.
type theme struct {
	name, what string
	ground     uint32
	looks      [numStyles]look
}

// colours are the roles of a theme; those with two have a ground of their own.
type colours struct {
	ground                                                   uint32
	plain, answer, input, dim, good, name, notice, bad, bold uint32
	rule                                                     uint32
	bars, barTitle, barGood, barAlert, barGround             uint32
	selected, key, code, found                               [2]uint32
}

func newTheme(name, what string, c colours) *theme {
	t := &theme{name: name, what: what, ground: c.ground}
	on := func(s Style, colour uint32, f face) { t.looks[s] = look{colour, c.ground, f} }
	pair := func(s Style, p [2]uint32, f face) { t.looks[s] = look{p[0], p[1], f} }
	on(Plain, c.plain, regular)
	on(Prompt, c.good, bold)
	on(Input, c.input, regular)
	on(Name, c.name, bold)
	on(Answer, c.answer, regular)
	on(Dim, c.dim, regular)
	on(Notice, c.notice, regular)
	on(Failure, c.bad, regular)
	pair(Found, c.found, bold)
	on(bar, c.name, regular)
	on(strong, c.bold, bold)
	on(emphasis, c.answer, italic)
	on(heading, c.name, bold)
	pair(code, c.code, regular)
	on(source, c.notice, regular)
	on(rule, c.rule, regular)
	pair(barTitle, [2]uint32{c.barTitle, c.barGround}, bold)
	pair(barText, [2]uint32{c.bars, c.barGround}, regular)
	pair(barGood, [2]uint32{c.barGood, c.barGround}, bold)
	pair(barAlert, [2]uint32{c.barAlert, c.barGround}, bold)
	pair(button, c.key, bold)
	pair(selected, c.selected, bold)
	return t
}

// themes are what /set theme chooses from; the first one is what a console begins with. A test computes the
// contrast of each role as WCAG 2.2 defines it.
var themes = []*theme{
	newTheme("night", "light on dark", colours{
		ground: 0x14181D,
		plain:  0xC3C8CF, answer: 0xD9DCD8, input: 0xF1F2EE, dim: 0x9AA3AF, good: 0x84C5A4, name: 0x8CB4EA, notice: 0xDFB771, bad: 0xEA8D8D, bold: 0xFFFFFF,
		rule: 0x4A5563,
		bars: 0xC3C8CF, barTitle: 0xFFFFFF, barGood: 0x8FD0AE, barAlert: 0xE6C07C, barGround: 0x232A33,
		selected: [2]uint32{0xFFFFFF, 0x25503D}, key: [2]uint32{0xF1F2EE, 0x333D49}, code: [2]uint32{0xC9D6E8, 0x1C222A}, found: [2]uint32{0xFFE9B0, 0x4A3F22},
	}),
	newTheme("day", "dark on light", colours{
		ground: 0xFAF9F6,
		plain:  0x3A4047, answer: 0x22262B, input: 0x22262B, dim: 0x5A6370, good: 0x175A39, name: 0x1F4E9B, notice: 0x6E4A00, bad: 0xA01F18, bold: 0x000000,
		rule: 0xC9C5BB,
		bars: 0x22262B, barTitle: 0x000000, barGood: 0x124E31, barAlert: 0x5E3F00, barGround: 0xE9E6DF,
		selected: [2]uint32{0xFFFFFF, 0x175A39}, key: [2]uint32{0x22262B, 0xD3CFC5}, code: [2]uint32{0x22262B, 0xF0EEE8}, found: [2]uint32{0x3A2C00, 0xFFE9B0},
	}),
	newTheme("contrast", "the strongest contrast there is", colours{
		ground: 0x000000,
		plain:  0xFFFFFF, answer: 0xFFFFFF, input: 0xFFFFFF, dim: 0xE0E0E0, good: 0x7CFFB2, name: 0x9CD2FF, notice: 0xFFDD66, bad: 0xFFA8A8, bold: 0xFFFFFF,
		rule: 0xFFFFFF,
		bars: 0x000000, barTitle: 0x000000, barGood: 0x003D1C, barAlert: 0x7A0000, barGround: 0xFFFFFF,
		selected: [2]uint32{0x000000, 0xFFE14D}, key: [2]uint32{0xFFFFFF, 0x000000}, code: [2]uint32{0xFFFFFF, 0x1C1C1C}, found: [2]uint32{0x000000, 0xFFE14D},
	}),
}

// cursor is the block under the character that typing would move.
func (t *theme) cursor() look { return look{t.ground, t.looks[Prompt].fg, regular} }

// textSizes are how many columns the screen has at about each size of the text.
var textSizes = []struct {
	name string
	cols int
}{{"small", 120}, {"normal", 100}, {"large", 80}, {"huge", 60}}

const normalSize = 1

// widths are how wide prose may be; in the last, as wide as the screen.
var widths = []struct {
	name string
	cols int
}{{"60", 60}, {"80", measure}, {"100", 100}, {"screen", maxScreenW}}

// Widths lists the names of the widths of prose.
func Widths() (names []string) {
	for _, w := range widths {
		names = append(names, w.name)
	}
	return names
}

// Themes lists the names of the themes.
func Themes() (names []string) {
	for _, t := range themes {
		names = append(names, t.name)
	}
	return names
}

// TextSizes lists the names of the sizes of the text.
func TextSizes() (names []string) {
	for _, s := range textSizes {
		names = append(names, s.name)
	}
	return names
}

// SetTheme gives the screen the theme of that name. An error is a clause about the name.
func (c *Console) SetTheme(name string) error {
	i := slices.Index(Themes(), name)
	if i < 0 {
		return fmt.Errorf("is no theme: there are %s", strings.Join(Themes(), ", "))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.surface == nil {
		return errNoScreen
	}
	c.theme = themes[i]
	return c.redress(c.size)
}

// SetTextSize gives the text of the screen the size of that name. An error is a clause about the name.
func (c *Console) SetTextSize(name string) error {
	i := slices.Index(TextSizes(), name)
	if i < 0 {
		return fmt.Errorf("is no size: there are %s", strings.Join(TextSizes(), ", "))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.surface == nil {
		return errNoScreen
	}
	if c.o.Terminal != nil {
		return errors.New("can't be set here: the size of the text is a setting of your terminal")
	}
	return c.redress(i)
}

// SetWidth gives prose the width of that name. An error is a clause about the name.
func (c *Console) SetWidth(name string) error {
	i := slices.Index(Widths(), name)
	if i < 0 {
		return fmt.Errorf("is no width: there are %s", strings.Join(Widths(), ", "))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.surface == nil {
		return errNoScreen
	}
	c.measure = widths[i].cols
	return c.layAnew()
}

// Adjusts tells whether there is a screen whose look can be changed, and whether the size of its text can.
func (c *Console) Adjusts() (look, text bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.surface != nil, c.surface != nil && c.o.Terminal == nil
}

// Raw has answers shown as they came, or laid out as Markdown.
func (c *Console) Raw(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	c.raw = on
	c.relay(c.page.cols)
	c.show()
}

var errNoScreen = errors.New("can't be set, since there is no screen")

// redress shows everything in the theme and at a size.
func (c *Console) redress(size int) error {
	s := c.surface
	if size == c.size {
		c.useFonts(s)
		if err := s.dress(c.theme); err != nil {
			return err
		}
		return c.show()
	}
	next, err := c.newSurface(size)
	if err != nil {
		return fmt.Errorf("does not suit this screen: %w", err)
	}
	c.size = size
	return c.replace(next)
}

// newSurface makes a surface for text of a size.
func (c *Console) newSurface(size int) (*surface, error) {
	if c.o.Terminal != nil {
		return newTerminalSurface(c.o.Terminal, &c.table, c.theme)
	}
	s, err := newSurface(c.o.Screen, &c.table, c.theme, size)
	if err == nil {
		c.useFonts(s)
	}
	return s, err
}

// useFonts gives a surface the person's fonts. A terminal has its own.
func (c *Console) useFonts(s *surface) {
	if p, ok := s.painter.(*pixels); ok {
		p.font.use(c.fonts)
	}
}

// replace goes on with another surface.
func (c *Console) replace(next *surface) error {
	cols := c.surface.cols
	c.surface = next
	c.gutter = min(textWidth(c.o.Speaker), next.cols/4)
	if next.cols != cols {
		return c.layAnew()
	}
	return c.show()
}

// layAnew lays everything out for the screen as it is now.
func (c *Console) layAnew() error {
	c.settle()
	c.relay(c.surface.cols)
	if c.editor != nil {
		c.layEdit(c.editor, true)
	}
	c.layAhead()
	return c.show()
}
