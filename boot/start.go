// Package boot is a start of AlphaOS up to the conversation: its options, its log and the
// drive. It knows no firmware: what it asks of the machine is the interface Machine.
//
// Options come in two steps, since the file of options can be read only once the
// drive is there. What the person asked of the boot manager is fixed in the first.
package boot

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"alphaos/assistant"
	"alphaos/console"
	"alphaos/drive"
	"alphaos/fs"
	"alphaos/store"
)

// Machine is what a start asks of the machine.
type Machine interface {
	// SinceStart is the time since the firmware handed over.
	SinceStart() time.Duration
	// LoadOptions returns the text that a boot manager passed, and the program's path.
	LoadOptions() (text, file string, err error)
	// Name is what tells this computer from others.
	Name() string
	// PresentProcessors is how many there are, and StartProcessors has the program run on most
	// of them at most and returns on how many it runs.
	PresentProcessors() int
	StartProcessors(most int) int
	// FreeMemory is how many bytes of memory are free.
	FreeMemory() int64
	// Mac tells whether it is a Mac.
	Mac() bool
	// UseKeyboard reads keys with the layout of that name, or with what the firmware
	// knows of the keyboard.
	UseKeyboard(name string, log *Log)
	// Facts logs firmware, program, processors, memory and disks.
	Facts(log *Log)
	// FindDrive mounts the drive that AlphaOS was started from.
	FindDrive(log *Log) (*drive.Drive, error)
	// SetZone tells the person's time zone, nil if it is not known, and whether the machine's
	// clock runs in UTC whatever the firmware says.
	SetZone(zone *time.Location, utc bool)
	// ClockFault says why what the clock shows cannot be the date; nil when it can.
	ClockFault() error
	// Now is the present time.
	Now() time.Time
	// GoOnFrom lets a clock with a fault go on from a time.
	GoOnFrom(t time.Time)
	// DriveHabits says what was found out about the drive when it was read.
	DriveHabits() string
	// ConnectDisks starts disks that the firmware has left alone.
	ConnectDisks() error
}

// Start is one start of AlphaOS.
type Start struct {
	Options // with what safe mode implies
	Log     Log

	machine    Machine
	asked      Options         // as they were given
	fixed      map[string]bool // options that the file cannot change
	complaints []string        // sentences that were not told yet
	badConfig  []byte          // the file of options, if it is none
	told       bool            // the machine's facts are in the log
}

// Begin reads the load options. Nothing can be shown yet.
func Begin(m Machine) *Start {
	s := &Start{machine: m, Log: Log{now: m.SinceStart}}
	s.Log.Printf("AlphaOS: the Go runtime is up")
	text, file, err := m.LoadOptions()
	if err != nil {
		s.Log.Printf("load options: %v", err)
	}
	s.Log.Printf("load options: %q", text)
	s.fixed, s.complaints = s.asked.set("Start options", commandLine(text, file), nil)
	s.apply()
	s.machine.UseKeyboard(s.Keyboard, &s.Log)
	return s
}

// apply puts the options into effect that concern the whole machine.
func (s *Start) apply() {
	before := s.Options
	s.Options = s.asked.effective()
	_ = s.SetTimezone(s.Timezone) // it was understood before
	if s.Options != before {
		s.Log.Printf("options: %v", s.Options)
	}
}

// Tell shows what there is to say about the options.
func (s *Start) Tell(con *console.Console) {
	for _, c := range s.complaints {
		con.Notice(c)
	}
	s.complaints = nil
	if s.Verbose && !s.told {
		s.told = true
		s.Log.Show(con.Quiet)
		s.Log.Printf("console: ready")
		s.machine.Facts(&s.Log)
	}
}

// ReadOptions reads the file of options on the drive and says what kind of start this
// is.
func (s *Start) ReadOptions(con *console.Console, d *drive.Drive) {
	for _, v := range d.Volumes() {
		s.Log.Printf("drive: %q on %s", v.Label(), v.Device)
	}
	for _, note := range d.Notes() {
		con.Quiet(note)
		s.Log.Printf("drive: %s", note)
	}
	file := strings.TrimPrefix(d.Where(drive.ConfigPath), "/")
	options, data, err := readConfig(d)
	if err != nil {
		s.complaints = append(s.complaints, file+" is ignored: "+fs.Explain(err))
	}
	if errors.Is(err, errNoConfig) {
		s.badConfig = data
	}
	_, complaints := s.asked.set(file, options.settings(), s.fixed)
	s.complaints = append(s.complaints, complaints...)
	s.apply()
	if s.Keyboard != "" {
		s.machine.UseKeyboard(s.Keyboard, &s.Log)
	}
	s.Tell(con)
	if err := s.machine.ClockFault(); err != nil {
		con.Quiet("Dates will be wrong: " + fs.Explain(err))
	}
	if s.Safe {
		con.Notice(safeSentence)
	}
}

const safeSentence = "Safe start: one processor, the portable kernel, and nothing is written but the journal."

// Mend has those of the drive's volumes put in order that are not; unclean tells that the last session did not
// end, which the journal says: then all that were not looked at before. It comes before all that is written on them.
// When it takes longer than a moment, the person sees how far it is, and can stop it.
func (s *Start) Mend(ctx context.Context, con *console.Console, d *drive.Drive, unclean bool) {
	if s.Safe || !unclean && !d.Dirty() {
		return
	}
	ctx, end := con.StopContext(ctx)
	defer end()
	const title, moment = "Looking whether the drive is in order", time.Second
	began := time.Now()
	over := con.Passing(title + " ...")
	var p *console.Progress
	said := d.Mend(ctx, unclean, s.machine.Now(), func(done, total int64) {
		if p == nil {
			if time.Since(began) < moment {
				return
			}
			over()
			p = con.Progress(title, total)
		}
		p.Set(done)
	}, s.Log.Printf)
	if p != nil {
		p.Done()
	} else {
		over()
	}
	for _, sentence := range said {
		con.Notice(sentence)
	}
}

// TakeOver makes a partition for conversations and documents that somebody has formatted, and AlphaOS has never used, one that it can save on.
func (s *Start) TakeOver(con *console.Console, d *drive.Drive) {
	if s.Safe {
		return
	}
	over := func() {}
	said, err := d.TakeOver(s.machine.Now(), func() { over = con.Passing("Making a place for conversations on the drive ...") })
	over()
	switch {
	case err != nil:
		s.Log.Printf("drive: no place for conversations could be made: %v", err)
		con.Notice("No place for conversations could be made on the drive: " + fs.Explain(err))
	case said != "":
		s.Log.Printf("drive: %s", said)
		con.Quiet(said)
	}
}

// KeepLog begins to keep the log of a verbose start on the drive, unless nothing is to be written.
func (s *Start) KeepLog(d *drive.Drive) {
	switch {
	case !s.Verbose:
	case s.Safe:
		s.Log.Printf("boot log: not written in a safe start")
	case d.ReadOnly():
		s.Log.Printf("boot log: not written, the drive is write protected")
	default:
		f, err := d.OpenInPlace(drive.BootLogPath)
		if err != nil {
			s.Log.Printf("boot log: not written: %v", err)
			break
		}
		s.Log.keep(f)
		s.SaveLog()
	}
}

// SaveLog saves the log; that it could not be saved is in it.
func (s *Start) SaveLog() {
	if err := s.Log.Save(); err != nil {
		s.Log.Printf("boot log: %v", err)
	}
}

// OpenJournal opens what is saved. Without a journal one can still talk, and is told
// why nothing will be kept.
func (s *Start) OpenJournal(d *drive.Drive) (j *store.Store, r store.Recovery, why error) {
	j, r, why = d.OpenJournal(s.machine.Now)
	s.machine.GoOnFrom(r.UpTo)
	switch {
	case j == nil:
		s.Log.Printf("journal: %v", why)
	case r.Unclean:
		s.Log.Printf("journal: open; the last session ended unexpectedly")
	default:
		s.Log.Printf("journal: open; the last session ended properly")
	}
	return j, r, why
}

// Loaded logs how a model was loaded.
func (s *Start) Loaded(l assistant.Load) {
	i := l.Info
	speed := int64(float64(i.Bytes) / max(l.Time.Seconds(), 1e-6))
	s.Log.Printf("model: %q, %s, %s in %v, %s/s", i.Name, i.Quantization, console.Bytes(i.Bytes), l.Time.Round(time.Millisecond), console.Bytes(speed))
	s.Log.Printf("drive: %s", s.machine.DriveHabits())
	s.Log.Printf("model: kernel %s, threads %d, %d layers, context %d", i.Kernel, i.Threads, i.Layers, i.Context)
	s.SaveLog()
}

// AwaitDrive mounts the drive. When that fails it says why and lets the person try
// again; without a drive, they gave up and want the machine to be left so.
func (s *Start) AwaitDrive(con *console.Console) (*drive.Drive, assistant.Outcome, error) {
	for {
		d, err := s.machine.FindDrive(&s.Log)
		if err == nil {
			return d, 0, nil
		}
		s.Log.Printf("drive: %v", err)
		con.Error("AlphaOS cannot begin: " + fs.Explain(err))
		line, err := con.Ask("Plug the AlphaOS drive in and press Enter to look again, or type \"off\" to switch off: ")
		if err != nil && !errors.Is(err, console.ErrInterrupted) && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		text := strings.TrimSpace(line)
		out, leaves := assistant.Leaves(text)
		switch {
		case leaves:
			return nil, out, nil
		case errors.Is(err, io.EOF) || strings.EqualFold(text, "off"):
			return nil, assistant.Shutdown, nil
		case text != "":
			con.Quiet("Without the drive there are no models and no conversation: only /restart and /bye do something here.")
		}
		if err := s.machine.ConnectDisks(); err != nil {
			s.Log.Printf("starting disks: %v", err)
			con.Quiet("Some disks could not be started.")
		}
	}
}

// A crash report begins with the first line; once the person was told, with the second.
const (
	CrashNew  = "AlphaOS had to stop."
	crashSeen = "AlphaOS had stopped."
)

// TellCrash mentions a report that the last session left, once if it can be marked.
func (s *Start) TellCrash(con *console.Console, d *drive.Drive) {
	if !s.crashed(d) {
		return
	}
	con.Notice("AlphaOS stopped with an error last time. Its report is on the drive: " + d.Where(drive.CrashPath))
	if s.Safe {
		return
	}
	f, err := d.OpenInPlace(drive.CrashPath)
	if err == nil {
		_, err = f.WriteAt([]byte(crashSeen), 0)
	}
	if err != nil {
		con.Quiet("The report could not be marked as read: " + fs.Explain(err))
	}
}
