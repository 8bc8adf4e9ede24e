package main

// A conversation on the whole of a terminal: the machine's own console, with its bars, lists and Markdown, drawn
// with characters. It has a screen of its own beside the one with the shell (what a pager has, too) since an answer is
// laid out anew while it comes, bars stand still, and a line being edited may be taller than the window; none of that
// can be done to rows that the terminal has scrolled away. What was said goes to the other screen at the end, so that
// the terminal's own scrolling, search and selection have it then.
//
// The conversation runs in a process of its own. Whatever becomes of that, be it a panic in any goroutine, a signal or
// the end of all memory, its parent is there to give the terminal back as it was, and to tell.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"alphaos/assistant"
	"alphaos/console"
)

// inScreen is set in the environment of the process that has the screen. Its file 3 takes what was said.
const inScreen = "ALPHAOS_IN_SCREEN"

// terminalColour tells what colours the terminal shows, as the environment has it (no-color.org; COLORTERM is
// what terminals have agreed on), and whether it has a screen at all.
func terminalColour(getenv func(string) string) (colour console.Colour, screen bool) {
	name := getenv("TERM")
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(name, p) {
				return true
			}
		}
		return false
	}
	switch deep := getenv("COLORTERM"); {
	case name == "" || name == "dumb":
		return console.NoColour, false
	case getenv("NO_COLOR") != "":
		return console.NoColour, true
	case deep == "truecolor" || deep == "24bit" || has("direct"):
		return console.TrueColour, true
	case has("256color", "kitty", "alacritty", "foot", "ghostty", "wezterm"):
		return console.Colour256, true
	}
	return console.NoColour, true
}

// superviseScreen runs this command again, in the screen of the terminal, and leaves that as it was.
func superviseScreen(in, out *os.File, errs io.Writer) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program again: %w", err)
	}
	saidR, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer saidR.Close()
	var failed strings.Builder
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), inScreen+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = in, out, &failed, []*os.File{said}

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("cannot use this terminal: %w", err)
	}
	io.WriteString(out, console.EnterTerminal)
	err = cmd.Start()
	said.Close()
	var text []byte
	if err == nil {
		go func() {
			for s := range signals {
				cmd.Process.Signal(s)
			}
		}()
		text, _ = io.ReadAll(saidR) // ends when the process does
		err = cmd.Wait()
	}
	io.WriteString(out, console.LeaveTerminal)
	term.Restore(int(in.Fd()), state)
	out.Write(text)
	io.WriteString(errs, failed.String())
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case exit.Exited():
		return exitCode(exit.ExitCode()) // it has told why
	}
	return fmt.Errorf("the conversation was ended from outside (%w)", err)
}

// converseOnScreen is the process that superviseScreen runs.
func converseOnScreen(ctx context.Context, c assistant.Config, in, out *os.File, colour console.Colour) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	size := func() (int, int) {
		cols, rows, err := term.GetSize(int(out.Fd()))
		if err != nil || cols <= 0 || rows <= 0 {
			return 80, 24
		}
		return cols, rows
	}
	p := &person{}
	con, err := console.New(console.Options{Terminal: &console.Terminal{W: out, Size: size, Colour: colour},
		Keys: p.watch(console.DecodeKeys(ctx, in)), Complete: assistant.Complete, Clock: time.Now})
	if err != nil {
		return err
	}
	defer con.Close()
	resized := make(chan os.Signal, 1)
	notifyResize(resized)
	defer signal.Stop(resized)
	go func() {
		for range resized {
			con.Resize()
		}
	}()
	p.UI = assistant.Terminal(con)
	c.UI, c.Display = p, con
	_, err = assistant.Run(ctx, c)
	said := os.NewFile(3, "what was said")
	return errors.Join(err, con.Transcript(said, true), said.Close())
}

// person is the user interface of a terminal, where Ctrl-C is what everybody knows: one stops the answer or gives up
// the line, and a second one leaves.
type person struct {
	assistant.UI
	interrupts atomic.Int32 // Ctrl-C, without any other key between them
}

func (p *person) watch(keys <-chan console.Key) <-chan console.Key {
	out := make(chan console.Key, cap(keys))
	go func() {
		defer close(out)
		for k := range keys {
			if k.Code == console.CtrlC {
				p.interrupts.Add(1)
			} else {
				p.interrupts.Store(0)
			}
			out <- k
		}
	}()
	return out
}

func (p *person) ReadLine(prompt string) (string, error) { return p.ask(p.UI.ReadLine, prompt) }
func (p *person) Ask(question string) (string, error)    { return p.ask(p.UI.Ask, question) }

func (p *person) ask(read func(string) (string, error), prompt string) (string, error) {
	for {
		if p.interrupts.Load() >= 2 {
			return "", io.EOF
		}
		line, err := read(prompt)
		if !errors.Is(err, console.ErrInterrupted) {
			return line, err
		}
		if p.interrupts.Load() < 2 {
			p.Quiet("Ctrl-C once more leaves; so does /bye.")
		}
	}
}
