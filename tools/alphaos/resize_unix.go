//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

const hasScreen = true

// notifyResize tells when the terminal's size has changed.
func notifyResize(c chan<- os.Signal) { signal.Notify(c, syscall.SIGWINCH) }
