package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

func readHTML(_ context.Context, w *writer, r io.ReaderAt, size int64) error {
	b, err := readAll(r, size)
	if err != nil {
		return err
	}
	s, err := decode(b)
	if err != nil {
		return err
	}
	return markup(w, s, Place{})
}

// markup reads HTML token by token; there is no tree, so nothing can be nested too deep.
func markup(w *writer, s string, at Place) error {
	h := htmlReader{w: w, at: at}
	z := html.NewTokenizer(strings.NewReader(s))
	z.SetMaxBuf(4 << 20)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("it is damaged: %w", err)
			}
			return h.end()
		case html.TextToken:
			switch {
			case h.title:
				if h.w.doc.Title == "" {
					h.w.doc.Title = strings.TrimSpace(clean(string(z.Text()), false))
				}
			case h.hidden == 0:
				h.text = append(h.text, html.UnescapeString(string(z.Raw()))...)
				if len(h.text) > 64<<10 {
					if err := h.end(); err != nil {
						return err
					}
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			if err := h.open(atom.Lookup(name)); err != nil {
				return err
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if err := h.close(atom.Lookup(name)); err != nil {
				return err
			}
		}
	}
}

type htmlReader struct {
	w      *writer
	at     Place
	text   []byte
	kind   Kind
	level  int
	hidden int // inside of so many elements that show nothing
	title  bool
	pre    bool
	header []string // of the table
	values []string // of the row
	names  bool     // the row has nothing but names of columns
	inRow  bool
}

func (h *htmlReader) end() error {
	text := string(h.text)
	h.text = h.text[:0]
	if h.inRow {
		return nil
	}
	kind := h.kind
	if h.pre {
		kind = Code
	}
	err := h.w.add(kind, h.level, text, h.at)
	if kind == Heading {
		h.kind = Text
	}
	return err
}

func (h *htmlReader) cell() {
	if h.inRow && len(h.values) < 1000 {
		h.values = append(h.values, strings.TrimSpace(clean(string(h.text), false)))
	}
	h.text = h.text[:0]
}

func (h *htmlReader) row() error {
	if !h.inRow {
		return nil
	}
	h.inRow = false
	h.text = h.text[:0]
	if h.names && len(h.values) > 1 {
		h.header = append([]string{}, h.values...)
		return nil
	}
	return h.w.add(Row, 0, row(h.header, h.values), h.at)
}

func (h *htmlReader) open(a atom.Atom) error {
	switch a {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Svg:
		h.hidden++
	case atom.Title:
		h.title = true
	case atom.Br:
		if h.pre {
			h.text = append(h.text, '\n')
		} else {
			h.text = append(h.text, ' ')
		}
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		err := h.end()
		h.kind, h.level = Heading, int(a.String()[1]-'0')
		return err
	case atom.Li, atom.Dt, atom.Dd:
		err := h.end()
		h.kind, h.level = Item, 0
		return err
	case atom.Pre:
		err := h.end()
		h.pre = true
		return err
	case atom.Table:
		err := h.end()
		h.header = nil
		return err
	case atom.Tr:
		err := errors.Join(h.row(), h.end())
		h.inRow, h.values, h.names = true, h.values[:0], true
		return err
	case atom.Td, atom.Th:
		h.text = h.text[:0]
		h.names = h.names && a == atom.Th
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Ul, atom.Ol, atom.Dl, atom.Blockquote, atom.Header, atom.Footer, atom.Main, atom.Nav, atom.Aside, atom.Body, atom.Hr, atom.Figure, atom.Figcaption, atom.Caption, atom.Address, atom.Details, atom.Summary:
		if h.inRow {
			h.text = append(h.text, ' ')
			return nil
		}
		if h.kind == Item && (a == atom.P || a == atom.Div) {
			h.text = append(h.text, ' ')
			return nil
		}
		err := h.end()
		if h.kind != Item {
			h.kind, h.level = Text, 0
		}
		return err
	}
	return nil
}

func (h *htmlReader) close(a atom.Atom) error {
	switch a {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Svg:
		h.hidden = max(0, h.hidden-1)
	case atom.Title:
		h.title = false
	case atom.Td, atom.Th:
		h.cell()
	case atom.Tr, atom.Table, atom.Thead, atom.Tbody:
		return h.row()
	case atom.Pre:
		err := h.end()
		h.pre = false
		return err
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Li, atom.Dt, atom.Dd, atom.Ul, atom.Ol, atom.Dl:
		err := h.end()
		h.kind, h.level = Text, 0
		return err
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Blockquote, atom.Caption, atom.Figcaption:
		if h.inRow || h.kind == Item {
			h.text = append(h.text, ' ')
			return nil
		}
		return h.end()
	}
	return nil
}
