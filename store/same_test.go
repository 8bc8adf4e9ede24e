package store_test

import (
	"bytes"
	"errors"
	"testing"

	"alphaos/store"
)

// What lies where the journal was is the same, whatever appends that failed have left there, or it is another, or has gone on.
func TestSame(t *testing.T) {
	m := newMem(128 << 10)
	s := openShelf(t, &shelf{media: []store.Medium{m}})
	if err := s.Same(); err != nil { // a new one
		t.Error(err)
	}
	if err := s.AddUser("here"); err != nil {
		t.Fatal(err)
	}
	failing := errors.New("no answer")
	m.onSync = func() error { return failing }
	for range 3 {
		if s.AddUser("not saved") == nil {
			t.Fatal("acknowledged")
		}
		if err := s.Same(); err != nil {
			t.Error(err)
		}
	}
	m.onSync = nil
	as := bytes.Clone(m.d)
	for name, change := range map[string]func(*mem){
		"another":        func(o *mem) { clear(o.d) },
		"none":           func(o *mem) { clear(o.d[:4096]); clear(o.d[64<<10:][:4096]) },
		"used meanwhile": func(o *mem) {},
	} {
		o := newMem(128 << 10)
		copy(o.d, as)
		change(o)
		if name != "none" {
			if err := openShelf(t, &shelf{media: []store.Medium{o}}).AddUser("elsewhere"); err != nil {
				t.Fatal(err)
			}
		}
		copy(m.d, o.d)
		if err := s.Same(); !errors.Is(err, store.ErrElsewhere) {
			t.Errorf("%s: %v", name, err)
		}
	}
	copy(m.d, as)
	if err := errors.Join(s.Same(), s.AddUser("saved")); err != nil {
		t.Error(err)
	}
}
