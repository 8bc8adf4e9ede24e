package assistant

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"alphaos/console"
	"alphaos/fs"
	"alphaos/llm/gguf"
)

const helpText = `Type a message and press Enter. Enter, Ctrl-C or Esc stop an answer; lines that
you type meanwhile are sent when it has ended, unless Ctrl-C or Esc gave them up.

  /retry          answer the last message once more; /edit TEXT changes the message
  /clear, /new    begin a new conversation; the old one is kept
  /conversations  list the conversations; /open N goes on with one, /find WORDS searches
  /history        show this conversation and list the others; /history N shows one
  /export         write this conversation to the drive; /save N FILE a block of code of it
  /backup         list the backups of all conversations; /backup now makes one
  /documents      list the documents on the drive; so does "show my documents"
  /search WORDS   search them; /sources shows what the last answer comes from
  /memory         what you told to remember; "remember that ..." adds to it
  /settings       text size, theme, keyboard, clock, model; /first-start asks again
  /set            set parameters, system prompt, screen, keyboard, time zone; save messages or not
  /show           show the model, memory, parameters or the system prompt
  /models         list the models on this drive; /models all also those on other drives,
                  /models verify compares them, fonts and program with what was signed
  /load NAME      go on with another model (a number or the beginning of its name will do)
  /think          have the model think first, if it can; /nothink not; /thoughts shows its thoughts
  /raw            show answers as they came, or laid out again
  /check          check that memory, the model's file and the journal are as they should be
  /report         write a report about this machine, without anything about you, to the drive
  /restart        save everything and restart; so does "restart"
  /bye            save everything and shut down; "please shut down" and "goodbye" do the same
  /?, /help       this help; /? conversations and /? documents tell all about these`

const conversationsUsage = `  /conversations      lists the last ones; with all, all; with WORDS, those that have them in
                      title or time
  /open N             goes on with one of them; a word of its title will do
  /find WORDS         looks for messages that have all WORDS, or "THE VERY WORDS"
  /rename TITLE       gives this one a title; /rename N TITLE another one
  /delete             deletes this one; /delete N another one
  /retry              answers the last message once more
  /answers N          goes back to an earlier answer to it; without N lists them
  /edit TEXT          says TEXT in the place of the last message; without TEXT types that
  /forget             deletes the last message and its answer; so does "forget that"
  /export N FORM      writes N, or this one, to the drive; FORM is md (usual) or json
  /save N FILE        saves the N-th block of code among your documents; without N the last one
  /copy N             types that block for you`

const setUsage = `  /set parameter NAME VALUE   /? parameters lists them
  /set system TEXT            what the model is told before each conversation; without TEXT nothing
  /set timezone +02:00        how far your time is ahead of UTC; without a number forgotten
  /set keyboard NAME          the layout of your keyboard; without NAME lists them
  /set theme NAME             how the screen looks: night, day or contrast
  /set text SIZE              how large the text is: small, normal, large or huge
  /set width COLUMNS          how wide prose is: 60, 80, 100 or as wide as the screen
  /set history                save messages (usual)
  /set nohistory              stop saving messages`

const showUsage = `  /show info          the model, the machine, the journal
  /show memory        what takes how much memory
  /show parameters    all parameters and their values
  /show system        the system prompt`

// Machine tells what there is to know of the machine.
type Machine interface {
	About() []console.Field             // more for /show info
	Memory(ModelMemory) []console.Field // for /show memory, with a model that takes so many bytes
	Loaded(Load)                        // a model was loaded
	Sections() []Section                // of a report
}

// unknown is a machine of which there is nothing to tell.
type unknown struct{}

func (unknown) About() []console.Field { return nil }
func (unknown) Loaded(Load)            {}
func (unknown) Sections() []Section    { return nil }
func (unknown) Memory(m ModelMemory) []console.Field {
	return []console.Field{{Name: "weights", Value: console.Bytes(m.Weights)}, {Name: "KV cache", Value: console.Bytes(m.Cache)}}
}

// ModelMemory is what the loaded model takes, in bytes.
type ModelMemory struct {
	Weights int64
	Cache   int64 // keys and values of its context
}

// commands are what a person can do besides talking.
type commands struct {
	ui          UI
	begin       <-chan struct{} // Config.Begin; nil: it has come
	machine     Machine
	setTimezone func(text string) error // Config.SetTimezone
	journal     *journal
	past        *past
	talk        *conversation
	filing      *filing
	spare       *spare
	shelf       *shelf
	remembered  *notebook
	library     *library
	keys        *keys
	drive       Drive
	look        *look
	measured    []console.Note // of the machine and its drive, at the first start
}

// run runs a slash command. ended means that the conversation is over.
func (c *commands) run(ctx context.Context, line string) (out Outcome, err error, ended bool) {
	if out, leaves := Leaves(line); leaves {
		done, err := c.talk.shutDown(out)
		return out, err, done
	}
	f := strings.Fields(line)
	rest := strings.TrimSpace(line[len(f[0]):])
	switch strings.ToLower(f[0]) {
	case "/?", "/help":
		switch strings.TrimLeft(strings.ToLower(rest), "/") {
		case "set":
			say(c.ui, setUsage)
		case "show":
			say(c.ui, showUsage)
		case "conversations", "open", "find", "rename", "delete", "retry", "answers", "edit", "forget", "export", "save", "copy":
			say(c.ui, conversationsUsage)
		case "documents", "search", "sources", "use":
			say(c.ui, documentsUsage)
		case "memory":
			say(c.ui, memoryUsage)
		case "parameters", "parameter", "set parameter":
			c.parameterHelp()
		default:
			say(c.ui, helpText)
		}
	case "/set":
		c.set(rest)
	case "/settings":
		c.settingsMenu(ctx)
	case "/first-start":
		before := c.library.wanted
		c.firstStart(ctx)
		if want := c.library.wanted; want != before && want != c.talk.name {
			c.choose(ctx, want)
		}
	case "/show":
		c.show(rest)
	case "/models", "/list":
		word, more, _ := strings.Cut(rest, " ")
		switch {
		case strings.EqualFold(word, "verify"):
			c.verify(ctx, strings.TrimSpace(more))
		case strings.EqualFold(rest, "all"):
			c.library.listAll()
		case c.look.display.AtScreen():
			c.modelsMenu(ctx)
		default:
			c.library.list()
		}
	case "/load":
		c.choose(ctx, rest)
	case "/clear", "/new":
		c.clear()
	case "/history":
		c.recall(ctx, rest)
	case "/retry":
		c.talk.retry(ctx)
	case "/answers":
		c.talk.answers(rest)
	case "/edit":
		c.talk.edit(ctx, rest)
	case "/forget":
		c.talk.unsay()
	case "/conversations", "/open", "/rename", "/delete", "/find":
		if strings.EqualFold(f[0], "/open") && c.openPassage(ctx, rest) {
			break
		}
		c.shelf.found = nil // /open N means a conversation from here on
		if c.journal.store == nil {
			say(c.ui, "Nothing is saved in this session, so there is only this conversation.")
			break
		}
		switch strings.ToLower(f[0]) {
		case "/conversations":
			if rest == "" && c.look.display.AtScreen() {
				c.conversationsMenu(ctx)
			} else {
				c.conversations(ctx, rest)
			}
		case "/open":
			c.open(rest)
		case "/rename":
			c.rename(rest)
		case "/delete":
			c.delete(rest)
		case "/find":
			c.find(ctx, rest)
		}
	case "/export":
		c.export(rest)
	case "/backup":
		c.backup(ctx, rest)
	case "/save":
		c.saveCode(rest)
	case "/copy":
		c.copyCode(rest)
	case "/documents":
		c.documents(ctx, rest)
	case "/memory":
		c.memoryCommand(rest)
	case "/search":
		c.search(ctx, rest)
	case "/sources":
		c.sources(ctx)
	case "/use":
		c.useDocument(ctx, rest)
	case "/think", "/nothink":
		c.think(strings.ToLower(f[0]) == "/think")
	case "/thoughts":
		c.talk.showThoughts()
	case "/raw":
		c.look.toggleRaw()
	case "/check":
		c.check(ctx)
	case "/report":
		c.report(ctx)
	default:
		hint := "/? lists the commands."
		for _, name := range commandNames {
			if near(f[0], name) {
				hint = "did you mean " + name + "?"
				break
			}
		}
		say(c.ui, fmt.Sprintf("Unknown command %s: %s", f[0], hint))
	}
	return 0, nil, false
}

func (c *commands) parameterHelp() {
	for _, p := range paramHelp {
		show(c.ui, console.Field{Name: p.name, Value: p.help})
	}
}

func (c *commands) set(rest string) {
	what, arg, _ := strings.Cut(rest, " ")
	arg = strings.TrimSpace(arg)
	switch strings.ToLower(what) {
	case "parameter":
		f := strings.Fields(arg)
		if len(f) != 2 {
			say(c.ui, "Usage: /set parameter NAME VALUE. The parameters are:")
			c.parameterHelp()
			return
		}
		name := strings.ToLower(f[0])
		if !isParam(name) {
			say(c.ui, fmt.Sprintf("There is no parameter %q. The parameters are:", f[0]))
			c.parameterHelp()
			return
		}
		if !c.setParameter(name, f[1]) {
			return
		}
		say(c.ui, fmt.Sprintf("Set parameter '%s' to '%s'", name, f[1]))
		c.journal.keep("parameter."+name, f[1])
	case "system":
		arg = strings.Trim(arg, `"`)
		c.talk.instruct(arg)
		if arg == "" {
			say(c.ui, "No system message any more.")
		} else {
			say(c.ui, "Set system message.")
		}
		if c.talk.model != nil && c.talk.model.Plain && arg != "" {
			c.ui.Quiet("This model only continues text and doesn't read it.")
		}
		c.journal.keep("system", arg)
	case "timezone":
		c.zone(arg)
	case "keyboard":
		c.keys.set(arg)
	case "theme", "text", "width":
		c.look.set(strings.ToLower(what), strings.ToLower(arg))
	case "history":
		if c.journal.store == nil {
			say(c.ui, "Nothing can be saved in this session.")
			return
		}
		if err := c.journal.resume(); err != nil {
			c.ui.Error(sentence(err))
			return
		}
		say(c.ui, "Messages are saved from here on.")
	case "nohistory":
		c.journal.saving = false
		say(c.ui, "Messages are not saved from here on. /set history saves them again.")
	default:
		say(c.ui, "What is to be set?\n"+setUsage)
	}
}

// timezoneSetting is the name under which the time zone is kept.
const timezoneSetting = "timezone"

// zone takes the person's time zone.
func (c *commands) zone(text string) {
	if c.setTimezone == nil {
		say(c.ui, "This computer's own system knows the time zone: set it there.")
		return
	}
	if err := c.setTimezone(text); err != nil {
		c.ui.Error(fmt.Sprintf("%q %v.", text, err))
		return
	}
	say(c.ui, c.past.now().Format("It is 15:04 on 2 January 2006, UTC-07:00."))
	c.journal.keep(timezoneSetting, text)
}

// setParameter sets a parameter; a new num_ctx takes a new context. When that
// cannot be, it tells the person, and all stays as it was.
func (c *commands) setParameter(name, value string) bool {
	s := c.talk.settings
	old := *s
	old.chosen = maps.Clone(s.chosen)
	if err := s.set(name, value); err != nil {
		c.ui.Error(sentence(err))
		return false
	}
	if c.talk.model != nil && name == "think" && !c.talk.model.SetThinking(s.think) && s.think != nil {
		c.ui.Notice("This model knows no switch for its thoughts: it does as it was made to. The setting counts for others.")
	}
	if s.numCtx == old.numCtx || c.talk.model == nil {
		return true
	}
	err := c.talk.begin()
	if err == nil {
		return true
	}
	c.ui.Error(sentence(err))
	if *s = old; c.talk.begin() != nil {
		c.library.unload()
		c.ui.Error("There is no memory left for a context: /load a model again.")
	}
	return false
}

// think has models think before they answer, or not.
func (c *commands) think(on bool) {
	value, will := "off", "answers at once"
	if on {
		value, will = "on", "thinks before it answers"
	}
	if c.setParameter("think", value) && (c.talk.model == nil || c.talk.model.SetThinking(c.talk.settings.think)) {
		c.ui.Quiet("From now on the model " + will + ".")
	}
}

// show runs /show.
func (c *commands) show(rest string) {
	switch strings.ToLower(rest) {
	case "info":
		c.info()
	case "memory":
		c.memory()
	case "parameters":
		for _, p := range paramHelp {
			show(c.ui, console.Field{Name: p.name, Value: c.talk.settings.get(p.name)})
		}
	case "system":
		if s := c.talk.said.System; s != "" {
			say(c.ui, s)
		} else {
			say(c.ui, "No system message is set.")
		}
	default:
		say(c.ui, "What is to be shown?\n"+showUsage)
	}
}

func (c *commands) info() {
	if m := c.talk.model; m == nil {
		say(c.ui, "  no model is loaded")
	} else {
		used, size := m.Context()
		show(c.ui, console.Field{Name: "model", Value: gguf.PlainName(c.talk.name)})
		show(c.ui, m.Describe()...)
		show(c.ui, console.Field{Name: "context", Value: fmt.Sprintf("%d of %d tokens in use", used, size)})
	}
	if s := c.journal.store; s != nil {
		used, total := s.Usage()
		state := ""
		if s.Degraded() {
			state = "; some of it is stored only once because the drive fails in places: copy it soon"
		}
		show(c.ui, console.Field{Name: "journal", Value: fmt.Sprintf("%d of %d KiB used%s", used>>10, total>>10, state)})
	}
	show(c.ui, c.machine.About()...)
}

func (c *commands) memory() {
	var m ModelMemory
	if c.talk.model != nil {
		m.Weights, m.Cache = c.talk.model.Memory()
	}
	show(c.ui, c.machine.Memory(m)...)
	if l := c.shelf.known; l != nil {
		show(c.ui, console.Field{Name: "documents", Value: console.Bytes(l.Memory()) + ", about"})
	}
}

// clear begins a new conversation.
func (c *commands) clear() {
	if err := c.journal.newConversation(); err != nil {
		c.ui.Error("A new conversation could not be begun: " + fs.Explain(err))
		return
	}
	c.talk.clear()
	c.ui.Clear()
	if c.journal.saving {
		c.ui.Quiet("A new conversation. The earlier ones are kept: /conversations.")
	} else {
		c.ui.Quiet("A new conversation.")
	}
}

// recall runs /history.
func (c *commands) recall(ctx context.Context, rest string) {
	switch {
	case c.journal.store == nil:
		c.past.unsaved(c.talk.said.Turns, c.talk.earlier)
	case rest != "":
		c.past.one(ctx, rest)
	default:
		c.past.all(ctx, c.journal.saving)
	}
}
