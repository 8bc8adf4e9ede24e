package machine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"alphaos/uefi"
)

// What is recorded and shown for each kind of clock, of which the program's own clock knows
// nothing but what package amd64 makes of it.
func TestClock(t *testing.T) {
	const none = uefi.UnspecifiedTimeZone
	hour := time.Hour
	berlin := time.FixedZone("", 2*3600)
	for _, c := range []struct {
		what   string
		zone   int16 // the firmware's
		mac    bool
		person *time.Location
		utc    bool

		shift  time.Duration // from what amd64 tells to UTC
		offset string        // of what is shown
		log    string
	}{
		{"no zone known", none, false, nil, false, 0, "+00:00", "time zone unspecified"},
		{"a PC in local time", none, false, berlin, false, -2 * hour, "+02:00", "time zone unspecified"},
		{"a PC in UTC", none, false, berlin, true, 0, "+02:00", "time zone unspecified"},
		{"a Mac", none, true, berlin, false, 0, "+02:00", "time zone unspecified"},
		{"a Mac, nothing told", none, true, nil, false, 0, "+00:00", "time zone unspecified"},
		{"a zone of the firmware's", 300, false, nil, false, 0, "-05:00", "UTC-05:00"},
		{"a person elsewhere", 300, false, berlin, false, 0, "+02:00", "UTC-05:00"},
		{"UTC by the firmware", 0, false, berlin, false, 0, "+02:00", "UTC+00:00"},
		{"garbage", 5000, false, berlin, false, -2 * hour, "+02:00", "time zone 5000, which is none"},
		{"garbage, nothing told", -1441, false, nil, false, 0, "+00:00", "time zone -1441, which is none"},
	} {
		k := newClock(uefi.Time{Year: 2026, Month: 3, Day: 1, Hour: 12, TimeZone: c.zone}, nil, c.mac)
		for range 2 { // telling twice is no more than telling once
			k.set(c.person, c.utc)
		}
		before := time.Now()
		now := k.now()
		if d := now.Sub(before) - c.shift; d < 0 || d > hour/2 {
			t.Errorf("%s: %v off", c.what, d)
		}
		if got := now.Format("-07:00"); got != c.offset {
			t.Errorf("%s: shown in %s, not %s", c.what, got, c.offset)
		}
		if want := "2026-03-01 12:00:00, " + c.log; k.shown != want || k.fault != nil {
			t.Errorf("%s: log %q, %v", c.what, k.shown, k.fault)
		}
		k.goOnFrom(time.Now().Add(100 * hour))
		if k.now().Sub(now) > hour {
			t.Errorf("%s: a clock without a fault is set", c.what)
		}
		k.set(nil, false)
		if d := k.now().Sub(before); d < 0 || d > hour/2 {
			t.Errorf("%s: %v off when the zone is forgotten", c.what, d)
		}
	}
}

// A clock that shows no date goes on from the last message, whatever zone is told before or after.
func TestClockFault(t *testing.T) {
	zone := time.FixedZone("", -3*3600)
	for _, c := range []struct {
		t    uefi.Time
		err  error
		says string
	}{
		{uefi.Time{}, nil, "0000-00-00 00:00:00"},
		{uefi.Time{Year: 1980, Month: 1, Day: 1}, nil, "1980-01-01 00:00:00"},
		{uefi.Time{Year: 2098, Month: 1, Day: 1}, nil, "2098-01-01 00:00:00"},
		{uefi.Time{Year: 2026, Month: 2, Day: 30}, nil, "2026-02-30 00:00:00"},
		{uefi.Time{}, errors.New("out of order"), "out of order"},
	} {
		k := newClock(c.t, c.err, false)
		if k.fault == nil || !strings.Contains(k.fault.Error(), c.says) {
			t.Errorf("%+v: fault %v", c.t, k.fault)
		}
		k.set(zone, false)
		last := time.Now().Add(1000 * time.Hour)
		k.goOnFrom(last)
		k.goOnFrom(time.Time{})              // an empty journal
		k.goOnFrom(last.Add(-1 * time.Hour)) // time does not run back
		k.set(zone, true)
		now := k.now()
		if d := now.Sub(last); d < 0 || d > time.Hour/2 {
			t.Errorf("%+v: %v after the last message", c.t, d)
		}
		if got := now.Format("-07:00"); got != "-03:00" {
			t.Errorf("%+v: shown in %s", c.t, got)
		}
	}
}
