package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readJSON reads JSON values (RFC 8259), one or several, as they come: an object that has no others in it is a
// row of its keys and values.
func readJSON(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	b, err := readAll(r, size)
	if err != nil {
		return err
	}
	s, err := decode(b)
	if err != nil {
		return err
	}
	b = []byte(s)
	j := jsonReader{w: w, d: json.NewDecoder(bytes.NewReader(b)), b: b, line: 1}
	j.d.UseNumber()
	for {
		t, err := j.d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = j.token(t, "", 0)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && !errors.Is(err, errFull) && w.ctx.Err() == nil {
			return fmt.Errorf("it is not JSON: %w", err)
		}
		if err != nil {
			return err
		}
	}
}

type jsonReader struct {
	w      *writer
	d      *json.Decoder
	b      []byte
	at     int // up to which line counts
	line   int
	values int
}

const maxNesting = 200

func (j *jsonReader) here() Place {
	if to := min(int(j.d.InputOffset()), len(j.b)); to > j.at {
		j.line += bytes.Count(j.b[j.at:to], []byte{'\n'})
		j.at = to
	}
	return Place{Line: j.line}
}

// token reads the value that begins with t and is called path.
func (j *jsonReader) token(t json.Token, path string, depth int) error {
	open, ok := t.(json.Delim)
	if !ok {
		return j.w.add(Row, 0, field(path, t), j.here())
	}
	if depth > maxNesting {
		return fmt.Errorf("its values are nested more than %d deep", maxNesting)
	}
	var fields []string
	size := 0
	at := j.here()
	flush := func() error {
		text := strings.Join(fields, "; ")
		if open == '[' {
			text = strings.Join(fields, ", ")
			if len(fields) > 0 && path != "" {
				text = path + ": " + text
			}
		} else if path != "" && len(fields) > 0 {
			text = path + ": " + text
		}
		fields, size = fields[:0], 0
		return j.w.add(Row, 0, text, at)
	}
	for j.d.More() {
		if j.values++; j.values&4095 == 0 && j.w.ctx.Err() != nil {
			return j.w.ctx.Err()
		}
		key := ""
		if open == '{' {
			k, err := j.d.Token()
			if err != nil {
				return err
			}
			key, _ = k.(string)
		}
		v, err := j.d.Token()
		if err != nil {
			return err
		}
		if _, deep := v.(json.Delim); !deep {
			if len(fields) == 0 {
				at = j.here()
			}
			f := field(key, v)
			fields = append(fields, f)
			if size += len(f); size > 4096 {
				if err := flush(); err != nil {
					return err
				}
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		inner := path
		if key != "" && path != "" && len(path) < 500 {
			inner += "."
		}
		if len(path) < 500 {
			inner += key
		}
		if err := j.token(v, inner, depth+1); err != nil {
			return err
		}
	}
	if _, err := j.d.Token(); err != nil {
		return err
	}
	return flush()
}

func field(key string, v any) string {
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case nil:
		text = "null"
	default:
		text = fmt.Sprint(v)
	}
	if key == "" {
		return text
	}
	return key + ": " + text
}
