package ovmf

// The serial port's output. Everything the machine sends is kept twice: raw,
// and clean, without carriage returns and VT escape sequences, because tests
// look for words and not for cursor movements. Waiting is done on the clean
// text, from the end of the last match, so that a conversation is read in
// order and no text is matched twice.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

type serialLog struct {
	mu      sync.Mutex
	raw     []byte
	clean   []byte
	pos     int // in clean: end of the last match
	state   vtState
	arrived []arrival
	changed chan struct{} // closed and replaced at each arrival
	tee     io.Writer
}

// arrival says that clean grew to end at time t.
type arrival struct {
	end int
	t   time.Time
}

func newSerialLog(tee io.Writer) *serialLog {
	return &serialLog{changed: make(chan struct{}), tee: tee}
}

// Write implements io.Writer for the goroutine that reads the socket.
func (s *serialLog) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.raw = append(s.raw, p...)
	for _, b := range p {
		if s.state.text(b) {
			s.clean = append(s.clean, b)
		}
	}
	s.arrived = append(s.arrived, arrival{len(s.clean), time.Now()})
	close(s.changed)
	s.changed = make(chan struct{})
	tee := s.tee
	s.mu.Unlock()
	if tee != nil {
		// A closed terminal must not stop the machine.
		_, _ = tee.Write(p)
	}
	return len(p), nil
}

var errExited = errors.New("the machine has ended")

// wait blocks until find, given the clean text since the last match and the
// total of raw bytes, returns the length of a match, 0 or more; -1 means not
// yet. It returns the text up to the match's end. When the machine exits, what
// it said last is looked at once more.
func (s *serialLog) wait(ctx context.Context, exited <-chan struct{}, find func(clean []byte, total int) int) (string, error) {
	for {
		s.mu.Lock()
		if n := find(s.clean[s.pos:], len(s.raw)); n >= 0 {
			got := string(s.clean[s.pos : s.pos+n])
			s.pos += n
			s.mu.Unlock()
			return got, nil
		}
		got, changed := string(s.clean[s.pos:]), s.changed
		s.mu.Unlock()
		select {
		case <-changed:
			continue
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got, ctx.Err()
		case <-exited:
			select {
			case <-changed: // the last words came with the end
			default:
				return got, errExited
			}
		}
	}
}

func (s *serialLog) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.clean)
}

func (s *serialLog) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.raw)
}

// seen returns when the first occurrence of text was complete.
func (s *serialLog) seen(text string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := bytes.Index(s.clean, []byte(text))
	if i < 0 {
		return time.Time{}, false
	}
	for _, a := range s.arrived {
		if a.end >= i+len(text) {
			return a.t, true
		}
	}
	return time.Time{}, false
}

// vtState follows ECMA-48 escape sequences across reads.
type vtState int

const (
	vtText vtState = iota
	vtEscape
	vtControl // in ESC [ ... final
	vtString  // in ESC ] ... BEL or ESC \
	vtStringEscape
)

// text reports whether b is text rather than part of an escape sequence or a
// carriage return.
func (v *vtState) text(b byte) bool {
	switch *v {
	case vtEscape:
		switch {
		case b == '[':
			*v = vtControl
		case b == ']' || b == 'P' || b == '_' || b == '^':
			*v = vtString
		case b >= 0x20 && b <= 0x2f: // an intermediate byte: one more follows
		default:
			*v = vtText
		}
		return false
	case vtControl:
		if b >= 0x40 && b <= 0x7e {
			*v = vtText
		}
		return false
	case vtString:
		switch b {
		case 0x07:
			*v = vtText
		case 0x1b:
			*v = vtStringEscape
		}
		return false
	case vtStringEscape:
		*v = vtText
		return false
	}
	if b == 0x1b {
		*v = vtEscape
		return false
	}
	return b != '\r' && b != 0
}
