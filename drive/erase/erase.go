// Package erase makes a drive unreadable: first what opens encrypted partitions, which makes all in them useless at once;
// then, where the system can tell the medium so, its blocks are given up (discard); then every block is overwritten and a
// part of them read back.
//
// Flash memory keeps copies in blocks that no computer can ask for. Discard has most devices erase those some time
// later; of an encrypted partition they are useless without the keyslots.
package erase

import (
	"bytes"
	"errors"
	"fmt"

	"alphaos/fs"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
)

const mib = 1 << 20

// Options say how a drive is erased.
type Options struct {
	// Discard tells the medium that it need not keep any of it; nil if that can't be.
	Discard func() error
	// Uncache makes the next reads come from the medium; may be nil.
	Uncache func()
	// Progress begins a step in which total bytes are dealt with, and returns what is told how many are done. It may be
	// nil.
	Progress func(step string, total int64) func(done int64)
	Quick    bool // nothing is overwritten but the keyslots, and the beginning and the end of the drive
}

// Result tells what was done.
type Result struct {
	Keyslots  int  // encrypted partitions whose keyslots were overwritten
	Discarded bool // the medium was told
	Bytes     int64
}

// Drive erases the drive dev. An error leaves it partly erased.
func Drive(dev fs.BlockDevice, o Options) (r Result, err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64) func(int64) { return func(int64) {} }
	}
	if m, err := volume.List(dev); err == nil {
		for _, v := range m.Volumes {
			switch err := luks.Destroy(v); {
			case err == nil:
				r.Keyslots++
			case !errors.Is(err, luks.ErrNot):
				return r, err
			}
		}
	}
	if o.Discard != nil {
		// A medium that can't is overwritten all the same.
		r.Discarded = o.Discard() == nil
	}
	size := int64(dev.BlockSize())
	total := int64(dev.Blocks()) * size
	spans := [][2]int64{{0, total}}
	if o.Quick {
		spans = [][2]int64{{0, min(16*mib, total)}, {max(total-16*mib, 0), total}}
	}
	done := o.Progress("Overwriting", total)
	zeros := make([]byte, 4*mib)
	for _, s := range spans {
		for at := s[0] / size * size; at < s[1]; {
			b := zeros[:min(int64(len(zeros)), s[1]-at)]
			if err := dev.WriteBlocks(uint64(at/size), b); err != nil {
				return r, fmt.Errorf("overwriting: %w", err)
			}
			at += int64(len(b))
			r.Bytes += int64(len(b))
			done(at)
		}
	}
	done(total)
	if err := dev.Flush(); err != nil {
		return r, err
	}
	if o.Uncache != nil {
		o.Uncache()
	}
	// A piece in each 64 MiB, and the ends.
	check := o.Progress("Reading back", total)
	b := make([]byte, mib)
	for _, s := range spans {
		for at := s[0] / size * size; at < s[1]; at += 64 * mib {
			p := b[:min(mib, s[1]-at)]
			if err := dev.ReadBlocks(uint64(at/size), p); err != nil {
				return r, fmt.Errorf("reading back: %w", err)
			}
			if !bytes.Equal(p, zeros[:len(p)]) {
				return r, fmt.Errorf("at %d MiB the drive still holds something else than zeros: it does not write what it is told. Destroy it", at>>20)
			}
			check(at)
		}
	}
	check(total)
	return r, nil
}
