package console

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

func runes(s string) []Key {
	var k []Key
	for _, r := range s {
		k = append(k, Key{Rune: r})
	}
	return k
}

func codes(c ...Code) []Key {
	var k []Key
	for _, x := range c {
		k = append(k, Key{Code: x})
	}
	return k
}

var keyTests = []struct {
	in   string
	want []Key
}{
	{"hello", runes("hello")},
	{"é日🙂", runes("é日🙂")},
	{"\r", codes(Enter)},
	{"\n", codes(Enter)},
	{"\r\n", codes(Enter)},
	{"\r\r\n\n", codes(Enter, Enter, Enter)},
	{"\x7f\x08\t", codes(Backspace, Backspace, Tab)},
	{"\x01\x02\x03\x04\x05\x06\x0b\x0c\x0e\x10\x15\x17", codes(CtrlA, Left, CtrlC, CtrlD, CtrlE, Right, CtrlK, CtrlL, Down, Up, CtrlU, CtrlW)},
	{"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F", codes(Up, Down, Right, Left, Home, End)},
	{"\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF\x1bOM", codes(Up, Down, Right, Left, Home, End, Enter)},
	{"\x1b[1~\x1b[3~\x1b[4~\x1b[5~\x1b[6~\x1b[7~\x1b[8~", codes(Home, Delete, End, PageUp, PageDown, Home, End)},
	{"\x1b[1;5C\x1b[1;5D\x1b[1;3D\x1b[1;2C\x1b[3;5~", codes(WordRight, WordLeft, WordLeft, Right, Delete)},
	{"\x1bb\x1bf\x1b\x7f", codes(WordLeft, WordRight, CtrlW)},
	{"\x1b", codes(Esc)},
	{"\x1b\x1b[A", codes(Esc, Up)},
	{"\x1b\x1b", codes(Esc, Esc)},
	{"\x1bz", []Key{{Code: Esc}, {Rune: 'z'}}},
	{"\x1b[200~paste\x1b[201~", runes("paste")},
	{"\x1b[[A\x1bOPx", runes("x")},                             // function keys
	{"\x1b]11;rgb:0/0/0\x07a\x1bP1$r\x1b\\b", runes("ab")},     // answers of a terminal
	{"\x1b]\r", codes(Enter)},                                  // not an answer after all
	{"\x1b[12\rx", []Key{{Code: Enter}, {Rune: 'x'}}},          // a sequence cut off
	{"a\xffb", runes("a\uFFFDb")},                              // never valid
	{"\xe2\x82", runes("\uFFFD")},                              // cut off
	{"\xe2\x82x", runes("\uFFFDx")},                            // cut off by a character
	{"\xe2\x82\x1b[A", append(runes("\uFFFD"), Key{Code: Up})}, // and by a sequence
	{"\u0085\x00\x1c", runes("\uFFFD")},                        // controls without a meaning
	{"\xed\xa0\x80", runes("\uFFFD\uFFFD\uFFFD")},              // a surrogate
	{"\x1b[" + strings.Repeat("1;", 100) + "Ax", nil},          // absurdly long: only must not be a key press of Up
}

func decodeAll(t *testing.T, r io.Reader) []Key {
	t.Helper()
	var got []Key
	for k := range DecodeKeys(t.Context(), r) {
		k.Quick, k.Line = false, false
		got = append(got, k)
	}
	return got
}

func TestDecodeKeys(t *testing.T) {
	for _, tt := range keyTests {
		whole := decodeAll(t, strings.NewReader(tt.in))
		if tt.want != nil && !slices.Equal(whole, tt.want) {
			t.Errorf("%q gives %v, want %v", tt.in, whole, tt.want)
		}
		if slices.Contains(whole, Key{Code: Up}) != slices.Contains(tt.want, Key{Code: Up}) {
			t.Errorf("%q gives %v", tt.in, whole)
		}
		if single := decodeAll(t, iotest.OneByteReader(strings.NewReader(tt.in))); !slices.Equal(single, whole) {
			t.Errorf("%q byte by byte gives %v, whole %v", tt.in, single, whole)
		}
	}
}

// A lone Esc is a key although the line stays open; what arrives together is a sequence.
func TestLoneEsc(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	keys := DecodeKeys(ctx, r)
	for _, tt := range []struct {
		in   string
		want Code
	}{{"\x1b", Esc}, {"\x1b[A", Up}, {"\x1b", Esc}} {
		w.Write([]byte(tt.in))
		select {
		case k := <-keys:
			if k.Code != tt.want {
				t.Errorf("%q is %v, want %v", tt.in, k.Code, tt.want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q is never reported", tt.in)
		}
	}
	cancel()
	for range keys {
		t.Error("a key after the end")
	}
}

func TestMergeKeys(t *testing.T) {
	a, b := make(chan Key, 1), make(chan Key, 1)
	a <- Key{Rune: 'a'}
	b <- Key{Rune: 'b'}
	close(a)
	close(b)
	var got []rune
	for k := range MergeKeys(a, b) {
		got = append(got, k.Rune)
	}
	if slices.Sort(got); string(got) != "ab" {
		t.Errorf("got %q", string(got))
	}
}

func FuzzDecodeKeys(f *testing.F) {
	for _, tt := range keyTests {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		for i, b := range in {
			d.feed(b)
			if len(d.seq) > maxSequence+1 {
				t.Fatalf("holds %d bytes after %q", len(d.seq), in[:i+1])
			}
		}
		d.timeout()
		if d.waiting() || len(d.seq) > 0 {
			t.Fatal("still waiting after the timeout")
		}
		if len(d.out) > len(in)+1 {
			t.Fatalf("%d keys from %d bytes", len(d.out), len(in))
		}
		for _, k := range d.out {
			if (k.Rune != 0) == (k.Code != None) || k.Code == None && (k.Rune < ' ' || k.Rune >= 0x7f && k.Rune < 0xA0 || !utf8.ValidRune(k.Rune)) {
				t.Fatalf("impossible key %+v", k)
			}
		}
	})
}
