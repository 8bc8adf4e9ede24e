// AlphaOS is a personal AI on a stick: a UEFI application that talks to a person
// with a language model from its drive and keeps the conversation there.
//
// This file is the order of a start and nothing else: the machine's console, the start's
// options, the drive, its passphrase, its journal, the start-up manager, the assistant, and power off. It runs only under
// firmware; `go run ./tools/alphaos chat` is the same assistant on a host.
package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"alphaos/assistant"
	"alphaos/boot"
	"alphaos/console"
	"alphaos/drive"
	"alphaos/drive/database"
	"alphaos/drive/manifest"
	"alphaos/engine"
	"alphaos/knowledge"
	"alphaos/llm"
	"alphaos/machine"
	"alphaos/models"
)

func main() {
	if !machine.Booted() {
		fmt.Fprintln(os.Stderr, "This program runs on UEFI firmware, without an operating system: \"make run\" starts it in QEMU, \"go run ./tools/alphaos chat\" talks to a model here.")
		os.Exit(1)
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "AlphaOS:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	m, err := machine.Open()
	if err != nil {
		return err
	}
	start := boot.Begin(m)
	con, err := m.OpenConsole(ctx, assistant.Complete)
	if err != nil {
		return fmt.Errorf("no way to talk: %w", err)
	}
	m.PrepareCrash(nil)
	start.Tell(con)
	d, outcome, err := start.AwaitDrive(con)
	if err != nil {
		return err
	}
	if d != nil {
		outcome = talk(ctx, m, start, con, d)
		d.Lock()
	}
	if outcome == own {
		m.BootOwn(con)
	}
	m.Off(con, outcome == assistant.Restart)
	return nil
}

// own is the outcome of a session in whose place the person wants the computer's own system.
const own assistant.Outcome = -1

// talk is the conversation, from the drive's options to the last word.
func talk(ctx context.Context, m *machine.Machine, start *boot.Start, con *console.Console, d *drive.Drive) assistant.Outcome {
	start.ReadOptions(con, d)
	start.Unlock(con, d)
	option := func(name, value string) error { return start.SaveOption(d, name, value) }
	keep := assistant.Drive{Option: option, Measure: d.Measure, Present: m.Present, Reread: m.Reread, Report: d.SaveReport, Documents: d.Documents(), SaveDocument: d.SaveDocument, SaveExport: d.SaveExport, Close: d.Close}
	keep.Verify = func(ctx context.Context, fingerprint string, progress func(done, total int64)) (*manifest.Report, error) {
		return manifest.VerifyBy(ctx, d, fingerprint, progress)
	}
	if !start.Safe {
		m.PrepareCrash(d)
	}
	start.Mend(ctx, con, d, false) // without, the journal may not open
	start.TakeOver(con, d)
	if !start.Safe {
		keep.State = d.OpenState()
		if c := d.Conversations(); c != nil {
			keep.Files = c
		}
		if b := d.Backups(); b != nil {
			keep.Backups, keep.BackupPlace = b, d.Where(drive.BackupDir)
		}
	}
	keep.Store, keep.Recovery, keep.NoStore = start.OpenJournal(d)
	manager := start.Manage(ctx, con, d, keep.Recovery, keep.NoStore)
	start.Mend(manager.Context, con, d, keep.Recovery.Unclean)
	start.KeepBadConfig(con, d)
	start.ReadFonts(con, d)
	start.KeepLog(d)
	start.TellCrash(con, d)
	start.StartProcessors(con, d)
	m.Ready()
	manager.Ready()
	outcome := converse(m, start, con, d, keep, manager)
	if outcome == assistant.Anew {
		if manager.Anew(con); start.Safe {
			m.UseOne()
			m.PrepareCrash(nil)
			keep.State, keep.Files, keep.Backups = nil, nil, nil
		}
		outcome = converse(m, start, con, d, keep, manager)
	}
	start.SaveLog()
	if manager.OwnSystem() {
		return own
	}
	return outcome
}

// converse is a session with the options of this start.
func converse(m *machine.Machine, start *boot.Start, con *console.Console, d *drive.Drive, keep assistant.Drive, manager *boot.Manager) assistant.Outcome {
	weights, sessions, documents := m.ShareMemory()
	all := engine.WithBuiltIn(engine.DirModels(d, drive.ModelsDir), engine.DirModels(models.Files, "."))
	options := llm.Options{
		Threads:      start.Threads,
		Processors:   m.Processors(),
		Kernel:       start.Kernel,
		Cache:        start.Cache,
		Alloc:        m.Alloc,
		Free:         m.Free,
		Budget:       weights,
		SessionLimit: sessions,
	}
	if !start.Safe {
		library := retriever(m, d, all, options, documents)
		keep.Retriever = library
		if base := database.On(d, keep.Store, library, keep.Recovery.Unclean, m.Now); base != nil {
			keep.Database = base
		}
	}
	outcome, err := assistant.Run(manager.Context, assistant.Config{
		UI:          assistant.Terminal(con),
		Models:      engine.Elsewhere(all, m.OtherModels),
		Engine:      engine.Options{LLM: options},
		Drive:       keep,
		Start:       assistant.Start{Model: start.Model, Timezone: start.Timezone, Keyboard: start.Keyboard, Theme: start.Theme, Text: start.Text, Report: start.Report, Setup: start.Setup && !start.Safe},
		Machine:     host{m, start, provoke(d)},
		Display:     con,
		Now:         m.Now,
		SetTimezone: start.SetTimezone,
		Before:      models.ByRule,
		Keys:        m.Keyboard(),
		Begin:       manager.Begin,
		Flight:      manager.Flight,
		Forecaster:  llm.NewSpeeds(llm.SpeedOptions{Threads: start.Threads, Processors: m.Processors(), Kernel: start.Kernel, Quick: true, Alloc: m.Lend, Free: m.Free}),
		Restarting:  m.Restarting(),
	})
	if err != nil { // the person was told
		start.Log.Printf("the session ended with: %v", err)
	}
	return outcome
}

// retriever is the library of the documents on the drive, in so many bytes of memory.
func retriever(m *machine.Machine, d *drive.Drive, all engine.Models, options llm.Options, memory int64) *knowledge.Keeper {
	k := &knowledge.Keeper{Documents: d.Documents(), Bound: memory,
		Open: func() (fs.File, error) { return d.Open(drive.IndexPath) },
		Embedder: func(ctx context.Context) (knowledge.Embedder, string, func(), error) {
			options.Budget = m.Spare()
			e, err := engine.LoadEmbedder(ctx, all, options, options.Budget)
			if e == nil {
				return nil, "", nil, err
			}
			return e, e.Name, e.Close, nil
		}}
	if d.Writable(drive.IndexPath) {
		k.Save = func(write func(io.Writer) error) error { return d.SaveIndex(m.Now(), write) }
	}
	return k
}

// host tells the assistant of the machine, and the start of the assistant.
type host struct {
	*machine.Machine
	*boot.Start
	fault func()
}

func (h host) Sections() []assistant.Section {
	return append(h.Machine.Sections(), h.Start.Sections()...)
}

func (h host) About() []console.Field {
	h.fault()
	return h.Machine.About()
}
