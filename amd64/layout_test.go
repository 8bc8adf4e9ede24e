package amd64

import (
	"testing"
	"time"
	"unsafe"

	"alphaos/uefi"
)

func TestUnixTime(t *testing.T) {
	const none = uefi.UnspecifiedTimeZone
	at := func(y uint16, mo, d, h, mi, s uint8, zone int16) uefi.Time {
		return uefi.Time{Year: y, Month: mo, Day: d, Hour: h, Minute: mi, Second: s, TimeZone: zone}
	}
	for _, c := range []struct {
		t     uefi.Time
		want  string // UTC, or "" for no date
		zoned bool
	}{
		{at(1998, 1, 1, 0, 0, 0, none), "1998-01-01 00:00:00", false},
		{at(2097, 12, 31, 23, 59, 59, none), "2097-12-31 23:59:59", false},
		{at(1997, 12, 31, 23, 59, 59, none), "", false},
		{at(2098, 1, 1, 0, 0, 0, none), "", false},
		{at(0, 0, 0, 0, 0, 0, 0), "", false},
		{at(0xffff, 0xff, 0xff, 0xff, 0xff, 0xff, -1), "", false},
		{at(2000, 2, 29, 23, 59, 59, none), "2000-02-29 23:59:59", false},
		{at(2024, 2, 29, 0, 0, 0, none), "2024-02-29 00:00:00", false},
		{at(2026, 2, 28, 0, 0, 0, none), "2026-02-28 00:00:00", false},
		{at(2026, 2, 29, 0, 0, 0, none), "", false},
		{at(2026, 0, 1, 0, 0, 0, none), "", false},
		{at(2026, 13, 1, 0, 0, 0, none), "", false},
		{at(2026, 11, 0, 0, 0, 0, none), "", false},
		{at(2026, 11, 23, 24, 0, 0, none), "", false},
		{at(2026, 11, 23, 0, 60, 0, none), "", false},
		{at(2026, 11, 23, 0, 0, 60, none), "", false},
		// UTC = local time + zone, in minutes.
		{at(2026, 11, 23, 4, 5, 6, 0), "2026-11-23 04:05:06", true},
		{at(2026, 11, 23, 4, 5, 6, -60), "2026-11-23 03:05:06", true},
		{at(2026, 11, 23, 4, 5, 6, 300), "2026-11-23 09:05:06", true},
		{at(2026, 12, 31, 4, 5, 6, 1440), "2027-01-01 04:05:06", true},
		{at(2026, 3, 1, 4, 5, 6, -1440), "2026-02-28 04:05:06", true},
		{at(2026, 11, 23, 4, 5, 6, 1441), "2026-11-23 04:05:06", false},
		{at(2026, 11, 23, 4, 5, 6, -1441), "2026-11-23 04:05:06", false},
		{at(2026, 11, 23, 4, 5, 6, none-1), "2026-11-23 04:05:06", false},
		{at(2026, 11, 23, 4, 5, 6, 32767), "2026-11-23 04:05:06", false},
		{at(2026, 11, 23, 4, 5, 6, -32768), "2026-11-23 04:05:06", false},
	} {
		s, zoned, ok := UnixTime(&c.t)
		got := ""
		if ok {
			got = time.Unix(s, 0).UTC().Format(time.DateTime)
		} else if s != 0 {
			t.Errorf("%+v is no date and becomes %d", c.t, s)
		}
		if got != c.want || zoned != c.zoned {
			t.Errorf("%+v becomes %q, zoned %v; want %q, %v", c.t, got, zoned, c.want, c.zoned)
		}
	}
	for day := time.Date(1998, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2098; day = day.AddDate(0, 0, 1) {
		e := at(uint16(day.Year()), uint8(day.Month()), uint8(day.Day()), 12, 0, 0, none)
		if s, _, ok := UnixTime(&e); !ok || s != day.Unix() {
			t.Fatalf("%v: %d, %v", day, s, ok)
		}
		if next := day.AddDate(0, 0, 1); next.Month() != day.Month() {
			e.Day++
			if _, _, ok := UnixTime(&e); ok {
				t.Fatalf("a day after %v in its month is taken", day)
			}
		}
	}
}

// The layouts that the Go runtime's signal handler relies on (runtime/defs_linux_amd64.go).
func TestSignalFrameLayout(t *testing.T) {
	var f sigframe
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"ucontext", unsafe.Offsetof(f.uc), 8},
		{"mcontext", unsafe.Offsetof(f.uc.mc), 40},
		{"sp", unsafe.Offsetof(f.uc.mc.sp), 120},
		{"ip", unsafe.Offsetof(f.uc.mc.ip), 128},
		{"cs", unsafe.Offsetof(f.uc.mc.cs), 144},
		{"fpstate", unsafe.Offsetof(f.uc.mc.fpstate), 184},
		{"mask", unsafe.Offsetof(f.uc.mask), 296},
		{"siginfo", unsafe.Sizeof(f.info), 128},
		{"si_addr", unsafe.Offsetof(f.info.addr), 16},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestTableRegister(t *testing.T) {
	r := tableRegister(0x123456789abcdef0, 0xfff)
	if got := tableBase(&r); got != 0x123456789abcdef0 || uint16(r[0]) != 0xfff {
		t.Errorf("base %#x, limit %#x", got, uint16(r[0]))
	}
}

// CPUID can be asked on a host, too.
func TestIdentify(t *testing.T) {
	id := Identify()
	if len(id.Vendor) != 12 || id.Family == 0 || id.PhysicalBits < 32 || id.PhysicalBits > 52 || id.LinearBits != 48 && id.LinearBits != 57 {
		t.Errorf("%+v", id)
	}
	t.Logf("%+v", id)
	if h := Found(); h != (HandOver{MPServices: "none"}) || h.NXE() || MTRRs() != nil {
		t.Errorf("nothing was handed over, but: %+v", h)
	}
}
