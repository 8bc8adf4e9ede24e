package pdf

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"fmt"
	"io"
)

// filter undoes one filter (ISO 32000-1, section 7.4). Those of pictures are left: text is in none.
// What was unpacked before an error is returned with it.
func (f *file) filter(kind name, p dict, b []byte) ([]byte, error) {
	switch kind {
	case "FlateDecode", "Fl":
		out, err := inflate(b)
		return f.predict(out, p, err)
	case "LZWDecode", "LZW":
		out, err := unLZW(b, f.num(p["EarlyChange"], 1) != 0)
		return f.predict(out, p, err)
	case "ASCIIHexDecode", "AHx":
		return []byte((&lexer{b: b}).hex()), nil
	case "ASCII85Decode", "A85":
		b = bytes.TrimLeft(b, white)
		b = bytes.TrimPrefix(b, []byte("<~"))
		if i := bytes.IndexByte(b, '~'); i >= 0 {
			b = b[:i]
		}
		return io.ReadAll(ascii85.NewDecoder(bytes.NewReader(b)))
	case "RunLengthDecode", "RL":
		var out []byte
		for len(b) > 1 && b[0] != 128 && len(out) < maxStream {
			if n := int(b[0]) + 1; n <= 128 {
				n = min(n, len(b)-1)
				out, b = append(out, b[1:1+n]...), b[1+n:]
			} else {
				out, b = append(out, bytes.Repeat(b[1:2], 258-n)...), b[2:]
			}
		}
		return out, nil
	case "Crypt":
		return b, nil
	}
	return nil, fmt.Errorf("filter %s is for pictures", kind)
}

func inflate(b []byte) ([]byte, error) {
	var r io.Reader
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil { // without the header, or a wrong one
		r = flate.NewReader(bytes.NewReader(b[min(2, len(b)):]))
	}
	out, err := io.ReadAll(io.LimitReader(r, maxStream+1))
	if len(out) > maxStream {
		return nil, ErrTooLarge
	}
	return out, err
}

// unLZW is not compress/lzw's format: codes may grow one entry early, and a clear code may come at any time.
func unLZW(b []byte, early bool) ([]byte, error) {
	type entry struct {
		prev int32
		last byte
		n    int32
	}
	var table [4096]entry
	for i := range 256 {
		table[i] = entry{-1, byte(i), 1}
	}
	next, width, prev := 258, uint(9), -1
	lead := 0
	if early {
		lead = 1
	}
	var out []byte
	acc, bits := uint32(0), uint(0)
	for {
		for bits < width {
			if len(b) == 0 {
				return out, nil
			}
			acc, bits, b = acc<<8|uint32(b[0]), bits+8, b[1:]
		}
		code := int(acc >> (bits - width) & (1<<width - 1))
		bits -= width
		switch {
		case code == 256:
			next, width, prev = 258, 9, -1
			continue
		case code == 257:
			return out, nil
		case code > next || code == next && prev < 0 || code >= 258 && prev < 0:
			return out, errors.New("an LZW code is not in the table")
		}
		if prev >= 0 && next < len(table) {
			first := code
			if code == next {
				first = prev
			}
			for table[first].prev >= 0 {
				first = int(table[first].prev)
			}
			table[next] = entry{int32(prev), table[first].last, table[prev].n + 1}
			next++
		} else if code >= next {
			return out, errors.New("an LZW code is not in the table")
		}
		n := int(table[code].n)
		if len(out)+n > maxStream {
			return nil, ErrTooLarge
		}
		out = append(out, make([]byte, n)...)
		for c, i := code, len(out)-1; c >= 0 && n > 0; c, i, n = int(table[c].prev), i-1, n-1 {
			out[i] = table[c].last
		}
		prev = code
		if next+lead >= 1<<width && width < 12 {
			width++
		}
	}
}

// predict undoes the prediction of bytes from their neighbours, which made them easier to pack.
func (f *file) predict(b []byte, p dict, err error) ([]byte, error) {
	kind := int(f.num(p["Predictor"], 1))
	if kind < 2 || len(b) == 0 {
		return b, err
	}
	colors, depth, columns := f.num(p["Colors"], 1), f.num(p["BitsPerComponent"], 8), f.num(p["Columns"], 1)
	if colors < 1 || colors > 64 || depth < 1 || depth > 16 || columns < 1 || columns > 1<<20 {
		return nil, errors.New("a predictor has impossible parameters")
	}
	size := max(1, int(colors*depth+7)/8)
	row := int(colors*depth*columns+7) / 8
	if kind == 2 {
		if depth == 8 {
			for i := range b {
				if i%row >= size {
					b[i] += b[i-size]
				}
			}
		}
		return b, err
	}
	out := make([]byte, 0, len(b))
	above := make([]byte, row)
	for len(b) > 1 {
		how, line := b[0], b[1:min(len(b), 1+row)]
		b = b[1+len(line):]
		for i := range line {
			var left, up, corner byte
			if up = above[i]; i >= size {
				left, corner = line[i-size], above[i-size]
			}
			switch how {
			case 1:
				line[i] += left
			case 2:
				line[i] += up
			case 3:
				line[i] += byte((int(left) + int(up)) / 2)
			case 4:
				line[i] += paeth(left, up, corner)
			}
		}
		out = append(out, line...)
		copy(above, line)
	}
	return out, err
}

func paeth(a, b, c byte) byte {
	abs := func(i int) int { return max(i, -i) }
	pa, pb, pc := abs(int(b)-int(c)), abs(int(a)-int(c)), abs(int(a)+int(b)-2*int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}
