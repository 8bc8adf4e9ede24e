package main

import (
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// lock keeps other processes off a file until it is closed. It locks a byte that the file does
// not have, since here a lock forbids reading, too.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{OffsetHigh: math.MaxInt32})
}
