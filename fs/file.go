package fs

import (
	"fmt"
	"io"
	"os"
)

// File is what a FileDevice needs of a file; *os.File has it.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// FileDevice is a BlockDevice kept in a file, for hosts: a drive image.
type FileDevice struct {
	f         File
	blockSize int
	blocks    uint64
}

// NewFileDevice returns the first size bytes of f as a device with blocks of
// blockSize bytes (512 or 4096). A last incomplete block is left out.
func NewFileDevice(f File, size int64, blockSize int) (*FileDevice, error) {
	if blockSize != 512 && blockSize != 4096 {
		return nil, fmt.Errorf("block size %d is not supported; use 512 or 4096", blockSize)
	}
	if size < 0 {
		return nil, fmt.Errorf("a device cannot have %d bytes", size)
	}
	return &FileDevice{f, blockSize, uint64(size) / uint64(blockSize)}, nil
}

// OpenFileDevice opens the image file name as a device with blocks of
// blockSize bytes, for writing too when write is set. The caller closes it.
func OpenFileDevice(name string, blockSize int, write bool) (*FileDevice, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	// Seek, unlike Stat, also tells the size of a block device.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("size of %s: %w", name, err)
	}
	d, err := NewFileDevice(f, size, blockSize)
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// BlockSize returns the bytes in a block.
func (d *FileDevice) BlockSize() int { return d.blockSize }

// Blocks returns the number of whole blocks in the file.
func (d *FileDevice) Blocks() uint64 { return d.blocks }

// ReadBlocks reads len(p) bytes from block lba on.
func (d *FileDevice) ReadBlocks(lba uint64, p []byte) error {
	if err := CheckRequest(d, lba, p); err != nil {
		return err
	}
	n, err := d.f.ReadAt(p, int64(lba)*int64(d.blockSize))
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d blocks at block %d: %w", len(p)/d.blockSize, lba, err)
}

// WriteBlocks writes len(p) bytes from block lba on.
func (d *FileDevice) WriteBlocks(lba uint64, p []byte) error {
	if err := CheckRequest(d, lba, p); err != nil {
		return err
	}
	if _, err := d.f.WriteAt(p, int64(lba)*int64(d.blockSize)); err != nil {
		return fmt.Errorf("write %d blocks at block %d: %w", len(p)/d.blockSize, lba, err)
	}
	return nil
}

// Flush makes what was written durable.
func (d *FileDevice) Flush() error { return d.f.Sync() }

// Close closes the file if it can be closed.
func (d *FileDevice) Close() error {
	if c, ok := d.f.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
