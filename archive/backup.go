package archive

// Backups of the journal: one for each day on which something was said, packed with zstd, read back when it was written.
// Of the days the newest seven stay, of the weeks four. zstdcat shows what is in one on any computer: lines of
// JSON, as store/backup.go tells.
//
// What is deleted goes from the backups as well: each that has it is written anew without it, and then the old one goes.

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"alphaos/store"
)

// BackupFolder is where backups are.
type BackupFolder interface {
	Files() ([]iofs.FileInfo, error) // none if there is no such folder yet
	Open(name string) (io.ReadCloser, error)
	// Create makes a file of what content writes. It is there whole, or not at all.
	Create(name string, modified time.Time, content func(io.Writer) error) error
	Remove(name string) error // nothing of it is left
	Free() (int64, error)     // bytes that are free where they are
}

// Backups makes backups and throws them away.
type Backups struct {
	Store  *store.Store
	Folder BackupFolder
	Now    func() time.Time

	known map[string]Backup // that could be read
}

// Backup is one that there is.
type Backup struct {
	Name   string
	Size   int64
	Head   store.BackupHead
	Broken error // it can't be read, or not now
}

const (
	keepDays    = 7
	keepWeeks   = 4
	backupRoom  = 16 << 20  // stays free on the volume
	mostBackups = 256 << 20 // bytes of all together, or an eighth of what is free if that is more; but for the newest
	window      = 1 << 20   // of zstd: what it takes of memory
)

// The name is the time at which it was made, and how often something was taken out of it since.
var backupName = regexp.MustCompile(`^journal-(\d{4}-\d\d-\d\d-\d{4})(-\d+)?\.jsonl\.zst$`)

const backupTime = "2006-01-02-1504"

// List lists them, the newest first.
func (b *Backups) List() (list []Backup, err error) {
	files, err := b.Folder.Files()
	if err != nil {
		return nil, err
	}
	known := map[string]Backup{}
	for _, f := range files {
		if f.IsDir() || !backupName.MatchString(f.Name()) {
			continue
		}
		is, ok := b.known[f.Name()]
		if !ok || is.Size != f.Size() {
			is = Backup{Name: f.Name(), Size: f.Size()}
			is.Broken = b.read(is.Name, func(r io.Reader) (err error) {
				is.Head, err = store.ReadBackupHead(r)
				return err
			})
		}
		if list = append(list, is); is.Broken == nil {
			known[is.Name] = is
		}
	}
	b.known = known
	slices.SortFunc(list, func(a, b Backup) int { return strings.Compare(b.Name, a.Name) })
	return list, nil
}

// day is when it was made, by its name.
func (b Backup) day(zone *time.Location) time.Time {
	t, _ := time.ParseInLocation(backupTime, backupName.FindStringSubmatch(b.Name)[1], zone)
	return t
}

var errDamaged = errors.New("the file is damaged")

// read has f read what is packed in a backup. The error is errDamaged if it is not the drive's fault.
func (b *Backups) read(name string, f func(io.Reader) error) error {
	file, err := b.Folder.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	in := &input{Reader: file}
	z, err := Unpack(in)
	if err != nil {
		return err
	}
	defer z.Close()
	out := &input{Reader: z}
	err = f(out)
	if in.err == nil && (out.err != nil || errors.Is(err, store.ErrNoBackup)) {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// input notes how reading fails.
type input struct {
	io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && err != io.EOF {
		i.err = err
	}
	return n, err
}

// Unpack reads what is packed in a backup. It takes little memory, whatever that is.
func Unpack(r io.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// Due tells whether a backup should be made: there is none of today, and something was saved since the newest. A newer one than now tells of a clock that
// was wrong, and counts for nothing.
func (b *Backups) Due() (bool, error) {
	list, err := b.List()
	if err != nil || len(b.Store.Conversations()) == 0 {
		return false, err
	}
	now := b.Now()
	for _, is := range list {
		at := is.day(now.Location())
		if is.Broken != nil || at.After(now.Add(24*time.Hour)) {
			continue
		}
		return at.Format(time.DateOnly) < now.Format(time.DateOnly) && b.Store.Beyond(is.Head), nil
	}
	return true, nil
}

// Make makes one of now, reads it back, and throws away those that are too old or too many. wait is called all the time: it may wait,
// and gives it up by an error. progress is told how many bytes were read of Size.
func (b *Backups) Make(wait func() error, progress func(done int64)) (made Backup, err error) {
	list, err := b.List()
	if err != nil {
		return made, err
	}
	used, _ := b.Store.Usage()
	if list, err = b.makeRoom(list, used/2); err != nil {
		return made, err
	}
	now := b.Now()
	done := int64(0)
	made.Name = "journal-" + now.Format(backupTime) + ".jsonl.zst"
	delete(b.known, made.Name)
	err = b.write(made.Name, now, wait, func(w io.Writer) error {
		return b.Store.Backup(tally{w, func(n int) { done += int64(n); progress(done) }}, wait)
	})
	if err != nil {
		return made, err
	}
	if list, err = b.List(); err != nil {
		return made, err
	}
	if i := slices.IndexFunc(list, func(is Backup) bool { return is.Name == made.Name }); i >= 0 {
		made = list[i]
	}
	return made, b.prune(list)
}

// Size is about how many bytes Make tells progress of.
func (b *Backups) Size() int64 {
	used, _ := b.Store.Usage()
	return used
}

// write writes a backup and reads it back. What comes out must be what went in, and whole.
func (b *Backups) write(name string, at time.Time, wait func() error, content func(io.Writer) error) error {
	sum := sha256.New()
	err := b.Folder.Create(name, at, func(w io.Writer) error {
		z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
		if err != nil {
			return err
		}
		err = content(io.MultiWriter(z, sum))
		return errors.Join(err, z.Close())
	})
	if err != nil {
		return err
	}
	back := sha256.New()
	err = b.read(name, func(r io.Reader) error {
		_, err := store.CheckBackup(io.TeeReader(waiting{r, wait}, back))
		return err
	})
	if err == nil && !bytes.Equal(back.Sum(nil), sum.Sum(nil)) {
		err = errors.New("the drive gave back something else than was written")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("a backup was written and could not be read back: %w", err), b.Folder.Remove(name))
	}
	return nil
}

// tally tells how many bytes are written.
type tally struct {
	io.Writer
	add func(int)
}

func (t tally) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	t.add(n)
	return n, err
}

// waiting reads, and waits when it may.
type waiting struct {
	io.Reader
	wait func() error
}

func (w waiting) Read(p []byte) (int, error) {
	if err := w.wait(); err != nil {
		return 0, err
	}
	return w.Reader.Read(p)
}

// Purge takes what was deleted since out of the backups that have it, and tells out of how many. One that is damaged goes: nobody could tell what
// it has.
func (b *Backups) Purge(wait func() error) (n int, err error) {
	list, err := b.List()
	if err != nil {
		return 0, err
	}
	for _, is := range list {
		if !b.stale(is) {
			continue
		}
		if is.Broken == nil {
			again := anew(is.Name)
			err = b.read(is.Name, func(r io.Reader) error {
				return b.write(again, b.Now(), wait, func(w io.Writer) error { return b.Store.Purge(w, r, wait) })
			})
		}
		if err == nil || errors.Is(err, errDamaged) {
			err = b.Folder.Remove(is.Name)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Stale tells whether backups have something that is deleted, or may have.
func (b *Backups) Stale() bool {
	list, _ := b.List() // what can't be read now is looked at when it can be
	return slices.ContainsFunc(list, b.stale)
}

func (b *Backups) stale(is Backup) bool {
	return errors.Is(is.Broken, errDamaged) || is.Broken == nil && b.Store.Stale(is.Head)
}

// anew is the name of a backup that takes the place of one.
func anew(name string) string {
	m := backupName.FindStringSubmatch(name)
	n := 1
	if m[2] != "" {
		fmt.Sscanf(m[2], "-%d", &n)
	}
	return fmt.Sprintf("journal-%s-%d.jsonl.zst", m[1], n+1)
}

// makeRoom throws the oldest away until so many bytes more have room, but never the newest that can be read.
func (b *Backups) makeRoom(list []Backup, size int64) ([]Backup, error) {
	for {
		free, err := b.Folder.Free()
		if err != nil || free >= size+backupRoom {
			return list, err
		}
		last := len(list) - 1
		if last <= 0 || !slices.ContainsFunc(list[:last], func(is Backup) bool { return is.Broken == nil }) {
			return list, errors.New("the drive has no room for a backup: take away files that you don't need")
		}
		if err := b.Folder.Remove(list[last].Name); err != nil {
			return list, err
		}
		list = list[:last]
	}
}

// prune throws away those that are too old or too many.
func (b *Backups) prune(list []Backup) error {
	free, err := b.Folder.Free()
	if err != nil {
		return err
	}
	for _, is := range surplus(list, max(mostBackups, free/8), b.Now().Location()) {
		if err := b.Folder.Remove(is.Name); err != nil {
			return err
		}
	}
	return nil
}

// surplus are those of a list, the newest first, that don't stay.
func surplus(list []Backup, most int64, zone *time.Location) (gone []Backup) {
	days, weeks, total := map[string]bool{}, map[string]bool{}, int64(0)
	sound := false // one that stays can be read
	for _, is := range list {
		at := is.day(zone)
		y, w := at.ISOWeek()
		day, week := at.Format(time.DateOnly), fmt.Sprint(y, w)
		stays := len(days) < keepDays && !days[day] || len(weeks) < keepWeeks && !weeks[week]
		if is.Broken == nil { // what is broken takes no other's place
			days[day], weeks[week] = true, true
		}
		if total += is.Size; !stays || total > most && sound {
			gone = append(gone, is)
			total -= is.Size
			continue
		}
		sound = sound || is.Broken == nil
	}
	return gone
}
