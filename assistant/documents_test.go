package assistant

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"alphaos/console"
	"alphaos/drive"
	"alphaos/knowledge"
)

// reader is a drive with documents that are searched, and a model that has room for passages.
func reader(t testing.TB, documents map[string]string) *world {
	w := &world{t: t, context: 4000, library: true, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 256<<10)}, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	for name, text := range documents {
		w.file("documents/"+name, text)
	}
	return w
}

var household = map[string]string{
	"boiler.md": "# Boiler\nThe boiler is a Vaillant.\n\n## Service\nThe circulation pump was replaced under warranty on 2024-11-08.",
	"parts.csv": "Article,Price\nXC23,4.50\n",
	"trip.txt":  "Bring to the hut:\n- a head torch\n- a water bottle\n- a sleeping bag liner\n",
}

func (w *world) says(lines ...string) string {
	w.out.Reset()
	for _, line := range lines {
		w.lines = append(w.lines, "you> "+line)
	}
	w.boot()
	return w.out.String()
}

// gpt4all#2060: cited though documents were off. Without documents, with documents that are off, and with documents that fit
// nothing, forty turns are the same, word for word and token for token.
func TestFortyTurnsWithoutDocuments(t *testing.T) {
	var talk []string
	for i := range 40 {
		talk = append(talk, fmt.Sprintf("When was the circulation pump number %d replaced?", i))
	}
	play := func(w *world, before ...string) (string, []int) {
		w.context = 3000 // older turns leave it
		w.says(append(before, "/bye")...)
		w.ids = nil
		out := w.says(append(slices.Clone(talk), "/sources", "/bye")...)
		_, out, _ = strings.Cut(out, "you> When")
		out, _, _ = strings.Cut(out, "· Pending writes")
		return out, w.ids
	}
	off := reader(t, household)
	out, ids := play(off, "/documents off")
	none := reader(t, nil)
	none.library = false
	want, wantIDs := play(none)
	want = strings.ReplaceAll(want, notSearched, "The last answer does not come from your documents.")
	if out != want || !slices.Equal(ids, wantIDs) {
		t.Errorf("with documents off it goes otherwise than without any:\n%s\nand\n%s", out, want)
	}
	if strings.Contains(out, "[1]") || strings.Contains(out, "From your documents") {
		t.Errorf("documents are off, and yet:\n%s", out)
	}
	other := reader(t, map[string]string{"moon.txt": "Craters."})
	out, ids = play(other)
	if out != want || !slices.Equal(ids, wantIDs) {
		t.Errorf("with a document that fits nothing it goes otherwise than without any:\n%s\nand\n%s", out, want)
	}
}

// In forty turns of which each second one is about a document, passages are in the prompt of that one alone, each answer
// cites what it has, and nothing else is cited. All of it is the same after a restart.
func TestFortyTurnsWithDocuments(t *testing.T) {
	w := reader(t, household)
	var talk []string
	for i := range 20 {
		talk = append(talk, "When was the circulation pump of the boiler replaced?", fmt.Sprintf("ignore me, message %d", i))
	}
	most := 0
	w.prompt = func(text string) { most = max(most, strings.Count(text, "Passages from my documents")) }
	out := w.says(append(slices.Clone(talk), "/bye")...)
	if n := strings.Count(out, "alpha> \n· Thought for 1 s: /thoughts shows it.\nThe circulation pump was replaced under warranty on 2024-11-08. [1] That is all.\n· From your documents: [1] boiler.md, Boiler › Service"); n != 20 {
		t.Errorf("%d answers of 20 cite their passage:\n%s", n, out)
	}
	if n := strings.Count(out, "[1]"); n != 2*20 {
		t.Errorf("%d marks", n)
	}
	if most != 1 {
		t.Errorf("passages of %d turns were in one prompt", most)
	}
	if strings.Contains(string(w.medium.data), "Passages from my documents") {
		t.Error("the journal has the passages in a message")
	}
	again := w.says("/history", "/open 1", "/retry", "/sources", "/bye")
	if n := strings.Count(again, "| alpha> The circulation pump was replaced under warranty on 2024-11-08. [1] That is all."); n < 20 {
		t.Errorf("after a restart %d answers cite their passage:\n%s", n, again)
	}
}

// anything-llm#826, #2027, open-webui#12655: an unrelated source is cited, or always the first one; private-mind#246: one is cited
// by an answer that found nothing. What a model puts in
// brackets itself counts for nothing.
func TestCitesOnlyWhatWasUsed(t *testing.T) {
	g := ground{question: "What does XC23 cost, and what do I bring to the hut?", passages: []knowledge.Passage{
		{Document: "boiler.md", Text: "The boiler is a Vaillant."},
		{Document: "trip.txt", Locator: "line 1", Text: "Bring to the hut:\n- a head torch\n- a water bottle"},
		{Document: "parts.csv", Text: "Article: XC23; Price: 4.50"},
	}}
	for _, x := range []struct{ answer, shown, saved, sources string }{
		{"XC23 costs 4.50. [1] Nice weather today! [2]", "XC23 costs 4.50. [1] Nice weather today!", "XC23 costs 4.50. Nice weather today!", "parts.csv"},
		{"Bring a head torch and a water bottle [7]. XC23 has the price 4.50.", "Bring a head torch and a water bottle. [1] XC23 has the price 4.50. [2]",
			"Bring a head torch and a water bottle. XC23 has the price 4.50.", "trip.txt parts.csv"},
		{"I do not know.[3]\n", "I do not know.\n", "I do not know.\n", ""},
		{"XC23 costs 9.99. [3]", "XC23 costs 9.99.", "XC23 costs 9.99.", ""},
		{"Not found in your documents. [1]", "Not found in your documents.", "Not found in your documents.", ""},
		{"So: `a[1]`\n```\nXC23 = 4.50 [2]\nb[12]\n```\nXC23: 4.50", "So: `a[1]`\n```\nXC23 = 4.50 [2]\nb[12]\n```\nXC23: 4.50 [1]",
			"So: `a[1]`\n```\nXC23 = 4.50 [2]\nb[12]\n```\nXC23: 4.50", "parts.csv"},
		{"[a link](x) and [12 apples]", "[a link](x) and [12 apples]", "[a link](x) and [12 apples]", ""},
	} {
		for step := 1; step < 8; step++ { // whatever the pieces are
			c := citer{ground: g}
			var shown, saved strings.Builder
			for i := 0; i < len(x.answer); i += step {
				a, b := c.add(x.answer[i:min(i+step, len(x.answer))])
				shown.WriteString(a)
				saved.WriteString(b)
			}
			a, b := c.end()
			shown.WriteString(a)
			saved.WriteString(b)
			var names []string
			for _, p := range c.sources() {
				names = append(names, p.Document)
			}
			if shown.String() != x.shown || saved.String() != x.saved || strings.Join(names, " ") != x.sources {
				t.Errorf("in pieces of %d: %q, %q, %v; want %q, %q, %q", step, shown.String(), saved.String(), names, x.shown, x.saved, x.sources)
			}
			if got := cited(saved.String(), sourcesOf(encode(c.list))); got != shown.String() {
				t.Errorf("shown again: %q, before %q", got, shown.String())
			}
		}
	}
}

func FuzzCiter(f *testing.F) {
	f.Add("XC23 costs 4.50. [1] It is red.", 3)
	f.Add("```\na[1]\n``` `b [2]", 1)
	f.Fuzz(func(t *testing.T, answer string, step int) {
		c := citer{ground: ground{question: "What?", passages: []knowledge.Passage{{Document: "parts.csv", Text: "Article: XC23; Price: 4.50"}}}}
		var shown, saved string
		for i, n := 0, max(1, step%9); i < len(answer); i += n {
			a, b := c.add(answer[i:min(i+n, len(answer))])
			shown, saved = shown+a, saved+b
		}
		a, b := c.end()
		shown, saved = shown+a, saved+b
		if saved != c.text || cited(saved, c.list) != shown {
			t.Fatalf("%q is shown as %q and saved as %q", answer, shown, saved)
		}
		if len(ownMark.FindAllString(answer, -1)) == 0 && saved != answer {
			t.Fatalf("%q is saved as %q", answer, saved)
		}
	})
}

// A model without room for passages is given none: they are listed for the person. What it knows by rule it answers.
func TestSmallModel(t *testing.T) {
	w := reader(t, household)
	w.context = 400
	out := w.says("When was the circulation pump of the boiler replaced?", "/open 1", "hello", "Which documents do I have?", "/use boiler", "/bye")
	for _, want := range []string{
		"alpha> You said \"When was the circulation pump of the boiler replaced?\". I see 1.\n",
		"· In your documents, which this small model has no room for (/open N shows more):\n· <[1]> boiler.md, Boiler › Service",
		"<circulation> <pump> was <replaced>", "alpha> You said \"hello\". I see 2.\n· 26 tokens", "alpha> You have 3 documents:", "This model has no room",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// Documents behind a passphrase that was not given are left alone: nothing is said of reading them that is not asked for.
func TestLockedDocuments(t *testing.T) {
	w := reader(t, household)
	w.config = func(c *Config) context.Context {
		c.Drive.NoStore = fmt.Errorf("the journal: %w", drive.ErrLocked)
		c.Drive.Store, c.Drive.Retriever = nil, struct{ Retriever }{} // whoever uses it is told by a panic
		return context.Background()
	}
	out := w.says("/documents", "/documents scan", "/search bees", "/sources", "hello", "/bye")
	if n := strings.Count(out, lockedAway); n != 4 || strings.Contains(out, "not all read") || !strings.Contains(out, "Nothing will be saved in this session: ") {
		t.Errorf("told %d times:\n%s", n, out)
	}
}

// What is read while the person does nothing is there when they ask, and is not read again at the next start.
func TestReadsInTheBackground(t *testing.T) {
	w := reader(t, household)
	bars := &barLog{}
	w.config = func(c *Config) context.Context { c.Display = bars; return context.Background() }
	w.think = documentsAfter + time.Second/2
	w.says("/bye")
	if w.index == nil {
		t.Fatal("no index was saved")
	}
	k := w.keeper()
	n := 0
	if err := k.Keep(t.Context(), func(knowledge.Change) { n++ }); err != nil || n > 0 {
		t.Errorf("%d documents were read again, %v", n, err)
	}
}

// barLog is a display that is no screen.
type barLog struct{ noDisplay }

func (*barLog) SetBars(change func(*console.Bars)) { change(&console.Bars{}) }

func TestAskedOfDocuments(t *testing.T) {
	for question, want := range map[string]string{
		"What do my documents say about the moon?":             " the moon?",
		"According to my notes, when is the service?":          ", when is the service?",
		"Was steht in meinen Unterlagen über Bienen?":          "Was steht über Bienen?",
		"Que trouve-t-on dans mes documents sur le cidre ?":    "Que trouve-t-on sur le cidre ?",
		"我的文件里有XC23吗？":                                         "有XC23吗？",
		"How many documents are there?":                        "How many documents are there?",
		"Write a letter from my notes on the garden":           "Write a letter on the garden",
		"My documents are wet. What can I do to dry the paper": "My documents are wet. What can I do to dry the paper",
	} {
		if got := inDocuments.ReplaceAllString(question, ""); got != want {
			t.Errorf("%q is searched as %q, want %q", question, got, want)
		}
	}
}

// On the 60 questions of package knowledge: what fits has the right passage, and what a small model's answer is followed by
// surely fits. Small talk gets nothing.
func TestFittingQuestions(t *testing.T) {
	a, err := txtar.ParseFile("../knowledge/testdata/library.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	w := reader(t, files)
	s := &shelf{ui: ui{w}, display: noDisplay{}, journal: &journal{}, retriever: w.keeper()}
	b, err := os.ReadFile("../knowledge/testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, whole := s.library(t.Context())
	if !whole {
		if err := s.retriever.Read(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	right, listed, wrong := 0, 0, 0
	for line := range strings.Lines(string(b)) {
		f := strings.Split(line, " | ")
		if line[0] == '#' || len(f) < 3 {
			continue
		}
		fit := s.fitting(t.Context(), l, f[1], "")
		is := func(p knowledge.Passage) bool { return p.Document == f[0] }
		switch {
		case f[0] == "-" && len(fit) > 0 && sure(fit[0]):
			wrong++
			t.Logf("%s: surely %s", f[1], where(fit[0]))
		case f[0] == "-":
		case slices.ContainsFunc(fit, is):
			right++
			if sure(fit[0]) && is(fit[0]) {
				listed++
			}
		default:
			t.Logf("%s: not among %d passages", f[1], len(fit))
		}
	}
	t.Logf("of 45 questions %d get the right document, %d as what surely fits; of 15 that none answers %d get one that surely fits", right, listed, wrong)
	if right < 42 || listed < 34 || wrong > 1 {
		t.Error("that is less than it was")
	}
	for _, small := range []string{"Hello", "How are you?", "Thanks!", "What is the capital of France?", "Tell me a story about a dog in the garden"} {
		if fit := s.fitting(t.Context(), l, small, ""); len(fit) > 0 {
			t.Errorf("%q gets %s", small, where(fit[0]))
		}
	}
}

// An excerpt is one line, and its marks stand where the words went.
func TestOneLine(t *testing.T) {
	const text = "Lease\n\nThe flat  is\nlet.\n\nIt ends.\n"
	at := func(word string) [2]int {
		i := strings.Index(text, word)
		return [2]int{i, i + len(word)}
	}
	got, marks := oneLine(text, 0, len(text), [][2]int{at("Lease"), at("is\nlet"), at("ends")})
	if want := "Lease · The flat is let. It ends. "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var words []string
	for _, m := range marks {
		words = append(words, got[m[0]:m[1]])
	}
	if want := []string{"Lease", "is let", "ends"}; !slices.Equal(words, want) {
		t.Errorf("marks %q, want %q", words, want)
	}
	if got, marks := oneLine(text, 7, 15, [][2]int{at("Lease"), at("flat")}); got != "The flat" || len(marks) != 1 || got[marks[0][0]:marks[0][1]] != "flat" {
		t.Errorf("%q, %v", got, marks)
	}
}
