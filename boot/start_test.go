package boot

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"alphaos/assistant"
	"alphaos/console"
	"alphaos/drive"
)

// stick is a machine whose drive is plugged in after so many looks at it.
type stick struct {
	Machine
	missing  int
	searches int
	connects int
}

func (s *stick) FindDrive(*Log) (*drive.Drive, error) {
	s.searches++
	if s.searches <= s.missing {
		return nil, errors.New("no AlphaOS drive was found")
	}
	return &drive.Drive{}, nil
}

func (s *stick) ConnectDisks() error { s.connects++; return nil }

func (*stick) SinceStart() time.Duration { return 0 }

// serial is a line that tells each text that is written to it.
type serial chan string

func (s serial) Write(p []byte) (int, error) { s <- string(p); return len(p), nil }

func TestAwaitDrive(t *testing.T) {
	for _, c := range []struct {
		missing  int
		before   string   // typed before anything was asked
		answers  []string // one for each question
		drive    bool
		outcome  assistant.Outcome
		searches int
	}{
		{missing: 0, drive: true, searches: 1},
		{missing: 1, answers: []string{""}, drive: true, searches: 2},
		{missing: 1, before: "off", answers: []string{""}, drive: true, searches: 2},
		{missing: 2, answers: []string{"hello", ""}, drive: true, searches: 3},
		{missing: 9, answers: []string{"", "off"}, outcome: assistant.Shutdown, searches: 2},
		{missing: 9, answers: []string{"/restart"}, outcome: assistant.Restart, searches: 1},
		{missing: 9, answers: []string{"please shut down"}, outcome: assistant.Shutdown, searches: 1},
	} {
		t.Run(fmt.Sprintf("%d missing, %q, %q", c.missing, c.before, c.answers), func(t *testing.T) {
			keys, line := make(chan console.Key), make(serial)
			con, err := console.New(console.Options{Serial: line, Keys: keys, Now: clock()})
			if err != nil {
				t.Fatal(err)
			}
			press := func(text string) {
				for _, r := range text {
					keys <- console.Key{Rune: r}
				}
				keys <- console.Key{Code: console.Enter}
			}
			if c.before != "" {
				press(c.before)
				for con.Waiting() == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			m := &stick{missing: c.missing}
			s := &Start{machine: m, Log: Log{now: m.SinceStart}}
			var d *drive.Drive
			var outcome assistant.Outcome
			done := make(chan error, 1)
			go func() {
				var err error
				d, outcome, err = s.AwaitDrive(con)
				done <- err
			}()
			shown, asked := "", 0
			for ended := false; !ended; {
				select {
				case text := <-line:
					shown += text
					if n := strings.Count(shown, "to look again"); n > asked {
						if asked == len(c.answers) {
							t.Fatalf("asked once more after %q", shown)
						}
						go press(c.answers[asked])
						asked = n
					}
				case err := <-done:
					if ended = true; err != nil {
						t.Error(err)
					}
				}
			}
			if (d != nil) != c.drive || outcome != c.outcome || m.searches != c.searches || asked != len(c.answers) {
				t.Errorf("drive %v, outcome %v, %d searches, %d questions; shown %q", d, outcome, m.searches, asked, shown)
			}
			if want := c.searches - 1; m.connects != want {
				t.Errorf("disks were started %d times, want %d", m.connects, want)
			}
		})
	}
}

// clock goes on by a second each time it is read: a person types, nobody pastes.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Unix(0, 0)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}
