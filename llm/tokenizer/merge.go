package tokenizer

import (
	"math"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// Both families build tokens by merging neighbours: text begins as a chain of
// symbols (characters in SentencePiece, bytes in byte-level BPE), and the best
// pair of neighbours that is in the vocabulary becomes one symbol, again and
// again. SentencePiece takes the pair whose token has the highest score,
// byte-level BPE the pair that comes first in the list of merges; of equal
// pairs the leftmost goes first.
//
// All known pairs wait in a heap. A pair's entry is not removed when one of
// its symbols is merged away or grows; it is recognised as stale by its length
// when its turn comes. Every merge adds at most two entries, so a text of n
// symbols costs O(n log n).

type symbol struct {
	start, end int32 // of its bytes in the text; equal when merged away
	prev, next int32 // neighbours, -1 at the ends
	id         int32 // token or other symbol; -1 if not in the vocabulary
}

type pair struct {
	order       uint64 // the least goes first
	left, right int32  // symbols
	size        int32  // their bytes together
	id          int32  // what they become
}

// merger holds the memory of encode, to be used again.
type merger struct {
	symbols []symbol
	heap    []pair
}

// encode appends the ids of text, which is a word or a whole SentencePiece
// text, to ids.
func (m *merger) encode(t *Tokenizer, text string, ids []int32) []int32 {
	for len(text) > math.MaxInt32 { // offsets have 32 bits
		ids = m.encode(t, text[:math.MaxInt32], ids)
		text = text[math.MaxInt32:]
	}
	m.symbols, m.heap = m.symbols[:0], m.heap[:0]
	for i := 0; i < len(text); {
		size, id := 1, int32(0)
		if t.bytelevel {
			id = t.byteID[text[i]]
		} else {
			_, size = utf8.DecodeRuneInString(text[i:])
			id = t.index.find(text[i : i+size])
		}
		n := int32(len(m.symbols))
		m.symbols = append(m.symbols, symbol{int32(i), int32(i + size), n - 1, n + 1, id})
		i += size
	}
	if len(m.symbols) == 0 {
		return ids
	}
	m.symbols[len(m.symbols)-1].next = -1

	for i := 1; i < len(m.symbols); i++ {
		m.propose(t, text, int32(i-1), int32(i))
	}
	for len(m.heap) > 0 {
		p := m.pop()
		l, r := &m.symbols[p.left], &m.symbols[p.right]
		if l.start == l.end || r.start == r.end || r.end-l.start != p.size {
			continue // stale
		}
		l.end, l.id = r.end, p.id
		r.start = r.end
		l.next = r.next
		if r.next >= 0 {
			m.symbols[r.next].prev = p.left
		}
		m.propose(t, text, l.prev, p.left)
		m.propose(t, text, p.left, l.next)
	}

	for i := int32(0); i >= 0; i = m.symbols[i].next {
		s := &m.symbols[i]
		if s.id >= 0 && int(s.id) < len(t.text) {
			ids = append(ids, s.id)
			continue
		}
		known := true
		for _, b := range []byte(text[s.start:s.end]) {
			if id := t.byteID[b]; id >= 0 && int(id) < len(t.text) {
				ids = append(ids, id)
			} else {
				known = false
			}
		}
		if !known && !t.bytelevel && t.unk >= 0 {
			ids = append(ids, t.unk)
		}
	}
	return ids
}

// propose puts a pair of neighbours into the heap if it can be merged.
func (m *merger) propose(t *Tokenizer, text string, left, right int32) {
	if left < 0 || right < 0 {
		return
	}
	l, r := &m.symbols[left], &m.symbols[right]
	p := pair{left: left, right: right, size: r.end - l.start}
	if t.bytelevel {
		rank, id := t.merges.find(l.id, r.id)
		if rank < 0 {
			return
		}
		p.order, p.id = uint64(rank)<<32|uint64(left), id
	} else {
		if int(p.size) > t.longest {
			return
		}
		if p.id = t.index.find(text[l.start:r.end]); p.id < 0 {
			return
		}
		p.order = uint64(^ascending(t.scores[p.id]))<<32 | uint64(left)
	}
	m.push(p)
}

// ascending maps floats to integers in the same order.
func ascending(f float32) uint32 {
	b := math.Float32bits(f + 0) // -0 is 0
	if b>>31 != 0 {
		return ^b
	}
	return b | 1<<31
}

func (m *merger) push(p pair) {
	m.heap = append(m.heap, p)
	h, i := m.heap, len(m.heap)-1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].order <= p.order {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = p
}

func (m *merger) pop() pair {
	h := m.heap
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	m.heap = h
	for i := 0; len(h) > 0; {
		c := 2*i + 1
		if c+1 < len(h) && h[c+1].order < h[c].order {
			c++
		}
		if c >= len(h) || h[c].order >= last.order {
			h[i] = last
			break
		}
		h[i] = h[c]
		i = c
	}
	return top
}

// pairs is the list of merges of byte-level BPE: a hash table from two symbols
// to the place in the list and the symbol they become.
type pairs struct {
	slots []mergeSlot
	shift uint
	salt  uint64
}

type mergeSlot struct {
	left, right int32 // left -1: free
	rank, id    int32
}

func (p *pairs) init(n int) {
	bits := uint(4)
	for 3<<bits < 4*n {
		bits++
	}
	p.shift, p.salt = 64-bits, rand.Uint64()
	p.slots = make([]mergeSlot, 1<<bits)
	for i := range p.slots {
		p.slots[i].left = -1
	}
}

func (p *pairs) slot(left, right int32) *mergeSlot {
	h := (uint64(uint32(left))<<32 | uint64(uint32(right))) ^ p.salt
	h ^= h >> 31 // both halves must reach the top bits
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	mask := uint64(len(p.slots) - 1)
	for i := h >> p.shift; ; i = (i + 1) & mask {
		s := &p.slots[i]
		if s.left < 0 || s.left == left && s.right == right {
			return s
		}
	}
}

// find returns the place of a merge in the list, -1 if it is not there.
func (p *pairs) find(left, right int32) (rank, id int32) {
	if left < 0 || right < 0 {
		return -1, -1
	}
	if s := p.slot(left, right); s.left >= 0 {
		return s.rank, s.id
	}
	return -1, -1
}

// without returns the merges with symbols beyond the vocabulary, the first of
// them next, in the place of tokens: these are only steps then.
func (p *pairs) without(tokens []int32, next int32) (pairs, int32) {
	place := map[int32]int32{}
	for _, id := range tokens {
		place[id] = next
		next++
	}
	symbol := func(id int32) int32 {
		if s, ok := place[id]; ok {
			return s
		}
		return id
	}
	var q pairs
	q.init(len(p.slots) * 3 / 4)
	for _, s := range p.slots {
		if s.left >= 0 {
			left, right := symbol(s.left), symbol(s.right)
			*q.slot(left, right) = mergeSlot{left, right, s.rank, symbol(s.id)}
		}
	}
	return q, next
}

// readMerges fills the table from lines such as "Ġt he". Parts and results
// that are not tokens get symbols beyond the vocabulary: they may still be
// steps on the way to a token.
func (t *Tokenizer) readMerges(lines []string) {
	t.merges.init(len(lines))
	t.symbols = int32(len(t.text))
	extra := map[string]int32{}
	symbol := func(b []byte) int32 {
		if id := t.index.find(string(b)); id >= 0 {
			return id
		}
		if len(b) == 1 && t.byteID[b[0]] >= 0 {
			return t.byteID[b[0]]
		}
		id, ok := extra[string(b)]
		if !ok {
			id = t.symbols
			t.symbols++
			extra[string(b)] = id
		}
		return id
	}
	var both []byte
	bad, result := 0, int32(-1)
	for rank, line := range lines {
		cut := -1
		if len(line) > 1 {
			cut = strings.IndexByte(line[1:], ' ')
		}
		if cut < 0 {
			bad++
			continue
		}
		cut++
		both = appendBytes(both[:0], line[:cut])
		n := len(both)
		both = appendBytes(both, line[cut+1:])
		if n == 0 || n == len(both) {
			bad++
			continue
		}
		left, right := symbol(both[:n]), symbol(both[n:])
		if s := t.merges.slot(left, right); s.left < 0 {
			// Most vocabularies list their tokens in the order of merges, so
			// the result is likely the last one or its neighbour.
			if result < 0 || !t.isPiece(result, both) {
				if result++; !t.isPiece(result, both) {
					result = symbol(both)
				}
			}
			*s = mergeSlot{left, right, int32(rank), result}
		}
	}
	for b := range t.byteID { // a byte that is only a step
		if t.byteID[b] < 0 {
			if id, ok := extra[string([]byte{byte(b)})]; ok {
				t.byteID[b] = id
			}
		}
	}
	if bad > 0 {
		t.warn("%d of the tokenizer's %d merges are unreadable and are ignored", bad, len(lines))
	}
}

// isPiece reports whether id is an ordinary token with piece p.
func (t *Tokenizer) isPiece(id int32, p []byte) bool {
	return int(id) < len(t.piece) && t.piece[id] == string(p) && t.attr[id] == 0
}

// Byte-level BPE spells bytes as printable characters (the table is OpenAI's,
// from GPT-2): those that are printable in Latin-1 as themselves, the others as
// U+0100 and up, in order. runeByte is the way back, byte+1, 0 for no byte.
var runeByte = func() (table [0x144]uint16) {
	next := 0x100
	for b := range 256 {
		if '!' <= b && b <= '~' || 0xa1 <= b && b <= 0xac || 0xae <= b {
			table[b] = uint16(b + 1)
		} else {
			table[next] = uint16(b + 1)
			next++
		}
	}
	return
}()

// appendBytes appends the bytes that text spells. Characters outside the table
// stay as they are.
func appendBytes(b []byte, text string) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; '!' <= c && c <= '~' {
			b = append(b, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if int(r) < len(runeByte) && runeByte[r] != 0 {
			b = append(b, byte(runeByte[r]-1))
		} else {
			b = append(b, text[i:i+size]...)
		}
		i += size
	}
	return b
}
