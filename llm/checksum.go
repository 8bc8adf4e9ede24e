package llm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// Checksum files as programs write them, one line for each file:
//
//	sum  m.gguf                 sha256sum; " *" before the name of a binary file,
//	                            "\" before the sum of an escaped name; tabs; the
//	                            sum alone
//	SHA256 (m.gguf) = sum       the BSDs' sha256 and sha256sum --tag
//	SHA2-256(m.gguf)= sum       openssl dgst
//	SHA256  SUM  C:\dir\m.gguf  PowerShell's Get-FileHash; also as a list of
//	                            "Algorithm : ", "Hash : " and "Path : "
//	m.gguf  sum                 some others
//	sha256:sum                  registries
//	19 52 94 …                  certutil, old ones
//
// in UTF-8 or UTF-16, with or without a byte order mark.

// checksum is one line: the sum of the file name, or, if that is empty, of
// whatever file the line is about.
type checksum struct {
	sum  [sha256.Size]byte
	name string
}

var (
	sumTagged = regexp.MustCompile(`^([A-Za-z0-9/_-]+) ?\((.+)\) ?= ?([0-9A-Fa-f]{64})$`)
	sumFirst  = regexp.MustCompile(`^(?:((?i:sha|blake|keccak|sm3|gost|streebog|rmd|ripemd)[A-Za-z0-9/_-]*)[ \t]*[ \t:=][ \t]*)?(\\?)([0-9A-Fa-f]{64})(?:[ \t]+\*?(.+))?$`)
	sumLast   = regexp.MustCompile(`^(.+?)[ \t]+\*?([0-9A-Fa-f]{64})$`)
	sumSpaced = regexp.MustCompile(`^[0-9A-Fa-f]{2}( [0-9A-Fa-f]{2}){31}$`)
	sumField  = regexp.MustCompile(`^(Algorithm|Hash|Path) *:(.*)$`)
)

// findSum finds the SHA-256 checksum of the file name in a checksum file b. ok
// is false if there is none, or if there are several that differ.
func findSum(b []byte, name string) (sum [sha256.Size]byte, ok bool) {
	var named, bare []checksum
	for _, c := range readSums(sumText(b)) {
		switch base := c.name[strings.LastIndexAny(c.name, `/\`)+1:]; {
		case strings.EqualFold(base, name):
			named = append(named, c)
		case c.name == "" || base == "-" || base == "stdin", strings.HasSuffix(base, "...") || strings.HasSuffix(base, "…"): // Get-FileHash cuts long paths
			bare = append(bare, c)
		}
	}
	if named == nil {
		named = bare
	}
	for _, c := range named {
		if c.sum != named[0].sum {
			return sum, false
		}
	}
	if named == nil {
		return sum, false
	}
	return named[0].sum, true
}

// readSums reads all SHA-256 checksums of a text.
func readSums(text string) (list []checksum) {
	add := func(algorithm, digits, name string) {
		if algorithm != "" && !isSHA256(algorithm) {
			return
		}
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != sha256.Size {
			return
		}
		list = append(list, checksum{[sha256.Size]byte(b), strings.Trim(strings.TrimSpace(name), `"'`)})
	}
	var field map[string]string // of a list, so far
	last := ""
	flush := func() {
		add(field["Algorithm"], field["Hash"], field["Path"])
		field, last = nil, ""
	}
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		whole := line
		if line = strings.TrimSpace(line); len(line) > 4096 {
			continue // no checksum has a line like that
		}
		if m := sumField.FindStringSubmatch(line); m != nil {
			if _, again := field[m[1]]; again {
				flush()
			}
			if field == nil {
				field = map[string]string{}
			}
			last = m[1]
			field[last] = strings.TrimSpace(m[2])
			continue
		}
		if last != "" && strings.TrimLeft(whole, " ") != whole { // what did not fit the window goes on
			field[last] += line
			continue
		}
		flush()
		if m := sumTagged.FindStringSubmatch(line); m != nil {
			add(m[1], m[3], m[2])
		} else if m := sumFirst.FindStringSubmatch(line); m != nil {
			if m[2] != "" {
				m[4] = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(m[4])
			}
			add(m[1], m[3], m[4])
		} else if m := sumLast.FindStringSubmatch(line); m != nil {
			add("", m[2], strings.TrimSuffix(m[1], ":"))
		} else if sumSpaced.MatchString(line) {
			add("", strings.ReplaceAll(line, " ", ""), "")
		}
	}
	flush()
	return list
}

// isSHA256 tells SHA-256 by its names from others of the same length, such as
// SHA3-256, SHA512/256 and BLAKE2s.
func isSHA256(algorithm string) bool {
	switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToUpper(algorithm)) {
	case "SHA256", "SHA2256":
		return true
	}
	return false
}

// sumText is the text of a file in UTF-8 or UTF-16. Few characters of a
// checksum file are beyond ASCII, so that zeros betray UTF-16 without a mark.
func sumText(b []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		return string(b[3:])
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), len(b) > 1 && b[0] != 0 && b[1] == 0:
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}), len(b) > 1 && b[0] == 0 && b[1] != 0:
		order = binary.BigEndian
	default:
		return string(b)
	}
	var units []uint16
	for ; len(b) > 1; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff")
}

// ChecksumPath is where the checksum of the file at path is kept.
func ChecksumPath(path string) string { return path + ".sha256" }

// ChecksumLine is what sha256sum writes of a file, and Verify reads.
func ChecksumLine(sum []byte, name string) []byte { return fmt.Appendf(nil, "%x  %s\n", sum, name) }
