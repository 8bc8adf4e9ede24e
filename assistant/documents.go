package assistant

// The person's documents: which there are and what is known of them, searching them, the passages that an answer comes from.

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/knowledge"
	"alphaos/llm/chat"
	"alphaos/store"
)

const documentsUsage = `  /documents        lists the documents, and what of them can't be read
  /documents scan   reads what is new or changed now; else it is read while you do nothing
  /documents off    answers come from the model alone; /documents on searches them again
  /search WORDS     lists the passages that fit best
  /sources          shows the passages that the last answer comes from
  /open N           shows passage N of these two in its document
  /use FILE         asks about this document alone; /use all about all again`

const (
	notSearched  = "Documents are not searched in this session."
	lockedAway   = "Your documents are encrypted, and locked in this session: /restart has the passphrase asked for again."
	documentsNot = "Documents are not searched: /documents on does it again."
)

// documents runs /documents.
func (c *commands) documents(ctx context.Context, rest string) {
	s := c.shelf
	switch word := strings.ToLower(rest); {
	case word == "":
		c.listDocuments(ctx)
	case word == "scan" || word == "on" || word == "off":
		if s.retriever == nil {
			say(c.ui, s.never())
			return
		}
		switch word {
		case "off":
			c.journal.keep(documentsOff, "off")
			s.found, s.use = nil, ""
			s.rest()
			say(c.ui, "Documents are not searched from here on; answers come from the model alone. /documents on searches them again.")
		case "on":
			c.journal.keep(documentsOff, "")
			say(c.ui, "Documents are searched from here on. /documents off stops that.")
		default:
			c.scan(ctx)
		}
	default:
		say(c.ui, documentsUsage)
	}
}

// listDocuments lists the files among the documents.
func (c *commands) listDocuments(ctx context.Context) {
	switch {
	case c.shelf.locked:
		say(c.ui, lockedAway)
		return
	case c.drive.Documents == nil:
		say(c.ui, "There is no place for documents in this session.")
		return
	}
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	known := map[string]knowledge.Entry{}
	if c.shelf.active() {
		l, _ := c.shelf.library(ctx)
		for _, e := range l.Catalogue("") {
			known[e.Name] = e
		}
	}
	files, passages, unread, bytes := 0, 0, 0, int64(0)
	err := iofs.WalkDir(c.drive.Documents, ".", func(name string, d iofs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if name == "." && errors.Is(err, iofs.ErrNotExist) {
				return iofs.SkipAll
			}
			return err
		}
		if name != "." && !isDocument(d) {
			if d.IsDir() {
				return iofs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		e, ok := known[name]
		what := strings.ToUpper(strings.TrimPrefix(path.Ext(name), "."))
		switch {
		case !c.shelf.active():
			what = ""
		case !ok:
			what += ", not read yet"
		case e.Passages == 0:
			what += ": " + e.Note
			unread++
		default:
			what += ", " + count(e.Passages, "passage", "passages")
			passages += e.Passages
			if e.Note != "" {
				what += ": " + e.Note
			}
		}
		if what != "" {
			what = "  (" + strings.TrimLeft(what, ",: ") + ")"
		}
		say(c.ui, fmt.Sprintf("  %-9s  %s  %s%s", console.Bytes(info.Size()), info.ModTime().Format("2 Jan 2006"), name, what))
		return nil
	})
	switch {
	case ctx.Err() != nil:
		c.ui.Quiet("Stopped.")
	case err != nil:
		c.ui.Error("The documents can't be read: " + fs.Explain(err))
	case files == 0:
		say(c.ui, "There are no documents on this drive yet: copy them to its folder of documents on any computer.")
	default:
		line := fmt.Sprintf("%s, %s", count(files, "document", "documents"), console.Bytes(bytes))
		if passages > 0 {
			line += ", " + count(passages, "passage", "passages")
		}
		if unread > 0 {
			line += fmt.Sprintf("; %d can't be read", unread)
		}
		say(c.ui, line+".")
		if c.shelf.retriever != nil && !c.shelf.active() {
			c.ui.Quiet(documentsNot)
		}
	}
}

// scan reads the documents while the person waits.
func (c *commands) scan(ctx context.Context) {
	s := c.shelf
	if !s.active() {
		say(c.ui, documentsNot)
		return
	}
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	s.failed = false
	s.retriever.Again()
	var p engine.Progress
	read, removed, refused, left := 0, 0, 0, 0
	err := s.retriever.Keep(ctx, func(change knowledge.Change) {
		switch {
		case change.Removed:
			removed++
		case change.Left > 0 || change.Name == "":
			const each = 1000 // bytes of a passage, about
			if left == 0 {
				if p != nil {
					p.Done()
				}
				left = change.Left + 1
				p = c.ui.Progress("Finding what they are about", int64(left)*each)
			}
			p.Set(int64(left-change.Left) * each)
		case change.Note != "" && change.Done == 0:
			refused++
		default:
			if p == nil && change.Total > 0 {
				p = c.ui.Progress("Reading documents", change.Total)
			}
			if p != nil {
				p.Set(change.Done)
			}
			read++
			if change.Note != "" {
				refused++
			}
		}
	})
	if p != nil {
		p.Done()
	}
	if ctx.Err() != nil {
		c.ui.Quiet("Stopped. The rest is read while you do nothing, or by /documents scan.")
		return
	}
	s.tell(err)
	l := s.peek(ctx)
	documents, passages := l.Documents()
	line := fmt.Sprintf("%s, %s. Read now: %d; gone: %d", count(documents, "document", "documents"), count(passages, "passage", "passages"), read, removed)
	if refused > 0 {
		line += fmt.Sprintf("; with something to say of them: %d (/documents lists it)", refused)
	}
	say(c.ui, line+".")
}

// searched tells whether documents are searched, and says why if they are not.
func (c *commands) searched() bool {
	switch {
	case c.shelf.retriever == nil:
		say(c.ui, c.shelf.never())
	case !c.shelf.active():
		say(c.ui, documentsNot)
	default:
		return true
	}
	return false
}

// never says why documents can't be searched in this session.
func (s *shelf) never() string {
	if s.locked {
		return lockedAway
	}
	return notSearched
}

// search runs /search.
func (c *commands) search(ctx context.Context, words string) {
	s := c.shelf
	switch {
	case !c.searched():
		return
	case words == "":
		say(c.ui, "/search WORDS lists the passages of your documents that fit best. /find WORDS looks at what was said.")
		return
	}
	ctx, done := c.ui.StopContext(ctx)
	defer done()
	l, whole := s.library(ctx)
	if r, ok := knowledge.Route(words); ok {
		say(c.ui, l.Reply(r))
	} else {
		const k = 5
		found, err := l.Search(ctx, words, k, s.within()...)
		if err != nil {
			c.ui.Quiet("Stopped.")
			return
		}
		s.asked, s.found, s.spare = words, found, false
		if len(found) == 0 {
			say(c.ui, "Not found in your documents.")
		} else {
			s.list(l, words, found)
			c.ui.Quiet("/open N shows one in its document.")
		}
	}
	if !whole && ctx.Err() == nil {
		c.ui.Quiet(stillReading)
	}
}

// sources runs /sources.
func (c *commands) sources(ctx context.Context) {
	s := c.shelf
	if s.retriever == nil {
		say(c.ui, s.never())
		return
	}
	l, _ := s.library(ctx)
	var list []source
	var last store.Message
	if c.journal.store != nil && !c.journal.apart {
		msgs, _ := c.journal.store.Tail(1)
		if len(msgs) > 0 && msgs[0].Role == store.Assistant {
			last = msgs[0]
			list = sourcesOf(last.Stats.Sources)
		}
	}
	if c.journal.store == nil || !c.journal.saving { // it is not in the journal
		list = s.last
	}
	if len(list) == 0 {
		say(c.ui, "The last answer does not come from your documents.")
		if s.spare && len(s.found) > 0 {
			c.ui.Quiet("These passages were found for it, and not used:")
			s.list(l, s.asked, s.found)
		}
		return
	}
	s.found, s.spare = nil, false
	for n := 1; ; n++ {
		var spans [][2]int
		var of source
		for _, x := range list {
			if x.N == n {
				of = x
				spans = append(spans, [2]int{x.From, x.To})
			}
		}
		if of.N == 0 {
			break
		}
		text, _ := l.Text(of.Document)
		head := func() { c.ui.Place(fmt.Sprintf("[%d]", n), where(of.passage(""))) }
		if of.Start < 0 || of.Start >= of.End || of.End > len(text) {
			head()
			c.ui.Quiet("    This document is not there any more, or has changed.")
			s.found = append(s.found, of.passage(""))
			continue
		}
		p := of.passage(text[of.Start:of.End])
		s.found = append(s.found, p)
		head()
		s.marked("    ", p.Text, joined(spans, len(p.Text)))
	}
	c.ui.Quiet("/open N shows one in its document.")
}

// joined sorts spans, joins those that overlap, and cuts them off at the end.
func joined(spans [][2]int, end int) (out [][2]int) {
	slices.SortFunc(spans, func(a, b [2]int) int { return a[0] - b[0] })
	for _, m := range spans {
		m[0], m[1] = max(m[0], 0), min(m[1], end)
		if n := len(out); n > 0 && m[0] <= out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], m[1])
		} else if m[0] < m[1] {
			out = append(out, m)
		}
	}
	return out
}

// openPassage shows passage n of those that were listed last, with what stands around it. It tells whether there were any.
func (c *commands) openPassage(ctx context.Context, which string) bool {
	s := c.shelf
	n, err := strconv.Atoi(which)
	if err != nil || !s.active() || len(s.found) == 0 {
		return false
	}
	if n < 1 || n > len(s.found) {
		say(c.ui, fmt.Sprintf("There is no passage %d: %s listed. /conversations lists conversations, and /open N goes on with one then.", n, count(len(s.found), "passage was", "passages were")))
		return true
	}
	p := s.found[n-1]
	l, _ := s.library(ctx)
	text, ok := l.Text(p.Document)
	if !ok || p.End > len(text) || p.Start >= p.End {
		say(c.ui, fmt.Sprintf("%s is not there any more, or has changed: /documents lists what there is.", p.Document))
		return true
	}
	const before, after = 600, 1800 // bytes
	from, to := max(0, p.Start-before), min(len(text), p.End+after)
	if from > 0 {
		from += strings.IndexByte(text[from:], '\n') + 1
		from = min(from, p.Start)
	}
	if i := strings.LastIndexByte(text[p.End:to], '\n'); to < len(text) && i >= 0 {
		to = p.End + i
	}
	say(c.ui, where(p)+":")
	if from > 0 {
		c.ui.Quiet("  …")
	}
	marks := l.Mark(s.asked, knowledge.Passage{Document: p.Document, Text: p.Text})
	for i := range marks {
		marks[i][0], marks[i][1] = marks[i][0]+p.Start-from, marks[i][1]+p.Start-from
	}
	s.marked("  ", strings.ToValidUTF8(text[from:to], ""), marks)
	if to < len(text) {
		c.ui.Quiet("  …")
	}
	return true
}

// useDocument runs /use.
func (c *commands) useDocument(ctx context.Context, which string) {
	s := c.shelf
	switch {
	case !c.searched():
		return
	case strings.EqualFold(which, "all"):
		s.use = ""
		say(c.ui, "Questions are about all your documents again.")
		return
	case which == "":
		if s.use != "" {
			say(c.ui, fmt.Sprintf("Questions are about %s alone. /use all asks about all documents again.", s.use))
		} else {
			say(c.ui, "/use FILE asks about one document alone; /documents lists them.")
		}
		return
	}
	l, _ := s.library(ctx)
	var exact, some []knowledge.Entry
	want := strings.ToLower(which)
	for _, e := range l.Catalogue("") {
		name, base := strings.ToLower(e.Name), strings.ToLower(path.Base(e.Name))
		switch {
		case name == want || base == want || strings.TrimSuffix(base, path.Ext(base)) == want:
			exact = append(exact, e)
		case strings.Contains(name, want):
			some = append(some, e)
		}
	}
	if len(exact) == 0 {
		exact = some
	}
	switch {
	case len(exact) == 0:
		say(c.ui, fmt.Sprintf("There is no document %q; /documents lists them.", which))
	case len(exact) > 1:
		say(c.ui, "More than one document is called so:")
		for _, e := range exact[:min(len(exact), shownInList)] {
			say(c.ui, "  "+e.Name)
		}
	case exact[0].Passages == 0:
		say(c.ui, fmt.Sprintf("%s can't be read: %s.", exact[0].Name, exact[0].Note))
	default:
		s.use = exact[0].Name
		say(c.ui, fmt.Sprintf("Questions are about %s alone from here on. /use all asks about all documents again.", s.use))
		if c.talk.model != nil && c.talk.room(chat.Turn{}) < leastPassages {
			c.ui.Quiet("This model has no room for passages of documents: they are listed for you below its answers. /models lists others.")
		}
	}
}
