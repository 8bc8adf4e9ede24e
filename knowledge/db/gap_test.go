package db

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Whatever is said, changed and deleted, no page keeps a copy of a row that was moved: nothing of what is deleted is in the file.
func TestGaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m, d := newMemory(), newDrive()
	k := keeper(m, d)
	words, dead := 0, map[string]bool{}
	live := map[int][]string{}
	for step := range 120 {
		id := 1 + r.IntN(12)
		if r.IntN(3) == 0 && len(live[id]) > 0 {
			for _, w := range live[id] {
				dead[w] = true
			}
			d.forget(id)
			delete(live, id)
		} else {
			words++
			word := fmt.Sprintf("w%09dq", words)
			live[id] = append(live[id], word)
			d.say(id, word+strings.Repeat(" because", r.IntN(200)))
		}
		if note := keep(t, k); note != "" {
			t.Fatal(note)
		}
		b := m.files[Name].data
		for at := pageSize; at < len(b); at += pageSize { // the first page has a header before
			p := b[at:][:pageSize]
			number := at/pageSize + 1
			size := map[byte]int{2: 12, 5: 12, 10: 8, 13: 8}[p[0]]
			if size == 0 || (number-2)%mapped == 0 {
				continue
			}
			from, to := size+2*int(binary.BigEndian.Uint16(p[3:])), int(binary.BigEndian.Uint16(p[5:]))
			if from < to && to <= pageSize && len(bytes.Trim(p[from:to], "\x00")) > 0 {
				t.Fatalf("step %d: page %d has something between its pointers and its rows", step, number)
			}
		}
		for w := range dead {
			if bytes.Contains(b, []byte(w)) {
				t.Fatalf("step %d: %s, which was deleted, is in the file", step, w)
			}
		}
	}
	same(t, m, d)
}
