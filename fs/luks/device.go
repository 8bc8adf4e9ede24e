package luks

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"alphaos/fs"
)

// Device is an unlocked volume. Its blocks are as large as those of the medium, or as its sectors if these
// are larger.
type Device struct {
	dev    fs.BlockDevice
	data   segment
	block  int
	blocks uint64
	first  uint64 // of the medium's blocks
	ratio  uint64 // of the medium's blocks in one

	mu  sync.RWMutex
	xts *xts // nil: closed
}

// errClosed is what a closed Device answers.
var errClosed = errors.New("the encrypted volume is locked")

// device makes the device of a volume with that key.
func (v *Volume) device(key []byte) (*Device, error) {
	medium := v.dev.BlockSize()
	d := &Device{dev: v.dev, data: v.data, block: max(medium, v.data.sector)}
	if d.block%v.data.sector != 0 || v.data.offset%int64(medium) != 0 {
		return nil, fmt.Errorf("the encrypted volume begins at byte %d, in the midst of a block of the medium, which have %d bytes; it was made for one with smaller blocks", v.data.offset, medium)
	}
	d.first, d.ratio = uint64(v.data.offset)/uint64(medium), uint64(d.block/medium)
	d.blocks = uint64(v.data.size) / uint64(d.block)
	x, err := newXTS(key)
	if err != nil {
		return nil, err
	}
	d.xts = x
	return d, nil
}

// BlockSize returns the bytes in a block.
func (d *Device) BlockSize() int { return d.block }

// Blocks returns how many blocks of data there are.
func (d *Device) Blocks() uint64 { return d.blocks }

// Flush asks the medium to make what was written durable.
func (d *Device) Flush() error { return d.dev.Flush() }

// Close locks the volume: it wipes the key.
func (d *Device) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.xts != nil {
		d.xts.wipe()
		d.xts = nil
	}
}

// unit is the number by which a block is encrypted.
func (d *Device) unit(lba uint64) uint64 { return d.data.first + lba*uint64(d.block/512) }

// ReadBlocks reads len(p) bytes from block lba on.
func (d *Device) ReadBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(d, lba, p); err != nil {
		return err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.xts == nil {
		return errClosed
	}
	// A piece is decrypted while the next is read, and the last one, for which nothing is left to read, by all processors.
	var wg sync.WaitGroup
	defer wg.Wait()
	decrypt := func(lba uint64, p []byte) { d.xts.decrypt(p, d.unit(lba), d.data.sector, d.data.narrow) }
	processors := runtime.GOMAXPROCS(0)
	for processors > 1 && len(p) > chunk {
		piece, at := p[:chunk], lba
		if err := d.dev.ReadBlocks(d.first+at*d.ratio, piece); err != nil {
			return err
		}
		wg.Go(func() { decrypt(at, piece) })
		p, lba = p[chunk:], lba+uint64(chunk/d.block)
	}
	if err := d.dev.ReadBlocks(d.first+lba*d.ratio, p); err != nil {
		return err
	}
	const least = 256 << 10
	for n := min(processors, len(p)/least); n > 1; n-- {
		part := len(p) / n / d.block * d.block
		piece, at := p[:part], lba
		wg.Go(func() { decrypt(at, piece) })
		p, lba = p[part:], lba+uint64(part/d.block)
	}
	decrypt(lba, p)
	return nil
}

// chunk is how many bytes are read and decrypted, or encrypted and written, at a time.
const chunk = 1 << 20

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// WriteBlocks writes len(p) bytes from block lba on.
func (d *Device) WriteBlocks(lba uint64, p []byte) error {
	if err := fs.CheckRequest(d, lba, p); err != nil {
		return err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.xts == nil {
		return errClosed
	}
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for len(p) > 0 {
		b := (*buf)[:min(len(p), chunk)]
		copy(b, p)
		d.xts.encrypt(b, d.unit(lba), d.data.sector, d.data.narrow)
		if err := d.dev.WriteBlocks(d.first+lba*d.ratio, b); err != nil {
			return err
		}
		p, lba = p[len(b):], lba+uint64(len(b)/d.block)
	}
	return nil
}
