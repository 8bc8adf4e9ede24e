package picker

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"sync"

	"golang.org/x/image/vector"
)

// pngs are the icon's sizes. OpenCore takes ic07, and ic13 on dense screens; the Finder takes
// whichever fits best.
var pngs = []struct {
	kind string
	side int // pixels
}{
	{"ic07", 128}, {"ic13", 256}, {"ic11", 32}, {"ic12", 64}, {"ic08", 256}, {"ic09", 512},
}

// Icon returns the volume's icon, for .VolumeIcon.icns: "icns", the file's length, and records
// of a type, their length and their data; lengths count their own eight bytes and are big-endian. It is
// drawn once, which takes longer than all else that a small drive needs. The bytes are not to be changed.
var Icon = sync.OnceValues(icon)

func icon() ([]byte, error) {
	b := []byte("icns\x00\x00\x00\x00")
	add := func(kind string, data []byte) {
		b = binary.BigEndian.AppendUint32(append(b, kind...), uint32(8+len(data)))
		b = append(b, data...)
	}
	for _, p := range pngs {
		var data bytes.Buffer
		e := png.Encoder{CompressionLevel: png.BestCompression}
		if err := e.Encode(&data, drawIcon(p.side)); err != nil {
			return nil, err
		}
		add(p.kind, data.Bytes())
	}
	// Older firmware knows only this: the colours of 128 x 128 pixels, one channel after the
	// other behind four zeros, and their opacity apart.
	img := drawIcon(128)
	it32 := make([]byte, 4)
	for channel := range 3 {
		it32 = appendRuns(it32, plane(img, channel))
	}
	add("it32", it32)
	add("t8mk", plane(img, 3))
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)))
	return b, nil
}

// plane returns one of the four channels of an image.
func plane(img *image.NRGBA, channel int) []byte {
	p := make([]byte, 0, len(img.Pix)/4)
	for i := channel; i < len(img.Pix); i += 4 {
		p = append(p, img.Pix[i])
	}
	return p
}

// appendRuns compresses p: a byte n below 128 goes before n+1 bytes that are taken as they
// are, one from 128 on before a byte that is repeated n-125 times.
func appendRuns(b, p []byte) []byte {
	run := func(i int) int {
		n := 1
		for n < 130 && i+n < len(p) && p[i+n] == p[i] {
			n++
		}
		return n
	}
	for i := 0; i < len(p); {
		if n := run(i); n >= 3 {
			b = append(b, byte(n+125), p[i])
			i += n
			continue
		}
		end := i + 1
		for end < len(p) && end-i < 128 && run(end) < 3 {
			end++
		}
		b = append(append(b, byte(end-i-1)), p[i:end]...)
		i = end
	}
	return b
}

// The mark is an alpha, drawn in one stroke on a dark tile: it goes from the colour of the
// person's words to that of the answers. All lengths are parts of the icon's side.
var (
	tileTop, tileBottom = color.NRGBA{0x2a, 0x33, 0x3f, 0xff}, color.NRGBA{0x14, 0x18, 0x1d, 0xff}
	rim                 = color.NRGBA{0x4a, 0x55, 0x63, 0xff} // tells the tile from a dark ground
	you, alpha          = color.NRGBA{0x84, 0xc5, 0xa4, 0xff}, color.NRGBA{0x8c, 0xb4, 0xea, 0xff}
)

const (
	tileMargin = 0.06
	tileCorner = 0.2
	rimWidth   = 0.008
	strokeHalf = 0.048
	gapHalf    = strokeHalf + 0.026 // of the gap where the stroke passes over itself
)

type point struct{ x, y float64 }

// stroke is the alpha as Bezier curves, from its lower right end on.
var stroke = [][4]point{
	{{0.790, 0.710}, {0.730, 0.710}, {0.690, 0.680}, {0.640, 0.560}},
	{{0.640, 0.560}, {0.580, 0.416}, {0.520, 0.290}, {0.390, 0.290}},
	{{0.390, 0.290}, {0.270, 0.290}, {0.205, 0.385}, {0.205, 0.500}},
	{{0.205, 0.500}, {0.205, 0.615}, {0.270, 0.710}, {0.390, 0.710}},
	{{0.390, 0.710}, {0.560, 0.710}, {0.690, 0.500}, {0.745, 0.300}},
}

// over is the curve that passes over the first.
const over = 4

// drawIcon draws the icon with sides of n pixels.
func drawIcon(n int) *image.NRGBA {
	img := image.NewRGBA(image.Rect(0, 0, n, n))
	tile := blend(n, tileTop, tileBottom, point{0, tileMargin}, point{0, 1 - tileMargin})
	ink := blend(n, you, alpha, point{0.3, 0.75}, point{0.7, 0.25})
	fill(img, image.NewUniform(rim), corners(tileMargin, tileCorner))
	// A rim is never thinner than a pixel, or it would vanish in small icons.
	edge := max(rimWidth, 1/float64(n))
	fill(img, tile, corners(tileMargin+edge, tileCorner-edge))
	fill(img, ink, outline(stroke[:over], strokeHalf))
	fill(img, tile, outline(stroke[over:], gapHalf))
	// The gap has cut into the curve before, too, where it joins.
	fill(img, ink, outline(stroke[over-1:over], strokeHalf))
	fill(img, ink, outline(stroke[over:], strokeHalf))

	straight := image.NewNRGBA(img.Rect) // neither PNG nor it32 has its colours multiplied by opacity
	draw.Draw(straight, img.Rect, img, image.Point{}, draw.Src)
	return straight
}

// fill paints what a closed line encloses.
func fill(dst draw.Image, src image.Image, line []point) {
	n := dst.Bounds().Dx()
	z := vector.NewRasterizer(n, n)
	at := func(p point) (x, y float32) { return float32(p.x * float64(n)), float32(p.y * float64(n)) }
	z.MoveTo(at(line[0]))
	for _, p := range line[1:] {
		z.LineTo(at(p))
	}
	z.ClosePath()
	z.Draw(dst, dst.Bounds(), src, image.Point{})
}

// blend is an image that goes from one colour at point a to another at b.
func blend(n int, from, to color.NRGBA, a, b point) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, n, n))
	dx, dy := b.x-a.x, b.y-a.y
	for y := range n {
		for x := range n {
			px, py := (float64(x)+0.5)/float64(n)-a.x, (float64(y)+0.5)/float64(n)-a.y
			t := min(max((px*dx+py*dy)/(dx*dx+dy*dy), 0), 1)
			mix := func(p, q uint8) uint8 { return uint8(math.Round(float64(p) + t*(float64(q)-float64(p)))) }
			img.SetNRGBA(x, y, color.NRGBA{mix(from.R, to.R), mix(from.G, to.G), mix(from.B, to.B), 0xff})
		}
	}
	return img
}

// corners is a square with round corners.
func corners(margin, radius float64) (line []point) {
	const steps = 64
	for quarter := range 4 {
		for i := range steps + 1 {
			sin, cos := math.Sincos((float64(quarter) + float64(i)/steps) * math.Pi / 2)
			side := func(v float64, far bool) float64 {
				if far {
					return 1 - margin - radius + v*radius
				}
				return margin + radius + v*radius
			}
			line = append(line, point{side(cos, quarter == 0 || quarter == 3), side(sin, quarter < 2)})
		}
	}
	return line
}

// outline is the edge of a line along curves, with round ends, as far as half on both sides of it.
func outline(curves [][4]point, half float64) (line []point) {
	const steps = 48
	var way, normal []point
	for _, c := range curves {
		for i := range steps + 1 {
			t := float64(i) / steps
			u := 1 - t
			bezier := func(a, b, c, d float64) float64 { return u*u*u*a + 3*u*u*t*b + 3*u*t*t*c + t*t*t*d }
			slope := func(a, b, c, d float64) float64 { return u*u*(b-a) + 2*u*t*(c-b) + t*t*(d-c) }
			dx, dy := slope(c[0].x, c[1].x, c[2].x, c[3].x), slope(c[0].y, c[1].y, c[2].y, c[3].y)
			l := math.Hypot(dx, dy)
			way = append(way, point{bezier(c[0].x, c[1].x, c[2].x, c[3].x), bezier(c[0].y, c[1].y, c[2].y, c[3].y)})
			normal = append(normal, point{-dy / l, dx / l})
		}
	}
	// Half a circle from one side of an end to the other.
	round := func(at, n point) {
		for i := range steps {
			sin, cos := math.Sincos(float64(i) / steps * math.Pi)
			line = append(line, point{at.x + half*(n.x*cos+n.y*sin), at.y + half*(n.y*cos-n.x*sin)})
		}
	}
	for i, p := range way {
		line = append(line, point{p.x + half*normal[i].x, p.y + half*normal[i].y})
	}
	last := len(way) - 1
	round(way[last], normal[last])
	for i := last; i >= 0; i-- {
		line = append(line, point{way[i].x - half*normal[i].x, way[i].y - half*normal[i].y})
	}
	round(way[0], point{-normal[0].x, -normal[0].y})
	return line
}
