package luks

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

var haveAES = cpu.X86.HasAES && cpu.X86.HasSSE41

// schedule has the round keys, in the order in which they are used.
type schedule struct {
	rounds        int // 10 or 14
	enc, dec, twk [15 * 16]byte
}

// newSchedule expands both halves of a key: FIPS 197, section 5.2.
func newSchedule(key []byte) *schedule {
	half := len(key) / 2
	s := &schedule{rounds: half/4 + 6}
	expand(s.enc[:(s.rounds+1)*16], key[:half])
	expand(s.twk[:(s.rounds+1)*16], key[half:])
	// The equivalent inverse cipher, section 5.3.5.
	for r := range s.rounds + 1 {
		from := s.enc[(s.rounds-r)*16:][:16]
		if to := s.dec[r*16:][:16]; r == 0 || r == s.rounds {
			copy(to, from)
		} else {
			invMixColumns(&to[0], &from[0])
		}
	}
	return s
}

func expand(w, key []byte) {
	le := binary.LittleEndian
	n := copy(w, key)
	rcon := uint32(1)
	for i := n; i < len(w); i += 4 {
		t := le.Uint32(w[i-4:])
		switch {
		case i%n == 0:
			t = subWord(t>>8|t<<24) ^ rcon // rotated
			if rcon <<= 1; rcon > 0xFF {
				rcon ^= 0x11B
			}
		case n == 32 && i%n == 16:
			t = subWord(t)
		}
		le.PutUint32(w[i:], le.Uint32(w[i-n:])^t)
	}
}

// sector encrypts or decrypts a sector whose number, as 16 bytes, is in tweak, which is overwritten.
func (s *schedule) sector(p []byte, tweak *[16]byte, encrypt bool) {
	encryptBlock(tweak, &s.twk[0], s.rounds)
	if encrypt {
		xtsEncrypt(&p[0], len(p)/128, tweak, &s.enc[0], s.rounds)
	} else {
		xtsDecrypt(&p[0], len(p)/128, tweak, &s.dec[0], s.rounds)
	}
}

// subWord puts each byte through the S-box.
//
//go:noescape
func subWord(w uint32) uint32

//go:noescape
func invMixColumns(to, from *byte)

// encryptBlock encrypts b in place.
//
//go:noescape
func encryptBlock(b *[16]byte, keys *byte, rounds int)

// xtsEncrypt encrypts n times eight blocks in place, the first with that tweak.
//
//go:noescape
func xtsEncrypt(p *byte, n int, tweak *[16]byte, keys *byte, rounds int)

// xtsDecrypt is its reverse.
//
//go:noescape
func xtsDecrypt(p *byte, n int, tweak *[16]byte, keys *byte, rounds int)
