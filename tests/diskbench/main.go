// Command diskbench is a UEFI application that measures how much of the disk's
// speed loading a model keeps, and writing a file. In one boot it reads the model file's own blocks
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
// which are medians, in decimal megabytes. Then it writes a file and reads it, request by request
// in turn with the blocks of another one by plain Block I/O, and says by how much of the raw speed:
//
//	bench: write ratio 98.4 %
//	bench: read ratio 99.2 %
//	bench: random read ratio 97.0 %
//
// Before all that it opens a file of 4 GB on a volume that was just mounted:
//
//	bench: opened in 12.3 ms
//
// Last, it switches the machine off.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"alphaos/amd64"
	"alphaos/drive"
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

	writing = 1 << 30 // bytes in the file that is written
	piece   = 4 << 20 // bytes in a write, or a read of it
	turns   = 4       // writing it takes a while; the first is not counted
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
	var opens []float64
	for round := range 6 { // of volumes of which nothing is known, by code that was run before
		v, err := fat.Mount(dev)
		if err != nil {
			return err
		}
		began := time.Now()
		f, err := v.Open(drive.JournalPath)
		took := 1e3 * time.Since(began).Seconds()
		if err != nil {
			return err
		}
		fmt.Printf("bench: round %d: a file of 4 GB was opened in %.1f ms\n", round, took)
		if opens = append(opens, took); round == 0 {
			opens = nil
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	fmt.Printf("bench: opened in %.1f ms\n", median(opens))
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
	return requests(volume, dev)
}

// requests measures writing a file, reading it and reading pieces of it from anywhere, each request
// by turns with one of plain Block I/O for the blocks of another file. A round counts by the
// medians of its requests and by what ends a file that was written: its directory entry and the
// flushes. Before, all free room is written once: an image under a hypervisor has holes, which
// take longer to write for the first time.
func requests(volume *fat.FS, dev fs.BlockDevice) error {
	p := make([]byte, piece)
	for i := range p {
		p[i] = byte(i * 7)
	}
	w, err := volume.Create("raw.tmp")
	if err != nil {
		return err
	}
	for range writing / piece {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	extents, err := volume.Pin("raw.tmp")
	if err != nil {
		return err
	}
	if len(extents) != 1 {
		return errors.New("the file that is to be written with plain Block I/O lies in pieces")
	}
	fills := 0
	for err == nil {
		if err = volume.WriteFile(fmt.Sprintf("fill%d.tmp", fills), p); err == nil {
			fills++
		}
	}
	if !errors.Is(err, fs.ErrNoRoom) {
		return err
	}
	for n := range fills {
		if err := volume.Remove(fmt.Sprintf("fill%d.tmp", n)); err != nil {
			return err
		}
	}

	block := func(off int64) uint64 { return extents[0].First + uint64(off)/uint64(dev.BlockSize()) }
	ratios := map[string][]float64{}
	for round := range turns {
		err = nil
		timed := func(f func() error) float64 {
			began := time.Now()
			if ferr := f(); err == nil && ferr != io.EOF {
				err = ferr
			}
			return time.Since(began).Seconds()
		}
		race := func(what string, n int, raw, file func(i int64) error, ends ...func() error) {
			var raws, files []float64
			for i := range int64(n) {
				raws = append(raws, timed(func() error { return raw(i) }))
				files = append(files, timed(func() error { return file(i) }))
			}
			a, b := median(raws)*float64(n), median(files)*float64(n)
			end := [2]float64{}
			for i, f := range ends {
				end[i] = timed(f)
			}
			a, b = a+end[0], b+end[1]
			fmt.Printf("bench: round %d: %s: raw %.3f ms, of these the end %.3f, file %.3f ms, the end %.3f\n", round, what, 1e3*a, 1e3*end[0], 1e3*b, 1e3*end[1])
			if round > 0 {
				ratios[what] = append(ratios[what], 100*a/b)
			}
		}
		w, cerr := volume.Create("file.tmp")
		if cerr != nil {
			return cerr
		}
		race("write", writing/piece,
			func(i int64) error { return dev.WriteBlocks(block(i*piece), p) },
			func(int64) error { _, err := w.Write(p); return err },
			dev.Flush, func() error { return errors.Join(w.Close(), volume.Sync()) })
		f, oerr := volume.Open("file.tmp")
		if oerr != nil {
			return errors.Join(err, oerr)
		}
		file := f.(io.ReaderAt)
		race("read", writing/piece,
			func(i int64) error { return dev.ReadBlocks(block(i*piece), p) },
			func(i int64) error { _, err := file.ReadAt(p, i*piece); return err })
		anywhere := func(i int64) int64 { return i * 7919 % (writing / 4096) * 4096 }
		race("random read", 1000,
			func(i int64) error { return dev.ReadBlocks(block(anywhere(i)), p[:4096]) },
			func(i int64) error { _, err := file.ReadAt(p[:4096], anywhere(i)); return err })
		if err := errors.Join(err, f.Close(), volume.Remove("file.tmp")); err != nil {
			return err
		}
	}
	for _, what := range []string{"write", "read", "random read"} {
		fmt.Printf("bench: %s ratio %.1f %%\n", what, median(ratios[what]))
	}
	return nil
}

// readRaw reads the file's blocks in order and returns MB/s. Taking the memory
// is part of it, as it is of loading.
func readRaw(dev fs.BlockDevice, extents []fs.Extent, bytes int64) (float64, error) {
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
