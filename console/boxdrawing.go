package console

// Box drawing (U+2500 to U+257F) and block elements (U+2580 to U+259F), drawn so that they meet at the
// edges of the cells. Dashed lines are drawn solid, round corners square; diagonals are left to others.

import "strings"

// boxes holds, for each box-drawing character, the weight of its arms up, right, down and left:
// 0 none, 1 light, 2 heavy, 3 double.
var boxes = [128]string{
	"0101", "0202", "1010", "2020", "0101", "0202", "1010", "2020", "0101", "0202", "1010", "2020", "0110", "0210", "0120", "0220", // 2500
	"0011", "0012", "0021", "0022", "1100", "1200", "2100", "2200", "1001", "1002", "2001", "2002", "1110", "1210", "2110", "1120", // 2510
	"2120", "2210", "1220", "2220", "1011", "1012", "2011", "1021", "2021", "2012", "1022", "2022", "0111", "0112", "0211", "0212", // 2520
	"0121", "0122", "0221", "0222", "1101", "1102", "1201", "1202", "2101", "2102", "2201", "2202", "1111", "1112", "1211", "1212", // 2530
	"2111", "1121", "2121", "2112", "2211", "1122", "1221", "2212", "1222", "2122", "2221", "2222", "0101", "0202", "1010", "2020", // 2540
	"0303", "3030", "0310", "0130", "0330", "0013", "0031", "0033", "1300", "3100", "3300", "1003", "3001", "3003", "1310", "3130", // 2550
	"3330", "1013", "3031", "3033", "0313", "0131", "0333", "1303", "3101", "3303", "1313", "3131", "3333", "0110", "0011", "1001", // 2560
	"1100", "", "", "", "0001", "1000", "0100", "0010", "0002", "2000", "0200", "0020", "0201", "1020", "0102", "2010", // 2570
}

// drawn returns the coverage of r if it is one of the characters drawn here or in signs.go, else nil.
func (g *glyphs) drawn(r rune, bold bool) []byte {
	if m, ok := signs[r]; ok {
		return g.sign(m, bold)
	}
	switch {
	case r >= 0x2500 && r <= 0x257F && boxes[r-0x2500] != "":
		return g.box(boxes[r-0x2500])
	case r >= 0x2580 && r <= 0x259F:
		return g.block(r)
	}
	return nil
}

// rect covers the pixels x0 <= x < x1, y0 <= y < y1.
func (g *glyphs) rect(p []byte, x0, y0, x1, y1 int, cov byte) {
	for y := max(y0, 0); y < min(y1, g.h); y++ {
		for x := max(x0, 0); x < min(x1, g.w); x++ {
			p[y*g.w+x] = cov
		}
	}
}

func (g *glyphs) box(arms string) []byte {
	p := make([]byte, g.w*g.h)
	light := max(g.w/10, 1)
	gap := max(g.w/7, light+1) // of a double line, from the middle
	const cov = 200
	cx, cy := g.w/2-light/2, g.h/2-light/2 // a light line begins here
	for i := range 4 {
		ccw, cw := (i+3)%4, (i+1)%4 // the neighbouring arms
		// reach is how far the stroke goes past the middle (negative: how far it stops before it).
		stroke := func(off, thick, reach int) {
			switch i {
			case 0:
				g.rect(p, cx+off, 0, cx+off+thick, cy+light+reach, cov)
			case 1:
				g.rect(p, cx-reach, cy+off, g.w, cy+off+thick, cov)
			case 2:
				g.rect(p, cx+off, cy-reach, cx+off+thick, g.h, cov)
			case 3:
				g.rect(p, 0, cy+off, cx+light+reach, cy+off+thick, cov)
			}
		}
		switch arms[i] {
		case '1', '2':
			reach := 0
			switch crossed := strings.Count(string([]byte{arms[ccw], arms[cw]}), "3"); {
			case arms[(i+2)%4] != '0' || crossed == 0: // straight on
			case crossed == 1: // round the outside of a corner
				reach = gap
			case crossed == 2: // up to the nearer line
				reach = -gap
			}
			if arms[ccw] == '2' || arms[cw] == '2' {
				reach = max(reach, (light+1)/2)
			}
			thick := light
			if arms[i] == '2' {
				thick = 2*light + 1
			}
			stroke((light-thick)/2, thick, reach)
		case '3':
			for _, off := range [2]int{-gap, gap} {
				near, far := ccw, cw // the neighbour on this stroke's side, and the other one
				if (off < 0) != (i < 2) {
					near, far = far, near
				}
				reach := 0
				switch {
				case arms[near] == '3':
					reach = -gap
				case arms[near] == '0' && arms[far] == '3':
					reach = gap
				}
				stroke(off, light, reach)
			}
		}
	}
	return p
}

func (g *glyphs) block(r rune) []byte {
	p := make([]byte, g.w*g.h)
	w, h := g.w, g.h
	switch {
	case r == 0x2580:
		g.rect(p, 0, 0, w, h/2, 255)
	case r <= 0x2588: // lower eighths
		g.rect(p, 0, h-h*int(r-0x2580)/8, w, h, 255)
	case r <= 0x258F: // left eighths
		g.rect(p, 0, 0, (w*int(0x2590-r)+4)/8, h, 255)
	case r == 0x2590:
		g.rect(p, w/2, 0, w, h, 255)
	case r <= 0x2593: // shades
		g.rect(p, 0, 0, w, h, byte(64*(r-0x2590)))
	case r == 0x2594:
		g.rect(p, 0, 0, w, max(h/8, 1), 255)
	case r == 0x2595:
		g.rect(p, w-max(w/8, 1), 0, w, h, 255)
	default: // quadrants: upper left, upper right, lower left, lower right
		q := [...]byte{4, 8, 1, 13, 9, 7, 11, 2, 6, 14}[r-0x2596]
		if q&1 != 0 {
			g.rect(p, 0, 0, w/2, h/2, 255)
		}
		if q&2 != 0 {
			g.rect(p, w/2, 0, w, h/2, 255)
		}
		if q&4 != 0 {
			g.rect(p, 0, h/2, w/2, h, 255)
		}
		if q&8 != 0 {
			g.rect(p, w/2, h/2, w, h, 255)
		}
	}
	return p
}
