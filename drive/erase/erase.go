// Package erase makes a drive unreadable: first what opens encrypted partitions, which makes all in them useless at once;
// then, where the system can tell the medium so, its blocks are given up (discard); then every block is overwritten and a
// part of them read back.
//
// Flash memory keeps copies in blocks that no computer can ask for. Discard has most devices erase those some time
// later; of an encrypted partition they are useless without the keyslots.
package erase

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"alphaos/drive"
	"alphaos/fs"
	"alphaos/fs/luks"
	"alphaos/fs/volume"
)

const (
	mib        = 1 << 20
	mostMisses = 64 // pieces that can't be overwritten, before a drive is given up
)

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

// ErrPlain says that a quick way would leave what can be read.
var ErrPlain = errors.New("no encrypted partition was found whose keyslots could be overwritten, so all of it has to be: erase it without --quick")

// Drive erases the drive dev. What fails does not keep the rest from being erased; the error is the first.
func Drive(dev fs.BlockDevice, o Options) (r Result, err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64) func(int64) { return func(int64) {} }
	}
	var failed error
	m, err := volume.List(dev)
	if err != nil {
		m = &volume.Medium{}
	}
	begun, tail := false, make([]byte, 18*mib)
	for _, v := range m.Volumes {
		if at, err := drive.EncryptingAt(v); err == nil && at {
			begun = true
		}
		switch err := luks.Destroy(v); {
		case err == nil:
			r.Keyslots++
		case !errors.Is(err, luks.ErrNot):
			failed = cmp.Or(failed, err)
		}
	}
	if o.Quick && (r.Keyslots == 0 || begun) {
		return r, cmp.Or(failed, ErrPlain)
	}
	if o.Quick { // an encryption that was cut short at its very end leaves a header there
		for _, v := range m.Volumes {
			n, size := int64(len(tail)), int64(v.BlockSize())
			if total := int64(v.Blocks()) * size; n < total {
				failed = cmp.Or(failed, v.WriteBlocks(uint64((total-n)/size), tail))
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
	misses := 0
	for _, s := range spans {
		for at := s[0] / size * size; at < s[1]; {
			b := zeros[:min(int64(len(zeros)), s[1]-at)]
			if err := dev.WriteBlocks(uint64(at/size), b); err != nil {
				failed = cmp.Or(failed, fmt.Errorf("overwriting at %d MiB: %w", at>>20, err))
				if misses++; misses == mostMisses {
					return r, failed
				}
			} else {
				r.Bytes += int64(len(b))
			}
			at += int64(len(b))
			done(at)
		}
	}
	done(total)
	if failed = cmp.Or(failed, dev.Flush()); failed != nil {
		return r, failed
	}
	if o.Uncache != nil {
		o.Uncache()
	}
	// A piece in each 64 MiB, and the ends.
	check := o.Progress("Reading back", total)
	b := make([]byte, mib)
	for _, s := range spans {
		last := max(s[1]-mib, s[0]) / size * size
		for at := s[0] / size * size; ; at = min(at+64*mib, last) {
			p := b[:min(mib, s[1]-at)]
			if err := dev.ReadBlocks(uint64(at/size), p); err != nil {
				return r, fmt.Errorf("reading back: %w", err)
			}
			if !bytes.Equal(p, zeros[:len(p)]) {
				return r, fmt.Errorf("at %d MiB the drive still holds something else than zeros: it does not write what it is told. Destroy it", at>>20)
			}
			if check(at); at >= last {
				break
			}
		}
	}
	check(total)
	return r, nil
}
