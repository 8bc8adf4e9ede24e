package luks

// Recovery keys: passphrases that chance has made, to be kept on paper.
//
// Six groups of five characters of Crockford's base 32 (no I, L, O and U), as in 7K2QX-…: four of a
// group are random, 120 bits in all, the fifth checks the others and the place of the group. So each mistyped character, each
// two neighbours in the wrong order within a group, and each two groups that changed places are found, and where.

import (
	"crypto/rand"
	"fmt"
	"strings"
)

const (
	alphabet  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	groups    = 6
	groupSize = 5
)

// NewRecoveryKey returns a new recovery key as it is written on paper, which is the passphrase to the letter.
func NewRecoveryKey() (string, error) {
	b := make([]byte, groups*(groupSize-1))
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	var key strings.Builder
	for g := range groups {
		if g > 0 {
			key.WriteByte('-')
		}
		part := b[g*(groupSize-1):][:groupSize-1]
		for i := range part {
			part[i] &= 31
			key.WriteByte(alphabet[part[i]])
		}
		key.WriteByte(alphabet[check(g, part)])
	}
	clear(b)
	return key.String(), nil
}

// check is a weighted sum in GF(32), with weights that all differ, over the characters and the place of the group.
func check(group int, part []byte) byte {
	sum, weight := byte(group+1), byte(2)
	for _, c := range part {
		sum ^= times(c, weight)
		weight = times(weight, 2)
	}
	return sum
}

// times multiplies in GF(32) modulo x^5 + x^2 + 1.
func times(a, b byte) (p byte) {
	for ; b > 0; b >>= 1 {
		if b&1 > 0 {
			p ^= a
		}
		if a <<= 1; a&32 > 0 {
			a ^= 0b100101
		}
	}
	return p
}

// ParseRecoveryKey returns the recovery key that text is, as it is on paper, whatever case, spaces and hyphens it is typed
// with; O is read as 0, I and L as 1. ok tells whether text looks like one at all, and err which group of it is mistyped.
func ParseRecoveryKey(text string) (key string, ok bool, err error) {
	var values []byte
	for _, c := range strings.ToUpper(text) {
		switch c {
		case ' ', '-', '\t':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		i := strings.IndexRune(alphabet, c)
		if i < 0 {
			return "", false, nil
		}
		values = append(values, byte(i))
	}
	if len(values) != groups*groupSize {
		return "", false, nil
	}
	var wrong []string
	for g := range groups {
		part := values[g*groupSize:][:groupSize]
		if check(g, part[:groupSize-1]) != part[groupSize-1] {
			wrong = append(wrong, fmt.Sprint(g+1))
		}
		if g > 0 {
			key += "-"
		}
		for _, c := range part {
			key += alphabet[c : c+1]
		}
	}
	if len(wrong) > 0 {
		return "", true, fmt.Errorf("that looks like a recovery key, but something is mistyped in group %s of its %d", strings.Join(wrong, " and "), groups)
	}
	return key, true, nil
}
