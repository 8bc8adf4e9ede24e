package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestFirmwareFilter(t *testing.T) {
	const clear = "\x1b[2J\x1b[01;01H\x1b[=3h"
	in := clear + "BdsDxe: loading Boot0001\r\n\x1b[1mBdsDxe: starting Boot0001\r\n" + clear + "AlphaOS\r\n"
	want := "BdsDxe: loading Boot0001\r\n\x1b[1mBdsDxe: starting Boot0001\r\n" + clear + "AlphaOS\r\n"
	for _, size := range []int{1, 2, 7, len(in)} {
		var out bytes.Buffer
		f := &firmwareFilter{w: &out}
		for rest := in; rest != ""; {
			n := min(size, len(rest))
			if m, err := f.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatalf("Write = %d, %v", m, err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
}

func TestTypeKeysLeaves(t *testing.T) {
	var vm bytes.Buffer
	if err := typeKeys(strings.NewReader("hi\x03\x1dnot sent"), &vm); err != nil || vm.String() != "hi\x03" {
		t.Errorf("typed %q, %v; want all up to Ctrl-]", vm.String(), err)
	}
	vm.Reset()
	if err := typeKeys(strings.NewReader("hi"), &vm); err != io.EOF || vm.String() != "hi" {
		t.Errorf("typed %q, %v; want all, and EOF", vm.String(), err)
	}
}

func TestParseMemory(t *testing.T) {
	for s, want := range map[string]int{"1G": 1024, "8g": 8192, "512M": 512, "2GiB": 2048, "768": 768, "1GB": 1024} {
		if got, err := parseMemory(s); got != want || err != nil {
			t.Errorf("%q = %d, %v; want %d MiB", s, got, err, want)
		}
	}
	for _, s := range []string{"", "G", "1T", "-1G", "0", "64M", "99999999999G", "1.5G"} {
		if got, err := parseMemory(s); err == nil || !strings.Contains(err.Error(), "1G") {
			t.Errorf("%q = %d, %v; want an error that shows how", s, got, err)
		}
	}
}

func TestParseScreen(t *testing.T) {
	if w, h, err := parseScreen("2880x1800"); w != 2880 || h != 1800 || err != nil {
		t.Errorf("2880x1800 = %d, %d, %v", w, h, err)
	}
	for _, s := range []string{"", "1280", "x", "1280x", "1x1", "-1x800", "99999x800"} {
		if _, _, err := parseScreen(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
