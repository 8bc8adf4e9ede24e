package knowledge

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alphaos/knowledge/docs"
)

// A collection is documents, questions, and how well each document answers each, from 1 on.
type collection struct {
	docs      map[string]*docs.Document
	questions []string
	gains     []map[string]int
}

// cranfield reads Cleverdon's collection of 1,400 abstracts and 225 questions. Its judges wrote 1 for a complete
// answer and 4 for a document of minimum interest; here 4 is best.
func cranfield(t testing.TB) collection {
	dir := "../../shared/data/corpora"
	if _, err := os.Stat(filepath.Join(dir, "cran.qry")); err != nil {
		dir = "../../../shared/data/corpora"
	}
	if _, err := os.Stat(filepath.Join(dir, "cran.qry")); err != nil {
		t.Skip("the Cranfield collection is not beside the repository, in ../shared/data/corpora")
	}
	records := func(name string) (list []map[string]string) {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		field := ""
		for s := bufio.NewScanner(f); s.Scan(); {
			line := s.Text()
			if strings.HasPrefix(line, ".I ") {
				list = append(list, map[string]string{"I": strings.TrimSpace(line[3:])})
			} else if len(line) == 2 && line[0] == '.' {
				field = line[1:]
			} else {
				list[len(list)-1][field] += line + "\n"
			}
		}
		return list
	}
	c := collection{docs: map[string]*docs.Document{}}
	for _, r := range records("cran.all.1400") {
		text := strings.TrimSpace(strings.TrimPrefix(r["W"], r["T"])) // which begins with the title
		c.docs[r["I"]] = &docs.Document{Title: r["T"], Blocks: []docs.Block{
			{Kind: docs.Heading, Level: 1, Text: strings.TrimSpace(r["T"])},
			{Text: text, Place: docs.Place{Path: strings.TrimSpace(r["T"])}},
		}}
	}
	for _, r := range records("cran.qry") {
		c.questions = append(c.questions, r["W"])
		c.gains = append(c.gains, map[string]int{})
	}
	f, err := os.Open(filepath.Join(dir, "cranqrel"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var question, code int
		var doc string
		if _, err := fmt.Sscan(s.Text(), &question, &doc, &code); err != nil {
			t.Fatal(err)
		}
		if code >= 1 {
			c.gains[question-1][doc] = 5 - code
		}
	}
	return c
}

// measure asks all questions and returns the mean nDCG of the first 10 documents and the mean average
// precision of the first 1,000. A document stands where its first passage does.
func (c collection) measure(t testing.TB, l *Library) (ndcg, binary, precision float64) {
	return c.measureBy(func(question string) []Passage { return search(t, l, question, 2000) })
}

func (c collection) measureBy(ask func(question string) []Passage) (ndcg, binary, precision float64) {
	for q, question := range c.questions {
		passages := ask(question)
		var ranked []string
		seen := map[string]bool{}
		for _, p := range passages {
			if !seen[p.Document] {
				seen[p.Document] = true
				ranked = append(ranked, p.Document)
			}
		}
		gains := c.gains[q]
		var ideal []int
		for _, g := range gains {
			ideal = append(ideal, g)
		}
		slices.Sort(ideal)
		slices.Reverse(ideal)
		sum, best, sumB, bestB := 0.0, 0.0, 0.0, 0.0
		for i := range 10 {
			discount := 1 / math.Log2(float64(i+2))
			if i < len(ranked) {
				sum += float64(gains[ranked[i]]) * discount
				if gains[ranked[i]] > 0 {
					sumB += discount
				}
			}
			if i < len(ideal) {
				best += float64(ideal[i]) * discount
				bestB += discount
			}
		}
		hits, average := 0, 0.0
		for i, d := range ranked[:min(len(ranked), 1000)] {
			if gains[d] > 0 {
				hits++
				average += float64(hits) / float64(i+1)
			}
		}
		n := float64(len(c.questions))
		ndcg += sum / best / n
		binary += sumB / bestB / n
		precision += average / float64(len(gains)) / n
	}
	return ndcg, binary, precision
}

func (c collection) library(t testing.TB, e Embedder) *Library {
	l := New(e, "test")
	for _, name := range slices.Sorted(maps.Keys(c.docs)) {
		if err := l.Add(context.Background(), Source{Name: name}, c.docs[name]); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// What the lexical index finds is as good as it was: a change for the worse is seen here, where the collection is,
// and in TestQuestions everywhere.
func TestCranfield(t *testing.T) {
	c := cranfield(t)
	ndcg, binary, precision := c.measure(t, c.library(t, nil))
	t.Logf("nDCG@10 %.4f (all relevant documents alike: %.4f), MAP %.4f", ndcg, binary, precision)
	if ndcg < .385 || precision < .32 {
		t.Errorf("nDCG@10 is %.4f and MAP %.4f; they were at least .385 and .320", ndcg, precision)
	}
}
