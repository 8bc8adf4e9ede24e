package ovmf

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ErrExited is for the tests outside of the package.
var ErrExited = errExited

func TestFind(t *testing.T) {
	dir := t.TempDir()
	code, vars := filepath.Join(dir, "code"), filepath.Join(dir, "vars")
	t.Setenv("ALPHAOS_OVMF_CODE", code)
	t.Setenv("ALPHAOS_OVMF_VARS", vars)
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "ALPHAOS_OVMF_CODE") {
		t.Errorf("files that do not exist: %v; want an error that names the variable", err)
	}
	for _, name := range []string{code, vars} {
		if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if fw, err := Find(); err != nil || fw != (Firmware{Code: code, Vars: vars}) {
		t.Errorf("Find() = %v, %v; want the files named", fw, err)
	}
	t.Setenv("ALPHAOS_QEMU", filepath.Join(dir, "no-qemu"))
	if _, err := Program(); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("Program() without QEMU: %v; want ErrNotInstalled", err)
	}
}

func TestSerialTextIsClean(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"plain\r\n", "plain\n"},
		{"\x1b[2J\x1b[01;01H\x1b[=3hboot", "boot"},
		{"\x1b[1m\x1b[33mShell>\x1b[0m x", "Shell> x"},
		{"\x1b]0;title\x07a\x1b]0;t\x1b\\b", "ab"},
		{"\x1b(Bä\x1bMb", "äb"},
		{"half\x1b[", "half"},
	} {
		whole := newSerialLog(nil)
		whole.Write([]byte(c.raw))
		bytewise := newSerialLog(nil)
		for i := range len(c.raw) {
			bytewise.Write([]byte{c.raw[i]})
		}
		if got := whole.text(); got != c.want {
			t.Errorf("%q: %q, want %q", c.raw, got, c.want)
		}
		if got := bytewise.text(); got != c.want {
			t.Errorf("%q byte by byte: %q, want %q", c.raw, got, c.want)
		}
	}
}

func TestSerialMatchesInOrder(t *testing.T) {
	s := newSerialLog(nil)
	s.Write([]byte("you> hello\r\nyou> "))
	vm := &VM{serial: s, exited: make(chan struct{})}
	ctx := context.Background()
	if got, err := vm.Expect(ctx, "you> "); got != "you> " || err != nil {
		t.Fatalf("first match %q, %v", got, err)
	}
	if got, err := vm.Expect(ctx, "you> "); got != "hello\nyou> " || err != nil {
		t.Fatalf("second match %q, %v", got, err)
	}
	go s.Write([]byte("b before a"))
	if i, got, err := vm.ExpectAny(ctx, "a", "b"); i != 1 || got != "b" || err != nil {
		t.Fatalf("ExpectAny = %d, %q, %v; want what came first", i, got, err)
	}
}

func TestDecodePPM(t *testing.T) {
	good := "P6\n2 1\n255\n\x01\x02\x03\xff\x00\x00"
	img, err := decodePPM(bufio.NewReader(strings.NewReader(good)))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := img.At(0, 0).RGBA(); r>>8 != 1 || g>>8 != 2 || b>>8 != 3 {
		t.Errorf("pixel 0 is %d %d %d", r>>8, g>>8, b>>8)
	}
	for _, bad := range []string{"", "P5\n2 1\n255\n", "P6\n-1 1\n255\n", "P6\n99999 99999\n255\n", good[:len(good)-1], "P6\n1 1\n65535\nxxxxxx"} {
		if _, err := decodePPM(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzSerialClean(f *testing.F) {
	f.Add([]byte("\x1b[2Jx\x1b]0;t\x07y"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newSerialLog(nil)
		s.Write(raw)
		if clean := s.text(); strings.ContainsAny(clean, "\x1b\r\x00") || len(clean) > len(raw) {
			t.Errorf("%q cleaned to %q", raw, clean)
		}
		if !bytes.Equal(s.bytes(), raw) {
			t.Error("raw bytes changed")
		}
	})
}
