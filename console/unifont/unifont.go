// Package unifont has a picture of nearly every character: those of GNU Unifont 15.0.01, of 16 rows of 8 or 16
// pixels each, for what a better font lacks. They are drawn at any size, with their stairs smoothed.
//
// GNU Unifont is under the SIL Open Font License 1.1, and under the GNU GPL 2 with an exception for embedding
// (LICENSE in this folder). Taken are the characters of plane 0 but for rare ideographs (U+3400 to U+4DBF) and, of
// plane 1, mathematical letters, emoji and the symbols around them.
//
// unifont.bin, which make.go made, is little-endian: the number of blocks of 256 characters, and of each block its
// number and how many bytes it has; then the blocks, each compressed by itself (RFC 1951): how many bytes each of
// its 256 characters has (0, 16 or 32), and then these, row by row, the leftmost pixel in the highest bit. A block
// is read when a character of it is first asked for; all of them together take 1.5 MB.
package unifont

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"image"
	"io"
	"math"
	"sync"
)

//go:embed unifont.bin
var file []byte

// Bitmap is the picture of a character. Bit 15 of a row is its leftmost pixel; a narrow picture has 8 of them.
type Bitmap struct {
	Rows [16]uint16
	Wide bool
}

// Baseline is the number of rows above the line that letters stand on.
const Baseline = 14

// Width is the number of pixels in a row.
func (b Bitmap) Width() int {
	if b.Wide {
		return 16
	}
	return 8
}

type block struct {
	once  sync.Once
	data  []byte // compressed
	sizes []byte
	rows  []byte
}

var blocks = sync.OnceValue(func() map[rune]*block {
	m := map[rune]*block{}
	n := int(binary.LittleEndian.Uint32(file))
	at := 4 + 8*n
	for i := range n {
		number, size := binary.LittleEndian.Uint32(file[4+8*i:]), int(binary.LittleEndian.Uint32(file[8+8*i:]))
		m[rune(number)] = &block{data: file[at : at+size]}
		at += size
	}
	return m
})

// Find returns the picture of a character, if there is one.
func Find(r rune) (b Bitmap, ok bool) {
	k := blocks()[r>>8]
	if k == nil {
		return b, false
	}
	k.once.Do(func() {
		data, err := io.ReadAll(flate.NewReader(bytes.NewReader(k.data)))
		if err == nil { // else it has no characters: a test reads all blocks
			k.sizes, k.rows = data[:256], data[256:]
		}
	})
	if k.sizes == nil {
		return b, false
	}
	at := 0
	for _, n := range k.sizes[:r&255] {
		at += int(n)
	}
	switch rows := k.rows[at:]; k.sizes[r&255] {
	case 16:
		for y := range b.Rows {
			b.Rows[y] = uint16(rows[y]) << 8
		}
	case 32:
		b.Wide = true
		for y := range b.Rows {
			b.Rows[y] = binary.BigEndian.Uint16(rows[2*y:])
		}
	default:
		return b, false
	}
	return b, true
}

// Over is the picture with another one over it, which begins so many pixels further to the right.
func (b Bitmap) Over(other Bitmap, right int) Bitmap {
	for y := range b.Rows {
		b.Rows[y] |= other.Rows[y] >> right
	}
	return b
}

// Columns are the pixels, from the one up to the other, in which the picture has something; none: 0, 0.
func (b Bitmap) Columns() (from, to int) {
	var all uint16
	for _, row := range b.Rows {
		all |= row
	}
	for x := range 16 {
		if all&(0x8000>>x) != 0 {
			if to == 0 {
				from = x
			}
			to = x + 1
		}
	}
	return from, to
}

// Draw adds the columns from the one up to the other of the picture to img, filling the rectangle r. What is covered
// already stays so.
func (b Bitmap) Draw(img *image.Alpha, r image.Rectangle, from, to int) {
	if r.Empty() || from >= to {
		return
	}
	big := b.doubled()
	stepX, stepY := 2*float32(to-from)/float32(r.Dx()), 2*16/float32(r.Dy()) // pixels of big in one of img
	sharp := max(1/min(stepX, stepY), 1.25)                                  // the larger the picture, the steeper its edges
	across, down := spans(r.Dx(), 2*from, stepX), spans(r.Dy(), 0, stepY)
	narrow := make([][32]float32, r.Dx()) // the columns of img, by rows of big
	for x := range narrow {
		for y, row := range big {
			sum := float32(0)
			for i, weight := range across[x].weights {
				if at := across[x].from + i; at >= 0 && at < 32 && row&(1<<31>>at) != 0 {
					sum += weight
				}
			}
			narrow[x][y] = sum
		}
	}
	for y := max(r.Min.Y, img.Rect.Min.Y); y < min(r.Max.Y, img.Rect.Max.Y); y++ {
		s := down[y-r.Min.Y]
		for x := max(r.Min.X, img.Rect.Min.X); x < min(r.Max.X, img.Rect.Max.X); x++ {
			mean := float32(0)
			for i, weight := range s.weights {
				if at := s.from + i; at >= 0 && at < 32 {
					mean += weight * narrow[x-r.Min.X][at]
				}
			}
			v := min(max((mean-0.5)*sharp+0.5, 0), 1)
			p := &img.Pix[img.PixOffset(x, y)]
			*p = max(*p, uint8(255*v))
		}
	}
}

// span says which pixels of the source one of the target is the mean of.
type span struct {
	from    int
	weights []float32
}

// spans are those of n pixels, each of which is step pixels of the source wide. None is the mean of less than a pixel:
// so a picture that is made larger gets slopes for stairs.
func spans(n, from int, step float32) []span {
	list := make([]span, n)
	wide := max(step, 1)
	for i := range list {
		left := float32(from) + float32(i)*step + (step-wide)/2
		s := &list[i]
		s.from = int(math.Floor(float64(left)))
		for at := float32(s.from); at < left+wide; at++ {
			s.weights = append(s.weights, (min(at+1, left+wide)-max(at, left))/wide)
		}
	}
	return list
}

// doubled is the picture with twice as many pixels both ways, the corners of its stairs cut off (Scale2x).
func (b Bitmap) doubled() (out [32]uint32) {
	at := func(x, y int) bool { return x >= 0 && y >= 0 && x < 16 && y < 16 && b.Rows[y]&(0x8000>>x) != 0 }
	for y := range 16 {
		for x := range 16 {
			p, up, right, left, down := at(x, y), at(x, y-1), at(x+1, y), at(x-1, y), at(x, y+1)
			q := [4]bool{p, p, p, p}
			if left != right && up != down {
				if left == up {
					q[0] = left
				}
				if up == right {
					q[1] = right
				}
				if left == down {
					q[2] = left
				}
				if down == right {
					q[3] = right
				}
			}
			for i, on := range q {
				if on {
					out[2*y+i/2] |= 1 << 31 >> (2*x + i%2)
				}
			}
		}
	}
	return out
}
