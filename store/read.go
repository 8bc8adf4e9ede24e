package store

// Reading what was said. In memory are the list of conversations and, of each message, who said it, when and in
// which records: some 60 bytes for each, and 16 for each piece of an answer. What was said is read from the journal when it is
// asked for, from the copy that has it, and checked like at a start.

import (
	"strconv"
	"time"
)

// window is what was read last of a copy of a segment.
type window struct {
	segment uint16
	copy    uint8
	from    int64
	buf     []byte
}

const windowSize = 64 << 10

// read returns what messages say.
func (s *Store) read(list []message) []Message {
	if len(list) == 0 {
		return nil
	}
	said := make([]Message, len(list))
	model := ""
	for i, m := range list {
		said[i] = s.message(m)
		if name := &said[i].Stats.Model; *name == model {
			*name = model // one string for all
		} else if *name != "" {
			model = *name
		}
	}
	return said
}

// message returns what a message says.
func (s *Store) message(m message) Message {
	out := Message{Role: User, Time: time.UnixMilli(m.ms), Partial: m.partial}
	if m.answer {
		out.Role = Assistant
	}
	var text []byte
	for _, p := range s.pieces[m.from:m.to] {
		r, ok := s.load(p)
		switch {
		case !ok:
			out.Unread = true
		case r.kind == kindAnswerEnd:
			out.Stats = statsOf(r.payload)
		default:
			text = append(text, r.payload...)
		}
	}
	if out.Text = string(text); out.Unread {
		out.Partial = true
		out.Text += " (The drive fails to read this message now.)"
	}
	return out
}

// statsOf reads the payload of a kindAnswerEnd. What is not known is 0.
func statsOf(payload []byte) (st Stats) {
	for name, value := range eachPair(payload) {
		switch string(name) {
		case "model":
			st.Model = string(value)
		case "tokens":
			st.Tokens, _ = strconv.Atoi(string(value))
		case "context":
			st.Context, _ = strconv.Atoi(string(value))
		case "sources":
			st.Sources = string(value)
		case "ms":
			ms, _ := strconv.Atoi(string(value))
			st.Elapsed = time.Duration(ms) * time.Millisecond
		}
	}
	return st
}

// load reads a record, or the part of one that p names. Its payload is good until the next load.
func (s *Store) load(p piece) (record, bool) {
	for range readTries {
		// A copy that lacked it at the start may have it since.
		for _, in := range [4]uint8{p.in & inA, p.in & inB, inA &^ p.in, inB &^ p.in} {
			if in == 0 {
				continue
			}
			if r, ok := s.loadFrom(p, in); ok {
				return r, true
			}
			s.window = window{}
		}
	}
	return record{}, false
}

func (s *Store) loadFrom(p piece, in uint8) (record, bool) {
	j, pos := s.segments[p.segment], int64(p.block)*recordPad
	b := s.bytes(p.segment, in, pos, headerLen)
	if len(b) < headerLen {
		return record{}, false
	}
	r, _, _, ok := parseRecord(b, j.gen)
	if !ok { // it is longer than what is there
		n := payloadLen(b)
		if n > maxPayload+maxExtra {
			return record{}, false
		}
		r, _, _, ok = parseRecord(s.bytes(p.segment, in, pos, recordSize(int(n))), j.gen)
	}
	if !ok || r.seq != p.seq {
		return record{}, false
	}
	if r.kind != kindCommit {
		return r, p.part == 0
	}
	for rest, i := r.payload, uint8(0); ; i++ {
		part, more, ok := nextPart(rest)
		if !ok || i == p.part {
			return part, ok
		}
		rest = more
	}
}

// bytes returns at least n bytes of a copy from pos on, or less where it ends or can't be read.
func (s *Store) bytes(segment uint16, in uint8, pos, n int64) []byte {
	w := &s.window
	if w.segment == segment && w.copy == in && pos >= w.from && pos+n <= w.from+int64(len(w.buf)) {
		return w.buf[pos-w.from:]
	}
	j := s.segments[segment]
	base, from := int64(0), pos&^(blockSize-1)
	if in == inB {
		base = j.half
	}
	size := min(max(windowSize, pos+n-from), j.half-from, j.m.Size()-base-from)
	if size <= 0 {
		return nil
	}
	if int64(cap(w.buf)) < size {
		w.buf = make([]byte, size)
	}
	*w = window{segment: segment, copy: in, from: from, buf: w.buf[:size]}
	if err := readFull(j.m, w.buf, base+from); err != nil {
		// A part of it that can't be read must not hide the rest.
		need := (pos + n - from + blockSize - 1) &^ (blockSize - 1)
		if need = min(need, size); readFull(j.m, w.buf[:need], base+from) != nil {
			*w = window{}
			return nil
		}
		w.buf = w.buf[:need]
	}
	return w.buf[pos-from:]
}

// locate finds anew where the records of a segment are, after some were written once more.
func (s *Store) locate(segment int) {
	type name struct {
		seq  uint64
		part uint8
	}
	j := s.segments[segment]
	sc := &scan{first: j.first}
	if _, err := openSegment(j.m, j.made, sc); err != nil {
		return // what is not found is told when it is read
	}
	at := map[name]place{}
	for i := range sc.records {
		if r := &sc.records[i]; r.kind == kindUser || r.kind == kindChunk || r.kind == kindAnswerEnd {
			at[name{r.seq, r.part}] = r.place
		}
	}
	for i := range s.pieces {
		p := &s.pieces[i]
		if to, ok := at[name{p.seq, p.part}]; ok && int(p.segment) == segment {
			p.block, p.in = uint32(to.pos/recordPad), to.in
		}
	}
	s.window = window{}
}
