package assistant

// Citing while an answer comes: behind each sentence that one of the passages tells stands its number. What a model
// writes in brackets itself is left out, since it may be wrong.

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"alphaos/knowledge"
)

// citer looks which passages the sentences of an answer come from.
type citer struct {
	ground
	pending  string // that may become a mark, or the space before one
	text     string // of the answer, without marks
	shown    int    // of it
	sentence int    // in it: where the one that grows begins
	code     bool   // a block of code is open
	tick     bool   // code in a line is
	list     []source
	numbers  map[int]int // by passage
}

var (
	ownMark  = regexp.MustCompile(`\s*\[\d{1,2}\]`)
	openMark = regexp.MustCompile("\\s*(?:\\[\\d{0,2}|`+)?$")
)

// add takes the next piece of an answer and returns what is to be shown now, and saved.
func (c *citer) add(piece string) (show, save string) {
	all := c.pending + piece
	cut := len(all)
	if m := openMark.FindStringIndex(all); m != nil {
		cut = m[0]
	}
	c.pending = all[cut:]
	return c.take(all[:cut], false)
}

// end returns the rest.
func (c *citer) end() (show, save string) {
	rest := c.pending
	c.pending = ""
	return c.take(rest, true)
}

func (c *citer) take(ready string, last bool) (show, save string) {
	before := len(c.text)
	from := 0
	for _, m := range ownMark.FindAllStringIndex(ready, -1) {
		c.write(ready[from:m[0]])
		if from = m[1]; c.code || c.tick {
			c.write(ready[m[0]:m[1]])
		}
	}
	c.write(ready[from:])
	save = c.text[before:]
	var b strings.Builder
	for c.sentence < len(c.text) {
		end := c.sentence + knowledge.Sentences(c.text[c.sentence:])[0]
		if end == len(c.text) && !last {
			break
		}
		said := strings.TrimRight(c.text[c.sentence:end], " \n\t")
		if at := c.sentence + len(said); at >= c.shown {
			b.WriteString(c.text[c.shown:at])
			b.WriteString(c.cite(said, at))
			c.shown = at
		}
		c.sentence = end
	}
	b.WriteString(c.text[c.shown:])
	c.shown = len(c.text)
	return b.String(), save
}

// write adds to the text, and knows what of it is code.
func (c *citer) write(s string) {
	c.text += s
	for rest := s; ; {
		before, after, ok := strings.Cut(rest, "`")
		if strings.Contains(before, "\n") {
			c.tick = false
		}
		if !ok {
			return
		}
		if strings.HasPrefix(after, "``") {
			c.code, c.tick, after = !c.code, false, after[2:]
		} else if !c.code {
			c.tick = !c.tick
		}
		rest = after
	}
}

// cite returns the marks behind a sentence that ends there.
func (c *citer) cite(sentence string, at int) (marks string) {
	if c.code || len(c.passages) == 0 {
		return ""
	}
	for _, found := range knowledge.Cite(c.question, sentence, c.passages) {
		p := c.passages[found.Passage]
		n, ok := c.numbers[found.Passage]
		if !ok {
			if c.numbers == nil {
				c.numbers = map[int]int{}
			}
			n = len(c.numbers) + 1
			c.numbers[found.Passage] = n
		}
		mark := fmt.Sprintf(" [%d]", n)
		if !strings.Contains(marks, mark) {
			marks += mark
			c.list = append(c.list, source{N: n, At: at, Document: p.Document, Locator: p.Locator, Page: p.Page, Start: p.Start, End: p.End, From: found.From, To: found.To})
		}
	}
	return marks
}

// sources returns the cited passages in the order of their numbers.
func (c *citer) sources() []knowledge.Passage {
	list := make([]knowledge.Passage, len(c.numbers))
	for i, n := range c.numbers {
		list[n-1] = c.passages[i]
	}
	return list
}

// line names them.
func sourceLine(list []knowledge.Passage) string {
	var parts []string
	for i, p := range list {
		parts = append(parts, "["+strconv.Itoa(i+1)+"] "+where(p))
	}
	return "From your documents: " + strings.Join(parts, "; ") + ". /sources shows what was used."
}
