package llm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"alphaos/llm/gguf"
)

// Model files as people keep them: one GGUF file or the parts of a split one,
// each perhaps with its SHA-256 checksum in a file beside it, NAME.sha256, in
// one of the forms that checksum.go tells. One that is not understood says
// nothing about the model: it can be used, and a note tells that it was not
// checked.
//
// The checksum is computed from what is read anyway while a model is loaded;
// Verify reads the rest, which is little unless the model is streamed. So the
// answer comes after the loading, and before any use.

// File is a model file, or all parts of a split one as if they were one.
type File struct {
	io.ReaderAt
	name  string
	size  int64
	parts int
	files []fs.File
	sums  []*summed // of each file
	notes []string
}

// Open opens the model file name, a split model by the name of any part. An
// error is one sentence.
func Open(fsys fs.FS, name string) (*File, error) {
	dir, base := path.Split(name)
	f := &File{name: base}
	if err := f.openAll(fsys, path.Clean(dir)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openAll opens the file and, if it is one part of a model, the others.
func (f *File) openAll(fsys fs.FS, dir string) error {
	named, err := f.open(fsys, dir, f.name)
	if err != nil {
		return err
	}
	f.ReaderAt, f.size, f.parts = named.R, named.Size, 1
	names, like := gguf.Parts(f.name)
	if !like {
		return nil
	}
	tables, err := gguf.Read(named.R, named.Size)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if tables.Split() == 1 {
		return nil
	}
	var parts []gguf.Part
	for i, base := range names {
		if base == f.name {
			parts = append(parts, named)
			continue
		}
		p, err := f.open(fsys, dir, spelled(fsys, dir, base))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("part %d of %d of the model, %s, is missing: copy it beside the others", i+1, len(names), base)
		}
		if err != nil {
			return err
		}
		parts = append(parts, p)
	}
	j, err := gguf.Join(parts)
	if err != nil {
		return err
	}
	f.name, f.ReaderAt, f.size, f.parts = parts[0].Name, j, j.Size(), len(parts)
	return nil
}

// spelled is the file's name as the folder has it, which may differ in upper
// and lower case.
func spelled(fsys fs.FS, dir, name string) string {
	list, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return name // opening it will tell
	}
	found := name
	for _, e := range list {
		if e.Name() == name {
			return name
		}
		if strings.EqualFold(e.Name(), name) {
			found = e.Name()
		}
	}
	return found
}

func (f *File) open(fsys fs.FS, dir, name string) (gguf.Part, error) {
	file, err := fsys.Open(path.Join(dir, name))
	if err != nil {
		return gguf.Part{}, err
	}
	f.files = append(f.files, file)
	info, err := file.Stat()
	if err != nil {
		return gguf.Part{}, err
	}
	r, ok := file.(io.ReaderAt)
	if !ok || !info.Mode().IsRegular() {
		return gguf.Part{}, fmt.Errorf("%s is not a file that a model can be read from", name)
	}
	sum, note := readSum(fsys, dir, name)
	if note != "" {
		f.notes = append(f.notes, note)
	}
	s := &summed{r: r, name: name, size: info.Size(), want: sum, hash: sha256.New()}
	if f.sums = append(f.sums, s); sum != nil {
		r = s
	}
	return gguf.Part{Name: name, R: r, Size: info.Size()}, nil
}

// readSum reads the checksum of a file from the one beside it; nil if there is
// none, and a note if there is one that tells nothing.
func readSum(fsys fs.FS, dir, name string) (sum []byte, note string) {
	file, err := fsys.Open(path.Join(dir, ChecksumPath(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	var b []byte
	if err == nil {
		defer file.Close()
		b, err = io.ReadAll(io.LimitReader(file, 1<<20))
	}
	if err != nil {
		return nil, fmt.Sprintf("The checksum in %s.sha256 cannot be read, so %s was not checked (%v).", name, name, err)
	}
	found, ok := findSum(b, name)
	if !ok {
		return nil, fmt.Sprintf("%s.sha256 holds no SHA-256 checksum of %s, or none in a known form, so that file was not checked: write it anew with sha256sum, or delete it.", name, name)
	}
	return found[:], ""
}

// Name is the name of the file, or of the first part, without directory.
func (f *File) Name() string { return f.name }

// Size is the size in bytes, of all parts together.
func (f *File) Size() int64 { return f.size }

// Parts is the number of files the model is kept in.
func (f *File) Parts() int { return f.parts }

// Checked reports whether there is a checksum to Verify.
func (f *File) Checked() bool {
	return slices.ContainsFunc(f.sums, func(s *summed) bool { return s.want != nil })
}

// Note tells, in a sentence, what a person should know of the file that is no
// reason not to use it; "" if nothing.
func (f *File) Note() string { return strings.Join(f.notes, " ") }

// Verify compares the file with the checksums beside it, if there are any. It
// is to be called when a model has been loaded, and tells, as an error of one
// sentence, when it must not be used.
func (f *File) Verify() error {
	for _, s := range f.sums {
		if s.want == nil {
			continue
		}
		if err := s.verify(context.Background(), nil); err != nil {
			return err
		}
	}
	return nil
}

// Reread is Verify for a file that was just opened, of which all is read, also what has no
// checksum. compared tells whether all of it has.
func (f *File) Reread(ctx context.Context, progress func(done int64)) (compared bool, err error) {
	compared, done := true, int64(0)
	for _, s := range f.sums {
		if err := s.verify(ctx, func(at int64) { progress(done + at) }); err != nil {
			return false, err
		}
		compared, done = compared && s.want != nil, done+s.size
		progress(done)
	}
	return compared, nil
}

// Close closes all files.
func (f *File) Close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	f.files = nil
	return errors.Join(errs...)
}

// summed computes the checksum of a file from what is read of it in order, and compares it if
// there is one to compare with.
type summed struct {
	r    io.ReaderAt
	name string
	size int64
	want []byte

	mu       sync.Mutex
	hash     hash.Hash
	at       int64 // bytes of the file that are in hash
	verified bool
}

// sumPiece is what is read while the piece before it is summed: a sum takes about as long as a
// fast drive, so that neither should wait for the other.
const sumPiece = 1 << 20

func (s *summed) ReadAt(p []byte, off int64) (n int, err error) {
	size := sumPiece
	if s.want == nil || off > s.position() { // there is nothing to sum
		size = len(p)
	}
	var summing sync.WaitGroup
	defer summing.Wait()
	for n < len(p) && err == nil {
		piece, at := p[n:min(n+size, len(p))], off+int64(n)
		var got int
		got, err = s.r.ReadAt(piece, at)
		summing.Wait()
		summing.Go(func() { s.add(piece[:got], at) })
		n += got
	}
	return n, err
}

// add takes bytes of the file from off on into the checksum, if they are the next ones.
func (s *summed) add(p []byte, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := off + int64(len(p)); !s.verified && off <= s.at && end > s.at {
		if s.want != nil {
			s.hash.Write(p[s.at-off:])
		}
		s.at = end
	}
}

// position is how much of the file is in the hash.
func (s *summed) position() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// verify reads the rest. progress is told how much of the file is read.
func (s *summed) verify(ctx context.Context, progress func(at int64)) error {
	buffer := make([]byte, min(4<<20, s.size))
	for at := s.position(); at < s.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buffer[:min(int64(len(buffer)), s.size-at)]
		_, err := s.ReadAt(p, at)
		before := at
		if at = s.position(); at == before {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("reading %s at byte %d of %d: %w", s.name, at, s.size, err)
		}
		if progress != nil {
			progress(at)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.hash.Sum(nil); s.want != nil && string(got) != string(s.want) {
		return fmt.Errorf("%s does not match its checksum in %s.sha256: it is damaged, so copy or download it again", s.name, s.name)
	}
	s.verified = true
	return nil
}
