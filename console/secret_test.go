package console

import (
	"errors"
	"strings"
	"testing"
)

func TestAskSecret(t *testing.T) {
	r := newRig(t, 800, 600)
	type answer struct {
		secret []byte
		err    error
	}
	ch := make(chan answer, 1)
	ask := func() {
		go func() {
			b, err := r.AskSecret("Passphrase: ")
			ch <- answer{b, err}
		}()
		r.until(func() bool { return r.edit != nil })
	}
	ask()
	r.press("geheim€x", Left, Home, Up, Tab, Backspace, Backspace, "ß")
	r.until(func() bool { return len(r.edit.lines) == 1 && len(r.edit.lines[0]) == len("Passphrase: *******")+1 })
	if got := r.text(); !strings.Contains(got, "Passphrase: *******") {
		t.Errorf("the screen shows\n%s", got)
	}
	r.press(Enter)
	if a := <-ch; string(a.secret) != "geheimß" || a.err != nil {
		t.Errorf("%q, error %v", a.secret, a.err)
	}
	ask()
	r.press("wrong", CtrlU, "right", Enter)
	if a := <-ch; string(a.secret) != "right" {
		t.Errorf("%q", a.secret)
	}
	ask()
	r.press("no", CtrlC)
	if a := <-ch; !errors.Is(a.err, ErrInterrupted) || a.secret != nil {
		t.Errorf("%q, error %v", a.secret, a.err)
	}
	for _, s := range []string{"geheim", "right", "wrong"} {
		if strings.Contains(r.text()+r.line.String(), s) {
			t.Errorf("%q was shown", s)
		}
	}
	if len(r.history) > 0 {
		t.Errorf("remembered: %q", r.history)
	}
	// Nothing of it is in the next line.
	line := r.read("you> ")
	r.press(Up, "x", Enter)
	if res := <-line; res.line != "x" {
		t.Errorf("%q", res.line)
	}
}
