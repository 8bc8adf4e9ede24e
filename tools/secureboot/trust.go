package secureboot

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"alphaos/uefi/authenticode"
)

// Trust is what a firmware goes by.
type Trust struct {
	DB, DBX []List
}

// Check tells whether a firmware starts the image (UEFI 2.10, 32.5.3.3): its digest or a
// certificate that its signature leads to is in db, and none of these is in dbx. The error says why not.
func (t Trust) Check(image []byte) error {
	sum, err := authenticode.Digest(image, crypto.SHA256)
	if err != nil {
		return err
	}
	if hasDigest(t.DBX, sum) {
		return errors.New("the image is revoked: its digest is in dbx")
	}
	signatures, err := authenticode.Signatures(image)
	if err != nil && !errors.Is(err, authenticode.ErrUnsigned) {
		return err
	}
	for _, s := range signatures {
		if c := leadsTo(s, t.DBX); c != nil {
			return fmt.Errorf("the image is signed by a key that is revoked: %q is in dbx", c.Subject)
		}
	}
	for _, s := range signatures {
		if leadsTo(s, t.DB) != nil {
			return nil
		}
	}
	if hasDigest(t.DB, sum) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the image is signed by %q, whom this firmware does not trust: enroll the certificate, or sign it with a key that is", signatures[0].Signer.Subject)
}

func hasDigest(lists []List, sum []byte) bool {
	for _, l := range lists {
		if l.Type != SHA256 {
			continue
		}
		for _, e := range l.Entries {
			if bytes.Equal(e.Data, sum) {
				return true
			}
		}
	}
	return false
}

// leadsTo returns the certificate of the lists by which s is signed, itself or through those that
// came with it. As firmware does, it takes no account of time.
func leadsTo(s authenticode.Signature, lists []List) *authenticode.Certificate {
	signed := func(c, by *authenticode.Certificate) bool {
		a, err := x509.ParseCertificate(c.Raw)
		if err != nil {
			return false
		}
		b, err := x509.ParseCertificate(by.Raw)
		return err == nil && a.CheckSignatureFrom(b) == nil
	}
	for _, trusted := range Certificates(lists) {
		seen := map[string]bool{}
		var walk func(c *authenticode.Certificate) bool
		walk = func(c *authenticode.Certificate) bool {
			if c.Equal(trusted) || signed(c, trusted) {
				return true
			}
			if seen[string(c.Raw)] {
				return false
			}
			seen[string(c.Raw)] = true
			for _, up := range s.With {
				if !up.Equal(c) && signed(c, up) && walk(up) {
					return true
				}
			}
			return false
		}
		if walk(s.Signer) {
			return trusted
		}
	}
	return nil
}
