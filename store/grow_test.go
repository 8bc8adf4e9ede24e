package store_test

// A journal that grows, and from which what is deleted is taken out, on a real drive layout through the FAT file system.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/internal/vmtest"
	"alphaos/store"
)

// drives are drives whose power goes, with what was acknowledged on them.
type drives struct {
	t     *testing.T
	disk  *fstest.Disk
	model map[int][]string // what is said, by conversation
	ids   int              // of conversations that were given
	dead  []string         // what was deleted
}

func newDrives(t *testing.T, seed uint64) *drives {
	image, err := os.ReadFile(vmtest.NewDrive(t, create.Options{Size: 64 << 20, Journal: 64 << 10, State: -1}))
	if err != nil {
		t.Fatal(err)
	}
	disk := fstest.New(int64(len(image)), 512, 0, rand.New(rand.NewPCG(seed, 2)))
	copy(disk.Bytes(), image)
	disk.Tear = fstest.TearPart // FAT sectors that can't be read are another test's
	return &drives{t: t, disk: disk, model: map[int][]string{}}
}

// open starts as AlphaOS does.
func (d *drives) open() (*drive.Drive, *store.Store, store.Recovery) {
	d.t.Helper()
	dev, err := fs.NewFileDevice(d.disk, d.disk.Size(), 512)
	if err != nil {
		d.t.Fatal(err)
	}
	on, err := drive.Open(dev, false)
	if err != nil {
		d.t.Fatal(err)
	}
	s, rec, err := on.OpenJournal(clock())
	if err != nil {
		d.t.Fatal(err)
	}
	return on, s, rec
}

// check compares a store with what must be there; perhaps is what was begun.
func (d *drives) check(s *store.Store, perhaps func(map[int][]string)) {
	d.t.Helper()
	got := map[int][]string{}
	for _, c := range s.Conversations() {
		for _, m := range s.Messages(c.ID) {
			got[c.ID] = append(got[c.ID], m.Text)
		}
	}
	text := fmt.Sprint(got)
	if text == fmt.Sprint(d.model) {
		return
	}
	if perhaps != nil {
		if perhaps(d.model); text == fmt.Sprint(d.model) {
			return
		}
	}
	d.t.Fatalf("want %.1500s\ngot %.1500s", fmt.Sprint(d.model), text)
}

// Power goes while segments are added, filled and compacted. Every acknowledged word is there, none that was deleted comes back,
// the volume is what a check mends without touching a file, and what was deleted and taken out is nowhere on the drive.
func TestGrowsOnDrive(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	d := newDrives(t, 11)
	cuts, grown, compacted := 25, 0, 0
	if *soak > 5000 {
		cuts = *soak / 100
	}
	var perhaps func(map[int][]string)
	words := 0
	for n := range cuts {
		on, s, rec := d.open()
		if len(rec.Holes) > 0 || rec.Repaired+rec.Mixed > 0 {
			t.Fatalf("cut %d: %+v", n, rec)
		}
		d.check(s, perhaps)
		perhaps = nil
		if said := on.Mend(t.Context(), true, time.Now(), func(int64, int64) {}, quiet); len(said) > 0 && !strings.Contains(said[0], "no file") {
			t.Fatalf("cut %d: %q", n, said)
		}
		steps := 1 + r.IntN(400)
		if r.IntN(3) == 0 { // where a segment is added
			steps = 1 + r.IntN(18000)
		}
		d.disk.CutAfter(steps)
		err := s.Begin()
		for i := 0; i < 60 && err == nil; i++ {
			id := s.Current().ID
			switch k := r.IntN(12); {
			case k == 0:
				err = s.NewConversation()
			case k == 1 && id != 0 && len(d.model[id]) > 3:
				text := d.model[id]
				effect := func(m map[int][]string) { delete(m, id) }
				if err = s.Delete(id); err == nil {
					effect(d.model)
					d.dead = append(d.dead, text...)
				} else {
					perhaps = effect
				}
			case k == 2:
				due := s.Deleted()
				if err = s.Compact(context.Background()); err == nil && due {
					compacted++
					for _, text := range d.dead {
						if bytes.Contains(d.disk.Bytes(), []byte(text)) {
							t.Fatalf("cut %d: %q is deleted, and on the drive", n, text)
						}
					}
					d.dead = nil
				}
			default:
				words++
				text := fmt.Sprintf("#%d %s.", words, strings.Repeat("x", r.IntN(2500)))
				if err = s.AddUser(text); err == nil {
					id = s.Current().ID
					d.model[id] = append(d.model[id], text)
					d.ids = max(d.ids, id)
				} else {
					if id == 0 { // the number that the next conversation gets
						id = d.ids + 1
					}
					perhaps = func(m map[int][]string) {
						m[id] = append(m[id], text)
						d.ids = max(d.ids, id)
					}
				}
			}
			if errors.Is(err, store.ErrNotCompacted) && !d.disk.Off() {
				err = nil
			}
			if err != nil && !d.disk.Off() {
				t.Fatalf("cut %d: %v", n, err)
			}
		}
		if err == nil {
			err = s.MakeRoom()
		}
		if err == nil && r.IntN(2) == 0 {
			err = errors.Join(s.End(), on.Close())
		}
		if err != nil && !d.disk.Off() {
			t.Fatalf("cut %d: %v", n, err)
		}
		d.disk.PowerOn()
	}
	on, s, _ := d.open()
	d.check(s, perhaps)
	on.Mend(t.Context(), true, time.Now(), func(int64, int64) {}, quiet)
	for _, v := range on.Volumes() {
		if report, err := v.Check(fat.CheckOptions{}); err != nil || len(report.Problems) > 1 { // the mark of being in use
			t.Errorf("%v, %v", report.Problems, err)
		}
	}
	entries, err := on.ReadDir("data/journal")
	if grown = len(entries) - 1; err != nil || grown < 1 || compacted < 1 {
		t.Errorf("%d segments were added, compacted %d times, %v", grown, compacted, err)
	}
	t.Logf("%d words in %d conversations, %d segments added, compacted %d times", words, len(d.model), grown, compacted)
}

// processorTime is what this process has used of it, whatever else the computer does.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// shelf is a journal that grows, in memory.
type shelf struct{ media []store.Medium }

func (f *shelf) Segments() ([]store.Medium, error) { return f.media, nil }

func (f *shelf) Add(size int64) (store.Medium, error) {
	f.media = append(f.media, newMem(int(size)))
	return f.media[len(f.media)-1], nil
}

func openShelf(t testing.TB, f store.Folder) *store.Store {
	t.Helper()
	s, rec, err := store.OpenFolder(f, clock())
	if err != nil || rec.Lost() > 0 || rec.Repaired > 0 {
		t.Fatalf("%v, %+v", err, rec)
	}
	return s
}

// A full journal of a version that could not grow is taken over as it is: nothing in it changes but its end, and the log goes on in
// another file.
func TestTakeOver(t *testing.T) {
	m := newMem(256 << 10)
	s, _, err := store.Open(m, clock())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		if err := s.AddUser(fmt.Sprintf("message %d %s", n, strings.Repeat("x", 300))); errors.Is(err, store.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for err = nil; err == nil; { // to the last byte
		s, _, _ = store.Open(m, clock())
		err = errors.Join(s.Begin(), s.End())
	}
	before := slices.Clone(m.d[:100<<10])
	f := &shelf{media: []store.Medium{m}}
	for round := range 3 {
		s := openShelf(t, f)
		for k := range 10 {
			if err := s.AddUser(fmt.Sprintf("more %d %d", round, k)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
	}
	s = openShelf(t, f)
	list := s.Conversation()
	if len(list) != n+30 || list[0].Text[:9] != "message 0" || list[n].Text != "more 0 0" || list[n+29].Text != "more 2 9" || len(f.media) != 2 || !bytes.Equal(before, m.d[:len(before)]) {
		t.Errorf("%d of %d messages, %d segments", len(list), n+30, len(f.media))
	}
	if h, err := s.Check(t.Context(), func(int64) {}); err != nil || !h.Sound() {
		t.Errorf("%+v, %v", h, err)
	}
}

// A drive that can't be written to any more keeps what it has, and says why.
func TestNoRoomToGrow(t *testing.T) {
	f := &noRoom{shelf{[]store.Medium{newMem(128 << 10)}}}
	s, _, err := store.OpenFolder(f, clock())
	for err == nil {
		err = s.AddUser(strings.Repeat("x", 1000))
	}
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "no room for more") || !strings.Contains(err.Error(), "the volume is full") || s.Grows() {
		t.Error(err)
	}
}

type noRoom struct{ shelf }

func (*noRoom) Add(int64) (store.Medium, error) { return nil, errors.New("the volume is full") }

// files are a journal that grows, in a directory.
type files struct {
	dir string
	shelf
}

func (f *files) Add(size int64) (store.Medium, error) {
	file, err := os.Create(filepath.Join(f.dir, fmt.Sprint(len(f.media))))
	if err != nil {
		return nil, err
	}
	f.media = append(f.media, hostFile{file, size})
	return f.media[len(f.media)-1], file.Truncate(size)
}

type hostFile struct {
	*os.File
	size int64
}

func (f hostFile) Size() int64 { return f.size }
func (f hostFile) Sync() error { return nil } // its cost is the host's

// filledShelf makes a journal of about that many bytes of text, with messages of the given length.
func filledShelf(b testing.TB, bytes, each int) store.Folder {
	f := &files{dir: b.TempDir()}
	if _, err := f.Add(16 << 20); err != nil {
		b.Fatal(err)
	}
	s, _, err := store.OpenFolder(f, clock())
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("word ", each/5)
	for n := 0; n < bytes; n += 2 * each {
		if n/(2*each)%10 == 0 {
			err = errors.Join(err, s.NewConversation())
		}
		err = errors.Join(err, s.AddUser(text))
		a := s.BeginAnswer()
		err = errors.Join(err, a.Write(text), a.End(store.Stats{Model: "model", Tokens: 1}, false), s.MakeRoom())
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		for _, m := range f.media {
			m.(hostFile).Close()
		}
	})
	return f
}

// BenchmarkReplay opens journals of many segments, and says how much memory that takes at most and how much is kept.
func BenchmarkReplay(b *testing.B) {
	for _, c := range []struct {
		name        string
		bytes, each int
	}{
		{"100MB", 100 << 20, 700},
		{"10000messages", 10000 * 700, 700},
		{"20000messages", 20000 * 700, 700},
		{"40000messages", 40000 * 700, 700},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := filledShelf(b, c.bytes, c.each)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			peak, stop, done := uint64(0), make(chan bool), make(chan bool)
			go func() {
				defer close(done)
				var m runtime.MemStats
				for {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
						runtime.ReadMemStats(&m)
						peak = max(peak, m.HeapAlloc)
					}
				}
			}()
			var s *store.Store
			used := processorTime()
			for b.Loop() {
				s = nil
				s = openShelf(b, f)
			}
			b.ReportMetric((processorTime()-used).Seconds()*1000/float64(b.N), "cpu-ms")
			close(stop)
			<-done
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(peak-before.HeapAlloc)/(1<<20), "MiB-peak")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-kept")
			b.ReportMetric(float64(len(s.Conversations())), "conversations")
		})
	}
}

func quiet(string, ...any) {}

// Two journals become one, with the times of what was said; a merge that is done again, or was cut short, adds nothing twice.
func TestMerge(t *testing.T) {
	here, there := &shelf{media: []store.Medium{newMem(128 << 10)}}, &shelf{media: []store.Medium{newMem(128 << 10)}}
	fill := func(f *shelf, word string) *store.Store {
		s, _, err := store.OpenFolder(f, clock())
		for i := range 8 {
			err = errors.Join(err, s.NewConversation())
			for k := range 3 {
				err = errors.Join(err, s.AddUser(fmt.Sprint(word, i, k, strings.Repeat(" and", 500))))
				a := s.BeginAnswer()
				err = errors.Join(err, a.Write("yes"), a.End(store.Stats{Model: "small", Tokens: 3, Elapsed: time.Second, Context: 9}, k == 1))
			}
		}
		if err = errors.Join(err, s.Rename(2, "the second"), s.GoOn(3)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := fill(here, "here "), fill(there, "there ")
	var want []string
	for _, c := range append(a.Conversations(), b.Conversations()...) {
		want = append(want, fmt.Sprint(c.Started.UnixMilli(), c.Updated.UnixMilli(), c.Title, c.Messages))
	}
	ctx, stop := context.WithCancel(t.Context())
	for n := 0; ; n++ { // each time a little more
		cut := &cutShort{shelf: here, writes: 40 * n}
		s, _, err := store.OpenFolder(cut, clock())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Merge(ctx, b); err == nil {
			break
		} else if !errors.Is(err, errCutShort) {
			t.Fatal(err)
		}
	}
	a = openShelf(t, here)
	for range 2 {
		var got []string
		for _, c := range a.Conversations() {
			got = append(got, fmt.Sprint(c.Started.UnixMilli(), c.Updated.UnixMilli(), c.Title, c.Messages))
		}
		last := a.Messages(a.Conversations()[15].ID)
		if !slices.Equal(got, want) || a.Current().ID == 0 || last[3].Stats != (store.Stats{Model: "small", Tokens: 3, Elapsed: time.Second, Context: 9}) || !last[3].Partial || last[5].Partial {
			t.Fatalf("in %d:\n%q, want\n%q, %+v", a.Current().ID, got, want, last[3])
		}
		if m, err := a.Merge(ctx, b); err != nil || m != (store.Merged{Known: 8}) {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if err := b.GoOn(4); err != nil {
		t.Fatal(err)
	}
	if err := b.AddUser("one more"); err != nil {
		t.Fatal(err)
	}
	if m, err := a.Merge(ctx, b); err != nil || m != (store.Merged{Grown: 1, Known: 7, Messages: 1}) {
		t.Errorf("%+v, %v", m, err)
	}
	stop()
	if _, err := a.Merge(ctx, b); err != context.Canceled {
		t.Error(err)
	}
}

var errCutShort = errors.New("cut short")

// cutShort is a shelf that takes so many writes.
type cutShort struct {
	*shelf
	writes int
}

func (f *cutShort) Segments() (list []store.Medium, err error) {
	for _, m := range f.shelf.media {
		list = append(list, cutMedium{m, f})
	}
	return list, nil
}

func (f *cutShort) Add(size int64) (store.Medium, error) {
	m, err := f.shelf.Add(size)
	return cutMedium{m, f}, err
}

type cutMedium struct {
	store.Medium
	f *cutShort
}

func (m cutMedium) WriteAt(p []byte, at int64) (int, error) {
	if m.f.writes--; m.f.writes < 0 {
		return 0, errCutShort
	}
	return m.Medium.WriteAt(p, at)
}
