package ext4

// The hashes of names by which large directories are indexed (Linux, fs/ext4/hash.c).

import (
	"encoding/binary"
	iofs "io/fs"
	"math/bits"
)

// Kinds of hash. Each of the first three takes letters beyond ASCII as negative numbers, and
// three higher as positive ones.
const (
	hashLegacy  = 0
	hashHalfMD4 = 1
	hashTEA     = 2
	unsigned    = 3
)

// hashName returns the hash of a name, and whether this kind is known.
func hashName(kind byte, seed [4]uint32, name []byte) (hash uint32, ok bool) {
	if kind > hashTEA+unsigned {
		return 0, false
	}
	letter := func(c byte) uint32 { return uint32(int32(int8(c))) }
	if kind >= unsigned {
		letter = func(c byte) uint32 { return uint32(c) }
		kind -= unsigned
	}
	state := [4]uint32{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476}
	if seed != ([4]uint32{}) {
		state = seed
	}
	switch kind {
	case hashLegacy:
		hash = legacyHash(name, letter)
	case hashHalfMD4:
		var in [8]uint32
		for left := name; len(left) > 0; left = left[min(32, len(left)):] {
			fillHash(in[:], left, letter)
			halfMD4(&state, &in)
		}
		hash = state[1]
	case hashTEA:
		var in [4]uint32
		for left := name; len(left) > 0; left = left[min(16, len(left)):] {
			fillHash(in[:], left, letter)
			tea(&state, &in)
		}
		hash = state[0]
	}
	// The lowest bit says in an index that names of the same hash are in the block before, too;
	// the highest number is the end of a directory.
	const end = 0x7FFFFFFF
	if hash &^= 1; hash == end<<1 {
		hash = (end - 1) << 1
	}
	return hash, true
}

func legacyHash(name []byte, letter func(byte) uint32) uint32 {
	hash, before := uint32(0x12A3FE2D), uint32(0x37ABE8F9)
	for _, c := range name {
		next := before + (hash ^ letter(c)*7152373)
		if next&0x80000000 != 0 {
			next -= 0x7FFFFFFF
		}
		before, hash = hash, next
	}
	return hash << 1
}

// fillHash packs the beginning of name into in, and its length into what is left of that.
func fillHash(in []uint32, name []byte, letter func(byte) uint32) {
	pad := uint32(len(name)) | uint32(len(name))<<8
	pad |= pad << 16
	for i := range in {
		in[i] = pad
		for j := 4 * i; j < min(4*i+4, len(name)); j++ {
			in[i] = letter(name[j]) + in[i]<<8
		}
	}
}

func tea(state, in *[4]uint32) {
	sum, x, y := uint32(0), state[0], state[1]
	for range 16 {
		sum += 0x9E3779B9
		x += (y<<4 + in[0]) ^ (y + sum) ^ (y>>5 + in[1])
		y += (x<<4 + in[2]) ^ (x + sum) ^ (x>>5 + in[3])
	}
	state[0] += x
	state[1] += y
}

func halfMD4(state *[4]uint32, in *[8]uint32) {
	f := func(x, y, z uint32) uint32 { return z ^ x&(y^z) }
	g := func(x, y, z uint32) uint32 { return x&y + (x^y)&z }
	h := func(x, y, z uint32) uint32 { return x ^ y ^ z }
	a, b, c, d := state[0], state[1], state[2], state[3]
	for _, round := range []struct {
		f     func(x, y, z uint32) uint32
		add   uint32
		order [8]int
		turn  [4]int
	}{
		{f, 0, [8]int{0, 1, 2, 3, 4, 5, 6, 7}, [4]int{3, 7, 11, 19}},
		{g, 0x5A827999, [8]int{1, 3, 5, 7, 0, 2, 4, 6}, [4]int{3, 5, 9, 13}},
		{h, 0x6ED9EBA1, [8]int{3, 7, 2, 6, 1, 5, 0, 4}, [4]int{3, 9, 11, 15}},
	} {
		for i, k := range round.order {
			a = bits.RotateLeft32(a+round.f(b, c, d)+in[k]+round.add, round.turn[i%4])
			a, b, c, d = d, a, b, c
		}
	}
	state[0], state[1], state[2], state[3] = state[0]+a, state[1]+b, state[2]+c, state[3]+d
}

// findIndexed looks a name up by the directory's hash tree (ext4_dx_find_entry in namei.c).
// The tree's root and nodes are blocks of the directory, disguised as such that hold next to
// nothing.
func (v *FS) findIndexed(dir *inode, name []byte) (e entry, err error) {
	le := binary.LittleEndian
	b, err := v.dirBlock(dir, 0)
	if err != nil {
		return e, err
	}
	const at = 0x18 // behind "." and ".."
	kind, length, levels := b[at+4], b[at+5], int(b[at+6])
	if kind <= hashTEA && v.hashUnsigned {
		kind += unsigned
	}
	hash, ok := hashName(kind, v.hashSeed, name)
	if !ok || length != 8 || levels > 3 {
		return e, errIndex
	}
	left := dir.size / v.block // blocks that may still be looked at: each once
	var search func(b []byte, levels int) error
	search = func(b []byte, levels int) error {
		// Entries of a hash and a block each; the first has, for a hash, how many there are.
		most, count := int(le.Uint16(b)), int(le.Uint16(b[2:]))
		if count == 0 || count > most || most > len(b)/8 {
			return errIndex
		}
		from := func(i int) uint32 { return le.Uint32(b[8*i:]) }
		i, end := 1, count
		for i < end {
			if mid := (i + end) / 2; from(mid) > hash {
				end = mid
			} else {
				i = mid + 1
			}
		}
		for i--; ; i++ {
			if left--; left < 0 {
				return errIndex
			}
			next, err := v.dirBlock(dir, le.Uint32(b[8*i+4:])&0x0FFFFFFF)
			if err != nil {
				return err
			}
			if levels == 0 {
				e, err = v.findIn(dir, le.Uint32(b[8*i+4:])&0x0FFFFFFF, next, name)
			} else {
				err = search(next[8:], levels-1)
			}
			if err != iofs.ErrNotExist || i+1 >= count || from(i+1) != hash|1 {
				return err
			}
		}
	}
	return e, search(b[at+8:], levels)
}
