package machine

import (
	"fmt"
	"sync/atomic"
	"time"

	"alphaos/efi"
	"alphaos/uefi"
)

// clock makes the firmware's clock tell the person's time. Firmware may know its clock's
// time zone; then all is known. Most does not: a Mac's clock then runs in UTC, that of a PC
// usually in the local time of wherever it is, which Windows wants so. Till somebody says how
// far that is from UTC it counts as UTC, so that dates are off by some hours at worst.
//
// The program's own clock, time.Now, goes on from what the firmware's showed at the start as
// if that had been UTC, unless its zone was known. What is recorded and shown comes from now,
// which corrects it.
type clock struct {
	shown string         // what it showed at the start, for the log
	fault error          // why that is no date
	own   *time.Location // the clock's, or nil
	utc   bool           // it runs in UTC, whatever the firmware says

	correction atomic.Pointer[correction]
}

type correction struct {
	shift time.Duration  // to be added
	zone  *time.Location // the person's
}

// newClock makes a clock of what the firmware's clock showed, or why that could not be read.
func newClock(t uefi.Time, err error, utc bool) *clock {
	c := &clock{utc: utc, fault: err}
	if err == nil {
		_, c.own, c.fault = efi.Date(t)
		zone := "time zone unspecified"
		switch {
		case c.own != nil:
			zone = time.Time{}.In(c.own).Format("UTC-07:00")
		case t.TimeZone != uefi.UnspecifiedTimeZone:
			zone = fmt.Sprintf("time zone %d, which is none", t.TimeZone)
		}
		c.shown = fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d, %s", t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second, zone)
	}
	c.set(nil, false)
	return c
}

// set takes the person's time zone, nil if it is not known, and whether the clock runs in
// UTC in any case.
func (c *clock) set(zone *time.Location, utc bool) {
	next := &correction{zone: time.UTC}
	switch {
	case c.fault != nil: // its time says nothing about where it is
		if last := c.correction.Load(); last != nil {
			next.shift = last.shift
		}
	case zone != nil && c.own == nil && !c.utc && !utc:
		_, east := time.Time{}.In(zone).Zone()
		next.shift = -time.Duration(east) * time.Second
	}
	if zone == nil {
		zone = c.own
	}
	if zone != nil {
		next.zone = zone
	}
	c.correction.Store(next)
}

// now returns the time, in the person's zone.
func (c *clock) now() time.Time {
	n := c.correction.Load()
	return time.Now().Add(n.shift).In(n.zone)
}

// goOnFrom lets a clock that shows no date go on from t, unless it is further already.
func (c *clock) goOnFrom(t time.Time) {
	if late := t.Sub(c.now()); c.fault != nil && late > 0 {
		n := *c.correction.Load()
		n.shift += late
		c.correction.Store(&n)
	}
}

// Now is the present time, in the person's time zone as far as that is known.
func (m *Machine) Now() time.Time { return m.clock.now() }

// SetZone tells the person's time zone, nil if it is not known. A clock whose zone the firmware
// does not know counts local time there, unless utc is set or it is a Mac's.
func (m *Machine) SetZone(zone *time.Location, utc bool) { m.clock.set(zone, utc) }

// ClockFault says why what the clock shows cannot be the date; nil when it can.
func (m *Machine) ClockFault() error { return m.clock.fault }

// GoOnFrom lets a clock with a fault go on from t, when the last message was saved, so that what
// comes next is dated after it.
func (m *Machine) GoOnFrom(t time.Time) { m.clock.goOnFrom(t) }
