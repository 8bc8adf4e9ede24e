// Package picker makes what a start-up picker shows of a drive: the name as a bitmap, since the
// firmware of an Intel Mac cannot render text, and an icon for the volume.
//
// Apple has described neither format. Labels follow what rEFIt found out
// (refit.sourceforge.net/info/vollabel.html) and OpenCore reads; icons are the container that
// macOS has used since 10.7.
package picker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// What the picker has room for, in pixels at scale 1.
const (
	labelHeight = 12
	maxWidth    = 340
)

// greys are the pure greys of the Macintosh's 256 colours, from white to black. The picker takes
// them for how much of a pixel is ink, whatever the colour of its ground and of its text.
var greys = [16]byte{0x00, 0xf6, 0xf7, 0x2a, 0xf8, 0xf9, 0x55, 0xfa, 0xfb, 0x80, 0xfc, 0xfd, 0xab, 0xfe, 0xff, 0xd6}

// Label returns the bitmap of a name, for .disk_label at scale 1 and .disk_label_2x at scale 2:
// a byte 1, width and height as 16-bit numbers, big-endian, and one byte a pixel, from left to
// right and from top to bottom.
func Label(name string, scale int) ([]byte, error) {
	f, err := opentype.Parse(gomedium.TTF)
	if err != nil {
		return nil, fmt.Errorf("the font of the label: %w", err)
	}
	const em = 7 * 2048 / 1480.0 // pixels at scale 1: capitals are 7 high, so that their edges are sharp
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: em * float64(scale), DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil, fmt.Errorf("the font of the label: %w", err)
	}
	defer face.Close()
	margin := scale
	w, h := font.MeasureString(face, name).Ceil()+2*margin, labelHeight*scale
	if w > maxWidth*scale {
		return nil, errors.New("the name is too long for the start-up picker of a Mac; choose a shorter one")
	}
	img := image.NewAlpha(image.Rect(0, 0, w, h))
	d := font.Drawer{Dst: img, Src: image.Opaque, Face: face, Dot: fixed.P(margin, 9*scale)}
	d.DrawString(name)

	b := binary.BigEndian.AppendUint16([]byte{1}, uint16(w))
	b = binary.BigEndian.AppendUint16(b, uint16(h))
	for _, v := range img.Pix {
		b = append(b, greys[int(math.Round(float64(v)*15/255))])
	}
	return b, nil
}
