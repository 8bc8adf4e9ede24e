package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"testing"
)

type status struct{}

func (status) Error() string   { return "EFI_ACCESS_DENIED (access was denied)" }
func (status) Meaning() string { return "access was denied" }

func TestReason(t *testing.T) {
	chain := func(err error) error {
		return fmt.Errorf("writing to the drive: %w", &iofs.PathError{Op: "write", Path: "data/journal/journal.log", Err: fmt.Errorf("writing 8 blocks at 14078 of PciRoot(0x0): %w", err)})
	}
	for _, c := range []struct {
		err           error
		want, explain string
	}{
		{chain(ErrRemoved), "the drive was pulled out", "the drive was pulled out. Plug it in again."},
		{chain(ErrReadOnly), "the drive is write-protected", "the drive is write-protected. If it has a switch, move that, or use another drive."},
		{errors.Join(errors.New("x"), chain(ErrIO)), "the drive reported an error", "the drive reported an error. If that comes again, copy the drive while it still works."},
		{chain(status{}), "access was denied", "access was denied."},
		{errors.New("the journal is full"), "the journal is full", "the journal is full."},
		{errors.New("Two sentences. And a full stop."), "Two sentences. And a full stop.", "Two sentences. And a full stop."},
	} {
		if got, explain := Reason(c.err), Explain(c.err); got != c.want || explain != c.explain {
			t.Errorf("%v: %q, %q", c.err, got, explain)
		}
	}
}
