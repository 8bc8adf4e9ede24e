package machine

// The drive: which of the disks' partitions it is made of. Only these are ever written.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"alphaos/boot"
	"alphaos/console"
	"alphaos/drive"
	"alphaos/efi"
	"alphaos/fs/gpt"
)

// FindDrive takes the drive with the volume that the program came from, or, when the firmware does
// not tell (a boot manager loaded it from memory), the first that holds a journal of ours.
func (m *Machine) FindDrive(log *boot.Log) (*drive.Drive, error) {
	dev, err := efi.BootVolume()
	if err == nil {
		d, _, err := mount(dev, log)
		if err != nil {
			return nil, fmt.Errorf("the drive that AlphaOS was started from cannot be read: %w", err)
		}
		m.keep(d, log)
		return d, nil
	}
	if !errors.Is(err, efi.ErrNoBootVolume) {
		return nil, err
	}
	volumes, listErr := efi.Volumes()
	var found *drive.Drive
	var names []string // of all that were found
	for _, dev := range volumes {
		d, first, err := mount(dev, log)
		if err != nil || !first || !d.Ours() { // others are another system's, or part of one that is ours
			continue
		}
		if found == nil {
			found = d
		}
		names = append(names, describe(dev))
	}
	if listErr != nil {
		log.Printf("disks: %v", listErr)
	}
	if found == nil {
		return nil, errors.New("no AlphaOS drive was found")
	}
	if len(names) > 1 {
		found.Note(severalDrives(names))
	}
	m.keep(found, log)
	return found, nil
}

// severalDrives tells a person which of several drives is used.
func severalDrives(names []string) string {
	return fmt.Sprintf("There are %d AlphaOS drives, and the firmware does not say which one AlphaOS was started from. In use is the one of %s, and what you say is saved there; not used is the one of %s. To use another, leave only that one plugged in and restart.",
		len(names), names[0], strings.Join(names[1:], " or that of "))
}

// describe says for a person which drive dev is on.
func describe(dev *efi.BlockDevice) string {
	whole := dev
	if disk, _, err := dev.Disk(); err == nil {
		whole = disk
	}
	return fmt.Sprintf("%s on %s (%s)", console.Bytes(int64(whole.Blocks())*int64(whole.BlockSize())), whole.Bus(), whole)
}

// mount mounts the drive of which dev is the first partition, as far as it seems.
func mount(dev *efi.BlockDevice, log *boot.Log) (d *drive.Drive, first bool, err error) {
	var others []drive.Partition
	var own gpt.Partition
	var notes []string
	disk, devices, err := dev.Disk()
	if err == nil {
		var table *gpt.Table
		if table, err = gpt.Read(disk); err == nil {
			own, others = entries(table, dev, devices)
			notes = table.Notes()
		}
	}
	if err != nil { // it has no such table, or is no partition: it is all that there is
		log.Printf("drive: %s alone: %v", dev, err)
	}
	if d, err = drive.Mount(dev, others...); err != nil {
		return nil, false, err
	}
	for _, note := range notes {
		d.Note(note)
	}
	return d, !drive.Further(own.Name, d.Volumes()[0].Label()), nil
}

// entries finds what a disk's table says of one partition of it and of its others.
func entries(table *gpt.Table, dev *efi.BlockDevice, devices []*efi.BlockDevice) (own gpt.Partition, others []drive.Partition) {
	entry := func(dev *efi.BlockDevice) (gpt.Partition, bool) {
		number, guid, ok := dev.Entry()
		i := slices.IndexFunc(table.Partitions, func(p gpt.Partition) bool { return ok && p.Index == number && p.GUID == guid })
		if i < 0 {
			return gpt.Partition{}, false
		}
		return table.Partitions[i], true
	}
	own, _ = entry(dev)
	for _, dev := range devices {
		if p, ok := entry(dev); ok {
			others = append(others, drive.Partition{Device: dev, TypeGUID: p.TypeGUID, Name: p.Name})
		}
	}
	return own, others
}

// keep makes d the drive, which may be written.
func (m *Machine) keep(d *drive.Drive, log *boot.Log) {
	m.drive, m.parts = d, nil
	for _, dev := range d.Media() {
		m.parts = append(m.parts, dev.(*efi.BlockDevice))
	}
	efi.Together(m.parts...)
	for _, dev := range m.parts {
		dev.AllowWrites()
		dev.OnError(func(err error) { log.Printf("drive: %v", err) })
		dev.OnChange(func() { m.away.Store(true) })
	}
}

// ConnectDisks starts disks that the firmware has left alone.
func (m *Machine) ConnectDisks() error {
	_, err := efi.ConnectStorage()
	return err
}

// Present tells whether the drive is there, all of it. One that is there again may have been changed elsewhere.
func (m *Machine) Present() error {
	for _, dev := range m.parts {
		if err := dev.Present(); err != nil {
			m.away.Store(true)
			return err
		}
	}
	return m.Reread()
}

// Reread reads anew what somebody may have changed while the drive was away, if it was.
func (m *Machine) Reread() error {
	if m.away.Swap(false) {
		for _, v := range m.drive.Volumes() {
			if err := v.Reread(); err != nil {
				m.away.Store(true)
				return err
			}
		}
	}
	return nil
}

// DriveHabits says what was found out about the drive when models were read.
func (m *Machine) DriveHabits() string {
	v, _, err := m.drive.On(drive.ModelsDir)
	if err != nil {
		return err.Error()
	}
	return drive.Medium(v.Device).(*efi.BlockDevice).Habits()
}
