package db

import (
	"bytes"
	"encoding/binary"
)

// SQLite overwrites a row that is deleted where it lies (secure_delete). But when it lays the rows of pages out anew it leaves copies of those that
// have moved between the pointers and the rows of a page, where nobody ever reads them again, nor overwrites them. So that room is
// cleared before a page is written (https://sqlite.org/fileformat2.html#b_tree_pages).

// mapped is how many pages a page of the pointer map tells of, itself included; it is the first of these.
const mapped = (pageSize-sums)/5 + 1

// withoutGap returns a page of the database as it is to be written at off: itself, or a copy without what is in its gap.
func withoutGap(p []byte, off int64) []byte {
	if len(p) != pageSize || off%pageSize != 0 {
		return p
	}
	number, at := off/pageSize+1, 0
	switch {
	case number == 1:
		at = 100 // behind the header of the file
	case (number-2)%mapped == 0:
		return p
	}
	h, size := p[at:], 8
	switch h[0] { // what are no trees begin with the number of a page, which is less than 1<<25
	case 2, 5:
		size = 12
	case 10, 13:
	default:
		return p
	}
	from, to := at+size+2*int(binary.BigEndian.Uint16(h[3:])), int(binary.BigEndian.Uint16(h[5:]))
	if from >= to || to > pageSize-sums || len(bytes.Trim(p[from:to], "\x00")) == 0 {
		return p
	}
	p = bytes.Clone(p)
	clear(p[from:to])
	seal(p)
	return p
}

// seal gives a page its checksum (https://sqlite.org/cksumvfs.html).
func seal(p []byte) {
	var a, b uint32
	for x := p[:pageSize-sums]; len(x) > 0; x = x[8:] {
		a += binary.LittleEndian.Uint32(x) + b
		b += binary.LittleEndian.Uint32(x[4:]) + a
	}
	binary.LittleEndian.PutUint32(p[pageSize-sums:], a)
	binary.LittleEndian.PutUint32(p[pageSize-sums+4:], b)
}
