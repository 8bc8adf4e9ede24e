package drive

// A knowledge partition that a person has made with other tools, mkfs.ext4 say, and perhaps put documents on: what is missing there for
// AlphaOS to save is made.

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"time"

	"alphaos/fs"
)

// JournalSize is how many bytes are preallocated for a journal, where nobody wants another size.
const JournalSize = 16 << 20

// StateSize is how many bytes are preallocated for what a model remembers of a conversation, on a drive of size bytes.
func StateSize(size int64) int64 { return min(64<<20, size/16) >> 20 << 20 }

// leastJournal is the smallest journal that is made.
const leastJournal = 64 << 10

// TakeOver makes a journal on a knowledge partition on which there was never one, and says so in a sentence, "" if there was nothing to do. A
// partition that has anything of AlphaOS's but no journal has lost it: nothing is made there, since what was said may still be found.
//
// It takes a while; begin is called before anything is written.
func (d *Drive) TakeOver(now time.Time, begin func()) (said string, err error) {
	v := d.volumes[Knowledge]
	if d.Layout != Full || v == nil || v.ReadOnly() != nil || d.ReadOnly() {
		return "", nil
	}
	for _, name := range []string{JournalPath, ConversationDir, BackupDir, DatabasePath, IndexPath} {
		_, at := d.Layout.At(name)
		if _, err := v.Stat(at); !errors.Is(err, iofs.ErrNotExist) {
			return "", err
		}
	}
	if list, err := d.ReadDir(path.Dir(JournalPath)); len(list) > 0 || err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return "", err
	}
	if v.Dirty() { // on FAT32 what is not found may only have lost its name
		return "", fmt.Errorf("the %s partition has no journal, and was not put in order when it was last used: have it checked with alphaos drive check --repair on another computer first", Parts[Knowledge].Name)
	}
	free, err := v.Free()
	if err != nil {
		return "", err
	}
	size := min(JournalSize, free/4/leastJournal*leastJournal)
	if size < leastJournal {
		return "", fmt.Errorf("a journal does not fit on the %s partition: %w", Parts[Knowledge].Name, fs.ErrNoRoom)
	}
	begin()
	if state := StateSize(free); state > 0 {
		_, at := d.Layout.At(StatePath)
		if _, err := v.Stat(at); errors.Is(err, iofs.ErrNotExist) { // else a cut has ended an earlier try
			f, _, err := d.preallocate(StatePath, state, now)
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				return "", err
			}
		}
	}
	_, documents := d.Layout.At(DocumentsDir)
	if err := v.mkdir(documents); err != nil {
		return "", err
	}
	f, _, err := d.preallocate(JournalPath, size, now)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("The drive's %s partition had no journal: %s was made, and conversations are kept there from now on.", Parts[Knowledge].Name, d.Where(JournalPath)), nil
}
