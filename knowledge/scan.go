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

	Done, Total int64 // of bytes that are to be read, so many are done with
	Left        int   // chunks that have no vector yet; then the change is a vector, and no file's
}

// Scan makes the library what the files below a directory say: those that are new or have changed are read, those that are
// gone are removed, and then vectors are computed if there is an embedder. A file whose size and time are those that the library knows is taken to be the same; one that has
// another time only is, when its content is. After each change did is called, which may save the library; when it returns
// an error, or ctx ends, Scan stops, and goes on from there the next time.
func (l *Library) Scan(ctx context.Context, dir fs.FS, did func(Change) error) error {
	there := map[string]bool{}
	var todo []Source
	var done, total int64
	err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if name == "." && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
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
		there[name] = true
		info, err := e.Info()
		if err != nil {
			return did(Change{Name: name, Note: fmt.Sprintf("it can't be read: %v", err)})
		}
		from := Source{Name: name, Size: info.Size(), ModTime: info.ModTime()}
		if known := l.known(name); known == nil || known.Size != from.Size || !known.ModTime.Equal(from.ModTime) {
			todo = append(todo, from)
			total += from.Size
		}
		return nil
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
			if err := did(Change{Name: e.Name, Removed: true, Total: total}); err != nil {
				return err
			}
		}
	}
	for _, from := range todo {
		note, err := l.take(ctx, dir, from, l.known(from.Name))
		if err != nil {
			return err
		}
		done += from.Size
		if err := did(Change{Name: from.Name, Note: note, Bytes: from.Size, Done: done, Total: total}); err != nil {
			return err
		}
	}
	return l.Embed(ctx, func(left int) error { return did(Change{Done: done, Total: total, Left: left}) })
}

func (l *Library) known(name string) *document {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.docs[name]
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
	l.mu.RLock()
	full := l.bound > 0 && (l.memory() > l.bound || from.Size > 2*l.bound)
	l.mu.RUnlock()
	if full {
		from = Source{Name: from.Name} // the next scan tries again
		return refuse(ErrNoRoom)
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
	d, err := docs.Read(ctx, from.Name, &sliced{ctx, r}, from.Size)
	if err != nil {
		return refuse(err)
	}
	err = l.Add(ctx, from, d)
	if errors.Is(err, ErrNoRoom) {
		from = Source{Name: from.Name}
		return refuse(err)
	}
	return d.Note, err
}

// sliced reads little at a time, since whoever else needs the medium waits meanwhile, and ends with ctx.
type sliced struct {
	ctx context.Context
	r   io.ReaderAt
}

func (s *sliced) ReadAt(p []byte, at int64) (n int, err error) {
	const most = 64 << 10
	for err == nil && n < len(p) {
		if err := s.ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = s.r.ReadAt(p[n:min(len(p), n+most)], at+int64(n))
		n += m
	}
	if n == len(p) {
		err = nil
	}
	return n, err
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
