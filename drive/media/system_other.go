//go:build !linux && !darwin

package media

import (
	"errors"
	"os"
)

// errImagesOnly is returned for all that needs a drive where only images can be made.
var errImagesOnly = errors.New("on this system alphaos works on image files only: make an image and write it to the drive with Rufus (as a DD image), balenaEtcher or Win32 Disk Imager")

// List returns the drives of this computer.
func List() ([]Disk, error) { return nil, errImagesOnly }

// Unmount unmounts all that is mounted of d.
func Unmount(Disk) error { return errImagesOnly }

func openDisk(Disk) (*os.File, bool, error) { return nil, false, errImagesOnly }

func openRead(Disk) (*os.File, error) { return nil, errImagesOnly }

func syncDisk(f *os.File) error { return f.Sync() }

func dropFile(*os.File) string { return "through the system's cache" }

func dropDisk(*os.File) string { return "through the system's cache" }

func rereadTable(*os.File) {}

func nextData(*os.File, int64) (start, end int64, ok bool) { return 0, 0, false }

func discard(*os.File, int64, bool) error { return errors.ErrUnsupported }
