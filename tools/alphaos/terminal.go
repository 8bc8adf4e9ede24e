package main

// What the command shows on a terminal may come from a model's answer, a
// file's metadata or a file's name, so it is cleaned first: none of these may
// move the cursor, rename the window or reorder what is read. What goes into a
// file or a pipe is left as it is: programs want the very bytes, and whoever
// shows them later has to do the same.

import (
	"io"
	"os"

	"golang.org/x/term"

	"alphaos/console"
)

// safeTerminal is a terminal that what is written to it can't control.
type safeTerminal struct {
	console.SafeWriter
	file *os.File
}

// safe returns f, or a safeTerminal if it is a terminal.
func safe(f *os.File) io.Writer {
	if !term.IsTerminal(int(f.Fd())) {
		return f
	}
	return &safeTerminal{console.SafeWriter{W: f}, f}
}

// terminal returns the terminal that w is, for our own control characters, or
// nil.
func terminal(w io.Writer) *os.File {
	if t, ok := w.(*safeTerminal); ok {
		return t.file
	}
	return nil
}
