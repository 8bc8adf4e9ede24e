// Package check looks at a whole drive, and mends what it can: the partition table with its backup
// and its protective MBR, each volume that is FAT32 or ext4, and, of which it only reads, the journal.
//
// What it finds it says in sentences. The files that AlphaOS overwrites where they lie keep their
// clusters whatever else claims them.
package check

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"time"

	"alphaos/drive"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
)

// Options say what Drive does with what it finds.
type Options struct {
	Repair   bool // mend it
	SaveLost bool // clusters that no file has become files FSCKnnnn.REC, not free
	Time     time.Time

	// Unlock is called for a drive that is locked; what it leaves locked is not looked into. It may be nil.
	Unlock func(*drive.Drive) error
}

// Report is what Drive found.
type Report struct {
	Found, Mended int // problems

	text strings.Builder
}

// String is the report in lines for a person.
func (r *Report) String() string { return r.text.String() }

func (r *Report) say(format string, args ...any) { fmt.Fprintf(&r.text, format+"\n", args...) }

// problem tells of one that cannot be mended here.
func (r *Report) problem(format string, args ...any) {
	r.Found++
	r.say("  "+format, args...)
}

// Drive looks at the drive dev. An error tells why there is nothing to look at.
func Drive(dev fs.BlockDevice, o Options) (*Report, error) {
	r := &Report{}
	if err := r.table(dev, o); err != nil {
		return r, err
	}
	medium, err := volume.List(dev)
	if err != nil {
		if r.Found == 0 {
			return r, err
		}
		r.say("What is on it cannot be looked at before that is mended.")
		return r, nil
	}
	if medium.Scheme != volume.GPT {
		for _, note := range medium.Notes {
			r.problem("%s", note)
		}
	}
	if r.Found == 0 {
		r.say("  It is in order.")
	}
	var d *drive.Drive
	if o.Repair {
		d, _ = drive.Open(dev, false)
	} else {
		d, _ = drive.Open(fs.ReadOnly(dev), true)
	}
	for _, v := range medium.Volumes {
		if begun, err := drive.EncryptingAt(v); err == nil && begun {
			r.problem("%s: %v.", title(v), drive.ErrEncrypting)
			continue
		}
		if v.Kind == volume.LUKS || luksAt(v) {
			if err := r.encrypted(v, d, o); err != nil {
				return r, err
			}
			continue
		}
		r.volume(v, o, saves(d, v))
	}
	// What was mended is read anew.
	if d, err = drive.Open(fs.ReadOnly(dev), true); err == nil && d.Locked() != nil {
		if o.Unlock == nil {
			r.say("The journal: it is encrypted, and not looked at without a passphrase.")
			return r, nil
		}
		err = o.Unlock(d)
	}
	r.journal(d, err)
	return r, nil
}

// luksAt tells whether a volume whose beginning is not known has the copy of an encrypted one's header.
func luksAt(v volume.Volume) bool {
	if v.Kind != volume.Unknown {
		return false
	}
	_, err := luks.Read(v)
	return err == nil || errors.Is(err, luks.ErrDamaged)
}

// encrypted looks at an encrypted volume, and into it if it is the one of d that can be unlocked.
func (r *Report) encrypted(v volume.Volume, d *drive.Drive, o Options) error {
	r.say("%s: %s, %s", title(v), media.FormatSize(int64(v.Blocks())*int64(v.BlockSize())), volume.LUKS.Clause())
	l, err := luks.Read(v)
	if err != nil {
		r.problem("%v.", err)
		return nil
	}
	for _, note := range l.Notes() {
		r.problem("%s", note)
	}
	if l.Stale() && len(l.Notes()) == 0 {
		r.problem("A change of its keyslots was cut short.")
	}
	// What lies where another file system has begun since must not be brought back. An MBR has no type to tell by.
	ours := v.Kind == volume.LUKS || v.TypeGUID == drive.LockedType || l.Remains()
	if l.Stale() && o.Repair && !ours {
		r.say("  It is not put right: the partition may hold something else by now")
	}
	if l.Stale() && o.Repair && ours {
		if err := l.Repair(); err != nil {
			r.say("  It could not be put right: %v.", err)
		} else {
			r.Mended++
			r.say("  Mended: both copies of its header are the same again")
		}
	}
	if d == nil || d.Locked() == nil || d.Locked().UUID != l.UUID || o.Unlock == nil {
		r.say("  What is in it is not looked at.")
		return nil
	}
	if err := o.Unlock(d); err != nil {
		return err
	}
	inside, _, err := d.On(drive.JournalPath)
	if err != nil {
		return err
	}
	v.BlockDevice, v.Kind = inside.Device, inside.Kind()
	r.volume(v, o, saves(d, v))
	return nil
}

// title is what a volume is called.
func title(v volume.Volume) string {
	name := "The volume"
	if v.Index > 0 {
		name = fmt.Sprintf("Partition %d", v.Index)
	}
	if v.Name != "" {
		name += ", " + v.Name
	}
	return name
}

// table looks at how the drive is divided.
func (r *Report) table(dev fs.BlockDevice, o Options) error {
	size := media.FormatSize(int64(dev.Blocks()) * int64(dev.BlockSize()))
	found, err := gpt.Check(dev)
	if errors.Is(err, gpt.ErrNotGPT) {
		medium, err := volume.List(dev)
		switch {
		case err != nil:
			return err
		case medium.Scheme == volume.MBR:
			r.say("The drive: %s, with an MBR partition table", size)
		default:
			r.say("The drive: %s, one volume without a partition table", size)
		}
		return nil
	}
	r.say("The drive: %s, with a GUID partition table", size)
	if t, terr := gpt.Read(dev); terr == nil && t.Hybrid {
		r.say("  Its MBR has partitions, too (a hybrid MBR). AlphaOS goes by the GUID partition table; older systems may not. The MBR is not checked, and left as it is.")
	}
	for _, s := range found {
		r.problem("%s", s)
	}
	if err != nil {
		r.problem("The partition table cannot be put right: %v.", err)
		return nil
	}
	if !o.Repair || len(found) == 0 {
		return nil
	}
	did, err := gpt.Mend(dev)
	for _, s := range did {
		r.say("  Mended: %s", s)
	}
	if err != nil {
		r.say("  It could not be put right: %v.", err)
		return nil
	}
	r.Mended += len(found)
	return nil
}

// saves tells whether what nobody has on v may be part of the journal, which should be there and has
// lost its name.
func saves(d *drive.Drive, v volume.Volume) bool {
	if d == nil || d.Ours() {
		return false
	}
	part, _ := d.Layout.At(drive.JournalPath)
	_, label := d.Layout.Labels(part)
	f, err := fat.Mount(fs.ReadOnly(v))
	return err == nil && f.Label() == label
}

// volume looks at a volume. Lost clusters become files if save is set.
func (r *Report) volume(v volume.Volume, o Options, save bool) {
	name := title(v)
	size := media.FormatSize(int64(v.Blocks()) * int64(v.BlockSize()))
	if v.Kind == volume.Ext4 || v.Kind == volume.Ext3 || v.Kind == volume.Ext2 {
		r.ext4(v, o)
		return
	}
	f, err := fat.Check(v, fat.CheckOptions{Repair: o.Repair, SaveLost: o.SaveLost || save, Protect: drive.InPlace(), Time: o.Time})
	switch {
	case err != nil && v.Kind != volume.FAT32 && errors.Is(err, fat.ErrNotFAT32):
		r.say("%s: %s, %s. It is not checked here.", name, size, v.Kind.Clause())
		if drive.OurLabel(v.Name) || v.Name == drive.Parts[drive.Knowledge].Label {
			r.problem("It is said to be one of AlphaOS's, which are FAT32 or ext4: its beginning is damaged.")
		}
		return
	case v.Kind == volume.FAT32 || err == nil:
		r.say("%s: %s, FAT32", name, size)
	default:
		r.say("%s: %s", name, size)
	}
	r.add(f, err)
}

// ext4 looks at a volume of that family.
func (r *Report) ext4(v volume.Volume, o Options) {
	r.say("%s: %s, %s", title(v), media.FormatSize(int64(v.Blocks())*int64(v.BlockSize())), v.Kind)
	f, err := volume.MountReadWrite(fs.ReadOnly(v))
	ours := err == nil && (drive.OurLabel(v.Name) || drive.OurLabel(f.Label()))
	switch {
	case err == nil && ours && o.Repair:
		f, err = volume.MountReadWrite(v)
	case err == nil && o.Repair: // a system that sleeps may have it mounted
		r.say("  It is another system's: it is looked at only.")
	}
	if err != nil {
		r.problem("It could not be checked: %s", fs.Explain(err))
		return
	}
	if err := f.Writable(); err != nil {
		r.say("  AlphaOS saves nothing there: %s", fs.Explain(err))
	}
	r.add(f.Check(fs.CheckOptions{Repair: o.Repair && ours, Time: o.Time}))
}

// add adds what was found on a volume.
func (r *Report) add(f fs.Report, err error) {
	for _, p := range f.Problems {
		if r.Found++; p.Mended {
			r.Mended++
		}
	}
	r.Found += f.More
	if err != nil {
		r.problem("It could not be checked: %s", fs.Explain(err))
		return
	}
	for line := range strings.Lines(f.String()) {
		r.text.WriteString("  " + line)
	}
}

// journal reads the journal.
func (r *Report) journal(d *drive.Drive, err error) {
	if err != nil {
		r.say("The journal: none was found, since %s", fs.Explain(err))
		return
	}
	s, found, err := d.OpenJournal(time.Now)
	if errors.Is(err, iofs.ErrNotExist) {
		r.say("The journal: there is none on this drive. AlphaOS makes one when it starts, if there is a partition for it that it has never used; else it can keep nothing.")
		return
	}
	if err != nil {
		r.say("The journal: %s", d.Where(drive.JournalPath))
		r.problem("It cannot be read: %s", fs.Explain(err))
		return
	}
	used, total := s.Usage()
	r.say("The journal: %s, %s of %s used, %s", d.Where(drive.JournalPath), media.FormatSize(used), media.FormatSize(total), count(len(s.Conversations()), "conversation"))
	if found.Unclean {
		r.say("  The last session did not end properly; all that was said is there up to %s.", found.UpTo.UTC().Format("2006-01-02 15:04 MST"))
	}
	if n := found.Repaired + found.Mixed; n > 0 {
		r.say("  %s damaged in one of its two copies. AlphaOS mends that when it starts.", count(n, "block"))
	}
	if n := found.Lost(); n > 0 {
		r.problem("%s damaged in both of its copies, and lost. AlphaOS says so when it starts, and goes on.", count(int(n), "record"))
	}
	if found.Unread > 0 {
		r.problem("%s of it cannot be read. Copy the drive while it still works.", media.FormatSize(found.Unread))
	}
	if found.Lost() == 0 && found.Unread == 0 {
		r.say("  All that was saved can be read.")
	}
}

// count is a number of things.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
