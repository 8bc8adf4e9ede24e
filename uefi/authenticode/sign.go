package authenticode

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// Sign returns the image with a signature by key, made at a time; signatures that it has
// stay. The same key, image and time give the same bytes.
func Sign(image []byte, key *Key, at time.Time) ([]byte, error) {
	image = padded(image)
	l, err := inspect(image)
	if err != nil {
		return nil, err
	}
	signature, err := signImage(l.digest(image, crypto.SHA256), key, at)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return attach(image, l, signature), nil
}

// Strip returns the image without its signatures.
func Strip(image []byte) ([]byte, error) {
	l, err := inspect(image)
	if err != nil {
		return nil, err
	}
	return strip(image, l), nil
}

// Signature is one that holds: the image is as it was when Signer's key signed it. Whether
// Signer is to be trusted is another question.
type Signature struct {
	Signer *Certificate
	With   []*Certificate // all certificates that came along, in no order
	Hash   crypto.Hash    // of the image's digest
}

// ErrUnsigned is the error of an image without signatures.
var ErrUnsigned = errors.New("the image is not signed; alphaos efi sign signs it")

// Signatures checks all signatures of an image, in their order. One that does not hold is an error.
func Signatures(image []byte) ([]Signature, error) {
	l, err := inspect(image)
	if err != nil {
		return nil, err
	}
	table, err := l.certificates(image)
	if err != nil {
		return nil, err
	}
	if len(table) == 0 {
		return nil, ErrUnsigned
	}
	var found []Signature
	for i, der := range table {
		s, err := l.signature(image, der)
		if err != nil {
			return nil, fmt.Errorf("signature %d: %w", i+1, err)
		}
		found = append(found, *s)
	}
	return found, nil
}

func (l layout) signature(image, der []byte) (*Signature, error) {
	d, err := parse(der)
	if err != nil {
		return nil, err
	}
	if !d.Content.Type.Equal(oidIndirectData) {
		return nil, errors.New("it is not of a program")
	}
	var content indirectData
	if _, err := asn1.Unmarshal(d.Content.Content.Bytes, &content); err != nil {
		return nil, fmt.Errorf("what it signs makes no sense: %w", err)
	}
	h, err := hashOf(content.Digest.Algorithm)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(content.Digest.Digest, l.digest(image, h)) {
		return nil, errors.New("the image was changed after it was signed")
	}
	inner, err := unwrap(d.Content.Content.Bytes)
	if err != nil {
		return nil, err
	}
	if len(d.Signers) != 1 {
		return nil, fmt.Errorf("it has %d signers, and firmware wants one", len(d.Signers))
	}
	signer, err := d.check(d.Signers[0], oidIndirectData, inner)
	if err != nil {
		return nil, err
	}
	return &Signature{Signer: signer, With: d.certificates(), Hash: h}, nil
}
