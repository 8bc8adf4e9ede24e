//go:build provoke

package amd64

// Faults of the kernel's own, for tests of what a person sees then, and of the machine.
// They exist in builds with the tag provoke alone.

// wrongCounter is by how many ticks the counters of other than the boot processor seem to be
// wrong when they come up.
const wrongCounter = 1 << 36

const sysProvoke = 0x10ff

// ProvokeFault makes the kernel touch page 0.
func ProvokeFault() { kernelCall(sysProvoke, nil, 0) }

// ProvokeOverflow makes the kernel overflow its stack.
func ProvokeOverflow() { kernelCall(sysProvoke, nil, 1) }

func unknownSyscall(number, arg uintptr) uintptr {
	if number == sysProvoke {
		if arg == 0 {
			*at[uint64](8) = 1
		}
		return overflow(arg)
	}
	return errno(eNOSYS)
}

//go:noinline
func overflow(n uintptr) uintptr {
	var b [512]uintptr
	b[n%512] = overflow(n + 1)
	return b[(n+1)%512]
}
