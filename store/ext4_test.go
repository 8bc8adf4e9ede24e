package store_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"alphaos/fs"
	"alphaos/fs/ext4"
	"alphaos/fs/fstest"
	"alphaos/fs/luks"
	"alphaos/store"
)

var ext4Cuts = flag.Int("ext4-cuts", 60, "how many cuts of power TestOnExt4 simulates, half of them in LUKS2")

// plain is a partition without encryption.
type plain struct{ fs.BlockDevice }

func (plain) Close() {}

// TestOnExt4 keeps talking on an ext4 volume, plain and encrypted, while files are written on it and the power goes again and again, with sectors
// that reach the medium in any order and are torn: no acknowledged word is ever lost, and e2fsck finds nothing wrong.
func TestOnExt4(t *testing.T) {
	for _, program := range []string{"mke2fs", "e2fsck"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" { // where all that make test installs is there
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	const size, name = 24 << 20, "journal/journal.log"
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %t", encrypted), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 3))
			img := filepath.Join(t.TempDir(), "knowledge.img")
			run := func(name string, args ...string) {
				t.Helper()
				if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, out)
				}
			}
			if err := os.WriteFile(img, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-O", "metadata_csum,64bit", img)
			made, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			disk := fstest.Device{Disk: fstest.New(size+2<<20, 512, 0, r)}
			key := []byte("five words")
			formatted := false
			open := func() interface {
				fs.BlockDevice
				Close()
			} {
				t.Helper()
				if !encrypted {
					return plain{fs.Section(disk, 0, size/512)}
				}
				if !formatted {
					_, dev, err := luks.Format(disk, key, luks.Options{Sector: 512, Offset: 2 << 20, Cost: luks.Cost{Memory: 32 << 10, Passes: 1}})
					if err != nil {
						t.Fatal(err)
					}
					formatted = true
					return dev
				}
				dev, err := luks.Open(disk, key)
				if err != nil {
					t.Fatal(err)
				}
				return dev
			}
			dev := open()
			if err := dev.WriteBlocks(0, made); err != nil {
				t.Fatal(err)
			}
			v, err := ext4.Mount(dev)
			if err == nil {
				err = v.Mkdir("journal")
			}
			if err == nil {
				err = v.WriteFile(name, make([]byte, 256<<10))
			}
			if err == nil {
				err = v.Sync()
			}
			if err != nil {
				t.Fatal(err)
			}
			dev.Close()
			disk.PowerOn()
			var said []string
			for cut := range *ext4Cuts / 2 {
				dev := open()
				v, err := ext4.Mount(dev)
				if err != nil {
					t.Fatalf("cut %d: %v", cut, err)
				}
				f, err := v.OpenInPlace(name)
				if err != nil {
					t.Fatalf("cut %d: %v", cut, err)
				}
				s, rec, err := store.Open(f, nil)
				if err != nil {
					t.Fatalf("cut %d: %v", cut, err)
				}
				var have []string
				for _, m := range s.Conversation() {
					have = append(have, m.Text)
				}
				if len(rec.Holes) > 0 || len(have) < len(said) {
					t.Fatalf("cut %d: %d of %d messages, holes %v", cut, len(have), len(said), rec.Holes)
				}
				for i := range said {
					if have[i] != said[i] {
						t.Fatalf("cut %d: message %d is %q, want %q", cut, i, have[i], said[i])
					}
				}
				said = have // a message that was cut may be there as well
				if len(said) > 200 {
					if err := s.NewConversation(); err != nil {
						t.Fatal(err)
					}
					said = nil
				}
				disk.CutAfter(1 + r.IntN(200))
				for i := 0; err == nil; i++ {
					text := fmt.Sprintf("message %d of session %d, and some more words", i, cut)
					if err = s.AddUser(text); err == nil {
						said = append(said, text)
						err = v.WriteFile(fmt.Sprintf("copy %d.md", r.IntN(9)), make([]byte, r.IntN(30000)))
					}
					if err == nil && r.IntN(4) == 0 {
						err = v.Rename(fmt.Sprintf("copy %d.md", r.IntN(9)), "journal/older.md")
						if errors.Is(err, os.ErrNotExist) {
							err = nil
						}
					}
				}
				if !errors.Is(err, fstest.ErrPowerCut) {
					t.Fatalf("cut %d: %v", cut, err)
				}
				dev.Close()
				disk.PowerOn()
				if cut%10 == 9 { // mended by us, and looked at by others
					dev := open()
					v, err := ext4.Mount(dev)
					if err == nil {
						err = v.WriteFile("mended", []byte("now"))
					}
					if err == nil {
						err = v.Sync()
					}
					b := make([]byte, size)
					for at := 0; at < len(b); at += 512 {
						_ = dev.ReadBlocks(uint64(at/512), b[at:at+512]) // what is torn may be unreadable, and needed by nothing
					}
					if err == nil {
						err = os.WriteFile(img, b, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
					dev.Close()
					run("e2fsck", "-fn", img)
				}
			}
			if len(said) == 0 {
				t.Error("nothing was said")
			}
		})
	}
}
