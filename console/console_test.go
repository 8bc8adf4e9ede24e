package console

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// The wire behaviour that a person's terminal, and tests over a serial line, rely on.
func TestSerialConversation(t *testing.T) {
	for _, screen := range []int{0, 800} {
		r := newRig(t, screen, screen*3/4)
		r.write("Welcome.\n")
		ch := r.read("you> ")
		if got := r.line.String(); got != "Welcome.\r\nyou> " {
			t.Fatalf("before typing: %q", got)
		}
		r.press("Hi")
		r.until(func() bool { return strings.HasSuffix(r.line.String(), "you> Hi") })
		r.press(Enter)
		if res := <-ch; res.line != "Hi" || res.err != nil {
			t.Fatal(res)
		}
		r.BeginAnswer()
		r.write("Hello")
		r.write(" there.\nBye.")
		r.Quiet("2 tokens")
		r.read("you> ")
		const want = "Welcome.\r\nyou> Hi\r\nalpha> Hello there.\r\nBye.\r\n2 tokens\r\nyou> "
		if got := r.line.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestScreenConversation(t *testing.T) {
	r := newRig(t, 800, 600)
	r.write("Welcome.\n")
	r.say("Hi")
	r.BeginAnswer()
	r.write("One.\n- two\n\nalpha> three")
	r.Quiet("2 tokens")
	r.say("")
	r.say("/x")
	r.write("No such thing.\n")
	r.read("you> ")
	want := `Welcome.

  you  Hi

alpha  One.
       • two

       alpha> three
       2 tokens

  you
  you  /x
No such thing.

  you> █`
	if got := r.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	styles := map[string]Style{}
	r.mu.Lock()
	for y := range r.surface.rows {
		for _, c := range r.surface.shown[y*r.surface.cols:][:r.surface.cols] {
			if c.id != ' ' {
				styles[fmt.Sprintf("%d%c", y, rune(c.id))] = c.style
			}
		}
	}
	r.mu.Unlock()
	for k, s := range map[string]Style{"0W": Plain, "2y": Prompt, "2H": Input, "4a": Name, "4O": Answer, "7a": Answer, "8t": Dim, "12N": Plain} {
		if styles[k] != s {
			t.Errorf("the character %s is in style %d, want %d", k, styles[k], s)
		}
	}
}

func TestWordWrap(t *testing.T) {
	words := strings.Repeat("alpha beta gamma delta ", 30)
	for _, s := range []string{
		words,
		"   indented " + words,
		strings.Repeat("x", 300) + " " + words,
		"日本語" + strings.Repeat("文", 100) + "end " + words,
		"a\tb\t" + words,
		strings.Repeat("y", 85) + " z",
	} {
		var table clusters
		whole := newPage(85, 1000, &table)
		whole.write(s)
		pieces := newPage(85, 1000, &table)
		for _, r := range s {
			pieces.write(string(r))
		}
		var text strings.Builder
		for i, row := range whole.lines {
			if len(row) > 85 {
				t.Errorf("row %d is %d cells wide", i, len(row))
			}
			line := ""
			for _, c := range row {
				if c.mark&markTrail == 0 {
					line += table.string(c.id)
				}
			}
			text.WriteString(line)
			if i > 0 && strings.HasPrefix(line, " ") {
				t.Errorf("row %d begins with a space: %q", i, line)
			}
			for _, w := range strings.Fields(line) {
				if strings.Trim(w, "xy文日本語") != "" && !strings.Contains(" alpha beta gamma delta indented a b end z 文end ", " "+strings.TrimLeft(w, "文")+" ") {
					t.Errorf("a word was cut: %q in row %d of %.30q", w, i, s)
				}
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(text.String()) != squeeze(s) {
			t.Errorf("text was lost:\n%q\n%q", text.String(), s)
		}
		if got, want := fmt.Sprint(pieces.lines), fmt.Sprint(whole.lines); got != want {
			t.Errorf("streamed and whole differ for %.30q", s)
		}
	}
}

func TestWrapPlaces(t *testing.T) {
	for in, want := range map[string]string{
		"one two three":            "one two|three",
		"one two th":               "one two th",
		"one two th  ree":          "one two th|ree",
		"文文文文abc":                  "文文文文|abc",
		"文文文文文文":                   "文文文文文|文",
		"a文文文文文":                   "a文文文文|文",
		"0123456789ab":             "0123456789|ab",
		"  0123456789":             "  01234567|89",
		"x 0123456789ab":           "x|0123456789|ab",
		"0123456789 0123456789 x":  "0123456789|0123456789|x",
		"a\tb\tcd":                 "a   b   cd",
		"a\tb\tc\td":               "a   b   c|d",
		"one two three four\n\nfi": "one two|three four||fi",
	} {
		var table clusters
		p := newPage(10, 100, &table)
		p.write(in)
		var rows []string
		for _, row := range p.lines {
			s := ""
			for _, c := range row {
				if c.mark&markTrail == 0 {
					s += table.string(c.id)
				}
			}
			rows = append(rows, strings.TrimRight(s, " "))
		}
		if got := strings.Join(rows, "|"); got != want {
			t.Errorf("%q wraps as %q, want %q", in, got, want)
		}
	}
}

func TestWrapHangsInGutter(t *testing.T) {
	r := newRig(t, 800, 600)
	r.say("go")
	r.BeginAnswer()
	r.write(strings.Repeat("word ", 40))
	for i, row := range r.rows()[2:] {
		if want := "       word"; i > 0 && !strings.HasPrefix(row, want) {
			t.Errorf("row %d is %q", i, row)
		}
	}
}

func TestNothingControlsTheTerminal(t *testing.T) {
	r := newRig(t, 800, 600)
	r.write("a\x1b[2Jb\x07c\rd\r\ne\u009bf\u202eg\u200fh\x7fi\xff\xe2\x82j\U000E0041k\n")
	const want = "a^[[2Jb^Gc^Md\ne\uFFFDf\uFFFDg\uFFFDh^?i\uFFFD\uFFFD\uFFFDj\uFFFDk"
	if got := r.text(); got != want {
		t.Errorf("screen %q\nwant   %q", got, want)
	}
	if got := r.line.String(); got != strings.ReplaceAll(want, "\n", "\r\n")+"\r\n" {
		t.Errorf("serial %q", got)
	}
	r.Quiet("\x1b[0m")
	p := r.Progress("\x1b[0m", 1)
	p.Done()
	ch := r.read("\x1b]> ")
	r.press("\x1b\x07\u202e", CtrlD, CtrlD)
	if res := <-ch; res.err != io.EOF {
		t.Error("control characters were taken as text:", res)
	}
	if strings.ContainsAny(r.line.String(), "\x1b\x07") {
		t.Errorf("a control character reached the serial line: %q", r.line.String())
	}
}

func TestSplitCharacters(t *testing.T) {
	r := newRig(t, 800, 600)
	for _, b := range []byte("naïve e\u0301 日本 👩‍🚀 🇩🇪!\r\nok") {
		r.write(string([]byte{b}))
	}
	if got, want := r.text(), "naïve e\u0301 日本 👩‍🚀 🇩🇪!\nok"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := r.line.String(), "naïve e\u0301 日本 👩‍🚀 🇩🇪!\r\nok"; got != want {
		t.Errorf("serial got %q, want %q", got, want)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.page.lines[0]); n != 6+2+5+3+2+1 {
		t.Errorf("%d cells", n)
	}
}

func TestScrollback(t *testing.T) {
	r := newRig(t, 800, 600)
	for i := range 200 {
		r.write(fmt.Sprintf("row %d\n", i))
	}
	rows := r.surface.rows
	if got := r.rows(); got[0] != fmt.Sprintf("row %d", 201-rows) {
		t.Errorf("the first row is %q", got[0])
	}
	r.press(PageUp)
	r.until(func() bool { return r.paging })
	first := fmt.Sprintf("row %d", 201-rows-(rows-1))
	if got := r.rows(); got[0] != first || !strings.Contains(r.status(), "reading back") {
		t.Errorf("after PageUp %q ... %q", got[0], got[len(got)-1])
	}
	r.write("more\n") // reading is not disturbed
	if got := r.rows(); got[0] != first {
		t.Errorf("after more text %q", got[0])
	}
	r.consistent()
	r.press(PageUp, PageUp, PageUp, PageUp, PageUp, PageUp, PageUp, PageUp, PageUp, PageUp)
	r.until(func() bool { return r.viewTop == 0 })
	r.consistent()
	ctx, end := r.StopContext(t.Context())
	r.press(Esc) // stopping an answer comes back to it
	r.until(func() bool { return !r.paging && ctx.Err() != nil })
	end()
	r.press(PageUp)
	r.until(func() bool { return r.paging })
	r.read("you> ")
	r.press("x") // typing comes back
	r.until(func() bool { return !r.paging })
	r.settled()
	if got := r.text(); !strings.HasSuffix(got, "more\n\n  you> x█") {
		t.Errorf("after typing %q", got)
	}
	r.consistent()
}

func TestScrollbackForgets(t *testing.T) {
	screen := newMemScreen(800, 600)
	c, err := New(Options{Screen: screen, Scrollback: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10000 {
		fmt.Fprintf(c, "row %d\n", i)
	}
	if n := len(c.page.lines); n > 4*c.surface.rows {
		t.Errorf("%d rows kept", n)
	}
	r := &rig{Console: c, screen: screen, t: t}
	if got := r.rows(); got[len(got)-1] != "row 9999" {
		t.Errorf("%q", got)
	}
	r.consistent()
}

func TestClear(t *testing.T) {
	r := newRig(t, 800, 600)
	r.write("old\nolder")
	r.Clear()
	if got := r.text(); got != "" {
		t.Errorf("after Clear %q", got)
	}
	ch := r.read("you> ")
	r.press("keep")
	r.settled()
	r.write("above")
	r.press(CtrlL)
	r.settled()
	r.until(func() bool { return r.page.end()-1 == r.top })
	r.press("!", Enter)
	if res := <-ch; res.line != "keep!" {
		t.Error(res)
	}
	if got := r.text(); got != "  you  keep!" {
		t.Errorf("got %q", got)
	}
	if got := r.line.String(); !strings.HasPrefix(got, "old\r\nolder\r\nyou> keep") || strings.Contains(got, "\x1b") {
		t.Errorf("serial %q", got)
	}
}

func TestProgress(t *testing.T) {
	r := newRig(t, 800, 600)
	r.write("partial")
	p := r.Progress("Loading x.gguf", 3_000_000_000)
	for i := range int64(101) {
		p.Set(i * 30_000_000)
		if i == 50 {
			row := r.rows()[2]
			if !strings.Contains(row, "50 %  1.50 GB of 3.00 GB  100 MB/s  15 s left") {
				t.Errorf("half way: %q", row)
			}
			if bar := strings.Count(row, "#"); bar != 14 {
				t.Errorf("%d cells of the bar are full: %q", bar, row)
			}
		}
		r.now = r.now.Add(300 * time.Millisecond)
	}
	p.Done()
	p.Done()
	p.Set(1)
	if got, want := r.text(), "partial\nLoading x.gguf\n3.00 GB in 30 s, 99.0 MB/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out := r.line.String()
	if n := strings.Count(out, "\n"); n < 8 || n > 14 {
		t.Errorf("%d lines on the serial line: %q", n, out)
	}
	if !strings.HasPrefix(out, "partial\r\nLoading x.gguf:  1") || !strings.HasSuffix(out, "Loading x.gguf: 3.00 GB in 30 s, 99.0 MB/s\r\n") {
		t.Errorf("serial %q", out)
	}
	// Odd calls must be harmless: nothing known, too much, less than nothing, given up.
	q := r.Progress("", 0)
	q.Set(-5)
	q.Set(5)
	r.now = r.now.Add(time.Hour)
	q.Set(1 << 62)
	q.Done()
	q = r.Progress("x", 10)
	q.Set(100)
	q.Set(3)
	q.Done()
	if got := r.text(); !strings.Contains(got, "stopped after 3 bytes of 10 bytes") {
		t.Error(got)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.00 kB", 27_100_000: "27.1 MB", 999_600: "1.00 MB", 512e6: "512 MB", 1<<63 - 1: "9.22 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) is %q, want %q", n, got, want)
		}
	}
}

func TestStopContext(t *testing.T) {
	for _, code := range []Code{CtrlC, Esc, Enter} {
		r := newRig(t, 800, 600)
		ctx, end := r.StopContext(t.Context())
		r.later(time.Second)
		if code == Enter { // a word typed and taken back leaves an empty line
			r.press("x", Backspace)
		} else {
			r.press("typed ahead")
			r.settledQueue(11)
			if got := strings.TrimSpace(r.text()); !strings.HasSuffix(got, "next> typed ahead█") {
				t.Errorf("what was typed ahead is not shown: %q", got)
			}
		}
		r.press(Backspace, "d")
		if code == Enter {
			r.press(Backspace)
			r.settledQueue(5)
		} else {
			r.settledQueue(13)
		}
		if ctx.Err() != nil {
			t.Fatal("an ordinary key stopped the answer")
		}
		r.later(time.Second)
		r.press(code)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Second):
			t.Fatal(code, " did not stop the answer")
		}
		end()
		end()
		want := "typed ahead"
		if code == Enter {
			want = ""
		}
		ch := r.read("you> ")
		r.press(Enter)
		if res := <-ch; res.line != want || res.err != nil {
			t.Error(res)
		}
	}
}

// A second Enter, or one that is held down, does not stop the answer to what the first one sent.
func TestDoubleEnter(t *testing.T) {
	r := newRig(t, 800, 600)
	r.say("a question")
	r.press(Enter) // before the answer begins
	ctx, end := r.StopContext(t.Context())
	r.later(300 * time.Millisecond)
	r.press(Enter) // soon after it began
	for range 20 { // a key that is held down repeats
		r.later(100 * time.Millisecond)
		r.press(Enter)
	}
	r.later(0)
	if ctx.Err() != nil {
		t.Fatal("the answer was stopped")
	}
	r.later(burst)
	r.press(Enter)
	<-ctx.Done()
	end()
	if len(r.queue) != 0 {
		t.Errorf("%d empty lines wait", len(r.queue))
	}
}

// Lines that are pasted into an answer, empty ones among them, wait, and each is read in its turn; what
// was not finished stands in the editor.
func TestPasteIntoAnswer(t *testing.T) {
	r := newRig(t, 800, 600)
	r.say("a question")
	ctx, end := r.StopContext(t.Context())
	r.later(time.Minute)
	for i := range 20 {
		r.press(fmt.Sprintf("line %d", i), Enter)
		if i%5 == 0 {
			r.press(Enter)
		}
	}
	r.press("the rest")
	r.until(func() bool { return strings.HasSuffix(string(r.ahead.text), "the rest") })
	if ctx.Err() != nil {
		t.Fatal("the answer was stopped")
	}
	if got := r.text(); !strings.Contains(got, "next> (17 lines more)\n       line 17\n") || !strings.HasSuffix(got, "line 19\n       the rest█") {
		t.Errorf("shown while the answer runs:\n%s", got)
	}
	end()
	for i := range 20 {
		if res := <-r.read2("you> "); res.line != fmt.Sprintf("line %d", i) || res.err != nil {
			t.Fatal(res)
		}
		_, end := r.StopContext(t.Context())
		if got := r.text(); !strings.HasSuffix(got, "the rest█") {
			t.Errorf("after line %d:\n%s", i, got)
		}
		end()
	}
	ch := r.read("you> ")
	if got := r.text(); !strings.HasSuffix(got, "you> the rest█") {
		t.Errorf("got\n%s", got)
	}
	r.press(Enter)
	if res := <-ch; res.line != "the rest" {
		t.Error(res)
	}
}

// What is too much to wait is told, once, and does not make one line of two.
func TestPasteTooMuch(t *testing.T) {
	r := newRig(t, 0, 0)
	_, end := r.StopContext(t.Context())
	r.mu.Lock()
	for _, c := range strings.Repeat("x", 99) + "\r" + strings.Repeat("y", maxQueue-100) + "lost\rlost, too" {
		r.key(Key{Rune: c})
	}
	r.mu.Unlock()
	end()
	if res := <-r.read2("you> "); len(res.line) != 99 {
		t.Errorf("%d characters were read", len(res.line))
	}
	if got := r.line.String(); strings.Count(got, "There was no room for the last 14 characters") != 1 {
		t.Errorf("%.300q", got)
	}
	ch := r.read("you> ")
	r.press(Enter)
	if res := <-ch; strings.Trim(res.line, "y") != "" || len(res.line) < maxInput-8 {
		t.Errorf("%d characters, the last ones %q", len(res.line), res.line[len(res.line)-10:])
	}
	if got := r.line.String(); strings.Count(got, "A message has 32 KiB at most") != 1 {
		t.Error("what went beyond the line was not told")
	}
}

// Keys that are read at once are not lost, however many come together.
func TestPasteIntoLine(t *testing.T) {
	r := newRig(t, 0, 0)
	ch := r.read("you> ")
	r.mu.Lock()
	for _, c := range strings.Repeat("x", maxQueue+10) + "\rnext\r" {
		r.key(Key{Rune: c})
	}
	r.mu.Unlock()
	r.ring()
	if res := <-ch; len(res.line) < maxInput-8 {
		t.Errorf("%d characters were read", len(res.line))
	}
	if res := <-r.read2("you> "); res.line != "next" {
		t.Error(res)
	}
}

// Ctrl-C and Esc give up the lines that wait, whether an answer runs or the next is about to begin.
func TestDropPaste(t *testing.T) {
	for _, code := range []Code{CtrlC, Esc} {
		for _, between := range []bool{false, true} {
			r := newRig(t, 800, 600)
			r.say("a question")
			ctx, end := r.StopContext(t.Context())
			r.later(time.Minute)
			r.press("one", Enter, Enter, "twp", Backspace, "o", Enter, "three", Enter, "the rest")
			r.later(time.Minute)
			if n := r.Waiting(); n != 4 {
				t.Errorf("%d lines wait", n)
			}
			if between {
				end()
			}
			r.press(code)
			r.later(0)
			if ctx.Err() == nil {
				t.Error("the answer was not stopped")
			}
			end()
			if n := r.Waiting(); n != 1 {
				t.Errorf("%d lines wait", n)
			}
			ch := r.read("you> ")
			if got := r.text(); !strings.Contains(got, "3 lines that you typed or pasted were not sent: the Up key brings them back.") || !strings.HasSuffix(got, "you> the rest█") {
				t.Errorf("got\n%s", got)
			}
			r.press(Up, Up, Enter)
			if res := <-ch; res.line != "two" || res.err != nil {
				t.Error(res)
			}
			r.say("on")
			if got := r.line.String(); strings.Count(got, "were not sent") != 1 {
				t.Errorf("told more than once: %q", got)
			}
		}
	}
}

// The answer to a question is what is typed after it was asked, and not the rest of a paste either.
func TestAsk(t *testing.T) {
	r := newRig(t, 800, 600)
	_, end := r.StopContext(t.Context())
	r.press("yes", Enter, "y")
	r.later(0)
	end()
	ch := make(chan result, 1)
	go func() {
		line, err := r.Ask("Sure? ")
		ch <- result{line, err}
	}()
	r.until(func() bool { return r.edit != nil })
	r.press("es", Enter, "more") // the paste goes on
	r.later(time.Second)
	if got := r.text(); !strings.HasSuffix(got, "Sure? █") {
		t.Errorf("got\n%s", got)
	}
	r.press("no", Enter)
	if res := <-ch; res.line != "no" || res.err != nil {
		t.Error(res)
	}
	if n := r.Waiting(); n != 3 {
		t.Errorf("%d lines wait", n)
	}
	for range 2 {
		if res := <-r.read2("you> "); res.line != "yes" {
			t.Error(res)
		}
	}
	more := r.read("you> ")
	r.press(Enter)
	if res := <-more; res.line != "more" {
		t.Error(res)
	}
	// Nothing waits: an answer may come as fast as it likes.
	go func() {
		line, err := r.Ask("Sure? ")
		ch <- result{line, err}
	}()
	r.until(func() bool { return r.edit != nil })
	r.press("yes", Enter)
	if res := <-ch; res.line != "yes" {
		t.Error(res)
	}
}

func (r *rig) settledQueue(n int) { r.t.Helper(); r.until(func() bool { return len(r.queue) == n }) }

func TestStopContextEnds(t *testing.T) {
	r := newRig(t, 800, 600)
	ctx, end := r.StopContext(t.Context())
	if got := r.text(); got != "▏" {
		t.Errorf("a running answer shows %q", got)
	}
	end()
	if ctx.Err() == nil {
		t.Error("the context outlives its watch")
	}
	if got := r.text(); got != "" {
		t.Errorf("a finished answer shows %q", got)
	}
	r.later(time.Second)
	r.press("a", Enter) // no longer a stop: typed ahead
	if res := <-r.read2("> "); res.line != "a" {
		t.Error(res)
	}
}

func (r *rig) read2(prompt string) <-chan result {
	ch := make(chan result, 1)
	go func() {
		line, err := r.ReadLine(prompt)
		ch <- result{line, err}
	}()
	return ch
}

// Answers stream while keys are typed and lines are read: run with -race.
func TestConcurrency(t *testing.T) {
	r := newRig(t, 800, 600)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				switch (i + j) % 5 {
				case 0:
					fmt.Fprintf(r, "writer %d ", i)
				case 1:
					r.Quiet("note")
				case 2:
					p := r.Progress("step", 100)
					p.Set(50)
					p.Done()
				case 3:
					r.Style(Answer)
					r.Clear()
				case 4:
					_, end := r.StopContext(t.Context())
					end()
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			r.press("abc", Left, PageUp, Backspace, PageDown, "日")
		}
	})
	go func() { wg.Wait(); close(r.keys) }()
	for {
		if _, err := r.ReadLine("you> "); err == io.EOF {
			break
		}
	}
	wg.Wait()
	r.consistent()
}

func TestWriteWhileReading(t *testing.T) {
	r := newRig(t, 800, 600)
	ch := r.read("you> ")
	r.press("half", Left)
	r.settled()
	r.until(func() bool { return r.editor.pos == 3 })
	r.write("par")
	r.write("tial\n")
	if got := r.text(); got != "partial\n  you> half" {
		t.Errorf("got %q", got)
	}
	r.press("-")
	r.until(func() bool { return r.editor.pos == 4 })
	r.press(Enter)
	if res := <-ch; res.line != "hal-f" {
		t.Error(res)
	}
	const want = "you> half\b\r~par\r\nyou> half\b\r~tial\r\nyou> half\b-f\b" + "f\r\n"
	if got := strings.ReplaceAll(r.line.String(), "         \r", "~"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFailingSides(t *testing.T) {
	r := newRig(t, 800, 600)
	r.line.fail = errBroken
	r.write("still here\n")
	if got := r.text(); !strings.Contains(got, "failed and is no longer used.") || !strings.HasPrefix(got, "still here") {
		t.Errorf("the screen says %q", got)
	}
	if !errors.Is(r.Err(), errBroken) {
		t.Error(r.Err())
	}
	r.screen.fail = errBroken
	if _, err := r.Write([]byte("anyone?")); !errors.Is(err, errBroken) {
		t.Error("with no side left, Write returns", err)
	}

	r = newRig(t, 800, 600)
	r.screen.fail = errBroken
	r.write("still here\n")
	if got := r.line.String(); !strings.Contains(got, "failed and is no longer used.") {
		t.Errorf("the serial line says %q", got)
	}
	if res := r.say("ok"); res != "ok" {
		t.Error(res)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Screen: newMemScreen(64, 32)}, {Screen: newMemScreen(0, 0)}, {Screen: &memScreen{w: 1 << 20, h: 1 << 20}}, {Screen: &memScreen{w: 800, h: 600, fail: errBroken}}} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "console: ") {
			t.Errorf("New gives %v", err)
		}
	}
}

func TestLayout(t *testing.T) {
	for _, tt := range []struct{ w, h, minCols, maxCols, minRows int }{
		{640, 480, 80, 100, 20}, {800, 600, 80, 100, 24}, {1024, 768, 80, 112, 28}, {1280, 800, 100, 112, 25},
		{1440, 900, 100, 112, 25}, {1920, 1080, 100, 112, 22}, {2560, 1600, 100, 112, 26}, {2880, 1800, 100, 110, 26}, {3840, 2160, 100, 110, 23},
	} {
		g := layout(tt.w, tt.h, normalSize)
		if g.cols < tt.minCols || g.cols > tt.maxCols || g.rows < tt.minRows || g.cols*g.cellW > tt.w || g.rowTop(g.rows-1)+g.cellH > g.height-g.barH || g.rowTop(0) < g.barH {
			t.Errorf("%dx%d: %+v", tt.w, tt.h, g)
		}
	}
	for size, want := range []int{23, 27, 34, 46} {
		if g := layout(2880, 1800, size); g.cellW != want {
			t.Errorf("%s text has cells of %d pixels, want %d", textSizes[size].name, g.cellW, want)
		}
	}
}

func TestPixels(t *testing.T) {
	r := newRig(t, 800, 600)
	s := r.surface.painter.(*pixels)
	cell := func(x, y int) (pix []uint32) {
		for j := range s.cellH {
			p := (s.upper+y*s.cellH+j)*s.width + s.left + x*s.cellW
			pix = append(pix, r.screen.pix[p:p+s.cellW]...)
		}
		return pix
	}
	count := func(pix []uint32, colour uint32) (n int) {
		for _, p := range pix {
			if p == colour {
				n++
			}
		}
		return n
	}
	area := s.cellW * s.cellH
	background, looks := s.theme.ground, s.theme.looks
	if n := count(r.screen.pix, background); n != 800*(600-2*s.barH) {
		t.Fatalf("an empty screen has %d background pixels", n)
	}
	for _, at := range []int{0, 799, 800*s.barH - 1, 800 * (600 - s.barH), 800*600 - 1} { // as wide as the screen
		if r.screen.pix[at] != looks[barText].bg {
			t.Errorf("pixel %d,%d is not in a bar", at%800, at/800)
		}
	}
	r.write("█M─ \u4e2d")
	if n := count(cell(0, 0), looks[Plain].fg); n != area {
		t.Errorf("a full block covers %d of %d", n, area)
	}
	if n := area - count(cell(1, 0), background); n < area/5 || n > area*4/5 {
		t.Errorf("an M covers %d of %d", n, area)
	}
	if row := cell(2, 0)[s.cellH/2*s.cellW:][:s.cellW]; count(row, background) != 0 {
		t.Error("a horizontal line has holes")
	}
	if n := count(cell(3, 0), background); n != area {
		t.Error("a blank is not blank")
	}
	if count(cell(4, 0), background) == area || count(cell(5, 0), background) == area {
		t.Error("a missing wide character does not show in both its cells")
	}
	r.write("\n")
	r.read("> ")
	at := s.cols
	for x := range s.cols {
		if count(cell(x, 2), s.theme.cursor().bg) == area {
			at = x
		}
	}
	if at != 7 {
		t.Errorf("the cursor is in column %d", at)
	}
}

// Little is sent to the screen: a token costs its own cells, a write one coalesced flush.
func TestFlushIsSmall(t *testing.T) {
	r := newRig(t, 800, 600)
	area := len(r.surface.painter.(*pixels).tile(cell{id: 'x'}))
	r.screen.flushes, r.screen.pixels = 0, 0
	r.write("token")
	if r.screen.flushes != 1 || r.screen.pixels != 5*area {
		t.Errorf("a token took %d flushes of %d cells", r.screen.flushes, r.screen.pixels/area)
	}
	r.screen.flushes = 0
	r.write("")
	r.write("\n")
	if r.screen.flushes != 0 {
		t.Error("nothing changed, yet it was flushed")
	}
	r.write(strings.Repeat("a long line of text that fills the screen and scrolls\n", 100))
	if r.screen.flushes > r.surface.rows {
		t.Errorf("one large write took %d flushes", r.screen.flushes)
	}
	r.screen.flushes, r.screen.pixels = 0, 0
	r.write("a long line of text that fills the screen and scrolls\n") // looks the same after scrolling
	if r.screen.pixels != 0 {
		t.Errorf("scrolling equal lines flushed %d cells", r.screen.pixels/area)
	}
}

// A recalled conversation looks as it did, cell by cell.
func TestReplay(t *testing.T) {
	const question, answer = "Hello?\x1b[2J second word of a line that is long enough to be wrapped on a screen of this width", "Hi.\nA second line, which is just as long as the one above, so that it is wrapped, too."
	live, r := newRig(t, 800, 600), newRig(t, 800, 600)
	live.Notice("Note: recovered.")
	live.say(strings.ReplaceAll(question, "\x1b", "^["))
	live.BeginAnswer()
	live.write(answer + "\n")
	live.say("Bye")
	live.BeginAnswer()
	live.write("Bye.\n")
	live.read("you> ")

	r.Notice("Note: recovered.")
	r.Replay("you> ", question, "")
	r.ReplayAnswer(answer, "")
	r.Replay("you> ", "Bye", "")
	r.ReplayAnswer("Bye.", "")
	r.read("you> ")
	if !slices.Equal(r.surface.shown, live.surface.shown) {
		t.Errorf("recalled:\n%s\nas it was:\n%s", r.text(), live.text())
	}
	if got, want := r.line.String(), "Note: recovered.\r\n  you: Hello?^[[2J second word of a line that is long enough to be wrapped on a screen of this width\r\n"+
		"  alpha: Hi.\r\nA second line, which is just as long as the one above, so that it is wrapped, too.\r\n  you: Bye\r\n  alpha: Bye.\r\nyou> "; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r.press("x", Enter)
	r.later(0)
	r.ReplayAnswer("Half an", "(cut short)")
	if got := r.text(); !strings.HasSuffix(got, "alpha  Half an\n       (cut short)") {
		t.Errorf("got\n%s", got)
	}
}

// What the serial line says is already on the screen.
func TestScreenComesFirst(t *testing.T) {
	screen := newMemScreen(800, 600)
	w := &orderWriter{screen: screen}
	c, err := New(Options{Screen: screen, Serial: w})
	if err != nil {
		t.Fatal(err)
	}
	screen.flushes = 0
	c.Write([]byte("x"))
	if w.before != 1 {
		t.Errorf("%d flushes before the serial line was written", w.before)
	}
}

type orderWriter struct {
	screen *memScreen
	before int
}

func (w *orderWriter) Write(p []byte) (int, error) {
	w.before = w.screen.flushes
	return len(p), nil
}

// Keyboards that report control characters as characters work too.
func TestRawControlKeys(t *testing.T) {
	r := newRig(t, 0, 0)
	ch := r.read("you> ")
	r.press("abx\x08\x00\x1c\r")
	if res := <-ch; res.line != "ab" || res.err != nil {
		t.Error(res)
	}
}

// FuzzPage checks that text laid out at once and in pieces looks the same.
func FuzzPage(f *testing.F) {
	f.Add("words of text that wrap around the edge, and a looooooooooooooooong one", uint8(3), uint8(20))
	f.Add("日本語 e\u0301 👩‍🚀\t🇩🇪\nx", uint8(1), uint8(9))
	f.Fuzz(func(t *testing.T, in string, step, cols uint8) {
		if strings.ContainsAny(in, "\ufe0e\ufe0f") {
			t.Skip("a variation selector may narrow what was already wrapped")
		}
		in = cleanString(in)
		var table clusters
		lay := func(step int) *page {
			p := newPage(int(cols)+8, 1000, &table)
			p.setIndent(3)
			for s := []rune(in); len(s) > 0; {
				n := min(step, len(s))
				p.write(string(s[:n]))
				s = s[n:]
			}
			for _, row := range p.lines {
				if len(row) > p.cols {
					t.Fatalf("a row of %d cells in %d columns", len(row), p.cols)
				}
			}
			return p
		}
		whole, pieces := lay(len(in)+1), lay(int(step)+1)
		if a, b := fmt.Sprint(whole.lines), fmt.Sprint(pieces.lines); a != b {
			t.Fatalf("%q differs", in)
		}
	})
}

func FuzzWrite(f *testing.F) {
	f.Add([]byte("alpha> Hello, world\n"), uint8(3))
	f.Add([]byte("e\u0301 日本語 👩‍🚀 🇩🇪\r\n\ttab\x1b[2J\xff\xe2\x82"), uint8(1))
	f.Add([]byte(strings.Repeat("word and 文 ", 40)), uint8(7))
	f.Add([]byte("\u0600a\u200d\ufe0f\u0301\u0301"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		write := func(step int) (string, *rig) {
			line := &serialLine{}
			screen := newMemScreen(480, 200)
			c, err := New(Options{Screen: screen, Serial: line})
			if err != nil {
				t.Fatal(err)
			}
			for p := in; len(p) > 0; {
				n := min(step, len(p))
				if _, err := c.Write(p[:n]); err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			c.Quiet("end")
			r := &rig{Console: c, screen: screen, line: line, t: t}
			r.consistent()
			for _, row := range c.page.lines {
				if len(row) > c.page.cols {
					t.Fatalf("a row of %d cells", len(row))
				}
				for i, x := range row {
					if x.mark&markTrail != 0 && (i == 0 || row[i-1].id != x.id) {
						t.Fatal("half a wide character")
					}
				}
			}
			return line.String(), r
		}
		whole, _ := write(len(in) + 1)
		pieces, _ := write(int(step) + 1)
		if whole != pieces {
			t.Fatalf("whole  %q\npieces %q", whole, pieces)
		}
		if !utf8.ValidString(whole) {
			t.Fatalf("invalid UTF-8: %q", whole)
		}
		for _, r := range strings.ReplaceAll(whole, "\r\n", "") {
			if r != '\t' && !printable(r) {
				t.Fatalf("%q holds %U", whole, r)
			}
		}
	})
}
