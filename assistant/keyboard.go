package assistant

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"alphaos/console"
	"alphaos/console/keyboard"
)

// keys is the layout of the person's keyboard.
type keys struct {
	ui       UI
	keyboard *keyboard.Keyboard // nil: another system reads the keys
	journal  *journal
}

// begin takes the layout that the person chose in an earlier session, unless one was asked for at the start, and
// says how to change one that nobody chose: on the first start, and wherever the computer knows one.
func (k *keys) begin(asked string, first bool) {
	if k.keyboard == nil || asked != "" {
		return
	}
	if name := k.journal.setting("keyboard"); name != "" {
		l, err := keyboard.Find(name)
		if err == nil {
			k.keyboard.Use(l)
			return
		}
		k.ui.Quiet(fmt.Sprintf("The keyboard layout %q, which was set, is not known any more; /set keyboard lists those that are.", name))
	}
	if l := k.keyboard.Layout(); l.Name != "us" {
		k.ui.Quiet(fmt.Sprintf("The keyboard is read as %s, as macOS does on this computer; /set keyboard changes that.", l.FullName))
	} else if first {
		k.ui.Quiet("The keyboard is read as a US one; /set keyboard lists the others.")
	}
}

// meant returns a line with which a person chooses the layout as it was meant: until then, the keys are not read
// as they are printed. On a German keyboard that is read as a US one, it looks like "&set kezboard de". Other lines
// are returned as they are.
func (k *keys) meant(line string) string {
	const command = "/set keyboard"
	if k.keyboard == nil || len(strings.Fields(line)) > 3 {
		return line
	}
	for _, l := range keyboard.Layouts() {
		text := k.keyboard.Retype(line, l)
		if strings.HasPrefix(line, "/") { // from the number pad, where all keyboards are alike
			text = "/" + text[utf8.RuneLen([]rune(text)[0]):]
		}
		if len(text) < len(command) || !strings.EqualFold(text[:len(command)], command) {
			continue
		}
		name := strings.TrimSpace(text[len(command):])
		if _, err := keyboard.Find(name); err == nil || name == "" {
			return text
		}
	}
	return line
}

// set goes on with another layout, or lists them.
func (k *keys) set(name string) {
	if k.keyboard == nil {
		say(k.ui, "The keyboard belongs to the system that this runs on: set its layout there.")
		return
	}
	if name == "" {
		used := k.keyboard.Layout()
		for _, l := range keyboard.Layouts() {
			value := l.FullName
			if l == used {
				value += ", in use"
			}
			show(k.ui, console.Field{Name: l.Name, Value: value})
		}
		return
	}
	l, err := keyboard.Find(name)
	if err != nil {
		k.ui.Error(fmt.Sprintf("%q %v.", name, err))
		return
	}
	k.keyboard.Use(l)
	say(k.ui, fmt.Sprintf("The keyboard is read as %s from here on.", l.FullName))
	k.journal.keep("keyboard", l.Name)
}
