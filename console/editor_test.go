package console

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func TestLineEditor(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []any
		want string
	}{
		{"plain", []any{"hello"}, "hello"},
		{"empty", nil, ""},
		{"insert", []any{"helo", Left, "l"}, "hello"},
		{"home and end", []any{"ell", Home, "h", End, "o"}, "hello"},
		{"ctrl-a and ctrl-e", []any{"ell", CtrlA, "h", CtrlE, "o"}, "hello"},
		{"bounds", []any{Left, Right, Delete, Backspace, Up, Down, "x", Right, Delete, Left, Left, Backspace}, "x"},
		{"backspace and delete", []any{"hexllyo", Left, Backspace, Home, Right, Right, Delete}, "hello"},
		{"ctrl-d deletes", []any{"xa", Home, CtrlD}, "a"},
		{"ctrl-u", []any{"junk good", WordLeft, CtrlU}, "good"},
		{"ctrl-k", []any{"good junk", Home, WordRight, CtrlK}, "good"},
		{"ctrl-w", []any{"one two  ", CtrlW, "three"}, "one three"},
		{"words", []any{"one two", WordLeft, WordLeft, "0 ", WordRight, WordRight, WordRight, "!"}, "0 one two!"},
		{"whole characters", []any{"a👩‍🚀", Backspace, "e\u0301x", Left, Backspace, "🇩🇪🇫🇷", Left, Delete, "日", Backspace}, "a🇩🇪x"},
		{"an accent typed into the middle", []any{"ex", Left, "\u0301", "y"}, "e\u0301yx"},
		{"a joiner typed into the middle", []any{"👩🚀", Left, "\u200d", "!"}, "👩\u200d🚀!"},
		{"tab and esc do nothing", []any{"a", Tab, Esc, PageUp, PageDown, "b"}, "ab"},
		{"history", []any{Up}, "third"},
		{"more history", []any{"draft", Up, Up, Up, Up, Down, "!"}, "second!"},
		{"back to the draft", []any{"draft", Up, Up, Down, Down, Down, "!"}, "draft!"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, width := range []int{0, 800} {
				r := newRig(t, width, width*3/4)
				r.AddHistory("first", "second", "")
				r.say("third")
				r.say("third")
				r.say("")
				ch := r.read("you> ")
				r.press(tt.keys...)
				r.press(Enter)
				if res := <-ch; res.line != tt.want || res.err != nil {
					t.Errorf("got %q, %v, want %q", res.line, res.err, tt.want)
				}
				if width > 0 {
					got := r.rows()
					if last := strings.TrimSpace(got[len(got)-1]); last != strings.TrimSpace("you  "+tt.want) {
						t.Errorf("the screen shows %q", last)
					}
				}
				// A terminal shows the same.
				lines := emulate(t, r.line.String())
				if last := lines[len(lines)-2]; last != strings.TrimRight("you> "+tt.want, " ") {
					t.Errorf("a terminal shows %q", last)
				}
			}
		})
	}
}

func TestInterruptAndEOF(t *testing.T) {
	r := newRig(t, 800, 600)
	ch := r.read("you> ")
	r.press("half", CtrlC)
	if res := <-ch; res.line != "" || !errors.Is(res.err, ErrInterrupted) {
		t.Error(res)
	}
	ch = r.read("you> ")
	r.press(CtrlD, "x", Backspace, CtrlD, CtrlD) // a slip does not end anything
	if res := <-ch; res.err != io.EOF {
		t.Error(res)
	}
	if got := r.text(); strings.Count(got, "Ctrl-D once more ends the conversation") != 2 || !strings.HasPrefix(got, "  you  half^C\n") {
		t.Errorf("got %q", got)
	}
	ch = r.read("you> ")
	close(r.keys)
	if res := <-ch; res.err != io.EOF {
		t.Error(res)
	}
	if _, err := r.ReadLine("again> "); err != io.EOF {
		t.Error(err)
	}
}

func TestCloseEndsReadLine(t *testing.T) {
	r := newRig(t, 800, 600)
	ch := r.read("you> ")
	r.Close()
	if res := <-ch; res.err != io.EOF {
		t.Error(res)
	}
	c, err := New(Options{Serial: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadLine("> "); err != io.EOF {
		t.Error("without keys:", err)
	}
}

func TestCompletion(t *testing.T) {
	keys := make(chan Key)
	c, err := New(Options{Serial: io.Discard, Keys: keys, Complete: func(s string) string {
		if s == "/mo" {
			return "/models"
		}
		return s
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		for _, r := range "/mo x" {
			keys <- Key{Rune: r}
		}
		for _, k := range []Code{Left, Left, Tab, Enter} {
			keys <- Key{Code: k}
		}
	}()
	if line, err := c.ReadLine("> "); line != "/models x" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

func TestLongLine(t *testing.T) {
	r := newRig(t, 800, 600)
	word := "word "
	ch := r.read("you> ")
	text := strings.Repeat(word, 60)
	r.press(text)
	r.settled()
	r.until(func() bool { return r.editor.pos == len(text) })
	rows := r.rows()
	if len(rows) != 4 || !strings.HasPrefix(rows[1], "       word") || !strings.HasSuffix(rows[3], "█") {
		t.Errorf("got\n%s", strings.Join(rows, "\n"))
	}
	// Longer than the screen: the cursor stays in sight.
	r.press(strings.Repeat(word, 600), Home)
	r.settled()
	r.until(func() bool { return r.editor.pos == 0 })
	if got := r.rows()[0]; !strings.HasPrefix(got, "  you> word") {
		t.Errorf("the first row is %q", got)
	}
	r.consistent()
	r.press(End)
	r.settled()
	r.until(func() bool { return r.editor.pos > 3000 })
	rows = r.rows()
	if got := rows[len(rows)-1]; !strings.HasSuffix(got, "█") {
		t.Errorf("the last row is %q", got)
	}
	r.consistent()
	r.press(CtrlU, Enter)
	if res := <-ch; res.line != "" {
		t.Error(res)
	}
	// And there is an end to what is taken.
	ch = r.read("you> ")
	r.press(strings.Repeat("x", maxInput+100), Enter)
	if res := <-ch; len(res.line) < maxInput-8 || len(res.line) > maxInput {
		t.Error(len(res.line))
	}
}

// emulate plays what a terminal without line wrap would show.
func emulate(t *testing.T, s string) []string {
	t.Helper()
	lines := []string{""}
	type pos struct {
		cluster string
		trail   bool
	}
	var row []pos
	col := 0
	for len(s) > 0 {
		switch {
		case strings.HasPrefix(s, "\r\n"):
			col, s = 0, s[2:]
			var b strings.Builder
			for _, p := range row {
				b.WriteString(p.cluster)
			}
			lines[len(lines)-1] = strings.TrimRight(b.String(), " ")
			lines, row = append(lines, ""), nil
		case s[0] == '\r':
			col, s = 0, s[1:]
		case s[0] == '\b':
			if col == 0 {
				t.Fatal("backspace at the left edge")
			}
			col, s = col-1, s[1:]
		case s[0] < ' ':
			t.Fatalf("unexpected %q", s[0])
		default:
			cl, rest, w, _ := uniseg.FirstGraphemeClusterInString(s, -1)
			// A combining character that comes alone joins what stands before the cursor.
			if w == 0 || cl[0] >= 0x80 && col > 0 && uniseg.GraphemeClusterCount(row[col-1].cluster+cl) == 1 && row[col-1].cluster != "" {
				row[col-1].cluster += cl
				s = rest
				continue
			}
			for len(row) < col+w {
				row = append(row, pos{" ", false})
			}
			row[col] = pos{cl, false}
			for i := 1; i < w; i++ {
				row[col+i] = pos{"", true}
			}
			col, s = col+w, rest
		}
	}
	return lines
}

// Whatever is done to a line, screen, terminal and result agree.
func TestRandomEditing(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	alphabet := []any{"a", "b", " ", "word ", "日", "e\u0301", "🇩🇪", Left, Left, Right, Backspace, Delete, Home, End, WordLeft, WordRight, CtrlW, CtrlK, Up, Down}
	for round := range 150 {
		r := newRig(t, 480, 300)
		r.AddHistory("older line", "日本")
		ch := r.read("you> ")
		for range 40 {
			r.press(alphabet[rnd.Intn(len(alphabet))])
			if rnd.Intn(3) == 0 {
				r.settled()
			}
		}
		r.settled()
		r.mu.Lock()
		e := *r.editor
		r.mu.Unlock()
		if e.pos > 0 && e.pos < len(e.text) {
			boundary := false
			g := uniseg.NewGraphemes(e.text)
			for g.Next() {
				_, to := g.Positions()
				boundary = boundary || to == e.pos
			}
			if !boundary {
				t.Fatalf("the cursor is at %d inside a character of %q", e.pos, e.text)
			}
		}
		if want := uniseg.StringWidth(e.text[:e.pos]); e.at != want {
			t.Fatalf("the serial cursor is at %d, want %d", e.at, want)
		}
		r.consistent()
		r.press(Enter)
		res := <-ch
		if lines := emulate(t, r.line.String()); lines[0] != strings.TrimRight("you> "+res.line, " ") {
			t.Fatalf("round %d: result %q, a terminal shows %q", round, res.line, lines[0])
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(r.text()) != squeeze("you"+res.line) {
			t.Fatalf("result %q, the screen shows %q", res.line, r.text())
		}
	}
}

func Example() {
	keys := make(chan Key, 16)
	for _, r := range "Hi!" {
		keys <- Key{Rune: r}
	}
	keys <- Key{Code: Enter}
	close(keys)
	var serial strings.Builder
	c, err := New(Options{Serial: &serial, Keys: keys}) // under firmware: Screen, COM1, keyboard
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	c.Write([]byte("AlphaOS\n"))
	line, err := c.ReadLine("you> ")
	if err != nil {
		fmt.Println(err)
		return
	}
	c.BeginAnswer()
	fmt.Fprintf(c, "You said %q.", line)
	c.Quiet("4 tokens, 12.1 tokens/s")
	fmt.Print(strings.ReplaceAll(serial.String(), "\r\n", "\n"))
	// Output:
	// AlphaOS
	// you> Hi!
	// alpha> You said "Hi!".
	// 4 tokens, 12.1 tokens/s
}
