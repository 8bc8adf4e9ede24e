package console

import (
	"bytes"
	"errors"
	"image"
	"strings"
	"sync"
	"testing"
	"time"
)

// memScreen is a frame buffer in memory. It checks that every rectangle lies on it and counts.
type memScreen struct {
	w, h    int
	pix     []uint32
	flushes int
	pixels  int
	fail    error
	bad     string
}

func newMemScreen(w, h int) *memScreen { return &memScreen{w: w, h: h, pix: make([]uint32, w*h)} }

func (m *memScreen) Size() (int, int) { return m.w, m.h }

func (m *memScreen) Flush(pixels []uint32, stride int, r image.Rectangle) error {
	if m.fail != nil {
		return m.fail
	}
	if r.Empty() || !r.In(image.Rect(0, 0, m.w, m.h)) {
		m.bad = "rectangle " + r.String()
		return nil
	}
	m.flushes++
	m.pixels += r.Dx() * r.Dy()
	for y := range r.Dy() {
		copy(m.pix[(r.Min.Y+y)*m.w+r.Min.X:][:r.Dx()], pixels[y*stride:])
	}
	return nil
}

// serialLine collects what is sent.
type serialLine struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	fail error
}

func (s *serialLine) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	return s.buf.Write(p)
}

func (s *serialLine) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// bench is a console with everything attached.
type rig struct {
	*Console
	screen *memScreen
	line   *serialLine
	keys   chan Key
	now    time.Time
	t      testing.TB
}

func newRig(t testing.TB, w, h int) *rig {
	t.Helper()
	r := &rig{line: &serialLine{}, keys: make(chan Key), t: t, now: time.Unix(1e9, 0)}
	o := Options{Serial: r.line, Keys: r.keys, Now: func() time.Time { return r.now }}
	if w > 0 {
		r.screen = newMemScreen(w, h)
		o.Screen = r.screen
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Console = c
	t.Cleanup(func() {
		c.Close()
		r.consistent()
	})
	return r
}

// consistent checks the surface's invariant: the screen is what painting shown afresh would give.
func (r *rig) consistent() {
	r.t.Helper()
	if r.screen == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.surface
	if s == nil {
		return
	}
	if r.screen.bad != "" {
		r.t.Fatal("the screen was given a ", r.screen.bad)
	}
	screen := newMemScreen(r.screen.w, r.screen.h)
	fresh, err := newSurface(screen, &r.table, s.theme, r.size)
	if err != nil {
		r.t.Fatal(err)
	}
	fresh.painter.(*pixels).font = s.painter.(*pixels).font
	r.compose()
	if err := fresh.show(r.want); err != nil {
		r.t.Fatal(err)
	}
	for i, p := range screen.pix {
		if r.screen.pix[i] != p {
			r.t.Fatalf("pixel %d,%d is %06x on the screen, %06x when painted afresh", i%screen.w, i/screen.w, r.screen.pix[i], p)
		}
	}
}

// rows gives the text on the screen, one string a row, without trailing blanks and empty rows. The
// cursor is shown as █ when it stands on a blank.
func (r *rig) rows() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.surface
	var out []string
	for y := range s.rows {
		out = append(out, r.rowText(y))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// title and status give the text in the bars.
func (r *rig) title() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rowText(r.surface.titleRow())
}

func (r *rig) status() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rowText(r.surface.statusRow())
}

func (r *rig) rowText(y int) string {
	s := r.surface
	var b strings.Builder
	for _, c := range s.shown[y*s.cols : (y+1)*s.cols] {
		switch {
		case c.mark&markTrail != 0:
		case c.mark&markCursor != 0 && c.id == ' ':
			b.WriteRune('█')
		case c.id >= glyphBar && c.id <= glyphBar+barSteps:
			b.WriteByte(" .:-=+*##########"[c.id-glyphBar])
		case c.id == glyphCaret:
			b.WriteRune('▏')
		default:
			b.WriteString(r.table.string(c.id))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func (r *rig) text() string { return strings.Join(r.rows(), "\n") }

func (r *rig) write(s string) {
	r.t.Helper()
	if n, err := r.Write([]byte(s)); err != nil || n != len(s) {
		r.t.Fatal(n, err)
	}
}

// press sends keys: a string is typed, a Code pressed.
func (r *rig) press(keys ...any) {
	for _, k := range keys {
		switch k := k.(type) {
		case string:
			for _, x := range k {
				r.keys <- Key{Rune: x}
			}
		case Code:
			r.keys <- Key{Code: k}
		}
	}
}

// later lets time pass when every key that was pressed has been taken.
func (r *rig) later(d time.Duration) {
	r.keys <- Key{} // no key at all: it is received when the one before it was handled
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

type result struct {
	line string
	err  error
}

// read starts ReadLine and waits until it is ready for keys.
func (r *rig) read(prompt string) <-chan result {
	ch := make(chan result, 1)
	go func() {
		line, err := r.ReadLine(prompt)
		ch <- result{line, err}
	}()
	r.until(func() bool { return r.edit != nil })
	return ch
}

// until waits for a condition, checked under the lock.
func (r *rig) until(f func() bool) {
	r.t.Helper()
	for range 5000 {
		r.mu.Lock()
		ok := f()
		r.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Fatal("waited in vain")
}

// settled waits until every key pressed was handled.
func (r *rig) settled() {
	r.t.Helper()
	r.keys <- Key{} // no key at all: it is received when the one before it was handled
	r.until(func() bool { return len(r.queue) == 0 })
}

// say lets a person type a line.
func (r *rig) say(s string) string {
	r.t.Helper()
	ch := r.read("you> ")
	r.press(s, Enter)
	res := <-ch
	if res.err != nil {
		r.t.Fatal(res.err)
	}
	return res.line
}

var errBroken = errors.New("cable pulled")
