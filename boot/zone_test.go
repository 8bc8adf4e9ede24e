package boot

import (
	"testing"
	"time"
)

func TestParseZone(t *testing.T) {
	for text, want := range map[string]string{
		"+02:00": "+02:00", "-03:30": "-03:30", "+2": "+02:00", "2": "+02:00", "-11": "-11:00", "+0545": "+05:45", "530": "+05:30",
		"UTC": "+00:00", "utc+1": "+01:00", "GMT-5": "-05:00", "0": "+00:00", "-0": "+00:00", "+14:00": "+14:00", "-14:00": "-14:00",
		"": "", "+14:01": "", "-14:01": "", "+15": "", "+99:59": "", "+02:60": "", "+2:5": "", "+-2": "", "++2": "", "2:00:00": "",
		"+02:00 ": "", "Berlin": "", "CET": "", "+٢": "", "utc+": "", "1e1": "", "100000000000000000000": "",
	} {
		zone, err := parseZone(text)
		got := ""
		if err == nil {
			got = zoneText(zone)
		}
		if got != want {
			t.Errorf("%q becomes %q, %v; want %q", text, got, err, want)
		}
	}
}

func FuzzParseZone(f *testing.F) {
	f.Add("+02:00")
	f.Add("UTC-1130")
	f.Fuzz(func(t *testing.T, text string) {
		zone, err := parseZone(text)
		if err != nil {
			return
		}
		_, east := time.Time{}.In(zone).Zone()
		if east < -14*3600 || east > 14*3600 || east%60 != 0 {
			t.Errorf("%q is %d seconds", text, east)
		}
		if again, err := parseZone(zoneText(zone)); err != nil || zoneText(again) != zoneText(zone) {
			t.Errorf("%q becomes %q, which becomes %v, %v", text, zoneText(zone), again, err)
		}
	})
}
