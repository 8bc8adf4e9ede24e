package assistant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/console"
	"alphaos/engine"
)

// panel is a display that remembers what it was told.
type panel struct {
	mu          sync.Mutex
	bars        console.Bars
	said        []console.Bars
	theme, size string
	width       string
	fixed       bool // the size of the text is another's
	raw         bool
	thoughts    []string
	code        []int // CodeFrom
	suggest     func(string) []console.Suggestion
	choose      func(console.Menu) (int, error) // nil: there is no screen
}

func (p *panel) Choose(_ context.Context, m console.Menu) (int, error) {
	if p.choose == nil {
		return 0, errNoDisplay
	}
	return p.choose(m)
}

func (p *panel) SetBars(change func(*console.Bars)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.bars)
	p.said = append(p.said, p.bars)
}

func (p *panel) SetTheme(name string) error {
	if !slices.Contains(console.Themes(), name) {
		return errors.New("is no theme")
	}
	p.theme = name
	return nil
}

func (p *panel) SetTextSize(name string) error               { p.size = name; return nil }
func (p *panel) SetWidth(name string) error                  { p.width = name; return nil }
func (p *panel) Adjusts() (look, text bool)                  { return p.choose != nil, p.choose != nil && !p.fixed }
func (p *panel) Raw(on bool)                                 { p.raw = on }
func (p *panel) CodeFrom(n int)                              { p.code = append(p.code, n) }
func (p *panel) AtScreen() bool                              { return p.choose != nil }
func (p *panel) Think(text string)                           { p.thoughts = append(p.thoughts, text) }
func (p *panel) Thought(line string)                         { p.thoughts = append(p.thoughts, line) }
func (p *panel) Suggest(f func(string) []console.Suggestion) { p.suggest = f }

func (p *panel) all() []console.Bars {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

func displayed(t *testing.T, disk *memory) (Config, *panel) {
	w := &world{t: t, context: 400, now: time.Unix(1e9, 0)}
	c := Config{}
	if disk != nil {
		c = openStore(t, disk)
	}
	c.Models = engine.DirModels(fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf"), "models/other.gguf": modelFile("other.gguf")}, "models")
	c.Now = func() time.Time { return w.tick(time.Second) }
	c.Start.Params = map[string]string{"temperature": "0", "repeat_penalty": "1"}
	c.loader = w
	p := &panel{}
	c.Display = p
	return c, p
}

// The bars tell the title, the model, whether all is saved, and what goes on.
func TestBarsOfConversation(t *testing.T) {
	disk := &memory{data: make([]byte, 256<<10)}
	c, d := displayed(t, disk)
	p := sit(t, c)
	p.says("count to 3")
	p.expect("alpha> ")
	for _, line := range []string{"/set nohistory", "/set theme day", "/set theme pink", "/set text huge", "/set width 60", "/raw", "/clear", "/bye"} {
		p.says(line)
	}
	<-p.done
	var words []string
	for _, b := range d.all() {
		words = append(words, fmt.Sprintf("%s, %s, %d, %q, %v", b.Title, b.Model, b.Saved, b.Doing, b.Context > 0))
	}
	all := slices.Compact(words)
	words = all
	for _, want := range []string{
		fmt.Sprintf("New conversation, other, %d, %q, false", console.AllSaved, ""),
		fmt.Sprintf("count to 3, other, %d, %q, false", console.AllSaved, "answering"),
		fmt.Sprintf("count to 3, other, %d, %q, true", console.AllSaved, ""),
		fmt.Sprintf("count to 3, other, %d, %q, true", console.NotSaved, ""),
		fmt.Sprintf("New conversation, other, %d, %q, false", console.NotSaved, ""),
	} {
		i := slices.Index(words, want)
		if i < 0 {
			t.Fatalf("the bars do not say %q in its turn: %q", want, all)
		}
		words = words[i:]
	}
	if d.theme != "day" || d.size != "huge" || d.width != "60" || !d.raw {
		t.Errorf("the display got %q, %q, %v", d.theme, d.size, d.raw)
	}
	if !strings.Contains(string(p.text), `"pink" is no theme.`) {
		t.Errorf("a theme that does not exist was taken: %s", p.text)
	}
	// How it looks is kept for the next session.
	c, d = displayed(t, disk)
	p = sit(t, c)
	p.says("/bye")
	<-p.done
	if all := d.all(); d.theme != "day" || d.size != "huge" || d.width != "60" || all[len(all)-1].Title != "count to 3" {
		t.Errorf("the next session has %q, %q and says %+v", d.theme, d.size, all)
	}
}

// Each answer is told how many blocks of code came before it, whatever was shown or said again meanwhile; the title is
// that of the conversation in which one is.
func TestCodeNumbers(t *testing.T) {
	disk := &memory{data: make([]byte, 256<<10)}
	c, d := displayed(t, disk)
	p := sit(t, c)
	for _, line := range []string{"code", "more code", "/retry", "code", "/rename Programs", "/new", "more code", "hello", "/open 1", "more code", "/bye"} {
		p.says(line)
	}
	<-p.done
	// The answers, the retried one, the next; the new conversation's two; the end of the old one, shown; its next answer.
	if want := []int{0, 2, 2, 3, 0, 1, 2, 2, 3, 3, 5}; !slices.Equal(d.code, want) {
		t.Errorf("there were %v blocks before, want %v", d.code, want)
	}
	if all := d.all(); all[len(all)-1].Title != "Programs" {
		t.Errorf("in the conversation that was opened the bar says %+v", all[len(all)-1])
	}
	c, d = displayed(t, disk)
	p = sit(t, c)
	p.says("/save 6 x") // there is no drive
	p.says("hello")
	p.says("/bye")
	<-p.done
	if want := []int{3, 3, 5, 5, 6}; !slices.Equal(d.code, want) {
		t.Errorf("in the next session there were %v blocks before, want %v", d.code, want)
	}
}

func TestMeter(t *testing.T) {
	d, now := &panel{}, time.Unix(1e9, 0)
	m := &meter{c: &conversation{display: d}, now: func() time.Time { return now }, begun: now}
	now = now.Add(4 * time.Second)
	m.reading(1204, 2754)
	if got, want := d.bars.Doing+" "+d.bars.Pace, "reading 1,204 of 2,754 tokens, 5 s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.token()
	for range 21 {
		now = now.Add(100 * time.Millisecond)
		m.token()
	}
	if got, want := d.bars.Doing+" "+d.bars.Pace, "answering 10.0 tokens/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := len(d.said); n > 12 {
		t.Errorf("the bar was drawn %d times", n)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) is %q", n, got)
		}
	}
}

func TestSuggest(t *testing.T) {
	c, d := displayed(t, &memory{data: make([]byte, 256<<10)})
	p := sit(t, c)
	p.says("hello there")
	p.says("/clear")
	p.expect(Prompt)
	for line, want := range map[string][]string{
		"/":                {"/set ", "/models", "/load ", "/new", "/raw", "/bye", "/help", "/open ", "/find ", "/delete", "/save "},
		"/mo":              {"/models"},
		"/set t":           {"/set timezone ", "/set theme ", "/set text "},
		"/set theme ":      {"/set theme night", "/set theme day"},
		"/set text h":      {"/set text huge"},
		"/set width ":      {"/set width 60", "/set width screen"},
		"/set parameter n": {"/set parameter num_ctx ", "/set parameter num_predict "},
		"/set keyboard d":  {"/set keyboard de"},
		"/show ":           {"/show info", "/show memory"},
		"/load ":           {"/load other", "/load tiny"},
		"/history ":        {"/history 1"},
		"/open ":           {"/open 1"},
		"/export ":         {"/export 1"},
		"/xyz":             nil,
	} {
		var got []string
		for _, s := range d.suggest(line) {
			got = append(got, s.Text)
			if !strings.HasPrefix(s.Text, line) {
				t.Errorf("%q may become %q", line, s.Text)
			}
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q may become %q, not %q", line, got, w)
			}
		}
		if want == nil && got != nil {
			t.Errorf("%q may become %q", line, got)
		}
	}
}

// The settings are those that can be changed: a terminal has its own size of text, and lines have no look.
func TestSettingsThatApply(t *testing.T) {
	for _, tt := range []struct {
		screen, fixed bool
		first         string
		not           []string
	}{{true, false, "Text size", nil}, {true, true, "Theme", []string{"Text size"}}, {false, false, "Keyboard", []string{"Text size", "Theme", "Prose", "Answers"}}} {
		c, d := displayed(t, &memory{data: make([]byte, 256<<10)})
		d.fixed = tt.fixed
		rows := ""
		if tt.screen {
			d.choose = func(m console.Menu) (int, error) {
				for _, r := range m.Rows() {
					rows += r.Name + "\n"
				}
				return 0, console.ErrBack
			}
		}
		p := sit(t, c)
		p.says("/settings")
		p.says("/bye")
		<-p.done
		_, said, _ := strings.Cut(string(p.text), "/settings")
		said += rows
		for _, name := range tt.not {
			if strings.Contains(said, name) {
				t.Errorf("%q is offered on %+v: %s", name, tt, said)
			}
		}
		if !strings.Contains(said, tt.first) || !strings.Contains(said, "Creativity") {
			t.Errorf("%q is not offered on %+v: %s", tt.first, tt, said)
		}
	}
}

// endless is a loader that reads until it can't.
type endless struct{ loader }

func (endless) Load(r engine.ModelReader, o engine.Options) (*engine.Model, error) {
	for {
		if _, err := r.ReadAt(make([]byte, 1), 0); err != nil {
			return nil, fmt.Errorf("reading the model %w", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// The person can cancel the loading of a model and choose another; no other one is loaded unasked.
func TestCancelLoading(t *testing.T) {
	c, d := displayed(t, &memory{data: make([]byte, 256<<10)})
	c.loader = endless{c.loader}
	p := sit(t, c)
	for len(d.all()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if b := d.all()[0]; b.Enter != "cancels" {
		t.Errorf("while a model is loaded the bars say %+v", b)
	}
	p.keys.Write([]byte("\x03"))
	p.expect("Loading other was cancelled.")
	p.expect("Which model? (number or name; Enter looks again) ")
	p.keys.Write([]byte("/bye\r"))
	<-p.done
	if p.out != Shutdown || p.err != nil {
		t.Error(p.out, p.err)
	}
}

// At the screen, whoever cancels that chooses from the list of models, however often.
func TestCancelLoadingAtScreen(t *testing.T) {
	c, d := displayed(t, &memory{data: make([]byte, 256<<10)})
	c.loader = endless{c.loader}
	menus := make(chan string, 9)
	d.choose = func(m console.Menu) (int, error) {
		menus <- m.Title
		if len(menus) == 1 {
			return 1, nil
		}
		return 0, console.ErrBack
	}
	p := sit(t, c)
	for _, name := range []string{"other", "tiny"} {
		for b := d.all(); len(b) == 0 || b[len(b)-1].Enter != "cancels"; b = d.all() {
			time.Sleep(time.Millisecond)
		}
		p.keys.Write([]byte("\x03"))
		p.expect("Loading " + name + " was cancelled.")
	}
	p.expect("Which model? (number or name; Enter looks again) ")
	if a, b := <-menus, <-menus; a != "Models" || b != "Models" || len(menus) > 0 {
		t.Errorf("the menus are %q, %q and %d more", a, b, len(menus))
	}
	p.keys.Write([]byte("/bye\r"))
	<-p.done
}

func TestStoppable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &stoppable{ModelReader: anything{}, ctx: ctx}
	if _, err := r.ReadAt(nil, 0); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := r.ReadAt(nil, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("after the stop: %v", err)
	}
	r.loaded.Store(true)
	if _, err := r.ReadAt(nil, 0); err != nil {
		t.Errorf("a streamed model can't be read after it was loaded: %v", err)
	}
}

type anything struct{ engine.ModelReader }

func (anything) ReadAt(p []byte, off int64) (int, error) { return len(p), nil }
