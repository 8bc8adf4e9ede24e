package assistant

// Saying something again: another answer, another message, none at all.

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"alphaos/fs"
	"alphaos/llm/chat"
	"alphaos/store"
)

const nothingSaid = "Nothing was said yet."

// retry answers the last message once more. The old answer stays until the new one has its first
// words, and in the journal for good: answers goes back to it.
func (c *conversation) retry(ctx context.Context) {
	at, kept := c.lastMessage()
	switch {
	case at < 0:
		say(c.ui, nothingSaid)
		return
	case c.model == nil:
		c.ui.Error(noModelLoaded)
		return
	}
	text := c.said.Turns[at].Text
	if c.before != nil {
		if _, byRule := c.before(c.model.Info, text); byRule {
			say(c.ui, "This message is answered by rule and not by the model, so the answer would be the same.")
			return
		}
	}
	if _, byRule := c.shelf.reply(ctx, text, c.room(c.said.Turns[at]) < leastPassages); byRule {
		say(c.ui, "This message is answered from the list of your documents and not by the model, so the answer would be the same.")
		return
	}
	// What was said while nothing was saved is not saved now.
	var saved *answer
	if c.journal.saving && kept {
		if err := c.journal.finish(); err != nil {
			c.ui.Error("What was said is not saved yet, so no other answer is given: " + fs.Explain(err))
			return
		}
		if index, ok := c.journal.lastMessage(); ok {
			saved = c.journal.replaceAnswer(index + 1)
		} else {
			c.journal.secret = true
		}
	} else {
		c.journal.secret = true
	}
	old := c.said.Turns
	c.said.Turns = old[: at+1 : at+1]
	s := c.speak(saved)
	s.instead = true
	switch answer := c.reply(ctx, s); {
	case len(old) <= at+1:
	case answer.Text == "":
		c.said.Turns = old
		c.ui.Quiet("The earlier answer stays.")
	case answer.Text == old[at+1].Text:
		c.ui.Quiet("This is the same answer. At temperature 0, or with a seed, it always is: /set parameter changes that.")
	}
	c.grown()
}

// answers lists the answers that the last message was given, or goes back to one of them.
func (c *conversation) answers(which string) {
	at, kept := c.lastMessage()
	switch {
	case at < 0:
		say(c.ui, nothingSaid)
		return
	case c.journal.store == nil || !kept || !c.journal.saving:
		say(c.ui, "What is not saved has no earlier answers.")
		return
	}
	if err := c.journal.finish(); err != nil {
		c.ui.Error("What was said is not saved yet, so no other answer is shown: " + fs.Explain(err))
		return
	}
	index, list := c.answered()
	if len(list) < 2 {
		say(c.ui, "Your last message has no other answer: /retry gives it one.")
		return
	}
	here := len(list) // the one that is seen, counted from 1
	if which == "" {
		say(c.ui, "The answers that your last message was given (/answers N goes back to one):")
		for i, m := range list {
			note := ""
			if i+1 == here {
				note = " (this one)"
			}
			say(c.ui, fmt.Sprintf("%3d  %s%s", i+1, title(m.Text), note))
		}
		return
	}
	n, err := strconv.Atoi(which)
	switch {
	case err != nil || n < 1 || n > here:
		say(c.ui, fmt.Sprintf("There is no answer %q: /answers lists them.", which))
		return
	case n == here:
		say(c.ui, "This is the answer that you see.")
		return
	}
	m := list[n-1]
	c.said.Turns = c.said.Turns[: at+1 : at+1]
	s := c.speak(c.journal.replaceAnswer(index + 1))
	s.put(cited(m.Text, sourcesOf(m.Stats.Sources)), m.Text)
	s.end(m.Stats, m.Partial)
	c.said.Turns = append(c.said.Turns, chat.Turn{Role: store.Assistant, Text: m.Text})
	c.grown()
}

// answered returns the index of the last message in the store, and the answers that it was given, each text once,
// the one that is seen last.
func (c *conversation) answered() (index int, list []store.Message) {
	index, ok := c.journal.lastMessage()
	msgs := c.journal.store.Conversation()
	if !ok || index+1 >= len(msgs) {
		return index, nil
	}
	now := msgs[index+1]
	for _, b := range c.journal.store.Branches(c.journal.store.Current().ID) {
		m := b.Messages[0]
		same := func(o store.Message) bool { return o.Text == m.Text }
		if b.After == index+1 && m.Role == store.Assistant && !same(now) && !slices.ContainsFunc(list, same) {
			list = append(list, m)
		}
	}
	return index, append(list, now)
}

// edit puts another message in the place of the last one, and answers that.
func (c *conversation) edit(ctx context.Context, text string) {
	at, kept := c.lastMessage()
	if at < 0 {
		say(c.ui, nothingSaid)
		return
	}
	if text == "" {
		line := "/edit " + c.said.Turns[at].Text
		if !c.ui.Prefill(line) {
			c.ui.AddHistory(line)
			say(c.ui, "/edit TEXT says TEXT in the place of your last message. The Up key brings that back to be changed.")
		}
		return
	}
	c.answerAfter(ctx, text, at, func(said time.Time) error {
		index, ok := c.journal.lastMessage()
		if !kept || !ok { // it is not in the store, so nothing is replaced there
			return c.journal.store.AddUserAt(text, said)
		}
		return c.journal.store.ReplaceAt(index, text, said)
	})
}

// unsay deletes the last message and what was answered, with all that they replaced.
func (c *conversation) unsay() {
	at, kept := c.lastMessage()
	if at < 0 {
		say(c.ui, nothingSaid)
		return
	}
	c.ui.Notice(fmt.Sprintf("This deletes your last message, %q, and what was answered.", title(c.said.Turns[at].Text)))
	if !confirmed(c.ui, "Forget it? (yes or no) ") {
		say(c.ui, "It stays.")
		return
	}
	if kept {
		err := c.journal.arrange(func() error {
			index, ok := c.journal.lastMessage()
			if !ok {
				return nil
			}
			for _, b := range c.journal.store.Branches(c.journal.store.Current().ID) {
				if b.After >= index {
					dropTyped(c.ui, b.Messages)
				}
			}
			return c.journal.store.Forget(index)
		})
		if err != nil {
			c.ui.Error("It could not be deleted: " + fs.Explain(err))
			return
		}
	}
	if n := len(c.kept); n > 0 {
		c.kept = c.kept[:n-1]
	}
	dropTyped(c.ui, []store.Message{{Role: store.User, Text: c.said.Turns[at].Text}})
	c.said.Turns = c.said.Turns[:at]
	c.said.First = min(c.said.First, at)
	c.thoughts = ""
	if c.model != nil {
		c.model.Forget()
	}
	c.forgotten()
	say(c.ui, "Forgotten.")
	if kept {
		c.ui.Quiet(stillOnDrive)
	}
}

// dropTyped has the Up key not bring back what a person typed of messages.
func dropTyped(k Keyboard, messages []store.Message) {
	for _, m := range messages {
		if m.Role == store.User {
			k.DropHistory(m.Text, "/edit "+m.Text)
		}
	}
}

// stillOnDrive is true of all that is deleted.
const stillOnDrive = "It is not shown, found or told to the model any more, and is taken off the drive, backups included, in a quiet moment or when you shut down, which says so if some of it has to wait for the next start."

// confirmed asks whether something is to be destroyed. Only a clear yes counts.
func confirmed(k Keyboard, question string) bool {
	line, err := k.Ask(question)
	line = strings.TrimRight(strings.TrimSpace(line), ".! ")
	return err == nil && (strings.EqualFold(line, "yes") || strings.EqualFold(line, "ja"))
}

// title is the beginning of a text, on one line.
func title(text string) string {
	const most = 50 // characters
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}
