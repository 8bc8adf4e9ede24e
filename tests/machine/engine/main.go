// Command engine measures the engine in the machine: how much faster a model from the
// drive decodes with two threads than with one, and how long a key press takes from the
// keyboard to the screen while the model generates on all processors.
//
// Keys are pressed by the program itself, through the keyboard controller, so that press
// and echo are read off one clock, the machine's: a slow host or emulator shows in the
// processor's speed, not in what is measured.
package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/efi"
	"alphaos/fs/fat"
	"alphaos/llm"
	"alphaos/tests/guest"
)

const modelFile = "models/engine.gguf"

func main() {
	fmt.Println("engine: begin")
	if err := run(context.Background()); err != nil {
		fmt.Println("engine: FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("engine: done")
	time.Sleep(time.Hour)
}

func run(ctx context.Context) error {
	vol, _, err := guest.Mount()
	if err != nil {
		return err
	}
	var models [2]*llm.Model
	for i := range models {
		if models[i], err = load(vol, 1+i); err != nil {
			return err
		}
	}
	if err := speedup(ctx, models); err != nil {
		return err
	}
	models[0].Close()
	models[1].Close()
	model, err := load(vol, amd64.StartProcessors(amd64.Present()))
	if err != nil {
		return err
	}
	return latency(ctx, model)
}

func load(vol *fat.FS, threads int) (*llm.Model, error) {
	f, err := vol.OpenInPlace(modelFile)
	if err != nil {
		return nil, err
	}
	return llm.Load(f, f.Size(), llm.Options{Threads: threads, Alloc: amd64.AllocPhysical, Free: amd64.FreePhysical})
}

// decoder evaluates token after token.
type decoder struct {
	s *llm.Session
	n int32
}

func newDecoder(m *llm.Model) (*decoder, error) {
	s, err := m.NewSession(min(256, m.Info().Context))
	return &decoder{s: s}, err
}

func (d *decoder) next(ctx context.Context) error {
	if d.s.Len() == d.s.Cap() {
		d.s.Truncate(0)
	}
	d.n = (d.n*31 + 7) % 256
	_, err := d.s.Eval(ctx, []int32{d.n})
	return err
}

// speedup compares one thread with two, in turn.
func speedup(ctx context.Context, models [2]*llm.Model) error {
	var decoders [2]*decoder
	for i, m := range models {
		var err error
		if decoders[i], err = newDecoder(m); err != nil {
			return err
		}
	}
	var ratios []float64
	var rates [2][]float64
	for range 9 {
		var took [2]time.Duration
		for i, d := range decoders {
			const tokens = 4
			began := time.Now()
			for range tokens {
				if err := d.next(ctx); err != nil {
					return err
				}
			}
			took[i] = time.Since(began)
			rates[i] = append(rates[i], tokens/took[i].Seconds())
		}
		ratios = append(ratios, float64(took[0])/float64(took[1]))
	}
	slices.Sort(ratios)
	slices.Sort(rates[0])
	slices.Sort(rates[1])
	fmt.Printf("engine: decode-2-threads-over-1 %.2f (median of %d, least %.2f, most %.2f; %.2f and %.2f tokens/s, kernel %s)\n",
		ratios[len(ratios)/2], len(ratios), ratios[0], ratios[len(ratios)-1], rates[0][4], rates[1][4], models[0].Info().Kernel)
	return nil
}

// watchedScreen notes when rows from a height on are brought up to date.
type watchedScreen struct {
	*efi.Screen
	from  atomic.Int64 // height in pixels
	shown atomic.Int64 // when, since the start of the machine; set to 0 to ask
	rect  image.Rectangle
}

func (s *watchedScreen) Flush(shadow []uint32, stride int, r image.Rectangle) error {
	err := s.Screen.Flush(shadow, stride, r)
	if int64(r.Max.Y) > s.from.Load() && s.shown.Load() == 0 {
		s.rect = r
		s.shown.Store(int64(amd64.SinceStart()))
	}
	return err
}

// await returns when it was shown.
func (s *watchedScreen) await() (time.Duration, error) {
	for began := amd64.SinceStart(); s.shown.Load() == 0; time.Sleep(200 * time.Microsecond) {
		if amd64.SinceStart()-began > 5*time.Second {
			return 0, errors.New("a key was not echoed within five seconds")
		}
	}
	return time.Duration(s.shown.Load()), nil
}

// latency presses a key from time to time while the model generates and its tokens are
// shown, as they are in a conversation. A key is seen when the program's key source
// delivers it; it is echoed when the screen shows it in the row below the answer.
func latency(ctx context.Context, model *llm.Model) error {
	s, err := efi.OpenScreen()
	if err != nil {
		return err
	}
	screen := &watchedScreen{Screen: s}
	keys := make(chan console.Key)
	con, err := console.New(console.Options{Screen: screen, Keys: keys})
	if err != nil {
		return err
	}
	pressed := efi.Keys(ctx, nil)
	d, err := newDecoder(model)
	if err != nil {
		return err
	}
	answer, end := con.StopContext(ctx)
	defer end()
	// Where the first row is, and how high rows are.
	screen.shown.Store(0)
	keys <- console.Key{Rune: 'a'}
	if _, err := screen.await(); err != nil {
		return err
	}
	first := screen.rect
	keys <- console.Key{Code: console.Backspace}

	var stop atomic.Bool
	generated := make(chan error)
	tokens := 0
	go func() {
		for !stop.Load() {
			if err := d.next(answer); err != nil {
				generated <- err
				return
			}
			const row = 60
			text := "."
			if tokens > 0 && tokens%row == 0 {
				text = "\n."
			}
			screen.from.Store(int64(first.Min.Y + (tokens/row+1)*first.Dy()))
			tokens++
			if _, err := con.Write([]byte(text)); err != nil {
				generated <- err
				return
			}
		}
		generated <- nil
	}()
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	const presses = 200
	var seen, echoed []time.Duration
	for i := range presses {
		// Not in step with any timer.
		time.Sleep(20*time.Millisecond + time.Duration(i*7919%4000)*10*time.Microsecond)
		code := byte(0x1e) // A, in scan code set 1
		if i%2 != 0 {
			code = 0x0e // Backspace
		}
		at := amd64.SinceStart()
		if err := toKeyboard(code); err != nil {
			return err
		}
		var k console.Key
		select {
		case k = <-pressed:
		case <-time.After(5 * time.Second):
			return errors.New("a key was not delivered within five seconds")
		}
		seen = append(seen, amd64.SinceStart()-at)
		screen.shown.Store(0)
		keys <- k
		shown, err := screen.await()
		if err != nil {
			return err
		}
		echoed = append(echoed, shown-at)
		const release = 0x80
		if err := toKeyboard(code | release); err != nil {
			return err
		}
	}
	took := time.Since(began)
	stop.Store(true)
	if err := <-generated; err != nil {
		return err
	}
	report("key-seen", seen)
	report("key-echo", echoed)
	fmt.Printf("engine: %d keys in %v, meanwhile %d tokens on %d processors\n", presses, took.Round(time.Millisecond), tokens, runtime.NumCPU())
	return nil
}

// toKeyboard has the keyboard controller (8042) deliver a scan code as if its keyboard had
// sent it, by command 0xD2, and waits until what was delivered before has been read.
func toKeyboard(code byte) error {
	const (
		data, command     = 0x60, 0x64
		full, inputFull   = 1, 2 // of the status register
		writeKeyboardByte = 0xd2
	)
	for end := amd64.SinceStart() + 5*time.Second; amd64.In8(command)&(full|inputFull) != 0; {
		if amd64.SinceStart() > end {
			return errors.New("the firmware does not read its keyboard")
		}
		time.Sleep(200 * time.Microsecond)
	}
	amd64.Out8(command, writeKeyboardByte)
	amd64.Out8(data, code)
	return nil
}

func report(name string, d []time.Duration) {
	slices.Sort(d)
	n := len(d)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	fmt.Printf("engine: %s-p50-ms %.2f\nengine: %s-p99-ms %.2f (least %.2f, most %.2f)\n", name, ms(d[n/2]), name, ms(d[n*99/100]), ms(d[0]), ms(d[n-1]))
}
