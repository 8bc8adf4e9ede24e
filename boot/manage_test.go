package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alphaos/assistant"
	"alphaos/console"
	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/engine"
	"alphaos/internal/picture"
	"alphaos/internal/vmtest"
	"alphaos/models"
	"alphaos/store"
)

// screen is a frame buffer in memory.
type screen struct {
	w, h int
	pix  []uint32
}

func (s *screen) Size() (int, int) { return s.w, s.h }

func (s *screen) Flush(pixels []uint32, stride int, r image.Rectangle) error {
	for y := range r.Dy() {
		copy(s.pix[(r.Min.Y+y)*s.w+r.Min.X:][:r.Dx()], pixels[y*stride:])
	}
	return nil
}

// desk is a machine on which the manager is shown.
type desk struct {
	Machine
	mac bool
}

func (desk) SinceStart() time.Duration                   { return 0 }
func (desk) PresentProcessors() int                      { return 4 }
func (desk) FreeMemory() int64                           { return 14.2e9 }
func (d desk) Mac() bool                                 { return d.mac }
func (desk) SetZone(*time.Location, bool)                {}
func (desk) Now() time.Time                              { return time.Date(2026, 11, 29, 14, 32, 0, 0, zone) }
func (desk) Facts(log *Log)                              { log.Printf("firmware: of the test") }
func (desk) LoadOptions() (text, file string, err error) { return "", "", nil }
func (desk) UseKeyboard(string, *Log)                    {}
func (desk) StartProcessors(most int) int                { return most }

var zone = time.FixedZone("", 3600)

// show is a start at which the manager is shown.
type show struct {
	*Manager
	con  *console.Console
	keys chan console.Key
	said *buffer
}

// buffer is a serial line.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func manage(t *testing.T, s *Start, d *drive.Drive, r store.Recovery, before ...console.Key) *show {
	t.Helper()
	x := &show{keys: make(chan console.Key), said: &buffer{}}
	var err error
	if x.con, err = console.New(console.Options{Serial: x.said, Keys: x.keys}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.con.Close() })
	for _, k := range before {
		x.keys <- k
		x.keys <- console.Key{}
	}
	x.Manager = s.Manage(t.Context(), x.con, d, r, nil)
	return x
}

// hear waits until the serial line has said something.
func (x *show) hear(t *testing.T, text string) {
	t.Helper()
	for range 5000 {
		if strings.Contains(x.said.String(), text) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%q is not said in %q", text, x.said.String())
}

func newStart(m Machine, options string) *Start {
	s := &Start{machine: m, Log: Log{now: m.SinceStart}}
	s.asked.set("test", commandLine(options, ""), nil)
	s.apply()
	return s
}

func TestManage(t *testing.T) {
	d, _ := vmtest.Drive(t, vmtest.NewDrive(t, create.Options{Size: 64 << 20, Journal: 1 << 20}))
	crash, err := d.OpenInPlace(drive.CrashPath)
	if err != nil {
		t.Fatal(err)
	}
	a := console.Key{Rune: 'a'}
	bad := store.Recovery{Unclean: true}
	for _, tt := range []struct {
		name, options string
		r             store.Recovery
		crash         bool
		before        []console.Key
		keys          string
		hidden        bool
		entry         int
		cause         error // of the end of the session; nil: it goes on
		safe, verbose bool
	}{
		{name: "start", keys: "1\r"},
		{name: "enter", keys: "\r"},
		{name: "the default", options: "default=verbose", keys: "\r", entry: verbose, verbose: true},
		{name: "safe", keys: "2\r", entry: safe, cause: assistant.ErrAnew},
		{name: "verbose", keys: "3\r", entry: verbose, verbose: true},
		{name: "own system", keys: "4\r", entry: ownSystem, cause: context.Canceled},
		{name: "shut down", keys: "5\r", entry: shutDown, cause: context.Canceled},
		{name: "a smaller model", keys: "6\r", entry: smaller, cause: assistant.ErrAnew},
		{name: "time is over", options: "wait=1"},
		{name: "hidden", options: "wait=0", hidden: true},
		{name: "a key is held", options: "wait=0", before: []console.Key{a, a}, keys: "5\r", entry: shutDown, cause: context.Canceled},
		{name: "after a bad end", options: "wait=0", r: bad, keys: "\r"},
		{name: "after a crash", options: "wait=1", crash: true, keys: "2\r", safe: true},
		{name: "hidden after a crash", options: "wait=0", crash: true, keys: "\r"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := crashSeen
			if tt.crash {
				head = CrashNew
			}
			if _, err := crash.WriteAt([]byte(head+strings.Repeat(" ", 10)), 0); err != nil {
				t.Fatal(err)
			}
			s := newStart(desk{}, tt.options)
			var x *show
			if tt.crash { // nothing goes on before the person has chosen
				shown := make(chan *show, 1)
				x = &show{keys: make(chan console.Key), said: &buffer{}}
				if x.con, err = console.New(console.Options{Serial: x.said, Keys: x.keys}); err != nil {
					t.Fatal(err)
				}
				go func() {
					x.Manager = s.Manage(t.Context(), x.con, d, tt.r, nil)
					shown <- x
				}()
				x.hear(t, "Enter alone takes Start AlphaOS.\r\n") // and no word of a clock
				select {
				case <-shown:
					t.Fatal("the start goes on")
				case <-time.After(1100 * time.Millisecond): // longer than wait says
				}
				x.press(tt.keys)
				x = <-shown
			} else {
				x = manage(t, s, d, tt.r, tt.before...)
				x.Flight(assistant.Flight{Model: "large", Smaller: "little", Bytes: 8e9, Total: 8e9})
				if !tt.hidden {
					x.hear(t, "any key stops the clock")
				}
				x.press(tt.keys)
			}
			x.Ready()
			select {
			case <-x.Begin:
				if tt.cause != nil {
					t.Error("the session goes on")
				}
			case <-x.Context.Done():
				if got := context.Cause(x.Context); got != tt.cause {
					t.Errorf("the session ends with %v, want %v", got, tt.cause)
				}
			}
			if said := x.said.String(); strings.Contains(said, "AlphaOS Startup") == tt.hidden {
				t.Errorf("said: %q", said)
			}
			if s.Safe != tt.safe || s.Verbose != tt.verbose || tt.verbose != strings.Contains(x.said.String(), "firmware: of the test") {
				t.Errorf("safe %v, verbose %v; said %q", s.Safe, s.Verbose, x.said.String())
			}
			if x.OwnSystem() != (tt.entry == ownSystem) {
				t.Error("wants the computer's own system, or not")
			}
			if errors.Is(tt.cause, assistant.ErrAnew) {
				x.Anew(x.con)
				if s.Safe != (tt.entry == safe) || s.Model != map[int]string{smaller: "little"}[tt.entry] || x.Context.Err() != nil {
					t.Errorf("anew with %v", s.Options)
				}
				<-x.Begin
			}
		})
	}
}

// The manager costs no time: the model is loaded while it stands there, and what is chosen waits for nothing. When it is
// hidden, nothing is drawn and nothing waited for.
func TestManagerCostsNothing(t *testing.T) {
	d, _ := vmtest.Drive(t, vmtest.NewDrive(t, create.Options{Size: 64 << 20, Journal: 1 << 20}))
	x := manage(t, newStart(desk{}, "wait=60"), d, store.Recovery{})
	loads, loaded := 0, make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := assistant.Run(x.Context, assistant.Config{
			UI: assistant.Terminal(x.con), Models: engine.WithBuiltIn(engine.DirModels(d, drive.ModelsDir), engine.DirModels(models.Files, ".")), Begin: x.Begin,
			Flight: func(f assistant.Flight) {
				if x.Flight(f); f.Loaded {
					loads++
					close(loaded)
				}
			}})
		if err != nil {
			t.Error(err)
		}
	}()
	x.Ready()
	x.hear(t, "Model: none yet")
	<-loaded
	if said := x.said.String(); strings.Contains(said, "you> ") || strings.Contains(said, "so the guide talks") {
		t.Errorf("behind the manager is said %q", said)
	}
	x.press("1\r")
	x.hear(t, "you> ")
	_, said, _ := strings.Cut(x.said.String(), vmtest.Manager)
	if _, said, _ = strings.Cut(said, "\r\nStart AlphaOS\r\n"); !strings.Contains(said, "so the guide talks") {
		t.Errorf("behind the choice is said %q", said)
	}
	x.press("/bye\r")
	<-done
	if loads != 1 {
		t.Errorf("a model was loaded %d times", loads)
	}

	pic := &counted{screen: screen{800, 600, make([]uint32, 800*600)}}
	con, err := console.New(console.Options{Screen: pic, Keys: make(chan console.Key)})
	if err != nil {
		t.Fatal(err)
	}
	defer con.Close()
	drawn := pic.flushes
	m := newStart(desk{}, "wait=0").Manage(t.Context(), con, d, store.Recovery{}, nil)
	select {
	case <-m.Begin:
	default:
		t.Error("a hidden manager has the keys")
	}
	if pic.flushes != drawn {
		t.Error("a hidden manager was drawn")
	}
}

// counted is a screen that counts how often it is drawn on.
type counted struct {
	screen
	flushes int
}

func (c *counted) Flush(pixels []uint32, stride int, r image.Rectangle) error {
	c.flushes++
	return c.screen.Flush(pixels, stride, r)
}

// press types on a serial line.
func (x *show) press(keys string) {
	for _, r := range keys {
		x.keys <- console.Key{Rune: r}
	}
}

// TestManagerScreens compares what is seen with pictures that were looked at.
func TestManagerScreens(t *testing.T) {
	d, _ := vmtest.Drive(t, vmtest.NewDrive(t, create.Options{Size: 8 << 30, Journal: 1 << 20}))
	at := time.Date(2026, 5, 12, 20, 15, 0, 0, zone)
	usual := assistant.Flight{Model: "llama-3.2-3b-q4_k_m", Bytes: 2019377376, Fits: true, Tokens: 11.3, Rate: 112e6, Done: 1.0e9, Total: 2019377376}
	large := assistant.Flight{Model: "qwen3-30b-a3b-q4_k_m", Bytes: 18.6e9, Tokens: 0.62, Rate: 412e6, Done: 1.0e9, Total: 13e9, Smaller: "llama-3.2-3b-q4_k_m"}
	guide := assistant.Flight{Model: "alphaos-guide", Guide: true, Loaded: true, Rate: 112e6}
	for _, tt := range []struct {
		name   string
		w, h   int
		mac    bool
		flight assistant.Flight
		r      store.Recovery
		crash  bool
	}{
		{"startup", 800, 600, true, usual, store.Recovery{UpTo: at}, false},
		{"startup", 1280, 800, true, usual, store.Recovery{UpTo: at}, false},
		{"startup", 2880, 1800, true, usual, store.Recovery{UpTo: at}, false},
		{"startup-recovery", 800, 600, true, usual, store.Recovery{UpTo: at, Unclean: true}, false},
		{"startup-recovery", 1280, 800, true, usual, store.Recovery{UpTo: at, Unclean: true}, false},
		{"startup-recovery", 2880, 1800, true, usual, store.Recovery{UpTo: at, Unclean: true}, false},
		{"startup-crash", 800, 600, true, assistant.Flight{}, store.Recovery{UpTo: at, Unclean: true}, true},
		{"startup-crash", 2880, 1800, true, assistant.Flight{}, store.Recovery{UpTo: at, Unclean: true}, true},
		{"startup-crash", 1280, 800, true, assistant.Flight{}, store.Recovery{UpTo: at, Unclean: true}, true},
		{"startup-little-memory", 800, 600, false, large, store.Recovery{UpTo: at}, false},
		{"startup-little-memory", 2880, 1800, false, large, store.Recovery{UpTo: at}, false},
		{"startup-little-memory", 1280, 800, false, large, store.Recovery{UpTo: at}, false},
		{"startup-no-model", 800, 600, false, guide, store.Recovery{New: true}, false},
		{"startup-no-model", 1280, 800, false, guide, store.Recovery{New: true}, false},
		{"startup-no-model", 2880, 1800, false, guide, store.Recovery{New: true}, false},
	} {
		name := fmt.Sprintf("%s-%dx%d", tt.name, tt.w, tt.h)
		t.Run(name, func(t *testing.T) {
			s := newStart(desk{mac: tt.mac}, "wait=5")
			m := &Manager{start: s, flight: tt.flight}
			keys, pic := make(chan console.Key), &screen{tt.w, tt.h, make([]uint32, tt.w*tt.h)}
			now := at
			con, err := console.New(console.Options{Screen: pic, Keys: keys, Now: func() time.Time { return now }, Clock: desk{}.Now})
			if err != nil {
				t.Fatal(err)
			}
			menu := m.menu(d, m.last(d, tt.r, nil, tt.crash), tt.crash)
			if !tt.crash {
				menu.Wait = 5 * time.Second
			}
			ctx, cancel := context.WithCancel(t.Context())
			menu.Shown = func() {
				picture.Compare(t, pic.pix, tt.w, filepath.Join("testdata", name+".png"))
				cancel()
			}
			if _, err := con.Choose(ctx, menu); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}
