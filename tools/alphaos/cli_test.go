package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Whoever asks a command for help sees it used.
func TestHelp(t *testing.T) {
	n := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			look(c)
		}
		if cmd.HasSubCommands() {
			return
		}
		n++
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s --help has no example", cmd.CommandPath())
		}
	}
	look(rootCommand())
	if n < 25 {
		t.Errorf("only %d commands were looked at", n)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"chat", "chat", 0}, {"chta", "chat", 1}, {"crate", "create", 1}, {"", "run", 3}, {"modle", "model", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("from %q to %q it is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
