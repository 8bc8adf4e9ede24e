// Package database keeps knowledge.db on a drive: it shows package knowledge/db the journal and the library, and where
// the file lies.
package database

import (
	"context"
	"errors"
	iofs "io/fs"
	"iter"
	"path"
	"time"

	"alphaos/drive"
	"alphaos/fs/volume"
	"alphaos/knowledge"
	"alphaos/knowledge/db"
	"alphaos/llm/gguf"
	"alphaos/store"
)

// On returns who keeps the database of a drive, of what its journal and the library of its documents say; nil where nothing can be
// written. After an unclean end the database is checked first.
func On(d *drive.Drive, s *store.Store, library *knowledge.Keeper, unclean bool, now func() time.Time) *db.Keeper {
	if s == nil || !d.Writable(drive.DatabasePath) {
		return nil
	}
	return &db.Keeper{Folder: folder{d, now}, Talk: talk{s}, Facts: facts{s}, Shelf: &shelf{keeper: library}, Unclean: unclean}
}

// Check reads the database of a drive and writes nothing.
func Check(ctx context.Context, d *drive.Drive) (db.Health, error) {
	return db.Check(ctx, d, drive.DatabasePath)
}

// talk is a journal.
type talk struct{ s *store.Store }

func (t talk) Conversations() (list []db.Conversation) {
	for _, c := range t.s.Conversations() {
		list = append(list, db.Conversation{ID: c.ID, Title: c.Title, Started: c.Started, Updated: c.Updated, Messages: c.Messages})
	}
	return list
}

func (t talk) Messages(id int) ([]db.Message, bool) {
	said := t.s.Messages(id)
	list := make([]db.Message, len(said))
	for i, m := range said {
		if m.Unread { // the database may still have it
			return nil, false
		}
		list[i] = db.Message{Role: m.Role, Text: m.Text, Time: m.Time, Model: gguf.PlainName(m.Stats.Model), Partial: m.Partial}
	}
	return list, true
}

func (t talk) Settings() map[string]string { return t.s.Settings() }

func (t talk) Deleting() bool { return t.s.Deleted() }

// facts are those of a journal.
type facts struct{ s *store.Store }

func (f facts) Facts() []db.Fact {
	list := []db.Fact{} // none, rather than unknown
	for _, x := range f.s.Facts() {
		list = append(list, db.Fact{ID: int(x.ID), Text: x.Text, Time: x.Time})
	}
	return list
}

// shelf is a library.
type shelf struct {
	keeper  *knowledge.Keeper
	library *knowledge.Library // as of Documents
}

func (s *shelf) Documents() (list []db.Document, ok bool) {
	if s.library, ok = s.keeper.Known(); !ok {
		return nil, false
	}
	for _, e := range s.library.Catalogue("") {
		list = append(list, db.Document{Name: e.Name, Title: e.Title, Language: e.Language, Size: e.Size, Modified: e.ModTime, Hash: e.Hash,
			Rows: e.Rows, Chunks: e.Passages, Model: e.Model, Note: e.Note})
	}
	return list, true
}

func (s *shelf) Chunks(name string) iter.Seq[db.Chunk] {
	return func(yield func(db.Chunk) bool) {
		for _, c := range s.library.Contents(name) {
			if !yield(db.Chunk{Locator: c.Locator, Page: c.Page, Text: c.Text, Start: c.Start, End: c.End, Vector: c.Vector, Scale: c.Scale}) {
				return
			}
		}
	}
}

// folder is where the database's files are.
type folder struct {
	d   *drive.Drive
	now func() time.Time
}

func (f folder) on(name string) (*drive.Volume, string, error) {
	return f.d.On(path.Join(path.Dir(drive.DatabasePath), name))
}

func (f folder) Exists(name string) (bool, error) {
	v, at, err := f.on(name)
	if err == nil {
		_, err = v.Stat(at)
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f folder) Open(name string, create bool) (db.File, error) {
	v, at, err := f.on(name)
	if err != nil {
		return nil, err
	}
	open := v.OpenWriter
	if create {
		open = v.Create
		if dir := path.Dir(at); dir != "." {
			if err := v.Mkdir(dir); err != nil && !errors.Is(err, iofs.ErrExist) {
				return nil, err
			}
		}
	}
	w, err := open(at)
	if err != nil {
		return nil, err
	}
	return file{w, f.now}, nil
}

func (f folder) Remove(name string) error {
	v, at, err := f.on(name)
	if err != nil {
		return err
	}
	return v.Remove(at)
}

func (f folder) Rename(from, to string) error {
	v, a, err := f.on(from)
	if err != nil {
		return err
	}
	_, b, err := f.on(to) // on the same volume
	if err != nil {
		return err
	}
	return v.Rename(a, b)
}

// file has the time of its last change.
type file struct {
	volume.Writer
	now func() time.Time
}

func (f file) Sync() error {
	f.SetModified(f.now())
	return f.Writer.Sync()
}
