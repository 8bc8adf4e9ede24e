package ovmf

// The keyboard. Keys travel as QEMU's key codes (QKeyCode), through the
// emulated keyboard and the firmware's own driver, as a person's would: this
// is not the serial port. The layout is the US one.

import (
	"context"
	"fmt"
	"strings"
	"time"
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

// SendText types text on the keyboard, character by character; "\n" is Enter.
// Characters that a US keyboard lacks are refused.
func (vm *VM) SendText(ctx context.Context, text string) error {
	return vm.sendText(ctx, text, keyHold, 0)
}

// SendTextAt is SendText at so many keys a second, each held for half of its time, and returns when the last one was
// pressed. QEMU itself forgets keys when more than 8 wait that the machine has not read, as on a host that gives it no time.
func (vm *VM) SendTextAt(ctx context.Context, text string, keysPerSecond int) error {
	every := time.Second / time.Duration(keysPerSecond)
	return vm.sendText(ctx, text, int(every.Milliseconds()/2), every)
}

func (vm *VM) sendText(ctx context.Context, text string, hold int, every time.Duration) error {
	for _, r := range text {
		if codes[r] == nil {
			return fmt.Errorf("a US keyboard has no key for %q", r)
		}
	}
	next := time.NewTimer(every)
	defer next.Stop()
	for _, r := range text {
		if err := vm.press(ctx, codes[r], hold); err != nil {
			return err
		}
		if every == 0 {
			continue
		}
		select {
		case <-next.C:
			next.Reset(every)
		case <-ctx.Done():
			return ctx.Err()
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
