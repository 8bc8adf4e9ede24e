package console

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// emulator is a terminal: it keeps a character and its attributes for each cell, and refuses what it does not know.
type emulator struct {
	t          testing.TB
	cols, rows int
	cells      []string // text and, behind a tab, its attributes
	y, x       int
	sgr        string
	cursor     bool
	written    int
	fail       error
}

func newEmulator(t testing.TB, cols, rows int) *emulator {
	e := &emulator{t: t}
	e.resize(cols, rows)
	return e
}

func (e *emulator) resize(cols, rows int) {
	e.cols, e.rows = cols, rows
	e.cells = make([]string, cols*rows)
}

var sequence = regexp.MustCompile(`^\x1b\[(\??)([0-9;]*)([A-Za-z])`)

func (e *emulator) Write(p []byte) (int, error) {
	if e.fail != nil {
		return 0, e.fail
	}
	e.written += len(p)
	for s := string(p); s != ""; {
		if m := sequence.FindStringSubmatch(s); m != nil {
			s = s[len(m[0]):]
			switch m[1] + m[3] {
			case "H":
				y, x, _ := strings.Cut(m[2], ";")
				e.y, _ = strconv.Atoi(y)
				e.x, _ = strconv.Atoi(x)
				e.y, e.x = max(e.y, 1)-1, max(e.x, 1)-1
			case "m":
				if m[2] != "0" && !strings.HasPrefix(m[2], "0;") {
					e.t.Errorf("attributes are added to those before: %q", m[0])
				}
				e.sgr = m[2]
			case "?h", "?l":
				switch m[2] {
				case "25":
					e.cursor = m[3] == "h"
				case "2026":
				default:
					e.t.Errorf("an unexpected mode: %q", m[0])
				}
			default:
				e.t.Errorf("an unexpected sequence: %q", m[0])
			}
			continue
		}
		if s[0] < ' ' {
			e.t.Fatalf("a control character: %q", s[:min(20, len(s))])
		}
		cl, rest, w := nextCluster(s)
		if e.y >= e.rows || e.x+w > e.cols {
			e.t.Errorf("%q is written at %d,%d, outside", cl, e.x, e.y)
		} else {
			e.cells[e.y*e.cols+e.x] = cl + "\t" + e.sgr
			if w == 2 {
				e.cells[e.y*e.cols+e.x+1] = "\t"
			}
		}
		e.x, s = e.x+w, rest
	}
	return len(p), nil
}

// row is the text in a row.
func (e *emulator) row(y int) string {
	var b strings.Builder
	for _, c := range e.cells[y*e.cols:][:e.cols] {
		text, _, _ := strings.Cut(c, "\t")
		b.WriteString(text)
	}
	return strings.TrimRight(b.String(), " ")
}

func (e *emulator) text() string {
	var rows []string
	for y := range e.rows {
		rows = append(rows, e.row(y))
	}
	return strings.Join(rows, "\n")
}

// newTerminalRig is a rig with a terminal for its screen.
func newTerminalRig(t *testing.T, e *emulator, colour Colour) *rig {
	t.Helper()
	r := &rig{line: &serialLine{}, keys: make(chan Key), t: t}
	c, err := New(Options{Keys: r.keys, Terminal: &Terminal{W: e, Size: func() (int, int) { return e.cols, e.rows }, Colour: colour}})
	if err != nil {
		t.Fatal(err)
	}
	r.Console = c
	t.Cleanup(func() { c.Close() })
	return r
}

// What a terminal shows is what is meant, whatever is shown and in whatever order, also when its size changes.
func TestTerminalShowsCells(t *testing.T) {
	for _, colour := range []Colour{NoColour, Colour256, TrueColour} {
		e := newEmulator(t, 80, 24)
		r := newTerminalRig(t, e, colour)
		rng := rand.New(rand.NewPCG(1, uint64(colour)))
		compare := func(step string) {
			t.Helper()
			r.mu.Lock()
			defer r.mu.Unlock()
			fresh := newEmulator(t, e.cols, e.rows)
			s, err := newTerminalSurface(&Terminal{W: fresh, Size: func() (int, int) { return e.cols, e.rows }, Colour: colour}, &r.table, r.theme)
			if err != nil {
				t.Fatal(err)
			}
			r.show() // a bar may have moved on
			if err := s.show(r.want); err != nil {
				t.Fatal(err)
			}
			if fresh.text() != e.text() {
				t.Fatalf("%s: the terminal shows\n%s\nand drawn afresh\n%s", step, e.text(), fresh.text())
			}
			if fresh.cursor != e.cursor || e.cursor && (fresh.x != e.x || fresh.y != e.y) {
				t.Fatalf("%s: the cursor is at %d,%d %v, and drawn afresh at %d,%d %v", step, e.x, e.y, e.cursor, fresh.x, fresh.y, fresh.cursor)
			}
		}
		pieces := []string{"plain words ", "**bold** ", "# Heading\n", "中文字符", "`code` ", "e\u0301a\u0308", "👩‍👩‍👧 ", "\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n\n", "- item\n", "▶︎ ", "\t", "\x1b[2J"}
		for i := range 150 {
			switch n := rng.IntN(12); n {
			case 0:
				r.BeginAnswer()
			case 1:
				r.Notice("a notice")
			case 2:
				p := r.Progress("Loading", 100)
				p.Set(int64(rng.IntN(100)))
				if rng.IntN(2) == 0 {
					p.Done()
				}
			case 3:
				if rng.IntN(4) == 0 {
					e.mustResize(r, 10+rng.IntN(100), 3+rng.IntN(40))
				}
			case 4:
				if err := r.SetTheme(Themes()[rng.IntN(3)]); err != nil {
					t.Fatal(err)
				}
			case 5:
				r.say("a line")
			default:
				r.write(pieces[rng.IntN(len(pieces))])
			}
			compare(fmt.Sprint("step ", i))
		}
	}
}

func (e *emulator) mustResize(r *rig, cols, rows int) {
	r.mu.Lock()
	e.resize(cols, rows)
	r.mu.Unlock()
	r.Resize()
	if err := r.Err(); err != nil {
		e.t.Fatal(err)
	}
}

// A line that is longer than the terminal is edited in the right place.
func TestTerminalEditsWrappedLine(t *testing.T) {
	e := newEmulator(t, 80, 24)
	r := newTerminalRig(t, e, TrueColour)
	read := r.read("you> ")
	r.press(strings.Repeat("0123456789 ", 12), Up, Home, "x", Down, Backspace, End, "!")
	r.settled()
	r.until(func() bool { return strings.Contains(e.text(), "!") })
	row := "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"
	r.mu.Lock()
	if got, want := e.row(1)+"\n"+e.row(2), "  you> x"+row+"\n       "+row[1:]+" !"; got != want || !e.cursor || e.y != 2 || e.x != len("       "+row[1:]+" !") {
		t.Errorf("%q, the cursor at %d,%d; want %q", got, e.x, e.y, want)
	}
	r.mu.Unlock()
	r.press(Enter)
	if res := <-read; res.err != nil {
		t.Fatal(res.err)
	}
}

// Without colours none is sent, and all that stands out still does.
func TestNoColour(t *testing.T) {
	e := newEmulator(t, 80, 24)
	r := newTerminalRig(t, e, NoColour)
	r.SetBars(func(b *Bars) { b.Title = "Title" })
	r.BeginAnswer()
	r.write("**bold** and `code`\n")
	for i, c := range e.cells {
		if strings.Contains(c, "38") || strings.Contains(c, "48") {
			t.Fatalf("cell %d has a colour: %q", i, c)
		}
	}
	if got := e.cells[e.cols+7]; got != "b\t0;1" {
		t.Errorf("bold is %q", got)
	}
	if got := e.cells[1]; got != "T\t0;1;7" {
		t.Errorf("the title is %q", got)
	}
}

func TestNearest256(t *testing.T) {
	for _, tt := range []struct {
		r, g, b uint32
		want    int
	}{{0, 0, 0, 16}, {255, 255, 255, 231}, {0x14, 0x18, 0x1D, 234}, {0x8C, 0xB4, 0xEA, 110}, {128, 128, 128, 244}} {
		if got := nearest256(tt.r, tt.g, tt.b); got != tt.want {
			t.Errorf("%02x%02x%02x is %d, want %d", tt.r, tt.g, tt.b, got, tt.want)
		}
	}
}

// The contrast of each role holds with the colours of the smaller palette, too.
func TestContrast256(t *testing.T) {
	cube := [6]uint32{0, 95, 135, 175, 215, 255}
	colour := func(c uint32) uint32 {
		n := uint32(nearest256(c>>16, c>>8&255, c&255))
		if n >= 232 {
			grey := 8 + 10*(n-232)
			return grey<<16 | grey<<8 | grey
		}
		n -= 16
		return cube[n/36]<<16 | cube[n/6%6]<<8 | cube[n%6]
	}
	for _, th := range themes {
		for s := range numStyles {
			l := th.looks[s]
			want := 4.5
			if s == rule || s == bar {
				continue // lines, not text
			}
			if got := contrast(colour(l.fg), colour(l.bg)); got < want {
				t.Errorf("%s, style %d: the contrast is %.1f with 256 colours", th.name, s, got)
			}
		}
	}
}

// A token costs its own bytes.
func TestTerminalIsSentLittle(t *testing.T) {
	e := newEmulator(t, 120, 50)
	r := newTerminalRig(t, e, TrueColour)
	r.BeginAnswer()
	r.write("words ")
	e.written = 0
	r.write("token ")
	if e.written > 120 {
		t.Errorf("a token took %d bytes", e.written)
	}
}

// When the terminal is gone, that is an error and no panic.
func TestTerminalGone(t *testing.T) {
	e := newEmulator(t, 80, 24)
	r := newTerminalRig(t, e, TrueColour)
	e.fail = errors.New("hung up")
	if _, err := r.Write([]byte("text")); err == nil || !strings.Contains(err.Error(), "hung up") {
		t.Errorf("%v", err)
	}
	r.Resize()
}

func TestTranscript(t *testing.T) {
	e := newEmulator(t, 80, 24)
	r := newTerminalRig(t, e, TrueColour)
	r.say("Hello")
	r.BeginAnswer()
	r.write("**Hi** there, 中文.\n")
	var plain, styled strings.Builder
	if err := errors.Join(r.Transcript(&plain, false), r.Transcript(&styled, true)); err != nil {
		t.Fatal(err)
	}
	if got, want := plain.String(), "  you  Hello\n\nalpha  Hi there, 中文.\n"; got != want {
		t.Errorf("%q", got)
	}
	if got := styled.String(); !strings.Contains(got, "\x1b[0;1mHi \x1b[0mthere") || strings.Contains(got, "38;") {
		t.Errorf("%q", got)
	}
}

// On a serial line whose width is known a long line stays in its row, and stands there whole at the end.
func TestSerialWindow(t *testing.T) {
	line := &serialLine{}
	keys := make(chan Key, 100)
	c, err := New(Options{Serial: line, Keys: keys, Cols: 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := "0123456789abcdefghijklmnop"
	for _, r := range text {
		keys <- Key{Rune: r}
	}
	for _, k := range []Code{Home, Delete, End, Backspace, Enter} {
		keys <- Key{Code: k}
	}
	got, err := c.ReadLine("> ")
	if want := text[1 : len(text)-1]; got != want || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	shown := line.String()
	if want := "\r> " + got + "\r\n"; !strings.HasSuffix(shown, want) {
		t.Errorf("it ends with %q", shown)
	}
	col := 0
	for _, r := range strings.TrimSuffix(shown, "\r> "+got+"\r\n") {
		switch r {
		case '\b':
			col--
		case '\r':
			col = 0
		default:
			col++
		}
		if col < 0 || col >= 20 {
			t.Fatalf("the cursor is in column %d: %q", col, shown)
		}
	}
}

// What was looked for stands out in its line, and the serial line has it plain.
func TestMarked(t *testing.T) {
	r := newRig(t, 800, 600)
	r.Marked("you: in the ", "garden", " we\x1b", "")
	if got := r.rows()[0]; got != "you: in the garden we^[" || r.line.String() != got+"\r\n" {
		t.Errorf("%q and %q", got, r.line.String())
	}
	for x, want := range map[int]Style{0: Dim, 11: Dim, 12: Found, 17: Found, 19: Dim} {
		if got := r.surface.shown[x].style; got != want && r.surface.shown[x].id != ' ' {
			t.Errorf("column %d has style %d", x, got)
		}
	}
}
