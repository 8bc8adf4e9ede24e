package ext4

// Files that are overwritten where they lie, as the journal of a drive is.
//
// No transaction is needed for that, and none may undo it. Two could: one from before, which waits in the
// volume's journal and has the old content of such a block (Linux with data=journal, or a block that was
// metadata then); and an unwritten extent, which reads as zeros whatever is written there. So holes and unwritten
// extents are filled with zeros when the file is opened; and before the first byte is written the volume's
// journal is settled, until then reads go through it. Blocks of our own transactions that become free are
// revoked (log.go), and what lies under a pin becomes no file's else.

import (
	"errors"
	"fmt"
	"slices"

	"alphaos/fs"
	"alphaos/fs/readfs"
)

// OpenInPlace opens a file that there is to be overwritten inside its size. It stays where it is until it is
// closed. On a volume that is only read, it is only read.
func (v *FS) OpenInPlace(name string) (*readfs.InPlace, error) {
	v.big.Lock()
	defer v.big.Unlock()
	n, list, err := v.pin(name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return readfs.NewInPlace(v.inPlace(name, list, n.size, func() { v.pins[n.number]-- })), nil
}

// Pin returns a file's extents for somebody who will use them without asking again: until
// the volume is mounted anew the file can be neither moved nor truncated, replaced or removed.
func (v *FS) Pin(name string) ([]fs.Extent, error) {
	v.big.Lock()
	defer v.big.Unlock()
	n, list, err := v.pin(name)
	if err == nil {
		err = v.settled()
	}
	if err != nil {
		return nil, pathError("pin", name, err)
	}
	out, err := v.onDevice(list, n.size)
	return out, pathError("pin", name, err)
}

// Extents returns where on the device the content of a file is, for comparing with raw reads of the same
// blocks. The last block may reach beyond the end of the file.
func (v *FS) Extents(name string) ([]fs.Extent, error) {
	v.big.RLock()
	defer v.big.RUnlock()
	n, err := v.resolve("extents", name, true)
	if err != nil {
		return nil, err
	}
	if n.isDir() {
		return nil, pathError("extents", name, readfs.ErrIsDir)
	}
	list, _, err := v.extentsOf(n)
	if err != nil {
		return nil, pathError("extents", name, err)
	}
	out, err := v.onDevice(list, n.size)
	return out, pathError("extents", name, err)
}

// onDevice returns extents in blocks of the device, as far as a file of that size has them.
func (v *FS) onDevice(list []extent, size int64) (out []fs.Extent, err error) {
	if v.block%v.sector != 0 {
		return nil, errors.New("the blocks of the volume are not whole blocks of the device")
	}
	for at := int64(0); at < size; {
		if len(list) == 0 || int64(list[0].at)*v.block != at || list[0].unwritten {
			return nil, errHoles
		}
		n := min(int64(list[0].count)*v.block, (size-at+v.sector-1)/v.sector*v.sector)
		out = append(out, fs.Extent{First: list[0].first * uint64(v.block/v.sector), Count: uint64(n / v.sector)})
		list, at = list[1:], at+n
	}
	return out, nil
}

var errHoles = errors.New("the file has holes")

// pin finds a file that is to stay where it is, and fills its holes.
func (v *FS) pin(name string) (n *inode, list []extent, err error) {
	if n, err = v.resolve("open", name, true); err != nil {
		return nil, nil, err
	}
	if n.isDir() {
		return nil, nil, readfs.ErrIsDir
	}
	if _, err := v.content(n); err != nil {
		return nil, nil, err
	}
	if v.writers[n.number] != nil {
		return nil, nil, fs.ErrBusy
	}
	if err := v.mayChange(n); err != nil {
		return nil, nil, err
	}
	if n.flags&flagExtents == 0 && v.Writable() != nil { // whoever reads it only
		c := content{v, n, n.size}
		for off := int64(0); off < n.size; {
			at, count, err := c.piece(off, n.size-off)
			if err != nil {
				return nil, nil, err
			}
			e := extent{uint64(off / v.block), uint64((count + v.block - 1) / v.block), uint64(at / v.block), at < 0}
			if list, off = append(list, e), off+count; len(list) > maxExtents {
				return nil, nil, errPieces
			}
		}
	} else if list, _, err = v.extentsOf(n); err != nil {
		return nil, nil, err
	}
	if !whole(list, n.size, v.block) && v.Writable() == nil {
		if err := v.fillable(n, list); err != nil {
			return nil, nil, err
		}
		filled, pieces, err := v.fill(name)
		switch {
		case err == nil:
			n, list = filled, pieces
		case !errors.Is(err, fs.ErrReadOnly): // the medium: it can be read all the same
			return nil, nil, err
		}
	}
	v.pins[n.number]++
	return n, list, nil
}

// whole tells whether a file of that size has all its blocks, and all of them written.
func whole(list []extent, size, block int64) bool {
	end := uint64(0)
	for _, e := range list {
		if e.at != end || e.unwritten {
			break
		}
		end += e.count
	}
	return int64(end)*block >= size
}

// mostFilled is how many bytes of zeros a file in place is given, at most: files that are made to be overwritten have none, or few, to be given.
const mostFilled = 1 << 30

// fillable tells whether what a file lacks is so little that it may be filled, and there is room for it.
func (v *FS) fillable(n *inode, list []extent) error {
	blocks := (uint64(n.size) + uint64(v.block) - 1) / uint64(v.block)
	lacks, zeros := blocks, blocks // of the file's blocks, those that are nowhere, and those that read as zeros
	for _, e := range list {
		k := min(e.count, blocks-min(blocks, e.at))
		lacks -= k
		if !e.unwritten {
			zeros -= k
		}
	}
	if zeros > mostFilled/uint64(v.block) {
		return fmt.Errorf("%d MiB of the file are holes or were never written, and at most %d are filled; write it anew, or remove it", zeros*uint64(v.block)>>20, mostFilled>>20)
	}
	free, err := v.freeBlocks()
	if err != nil {
		return err
	}
	if lacks > free {
		return fmt.Errorf("the holes of the file take %d KiB, and %d are free; remove it, or make room: %w", lacks*uint64(v.block)>>10, free*uint64(v.block)>>10, fs.ErrNoRoom)
	}
	return nil
}

// fill gives a file zeros where it has holes, or extents that were never written, and returns it as it is then. FS.big is let go while they are
// written; meanwhile the file is one that is being written, which nobody can rename, replace, remove or pin.
func (v *FS) fill(name string) (n *inode, list []extent, err error) {
	fail := func(err error) (*inode, []extent, error) {
		return nil, nil, fmt.Errorf("the file has holes, which can't be filled: %w", err)
	}
	if err := v.touch(); err != nil { // which may have read the volume anew
		return fail(err)
	}
	if n, err = v.resolve("open", name, true); err != nil {
		return nil, nil, err
	}
	w, err := v.writerOf(n, name)
	if err != nil {
		return fail(err)
	}
	if err = v.fillable(n, w.list); err == nil {
		v.big.Unlock()
		err = w.fill()
		v.big.Lock()
	}
	w.end()
	if err == nil {
		err = v.since(w.loaded)
	}
	if err == nil {
		n, err = v.readInode(n.number)
	}
	if err == nil {
		list, _, err = v.extentsOf(n)
	}
	if err != nil {
		return fail(err)
	}
	return n, list, nil
}

// fill writes zeros where the file has none of its blocks, or those that were never written, and commits.
func (w *Writer) fill() error {
	list, size := slices.Clone(w.list), w.size
	end := uint64((size + w.block - 1) / w.block)
	zeros := make([]byte, 1<<20/w.block*w.block)
	for at := uint64(0); at < end; {
		to := end
		if len(list) > 0 {
			if e := list[0]; e.at <= at {
				list = list[1:]
				if !e.unwritten {
					at = e.at + e.count
					continue
				}
				to = min(end, e.at+e.count)
			} else {
				to = min(end, e.at)
			}
		}
		for at < to {
			k := min(int64(to-at)*w.block, int64(len(zeros)), size-int64(at)*w.block)
			if _, err := w.WriteAt(zeros[:k], int64(at)*w.block); err != nil {
				return err
			}
			at += uint64((k + w.block - 1) / w.block)
		}
	}
	return w.Sync()
}

// inPlace is a file of size bytes in these extents, which letGo, with FS.big held, gives up.
func (v *FS) inPlace(name string, list []extent, size int64, letGo func()) readfs.Place {
	p := readfs.Place{Path: name, Read: v.readInPlace, Write: v.writeInPlace, Flush: v.dev.Flush, Close: func() {
		v.big.Lock()
		defer v.big.Unlock()
		letGo()
	}}
	at := int64(0)
	zeros := func(to int64) {
		if to = min(to, size); to > at {
			p.Runs = append(p.Runs, readfs.Run{Off: at, At: readfs.Zeros, Len: to - at})
			at = to
		}
	}
	for _, e := range list {
		zeros(int64(e.at) * v.block)
		end := min(int64(e.at+e.count)*v.block, size)
		switch {
		case end <= at: // set aside behind the end
		case e.unwritten:
			zeros(end)
		default:
			p.Runs = append(p.Runs, readfs.Run{Off: at, At: int64(e.first) * v.block, Len: end - at})
			at = end
		}
	}
	zeros(size)
	return p
}

func (v *FS) readInPlace(p []byte, at int64) error {
	if at < 0 { // readfs.Zeros, of a volume that is only read
		clear(p)
		return nil
	}
	v.big.RLock()
	defer v.big.RUnlock()
	return v.readAt(at, p)
}

func (v *FS) writeInPlace(p []byte, at int64) error {
	v.big.RLock()
	ready := v.ready
	v.big.RUnlock()
	if !ready {
		v.big.Lock()
		err := v.settled()
		v.big.Unlock()
		if err != nil {
			return err
		}
	}
	if at < 0 {
		return errHoles
	}
	return v.vol.Write(p, at)
}

// settled makes sure that nothing of the volume's journal will be copied over what is written in place from here on.
func (v *FS) settled() error {
	if v.ready {
		return nil
	}
	err := v.Writable()
	if err == nil {
		if zones, zerr := v.zones(); zones == nil && zerr != nil { // nobody knows what must not be overwritten
			err = fs.Unwritable{Why: zerr}
		}
	}
	if err == nil && v.waiting {
		err = v.touch()
	}
	v.ready = err == nil
	return err
}

// Scratch returns a piece of the volume that no file has, of size bytes, for measuring how
// fast the medium is. No file gets it until it is closed.
func (v *FS) Scratch(size int64) (*readfs.InPlace, error) {
	v.big.Lock()
	defer v.big.Unlock()
	if err := v.touch(); err != nil {
		return nil, err
	}
	var list []extent
	loaded := v.loaded
	letGo := func() {
		for _, e := range list {
			if loaded != v.loaded {
				return
			}
			v.release(run{e.first, e.count})
		}
	}
	for at := uint64(0); int64(at)*v.block < size; {
		r, err := v.reserve(v.first, uint64((size+v.block-1)/v.block)-at)
		if err != nil {
			letGo()
			return nil, err
		}
		list = append(list, extent{at, r.count, r.first, false})
		at += r.count
	}
	p := v.inPlace("free room", list, size, letGo)
	p.Read = func(b []byte, at int64) error { return v.ours(loaded, v.vol.Read, b, at) }
	p.Write = func(b []byte, at int64) error { return v.ours(loaded, v.vol.Write, b, at) }
	return readfs.NewInPlace(p), nil
}
