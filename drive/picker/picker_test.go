package picker

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// decodeLabel returns a label as opacities from 0 to 15.
func decodeLabel(t *testing.T, b []byte) (levels []byte, w, h int) {
	t.Helper()
	if len(b) < 5 || b[0] != 1 {
		t.Fatalf("a label begins with % x", b[:min(len(b), 5)])
	}
	w, h = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	if len(b) != 5+w*h {
		t.Fatalf("a label of %d x %d has %d bytes", w, h, len(b))
	}
	// The order is that of rEFIt's description, from white to black.
	grey := []byte("\x00\xf6\xf7\x2a\xf8\xf9\x55\xfa\xfb\x80\xfc\xfd\xab\xfe\xff\xd6")
	for _, v := range b[5:] {
		level := bytes.IndexByte(grey, v)
		if level < 0 {
			t.Fatalf("a label has the colour %#x, which is no grey", v)
		}
		levels = append(levels, byte(level))
	}
	return levels, w, h
}

func label(t *testing.T, name string, scale int) []byte {
	t.Helper()
	b, err := Label(name, scale)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLabel(t *testing.T) {
	var widths [3]int
	for scale := 1; scale <= 2; scale++ {
		levels, w, h := decodeLabel(t, label(t, "AlphaOS", scale))
		widths[scale] = w
		if h != 12*scale {
			t.Errorf("at scale %d it is %d high", scale, h)
		}
		if !slices.Contains(levels, 0) || !slices.Contains(levels, 15) {
			t.Errorf("at scale %d it has no ground or no full ink", scale)
		}
		if !slices.ContainsFunc(levels, func(v byte) bool { return v > 0 && v < 15 }) {
			t.Errorf("at scale %d its edges are hard", scale)
		}
		for y := range h {
			for x := range w {
				if edge := x == 0 || x == w-1 || y == 0 || y == h-1; edge && levels[y*w+x] > 3 {
					t.Errorf("at scale %d it is cut at %d, %d", scale, x, y)
				}
			}
		}
	}
	if d := widths[2] - 2*widths[1]; d < -2 || d > 2 {
		t.Errorf("it is %d wide at scale 1 and %d at scale 2", widths[1], widths[2])
	}
	if bytes.Equal(label(t, "AlphaOS", 1), label(t, "AlphaO5", 1)) {
		t.Error("other names look the same")
	}
	if _, err := Label(strings.Repeat("wide ", 20), 1); err == nil {
		t.Error("a name that is wider than the picker is taken")
	}
}

// records returns what an icon file holds, by type.
func records(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	if string(b[:4]) != "icns" || int(binary.BigEndian.Uint32(b[4:])) != len(b) {
		t.Fatalf("an icon of %d bytes begins with %q", len(b), b[:8])
	}
	found := map[string][]byte{}
	for b = b[8:]; len(b) > 0; {
		if len(b) < 8 {
			t.Fatalf("%d bytes are left over", len(b))
		}
		n := int(binary.BigEndian.Uint32(b[4:]))
		if n < 8 || n > len(b) {
			t.Fatalf("record %q has %d bytes of %d", b[:4], n, len(b))
		}
		found[string(b[:4])] = b[8:n]
		b = b[n:]
	}
	return found
}

// runs undoes appendRuns.
func runs(b []byte) (p []byte) {
	for len(b) > 0 {
		if n := int(b[0]); n < 128 {
			p = append(p, b[1:n+2]...)
			b = b[n+2:]
		} else {
			p = append(p, bytes.Repeat(b[1:2], n-125)...)
			b = b[2:]
		}
	}
	return p
}

func FuzzRuns(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("aabbbccccd"))
	f.Add(bytes.Repeat([]byte{7}, 1000))
	f.Add(bytes.Repeat([]byte{1, 2}, 200))
	f.Fuzz(func(t *testing.T, p []byte) {
		b := appendRuns(nil, p)
		if !bytes.Equal(runs(b), p) {
			t.Errorf("% x becomes % x", p, b)
		}
		if len(b) > len(p)+len(p)/128+1 {
			t.Errorf("%d bytes become %d", len(p), len(b))
		}
	})
}

func pixels(t *testing.T, b []byte) *image.NRGBA {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return straightened(img)
}

func straightened(img image.Image) *image.NRGBA {
	if n, ok := img.(*image.NRGBA); ok {
		return n
	}
	n := image.NewNRGBA(img.Bounds())
	for y := range n.Rect.Dy() {
		for x := range n.Rect.Dx() {
			n.Set(x, y, img.At(x, y))
		}
	}
	return n
}

func TestIcon(t *testing.T) {
	b, err := Icon()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Icon(); !bytes.Equal(b, again) {
		t.Error("it is another one each time")
	}
	found := records(t, b)
	// Sides as Apple's iconutil has them.
	for kind, side := range map[string]int{"ic11": 32, "ic12": 64, "ic07": 128, "ic13": 256, "ic08": 256, "ic09": 512} {
		img := pixels(t, found[kind])
		if img.Rect.Dx() != side || img.Rect.Dy() != side {
			t.Errorf("%s has %v", kind, img.Rect)
			continue
		}
		if _, _, _, a := img.At(0, 0).RGBA(); a != 0 {
			t.Errorf("%s has no round corners", kind)
		}
		at := func(x, y float64) color.NRGBA { return img.NRGBAAt(int(x*float64(side)), int(y*float64(side))) }
		for what, c := range map[string]color.NRGBA{"bowl": at(0.205, 0.5), "end": at(0.735, 0.34)} {
			if c.A != 255 || c.G < 0xa0 {
				t.Errorf("%s: the mark's %s is %v", kind, what, c)
			}
		}
		if c := at(0.39, 0.5); c.A != 255 || c.G > 0x40 {
			t.Errorf("%s: inside of the bowl is %v", kind, c)
		}
		if l, r := at(0.205, 0.5), at(0.735, 0.34); l.B >= l.G || r.B <= r.G {
			t.Errorf("%s: the mark goes from %v to %v, not from green to blue", kind, l, r)
		}
	}
	// The old records hold the same picture.
	it32, mask, img := found["it32"], found["t8mk"], pixels(t, found["ic07"])
	if len(it32) < 4 || !bytes.Equal(it32[:4], make([]byte, 4)) {
		t.Fatal("it32 does not begin with four zeros")
	}
	colours := runs(it32[4:])
	if len(colours) != 3*128*128 || len(mask) != 128*128 {
		t.Fatalf("it32 has %d bytes, t8mk %d", len(colours), len(mask))
	}
	for i, a := range mask {
		if old := []byte{colours[i], colours[i+128*128], colours[i+2*128*128], a}; !bytes.Equal(old, img.Pix[4*i:][:4]) {
			t.Fatalf("pixel %d is %v in it32 and %v in ic07", i, old, img.Pix[4*i:][:4])
		}
	}
}

// What others make of the icon, where icnsutils is installed.
func TestIcns2png(t *testing.T) {
	if _, err := exec.LookPath("icns2png"); err != nil {
		t.Skip("icns2png is not installed (package icnsutils)")
	}
	b, err := Icon()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "icon.icns"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("icns2png", "-x", "icon.icns")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("icns2png: %v\n%s", err, out)
	}
	for name, side := range map[string]int{"icon_128x128x32.png": 128, "icon_256x256x32.png": 256, "icon_512x512x32.png": 512} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(pixels(t, got).Pix, drawIcon(side).Pix) {
			t.Errorf("icns2png sees another picture of %d pixels", side)
		}
	}
}
