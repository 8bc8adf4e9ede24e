package console

// From bytes to text that is safe to show. Invariant: what leaves clean holds no control character but
// \n and \t, no invalid UTF-8 and no character whose purpose is to reorder or hide its neighbours, so
// nothing a model or a person writes can steer a terminal or deceive the reader. What is taken out
// is replaced by something visible, never dropped.

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// cleaner makes text safe across writes that may be cut in the middle of a character or of CR LF.
type cleaner struct {
	held []byte // an unfinished character, at most 3 bytes
	cr   bool   // a CR waits for its LF
}

// clean returns the safe form of p and of what was held before; it may hold back the last bytes.
func (c *cleaner) clean(p []byte) string {
	if len(c.held) > 0 {
		p = append(c.held, p...)
		c.held = nil
	}
	for i := 1; i <= len(p) && i < utf8.UTFMax; i++ {
		if b := p[len(p)-i]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-i:]) {
				c.held = append([]byte(nil), p[len(p)-i:]...)
				p = p[:len(p)-i]
			}
			break
		}
	}
	var s strings.Builder
	s.Grow(len(p) + 2)
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		p = p[n:]
		if c.cr {
			c.cr = false
			if r != '\n' {
				s.WriteString("^M")
			}
		}
		if r == '\r' {
			c.cr = true
			continue
		}
		writeVisible(&s, r)
	}
	return s.String()
}

// end returns what is still held back, when nothing will follow.
func (c *cleaner) end() string {
	s := ""
	if c.cr {
		s = "^M"
	}
	if len(c.held) > 0 {
		s += strings.Repeat("\uFFFD", len(c.held))
	}
	c.held, c.cr = nil, false
	return s
}

// SafeWriter gives text to a terminal that is not a Console's. What passes through it can't control that
// terminal: it comes out as it would on a Console. A character that is cut off waits for its rest.
type SafeWriter struct {
	W     io.Writer
	clean cleaner
}

// Write writes the safe form of p.
func (w *SafeWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.W, w.clean.clean(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func cleanString(s string) string {
	var c cleaner
	t := c.clean([]byte(s))
	return t + c.end()
}

func writeVisible(s *strings.Builder, r rune) {
	switch {
	case r == '\n' || r == '\t' || r >= ' ' && r < 0x7f:
		s.WriteByte(byte(r))
	case r < ' ' || r == 0x7f: // caret notation, as cat -v
		s.WriteByte('^')
		s.WriteByte(byte(r) ^ 0x40)
	case !printable(r):
		s.WriteRune(utf8.RuneError)
	default:
		s.WriteRune(r)
	}
}

// printable refuses C1 controls, line separators, bidirectional controls (Unicode TR9) and the
// invisible tag and annotation characters.
func printable(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xA0:
		return false
	case r == 0x061C, r == 0x200E, r == 0x200F, r >= 0x2028 && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return false
	case r >= 0xFFF9 && r <= 0xFFFB, r >= 0xE0000 && r <= 0xE007F:
		return false
	}
	return true
}

// maxCluster bounds a grapheme cluster in bytes; a longer one is shown as U+FFFD.
const maxCluster = 64

// nextCluster splits the first grapheme cluster (Unicode TR29) off s and gives its width in cells: 0, 1 or 2.
func nextCluster(s string) (cluster, rest string, width int) {
	if c := s[0]; c < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return s[:1], s[1:], 1
	}
	cluster, rest, width, _ = uniseg.FirstGraphemeClusterInString(s, -1)
	if n := strings.IndexAny(cluster[1:], "ำຳ") + 1; n > 0 { // these vowels stand behind their letter, not on it
		cluster, rest = s[:n], s[n:]
		width = uniseg.StringWidth(cluster)
	}
	return cluster, rest, min(width, 2)
}

// textWidth is the width of s in cells.
func textWidth(s string) int {
	n := 0
	for s != "" {
		var w int
		_, s, w = nextCluster(s)
		n += w
	}
	return n
}

// Field is a fact and its name, for lists of them.
type Field struct{ Name, Value string }

// String is the field as a line, values below each other.
func (f Field) String() string { return fmt.Sprintf("%-15s %s", f.Name, f.Value) }
