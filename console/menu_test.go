package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// choose opens a menu and waits until it is there.
func (r *rig) choose(m Menu) <-chan result {
	r.t.Helper()
	ch := make(chan result, 1)
	go func() {
		row, err := r.Choose(r.t.Context(), m)
		ch <- result{fmt.Sprint(row), err}
	}()
	r.until(func() bool { return r.menu != nil })
	return ch
}

func rowsOf(names ...string) func() []Row {
	rows := make([]Row, len(names))
	for i, n := range names {
		rows[i].Name = n
		rows[i].Head = strings.HasPrefix(n, "#")
	}
	return func() []Row { return rows }
}

var ten = rowsOf("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

func TestMenuKeys(t *testing.T) {
	for _, tt := range []struct {
		name string
		menu Menu
		keys []any
		row  string
		err  error
	}{
		{"enter", Menu{Rows: ten}, []any{Enter}, "0", nil},
		{"at first", Menu{Rows: ten, Choice: 3}, []any{Enter}, "3", nil},
		{"down", Menu{Rows: ten}, []any{Down, Down, Enter}, "2", nil},
		{"round", Menu{Rows: ten}, []any{Up, Enter}, "9", nil},
		{"right", Menu{Rows: ten}, []any{Down, Right}, "1", nil},
		{"number", Menu{Rows: rowsOf("a", "b", "c")}, []any{"3"}, "2", nil},
		{"no such number", Menu{Rows: rowsOf("a", "b", "c")}, []any{"7", "2"}, "1", nil},
		{"long number", Menu{Rows: ten}, []any{"10", Enter}, "9", nil},
		{"digit of many", Menu{Rows: ten}, []any{"4", Enter}, "3", nil},
		{"heads are passed", Menu{Rows: rowsOf("#x", "a", "#y", "b")}, []any{Down, Enter}, "3", nil},
		{"heads have no number", Menu{Rows: rowsOf("#x", "a", "#y", "b")}, []any{"2"}, "3", nil},
		{"left", Menu{Rows: ten}, []any{Left}, "0", ErrBack},
		{"backspace", Menu{Rows: ten}, []any{Backspace}, "0", ErrBack},
		{"escape", Menu{Rows: ten}, []any{Esc}, "0", ErrBack},
		{"zero", Menu{Rows: rowsOf("a", "b")}, []any{"0"}, "0", ErrBack},
		{"no way back", Menu{Rows: rowsOf("a", "b"), Root: true}, []any{Left, Backspace, Esc, CtrlC, "0", "2"}, "1", nil},
		{"filter", Menu{Rows: ten, Filter: true}, []any{"ve", Down, Enter}, "6", nil},
		{"less filter", Menu{Rows: ten, Filter: true}, []any{"ninx", Backspace, Enter}, "8", nil},
		{"nothing left", Menu{Rows: ten, Filter: true}, []any{"xyz", Enter, Down, Esc, Enter}, "5", nil}, // x found six,
		{"letters do nothing", Menu{Rows: ten}, []any{"ve", Enter}, "0", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1280, 800)
			got := r.choose(tt.menu)
			r.press(tt.keys...)
			if x := <-got; x.line != tt.row || x.err != tt.err {
				t.Errorf("row %s, %v; want %s, %v", x.line, x.err, tt.row, tt.err)
			}
		})
	}
}

// A number and the Enter behind it are one, and the rest waits for the line that is read next. What came before the
// menu is no choice.
func TestMenuAndLines(t *testing.T) {
	r := newRig(t, 1280, 800)
	r.press("early")
	r.later(0)
	got := r.choose(Menu{Title: "Choices", Rows: rowsOf("a", "b")})
	if text := r.text(); !strings.Contains(text, "› 1  a") || strings.Contains(text, "› 2") || !strings.Contains(r.title(), "Choices") {
		t.Errorf("the menu is\n%s\n%s", r.title(), text)
	}
	r.press("2")
	if x := <-got; x.line != "1" || x.err != nil {
		t.Error(x)
	}
	r.press(Enter, " late", Enter)
	if line, err := r.ReadLine("you> "); line != "early late" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	got = r.choose(Menu{Rows: rowsOf("a", "b")})
	r.press("1")
	<-got
	r.later(digitEnter)
	r.press(Enter) // this one is meant
	if line, err := r.ReadLine("you> "); line != "" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

// Values are changed in place, by the arrows and by their numbers.
func TestMenuTurns(t *testing.T) {
	r := newRig(t, 1280, 800)
	at, sizes := 1, TextSizes()
	m := Menu{
		Title: "Settings",
		Rows: func() []Row {
			return []Row{{Name: "Text size", Value: sizes[at], Turns: true}, {Name: "Model", Help: "which one answers"}}
		},
		Turn: func(row, by int) {
			if row != 0 {
				t.Errorf("row %d is turned", row)
			}
			at = (at + by + len(sizes)) % len(sizes)
			if err := r.SetTextSize(sizes[at]); err != nil {
				t.Error(err)
			}
		},
	}
	got := r.choose(m)
	r.press(Left)
	r.until(func() bool { return r.size == 0 })
	r.press(Right, Right)
	r.until(func() bool { return strings.Contains(r.rowText(1), "Text size   ‹ large ›") })
	r.press("1")
	r.until(func() bool { return r.size == 3 })
	r.press(Enter) // belongs to the number
	r.press(Down, Left)
	if x := <-got; x.err != ErrBack {
		t.Error(x)
	}
	if s := r.line.String(); !strings.Contains(s, "Text size: small\r\n") || !strings.Contains(s, "Text size: huge\r\n") {
		t.Errorf("%q", s)
	}
}

// The clock takes the choice, unless a key stops it.
func TestMenuWait(t *testing.T) {
	r := newRig(t, 1280, 800)
	m := Menu{Title: "Start", Rows: rowsOf("go", "stay"), Choice: 1, Wait: 5 * time.Second}
	got := r.choose(m)
	if text := r.text(); !strings.Contains(text, "5 s") || !strings.Contains(r.status(), "any key  stops the clock") {
		t.Errorf("%s\n%s", text, r.status())
	}
	r.later(1500 * time.Millisecond)
	r.until(func() bool { return strings.Contains(r.rowText(2), "4 s") })
	r.later(3501 * time.Millisecond)
	if x := <-got; x.line != "1" || x.err != nil {
		t.Error(x)
	}
	got = r.choose(m)
	r.press("x")
	r.until(func() bool { return r.menu.until.IsZero() })
	r.later(time.Hour)
	r.press("1")
	if x := <-got; x.line != "0" || x.err != nil {
		t.Error(x)
	}

	// Nobody can press a key: the clock goes on, and without one the menu ends.
	close(r.keys)
	r.until(func() bool { return r.closed })
	got = r.choose(m)
	r.mu.Lock()
	r.now = r.now.Add(time.Minute)
	r.mu.Unlock()
	if x := <-got; x.line != "1" || x.err != nil {
		t.Error(x)
	}
	m.Wait = 0
	if _, err := r.Choose(t.Context(), m); err != io.EOF {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Wait = time.Minute
	if _, err := r.Choose(ctx, m); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Whoever has only a serial line reads the rows and types a number and Enter.
func TestMenuSerial(t *testing.T) {
	r := newRig(t, 0, 0)
	notes := []Note{{"Model", "loads", Plain}}
	m := Menu{
		Title: "Start", Root: true, Filter: true, Wait: 5 * time.Second,
		Rows: func() []Row {
			return []Row{{Name: "Go", Help: "begins"}, {Name: "Stay", Value: "here"}, {Name: "Theme", Value: "day", Turns: true}}
		},
		Notes: func() []Note {
			r.mu.Lock()
			defer r.mu.Unlock()
			return notes
		},
		Turn: func(int, int) {},
	}
	got := r.choose(m)
	const want = "\r\nStart\r\n>  1  Go     begins\r\n   2  Stay   here\r\n   3  Theme  day\r\nModel: loads\r\n" +
		"Type a number from 1 to 3 and Enter; Enter alone takes Go. A word finds rows. That comes by itself in 5 s; any key stops the clock.\r\n"
	if s := r.line.String(); s != want {
		t.Errorf("%q\nwant\n%q", s, want)
	}
	r.mu.Lock()
	notes = []Note{{"Model", "is loaded", Plain}, {"Drive", "is gone", Failure}}
	r.mu.Unlock()
	r.until(func() bool { return strings.HasSuffix(r.line.String(), "Drive: is gone\r\n") })
	if strings.Contains(r.line.String(), "is loaded") {
		t.Errorf("%q", r.line.String())
	}
	r.press("3", Enter, "9", Enter)
	r.until(func() bool {
		return strings.HasSuffix(r.line.String(), "3\r\nTheme: day\r\n9\r\nThere is no 9: type a number from 1 to 3.\r\n")
	})
	r.press("st", Enter)
	if x := <-got; x.line != "1" || x.err != nil {
		t.Error(x)
	}
	got = r.choose(m)
	r.press("e", Enter) // Stay, here; Go, begins; Theme
	r.until(func() bool { return strings.Count(r.line.String(), "Start\r\n") == 3 && r.menu.filter == "" })
	r.press("2", Enter)
	if x := <-got; x.line != "1" || x.err != nil {
		t.Error(x)
	}
}

// What others say meanwhile comes whole on the serial line, behind the menu or behind the value that it is about.
func TestMenuMeanwhile(t *testing.T) {
	r := newRig(t, 0, 0)
	r.Quiet("before")
	m := Menu{Title: "Start", Root: true, Rows: func() []Row { return []Row{{Name: "Go"}, {Name: "Theme", Value: "day", Turns: true}} },
		Turn: func(int, int) { r.Error("No theme.") }}
	got := r.choose(m)
	const menu = "before\r\n\r\nStart\r\n>  1  Go\r\n   2  Theme  day\r\nType a number from 1 to 2 and Enter; Enter alone takes Go.\r\n"
	r.press("1")
	r.until(func() bool { return strings.HasSuffix(r.line.String(), menu+"1") })
	r.Quiet("The first.")
	r.BeginAnswer()
	r.Write([]byte("half"))
	r.press("1", Enter)
	const no = "11\r\nThere is no 11: type a number from 1 to 2.\r\n"
	r.until(func() bool { return strings.HasSuffix(r.line.String(), menu+no) })
	r.press("2", Enter)
	const turned = "2\r\nThe first.\r\nalpha> half\r\nNo theme.\r\nTheme: day\r\n"
	r.until(func() bool { return strings.HasSuffix(r.line.String(), menu+no+turned) })
	r.Quiet("The last.")
	r.press("1", Enter)
	if x := <-got; x.line != "0" || x.err != nil {
		t.Error(x)
	}
	if s := r.line.String(); !strings.HasSuffix(s, menu+no+turned+"1\r\nGo\r\nThe last.\r\n") {
		t.Errorf("%q", s)
	}
}

// What is chosen without being taken is told, and what the keys type is shown where they can be tried.
func TestMenuTries(t *testing.T) {
	r := newRig(t, 1280, 800)
	var chosen []int
	got := r.choose(Menu{Title: "Keys", Intro: "Which?\nTry them.", Rows: rowsOf("a", "b", "c"), Try: "try:", Chosen: func(row int) { chosen = append(chosen, row) }})
	r.press("zä ", Down, Backspace, Backspace, "x", Down)
	r.until(func() bool { return r.menu.choice == 2 })
	r.later(0)
	if text := r.text(); !strings.Contains(text, "Which?") || !strings.Contains(text, "Try them.") || !strings.Contains(text, "try:  zx") || !strings.Contains(text, "› 3  c") {
		t.Errorf("the menu is\n%s", text)
	}
	if !strings.Contains(r.line.buf.String(), "Which?\r\nTry them.") {
		t.Errorf("the serial line has %q", r.line.buf.String())
	}
	r.press(Enter)
	if x := <-got; x.line != "2" || x.err != nil || fmt.Sprint(chosen) != "[1 2]" {
		t.Error(x, chosen)
	}
}
