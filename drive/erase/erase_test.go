package erase

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"alphaos/drive"
	"alphaos/drive/create"
	"alphaos/fs"
	"alphaos/fs/fstest"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
	"alphaos/internal/vmtest"
)

const (
	passphrase = "five words on a train"
	said       = "The violet armadillo sleeps under my bed"
)

// made is a drive on which something was said.
func made(t *testing.T, e *create.Encryption) []byte {
	t.Helper()
	b := vmtest.Image(t, "full", create.Options{Encrypt: e})
	d, err := drive.Open(fstest.NewDevice(b, 512), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Unlock([]byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	s, _, err := d.OpenJournal(time.Now)
	if err == nil {
		err = errors.Join(s.Begin(), s.AddUser(said), s.End(), d.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// found tells whether 16 bytes of what was said are in b.
func found(b []byte) bool {
	for i := 0; i+16 <= len(said); i++ {
		if bytes.Contains(b, []byte(said[i:i+16])) {
			return true
		}
	}
	return false
}

func TestDrive(t *testing.T) {
	for _, c := range []struct {
		name    string
		e       *create.Encryption
		discard error
	}{
		{"plain", nil, errors.New("it can't")},
		{"encrypted", &create.Encryption{Passphrase: []byte(passphrase), Cost: luks.Cost{Memory: 32 << 10, Passes: 1}}, nil},
	} {
		b := made(t, c.e)
		if found(b) != (c.e == nil) {
			t.Fatalf("%s: what was said is in the image: %v", c.name, found(b))
		}
		dev := fstest.NewDevice(b, 512)
		steps, locked := []string{}, false
		o := Options{
			Discard: func() error { // the keyslots go first
				_, err := drive.Open(dev, true)
				locked = err != nil || c.e == nil
				return c.discard
			},
			Progress: func(step string, total int64) func(int64) {
				steps = append(steps, step)
				return func(done int64) {
					if done > total {
						t.Errorf("%d of %d", done, total)
					}
				}
			},
		}
		r, err := Drive(dev, o)
		if err != nil {
			t.Fatal(err)
		}
		if want := len(b); r.Bytes != int64(want) || r.Discarded != (c.discard == nil) || (r.Keyslots == 1) != (c.e != nil) {
			t.Errorf("%s: %+v", c.name, r)
		}
		if !locked && c.e != nil {
			d, _ := drive.Open(dev, true)
			if d != nil && d.Locked() != nil {
				t.Error("the keyslots were still there when the blocks were given up")
			}
		}
		if strings.Join(steps, ", ") != "Overwriting, Reading back" {
			t.Errorf("steps %q", steps)
		}
		if found(b) || len(bytes.TrimRight(b, "\x00")) > 0 {
			t.Errorf("%s: something is left", c.name)
		}
	}
}

// A quick erasure of an encrypted drive leaves blocks that nobody can read.
func TestQuick(t *testing.T) {
	b := made(t, &create.Encryption{Passphrase: []byte(passphrase), Cost: luks.Cost{Memory: 32 << 10, Passes: 1}})
	dev := fstest.NewDevice(b, 512)
	m, err := volume.List(dev)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Drive(dev, Options{Quick: true})
	if err != nil || r.Keyslots != 1 || r.Bytes != 32<<20 {
		t.Errorf("%+v, error %v", r, err)
	}
	if _, err := luks.Read(m.Volumes[2]); !errors.Is(err, luks.ErrNot) {
		t.Errorf("the partition: %v", err)
	}
	if _, err := volume.List(dev); err == nil {
		t.Error("it still has partitions")
	}
	if found(b) {
		t.Error("what was said is in the image")
	}
}

// A drive that does not write what it is told is found out.
func TestForgery(t *testing.T) {
	b := made(t, nil)
	dev := fstest.NewDevice(b, 512)
	if _, err := Drive(liar{dev}, Options{}); err == nil || !strings.Contains(err.Error(), "does not write what it is told") {
		t.Errorf("error %v", err)
	}
}

type liar struct{ fs.BlockDevice }

func (liar) WriteBlocks(uint64, []byte) error { return nil }

// What was never encrypted is not left to a quick way, and a block that can't be written does not keep the rest.
func TestRest(t *testing.T) {
	b := made(t, nil)
	if _, err := Drive(fstest.NewDevice(b, 512), Options{Quick: true}); !errors.Is(err, ErrPlain) || !found(b) {
		t.Errorf("quick: %v", err)
	}
	dev := fstest.NewDevice(b, 512)
	dev.Fail = func(op fstest.Op, off int64, n int) error {
		if op == fstest.Write && off <= 5<<20 && 5<<20 < off+int64(n) {
			return fs.ErrIO
		}
		return nil
	}
	if _, err := Drive(dev, Options{}); !errors.Is(err, fs.ErrIO) || !strings.Contains(err.Error(), "at 4 MiB") {
		t.Errorf("error %v", err)
	}
	if found(b) || len(bytes.TrimRight(b[8<<20:], "\x00")) > 0 {
		t.Error("the rest was not overwritten")
	}
}
