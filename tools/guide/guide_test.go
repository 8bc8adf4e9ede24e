package guide

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
)

var built = sync.OnceValues(func() ([2][]Document, error) {
	train, valid, err := Build(Options{Seed: 1})
	return [2][]Document{train, valid}, err
})

func build(t *testing.T) (train, valid []Document) {
	t.Helper()
	docs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return docs[0], docs[1]
}

func TestDeterministic(t *testing.T) {
	write := func(train, valid []Document) string {
		var b bytes.Buffer
		if err := errors.Join(Write(&b, train), Write(&b, valid)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := write(build(t))
	for seed := range uint64(2) {
		train, valid, err := Build(Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if same := write(train, valid) == want; same != (seed == 1) {
			t.Errorf("seeds 1 and %d gave the same text: %v", seed, same)
		}
	}
}

// Each document is a dialogue of whole exchanges or a text, and says what it is about.
func TestDocuments(t *testing.T) {
	train, valid := build(t)
	if len(valid) < 100 {
		t.Errorf("only %d documents for validation", len(valid))
	}
	for _, d := range append(train[:len(train):len(train)], valid...) {
		if (d.Text == "") == (d.Messages == nil) {
			t.Fatalf("neither a dialogue nor a text: %+v", d)
		}
		if len(d.Messages)%2 != 0 || len(d.Messages) > 8 {
			t.Fatalf("%d messages: %+v", len(d.Messages), d)
		}
		all := d.Text
		for i, m := range d.Messages {
			if want := [2]string{"user", "assistant"}[i%2]; m.Role != want || strings.TrimSpace(m.Content) != m.Content || m.Content == "" {
				t.Fatalf("message %d: %+v", i, d)
			}
			all += m.Content
		}
		if i := strings.IndexFunc(all, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Fatalf("contains %q: %+v", all[i:i+1], d)
		}
		if strings.ContainsAny(all, "{}") && !strings.Contains(all, "{\"") {
			t.Errorf("a placeholder is left: %q", all)
		}
	}
}

// Kinds have about the part of the text that they should.
func TestBalance(t *testing.T) {
	train, _ := build(t)
	var size [kinds]int
	total := 0
	for _, d := range train {
		size[d.Kind] += d.Bytes()
		total += d.Bytes()
		if n := len(d.Messages); n != 0 && n != 2 {
			t.Fatalf("a dialogue has %d messages; the model is shown the last question alone: %+v", n, d)
		}
	}
	for k, n := range size {
		part := float64(n) / float64(total)
		t.Logf("%-8v %4.1f %%", Kind(k), 100*part)
		if part < 0.75*share[k] || part > 1.25*share[k] {
			t.Errorf("%v is %.3f of the text, not about %.2f", Kind(k), part, share[k])
		}
	}
	t.Log(Summary(train))
	if total < DefaultSize*4/5 || total > DefaultSize*6/5 {
		t.Errorf("the text has %d bytes, far from %d", total, DefaultSize)
	}
}

// Each question as written occurs several times, in one form or another, and is never
// left out because another answer has taken it.
func TestCoverage(t *testing.T) {
	train, _ := build(t)
	facts, err := Facts()
	if err != nil {
		t.Fatal(err)
	}
	asked, answered := map[string]int{}, map[string]int{}
	for _, d := range train {
		for i := 0; i < len(d.Messages); i += 2 {
			asked[plainWords(d.Messages[i].Content)]++
			answered[d.Messages[i+1].Content]++
		}
	}
	for _, f := range facts {
		n := 0
		for _, a := range f.Answers {
			n += answered[a]
			if m := yesNo.FindString(a); m != "" {
				n += answered[upperFirst(a[len(m):])]
			}
		}
		if n < minAsked*3/4 || n < minRounds*len(f.Questions)*3/4 {
			t.Errorf("%s: the answer occurs %d times for %d questions", f.Where, n, len(f.Questions))
		}
		for _, q := range f.Questions {
			if asked[plainWords(q)] == 0 {
				t.Errorf("%s: %q is never asked", f.Where, q)
			}
		}
	}
}

// written returns the facts and the small talk.
func written(t testing.TB) (facts, talk []Fact) {
	t.Helper()
	facts, err := Facts()
	if err != nil {
		t.Fatal(err)
	}
	if talk, err = SmallTalk(); err != nil {
		t.Fatal(err)
	}
	return facts, talk
}

// One question has one answer: a model cannot learn two.
func TestOneAnswer(t *testing.T) {
	train, _ := build(t)
	facts, talk := written(t)
	usual := map[string]string{}
	for _, f := range append(facts, talk...) {
		for _, a := range f.Answers {
			usual[a] = f.Answers[0]
			usual[upperFirst(yesNo.ReplaceAllString(a, ""))] = f.Answers[0]
		}
	}
	for _, list := range refusals {
		for _, a := range list {
			usual[a] = list[0]
		}
	}
	have := map[string]string{}
	for _, d := range train {
		for i := 0; i < len(d.Messages); i += 2 {
			q, a := plainWords(d.Messages[i].Content), usual[d.Messages[i+1].Content]
			if a == "" {
				t.Fatalf("an answer of nobody: %q", d.Messages[i+1].Content)
			}
			if other, ok := have[q]; ok && other != a {
				t.Errorf("%q is answered\n\t%q and\n\t%q", q, other, a)
			}
			have[q] = a
		}
	}
}

// Facts and small talk are written as they must be.
func TestFacts(t *testing.T) {
	facts, talk := written(t)
	if err := checkFacts(append(facts, talk...)); err != nil {
		t.Error(err)
	}
	if len(facts) < 100 || len(talk) < 20 {
		t.Errorf("only %d facts and %d answers of small talk", len(facts), len(talk))
	}
}

// checkFacts finds what it looks for.
func TestCheckFacts(t *testing.T) {
	for want, f := range map[string][]Fact{
		"answered differently": {{"a", []string{"What is it?"}, []string{"This."}}, {"b", []string{"what is it"}, []string{"That."}}},
		"never reaches":        {{"a", []string{"/bye"}, []string{"It ends."}}},
		"ASCII":                {{"a", []string{"Why?"}, []string{"A naïve one."}}},
		"61 words":             {{"a", []string{"Why?"}, []string{strings.Repeat("so ", 60) + "on."}}},
		"like a sentence":      {{"a", []string{"Why?"}, []string{"because"}}},
	} {
		if err := checkFacts(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %q", err, want)
		}
	}
	same := []Fact{{"a", []string{"What is it?"}, []string{"This."}}, {"b", []string{"what is that"}, []string{"That."}}}
	if err := checkFacts(same); err != nil {
		t.Error(err)
	}
}

func TestParseBlocks(t *testing.T) {
	blocks, err := parseBlocks("f", "# c\nQ: a: b\nA: c\n\n\nQ:d\n# e\nA: f\n", "Q", "A")
	if err != nil || len(blocks) != 2 || blocks[0].where != "f:2" || blocks[1].where != "f:6" ||
		blocks[0].values("Q")[0] != "a: b" || blocks[1].values("A")[0] != "f" {
		t.Errorf("%+v, %v", blocks, err)
	}
	for _, text := range []string{"Q", "B: x", "Q:", "what is it?", "q: x"} {
		if _, err := parseBlocks("f", text, "Q", "A"); err == nil || !strings.Contains(err.Error(), "f:1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// All of refuse/ can be read, and its topics are many.
func TestSubjects(t *testing.T) {
	list, err := subjects(files)
	if err != nil {
		t.Fatal(err)
	}
	topics, templates := map[string]bool{}, 0
	used := map[string]bool{}
	for _, s := range list {
		for _, x := range s.topics {
			if x == "" {
				t.Errorf("%s: an empty topic", s.where)
			}
			topics[x] = true
		}
		templates += len(s.templates)
		used[s.kind] = true
	}
	if len(topics) < 500 || templates < 300 {
		t.Errorf("%d topics and %d templates", len(topics), templates)
	}
	for kind, answers := range refusals {
		if !used[kind] {
			t.Errorf("no question has the refusal %q", kind)
		}
		for _, a := range answers {
			if !strings.Contains(a, "small guide model") {
				t.Errorf("%q does not say who is talking", a)
			}
		}
	}
}

// Variations keep commands, file names and the meaning of words around them.
func TestVary(t *testing.T) {
	v := varier{rand.New(rand.NewPCG(1, 2))}
	for range 3000 {
		for q, want := range map[string]string{
			"What does /set nohistory do?":  "/set nohistory",
			"how do i use /load NAME":       "/load name",
			"Where is /data/config.json":    "/data/config.json",
			"What is BOOTX64.EFI?":          "bootx64.efi",
			"What does --journal do?":       "--journal",
			"What does \"(cut short)\" say": "(cut short)",
		} {
			if got := v.question(q, About); !strings.Contains(strings.ToLower(got), want) {
				t.Fatalf("%q became %q", q, got)
			}
		}
	}
}

func TestIndirect(t *testing.T) {
	v := varier{rand.New(rand.NewPCG(1, 2))}
	for q, want := range map[string]string{
		"How do I load a model":        "how i can load a model",
		"what is the journal":          "what the journal is",
		"Where are my conversations":   "where my conversations are",
		"What does /clear do":          "what /clear does",
		"Can I use two models":         "if i can use two models",
		"what happens in a power cut":  "what happens in a power cut",
		"What is written to the drive": "what is written to the drive",
	} {
		if got := strings.ToLower(v.indirect(q)); !strings.HasSuffix(got, want) {
			t.Errorf("%q became %q, not ... %q", q, got, want)
		}
	}
}

func TestNormalize(t *testing.T) {
	for q, want := range map[string]string{
		"What is AlphaOS?": "what is alphaos",
		"Hi, can you tell me what AlphaOS is, please?": "what alphaos is",
		"i'm new to this, how do i use /load, thanks":  "how do i use /load",
		"???": "???",
	} {
		if got := Normalize(q); got != want {
			t.Errorf("%q became %q, not %q", q, got, want)
		}
	}
}

func TestTypo(t *testing.T) {
	v := varier{rand.New(rand.NewPCG(1, 2))}
	changed := 0
	for range 500 {
		got := v.typo("how do i load /models/x.gguf again")
		if !strings.HasPrefix(got, "how do i ") || !strings.Contains(got, " /models/x.gguf ") {
			t.Fatal(got)
		}
		if got != "how do i load /models/x.gguf again" {
			changed++
		}
	}
	if changed < 250 {
		t.Errorf("only %d slips", changed)
	}
}

// Stories are whole sentences about the people they begin with.
func TestStories(t *testing.T) {
	s := newStoryteller(rand.New(rand.NewPCG(1, 2)))
	seen := map[string]bool{}
	bad := regexp.MustCompile(`  |\.\.|\b[Aa] [aeiou]|\b[Aa]n [^aeioh]|\b[Aa]n h[^o]|^[a-z]|[a-z]$| [.,]`)
	first := map[string]string{}
	for _, name := range girls {
		first[name] = " he "
	}
	for _, name := range boys {
		first[name] = " she "
	}
	for range 3000 {
		text := s.text()
		seen[text] = true
		if m := bad.FindString(text); m != "" {
			t.Fatalf("%q in %q", m, text)
		}
		// A story with one person has one pronoun.
		words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
		var wrong []string
		for name, pronoun := range first {
			if slices.Contains(words, name) {
				wrong = append(wrong, pronoun)
			}
		}
		if len(wrong) == 1 && strings.Contains(" "+strings.ToLower(text)+" ", wrong[0]) {
			t.Fatalf("the wrong pronoun%sin %q", wrong[0], text)
		}
	}
	if len(seen) < 2500 {
		t.Errorf("only %d different stories of 3000", len(seen))
	}
}

func TestMadeUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for range 1000 {
		name := madeUp(r)
		if !regexp.MustCompile(`^[A-Z][a-z]+( [A-Z][a-z]+)?$`).MatchString(name) {
			t.Fatalf("%q is no name", name)
		}
		seen[name] = true
	}
	if len(seen) < 900 {
		t.Errorf("only %d different names of 1000", len(seen))
	}
	if s := fill(r, "who is {name} of {name} in {n} {noise}", ""); strings.ContainsAny(s, "{}") {
		t.Error(s)
	}
}

// No question of the examination is asked in training: neither as it stands nor with
// an opening or an ending.
func TestHeldOut(t *testing.T) {
	train, valid := build(t)
	questions, err := HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	var count [kinds]int
	held := map[string]string{}
	for _, q := range questions {
		key := Normalize(q.Text)
		if other, ok := held[key]; ok {
			t.Errorf("%s: %q stands at %s too", q.Where, q.Text, other)
		}
		held[key] = q.Where
		count[q.Kind]++
	}
	if count[About] != 200 || count[Refusal] != 50 {
		t.Errorf("%d questions about AlphaOS, not 200, and %d others, not 50", count[About], count[Refusal])
	}
	for _, d := range append(train[:len(train):len(train)], valid...) {
		for i := 0; i < len(d.Messages); i += 2 {
			if where, ok := held[Normalize(d.Messages[i].Content)]; ok {
				t.Errorf("%s: %q is trained on", where, d.Messages[i].Content)
			}
		}
	}
	// Nor is it a question of a fact as written, which Build would leave out.
	facts, err := Facts()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		for _, q := range f.Questions {
			if where, ok := held[Normalize(q)]; ok {
				t.Errorf("%s: %q stands at %s", where, q, f.Where)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	q := Question{Require: [][]string{{"/clear", "new conversation"}, {"kept"}}, Forbid: []string{"deleted"}}
	for answer, ok := range map[string]bool{
		"/clear begins one; the old one is KEPT.":       true,
		"A new conversation; the old one is kept.":      true,
		"/clear begins one.":                            false,
		"The old one is kept.":                          false,
		"/clear: the old one is kept, nothing deleted.": false,
	} {
		if err := q.Judge(answer); (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// The keywords of the examination tell right from wrong: at least one answer of the corpus
// has them, few others do, and no refusal and no small talk passes for knowledge.
func TestKeywords(t *testing.T) {
	const most = 8 // answers about the same thing
	questions, err := HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	facts, talk := written(t)
	for _, q := range questions {
		var pass []string
		for _, f := range facts {
			for _, a := range f.Answers {
				if q.Judge(a) == nil {
					pass = append(pass, a)
				}
			}
		}
		for _, list := range refusals {
			if a := list[0]; (q.Judge(a) == nil) != (q.Kind == Refusal) {
				t.Errorf("%s: %q: the refusal %q is judged wrongly", q.Where, q.Text, a)
			}
		}
		if q.Kind == Refusal {
			if len(pass) > 0 {
				t.Errorf("%s: %q: %q passes for a refusal", q.Where, q.Text, pass)
			}
			continue
		}
		if len(pass) == 0 || len(pass) > most {
			t.Errorf("%s: %q: %d answers have its keywords:\n\t%s", q.Where, q.Text, len(pass), strings.Join(pass, "\n\t"))
		}
		for _, f := range talk {
			if q.Judge(f.Answers[0]) == nil && !strings.Contains(f.Answers[0], "only speak English") {
				t.Errorf("%s: %q: the small talk %q passes for knowledge", q.Where, q.Text, f.Answers[0])
			}
		}
	}
}

// The keys for the newcomer's questions pass some fixed answers, never many, and refusals
// only where the guide should refuse.
func TestNewcomers(t *testing.T) {
	const most = 10 // answers that help, such as all those that say who is talking
	questions, err := Newcomers()
	if err != nil {
		t.Fatal(err)
	}
	facts, ferr := Facts()
	talk, terr := SmallTalk()
	if err := errors.Join(ferr, terr); err != nil {
		t.Fatal(err)
	}
	if len(questions) != 100 {
		t.Errorf("%d questions, not 100", len(questions))
	}
	for _, q := range questions {
		var pass []string
		for _, f := range append(facts[:len(facts):len(facts)], talk...) {
			for _, a := range f.Answers {
				if q.Judge(a) == nil && !slices.Contains(pass, a) {
					pass = append(pass, a)
				}
			}
		}
		if len(pass) == 0 || len(pass) > most {
			t.Errorf("%s: %q: %d answers have its keywords:\n\t%s", q.Where, q.Text, len(pass), strings.Join(pass, "\n\t"))
		}
		for kind, list := range refusals {
			for _, a := range list {
				ok := q.Judge(a) == nil
				if ok && q.Kind == About {
					t.Errorf("%s: %q: the refusal %q passes", q.Where, q.Text, a)
				}
				if !ok && kind == "general" && q.Kind == Refusal {
					t.Errorf("%s: %q: the refusal %q fails", q.Where, q.Text, a)
				}
			}
		}
	}
}
