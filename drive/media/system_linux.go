package media

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// List returns the drives of this computer.
func List() ([]Disk, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("what is mounted cannot be told: %w", err)
	}
	swaps, err := os.ReadFile("/proc/swaps")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without swapping
		return nil, fmt.Errorf("what is swapped to cannot be told: %w", err)
	}
	disks, err := linuxDisks(os.DirFS("/sys"), string(mounts), string(swaps))
	if err != nil {
		return nil, fmt.Errorf("the drives of this computer cannot be listed: %w", err)
	}
	return disks, nil
}

// Unmount unmounts all that is mounted of d.
func Unmount(d Disk) error {
	mounts := slices.Clone(d.Mounts)
	slices.SortFunc(mounts, func(a, b string) int { return strings.Compare(b, a) }) // inner ones first
	for _, m := range mounts {
		if err := unix.Unmount(m, 0); err != nil {
			return fmt.Errorf("%s cannot be unmounted: %w; close what uses it, or as root: umount %s", m, err, m)
		}
	}
	return nil
}

// openDisk opens a drive for writing, past the page cache if it can be (direct). With O_EXCL
// the kernel refuses it while anything of it is mounted or held.
func openDisk(d Disk) (f *os.File, direct bool, err error) {
	const flags = os.O_RDWR | unix.O_EXCL
	f, err = os.OpenFile(d.Path, flags|unix.O_DIRECT, 0)
	if direct = err == nil; errors.Is(err, unix.EINVAL) {
		f, err = os.OpenFile(d.Path, flags, 0)
	}
	return f, direct, explain(d, err)
}

func openRead(d Disk) (*os.File, error) {
	f, err := os.Open(d.Path)
	return f, explain(d, err)
}

func explain(d Disk, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is in use by this system: unmount its partitions, and switch off swap, LVM or RAID on it", d.Path)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w; run the same command with sudo", err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s is write-protected; if it has a switch, move that", d.Path)
	case errors.Is(err, unix.ENOMEDIUM):
		return fmt.Errorf("there is no medium in %s", d.Path)
	}
	return err
}

func syncDisk(f *os.File) error { return f.Sync() }

// dropFile makes the next reads of a file that was synced come from its medium.
func dropFile(f *os.File) string {
	if unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) != nil {
		return "through the system's cache"
	}
	return "after the system's cache was emptied of it"
}

func dropDisk(f *os.File) string {
	if unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0) != nil {
		return dropFile(f)
	}
	return "after the system's cache was emptied of it"
}

// rereadTable tells the kernel of the new partitions. Without, they are there when the drive
// is plugged in again.
func rereadTable(f *os.File) { unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0) }

func nextData(f *os.File, off int64) (start, end int64, ok bool) {
	start, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // no more of it
		end, err = unix.Seek(int(f.Fd()), 0, unix.SEEK_END)
		return max(end, off), max(end, off), err == nil
	}
	if err != nil {
		return 0, 0, false
	}
	end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
	return start, end, err == nil
}

// discard has the medium give up n bytes.
func discard(f *os.File, n int64, disk bool) error {
	if !disk {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, n)
	}
	span := [2]uint64{0, uint64(n)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKDISCARD, uintptr(unsafe.Pointer(&span))); e != 0 {
		return e
	}
	return nil
}
