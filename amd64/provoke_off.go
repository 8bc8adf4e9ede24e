//go:build !provoke

package amd64

func unknownSyscall(_, _ uintptr) uintptr { return errno(eNOSYS) }
