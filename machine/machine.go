// Package machine is the computer that AlphaOS runs on: the console, the drive, facts, the
// crash screen and power, made of the firmware (efi) and of the machine below Go (amd64).
// It is the only library room that knows both.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/drive"
	"alphaos/efi"
	"alphaos/fs"
)

// Machine is the computer.
type Machine struct {
	image  efi.Image   // this program
	broken error       // why that is not known
	screen *efi.Screen // or nil
	serial *efi.Serial // or nil
	clock  *clock
	keys   keyboard.Keyboard
	drive  *drive.Drive       // or nil
	parts  []*efi.BlockDevice // the drive's partitions that are used
	away   atomic.Bool        // they were not all there, or were found again, and nobody has read them anew
	heap   int64              // what the Go heap may grow to

	// Times after the firmware's hand-over: of the Go program, of drive and journal, and
	// of the first memory for a model.
	began, ready, reading time.Duration
}

// Booted tells whether the program runs on firmware, without an operating system.
func Booted() bool { return amd64.Booted() }

// Open finds the firmware.
func Open() (*Machine, error) {
	m := &Machine{began: amd64.SinceStart()}
	if err := efi.Init(); err != nil {
		return nil, err
	}
	m.image, m.broken = efi.LoadedImage()
	now, err := efi.Clock()
	vendor, _, _ := efi.Firmware()
	m.clock = newClock(now, err, strings.Contains(vendor, "Apple"))
	return m, nil
}

// SinceStart is the time since the firmware handed over.
func (m *Machine) SinceStart() time.Duration { return amd64.SinceStart() }

// LoadOptions returns the text that a boot manager passed, and the program's path.
func (m *Machine) LoadOptions() (text, file string, err error) {
	return m.image.Options, m.image.FilePath, m.broken
}

// Name is what tells this computer from others: its firmware and its processor.
func (m *Machine) Name() string {
	vendor, revision, _ := efi.Firmware()
	return fmt.Sprintf("%s %#x, %s", vendor, revision, amd64.Identify().Brand)
}

// PresentProcessors is how many there are.
func (m *Machine) PresentProcessors() int { return amd64.Present() }

// StartProcessors has the program run on most processors at most and returns how many it runs
// on.
func (m *Machine) StartProcessors(most int) int { return amd64.StartProcessors(most) }

// Processors is how many there are to compute on.
func (m *Machine) Processors() int { return amd64.Processors() }

// OpenConsole joins screen, keyboard and serial port to one console. The machine may
// lack any of them, but not all ways to show text.
func (m *Machine) OpenConsole(ctx context.Context, complete func(line string) string) (*console.Console, error) {
	o := console.Options{Complete: complete, Clock: m.Now}
	keys := []<-chan console.Key{efi.Keys(ctx, &m.keys)}
	screen, screenErr := efi.OpenScreen()
	if screenErr == nil {
		m.screen, o.Screen = screen, screen // an interface: a nil pointer in it would not be nil
	}
	serial, err := efi.OpenSerial()
	switch {
	case err == nil:
		m.serial, o.Serial = serial, serial
		if screenErr != nil {
			o.Serial = both{serial, textScreen()}
		}
		keys = append(keys, console.DecodeKeys(ctx, serial))
	case screenErr != nil:
		o.Serial = textScreen()
	}
	o.Keys = console.MergeKeys(keys...)
	return console.New(o)
}

// textScreen is the firmware's text console, empty.
func textScreen() io.Writer {
	w := efi.TextOutput()
	io.WriteString(w, "\x1b[2J") // if that fails, so does what follows
	return w
}

// both writes to two places, of which one may fail.
type both [2]io.Writer

func (b both) Write(p []byte) (int, error) {
	n, err := b[0].Write(p)
	if m, other := b[1].Write(p); err != nil {
		return m, other
	}
	return n, err
}

// Ready notes that drive and journal are open.
func (m *Machine) Ready() { m.ready = amd64.SinceStart() }

// ShareMemory divides the free memory into what a model's weights may take, beyond
// which they are streamed from the drive, what a conversation's keys and values
// may take, and what the library of the documents may, and holds the Go heap, where the latter two lie, to the rest.
func (m *Machine) ShareMemory() (weights, sessions, documents int64) {
	const other = 160 << 20 // vocabulary, screen, journal, what the collector has not found yet
	now := amd64.Memory()
	free := int64(now.Free)
	documents = min(max(free/32, 4<<20), 512<<20)
	sessions = min(max(free/4, 64<<20), 2<<30, int64(now.Heap)-other-documents)
	m.heap = sessions + other + documents
	debug.SetMemoryLimit(sessions + documents + other*3/4)
	return max(free-m.heap, 1<<20), sessions, documents
}

// Spare is how much memory is left for a further model, beside what the Go heap was promised.
func (m *Machine) Spare() int64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return max(int64(amd64.Memory().Free)-max(m.heap-int64(s.HeapInuse), 0), 0)
}

// Alloc returns memory for weights, and Free takes it back.
func (m *Machine) Alloc(n int) ([]byte, error) {
	if m.reading == 0 {
		m.reading = amd64.SinceStart()
	}
	return amd64.AllocPhysical(n)
}

// Lend gives n bytes of what is spare for a moment, which Free takes back.
func (m *Machine) Lend(n int) ([]byte, error) {
	if spare := m.Spare(); int64(n) > spare {
		return nil, fmt.Errorf("only %d MiB of memory can be spared", spare>>20)
	}
	return amd64.AllocPhysical(n)
}

// Free takes back what Alloc and Lend returned.
func (m *Machine) Free(b []byte) { amd64.FreePhysical(b) }

// Off restarts the machine or switches it off. It returns only if the firmware refuses and
// nobody can be asked any more.
func (m *Machine) Off(con *console.Console, restart bool) {
	leave := efi.Shutdown
	if restart {
		leave = efi.Restart
	}
	off(con, func() error { return leave(m.parts...) })
	m.screen.Close()
}

// off tells why leave, which does not return otherwise, failed, and has the person try again.
func off(con *console.Console, leave func() error) {
	for {
		err := leave()
		con.Error("The machine could not be switched off or restarted: " + fs.Explain(err))
		if !errors.Is(err, efi.ErrUnflushed) {
			con.Notice("It is safe to hold the power button now.")
		}
		if _, err := con.Ask("Press Enter to try again. "); errors.Is(err, io.EOF) {
			return
		}
	}
}
