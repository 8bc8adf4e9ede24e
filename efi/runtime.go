package efi

// Runtime services (UEFI 2.10, chapter 8): the clock, variables and reset.

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"alphaos/amd64"
	"alphaos/fs"
	"alphaos/uefi"
)

// clock receives EFI_TIME; it is used under the lock of params.
var clock uefi.Time

// Clock reads the machine's clock (8.3.1).
func Clock() (uefi.Time, error) {
	if err := ready(); err != nil {
		return uefi.Time{}, err
	}
	params.Lock()
	defer params.Unlock()
	clock = uefi.Time{}
	if err := uefi.Status(call(fw.rt.GetTime, uintptr(unsafe.Pointer(&clock)), 0)).Err(); err != nil {
		return uefi.Time{}, fmt.Errorf("reading the clock: %w", err)
	}
	return clock, nil
}

// Time reads the machine's clock, in UTC; a clock without a time zone is taken to run in that.
func Time() (time.Time, error) {
	t, err := Clock()
	if err != nil {
		return time.Time{}, err
	}
	date, _, err := Date(t)
	return date, err
}

// Date returns the time that a clock shows, in UTC, and the clock's time zone. The firmware
// keeps local time and, if it knows, its distance from UTC: UTC = local time + TimeZone
// minutes. If it does not, zone is nil and date the local time as if it were UTC.
func Date(t uefi.Time) (date time.Time, zone *time.Location, err error) {
	s, zoned, ok := amd64.UnixTime(&t)
	if !ok {
		return date, nil, fmt.Errorf("the machine's clock shows %04d-%02d-%02d %02d:%02d:%02d, which cannot be right: set it in the firmware's setup",
			t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second)
	}
	if zoned {
		zone = time.FixedZone("", -60*int(t.TimeZone))
	}
	ns := int64(t.Nanosecond)
	if ns > 999999999 {
		ns = 0
	}
	return time.Unix(s, ns).UTC(), zone, nil
}

// VariableName names a variable: vendors have name spaces of their own.
type VariableName struct {
	Name   string
	Vendor uefi.GUID
}

// maxVariable bounds the size a variable is believed to have.
const maxVariable = 1 << 20

// GetVariable returns a variable's contents and attributes (8.2.1). The error
// wraps NotFound when there is no such variable.
func GetVariable(v VariableName) (data []byte, attributes uint32, err error) {
	if err := ready(); err != nil {
		return nil, 0, err
	}
	fail := func(err error) ([]byte, uint32, error) {
		return nil, 0, fmt.Errorf("reading the firmware variable %s: %w", v.Name, err)
	}
	params.Lock()
	defer params.Unlock()
	name, ok := setText(v.Name)
	if !ok {
		return fail(uefi.InvalidParameter)
	}
	params.guid = v.Vendor
	vendor := guidAt(&params.guid)
	buf := params.data[:]
	for try := 0; ; try++ {
		attr, size := cell(0, 0), cell(1, uint64(len(buf)))
		st := uefi.Status(call(fw.rt.GetVariable, name, vendor, attr, size, addressOf(buf)))
		need := params.cell[1]
		switch {
		case st == uefi.BufferTooSmall && try == 0 && need > uint64(len(buf)) && need <= maxVariable:
			big, err := alloc(int(need))
			if err != nil {
				return fail(err)
			}
			defer free(big)
			buf = big
		case st.Err() != nil:
			return fail(st)
		case need > uint64(len(buf)):
			return fail(fmt.Errorf("the firmware returned %d bytes for a buffer of %d", need, len(buf)))
		default:
			return append([]byte(nil), buf[:need]...), uint32(params.cell[0]), nil
		}
	}
}

// Variables lists the names of all variables (8.2.2).
func Variables() ([]VariableName, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	params.Lock()
	defer params.Unlock()
	params.text[0] = 0 // the empty name asks for the first
	params.guid = uefi.GUID{}
	var list []VariableName
	text := uintptr(unsafe.Pointer(&params.text))
	for {
		size := cell(0, uint64(unsafe.Sizeof(params.text)))
		st := uefi.Status(call(fw.rt.GetNextVariableName, size, text, guidAt(&params.guid)))
		if st == uefi.NotFound {
			return list, nil
		}
		if err := st.Err(); err != nil {
			return list, fmt.Errorf("listing the firmware's variables: %w", err)
		}
		v := VariableName{textAt(text, len(params.text)), params.guid}
		// Some firmware starts again from the first instead of ending.
		if len(list) > 0 && v == list[0] || len(list) >= 1<<14 {
			return list, errors.New("listing the firmware's variables: the list does not end")
		}
		list = append(list, v)
	}
}

// ResetSystem resets the machine. It does not return unless the firmware
// fails to; the error then says so.
func ResetSystem(r uefi.ResetType) error {
	if err := ready(); err != nil {
		return err
	}
	handBack()
	call(fw.rt.ResetSystem, uintptr(r), 0, 0, 0)
	if r == uefi.ResetShutdown {
		return errors.New("the firmware did not power it off")
	}
	return errors.New("the firmware did not restart it")
}

// settleTime is how long a removable medium is left powered after the last
// write: flash drives finish their work on their own, and the firmware's
// drivers for USB do not pass a flush on.
const settleTime = 3 * time.Second

// sleep is a variable for tests.
var sleep = time.Sleep

// ErrUnflushed is wrapped by Shutdown's error when the drive did not confirm what was written.
var ErrUnflushed = errors.New("the drive does not confirm that everything was written")

// Shutdown flushes the parts of a drive, gives its medium time to settle if it is on USB or
// removable, and powers the machine off. It returns only when something went wrong; if a flush
// failed, the machine is not powered off, so that the person can be told and asked. A drive
// that was pulled out has nothing to flush.
func Shutdown(drive ...*BlockDevice) error { return finish(drive, uefi.ResetShutdown) }

// Restart is Shutdown with a cold reset at the end.
func Restart(drive ...*BlockDevice) error { return finish(drive, uefi.ResetCold) }

func finish(drive []*BlockDevice, r uefi.ResetType) error {
	if err := Settle(drive...); err != nil {
		return err
	}
	return ResetSystem(r)
}

// Settle flushes the parts of a drive and gives its medium time to finish, if it is on USB or removable.
func Settle(drive ...*BlockDevice) error {
	settle := false
	for _, dev := range drive {
		err := dev.Flush()
		if err != nil && !errors.Is(err, fs.ErrRemoved) {
			return fmt.Errorf("%w: %w", ErrUnflushed, err)
		}
		settle = settle || err == nil && dev.Removable()
	}
	if settle {
		sleep(settleTime)
	}
	return nil
}
