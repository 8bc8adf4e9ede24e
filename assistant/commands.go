package assistant

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm/gguf"
	"alphaos/store"
)

const help = `Type a message and press Enter. Enter, Ctrl-C or Esc stop an answer; lines that
you type meanwhile are sent when it has ended, unless Ctrl-C or Esc gave them up.

  /set            set parameters, the system prompt, and whether messages are saved
  /show           show the model, memory, parameters or the system prompt
  /models         list the models on this drive
  /load NAME      go on with another model (a number or the beginning of its name will do)
  /clear          begin a new conversation; the old one is kept
  /history        show this conversation and list the others; /history N shows one
  /restart        save everything and restart
  /bye            save everything and shut down; "please shut down" and "goodbye" do the same
  /?, /help       this help`

const setUsage = `  /set parameter NAME VALUE   /? parameters lists them
  /set system TEXT            what the model is told before each conversation; without TEXT nothing
  /set history                save messages (usual)
  /set nohistory              stop saving messages`

const showUsage = `  /show info          the model, the machine, the journal
  /show memory        what takes how much memory
  /show parameters    all parameters and their values
  /show system        the system prompt`

// commandNames are what a mistyped command is compared with.
var commandNames = []string{"/?", "/help", "/set", "/show", "/models", "/load", "/clear", "/history", "/restart", "/bye"}

// command runs a slash command. ended tells that the conversation is over.
func (a *assistant) command(ctx context.Context, line string) (out Outcome, err error, ended bool) {
	if out, leaves := Leaves(line); leaves {
		done, err := a.shutDown()
		return out, err, done
	}
	f := strings.Fields(line)
	rest := strings.TrimSpace(line[len(f[0]):])
	switch strings.ToLower(f[0]) {
	case "/?", "/help":
		switch strings.TrimLeft(strings.ToLower(rest), "/") {
		case "set":
			a.say(setUsage)
		case "show":
			a.say(showUsage)
		case "parameters", "parameter", "set parameter":
			a.parameterHelp()
		default:
			a.say(help)
		}
	case "/set":
		a.set(rest)
	case "/show":
		a.showCommand(rest)
	case "/models", "/list":
		list, err := a.Models.List()
		if err != nil {
			a.UI.Error(sentence(err))
		}
		if len(list) == 0 && err == nil {
			a.say(noModel)
		}
		a.show(list)
	case "/load":
		a.loadCommand(ctx, rest)
	case "/clear":
		a.clear()
	case "/history":
		a.history(ctx, rest)
	default:
		hint := "/? lists the commands."
		for _, name := range commandNames {
			if near(f[0], name) {
				hint = "did you mean " + name + "?"
				break
			}
		}
		a.say(fmt.Sprintf("Unknown command %s: %s", f[0], hint))
	}
	return 0, nil, false
}

// Complete completes what a person typed so far: commands, and what /set and
// /show take. It fits console.Options.Complete.
func Complete(line string) string {
	if !strings.HasPrefix(line, "/") {
		return line
	}
	words := []string{"/set parameter ", "/set system ", "/set history", "/set nohistory",
		"/show info", "/show memory", "/show parameters", "/show system"}
	for _, name := range commandNames {
		words = append(words, name+" ")
	}
	for _, p := range paramHelp {
		words = append(words, "/set parameter "+p.name+" ")
	}
	best := ""
	for _, w := range words {
		if !strings.HasPrefix(w, line) || w == line {
			continue
		}
		if w = w[:nextWord(w, len(line))]; best == "" {
			best = w
		}
		for !strings.HasPrefix(w, best) { // what they have in common
			best = best[:len(best)-1]
		}
	}
	if best == "" {
		return line
	}
	return best
}

// nextWord is where the word at i ends, the space behind it included.
func nextWord(s string, i int) int {
	if n := strings.IndexByte(s[i:], ' '); n >= 0 {
		return i + n + 1
	}
	return len(s)
}

// near tells whether two words differ by at most one letter added, left out
// or changed, or by two swapped, or whether one begins the other.
func near(a, b string) bool {
	a = strings.ToLower(a)
	if len(a) > 2 && strings.HasPrefix(b, a) {
		return true
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) == len(y)+1:
		return x[1:] == y
	case len(x)+1 == len(y):
		return x == y[1:]
	case len(x) == len(y) && len(x) > 0:
		return x[1:] == y[1:] || len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
	}
	return false
}

func (a *assistant) parameterHelp() {
	for _, p := range paramHelp {
		a.fields([]console.Field{{Name: p.name, Value: p.help}})
	}
}

func (a *assistant) set(rest string) {
	what, arg, _ := strings.Cut(rest, " ")
	arg = strings.TrimSpace(arg)
	switch strings.ToLower(what) {
	case "parameter":
		f := strings.Fields(arg)
		if len(f) != 2 {
			a.say("Usage: /set parameter NAME VALUE. The parameters are:")
			a.parameterHelp()
			return
		}
		name := strings.ToLower(f[0])
		if !isParam(name) {
			a.say(fmt.Sprintf("There is no parameter %q. The parameters are:", f[0]))
			a.parameterHelp()
			return
		}
		old := a.params
		if err := a.params.set(name, f[1]); err != nil {
			a.UI.Error(sentence(err))
			return
		}
		if a.params.numCtx != old.numCtx && a.model != nil {
			if err := a.newSession(); err != nil {
				a.UI.Error(sentence(err))
				if a.params = old; a.newSession() != nil {
					a.unload()
					a.UI.Error("There is no memory left for a context: /load a model again.")
				}
				return
			}
		}
		a.say(fmt.Sprintf("Set parameter '%s' to '%s'", name, f[1]))
		a.chosen[name] = f[1]
		a.keep("parameter."+name, f[1])
	case "system":
		arg = strings.Trim(arg, `"`)
		a.talk.System, a.talk.First = arg, 0
		if arg == "" {
			a.say("No system message any more.")
		} else {
			a.say("Set system message.")
		}
		if a.model != nil && a.model.Plain && arg != "" {
			a.UI.Quiet("This model only continues text and doesn't read it.")
		}
		a.keep("system", arg)
	case "history":
		if a.Store == nil {
			a.say("Nothing can be saved in this session.")
			return
		}
		if a.apart {
			if err := a.Store.NewConversation(); err != nil {
				a.UI.Error(sentence(err))
				return
			}
		}
		a.saving, a.apart = true, false
		a.say("Messages are saved from here on.")
	case "nohistory":
		a.saving = false
		a.say("Messages are not saved from here on. /set history saves them again.")
	default:
		a.say("What is to be set?\n" + setUsage)
	}
}

func (a *assistant) showCommand(rest string) {
	switch strings.ToLower(rest) {
	case "info":
		a.info()
	case "memory":
		a.fields(a.memory())
	case "parameters":
		for _, p := range paramHelp {
			a.fields([]console.Field{{Name: p.name, Value: a.params.get(p.name)}})
		}
	case "system":
		if a.talk.System == "" {
			a.say("No system message is set.")
		} else {
			a.say(a.talk.System)
		}
	default:
		a.say("What is to be shown?\n" + showUsage)
	}
}

func (a *assistant) info() {
	if a.model == nil {
		a.say("  no model is loaded")
	} else {
		used, size := a.model.Context()
		f := append([]console.Field{{Name: "model", Value: gguf.PlainName(a.name)}}, a.model.Describe()...)
		a.fields(append(f, console.Field{Name: "context", Value: fmt.Sprintf("%d of %d tokens in use", used, size)}))
	}
	if a.Store != nil {
		used, total := a.Store.Usage()
		state := ""
		if a.Store.Degraded() {
			state = "; some of it is stored only once because the drive fails in places: copy it soon"
		}
		a.fields([]console.Field{{Name: "journal", Value: fmt.Sprintf("%d of %d KiB used%s", used>>10, total>>10, state)}})
	}
	if a.About != nil {
		a.fields(a.About())
	}
}

// fields shows a list of facts.
func (a *assistant) fields(list []console.Field) {
	for _, f := range list {
		a.say("  " + f.String())
	}
}

// memory is what /show memory shows.
func (a *assistant) memory() []console.Field {
	var m ModelMemory
	if a.model != nil {
		m.Weights, m.Cache = a.model.Memory()
	}
	if a.Memory != nil {
		return a.Memory(m)
	}
	return []console.Field{{Name: "weights", Value: console.Bytes(m.Weights)}, {Name: "KV cache", Value: console.Bytes(m.Cache)}}
}

func (a *assistant) loadCommand(ctx context.Context, want string) {
	if want == "" {
		a.say("Which model? /load NAME or /load NUMBER; /models lists them.")
		return
	}
	list, err := a.Models.List()
	if err != nil {
		a.UI.Error(sentence(err))
	}
	file, err := engine.Find(list, want)
	if err != nil {
		a.UI.Error(sentence(err))
		return
	}
	if a.load(ctx, file) == nil && a.name == file.Name {
		a.prefer(file)
		a.UI.Quiet("Going on with " + gguf.PlainName(file.Name) + ".")
	} else {
		a.UI.Quiet("/models lists the models, /load NAME chooses another.")
	}
}

// clear begins a new conversation.
func (a *assistant) clear() {
	if a.saving {
		if err := a.Store.NewConversation(); err != nil {
			a.UI.Error("A new conversation could not be begun: " + fs.Explain(err))
			return
		}
	}
	a.apart = !a.saving
	a.talk.Turns, a.before, a.talk.First = nil, 0, 0
	if a.model != nil {
		a.model.Forget()
	}
	a.UI.Clear()
	if a.saving {
		a.UI.Quiet("A new conversation. The earlier ones are kept: /history.")
	} else {
		a.UI.Quiet("A new conversation.")
	}
}

// history shows the current conversation and lists all, or shows one.
func (a *assistant) history(ctx context.Context, rest string) {
	if a.Store == nil {
		if a.before > 0 {
			a.UI.Quiet("The first " + count(a.before, "message is", "messages are") + " not kept.")
		}
		for _, t := range a.talk.Turns {
			a.recall(store.Message{Role: t.Role, Text: t.Text}, 0)
		}
		if len(a.talk.Turns) == 0 {
			a.say("Nothing was said yet.")
		}
		return
	}
	list := a.Store.Conversations()
	if rest != "" {
		n, err := strconv.Atoi(rest)
		msgs := a.Store.Messages(n)
		if err != nil || msgs == nil {
			a.say(fmt.Sprintf("There is no conversation %q; /history lists them.", rest))
			return
		}
		a.recite(ctx, msgs)
		return
	}
	current := a.Store.Conversation()
	if len(current) > 0 && len(list) > 0 {
		list = list[:len(list)-1]
	}
	if len(list) == 0 && len(current) == 0 {
		a.say("Nothing was said yet.")
		return
	}
	if len(list) > 0 {
		a.say("Earlier conversations (/history N shows one):")
		for _, c := range list {
			a.say(fmt.Sprintf("%3d  %s  %s (%s)", c.ID, a.when(c.Updated), c.Title, count(c.Messages, "message", "messages")))
		}
	}
	if len(current) > 0 {
		a.say("This conversation:")
		a.recite(ctx, current)
	}
	if !a.saving {
		a.UI.Quiet("What was said after /set nohistory is not saved and not shown.")
	}
}

// recite shows a conversation, which may be years long: it can be stopped like an
// answer.
func (a *assistant) recite(ctx context.Context, msgs []store.Message) {
	ctx, done := a.UI.StopContext(ctx)
	defer done()
	day := ""
	for i, m := range msgs {
		if ctx.Err() != nil {
			a.UI.Quiet("Stopped. " + count(len(msgs)-i, "message more", "messages more"))
			return
		}
		if d := m.Time.In(a.Now().Location()).Format("2 January 2006"); d != day {
			day = d
			a.UI.Quiet(d)
		}
		a.recall(m, 0)
	}
}
