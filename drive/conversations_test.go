package drive_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"alphaos/drive/create"
	"alphaos/fs"
)

// Files of conversations are written, replaced and removed, and nothing of what they had stays on the volume.
func TestConversationFiles(t *testing.T) {
	dev := newVolume(t, create.Options{})
	d := mount(t, dev)
	c := d.Conversations()
	at := time.Date(2026, 11, 22, 10, 0, 4, 0, time.UTC)
	const name = "2026-11-22-first-words.md"
	text := func(word string) []byte { return []byte(strings.Repeat(word+" ", 3000)) }
	on := func(word string) bool {
		t.Helper()
		all := make([]byte, int(dev.Blocks())*dev.BlockSize())
		if err := dev.ReadBlocks(0, all); err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(all, []byte(word+" "+word))
	}
	if err := c.Write(name, at, text("apricot")); err != nil || !on("apricot") {
		t.Fatal(err)
	}
	if err := c.Write(name, at, text("blackberry")); err != nil || on("apricot") || !on("blackberry") {
		t.Fatal(err)
	}
	c = mount(t, dev).Conversations()
	files, err := c.Files()
	if err != nil || len(files) != 1 || files[0].Name() != name || !files[0].ModTime().Equal(at) {
		t.Errorf("%v, %v", files, err)
	}
	if head, err := c.Head(name, 10); err != nil || string(head) != "blackberry" {
		t.Errorf("%q, %v", head, err)
	}
	if err := c.Remove(name); err != nil || on("blackberry") {
		t.Error(err)
	}
	if files, err := c.Files(); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
	dev.protected = true
	if d := mount(t, dev); d.Conversations() != nil {
		t.Error("there is a place for files on a protected drive")
	}
	if err := c.Remove(name); err == nil || errors.Is(err, fs.ErrReadOnly) {
		t.Errorf("removed twice: %v", err)
	}
}
