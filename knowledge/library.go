// Package knowledge is the library: what a person's documents say, found by words and by meaning, with the
// place where it stands, so that it can be cited truly.
//
// A document (package docs reads it) is cut into chunks (chunk.go), whose terms (terms.go, language.go) are in
// a lexical index (bm25.go) and, when there is a model for embeddings, whose vectors are in a second
// (vectors.go). Search asks both and fuses what they say (search.go). Whoever writes an answer takes more of the
// text around (Library.Around), and afterwards looks which passages the answer really used (cite.go).
// What is counted or listed comes from the catalogue (catalogue.go), not from a search. All of it is kept in
// memory, and is a projection: a file of it (file.go) that is missing or damaged is made anew from the documents.
//
// The package knows no model: an Embedder is handed to it.
package knowledge

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"alphaos/knowledge/docs"
)

// An Embedder turns texts into vectors of length 1, all of as many numbers. Texts that mean similar things
// have vectors that point in similar directions.
type Embedder interface {
	EmbedTexts(ctx context.Context, texts []string) ([][]float32, error)
}

// Library is a set of documents that can be searched. Its methods may be called at the same time.
type Library struct {
	mu       sync.RWMutex
	embedder Embedder
	model    string // of the embedder
	docs     map[string]*document
	chunks   []chunk // by number; those of removed documents have no doc
	index    index
	vectors  vectors
	readers  [len(languages)]analyzer // used by whoever changes the library
	spoken   [len(languages)]int      // documents in each language
	scores   sync.Pool
	letters  int64 // bytes of the documents' text
	bound    int64 // of Bound
}

// A document is one of the library's.
type document struct {
	Source
	title       string
	text        string
	lang        language
	first, last uint32 // its chunks: from first up to before last
	rows        int    // of tables
	note        string // a sentence: what of it was left out, or why it could not be read
}

// Source is what tells a file from others, and whether it has changed.
type Source struct {
	Name    string // its path, by which the library knows it
	Size    int64
	ModTime time.Time
	Hash    [32]byte // SHA-256 of the file; zero: not known
}

// Passage is a piece of a document that fits a query.
type Passage struct {
	Document   string // its name
	Locator    string // where in it, for a person: "page 3, Installing"
	Text       string
	Score      float64 // greater is better; only those of one search can be compared
	Match      float64 // which share of the query's words it has, by their weight: from 0 to 1
	Likeness   float64 // of its meaning to the query's, the cosine of their vectors; 0: not known
	Start, End int     // where Text is in the text of the document, in bytes
	Page       int     // 0: the document has no pages
}

// New returns an empty library. The embedder may be nil; then passages are found by their words alone. Model is
// its name: vectors of one model say nothing to another.
func New(embedder Embedder, model string) *Library {
	return &Library{embedder: embedder, model: model, docs: map[string]*document{}}
}

// ErrNoRoom says that a document would take more memory than the library may.
var ErrNoRoom = errors.New("there is no memory left for it on this computer, which has other documents in memory already")

// Bound has the library take some bytes of memory at most, as far as that can be estimated; 0: any.
func (l *Library) Bound(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound = bytes
}

// Use has the library find by meaning as well from here on, with an embedder whose model has that name; nil: not any
// more, but vectors that there are stay. Those of another model are forgotten.
func (l *Library) Use(e Embedder, model string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.embedder = e; e != nil && model != l.model {
		l.model, l.vectors = model, vectors{}
	}
}

// Add puts a document into the library, in place of one of the same name. From then on it is found by its words; by
// its meaning only when Embed has been there. When it fails the library has no document of that name.
func (l *Library) Add(ctx context.Context, from Source, d *docs.Document) error {
	text, spans := flatten(d)
	doc := &document{Source: from, title: d.Title, text: text, lang: tell(text), note: d.Note}
	chunks := cut(doc, text, spans)
	for _, s := range spans {
		if s.kind == docs.Row {
			doc.rows++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(from.Name)
	if l.bound > 0 && l.memory()+need(len(text), len(chunks), 0) > l.bound {
		return ErrNoRoom
	}
	doc.first = uint32(len(l.chunks))
	for i, c := range chunks {
		if i&255 == 0 && ctx.Err() != nil {
			doc.last = uint32(len(l.chunks))
			l.enter(doc)
			l.remove(from.Name)
			return ctx.Err()
		}
		l.index.add(l.terms(&c))
		l.chunks = append(l.chunks, c)
	}
	doc.last = uint32(len(l.chunks))
	l.enter(doc)
	return nil
}

func (l *Library) enter(d *document) {
	l.docs[d.Name] = d
	l.spoken[d.lang]++
	l.letters += int64(len(d.text))
}

// need is about how many bytes of memory so many of text take, in chunks with vectors of so many numbers.
func need(text, chunks, dim int) int64 { return int64(text)*8/5 + int64(chunks)*int64(160+dim) }

func (l *Library) memory() int64 { return need(int(l.letters), len(l.chunks), l.vectors.dim) }

// Memory is about how many bytes of memory the library takes.
func (l *Library) Memory() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.memory()
}

// batch is how many chunks are embedded together: what is lost when that is stopped, and how long nobody else has the
// embedder.
const batch = 16

// Embed computes the vectors that are missing, while searches go on. After each batch did is called with how many chunks still
// have none; its error ends it. What was computed stays whenever it ends.
func (l *Library) Embed(ctx context.Context, did func(left int) error) error {
	from := 0
	for {
		l.mu.RLock()
		e, model := l.embedder, l.model
		var numbers []uint32
		var texts []string
		var left int
		if e != nil {
			left = l.index.live - l.vectors.held
		}
		for round := 0; round < 2 && left > 0 && len(texts) == 0; round++ { // since the last batch they may have moved
			for ; from < len(l.chunks) && len(texts) < batch; from++ {
				if c := &l.chunks[from]; c.doc != nil && !l.vectors.has(uint32(from)) {
					numbers = append(numbers, uint32(from))
					texts = append(texts, c.context()+c.doc.text[c.start:c.end])
				}
			}
			if len(texts) == 0 {
				from = 0
			}
		}
		l.mu.RUnlock()
		if len(texts) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		made, err := e.EmbedTexts(ctx, texts)
		if err == nil && len(made) != len(texts) {
			err = fmt.Errorf("%d vectors for %d texts", len(made), len(texts))
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		// Meanwhile documents may have gone, or moved.
		for i, n := range numbers {
			if l.model != model || int(n) >= len(l.chunks) || l.chunks[n].doc == nil || l.vectors.has(n) {
				continue
			}
			if c := &l.chunks[n]; c.context()+c.doc.text[c.start:c.end] == texts[i] {
				l.vectors.set(n, made[i])
			}
		}
		l.mu.Unlock()
		if err := did(max(0, left-len(texts))); err != nil {
			return err
		}
	}
}

// Refuse notes that a file can't be read, and why: a sentence.
func (l *Library) Refuse(from Source, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(from.Name)
	l.enter(&document{Source: from, note: why, first: uint32(len(l.chunks)), last: uint32(len(l.chunks))})
}

// Remove takes a document out of the library and tells whether it was there. Its text is gone at once.
func (l *Library) Remove(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remove(name)
}

func (l *Library) remove(name string) bool {
	doc := l.docs[name]
	if doc == nil {
		return false
	}
	for i := doc.first; i < doc.last; i++ {
		l.index.remove(i, l.terms(&l.chunks[i]))
		l.vectors.drop(i)
		l.chunks[i] = chunk{}
	}
	delete(l.docs, name)
	l.spoken[doc.lang]--
	l.letters -= int64(len(doc.text))
	// When a third is gone the rest moves together.
	if dead := len(l.chunks) - l.index.live; dead > 1000 && 3*dead > len(l.chunks) {
		l.pack()
	}
	return true
}

// pack gives the chunks new numbers without gaps.
func (l *Library) pack() {
	number := make([]uint32, len(l.chunks)) // new ones, and one more; 0: removed
	n := uint32(0)
	old := l.chunks
	l.chunks = nil
	for i, c := range old {
		if c.doc == nil {
			continue
		}
		if c.doc.first == uint32(i) {
			c.doc.last, c.doc.first = n+c.doc.last-c.doc.first, n
		}
		l.chunks = append(l.chunks, c)
		n++
		number[i] = n
	}
	for _, d := range l.docs {
		if d.first == d.last {
			d.first, d.last = 0, 0
		}
	}
	packed := index{ids: map[string]uint32{}, live: l.index.live, total: l.index.total}
	for i, length := range l.index.lengths {
		if number[i] > 0 {
			packed.lengths = append(packed.lengths, length)
		}
	}
	for text, id := range l.index.ids {
		var p postings
		l.index.terms[id].each(func(chunk, n uint32) {
			if int(chunk) < len(number) && number[chunk] > 0 {
				p.append(number[chunk]-1, n)
				p.df++
			}
		})
		if p.df > 0 {
			packed.ids[text] = uint32(len(packed.terms))
			p.list = slices.Clip(p.list)
			packed.terms = append(packed.terms, p)
		}
	}
	l.index = packed
	l.vectors.pack(number)
}

// terms returns the terms of a chunk: those of its text, and of the document's name and the headings above,
// which tell what it is about. Words of headings count twice: they raised nDCG@10 on Cranfield from .37 to .39.
func (l *Library) terms(c *chunk) (list []string) {
	a := &l.readers[c.doc.lang]
	a.lang = c.doc.lang
	for _, s := range []string{c.doc.text[c.start:c.end], c.doc.base(), c.place.Sheet, c.place.Path, c.place.Path} {
		a.terms(s, func(t term) { list = append(list, t.text) })
	}
	return list
}

// context is what a chunk says only through where it stands.
func (c *chunk) context() string {
	parts := []string{c.doc.base()}
	for _, s := range []string{c.place.Sheet, c.place.Path} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " › ") + "\n"
}

// base is the document's name without folders and ending.
func (d *document) base() string {
	name := path.Base(d.Name)
	return strings.TrimSuffix(name, path.Ext(name))
}

// Documents returns how many documents and chunks there are.
func (l *Library) Documents() (documents, chunks int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.docs), l.index.live
}

// Text returns the text of a document, in which the passages' Start and End count.
func (l *Library) Text(name string) (string, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if d := l.docs[name]; d != nil {
		return d.text, true
	}
	return "", false
}
