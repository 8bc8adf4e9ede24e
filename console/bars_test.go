package console

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The bars say in words what is so, and which keys do something.
func TestBars(t *testing.T) {
	r := newRig(t, 1280, 800)
	r.o.Clock = func() time.Time { return time.Date(2026, 11, 29, 14, 32, 0, 0, time.FixedZone("", -12600)) }
	status := func(want string) {
		t.Helper()
		if got := strings.Join(strings.Fields(r.status()), " "); got != want {
			t.Errorf("the status bar says %q, want %q", got, want)
		}
	}
	r.SetBars(func(b *Bars) {
		*b = Bars{Title: "Reversing\x1b lists", Model: "Llama 3.2 3B", Saved: AllSaved, Context: 18}
	})
	if got, want := strings.Join(strings.Fields(r.title()), " "), "Reversing^[ lists | Llama 3.2 3B saved | 14:32 UTC-3:30"; got != want {
		t.Errorf("the title bar says %q, want %q", got, want)
	}
	status("context 18 %")
	ch := r.read("you> ")
	status("/ commands context 18 %")
	r.press("Hi")
	r.settled()
	status(`Enter sends | \ Enter next line context 18 %`)
	r.press(Enter)
	<-ch
	_, end := r.StopContext(t.Context())
	r.SetBars(func(b *Bars) { b.Doing, b.Pace = "reading", "1,204 of 2,754 tokens, 6 s left" })
	status("● reading 1,204 of 2,754 tokens, 6 s left | Enter stops context 18 %")
	r.later(time.Second)
	r.press("x")
	r.later(0)
	r.SetBars(func(b *Bars) { b.Doing, b.Pace = "answering", "4.2 tokens/s" })
	status("● answering 4.2 tokens/s | Enter sends this next context 18 %")
	r.press(Backspace)
	r.later(0)
	r.SetBars(func(b *Bars) { b.Doing, b.Pace, b.Enter, b.Saved = "", "", "cancels", NotSaved })
	p := r.Progress("Loading x.gguf", 100)
	for range 10 {
		r.now = r.now.Add(time.Second)
		p.Set(p.done + 4)
	}
	status("● loading x.gguf 40 %, 15 s left | Enter cancels context 18 %")
	p.Done()
	end()
	r.SetBars(func(b *Bars) { b.Alert = "the drive is out: plug it in again" })
	status("! the drive is out: plug it in again context 18 %")
	r.SetBars(func(b *Bars) { b.Doing = "answering" })
	status("● answering | ! the drive is out: plug it in again context 18 %")
	r.SetBars(func(b *Bars) { b.Doing, b.Alert = "", "" })
	if got := r.title(); !strings.Contains(got, "NOT SAVED") {
		t.Errorf("the title bar says %q", got)
	}
	// What does not fit is left out, whole, but for the title, which is cut.
	for title, want := range map[string]string{strings.Repeat("日本", 60): "本日…  |  Llama 3.2 3B", strings.Repeat("word ", 60): "word word…  |  Llama 3.2 3B"} {
		r.SetBars(func(b *Bars) { b.Title = title })
		if got := r.title(); !strings.HasSuffix(got, "NOT SAVED  |  14:32 UTC-3:30") || !strings.Contains(got, want) {
			t.Errorf("the title bar says %q", got)
		}
	}
	if got := r.line.String(); strings.ContainsAny(got, "●|%") && strings.Contains(got, "context") {
		t.Errorf("the bars came to the serial line: %q", got)
	}
}

// The clock goes on while nobody does anything.
func TestClock(t *testing.T) {
	start, at := time.Now(), time.Date(2026, 1, 1, 23, 59, 59, 900_000_000, time.UTC)
	screen := newMemScreen(800, 600)
	c, err := New(Options{Screen: screen, Clock: func() time.Time { return at.Add(time.Since(start)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := &rig{Console: c, screen: screen, t: t}
	r.until(func() bool { return strings.HasSuffix(r.rowText(r.surface.titleRow()), "00:00 UTC") })
}

// Everything that was said is reached with Tab, Space, arrows and Enter alone.
func TestReadBack(t *testing.T) {
	for _, answering := range []bool{false, true} {
		r := newRig(t, 800, 600)
		for i := range 30 {
			r.say(fmt.Sprintf("question %d", i))
			r.BeginAnswer()
			r.write("One.\n\nTwo.\n")
		}
		end := func() {}
		var ch <-chan result
		if answering {
			ctx, done := r.StopContext(t.Context())
			end = func() {
				done()
				if ctx.Err() == nil {
					t.Error("the context outlives its watch")
				}
			}
			r.later(time.Hour)
		} else {
			ch = r.read("you> ")
		}
		rows := r.surface.rows
		r.press(Tab)
		r.later(0)
		r.mu.Lock()
		live, total := r.liveTop(), r.allRows()
		r.mu.Unlock()
		at := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.viewTop
		}
		reading := func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.paging
		}
		if !reading() || at() != live-(rows-1) || !strings.Contains(r.status(), fmt.Sprintf("reading back  row %d of %d", at()+1, total)) {
			t.Fatalf("Tab shows row %d of %d, %q", at(), total, r.status())
		}
		was := at()
		for _, step := range []struct {
			key  any
			want func(now int) bool
		}{
			{Up, func(now int) bool { return now == was-1 }},
			{Down, func(now int) bool { return now == was+1 }},
			{" ", func(now int) bool { return now == was-(rows-1) }},
			{Tab, func(now int) bool { return now == was+(rows-1) }},
			{Left, func(now int) bool { return now < was && strings.Contains(r.rows()[0]+r.rows()[1], "  ") }},
			{Left, func(now int) bool { return now < was && now >= was-5 }},
			{Right, func(now int) bool { return now > was && now <= was+5 }},
			{PageUp, func(now int) bool { return now == was-(rows-1) }},
		} {
			was = at()
			r.press(step.key)
			r.later(0)
			if !reading() || !step.want(at()) {
				t.Errorf("%v leads from row %d to %d", step.key, was, at())
			}
			r.consistent()
		}
		for range 30 {
			r.press(" ")
		}
		r.later(0)
		if got := r.rows(); at() != 0 || got[0] != "  you  question 0" {
			t.Errorf("at the beginning: row %d, %q", at(), got[0])
		}
		r.press(Enter) // returns, and does no more
		r.later(0)
		if reading() {
			t.Errorf("Enter leaves the view at row %d", at())
		}
		if answering {
			end()
			continue
		}
		r.press(Tab)
		r.later(0)
		r.press("hello", Enter) // a letter returns, and is typed
		if res := <-ch; res.line != "hello" || reading() {
			t.Errorf("%+v, reading back: %v", res, reading())
		}
	}
}

func TestReadBackNothing(t *testing.T) {
	r := newRig(t, 800, 600)
	ch := r.read("you> ")
	r.press(Tab, PageUp, PageDown, "x", Tab, Enter)
	if res := <-ch; res.line != "x" || r.paging {
		t.Errorf("%+v", res)
	}
}

func suggestRig(t *testing.T) *rig {
	r := newRig(t, 800, 600)
	r.Suggest(func(line string) (list []Suggestion) {
		for _, s := range []Suggestion{{"/models", "list the models"}, {"/load ", "load one"}, {"/load llama", "2 GB"}, {"/load qwen", "1 GB"}, {"/bye", "leave"}} {
			if rest, ok := strings.CutPrefix(s.Text, line); ok && (!strings.Contains(strings.TrimSuffix(rest, " "), " ") || strings.HasPrefix(line, "/load ")) {
				list = append(list, s)
			}
		}
		return list
	})
	return r
}

func TestSuggestions(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []any
		want string
		show []string // on the way
	}{
		{"typed", []any{"/bye"}, "/bye", nil},
		{"chosen", []any{"/", Down}, "/models", []string{"/models  list the models", "/load    load one", "/bye     leave"}},
		{"the last one", []any{"/", Up}, "/bye", nil},
		{"filtered", []any{"/l", Down, Enter, Down, Down}, "/load qwen", []string{"/load llama  2 GB"}},
		{"completed", []any{"/m", Tab}, "/models", nil},
		{"completed twice", []any{"/l", Tab, Tab}, "/load llama", nil},
		{"left alone", []any{"/nothing"}, "/nothing", nil},
		{"no command", []any{"a/", Up}, "a/", nil},
	} {
		r := suggestRig(t)
		ch := r.read("you> ")
		for _, k := range tt.keys {
			r.press(k)
			r.later(0)
			r.settled()
		}
		r.settled()
		r.consistent()
		for _, s := range tt.show {
			if got := r.text(); !strings.Contains(got, s) {
				t.Errorf("%s: %q is not in\n%s", tt.name, s, got)
			}
		}
		r.press(Enter)
		if res := <-ch; res.line != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, res.line, tt.want)
		}
		if got := r.text(); strings.Contains(got, "list the models") {
			t.Errorf("%s: the list stays:\n%s", tt.name, got)
		}
	}
}

// An earlier line that is brought back is no list to choose from.
func TestSuggestionsKeepHistory(t *testing.T) {
	r := suggestRig(t)
	r.say("first")
	r.say("/load x")
	ch := r.read("you> ")
	r.press(Up, Up, Enter)
	if res := <-ch; res.line != "first" {
		t.Errorf("%+v", res)
	}
}

// paste gives keys as a stream of bytes does in which text is pasted.
func (r *rig) paste(text string) {
	r.mu.Lock()
	for _, x := range text {
		k := Key{Rune: x, Quick: true}
		if x == '\n' {
			k = Key{Code: Enter, Quick: true}
		}
		r.key(k)
	}
	r.mu.Unlock()
	r.ring()
}

func TestSeveralLines(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig)
		want string
	}{
		{"backslash", func(r *rig) { r.press(`one\`, Enter, "two", Enter) }, "one\ntwo"},
		{"quotes", func(r *rig) { r.press(`"""`, Enter, "one", Enter, Enter, "two", Enter, `"""`, Enter) }, "one\n\ntwo"},
		{"quotes in a line", func(r *rig) { r.press(`"""one`, Enter, `two"""`, Enter) }, "one\ntwo"},
		{"quotes at once", func(r *rig) { r.press(`"""one"""`, Enter) }, "one"},
		{"paste", func(r *rig) { r.paste("one\n\n  two\nthree\n") }, "one\n\n  two\nthree"},
		{"paste without an end", func(r *rig) { r.paste("one\ntwo"); r.press("!", Enter) }, "one\ntwo!"},
		{"pasted commands", func(r *rig) { r.paste("/one\n/two\n") }, "/one"},
		{"edited", func(r *rig) { r.press(`one\`, Enter, "two", Up, "X", Down, "Y", Enter) }, "oneX\ntwoY"},
		{"rows before messages", func(r *rig) { r.press(`one\`, Enter, "two", Up, Up, Enter) }, "earlier\nmessage"},
		{"joined", func(r *rig) { r.press(`one\`, Enter, "two", Left, Left, Left, Backspace, Enter) }, "onetwo"},
	} {
		for _, width := range []int{0, 800} {
			r := newRig(t, width, width*3/4)
			r.AddHistory("earlier\nmessage")
			ch := r.read("you> ")
			tt.do(r)
			if res := <-ch; res.line != tt.want || res.err != nil {
				t.Errorf("%s, screen of %d: got %q, want %q", tt.name, width, res.line, tt.want)
			}
			if strings.ContainsAny(r.line.String(), "\x1b") {
				t.Errorf("%s: an escape sequence on the serial line", tt.name)
			}
		}
	}
	r := newRig(t, 800, 600)
	ch := r.read("you> ")
	r.paste("one\ntwo\n")
	<-ch
	if got, want := r.line.String(), "you> one\r\n... two\r\n"; got != want {
		t.Errorf("the serial line has %q, want %q", got, want)
	}
	if got, want := r.text(), "  you  one\n       two"; got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
}

// A text of several rows is gone through with Up and Down, wherever it wraps.
func TestRows(t *testing.T) {
	r := newRig(t, 800, 600)
	ch := r.read("you> ")
	text := strings.Repeat("word and 日本 ", 20)
	r.press(text)
	r.later(0)
	r.until(func() bool { return r.editor.pos == len(text) })
	n := len(r.edit.lines)
	if n < 3 {
		t.Fatalf("only %d rows", n)
	}
	for i := range n {
		r.mu.Lock()
		y, x := r.cursorAt()
		spot := spot{}
		p := newPage(r.page.cols, 1000, &r.table)
		p.measure = measure
		r.editor.layout(p, r.editor.prompt, false)
		for _, s := range r.editor.spots(p) {
			if s.pos == r.editor.pos {
				spot = s
			}
		}
		r.mu.Unlock()
		if y != n-1-i || spot.y != y || spot.x != x {
			t.Errorf("after %d times Up the cursor is in row %d, column %d; spots has %+v", i, y, x, spot)
		}
		if i < n-1 {
			was := r.editor.pos
			r.press(Up)
			r.later(0)
			r.until(func() bool { return r.editor.pos < was })
		}
	}
	r.press(Enter)
	<-ch
}

// cursorAt finds the cursor in the rows being edited.
func (r *rig) cursorAt() (y, x int) {
	for y, row := range r.edit.lines {
		for x, c := range row {
			if c.mark&markCursor != 0 {
				return y, x
			}
		}
	}
	return -1, -1
}
