package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/fstest"
	"alphaos/fs/volume"
	"alphaos/internal/vmtest"
	"alphaos/store"
)

// On a real drive layout, through the FAT file system: the power goes in one
// write after the other, and no acknowledged word is ever lost.
func TestOnDrive(t *testing.T) {
	image, err := os.ReadFile(vmtest.NewDrive(t, create.Options{Size: 64 << 20, Journal: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	disk := fstest.New(int64(len(image)), 512, 0, rand.New(rand.NewPCG(1, 2)))
	copy(disk.Bytes(), image)
	d, err := fs.NewFileDevice(disk, disk.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}

	var said []string
	session := func(cut int) {
		defer disk.PowerOn()
		medium, err := volume.List(d)
		if err != nil {
			t.Fatal(err)
		}
		vol, err := fat.Mount(medium.Volumes[0])
		if err != nil {
			t.Fatal(err)
		}
		f, err := vol.OpenInPlace(drive.JournalPath)
		if err != nil {
			t.Fatal(err)
		}
		s, rec, err := store.Open(f, nil)
		if err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		msgs := s.Conversation()
		if len(rec.Holes) > 0 || len(msgs) < len(said) {
			t.Fatalf("cut %d: %d of %d messages, holes %v", cut, len(msgs), len(said), rec.Holes)
		}
		for i := range said {
			if msgs[i].Text != said[i] {
				t.Fatalf("cut %d: message %d is %q, want %q", cut, i, msgs[i].Text, said[i])
			}
		}
		said = said[:0] // a message that was cut may be there as well
		for _, m := range msgs {
			said = append(said, m.Text)
		}
		disk.CutAfter(cut)
		for i := range 4 {
			text := fmt.Sprintf("message %d of session %d, and some more words", i, cut)
			if err := s.AddUser(text); err != nil {
				if !errors.Is(err, fstest.ErrPowerCut) {
					t.Fatal(err)
				}
				return
			}
			said = append(said, text)
		}
	}
	for i := range 25 {
		session(1 + i*6) // sectors and flushes
	}
	session(1 << 30)
	if len(said) < 50 {
		t.Errorf("only %d messages were said", len(said))
	}
}
