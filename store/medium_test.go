package store

import (
	"errors"
	"io"
)

var errCut = errors.New("the plug is pulled")

// tear says what a power cut leaves in the sector that was being written.
type tear int

const (
	tearOld tear = iota
	tearNew
	tearZero
	tearJunk
	tears
)

// faultyMedium is a drive in memory that can be cut off at any sector write
// and can fail in the ways that drives do.
type faultyMedium struct {
	data   []byte
	sector int // bytes of a physical sector
	shift  int // where the file begins within a sector

	writes int // sector writes so far
	cut    int // the plug is pulled in this sector write; 0 never
	tear   tear
	off    bool

	outage   bool  // nothing can be written
	outageTo int64 // below here; 0: anywhere

	badFrom, badTo int64 // writes that touch this range fail
	flip           int   // flip a bit in every flip-th WriteAt, silently
	short          int   // every short-th WriteAt writes half and says so
	calls          int
	noSync         error
	readBad        int64 // reading this byte fails; 0 none
}

func newMedium(size int) *faultyMedium {
	return &faultyMedium{data: make([]byte, size), sector: 512}
}

func (m *faultyMedium) Size() int64 { return int64(len(m.data)) }

func (m *faultyMedium) Sync() error {
	if m.off {
		return errCut
	}
	return m.noSync
}

func (m *faultyMedium) ReadAt(p []byte, at int64) (int, error) {
	if m.off {
		return 0, errCut
	}
	if m.readBad > 0 && at <= m.readBad && m.readBad < at+int64(len(p)) {
		return 0, errors.New("unrecoverable read error")
	}
	if at >= int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *faultyMedium) WriteAt(p []byte, at int64) (int, error) {
	if m.off {
		return 0, errCut
	}
	if at+int64(len(p)) > m.Size() {
		return 0, io.ErrShortWrite
	}
	m.calls++
	if m.outage && (m.outageTo == 0 || at < m.outageTo) {
		return 0, errors.New("no answer")
	}
	if at < m.badTo && at+int64(len(p)) > m.badFrom {
		// What a failing sector holds afterwards is anybody's guess.
		for i := max(at, m.badFrom); i < min(at+int64(len(p)), m.badTo); i++ {
			m.data[i] = byte(i) ^ 0x5a
		}
		return 0, errors.New("write error")
	}
	if m.short > 0 && m.calls%m.short == 0 {
		n := copy(m.data[at:], p[:len(p)/2])
		return n, io.ErrShortWrite
	}
	done := 0
	for done < len(p) {
		// The physical sector that holds at+done, as file offsets.
		from := (at+int64(done)+int64(m.shift))/int64(m.sector)*int64(m.sector) - int64(m.shift)
		n := min(len(p)-done, int(from+int64(m.sector)-at)-done)
		m.writes++
		if m.cut > 0 && m.writes == m.cut {
			m.off = true
			sec := m.data[max(0, from):min(m.Size(), from+int64(m.sector))]
			switch m.tear {
			case tearNew:
				copy(m.data[at+int64(done):], p[done:done+n])
			case tearZero:
				clear(sec)
			case tearJunk:
				for i := range sec {
					sec[i] = byte(i*7 + m.writes)
				}
			}
			return done, errCut
		}
		copy(m.data[at+int64(done):], p[done:done+n])
		done += n
	}
	if m.flip > 0 && m.calls%m.flip == 0 {
		m.data[at+int64(m.calls*37%len(p))] ^= 1
	}
	return len(p), nil
}

// healthy is the same drive after the power came back.
func (m *faultyMedium) healthy() *faultyMedium {
	return &faultyMedium{data: append([]byte(nil), m.data...), sector: m.sector, shift: m.shift}
}
