package store_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
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
	blind    bool // the session does not see all that was said
	moved    int  // how often words were all there, in another order

	slot      int64           // bytes of a segment
	segments  int             // that there are; 0: the journal does not grow
	most      int             // that there may be
	texts     int             // that were said so far, each of which has its number
	dead      map[string]bool // the numbers of those that are deleted
	wild      bool            // the drive has written somewhere else
	compacted int

	aside   *rand.Rand // for what must not change what seeds of before do
	backup  []byte     // that was made at an earlier start
	backups int        // that were made
}

// Segments and Add make segments of one drive. That one is there is written last, in the sector behind them all.
func (t *talker) Segments() (list []store.Medium, err error) {
	for i := range t.segments {
		list = append(list, slot{io.NewSectionReader(t.d, int64(i)*t.slot, t.slot), t.d, int64(i) * t.slot})
	}
	return list, nil
}

func (t *talker) Add(int64) (store.Medium, error) {
	if t.segments == t.most {
		return nil, errors.New("no room")
	}
	at := int64(t.segments) * t.slot
	junk := make([]byte, t.slot)
	for i := range junk {
		junk[i] = byte(t.r.Uint32())
	}
	copy(t.d.Bytes()[at:], junk)                        // what another file has left there
	for off := int64(0); off < t.slot; off += 8 << 10 { // a write in the wrong place hits one copy
		if _, err := t.d.WriteAt(make([]byte, 8<<10), at+off); err != nil {
			return nil, err
		}
	}
	if err := t.d.Sync(); err != nil {
		return nil, err
	}
	if !slices.Equal(t.d.Bytes()[at:at+t.slot], make([]byte, t.slot)) {
		return nil, errors.New("not as it was written")
	}
	_, err := t.d.WriteAt(make([]byte, 512), int64(t.most)*t.slot)
	if err == nil {
		err = t.d.Sync()
	}
	if err != nil {
		t.segments += t.r.IntN(2)
		return nil, err
	}
	t.segments++
	list, err := t.Segments()
	return list[t.segments-1], err
}

// slot is a segment on a drive.
type slot struct {
	*io.SectionReader
	d  *fstest.Disk
	at int64
}

func (s slot) Sync() error { return s.d.Sync() }

func (s slot) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > s.Size() {
		return 0, io.ErrShortWrite
	}
	return s.d.WriteAt(p, s.at+off)
}

func (t *talker) open() (*store.Store, store.Recovery, error) {
	if t.segments > 0 {
		return store.OpenFolder(t, eager())
	}
	return store.Open(t.d, eager())
}

// copyAt is where a copy is, of any segment.
func (t *talker) copyAt(which int64) int64 {
	return t.r.Int64N(t.d.Size()/t.slot)*t.slot + which*t.slot/2
}

// number is how a text begins. With one byte less, the random bytes of a generation or a checksum look like one at times.
var number = regexp.MustCompile(`#\d+ [x.]`)

// died notes that what is in one and not in the other is deleted.
func (t *talker) died(before, after string) {
	for _, n := range number.FindAllString(before, -1) {
		if !strings.Contains(after, n) {
			t.dead[n] = true
		}
	}
}

// compact takes what is deleted off the drive.
func (t *talker) compact(s *store.Store) error {
	due := s.Deleted()
	if t.aside.IntN(4) == 0 { // a person begins to type after a segment or two
		if err := s.Compact(&soon{context.Background(), t.aside.IntN(3)}); err != nil {
			return err
		}
	}
	if err := s.Compact(context.Background()); err != nil {
		return err
	}
	if due {
		t.compacted++
	}
	for _, n := range number.FindAll(t.d.Bytes()[:max(1, int64(t.segments))*t.slot], -1) {
		if t.dead[string(n)] && !t.wild {
			i := strings.Index(string(t.d.Bytes()), string(n))
			return fmt.Errorf("%w: %s is still there at %d of slot %d; %d segments, degraded %v, due %v", errTest, n, int64(i)%t.slot, int64(i)/t.slot, t.segments, s.Degraded(), due)
		}
	}
	if got, want := read(s).String(), t.said.String(); got != want && !t.blind && t.d.Fail == nil && !t.d.Off() { // all was done before it was cut off
		return fmt.Errorf("%w: compacted, want\n%s", errTest, difference(want, got))
	}
	return nil
}

var (
	errTest  = errors.New("a broken promise")
	errAlike = errors.New("could not be told from something else")
)

// said is what a journal says.
type said struct {
	conversations []chat
	current       int // in conversations
	ids           int // that were given
	settings      map[string]string
	text          *string // the answer that is still growing, or nil
}

// chat is a conversation.
type chat struct {
	id       int // 0: nothing was said in it yet
	title    string
	messages []string
	replaced []replaced
}

// replaced is a message that others have replaced.
type replaced struct {
	after int // how many messages come before it
	text  string
}

func (s said) clone() said {
	c := s
	c.settings = maps.Clone(s.settings)
	c.conversations = slices.Clone(s.conversations)
	for i := range c.conversations {
		t := &c.conversations[i]
		t.messages, t.replaced = slices.Clone(t.messages), slices.Clone(t.replaced)
	}
	if s.text != nil {
		text := *s.text
		c.text = &text
	}
	return c
}

func (s *said) add(message string) {
	if len(s.conversations) == 0 {
		s.conversations = []chat{{}}
	}
	c := &s.conversations[s.current]
	if c.id == 0 {
		s.ids++
		c.id = s.ids
	}
	c.messages = append(c.messages, message)
}

// begin begins a new conversation.
func (s *said) begin() {
	s.conversations = append(s.conversations, chat{})
	s.current = len(s.conversations) - 1
}

// find returns where the conversation with this ID is.
func (s *said) find(id int) int {
	return slices.IndexFunc(s.conversations, func(c chat) bool { return c.id == id })
}

// replace takes the messages from keep on out of the current conversation.
func (s *said) replace(keep int) {
	if len(s.conversations) == 0 {
		return
	}
	c := &s.conversations[s.current]
	if keep >= len(c.messages) {
		return
	}
	for i := range c.replaced {
		c.replaced[i].after = min(c.replaced[i].after, keep)
	}
	for _, m := range c.messages[keep:] {
		c.replaced = append(c.replaced, replaced{keep, m})
	}
	c.messages = c.messages[:keep]
}

// forget deletes them, and what they have replaced.
func (s *said) forget(keep int) {
	c := &s.conversations[s.current]
	c.messages = c.messages[:keep]
	c.replaced = slices.DeleteFunc(c.replaced, func(r replaced) bool { return r.after >= keep })
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
		if len(c.messages) == 0 {
			continue
		}
		b.WriteString(c.title + strings.Join(c.messages, "\n") + "\n")
		slices.SortFunc(c.replaced, func(x, y replaced) int { return strings.Compare(x.text, y.text) })
		for i, r := range c.replaced {
			if i == 0 || r.text != c.replaced[i-1].text {
				b.WriteString("replaced: " + r.text + "\n")
			}
		}
		b.WriteString("\n")
	}
	if len(s.conversations) == 0 || len(s.conversations[s.current].messages) == 0 {
		b.WriteString("in a new conversation\n")
	} else {
		fmt.Fprintf(&b, "in conversation %d\n", s.conversations[s.current].id)
	}
	for _, k := range slices.Sorted(maps.Keys(s.settings)) {
		fmt.Fprintf(&b, "%s=%s\n", k, s.settings[k])
	}
	return b.String()
}

// looksLike tells whether two that are different look the same at a start.
func (s said) looksLike(o said) bool {
	if s.String() != o.String() {
		return false
	}
	s, o = s.clone(), o.clone()
	s.cutOff()
	o.cutOff()
	return !reflect.DeepEqual(s, o)
}

// given begins all titles that are given; no message begins so.
const given = "title: "

// soon is a context that ends after so many looks at it.
type soon struct {
	context.Context
	looks int
}

func (s *soon) Err() error {
	if s.looks--; s.looks < 0 {
		return context.Canceled
	}
	return nil
}

// backUp makes a backup now and then: what it says is what the journal says. Of an earlier one all goes that was deleted since, and nothing
// else.
func (t *talker) backUp(s *store.Store) error {
	wait := func() error { return nil }
	if t.backup != nil {
		var b bytes.Buffer
		if err := s.Purge(&b, bytes.NewReader(t.backup), wait); err != nil {
			return fmt.Errorf("%w: purging a backup: %w", errTest, err)
		}
		gone := map[string]bool{}
		for _, n := range number.FindAllString(b.String(), -1) {
			if gone[n] = true; t.dead[n] && !t.wild {
				return fmt.Errorf("%w: %s is still in a backup", errTest, n)
			}
		}
		for _, n := range number.FindAllString(string(t.backup), -1) {
			if !gone[n] && !t.dead[n] && strings.Contains(t.said.String(), n) {
				return fmt.Errorf("%w: %s is not in the backup any more", errTest, n)
			}
		}
		t.backup = b.Bytes()
	}
	if t.aside.IntN(4) > 0 || len(s.Conversations()) == 0 { // before anything is said it may be begun anew
		return nil
	}
	var b bytes.Buffer
	if err := s.Backup(&b, wait); errors.Is(err, store.ErrUnread) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%w: a backup: %w", errTest, err)
	}
	t.backup = b.Bytes()
	t.backups++
	f := &shelf{media: []store.Medium{newMem(64 << 10)}}
	if err := store.Restore(f, &b, eager()); err != nil {
		return fmt.Errorf("%w: restoring a backup: %w", errTest, err)
	}
	restored, rec, err := store.OpenFolder(f, eager())
	if err != nil || len(rec.Holes) > 0 || rec.Repaired+rec.Mixed > 0 {
		return fmt.Errorf("%w: a restored backup: %v, %+v", errTest, err, rec)
	}
	if got, want := read(restored).String(), read(s).String(); got != want {
		return fmt.Errorf("%w: a restored backup, want\n%s", errTest, difference(want, got))
	}
	return nil
}

// read is what a store says.
func read(s *store.Store) said {
	got := said{settings: map[string]string{}}
	line := func(m store.Message) string {
		kind := m.Role
		if m.Partial {
			kind += ", partial"
		}
		return kind + ": " + m.Text
	}
	current := s.Current().ID
	for _, c := range s.Conversations() {
		t := chat{id: c.ID}
		if strings.HasPrefix(c.Title, given) {
			t.title = c.Title + "\n"
		}
		for _, m := range s.Messages(c.ID) {
			t.messages = append(t.messages, line(m))
		}
		for _, b := range s.Branches(c.ID) {
			for _, m := range b.Messages {
				t.replaced = append(t.replaced, replaced{b.After, line(m)})
			}
		}
		if got.ids = max(got.ids, c.ID); c.ID == current {
			got.current = len(got.conversations)
		}
		got.conversations = append(got.conversations, t)
	}
	if current == 0 {
		got.begin()
	}
	for i := range settings {
		if v := s.Setting(fmt.Sprint("name", i)); v != "" {
			got.settings[fmt.Sprint("name", i)] = v
		}
	}
	return got
}

const settings = 3

// do does one thing; effect is what it says. It does not, if what is there then would look like what something else has
// made that may be there as well, and would go on in another way: no start could tell which of them it is. So does a
// conversation that is deleted, and one of which all messages are, which keeps its title and its number.
func (t *talker) do(what func() error, effect func(*said)) error {
	after := t.said.clone()
	effect(&after)
	for _, p := range t.perhaps {
		if p.looksLike(after) {
			return errAlike
		}
	}
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
	t.texts++
	text := fmt.Sprintf("#%d %s.", t.texts, strings.Repeat("x", n))
	kinds := 18
	if t.segments > 0 {
		kinds = 19
	}
	if t.anyOrder || t.blind { // the order tells what belongs where, and places are counted
		kinds = 12
	}
	current := s.Current()
	keep := max(0, current.Messages-t.r.IntN(4))
	switch k := t.r.IntN(kinds); {
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
		err := t.turns(func() error { return s.AddUser(text) }, func(s *said) { s.add("user: " + text) })
		if err == nil {
			t.answer = s.BeginAnswer()
		}
		return err
	case k == 10:
		if len(s.Conversation()) == 0 {
			return s.NewConversation() // which says nothing
		}
		return t.turns(s.NewConversation, func(s *said) { s.begin() })
	case k == 11 || len(s.Conversations()) == 0:
		name, value := fmt.Sprint("name", t.r.IntN(settings)), fmt.Sprint(t.r.IntN(3))
		if s.Setting(name) == value {
			return s.Set(name, value)
		}
		return t.do(func() error { return s.Set(name, value) }, func(s *said) { s.settings[name] = value })
	case k == 12:
		title := fmt.Sprint(given, t.r.IntN(3))
		list := s.Conversations()
		c := list[t.r.IntN(len(list))]
		if c.Title == title {
			return s.Rename(c.ID, title)
		}
		return t.do(func() error { return s.Rename(c.ID, title) }, func(s *said) { s.conversations[s.find(c.ID)].title = title + "\n" })
	case k == 13:
		list := s.Conversations()
		id := list[t.r.IntN(len(list))].ID
		if id == current.ID {
			return s.GoOn(id)
		}
		return t.turns(func() error { return s.GoOn(id) }, func(s *said) { s.current = s.find(id) })
	case k == 14:
		if t.r.IntN(2) == 0 {
			return nil // else there would never be many
		}
		list := s.Conversations()
		id := list[t.r.IntN(len(list))].ID
		before := t.said.String()
		err := t.turns(func() error { return s.Delete(id) }, func(s *said) {
			i := s.find(id)
			s.conversations[i] = chat{id: id}
			if i == s.current {
				s.begin()
			}
		})
		if err == nil {
			t.died(before, t.said.String())
		}
		return err
	case k == 15:
		err := t.turns(func() error { return s.Replace(keep, text) }, func(s *said) {
			s.replace(keep)
			s.add("user: " + text)
		})
		if err == nil {
			t.answer = s.BeginAnswer()
		}
		return err
	case k == 16:
		// Nothing is replaced before the first piece is saved: with a piece that is too large to
		// wait, it is at once.
		if current.Messages == 0 {
			return nil
		}
		a := s.ReplaceAnswer(keep)
		err := t.turns(func() error { return a.Write(text) }, func(s *said) {
			s.replace(keep)
			s.grow(text)
		})
		if err == nil {
			t.answer = a
		}
		return err
	case k == 17:
		if keep == current.Messages {
			return s.Forget(keep) // which says nothing
		}
		before := t.said.String()
		err := t.turns(func() error { return s.Forget(keep) }, func(s *said) { s.forget(keep) })
		if err == nil {
			t.died(before, t.said.String())
		}
		return err
	default:
		return t.compact(s)
	}
}

// turns is do for what ends the answer that is still growing.
func (t *talker) turns(what func() error, effect func(*said)) error {
	err := t.do(what, func(s *said) {
		s.cutOff()
		effect(s)
	})
	if err == nil {
		t.answer, t.pending = nil, ""
	}
	return err
}

// check opens the journal on the drive as it is and compares.
func (t *talker) check() (*store.Store, store.Recovery, error) {
	s, rec, err := t.open()
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
	once  []uint64 // seeds that failed once
	share int      // how many cuts, in percent of those asked for; all together are more than 100
	// session prepares the drive for the next session, which is cut if that is
	// returned; the drive fails only until power comes back.
	session func(t *talker) (cut bool)
	begun   func(t *talker, s *store.Store) // what happens when the damage of earlier sessions is repaired
	setup   func(t *talker)
	damage  bool // blocks may be told as damaged
	flaky   bool // the start sees the failing drive
	// anyOrder says that the words must be there but may have changed places.
	anyOrder bool
}

var faults = []fault{
	{name: "any order", share: 50, once: []uint64{
		14976714007585017, // no room was left to bring together what a cut had torn, and then that was told as damage
	}},
	{name: "in order", share: 10, once: []uint64{
		8702513903603381, // what was said while one copy could not be written was told as damage of that
	}, session: func(t *talker) bool { t.d.InOrder = true; return true }},
	{name: "passing errors", share: 12, damage: true, flaky: true, session: func(t *talker) bool {
		t.d.Fail = fstest.Flaky(t.r, 0.02, 0.02, 0.02, 1)
		return true
	}},
	{name: "bursts of errors", share: 12, once: []uint64{
		5677904342213033,  // numbers were given twice, after a segment had no room for its seal and the next one could not be read
		10235573376642838, // what followed a block that could not be read was written over, and was the rest of a record that begins in it
		649012304322199,   // a cut while a block was made the same hit the one before, in which this copy alone had a record
	}, damage: true, flaky: true, session: func(t *talker) bool {
		t.d.Fail = fstest.Flaky(t.r, 0.01, 0.01, 0.01, 12)
		return true
	}},
	// What a cut has torn in one copy and no start has repaired yet must not be
	// hit in the other: no cut comes before the bits stick.
	{name: "stuck bits", share: 8, damage: true, session: func(t *talker) bool { return t.restarts > 0 }, setup: func(t *talker) {
		which := t.r.Int64N(2)
		for range 1 + t.r.IntN(3) {
			t.d.StickBit(t.copyAt(which)+t.r.Int64N(t.slot/2), uint(t.r.IntN(8)), t.r.IntN(2) == 0)
		}
	}},
	// Damage that is not noticed, and then a cut while the other copy is being
	// written, are two faults: these sessions end without one.
	{name: "stuck bits behind a cache", share: 4, damage: true,
		setup: func(t *talker) {
			t.d.CachedReads = true
			t.d.StickBit(t.copyAt(t.r.Int64N(2))+t.r.Int64N(t.slot/2), uint(t.r.IntN(8)), t.r.IntN(2) == 0)
		},
		session: func(*talker) bool { return false }},
	// A half of one copy can't be written for some time; every word is there
	// afterwards, but what was said meanwhile may stand before what that half hides.
	{name: "outages of a region", share: 6, damage: true, flaky: true, anyOrder: true, session: func(t *talker) bool {
		quarter := t.slot / 4
		from := quarter * t.r.Int64N(4*t.d.Size()/t.slot)
		t.d.Fail = fstest.Outage(from, from+quarter, t.r.IntN(60), 1+t.r.IntN(200))
		return true
	}},
	// One copy, or all of the drive, can't be written in session after session.
	// While nothing was ever saved, junk that a cut leaves in the one copy is all
	// there is, and no journal.
	{name: "long outages", share: 6, damage: true, flaky: true, session: func(t *talker) bool {
		if len(t.said.conversations) == 0 && len(t.said.settings) == 0 {
			return true
		}
		from := t.copyAt(t.r.Int64N(2))
		switch t.r.IntN(4) {
		case 0, 1:
			t.d.Fail = fstest.Outage(from, from+t.slot/2, 0, 1<<30)
		case 2:
			t.d.Fail = fstest.Outage(0, t.d.Size(), 0, 1<<30)
		}
		return true
	}},
	{name: "wrong place", share: 4, once: []uint64{
		17289158122166593, // after a segment that was half made another one was added, and then that was gone on in, out of order
		13441016599149839, // what a start had brought to a copy was not looked for there when the other one was hit
	}, damage: true, session: func(t *talker) bool {
		return t.restarts%2 == 0
	}, begun: func(t *talker, s *store.Store) {
		if t.restarts%2 == 1 && !s.Degraded() { // what had no room to be repaired is in one copy, and that must not be hit
			t.wild = true
			t.d.Misdirect(1+t.r.IntN(40), t.r.Int64N(t.d.Size()/4096)*4096)
		}
	}},
}

// live lives through the sessions of one drive.
func live(f fault, seed uint64, grows bool) (t *talker, err error) {
	r := rand.New(rand.NewPCG(seed, 1))
	store.Generations(rand.New(rand.NewPCG(seed, 2)).Uint64)
	sector, shift := 512, 0
	if r.IntN(2) == 0 {
		sector, shift = 4096, r.IntN(8)*512
	}
	t = &talker{r: r, aside: rand.New(rand.NewPCG(seed, 3)), anyOrder: f.anyOrder, said: said{settings: map[string]string{}}, dead: map[string]bool{}}
	t.slot = int64(128+r.IntN(3)*50) << 10
	size := t.slot
	if grows {
		t.slot, t.segments, t.most = 64<<10, 1, 6
		size = t.slot*int64(t.most) + 512
	}
	d := fstest.New(size, sector, shift, r)
	t.d = d
	for t.restarts = range 12 {
		now, rec, err := t.check()
		if err == nil {
			err = t.backUp(now)
		}
		if err != nil {
			return t, err
		}
		if len(rec.Holes) > 0 || !f.damage && shift == 0 && (rec.Repaired > 0 || rec.Mixed > 0) {
			return t, fmt.Errorf("after %d restarts damage is told that is none: %+v", t.restarts, rec)
		}
		if !rec.New && f.setup != nil { // in what is new all bits are zero
			f.setup(t)
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
		s, _, err := t.open()
		if err == nil && f.begun != nil {
			err = s.Begin()
			f.begun(t, s)
		}
		if err != nil && !f.flaky && !d.Off() && !errors.Is(err, store.ErrFull) {
			return t, err
		}
		t.blind = err == nil && read(s).String() != t.said.String()
		for i := 0; err == nil && !d.Off() && (cut || i < 12) && i < 60; i++ {
			if i == 20 && !cut {
				break
			}
			e := t.step(s)
			if errors.Is(e, errTest) {
				return t, e
			}
			if errors.Is(e, store.ErrNotCompacted) && !d.Off() {
				continue // something can't be read
			}
			if errors.Is(e, errAlike) {
				continue
			}
			// Where there is no room to move away from what can't be written, it is full as well.
			used, total := s.Usage()
			if errors.Is(e, store.ErrFull) || e != nil && total-used < 16<<10 {
				break
			} else if e != nil && !d.Off() && !f.flaky {
				return t, e
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
		return t, err
	}
	return t, nil
}

// On drives that fail, power goes again and again. No acknowledged word is ever
// lost, none is there that was not said, or that was told as not saved, and
// nothing is told as damaged that is not.
func TestCuts(t *testing.T) {
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			if *seedFlag != 0 {
				if _, err := live(f, *seedFlag, *seedFlag%2 == 1); err != nil {
					t.Fatal(err)
				}
				return
			}
			first := uint64(1) << 20 // the same drives each time, but for soaks
			if *soak > 5000 {
				first = rand.Uint64() >> 20 << 10
			}
			cuts, drives, segments, compacted, backups := 0, uint64(0), 0, 0, 0
			for _, s := range f.once {
				if _, err := live(f, s, s%2 == 1); err != nil {
					t.Fatalf("with seed %d: %v", s, err)
				}
			}
			for ; cuts < *soak*f.share/100 || drives < 3; drives++ {
				s := first + drives + 1
				l, err := live(f, s, s%2 == 1) // of each two one grows
				if err != nil {
					t.Fatalf("after %d cuts (again: go test ./store -run '^TestCuts/%s$' -seed %d): %v",
						cuts, strings.ReplaceAll(f.name, " ", "-"), s, err)
				}
				cuts += l.cuts
				segments += max(0, l.segments-1)
				compacted += l.compacted
				backups += l.backups
				if cuts == 0 && drives*12 >= uint64(*soak*f.share/100) {
					break
				}
			}
			if drives > 8 && !f.anyOrder && (segments == 0 || compacted == 0 || backups == 0) {
				t.Errorf("%d segments were added, %d times was compacted, %d backups were made", segments, compacted, backups)
			}
			t.Logf("%d drives, %d restarts, %d cuts, %d segments added, compacted %d times, %d backups", drives, drives*12, cuts, segments, compacted, backups)
		})
	}
}

// eager advances by three seconds each time it is read.
func eager() func() time.Time {
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { t = t.Add(3 * time.Second); return t }
}
