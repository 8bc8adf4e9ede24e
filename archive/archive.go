// Package archive renders conversations as files that a person can read without AlphaOS, and other
// programs can, and keeps one for each on a drive (keep.go). They are never read back: the journal is the truth.
package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"alphaos/llm/gguf"
	"alphaos/store"
)

// Conversation is what a file holds.
type Conversation struct {
	store.Conversation
	Said     []store.Message
	Replaced []store.Branch
}

// Name is the name of a file for the conversation, such as 2026-11-22-first-words.md.
func Name(c Conversation, zone *time.Location, extension string) string {
	const most = 40 // characters of the title
	words := strings.FieldsFunc(strings.ToLower(c.Title), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	r := []rune(strings.Join(words, "-"))
	name := strings.TrimRight(string(r[:min(len(r), most)]), "-")
	if name == "" {
		name = "conversation"
	}
	return c.Started.In(zone).Format("2006-01-02-") + name + "." + extension
}

// models are the names of the models that answered, each once.
func (c Conversation) models() (names []string) {
	for _, m := range c.Said {
		if name := gguf.PlainName(m.Stats.Model); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

const (
	stamp       = "2006-01-02T15:04:05-07:00" // RFC 3339
	messageTime = "2 January 2006, 15:04:05"
)

// Markdown is the conversation with front matter (YAML) and a heading for each message, whose times are
// those of zone. What was replaced is not in it.
func Markdown(c Conversation, zone *time.Location) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\nid: %d\ntitle: %s\ndate: %s\nupdated: %s\nmodel: %s\nmessages: %d\n---\n\n# %s\n", c.ID, scalar(c.Title),
		c.Started.In(zone).Format(stamp), c.Updated.In(zone).Format(stamp), scalar(strings.Join(c.models(), ", ")), len(c.Said), heading(c.Title))
	for _, m := range c.Said {
		who := "You"
		if m.Role == store.Assistant {
			who = "Alpha"
		}
		note := ""
		if m.Partial {
			note = ", cut short"
		}
		fmt.Fprintf(&b, "\n## %s, %s%s\n\n%s\n", who, m.Time.In(zone).Format(messageTime), note, strings.Trim(m.Text, "\n"))
	}
	return b.Bytes()
}

// scalar is a text as YAML takes it for a text and nothing else: as JSON writes it.
func scalar(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text) // a string can always be encoded
	return strings.TrimSpace(b.String())
}

// heading keeps a title on one line.
func heading(text string) string { return strings.Join(strings.Fields(text), " ") }

type jsonFile struct {
	Version  int           `json:"version"`
	ID       int           `json:"id"`
	Title    string        `json:"title"`
	Started  string        `json:"started"` // RFC 3339, UTC
	Updated  string        `json:"updated"`
	Messages []jsonMessage `json:"messages"`
	Replaced []jsonBranch  `json:"replaced,omitempty"`
}

type jsonMessage struct {
	Role    string `json:"role"` // user or assistant
	Text    string `json:"text"`
	Time    string `json:"time"`
	Model   string `json:"model,omitempty"`
	Tokens  int    `json:"tokens,omitempty"`
	Context int    `json:"context,omitempty"`    // tokens in the model's context afterwards
	Elapsed int64  `json:"elapsed_ms,omitempty"` // generating them
	Partial bool   `json:"partial,omitempty"`    // the answer was stopped or cut off
}

type jsonBranch struct {
	After    int           `json:"after"` // how many of the messages come before it
	Messages []jsonMessage `json:"messages"`
}

// JSON is the conversation for programs, with what was replaced in it.
func JSON(c Conversation) ([]byte, error) {
	f := jsonFile{Version: 1, ID: c.ID, Title: c.Title, Started: utc(c.Started), Updated: utc(c.Updated), Messages: jsonMessages(c.Said)}
	for _, b := range c.Replaced {
		f.Replaced = append(f.Replaced, jsonBranch{b.After, jsonMessages(b.Messages)})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(f)
	return b.Bytes(), err
}

func jsonMessages(list []store.Message) []jsonMessage {
	said := make([]jsonMessage, len(list))
	for i, m := range list {
		said[i] = jsonMessage{m.Role, m.Text, utc(m.Time), gguf.PlainName(m.Stats.Model), m.Stats.Tokens, m.Stats.Context, m.Stats.Elapsed.Milliseconds(), m.Partial}
	}
	return said
}

func utc(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) }

// Blocks returns the blocks of code in a text in Markdown: what stands between fences, as CommonMark 0.31,
// section 4.5, has them. One that is not closed goes on to the end.
func Blocks(text string) (blocks []string) {
	if !strings.Contains(text, "```") && !strings.Contains(text, "~~~") {
		return nil
	}
	fence, indent := "", 0 // "": none is open
	var code strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		rest := strings.TrimLeft(line, " \t")
		run := rest[:len(rest)-len(strings.TrimLeft(rest, first(rest)))]
		switch {
		case fence == "" && len(run) >= 3 && (run[0] == '~' || run[0] == '`' && !strings.Contains(rest[len(run):], "`")):
			fence, indent = run, len(line)-len(rest)
			code.Reset()
		case fence == "":
		case len(run) >= len(fence) && run[0] == fence[0] && strings.TrimSpace(rest[len(run):]) == "":
			blocks = append(blocks, code.String())
			fence = ""
		default:
			n := 0 // as much as the fence is indented, so that those in lists come out right
			for n < indent && n < len(line) && (line[n] == ' ' || line[n] == '\t') {
				n++
			}
			code.WriteString(line[n:] + "\n")
		}
	}
	if fence != "" {
		blocks = append(blocks, code.String())
	}
	return blocks
}

// first is the first byte of a line if a fence may begin with it.
func first(line string) string {
	if line != "" && (line[0] == '`' || line[0] == '~') {
		return line[:1]
	}
	return ""
}
