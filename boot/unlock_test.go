package boot

import (
	"errors"
	"strings"
	"testing"
	"time"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs/fstest"
	"alphaos/fs/luks"
	"alphaos/internal/vmtest"
)

func (*stick) FreeMemory() int64 { return 1 << 30 }

func TestUnlock(t *testing.T) {
	defer func(d time.Duration) { unlockWait = d }(unlockWait)
	unlockWait = time.Millisecond
	const passphrase = "five words"
	image := vmtest.Image(t, "full", create.Options{Encrypt: &create.Encryption{Passphrase: []byte(passphrase), Cost: luks.Cost{Memory: 32 << 10, Passes: 1}}})
	for _, c := range []struct {
		name     string
		keyboard string
		typed    []string
		unlocked bool
		told     []string
	}{
		{"right", "", []string{passphrase}, true, []string{"are encrypted.", "Unlocked."}},
		{"right at last", "de", []string{"wrong", "FIVE WORDS", passphrase}, true, []string{
			"That is not a passphrase of this volume.", "Keys are read with the layout de", "is Caps Lock on?", "The next attempt can be made in 1ms.", "Unlocked."}},
		{"wrong", "", []string{"a", "b", "c"}, false, []string{"the firmware's layout", "AlphaOS starts without your conversations and documents"}},
		{"skipped", "", []string{""}, false, []string{"AlphaOS starts without your conversations and documents"}},
		{"a mistyped recovery key", "", []string{"0000000000000000000000000000XX", ""}, false, []string{"something is mistyped in group"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fstest.NewDevice(image, 512)
			d, err := drive.Open(dev, true)
			if err != nil || d.Locked() == nil {
				t.Fatalf("it is not locked: %v", err)
			}
			keys, line := make(chan console.Key), make(serial)
			con, err := console.New(console.Options{Serial: line, Keys: keys, Now: clock()})
			if err != nil {
				t.Fatal(err)
			}
			s := &Start{machine: &stick{}, Log: Log{now: (&stick{}).SinceStart}}
			s.Keyboard = c.keyboard
			done := make(chan struct{})
			go func() {
				s.Unlock(con, d)
				close(done)
			}()
			shown, asked := "", 0
			for ended := false; !ended; {
				select {
				case text := <-line:
					shown += text
					if n := strings.Count(shown, "starts without them): "); n > asked {
						if asked == len(c.typed) {
							t.Fatalf("asked once more after %q", shown)
						}
						go func(text string) {
							for _, r := range text {
								keys <- console.Key{Rune: r}
							}
							keys <- console.Key{Code: console.Enter}
						}(c.typed[asked])
						asked = n
					}
				case <-done:
					ended = true
				}
			}
			if (d.Locked() == nil) != c.unlocked || asked != len(c.typed) {
				t.Errorf("unlocked %v, %d questions; shown %q", d.Locked() == nil, asked, shown)
			}
			for _, want := range c.told {
				if !strings.Contains(shown, want) {
					t.Errorf("%q was not told: %q", want, shown)
				}
			}
			for _, text := range c.typed {
				if text != "" && strings.Contains(shown, text) && len(text) > 1 {
					t.Errorf("%q was shown: %q", text, shown)
				}
			}
			if c.unlocked {
				if _, err := d.Open(drive.JournalPath); err != nil {
					t.Error(err)
				}
			} else if _, _, err := d.OpenJournal(time.Now); !errors.Is(err, drive.ErrLocked) { // by which the assistant leaves the documents alone
				t.Errorf("the journal: %v", err)
			}
		})
	}
}
