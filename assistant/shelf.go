package assistant

// The person's documents, as far as the conversation knows them: which passages fit a question, and which of them an answer
// was written from. They are read while the person is asked for a line, so no answer waits for them.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"alphaos/console"
	"alphaos/fs"
	"alphaos/knowledge"
)

// Retriever keeps the library of the person's documents: a *knowledge.Keeper.
type Retriever interface {
	// Library is what is known of the documents by now. It is usable whatever the error, which is a sentence to tell.
	Library(ctx context.Context) (*knowledge.Library, error)
	// Read reads what is new or changed, until ctx ends. did is told each change.
	Read(ctx context.Context, did func(knowledge.Change)) error
	// Keep is Read, and computes and saves what makes later searches better and faster.
	Keep(ctx context.Context, did func(knowledge.Change)) error
	// Again has these two look at all documents once more.
	Again()
	// Rest gives back memory that a model may need.
	Rest()
	// Finish saves what is not saved yet.
	Finish(ctx context.Context) error
}

// shelf is the documents. A nil shelf has none.
type shelf struct {
	ui        UI
	display   Display
	journal   *journal
	retriever Retriever
	locked    bool   // the documents are behind a passphrase that was not given; there is no retriever then
	use       string // the only document that is asked about; "": all
	failed    bool   // they can't be read or saved, and the person knows

	asked string              // what was searched for, or asked, last
	found []knowledge.Passage // that were listed for it, or that the last answer has: /open shows one
	spare bool                // these were given to the model, which did not use any
	last  []source            // of the last answer

	known *knowledge.Library // as it was asked for last; nil: never
}

const (
	documentsAfter = 2 * time.Second         // the person has not begun to type at once
	documentsEnd   = 3 * time.Second         // for what a shutdown still saves
	documentsFirst = 1500 * time.Millisecond // for what is new before a question is answered or a search begins
	documentsOff   = "documents"             // the setting: "off", or nothing
	barEvery       = 250 * time.Millisecond
)

// active tells whether documents are searched.
func (s *shelf) active() bool {
	return s != nil && s.retriever != nil && s.journal.setting(documentsOff) != "off"
}

// keep brings the library up to date in the background. The function it returns ends that.
func (s *shelf) keep(ctx context.Context) (stop func()) {
	if !s.active() || s.failed {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		select {
		case <-ctx.Done():
			return
		case <-time.After(documentsAfter):
		}
		shown := false
		began, last := time.Now(), time.Now()
		err := s.retriever.Keep(ctx, func(c knowledge.Change) {
			if now := time.Now(); now.Sub(last) > barEvery {
				last, shown = now, true
				s.display.SetBars(func(b *console.Bars) { b.Doing, b.Pace = "reading documents", readingPace(c, now.Sub(began)) })
			}
		})
		if shown {
			s.display.SetBars(func(b *console.Bars) { b.Doing, b.Pace = "", "" })
		}
		failed <- err
	}()
	return func() {
		cancel()
		s.tell(<-failed)
	}
}

// readingPace says how far it is with the documents.
func readingPace(c knowledge.Change, took time.Duration) string {
	if c.Left > 0 {
		return count(c.Left, "passage left", "passages left")
	}
	if c.Done == 0 || c.Total == 0 {
		return ""
	}
	left := time.Duration(float64(took) / float64(c.Done) * float64(c.Total-c.Done))
	return fmt.Sprintf("%d %%, %s left", c.Done*100/c.Total, seconds(left))
}

// tell tells what kept the documents from being read or saved, once.
func (s *shelf) tell(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fs.ErrRemoved) {
		return // they are read later; that the drive is away is told when something is to be saved
	}
	if both, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range both.Unwrap() {
			s.tell(err)
		}
		return
	}
	if errors.Is(err, knowledge.ErrRebuilt) {
		s.ui.Quiet(sentence(err))
		return
	}
	if !s.failed {
		s.failed = true
		s.ui.Quiet("Your documents are not all read, or their index is not saved: " + fs.Explain(err) + " /documents scan tries again.")
	}
}

// finish saves the index before the end.
func (s *shelf) finish() {
	if !s.active() || s.failed {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), documentsEnd)
	defer done()
	err := s.retriever.Finish(ctx)
	if s.tell(err); err != nil || s.known == nil {
		return
	}
	if n, _ := s.known.Documents(); n > 0 {
		s.ui.Quiet("Index of documents: saved")
	}
}

// clear forgets what was asked about: a new conversation begins, or another goes on.
func (s *shelf) clear() {
	if s != nil {
		s.use, s.found, s.last = "", nil, nil
	}
}

func (s *shelf) rest() {
	if s != nil && s.retriever != nil {
		s.retriever.Rest()
	}
}

// library returns the library, with what is new in it if that can be read in a moment; else whole is false.
func (s *shelf) library(ctx context.Context) (l *knowledge.Library, whole bool) {
	ctx, done := context.WithTimeout(ctx, documentsFirst)
	defer done()
	err := s.retriever.Read(ctx, nil)
	s.tell(err)
	return s.peek(ctx), err == nil || errors.Is(err, knowledge.ErrRebuilt)
}

// peek returns the library as it is.
func (s *shelf) peek(ctx context.Context) *knowledge.Library {
	l, err := s.retriever.Library(ctx)
	s.tell(err)
	s.known = l
	return l
}

const stillReading = "Your documents are still being read: there may be more."

// within is what a search is restricted to.
func (s *shelf) within() []string {
	if s.use == "" {
		return nil
	}
	return []string{s.use}
}

// inDocuments is how people say that they ask about their documents.
var inDocuments = regexp.MustCompile(`(?i)[,;]?\s*\b(?:(?:in|from|by|according to|based on) (?:my|these|our) (?:own )?(?:documents?|files?|notes|papers|pdfs?)|(?:what )?do(?:es)? my (?:documents?|files?|notes|papers|pdfs?) (?:say|mention|tell|contain)(?: about)?|` +
	`(?:in|aus|laut) (?:meinen|den) (?:dokumenten|unterlagen|dateien|notizen)|(?:dans|d'après|selon) mes (?:documents|fichiers|notes))|(?:在)?我的(?:文件|文档)(?:里|中)`)

// howTo begins questions about AlphaOS itself.
var howTo = regexp.MustCompile(`(?i)^(?:how|where) (?:do|can|could|should|to)\b|^wie (?:kann|finde|suche|füge)\b`)

const (
	fits   = .24 // of a question's words, by weight, are in a passage that may have to do with it; measured on the 60 questions of package knowledge
	surely = .5  // in one that has
	alike  = .5  // is the cosine of a passage's vector and a question's that have to do with each other
)

// fitting returns the passages that have to do with a question, the best first. before is what was asked before it, if anything.
func (s *shelf) fitting(ctx context.Context, l *knowledge.Library, question, before string) []knowledge.Passage {
	const k = 6
	query := inDocuments.ReplaceAllString(question, " ")
	found, err := l.SearchFollowing(ctx, inDocuments.ReplaceAllString(before, " "), query, k, s.within()...)
	if err != nil {
		s.tell(err)
		return nil
	}
	best := 0.
	for _, p := range found {
		best = max(best, p.Match)
	}
	var fit []knowledge.Passage
	for _, p := range found {
		if p.Match >= fits && 2*p.Match >= best || p.Likeness >= alike {
			fit = append(fit, p)
		}
	}
	return fit
}

// sure tells whether a passage surely has to do with its question.
func sure(p knowledge.Passage) bool { return p.Match >= surely || p.Likeness >= alike }

// reply answers what the documents' catalogue answers and no model: which there are, how many. small is a model that is given no passages.
func (s *shelf) reply(ctx context.Context, question string, small bool) (answer string, ok bool) {
	if !s.active() {
		return "", false
	}
	request, routed := knowledge.Route(question)
	about := !small && s.use == "" && inDocuments.MatchString(question) && !howTo.MatchString(question)
	if !routed && !about {
		return "", false
	}
	l, whole := s.library(ctx)
	if n, _ := l.Documents(); n == 0 && whole {
		return "", false
	}
	note := ""
	if !whole {
		note = "\n\n" + stillReading
	}
	switch {
	case routed:
		return l.Reply(request) + note, true
	case len(s.fitting(ctx, l, question, "")) == 0:
		return "Not found in your documents." + note, true
	}
	return "", false
}

// A ground is what an answer may be written from.
type ground struct {
	question string
	passages []knowledge.Passage // in the prompt, numbered from 1
	listed   []knowledge.Passage // for the person alone, where the model has no room for any
	facts    []string            // that are remembered
}

const (
	mostPassages  = 2000 // tokens in a prompt
	leastPassages = 300  // where there is less room for passages, none are given
	leastContext  = 2048 // tokens of a context that passages are given to
)

// ground returns what fits a question behind what was asked before, in as many tokens as room, of which tokens counts those of a text.
func (s *shelf) ground(ctx context.Context, question, before string, room int, tokens func(string) int) (g ground) {
	g.question = question
	if !s.active() {
		return g
	}
	s.found, s.spare = nil, false
	s.asked = question
	l, whole := s.library(ctx)
	if n, _ := l.Documents(); n == 0 {
		return g
	}
	fit := s.fitting(ctx, l, question, before)
	if s.use != "" && room >= leastPassages {
		fit = append(fit, beginning(l, s.use, fit)...)
	}
	if len(fit) == 0 {
		return g
	}
	if !whole {
		s.ui.Quiet(stillReading)
	}
	switch {
	case room < leastPassages:
		for _, p := range fit {
			if sure(p) && len(g.listed) < 3 {
				g.listed = append(g.listed, p)
			}
		}
	case sure(fit[0]) || s.use != "":
		g.passages = l.Around(fit, min(room, mostPassages), func(text string) int { return tokens(text) + around })
	default: // it may be about something else: that is not worth much reading
		g.passages = l.Around(fit[:1], min(room, leastPassages), func(text string) int { return tokens(text) + around })
	}
	return g
}

// answered tells which passages were used for an answer. citer is nil where the model was given none.
func (s *shelf) answered(ctx context.Context, g *ground, citer *citer) {
	if !s.active() {
		return
	}
	s.last = nil
	switch {
	case citer != nil && len(citer.list) > 0:
		s.last, s.found = citer.list, citer.sources()
		s.ui.Quiet(sourceLine(s.found))
	case citer != nil:
		s.found, s.spare = g.passages, true
		s.ui.Quiet("This answer does not come from your documents. /sources shows what was found there.")
	case len(g.listed) > 0:
		s.found, s.spare = g.listed, true
		l := s.peek(ctx)
		s.ui.Quiet("In your documents, which this small model has no room for (/open N shows more):")
		s.list(l, g.question, g.listed)
	}
}

// around is how many tokens the number and the name of a passage take, about.
const around = 24

// beginning is the first passage of a document: with it a model knows what that is. It is none if it was found already.
func beginning(l *knowledge.Library, name string, found []knowledge.Passage) []knowledge.Passage {
	text, _ := l.Text(name)
	if text == "" {
		return nil
	}
	first := l.Around([]knowledge.Passage{{Document: name}}, 1, func(string) int { return 1 })
	for _, p := range found {
		if len(first) > 0 && p.Start == first[0].Start {
			return nil
		}
	}
	return first
}

// prompt is the question with what it may be answered from.
func (g *ground) prompt() string {
	var b strings.Builder
	if len(g.facts) > 0 {
		b.WriteString("I told you to remember:\n")
		for _, f := range g.facts {
			b.WriteString("- " + f + "\n")
		}
		b.WriteString("\n")
	}
	if len(g.passages) == 0 {
		return b.String() + g.question
	}
	b.WriteString("Passages from my documents:\n\n")
	for i, p := range g.passages {
		fmt.Fprintf(&b, "[%d] %s\n%s\n\n", i+1, where(p), p.Text)
	}
	b.WriteString("Answer from these passages where they tell what I ask. Where they do not, say so. Answer in the language of the question.\n\n")
	return b.String() + g.question
}

// where is a passage's place, for a person.
func where(p knowledge.Passage) string {
	if p.Locator == "" {
		return p.Document
	}
	return p.Document + ", " + p.Locator
}

// A source says that what an answer says before At comes from a passage.
type source struct {
	N        int    `json:"n"`  // the number in brackets, from 1
	At       int    `json:"at"` // in the text of the answer, in bytes
	Document string `json:"d"`
	Locator  string `json:"l,omitempty"`
	Page     int    `json:"p,omitempty"`
	Start    int    `json:"s"` // of the passage, in the document's text
	End      int    `json:"e"`
	From     int    `json:"f"` // of what tells it, in the passage
	To       int    `json:"t"`
}

func (s source) passage(text string) knowledge.Passage {
	return knowledge.Passage{Document: s.Document, Locator: s.Locator, Page: s.Page, Start: s.Start, End: s.End, Text: text}
}

// sourcesOf reads what encode wrote.
func sourcesOf(encoded string) (list []source) {
	if json.Unmarshal([]byte(encoded), &list) != nil {
		return nil
	}
	return list
}

// encode is how sources are kept with an answer: a few kilobytes at most.
func encode(list []source) string {
	const most = 40
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list[:min(len(list), most)])
	if err != nil {
		return ""
	}
	return string(b)
}

// cited is the text of an answer with the numbers of its sources.
func cited(text string, list []source) string {
	var b strings.Builder
	from := 0
	for _, s := range list {
		if s.At >= from && s.At <= len(text) {
			b.WriteString(text[from:s.At])
			fmt.Fprintf(&b, " [%d]", s.N)
			from = s.At
		}
	}
	return b.String() + text[from:]
}

// marked shows a text with what is to be found in it, a line at a time, behind an indent.
func (s *shelf) marked(indent, text string, spans [][2]int) {
	at := 0
	for line := range strings.Lines(text) {
		pieces := []string{indent}
		from := at
		line = strings.TrimRight(line, "\n")
		for _, m := range spans {
			a, z := max(m[0], from), min(m[1], at+len(line))
			if a < z {
				pieces = append(pieces[:len(pieces)-1], pieces[len(pieces)-1]+text[from:a], text[a:z], "")
				from = z
			}
		}
		pieces[len(pieces)-1] += text[from : at+len(line)]
		if strings.TrimSpace(line) != "" {
			s.ui.Marked(pieces...)
		}
		at += len(line) + 1
	}
}

// oneLine returns a part of a text with single blanks for all white space, but a dot behind a heading, and the marks of the
// whole text in it.
func oneLine(text string, from, to int, marks [][2]int) (string, [][2]int) {
	var b strings.Builder
	at := make([]int, to-from+1) // where each byte of the part, and its end, went
	for i := from; i < to; i++ {
		at[i-from] = b.Len()
		last := byte(' ')
		if b.Len() > 0 {
			last = b.String()[b.Len()-1]
		}
		switch c := text[i]; {
		case strings.HasPrefix(text[i:to], "\n\n") && (last >= utf8.RuneSelf || last|0x20 >= 'a' && last|0x20 <= 'z' || last >= '0' && last <= '9'):
			b.WriteString(" ·") // a sentence would have ended with a stop
		case c != ' ' && c != '\n' && c != '\t' && c != '\r':
			b.WriteByte(c)
		case last != ' ':
			b.WriteByte(' ')
		}
	}
	at[to-from] = b.Len()
	var moved [][2]int
	for _, m := range marks {
		if a, z := max(m[0], from), min(m[1], to); a < z {
			moved = append(moved, [2]int{at[a-from], at[z-from]})
		}
	}
	return b.String(), moved
}

// list lists passages with their numbers, an excerpt of each, and the words of a query marked.
func (s *shelf) list(l *knowledge.Library, query string, passages []knowledge.Passage) {
	const length = 240
	for i, p := range passages {
		s.ui.Place(fmt.Sprintf("[%d]", i+1), where(p))
		marks := l.Mark(query, p)
		from, to := knowledge.Excerpt(p.Text, marks, length)
		text, marks := oneLine(p.Text, from, to, marks)
		lead, tail := "    ", ""
		if from > 0 {
			lead += "… "
		}
		if to < len(p.Text) {
			tail = " …"
		}
		s.marked(lead, text+tail, marks)
	}
}

// isDocument tells whether a file below the documents is one of the person's, and not what other systems leave behind.
func isDocument(d iofs.DirEntry) bool {
	return !strings.HasPrefix(d.Name(), ".") && d.Name() != "System Volume Information"
}

// suggest lists the documents that /use takes. It does not wait for any to be read.
func (s *shelf) suggest() (list []console.Suggestion) {
	if !s.active() || s.known == nil {
		return nil
	}
	for _, e := range s.known.Catalogue("") {
		if e.Passages > 0 {
			list = append(list, console.Suggestion{Text: "/use " + e.Name, Help: count(e.Passages, "passage", "passages")})
		}
	}
	return list
}
