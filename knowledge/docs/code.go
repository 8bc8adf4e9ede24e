package docs

import (
	"context"
	"io"
	"regexp"
	"strings"
)

// declares finds lines that begin something that has a name, in most languages.
var declares = regexp.MustCompile(`^\s*(?:(?:export|public|private|protected|static|async|abstract|final|pub|default|inline|virtual|override)\s+)*(?:func|function|def|class|fn|struct|interface|enum|trait|impl|type|module|namespace|procedure|sub|CREATE\s+TABLE|create\s+table|\[)\s*[^\s].*`)

// readCode reads source code: lines between empty ones belong together, and what they declare is the heading of
// the lines that follow.
func readCode(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	b, err := readAll(r, size)
	if err != nil {
		return err
	}
	s, err := decode(b)
	if err != nil {
		return err
	}
	var text strings.Builder
	from := 1
	end := func() error {
		t := text.String()
		text.Reset()
		return w.add(Code, 0, t, Place{Line: from})
	}
	err = lines(s, func(n int, line string) error {
		blank := strings.TrimSpace(line) == ""
		top := !blank && line[0] != ' ' && line[0] != '\t' && line[0] != '}' && line[0] != ')'
		if text.Len() > 0 && (blank && text.Len() > 400 || top && text.Len() > 1200 || text.Len() > 4096) {
			if err := end(); err != nil {
				return err
			}
		}
		if top && len(line) < 200 && declares.MatchString(line) {
			if text.Len() > 400 {
				if err := end(); err != nil {
					return err
				}
			}
			w.levels[1] = strings.TrimRight(line, " {:")
		}
		if text.Len() == 0 {
			if blank {
				return nil
			}
			from = n
		}
		text.WriteString(line)
		text.WriteByte('\n')
		return nil
	})
	if err != nil {
		return err
	}
	return end()
}
