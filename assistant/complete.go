package assistant

import (
	"strings"

	"alphaos/console/keyboard"
)

// commandNames are the commands with which a mistyped one is compared.
var commandNames = []string{"/?", "/help", "/set", "/show", "/models", "/load", "/clear", "/history",
	"/new", "/conversations", "/open", "/find", "/retry", "/edit", "/forget", "/rename", "/delete", "/export", "/save", "/copy", "/documents",
	"/check", "/report", "/restart", "/bye"}

// Complete completes what a person has typed so far: commands, and what /set and
// /show take. It is for console.Options.Complete.
func Complete(line string) string {
	if !strings.HasPrefix(line, "/") {
		return line
	}
	words := []string{"/set parameter ", "/set system ", "/set keyboard ", "/set timezone ", "/set history", "/set nohistory",
		"/conversations all", "/models all", "/show info", "/show memory", "/show parameters", "/show system"}
	for _, name := range commandNames {
		words = append(words, name+" ")
	}
	for _, p := range paramHelp {
		words = append(words, "/set parameter "+p.name+" ")
	}
	for _, l := range keyboard.Layouts() {
		words = append(words, "/set keyboard "+l.Name)
	}
	best := ""
	for _, w := range words {
		if !strings.HasPrefix(w, line) || w == line {
			continue
		}
		if w = w[:nextWord(w, len(line))]; best == "" {
			best = w
		}
		for !strings.HasPrefix(w, best) { // what they have in common
			best = best[:len(best)-1]
		}
	}
	if best == "" {
		return line
	}
	return best
}

// nextWord is where the word at i ends, the space behind it included.
func nextWord(s string, i int) int {
	if n := strings.IndexByte(s[i:], ' '); n >= 0 {
		return i + n + 1
	}
	return len(s)
}

// near reports whether two words differ by at most one letter added, left out
// or changed, or by two swapped, or whether one begins the other.
func near(a, b string) bool {
	a = strings.ToLower(a)
	if len(a) > 2 && strings.HasPrefix(b, a) {
		return true
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) == len(y)+1:
		return x[1:] == y
	case len(x)+1 == len(y):
		return x == y[1:]
	case len(x) == len(y) && len(x) > 0:
		return x[1:] == y[1:] || len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
	}
	return false
}
