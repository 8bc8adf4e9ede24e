package assistant

// The first start: keyboard, size of the text, model. Enter three times is a way through. It is shown once, to whoever
// starts a drive that drive create has made, and again with /first-start.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/engine"
)

// setupSetting is the name under which it is kept that the first start was shown.
const setupSetting = "setup"

// The size of the text and the width of prose until others are chosen.
const (
	normalText  = "normal"
	normalWidth = "80"
)

const welcome = `Welcome. This is your own AI.
It lives on this drive and thinks with this computer's processor. There is no network: nothing you type leaves the room. The computer's own disks are never written to.`

// common are the layouts that are shown first; the last row shows all.
var common = []string{"us", "uk", "de", "fr", "es", "it", "br", "se"}

// firstStart asks for all three, one after the other. Back leads to the question before.
func (c *commands) firstStart(ctx context.Context) {
	c.measured = c.facts()
	var steps []func(context.Context, string) error
	if c.keys.keyboard != nil {
		steps = append(steps, c.firstKeyboard)
	}
	if _, text := c.look.display.Adjusts(); text && c.look.display.AtScreen() {
		steps = append(steps, c.firstText)
	}
	steps = append(steps, c.firstModel)
	for i := 0; i < len(steps); {
		switch err := steps[i](ctx, fmt.Sprintf("First start: %d of %d", i+1, len(steps))); {
		case err == nil:
			i++
		case errors.Is(err, console.ErrBack):
			i = max(i-1, 0)
		default: // no keys, or no display: nothing was asked
			return
		}
	}
	c.journal.keep(setupSetting, "done")
	if c.drive.Option != nil {
		if err := c.drive.Option("setup", ""); err != nil {
			c.ui.Quiet("The file of options can't be changed, but this is not asked again.")
		}
	}
	c.ui.Quiet("All of this is in /settings later.")
}

// facts are what is known of the machine.
func (c *commands) facts() (notes []console.Note) {
	for _, f := range c.machine.About() {
		if f.Name == "processors" || f.Name == "memory" {
			notes = append(notes, console.Note{Name: strings.ToUpper(f.Name[:1]) + f.Name[1:], Text: f.Value})
		}
	}
	if c.drive.Measure != nil {
		text := "it can't be measured"
		if f, err := c.drive.Measure(); err == nil {
			text = fmt.Sprintf("%s, %s free", console.Bytes(f.Size), console.Bytes(f.Free))
			if f.Rate > 0 {
				text += fmt.Sprintf(", reads %s a second", console.Bytes(f.Rate))
			}
		}
		notes = append(notes, console.Note{Name: "This drive", Text: text})
	}
	if budget := c.library.options.LLM.Budget; budget > 0 {
		notes = append(notes, console.Note{Name: "Room for", Text: "models of up to " + console.Bytes(budget)})
	}
	return notes
}

func (c *commands) firstKeyboard(ctx context.Context, step string) error {
	facts := c.measured
	used := c.keys.keyboard.Layout()
	all := false
	for {
		var layouts []*keyboard.Layout
		for _, l := range keyboard.Layouts() {
			if all || slices.Contains(common, l.Name) || l == used {
				layouts = append(layouts, l)
			}
		}
		if !all {
			slices.SortStableFunc(layouts, func(a, b *keyboard.Layout) int { return slices.Index(common, a.Name) - slices.Index(common, b.Name) })
		}
		var rows []console.Row
		for _, l := range layouts {
			rows = append(rows, console.Row{Name: l.FullName, Help: l.Name})
		}
		if !all {
			rows = append(rows, console.Row{Name: "more …"})
		}
		try := func(row int) {
			if row < len(layouts) {
				c.keys.keyboard.Use(layouts[row])
			}
		}
		menu := console.Menu{Title: step, Intro: welcome, Rows: func() []console.Row { return rows }, Notes: func() []console.Note { return facts },
			Choice: max(slices.Index(layouts, used), 0), Root: !all, Try: "Which keyboard is this? Type a few letters to try:", Chosen: try}
		if all {
			menu.Intro = ""
		}
		row, err := c.look.display.Choose(ctx, menu)
		switch {
		case errors.Is(err, console.ErrBack):
			all = false
		case err != nil:
			return err
		case row == len(layouts):
			all = true
		default:
			try(row)
			c.journal.keep("keyboard", layouts[row].Name)
			return nil
		}
	}
}

func (c *commands) firstText(ctx context.Context, step string) error {
	sizes := console.TextSizes()
	var rows []console.Row
	for _, name := range sizes {
		rows = append(rows, console.Row{Name: strings.ToUpper(name[:1]) + name[1:]})
	}
	set := func(row int) { c.look.set("text", sizes[row]) }
	row, err := c.look.display.Choose(ctx, console.Menu{Title: step, Intro: "How large is the text to be?\nAs you choose, all text changes its size.", Rows: func() []console.Row { return rows },
		Choice: max(slices.Index(sizes, c.look.text), 0), Chosen: set})
	if err == nil {
		set(row)
	}
	return err
}

func (c *commands) firstModel(ctx context.Context, step string) error {
	list, err := c.library.files.List()
	if err != nil {
		c.ui.Error(sentence(err))
	}
	var models []engine.ModelFile
	var rows []console.Row
	for _, m := range list {
		row := c.modelRow(m)
		if !c.library.talks(m) {
			continue
		}
		if m.BuiltIn {
			row = console.Row{Name: "The small guide", Value: row.Value, Help: "knows AlphaOS, and little else"}
		}
		models, rows = append(models, m), append(rows, row)
	}
	if len(models) == 0 {
		return nil // it is told when one is to be loaded
	}
	notes := slices.Clone(c.measured)
	if len(models) == 1 && models[0].BuiltIn {
		notes = append(notes, console.Note{Name: "Others", Text: copyModel, Style: console.Notice})
	}
	at, budget := -1, c.library.options.LLM.Budget
	for i, m := range models { // the largest that fits
		if !m.BuiltIn && (budget == 0 || m.Size <= budget) && (at < 0 || m.Size > models[at].Size) {
			at = i
		}
	}
	row, err := c.look.display.Choose(ctx, console.Menu{Title: step, Intro: "Which model do you want to talk to?\nA larger one knows more, and is slower. /models changes it at any time.", Rows: func() []console.Row { return rows },
		Notes: func() []console.Note { return notes }, Choice: max(at, 0)})
	if err == nil {
		c.library.wanted = models[row].Name
	}
	return err
}
