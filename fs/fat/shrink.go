package fat

import (
	"encoding/binary"
	"errors"
	"fmt"

	"alphaos/fs"
)

// ErrTail is returned, wrapped, by Shrink when files lie where the volume would end.
var ErrTail = errors.New("files lie at the end of the volume")

// Shrink makes the volume on dev end after size bytes, at least; its FATs keep their size. Nothing may use it. It changes three
// sectors, each of which may be the old or the new one after a cut: what is cut off is free either way.
func Shrink(dev fs.BlockDevice, size int64) error {
	v, err := Mount(dev)
	if err != nil {
		return err
	}
	if v.Dirty() {
		return errors.New("the volume was not put in order when it was last used; have it mended with alphaos drive check --repair first")
	}
	sectors := size / v.sector
	last := uint32((sectors*v.sector-v.dataAt)/v.cluster + 1)
	if sectors*v.sector < v.dataAt || last < 65525+1 {
		return fmt.Errorf("FAT32 cannot be as small as %d MiB", size>>20)
	}
	// An earlier attempt may have been cut short between any of what follows, so all of it is done even if the
	// boot sector says so already.
	free := uint32(0)
	for c := uint32(2); c <= v.last; c++ {
		e, err := v.tableEntry(c)
		switch {
		case err != nil:
			return err
		case e&entryMask == 0 && c <= last:
			free++
		case e&entryMask != 0 && c > last:
			return fmt.Errorf("%w: the last %d MiB of it have to be free. Remove what was put there last, or copy all to another drive", ErrTail, (v.Size()-size)>>20)
		}
	}
	v.next = 2
	b := make([]byte, v.sector)
	if err := v.readAt(0, b); err != nil {
		return err
	}
	if le := binary.LittleEndian; last < v.last {
		le.PutUint16(b[19:], 0)
		le.PutUint32(b[32:], uint32(sectors))
	}
	places := []int64{0}
	if v.backup > 0 {
		places = []int64{v.backup, 0}
	}
	for _, at := range places {
		if err := v.writeAt(at, b); err != nil {
			return err
		}
	}
	return errors.Join(v.writeInfo(free), v.dev.Flush())
}
