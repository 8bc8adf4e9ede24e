package console

import (
	"fmt"
	"image"
	"strings"
	"testing"
)

var benchSizes = [][2]int{{800, 600}, {1280, 800}, {2880, 1800}}

func benchSizesRun(b *testing.B, f func(b *testing.B, w, h int)) {
	for _, s := range benchSizes {
		b.Run(fmt.Sprintf("%dx%d", s[0], s[1]), func(b *testing.B) { f(b, s[0], s[1]) })
	}
}

func benchConsole(b *testing.B, w, h int) *Console {
	c, err := New(Options{Screen: newMemScreen(w, h)})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkNew is the time from nothing to the first text on the screen.
func BenchmarkNew(b *testing.B) {
	benchSizesRun(b, func(b *testing.B, w, h int) {
		screen := newMemScreen(w, h)
		for b.Loop() {
			c, err := New(Options{Screen: screen})
			if err != nil {
				b.Fatal(err)
			}
			fmt.Fprint(c, "AlphaOS is looking for its models.\n")
		}
	})
}

func page0(i int) string {
	var s strings.Builder
	for y := range 40 {
		fmt.Fprintf(&s, "%s\n", strings.Repeat(string(rune('a'+(i+y)%26)), 78))
	}
	return s.String()
}

// BenchmarkRepaint draws all of the screen, its ground and its bars, as a new theme does.
func BenchmarkRepaint(b *testing.B) {
	benchSizesRun(b, func(b *testing.B, w, h int) {
		c := benchConsole(b, w, h)
		c.Write([]byte(page0(0)))
		b.SetBytes(int64(w * h * 4))
		for b.Loop() {
			if err := c.SetTheme("night"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRedraw draws every cell anew, as reading back does.
func BenchmarkRedraw(b *testing.B) {
	benchSizesRun(b, func(b *testing.B, w, h int) {
		c := benchConsole(b, w, h)
		c.Write([]byte(page0(0)))
		b.SetBytes(int64(w * h * 4))
		for b.Loop() {
			for i := range c.surface.shown {
				c.surface.shown[i].id = 'x'
			}
			c.show()
		}
	})
}

// BenchmarkScroll writes one full line at the bottom of a full screen.
func BenchmarkScroll(b *testing.B) {
	benchSizesRun(b, func(b *testing.B, w, h int) {
		c := benchConsole(b, w, h)
		c.Write([]byte(page0(0)))
		lines := strings.SplitAfter(page0(7), "\n")
		i := 0
		for b.Loop() {
			c.Write([]byte(lines[i%40]))
			i++
		}
	})
}

// BenchmarkStream writes an answer token by token; a 13th of them end in a new row.
func BenchmarkStream(b *testing.B) {
	benchSizesRun(b, func(b *testing.B, w, h int) {
		c := benchConsole(b, w, h)
		tokens := [][]byte{[]byte(" the"), []byte(" quick"), []byte(" br"), []byte("own"), []byte(" fox"), []byte(" jumps"), []byte(",")}
		i := 0
		for b.Loop() {
			c.Write(tokens[i%len(tokens)])
			i++
		}
	})
}

// BenchmarkFlushFloor is what merely copying a screenful costs, for comparison.
func BenchmarkFlushFloor(b *testing.B) {
	benchSizesRun(b, func(b *testing.B, w, h int) {
		screen := newMemScreen(w, h)
		shadow := make([]uint32, w*h)
		b.SetBytes(int64(w * h * 4))
		for b.Loop() {
			screen.Flush(shadow, w, image.Rect(0, 0, w, h))
		}
	})
}
