// Command diskbench is a UEFI application that measures how much of the disk's
// speed loading a model keeps. In one boot it reads the model file's own blocks
// with plain Block I/O into memory of the model's size, and loads the model, in
// turn; raw reads and loading thus meet the same host, caches and disk. The
// first round is reported but not counted: under a hypervisor, memory that is
// used for the first time costs the host more than reading the disk, and would
// be charged to whoever comes first. Then, a line a round and
//
//	bench: raw ReadBlocks 812.3 MB/s
//	bench: model load 790.1 MB/s
//	bench: ratio 97.3 %
//
// which are medians, in decimal megabytes; last, it switches the machine off.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"alphaos/amd64"
	"alphaos/efi"
	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/llm"
	"alphaos/tests/guest"
	"alphaos/uefi"
)

const (
	model   = "models/big.gguf"
	request = 8 << 20 // bytes a raw read
	rounds  = 12      // the first is not counted
)

func main() {
	if err := run(); err != nil {
		fmt.Println("bench: FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("bench: done")
	if err := efi.ResetSystem(uefi.ResetShutdown); err != nil {
		fmt.Println("bench: FAILED:", err)
	}
}

func run() error {
	if !amd64.Booted() {
		return errors.New("this program runs on UEFI firmware")
	}
	volume, dev, err := guest.Mount()
	if err != nil {
		return err
	}
	f, err := volume.Open(model)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	file, ok := f.(io.ReaderAt)
	if !ok {
		return errors.New("an opened file has no ReadAt")
	}
	extents, err := volume.Extents(model)
	if err != nil {
		return err
	}

	var raws, loads, ratios []float64
	for round := range rounds {
		raw, err := readRaw(dev, extents, info.Size())
		if err != nil {
			return err
		}
		load, err := readModel(file, info.Size())
		if err != nil {
			return err
		}
		fmt.Printf("bench: round %d: raw %.1f MB/s, load %.1f MB/s\n", round, raw, load)
		if round > 0 {
			raws, loads, ratios = append(raws, raw), append(loads, load), append(ratios, 100*load/raw)
		}
	}
	fmt.Printf("bench: raw ReadBlocks %.1f MB/s\n", median(raws))
	fmt.Printf("bench: model load %.1f MB/s\n", median(loads))
	fmt.Printf("bench: ratio %.1f %%\n", median(ratios))
	return nil
}

// readRaw reads the file's blocks in order and returns MB/s. Taking the memory
// is part of it, as it is of loading.
func readRaw(dev fs.BlockDevice, extents []fat.Extent, bytes int64) (float64, error) {
	began := time.Now()
	size := uint64(dev.BlockSize())
	blocks := uint64(0)
	for _, e := range extents {
		blocks += e.Count
	}
	buf, err := amd64.AllocPhysical(int(blocks * size))
	if err != nil {
		return 0, err
	}
	defer amd64.FreePhysical(buf)
	for rest := buf; len(extents) > 0; extents = extents[1:] {
		for e := extents[0]; e.Count > 0; {
			n := min(e.Count, request/size)
			if err := dev.ReadBlocks(e.First, rest[:n*size]); err != nil {
				return 0, err
			}
			rest = rest[n*size:]
			e.First, e.Count = e.First+n, e.Count-n
		}
	}
	return float64(bytes) / 1e6 / time.Since(began).Seconds(), nil
}

// readModel loads the model as the assistant does and returns MB/s.
func readModel(file io.ReaderAt, bytes int64) (float64, error) {
	began := time.Now()
	m, err := llm.Load(file, bytes, llm.Options{Alloc: amd64.AllocPhysical, Free: amd64.FreePhysical})
	if err != nil {
		return 0, err
	}
	speed := float64(bytes) / 1e6 / time.Since(began).Seconds()
	m.Close()
	return speed, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
