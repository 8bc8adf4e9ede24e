package fs

import (
	"errors"
	"strings"
)

// Why a request to a medium failed, as far as a person can do something about
// it. Devices return errors that wrap one of these, with the technical part
// around it; whoever talks to a person asks Explain.
var (
	ErrRemoved  = errors.New("the drive was pulled out")
	ErrReadOnly = errors.New("the drive is write-protected")
	ErrIO       = errors.New("the drive reported an error")
)

// What file systems refuse, wrapped.
var (
	// ErrNoRoom: the volume is full.
	ErrNoRoom = errors.New("the volume has not enough free room")
	// ErrPinned: the file is open in place, or somebody has its extents.
	ErrPinned = errors.New("the file is in use where it lies; it cannot be moved, cut, replaced or removed as long as the drive is in use")
	// ErrBusy: the file is open for writing.
	ErrBusy = errors.New("the file is open for writing; close it first")
	// ErrFull: the write reaches beyond the end of a preallocated file. Nothing of it is written.
	ErrFull = errors.New("beyond the end of the preallocated file")
	// ErrUnwritable: see Unwritable.
	ErrUnwritable = errors.New("the volume is only read")
)

// Unwritable is why a volume is only read: its kind, or the state that it is in. It is an ErrUnwritable.
type Unwritable struct{ Why error }

func (u Unwritable) Error() string   { return ErrUnwritable.Error() + ": " + u.Why.Error() }
func (u Unwritable) Meaning() string { return u.Error() }
func (u Unwritable) Unwrap() []error { return []error{ErrUnwritable, u.Why} }

// Extent is a piece of a file: Count neighbouring blocks of the device from First on.
type Extent struct{ First, Count uint64 }

// Reason says in a clause why err happened, in words for a person: the kind of
// failure above, what an error in the chain means if it has a method
// Meaning() string, or else err's own text. What it leaves out belongs into a
// log.
func Reason(err error) string {
	for _, kind := range []error{ErrRemoved, ErrReadOnly, ErrIO} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	var m interface{ Meaning() string }
	if errors.As(err, &m) {
		return m.Meaning()
	}
	return err.Error()
}

// Explain ends a sentence that a person reads with why err happened, and says in
// another one what they can do about it, if that is known: "the drive was pulled
// out. Plug it in again."
func Explain(err error) string {
	s := strings.TrimRight(Reason(err), ".!?\n ") + "."
	if r := remedy(err); r != "" {
		s += " " + r
	}
	return s
}

// remedy says in a sentence what a person can do about err, or nothing.
func remedy(err error) string {
	switch {
	case errors.Is(err, ErrRemoved):
		return "Plug it in again."
	case errors.Is(err, ErrReadOnly):
		return "If it has a switch, move that, or use another drive."
	case errors.Is(err, ErrIO):
		return "If that comes again, copy the drive while it still works."
	}
	return ""
}
