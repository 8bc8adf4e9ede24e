// Package clone copies drives, and keeps copies of them in backup files.
//
// Only what is used is copied: of FAT32 volumes the clusters that the FATs say are taken, of
// others what is not zero. A drive can be copied to a larger or smaller one: the partition
// table is written for the new size, and if the last volume is FAT32 it becomes as large as
// there is room. Nothing else moves. Identifiers stay what they were, so that a copy starts
// where the original did.
package clone

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fatsize"
	"alphaos/fs/gpt"
	"alphaos/fs/volume"
)

const (
	copySize = 4 << 20
	mib      = 1 << 20
)

// Source is what a drive is copied from: a device, an image or a Backup. If it also has a
// method Data(off int64) (start, end int64), what that leaves out is known to be zeros: it
// returns the next piece from byte off on that is not.
type Source interface{ fs.BlockDevice }

// Drive is a drive whose content was looked at.
type Drive struct {
	src   Source
	block int64
	bytes int64

	table *gpt.Table // nil without a GUID partition table
	parts []part     // by where they begin
}

// part is a piece of the drive that belongs together: a partition, or all of it.
type part struct {
	first, n int64           // bytes
	index    int             // in table.Partitions
	fat      *fatsize.Volume // nil if all that is not zero is copied
}

// Examine looks at what is on a drive.
func Examine(src Source) (*Drive, error) {
	d := &Drive{src: src, block: int64(src.BlockSize())}
	d.bytes = int64(src.Blocks()) * d.block
	medium, err := volume.List(src)
	if errors.Is(err, volume.ErrNothing) {
		d.parts = []part{{0, d.bytes, -1, nil}}
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	if medium.Scheme == volume.GPT {
		if d.table, err = gpt.Read(src); err != nil {
			return nil, err
		}
	}
	for _, v := range medium.Volumes {
		p := part{int64(v.First) * d.block, int64(v.Blocks()) * d.block, -1, nil}
		if d.table != nil {
			p.index = slices.IndexFunc(d.table.Partitions, func(t gpt.Partition) bool { return t.Index == v.Index })
		}
		if v.Kind == volume.FAT32 {
			if p.fat, err = fatsize.Read(v); err != nil && !errors.Is(err, fatsize.ErrOdd) {
				return nil, err
			}
		}
		d.parts = append(d.parts, p)
	}
	slices.SortFunc(d.parts, func(a, b part) int { return cmp.Compare(a.first, b.first) })
	for i := 1; i < len(d.parts); i++ {
		if d.parts[i].first < d.parts[i-1].first+d.parts[i-1].n { // nobody knows whose that is
			d.parts = []part{{0, d.bytes, -1, nil}}
		}
	}
	return d, nil
}

// Size returns the bytes of the drive.
func (d *Drive) Size() int64 { return d.bytes }

// BlockSize returns the bytes of its blocks.
func (d *Drive) BlockSize() int { return int(d.block) }

// Least returns how many bytes a drive must have to take a copy.
func (d *Drive) Least() int64 {
	if len(d.parts) == 0 {
		return d.bytes
	}
	last := d.parts[len(d.parts)-1]
	switch {
	case d.table == nil && (len(d.parts) > 1 || last.first > 0): // a table that stays as it is
		return d.bytes
	case d.table == nil && last.fat == nil:
		return d.bytes
	}
	n := last.n
	if last.fat != nil {
		n = min(n, (last.fat.Least()+mib-1)/mib*mib) // as partitions are aligned
	}
	n += last.first
	if d.table != nil {
		n += (int64(d.src.Blocks()) - 1 - int64(d.table.LastUsable(d.src.Blocks()))) * d.block
	}
	return min(n, d.bytes)
}

// Fits returns an error that says what is needed unless size bytes can take a copy, and
// those of the drive onto, if it is not nil.
func (d *Drive) Fits(size int64, onto *media.Disk) error {
	if onto != nil && int64(onto.BlockSize) != d.block {
		return fmt.Errorf("%s has sectors of %d bytes and what is to be copied has sectors of %d, so nobody could read the copy; make a new drive there with alphaos drive create, and copy the files", onto.Path, onto.BlockSize, d.block)
	}
	if least := d.Least(); size < least {
		return fmt.Errorf("the target has %s, and what is on this drive needs %d MiB (%d bytes)", media.FormatSize(size), (least+mib-1)/mib, least)
	}
	return nil
}

// plan is what is to be done for a copy.
type plan struct {
	pieces  iter.Seq[fatsize.Piece] // in ascending order of Src and of Dst
	patches []fatsize.Patch
	table   *gpt.Table // nil: it is among the pieces
}

// plan says how to make a drive of size bytes.
func (d *Drive) plan(size int64) (*plan, error) {
	p := &plan{}
	parts := slices.Clone(d.parts)
	lasts := map[int]int64{} // the new size of the last part
	if n := len(parts); n > 0 && parts[n-1].fat != nil && size != d.bytes && (d.table != nil || parts[n-1].first == 0) {
		last := parts[n-1]
		room := size - last.first
		if d.table != nil {
			room = (int64(d.table.LastUsable(uint64(size/d.block)))+1)*d.block - last.first
			if room > mib && room/mib*mib >= last.fat.Least() {
				room = room / mib * mib
			}
		}
		if room > last.n || size < d.bytes && room < last.n {
			lasts[n-1] = room
		}
	}
	if d.table != nil && (size != d.bytes || d.table.Damage != nil || d.table.Moved) {
		t := *d.table
		t.Partitions = slices.Clone(t.Partitions)
		if n := len(parts); lasts[n-1] != 0 {
			q := &t.Partitions[parts[n-1].index]
			q.Last = q.First + uint64(lasts[n-1]/d.block) - 1
		}
		p.table = &t
	}
	copies := make([]iter.Seq[fatsize.Piece], len(parts))
	for i, part := range parts {
		if part.fat == nil {
			continue
		}
		n := part.fat.Bytes()
		if lasts[i] != 0 {
			n = lasts[i]
		}
		within := fs.Section(d.src, uint64(part.first/d.block), uint64(part.n/d.block))
		pieces, patches, err := part.fat.Copy(within, n)
		if err != nil {
			return nil, err
		}
		copies[i] = pieces
		for _, x := range patches {
			p.patches = append(p.patches, fatsize.Patch{Dst: part.first + x.Dst, Data: x.Data})
		}
	}
	p.pieces = func(yield func(fatsize.Piece) bool) {
		at := int64(0) // all before is dealt with
		for i, part := range parts {
			// Before the first partition are the table and what starts a PC; between others
			// is nothing of a GUID partition table's, and tables of an MBR's.
			if part.first > at && (d.table == nil || at == 0) && !yield(fatsize.Piece{Src: at, Dst: at, N: part.first - at}) {
				return
			}
			at = part.first + part.n
			if copies[i] == nil {
				if !yield(fatsize.Piece{Src: part.first, Dst: part.first, N: part.n}) {
					return
				}
				continue
			}
			for x := range copies[i] {
				if x.Src >= 0 {
					x.Src += part.first
				}
				x.Dst += part.first
				if x.N > 0 && !yield(x) {
					return
				}
			}
		}
		switch {
		case d.table == nil:
			if at < min(d.bytes, size) {
				yield(fatsize.Piece{Src: at, Dst: at, N: min(d.bytes, size) - at})
			}
		case p.table == nil || d.table.Damage != nil: // the backup as it is
			from := (int64(d.table.LastUsable(d.src.Blocks())) + 1) * d.block
			if size == d.bytes && at <= from {
				yield(fatsize.Piece{Src: from, Dst: from, N: d.bytes - from})
			}
		}
	}
	return p, nil
}

// total returns how many bytes a Writer deals with for the pieces.
func (p *plan) total() int64 {
	chunks, next := int64(0), int64(0) // the first chunk that is not counted
	for x := range p.pieces {
		first, end := max(x.Dst/copySize, next), (x.Dst+x.N+copySize-1)/copySize
		if end > first {
			chunks, next = chunks+end-first, end
		}
	}
	return chunks * copySize
}

// Result tells of a copy.
type Result struct {
	Size     int64  // bytes of the new drive
	Copied   int64  // bytes that were read for it
	Grown    int64  // bytes that the last volume has more, or less
	Verified string // how it was read back, to end a sentence with; "" if it was not
}

// To copies the drive to out, which gets size bytes.
func (d *Drive) To(out media.Out, size int64) (*Result, error) {
	if err := d.Fits(size, out.Disk); err != nil {
		return nil, err
	}
	p, err := d.plan(size / d.block * d.block)
	if err != nil {
		return nil, err
	}
	r := &Result{Size: size / d.block * d.block}
	if p.table != nil && len(d.parts) > 0 {
		last := d.parts[len(d.parts)-1]
		r.Grown = int64(p.table.Partitions[last.index].Blocks())*d.block - last.n
	}
	r.Verified, err = out.Write(r.Size, p.total(), func(w *media.Writer) error {
		buf := make([]byte, copySize)
		for x := range p.pieces {
			if err := d.copy(w, x, buf, &r.Copied); err != nil {
				return err
			}
		}
		for _, x := range p.patches {
			if _, err := w.WriteAt(x.Data, x.Dst); err != nil {
				return err
			}
		}
		if p.table == nil {
			return nil
		}
		dev, err := fs.NewFileDevice(unsynced{w}, r.Size, int(d.block))
		if err != nil {
			return err
		}
		return p.table.Move(dev)
	})
	if err != nil {
		return nil, fmt.Errorf("copy to %s: %w", out.Name(), err)
	}
	return r, nil
}

// unsynced is a drive that is synced once, at the end.
type unsynced struct{ *media.Writer }

func (unsynced) Sync() error { return nil }

// copy copies a piece.
func (d *Drive) copy(w *media.Writer, x fatsize.Piece, buf []byte, copied *int64) error {
	if x.Src < 0 {
		return w.Zero(x.Dst, x.N)
	}
	for off := int64(0); off < x.N; {
		start, end := d.data(x.Src+off, x.Src+x.N)
		if hole := start - x.Src - off; hole > 0 {
			if err := w.Zero(x.Dst+off, hole); err != nil {
				return err
			}
			off += hole
		}
		for end -= x.Src; off < end; {
			n := min(copySize, end-off)
			if err := d.read(buf[:n], x.Src+off); err != nil {
				return err
			}
			if _, err := w.WriteAt(buf[:n], x.Dst+off); err != nil {
				return err
			}
			off, *copied = off+n, *copied+n
		}
	}
	return nil
}

// data returns the next piece of the source between off and limit that may be other than
// zeros, in whole blocks.
func (d *Drive) data(off, limit int64) (start, end int64) {
	s, ok := d.src.(interface {
		Data(off int64) (start, end int64)
	})
	if !ok {
		return off, limit
	}
	start, end = s.Data(off)
	start, end = max(start/d.block*d.block, off), (end+d.block-1)/d.block*d.block
	if end <= off && start <= off { // the source knows no better
		end = limit
	}
	return min(start, limit), min(end, limit)
}

// read reads len(p) bytes, which may end within a block, from a block's beginning on.
func (d *Drive) read(p []byte, off int64) error {
	whole := int64(len(p)) / d.block * d.block
	if err := d.src.ReadBlocks(uint64(off/d.block), p[:whole]); err != nil {
		return err
	}
	if rest := p[whole:]; len(rest) > 0 {
		b := make([]byte, d.block)
		if err := d.src.ReadBlocks(uint64((off+whole)/d.block), b); err != nil {
			return err
		}
		copy(rest, b)
	}
	return nil
}
