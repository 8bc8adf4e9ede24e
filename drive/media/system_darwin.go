package media

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func diskutil(args ...string) ([]byte, error) {
	var complaint bytes.Buffer
	cmd := exec.Command("/usr/sbin/diskutil", args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("diskutil %s: %w %s", args[0], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out, nil
}

// List returns the drives of this computer.
func List() ([]Disk, error) {
	list, err := diskutil("list", "-plist")
	if err != nil {
		return nil, err
	}
	// Without it the drives have no serial numbers, and that is all.
	ioreg, _ := exec.Command("/usr/sbin/ioreg", "-a", "-l", "-r", "-c", "IOUSBHostDevice").Output()
	return darwinDisks(list, ioreg, func(disk string) ([]byte, error) { return diskutil("info", "-plist", disk) })
}

// Unmount unmounts all that is mounted of d.
func Unmount(d Disk) error {
	_, err := diskutil("unmountDisk", d.Path)
	if err != nil {
		return fmt.Errorf("%s cannot be unmounted; close what uses it: %w", d.Path, err)
	}
	return nil
}

// raw is the drive without the buffer cache: many times as fast, in whole blocks.
func raw(d Disk) string { return "/dev/r" + d.Name }

func openDisk(d Disk) (f *os.File, direct bool, err error) {
	f, err = os.OpenFile(raw(d), os.O_RDWR, 0)
	return f, true, explain(d, err)
}

func openRead(d Disk) (*os.File, error) {
	f, err := os.Open(raw(d))
	return f, explain(d, err)
}

func explain(d Disk, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is in use by this system: diskutil unmountDisk %s", d.Path, d.Path)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w; run the same command with sudo", err)
	}
	return err
}

// syncDisk asks the drive to empty its own cache (DKIOCSYNCHRONIZECACHE, sys/disk.h); raw
// devices know no fsync.
func syncDisk(f *os.File) error {
	const synchronizeCache = 0x20006416
	err := unix.IoctlSetInt(int(f.Fd()), synchronizeCache, 0)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOTSUP) { // it has none
		return nil
	}
	return err
}

// dropFile makes the next reads of a file that was synced come from its medium.
func dropFile(f *os.File) string {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_NOCACHE, 1); err != nil {
		return "through the system's cache"
	}
	return "with the system's cache switched off for it"
}

func dropDisk(f *os.File) string { return dropFile(f) }

func rereadTable(*os.File) {} // macOS looks by itself when the device is closed

// nextData does without lseek's SEEK_DATA, which is not on all file systems of macOS.
func nextData(*os.File, int64) (start, end int64, ok bool) { return 0, 0, false }

func discard(*os.File, int64, bool) error { return errors.ErrUnsupported }
