package drive

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"path"
	"time"

	"alphaos/fs/volume"
)

// Conversations is the folder of the files in which anybody can read the conversations.
type Conversations struct{ d *Drive }

// Conversations returns that folder. It is nil where nothing can be written.
func (d *Drive) Conversations() *Conversations {
	if !d.Writable(ConversationDir) {
		return nil
	}
	return &Conversations{d}
}

// Writable tells whether something can be written at the logical path name.
func (d *Drive) Writable(name string) bool {
	v, _, err := d.On(name)
	return err == nil && !d.ReadOnly() && v.ReadOnly() == nil
}

// Files lists what is in it.
func (c *Conversations) Files() ([]iofs.FileInfo, error) { return c.d.files(ConversationDir) }

// files lists what is in a folder, nothing if there is none.
func (d *Drive) files(folder string) (files []iofs.FileInfo, err error) {
	entries, err := d.ReadDir(folder)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, info)
	}
	return files, err
}

// Head reads the first n bytes of a file, or all that it has.
func (c *Conversations) Head(name string, n int) ([]byte, error) {
	f, err := c.d.Open(path.Join(ConversationDir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	got, err := io.ReadFull(f, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return b[:got], err
}

// Write gives a file this content and time.
func (c *Conversations) Write(name string, modified time.Time, content []byte) error {
	v, at, err := c.d.place(path.Join(ConversationDir, name), modified)
	if err != nil {
		return err
	}
	if err := v.wipe(at); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return v.WriteFile(at, content)
}

// Remove removes a file. What is left of its name, which may be made of what was said, goes with the next Scrub.
func (c *Conversations) Remove(name string) error {
	c.d.names = true
	return c.d.wipeOut(path.Join(ConversationDir, name))
}

// Scrub takes off the medium what the volume keeps of names that were removed. What is not done when ctx is done, or has failed, is left for the next call; and
// if there is none, for the next session.
func (c *Conversations) Scrub(ctx context.Context) error {
	if !c.d.names {
		return nil
	}
	v, _, err := c.d.On(ConversationDir)
	if err == nil {
		err = v.Scrub(ctx)
	}
	if err != nil {
		return err
	}
	c.d.names = false
	_, at := c.d.Layout.At(namesPath)
	if err := v.Remove(at); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// keepNames has the next session know that names are left.
func (d *Drive) keepNames() error {
	v, at, err := d.On(namesPath)
	if err != nil || !d.names || v.Kind() == volume.FAT32 || v.ReadOnly() != nil {
		return nil // there are none
	}
	if _, err = v.Stat(at); errors.Is(err, iofs.ErrNotExist) {
		if err = v.mkdir(path.Dir(at)); err == nil {
			err = v.WriteFile(at, nil)
		}
	}
	return err
}

// wipeOut removes a file of which nothing is to be left.
func (d *Drive) wipeOut(name string) error {
	v, at, err := d.On(name)
	if err == nil {
		err = v.ReadOnly()
	}
	if err != nil {
		return err
	}
	if err := v.wipe(at); err != nil {
		return err
	}
	return v.Remove(at)
}

// wipe fills a file with zeros where it lies, so that nothing of it stays in clusters that become free.
func (v *Volume) wipe(at string) error {
	f, err := v.OpenInPlace(at)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(f.Size(), 1<<20))
	for pos := int64(0); pos < f.Size() && err == nil; pos += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), f.Size()-pos)], pos)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
