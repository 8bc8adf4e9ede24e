package console

// Signs that Go Mono lacks and that nothing in it can stand for without saying something else: a check
// mark is no root, an implication no simple arrow, a nabla no arrow head. They are drawn here with a few
// strokes. A circled digit, and a key cap, is the font's digit in a frame, so that it can't be read
// together with its neighbours.

import (
	"image"
	"math"

	"golang.org/x/image/math/f32"
	"golang.org/x/image/vector"
)

// A sign is drawn in a square that is a cell wide and reaches from the height of capitals (0) to the
// baseline (1).
type sign struct {
	strokes [][]f32.Vec2
	filled  bool // the inside of the strokes, too
}

func strokes(s ...[]f32.Vec2) sign { return sign{strokes: s} }

// mirrored is the sign as a mirror at its right side shows it.
func (m sign) mirrored() sign {
	return m.moved(func(p f32.Vec2) f32.Vec2 { return f32.Vec2{1 - p[0], p[1]} })
}

// turned is the sign with its right side up.
func (m sign) turned() sign {
	return m.moved(func(p f32.Vec2) f32.Vec2 { return f32.Vec2{p[1], 1 - p[0]} })
}

func (m sign) moved(f func(f32.Vec2) f32.Vec2) sign {
	out := sign{filled: m.filled}
	for _, s := range m.strokes {
		var t []f32.Vec2
		for _, p := range s {
			t = append(t, f(p))
		}
		out.strokes = append(out.strokes, t)
	}
	return out
}

func (m sign) and(others ...[]f32.Vec2) sign {
	return sign{append(m.strokes[:len(m.strokes):len(m.strokes)], others...), m.filled}
}

// ring is an arc around the middle of the square, angles in turns from the right, downwards.
func ring(x, y, r float32, from, to float64) (s []f32.Vec2) {
	const steps = 20
	for i := range steps + 1 {
		sin, cos := math.Sincos(2 * math.Pi * (from + (to-from)*float64(i)/steps))
		s = append(s, f32.Vec2{x + r*float32(cos), y + r*float32(sin)})
	}
	return s
}

func star() []f32.Vec2 {
	var s []f32.Vec2
	for i := range 11 {
		r := 0.52
		if i%2 == 1 {
			r = 0.21
		}
		sin, cos := math.Sincos(math.Pi * float64(i) / 5)
		s = append(s, f32.Vec2{0.5 + float32(r*sin), 0.55 - float32(r*cos)})
	}
	return s
}

var signs = func() map[rune]sign {
	type line = []f32.Vec2
	head := line{{0.6, 0.2}, {0.95, 0.55}, {0.6, 0.9}}
	implies := strokes(line{{0.05, 0.42}, {0.78, 0.42}}, line{{0.05, 0.68}, {0.78, 0.68}}, head)
	right := strokes(line{{0.35, 0.2}, {0.95, 0.55}, {0.35, 0.9}})
	triangle := strokes(line{{0.1, 0.1}, {0.1, 0.98}, {0.92, 0.54}, {0.1, 0.1}})
	hook := strokes(line{{0.1, 0.1}, {0.1, 0.62}, {0.9, 0.62}}, line{{0.62, 0.36}, {0.92, 0.62}, {0.62, 0.88}})
	much := strokes(line{{0.08, 0.2}, {0.5, 0.55}, {0.08, 0.9}}, line{{0.52, 0.2}, {0.94, 0.55}, {0.52, 0.9}})
	cross := strokes(line{{0.14, 0.16}, {0.86, 0.94}}, line{{0.86, 0.16}, {0.14, 0.94}})
	wave := line{{0.08, 0.34}, {0.22, 0.22}, {0.36, 0.22}, {0.64, 0.36}, {0.78, 0.36}, {0.92, 0.24}}
	up := triangle.turned()
	m := map[rune]sign{
		'✓': strokes(line{{0.08, 0.58}, {0.36, 0.95}, {0.94, 0.12}}),
		'✗': cross,
		'☒': cross.and(line{{0, 0.04}, {1, 0.04}, {1, 1.06}, {0, 1.06}, {0, 0.04}}),
		'⇒': implies, '⇐': implies.mirrored(), '⇑': implies.turned(), '⇓': implies.mirrored().turned(),
		'⇔': strokes(line{{0.22, 0.42}, {0.78, 0.42}}, line{{0.22, 0.68}, {0.78, 0.68}}, line{{0.7, 0.2}, {0.98, 0.55}, {0.7, 0.9}}, line{{0.3, 0.2}, {0.02, 0.55}, {0.3, 0.9}}),
		'↦': right.moved(func(p f32.Vec2) f32.Vec2 { return f32.Vec2{0.5 + p[0]/2, 0.25 + p[1]/2} }).and(line{{0.06, 0.55}, {0.95, 0.55}}, line{{0.08, 0.28}, {0.08, 0.8}}),
		'↪': hook, '↵': hook.mirrored(),
		'≫': much, '≪': much.mirrored(),
		'▷': triangle, '◁': triangle.mirrored(), '△': up, '∇': triangle.mirrored().turned(),
		'⚠': up.and(line{{0.5, 0.4}, {0.5, 0.64}}, line{{0.5, 0.74}, {0.5, 0.82}}),
		'☆': strokes(star()), '★': {strokes: [][]f32.Vec2{star()}, filled: true},
		'≃': strokes(wave, line{{0.08, 0.7}, {0.92, 0.7}}),
		'≅': strokes(wave, line{{0.08, 0.58}, {0.92, 0.58}}, line{{0.08, 0.84}, {0.92, 0.84}}),
		'◎': strokes(ring(0.5, 0.55, 0.46, 0, 1), ring(0.5, 0.55, 0.2, 0, 1)),
		'☹': strokes(ring(0.5, 0.55, 0.46, 0, 1), ring(0.5, 0.92, 0.24, 0.58, 0.92), line{{0.32, 0.38}, {0.32, 0.48}}, line{{0.68, 0.38}, {0.68, 0.48}}),
	}
	return m
}()

// sign draws m into a cell.
func (g *glyphs) sign(m sign, bold bool) []byte {
	em := float32(emSize(g.w))
	w, h := float32(g.w), em*0.72
	top := float32(g.baseline) - h
	thick := max(em*0.075, 1)
	if bold {
		thick *= 1.5
	}
	at := func(p f32.Vec2) (x, y float32) { return thick/2 + p[0]*(w-thick), top + p[1]*h }
	z := vector.NewRasterizer(g.w, g.h)
	quad := func(p ...f32.Vec2) {
		z.MoveTo(p[0][0], p[0][1])
		for _, q := range p[1:] {
			z.LineTo(q[0], q[1])
		}
		z.ClosePath()
	}
	out := make([]byte, g.w*g.h)
	// Each stroke is drawn by itself: overlapping paths could cancel each other out.
	add := func() {
		img := image.NewAlpha(image.Rect(0, 0, g.w, g.h))
		z.Draw(img, img.Rect, image.Opaque, image.Point{})
		for i, v := range img.Pix {
			out[i] = max(out[i], v)
		}
		z.Reset(g.w, g.h)
	}
	for _, s := range m.strokes {
		if m.filled {
			var all []f32.Vec2
			for _, p := range s {
				x, y := at(p)
				all = append(all, f32.Vec2{x, y})
			}
			quad(all...)
			add()
		}
		for i := range len(s) - 1 {
			x0, y0 := at(s[i])
			x1, y1 := at(s[i+1])
			dx, dy := x1-x0, y1-y0
			n := float32(math.Hypot(float64(dx), float64(dy)))
			dx, dy = dx/n*thick/2, dy/n*thick/2
			x0, y0, x1, y1 = x0-dx/2, y0-dy/2, x1+dx/2, y1+dy/2 // so that corners close
			quad(f32.Vec2{x0 - dy, y0 + dx}, f32.Vec2{x1 - dy, y1 + dx}, f32.Vec2{x1 + dy, y1 - dx}, f32.Vec2{x0 + dy, y0 - dx})
			add()
		}
	}
	return out
}

// framed tells which digit a circled one, or a key cap, shows.
func framed(r rune) (digit rune, ok bool) {
	switch {
	case r >= '①' && r <= '⑨':
		return r - '①' + '1', true
	case r >= '❶' && r <= '❾':
		return r - '❶' + '1', true
	}
	return r, false
}

const keyCap = 0x20E3 // the combining frame around a digit

// frame draws a line around what img holds.
func (g *glyphs) frame(img *image.Alpha) {
	t := max(g.w/12, 1)
	b := img.Rect
	b.Min.Y, b.Max.Y = g.baseline-int(emSize(g.w)*0.82), g.baseline+int(emSize(g.w)*0.12)+t
	for y := max(b.Min.Y, 0); y < min(b.Max.Y, g.h); y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if y < b.Min.Y+t || y >= b.Max.Y-t || x < b.Min.X+t || x >= b.Max.X-t {
				img.Pix[y*img.Stride+x] = max(img.Pix[y*img.Stride+x], 150)
			}
		}
	}
}
