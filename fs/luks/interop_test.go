package luks

// What cryptsetup makes opens here, and what is made here cryptsetup opens, down to the plain text. Plain files
// need no device mapper.

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alphaos/fs"
)

// others is a folder with an image and the files of two passphrases.
type others struct {
	*testing.T
	image, one, two string
}

func newOthers(t *testing.T) others {
	t.Helper()
	if _, err := exec.LookPath("cryptsetup"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("cryptsetup is missing: tools/install.sh test installs it")
		}
		t.Skip("cryptsetup is missing: tools/install.sh test installs it")
	}
	dir := t.TempDir()
	o := others{t, filepath.Join(dir, "image"), filepath.Join(dir, "one"), filepath.Join(dir, "two")}
	for name, b := range map[string][]byte{o.one: []byte("pässword one"), o.two: []byte("two"), o.image: make([]byte, imageSize)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// decryptAll has cryptsetup decrypt the data of every set and not of some only, which takes a second each.
var decryptAll = flag.Bool("decrypt", false, "have cryptsetup decrypt the data of all sets of parameters")

const (
	imageSize = 8 << 20
	dataAt    = 4 << 20
)

// cryptsetup runs it.
func (o others) cryptsetup(args ...string) {
	o.Helper()
	args = append(args, "--disable-locks", "-q", o.image)
	if args[0] == "luksAddKey" {
		args = append(args, o.two)
	}
	if out, err := exec.Command("cryptsetup", args...).CombinedOutput(); err != nil {
		o.Fatalf("cryptsetup %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (o others) device(block int) *fs.FileDevice {
	o.Helper()
	dev, err := fs.OpenFileDevice(o.image, block, true)
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { dev.Close() })
	return dev
}

// volumeKey returns what cryptsetup says the volume's key is.
func (o others) volumeKey() []byte {
	o.Helper()
	out, err := exec.Command("cryptsetup", "luksDump", "--dump-volume-key", "--disable-locks", "-q", "--key-file", o.one, o.image).Output()
	if err != nil {
		o.Fatal(err)
	}
	_, dump, _ := strings.Cut(string(out), "MK dump:")
	key, err := hex.DecodeString(strings.Join(regexp.MustCompile(`\b[0-9a-f]{2}\b`).FindAllString(dump, -1), ""))
	if err != nil {
		o.Fatal(err)
	}
	return key
}

// plain has cryptsetup decrypt the image and returns the data.
func (o others) plain(key string) []byte {
	o.Helper()
	o.cryptsetup("reencrypt", "--decrypt", "--force-offline-reencrypt", "--key-file", key, "--header", o.image+".header")
	b, err := os.ReadFile(o.image)
	if err != nil {
		o.Fatal(err)
	}
	return b[:imageSize-dataAt]
}

// text is some that differs in each block.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of what is to be kept\n", i)
	}
	return b.Bytes()[:n]
}

func TestFromOthers(t *testing.T) {
	type set struct {
		name  string
		block int
		args  []string

		decrypt bool // also the data, which takes longer
	}
	var sets []set
	for _, hash := range []string{"sha1", "sha256", "sha512"} {
		for _, bits := range []string{"256", "512"} {
			sets = append(sets, set{"luks1-" + hash + "-" + bits, 512, []string{"--type", "luks1", "--hash", hash, "--key-size", bits, "--pbkdf-force-iterations", "1000", "--align-payload", "8192"}, hash+bits == "sha1256"})
		}
	}
	for _, sector := range []int{512, 4096} {
		luks2 := []string{"--type", "luks2", "--sector-size", fmt.Sprint(sector), "--offset", "8192"}
		for _, hash := range []string{"sha1", "sha256", "sha512"} {
			sets = append(sets, set{fmt.Sprintf("luks2-pbkdf2-%s-%d", hash, sector), 512, append(luks2[:len(luks2):len(luks2)], "--pbkdf", "pbkdf2", "--hash", hash, "--pbkdf-force-iterations", "1000"), false})
		}
		for _, kind := range []string{"argon2i", "argon2id"} {
			for _, lanes := range []string{"1", "4"} {
				sets = append(sets, set{fmt.Sprintf("luks2-%s-%s-%d", kind, lanes, sector), sector, append(luks2[:len(luks2):len(luks2)], "--pbkdf", kind, "--pbkdf-memory", "100", "--pbkdf-parallel", lanes, "--pbkdf-force-iterations", "5"), kind+lanes == "argon2id4"})
			}
		}
	}
	for _, s := range sets {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o := newOthers(t)
			o.cryptsetup(append([]string{"luksFormat", "--key-file", o.one}, s.args...)...)
			add := []string{"luksAddKey", "--key-file", o.one, "--pbkdf-force-iterations", "1000"}
			luks2 := strings.HasPrefix(s.name, "luks2")
			if luks2 {
				add = append(add, "--pbkdf", "pbkdf2")
			}
			o.cryptsetup(add...)
			dev := o.device(s.block)
			if luks2 { // each copy of the header in turn
				for _, at := range []int64{4200, 16384 + 4200} {
					f, err := os.OpenFile(o.image, os.O_RDWR, 0)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := f.WriteAt([]byte("damage"), at); err != nil {
						t.Fatal(err)
					}
					f.Close()
					v, err := Read(dev)
					if err != nil || !v.Stale() {
						t.Fatalf("damaged at %d: %v", at, err)
					}
					d, err := v.Unlock([]byte("two"))
					if err != nil {
						t.Fatal(err)
					}
					d.Close()
					if err := v.Repair(); err != nil {
						t.Fatal(err)
					}
				}
			}
			d, err := Open(dev, []byte("pässword one"))
			if err != nil {
				t.Fatal(err)
			}
			want := text(imageSize - dataAt)
			if int(d.Blocks())*d.BlockSize() != len(want) {
				t.Errorf("%d blocks of %d bytes", d.Blocks(), d.BlockSize())
			}
			if err := d.WriteBlocks(0, want); err != nil {
				t.Fatal(err)
			}
			d.Close()
			if _, err := Open(dev, []byte("password one")); !errors.Is(err, ErrPassphrase) {
				t.Errorf("a wrong passphrase: %v", err)
			}
			v, err := Read(dev)
			if err != nil {
				t.Fatal(err)
			}
			key, _, err := v.volumeKey([]byte("two"))
			if want := o.volumeKey(); err != nil || !bytes.Equal(key, want) {
				t.Errorf("not the volume key that cryptsetup has, error %v", err)
			}
			if !s.decrypt && !*decryptAll {
				return
			}
			if !luks2 {
				o.cryptsetup("convert", "--type", "luks2")
			}
			if got := o.plain(o.two); !bytes.Equal(got, want) {
				t.Error("cryptsetup decrypts other data than were written here")
			}
		})
	}
}

func sectors() int {
	if *decryptAll {
		return 2
	}
	return 1
}

// What cryptsetup encrypts is read here.
func TestReadsOthers(t *testing.T) {
	for _, sector := range []int{4096, 512}[:sectors()] {
		o := newOthers(t)
		want := text(40 << 20)
		if err := os.WriteFile(o.image, want, 0o600); err != nil {
			t.Fatal(err)
		}
		o.cryptsetup("reencrypt", "--encrypt", "--type", "luks2", "--sector-size", fmt.Sprint(sector), "--reduce-device-size", "32M", "--key-file", o.one,
			"--pbkdf", "argon2id", "--pbkdf-memory", "64", "--pbkdf-parallel", "1", "--pbkdf-force-iterations", "4", "--force-offline-reencrypt")
		d, err := Open(o.device(512), []byte("pässword one"))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Blocks()*uint64(d.BlockSize()))
		if err := d.ReadBlocks(0, got); err != nil || !bytes.Equal(got[:8<<20], want[:8<<20]) { // the rest had to be free
			t.Errorf("sectors of %d: %d bytes, not what was encrypted, error %v", sector, len(got), err)
		}
	}
}

func TestForOthers(t *testing.T) {
	for _, c := range []struct{ block, sector int }{{512, 512}, {512, 4096}, {4096, 4096}} {
		for _, slots := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d-%d-%d", c.block, c.sector, slots), func(t *testing.T) {
				t.Parallel()
				o := newOthers(t)
				v, d, err := Format(o.device(c.block), []byte("pässword one"), Options{Sector: c.sector, Label: "ALPHAOS_DATA", Cost: cheap, Offset: dataAt})
				if err != nil {
					t.Fatal(err)
				}
				want := text(imageSize - dataAt)
				if err := d.WriteBlocks(0, want); err != nil {
					t.Fatal(err)
				}
				key := o.one
				if slots > 1 {
					if err := v.Add([]byte("pässword one"), []byte("two"), cheap, true); err != nil {
						t.Fatal(err)
					}
					o.cryptsetup("open", "--test-passphrase", "--key-file", o.two)
					if err := v.Change([]byte("pässword one"), []byte("other"), cheap); err != nil {
						t.Fatal(err)
					}
					key = o.two
				}
				o.cryptsetup("open", "--test-passphrase", "--key-file", key)
				// It changes what we made, and we what it did.
				if slots == 1 {
					o.cryptsetup("luksAddKey", "--key-file", o.one, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
					if v, err = Read(o.device(c.block)); err != nil {
						t.Fatal(err)
					}
					if err := v.Remove([]byte("pässword one")); err != nil {
						t.Fatal(err)
					}
					key = o.two
				}
				if out, err := exec.Command("cryptsetup", "luksDump", "--disable-locks", o.image).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("ALPHAOS_DATA")) || !bytes.Contains(out, []byte(v.UUID)) {
					t.Errorf("luksDump: %s, error %v", out, err)
				}
				if slots == 2 && c.block == c.sector && !*decryptAll {
					return
				}
				if got := o.plain(key); !bytes.Equal(got, want) {
					t.Error("cryptsetup decrypts other data than were written here")
				}
			})
		}
	}
}
