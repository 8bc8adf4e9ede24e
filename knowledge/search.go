package knowledge

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"
)

// Search returns the k passages that fit a query best, the best first. Those found by their words and those
// found by their meaning are fused by their ranks: 1/(60+rank) from each list (Cormack and others, 2009).
// When the Embedder fails, words alone must do. If documents are named, only these are searched. The error is that of ctx.
func (l *Library) Search(ctx context.Context, query string, k int, within ...string) ([]Passage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var vector []float32
	l.mu.RLock()
	e := l.embedder
	if l.vectors.held == 0 {
		e = nil
	}
	l.mu.RUnlock()
	if e != nil && strings.TrimSpace(query) != "" {
		if v, err := e.EmbedTexts(ctx, []string{query}); err == nil && len(v) == 1 {
			vector = v[0]
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	wanted := l.wanted(query)
	deep := max(4*k, 100)
	ok := func(c uint32) bool {
		d := l.chunks[c].doc
		return d != nil && (len(within) == 0 || slices.Contains(within, d.Name))
	}
	found := l.lexical(wanted, deep, ok)
	likeness := map[uint32]float64{}
	if vector != nil {
		alike := l.vectors.nearest(vector, deep, ok)
		for _, h := range alike {
			likeness[h.chunk] = float64(h.score)
		}
		found = fuse(found, alike)
	}
	found = found[:min(k, len(found))]
	passages := make([]Passage, 0, len(found))
	shares := l.match(wanted, found)
	for i, h := range found {
		p := l.passage(h.chunk)
		p.Score, p.Match, p.Likeness = float64(h.score), shares[i], likeness[h.chunk]
		passages = append(passages, p)
	}
	return passages, nil
}

// A hit is a chunk that was found.
type hit struct {
	chunk uint32
	score float32
}

func better(a, b hit) int {
	return cmp.Or(-cmp.Compare(a.score, b.score), cmp.Compare(a.chunk, b.chunk))
}

// top returns the n best of the chunks that have a score and that ok takes, in order.
func top(scores []float32, n int, ok func(chunk uint32) bool) []hit {
	if n <= 0 {
		return nil
	}
	heap := make([]hit, 0, n) // the worst on top
	for i, s := range scores {
		if s <= 0 || len(heap) == n && s <= heap[0].score || !ok(uint32(i)) {
			continue
		}
		h := hit{uint32(i), s}
		if len(heap) < n {
			heap = append(heap, h)
			for k := len(heap) - 1; k > 0 && better(heap[k], heap[(k-1)/2]) > 0; k = (k - 1) / 2 {
				heap[k], heap[(k-1)/2] = heap[(k-1)/2], heap[k]
			}
			continue
		}
		heap[0] = h
		for k := 0; ; {
			c := 2*k + 1
			if c+1 < n && better(heap[c+1], heap[c]) > 0 {
				c++
			}
			if c >= n || better(heap[c], heap[k]) <= 0 {
				break
			}
			heap[k], heap[c] = heap[c], heap[k]
			k = c
		}
	}
	slices.SortFunc(heap, better)
	return heap
}

func fuse(lists ...[]hit) []hit {
	const k = 60
	sum := map[uint32]float32{}
	for _, list := range lists {
		for rank, h := range list {
			sum[h.chunk] += 1 / float32(k+rank+1)
		}
	}
	fused := make([]hit, 0, len(sum))
	for c, s := range sum {
		fused = append(fused, hit{c, s})
	}
	slices.SortFunc(fused, better)
	return fused
}

// wanted returns the terms of a query. A word counts with its stem in each language that documents are in.
// What has parts counts as a whole and, where nobody has it so, in its parts; else these count little.
func (l *Library) wanted(query string) []wanted {
	var langs []language
	for lang, n := range l.spoken {
		if n > 0 {
			langs = append(langs, language(lang))
		}
	}
	asked := tellQuery(query, langs)
	var list, stops []wanted
	at := map[string]int{}
	var wholes []term
	for _, lang := range langs {
		n := 0 // terms come in the same order whatever the language
		a := analyzer{lang: lang}
		a.terms(query, func(t term) {
			n++
			if t.whole && l.index.df(t.text) > 0 {
				wholes = append(wholes, t)
			}
			if lang != langs[0] {
				if n-1 < len(list) && !slices.Contains(list[n-1].texts, t.text) {
					list[n-1].texts = append(list[n-1].texts, t.text)
				}
				return
			}
			w := wanted{texts: []string{t.text}, weight: 1, at: t.at, end: t.end, part: t.part}
			switch {
			case !t.whole && !t.part && stop(asked, query[t.at:t.end]):
				w.stop = true
			case t.whole && dense(firstRune(t.text)):
				w.weight = .6
			}
			list = append(list, w)
		})
	}
	for i := range list {
		for _, t := range wholes {
			if list[i].part && list[i].at >= t.at && list[i].end <= t.end {
				list[i].weight = .25
			}
		}
	}
	out := list[:0]
	for _, w := range list {
		switch {
		case w.stop:
			stops = append(stops, w)
			continue
		case w.part && dense(firstRune(w.texts[0])) && len(list) > 1:
			w.weight = min(w.weight, .2) // a character of a word
		}
		if i, ok := at[w.texts[0]]; ok && i < len(out) { // said twice
			out[i].weight = max(out[i].weight, w.weight)
			continue
		}
		at[w.texts[0]] = len(out)
		out = append(out, w)
	}
	if len(out) == 0 { // nothing but words that say nothing: then these are meant
		return stops
	}
	return out
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// tellQuery tells the language of a query, which has few words, among those of the documents.
func tellQuery(query string, langs []language) language {
	var count [len(languages)]int
	for w := range strings.FieldsFuncSeq(strings.ToLower(query), func(r rune) bool { return !letter(r) }) {
		for _, lang := range speaks[w] {
			count[lang]++
		}
	}
	best := language(1) // English, which its users mix into others
	for lang, n := range count {
		if n > count[best] {
			best = language(lang)
		}
	}
	return best
}

// lexical returns the n best chunks by BM25 of those that ok takes.
func (l *Library) lexical(query []wanted, n int, ok func(chunk uint32) bool) []hit {
	if len(query) == 0 || len(l.chunks) == 0 {
		return nil
	}
	scores, _ := l.scores.Get().(*[]float32)
	if scores == nil || cap(*scores) < len(l.chunks) {
		scores = new([]float32)
		*scores = make([]float32, len(l.chunks), len(l.chunks)+len(l.chunks)/4)
	}
	s := (*scores)[:len(l.chunks)]
	clear(s)
	l.index.score(query, s)
	hits := top(s, n, ok)
	l.scores.Put(scores)
	return hits
}

// match returns for each of some chunks the share of a query that it has.
func (l *Library) match(query []wanted, found []hit) []float64 {
	order := make([]int, len(found)) // by chunk, as the lists of terms are
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(found[a].chunk, found[b].chunk) })
	shares, has := make([]float64, len(found)), make([]bool, len(found))
	all := 0.0
	for _, w := range query {
		weight := l.index.weigh(w)
		if weight == 0 { // nobody has it: as rare as can be
			weight = w.weight * l.index.idf(0)
		}
		all += weight
		clear(has)
		for _, t := range w.texts {
			id, ok := l.index.ids[t]
			if !ok {
				continue
			}
			next := 0
			l.index.terms[id].each(func(chunk, _ uint32) {
				for next < len(order) && found[order[next]].chunk < chunk {
					next++
				}
				if next < len(order) && found[order[next]].chunk == chunk {
					has[order[next]] = true
				}
			})
		}
		for i, ok := range has {
			if ok {
				shares[i] += weight
			}
		}
	}
	for i := range shares {
		if all > 0 {
			shares[i] /= all
		}
	}
	return shares
}

func (l *Library) passage(c uint32) Passage {
	ch := &l.chunks[c]
	return Passage{Document: ch.doc.Name, Locator: ch.place.String(), Text: ch.doc.text[ch.start:ch.end], Start: int(ch.start), End: int(ch.end), Page: ch.place.Page}
}

// Around returns passages with more of the text around them, as much as fits in budget, of which count returns
// how much a text needs (tokens of a model, say): first the passages themselves, the best first, then their
// neighbours up to the ends of their sections. Passages that grow together become one.
func (l *Library) Around(passages []Passage, budget int, count func(string) int) []Passage {
	l.mu.RLock()
	defer l.mu.RUnlock()
	type piece struct {
		Passage
		from, to uint32 // chunks
	}
	var list []piece
	at := map[uint32]int{} // chunks that are in a piece
	for _, p := range passages {
		doc := l.docs[p.Document]
		if doc == nil {
			continue
		}
		c := doc.first
		for c+1 < doc.last && int(l.chunks[c+1].start) <= p.Start {
			c++
		}
		if _, ok := at[c]; ok || c >= doc.last {
			continue
		}
		need := count(p.Text)
		if need > budget {
			continue
		}
		budget -= need
		at[c] = len(list)
		list = append(list, piece{p, c, c + 1})
	}
	// One step further on both sides of each, in turn, until nothing fits or there is no more.
	for grown := true; grown; {
		grown = false
		for i := range list {
			p := &list[i]
			doc := l.docs[p.Document]
			if p.from == p.to {
				continue
			}
			for _, side := range []bool{true, false} {
				c := p.to
				if !side {
					c = p.from - 1
				}
				if side && c >= doc.last || !side && p.from == doc.first {
					continue
				}
				next := &l.chunks[c]
				if next.section != l.chunks[p.from].section {
					continue
				}
				if k, ok := at[c]; ok { // another's: it becomes part of the better one
					if k == i || list[k].from == list[k].to {
						continue
					}
					if k < i {
						continue
					}
					q := &list[k]
					p.from, p.to = min(p.from, q.from), max(p.to, q.to)
					for c := q.from; c < q.to; c++ {
						at[c] = i
					}
					q.from, q.to = 0, 0
					grown = true
					continue
				}
				need := count(doc.text[next.start:next.end])
				if need > budget {
					continue
				}
				budget -= need
				at[c] = i
				p.from, p.to = min(p.from, c), max(p.to, c+1)
				grown = true
			}
		}
	}
	var out []Passage
	for _, p := range list {
		if p.from == p.to {
			continue
		}
		first, last := &l.chunks[p.from], &l.chunks[p.to-1]
		whole := l.passage(p.from)
		whole.Score, whole.Match, whole.Likeness, whole.End = p.Score, p.Match, p.Likeness, int(last.end)
		whole.Text = first.doc.text[first.start:last.end]
		out = append(out, whole)
	}
	return out
}

// Mark returns where the words of a query are in a passage's text: from where to where, in order.
func (l *Library) Mark(query string, p Passage) (spans [][2]int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	want := map[string]bool{}
	for _, w := range l.wanted(query) {
		if w.part && w.weight < .5 { // of something that is there as a whole
			continue
		}
		for _, t := range w.texts {
			want[t] = true
		}
	}
	a := analyzer{}
	if d := l.docs[p.Document]; d != nil {
		a.lang = d.lang
	}
	a.terms(p.Text, func(t term) {
		if !want[t.text] {
			return
		}
		if n := len(spans); n > 0 && t.at <= spans[n-1][1] {
			spans[n-1][1] = max(spans[n-1][1], t.end)
			return
		}
		spans = append(spans, [2]int{t.at, t.end})
	})
	return spans
}

// Excerpt returns the part of a text, of some length in bytes, that has most marks: from where to where.
func Excerpt(text string, marks [][2]int, length int) (from, to int) {
	if len(text) <= length {
		return 0, len(text)
	}
	const before = 60
	start, most := 0, 0
	for i, m := range marks {
		n := 0
		for _, o := range marks[i:] {
			if o[1] > m[0]+length-before {
				break
			}
			n++
		}
		if n > most {
			start, most = m[0], n
		}
	}
	if from = max(0, start-before); from > 0 {
		if i := strings.IndexAny(text[from:start], " \n"); i >= 0 {
			from += i + 1
		} else {
			for !utf8.RuneStart(text[from]) {
				from--
			}
		}
	}
	if to = min(len(text), from+length); to < len(text) {
		if i := strings.LastIndexAny(text[from:to], " \n"); i > 0 {
			to = from + i
		} else {
			for !utf8.RuneStart(text[to]) {
				to--
			}
		}
	}
	return from, to
}
