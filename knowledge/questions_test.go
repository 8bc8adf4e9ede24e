package knowledge

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"alphaos/knowledge/docs"
)

// home is a library of the thirty documents in testdata.
func home(t testing.TB, e Embedder) *Library {
	t.Helper()
	a, err := txtar.ParseFile("testdata/library.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) != 30 {
		t.Fatalf("%d documents", len(a.Files))
	}
	l := New(e, "test")
	for _, f := range a.Files {
		add(t, l, f.Name, string(f.Data))
	}
	embed(t, l)
	return l
}

func embed(t testing.TB, l *Library) {
	t.Helper()
	if err := l.Embed(context.Background(), func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, l *Library, name, text string) {
	t.Helper()
	d, err := docs.Read(context.Background(), name, strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := l.Add(context.Background(), Source{Name: name, Size: int64(len(text))}, d); err != nil {
		t.Fatal(err)
	}
}

func search(t testing.TB, l *Library, query string, k int) []Passage {
	t.Helper()
	p, err := l.Search(context.Background(), query, k)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type question struct{ document, asked, answer, words string }

func questions(t testing.TB) (list []question) {
	t.Helper()
	b, err := os.ReadFile("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), " | "); len(f) >= 3 && line[0] != '#' {
			list = append(list, question{f[0], f[1], strings.TrimSuffix(f[2], " |"), strings.TrimSpace(strings.Join(f[3:], ""))})
		}
	}
	if len(list) != 60 {
		t.Fatalf("%d questions", len(list))
	}
	return list
}

// The right passage is among the first three for 43 of 45 questions; each answer that was written from it cites it, and
// what it cites has the answer's words; the 15 that no document answers cite nothing.
func TestQuestions(t *testing.T) {
	l := home(t, nil)
	found, cited, first := 0, 0, 0
	for _, q := range questions(t) {
		passages := search(t, l, q.asked, 3)
		citations := Cite(q.asked, q.answer, passages)
		if q.document == "-" {
			for _, c := range citations {
				t.Errorf("%s: %q cites %s: %q", q.asked, q.answer, passages[c.Passage].Document, passages[c.Passage].Text[c.From:c.To])
			}
			continue
		}
		ok := false
		for i, p := range passages {
			if p.Document == q.document && strings.Contains(p.Text, q.words) {
				ok = true
				if i == 0 {
					first++
				}
			}
		}
		if !ok {
			t.Logf("%s: not found; instead %+v", q.asked, passages)
			continue
		}
		found++
		right := len(citations) > 0
		for _, c := range citations {
			right = right && passages[c.Passage].Document == q.document
		}
		if right {
			cited++
		} else {
			t.Logf("%s: %q cites %v of %+v", q.asked, q.answer, citations, passages)
		}
	}
	t.Logf("of 45 questions %d have the right passage among the first three, %d as the first; %d answers cite it", found, first, cited)
	if found < 43 || cited < 43 {
		t.Errorf("found %d, cited %d", found, cited)
	}
}
