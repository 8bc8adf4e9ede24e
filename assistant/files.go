package assistant

// What a person has written to the drive as files: conversations, blocks of code.

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strconv"
	"strings"

	"alphaos/archive"
	"alphaos/console"
	"alphaos/fs"
	"alphaos/store"
)

// export runs /export.
func (c *commands) export(rest string) {
	const usage = "/export writes this conversation to the drive, /export N another one; /export md or /export json chooses the form."
	form, which := "md", ""
	for _, word := range strings.Fields(rest) {
		switch lower := strings.ToLower(word); {
		case lower == "md" || lower == "json":
			form = lower
		case lower == "markdown":
			form = "md"
		case which == "":
			which = word
		default:
			say(c.ui, usage)
			return
		}
	}
	if c.drive.SaveExport == nil {
		say(c.ui, "There is no drive to write to in this session.")
		return
	}
	var file archive.Conversation
	switch {
	case c.journal.store == nil || which == "" && c.journal.apart:
		if which != "" {
			say(c.ui, "Nothing is saved in this session, so there is only this conversation: /export writes it.")
			return
		}
		file = c.unsaved()
	case which == "":
		file.Conversation = c.past.current()
	default:
		var ok bool
		if file.Conversation, ok = c.past.pick(which); !ok {
			return
		}
	}
	if file.ID != 0 {
		file.Said, file.Replaced = c.journal.store.Messages(file.ID), c.journal.store.Branches(file.ID)
	}
	if len(file.Said) == 0 {
		say(c.ui, nothingSaid)
		return
	}
	zone := c.past.now().Location()
	content, err := archive.Markdown(file, zone), error(nil)
	if form == "json" {
		content, err = archive.JSON(file)
	}
	path := ""
	if err == nil {
		path, err = c.drive.SaveExport(c.past.now(), archive.Name(file, zone, form), content)
	}
	if err != nil {
		c.ui.Error("The conversation could not be written: " + fs.Explain(err))
		return
	}
	say(c.ui, fmt.Sprintf("%s written to %s (%s).", count(len(file.Said), "message", "messages"), path, console.Bytes(int64(len(content)))))
	if which == "" && file.ID != 0 && c.journal.secret {
		c.ui.Quiet("What was said after /set nohistory is not in it.")
	}
	if file.ID != 0 {
		c.ui.Quiet("That is a copy: it stays when you delete the conversation.")
	}
}

// unsaved is a conversation that is not in the store. When its messages were said is not known.
func (c *commands) unsaved() archive.Conversation {
	now := c.past.now()
	file := archive.Conversation{Conversation: store.Conversation{Started: now, Updated: now}}
	for i, t := range c.talk.said.Turns {
		if i == 0 {
			file.Title = title(t.Text)
		}
		file.Said = append(file.Said, store.Message{Role: t.Role, Text: t.Text, Time: now})
	}
	return file
}

// code returns a block of code of this conversation: the n-th of all answers, or with 0 the last one.
func (c *commands) code(n int) (text string, number int, ok bool) {
	var answers []string
	if c.talk.earlier > 0 && c.journal.store != nil {
		for i, m := range c.journal.store.Conversation() {
			if i < c.talk.earlier && m.Role == store.Assistant {
				answers = append(answers, m.Text)
			}
		}
	}
	for _, t := range c.talk.said.Turns {
		if t.Role == store.Assistant {
			answers = append(answers, t.Text)
		}
	}
	var all []string
	for _, a := range answers {
		all = append(all, archive.Blocks(a)...)
	}
	if n == 0 {
		n = len(all)
	}
	switch {
	case len(all) == 0:
		say(c.ui, "There is no block of code in this conversation.")
	case n < 1 || n > len(all):
		say(c.ui, fmt.Sprintf("There is no block %d: this conversation has %s.", n, count(len(all), "block of code", "blocks of code")))
	default:
		return all[n-1], n, true
	}
	return "", 0, false
}

// saveCode runs /save.
func (c *commands) saveCode(rest string) {
	number, name, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	name = strings.TrimSpace(name)
	if err != nil { // no number is needed for the last block
		n, name = 0, rest
	}
	if name == "" {
		say(c.ui, "/save N FILE saves the N-th block of code of this conversation among your documents, /save FILE the last one.")
		return
	}
	text, n, ok := c.code(n)
	if !ok {
		return
	}
	if c.drive.SaveDocument == nil {
		say(c.ui, "There is no drive to write to in this session.")
		return
	}
	path, err := c.drive.SaveDocument(c.past.now(), name, []byte(text), false)
	if errors.Is(err, iofs.ErrExist) {
		c.ui.Notice(fmt.Sprintf("There is a document %q already.", name))
		if !confirmed(c.ui, "Replace it? (yes or no) ") {
			say(c.ui, "It stays.")
			return
		}
		path, err = c.drive.SaveDocument(c.past.now(), name, []byte(text), true)
	}
	if err != nil {
		c.ui.Error("The block could not be saved: " + fs.Explain(err))
		return
	}
	if c.shelf.retriever != nil {
		c.shelf.retriever.Again()
	}
	say(c.ui, fmt.Sprintf("Block %d (%s) saved in %s.", n, count(strings.Count(text, "\n"), "line", "lines"), path))
}

// copyCode runs /copy: it types a block of code. There is no clipboard without a system that has one.
func (c *commands) copyCode(rest string) {
	n, err := strconv.Atoi(rest)
	if err != nil && rest != "" {
		say(c.ui, "/copy N types the N-th block of code of this conversation for you, /copy the last one; nothing is sent before you press Enter.")
		return
	}
	text, n, ok := c.code(n)
	if !ok {
		return
	}
	if !c.ui.Prefill(strings.TrimRight(text, "\n")) {
		say(c.ui, fmt.Sprintf("Block %d can't be typed for you now, and there is no clipboard here. /save %d FILE saves it.", n, n))
	}
}
