package drive

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"strings"
	"time"

	"alphaos/fs"
)

// SaveDocument saves a file among the person's documents and returns where that is, in words. It replaces one that
// there is only if it is told so; else the error wraps io/fs.ErrExist.
func (d *Drive) SaveDocument(now time.Time, name string, content []byte, replace bool) (where string, err error) {
	if name == "" || strings.ContainsRune(name, '/') || strings.ContainsRune(name, '\\') || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is no name for a file: it must not have / or \\ in it, nor begin with a full stop", name)
	}
	return d.save(now, path.Join(DocumentsDir, name), content, replace)
}

// SaveExport saves a conversation at the place for copies and returns where that is, in words. An older file
// stays: the new one gets a number.
func (d *Drive) SaveExport(now time.Time, name string, content []byte) (where string, err error) {
	const most = 999
	extension := path.Ext(name)
	base := strings.TrimSuffix(name, extension)
	for n := 1; n <= most; n++ {
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", base, n, extension)
		}
		where, err = d.save(now, path.Join(BackupDir, name), content, false)
		if !errors.Is(err, iofs.ErrExist) {
			return where, err
		}
	}
	return "", fmt.Errorf("there are %d files of that name", most)
}

// SaveConfig replaces the file of options. Before that it saves bad, unless that is nil, as the file that could not be
// understood, and returns where that is, in words.
func (d *Drive) SaveConfig(now time.Time, content, bad []byte) (where string, err error) {
	if bad != nil {
		where, err = d.save(now, BadConfigPath, bad, true)
	}
	if err == nil {
		_, err = d.save(now, ConfigPath, content, true)
	}
	return where, err
}

// SaveIndex has write write the index of the documents in place of an older one, which stays if that fails. It is not read back:
// whoever reads it finds out whether it is whole, and can make it anew.
func (d *Drive) SaveIndex(now time.Time, write func(w io.Writer) error) error {
	v, at, err := d.place(IndexPath, now)
	if err != nil {
		return err
	}
	w, err := v.Create(at)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		w.Discard()
		return err
	}
	return w.Close()
}

// save saves a file whole or not at all, and reads it back.
func (d *Drive) save(now time.Time, name string, content []byte, replace bool) (where string, err error) {
	v, at, err := d.place(name, now)
	if err != nil {
		return "", err
	}
	if info, err := v.Stat(at); err == nil && (!replace || info.IsDir()) {
		return "", &iofs.PathError{Op: "create", Path: name, Err: iofs.ErrExist}
	}
	err = v.WriteFile(at, content)
	if err == nil {
		err = v.Sync()
	}
	if err == nil {
		err = d.verify(name, content)
	}
	return d.Where(name), err
}

// place is where a file of that path is to be written, whose time will be this. Its folder is made if there is none.
func (d *Drive) place(name string, modified time.Time) (v *Volume, at string, err error) {
	if d.ReadOnly() {
		return nil, "", fs.ErrReadOnly
	}
	if v, at, err = d.On(name); err == nil {
		err = v.ReadOnly()
	}
	if err != nil {
		return nil, "", err
	}
	v.stamp(modified)
	return v, at, v.mkdir(path.Dir(at))
}

// stamp gives files that are written from here on their time: now, or another that FAT has.
func (v *Volume) stamp(now time.Time) time.Time {
	now = fatTime(now)
	v.SetClock(now)
	return now
}

// mkdir makes a directory with all above it that are missing.
func (v *Volume) mkdir(name string) error {
	if name == "." {
		return nil
	}
	if info, err := v.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := v.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := v.Mkdir(name); err != nil && !errors.Is(err, iofs.ErrExist) {
		return err
	}
	return nil
}

// Documents are the person's files.
func (d *Drive) Documents() iofs.FS {
	documents, err := iofs.Sub(d, DocumentsDir)
	if err != nil { // only for a path that is none
		panic(err)
	}
	return documents
}

// Close puts the volumes in order, so that other systems find nothing to mend.
func (d *Drive) Close() (err error) {
	if d.ReadOnly() {
		return nil
	}
	err = d.keepNames()
	for _, v := range d.Volumes() {
		if v.ReadOnly() == nil {
			err = errors.Join(err, v.Sync())
		}
	}
	return err
}
