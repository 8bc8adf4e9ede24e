// Package content opens files of the host that are to go on a drive, after a look whether they are
// what they should be. Errors are for a person: each says what is wrong and what to do.
package content

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"alphaos/drive/media"
	"alphaos/fs/fat"
	"alphaos/llm"
	"alphaos/llm/gguf"
)

// MaxFile is how many bytes a file on FAT32 can have.
const MaxFile = 1<<32 - 1

// File is the content of any file.
func File(name string) (fat.Content, error) {
	return hostFile(name, func(io.ReaderAt, int64) error { return nil })
}

// Program is the content of an EFI application for x86-64.
func Program(name string) (fat.Content, error) { return hostFile(name, checkEFI) }

// Model is the content of a GGUF file that is whole, and that of its checksum file, which is known
// when the other was read. It is one of models: all parts of a model must be.
func Model(name string, models []string) (whole, sum fat.Content, err error) {
	whole, err = hostFile(name, checkGGUF)
	if err == nil {
		err = checkModel(name, models)
	}
	if err == nil {
		whole, sum = summed(whole, filepath.Base(name))
	}
	return whole, sum, err
}

// summed returns c and the content of its checksum file, which is known once c was copied.
func summed(c fat.Content, name string) (whole, sum fat.Content) {
	hash := sha256.New()
	whole = fat.Content{Size: c.Size, Open: func() (io.ReadCloser, error) {
		f, err := c.Open()
		return struct {
			io.Reader
			io.Closer
		}{io.TeeReader(f, hash), f}, err
	}}
	line := func() []byte { return llm.ChecksumLine(hash.Sum(nil), name) }
	return whole, fat.Content{Size: int64(len(line())), Open: func() (io.ReadCloser, error) { return fat.Bytes(line()).Open() }}
}

// hostFile is the content of a file of the host after check has seen it.
func hostFile(name string, check func(io.ReaderAt, int64) error) (c fat.Content, err error) {
	f, err := os.Open(name)
	if err != nil {
		return c, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return c, err
	}
	if !fi.Mode().IsRegular() {
		return c, fmt.Errorf("%s is not an ordinary file", name)
	}
	if fi.Size() > MaxFile {
		return c, fmt.Errorf("%s has %s but a file on FAT32 can have no more than 4 GiB; split it (a model with alphaos model split) or choose a smaller one", name, media.FormatSize(fi.Size()))
	}
	if err := check(f, fi.Size()); err != nil {
		return c, fmt.Errorf("%s %w", name, err)
	}
	return fat.Content{Size: fi.Size(), Open: func() (io.ReadCloser, error) { return os.Open(name) }}, nil
}

// checkEFI reports whether a file is a PE32+ EFI application for x86-64.
func checkEFI(r io.ReaderAt, size int64) error {
	var dos [64]byte
	if _, err := r.ReadAt(dos[:], 0); err != nil && err != io.EOF {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if string(dos[:4]) == "\x7fELF" {
		return errors.New("is a Linux program; make it an EFI application with alphaos efi pack")
	}
	var pe [96]byte
	if string(dos[:2]) == "MZ" {
		if _, err := r.ReadAt(pe[:], int64(binary.LittleEndian.Uint32(dos[60:]))); err != nil && err != io.EOF {
			return fmt.Errorf("cannot be read: %w", err)
		}
	}
	le := binary.LittleEndian
	switch {
	case string(pe[:4]) != "PE\x00\x00":
		return errors.New("is not an EFI application: it has no PE header")
	case le.Uint16(pe[4:]) != 0x8664 || le.Uint16(pe[24:]) != 0x20B:
		return errors.New("is not an EFI application for x86-64")
	case le.Uint16(pe[24+68:]) != 10:
		return errors.New("is a PE program but not an EFI application")
	}
	return nil
}

func checkGGUF(r io.ReaderAt, size int64) error {
	var magic [len(gguf.Magic)]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil && err != io.EOF {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if string(magic[:]) != gguf.Magic {
		return errors.New("is not a GGUF model: it does not begin with GGUF; convert it with llama.cpp's convert_hf_to_gguf.py or download a .gguf file")
	}
	return nil
}

// checkModel makes sure that a model is whole: that it is as long as its tables
// say, that it matches the checksum that lies beside it, if one does, and that all
// parts of a split one are there and among models.
func checkModel(name string, models []string) error {
	base := filepath.Base(name)
	f, err := llm.Open(os.DirFS(filepath.Dir(name)), base)
	if err != nil {
		return fmt.Errorf("%s cannot be used: %w", name, err)
	}
	defer f.Close()
	if _, err := gguf.Read(f, f.Size()); err != nil {
		return fmt.Errorf("%s cannot be used: %w", name, err)
	}
	if f.Parts() > 1 {
		parts, _ := gguf.Parts(base)
		for _, part := range parts {
			if !slices.ContainsFunc(models, func(m string) bool { return strings.EqualFold(filepath.Base(m), part) }) {
				return fmt.Errorf("%s is one of the %d parts of a model, and %s is not named; name that one, too", name, len(parts), part)
			}
		}
		if base != f.Name() {
			return nil // the first part's turn is everyone's
		}
	}
	if err := f.Verify(); err != nil {
		return fmt.Errorf("%s cannot be used: %w", name, err)
	}
	return nil
}
