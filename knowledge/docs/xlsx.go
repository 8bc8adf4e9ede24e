package docs

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// readXLSX reads SpreadsheetML (ISO/IEC 29500-1, section 18): the rows of all sheets, with the values that
// formulas had when the workbook was saved.
func readXLSX(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	a, err := openArchive(r, size)
	if err != nil {
		return err
	}
	const book = "xl/workbook.xml"
	targets, err := a.relations(w, book)
	if err != nil {
		return err
	}
	type sheet struct{ name, part string }
	var sheets []sheet
	date1904 := false
	found, err := a.xml(book, w, starts(func(name string, attrs []xml.Attr) error {
		switch name {
		case "sheet":
			if target := targets[attr(attrs, "id")]; target != "" && len(sheets) < 10000 {
				sheets = append(sheets, sheet{attr(attrs, "name"), target})
			}
		case "workbookPr":
			v := attr(attrs, "date1904")
			date1904 = v == "1" || v == "true"
		}
		return nil
	}))
	if err != nil {
		return err
	}
	if !found {
		return errors.New("it is no Excel workbook, although its name says so")
	}
	shared := sharedStrings{}
	if _, err := a.xml("xl/sharedStrings.xml", w, &shared); err != nil {
		return err
	}
	dates, err := dateStyles(a, w)
	if err != nil {
		return err
	}
	for _, s := range sheets {
		x := sheetReader{w: w, sheet: s.name, shared: shared.list, dates: dates, date1904: date1904}
		if _, err := a.xml(s.part, w, &x); err != nil {
			return err
		}
	}
	return nil
}

type sharedStrings struct {
	list     []string
	buf      []byte
	in       bool
	phonetic int
}

func (s *sharedStrings) start(name string, _ []xml.Attr) error {
	switch name {
	case "si":
		s.buf = s.buf[:0]
	case "t":
		s.in = s.phonetic == 0
	case "rPh":
		s.phonetic++
	}
	return nil
}

func (s *sharedStrings) end(name string) error {
	switch name {
	case "si":
		if len(s.list) < 4<<20 {
			s.list = append(s.list, string(s.buf))
		}
	case "t":
		s.in = false
	case "rPh":
		s.phonetic = max(0, s.phonetic-1)
	}
	return nil
}

func (s *sharedStrings) text(b []byte) {
	if s.in {
		s.buf = append(s.buf, b...)
	}
}

// dateStyles tells of each style of cells whether it shows a number as a date: by one of the formats that
// every program has, or by one of the workbook's own.
func dateStyles(a *archive, w *writer) ([]bool, error) {
	own := map[string]bool{}
	var styles []bool
	cells := false
	_, err := a.xml("xl/styles.xml", w, starts(func(name string, attrs []xml.Attr) error {
		switch name {
		case "numFmt":
			code := strings.ToLower(attr(attrs, "formatCode"))
			own[attr(attrs, "numFmtId")] = strings.Contains(code, "yy") || strings.Contains(code, "d/m") || strings.Contains(code, "mmm")
		case "cellXfs":
			cells = true
		case "cellStyles", "dxfs":
			cells = false
		case "xf":
			if cells && len(styles) < maxEntries {
				id := attr(attrs, "numFmtId")
				n, _ := strconv.Atoi(id)
				styles = append(styles, n >= 14 && n <= 17 || n == 22 || own[id])
			}
		}
		return nil
	}))
	return styles, err
}

type sheetReader struct {
	w        *writer
	sheet    string
	shared   []string
	dates    []bool
	date1904 bool

	row, lines int
	header     []string
	values     []string
	column     int
	kind       string
	date, in   bool
	buf        []byte
}

func (x *sheetReader) start(name string, attrs []xml.Attr) error {
	switch name {
	case "row":
		x.row++
		if n, err := strconv.Atoi(attr(attrs, "r")); err == nil {
			x.row = n
		}
		x.values, x.column = x.values[:0], 0
	case "c":
		x.column++
		if n := column(attr(attrs, "r")); n > 0 {
			x.column = n
		}
		x.kind, x.buf = attr(attrs, "t"), x.buf[:0]
		s, err := strconv.Atoi(attr(attrs, "s"))
		x.date = err == nil && s >= 0 && s < len(x.dates) && x.dates[s]
	case "v", "t":
		x.in = true
	}
	return nil
}

func (x *sheetReader) end(name string) error {
	switch name {
	case "v", "t":
		x.in = false
	case "c":
		if x.column < 1 || x.column > 1000 || len(x.buf) == 0 {
			return nil
		}
		for len(x.values) < x.column {
			x.values = append(x.values, "")
		}
		x.values[x.column-1] = x.value(string(x.buf))
	case "row":
		if strings.Join(x.values, "") == "" {
			return nil
		}
		if x.lines++; x.lines == 1 && isHeader(x.values) {
			x.header = append([]string{}, x.values...)
			return x.w.add(Row, 0, "Columns: "+strings.Join(x.header, ", "), Place{Sheet: x.sheet, Row: x.row})
		}
		return x.w.add(Row, 0, row(x.header, x.values), Place{Sheet: x.sheet, Row: x.row})
	}
	return nil
}

func (x *sheetReader) text(b []byte) {
	if x.in {
		x.buf = append(x.buf, b...)
	}
}

// value returns what a cell shows.
func (x *sheetReader) value(s string) string {
	switch x.kind {
	case "s":
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(x.shared) {
			return x.shared[n]
		}
		return ""
	case "b":
		if s == "1" {
			return "TRUE"
		}
		return "FALSE"
	case "", "n":
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return s
		}
		if x.date && v > 0 && v < 3e6 {
			return x.day(v)
		}
		if r := math.Round(v*1e9) / 1e9; math.Abs(v) < 1e12 && len(s) > 12 { // 0.30000000000000004
			return strconv.FormatFloat(r, 'f', -1, 64)
		}
	}
	return s
}

// day writes a date as ISO 8601 does. Days are counted from the end of 1899, or from 1904.
func (x *sheetReader) day(v float64) string {
	from := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	if x.date1904 {
		from = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	days, part := math.Modf(v)
	t := from.AddDate(0, 0, int(days)).Add(time.Duration(math.Round(part*86400)) * time.Second)
	if part == 0 {
		return t.Format("2006-01-02")
	}
	return t.Format("2006-01-02 15:04")
}

// column returns which column a reference such as BC12 is in, from 1.
func column(ref string) int {
	n := 0
	for _, c := range ref {
		if c < 'A' || c > 'Z' || n > 1<<20 {
			break
		}
		n = n*26 + int(c-'A') + 1
	}
	return n
}
