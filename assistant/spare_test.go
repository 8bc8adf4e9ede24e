package assistant

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/archive"
	"alphaos/engine"
	"alphaos/store"
)

// hostBackups is a folder of backups on the host.
type hostBackups string

func (h hostBackups) Files() (list []iofs.FileInfo, err error) {
	entries, err := os.ReadDir(string(h))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, err
}

func (h hostBackups) Open(name string) (io.ReadCloser, error) { return os.Open(h.path(name)) }
func (h hostBackups) Remove(name string) error                { return os.Remove(h.path(name)) }
func (h hostBackups) Free() (int64, error)                    { return 1 << 30, nil }
func (h hostBackups) path(name string) string                 { return filepath.Join(string(h), name) }

func (h hostBackups) Create(name string, _ time.Time, content func(io.Writer) error) error {
	f, err := os.Create(h.path(name))
	if err != nil {
		return err
	}
	if err := errors.Join(content(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(h.path(name)))
	}
	return nil
}

// said is what all backups have.
func (h hostBackups) said(t *testing.T) (text string) {
	t.Helper()
	files, err := h.Files()
	for _, f := range files {
		var b []byte
		if b, err = os.ReadFile(h.path(f.Name())); err == nil {
			var z io.ReadCloser
			if z, err = archive.Unpack(bytes.NewReader(b)); err == nil {
				b, err = io.ReadAll(z)
			}
		}
		text += string(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// typist is a person who types now and then.
type typist struct {
	ui
	lines, looks atomic.Int32
}

func (p *typist) Waiting() int {
	p.looks.Add(1)
	return int(p.lines.Load())
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 6000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s never came", what)
}

// What was deleted is taken off the drive, and out of the backups, while the person is asked for a line and does not type, and that is told. Then
// a backup is made, one a day.
func TestSpare(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	m := &memory{data: make([]byte, 1<<20)}
	s, _, err := store.Open(m, now)
	if err != nil {
		t.Fatal(err)
	}
	w := folder(t)
	p := &typist{ui: ui{w}}
	dir := hostBackups(t.TempDir())
	before := 0 // how often the database was brought up to date before what was deleted was taken off
	database := &projection{keep: func(context.Context) (string, error) {
		if s.Deleted() {
			before++
		}
		return "", nil
	}}
	files := &projection{} // which are not up to date
	sp := &spare{ui: p, store: s, files: files, database: database, backups: &archive.Backups{Store: s, Folder: dir, Now: now}}
	idle := func() bool {
		sp.mu.Lock()
		defer sp.mu.Unlock()
		return sp.cancel == nil
	}
	say := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	say(s.AddUser("a secret of mine"))
	say(s.NewConversation())
	say(s.AddUser("this stays"))
	end := sp.begin()
	eventually(t, "the first backup", idle)
	end()
	if said := dir.said(t); !strings.Contains(said, "a secret") || !strings.Contains(said, "this stays") {
		t.Fatalf("the backup has %s", said)
	}
	say(s.Delete(1))
	p.lines.Store(1)
	p.looks.Store(0)
	end = sp.begin()
	eventually(t, "a look at what is typed", func() bool { return p.looks.Load() > 3 })
	if !s.Deleted() {
		t.Error("it was taken off while the person typed")
	}
	p.lines.Store(0)
	eventually(t, "the end", idle)
	if s.Deleted() || bytes.Contains(m.data, []byte("a secret")) || strings.Contains(dir.said(t), "a secret") {
		t.Error("what was deleted is still there")
	}
	if !bytes.Contains(m.data, []byte("this stays")) || !strings.Contains(dir.said(t), "this stays") {
		t.Error("what was not deleted is gone")
	}
	if told := "What you deleted is off the drive now, also out of the backups, but for files of it or their names"; strings.Contains(w.out.String(), told) {
		t.Error("it was told into the line that is typed")
	} else if end(); !strings.Contains(w.out.String(), told) {
		t.Errorf("it is not told: %s", w.out.String())
	}

	// A session that ends at once does both as well.
	at = at.Add(24 * time.Hour)
	say(s.AddUser("another day"))
	say(s.Forget(1))
	files.done = true
	sp.finish()
	if files, _ := dir.Files(); before != 2 || len(files) != 2 || s.Deleted() || !strings.Contains(w.out.String(), "What you deleted: taken off the drive") {
		t.Errorf("%d backups, the database %d times, %s", len(files), before, w.out.String())
	}
}

// stopping is a person who stops what is shown with a bar.
type stopping struct{ ui }

func (stopping) StopContext(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

func (s stopping) Progress(title string, total int64) engine.Progress {
	return s.ui.Progress(title, total)
}

func TestBackupCommand(t *testing.T) {
	w := folder(t)
	s, _, err := store.Open(&memory{data: make([]byte, 1<<20)}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	dir := hostBackups(t.TempDir())
	c := &commands{ui: ui{w}, journal: &journal{store: s}, drive: Drive{BackupPlace: "/data/backup"},
		spare: &spare{ui: ui{w}, store: s, backups: &archive.Backups{Store: s, Folder: dir, Now: func() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }}}}
	run := func(rest string, want ...string) {
		t.Helper()
		w.out.Reset()
		c.backup(t.Context(), rest)
		for _, want := range want {
			if !strings.Contains(w.out.String(), want) {
				t.Errorf("/backup %s says %s, want %s", rest, w.out.String(), want)
			}
		}
	}
	run("", "There is no backup yet.")
	run("now", "Nothing is saved yet")
	if err := s.AddUser("hello"); err != nil {
		t.Fatal(err)
	}
	c.ui = stopping{ui{w}}
	run("now", "Stopped.")
	if files, _ := dir.Files(); len(files) > 0 {
		t.Errorf("%d files are left", len(files))
	}
	c.ui = ui{w}
	run("now", "[Backup:", "Backup written and read back: journal-2026-11-02-0900.jsonl.zst, 1 message")
	run("", "journal-2026-11-02-0900.jsonl.zst  1 conversation, 1 message", "1 backup, ", "in /data/backup.")
	run("tomorrow", "/backup now makes one")
	c.spare = nil
	run("", "There is no place for backups")
}

// It is said that what was deleted is off the drive only if its files and their names are as well.
func TestDeletedWithItsNames(t *testing.T) {
	const off, not = "What you deleted: taken off the drive\n", "What you deleted: taken off the drive, but for files of it or their names; these go at the next start\n"
	for _, c := range []struct {
		keep func() error
		want []string
	}{
		{func() error { return nil }, []string{"Files: written\n", off}},
		{func() error { return archive.NamesLeft{Err: errors.New("the medium failed")} }, []string{"Names of files that were removed could not be taken off the drive: the medium failed. That is tried again", not}},
		{func() error { return errors.New("no room") }, []string{"The files could not be written: no room.", not}},
	} {
		w := folder(t)
		s, _, err := store.Open(&memory{data: make([]byte, 1<<20)}, time.Now)
		if err := errors.Join(err, s.AddUser("a secret"), s.Forget(0)); err != nil {
			t.Fatal(err)
		}
		files := &projection{what: "Files", failed: "The files", keep: func(context.Context) (string, error) { return "", c.keep() }}
		talk := &conversation{ui: ui{w}, journal: &journal{ui: ui{w}, store: s, show: func() {}, now: time.Now}, filing: &filing{files: files}, shelf: &shelf{}, spare: &spare{ui: ui{w}, store: s, files: files}}
		if err := talk.save(); err != nil {
			t.Fatal(err)
		}
		contains(t, w.out.String(), c.want...)
	}
	ctx, stop := context.WithCancel(t.Context())
	cut := &projection{keep: func(context.Context) (string, error) { stop(); return "", nil }}
	if err := cut.write(ctx); err != nil || cut.upToDate() {
		t.Error("what was cut off is taken for done:", err)
	}
}
