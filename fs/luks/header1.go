package luks

// The header of version 1: one copy, big-endian, without a checksum.

import (
	"bytes"
	"errors"
	"fmt"
)

func (v *Volume) read1(b []byte) error {
	text := func(off, n int) string {
		s, _, _ := bytes.Cut(b[off:off+n], []byte{0})
		return string(s)
	}
	narrow, err := cipherMode(text(8, 32) + "-" + text(40, 32))
	if err != nil {
		return err
	}
	h, err := hashOf(text(72, 32))
	if err != nil {
		return err
	}
	keySize := int(be.Uint32(b[108:]))
	if keySize != 32 && keySize != 64 {
		return fmt.Errorf("a key of %d bytes is none of AES-XTS", keySize)
	}
	total := int64(v.dev.Blocks()) * int64(v.dev.BlockSize())
	v.Version, v.UUID = 1, text(168, 40)
	v.data = segment{offset: int64(be.Uint32(b[104:])) * 512, sector: 512, narrow: narrow}
	v.data.size = total - v.data.offset
	if v.data.offset < 4096 || v.data.size < 512 {
		return errors.New("the data are said to begin where they can't")
	}
	v.digest = digest{h, bytes.Clone(b[132:164]), int64(be.Uint32(b[164:])), bytes.Clone(b[112:132])}
	if v.digest.rounds < 1 || v.digest.rounds > 20<<20 {
		return errors.New("the digest asks for too much work")
	}
	for i := range 8 {
		s := b[208+48*i:]
		if be.Uint32(s) != 0x00AC71F3 {
			continue
		}
		k := &keyslot{
			number: i, af: h, keySize: keySize, areaKey: keySize, narrow: narrow,
			kdf:    kdf{kind: "pbkdf2", hash: h, rounds: int64(be.Uint32(s[4:])), salt: bytes.Clone(s[8:40])},
			offset: int64(be.Uint32(s[40:])) * 512,
		}
		k.size = k.material()
		if be.Uint32(s[44:]) != stripes || k.offset < 592 || k.offset+k.size > v.data.offset {
			v.notes = append(v.notes, fmt.Sprintf("Keyslot %d of the encrypted volume is damaged and not used.", i))
			continue
		}
		v.slots = append(v.slots, k)
	}
	return nil
}

// cipherMode tells of a cipher whether the number of its sectors has only 32 bits, or that it is none of ours.
func cipherMode(name string) (narrow bool, err error) {
	switch name {
	case "aes-xts-plain64":
		return false, nil
	case "aes-xts-plain":
		return true, nil
	}
	return false, fmt.Errorf("it is encrypted with %.64q, and only aes-xts-plain64 can be read here", name)
}
