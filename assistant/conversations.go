package assistant

// The conversations on the drive: which there are, going on with one, its title, deleting it,
// and finding what was said in any.

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"alphaos/fs"
	"alphaos/store"
)

const (
	shownInList = 20 // conversations, unless all are asked for: more than that leave the screen
	shownHits   = 3  // of one conversation
)

// list returns the conversations, the one last said something in at the end.
func (h *past) list() []store.Conversation {
	list := h.store.Conversations()
	slices.SortStableFunc(list, func(a, b store.Conversation) int { return a.Updated.Compare(b.Updated) })
	return list
}

// current is the conversation that the person is in; its ID is 0 if nothing of it is saved.
func (h *past) current() store.Conversation {
	if h.journal.begun() {
		return store.Conversation{}
	}
	return h.store.Current()
}

func (h *past) here() int { return h.current().ID }

// entry is a conversation as a line of a list.
func (h *past) entry(c store.Conversation) string {
	here := ""
	if c.ID == h.here() {
		here = ", this one"
	}
	return fmt.Sprintf("%3d  %-18s  %s (%s%s)", c.ID, c.Updated.In(h.now().Location()).Format("2 Jan 2006, 15:04"), c.Title, count(c.Messages, "message", "messages"), here)
}

func (h *past) entries(list []store.Conversation) {
	for _, c := range list {
		say(h.ui, h.entry(c))
	}
}

// pick returns the conversation that a person means by its number, or by words of its title.
func (h *past) pick(which string) (store.Conversation, bool) {
	list := h.list()
	n, err := strconv.Atoi(which)
	if err == nil {
		list = slices.DeleteFunc(list, func(c store.Conversation) bool { return c.ID != n })
	} else {
		words := searched(which)
		list = slices.DeleteFunc(list, func(c store.Conversation) bool { return len(words) == 0 || !hasAll(c.Title, words) })
	}
	switch len(list) {
	case 1:
		return list[0], true
	case 0:
		say(h.ui, fmt.Sprintf("There is no conversation %q; /conversations lists them.", which))
	default:
		say(h.ui, "More than one conversation is called so; say its number:")
		h.entries(list[max(0, len(list)-shownInList):])
	}
	return store.Conversation{}, false
}

// conversations runs /conversations.
func (c *commands) conversations(ctx context.Context, rest string) {
	h := c.past
	list := h.list()
	total, head := len(list), "Conversations, the last one at the end (/open N goes on with one):"
	words := searched(rest)
	switch all := strings.EqualFold(rest, "all"); {
	case total == 0:
		say(c.ui, nothingSaid)
		return
	case len(words) > 0 && !all:
		list = slices.DeleteFunc(list, func(c store.Conversation) bool { return !hasAll(h.when(c.Updated)+" "+c.Title, words) })
		head = fmt.Sprintf("%d of %s (/open N goes on with one):", len(list), count(total, "conversation", "conversations"))
		if len(list) == 0 {
			say(c.ui, fmt.Sprintf("None of %s has %q in its title or time. /find %s looks at what was said.", count(total, "conversation", "conversations"), rest, rest))
			return
		}
	case total > shownInList && !all:
		list = list[total-shownInList:]
		head = fmt.Sprintf("The last %d of %d conversations (/open N goes on with one, /conversations all lists all, /conversations WORDS some):", shownInList, total)
	}
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	say(c.ui, head)
	for i, conversation := range list {
		if ctx.Err() != nil {
			c.ui.Quiet("Stopped. " + count(len(list)-i, "conversation more", "conversations more"))
			return
		}
		say(c.ui, h.entry(conversation))
	}
}

// open runs /open: it goes on with a conversation.
func (c *commands) open(rest string) {
	if rest == "" {
		say(c.ui, "Which conversation? /open N goes on with it; /conversations lists them.")
		return
	}
	which, ok := c.past.pick(rest)
	if !ok {
		return
	}
	if which.ID == c.past.here() {
		say(c.ui, fmt.Sprintf("You are in %q already; /history shows it.", which.Title))
		return
	}
	if err := c.journal.arrange(func() error { return c.journal.store.GoOn(which.ID) }); err != nil {
		c.ui.Error("The conversation could not be opened: " + fs.Explain(err))
		return
	}
	c.journal.apart = false
	c.talk.clear()
	c.talk.recall(c.journal.store)
	c.ui.Clear()
	c.past.end(fmt.Sprintf("conversation %d, %q", which.ID, which.Title))
}

// rename runs /rename.
func (c *commands) rename(rest string) {
	which := c.past.current()
	if first, more, _ := strings.Cut(rest, " "); strings.TrimSpace(more) != "" {
		// "2026 taxes" is a title where there are not so many conversations.
		if n, err := strconv.Atoi(first); err == nil && c.journal.store.Messages(n) != nil {
			which, _ = c.past.pick(first)
			rest = more
		}
	}
	name := title(rest)
	switch {
	case name == "":
		say(c.ui, "/rename TITLE calls this conversation so, /rename N TITLE another one.")
	case which.ID == 0:
		say(c.ui, "Nothing was said in this conversation yet, so it can't have a title.")
	default:
		if err := c.journal.store.Rename(which.ID, name); err != nil {
			c.ui.Error("The title could not be saved: " + fs.Explain(err))
			return
		}
		say(c.ui, fmt.Sprintf("Conversation %d, %q, is called %q now.", which.ID, which.Title, name))
	}
}

// delete runs /delete.
func (c *commands) delete(rest string) {
	which := c.past.current()
	if rest != "" {
		var ok bool
		if which, ok = c.past.pick(rest); !ok {
			return
		}
	}
	if which.ID == 0 {
		say(c.ui, "Nothing was said in this conversation yet. /delete N deletes another one; /conversations lists them.")
		return
	}
	here := which.ID == c.past.here()
	c.ui.Notice(fmt.Sprintf("This deletes conversation %d, %q, with %s, the last on %s. It can't be brought back.",
		which.ID, which.Title, count(which.Messages, "message", "messages"), c.past.when(which.Updated)))
	if !confirmed(c.ui, "Delete it? (yes or no) ") {
		say(c.ui, "It stays.")
		return
	}
	said := c.journal.store.Messages(which.ID)
	for _, b := range c.journal.store.Branches(which.ID) {
		said = append(said, b.Messages...)
	}
	if err := c.journal.delete(which.ID); err != nil {
		c.ui.Error("It could not be deleted: " + fs.Explain(err))
		return
	}
	dropTyped(c.ui, said)
	if here {
		c.talk.clear()
		c.ui.Clear()
	}
	c.talk.forgotten()
	say(c.ui, "Deleted.")
	c.ui.Quiet(stillOnDrive)
	if here {
		c.ui.Quiet("A new conversation.")
	}
}

// find runs /find: it looks for messages that have all words, or for titles.
func (c *commands) find(ctx context.Context, rest string) {
	words := searched(rest)
	if len(words) == 0 {
		say(c.ui, `/find WORDS looks for messages that have all of them; /find "SOME WORDS" for those that have just this.`)
		return
	}
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	type found struct {
		store.Conversation
		messages []store.Message
	}
	var all []found
	hits := 0
	for _, conversation := range c.past.list() {
		if ctx.Err() != nil {
			c.ui.Quiet("Stopped.")
			return
		}
		f := found{Conversation: conversation}
		for _, m := range c.journal.store.Messages(conversation.ID) {
			if hasAll(m.Text, words) {
				f.messages = append(f.messages, m)
			}
		}
		if hits += len(f.messages); len(f.messages) > 0 || hasAll(conversation.Title, words) {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		say(c.ui, fmt.Sprintf("Nothing that was said has %s.", quoted(words)))
		return
	}
	head := fmt.Sprintf("%s in %s (/open N goes on with one):", count(hits, "message", "messages"), count(len(all), "conversation", "conversations"))
	if n := len(all); n > shownInList {
		head = fmt.Sprintf("%d messages in %d conversations, of which these are the last %d (/open N goes on with one):", hits, n, shownInList)
		all = all[n-shownInList:]
	}
	say(c.ui, head)
	for _, f := range all {
		say(c.ui, c.past.entry(f.Conversation))
		more := max(0, len(f.messages)-shownHits)
		for _, m := range f.messages[more:] {
			who := "you"
			if m.Role == store.Assistant {
				who = "alpha"
			}
			c.ui.Marked(markWords("     "+who+": ", excerpt(m.Text, words), words)...)
		}
		if more > 0 {
			c.ui.Quiet("     and " + count(more, "message", "messages") + " before; /history " + strconv.Itoa(f.ID) + " shows all")
		}
	}
}

// markWords splits text behind lead into pieces, of which every second one is one of the words.
func markWords(lead, text string, words []string) []string {
	r, folded := []rune(text), []rune(fold(text))
	pieces := []string{lead}
	for i := 0; i < len(r); {
		n := 0
		for _, w := range words {
			if w := []rune(w); len(w) > n && i+len(w) <= len(r) && slices.Equal(folded[i:i+len(w)], w) {
				n = len(w)
			}
		}
		if n > 0 {
			pieces = append(pieces, string(r[i:i+n]), "")
			i += n
			continue
		}
		pieces[len(pieces)-1] += string(r[i])
		i++
	}
	return pieces
}

// searched returns the words that a person looks for. What stands in quotation marks is one.
func searched(text string) (words []string) {
	for i, part := range strings.Split(fold(text), `"`) {
		if i%2 == 0 {
			words = append(words, strings.Fields(part)...)
		} else if part = strings.Join(strings.Fields(part), " "); part != "" {
			words = append(words, part)
		}
	}
	return words
}

func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = strconv.Quote(w)
	}
	return strings.Join(list, " and ")
}

// fold makes texts comparable. It keeps the number of characters.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return unicode.ToLower(r)
	}, text)
}

// hasAll tells whether a text has all words.
func hasAll(text string, words []string) bool {
	text = fold(text)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// excerpt returns what stands around the first of the words in a text, on one line.
func excerpt(text string, words []string) string {
	const before, most = 20, 65 // characters
	text = strings.Join(strings.Fields(text), " ")
	folded := fold(text)
	at := len(folded)
	for _, w := range words {
		if i := strings.Index(folded, w); i >= 0 {
			at = min(at, i)
		}
	}
	r := []rune(text)
	from := len([]rune(folded[:at])) - before
	from = max(0, min(from, len(r)-most))
	to := min(len(r), from+most)
	return strings.Repeat("…", min(from, 1)) + string(r[from:to]) + strings.Repeat("…", min(len(r)-to, 1))
}
