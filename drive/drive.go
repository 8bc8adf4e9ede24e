// Package drive is the AlphaOS drive: where each thing lives on it, and what opening it
// means. It is the one owner of these paths: who makes a drive (drive/create), starts from
// one and tells a person about a file there all ask here.
//
// layout.go says which partitions a drive has and where on them things are; everybody else
// uses the paths below, whatever the layout. The files that AlphaOS writes are preallocated
// when the drive is made and overwritten in place, so that nothing else on the volumes ever
// changes; but for further segments of the journal when that grows, for files that a person asks for (reports, copies of
// conversations, documents), for those that other computers are to read (files of conversations, the database), and for what Mend puts in order.
package drive

import (
	"cmp"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/gpt"
	"alphaos/fs/readfs"
	"alphaos/fs/volume"
	"alphaos/store"
)

// Where things are: logical paths, which the layout leads to their place.
const (
	Label = "ALPHAOS" // of the volume of the minimal layout and of its partition

	EFIPath         = "EFI/BOOT/BOOTX64.EFI"
	ChainedPath     = "EFI/alphaos/alphaos.efi" // the program where a boot manager is at EFIPath, as docs/limine.md has it
	LiminePath      = "limine.conf"             // what Limine starts, if that is the boot manager
	PickerLabel     = "EFI/BOOT/.disk_label"    // what a Mac's start-up picker writes below the drive, as a bitmap
	PickerLabel2x   = "EFI/BOOT/.disk_label_2x"
	PickerName      = "EFI/BOOT/.contentDetails" // the same as text, which OpenCore takes
	PickerIcon      = ".VolumeIcon.icns"         // what it draws above that
	SecureBootDir   = "EFI/keys"                 // the keys that a firmware's menu can enroll, if the program is signed
	ManifestPath    = "manifest.json"            // what drive/manifest says is on the drive,
	ManifestSigPath = "manifest.p7s"             // and its signature
	ModelsDir       = "models"
	DocumentsDir    = "documents"
	ToolsDir        = "tools"
	FontsDir        = "fonts"
	ConversationDir = "data/conversations"
	ConfigPath      = "data/config.json"
	BadConfigPath   = "data/config.bad" // a file of options that could not be understood
	journalDir      = "data/journal"
	JournalPath     = "data/journal/journal.log" // its first segment
	StatePath       = "data/cache/session.kv"    // what a model remembers of a conversation
	BackupDir       = "data/backup"
	IndexPath       = "data/knowledge.idx" // of the documents, for search; made anew from them when it is missing or damaged

	namesPath = "data/cache/names" // there if names of removed files are left in the knowledge volume's own journal

	DatabasePath = "data/knowledge.db" // what is on the drive, for SQLite; made anew from the rest when it is missing or damaged

	reportsDir     = "backup"                // of the following, and of reports about the machine
	CrashPath      = "backup/crash.txt"      // where a crash leaves its report
	BootLogPath    = "backup/boot.log"       // where a verbose start does
	ProcessorsPath = "backup/processors.txt" // on which computers only one can be used
)

// Device is what a volume lies on.
type Device interface {
	fs.BlockDevice
	ReadOnly() bool // the medium is write protected
	String() string // for the log
}

// Partition is a partition of a disk, as its partition table has it.
type Partition struct {
	Device   Device
	TypeGUID gpt.GUID
	Name     string
}

// Volume is a mounted partition of a drive: FAT32 or, of others than that which the firmware reads, ext4.
type Volume struct {
	volume.ReadWrite
	Device Device
}

// ReadOnly returns nil if the volume can be written, or else why not.
func (v *Volume) ReadOnly() error {
	if v.Device.ReadOnly() {
		return fs.ErrReadOnly
	}
	return v.Writable()
}

// mountVolume mounts what is on a partition, whatever the table calls it.
func mountVolume(dev Device) (*Volume, error) {
	v, err := volume.MountReadWrite(dev)
	if err != nil {
		return nil, err
	}
	return &Volume{v, dev}, nil
}

// Drive is a mounted AlphaOS drive. It is an io/fs.FS of logical paths.
type Drive struct {
	Layout  Layout
	volumes [len(Parts)]*Volume // by Part; nil: missing
	missing [len(Parts)]error   // why
	checked [len(Parts)]bool    // by Mend
	names   bool                // of removed files may be left in the knowledge volume's own journal
	locked  *Locked             // the knowledge partition, while it is encrypted and nobody has unlocked it
	notes   []string
}

// Mount mounts the drive of which dev is the partition that the firmware knows. The other
// partitions of the full layout are looked for among others, which must be those of the same
// disk: on any other they are another drive's. A drive on which one of them is missing or
// damaged is used as far as it goes; its Notes tell.
func Mount(dev Device, others ...Partition) (*Drive, error) {
	kind, err := volume.Identify(dev)
	if err != nil {
		return nil, err
	}
	if kind != volume.FAT32 && kind != volume.Unknown { // another system's, perhaps, and large
		return nil, fmt.Errorf("it %s, which no firmware reads: %w", kind.Clause(), fat.ErrNotFAT32)
	}
	mounted, err := volume.MountFAT32(dev)
	if err != nil {
		return nil, err
	}
	vol := &Volume{mounted, dev}
	d := &Drive{volumes: [len(Parts)]*Volume{ESP: vol}}
	if vol.Label() == Parts[ESP].Volume {
		d.Layout = Full
	}
	for part := System; part <= Knowledge; part++ {
		d.volumes[part], d.missing[part] = find(part, others)
		if d.volumes[part] != nil {
			d.Layout = Full
		}
	}
	if d.volumes[Knowledge] == nil {
		d.locked, err = findLocked(others)
		if d.locked != nil {
			d.Layout = Full
		}
		d.missing[Knowledge] = cmp.Or(err, d.missing[Knowledge])
	}
	if v := d.volumes[Knowledge]; v != nil {
		d.looked(v)
	}
	for part := System; part <= Knowledge && d.Layout == Full; part++ {
		if err := d.missing[part]; err != nil && !errors.Is(err, ErrLocked) {
			d.notes = append(d.notes, fmt.Sprintf("The drive's %s partition, %s, cannot be used: %s", Parts[part].Name, Parts[part].Volume, fs.Explain(err)))
		}
	}
	return d, nil
}

// looked looks at a knowledge volume that was mounted.
func (d *Drive) looked(v *Volume) {
	_, at := Full.At(namesPath)
	_, err := v.Stat(at)
	d.names = v.Kind() != volume.FAT32 && err == nil
}

// find mounts a partition of the full layout. It is the one of the right type that the table
// calls so or, if there is none, whose volume has that label: there are tools that lose the one
// and people who change the other. Of others' volumes it reads what tells their label, and no more.
func find(part Part, among []Partition) (*Volume, error) {
	want := Parts[part]
	for _, p := range among {
		if want.may(p.TypeGUID) && p.Name == want.Label && !(part == Knowledge && encrypted(p.Device)) {
			return mountVolume(p.Device)
		}
	}
	var damage error
	for _, p := range among {
		if !want.may(p.TypeGUID) {
			continue
		}
		if label, err := volume.Label(p.Device); err != nil || !want.labelled(label) {
			continue
		}
		vol, err := mountVolume(p.Device)
		if err == nil {
			return vol, nil
		}
		damage = cmp.Or(damage, err)
	}
	return nil, cmp.Or(damage, errors.New("it is not on the drive that AlphaOS was started from"))
}

// may tells whether a partition of that type can be this one. Those with a file system of Linux have its type, or that of all data.
func (p PartInfo) may(t gpt.GUID) bool {
	return t == p.TypeGUID || p.TypeGUID == gpt.BasicData && t == gpt.LinuxData
}

// labelled tells whether a volume's label is that of this partition, as FAT or as ext4 has room for it.
func (p PartInfo) labelled(label string) bool { return label == p.Volume || label == p.Label }

// Volumes returns the mounted partitions.
func (d *Drive) Volumes() (list []*Volume) {
	for _, v := range d.volumes {
		if v != nil {
			list = append(list, v)
		}
	}
	return list
}

// On returns the volume that has the logical path name, and the path there.
func (d *Drive) On(name string) (*Volume, string, error) {
	part, at := d.Layout.At(name)
	if v := d.volumes[part]; v != nil {
		return v, at, nil
	}
	return nil, "", &iofs.PathError{Op: "open", Path: name, Err: fmt.Errorf("there is no %s partition: %w", Parts[part].Name, d.missing[part])}
}

// Open opens a file or directory for reading. Files are io.ReaderAt and io.Seeker, too.
func (d *Drive) Open(name string) (iofs.File, error) {
	v, at, err := d.On(name)
	if err != nil {
		return nil, err
	}
	return v.Open(at)
}

// ReadDir lists a directory, sorted by name.
func (d *Drive) ReadDir(name string) ([]iofs.DirEntry, error) {
	v, at, err := d.On(name)
	if err != nil {
		return nil, err
	}
	return v.ReadDir(at)
}

// OpenInPlace opens an existing file to be overwritten inside its size.
func (d *Drive) OpenInPlace(name string) (*readfs.InPlace, error) {
	v, at, err := d.On(name)
	if err != nil {
		return nil, err
	}
	return v.OpenInPlace(at)
}

// Where says in words where the logical path name is, for a person who looks for it.
func (d *Drive) Where(name string) string { return d.Layout.Where(name) }

// ReadOnly tells whether the medium is write protected.
func (d *Drive) ReadOnly() bool { return d.volumes[ESP].Device.ReadOnly() }

// Notes tells, in sentences, what is odd about the drive and yet no reason not to use it.
func (d *Drive) Notes() []string {
	notes := slices.Clone(d.notes)
	for part, v := range d.volumes {
		if v == nil {
			continue
		}
		notes = append(notes, v.Notes()...)
		if err := v.Writable(); err != nil {
			notes = append(notes, fmt.Sprintf("Nothing can be saved on the drive's %s partition: %s", Parts[part].Name, fs.Explain(err)))
		}
	}
	return notes
}

// Note adds a sentence to Notes.
func (d *Drive) Note(sentence string) { d.notes = append(d.notes, sentence) }

// Ours tells whether this is an AlphaOS drive: it has a journal, or a place for one that is locked.
func (d *Drive) Ours() bool {
	if d.locked != nil {
		return true
	}
	f, err := d.Open(JournalPath)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// OpenState opens the place where the model's memory of the conversation is kept between
// sessions. It is nil where there is none, as on an older drive or a protected one.
func (d *Drive) OpenState() store.Medium {
	v, _, err := d.On(StatePath)
	if err != nil || v.ReadOnly() != nil {
		return nil
	}
	f, err := d.OpenInPlace(StatePath)
	if err != nil {
		return nil
	}
	return f
}
