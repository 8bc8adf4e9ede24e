// Package drive is the AlphaOS drive: where each thing lives on it, and what opening it
// means. It is the one owner of these paths: who makes a drive (drive/create), starts from
// one and tells a person about a file there all ask here.
//
// The minimal layout has one FAT32 partition, flagged as an EFI system partition. The files
// that AlphaOS writes are preallocated when the drive is made and overwritten in place, so
// that nothing else on the volume ever changes; but for a report that a person asks for,
// which is a new file.
package drive

import (
	"fmt"
	"time"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/store"
)

// Where things are, from the root of the volume on.
const (
	Label = "ALPHAOS" // of the volume and of its partition

	EFIPath         = "EFI/BOOT/BOOTX64.EFI"
	PickerLabel     = "EFI/BOOT/.disk_label" // what a Mac's start-up picker writes below the drive, as a bitmap
	PickerLabel2x   = "EFI/BOOT/.disk_label_2x"
	PickerName      = "EFI/BOOT/.contentDetails" // the same as text, which OpenCore takes
	PickerIcon      = ".VolumeIcon.icns"         // what it draws above that
	ModelsDir       = "models"
	ConversationDir = "data/conversations"
	ConfigPath      = "data/config.json"
	JournalPath     = "data/journal/journal.log"
	StatePath       = "data/cache/session.kv" // what a model remembers of a conversation
	CrashPath       = "backup/crash.txt"      // where a crash leaves its report
	BootLogPath     = "backup/boot.log"       // where a verbose start does
	ProcessorsPath  = "backup/processors.txt" // on which computers only one can be used
)

// Device is what a drive's volume lies on.
type Device interface {
	fs.BlockDevice
	ReadOnly() bool // the medium is write protected
	String() string // for the log
}

// Drive is a mounted AlphaOS drive.
type Drive struct {
	*fat.FS
	Device Device
}

// Mount mounts the volume on dev.
func Mount(dev Device) (*Drive, error) {
	vol, err := fat.Mount(dev)
	if err != nil {
		return nil, err
	}
	return &Drive{vol, dev}, nil
}

// Ours tells whether the volume is an AlphaOS drive: it has a journal.
func (d *Drive) Ours() bool {
	f, err := d.Open(JournalPath)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// OpenJournal opens what is saved on the drive. What is saved from here on gets its time
// from now.
func (d *Drive) OpenJournal(now func() time.Time) (s *store.Store, r store.Recovery, err error) {
	medium, err := d.OpenInPlace(JournalPath)
	if err != nil {
		return nil, r, fmt.Errorf("the journal on the drive cannot be used: %w", err)
	}
	return store.Open(medium, now)
}

// OpenState opens the place where the model's memory of the conversation is kept between
// sessions. It is nil where there is none, as on an older drive or a protected one.
func (d *Drive) OpenState() store.Medium {
	if d.Device.ReadOnly() {
		return nil
	}
	f, err := d.OpenInPlace(StatePath)
	if err != nil {
		return nil
	}
	return f
}
