package pdf

// readCFF reads the encoding in an embedded font of the Compact Font Format (Adobe's Technical Note 5176).
// What it can't read stays as it was.
func readCFF(b []byte, table *[256]string) {
	if len(b) < 4 {
		return
	}
	_, rest := cffIndex(b[min(len(b), int(b[2])):]) // names of fonts
	dicts, rest := cffIndex(rest)
	names, _ := cffIndex(rest)
	if len(dicts) == 0 {
		return
	}
	charset, encoding, glyphCount := 0, 0, 0
	cffDict(dicts[0], func(key int, v []int) {
		if len(v) == 0 {
			return
		}
		switch key {
		case 15:
			charset = v[0]
		case 16:
			encoding = v[0]
		case 17:
			if v[0] > 0 && v[0] < len(b)-2 {
				glyphCount = int(b[v[0]])<<8 | int(b[v[0]+1])
			}
		}
	})
	if encoding <= 1 || charset <= 2 || encoding >= len(b) || charset >= len(b) {
		return // the standard one
	}
	sids := make([]int, 1, glyphCount+1)
	for c, format := b[charset+1:], b[charset]; len(sids) < glyphCount && len(c) >= 2; {
		sid, n, size := int(c[0])<<8|int(c[1]), 0, 2
		switch {
		case format == 1 && len(c) >= 3:
			n, size = int(c[2]), 3
		case format == 2 && len(c) >= 4:
			n, size = int(c[2])<<8|int(c[3]), 4
		case format != 0:
			return
		}
		for i := 0; i <= n && len(sids) < glyphCount; i++ {
			sids = append(sids, sid+i)
		}
		c = c[size:]
	}
	*table = [256]string{}
	set := func(code, gid int) {
		if gid >= len(sids) || code > 255 {
			return
		}
		switch sid := sids[gid]; {
		case sid >= 391 && sid-391 < len(names):
			table[code] = glyph(string(names[sid-391]))
		case sid >= 1 && sid <= 95: // the standard strings begin as ASCII does
			table[code] = standard[sid+31]
		case sid <= 149:
			n := 95 // and go on in the order of the standard encoding
			for c := 0xA1; c < 256; c++ {
				if standard[c] == "" {
					continue
				}
				if n++; n == sid {
					table[code] = standard[c]
				}
			}
		}
	}
	e := b[encoding:]
	if len(e) < 2 {
		return
	}
	gid := 1
	switch n := int(e[1]); e[0] & 127 {
	case 0:
		for i := 0; i < n && 2+i < len(e); i++ {
			set(int(e[2+i]), gid)
			gid++
		}
	case 1:
		for i := 0; i < n && 3+2*i < len(e); i++ {
			for k := 0; k <= int(e[3+2*i]); k++ {
				set(int(e[2+2*i])+k, gid)
				gid++
			}
		}
	}
}

func cffIndex(b []byte) (list [][]byte, rest []byte) {
	if len(b) < 3 {
		return nil, nil
	}
	n, size := int(b[0])<<8|int(b[1]), int(b[2])
	if n == 0 {
		return nil, b[2:]
	}
	head := 3 + (n+1)*size
	if size < 1 || size > 4 || head > len(b) {
		return nil, nil
	}
	at := func(i int) int {
		v := 0
		for _, c := range b[3+i*size : 3+(i+1)*size] {
			v = v<<8 | int(c)
		}
		return v + head - 1
	}
	for i := range n {
		from, to := at(i), at(i+1)
		if from < head || to < from || to > len(b) {
			return nil, nil
		}
		list = append(list, b[from:to])
	}
	return list, b[at(n):]
}

func cffDict(b []byte, f func(key int, v []int)) {
	var v []int
	for len(b) > 0 {
		c := int(b[0])
		n := 1
		switch {
		case c == 12 && len(b) > 1:
			f(1200+int(b[1]), v)
			v, n = nil, 2
		case c <= 21:
			f(c, v)
			v = nil
		case c == 28 && len(b) > 2:
			v, n = append(v, int(int16(int(b[1])<<8|int(b[2])))), 3
		case c == 29 && len(b) > 4:
			v, n = append(v, int(int32(uint32(b[1])<<24|uint32(b[2])<<16|uint32(b[3])<<8|uint32(b[4])))), 5
		case c == 30:
			for n < len(b) && b[n]&15 != 15 && b[n]>>4 != 15 {
				n++
			}
			v, n = append(v, 0), n+1
		case c >= 32 && c <= 246:
			v = append(v, c-139)
		case c >= 247 && c <= 250 && len(b) > 1:
			v, n = append(v, (c-247)*256+int(b[1])+108), 2
		case c >= 251 && c <= 254 && len(b) > 1:
			v, n = append(v, -(c-251)*256-int(b[1])-108), 2
		}
		b = b[min(n, len(b)):]
	}
}
