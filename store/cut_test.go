package store_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/fs/fstest"
	"alphaos/store"
)

var (
	soak     = flag.Int("soak", 5000, "how many cuts of power TestCuts simulates")
	seedFlag = flag.Uint64("seed", 0, "the seed of the one drive that TestCuts simulates; 0: many")
)

// talker talks with a store on a failing drive, and knows what must be there.
type talker struct {
	d        *fstest.Disk
	r        *rand.Rand
	said     said   // what was acknowledged
	perhaps  []said // that and one thing more that was begun but not acknowledged since
	answer   *store.Answer
	pending  string // text of the answer that waits
	restarts int
	cuts     int
	anyOrder bool
	moved    int // how often words were all there, in another order
}

// said is what a journal says.
type said struct {
	conversations [][]string // messages
	settings      map[string]string
	text          *string // the answer that is still growing, or nil
}

func (s said) clone() said {
	c := said{settings: maps.Clone(s.settings)}
	for _, m := range s.conversations {
		c.conversations = append(c.conversations, slices.Clone(m))
	}
	if s.text != nil {
		text := *s.text
		c.text = &text
	}
	return c
}

func (s *said) add(message string) {
	n := len(s.conversations)
	if n == 0 {
		s.conversations, n = [][]string{nil}, 1
	}
	s.conversations[n-1] = append(s.conversations[n-1], message)
}

// cutOff ends the answer that is still growing.
func (s *said) cutOff() {
	if s.text != nil {
		s.add("assistant, partial: " + *s.text)
		s.text = nil
	}
}

func (s *said) grow(text string) {
	if s.text == nil {
		s.text = new(string)
	}
	*s.text += text
}

func (s said) String() string {
	s = s.clone()
	s.cutOff()
	var b strings.Builder
	for _, c := range s.conversations {
		if len(c) > 0 {
			b.WriteString(strings.Join(c, "\n") + "\n\n")
		}
	}
	if n := len(s.conversations); n > 1 && len(s.conversations[n-1]) == 0 {
		b.WriteString("a new conversation\n")
	}
	for _, k := range slices.Sorted(maps.Keys(s.settings)) {
		fmt.Fprintf(&b, "%s=%s\n", k, s.settings[k])
	}
	return b.String()
}

// read is what a store says.
func read(s *store.Store) said {
	got := said{settings: map[string]string{}}
	for _, c := range s.Conversations() {
		var list []string
		for _, m := range s.Messages(c.ID) {
			kind := m.Role
			if m.Partial {
				kind += ", partial"
			}
			list = append(list, kind+": "+m.Text)
		}
		got.conversations = append(got.conversations, list)
	}
	if len(s.Conversation()) == 0 {
		got.conversations = append(got.conversations, nil)
	}
	for i := range settings {
		if v := s.Setting(fmt.Sprint("name", i)); v != "" {
			got.settings[fmt.Sprint("name", i)] = v
		}
	}
	return got
}

const settings = 3

// do does one thing; effect is what it says.
func (t *talker) do(what func() error, effect func(*said)) error {
	after := t.said.clone()
	effect(&after)
	err := what()
	if err == nil {
		t.said, t.perhaps = after, nil
	} else {
		t.perhaps = append(t.perhaps, after)
	}
	return err
}

// step does one of the things that people and models do.
func (t *talker) step(s *store.Store) error {
	n := t.r.IntN(300)
	if t.r.IntN(10) == 0 {
		n = t.r.IntN(6000)
	}
	text := fmt.Sprintf("%d %s.", t.r.IntN(1e6), strings.Repeat("x", n))
	switch k := t.r.IntN(12); {
	case t.answer != nil && k < 6:
		t.pending += text
		err := t.do(func() error { return t.answer.Write(text) }, func(s *said) { s.grow(t.pending) })
		if err == nil { // the clock makes every Write save
			t.pending = ""
		}
		return err
	case t.answer != nil && k < 10:
		partial := k == 6
		err := t.do(func() error { return t.answer.End(store.Stats{Tokens: 1}, partial) }, func(s *said) {
			s.grow(t.pending)
			if !partial {
				s.add("assistant: " + *s.text)
				s.text = nil
			}
			s.cutOff()
		})
		if err == nil {
			t.answer, t.pending = nil, ""
		}
		return err
	case k < 10:
		err := t.do(func() error { return s.AddUser(text) }, func(s *said) {
			s.cutOff()
			s.add("user: " + text)
		})
		if err == nil {
			t.answer, t.pending = s.BeginAnswer(), ""
		}
		return err
	case k == 10:
		if len(s.Conversation()) == 0 {
			return s.NewConversation() // which says nothing
		}
		err := t.do(s.NewConversation, func(s *said) {
			s.cutOff()
			s.conversations = append(s.conversations, nil)
		})
		if err == nil {
			t.answer, t.pending = nil, ""
		}
		return err
	default:
		name, value := fmt.Sprint("name", t.r.IntN(settings)), fmt.Sprint(t.r.IntN(3))
		if s.Setting(name) == value {
			return s.Set(name, value)
		}
		return t.do(func() error { return s.Set(name, value) }, func(s *said) { s.settings[name] = value })
	}
}

// check opens the journal on the drive as it is and compares.
func (t *talker) check() (*store.Store, store.Recovery, error) {
	s, rec, err := store.Open(t.d, eager())
	if err != nil {
		return nil, rec, err
	}
	got := read(s)
	text := got.String()
	for i, want := range append([]said{t.said}, t.perhaps...) {
		if want.String() != text {
			continue
		}
		t.said = want
		t.said.cutOff()
		t.answer, t.pending = nil, ""
		// What was cut off may still come to light, until something is saved.
		if i > 0 {
			t.perhaps = nil
		}
		for k := range t.perhaps {
			t.perhaps[k].cutOff()
		}
		return s, rec, nil
	}
	if t.anyOrder {
		lines := func(s string) []string { return slices.Sorted(strings.SplitSeq(s, "\n")) }
		for _, want := range append([]said{t.said}, t.perhaps...) {
			if slices.Equal(lines(want.String()), lines(text)) {
				t.said, t.perhaps, t.answer, t.pending = got, nil, nil, ""
				t.moved++
				return s, rec, nil
			}
		}
	}
	return nil, rec, fmt.Errorf("after %d restarts: want\n%s", t.restarts, difference(t.said.String(), text))
}

// difference tells where two texts begin to differ.
func difference(want, got string) string {
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("…%.200s\ngot\n…%.200s", want[from:], got[from:])
}

// fault is a way in which a drive fails.
type fault struct {
	name  string
	share int // how many cuts, in percent of those asked for; all together are more than 100
	// session prepares the drive for the next session, which is cut if that is
	// returned; the drive fails only until power comes back.
	session func(t *talker) (cut bool)
	begun   func(t *talker) // what happens when the damage of earlier sessions is repaired
	setup   func(d *fstest.Disk, r *rand.Rand)
	damage  bool // blocks may be told as damaged
	flaky   bool // the start sees the failing drive
	// anyOrder says that the words must be there but may have changed places.
	anyOrder bool
}

var faults = []fault{
	{name: "any order", share: 50},
	{name: "in order", share: 10, session: func(t *talker) bool { t.d.InOrder = true; return true }},
	{name: "passing errors", share: 12, damage: true, flaky: true, session: func(t *talker) bool {
		t.d.Fail = fstest.Flaky(t.r, 0.02, 0.02, 0.02, 1)
		return true
	}},
	{name: "bursts of errors", share: 12, damage: true, flaky: true, session: func(t *talker) bool {
		t.d.Fail = fstest.Flaky(t.r, 0.01, 0.01, 0.01, 12)
		return true
	}},
	// What a cut has torn in one copy and no start has repaired yet must not be
	// hit in the other: no cut comes before the bits stick.
	{name: "stuck bits", share: 8, damage: true, session: func(t *talker) bool { return t.restarts > 0 }, setup: func(d *fstest.Disk, r *rand.Rand) {
		half := d.Size() / 2
		in := half * r.Int64N(2)
		for range 1 + r.IntN(3) {
			d.StickBit(in+r.Int64N(half), uint(r.IntN(8)), r.IntN(2) == 0)
		}
	}},
	// Damage that is not noticed, and then a cut while the other copy is being
	// written, are two faults: these sessions end without one.
	{name: "stuck bits behind a cache", share: 4, damage: true,
		setup: func(d *fstest.Disk, r *rand.Rand) {
			d.CachedReads = true
			half := d.Size() / 2
			d.StickBit(half*r.Int64N(2)+r.Int64N(half), uint(r.IntN(8)), r.IntN(2) == 0)
		},
		session: func(*talker) bool { return false }},
	// A half of one copy can't be written for some time; every word is there
	// afterwards, but what was said meanwhile may stand before what that half hides.
	{name: "outages of a region", share: 6, damage: true, flaky: true, anyOrder: true, session: func(t *talker) bool {
		quarter := t.d.Size() / 4
		from := quarter * t.r.Int64N(4)
		t.d.Fail = fstest.Outage(from, from+quarter, t.r.IntN(60), 1+t.r.IntN(200))
		return true
	}},
	// One copy, or all of the drive, can't be written in session after session.
	// While nothing was ever saved, junk that a cut leaves in the one copy is all
	// there is, and no journal.
	{name: "long outages", share: 6, damage: true, flaky: true, session: func(t *talker) bool {
		if t.said.String() == "" {
			return true
		}
		half := t.d.Size() / 2
		from := half * t.r.Int64N(2)
		switch t.r.IntN(4) {
		case 0, 1:
			t.d.Fail = fstest.Outage(from, from+half, 0, 1<<30)
		case 2:
			t.d.Fail = fstest.Outage(0, 2*half, 0, 1<<30)
		}
		return true
	}},
	{name: "wrong place", share: 4, damage: true, session: func(t *talker) bool {
		return t.restarts%2 == 0
	}, begun: func(t *talker) {
		if t.restarts%2 == 1 {
			t.d.Misdirect(1+t.r.IntN(40), t.r.Int64N(t.d.Size()/4096)*4096)
		}
	}},
}

// live lives through the sessions of one drive.
func live(f fault, seed uint64) (cuts int, err error) {
	r := rand.New(rand.NewPCG(seed, 1))
	sector, shift := 512, 0
	if r.IntN(2) == 0 {
		sector, shift = 4096, r.IntN(8)*512
	}
	d := fstest.New(int64(128+r.IntN(3)*50)<<10, sector, shift, r)
	t := &talker{d: d, r: r, anyOrder: f.anyOrder, said: said{settings: map[string]string{}}}
	for t.restarts = range 12 {
		_, rec, err := t.check()
		if err != nil {
			return t.cuts, err
		}
		if len(rec.Holes) > 0 || !f.damage && shift == 0 && (rec.Repaired > 0 || rec.Mixed > 0) {
			return t.cuts, fmt.Errorf("after %d restarts damage is told that is none: %+v", t.restarts, rec)
		}
		if !rec.New && f.setup != nil { // in what is new all bits are zero
			f.setup(d, r)
			f.setup = nil
		}
		cut := f.session == nil || f.session(t)
		if shift > 0 {
			// Blocks can't be written alone over a part of a large sector that
			// can't be read, so each of these would stay damaged for good.
			d.Tear = fstest.Tears[r.IntN(len(fstest.Tears)-1)]
		}
		if cut {
			d.CutAfter(1 + r.IntN(150))
			t.cuts++
		}
		s, _, err := store.Open(d, eager())
		if err == nil && f.begun != nil {
			err = s.Begin()
			f.begun(t)
		}
		if err != nil && !f.flaky && !d.Off() && !errors.Is(err, store.ErrFull) {
			return t.cuts, err
		}
		for i := 0; err == nil && !d.Off() && (cut || i < 12) && i < 60; i++ {
			if i == 20 && !cut {
				break
			}
			if e := t.step(s); errors.Is(e, store.ErrFull) {
				break
			} else if e != nil && !d.Off() && !f.flaky {
				return t.cuts, e
			}
		}
		if err == nil && !d.Off() && r.IntN(2) == 0 {
			// What is written last voids what failed before.
			if s.End() == nil {
				t.perhaps = nil
			}
		}
		d.Fail = nil
		d.Misdirect(0, 0)
		d.PowerOn()
	}
	if _, _, err := t.check(); err != nil {
		return t.cuts, err
	}
	return t.cuts, nil
}

// On drives that fail, power goes again and again. No acknowledged word is ever
// lost, none is there that was not said, or that was told as not saved, and
// nothing is told as damaged that is not.
func TestCuts(t *testing.T) {
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			if *seedFlag != 0 {
				if _, err := live(f, *seedFlag); err != nil {
					t.Fatal(err)
				}
				return
			}
			first := uint64(1) << 20 // the same drives each time, but for soaks
			if *soak > 5000 {
				first = rand.Uint64() >> 20 << 10
			}
			cuts, drives := 0, uint64(0)
			for ; cuts < *soak*f.share/100 || drives < 3; drives++ {
				s := first + drives + 1
				n, err := live(f, s)
				if err != nil {
					t.Fatalf("after %d cuts (again: go test ./store -run '^TestCuts/%s$' -seed %d): %v",
						cuts, strings.ReplaceAll(f.name, " ", "-"), s, err)
				}
				cuts += n
				if cuts == 0 && drives*12 >= uint64(*soak*f.share/100) {
					break
				}
			}
			t.Logf("%d drives, %d restarts, %d cuts", drives, drives*12, cuts)
		})
	}
}

// eager advances by three seconds each time it is read.
func eager() func() time.Time {
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { t = t.Add(3 * time.Second); return t }
}
