// Package docs reads documents: what of them is text, in blocks that belong together, each with the
// place where a person finds it.
//
// A reader takes a file as an io.ReaderAt and its size; there need be no operating system below.
// Whatever the bytes are, a reader ends: with blocks, or with an error that says in a sentence why
// the document can't be read. What it may use is bounded (MaxFile, MaxText, maxUnpacked), so that a
// file that unpacks without end or nests without bottom costs no more than a large honest one.
//
//	text.go      plain text and Markdown, and which encoding a text has
//	code.go      source code
//	table.go     rows with the names of their columns; CSV
//	json.go      JSON, a value or one on each line
//	html.go      HTML, and what EPUB is made of
//	zip.go       the archives that the following are
//	docx.go      Word
//	xlsx.go      Excel
//	epub.go      books
//	pdf.go       lines of a PDF file as paragraphs; package pdf finds the lines
package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	MaxFile     = 1 << 30   // bytes of a file that is read at all
	MaxText     = 32 << 20  // bytes of text that are taken from a document; what follows is left, and said
	maxPlain    = 64 << 20  // bytes of a file that is text itself
	maxUnpacked = 128 << 20 // bytes that all parts of an archive that are read may unpack to
)

// Kind is what a block is.
type Kind uint8

const (
	Text    Kind = iota // a paragraph
	Heading             // of what follows
	Item                // of a list; items that follow each other are one list
	Row                 // of a table; rows that follow each other are one table
	Code                // lines that stay as they are
)

// Place is where a block is in its document, as far as that has such places.
type Place struct {
	Page, Line, Row int    // counted from 1; 0: there is none
	Sheet           string // of a workbook
	Path            string // the headings above, the outermost first, with " › " between them
}

// String returns it in words: "page 3, Installing › On a Mac".
func (p Place) String() string {
	var parts []string
	add := func(what string, n int) {
		if n > 0 {
			parts = append(parts, what+" "+strconv.Itoa(n))
		}
	}
	add("page", p.Page)
	if p.Sheet != "" {
		parts = append(parts, "sheet "+p.Sheet)
	}
	add("row", p.Row)
	if p.Path != "" {
		parts = append(parts, p.Path)
	}
	add("line", p.Line)
	return strings.Join(parts, ", ")
}

// Block is text that belongs together.
type Block struct {
	Kind  Kind
	Level int    // of a Heading, from 1
	Text  string // UTF-8 without control characters but line feeds, which Code and long Rows have
	Place Place
}

// Document is what was read.
type Document struct {
	Title  string // what it calls itself, may be empty
	Blocks []Block
	Note   string // a sentence: what was left out; empty if nothing was
}

// Why a document can't be read. Errors of Read wrap one of these or say more.
var (
	ErrPassword = errors.New("it is protected by a password; save a copy without one")
	ErrScan     = errors.New("it is a scan: its pages are pictures without text; a program for text recognition (OCR) can add the text")
	ErrEmpty    = errors.New("there is no text in it")
	ErrTooLarge = errors.New("it is too large to be read")
	ErrBinary   = errors.New("it is not text, although its name says so")
)

// A reader takes the blocks of a document.
type reader func(ctx context.Context, w *writer, r io.ReaderAt, size int64) error

// readers by the ending of a file's name.
var readers = map[string]reader{
	"txt": readText, "text": readText, "log": readText, "me": readText, "rst": readMarkdown, "org": readText, "tex": readText, "srt": readText,
	"md": readMarkdown, "markdown": readMarkdown,
	"htm": readHTML, "html": readHTML, "xhtml": readHTML,
	"csv": readCSV, "tsv": readCSV,
	"json": readJSON, "jsonl": readJSON, "ndjson": readJSON, "geojson": readJSON,
	"pdf": readPDF, "docx": readDOCX, "docm": readDOCX, "xlsx": readXLSX, "xlsm": readXLSX, "epub": readEPUB,
}

func init() {
	for _, ending := range strings.Fields(`go c h cc cpp cxx hpp hh py rb rs java kt kts js mjs ts tsx jsx cs swift m mm php pl pm lua r jl scala clj hs ml
		ex exs erl dart zig nim sh bash zsh fish ps1 bat sql css scss less vue svelte xml yaml yml toml ini cfg conf mk cmake s asm f f90 for pas v sv vhd proto tf gradle`) {
		readers[ending] = readCode
	}
}

// others are kinds of documents that people have and this does not read, with what to do.
var others = map[string]string{
	"doc": "save it as .docx or PDF", "xls": "save it as .xlsx", "ppt": "save it as PDF", "pptx": "save it as PDF", "odt": "save it as .docx or PDF",
	"ods": "save it as .xlsx", "odp": "save it as PDF", "rtf": "save it as .docx or PDF", "pages": "export it as .docx or PDF", "numbers": "export it as .xlsx",
	"key": "export it as PDF", "mobi": "convert it to .epub", "azw": "convert it to .epub", "azw3": "convert it to .epub", "djvu": "convert it to PDF",
}

// Readable tells whether Read has a reader for a file of that name.
func Readable(name string) bool { return readers[ending(name)] != nil }

func ending(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(path.Base(name)), "."))
}

// Read reads a document. Its name says of which kind it is. The error, other than those of ctx, is a sentence
// without its beginning: "… can't be read: it is protected by a password".
func Read(ctx context.Context, name string, r io.ReaderAt, size int64) (doc *Document, err error) {
	read := readers[ending(name)]
	if read == nil {
		if todo := others[ending(name)]; todo != "" {
			return nil, fmt.Errorf("files of the kind .%s are not read; %s", ending(name), todo)
		}
		return nil, fmt.Errorf("files of the kind .%s are not read", ending(name))
	}
	switch {
	case size == 0:
		return nil, ErrEmpty
	case size > MaxFile:
		return nil, fmt.Errorf("%w: it has %d MB, and at most %d are taken", ErrTooLarge, size>>20, MaxFile>>20)
	}
	w := &writer{ctx: ctx}
	// A parser of a library that panics is a document that can't be read, and no reason to stop.
	defer func() {
		if p := recover(); p != nil {
			doc, err = nil, fmt.Errorf("it is damaged in a way that its reader does not understand (%v)", p)
		}
	}()
	if err := read(ctx, w, r, size); err != nil && !errors.Is(err, errFull) {
		return nil, err
	}
	if len(w.doc.Blocks) == 0 {
		return nil, ErrEmpty
	}
	return &w.doc, nil
}

// errFull ends a reader when MaxText is reached. Read does not return it.
var errFull = errors.New("enough text")

const maxBlocks = 1 << 20

// A writer takes blocks from a reader, in order, and keeps the headings above them.
type writer struct {
	ctx    context.Context
	doc    Document
	bytes  int
	levels [7]string
}

// add adds a block, if there is text in it.
func (w *writer) add(kind Kind, level int, text string, at Place) error {
	if len(w.doc.Blocks)&255 == 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
	}
	if kind == Code {
		text = strings.TrimRight(clean(text, true), "\n ")
		text = strings.TrimLeft(text, "\n")
	} else {
		text = strings.TrimSpace(clean(text, kind == Row))
	}
	if text == "" {
		return nil
	}
	if w.bytes += len(text); w.bytes > MaxText || len(w.doc.Blocks) >= maxBlocks {
		w.doc.Note = fmt.Sprintf("It is longer than what is read of a document: what follows the first %d MB of text is not searched.", MaxText>>20)
		return errFull
	}
	if kind == Heading {
		level = min(max(level, 1), len(w.levels)-1)
		if len(text) > 200 {
			kind, level = Text, 0
		}
	}
	at.Path = w.path(level, kind)
	w.doc.Blocks = append(w.doc.Blocks, Block{Kind: kind, Level: level, Text: text, Place: at})
	if kind == Heading {
		w.levels[level] = text
		clear(w.levels[level+1:])
		if w.doc.Title == "" && level == 1 {
			w.doc.Title = text
		}
	}
	return nil
}

// path returns the headings above a block.
func (w *writer) path(level int, kind Kind) string {
	all := w.levels[1:]
	if kind == Heading {
		all = w.levels[1:level]
	}
	var b strings.Builder
	for _, h := range all {
		if h == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(" › ")
		}
		b.WriteString(h)
	}
	return b.String()
}

// clean makes text of what may be anything: valid UTF-8, no control characters, one space where there are
// several, unless its lines are to stay.
func clean(s string, lines bool) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= ' ' && c < 0x7F && !(c == ' ' && !lines && i > 0 && s[i-1] == ' ') || lines && c == '\n'
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		switch {
		case r == '\n' && lines:
			b.WriteByte('\n')
			space = false
			continue
		case r == '\t' && lines:
			b.WriteString("    ")
			continue
		case r == utf8.RuneError, r == 0xFEFF, r == 0xAD, r == 0x200B:
			continue
		case unicode.IsSpace(r):
			r = ' '
		case unicode.IsControl(r):
			continue
		}
		if r == ' ' && space && !lines {
			continue
		}
		space = r == ' '
		b.WriteRune(r)
	}
	return b.String()
}

// readAll reads a file that is text itself.
func readAll(r io.ReaderAt, size int64) ([]byte, error) {
	if size > maxPlain {
		return nil, fmt.Errorf("%w: it has %d MB, and at most %d are taken of a file of text; split it", ErrTooLarge, size>>20, maxPlain>>20)
	}
	b := make([]byte, size)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it can't be read from the drive: %w", err)
	}
	return b[:n], nil
}
