package unifont

import (
	"image"
	"testing"
)

// Every block can be read, and the characters that people write are there.
func TestAll(t *testing.T) {
	n := 0
	for number, k := range blocks() {
		for c := range rune(256) {
			if _, ok := Find(number<<8 | c); ok {
				n++
			}
		}
		want := 256
		for _, size := range k.sizes {
			want += int(size)
		}
		if k.sizes == nil || want != 256+len(k.rows) {
			t.Errorf("block %x has %d bytes and not %d", number, 256+len(k.rows), want)
		}
	}
	if n != characters {
		t.Errorf("%d characters, not %d", n, characters)
	}
	for _, c := range "äЖשعกअ한漢かカ、。→√✅☹☺❤♩😀🚀🎉𝑥" {
		if _, ok := Find(c); !ok {
			t.Errorf("%c (%U) is missing", c, c)
		}
	}
	for _, c := range []rune{'\u00AD', '\u200D', 0xE000, 0x3400, 0x10FFFF, -1} {
		if _, ok := Find(c); ok {
			t.Errorf("%U is there", c)
		}
	}
}

const characters = 52479

// A picture that is drawn at its own size is itself; larger ones cover as much of their area.
func TestDraw(t *testing.T) {
	b, _ := Find('漢')
	var there int
	for _, row := range b.Rows {
		for ; row != 0; row &= row - 1 {
			there++
		}
	}
	for _, side := range []int{16, 22, 32, 54, 96} {
		img := image.NewAlpha(image.Rect(0, 0, side, side))
		b.Draw(img, img.Rect, 0, 16)
		sum := 0
		for _, v := range img.Pix {
			sum += int(v)
		}
		got, want := float64(sum)/255/float64(side*side), float64(there)/256
		if got < want*0.8 || got > want*1.2 {
			t.Errorf("at %d pixels %.2f of the area is covered, of the bitmap %.2f", side, got, want)
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	p, _ := Find('漢')
	img := image.NewAlpha(image.Rect(0, 0, 54, 61))
	for b.Loop() {
		clear(img.Pix)
		p.Draw(img, image.Rect(0, 2, 54, 56), 0, 16)
	}
}
