package clone

// A backup is a file in the format of zstd (RFC 8878) that any zstd unpacks to an image of the
// drive, and whose parts we can read in any order:
//
//	frames that unpack to the drive from its beginning to its end: one for each 4 MiB that are
//	    not zeros, and one for each stretch of zeros between them, which has 4 bytes for
//	    every 128 KiB
//	a skippable frame, which others leave out: for each frame that is not zeros an entry
//	    (bytes 0: where on the drive, 8: where in the file, 16: bytes in the file, 20: bytes on
//	    the drive, 24: SHA-256 of these), and at the file's end
//	    the footer (bytes 0: size of the drive, 8: number of entries, 16: bytes in a block of
//	    the drive, 20: SHA-256 of the entries and of the 20 bytes before, 52: "ALPHABAK")
//
// Numbers are little-endian. So the footer's checksum stands for all of the drive.

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"alphaos/drive/media"
	"alphaos/fs"
)

const (
	chunkSize  = 4 << 20
	entrySize  = 56
	footerSize = 60
	backupMark = "ALPHABAK"

	frameMagic     = 0xFD2FB528
	skippableMagic = 0x184D2A5A
	zeroBlock      = 128 << 10 // the largest block that zstd allows
	mostFrame      = chunkSize + chunkSize/8
	mostDrive      = 1 << 50
)

// ErrDamaged is returned, wrapped, for a backup that is not what was written.
var ErrDamaged = errors.New("the backup is damaged")

// entry is a frame of a backup.
type entry struct {
	drive, file int64
	packed, n   int64
	sum         [32]byte
}

// Backup writes a backup of the drive. It calls progress, now and then, with how many bytes of
// the drive are dealt with.
func (d *Drive) Backup(out io.Writer, progress func(done int64)) error {
	if d.table != nil && d.table.Damage != nil && d.table.Moved {
		return errors.New("the drive's partition table is damaged; mend it first with alphaos drive check --repair")
	}
	p, err := d.plan(d.bytes)
	if err != nil {
		return err
	}
	w, err := newPacker(out, d)
	if err != nil {
		return err
	}
	var c *piece // the chunk that is being filled
	flush := func() error {
		if c == nil {
			return nil
		}
		full := c
		c = nil
		progress(full.at)
		return w.put(full)
	}
	for x := range p.pieces {
		if x.Src < 0 {
			continue
		}
		for off := x.Src; off < x.Src+x.N; {
			start, end := d.data(off, x.Src+x.N)
			for off = start; off < end; {
				at := off / chunkSize * chunkSize
				if c == nil || c.at != at {
					if err := flush(); err != nil {
						return errors.Join(err, w.stop())
					}
					c = w.take(at)
				}
				n := min(end, at+chunkSize) - off
				if err := d.read(c.data[off-at:][:n], off); err != nil {
					return errors.Join(err, w.stop())
				}
				off += n
			}
		}
	}
	if err := flush(); err != nil {
		return errors.Join(err, w.stop())
	}
	if err := w.stop(); err != nil {
		return err
	}
	progress(d.bytes)
	return w.finish()
}

// BackupTo writes a backup of the drive to a file, which appears under its name when it is
// complete, and tells its size. With out.Verify all of it is unpacked again and compared; how
// it was read for that is verified.
func (d *Drive) BackupTo(out media.Out) (size int64, verified string, err error) {
	if err := out.Check(); err != nil {
		return 0, "", err
	}
	err = media.Atomically(out.Image, func(f *os.File) error {
		err := d.Backup(f, out.Progress(media.Writing, d.bytes))
		if err != nil {
			return err
		}
		if size, err = f.Seek(0, io.SeekCurrent); err != nil || !out.Verify {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		verified = media.Uncache(f)
		b, err := OpenBackup(f, size)
		if err != nil {
			return err
		}
		defer b.Close()
		return b.Verify(out.Progress(media.Verifying, size))
	})
	if err != nil {
		return 0, "", fmt.Errorf("back up to %s: %w", out.Image, err)
	}
	return size, verified, nil
}

// packer packs pieces on all processors and writes them in order.
type packer struct {
	size  int64
	block int
	enc   *zstd.Encoder
	queue chan *piece
	spare chan *piece
	ended chan struct{}

	out     *bufio.Writer // from here on the writing goroutine's, until ended
	at      int64         // in the file
	drive   int64         // all before is written
	entries []entry
	err     error

	mu     sync.Mutex
	failed error
}

// piece is a chunk on its way.
type piece struct {
	at     int64
	data   []byte // of which what is beyond the drive's end is left out
	packed []byte
	sum    [32]byte
	zero   bool
	ready  chan struct{}
}

func newPacker(out io.Writer, d *Drive) (*packer, error) {
	n := runtime.GOMAXPROCS(0)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(n), zstd.WithEncoderCRC(true), zstd.WithWindowSize(chunkSize))
	if err != nil {
		return nil, err
	}
	w := &packer{size: d.bytes, block: d.BlockSize(), enc: enc, queue: make(chan *piece, n), spare: make(chan *piece, n+2), ended: make(chan struct{}), out: bufio.NewWriterSize(out, 1<<20)}
	go func() {
		defer close(w.ended)
		for c := range w.queue {
			<-c.ready
			if w.err == nil && !c.zero {
				w.err = w.write(c)
			}
			if w.err != nil {
				w.mu.Lock()
				w.failed = w.err
				w.mu.Unlock()
			}
			select {
			case w.spare <- c:
			default:
			}
		}
	}()
	return w, nil
}

// take returns a piece of zeros to be filled.
func (w *packer) take(at int64) *piece {
	var c *piece
	select {
	case c = <-w.spare:
	default:
		c = &piece{data: make([]byte, chunkSize)}
	}
	c.data = c.data[:min(chunkSize, w.size-at)]
	clear(c.data)
	c.at, c.ready = at, make(chan struct{})
	return c
}

// put hands over a piece.
func (w *packer) put(c *piece) error {
	go func() {
		defer close(c.ready)
		if c.zero = allZero(c.data); !c.zero {
			c.sum = sha256.Sum256(c.data)
			c.packed = w.enc.EncodeAll(c.data, c.packed[:0])
		}
	}()
	w.queue <- c
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	return len(bytes.Trim(b, "\x00")) == 0
}

// stop waits until all that was put is written.
func (w *packer) stop() error {
	close(w.queue)
	<-w.ended
	return w.err
}

func (w *packer) write(c *piece) error {
	if err := w.zeros(c.at - w.drive); err != nil {
		return err
	}
	w.entries = append(w.entries, entry{c.at, w.at, int64(len(c.packed)), int64(len(c.data)), c.sum})
	w.drive += int64(len(c.data))
	return w.emit(c.packed)
}

func (w *packer) emit(b []byte) error {
	n, err := w.out.Write(b)
	w.at += int64(n)
	return err
}

// zeros writes a frame of n zeros, in blocks of one byte that is repeated.
func (w *packer) zeros(n int64) error {
	w.drive += n
	if n == 0 {
		return nil
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, frameMagic)
	b = append(b, 3<<6, 7<<3) // the size follows, in 8 bytes; a window of 128 KiB
	b = le.AppendUint64(b, uint64(n))
	for ; n > 0; n -= zeroBlock {
		head := uint32(min(n, zeroBlock))<<3 | 1<<1 // a block of one byte
		if n <= zeroBlock {
			head |= 1 // the last one
		}
		b = append(b, byte(head), byte(head>>8), byte(head>>16), 0)
		if len(b) >= 64<<10 {
			if err := w.emit(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	return w.emit(b)
}

// finish writes what comes behind the drive.
func (w *packer) finish() error {
	if err := w.zeros(w.size - w.drive); err != nil {
		return err
	}
	le := binary.LittleEndian
	var b []byte
	for _, e := range w.entries {
		b = e.append(b)
	}
	b = le.AppendUint64(b, uint64(w.size))
	b = le.AppendUint64(b, uint64(len(w.entries)))
	b = le.AppendUint32(b, uint32(w.block))
	sum := sha256.Sum256(b)
	b = append(append(b, sum[:]...), backupMark...)
	head := le.AppendUint32(le.AppendUint32(nil, skippableMagic), uint32(len(b)))
	if err := errors.Join(w.emit(head), w.emit(b)); err != nil {
		return err
	}
	return w.out.Flush()
}

func (e entry) append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(e.drive))
	b = le.AppendUint64(b, uint64(e.file))
	b = le.AppendUint32(b, uint32(e.packed))
	b = le.AppendUint32(b, uint32(e.n))
	return append(b, e.sum[:]...)
}

// Backup is a backup that was opened, as the drive that it was made of. It can only be read,
// and all that is read was compared with its checksum.
type Backup struct {
	r       io.ReaderAt
	end     int64 // of the file
	size    int64 // of the drive
	block   int
	entries []entry
	dec     *zstd.Decoder

	mu     sync.Mutex
	packed []byte
	loaded int // the entry that data is of, or -1
	data   []byte
}

// IsBackup tells whether a file of size bytes has a backup's footer.
func IsBackup(r io.ReaderAt, size int64) bool {
	b := make([]byte, len(backupMark))
	_, err := r.ReadAt(b, size-int64(len(b)))
	return size > footerSize && (err == nil || err == io.EOF) && string(b) == backupMark
}

// OpenBackup opens a backup, a file of size bytes.
func OpenBackup(r io.ReaderAt, size int64) (*Backup, error) {
	if !IsBackup(r, size) {
		return nil, fmt.Errorf("%w or not one that alphaos drive backup made: its end is missing", ErrDamaged)
	}
	le := binary.LittleEndian
	foot := make([]byte, footerSize)
	if err := readAt(r, foot, size-footerSize); err != nil {
		return nil, err
	}
	b := &Backup{r: r, end: size, size: int64(le.Uint64(foot)), block: int(le.Uint32(foot[16:])), loaded: -1}
	count := le.Uint64(foot[8:])
	if b.size < 0 || b.size > mostDrive || b.block != 512 && b.block != 4096 || b.size%int64(b.block) != 0 || count > uint64(size)/entrySize || count > uint64(b.size)/uint64(b.block) {
		return nil, fmt.Errorf("%w: its footer makes no sense", ErrDamaged)
	}
	list := make([]byte, count*entrySize)
	end := size - footerSize - int64(len(list)) // of the frames, and 8 bytes
	if err := readAt(r, list, end); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(append(list, foot[:20]...)); !bytes.Equal(sum[:], foot[20:52]) {
		return nil, fmt.Errorf("%w: the checksum of its list is wrong", ErrDamaged)
	}
	last := int64(0)
	for ; len(list) >= entrySize; list = list[entrySize:] {
		e := entry{int64(le.Uint64(list)), int64(le.Uint64(list[8:])), int64(le.Uint32(list[16:])), int64(le.Uint32(list[20:])), [32]byte(list[24:])}
		if e.drive < last || e.n == 0 || e.n > chunkSize || e.n > b.size-e.drive || e.file < 0 || e.packed > mostFrame || e.file > end-e.packed {
			return nil, fmt.Errorf("%w: its list makes no sense", ErrDamaged)
		}
		last = e.drive + e.n
		b.entries = append(b.entries, e)
	}
	var err error
	b.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*chunkSize))
	return b, err
}

func readAt(r io.ReaderAt, p []byte, off int64) error {
	if off < 0 {
		return fmt.Errorf("%w: it is too short", ErrDamaged)
	}
	if n, err := r.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("read the backup: %w", err)
	}
	return nil
}

// Size returns the bytes of the drive.
func (b *Backup) Size() int64 { return b.size }

// BlockSize returns the bytes in a block of the drive.
func (b *Backup) BlockSize() int { return b.block }

// Blocks returns the blocks of the drive.
func (b *Backup) Blocks() uint64 { return uint64(b.size / int64(b.block)) }

// WriteBlocks refuses.
func (b *Backup) WriteBlocks(uint64, []byte) error { return fs.ErrReadOnly }

// Flush does nothing.
func (b *Backup) Flush() error { return nil }

// Data returns where, from byte off on, the next piece is that is not zeros.
func (b *Backup) Data(off int64) (start, end int64) {
	i := b.find(off)
	if i == len(b.entries) {
		return b.size, b.size
	}
	return max(off, b.entries[i].drive), b.entries[i].drive + b.entries[i].n
}

// find returns the first entry that ends behind off.
func (b *Backup) find(off int64) int {
	return sort.Search(len(b.entries), func(i int) bool { return b.entries[i].drive+b.entries[i].n > off })
}

// ReadBlocks reads len(p) bytes from block lba on.
func (b *Backup) ReadBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(b, lba, p); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for off := int64(lba) * int64(b.block); len(p) > 0; {
		start, end := b.Data(off)
		if hole := min(start-off, int64(len(p))); hole > 0 {
			clear(p[:hole])
			p, off = p[hole:], off+hole
			continue
		}
		i := b.find(off)
		if err := b.load(i); err != nil {
			return err
		}
		n := copy(p, b.data[off-b.entries[i].drive:end-b.entries[i].drive])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// load unpacks an entry and compares it with its checksum.
func (b *Backup) load(i int) error {
	if b.loaded == i {
		return nil
	}
	b.loaded = -1
	e := b.entries[i]
	if int64(cap(b.packed)) < e.packed {
		b.packed = make([]byte, e.packed)
	}
	b.packed = b.packed[:e.packed]
	if err := readAt(b.r, b.packed, e.file); err != nil {
		return err
	}
	data, err := b.dec.DecodeAll(b.packed, b.data[:0])
	if err == nil && (int64(len(data)) != e.n || sha256.Sum256(data) != e.sum) {
		err = errors.New("the checksum is wrong")
	}
	if err != nil {
		return fmt.Errorf("%w: at byte %d of the drive: %w", ErrDamaged, e.drive, err)
	}
	b.data, b.loaded = data, i
	return nil
}

// Verify unpacks all and compares it with its checksums. It calls progress, now and then, with
// how many bytes of the file are dealt with.
func (b *Backup) Verify(progress func(done int64)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range b.entries {
		if err := b.load(i); err != nil {
			return err
		}
		progress(e.file + e.packed)
	}
	progress(b.end)
	return nil
}

// Close frees what reading needs; the file is the caller's.
func (b *Backup) Close() { b.dec.Close() }
