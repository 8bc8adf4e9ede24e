package assistant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/console"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/gguf"
	"alphaos/store"
)

// What people say to the computer does what they mean when it is all that they say; what they say to the
// model goes to the model.
func TestPhrases(t *testing.T) {
	for command, texts := range map[string][]string{
		"/bye": {"shut down", "Shut down", "shutdown", "SHUT DOWN!", "Please shut down.", "please, shut down", "Shut down, please.",
			"shut down now", "Goodbye", "goodbye.", "Good bye!", "Goodbye, Alpha!", "ok goodbye", "  please   shut   down  ", "Please shut down the computer.",
			"turn yourself off", "Bitte herunterfahren", "Auf Wiedersehen!", "Fahre den Computer herunter, bitte"},
		"/restart":       {"restart", "Restart!", "please restart", "Restart now, please", "reboot", "Neustart", "Bitte neu starten"},
		"/forget":        {"forget that", "Forget that, please.", "Please forget what I just said", "Vergiss das!", "Vergiss, was ich gesagt habe."},
		"/documents":     {"show my documents", "Please show me my documents", "Zeig mir meine Dokumente"},
		"/conversations": {"show my conversations", "list my conversations.", "Zeige meine Gespräche"},
		"/new":           {"new conversation", "Start a new conversation, please."},
		"": {
			"how do I restart nginx?", "restart nginx", "Restart the nginx service", "what does restart do", "should I restart?", "restart?", "don't restart",
			"tell me how to shut down a reactor", "shut down the reactor", "Please shut down the valve", "what does goodbye mean", "goodbye?", "goodbye yellow brick road",
			"\"Please shut down,\" said the robot", "\"goodbye\"", "translate: goodbye", "How do you say goodbye in German", "Goodbye was the last word she said.",
			"please", "please please", "now", "ok", "", "...", "don't shut down", "shut", "off", "turn off", "switch off", "bye now, she said", "I said goodbye",
			"goodbye\nand thanks", "Dear Ann,\ngoodbye", "shut down\n\n",
			"forget it", "forget that I like tea", "forget about it", "I forget that", "how do I forget that", "don't forget that",
			"show my documents about nginx", "show me documents", "what are my documents", "document",
			"start a new conversation about tea", "new", "conversation",
			"wie starte ich nginx neu?", "nginx neu starten", "herunterfahren ist schwer", "vergiss das nicht", "vergiss nicht das Brot", "wie sagt man auf wiedersehen",
			"Zeig mir meine Dokumente von gestern", "neustart?", "bitte", "/bye", "/restart",
		},
	} {
		for _, text := range texts {
			if got, ok := asCommand(text); got != command || ok != (command != "") {
				t.Errorf("%q means %q, want %q", text, got, command)
			}
		}
	}
	for command, list := range phrases {
		if !slices.Contains(commandNames, command) {
			t.Errorf("%s is no command", command)
		}
		for _, p := range list {
			if got, _ := asCommand("Please " + strings.ToUpper(p) + "!"); got != command {
				t.Errorf("%q means %q", p, got)
			}
		}
	}
}

func TestLeaves(t *testing.T) {
	for line, want := range map[string]string{
		"/bye": "off", " /QUIT ": "off", "/exit": "off", "please shut down": "off", "/restart": "restart",
		"": "", "/models": "", "/?": "", "restart": "restart", "restart nginx": "", "forget that": "", "/bye now": "off", "off": "", "/byebye": "",
	} {
		got := ""
		if out, ok := Leaves(line); ok {
			got = map[Outcome]string{Shutdown: "off", Restart: "restart"}[out]
		}
		if got != want {
			t.Errorf("Leaves(%q) is %q, want %q", line, got, want)
		}
	}
}

// Between turns only what is new is evaluated; a restored conversation is
// evaluated once.
func TestPrefixReuse(t *testing.T) {
	w := &world{t: t, context: 400, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 256<<10)}, now: time.Unix(1e9, 0)}
	w.lines = []string{"you> hello", "you> again"}
	w.boot()
	var prompts []int
	for _, n := range w.ids {
		if n > 1 {
			prompts = append(prompts, n)
		}
	}
	// BOS user hello end assistant; end user again end assistant.
	if want := []int{1 + 1 + 5 + 1 + 1, 1 + 1 + 5 + 1 + 1}; !slices.Equal(prompts, want) {
		t.Errorf("evaluated %v tokens, want %v", prompts, want)
	}
	w.ids, w.lines = nil, []string{"you> more"}
	before := len("hello") + len(`You said "hello". I see 1.`) + len("again") + len(`You said "again". I see 2.`)
	w.boot()
	if want := 1 + before + 4*2 + 1 + len("more") + 1 + 1; w.ids[0] != want {
		t.Errorf("evaluated %d tokens after the restart, want %d", w.ids[0], want)
	}
}

// While the person reads and types, a restored conversation is evaluated.
func TestWarm(t *testing.T) {
	w := &world{t: t, context: 400, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 256<<10)}, now: time.Unix(1e9, 0)}
	w.lines = []string{"you> hello"}
	w.boot()
	w.ids, w.lines, w.think = nil, []string{"you> more", "you> and more"}, 3*warmAfter
	w.boot()
	// All that was said before, end, assistant; then what is new.
	if len(w.ids) < 2 || w.ids[0] != 1+2+5+2+len(`You said "hello". I see 1.`)+1 || w.ids[1] != 1+len("more")+2 {
		t.Errorf("evaluated %v", w.ids)
	}
}

// After a shutdown the model goes on at once, whatever the length of the
// conversation, if what it remembered was saved; if that is missing, damaged or
// of something else, it reads again, and says the same.
func TestStateAcrossBoots(t *testing.T) {
	evening := []string{"you> one message that is long enough", "you> and another one", "you> /bye"}
	const next = "you> and on"
	fresh := func() *world {
		w := &world{t: t, context: 400, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
			medium: &memory{data: make([]byte, 256<<10)}, state: &memory{data: make([]byte, 4<<10)}, now: time.Unix(1e9, 0)}
		w.lines = slices.Clone(evening)
		w.boot()
		return w
	}
	// goOn boots again and returns how many tokens were evaluated for the first
	// message, and the answer.
	goOn := func(w *world) (int, string) {
		w.out.Reset()
		w.ids, w.lines = nil, []string{next}
		w.boot()
		_, answer, _ := strings.Cut(w.out.String(), Speaker)
		answer, _, _ = strings.Cut(answer, "·")
		return w.ids[0], answer
	}
	w := fresh()
	w.state = nil
	all, want := goOn(w)
	const new = 1 + 1 + len("and on") + 1 + 1 // end user … end assistant
	if n, answer := goOn(fresh()); n != new || answer != want {
		t.Errorf("%d tokens were evaluated instead of %d (of %d); %q, want %q", n, new, all, answer, want)
	}
	for name, c := range map[string]struct {
		change func(w *world)
		n      int // evaluated
	}{
		"damaged":              {func(w *world) { w.state.data[0] = 'x' }, all},
		"other tokens":         {func(w *world) { w.state.data[5+4*40] ^= 1 }, all - 40},
		"hardly any the same":  {func(w *world) { w.state.data[5+4*20] ^= 1 }, all},
		"drive fails":          {func(w *world) { w.state.failsReading = true }, all},
		"room for some tokens": {func(w *world) { w.state.data = w.state.data[:5+4*50] }, all},
		"empty":                {func(w *world) { w.state.data = nil }, all},
	} {
		w := fresh()
		c.change(w)
		if n, answer := goOn(w); n != c.n || answer != want {
			t.Errorf("%s: %d tokens were evaluated instead of %d; %q, want %q", name, n, c.n, answer, want)
		}
	}

	// The beginning of a conversation is kept when there is no room for all of it.
	small := &world{t: t, context: 400, models: w.models, medium: &memory{data: make([]byte, 256<<10)}, state: &memory{data: make([]byte, 5+4*50)}, now: time.Unix(1e9, 0)}
	small.lines = slices.Clone(evening)
	small.boot()
	if n, answer := goOn(small); n != all-50 || answer != want {
		t.Errorf("with room for 50 tokens %d of %d were evaluated; %q, want %q", n, all, answer, want)
	}

	// What was said in confidence does not come on the drive.
	w = fresh()
	before := slices.Clone(w.state.data)
	w.lines = []string{"you> /set nohistory", "you> a secret of mine, which is long enough", "you> /bye"}
	w.boot()
	if !slices.Equal(w.state.data, before) {
		t.Error("the state was saved after /set nohistory")
	}

	// What can't be saved is told, and keeps nobody from shutting down.
	w = fresh()
	w.state.fails = true
	w.lines = []string{next, "you> /bye"}
	w.boot()
	if s := w.out.String(); !strings.Contains(s, "· What the model remembers could not be saved") || !strings.HasSuffix(s, "All data saved. Goodbye.\n# ends: shutdown\n") {
		t.Errorf("a drive that takes no state: %s", s)
	}

	// The oldest turns have left the context, and stay out of it.
	w = &world{t: t, context: 220, models: w.models, medium: &memory{data: make([]byte, 256<<10)}, state: &memory{data: make([]byte, 4<<10)}, now: time.Unix(1e9, 0)}
	for _, what := range []string{"one", "two", "two", "one", "one"} {
		w.lines = append(w.lines, "you> message "+what)
	}
	w.lines = append(w.lines, "you> /bye")
	w.boot()
	if n, _ := goOn(w); n != new {
		t.Errorf("of a conversation that is longer than the context %d tokens were evaluated instead of %d", n, new)
	}
}

// A real model goes on from its state with the very tokens, and says what it
// says without one.
func TestRealState(t *testing.T) {
	models := needModels(t)
	var answers []string
	for _, state := range []store.Medium{nil, &memory{data: make([]byte, 1<<20)}} {
		m := &memory{data: make([]byte, 1<<20)}
		boot := func() Config {
			c := openStore(t, m)
			c.Models, c.Start.Model, c.Drive.State = models, "stories260K-Q8_0", state
			c.Start.Params = map[string]string{"temperature": "0", "num_predict": "40"}
			return c
		}
		p := sit(t, boot())
		p.says("Once upon a time")
		p.expect("num_predict reached")
		p.says("There was")
		p.expect("num_predict reached")
		p.says("/bye")
		p.expect("All data saved. Goodbye.")
		<-p.done

		p = sit(t, boot())
		p.says("/show info")
		p.expect("context         ")
		used := p.expect(" of 512")
		if n, _ := strconv.Atoi(strings.TrimSuffix(used, " of 512")); (n > 80) != (state != nil) {
			t.Errorf("after the start %d tokens are in the context, with a state: %v", n, state != nil)
		}
		p.says("And then")
		p.expect(Speaker)
		answers = append(answers, p.expect("40 tokens, "))
		p.says("/bye")
		<-p.done
	}
	if answers[0] != answers[1] {
		t.Errorf("without a state %q, with one %q", answers[0], answers[1])
	}
}

// The largest model of the same vocabulary that is much smaller, and fits beside
// the other, drafts for it.
func TestChooseDraft(t *testing.T) {
	file := func(size int, arch string, tokens ...string) *fstest.MapFile {
		b, err := gguf.Head([]gguf.KeyValue{{Key: "general.architecture", Value: arch}, {Key: "tokenizer.ggml.tokens", Value: tokens}},
			[]gguf.Tensor{{Name: "output_norm.weight", Type: gguf.F32, Dims: []uint64{8}}})
		if err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: append(b, make([]byte, size-len(b))...)}
	}
	models := engine.DirModels(fstest.MapFS{
		"models/large.gguf":  file(40000, "llama", "a", "b"),
		"models/half.gguf":   file(20000, "llama", "a", "b"),
		"models/small.gguf":  file(4000, "llama", "a", "b"),
		"models/tiny.gguf":   file(1000, "llama", "a", "b"),
		"models/other.gguf":  file(8000, "llama", "a", "c"),
		"models/embed.gguf":  file(8000, "bert", "a", "b"),
		"models/broken.gguf": {Data: make([]byte, 9000)},
	}, "models")
	l := &library{files: models, loader: &world{}}
	for _, c := range []struct {
		name   string
		budget int64
		want   string
	}{
		{"large.gguf", 0, "small.gguf"},
		{"large.gguf", 44000, "small.gguf"},
		{"large.gguf", 43999, "tiny.gguf"}, // no room for the other
		{"large.gguf", 40000, ""},
		{"large.gguf", 39000, ""},          // hardly streamed: memory is for itself
		{"large.gguf", 32000, "tiny.gguf"}, // a little more is streamed
		{"large.gguf", 8000, "small.gguf"},
		{"half.gguf", 0, "small.gguf"},
		{"small.gguf", 0, "tiny.gguf"},
		{"tiny.gguf", 0, ""},
		{"other.gguf", 0, ""},
	} {
		large, err := l.candidate(engine.ModelFile{Name: c.name})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.chooseDraft(large, c.budget); got.Name != c.want {
			t.Errorf("%s within %d bytes: %q drafts, want %q", c.name, c.budget, got.Name, c.want)
		}
		large.r.Close()
	}
}

// A draft whose loading is cancelled leaves the other model as it is.
func TestDraftIsCancelled(t *testing.T) {
	w := &world{t: t}
	models := engine.DirModels(fstest.MapFS{"models/small.gguf": {Data: make([]byte, 100)}}, "models")
	l := &library{files: models, ui: ui{w}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := &engine.Model{}
	l.loadDraft(ctx, m, engine.ModelFile{Name: "small.gguf", Size: 100})
	if l.drafts != "" || !strings.Contains(w.out.String(), "0 of 100 bytes]\n· Answers come without its drafts") {
		t.Errorf("%q drafts, said is %q", l.drafts, w.out.String())
	}
}

// A real model with another beside it that drafts says the same, at any
// temperature.
func TestRealDraft(t *testing.T) {
	needModels(t)
	fsys := fstest.MapFS{}
	read := func(name string) *fstest.MapFile {
		b, err := os.ReadFile(filepath.Join(data, "models", name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		return &fstest.MapFile{Data: b}
	}
	fsys["models/large.gguf"] = read("stories260K-F32")
	var answers [2]string
	for i := range answers {
		c := Config{Models: engine.DirModels(fsys, "models"), Start: Start{Model: "large", Params: map[string]string{"temperature": "0.9", "seed": "7", "num_predict": "120"}}}
		p := sit(t, c)
		p.says("/show info")
		p.expect("architecture")
		if got := strings.Contains(p.expect("context "), "drafts with     "); got != (i == 1) {
			t.Errorf("drafts: %v", got)
		}
		p.says("Once upon a time")
		p.expect(Speaker)
		answers[i] = p.expect("120 tokens, ")
		p.says("/bye")
		<-p.done
		fsys["models/little.gguf"] = read("stories260K-Q4_0")
	}
	if answers[0] != answers[1] {
		t.Errorf("alone %q, with drafts %q", answers[0], answers[1])
	}
}

func TestComplete(t *testing.T) {
	for line, want := range map[string]string{
		"/": "/", "/mo": "/models ", "/s": "/s", "/se": "/se", "/sea": "/search ", "/set p": "/set parameter ",
		"/set parameter t": "/set parameter t", "/set parameter te": "/set parameter temperature ",
		"/set parameter num_": "/set parameter num_", "/h": "/h", "/his": "/history ", "/show i": "/show info",
		"hello": "hello", "": "", "/xyz": "/xyz", "/set no": "/set nohistory",
	} {
		if got := Complete(line); got != want {
			t.Errorf("Complete(%q) = %q, want %q", line, got, want)
		}
	}
}

// person is a person at a serial terminal.
type person struct {
	t    *testing.T
	mu   sync.Mutex
	text []byte
	seen int
	more chan struct{}
	keys *io.PipeWriter
	done chan struct{}
	out  Outcome
	err  error
}

func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, b...)
	select {
	case p.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// expect waits for s and returns what came before it.
func (p *person) expect(s string) string {
	p.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		p.mu.Lock()
		i := bytes.Index(p.text[p.seen:], []byte(s))
		if i >= 0 {
			before := string(p.text[p.seen : p.seen+i])
			p.seen += i + len(s)
			p.mu.Unlock()
			return before
		}
		p.mu.Unlock()
		select {
		case <-p.more:
		case <-deadline:
			p.t.Fatalf("%q did not come; got\n%s", s, p.text)
		}
	}
}

func (p *person) says(line string) {
	p.t.Helper()
	p.expect(Prompt)
	if _, err := io.WriteString(p.keys, line+"\r"); err != nil {
		p.t.Fatal(err)
	}
}

// What is pasted is one message.
func TestPastedLetter(t *testing.T) {
	w := &world{t: t, context: 4000, now: time.Unix(1e9, 0)}
	c := openStore(t, &memory{data: make([]byte, 256<<10)})
	c.Models = engine.DirModels(fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")}, "/models")
	c.Now = func() time.Time { return w.tick(time.Second) }
	c.loader = w
	c.Start.Params = map[string]string{"temperature": "0"}
	p := sit(t, c)
	p.says("Dear Alpha,\r\rGoodbye\rAnn")
	p.expect("Dear Alpha,\r\n... \r\n... Goodbye\r\n... Ann\r\nalpha> ")
	p.says("/bye")
	p.expect("All data saved. Goodbye.")
	<-p.done
	if msgs, _ := c.Drive.Store.Tail(100); len(msgs) != 2 || msgs[0].Text != "Dear Alpha,\n\nGoodbye\nAnn" {
		t.Errorf("%+v are saved", msgs)
	}
}

// A line "Goodbye" among those that are typed while an answer runs does not switch off before all of them were
// read, unless the person wants that.
func TestGoodbyeAhead(t *testing.T) {
	w := &world{t: t, context: 4000, now: time.Unix(1e9, 0)}
	c := openStore(t, &memory{data: make([]byte, 256<<10)})
	c.Models = engine.DirModels(fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")}, "/models")
	c.Now = func() time.Time { return w.tick(time.Second) } // nothing comes quickly
	c.Start.Params = map[string]string{"temperature": "0", "repeat_penalty": "1"}
	c.loader = w
	p := sitWith(t, c, false)
	answer := func(line, question string) {
		p.expect(question)
		io.WriteString(p.keys, line+"\r")
	}
	p.says("count to 3\rDear Alpha,\rGoodbye\r\rAnn\rPS: yes\ryes")
	answer("no", "Shut down anyway? (yes or no) ")
	p.expect("alpha> You said \"Ann\".")
	p.expect("alpha> You said \"PS: yes\".")
	p.expect("alpha> You said \"yes\".")
	p.says("/restart\r/bye")
	answer("yes", "Shut down anyway? (yes or no) ")
	p.expect("All data saved. Goodbye.")
	<-p.done
	if p.out != Restart || p.err != nil {
		t.Error(p.out, p.err)
	}
	if msgs, _ := c.Drive.Store.Tail(100); len(msgs) != 10 {
		t.Errorf("%d messages are saved", len(msgs))
	}
}

// sit begins a session at a console on a serial line.
func sit(t *testing.T, c Config) *person { return sitWith(t, c, true) }

// sitWith is sit where, unless pasted is set, keys count as pressed one by one.
func sitWith(t *testing.T, c Config, pasted bool) *person { return sitAt(t, c, pasted, nil) }

// sitAt is sitWith at a screen, unless that is nil, and its keyboard.
func sitAt(t *testing.T, c Config, pasted bool, screen console.Screen) *person {
	t.Helper()
	r, w := io.Pipe()
	p := &person{t: t, more: make(chan struct{}, 1), keys: w, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	keys := make(chan console.Key, 64)
	go func() {
		defer close(keys)
		for k := range console.DecodeKeys(ctx, r) {
			k.Quick, k.Line = k.Quick && pasted, screen == nil
			keys <- k
		}
	}()
	con, err := console.New(console.Options{Serial: p, Keys: keys, Now: c.Now, Screen: screen, Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	c.UI = Terminal(con)
	if screen != nil {
		c.Display = con
	}
	go func() {
		defer close(p.done)
		p.out, p.err = Run(ctx, c)
	}()
	t.Cleanup(func() {
		w.Close()
		cancel()
		<-p.done
		con.Close()
	})
	return p
}

const data = "../../shared/data"

func needModels(t testing.TB) engine.Models {
	dir := filepath.Join(data, "models")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the reference models are not in ../shared/data/models")
	}
	return engine.DirModels(os.DirFS(dir), ".")
}

func openStore(t *testing.T, m store.Medium) Config {
	t.Helper()
	s, rec, err := store.Open(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Drive: Drive{Store: s, Recovery: rec}}
}

// A real model at temperature 0 says what llama.cpp says, in a session from
// the first key to the power switch, and knows it after the next boot.
func TestGolden(t *testing.T) {
	models := needModels(t)
	b, err := os.ReadFile(filepath.Join(data, "golden", "greedy-llama.cpp.json"))
	if err != nil {
		t.Skip(err)
	}
	var golden map[string]map[string]string
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stories260K-F32", "stories260K-Q8_0"} {
		t.Run(name, func(t *testing.T) {
			m := &memory{data: make([]byte, 1<<20)}
			c := openStore(t, m)
			c.Models, c.Start.Model = models, name
			p := sit(t, c)
			p.says("/set parameter temperature 0")
			p.says("/set parameter num_predict 100")
			for prompt, want := range golden[name] {
				p.says("/clear")
				p.says(prompt)
				p.expect(Speaker)
				answer := p.expect("\r\n100 tokens, ")
				if got := " " + prompt + strings.ReplaceAll(answer, "\r\n", "\n"); got != want {
					t.Errorf("got\n%q, want\n%q", got, want)
				}
			}
			p.says("Please shut down.")
			p.expect("All data saved. Goodbye.\r\n")
			<-p.done
			if p.out != Shutdown || p.err != nil {
				t.Errorf("outcome %v, %v", p.out, p.err)
			}

			c = openStore(t, m)
			c.Models = models // the same model, by itself
			p = sit(t, c)
			before := p.expect(Prompt)
			p.seen -= len(Prompt)
			if c.Drive.Recovery.Unclean || strings.Contains(before, "Note:") {
				t.Error("a clean end counts as unclean")
			}
			last := c.Drive.Store.Conversation()[1].Text
			if !strings.Contains(strings.ReplaceAll(before, "\r\n", "\n"), strings.TrimSpace(last)) {
				t.Errorf("the conversation is not shown after the restart:\n%s", before)
			}
			p.says("/show info")
			p.expect("model           " + name)
			p.says("Then")
			p.expect("100 tokens, ")
			p.says("/bye")
			<-p.done
		})
	}
}

// snapshot is a medium that is copied after some writes, as if the plug were
// pulled then.
type snapshot struct {
	memory
	writes, at int
	then       []byte
}

func (s *snapshot) WriteAt(p []byte, at int64) (int, error) {
	n, err := s.memory.WriteAt(p, at)
	if s.writes++; s.writes == s.at {
		s.then = slices.Clone(s.data)
	}
	return n, err
}

// The plug is pulled in the middle of a real answer, and the next session goes
// on with what was saved of it, in the model's own context.
func TestCutInRealAnswer(t *testing.T) {
	models := needModels(t)
	m := &snapshot{memory: memory{data: make([]byte, 1<<20)}}
	c := openStore(t, m)
	c.Models, c.Start.Model = models, "stories260K-Q8_0"
	c.Start.Params = map[string]string{"temperature": "0"}
	p := sit(t, c)
	p.expect(Prompt)
	p.seen -= len(Prompt)
	m.at = m.writes + 4 // the message, then the first piece of the answer, in both copies
	p.says("Once upon a time")
	p.expect("ended because the context is full")
	whole := c.Drive.Store.Conversation()[1].Text
	if m.then == nil {
		t.Fatal("the answer was saved in one piece only")
	}

	c = openStore(t, &memory{data: m.then})
	c.Models = models
	c.Start.Params = map[string]string{"temperature": "0", "num_predict": "5"}
	p = sit(t, c)
	p.expect("Note: Your last session ended unexpectedly. I've recovered your conversation up to ")
	msgs := c.Drive.Store.Conversation()
	if len(msgs) != 2 || msgs[0].Text != "Once upon a time" || !msgs[1].Partial ||
		len(msgs[1].Text) < 300 || !strings.HasPrefix(whole, msgs[1].Text) {
		t.Fatalf("recovered %+v", msgs)
	}
	p.says("The end")
	stats := p.expect("num_predict reached")
	if !strings.Contains(stats, " of 512") {
		t.Errorf("no use of the context told: %s", stats)
	}
	p.says("goodbye")
	p.expect("All data saved. Goodbye.")
}

// Why nothing is saved is told with what to do about it.
func TestNoStore(t *testing.T) {
	w := &world{t: t}
	why := fmt.Errorf("the journal on the drive cannot be used: %w", fs.ErrRemoved)
	Run(context.Background(), Config{UI: ui{w}, Models: engine.DirModels(fstest.MapFS{}, "."), Drive: Drive{NoStore: why}})
	if said, want := w.out.String(), "Nothing will be saved in this session: the drive was pulled out. Plug it in again.\n"; !strings.Contains(said, want) {
		t.Errorf("it says %q", said)
	}
}

// What is answered by rule is shown to its end, also when the journal has no room for it.
func TestRuleFillsJournal(t *testing.T) {
	fixed := strings.Repeat("Call for help. ", 4000)
	w := &world{t: t}
	s, rec, err := store.Open(&memory{data: make([]byte, 64<<10)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.lines = []string{"you> my chest hurts", "you> /bye"}
	w.context = 100
	Run(context.Background(), Config{UI: ui{w}, Models: engine.DirModels(fstest.MapFS{"tiny.gguf": modelFile("tiny.gguf")}, "."), Drive: Drive{Store: s, Recovery: rec},
		Before: func(llm.Info, string) (string, bool) { return fixed, true }, loader: w})
	_, said, _ := strings.Cut(w.out.String(), Speaker)
	if want := fixed + "\n!! Nothing can be saved at the moment: the journal is full ("; !strings.HasPrefix(said, want) {
		t.Errorf("it says %q", strings.ReplaceAll(said, fixed, "[the answer]"))
	}
}

// A damaged model file is passed over with one sentence.
func TestDamagedRealModel(t *testing.T) {
	needModels(t)
	whole, err := os.ReadFile(filepath.Join(data, "models", "stories260K-Q8_0.gguf"))
	if err != nil {
		t.Skip(err)
	}
	fsys := fstest.MapFS{"models/cut.gguf": {Data: whole[:len(whole)/2]}, "models/good.gguf": {Data: whole}}
	p := sit(t, Config{Models: engine.DirModels(fsys, "models"), Start: Start{Params: map[string]string{"num_predict": "3"}}})
	said := p.expect(Prompt)
	io.WriteString(p.keys, "Once\r")
	p.expect("3 tokens, ")
	if !strings.Contains(said, "Note: cut is passed over: ") || !strings.Contains(said, "copy it again") {
		t.Errorf("said %s", said)
	}
	p.says("/models")
	if said := p.expect("in use"); !strings.Contains(said, "damaged") {
		t.Errorf("/models says %s", said)
	}
}

// machine tells what it is asked.
type machine struct {
	loads    []Load
	sections []Section
}

func (m *machine) Sections() []Section { return m.sections }

func (m *machine) About() []console.Field { return []console.Field{{Name: "about", Value: "it"}} }
func (m *machine) Loaded(l Load)          { m.loads = append(m.loads, l) }
func (m *machine) Memory(n ModelMemory) []console.Field {
	return []console.Field{{Name: "memory", Value: fmt.Sprintf("%+v", n)}}
}

// Who runs the assistant hears of loaded models, and only of those, and says what the
// machine's memory is used for.
func TestLoadedAndMemory(t *testing.T) {
	m := &machine{}
	w := &world{t: t, context: 100, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf"), "models/bad.gguf": modelFile("bad.gguf")},
		medium: &memory{data: make([]byte, 64<<10)}, now: time.Unix(1e9, 0),
		machine: m}
	w.lines = []string{"you> /show memory", "you> /show info", "you> /load bad", "you> /bye"}
	w.boot()
	if l := m.loads; len(l) != 1 || l[0].Info.Architecture != "fake" || l[0].Time < 0 {
		t.Errorf("loaded %+v\n%s", l, w.out.String())
	}
	for _, want := range []string{"\n  memory          {Weights:27100000 Cache:100000}\n", "\n  about           it\n"} {
		if !strings.Contains(w.out.String(), want) {
			t.Errorf("/show does not show %q\n%s", want, w.out.String())
		}
	}
}

// FuzzLine types anything at the prompt.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"/", "/set parameter num_ctx -1", "/history 0", "/load ?", "count to 5", "/show \x00", "please please shut down", "/set system \"", "/? /set",
		"/open \"", "/open 1", "/rename 1 x", "/rename \x00", "/delete", "/find \"", "/find İ\xff", "/export 1 json", "/save 1 ../x", "/copy -1", "/edit", "/edit code", "/retry", "forget that", "/conversations \""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n#") || strings.HasPrefix(line, "count to") {
			return
		}
		w := &world{t: t, context: 100, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
			medium: &memory{data: make([]byte, 64<<10)}, now: time.Unix(1e9, 0)}
		w.lines = []string{"you> hello", "you> " + line, "you> /bye"}
		w.boot()
	})
}

// Models on other drives are looked for when a person asks, can be loaded then, and are not what the
// next session begins with.
func TestModelsElsewhere(t *testing.T) {
	dir := func(name string) engine.Models {
		return engine.DirModels(fstest.MapFS{"models/" + name: modelFile(name)}, "models")
	}
	looked := 0
	w := &world{t: t, context: 100, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 64<<10)}, now: time.Unix(1e9, 0)}
	w.wrap = func(own engine.Models) engine.Models {
		return engine.Elsewhere(own, func() ([]engine.Place, error) {
			looked++
			return []engine.Place{{Name: "STICK/models", Models: dir("large.gguf")}}, errors.New("the drive 64 GB on USB is damaged")
		})
	}
	w.lines = []string{"you> /models", "you> /load STICK/models/large", "you> /models all", "you> /load STICK", "you> /models all", "you> /bye"}
	w.boot()
	said := w.out.String()
	list, rest, _ := strings.Cut(said, "/models all")
	if looked != 2 || strings.Count(list, "large") != 2 || !strings.Contains(list, `There is no model "STICK/models/large"`) {
		t.Errorf("looked %d times; before that was asked for:\n%s", looked, list)
	}
	for _, want := range []string{"The drive 64 GB on USB is damaged", "2  STICK/models/large  1.23 kB", "Going on with STICK/models/large.", "STICK/models/large  1.23 kB  in use"} {
		if !strings.Contains(rest, want) {
			t.Errorf("it does not say %q:\n%s", want, rest)
		}
	}
	w.out.Reset()
	w.lines = []string{"you> /models", "you> /bye"}
	w.boot()
	if said := w.out.String(); !strings.Contains(said, "tiny  1.23 kB  in use") || strings.Contains(said, "used last") {
		t.Errorf("the next session:\n%s", said)
	}
}

// All commands, and all that is understood as one, are described.
func TestCommandsAreDescribed(t *testing.T) {
	b, err := os.ReadFile("../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, name := range commandNames {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("docs/commands.md does not describe %s", name)
		}
	}
	for line := range strings.Lines(text) {
		if said, command, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | `/"); ok {
			for p := range strings.FieldsFuncSeq(said, func(r rune) bool { return r == ',' || r == ';' }) {
				if got, _ := asCommand(strings.TrimSpace(p)); said[0] != '`' && got != "/"+strings.Trim(command, "`| \n") {
					t.Errorf("docs/commands.md has %q for %s, and it means %q", p, command, got)
				}
			}
		}
	}
	for command, list := range phrases {
		for _, p := range list {
			if !strings.Contains(strings.ToLower(text), p) {
				t.Errorf("docs/commands.md does not say that %q means %s", p, command)
			}
		}
	}
}
