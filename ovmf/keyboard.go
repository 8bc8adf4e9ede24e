package ovmf

// The keyboard. Keys travel as QEMU's key codes (QKeyCode), through the
// emulated keyboard and the firmware's own driver, as a person's would: this
// is not the serial port. The layout is the US one.

import (
	"context"
	"fmt"
	"strings"
)

// keyHold is how long each key is held, and the gap after it, in ms: short,
// but longer than the firmware's keyboard poll, which is 20 ms in EDK2.
const keyHold = 25

// codes maps the characters of a US keyboard to QKeyCodes.
var codes = func() map[rune][]string {
	m := map[rune][]string{
		' ': {"spc"}, '\n': {"ret"}, '\t': {"tab"},
	}
	for r := 'a'; r <= 'z'; r++ {
		m[r] = []string{string(r)}
		m[r-'a'+'A'] = []string{"shift", string(r)}
	}
	for r := '0'; r <= '9'; r++ {
		m[r] = []string{string(r)}
	}
	for i, r := range ")!@#$%^&*(" {
		m[r] = []string{"shift", string(rune('0' + i))}
	}
	for _, k := range []struct {
		plain, shifted rune
		code           string
	}{
		{'-', '_', "minus"}, {'=', '+', "equal"},
		{'[', '{', "bracket_left"}, {']', '}', "bracket_right"},
		{';', ':', "semicolon"}, {'\'', '"', "apostrophe"},
		{'`', '~', "grave_accent"}, {'\\', '|', "backslash"},
		{',', '<', "comma"}, {'.', '>', "dot"}, {'/', '?', "slash"},
	} {
		m[k.plain] = []string{k.code}
		m[k.shifted] = []string{"shift", k.code}
	}
	return m
}()

// chords returns the keys that type text on a US keyboard.
func chords(text string) (keys [][]string, err error) {
	for _, r := range text {
		if codes[r] == nil {
			return nil, fmt.Errorf("a US keyboard has no key for %q", r)
		}
		keys = append(keys, codes[r])
	}
	return keys, nil
}

// SendText types text on the keyboard, character by character; "\n" is Enter.
// Characters that a US keyboard lacks are refused.
func (vm *VM) SendText(ctx context.Context, text string) error {
	keys, err := chords(text)
	if err != nil {
		return err
	}
	for _, chord := range keys {
		if err := vm.press(ctx, chord, keyHold); err != nil {
			return err
		}
	}
	return nil
}

// SendKeys presses keys by QEMU's names, in order: "ret", "esc", "up",
// "pgdn", "backspace", or a chord such as "ctrl-c".
func (vm *VM) SendKeys(ctx context.Context, keys ...string) error {
	for _, k := range keys {
		if err := vm.press(ctx, strings.Split(k, "-"), keyHold); err != nil {
			return err
		}
	}
	return nil
}

// press sends one chord, to be held for so many ms. QEMU itself spaces the presses and releases.
func (vm *VM) press(ctx context.Context, chord []string, hold int) error {
	type key struct {
		Type string `json:"type"`
		Data string `json:"data"`
	}
	var keys []key
	for _, c := range chord {
		keys = append(keys, key{"qcode", c})
	}
	return vm.qmp.execute(ctx, "send-key", map[string]any{"keys": keys, "hold-time": hold}, nil)
}
