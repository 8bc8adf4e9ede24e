package console

import (
	"strings"
	"testing"
)

// A line that begins with what was put there is changed and sent like any other.
func TestPrefill(t *testing.T) {
	r := newRig(t, 800, 600)
	if !r.Prefill("fmt.Println(1)") {
		t.Fatal("a line can't be put there")
	}
	ch := r.read("you> ")
	r.press(Backspace, Backspace, "2)", Enter)
	if res := <-ch; res.line != "fmt.Println(2)" || res.err != nil {
		t.Errorf("got %q, %v", res.line, res.err)
	}
	for _, text := range []string{"one\ntwo", "line\n", strings.Repeat("x", maxInput+1)} {
		if r.Prefill(text) {
			t.Errorf("%.20q was put there", text)
		}
	}
	r.AddHistory("a secret", "no secret", "a secret")
	r.DropHistory("a secret", "never said")
	ch = r.read("you> ")
	r.press(Up, Enter)
	if res := <-ch; res.line != "no secret" {
		t.Errorf("the Up key brings back %q", res.line)
	}
	ch = r.read("you> ")
	r.press(Up, Up, Enter)
	if res := <-ch; res.line != "fmt.Println(2)" {
		t.Errorf("the Up key twice brings back %q", res.line)
	}
	ch = r.read("you> ")
	r.press("next", Enter)
	if res := <-ch; res.line != "next" {
		t.Errorf("got %q", res.line)
	}
}
