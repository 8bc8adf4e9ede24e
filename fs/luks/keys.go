package luks

// Making a volume, and changing who can open it.

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"alphaos/fs"
)

// Cost is what an attempt at a passphrase costs. Its zero value is what Measure finds.
type Cost struct {
	Memory int64 // bytes, 64 MiB if 0
	Passes int   // over that memory, at least 4; if 0 as many as take a second here
}

const (
	usualMemory = 64 << 20
	leastPasses = 4
	mostPasses  = 32
)

// kdf makes a new function of a keyslot. It has one lane, since a start of AlphaOS asks for the passphrase while
// one processor runs: more would only help those who guess.
func (c Cost) kdf() (kdf, error) {
	k := kdf{kind: "argon2id", salt: make([]byte, 32), memory: cmp.Or(c.Memory, usualMemory) >> 10, rounds: int64(c.Passes), lanes: 1}
	if _, err := rand.Read(k.salt); err != nil {
		return k, err
	}
	if k.memory < 32 {
		return k, errors.New("a keyslot needs 32 KiB of memory at least")
	}
	if k.rounds < 0 || k.memory > math.MaxUint32 {
		return k, errors.New("so many passes, or so much memory, are impossible")
	}
	if k.rounds == 0 {
		k.rounds = 1
		began := time.Now()
		if _, err := k.key([]byte("how fast is this?"), 32); err != nil {
			return k, err
		}
		k.rounds = min(max(int64(time.Second/max(time.Since(began), 1)), leastPasses), mostPasses)
	}
	return k, nil
}

// Options says what volume Format makes.
type Options struct {
	Label  string // at most 47 bytes
	Sector int    // bytes, 512 or 4096; 0: those of a block of the medium
	Cost   Cost
	UUID   [16]byte // zero: random
	Offset int64    // bytes before the data, whole MiB; 0: 16 MiB
}

// DataOffset is where the data of a new volume begin.
const DataOffset = 16 << 20

// Format makes dev an encrypted volume, LUKS2 with Argon2id and AES-256-XTS, and opens it. What its data were
// before is nothing that can be read now.
func Format(dev fs.BlockDevice, passphrase []byte, o Options) (*Volume, *Device, error) {
	o.Sector = cmp.Or(o.Sector, dev.BlockSize())
	o.Offset = cmp.Or(o.Offset, DataOffset)
	total := int64(dev.Blocks()) * int64(dev.BlockSize())
	switch {
	case len(passphrase) == 0:
		return nil, nil, errors.New("an empty passphrase protects nothing; choose another one")
	case o.Sector != 512 && o.Sector != 4096 || o.Sector < dev.BlockSize():
		return nil, nil, fmt.Errorf("sectors of %d bytes cannot be made on a medium with blocks of %d", o.Sector, dev.BlockSize())
	case len(o.Label) > 47:
		return nil, nil, errors.New("the label is too long")
	case o.Offset < 1<<20 || o.Offset%(1<<20) != 0 || o.Offset+1<<20 > total:
		return nil, nil, fmt.Errorf("an encrypted volume needs %d MiB beside its data, and there are %d MiB in all", o.Offset>>20, total>>20)
	}
	if o.UUID == [16]byte{} {
		if _, err := rand.Read(o.UUID[:]); err != nil {
			return nil, nil, err
		}
		o.UUID[6], o.UUID[8] = o.UUID[6]&0x0F|0x40, o.UUID[8]&0x3F|0x80
	}
	key := make([]byte, mostKey)
	defer clear(key)
	// Nobody guesses a random key, so its digest need not be slow; 1000 rounds are the fewest that cryptsetup takes.
	d := jsonDigest{Type: "pbkdf2", Keyslots: []string{}, Segments: []string{"0"}, Salt: make([]byte, 32), Hash: "sha256", Iterations: 1000}
	for _, b := range [][]byte{key, d.Salt} {
		if _, err := rand.Read(b); err != nil {
			return nil, nil, err
		}
	}
	d.Digest = (&digest{sha256.New, d.Salt, d.Iterations, make([]byte, 32)}).of(key)
	h := &header{size: sizes[0], binary: make([]byte, binarySize), json: map[string]json.RawMessage{}}
	copy(h.binary[atLabel:], o.Label)
	copy(h.binary[atUUID:], fmt.Sprintf("%x-%x-%x-%x-%x", o.UUID[:4], o.UUID[4:6], o.UUID[6:8], o.UUID[8:10], o.UUID[10:]))
	for name, part := range map[string]any{
		"keyslots": map[string]any{},
		"tokens":   map[string]any{},
		"segments": map[string]jsonSegment{"0": {Type: "crypt", Offset: number(o.Offset), Size: "dynamic", Encryption: "aes-xts-plain64", SectorSize: o.Sector}},
		"digests":  map[string]jsonDigest{"0": d},
		"config":   jsonConfig{JSONSize: number(h.size - binarySize), KeyslotsSize: number(o.Offset - 2*h.size)},
	} {
		raw, err := json.Marshal(part)
		if err != nil {
			return nil, nil, err
		}
		h.json[name] = raw
	}
	v := &Volume{Version: 2, Memory: 1 << 30, dev: dev}
	if err := v.take(h); err != nil {
		return nil, nil, err
	}
	if _, err := v.addKey(key, passphrase, o.Cost, false); err != nil {
		return nil, nil, err
	}
	open, err := v.device(key)
	if err != nil {
		return nil, nil, err
	}
	return v, open, nil
}

// changeable says why the keyslots can't be changed.
func (v *Volume) changeable() error {
	if v.h == nil {
		return errors.New("passphrases of LUKS version 1 cannot be changed here; cryptsetup can, or cryptsetup convert --type luks2 makes it version 2")
	}
	return nil
}

// Add adds a passphrase, of which old is one already. recovery marks it as that of a recovery key.
func (v *Volume) Add(old, passphrase []byte, c Cost, recovery bool) error {
	if err := v.changeable(); err != nil {
		return err
	}
	key, _, err := v.volumeKey(old)
	if err != nil {
		return err
	}
	defer clear(key)
	_, err = v.addKey(key, passphrase, c, recovery)
	return err
}

// Change puts a passphrase in the place of another. Both open the volume until the new one is known to.
func (v *Volume) Change(old, passphrase []byte, c Cost) error {
	if err := v.changeable(); err != nil {
		return err
	}
	key, slot, err := v.volumeKey(old)
	if err != nil {
		return err
	}
	defer clear(key)
	if _, err := v.addKey(key, passphrase, c, v.h.recovery(slot.number)); err != nil {
		return err
	}
	return v.removeSlot(slot.number)
}

// Remove removes a passphrase, which must not be the only one.
func (v *Volume) Remove(passphrase []byte) error {
	if err := v.changeable(); err != nil {
		return err
	}
	key, slot, err := v.volumeKey(passphrase)
	if err != nil {
		return err
	}
	clear(key)
	if len(v.slots) < 2 {
		return ErrLast
	}
	return v.removeSlot(slot.number)
}

// RemoveSlot removes a keyslot whose passphrase nobody knows any more; passphrase is that of another one.
func (v *Volume) RemoveSlot(number int, passphrase []byte) error {
	if err := v.changeable(); err != nil {
		return err
	}
	if !slices.ContainsFunc(v.slots, func(s *keyslot) bool { return s.number == number }) {
		return fmt.Errorf("there is no keyslot %d", number)
	}
	key, slot, err := v.volumeKey(passphrase)
	if err != nil {
		return err
	}
	clear(key)
	if slot.number == number {
		return errors.New("that passphrase is the one of the keyslot that is to go; give another one, which stays")
	}
	return v.removeSlot(number)
}

// addKey makes a keyslot with the volume key for a passphrase.
func (v *Volume) addKey(key, passphrase []byte, c Cost, recovery bool) (slot int, err error) {
	if len(passphrase) == 0 {
		return 0, errors.New("an empty passphrase protects nothing; choose another one")
	}
	s := &keyslot{number: -1, af: sha256.New, keySize: len(key), areaKey: mostKey}
	for n := range mostSlots {
		if _, used := v.h.keyslots[strconv.Itoa(n)]; !used {
			s.number = n
			break
		}
	}
	s.size = (s.material() + 4095) &^ 4095
	if s.offset, err = v.room(s.size); err != nil || s.number < 0 {
		return 0, errors.New("the encrypted volume has no room for another passphrase; remove one first")
	}
	if s.kdf, err = c.kdf(); err != nil {
		return 0, err
	}
	if _, err := s.kdf.check(v.Memory, s.areaKey); err != nil {
		return 0, fmt.Errorf("such a keyslot would be refused when the drive is opened: %w", err)
	}
	if err := s.seal(v.dev, passphrase, key); err != nil {
		return 0, fmt.Errorf("writing a keyslot: %w", err)
	}
	// What nobody could open would be worse than an error.
	got, err := v.try(s, passphrase)
	if err == nil && got == nil {
		err = errors.New("it does not give what was put in")
	}
	clear(got)
	if err != nil {
		return 0, fmt.Errorf("a new keyslot: %w", err)
	}
	name := strconv.Itoa(s.number)
	v.h.keyslots[name], err = json.Marshal(jsonSlot{
		Type: "luks2", KeySize: s.keySize, AF: jsonAF{"luks1", stripes, "sha256"},
		Area: jsonArea{"raw", number(s.offset), number(s.size), "aes-xts-plain64", s.areaKey},
		KDF:  jsonKDF{Type: s.kdf.kind, Salt: s.kdf.salt, Time: s.kdf.rounds, Memory: s.kdf.memory, CPUs: s.kdf.lanes},
	})
	if err != nil {
		return 0, err
	}
	if recovery {
		for n := range mostSlots {
			if _, used := v.h.tokens[strconv.Itoa(n)]; used {
				continue
			}
			if v.h.tokens[strconv.Itoa(n)], err = json.Marshal(jsonToken{recoveryToken, []string{name}}); err != nil {
				return 0, err
			}
			break
		}
	}
	if err := v.lists("digests", func(d map[string]any) {
		segments, _ := d["segments"].([]any)
		if list, ok := d["keyslots"].([]any); ok && slices.Contains(segments, any(v.h.segment)) {
			d["keyslots"] = append(list, name)
		}
	}); err != nil {
		return 0, err
	}
	if err := v.write(); err != nil {
		return 0, err
	}
	v.slots = append(v.slots, s)
	return s.number, nil
}

// room finds a place for the area of a keyslot. All areas count, also those of keyslots that are not understood.
func (v *Volume) room(size int64) (int64, error) {
	type span struct{ from, to int64 }
	var used []span
	for _, raw := range v.h.keyslots {
		var j struct {
			Area struct{ Offset, Size number }
		}
		if err := json.Unmarshal(raw, &j); err != nil {
			return 0, err
		}
		used = append(used, span{int64(j.Area.Offset), int64(j.Area.Offset) + int64(j.Area.Size)})
	}
	slices.SortFunc(used, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	at := v.h.areas[0]
	for _, u := range used {
		if u.from-at >= size {
			break
		}
		at = max(at, (u.to+4095)&^4095)
	}
	if v.h.areas[1]-at < size {
		return 0, errors.New("no room")
	}
	return at, nil
}

// removeSlot takes a keyslot away: its area first, so that a cut leaves at worst one that nobody can use.
func (v *Volume) removeSlot(number int) error {
	i := slices.IndexFunc(v.slots, func(s *keyslot) bool { return s.number == number })
	if err := v.slots[i].destroy(v.dev); err != nil {
		return fmt.Errorf("removing a keyslot: %w", err)
	}
	name := strconv.Itoa(number)
	v.slots = slices.Delete(v.slots, i, i+1)
	delete(v.h.keyslots, name)
	without := func(o map[string]any) {
		if list, ok := o["keyslots"].([]any); ok {
			o["keyslots"] = slices.DeleteFunc(list, func(x any) bool { return x == name })
		}
	}
	for n, raw := range v.h.tokens {
		var t jsonToken
		if json.Unmarshal(raw, &t) == nil && t.Type == recoveryToken && slices.Equal(t.Keyslots, []string{name}) {
			delete(v.h.tokens, n)
		}
	}
	for _, part := range []string{"digests", "tokens"} {
		if err := v.lists(part, without); err != nil {
			return err
		}
	}
	return v.write()
}

// lists has change look at each object of a part of the JSON, whatever else it has.
func (v *Volume) lists(part string, change func(map[string]any)) error {
	raw := v.h.json[part]
	if part == "tokens" {
		var err error
		if raw, err = json.Marshal(v.h.tokens); err != nil {
			return err
		}
	}
	objects := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &objects); err != nil {
		return err
	}
	for name, raw := range objects {
		var o map[string]any
		if err := unmarshalNumbers(raw, &o); err != nil {
			return err
		}
		change(o)
		b, err := json.Marshal(o)
		if err != nil {
			return err
		}
		objects[name] = b
	}
	if part == "tokens" {
		v.h.tokens = objects
		return nil
	}
	b, err := json.Marshal(objects)
	v.h.json[part] = b
	return err
}

// Destroy makes the volume unreadable for ever: it overwrites both headers and all areas of keyslots. That needs no
// passphrase. After an error the rest is overwritten all the same.
func Destroy(dev fs.BlockDevice) error {
	v, err := Read(dev)
	end := int64(DataOffset)
	switch {
	case err == nil:
		end = v.data.offset
	case errors.Is(err, ErrNot):
		return err
	}
	size := int64(dev.BlockSize())
	end = min(end, int64(dev.Blocks())*size) / size * size
	b := make([]byte, 1<<20)
	var failed error // the first; what comes behind is overwritten all the same
	for at := int64(0); at < end; at += int64(len(b)) {
		p := b[:min(int64(len(b)), end-at)]
		if _, err := rand.Read(p); err != nil {
			return err
		}
		if err := writeBytes(dev, at, p); err != nil {
			failed = cmp.Or(failed, fmt.Errorf("overwriting the keyslots: %w", err))
		}
	}
	return failed
}
