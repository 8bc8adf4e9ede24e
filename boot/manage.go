package boot

// The start-up manager: what the person sees first, with a few seconds to choose something else than the usual. It
// must cost nothing. So it has the screen and the keys to itself, but nothing waits for it: the start goes on behind
// it, and the model is loaded while the seconds run. What is chosen is then either what goes on anyway, or the
// session is broken off: to begin anew, or to end.
//
// After a crash it is the other way round: nothing that might have been the cause is done before the person chose,
// and no clock chooses for them, or the machine might crash again and again with nobody there.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"alphaos/assistant"
	"alphaos/console"
	"alphaos/drive"
	"alphaos/fs"
	"alphaos/store"
)

// usualWait is for how many seconds the manager is there, unless an option says otherwise.
const usualWait = 5

// entries are what there is to choose from, by the names that the option default has.
var entries = []string{"start", "safe", "verbose", "system", "off"}

const (
	usual = iota
	safe
	verbose
	ownSystem
	shutDown
	smaller // a smaller model, which is there only when it is better
)

var logo = []string{"▟▙", "▟██▙", "▟█▘▝█▙", "▟██████▙", "▟█▘    ▝█▙", "", "A l p h a O S   S t a r t u p", "your own AI, on this drive"}

// Manager is the start-up manager of one start.
type Manager struct {
	Begin   <-chan struct{} // closed when the conversation may have the keys
	Context context.Context // of the session

	start  *Start
	chosen chan struct{} // closed when entry is known
	ready  chan struct{} // closed when the conversation begins
	entry  int
	model  string // of smaller

	mu     sync.Mutex
	flight assistant.Flight
}

// Manage shows the start-up manager, unless nobody wants it. r and noStore are what OpenJournal returned.
func (s *Start) Manage(ctx context.Context, con *console.Console, d *drive.Drive, r store.Recovery, noStore error) *Manager {
	begin := make(chan struct{})
	m := &Manager{Begin: begin, Context: ctx, start: s, chosen: make(chan struct{}), ready: make(chan struct{})}
	crashed := s.crashed(d)
	wait := usualWait
	if s.Wait != "" {
		wait, _ = strconv.Atoi(s.Wait) // it was understood before
	}
	if wait == 0 && !crashed && !r.Unclean && !con.Touched() {
		close(m.chosen)
		close(begin)
		return m
	}
	if wait == 0 {
		con.Forget() // a key that is held is no message
		wait = usualWait
	}
	ctx, end := context.WithCancelCause(ctx)
	m.Context = ctx
	menu := m.menu(d, m.last(d, r, noStore, crashed), crashed)
	if !crashed {
		menu.Wait = time.Duration(wait) * time.Second
	}
	shown := make(chan struct{})
	menu.Shown = func() { close(shown) }
	go func() {
		row, err := con.Choose(ctx, menu)
		if err != nil { // nobody has keys any more, which the conversation will see as well
			s.Log.Printf("start-up manager: %v", err)
			row = usual
		}
		m.entry = row
		close(m.chosen)
		<-m.ready
		switch m.entry {
		case safe, smaller:
			end(assistant.ErrAnew)
		case ownSystem, shutDown:
			end(nil)
		case verbose:
			s.beVerbose(con, d)
			close(begin)
		default:
			close(begin)
		}
	}()
	select { // what goes on meanwhile may have the processor to itself
	case <-shown:
	case <-m.chosen:
	}
	if crashed {
		<-m.chosen
		if m.entry == safe {
			s.beSafe(con)
			m.entry = usual
		}
	}
	return m
}

// Ready tells that the conversation begins.
func (m *Manager) Ready() { close(m.ready) }

// Anew prepares what the person chose in the place of a session that was broken off.
func (m *Manager) Anew(con *console.Console) {
	con.Clear()
	if m.Context = context.WithoutCancel(m.Context); m.entry == safe {
		m.start.beSafe(con)
	} else {
		m.start.Model = m.model
	}
	begin := make(chan struct{})
	close(begin)
	m.Begin = begin
}

// OwnSystem tells that the person wants the computer's own system.
func (m *Manager) OwnSystem() bool { return m.entry == ownSystem }

// beSafe makes this start a safe one from here on.
func (s *Start) beSafe(con *console.Console) {
	s.asked.Safe = true
	s.apply()
	s.Log.keep(nil)
	con.Notice(safeSentence)
}

// beVerbose tells all that the start did, and what it will do.
func (s *Start) beVerbose(con *console.Console, d *drive.Drive) {
	s.Verbose = true
	s.Tell(con)
	s.KeepLog(d)
}

// Flight takes what is known of the model that is loaded.
func (m *Manager) Flight(f assistant.Flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flight = f
}

// menu is what there is to choose from, and what is known; held tells that nothing goes on meanwhile.
func (m *Manager) menu(d *drive.Drive, last console.Note, held bool) console.Menu {
	s := m.start
	system := console.Row{Name: "Own system", Help: "what this computer starts without AlphaOS"}
	if s.machine.Mac() {
		system = console.Row{Name: "Boot to macOS"}
	}
	rows := []console.Row{
		usual:     {Name: "Start AlphaOS"},
		safe:      {Name: "Safe Mode", Help: "one processor, nothing written"},
		verbose:   {Name: "Verbose", Help: "shows each step, to find faults"},
		ownSystem: system,
		shutDown:  {Name: "Shut down"},
	}
	choice := usual
	for i, name := range entries {
		if s.Default == name {
			choice = i
		}
	}
	return console.Menu{
		Title: "AlphaOS Startup", Logo: logo, Root: true, Choice: choice,
		Rows: func() []console.Row {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.flight.Smaller == "" {
				return rows
			}
			m.model = m.flight.Smaller
			return append(rows[:shutDown+1:shutDown+1], console.Row{Name: "Smaller model", Help: "starts with " + m.model})
		},
		Notes: func() []console.Note {
			m.mu.Lock()
			defer m.mu.Unlock()
			return []console.Note{
				modelNote(m.flight, held), driveNote(d, m.flight),
				{Name: "Memory", Text: fmt.Sprintf("%s free, %s", console.Bytes(s.machine.FreeMemory()), processors(s.machine.PresentProcessors()))},
				last,
			}
		},
	}
}

func processors(n int) string {
	if n == 1 {
		return "1 processor"
	}
	return fmt.Sprintf("%d processors", n)
}

// modelNote tells of the model.
func modelNote(f assistant.Flight, held bool) console.Note {
	n := console.Note{Name: "Model", Text: "is looked for", Style: console.Plain}
	speed := ""
	if f.Tokens > 0 && f.Tokens < 1000 {
		speed = fmt.Sprintf(", %.2g tokens/s", f.Tokens)
	}
	switch {
	case f.Model == "" && held:
		n.Text = "is loaded when you have chosen"
	case f.Model == "":
	case f.Guide:
		n.Text, n.Style = "none yet: the built-in guide talks, and tells how to add one", console.Notice
	case !f.Fits:
		n.Text, n.Style = fmt.Sprintf("%s, %s, does not fit%s", f.Model, console.Bytes(f.Bytes), speed), console.Notice
	default:
		n.Text = fmt.Sprintf("%s, %s, fits in memory%s", f.Model, console.Bytes(f.Bytes), speed)
		if f.Smaller != "" {
			n.Style = console.Notice
		}
	}
	return n
}

// driveNote tells of the drive, how fast it is and how long the model will take.
func driveNote(d *drive.Drive, f assistant.Flight) console.Note {
	size := int64(0)
	for _, v := range d.Volumes() {
		size += int64(v.Device.Blocks()) * int64(v.Device.BlockSize())
	}
	text := console.Bytes(size)
	if label := d.Volumes()[0].Label(); label != "" {
		text = label + ", " + text
	}
	if f.Rate > 0 {
		text += fmt.Sprintf(", reads %s/s", console.Bytes(int64(f.Rate)))
	}
	switch left := f.Left(); {
	case f.Guide: // which is part of the program
	case f.Loaded:
		text += "; model loaded"
	case left > 0:
		text += fmt.Sprintf("; model loaded in %.0f s", left.Seconds()+1)
	}
	return console.Note{Name: "Drive", Text: text, Style: console.Plain}
}

// last tells how the last session ended.
func (m *Manager) last(d *drive.Drive, r store.Recovery, noStore error, crashed bool) console.Note {
	n := console.Note{Name: "Last", Style: console.Plain}
	when := ""
	if !r.UpTo.IsZero() {
		when = r.UpTo.In(m.start.machine.Now().Location()).Format("2 January 2006, 15:04")
	}
	switch {
	case crashed:
		n.Text, n.Style = "AlphaOS stopped with an error; its report is on the drive: "+d.Where(drive.CrashPath), console.Notice
	case noStore != nil:
		n.Text, n.Style = "nothing can be saved: "+fs.Explain(noStore), console.Notice
	case r.New:
		n.Text = "this is the first session on this drive"
	case r.Unclean && when != "":
		n.Text, n.Style = "ended unexpectedly; all is kept up to "+when, console.Notice
	case r.Unclean:
		n.Text, n.Style = "ended unexpectedly; nothing had been said", console.Notice
	case when != "":
		n.Text = when + ", ended properly"
	default:
		n.Text = "ended properly"
	}
	return n
}

// crashed tells whether the last session left a report that nobody was told of.
func (s *Start) crashed(d *drive.Drive) bool {
	f, err := d.OpenInPlace(drive.CrashPath)
	if err != nil {
		return false // an older drive
	}
	head := make([]byte, len(CrashNew))
	_, err = f.ReadAt(head, 0)
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Equal(head, []byte(CrashNew))
}

// defaultEntry checks the option default.
func defaultEntry(v string) error {
	for _, name := range entries {
		if v == name {
			return nil
		}
	}
	return fmt.Errorf("is none of %s", strings.Join(entries, ", "))
}
