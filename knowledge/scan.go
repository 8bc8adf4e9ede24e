package knowledge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"alphaos/knowledge/docs"
)

// A Change is what Scan did about a file.
type Change struct {
	Name    string
	Removed bool   // it is not there any more
	Note    string // why it can't be read, or what of it was left out; empty: it was read
	Bytes   int64
}

// Scan makes the library what the files below a directory say: those that are new or have changed are read, those that are
// gone are removed. A file whose size and time are those that the library knows is taken to be the same; one that has
// another time only is, when its content is. After each change did is called, which may save the library; when it returns
// an error, or ctx ends, Scan stops, and goes on from there the next time.
func (l *Library) Scan(ctx context.Context, dir fs.FS, did func(Change) error) error {
	there := map[string]bool{}
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if name == "." {
				return err
			}
			there[name] = true // and all below it: what can't be listed now is not gone
			return did(Change{Name: name, Note: fmt.Sprintf("it can't be read: %v", err)})
		}
		base := path.Base(name)
		if name != "." && (strings.HasPrefix(base, ".") || base == "System Volume Information") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() || !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return did(Change{Name: name, Note: fmt.Sprintf("it can't be read: %v", err)})
		}
		there[name] = true
		from := Source{Name: name, Size: info.Size(), ModTime: info.ModTime()}
		l.mu.RLock()
		known := l.docs[name]
		l.mu.RUnlock()
		if known != nil && known.Size == from.Size && known.ModTime.Equal(from.ModTime) {
			return nil
		}
		note, err := l.take(ctx, dir, from, known)
		if err != nil {
			return err
		}
		return did(Change{Name: name, Note: note, Bytes: from.Size})
	})
	if err != nil {
		return err
	}
	for _, e := range l.Catalogue("") {
		gone := !there[e.Name]
		for up := e.Name; gone && up != "."; up = path.Dir(up) {
			gone = !there[up]
		}
		if gone {
			l.Remove(e.Name)
			if err := did(Change{Name: e.Name, Removed: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// take reads a file. The error is one that ends the scan: of ctx, or of the embedder.
func (l *Library) take(ctx context.Context, dir fs.FS, from Source, known *document) (note string, err error) {
	refuse := func(why error) (string, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		l.Refuse(from, why.Error())
		return why.Error(), nil
	}
	if !docs.Readable(from.Name) {
		_, err := docs.Read(ctx, from.Name, bytes.NewReader(nil), 1)
		return refuse(err)
	}
	f, err := dir.Open(from.Name)
	if err != nil {
		from = Source{Name: from.Name} // the next scan tries again
		return refuse(fmt.Errorf("it can't be opened: %w", err))
	}
	defer f.Close()
	if from.Size <= docs.MaxFile {
		h := sha256.New()
		if _, err := io.Copy(h, &stopping{ctx, f}); err != nil {
			from = Source{Name: from.Name}
			return refuse(fmt.Errorf("it can't be read from the drive: %w", err))
		}
		h.Sum(from.Hash[:0])
		if known != nil && known.Hash == from.Hash {
			l.mu.Lock()
			if known == l.docs[from.Name] {
				known.Source = from
			}
			l.mu.Unlock()
			return known.note, nil
		}
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return "", errors.New("files of this kind of folder can't be read at any place")
	}
	d, err := docs.Read(ctx, from.Name, r, from.Size)
	if err != nil {
		return refuse(err)
	}
	return d.Note, l.Add(ctx, from, d)
}

// stopping is a reader that ends with ctx.
type stopping struct {
	ctx context.Context
	io.Reader
}

func (s *stopping) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(b)
}
