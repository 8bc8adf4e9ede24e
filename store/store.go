package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// kind says what a record means. Unknown kinds, written by a later version,
// are kept and passed over.
type kind uint8

const (
	kindSession      kind = 1 // payload: pairs (version)
	kindConversation kind = 2 // a new conversation begins; no payload
	kindUser         kind = 3 // payload: the person's message, UTF-8
	kindChunk        kind = 4 // payload: the next piece of the answer, UTF-8
	kindAnswerEnd    kind = 5 // payload: pairs (see Stats, partial)
	kindSetting      kind = 6 // payload: pairs (name, value); an empty value unsets
	kindSessionEnd   kind = 7 // the clean flag; no payload
	kindHoles        kind = 8 // payload: pairs (before): holes before the records of these numbers were reported
	kindCommit       kind = 9 // payload: records that were saved together

	// The kinds of conversations.go. Payload: pairs, of which version is always the
	// first; one of a later version than arrangedVersion is passed over like an unknown kind.
	kindGoOn   kind = 10 // conversation: what follows belongs to that one
	kindTitle  kind = 11 // conversation, title; an empty title takes it away
	kindDelete kind = 12 // conversation (or none), records: that one, and what these records said, is deleted
	kindBranch kind = 13 // conversation, from: its messages from that record on were replaced by what follows

	kindSeal kind = 14 // the last record of a segment, the log goes on in the next; no payload (see segments.go)
	kindGone kind = 15 // payload: pairs (first): messages were here, from the record of this number on, and were taken out (see compact.go)
	kindFact kind = 16 // what is to be remembered, in a form like those of conversations.go: text (see facts.go)
)

// Roles of a Message.
const (
	User      = "user"
	Assistant = "assistant"
	System    = "system"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // User, Assistant or System
	Text    string
	Time    time.Time // of the message, for an answer of its last saved piece
	Partial bool      // the answer was stopped or cut off
	Stats   Stats     // of a finished answer
	Unread  bool      // the drive fails to read it now; what there is of the text may not be all
}

// message is what is kept in memory of a Message. Its text stays in the journal.
type message struct {
	seq      uint64 // number of the record with which it begins
	ms       int64  // Message.Time, milliseconds since 1970 UTC
	from, to uint32 // in Store.pieces: the records of which it consists
	answer   bool
	partial  bool
}

// piece is a record, or part of one, of which a message consists.
type piece struct {
	seq     uint64
	block   uint32 // where in the segment it begins, in units of recordPad
	segment uint16
	part    uint8
	in      uint8
}

// Stats describes how an answer was made.
type Stats struct {
	Model   string
	Tokens  int           // generated
	Elapsed time.Duration // generating them
	Context int           // tokens in the model's context afterwards
	Sources string        // what the answer comes from, as whoever saved it wrote that
}

// Conversation is an entry of the list of conversations.
type Conversation struct {
	ID       int // from 1, in order of beginning; it stays the same when others are deleted
	Started  time.Time
	Updated  time.Time
	Title    string // that the person gave it, or the beginning of the first message
	Messages int
}

type conversation struct {
	seq      uint64 // number of the record that began it: its name in other records
	id       int    // Conversation.ID; 0: nothing was ever said in it
	started  time.Time
	title    string // "": none was given
	words    string // the beginning of the first message
	worded   uint64 // the number of that message's record
	messages []message
	branches []branch
	spans    []numbers // of the records that its messages and branches consist of
	titled   []numbers // of those that gave it a title
}

// branch is what is kept in memory of a Branch.
type branch struct {
	after    int
	messages []message
}

// numbers are those of a row of records.
type numbers struct{ first, last uint64 }

// Recovery is what Open found.
type Recovery struct {
	New      bool      // the journal is empty
	Unclean  bool      // the last session has no end mark
	UpTo     time.Time // the newest message, or piece of an answer, that is saved
	Sessions int       // sessions begun so far
	Torn     int64     // bytes of a write that was cut off and never acknowledged
	Unread   int64     // bytes at the end that the drive failed to read: what they hold is left alone
	Holes    []Hole    // damage that was not reported before: what lies there is lost
	Repaired int       // blocks that were damaged in one of the two copies
	Mixed    int       // blocks damaged in both copies but readable together
}

// Lost is the number of records that can't be read any more.
func (r Recovery) Lost() (n uint64) {
	for _, h := range r.Holes {
		n += h.Records
	}
	return n
}

// Store is an open journal and what it says. Its methods may be used from
// several goroutines.
type Store struct {
	mu            sync.Mutex
	folder        Folder
	segments      []*journal
	j             *journal // the segment that is written, one of these
	broken        error    // of the last try to add a segment
	now           func() time.Time
	begun         bool
	ended         bool
	holes         []string // numbers of the records behind holes that were not yet reported
	lost          uint64   // records that could not be read at the start
	conversations []conversation
	pieces        []piece
	deletions     []deletion
	current       int // in conversations: that to which is added what is said
	talking       int // in conversations: that to which the last record of a message belongs; -1: none since a start or a hole
	ids           int // the last Conversation.ID that was given
	settings      map[string]string
	facts         []Fact
	open          bool // the last message is an answer still growing
	gap           bool // records of it are lost
	window        window
}

// Open reads the journal in m: a preallocated file, all zeros when new. It
// writes nothing. The error is one sentence that says what is wrong and what
// to do; damage that leaves something to read is no error but told by Recovery.
func Open(m Medium, now func() time.Time) (*Store, Recovery, error) {
	return OpenFolder(fixed{m}, now)
}

// OpenFolder is Open for a journal that grows.
func OpenFolder(f Folder, now func() time.Time) (*Store, Recovery, error) {
	if now == nil {
		now = time.Now
	}
	media, err := f.Segments()
	if err != nil {
		return nil, Recovery{}, err
	}
	s := &Store{folder: f, now: now, talking: -1, settings: map[string]string{}}
	rec := Recovery{New: true}
	told, reach := map[string]bool{}, int64(-1)
	var holes []Hole
	var last int64
	sc := &scan{first: 1, memory: &memory{}}
	for i, m := range media {
		before := *sc
		sc = &scan{first: max(1, before.next), after: before.after, memory: before.memory}
		if i == 0 {
			sc.first = 1
		}
		j, err := openSegment(m, now(), sc)
		if err == nil && i > 0 && j.headless && foreign(media, i, j.gen) {
			err = errNoJournal
		}
		if i > 0 && errors.Is(err, errNoJournal) {
			// Nothing in it can be read. It is left alone, and what it may have held is missed as lost.
			sc = &before
			s.segments = append(s.segments, nil)
			continue
		}
		if err != nil {
			return nil, Recovery{}, err
		}
		s.segments = append(s.segments, j)
		rec.New = rec.New && len(sc.records) == 0
		rec.Torn += sc.torn
		rec.Unread += sc.unread
		rec.Repaired += sc.repaired
		rec.Mixed += sc.mixed
		for k := range sc.records {
			r := &sc.records[k]
			last = r.ms
			switch r.kind {
			case kindSession:
				rec.Sessions++
				rec.Unclean = true
			case kindSessionEnd:
				rec.Unclean = false
			case kindUser, kindChunk, kindAnswerEnd, kindGone:
				rec.UpTo = r.time()
			case kindHoles:
				p := pairs(r.payload)
				for _, n := range strings.Split(p["before"], ",") {
					told[n] = true
				}
				// An older version told how far holes were reported.
				if n, err := strconv.ParseInt(p["offset"], 10, 64); err == nil && i == 0 {
					reach = max(reach, n)
				}
			}
			s.replay(r, i)
		}
		for _, h := range sc.holes {
			if s.lost += h.Records; i == 0 && h.Offset <= reach {
				continue
			}
			holes = append(holes, h)
		}
		sc.records = nil
	}
	if rec.UpTo.IsZero() && !rec.New {
		rec.UpTo = time.UnixMilli(last)
	}
	s.open = false
	s.choose()
	for _, h := range holes {
		n := strconv.FormatUint(h.before, 10)
		if told[n] || len(s.holes) == mostHoles {
			continue
		}
		rec.Holes = append(rec.Holes, h)
		s.holes = append(s.holes, n)
	}
	return s, rec, nil
}

// replay adds what a record of a segment says to the state in memory.
func (s *Store) replay(r *record, segment int) {
	switch r.kind {
	case kindSession, kindSessionEnd, kindConversation, kindUser, kindGoOn, kindBranch:
		s.open, s.gap = false, false // it was cut off
	case kindChunk, kindAnswerEnd:
		s.gap = s.gap || r.gap
	}
	if r.gap || r.kind == kindSession {
		s.talking = -1 // what is not known may lie before it
	}
	switch r.kind {
	case kindConversation:
		s.begins(r.seq, r.time())
	case kindUser:
		s.add(message{ms: r.ms, seq: r.seq}, r.time())
		s.grow(r, segment)
		if c := &s.conversations[s.current]; len(c.messages) == 1 {
			c.words, c.worded = title(string(clip(r.payload, 4*blockSize))), r.seq
		}
	case kindChunk:
		s.answers(r, segment)
	case kindGoOn, kindTitle, kindDelete, kindBranch:
		s.arrange(r)
	case kindAnswerEnd:
		s.answers(r, segment)
		m := s.last()
		m.partial = s.gap
		for name, value := range eachPair(r.payload) {
			if string(name) == "partial" {
				m.partial = m.partial || len(value) > 0
			}
		}
		s.open, s.gap = false, false
	case kindGone:
		if first, err := strconv.ParseUint(pairs(r.payload)["first"], 10, 64); err == nil {
			s.open, s.gap, s.talking = false, false, -1
			s.said(first, r.time())
		}
	case kindFact:
		s.fact(r)
	case kindSetting:
		for k, v := range pairs(r.payload) {
			if v == "" {
				delete(s.settings, k)
			} else {
				s.settings[k] = v
			}
		}
	}
}

// begins begins a conversation, which is the current one from here on.
func (s *Store) begins(seq uint64, at time.Time) {
	s.conversations = append(s.conversations, conversation{seq: seq, started: at})
	s.current = len(s.conversations) - 1
}

// said notes that something was said in the current conversation, which begins there if there is none.
func (s *Store) said(seq uint64, at time.Time) *conversation {
	if len(s.conversations) == 0 {
		s.begins(seq, at)
	}
	c := &s.conversations[s.current]
	if c.id == 0 {
		s.ids++
		c.id = s.ids
	}
	return c
}

func (s *Store) add(m message, at time.Time) {
	c := s.said(m.seq, at)
	if n := len(c.messages); n == cap(c.messages) {
		c.messages = slices.Grow(c.messages, max(4, n))
	}
	m.from = uint32(len(s.pieces))
	m.to = m.from
	c.messages = append(c.messages, m)
}

// last is the message that was said last.
func (s *Store) last() *message {
	c := &s.conversations[s.current]
	return &c.messages[len(c.messages)-1]
}

// grow makes the record a part of that.
func (s *Store) grow(r *record, segment int) {
	s.pieces = append(s.pieces, piece{seq: r.seq, block: uint32(r.pos / recordPad), segment: uint16(segment), part: r.part, in: r.in})
	m := s.last()
	m.to, m.ms = uint32(len(s.pieces)), r.ms
	c := &s.conversations[s.current]
	if n := len(c.spans); n > 0 && s.talking == s.current {
		c.spans[n-1].last = r.seq
	} else {
		c.spans = append(c.spans, numbers{r.seq, r.seq})
	}
	s.talking = s.current
}

// answers makes the record a part of the answer in progress, which is partial until its end.
func (s *Store) answers(r *record, segment int) {
	if !s.open {
		s.add(message{answer: true, partial: true, seq: r.seq}, r.time())
		s.open = true
	}
	s.grow(r, segment)
}

// encodePairs encodes names and values, each ended by a zero byte.
func encodePairs(kv ...string) []byte {
	var b []byte
	for _, s := range kv {
		b = append(append(b, strings.ReplaceAll(s, "\x00", "")...), 0)
	}
	return b
}

// eachPair returns the names and values in b.
func eachPair(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for {
			name, rest, ok := bytes.Cut(b, []byte{0})
			if !ok {
				return
			}
			var value []byte
			if value, b, _ = bytes.Cut(rest, []byte{0}); !yield(name, value) {
				return
			}
		}
	}
}

func pairs(b []byte) map[string]string {
	m := map[string]string{}
	for name, value := range eachPair(b) {
		m[string(name)] = string(value)
	}
	return m
}

const mostHoles = 500 // reported at one start; the others wait for the next

// Space kept free, so that what was begun can be finished: an answer after its
// question, the end of the answer and of the session after both.
func (s *Store) answerReserve() int64 { return min(64<<10, s.j.capacity/8) }
func (s *Store) closeReserve() int64  { return min(32<<10, s.j.capacity/8) }

// commit writes records, if reserve bytes stay free behind them, and replays
// them. The first commit of a session begins it.
func (s *Store) commit(reserve int64, recs ...record) error {
	if !s.begun {
		if err := s.begin(); err != nil {
			return err
		}
	}
	return s.write(reserve, recs...)
}

func (s *Store) write(reserve int64, recs ...record) error {
	now := s.now().UnixMilli()
	for i := range recs {
		if recs[i].ms == 0 {
			recs[i].ms = now
		}
	}
	if err := s.room(reserve, recordSize(len(commitOf(recs).payload))); err != nil {
		return err
	}
	s.window = window{}
	if err := s.j.append(recs...); err != nil {
		if errors.Is(err, ErrFull) {
			return s.full()
		}
		return err
	}
	for i := range recs {
		recs[i].seq, recs[i].place = s.j.seq, s.j.at
		recs[i].part = uint8(i)
		s.replay(&recs[i], s.active())
	}
	return nil
}

func (s *Store) full() error {
	if s.j.unread {
		return errUnread
	}
	used, _ := s.usage()
	if s.broken != nil {
		return fmt.Errorf("%w (%s used), and the drive has no room for more of it: take files away that you don't need to go on saving: %w", ErrFull, bytesText(used), s.broken)
	}
	return fmt.Errorf("%w (%s used): delete conversations, or make a drive with a larger one (alphaos drive create --journal), to go on saving", ErrFull, bytesText(used))
}

func bytesText(n int64) string {
	if n >= 10<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// Begin repairs what Open found damaged and marks the beginning of a session.
// Every other writing method does so by itself when needed; calling Begin
// first tells early whether anything can be saved.
func (s *Store) Begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return nil
	}
	return s.begin()
}

func (s *Store) begin() error {
	for _, j := range s.segments {
		if j != nil && j != s.j && !j.blank {
			j.mend()
		}
	}
	first := s.j.blank && s.j == s.segments[0]
	if err := s.j.prepare(s.now()); err != nil {
		return err
	}
	recs := []record{{kind: kindSession, payload: encodePairs("version", "1")}}
	if first { // so that a journal is known for the same when its headers are lost
		recs[0].ms = s.j.made.UnixMilli()
	}
	if len(s.holes) > 0 {
		recs = append(recs, record{kind: kindHoles, payload: encodePairs("before", strings.Join(s.holes, ","))})
	}
	if err := s.write(0, recs...); err != nil {
		return err
	}
	s.begun, s.ended, s.holes = true, false, nil
	for i, j := range s.segments {
		if j == nil || len(j.rescues)+len(j.heals) == 0 {
			continue
		}
		reserve := int64(0)
		if j == s.j {
			reserve = s.closeReserve()
		}
		j.rescue(reserve)
		s.locate(i)
	}
	return nil
}

// AddUser saves a person's message. Only when it returns nil may the message
// be answered. It refuses with ErrFull while there is still room to save an
// answer to the message before.
func (s *Store) AddUser(text string) error { return s.AddUserAt(text, time.Time{}) }

// AddUserAt is AddUser for a message of an earlier time, which waited to be saved. The zero time is now.
func (s *Store) AddUserAt(text string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(nil, text, at)
}

// addUser saves a person's message behind other records.
func (s *Store) addUser(before []record, text string, at time.Time) error {
	if len(text) > MaxMessage {
		return ErrTooLong
	}
	said := record{kind: kindUser, payload: []byte(text), ms: millis(at)}
	return s.commit(s.answerReserve()+s.closeReserve(), append(before, said)...)
}

// MaxMessage is how long a person's message may be, in bytes.
const MaxMessage = maxPayload

// ErrTooLong says that a message is too long to be saved, whatever the drive does.
var ErrTooLong = fmt.Errorf("the message is too long to be saved: more than %d bytes are not possible", MaxMessage)

// millis is the time of a record; 0, which is that of its writing, for the zero time.
func millis(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// Set saves a setting; an empty value unsets it.
func (s *Store) Set(name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings[name] == value {
		return nil
	}
	return s.commit(s.closeReserve(), record{kind: kindSetting, payload: encodePairs(name, value)})
}

// Setting returns a saved setting, "" when there is none.
func (s *Store) Setting(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings[name]
}

// Settings returns all settings.
func (s *Store) Settings() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.settings)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// End marks the session as cleanly ended: the last thing to be written. Whatever
// is saved after it begins another session.
func (s *Store) End() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	if err := s.commit(0, record{kind: kindSessionEnd}); err != nil {
		return err
	}
	s.ended, s.begun = true, false
	return nil
}

// Usage returns how many bytes of the journal are used, of how many.
func (s *Store) Usage() (used, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage()
}

func (s *Store) usage() (used, total int64) {
	for _, j := range s.segments {
		if j != nil {
			used += j.capacity - j.free()
			total += j.capacity
		}
	}
	return used, total
}

// Degraded tells that some records are in one of the two copies only, because
// the other could not be written: the drive is failing.
func (s *Store) Degraded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.segments, func(j *journal) bool { return j != nil && j.degraded })
}

// An Answer saves an answer while it grows. Its text is saved in pieces: when
// 512 bytes are waiting, or when text arrives half a second after the last
// piece was saved (two seconds on a drive so slow that saving would hold up the
// answer), or by Flush and End.
type Answer struct {
	s       *Store
	before  []record // to be saved together with the first piece
	pending []byte
	saved   time.Time     // when the last piece was (tried to be), or when the answer began
	cost    time.Duration // of saving the last piece
	failed  bool          // the last piece could not be saved
	ended   int64         // when End was called first, milliseconds since 1970 UTC; 0: not yet
	done    bool
}

const (
	pieceBytes   = 512
	pieceTime    = time.Second / 2
	maxPieceTime = 2 * time.Second
	costShare    = 25 // at most one part in this many of the time is spent saving
)

// BeginAnswer starts the answer to the last message. It writes nothing yet.
func (s *Store) BeginAnswer() *Answer {
	return &Answer{s: s, saved: s.now()}
}

// Write adds text to the answer. On an error the text waits to be saved with
// the next piece.
func (a *Answer) Write(text string) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.done {
		return errors.New("the answer has ended")
	}
	a.pending = append(a.pending, text...)
	wait := min(max(pieceTime, costShare*a.cost), maxPieceTime)
	if (len(a.pending) < pieceBytes || a.failed) && a.s.now().Sub(a.saved) < wait {
		return nil
	}
	return a.flush()
}

// Flush saves what waits.
func (a *Answer) Flush() error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.flush()
}

func (a *Answer) flush() error {
	start := a.s.now()
	a.saved, a.failed = start, true
	for len(a.pending) > 0 {
		n := min(len(a.pending), maxPayload)
		if err := a.s.commit(a.s.closeReserve(), append(a.before, record{kind: kindChunk, payload: a.pending[:n]})...); err != nil {
			return err
		}
		a.pending, a.before = a.pending[n:], nil
	}
	a.saved, a.failed = a.s.now(), false
	a.cost = a.saved.Sub(start)
	return nil
}

// End saves what waits and marks the end of the answer. partial says that it
// was stopped before its own end. It may be called again after an error; the time of the end is
// that of the first call.
func (a *Answer) End(st Stats, partial bool) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.done {
		return nil
	}
	if a.ended == 0 {
		a.ended = a.s.now().UnixMilli()
	}
	for len(a.pending) > maxPayload {
		if err := a.flush(); err != nil {
			return err
		}
	}
	recs := slices.Clone(a.before)
	if len(a.pending) > 0 {
		recs = append(recs, record{kind: kindChunk, payload: a.pending})
	}
	recs = append(recs, record{kind: kindAnswerEnd, payload: st.encode(partial)})
	for i := range recs { // they are saved as one, which has one time
		recs[i].ms = a.ended
	}
	// The text that waits is at most one piece unless writing failed before:
	// it may use half of what is kept for the end of the session.
	if err := a.s.commit(a.s.closeReserve()/2, recs...); err != nil {
		return err
	}
	a.pending, a.before, a.done = nil, nil, true
	return nil
}
