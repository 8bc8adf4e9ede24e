// AlphaOS is a personal AI on a stick: a UEFI application that talks to a person
// with a language model from its drive and keeps the conversation there.
//
// This file wires the rooms together: the firmware's screen, keys and disk (efi) go
// into the console, the file system and the journal, those into the assistant, and when
// the assistant is done the machine is switched off. It runs only under firmware;
// `go run ./tools/alphaos chat` is the same assistant on a host.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"alphaos/amd64"
	"alphaos/assistant"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/llm"
	"alphaos/models"
	"alphaos/store"
)

// Where things are on the drive.
const (
	modelsDir   = "models"
	journalFile = "data/journal/journal.log"
	stateFile   = "data/cache/session.kv"
)

func main() {
	if !amd64.Booted() {
		fmt.Fprintln(os.Stderr, "This program runs on UEFI firmware, without an operating system: \"make run\" starts it in QEMU, \"go run ./tools/alphaos chat\" talks to a model here.")
		os.Exit(1)
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "AlphaOS:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := efi.Init(); err != nil {
		return err
	}
	start := beginStart()
	con, screen, err := openConsole(ctx)
	if err != nil {
		return fmt.Errorf("no way to talk: %w", err)
	}
	prepareCrash(screen, nil)
	start.tell(con)
	drive, leave, err := openDrive(con, &start.log)
	if err != nil {
		return err
	}
	if drive == nil {
		return switchOff(con, nil, leave)
	}
	start.readOptions(con, drive)
	if !start.safe {
		prepareCrash(screen, drive)
	}
	tellCrash(con, drive, !start.safe)
	journal, recovery, why := openJournal(drive.fs)
	start.time.drive = amd64.SinceStart()
	start.log.printf("journal: %s", journalFacts(journal, recovery, why))
	fault := provoke(drive.fs)

	budget, sessions := shareMemory(amd64.Memory())
	outcome, err := assistant.Run(ctx, assistant.Config{
		UI:     assistant.Terminal(con),
		Models: engine.WithBuiltIn(engine.DirModels(drive.fs, modelsDir), engine.DirModels(models.Files, ".")),
		Engine: engine.Options{LLM: llm.Options{
			Threads:    start.threads,
			Processors: amd64.Processors(),
			Kernel:     start.kernel,
			Alloc: func(n int) ([]byte, error) {
				if start.time.reading == 0 {
					start.time.reading = amd64.SinceStart()
				}
				return amd64.AllocPhysical(n)
			},
			Free:         amd64.FreePhysical,
			Budget:       budget,
			SessionLimit: sessions,
		}},
		Drive: assistant.Drive{
			Store:    journal,
			Recovery: recovery,
			NoStore:  why,
			State:    openState(drive, start.safe),
			Present:  drive.dev.Present,
		},
		Start:   assistant.Start{Model: start.model},
		Machine: host{start, fault},
		Before:  models.ByRule,
	})
	if err != nil { // the person was told
		start.log.printf("the session ended with: %v", err)
	}
	start.saveLog()
	return switchOff(con, drive.dev, outcome)
}

// host tells the assistant of the machine.
type host struct {
	*start
	fault func()
}

func (h host) About() []console.Field {
	h.fault()
	return about(h.time)
}

func (h host) Memory(m assistant.ModelMemory) []console.Field { return memory(m) }
func (h host) Loaded(l assistant.Load)                        { h.loaded(l) }

// shareMemory divides the free memory into what a model's weights may take, beyond
// which they are streamed from the drive, and what a conversation's keys and values
// may take, and holds the Go heap, where the latter lie, to the rest.
func shareMemory(m amd64.MemoryStats) (weights, sessions int64) {
	const other = 160 << 20 // vocabulary, screen, journal, what the collector has not found yet
	free := int64(m.Free)
	sessions = min(max(free/4, 64<<20), 2<<30, int64(m.Heap)-other)
	debug.SetMemoryLimit(sessions + other*3/4)
	return max(free-sessions-other, 1<<20), sessions
}

// openConsole joins screen, keyboard and serial port to one console. The machine may
// lack any of them, but not all ways to show text.
func openConsole(ctx context.Context) (*console.Console, *efi.Screen, error) {
	o := console.Options{Complete: assistant.Complete}
	keys := []<-chan console.Key{efi.Keys(ctx)}
	screen, screenErr := efi.OpenScreen()
	if screenErr == nil {
		o.Screen = screen // an interface: a nil pointer in it would not be nil
	}
	serial, err := efi.OpenSerial()
	switch {
	case err == nil:
		o.Serial = serial
		keys = append(keys, console.DecodeKeys(ctx, serial))
	case screenErr != nil:
		o.Serial = efi.TextOutput()
	}
	o.Keys = console.MergeKeys(keys...)
	con, err := console.New(o)
	return con, screen, err
}

// drive is the volume that AlphaOS was started from.
type drive struct {
	dev *efi.BlockDevice
	fs  *fat.FS
}

// openDrive mounts the drive. When that fails it says why and lets the person try
// again; without a drive, they gave up and want the machine to be left so.
func openDrive(con *console.Console, log *bootLog) (*drive, assistant.Outcome, error) {
	for {
		d, err := findDrive(log)
		if err == nil {
			d.dev.OnError(func(err error) { log.printf("drive: %v", err) })
			return d, 0, nil
		}
		log.printf("drive: %v", err)
		con.Error("AlphaOS cannot begin: " + fs.Explain(err))
		line, err := con.ReadLine("Plug the AlphaOS drive in and press Enter to look again, or type \"off\" to switch off: ")
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
		if _, err := efi.ConnectStorage(); err != nil {
			log.printf("starting disks: %v", err)
			con.Quiet("Some disks could not be started.")
		}
	}
}

// findDrive takes the volume the program came from, or, when the firmware does not
// tell (a boot manager loaded it from memory), the first that holds a journal of ours.
func findDrive(log *bootLog) (*drive, error) {
	dev, err := efi.BootVolume()
	if err == nil {
		vol, err := fat.Mount(dev)
		if err != nil {
			return nil, fmt.Errorf("the drive that AlphaOS was started from cannot be read: %w", err)
		}
		return &drive{dev, vol}, nil
	}
	if !errors.Is(err, efi.ErrNoBootVolume) {
		return nil, err
	}
	volumes, listErr := efi.Volumes()
	for _, dev := range volumes {
		vol, err := fat.Mount(dev)
		if err != nil {
			continue // another system's volume
		}
		if f, err := vol.Open(journalFile); err == nil {
			f.Close()
			dev.AllowWrites()
			return &drive{dev, vol}, nil
		}
	}
	if listErr != nil {
		log.printf("disks: %v", listErr)
	}
	return nil, errors.New("no AlphaOS drive was found")
}

// openJournal opens what is saved. Without a journal one can still talk, and is told
// why nothing will be kept.
func openJournal(vol *fat.FS) (s *store.Store, r store.Recovery, why error) {
	medium, err := vol.OpenInPlace(journalFile)
	if err != nil {
		return nil, r, fmt.Errorf("the journal on the drive cannot be used: %w", err)
	}
	return store.Open(medium, time.Now)
}

// openState is where the model's memory of the conversation is kept between sessions,
// or nil. A drive without such a file, or a safe start, does without.
func openState(d *drive, safe bool) store.Medium {
	if safe || d.dev.ReadOnly() {
		return nil
	}
	f, err := d.fs.OpenInPlace(stateFile)
	if err != nil {
		return nil
	}
	return f
}

// switchOff ends the session's power. It returns only if the firmware refuses.
func switchOff(con *console.Console, dev *efi.BlockDevice, outcome assistant.Outcome) error {
	var err error
	if outcome == assistant.Restart {
		err = efi.Restart(dev)
	} else {
		err = efi.Shutdown(dev)
	}
	if err != nil {
		con.Error("The machine could not be switched off or restarted: " + fs.Explain(err))
	}
	con.Notice("It is safe to hold the power button now.")
	for {
		if _, err := con.ReadLine(""); errors.Is(err, io.EOF) {
			return nil
		}
	}
}
