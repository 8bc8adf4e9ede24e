package luks

// The header of version 2: a binary part of 4096 bytes and JSON behind it, big-endian, in two copies. What of the JSON
// is not ours to change is kept as it was.

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Places in the binary part: specification, section 2.1.
const (
	binarySize = 4096
	atVersion  = 6
	atSize     = 8
	atSequence = 16
	atLabel    = 24  // 48 bytes
	atAlg      = 72  // 32 bytes
	atSalt     = 104 // 64 bytes
	atUUID     = 168 // 40 bytes
	atOffset   = 256
	atSum      = 448 // 64 bytes
	sumSize    = 64
)

// sizes are those that a copy of the header may have; the secondary one begins at the same number.
var sizes = []int64{16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}

// header is the content of a copy.
type header struct {
	size     int64
	sequence uint64
	second   bool   // it is the second copy, and the first one is damaged or older
	binary   []byte // as it was read, for what is kept
	json     map[string]json.RawMessage

	keyslots, tokens map[string]json.RawMessage
	segment          string   // the name of the data's
	areas            [2]int64 // where areas of keyslots may be
}

// number is a number as the JSON has it where it may be large: in decimal, as a string.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 {
		return fmt.Errorf("%.40q is no size", s)
	}
	*n = number(v)
	return nil
}

func (n number) MarshalJSON() ([]byte, error) { return json.Marshal(strconv.FormatInt(int64(n), 10)) }

// The objects of the JSON: specification, chapter 3.
type (
	jsonKDF struct {
		Type       string `json:"type"`
		Salt       []byte `json:"salt"`
		Hash       string `json:"hash,omitempty"`
		Iterations int64  `json:"iterations,omitempty"`
		Time       int64  `json:"time,omitempty"`
		Memory     int64  `json:"memory,omitempty"`
		CPUs       int    `json:"cpus,omitempty"`
	}
	jsonAF struct {
		Type    string `json:"type"`
		Stripes int    `json:"stripes"`
		Hash    string `json:"hash"`
	}
	jsonArea struct {
		Type       string `json:"type"`
		Offset     number `json:"offset"`
		Size       number `json:"size"`
		Encryption string `json:"encryption"`
		KeySize    int    `json:"key_size"`
	}
	jsonSlot struct {
		Type     string   `json:"type"`
		KeySize  int      `json:"key_size"`
		AF       jsonAF   `json:"af"`
		Area     jsonArea `json:"area"`
		KDF      jsonKDF  `json:"kdf"`
		Priority *int     `json:"priority,omitempty"`
	}
	jsonSegment struct {
		Type       string          `json:"type"`
		Offset     number          `json:"offset"`
		Size       string          `json:"size"`
		IVTweak    number          `json:"iv_tweak"`
		Encryption string          `json:"encryption"`
		SectorSize int             `json:"sector_size"`
		Integrity  json.RawMessage `json:"integrity,omitempty"`
	}
	jsonDigest struct {
		Type       string   `json:"type"`
		Keyslots   []string `json:"keyslots"`
		Segments   []string `json:"segments"`
		Salt       []byte   `json:"salt"`
		Digest     []byte   `json:"digest"`
		Hash       string   `json:"hash"`
		Iterations int64    `json:"iterations"`
	}
	jsonConfig struct {
		JSONSize     number          `json:"json_size"`
		KeyslotsSize number          `json:"keyslots_size"`
		Requirements json.RawMessage `json:"requirements,omitempty"`
	}
	jsonToken struct {
		Type     string   `json:"type"`
		Keyslots []string `json:"keyslots"`
	}
)

// recoveryToken marks the keyslot of a recovery key. Others pass over tokens that they don't know.
const recoveryToken = "alphaos-recovery"

// read2 finds both copies and takes the newer whole one.
func (v *Volume) read2() error {
	primary, err := v.copyAt(0, 0)
	found := err == nil || !errors.Is(err, ErrNot)
	var secondary *header
	look := sizes
	if primary != nil {
		look = []int64{primary.size}
	}
	for _, size := range look {
		h, serr := v.copyAt(size, size)
		if h != nil && (secondary == nil || h.sequence > secondary.sequence) {
			secondary = h
		}
		if !errors.Is(serr, ErrNot) && h == nil {
			err = cmp.Or(err, serr)
		}
	}
	h := primary
	switch {
	case primary == nil && secondary == nil && found:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case primary == nil && secondary == nil:
		return ErrNot
	case primary == nil:
		h, v.stale = secondary, true
		v.notes = append(v.notes, "The header of the encrypted volume is damaged; its copy is used.")
	case secondary == nil:
		v.stale = true
		v.notes = append(v.notes, "The copy of the encrypted volume's header is damaged.")
	case primary.sequence != secondary.sequence:
		v.stale = true // a change was cut short
		if secondary.sequence > primary.sequence {
			h = secondary
		}
	}
	v.Version = 2
	h.second = h == secondary
	if err := v.take(h); err != nil {
		return err
	}
	return nil
}

// copyAt reads the copy of the header at off; of the secondary one size is its size. The error wraps ErrNot if there
// is none, else tells what is wrong with it.
func (v *Volume) copyAt(off, size int64) (*header, error) {
	b, err := readBytes(v.dev, off, binarySize)
	if err != nil {
		return nil, err
	}
	magic := magic1
	if off > 0 {
		magic = magic2
	}
	if string(b[:6]) != magic {
		return nil, ErrNot
	}
	if n := be.Uint16(b[atVersion:]); n != 2 {
		return nil, fmt.Errorf("version %d is not known", n)
	}
	h := &header{size: int64(be.Uint64(b[atSize:])), sequence: be.Uint64(b[atSequence:])}
	if !slices.Contains(sizes, h.size) || size > 0 && h.size != size || int64(be.Uint64(b[atOffset:])) != off {
		return nil, errors.New("its size or place makes no sense")
	}
	alg, _, _ := bytes.Cut(b[atAlg:][:32], []byte{0})
	newHash, err := hashOf(string(alg))
	if err != nil {
		return nil, err
	}
	if b, err = readBytes(v.dev, off, h.size); err != nil {
		return nil, err
	}
	sum := bytes.Clone(b[atSum:][:sumSize])
	clear(b[atSum:][:sumSize])
	s := newHash()
	s.Write(b)
	if got := s.Sum(nil); !bytes.Equal(got, sum[:len(got)]) {
		return nil, errors.New("its checksum is wrong")
	}
	text, _, _ := bytes.Cut(b[binarySize:], []byte{0})
	h.binary = b[:binarySize:binarySize]
	if err := json.Unmarshal(text, &h.json); err != nil {
		return nil, fmt.Errorf("its JSON is damaged: %w", err)
	}
	return h, nil
}

// take checks what the header says and makes it the volume's.
func (v *Volume) take(h *header) error {
	bad := func(what string, err error) error {
		return fmt.Errorf("the header of the encrypted volume cannot be used: %s: %w", what, err)
	}
	text := func(off, n int) string {
		s, _, _ := bytes.Cut(h.binary[off:off+n], []byte{0})
		return string(s)
	}
	v.h, v.UUID, v.Label = h, text(atUUID, 40), text(atLabel, 48)
	var config jsonConfig
	if err := json.Unmarshal(h.json["config"], &config); err != nil {
		return bad("config", err)
	}
	if err := required(config.Requirements); err != nil {
		return bad("config", err)
	}
	if int64(config.JSONSize) != h.size-binarySize {
		return bad("config", errors.New("its size is not that of the header"))
	}
	total := int64(v.dev.Blocks()) * int64(v.dev.BlockSize())
	h.areas = [2]int64{2 * h.size, 2*h.size + int64(config.KeyslotsSize)}
	if h.areas[1] > total || int64(config.KeyslotsSize) > total {
		return bad("config", errors.New("the keyslots reach beyond the end of the medium"))
	}
	segments := map[string]json.RawMessage{}
	digests := map[string]jsonDigest{}
	for _, part := range []struct {
		name string
		into any
	}{{"keyslots", &h.keyslots}, {"tokens", &h.tokens}, {"segments", &segments}, {"digests", &digests}} {
		if err := json.Unmarshal(h.json[part.name], part.into); err != nil {
			return bad(part.name, err)
		}
	}
	if h.keyslots == nil || h.tokens == nil { // null
		return bad("keyslots", errors.New("they and tokens have to be lists"))
	}
	if len(segments) != 1 {
		return bad("segments", fmt.Errorf("there are %d where one can be read; a conversion by cryptsetup may have been cut short, which it can finish", len(segments)))
	}
	var name string
	for n, raw := range segments {
		name, h.segment = n, n
		if err := v.takeSegment(raw, total, h.areas[1]); err != nil {
			return bad("segment "+n, err)
		}
	}
	var mine *jsonDigest
	for _, n := range slices.Sorted(maps.Keys(digests)) {
		if d := digests[n]; slices.Contains(d.Segments, name) {
			mine = &d
			break
		}
	}
	if mine == nil {
		return bad("digests", errors.New("none is of the data"))
	}
	hash, err := hashOf(mine.Hash)
	switch {
	case err != nil:
		return bad("digests", err)
	case mine.Type != "pbkdf2" || mine.Iterations < 1 || mine.Iterations > 20<<20 || len(mine.Digest) < 16 || len(mine.Digest) > 64:
		return bad("digests", errors.New("its parameters make no sense"))
	}
	v.digest = digest{hash, mine.Salt, mine.Iterations, mine.Digest}
	if len(h.keyslots) > mostSlots {
		return bad("keyslots", fmt.Errorf("there are %d, and %d are the most", len(h.keyslots), mostSlots))
	}
	v.slots = nil
	type ranked struct {
		*keyslot
		rank int
	}
	var list []ranked
	for n, raw := range h.keyslots {
		if !slices.Contains(mine.Keyslots, n) {
			continue
		}
		s, rank, err := h.keyslot(n, raw)
		if err != nil {
			v.notes = append(v.notes, fmt.Sprintf("Keyslot %.20s of the encrypted volume is not used: %v.", n, err))
			continue
		}
		list = append(list, ranked{s, rank})
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.number, b.number))
	})
	for _, s := range list {
		v.slots = append(v.slots, s.keyslot)
	}
	return nil
}

// required says why a header can't be used that asks for what is not known here.
func required(raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	var r struct {
		Mandatory []string `json:"mandatory"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	for _, what := range r.Mandatory {
		if what == "offline-reencrypt" || what == "online-reencrypt" || what == "online-reencrypt-v2" {
			return errors.New("it is being encrypted anew, which cryptsetup reencrypt has to finish on Linux")
		}
		return fmt.Errorf("it requires %.40q, which is not known here", what)
	}
	return nil
}

func (v *Volume) takeSegment(raw json.RawMessage, total, least int64) error {
	var s jsonSegment
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if s.Type != "crypt" {
		return fmt.Errorf("its type %.40q is not known", s.Type)
	}
	if len(s.Integrity) > 0 && string(s.Integrity) != "null" {
		return errors.New("its sectors carry checksums (dm-integrity), which is not read here")
	}
	narrow, err := cipherMode(s.Encryption)
	if err != nil {
		return err
	}
	if !slices.Contains([]int{512, 1024, 2048, 4096}, s.SectorSize) {
		return fmt.Errorf("sectors of %d bytes are not known", s.SectorSize)
	}
	d := segment{offset: int64(s.Offset), sector: s.SectorSize, first: uint64(s.IVTweak), narrow: narrow}
	if d.offset < least || d.offset >= total {
		return errors.New("the data are said to begin where they can't")
	}
	d.size = total - d.offset
	if s.Size != "dynamic" {
		n, err := strconv.ParseInt(s.Size, 10, 64)
		if err != nil || n < 512 || n > d.size {
			return errors.New("the data are said to be longer than the medium")
		}
		d.size = n
	}
	v.data = d
	return nil
}

// keyslot makes a keyslot of its JSON. Rank tells which are tried first.
func (h *header) keyslot(name string, raw json.RawMessage) (s *keyslot, rank int, err error) {
	var j jsonSlot
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, 0, err
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || n >= mostSlots {
		return nil, 0, errors.New("it has no number")
	}
	rank = 1
	if j.Priority != nil {
		rank = *j.Priority
	}
	if j.Type != "luks2" || j.AF.Type != "luks1" || j.Area.Type != "raw" {
		return nil, 0, fmt.Errorf("its type %.40q is not known", j.Type)
	}
	s = &keyslot{number: n, keySize: j.KeySize, areaKey: j.Area.KeySize, offset: int64(j.Area.Offset), size: int64(j.Area.Size)}
	s.kdf = kdf{kind: j.KDF.Type, salt: j.KDF.Salt, rounds: j.KDF.Time, memory: j.KDF.Memory, lanes: j.KDF.CPUs}
	if s.af, err = hashOf(j.AF.Hash); err != nil {
		return nil, 0, err
	}
	switch s.kdf.kind {
	case "pbkdf2":
		s.kdf.rounds, s.kdf.memory = j.KDF.Iterations, 0
		if s.kdf.hash, err = hashOf(j.KDF.Hash); err != nil {
			return nil, 0, err
		}
	case "argon2i", "argon2id":
	default:
		return nil, 0, fmt.Errorf("the function %.40q is not known", s.kdf.kind)
	}
	if s.narrow, err = cipherMode(j.Area.Encryption); err != nil {
		return nil, 0, err
	}
	inside := s.offset >= h.areas[0] && s.size > 0 && s.size <= h.areas[1]-h.areas[0] && s.offset <= h.areas[1]-s.size
	if s.keySize != 32 && s.keySize != 64 || s.areaKey != 32 && s.areaKey != 64 || j.AF.Stripes != stripes ||
		!inside || s.offset%4096 != 0 || s.size < (s.material()+4095)&^4095 || len(s.kdf.salt) > 1024 {
		return nil, 0, errors.New("its parameters make no sense")
	}
	return s, rank, nil
}

// recovery tells whether a keyslot is that of a recovery key.
func (h *header) recovery(slot int) bool {
	for _, raw := range h.tokens {
		var t jsonToken
		if json.Unmarshal(raw, &t) == nil && t.Type == recoveryToken && slices.Contains(t.Keyslots, strconv.Itoa(slot)) {
			return true
		}
	}
	return false
}

// Repair writes the copy of the header anew that is damaged or old.
func (v *Volume) Repair() error {
	if !v.stale || v.h == nil {
		return nil
	}
	return v.write()
}

// write writes both copies, one after the other, as the next in number.
func (v *Volume) write() error {
	h := v.h
	h.sequence++
	var err error
	for name, part := range map[string]map[string]json.RawMessage{"keyslots": h.keyslots, "tokens": h.tokens} {
		if h.json[name], err = json.Marshal(part); err != nil {
			return err
		}
	}
	text, err := json.Marshal(h.json)
	if err != nil {
		return err
	}
	if int64(len(text)) >= h.size-binarySize {
		return errors.New("the header of the encrypted volume has no room for that")
	}
	// The copy that was read last: if the other one is what a cut spoils, it is still there.
	order := []int64{h.size, 0}
	if h.second {
		order = []int64{0, h.size}
	}
	for _, off := range order {
		b := make([]byte, h.size)
		copy(b, h.binary)
		copy(b, magic1)
		if off > 0 {
			copy(b, magic2)
		}
		be.PutUint16(b[atVersion:], 2)
		be.PutUint64(b[atSize:], uint64(h.size))
		be.PutUint64(b[atSequence:], h.sequence)
		be.PutUint64(b[atOffset:], uint64(off))
		clear(b[atAlg:][:32])
		copy(b[atAlg:], "sha256")
		if _, err := rand.Read(b[atSalt:][:64]); err != nil {
			return err
		}
		clear(b[atSum:][:sumSize])
		copy(b[binarySize:], text)
		sum := sha256.Sum256(b)
		copy(b[atSum:], sum[:])
		if err := writeBytes(v.dev, off, b); err != nil {
			return fmt.Errorf("writing the header of the encrypted volume: %w", err)
		}
	}
	v.stale, h.second = false, false
	return nil
}

// unmarshalNumbers decodes JSON whose numbers stay as they are written.
func unmarshalNumbers(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(into)
}
