package knowledge

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// A Citation says that a sentence of an answer is told by a passage.
type Citation struct {
	Passage    int // its number among those that were given, from 0
	Start, End int // the sentence, in the answer, in bytes
	From, To   int // what tells it, in the passage's Text
}

// Cite looks which of the passages that an answer was written from it really used, sentence by sentence. A
// sentence that says that nothing was found is told by none, nor is one with a number or a code that the passage
// does not have, nor one of which half is neither in the question nor in the passage. Most answers need no more than a few of the passages, and one that was
// written without them none.
func Cite(question, answer string, passages []Passage) (cited []Citation) {
	lang := tell(answer + "\n" + question)
	a := analyzer{lang: lang}
	asked := map[string]bool{}
	for _, c := range claims(&a, question) {
		asked[c.text] = true
	}
	type window struct {
		from, to int
		has      map[string]bool
	}
	windows := make([][]window, len(passages))
	about := make([]map[string]bool, len(passages)) // what a passage need not say: it is in its title
	for i, p := range passages {
		about[i] = map[string]bool{}
		a.terms(p.Document+"\n"+position.ReplaceAllString(p.Locator, ""), func(t term) { about[i][t.text] = true })
		from := 0
		var list []window
		for _, end := range Sentences(p.Text) {
			if strings.TrimSpace(p.Text[from:end]) == "" {
				from = end
				continue
			}
			w := window{from, end, map[string]bool{}}
			a.terms(p.Text[from:end], func(t term) { w.has[t.text] = true })
			list = append(list, w)
			from = end
		}
		windows[i] = list
	}
	from := 0
	for _, end := range Sentences(answer) {
		sentence := answer[from:end]
		start := from
		from = end
		if denial.MatchString(sentence) {
			continue
		}
		list := claims(&a, enumerator.ReplaceAllStringFunc(sentence, func(s string) string { return strings.Repeat(" ", len(s)) }))
		all, fresh := 0.0, 0.0
		for _, c := range list {
			all += c.weight
			if !asked[c.text] {
				fresh += c.weight
			}
		}
		if len(list) == 0 {
			continue
		}
		best, found := 0.0, Citation{}
		for i := range passages {
			for first := range windows[i] {
				for n := 1; n <= 3 && first+n <= len(windows[i]); n++ {
					group := windows[i][first : first+n]
					told, news, hard, terms := 0.0, 0.0, 0, 0
					contradicted := false
					for _, c := range list {
						ok := about[i][c.text]
						for _, w := range group {
							ok = ok || w.has[c.text]
						}
						switch {
						case ok:
							told += c.weight
							terms++
							if !asked[c.text] {
								news += c.weight
								if c.hard {
									hard++
								}
							}
						case c.hard:
							contradicted = true
						}
					}
					if contradicted || told < .5*all || news < .5*fresh || terms < 2 && hard == 0 {
						continue
					}
					if fresh == 0 && (told < all || n > 1) { // "Pets are not allowed": one sentence must have all of it
						continue
					}
					if terms < 2 { // a number alone: the passage must be about what was asked
						fits := 0
						for t := range asked {
							if about[i][t] || slices.ContainsFunc(group, func(w window) bool { return w.has[t] }) {
								fits++
							}
						}
						if 2*fits < len(asked) || fits == 0 {
							continue
						}
					}
					if score := told/all + news/max(fresh, 1) - .02*float64(n); score > best+.001 {
						best = score
						found = Citation{i, start, start + len(strings.TrimRight(sentence, " \n")), group[0].from, group[n-1].to}
					}
				}
			}
		}
		if best > 0 {
			cited = append(cited, found)
		}
	}
	return cited
}

// Sentences returns where the sentences and lines of a text end, that is, where the next ones begin; the last at its end.
func Sentences(t string) (ends []int) {
	from := 0
	for from < len(t) {
		to := strings.IndexByte(t[from:], '\n') + 1
		if to == 0 {
			to = len(t) - from
		}
		for _, e := range sentences(t[from : from+to]) {
			ends = append(ends, from+e)
		}
		from += to
	}
	return ends
}

// A claim is a term by which a sentence can be told from others.
type claim struct {
	text   string
	weight float64
	hard   bool // a number or a code: it is there or it is not
}

func claims(a *analyzer, sentence string) (list []claim) {
	seen := map[string]bool{}
	var whole term
	a.terms(sentence, func(t term) {
		word := sentence[t.at:t.end]
		if t.whole {
			whole = t
		}
		inside := t.part && whole.end > whole.at && t.at >= whole.at && t.end <= whole.end
		if inside || seen[t.text] || stop(a.lang, word) || stop(1, word) || t.part && dense(firstRune(t.text)) {
			return
		}
		seen[t.text] = true
		hard := strings.IndexFunc(t.text, unicode.IsDigit) >= 0
		weight := 1.0
		if hard {
			weight = 2
		}
		list = append(list, claim{t.text, weight, hard})
	})
	return list
}

var (
	// position is what of a locator are numbers of no meaning.
	position = regexp.MustCompile(`\b(?:page|line|row) [0-9]+`)
	// enumerator is what a line of a list begins with, and the mark of a citation that a model wrote itself.
	enumerator = regexp.MustCompile(`^\s*(?:[0-9]{1,2}[.)]|[-*•])\s|\[[0-9]{1,2}\]`)
	// denial is how people, and models, say that they found nothing.
	denial = regexp.MustCompile(`(?i)\b(?:not (?:found|mentioned|stated|specified|given|contained|included|available)|(?:do|does|did)(?:n['’]t| not) (?:say|mention|state|contain|include|specify|provide|have|know|find|appear)|(?:can(?:not|['’]t)|could(?:n['’]t| not)|unable to) (?:find|say|tell|answer)|no (?:information|mention|details?|answer|data)|nothing (?:about|in)|` +
		`nicht (?:gefunden|erwähnt|angegeben|enthalten|zu finden|genannt|bekannt)|kein(?:e|en)? (?:information\w*|angaben?|hinweise?|antwort)|steht nicht|weiß (?:es )?nicht|` +
		`(?:pas|rien) (?:trouvé|mentionné|indiqué|précisé)|ne (?:mentionne|contien|dit|précise)\w* pas|aucune? (?:information|mention|réponse))|` +
		`没有(?:找到|提到|说明|提及)|未(?:找到|提及|提到)|找不到|不知道`)
)
