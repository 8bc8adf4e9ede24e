package authenticode

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/internal/petest"
)

var when = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// testKey makes a key, and files db.key and db.crt of it in a folder.
func testKey(t testing.TB, name string) (dir string, k *Key) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x1234567890), Subject: pkix.Name{CommonName: name},
		NotBefore: when.Add(-24 * time.Hour), NotAfter: when.AddDate(30, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	petest.Save(t, dir, "db.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	petest.Save(t, dir, "db.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return dir, &Key{private, c}
}

// odd is one with bytes behind its sections, and of a length that is no multiple of eight.
func odd() []byte { return append(petest.Program(), "tail"...) }

// Others accept what Sign makes, and not what was changed after that.
func TestOthersVerify(t *testing.T) {
	dir, k := testKey(t, "signer")
	crt := filepath.Join(dir, "db.crt")
	signed, err := Sign(petest.Program(), k, when)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Sign(petest.Program(), k, when)
	if err != nil || !bytes.Equal(signed, again) {
		t.Errorf("the same input gave other bytes, error %v", err)
	}
	otherDir, other := testKey(t, "another")
	twice, err := Sign(signed, other, when)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(signed)
	changed[0x240] ^= 1
	good, both, bad := petest.Save(t, dir, "good.efi", signed), petest.Save(t, dir, "both.efi", twice), petest.Save(t, dir, "bad.efi", changed)
	t.Run("sbverify", func(t *testing.T) {
		for _, name := range []string{good, both} {
			if said := petest.Run(t, "sbverify", "--cert", crt, name); !strings.Contains(said, "Signature verification OK") || strings.Contains(said, "warning") {
				t.Error(said)
			}
		}
		petest.Run(t, "sbverify", "--cert", filepath.Join(otherDir, "db.crt"), both)
		for _, args := range [][]string{{"--cert", crt, bad}, {"--cert", filepath.Join(otherDir, "db.crt"), good}} {
			if out, err := exec.Command("sbverify", args...).CombinedOutput(); err == nil {
				t.Errorf("%v: %s", args, out)
			}
		}
	})
	t.Run("osslsigncode", func(t *testing.T) {
		// It knows no second signature beside the first.
		said := petest.Run(t, "osslsigncode", "verify", "-CAfile", crt, "-in", good)
		if !strings.Contains(said, "Succeeded") || strings.Contains(said, "MISMATCH") || strings.Contains(said, "invalid PE checksum") {
			t.Error(said)
		}
		if out, err := exec.Command("osslsigncode", "verify", "-CAfile", crt, "-in", bad).CombinedOutput(); err == nil {
			t.Errorf("%s", out)
		}
	})
}

// What others sign verifies here, with the certificate that they signed with, and only so.
func TestVerifyOthers(t *testing.T) {
	dir, k := testKey(t, "signer")
	key, crt := filepath.Join(dir, "db.key"), filepath.Join(dir, "db.crt")
	in := petest.Save(t, dir, "in.efi", petest.Program())
	for _, by := range []struct {
		name string
		args func(out string) []string
	}{
		{"sbsign", func(out string) []string { return []string{"--key", key, "--cert", crt, "--output", out, in} }},
		{"osslsigncode", func(out string) []string {
			return []string{"sign", "-h", "sha256", "-certs", crt, "-key", key, "-in", in, "-out", out}
		}},
		{"osslsigncode", func(out string) []string {
			return []string{"sign", "-h", "sha384", "-certs", crt, "-key", key, "-in", in, "-out", out}
		}},
	} {
		t.Run(by.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.efi")
			petest.Run(t, by.name, by.args(out)...)
			image, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Signatures(image)
			if err != nil || len(s) != 1 || !s[0].Signer.Equal(k.Certificate) {
				t.Fatal(s, err)
			}
			// All of it counts but the checksum, the directory entry and unused room of the table.
			l, err := inspect(image)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < l.table.at; at += 7 {
				if at >= l.checksum && at < l.checksum+4 || at >= l.directory && at < l.directory+8 {
					continue
				}
				image[at] ^= 0x40
				if _, err := Signatures(image); err == nil {
					t.Fatalf("byte %#x was changed, and nobody noticed", at)
				}
				image[at] ^= 0x40
			}
		})
	}
}

func TestDamagedImages(t *testing.T) {
	_, k := testKey(t, "signer")
	signed, err := Sign(petest.Program(), k, when)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(signed); n += 13 {
		if _, err := Signatures(signed[:n]); err == nil {
			t.Fatalf("cut to %d bytes it is signed", n)
		}
	}
	gap := bytes.Clone(petest.Program())
	l, err := inspect(gap)
	if err != nil || l.headers != 0x200 {
		t.Fatal(l, err)
	}
	binary.LittleEndian.PutUint32(gap[0x40+4+coffSize+240+20:], 0x210) // the section begins later,
	binary.LittleEndian.PutUint32(gap[0x40+4+coffSize+240+16:], 0x1f0) // and ends where it did
	if _, err := Sign(gap, k, when); err == nil || !strings.Contains(err.Error(), "between its sections") {
		t.Error(err)
	}
	if _, err := Digest([]byte("#!/bin/sh"), crypto.SHA256); !errors.Is(err, errNotImage) {
		t.Error(err)
	}
}

func FuzzImage(f *testing.F) {
	_, k := testKey(f, "signer")
	signed, err := Sign(petest.Program(), k, when)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(petest.Program())
	l, err := inspect(signed)
	if err != nil {
		f.Fatal(err)
	}
	body := signed[:l.table.at]
	f.Fuzz(func(t *testing.T, image []byte) {
		s, err := Signatures(image)
		if err == nil && len(s) > 0 && s[0].Signer.Equal(k.Certificate) {
			l, _ := inspect(image)
			a, _ := Strip(image)
			b, _ := Strip(signed)
			if !bytes.Equal(a, b) {
				t.Errorf("an image of %d bytes that was not signed verifies, not the %d of the other", l.table.at, len(body))
			}
		}
	})
}

// A signature beside a file is what OpenSSL makes and checks: ours there, theirs here.
func TestDetached(t *testing.T) {
	dir, k := testKey(t, "signer")
	crt, key := filepath.Join(dir, "db.crt"), filepath.Join(dir, "db.key")
	text := []byte("{\"a\": \"text\\r\\n\"}\n")
	ours, err := SignDetached(text, k, when)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := SignDetached([]byte("another"), k, when.Add(100*24*time.Hour)); err != nil || len(again) != len(ours) {
		t.Errorf("signatures of %d and %d bytes, error %v", len(ours), len(again), err)
	}
	good, bad := petest.Save(t, dir, "good", text), petest.Save(t, dir, "bad", append(bytes.Clone(text), ' '))
	verify := func(content string) *exec.Cmd {
		return exec.Command("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", petest.Save(t, dir, "ours.p7s", ours), "-content", content, "-CAfile", crt, "-purpose", "any", "-out", filepath.Join(dir, "out"))
	}
	petest.Run(t, "openssl", verify(good).Args[1:]...)
	if said := petest.Run(t, "openssl", "asn1parse", "-inform", "DER", "-in", filepath.Join(dir, "ours.p7s")); !strings.Contains(said, "pkcs7-signedData") {
		t.Error(said)
	}
	if out, err := verify(bad).CombinedOutput(); err == nil {
		t.Errorf("%s", out)
	}
	if said := petest.Run(t, "openssl", "x509", "-in", crt, "-noout", "-fingerprint", "-sha256"); !strings.Contains(said, k.Certificate.Fingerprint()) {
		t.Errorf("%s is not in %s", k.Certificate.Fingerprint(), said)
	}
	weakDir := t.TempDir()
	petest.Run(t, "openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-keyout", filepath.Join(weakDir, "db.key"), "-out", filepath.Join(weakDir, "db.crt"))
	for _, c := range []struct {
		what string
		args []string
		want string
	}{
		{"cms", []string{"cms", "-sign", "-binary", "-md", "sha256"}, ""},
		{"cms, SHA-512", []string{"cms", "-sign", "-binary", "-md", "sha512"}, ""},
		{"cms, no attributes", []string{"cms", "-sign", "-binary", "-md", "sha256", "-noattr"}, ""},
		{"smime", []string{"smime", "-sign", "-binary", "-md", "sha256"}, ""},
		{"SHA-1", []string{"cms", "-sign", "-binary", "-md", "sha1"}, "SHA-1"},
		{"no certificate", []string{"cms", "-sign", "-binary", "-md", "sha256", "-nocerts"}, "without its certificate"},
		{"weak", []string{"cms", "-sign", "-binary", "-md", "sha256"}, "1024 bits"},
	} {
		t.Run(c.what, func(t *testing.T) {
			signer := []string{"-signer", crt, "-inkey", key}
			if c.what == "weak" {
				signer = []string{"-signer", filepath.Join(weakDir, "db.crt"), "-inkey", filepath.Join(weakDir, "db.key")}
			}
			out := filepath.Join(t.TempDir(), "theirs.p7s")
			petest.Run(t, "openssl", append(append(c.args, signer...), "-in", good, "-outform", "DER", "-out", out)...)
			theirs, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			by, err := VerifyDetached(text, theirs)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil || !by.Equal(k.Certificate) || !by.Key.Equal(&k.Private.PublicKey) {
				t.Fatal(by, err)
			}
			if _, err := VerifyDetached(text[1:], theirs); err == nil {
				t.Error("another text verifies")
			}
			for at := range theirs {
				theirs[at] ^= 0x20
				if by, err := VerifyDetached(text, theirs); err == nil && !by.Key.Equal(k.Certificate.Key) {
					t.Fatalf("byte %d was changed, and it is by %v", at, by.Subject)
				}
				theirs[at] ^= 0x20
			}
		})
	}
}

// A certificate is read as crypto/x509 reads it.
func TestParseCertificate(t *testing.T) {
	_, k := testKey(t, "a name, with a comma")
	want, err := x509.ParseCertificate(k.Certificate.Raw)
	if err != nil {
		t.Fatal(err)
	}
	c := k.Certificate
	if !bytes.Equal(c.RawIssuer, want.RawIssuer) || c.Serial.Cmp(want.SerialNumber) != 0 || c.Subject.String() != want.Subject.String() || !c.Key.Equal(want.PublicKey) {
		t.Errorf("%+v", c)
	}
	for n := range c.Raw {
		if _, err := ParseCertificate(c.Raw[:n]); err == nil {
			t.Fatalf("cut to %d bytes it is a certificate", n)
		}
	}
}

func FuzzDetached(f *testing.F) {
	_, k := testKey(f, "signer")
	text := []byte("text")
	signature, err := SignDetached(text, k, when)
	if err != nil {
		f.Fatal(err)
	}
	bare, err := SignBare(text, k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, signature)
	f.Add(text, bare)
	f.Add([]byte("other"), k.Certificate.Raw)
	f.Fuzz(func(t *testing.T, signed, signature []byte) {
		if c, err := VerifyDetached(signed, signature); err == nil && c.Key.Equal(k.Certificate.Key) && !bytes.Equal(signed, text) {
			t.Error("a text that was not signed verifies")
		}
		if c, err := ParseCertificate(signature); err == nil {
			_ = c.Subject.String() + c.Fingerprint()
		}
	})
}
