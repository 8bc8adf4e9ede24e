//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// pseudoTerminal returns a terminal and a function that closes it and returns what it was sent.
func pseudoTerminal(t *testing.T) (tty *os.File, shown func() string) {
	t.Helper()
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil { // line ends stay as they are
		t.Fatal(err)
	}
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(m) // ends with an error when nobody has the terminal open any more
		text <- string(b)
	}()
	return tty, func() string {
		tty.Close()
		defer m.Close()
		return <-text
	}
}

// steers are bytes that a terminal may act upon: a screen is cleared by ESC [ 2 J and by the C1 control
// CSI, a bell rings, a line is written over, and text is reordered.
const steers = "\x1b[2J\a\b\r\u009b\u202e"

// speller writes a model that answers "hello" with text, byte by byte; no byte may come twice.
func speller(t *testing.T, text string) string {
	t.Helper()
	chain := []string{"▁hello"}
	for _, b := range []byte(text) {
		chain = append(chain, fmt.Sprintf("<0x%02X>", b))
	}
	kvs := append(llmtest.SPM(nil, " hello"), gguf.KeyValue{Key: "general.author", Value: "A" + steers + "Z"})
	data, _ := chainModel(kvs, append(chain, "</s>")...)
	name := filepath.Join(t.TempDir(), "x\x1b]0;name\a.gguf")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Whatever a model says, its file is called, or its file holds, a terminal stays as it is; a file gets
// the very bytes of an answer.
func TestNothingControlsTheTerminal(t *testing.T) {
	model := speller(t, steers)
	chat := func(args ...string) func(out, errs io.Writer, in io.Reader) error {
		return func(out, errs io.Writer, in io.Reader) error {
			cmd := chatCommand()
			cmd.SetArgs(append([]string{"-m", model, "--temp", "0"}, args...))
			cmd.SetOut(out)
			cmd.SetErr(errs)
			cmd.SetIn(in)
			return cmd.ExecuteContext(context.Background())
		}
	}
	for name, run := range map[string]func(out, errs io.Writer, in io.Reader) error{
		"one answer":     chat("-p", "hello"),
		"a conversation": chat(),
		"metadata": func(out, errs io.Writer, in io.Reader) error {
			cmd := modelCommand()
			cmd.SetArgs([]string{"info", "--metadata", model})
			cmd.SetOut(out)
			return cmd.Execute()
		},
	} {
		t.Run(name, func(t *testing.T) {
			tty, shown := pseudoTerminal(t)
			out := safe(tty)
			if err := run(out, out, strings.NewReader("hello\n")); err != nil {
				t.Error(err)
			}
			text := shown()
			if name != "metadata" && !strings.Contains(text, "^[[2J^G^H^M") {
				t.Errorf("the answer is missing: %q", text)
			}
			// The progress of loading is our own.
			text = strings.NewReplacer("\rloading", "", "\r             \r", "").Replace(text)
			for _, r := range text {
				if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Errorf("%q reached the terminal in %q", r, text)
				}
			}
		})
	}
	var file bytes.Buffer
	if err := chat("-p", "hello")(&file, io.Discard, nil); err != nil || !strings.Contains(file.String(), steers) {
		t.Errorf("a file got %q, %v", file.String(), err)
	}
}

// The model that was made after a report.
func TestReportedEscapes(t *testing.T) {
	model := filepath.Join("..", "..", "..", "shared", "cases", "escape-on-terminal", "esc.gguf")
	if _, err := os.Stat(model); err != nil {
		t.Skip("reference data is absent")
	}
	tty, shown := pseudoTerminal(t)
	cmd := chatCommand()
	cmd.SetArgs([]string{"-m", model, "-p", "hello", "--temp", "0", "-n", "20"})
	cmd.SetOut(safe(tty))
	cmd.SetErr(io.Discard)
	if err := cmd.Execute(); err != nil {
		t.Error(err)
	}
	if got := shown(); strings.Contains(got, "\x1b") || !strings.HasPrefix(got, "hi^[[2J^[]0;title^G^[[31mred^H^Mend") {
		t.Errorf("%q", got)
	}
}
