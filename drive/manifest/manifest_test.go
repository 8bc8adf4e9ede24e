package manifest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/internal/petest"
	"alphaos/uefi/authenticode"
)

var when = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// keys are the person's and somebody else's.
var keys = sync.OnceValue(func() (list [2]*authenticode.Key) {
	for i := range list {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(1 + i)), Subject: pkix.Name{CommonName: []string{"mine", "them"}[i]}, NotBefore: when, NotAfter: when.AddDate(1, 0, 0)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
		if err != nil {
			panic(err)
		}
		parsed, err := authenticode.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		list[i] = &authenticode.Key{Private: private, Certificate: parsed}
	}
	return list
})

// disk is a drive of the full layout.
type disk struct{ fstest.MapFS }

func (d disk) Where(name string) string { return drive.Full.Where(name) }

func (d disk) set(name string, content []byte) { d.MapFS[name] = &fstest.MapFile{Data: content} }

func program(t testing.TB, by ...*authenticode.Key) []byte {
	t.Helper()
	image := petest.Program()
	for _, k := range by {
		var err error
		if image, err = authenticode.Sign(image, k, when); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

// signed is a drive with a manifest by a key.
func signed(t testing.TB, by *authenticode.Key) disk {
	t.Helper()
	d := disk{fstest.MapFS{}}
	d.set(drive.EFIPath, program(t, keys()[0]))
	d.set("models/a.gguf", bytes.Repeat([]byte("weights "), 1<<20))
	d.set("models/a.gguf.sha256", []byte("its checksum\n"))
	d.set("models/more/b <&> ü.gguf", []byte("b"))
	d.set("models/._a.gguf", []byte("left by macOS"))
	d.set("fonts/f.ttf", []byte("font"))
	d.set("documents/notes.md", []byte("not listed"))
	sign(t, d, by)
	return d
}

func sign(t testing.TB, d disk, by *authenticode.Key) {
	t.Helper()
	m, err := Make(t.Context(), d, when, func(done, total int64) {
		if done > total {
			t.Errorf("%d of %d", done, total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	text, signature, err := m.Sign(by)
	if err != nil {
		t.Fatal(err)
	}
	d.set(drive.ManifestPath, text)
	d.set(drive.ManifestSigPath, signature)
}

// What is wrong with a drive is said in one sentence for each file, and whose the manifest is.
func TestVerify(t *testing.T) {
	mine, theirs := keys()[0], keys()[1]
	fingerprint := mine.Certificate.Fingerprint()
	for _, c := range []struct {
		what   string
		do     func(d disk)
		by     *authenticode.Key // mine if nil
		named  string            // a fingerprint
		known  bool
		saying string   // within the sentence about the key
		wrong  []string // sentences
		err    string
	}{
		{what: "all right", known: true, saying: `The manifest of 4 March 2026 is signed by "CN=mine", by whom the program is signed, too.`},
		{what: "all right, by a fingerprint", named: fingerprint, known: true, saying: "whom you named"},
		{what: "all right, by the beginning of one", named: strings.ToLower(strings.ReplaceAll(fingerprint, ":", " "))[:50], known: true, saying: "whom you named"},
		{what: "a bit", do: func(d disk) { d.MapFS["models/a.gguf"].Data[5<<20] ^= 1 }, known: true,
			wrong: []string{"/models/a.gguf on ALPHAOS_SYS is not what was signed: something else is in it."}},
		{what: "a size", do: func(d disk) { d.set("fonts/f.ttf", nil) }, known: true,
			wrong: []string{"/fonts/f.ttf on ALPHAOS_SYS is not what was signed: it has 0 bytes, and had 4."}},
		{what: "missing and added", do: func(d disk) {
			delete(d.MapFS, "models/more/b <&> ü.gguf")
			d.set("models/more/b <&> Ü.gguf", []byte("b"))
			d.set("EFI/alphaos/alphaos.efi", program(t, mine))
		}, known: true, wrong: []string{
			"/models/more/b <&> ü.gguf on ALPHAOS_SYS is missing: it was signed, and is not on the drive.",
			"/EFI/alphaos/alphaos.efi on ALPHAOS_ESP is not listed: it was not there when the drive was signed.",
			"/models/more/b <&> Ü.gguf on ALPHAOS_SYS is not listed: it was not there when the drive was signed."}},
		{what: "all models gone", do: func(d disk) {
			for name := range d.MapFS {
				if strings.HasPrefix(name, "models/") && name != "models/a.gguf" {
					delete(d.MapFS, name)
				}
			}
		}, known: true, wrong: []string{
			"/models/a.gguf.sha256 on ALPHAOS_SYS is missing: it was signed, and is not on the drive.",
			"/models/more/b <&> ü.gguf on ALPHAOS_SYS is missing: it was signed, and is not on the drive."}},
		{what: "by another key", by: theirs, err: `the manifest is by another key: it is signed by "CN=them", whose certificate has the fingerprint ` + theirs.Certificate.Fingerprint() + `, and the program on this drive by "CN=mine"; what it says is worth nothing`},
		{what: "by another key than the one named", named: theirs.Certificate.Fingerprint(), err: "and not by the one that you named"},
		{what: "too little of a fingerprint", named: fingerprint[:40], err: "is no fingerprint"},
		{what: "no fingerprint", named: strings.Repeat("xy", 32), err: "is no fingerprint"},
		{what: "all by another key", by: theirs, do: func(d disk) { d.set(drive.EFIPath, program(t, theirs)) }, known: true, saying: `by "CN=them", by whom the program`,
			wrong: []string{"/EFI/BOOT/BOOTX64.EFI on ALPHAOS_ESP is not what was signed: something else is in it."}},
		{what: "all by another key, and mine is named", by: theirs, named: fingerprint, do: func(d disk) { d.set(drive.EFIPath, program(t, theirs)) }, err: "and not by the one that you named"},
		{what: "an unsigned program", do: func(d disk) { d.set(drive.EFIPath, program(t)); sign(t, d, mine) },
			saying: "has the fingerprint " + fingerprint + ". Nothing on the drive vouches for that, as the program, /EFI/BOOT/BOOTX64.EFI on ALPHAOS_ESP, is not signed: compare it"},
		{what: "an unsigned program, and a fingerprint", do: func(d disk) { d.set(drive.EFIPath, program(t)); sign(t, d, mine) }, named: fingerprint, known: true},
		// Whoever can write to the drive can add a signature to the program, and the firmware still starts it.
		{what: "a signature added", by: theirs, do: func(d disk) { d.set(drive.EFIPath, program(t, theirs, mine)); sign(t, d, theirs) }, saying: `as the program is signed by two keys, those of "CN=them" and "CN=mine"`},
		{what: "a second program", by: theirs, do: func(d disk) { d.set(drive.ChainedPath, program(t, theirs)); sign(t, d, theirs) }, saying: "is signed by two keys"},
		{what: "no program", do: func(d disk) { delete(d.MapFS, drive.EFIPath) }, saying: "as there is no program on the drive",
			wrong: []string{"/EFI/BOOT/BOOTX64.EFI on ALPHAOS_ESP is missing: it was signed, and is not on the drive."}},
		{what: "a changed program", do: func(d disk) { d.MapFS[drive.EFIPath].Data[0x280] ^= 1 }, saying: "does not hold: signature 1: the image was changed after it was signed",
			wrong: []string{"/EFI/BOOT/BOOTX64.EFI on ALPHAOS_ESP is not what was signed: something else is in it."}},
		{what: "no manifest", do: func(d disk) { delete(d.MapFS, drive.ManifestPath) }, err: "this drive has no signed manifest"},
		{what: "no signature", do: func(d disk) { delete(d.MapFS, drive.ManifestSigPath) }, err: "has no signature beside it"},
		{what: "a changed manifest", do: func(d disk) { d.MapFS[drive.ManifestPath].Data[20] ^= 1 }, err: "/manifest.json on ALPHAOS_SYS, is not what was signed"},
		{what: "no signature but something else", do: func(d disk) { d.set(drive.ManifestSigPath, []byte("signed!")) }, err: "is not PKCS #7"},
		{what: "a huge signature", do: func(d disk) { d.set(drive.ManifestSigPath, make([]byte, maxSignature+1)) }, err: "which is too much"},
		{what: "a huge manifest", do: func(d disk) { d.set(drive.ManifestPath, make([]byte, maxText+1)) }, err: "which is too much"},
	} {
		t.Run(c.what, func(t *testing.T) {
			by := c.by
			if by == nil {
				by = mine
			}
			d := signed(t, by)
			if c.do != nil {
				c.do(d)
			}
			last, all := int64(0), int64(0)
			r, err := VerifyBy(t.Context(), d, c.named, func(done, total int64) {
				if done < last || done > total {
					t.Errorf("%d after %d of %d", done, last, total)
				}
				last, all = done, total
			})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || r != nil {
					t.Errorf("%+v, %v, want %q", r, err, c.err)
				}
				return
			}
			if err != nil || r.Known != c.known || !strings.Contains(r.By, c.saying) || !slices.Equal(r.Wrong, c.wrong) || last != all {
				t.Errorf("%+v, %v, %d of %d", r, err, last, all)
			}
			if ok := strings.HasPrefix(r.Result(), "All 5 files, 8.39 MB, are as "); ok != (c.wrong == nil && c.what != "a second program") {
				t.Error(r.Result())
			}
		})
	}
}

// fragile fails to open or read a file.
type fragile struct {
	disk
	name string
	err  error
}

func (f fragile) Open(name string) (iofs.File, error) {
	if name == f.name {
		return nil, f.err
	}
	return f.disk.Open(name)
}

func TestInterrupted(t *testing.T) {
	d := signed(t, keys()[0])
	ctx, cancel := context.WithCancel(t.Context())
	r, err := VerifyBy(ctx, d, "", func(done, _ int64) {
		if done > 5<<20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || r == nil || r.Right != 2 { // the program and a font
		t.Errorf("%+v, %v", r, err)
	}
	r, err = VerifyBy(t.Context(), fragile{d, "models/a.gguf", fs.ErrIO}, "", func(int64, int64) {})
	if err != nil || len(r.Wrong) != 1 || !strings.HasPrefix(r.Wrong[0], "/models/a.gguf on ALPHAOS_SYS can't be read: ") || r.Right != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, name := range []string{"models/a.gguf", drive.EFIPath, drive.ManifestPath} {
		if _, err := VerifyBy(t.Context(), fragile{d, name, fs.ErrRemoved}, "", func(int64, int64) {}); !errors.Is(err, fs.ErrRemoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A manifest is read as it was written, and those that make no sense are refused.
func TestParse(t *testing.T) {
	m := &Manifest{Made: when}
	for _, name := range []string{"models/b", "fonts/x y.ttf", "models/ü\"<.gguf", "models/a", drive.EFIPath, "models/b"} {
		m.Set(File{name, int64(len(name)), sha256.Sum256([]byte(name))})
	}
	if again, err := Parse(m.Text()); err != nil || !reflect.DeepEqual(again, m) || len(again.Files) != 5 {
		t.Errorf("%+v, %v", again, err)
	}
	file := func(name string) string {
		return fmt.Sprintf(`{"version": 1, "made": "2026-03-04T05:06:07Z", "files": [{"name": %q, "size": 1, "sha256": %q}]}`, name, strings.Repeat("0a", 32))
	}
	if _, err := Parse([]byte(file("models/a"))); err != nil {
		t.Error(err)
	}
	two := strings.Replace(file("models/a"), "[", `[{"name": "models/a", "size": 1, "sha256": "`+strings.Repeat("0A", 32)+`"},`, 1)
	many := strings.Replace(file("models/a"), "]", strings.Repeat(",{}", maxFiles)+"]", 1)
	for text, want := range map[string]string{
		"":                            "makes no sense",
		"[]":                          "makes no sense",
		`{"version": 1} {}`:           "follows its end",
		`{"version": 2, "files": []}`: "use a newer one",
		file("../models/a"):           "no file below",
		file("models/../data/a"):      "no file below",
		file("/models/a"):             "no file below",
		file("models//a"):             "no file below",
		file("models/a/"):             "no file below",
		file("models"):                "no file below",
		file("modelsx/a"):             "no file below",
		file("models/.a"):             "no file below",
		file(`models\a`):              "no file below",
		file("models/a\u202eb"):       "no file below",
		file("data/journal/a"):        "no file below",
		file("models/\ufffd"):         "no file below",
		file("models/a\nb"):           "no file below",
		file("efi/boot/bootx64.efi"):  "no file below",
		file("models/" + strings.Repeat("a", maxName)): "no file below",
		two:  "twice",
		many: "more than 4096 files",
		strings.Replace(file("models/a"), `: 1,`, `: -1,`, 2):             "version -1",
		strings.Replace(file("models/a"), `"size": 1`, `"size": -1`, 1):   "has -1 bytes",
		strings.Replace(file("models/a"), `"size": 1`, `"size": 1e99`, 1): "makes no sense",
		strings.Replace(file("models/a"), "0a", "0", 1):                   "no SHA-256",
		strings.Replace(file("models/a"), "0a", "0a0a", 1):                "no SHA-256",
		strings.Replace(file("models/a"), "0a", "0x", 1):                  "no SHA-256",
		strings.Repeat(" ", maxText) + file("models/a"):                   "more than",
		strings.Repeat("[", 1<<20):                                        "makes no sense",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
	// What can't be listed is not signed.
	d := disk{fstest.MapFS{}}
	d.set("models/a\u202eb.gguf", nil)
	m, err := Make(t.Context(), d, when, func(int64, int64) {})
	if err == nil {
		_, _, err = m.Sign(keys()[0])
	}
	if err == nil || !strings.Contains(err.Error(), "can't be made") {
		t.Error(err)
	}
	d.set("models/"+strings.Repeat("d/", maxDepth+1)+"a", nil)
	if _, err := List(d); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Error(err)
	}
	delete(d.MapFS, "models/"+strings.Repeat("d/", maxDepth+1)+"a")
	for i := range maxFiles {
		d.set(fmt.Sprint("fonts/", i), nil)
	}
	if _, err := List(d); err != errTooMany {
		t.Error(err)
	}
}

// Whatever stands in a manifest and its signature, only what was signed is believed, and what is read is within bounds.
func FuzzManifest(f *testing.F) {
	d := signed(f, keys()[0])
	text, signature := d.MapFS[drive.ManifestPath].Data, d.MapFS[drive.ManifestSigPath].Data
	f.Add(text, signature)
	f.Add([]byte(`{"version":1,"made":"2026-03-04T05:06:07Z","files":[{"name":"models/../x","size":-1,"sha256":""}]}`), signature)
	f.Fuzz(func(t *testing.T, got, sig []byte) {
		d := disk{fstest.MapFS{}}
		d.set(drive.EFIPath, program(t))
		d.set(drive.ManifestPath, got)
		d.set(drive.ManifestSigPath, sig)
		if _, by, err := Read(d); err == nil && by.Key.Equal(keys()[0].Certificate.Key) && !bytes.Equal(got, text) {
			t.Errorf("%q was not signed", got)
		}
		m, err := Parse(got)
		if err != nil {
			return
		}
		if again, err := Parse(m.Text()); err == nil && !slices.Equal(again.Files, m.Files) {
			t.Errorf("%+v became %+v", m, again)
		}
		r := &Report{}
		if err := r.compare(t.Context(), d, m, func(int64, int64) {}); err != nil {
			t.Error(err)
		}
	})
}
