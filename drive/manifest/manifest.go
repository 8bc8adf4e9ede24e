// Package manifest says of each model and font of a drive, and of the program, what it was when a person signed it,
// and whether it is that still.
//
// The model. A manifest is a text, manifest.json, with the size and SHA-256 of each file below /models and /fonts and of the program,
// by their logical paths. Beside it lies its signature, manifest.p7s: PKCS #7, detached, with the certificate in it, which
// openssl cms makes and verifies. The key is the one that signs the program for Secure Boot. A manifest is worth as much as the key is known: the one that is
// trusted is that of the program on the drive, or one that a person names. It is never asked at a start, and never keeps anything from
// being used: a person asks.
//
// Files whose names begin with a full stop are left out: other systems leave such, and AlphaOS uses none.
package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"alphaos/drive"
	"alphaos/uefi/authenticode"
)

// Bounds of what is read from a drive.
const (
	maxText      = 2 << 20 // bytes of a manifest
	maxSignature = 64 << 10
	maxFiles     = 4096
	maxName      = 1024
	maxDepth     = 8 // of folders
)

const version = 1

// Manifest says what files were.
type Manifest struct {
	Made  time.Time
	Files []File // sorted by name
}

// File is one of them.
type File struct {
	Name   string // its logical path
	Size   int64  // bytes
	SHA256 [sha256.Size]byte
}

// The text of a manifest.
type (
	text struct {
		Version int       `json:"version"`
		Made    time.Time `json:"made"`
		Files   []line    `json:"files"`
	}
	line struct {
		Name   string `json:"name"`
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
	}
)

// Programs are the paths where the program can be.
var Programs = []string{drive.EFIPath, drive.ChainedPath}

// Covers tells whether a manifest has the file at a logical path in it.
func Covers(name string) bool {
	if slices.Contains(Programs, name) {
		return true
	}
	for _, dir := range []string{drive.ModelsDir, drive.FontsDir} {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			return !slices.ContainsFunc(strings.Split(rest, "/"), func(s string) bool { return strings.HasPrefix(s, ".") })
		}
	}
	return false
}

// Set puts a file into the manifest, in the place of one of that name, and returns it, to be changed until the next Set.
func (m *Manifest) Set(f File) *File {
	i, found := slices.BinarySearchFunc(m.Files, f.Name, func(f File, name string) int { return cmp.Compare(f.Name, name) })
	if !found {
		m.Files = slices.Insert(m.Files, i, f)
	}
	m.Files[i] = f
	return &m.Files[i]
}

// Text is the manifest as it is signed. How long it is does not depend on what is in the files.
func (m *Manifest) Text() []byte {
	b := fmt.Appendf(nil, "{\n  \"version\": %d,\n  \"made\": %q,\n  \"files\": [", version, m.Made.UTC().Format(time.RFC3339))
	for i, f := range m.Files {
		name, err := json.Marshal(f.Name)
		if err != nil {
			panic(err) // a text can be written
		}
		b = fmt.Appendf(b, "%s\n    {\"name\": %s, \"size\": %d, \"sha256\": \"%x\"}", strings.Repeat(",", min(i, 1)), name, f.Size, f.SHA256)
	}
	return append(b, "\n  ]\n}\n"...)
}

// Sign returns the manifest's text and its signature.
func (m *Manifest) Sign(by *authenticode.Key) (text, signature []byte, err error) {
	text = m.Text()
	if _, err := Parse(text); err != nil { // names that can't be shown, or too many of them
		return nil, nil, fmt.Errorf("a manifest of these files can't be made: %w", err)
	}
	if signature, err = authenticode.SignDetached(text, by, m.Made); err != nil {
		return nil, nil, fmt.Errorf("signing the manifest: %w", err)
	}
	return text, signature, nil
}

var errTooMany = fmt.Errorf("there are more than %d files below /%s and /%s, or they have very long names: a manifest can't list them all", maxFiles, drive.ModelsDir, drive.FontsDir)

// Parse reads a manifest's text. The error says, as a clause, why it is none.
func Parse(b []byte) (*Manifest, error) {
	if len(b) > maxText {
		return nil, fmt.Errorf("it has more than %d bytes", maxText)
	}
	var t text
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("it makes no sense: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows its end")
	}
	if t.Version != version {
		return nil, fmt.Errorf("it is of version %d, and this AlphaOS knows version %d: use a newer one", t.Version, version)
	}
	if len(t.Files) > maxFiles {
		return nil, fmt.Errorf("it lists more than %d files", maxFiles)
	}
	m := &Manifest{Made: t.Made}
	seen := map[string]bool{}
	for _, l := range t.Files {
		sum, err := hex.DecodeString(l.SHA256)
		switch {
		case len(l.Name) > maxName, !iofs.ValidPath(l.Name), !Covers(l.Name), strings.ContainsFunc(l.Name, odd):
			return nil, fmt.Errorf("it lists %.100q, which is no file below /%s or /%s, nor the program", l.Name, drive.ModelsDir, drive.FontsDir)
		case seen[l.Name]:
			return nil, fmt.Errorf("it lists %q twice", l.Name)
		case l.Size < 0:
			return nil, fmt.Errorf("it says that %q has %d bytes", l.Name, l.Size)
		case err != nil || len(sum) != sha256.Size:
			return nil, fmt.Errorf("it has no SHA-256 for %q", l.Name)
		}
		seen[l.Name] = true
		m.Files = append(m.Files, File{l.Name, l.Size, [sha256.Size]byte(sum)})
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return m, nil
}

// odd are characters that no name in a manifest has, and that a terminal may obey.
func odd(r rune) bool { return r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r) }

// List returns the files of a drive that a manifest has in it, without their checksums.
func List(d iofs.FS) ([]File, error) {
	m := &Manifest{}
	for _, name := range Programs {
		info, err := iofs.Stat(d, name)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m.Set(File{Name: name, Size: info.Size()})
	}
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		entries, err := iofs.ReadDir(d, dir)
		if errors.Is(err, iofs.ErrNotExist) && depth == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir() && depth == maxDepth:
				return fmt.Errorf("the folders below /%s are more than %d deep: a manifest can't list what is in them", dir, maxDepth)
			case e.IsDir():
				if err := walk(name, depth+1); err != nil {
					return err
				}
			case len(m.Files) == maxFiles:
				return errTooMany
			default:
				info, err := e.Info()
				if err != nil {
					return err
				}
				m.Set(File{Name: name, Size: info.Size()})
			}
		}
		return nil
	}
	for _, dir := range []string{drive.ModelsDir, drive.FontsDir} {
		if err := walk(dir, 0); err != nil {
			return nil, err
		}
	}
	return m.Files, nil
}

// Recorder passes on what is read of a file, and finds its checksum.
type Recorder struct {
	io.ReadCloser
	sum  hash.Hash
	done func(sum [sha256.Size]byte)
}

// Record returns a reader of r that calls done when it is closed.
func Record(r io.ReadCloser, done func(sum [sha256.Size]byte)) *Recorder {
	return &Recorder{r, sha256.New(), done}
}

func (r *Recorder) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.sum.Write(p[:n])
	return n, err
}

// Close closes the file.
func (r *Recorder) Close() error {
	r.done([sha256.Size]byte(r.sum.Sum(nil)))
	return r.ReadCloser.Close()
}
