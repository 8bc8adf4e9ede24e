package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lines reads a file of testdata without blank lines and comments.
func lines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.SplitSeq(string(b), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// guideQuestions are all questions that the guide model is trained and examined with,
// each with the file it is from. Topics are filled in.
func guideQuestions(t *testing.T) map[string][]string {
	t.Helper()
	names, err := filepath.Glob("../../tools/guide/*/*.txt")
	if err != nil || len(names) < 20 {
		t.Fatalf("the guide's questions: %d files, %v", len(names), err)
	}
	fill := strings.NewReplacer("{name}", "Mirtal", "{n}", "17", "{noise}", "dfgh")
	asked := map[string][]string{}
	total := 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var topics []string
		for line := range strings.SplitSeq(string(b), "\n") {
			line = strings.TrimSpace(line)
			if line == "" {
				topics = nil
			}
			if x, ok := strings.CutPrefix(line, "X:"); ok {
				topics = append(topics, strings.Split(x, ",")...)
			}
			q, ok := strings.CutPrefix(line, "Q:")
			if !ok {
				continue
			}
			file := filepath.Base(name)
			if !strings.Contains(q, "{x}") {
				asked[file] = append(asked[file], strings.TrimSpace(fill.Replace(q)))
			}
			for _, x := range topics {
				asked[file] = append(asked[file], strings.TrimSpace(fill.Replace(strings.ReplaceAll(q, "{x}", strings.TrimSpace(x)))))
			}
		}
		total += len(asked[filepath.Base(name)])
	}
	if total < 30000 {
		t.Fatalf("only %d questions", total)
	}
	return asked
}

// shared messages are the same in English.
var shared = map[string]bool{"suicide": true, "overdose": true}

// What an examiner wrote who had seen neither phrases nor lists is found; nothing is
// trained on it.
func TestExamination(t *testing.T) {
	for _, name := range []string{"en", "de", "es", "fr"} {
		for _, s := range lines(t, "examination-"+name+".txt") {
			if _, k := distress(s, identify(s)); k == "" {
				t.Errorf("%s: missed: %s", name, s)
			}
		}
	}
}

// Every message that tells of distress is answered as such, in its language. Those of
// the rounds come from others, who had not seen the phrases; each round was measured
// before the phrases were mended for it.
func TestDistress(t *testing.T) {
	for _, name := range []string{"en", "de", "es", "fr"} {
		list := lines(t, "distress-"+name+".txt")
		if len(list) < 50 {
			t.Errorf("%s: only %d messages", name, len(list))
		}
		seen := map[kind]int{}
		for _, s := range list {
			l, k := distress(s, identify(s))
			if k == "" {
				t.Errorf("%s: missed: %s", name, s)
				continue
			}
			seen[k]++
			answer, ok := Answer(s)
			if !ok || answer != l.answers[k] {
				t.Errorf("%q is answered by %q", s, answer)
			}
			if l.name != name && !shared[s] {
				t.Errorf("%q is answered in %s, not in %s", s, l.name, name)
			}
		}
		t.Log(name, len(list), seen)
		for _, k := range kinds {
			if seen[k] == 0 {
				t.Errorf("%s: nothing was taken for %s", name, k)
			}
		}
	}
}

// Of a long message both ends are read.
func TestLong(t *testing.T) {
	filler := strings.Repeat("the file is on the drive\n", 4000)
	for _, s := range []string{"i want to die\n" + filler, filler + "i want to die"} {
		if _, ok := Answer(s); !ok {
			t.Error("missed beside a long text")
		}
	}
	if answer, ok := Answer(filler); ok {
		t.Errorf("a long text is answered by %q", answer)
	}
}

// What has the words of distress without telling of any is left to the model, and
// nearly all that is said any day.
func TestHarmless(t *testing.T) {
	for _, s := range lines(t, "harmless.txt") {
		if _, k := distress(s, identify(s)); k != "" {
			t.Errorf("taken for %s: %s", k, s)
		}
	}
	for _, name := range []string{"en", "de", "es", "fr"} {
		list := lines(t, "everyday-"+name+".txt")
		wrong := 0
		for _, s := range list {
			if _, k := distress(s, identify(s)); k != "" {
				t.Logf("%s: taken for %s: %s", name, k, s)
				wrong++
			}
		}
		if wrong*50 > len(list) {
			t.Errorf("%s: %d of %d everyday sentences are taken for distress", name, wrong, len(list))
		}
	}
}

// Of all questions that the guide is trained and examined with, only those in told.txt
// tell of distress, and only those in talk/languages.txt and foreign.txt are in another
// language.
func TestGuideQuestions(t *testing.T) {
	told := map[string]bool{}
	for _, s := range lines(t, "told.txt") {
		told[s] = false
	}
	foreign := map[string]bool{}
	for _, s := range lines(t, "foreign.txt") {
		foreign[s] = true
	}
	for file, questions := range guideQuestions(t) {
		for _, q := range questions {
			_, listed := told[q]
			in := identify(q)
			l, k := distress(q, in)
			if k != "" && !listed {
				t.Errorf("%s: taken for %s (%s): %s", file, k, l.name, q)
			}
			if listed {
				told[q] = k != ""
			}
			if in != "" && file != "languages.txt" && !foreign[q] {
				t.Errorf("%s: taken for %s: %s", file, in, q)
			}
		}
	}
	for q, found := range told {
		if !found {
			t.Errorf("missed: %s", q)
		}
	}
}

// Questions in other languages are known.
func TestLanguages(t *testing.T) {
	for _, c := range []struct {
		name         string
		least, share int
	}{{"de", 60, 95}, {"es", 60, 95}, {"fr", 60, 95}, {"other", 60, 90}} {
		list := lines(t, "questions-"+c.name+".txt")
		known := 0
		for _, line := range list {
			want, q := c.name, line
			if c.name == "other" {
				want, q, _ = strings.Cut(line, ": ")
			}
			got := identify(q)
			if got == want {
				known++
			} else {
				t.Logf("%s: taken for %q: %s", want, got, q)
			}
			if answer, ok := Answer(q); got != "" && (!ok || answer == "") {
				t.Errorf("%q gets no answer", q)
			}
		}
		if len(list) < c.least || known*100 < len(list)*c.share {
			t.Errorf("%s: %d of %d known", c.name, known, len(list))
		}
		t.Logf("%s: %d of %d known", c.name, known, len(list))
	}
}

// Numbers that answers may name, and whose they are.
var numbers = map[string]string{
	"112": "Europe, most mobile networks", "911": "US, Canada and others", "999": "UK", "15": "France, ambulance", "17": "France, police", "18": "France, fire brigade",
	"988": "US, Canada", "116 123": "Samaritans in the UK and Ireland, TelefonSeelsorge in Germany", "0800 111 0 111": "TelefonSeelsorge", "0800 111 0 222": "TelefonSeelsorge",
	"142": "Austria", "143": "Switzerland", "3114": "France", "024": "Spain", "116 016": "Germany, violence against women", "3919": "France, violence against women",
	"119": "France, children in danger", "016": "Spain, violence against women", "1-800-799-7233": "US, violence at home", "1-800-222-1222": "US, poison control",
	"113": "Norway, ambulance", "190": "Brazil, police", "192": "Brazil, ambulance",
}

var digits = regexp.MustCompile(`[0-9](?:[0-9 -]*[0-9])?`)

// Each answer names whom to call, no number but those, and says what the
// guide is.
func TestAnswers(t *testing.T) {
	is := map[string]string{"en": "small program", "de": "kleines Programm", "es": "pequeño programa", "fr": "petit programme"}
	for _, l := range languages() {
		if l.sentence == "" || l.name != "en" && l.name != "de" && l.name != "es" && l.name != "fr" && !digits.MatchString(l.sentence) {
			t.Errorf("%s: the sentence lacks, or names no emergency number: %q", l.name, l.sentence)
		}
		if !strings.Contains(l.sentence, "/bye") || !strings.Contains(l.sentence, "models") || !strings.Contains(l.sentence, "AlphaOS") {
			t.Errorf("%s: the sentence does not tell what to do: %q", l.name, l.sentence)
		}
		said := []string{l.sentence}
		for _, k := range append([]kind{unclear}, kinds...) {
			if l.distress == nil {
				break
			}
			a := l.answers[k]
			said = append(said, a)
			if !strings.Contains(a, "112") || !strings.Contains(a, is[l.name]) {
				t.Errorf("%s, %s: no number or not what speaks: %q", l.name, k, a)
			}
		}
		for _, s := range said {
			for _, n := range digits.FindAllString(s, -1) {
				if numbers[n] == "" && n != "2" {
					t.Errorf("%s: %q is not among the numbers above", l.name, n)
				}
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"i want to die", "ich möchte nicht mehr leben", "j'ai l'", "'''", "¿qué?", "Ж", "死", "\xff\xfe", "aaaaaa", strings.Repeat("qu'", 50)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		answer, ok := Answer(s)
		if ok != (answer != "") {
			t.Errorf("%q: %q, %v", s, answer, ok)
		}
	})
}

// Who is bleeding or poisoned must not be told of suicide, nor the other way
// round: of the messages of these files, each one begins with its kind.
func TestKinds(t *testing.T) {
	for _, name := range []string{"en", "de", "es", "fr"} {
		list := lines(t, "kinds-"+name+".txt")
		if len(list) < 28 {
			t.Errorf("%s: only %d messages", name, len(list))
		}
		for _, line := range list {
			want, s, _ := strings.Cut(line, ": ")
			if l, k := distress(s, identify(s)); string(k) != want || l.name != name {
				t.Errorf("taken for %q, not for %q: %s", k, want, s)
			}
		}
	}
}
