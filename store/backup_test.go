package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"alphaos/store"
)

// What a backup says of settings and conversations is added to a journal that has others, once.
func TestRecover(t *testing.T) {
	from, to := openShelf(t, &shelf{media: []store.Medium{newMem(128 << 10)}}), openShelf(t, &shelf{media: []store.Medium{newMem(128 << 10)}})
	a := from.BeginAnswer()
	err := errors.Join(from.AddUser("of before"), a.Write("yes"), a.End(store.Stats{}, false), from.Set("seed", "7"), from.Set("system", "old"),
		to.AddUser("of now"), to.Set("system", "new"))
	var b bytes.Buffer
	if err = errors.Join(err, from.Backup(&b, func() error { return nil })); err != nil {
		t.Fatal(err)
	}
	for again := range 2 {
		m, err := to.Recover(t.Context(), bytes.NewReader(b.Bytes()))
		if err != nil || m.Added != 1-again || m.Known != again || len(to.Conversations()) != 2 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	if to.Setting("seed") != "7" || to.Setting("system") != "new" || to.Current().Title != "of now" {
		t.Errorf("%q %q, in %q", to.Setting("seed"), to.Setting("system"), to.Current().Title)
	}
	if err := store.Restore(&shelf{media: []store.Medium{newMem(128 << 10)}}, bytes.NewReader(b.Bytes()[:b.Len()-3]), clock()); !errors.Is(err, store.ErrNoBackup) {
		t.Errorf("half a backup: %v", err)
	}
}

// A journal that has lost all its headers is known for the one that its backups are of, so what is deleted is taken out of them; one that was
// restored is another.
func TestBackupsOfHeadless(t *testing.T) {
	m := newMem(128 << 10)
	s := openShelf(t, &shelf{media: []store.Medium{m}})
	if err := s.AddUser("a secret"); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Backup(&b, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	head, err := store.ReadBackupHead(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	restored := newMem(128 << 10)
	if err := store.Restore(&shelf{media: []store.Medium{restored}}, bytes.NewReader(b.Bytes()), func() time.Time { return time.Unix(3e9, 0) }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		medium *mem
		stale  bool
	}{{m, true}, {restored, false}} {
		for range 2 { // the headers are made anew, and lost again
			for _, at := range []int64{0, 64 << 10} {
				if _, err := c.medium.WriteAt(make([]byte, 4096), at); err != nil {
					t.Fatal(err)
				}
			}
			s = openShelf(t, &shelf{media: []store.Medium{c.medium}})
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Delete(1); err != nil || s.Stale(head) != c.stale {
			t.Errorf("the backup is stale: %v, %v", s.Stale(head), err)
		}
	}
	var purged bytes.Buffer
	s = openShelf(t, &shelf{media: []store.Medium{m}})
	if err := s.Purge(&purged, &b, func() error { return nil }); err != nil || bytes.Contains(purged.Bytes(), []byte("a secret")) {
		t.Errorf("%v: %s", err, purged.Bytes())
	}
}

func FuzzRestore(f *testing.F) {
	s := openShelf(f, &shelf{media: []store.Medium{newMem(128 << 10)}})
	a := s.BeginAnswer()
	if err := errors.Join(s.AddUser("a \xff"), a.Write("b"), a.End(store.Stats{}, false), s.Replace(1, "c"), s.Rename(1, "t"), s.Forget(1)); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Backup(&b, func() error { return nil }); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	head, _, _ := strings.Cut(b.String(), "\n")
	for _, lines := range []string{`{"n":1,"kind":3,"text":"x"}`, `{"n":9,"skip":65535,"kind":9,"parts":[{"kind":3,"text":"x"},{"kind":4,"data":"AAA="}]}`, `{"n":18446744073709551615,"leap":4294967295,"kind":14}`} {
		f.Add(fmt.Appendf(nil, "%s\n%s\n{\"records\":1}\n", head, lines))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		is, err := store.OpenBackup(bytes.NewReader(b), clock())
		if err != nil {
			return
		}
		before := read(is).String()
		var out bytes.Buffer
		if err := is.Backup(&out, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		again, err := store.OpenBackup(&out, clock())
		if err != nil {
			t.Fatal(err)
		}
		if after := read(again).String(); after != before {
			t.Errorf("want\n%s", difference(before, after))
		}
	})
}
