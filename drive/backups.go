package drive

import (
	"errors"
	"io"
	iofs "io/fs"
	"path"
	"time"
)

// Backups is the folder of the journal's backups.
type Backups struct{ d *Drive }

// Backups returns that folder. It is nil where nothing can be written.
func (d *Drive) Backups() *Backups {
	if !d.Writable(BackupDir) {
		return nil
	}
	return &Backups{d}
}

// Files lists what is in it.
func (b *Backups) Files() ([]iofs.FileInfo, error) { return b.d.files(BackupDir) }

// Open opens a file.
func (b *Backups) Open(name string) (io.ReadCloser, error) {
	return b.d.Open(path.Join(BackupDir, name))
}

// Create makes a file of what content writes, with this time. It is there whole, or not at all.
func (b *Backups) Create(name string, modified time.Time, content func(io.Writer) error) error {
	v, at, err := b.d.place(path.Join(BackupDir, name), modified)
	if err != nil {
		return err
	}
	w, err := v.Create(at)
	if err != nil {
		return err
	}
	if err := content(w); err != nil {
		w.Discard()
		return err
	}
	return errors.Join(w.Close(), v.Sync())
}

// Remove removes a file.
func (b *Backups) Remove(name string) error { return b.d.wipeOut(path.Join(BackupDir, name)) }

// Free is how many bytes are free where it is.
func (b *Backups) Free() (int64, error) {
	v, _, err := b.d.On(BackupDir)
	if err != nil {
		return 0, err
	}
	return v.Free()
}
