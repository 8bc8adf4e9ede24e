package secureboot

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"alphaos/uefi/authenticode"
)

// NewKey makes a key with a certificate, signed by itself, for thirty years: firmware does
// not look at the time, but tools do.
func NewKey(name string, now time.Time) (*authenticode.Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(30, 0, 0),
		// No extended key usage, and a certificate authority: some firmware insists on the one for KEK and PK.
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	c, err := authenticode.ParseCertificate(der)
	return &authenticode.Key{Private: private, Certificate: c}, err
}

// ReadKey reads a private key, PEM as OpenSSL writes it, and its certificate, PEM or DER.
func ReadKey(keyFile, certificateFile string) (*authenticode.Key, error) {
	data, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM: make one with alphaos efi sign, or convert it with openssl pkey", keyFile)
	}
	var parsed any
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, fmt.Errorf("%s is encrypted: decrypt it with openssl pkey", keyFile)
		}
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("%s is encrypted: decrypt it with openssl pkey", keyFile)
	default:
		return nil, fmt.Errorf("%s holds no private key but %s", keyFile, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no RSA key, and firmware knows no other: make one of 2048 bits", keyFile)
	}
	if private.N.BitLen() < 2048 {
		return nil, fmt.Errorf("%s has %d bits, which firmware refuses: make a key of 2048", keyFile, private.N.BitLen())
	}
	c, err := ReadCertificate(certificateFile)
	if err != nil {
		return nil, err
	}
	if !c.Key.Equal(&private.PublicKey) {
		return nil, fmt.Errorf("%s is not the certificate of the key in %s", certificateFile, keyFile)
	}
	return &authenticode.Key{Private: private, Certificate: c}, nil
}

// ReadCertificate reads a certificate, PEM or DER.
func ReadCertificate(name string) (*authenticode.Certificate, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	if _, err := x509.ParseCertificate(data); err != nil { // which looks at all of it
		return nil, fmt.Errorf("%s is not a certificate: %w", name, err)
	}
	c, err := authenticode.ParseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// Keys are the three that a computer's owner has.
type Keys struct {
	Owner  uuid.UUID         // who put a certificate into a list
	PK     *authenticode.Key // changes KEK
	KEK    *authenticode.Key // changes db and dbx
	Signer *authenticode.Key // in db; signs programs
}

const ownerFile = "owner.txt"

// OpenKeys reads the keys in a folder, or, if it has none, makes them; made tells which.
func OpenKeys(dir string, now time.Time) (k *Keys, made bool, err error) {
	if _, err := os.Stat(filepath.Join(dir, "db.key")); errors.Is(err, fs.ErrNotExist) {
		if err := makeKeys(dir, now); err != nil {
			return nil, false, fmt.Errorf("making keys in %s: %w", dir, err)
		}
		made = true
	}
	k = &Keys{}
	for _, p := range []struct {
		name string
		key  **authenticode.Key
	}{{"PK", &k.PK}, {"KEK", &k.KEK}, {"db", &k.Signer}} {
		if *p.key, err = ReadKey(filepath.Join(dir, p.name+".key"), filepath.Join(dir, p.name+".crt")); err != nil {
			return nil, made, err
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, ownerFile))
	if errors.Is(err, fs.ErrNotExist) { // keys made by others
		k.Owner = uuid.NewHash(sha256.New(), uuid.Nil, k.PK.Certificate.Raw, 8)
		return k, made, nil
	}
	if err != nil {
		return nil, made, err
	}
	if k.Owner, err = uuid.ParseBytes(bytesTrim(text)); err != nil {
		return nil, made, fmt.Errorf("%s: %w", filepath.Join(dir, ownerFile), err)
	}
	return k, made, nil
}

func bytesTrim(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// makeKeys writes three keys; db.key, by which a folder is known to have them, comes last.
func makeKeys(dir string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	owner, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	write := func(name string, mode os.FileMode, data []byte) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Sync(), f.Close())
	}
	for _, p := range []struct{ file, name string }{{"PK", "AlphaOS platform key"}, {"KEK", "AlphaOS key exchange key"}, {"db", "AlphaOS signing key"}} {
		k, err := NewKey(p.name+" "+owner.String()[:8], now)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(k.Private)
		if err != nil {
			return err
		}
		if err := write(p.file+".crt", 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate.Raw})); err != nil {
			return err
		}
		if p.file == "db" {
			if err := write(ownerFile, 0o644, []byte(owner.String()+"\n")); err != nil {
				return err
			}
		}
		if err := write(p.file+".key", 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
			return err
		}
	}
	return nil
}
