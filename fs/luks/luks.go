// Package luks opens volumes that are encrypted with LUKS, as Linux makes them, and makes and
// changes those of version 2.
//
// A random volume key encrypts the data, sector by sector, with AES-XTS. It is kept in the header
// several times, once for each passphrase, in a keyslot: a slow function makes a key of the passphrase
// (Argon2 or PBKDF2), that key encrypts the volume key, which was first spread over 4000 stripes of
// random bytes so that wiping any part of them makes all of it useless (the AF splitter). A digest of the volume
// key tells whether what came out is right.
//
// A header of version 2 is there twice, each copy with a checksum and a number that grows with
// each change. Write changes one copy after the other, so that a cut of power leaves one that is whole; Read
// takes the newer whole one, and Repair makes the other one anew.
//
// What a header says is not trusted: all places are checked against the medium, and what the keyslots
// ask for in memory and time is bounded before any of it is spent.
//
// Specifications: LUKS2 On-Disk Format Specification 1.1.1; LUKS1 On-Disk Format Specification 1.2.3;
// RFC 9106 (Argon2); RFC 8018 (PBKDF2); IEEE 1619 (XTS). The sector's number in XTS, "plain64", counts
// units of 512 bytes whatever the size of the sectors.
package luks

import (
	"bytes"
	"cmp"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"alphaos/fs"
)

// magic1 begins the header of version 1 and the primary one of version 2, magic2 the secondary one.
const (
	magic1 = "LUKS\xBA\xBE"
	magic2 = "SKUL\xBA\xBE"
)

var (
	// ErrNot is returned, wrapped, for what is no LUKS volume.
	ErrNot = errors.New("this is no LUKS volume")
	// ErrDamaged is returned, wrapped, for one whose header can't be used.
	ErrDamaged = errors.New("the header of the encrypted volume is damaged, and so is its copy")
	// ErrPassphrase is returned, wrapped, when no keyslot has that passphrase.
	ErrPassphrase = errors.New("that is not a passphrase of this volume")
	// ErrLast is returned, wrapped, when the last passphrase was to be removed.
	ErrLast = errors.New("that is the only passphrase, and without one nobody could read the volume again; add another one first")
)

// Volume is an encrypted volume whose header was read. It is for one user at a time.
type Volume struct {
	Version int    // 1 or 2
	UUID    string // of the volume
	Label   string // may be ""

	// Memory is how many bytes a keyslot may ask for; larger ones are refused with a sentence. Read sets 1 GiB.
	Memory int64

	dev    fs.BlockDevice
	data   segment
	slots  []*keyslot
	digest digest
	h      *header // of version 2, else nil
	stale  bool    // one of its copies is damaged or old
	notes  []string
}

// segment is where the data lies and how it is encrypted.
type segment struct {
	offset, size int64 // bytes
	sector       int   // bytes: 512, 1024, 2048 or 4096
	first        uint64
	narrow       bool // the sector's number has 32 bits: "plain"
}

// Slot describes a keyslot.
type Slot struct {
	Number   int
	KDF      string // "argon2id", "argon2i" or "pbkdf2"
	Memory   int64  // bytes that Argon2 needs, else 0
	Recovery bool   // it is the one of a recovery key
}

// Is tells whether what begins with b, at least 8 bytes, is an encrypted volume.
func Is(b []byte) bool { return len(b) >= 8 && string(b[:6]) == magic1 }

// Open unlocks the volume dev.
func Open(dev fs.BlockDevice, passphrase []byte) (*Device, error) {
	v, err := Read(dev)
	if err != nil {
		return nil, err
	}
	return v.Unlock(passphrase)
}

// Read reads the header of the volume dev and writes nothing.
func Read(dev fs.BlockDevice) (*Volume, error) {
	v := &Volume{dev: dev, Memory: 1 << 30}
	head, err := readBytes(dev, 0, 4096)
	if err == nil && string(head[:6]) == magic1 && be.Uint16(head[6:]) == 1 {
		if err := v.read1(head); err != nil {
			return nil, fmt.Errorf("%w: %w", errors.New("the header of the encrypted volume is damaged"), err)
		}
		return v, nil
	}
	if err := v.read2(); err != nil {
		return nil, err
	}
	return v, nil
}

// Notes tells, in sentences, what is odd about the header and yet no reason not to use it.
func (v *Volume) Notes() []string { return slices.Clone(v.notes) }

// Stale tells whether one copy of the header is damaged or old, which Repair mends.
func (v *Volume) Stale() bool { return v.stale }

// Slots lists the keyslots that are in use, by number.
func (v *Volume) Slots() (list []Slot) {
	for _, s := range v.slots {
		list = append(list, Slot{s.number, s.kdf.kind, s.kdf.memory << 10, v.h != nil && v.h.recovery(s.number)})
	}
	slices.SortFunc(list, func(a, b Slot) int { return cmp.Compare(a.Number, b.Number) })
	return list
}

// Unlock opens the volume with a passphrase of any of its keyslots. The error wraps ErrPassphrase when
// none has it.
func (v *Volume) Unlock(passphrase []byte) (*Device, error) {
	key, _, err := v.volumeKey(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return v.device(key)
}

// volumeKey finds the keyslot of a passphrase and returns what it holds.
func (v *Volume) volumeKey(passphrase []byte) (key []byte, slot *keyslot, err error) {
	var refused error
	left := float64(mostSeconds)
	for _, s := range v.slots {
		cost, err := s.kdf.check(v.Memory, s.areaKey)
		cost += v.digest.seconds()
		if err == nil && cost > left {
			err = fmt.Errorf("keyslots that take longer than %d seconds together are not tried", mostSeconds)
		}
		if err != nil {
			refused = cmp.Or(refused, fmt.Errorf("keyslot %d was not tried: %w", s.number, err))
			continue
		}
		left -= cost
		key, err := v.try(s, passphrase)
		if err != nil {
			refused = cmp.Or(refused, fmt.Errorf("keyslot %d: %w", s.number, err))
			continue
		}
		if key != nil {
			return key, s, nil
		}
	}
	if refused != nil {
		return nil, nil, fmt.Errorf("%w; %w", ErrPassphrase, refused)
	}
	return nil, nil, ErrPassphrase
}

// try returns the volume key if the keyslot has that passphrase, else nil.
func (v *Volume) try(s *keyslot, passphrase []byte) ([]byte, error) {
	key, err := s.open(v.dev, passphrase)
	if err != nil {
		return nil, err
	}
	sum := v.digest.of(key)
	if subtle.ConstantTimeCompare(sum, v.digest.sum) == 1 {
		return key, nil
	}
	clear(key)
	return nil, nil
}

// readBytes reads n bytes at off, both of which need not be whole blocks.
func readBytes(dev fs.BlockDevice, off, n int64) ([]byte, error) {
	size := int64(dev.BlockSize())
	if off < 0 || n < 0 || n > 64<<20 || off > int64(dev.Blocks())*size-n {
		return nil, fmt.Errorf("%d bytes at %d: %w", n, off, fs.ErrOutOfRange)
	}
	first, end := off/size, (off+n+size-1)/size
	b := make([]byte, (end-first)*size)
	if err := dev.ReadBlocks(uint64(first), b); err != nil {
		return nil, err
	}
	return b[off-first*size:][:n], nil
}

// writeBytes writes p, whole blocks, at off, and reads it back.
func writeBytes(dev fs.BlockDevice, off int64, p []byte) error {
	size := int64(dev.BlockSize())
	if off%size != 0 {
		return fmt.Errorf("the encrypted volume has parts that begin at %d, within a block of %d bytes", off, size)
	}
	if err := dev.WriteBlocks(uint64(off/size), p); err != nil {
		return err
	}
	if err := dev.Flush(); err != nil {
		return err
	}
	b := make([]byte, len(p))
	if err := dev.ReadBlocks(uint64(off/size), b); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(b, p) != 1 {
		return fmt.Errorf("what was written at %d is not what was read back: %w", off, fs.ErrIO)
	}
	return nil
}

// Estimate says how many bytes are filled or hashed to try a passphrase at all keyslots, the digest of the volume key after each
// of them included, and roughly how long that takes on this machine, after a moment's measurement.
func (v *Volume) Estimate() (work int64, took time.Duration) {
	const sample = 1 << 10 // KiB, and rounds
	speed := map[string]time.Duration{}
	add := func(k kdf, size int) {
		n, of, name := k.rounds*k.memory<<10, int64(sample<<10), k.kind
		if k.kind == "pbkdf2" {
			row := int64(2 * k.hash().BlockSize()) // what one round hashes of a row, at least
			n, of = k.rounds*row*int64((size+k.hash().Size()-1)/k.hash().Size()), sample*row
			name += fmt.Sprint(k.hash().Size())
			k.rounds = sample
		} else {
			k.rounds, k.memory, k.lanes = 1, sample, 1
		}
		if speed[name] == 0 {
			began := time.Now()
			if _, err := k.key([]byte("sample"), 16); err != nil {
				return
			}
			speed[name] = max(time.Since(began), 1)
		}
		work += n
		took += time.Duration(float64(n) / float64(of) * float64(speed[name]))
	}
	for _, s := range v.slots {
		if _, err := s.kdf.check(v.Memory, s.areaKey); err == nil {
			add(s.kdf, s.areaKey)
			add(kdf{kind: "pbkdf2", salt: v.digest.salt, hash: v.digest.hash, rounds: v.digest.rounds}, len(v.digest.sum))
		}
	}
	return work, took
}

// Remains tells, of a volume of which only the second copy of the header is sound, whether what lies in the place of the first
// is what is left of it, and not what has begun there since: its JSON is as in the second copy, or empty where it is not.
func (v *Volume) Remains() bool {
	if v.h == nil {
		return false
	}
	both, err := readBytes(v.dev, 0, 2*v.h.size)
	if err != nil {
		return false
	}
	const piece = 512
	for at := int64(piece); at < v.h.size; at += piece { // what the two copies' first sectors say differs
		s := both[at:][:piece]
		if bytes.Count(s, []byte{s[0]}) == piece && (s[0] == 0 || s[0] == 0xFF) {
			continue
		}
		if !bytes.Equal(s, both[v.h.size+at:][:piece]) {
			return false
		}
	}
	return true
}
