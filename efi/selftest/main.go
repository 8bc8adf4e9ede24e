// Selftest runs the firmware bindings under real firmware: it opens what
// package efi offers, prints what it finds on the serial port, times it, and
// powers the machine off. Pack it with
//
//	CGO_ENABLED=0 go build -buildmode=pie -o selftest.elf ./efi/selftest
//	go run ./tools/alphaos efi pack selftest.elf BOOTX64.EFI
//
// and boot it from a drive that nothing is lost on: the last block of the
// boot volume is written. Keys typed within three seconds are shown.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"time"

	"alphaos/amd64"
	"alphaos/console"
	"alphaos/efi"
)

var out io.Writer = os.Stdout

func printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	out.Write(bytes.ReplaceAll([]byte(text), []byte("\n"), []byte("\r\n")))
}

// step times f and prints its outcome; failures are counted.
func step(name string, f func() (string, error)) {
	start := time.Now()
	text, err := f()
	took := time.Since(start).Round(10 * time.Microsecond)
	if err != nil {
		failures++
		printf("FAIL %s: %v (%v)\n", name, err, took)
		return
	}
	printf("ok   %s: %s (%v)\n", name, text, took)
}

var failures int

func main() {
	if err := efi.Init(); err != nil {
		fmt.Fprintln(os.Stderr, "selftest:", err)
		os.Exit(1)
	}
	serial, err := efi.OpenSerial()
	if err == nil {
		out = serial
	} else {
		out = efi.TextOutput()
	}
	started := amd64.SinceStart()
	printf("selftest of the firmware bindings, %v after the start; serial: %v\n", started, err)

	step("tables", func() (string, error) {
		vendor, revision, spec := efi.Firmware()
		return fmt.Sprintf("%s %#x, UEFI %s", vendor, revision, spec), efi.TableCRC()
	})
	step("watchdog", func() (string, error) { return "off", efi.DisableWatchdog() })
	step("image", func() (string, error) {
		img, err := efi.LoadedImage()
		return fmt.Sprintf("%+v", img), err
	})
	step("memory map", func() (string, error) {
		m, err := efi.MemoryMap()
		return fmt.Sprintf("%d ranges", len(m)), err
	})
	step("clock", func() (string, error) {
		now, err := efi.Time()
		return now.Format(time.RFC3339), err
	})
	step("variables", variables)
	step("disks", func() (string, error) { return list(efi.Disks()) })
	step("volumes", func() (string, error) { return list(efi.Volumes()) })

	var dev *efi.BlockDevice
	step("boot volume", func() (s string, err error) {
		dev, err = efi.BootVolume()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %d blocks of %d, removable %v", dev, dev.Blocks(), dev.BlockSize(), dev.Removable()), nil
	})
	if dev != nil {
		step("blocks", func() (string, error) { return blocks(dev) })
		step("speed", func() (string, error) { return speed(dev) })
	}
	step("storage controllers", func() (string, error) {
		n, err := efi.ConnectStorage()
		return fmt.Sprintf("%d started", n), err
	})
	step("screen", screen)
	keys(serial)
	printf("%d failures\n", failures)
	err = efi.Shutdown(dev)
	printf("FAIL shutdown: %v\n", err)
}

func list(devs []*efi.BlockDevice, err error) (string, error) {
	s := fmt.Sprint(len(devs))
	for _, d := range devs {
		s += "\n     " + d.String()
	}
	return s, err
}

func variables() (string, error) {
	v := efi.VariableName{Name: "AlphaSelftest", Vendor: efi.MustParseGUID("7d0e6c2a-93a4-4a0d-8a5c-5a8f0c1e2b3d")}
	want := bytes.Repeat([]byte("0123456789"), 20)
	if err := efi.SetVariable(v, efi.BootserviceAccess, want); err != nil {
		return "", err
	}
	got, attributes, err := efi.GetVariable(v)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(got, want) || attributes != efi.BootserviceAccess {
		return "", fmt.Errorf("read %q with %#x", got, attributes)
	}
	all, err := efi.Variables()
	if err != nil {
		return "", err
	}
	if err := efi.SetVariable(v, efi.BootserviceAccess, nil); err != nil {
		return "", err
	}
	if _, _, err := efi.GetVariable(v); !errors.Is(err, efi.NotFound) {
		return "", fmt.Errorf("after deletion: %v", err)
	}
	return fmt.Sprintf("%d of them", len(all)), nil
}

// blocks reads the same blocks into Go memory and physical memory, and writes
// the last block of the volume and reads it back.
func blocks(dev *efi.BlockDevice) (string, error) {
	size := dev.BlockSize()
	n := min(3<<20, int(dev.Blocks())*size)
	direct, err := amd64.AllocPhysical(n)
	if err != nil {
		return "", err
	}
	defer amd64.FreePhysical(direct)
	if !amd64.Physical(direct) {
		return "", errors.New("physical memory is not physical")
	}
	bounced := make([]byte, n)
	if amd64.Physical(bounced) {
		return "", errors.New("the Go heap counts as physical memory")
	}
	if err := errors.Join(dev.ReadBlocks(0, direct), dev.ReadBlocks(0, bounced)); err != nil {
		return "", err
	}
	if !bytes.Equal(direct, bounced) {
		return "", errors.New("the two ways of reading differ")
	}
	last, p := dev.Blocks()-1, make([]byte, size)
	for i := range p {
		p[i] = byte(i) ^ byte(time.Now().UnixNano())
	}
	if err := errors.Join(dev.WriteBlocks(last, p), dev.Flush(), dev.ReadBlocks(last, bounced[:size])); err != nil {
		return "", err
	}
	if !bytes.Equal(p, bounced[:size]) {
		return "", errors.New("the last block does not hold what was written")
	}
	if err := dev.ReadBlocks(last+1, p); err == nil {
		return "", errors.New("a block beyond the end was read")
	}
	return fmt.Sprintf("%d bytes read both ways, 1 block written", n), nil
}

func speed(dev *efi.BlockDevice) (string, error) {
	s := ""
	for _, n := range []int{64 << 10, 1 << 20, 8 << 20} {
		p, err := amd64.AllocPhysical(n)
		if err != nil {
			return "", err
		}
		start, total := time.Now(), 0
		for time.Since(start) < 200*time.Millisecond {
			if total+n > int(dev.Blocks())*dev.BlockSize() {
				break
			}
			if err := dev.ReadBlocks(uint64(total/dev.BlockSize()), p); err != nil {
				return "", err
			}
			total += n
		}
		s += fmt.Sprintf("%d KiB: %.0f MB/s; ", n>>10, float64(total)/1e6/time.Since(start).Seconds())
		amd64.FreePhysical(p)
	}
	return s, nil
}

func screen() (string, error) {
	opened := time.Now()
	s, err := efi.OpenScreen()
	if err != nil {
		return "", err
	}
	took := time.Since(opened)
	w, h := s.Size()
	shadow := make([]uint32, w*h)
	for i := range shadow {
		x, y := i%w, i/w
		// Bars of red, green, blue and white that fade to the right.
		v := uint32(255 - x*255/w)
		shadow[i] = [...]uint32{v << 16, v << 8, v, v * 0x010101}[y*4/h]
	}
	start := time.Now()
	if err := s.Flush(shadow, w, image.Rect(0, 0, w, h)); err != nil {
		return "", err
	}
	flush := time.Since(start)
	modes, err := s.Modes()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, opened in %v, drawn in %v, %d modes", s, took, flush, len(modes)), nil
}

func keys(serial *efi.Serial) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	sources := []<-chan console.Key{efi.Keys(ctx)}
	if serial != nil {
		sources = append(sources, console.DecodeKeys(ctx, serial))
	}
	printf("type now\n")
	for k := range efi.MergeKeys(ctx, sources...) {
		if k.Code == console.None {
			printf("key %q\n", k.Rune)
		} else {
			printf("key %s\n", k.Code)
		}
	}
}
