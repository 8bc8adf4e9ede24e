package assistant

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alphaos/console"
	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/store"
)

var outages = flag.Int("outages", 50, "how many conversations TestOutages has on drives that fail")

// failing is a drive whose requests fail as long as there is an error.
type failing struct {
	*fstest.Disk
	err atomic.Pointer[error]
}

func newFailing(size int64, r *rand.Rand) *failing {
	f := &failing{Disk: fstest.New(size, 512, 0, r)}
	f.Fail = func(op fstest.Op, _ int64, _ int) error {
		if err := f.err.Load(); err != nil && (op != fstest.Read || errors.Is(*err, fs.ErrRemoved)) {
			return *err
		}
		return nil
	}
	return f
}

func (f *failing) fails(err error) {
	if err == nil {
		f.err.Store(nil)
		return
	}
	f.err.Store(&err)
}

// small is a folder of segments on a drive that may be full.
type small struct {
	segments []store.Medium
	room     atomic.Bool
}

func (s *small) Segments() ([]store.Medium, error) { return s.segments, nil }

func (s *small) Add(size int64) (store.Medium, error) {
	if !s.room.Load() {
		return nil, fmt.Errorf("%w: %w", store.ErrNoRoom, fs.ErrNoRoom)
	}
	m := fstest.New(size, 512, 0, rand.New(rand.NewPCG(1, 1)))
	s.segments = append(s.segments, m)
	return m, nil
}

// until waits until the bars are as they should be.
func (p *panel) until(t *testing.T, what string, ok func(console.Bars) bool) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		b := p.bars
		p.mu.Unlock()
		if ok(b) {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%s: the bars say %+v", what, b)
		}
	}
}

func saved(b console.Bars) bool { return b.Saved == console.AllSaved && b.Alert == "" }

func alerts(words string) func(console.Bars) bool {
	return func(b console.Bars) bool { return b.Saved == console.NotSaved && strings.Contains(b.Alert, words) }
}

// texts is what a store has of the conversation with this ID.
func texts(s *store.Store, id int) (list []string) {
	for _, m := range s.Messages(id) {
		list = append(list, m.Text)
	}
	return list
}

// A drive is full: the bars tell it at once, the conversation goes on, and when there is room again all is saved though nobody
// types a word.
func TestFullDrive(t *testing.T) {
	f := &small{segments: []store.Medium{fstest.New(64<<10, 512, 0, rand.New(rand.NewPCG(1, 1)))}}
	s, rec, err := store.OpenFolder(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.Repeat("x", 1000), "x"} {
		for s.AddUser(text) == nil { // until it is refused a segment
		}
	}
	if err := s.NewConversation(); err != nil {
		t.Fatal(err)
	}
	c, d := displayed(t, nil)
	c.Drive.Store, c.Drive.Recovery, c.watch = s, rec, 10*time.Millisecond
	p := sit(t, c)
	p.expect("/? for help.")
	for _, text := range []string{"one", "two"} {
		p.says(text)
		p.expect(fmt.Sprintf("You said %q", text))
		p.expect("tokens/s")
		d.until(t, "when it is full", alerts("the drive is full"))
	}
	if got := texts(s, 2); len(got) > 0 {
		t.Errorf("there was room: %q", got)
	}
	f.room.Store(true)
	d.until(t, "when there is room", saved)
	if got := texts(s, 2); len(got) != 4 || got[0] != "one" || got[2] != "two" || !strings.HasPrefix(got[3], `You said "two"`) {
		t.Errorf("it has %q", got)
	}
	p.says("/bye")
	p.expect("It can be saved again. All that was said is saved.")
	p.expect("All data saved. Goodbye.")
}

// A drive that is pulled out, or write-protected, or fails: the bars tell it, what is said is kept, and saved when it works again.
// That it was pulled out is seen though nobody types a word.
func TestFailingDrive(t *testing.T) {
	disk := newFailing(256<<10, rand.New(rand.NewPCG(1, 1)))
	c, d := displayed(t, nil)
	s, rec, err := store.Open(disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Drive.Store, c.Drive.Recovery, c.watch = s, rec, 10*time.Millisecond
	c.Drive.Present = func() error {
		if err := disk.err.Load(); err != nil && errors.Is(*err, fs.ErrRemoved) {
			return *err
		}
		return nil
	}
	p := sit(t, c)
	p.expect("/? for help.")
	d.until(t, "at the start", saved)
	disk.fails(fs.ErrRemoved)
	d.until(t, "when it is pulled out", alerts("the drive is out: plug it in"))
	disk.fails(nil)
	d.until(t, "when it is back", saved)
	var want []string
	for i, bad := range []struct {
		err   error
		words string
	}{{fs.ErrRemoved, "plug it in"}, {fs.ErrReadOnly, "write-protected"}, {fs.Unwritable{Why: errors.New("so")}, "only read"}, {fs.ErrIO, "the drive fails"}, {errors.New("some other"), "the drive fails"}} {
		text := fmt.Sprint("message ", i)
		disk.fails(bad.err)
		p.says(text)
		p.expect("Nothing can be saved at the moment: ")
		p.expect(fmt.Sprintf("You said %q", text))
		p.expect("tokens/s")
		d.until(t, bad.err.Error(), alerts(bad.words))
		disk.fails(nil)
		d.until(t, "after "+bad.err.Error(), saved)
		p.says("/raw")
		p.expect("All that was said is saved.")
		want = append(want, text)
	}
	// Another drive is plugged in where it was, and this one after it was used elsewhere.
	right := bytes.Clone(disk.Bytes())
	disk.fails(fs.ErrRemoved)
	p.says("on another drive")
	p.expect("tokens/s")
	d.until(t, "when it is pulled out", alerts("plug it in again"))
	for _, from := range [][]byte{make([]byte, len(right)), bytes.Clone(right)} {
		m := &memory{data: from}
		other, _, err := store.Open(m, nil)
		if err == nil {
			err = errors.Join(other.Begin(), other.AddUser("elsewhere"))
		}
		if err != nil {
			t.Fatal(err)
		}
		copy(disk.Bytes(), m.data)
		disk.fails(nil)
		d.until(t, "with another drive", alerts("another drive"))
		time.Sleep(100 * time.Millisecond)
		if disk.fails(fs.ErrRemoved); !bytes.Equal(disk.Bytes(), m.data) {
			t.Error("it was written to another drive")
		}
	}
	copy(disk.Bytes(), right)
	disk.fails(nil)
	d.until(t, "with the right one", saved)
	want = append(want, "on another drive")
	p.says("/bye")
	p.expect("All data saved. Goodbye.")
	<-p.done
	s, _, err = store.Open(disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.Conversation() {
		if m.Role == store.User {
			got = append(got, m.Text)
		} else if m.Partial {
			t.Errorf("%q is cut short", m.Text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("it has %q", got)
	}
}

// An answer of which a part is saved when the drive fails, and the rest when another conversation was deleted meanwhile, is one answer.
func TestDeleteWhileUnsaved(t *testing.T) {
	disk := newFailing(256<<10, rand.New(rand.NewPCG(1, 1)))
	c, _ := displayed(t, nil)
	s, rec, err := store.Open(disk, c.Now) // each look takes a second, so each piece is saved
	if err != nil {
		t.Fatal(err)
	}
	c.Drive.Store, c.Drive.Recovery, c.watch = s, rec, time.Hour
	p := sit(t, c)
	p.says("one")
	p.expect("tokens/s")
	p.says("/new")
	p.expect(Prompt)
	p.seen -= len(Prompt)
	var left atomic.Int64 // writes until it fails
	left.Store(30)        // in the midst of the answer
	disk.Fail = func(op fstest.Op, _ int64, _ int) error {
		if op == fstest.Write && left.Add(-1) < 0 {
			return fs.ErrIO
		}
		return nil
	}
	p.says("count to 30")
	p.expect("Nothing can be saved at the moment: ")
	p.expect("tokens/s")
	before := s.Messages(2)
	if len(before) != 2 || !before[1].Partial || !strings.HasPrefix(before[1].Text, "1 2 ") {
		t.Fatalf("saved so far: %+v", before)
	}
	left.Store(1 << 30)
	p.says("/delete 1")
	p.expect("Delete it? (yes or no) ")
	p.keys.Write([]byte("yes\r"))
	p.expect("Deleted.")
	p.says("/bye")
	p.expect("All data saved. Goodbye.")
	<-p.done
	after, _, err := store.Open(disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*store.Store{s, after} {
		m := s.Messages(2)
		if len(m) != 2 || m[1].Partial || !strings.HasPrefix(m[1].Text, before[1].Text) || !strings.Contains(m[1].Text, "30") {
			t.Errorf("%+v", m)
		}
	}
}

// recorder makes a journal on a medium, on a clock that goes on a second with each look.
func recorder(t *testing.T, m store.Medium) *journal {
	t.Helper()
	now := time.Unix(2e9, 0)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	s, _, err := store.Open(m, clock)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t}
	j := &journal{ui: ui{w}, store: s, now: clock, show: func() {}}
	j.begin(nil)
	return j
}

// What waits bears the time at which it was said; how much of it may wait is bounded, and what never can be saved does not wait.
func TestHeld(t *testing.T) {
	disk := newFailing(64<<20, rand.New(rand.NewPCG(1, 1)))
	j := recorder(t, disk)
	say := func(text string) error {
		return j.record(context.Background(), text, func(at time.Time) error { return j.store.AddUserAt(text, at) }, false)
	}
	if err := say(strings.Repeat("x", 1<<20+1)); !errors.Is(err, store.ErrTooLong) || j.pending() || j.trouble != nil {
		t.Fatalf("%v, %v", err, j.trouble)
	}
	disk.fails(fs.ErrIO)
	long := strings.Repeat("x", 1<<20-1)
	n := 0
	for ; ; n++ {
		if err := say(long); err != nil {
			if !errors.Is(err, fs.ErrIO) || !strings.Contains(err.Error(), "no room in memory") {
				t.Fatal(err)
			}
			break
		}
	}
	if n != mostHeld/len(long) || len(j.waiting) != n {
		t.Fatalf("%d wait, after %d", len(j.waiting), n)
	}
	var at []time.Time
	for _, u := range j.waiting {
		at = append(at, u.at)
	}
	disk.fails(nil)
	if err := j.catchUp(); err != nil || j.pending() || j.held != 0 || j.trouble != nil {
		t.Fatalf("%v, %d bytes wait", err, j.held)
	}
	for i, m := range j.store.Conversation() {
		if !m.Time.Equal(at[i]) || m.Text != long {
			t.Errorf("message %d is of %v, not %v", i, m.Time, at[i])
		}
	}
}

// TestOutages has conversations on drives that fail again and again. Each word is in the journal once, in its order and its
// conversation; while the drive fails, what was there before it failed is; and after a cut of power what there is is a beginning
// of what was said, with all that was told as saved.
func TestOutages(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for n := range *outages {
		if outage(t, seed, uint64(n)); t.Failed() {
			t.Fatalf("seed %d, %d", seed, n)
		}
	}
}

func outage(t *testing.T, seed, n uint64) {
	r := rand.New(rand.NewPCG(seed, n))
	disk := newFailing([]int64{8 << 20, 128 << 10}[n%2], r) // the latter is soon full
	j := recorder(t, disk)
	again := n%3 == 2  // messages are said anew and forgotten, too, of which no cut leaves a beginning
	var all [][]string // what was said, by conversation
	fresh := true
	said := func(text string) {
		if fresh {
			all, fresh = append(all, nil), false
		}
		all[len(all)-1] = append(all[len(all)-1], text)
	}
	// unsaid takes the last message, and what was answered, out of the conversation.
	unsaid := func() bool {
		if fresh || len(all) == 0 {
			return false
		}
		c := all[len(all)-1]
		for i := len(c) - 1; i >= 0; i-- {
			if strings.HasPrefix(c[i], "message") {
				all[len(all)-1] = c[:i:i]
				return true
			}
		}
		return false
	}
	stored := func(s *store.Store) (list [][]string) {
		for _, c := range s.Conversations() {
			list = append(list, texts(s, c.ID))
		}
		return list
	}
	join := func(list [][]string) (flat string) {
		for _, c := range list {
			if len(c) > 0 {
				flat += "#" + strings.Join(c, "|") + "|"
			}
		}
		return flat
	}
	// working has something done while the drive, though perhaps full, does not fail.
	working := func(do func() error) bool {
		bad, fail := disk.err.Load(), disk.Fail
		disk.fails(nil)
		disk.Fail = nil
		err := do()
		disk.Fail = fail
		disk.err.Store(bad)
		if err != nil && !errors.Is(err, store.ErrFull) {
			t.Error(err)
		}
		return err == nil
	}
	var told [][]string // what was said to be saved
	for step := range 80 {
		switch r.IntN(6) {
		case 0:
			disk.fails([]error{fs.ErrIO, fs.ErrRemoved, fs.ErrReadOnly}[r.IntN(3)])
		case 1:
			disk.fails(nil)
		}
		flaky := fstest.Flaky(r, 0, .1, .1, 3)
		whole := disk.Fail
		if r.IntN(4) == 0 {
			disk.Fail = func(op fstest.Op, at int64, n int) error {
				if err := whole(op, at, n); err != nil {
					return err
				}
				return flaky(op, at, n)
			}
		}
		answer := func(a *answer) {
			text := ""
			for i := range 1 + r.IntN(40) {
				piece := fmt.Sprint("answer ", step, ".", i, " ")
				text += piece
				a.write(piece)
				if r.IntN(30) == 0 {
					disk.fails([]error{nil, fs.ErrIO}[r.IntN(2)])
				}
			}
			a.end(store.Stats{}, false)
			said(text)
		}
		text := fmt.Sprint("message ", step, strings.Repeat(" x", r.IntN(300)))
		switch r.IntN(8) {
		case 0:
			if err := j.newConversation(); err != nil {
				t.Error(err)
			}
			fresh = true
		case 1, 2:
			if err := j.record(context.Background(), text, func(at time.Time) error { return j.store.AddUserAt(text, at) }, false); err != nil {
				t.Error(err)
			}
			said(text)
			answer(j.beginAnswer())
		case 3:
			answer(j.beginAnswer())
		case 4:
			_ = j.catchUp() // noted
		case 5, 6: // another one is deleted, whatever waits
			here := j.store.Current().ID
			for _, c := range j.store.Conversations() {
				if c.ID == here {
					continue
				}
				first := ""
				if working(func() error {
					first = texts(j.store, c.ID)[0]
					return j.delete(c.ID)
				}) {
					i := slices.IndexFunc(all, func(c []string) bool { return len(c) > 0 && c[0] == first })
					if i < 0 {
						t.Fatalf("a conversation begins with %.100q, which was not said", first)
					}
					if all[i] = nil; i < len(told) {
						told[i] = nil
					}
				}
				break
			}
			if f, err := j.store.Remember("a fact"); err == nil {
				_ = j.store.Unremember(f.ID) // the drive may fail
			}
		case 7:
			switch {
			case !again:
			case r.IntN(2) == 0:
				if unsaid() {
					err := j.record(context.Background(), text, func(at time.Time) error {
						index, ok := j.lastMessage()
						if !ok {
							return errors.New("it has nothing to replace")
						}
						return j.store.ReplaceAt(index, text, at)
					}, false)
					if err != nil {
						t.Error(err)
					}
					said(text)
					answer(j.beginAnswer())
				}
			case r.IntN(2) == 0:
				if j.finish() != nil || fresh {
					break
				}
				if index, ok := j.lastMessage(); ok {
					last := &all[len(all)-1]
					*last = slices.Clone((*last)[:index+1])
					answer(j.replaceAnswer(index + 1))
				}
			case working(j.finish) && !fresh:
				if index, ok := j.lastMessage(); ok && working(func() error { return j.store.Forget(index) }) && !unsaid() {
					t.Error("what was forgotten was not there")
				}
			}
		}
		disk.Fail = whole
		if !j.pending() && j.trouble == nil { // as the bars have it
			told = slices.Clone(all)
		}
	}
	acked := join(told)
	copied := &memory{data: bytes.Clone(disk.Bytes())} // power goes: what waits is lost
	s, _, err := store.Open(copied, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := join(stored(s)); again {
	} else if !strings.HasPrefix(got+"\xff", acked) && !strings.HasPrefix(got, strings.TrimSuffix(acked, "|")) {
		t.Errorf("after a cut: it has\n%.2000s\nand was said to have\n%.2000s", got, acked)
	} else if !strings.HasPrefix(join(all), strings.TrimSuffix(got, "|")) {
		t.Errorf("after a cut: it has\n%.2000s\nof\n%.2000s", got, join(all))
	}
	disk.fails(nil)
	if err := j.catchUp(); err != nil {
		if errors.Is(err, store.ErrFull) && n%2 == 1 {
			return
		}
		t.Fatal(err)
	}
	for _, s := range []*store.Store{j.store, func() *store.Store { s, _, _ := store.Open(disk, nil); return s }()} {
		if got := stored(s); join(got) != join(all) {
			t.Errorf("it has\n%.3000s\nnot\n%.3000s", join(got), join(all))
		}
	}
}
