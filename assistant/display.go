package assistant

import (
	"context"
	"fmt"
	"time"

	"alphaos/console"
	"alphaos/llm/gguf"
	"alphaos/store"
)

// Display is the screen around the conversation, its bars and how it looks: a *console.Console with a screen.
type Display interface {
	SetBars(change func(*console.Bars))
	// SetTheme, SetTextSize and SetWidth change how all looks, also what was said. An error is a clause about the
	// name that tells which ones there are.
	SetTheme(name string) error
	SetTextSize(name string) error
	SetWidth(name string) error
	// Adjusts tells whether there is a screen that can be changed so, and whether the size of its text can.
	Adjusts() (look, text bool)
	// CodeFrom says how many blocks of code there were before the next answer: it numbers its own from there on.
	CodeFrom(n int)
	// Raw has answers shown as they came, or as Markdown.
	Raw(on bool)
	// Think shows what the model thinks, until Thought puts a line in its place.
	Think(text string)
	Thought(line string)
	// Suggest takes what a line may become while it is typed.
	Suggest(f func(line string) []console.Suggestion)
	// AtScreen tells whether the person who typed last sits in front of a screen.
	AtScreen() bool
	// Choose shows a menu.
	Choose(ctx context.Context, m console.Menu) (row int, err error)
}

// noDisplay is where there is no screen: on a serial line, or in another system's terminal.
type noDisplay struct{}

func (noDisplay) SetBars(func(*console.Bars))               {}
func (noDisplay) SetTheme(string) error                     { return errNoDisplay }
func (noDisplay) SetTextSize(string) error                  { return errNoDisplay }
func (noDisplay) SetWidth(string) error                     { return errNoDisplay }
func (noDisplay) Adjusts() (look, text bool)                { return false, false }
func (noDisplay) CodeFrom(int)                              {}
func (noDisplay) Raw(bool)                                  {}
func (noDisplay) Think(string)                              {}
func (noDisplay) Thought(string)                            {}
func (noDisplay) Suggest(func(string) []console.Suggestion) {}
func (noDisplay) AtScreen() bool                            { return false }
func (noDisplay) Choose(context.Context, console.Menu) (int, error) {
	return 0, errNoDisplay
}

var errNoDisplay = fmt.Errorf("can't be set, since there is no screen of AlphaOS here")

// look is how the screen looks.
type look struct {
	ui      UI
	display Display
	journal *journal
	raw     bool

	theme, text, width string // names, as they are now
}

// setter returns what changes the theme, the size of the text or the width of prose, and where its name is kept.
func (l *look) setter(what string) (set func(name string) error, to *string) {
	switch what {
	case "text":
		return l.display.SetTextSize, &l.text
	case "width":
		return l.display.SetWidth, &l.width
	}
	return l.display.SetTheme, &l.theme
}

// begin takes what was asked for at the start, or was chosen in an earlier session.
func (l *look) begin(asked Start) {
	for _, v := range []struct{ what, asked string }{{"theme", asked.Theme}, {"text", asked.Text}, {"width", ""}} {
		if v.asked == "" {
			v.asked = l.journal.setting(v.what)
		}
		set, to := l.setter(v.what)
		if v.asked != "" && set(v.asked) == nil { // else another version, or another screen, has allowed it
			*to = v.asked
		}
	}
}

// set changes the theme, the size of the text or the width of prose.
func (l *look) set(what, name string) {
	set, to := l.setter(what)
	if err := set(name); err != nil {
		l.ui.Error(fmt.Sprintf("%q %v.", name, err))
		return
	}
	*to = name
	l.journal.keep(what, name)
}

// toggleRaw shows answers as they came, or as Markdown again.
func (l *look) toggleRaw() {
	l.showRaw(!l.raw)
	if l.raw {
		l.ui.Quiet("Answers are shown as they came. /raw shows them laid out again.")
	} else {
		l.ui.Quiet("Answers are laid out as Markdown.")
	}
}

func (l *look) showRaw(on bool) {
	l.raw = on
	l.display.Raw(on)
}

// showState brings the bars up to date, while nothing goes on.
func (c *conversation) showState() {
	title, model, percent := c.heading(), "no model", 0
	if c.model != nil {
		model = c.modelName()
		if used, size := c.model.Context(); size > 0 {
			percent = used * 100 / size
		}
	}
	saved, alert := c.journal.state(), c.journal.alert()
	c.journal.saved, c.journal.alerted = saved, alert
	c.display.SetBars(func(b *console.Bars) {
		*b = console.Bars{Title: title, Model: model, Saved: saved, Alert: alert, Context: percent}
	})
}

// heading is the conversation's title, or the beginning of its first message.
func (c *conversation) heading() string {
	if j := c.journal; j.store != nil && !j.begun() {
		if here := j.store.Current(); here.Title != "" {
			return here.Title
		}
	}
	for _, t := range c.said.Turns {
		if t.Role == store.User {
			return title(t.Text)
		}
	}
	return "New conversation"
}

// modelName is the model's own name, or that of its file.
func (c *conversation) modelName() string {
	const most = 40 // some have a sentence there
	if name := c.model.Info.Name; name != "" && len(name) <= most {
		return name
	}
	return gguf.PlainName(c.name)
}

// doing shows what goes on, in words, and how.
func (c *conversation) doing(what, pace string) {
	c.display.SetBars(func(b *console.Bars) { b.Doing, b.Pace = what, pace })
}

// meter tells how an answer comes along.
type meter struct {
	c      *conversation
	now    func() time.Time
	begun  time.Time // of what goes on now
	shown  time.Time
	pieces int
}

const meterEvery = 250 * time.Millisecond

// reading tells that so many tokens of the prompt were read.
func (m *meter) reading(done, total int) {
	now := m.now()
	pace := fmt.Sprintf("%s of %s tokens", thousands(done), thousands(total))
	if took := now.Sub(m.begun); done > 0 && took > meterEvery {
		left := time.Duration(float64(took) / float64(done) * float64(total-done))
		pace += ", " + seconds(left) + " left"
	}
	m.c.doing("reading", pace)
}

// token counts a piece of the answer, which is about a token.
func (m *meter) token() {
	now := m.now()
	if m.pieces++; m.pieces == 1 {
		m.begun, m.shown = now, now
		m.c.doing("answering", "")
	}
	if now.Sub(m.shown) < meterEvery {
		return
	}
	m.shown = now
	if took := now.Sub(m.begun).Seconds(); took > 0 {
		m.c.doing("answering", fmt.Sprintf("%.1f tokens/s", float64(m.pieces-1)/took))
	}
}

func seconds(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// thousands is a number with commas: 1,204.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
