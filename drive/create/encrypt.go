package create

// The knowledge partition inside LUKS. What is in use of its volume is written encrypted, from its zeros on; the rest of
// it stays as it is on the medium.

import (
	"errors"
	"io"
	"time"

	"alphaos/drive"
	"alphaos/drive/media"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/luks"
)

// Encryption says how the knowledge partition is encrypted.
type Encryption struct {
	Passphrase []byte // the caller clears it
	Recovery   []byte // a second one, which is a recovery key; nil: none
	Cost       luks.Cost
}

// partitionDevice is a partition of a drive that is being made.
type partitionDevice struct {
	w             *media.Writer
	at            int64
	sector, count int64
}

func (p partitionDevice) BlockSize() int { return int(p.sector) }
func (p partitionDevice) Blocks() uint64 { return uint64(p.count) }
func (p partitionDevice) Flush() error   { return nil }

func (p partitionDevice) ReadBlocks(lba uint64, b []byte) error {
	if err := fs.CheckRequest(p, lba, b); err != nil {
		return err
	}
	_, err := p.w.ReadAt(b, p.at+int64(lba)*p.sector)
	return err
}

func (p partitionDevice) WriteBlocks(lba uint64, b []byte) error {
	if err := fs.CheckRequest(p, lba, b); err != nil {
		return err
	}
	_, err := p.w.WriteAt(b, p.at+int64(lba)*p.sector)
	return err
}

// write makes the partition an encrypted volume and writes its files.
func (e *Encryption) write(w *media.Writer, p partition, sector int64, stamp time.Time) error {
	v, inside, err := luks.Format(p.device(w, sector), e.Passphrase, luks.Options{Label: drive.Parts[drive.Knowledge].Label, Cost: e.Cost, UUID: p.guid})
	if err != nil {
		return err
	}
	defer inside.Close()
	if e.Recovery != nil {
		if err := v.Add(e.Passphrase, e.Recovery, e.Cost, true); err != nil {
			return err
		}
	}
	if p.ext4 {
		return p.writeExt4(inside, stamp)
	}
	t := &blockTarget{dev: inside}
	if err := t.zero(p.inside() - p.volume.Free()); err != nil {
		return err
	}
	return p.volume.Write(t, 0)
}

// blockTarget is a device on which a volume is written as into a file.
type blockTarget struct {
	dev fs.BlockDevice
	at  int64
}

// zero writes zeros from the beginning on, over n bytes or a little more.
func (t *blockTarget) zero(n int64) error {
	size := int64(t.dev.BlockSize())
	b := make([]byte, mib)
	for at := int64(0); at < n; at += int64(len(b)) {
		left := min(int64(len(b)), (n-at+size-1)/size*size)
		if err := t.dev.WriteBlocks(uint64(at/size), b[:left]); err != nil {
			return err
		}
	}
	return nil
}

// WriteAt writes p at off; blocks of which it is only a part are read first.
func (t *blockTarget) WriteAt(p []byte, off int64) (int, error) {
	size := int64(t.dev.BlockSize())
	first, end := off/size, (off+int64(len(p))+size-1)/size
	if off < 0 || uint64(end) > t.dev.Blocks() {
		return 0, fs.ErrOutOfRange
	}
	if off%size == 0 && int64(len(p))%size == 0 {
		if err := t.dev.WriteBlocks(uint64(first), p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	b := make([]byte, (end-first)*size)
	for _, part := range []int64{first, end - 1} {
		if err := t.dev.ReadBlocks(uint64(part), b[(part-first)*size:][:size]); err != nil {
			return 0, err
		}
	}
	copy(b[off-first*size:], p)
	if err := t.dev.WriteBlocks(uint64(first), b); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t *blockTarget) Write(p []byte) (int, error) {
	n, err := t.WriteAt(p, t.at)
	t.at += int64(n)
	return n, err
}

// ReadFrom copies in large pieces.
func (t *blockTarget) ReadFrom(r io.Reader) (total int64, err error) {
	b := make([]byte, mib)
	for {
		n, err := io.ReadFull(r, b)
		m, werr := t.Write(b[:n])
		total += int64(m)
		switch {
		case werr != nil:
			return total, werr
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// Seek has only what the volume's files need.
func (t *blockTarget) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekStart || off < 0 {
		return 0, errors.ErrUnsupported
	}
	t.at = off
	return off, nil
}

var _ fat.Target = (*blockTarget)(nil)
