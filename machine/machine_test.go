package machine

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/efi"
)

// The layouts know what the firmware's keys stand for.
var _ = [1]struct{}{}[efi.ExtraKey-keyboard.Extra+efi.ExtraKeyShifted-keyboard.ExtraShifted]

// Where nobody types any more, the person is told once why the machine is still on, and is
// told that it may be cut off only if the drive has confirmed all.
func TestOff(t *testing.T) {
	for _, c := range []struct {
		err  error
		safe bool
	}{
		{errors.New("the firmware did not power it off"), true},
		{fmt.Errorf("%w: %w", efi.ErrUnflushed, errors.New("the device reports an error")), false},
	} {
		var shown bytes.Buffer
		con, err := console.New(console.Options{Serial: &shown})
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		off(con, func() error { calls++; return c.err })
		text := shown.String()
		if calls != 1 || !strings.Contains(text, "could not be switched off") || strings.Contains(text, "safe to hold the power button") != c.safe {
			t.Errorf("%v: tried %d times, said %q", c.err, calls, text)
		}
	}
}
