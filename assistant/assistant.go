// Package assistant is the conversation between a person and a model: turns,
// slash commands, settings, the choice of a model, recovery and safe shutdown.
//
// Data travels one way: a line from the [UI] is journalled in the store, only
// then is it given to the model, and the answer goes piece by piece to the UI
// and to the journal. The assistant never says that something is saved unless the
// store confirmed it. While the drive takes nothing the conversation goes on in memory, which the person
// is told, and is saved when it takes it.
//
// The conversation of the last session is always continued, whether that session
// ended cleanly or not; /clear begins a new one.
//
// Each file knows only those below it:
//
//	assistant.go     what a session is made of, its start and its loop
//	commands.go      what a person can do besides talking
//	setup.go         the first start
//	menus.go         settings, models and conversations as screens to choose from
//	complete.go      the names of the commands, and typing them
//	models.go        choosing and loading a model
//	flight.go        what to expect of a model, before it is loaded
//	conversations.go which conversations there are: going on with one, deleting, finding
//	files.go         what is written to and read from the drive as files
//	documents.go     the person's documents: which there are, searching them, sources
//	check.go         whether memory and drive are as they should be
//	report.go        a report about the machine
//	mask.go          what strangers need not know
//	display.go       the bars around the conversation, and how the screen looks
//	leave.go         shutting down, with everything saved
//	phrases.go       messages that mean a command
//	again.go         another answer, another message, none at all
//	answer.go        a message is saved, answered, and the answer saved
//	conversation.go  the turns, and the model that reads them
//	history.go       showing what was said
//	memory.go        what is to be remembered, whatever conversation goes on
//	citer.go         which passages an answer comes from
//	shelf.go         what the documents say to a question
//	filing.go        files of conversations and a database, for other computers
//	spare.go         what is done in a spare moment: deletions, backups
//	journal.go       what is saved
//	unsaved.go       what can't be saved yet, and what is said then
//	settings.go      parameters
//	keyboard.go      the layout of the keyboard
//	ui.go            the terminal
package assistant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"time"

	"alphaos/archive"
	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/drive"
	"alphaos/drive/manifest"
	"alphaos/engine"
	"alphaos/llm"
	"alphaos/store"
)

// Config says what an assistant works with. UI and Models are required.
type Config struct {
	UI      UI
	Models  engine.Models
	Engine  engine.Options // how models are loaded; LLM.Progress, LLM.Expect and Now are overwritten
	Drive   Drive
	Start   Start
	Keys    *keyboard.Keyboard // whose layout can be chosen; nil: another system reads the keys
	Machine Machine            // nil: there is nothing to tell of it
	Display Display            // nil: there is no screen around the conversation
	Now     func() time.Time   // nil: time.Now

	// SetTimezone tells the machine the person's time zone, as "+02:00", or "" to forget it; nil:
	// it needs nobody to tell. The error is a clause about the text.
	SetTimezone func(text string) error

	// Before may answer a message by rule, without asking the model; nil: the model
	// answers all messages.
	Before func(m llm.Info, message string) (answer string, ok bool)

	// Begin, unless it is nil, is closed when the person may be asked: something else has the keys before. A
	// model is loaded meanwhile.
	Begin <-chan struct{}
	// Flight is told what is to be expected of the model that is loaded, and how far that is; nil: nobody is.
	Flight func(Flight)
	// Forecaster tells how fast models will answer; nil: that is not known.
	Forecaster Forecaster
	// Restarting is what the person has to know before the machine restarts; "": nothing.
	Restarting string

	loader loader        // for tests
	watch  time.Duration // for tests: how often it is looked whether the drive is there; 0: watchEvery
}

// Drive is where the conversation is kept.
type Drive struct {
	Store    *store.Store   // nil: nothing is saved, which is said
	Recovery store.Recovery // what store.Open found
	NoStore  error          // why Store is nil; nil when that is intended
	State    engine.Medium  // where the model's memory of the conversation is kept between sessions; nil: nowhere
	Present  func() error   // tells whether the drive is there; nil: it always is
	Reread   func() error   // reads anew what may have been changed while the drive was away, if it was; nil: it never was

	// Documents are the person's files on the drive; nil: there is no place for any.
	Documents iofs.FS
	// Retriever is the library of them. nil: they are not searched.
	Retriever Retriever
	// SaveDocument saves a file among them and returns its path. It replaces one that there is
	// only if it is told so; else the error wraps io/fs.ErrExist. nil: files can't be saved.
	SaveDocument func(now time.Time, name string, content []byte, replace bool) (path string, err error)
	// SaveExport saves a conversation under a new name like name, and returns its path. nil: it can't.
	SaveExport func(now time.Time, name string, content []byte) (path string, err error)
	// Files is where each conversation has a file that any computer can read. nil: nowhere.
	Files archive.Folder
	// Backups is where backups of the journal are kept. nil: none are made.
	Backups     archive.BackupFolder
	BackupPlace string // where that is, in words
	// Database is of all that is on the drive, for programs of other computers. nil: there is none.
	Database Projection
	// Measure tells how large the drive is, how much of it is free, and how fast it is, in a second or so; nil: nobody can.
	Measure func() (drive.Facts, error)
	// Verify compares the program, the models and the fonts on the drive with its signed manifest, as manifest.Verify does, which must be by
	// the key whose certificate has this fingerprint, or "": by the program's. nil: there is no such drive.
	Verify func(ctx context.Context, fingerprint string, progress func(done, total int64)) (*manifest.Report, error)
	// Option changes a start option in the file of options, if that has it; nil: there is no such file.
	Option func(name, value string) error
	// Close puts the volumes in order: nothing is written after it. nil: another system does that.
	Close func() error

	// Report saves a report in a new file and returns its path; finish replaces it by a
	// longer one. nil: reports are shown.
	Report func(now time.Time, text []byte) (path string, finish func([]byte) error, err error)
}

// Start is what a session begins with.
type Start struct {
	Model    string            // the name of the model; "": the one used last, else the first that answers
	Params   map[string]string // parameters as /set parameter knows them; they go before saved ones
	System   string            // system prompt when none was set
	Timezone string            // as it was told to the machine already; "": the one that was set last
	Keyboard string            // the layout that Keys was given; "": the saved one goes before it
	Theme    string            // how the screen looks; "": as it was set last
	Text     string            // how large its text is; likewise
	Report   bool              // write a report about the machine first
	Setup    bool              // ask for keyboard, size of the text and model first, if that was not done yet
}

// ErrAnew is the cause with which a context is cancelled that is to end Run without ending the session: it is then
// run anew, with another model or other options.
var ErrAnew = errors.New("the session begins anew")

// Run talks until the person shuts down, the input ends or ctx is done. The
// error is not nil when something could not be saved at the end.
func Run(ctx context.Context, o Config) (Outcome, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.loader == nil {
		o.loader = weights{}
	}
	if o.Machine == nil {
		o.Machine = unknown{}
	}
	if o.Display == nil {
		o.Display = noDisplay{}
	}
	o.Engine.Now = o.Now
	j := &journal{ui: o.UI, store: o.Drive.Store, present: o.Drive.Present, reread: o.Drive.Reread, option: o.Drive.Option, now: o.Now, every: cmp.Or(o.watch, watchEvery)}
	j.show = func() {
		o.Display.SetBars(func(b *console.Bars) { b.Saved, b.Alert = j.state(), j.alert() })
	}
	t := &conversation{ui: o.UI, display: o.Display, now: o.Now, journal: j, settings: defaultSettings(), before: o.Before, state: o.Drive.State,
		close: o.Drive.Close, restarting: o.Restarting, said: engine.Conversation{System: o.Start.System}}
	if o.Flight == nil {
		o.Flight = func(Flight) {}
	}
	c := &commands{ui: o.UI, begin: o.Begin, machine: o.Machine, setTimezone: o.SetTimezone, journal: j, talk: t,
		keys: &keys{ui: o.UI, keyboard: o.Keys, journal: j}, look: &look{ui: o.UI, display: o.Display, journal: j, theme: console.Themes()[0], text: normalText, width: normalWidth}, drive: o.Drive,
		past: &past{ui: o.UI, display: o.Display, store: o.Drive.Store, journal: j, now: o.Now},
		library: &library{ui: o.UI, files: o.Models, loader: o.loader, options: o.Engine, wanted: o.Start.Model,
			flight: o.Flight, forecaster: o.Forecaster, loaded: o.Machine.Loaded, journal: j, talk: t}}
	t.when = c.past.when
	c.filing = &filing{ui: o.UI}
	if o.Drive.Store != nil && o.Drive.Files != nil {
		files := &archive.Keeper{Store: o.Drive.Store, Folder: o.Drive.Files, Unclean: o.Drive.Recovery.Unclean, Zone: func() *time.Location { return o.Now().Location() }}
		c.filing.files = &projection{what: "Files of conversations", failed: "The files in which other computers can read your conversations",
			keep: func(ctx context.Context) (string, error) { return "", files.Keep(ctx) }}
	}
	if o.Drive.Database != nil {
		c.filing.database = &projection{what: "Knowledge database", failed: "The knowledge database", keep: o.Drive.Database.Keep}
	}
	if o.Drive.Store != nil {
		c.spare = &spare{ui: o.UI, store: o.Drive.Store, files: c.filing.files, database: c.filing.database, after: spareAfter}
		if o.Drive.Backups != nil {
			c.spare.backups = &archive.Backups{Store: o.Drive.Store, Folder: o.Drive.Backups, Now: o.Now}
		}
		defer c.spare.stop()
	}
	t.spare = c.spare
	t.filing = c.filing
	c.shelf = &shelf{ui: o.UI, display: o.Display, journal: j, retriever: o.Drive.Retriever}
	if errors.Is(o.Drive.NoStore, drive.ErrLocked) { // the person was told
		c.shelf.retriever, c.shelf.locked = nil, true
	}
	t.shelf = c.shelf
	c.remembered = &notebook{ui: o.UI, journal: j}
	t.remembered = c.remembered
	defer c.shelf.rest()
	defer c.library.unload()
	j.begin(o.Drive.NoStore)
	c.look.begin(o.Start)
	o.Display.Suggest(c.suggest)
	setup := o.Start.Setup && j.setting(setupSetting) == ""
	c.keys.begin(o.Start.Keyboard, o.Drive.Recovery.New && !setup)
	if j.store != nil {
		if zone := j.setting(timezoneSetting); zone != "" && o.Start.Timezone == "" && o.SetTimezone != nil {
			if err := o.SetTimezone(zone); err != nil { // another version may have allowed it
				o.UI.Quiet(fmt.Sprintf("The time zone %q %v.", zone, err))
			}
		}
		c.past.recovered(o.Drive.Recovery)
		restore(t, j)
	}
	for name, v := range o.Start.Params {
		if err := t.settings.set(name, v); err != nil {
			o.UI.Error(sentence(err))
		}
	}
	if o.Start.Report {
		c.report(ctx)
	}
	if setup && c.mayAsk(ctx) {
		c.firstStart(ctx)
	}
	out, err := converse(ctx, c)
	switch {
	case out == EOF && errors.Is(context.Cause(ctx), ErrAnew):
		out = Anew
	case out == EOF:
		err = errors.Join(err, t.end())
	}
	return out, err
}

// restore continues the last session.
func restore(t *conversation, j *journal) {
	for _, p := range paramHelp {
		if v := j.setting("parameter." + p.name); v != "" {
			if err := t.settings.set(p.name, v); err != nil { // an older version may have allowed it
				t.ui.Quiet(sentence(err))
			}
		}
	}
	if s := j.setting("system"); s != "" {
		t.instruct(s)
	}
	t.recall(j.store)
	j.nearlyFull()
}

// converse chooses a model and answers messages.
func converse(ctx context.Context, c *commands) (Outcome, error) {
	if out, err, ended := chooseModel(ctx, c); ended {
		return out, err
	}
	if len(c.talk.said.Turns) == 0 {
		c.ui.Quiet("Type a message, or /? for help.")
	}
	for ctx.Err() == nil {
		line, err := readLine(ctx, c)
		if errors.Is(err, console.ErrInterrupted) {
			c.ui.Quiet("To shut down, type /bye.")
			continue
		}
		if err == io.EOF {
			return EOF, nil
		}
		if err != nil {
			return EOF, err
		}
		text := c.keys.meant(strings.TrimSpace(line))
		if command, ok := asCommand(text); ok {
			text = command
		}
		if strings.HasPrefix(text, "/") {
			if out, err, ended := c.run(ctx, text); ended {
				return out, err
			}
		} else if text != "" && !c.heard(text) {
			c.talk.answer(ctx, text)
		}
	}
	return EOF, nil
}

// readLine waits for a line; meanwhile the model reads what it has not read yet.
func readLine(ctx context.Context, c *commands) (string, error) {
	c.talk.showState()
	defer c.talk.warm(ctx)()
	if !c.mayAsk(ctx) {
		return "", io.EOF
	}
	if c.journal.trouble == nil {
		defer c.filing.keep(ctx)()
		defer c.shelf.keep(ctx)()
	}
	if t := c.journal.trouble; t == nil || errors.Is(t, store.ErrFull) { // on a full drive, taking off what was deleted makes room
		defer c.spare.begin()()
	}
	defer c.journal.watch(ctx)()
	return c.ui.ReadLine(Prompt)
}

// mayAsk waits until the person may be asked; false: that will never be.
func (c *commands) mayAsk(ctx context.Context) bool {
	if c.begin != nil {
		select {
		case <-c.begin:
			c.begin = nil
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// chooseModel loads the first model, and asks the person as long as there is none.
// ended means that the conversation is over instead.
func chooseModel(ctx context.Context, c *commands) (out Outcome, err error, ended bool) {
	if c.library.loadFirst(ctx) {
		return 0, nil, false
	}
	listed, chose := false, false
	for c.mayAsk(ctx) {
		if !chose && c.look.display.AtScreen() {
			if c.modelsMenu(ctx); c.talk.model != nil {
				return 0, nil, false
			}
		}
		list, lerr := c.library.files.List()
		switch {
		case listed:
		case lerr != nil:
			c.ui.Error(sentence(lerr))
		case len(list) == 0:
			c.ui.Error(noModel)
		default:
			say(c.ui, "Models on this drive:")
			c.library.show(list)
		}
		line, rerr := c.ui.Ask("Which model? (number or name; Enter looks again) ")
		if errors.Is(rerr, console.ErrInterrupted) {
			continue
		}
		if rerr == io.EOF {
			return EOF, nil, true
		}
		if rerr != nil {
			return EOF, rerr, true
		}
		text := c.keys.meant(strings.TrimSpace(line))
		listed, chose = text != "", text != ""
		if command, ok := asCommand(text); ok {
			text = command
		}
		switch {
		case text == "":
		case strings.HasPrefix(text, "/"):
			if out, err, ended := c.run(ctx, text); ended {
				return out, err, true
			}
		default:
			c.choose(ctx, text)
		}
		if c.talk.model != nil {
			return 0, nil, false
		}
	}
	return EOF, nil, true
}
