package assistant

// What the person told to remember, whatever conversation goes on. It is saved before it is said to be, joins the prompts of
// questions that it has to do with, and is forgotten when they say so.

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"alphaos/fs"
	"alphaos/knowledge"
	"alphaos/knowledge/docs"
	"alphaos/store"
)

const memoryUsage = `  /memory           lists what you told to remember; "remember that ..." adds to it
  /memory add TEXT  adds TEXT
  /memory edit N    types the Nth, for you to change it; /memory edit N TEXT puts TEXT there
  /memory forget N  forgets the Nth; so does "forget that ..." with words of it
  /memory undo      takes back what was added last`

// notebook is what is remembered.
type notebook struct {
	ui      UI
	journal *journal
	last    uint64             // the fact that was added last in this session; 0: none
	typed   map[uint64]string  // the messages that said so in this session
	library *knowledge.Library // of the facts; nil: to be made anew
	facts   []store.Fact       // that are in it
}

// remembering and forgetting are how people say it. A question is neither, nor is what has more than a line.
var (
	remembering = regexp.MustCompile(`(?i)^(?:(?:please|ok|okay|alpha)[, ]+)*(?:remember(?: that|:)|note that|keep in mind that|(?:don't|don’t|do not) forget that|` +
		`merk(?:e)? dir,?(?: bitte)?(?:,? dass|:)|vergiss nicht,? dass|(?:souviens-toi|rappelle-toi|retiens) que|记住[：:，,]?)\s*([^\n?？]+?)[.!。]*$`)
	forgetting = regexp.MustCompile(`(?i)^(?:(?:please|ok|okay|alpha)[, ]+)*(?:forget (?:that |about |what i told you about )?|vergiss(?: bitte)?(?:,? dass|,? was ich (?:dir )?über)? |oublie (?:que )?|忘记)([^\n?？]+?)[.!。]*$`)
	// notFacts is what "remember that" begins when it asks about the past.
	notFacts = regexp.MustCompile(`(?i)^(?:time|day|night|evening|summer|one|guy|movie|film|song|book|scene)\b`)
)

// list returns the facts.
func (m *notebook) list() []store.Fact {
	if m.journal.store == nil {
		return nil
	}
	return m.journal.store.Facts()
}

// heard does what a message says about remembering, if that is all it says.
func (m *notebook) heard(text string) (done, forgot bool) {
	if f := remembering.FindStringSubmatch(text); f != nil && !notFacts.MatchString(f[1]) {
		if id := m.add(f[1]); id != 0 {
			if m.typed == nil {
				m.typed = map[uint64]string{}
			}
			m.typed[id] = text
		}
		return true, false
	}
	if len(m.list()) == 0 {
		return false, false
	}
	if f := forgetting.FindStringSubmatch(text); f != nil {
		if found := m.meant(f[1]); len(found) > 0 {
			return true, m.forgetOne(found)
		}
	}
	return false, false
}

// add saves a fact and returns its ID, or 0 when it did not.
func (m *notebook) add(text string) uint64 {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case m.journal.store == nil:
		say(m.ui, "Nothing is saved in this session, so nothing can be remembered.")
		return 0
	case !m.journal.saving:
		say(m.ui, "Nothing is saved at the moment, as you wished, so this is not remembered: /set history saves again.")
		return 0
	}
	for _, f := range m.list() {
		if strings.EqualFold(f.Text, text) {
			say(m.ui, "I remember that already: "+f.Text+".")
			return 0
		}
	}
	var fact store.Fact
	if err := m.journal.arrange(func() (err error) { fact, err = m.journal.store.Remember(text); return err }); err != nil {
		m.ui.Error("This could not be saved, so it is not remembered: " + fs.Explain(err))
		return 0
	}
	m.last, m.library = fact.ID, nil
	say(m.ui, "I will remember: "+fact.Text+".")
	m.ui.Quiet("/memory undo takes that back, /memory lists all.")

	return fact.ID
}

// meant returns the facts that have most of the words of a text, in any form: those that have the most of them.
func (m *notebook) meant(text string) []store.Fact {
	const most = .67
	found := m.search(text, most)
	if len(found) == 0 {
		return nil
	}
	for _, f := range m.list() { // word for word
		if strings.EqualFold(f.Text, text) {
			return []store.Fact{f}
		}
	}
	return found
}

// search returns the facts that have at least a share of the words of a text, by weight, the best first.
func (m *notebook) search(text string, share float64) (found []store.Fact) {
	if m.library == nil {
		m.facts, m.library = m.list(), knowledge.New(nil, "")
		for i, f := range m.facts {
			d := &docs.Document{Blocks: []docs.Block{{Text: f.Text}}}
			name := "." + strconv.Itoa(i) // which has no words to be found by
			if err := m.library.Add(context.Background(), knowledge.Source{Name: name}, d); err != nil {
				m.ui.Quiet("What you told to remember can't be searched: " + fs.Explain(err))
			}
		}
	}
	const k = 20
	passages, err := m.library.Search(context.Background(), text, k)
	if err != nil {
		return nil
	}
	for _, p := range passages {
		if i, err := strconv.Atoi(strings.TrimPrefix(p.Document, ".")); err == nil && i < len(m.facts) && p.Match >= share {
			found = append(found, m.facts[i])
		}
	}
	return found
}

// fitting returns what has to do with a question.
func (m *notebook) fitting(question string) (texts []string) {
	const most = 5
	if len(m.list()) == 0 {
		return nil
	}
	for _, f := range m.search(question, fits) {
		if len(texts) < most {
			texts = append(texts, f.Text)
		}
	}
	return texts
}

// forgetOne forgets one of some facts, which it asks for when there are several.
func (m *notebook) forgetOne(found []store.Fact) bool {
	if len(found) == 1 {
		m.ui.Notice(fmt.Sprintf("This forgets: %q.", found[0].Text))
		if !confirmed(m.ui, "Forget it? (yes or no) ") {
			say(m.ui, "It stays.")
			return false
		}
		return m.forget(found[0])
	}
	say(m.ui, "That could mean several:")
	for i, f := range found {
		say(m.ui, fmt.Sprintf("%3d  %s", i+1, f.Text))
	}
	line, err := m.ui.Ask("Which one? (number; Enter: none) ")
	n, nerr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || nerr != nil || n < 1 || n > len(found) {
		say(m.ui, "They stay.")
		return false
	}
	return m.forget(found[n-1])
}

// forget deletes a fact.
func (m *notebook) forget(f store.Fact) bool {
	if err := m.journal.arrange(func() error { return m.journal.store.Unremember(f.ID) }); err != nil {
		m.ui.Error("It could not be forgotten: " + fs.Explain(err))
		return false
	}
	m.library = nil
	if m.last == f.ID {
		m.last = 0
	}
	if line := m.typed[f.ID]; line != "" {
		m.ui.DropHistory(line)
	}
	say(m.ui, "Forgotten: "+f.Text+".")
	m.ui.Quiet("It is not told to the model any more, and is taken off the drive when you shut down. Messages and answers that speak of it stay: /find WORDS finds them.")
	return true
}

// memory runs /memory.
func (c *commands) memoryCommand(rest string) {
	m := c.remembered
	if c.journal.store == nil {
		say(c.ui, "Nothing is saved in this session, so nothing is remembered.")
		return
	}
	facts := m.list()
	word, more, _ := strings.Cut(rest, " ")
	more = strings.TrimSpace(more)
	pick := func() (store.Fact, string, bool) {
		number, text, _ := strings.Cut(more, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > len(facts) {
			say(c.ui, fmt.Sprintf("There is no number %q: /memory lists what is remembered.", number))
			return store.Fact{}, "", false
		}
		return facts[n-1], strings.Join(strings.Fields(text), " "), true
	}
	forgot := false
	switch strings.ToLower(word) {
	case "":
		if len(facts) == 0 {
			say(c.ui, `Nothing is remembered yet. Say "remember that ...".`)
			return
		}
		for i, f := range facts {
			say(c.ui, fmt.Sprintf("%3d  %s  (%s)", i+1, f.Text, f.Time.In(c.past.now().Location()).Format("2 Jan 2006")))
		}
	case "add":
		if more == "" {
			say(c.ui, memoryUsage)
			return
		}
		m.add(more)
	case "edit":
		f, text, ok := pick()
		switch {
		case !ok:
		case text == "":
			line := "/memory " + rest + " " + f.Text
			if !c.ui.Prefill(line) {
				c.ui.AddHistory(line)
				say(c.ui, "The Up key brings back the text, to be changed.")
			}
		default:
			if err := c.journal.arrange(func() (err error) { _, err = c.journal.store.Revise(f.ID, text); return err }); err != nil {
				c.ui.Error("It could not be changed: " + fs.Explain(err))
				return
			}
			m.library, forgot = nil, true
			say(c.ui, "I will remember instead: "+text+".")
		}
	case "forget":
		if f, _, ok := pick(); ok {
			forgot = m.forgetOne([]store.Fact{f})
		}
	case "undo":
		i := slices.IndexFunc(facts, func(f store.Fact) bool { return f.ID == m.last })
		if i < 0 {
			say(c.ui, "Nothing was added in this session that could be taken back. /memory forget N forgets another one.")
			return
		}
		forgot = m.forget(facts[i])
	default:
		say(c.ui, memoryUsage)
	}
	if forgot {
		c.talk.unlearn()
	}
}

// heard does what a message says about remembering or forgetting. What must be answered by rule is neither.
func (c *commands) heard(text string) bool {
	if t := c.talk; t.before != nil && t.model != nil {
		if _, byRule := t.before(t.model.Info, text); byRule {
			return false
		}
	}
	done, forgot := c.remembered.heard(text)
	if forgot {
		c.talk.unlearn()
	}
	return done
}

// unlearn has the model forget what it read: what is forgotten may be in it.
func (c *conversation) unlearn() {
	if c.model != nil {
		c.model.Forget()
	}
	c.forgotten()
}
