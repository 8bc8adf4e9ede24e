package amd64

import (
	"testing"
	"time"
	"unsafe"

	"alphaos/uefi"
)

func TestUnixTime(t *testing.T) {
	for _, want := range []time.Time{
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2000, 2, 29, 23, 59, 59, 0, time.UTC),
		time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC),
		time.Date(2100, 3, 1, 0, 0, 0, 0, time.UTC),
	} {
		e := uefi.Time{Year: uint16(want.Year()), Month: uint8(want.Month()), Day: uint8(want.Day()),
			Hour: uint8(want.Hour()), Minute: uint8(want.Minute()), Second: uint8(want.Second()), TimeZone: uefi.UnspecifiedTimeZone}
		if got := unixTime(&e); got != want.Unix() {
			t.Errorf("%v: %d, want %d", want, got, want.Unix())
		}
		e.TimeZone = -60 // UTC = local + zone
		if got := unixTime(&e); got != want.Unix()-3600 {
			t.Errorf("%v an hour east: %d", want, got)
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
