package assistant

// The screens that are menus: settings, models, conversations. Whoever sits at a serial line has the commands that do
// the same, and lists; /settings is a menu there, too, as plain lines.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm/gguf"
	"alphaos/store"
)

// choice is a row of the settings.
type choice struct {
	head   string // the rows from here on stand below it
	name   string
	values func() (list []string, at int) // what it can be; at -1: it is something else
	set    func(i int)                    // nil: it can't be changed by the arrows
	help   func() string                  // nil: none
	edit   func()                         // what Enter does; nil: nothing more
}

// row is how it stands in the menu: all that it can be, if that is little, and what it is in brackets.
func (x choice) row() console.Row {
	list, at := x.values()
	r := console.Row{Name: x.name, Turns: x.set != nil}
	switch {
	case at >= 0 && len(list) <= 4 && r.Turns:
		all := slices.Clone(list)
		all[at] = "[" + all[at] + "]"
		r.Value = strings.Join(all, "  ")
	case at >= 0:
		r.Value = list[at]
	default:
		r.Value = "as set otherwise"
	}
	if x.help != nil {
		r.Help = x.help()
	}
	return r
}

// turn goes to the next value, or the one before.
func (x choice) turn(by int) {
	list, at := x.values()
	if at < 0 && by < 0 {
		at = 0
	}
	x.set((at + by + len(list)) % len(list))
}

// settings runs /settings.
func (c *commands) settingsMenu(ctx context.Context) {
	choices := c.choices(ctx)
	var heads []console.Row // with the choices below them
	var of []int            // which choice a row is
	for i, x := range choices {
		if x.head != "" {
			if i > 0 {
				heads, of = append(heads, console.Row{Head: true}), append(of, -1)
			}
			heads, of = append(heads, console.Row{Name: x.head, Head: true}), append(of, -1)
		}
		heads, of = append(heads, console.Row{}), append(of, i)
	}
	rows := func() []console.Row {
		list := slices.Clone(heads)
		for i, which := range of {
			if which >= 0 {
				list[i] = choices[which].row()
			}
		}
		return list
	}
	notes := func() []console.Note {
		if c.journal.store == nil {
			return []console.Note{{Name: "Saved", Text: "NOT SAVED: there is no drive to save it on in this session", Style: console.Notice}}
		}
		return []console.Note{{Name: "Saved", Text: "as you go, on this drive"}}
	}
	for at := 0; ; {
		row, err := c.look.display.Choose(ctx, console.Menu{Title: "Settings", Rows: rows, Notes: notes, Choice: at, Filter: true,
			Turn: func(row, by int) { choices[of[row]].turn(by) }})
		if errors.Is(err, errNoDisplay) {
			for _, x := range choices {
				show(c.ui, console.Field{Name: x.name, Value: x.row().Value})
			}
			say(c.ui, "/set changes them: /? set tells how.")
		}
		if err != nil {
			return
		}
		x := choices[of[row]]
		if x.edit == nil {
			return
		}
		x.edit()
		at = row
	}
}

// choices are what can be set here: a terminal has its own size of text, and without a screen nothing has a look.
func (c *commands) choices(ctx context.Context) (list []choice) {
	add := func(x choice) { list = append(list, x) }
	looks, sizes := c.look.display.Adjusts()
	named := func(what string, names []string) choice {
		set, now := func(i int) { c.look.set(what, names[i]) }, func() string { _, to := c.look.setter(what); return *to }
		return choice{values: func() ([]string, int) { return names, slices.Index(names, now()) }, set: set}
	}
	head := "Look"
	if sizes {
		x := named("text", console.TextSizes())
		x.head, x.name, head = head, "Text size", ""
		add(x)
	}
	if looks {
		x := named("theme", console.Themes())
		x.head, x.name = head, "Theme"
		add(x)
		x = named("width", console.Widths())
		x.name, x.help = "Prose is no wider than", func() string { return "columns" }
		add(x)
		add(choice{name: "Answers are shown", values: func() ([]string, int) { return []string{"laid out", "as they came"}, truth(c.look.raw) },
			set: func(i int) { c.look.showRaw(i == 1) }})
	}
	x := choice{head: "You", name: "Keyboard", values: c.keys.names}
	if c.keys.keyboard != nil {
		x.set, x.help = c.keys.choose, func() string { return c.keys.keyboard.Layout().Name }
	}
	add(x)
	x = choice{name: "Clock", values: func() ([]string, int) { return zoneNames, c.zoneAt() }, help: func() string { return c.past.now().Format("15:04") }}
	if c.setTimezone != nil {
		x.set = func(i int) {
			text := zoneText(zones[i])
			if err := c.setTimezone(text); err == nil {
				c.journal.keep(timezoneSetting, text)
			}
		}
	}
	add(x)
	add(choice{head: "Model", name: "Model", values: func() ([]string, int) {
		if c.talk.model == nil {
			return []string{"none"}, 0
		}
		return []string{gguf.PlainName(c.talk.name)}, 0
	}, help: func() string { return "Enter lists the models" }, edit: func() { c.modelsMenu(ctx) }})
	add(choice{name: "Creativity", values: func() ([]string, int) { return []string{"exact", "balanced", "free"}, c.creativityAt() }, set: c.setCreativity,
		help: func() string { return "temperature " + c.talk.settings.get("temperature") }})
	add(choice{name: "What it is told first", values: func() ([]string, int) {
		if c.talk.said.System == "" {
			return []string{"nothing"}, 0
		}
		return []string{strconv.Quote(title(c.talk.said.System))}, 0
	}, help: func() string { return "Enter changes it" }, edit: c.askSystem})
	if c.journal.store != nil {
		add(choice{head: "Safety", name: "Keep conversations", values: func() ([]string, int) { return []string{"yes", "no"}, truth(!c.journal.saving) },
			set: func(i int) {
				if i == 1 {
					c.journal.saving = false
				} else if err := c.journal.resume(); err != nil {
					c.ui.Error(sentence(err))
				}
			}})
	}
	return list
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// zones are what clocks are set to somewhere, in minutes ahead of UTC.
var zones = []int{-720, -660, -600, -570, -540, -480, -420, -360, -300, -240, -210, -180, -120, -60, 0, 60, 120, 180, 210, 240, 270, 300, 330,
	345, 360, 390, 420, 480, 525, 540, 570, 600, 630, 660, 720, 765, 780, 840}

var zoneNames = func() (list []string) {
	for _, z := range zones {
		list = append(list, "UTC"+zoneText(z))
	}
	return list
}()

// zoneText is a zone as /set timezone takes it.
func zoneText(minutes int) string {
	sign := '+'
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	return fmt.Sprintf("%c%02d:%02d", sign, minutes/60, minutes%60)
}

func (c *commands) zoneAt() int {
	_, east := c.past.now().Zone()
	return slices.Index(zones, east/60)
}

// creativities are temperatures; the one of balanced is the model's own.
var creativities = [3]string{"0", "", "1.2"}

func (c *commands) creativityAt() int {
	return slices.Index(creativities[:], c.talk.settings.chosen["temperature"])
}

func (c *commands) setCreativity(i int) {
	s := c.talk.settings
	if creativities[i] != "" {
		c.setParameter("temperature", creativities[i])
	} else {
		delete(s.chosen, "temperature")
		if c.talk.model != nil {
			s.recommend(c.talk.model.Sampling)
		} else {
			s.Temperature = defaultSettings().Temperature
		}
	}
	c.journal.keep("parameter.temperature", creativities[i])
}

// askSystem asks for the system prompt.
func (c *commands) askSystem() {
	say(c.ui, "What is the model told before each conversation? A full stop alone: nothing. Enter alone leaves it.")
	line, err := c.ui.Ask("first> ")
	if line = strings.TrimSpace(line); err != nil || line == "" {
		return
	}
	c.set("system " + strings.TrimSuffix(line, "."[:truth(line == ".")]))
}

// names lists the layouts, and which is in use.
func (k *keys) names() (list []string, at int) {
	if k.keyboard == nil {
		return []string{"read by the system that this runs on"}, 0
	}
	for i, l := range keyboard.Layouts() {
		if l == k.keyboard.Layout() {
			at = i
		}
		list = append(list, l.FullName)
	}
	return list, at
}

// choose goes on with a layout, without a word.
func (k *keys) choose(i int) {
	l := keyboard.Layouts()[i]
	k.keyboard.Use(l)
	k.journal.keep("keyboard", l.Name)
}

// choose loads the model of that name. Whoever cancels that has the list to choose from.
func (c *commands) choose(ctx context.Context, want string) {
	if c.library.choose(ctx, want) {
		c.modelsMenu(ctx)
	}
}

const maxRest = 6 // models that can't talk, of which the menu tells

// modelsMenu runs /models at the screen: Enter loads.
func (c *commands) modelsMenu(ctx context.Context) {
	l := c.library
	list, err := l.files.List()
	if err != nil {
		c.ui.Error(sentence(err))
	}
	places, elsewhere := l.files.(searcher)
	for {
		var rows []console.Row
		var rest []console.Note
		var names []string // of the rows' files
		at := 0
		for _, m := range list {
			row := c.modelRow(m)
			if !l.talks(m) {
				if rest = append(rest, console.Note{Name: row.Name, Text: row.Value + ", " + row.Help + ": not to talk with"}); len(rest) > maxRest {
					rest[maxRest] = console.Note{Name: "and more", Text: "/models all lists all of them"}
					rest = rest[:maxRest+1]
				}
				continue
			}
			if m.Name == c.talk.name {
				at = len(rows)
			}
			rows, names = append(rows, row), append(names, m.Name)
		}
		if elsewhere {
			rows = append(rows, console.Row{Name: "Look on other drives", Help: "which are only read"})
		}
		if len(names) == 0 && !elsewhere {
			say(c.ui, noModel)
			return
		}
		row, err := c.look.display.Choose(ctx, console.Menu{Title: "Models", Rows: func() []console.Row { return rows }, Notes: func() []console.Note { return rest }, Choice: at, Filter: true})
		switch {
		case err != nil:
			return
		case row < len(names):
			if names[row] == c.talk.name || !l.choose(ctx, names[row]) {
				return
			}
			continue
		}
		own, err := l.files.List()
		if err != nil {
			c.ui.Error(sentence(err))
		}
		if l.others, err = places.ListAll(); err != nil {
			c.ui.Quiet(sentence(err))
		}
		list, elsewhere = append(own, l.others...), false
	}
}

// talks tells whether a model whose remark is known is one to talk with, or at least continues text.
func (l *library) talks(m engine.ModelFile) bool {
	what, known := l.remarks[m]
	return known && (what == "" || what == "continues text")
}

// modelRow is a model in the menu: its size, what it is, whether it fits, and how fast it will be.
func (c *commands) modelRow(m engine.ModelFile) console.Row {
	words := c.library.remark(m)
	add := func(s string) {
		if words != "" {
			words += ", "
		}
		words += s
	}
	if c.library.talks(m) {
		switch budget := c.library.options.LLM.Budget; {
		case budget > 0 && m.Size > budget:
			add("larger than memory: slow")
		default:
			add("fits")
			switch pace := c.library.paces[m]; {
			case pace > 200: // faster than anyone reads
				add("very fast")
			case pace > 0:
				add(fmt.Sprintf("about %s tokens/s", rounded(pace)))
			}
		}
	}
	return console.Row{Name: gguf.PlainName(m.Name), Value: console.Bytes(m.Size), Help: words}
}

// rounded is a number with two digits that count.
func rounded(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return strconv.FormatFloat(math.Round(v/unit)*unit, 'f', 0, 64)
}

// conversationsMenu runs /conversations at the screen.
func (c *commands) conversationsMenu(ctx context.Context) {
	h := c.past
	for at := 0; ; {
		list := h.list()
		slices.Reverse(list) // the last one first
		if len(list) == 0 {
			say(c.ui, nothingSaid)
			return
		}
		rows := make([]console.Row, len(list))
		for i, x := range list {
			rows[i] = console.Row{Name: x.Title, Value: x.Updated.In(h.now().Location()).Format("2 Jan 2006, 15:04"), Help: count(x.Messages, "message", "messages")}
			if x.ID == h.here() {
				rows[i].Help += ", here"
			}
		}
		row, err := c.look.display.Choose(ctx, console.Menu{Title: "Conversations", Rows: func() []console.Row { return rows }, Choice: min(at, len(list)-1), Filter: true})
		if err != nil || c.conversationMenu(ctx, list[row]) {
			return
		}
		at = row
	}
}

// conversationMenu asks what is to be done with a conversation. done tells that the person goes on talking.
func (c *commands) conversationMenu(ctx context.Context, x store.Conversation) (done bool) {
	names := []console.Row{{Name: "Go on with it"}, {Name: "Rename"}, {Name: "Export", Help: "as a file on the drive, to be read anywhere"}, {Name: "Delete", Help: "asks first"}}
	said := c.journal.store.Messages(x.ID)
	var notes []console.Note
	for _, m := range said[max(0, len(said)-4):] {
		who := "you"
		if m.Role == store.Assistant {
			who = "alpha"
		}
		notes = append(notes, console.Note{Name: who, Text: excerpt(m.Text, nil)})
	}
	row, err := c.look.display.Choose(ctx, console.Menu{Title: x.Title, Rows: func() []console.Row { return names }, Notes: func() []console.Note { return notes }})
	if err != nil {
		return false
	}
	id := strconv.Itoa(x.ID)
	switch row {
	case 0:
		c.open(id)
		return true
	case 1:
		if line, err := c.ui.Ask(fmt.Sprintf("A new title for %q: ", x.Title)); err == nil && strings.TrimSpace(line) != "" {
			if err := c.journal.store.Rename(x.ID, title(line)); err != nil {
				c.ui.Error("The title could not be saved: " + fs.Explain(err))
				return true
			}
			c.talk.showState()
		}
	case 2:
		c.export(id)
		return true
	case 3:
		c.delete(id)
	}
	return false
}
