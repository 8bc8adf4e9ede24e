package boot

// The knowledge partition of an encrypted drive: asking for its passphrase, before all that needs what is there.

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/luks"
)

// unlockTries is how often the passphrase may be wrong.
const unlockTries = 3

// unlockWait is for how long a wrong one makes the next one wait, twice as long each time. A variable for tests.
var unlockWait = 2 * time.Second

// Unlock asks for the passphrase of a drive that is locked. When that is not known, the start goes on without
// what is there.
func (s *Start) Unlock(con *console.Console, d *drive.Drive) {
	locked := d.Locked()
	if locked == nil {
		return
	}
	locked.Memory = s.machine.FreeMemory() / 2
	s.Log.Printf("drive: the knowledge partition is encrypted: %d keyslots", len(locked.Slots()))
	con.Notice("Your conversations and documents on this drive are encrypted.")
	// The collector gives back what deriving keys took, before memory is shared.
	defer debug.FreeOSMemory()
	// A passphrase that is typed too early, or once too often, must not become a message.
	defer con.Forget()
	told := d.Notes()
	for try := range unlockTries {
		con.Forget()
		typed, err := con.AskSecret("Passphrase or recovery key (Enter alone starts without them): ")
		if err != nil && !errors.Is(err, console.ErrInterrupted) || len(typed) == 0 {
			if errors.Is(err, io.EOF) {
				s.Log.Printf("drive: nobody can be asked for the passphrase: %v", err)
			}
			break
		}
		hint := s.typingHint(typed)
		err = s.derive(con, d, locked, typed)
		clear(typed[:cap(typed)])
		if err == nil {
			s.Log.Printf("drive: unlocked at attempt %d", try+1)
			con.Quiet("Unlocked.")
			for _, note := range d.Notes() {
				if !slices.Contains(told, note) { // of what was locked
					con.Quiet(note)
					s.Log.Printf("drive: %s", note)
				}
			}
			return
		}
		if !errors.Is(err, luks.ErrPassphrase) {
			s.Log.Printf("drive: not unlocked: %v", err)
			con.Error("The encrypted partition cannot be opened: " + fs.Explain(err))
			break
		}
		s.Log.Printf("drive: attempt %d had no keyslot", try+1)
		// What else it says is of keyslots, never of what was typed.
		con.Error(strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + ".")
		if hint != "" {
			con.Quiet(hint)
		}
		if try+1 < unlockTries {
			wait := unlockWait << try
			over := con.Passing(fmt.Sprintf("The next attempt can be made in %v.", wait))
			time.Sleep(wait)
			over()
		}
	}
	con.Notice("AlphaOS starts without your conversations and documents: they stay encrypted, and nothing that is said now is kept. Restart to try again.")
}

// derive tries a passphrase, and shows for how long yet.
func (s *Start) derive(con *console.Console, d *drive.Drive, locked *drive.Locked, typed []byte) error {
	work, long := locked.Estimate()
	p := con.Progress("Making the key of it", work)
	defer p.Done()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- d.Unlock(typed) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			p.Set(work)
			return err
		case <-tick.C: // it may take longer than was estimated
			p.Set(int64(float64(work) * min(0.99, time.Since(began).Seconds()/max(long.Seconds(), 1e-3))))
		}
	}
}

// typingHint says what may have been wrong with the typing of a passphrase that was not one.
func (s *Start) typingHint(typed []byte) string {
	text := string(typed)
	var hints []string
	if strings.IndexFunc(text, unicode.IsUpper) >= 0 && strings.IndexFunc(text, unicode.IsLower) < 0 {
		hints = append(hints, "All letters were capitals: is Caps Lock on?")
	}
	layout := "the firmware's layout, mostly the American one"
	if s.Keyboard != "" {
		layout = "the layout " + s.Keyboard
	}
	return strings.Join(append(hints, "Keys are read with "+layout+"; \"keyboard\" in the file of options sets another one."), " ")
}
