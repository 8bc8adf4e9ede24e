//go:build ignore

// This program makes unifont.bin, of two files of GNU Unifont 15.0.01:
//
//	apt-get download unifont fonts-unifont; for p in *.deb; do dpkg-deb -x $p unpacked; done
//	go run console/unifont/make.go unpacked/usr/share/unifont/unifont.hex unpacked/usr/share/fonts/opentype/unifont/unifont_upper.otf console/unifont/unifont.bin
//
// The format is described in unifont.go, which reads it.
package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/hex"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: make unifont.hex unifont_upper.otf unifont.bin")
	}
	blocks := map[rune]map[rune][]byte{}
	add := func(r rune, rows []byte) {
		if blocks[r>>8] == nil {
			blocks[r>>8] = map[rune][]byte{}
		}
		blocks[r>>8][r&255] = rows
	}
	hexFile, err := os.Open(os.Args[1])
	check(err)
	for lines := bufio.NewScanner(hexFile); lines.Scan(); {
		code, rows, _ := strings.Cut(lines.Text(), ":")
		n, err := strconv.ParseUint(code, 16, 21)
		check(err)
		b, err := hex.DecodeString(rows)
		check(err)
		if wanted(rune(n)) {
			add(rune(n), b)
		}
	}
	upper(os.Args[2], add)

	var index, data bytes.Buffer
	numbers := slices.Sorted(maps.Keys(blocks))
	check(binary.Write(&index, binary.LittleEndian, uint32(len(numbers))))
	for _, n := range numbers {
		var sizes [256]byte // rows' bytes: 0, 16 or 32
		var rows []byte
		for c := range rune(256) {
			sizes[c] = byte(len(blocks[n][c]))
			rows = append(rows, blocks[n][c]...)
		}
		from := data.Len()
		w, err := flate.NewWriter(&data, flate.BestCompression)
		check(err)
		_, err = w.Write(append(sizes[:], rows...))
		check(err)
		check(w.Close())
		check(binary.Write(&index, binary.LittleEndian, [2]uint32{uint32(n), uint32(data.Len() - from)}))
	}
	check(os.WriteFile(os.Args[3], append(index.Bytes(), data.Bytes()...), 0o644))
}

// wanted tells which characters of plane 0 are taken: all that are visible and not private, but rare ideographs.
func wanted(r rune) bool {
	return r > 0x20 && r != 0x7F && (unicode.IsGraphic(r) || unicode.Is(unicode.M, r)) && !unicode.Is(unicode.Co, r) && (r < 0x3400 || r > 0x4DBF) && r < 0xFFF0
}

// upper adds what people use of plane 1: mathematical letters, emoji and the symbols around them. Drawn with 16
// pixels an em, the outlines of the font are its pixels again.
func upper(name string, add func(rune, []byte)) {
	b, err := os.ReadFile(name)
	check(err)
	f, err := opentype.Parse(b)
	check(err)
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 16, DPI: 72})
	check(err)
	var buf sfnt.Buffer
	for r := rune(0x1D400); r <= 0x1FBFF; r++ {
		i, err := f.GlyphIndex(&buf, r)
		check(err)
		if i == 0 || r > 0x1D7FF && r < 0x1F000 || !unicode.IsGraphic(r) {
			continue
		}
		dr, mask, mp, advance, ok := face.Glyph(fixed.P(0, 14), r)
		if !ok || advance.Round() != 8 && advance.Round() != 16 {
			log.Fatalf("%U has an advance of %v", r, advance)
		}
		width := advance.Round() / 8
		rows := make([]byte, 16*width)
		for y := max(dr.Min.Y, 0); y < min(dr.Max.Y, 16); y++ {
			for x := max(dr.Min.X, 0); x < min(dr.Max.X, 8*width); x++ {
				if _, _, _, a := mask.At(mp.X+x-dr.Min.X, mp.Y+y-dr.Min.Y).RGBA(); a > 0x7FFF {
					rows[y*width+x/8] |= 0x80 >> (x % 8)
				}
			}
		}
		add(r, rows)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
