package main

// One start of AlphaOS: its options, and what a verbose start tells of it.
//
// Options come in two steps, since the file of options can be read only once the
// drive is there. What the person asked of the boot manager is fixed in the first.

import (
	"time"

	"alphaos/amd64"
	"alphaos/assistant"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/store"
)

type start struct {
	options // with what safe mode implies
	image   efi.Image
	time    timing
	log     bootLog

	asked      options         // as they were given
	fixed      map[string]bool // options that the file cannot change
	complaints []string        // sentences that were not told yet
	alone      bool            // the other processors were handed back
	told       bool            // the machine's facts are in the log
}

// beginStart reads the load options. Nothing can be shown yet.
func beginStart() *start {
	s := &start{time: timing{goRuntime: amd64.SinceStart()}, log: bootLog{now: amd64.SinceStart}}
	s.log.printf("AlphaOS: the Go runtime is up")
	var err error
	if s.image, err = efi.LoadedImage(); err != nil {
		s.log.printf("load options: %v", err)
	}
	s.log.printf("load options: %q", s.image.Options)
	s.fixed, s.complaints = s.asked.set("Start options", commandLine(s.image.Options, s.image.FilePath), nil)
	s.apply()
	return s
}

// apply puts the options into effect that concern the whole machine.
func (s *start) apply() {
	before := s.options
	s.options = s.asked.effective()
	if s.safe && !s.alone {
		amd64.HandBack()
		s.alone = true
	}
	if s.options != before {
		s.log.printf("options: %v", s.options)
	}
}

// tell shows what there is to say about the options.
func (s *start) tell(con *console.Console) {
	for _, c := range s.complaints {
		con.Notice(c)
	}
	s.complaints = nil
	if s.verbose && !s.told {
		s.told = true
		s.log.show(con.Quiet)
		s.log.printf("console: ready")
		machineFacts(&s.log, s.image)
	}
}

// readOptions reads the file of options on the drive and says what kind of start this
// is. The log goes to the drive from here on, unless nothing is to be written.
func (s *start) readOptions(con *console.Console, d *drive) {
	s.log.printf("drive: %q on %s", d.fs.Label(), d.dev)
	for _, note := range d.fs.Notes() {
		con.Quiet(note)
		s.log.printf("drive: %s", note)
	}
	list, complaint := readConfig(d.fs)
	if complaint != "" {
		s.complaints = append(s.complaints, complaint)
	}
	_, complaints := s.asked.set(configFile, list, s.fixed)
	s.complaints = append(s.complaints, complaints...)
	s.apply()
	s.tell(con)
	if s.safe {
		con.Notice("Safe start: one processor, the portable kernel, and nothing is written but the journal.")
	}
	switch {
	case !s.verbose:
	case s.safe:
		s.log.printf("boot log: not written in a safe start")
	case d.dev.ReadOnly():
		s.log.printf("boot log: not written, the drive is write protected")
	default:
		f, err := d.fs.OpenInPlace(logFile)
		if err != nil {
			s.log.printf("boot log: not written: %v", err)
			break
		}
		s.log.file = f
		s.saveLog()
	}
}

func (s *start) saveLog() {
	if err := s.log.save(); err != nil {
		s.log.printf("boot log: %v", err)
	}
}

// journalFacts says in a few words what state the journal is in.
func journalFacts(j *store.Store, r store.Recovery, why error) string {
	switch {
	case j == nil:
		return why.Error()
	case r.Unclean:
		return "open; the last session ended unexpectedly"
	}
	return "open; the last session ended properly"
}

// loaded logs how a model was loaded.
func (s *start) loaded(l assistant.Load) {
	i := l.Info
	speed := int64(float64(i.Bytes) / max(l.Time.Seconds(), 1e-6))
	s.log.printf("model: %q, %s, %s in %v, %s/s", i.Name, i.Quantization, console.Bytes(i.Bytes), l.Time.Round(time.Millisecond), console.Bytes(speed))
	s.log.printf("model: kernel %s, threads %d, %d layers, context %d", i.Kernel, i.Threads, i.Layers, i.Context)
	s.saveLog()
}
