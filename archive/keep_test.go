package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/store"
)

// memory is a medium in memory.
type memory []byte

func (m memory) Size() int64                             { return int64(len(m)) }
func (m memory) Sync() error                             { return nil }
func (m memory) ReadAt(p []byte, at int64) (int, error)  { return copy(p, m[at:]), nil }
func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

// dir is a folder on the host, which writes are counted in.
type dir struct {
	path   string
	writes []string
	fail   error

	scrubbed int // times
	fails    error
}

func (d *dir) Files() (list []iofs.FileInfo, err error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, err
}

func (d *dir) Head(name string, n int) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	return b[:min(n, len(b))], err
}

func (d *dir) Write(name string, at time.Time, content []byte) error {
	if d.fail != nil {
		return d.fail
	}
	d.writes = append(d.writes, name)
	path := filepath.Join(d.path, name)
	return errors.Join(os.WriteFile(path, content, 0o666), os.Chtimes(path, at, at))
}

func (d *dir) Remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d *dir) Scrub(context.Context) error { d.scrubbed++; return d.fails }

func (d *dir) names(t *testing.T) []string {
	t.Helper()
	list, err := d.Files()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

type world struct {
	*testing.T
	m   memory
	s   *store.Store
	d   *dir
	k   *Keeper
	now time.Time
}

func (w *world) start(unclean bool) {
	w.Helper()
	s, _, err := store.Open(w.m, func() time.Time { w.now = w.now.Add(3 * time.Second); return w.now })
	if err != nil {
		w.Fatal(err)
	}
	w.s, w.k = s, &Keeper{Store: s, Folder: w.d, Zone: func() *time.Location { return time.UTC }, Unclean: unclean}
}

func (w *world) say(question, answer string) {
	w.Helper()
	err := w.s.AddUser(question)
	a := w.s.BeginAnswer()
	if err := errors.Join(err, a.Write(answer), a.End(store.Stats{Model: "small"}, false)); err != nil {
		w.Fatal(err)
	}
}

// keep keeps the files, and wants these to be written.
func (w *world) keep(want ...string) {
	w.Helper()
	w.d.writes = nil
	if err := w.k.Keep(w.Context()); err != nil {
		w.Fatal(err)
	}
	if !slices.Equal(w.d.writes, want) {
		w.Fatalf("written %q, want %q", w.d.writes, want)
	}
}

func (w *world) want(names ...string) {
	w.Helper()
	if got := w.d.names(w.T); !slices.Equal(got, names) {
		w.Fatalf("there are %q, want %q", got, names)
	}
}

// Each conversation has its file, which follows what is said, its title and its end, and nothing is written twice.
func TestKeep(t *testing.T) {
	w := &world{T: t, m: make(memory, 1<<20), d: &dir{path: t.TempDir()}, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	note := filepath.Join(w.d.path, "2026-11-22-my-own.md")
	if err := errors.Join(os.WriteFile(note, []byte("# My own note"), 0o666), os.WriteFile(filepath.Join(w.d.path, "2026-11-22-tea.md"), []byte("bought"), 0o666)); err != nil {
		t.Fatal(err)
	}
	w.start(false)
	w.say("First words!", "Hello.")
	w.keep("2026-11-22-first-words.md")
	w.keep()
	if err := w.s.NewConversation(); err != nil {
		t.Fatal(err)
	}
	w.say("First words?", "Again.")
	w.keep("2026-11-22-first-words-2.md")
	w.say("and more", "yes")
	w.keep("2026-11-22-first-words-2.md")
	text, err := os.ReadFile(filepath.Join(w.d.path, "2026-11-22-first-words-2.md"))
	if err != nil || !strings.HasPrefix(string(text), "---\nid: 2\ntitle: \"First words?\"\ndate: 2026-11-22T") || !strings.Contains(string(text), "model: \"small\"\n") || !strings.HasSuffix(string(text), "\n\nyes\n") {
		t.Errorf("%v:\n%s", err, text)
	}
	if err := w.s.Rename(2, "Tea"); err != nil { // somebody else's file has this name
		t.Fatal(err)
	}
	w.keep("2026-11-22-tea-2.md")
	w.want("2026-11-22-first-words.md", "2026-11-22-my-own.md", "2026-11-22-tea-2.md", "2026-11-22-tea.md")
	if err := w.s.Delete(1); err != nil {
		t.Fatal(err)
	}
	w.keep()
	w.want("2026-11-22-my-own.md", "2026-11-22-tea-2.md", "2026-11-22-tea.md")
	w.start(false)
	w.keep()
	w.want("2026-11-22-my-own.md", "2026-11-22-tea-2.md", "2026-11-22-tea.md")
}

// What is missing, behind, or half written after a power cut is put right; a failing drive is told.
func TestKeepRepairs(t *testing.T) {
	w := &world{T: t, m: make(memory, 1<<20), d: &dir{path: t.TempDir()}, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	w.start(false)
	var all []string
	for i := range 5 {
		if err := w.s.NewConversation(); err != nil {
			t.Fatal(err)
		}
		w.say(fmt.Sprint("talk ", i), "well")
		all = append(all, fmt.Sprintf("2026-11-22-talk-%d.md", i))
	}
	slices.Reverse(all)
	w.keep(all...)
	sound := map[string][]byte{}
	for _, name := range all {
		sound[name], _ = os.ReadFile(filepath.Join(w.d.path, name))
	}
	at := func(i int) string { return filepath.Join(w.d.path, all[i]) }
	info, err := os.Stat(at(2))
	err = errors.Join(err, os.Remove(at(1)), os.WriteFile(at(2), make([]byte, len(sound[all[2]])), 0o666), os.WriteFile(at(0), []byte("---\nid: 5\nold"), 0o666),
		os.WriteFile(filepath.Join(w.d.path, "2026-11-21-gone.md"), []byte("---\nid: 9\n"), 0o666))
	if err = errors.Join(err, os.Chtimes(at(2), info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	w.start(true)
	w.keep(all[:3]...)
	slices.Sort(all)
	w.want(all...)
	got := map[string][]byte{}
	for _, name := range all {
		got[name], _ = os.ReadFile(filepath.Join(w.d.path, name))
	}
	if !maps.EqualFunc(got, sound, bytes.Equal) {
		t.Error("the files are not what they were")
	}
	w.say("on", "and on")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.k.Keep(ctx); err != nil || w.k.done[5].Messages == 4 {
		t.Errorf("stopped before it began, %v", err)
	}
	w.d.fail = errors.New("no room")
	if err := w.k.Keep(t.Context()); err != w.d.fail {
		t.Error(err)
	}
	w.d.fail = nil
	w.keep("2026-11-22-talk-4.md")
}

// What is left of names is taken off the medium behind all that is filed, and again by the next call if that fails; a failure keeps nothing from being written.
func TestKeepScrubs(t *testing.T) {
	w := &world{T: t, m: make(memory, 1<<20), d: &dir{path: t.TempDir()}, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.start(false)
	w.say("first", "words")
	w.d.fails = errors.New("the drive reported an error")
	for n := range 2 {
		if err := w.k.Keep(t.Context()); err != (NamesLeft{w.d.fails}) || w.d.scrubbed != n+1 || len(w.d.writes) != 1 {
			t.Errorf("%v, scrubbed %d times, %q", err, w.d.scrubbed, w.d.writes)
		}
	}
	w.d.fails = nil
	if err := w.k.Keep(t.Context()); err != nil || w.d.scrubbed != 3 {
		t.Errorf("%v, scrubbed %d times", err, w.d.scrubbed)
	}
}
