package machine

import "testing"

func TestPlaceName(t *testing.T) {
	for _, c := range []struct{ label, want string }{
		{"SANDISK", "SANDISK"}, {" My stick ", "My-stick"}, {"a/b\x1b[2J", "a-b-[2J"}, {"", "64-GB-on-USB"}, {"\u65e5\u672c", "64-GB-on-USB"},
	} {
		if got := placeName(c.label, "64 GB on USB"); got != c.want {
			t.Errorf("%q is called %q, want %q", c.label, got, c.want)
		}
	}
	taken := map[string]bool{}
	for _, want := range []string{"A", "A-2", "A-3"} {
		if got := unique(taken, "A"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
