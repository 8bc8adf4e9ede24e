package luks

// Keyslots: from a passphrase to the volume key.

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"runtime"
	"unsafe"

	"golang.org/x/crypto/argon2"

	"alphaos/fs"
)

var be = binary.BigEndian

// hashes are those that headers may name.
var hashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func hashOf(name string) (func() hash.Hash, error) {
	if h, ok := hashes[name]; ok {
		return h, nil
	}
	return nil, fmt.Errorf("the hash %.40q is not known; sha1, sha256 and sha512 are", name)
}

// Bounds of what a header may ask for.
const (
	mostSeconds = 120     // of a fast processor, for all keyslots
	mostLanes   = 64      // of Argon2
	stripes     = 4000    // of the AF splitter, the only number that the specifications allow
	mostSlots   = 32      // of LUKS2
	mostKey     = 64      // bytes of a volume key: two of AES-256
	perSecond   = 1 << 20 // KiB that Argon2 fills, or rounds of PBKDF2, in a second of a fast processor, roughly
)

// kdf makes a key of a passphrase.
type kdf struct {
	kind   string
	salt   []byte
	hash   func() hash.Hash // of pbkdf2
	rounds int64            // of pbkdf2; of the others passes over the memory
	memory int64            // KiB
	lanes  int
}

// check returns roughly how many seconds a key of n bytes takes, or why it is refused.
func (k *kdf) check(memory int64, n int) (seconds float64, err error) {
	switch {
	case k.rounds < 1:
		return 0, errors.New("its parameters make no sense")
	case k.kind == "pbkdf2":
		seconds = pbkdfSeconds(k.hash, k.rounds, n)
	case k.memory < 8 || k.lanes < 1 || k.lanes > mostLanes:
		return 0, errors.New("its parameters make no sense")
	case k.memory > memory>>10:
		return 0, fmt.Errorf("it asks for %d MiB of memory, and %d MiB can be had here; on a computer with more, change its passphrase to one with less (alphaos drive passphrase change, or cryptsetup luksConvertKey --pbkdf-memory)", k.memory>>10, memory>>20)
	default:
		seconds = float64(k.rounds) * float64(k.memory) / perSecond
	}
	if seconds > mostSeconds {
		return 0, fmt.Errorf("it asks for some %.0f seconds of work, and %d are the most", seconds, mostSeconds)
	}
	return seconds, nil
}

// key derives n bytes.
func (k *kdf) key(passphrase []byte, n int) ([]byte, error) {
	switch k.kind {
	case "pbkdf2":
		return pbkdf(k.hash, passphrase, k.salt, k.rounds, n)
	case "argon2i":
		defer runtime.GC() // its memory is for others now
		return argon2.Key(passphrase, k.salt, uint32(k.rounds), uint32(k.memory), uint8(k.lanes), uint32(n)), nil
	case "argon2id":
		defer runtime.GC()
		return argon2.IDKey(passphrase, k.salt, uint32(k.rounds), uint32(k.memory), uint8(k.lanes), uint32(n)), nil
	}
	return nil, fmt.Errorf("the function %.40q is not known; argon2id, argon2i and pbkdf2 are", k.kind)
}

// pbkdf is PBKDF2. The passphrase is lent as a string, since a copy of it could not be wiped.
func pbkdf(h func() hash.Hash, passphrase, salt []byte, rounds int64, n int) ([]byte, error) {
	return pbkdf2.Key(h, unsafe.String(unsafe.SliceData(passphrase), len(passphrase)), salt, int(rounds), n)
}

// pbkdfSeconds is roughly how many seconds PBKDF2 takes for n bytes, each row of which, as long as a hash, takes all rounds.
func pbkdfSeconds(h func() hash.Hash, rounds int64, n int) float64 {
	size := h().Size()
	return float64(rounds) / perSecond * float64((n+size-1)/size)
}

// digest tells the volume key from others.
type digest struct {
	hash   func() hash.Hash
	salt   []byte
	rounds int64
	sum    []byte
}

func (d *digest) of(key []byte) []byte {
	sum, err := pbkdf(d.hash, key, d.salt, d.rounds, len(d.sum))
	if err != nil { // no key of any length that read accepts
		return nil
	}
	return sum
}

func (d *digest) seconds() float64 { return pbkdfSeconds(d.hash, d.rounds, len(d.sum)) }

// keyslot is where the volume key is kept for one passphrase.
type keyslot struct {
	number  int
	kdf     kdf
	af      func() hash.Hash // the AF splitter's
	keySize int              // bytes of the volume key
	areaKey int              // bytes of the key that encrypts the area
	offset  int64            // bytes, of the area
	size    int64
	narrow  bool // as in segment
}

// material is how many bytes the stripes have, in whole sectors.
func (s *keyslot) material() int64 { return (int64(s.keySize)*stripes + 511) &^ 511 }

// open returns what the keyslot holds by that passphrase, right or not.
func (s *keyslot) open(dev fs.BlockDevice, passphrase []byte) ([]byte, error) {
	area, err := readBytes(dev, s.offset, s.material())
	if err != nil {
		return nil, fmt.Errorf("its area cannot be read: %w", err)
	}
	key, err := s.kdf.key(passphrase, s.areaKey)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	x, err := newXTS(key)
	if err != nil {
		return nil, err
	}
	defer x.wipe()
	x.decrypt(area, 0, 512, s.narrow)
	defer clear(area)
	return afMerge(area, s.keySize, s.af), nil
}

// seal writes key into the area, for that passphrase.
func (s *keyslot) seal(dev fs.BlockDevice, passphrase, key []byte) error {
	area := make([]byte, (s.material()+4095)&^4095)
	if err := afSplit(area, key, s.af); err != nil {
		return err
	}
	k, err := s.kdf.key(passphrase, s.areaKey)
	if err != nil {
		return err
	}
	defer clear(k)
	x, err := newXTS(k)
	if err != nil {
		return err
	}
	defer x.wipe()
	x.encrypt(area[:s.material()], 0, 512, s.narrow)
	return writeBytes(dev, s.offset, area)
}

// destroy overwrites the area with random bytes.
func (s *keyslot) destroy(dev fs.BlockDevice) error {
	area := make([]byte, s.size&^4095)
	rand.Read(area)
	return writeBytes(dev, s.offset, area)
}

// diffuse spreads each bit over the whole stripe: LUKS1 specification, section 2.4.
func diffuse(b []byte, newHash func() hash.Hash) {
	h := newHash()
	size := h.Size()
	var sum []byte
	for i := 0; i*size < len(b); i++ {
		part := b[i*size : min(len(b), (i+1)*size)]
		h.Reset()
		h.Write(be.AppendUint32(nil, uint32(i)))
		h.Write(part)
		sum = h.Sum(sum[:0])
		copy(part, sum)
	}
}

// afMerge makes the key of its stripes.
func afMerge(area []byte, size int, h func() hash.Hash) []byte {
	key := make([]byte, size)
	for i := range stripes {
		subtle.XORBytes(key, key, area[i*size:][:size])
		if i < stripes-1 {
			diffuse(key, h)
		}
	}
	return key
}

// afSplit spreads the key over stripes.
func afSplit(area, key []byte, h func() hash.Hash) error {
	size := len(key)
	if _, err := rand.Read(area); err != nil {
		return err
	}
	d := make([]byte, size)
	defer clear(d)
	for i := range stripes - 1 {
		subtle.XORBytes(d, d, area[i*size:][:size])
		diffuse(d, h)
	}
	subtle.XORBytes(area[(stripes-1)*size:], d, key)
	return nil
}
