//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alphaos/console"
)

// window is a terminal emulator's end of a terminal in which alphaos runs.
type window struct {
	t      *testing.T
	master *os.File
	tty    *os.File
	cmd    *exec.Cmd
	before unix.Termios

	mu    sync.Mutex
	shown bytes.Buffer
	errs  bytes.Buffer
}

// openWindow starts alphaos in a window of 80 by 24.
func openWindow(t *testing.T, dir string, env []string, args ...string) *window {
	t.Helper()
	w := &window{t: t}
	var err error
	if w.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	n, err := unix.IoctlGetInt(int(w.master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(w.master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		w.tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	w.resize(80, 24)
	w.before = w.state()
	w.cmd = exec.Command("alphaos", args...)
	w.cmd.Dir = dir
	w.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR="), env...)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = w.tty, w.tty, w.tty
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p := make([]byte, 1<<16)
		for {
			n, err := w.master.Read(p)
			w.mu.Lock()
			w.shown.Write(p[:n])
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		w.cmd.Process.Kill()
		w.master.Close()
		w.tty.Close()
	})
	return w
}

func (w *window) resize(cols, rows uint16) {
	w.t.Helper()
	if err := unix.IoctlSetWinsize(int(w.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *window) state() unix.Termios {
	w.t.Helper()
	s, err := unix.IoctlGetTermios(int(w.tty.Fd()), unix.TCGETS)
	if err != nil {
		w.t.Fatal(err)
	}
	return *s
}

func (w *window) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown.String()
}

// wait waits until text is shown behind what was shown up to from, and returns where it ends.
func (w *window) wait(from int, text string) int {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s := w.text(); strings.Contains(s[from:], text) {
			return from + strings.Index(s[from:], text) + len(text)
		}
	}
	w.t.Fatalf("%q is not shown in %q", text, w.text()[from:])
	return 0
}

func (w *window) typed(text string) {
	w.t.Helper()
	if _, err := w.master.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
}

// left waits for the end and returns what the person sees then, and the exit status.
func (w *window) left() (after string, status int) {
	w.t.Helper()
	done := make(chan error, 1)
	go func() { done <- w.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		w.t.Fatalf("it goes on: %q", w.text())
	}
	if got := w.state(); got != w.before {
		w.t.Errorf("the terminal was left as %+v, and was %+v", got, w.before)
	}
	const end = "(the end)" // behind all that it has written, of which a part may not have been read yet
	if _, err := w.tty.WriteString(end); err != nil {
		w.t.Fatal(err)
	}
	w.wait(0, end)
	text := strings.TrimSuffix(w.text(), end)
	return text[strings.LastIndex(text, console.LeaveTerminal):], w.cmd.ProcessState.ExitCode()
}

// child is the process that has the screen.
func (w *window) child() int {
	w.t.Helper()
	pid := strconv.Itoa(w.cmd.Process.Pid)
	b, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		w.t.Skip("the kernel does not list children: ", err)
	}
	if f := strings.Fields(string(b)); len(f) > 0 {
		n, _ := strconv.Atoi(f[0])
		return n
	}
	// Another thread may have started it.
	tasks, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, name := range tasks {
		b, _ := os.ReadFile(name)
		if f := strings.Fields(string(b)); len(f) > 0 {
			n, _ := strconv.Atoi(f[0])
			return n
		}
	}
	w.t.Fatal("no process has the screen")
	return 0
}

func modelDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := writeModels(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

const prompt = "you>"

// A conversation in a window: bars, an answer, another size, the end; and then it stands among what the shell shows.
func TestScreen(t *testing.T) {
	w := openWindow(t, modelDir(t), nil, "chat", "-m", "chat.gguf", "--temp", "0")
	at := w.wait(0, prompt)
	if !strings.HasPrefix(w.text(), console.EnterTerminal) {
		t.Errorf("it begins with %q", w.text()[:40])
	}
	w.wait(0, "New conversation")
	w.wait(0, "NOT SAVED")
	w.typed("Who are you?\r")
	at = w.wait(w.wait(at, "hello"), "world")
	at = w.wait(at, prompt)
	w.resize(100, 30)
	at = w.wait(at, "\x1b[30H") // the bar at the bottom is in the last row
	w.typed("/mod")
	w.wait(at, "list the models")
	w.typed("\x7f\x7f\x7f\x7f/bye\r")
	after, status := w.left()
	if status != 0 {
		t.Errorf("it exits with %d", status)
	}
	for _, text := range []string{"Who are you?", "hello world", "Goodbye."} {
		if !strings.Contains(after, text) {
			t.Errorf("%q is gone: %q", text, after)
		}
	}
	if strings.Contains(after, "38;2;") {
		t.Errorf("colours for another ground are left behind: %q", after)
	}
}

// Ctrl-C gives up the line, and a second one leaves.
func TestScreenCtrlC(t *testing.T) {
	w := openWindow(t, modelDir(t), []string{"NO_COLOR=1"}, "run", "chat", "--temp", "0")
	at := w.wait(0, prompt)
	w.typed("some")
	at = w.wait(at, "some")
	w.typed("\x03")
	at = w.wait(at, "once more")
	w.typed("x\x7f\x03") // not the second one
	at = w.wait(at, "once more")
	w.typed("\x03")
	after, status := w.left()
	if status != 0 || !strings.Contains(after, "Goodbye.") {
		t.Errorf("%d: %q", status, after)
	}
	if strings.Contains(w.text(), "38;") {
		t.Error("NO_COLOR has colours")
	}
}

// However the conversation ends, the terminal is as it was.
func TestScreenIsLeft(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
		child  bool
		status int
		says   string
	}{
		{"asked to end", syscall.SIGTERM, false, 0, "you"},
		{"hung up", syscall.SIGHUP, false, 0, "you"},
		{"crashed", syscall.SIGQUIT, true, 2, "goroutine "}, // what Go's runtime does when it panics, too
		{"killed", syscall.SIGKILL, true, 1, "ended from outside (signal: killed)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := openWindow(t, modelDir(t), nil, "chat", "-m", "chat.gguf")
			w.wait(0, prompt)
			pid := w.cmd.Process.Pid
			if tt.child {
				pid = w.child()
			}
			if err := syscall.Kill(pid, tt.signal); err != nil {
				t.Fatal(err)
			}
			after, status := w.left()
			if status != tt.status || !strings.Contains(after, tt.says) {
				t.Errorf("it exits with %d and says %q", status, after)
			}
		})
	}
}

// Where a terminal has no screen, or none is wanted, there are plain lines, in which one can edit.
func TestLines(t *testing.T) {
	for name, start := range map[string]func(dir string) *window{
		"dumb": func(dir string) *window {
			return openWindow(t, dir, []string{"TERM=dumb"}, "chat", "-m", "chat.gguf", "--temp", "0")
		},
		"--lines": func(dir string) *window {
			return openWindow(t, dir, nil, "chat", "-m", "chat.gguf", "--temp", "0", "--lines")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(modelDir(t))
			at := w.wait(0, "you> ")
			w.typed(strings.Repeat("hello ", 15) + "\x01! \r")
			at = w.wait(at, "\r"+"you> ! "+strings.Repeat("hello ", 15)+"\r\n")
			at = w.wait(at, "alpha> hello world")
			w.typed("/bye\r")
			w.wait(at, "Goodbye.")
			if err := w.cmd.Wait(); err != nil {
				t.Error(err)
			}
			if got := w.state(); got != w.before {
				t.Errorf("the terminal was left as %+v, and was %+v", got, w.before)
			}
			if strings.Contains(w.text(), "\x1b") {
				t.Errorf("escapes in plain lines: %q", w.text())
			}
		})
	}
}

func TestTerminalColour(t *testing.T) {
	for _, tt := range []struct {
		term, color, no string
		want            console.Colour
		screen          bool
	}{
		{"xterm-256color", "truecolor", "", console.TrueColour, true},
		{"xterm-256color", "", "", console.Colour256, true},
		{"xterm-256color", "truecolor", "1", console.NoColour, true},
		{"vt100", "", "", console.NoColour, true},
		{"xterm-kitty", "", "", console.Colour256, true},
		{"dumb", "truecolor", "", console.NoColour, false},
		{"", "", "", console.NoColour, false},
	} {
		env := map[string]string{"TERM": tt.term, "COLORTERM": tt.color, "NO_COLOR": tt.no}
		if c, screen := terminalColour(func(s string) string { return env[s] }); c != tt.want || screen != tt.screen {
			t.Errorf("%v: %d, %v", tt, c, screen)
		}
	}
}
