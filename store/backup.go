package store

// Backups: what the journal says as lines of JSON, which anybody can read, and a journal made of that.
//
// The first line says what this is; then each record is a line, by their numbers; the last line says how many there
// were, so that a backup that was cut short is known. Numbers stay, since records name others by them. What is
// deleted is not in it: a row of messages that are gone leaves a record that says so, as compacting does.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// BackupHead is the first line of a backup.
type BackupHead struct {
	Backup        string    `json:"backup"` // "AlphaOS"
	Version       int       `json:"version"`
	Journal       int64     `json:"journal"` // when the journal was made, milliseconds since 1970: which one it is
	Made          time.Time `json:"made"`
	Conversations int       `json:"conversations"`
	Messages      int       `json:"messages"`
	Last          uint64    `json:"last"`    // number of the newest record
	Deleted       uint64    `json:"deleted"` // number of the newest deletion, of which nothing is in the backup any more
}

const (
	backupName    = "AlphaOS"
	backupVersion = 1
	maxLine       = 8 * (maxPayload + maxExtra) // of a backup: JSON writes up to six bytes for one
	backupSlice   = 256 << 10                   // bytes between two moments at which a backup may wait
)

// backupLine is a record. Its payload is in one of the last four.
type backupLine struct {
	Number uint64       `json:"n,omitempty"`
	Time   int64        `json:"ms,omitempty"` // since 1970 UTC
	Skip   uint16       `json:"skip,omitempty"`
	Leap   uint32       `json:"leap,omitempty"`
	Kind   kind         `json:"kind"`
	Name   string       `json:"name,omitempty"` // of the kind, for people
	Text   string       `json:"text,omitempty"`
	Pairs  []string     `json:"pairs,omitempty"`
	Parts  []backupLine `json:"parts,omitempty"`
	Data   []byte       `json:"data,omitempty"` // what is none of these
}

// backupEnd is the last line.
type backupEnd struct {
	Records *int `json:"records"`
}

var kindNames = map[kind]string{
	kindSession: "session", kindConversation: "conversation", kindUser: "message", kindChunk: "answer", kindAnswerEnd: "end of answer",
	kindSetting: "setting", kindSessionEnd: "end of session", kindHoles: "holes", kindGoOn: "go on", kindTitle: "title",
	kindDelete: "deletion", kindBranch: "branch", kindGone: "gone", kindFact: "fact",
}

// lineOf is the line for a record.
func lineOf(r record) backupLine {
	l := backupLine{Number: r.seq, Time: r.ms, Skip: r.skip, Leap: r.leap, Kind: r.kind, Name: kindNames[r.kind]}
	switch p := r.payload; {
	case len(p) == 0:
	case r.kind == kindCommit:
		for rest := p; len(rest) > 0; {
			part, more, ok := nextPart(rest)
			if !ok {
				l.Parts, l.Data = nil, p
				break
			}
			l.Parts, rest = append(l.Parts, lineOf(part)), more
		}
	case p[len(p)-1] == 0 && utf8.Valid(p):
		l.Pairs = strings.Split(string(p[:len(p)-1]), "\x00")
	case utf8.Valid(p):
		l.Text = string(p)
	default:
		l.Data = p
	}
	return l
}

// record is the record of a line.
func (l backupLine) record() record {
	r := record{seq: l.Number, ms: l.Time, skip: l.Skip, leap: l.Leap, kind: l.Kind, payload: l.Data}
	switch {
	case len(l.Parts) > 0:
		for _, p := range l.Parts {
			r.payload = appendPart(r.payload, p.record())
		}
	case len(l.Pairs) > 0:
		r.payload = []byte(strings.Join(l.Pairs, "\x00") + "\x00")
	case l.Text != "":
		r.payload = []byte(l.Text)
	}
	return r
}

// lines writes lines of JSON, and waits when it may.
type lines struct {
	w    *bufio.Writer
	e    *json.Encoder
	n    int // records
	err  error
	wait func() error
	size counter
}

type counter struct {
	w io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return c.w.Write(p)
}

func newLines(w io.Writer, wait func() error) *lines {
	l := &lines{w: bufio.NewWriterSize(w, 64<<10), wait: wait}
	l.size.w = l.w
	l.e = json.NewEncoder(&l.size)
	l.e.SetEscapeHTML(false)
	return l
}

func (l *lines) put(v any) error {
	if l.err == nil {
		l.err = l.e.Encode(v)
	}
	if l.err == nil && l.size.n >= backupSlice {
		l.size.n = 0
		l.err = l.wait()
	}
	return l.err
}

func (l *lines) record(r record) error {
	l.n++
	return l.put(lineOf(r))
}

func (l *lines) end() error {
	return errors.Join(l.put(backupEnd{&l.n}), l.w.Flush())
}

// head is what a backup of now begins with.
func (s *Store) head() BackupHead {
	h := BackupHead{Backup: backupName, Version: backupVersion, Journal: s.made(), Made: s.now().UTC().Truncate(time.Second), Last: s.j.seq}
	for i := range s.conversations {
		if n := len(s.conversations[i].messages); n > 0 {
			h.Conversations++
			h.Messages += n
		}
	}
	for _, d := range s.deletions {
		h.Deleted = max(h.Deleted, d.by)
	}
	return h
}

// made tells which journal this is.
func (s *Store) made() int64 {
	for _, j := range s.segments {
		if j != nil {
			return j.made.UnixMilli()
		}
	}
	return 0
}

// Backup writes all that the journal says, up to the moment of the call, for Restore. Nothing can be saved while it reads a segment, which
// takes a moment for each; wait is called now and then in between, and may wait or end it by an error.
func (s *Store) Backup(w io.Writer, wait func() error) error {
	s.mu.Lock()
	h, segments := s.head(), len(s.segments)
	s.mu.Unlock()
	out := newLines(w, wait)
	if err := out.put(h); err != nil {
		return err
	}
	var seal record
	for i := range segments {
		if err := wait(); err != nil {
			return err
		}
		raw, dead, err := s.rawOf(i)
		if err != nil {
			return err
		}
		for _, f := range raw {
			switch {
			case f.seq > h.Last:
				continue
			case f.kind == kindSeal: // the next one says that its number is void
				seal = f.record
				seal.skip++
				continue
			}
			r := dead.hollowed(f.record)
			r.skip += seal.skip
			r.leap = uint32(min(uint64(r.leap)+uint64(seal.leap), farLeap))
			if seal = (record{}); out.record(r) != nil {
				return out.err
			}
		}
	}
	return out.end()
}

// rawOf reads the records of a segment that count, and tells which are deleted.
func (s *Store) rawOf(segment int) ([]found, dead, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.segments[segment]
	if j == nil || j.blank {
		return nil, dead{}, nil
	}
	sc := &scan{first: j.first, keep: true}
	again, err := openSegment(j.m, j.made, sc)
	if err == nil && (again.leap > 0 || again.gen != j.gen) {
		err = ErrUnread
	}
	return sc.raw, s.dead(), err
}

// Stale tells whether a backup has something that was deleted since.
func (s *Store) Stale(h BackupHead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.Journal == s.made() && slices.ContainsFunc(s.deletions, func(d deletion) bool {
		older := func(n numbers) bool { return n.first <= h.Last }
		return d.by > h.Deleted && (slices.ContainsFunc(d.gone, older) || slices.ContainsFunc(d.titles, older))
	})
}

// Purge copies a backup without what was deleted since. wait is that of Backup.
func (s *Store) Purge(w io.Writer, backup io.Reader, wait func() error) error {
	s.mu.Lock()
	now, dead := s.head(), s.dead()
	s.mu.Unlock()
	out := newLines(w, wait)
	return readBackup(backup, func(h BackupHead) error {
		if h.Journal != now.Journal {
			return errors.New("it is a backup of another journal")
		}
		h.Deleted = now.Deleted
		return out.put(h)
	}, func(r record) error { return out.record(dead.hollowed(r)) }, out.end)
}

// ReadBackupHead reads the first line of a backup.
func ReadBackupHead(r io.Reader) (h BackupHead, err error) {
	err = readHead(bufio.NewReaderSize(io.LimitReader(r, 4096), 4096), &h)
	return h, err
}

// CheckBackup reads a backup to its end, and tells how many records it has.
func CheckBackup(r io.Reader) (records int, err error) {
	err = readBackup(r, func(BackupHead) error { return nil }, func(record) error { records++; return nil }, func() error { return nil })
	return records, err
}

// ErrNoBackup says that something is no backup, or not a whole one.
var ErrNoBackup = errors.New("this is no backup of AlphaOS, or it is damaged: take another one")

func readHead(b *bufio.Reader, h *BackupHead) error {
	line, err := readLine(b)
	if err != nil {
		return err
	}
	if json.Unmarshal(line, h) != nil || h.Backup != backupName {
		return ErrNoBackup
	}
	if h.Version > backupVersion {
		return errors.New("this backup was written by a later version of AlphaOS: read it with that")
	}
	return nil
}

// readLine reads a line that is not too long.
func readLine(b *bufio.Reader) (line []byte, err error) {
	for {
		part, err := b.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLine {
			return nil, ErrNoBackup
		}
		switch {
		case err == bufio.ErrBufferFull:
		case err == io.EOF:
			return nil, ErrNoBackup
		default:
			return line, err
		}
	}
}

// readBackup calls the functions for what a backup has, in that order. Payloads are good until the next record.
func readBackup(r io.Reader, head func(BackupHead) error, each func(record) error, end func() error) error {
	b := bufio.NewReaderSize(r, 64<<10)
	var h BackupHead
	if err := readHead(b, &h); err != nil {
		return err
	}
	if err := head(h); err != nil {
		return err
	}
	for n := 0; ; n++ {
		line, err := readLine(b)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte(`{"records":`)) {
			var e backupEnd
			if json.Unmarshal(line, &e) != nil || e.Records == nil || *e.Records != n {
				return ErrNoBackup
			}
			return end()
		}
		var l backupLine
		if json.Unmarshal(line, &l) != nil || l.Number == 0 || l.Kind == 0 {
			return ErrNoBackup
		}
		r := l.record()
		if len(r.payload) > maxPayload+maxExtra {
			return ErrNoBackup
		}
		if err := each(r); err != nil {
			return err
		}
	}
}

// Restore fills a new journal with what a backup says, which must be whole: else what was written
// is no more than what could be read. The journal is another one from then on: what is deleted in it stays in backups from before.
func Restore(f Folder, backup io.Reader, now func() time.Time) error {
	s, rec, err := OpenFolder(f, now)
	if err != nil {
		return err
	}
	if !rec.New {
		return errors.New("there is something in the journal already")
	}
	content := make([]byte, firstByte)
	flush := func() error {
		if len(content) == firstByte {
			return nil
		}
		err := s.j.fill(content, s.now())
		content = content[:firstByte]
		return err
	}
	first := true
	return readBackup(backup, func(BackupHead) error { return nil }, func(r record) error {
		if first && r.begins() { // else it would be known for the journal that the backup is of when its headers are lost
			r.ms = s.now().UnixMilli()
		}
		first = false
		size := recordSize(len(r.payload))
		if int64(len(content))+size > s.j.capacity-s.closeReserve() {
			if err := flush(); err != nil {
				return err
			}
			if err := s.nextFor(size); err != nil {
				return err
			}
		}
		content = appendRecord(content, s.j.gen, r)
		return nil
	}, flush)
}

// nextFor goes on in another segment, without a seal: nothing is said while a journal is restored.
func (s *Store) nextFor(size int64) error {
	if !s.grows() {
		return s.full()
	}
	if err := s.makeRoom(size + s.closeReserve()); err != nil {
		return s.full()
	}
	if s.j = s.behind(); size > s.j.capacity-firstByte-s.closeReserve() {
		return fmt.Errorf("a new file of the journal has no room for %s", bytesText(size))
	}
	return nil
}

// fill gives a blank segment its records, and then the headers.
func (j *journal) fill(content []byte, now time.Time) error {
	for _, base := range [2]int64{0, j.half} {
		if err := j.overwrite(base, content, int64(len(content))); err != nil {
			return err
		}
	}
	return j.prepare(now)
}

// OpenBackup opens what a backup says, in memory.
func OpenBackup(backup io.Reader, now func() time.Time) (*Store, error) {
	f := &inMemory{ram(make([]byte, maxSegment))}
	if err := Restore(f, backup, now); err != nil {
		return nil, err
	}
	s, _, err := OpenFolder(f, now)
	return s, err
}

// Recover adds what a backup has and this journal has not: conversations, and settings that are not set.
func (s *Store) Recover(ctx context.Context, backup io.Reader) (m Merged, err error) {
	b, err := OpenBackup(backup, s.now)
	if err != nil {
		return m, err
	}
	if m, err = s.Merge(ctx, b); err != nil {
		return m, err
	}
	for name, value := range b.settings {
		if s.Setting(name) == "" {
			if err := s.Set(name, value); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// inMemory is a folder of segments in memory.
type inMemory []Medium

func (f inMemory) Segments() ([]Medium, error) { return f, nil }

func (f *inMemory) Add(size int64) (Medium, error) {
	m := ram(make([]byte, size))
	*f = append(*f, m)
	return m, nil
}

// ram is a medium in memory.
type ram []byte

func (m ram) Size() int64                             { return int64(len(m)) }
func (m ram) Sync() error                             { return nil }
func (m ram) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

func (m ram) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(m)) {
		return 0, io.EOF
	}
	if n := copy(p, m[at:]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

// Beyond tells whether the journal has more than a backup.
func (s *Store) Beyond(since BackupHead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return since.Journal != s.made() || s.j.seq > since.Last
}
