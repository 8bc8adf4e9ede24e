package machine

import (
	"fmt"
	"strings"
	"testing"

	"alphaos/amd64"
)

func Example_speedText() {
	for _, s := range []amd64.Speed{
		{Now: 3_090_000_000, Average: 2_912_000_000, Rated: 2_300_000_000, Most: 3_600_000_000},
		{Now: 3_390_000_000, Average: 3_400_000_000, Rated: 3_400_000_000},
		{Rated: 2_300_000_000, Most: 3_600_000_000},
		{Rated: 2_300_000_000},
	} {
		fmt.Println(speedText(s))
	}
	// Output:
	// 3.09 GHz now, 2.91 GHz on average since the start, 3.60 GHz at most
	// 3.39 GHz now, 3.40 GHz on average since the start, rated at 3.40 GHz
	// 3.60 GHz at most
	// the processor does not tell
}

func Example_speedDetails() {
	fmt.Println(speedDetails(amd64.Speed{Asked: "HWP", BD: true, Cooler: 54, Held: amd64.FromOutside, WasHeld: amd64.FromOutside | amd64.PowerLimit}))
	fmt.Println(speedDetails(amd64.Speed{Cooler: -1}) == "")
	// Output:
	// asked for the most by HWP; others can hold it back (BD PROCHOT is on); 54 degrees below its limit; held back by PROCHOT from outside; since it was switched on: PROCHOT from outside, a power limit
	// true
}

func TestSlowed(t *testing.T) {
	const rated, fast, held = 2_500_000_000, 3_100_000_000, 1_200_000_000
	for _, c := range []struct {
		name string
		s    amd64.Speed
		mac  bool
		want string // in the sentence; "": there is none
	}{
		{"all well", amd64.Speed{Now: fast, Rated: rated}, true, ""},
		{"nothing known", amd64.Speed{Rated: rated}, false, ""},
		{"all cores work, and turbo is cut a little", amd64.Speed{Now: 2_300_000_000, Rated: rated, Held: amd64.PowerLimit}, false, ""},
		{"what was is past", amd64.Speed{Now: fast, Rated: rated, WasHeld: amd64.TooHot | amd64.FromOutside}, true, ""},
		{"a Mac without a battery", amd64.Speed{Now: held, Rated: rated, Held: amd64.FromOutside}, true, "charge the battery, or have it reconnected"},
		{"a PC with another's adapter", amd64.Speed{Now: held, Rated: rated, Held: amd64.FromOutside}, false, "its own power adapter"},
		{"hot", amd64.Speed{Now: held, Rated: rated, Held: amd64.TooHot}, true, "too hot"},
		{"hot, and not counted", amd64.Speed{Rated: rated, Held: amd64.TooHot}, false, "too hot"},
		{"little power", amd64.Speed{Now: held, Rated: rated, Held: amd64.PowerLimit}, false, "too little power for its rated speed of 2.50 GHz"},
		{"no reason", amd64.Speed{Now: held, Rated: rated}, false, "does not say why"},
	} {
		got := slowed(c.s, c.mac)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if strings.Count(got, ". ") > 0 || got != "" && !strings.HasSuffix(got, ".") {
			t.Errorf("%s: %q is not one sentence", c.name, got)
		}
	}
}
