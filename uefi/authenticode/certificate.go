package authenticode

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"math/big"
)

// Key is a private key with its certificate. Firmware knows RSA keys, of 2048 bits all of it.
type Key struct {
	Private     *rsa.PrivateKey
	Certificate *Certificate
}

// Certificate is an X.509 certificate of an RSA key, as far as its own words go: who signed it, when and
// what for is not looked at, since firmware does not. So this needs nothing of crypto/x509, which brings the network along.
type Certificate struct {
	Raw       []byte // DER
	RawIssuer []byte
	Serial    *big.Int
	Subject   pkix.Name
	Key       *rsa.PublicKey
}

// maxModulus is how many bits of a modulus are computed with: a hostile one would take long.
const maxModulus = 8192

// ParseCertificate reads a certificate in DER (RFC 5280, 4.1).
func ParseCertificate(der []byte) (*Certificate, error) {
	var c struct {
		Content struct {
			Version   int `asn1:"optional,explicit,default:0,tag:0"`
			Serial    *big.Int
			Algorithm pkix.AlgorithmIdentifier
			Issuer    asn1.RawValue
			Validity  asn1.RawValue
			Subject   asn1.RawValue
			Public    struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			}
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &c)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows it")
	}
	if err != nil {
		return nil, fmt.Errorf("this is no certificate: %w", err)
	}
	if kind := c.Content.Public.Algorithm.Algorithm; !kind.Equal(oidRSA) {
		return nil, fmt.Errorf("the certificate is of a key of a kind that firmware does not know, %v: it knows RSA", kind)
	}
	var public struct {
		N *big.Int
		E int64
	}
	if _, err := asn1.Unmarshal(c.Content.Public.Key.RightAlign(), &public); err != nil {
		return nil, fmt.Errorf("the certificate's key makes no sense: %w", err)
	}
	if n := public.N.BitLen(); public.N.Sign() <= 0 || n > maxModulus || public.E < 3 || public.E > math.MaxInt32 {
		return nil, fmt.Errorf("the certificate's key, of %d bits, makes no sense", n)
	}
	found := &Certificate{Raw: der, RawIssuer: c.Content.Issuer.FullBytes, Serial: c.Content.Serial, Key: &rsa.PublicKey{N: public.N, E: int(public.E)}}
	var subject pkix.RDNSequence
	if _, err := asn1.Unmarshal(c.Content.Subject.FullBytes, &subject); err != nil {
		return nil, fmt.Errorf("the certificate's name makes no sense: %w", err)
	}
	found.Subject.FillFromRDNSequence(&subject)
	return found, nil
}

// Equal tells whether both are the same certificate.
func (c *Certificate) Equal(o *Certificate) bool { return bytes.Equal(c.Raw, o.Raw) }

// Fingerprint is the SHA-256 of the certificate, as openssl x509 -fingerprint -sha256 writes it.
func (c *Certificate) Fingerprint() string {
	sum := sha256.Sum256(c.Raw)
	text := fmt.Sprintf("% X", sum[:])
	return string(bytes.ReplaceAll([]byte(text), []byte(" "), []byte(":")))
}
