// Package assistant is the conversation between a person and a model: turns,
// slash commands, settings, the choice of a model, recovery and safe shutdown.
//
// Data travels one way: a line from the [UI] is journalled in the store, only
// then is it given to the model, and the answer goes token by token to the UI
// and piece by piece to the journal. The assistant never says that something
// is saved when the store did not confirm it, and never has a model answer a message
// that should be saved and could not be.
//
// The conversation of the last session is always gone on with, whether that
// session ended cleanly or not; /clear begins a new one.
package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/gguf"
	"alphaos/store"
)

// Prompt and Speaker begin a person's line and an answer.
const (
	Prompt  = "you> "
	Speaker = "alpha> "
)

// UI is the terminal that the assistant talks through. [Terminal] makes one of
// a console.
type UI interface {
	io.Writer
	// ReadLine returns a line without its end. io.EOF ends the session;
	// console.ErrInterrupted (Ctrl-C) does not.
	ReadLine(prompt string) (string, error)
	// Ask is ReadLine for the answer to a question, for which nothing is taken
	// that was typed before it was asked: that waits for the next ReadLine.
	Ask(question string) (string, error)
	// Waiting is how many lines were typed that ReadLine has not returned yet.
	Waiting() int
	// Drop gives these up, and tells the person.
	Drop()
	// Quiet shows a dim line of its own.
	Quiet(text string)
	// Notice and Error show a line of its own that asks for attention, or
	// tells of a failure.
	Notice(text string)
	Error(text string)
	Progress(title string, total int64) engine.Progress
	// BeginAnswer begins an answer: what is written next stands beside Speaker.
	BeginAnswer()
	// StopContext returns a context that ends when the person wants the
	// answer to stop. The function ends the watch and must be called.
	StopContext(ctx context.Context) (context.Context, func())
	Clear()
	// Replay shows what was said earlier as it looked then; who is Prompt or
	// Speaker. note, unless it is empty, tells what became of it.
	Replay(who, text, note string)
	// AddHistory makes earlier messages available to whoever types.
	AddHistory(lines ...string)
}

// Terminal makes a UI of a console.
func Terminal(c *console.Console) UI { return terminal{c} }

type terminal struct{ *console.Console }

func (t terminal) Progress(title string, total int64) engine.Progress {
	return t.Console.Progress(title, total)
}

// Outcome says how a conversation ended. In each case everything is saved, or
// the person was told what is not.
type Outcome int

const (
	Shutdown Outcome = iota // the machine is to be switched off
	Restart                 // the machine is to be restarted
	EOF                     // the input ended, or the context was cancelled
)

// Config says what an assistant works with. UI and Models are needed.
type Config struct {
	UI       UI
	Models   engine.Models
	Store    *store.Store           // nil: nothing is saved, which is said
	Recovery store.Recovery         // what store.Open found
	NoStore  error                  // why Store is nil; nil when that is intended
	State    store.Medium           // where the model's memory of the conversation is kept between sessions; nil: nowhere
	LLM      llm.Options            // Progress is overwritten
	Drive    func() error           // tells whether the drive of the Store is there; nil: it always is
	Default  string                 // name of the model to begin with; "": the one used last, else the first that answers
	Params   map[string]string      // parameters as /set parameter knows them; they go before saved ones
	System   string                 // system prompt when none was set
	Raw      bool                   // ignore the model's chat template: every model continues text
	About    func() []console.Field // more for /show info; may be nil
	Loaded   func(Load)             // called when a model was loaded; may be nil

	// Before may answer a message by rule, so that the model in use is not asked;
	// nil: the model answers all.
	Before func(m llm.Info, message string) (answer string, ok bool)

	// Memory returns what /show memory shows for a model that takes so many
	// bytes; nil: only these are shown.
	Memory func(ModelMemory) []console.Field

	Now func() time.Time // nil: time.Now

	open  func(r engine.ModelReader, o engine.Options) (*engine.Model, error) // for tests
	check func(f *gguf.File) error                                            // for tests
}

// Load tells how a model was loaded.
type Load struct {
	Info llm.Info
	Time time.Duration // from opening the file to the first possible prompt
}

// ModelMemory is what the loaded model takes, in bytes.
type ModelMemory struct {
	Weights int64
	Cache   int64 // keys and values of its context
}

// assistant is the state of a conversation.
type assistant struct {
	Config
	saving bool // messages go to the store

	name    string // of the model; "" while there is none
	model   *engine.Model
	file    engine.ModelReader          // of model
	remarks map[engine.ModelFile]string // what was found about models: see remark

	talk   engine.Conversation // the end of this conversation
	before int                 // messages that were said before that
	params params
	chosen map[string]string // parameters that the person set, by name: others are the model's
	warned bool              // told that the journal is nearly full
	apart  bool              // a conversation was begun while not saving
	secret bool              // something was said while not saving

	unfinished func() error      // saves the end of an answer that could not be saved
	unkept     map[string]string // settings that could not be saved
}

// A conversation may be years long. What is done at the start and for each
// message does not depend on that: of what was said before, only the end is
// shown, looked at and kept at hand here.
const (
	shownTurns = 4    // at the start
	maxHistory = 200  // messages and answers, of which the Up key brings back the messages
	maxTurns   = 4096 // that may come into the context, if that is so large
)

// Run talks until the person shuts down, the input ends or ctx is done. The
// error is not nil when something could not be saved at the end.
func Run(ctx context.Context, c Config) (Outcome, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.check == nil {
		c.check = llm.Check
	}
	if c.open == nil {
		c.open = engine.Load
	}
	a := &assistant{Config: c, saving: c.Store != nil, talk: engine.Conversation{System: c.System}, params: defaultParams(), chosen: map[string]string{}}
	defer a.unload()
	a.welcome()
	out, err := a.converse(ctx)
	if out == EOF {
		if serr := a.save(); serr != nil {
			a.UI.Error("Not everything could be saved: " + fs.Explain(serr))
			err = errors.Join(err, serr)
		} else {
			a.farewell()
		}
	}
	return out, err
}

// welcome begins the session in the store and tells what was found there.
func (a *assistant) welcome() {
	if a.Store == nil {
		if a.NoStore != nil {
			a.UI.Error("Nothing will be saved in this session: " + fs.Explain(a.NoStore))
		}
	} else {
		if err := a.Store.Begin(); err != nil {
			a.UI.Error("Nothing can be saved at the moment: " + fs.Explain(err))
			a.UI.Quiet("Messages are answered only once they are saved. /set nohistory goes on without saving.")
		}
		a.recovered()
		for _, p := range paramHelp {
			if v := a.Store.Setting("parameter." + p.name); v != "" {
				if err := a.choose(p.name, v); err != nil { // an older version may have allowed it
					a.UI.Quiet(sentence(err))
				}
			}
		}
		if s := a.Store.Setting("system"); s != "" {
			a.talk.System = s
		}
		last, total := a.Store.Tail(maxTurns)
		for _, m := range last {
			a.talk.Turns = append(a.talk.Turns, chat.Turn{Role: m.Role, Text: m.Text})
		}
		a.before = total - len(last)
		for _, t := range a.talk.Turns[max(0, len(a.talk.Turns)-maxHistory):] {
			if t.Role == store.User {
				a.UI.AddHistory(t.Text)
			}
		}
		a.nearlyFull()
	}
	for name, v := range a.Params {
		if err := a.choose(name, v); err != nil {
			a.UI.Error(sentence(err))
		}
	}
}

// recovered tells what Open found, and recalls the conversation.
func (a *assistant) recovered() {
	r := a.Recovery
	if n := len(r.Holes); n > 0 {
		h := r.Holes[0]
		when := "before " + a.when(h.Before)
		if !h.After.IsZero() {
			when = "between " + a.when(h.After) + " and " + a.when(r.Holes[n-1].Before)
		}
		a.UI.Error(fmt.Sprintf("The journal is damaged: %s from %s can't be read any more. Everything else is kept.",
			count(int(r.Lost()), "entry", "entries"), when))
	}
	if r.Repaired > 0 {
		a.UI.Quiet(fmt.Sprintf("%s of the journal could not be read in one of its two copies; the other copy has everything.",
			count(r.Repaired, "block", "blocks")))
	}
	if r.Unread > 0 {
		a.UI.Error("The drive fails to read the end of the journal, so what you said last may not be shown. It is not written over: switch off, plug the drive in again and start again to see it.")
	}
	msgs, total := a.Store.Tail(shownTurns)
	switch {
	case r.Unclean && len(msgs) > 0:
		a.UI.Notice("Note: your last session ended unexpectedly. I've recovered your conversation up to " + a.when(r.UpTo) + ".")
	case r.Unclean:
		a.UI.Notice("Note: your last session ended unexpectedly. Nothing had been said in it, so nothing is lost.")
	}
	if len(msgs) == 0 {
		return
	}
	from := 0
	for total > len(msgs) && from < len(msgs)-1 && msgs[from].Role != store.User {
		from++
	}
	head := "Your last conversation"
	if total > len(msgs)-from {
		head = fmt.Sprintf("The end of your last conversation (%d messages, /history shows all)", total)
	}
	a.UI.Quiet(head + ", " + a.when(msgs[len(msgs)-1].Time) + ":")
	for _, m := range msgs[from:] {
		a.recall(m, 600)
	}
	a.say("") // what comes now was not said then
}

// recall shows a message of which the text is cut to limit characters (0: any).
func (a *assistant) recall(m store.Message, limit int) {
	who, note := Prompt, ""
	if m.Role == store.Assistant {
		who = Speaker
	}
	text := []rune(strings.TrimSpace(m.Text))
	if limit > 0 && len(text) > limit {
		text = append(append(text[:limit/2:limit/2], []rune(" […] ")...), text[len(text)-limit/2:]...)
	}
	if m.Partial {
		note = "(cut short)"
	}
	a.UI.Replay(who, string(text), note)
}

func (a *assistant) when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.In(a.Now().Location()).Format("2 January 2006, 15:04:05")
}

// converse chooses a model and answers messages.
func (a *assistant) converse(ctx context.Context) (Outcome, error) {
	if out, err, ended := a.chooseFirst(ctx); ended {
		return out, err
	}
	if len(a.talk.Turns) == 0 {
		a.UI.Quiet("Type a message, or /? for help.")
	}
	for ctx.Err() == nil {
		line, err := a.readLine(ctx)
		if errors.Is(err, console.ErrInterrupted) {
			a.UI.Quiet("To shut down, type /bye.")
			continue
		}
		if err != nil {
			if err != io.EOF {
				return EOF, err
			}
			return EOF, nil
		}
		text := strings.TrimSpace(line)
		switch {
		case text == "":
		case isShutdown(text):
			if ok, err := a.shutDown(); ok {
				return Shutdown, err
			}
		case strings.HasPrefix(text, "/"):
			if out, err, ended := a.command(ctx, text); ended {
				return out, err
			}
		default:
			a.answer(ctx, text)
		}
	}
	return EOF, nil
}

// readLine waits for a line; meanwhile the model reads what it has not yet.
func (a *assistant) readLine(ctx context.Context) (string, error) {
	defer a.warm(ctx)()
	return a.UI.ReadLine(Prompt)
}

// save writes what could not be saved before and ends the session in the
// store.
func (a *assistant) save() error {
	if a.Store == nil {
		return nil
	}
	if err := a.finish(); err != nil {
		return err
	}
	for name, value := range a.unkept {
		if err := a.Store.Set(name, value); err != nil {
			return err
		}
	}
	if err := a.Store.End(); err != nil {
		return err
	}
	if a.State != nil && a.model != nil && !a.secret && len(a.talk.Turns) > 0 {
		progress := func(total int64) engine.Progress { return a.UI.Progress("Saving what the model remembers", total) }
		if err := a.model.SaveState(a.State, progress); err != nil {
			a.UI.Quiet("What the model remembers could not be saved, so it will read the conversation again: " + fs.Explain(err))
		}
	}
	return nil
}

// finish saves the end of the last answer if that is still to be done.
func (a *assistant) finish() error {
	if a.unfinished == nil {
		return nil
	}
	if err := a.unfinished(); err != nil {
		return err
	}
	a.unfinished = nil
	return nil
}

// keep saves a setting and tells when that fails.
func (a *assistant) keep(name, value string) {
	if a.Store == nil {
		return
	}
	if err := a.Store.Set(name, value); err != nil {
		if a.unkept == nil {
			a.unkept = map[string]string{}
		}
		a.unkept[name] = value
		a.UI.Error("This was not saved (it is tried again when you shut down): " + fs.Explain(err))
		return
	}
	delete(a.unkept, name)
}

func (a *assistant) farewell() {
	switch {
	case a.Store == nil:
		a.say("Nothing was saved in this session. Goodbye.")
	case a.secret:
		a.say("All data saved, except what was said after /set nohistory. Goodbye.")
	default:
		a.say("All data saved. Goodbye.")
	}
}

// shutDown saves everything and says goodbye. When saving fails, or more was
// typed that nobody has read yet, as when a pasted letter has a line "Goodbye",
// the person decides.
func (a *assistant) shutDown() (bool, error) {
	if n := a.UI.Waiting(); n > 0 {
		a.UI.Notice("You typed or pasted more behind this: " + count(n, "line is", "lines are") + " not sent yet.")
		if !a.leaveAnyway() {
			return false, nil
		}
	}
	err := a.save()
	if err == nil {
		a.farewell()
		return true, nil
	}
	a.UI.Error("Not everything could be saved: " + fs.Explain(err))
	if a.leaveAnyway() {
		return true, err
	}
	return false, nil
}

// leaveAnyway asks. Where nobody can answer any more, that is a yes.
func (a *assistant) leaveAnyway() bool {
	line, err := a.UI.Ask("Shut down anyway? (yes or no) ")
	if errors.Is(err, console.ErrInterrupted) {
		return false
	}
	return err != nil || strings.EqualFold(strings.TrimSpace(line), "yes")
}

// say shows a line of plain text.
func (a *assistant) say(text string) { fmt.Fprintln(a.UI, text) }

// Leaves tells whether a line that a person types asks to switch off or to
// restart.
func Leaves(line string) (out Outcome, ok bool) {
	word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch strings.ToLower(word) {
	case "/bye", "/exit", "/quit":
		return Shutdown, true
	case "/restart":
		return Restart, true
	}
	return Shutdown, isShutdown(line)
}

// isShutdown tells whether a message asks to shut down, and nothing else.
func isShutdown(text string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return strings.ContainsRune(" \t.,!?;:…'’\"", r)
	})
	for len(words) > 0 && (words[0] == "please" || words[0] == "ok" || words[0] == "okay" || words[0] == "alpha") {
		words = words[1:]
	}
	for n := len(words); n > 1 && (words[n-1] == "please" || words[n-1] == "now" || words[n-1] == "alpha"); n-- {
		words = words[:n-1]
	}
	switch strings.Join(words, " ") {
	case "shut down", "shutdown", "goodbye", "good bye", "good-bye":
		return !strings.HasPrefix(text, "/")
	}
	return false
}

// nearlyFull warns once when nine tenths of the journal are used.
func (a *assistant) nearlyFull() {
	if a.Store == nil || a.warned {
		return
	}
	if used, total := a.Store.Usage(); used > total/10*9 {
		a.warned = true
		a.UI.Notice(fmt.Sprintf("Note: the journal is nearly full (%d%%). Make a drive with a larger one soon; when it is full, new messages are refused.", used*100/total))
	}
}

// sentence makes an error a sentence: a capital letter first, a full stop last.
func sentence(err error) string {
	s := fs.Explain(err)
	if word, _, _ := strings.Cut(s, " "); strings.ContainsAny(word, "_./") {
		return s // a name, not a word
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
