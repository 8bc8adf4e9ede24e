package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/store"
)

// shelf is a folder of backups in memory.
type shelf struct {
	files map[string][]byte
	free  int64
	spoil func(name string, b []byte) // what the drive makes of it
	fail  error                       // of reads
}

func (s *shelf) Files() (list []iofs.FileInfo, err error) {
	for name, b := range s.files {
		list = append(list, info{name, int64(len(b))})
	}
	return list, nil
}

func (s *shelf) Open(name string) (io.ReadCloser, error) {
	if s.fail != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(s.files[name][:9]), failing{s.fail})), nil
	}
	return io.NopCloser(bytes.NewReader(s.files[name])), nil
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func (s *shelf) Create(name string, _ time.Time, content func(io.Writer) error) error {
	var b bytes.Buffer
	if err := content(&b); err != nil {
		return err
	}
	if s.spoil != nil {
		s.spoil(name, b.Bytes())
	}
	s.files[name] = b.Bytes()
	return nil
}

func (s *shelf) Remove(name string) error { delete(s.files, name); return nil }

func (s *shelf) Free() (int64, error) {
	n := s.free
	for _, b := range s.files {
		n -= int64(len(b))
	}
	return n, nil
}

func (s *shelf) names() (list []string) {
	for name := range s.files {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

type info struct {
	name string
	size int64
}

func (i info) Name() string        { return i.name }
func (i info) Size() int64         { return i.size }
func (i info) Mode() iofs.FileMode { return 0o666 }
func (i info) ModTime() time.Time  { return time.Time{} }
func (i info) IsDir() bool         { return false }
func (i info) Sys() any            { return nil }

// library is a store with backups, and its clock.
type library struct {
	*Backups
	shelf *shelf
	now   time.Time
}

func newLibrary(t *testing.T) *library {
	l := &library{shelf: &shelf{files: map[string][]byte{}, free: 1 << 30}, now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return l.now }
	s, _, err := store.Open(make(memory, 2<<20), clock)
	if err != nil {
		t.Fatal(err)
	}
	l.Backups = &Backups{Store: s, Folder: l.shelf, Now: clock}
	return l
}

func (l *library) say(t *testing.T, text string) {
	t.Helper()
	if err := l.Store.AddUser(text); err != nil {
		t.Fatal(err)
	}
}

func goOn() error { return nil }

func (l *library) make(t *testing.T) Backup {
	t.Helper()
	made, err := l.Make(goOn, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// restored is what a backup says.
func (l *library) restored(t *testing.T, name string) *store.Store {
	t.Helper()
	z, err := Unpack(bytes.NewReader(l.shelf.files[name]))
	if err != nil {
		t.Fatal(err)
	}
	m := make(memory, 2<<20)
	if err := store.Restore(store.Fixed(m), z, l.Now); err != nil {
		t.Fatal(err)
	}
	s, rec, err := store.Open(m, l.Now)
	if err != nil || len(rec.Holes) > 0 {
		t.Fatal(err, rec)
	}
	return s
}

func TestBackup(t *testing.T) {
	l := newLibrary(t)
	if due, err := l.Due(); due || err != nil {
		t.Fatalf("a backup of nothing is due: %v", err)
	}
	l.say(t, "The first words")
	a := l.Store.BeginAnswer()
	a.Write("An answer with \x00 and \xff in it")
	if err := errors.Join(a.End(store.Stats{Model: "m.gguf", Tokens: 3}, false), l.Store.Set("seed", "7")); err != nil {
		t.Fatal(err)
	}
	if due, err := l.Due(); !due || err != nil {
		t.Fatalf("no backup is due: %v", err)
	}
	made := l.make(t)
	if made.Head.Conversations != 1 || made.Head.Messages != 2 || made.Name != "journal-2026-11-02-0900.jsonl.zst" {
		t.Errorf("%+v", made)
	}
	s := l.restored(t, made.Name)
	if got, want := fmt.Sprint(s.Messages(1)), fmt.Sprint(l.Store.Messages(1)); got != want || s.Setting("seed") != "7" {
		t.Errorf("restored %q, want %q", got, want)
	}
	if err := s.AddUser("and on"); err != nil || len(s.Conversation()) != 3 {
		t.Errorf("it does not go on: %v", err)
	}
	// One a day is enough, and none without news.
	if due, _ := l.Due(); due {
		t.Error("a second one is due on the same day")
	}
	l.now = l.now.Add(24 * time.Hour)
	if due, _ := l.Due(); due {
		t.Error("one is due although nothing was said")
	}
	l.say(t, "More")
	if due, _ := l.Due(); !due {
		t.Error("none is due on the next day")
	}
	// One that the future has made says nothing of today.
	l.now = l.now.AddDate(70, 0, 0)
	l.make(t)
	l.now = l.now.AddDate(-70, 0, 0)
	if due, _ := l.Due(); !due {
		t.Error("a clock that was wrong once prevents all backups")
	}
}

// A backup is given up at once, and one that can't be read back is none.
func TestBackupFails(t *testing.T) {
	l := newLibrary(t)
	l.say(t, strings.Repeat("words ", 100_000))
	stop, n := errors.New("the person types"), 0
	if _, err := l.Make(func() error {
		if n++; n > 2 {
			return stop
		}
		return nil
	}, func(int64) {}); !errors.Is(err, stop) || len(l.shelf.files) > 0 {
		t.Errorf("%v, %q", err, l.shelf.names())
	}
	l.shelf.spoil = func(_ string, b []byte) { b[len(b)/2] ^= 4 }
	if _, err := l.Make(goOn, func(int64) {}); err == nil || len(l.shelf.files) > 0 {
		t.Errorf("a damaged backup was made: %v, %q", err, l.shelf.names())
	}
}

// What is deleted goes from all backups that have it, also from one that nobody can read any more.
func TestPurge(t *testing.T) {
	l := newLibrary(t)
	l.say(t, "A secret that goes")
	first := l.make(t)
	if err := l.Store.NewConversation(); err != nil {
		t.Fatal(err)
	}
	l.say(t, "Words that stay")
	l.now = l.now.Add(24 * time.Hour)
	l.make(t)
	l.shelf.files["journal-2026-11-01-0900.jsonl.zst"] = append([]byte{}, l.shelf.files[first.Name][:40]...)
	if err := l.Store.Delete(1); err != nil {
		t.Fatal(err)
	}
	if !l.Stale() {
		t.Fatal("nothing is deleted")
	}
	l.known = nil
	if l.shelf.fail = errors.New("no answer"); l.Stale() {
		t.Error("a drive that does not answer makes backups damaged")
	}
	l.shelf.fail = nil
	n, err := l.Purge(goOn)
	if err != nil || n != 3 || l.Stale() {
		t.Fatalf("%d purged, %v, stale %v", n, err, l.Stale())
	}
	want := []string{"journal-2026-11-02-0900-2.jsonl.zst", "journal-2026-11-03-0900-2.jsonl.zst"}
	if got := l.shelf.names(); !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	for _, name := range want {
		z, err := Unpack(bytes.NewReader(l.shelf.files[name]))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil || strings.Contains(string(text), "secret") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	if got := l.restored(t, want[1]).Conversations(); len(got) != 1 || got[0].Title != "Words that stay" || got[0].ID != 2 {
		t.Errorf("%+v", got)
	}
}

// Of the days seven stay and of the weeks four, the newest of each.
func TestSurplus(t *testing.T) {
	var list []Backup
	at := time.Date(2026, 11, 29, 20, 0, 0, 0, time.UTC) // a Sunday
	for i := range 60 {
		list = append(list, Backup{Name: "journal-" + at.AddDate(0, 0, -i).Format(backupTime) + ".jsonl.zst", Size: 10})
	}
	stay := func(most int64) (days []string) {
		gone := surplus(list, most, time.UTC)
		for _, is := range list {
			if !slices.ContainsFunc(gone, func(g Backup) bool { return g.Name == is.Name }) {
				days = append(days, is.day(time.UTC).Format("01-02"))
			}
		}
		return days
	}
	if got, want := strings.Join(stay(1000), " "), "11-29 11-28 11-27 11-26 11-25 11-24 11-23 11-22 11-15 11-08"; got != want {
		t.Errorf("%s stay, want %s", got, want)
	}
	if got := strings.Join(stay(35), " "); got != "11-29 11-28 11-27" {
		t.Errorf("%s stay of 35 bytes", got)
	}
	if got := strings.Join(stay(1), " "); got != "11-29" {
		t.Errorf("%s stays of one byte", got)
	}
	list[0].Broken = errDamaged
	if got := strings.Join(stay(15), " "); !strings.Contains(got, "11-28") {
		t.Errorf("%s stays, and the only one of them that can be read does not", got)
	}
}

// Where there is little room, the oldest make way, and never the only one.
func TestBackupRoom(t *testing.T) {
	l := newLibrary(t)
	l.say(t, "Something")
	first := l.make(t)
	l.now = l.now.Add(48 * time.Hour)
	second := l.make(t)
	l.now = l.now.Add(48 * time.Hour)
	used, _ := l.Store.Usage()
	l.shelf.free = backupRoom + used/2 + first.Size + second.Size - 1
	l.make(t)
	if _, there := l.shelf.files[first.Name]; there {
		t.Error("the oldest is still there")
	}
	l.shelf.free = backupRoom
	before := l.shelf.names()
	if _, err := l.Make(goOn, func(int64) {}); err == nil || len(l.shelf.names()) == 0 || len(l.shelf.names()) > len(before) {
		t.Errorf("%v, %q", err, l.shelf.names())
	}
}
