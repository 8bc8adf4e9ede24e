package efi

import (
	"strings"
	"syscall"
	"testing"
)

// optionsAt places load options so that they end with a page behind which nothing
// may be read, and reads them.
func optionsAt(t testing.TB, data []byte, size uint32) string {
	t.Helper()
	const page = 4096
	room := (len(data)+page-1)/page*page + page
	m, err := syscall.Mmap(-1, 0, room, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip("no memory map:", err)
	}
	defer syscall.Munmap(m)
	if err := syscall.Mprotect(m[room-page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	place := m[room-page-len(data) : room-page]
	copy(place, data)
	return optionsText(addressOf(place), size)
}

// TestOptionsAtPageEnd checks that looking for the end of options whose size is in
// characters does not leave the memory that is known to exist.
func TestOptionsAtPageEnd(t *testing.T) {
	text := []byte("s\x00a\x00f\x00e\x00")
	if got := optionsAt(t, text, 8); got != "safe" {
		t.Errorf("%q", got)
	}
	if got := optionsAt(t, append(text, 0, 0), 4); got != "safe" {
		t.Errorf("size in characters: %q", got)
	}
	if got := optionsAt(t, text, 4); got != "sa" { // no terminator is seen
		t.Errorf("%q", got)
	}
	if got := optionsAt(t, text, 7); got != "saf" {
		t.Errorf("odd size: %q", got)
	}
	if got := optionsAt(t, []byte("x"), 1); got != "" {
		t.Errorf("one byte: %q", got)
	}
}

func FuzzOptionsText(f *testing.F) {
	f.Add([]byte("v\x00e\x00r\x00b\x00o\x00s\x00e\x00\x00\x00"), uint16(7))
	f.Add([]byte("s\x00a\x00f\x00e\x00"), uint16(8))
	f.Add([]byte{0xd8, 0, 0xdc, 0, 0xff, 0xff, 1}, uint16(7))
	f.Add([]byte(strings.Repeat("x\x00", 3000)), uint16(6000))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		if int(size) > len(data) || len(data) == 0 {
			return // the firmware has given at least this much memory
		}
		s := optionsAt(t, data, uint32(size))
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == '\uFFFD' }) {
			t.Errorf("options %q are no text", s)
		}
		if n := len([]rune(s)); n > int(size) {
			t.Errorf("%d characters of %d bytes", n, size)
		}
	})
}
