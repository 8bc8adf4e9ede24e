package docs

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// readDOCX reads WordprocessingML (ISO/IEC 29500-1, section 17): paragraphs, headings by their style, lists,
// tables, notes. Pages are those that Word found when it saved.
func readDOCX(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	a, err := openArchive(r, size)
	if err != nil {
		return err
	}
	levels, err := headingStyles(a, w)
	if err != nil {
		return err
	}
	d := docxReader{w: w, levels: levels, page: 1}
	found, err := a.xml("word/document.xml", w, &d)
	if err != nil {
		return err
	}
	if !found {
		return errors.New("it is no Word document, although its name says so")
	}
	for _, notes := range []string{"word/footnotes.xml", "word/endnotes.xml"} {
		d := docxReader{w: w, levels: levels}
		if _, err := a.xml(notes, w, &d); err != nil {
			return err
		}
	}
	return nil
}

// headingStyles returns the levels of the styles that are headings, by their id: the word for them is
// another in each language.
func headingStyles(a *archive, w *writer) (map[string]int, error) {
	levels := map[string]int{"Title": 1}
	id := ""
	_, err := a.xml("word/styles.xml", w, starts(func(name string, attrs []xml.Attr) error {
		switch name {
		case "style":
			id = attr(attrs, "styleId")
		case "name":
			if rest, ok := strings.CutPrefix(strings.ToLower(attr(attrs, "val")), "heading "); ok && len(rest) == 1 && rest[0] >= '1' && rest[0] <= '9' {
				levels[id] = int(rest[0] - '0')
			}
		case "outlineLvl":
			if v := attr(attrs, "val"); len(v) == 1 && v[0] >= '0' && v[0] < '9' {
				levels[id] = int(v[0]-'0') + 1
			}
		}
		return nil
	}))
	return levels, err
}

type docxReader struct {
	w       *writer
	levels  map[string]int
	page    int // 0: not known
	at      int // where the paragraph began
	buf     []byte
	style   string
	level   int
	item    bool
	inText  bool
	deleted int
	tables  int // inside of so many
	row     []string
	header  []string
	rows    int
}

func (d *docxReader) start(name string, attrs []xml.Attr) error {
	switch name {
	case "p":
		if d.tables == 0 {
			d.buf = d.buf[:0]
		} else if len(d.buf) > 0 {
			d.buf = append(d.buf, ' ')
		}
		d.style, d.level, d.item, d.at = "", 0, false, d.page
	case "pStyle":
		d.style = attr(attrs, "val")
	case "outlineLvl":
		if v := attr(attrs, "val"); len(v) == 1 && v[0] >= '0' && v[0] < '9' {
			d.level = int(v[0]-'0') + 1
		}
	case "numId":
		d.item = attr(attrs, "val") != "0"
	case "t":
		d.inText = d.deleted == 0
	case "tab":
		d.buf = append(d.buf, ' ')
	case "br", "cr":
		d.buf = append(d.buf, ' ')
		if attr(attrs, "type") == "page" && d.page > 0 {
			d.turn()
		}
	case "lastRenderedPageBreak":
		if d.page > 0 {
			d.turn()
		}
	case "noBreakHyphen":
		d.buf = append(d.buf, '-')
	case "del", "moveFrom", "Fallback": // what was struck out, and what stands in for a drawing
		d.deleted++
	case "tbl":
		if d.tables++; d.tables == 1 {
			d.header, d.rows = nil, 0
		}
	case "tr":
		if d.tables == 1 {
			d.row, d.buf, d.at = d.row[:0], d.buf[:0], d.page
		}
	case "tc":
		if d.tables == 1 {
			d.buf = d.buf[:0]
		}
	}
	return nil
}

func (d *docxReader) turn() {
	d.page++
	if len(d.buf) == 0 {
		d.at = d.page
	}
}

func (d *docxReader) end(name string) error {
	at := Place{Page: d.at}
	switch name {
	case "t":
		d.inText = false
	case "del", "moveFrom", "Fallback":
		d.deleted = max(0, d.deleted-1)
	case "p":
		if d.tables > 0 {
			return nil
		}
		text := string(d.buf)
		d.buf = d.buf[:0]
		level := d.level
		if level == 0 {
			level = d.levels[d.style]
		}
		switch {
		case level > 0:
			return d.w.add(Heading, level, text, at)
		case d.item || strings.HasPrefix(d.style, "List"):
			return d.w.add(Item, 0, text, at)
		}
		return d.w.add(Text, 0, text, at)
	case "tc":
		if d.tables == 1 && len(d.row) < 1000 {
			d.row = append(d.row, strings.TrimSpace(clean(string(d.buf), false)))
			d.buf = d.buf[:0]
		}
	case "tr":
		if d.tables != 1 {
			return nil
		}
		if d.rows++; d.rows == 1 && len(d.row) > 1 && isHeader(d.row) {
			d.header = append([]string{}, d.row...)
			return nil
		}
		return d.w.add(Row, 0, row(d.header, d.row), at)
	case "tbl":
		d.tables = max(0, d.tables-1)
		if d.tables == 0 && d.rows == 1 && d.header != nil { // there was nothing below it
			return d.w.add(Row, 0, strings.Join(d.header, "; "), at)
		}
	}
	return nil
}

func (d *docxReader) text(b []byte) {
	if d.inText && len(d.buf) < 1<<20 {
		d.buf = append(d.buf, b...)
	}
}
