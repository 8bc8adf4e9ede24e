package uefi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	err := fmt.Errorf("reading: %w", NoMedia.Err())
	if !errors.Is(err, NoMedia) || errors.Is(err, MediaChanged) {
		t.Error("errors.Is does not tell statuses apart")
	}
	if got, want := err.Error(), "reading: EFI_NO_MEDIA (there is no medium in the device)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, s := range []Status{Success, WarnUnknownGlyph, WarnResetRequired} {
		if s.Err() != nil {
			t.Errorf("%v is an error", s)
		}
	}
	// The numbers of Appendix D, for a few that must be right.
	for s, n := range map[Status]uintptr{DeviceError: 7, NoMedia: 12, MediaChanged: 13, NotFound: 14, EndOfFile: 31, HTTPError: 35} {
		if uintptr(s) != n|1<<63 {
			t.Errorf("%v is %#x", s, uintptr(s))
		}
	}
	if got := Status(1<<63 | 999).Error(); !strings.Contains(got, "0x80000000000003e7") {
		t.Errorf("unknown status prints %q", got)
	}
	seen := map[string]int{}
	for i, list := range [][][2]string{warningText[:], errorText[:]} {
		for n, text := range list {
			if other, dup := seen[text[0]]; dup && text[0] != "" {
				t.Errorf("%d and %d of list %d are both %s", other, n, i, text[0])
			}
			seen[text[0]] = n
		}
	}
}

func TestGUID(t *testing.T) {
	b := []byte{0x21, 0x5b, 0x4e, 0x96, 0x59, 0x64, 0xd2, 0x11, 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}
	if g := GUIDAt(b); g != BlockIOGUID || g.String() != "964e5b21-6459-11d2-8e39-00a0c969723b" {
		t.Errorf("%+v prints %s", g, g)
	}
}

// Two names for one GUID would count something twice.
func TestKnown(t *testing.T) {
	for _, list := range [][]Known{KnownProtocols[:], KnownTables[:]} {
		names, guids := map[string]bool{}, map[GUID]bool{}
		for _, k := range list {
			if names[k.Name] || guids[k.GUID] || k.GUID == (GUID{}) || k.Name == "" {
				t.Errorf("%q %s stands twice, or for nothing", k.Name, k.GUID)
			}
			names[k.Name], guids[k.GUID] = true, true
		}
	}
}
