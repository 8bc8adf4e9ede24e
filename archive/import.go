package archive

// Conversations out of files: our own exports, in both forms, and the conversations.json of an export of ChatGPT.

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"alphaos/store"
)

// Skipped counts what a file has and nobody said: what tools were asked and answered, instructions, pictures.
type Skipped int

// ErrUnknown says that a file is none of those that Import reads.
var ErrUnknown = errors.New("this is neither an export of AlphaOS (.md or .json) nor conversations.json of ChatGPT, nor a .zip with that")

// Import calls add for each conversation in a file, until that returns an error.
func Import(r io.ReaderAt, size int64, add func(store.Talk) error) (Skipped, error) {
	if z, err := zip.NewReader(r, size); err == nil {
		return importZip(z, add)
	}
	b := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)
	if bom, _ := b.Peek(3); string(bom) == "\xef\xbb\xbf" {
		b.Discard(3)
	}
	for {
		c, err := b.ReadByte()
		switch {
		case err != nil:
			return 0, ErrUnknown
		case strings.IndexByte(" \t\r\n", c) >= 0:
			continue
		}
		b.UnreadByte()
		switch c {
		case '[':
			return importChatGPT(b, add)
		case '{':
			return 0, importJSON(b, add)
		case '-':
			return 0, importMarkdown(b, add)
		}
		return 0, ErrUnknown
	}
}

// importZip imports what of an archive is named so: later exports of ChatGPT have several such files.
func importZip(z *zip.Reader, add func(store.Talk) error) (skipped Skipped, err error) {
	found := false
	for _, f := range z.File {
		if name := path.Base(f.Name); !strings.HasPrefix(name, "conversations") || path.Ext(name) != ".json" {
			continue
		}
		found = true
		r, err := f.Open()
		if err != nil {
			return skipped, fmt.Errorf("%s: %w", f.Name, err)
		}
		n, err := importChatGPT(r, add)
		r.Close()
		if skipped += n; err != nil {
			return skipped, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if !found {
		return 0, ErrUnknown
	}
	return skipped, nil
}

// importJSON reads what JSON wrote.
func importJSON(r io.Reader, add func(store.Talk) error) error {
	var f jsonFile
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if f.Version < 1 || len(f.Messages) == 0 {
		return ErrUnknown
	}
	if f.Version > 1 {
		return errors.New("this was exported by a later version of AlphaOS: import it with that")
	}
	t := store.Talk{Conversation: store.Conversation{Title: f.Title}}
	var err error
	if t.Started, err = time.Parse(time.RFC3339, f.Started); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if t.Said, err = saidOf(f.Messages); err != nil {
		return err
	}
	for _, b := range f.Replaced {
		said, err := saidOf(b.Messages)
		if err != nil {
			return err
		}
		if b.After < 0 || b.After > len(t.Said) || len(said) == 0 {
			return ErrUnknown
		}
		t.Replaced = append(t.Replaced, store.Branch{After: b.After, Messages: said})
	}
	return add(t)
}

func saidOf(list []jsonMessage) (said []store.Message, err error) {
	for _, m := range list {
		at, err := time.Parse(time.RFC3339, m.Time)
		if err != nil || m.Role != store.User && m.Role != store.Assistant {
			return nil, fmt.Errorf("%w: a message of %q at %q", ErrUnknown, m.Role, m.Time)
		}
		said = append(said, store.Message{Role: m.Role, Text: m.Text, Time: at, Partial: m.Partial,
			Stats: store.Stats{Model: m.Model, Tokens: m.Tokens, Context: m.Context, Elapsed: time.Duration(m.Elapsed) * time.Millisecond}})
	}
	return said, nil
}

const mostMarkdown = 64 << 20 // bytes of a file

// importMarkdown reads what Markdown wrote. Where the text of a message looks like the head of another one, the number of
// messages at the top tells.
func importMarkdown(r io.Reader, add func(store.Talk) error) error {
	b, err := io.ReadAll(io.LimitReader(r, mostMarkdown+1))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	rest, ours := strings.CutPrefix(text, ourHead)
	front, body, closed := strings.Cut("id: "+rest, "\n---\n")
	if !ours || !closed || len(b) > mostMarkdown {
		return ErrUnknown
	}
	var t store.Talk
	model, messages := "", -1
	for line := range strings.Lines(front) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		switch name {
		case "title":
			err = json.Unmarshal([]byte(value), &t.Title)
		case "model":
			err = json.Unmarshal([]byte(value), &model)
		case "date":
			t.Started, err = time.Parse(stamp, value)
		case "messages":
			messages, err = strconv.Atoi(value)
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUnknown, name, err)
		}
	}
	if strings.Contains(model, ", ") { // who answered what is not in the file
		model = ""
	}
	_, body, _ = strings.Cut(body, "\n# ")
	_, body, _ = strings.Cut(body, "\n") // the title
	var said []string
	for line := range strings.Lines(body) {
		if m, ok := messageOf(strings.TrimRight(line, "\n"), t.Started.Location()); ok {
			if m.Role == store.Assistant {
				m.Stats.Model = model
			}
			t.Said, said = append(t.Said, m), append(said, "")
			continue
		}
		if len(said) > 0 {
			said[len(said)-1] += line
		}
	}
	for i := range said {
		t.Said[i].Text = strings.Trim(said[i], "\n")
	}
	if t.Started.IsZero() || len(t.Said) == 0 || len(t.Said) != messages {
		return fmt.Errorf("the file says that it has %d messages, and %d can be told apart: export it as JSON", max(0, messages), len(t.Said))
	}
	return add(t)
}

// messageOf reads the heading of a message.
func messageOf(line string, zone *time.Location) (m store.Message, ok bool) {
	line, ok = strings.CutPrefix(line, "## ")
	who, when, also := strings.Cut(line, ", ")
	if !ok || !also {
		return m, false
	}
	switch who {
	case "You":
		m.Role = store.User
	case "Alpha":
		m.Role = store.Assistant
	default:
		return m, false
	}
	when, m.Partial = strings.CutSuffix(when, ", cut short")
	at, err := time.ParseInLocation(messageTime, when, zone)
	m.Time = at
	return m, err == nil
}

// What of an export of ChatGPT is read. The messages are a tree: what was said last, and what led there, is the
// conversation; each other branch was replaced.
type chat struct {
	Title   string              `json:"title"`
	Created *float64            `json:"create_time"` // seconds since 1970
	Mapping map[string]chatNode `json:"mapping"`
	Current string              `json:"current_node"`
}

type chatNode struct {
	Message  *chatMessage `json:"message"`
	Parent   string       `json:"parent"`
	Children []string     `json:"children"`
}

type chatMessage struct {
	Author struct {
		Role string `json:"role"`
	} `json:"author"`
	Created   *float64    `json:"create_time"`
	Content   chatContent `json:"content"`
	Status    string      `json:"status"`
	Recipient string      `json:"recipient"`
	Metadata  struct {
		Model  string `json:"model_slug"`
		Hidden bool   `json:"is_visually_hidden_from_conversation"`
	} `json:"metadata"`
}

type chatContent struct {
	Type  string            `json:"content_type"`
	Parts []json.RawMessage `json:"parts"` // texts or chatPart
	Text  string            `json:"text"`
}

type chatPart struct {
	Type string `json:"content_type"`
	Text string `json:"text"` // of audio_transcription
}

// importChatGPT reads an array of them, one at a time.
func importChatGPT(r io.Reader, add func(store.Talk) error) (skipped Skipped, err error) {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return 0, ErrUnknown
	}
	for n := 1; d.More(); n++ {
		var c chat
		if err := d.Decode(&c); err != nil {
			return skipped, fmt.Errorf("conversation %d of the file can't be read: %w", n, err)
		}
		if c.Mapping == nil {
			return skipped, ErrUnknown
		}
		t, left := c.talk()
		if skipped += left; len(t.Said) == 0 {
			continue
		}
		if err := add(t); err != nil {
			return skipped, err
		}
	}
	if _, err := d.Token(); err != nil {
		return skipped, fmt.Errorf("the file is cut short: %w", err)
	}
	return skipped, nil
}

// talk is the conversation.
func (c chat) talk() (t store.Talk, skipped Skipped) {
	last := c.Current
	if _, ok := c.Mapping[last]; !ok {
		last = c.newest()
	}
	line := c.path(last)
	began := timeOf(c.Created, time.Time{})
	for _, id := range line { // a conversation without a time begins with its first message
		if m := c.Mapping[id].Message; began.IsZero() && m != nil {
			began = timeOf(m.Created, began)
		}
	}
	if began.IsZero() {
		began = time.Unix(0, 0)
	}
	t.Title, t.Started = strings.TrimSpace(c.Title), began
	at := map[string]int{} // how many messages of the conversation come up to a node
	for _, id := range line {
		if m, ok := c.Mapping[id].Message.said(began); ok {
			t.Said = append(t.Said, m)
		} else if c.Mapping[id].Message != nil {
			skipped++
		}
		at[id] = len(t.Said)
	}
	// What branches off, each from where it leaves what is there already.
	for _, leaf := range c.leaves() {
		var b store.Branch
		for _, id := range c.path(leaf) {
			if n, ok := at[id]; ok {
				b.After = n
				continue
			}
			if m, ok := c.Mapping[id].Message.said(began); ok {
				b.Messages = append(b.Messages, m)
			}
		}
		if len(b.Messages) > 0 {
			t.Replaced = append(t.Replaced, b)
		}
	}
	return t, skipped
}

// path is what leads to a node, from the first on.
func (c chat) path(id string) (line []string) {
	seen := map[string]bool{}
	for {
		node, ok := c.Mapping[id]
		if !ok || seen[id] {
			slices.Reverse(line)
			return line
		}
		seen[id] = true
		line, id = append(line, id), node.Parent
	}
}

// leaves are the nodes behind which nothing comes, by their names.
func (c chat) leaves() (list []string) {
	for id, node := range c.Mapping {
		if !slices.ContainsFunc(node.Children, func(child string) bool { _, ok := c.Mapping[child]; return ok }) {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// newest is the node that was said last.
func (c chat) newest() (best string) {
	at := math.Inf(-1)
	for _, id := range slices.Sorted(maps.Keys(c.Mapping)) {
		m := c.Mapping[id].Message
		if m == nil {
			continue
		}
		if said := timeOf(m.Created, time.Time{}); best == "" || float64(said.UnixMilli()) > at {
			best, at = id, float64(said.UnixMilli())
		}
	}
	return best
}

// said is the message if a person or the model said it to the other.
func (m *chatMessage) said(began time.Time) (s store.Message, ok bool) {
	if m == nil || m.Metadata.Hidden || m.Recipient != "" && m.Recipient != "all" {
		return s, false
	}
	switch m.Author.Role {
	case "user":
		s.Role = store.User
	case "assistant":
		s.Role = store.Assistant
		s.Stats.Model = m.Metadata.Model
		s.Partial = m.Status == "in_progress"
	default:
		return s, false
	}
	s.Time = timeOf(m.Created, began)
	s.Text = m.Content.text()
	return s, strings.TrimSpace(s.Text) != ""
}

// text is what can be read of it. A picture or a file, which the export has elsewhere, is named.
func (c chatContent) text() string {
	switch c.Type {
	case "text", "multimodal_text":
	case "code":
		return "```\n" + c.Text + "\n```"
	default: // thoughts, what tools were given, instructions
		return ""
	}
	var texts []string
	for _, p := range c.Parts {
		var text string
		var part chatPart
		switch {
		case json.Unmarshal(p, &text) == nil:
		case json.Unmarshal(p, &part) != nil:
			continue
		case part.Text != "":
			text = part.Text
		case strings.Contains(part.Type, "image"):
			text = "[picture]"
		default:
			text = "[file]"
		}
		if strings.TrimSpace(text) != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n\n")
}

// timeOf is a number of seconds as a time that can be, else another.
func timeOf(seconds *float64, other time.Time) time.Time {
	if seconds == nil || !(*seconds > 0 && *seconds < 1<<33) {
		return other
	}
	return time.UnixMilli(int64(math.Round(*seconds * 1000)))
}
