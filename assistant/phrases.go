package assistant

import (
	"slices"
	"strings"
)

// phrases are messages that mean a command when they are all that is said. Each must be one
// that nobody says to a model for another reason: a word that could answer a question is none.
var phrases = map[string][]string{
	"/bye": {"shut down", "shutdown", "goodbye", "good bye", "good-bye", "shut down the computer", "shut the computer down", "switch off the computer",
		"switch the computer off", "turn off the computer", "turn the computer off", "turn yourself off", "switch yourself off",
		"herunterfahren", "fahr herunter", "fahre herunter", "computer herunterfahren", "fahr den computer herunter", "fahre den computer herunter",
		"computer ausschalten", "schalte den computer aus", "schalt den computer aus", "schalte dich aus", "schalt dich aus", "auf wiedersehen"},
	"/restart": {"restart", "reboot", "restart the computer", "reboot the computer",
		"neustart", "neu starten", "computer neu starten", "starte den computer neu", "starte neu"},
	"/forget": {"forget that", "forget this", "forget what i said", "forget what i just said", "forget my last message",
		"vergiss das", "vergiss das wieder", "vergiss was ich gesagt habe", "vergiss was ich gerade gesagt habe"},
	"/documents": {"show my documents", "show me my documents", "list my documents",
		"zeig meine dokumente", "zeige meine dokumente", "zeig mir meine dokumente", "zeige mir meine dokumente"},
	"/conversations": {"show my conversations", "show me my conversations", "list my conversations",
		"zeig meine gespräche", "zeige meine gespräche", "zeig mir meine gespräche", "zeige mir meine gespräche"},
	"/new": {"new conversation", "start a new conversation", "begin a new conversation", "neues gespräch", "neues gespräch beginnen"},
}

var commandOf = func() map[string]string {
	m := map[string]string{}
	for command, list := range phrases {
		for _, p := range list {
			m[p] = command
		}
	}
	return m
}()

// What people say around such a message, and what they end it with. A question mark, quotation
// marks and the end of a line are not among them: who asks or quotes means something else.
var (
	before = []string{"please", "ok", "okay", "alpha", "bitte"}
	after  = []string{"please", "now", "alpha", "bitte", "jetzt"}
)

// asCommand returns the command that a message means, if that is all it says.
func asCommand(text string) (command string, ok bool) {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return strings.ContainsRune(" \t.,!;:…'’", r)
	})
	for len(words) > 1 && slices.Contains(before, words[0]) {
		words = words[1:]
	}
	for len(words) > 1 && slices.Contains(after, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	command, ok = commandOf[strings.Join(words, " ")]
	return command, ok
}
