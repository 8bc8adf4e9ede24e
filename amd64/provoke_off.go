//go:build !provoke

package amd64

const wrongCounter = 0

func unknownSyscall(_, _ uintptr) uintptr { return errno(eNOSYS) }
