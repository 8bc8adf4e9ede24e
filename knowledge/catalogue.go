package knowledge

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// An Entry is what the catalogue says of a document.
type Entry struct {
	Source
	Title    string
	Language string // as English calls it; empty: not told
	Passages int
	Rows     int    // of its tables
	Model    string // of the passages' vectors; empty: not all have one
	Note     string // a sentence: what of it was left out or, when there are no passages, why it could not be read
}

// Catalogue lists the documents by name: all, or those in which each of some words is, whatever its form.
func (l *Library) Catalogue(about string) []Entry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var in map[*document]bool
	if about != "" {
		for _, w := range l.wanted(about) {
			if w.part && len(w.texts) > 0 && w.weight < 1 { // of something that is wanted as a whole
				continue
			}
			has := map[*document]bool{}
			for _, t := range w.texts {
				if id, ok := l.index.ids[t]; ok {
					l.index.terms[id].each(func(c, _ uint32) {
						if int(c) >= len(l.chunks) { // of a damaged index
							return
						}
						if d := l.chunks[c].doc; d != nil && (in == nil || in[d]) {
							has[d] = true
						}
					})
				}
			}
			in = has
		}
	}
	var list []Entry
	for _, d := range l.docs {
		if about == "" || in[d] {
			list = append(list, Entry{d.Source, d.title, languages[d.lang].name, int(d.last - d.first), d.rows, l.modelOf(d), d.note})
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// modelOf is the model of a document's vectors, if it has them all.
func (l *Library) modelOf(d *document) string {
	for c := d.first; c < d.last; c++ {
		if !l.vectors.has(c) {
			return ""
		}
	}
	if d.first == d.last {
		return ""
	}
	return l.model
}

// Content is a passage with its vector.
type Content struct {
	Passage
	Vector []int8  // nil: it has none
	Scale  float32 // by which Vector's numbers are multiplied
}

// Contents lists all passages of a document, in order.
func (l *Library) Contents(name string) []Content {
	l.mu.RLock()
	defer l.mu.RUnlock()
	d := l.docs[name]
	if d == nil {
		return nil
	}
	list := make([]Content, d.last-d.first)
	for i := range list {
		list[i].Passage = l.passage(d.first + uint32(i))
	}
	v := &l.vectors
	for row, c := range v.chunks {
		if d.first <= c && c < d.last {
			to := &list[c-d.first]
			to.Vector, to.Scale = slices.Clone(v.rows[row*v.dim:][:v.dim]), v.scales[row]
		}
	}
	return list
}

// A Request is a question about the documents that the catalogue answers, and no search: which there are, or how
// many, and how many rows one has. A model that is asked this guesses.
type Request struct {
	Count bool   // how many, not which
	About string // the words that they must have; empty: all documents
	Rows  bool   // of the document whose name is About
}

const (
	enDocs = `(?:documents?|files?|pdfs?|notes|books|papers)`
	deDocs = `(?:dokumente?|dateien|unterlagen|pdfs?|bücher|notizen)`
	frDocs = `(?:documents?|fichiers?|pdfs?|livres|notes)`
)

var requests = []struct {
	pattern     *regexp.Regexp
	count, rows bool
}{
	{regexp.MustCompile(`(?i)^how many (?:rows|lines|entries|records|items) (?:are (?:there )?in|has|does|do)(?: the)?(?: file| document| table)? ["“']?(.+?)["”']?(?: have| contain)?[?.\s]*$`), true, true},
	{regexp.MustCompile(`(?i)^wie viele (?:zeilen|einträge|datensätze) (?:hat|sind in|enthält)(?: die datei| das dokument)? ["„']?(.+?)["“']?[?.\s]*$`), true, true},
	{regexp.MustCompile(`(?i)^how many (?:of )?(?:my |the )?` + enDocs + `(?: do i have| have i(?: got)?| are there| are (?:on|in) (?:my|the|this) (?:drive|library))?(?: (?:that |which )?(?:are )?(?:about|on|mention(?:ing|s)?|contain(?:ing|s)?|deal(?:ing)? with|say(?:ing)?|have the words?) (.+?))?[?.\s]*$`), true, false},
	{regexp.MustCompile(`(?i)^(?:which|what|list|show(?: me)?|name)(?: are)?(?: all)?(?: of)?(?: my| the)?(?: all)? ` + enDocs + `(?: do i have| have i(?: got)?| are there| i have| are (?:on|in) (?:my|the|this) (?:drive|library))?(?: (?:that |which )?(?:are )?(?:about|on|mention(?:ing|s)?|contain(?:ing|s)?|deal(?:ing)? with|say(?:ing)?|have the words?) (.+?))?[?.\s]*$`), false, false},
	{regexp.MustCompile(`(?i)^wie viele(?: meiner| der)? ` + deDocs + `(?: habe ich| gibt es| liegen hier| sind (?:da|hier))?(?: (?:über|zu|zum thema|mit|erwähnen|enthalten|handeln von|, die) (.+?))?(?: erwähnen| enthalten)?[?.\s]*$`), true, false},
	{regexp.MustCompile(`(?i)^(?:welche|zeige?(?: mir)?|liste)(?: alle)?(?: meiner| meine| der| die)? ` + deDocs + `(?: habe ich| gibt es| liegen hier| sind (?:da|hier))?(?: (?:über|zu|zum thema|mit|erwähnen|enthalten|handeln von|, die) (.+?))?(?: erwähnen| enthalten)?[?.\s]*$`), false, false},
	{regexp.MustCompile(`(?i)^combien de ` + frDocs + `(?: ai-je| y a-t-il| est-ce que j['’]ai| possédé-je)?(?: (?:sur|à propos de|au sujet de|mentionnent|contiennent|qui (?:parlent de|mentionnent|contiennent)) (.+?))?[?.\s]*$`), true, false},
	{regexp.MustCompile(`(?i)^(?:quels|quelles|liste|montre(?:-moi)?)(?: sont)?(?: tous)?(?: mes| les)? ` + frDocs + `(?: ai-je| y a-t-il| est-ce que j['’]ai)?(?: (?:sur|à propos de|au sujet de|mentionnent|contiennent|qui (?:parlent de|mentionnent|contiennent)) (.+?))?[?.\s]*$`), false, false},
	{regexp.MustCompile(`^(?:我)?有?(?:多少|几)(?:个|份)?(?:文件|文档)(?:(?:关于|提到|提及)(.+?))?[?？。\s]*$`), true, false},
	{regexp.MustCompile(`^(?:我有)?(?:哪些|什么)(?:文件|文档)(?:(?:关于|提到|提及)(.+?))?[?？。\s]*$`), false, false},
}

// Route tells whether a question is a request to the catalogue, and which.
func Route(question string) (Request, bool) {
	question = strings.TrimSpace(question)
	for _, r := range requests {
		if m := r.pattern.FindStringSubmatch(question); m != nil {
			return Request{Count: r.count, Rows: r.rows, About: strings.TrimSpace(m[1])}, true
		}
	}
	return Request{}, false
}

// Reply answers a request in a sentence and, when it is for a list, with the documents' names, a line each.
func (l *Library) Reply(r Request) string {
	if r.Rows {
		name := strings.ToLower(r.About)
		for _, e := range l.Catalogue("") {
			if base := strings.ToLower(path.Base(e.Name)); base == name || strings.TrimSuffix(base, path.Ext(base)) == name {
				return fmt.Sprintf("%s has %s.", e.Name, many(e.Rows, "row"))
			}
		}
		return fmt.Sprintf("None of your documents is called %s.", r.About)
	}
	var b strings.Builder
	list := l.Catalogue(r.About)
	unread := 0
	for _, e := range list {
		if e.Passages == 0 {
			unread++
		}
	}
	switch {
	case r.About != "" && len(list) == 0:
		return fmt.Sprintf("None of your documents has %s in it.", r.About)
	case r.About != "" && len(list) == 1:
		fmt.Fprintf(&b, "One document has %s in it", r.About)
	case r.About != "":
		fmt.Fprintf(&b, "%d documents have %s in them", len(list), r.About)
	case len(list) == 0:
		return "You have no documents."
	default:
		fmt.Fprintf(&b, "You have %s", many(len(list), "document"))
		if unread > 0 {
			fmt.Fprintf(&b, ", of which %d cannot be read", unread)
		}
	}
	if r.Count {
		return b.String() + "."
	}
	b.WriteByte(':')
	for _, e := range list {
		b.WriteString("\n- " + e.Name)
		if e.Passages == 0 {
			b.WriteString(" (can't be read: " + e.Note + ")")
		}
	}
	return b.String()
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
