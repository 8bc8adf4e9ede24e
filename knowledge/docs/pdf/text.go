// Package pdf takes the text out of PDF files: for each page the lines, in the order in which they
// were written, with the size of their letters and where they begin.
//
// It reads what ISO 32000 calls a file, and most of what writers make of it: cross-reference tables
// and streams, object streams, files whose tables are wrong (looked through from end to end), files
// encrypted with an empty password. It does not look at pictures. A file can make it neither fail in
// another way than by an error nor use more than some hundred megabytes: what unpacks to more is refused.
//
// object.go reads objects, file.go finds them, filter.go and crypt.go unpack them, font.go, glyph.go
// and cff.go know which characters they show, and this file where.
package pdf

import (
	"bytes"
	"context"
	"io"
	"math"
	"strings"
	"unicode"
)

// A Line is what stands on one baseline, from left to right. A wide gap, as between the cells of a
// table, is a tab.
type Line struct {
	Text       string
	X, Y       float64 // where it begins, in points from the lower left corner of the page
	Size       float64 // of its letters, in points
	Bold, Mono bool    // most of it
}

// A Page is what stands on a page.
type Page struct {
	Lines   []Line
	Picture bool // it shows a picture
	Unknown int  // characters of fonts that do not say which characters they are
}

const (
	maxPages     = 20000
	maxPageText  = 4 << 20
	maxFormDepth = 8
)

// Read calls page with the pages of a file, which is size bytes long, in their order, until that returns an error.
func Read(ctx context.Context, r io.ReaderAt, size int64, page func(Page) error) error {
	f, err := open(ctx, r, size)
	if err != nil {
		return err
	}
	w := walker{f: f, page: page, fonts: map[int]*font{}, styles: map[*font]style{}}
	if err := w.tree(f.trailer["Root"], "Pages", nil, 0); err != nil {
		return err
	}
	if w.pages == 0 {
		return ErrDamaged
	}
	return nil
}

type walker struct {
	f      *file
	page   func(Page) error
	pages  int
	nodes  int
	fonts  map[int]*font
	styles map[*font]style
}

type style struct{ bold, mono bool }

// tree visits a node of the page tree. Resources are inherited.
func (w *walker) tree(parent any, key name, resources dict, depth int) error {
	d := w.f.dict(w.f.dict(parent)[key])
	return w.node(d, resources, depth)
}

func (w *walker) node(d dict, resources dict, depth int) error {
	if w.nodes++; depth > maxDepth || w.nodes > 4*maxPages || d == nil {
		return nil
	}
	if err := w.f.ctx.Err(); err != nil {
		return err
	}
	if w.f.work > maxWork {
		return ErrTooLarge
	}
	if own := w.f.dict(d["Resources"]); own != nil {
		resources = own
	}
	if kids := w.f.array(d["Kids"]); kids != nil && d["Type"] != name("Page") {
		for _, kid := range kids {
			if err := w.node(w.f.dict(kid), resources, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if w.pages++; w.pages > maxPages {
		return ErrTooLarge
	}
	var content []byte
	for _, o := range w.f.list(d["Contents"]) {
		if s, ok := w.f.get(o).(*stream); ok {
			b, err := w.f.decode(s)
			if err == ErrTooLarge {
				return err
			}
			if content = append(append(content, b...), '\n'); len(content) > maxStream {
				return ErrTooLarge
			}
		}
	}
	p := &painter{w: w}
	p.run(content, resources, matrix{1, 0, 0, 1, 0, 0}, 0)
	p.newline()
	return w.page(p.out)
}

func (w *walker) font(o any) (*font, style) {
	r, shared := o.(ref)
	if t := w.fonts[r.num]; shared && t != nil {
		return t, w.styles[t]
	}
	t := w.f.font(o)
	d := w.f.dict(o)
	if list := w.f.array(d["DescendantFonts"]); len(list) > 0 {
		d = w.f.dict(list[0])
	}
	base, _ := w.f.get(d["BaseFont"]).(name)
	s := strings.ToLower(string(base))
	flags := int(w.f.num(w.f.dict(d["FontDescriptor"])["Flags"], 0))
	st := style{mono: flags&1 != 0}
	for _, word := range []string{"bold", "black", "heavy", "cmbx", "sfbx", "demi"} {
		st.bold = st.bold || strings.Contains(s, word)
	}
	for _, word := range []string{"mono", "courier", "cmtt", "sftt", "typewriter", "consol"} {
		st.mono = st.mono || strings.Contains(s, word)
	}
	if len(w.fonts) > 1000 {
		clear(w.fonts)
		clear(w.styles)
	}
	if shared {
		w.fonts[r.num], w.styles[t] = t, st
	}
	return t, st
}

type matrix [6]float64

func (a matrix) mul(b matrix) matrix {
	return matrix{
		a[0]*b[0] + a[1]*b[2], a[0]*b[1] + a[1]*b[3],
		a[2]*b[0] + a[3]*b[2], a[2]*b[1] + a[3]*b[3],
		a[4]*b[0] + a[5]*b[2] + b[4], a[4]*b[1] + a[5]*b[3] + b[5],
	}
}

// A painter follows the operators of a page (ISO 32000-1, sections 8 and 9).
type painter struct {
	w     *walker
	out   Page
	bytes int // of text so far

	line                  []byte
	x, y, size            float64 // of the line's beginning
	dirX, dirY, end, base float64 // its direction; where it ends and lies, along and across that
	letters, boldN, monoN int
}

type state struct {
	ctm                        matrix
	font                       *font
	style                      style
	size, charSpace, wordSpace float64
	stretch, leading, rise     float64
}

func (p *painter) run(content []byte, resources dict, ctm matrix, depth int) {
	f := p.w.f
	s := state{ctm: ctm, stretch: 1}
	var saved []state
	var tm, lm matrix
	var args []any
	l := &lexer{b: content}
	num := func(i int) float64 {
		if i < len(args) {
			n, _ := args[i].(float64)
			return n
		}
		return 0
	}
	move := func(x, y float64) {
		lm = matrix{1, 0, 0, 1, x, y}.mul(lm)
		tm = lm
	}
	last := func() string {
		if len(args) == 0 {
			return ""
		}
		t, _ := args[len(args)-1].(string)
		return t
	}
	for n := 0; ; n++ {
		if n&1023 == 0 && (f.ctx.Err() != nil || f.work > maxWork || p.bytes > maxPageText) {
			return
		}
		o := l.next()
		word, ok := o.(op)
		if !ok {
			if o == (eof{}) {
				return
			}
			if len(args) < 64 {
				args = append(args, o)
			}
			continue
		}
		f.work += 16
		switch word {
		case "q":
			if len(saved) < 256 {
				saved = append(saved, s)
			}
		case "Q":
			if n := len(saved); n > 0 {
				s, saved = saved[n-1], saved[:n-1]
			}
		case "cm":
			s.ctm = matrix{num(0), num(1), num(2), num(3), num(4), num(5)}.mul(s.ctm)
		case "BT":
			tm, lm = matrix{1, 0, 0, 1, 0, 0}, matrix{1, 0, 0, 1, 0, 0}
		case "Tc":
			s.charSpace = num(0)
		case "Tw":
			s.wordSpace = num(0)
		case "Tz":
			s.stretch = num(0) / 100
		case "TL":
			s.leading = num(0)
		case "Ts":
			s.rise = num(0)
		case "Tf":
			if len(args) >= 2 {
				key, _ := args[0].(name)
				s.size = num(1)
				if o, ok := f.dict(resources["Font"])[key]; ok {
					s.font, s.style = p.w.font(o)
				}
			}
		case "gs":
			if len(args) > 0 {
				key, _ := args[0].(name)
				if a := f.array(f.dict(f.dict(resources["ExtGState"])[key])["Font"]); len(a) == 2 {
					s.font, s.style = p.w.font(a[0])
					s.size = f.num(a[1], s.size)
				}
			}
		case "Td":
			move(num(0), num(1))
		case "TD":
			s.leading = -num(1)
			move(num(0), num(1))
		case "Tm":
			tm = matrix{num(0), num(1), num(2), num(3), num(4), num(5)}
			lm = tm
		case "T*":
			move(0, -s.leading)
		case "Tj":
			p.show(&s, &tm, last())
		case "'":
			move(0, -s.leading)
			p.show(&s, &tm, last())
		case "\"":
			s.wordSpace, s.charSpace = num(0), num(1)
			move(0, -s.leading)
			p.show(&s, &tm, last())
		case "TJ":
			if len(args) > 0 {
				list, _ := args[len(args)-1].([]any)
				for _, o := range list {
					switch o := o.(type) {
					case string:
						p.show(&s, &tm, o)
					case float64:
						tm = matrix{1, 0, 0, 1, -o / 1000 * s.size * s.stretch, 0}.mul(tm)
					}
				}
			}
		case "Do":
			if len(args) == 0 {
				break
			}
			key, _ := args[0].(name)
			form, ok := f.get(f.dict(resources["XObject"])[key]).(*stream)
			if !ok {
				break
			}
			if f.get(form.dict["Subtype"]) != name("Form") {
				p.out.Picture = true
				break
			}
			b, err := f.decode(form)
			if err != nil || depth >= maxFormDepth {
				break
			}
			inner := s.ctm
			if m := f.array(form.dict["Matrix"]); len(m) == 6 {
				var a matrix
				for i := range a {
					a[i] = f.num(m[i], 0)
				}
				inner = a.mul(inner)
			}
			own := f.dict(form.dict["Resources"])
			if own == nil {
				own = resources
			}
			p.run(b, own, inner, depth+1)
		case "ID": // a picture among the operators: to the EI that stands alone
			p.out.Picture = true
			for {
				n := bytes.Index(l.b[l.i:], []byte("EI"))
				if n < 0 {
					l.i = len(l.b)
					break
				}
				l.i += n + 2
				if class[l.b[l.i-3]] == 1 && (l.i == len(l.b) || class[l.b[l.i]] == 1) {
					break
				}
			}
		}
		args = args[:0]
	}
}

// show paints a string.
func (p *painter) show(s *state, tm *matrix, text string) {
	if s.font == nil {
		return
	}
	for text != "" && p.bytes <= maxPageText {
		var c shown
		c, text = s.font.decode(text)
		p.w.f.work += 4
		at := matrix{s.size * s.stretch, 0, 0, s.size, 0, s.rise}.mul(*tm).mul(s.ctm)
		advance := (c.width*s.size + s.charSpace) * s.stretch
		if c.space {
			advance += s.wordSpace * s.stretch
		}
		// A Type 3 font may have glyphs of any size; the width is in the units of its matrix.
		p.glyph(c, at, s.style)
		*tm = matrix{1, 0, 0, 1, advance, 0}.mul(*tm)
	}
}

// glyph adds a character to the line, or begins another.
func (p *painter) glyph(c shown, at matrix, st style) {
	for _, v := range at {
		if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > 1e7 {
			return
		}
	}
	if c.text == "" {
		if !c.space {
			p.out.Unknown++
		}
		return
	}
	wide, size := math.Hypot(at[0], at[1]), math.Hypot(at[2], at[3])
	if wide == 0 || size == 0 {
		return
	}
	dx, dy := at[0]/wide, at[1]/wide
	along, across := at[4]*dx+at[5]*dy, at[5]*dx-at[4]*dy
	blank := strings.TrimSpace(c.text) == ""
	if len(p.line) > 0 {
		gap := along - p.end
		em := max(size, p.size*.6)
		switch {
		case dx*p.dirX+dy*p.dirY < .99 || math.Abs(across-p.base) > .55*max(size, p.size) || gap < -1.2*em:
			p.newline()
		case blank:
		case gap > 2.5*em:
			p.trim()
			p.line = append(p.line, '\t')
		case gap > .12*em:
			p.gap()
		}
	}
	if len(p.line) == 0 {
		if blank {
			return
		}
		p.x, p.y, p.size, p.dirX, p.dirY, p.base = at[4], at[5], size, dx, dy, across
		p.letters, p.boldN, p.monoN = 0, 0, 0
	}
	p.end = along + c.width*wide
	if blank {
		p.gap()
		return
	}
	if size > p.size*1.3 { // the line began with something small
		p.size, p.base = size, across
	}
	for _, r := range c.text {
		switch {
		case r >= 0xFB00 && r <= 0xFB06:
			p.line = append(p.line, [...]string{"ff", "fi", "fl", "ffi", "ffl", "st", "st"}[r-0xFB00]...)
		case r == 0xAD:
			p.line = append(p.line, '-')
		case unicode.IsControl(r) || r == unicode.ReplacementChar || r == 0xFEFF:
		default:
			p.line = append(p.line, string(r)...)
		}
	}
	p.letters++
	if st.bold {
		p.boldN++
	}
	if st.mono {
		p.monoN++
	}
}

func (p *painter) gap() {
	if n := len(p.line); n > 0 && p.line[n-1] != ' ' && p.line[n-1] != '\t' {
		p.line = append(p.line, ' ')
	}
}

func (p *painter) trim() { p.line = bytes.TrimRight(p.line, " \t") }

// newline ends the line.
func (p *painter) newline() {
	p.trim()
	if p.bytes += len(p.line); len(p.line) > 0 {
		p.out.Lines = append(p.out.Lines, Line{Text: string(p.line), X: p.x, Y: p.y, Size: p.size, Bold: 2*p.boldN > p.letters, Mono: 2*p.monoN > p.letters})
	}
	p.line = p.line[:0]
}
