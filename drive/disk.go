package drive

// A drive as another computer has it: a whole disk, or an image of one.

import (
	"errors"
	"fmt"

	"alphaos/fs"
	"alphaos/fs/volume"
)

// ErrNone is returned, wrapped, by Open for a disk that is no AlphaOS drive.
var ErrNone = errors.New("this is no AlphaOS drive: it has no journal, nor a volume with a label of ours")

// onDisk is a volume of a disk.
type onDisk struct {
	volume.Volume
	readOnly bool
}

func (v onDisk) ReadOnly() bool { return v.readOnly }

func (v onDisk) String() string {
	if v.Index == 0 {
		return "the whole disk"
	}
	return fmt.Sprintf("partition %d", v.Index)
}

// Open mounts the drive that is on a disk, also if that is one volume from its first block on: the first
// that has a journal or, if none has, a label of ours.
func Open(disk fs.BlockDevice, readOnly bool) (*Drive, error) {
	medium, err := volume.List(disk)
	if err != nil {
		return nil, err
	}
	var parts []Partition
	for _, v := range medium.Volumes {
		parts = append(parts, Partition{Device: onDisk{v, readOnly}, TypeGUID: v.TypeGUID, Name: v.Name})
	}
	var labelled *Drive
	var damage error
	for i, p := range parts {
		others := append(parts[:i:i], parts[i+1:]...)
		d, err := Mount(p.Device, others...)
		if err != nil {
			if OurLabel(p.Name) || p.Name == Parts[Knowledge].Label {
				damage = errors.Join(damage, fmt.Errorf("%s, %s: %w", p.Device, p.Name, err))
			}
			continue
		}
		label := d.Volumes()[0].Label()
		if Further(p.Name, label) {
			continue
		}
		if d.Ours() {
			return d, nil
		}
		if labelled == nil && OurLabel(label) {
			labelled = d
		}
	}
	switch {
	case labelled != nil:
		return labelled, nil
	case damage != nil:
		return nil, damage
	}
	return nil, ErrNone
}
