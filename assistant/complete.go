package assistant

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/llm/gguf"
)

// commandNames are the commands with which a mistyped one is compared.
var commandNames = []string{"/?", "/help", "/set", "/show", "/models", "/load", "/clear", "/history",
	"/settings", "/first-start", "/new", "/conversations", "/open", "/find", "/retry", "/answers", "/edit", "/forget", "/rename", "/delete", "/export", "/backup", "/save", "/copy", "/documents", "/search", "/sources", "/use", "/memory", "/think", "/nothink", "/thoughts", "/raw",
	"/check", "/report", "/restart", "/bye"}

// Complete completes what a person has typed so far: commands, and what /set and
// /show take. It is for console.Options.Complete.
func Complete(line string) string {
	if !strings.HasPrefix(line, "/") {
		return line
	}
	words := []string{"/set parameter ", "/set system ", "/set keyboard ", "/set timezone ", "/set history", "/set nohistory",
		"/set theme ", "/set text ", "/set width ",
		"/conversations all", "/backup now", "/documents scan", "/documents on", "/documents off", "/use all", "/memory add ", "/memory edit ", "/memory forget ", "/memory undo", "/models all", "/models verify", "/show info", "/show memory", "/show parameters", "/show system"}
	for _, name := range commandNames {
		words = append(words, name+" ")
	}
	for _, p := range paramHelp {
		words = append(words, "/set parameter "+p.name+" ")
	}
	for _, l := range keyboard.Layouts() {
		words = append(words, "/set keyboard "+l.Name)
	}
	for _, name := range console.Themes() {
		words = append(words, "/set theme "+name)
	}
	for _, name := range console.TextSizes() {
		words = append(words, "/set text "+name)
	}
	for _, name := range console.Widths() {
		words = append(words, "/set width "+name)
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

// usageLine is a line of a help text: a command, what it takes, and what it does.
var usageLine = regexp.MustCompile(`(?m)^  (?:\S+, )?(/.*?)( [A-Z+]\S*(?: [A-Z]+)*)?  +(\S.*)$`)

// usage reads a help text.
func usage(text string) (list []console.Suggestion) {
	for _, m := range usageLine.FindAllStringSubmatch(text, -1) {
		s := console.Suggestion{Text: m[1]}
		if m[2] != "" || m[1] == "/set" || m[1] == "/show" {
			s.Text += " "
		}
		s.Help, _, _ = strings.Cut(m[3], ";")
		list = append(list, s)
	}
	return list
}

// suggest lists what a line may become that begins with a slash.
func (c *commands) suggest(line string) (list []console.Suggestion) {
	add := func(text, help string) { list = append(list, console.Suggestion{Text: text, Help: help}) }
	begins := func(s string) bool { return strings.HasPrefix(line, s) }
	switch {
	case begins("/set parameter "):
		for _, p := range paramHelp {
			add("/set parameter "+p.name+" ", p.help)
		}
	case begins("/set keyboard "):
		for _, l := range keyboard.Layouts() {
			add("/set keyboard "+l.Name, l.FullName)
		}
	case begins("/set theme "):
		for _, name := range console.Themes() {
			add("/set theme "+name, "")
		}
	case begins("/set text "):
		for _, name := range console.TextSizes() {
			add("/set text "+name, "")
		}
	case begins("/set width "):
		for _, name := range console.Widths() {
			add("/set width "+name, "")
		}
	case begins("/set "):
		list = usage(setUsage)
	case begins("/show "):
		list = usage(showUsage)
	case begins("/documents "):
		list = usage(documentsUsage)
	case begins("/memory "):
		list = usage(memoryUsage)
	case begins("/use "):
		list = c.shelf.suggest()
	case begins("/load "):
		for _, m := range c.library.known {
			add("/load "+gguf.PlainName(m.Name), console.Bytes(m.Size))
		}
	case !strings.Contains(line, " "):
		list = usage(helpText)
		for _, s := range append(usage(conversationsUsage), usage(documentsUsage)...) {
			if !slices.ContainsFunc(list, func(have console.Suggestion) bool { return have.Text == s.Text }) {
				list = append(list, s)
			}
		}
	case c.past.store != nil:
		for _, command := range []string{"/open ", "/history ", "/rename ", "/delete ", "/export "} {
			if begins(command) {
				past := c.past.list()
				slices.Reverse(past) // the last one first
				for _, x := range past {
					add(fmt.Sprint(command, x.ID), x.Title)
				}
			}
		}
	}
	n := 0
	for _, s := range list {
		if strings.HasPrefix(s.Text, line) {
			list[n] = s
			n++
		}
	}
	return list[:n]
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
