package machine

import (
	"errors"

	"alphaos/boot"
	"alphaos/console/keyboard"
	"alphaos/efi"
	"alphaos/uefi"
)

// appleKeyboard is where macOS keeps the language and the keyboard layout of its login screen.
var appleKeyboard = efi.VariableName{Name: "prev-lang:kbd", Vendor: uefi.AppleBootVariableGUID}

// Keyboard is the firmware's keyboard, with the layout that it is read with.
func (m *Machine) Keyboard() *keyboard.Keyboard { return &m.keys }

// UseKeyboard reads the firmware's keyboard with the layout of that name, and without a name with the one that
// macOS uses on this computer. Where there is neither, it stays as it is.
func (m *Machine) UseKeyboard(name string, log *boot.Log) {
	if name != "" {
		if l, err := keyboard.Find(name); err == nil { // the option was checked
			m.keys.Use(l)
		}
		return
	}
	value, _, err := efi.GetVariable(appleKeyboard)
	if errors.Is(err, uefi.NotFound) {
		return // no Mac, or one that never had macOS
	}
	if err != nil {
		log.Printf("keyboard: %v", err)
		return
	}
	l := keyboard.FromApple(value)
	if l == nil {
		log.Printf("keyboard: %s is %q, which is not known here", appleKeyboard.Name, value)
		return
	}
	log.Printf("keyboard: %s is %q: %s", appleKeyboard.Name, value, l.Name)
	m.keys.Use(l)
}
