package luks

// AES-XTS (IEEE 1619). Processors with AES instructions use ours, eight blocks at a time, on round keys
// that can be wiped; others the library.

import (
	"crypto/aes"
	"encoding/binary"
	"fmt"

	slow "golang.org/x/crypto/xts"
)

// xts encrypts sectors with a key of 32 or 64 bytes, two of AES.
type xts struct {
	fast *schedule // nil without AES instructions
	slow *slow.Cipher
}

func newXTS(key []byte) (*xts, error) {
	if len(key) != 32 && len(key) != 64 {
		return nil, fmt.Errorf("a key of %d bytes is none of AES-XTS; 32 and 64 are", len(key))
	}
	if haveAES {
		return &xts{fast: newSchedule(key)}, nil
	}
	c, err := slow.NewCipher(aes.NewCipher, key)
	if err != nil {
		return nil, err
	}
	return &xts{slow: c}, nil
}

// encrypt and decrypt work in place on whole sectors, the first of which has number unit. Numbers count
// units of 512 bytes.
func (x *xts) encrypt(p []byte, unit uint64, sector int, narrow bool) {
	x.each(p, unit, sector, narrow, true)
}

func (x *xts) decrypt(p []byte, unit uint64, sector int, narrow bool) {
	x.each(p, unit, sector, narrow, false)
}

func (x *xts) each(p []byte, unit uint64, sector int, narrow, encrypt bool) {
	for ; len(p) > 0; p, unit = p[sector:], unit+uint64(sector/512) {
		n := unit
		if narrow {
			n = uint64(uint32(n))
		}
		s := p[:sector:sector]
		switch {
		case x.fast != nil:
			var tweak [16]byte
			binary.LittleEndian.PutUint64(tweak[:], n)
			x.fast.sector(s, &tweak, encrypt)
		case encrypt:
			x.slow.Encrypt(s, s, n)
		default:
			x.slow.Decrypt(s, s, n)
		}
	}
}

// wipe makes the keys useless. Those of the library can't be reached; the machine wipes all its memory in
// the end.
func (x *xts) wipe() {
	if x.fast != nil {
		*x.fast = schedule{}
	}
	x.slow = nil
}
