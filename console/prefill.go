package console

import (
	"slices"
	"strings"
)

// Prefill has the next ReadLine begin with text, as if the person had typed it. It returns false for text of more than
// one line, which would be sent, and when they have typed something that waits, which would come behind it.
func (c *Console) Prefill(text string) bool {
	text = cleanString(text)
	if strings.Contains(text, "\n") || len(text) > maxInput {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue)+len(c.aside) > 0 {
		return false
	}
	keys := make([]Key, 0, len(text))
	for _, r := range text {
		keys = append(keys, Key{Rune: r})
	}
	c.queue = keys
	return true
}

// DropHistory has the Up key not bring back these lines any more.
func (c *Console) DropHistory(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = slices.DeleteFunc(c.history, func(line string) bool { return slices.Contains(lines, line) })
}
