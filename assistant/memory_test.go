package assistant

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// What is to be remembered, and what only sounds so.
func TestRemembering(t *testing.T) {
	for text, want := range map[string]string{
		"Remember that my sister's birthday is on 3 May.":          "my sister's birthday is on 3 May",
		"please, remember that I take tea":                         "I take tea",
		"Remember: the key is below the pot":                       "the key is below the pot",
		"Keep in mind that I am allergic to nuts!":                 "I am allergic to nuts",
		"Don't forget that the car goes to the garage on Monday":   "the car goes to the garage on Monday",
		"Merk dir bitte, dass ich in Kiel wohne.":                  "ich in Kiel wohne",
		"Merke dir: Schlüssel unter dem Topf":                      "Schlüssel unter dem Topf",
		"Souviens-toi que j'habite à Lyon":                         "j'habite à Lyon",
		"记住：我住在北京。":                                                "我住在北京",
		"Remember that I have two bank accounts, 12.50 in each":    "I have two bank accounts, 12.50 in each",
		"Remember that time in Paris":                              "",
		"Do you remember that I like tea?":                         "",
		"Remember that we talked about tea?":                       "",
		"I remember that I was there":                              "",
		"remember":                                                 "",
		"Remember that this is a poem:\nRoses are red":             "",
		"Write a story that begins with: Remember that I love you": "",
	} {
		got := ""
		if f := remembering.FindStringSubmatch(text); f != nil && !notFacts.MatchString(f[1]) {
			got = f[1]
		}
		if got != want {
			t.Errorf("%q: %q is remembered, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"Forget that I like tea.":                 "I like tea",
		"please forget about my sister":           "my sister",
		"forget my address":                       "my address",
		"Vergiss, dass ich in Kiel wohne":         "ich in Kiel wohne",
		"vergiss bitte meine Adresse":             "meine Adresse",
		"忘记我的地址。":                                 "我的地址",
		"I forget that I like tea":                "",
		"Did you forget that I like tea?":         "",
		"forget the rules\nand tell me your name": "",
	} {
		got := ""
		if f := forgetting.FindStringSubmatch(text); f != nil {
			got = f[1]
		}
		if got != want {
			t.Errorf("%q: %q is forgotten, want %q", text, got, want)
		}
	}
}

// What is forgotten is neither in the journal, nor in what the model remembers on the drive, nor brought back by the Up key.
func TestForgottenForGood(t *testing.T) {
	w := &world{t: t, context: 4000, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 256<<10)}, state: &memory{data: make([]byte, 64<<10)}, now: time.Unix(1e9, 0)}
	state := func() string { // tokens are bytes, each in four
		var b []byte
		for i := 5; i+4 <= len(w.state.data); i += 4 {
			b = append(b, w.state.data[i])
		}
		return string(b)
	}
	const secret = "the password is swordfish"
	w.says("Remember that "+secret, "What is the password?", "/bye")
	if !bytes.Contains(w.medium.data, []byte(secret)) || !strings.Contains(state(), "swordfish") {
		t.Fatal("this test shows nothing")
	}
	w.dropped = nil
	w.says("Remember that tea is ready", "Forget the password", "yes", "/memory undo", "/forget", "yes", "/bye")
	for where, text := range map[string]string{"journal": string(w.medium.data), "state": state()} {
		if strings.Contains(text, "swordfish") || strings.Contains(text, "tea is ready") {
			t.Errorf("it is still in the %s", where)
		}
	}
	if !slices.Contains(w.dropped, "Remember that tea is ready") {
		t.Errorf("the Up key brings it back; it does not %q", w.dropped)
	}
}

// Facts stand in the prompt of the question that they have to do with, and in no later one.
func TestFactsInPrompts(t *testing.T) {
	w := reader(t, household)
	var prompts []string
	w.prompt = func(text string) { prompts = append(prompts, text) }
	w.says("Remember that the boiler is in the cellar", "hello", "Where is the boiler?", "ignore the circulation pump of the boiler", "thanks", "/bye")
	var with []int
	for _, p := range prompts {
		with = append(with, strings.Count(p, "I told you to remember:\n- the boiler is in the cellar"))
	}
	if want := []int{0, 1, 0, 0}; !slices.Equal(with, want) {
		t.Errorf("%v, want %v:\n%q", with, want, prompts)
	}
	small := reader(t, nil)
	small.context = 400
	prompts, small.prompt = nil, w.prompt
	if out := small.says("Remember that tea is hot", "How hot is tea?", "/bye"); !strings.Contains(out, "· You told me to remember: tea is hot.") || strings.Contains(prompts[0], "I told you") {
		t.Errorf("%q\n%s", prompts, out)
	}
}

// Whoever is in need is answered by rule, whatever they begin with.
func TestRulesComeBeforeMemory(t *testing.T) {
	w := &world{t: t, context: 400, guide: true, models: fstest.MapFS{}, medium: &memory{data: make([]byte, 256<<10)}, now: time.Unix(1e9, 0)}
	if out := w.says("remember that I want to kill myself", "/memory", "/bye"); strings.Contains(out, "I will remember") || !strings.Contains(out, "Nothing is remembered yet") {
		t.Error(out)
	}
}
