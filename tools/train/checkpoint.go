package train

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// A checkpoint is all that training needs to go on as if it had not stopped: a
// line of JSON, then parameters and both moments in float32, then a checksum.
// It replaces the one before only when it is complete.

type state struct {
	Format string
	Options
	Corpus string // SHA-256
	Kernel string
	Step   int // done
	Next   int // documents dealt
}

const checkpointFormat = "alphaos training checkpoint 1"

func writeCheckpoint(name string, s state, arrays ...[]float32) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".checkpoint-*")
	if err != nil {
		return fmt.Errorf("cannot write the checkpoint: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("cannot write the checkpoint: %w", err)
		}
	}()
	sum := crc32.NewIEEE()
	buffer := bufio.NewWriterSize(f, 1<<20)
	w := io.MultiWriter(buffer, sum)
	s.Format = checkpointFormat
	head, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(head, '\n')); err != nil {
		return err
	}
	for _, a := range arrays {
		if err := binary.Write(w, binary.LittleEndian, a); err != nil {
			return err
		}
	}
	if err := binary.Write(buffer, binary.LittleEndian, sum.Sum32()); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// readCheckpoint fills arrays. It does not exist: os.ErrNotExist.
func readCheckpoint(name string, want state, arrays ...[]float32) (s state, err error) {
	f, err := os.Open(name)
	if err != nil {
		return s, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	fail := func(what string) (state, error) {
		return s, fmt.Errorf("the checkpoint %s %s; delete it to begin anew", name, what)
	}
	head, err := r.ReadSlice('\n')
	if err != nil || json.Unmarshal(head, &s) != nil || s.Format != checkpointFormat || s.Step < 0 || s.Next < 0 {
		return fail("is none, or of another version")
	}
	// Only the number of steps may be another, as long as it made no difference.
	options := s.Options
	if options.Steps, options.Fall = want.Steps, want.Fall; s.Step <= min(s.fall(), want.fall()) && s.Step < want.Steps {
		s.Options = options
	}
	switch {
	case s.Options != want.Options:
		return fail("was made with other options")
	case s.Corpus != want.Corpus:
		return fail("was made with another corpus")
	case s.Kernel != want.Kernel:
		return fail(fmt.Sprintf("was made with the kernel %s, not %s", s.Kernel, want.Kernel))
	}
	sum := crc32.NewIEEE()
	sum.Write(head)
	in := io.TeeReader(r, sum)
	for _, a := range arrays {
		if err := binary.Read(in, binary.LittleEndian, a); err != nil {
			return fail("is damaged")
		}
	}
	var told uint32
	expected := sum.Sum32()
	if err := binary.Read(r, binary.LittleEndian, &told); err != nil || told != expected {
		return fail("is damaged")
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return fail("is damaged")
	}
	return s, nil
}
