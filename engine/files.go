package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"alphaos/llm"
	"alphaos/llm/gguf"
)

// Models is where models are found.
type Models interface {
	List() ([]ModelFile, error) // sorted by name, those built in last; with an error, what could be listed nevertheless
	Open(name string) (ModelReader, error)
}

// ModelFile is a model that can be opened.
type ModelFile struct {
	Name    string // of the file, without its directory; of a split model the first part that is there
	Size    int64  // bytes, of all parts together
	BuiltIn bool   // part of the program, not of the drive

	Elsewhere bool // on another drive, with which its name begins
}

// ModelReader is an open model file: see llm.File.
type ModelReader interface {
	io.ReaderAt
	Size() int64 // bytes
	Close() error
	// Verify is for a model of which all was read: it tells if the file is damaged.
	Verify() error
	// Reread reads all of a file that was just opened, and tells whether it is damaged, as far as
	// that can be known: compared means that there is a checksum for all of it.
	Reread(ctx context.Context, progress func(done int64)) (compared bool, err error)
	// Note is a sentence that a person should read, or "".
	Note() string
}

// DirModels lists the *.gguf files in a directory of fsys, whose files must
// implement io.ReaderAt. The parts of a split model are one model, which is
// listed even if some are missing: Open tells then. A file is checked
// against its checksum in NAME.sha256, if that exists. A missing directory has
// no models.
func DirModels(fsys fs.FS, dir string) Models {
	dir = strings.Trim(path.Clean(dir), "/")
	if dir == "" {
		dir = "."
	}
	return dirModels{fsys, dir}
}

type dirModels struct {
	fsys fs.FS
	dir  string
}

// Listed reports whether a file of that name is taken for a model: it ends in
// .gguf, and is not hidden. (macOS leaves "._name" beside each file on FAT.)
func Listed(name string) bool {
	return !strings.HasPrefix(name, ".") && strings.EqualFold(path.Ext(name), ".gguf")
}

func (d dirModels) List() ([]ModelFile, error) {
	entries, err := fs.ReadDir(d.fsys, d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("can't read the folder %s: %w", d.dir, err)
	}
	var list []ModelFile
	split := map[string]int{} // where in the list, by the first part's name
	for _, e := range entries {
		if e.IsDir() || !Listed(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it is gone meanwhile
		}
		name := e.Name()
		if parts, ok := gguf.Parts(name); ok {
			first := strings.ToLower(parts[0])
			if at, seen := split[first]; seen {
				list[at].Size += info.Size()
				list[at].Name = min(list[at].Name, name)
				continue
			}
			split[first] = len(list)
		}
		list = append(list, ModelFile{Name: name, Size: info.Size()})
	}
	slices.SortFunc(list, func(a, b ModelFile) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, nil
}

func (d dirModels) Open(name string) (ModelReader, error) {
	f, err := llm.Open(d.fsys, path.Join(d.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the model's %w: %s", fs.ErrNotExist, name)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// WithBuiltIn adds to the models on a drive those that are part of the program.
// They are there whatever state the drive is in, and are replaced together with
// the program. So a file on the drive with the name of one, which an older program
// put there, is not listed.
func WithBuiltIn(drive, builtIn Models) Models { return withBuiltIn{drive, builtIn} }

type withBuiltIn struct{ drive, builtIn Models }

func (w withBuiltIn) List() ([]ModelFile, error) {
	list, err := w.drive.List()
	own, ownErr := w.builtIn.List()
	for _, m := range own {
		m.BuiltIn = true
		list = slices.DeleteFunc(list, func(o ModelFile) bool { return strings.EqualFold(o.Name, m.Name) })
		list = append(list, m)
	}
	return list, errors.Join(err, ownErr)
}

func (w withBuiltIn) Open(name string) (ModelReader, error) {
	own, err := w.builtIn.List()
	if err != nil {
		return nil, err
	}
	for _, m := range own {
		if strings.EqualFold(m.Name, name) {
			return w.builtIn.Open(m.Name)
		}
	}
	return w.drive.Open(name)
}

// Find finds the model that a person means: by its name, its number in the
// list, or an unambiguous beginning of the name.
func Find(list []ModelFile, want string) (ModelFile, error) {
	w := strings.ToLower(gguf.PlainName(want))
	var begin []ModelFile
	for _, m := range list {
		name := strings.ToLower(gguf.PlainName(m.Name))
		if name == w {
			return m, nil
		}
		if w != "" && strings.HasPrefix(name, w) {
			begin = append(begin, m)
		}
	}
	if n, err := strconv.Atoi(want); err == nil && n >= 1 && n <= len(list) {
		return list[n-1], nil
	}
	switch len(begin) {
	case 0:
		return ModelFile{}, fmt.Errorf("there is no model %q; /models lists those there are", want)
	case 1:
		return begin[0], nil
	}
	return ModelFile{}, fmt.Errorf("%q could be %s or %s; write more of the name", want, gguf.PlainName(begin[0].Name), gguf.PlainName(begin[1].Name))
}
