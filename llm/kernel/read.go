package kernel

import "unsafe"

// A Reading is a way to read memory that does nothing with it. The rate of the best is what
// a product with one vector, which needs each weight once, can reach at most.
type Reading struct {
	name    string
	streams int // one, or two halves side by side
	ahead   int // bytes that are fetched ahead
	read    func(first, second unsafe.Pointer, n, ahead int)
}

// Readings lists the ways of this processor.
func Readings() []Reading {
	return append(readings(), Reading{"Go", 1, 0, addUp})
}

// String says how it reads, such as "2048 B ahead, two streams".
func (r Reading) String() string { return r.name }

// Read reads b, except for less than 256 bytes at the end.
func (r Reading) Read(b []byte) {
	n := len(b) / r.streams &^ 127
	second := n * (r.streams - 1)
	for at := 0; at < n; at += chunk { // a call takes microseconds, for the garbage collector
		r.read(unsafe.Pointer(&b[at]), unsafe.Pointer(&b[second+at]), min(chunk, n-at), r.ahead)
	}
}

// Forget takes b out of the processor's caches, where it can be told to, so that what reads it next has it from memory.
func Forget(b []byte) {
	for at := 0; at < len(b); at += chunk {
		flush(unsafe.Pointer(&b[at]), min(chunk, len(b)-at))
	}
}

// addUp reads as fast as Go code can: each word has to be loaded for the sum, and the sums
// do not wait for each other.
func addUp(first, _ unsafe.Pointer, n, _ int) {
	w := unsafe.Slice((*[8]uint64)(first), n/64)
	var s0, s1, s2, s3, s4, s5, s6, s7 uint64
	for i := range w {
		p := &w[i]
		s0 += p[0]
		s1 += p[1]
		s2 += p[2]
		s3 += p[3]
		s4 += p[4]
		s5 += p[5]
		s6 += p[6]
		s7 += p[7]
	}
	keep(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7)
}

//go:noinline
func keep(uint64) {}
