package docs

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// An archive is a zip file of which parts are read. All that is unpacked counts against maxUnpacked.
type archive struct {
	files  map[string]*zip.File
	budget int64
}

const maxEntries = 1 << 16

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	head := make([]byte, 8)
	if n, err := r.ReadAt(head, 0); n < len(head) && err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it can't be read from the drive: %w", err)
	}
	if bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")) { // what Office makes of a document with a password
		return nil, fmt.Errorf("%w (or it is in an older format; save it in the current one)", ErrPassword)
	}
	// The list of files is read at once: it must not be long. Its length stands at the end of the file.
	tail := make([]byte, min(size, 66<<10))
	n, _ := r.ReadAt(tail, size-int64(len(tail)))
	if i := bytes.LastIndex(tail[:n], []byte("PK\x05\x06")); i >= 0 && i+20 <= n {
		if count, bytes := binary.LittleEndian.Uint16(tail[i+10:]), binary.LittleEndian.Uint32(tail[i+12:]); count == maxEntries-1 || bytes > 16<<20 {
			return nil, fmt.Errorf("%w: there are too many files in it", ErrTooLarge)
		}
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	a := &archive{files: map[string]*zip.File{}, budget: maxUnpacked}
	for _, f := range z.File {
		a.files[strings.TrimPrefix(path.Clean("/"+f.Name), "/")] = f
	}
	return a, nil
}

// open opens a part. It is nil without an error where there is none.
func (a *archive) open(name string) (io.ReadCloser, error) {
	f := a.files[strings.TrimPrefix(path.Clean("/"+name), "/")]
	if f == nil {
		return nil, nil
	}
	if f.Flags&1 != 0 {
		return nil, ErrPassword
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %s: %w", name, err)
	}
	return &part{r, a}, nil
}

// A part is an open file of an archive that stops where the budget ends.
type part struct {
	io.ReadCloser
	a *archive
}

func (p *part) Read(b []byte) (int, error) {
	if p.a.budget <= 0 {
		return 0, fmt.Errorf("%w: it unpacks to more than %d MB", ErrTooLarge, maxUnpacked>>20)
	}
	n, err := p.ReadCloser.Read(b)
	p.a.budget -= int64(n)
	return n, err
}

// xml calls start, end and text with the tokens of a part, whose name may be missing. Names are without the space
// that they are from: formats of an office differ in it, and not in what they mean.
func (a *archive) xml(name string, w *writer, x xmlReader) (found bool, err error) {
	r, err := a.open(name)
	if r == nil || err != nil {
		return false, err
	}
	defer r.Close()
	d := xml.NewDecoder(r)
	d.Strict = false
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		s, err := decode(b)
		return strings.NewReader(s), err
	}
	for n, depth := 0, 0; ; n++ {
		if n&1023 == 0 && w.ctx.Err() != nil {
			return true, w.ctx.Err()
		}
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			if errors.Is(err, ErrTooLarge) {
				return true, err
			}
			return true, fmt.Errorf("it is damaged: %s: %w", name, err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth > 10000 {
				return true, fmt.Errorf("it is damaged: %s is nested too deep", name)
			}
			err = x.start(t.Name.Local, t.Attr)
		case xml.EndElement:
			depth--
			err = x.end(t.Name.Local)
		case xml.CharData:
			x.text(t)
		}
		if err != nil {
			return true, err
		}
	}
}

type xmlReader interface {
	start(name string, attrs []xml.Attr) error
	end(name string) error
	text(b []byte)
}

func attr(attrs []xml.Attr, name string) string {
	for _, a := range attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// starts is an xmlReader of elements that have all in their attributes.
type starts func(name string, attrs []xml.Attr) error

func (f starts) start(name string, attrs []xml.Attr) error { return f(name, attrs) }
func (f starts) end(string) error                          { return nil }
func (f starts) text([]byte)                               {}

// relations returns the targets in a part that says to what others refer, by their id.
func (a *archive) relations(w *writer, of string) (map[string]string, error) {
	dir, base := path.Split(of)
	list := map[string]string{}
	_, err := a.xml(dir+"_rels/"+base+".rels", w, starts(func(name string, attrs []xml.Attr) error {
		if name == "Relationship" && len(list) < maxEntries {
			target := attr(attrs, "Target")
			if !strings.HasPrefix(target, "/") {
				target = dir + target
			}
			list[attr(attrs, "Id")] = target
		}
		return nil
	}))
	return list, err
}
