package drive

// The knowledge partition inside LUKS: all that was said and is known is on it, so locking it locks a person's words. The
// others stay as they are: the firmware has to read the program, and models are no secret.
//
// Who opens a drive finds the partition locked, asks the person and calls Unlock; from then on nobody can tell
// the drive from one that is not encrypted.

import (
	"bytes"
	"errors"
	"fmt"

	"alphaos/fs"
	"alphaos/fs/gpt"
	"alphaos/fs/luks"
)

// LockedType is the type of an encrypted partition. Windows offers to format those of other types that it can't read.
var LockedType = gpt.LinuxLUKS

// ErrLocked is returned, wrapped, for paths on a knowledge partition that is encrypted and locked.
var ErrLocked = errors.New("it is encrypted, and locked until its passphrase is given")

// Encrypting begins the boot sectors of a knowledge partition while drive/encrypt encrypts it.
const Encrypting = "AlphaOS is encrypting this volume.\n"

// BackupSector is where a FAT32 volume has the backup of its boot sector.
const BackupSector = 6

// EncryptingAt tells whether one of the boot sectors of a partition begins so.
func EncryptingAt(dev fs.BlockDevice) (bool, error) {
	for _, at := range []uint64{0, BackupSector} {
		b := make([]byte, dev.BlockSize())
		if err := dev.ReadBlocks(at, b); err != nil {
			return false, err
		}
		if bytes.HasPrefix(b, []byte(Encrypting)) {
			return true, nil
		}
	}
	return false, nil
}

// ErrEncrypting is returned, wrapped, for such a partition.
var ErrEncrypting = errors.New("encrypting it was cut short; alphaos drive encrypt, with the same passphrase, goes on with it on another computer")

// Locked is an encrypted knowledge partition.
type Locked struct {
	*luks.Volume
	dev Device
}

// unlocked is the device that is in it.
type unlocked struct {
	*luks.Device
	under Device
}

func (u unlocked) ReadOnly() bool { return u.under.ReadOnly() }
func (u unlocked) String() string { return u.under.String() + ", encrypted" }

// Medium is what a device lies on: itself, unless it is encrypted.
func Medium(dev Device) Device {
	if u, ok := dev.(unlocked); ok {
		return u.under
	}
	return dev
}

// encrypted tells whether dev is a LUKS volume, also if only the copy of its header is left.
func encrypted(dev Device) bool {
	_, err := luks.Read(dev)
	return err == nil || errors.Is(err, luks.ErrDamaged)
}

// findLocked finds the encrypted knowledge partition: of any of the types that such ones have, by the name that the table has or by
// its own label.
func findLocked(among []Partition) (*Locked, error) {
	want := Parts[Knowledge]
	for _, p := range among {
		b := make([]byte, p.Device.BlockSize())
		if p.Name == want.Label && p.Device.ReadBlocks(0, b) == nil && bytes.HasPrefix(b, []byte(Encrypting)) {
			return nil, ErrEncrypting
		}
		switch p.TypeGUID {
		case want.TypeGUID, LockedType, gpt.LinuxData:
		default:
			continue
		}
		v, err := luks.Read(p.Device)
		switch {
		case err == nil && (p.Name == want.Label || v.Label == want.Label):
			return &Locked{v, p.Device}, ErrLocked
		case err != nil && p.Name == want.Label && !errors.Is(err, luks.ErrNot):
			return nil, err
		}
	}
	return nil, nil
}

// Locked returns the encrypted knowledge partition, until it is unlocked; nil if there is none.
func (d *Drive) Locked() *Locked { return d.locked }

// Unlock opens the locked partition with a passphrase, or with a recovery key however it is typed, and mounts what
// is in it. The error wraps luks.ErrPassphrase if that is none. The caller clears the passphrase.
func (d *Drive) Unlock(passphrase []byte) error {
	if d.locked == nil {
		return nil
	}
	dev, err := d.locked.Open(passphrase)
	if err != nil {
		return err
	}
	inside := unlocked{dev, d.locked.dev}
	vol, err := mountVolume(inside)
	if err != nil {
		dev.Close()
		d.missing[Knowledge] = err
		return fmt.Errorf("the passphrase is right, but what is encrypted there cannot be used: %w", err)
	}
	if d.locked.Stale() && !inside.ReadOnly() {
		if err := d.locked.Repair(); err != nil {
			d.notes = append(d.notes, fmt.Sprintf("The header of the encrypted partition has no sound copy, and none could be made: %v", err))
		}
	}
	d.notes = append(d.notes, d.locked.Notes()...)
	d.volumes[Knowledge], d.missing[Knowledge], d.locked = vol, nil, nil
	d.looked(vol)
	return nil
}

// Typed returns what a person typed for a passphrase as the volume knows it: a recovery key as it is on paper.
func Typed(passphrase []byte) []byte {
	if key, looks, err := luks.ParseRecoveryKey(string(passphrase)); looks && err == nil {
		return []byte(key)
	}
	return passphrase
}

// Open unlocks the volume. What looks like a recovery key is tried as it is on paper.
func (l *Locked) Open(passphrase []byte) (*luks.Device, error) {
	key, looks, err := luks.ParseRecoveryKey(string(passphrase))
	if looks && err == nil {
		return l.Unlock([]byte(key))
	}
	dev, uerr := l.Unlock(passphrase)
	if looks && errors.Is(uerr, luks.ErrPassphrase) {
		return nil, fmt.Errorf("%w: %w", luks.ErrPassphrase, err)
	}
	return dev, uerr
}

// Media returns what the drive's partitions lie on, also that of a locked one.
func (d *Drive) Media() (list []Device) {
	for _, v := range d.Volumes() {
		list = append(list, Medium(v.Device))
	}
	if d.locked != nil {
		list = append(list, d.locked.dev)
	}
	return list
}

// Lock locks the knowledge partition again, if it is encrypted: its key is wiped, and what is mounted there can't be
// used any more.
func (d *Drive) Lock() {
	if v := d.volumes[Knowledge]; v != nil {
		if u, ok := v.Device.(unlocked); ok {
			u.Device.Close()
		}
	}
}
