package docs

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// row writes a row of a table as "column: value; column: value", which can be understood, and found,
// without the rows above it.
func row(header, values []string) string {
	var b strings.Builder
	for i, v := range values {
		v = strings.TrimSpace(v)
		if v == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		if i < len(header) && header[i] != "" {
			b.WriteString(header[i])
			b.WriteString(": ")
		}
		b.WriteString(v)
	}
	return b.String()
}

// isHeader tells whether a first row names the columns: all have a name, no two the same, none a number.
func isHeader(first []string) bool {
	seen := map[string]bool{}
	named := 0
	for _, v := range first {
		v = strings.TrimSpace(v)
		if v == "" {
			continue
		}
		letters := strings.IndexFunc(v, unicode.IsLetter) >= 0
		if seen[v] || !letters || len(v) > 100 {
			return false
		}
		seen[v] = true
		named++
	}
	return named >= 2 || named == 1 && len(first) == 1
}

// readCSV reads comma-separated values (RFC 4180), or those separated by semicolons, tabs or bars.
func readCSV(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	b, err := readAll(r, size)
	if err != nil {
		return err
	}
	s, err := decode(b)
	if err != nil {
		return err
	}
	c := csv.NewReader(strings.NewReader(s))
	c.Comma, c.LazyQuotes, c.FieldsPerRecord, c.ReuseRecord = separator(s), true, -1, true
	var header []string
	for n := 1; ; n++ {
		values, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is damaged: %w", err)
		}
		if n == 1 && isHeader(values) {
			header = append([]string{}, values...)
			for i := range header {
				header[i] = strings.TrimSpace(header[i])
			}
			if err := w.add(Row, 0, "Columns: "+strings.Join(header, ", "), Place{Row: n}); err != nil {
				return err
			}
			continue
		}
		line, _ := c.FieldPos(0)
		if err := w.add(Row, 0, row(header, values), Place{Row: line}); err != nil {
			return err
		}
	}
}

// separator returns the sign that the first lines have most often, and each of them.
func separator(s string) rune {
	head := s[:min(len(s), 4096)]
	best, most := ',', 0
	for _, c := range ",;\t|" {
		count, all := 0, true
		for i, line := range strings.SplitN(head, "\n", 6) {
			if i == 5 || strings.TrimSpace(line) == "" {
				continue
			}
			n := strings.Count(line, string(c))
			count, all = count+n, all && n > 0
		}
		if all && count > most {
			best, most = c, count
		}
	}
	return best
}
