package authenticode

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidIndirectData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidPEImageData   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}

	hashOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
)

// The types of PKCS #7 (RFC 2315, 9), as far as signatures need them.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"` // [0] EXPLICIT, kept as it is
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      contentInfo
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []signerInfo  `asn1:"set"`
	}
	signerInfo struct {
		Version         int
		Issuer          issuerAndSerial
		Digest          pkix.AlgorithmIdentifier
		Attributes      asn1.RawValue `asn1:"optional,tag:0"`
		Encryption      pkix.AlgorithmIdentifier
		Signature       []byte
		Unauthenticated asn1.RawValue `asn1:"optional,tag:1"`
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue // SET OF
	}
)

// The content of an Authenticode signature (its specification, "SpcIndirectDataContent").
type (
	indirectData struct {
		Data   imageData
		Digest digestInfo
	}
	imageData struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
)

// obsolete is an SpcPeImageData without flags whose file is named <<<Obsolete>>>, as the
// format's own tools have it: SEQUENCE { BIT STRING, [0] { [2] { [0] IMPLICIT BMPString } } }.
var obsolete = func() []byte {
	name := []byte{0x80, 0x1c}
	for _, c := range "<<<Obsolete>>>" {
		name = append(name, 0, byte(c))
	}
	link := append([]byte{0xa2, byte(len(name))}, name...)
	file := append([]byte{0xa0, byte(len(link))}, link...)
	flags := []byte{0x03, 0x01, 0x00}
	return append([]byte{0x30, byte(len(flags) + len(file))}, append(flags, file...)...)
}()

func algorithm(oid asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}
}

func hashOf(a pkix.AlgorithmIdentifier) (crypto.Hash, error) {
	for h, oid := range hashOIDs {
		if a.Algorithm.Equal(oid) {
			return h, nil
		}
	}
	return 0, fmt.Errorf("the signature has a digest of a kind that is not known, %v", a.Algorithm)
}

// signImage returns the signature of an image with this SHA-256 digest, a ContentInfo.
func signImage(digest []byte, key *Key, at time.Time) ([]byte, error) {
	content, err := asn1.Marshal(indirectData{
		Data:   imageData{oidPEImageData, asn1.RawValue{FullBytes: obsolete}},
		Digest: digestInfo{algorithm(hashOIDs[crypto.SHA256]), digest},
	})
	if err != nil {
		return nil, err
	}
	inner, err := unwrap(content) // PKCS #7 signs what is in the SEQUENCE
	if err != nil {
		return nil, err
	}
	return key.sign(contentInfo{oidIndirectData, explicit(content)}, inner, at)
}

// SignDetached returns a signature of a text that it does not hold, made at a time: what
// openssl cms -sign -binary -outform DER makes. The same key, text and time give the same bytes, and every
// text and time, up to the year 2049, as many.
func SignDetached(text []byte, key *Key, at time.Time) ([]byte, error) {
	return key.sign(contentInfo{Type: oidData}, text, at)
}

// sign returns a ContentInfo with the SignedData of a content, whose octets are text, with the attributes that say when.
func (k *Key) sign(content contentInfo, text []byte, at time.Time) ([]byte, error) {
	var attributes []attribute
	for _, a := range []struct {
		kind  asn1.ObjectIdentifier
		value any
	}{{oidContentType, content.Type}, {oidSigningTime, at.UTC()}, {oidMessageDigest, hash(crypto.SHA256, text)}} {
		value, err := asn1.Marshal(a.value)
		if err != nil {
			return nil, err
		}
		attributes = append(attributes, attribute{a.kind, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: value}})
	}
	set, err := asn1.MarshalWithParams(attributes, "set")
	if err != nil {
		return nil, err
	}
	signature, err := rsa.SignPKCS1v15(nil, k.Private, crypto.SHA256, hash(crypto.SHA256, set))
	if err != nil {
		return nil, err
	}
	members, err := unwrap(set)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{oidSignedData, explicit(k.signed(content,
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: members}, signature))})
}

// SignBare returns the SignedData of a text that it does not hold, without attributes and without a ContentInfo around it,
// which is all that the signatures of variables may be for older firmware.
func SignBare(text []byte, key *Key) ([]byte, error) {
	signature, err := rsa.SignPKCS1v15(nil, key.Private, crypto.SHA256, hash(crypto.SHA256, text))
	if err != nil {
		return nil, err
	}
	return key.signed(contentInfo{Type: oidData}, asn1.RawValue{}, signature), nil
}

// signed is a SignedData by the key, in DER.
func (k *Key) signed(content contentInfo, attributes asn1.RawValue, signature []byte) []byte {
	der, err := asn1.Marshal(signedData{
		Version:      1,
		Digests:      []pkix.AlgorithmIdentifier{algorithm(hashOIDs[crypto.SHA256])},
		Content:      content,
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: k.Certificate.Raw},
		Signers: []signerInfo{{
			Version:    1,
			Issuer:     issuerAndSerial{asn1.RawValue{FullBytes: k.Certificate.RawIssuer}, k.Certificate.Serial},
			Digest:     algorithm(hashOIDs[crypto.SHA256]),
			Attributes: attributes,
			Encryption: algorithm(oidRSA),
			Signature:  signature,
		}},
	})
	if err != nil {
		panic(err) // these types can be written
	}
	return der
}

func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

func hash(h crypto.Hash, data []byte) []byte {
	w := h.New()
	w.Write(data)
	return w.Sum(nil)
}

// unwrap returns what is within the outermost element of der.
func unwrap(der []byte) ([]byte, error) {
	var v asn1.RawValue
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, err
	}
	return v.Bytes, nil
}

// parse reads a SignedData, in a ContentInfo or not.
func parse(der []byte) (*signedData, error) {
	var outer contentInfo
	if _, err := asn1.Unmarshal(der, &outer); err == nil && outer.Type.Equal(oidSignedData) {
		der = outer.Content.Bytes
	}
	var d signedData
	if _, err := asn1.Unmarshal(der, &d); err != nil {
		return nil, fmt.Errorf("the signature is not PKCS #7 signed data: %w", err)
	}
	return &d, nil
}

// VerifyBare checks what SignBare makes, and returns whose signature it is.
func VerifyBare(text, signature []byte) (*Certificate, error) {
	_, c, err := verify(text, signature)
	return c, err
}

// VerifyDetached checks a signature of a text that it does not hold, as SignDetached and openssl cms -sign make
// them, and returns whose it is. Digests and keys that no longer hold are refused.
func VerifyDetached(text, signature []byte) (*Certificate, error) {
	s, c, err := verify(text, signature)
	if err != nil {
		return nil, err
	}
	if h, err := hashOf(s.Digest); err != nil || h == crypto.SHA1 {
		return nil, errors.New("the signature is of a SHA-1 digest, which can be forged: sign it with SHA-256")
	}
	if n := c.Key.N.BitLen(); n < 2048 {
		return nil, fmt.Errorf("the signature is by a key of %d bits, which can be broken: sign it with one of 2048", n)
	}
	return c, nil
}

func verify(text, signature []byte) (signerInfo, *Certificate, error) {
	d, err := parse(signature)
	if err != nil {
		return signerInfo{}, nil, err
	}
	if len(d.Signers) != 1 {
		return signerInfo{}, nil, fmt.Errorf("it has %d signers, where one is expected", len(d.Signers))
	}
	c, err := d.check(d.Signers[0], oidData, text)
	return d.Signers[0], c, err
}

// certificates are those that came with the signature; what can't be read is passed over.
func (d *signedData) certificates() (list []*Certificate) {
	for rest := d.Certificates.Bytes; len(rest) > 0; {
		var v asn1.RawValue
		next, err := asn1.Unmarshal(rest, &v)
		if err != nil {
			break
		}
		if c, err := ParseCertificate(v.FullBytes); err == nil {
			list = append(list, c)
		}
		rest = next
	}
	return list
}

// check verifies one signer's signature of text, which is all octets of the content, and returns whose it is.
func (d *signedData) check(s signerInfo, kind asn1.ObjectIdentifier, text []byte) (*Certificate, error) {
	h, err := hashOf(s.Digest)
	if err != nil {
		return nil, err
	}
	signed := text
	if len(s.Attributes.Bytes) > 0 {
		var attributes []attribute
		// As they were signed: a SET, not [0].
		set, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: s.Attributes.Bytes})
		if err != nil {
			return nil, err
		}
		if _, err := asn1.UnmarshalWithParams(set, &attributes, "set"); err != nil {
			return nil, fmt.Errorf("the signature's attributes make no sense: %w", err)
		}
		var digest []byte
		var content asn1.ObjectIdentifier
		for _, a := range attributes {
			switch {
			case a.Type.Equal(oidMessageDigest):
				_, err = asn1.Unmarshal(a.Values.Bytes, &digest)
			case a.Type.Equal(oidContentType):
				_, err = asn1.Unmarshal(a.Values.Bytes, &content)
			}
			if err != nil {
				return nil, fmt.Errorf("the signature's attributes make no sense: %w", err)
			}
		}
		if !content.Equal(kind) || !bytes.Equal(digest, hash(h, text)) {
			return nil, errors.New("the signature is of another content: it was changed")
		}
		signed = set
	}
	for _, c := range d.certificates() {
		if c.Serial.Cmp(s.Issuer.Serial) != 0 || !bytes.Equal(c.RawIssuer, s.Issuer.Issuer.FullBytes) {
			continue
		}
		if err := rsa.VerifyPKCS1v15(c.Key, h, hash(h, signed), s.Signature); err != nil {
			return nil, fmt.Errorf("the signature is not by the key of %q: %w", c.Subject, err)
		}
		return c, nil
	}
	return nil, errors.New("the signature comes without its certificate")
}
