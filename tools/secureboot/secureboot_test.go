package secureboot

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/internal/petest"
	"alphaos/uefi/authenticode"
)

var when = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func testKeys(t testing.TB) (dir string, k *Keys) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	k, made, err := OpenKeys(dir, when)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	return dir, k
}

// A certificate that another one signed is trusted through that.
func TestTrust(t *testing.T) {
	_, k := testKeys(t)
	signed, err := authenticode.Sign(petest.Program(), k.Signer, when)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := DigestList(k.Owner, signed)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := DigestList(k.Owner, petest.Program())
	if err != nil {
		t.Fatal(err)
	}
	own, other := CertificateList(k.Owner, k.Signer.Certificate), CertificateList(k.Owner, k.PK.Certificate)
	changed := bytes.Clone(signed)
	changed[0x240] ^= 1
	tail, err := authenticode.Sign(append(petest.Program(), "tail"...), k.Signer, when)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what    string
		image   []byte
		db, dbx []List
		want    string
	}{
		{"signed", signed, own, nil, ""},
		{"signed with bytes behind its end", tail, own, nil, ""},
		{"signed, others trusted too", signed, append(other, own...), other, ""},
		{"its digest is trusted", signed, append(other, digest...), nil, ""},
		{"unsigned, its digest is trusted", petest.Program(), plain, nil, ""},
		{"unsigned", petest.Program(), own, nil, "is not signed"},
		{"changed", changed, own, nil, "changed after it was signed"},
		{"another key", signed, other, nil, "whom this firmware does not trust"},
		{"revoked key", signed, own, own, "is in dbx"},
		{"revoked digest", signed, own, digest, "its digest is in dbx"},
		{"nothing trusted", signed, nil, nil, "does not trust"},
	} {
		err := Trust{c.db, c.dbx}.Check(c.image)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	stripped, err := authenticode.Strip(signed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authenticode.Signatures(stripped); !errors.Is(err, authenticode.ErrUnsigned) {
		t.Error(err)
	}
	if again, err := authenticode.Sign(stripped, k.Signer, when); err != nil || !bytes.Equal(again, signed) {
		t.Error("stripped and signed again it is another", err)
	}
}

// Signature lists and signed variables are what efitools and openssl make of them.
func TestVariables(t *testing.T) {
	dir, k := testKeys(t)
	lists := CertificateList(k.Owner, k.Signer.Certificate, k.KEK.Certificate)
	t.Run("cert-to-efi-sig-list", func(t *testing.T) {
		out := filepath.Join(dir, "db.esl")
		petest.Run(t, "cert-to-efi-sig-list", "-g", k.Owner.String(), filepath.Join(dir, "db.crt"), out)
		theirs, err := os.ReadFile(out)
		if err != nil || !bytes.Equal(theirs, WriteLists(lists[:1])) {
			t.Errorf("%x\nis not\n%x, error %v", WriteLists(lists[:1]), theirs, err)
		}
	})
	t.Run("sign-efi-sig-list", func(t *testing.T) {
		esl, out := petest.Save(t, dir, "both.esl", WriteLists(lists)), filepath.Join(dir, "theirs.auth")
		petest.Run(t, "sign-efi-sig-list", "-t", "2026-03-04 05:06:07", "-k", filepath.Join(dir, "KEK.key"), "-c", filepath.Join(dir, "KEK.crt"), "db", esl, out)
		theirs, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got, signer, err := ReadAuthenticated(DB, theirs, false)
		if err != nil || !signer.Equal(k.KEK.Certificate) || !bytes.Equal(WriteLists(got), WriteLists(lists)) {
			t.Error(got, err)
		}
	})
	auth, err := Authenticate(DB, lists, k.KEK, when, true)
	if err != nil {
		t.Fatal(err)
	}
	if got, signer, err := ReadAuthenticated(DB, auth, true); err != nil || !signer.Equal(k.KEK.Certificate) || len(got) != 2 {
		t.Error(got, err)
	}
	for _, wrong := range []struct {
		v    Variable
		auth []byte
		add  bool
	}{{DB, auth, false}, {KEK, auth, true}, {DB, append(bytes.Clone(auth), WriteLists(lists)...), true}} {
		if _, _, err := ReadAuthenticated(wrong.v, wrong.auth, wrong.add); err == nil {
			t.Errorf("taken for %s, add %t", wrong.v.Name, wrong.add)
		}
	}
	t.Run("openssl", func(t *testing.T) {
		size := binary.LittleEndian.Uint32(auth[16:])
		wrapped, err := asn1.Marshal(struct { // a ContentInfo
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: auth[40 : 16+size]}})
		if err != nil {
			t.Fatal(err)
		}
		text := petest.Save(t, dir, "text", signedText(DB, auth[:16], WriteLists(lists), true))
		petest.Run(t, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", petest.Save(t, dir, "auth.p7", wrapped), "-content", text,
			"-CAfile", filepath.Join(dir, "KEK.crt"), "-purpose", "any", "-out", filepath.Join(dir, "out"))
	})
}

// A store keeps what it had, and a firmware of which Debian has made one with keys knows ours.
func TestStore(t *testing.T) {
	_, k := testKeys(t)
	empty, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
	if err != nil {
		if os.Getenv("CI") != "" { // where all that make test installs is there
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, err := OpenStore(empty)
	if err != nil {
		t.Fatal(err)
	}
	s.SetLists(DB, CertificateList(k.Owner, k.KEK.Certificate), when)
	s.SetLists(DB, CertificateList(k.Owner, k.Signer.Certificate), when)
	s.Enable()
	flash, err := s.Bytes()
	if err != nil || len(flash) != len(empty) {
		t.Fatal(err)
	}
	if s, err = OpenStore(flash); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Lists(DB); err != nil || len(l) != 1 || !bytes.Equal(l[0].Entries[0].Data, k.Signer.Certificate.Raw) {
		t.Error(l, err)
	}
	if again, err := s.Bytes(); err != nil || !bytes.Equal(again, flash) {
		t.Error("read and written it is another", err)
	}
	big := make([]List, 400)
	for i := range big {
		big[i] = CertificateList(k.Owner, k.PK.Certificate)[0]
	}
	s.SetLists(DBX, big, when)
	if _, err := s.Bytes(); err == nil || !strings.Contains(err.Error(), "has room for") {
		t.Error(err)
	}
	snakeoil, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd")
	if err != nil {
		if os.Getenv("CI") != "" { // where all that make test installs is there
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if s, err = OpenStore(snakeoil); err != nil {
		t.Fatal(err)
	}
	for _, v := range []Variable{PK, KEK, DB, DBX} {
		if l, err := s.Lists(v); err != nil || len(l) != 1 {
			t.Error(v.Name, l, err)
		}
	}
	if l, _ := s.Lists(PK); len(Certificates(l)) != 1 || !strings.Contains(Certificates(l)[0].Subject.String(), "SnakeOil") {
		t.Error("the PK is not the snake oil's")
	}
}

func TestKeyFiles(t *testing.T) {
	dir, k := testKeys(t)
	again, made, err := OpenKeys(dir, when)
	if err != nil || made || !again.Signer.Private.Equal(k.Signer.Private) || again.Owner != k.Owner {
		t.Error(made, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "db.key")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(fi.Mode(), err)
	}
	key := filepath.Join(dir, "db.key")
	pkcs1 := petest.Save(t, dir, "pkcs1.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.Signer.Private)}))
	der := petest.Save(t, dir, "db.cer", k.Signer.Certificate.Raw)
	if _, err := ReadKey(pkcs1, der); err != nil {
		t.Error(err)
	}
	locked := petest.Save(t, dir, "locked.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	for _, c := range []struct{ key, crt, want string }{
		{key, filepath.Join(dir, "PK.crt"), "is not the certificate of the key"},
		{der, der, "holds no key in PEM"},
		{locked, der, "is encrypted"},
		{key, key, "is not a certificate"},
		{filepath.Join(dir, "db.crt"), der, "holds no private key"},
	} {
		if _, err := ReadKey(c.key, c.crt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func FuzzVariables(f *testing.F) {
	_, k := testKeys(f)
	lists := CertificateList(k.Owner, k.Signer.Certificate)
	auth, err := Authenticate(DB, lists, k.KEK, when, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(auth)
	f.Add(WriteLists(lists))
	if flash, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS.fd"); err == nil {
		f.Add(flash[:0x2000])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := ReadLists(data); err == nil {
			Certificates(got)
			WriteLists(got)
		}
		if got, signer, err := ReadAuthenticated(DB, data, false); err == nil && signer.Equal(k.KEK.Certificate) && !bytes.Equal(WriteLists(got), WriteLists(lists)) {
			t.Error("lists that were not signed verify")
		}
		if s, err := OpenStore(data); err == nil {
			s.SetLists(DB, lists, when)
			if b, err := s.Bytes(); err == nil {
				if _, err := OpenStore(b); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
