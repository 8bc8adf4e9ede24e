package docs

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strings"
)

// readEPUB reads the chapters of a book (EPUB 3.3) in the order of reading.
func readEPUB(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	a, err := openArchive(r, size)
	if err != nil {
		return err
	}
	pack := ""
	if _, err := a.xml("META-INF/container.xml", w, starts(func(name string, attrs []xml.Attr) error {
		if name == "rootfile" && pack == "" {
			pack = attr(attrs, "full-path")
		}
		return nil
	})); err != nil {
		return err
	}
	if pack == "" {
		return errors.New("it is no book in EPUB format, although its name says so")
	}
	if a.files["META-INF/rights.xml"] != nil || a.files["META-INF/license.lcpl"] != nil {
		return errors.New("it is protected against copying (DRM); only the program that it was bought for can open it")
	}
	b := epubReader{items: map[string]string{}, dir: path.Dir(pack)}
	if _, err := a.xml(pack, w, &b); err != nil {
		return err
	}
	w.doc.Title = strings.TrimSpace(clean(string(b.title), false))
	for _, id := range b.spine {
		href := b.items[id]
		if href == "" {
			continue
		}
		f, err := a.open(href)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(f, maxPlain))
		f.Close()
		if err != nil {
			if errors.Is(err, ErrTooLarge) {
				return err
			}
			return errors.New("it is damaged: a chapter can't be unpacked")
		}
		s, err := decode(text)
		if err != nil {
			return err
		}
		clear(w.levels[:])
		if err := markup(w, s, Place{}); err != nil {
			return err
		}
	}
	return nil
}

type epubReader struct {
	items map[string]string // files of the book by their id
	spine []string          // the ids in the order of reading
	dir   string
	title []byte
	in    bool
}

func (b *epubReader) start(name string, attrs []xml.Attr) error {
	switch name {
	case "item":
		if kind := attr(attrs, "media-type"); strings.Contains(kind, "html") && len(b.items) < maxEntries {
			b.items[attr(attrs, "id")] = path.Join(b.dir, unescape(attr(attrs, "href")))
		}
	case "itemref":
		if len(b.spine) < maxEntries {
			b.spine = append(b.spine, attr(attrs, "idref"))
		}
	case "title":
		b.in = len(b.title) == 0
	}
	return nil
}

func (b *epubReader) end(string) error {
	b.in = false
	return nil
}

func (b *epubReader) text(t []byte) {
	if b.in && len(b.title) < 1000 {
		b.title = append(b.title, t...)
	}
}

// unescape undoes the percent signs in a reference.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := strings.IndexByte(hexDigits, s[i+1]|0x20), strings.IndexByte(hexDigits, s[i+2]|0x20); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

const hexDigits = "0123456789abcdef"
